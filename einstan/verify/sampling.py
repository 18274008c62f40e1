"""sampling: float64 values of nodes at random points, each entry with a bound of what rounding may have made of it.

`Floats` are plain values, several points beside each other. `Rounded` has two lanes, the value and its bound. Two
values are equal where they differ by no more than their bounds, different where they differ by far more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ..dims import Env
from ..ir import Add, Call, Einsum, Labels, Node, toposort
from ..prims.scalar import POW
from .degrees import is_whole
from .instances import seed_of, waves
from .magnitudes import magnitudes
from .values import Array, Factor, Point, Unknown

EPS = float(np.finfo(float).eps)
TINY = float(np.finfo(float).tiny)  # below it numbers lose digits, and are 0 at last
FAR = 64.0  # bounds between what may be equal and what is different
INFORMATIVE = 1e-6  # of the largest term: a wider bound says nothing
ULPS = 4.0  # of numpy's functions
SOLVED = 16.0  # bounds of inputs that were found to satisfy facts, in units of rounding
MIXED = 60  # pairs of points at which each input is large or small by itself
SIGNS = 4  # directions in which a matrix is moved by its bound


def real(q: Fraction) -> float:
    try:
        return float(q)
    except OverflowError:
        return math.inf if q > 0 else -math.inf


def comparison(compare: Callable[..., Any]) -> Callable[..., Array]:
    return lambda a, b: np.asarray(compare(a, b), float)


def chosen(c: Array, a: Array, b: Array) -> Array:
    return np.where(c != 0, a, b)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "abs": np.abs,
    "sign": np.sign,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sigmoid": lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))),
    "softplus": lambda x: np.logaddexp(0, x),
    "erf": np.vectorize(math.erf, otypes=[float]),
    "relu": lambda x: np.maximum(x, 0),
    "step": lambda x: np.asarray(x > 0, float),
    "power": np.power,
    "max": np.maximum,
    "min": np.minimum,
    "<": comparison(np.less),
    "<=": comparison(np.less_equal),
    ">": comparison(np.greater),
    ">=": comparison(np.greater_equal),
    "==": comparison(np.equal),
    "where": chosen,
}


def logdet_positive(a: Array) -> Array:
    sign, size = np.linalg.slogdet(a)
    return np.where(sign > 0, size, np.nan)


def solve(a: Array, b: Array) -> Array:
    rows = a.shape[:-1]
    return np.linalg.solve(a, b.reshape(*rows, math.prod(b.shape[len(rows) :]))).reshape(b.shape)


MATRICES: dict[str, Callable[..., Array]] = {
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "logdet": lambda a: np.linalg.slogdet(a)[1],
    "logdet_positive": logdet_positive,
    "solve": solve,
    "cholesky": np.linalg.cholesky,
    "tril": np.tril,
}


def of_matrix(name: str, args: Sequence[Array]) -> Array:
    try:
        return np.asarray(MATRICES[name](*args))
    except np.linalg.LinAlgError:
        raise Unknown(f"{name} has no value.") from None


def einsum(factors: Sequence[Factor], out: Labels) -> Array:
    """The contraction lane by lane."""
    names = {label: n + 1 for n, label in enumerate(dict.fromkeys(label for _, own in factors for label in own))}
    words: list[Any] = []
    for x, own in factors:
        words += [x, [0, *(names[label] for label in own)]]
    found: Array = np.einsum(*words, [0, *(names[label] for label in out)])
    return found


def peak(x: Array, n: int) -> Array:
    found: Array = x.max(tuple(range(x.ndim - n, x.ndim)), keepdims=True, initial=-np.inf)
    return np.where(np.isfinite(found), found, 0)


def entries_added(factors: Sequence[Factor], out: Labels) -> int:
    """How many entries each entry of the contraction is the sum of."""
    size = {label: n for x, own in factors for label, n in zip(own, x.shape[1:], strict=True)}
    return math.prod(n for label, n in size.items() if label not in out)


# ---------------------------------------------------------------- what inputs are

Style = Callable[[np.random.Generator, tuple[int, ...]], Array]
STYLES: tuple[Style, ...] = (
    lambda rng, shape: rng.standard_normal(shape),
    lambda rng, shape: rng.uniform(0.3, 2.0, shape),
    lambda rng, shape: rng.uniform(0.05, 0.6, shape),
    lambda rng, shape: 3 * rng.standard_normal(shape),
    lambda rng, shape: 0.3 * rng.standard_normal(shape),
)


@dataclass(frozen=True)
class Draw:
    """Inputs at random by name, the same for whoever asks; `fixed` are those that are known."""

    seed: int
    style: int | None = None  # of all inputs, else of each its own
    fixed: Mapping[str, Array] = field(default_factory=dict)
    magnitudes: Sequence[float] = (1.0,)  # each input has one of them

    def __call__(self, name: str, shape: tuple[int, ...]) -> Array:
        if name in self.fixed:
            return self.fixed[name]
        rng = np.random.default_rng(seed_of(self.seed, name))
        style = int(rng.integers(len(STYLES))) if self.style is None else self.style
        found = STYLES[style](rng, shape)
        return self.magnitudes[int(rng.integers(len(self.magnitudes)))] * found


# ---------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Floats:
    """Plain values; one lane for each draw."""

    draws: Sequence[Draw]
    seed: int = 0

    def number(self, q: Fraction) -> Array:
        return np.full(len(self.draws), real(q))

    def constant(self, name: str) -> Array:
        return np.full(len(self.draws), {"pi": math.pi}[name])

    def given(self, name: str, shape: tuple[int, ...]) -> Array:
        return np.stack([draw(name, shape) for draw in self.draws])

    def combined(self, terms: Sequence[tuple[Fraction, Array]]) -> Array:
        total = real(terms[0][0]) * terms[0][1]
        for q, x in terms[1:]:
            total = total + real(q) * x
        return total

    def contracted(self, factors: Sequence[Factor], out: Labels) -> Array:
        return einsum(factors, out)

    def raised(self, x: Array, q: Fraction) -> Array:
        return raised(x, q)

    def applied(self, name: str, args: Sequence[Array]) -> Array:
        return FUNCTIONS[name](*args)

    def peak(self, x: Array, n: int) -> Array:
        return peak(x, n)

    def of_matrix(self, name: str, args: Sequence[Array]) -> Array:
        return of_matrix(name, args)

    def opaque(
        self, name: str, lead: int, new: tuple[int, ...], slots: tuple[int, ...], args: Sequence[Array]
    ) -> Array:
        return waves(self, self.exactly, name, lead, new, slots, args, self.seed)

    def exactly(self, x: Array) -> Array:
        return np.broadcast_to(x, (len(self.draws), *x.shape))


def raised(x: Array, q: Fraction) -> Array:
    if q.denominator == 1 and abs(q) < 64:
        return np.power(x, int(q)) if q >= 0 else 1 / np.power(x, -int(q))
    return np.power(x, real(q))


@dataclass(frozen=True)
class Rounded:
    """Two lanes: the value, and a bound of its error."""

    draw: Draw
    seed: int = 0

    def number(self, q: Fraction) -> Array:
        value = real(q)
        return np.array([value, 0 if Fraction(value) == q else EPS * abs(value)]) if math.isfinite(value) else INFINITE

    def constant(self, name: str) -> Array:
        return np.array([math.pi, EPS * math.pi])

    def given(self, name: str, shape: tuple[int, ...]) -> Array:
        found = self.exactly(self.draw(name, shape))
        if name in self.draw.fixed:
            found[1] = SOLVED * EPS * (1 + np.abs(found[0]))
        return found

    def exactly(self, x: Array) -> Array:
        return np.stack([x, np.zeros_like(x)])

    def combined(self, terms: Sequence[tuple[Fraction, Array]]) -> Array:
        coefs = [real(q) for q, _ in terms]
        value = sum(c * x[0] for c, (_, x) in zip(coefs, terms, strict=True))
        size = sum(abs(c) * np.abs(x[0]) for c, (_, x) in zip(coefs, terms, strict=True))
        own = sum(abs(c) * x[1] for c, (_, x) in zip(coefs, terms, strict=True))
        alone = len(terms) == 1 and abs(coefs[0]) == 1
        return np.stack([value, own + (0 if alone else (len(terms) + 1) * EPS * size)])

    def contracted(self, factors: Sequence[Factor], out: Labels) -> Array:
        """Of x y: |x| and its bound times the bound of y, the bound of x times |y|, and what adding rounds off."""
        values = [(x[:1], own) for x, own in factors]
        sizes = [(abs(x), own) for x, own in values]
        errors = [(x[1:], own) for x, own in factors]
        error = einsum([errors[0], *sizes[1:]], out)
        if len(factors) == 2:
            error = error + einsum([(sizes[0][0] + errors[0][0], sizes[0][1]), errors[1]], out)
        rounding = (entries_added(factors, out) + len(factors) - 2) * EPS
        return np.concatenate([einsum(values, out), error + rounding * einsum(sizes, out)])

    def raised(self, x: Array, q: Fraction) -> Array:
        return self.moved(lambda a: raised(a, q), [x], ULPS)

    def applied(self, name: str, args: Sequence[Array]) -> Array:
        found = self.moved(FUNCTIONS[name], args, 0 if name in PIECEWISE else ULPS)
        if name in JUMPS:  # what is equal to the last bit is equal: x == max(x)
            found[1] = np.where(args[0][0] == (args[1][0] if len(args) > 1 else 0), 0, found[1])
        if name == "where":  # a condition that is not certain may be the other one
            found[1] += np.where(args[0][1] > 0, abs(args[1][0] - args[2][0]) + args[1][1] + args[2][1], 0)
        if name in PERIODIC:  # moved by a period they are as they were
            found[1] += args[0][1] * (1 + found[0] ** 2)
        return found

    def moved(self, f: Callable[..., Array], args: Sequence[Array], ulps: float) -> Array:
        """Each argument moved by its bound both ways; what that changes, and the rounding of the function itself."""
        values = [x[0] for x in args]
        value = f(*values)
        error = ulps * np.maximum(EPS * np.abs(value), np.where(np.abs(value) < TINY, TINY, 0))
        for n, x in enumerate(args):
            step = 2 * x[1] + np.where(x[1] > 0, np.spacing(np.abs(x[0])), 0)
            for sign in (1, -1):
                error = error + np.abs(f(*[v + sign * step if k == n else v for k, v in enumerate(values)]) - value)
        return np.stack([value, error])

    def peak(self, x: Array, n: int) -> Array:
        return self.exactly(peak(x[0], n))

    def of_matrix(self, name: str, args: Sequence[Array]) -> Array:
        """The matrices moved by their bounds and their rounding in some directions."""
        if name == "tril":
            return np.tril(args[0])
        value = of_matrix(name, [x[0] for x in args])
        n = args[0].shape[-1]
        rng = np.random.default_rng(abs(self.seed))
        error = 8 * n * EPS * np.abs(value)
        for _ in range(SIGNS):
            off = [(x[1] + n * EPS * np.abs(x[0])) * rng.choice([-1.0, 1.0], x[0].shape) for x in args]
            error = error + np.abs(of_matrix(name, [x[0] + e for x, e in zip(args, off, strict=True)]) - value)
        return np.stack([value, error])

    def opaque(
        self, name: str, lead: int, new: tuple[int, ...], slots: tuple[int, ...], args: Sequence[Array]
    ) -> Array:
        return self.draw.magnitudes[-1] * waves(self, self.exactly, name, lead, new, slots, args, self.seed)


INFINITE = np.array([np.inf, np.inf])


# ---------------------------------------------------------------- two nodes at several points

Found = tuple[Env, tuple[int, ...], float, float]  # sizes, an entry, both values there


@dataclass(frozen=True, slots=True)
class Sampled:
    """`equal` is None where no point decides it; `error_bound` is the largest bound of a difference found 0,
    in units of the largest term."""

    equal: bool | None
    trials: int = 0
    error_bound: float | None = None
    counterexample: Found | None = None
    reason: str = ""


def sampled(a: Node, b: Node, envs: Sequence[Env], seed: int, legal: Callable[[Draw, Env], Draw]) -> Sampled:
    """Two nodes at random points for each of the sizes; points with values that are not finite are drawn again.

    Where a side has pieces (max, relu, comparisons) one point may see one piece alone: many are looked at. `legal`
    gives inputs next to a draw for which the facts of the program hold.
    """
    found: list[Compared] = []
    many = any(has_pieces(n) for n in toposort([a, b]))
    for k, env in enumerate(envs):
        reason, before = "", len(found)
        for attempt, style in enumerate(styles(k)):
            here = at_point(a, b, env, Draw(seed_of(seed, k, attempt), style), seed, legal)
            if isinstance(here, str):
                reason = here
            elif here.entry is not None:
                return Sampled(False, len(found) + 1, None, (env, here.entry, here.left, here.right))
            else:
                found.append(here)
            if len(found) > before and not many:
                break
        if len(found) == before:
            return Sampled(None, len(found), None, None, reason)
    far = far_away(a, b, envs[0], seed, legal)
    if far is None and not any(c.scale for c in found):
        return Sampled(None, len(found), None, None, VANISHING)
    return far or Sampled(True, len(found), max(c.bound for c in found))


def has_pieces(n: Node) -> bool:
    """Whether a function may agree with another in one region alone: sqrt(x^2) with x."""
    return isinstance(n, Call) and (n.prim.name in PIECEWISE | ROOTS or (n.prim is POW and not is_whole(n)))


def far_away(a: Node, b: Node, env: Env, seed: int, legal: Callable[[Draw, Env], Draw]) -> Sampled | None:
    """Where two sides differ at inputs so large, or so small, that the numbers in them matter."""
    nodes = toposort([a, b])
    found, mixed = magnitudes(nodes), MIXED if any(has_pieces(n) for n in nodes) else 0
    alike = [(style, own) for m in found for style, own in ((3, (m,)), (1, (m,)), (None, (1.0, m))) for _ in range(3)]
    for k, (style, own) in enumerate([*alike, *[(3, (1.0, *found)), (None, (1.0, *found))] * (mixed if found else 0)]):
        here = at_point(a, b, env, Draw(seed_of(seed, "far", k), style, magnitudes=own), seed, legal)
        if isinstance(here, Compared) and here.entry is not None:
            return Sampled(False, k + 1, None, (env, here.entry, here.left, here.right))
    return None


PERIODIC = frozenset("sin cos tan".split())
ROOTS = frozenset("norm unit asin acos atan".split())
JUMPS = frozenset("step sign < <= > >= ==".split())
PIECEWISE = frozenset("relu step abs sign max min amax amin where < <= > >= ==".split())
ROUNDING = "The difference of both sides is lost in rounding."
NOT_FINITE = "No inputs were found at which both sides are finite."
VANISHING = "Both sides are 0 wherever they were looked at."


def styles(k: int) -> tuple[int | None, ...]:
    """What inputs are like in trial k, try by try: all alike at first, then each in a style of its own."""
    return ((0, None, 3)[k % 3], 0, *[None] * 16, 1, 2, 4)


@dataclass(frozen=True, slots=True)
class Compared:
    """Two sides at one point: an entry at which they differ for certain; or none, where no difference is above the
    bound, in units of the largest term of a side, `scale`."""

    bound: float = 0.0
    scale: float = 0.0
    entry: tuple[int, ...] | None = None
    left: float = 0.0
    right: float = 0.0


def at_point(a: Node, b: Node, env: Env, draw: Draw, seed: int, legal: Callable[[Draw, Env], Draw]) -> Compared | str:
    """The sides compared, or why the point says nothing."""
    try:
        with np.errstate(all="ignore"):
            point = Point(Rounded(legal(draw, env), seed), env)
            x, y = point.value(a), point.value(b)
            return compared(x, y, max(largest_term(a, point), largest_term(b, point)))
    except Unknown as error:
        return error.message


def largest_term(node: Node, point: Point) -> float:
    """The largest entry of a sum's terms, which may cancel; else of the node."""
    factor = 1.0
    while isinstance(node, Add) and len(node.operands) == 1:
        factor, node = factor * abs(real(node.coefs[0].at(point.env))), node.operands[0]
    terms = [(abs(real(c.at(point.env))), o) for c, o in node.terms] if isinstance(node, Add) else [(1.0, node)]
    return max((factor * c * largest_product(o, point) for c, o in terms), default=0.0)


def largest_product(node: Node, point: Point) -> float:
    """The largest entry; of a product with no signs, so that nothing that it sums cancels."""
    below = [np.abs(point.value(o)) for o in node.operands] if isinstance(node, Einsum) else []
    value = point.product(node, below) if isinstance(node, Einsum) else point.value(node)
    return float(np.max(np.abs(value[0]), initial=0))


def compared(x: Array, y: Array, scale: float) -> Compared | str:
    """Values with their bounds; an entry that differs for certain is the largest such."""
    off, bound = np.abs(x[0] - y[0]), x[1] + y[1]
    finite = np.isfinite(off) & np.isfinite(bound)
    differ = finite & (off > FAR * bound)
    if differ.any():
        place = np.unravel_index(int(np.argmax(np.where(differ, off, -1))), off.shape)
        entry = tuple(map(int, place))
        return Compared(0.0, scale, entry, float(x[0][entry]), float(y[0][entry]))
    if not finite.all():
        return NOT_FINITE
    if not np.all((off <= bound) & (bound <= INFORMATIVE * scale)):
        return ROUNDING
    return Compared(float(np.max(bound, initial=0)) / (scale or 1.0), scale)
