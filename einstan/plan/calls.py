"""calls: primitives. Entry by entry they broadcast; along axes they work on the array as it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod
from typing import Any

from ..backends.numpy import COMPARISONS, MATRICES, POWERS, REDUCTIONS
from ..bind import spelled
from ..errors import EinstanError, EinstanShapeError
from ..ir import Call, Node
from .dtypes import BOOL
from .matrices import matrix, solve
from .shown import (
    Lowering,
    Shown,
    Slot,
    align,
    axis_of,
    copied,
    full,
    joined,
    letters_in,
    operand_of,
    solid,
    stretch,
    subscripted,
)
from .values import Name, Value, as_float

MAX_MULTIPLIED = 64  # natural powers up to here are repeated products
LARGEST_INT = 2**63


def lower_call(low: Lowering, node: Node) -> Shown:
    assert isinstance(node, Call)
    rule = CALLS.get(node.prim.name)
    if rule is not None:
        return rule(low, node)
    if node.prim.name in REDUCTIONS:
        return reduction(low, node)
    return applied(low, node, node.prim.name, arguments(low, node))


def arguments(low: Lowering, y: Call) -> list[Shown]:
    """The arguments themselves, not multiples of them (but for what is linear)."""
    return [low.multiple(operand, c) for operand, c in zip(y.operands, low.wanted[y], strict=True)]


# ---------------------------------------------------------------- entry by entry


def applied(low: Lowering, y: Call, op: str, args: Sequence[Shown], params: tuple[Any, ...] = ()) -> Shown:
    """op entry by entry, over the axes that the arguments carry."""
    args = [solid(low, s, o) for s, o in zip(args, y.operands, strict=True)]
    place = low.layout(y, args)
    dtype = low.facts.computed(y)
    condition = op == "where"
    taken = [
        operand_of(low, s, place.order, s.value.dtype if condition and k == 0 and isinstance(s.value, Value) else dtype)
        for k, s in enumerate(args)
    ]

    def note(name: Name) -> str:
        letters = low.build.subscripts(y.shape)
        right = spelled_out(y, [letters_in(s, letters, name) for s in args])
        return f"{subscripted([letters[n] for n in place.order])} = {right}"

    kind = BOOL if y in low.masks else dtype
    value = low.build.compute(op, taken, place.shape, kind, place.target, params, note, prod(place.shape))
    return Shown(value, place.axes)


def spelled_out(y: Call, args: Sequence[str]) -> str:
    """`x^2`, `x^(1/2)`, `a < b`, `max(a, b)`"""
    if y.prim.name == "pow":
        (q,) = y.params
        assert isinstance(q, Fraction)
        return f"{args[0]}^{q}" if q.denominator == 1 else f"{args[0]}^({q})"
    return f" {y.prim.name} ".join(args) if y.prim.name in COMPARISONS else f"{y.prim.name}({', '.join(args)})"


def power(low: Lowering, y: Call) -> Shown:
    """x^q by the cheapest means: x·x, a root, a reciprocal; natural powers by multiplication."""
    (q,) = y.params
    assert isinstance(q, Fraction)
    args = arguments(low, y)
    op = POWERS.get(q)
    if op is not None:
        return applied(low, y, op, args)
    if q.denominator == 1 and abs(q) <= MAX_MULTIPLIED:
        return applied(low, y, "natural_power" if q > 0 else "negative_power", args, (abs(int(q)),))
    whole = q.denominator == 1 and low.facts.computed(y).kind in "iu"
    if whole and abs(q) >= LARGEST_INT:
        raise EinstanError("An exponent is larger than any int64.", "Give the arrays as floats.")
    return applied(low, y, "pow", args, (int(q) if whole else as_float(q),))


def condition(low: Lowering, y: Call) -> Shown:
    return applied(low, y, "where", arguments(low, y))


# ---------------------------------------------------------------- along axes


def reduction(low: Lowering, y: Call) -> Shown:
    """The last n axes of the argument leave (max, prod, ..) or stay (softmax)."""
    (n,) = y.params
    assert isinstance(n, int)
    x, dtype, target = y.operands[0], low.facts.computed(y), low.target(y)
    s = full(low, arguments(low, y)[0], x)
    assert isinstance(s.value, Value)
    s = Shown(low.build.cast(s.value, dtype), s.axes)
    if target is not None:
        s = Shown(align(low, s, tuple(range(x.rank))), tuple(range(x.rank)))
    assert isinstance(s.value, Value)
    order = [s.axes.index(a) for a in range(x.rank)]
    kept = [k for k in order if k < x.rank - n or y.rank == x.rank]
    along = tuple(a for a, k in enumerate(order) if k >= x.rank - n)

    def note(name: Name) -> str:
        letters = low.build.subscripts(x.shape)
        return f"{subscripted([letters[k] for k in kept])} = {y.prim.name}({letters_in(s, letters, name)})"

    shape = [low.facts.shape[x][k] for k in kept]
    value = low.build.compute(y.prim.name, [s.value], shape, dtype, target, (along,), note, s.value.size)
    return Shown(value, tuple([kept.index(k) for k in range(y.rank)]))


def opaque(low: Lowering, y: Call) -> Shown:
    """A function that is given at compile, called with whole arrays in the order of their axes."""
    dtype, target, key = low.facts.computed(y), low.target(y), spelled(y)
    shown = [full(low, s, o) for s, o in zip(arguments(low, y), y.operands, strict=True)]
    taken = [operand_of(low, s, tuple(range(o.rank)), dtype) for s, o in zip(shown, y.operands, strict=True)]

    def note(name: Name) -> str:
        letters = low.build.subscripts(y.shape)
        inside = [letters_in(s, low.build.subscripts(o.shape), name) for s, o in zip(shown, y.operands, strict=True)]
        return f"{subscripted(letters)} = {key}({', '.join(inside)})"

    shape = low.facts.shape[y]
    out = target if target is not None else low.build.value(shape, dtype)
    return Shown(low.build.compute("opaque", taken, shape, dtype, out, (key,), note, prod(shape)), tuple(range(y.rank)))


# ---------------------------------------------------------------- joins and parts


def part(low: Lowering, y: Call) -> Shown:
    """A stretch of an axis is a view."""
    axis, begin, end = axis_of(y), *(low.facts.size(d) for d in y.params[1:])  # type: ignore[arg-type]
    size = low.facts.shape[y.operands[0]][axis]
    if not 0 <= begin <= end <= size:
        raise EinstanShapeError(
            f"The part {begin}:{end} does not lie in an axis of size {size}.", "Correct its bounds."
        )
    (s,) = arguments(low, y)
    s = solid(low, s, y.operands[0])
    if not isinstance(s.value, Value) or s.axes[axis] is None:
        return s
    index = tuple((begin, end) if n == s.axes[axis] else (0, d) for n, d in enumerate(s.value.shape))
    return Shown(low.build.index(s.value, index), s.axes)


def join(low: Lowering, y: Call) -> Shown:
    """Each part is written into its stretch; those that were computed there are done."""
    axis, value, start = axis_of(y), joined(low, y), 0
    for operand, s in zip(y.operands, arguments(low, y), strict=True):
        end = start + low.facts.shape[operand][axis]
        slot = stretch(low, Slot(y, axis, start, end))
        if s.value is not slot and slot.size:
            copied(low, s, 1, operand, slot)
        start = end
    return Shown(value, tuple(range(y.rank)))


CALLS: dict[str, Callable[[Lowering, Call], Shown]] = {
    "pow": power,
    "where": condition,
    "part": part,
    "concat": join,
    "opaque": opaque,
    **dict.fromkeys(MATRICES, matrix),
    "solve": solve,
}
