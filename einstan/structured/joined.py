"""joined: the blocks of a Hessian by several names as one matrix.

Names that no block couples are solved for apart, each by its own structure; what is coupled is written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import EinstanNameError, EinstanShapeError
from . import Structured, systems
from .contracted import Array
from .forms import ArrayShape

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
        given = self.given(g)
        found: dict[str, Array] = {}
        for names in self.coupled():
            if len(names) == 1:
                (name,) = names
                found[name] = self.blocks[name][name].solve(given[name], shift, definite)
            else:
                found |= Joined(self.blocks, names).solved_dense(given, shift, definite)
        return {name: found[name] for name in self.names}

    def solved_dense(self, g: Mapping[str, Array], shift: float, definite: bool) -> dict[str, Array]:
        right = np.concatenate([g[name].reshape(-1) for name in self.names])
        dtype = systems.computed(np.result_type(self.dtype, right))
        a = self.dense().astype(dtype, copy=False)
        np.einsum("ii->i", a)[...] += dtype.type(shift)
        solve = systems.solved_definite if definite else systems.solved
        return self.split(solve(a, right.astype(dtype, copy=False)[:, None])[:, 0])

    def dense(self) -> Array:
        """The whole as one array of two axes: the entries of the names one after the other."""
        sizes = [prod(shape) for shape in self.shapes.values()]
        out = np.empty((sum(sizes), sum(sizes)), self.dtype)
        for a, rows in self.stretches():
            for b, columns in self.stretches():
                block = self.blocks[a][b]
                block.write(out[rows, columns].reshape(block.shape))
        return out

    # ------------------------------------------------------------ names

    def stretches(self) -> Iterator[tuple[str, slice]]:
        """Where the entries of each name are."""
        start = 0
        for name, shape in self.shapes.items():
            yield name, slice(start, start + prod(shape))
            start += prod(shape)

    def split(self, x: Array) -> dict[str, Array]:
        """The entries of all names, by name."""
        return {name: x[own].reshape(self.shapes[name]) for name, own in self.stretches()}

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
        if set(v) != set(self.names):
            raise EinstanNameError(f"The names are {', '.join(self.names)}.", "Give an array for each of them.")
        found = {name: np.asarray(v[name]) for name in self.names}
        for name, shape in self.shapes.items():
            if found[name].shape != shape:
                raise EinstanShapeError(f"{name} has the shape {shape}, and the array has {found[name].shape}.")
        return found


def joined(blocks: Mapping[str, Mapping[str, Structured]], names: Sequence[str]) -> Joined:
    """The Hessian by several names, as a structured kernel gives it, as one matrix."""
    return Joined(blocks, names)
