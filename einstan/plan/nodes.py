"""nodes: every node as steps. What a node looks like to its users is a `Shown`.

Laws: the array of a node holds `factor[node]` times the node; axes along which a node only repeats are not stored, so
an array `Shown` with `None` for an axis broadcasts along it; an axis of the array that is shown twice is a diagonal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from ..backends.numpy import COMPARISONS, POWERS
from ..errors import EinstanError
from ..ir import Add, Call, Einsum, Input, Node
from .build import Builder, DType, clean, shown
from .coefs import place_coefficients
from .contract import Job, Labels, Term, aligned, contract
from .dtypes import BOOL
from .facts import Facts
from .values import Arg, Number, Value

Axes = tuple[int | None, ...]


class Shown(NamedTuple):
    """A node as `value` (a number or an array) and, for each axis of the node, the axis of the array or None."""

    value: Value | Number
    axes: Axes

    @property
    def is_diagonal(self) -> bool:
        solid = [a for a in self.axes if a is not None]
        return len(set(solid)) < len(solid)


class Slot(NamedTuple):
    """Where a part of a concatenation goes."""

    joined: Node
    axis: int
    low: int
    high: int


class Lowering:
    """The state of the sweep: facts, the steps so far, what every node became."""

    def __init__(self, facts: Facts, hints: Mapping[str, Sequence[str]]) -> None:
        self.facts = facts
        self.build = Builder(hints)
        self.factor = place_coefficients(facts)
        self.shown: dict[Node, Shown] = {}
        self.inputs: dict[str, Value] = {}
        self.results: dict[Node, Value] = {}
        self.joins: dict[Node, Value] = {}
        self.slots = slots(facts)
        self.products: dict[Any, Term] = {}
        self.masks = {n for n in facts.order if isinstance(n, Call) and n.prim.name in COMPARISONS and only_asked(n, facts)}
        self.squares = {n for n in facts.order if is_summed_square(n, facts)}

    def run(self) -> None:
        for root in self.facts.roots:
            if root not in self.results:
                self.results[root] = self.build.value(self.facts.shape[root], self.result_dtype(root), "result")
        for node in self.facts.order:
            if node in self.facts.number:
                self.shown[node] = Shown(self.facts.number[node], (None,) * node.rank)
            elif node not in self.squares:
                self.shown[node] = LOWER[type(node)](self, node)
        for root, result in self.results.items():
            written_out(self, root, result)

    def result_dtype(self, root: Node) -> DType:
        found = self.facts.dtype[root]
        return self.facts.default if found is None else found

    def target(self, node: Node) -> Value | None:
        """Where the node's array should be written: a result, or its stretch of a concatenation."""
        dtype = self.facts.computed(node)
        found = self.results.get(node)
        if found is not None:
            return found if found.dtype == dtype and self.factor[node] == 1 else None
        slot = self.slots.get(node)
        if slot is None or self.facts.computed(slot.joined) != dtype or self.factor[node] != self.factor[slot.joined]:
            return None
        return stretch(self, slot)

    def subscripts(self, node: Node) -> tuple[str, ...]:
        return self.build.subscripts(node.shape)


def slots(facts: Facts) -> dict[Node, Slot]:
    """The nodes that are used once, as a part of a concatenation."""
    found = {}
    for node in facts.order:
        if isinstance(node, Call) and node.prim.name == "concat" and node not in facts.number:
            (axis,) = node.params
            assert isinstance(axis, int)
            low = 0
            for part in node.operands:
                high = low + facts.shape[part][axis]
                if facts.uses[part] == 1 and not isinstance(part, Input) and part not in facts.number:
                    found[part] = Slot(node, axis, low, high)
                low = high
    return found


def only_asked(node: Node, facts: Facts) -> bool:
    """Whether every user is a `where` that asks the node."""
    users = facts.users[node]
    asked = [isinstance(u, Call) and u.prim.name == "where" and node not in u.operands[1:] for u in users]
    return all(asked) and facts.uses[node] == len(users)


