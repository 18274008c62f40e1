"""shown: what a node looks like to its users, and the state of the sweep that makes the steps.

Laws: the array of a node holds `factor[node]` times the node; axes along which a node only repeats are not stored, so
an array `Shown` with `None` for an axis broadcasts along it; an axis of the array that is shown twice is a diagonal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from ..backends.numpy import COMPARISONS
from ..ir import Add, Call, Einsum, Input, Node
from .build import Builder, DType, written
from .coefs import place_coefficients
from .contract import Labels, Term, aligned
from .dtypes import BOOL, HALF, INT
from .facts import Facts, base
from .values import Arg, Exact, Name, Number, Value, as_float, ratio

Axes = tuple[int | None, ...]


class Shown(NamedTuple):
    """A node as `value` (a number or an array) and, for each axis of the node, the axis of the array or None."""

    value: Value | Number
    axes: Axes

    @property
    def is_diagonal(self) -> bool:
        axes = self.axes
        return len(set(axes)) < len(axes) and any(a is not None and axes.count(a) > 1 for a in axes)


class Slot(NamedTuple):
    """Where a part of a concatenation goes; `times` as much of the node is the part."""

    joined: Node
    axis: int
    low: int
    high: int
    times: Exact = 1


class Layout(NamedTuple):
    """The axes of a node that some argument carries, in the order in which the result lies."""

    order: tuple[int, ...]
    shape: tuple[int, ...]
    axes: Axes
    target: Value | None


class Lowering:
    """The state of the sweep: facts, the steps so far, what every node became."""

    def __init__(self, facts: Facts, hints: Mapping[str, Sequence[str]]) -> None:
        self.facts = facts
        self.build = Builder(hints)
        self.factor, self.wanted = place_coefficients(facts)
        self.shown: dict[Node, Shown] = {}
        self.inputs: dict[str, Value] = {}
        self.results: dict[Node, Value] = {}
        self.joins: dict[Node, Value] = {}
        self.products: dict[Any, Term] = {}
        self.solids: dict[tuple[Shown, tuple[int, ...]], Value] = {}
        self.slots = slots(facts)
        self.bases = {a.operands[k] for a in facts.order if (k := base(a, facts)) is not None}
        self.written = stand_ins(facts, self.factor)
        self.masks = {node for node in facts.order if is_mask(node, facts)}
        self.squares = {node for node in facts.order if is_summed_square(node, facts)}

    def run(self, table: Mapping[type[Node], Callable[[Lowering, Node], Shown]]) -> None:
        """Every node by the rule of its kind, operands first, then the results."""
        for root in self.facts.roots:
            if root not in self.results:
                self.results[root] = self.build.value(self.facts.shape[root], self.result_dtype(root), "result")
        for node in self.facts.order:
            if node in self.facts.number:
                self.shown[node] = Shown(self.facts.number[node], (None,) * node.rank)
            elif node not in self.squares:
                self.shown[node] = table[type(node)](self, node)
        for root, result in self.results.items():
            if self.shown[root].value is not result:
                copied(self, self.shown[root], self.factor[root], root, result)

    def result_dtype(self, root: Node) -> DType:
        """As the inputs promise; a bool input that is a result counts as int64."""
        found = self.facts.dtype[root]
        if found is None:
            return self.facts.default
        return INT if found == BOOL and isinstance(root, Input) else found

    def multiple(self, node: Node, c: Exact) -> Shown:
        """c times the node, made once for all who want it so."""
        s, r = self.shown[node], ratio(c, self.factor[node])
        if r == 1:
            return s
        if isinstance(s.value, Value):
            return Shown(self.build.scaled(s.value, r, self.facts.computed(node)), s.axes)
        return Shown(s.value * r, s.axes)

    def target(self, node: Node) -> Value | None:
        """Where the node's array should be written: a result, or its stretch of a concatenation."""
        dtype = self.facts.computed(node)
        if node in self.written:
            found = self.results[self.written[node]]
            return found if found.dtype == dtype else None
        slot = self.slots.get(node)
        if slot is None or self.facts.computed(slot.joined) != dtype:
            return None
        return stretch(self, slot) if self.factor[node] == self.factor[slot.joined] * slot.times else None

    def layout(self, node: Node, args: Sequence[Shown], targeted: bool = True) -> Layout:
        """Every axis that some array has, in the order of the largest array; all, in order, for a target."""
        arrays = [(s.value, s.axes) for s in args if isinstance(s.value, Value)]
        covered = {n for _, axes in arrays for n, a in enumerate(axes) if a is not None}
        target = self.target(node) if targeted and len(covered) == node.rank else None
        order = tuple(sorted(covered))
        if target is None:
            _, widest = max(arrays, key=lambda item: item[0].size)
            by_axis = {a: n for n, a in enumerate(widest) if a is not None}
            if len(by_axis) == len(covered):
                order = tuple([by_axis[a] for a in sorted(by_axis)])
        shape = self.facts.shape[node]
        place = {n: k for k, n in enumerate(order)}
        axes = tuple([place.get(n) for n in range(node.rank)])
        return Layout(order, tuple([shape[n] for n in order]), axes, target)


