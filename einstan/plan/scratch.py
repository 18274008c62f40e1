"""scratch: what steps take for a while beside the arrays of the plan, in bytes.

Four things take some: helpers that hold arrays of their own (the column `scratch` of backends/numpy.py); np.dot, which
copies an argument that BLAS can't take as it lies; LAPACK, which works in copies; and ufuncs, which have a buffer for
each array that has gaps or is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Final

from ..backends.numpy import IN_PLACE, OPS, REDUCTIONS
from .dtypes import DOUBLE
from .layout import Strides, in_order, layout
from .regions import Region
from .values import Place, Step, Value

ENTRYWISE: Final = IN_PLACE - REDUCTIONS | {"natural_power", "negative_power"}
BUFFER: Final = 8192  # entries
OBJECT: Final = 176  # bytes of an array beside its entries


def scratch(steps: Sequence[Step], regions: Sequence[Region] = ()) -> int:
    """The most bytes that one step takes beside its arguments and its result; in a region for a block per worker."""
    shares = {n: share(region) for region in regions for n in range(region.first, region.last)}
    workers = {n: region.blocks.workers for region in regions for n in range(region.first, region.last)}
    own = (
        int(taken(step) * shares.get(n, 1)) + buffers(step) * workers.get(n, 1)
        for n, step in enumerate(steps)
        if not step.is_view
    )
    return max(own, default=0)


def objects(steps: Sequence[Step], places: Mapping[Value, Place | Value]) -> int:
    """The bytes of all arrays beside their entries. Those of one shape in one place (`places`: in the workspace, or in
    a result) are one, and so are equal views."""
    number: dict[Value, int] = {}
    known: dict[Any, int] = {}
    for step in steps:
        v = step.out
        if step.is_view:
            (of,) = step.arrays
            number[v] = known.setdefault((number.get(of, of), step.op, step.params), len(known))
        elif v not in number:
            number[v] = known.setdefault((places.get(v, v), v.shape, v.dtype), len(known))
    return OBJECT * len(known)


def share(region: Region) -> float:
    """How much of its arrays a region works on at once."""
    blocks = region.blocks
    return min(blocks.workers * blocks.most(blocks.rows) / blocks.rows, 1)


def taken(step: Step) -> int:
    """The bytes that one step takes for arrays."""
    if step.op == "opaque":
        return step.out.nbytes
    if step.op == "dot":
        return sum(v.nbytes for v in step.arrays if not fit(v))
    arrays = list(step.arrays)
    if step.op == "where":
        return arrays[0].size if arrays and arrays[0].dtype.kind != "b" else 0
    own = OPS[step.op].scratch
    x = arrays[0] if arrays else step.out
    itemsize = max(x.dtype.itemsize, step.out.dtype.itemsize)
    reduced = prod(x.shape[a] for a in step.params[0]) if own.rows and x.size else 1
    if own.results:
        return in_doubles(step, own.results) + lapack(step)
    return x.size * (own.whole * itemsize + own.flags) + own.rows * x.size // reduced * itemsize


def in_doubles(step: Step, results: int) -> int:
    """The bytes of results, and of arguments that numpy casts first: its functions of matrices are of doubles."""
    wide = DOUBLE.itemsize // step.out.dtype.itemsize
    cast = sum(v.nbytes for v in step.arrays) if wide > 1 else 0
    return wide * (results * step.out.nbytes + cast)


def lapack(step: Step) -> int:
    """The bytes of what LAPACK works in: one matrix of a batch, and its right sides, those of the identity for inv."""
    n = step.arrays[0].shape[-1]
    columns = n if step.op == "inv" else sum(step.params)
    return n * (n + columns) * max(DOUBLE.itemsize, step.out.dtype.itemsize)


def buffers(step: Step) -> int:
    """The bytes of what numpy reads and writes through."""
    out = step.out
    if step.op in OPS and OPS[step.op].scratch.rows and step.arrays:  # a helper repeats what it has of each row
        (x,) = step.arrays
        return min(BUFFER, x.size) * x.dtype.itemsize
    if step.op not in ENTRYWISE:
        return 0
    through = [v for v in (*step.arrays, out) if v.size > 1 and not (v.contiguous and v.shape == out.shape)]
    return sum(min(BUFFER, out.size) * v.dtype.itemsize for v in through)


def fit(v: Value) -> bool:
    """Whether BLAS takes the array as it lies: its entries, or those of its transpose, without gaps."""
    if v.contiguous:
        return True
    own = layout(v)
    return packed(v.shape, own) or packed(v.shape[::-1], own[::-1])


def packed(shape: tuple[int, ...], own: Strides) -> bool:
    solid = [(d, s) for d, s in zip(shape, own, strict=True) if d != 1]
    return [s for _, s in solid] == in_order([d for d, _ in solid])
