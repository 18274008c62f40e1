"""scratch: what steps take for a while beside the arrays of the plan, in bytes.

Two things take some: helpers that hold arrays of their own (the column `scratch` of backends/numpy.py), and np.dot,
which copies an argument that BLAS can't take as it lies. What numpy takes to cast and to buffer is of a fixed size and
left out; inputs are taken to be contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

from ..backends.numpy import OPS
from .values import Step, Value

Strides = tuple[int, ...]  # in entries; 0 along an axis that repeats


def scratch(steps: Sequence[Step]) -> int:
    """The most bytes that one step takes beside its arguments and its result."""
    strides: dict[Value, Strides] = {}
    most = 0
    for step in steps:
        if step.is_view:
            (of,) = step.arrays
            strides[step.out] = VIEW[step.op](of, strides.get(of) or contiguous(of.shape), step.params)
        else:
            most = max(most, taken(step, strides))
    return most


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
    return x.size * (own.whole * itemsize + own.flags) + own.rows * x.size // reduced * itemsize


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
