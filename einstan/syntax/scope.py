"""scope: one tree read bottom-up: which indices are free, open or summed at each node, and their sizes.

The rules are NOTATION sections 2 to 5. Sizes are collected as equations between raw axis symbols
(`X.0` is the first axis of the input X, `?1` an unknown) and resolved when the whole program is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..dims import Dim, SizeClash, Sizes, single_symbol, total
from ..errors import EinstanError, EinstanIndexError, EinstanShapeError, EinstanSyntaxError, Span
from . import words
from .ast import (
    Call,
    Compare,
    Concat,
    Derivative,
    Expr,
    Extent,
    Filled,
    Group,
    Index,
    Number,
    Odot,
    Power,
    Product,
    Sum,
    Tensor,
    postorder,
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


Axes = dict[str, Side]
Places = list[tuple[str, Side]]


@dataclass(slots=True)
class Known:
    """What a tree may refer to: shapes of names with the place of an indexed use, fixed sizes, the text."""

    sizes: Sizes
    shapes: dict[str, tuple[Side, ...]]
    uses: dict[str, Span | None]
    defined: frozenset[str]
    fixed: dict[str, Side]
    source: str


@dataclass(slots=True)
class Reader:
    """The tables of one tree, filled by the rules below, one rule for each kind of node."""

    known: Known
    axes: dict[int, Axes] = field(default_factory=dict)
    summed: dict[int, Axes] = field(default_factory=dict)
    extents: dict[int, Dim] = field(default_factory=dict)
    bounds: dict[int, tuple[Dim, Dim]] = field(default_factory=dict)
    equations: list[Equation] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    unknown: list[tuple[str, Side]] = field(default_factory=list)  # sizes that have to follow from elsewhere
    places: dict[int, Places] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)  # factors, whose places belong to the chain around them
    whole: set[int] = field(default_factory=set)  # arguments that may be whole tensors
    hidden: dict[int, dict[str, Span]] = field(default_factory=dict)  # capitals summed inside, where there are some
    waiting: dict[int, Places] = field(default_factory=dict)  # |K| whose index is not met yet

    def read(self, root: Expr) -> Axes:
        """Fills the tables for `root`; its free indices. A capital that is still open is an error."""
        for e in postorder(root):
            self.hold(e)
        for e in postorder(root):
            self.axes[id(e)] = RULES[type(e)](self, e)
        axes = self.axes[id(root)]
        for name, side in axes.items():
            if is_capital(name):
                raise self.lone_capital(name, side)
        return axes

    def hold(self, e: Expr) -> None:
        """Notes what stands directly in a chain, and what may be a whole tensor."""
        if isinstance(e, Product):
            self.held.update(id(k) for k in e.factors if isinstance(k, (Tensor, Filled, Derivative)))
        elif isinstance(e, Derivative) and isinstance(e.numerator, Tensor):
            self.held.add(id(e.numerator))
        elif isinstance(e, Call) and e.name not in words.FUNCTIONS:
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


# -------------------------------------------------------------------- one rule for each kind of node


def of_number(r: Reader, e: Number) -> Axes:
    return {}


def of_tensor(r: Reader, e: Tensor) -> Axes:
    if not e.indices:
        return of_bare(r, e)
    if is_kronecker(e):
        return r.chain(e, [(i.name, side) for i, side in zip(e.indices, one_unknown(r, e), strict=True)])
    return r.chain(e, tensor_places(r, e))


def is_kronecker(e: Tensor) -> bool:
    return e.name == "delta" and e.indices is not None and len(e.indices) == 2


def is_pi(e: Tensor) -> bool:
    return e.name == "pi" and e.indices == ()


def one_unknown(r: Reader, e: Tensor) -> list[Side]:
    """The two indices of Kronecker's delta have one size."""
    first, second = e.indices or ()
    side = r.fixed(first.name, r.fresh(first, "delta"))
    return [side, r.fixed(second.name, replace(side, span=second.span))]


def of_bare(r: Reader, e: Tensor) -> Axes:
    """A name without indices: a scalar, or a whole tensor as an argument of an opaque function."""
    shape = () if is_pi(e) else r.known.shapes[e.name]
    if (shape or e.indices is None) and id(e) not in r.whole:
        count = f"{len(shape)} {'axis' if len(shape) == 1 else 'axes'}"
        raise r.error(
            EinstanShapeError,
            f"{e.name} has {count}, and stands here without indices.",
            f"Write {e.name}[{', '.join('ijklmnpqrs'[: len(shape)])}] with letters of this formula.",
            r.known.uses.get(e.name),
            e.span,
        )
    return {}


def tensor_places(r: Reader, e: Tensor) -> Places:
    """The indices of a name with the sizes of its axes."""
    shape, indices = r.known.shapes[e.name], e.indices or ()
    if len(shape) != len(indices):
        raise r.error(
            EinstanShapeError,
            f"{e.name} has {len(indices)} {'index' if len(indices) == 1 else 'indices'} here and {len(shape)} "
            "elsewhere.",
            f"Give {e.name} the same number of indices everywhere.",
            r.known.uses.get(e.name),
            e.span,
        )
    return [(i.name, axis_side(r, e, i, axis)) for i, axis in zip(indices, shape, strict=True)]


