"""systems: dense linear systems, many at once, checked: A[...,n,n] x[...,n,m] = g[...,n,m].

Laws: what is singular to working precision raises; nothing infinite or nan is returned for finite numbers. The working
precision, `eps`, is that of the matrix: float32 does not gain by a right side in float64. numpy has no triangular
solver: `substituted` goes down in blocks.

Sources: equilibration and condition estimates, Golub and Van Loan, Matrix Computations, 3.5.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from sys import float_info
from typing import Any, Final

import numpy as np

from ..errors import EinstanError

Array = np.ndarray[Any, Any]

BLOCK: Final = 64  # rows that one step of a substitution solves for
REALS: Final = (int, float, Fraction, np.integer, np.floating)
SAFE: Final = 64  # rounding errors that may make up the inverse of a matrix's condition


class Singular(EinstanError):
    """The matrix has no inverse, to working precision."""


class NotPositiveDefinite(EinstanError):
    """The matrix is not symmetric and positive definite."""


def singular(why: str = "") -> Singular:
    return Singular(
        f"The matrix is singular to working precision{why and ': '}{why}.",
        "Add a shift: solve(g, shift=1e-6) solves with the matrix plus that multiple of the identity.",
    )


def not_definite(why: str) -> NotPositiveDefinite:
    return NotPositiveDefinite(f"The matrix is not positive definite: {why}.", "Make the shift larger.")


def computed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that is computed in: float32 at least, float64 for integers."""
    return np.result_type(dtype, np.float32)


def precision(dtype: np.dtype[Any]) -> float:
    """The rounding error of the entries of a matrix, relative to them."""
    return float(np.finfo(computed(dtype)).eps)


def multiple(shift: Any) -> float:
    """The multiple of the identity that is added, as a float. Raises EinstanError where it is no finite number."""
    found = shift.item() if isinstance(shift, np.ndarray) and shift.ndim == 0 else shift
    if not (isinstance(found, REALS) and -float_info.max <= found <= float_info.max):
        raise EinstanError("The shift is a finite real number.", "Give one number, such as shift=1e-6.")
    return float(found)


# ---------------------------------------------------------------- diagonal


def divided(g: Array, d: Array, definite: bool) -> Array:
    """g / d, entry by entry."""
    with np.errstate(all="ignore"):
        if definite and not (d > 0).all():
            raise not_definite("a diagonal entry is zero, negative or no number")
        found = g / d
    if not d.all() or not finite(found, d, g):
        raise singular("a diagonal entry is zero or no number")
    return found


def finite(found: Array, *given: Array) -> bool:
    """Whether what was found is finite, or a right side was not: it is given back as it is."""
    return bool(np.isfinite(found).all()) or (bool(np.isfinite(given[0]).all()) and not np.isfinite(given[-1]).all())


# ---------------------------------------------------------------- any matrix


def solved(a: Array, g: Array, eps: float) -> Array:
    """x with a x = g by elimination with pivots. Raises Singular."""
    if not a.size or not g.shape[-1]:
        return np.zeros_like(g)
    check_finite(a)
    rows, columns = (powers(np.abs(a).max(axis=axis)) for axis in (-1, -2))
    even = a * rows[..., :, None] * columns[..., None, :]
    return solved_safely(partial(eliminated, even), even, g * rows[..., None], SAFE * eps) * columns[..., None]


def eliminated(a: Array, g: Array) -> Array:
    try:
        with np.errstate(all="ignore"):
            return np.linalg.solve(a, g)
    except np.linalg.LinAlgError:
        raise singular() from None


def check_finite(a: Array) -> None:
    if not np.isfinite(a).all():
        raise EinstanError("The matrix has entries that are not finite.", "Look at the inputs.")


