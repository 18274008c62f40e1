"""forms: what a structured matrix is without its numbers: a sum of products of blocks, each with its labels.

A Term is Σ Π blocks over the labels that its matrix axes lack. A label on a row axis and a column axis is a delta, one
that no block carries a repetition: `H[i,k,l] δ[i,j]` with the rows (i,k) and the columns (j,l) is one block with the
labels (0,1,2), rows (0,1), columns (0,2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import count
from math import prod
from typing import Final, NamedTuple

Labels = tuple[int, ...]
ArrayShape = tuple[int, ...]

LETTERS: Final = "ijklmnpqrstuvwxyz"


@dataclass(frozen=True)
class Term:
    """`blocks` are numbers of arrays, `labels` those of their axes, `rows` and `columns` those of the matrix."""

    blocks: tuple[int, ...]
    labels: tuple[Labels, ...]
    rows: Labels
    columns: Labels

    @cached_property
    def carried(self) -> frozenset[int]:
        """The labels that blocks have."""
        return frozenset(x for own in self.labels for x in own)

    @cached_property
    def summed(self) -> frozenset[int]:
        return self.carried - {*self.rows, *self.columns}

    @cached_property
    def tied(self) -> frozenset[int]:
        """The axes n on which row n and column n are the same label, which is on no other axis."""
        return frozenset(n for n in range(min(len(self.rows), len(self.columns))) if self.ties(n, n))

    def ties(self, n: int, m: int) -> bool:
        """Whether row axis n and column axis m are the same label, which is on no other axis."""
        label = self.rows[n]
        return label == self.columns[m] and self.rows.count(label) == self.columns.count(label) == 1

    @property
    def deltas(self) -> frozenset[int]:
        """The labels that rows and columns share."""
        return frozenset(self.rows) & frozenset(self.columns)

    def without(self, axes: frozenset[int]) -> Term:
        """The term of a matrix that lacks these axes, which no block carries."""
        return Term(self.blocks, self.labels, left(self.rows, axes), left(self.columns, axes))


@dataclass(frozen=True)
class Form:
    """The sizes of the rows and the columns, the terms, and the shapes of the blocks.

    `letters` are what the axes of rows and columns are called in `pattern`.
    """

    rows: ArrayShape
    columns: ArrayShape
    terms: tuple[Term, ...]
    shapes: tuple[ArrayShape, ...]
    letters: tuple[str, ...] = ()

    @property
    def square(self) -> bool:
        return self.rows == self.columns

    @cached_property
    def common(self) -> frozenset[int]:
        """The axes along which every term is diagonal: the matrix is a block for each place on them."""
        every = frozenset(range(len(self.rows))) if self.square else frozenset[int]()
        return every.intersection(*(term.tied for term in self.terms))

    @cached_property
    def idle(self) -> frozenset[int]:
        """Those of them along which all blocks are the same."""
        return frozenset(n for n in self.common if all(term.rows[n] not in term.carried for term in self.terms))

    def sizes(self, term: Term) -> dict[int, int]:
        """The size of every label of a term."""
        found = dict(zip(term.rows + term.columns, self.rows + self.columns, strict=True))
        for number, own in zip(term.blocks, term.labels, strict=True):
            found.update(zip(own, self.shapes[number], strict=True))
        return found

    def without(self, axes: frozenset[int]) -> Form:
        """The form of one of the blocks that are the same along these axes."""
        rows, terms = left(self.rows, axes), tuple([term.without(axes) for term in self.terms])
        return Form(rows, left(self.columns, axes), terms, self.shapes)

    def of(self, terms: Sequence[Term]) -> Form:
        """The same with some of the terms."""
        return Form(self.rows, self.columns, tuple(terms), self.shapes)

    # ------------------------------------------------------------ texts

    @cached_property
    def pattern(self) -> str:
        """The matrix in the notation, blocks called H, or H0, H1, ..."""
        letters = self.letters or tuple(LETTERS[: len(self.rows + self.columns)])
        return " + ".join(written(self, term, letters) for term in self.terms) or "0"


def left(items: tuple[int, ...], axes: frozenset[int]) -> tuple[int, ...]:
    """The items of the axes that stay."""
    return tuple([item for n, item in enumerate(items) if n not in axes])


# ---------------------------------------------------------------- low rank


class Sides(NamedTuple):
    """A term as B D C: places (in `term.blocks`) of the blocks that have labels of rows, of neither, of columns; the
    labels that B shares with the rest, whose sizes multiply to the `rank`. `symmetric`: C is B, D is diagonal."""

    left: tuple[int, ...]
    middle: tuple[int, ...]
    right: tuple[int, ...]
    link: Labels
    rank: int
    symmetric: bool


@lru_cache(maxsize=1024)
def sides(form: Form, term: Term, common: frozenset[int]) -> Sides | None:
    """The term, within the blocks along the common axes, as a product of what has rows and what has columns."""
    batch = {term.rows[n] for n in common}
    if term.tied != common or term.deltas != batch or repeats(term.rows) or repeats(term.columns):
        return None
    high, low = set(term.rows) - batch, set(term.columns) - batch
    has_rows = [not high.isdisjoint(own) for own in term.labels]
    has_columns = [not low.isdisjoint(own) for own in term.labels]
    if any(a and b for a, b in zip(has_rows, has_columns, strict=True)):
        return None
    left_, right = places(has_rows), places(has_columns)
    middle = tuple([k for k in range(len(term.blocks)) if k not in left_ and k not in right])
    beyond = {x for k in middle + right for x in term.labels[k]}
    link = tuple(sorted({x for k in left_ for x in term.labels[k]} & beyond & term.summed))
    sizes = form.sizes(term)
    rank = prod([sizes[x] for x in link])
    return Sides(left_, middle, right, link, rank, is_symmetric(term, left_, middle, right, link))


def places(chosen: Sequence[bool]) -> tuple[int, ...]:
    return tuple([k for k, is_ in enumerate(chosen) if is_])


def repeats(labels: Labels) -> bool:
    return len(set(labels)) < len(labels)


def is_symmetric(term: Term, left_: Labels, middle: Labels, right: Labels, link: Labels) -> bool:
    """Whether the right side is the left one on the columns, and what stands between only weighs the link."""
    batch = term.deltas
    turned = dict(zip(term.rows, term.columns, strict=False))
    if {x for k in left_ for x in term.labels[k]} & term.summed != set(link):
        return False
    if any(not set(term.labels[k]) <= batch.union(link) for k in middle):
        return False
    mirrored = [(term.blocks[k], tuple([turned.get(x, x) for x in term.labels[k]])) for k in left_]
    return sorted(mirrored) == sorted((term.blocks[k], term.labels[k]) for k in right)


def low_rank(form: Form, common: frozenset[int]) -> tuple[list[Term], list[Term]] | None:
    """The terms that are tied along the common axes alone, each of low rank, and the others; None where the first are
    not of low rank together."""
    low = [term for term in form.terms if term.tied == common]
    split = [sides(form, term, common) for term in low]
    rows, columns = (prod([d for n, d in enumerate(own) if n not in common]) for own in (form.rows, form.columns))
    rank = sum([rows * columns if s is None else s.rank for s in split])
    if not low or rank * (rows + columns) > rows * columns:
        return None
    return low, [term for term in form.terms if term.tied != common]


# ---------------------------------------------------------------- the notation


def written(form: Form, term: Term, letters: Sequence[str]) -> str:
    """A term as a product of the notation: `H[i,k,l] delta[i,j]`."""
    axes = list(zip(term.rows + term.columns, letters, strict=True))
    called: dict[int, str] = {}
    deltas = []
    for label, letter in axes:
        if called.setdefault(label, letter) != letter:
            deltas.append(f"delta[{called[label]},{letter}]")
    called.update(zip(sorted(term.summed), fresh_capitals(letters), strict=False))
    factors = [
        indexed(name(form, number), [called[x] for x in own])
        for number, own in zip(term.blocks, term.labels, strict=True)
    ]
    seen = Counter(label for label, _ in axes)
    alone = [called[x] for x in seen if seen[x] == 1 and x not in term.carried]
    return " ".join([*factors, *deltas, *(f"1[{letter}]" for letter in alone)])


def name(form: Form, number: int) -> str:
    return "H" if len(form.shapes) == 1 else f"H{number}"


def indexed(called: str, letters: Sequence[str]) -> str:
    return f"{called}[{','.join(letters)}]" if letters else called


def fresh_capitals(letters: Sequence[str]) -> Iterator[str]:
    """Capital letters for what is summed, of which none is a letter of an axis in lower case."""
    taken = {letter.lower() for letter in letters}
    yield from (x.upper() for x in "abcdefghijklmnopqrstuvwxyz" if x not in taken)
    yield from (f"A{n}" for n in count())
