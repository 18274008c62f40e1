"""instances: what unknown functions are at random, the same function wherever it stands, all derivatives consistent.

In floats f(x) is Σ_r C[r] sin(A[r] · x + b[r]) over all entries x that f takes in: entry by entry, row-wise or of whole
tensors alike. Every derivative is the same sum with the phase moved by π/2 and a factor A; it vanishes at no order, as
that of a polynomial would, of which f(x + 1) - 2 f(x) + f(x - 1) = f''(x) is true.

Modulo a prime the function and each of its derivatives have a random value at every argument: what holds then holds for
all functions, since a smooth function may have any derivatives at finitely many points. Only their order is immaterial:
f''[j,k,l] is f''[j,l,k].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from math import pi, prod
from typing import Any

import numpy as np

from .values import Array, Numbers

MOST = 24  # waves of one function


def seed_of(*words: Any) -> int:
    """The same number in every process."""
    return int.from_bytes(blake2b(repr(words).encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a call: what rides along, what is new, what is seen of each argument."""

    lead: tuple[int, ...]
    new: tuple[int, ...]
    seen: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(args: Sequence[Array], lead: int, new: tuple[int, ...]) -> Shape:
        return Shape(args[0].shape[1 : 1 + lead], new, tuple(x.shape[1 + lead :] for x in args))

    @property
    def counts(self) -> list[int]:
        return list(map(prod, self.seen))

    def result(self, slots: Sequence[int]) -> tuple[int, ...]:
        return (*self.lead, *self.new, *(d for k in slots for d in self.seen[k]))


def flattened(args: Sequence[Array], lead: int) -> list[Array]:
    """Each argument with two axes after the lane: what rides along, what is seen."""
    return [x.reshape(len(x), prod(x.shape[1 : 1 + lead]), prod(x.shape[1 + lead :])) for x in args]


def waves(
    numbers: Numbers,
    exactly: Callable[[Array], Array],
    name: str,
    lead: int,
    new: tuple[int, ...],
    slots: Sequence[int],
    args: Sequence[Array],
    seed: int,
) -> Array:
    """f, or its derivative in `slots`, at `args`; `exactly` takes an array of plain floats into the numbers."""
    shape = Shape.of(args, lead, new)
    count = min(MOST, sum(shape.counts) + 2)
    rng = np.random.default_rng(seed_of(seed, name, shape.new, shape.seen))
    height = exactly(rng.standard_normal((prod(new), count)))
    slope = [exactly(rng.standard_normal((count, n)) / np.sqrt(max(n, 1))) for n in shape.counts]
    phase = rng.uniform(0, 2 * pi, count) + len(slots) * pi / 2
    rows = prod(shape.lead)
    t = [np.broadcast_to(exactly(phase)[:, None], (len(args[0]), rows, count))]
    t += [
        numbers.contracted([(x, (0, 2)), (a, (1, 2))], (0, 1))
        for x, a in zip(flattened(args, lead), slope, strict=True)
    ]
    wave = numbers.applied("sin", [numbers.combined([(Fraction(1), x) for x in t])])
    labels: tuple[int, ...] = (0, 1)
    for n, k in enumerate(slots):
        wave = numbers.contracted([(wave, labels), (slope[k], (1, 3 + n))], (*labels, 3 + n))
        labels = (*labels, 3 + n)
    out = (0, 2, *labels[2:])
    return numbers.contracted([(wave, labels), (height, (2, 1))], out).reshape(len(args[0]), *shape.result(slots))


def codes(shape: Shape, slots: Sequence[int]) -> Array:
    """A number for each entry of a derivative, the same for entries that differ in the order of differentiation."""
    counts = shape.counts
    grid = np.indices((prod(shape.new), *(counts[k] for k in slots)), dtype=np.int64)
    for k in set(slots):
        own = [n + 1 for n, slot in enumerate(slots) if slot == k]
        grid[own] = np.sort(grid[own], axis=0)
    code: Array = grid[0]
    for axis, k in zip(grid[1:], slots, strict=True):
        code = code * max(counts[k], 1) + axis
    return code.reshape(shape.new + tuple(d for k in slots for d in shape.seen[k]))
