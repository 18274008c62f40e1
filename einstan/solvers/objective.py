"""objective: a scalar of a program as a function of one vector: value, gradient, Hessian, products with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..arrays import Array
from ..errors import EinstanDerivativeError
from ..kernel import Kernel
from ..memory import most_bytes, read_bytes
from ..show.amounts import amount
from ..structured import Structured
from ..structured.elimination import System
from ..structured.forms import low_rank
from ..structured.joined import Joined, joined
from .flat import Flat, length
from .given import Given, fresh_inputs
from .line_search import Point

if TYPE_CHECKING:
    from ..programs import Program

FACTORS: Final = 2  # of what is solved with: the sum with the shift, and its Cholesky factor


class Objective:
    """`of` as a function of what varies; `slopes` is the kernel of value and gradient, the others are made when they
    are needed, with the same options."""

    def __init__(self, program: Program, of: str, slopes: Kernel, given: Given, options: Mapping[str, Any]) -> None:
        self.program, self.of, self.slopes, self.given, self.options = program, of, slopes, given, options
        self.flat, self.names = given.flat, list(given.flat.shapes)
        self.nfev = self.nhev = 0
        self.last: tuple[Array, Joined] | None = None

    def at(self, x: Array) -> Point:
        """Value and gradient, by one kernel."""
        self.nfev += 1
        value, slopes = self.slopes(self.given.arguments(self.slopes, x))
        if value.dtype.kind == "c":
            raise EinstanDerivativeError(f"{self.of} is complex, and has no minimum.", "Minimise a real number.")
        g = self.flat.vector(slopes)
        return Point(x, float(value), g, length(g))

    # ------------------------------------------------------------ the Hessian

    @cached_property
    def curvatures(self) -> Kernel:
        derived = self.program.hessian(self.of, self.names)
        return derived.compile(structured=True, sizes=self.given.sizes, **self.options)

    def unfit(self, x: Array) -> str:
        """Why the Hessian can't be computed, or solved with; empty where it can be."""
        limit = most_bytes(read_bytes(self.options.get("memory_limit")))
        taken = self.curvatures.cost.peak_bytes
        if limit is None or (taken <= limit and (taken := taken + solving_bytes(self.hessian(x))) <= limit):
            return ""
        return f"the Hessian takes {amount(taken, 'B')}, and the limit is {amount(limit, 'B')}"

    def hessian(self, x: Array) -> Joined:
        """By its structure; that of the last x is kept."""
        if self.last is None or self.last[0] is not x:
            self.nhev += 1
            self.last = None  # one at a time in memory
            self.last = x, joined(self.curvatures(self.given.arguments(self.curvatures, x)), self.names)
        return self.last[1]

    def curvature(self, x: Array) -> Curved:
        """The same between vectors."""
        return Curved(self.flat, self.hessian(x))

    @cached_property
    def written(self) -> Kernel:
        return self.program.hessian(self.of, self.names).compile(**self.options)

    def matrix(self, x: Array) -> Array:
        """The Hessian written out, its blocks side by side, and symmetric to the last digit."""
        self.nhev += 1
        blocks = self.written(self.given.arguments(self.written, x))
        found = np.empty((self.flat.size, self.flat.size), self.flat.dtype)
        for a, rows in self.flat.parts():
            for b, columns in self.flat.parts():
                place = found[rows, columns]
                place[...] = blocks[a][b].reshape(place.shape)
        return (found + found.T) / 2

    # ------------------------------------------------------------ products with it

    @cached_property
    def vectors(self) -> dict[str, str]:
        """What the vectors of a product are called."""
        return fresh_inputs(self.program, self.names)

    @cached_property
    def products(self) -> Kernel:
        return self.program.hvp(self.of, self.names, self.vectors).compile(**self.options)

    def product(self, x: Array, v: Array) -> Array:
        """H(x) v."""
        self.nhev += 1
        vectors = {self.vectors[name]: part for name, part in self.flat.arrays(v).items()}
        return self.flat.vector(self.products(self.given.arguments(self.products, x, vectors)))


@dataclass(frozen=True, slots=True)
class Curved:
    """The Hessian as a matrix between flat vectors."""

    flat: Flat
    matrix: Joined

    def solve(self, g: Array, shift: float) -> Array:
        return self.flat.vector(self.matrix.solve(self.flat.arrays(g), shift, definite=True))

    def product(self, v: Array) -> Array:
        return self.flat.vector(self.matrix.matvec(self.flat.arrays(v)))


def solving_bytes(h: Joined) -> int:
    """What a solution takes, beside the Hessian."""
    sizes = {name: prod(shape) for name, shape in h.shapes.items()}
    groups = [names for names in h.coupled() if len(names) > 1]
    apart = [h.blocks[name][name] for names in h.coupled() if len(names) == 1 for name in names]
    written = [sum(sizes[name] for name in names) ** 2 * h.dtype.itemsize for names in groups]
    return FACTORS * (sum(written) + sum(map(eliminated_bytes, apart)))


def eliminated_bytes(block: Structured) -> int:
    """What is written out to be eliminated: blocks, or what they are low rank of."""
    form = block.form.without(block.form.idle)
    if low_rank(form, form.common) is not None:
        return block.nbytes
    return System(form, block.blocks, 0.0, definite=True).bytes(np.empty(0, block.dtype))
