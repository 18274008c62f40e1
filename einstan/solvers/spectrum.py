"""spectrum: the ends of the spectrum of a symmetric matrix that is known by its products.

Source: Lanczos, J. Res. Natl. Bur. Stand. 45, 1950; here every vector is made orthogonal to all before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from ..arrays import Array
from .flat import length

PRODUCTS: Final = 30  # with the matrix


class NotFinite(Exception):
    """A Hessian or a Jacobian has entries that are not finite."""


class Ends(NamedTuple):
    """The lowest and the highest eigenvalue, nearly, and a unit vector of the lowest."""

    low: float
    high: float
    lowest: Array


def drawn(like: Array) -> Array:
    """A vector drawn by chance, the same each time."""
    return np.random.default_rng(0).normal(size=like.size).astype(like.dtype)


def norm(product: Callable[[Array], Array], like: Array) -> float:
    """The largest eigenvalue in absolute value, roughly: by two steps of the power method."""
    v = drawn(like)
    for _ in range(2):
        v = product(v / (length(v) or 1.0))
    return finite(length(v))


def finite(found: float) -> float:
    if not np.isfinite(found):
        raise NotFinite
    return found


def extremes(product: Callable[[Array], Array], like: Array) -> Ends:
    """The ends that Krylov's space of a vector drawn by chance shows."""
    v, size = drawn(like), min(PRODUCTS, like.size)
    basis, images = np.zeros((size, like.size), like.dtype), np.zeros((size, like.size), like.dtype)
    small = 0.0
    for n in range(size):
        long = length(v)
        if long <= small:  # the space is closed
            size = n
            break
        basis[n] = v / long
        images[n] = product(basis[n])
        small = max(small, finite(length(images[n])) * float(np.finfo(v.dtype).eps) ** 0.5)
        v = images[n] - basis.T @ (basis @ images[n])
        v -= basis.T @ (basis @ v)
    values, vectors = np.linalg.eigh(basis[:size] @ images[:size].T)
    lowest = vectors[:, 0] @ basis[:size]
    return Ends(float(values[0]), float(values[-1]), lowest / length(lowest))
