"""numpy: how every operation of a plan is written in numpy. Data only: texts, helpers, small facts.

A text names its arguments {0}, {1}, .., its parameters {p0}, .., its result {out}. A helper is the text of a function
that the generated source holds when it is used; it may read its arguments only before it writes `out`, if its row is
`in_place`. Nothing here is imported by generated source, which needs numpy alone.

A row tells what its text takes for a while beside its arguments and `out`, so that a plan knows its peak.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple


class Scratch(NamedTuple):
    """What an operation allocates for a while: `whole` arrays like its first argument, `flags` arrays of bools of that
    shape, `rows` arrays like it without the axes that are reduced, `results` arrays of doubles like `out`."""

    whole: int = 0
    flags: int = 0
    rows: int = 0
    results: int = 0


NOTHING = Scratch()


@dataclass(frozen=True, slots=True)
class Op:
    """One row: the text of the call; whether `out` may be an argument; the helper that it needs; what that takes."""

    text: str
    in_place: bool = False
    helper: str = ""
    scratch: Scratch = NOTHING


def ufunc(name: str, arity: int = 1) -> Op:
    """A function of numpy that works entry by entry, and so may write onto an argument."""
    return Op(f"np.{name}({', '.join(f'{{{n}}}' for n in range(arity))}, out={{out}})", in_place=True)


def helper(
    name: str, text: str, arity: int = 1, params: int = 0, in_place: bool = False, scratch: Scratch = NOTHING
) -> Op:
    args = [f"{{{n}}}" for n in range(arity)] + [f"{{p{n}}}" for n in range(params)]
    return Op(f"{name}({', '.join(args)}, {{out}})", in_place, text, scratch)


SIGMOID = '''
def sigmoid(x, out):
    """1 / (1 + exp(-x)): right at both ends, exp may overflow to inf."""
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.divide(1, out, out=out)
'''
SOFTPLUS = '''
def softplus(x, out):
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))."""
    large = np.maximum(x, 0)
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    np.log1p(out, out=out)
    np.add(out, large, out=out)
'''
ERF = '''
def erf(x, out):
    """The error function, entry by entry: numpy has none."""
    flags, access = ["buffered", "external_loop", "zerosize_ok"], [["readonly"], ["writeonly"]]
    for a, b in np.nditer([x, out], flags, access, ["d", "d"], casting="same_kind", buffersize=1024):
        b[:] = [math.erf(t) for t in a.tolist()]
'''
ERFC = '''
def erfc(x, out):
    """1 - erf(x), entry by entry, to full precision where that is small."""
    flags, access = ["buffered", "external_loop", "zerosize_ok"], [["readonly"], ["writeonly"]]
    for a, b in np.nditer([x, out], flags, access, ["d", "d"], casting="same_kind", buffersize=1024):
        b[:] = [math.erfc(t) for t in a.tolist()]
'''
LOGCOSH = '''
def logcosh(x, out):
    """log(cosh(x)): by squares near 0, as |x| - log(2) and a rest beyond."""
    size, far = np.abs(x), np.empty_like(out)
    np.multiply(size, -2, out=far)
    np.expm1(far, out=far)
    np.log1p(np.divide(far, 2, out=far), out=far)
    np.add(far, size, out=far)
    np.sinh(np.divide(x, 2, out=out), out=out)
    np.multiply(np.square(out, out=out), 2, out=out)
    np.log1p(out, out=out)
    np.copyto(out, far, where=size >= 1)
'''
SQUARES = """\
    np.multiply(x, x, out=out)
    for bit in bin(n)[3:-1]:
        if bit == "1":
            np.multiply(out, x, out=out)
        np.multiply(out, out, out=out)
    if n & 1:
        np.multiply(out, x, out=out)
"""
NATURAL = f'''
def natural_power(x, n, out):
    """x^n for n >= 2 by repeated squaring."""
{SQUARES}'''
NEGATIVE = f'''
def negative_power(x, n, out):
    """x^-n for n >= 2: the reciprocal of repeated squares."""
{SQUARES}    np.divide(1, out, out=out)
'''
RSQRT = '''
def reciprocal_root(x, out):
    """x^(-1/2); inf for -0, as for 0."""
    np.sqrt(x, out=out)
    np.abs(out, out=out)
    np.divide(1, out, out=out)
