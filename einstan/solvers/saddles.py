"""saddles: a way down from a point whose gradient vanishes, where the Hessian has a negative eigenvalue.

Source: Lanczos, J. Res. Natl. Bur. Stand. 45, 1950; here every vector is made orthogonal to all before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ..arrays import Array
from .line_search import Direction, Found, Point, search

PRODUCTS: Final = 30  # with the Hessian


def escape(at: Callable[[Array], Point], product: Callable[[Array], Array], point: Point) -> Found | None:
    """A step along the lowest curvature, if that is negative by more than rounding, and leads down."""
    low, high, v = extremes(product, point.x)
    if not low < -float(np.sqrt(np.finfo(v.dtype).eps)) * max(-low, high):
        return None
    ways = (Direction(v, low / 2), Direction(-v, low / 2))
    return next((found for way in ways if (found := search(at, point, way))), None)


def extremes(product: Callable[[Array], Array], like: Array) -> tuple[float, float, Array]:
    """The lowest and the highest eigenvalue, nearly, and a unit vector of the lowest; from a vector drawn by chance."""
    v = np.random.default_rng(0).normal(size=like.size).astype(like.dtype)
    basis = np.empty((min(PRODUCTS, like.size), like.size), like.dtype)
    images = np.empty_like(basis)
    for n in range(len(basis)):
        length = float(np.linalg.norm(v))
        if not length > 0:
            basis, images = basis[:n], images[:n]
            break
        basis[n] = v / length
        images[n] = product(basis[n])
        v = images[n].copy()
        for _ in range(2):
            v -= basis[: n + 1].T @ (basis[: n + 1] @ v)
    values, vectors = np.linalg.eigh(basis @ images.T)
    lowest = vectors[:, 0] @ basis
    return float(values[0]), float(values[-1]), lowest / np.linalg.norm(lowest)