def axis_side(r: Reader, e: Expr, index: Index, axis: Side) -> Side:
    """The axis, or the part of it that `k=0:2` takes."""
    side = Side(axis.dim, axis.name, index.span, axis.parts)
    if index.low is None or index.high is None:
        return r.fixed(index.name, side)
    low, high = bound(r, e, index.low), bound(r, e, index.high)
    r.bounds[id(index)] = (low, high)
    r.parts.append(Part(index.name, low, high, side))
    length = (high - low).value
    if (length is not None and length < 0) or (low.value is not None and low.value < 0):
        raise r.error(EinstanShapeError, "A part runs from low to high.", "Write k=0:2.", index.span)
    return r.fixed(index.name, Side(high - low, f"{axis.name}[{index.name}={low}:{high}]", index.span))


def bound(r: Reader, owner: Expr, e: Expr) -> Dim:
    """A bound of a part as a size; `owner` waits for the index of a |K| in it."""
    sizes: dict[int, Dim] = {}
    for k in postorder(e):
        match k:
            case Number():
                sizes[id(k)] = Dim.of(int(k.value))
            case Extent():
                of_extent(r, k)
                sizes[id(k)] = r.extents[id(k)]
                r.waiting.setdefault(id(owner), []).extend(r.waiting.pop(id(k), []))
            case Sum():
                sizes[id(k)] = total(sizes[id(t)] * s for t, s in zip(k.terms, k.signs, strict=True))
            case Product() if not any(k.divides):
                product = Dim.of(1)
                for factor in k.factors:
                    product = product * sizes[id(factor)]
                sizes[id(k)] = product
            case Group():
                sizes[id(k)] = sizes[id(k.body)]
            case _:
                raise r.error(EinstanSyntaxError, "A bound is an integer or a size.", "Write k=0:2.", k.span)
    return sizes[id(e)]


def of_filled(r: Reader, e: Filled) -> Axes:
    return r.chain(e, [(i.name, r.fixed(i.name, r.fresh(i, str(e.value)))) for i in e.indices])


def of_extent(r: Reader, e: Extent) -> Axes:
    if e.axis is None:
        side = Side(r.known.sizes.fresh(), f"|{e.name}|", e.span)
        r.extents[id(e)] = side.dim
        r.waiting[id(e)] = [(e.name, side)]
        return {}
    shape = r.known.shapes[e.name]
    if e.axis >= len(shape):
        raise r.error(
            EinstanShapeError,
            f"{e.name} has {len(shape)} axes, and no axis {e.axis + 1}.",
            f"Write size({e.name},1) for the first.",
            r.known.uses.get(e.name),
            e.span,
        )
    r.extents[id(e)] = shape[e.axis].dim
    return {}


def of_product(r: Reader, e: Product) -> Axes:
    places = [place for k in e.factors for place in factor_places(r, k)]
    axes = r.merged(places)
    r.operands(e, axes)
    return r.close(e, axes, places)


def factor_places(r: Reader, e: Expr) -> Iterable[tuple[str, Side]]:
    return r.places.get(id(e), ()) if id(e) in r.held else r.axes[id(e)].items()


def of_union(r: Reader, e: Expr) -> Axes:
    return r.united(e)


def of_power(r: Reader, e: Power) -> Axes:
    base, exponent = e.base, e.exponent
    for operand in (base, exponent):
        if id(operand) in r.summed and isinstance(operand, (Tensor, Filled)):
            raise r.error(
                EinstanIndexError,
                "A power acts entry by entry, and its operand sums over a repeated capital.",
                "Write (A[I,I])^2 for the power of the sum, sum[i](A[i,i]^2) for the sum of the powers.",
                e.span,
            )
    if isinstance(exponent, Number) and exponent.value == -1 and isinstance(base, Tensor):
        listed = ",".join(i.name for i in base.indices or ())
        if "," in listed:
            raise r.error(
                EinstanSyntaxError,
                "Power -1 on a tensor of two or more indices: entry by entry, or the inverse matrix?",
                f"Write 1/{base.name}[{listed}] or inv[{listed}]({base.name}[{listed}]).",
                e.span,
            )
    return r.united(e)


def of_call(r: Reader, e: Call) -> Axes:
    if e.name not in words.FUNCTIONS:
        return of_opaque(r, e)
    if e.name in words.MATRIX:
        raise r.error(EinstanSyntaxError, f"{e.name} is not built yet.", "Give its result as an input.", e.name_span)
    return of_entrywise(r, e) if e.along is None else of_along(r, e)


def of_entrywise(r: Reader, e: Call) -> Axes:
    arity = words.ENTRYWISE.get(e.name)
    if arity is None or (arity != len(e.args) == 1 and e.name in words.REDUCTIONS):
        raise r.error(
            EinstanSyntaxError, f"{e.name} does not say along which index.", f"Write {e.name}[k](...).", e.name_span
        )
    if arity != len(e.args):
        raise r.error(
            EinstanSyntaxError,
            f"{e.name} has {arity} {'argument' if arity == 1 else 'arguments'}, not {len(e.args)}.",
            f"Write {e.name}({', '.join('abc'[:arity])}).",
            e.span,
        )
    if e.primes:
        check_slot(r, e)
    return r.united(e)