def stand_ins(facts: Facts, factor: Mapping[Node, Exact]) -> dict[Node, Node]:
    """Nodes of which a result is a multiple `c x`, or to which it only adds diagonals: what is computed for them is
    written there. Roots stand for themselves."""
    found = {root: root for root in facts.roots if factor[root] == 1}
    queue = list(found)
    for node in queue:
        k = 0 if isinstance(node, Add) and len(node.operands) == 1 else base(node, facts)
        if k is not None:
            assert isinstance(node, Add)
            operand = node.operands[k]
            if operand not in found and factor[operand] == factor[node] * facts.coef(node.coefs[k]):
                found[operand] = found[node]
                queue.append(operand)
    return found


def slots(facts: Facts) -> dict[Node, Slot]:
    """The nodes that are used once, as a part of a concatenation or as what a part is a multiple of."""
    found = {}
    for node in facts.order:
        if isinstance(node, Call) and node.prim.name == "concat" and node not in facts.number:
            axis, low = axis_of(node), 0
            for part in node.operands:
                high = low + facts.shape[part][axis]
                if facts.uses[part] == 1 and not isinstance(part, Input) and part not in facts.number:
                    found[part] = Slot(node, axis, low, high)
                    found.update(multiplied(part, found[part], facts))
                low = high
    return found


def multiplied(part: Node, slot: Slot, facts: Facts) -> dict[Node, Slot]:
    """Of a part `c x` the slot of x, if nothing else uses x."""
    if not isinstance(part, Add) or len(part.operands) != 1 or facts.uses[part.operands[0]] != 1:
        return {}
    (x,) = part.operands
    alone = not isinstance(x, Input) and x not in facts.number
    return {x: slot._replace(times=facts.coef(part.coefs[0]))} if alone else {}


def axis_of(y: Call) -> int:
    axis = y.params[0]
    assert isinstance(axis, int)
    return axis


def is_mask(node: Node, facts: Facts) -> bool:
    """A comparison that only a `where` asks is computed as bool."""
    if not (isinstance(node, Call) and node.prim.name in COMPARISONS):
        return False
    users = facts.users[node]
    asked = [isinstance(u, Call) and u.prim.name == "where" and node not in u.operands[1:] for u in users]
    return all(asked) and facts.uses[node] == len(users)


def is_summed_square(node: Node, facts: Facts) -> bool:
    """x² that only one sum uses: Σ x² is a product of x with itself, without an array of squares."""
    if not (isinstance(node, Call) and node.prim.name == "pow" and node.params == (Fraction(2),)):
        return False
    users = facts.users[node]
    if node in facts.number or not len(users) == facts.uses[node] == 1:
        return False
    (e,) = users
    return isinstance(e, Einsum) and len(e.operands) == 1 and bool(e.summed) and len(set(e.labels[0])) == node.rank


def joined(low: Lowering, y: Node) -> Value:
    """The array of a concatenation, made when the first part needs it."""
    found = low.joins.get(y)
    if found is None:
        target = low.target(y)
        found = target if target is not None else low.build.value(low.facts.shape[y], low.facts.computed(y))
        low.joins[y] = found
    return found


