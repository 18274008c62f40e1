"""to_sympy: a definition's right side -> an expression of sympy. One row for each kind of formula.

Tensors are IndexedBase (real, with their shape) with an integer symbol for each index, sums
`Sum(..., (k, 0, n_k - 1))`, sizes symbols that equal axes share. `env`: the symbol of every index that is free or bound
around a formula; an index that is bound gets a symbol that none of them has. What sympy has no form for is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy

from ..dims import Dim
from ..errors import EinstanError, Span
from ..recursion import Recursive, run
from ..sympy_words import COMPARISONS, WORDS
from ..syntax import ast, words
from ..syntax.checked import Checked
from ..syntax.factors import ungrouped
from ..syntax.scope import Scope

Env = Mapping[str, sympy.Symbol]
Written = Recursive[Any]  # an expression of sympy; a condition where one is asked for


def to_sympy(checked: Checked, name: str) -> Any:
    """The right side of the definition of `name` in sympy.

    Raises EinstanError for diagonals on the left, joins, parts, max and min along an index, derivatives, and opaque
    functions of axes.
    """
    definition = checked.definitions[name]
    writer = Writer(checked, checked.scopes[id(definition.body)], size_symbols(checked))
    env: dict[str, sympy.Symbol] = {}
    for index in definition.target.indices or ():
        if index.name in env:
            raise writer.refused("A diagonal on the left has", "Write D[i,j] = delta[i,j] d[i].", definition.span)
        env[index.name] = symbol(index.name)
    try:
        e = run(writer.write(definition.body, env))
    except RecursionError:
        raise EinstanError(
            f"The formula of {name} is nested too deep for sympy.", "Give names to parts of it."
        ) from None
    if writer.met & e.free_symbols:  # Sum(Sum(Piecewise(...))) of sympy folds the choice out of the inner sum
        raise writer.refused("A choice inside a sum inside a sum has", "Give the inner sum a name.", definition.span)
    return e


def symbol(letter: str) -> sympy.Symbol:
    return sympy.Symbol(letter, integer=True)


def size_symbols(checked: Checked) -> dict[str, sympy.Symbol]:
    """A symbol for each size that an axis decides: n_k, after the letter of the axis."""
    found: dict[str, sympy.Symbol] = {}
    taken: set[str] = set()
    for name, letters in checked.inputs.items():
        for d, letter in zip(checked.shapes[name], letters, strict=True):
            for s in sorted(d.symbols - found.keys()):
                called = next(x for n in range(len(taken) + 1) if (x := f"n_{letter}{n or ''}") not in taken)
                taken.add(called)
                found[s] = sympy.Symbol(called, integer=True, positive=True)
    return found


@dataclass(slots=True)
class Writer:
    checked: Checked
    scope: Scope
    sizes: Mapping[str, sympy.Symbol]
    values: dict[str, Any] = field(default_factory=dict)  # the parameters of a function that is written out
    met: set[sympy.Symbol] = field(default_factory=set)  # all indices that are bound somewhere

    def write(self, e: ast.Expr, env: Env) -> Written:
        return ROWS[type(e)](self, e, env)

    def write_all(self, parts: Iterable[ast.Expr], env: Env) -> Recursive[list[Any]]:
        found = []
        for part in parts:
            found.append((yield self.write(part, env)))
        return found

    def refused(self, what: str, repair: str, span: Span) -> EinstanError:
        return EinstanError(f"{what} no form in sympy.", repair, source=self.checked.module.source, spans=(span,))

    def size(self, d: Dim) -> Any:
        """A size as an expression of the symbols."""
        terms = (sympy.Mul(c, *(self.sizes[s] for s in m)) for m, c in d.terms)
        return sympy.Add(*terms)

    def bound(self, axes: Mapping[str, Dim], env: Env) -> tuple[dict[str, sympy.Symbol], list[tuple[Any, ...]]]:
        """`env` with fresh symbols for the axes, and their limits."""
        inner = dict(env)
        limits = []
        for name, d in axes.items():
            taken = {k.name for k in inner.values()}
            low = name[0].lower() + name[1:]
            inner[name] = symbol(next(x for n in range(len(taken) + 1) if (x := f"{low}{n or ''}") not in taken))
            limits.append((inner[name], 0, self.size(d) - 1))
            self.met.add(inner[name])
        return inner, limits

    def summed(self, e: ast.Expr, env: Env) -> tuple[Env, Callable[[Any], Any]]:
        """What stands around the factors of a chain, and how the chain is summed."""
        axes = self.scope.summed.get(id(e))
        if not axes:
            return env, lambda product: product
        inner, limits = self.bound(axes, env)
        return inner, lambda product: sympy.Sum(product, *limits)

    def indexed(self, name: str, indices: Iterable[ast.Index], env: Env) -> Any:
        shape = tuple(map(self.size, self.checked.shapes[name]))
        return sympy.IndexedBase(name, shape=shape, real=True)[tuple(env[index.name] for index in indices)]


def done(value: Any) -> Written:
    yield from ()
    return value


def of_number(w: Writer, e: ast.Number, env: Env) -> Written:
    return done(sympy.Rational(e.value.numerator, e.value.denominator))


def of_tensor(w: Writer, e: ast.Tensor, env: Env) -> Written:
    if e.indices is None or (not e.indices and w.checked.shapes.get(e.name)):
        raise w.refused(f"{e.name} as a whole has", "Write the function of its entries.", e.span)
    if any(index.low is not None for index in e.indices):
        raise w.refused("A part of an axis has", "Give the part as an input of its own.", e.span)
    inner, sum_ = w.summed(e, env)
    if not e.indices:
        return done(w.values[e.name] if e.name in w.values else scalar(w, e.name))
    if e.name == "delta":
        return done(sum_(sympy.KroneckerDelta(*(inner[index.name] for index in e.indices))))
    return done(sum_(w.indexed(e.name, e.indices, inner)))


def scalar(w: Writer, name: str) -> Any:
    if name == "pi" and name not in w.checked.shapes:
        return sympy.pi
    return sympy.Symbol(name, real=True)


def of_filled(w: Writer, e: ast.Filled, env: Env) -> Written:
    _, sum_ = w.summed(e, env)
    return done(sum_(sympy.Integer(e.value)))


def of_extent(w: Writer, e: ast.Extent, env: Env) -> Written:
    return done(w.size(w.scope.extents[id(e)]))


def of_group(w: Writer, e: ast.Group, env: Env) -> Written:
    return w.write(e.body, env)


def of_product(w: Writer, e: ast.Product, env: Env) -> Written:
    inner, sum_ = w.summed(e, env)
    factors = yield w.write_all(e.factors, inner)
    return sum_(sympy.Mul(*(1 / f if over else f for f, over in zip(factors, e.divides, strict=True))))


def of_odot(w: Writer, e: ast.Odot, env: Env) -> Written:
    return sympy.Mul(*(yield w.write_all(e.factors, env)))


def of_sum(w: Writer, e: ast.Sum, env: Env) -> Written:
    terms = yield w.write_all(e.terms, env)
    return sympy.Add(*(sign * term for sign, term in zip(e.signs, terms, strict=True)))


def of_power(w: Writer, e: ast.Power, env: Env) -> Written:
    base, exponent = yield w.write_all(e.children, env)
    return base**exponent


def of_compare(w: Writer, e: ast.Compare, env: Env) -> Written:
    """1 where it holds, else 0."""
    condition = yield comparison(w, e, env)
    return sympy.Piecewise((1, condition), (0, True))


def comparison(w: Writer, e: ast.Compare, env: Env) -> Written:
    left, right = yield w.write_all(e.children, env)
    return COMPARISONS[e.op](left, right)


def of_concat(w: Writer, e: ast.Concat, env: Env) -> Written:
    raise w.refused("A join has", "Write the products with the parts one by one: U[j,K] h[K] + V[j,M] x[M].", e.span)


def of_derivative(w: Writer, e: ast.Derivative, env: Env) -> Written:
    raise w.refused("A derivative has", "Give the formula, and differentiate it with sympy.", e.span)


# ---------------------------------------------------------------- functions


def of_call(w: Writer, e: ast.Call, env: Env) -> Written:
    if e.primes:
        raise w.refused("A derivative has", "Give the formula, and differentiate it with sympy.", e.span)
    if e.along is not None:
        return along(w, e, env)
    if e.name in w.checked.formulas:
        return written_out(w, e, env)
    return FUNCTIONS[e.name](w, e, env) if e.name in FUNCTIONS else entrywise(w, e, env)


def entrywise(w: Writer, e: ast.Call, env: Env) -> Written:
    """A function of sympy; an opaque one is an undefined one."""
    args = yield w.write_all(e.args, env)
    return (WORDS[e.name] if e.name in WORDS else sympy.Function(e.name, real=True))(*args)


def of_sqrt(w: Writer, e: ast.Call, env: Env) -> Written:
    return sympy.sqrt((yield w.write(e.args[0], env)))


def of_where(w: Writer, e: ast.Call, env: Env) -> Written:
    condition, *values = ungrouped(e.args[0]), *e.args[1:]
    if isinstance(condition, ast.Compare):
        holds = yield comparison(w, condition, env)
    else:
        holds = sympy.Ne((yield w.write(condition, env)), 0)
    yes, no = yield w.write_all(values, env)
    return sympy.Piecewise((yes, holds), (no, True))


def written_out(w: Writer, e: ast.Call, env: Env) -> Written:
    """A function whose formula is known, in its arguments."""
    formula = w.checked.formulas[e.name]
    args = yield w.write_all(e.args, env)
    inner = Writer(w.checked, w.scope, w.sizes, dict(zip(formula.params, args, strict=True)))
    return (yield inner.write(formula.body, {}))


FUNCTIONS: dict[str, Callable[[Writer, ast.Call, Env], Written]] = {"sqrt": of_sqrt, "where": of_where}


# ---------------------------------------------------------------- along indices


def along(w: Writer, e: ast.Call, env: Env) -> Written:
    if e.name == "trace":
        return (yield trace(w, e, env))
    if e.name not in ALONG:
        matrix = e.name in words.MATRIX
        repair = "Give its result as an input." if matrix else "Write out what it does to the entries."
        raise w.refused(f"{e.name} along an index has", repair, e.span)
    (argument,) = e.args
    sizes = w.scope.axes[id(argument)]
    inner, limits = w.bound({index.name: sizes[index.name] for index in e.along or ()}, env)
    body = yield w.write(argument, inner)
    shown = (yield w.write(argument, env)) if e.name in words.NORMALISERS else None
    return ALONG[e.name](body, limits, shown)


def trace(w: Writer, e: ast.Call, env: Env) -> Written:
    """Rows and columns are one index that is summed over."""
    rows, columns = (index.name for index in e.along or ())
    inner, limits = w.bound({rows: w.scope.axes[id(e.args[0])][rows]}, env)
    body = yield w.write(e.args[0], {**inner, columns: inner[rows]})
    return sympy.Sum(body, *limits)


def exp_sum(z: Any, limits: list[Any]) -> Any:
    return sympy.Sum(sympy.exp(z), *limits)


def total(x: Any, limits: list[Any], shown: Any) -> Any:
    return sympy.Sum(x, *limits)


def mean(x: Any, limits: list[Any], shown: Any) -> Any:
    return sympy.Sum(x, *limits) / sympy.Mul(*(high + 1 for _, _, high in limits))


def prod(x: Any, limits: list[Any], shown: Any) -> Any:
    return sympy.Product(x, *limits)


def logsumexp(z: Any, limits: list[Any], shown: Any) -> Any:
    return sympy.log(exp_sum(z, limits))


def norm(x: Any, limits: list[Any], shown: Any) -> Any:
    return sympy.sqrt(sympy.Sum(x**2, *limits))


def softmax(z: Any, limits: list[Any], shown: Any) -> Any:
    return sympy.exp(shown) / exp_sum(z, limits)


def log_softmax(z: Any, limits: list[Any], shown: Any) -> Any:
    return sympy.log(softmax(z, limits, shown))


ALONG: dict[str, Callable[[Any, list[Any], Any], Any]] = {
    f.__name__: f for f in (mean, prod, logsumexp, norm, softmax, log_softmax)
} | {"sum": total}

ROWS: dict[type[ast.Expr], Callable[[Writer, Any, Env], Written]] = {
    ast.Number: of_number,
    ast.Tensor: of_tensor,
    ast.Filled: of_filled,
    ast.Extent: of_extent,
    ast.Group: of_group,
    ast.Product: of_product,
    ast.Odot: of_odot,
    ast.Sum: of_sum,
    ast.Power: of_power,
    ast.Compare: of_compare,
    ast.Concat: of_concat,
    ast.Derivative: of_derivative,
    ast.Call: of_call,
}