def powers(sizes: Array) -> Array:
    """Powers of two near 1/√size: rows and columns multiplied by them have entries near 1, and nothing is rounded.
    Raises Singular where a row or a column is zero."""
    if not sizes.all():
        raise singular("a row or a column of it is zero")
    _, exponent = np.frexp(sizes)
    found: Array = np.ldexp(np.ones_like(sizes), -exponent // 2)
    return found


# ---------------------------------------------------------------- solved safely


def solved_safely(solve: Callable[[Array], Array], a: Array, g: Array, error: float) -> Array:
    """What `solve` finds for g, where a is not singular to working precision: an irregular right side beside g shows
    how large the inverse is. `error` is the part of an entry that may be rounding. Raises Singular.

    Of matrices that are singular but for rounding, of 2 to 1000 rows, the estimate is 0.05 / eps at least.
    """
    probe = np.broadcast_to(irregular(g.shape[-2]).astype(g.dtype), (*g.shape[:-1], 1))
    found = solve(np.concatenate([g, probe], axis=-1))
    with np.errstate(all="ignore"):
        condition = np.abs(a).sum(axis=-1).max(axis=-1) * np.abs(found[..., -1]).max(axis=-1)
        fits = (condition * error < 1).all()
    if not fits:
        worst = float(np.max(condition))
        raise singular(f"its condition number is about {worst:.0e}" if np.isfinite(worst) else "")
    return found[..., :-1]


def irregular(n: int) -> Array:
    """Numbers between -1 and 1 without a pattern, as a column: orthogonal to no vector that matters."""
    found: Array = np.cos(np.arange(1.0, n + 1) ** 2)[:, None]
    return found


# ---------------------------------------------------------------- positive definite


def solved_definite(a: Array, g: Array, eps: float) -> Array:
    """x with a x = g for a symmetric positive definite a. Raises NotPositiveDefinite for any other."""
    if not a.size or not g.shape[-1]:
        return np.zeros_like(g)
    check_finite(a)
    diagonal = np.einsum("...ii->...i", a).real
    if not (diagonal > 0).all():
        raise not_definite("a diagonal entry is zero or negative")
    scale = powers(diagonal)
    even = a * scale[..., :, None] * scale[..., None, :]
    if not is_symmetric(even, eps):
        raise not_definite("it is not symmetric")
    try:
        lower = np.linalg.cholesky(even)
        solve = partial(substituted_twice, lower)
        return solved_safely(solve, even, g * scale[..., None], SAFE * eps) * scale[..., None]
    except np.linalg.LinAlgError:
        raise not_definite("it has no Cholesky factor") from None
    except Singular:
        raise not_definite("it is singular to working precision") from None


def is_symmetric(a: Array, eps: float) -> bool:
    """Whether the matrices equal their adjoints, as far as an irregular vector shows."""
    probe = irregular(a.shape[-1]).astype(a.dtype)
    uneven, size = np.abs(a @ probe - a.conj().swapaxes(-1, -2) @ probe), np.abs(a).max(axis=(-2, -1), initial=0.0)
    bound = np.sqrt(eps) * size * a.shape[-1]
    return bool((uneven.max(axis=(-2, -1), initial=0.0) <= bound).all())


def substituted_twice(lower: Array, g: Array) -> Array:
    """x with L Lᴴ x = g."""
    return substituted(lower, substituted(lower, g, False), True)


def substituted(lower: Array, g: Array, adjoint: bool) -> Array:
    """x with L x = g, or with Lᴴ x = g, a block of rows after the other."""
    n = g.shape[-2]
    upper = lower.conj().swapaxes(-1, -2)
    x = np.empty_like(g)
    starts = range(0, n, BLOCK)
    for start in reversed(starts) if adjoint else starts:
        here = slice(start, start + BLOCK)
        known = slice(start + BLOCK, None) if adjoint else slice(0, start)
        matrix = upper if adjoint else lower
        right = g[..., here, :] - matrix[..., here, known] @ x[..., known, :]
        x[..., here, :] = np.linalg.solve(matrix[..., here, here], right)
    return x