def is_summed_square(node: Node, facts: Facts) -> bool:
    """x² that only one sum uses: Σ x² is a product of x with itself, without an array of squares."""
    if not (isinstance(node, Call) and node.prim.name == "pow" and node.params == (Fraction(2),)):
        return False
    users = facts.users[node]
    return len(users) == 1 == facts.uses[node] and isinstance(users[0], Einsum) and len(users[0].operands) == 1 and (
        not users[0].is_pattern and len(set(users[0].labels[0])) == node.rank
    ) and node not in facts.number


# ---------------------------------------------------------------- leaves and results


def lower_input(low: Lowering, node: Node) -> Shown:
    assert isinstance(node, Input)
    dtype = low.facts.dtype[node]
    assert dtype is not None
    value = low.inputs[node.name] = low.build.value(low.facts.shape[node], dtype, "input")
    return Shown(value, tuple(range(node.rank)))


def written_out(low: Lowering, root: Node, result: Value) -> None:
    """The root's array copied into its result, unless it was written there."""
    if low.shown[root].value is not result:
        copied(low, low.shown[root], low.factor[root], root, result)


def copied(low: Lowering, s: Shown, factor: Fraction, node: Node, target: Value) -> None:
    """The node itself (not its multiple) in all its entries, written into the target."""
    letters = low.subscripts(node)
    formula = f"[{','.join(letters)}] = " if letters else " = "
    b = low.build
    if not isinstance(s.value, Value):
        b.compute("fill", [Fraction(s.value) if isinstance(s.value, int) else s.value], target.shape, target.dtype, target, (), f"{formula}{float(s.value):g}")
        return
    if s.is_diagonal:
        b.compute("fill", [0], target.shape, target.dtype, target, (), f"{formula}0")
        distinct = tuple(dict.fromkeys(labels_of(s)))
        inner = b.diagonal(target, labels_of(s), distinct)
        view, mine = aligned(b, Term(s.value, carried(s)), distinct), letters_of(distinct, s, letters)
    else:
        inner, view, mine = target, align(low, s, tuple(range(node.rank))), letters
    text = f"[{','.join(letters[n] if not s.is_diagonal else mine_of(n, s, letters) for n in range(len(letters)))}] = "
    text = (text if letters else " = ") + shown(s.value, own_letters(s, letters))
    if factor == 1:
        b.compute("copy", [view], inner.shape, inner.dtype, inner, (), text)
    else:
        b.compute("multiply", [view, 1 / factor], inner.shape, inner.dtype, inner, (), text, inner.size)
    del mine


def labels_of(s: Shown) -> Labels:
    """A label for each axis of the node: the axis of the array, or a new one below zero."""
    return tuple(-1 - n if a is None else a for n, a in enumerate(s.axes))


def carried(s: Shown) -> Labels:
    """The labels of the array's own axes."""
    assert isinstance(s.value, Value)
    return tuple(range(len(s.value.shape)))


def letters_of(labels: Labels, s: Shown, letters: Sequence[str]) -> tuple[str, ...]:
    mine = labels_of(s)
    return tuple(letters[mine.index(label)] for label in labels)


def mine_of(n: int, s: Shown, letters: Sequence[str]) -> str:
    """The letter of the first axis of the node that shows the same axis of the array."""
    mine = labels_of(s)
    return letters[mine.index(mine[n])]


def own_letters(s: Shown, letters: Sequence[str]) -> list[str]:
    """The node's letters in the order of the array's axes."""
    assert isinstance(s.value, Value)
    return [letters[s.axes.index(a)] for a in range(len(s.value.shape))]


def align(low: Lowering, s: Shown, order: tuple[int, ...]) -> Value:
    """The array as numpy broadcasts it to the node's axes in this order."""
    assert isinstance(s.value, Value)
    labels = tuple(s.axes.index(a) for a in range(len(s.value.shape)))
    return aligned(low.build, Term(s.value, labels), order)