'''
WHERE = '''
def where(condition, a, b, out):
    """a where the condition is not 0, else b."""
    asked = condition if getattr(condition, "dtype", None) == bool else np.not_equal(condition, 0)
    np.copyto(out, b)
    np.copyto(out, a, where=asked)
'''
LOGSUMEXP = '''
def logsumexp(x, axis, out):
    """log(sum(exp(x))), -inf of nothing: the largest entry top, and log1p of what the others add to it."""
    top = np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    top[~np.isfinite(top)] = 0
    most = x == top
    terms = x - top
    np.exp(terms, out=terms)
    np.copyto(terms, 0, where=most)
    np.add.reduce(terms, axis=axis, out=out)
    np.add(out, np.add.reduce(most, axis=axis, dtype=out.dtype) - 1, out=out)
    np.log1p(out, out=out)
    np.add(out, top.reshape(out.shape), out=out)
'''
NORM = '''
def norm(x, axis, out):
    """sqrt(sum(x * x)), scaled by the largest entry so that no square overflows or vanishes."""
    top = np.maximum.reduce(np.abs(x), axis=axis, keepdims=True, initial=0)
    scale = np.where((top == 0) | np.isinf(top), 1, top).astype(x.dtype)
    part = x / scale
    np.add.reduce(np.square(part, out=part), axis=axis, out=out)
    np.sqrt(out, out=out)
    np.multiply(out, scale.reshape(out.shape), out=out)
'''
SOFTMAX = '''
def softmax(x, axis, out):
    """exp(x) / sum(exp(x)), the largest entry taken out first."""
    top = np.maximum.reduce(x, axis=axis, keepdims=True)
    top[~np.isfinite(top)] = 0
    np.subtract(x, top, out=out)
    np.exp(out, out=out)
    np.divide(out, np.add.reduce(out, axis=axis, keepdims=True), out=out)
'''
LOG_SOFTMAX = '''
def log_softmax(x, axis, out):
    """x - log(sum(exp(x))): the largest entry taken out first, and log1p of what the others add to it."""
    top = np.maximum.reduce(x, axis=axis, keepdims=True)
    top[~np.isfinite(top)] = 0
    most = x == top
    np.subtract(x, top, out=out)
    terms = np.exp(out)
    np.copyto(terms, 0, where=most)
    count = np.add.reduce(most, axis=axis, keepdims=True, dtype=out.dtype)
    np.subtract(out, np.log1p(np.add.reduce(terms, axis=axis, keepdims=True) + (count - 1)), out=out)
'''
UNIT = '''
def unit(x, axis, out):
    """x / sqrt(sum(x * x)), scaled as in norm."""
    top = np.maximum.reduce(np.abs(x), axis=axis, keepdims=True, initial=0)
    np.divide(x, np.where((top == 0) | np.isinf(top), 1, top), out=out)
    np.divide(out, np.sqrt(np.add.reduce(out * out, axis=axis, keepdims=True)), out=out)
'''

INV = """
def inv(a, out):
    np.copyto(out, np.linalg.inv(a))
"""
DET = """
def det(a, out):
    np.copyto(out, np.linalg.det(a))
"""
LOGDET = '''
def logdet(a, out):
    """log(|det(a)|): -inf where a is singular."""
    np.copyto(out, np.linalg.slogdet(a)[1])
'''
LOGDET_POSITIVE = '''
def logdet_positive(a, out):
    """log(det(a)): nan where that is negative."""
    sign, size = np.linalg.slogdet(a)
    np.copyto(out, size)
    np.copyto(out, np.nan, where=sign < 0)
'''
SOLVE = '''
def solve(a, b, columns, out):
    """x of a x = b, for all columns of b at once."""
    np.copyto(out, np.linalg.solve(a, b.reshape((*a.shape[:-1], columns))).reshape(out.shape))
'''
CHOLESKY = '''
def cholesky(a, out):
    """The lower triangle whose product with its transpose is a, of which the lower triangle is read."""
    np.copyto(out, np.linalg.cholesky(a))
