"""numpy_values: an expression -> numpy text. One row for each kind of expression.

Products with a sum in them become `np.einsum`; everything else is plain numpy with axes lined up by `.T` and `None`.

A value's axes are the names of its indices; only a factor of a product may repeat one. `wanted` is the order of the
axes that the place of an expression asks for, so that only leaves are transposed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain
from string import ascii_letters
from typing import Any

from ..derive import derive
from ..dims import Dim
from ..errors import EinstanDerivativeError, EinstanError
from ..ir import name_, ones
from ..lower import Lowering
from ..lower import entrywise as entry_function
from ..rules import simplify
from ..syntax import ast, words
from ..syntax.checked import Checked
from ..syntax.factors import ungrouped
from ..syntax.scope import Scope
from .assignments import derivative_key
from .exponents import exponent, fraction
from .formula import Vocabulary, formula
from .numpy_module import Module
from .numpy_text import (
    ATOM,
    ENTRYWISE,
    HELPERS,
    MATRIX,
    POWER,
    PRODUCT,
    SUM,
    Axes,
    Value,
    aligned,
    arranged,
    identifier,
    letters_of,
    literal,
)
from .text import show_expr

NOTHING = Scope({}, {}, {}, {}, (), ())
MAX_DEPTH = 25  # Python's own parser takes 100 to 200 levels of brackets
MAX_TERMS = 200
MAX_OPERANDS = 12

Factor = tuple[Value, bool]  # whether it divides


@dataclass(slots=True)
class Body:
    """One right side on its way to Python: the values of its expressions by id."""

    module: Module
    scope: Scope
    wanted: dict[int, Axes] = field(default_factory=dict)
    values: dict[int, Value] = field(default_factory=dict)

    def value(self, root: ast.Expr, axes: Axes) -> Value:
        """The value of `root`, its axes in the order of `axes`."""
        walk = list(ast.postorder(root))
        self.wanted[id(root)] = arranged(self.scope.axes[id(root)], axes)
        for e in reversed(walk):
            order = () if id(e) in self.scope.summed or ast.indices_of(e) else self.wanted[id(e)]
            for child in e.children:
                self.wanted.setdefault(id(child), arranged(self.scope.axes.get(id(child), ()), order))
        depth: dict[int, int] = {}
        for e in walk:
            if isinstance(e, ast.Derivative) or id(e) in self.scope.axes:
                self.values[id(e)] = RULES[type(e)](self, e)
                depth[id(e)] = 1 + max((depth.get(id(c), 0) for c in e.children), default=0)
                if depth[id(e)] > MAX_DEPTH:
                    self.values[id(e)], depth[id(e)] = self.module.spill(self.values[id(e)]), 0
        return self.closed(root)

    def closed(self, e: ast.Expr) -> Value:
        """The value as an operand of anything but a product: repeated indices are a diagonal or a trace."""
        value = self.values[id(e)]
        if len(set(value.axes)) == len(value.axes):
            return value
        return self.contraction([value], arranged(self.scope.axes[id(e)], self.wanted[id(e)]))

    def operand(self, e: ast.Expr, axes: Axes) -> Value:
        return aligned(self.closed(e), axes)

    def full(self, e: ast.Expr, axes: Axes, sizes: Mapping[str, Dim]) -> Value:
        """The value with all of `axes`, repeated along those it lacks."""
        value = self.operand(e, axes)
        if set(self.closed(e).axes) == set(axes):
            return value
        return Value(f"np.broadcast_to({value.text}, {self.module.shape(sizes[x] for x in axes)})", ATOM, axes)

    def contraction(self, operands: Sequence[Value], out: Axes) -> Value:
        """np.einsum; long products in pieces."""
        operands = list(operands)
        while len(operands) > MAX_OPERANDS or (len(operands) > 2 and too_many(operands)):
            count = 2 if too_many(operands) else MAX_OPERANDS
            head, operands = operands[:count], operands[count:]
            later = {*out, *chain.from_iterable(v.axes for v in operands)}
            kept = tuple(dict.fromkeys(x for v in head for x in v.axes if x in later))
            operands.insert(0, self.module.spill(self.contraction(head, kept)))
        if too_many(operands):
            raise EinstanError(
                "A product has more than 52 indices, which are all that numpy's einsum can name.",
                "Use the generated numpy source instead.",
            )
        letters = letters_of(chain.from_iterable(v.axes for v in operands))
        spec = ",".join("".join(letters[x] for x in v.axes) for v in operands)
        spec += "->" + "".join(letters[x] for x in out)
        optimize = ", optimize=True" if len(operands) > 2 else ""
        return Value(f"np.einsum('{spec}', {', '.join(v.text for v in operands)}{optimize})", ATOM, out)

    def joined(self, pieces: Sequence[tuple[str, Value]], bind: int, axes: Axes) -> Value:
        """Operators and operands end to end; very long chains in pieces."""
        text = ""
        for place, (sign, value) in enumerate(pieces):
            if place and place % MAX_TERMS == 0:
                text = self.module.spill(Value(text)).text
            text += sign + value.over(bind)
        return Value(text, bind, axes)


def too_many(operands: Sequence[Value]) -> bool:
    return len({x for v in operands for x in v.axes}) > len(ascii_letters)


# ---------------------------------------------------------------- leaves


def of_number(b: Body, e: ast.Number) -> Value:
    return literal(e.value)


def of_tensor(b: Body, e: ast.Tensor) -> Value:
    if e.name in ("pi", "π") and not e.indices and e.name not in b.module.checked.shapes:
        return Value("np.pi")
    axes = tuple(index.name for index in e.indices or ())
    if e.name == "delta":
        return Value(f"np.eye({b.module.size(sizes_at(b, e)[axes[0]]).text})", ATOM, axes)
    return indexed(b, b.module.variable(e.name), e.indices or ())


def sizes_at(b: Body, e: ast.Expr) -> dict[str, Dim]:
    return b.scope.axes[id(e)] | b.scope.summed.get(id(e), {})


def indexed(b: Body, name: str, indices: Sequence[ast.Index]) -> Value:
    """A name with its index list; parts are slices."""
    slices = []
    for index in indices:
        low_high = b.scope.bounds.get(id(index))
        slices.append(":" if low_high is None else ":".join(b.module.size(d).text for d in low_high))
    while slices and slices[-1] == ":":
        slices.pop()
    text = f"{name}[{', '.join(slices)}]" if slices else name
    return Value(text, ATOM, tuple(index.name for index in indices))


def of_filled(b: Body, e: ast.Filled) -> Value:
    axes, sizes = tuple(index.name for index in e.indices), sizes_at(b, e)
    return filled("ones" if e.value else "zeros", b, axes, sizes)


def filled(word: str, b: Body, axes: Axes, sizes: Mapping[str, Dim]) -> Value:
    shape = b.module.size(sizes[axes[0]]).text if len(axes) == 1 else b.module.shape(sizes[x] for x in axes)
    return Value(f"np.{word}({shape})", ATOM, axes)


def of_extent(b: Body, e: ast.Extent) -> Value:
    return b.module.size(b.scope.extents[id(e)])


def of_derivative(b: Body, e: ast.Derivative) -> Value:
    """The variable of another line, or an array that the reader provides."""
    key = derivative_key(e)
    if key not in b.module.lines and not opaque_below(b.module.checked, key[0]):
        raise EinstanDerivativeError(
            f"{show_expr(e)} stands in a formula, and no line of numpy computes it.",
            "Give what is differentiated a name in a statement of its own.",
            source=b.module.checked.module.source,
            spans=(e.span,) if e.span != ast.NOWHERE else (),
        )
    name = b.module.derivative(key)
    if key not in b.module.lines:
        b.module.slopes[name] = "∂" + "/".join((key[0], *(f"∂{k}" for k in key[1:])))
    above = e.numerator.indices or () if isinstance(e.numerator, ast.Tensor) else ()
    return indexed(b, name, (*above, *(index for d in e.denominators for index in d.indices or ())))


def opaque_below(checked: Checked, name: str) -> bool:
    """Whether the definition is a call of a function that only the reader knows."""
    body = checked.definitions[name].body if name in checked.definitions else None
    return body is not None and any(
        isinstance(e, ast.Call) and e.name in checked.functions for e in ast.postorder(body)
    )


# ---------------------------------------------------------------- operators


def of_group(b: Body, e: ast.Group) -> Value:
    return b.closed(e.body)


def of_product(b: Body, e: ast.Product) -> Value:
    return product(b, e, b.wanted[id(e)])


def of_odot(b: Body, e: ast.Odot) -> Value:
    return product(b, e, b.wanted[id(e)])


def product(b: Body, e: ast.Expr, out: Axes) -> Value:
    """A chain of factors; every index that is not in `out` is summed."""
    factors: list[Factor] = []
    ones: list[ast.Filled] = []
    divides = e.divides if isinstance(e, ast.Product) else (False,) * len(e.children)
    for child, over in zip(e.children, divides, strict=True):
        if isinstance(child, ast.Filled) and child.value:
            ones.append(child)
        else:
            factors.append((b.values[id(child)] if isinstance(e, ast.Product) else b.closed(child), over))
    factors += from_ones(b, ones, {x for v, _ in factors for x in v.axes}, out)
    if entrywise(factors, out):
        return chained(b, [(aligned(v, out), over) for v, over in factors], out)
    scalars = [(v, over) for v, over in factors if not v.axes and (over or v.text != "1")]
    arrays = [Value(f"1 / {v.over(PRODUCT)}", PRODUCT, v.axes) if over else v for v, over in factors if v.axes]
    core = b.contraction(arrays, out)
    return chained(b, [*(f for f in scalars if not f[1]), (core, False), *(f for f in scalars if f[1])], out)


def from_ones(b: Body, ones: Sequence[ast.Filled], seen: set[str], out: Axes) -> Iterator[Factor]:
    """What 1[K] adds to a product: nothing where K stands elsewhere, its size where it is summed, else an array."""
    sizes = {x: d for e in ones for x, d in sizes_at(b, e).items() if x not in seen}
    for x, d in sizes.items():
        if x not in out:
            yield b.module.size(d), False
    if kept := tuple(x for x in sizes if x in out):
        yield filled("ones", b, kept, sizes), False


def entrywise(factors: Sequence[Factor], out: Axes) -> bool:
    """Nothing is summed, and one factor has all axes or divides."""
    arrays = [v.axes for v, _ in factors if v.axes]
    plain = all(len(set(axes)) == len(axes) and set(axes) <= set(out) for axes in arrays)
    return plain and any(len(v.axes) == len(out) or (over and v.axes) for v, over in factors)


def chained(b: Body, factors: Sequence[Factor], axes: Axes) -> Value:
    """a * b / c."""
    if len(factors) == 1 and not factors[0][1]:
        return replace(factors[0][0], axes=axes)
    pieces = [(" / " if over else " * ", v) for v, over in factors]
    first = ("1 / " if factors[0][1] else "", factors[0][0])
    return b.joined([first, *pieces[1:]], PRODUCT, axes)


def of_sum(b: Body, e: ast.Sum) -> Value:
    axes = b.wanted[id(e)]
    signs = [" - " if sign < 0 else " + " for sign in e.signs]
    signs[0] = "-" if e.signs[0] < 0 else ""
    terms = [b.operand(term, axes) for term in e.terms]
    return b.joined(list(zip(signs, terms, strict=True)), SUM, axes)


def of_power(b: Body, e: ast.Power) -> Value:
    """x**2, 1 / x, np.sqrt(x); np.float_power where the exponent is no number, or nothing but numbers is raised."""
    axes = b.wanted[id(e)]
    base, q = b.operand(e.base, axes), fraction(e.exponent)
    if q is None or not any(isinstance(below, ast.Tensor) for below in ast.postorder(e.base)):
        return Value(f"np.float_power({base.text}, {b.operand(e.exponent, axes).text})", ATOM, axes)
    if q == Fraction(1, 2):
        return Value(f"np.sqrt({base.text})", ATOM, axes)
    if q == -1:
        return Value(f"1 / {base.over(PRODUCT)}", PRODUCT, axes)
    return Value(f"{base.atom}**{exponent(q)}", POWER, axes)


def of_compare(b: Body, e: ast.Compare) -> Value:
    return Value(f"1.0 * ({comparison(b, e)})", PRODUCT, b.wanted[id(e)])


def comparison(b: Body, e: ast.Compare) -> str:
    left, right = (b.operand(child, b.wanted[id(e)]) for child in e.children)
    return f"{left.text} {e.op} {right.text}"


def of_concat(b: Body, e: ast.Concat) -> Value:
    """Parts share all axes but the joined one, whose sizes are their own."""
    axes, joined = b.wanted[id(e)], e.index.name
    parts = [b.full(part, axes, b.scope.axes[id(e)] | b.scope.axes[id(part)]) for part in e.parts]
    return Value(f"np.concatenate([{', '.join(p.text for p in parts)}]{axis_of(axes, joined)})", ATOM, axes)


def axis_of(axes: Axes, name: str) -> str:
    place = axes.index(name)
    return f", axis={place}" if place else ""


# ---------------------------------------------------------------- functions


def of_call(b: Body, e: ast.Call) -> Value:
    formulas = b.module.checked.formulas
    if e.name not in words.FUNCTIONS and e.name not in formulas:
        return opaque(b, e)
    if e.name in words.MATRIX:
        return matrix(b, e)
    if e.along is not None:
        return along(b, e)
    if e.name == "where" and not e.primes:
        return choice(b, e)
    axes = b.wanted[id(e)]
    args = [b.operand(a, axes) for a in e.args]
    if e.primes or e.name in formulas:
        return Value(f"{slope(b.module, e)}({', '.join(a.text for a in args)})", ATOM, axes)
    if e.name in HELPERS:
        return Value(f"{b.module.helper(e.name)}({args[0].text})", ATOM, axes)
    return Value(ENTRYWISE[e.name].format(*(a.text for a in args)), ATOM, axes)


def slope(module: Module, e: ast.Call) -> str:
    """A helper for a derivative of a built-in function, tanh'(x), or for a function that is a formula."""
    key = (e.name, "'" * e.primes, str(e.order))
    if key not in module.called:
        module.called[key] = module.free(identifier(e.name) + "_prime" * e.primes)
        places = [f"#{n}" for n in range(len(e.args))]
        leaves = [name_(place, ()) for place in places]
        node = entry_function(Lowering(module.checked, NOTHING, {}), e.name, leaves)
        for k in e.order:
            (node,) = derive(node, ones(()), [leaves[k]])
        body = formula(simplify([node])[0], (), Vocabulary({}, {}, {}))
        args = [f"x{n + 1}" for n in range(len(places))] if len(places) > 1 else ["x"]
        module.called.update(((place,), arg) for place, arg in zip(places, args, strict=True))
        scope = replace(NOTHING, axes={id(x): {} for x in ast.postorder(body)})
        text = Body(module, scope).value(body, ()).text
        if not any(isinstance(x, ast.Tensor) for x in ast.postorder(body)):
            text = f"np.full(np.shape({args[0]}), {text})"
        function = module.called[key]
        module.slopes_of_words[function] = f"def {function}({', '.join(args)}):\n    return {text}\n"
    return module.called[key]


