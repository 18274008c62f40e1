"""layout: the axes of rows as places along some of them, and rows of a block along the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from .contracted import Array
from .forms import ArrayShape, Labels


@dataclass(frozen=True)
class Layout:
    """An array of `shape`, then any other axes, as x[t,n,m]: t places along the axes `batch`, n along the others of
    the shape, m along the rest.

    >>> Layout((2, 3, 5), (1,)).rolled(np.zeros((2, 3, 5, 7))).shape
    (3, 10, 7)
    """

    shape: ArrayShape
    batch: tuple[int, ...]

    @cached_property
    def free(self) -> tuple[int, ...]:
        return tuple([axis for axis in range(len(self.shape)) if axis not in self.batch])

    @property
    def t(self) -> int:
        return prod(self.size(self.batch))

    @property
    def n(self) -> int:
        return prod(self.size(self.free))

    def size(self, axes: Sequence[int]) -> ArrayShape:
        return tuple([self.shape[axis] for axis in axes])

    def rolled(self, g: Array) -> Array:
        """x[t,n,m]"""
        order = self.order(g.ndim)
        return g.transpose(order).reshape(self.t, self.n, prod(g.shape[len(self.shape) :]))

    def unrolled(self, x: Array, more: ArrayShape) -> Array:
        """The array whose `rolled` is x, with these sizes of other axes."""
        order = self.order(len(self.shape) + len(more))
        sizes = self.shape + more
        return x.reshape([sizes[axis] for axis in order]).transpose(np.argsort(order))

    def order(self, rank: int) -> list[int]:
        return [*self.batch, *self.free, *range(len(self.shape), rank)]


def along(labels: Labels, axes: Sequence[int]) -> Labels:
    return tuple([labels[axis] for axis in axes])
