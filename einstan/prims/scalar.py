"""scalar: entry-by-entry primitives, each with its derivative written in nodes.

All arguments have one shape. Letters: x, a, b arguments, y the result, q an exponent.
Kinks: relu'(0) = abs'(0) = sign' = step' = 0; ties of max and min share equally.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from ..ir import Call, Node, Prim, Shape, add, const, number, pattern, scale, split, times, within_digits, zeros

HALF = Fraction(1, 2)
MAX_POWER = 10_000


def same_shape(args: tuple[Node, ...], params: tuple[Any, ...]) -> Shape:
    return args[0].shape


def plus(*terms: Node) -> Node:
    return add([(1, t) for t in terms], terms[0].shape)


def minus(a: Node, b: Node) -> Node:
    return add([(1, a), (-1, b)], a.shape)


def like(x: Node, value: Fraction | int) -> Node:
    """The number, repeated to x's shape."""
    return number(value, x.shape)


def one_minus(x: Node) -> Node:
    return minus(like(x, 1), x)


def power(x: Node, q: Fraction | int) -> Node:
    """x^q for a rational constant q; x^0 is 1, x^1 is x, (x^a)^b is x^(a b) for integers."""
    q = Fraction(q)
    coef, core = split(x)
    if q == 0:
        return like(x, 1)
    if q == 1:
        return x
    whole = q.denominator == 1 and abs(q) <= MAX_POWER and not coef.huge_as_power(int(q))
    if core is not x and whole and (q > 0 or coef.rational):
        raised = coef.power(int(q))
        if not raised.huge:
            return scale(raised, power(core, q))
    if x is like(x, 1):
        return x
    if isinstance(x, Call) and x.prim is POW:
        inner = x.params[0]
        assert isinstance(inner, Fraction)
        if q.denominator == inner.denominator == 1:
            return power(x.operands[0], q * inner)
    return POW(x, params=(within_digits(q),))


def pi_power(x: Node, q: Fraction) -> Node:
    """π^q, repeated to x's shape."""
    return pattern(power(const("pi"), q), (), range(x.rank), dict(enumerate(x.shape)))


def gelu(x: Node) -> Node:
    """x (1 + erf(x/√2)) / 2."""
    scaled = times(x, power(like(x, 2), -HALF))
    return scale(HALF, times(x, plus(like(x, 1), ERF(scaled))))


def silu(x: Node) -> Node:
    """x σ(x)."""
    return times(x, SIGMOID(x))


def elu(x: Node) -> Node:
    """x where x > 0, else exp(x) - 1."""
    return WHERE(GT(x, zeros(x.shape)), x, EXPM1(x))


def tie_share(a: Node, b: Node) -> Node:
    """1 where a > b, 1/2 where a = b."""
    return add([(1, GT(a, b)), (HALF, EQ(a, b))], a.shape)


Rule = Callable[..., Node]  # (y, x) or (y, a, b): the result, then the arguments


def unary(name: str, rule: Rule, latex: str = "", domain: str = "real") -> Prim:
    return Prim(name, 1, same_shape, partial=lambda y, k: rule(y, *y.operands), latex=latex, domain=domain)


def binary(name: str, left: Rule, right: Rule, latex: str = "", domain: str = "real") -> Prim:
    rules = (left, right)
    return Prim(name, 2, same_shape, partial=lambda y, k: rules[k](y, *y.operands), latex=latex, domain=domain)


def none(y: Node, *args: Node) -> Node:
    return zeros(y.shape)


def power_base(y: Node, a: Node, b: Node) -> Node:
    """b a^(b-1), and 0 where a = b = 0."""
    nothing = zeros(b.shape)
    both = times(EQ(a, nothing), EQ(b, nothing))
    return WHERE(both, nothing, times(b, POWER(a, minus(b, like(b, 1)))))


def power_exponent(y: Node, a: Node, b: Node) -> Node:
    """a^b log a, and 0 where a = 0."""
    return WHERE(EQ(a, zeros(a.shape)), zeros(a.shape), times(y, LOG(a)))


def pow_partial(y: Call, k: int) -> Node:
    """q x^(q-1)."""
    (q,) = y.params
    assert isinstance(q, Fraction)
    return scale(q, power(y.operands[0], q - 1))