def choice(b: Body, e: ast.Call) -> Value:
    axes = b.wanted[id(e)]
    condition = ungrouped(e.args[0])
    plain = isinstance(condition, ast.Compare) and b.wanted[id(condition)] == axes
    args = [b.operand(a, axes).text for a in e.args]
    if plain and isinstance(condition, ast.Compare):
        args[0] = comparison(b, condition)
    return Value(f"np.where({', '.join(args)})", ATOM, axes)


def along(b: Body, e: ast.Call) -> Value:
    """np.max(Z, axis=1); a sum of a product is one einsum."""
    names = tuple(index.name for index in e.along or ())
    body = ungrouped(e.args[0])
    if e.name == "sum" and isinstance(body, ast.Product | ast.Odot):
        return product(b, body, b.wanted[id(e)])
    value = b.closed(e.args[0])
    places = [value.axes.index(x) for x in names]
    axis = str(places[0]) if len(places) == 1 else f"({', '.join(map(str, places))})"
    keeps = e.name in words.NORMALISERS
    function = b.module.helper(e.name) if e.name in HELPERS else f"np.{e.name}"
    axes = value.axes if keeps else tuple(x for x in value.axes if x not in names)
    return Value(f"{function}({value.text}, axis={axis})", ATOM, axes)


def matrix(b: Body, e: ast.Call) -> Value:
    """np.linalg.inv(A); the axes before rows and columns are a batch, and all columns of a right side one axis."""
    rows, columns = (index.name for index in e.along or ())
    a, *right = e.args
    lead = tuple(x for x in b.scope.axes[id(a)] if x not in (rows, columns))
    text = b.full(a, (*lead, rows, columns), b.scope.axes[id(a)]).text
    if not right:
        shown = tuple(x for x in (rows, columns) if x not in e.gone)
        return Value(MATRIX[e.name].format(text), ATOM, (*lead, *shown))
    own, sizes = b.scope.axes[id(right[0])], b.scope.axes[id(a)] | b.scope.axes[id(right[0])]
    more = tuple(x for x in own if x not in (*lead, rows))
    side = b.full(right[0], (*lead, rows, *more), sizes)
    if len(more) == 1:
        return Value(f"np.linalg.solve({text}, {side.text})", ATOM, (*lead, columns, *more))
    return Value(f"{b.module.helper('solve')}({text}, {side.text})", ATOM, (*lead, columns, *more))


