"""tiles: which steps are done in squares, because one of their arrays lies across.

An array lies across a step where it has its entries close along another axis than that along which numpy runs: each
entry of a run is on a line of its own, and the next run needs all these lines again. They are no longer there where the
run is longer than the pages that a processor remembers, or than the lines that a cache keeps of one stride.
"""

from __future__ import annotations

from math import gcd, prod
from typing import Final, NamedTuple

from ..backends.numpy import IN_PLACE, REDUCTIONS
from .layout import Strides, layout
from .values import Step, Value

ENTRYWISE: Final = IN_PLACE - REDUCTIONS | {"copy", "natural_power", "negative_power"}
EDGE: Final = 128  # entries of a row of a tile
LEAST: Final = 8  # rows of a tile: the entries of a line
LINE: Final = 64  # bytes
SETS, WAYS = 2048, 16  # of a cache of 2 MiB
PAGES: Final = 2000  # about as many as a processor knows by heart


class Tiles(NamedTuple):
    """Two axes of the result along which a step is done in pieces of `rows` and of EDGE entries."""

    axis: int
    last: int
    rows: int


def tiles(step: Step) -> Tiles | None:
    """The tiles of a step of which an array lies across, if they are worth it."""
    if step.op not in ENTRYWISE or len(step.out.shape) < 2:
        return None
    own = layout(step.out)
    last = closest(own, step.out.shape)
    if last != len(own) - 1:
        return None
    for v in step.arrays:
        axis = axis_across(v, step.out, last)
        if axis is not None:
            rows = EDGE // prod(step.out.shape[axis + 1 : last])
            return Tiles(axis, last, rows) if rows >= LEAST else None
    return None


def axis_across(v: Value, out: Value, last: int) -> int | None:
    """The axis of the result along which v has its entries close, where runs along the last one cost too much."""
    if len(v.shape) != len(out.shape) or v.shape[last] != out.shape[last]:
        return None
    strides = layout(v)
    axis = closest(strides, v.shape)
    far = strides[last] * v.dtype.itemsize
    return axis if axis < last and far > LINE and v.shape[last] >= kept(far) else None


def closest(strides: Strides, shape: tuple[int, ...]) -> int:
    """The axis along which entries lie closest."""
    able = [n for n, (s, d) in enumerate(zip(strides, shape, strict=True)) if s and d > 1]
    return min(able, key=lambda n: (strides[n], -n), default=len(shape) - 1)


def kept(stride: int) -> int:
    """How many lines that lie so many bytes apart can be found again soon."""
    return min(PAGES, SETS // gcd(stride // LINE, SETS) * WAYS)
