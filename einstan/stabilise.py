"""stabilise: formulas that overflow or cancel as they are spelled -> the primitives that do not.

Runs on the inlined graph and before each derivative: one taken of the naive form has the damage in it.
The first line of each docstring is the law, and is its test; logaddexp, logcosh, erfc, unit are primitives of
prims.stable. The laws of EXACT_FORMS give what the formula gives also where its arguments are infinite or nan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import reduce

from .ir import UNIT as ONE
from .ir import Add, Call, Coef, Einsum, Labels, Node, Prim, add, einsum, ones, pattern, scale, split, times, zeros
from .prims.reduce import LOG_SOFTMAX, LOGSUMEXP, NORM, SOFTMAX
from .prims.scalar import (
    ABS,
    COSH,
    ERF,
    EXP,
    EXPM1,
    HALF,
    LOG,
    LOG1P,
    POW,
    POWER,
    SIGMOID,
    SINH,
    SOFTPLUS,
    TANH,
    like,
    minus,
    plus,
    power,
)
from .prims.stable import ERFC, LOGADDEXP, LOGCOSH, UNIT
from .rewrite import law, normalise
from .rules import EXACT, LAWS, base_and_exponent, drop_axes, number_of, repeated_axes

Terms = list[tuple[Coef, Node]]
MINUS = Coef(Fraction(-1))


def argument(node: Node, prim: object) -> Node | None:
    """x, if the node is prim(x)."""
    return node.operands[0] if isinstance(node, Call) and node.prim is prim else None


def exponent(node: Node) -> Node | None:
    """u, if the node is exp(u), 1 = exp(0), or a power 2^z = exp(z log(2)) of a number."""
    if node is ones(node.shape):
        return zeros(node.shape)
    if isinstance(node, Call) and node.prim is POWER:
        base, z = node.operands
        number = number_of(base)
        return times(z, LOG(like(z, number))) if number is not None and number > 0 else None
    return argument(node, EXP)


def exponent_of_product(e: Einsum) -> Node | None:
    """u1 + u2 + .. over all labels of e in the order of `e.dims`, if its operands are exp(u1), exp(u2), .."""
    found = [exponent(o) for o in e.operands]
    if not found or any(u is None for u in found) or any(len(set(own)) < len(own) for own in e.labels):
        return None
    every, dims = tuple(e.dims), e.dims
    terms = [pattern(u, own, every, dims) for u, own in zip(found, e.labels, strict=True) if u is not None]
    return add([(1, u) for u in terms], tuple(dims.values()))


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


def two_exponents(node: Node, sign: int) -> tuple[Node, Node] | None:
    """(u, v), if the node is exp(u) + sign exp(v)."""
    if sign < 0 and (u := argument(node, EXPM1)) is not None:
        return u, zeros(node.shape)
    if not isinstance(node, Add) or [c.rational * sign for c in node.coefs] != [sign, 1]:
        return None
    u, v = (exponent(o) for o in node.operands)
    return None if u is None or v is None or any(c.sizes for c in node.coefs) else (u, v)


def two_terms(a: Add, prim: Prim) -> tuple[Coef, Coef, Node] | None:
    """(c, d, x), if the sum is c + d prim(x)."""
    coefs = {o: c for c, o in a.terms}
    call = next((o for o in a.operands if argument(o, prim) is not None), None)
    one = coefs.get(ones(a.shape))
    return None if call is None or one is None or len(a.operands) != 2 else (one, coefs[call], call.operands[0])


# ---------------------------------------------------------------- logarithms


@law(LOG)
def log_sum_exp(y: Call) -> Node | None:
    """log(sum[k](exp(z[i,k]))) -> logsumexp[k](z[i,k])."""
    return None if isinstance(split(y.operands[0])[1], Add) else log_of_exponentials(y.operands[0])


@law(LOG)
def log_add_exp(y: Call) -> Node | None:
    """log(exp(x[i]) + exp(z[i])) -> logaddexp(z[i], x[i])."""
    return log_of_exponentials(y.operands[0]) if isinstance(split(y.operands[0])[1], Add) else None


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
    """Whether the node is a power of what has a logarithm that is better than its value."""
    base, _ = base_and_exponent(node)
    named = isinstance(base, Call) and base.prim in (SIGMOID, SOFTMAX, COSH)
    return named or log_of_exponentials(base) is not None


def log_of_power(node: Node) -> Node:
    base, q = base_and_exponent(node)
    return scale(q, LOG(base))


@law(Add)
def log_softmax_from_difference(a: Add) -> Node | None:
    """z[i,k] - logsumexp[k](z[i,k]) -> log_softmax[k](z[i,k])."""
    for c, term in a.terms:
        for z, result in normalised(term):
            found = without(a, (c, term), opposite(c, z))
            if found is not None:
                return add([*found, (c * MINUS, result)], a.shape)
    return None


def opposite(c: Coef, x: Node) -> tuple[Coef, Node]:
    """-c x as the term that a sum holds."""
    inner, core = split(x)
    return c * inner * MINUS, core


def without(a: Add, *terms: tuple[Coef, Node]) -> Terms | None:
    """The other terms, if the sum has these."""
    rest = [t for t in a.terms if t not in terms]
    return rest if len(rest) == len(a.terms) - len(terms) else None


def normalised(term: Node) -> Iterator[tuple[Node, Node]]:
    """(z, log_softmax(z)) along the axes of `term`, where that is logsumexp(z) repeated along those it reduces."""
    y, own, out = as_pattern(term)
    if not isinstance(y, Call) or y.prim is not LOGSUMEXP or len(set(out)) < len(out):
        return
    (z,) = y.operands
    along = tuple(label for label in out if label not in own)
    if tuple(z.shape[y.rank :]) == tuple(term.shape[out.index(label)] for label in along):
        yield pattern(z, own + along, out, {}), pattern(LOG_SOFTMAX(z, params=y.params), own + along, out, {})


def as_pattern(node: Node) -> tuple[Node, Labels, Labels]:
    """(x, own, out) with node[out] = x[own]: what the node shows, and how."""
    if isinstance(node, Einsum) and node.is_pattern and node.operands:
        return node.operands[0], node.labels[0], node.out
    every = tuple(range(node.rank))
    return node, every, every


@law(Add)
def softplus_from_difference(a: Add) -> Node | None:
    """x[i] + softplus(-x[i]) -> softplus(x[i])."""
    for c, term in a.terms:
        u = argument(term, SOFTPLUS)
        found = None if u is None else without(a, (c, term), opposite(c, u))
        if u is not None and found is not None:
            return add([*found, (c, SOFTPLUS(scale(-1, u)))], a.shape)
    return None


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


# ---------------------------------------------------------------- sigmoid, tanh, erf


@law(EXP)
def exp_of_zero(y: Call) -> Node | None:
    """exp(0) -> 1."""
    return ones(y.shape) if y.operands[0] is zeros(y.shape) else None


@law(POW)
def power_of_exp(y: Call) -> Node | None:
    """exp(x[i])^2 -> exp(2 x[i])."""
    base, q = base_and_exponent(y)
    u = argument(base, EXP)
    return None if u is None else EXP(scale(q, u))


@law(Add)
def exp_from_expm1(a: Add) -> Node | None:
    """expm1(x[i]) + 2 -> exp(x[i]) + 1."""
    found = two_terms(a, EXPM1)
    if found is None or found[0].sizes or found[1].sizes or found[0].rational / found[1].rational < 1:
        return None
    one, c, x = found
    return add([(c, EXP(x)), (one.rational - c.rational, ones(a.shape))], a.shape)


@law(Add)
def one_minus_sigmoid(a: Add) -> Node | None:
    """1 - sigmoid(x[i]) -> sigmoid(-x[i])."""
    found = two_terms(a, SIGMOID)
    if found is None or found[0] != found[1] * MINUS:
        return None
    return scale(found[0], SIGMOID(scale(-1, found[2])))


@law(Add)
def one_minus_erf(a: Add) -> Node | None:
    """1 - erf(x[i]) -> erfc(x[i])."""
    found = two_terms(a, ERF)
    if found is None:
        return None
    one, c, x = found
    if c == one:
        return scale(one, ERFC(scale(-1, x)))
    return scale(one, ERFC(x)) if c == one * MINUS else None


@law(Einsum)
def share_of_two(e: Einsum) -> Node | None:
    """exp(x[i]) / (exp(x[i]) + exp(z[i])) -> sigmoid(x[i] - z[i])."""
    for n, operand in enumerate(e.operands):
        base, q = base_and_exponent(operand)
        found = two_exponents(base, 1) if q < 0 and q.denominator == 1 else None
        for u, v in [found, found[::-1]] if found else []:
            k = place(e, EXP(u), e.labels[n])
            if k is not None:
                return replace_two(e, n, k, [SIGMOID(minus(u, v)), power(base, q + 1)])
    return None


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
        for k, above in enumerate(e.operands if below else ()):
            found = two_exponents(above, -1)
            if found and below and set(found) == set(below) and e.labels[k] == e.labels[n]:
                return replace_two(e, n, k, [TANH(scale(HALF, signed_difference(above, found)))])
    return None


def signed_difference(node: Node, exponents: tuple[Node, Node]) -> Node:
    """u - v for exp(u) - exp(v), the minus where it stands; expm1(u) is exp(u) - exp(0)."""
    u, v = exponents
    return minus(v, u) if isinstance(node, Add) and node.coefs[0].rational < 0 else minus(u, v)


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
    found = two_terms(a, SIGMOID)
    if found is None or found[1] != found[0] * Coef(Fraction(-2)):
        return None
    return scale(found[1] * Coef(HALF), TANH(scale(HALF, found[2])))


# ---------------------------------------------------------------- norms


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


EXACT_FORMS = (
    *(log_sum_exp, log_add_exp, log1p_exp, log_softmax, log_reciprocal, log_sigmoid, log1p_minus_sigmoid, log_of_cosh),
    *(softmax, log_softmax_from_difference, exp_of_zero, power_of_exp, exp_from_expm1, one_minus_sigmoid),
    *(one_minus_erf, logistic, tanh_from_twice_sigmoid, root_of_squares, root_of_square, unit_vector),
)
FINITE_FORMS = (  # where an exponential is infinite, the formula is inf / inf or inf - inf
    *(log_of_product, shifted_logsumexp, shifted_softmax, softplus_from_difference, share_of_two, exp_times_sigmoid),
    *(tanh_from_exponentials, tanh_from_sigmoid, tanh_from_hyperbolic),
)
STABLE = (*EXACT_FORMS, *FINITE_FORMS)


def stabilise(roots: Sequence[Node]) -> list[Node]:
    """Nodes of equal value that neither overflow nor cancel where the formula's value is ordinary."""
    return normalise(roots, (*LAWS, *STABLE))


def stabilise_exactly(roots: Sequence[Node]) -> list[Node]:
    """The same by laws that hold for infinite values too."""
    return normalise(roots, (*EXACT, *EXACT_FORMS))
