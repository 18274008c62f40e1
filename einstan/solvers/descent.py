"""descent: the loop of Newton's method, and why it ends.

The same for a minimum, where the vector that is to vanish is the gradient, and for a root, where it is F and the value
that falls is ½ |F|².
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from typing import Final, NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import Unsolvable
from .flat import length
from .line_search import Direction, Found, Point, is_rounding, search
from .results import Progress, Record
from .spectrum import NotFinite

FAR: Final = 1e20  # times the start, or 1: an entry of x beyond it, and there is no minimum on the way
STEADY: Final = 0.95  # of the step before; a search whose steps do not shrink does not come to an end
SEEN: Final = 4  # such steps in a row


class Status(IntEnum):
    """Why the search ended."""

    CONVERGED = 0
    ROUNDING = 1
    ITERATIONS = 2
    NO_DESCENT = 3
    NOT_FINITE = 4
    DIVERGES = 5

    @property
    def success(self) -> bool:
        return self in (Status.CONVERGED, Status.ROUNDING)


class Move(NamedTuple):
    """Where a step led, the part of it that was taken, and what is known of the direction."""

    point: Point
    step: float = 0.0
    shift: float = 0.0
    vouches: bool = False


class End(NamedTuple):
    """Where the search ended, why, and after how many steps."""

    point: Point
    status: Status
    steps: int


@dataclass
class Descent:
    """What is needed to go down, and how long; `escape` leads away from a point that is stationary and no minimum."""

    at: Callable[[Array], Point]
    direction: Callable[[Point], Direction]
    tolerance: float
    max_iterations: int
    progress: Progress
    escape: Callable[[Point], Found | None]
    far: float = FAR
    last: float = np.inf  # how far the last step went
    outward: int = 0  # steps in a row that led away from the origin and were as long as the one before

    @np.errstate(all="ignore")
    def run(self, x: Array) -> End:
        move, self.far = Move(self.at(x)), FAR * max(1.0, float(np.abs(x).max(initial=0.0)))
        for n in count():
            self.progress(Record(n, move.point.value, move.point.norm, move.step, move.shift))
            try:
                after = self.after(move, n)
            except (NotFinite, Unsolvable):
                after = Status.NOT_FINITE
            if isinstance(after, Status):
                return End(move.point, after, n)
            self.note(move.point.x, after.point.x)
            move = after
        raise AssertionError("count() does not end")

    def after(self, move: Move, n: int) -> Move | Status:
        """The next step, or why there is none."""
        point = move.point
        if not point.finite:
            return Status.NOT_FINITE
        if np.abs(point.x).max(initial=0.0) > self.far:
            return Status.DIVERGES
        if point.norm <= self.tolerance:
            return self.at_rest(move, n)
        if n == self.max_iterations:
            return Status.ITERATIONS
        way = self.direction(point)
        found = search(self.at, point, way)
        if found is None and way.against:
            found = self.escape(point)
        if found is None:
            hidden = point.norm <= way.noise or (is_rounding(point, way) and not way.against)
            return Status.ROUNDING if hidden else Status.NO_DESCENT
        return Move(*found, way.shift, way.vouches)

    def at_rest(self, move: Move, n: int) -> Move | Status:
        """Converged, unless the last Hessian does not vouch for a minimum and there is a way down."""
        if self.outward >= SEEN:
            return Status.DIVERGES
        found = None if move.vouches or n == self.max_iterations else self.escape(move.point)
        return Status.CONVERGED if found is None else Move(*found)

    def note(self, before: Array, after: Array) -> None:
        """Count steps that lead outward and do not shrink: so x walks to a minimum at infinity."""
        went = length(after - before)
        outward = length(after) - length(before) > went / 2
        self.outward = self.outward + 1 if outward and went > STEADY * self.last else 0
        self.last = went
