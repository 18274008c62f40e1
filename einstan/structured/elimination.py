"""elimination: (H + shift·1) x = g by the structure of H.

Along axes that all terms are diagonal in, each block is solved for by itself; along axes where all blocks are the same,
what differs is the right side alone. In a block, terms of low rank are eliminated after the others (Woodbury, with a
signed square root of what stands in the middle, so that the small system says whether the matrix is definite).

Source: Hager, Updating the inverse of a matrix, SIAM Review 31, 1989.

Letters: t places along common axes, n rows of a block, m right sides, r the rank, B D C a term of low rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import sqrt
from typing import Any, Final, NamedTuple

import numpy as np

from ..errors import EinstanError
from ..memory import most_bytes
from ..show.amounts import amount
from . import systems
from .contracted import Array, Sum, aligned, multiplied, of_term, product
from .forms import Form, Labels, Sides, Term, low_rank, sides
from .layout import Layout, along
from .spectral import solved, spectral
from .systems import NotPositiveDefinite, Singular

REFINED: Final = 3  # corrections of a solution by its residual
INSTEAD: Final = 1 << 28  # bytes that are written out where low rank does not help
LITTLE: Final = 1 << 24  # bytes that are there
ROUNDING: Final = 1e3  # rounding errors of the terms that a residual may consist of


@dataclass(frozen=True)
class System:
    """The matrix of a form and its blocks, plus a multiple of the identity. `definite` asks that it be symmetric and
    positive definite."""

    form: Form
    blocks: Sequence[Array]
    shift: float
    definite: bool

    def solve(self, g: Array) -> Array:
        """x, of the shape of g: the axes of the rows, then any others. Raises Singular or NotPositiveDefinite."""
        idle = sorted(self.form.idle)
        if idle:
            ends = range(g.ndim - len(idle), g.ndim)
            inner = System(self.form.without(self.form.idle), self.blocks, self.shift, self.definite)
            return np.moveaxis(inner.solve(np.moveaxis(g, idle, ends)), ends, idle)
        if not self.layout.free:
            d = self.written(g.dtype) + g.dtype.type(self.shift)
            return systems.divided(g, d.reshape(d.shape + (1,) * (g.ndim - d.ndim)), self.definite)
        return self.by_blocks(g)

    def by_blocks(self, g: Array) -> Array:
        """The solution where each place along the common axes has a block of its own."""
        found = low_rank(self.form, self.form.common)
        if found is None:
            return self.by_eigenvalues(g)
        low, rest = found
        if not rest and not self.shift:
            rank = sum([s.rank for s in map(self.sides, low)])
            raise self.refused(f"its rank is {rank} at most, and it has {self.layout.n} rows")
        x = Update(self, low, rest).solve(g)
        if x is None and self.bytes(g) > INSTEAD:
            raise self.refused("its terms of low rank can't be split off")
        return self.dense(g) if x is None else x

    def by_eigenvalues(self, g: Array) -> Array:
        """The solution where that is a sum of Kronecker products of the same symmetric matrices, else over blocks."""
        found = spectral(self.form) if not self.layout.batch else None
        x = None
        if found is not None:
            right = g.reshape(*self.form.rows, -1)
            x = solved(found, self.form, self.blocks, self.shift, self.definite, right, self.eps)
        return self.dense(g) if x is None else x.reshape(g.shape)

    def refused(self, why: str) -> EinstanError:
        return systems.not_definite(why) if self.definite else systems.singular(why)

    # ------------------------------------------------------------ blocks written out

    @property
    def eps(self) -> float:
        """The rounding error of an entry."""
        return systems.precision(np.result_type(*self.blocks))

    @cached_property
    def layout(self) -> Layout:
        return Layout(self.form.rows, tuple(sorted(self.form.common)))

    def sides(self, term: Term) -> Sides:
        found = sides(self.form, term, self.form.common)
        assert found is not None, "our bug: a term of low rank has no sides"
        return found

    def written(self, dtype: np.dtype[Any]) -> Array:
        """The blocks: the common axes, then those of the rows, then those of the columns."""
        batch, free = self.layout.batch, self.layout.free
        total = Sum(np.empty(self.layout.size((*batch, *free, *free)), dtype))
        for term in self.form.terms:
            target = along(term.rows, (*batch, *free)) + along(term.columns, free)
            total.add(*of_term(term, self.blocks), target)
        return total.finished()

    def bytes(self, g: Array) -> int:
        """What the blocks take."""
        return self.layout.t * self.layout.n**2 * g.itemsize

    def fits(self, g: Array) -> bool:
        """Whether there is room for the blocks; little is not asked for."""
        needed = self.bytes(g)
        return needed < LITTLE or needed <= (most_bytes(None) or needed)

    def dense(self, g: Array) -> Array:
        """The solution over blocks that are written out."""
        if not self.fits(g):
            raise EinstanError(
                f"Its blocks written out take {amount(self.bytes(g), 'B')}, more than there is.",
                "Use matvec in an iterative method.",
            )
        a = self.written(g.dtype).reshape(self.layout.t, self.layout.n, self.layout.n)
        np.einsum("tii->ti", a)[...] += a.dtype.type(self.shift)
        solve = systems.solved_definite if self.definite else systems.solved
        return self.layout.unrolled(solve(a, self.layout.rolled(g), self.eps), g.shape[len(self.form.rows) :])


# ---------------------------------------------------------------- low rank


@dataclass(frozen=True)
class Update:
    """A system as S + B Σ C with Σ = ±1: the terms `rest` and the shift are S, the terms `low` the others."""

    system: System
    low: Sequence[Term]
    rest: Sequence[Term]

    def solve(self, g: Array) -> Array | None:
        """x = S⁻¹ g - S⁻¹ B (Σ + C S⁻¹ B)⁻¹ C S⁻¹ g, corrected by its residual; None where S has no inverse, or where
        that is not accurate. Raises Singular or NotPositiveDefinite where that is seen."""
        system, layout = self.system, self.system.layout
        start = g.reshape(*system.form.rows, -1)
        m = start.shape[-1]
        parts = [Part.of(system, term, g.dtype) for term in self.low]
        if system.definite and not all(part.symmetric for part in parts):
            return None
        left, right, signs = (np.concatenate([part[k] for part in parts], axis=-1) for k in range(3))
        both = self.of_rest(np.concatenate([start, left], axis=-1), signs)
        if both is None:
            return None
        grown, c = layout.rolled(both[..., m:]), layout.rolled(right).swapaxes(-1, -2)
        inner = Inner.of(c, grown, signs, system.eps)
        if system.definite:
            inner.check_inertia(signs)

        def updated(y: Array) -> Array:
            rolled = layout.rolled(y)
            return layout.unrolled(rolled - grown @ inner.solve(c @ rolled), y.shape[-1:])

        x = updated(both[..., :m])
        for _ in range(REFINED):
            residual, accurate = self.residual(start, x)
            if accurate:
                return x.reshape(g.shape)
            more = self.of_rest(residual, signs)
            x = x if more is None else x + updated(more)
        return None

    def of_rest(self, g: Array, signs: Array) -> Array | None:
        """S⁻¹ g; None where S is singular, or is not definite and the whole may be."""
        system = self.system
        try:
            return System(system.form.of(self.rest), system.blocks, system.shift, system.definite).solve(g)
        except Singular:
            return None
        except NotPositiveDefinite:
            if (signs < 0).all():  # the whole is less than S
                raise
            return None

    def residual(self, g: Array, x: Array) -> tuple[Array, bool]:
        """g - (H + shift) x, and whether all of it may be rounding errors of its terms."""
        form, axes = self.system.form, tuple(range(len(self.system.form.rows)))
        found = g - g.dtype.type(self.system.shift) * x
        size = np.abs(g).max(axis=axes) + abs(self.system.shift) * np.abs(x).max(axis=axes)
        for term in form.terms:
            y = multiplied(form, term, self.system.blocks, x)
            found -= y
            size += np.abs(y).max(axis=axes)
        if not np.isfinite(g).all():
            return found, True
        return found, bool((np.abs(found).max(axis=axes) <= ROUNDING * np.finfo(g.dtype).eps * size).all())


class Part(NamedTuple):
    """A term of low rank as B Σ C: left[rows.., r], right[columns.., r], signs[t,r]."""

    left: Array
    right: Array
    signs: Array
    symmetric: bool

    @staticmethod
    def of(system: System, term: Term, dtype: np.dtype[Any]) -> Part:
        s = system.sides(term)
        sizes = system.form.sizes(term)
        batch = system.layout.batch

        def table(places: Sequence[int], labels: Labels) -> Array:
            """The product of some blocks, an axis for each label; the link is the last."""
            factors = [(system.blocks[term.blocks[k]], term.labels[k]) for k in places]
            shape = [sizes[x] for x in labels] + [s.rank]
            every = labels + s.link
            if not factors:
                return np.ones(shape, dtype)
            own = tuple([x for x in every if any(x in labels for _, labels in factors)])
            wide = np.broadcast_to(aligned(product(factors, own), own, every), [sizes[x] for x in every])
            return wide.reshape(shape).astype(dtype, copy=False)

        if not s.symmetric or dtype.kind == "c":
            signs = np.ones((system.layout.t, s.rank), dtype)
            return Part(table(s.left, term.rows), table(s.middle + s.right, term.columns), signs, False)
        weights = table(s.middle, along(term.rows, batch))
        weight = np.sqrt(np.abs(weights))
        index = [slice(None) if n in batch else None for n in range(len(term.rows))]
        left = table(s.left, term.rows) * weight[(*index, ...)]
        return Part(left, left, np.where(weights < 0, -1, 1).astype(dtype).reshape(system.layout.t, s.rank), True)


@dataclass(frozen=True)
class Inner:
    """Σ + C S⁻¹ B, rows and columns multiplied by `scale`, with which the summands of its diagonal have sizes near 1:
    what is left of them is nothing but their rounding errors where it is small."""

    matrix: Array
    scale: Array
    error: float  # the part of an entry that may be rounding: sums of n terms have about √n

    @staticmethod
    def of(c: Array, grown: Array, signs: Array, eps: float) -> Inner:
        size = 1 + np.einsum("trn,tnr->tr", np.abs(c), np.abs(grown))
        systems.check_finite(size)
        scale = systems.powers(size)
        matrix = c @ grown
        np.einsum("trr->tr", matrix)[...] += signs
        error = eps * (systems.SAFE + 4 * sqrt(grown.shape[1]))
        return Inner(matrix * scale[:, :, None] * scale[:, None, :], scale, error)

    def solve(self, g: Array) -> Array:
        """Raises Singular where there is no inverse."""
        if not self.matrix.size:
            return g
        sizes = np.maximum(np.abs(self.matrix), np.eye(self.matrix.shape[-1], dtype=self.scale.dtype))
        x = systems.solved_safely(
            partial(systems.eliminated, self.matrix), sizes, g * self.scale[..., None], self.error
        )
        return x * self.scale[..., None]

    def check_inertia(self, signs: Array) -> None:
        """Raises NotPositiveDefinite unless S + B Σ Bᵀ is positive definite, as S is: this has as many negative
        eigenvalues as Σ then, by Sylvester's law of inertia, and none that is zero."""
        values = np.linalg.eigvalsh(self.matrix)
        margin = self.error * np.abs(values).max(axis=-1, initial=1.0)[:, None]
        below, above = (values < -margin).sum(axis=-1), (values > margin).sum(axis=-1)
        if (below < (signs < 0).sum(axis=-1)).any() or (above < (signs > 0).sum(axis=-1)).any():
            raise systems.not_definite("its terms of low rank take away what the others have")
