"""meaning: what the trees are worth, from the notation alone, over any arithmetic.

Everything is broadcast over the whole index space: a reader who knows NOTATION can check this file without einstan.
Sums are never told to it, it finds them by the rule of section 2. An arithmetic says what numbers are: `LONG` (long
double, against which doubles are held), `COMPLEX` (a step h along i gives derivatives to the last digit), `Rounded`
(every entry with a bound of what doubles may make of it); jax_numbers.py has one that JAX differentiates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from operator import add, eq, ge, gt, le, lt, mul
from typing import Any

import numpy as np

from .trees import (
    Along,
    Apply,
    Array,
    Compare,
    Concat,
    Delta,
    Derivative,
    Extent,
    Illegal,
    Labels,
    Number,
    Odot,
    Ones,
    Power,
    Product,
    RandomProgram,
    Statement,
    Sum,
    Tensor,
    Tree,
)

# ---------------------------------------------------------------- the rules of the notation


@dataclass(frozen=True, slots=True)
class Value:
    """An array with a label for each axis, and the capitals summed on the way to it."""

    array: Any
    labels: Labels
    summed: frozenset[str] = frozenset()


@dataclass
class Meaning:
    """The values of a program's names. A defined name in `held` is an independent variable with that value."""

    p: RandomProgram
    numbers: Any
    inputs: Mapping[str, Any]
    held: Mapping[str, Any] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str) -> Any:
        """The array of a name."""
        if name not in self.found:
            given = self.held if name in self.held else self.inputs if name in self.inputs else None
            self.found[name] = self.numbers.array(given[name]) if given is not None else self.defined(name)
        return self.found[name]

    def defined(self, name: str) -> Any:
        s = next(s for s in self.p.statements if s.name == name)
        return self.shown(s, self.closed(s.body))

    def shown(self, s: Statement, v: Value) -> Any:
        """The axes in the target's order; a repeated index writes a diagonal, one of fixed size repeats."""
        if not set(v.labels) <= set(s.target) <= {*v.labels, *self.p.fixed}:
            raise Illegal
        own = tuple(x if s.target.index(x) == n else f"{x} {n}" for n, x in enumerate(s.target))
        factors = [v, *(self.ones((x,), (self.p.fixed[x],)) for x in own if x in self.p.fixed and x not in v.labels)]
        sizes = dict(zip(v.labels, v.array.shape, strict=True)) | dict(self.p.fixed)
        factors += [Value(self.numbers.eye(sizes[x]), (x, y)) for x, y in zip(s.target, own, strict=True) if x != y]
        return reduce(mul, (spread(f, own) for f in factors))

    def closed(self, e: Tree) -> Value:
        """As an operand of anything but a product: `A[I,I]` is the trace."""
        v = self.value(e)
        return self.multiply([v], [False]) if len(set(v.labels)) < len(v.labels) else v

    def value(self, e: Tree) -> Value:
        """What the tree means."""
        v = self.rule(e)
        self.numbers.notice(v.array)
        return v

    def rule(self, e: Tree) -> Value:
        match e:
            case Number(text):
                return Value(self.numbers.number(text), ())
            case Extent(_, size):
                return Value(self.numbers.number(str(size)), ())
            case Tensor(name, labels, parts):
                cut = tuple(slice(p[0], p[1]) if p else slice(None) for p in parts)
                return Value(self.of(name)[cut], labels)
            case Ones(labels, sizes):
                return self.ones(labels, sizes)
            case Delta(labels, size):
                return Value(self.numbers.eye(size), labels)
            case Derivative():
                return self.derivative(e)
            case Product(factors, divides):
                return self.multiply([self.value(f) for f in factors], divides)
            case Odot(factors):
                return entrywise(lambda *xs: reduce(mul, xs), [self.closed(f) for f in factors])
            case Sum(terms, signs):
                signed = lambda *xs: reduce(add, (-x if s < 0 else x for s, x in zip(signs, xs, strict=True)))  # noqa: E731
                return entrywise(signed, [self.closed(t) for t in terms])
            case Power(base, exponent):
                return self.power(base, exponent)
            case Apply(name, args):
                return entrywise(lambda *xs: self.numbers.apply(name, xs), [self.closed(a) for a in args])
            case Along(name, labels, body):
                return self.along(name, labels, self.closed(body))
            case Compare(op, left, right):
                return entrywise(lambda *xs: self.numbers.compare(op, *xs), [self.closed(left), self.closed(right)])
            case Concat(parts, label):
                return self.joined([self.closed(p) for p in parts], label)

    def ones(self, labels: Labels, sizes: Sequence[int]) -> Value:
        return Value(self.numbers.array(np.ones(sizes)), labels)

    def multiply(self, values: Sequence[Value], divides: Sequence[bool]) -> Value:
        """The rule: a capital in two or more places is summed."""
        no_mixing(values)
        one_size(values)
        places = [x for v in values for x in v.labels]
        summed = {x for x in places if capital(x) and places.count(x) > 1}
        singles = [self.diagonal(v) for v in values]
        labels = union(singles)
        total = spread(singles[0], labels)
        for v, divided in zip(singles[1:], divides[1:], strict=True):
            total = total / spread(v, labels) if divided else total * spread(v, labels)
        total = total.sum(tuple(n for n, x in enumerate(labels) if x in summed))
        return Value(total, tuple(x for x in labels if x not in summed), merged(values) | summed)

    def diagonal(self, v: Value) -> Value:
        """Every label once: `A[i,i]` is its diagonal."""
        array, labels = v.array, list(v.labels)
        for x in dict.fromkeys(labels):
            while labels.count(x) > 1:
                a = labels.index(x)
                b = labels.index(x, a + 1)
                array = self.numbers.diagonal(array, a, b)
                labels = [y for n, y in enumerate(labels) if n not in (a, b)] + [x]
        return Value(array, tuple(labels), v.summed)

    def power(self, base: Tree, exponent: Tree) -> Value:
        """Entry by entry; `A[I,I]^2` is an error."""
        values = [self.value(base), self.value(exponent)]
        if any(capital(x) and v.labels.count(x) > 1 for v in values for x in v.labels):
            raise Illegal
        below, above = map(self.diagonal, values)
        if isinstance(exponent, Number) and exponent.written != "pi":
            return Value(self.numbers.raised(below.array, Fraction(exponent.written)), below.labels, below.summed)
        return entrywise(lambda *xs: self.numbers.apply("power", xs), [below, above])

    def along(self, name: str, labels: Labels, v: Value) -> Value:
        """The function sees the axes of `labels`, in one."""
        kept = tuple(x for x in v.labels if x not in labels)
        x = v.array.transpose([v.labels.index(y) for y in (*kept, *labels)])
        flat = x.reshape((*x.shape[: len(kept)], math.prod(x.shape[len(kept) :])))
        if flat.shape[-1] == 0 and name not in ("sum", "prod", "norm"):
            raise Illegal
        result = self.numbers.along(name, flat)
        if name in KEEPING:
            return Value(result.reshape(x.shape), (*kept, *labels), v.summed)
        return Value(result, kept, v.summed)

    def joined(self, values: Sequence[Value], label: str) -> Value:
        no_mixing(values)
        labels = (*(x for x in union(values) if x != label), label)
        size = {x: n for v in values for x, n in zip(v.labels, v.array.shape, strict=True)}
        parts = []
        for v in values:
            full = self.ones(labels[:-1], [size[x] for x in labels[:-1]])
            parts.append(spread(full, labels) * spread(v, labels))
        return Value(self.numbers.join(parts), labels, merged(values))

    def derivative(self, e: Derivative) -> Value:
        """Axes of the numerator, then of the denominators; what uses a denominator is evaluated anew."""
        below = tuple(x for d in e.below for x in d.labels)
        v = Value(None, e.top.labels) if isinstance(e.top, Tensor) else self.closed(e.top)
        no_mixing([v, Value(None, below)])
        top = lambda m: m.of(e.top.name) if isinstance(e.top, Tensor) else m.closed(e.top).array  # noqa: E731

        def slope(n: int, numbers: Any, inputs: Mapping[str, Any], held: Mapping[str, Any]) -> Any:
            """The numerator differentiated by the first n names."""
            m = Meaning(self.p, numbers, inputs, held)
            if n == 0:
                return top(m)
            name = e.below[n - 1].name
            place = inputs if name in inputs else held

            def moved(numbers: Any, x: Any) -> Any:
                here = {**place, name: x}
                return slope(n - 1, numbers, *((here, held) if place is inputs else (inputs, here)))

            return numbers.jacobian(moved, place[name] if name in place else m.of(name))

        return Value(slope(len(e.below), self.numbers, self.inputs, self.held), v.labels + below, v.summed)


