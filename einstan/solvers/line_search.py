"""line_search: how far to go in a direction: backtracking, with care where rounding hides the descent.

*Nocedal, Wright, Numerical Optimization, 2006, algorithm 3.1; Hager, Zhang, SIAM J. Optim. 16, 2005, section 3.*
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import Unsolvable

ARMIJO: Final = 1e-4  # of the descent that the slope promises, so much is asked for
LEAST, MOST = 0.1, 0.5  # of the last step, the next one is so much
TRIALS: Final = 60
VISIBLE: Final = 100  # roundings from which on a change is seen


class Point(NamedTuple):
    """Where the search is: x, the value that is to fall there, the vector that is to vanish, and its norm."""

    x: Array
    value: float
    vector: Array
    norm: float

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.value) and np.isfinite(self.norm))

    @property
    def rounding(self) -> float:
        """What of the value may be rounding."""
        return float(VISIBLE * np.finfo(self.x.dtype).eps * abs(self.value))


class Direction(NamedTuple):
    """A step, the slope of the value along it, the shift of the Hessian that it was found with, whether that Hessian
    vouches for a minimum near, or is against one, and what of the norm of the vector may be rounding all the same."""

    step: Array
    slope: float
    shift: float = 0.0
    vouches: bool = False
    against: bool = False
    noise: float = 0.0


class Found(NamedTuple):
    point: Point
    step: float


def search(at: Callable[[Array], Point], start: Point, way: Direction) -> Found | None:
    """The first of ever shorter steps after which the value has fallen enough; None if there is none."""
    t = 1.0
    for _ in range(TRIALS):
        trial = tried(at, start.x + start.x.dtype.type(t) * way.step)
        if trial.finite and (falls(start, trial, t * way.slope) or settles(start, trial, t * way.slope)):
            return Found(trial, t)
        if is_rounding(start, way, t):
            return None
        t *= shorter(start, trial, t * way.slope)
    return None


def tried(at: Callable[[Array], Point], x: Array) -> Point:
    """The point at x; where a matrix has no inverse there, or is not positive definite, nothing of it is finite."""
    try:
        return at(x)
    except Unsolvable:
        return Point(x, np.nan, np.full_like(x, np.nan), np.nan)


def falls(start: Point, trial: Point, promised: float) -> bool:
    """Armijo's condition: the value falls by a part of what the slope promises."""
    return trial.value <= start.value + ARMIJO * promised and trial.value < start.value


def settles(start: Point, trial: Point, promised: float) -> bool:
    """Near the minimum values differ by less than they are computed to; the gradient still tells: its norm falls."""
    hidden = float(np.sqrt(np.finfo(start.x.dtype).eps)) * abs(start.value)
    return max(-promised, abs(trial.value - start.value)) <= hidden and trial.norm < start.norm


def is_rounding(start: Point, way: Direction, t: float = 1.0) -> bool:
    """Whether the step changes neither the value nor x by more than rounding."""
    moved = t * np.abs(way.step).max(initial=0.0)
    least = VISIBLE * np.finfo(start.x.dtype).eps * np.abs(start.x).max(initial=0.0)
    return bool(-t * way.slope <= start.rounding or moved <= least)


def shorter(start: Point, trial: Point, promised: float) -> float:
    """The part of a step at which the parabola through what is known has its lowest point, within bounds."""
    rise = trial.value - start.value - promised
    if not np.isfinite(rise) or rise <= 0:
        return LEAST if not np.isfinite(rise) else MOST
    return float(np.clip(-promised / (2 * rise), LEAST, MOST))
