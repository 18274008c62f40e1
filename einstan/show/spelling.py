"""spelling: small pieces of formulas: names with axes, powers, numbers, and the brackets that a place asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from ..syntax import ast, words

HALF = Fraction(1, 2)

Shown = dict[int, frozenset[str]]  # the index letters that each expression shows, by id


def with_axes(name: str, axes: Sequence[str]) -> str:
    """`X[b,k]`; a scalar is its name alone."""
    return f"{name}[{','.join(axes)}]" if axes else name


def raised(base: ast.Expr, q: Fraction) -> ast.Expr:
    if q == 1:
        return base
    if q == HALF:
        return ast.Call("sqrt", (base,))
    top, bottom = decimal(q)
    exponent: ast.Expr = ast.Number(top)
    if bottom != 1:
        exponent = ast.Group(ast.Product((exponent, ast.Number(bottom)), (False, True)))
    return ast.Power(bracket_trace(bracket_chain(base)), exponent)


def decimal(q: Fraction) -> tuple[Fraction, Fraction]:
    """(top, bottom) with q = top / bottom as it is best written: 1/2, 3/7, but 0.001."""
    if q.denominator <= 9 or strip(strip(q.denominator, 2), 5) != 1:
        return Fraction(q.numerator), Fraction(q.denominator)
    return q, Fraction(1)


def strip(n: int, prime: int) -> int:
    while n % prime == 0:
        n //= prime
    return n


def bracket_sum(expr: ast.Expr) -> ast.Expr:
    return ast.Group(expr) if isinstance(expr, ast.Sum | ast.Compare | ast.Odot) else expr


def bracket_compare(expr: ast.Expr) -> ast.Expr:
    return ast.Group(expr) if isinstance(expr, ast.Compare) else expr


def bracket_product(expr: ast.Expr) -> ast.Expr:
    return ast.Group(expr) if isinstance(expr, ast.Product) else bracket_sum(expr)


def bracket_trace(expr: ast.Expr) -> ast.Expr:
    """(B[K,K])^2: a power of the sum, where B[K,K]^2 could be read as a sum of powers."""
    traced = len(set(names := occurrences(expr))) < len(names) if isinstance(expr, ast.Tensor) else False
    return ast.Group(expr) if traced else expr


def bracket_chain(expr: ast.Expr) -> ast.Expr:
    return ast.Group(expr) if isinstance(expr, ast.Product | ast.Power | ast.Derivative) else bracket_sum(expr)


def occurrences(expr: ast.Expr) -> list[str]:
    """The index letters that an expression shows as a factor, one for each place."""
    if isinstance(expr, ast.Tensor | ast.Filled):
        return [index.name for index in expr.indices or ()]
    if isinstance(expr, ast.Derivative):
        return [x for tensor in (expr.numerator, *expr.denominators) for x in occurrences(tensor)]
    return sorted(shown(expr))


def shown(root: ast.Expr) -> frozenset[str]:
    """The index letters that are free or open in an expression that stands alone."""
    return shown_below(root)[id(root)]


def shown_below(root: ast.Expr) -> Shown:
    """The same for every expression below, by id."""
    found: Shown = {}
    for e in ast.postorder(root):
        rule = SHOWN.get(type(e))
        found[id(e)] = union_of(e, found) if rule is None else rule(e, found)
    return found


def union_of(e: ast.Expr, found: Shown) -> frozenset[str]:
    return frozenset[str]().union(*(found[id(c)] for c in e.children))


def shown_by_leaf(e: ast.Expr, found: Shown) -> frozenset[str]:
    names = occurrences(e)
    return frozenset(x for x in names if x[0].islower() or names.count(x) == 1)


def shown_by_product(e: ast.Product, found: Shown) -> frozenset[str]:
    """A capital in two places is summed."""
    names: list[str] = []
    for factor in e.factors:
        leaf = isinstance(factor, ast.Tensor | ast.Filled | ast.Derivative)
        names.extend(occurrences(factor) if leaf else sorted(found[id(factor)]))
    return frozenset(x for x in names if x[0].islower() or names.count(x) == 1)


def shown_by_call(e: ast.Call, found: Shown) -> frozenset[str]:
    """Reduced letters vanish, those of a softmax stay, those of an unknown function are new and its capitals go in."""
    along, below = frozenset(index.name for index in e.along or ()), union_of(e, found)
    if e.name in words.FUNCTIONS or e.along is None:
        return below - e.gone
    return frozenset(x for x in below if x[0].islower()) | along


SHOWN: dict[type[ast.Expr], Callable[[Any, Shown], frozenset[str]]] = {
    ast.Tensor: shown_by_leaf,
    ast.Filled: shown_by_leaf,
    ast.Derivative: shown_by_leaf,
    ast.Product: shown_by_product,
    ast.Call: shown_by_call,
    ast.Concat: lambda e, found: union_of(e, found) | {e.index.name},
}