KEEPING = ("softmax", "log_softmax")


def capital(label: str) -> bool:
    return label[0].isupper()


def spread(v: Value, labels: Sequence[str]) -> Any:
    """The array over these labels, of size 1 along those that it lacks."""
    kept = [x for x in labels if x in v.labels]
    moved = v.array.transpose([v.labels.index(x) for x in kept])
    shape = iter(moved.shape)
    return moved.reshape([next(shape) if x in v.labels else 1 for x in labels])


def no_mixing(values: Sequence[Value]) -> None:
    """A capital summed inside one operand is not open in another."""
    for n, v in enumerate(values):
        if any(v.summed & set(w.labels) for m, w in enumerate(values) if m != n):
            raise Illegal


def one_size(values: Sequence[Value]) -> None:
    """In one scope an index has one size."""
    places = {(x, n) for v in values for x, n in zip(v.labels, v.array.shape, strict=True)}
    if len(places) > len({x for x, _ in places}):
        raise Illegal


def union(values: Sequence[Value]) -> Labels:
    return tuple(dict.fromkeys(x for v in values for x in v.labels))


def merged(values: Sequence[Value]) -> frozenset[str]:
    return frozenset().union(*(v.summed for v in values))


def entrywise(f: Callable[..., Any], values: Sequence[Value]) -> Value:
    no_mixing(values)
    labels = union(values)
    return Value(f(*(spread(v, labels) for v in values)), labels, merged(values))


