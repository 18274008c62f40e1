"""equations: names of a program as a system F(x) = 0 of one vector: F, ½ |F|², the Jacobian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Array
from ..errors import EinstanDerivativeError, EinstanShapeError
from ..kernel import Kernel
from .flat import Flat, length
from .given import Given
from .line_search import Point

if TYPE_CHECKING:
    from ..programs import Program


class Equations:
    """All entries of `ofs` as functions of what varies; `values` is the kernel of F."""

    def __init__(
        self,
        program: Program,
        ofs: Sequence[str],
        values: Kernel,
        given: Given,
        start: Array,
        options: Mapping[str, Any],
    ) -> None:
        self.program, self.values, self.given, self.options = program, values, given, options
        self.flat = given.flat
        found = self.found(start)
        self.outputs = Flat({of: found[of].shape for of in ofs}, self.flat.dtype)
        self.require_square()
        self.nfev = self.njev = 0

    def found(self, x: Array) -> dict[str, Array]:
        """The arrays of F."""
        arrays: dict[str, Array] = self.values(self.given.arguments(self.values, x))
        for name, a in arrays.items():
            if a.dtype.kind == "c":
                raise EinstanDerivativeError(f"{name} is complex.", "Give real and imaginary parts as two names.")
        return arrays

    def require_square(self) -> None:
        """As many equations as unknowns."""
        equations, unknowns = self.outputs.size, self.flat.size
        if equations != unknowns:
            least = "S = F[I] F[I]" if equations > unknowns else "S = F[I] F[I] + 0.01 x[J] x[J]"
            raise EinstanShapeError(
                f"There are {equations} equations for {unknowns} unknowns.",
                f"Minimise the sum of their squares, such as {least}, with es.newton.",
            )

    def at(self, x: Array) -> Point:
        self.nfev += 1
        f = self.outputs.vector(self.found(x))
        norm = length(f)
        return Point(x, norm * norm / 2, f, norm)

    @cached_property
    def slopes(self) -> dict[str, Kernel]:
        """A kernel of the Jacobian for each name of F."""
        names = list(self.flat.shapes)
        return {of: self.program.jacobian(of, names).compile(**self.options) for of in self.outputs.shapes}

    def jacobian(self, x: Array) -> Array:
        """A row for each equation, a column for each unknown."""
        self.njev += 1
        found = np.empty((self.outputs.size, self.flat.size), self.flat.dtype)
        for of, rows in self.outputs.parts():
            blocks = self.slopes[of](self.given.arguments(self.slopes[of], x))
            for name, columns in self.flat.parts():
                place = found[rows, columns]
                place[...] = blocks[name].reshape(place.shape)
        return found
