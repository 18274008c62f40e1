"""saddles: a way down from a point whose gradient vanishes, where the Hessian has a negative eigenvalue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Array
from .line_search import Direction, Found, Point, search
from .spectrum import extremes


def escape(at: Callable[[Array], Point], product: Callable[[Array], Array], point: Point) -> Found | None:
    """A step along the lowest curvature, if that is negative by more than rounding, and leads down."""
    low, high, v = extremes(product, point.x)
    if not low < -float(np.sqrt(np.finfo(v.dtype).eps)) * max(-low, high):
        return None
    ways = (Direction(v, low / 2), Direction(-v, low / 2))
    return next((found for way in ways if (found := search(at, point, way))), None)
