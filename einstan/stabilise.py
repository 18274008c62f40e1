"""stabilise: formulas that overflow or cancel as they are spelled -> the primitives that do not.

Runs on the inlined graph and before derive: a derivative taken of the naive form has the damage in it.
The first line of each docstring is the law, and is its test.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .ir import Add, Call, Coef, Einsum, Labels, Node, Prim, einsum, ones, pattern, scale, split, zeros
from .prims.reduce import LOG_SOFTMAX, LOGSUMEXP, NORM, SOFTMAX
from .prims.scalar import ABS, COSH, EXP, HALF, LOG, LOG1P, POW, SIGMOID, SINH, SOFTPLUS, TANH, minus, plus, power
from .rewrite import law, normalise
from .rules import EXACT, LAWS, base_and_exponent


def argument(node: Node, prim: object) -> Node | None:
    """x, if the node is prim(x)."""
    return node.operands[0] if isinstance(node, Call) and node.prim is prim else None


def exponent(node: Node) -> Node | None:
    """u, if the node is exp(u) or 1 = exp(0)."""
    return zeros(node.shape) if node is ones(node.shape) else argument(node, EXP)


def two_exponents(node: Node, sign: int) -> tuple[Node, Node] | None:
    """(u, v), if the node is exp(u) + sign exp(v)."""
    if not isinstance(node, Add) or [c.rational * sign for c in node.coefs] != [sign, 1]:
        return None
    u, v = (exponent(o) for o in node.operands)
    return None if u is None or v is None or any(c.sizes for c in node.coefs) else (u, v)


@law(LOG)
def log_sum_exp(y: Call) -> Node | None:
    """log(sum[k](exp(z[i,k]))) -> logsumexp[k](z[i,k])."""
    coef, total = split(y.operands[0])
    if not isinstance(total, Einsum) or len(total.operands) != 1 or coef.rational <= 0:
        return None
    z = argument(total.operands[0], EXP)
    (own,) = total.labels
    if z is None or len(set(own)) < len(own) or not total.summed:
        return None
    result = over_last(LOGSUMEXP, z, own, total.out)
    return result if coef.is_one else plus(result, LOG(scale(coef, ones(y.shape))))


def over_last(prim: Prim, z: Node, own: Labels, out: Labels) -> Node:
    """The primitive along the labels of z that `out` lacks, shown as `out` (or as all, out's first)."""
    lead = tuple(label for label in own if label in out)
    along = tuple(label for label in own if label not in out)
    y = prim(pattern(z, own, lead + along, {}), params=(len(along),))
    return pattern(y, lead, out, {}) if y.rank == len(lead) else pattern(y, lead + along, own, {})


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


@law(LOG)
def log_exp(y: Call) -> Node | None:
    """log(exp(x[i])) -> x[i]."""
    return argument(y.operands[0], EXP)


@law(LOG)
def log_add_exp(y: Call) -> Node | None:
    """log(exp(x[i]) + exp(z[i])) -> z[i] + softplus(x[i] - z[i])."""
    coef, total = split(y.operands[0])
    found = two_exponents(total, 1) if coef.rational > 0 else None
    if found is None:
        return None
    u, v = sorted(found, key=lambda node: node is not zeros(y.shape))
    result = plus(u, SOFTPLUS(minus(v, u)))
    return result if coef.is_one else plus(result, LOG(scale(coef, ones(y.shape))))


@law(LOG)
def log_reciprocal(y: Call) -> Node | None:
    """log(1 / x[i]) -> -log(x[i])."""
    base, q = base_and_exponent(y.operands[0])
    return scale(-1, LOG(base)) if q == -1 else None


@law(EXP)
def exp_of_zero(y: Call) -> Node | None:
    """exp(0) -> 1."""
    return ones(y.shape) if y.operands[0] is zeros(y.shape) else None


@law(LOG1P)
def log1p_exp(y: Call) -> Node | None:
    """log1p(exp(x[i])) -> softplus(x[i])."""
    u = argument(y.operands[0], EXP)
    return None if u is None else SOFTPLUS(u)


@law(LOG)
def log_sigmoid(y: Call) -> Node | None:
    """log(sigmoid(x[i])) -> -softplus(-x[i])."""
    x = argument(y.operands[0], SIGMOID)
    return None if x is None else scale(-1, SOFTPLUS(scale(-1, x)))


@law(LOG)
def log_one_minus_sigmoid(y: Call) -> Node | None:
    """log(1 - sigmoid(x[i])) -> -softplus(x[i])."""
    a = y.operands[0]
    coef, core = split(a)
    if not isinstance(core, Add) or len(core.operands) != 2:
        return None
    signed = {o: coef * c for c, o in core.terms}
    s = next((o for o in core.operands if argument(o, SIGMOID) is not None), None)
    if s is None or signed.get(ones(a.shape)) != Coef() or signed[s] != Coef(Fraction(-1)):
        return None
    return scale(-1, SOFTPLUS(s.operands[0]))


@law(POW)
def logistic(y: Call) -> Node | None:
    """1 / (1 + exp(x[i])) -> sigmoid(-x[i])."""
    base, q = base_and_exponent(y)
    found = two_exponents(base, 1) if q < 0 and q.denominator == 1 else None
    if found is None or zeros(y.shape) not in found:
        return None
    u = found[0] if found[1] is zeros(y.shape) else found[1]
    return power(SIGMOID(scale(-1, u)), -q)


@law(Einsum)
def exp_times_sigmoid(e: Einsum) -> Node | None:
    """exp(x[i]) sigmoid(-x[i]) -> sigmoid(x[i])."""
    for n, operand in enumerate(e.operands):
        base, q = base_and_exponent(operand)
        w = argument(base, SIGMOID)
        if w is None or q < 1:
            continue
        k = place(e, EXP(scale(-1, w)), e.labels[n])
        if k is not None:
            rest = power(base, q - 1)
            return replace_two(e, n, k, [SIGMOID(scale(-1, w)), rest])
    return None


def place(e: Einsum, node: Node, labels: Labels) -> int | None:
    """Where the operand `node` stands over exactly these labels."""
    return next((k for k, (o, ls) in enumerate(e.factors) if o is node and ls == labels), None)


def replace_two(e: Einsum, n: int, k: int, nodes: Sequence[Node]) -> Node:
    """The product with operands n and k (over the same labels) replaced by `nodes`."""
    kept = [m for m in range(len(e.operands)) if m not in (n, k)]
    factors = [e.operands[m] for m in kept] + list(nodes)
    labels = [e.labels[m] for m in kept] + [e.labels[n]] * len(nodes)
    return einsum(factors, labels, e.out, e.dims)


@law(Einsum)
def tanh_from_exponentials(e: Einsum) -> Node | None:
    """(exp(x[i]) - exp(z[i])) / (exp(x[i]) + exp(z[i])) -> tanh((x[i] - z[i]) / 2)."""
    for n, operand in enumerate(e.operands):
        below = two_exponents(base_and_exponent(operand)[0], 1) if base_and_exponent(operand)[1] == -1 else None
        for k, above in enumerate(e.operands):
            found = two_exponents(above, -1)
            if found and below and set(found) == set(below) and e.labels[k] == e.labels[n]:
                return replace_two(e, n, k, [TANH(scale(HALF, signed_difference(above, found)))])
    return None


def signed_difference(node: Node, exponents: tuple[Node, Node]) -> Node:
    """u - v for exp(u) - exp(v), the minus where it stands."""
    assert isinstance(node, Add)
    u, v = exponents
    return minus(u, v) if node.coefs[0].rational > 0 else minus(v, u)


@law(Einsum)
def tanh_from_sigmoid(e: Einsum) -> Node | None:
    """(1 - exp(-x[i])) sigmoid(x[i]) -> tanh(x[i] / 2)."""
    for n, operand in enumerate(e.operands):
        w = argument(operand, SIGMOID)
        if w is None:
            continue
        for k, above in enumerate(e.operands):
            found = two_exponents(above, -1)
            if found and e.labels[k] == e.labels[n] and set(found) == {zeros(w.shape), scale(-1, w)}:
                return replace_two(e, n, k, [TANH(scale(HALF, signed_difference(above, found)))])
    return None


@law(Einsum)
def tanh_from_hyperbolic(e: Einsum) -> Node | None:
    """sinh(x[i]) / cosh(x[i]) -> tanh(x[i])."""
    for n, operand in enumerate(e.operands):
        x = argument(operand, SINH)
        k = None if x is None else place(e, power(COSH(x), -1), e.labels[n])
        if x is not None and k is not None:
            return replace_two(e, n, k, [TANH(x)])
    return None


@law(Add)
def tanh_from_twice_sigmoid(a: Add) -> Node | None:
    """2 sigmoid(2 x[i]) - 1 -> tanh(x[i])."""
    if len(a.operands) != 2:
        return None
    coefs = dict(zip(a.operands, a.coefs, strict=True))
    s = next((o for o in a.operands if argument(o, SIGMOID) is not None), None)
    one = coefs.get(ones(a.shape))
    if s is None or one is None or coefs[s] != one * Coef(Fraction(-2)):
        return None
    return scale(one * Coef(Fraction(-1)), TANH(scale(HALF, s.operands[0])))


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
    """sqrt(x[i]^2) -> abs(x[i])."""
    base, q = base_and_exponent(y)
    x, two = base_and_exponent(base)
    return power(ABS(x), 2 * q) if q.denominator == 2 and two == 2 else None


STABLE = (
    *(
        log_sum_exp,
        softmax,
        log_softmax,
        log_exp,
        log_add_exp,
        log_reciprocal,
        exp_of_zero,
        log1p_exp,
        log_sigmoid,
        log_one_minus_sigmoid,
    ),
    *(logistic, exp_times_sigmoid, tanh_from_exponentials, tanh_from_sigmoid, tanh_from_hyperbolic),
    *(tanh_from_twice_sigmoid, root_of_squares, root_of_square),
)


def stabilise(roots: Sequence[Node]) -> list[Node]:
    """Nodes of equal value that neither overflow nor cancel where the formula's value is ordinary."""
    return normalise(roots, (*LAWS, *STABLE))


def stabilise_exactly(roots: Sequence[Node]) -> list[Node]:
    """The same by laws that hold for infinite values too."""
    return normalise(roots, (*EXACT, *STABLE))
