"""scope: one tree read bottom-up: which indices are free, open or summed at each node, and their sizes.

The rules are NOTATION sections 2 to 5. Sizes are collected as equations between raw axis symbols
(`X.0` is the first axis of the input X, `?1` an unknown) and resolved when the whole program is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..dims import Dim, SizeClash, Sizes, single_symbol
from ..errors import EinstanError, EinstanIndexError, EinstanShapeError, Span
from . import words
from .ast import (
    Call,
    Derivative,
    Expr,
    Filled,
    Index,
    Product,
    Tensor,
)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an equation of sizes: the raw size, and the tensor (or `[h, x]`) that has it."""

    dim: Dim
    name: str
    span: Span
    parts: tuple[Dim, ...] = ()


@dataclass(frozen=True, slots=True)
class Equation:
    """In one scope the index has one size: `left.dim` is `right.dim`, both in raw axis symbols."""

    index: str
    left: Side
    right: Side


@dataclass(frozen=True, slots=True)
class Part:
    """`W[j,k=0:2]`: 0 <= low <= high <= size of the axis."""

    index: str
    low: Dim
    high: Dim
    axis: Side


@dataclass(frozen=True, slots=True)
class Scope:
    """What the checker knows of one tree, by `id` of the node (of the Index, for bounds).

    `axes`: free and still open indices with their sizes, in order of first appearance, after any sum at
    the node. `summed`: the capitals summed at a Product, or at a Tensor, Filled or Derivative that is a
    chain of its own; and what an opaque `f[j](Z[i,K])` takes in. `extents`: sizes of Extent nodes.
    `bounds`: of the parts `k=0:2`.
    """

    axes: Mapping[int, dict[str, Dim]]
    summed: Mapping[int, dict[str, Dim]]
    extents: Mapping[int, Dim]
    bounds: Mapping[int, tuple[Dim, Dim]]
    equations: tuple[Equation, ...]
    parts: tuple[Part, ...]

    def resolved(self, resolve: Callable[[Dim], Dim]) -> Scope:
        """The same with every size resolved."""
        axes, summed = (
            {key: {name: resolve(d) for name, d in own.items()} for key, own in table.items()}
            for table in (self.axes, self.summed)
        )
        bounds = {key: (resolve(low), resolve(high)) for key, (low, high) in self.bounds.items()}
        extents = {key: resolve(d) for key, d in self.extents.items()}
        return Scope(axes, summed, extents, bounds, self.equations, self.parts)


class Formula(Protocol):
    """A function whose formula is known: it acts entry by entry, as `body` says in the scalars `params`."""

    @property
    def name(self) -> str: ...
    @property
    def params(self) -> tuple[str, ...]: ...
    @property
    def body(self) -> Expr: ...


Axes = dict[str, Side]
Places = list[tuple[str, Side]]


@dataclass(slots=True)
class Known:
    """What a tree may refer to: shapes of names with the place of an indexed use, fixed sizes, the text, formulas."""

    sizes: Sizes
    shapes: dict[str, tuple[Side, ...]]
    uses: dict[str, Span | None]
    fixed: dict[str, Side]
    source: str
    formulas: Mapping[str, Formula]

    def is_opaque(self, function: str) -> bool:
        return function not in words.FUNCTIONS and function not in self.formulas


