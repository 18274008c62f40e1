"""drafts: a formula in which one place is written anew; everything beside the way from there to the top is kept.

What is kept is the same object, so values that were found for it stay known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..show.spelling import shown
from ..syntax.ast import (
    Call,
    Compare,
    Concat,
    Derivative,
    Expr,
    Filled,
    Group,
    Index,
    Number,
    Odot,
    Power,
    Product,
    Sum,
    Tensor,
)

Piece = Expr | Index


@dataclass(frozen=True, slots=True)
class Draft:
    """A formula, and what stands directly above each of its pieces, by id."""

    root: Expr
    pieces: tuple[Piece, ...]
    above: Mapping[int, Expr]

    @staticmethod
    def of(root: Expr) -> Draft:
        """Pieces in reading order, what is above first."""
        pieces: list[Piece] = []
        above: dict[int, Expr] = {}
        waiting: list[Piece] = [root]
        while waiting:
            piece = waiting.pop()
            pieces.append(piece)
            if isinstance(piece, Expr):
                own = below(piece)
                above.update((id(x), piece) for x in own)
                waiting += reversed(own)
        return Draft(root, tuple(pieces), above)

    def put(self, old: Piece, new: Piece) -> Expr:
        """The formula with `new` in the place of `old`; what is left has no brackets around all of it."""
        while (parent := self.above.get(id(old))) is not None:
            old, new = parent, with_piece(parent, old, new)
        assert isinstance(new, Expr)
        return new.body if isinstance(new, Group) and not isinstance(self.root, Group) else new

    def parent(self, piece: Piece) -> Expr | None:
        return self.above.get(id(piece))

    def nodes(self) -> Iterator[Expr]:
        """The expressions, without what stands below ∂."""
        for piece in self.pieces:
            if isinstance(piece, Expr) and not isinstance(self.parent(piece), Derivative):
                yield piece

    def terms(self) -> Iterator[Expr]:
        """Where one more factor may stand: products, and what stands without factors."""
        return (e for e in self.nodes() if is_term(e, self.parent(e)))

    def owner(self, index: Index) -> Expr:
        """The tensor, derivative or function that shows an index."""
        e = self.above[id(index)]
        over = self.parent(e)
        return over if isinstance(over, Derivative) else e


def is_term(e: Expr, parent: Expr | None) -> bool:
    if isinstance(e, Product):
        return True
    if isinstance(e, Sum):
        return len(e.terms) > 1 and (parent is None or isinstance(parent, Call))
    if isinstance(e, Group):
        return not isinstance(parent, Product | Power | Group | Odot)
    return not isinstance(parent, Product | Power | Compare)


BELOW: Mapping[type[Piece], tuple[str, ...]] = {
    Tensor: ("indices",),
    Filled: ("indices",),
    Call: ("along", "args"),
    Product: ("factors",),
    Odot: ("factors",),
    Sum: ("terms",),
    Power: ("base", "exponent"),
    Compare: ("left", "right"),
    Concat: ("parts", "index"),
    Group: ("body",),
    Derivative: ("numerator", "denominators"),
}
"""What holds the pieces of each kind of node."""


def below(e: Piece) -> list[Piece]:
    """Operands, denominators and indices, in reading order."""
    found: list[Piece] = []
    for field in BELOW.get(type(e), ()):
        value = getattr(e, field)
        found += value if isinstance(value, tuple) else [value] if value is not None else []
    return found


def with_piece(e: Expr, old: Piece, new: Piece) -> Expr:
    for field in BELOW[type(e)]:
        value = getattr(e, field)
        if value is old:
            return replace(e, **{field: new})
        if isinstance(value, tuple) and any(x is old for x in value):
            return replace(e, **{field: tuple(new if x is old else x for x in value)})
    raise AssertionError("a piece stands below its parent; this is a bug of einstan")


# ---------------------------------------------------------------- new pieces


def times(e: Expr, factor: Expr, over: bool = False, order: Sequence[str] = ()) -> Expr:
    """`e factor`, or `e / factor`: tensors in the order of these letters, functions last, then what is divided by."""
    whole = e if isinstance(e, Product) else Product((grouped(e),), (False,), e.span)
    end = (*whole.divides, True).index(True)
    place = first_place(factor, order)
    later = (n for n in range(end) if first_place(whole.factors[n], order) > place)
    at = len(whole.factors) if over else next(later, end)
    factors, divides = list(whole.factors), list(whole.divides)
    factors.insert(at, factor)
    divides.insert(at, over)
    return replace(whole, factors=tuple(factors), divides=tuple(divides))


def first_place(e: Expr, order: Sequence[str]) -> float:
    """The place of the first of these letters that a name shows; ∂L/∂X stands before others, functions after all."""
    own = shown(e)
    place = next((n for n, letter in enumerate(order) if letter in own), -1)
    if isinstance(e, Derivative) and isinstance(e.numerator, Tensor) and not e.numerator.indices:
        return place - 0.5
    return place if isinstance(e, Tensor | Number) else len(order)


def multiple(e: Expr, number: Expr, over: bool = False) -> Expr:
    """`2 e`: numbers come first."""
    if over:
        return times(e, number, over)
    if isinstance(e, Product):
        return replace(e, factors=(number, *e.factors), divides=(False, *e.divides))
    return Product((number, grouped(e)), (False, False), e.span)


def grouped(e: Expr) -> Expr:
    return Group(e, e.span) if isinstance(e, Sum | Odot | Compare) else e


def without_factor(e: Product | Odot, n: int) -> Expr:
    factors = (*e.factors[:n], *e.factors[n + 1 :])
    if isinstance(e, Odot):
        return replace(e, factors=factors) if len(factors) > 1 else factors[0]
    divides = (*e.divides[:n], *e.divides[n + 1 :])
    return factors[0] if divides == (False,) else replace(e, factors=factors, divides=divides)


def summed(e: Sum, terms: tuple[Expr, ...], signs: tuple[int, ...]) -> Expr:
    """A sum of these; a single one stands for itself."""
    return terms[0] if signs == (1,) else replace(e, terms=terms, signs=signs)


def negative(e: Expr) -> Expr:
    """`-e`; of `-e`, e, and of `-(e)`."""
    if isinstance(e, Sum) and e.signs == (-1,):
        (term,) = e.terms
        return term.body if isinstance(term, Group) else term
    return Sum((Group(e, e.span) if isinstance(e, Sum) else e,), (-1,), e.span)


def renamed(root: Expr, letters: Mapping[str, str]) -> Expr:
    """The formula with other letters for its indices."""
    pieces = Draft.of(root).pieces
    found = [x for x in pieces if isinstance(x, Index) and x.name in letters]
    return rebuilt(pieces, {id(x): replace(x, name=letters[x.name]) for x in found})


def rebuilt(pieces: Sequence[Piece], changes: Mapping[int, Piece]) -> Expr:
    """The formula of these pieces with others in the places of some, by id."""
    done: dict[int, Piece] = {}
    for piece in reversed(pieces):
        done[id(piece)] = changes.get(id(piece)) or with_pieces(piece, done)
    root = done[id(pieces[0])]
    assert isinstance(root, Expr)
    return root


def with_pieces(e: Piece, done: Mapping[int, Piece]) -> Piece:
    """`e` with what became of its pieces; itself where nothing changed."""
    changed: dict[str, Any] = {}
    for field in BELOW.get(type(e), ()):
        value = getattr(e, field)
        if isinstance(value, tuple):
            new = tuple(done[id(x)] for x in value)
            if any(x is not y for x, y in zip(value, new, strict=True)):
                changed[field] = new
        elif value is not None and done[id(value)] is not value:
            changed[field] = done[id(value)]
    return replace(e, **changed) if changed else e