def solid(low: Lowering, s: Shown, node: Node) -> Shown:
    """No diagonal: it is written out once where it is needed as an array."""
    if not s.is_diagonal:
        return s
    key = ("solid", s)
    found = low.products.get(key)
    if found is None:
        assert isinstance(s.value, Value)
        kind = "constant" if s.value.storage.kind == "constant" else "work"
        value = low.build.value(low.facts.shape[node], s.value.dtype, kind)
        copied(low, s, Fraction(1), node, value)
        found = low.products[key] = Term(value, tuple(range(node.rank)))
    return Shown(found.value, found.labels)


# ---------------------------------------------------------------- products


def lower_einsum(low: Lowering, node: Node) -> Shown:
    assert isinstance(node, Einsum)
    return shown_pattern(low, node) if node.is_pattern else contracted(low, node)


def shown_pattern(low: Lowering, e: Einsum) -> Shown:
    """Other axes of the same array; the deltas of no operand are the identity shown along all axes."""
    if not e.operands:
        return delta(low, e)
    s = solid(low, low.shown[e.operands[0]], e.operands[0])
    if not isinstance(s.value, Value):
        return Shown(s.value, (None,) * e.rank)
    (own,) = e.labels
    value, place = s.value, dict(zip(own, s.axes, strict=True))
    if len(set(own)) < len(own):
        value, place = diagonal_view(low, s, own)
    shown = Shown(value, tuple(place.get(label) for label in e.out))
    missing = set(range(len(value.shape))) - {a for a in shown.axes if a is not None}
    assert not missing, "our bug: a pattern drops an axis"
    ratio = low.factor[e] / low.factor[e.operands[0]]
    if ratio == 1:
        return shown
    return Shown(low.build.scaled(value, ratio), shown.axes)


def diagonal_view(low: Lowering, s: Shown, own: Labels) -> tuple[Value, dict[int, int | None]]:
    """A[i,i,j] as an array over i, j. An axis that only repeats takes no part."""
    assert isinstance(s.value, Value)
    label_of = {a: label for label, a in zip(own, s.axes, strict=True) if a is not None}
    labels = tuple(label_of[a] for a in range(len(s.value.shape)))
    distinct = tuple(dict.fromkeys(labels))
    value = s.value if distinct == labels else low.build.diagonal(s.value, labels, distinct)
    place: dict[int, int | None] = dict.fromkeys(own)
    place.update({label: n for n, label in enumerate(distinct)})
    return value, place


def delta(low: Lowering, e: Einsum) -> Shown:
    """1 shown on a diagonal: a vector of ones for each label that repeats."""
    dims = e.dims
    repeated = [label for label in dict.fromkeys(e.out) if e.out.count(label) > 1]
    shape = [low.facts.size(dims[label]) for label in repeated]
    dtype = low.facts.computed(e)
    ones = low.build.once(("delta", tuple(shape), dtype), "ones", [], shape, dtype, params=tuple(shape))
    place = {label: n for n, label in enumerate(repeated)}
    return Shown(ones, tuple(place.get(label) for label in e.out))