def where_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """The cotangent goes where the value came from; the other side gets an exact 0, whatever it holds."""
    axes = tuple(range(ct.rank))
    condition = pattern(y.operands[0], axes[seeds:], axes, dict(enumerate(ct.shape)))
    nothing = zeros(ct.shape)
    return (
        (nothing, WHERE(condition, ct, nothing), WHERE(condition, nothing, ct))[k]
        if k
        else zeros(ct.shape[:seeds] + y.operands[0].shape)
    )


# name, ∂y/∂x; LaTeX where it differs from \name; domain for tests
EXP = unary("exp", lambda y, x: y)
LOG = unary("log", lambda y, x: power(x, -1), domain="positive")
LOG1P = unary("log1p", lambda y, x: power(plus(like(x, 1), x), -1), r"\operatorname{log1p}", "positive")
EXPM1 = unary("expm1", lambda y, x: EXP(x), r"\operatorname{expm1}")
SIN: Prim = unary("sin", lambda y, x: COS(x))
COS: Prim = unary("cos", lambda y, x: scale(-1, SIN(x)))
TAN = unary("tan", lambda y, x: plus(like(x, 1), power(y, 2)), domain="unit")
ASIN: Prim = unary("asin", lambda y, x: power(one_minus(power(x, 2)), -HALF), r"\arcsin", "unit")
ACOS: Prim = unary("acos", lambda y, x: scale(-1, power(one_minus(power(x, 2)), -HALF)), r"\arccos", "unit")
ATAN = unary("atan", lambda y, x: power(plus(like(x, 1), power(x, 2)), -1), r"\arctan")
SINH: Prim = unary("sinh", lambda y, x: COSH(x))
COSH: Prim = unary("cosh", lambda y, x: SINH(x))
TANH = unary("tanh", lambda y, x: one_minus(power(y, 2)))
SIGMOID = unary("sigmoid", lambda y, x: times(y, one_minus(y)), r"\sigma")
RELU: Prim = unary("relu", lambda y, x: STEP(x), r"\operatorname{relu}")
SOFTPLUS = unary("softplus", lambda y, x: SIGMOID(x), r"\operatorname{softplus}")
ERF = unary("erf", lambda y, x: scale(2, times(pi_power(x, -HALF), EXP(scale(-1, power(x, 2))))), r"\operatorname{erf}")
ABS: Prim = unary("abs", lambda y, x: SIGN(x), r"\operatorname{abs}")
SIGN: Prim = unary("sign", none, r"\operatorname{sign}")
STEP: Prim = unary("step", none, r"\operatorname{step}")
POW = Prim("pow", 1, same_shape, partial=pow_partial, domain="positive")
POWER = binary("power", power_base, power_exponent, domain="positive")
MAX = binary("max", lambda y, a, b: tie_share(a, b), lambda y, a, b: tie_share(b, a))
MIN = binary("min", lambda y, a, b: tie_share(b, a), lambda y, a, b: tie_share(a, b))
LT = binary("<", none, none)
LE = binary("<=", none, none, r"\le")
GT = binary(">", none, none)
GE = binary(">=", none, none, r"\ge")
EQ = binary("==", none, none)
WHERE = Prim("where", 3, same_shape, pull=where_pull, latex=r"\operatorname{where}")

CALLED = (
    *(EXP, LOG, LOG1P, EXPM1, SIN, COS, TAN, ASIN, ACOS, ATAN, SINH, COSH, TANH, SIGMOID, RELU, SOFTPLUS),
    *(ERF, ABS, SIGN, STEP, MAX, MIN, WHERE),
)
COMPARISONS = {"<": LT, "<=": LE, ">": GT, ">=": GE, "==": EQ}
SCALAR = {p.name: p for p in (*CALLED, POW, POWER, *COMPARISONS.values())}
# functions of the language that are written in others
COMPOSED: dict[str, Callable[[Node], Node]] = {
    "sqrt": lambda x: power(x, HALF),
    "gelu": gelu,
    "silu": silu,
    "elu": elu,
}
# how the language's names are built; an operator has no name, so a function of a user may be called `power`
FUNCTIONS: dict[str, Callable[..., Node]] = {**{p.name: p for p in CALLED}, **COMPOSED}
