"""contracted: terms as arrays: contractions of their blocks, written along the diagonals that their labels name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..contractions.contraction import contraction
from .forms import Form, Labels, Term

Array = np.ndarray[Any, Any]
Factor = tuple[Array, Labels]


def product(factors: Sequence[Factor], out: Labels) -> Array:
    """The product of arrays summed over the labels that are not in `out`, each of which is in some factor; a fresh
    array."""
    dtype = np.result_type(*(a for a, _ in factors))
    arrays = [a.astype(dtype, copy=False) for a, _ in factors]
    number = {x: n for n, x in enumerate(dict.fromkeys(x for _, own in factors for x in own))}
    terms = tuple([tuple([number[x] for x in own]) for _, own in factors])
    job = contraction(terms, tuple([number[x] for x in out]), tuple([a.shape for a in arrays]), dtype)
    return job.compute(arrays)


def distinct(labels: Labels) -> Labels:
    return tuple(dict.fromkeys(labels))


def diagonal(a: Array, labels: Labels) -> Array:
    """The view of an array in which labels are equal, with an axis for each that differs."""
    own = distinct(labels)
    if own == labels:
        return a
    strides = [sum(s for s, x in zip(a.strides, labels, strict=True) if x == y) for y in own]
    return as_strided(a, [a.shape[labels.index(x)] for x in own], strides)


def aligned(a: Array, own: Labels, order: Labels) -> Array:
    """The array with its axes in this order, of size 1 for a label that it lacks."""
    moved = a.transpose([own.index(x) for x in order if x in own])
    return moved[tuple([slice(None) if x in own else None for x in order])]


class Sum:
    """Arrays added on diagonals of one, whatever that held before.

    The first of them is written, not added: into all entries, or among zeros.

    >>> total = Sum(np.empty((2, 2)))
    >>> total.add(np.array([1.0, 2.0]), (0,), (0, 0))
    >>> total.finished()
    array([[1., 0.],
           [0., 2.]])
    """

    def __init__(self, out: Array) -> None:
        self.out, self.untouched = out, True

    def add(self, value: Array, own: Labels, labels: Labels) -> None:
        """Add an array whose axes have the labels `own` where the sum's axes have `labels`."""
        place = diagonal(self.out, labels)
        if not self.untouched:
            place += aligned(value, own, distinct(labels))
            return
        if place is not self.out:
            self.out[...] = 0
        np.copyto(place, aligned(value, own, distinct(labels)))
        self.untouched = False

    def finished(self) -> Array:
        """The sum."""
        if self.untouched:
            self.out[...] = 0
        return self.out


# ---------------------------------------------------------------- terms


def of_term(term: Term, blocks: Sequence[Array]) -> tuple[Array, Labels]:
    """The product of a term's blocks, an axis for each label of the matrix that they carry; and those labels."""
    factors = [(blocks[number], own) for number, own in zip(term.blocks, term.labels, strict=True)]
    own = tuple([x for x in distinct(term.rows + term.columns) if x in term.carried])
    if len(factors) == 1 and len(set(factors[0][1])) == len(factors[0][1]) == len(own):
        return factors[0]
    return product(factors, own), own


def multiplied(form: Form, term: Term, blocks: Sequence[Array], v: Array) -> Array:
    """A term times v, whose axes are those of the columns, then any others."""
    more = tuple([-1 - n for n in range(v.ndim - len(form.columns))])
    factors = [(blocks[number], own) for number, own in zip(term.blocks, term.labels, strict=True)]
    carried = term.carried.union(term.columns)
    own = (*[x for x in distinct(term.rows) if x in carried], *more)
    found = product([*factors, (v, (*term.columns, *more))], own)
    rows = (*term.rows, *more)
    if rows == own:
        return found
    total = Sum(np.empty(form.rows + v.shape[len(form.columns) :], found.dtype))
    total.add(found, own, rows)
    return total.finished()
