"""shape: joining along an axis and taking a part of one; each is the other's derivative."""

from __future__ import annotations

from typing import Any

from ..dims import Dim, total
from ..ir import Call, Node, Prim, Shape, zeros


def concat_shape(args: tuple[Node, ...], params: tuple[Any, ...]) -> Shape:
    (axis,) = params
    shape = list(args[0].shape)
    shape[axis] = total(a.shape[axis] for a in args)
    return tuple(shape)


def concat_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """The part of the cotangent that lies at argument k."""
    (axis,) = y.params
    assert isinstance(axis, int)
    low = total(a.shape[axis] for a in y.operands[:k])
    return part(ct, seeds + axis, low, low + y.operands[k].shape[axis])


def part_shape(args: tuple[Node, ...], params: tuple[Any, ...]) -> Shape:
    axis, low, high = params
    shape = list(args[0].shape)
    shape[axis] = high - low
    return tuple(shape)


def part_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """The cotangent between zeros."""
    axis, low, high = y.params
    assert isinstance(axis, int) and isinstance(low, Dim) and isinstance(high, Dim)
    shape = ct.shape[:seeds] + y.operands[0].shape
    at = seeds + axis
    blanks = [zeros((*shape[:at], d, *shape[at + 1 :])) for d in (low, shape[at] - high)]
    return concat([blanks[0], ct, blanks[1]], at)


CONCAT = Prim("concat", -1, concat_shape, pull=concat_pull)
PART = Prim("part", 1, part_shape, pull=part_pull)
SHAPE = {p.name: p for p in (CONCAT, PART)}


def concat(parts: list[Node], axis: int) -> Node:
    """The parts end to end; empty ones vanish, one alone is itself."""
    solid = [p for p in parts if p.shape[axis].value != 0] or parts[:1]
    return solid[0] if len(solid) == 1 else CONCAT(*solid, params=(axis,))


def part(x: Node, axis: int, low: Dim, high: Dim) -> Node:
    """x from low up to high along axis; the whole axis is x."""
    if low == Dim.of(0) and high == x.shape[axis]:
        return x
    return PART(x, params=(axis, low, high))
