"""joined: the blocks of a Hessian by several names as one matrix.

Names that no block couples are solved for apart, each by its own structure; what is coupled is written out, one matrix
for each place along the axes in which all of its blocks are diagonal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays import as_array
from ..errors import EinstanNameError, EinstanShapeError
from . import Structured, systems
from .contracted import Array, Sum, of_term
from .forms import ArrayShape
from .layout import Layout, along

Vectors = Mapping[str, Any]  # an array for each name


class Joined:
    """One matrix of `blocks[a][b]`, the rows of name a and the columns of name b."""

    def __init__(self, blocks: Mapping[str, Mapping[str, Structured]], names: Sequence[str]) -> None:
        self.names, self.blocks = tuple(names), blocks

    @property
    def shapes(self) -> dict[str, ArrayShape]:
        """The shape of the array of each name."""
        return {name: self.blocks[name][name].rows for name in self.names}

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.result_type(*(self.blocks[a][b].dtype for a in self.names for b in self.names))

    def __repr__(self) -> str:
        return "\n".join(f"{a}, {b}: {self.blocks[a][b]!r}" for a in self.names for b in self.names)

    # ------------------------------------------------------------ what it does

    def matvec(self, v: Vectors) -> dict[str, Array]:
        """H v by name."""
        given = self.given(v)
        found = {}
        for a in self.names:
            terms = [self.blocks[a][b].matvec(given[b]) for b in self.names]
            found[a] = sum(terms[1:], start=terms[0])
        return found

    def solve(self, g: Vectors, shift: float = 0.0, definite: bool = False) -> dict[str, Array]:
        """x with (H + shift · identity) x = g, by name. Raises what `Structured.solve` raises."""
        given, shift = self.given(g), systems.multiple(shift)
        found: dict[str, Array] = {}
        for names in self.coupled():
            if len(names) == 1:
                (name,) = names
                found[name] = self.blocks[name][name].solve(given[name], shift, definite)
            else:
                found |= Joined(self.blocks, names).solved_together(given, shift, definite)
        return {name: found[name] for name in self.names}

    def solved_together(self, g: Mapping[str, Array], shift: float, definite: bool) -> dict[str, Array]:
        """The solution over what is written out: a matrix for each place along the axes that all names share."""
        dtype = systems.computed(np.result_type(self.dtype, *g.values()))
        layouts = self.layouts()
        right = [layouts[name].rolled(g[name].astype(dtype)) for name in self.names]
        a = self.written(layouts, dtype)
        np.einsum("tii->ti", a)[...] += dtype.type(shift)
        solve = systems.solved_definite if definite else systems.solved
        x = solve(a, np.concatenate(right, axis=1), systems.precision(self.dtype))
        return {name: layouts[name].unrolled(x[:, own], (1,))[..., 0] for name, own in stretches(layouts)}

    def dense(self) -> Array:
        """The whole as one array of two axes: the entries of the names one after the other."""
        found: Array = self.written({name: Layout(shape, ()) for name, shape in self.shapes.items()}, self.dtype)[0]
        return found

    def written(self, layouts: Mapping[str, Layout], dtype: np.dtype[Any]) -> Array:
        """The blocks side by side, a[t,n,n]."""
        n = sum([own.n for own in layouts.values()])
        a: Array = np.empty((layouts[self.names[0]].t, n, n), dtype)
        for x, rows in stretches(layouts):
            for y, columns in stretches(layouts):
                block, row, column = self.blocks[x][y], layouts[x], layouts[y]
                shape = row.size((*row.batch, *row.free)) + column.size(column.free)
                total = Sum(a[:, rows, columns].reshape(shape))
                for term in block.form.terms:
                    target = along(term.rows, (*row.batch, *row.free)) + along(term.columns, column.free)
                    total.add(*of_term(term, block.blocks), target)
                total.finished()
        return a

    # ------------------------------------------------------------ axes that all names share

    def layouts(self) -> dict[str, Layout]:
        """For each name, its axes along which every block is diagonal, in the order of the first name."""
        first = self.names[0]
        found: dict[str, tuple[int, ...]] = dict.fromkeys(self.names, ())
        for n in sorted(self.blocks[first][first].form.common):
            axes = {}
            for name, shape in self.shapes.items():
                left = [m for m in range(len(shape)) if m not in found[name] and self.tied(first, n, name, m)]
                axes[name] = left[0] if left else None
            if all(self.tied(a, axes[a], b, axes[b]) for a in axes for b in axes):
                found = {name: (*found[name], m) for name, m in axes.items() if m is not None}
        return {name: Layout(shape, found[name]) for name, shape in self.shapes.items()}

    def tied(self, a: str, n: int | None, b: str, m: int | None) -> bool:
        """Whether axis n of name a and axis m of name b are there, and one in all terms of their block."""
        if n is None or m is None or self.shapes[a][n] != self.shapes[b][m]:
            return False
        return all(term.ties(n, m) for term in self.blocks[a][b].form.terms)

    # ------------------------------------------------------------ names

    def coupled(self) -> list[list[str]]:
        """The names in groups that nothing couples."""
        groups: list[list[str]] = []
        for name in self.names:
            met = [group for group in groups if any(self.couples(name, other) for other in group)]
            groups = [group for group in groups if group not in met] + [[*(x for group in met for x in group), name]]
        return groups

    def couples(self, a: str, b: str) -> bool:
        return bool(self.blocks[a][b].form.terms or self.blocks[b][a].form.terms)

    def given(self, v: Vectors) -> dict[str, Array]:
        """The arrays by name, checked."""
        if not isinstance(v, Mapping) or set(v) != set(self.names):
            raise EinstanNameError(f"The names are {', '.join(self.names)}.", "Give an array for each of them.")
        found = {name: as_array(name, v[name]) for name in self.names}
        for name, shape in self.shapes.items():
            if found[name].shape != shape:
                raise EinstanShapeError(f"{name} has the shape {shape}, and the array has {found[name].shape}.")
        return found


def stretches(layouts: Mapping[str, Layout]) -> Iterator[tuple[str, slice]]:
    """Where the rows of each name are."""
    start = 0
    for name, own in layouts.items():
        yield name, slice(start, start + own.n)
        start += own.n


def joined(blocks: Mapping[str, Mapping[str, Structured]], names: Sequence[str]) -> Joined:
    """The Hessian by several names, as a structured kernel gives it, as one matrix."""
    return Joined(blocks, names)
