"""spectral: matrices that are sums of Kronecker products of the same symmetric matrices: A ⊗ B, A ⊗ 1 + 1 ⊗ B.

Each has an eigenbasis of its own, and in the product of these bases the whole is diagonal, with any shift.

Source: Golub and Van Loan, Matrix Computations, 12.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from . import systems
from .contracted import Array, Sum, of_term
from .forms import Form, Labels, Term

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Spectral:
    """`groups` of axes, each with its matrix as a term over these axes alone; for every term of the form the groups
    whose matrix it has (on the others it is the identity), and the blocks that are numbers."""

    groups: tuple[Axes, ...]
    matrices: tuple[Term, ...]
    terms: tuple[tuple[tuple[int, ...], Labels], ...]


@lru_cache(maxsize=1024)
def spectral(form: Form) -> Spectral | None:
    """The form as a sum of Kronecker products, if each part of the axes has one matrix, and there are two parts."""
    if not form.square:
        return None
    found = [pieces(term) for term in form.terms]
    groups = sorted({axes for matrices, _ in found for axes in matrices})
    every = range(len(form.rows))
    if len(groups) < 2 or sorted(n for axes in groups for n in axes) != list(every):
        return None
    for term, (own, _) in zip(form.terms, found, strict=True):
        if not term.tied.union(*own) >= set(every):
            return None
    matrices: dict[Axes, Term] = {}
    for own, _ in found:
        if any(matrices.setdefault(axes, term) != term for axes, term in own.items()):
            return None
    terms = tuple([(tuple([groups.index(axes) for axes in own]), numbers) for own, numbers in found])
    return Spectral(tuple(groups), tuple([matrices[axes] for axes in groups]), terms)


def pieces(term: Term) -> tuple[dict[Axes, Term], Labels]:
    """A term as a product of matrices on axes of their own, and of blocks that are numbers."""
    linked: list[tuple[set[int], list[int]]] = []
    for k, own in enumerate(term.labels):
        met = [piece for piece in linked if piece[0] & set(own)]
        labels = set(own).union(*(piece[0] for piece in met))
        labels.update(x for pair in zip(term.rows, term.columns, strict=True) if labels & set(pair) for x in pair)
        linked = [piece for piece in linked if piece not in met]
        linked.append((labels, sorted([k, *(j for piece in met for j in piece[1])])))
    found: dict[Axes, Term] = {}
    numbers: list[int] = []
    for labels, places in linked:
        axes = tuple([n for n, x in enumerate(term.rows) if x in labels])
        if axes:
            found[axes] = on_axes(term, axes, places)
        else:
            numbers += [term.blocks[k] for k in places]
    return found, tuple(numbers)


def on_axes(term: Term, axes: Axes, places: Sequence[int]) -> Term:
    """Some of the blocks as a matrix over some of the axes, its labels numbered as they come."""
    rows, columns = (tuple([own[n] for n in axes]) for own in (term.rows, term.columns))
    labels = [term.labels[k] for k in places]
    number = {x: n for n, x in enumerate(dict.fromkeys((*rows, *columns, *(x for own in labels for x in own))))}
    named = [tuple([number[x] for x in own]) for own in (rows, columns, *labels)]
    return Term(tuple([term.blocks[k] for k in places]), tuple(named[2:]), named[0], named[1])


# ---------------------------------------------------------------- solving


def solved(
    found: Spectral, form: Form, blocks: Sequence[Array], shift: float, definite: bool, g: Array, eps: float
) -> Array | None:
    """x with (H + shift·1) x = g for g[rows.., m]; None where a matrix is not symmetric. `eps` is the rounding error of
    its entries."""
    sizes = [prod([form.rows[n] for n in axes]) for axes in found.groups]
    bases, values = [], []
    for term, axes, n in zip(found.matrices, found.groups, sizes, strict=True):
        shape = tuple([form.rows[a] for a in axes])
        total = Sum(np.empty(2 * shape, g.dtype))
        total.add(*of_term(term, blocks), term.rows + term.columns)
        a = total.finished().reshape(n, n)
        systems.check_finite(a)
        if a.dtype.kind == "c" or not systems.is_symmetric(a, eps):
            return None
        value, basis = np.linalg.eigh(a)
        bases.append(basis)
        values.append(value)
    order = [n for axes in found.groups for n in axes]
    x = g.transpose([*order, len(order)]).reshape(*sizes, -1)
    spectrum = spectrum_of(found, blocks, values, g.dtype) + g.dtype.type(shift)
    x = in_bases(x, [basis.T for basis in bases])
    x = in_bases(quotient(x, spectrum, definite, eps), bases)
    moved = x.reshape([g.shape[n] for n in [*order, len(order)]])
    return moved.transpose(np.argsort([*order, len(order)]))


def in_bases(x: Array, matrices: Sequence[Array]) -> Array:
    """Each matrix times the axis that it is for."""
    for n, a in enumerate(matrices):
        x = np.moveaxis(np.tensordot(a, x, (1, n)), 0, n)
    return x


def spectrum_of(found: Spectral, blocks: Sequence[Array], values: Sequence[Array], dtype: np.dtype[Any]) -> Array:
    """The eigenvalues of the whole, an axis for each group."""
    shape = tuple([value.size for value in values])
    total = np.zeros(shape, dtype)
    for own, numbers in found.terms:
        factor = np.prod([blocks[k] for k in numbers], initial=1.0)
        factors = [values[k].reshape([-1 if n == k else 1 for n in range(len(shape))]) for k in own]
        total += dtype.type(factor) * prod(factors, start=np.ones((), dtype))
    return total


def quotient(x: Array, spectrum: Array, definite: bool, eps: float) -> Array:
    """x divided by the eigenvalues. Raises Singular or NotPositiveDefinite where one is zero to working precision."""
    least = systems.SAFE * eps * np.abs(spectrum).max(initial=0.0)
    if definite and not (spectrum > least).all():
        raise systems.not_definite("an eigenvalue is zero or negative")
    if not (np.abs(spectrum) > least).all():
        raise systems.singular("an eigenvalue is zero")
    return x / spectrum[..., None]