def opaque(b: Body, e: ast.Call) -> Value:
    """f(x) entry by entry; f(Z) with the axes that ride along first; loss(X, Y) of whole arrays."""
    axes = b.wanted[id(e)]
    new = tuple(index.name for index in e.along or ())
    seen = tuple(b.scope.summed.get(id(e), {}))
    if any(whole(b, a) for a in e.args):
        function = b.module.function(e, "of whole arrays")
        args = [b.closed(a).text for a in e.args]
        return Value(f"{function}({', '.join(args)})", ATOM, new)
    lead = tuple(x for x in axes if x not in new)
    if not seen and not new:
        function = b.module.function(e, "entry by entry")
        args = [b.operand(a, axes).text for a in e.args]
        return Value(f"{function}({', '.join(args)})", ATOM, axes)
    sizes = {x: d for a in e.args for x, d in b.scope.axes[id(a)].items()}
    owns = [lead + tuple(x for x in b.scope.axes[id(a)] if x in seen) for a in e.args]
    shown = ", ".join(f"[{','.join(own).lower()}]" for own in owns)
    function = b.module.function(e, f"{shown} -> [{','.join(lead + new).lower()}]")
    args = [b.full(a, own, sizes).text for a, own in zip(e.args, owns, strict=True)]
    return Value(f"{function}({', '.join(args)})", ATOM, lead + new)


def whole(b: Body, e: ast.Expr) -> bool:
    return isinstance(e, ast.Tensor) and not e.indices and bool(b.module.checked.shapes.get(e.name))


RULES: dict[type[ast.Expr], Callable[[Body, Any], Value]] = {
    ast.Number: of_number,
    ast.Tensor: of_tensor,
    ast.Filled: of_filled,
    ast.Extent: of_extent,
    ast.Derivative: of_derivative,
    ast.Group: of_group,
    ast.Product: of_product,
    ast.Odot: of_odot,
    ast.Sum: of_sum,
    ast.Power: of_power,
    ast.Compare: of_compare,
    ast.Concat: of_concat,
    ast.Call: of_call,
}
