"""glance: values of formulas at a few points, by letter: what a formula would be, told in microseconds.

Products and sums are computed here, from the values of what stands in them; those are asked for. A glance lets through
or turns away what is judged afterwards: where it knows no value, it says None. The first axis of every array is the
point (of length 1 for what is the same at all points), the others have letters; along those of ones they have length 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import count, islice
from math import prod
from typing import Any

import numpy as np

from ..show.spelling import shown
from ..show.text import show_expr
from ..syntax.ast import Call, Derivative, Expr, Extent, Filled, Group, Index, Number, Odot, Power, Product, Sum, Tensor
from ..syntax.words import ENTRYWISE
from .drafts import Draft, rebuilt, renamed
from .sampling import FUNCTIONS

Array = np.ndarray[Any, Any]
Letters = tuple[str, ...]
Value = tuple[Letters, Array]  # a factor may have a letter twice, as it is written
Ask = Callable[[Expr, Letters], Array | None]
CLOSE = 1e-7  # of the largest entry
LEAST = 1e-300
SIMPLE = 1000  # the greatest numerator and denominator of a number that is meant
POINT = 0
LABELS = 50  # letters and factors of a product that numpy takes
MANY, MOST = 50_000, 3_000_000  # entries over all letters of a product: contracted pair by pair; not at all


class Glance:
    """Values by tree, and by text of what was asked. `ask` gives the array of a formula over its free letters; `sizes`
    are those of letters, `taken` letters that mean something already."""

    def __init__(self, ask: Ask, sizes: Mapping[str, int], taken: Collection[str] = ()) -> None:
        self.ask, self.sizes = ask, sizes
        self.asked: dict[str, Array | None] = {}
        self.known: dict[int, tuple[Expr, Value | None]] = {}  # with the tree, so that its id stays its own
        self.taken = set(taken)

    def of(self, root: Expr) -> Value | None:
        """The value over the letters that are free or open, each once."""
        waiting = [root]
        while waiting:
            e = waiting[-1]
            missing = [x for x in operands(e) if id(x) not in self.known]
            waiting += missing
            if not missing:
                waiting.pop()
                if id(e) not in self.known:
                    self.known[id(e)] = (e, self.value(e))
        value = self.known[id(root)][1]
        return value and closed(value)

    def value(self, e: Expr) -> Value | None:
        """Of a factor as it is written, of anything else with each letter once."""
        below = [self.known[id(x)][1] for x in operands(e)]
        if not isinstance(e, Product):
            below = [v and closed(v) for v in below]
        values = [v for v in below if v is not None]
        return self.rule(e, values) if len(values) == len(below) else None

    def rule(self, e: Expr, below: Sequence[Value]) -> Value | None:
        match e:
            case Number():
                return (), np.array([float(e.value)])
            case Extent(axis=None) if e.name in self.sizes:
                return (), np.array([float(self.sizes[e.name])])
            case Filled():
                axes = tuple(index.name for index in e.indices)
                return axes, np.full([1] * (len(axes) + 1), float(e.value))
            case Tensor(name="delta", indices=(a, b)):
                return self.identity(a.name, b.name)
            case Tensor() | Derivative():
                return self.indexed(e)
            case Group():
                return below[0]
            case Sum():
                return total(e.signs, below)
            case Product():
                return multiplied(below, e.divides, summed=True)
            case Odot():
                return multiplied(below, [False] * len(below), summed=False)
            case Power():
                return entrywise(np.power, below)
            case Call() if is_sum(e):
                return without([index.name for index in e.along or ()], below[0])
            case Call() if is_plain(e):
                return entrywise(FUNCTIONS[e.name], below)
        return self.other(e)

    def identity(self, a: str, b: str) -> Value | None:
        n = self.sizes.get(a) or self.sizes.get(b)
        return None if n is None else ((a, b), np.eye(n)[None])

    def indexed(self, e: Tensor | Derivative) -> Value | None:
        """A name or a derivative: asked for once, whatever its letters."""
        pieces = Draft.of(e).pieces
        indices = [piece for piece in pieces if isinstance(piece, Index)]
        if not indices or any(index.low is not None for index in indices) or not is_named(e):
            return self.other(e)
        own = self.free(len(indices))
        plain = rebuilt(pieces, {id(index): Index(x) for index, x in zip(indices, own, strict=True)})
        array = self.array(plain, own)
        return None if array is None else (tuple(index.name for index in indices), array)

    def other(self, e: Expr) -> Value | None:
        """What is neither product nor sum, over the letters that it shows: asked for with free letters for these."""
        axes = tuple(sorted(shown(e)))
        written = [piece.name for piece in Draft.of(e).pieces if isinstance(piece, Index)]
        own = self.free(len(axes), written)
        array = self.array(renamed(e, dict(zip(axes, own, strict=True))), own)
        return None if array is None else (axes, array)

    def array(self, e: Expr, axes: Letters) -> Array | None:
        text = show_expr(e)
        if text not in self.asked:
            self.asked[text] = self.ask(e, axes)
        return self.asked[text]

    def free(self, n: int, written: Collection[str] = ()) -> Letters:
        """Letters that nothing means."""
        letters = (x for x in (f"i{k}" for k in count(1)) if x not in self.taken and x not in written)
        return tuple(islice(letters, n))


def operands(e: Expr) -> Sequence[Expr]:
    """What the value of `e` is computed from here."""
    return e.children if isinstance(e, Product | Sum | Odot | Group | Power) or is_sum(e) or is_plain(e) else ()


def is_sum(e: Expr) -> bool:
    return isinstance(e, Call) and e.name == "sum"


def is_plain(e: Expr) -> bool:
    """Whether numpy knows the function."""
    return isinstance(e, Call) and e.along is None and not e.primes and e.name in FUNCTIONS and e.name in ENTRYWISE


def is_named(e: Tensor | Derivative) -> bool:
    return isinstance(e, Tensor) or isinstance(e.numerator, Tensor)


def closed(value: Value) -> Value | None:
    """Each letter once: repeated capitals are summed, of other letters the diagonal is taken."""
    axes, _ = value
    return multiplied([value], [False], summed=True) if len(set(axes)) < len(axes) else value


def multiplied(factors: Sequence[Value], divides: Sequence[bool], summed: bool) -> Value | None:
    """The product over all letters, `summed` over capitals in two places; None where sizes clash or are not known."""
    sizes = sizes_of(factors)
    places = Counter(x for axes, _ in factors for x in axes)
    gone = {x for x, n in places.items() if n > 1 and x[0].isupper()} if summed else set[str]()
    if sizes is None or any(sizes[x] == 1 for x in gone):
        return None
    space = prod(sizes.values())
    if space > MOST or len(sizes) > LABELS or len(factors) > LABELS:
        return None
    number = {x: n + 1 for n, x in enumerate(places)}
    out = tuple(x for x in number if x not in gone)
    words: list[Any] = []
    for (axes, x), below in zip(factors, divides, strict=True):
        words += [1 / x if below else x, [POINT, *(number[a] for a in axes)]]
    return out, np.einsum(*words, [POINT, *(number[x] for x in out)], optimize="greedy" if space > MANY else False)


def sizes_of(values: Iterable[Value]) -> dict[str, int] | None:
    """The length along every letter; None where one has two."""
    sizes: dict[str, int] = {}
    for axes, x in values:
        if len(set(zip(axes, x.shape[1:], strict=True))) > len(set(axes)):
            return None
        for letter, size in zip(axes, x.shape[1:], strict=True):
            if sizes.get(letter, 1) == 1:
                sizes[letter] = size
            elif size not in (1, sizes[letter]):
                return None
    return sizes


def total(signs: Sequence[int], terms: Sequence[Value]) -> Value | None:
    sizes = sizes_of(terms)
    if sizes is None:
        return None
    axes = tuple(sizes)
    return axes, np.asarray(sum(sign * over(v, axes) for sign, v in zip(signs, terms, strict=True)))


def entrywise(function: Callable[..., Array], args: Sequence[Value]) -> Value | None:
    sizes = sizes_of(args)
    return None if sizes is None else (tuple(sizes), function(*(over(x, tuple(sizes)) for x in args)))


def over(value: Value, axes: Letters) -> Array:
    """The array over more letters, of length 1 along those that it lacks."""
    own, x = value
    moved = x.transpose([0, *(own.index(a) + 1 for a in axes if a in own)])
    return moved.reshape([len(x), *(x.shape[own.index(a) + 1] if a in own else 1 for a in axes)])


def without(along: Sequence[str], value: Value) -> Value | None:
    axes, x = value
    if any(a not in axes or x.shape[axes.index(a) + 1] == 1 for a in along):
        return None
    return tuple(a for a in axes if a not in along), x.sum(tuple(axes.index(a) + 1 for a in along))


# ---------------------------------------------------------------- the wanted value


@dataclass(frozen=True)
class Wanted:
    """The value that an edit is to have, where it is finite; `scale` is its largest entry at each point."""

    axes: Letters
    array: Array

    @cached_property
    def scale(self) -> Array:
        size: Array = np.where(np.isfinite(self.array), np.abs(self.array), 0)
        return np.asarray(size.max(tuple(range(1, size.ndim)), keepdims=True, initial=LEAST))

    def beside(self, value: Value | None) -> Array | None:
        """A value with no other letters over the letters of this one."""
        if value is None or not set(value[0]) <= set(self.axes) or sizes_of([value, (self.axes, self.array)]) is None:
            return None
        return over(value, self.axes)

    def is_near(self, value: Value | None) -> bool:
        """Equal but for rounding at all points, of which there is one, where everything is finite."""
        x = self.beside(value)
        if x is None:
            return False
        off = (np.abs(x - self.array) / self.scale).reshape(len(self.array), -1).max(1, initial=0)
        return bool(np.isfinite(off).any() and not np.any(off > CLOSE))

    def line(self, zero: Value | None, one: Value | None) -> Fraction | None:
        """t with zero + t (one - zero) = this, if it is a simple number other than 0."""
        x, y = self.beside(zero), self.beside(one)
        if x is None or y is None:
            return None
        slope, rest = np.broadcast_arrays(y - x, self.array - x)
        finite = np.isfinite(slope) & np.isfinite(rest)
        slope, rest = np.where(finite, slope, 0), np.where(finite, rest, 0)
        largest = np.unravel_index(int(np.argmax(np.abs(slope))), slope.shape)
        if not slope[largest]:
            return None
        t = float(rest[largest] / slope[largest])
        q = Fraction(t).limit_denominator(SIMPLE)
        near = np.all(np.abs(float(q) * slope - rest) <= CLOSE * self.scale)
        return q if q and abs(q) <= SIMPLE and near else None