'''
TRIL = """
def tril(a, out):
    np.copyto(out, 0)
    np.copyto(out, a, where=np.tri(*a.shape[-2:], dtype=bool))
"""

MATRICES: dict[str, Op] = {
    "inv": helper("inv", INV, scratch=Scratch(results=1)),
    "det": helper("det", DET, scratch=Scratch(results=1)),
    "logdet": helper("logdet", LOGDET, scratch=Scratch(results=2)),
    "logdet_positive": helper("logdet_positive", LOGDET_POSITIVE, scratch=Scratch(results=3)),
    "solve": helper("solve", SOLVE, 2, params=1, scratch=Scratch(results=1)),
    "cholesky": helper("cholesky", CHOLESKY, scratch=Scratch(results=1)),
    "tril": helper("tril", TRIL, scratch=Scratch(flags=1)),
}
PRIMITIVES: dict[str, Op] = {
    **{name: ufunc(name) for name in ("exp", "log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "asin": ufunc("arcsin"),
    "acos": ufunc("arccos"),
    "atan": ufunc("arctan"),
    "abs": ufunc("abs"),
    "sign": ufunc("sign"),
    "sigmoid": helper("sigmoid", SIGMOID, in_place=True),
    "softplus": helper("softplus", SOFTPLUS, in_place=True, scratch=Scratch(1)),
    "erf": helper("erf", ERF, in_place=True),
    "relu": Op("np.maximum({0}, 0, out={out})", in_place=True),
    "step": Op("np.greater({0}, 0, out={out})", in_place=True),
    "pow": Op("np.power({0}, {p0}, out={out})", in_place=True),
    "power": ufunc("power", 2),
    "logaddexp": ufunc("logaddexp", 2),
    "logcosh": helper("logcosh", LOGCOSH, in_place=True, scratch=Scratch(2, 1)),
    "erfc": helper("erfc", ERFC, in_place=True),
    "max": ufunc("maximum", 2),
    "min": ufunc("minimum", 2),
    "<": ufunc("less", 2),
    "<=": ufunc("less_equal", 2),
    ">": ufunc("greater", 2),
    ">=": ufunc("greater_equal", 2),
    "==": ufunc("equal", 2),
    "where": helper("where", WHERE, 3),
    "amax": Op("np.maximum.reduce({0}, axis={p0}, out={out})"),
    "amin": Op("np.minimum.reduce({0}, axis={p0}, out={out})"),
    "prod": Op("np.multiply.reduce({0}, axis={p0}, out={out})"),
    "logsumexp": helper("logsumexp", LOGSUMEXP, params=1, scratch=Scratch(1, 1, 2)),
    "norm": helper("norm", NORM, params=1, scratch=Scratch(1, 0, 3)),
    "softmax": helper("softmax", SOFTMAX, params=1, in_place=True, scratch=Scratch(0, 0, 2)),
    "log_softmax": helper("log_softmax", LOG_SOFTMAX, params=1, in_place=True, scratch=Scratch(1, 1, 3)),
    "unit": helper("unit", UNIT, params=1, in_place=True, scratch=Scratch(1, 0, 2)),
    **MATRICES,
    "concat": Op("np.copyto({out}, {0})"),  # each part; the planner writes most parts in place
    "part": Op("np.copyto({out}, {0})"),  # a view; copied only as a result
}
STRUCTURE: dict[str, Op] = {
    "add": ufunc("add", 2),
    "subtract": ufunc("subtract", 2),
    "multiply": ufunc("multiply", 2),
    "square": ufunc("square"),
    "sqrt": ufunc("sqrt"),
    "reciprocal": Op("np.divide(1, {0}, out={out})", in_place=True),
    "reciprocal_root": helper("reciprocal_root", RSQRT, in_place=True),
    "natural_power": helper("natural_power", NATURAL, params=1),
    "negative_power": helper("negative_power", NEGATIVE, params=1),
    "dot": Op("{0}.dot({1}, out={out})"),
    "matmul": Op("np.matmul({0}, {1}, out={out})"),
    "sum": Op("np.add.reduce({0}, axis={p0}, out={out})"),
    "fold": Op("np.einsum({0}, {p0}, {1}, {p0}, {p1}, out={out}, optimize=False)"),
    "copy": Op('np.copyto({out}, {0}, casting="unsafe")'),
    "fill": Op("{out}.fill({0})"),
    "ones": Op("{out}.fill(1)"),
    "transpose": Op("{0}.transpose({p})"),
    "reshape": Op("{0}.reshape({p})"),
    "index": Op("{0}[{p}]"),
    "diagonal": Op("np.einsum({0}, {p0}, {p1}, optimize=False)"),
}
OPS: dict[str, Op] = {**PRIMITIVES, **STRUCTURE}

COMPARISONS = frozenset({"<", "<=", ">", ">=", "=="})
REDUCTIONS = frozenset({"amax", "amin", "prod", "logsumexp", "norm", "softmax", "log_softmax", "unit"})
IN_PLACE = frozenset(name for name, op in OPS.items() if op.in_place)
POWERS = {
    Fraction(2): "square",
    Fraction(1, 2): "sqrt",
    Fraction(-1): "reciprocal",
    Fraction(-1, 2): "reciprocal_root",
}

# ---------------------------------------------------------------- constants, folded when planning

Fold = Callable[[Sequence[float], Sequence[Any], int], float]  # (arguments, params, entries reduced)


def safe(f: Callable[..., float]) -> Fold:
    """f as numpy has it: inf where it overflows, nan where it is not defined."""

    def fold(args: Sequence[float], params: Sequence[Any], n: int) -> float:
        try:
            return float(f(*args))
        except OverflowError:
            return math.inf
        except (ValueError, ZeroDivisionError):
            return math.nan

    return fold


def logarithm(x: float) -> float:
    return -math.inf if x == 0 else math.log(x)


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else math.exp(x)


def raised(args: Sequence[float], params: Sequence[Any], n: int) -> float:
    (x,), (q,) = args, params
    if x < 0 and q.denominator != 1:
        return math.nan
    return safe(power)((x, q), (), 0)


def power(x: float, y: float) -> float:
    if x == 0 and y < 0:
        return math.inf
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf


def hyperbolic_sine(x: float) -> float:
    return math.sinh(x) if abs(x) < 700 else math.copysign(math.exp(min(abs(x) - math.log(2), 800)), x)


def signum(x: float) -> float:
    return x if math.isnan(x) else (x > 0) - (x < 0)


def extreme(best: Callable[[float, float], float]) -> Callable[[float, float], float]:
    """max or min, of which one nan makes a nan."""
    return lambda a, b: math.nan if math.isnan(a) or math.isnan(b) else best(a, b)


FOLD: dict[str, Fold] = {
    **{name: safe(getattr(math, name)) for name in ("exp", "expm1", "sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: safe(getattr(math, name)) for name in ("cosh", "tanh", "erf", "erfc")},
    "log": safe(logarithm),
    "log1p": safe(lambda x: -math.inf if x == -1 else math.log1p(x)),
    "abs": safe(abs),
    "sign": safe(signum),
    "sinh": safe(hyperbolic_sine),
    "sigmoid": safe(logistic),
    "softplus": safe(lambda x: max(x, 0) + math.log1p(math.exp(-abs(x)))),
    "relu": safe(lambda x: max(x, 0)),
    "step": safe(lambda x: x > 0),
    "pow": raised,
    "power": safe(power),
    "logaddexp": safe(lambda a, b: max(a, b) + math.log1p(math.exp(-abs(a - b)))),
    "logcosh": safe(lambda x: abs(x) + math.log1p(math.expm1(-2 * abs(x)) / 2)),
    "max": safe(extreme(max)),
    "min": safe(extreme(min)),
    "<": safe(lambda a, b: a < b),
    "<=": safe(lambda a, b: a <= b),
    ">": safe(lambda a, b: a > b),
    ">=": safe(lambda a, b: a >= b),
    "==": safe(lambda a, b: a == b),
    "where": safe(lambda c, a, b: a if c else b),
    "part": safe(lambda x: x),
    "amax": safe(lambda x: x),
    "amin": safe(lambda x: x),
    "prod": lambda args, params, n: safe(power)((args[0], n), (), 0),
    "logsumexp": lambda args, params, n: args[0] + math.log(n) if n else -math.inf,
    "norm": lambda args, params, n: abs(args[0]) * math.sqrt(n),
    "softmax": lambda args, params, n: 1 / n,
    "log_softmax": lambda args, params, n: -math.log(n),
    "unit": lambda args, params, n: safe(lambda x: x / (abs(x) * math.sqrt(n)))(args, params, n),
}
