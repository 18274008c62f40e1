"""terms: a line of a derivation as a sum of products of opened factors, and what is done to one.

A term is coef · Σ over bound letters of its factors / those below. At most one factor is a Slope, the derivative that
is still to be taken. Laws of this module keep the value of the line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ..show.text import show_expr
from ..syntax import ast
from ..syntax.ast import Call, Expr, Filled, Number, Product, Sum, Tensor
from .letters import Letters, every_letter, indices, letters_of, renamed
from .nodes import Slope

ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Term:
    """coef Σ_bound Π factors / Π below."""

    factors: tuple[Expr, ...]
    below: tuple[Expr, ...] = ()
    bound: tuple[str, ...] = ()
    coef: Fraction = ONE

    @property
    def slope(self) -> int | None:
        """The place of the derivative that is still to be taken."""
        return next((n for n, f in enumerate(self.factors) if isinstance(f, Slope)), None)

    def taken(self) -> Slope:
        assert self.slope is not None, "our bug: this term has no derivative to take"
        found = self.factors[self.slope]
        assert isinstance(found, Slope)
        return found

    @property
    def rest(self) -> tuple[Expr, ...]:
        """All factors but the derivative."""
        return (*(f for f in self.factors if not isinstance(f, Slope)), *self.below)

    def over(self, change: Callable[[Expr], Expr]) -> Term:
        """The term with every factor changed."""
        return replace(self, factors=tuple(map(change, self.factors)), below=tuple(map(change, self.below)))


Line = tuple[Term, ...]


def delta(a: str, b: str) -> Tensor:
    return Tensor("delta", indices((a, b)))


def is_delta(e: Expr) -> bool:
    return isinstance(e, Tensor) and e.name == "delta" and len(e.indices or ()) == 2


def product(*factors: Expr) -> Expr:
    return factors[0] if len(factors) == 1 else Product(factors, (False,) * len(factors))


def quotient(above: Expr, below: Expr) -> Expr:
    return Product((above, below), (False, True))


def minus(a: Expr, b: Expr) -> Expr:
    return Sum((a, b), (1, -1))


# ---------------------------------------------------------------- products


def merged(term: Term, piece: Term, letters: Letters) -> Term:
    """The term with the piece in the place of its derivative; sums of the piece get letters that are free there."""
    n = term.slope
    assert n is not None
    around = every_letter(term.rest) | {x.lower() for x in term.bound}
    piece = renamed_term(piece, {x: letters.next(x) for x in piece.bound if x.lower() in around})
    return Term(
        (*term.factors[:n], *piece.factors, *term.factors[n + 1 :]),
        (*term.below, *piece.below),
        (*term.bound, *piece.bound),
        term.coef * piece.coef,
    )


def renamed_term(term: Term, table: dict[str, str]) -> Term:
    if not table:
        return term
    return replace(term.over(lambda f: renamed(f, table)), bound=tuple(table.get(x, x) for x in term.bound))


def flattened(term: Term, letters: Letters) -> Term:
    """Numbers in the coefficient, products and sums over indices among the factors opened."""
    above: list[Expr] = []
    below: list[Expr] = []
    bound, coef = list(term.bound), term.coef
    waiting = [(f, True) for f in reversed(term.below)] + [(f, False) for f in reversed(term.factors)]
    while waiting:
        f, over = waiting.pop()
        value = number_of(f)
        if value is not None and (value or not over):
            coef = coef / value if over else coef * value
        elif isinstance(f, Product):
            pairs = zip(reversed(f.factors), reversed(f.divides), strict=True)
            waiting += [(x, divides != over) for x, divides in pairs]
        elif isinstance(f, Sum) and len(f.terms) == 1:
            coef *= f.signs[0]
            waiting.append((f.terms[0], over))
        elif isinstance(f, Call) and f.name == "sum" and not over:
            others = every_letter([*above, *below, *(x for x, _ in waiting)]) | {x.lower() for x in bound}
            table = {x: letters.next(x) for x in letters_of(f.along) if x.lower() in others}
            bound += [table.get(x, x) for x in letters_of(f.along)]
            waiting.append((renamed(f.args[0], table), False))
        else:
            (below if over else above).append(f)
    return without_ones(Term(tuple(above), tuple(below), tuple(bound), coef))


def without_ones(term: Term) -> Term:
    """1[k] is left out where another factor has k, or k is free."""
    kept: list[Expr] = []
    for n, f in enumerate(term.factors):
        if isinstance(f, Filled) and f.value == 1:
            others = every_letter([*kept, *term.factors[n + 1 :], *term.below])
            f = Filled(1, tuple(i for i in f.indices if i.name in term.bound and i.name.lower() not in others))
            if not f.indices:
                continue
        kept.append(f)
    return replace(term, factors=tuple(kept))


def flat_factors(e: Expr) -> list[tuple[Expr, bool]]:
    """The factors of a product of products, each with whether it divides."""
    found: list[tuple[Expr, bool]] = []
    waiting = [(e, False)]
    while waiting:
        f, over = waiting.pop()
        if isinstance(f, Product):
            pairs = zip(reversed(f.factors), reversed(f.divides), strict=True)
            waiting += [(x, divides != over) for x, divides in pairs]
        else:
            found.append((f, over))
    return found


def number_of(e: Expr) -> Fraction | None:
    """The number that an expression is, written as a number, a sign or a quotient of numbers."""
    if isinstance(e, Number):
        return e.value
    if isinstance(e, Sum) and len(e.terms) == 1 and isinstance(e.terms[0], Number | Product):
        inner = number_of(e.terms[0])
        return None if inner is None else inner * e.signs[0]
    if isinstance(e, Product) and all(isinstance(f, Number) for f in e.factors):
        value = ONE
        for f, over in zip(e.factors, e.divides, strict=True):
            assert isinstance(f, Number)
            if over and not f.value:
                return None
            value = value / f.value if over else value * f.value
        return value
    return None


# ---------------------------------------------------------------- deltas


def first_delta(line: Line) -> tuple[str, str] | None:
    """The letters of the first delta with which a sum can be taken: (the letter that goes, the one that stays)."""
    for term in line:
        for f in term.factors:
            pair = removable(f, term)
            if pair is not None:
                return pair
    return None


def removable(f: Expr, term: Term) -> tuple[str, str] | None:
    if not (isinstance(f, Tensor) and is_delta(f)):
        return None
    a, b = letters_of(f.indices)
    if a in term.bound:
        return a, b
    return (b, a) if b in term.bound else None


def without_delta(term: Term, gone: str, stays: str) -> Term:
    """Σ_k δ[k,i] x[k] = x[i]; a term without this delta stays as it is."""
    for n, f in enumerate(term.factors):
        pair = removable(f, term)
        if pair is not None and (pair == (gone, stays) or (pair == (stays, gone) and gone in term.bound)):
            left = replace(term, factors=(*term.factors[:n], *term.factors[n + 1 :]))
            left = renamed_term(left, {gone: stays})
            kept = tuple(dict.fromkeys(x for x in left.bound if x != stays or stays in term.bound))
            return without_ones(replace(left, bound=kept))
    return term


def multiplied_out(term: Term, letters: Letters) -> Line:
    """The first difference with a delta in it as two terms: y (δ - p) is y δ - y p."""
    for n, f in enumerate(term.factors):
        if isinstance(f, Sum) and any(delta_within(t, term) for t in f.terms):
            found = []
            for t, sign in zip(f.terms, f.signs, strict=True):
                factors = (*term.factors[:n], t, *term.factors[n + 1 :])
                found.append(flattened(replace(term, factors=factors, coef=term.coef * sign), letters))
            return tuple(found)
    return (term,)


def delta_within(t: Expr, term: Term) -> bool:
    parts: Sequence[Expr] = t.factors if isinstance(t, Product) else (t,)
    return any(removable(f, term) is not None for f in parts)


# ---------------------------------------------------------------- equal terms


def collected(line: Line) -> Line:
    """Terms of coefficient 0 left out, equal ones added."""
    found: dict[object, Term] = {}
    for term in line:
        key = term_key(term)
        before = found.get(key)
        found[key] = term if before is None else replace(before, coef=before.coef + term.coef)
    return tuple(t for t in found.values() if t.coef)


def term_key(term: Term) -> object:
    """What is the same for terms that are equal up to the letters of their sums and the order of factors."""
    table = {x: f"?{n}" for n, x in enumerate(term.bound)}
    return (
        len(term.bound),
        tuple(sorted(text_key(renamed(f, table)) for f in term.factors)),
        tuple(sorted(text_key(renamed(f, table)) for f in term.below)),
    )


def text_key(e: Expr) -> str:
    return show_expr(ast.Group(e.numerator)) + "/∂" if isinstance(e, Slope) else show_expr(e)