@dataclass(slots=True)
class Reader:
    """The tables of one tree, filled by the rules of indices.py, one for each kind of node."""

    known: Known
    axes: dict[int, Axes] = field(default_factory=dict)
    summed: dict[int, Axes] = field(default_factory=dict)
    extents: dict[int, Dim] = field(default_factory=dict)
    bounds: dict[int, tuple[Dim, Dim]] = field(default_factory=dict)
    equations: list[Equation] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    unknown: list[tuple[str, Side]] = field(default_factory=list)  # sizes that have to follow from elsewhere
    results: list[tuple[str, Side]] = field(default_factory=list)  # new axes of opaque functions: `f.0`
    places: dict[int, Places] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)  # factors, whose places belong to the chain around them
    whole: set[int] = field(default_factory=set)  # arguments that may be whole tensors
    hidden: dict[int, dict[str, Span]] = field(default_factory=dict)  # capitals summed inside, where there are some
    waiting: dict[int, Places] = field(default_factory=dict)  # |K| whose index is not met yet

    def hold(self, e: Expr) -> None:
        """Notes what stands directly in a chain, and what may be a whole tensor."""
        if isinstance(e, Product):
            self.held.update(id(k) for k in e.factors if isinstance(k, (Tensor, Filled, Derivative)))
        elif isinstance(e, Derivative) and isinstance(e.numerator, Tensor):
            self.held.add(id(e.numerator))
        elif isinstance(e, Call) and self.known.is_opaque(e.name):
            self.whole.update(id(k) for k in e.args)

    def scope(self, resolve: Callable[[Dim], Dim]) -> Scope:
        """The tables with every size resolved."""

        def table(sides: Mapping[int, Axes]) -> dict[int, dict[str, Dim]]:
            return {key: {name: resolve(s.dim) for name, s in axes.items()} for key, axes in sides.items()}

        bounds = {key: (resolve(low), resolve(high)) for key, (low, high) in self.bounds.items()}
        extents = {key: resolve(dim) for key, dim in self.extents.items()}
        return Scope(table(self.axes), table(self.summed), extents, bounds, tuple(self.equations), tuple(self.parts))

    # ---------------------------------------------------------------- sizes

    def fresh(self, index: Index, name: str) -> Side:
        side = Side(self.known.sizes.fresh(), name, index.span)
        self.unknown.append((index.name, side))
        return side

    def codomain(self, index: Index, function: str, axis: int) -> Side:
        """A new axis of an opaque function; where its size does not follow, the function decides it."""
        side = Side(self.known.sizes.fresh(), function, index.span)
        self.results.append((f"{function}.{axis}", side))
        return side

    def one_size(self, index: str, left: Side, right: Side) -> Side:
        """Both sides have one size; the better known of the two."""
        if left.dim == right.dim:
            return left
        self.equations.append(Equation(index, left, right))
        try:
            self.known.sizes.unify(left.dim, right.dim)
        except SizeClash as clash:
            raise self.clash(index, replace(left, dim=clash.left), replace(right, dim=clash.right)) from None
        return right if is_unknown(left.dim) else left

    def clash(self, index: str, left: Side, right: Side) -> EinstanShapeError:
        return EinstanShapeError(
            f"{index} is {left.dim} in {left.name}, {right.dim} in {right.name}.",
            "An index has one size in its scope; rename one of the two.",
            source=self.known.source,
            spans=(left.span, right.span),
        )

    def merged(self, places: Iterable[tuple[str, Side]]) -> Axes:
        """The indices in order of first appearance, each with one size."""
        axes: Axes = {}
        for name, side in places:
            axes[name] = self.one_size(name, axes[name], side) if name in axes else side
        return axes

    def fixed(self, index: str, side: Side) -> Side:
        """`size n = 5` holds for every index n."""
        if index in self.known.fixed:
            self.one_size(index, side, self.known.fixed[index])
        return side

    # ---------------------------------------------------------------- chains

    def chain(self, e: Expr, places: Places) -> Axes:
        """A Tensor or its like: a chain of its own, unless it is a factor of one."""
        self.places[id(e)] = places
        axes = self.merged(places)
        return axes if id(e) in self.held else self.close(e, axes, places)

    def close(self, e: Expr, axes: Axes, places: Places) -> Axes:
        """Sums the capitals that stand in two or more places."""
        counts = Counter(name for name, _ in places if is_capital(name))
        summed = {name: side for name, side in axes.items() if counts[name] > 1}
        if not summed:
            return axes
        self.summed[id(e)] = summed
        self.hide(e, summed)
        return {name: side for name, side in axes.items() if name not in summed}

    def hide(self, e: Expr, summed: Axes) -> None:
        self.hidden[id(e)] = {**self.hidden.get(id(e), {}), **{name: side.span for name, side in summed.items()}}

    def operands(self, e: Expr, axes: Axes) -> None:
        """What the operands of `e` bring along: sums inside, and sizes |K| that wait for an index."""
        inside = [self.hidden[id(k)] for k in e.children if id(k) in self.hidden]
        if inside:
            hidden = inside[0] if len(inside) == 1 else {name: s for table in inside for name, s in table.items()}
            self.hidden[id(e)] = hidden
            for name, side in axes.items():
                if name in hidden and is_capital(name):
                    raise self.summed_and_open(name, hidden[name], side.span)
        waiting = [place for k in e.children for place in self.waiting.get(id(k), ())]
        for name, side in waiting:
            if name in axes:
                self.one_size(name, side, axes[name])
        if rest := [(name, side) for name, side in waiting if name not in axes]:
            self.waiting[id(e)] = rest

    def united(self, e: Expr) -> Axes:
        """The indices of all operands together; nothing is summed."""
        tables = [self.axes[id(k)] for k in e.children if self.axes[id(k)]]
        if len(tables) < 2:
            axes = tables[0] if tables else {}
        else:
            axes = self.merged(place for table in tables for place in table.items())
        self.operands(e, axes)
        return axes

    # ---------------------------------------------------------------- errors

    def error(self, kind: type[EinstanError], message: str, repair: str, *spans: Span | None) -> EinstanError:
        return kind(message, repair, source=self.known.source, spans=tuple(s for s in spans if s is not None))

    def lone_capital(self, name: str, side: Side) -> EinstanError:
        low = name[0].lower() + name[1:]
        return self.error(
            EinstanIndexError,
            f"{name} is capitalised and has one place in its product, so nothing is summed over it.",
            f"Multiply by 1[{name}], write sum[{low}](...), or write {low} in lower case.",
            side.span,
        )

    def summed_and_open(self, name: str, inside: Span, outside: Span) -> EinstanError:
        return self.error(
            EinstanIndexError,
            f"{name} is summed inside one operand and open in another.",
            f"Rename one of the two, multiply with ⊙, or write sum[{name[0].lower() + name[1:]}](...).",
            inside,
            outside,
        )


def is_capital(name: str) -> bool:
    return name[0].isupper()


def is_unknown(dim: Dim) -> bool:
    return (single_symbol(dim) or "").startswith("?")
