"""logarithms: log of exponentials, of their sums and products -> logsumexp, logaddexp, softplus, logcosh."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from ..ir import Add, Call, Coef, Einsum, Node, add, einsum, ones, pattern, scale, split, zeros
from ..prims.reduce import LOGSUMEXP, SOFTMAX
from ..prims.scalar import COSH, LOG, LOG1P, SIGMOID, SOFTPLUS, like, plus
from ..prims.stable import LOGADDEXP, LOGCOSH
from ..rewrite import law
from ..rules import base_and_exponent
from .reading import argument, determinant, exponent, exponent_of_product, opposite, over_last, without


def log_of_exponentials(node: Node) -> Node | None:
    """log(node), if the node is exp(u), a product or a sum along indices of such, or a sum of these with positive
    coefficients."""
    coef, core = split(node)
    if coef.rational <= 0:
        return None
    if isinstance(core, Add) and core.operands:
        return log_of_terms([(coef * c, o) for c, o in core.terms], node)
    found = log_of_one(core)
    return found if found is None or coef.is_one else plus(found, log_of_number(coef, node))


def log_of_one(node: Node) -> Node | None:
    """log(node), if the node is exp(u), or a product or a sum along indices of such."""
    if not isinstance(node, Einsum) or not node.operands:
        return exponent(node)
    u = exponent_of_product(node)
    if u is None or len(set(node.out)) < len(node.out):
        return None
    every = tuple(node.dims)
    return over_last(LOGSUMEXP, u, every, node.out) if node.summed else pattern(u, every, node.out, {})


def log_of_terms(terms: Sequence[tuple[Coef, Node]], like_: Node) -> Node | None:
    """log(1 + rest) is softplus(log(rest)), log(exp(u) + exp(-u)) is log(2 cosh(u)); other sums pair by pair."""
    logs: list[Node] = []
    for coef, term in terms:
        found = log_of_one(term) if coef.rational > 0 else None
        if found is None:
            return None
        logs.append(found if coef.is_one else plus(found, log_of_number(coef, like_)))
    zero = zeros(like_.shape)
    rest = [u for u in logs if u is not zero]
    if len(logs) == 2 and logs[0] is scale(-1, logs[1]):
        return plus(LOGCOSH(logs[0]), LOG(like(like_, 2)))
    total = reduce(LOGADDEXP, rest)
    return total if len(rest) == len(logs) else SOFTPLUS(total)


def log_of_number(coef: Coef, node: Node) -> Node:
    return LOG(scale(coef, ones(node.shape)))


@law(LOG)
def log_sum_exp(y: Call) -> Node | None:
    """log(sum[k](exp(z[i,k]))) -> logsumexp[k](z[i,k])."""
    return None if isinstance(split(y.operands[0])[1], Add) else log_of_exponentials(y.operands[0])


@law(LOG)
def log_add_exp(y: Call) -> Node | None:
    """log(exp(x[i]) + exp(z[i])) -> logaddexp(z[i], x[i])."""
    return log_of_exponentials(y.operands[0]) if isinstance(split(y.operands[0])[1], Add) else None


@law(LOG)
def log_reciprocal(y: Call) -> Node | None:
    """log(1 / x[i]) -> -log(x[i])."""
    base, q = base_and_exponent(y.operands[0])
    return scale(-1, LOG(base)) if q == -1 else None


@law(LOG1P)
def log1p_exp(y: Call) -> Node | None:
    """log1p(sum[k](exp(z[i,k]))) -> softplus(logsumexp[k](z[i,k]))."""
    u = log_of_exponentials(y.operands[0])
    return None if u is None else SOFTPLUS(u)


@law(LOG)
def log_sigmoid(y: Call) -> Node | None:
    """log(sigmoid(x[i])) -> -softplus(-x[i])."""
    x = argument(y.operands[0], SIGMOID)
    return None if x is None else scale(-1, SOFTPLUS(scale(-1, x)))


@law(LOG1P)
def log1p_minus_sigmoid(y: Call) -> Node | None:
    """log1p(-sigmoid(x[i])) -> -softplus(x[i])."""
    x = argument(scale(-1, y.operands[0]), SIGMOID)
    return None if x is None else scale(-1, SOFTPLUS(x))


@law(LOG)
def log_of_cosh(y: Call) -> Node | None:
    """log(2 cosh(x[i])) -> log(2) + logcosh(x[i])."""
    coef, core = split(y.operands[0])
    x = argument(core, COSH)
    if x is None or coef.rational <= 0:
        return None
    return LOGCOSH(x) if coef.is_one else plus(LOGCOSH(x), log_of_number(coef, y))


@law(LOG)
def log_of_product(y: Call) -> Node | None:
    """log(a[i] exp(x[i]) / (1 + exp(z[i]))) -> log(a[i]) + x[i] - softplus(z[i])."""
    coef, e = split(y.operands[0])
    if not isinstance(e, Einsum) or e.summed or len(e.operands) < 2 or len(set(e.out)) < len(e.out):
        return None
    known = [n for n, (o, own) in enumerate(e.factors) if is_positive(o) and len(set(own)) == len(own)]
    if not known:
        return None
    rest = [n for n in range(len(e.operands)) if n not in known]
    logs = [pattern(log_of_power(e.operands[n]), e.labels[n], e.out, e.dims) for n in known]
    if rest or not coef.is_one:
        others = einsum([e.operands[n] for n in rest], [e.labels[n] for n in rest], e.out, e.dims)
        logs.append(LOG(scale(coef, others)))
    return plus(*logs)


def is_positive(node: Node) -> bool:
    """Whether the node is a power of what has a logarithm that is better than its value, and is not negative."""
    base, _ = base_and_exponent(node)
    named = isinstance(base, Call) and base.prim in (SIGMOID, SOFTMAX, COSH)
    det = determinant(node)
    return named or log_of_exponentials(base) is not None or (det is not None and det.positive)


def log_of_power(node: Node) -> Node:
    base, q = base_and_exponent(node)
    return scale(q, LOG(base)) if determinant(node) is None else LOG(node)


@law(Add)
def softplus_from_difference(a: Add) -> Node | None:
    """x[i] + softplus(-x[i]) -> softplus(x[i])."""
    for c, term in a.terms:
        u = argument(term, SOFTPLUS)
        found = None if u is None else without(a, (c, term), opposite(c, u))
        if u is not None and found is not None:
            return add([*found, (c, SOFTPLUS(scale(-1, u)))], a.shape)
    return None
