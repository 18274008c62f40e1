"""softmaxes: exponentials over their sum -> softmax, log_softmax; a common shift leaves them as they are."""

from __future__ import annotations

from collections.abc import Iterator

from ..ir import UNIT as ONE
from ..ir import Add, Call, Einsum, Node, add, einsum, pattern, split
from ..prims.reduce import LOG_SOFTMAX, LOGSUMEXP, SOFTMAX
from ..prims.scalar import EXP, LOG, power
from ..rewrite import law
from ..rules import base_and_exponent, drop_axes, repeated_axes
from .reading import MINUS, Terms, argument, as_pattern, opposite, over_last, without


@law(Einsum)
def softmax(e: Einsum) -> Node | None:
    """exp(z[i,k]) / sum[k](exp(z[i,k])) -> softmax[k](z[i,k])."""
    for n, operand in enumerate(e.operands):
        base, q = base_and_exponent(operand)
        total = base if isinstance(base, Einsum) and q < 0 and q.denominator == 1 else None
        if total is None or len(total.operands) != 1 or argument(total.operands[0], EXP) is None:
            continue
        found = numerator_of(e, n, total)
        if found is None:
            continue
        own, z = total.labels[0], total.operands[0].operands[0]
        factors = [(o, ls) for k, (o, ls) in enumerate(e.factors) if k not in (n, found)]
        factors.append((over_last(SOFTMAX, z, own, total.out), e.labels[found]))
        factors.append((power(base, q + 1), e.labels[n]))
        return einsum([o for o, _ in factors], [ls for _, ls in factors], e.out, e.dims)
    return None


def numerator_of(e: Einsum, n: int, total: Einsum) -> int | None:
    """The operand that is the exp summed in `total`, over the labels that operand n divides along."""
    own = total.labels[0]
    if len(set(own)) < len(own) or set(total.out) - set(own) or not total.summed:
        return None
    for k, (operand, labels) in enumerate(e.factors):
        there = dict(zip(own, labels, strict=True)) if operand is total.operands[0] else None
        if there is not None and tuple(there[label] for label in total.out) == e.labels[n]:
            return k
    return None


@law(LOG)
def log_softmax(y: Call) -> Node | None:
    """log(softmax[k](z[i,k])) -> log_softmax[k](z[i,k])."""
    x = y.operands[0]
    z = argument(x, SOFTMAX)
    return None if z is None or not isinstance(x, Call) else LOG_SOFTMAX(z, params=x.params)


@law(Add)
def log_softmax_from_difference(a: Add) -> Node | None:
    """z[i,k] - logsumexp[k](z[i,k]) -> log_softmax[k](z[i,k])."""
    for c, term in a.terms:
        for z, result in normalised(term):
            found = without(a, (c, term), opposite(c, z))
            if found is not None:
                return add([*found, (c * MINUS, result)], a.shape)
    return None


def normalised(term: Node) -> Iterator[tuple[Node, Node]]:
    """(z, log_softmax(z)) along the axes of `term`, where that is logsumexp(z) repeated along those it reduces."""
    y, own, out = as_pattern(term)
    if not isinstance(y, Call) or y.prim is not LOGSUMEXP or len(set(out)) < len(out):
        return
    (z,) = y.operands
    along = tuple(label for label in out if label not in own)
    if tuple(z.shape[y.rank :]) == tuple(term.shape[out.index(label)] for label in along):
        yield pattern(z, own + along, out, {}), pattern(LOG_SOFTMAX(z, params=y.params), own + along, out, {})


@law(LOGSUMEXP)
def shifted_logsumexp(y: Call) -> Node | None:
    """logsumexp[k](z[i,k] - m[i]) -> logsumexp[k](z[i,k]) - m[i]."""
    shift, rest = shifts(y)
    if not shift or not rest:
        return None
    lead = range(y.rank)
    outside = [(c, drop_axes(term, lead)) for c, term in shift]
    return add([(1, LOGSUMEXP(add(rest, y.operands[0].shape), params=y.params)), *outside], y.shape)


@law(SOFTMAX, LOG_SOFTMAX)
def shifted_softmax(y: Call) -> Node | None:
    """softmax[k](z[i,k] - m[i]) -> softmax[k](z[i,k])."""
    shift, rest = shifts(y)
    return y.prim(add(rest, y.shape), params=y.params) if shift and rest else None


def shifts(y: Call) -> tuple[Terms, Terms]:
    """The terms of the argument that are the same along the axes y works on, and the others."""
    (n,), (z,) = y.params, y.operands
    assert isinstance(n, int)
    along = set(range(z.rank - n, z.rank))
    found: tuple[Terms, Terms] = ([], [])
    for c, term in shown_terms(z):
        found[not along <= repeated_axes(term)].append((c, term))
    return found


def shown_terms(z: Node) -> Terms:
    """The terms of a sum, also through a multiple and a transposition of it."""
    coef, core = split(z)
    x, own, out = as_pattern(core)
    inner, total = split(x)
    if not isinstance(total, Add) or len(set(own)) < len(own) or len(set(out)) < len(out):
        return [(ONE, z)]
    dims = dict(zip(out, z.shape, strict=True))
    return [(coef * inner * c, pattern(term, own, out, dims)) for c, term in total.terms]