def check_slot(r: Reader, e: Call) -> None:
    """A derivative of a function of several arguments says in which."""
    if (e.slot is None and len(e.args) > 1) or (e.slot or 0) >= len(e.args):
        raise r.error(
            EinstanSyntaxError,
            f"The derivative of {e.name} says in which of its {len(e.args)} arguments.",
            f"Write {e.name}'[1]({', '.join('abcdefgh'[: len(e.args)])}).",
            e.name_span,
        )


def of_along(r: Reader, e: Call) -> Axes:
    """`sum[k](...)`: k is gone afterwards; `softmax[k](...)`: k stays."""
    along = e.along or ()
    if e.name not in words.REDUCTIONS | words.NORMALISERS:
        raise r.error(
            EinstanSyntaxError, f"{e.name} acts entry by entry.", f"Write {e.name}(...) without indices.", e.name_span
        )
    if len(e.args) != 1 or e.primes or any(i.low is not None for i in along):
        raise r.error(
            EinstanSyntaxError, f"{e.name}[k] has one argument and no prime.", f"Write {e.name}[k](x[k]).", e.span
        )
    axes = r.united(e)
    for index in along:
        if index.name not in axes:
            raise r.error(
                EinstanIndexError,
                f"{index.name} is no index of what {e.name} is taken of.",
                f"Its free indices are {', '.join(axes) or 'none'}; an index that is summed inside is gone.",
                index.span,
            )
    gone = {i.name for i in along} if e.name in words.REDUCTIONS else set()
    return {name: side for name, side in axes.items() if name not in gone} if gone else axes


def of_opaque(r: Reader, e: Call) -> Axes:
    """`f(x[i])` acts entry by entry; `f[j](Z[i,K])` takes in the open K and has the new axis j."""
    axes = r.united(e)
    if e.primes:
        check_slot(r, e)
    if e.along is None:
        return axes
    taken = {name: side for name, side in axes.items() if is_capital(name)}
    if taken:
        r.summed[id(e)] = taken
        r.hide(e, taken)
    result = {name: side for name, side in axes.items() if name not in taken}
    for index in e.along:
        if index.name in result:
            raise r.error(
                EinstanIndexError,
                f"{index.name} is the new axis of {e.name}, and an index of its argument too.",
                "Take another letter for the new axis.",
                index.span,
                result[index.name].span,
            )
        result[index.name] = r.fixed(index.name, r.fresh(index, e.name))
    return result


def of_concat(r: Reader, e: Concat) -> Axes:
    """`[h[b,K], x[b,K]]_K`: the sizes of K add up, all other indices are shared."""
    joined = e.index.name
    for part in e.parts:
        if joined not in r.axes[id(part)]:
            raise r.error(
                EinstanIndexError,
                f"The parts are joined along {joined}, and one of them has no free {joined}.",
                f"Write it with {joined}: [h[{joined}], x[{joined}]]_{joined}.",
                part.span,
                e.index.span,
            )
    sizes = tuple(r.axes[id(part)][joined].dim for part in e.parts)
    name = f"[{', '.join(part_name(part, r.known.source) for part in e.parts)}]"
    side = Side(total(sizes), name, e.index.span, sizes)
    shared = ((n, side if n == joined else s) for part in e.parts for n, s in r.axes[id(part)].items())
    axes = r.merged(shared)
    r.operands(e, {n: s for n, s in axes.items() if n != joined})
    return axes


def part_name(e: Expr, source: str) -> str:
    return e.name if isinstance(e, Tensor) else source[e.span.start : e.span.end][:20] or "..."


def of_derivative(r: Reader, e: Derivative) -> Axes:
    """A tensor whose indices are those of the numerator, then those of the denominators."""
    top = e.numerator
    places = list(factor_places(r, top))
    name = "∂" * (len(e.denominators) == 1) + (top.name if isinstance(top, Tensor) else "(...)")
    for denominator in e.denominators:
        if denominator.indices or not r.known.shapes[denominator.name]:
            below = tensor_places(r, denominator)
        else:
            raise r.error(
                EinstanShapeError,
                f"{denominator.name} has axes, and stands below ∂ without indices.",
                f"Write ∂{denominator.name}[...] with its indices.",
                r.known.uses.get(denominator.name),
                denominator.span,
            )
        places += [(n, replace(side, name=f"{name}/∂{denominator.name}")) for n, side in below]
    r.places[id(e)] = places
    axes = r.merged(places)
    r.operands(e, axes)
    return axes if id(e) in r.held else r.close(e, axes, places)


RULES: dict[type[Expr], Callable[[Reader, Any], Axes]] = {
    Number: of_number,
    Tensor: of_tensor,
    Filled: of_filled,
    Extent: of_extent,
    Product: of_product,
    Odot: of_union,
    Sum: of_union,
    Compare: of_union,
    Group: of_union,
    Power: of_power,
    Call: of_call,
    Concat: of_concat,
    Derivative: of_derivative,
}
