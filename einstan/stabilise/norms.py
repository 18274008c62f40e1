"""norms: roots of sums of squares -> norm, abs; a vector over its norm -> unit."""

from __future__ import annotations

from ..ir import Call, Einsum, Labels, Node, einsum, ones, scale, split, times
from ..prims.reduce import NORM
from ..prims.scalar import ABS, POW, power
from ..prims.stable import UNIT
from ..rewrite import law
from ..rules import base_and_exponent
from .reading import as_pattern, over_last


@law(POW)
def root_of_squares(y: Call) -> Node | None:
    """sqrt(sum[k](x[i,k]^2)) -> norm[k](x[i,k])."""
    base, q = base_and_exponent(y)
    coef, total = split(base)
    if q.denominator != 2 or not isinstance(total, Einsum) or len(total.operands) != 1 or coef.rational <= 0:
        return None
    x, two = base_and_exponent(total.operands[0])
    (own,) = total.labels
    if two != 2 or len(set(own)) < len(own) or not total.summed or set(total.out) - set(own):
        return None
    result = power(over_last(NORM, x, own, total.out), 2 * q)
    factor = power(scale(coef, ones(())), q)
    return result if coef.is_one else einsum([result, factor], [range(y.rank), ()], range(y.rank))


@law(POW)
def root_of_square(y: Call) -> Node | None:
    """sqrt(3 x[i]^2) -> sqrt(3) abs(x[i])."""
    base, q = base_and_exponent(y)
    coef, square = split(base)
    x, two = base_and_exponent(square)
    if q.denominator != 2 or two != 2 or coef.rational <= 0:
        return None
    return times(power(ABS(x), 2 * q), power(scale(coef, ones(y.shape)), q))


@law(Einsum)
def unit_vector(e: Einsum) -> Node | None:
    """x / norm(x) is unit(x), whose derivative does not divide by the square of the norm."""
    for n, (operand, own) in enumerate(e.factors):
        base, q = base_and_exponent(operand)
        if q >= 0 or q.denominator != 1 or not isinstance(base, Call) or base.prim is not NORM:
            continue
        for k, (x, labels) in enumerate(e.factors):
            seen = labels_as_seen(base.operands[0], x, labels)
            if seen is not None and seen[: base.rank] == own and len(set(seen)) == len(seen):
                factors = [f for m, f in enumerate(e.factors) if m not in (n, k)]
                factors += [(UNIT(base.operands[0], params=base.params), seen), (power(base, q + 1), own)]
                return einsum([o for o, _ in factors], [ls for _, ls in factors], e.out, e.dims)
    return None


def labels_as_seen(shown: Node, x: Node, labels: Labels) -> Labels | None:
    """The labels of `shown`'s axes, if it is x up to the order of axes and x has these labels."""
    core, own, out = as_pattern(shown)
    if core is not x or sorted(own) != sorted(out):
        return None
    there = dict(zip(own, labels, strict=True))
    return tuple(there[label] for label in out)