# ---------------------------------------------------------------- functions, spelled as a textbook has them


def functions(xp: Any, erf: Callable[[Any], Any]) -> dict[str, Callable[..., Any]]:
    """Entry by entry, for real and for complex arrays; a complex number is on the side where its real part is."""
    positive = lambda x: xp.real(x) > 0  # noqa: E731
    sigmoid = lambda x: 1 / (1 + xp.exp(-x))  # noqa: E731
    bell = lambda x: xp.exp(-x * x / 2) / (2 * xp.asarray(xp.pi if xp is not np else PI, x.dtype)) ** 0.5  # noqa: E731
    phi = lambda x: (1 + erf(x / xp.asarray(2, x.dtype) ** 0.5)) / 2  # noqa: E731
    return {
        **{name: getattr(xp, name) for name in "sqrt exp log log1p expm1 sin cos tan sinh cosh tanh".split()},
        **{"asin": xp.arcsin, "acos": xp.arccos, "atan": xp.arctan, "ln": xp.log, "erf": erf},
        **{"sigmoid": sigmoid, "σ": sigmoid, "power": xp.power},
        "abs": lambda x: xp.where(xp.real(x) < 0, -x, x),
        "sign": lambda x: xp.sign(xp.real(x)).astype(x.dtype),
        "step": lambda x: positive(x).astype(x.dtype),
        "relu": lambda x: xp.where(positive(x), x, 0 * x),
        "softplus": lambda x: xp.log(1 + xp.exp(x)),
        "gelu": lambda x: x * phi(x),
        "silu": lambda x: x * sigmoid(x),
        "elu": lambda x: xp.where(positive(x), x, xp.expm1(x)),
        "max": lambda a, b: xp.where(xp.real(a) > xp.real(b), a, b),
        "min": lambda a, b: xp.where(xp.real(a) < xp.real(b), a, b),
        "where": lambda c, a, b: xp.where(xp.real(c) != 0, a, b),
        "exp'": xp.exp,
        "exp''": xp.exp,
        "sin'": xp.cos,
        "sin''": lambda x: -xp.sin(x),
        "cos'": lambda x: -xp.sin(x),
        "sqrt'": lambda x: 1 / (2 * xp.sqrt(x)),
        "log'": lambda x: 1 / x,
        "log''": lambda x: -1 / (x * x),
        "tanh'": lambda x: 1 / xp.cosh(x) ** 2,
        "tanh''": lambda x: -2 * xp.tanh(x) / xp.cosh(x) ** 2,
        "sigmoid'": lambda x: sigmoid(x) * sigmoid(-x),
        "softplus'": sigmoid,
        "softplus''": lambda x: sigmoid(x) * sigmoid(-x),
        "atan'": lambda x: 1 / (1 + x * x),
        "erf'": lambda x: 2 * bell(xp.asarray(2, x.dtype) ** 0.5 * x) * xp.asarray(2, x.dtype) ** 0.5,
        "gelu'": lambda x: phi(x) + x * bell(x),
        "silu'": lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
        "relu'": lambda x: positive(x).astype(x.dtype),
        "abs'": lambda x: xp.sign(xp.real(x)).astype(x.dtype),
        "max'[1]": lambda a, b: (1 + xp.sign(xp.real(a) - xp.real(b)).astype(a.dtype)) / 2,
        "min'[2]": lambda a, b: (1 + xp.sign(xp.real(a) - xp.real(b)).astype(a.dtype)) / 2,
        "h": xp.tanh,  # opaque, bound to tanh
        "h'": lambda x: 1 / xp.cosh(x) ** 2,
    }


