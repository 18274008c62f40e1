"""modular: nodes evaluated exactly modulo the prime 2^61 - 1, at random inputs (Schwartz 1980, Zippel 1979).

Two rational functions that differ have different values at nearly all points: equality at a few random points holds
with a probability of error below (degree / prime) for each. A function that is not rational has a random value at each
argument, and is what it is in others of which that is so: tanh and sigmoid of exp, sin and cos of the tangent of half
the angle, relu and comparisons of step; exp(-x) is 1 / exp(x). What holds then, holds. What does not, may still hold,
but for expressions without such functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np

from ..ir import Labels, Node
from .degrees import hiding, is_rational
from .instances import Shape, codes, flattened, seed_of
from .values import Array, Factor, Point, Unknown, aligned

PRIME = 2**61 - 1
HALF = 31  # bits of the lower half of a number
LOW = np.uint64(2**HALF - 1)
P = np.uint64(PRIME)
MAX_POWER = 10_000
LIKELY = 1e-9  # a proof is no proof above this probability of error
ENOUGH = 1e-18  # below it no more points are looked at
LEAST = 3  # sizes


# ---------------------------------------------------------------- arithmetic of arrays


def reduced(x: Array) -> Array:
    """Any uint64 modulo 2^61 - 1."""
    x = (x & P) + (x >> np.uint64(61))
    return np.where(x >= P, x - P, x)


def product(a: Array, b: Array) -> Array:
    """a b, in halves: 2^62 is 2, and 2^61 is 1."""
    al, ah, bl, bh = a & LOW, a >> np.uint64(HALF), b & LOW, b >> np.uint64(HALF)
    middle = ah * bl + al * bh
    high = (middle >> np.uint64(30)) + ((middle & np.uint64(2**30 - 1)) << np.uint64(HALF))
    return reduced(reduced(al * bl) + reduced(high) + np.uint64(2) * ah * bh)


def total(x: Array, axes: tuple[int, ...]) -> Array:
    """The sum along axes, the halves apart so that nothing overflows."""
    low, high = (x & LOW).sum(axes, dtype=np.uint64), (x >> np.uint64(HALF)).sum(axes, dtype=np.uint64)
    return reduced(product(reduced(high), np.full(high.shape, 2**HALF, np.uint64)) + reduced(low))


def negative(x: Array) -> Array:
    return np.where(x == 0, x, P - x)


def inverse(x: Array) -> Array:
    if not x.all():
        raise Unknown("A denominator is 0.")
    return np.array([pow(int(v), -1, PRIME) for v in x.flat], np.uint64).reshape(x.shape)


def whole_power(x: Array, n: int) -> Array:
    """x^n by squaring."""
    found = np.ones_like(x)
    while n:
        if n & 1:
            found = product(found, x)
        x, n = product(x, x), n >> 1
    return found


def residue(q: Fraction) -> int:
    if q.denominator % PRIME == 0:
        raise Unknown("A denominator is 0.")
    return q.numerator * pow(q.denominator, -1, PRIME) % PRIME


def mixed(x: Array) -> Array:
    """A number that looks random for each number (the finaliser of SplitMix64; Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Array = x ^ (x >> np.uint64(31))
    return found


def at_random(seed: int, args: Sequence[Array]) -> Array:
    """A number for each tuple of arguments, entry by entry."""
    found = np.full(args[0].shape, seed, np.uint64)
    for x in args:
        found = mixed(found ^ mixed(x + np.uint64(0x9E3779B97F4A7C15)))
    return found


# ---------------------------------------------------------------- matrices


def eliminated(a: list[list[int]], columns: int) -> int:
    """The first `columns` columns of the rows made the identity, in place of `a`; the determinant of them."""
    n, determinant = len(a), 1
    for k in range(columns):
        pivot = next((r for r in range(k, n) if a[r][k]), None)
        if pivot is None:
            return 0
        if pivot != k:
            a[k], a[pivot] = a[pivot], a[k]
            determinant = -determinant
        determinant = determinant * a[k][k] % PRIME
        scale = pow(a[k][k], -1, PRIME)
        a[k] = [x * scale % PRIME for x in a[k]]
        for r in range(n):
            if r != k and (factor := a[r][k]):
                a[r] = [(x - factor * y) % PRIME for x, y in zip(a[r], a[k], strict=True)]
    return determinant


def solved(a: Array, b: Array) -> Array:
    """x of a x = b for stacks of matrices."""
    n = a.shape[-1]
    found = []
    for left, right in zip(a.reshape(-1, n, n), b.reshape(-1, n, b.shape[-1]), strict=True):
        rows = [[*map(int, x), *map(int, y)] for x, y in zip(left, right, strict=True)]
        if not eliminated(rows, n):
            raise Unknown("A matrix is singular.")
        found.append([row[n:] for row in rows])
    return np.array(found, np.uint64).reshape(b.shape)


def determinants(a: Array) -> Array:
    n = a.shape[-1]
    found = [eliminated([[int(x) for x in row] for row in m], n) % PRIME for m in a.reshape(-1, n, n)]
    return np.array(found, np.uint64).reshape(a.shape[:-2])


def inverses(a: Array) -> Array:
    return solved(a, np.broadcast_to(np.eye(a.shape[-1], dtype=np.uint64), a.shape))


def solve(a: Array, b: Array) -> Array:
    rows = a.shape[:-1]
    return solved(a, b.reshape(*rows, prod(b.shape[len(rows) :]))).reshape(b.shape)


# ---------------------------------------------------------------- functions

Field = Callable[..., Array]  # (numbers, args) -> values


def even(name: str) -> Field:
    return lambda k, x: k.random(name, np.minimum(x, negative(x)))


def odd(name: str) -> Field:
    def f(k: Modular, x: Array) -> Array:
        y = k.random(name, np.minimum(x, negative(x)))
        return np.where(x == 0, x, np.where(x <= P >> np.uint64(1), y, negative(y)))

    return f


def exponential(k: Modular, x: Array) -> Array:
    """exp(-x) = 1 / exp(x), exp(0) = 1."""
    y = k.random("exp", np.minimum(x, negative(x)))
    y = np.where(x == 0, np.uint64(1), y)
    below = x > P >> np.uint64(1)
    return np.where(below, inverse(np.where(below, y, np.uint64(1))), y)


def plus(a: Array, b: Array) -> Array:
    return reduced(a + b)


def minus(a: Array, b: Array) -> Array:
    return reduced(a + negative(b))


def ratio(a: Array, b: Array) -> Array:
    return product(a, inverse(b))


def one(x: Array) -> Array:
    return np.ones_like(x)


def double(x: Array) -> Array:
    return plus(x, x)


def tanh(k: Modular, x: Array) -> Array:
    y = exponential(k, double(x))
    return ratio(minus(y, one(x)), plus(y, one(x)))


def sigmoid(k: Modular, x: Array) -> Array:
    y = exponential(k, x)
    return ratio(y, plus(y, one(x)))


def hyperbolic(join: Callable[[Array, Array], Array]) -> Field:
    half = np.uint64(residue(Fraction(1, 2)))
    return lambda k, x: product(join(exponential(k, x), exponential(k, negative(x))), np.full_like(x, half))


def sine(k: Modular, x: Array) -> Array:
    t = odd("tan of half")(k, x)
    return ratio(double(t), plus(one(x), product(t, t)))


def cosine(k: Modular, x: Array) -> Array:
    t = odd("tan of half")(k, x)
    square = product(t, t)
    return ratio(minus(one(x), square), plus(one(x), square))


def step(k: Modular, x: Array) -> Array:
    return np.where(x == 0, x, k.random("step", x))


def relu(k: Modular, x: Array) -> Array:
    return product(x, step(k, x))


def sign(k: Modular, x: Array) -> Array:
    return minus(step(k, x), step(k, negative(x)))


def equal(k: Modular, a: Array, b: Array) -> Array:
    return minus(minus(one(a), step(k, minus(a, b))), step(k, minus(b, a)))


def chosen(k: Modular, c: Array, a: Array, b: Array) -> Array:
    """Any weight that belongs to the condition: 0 of 0, 1 of 1."""
    weight = np.where(c <= 1, c, k.random("nonzero", c))
    return plus(b, product(weight, minus(a, b)))


def logarithm(k: Modular, x: Array) -> Array:
    return np.where(x == 1, np.uint64(0), k.random("log", x))


FUNCTIONS: dict[str, Field] = {
    "exp": exponential,
    "expm1": lambda k, x: minus(exponential(k, x), one(x)),
    "log": logarithm,
    "log1p": lambda k, x: logarithm(k, plus(one(x), x)),
    "softplus": lambda k, x: logarithm(k, plus(one(x), exponential(k, x))),
    "tanh": tanh,
    "sigmoid": sigmoid,
    "sinh": hyperbolic(minus),
    "cosh": hyperbolic(plus),
    "sin": sine,
    "cos": cosine,
    "tan": lambda k, x: ratio(sine(k, x), cosine(k, x)),
    **{name: odd(name) for name in ("asin", "atan", "erf")},
    "acos": lambda k, x: minus(product(k.constant("pi"), k.half), odd("asin")(k, x)),
    "step": step,
    "relu": relu,
    "sign": sign,
    "abs": lambda k, x: product(x, sign(k, x)),
    "power": lambda k, a, b: k.random("power", a, b),
    "max": lambda k, a, b: plus(b, relu(k, minus(a, b))),
    "min": lambda k, a, b: minus(a, relu(k, minus(a, b))),
    ">": lambda k, a, b: step(k, minus(a, b)),
    "<": lambda k, a, b: step(k, minus(b, a)),
    ">=": lambda k, a, b: minus(one(a), step(k, minus(b, a))),
    "<=": lambda k, a, b: minus(one(a), step(k, minus(a, b))),
    "==": equal,
    "where": chosen,
}
MATRICES: dict[str, Callable[..., Array]] = {
    "inv": inverses,
    "det": determinants,
    "solve": solve,
    "tril": np.tril,
}
LOGARITHMS = {"logdet": even("logdet"), "logdet_positive": logarithm}


@dataclass(frozen=True)
class Modular:
    """The numbers modulo the prime; one lane."""

    seed: int

    def number(self, q: Fraction) -> Array:
        return np.array([residue(q)], np.uint64)

    @property
    def half(self) -> Array:
        return self.number(Fraction(1, 2))

    def constant(self, name: str) -> Array:
        return self.given(f"#{name}", ())

    def given(self, name: str, shape: tuple[int, ...]) -> Array:
        rng = np.random.default_rng(seed_of(self.seed, name))
        return rng.integers(1, PRIME, (1, *shape), np.uint64)

    def random(self, name: str, *args: Array) -> Array:
        """The function's value, never 0."""
        return at_random(seed_of(self.seed, name), args) % (P - np.uint64(1)) + np.uint64(1)

    def combined(self, terms: Sequence[tuple[Fraction, Array]]) -> Array:
        found = product(terms[0][1], self.number(terms[0][0]).reshape(1, *[1] * (terms[0][1].ndim - 1)))
        for q, x in terms[1:]:
            found = plus(found, product(x, np.full(x.shape, residue(q), np.uint64)))
        return found

    def contracted(self, factors: Sequence[Factor], out: Labels) -> Array:
        labels = tuple(dict.fromkeys(label for _, own in factors for label in own))
        x, *others = (aligned(x, own, labels) for x, own in factors)
        for y in others:
            x = product(*np.broadcast_arrays(x, y))
        x = total(x, tuple(n + 1 for n, label in enumerate(labels) if label not in out))
        kept = [label for label in labels if label in out]
        return x.transpose(0, *(kept.index(label) + 1 for label in out))

    def raised(self, x: Array, q: Fraction) -> Array:
        if abs(q.numerator) > MAX_POWER:
            raise Unknown("A power is large.")
        if q.denominator > 1:
            x = self.random(f"root {q.denominator}", x)
        return whole_power(inverse(x) if q < 0 else x, abs(q.numerator))

    def applied(self, name: str, args: Sequence[Array]) -> Array:
        return FUNCTIONS[name](self, *args)

    def peak(self, x: Array, n: int) -> Array:
        return np.zeros((*x.shape[: x.ndim - n], *[1] * n), np.uint64)

    def of_matrix(self, name: str, args: Sequence[Array]) -> Array:
        if name in LOGARITHMS:
            return LOGARITHMS[name](self, determinants(args[0]))
        if name not in MATRICES:
            raise Unknown(f"{name} is not rational.")
        return MATRICES[name](*args)

    def opaque(
        self, name: str, lead: int, new: tuple[int, ...], slots: tuple[int, ...], args: Sequence[Array]
    ) -> Array:
        shape = Shape.of(args, lead, new)
        seen = [column for x in flattened(args, lead) for column in np.moveaxis(x, 2, 0)]
        key = seed_of(self.seed, name, slots, shape.new, shape.seen)
        rows = at_random(key, [np.zeros((1, prod(shape.lead)), np.uint64), *seen]).reshape(1, *shape.lead)
        code = codes(shape, slots).astype(np.uint64)
        every = np.broadcast_to(rows.reshape(*rows.shape, *[1] * code.ndim), (*rows.shape, *code.shape))
        return at_random(key, [every, np.broadcast_to(code, every.shape)]) % P


# ---------------------------------------------------------------- what it proves


@dataclass(frozen=True, slots=True)
class Proof:
    """`equal`: at all points, with a probability of error below `error_bound`; `differ`: for certain, at one."""

    equal: bool = False
    differ: bool = False
    trials: int = 0
    error_bound: float = 1.0


def exactly(a: Node, b: Node, points: Iterable[Point]) -> Proof:
    """Whether two nodes of one shape are equal at random points of the field; no more of them than it takes."""
    bound, trials = 1.0, 0
    for point in points:
        same = equal_at(a, b, point)
        if same is False:
            return Proof(differ=is_rational([a, b]), trials=trials + 1)
        if same:
            trials += 1
            bound *= min(1.0, hiding(a, b, point.env) / PRIME)
        if trials >= LEAST and bound < ENOUGH:
            break
    return Proof(equal=trials > 0 and bound < LIKELY, trials=trials, error_bound=bound)


def equal_at(a: Node, b: Node, point: Point) -> bool | None:
    """Whether two nodes have the same value; None where one has none."""
    try:
        return bool(np.array_equal(point.value(a), point.value(b)))
    except Unknown:
        return None
