"""scratch: what steps take for a while beside the arrays of the plan, in bytes.

Three things take some: helpers that hold arrays of their own (the column `scratch` of backends/numpy.py); np.dot, which
copies an argument that BLAS can't take as it lies; and ufuncs, which have a buffer for each array that has gaps or is
repeated. Inputs are taken to be contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import ceil, prod
from operator import mul
from typing import Any, Final

from ..backends.numpy import IN_PLACE, OPS, REDUCTIONS
from .regions import Region
from .values import Place, Step, Value

Strides = tuple[int, ...]  # in entries; 0 along an axis that repeats
ENTRYWISE: Final = IN_PLACE - REDUCTIONS | {"natural_power", "negative_power"}
BUFFER: Final = 8192  # entries
OBJECT: Final = 176  # bytes of an array beside its entries


def scratch(steps: Sequence[Step], regions: Sequence[Region] = ()) -> int:
    """The most bytes that one step takes beside its arguments and its result; in a region for a block per worker."""
    strides: dict[Value, Strides] = {}
    shares = {n: share(region) for region in regions for n in range(region.first, region.last)}
    most = 0
    for n, step in enumerate(steps):
        if step.is_view:
            (of,) = step.arrays
            strides[step.out] = VIEW[step.op](of, strides.get(of) or contiguous(of.shape), step.params)
        else:
            most = max(most, int(taken(step, strides) * shares.get(n, 1)))
    return most


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
    rows, number, workers = region.blocks
    return min(workers * ceil(rows / number) / rows, 1)


def taken(step: Step, strides: dict[Value, Strides]) -> int:
    """The bytes that one step takes."""
    if step.op == "opaque":
        return step.out.nbytes
    if step.op == "dot":
        return sum(v.nbytes for v in step.arrays if not fit(v, strides.get(v)))
    arrays = list(step.arrays)
    if step.op == "where":
        return arrays[0].size if arrays and arrays[0].dtype.kind != "b" else 0
    own = OPS[step.op].scratch
    x = arrays[0] if arrays else step.out
    itemsize = max(x.dtype.itemsize, step.out.dtype.itemsize)
    reduced = prod(x.shape[a] for a in step.params[0]) if own.rows and x.size else 1
    helper = x.size * (own.whole * itemsize + own.flags) + own.rows * x.size // reduced * itemsize
    return helper + buffers(step) if step.op in ENTRYWISE else helper


def buffers(step: Step) -> int:
    """The bytes of what numpy reads and writes through."""
    out = step.out
    through = [v for v in (*step.arrays, out) if v.size > 1 and not (v.contiguous and v.shape == out.shape)]
    return sum(min(BUFFER, out.size) * v.dtype.itemsize for v in through)


def fit(v: Value, own: Strides | None) -> bool:
    """Whether BLAS takes the array as it lies: its entries, or those of its transpose, without gaps."""
    if own is None or v.contiguous:
        return True
    return packed(v.shape, own) or packed(v.shape[::-1], own[::-1])


def packed(shape: tuple[int, ...], own: Strides) -> bool:
    solid = [(d, s) for d, s in zip(shape, own, strict=True) if d != 1]
    return [s for _, s in solid] == list(contiguous(tuple(d for d, _ in solid)))


def contiguous(shape: tuple[int, ...]) -> Strides:
    return tuple(accumulate(shape[:0:-1], mul, initial=1))[::-1] if shape else ()


# ---------------------------------------------------------------- views: (base, its strides, parameters) -> strides


def transposed(of: Value, own: Strides, perm: tuple[Any, ...]) -> Strides:
    return tuple(own[n] for n in perm)


def reshaped(of: Value, own: Strides, shape: tuple[Any, ...]) -> Strides:
    return contiguous(shape)


def indexed(of: Value, own: Strides, index: tuple[Any, ...]) -> Strides:
    axes = iter(own)
    return (*(0 if entry is None else next(axes) for entry in index), *axes)


def diagonal(of: Value, own: Strides, params: tuple[Any, ...]) -> Strides:
    labels, out = params
    return tuple(sum(s for label, s in zip(labels, own, strict=True) if label == x) for x in out)


VIEW: dict[str, Callable[[Value, Strides, tuple[Any, ...]], Strides]] = {
    "transpose": transposed,
    "reshape": reshaped,
    "index": indexed,
    "diagonal": diagonal,
}