BINDINGS = {"h": "tanh"}
COMPARE = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq}
PI = 4 * np.arctan(np.longdouble(1))


def reductions(xp: Any) -> dict[str, Callable[[Any], Any]]:
    """Along the last axis."""
    log_softmax = lambda x: x - xp.log(xp.exp(x).sum(-1))[..., None]  # noqa: E731
    at = lambda x, place: xp.take_along_axis(x, place[..., None], -1)[..., 0]  # noqa: E731
    return {
        "sum": lambda x: x.sum(-1),
        "mean": lambda x: x.mean(-1),
        "prod": lambda x: x.prod(-1),
        "max": lambda x: at(x, xp.argmax(xp.real(x), -1)),
        "min": lambda x: at(x, xp.argmin(xp.real(x), -1)),
        "logsumexp": lambda x: xp.log(xp.exp(x).sum(-1)),
        "norm": lambda x: xp.sqrt((x * x).sum(-1)),
        "softmax": lambda x: xp.exp(log_softmax(x)),
        "log_softmax": log_softmax,
    }


def erf(x: Any) -> Any:
    """2/√π exp(-x²) Σ 2ⁿ x²ⁿ⁺¹/(2n+1)!!: every term positive, so also right in long double."""
    x = np.where(np.abs(x.real) > 6, 6 * np.sign(x.real), x)
    total = part = x
    for n in range(1, 160):
        part = part * 2 * x * x / (2 * n + 1)
        total = total + part
    return total * np.exp(-x * x) * 2 / np.sqrt(PI)


# ---------------------------------------------------------------- arithmetics


class Numbers:
    """Arrays of numpy, or of what has its interface."""

    def __init__(self, xp: Any, dtype: Any, erf: Callable[[Any], Any]) -> None:
        self.xp, self.dtype = xp, dtype
        self.functions, self.reductions = functions(xp, erf), reductions(xp)

    def array(self, x: Any) -> Any:
        return self.xp.asarray(x, self.dtype)

    def number(self, written: str) -> Any:
        if written == "pi":
            return self.array(PI if self.xp is np else math.pi)
        q = Fraction(written)
        return self.array(q.numerator) / self.array(q.denominator)

    def eye(self, n: int) -> Any:
        return self.xp.eye(n, dtype=self.dtype)

    def diagonal(self, x: Any, a: int, b: int) -> Any:
        """The entries where two axes agree, along a last axis."""
        return x.diagonal(0, a, b)

    def apply(self, name: str, args: Sequence[Any]) -> Any:
        return self.functions[name](*args)

    def along(self, name: str, x: Any) -> Any:
        return self.reductions[name](x)

    def compare(self, op: str, a: Any, b: Any) -> Any:
        return COMPARE[op](a.real, b.real).astype(self.dtype)

    def raised(self, x: Any, q: Fraction) -> Any:
        """x^q for the q that is written."""
        return x ** int(q) if q.denominator == 1 else self.xp.power(x, self.number(str(q)))

    def join(self, parts: Sequence[Any]) -> Any:
        return self.xp.concatenate(parts, -1)

    def jacobian(self, f: Callable[[Any, Any], Any], x: Any) -> Any:
        """∂f/∂x, the axes of f first: a slope for each entry of x."""
        columns = [self.slope(f, x, unit(np.shape(x), place)) for place in np.ndindex(np.shape(x))]
        return np.stack(columns, -1).reshape(columns[0].shape + np.shape(x))

    def slope(self, f: Callable[[Any, Any], Any], x: Any, u: Array) -> Any:
        """Along u: Im f(x + i h u) / h, which loses no digit; where i is taken, differences of fourth order."""
        if np.dtype(self.dtype).kind != "c":
            return f(COMPLEX, x + 1j * STEP * u).imag / STEP
        h = DIFFERENCE
        near, far = (f(self, x + d * u) - f(self, x - d * u) for d in (h, 2 * h))
        return (8 * near - far) / (12 * h)

    def notice(self, x: Any) -> None:
        """Of every value on the way."""


