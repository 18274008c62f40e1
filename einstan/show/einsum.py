"""einsum: a checked program -> numpy statements as a person would write them, one line for each statement.

Products with a sum in them become `np.einsum`; everything else is plain numpy with axes lined up by `.T` and `None`.
The text is Python that needs numpy alone. User text reaches it as identifiers (`identifier`) and in comments, no
other way.

A value's axes are the names of its indices; only a factor of a product may repeat one. `wanted` is the order of the
axes that the place of an expression asks for, so that only leaves are transposed.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain
from keyword import iskeyword, issoftkeyword
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
from ..syntax.scope import Scope
from .formula import Vocabulary, formula
from .text import decimal_places, number, show_expr

Axes = tuple[str, ...]
Key = tuple[str, ...]  # a name, or a numerator and the names below it

NOTHING = Scope({}, {}, {}, {}, (), ())
SUM, PRODUCT, POWER, ATOM = range(4)  # how tightly Python text holds together
MAX_DEPTH = 25  # Python's own parser takes 100 to 200 levels of brackets
MAX_TERMS = 200
MAX_OPERANDS = 12
WIDTH = 100


@dataclass(frozen=True, slots=True)
class Value:
    """Python text, how tightly it binds, and the index of each of its axes."""

    text: str
    bind: int = ATOM
    axes: Axes = ()

    @property
    def atom(self) -> str:
        return self.over(POWER)

    def over(self, bind: int) -> str:
        """The text as an operand of something that binds as tightly as `bind`."""
        return self.text if self.bind > bind else f"({self.text})"


Factor = tuple[Value, bool]  # whether it divides


@dataclass(frozen=True, slots=True)
class Line:
    """One statement: what it assigns, the indices of its left side with their sizes, the right side."""

    key: Key
    target: Axes
    shape: tuple[Dim, ...]
    scope: Scope
    body: ast.Expr


def einsum_module(checked: Checked, of: Sequence[str], claims: Sequence[ast.Statement] = ()) -> str:
    """The names `of`, and the left sides of `claims`, with all that they need, as Python statements."""
    module = Module(checked, lines_of(checked, claims))
    ends = [(name,) for name in of] + [line.key for line in lines_of_claims(checked, claims)]
    for key in needed(module.lines, ends):
        module.write(module.lines[key])
    return module.text()


def lacking(checked: Checked, of: Sequence[str], claims: Sequence[ast.Statement]) -> list[Key]:
    """Derivatives of names that stand in formulas and that no line computes."""
    lines = lines_of(checked, claims)
    ends = [(name,) for name in of] + [line.key for line in lines_of_claims(checked, claims)]
    used = dict.fromkeys(key for end in needed(lines, ends) for key in keys_below(lines[end].body))
    return [key for key in used if len(key) > 1 and key not in lines and key[0] in checked.definitions]


def lines_of(checked: Checked, claims: Sequence[ast.Statement]) -> dict[Key, Line]:
    """Every statement that may be computed, by what it assigns."""
    lines: dict[Key, Line] = {}
    for name, definition in checked.definitions.items():
        target = tuple(index.name for index in definition.target.indices or ())
        scope = checked.scopes[id(definition.body)]
        lines[name,] = Line((name,), target, checked.shapes[name], scope, definition.body)
    for line in lines_of_claims(checked, claims):
        lines.setdefault(line.key, line)
    return lines


def lines_of_claims(checked: Checked, claims: Sequence[ast.Statement]) -> Iterator[Line]:
    """Claims `∂L/∂W[k,j] = ...` as assignments."""
    wanted = {id(claim) for claim in claims}
    for claim in checked.claims:
        left = claim.claim.forms[0]
        if id(claim.claim) not in wanted or not isinstance(left, ast.Derivative):
            continue
        if error := claim.forms[1].error:
            raise error
        scope = claim.forms[1].scope
        assert scope is not None, "our bug: a form of a claim is legal or has an error"
        key = derivative_key(left)
        if key in keys_below(claim.claim.forms[1]):  # a function that only the reader knows
            continue
        names = (left.numerator, *left.denominators)
        target = tuple(i.name for t in names if isinstance(t, ast.Tensor) for i in t.indices or ())
        shape = tuple(d for name in key for d in checked.shapes[name])
        yield Line(key, target, shape, scope, claim.claim.forms[1])


def derivative_key(e: ast.Derivative) -> Key:
    top = e.numerator.name if isinstance(e.numerator, ast.Tensor) else show_expr(e.numerator)
    return top, *(below.name for below in e.denominators)


def needed(lines: Mapping[Key, Line], ends: Iterable[Key]) -> Iterator[Key]:
    """The lines that the ends need, each after those it uses."""
    entered: set[Key] = set()
    todo = [(key, False) for key in ends][::-1]
    while todo:
        key, ready = todo.pop()
        if ready:
            yield key
        elif key not in entered:
            entered.add(key)
            below = dict.fromkeys(used for used in keys_below(lines[key].body) if used in lines)
            todo += [(key, True), *((used, False) for used in reversed(below))]


def keys_below(body: ast.Expr) -> Iterator[Key]:
    for e in ast.postorder(body):
        if isinstance(e, ast.Tensor):
            yield (e.name,)
        elif isinstance(e, ast.Derivative):
            yield derivative_key(e)


# ---------------------------------------------------------------- the whole text


@dataclass(slots=True)
class Module:
    """The text as it grows: identifiers, helpers and given things in order of their first use."""

    checked: Checked
    lines: dict[Key, Line]
    written: list[str] = field(default_factory=list)
    called: dict[Key, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=lambda: {"np", "math", *HELPERS})
    helpers: set[str] = field(default_factory=set)
    functions: dict[str, str] = field(default_factory=dict)  # identifier -> what the reader provides
    slopes: dict[str, str] = field(default_factory=dict)  # identifier -> the derivative that the reader provides
    slopes_of_words: dict[str, str] = field(default_factory=dict)  # identifier -> helper
    used: set[str] = field(default_factory=set)  # inputs

    def __post_init__(self) -> None:
        for name in self.checked.shapes:
            self.called[name,] = self.free(identifier(name))

    def free(self, wish: str) -> str:
        """The wish, or the first of wish_2, wish_3, .. that is not taken."""
        tries = chain([wish], (f"{wish}_{n}" for n in range(2, len(self.taken) + 3)))
        name = next(x for x in tries if x not in self.taken)
        self.taken.add(name)
        return name

    def variable(self, name: str) -> str:
        if name in self.checked.inputs:
            self.used.add(name)
        return self.called[name,]

    def derivative(self, key: Key) -> str:
        """dL_dW, d2L_dW_dc."""
        if key not in self.called:
            order = "" if len(key) == 2 else str(len(key) - 1)
            self.called[key] = self.free(
                f"d{order}{identifier(key[0])}" + "".join(f"_d{identifier(k)}" for k in key[1:])
            )
        return self.called[key]

    def function(self, e: ast.Call, note: str) -> str:
        """The name of an opaque function, or of a derivative of it, that the reader provides."""
        slot = "".join(f"_{n + 1}" for n in e.slots)
        key = (e.name, "'" * e.primes, slot)
        if key not in self.called:
            self.called[key] = self.free(identifier(e.name) + "_prime" * e.primes + slot)
        self.functions.setdefault(self.called[key], note)
        return self.called[key]

    def slope(self, e: ast.Call) -> str:
        """A helper for a derivative of a built-in function, tanh'(x), or for a function that is a formula."""
        key = (e.name, "'" * e.primes, str(e.order))
        if key not in self.called:
            self.called[key] = self.free(identifier(e.name) + "_prime" * e.primes)
            places = [f"#{n}" for n in range(len(e.args))]
            leaves = [name_(place, ()) for place in places]
            node = entry_function(Lowering(self.checked, NOTHING, {}), e.name, leaves)
            for k in e.order:
                (node,) = derive(node, ones(()), [leaves[k]])
            body = formula(simplify([node])[0], (), Vocabulary({}, {}, {}))
            args = [f"x{n + 1}" for n in range(len(places))] if len(places) > 1 else ["x"]
            self.called.update(((place,), arg) for place, arg in zip(places, args, strict=True))
            scope = replace(NOTHING, axes={id(x): {} for x in ast.postorder(body)})
            text = Body(self, scope).value(body, ()).text
            if not any(isinstance(x, ast.Tensor) for x in ast.postorder(body)):
                text = f"np.full(np.shape({args[0]}), {text})"
            self.slopes_of_words[self.called[key]] = f"def {self.called[key]}({', '.join(args)}):\n    return {text}\n"
        return self.called[key]

    def helper(self, name: str) -> str:
        self.helpers.update((name, *(other for other in HELPERS if f" {other}(" in HELPERS[name])))
        return name

    def spill(self, value: Value) -> Value:
        """The value under a name of its own, on a line before."""
        name = self.free("part")
        self.written.append(f"{name} = {value.text}")
        return Value(name, ATOM, value.axes)

    def size(self, d: Dim) -> Value:
        """A size as read from the inputs' shapes."""
        terms = []
        for symbols, c in d.terms:
            factors = [str(c)] if c != 1 or not symbols else []
            for symbol in symbols:
                name, _, axis = symbol.rpartition(".")
                factors.append(f"{self.variable(name)}.shape[{int(axis)}]")
            terms.append(Value(" * ".join(factors), PRODUCT if len(factors) > 1 else ATOM))
        text = " + ".join(t.text for t in terms).replace("+ -", "- ") or "0"
        return (
            Value(text, SUM)
            if len(terms) > 1 or text.startswith("-")
            else Value(text, terms[0].bind if terms else ATOM)
        )

    def shape(self, dims: Iterable[Dim]) -> str:
        sizes = [self.size(d).text for d in dims]
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"

    def write(self, line: Line) -> None:
        name = self.called[line.key] if len(line.key) == 1 else self.derivative(line.key)
        value = Body(self, line.scope).value(line.body, tuple(dict.fromkeys(line.target)))
        self.written.append(f"{name} = {self.placed(value, line)}")

    def placed(self, value: Value, line: Line) -> str:
        """The value on the left side's axes: repeated along those it lacks, on the diagonal of those written twice."""
        sizes = dict(zip(line.target, line.shape, strict=True))
        if missing := [x for x in sizes if x not in value.axes]:
            text = aligned(value, tuple(sizes)).text
            fill = "np.broadcast_to" if len(missing) < len(sizes) else "np.full"
            shape = self.shape(sizes.values())
            value = Value(
                f"np.full({shape}, {text})" if fill == "np.full" else f"{fill}({text}, {shape})", ATOM, tuple(sizes)
            )
        if len(sizes) == len(line.target):
            return aligned(value, line.target).text
        if len(line.target) == 2:
            return f"np.diag({value.text})"
        letters = letters_of(sizes)
        spec = "".join(letters[x] for x in line.target) + "->" + "".join(letters[x] for x in value.axes)
        return f"{self.helper('diagonal')}({value.text}, '{spec}', {self.shape(line.shape)})"

    def text(self) -> str:
        helpers = [HELPERS[name] for name in HELPERS if name in self.helpers] + list(self.slopes_of_words.values())
        imports = ["import math"] * ("erf" in self.helpers) + ["import numpy as np"]
        head = "\n\n".join(part for part in ("\n".join(imports), "\n".join(self.notes())) if part)
        between = "\n\n" if helpers else "\n"
        return between.join([head + "\n", *helpers, "\n".join(self.written) + "\n"])

    def notes(self) -> Iterator[str]:
        """Comments: what the reader has to provide, and names that are no Python."""
        arrays = [
            named(self.called[name,], self.checked.inputs[name]) for name in self.checked.inputs if name in self.used
        ]
        yield from note("given, as arrays of floats", arrays)
        yield from note(
            "given, as functions of arrays", [f"{name}: {text}" for name, text in self.functions.items()], "; "
        )
        yield from note(
            "given, as arrays, axes of the upper name first", [f"{name} = {t}" for name, t in self.slopes.items()]
        )
        renamed = [f"{self.called[name,]} for {name}" for name in self.checked.shapes if self.called[name,] != name]
        yield from note("written", renamed)