def contracted(low: Lowering, e: Einsum) -> Shown:
    """The product of the arrays; axes that only repeat leave it, and count as sizes where they are summed."""
    facts, dims = low.facts, e.dims
    sizes = {label: facts.size(d) for label, d in dims.items()}
    factor: Number = low.factor[e]
    terms: list[Term] = []
    for operand, own in zip(e.operands, e.labels, strict=True):
        if operand in low.squares:
            inner = low.shown[operand.operands[0]]
            factor = divided(factor, low.factor[operand.operands[0]] ** 2)
            term = term_of(low, inner, own, operand.operands[0])
            terms += [term, term]
            continue
        s = low.shown[operand]
        factor = divided(factor, low.factor[operand])
        if isinstance(s.value, Value):
            terms.append(term_of(low, s, own, operand))
        else:
            factor = factor * s.value
    carried = {label for _, own in terms for label in own}
    for label in dims:
        if label not in carried and label not in e.out:
            factor = factor * sizes[label]
    out = tuple(label for label in e.out if label in carried)
    target = low.target(e) if out == e.out else None
    key = (tuple(terms), frozenset(out), factor)
    found = low.products.get(key)
    if found is None:
        job = Job(low.build, out, sizes, facts.computed(e), target, low.build.letters(dims), factor)
        found = low.products[key] = contract(job, terms)
    place = {label: n for n, label in enumerate(found.labels)}
    return Shown(found.value, tuple(place.get(label) for label in e.out))


def divided(a: Number, b: Fraction) -> Number:
    return a if b == 1 else a / b


def term_of(low: Lowering, s: Shown, own: Labels, node: Node) -> Term:
    """The array with a label for each of its axes; a label that repeats is its diagonal."""
    s = solid(low, s, node)
    assert isinstance(s.value, Value)
    value, place = diagonal_view(low, s, own)
    by_axis = {n: label for label, n in place.items() if n is not None}
    return Term(value, tuple(by_axis[n] for n in range(len(value.shape))))


# ---------------------------------------------------------------- entry by entry


class Layout(NamedTuple):
    """The axes of a node that some argument carries, in the order in which the result lies."""

    order: tuple[int, ...]
    shape: tuple[int, ...]
    axes: Axes
    target: Value | None


def layout(low: Lowering, node: Node, args: Sequence[Shown]) -> Layout:
    """Every axis that some array has, in the order of the largest array; all, in order, for a target."""
    arrays = [s for s in args if isinstance(s.value, Value)]
    covered = {n for s in arrays for n, a in enumerate(s.axes) if a is not None}
    target = low.target(node) if len(covered) == node.rank else None
    order = tuple(sorted(covered))
    if target is None:
        widest = max(arrays, key=lambda s: s.value.size if isinstance(s.value, Value) else 0)
        by_axis = {a: n for n, a in enumerate(widest.axes) if a is not None}
        if len(by_axis) == len(covered):
            order = tuple(by_axis[a] for a in sorted(by_axis))
    shape = low.facts.shape[node]
    place = {n: k for k, n in enumerate(order)}
    return Layout(order, tuple([shape[n] for n in order]), tuple(place.get(n) for n in range(node.rank)), target)


def lower_call(low: Lowering, node: Node) -> Shown:
    assert isinstance(node, Call)
    rule = CALLS.get(node.prim.name, entrywise if node.prim.entrywise else reduction)
    return rule(low, node)


def arguments(low: Lowering, y: Call) -> list[Shown]:
    """What the arguments look like, at multiple 1: primitives want the nodes themselves."""
    found = []
    for k, operand in enumerate(y.operands):
        s = solid(low, low.shown[operand], operand)
        ratio = low.factor[y] / low.factor[operand] if LINEAR_ARGS(y.prim.name, k) else 1 / low.factor[operand]
        if ratio != 1:
            s = Shown(low.build.scaled(s.value, ratio) if isinstance(s.value, Value) else s.value * ratio, s.axes)
        found.append(s)
    return found


def LINEAR_ARGS(name: str, k: int) -> bool:
    return name in ("part", "concat") or (name == "where" and k > 0)


def operand_of(low: Lowering, s: Shown, order: tuple[int, ...], dtype: DType) -> Arg:
    """The argument as numpy takes it: a number, or a view; integers beside floats are cast before."""
    if not isinstance(s.value, Value):
        return s.value if isinstance(s.value, int) else float(s.value)
    value = s.value
    if value.dtype != dtype and (value.dtype.kind in "biu" or value.dtype.itemsize == 2):
        s = Shown(low.build.cast(value, dtype), s.axes)
    return align(low, s, order)


