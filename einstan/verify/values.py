"""values: nodes -> arrays over any numbers: float64, float64 with bounds, integers modulo a prime.

The first axis of every array is the lane: several points of one size, or a value beside its bound; only the numbers
know which. What can be said in other functions is said here once (softmax, norm, prod), the rest is theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import prod
from typing import Any, Protocol

import numpy as np

from ..dims import Dim, Env
from ..errors import EinstanError
from ..ir import Add, Call, Const, Einsum, Input, Labels, Name, Node

Array = np.ndarray[Any, Any]
Factor = tuple[Array, Labels]  # no label twice
MAX_ENTRIES = 20_000_000  # of an array


class Unknown(EinstanError):
    """These numbers cannot say what the value is."""


class Numbers(Protocol):
    """What adds and multiplies. All arguments of one function have one shape."""

    def number(self, q: Fraction) -> Array: ...
    def constant(self, name: str) -> Array: ...
    def given(self, name: str, shape: tuple[int, ...]) -> Array: ...
    def combined(self, terms: Sequence[tuple[Fraction, Array]]) -> Array: ...
    def contracted(self, factors: Sequence[Factor], out: Labels) -> Array:
        """One factor or two; labels that are not in `out` are summed."""
        ...

    def raised(self, x: Array, q: Fraction) -> Array: ...
    def applied(self, name: str, args: Sequence[Array]) -> Array:
        """A function entry by entry."""
        ...

    def peak(self, x: Array, n: int) -> Array:
        """Any number along the last n axes, which stay with size 1; about the largest, where numbers have an order."""
        ...

    def of_matrix(self, name: str, args: Sequence[Array]) -> Array: ...
    def opaque(
        self, name: str, lead: int, new: tuple[int, ...], slots: tuple[int, ...], args: Sequence[Array]
    ) -> Array:
        """As in prims/opaque; the lane comes before the leading axes."""
        ...


@dataclass
class Point:
    """Values at sizes and inputs: each node is computed once. `meaning` says what a name or a derivative stands for."""

    numbers: Numbers
    env: Env
    meaning: Callable[[Node], Node] | None = None
    known: dict[Node, Array] = field(default_factory=dict)

    def value(self, root: Node) -> Array:
        """The array of a node, lane first; raises Unknown."""
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.known:
                stack.pop()
                continue
            below = (self.meaning(node),) if isinstance(node, Name) and self.meaning else node.operands
            if missing := [o for o in below if o not in self.known]:
                stack += missing
                continue
            stack.pop()
            arrays = [self.known[o] for o in below]
            self.known[node] = arrays[0] if isinstance(node, Name) else self.rule(node, arrays)
        return self.known[root]

    def rule(self, node: Node, below: list[Array]) -> Array:
        match node:
            case Input():
                room(prod(self.shape(node)))
                return self.numbers.given(node.name, self.shape(node))
            case Const():
                return self.numbers.constant(node.name)
            case Einsum():
                return self.product(node, below)
            case Add():
                return self.total(node, below)
            case Call():
                return self.applied(node, below)
        raise AssertionError(f"{node!r} stands for nothing; this is a bug of einstan")

    def shape(self, node: Node) -> tuple[int, ...]:
        return tuple(d.at(self.env) for d in node.shape)

    def total(self, node: Add, below: list[Array]) -> Array:
        try:
            terms = [(coef.at(self.env), x) for coef, x in zip(node.coefs, below, strict=True)]
        except ZeroDivisionError:
            raise Unknown("A size is 0 and divides.") from None
        if terms:
            return self.numbers.combined(terms)
        zero = self.numbers.number(Fraction(0))
        return np.broadcast_to(zero.reshape(-1, *[1] * node.rank), (len(zero), *self.shape(node)))

    def product(self, e: Einsum, below: list[Array]) -> Array:
        """The contraction pair by pair, then the labels that the output repeats or invents."""
        size = {label: d.at(self.env) for label, d in e.dims.items()}
        factors = [diagonal(x, own) for x, own in zip(below, e.labels, strict=True)]
        carried = {label for _, own in factors for label in own}
        kept = tuple(label for label in dict.fromkeys(e.out) if label in carried)
        while len(factors) > 2:
            factors = self.joined(factors, kept, size)
        room(prod(size[label] for label in {*e.out, *(x for _, own in factors for x in own)} if len(factors) > 1))
        alike = len(factors) == 1 and factors[0][1] == kept
        found = factors[0][0] if alike else self.numbers.contracted(factors, kept) if factors else None
        return spread(self.numbers.number(Fraction(1)) if found is None else found, kept, e.out, size)

    def joined(self, factors: list[Factor], kept: Labels, size: Mapping[int, int]) -> list[Factor]:
        """The two factors whose product is smallest, as one; of those that share a label, where some do."""
        places = Counter(label for _, own in factors for label in own)
        places.update(kept)

        def left(pair: tuple[int, int]) -> Labels:
            own = Counter(label for n in pair for label in factors[n][1])
            return tuple(label for label, n in own.items() if places[label] > n)

        a, b = min(neighbours(factors), key=lambda pair: prod(size[label] for label in left(pair)))
        room(prod(size[label] for label in {*factors[a][1], *factors[b][1]}))
        out = left((a, b))
        joined = self.numbers.contracted([factors[a], factors[b]], out)
        return [(joined, out), *(f for n, f in enumerate(factors) if n not in (a, b))]

    def applied(self, node: Call, below: list[Array]) -> Array:
        params: list[Any] = [self.param(p) for p in node.params]
        name = node.prim.name
        if name in ALONG:
            return ALONG[name](self.numbers, below[0], *params)
        if name in RULES:
            return RULES[name](self.numbers, below, *params)
        if not node.prim.entrywise and name != "where":
            return self.numbers.of_matrix(name, below)
        return self.numbers.applied(name, below)

    def param(self, p: Any) -> Any:
        if isinstance(p, tuple):
            return tuple(map(self.param, p))
        return p.at(self.env) if isinstance(p, Dim) else p


# ---------------------------------------------------------------- labels


def room(entries: int) -> None:
    if entries > MAX_ENTRIES:
        raise Unknown("An array would be too large.")


def diagonal(x: Array, own: Labels) -> Factor:
    """x with each label once."""
    distinct = tuple(dict.fromkeys(own))
    if distinct == own:
        return x, own
    at = {label: n + 1 for n, label in enumerate(distinct)}
    return np.einsum(x, [0, *(at[label] for label in own)], [0, *range(1, len(distinct) + 1)]), distinct


def neighbours(factors: Sequence[Factor]) -> list[tuple[int, int]]:
    """Pairs of factors that share a label; the first two where none do."""
    holders: dict[int, list[int]] = {}
    for n, (_, own) in enumerate(factors):
        for label in own:
            holders.setdefault(label, []).append(n)
    return sorted({pair for found in holders.values() for pair in pairwise(found)}) or [(0, 1)]


def aligned(x: Array, own: Labels, labels: Labels) -> Array:
    """x over all labels, of size 1 along those that it lacks."""
    order = [own.index(label) for label in labels if label in own]
    moved = x.transpose(0, *(n + 1 for n in order))
    shape = iter(moved.shape[1:])
    return moved.reshape(len(x), *(next(shape) if label in own else 1 for label in labels))


def spread(x: Array, kept: Labels, out: Labels, size: Mapping[int, int]) -> Array:
    """x[kept] repeated along new labels, written where the axes of a repeated one agree."""
    if kept == out:
        return x
    room(prod(size[label] for label in out))
    distinct = tuple(dict.fromkeys(out))
    full = np.broadcast_to(aligned(x, kept, distinct), (len(x), *(size[label] for label in distinct)))
    if distinct == out:
        return full
    result = np.zeros((len(x), *(size[label] for label in out)), x.dtype)
    grids = np.indices([size[label] for label in distinct])
    place = dict(zip(distinct, grids, strict=True))
    at: tuple[Any, ...] = (slice(None), *(place[label] for label in out))
    result[at] = full
    return result


# ---------------------------------------------------------------- functions said in others

ONE = Fraction(1)


def times(numbers: Numbers, x: Array, y: Array) -> Array:
    labels = tuple(range(x.ndim - 1))
    return numbers.contracted([(x, labels), (y, labels)], labels)


def summed(numbers: Numbers, x: Array, n: int) -> Array:
    """Over the last n axes, which stay with size 1."""
    labels = tuple(range(x.ndim - 1))
    found = numbers.contracted([(x, labels)], labels[: len(labels) - n])
    return found.reshape(*found.shape, *[1] * n)


def without(x: Array, n: int) -> Array:
    return x.reshape(x.shape[: x.ndim - n])


def over(numbers: Numbers, x: Array, y: Array) -> Array:
    """x / y, y repeated."""
    return times(numbers, x, np.broadcast_to(numbers.raised(y, -ONE), x.shape))


def softmax(numbers: Numbers, x: Array, n: int) -> Array:
    e = numbers.applied("exp", [lowered(numbers, x, n)])
    return over(numbers, e, summed(numbers, e, n))


def lowered(numbers: Numbers, x: Array, n: int) -> Array:
    """x - peak, which exp does not take out of range."""
    return numbers.combined([(ONE, x), (-ONE, np.broadcast_to(numbers.peak(x, n), x.shape))])


def logsumexp(numbers: Numbers, x: Array, n: int) -> Array:
    e = numbers.applied("exp", [lowered(numbers, x, n)])
    return numbers.combined([(ONE, numbers.peak(x, n)), (ONE, numbers.applied("log", [summed(numbers, e, n)]))])


def log_softmax(numbers: Numbers, x: Array, n: int) -> Array:
    return numbers.combined([(ONE, x), (-ONE, np.broadcast_to(logsumexp(numbers, x, n), x.shape))])


def norm(numbers: Numbers, x: Array, n: int) -> Array:
    return numbers.raised(summed(numbers, times(numbers, x, x), n), ONE / 2)


def folded(numbers: Numbers, join: Callable[[Array, Array], Array], x: Array, n: int) -> Array:
    """All entries of the last n axes joined one after the other."""
    flat = x.reshape(*x.shape[: x.ndim - n], prod(x.shape[x.ndim - n :]))
    if not flat.shape[-1]:
        raise Unknown("There is no entry.")
    found = flat[..., 0]
    for k in range(1, flat.shape[-1]):
        found = join(found, flat[..., k])
    return found


def log_of_sum_of_two(numbers: Numbers, args: list[Array]) -> Array:
    a, b = (numbers.applied("exp", [x]) for x in args)
    return numbers.applied("log", [numbers.combined([(ONE, a), (ONE, b)])])


def one_minus(numbers: Numbers, x: Array) -> Array:
    one = numbers.number(ONE).reshape(-1, *[1] * (x.ndim - 1))
    return numbers.combined([(ONE, np.broadcast_to(one, x.shape)), (-ONE, x)])


def part(numbers: Numbers, args: list[Array], axis: int, low: int, high: int) -> Array:
    return args[0][(slice(None),) * (axis + 1) + (slice(low, high),)]


ALONG: dict[str, Callable[[Numbers, Array, int], Array]] = {
    "amax": lambda k, x, n: folded(k, lambda a, b: k.applied("max", [a, b]), x, n),
    "amin": lambda k, x, n: folded(k, lambda a, b: k.applied("min", [a, b]), x, n),
    "prod": lambda k, x, n: folded(k, lambda a, b: times(k, a, b), x, n),
    "logsumexp": lambda k, x, n: without(logsumexp(k, x, n), n),
    "norm": lambda k, x, n: without(norm(k, x, n), n),
    "softmax": softmax,
    "log_softmax": log_softmax,
    "unit": lambda k, x, n: over(k, x, norm(k, x, n)),
}
RULES: dict[str, Callable[..., Array]] = {
    "pow": lambda k, args, q: k.raised(args[0], q),
    "concat": lambda k, args, axis: np.concatenate(args, axis=axis + 1),
    "part": part,
    "opaque": lambda k, args, name, lead, new, slots: k.opaque(name, lead, new, slots, args),
    "logaddexp": log_of_sum_of_two,
    "logcosh": lambda k, args: k.applied("log", [k.applied("cosh", args)]),
    "erfc": lambda k, args: one_minus(k, k.applied("erf", args)),
}
