"""intervals: between which numbers the entries of a node lie, known from the formula alone.

Entries are real and finite, axes are not empty, inputs may be any number. An interval is right when every entry
lies in it, so the doubtful is `ALL`; a whole number of equal factors is a power, and its sign is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any, Final

from .dims import Dim
from .ir import Add, Call, Coef, Const, Einsum, Labels, Node, toposort

End = Fraction | int | float  # a float only where it is infinite
LARGE: Final = 10**40  # ends beyond this, or with longer fractions, are no longer followed


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`; `above` and `below` say that the ends themselves are not reached."""

    low: End = -inf
    high: End = inf
    above: bool = False
    below: bool = False

    @property
    def nonnegative(self) -> bool:
        return self.low >= 0

    @property
    def nonpositive(self) -> bool:
        return self.high <= 0

    @property
    def positive(self) -> bool:
        return self.low > 0 or (self.low == 0 and self.above)

    @property
    def negative(self) -> bool:
        return (-self).positive

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low, self.below, self.above)

    def __add__(self, other: Interval) -> Interval:
        above, below = self.above or other.above, self.below or other.below
        return bounded(self.low + other.low, self.high + other.high, above, below)

    def __mul__(self, other: Interval) -> Interval:
        if self.nonpositive and not self.nonnegative:
            return -(-self * other)
        if other.nonpositive and not other.nonnegative:
            return -(self * -other)
        ends = [times(a, b) for a in self.ends for b in other.ends]
        low, high = min(end for end, _ in ends), max(end for end, _ in ends)
        return bounded(low, high, (low, False) not in ends, (high, False) not in ends)

    @property
    def ends(self) -> tuple[tuple[End, bool], tuple[End, bool]]:
        """Both ends, each with whether it is not reached."""
        return (self.low, self.above), (self.high, self.below)

    def hull(self, other: Interval) -> Interval:
        """What lies in one of the two, and what lies between them."""
        ends = (self, other)
        low, high = min(self.low, other.low), max(self.high, other.high)
        above = all(i.above for i in ends if i.low == low)
        return Interval(low, high, above, all(i.below for i in ends if i.high == high))

    def meet(self, other: Interval) -> Interval:
        """What lies in both."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        above = any(i.above for i in (self, other) if i.low == low)
        return Interval(low, high, above, any(i.below for i in (self, other) if i.high == high))


def times(a: tuple[End, bool], b: tuple[End, bool]) -> tuple[End, bool]:
    """The product of two ends. A zero that is reached makes it zero, whatever the other is."""
    if a[0] == 0 or b[0] == 0:
        return 0, not ((a[0] == 0 and not a[1]) or (b[0] == 0 and not b[1]))
    return a[0] * b[0], a[1] or b[1]


def bounded(low: End, high: End, above: bool, below: bool) -> Interval:
    """The interval, without ends that take long to write."""
    return Interval(low if short(low) else -inf, high if short(high) else inf, above, below)


def short(end: End) -> bool:
    return abs(end) == inf or max(abs(end.numerator), end.denominator) <= LARGE  # type: ignore[union-attr]


def point(value: End) -> Interval:
    return Interval(value, value)


ALL = Interval()
NONNEGATIVE = Interval(low=0)
POSITIVE = Interval(low=0, above=True)
COUNT = Interval(low=1)  # the size of an axis


def intervals(roots: Sequence[Node], given: Mapping[Node, Interval] | None = None) -> dict[Node, Interval]:
    """The interval of every node below the roots; `given` is known of some nodes beforehand.

    >>> from einstan.ir import input_
    >>> from einstan.prims.scalar import SIGMOID, one_minus
    >>> p = SIGMOID(input_("z", ()))
    >>> intervals([one_minus(p)])[one_minus(p)].positive
    True
    """
    given = given or {}
    found: dict[Node, Interval] = {}
    for node in toposort(roots):
        own = of_node(node, found)
        found[node] = own.meet(given[node]) if node in given else own
    return found


def of_node(node: Node, found: Mapping[Node, Interval]) -> Interval:
    """The interval of a node whose operands have theirs."""
    if isinstance(node, Einsum):
        return of_einsum(node, found)
    if isinstance(node, Add):
        total = point(0)
        for coef, term in node.terms:
            total += of_coef(coef) * found[term]
        return total
    if isinstance(node, Call):
        rule = RULES.get(node.prim.name)
        return ALL if rule is None else rule([found[o] for o in node.operands], node.params)
    return Interval(3, 4) if isinstance(node, Const) else ALL


def of_coef(coef: Coef) -> Interval:
    """A number times powers of sizes, which are 1 or more."""
    found = point(coef.rational)
    for _, n in coef.sizes:
        found *= COUNT if n > 0 else Interval(0, 1, above=True)
    return found


def of_einsum(e: Einsum, found: Mapping[Node, Interval]) -> Interval:
    """Equal factors on equal labels are a power; off a diagonal that is written there are zeros."""
    dims, entry = e.dims, product(e.factors, found)
    for label in e.summed:
        entry *= of_size(dims[label])
    return entry.hull(point(0)) if len(set(e.out)) < len(e.out) else entry


def product(factors: Sequence[tuple[Node, Labels]], found: Mapping[Node, Interval]) -> Interval:
    """The product of factors on their labels, nothing summed."""
    entry = point(1)
    for (node, _), n in Counter(factors).items():
        entry *= power(found[node], Fraction(n))
    return entry


def of_size(d: Dim) -> Interval:
    return COUNT if d.value is None else point(max(1, d.value))


# ---------------------------------------------------------------- powers


def magnitude(x: Interval) -> Interval:
    """|x|."""
    if x.nonnegative or x.nonpositive:
        return x if x.nonnegative else -x
    return x.hull(-x).meet(NONNEGATIVE)


def power(x: Interval, q: Fraction) -> Interval:
    """x^q: a whole power of a number of any sign, any other of what is not negative."""
    if q.denominator > 1:
        return positive_power(x.meet(NONNEGATIVE) if x.high >= 0 else NONNEGATIVE, q)
    if q % 2 == 0:
        return positive_power(magnitude(x), q)
    if x.nonnegative or x.nonpositive:
        return positive_power(x, q) if x.nonnegative else -positive_power(-x, q)
    if q < 0:
        return ALL
    return positive_power(x.meet(NONNEGATIVE), q).hull(-positive_power((-x).meet(NONNEGATIVE), q))


def positive_power(x: Interval, q: Fraction) -> Interval:
    """x^q of what is not negative."""
    if q < 0:
        return inverse(positive_power(x, -q))
    (low, above), (high, below) = raised(x.low, q, rounded_up=False), raised(x.high, q, rounded_up=True)
    return bounded(low, high, x.above or above, x.below or below)


def raised(end: End, q: Fraction, rounded_up: bool) -> tuple[End, bool]:
    """end^q, or 0, 1, infinity beside it, and whether it is one of these instead."""
    if end in (0, 1, inf):
        return end, False
    if q.denominator == 1 and q <= 8:
        return end ** int(q), False
    return ((1 if end < 1 else inf) if rounded_up else (0 if end < 1 else 1)), True


def inverse(x: Interval) -> Interval:
    """1 / x of what is not negative; it is finite, so x is not 0."""
    if x.high == 0:
        return POSITIVE
    low: End = 0 if x.high == inf else 1 / Fraction(x.high)
    return Interval(low, inf if x.low == 0 else 1 / Fraction(x.low), x.high == inf or x.below, x.above)


# ---------------------------------------------------------------- functions

Rule = Callable[[Sequence[Interval], Sequence[Any]], Interval]


def within(low: End, high: End, above: bool = False, below: bool = False) -> Rule:
    """Whatever the arguments are."""
    found = Interval(low, high, above, below)
    return lambda args, params: found


def through(fixed: Sequence[tuple[End, End]], low: End = -inf, high: End = inf) -> Rule:
    """A growing function strictly between `low` and `high`, of which some values are known: pairs (x, y)."""

    def rule(args: Sequence[Interval], params: Sequence[Any]) -> Interval:
        (x,) = args
        found = Interval(low, high, True, True)
        for at, value in fixed:
            if x.low >= at:
                found = found.meet(Interval(low=value, above=x.low > at or x.above))
            if x.high <= at:
                found = found.meet(Interval(high=value, below=x.high < at or x.below))
        return found

    return rule


def larger(args: Sequence[Interval], params: Sequence[Any]) -> Interval:
    a, b = args
    ends = (a, b)
    low, high = max(a.low, b.low), max(a.high, b.high)
    above = any(i.above for i in ends if i.low == low)
    return Interval(low, high, above, all(i.below for i in ends if i.high == high))


def smaller(args: Sequence[Interval], params: Sequence[Any]) -> Interval:
    return -larger([-i for i in args], params)


def either(args: Sequence[Interval], params: Sequence[Any]) -> Interval:
    """One of the arguments."""
    found = args[0]
    for other in args[1:]:
        found = found.hull(other)
    return found


def stepped(at_zero: End, below_zero: End) -> Rule:
    """1 above zero."""

    def rule(args: Sequence[Interval], params: Sequence[Any]) -> Interval:
        (x,) = args
        values = [1] * (x.high > 0) + [below_zero] * (x.low < 0) + [at_zero] * (x.low <= 0 <= x.high)
        return Interval(min(values), max(values))

    return rule


def product_along(args: Sequence[Interval], params: Sequence[Any]) -> Interval:
    """The product of some entries, of unknown number."""
    (x,) = args
    if x.low >= -1 and x.high <= 1:
        return Interval(0 if x.nonnegative else -1, 1, x.positive)
    return Interval(low=0, above=x.positive) if x.nonnegative else ALL


def power_of(args: Sequence[Interval], params: Sequence[Any]) -> Interval:
    """a^b for a ≥ 0; elsewhere it is no number, or a whole power."""
    return Interval(low=0, above=args[0].positive) if args[0].nonnegative else ALL


RULES: Final[dict[str, Rule]] = {
    "exp": through([(0, 1)], low=0),
    "log": through([(1, 0)]),
    "log1p": through([(0, 0)]),
    "expm1": through([(0, 0)], low=-1),
    "sin": within(-1, 1),
    "cos": within(-1, 1),
    "asin": through([(0, 0)], -2, 2),
    "acos": within(0, 4),
    "atan": through([(0, 0)], -2, 2),
    "sinh": through([(0, 0)]),
    "cosh": within(1, inf),
    "tanh": through([(0, 0)], -1, 1),
    "sigmoid": through([(0, Fraction(1, 2))], 0, 1),
    "relu": lambda args, params: larger([args[0], point(0)], params),
    "softplus": within(0, inf, above=True),
    "erf": through([(0, 0)], -1, 1),
    "erfc": within(0, 2, True, True),
    "abs": lambda args, params: magnitude(args[0]),
    "sign": stepped(0, -1),
    "step": stepped(0, 0),
    "pow": lambda args, params: power(args[0], params[0]),
    "power": power_of,
    "max": larger,
    "min": smaller,
    "<": within(0, 1),
    "<=": within(0, 1),
    ">": within(0, 1),
    ">=": within(0, 1),
    "==": within(0, 1),
    "where": lambda args, params: args[1].hull(args[2]),
    "amax": either,
    "amin": either,
    "prod": product_along,
    "norm": within(0, inf),
    "unit": within(-1, 1),
    "softmax": within(0, 1, above=True),
    "log_softmax": within(-inf, 0),
    "logsumexp": lambda args, params: Interval(low=args[0].low),
    "logaddexp": lambda args, params: Interval(low=max(i.low for i in args), above=True),
    "logcosh": within(0, inf),
    "concat": either,
    "part": either,
}