def entrywise(low: Lowering, y: Call) -> Shown:
    return applied(low, y, spelled(low, y), arguments(low, y))


def applied(low: Lowering, y: Call, op: str, args: list[Shown], params: tuple[Any, ...] = ()) -> Shown:
    place = layout(low, y, args)
    dtype = low.facts.computed(y)
    taken = [operand_of(low, s, place.order, dtype) for s in args]
    letters = low.subscripts(y)
    inside = ", ".join([shown(s.value, own_letters(s, letters)) if isinstance(s.value, Value) else f"{float(s.value):g}" for s in args])
    mine = [letters[n] for n in place.order]
    formula = f"{'[' + ','.join(mine) + ']' if mine else ''} = {formula_name(y)}({inside})"
    if y in low.masks:
        dtype = BOOL
    value = low.build.compute(op, taken, place.shape, dtype, place.target, params, formula, low.facts.count(y))
    return Shown(value, place.axes)


def formula_name(y: Call) -> str:
    return y.prim.name if y.prim.name != "pow" else f"^({y.params[0]})"


def spelled(low: Lowering, y: Call) -> str:
    return y.prim.name


def power(low: Lowering, y: Call) -> Shown:
    """x^q by the cheapest means: x·x, a root, a reciprocal; natural powers by multiplication."""
    (q,) = y.params
    assert isinstance(q, Fraction)
    args = arguments(low, y)
    op = POWERS.get(q)
    if op is not None:
        return applied(low, y, op, args)
    if q.denominator == 1 and abs(q) <= 64:
        return applied(low, y, "natural_power" if q > 0 else "negative_power", args, (abs(int(q)),))
    return applied(low, y, "pow", args, (float(q),))


def condition(low: Lowering, y: Call) -> Shown:
    """where(c, a, b): c is a mask of its own dtype."""
    args = arguments(low, y)
    place = layout(low, y, args)
    dtype = low.facts.computed(y)
    mask = args[0]
    taken: list[Arg] = [align(low, mask, place.order) if isinstance(mask.value, Value) else float(mask.value)]
    taken += [operand_of(low, s, place.order, dtype) for s in args[1:]]
    letters = low.subscripts(y)
    mine = [letters[n] for n in place.order]
    inside = ", ".join([shown(s.value, own_letters(s, letters)) if isinstance(s.value, Value) else f"{float(s.value):g}" for s in args])
    formula = f"{'[' + ','.join(mine) + ']' if mine else ''} = where({inside})"
    return Shown(low.build.compute("where", taken, place.shape, dtype, place.target, (), formula, low.facts.count(y)), place.axes)


# ---------------------------------------------------------------- along axes


def reduction(low: Lowering, y: Call) -> Shown:
    """max, prod, logsumexp, norm: the last n axes leave; softmax: they stay."""
    if y.prim.name not in REDUCTIONS:
        raise EinstanError(f"{y.prim.name} can't be run.", "Bind the function: compile(functions={...}).")
    (n,) = y.params
    assert isinstance(n, int)
    (s,) = arguments(low, y)
    x = y.operands[0]
    s = full(low, s, x)
    assert isinstance(s.value, Value)
    lead = x.rank - n
    stays = y.rank == x.rank
    dtype = low.facts.computed(y)
    target = low.target(y)
    if target is not None or low.build.cast(s.value, dtype) is not s.value:
        s = Shown(align(low, Shown(low.build.cast(s.value, dtype), s.axes), tuple(range(x.rank))), tuple(range(x.rank)))
    assert isinstance(s.value, Value)
    node_axis = {a: k for k, a in enumerate(s.axes)}
    order = [node_axis[a] for a in range(x.rank)]
    along = tuple(a for a, k in enumerate(order) if k >= lead)
    kept = order if stays else [k for k in order if k < lead]
    letters = low.subscripts(x)
    mine = [letters[k] for k in kept]
    formula = f"{'[' + ','.join(mine) + ']' if mine else ''} = {y.prim.name}({shown(s.value, own_letters(s, letters))})"
    shape = [low.facts.shape[x][k] for k in kept]
    flops = low.facts.count(x)
    value = low.build.compute(y.prim.name, [s.value], shape, dtype, target, (along,), formula, flops)
    place = {k: a for a, k in enumerate(kept)}
    return Shown(value, tuple(place[k] for k in range(y.rank)))