def stretch(low: Lowering, slot: Slot) -> Value:
    """The part of the joined array that a slot names."""
    shape = low.facts.shape[slot.joined]
    index = tuple((slot.low, slot.high) if n == slot.axis else (0, d) for n, d in enumerate(shape))
    return low.build.index(joined(low, slot.joined), index)


# ---------------------------------------------------------------- arrays of what is shown


def align(low: Lowering, s: Shown, order: tuple[int, ...]) -> Value:
    """The array as numpy broadcasts it to the node's axes in this order."""
    assert isinstance(s.value, Value)
    return aligned(low.build, Term(s.value, tuple([s.axes.index(a) for a in range(len(s.value.shape))])), order)


def operand_of(low: Lowering, s: Shown, order: tuple[int, ...], dtype: DType) -> Arg | Fraction:
    """The argument as numpy takes it: a number, or a view; integers beside floats are cast before."""
    if not isinstance(s.value, Value):
        return s.value
    if s.value.dtype != dtype and (s.value.dtype.kind in "biu" or s.value.dtype == HALF or dtype.kind in "iu"):
        s = Shown(low.build.cast(s.value, dtype), s.axes)
    return align(low, s, order)


def copied(low: Lowering, s: Shown, factor: Exact, node: Node, target: Value) -> None:
    """s / factor in all its entries, written into the target."""
    if s.is_diagonal or not isinstance(s.value, Value):
        filled(low, 0 if isinstance(s.value, Value) else s.value, node, target)
    if not isinstance(s.value, Value):
        return
    labels = labels_of(s)
    distinct = tuple(dict.fromkeys(labels))
    inner = low.build.diagonal(target, labels, distinct) if s.is_diagonal else target
    view = aligned(low.build, Term(s.value, carried(s)), distinct)

    def note(name: Name) -> str:
        letters = low.build.subscripts(node.shape)
        return f"{subscripted([letters[labels.index(x)] for x in labels])} = {letters_in(s, letters, name)}"

    if factor == 1:
        low.build.compute("copy", [view], inner.shape, inner.dtype, inner, (), note)
    else:
        args: list[Arg | Fraction] = [view, ratio(1, factor)]
        low.build.compute("multiply", args, inner.shape, inner.dtype, inner, (), note, inner.size)


def filled(low: Lowering, c: Number, node: Node, target: Value) -> None:
    def note(name: Name) -> str:
        return f"{subscripted(low.build.subscripts(node.shape))} = {as_float(c):g}"

    low.build.compute("fill", [c], target.shape, target.dtype, target, (), note)


def solid(low: Lowering, s: Shown, node: Node) -> Shown:
    """No diagonal: it is written out once where it is needed as an array."""
    return full(low, s, node) if s.is_diagonal else s


def full(low: Lowering, s: Shown, node: Node) -> Shown:
    """An array with all axes of the node."""
    if isinstance(s.value, Value) and None not in s.axes and not s.is_diagonal:
        return s
    shape = low.facts.shape[node]
    if (s, shape) not in low.solids:
        constant = not isinstance(s.value, Value) or s.value.storage.kind == "constant"
        kind: Any = "constant" if constant else "work"
        low.solids[s, shape] = low.build.value(shape, low.facts.computed(node), kind)
        copied(low, s, 1, node, low.solids[s, shape])
    return Shown(low.solids[s, shape], tuple(range(node.rank)))


def labels_of(s: Shown) -> Labels:
    """A label for each axis of the node: the axis of the array, or a new one below zero."""
    return tuple([-1 - n if a is None else a for n, a in enumerate(s.axes)])


def carried(s: Shown) -> Labels:
    """The labels of the array's own axes."""
    assert isinstance(s.value, Value)
    return tuple(range(len(s.value.shape)))


# ---------------------------------------------------------------- formulas


def subscripted(letters: Sequence[str]) -> str:
    """`[b,j]`, after the name that the step adds."""
    return f"[{','.join(letters)}]" if letters else ""


def letters_in(s: Shown, letters: Sequence[str], name: Name) -> str:
    """`v3[j,b]`: the node's letters in the order of the array's axes."""
    if not isinstance(s.value, Value):
        return f"{as_float(s.value):g}"
    return written(s.value, [letters[s.axes.index(a)] for a in range(len(s.value.shape))], name)
