"""rates: how fast a machine is, as numbers: what one operation of numpy costs, and curves by size.

An operation costs its call, each further row (an inner loop over entries that lie evenly apart), each further entry.
Curves are points (x, y) with x increasing, read by interpolation on logarithmic scales. All numbers are finite and
positive. Rates are of one dtype.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Any, Final, NamedTuple

from ..backends.numpy import OPS

Curve = tuple[tuple[float, float], ...]

# of bytes: bytes a second that entrywise operations move, and that a product with a vector reads; seconds an entry more
# for an array crossed the long way, by strides of any length and by multiples of ALIAS bytes; of flops: flops a second
CURVES: Final = frozenset({"moved", "read", "crossed", "aliased", "product"})
# seconds: of a view; of walking over arrays that do not lie alike; of one more product in a batch; of a multiply-add
# where no library multiplies; of an entry of a matrix in an order that it does not take; of a cast from or to float16
NUMBERS: Final = frozenset({"view", "iterator", "each", "naive", "scattered", "half"})
NEEDED: Final = frozenset({"add", "multiply", "copy", "dot", "matmul"})  # operations that all rates have
ALIAS: Final = 1024  # bytes: strides of multiples of it fall on few lines of a cache
LARGEST: Final = 1e30


class Cost(NamedTuple):
    """Seconds of a call, of each further row, of each further entry."""

    call: float
    row: float
    entry: float


@dataclass(frozen=True, slots=True)
class Rates:
    """What a machine does, for arrays of one dtype: costs by operation, curves, numbers."""

    costs: Mapping[str, Cost]
    curves: Mapping[str, Curve]
    numbers: Mapping[str, float]

    def cost(self, op: str) -> Cost:
        """Of an operation; one that was not measured counts as a multiplication."""
        return self.costs.get(op) or self.costs["multiply"]

    def at(self, curve: str, x: float) -> float:
        return at(self.curves[curve], x)

    def plain(self) -> dict[str, Any]:
        """As lists and numbers, for a file."""
        return {"costs": self.costs, "curves": self.curves, "numbers": self.numbers}


def at(curve: Curve, x: float) -> float:
    """The value between two points of a curve; beyond its ends that of the end.

    >>> at(((1.0, 10.0), (100.0, 1000.0)), 10)
    100.0
    """
    if x <= curve[0][0]:
        return curve[0][1]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x <= x1:
            return float(y0 * (y1 / y0) ** (log(x / x0) / log(x1 / x0)))
    return curve[-1][1]


def read_rates(given: Any) -> Rates | None:
    """Rates from what a file holds; None for anything else."""
    match given:
        case {"costs": dict(costs), "curves": dict(curves), "numbers": dict(numbers)}:
            pass
        case _:
            return None
    fits = set(costs) <= set(OPS) and costs.keys() >= NEEDED and set(curves) == CURVES and set(numbers) == NUMBERS
    if not fits or not all(map(is_cost, costs.values())) or not all(map(is_curve, curves.values())):
        return None
    if not all(map(is_rate, numbers.values())):
        return None
    return Rates(
        {op: Cost(*map(float, own)) for op, own in costs.items()},
        {name: tuple((float(x), float(y)) for x, y in own) for name, own in curves.items()},
        {name: float(x) for name, x in numbers.items()},
    )


def is_rate(x: Any) -> bool:
    """A number that a measurement gives: positive, finite."""
    return isinstance(x, int | float) and not isinstance(x, bool) and 0 < x < LARGEST


def is_cost(own: Any) -> bool:
    return isinstance(own, list) and len(own) == 3 and all(map(is_rate, own))


def is_curve(own: Any) -> bool:
    if not isinstance(own, list) or not own:
        return False
    if not all(isinstance(point, list) and len(point) == 2 and all(map(is_rate, point)) for point in own):
        return False
    return all(a[0] < b[0] for a, b in pairwise(own))


# ---------------------------------------------------------------- a machine that there is not

DEARER: Final = {  # entries of these cost so many multiplications
    **dict.fromkeys(("exp", "log", "sqrt", "reciprocal"), 2),
    **dict.fromkeys(("log1p", "expm1", "sinh", "cosh", "tanh", "asin", "acos", "atan", "tan"), 4),
    **dict.fromkeys(("sin", "cos", "pow", "power", "logaddexp", "prod"), 8),
    **dict.fromkeys(("erf", "erfc"), 180),
}


def typical(op: str) -> Cost:
    """As many passes as the text of the operation has calls of numpy."""
    passes = max(1, OPS[op].helper.count("np."))
    return Cost(0.5e-6 * passes, 15e-9 * passes, 0.5e-9 * (passes - 1 + DEARER.get(op, 1)))


# The same on every machine: for what is decided when a plan is made, which is to be the same plan everywhere.
TYPICAL: Final = Rates(
    {op: typical(op) for op in OPS},
    {
        "moved": ((1e5, 6e10), (2e6, 4e10), (4e6, 2.4e10), (2.4e7, 2e10)),
        "read": ((1e5, 6e10), (2e6, 5e10), (8e6, 3e10)),
        "crossed": ((5e4, 4e-10), (1e6, 5e-10), (1.6e7, 1e-9)),
        "aliased": ((1e6, 1e-9), (4e6, 3e-9), (1.6e7, 6e-9)),
        "product": ((1e3, 1e10), (8e3, 5e10), (6e4, 7e10), (4e6, 7e10), (2e8, 1.1e11)),
    },
    {"view": 3e-7, "iterator": 5e-7, "each": 5e-8, "naive": 2.5e-9, "scattered": 2e-9, "half": 2e-9},
)