STEP = np.longdouble(1e-30)
DIFFERENCE = np.longdouble(2e-4)
LONG = Numbers(np, np.longdouble, erf)
COMPLEX = Numbers(np, np.clongdouble, erf)


def unit(shape: tuple[int, ...], place: tuple[int, ...]) -> Array:
    u = np.zeros(shape, np.longdouble)
    u[place] = 1
    return u


class Watched(Numbers):
    """Long double that knows how large values have been, and how near a kink or a jump."""

    def __init__(self) -> None:
        super().__init__(np, np.longdouble, erf)
        self.largest, self.kink = 0.0, math.inf

    def notice(self, x: Any) -> None:
        self.largest = max(self.largest, float(np.abs(x).max(initial=0.0))) if np.isfinite(x).all() else math.inf

    def near(self, distance: Any) -> None:
        self.kink = min(self.kink, float(np.abs(distance).min(initial=math.inf)))

    def apply(self, name: str, args: Sequence[Any]) -> Any:
        if name.split("'")[0] in ("abs", "sign", "step", "relu", "elu"):
            self.near(args[0])
        if name.split("'")[0] in ("max", "min"):
            self.near(args[0] - args[1])
        return super().apply(name, args)

    def compare(self, op: str, a: Any, b: Any) -> Any:
        self.near(a - b)
        return super().compare(op, a, b)

    def along(self, name: str, x: Any) -> Any:
        result = super().along(name, x)
        if name in ("max", "min") and x.shape[-1] > 1:
            ordered = np.sort(x, -1)
            self.near(ordered[..., -1] - ordered[..., -2] if name == "max" else ordered[..., 1] - ordered[..., 0])
        if name == "norm":
            self.near(result)
        return result


# ---------------------------------------------------------------- rounding

U = np.longdouble(2) ** -53  # of one rounding to double
LIBRARY = 4  # roundings in a function of numpy
SLOPE = np.longdouble(1e-12)  # of a derivative in a formula, relative to its largest entry


@dataclass(frozen=True, slots=True)
class Bounded:
    """Long doubles, each with a bound of its distance from what doubles make of it, however they are ordered.

    A sum's bound has the magnitudes of its terms, so a product may be distributed over it.
    """

    x: Any
    e: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape)

    def transpose(self, axes: Sequence[int]) -> Bounded:
        return Bounded(self.x.transpose(axes), self.e.transpose(axes))

    def reshape(self, shape: Sequence[int]) -> Bounded:
        return Bounded(self.x.reshape(shape), self.e.reshape(shape))

    def __getitem__(self, at: Any) -> Bounded:
        return Bounded(self.x[at], self.e[at])

    def __neg__(self) -> Bounded:
        return Bounded(-self.x, self.e)

    def __add__(self, other: Bounded) -> Bounded:
        return Bounded(self.x + other.x, self.e + other.e + U * (np.abs(self.x) + np.abs(other.x)))

    def __mul__(self, other: Bounded) -> Bounded:
        x = self.x * other.x
        return Bounded(x, np.abs(self.x) * other.e + self.e * (np.abs(other.x) + other.e) + U * np.abs(x))

    def __truediv__(self, other: Bounded) -> Bounded:
        x = self.x / other.x
        return Bounded(x, (self.e + np.abs(x) * other.e) / (np.abs(other.x) - other.e) + 2 * U * np.abs(x))

    def sum(self, axes: Any) -> Bounded:
        """n terms in any order: each rounded n times at most."""
        n = math.prod(self.x.shape[a] for a in axes)
        return Bounded(self.x.sum(axes), self.e.sum(axes) + n * U * np.abs(self.x).sum(axes))


