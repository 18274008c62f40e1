"""flat: arrays by name as one vector, and back; its length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from ..arrays import Array, DType


@dataclass(frozen=True, slots=True)
class Flat:
    """Names with the shapes of their arrays; the vector holds all entries, name after name.

    >>> both = Flat({"W": (2, 3), "c": ()}, np.dtype(float))
    >>> both.vector({"W": np.ones((2, 3)), "c": 5})
    array([1., 1., 1., 1., 1., 1., 5.])
    >>> both.arrays(np.arange(7.0))["c"]
    array(6.)
    """

    shapes: Mapping[str, tuple[int, ...]]
    dtype: DType

    @property
    def size(self) -> int:
        return sum(map(prod, self.shapes.values()))

    def vector(self, arrays: Mapping[str, Any]) -> Array:
        """A new vector."""
        return np.concatenate([np.ravel(arrays[name]) for name in self.shapes], dtype=self.dtype)

    def arrays(self, x: Array) -> dict[str, Array]:
        """Views into the vector."""
        return {name: x[part].reshape(self.shapes[name]) for name, part in self.parts()}

    def parts(self) -> Iterator[tuple[str, slice]]:
        """Where the entries of each name lie."""
        ends = np.cumsum([0, *map(prod, self.shapes.values())]).tolist()
        yield from zip(self.shapes, (slice(*pair) for pair in pairwise(ends)), strict=True)


def length(x: Array) -> float:
    """The Euclidean norm of all entries, where their squares overflow too."""
    most = float(np.abs(x).max(initial=0.0))
    return most * float(np.linalg.norm(x / x.dtype.type(most))) if 0 < most < np.inf else most