def note(title: str, things: Sequence[str], between: str = ", ") -> list[str]:
    shown = "".join(c if c.isprintable() else "?" for c in f"{title}: {between.join(things)}")
    return (
        textwrap.wrap(shown, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
        if things
        else []
    )


def named(name: str, axes: Axes) -> str:
    return f"{name}[{','.join(axes)}]" if axes else name


def identifier(name: str) -> str:
    """A name as a Python identifier: W' is W_prime, X^{(m)} is X_m, \\hat{X} is hat_X."""
    plain = unicodedata.normalize("NFKC", re.sub("_*'", "_prime", name))
    word = re.sub(r"[^\w]+", "_", plain).strip("_") or "x"
    word = word if word.isidentifier() else f"x_{word}"
    word = word if word.isidentifier() else "x"
    return f"{word}_" if iskeyword(word) or issoftkeyword(word) else word


# ---------------------------------------------------------------- one statement


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
        """The value with all of `axes`, repeated in memory's eye along those it lacks."""
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


def arranged(own: Iterable[str], order: Iterable[str]) -> Axes:
    """`own` with those of `order` first."""
    own = tuple(own)
    first = tuple(x for x in dict.fromkeys(order) if x in own)
    return first + tuple(x for x in own if x not in first)


def aligned(value: Value, axes: Axes) -> Value:
    """The value on `axes`: transposed to their order, None where it lacks one that others have."""
    order = [value.axes.index(x) for x in axes if x in value.axes]
    if order != sorted(order):
        turned = ".T" if order == [1, 0] else f".transpose({', '.join(map(str, order))})"
        value = replace(value, text=value.atom + turned, bind=ATOM)
    has = [x in value.axes for x in axes]
    first = has.index(True) if True in has else len(has)
    last = len(has) - has[::-1].index(False) if False in has else 0
    if first < last:
        text = f"{value.atom}[{', '.join(':' if h else 'None' for h in has[first:last])}]"
        return Value(text, ATOM, axes)
    return replace(value, axes=tuple(x for x in axes if x in value.axes))


def letters_of(names: Iterable[str]) -> dict[str, str]:
    """A letter for each index: its own first letter if it is free, lower case before upper."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        first = name[0]
        wishes = chain((first.lower(), first), ascii_letters)
        found[name] = next(x for x in wishes if x in ascii_letters and x not in found.values())
    return found


# ---------------------------------------------------------------- leaves


def of_number(b: Body, e: ast.Number) -> Value:
    return literal(e.value)


def literal(value: Fraction) -> Value:
    """A number as Python has it; integers that no machine integer holds as floats."""
    text = number(value)
    if value.denominator == 1 and abs(value) > 2**53 and "e" not in text:
        text += ".0"
    if value < 0:
        return Value(text, SUM)
    return Value(text, ATOM if decimal_places(value.denominator) is not None else PRODUCT)


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
    scalars = [(v, over) for v, over in factors if not v.axes]
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
    return plain and any(len(v.axes) == len(out) or (over and v.axes) for v, over in factors or [(Value(""), False)])


def chained(b: Body, factors: Sequence[Factor], axes: Axes) -> Value:
    """a * b / c."""
    if not factors:
        return Value("1")
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
    exponent = literal(q)
    text = (
        f"{exponent.text}.0" if q < 0 and q.denominator == 1 and exponent.text.lstrip("-").isdigit() else exponent.text
    )
    return Value(f"{base.atom}**{text if q < 0 or exponent.bind == ATOM else f'({text})'}", POWER, axes)


def fraction(e: ast.Expr) -> Fraction | None:
    """The number that an exponent is, if it is one: 2, -1, (1 / 3)."""
    found: dict[int, Fraction | None] = {}
    for x in ast.postorder(e):
        below = [found[id(c)] for c in x.children]
        known = [q for q in below if q is not None]
        rule = FRACTIONS.get(type(x)) if len(known) == len(below) else None
        found[id(x)] = rule(x, known) if rule else None
    return found[id(e)]


def ratio(e: ast.Product, factors: Sequence[Fraction]) -> Fraction | None:
    result = Fraction(1)
    for q, over in zip(factors, e.divides, strict=True):
        if over and q == 0:
            return None
        result = result / q if over else result * q
    return result


FRACTIONS: dict[type[ast.Expr], Callable[[Any, list[Fraction]], Fraction | None]] = {
    ast.Number: lambda e, below: e.value,
    ast.Group: lambda e, below: below[0],
    ast.Sum: lambda e, below: sum((s * q for s, q in zip(e.signs, below, strict=True)), Fraction(0)),
    ast.Product: ratio,
}


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
    known = e.name in words.FUNCTIONS or e.name in b.module.checked.formulas
    if not known:
        return opaque(b, e)
    if e.along is not None:
        return along(b, e)
    if e.name == "where" and not e.primes:
        return choice(b, e)
    axes = b.wanted[id(e)]
    args = [b.operand(a, axes) for a in e.args]
    if e.primes or e.name in b.module.checked.formulas:
        return Value(f"{b.module.slope(e)}({', '.join(a.text for a in args)})", ATOM, axes)
    if e.name in HELPERS:
        return Value(f"{b.module.helper(e.name)}({args[0].text})", ATOM, axes)
    return Value(ENTRYWISE[e.name].format(*(a.text for a in args)), ATOM, axes)


def choice(b: Body, e: ast.Call) -> Value:
    axes = b.wanted[id(e)]
    condition = ungrouped(e.args[0])
    plain = isinstance(condition, ast.Compare) and b.wanted[id(condition)] == axes
    args = [b.operand(a, axes).text for a in e.args]
    if plain and isinstance(condition, ast.Compare):
        args[0] = comparison(b, condition)
    return Value(f"np.where({', '.join(args)})", ATOM, axes)


def ungrouped(e: ast.Expr) -> ast.Expr:
    while isinstance(e, ast.Group):
        e = e.body
    return e


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

ENTRYWISE: dict[str, str] = {
    **{x: f"np.{x}({{0}})" for x in "sqrt exp log log1p expm1 sin cos tan sinh cosh tanh abs sign".split()},
    **{x: f"np.arc{x[1:]}({{0}})" for x in "asin acos atan".split()},
    "relu": "np.maximum({0}, 0)",
    "softplus": "np.logaddexp(0, {0})",
    "step": "np.where({0} > 0, 1.0, 0.0)",
    "max": "np.maximum({0}, {1})",
    "min": "np.minimum({0}, {1})",
}

HELPERS: dict[str, str] = {
    "sigmoid": """\
def sigmoid(x):  # 1 / (1 + exp(-x)), without overflow
    return np.exp(-np.logaddexp(0, -x))
""",
    "silu": """\
def silu(x):
    return x * sigmoid(x)
""",
    "erf": """\
def erf(x):  # numpy has none
    return np.vectorize(math.erf, otypes=[float])(x)
""",
    "gelu": """\
def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2
""",
    "elu": """\
def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
""",
    "logsumexp": """\
def logsumexp(x, axis):  # the largest entry taken out first
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return np.log(np.sum(np.exp(x - top), axis=axis)) + np.squeeze(top, axis=axis)
""",
    "norm": """\
def norm(x, axis):  # scaled, so that no square overflows or vanishes
    top = np.max(np.abs(x), axis=axis, keepdims=True, initial=0)
    scale = np.where((top == 0) | np.isinf(top), 1, top)
    return np.sqrt(np.sum((x / scale) ** 2, axis=axis)) * np.squeeze(scale, axis=axis)
""",
    "softmax": """\
def softmax(x, axis):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)
""",
    "log_softmax": """\
def log_softmax(x, axis):
    z = x - np.max(x, axis=axis, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True))
""",
    "diagonal": """\
def diagonal(x, subscripts, shape):  # zero off the diagonal
    out = np.zeros(shape)
    np.einsum(subscripts, out)[...] = x
    return out
""",
}
