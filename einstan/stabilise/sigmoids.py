"""sigmoids: quotients of a few exponentials -> sigmoid, tanh, erfc."""

from __future__ import annotations

from fractions import Fraction

from ..ir import Add, Call, Coef, Einsum, Node, add, ones, scale, zeros
from ..prims.scalar import COSH, ERF, EXP, EXPM1, HALF, POW, SIGMOID, SINH, TANH, minus, power
from ..prims.stable import ERFC
from ..rewrite import law
from ..rules import base_and_exponent
from .reading import MINUS, argument, place, replace_two, two_exponents, two_terms


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
