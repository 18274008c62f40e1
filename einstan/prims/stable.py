"""stable: primitives that only `stabilise` writes: no functions of the language, but what formulas of it become.

Each stands for a formula whose own derivative overflows or cancels: log(exp(a) + exp(b)), log(cosh(x)), 1 - erf(x),
log(det(A)), x / norm(x). Letters as in scalar and reduce.
"""

from __future__ import annotations

from ..ir import Call, Node, Prim, add, einsum, scale, times, zeros
from .linalg import logdet_pull, number
from .reduce import NORM, axes_of, kept, spread
from .scalar import EXP, GT, HALF, SIGMOID, TANH, WHERE, binary, minus, pi_power, power, unary


def unit_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """(ct - y Σ_r ct y) / norm(x), and 0 where x = 0; no power of the norm beyond the first, which would overflow."""
    s, l, r = axes_of(y, seeds)
    full = s + l + r
    norm = NORM(y.operands[0], params=y.params)
    nonzero = GT(norm, zeros(norm.shape))
    direction = WHERE(spread(nonzero, y), y, zeros(y.shape))
    along = einsum([ct, direction], [full, l + r], s + l)
    rest = add([(1, ct), (-1, einsum([direction, along], [l + r, s + l], full))], ct.shape)
    return einsum([rest, WHERE(nonzero, power(norm, -1), zeros(norm.shape))], [full, l], full)


LOGADDEXP = binary("logaddexp", lambda y, a, b: SIGMOID(minus(a, b)), lambda y, a, b: SIGMOID(minus(b, a)))
LOGCOSH = unary("logcosh", lambda y, x: TANH(x))
ERFC = unary("erfc", lambda y, x: scale(-2, times(pi_power(x, -HALF), EXP(scale(-1, power(x, 2))))))
LOGDET_POSITIVE = Prim("logdet_positive", 1, number, pull=logdet_pull)
UNIT = Prim("unit", 1, kept, pull=unit_pull)

STABLE = {p.name: p for p in (LOGADDEXP, LOGCOSH, ERFC, LOGDET_POSITIVE, UNIT)}