class Rounded:
    """Arithmetic of Bounded numbers; inputs are exact."""

    def array(self, x: Any) -> Bounded:
        x = np.asarray(x, np.longdouble)
        return Bounded(x, np.zeros_like(x))

    def number(self, written: str) -> Bounded:
        x = LONG.number(written)
        return Bounded(x, np.abs(x) * U if x != np.float64(x) else 0 * x)

    def eye(self, n: int) -> Bounded:
        return self.array(LONG.eye(n))

    def diagonal(self, a: Bounded, *axes: int) -> Bounded:
        return Bounded(a.x.diagonal(0, *axes), a.e.diagonal(0, *axes))

    def apply(self, name: str, args: Sequence[Bounded]) -> Bounded:
        """What moves with each argument, and some roundings."""
        x = LONG.apply(name, [a.x for a in args])
        moved = [np.abs(LONG.apply(name, at) - x) for at in nearby(args)]
        if name in EXACT:
            return Bounded(x, sum(moved, np.zeros_like(x)))
        size = np.abs(x) + (sum(np.abs(a.x) for a in args) + 1 if name in ABSOLUTE or "'" in name else 0)
        exponent = np.abs(args[1].x) if name == "power" else 0
        return Bounded(x, sum(moved, np.zeros_like(x)) + (LIBRARY + exponent) * U * size)

    def along(self, name: str, a: Bounded) -> Bounded:
        x, n = LONG.along(name, a.x), a.x.shape[-1]
        largest = a.e.max(-1, initial=0)
        size = np.abs(a.x).max(-1, initial=0)
        if name == "sum":
            return a.sum((-1,))
        if name == "mean":
            total = a.sum((-1,))
            return Bounded(x, total.e / n + 2 * U * np.abs(x))
        if name == "prod":
            grown = (np.abs(a.x) + a.e).prod(-1)
            return Bounded(x, grown - np.abs(x) + n * U * grown)
        if name in ("max", "min"):
            return Bounded(x, largest)
        if name == "norm":
            return Bounded(x, LONG.along("norm", a.e) + (n + LIBRARY) * U * x)
        log_error = largest + (n + LIBRARY) * U * (1 + size + (np.abs(x) if name == "logsumexp" else 0))
        if name == "logsumexp":
            return Bounded(x, log_error)
        error = a.e + log_error[..., None] + LIBRARY * U * np.abs(a.x)
        return Bounded(x, error + LIBRARY * U * np.abs(x) if name == "log_softmax" else x * np.expm1(error))

    def compare(self, op: str, a: Bounded, b: Bounded) -> Bounded:
        """Undecided where the sides are closer than their errors."""
        open_ = (np.abs(a.x - b.x) <= a.e + b.e) & (a.e + b.e > 0)
        return Bounded(LONG.compare(op, a.x, b.x), open_.astype(np.longdouble))

    def raised(self, a: Bounded, q: Fraction) -> Bounded:
        x = LONG.raised(a.x, q)
        moved = [np.abs(LONG.raised(at, q) - x) for (at,) in nearby([a])]
        return Bounded(x, sum(moved) + (LIBRARY + abs(int(q))) * U * np.abs(x))

    def join(self, parts: Sequence[Bounded]) -> Bounded:
        return Bounded(LONG.join([p.x for p in parts]), LONG.join([p.e for p in parts]))

    def jacobian(self, f: Callable[[Any, Any], Any], x: Any) -> Bounded:
        """A derivative in a formula is as good as its largest entry allows."""
        slope = LONG.jacobian(f, x.x if isinstance(x, Bounded) else np.asarray(x, np.longdouble))
        return Bounded(slope, np.full(slope.shape, SLOPE * (1 + np.abs(slope).max(initial=0))))

    def notice(self, x: Any) -> None:
        pass


EXACT = {"abs", "sign", "step", "relu", "max", "min", "where"}
ABSOLUTE = {"gelu", "tanh'", "sigmoid'"}  # 1 + erf and 1 - tanh² cancel


def nearby(args: Sequence[Bounded]) -> list[list[Any]]:
    """The arguments with one of them moved to an end of its bound."""
    exact = [a.x for a in args]
    ends = [(n, a.x + sign * a.e) for n, a in enumerate(args) if np.any(a.e) for sign in (1, -1)]
    return [[*exact[:n], moved, *exact[n + 1 :]] for n, moved in ends]


# ---------------------------------------------------------------- programs


def evaluate(
    p: RandomProgram, arrays: Mapping[str, Any], numbers: Any = LONG, held: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Every name's array."""
    m = Meaning(p, numbers, arrays, held or {})
    with np.errstate(all="ignore"):
        return {name: m.of(name) for name in (*p.inputs, *p.names)}
