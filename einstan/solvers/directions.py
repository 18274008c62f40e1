"""directions: where to go from a point: Newton's step, by Cholesky, by conjugate gradients, by LU.

*Nocedal, Wright, Numerical Optimization, 2006, algorithms 3.3 and 7.1; Dembo, Eisenstat, Steihaug, SIAM J. Numer.
Anal. 19, 1982.*
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from ..arrays import Array
from ..structured import NotPositiveDefinite, Singular
from .flat import length
from .line_search import VISIBLE, Direction, Point
from .spectrum import NotFinite, extremes, norm

FIRST: Final = 1e-3  # of the Hessian's norm: the least shift that is made for a negative eigenvalue
TRUST: Final = 1e-2  # of the gradient: what rounding may make of it before the Hessian counts as singular
PRODUCTS: Final = 1_000  # with the Hessian, for one direction at most


class Curvature(Protocol):
    """A symmetric matrix; `solve` raises NotPositiveDefinite or Singular where with the shift it is not definite."""

    def solve(self, g: Array, shift: float) -> Array: ...

    def product(self, v: Array) -> Array: ...


# ---------------------------------------------------------------- a matrix that can be factorised


def factorised(hessian: Callable[[Array], Curvature]) -> Callable[[Point], Direction]:
    """-H⁻¹ g; that of H + τ 1 where H is not positive definite; where it has a negative eigenvalue, with a part along
    the vector of that, which leads away from saddles (Moré, Sorensen, Math. Programming 16, 1979)."""

    def direction(point: Point) -> Direction:
        h, g = hessian(point.x), point.vector
        scale = norm(h.product, g) or 1.0
        tiny = scale * float(np.finfo(g.dtype).eps) ** 0.5
        for shift in (0.0, tiny):
            step = solution(h, g, shift, scale)
            if step is not None:
                return Direction(-step, -float(g @ step), shift, vouches=shift == 0, noise=noise(point, scale))
        return turned(h, g, scale)

    return direction


def turned(h: Curvature, g: Array, scale: float) -> Direction:
    """The step where the lowest eigenvalue, if it is negative, is made its opposite; as much again along its vector."""
    low, _, v = extremes(h.product, g)
    for shift in (max(FIRST * scale, -2 * low) * 2**n for n in range(30)):
        step = solution(h, g, shift, scale)
        if step is not None:
            along = max(0.0, length(step) - abs(float(v @ step)))
            step = step + np.copysign(along, v @ g) * v if low < 0 else step
            return Direction(-step, -float(g @ step), shift, against=low < 0)
    raise NotFinite


def solution(h: Curvature, g: Array, shift: float, scale: float) -> Array | None:
    """(H + τ 1)⁻¹ g, where that matrix is positive definite."""
    try:
        step = h.solve(g, shift)
    except (NotPositiveDefinite, Singular):
        return None
    return step if trusted(step, g, scale) and float(g @ step) >= 0 else None


def noise(point: Point, scale: float) -> float:
    """What of the vector's norm may be rounding, where it comes from products of x and a matrix of this norm."""
    return float(VISIBLE * np.finfo(point.x.dtype).eps * scale * length(point.x))


def trusted(step: Array, g: Array, scale: float) -> bool:
    """Whether the product of the matrix and the step is g, but for rounding."""
    size, eps = length(step), float(np.finfo(g.dtype).eps)
    return np.isfinite(size) and eps * scale * size <= TRUST * length(g)


# ---------------------------------------------------------------- products with it alone


def truncated(product: Callable[[Array, Array], Array]) -> Callable[[Point], Direction]:
    """-H⁻¹ g, to a part of g that falls as g does; along a negative curvature, as far as conjugate gradients came."""
    first: list[float] = []

    def direction(point: Point) -> Direction:
        g = point.vector
        first.append(point.norm)
        enough = min(0.5, float(np.sqrt(point.norm / first[0]))) * point.norm
        step, curvature = conjugate_gradients(lambda v: product(point.x, v), -g, enough)
        return Direction(step, float(g @ step), against=curvature < -(float(np.finfo(g.dtype).eps) ** 0.5))

    return direction


def conjugate_gradients(product: Callable[[Array], Array], b: Array, enough: float) -> tuple[Array, float]:
    """x with |H x - b| <= enough, or where a direction p of no positive curvature ended the search; the least of
    p H p / |p| |H p|."""
    x, r = np.zeros_like(b), b
    p, rr, least = r, float(r @ r), 1.0
    for turn in range(min(2 * b.size + 10, PRODUCTS)):
        hp = product(p)
        curved, pp = float(p @ hp), float(p @ p)
        least = min(least, curved / ((length(p) * length(hp)) or 1.0))
        if not np.isfinite(curved):
            raise NotFinite
        if curved <= np.finfo(b.dtype).eps * pp:
            return (x if turn else b * (rr / abs(curved) if curved else 1.0)), least
        x = x + (rr / curved) * p
        r = r - (rr / curved) * hp
        rr, last = float(r @ r), rr
        if rr**0.5 <= enough:
            break
        p = r + (rr / last) * p
    return x, least


# ---------------------------------------------------------------- a square matrix


def solving(jacobian: Callable[[Array], Array]) -> Callable[[Point], Direction]:
    """-J⁻¹ F; where J is singular, the step of Levenberg and Marquardt, which ends where |F| is least, root or not."""

    def direction(point: Point) -> Direction:
        j, f = jacobian(point.x), point.vector
        scale = length(j)
        if not np.isfinite(scale):
            raise NotFinite
        step, shift = straight(j, f, scale) or damped(j, f, scale or 1.0)
        return Direction(-step, -float(f @ (j @ step)), shift, against=shift > 0, noise=noise(point, scale))

    return direction


def straight(j: Array, f: Array, scale: float) -> tuple[Array, float] | None:
    try:
        step = np.linalg.solve(j, f)
    except np.linalg.LinAlgError:
        return None
    return (step, 0.0) if trusted(step, f, scale) else None


def damped(j: Array, f: Array, scale: float) -> tuple[Array, float]:
    """(JᵀJ + μ 1)⁻¹ Jᵀ F, by least squares; and μ."""
    root = FIRST * scale
    below = root * np.eye(j.shape[1], dtype=j.dtype)
    both = np.linalg.lstsq(np.vstack([j, below]), np.concatenate([f, np.zeros_like(f)]), rcond=None)
    return both[0], root * root
