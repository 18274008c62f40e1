"""reduce: primitives along axes. The argument has them last; their number is the one parameter.

Letters: s seed axes, l leading axes, r reduced axes, x the argument, y the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ir import Call, Coef, Node, Prim, Shape, add, einsum, pattern, scale, times, zeros
from .scalar import EQ, GT, WHERE, like, power


def reduced(args: tuple[Node, ...], params: tuple[Any, ...]) -> Shape:
    return args[0].shape[: args[0].rank - params[0]]


def kept(args: tuple[Node, ...], params: tuple[Any, ...]) -> Shape:
    return args[0].shape


Axes = tuple[int, ...]


def axes_of(y: Call, seeds: int) -> tuple[Axes, Axes, Axes]:
    """Labels of the seed, leading and reduced axes."""
    x = y.operands[0]
    (n,) = y.params
    assert isinstance(n, int)
    every = tuple(range(seeds + x.rank))
    return every[:seeds], every[seeds : len(every) - n], every[len(every) - n :]


def spread(y: Node, call: Call) -> Node:
    """A result of reduced shape repeated along the reduced axes."""
    _, l, r = axes_of(call, 0)
    return pattern(y, l, l + r, dict(enumerate(call.operands[0].shape)))


def weighted(y: Call, ct: Node, seeds: int, weight: Node) -> Node:
    """ct[s,l] weight[l,r] -> [s,l,r]."""
    s, l, r = axes_of(y, seeds)
    return einsum([ct, weight], [s + l, l + r], s + l + r)


def extremum_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """The largest entries share the cotangent: (x = y) / Σ_r (x = y)."""
    _, l, r = axes_of(y, 0)
    hit = EQ(y.operands[0], spread(y, y))
    count = einsum([hit], [l + r], l)
    share = times(hit, spread(power(count, -1), y))
    return weighted(y, ct, seeds, share)


def logsumexp_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """ct softmax(x)."""
    return weighted(y, ct, seeds, SOFTMAX(y.operands[0], params=y.params))


def norm_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """ct x / y, and 0 where y = 0."""
    x = y.operands[0]
    full = spread(y, y)
    direction = WHERE(GT(full, zeros(x.shape)), times(x, power(full, -1)), zeros(x.shape))
    return weighted(y, ct, seeds, direction)


def prod_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """ct[l] prod_t(where(δ[r,t], 1, x[l,t])): the product of the others, right also where entries are 0."""
    x = y.operands[0]
    _, l, r = axes_of(y, 0)
    t = tuple(range(x.rank, x.rank + len(r)))
    sizes = dict(enumerate((*x.shape, *x.shape[len(l) :])))
    mask = einsum([], [], l + r + r, sizes)
    others = pattern(x, l + t, l + r + t, sizes)
    product = PROD(WHERE(mask, like(others, 1), others), params=y.params)
    return weighted(y, ct, seeds, product)


def softmax_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """y (ct - Σ_r ct y)."""
    s, l, r = axes_of(y, seeds)
    full = s + l + r
    mean = einsum([ct, y], [full, l + r], s + l)
    rest = add([(1, ct), (-1, pattern(mean, s + l, full, dict(enumerate(ct.shape))))], ct.shape)
    return einsum([y, rest], [l + r, full], full)


def log_softmax_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """ct - softmax(x) Σ_r ct."""
    s, l, r = axes_of(y, seeds)
    full = s + l + r
    total = einsum([ct], [full], s + l)
    p = SOFTMAX(y.operands[0], params=y.params)
    return add([(1, ct), (-1, einsum([total, p], [s + l, l + r], full))], ct.shape)


AMAX = Prim("amax", 1, reduced, pull=extremum_pull, latex=r"\max")
AMIN = Prim("amin", 1, reduced, pull=extremum_pull, latex=r"\min")
PROD = Prim("prod", 1, reduced, pull=prod_pull, latex=r"\operatorname{prod}")
LOGSUMEXP = Prim("logsumexp", 1, reduced, pull=logsumexp_pull, latex=r"\operatorname{logsumexp}")
NORM = Prim("norm", 1, reduced, pull=norm_pull, latex=r"\operatorname{norm}")
SOFTMAX = Prim("softmax", 1, kept, pull=softmax_pull, latex=r"\operatorname{softmax}")
LOG_SOFTMAX = Prim("log_softmax", 1, kept, pull=log_softmax_pull, latex=r"\operatorname{log\_softmax}")

REDUCE = {p.name: p for p in (AMAX, AMIN, PROD, LOGSUMEXP, NORM, SOFTMAX, LOG_SOFTMAX)}


def total(x: Node, n: int) -> Node:
    """Σ over the last n axes."""
    axes = tuple(range(x.rank))
    return einsum([x], [axes], axes[: x.rank - n])


def mean(x: Node, n: int) -> Node:
    """Σ over the last n axes, divided by their sizes."""
    result = total(x, n)
    for d in x.shape[x.rank - n :]:
        result = scale(Coef.size(d, -1), result)
    return result


# how the language's names are built from an argument whose last n axes are reduced
ALONG: dict[str, Callable[[Node, int], Node]] = {
    "sum": total,
    "mean": mean,
    "max": lambda x, n: AMAX(x, params=(n,)),
    "min": lambda x, n: AMIN(x, params=(n,)),
    "prod": lambda x, n: PROD(x, params=(n,)),
    "logsumexp": lambda x, n: LOGSUMEXP(x, params=(n,)),
    "norm": lambda x, n: NORM(x, params=(n,)),
    "softmax": lambda x, n: SOFTMAX(x, params=(n,)),
    "log_softmax": lambda x, n: LOG_SOFTMAX(x, params=(n,)),
}