REDUCTIONS = frozenset({"amax", "amin", "prod", "logsumexp", "norm", "softmax", "log_softmax"})


def full(low: Lowering, s: Shown, node: Node) -> Shown:
    """The array with all axes of the node."""
    if isinstance(s.value, Value) and None not in s.axes:
        return s
    dtype = low.facts.computed(node)
    kind = "constant" if not isinstance(s.value, Value) or s.value.storage.kind == "constant" else "work"
    value = low.build.value(low.facts.shape[node], dtype, kind)
    copied(low, s, Fraction(1), node, value)
    return Shown(value, tuple(range(node.rank)))


# ---------------------------------------------------------------- joins and parts


def part(low: Lowering, y: Call) -> Shown:
    """A stretch of an axis is a view."""
    axis, low_end, high_end = y.params
    assert isinstance(axis, int)
    (s,) = arguments(low, y)
    if not isinstance(s.value, Value) or s.axes[axis] is None:
        return s
    begin, end = low.facts.size(low_end), low.facts.size(high_end)  # type: ignore[arg-type]
    check_bounds(begin, end, low.facts.shape[y.operands[0]][axis])
    mine = s.axes[axis]
    index = tuple((begin, end) if n == mine else (0, d) for n, d in enumerate(s.value.shape))
    return Shown(low.build.index(s.value, index), s.axes)


def check_bounds(begin: int, end: int, size: int) -> None:
    if not 0 <= begin <= end <= size:
        raise EinstanError(f"The part {begin}:{end} does not lie in an axis of size {size}.", "Correct its bounds.")


def join(low: Lowering, y: Call) -> Shown:
    """Each part is written into its stretch; those that were computed there are done."""
    (axis,) = y.params
    assert isinstance(axis, int)
    value = joined(low, y)
    start = 0
    for k, (operand, s) in enumerate(zip(y.operands, arguments(low, y), strict=True)):
        end = start + low.facts.shape[operand][axis]
        slot = stretch(low, Slot(y, axis, start, end))
        if s.value is not slot and slot.size:
            copied(low, s, Fraction(1), operand, slot)
        start = end
        del k
    return Shown(value, tuple(range(y.rank)))


def joined(low: Lowering, y: Node) -> Value:
    found = low.joins.get(y)
    if found is None:
        target = low.target(y)
        found = target if target is not None else low.build.value(low.facts.shape[y], low.facts.computed(y))
        low.joins[y] = found
    return found


def stretch(low: Lowering, slot: Slot) -> Value:
    shape = low.facts.shape[slot.joined]
    index = tuple((slot.low, slot.high) if n == slot.axis else (0, d) for n, d in enumerate(shape))
    return low.build.index(joined(low, slot.joined), index)


# ---------------------------------------------------------------- sums


def lower_add(low: Lowering, node: Node) -> Shown:
    """Small terms first; each step adds one term in place. Diagonals are added to the diagonal of the rest."""
    assert isinstance(node, Add)
    from .sums import summed  # the longest of the rules has its own module

    return summed(low, node)


CALLS: dict[str, Callable[[Lowering, Call], Shown]] = {
    "pow": power,
    "where": condition,
    "part": part,
    "concat": join,
}
LOWER: dict[type[Node], Callable[[Lowering, Node], Shown]] = {
    Input: lower_input,
    Einsum: lower_einsum,
    Add: lower_add,
    Call: lower_call,
}
_ = clean
