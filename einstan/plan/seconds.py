"""seconds: how long steps take, predicted from the rates of a machine.

A step takes its calls, its rows, its entries, as they were measured in cache; or as long as memory needs for its bytes,
where that is longer. Rows are the runs of entries that lie evenly apart in all its arrays. A matrix product takes its
call, its flops, its bytes, and what numpy copies first because it lies in no order that a BLAS takes. Whether the
arrays of a step are still in cache is not known: they are taken to have been used a few steps before.

Letters: a, b the factors of a product, o its result; m, k, n the sizes of one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Any, Final

import numpy as np

from ..backends.numpy import MATRICES
from ..machine.kept import this_machine
from ..machine.rates import ALIAS, Rates
from .dtypes import DOUBLE, HALF
from .layout import Strides, is_mirrored, layout
from .tiles import EDGE, tiles
from .values import Plan, Step, Value

ENTRY: Final = 6  # entering a kernel takes as long as so many additions of two numbers
SINCE: Final = 3  # as many bytes as a step moves, so many times, were moved since its arrays were last used
LINE: Final = 64  # bytes: strides up to a line of the cache cost nothing more
REDUCED: Final = frozenset({"amax", "amin", "prod", "logsumexp", "norm", "sum"})  # `out` lacks the axes of params[0]
COPIES: Final = frozenset({"copy", "concat", "part"})  # walk in the order of `out`; others in C order where any does
ALIKE: Final = frozenset({"fill", "ones", "fold", *REDUCED, *COPIES, "softmax", "log_softmax", "unit"})


def here(step: Step) -> float:
    """Seconds for one step on this machine; infinite where no float holds them."""
    try:
        return seconds(step, this_machine(dtype_of(step)))
    except OverflowError:
        return inf


def predicted(plan: Plan) -> float:
    """Seconds for one call of a plan on this machine; workers share what is done in blocks."""
    first = this_machine(dtype_of(plan.steps[0]) if plan.steps else DOUBLE)
    handed = len(plan.inputs) + len(plan.results)
    workers = {n: region.blocks.workers for region in plan.regions for n in range(region.first, region.last)}
    steps = sum(here(step) / workers.get(n, 1) for n, step in enumerate(plan.steps))
    return ENTRY * first.cost("add").call + handed * first.numbers["view"] + steps


def dtype_of(step: Step) -> np.dtype[Any]:
    """The dtype that a step computes in: that of its result, or what is compared for one of bool."""
    dtypes = [v.dtype for v in (step.out, *step.arrays) if v.dtype.kind != "b" and v.dtype != HALF]
    return dtypes[0] if dtypes else DOUBLE


def seconds(step: Step, rates: Rates) -> float:
    """For one step, by the rates of any machine; nothing for what is made once, with the workspace."""
    kind = step.out.storage.kind
    if kind == "constant" or (step.is_view and kind == "work"):
        return 0.0
    if step.is_view:
        return rates.numbers["view"]
    if step.op in ("dot", "matmul"):
        return product(step, rates)
    if step.op in MATRICES:
        return factored(step, rates)
    return entrywise(step, rates)


# ---------------------------------------------------------------- entry by entry


def entrywise(step: Step, rates: Rates) -> float:
    """What goes through its arrays once, and helpers that go several times."""
    call, row, entry = rates.cost(step.op)
    shape, strides = walk(step)
    n = prod(shape)
    if n == 0:
        return call
    if HALF in (step.out.dtype, *(v.dtype for v in step.arrays)):
        entry = max(entry, rates.numbers["half"])
    inner, run = innermost(shape, strides, step.op in COPIES)
    rows = n // run
    work = row * (rows - 1) + entry * (n - 1)
    if step.op not in ALIKE and (rows > 1 or (len(step.args) > 1 and not step.out.shape)):
        work += rates.numbers["iterator"]
    if step.op not in REDUCED:
        arrays, most = (*step.arrays, step.out), EDGE * EDGE if tiles(step) else n
        work += sum(n * across(v, s[inner], rates, most) for v, s in zip(arrays, strides, strict=True) if s)
    return call + max(work, step.bytes / rates.at("moved", SINCE * step.bytes))


def walk(step: Step) -> tuple[tuple[int, ...], list[Strides]]:
    """The axes that a step walks along, and the strides of its arrays and of its result in them."""
    arrays, out = list(step.arrays), step.out
    if step.op in REDUCED and arrays:
        shape, (axes,), kept = arrays[0].shape, step.params, iter(layout(out))
        return shape, [layout(arrays[0]), [0 if n in axes else next(kept) for n in range(len(shape))]]
    if step.op == "fold":
        own, kept = step.params
        left = dict(zip(kept, layout(out), strict=True))
        return arrays[0].shape, [*(layout(v) for v in arrays), [left.get(label, 0) for label in own]]
    return out.shape, [broadcast(v, out.shape) for v in (*arrays, out)]


def broadcast(v: Value, shape: tuple[int, ...]) -> Strides:
    """The strides of an array that is repeated along the axes that it lacks; of a shape that does not fit, none."""
    new = len(shape) - len(v.shape)
    if new < 0:
        return [0] * len(shape)
    return [0] * new + [0 if d == 1 else stride for d, stride in zip(v.shape, layout(v), strict=True)]


def innermost(shape: tuple[int, ...], strides: Sequence[Strides], by_out: bool) -> tuple[int, int]:
    """The axis along which numpy walks first, and how many entries it takes in one run."""
    axes = [n for n, d in enumerate(shape) if d != 1]
    if not axes:
        return 0, 1
    if by_out or not any(rising(s, axes) for s in strides):
        axes.sort(key=lambda n: -strides[-1][n])
    run, last = shape[axes[-1]], axes[-1]
    for axis in reversed(axes[:-1]):
        if any(s[axis] != s[last] * shape[last] for s in strides):
            break
        run, last = run * shape[axis], axis
    return axes[-1], run


def rising(strides: Strides, axes: Sequence[int]) -> bool:
    """Whether an array has its last axis lie closest."""
    own = [strides[n] for n in axes if strides[n]]
    return bool(own) and own[-1] == min(own)


def across(v: Value, stride: int, rates: Rates, most: int) -> float:
    """What an entry takes more where an array, or so many entries of it at once, is walked through by long strides."""
    nbytes = stride * v.dtype.itemsize
    if nbytes <= LINE:
        return 0.0
    return rates.at("crossed" if nbytes % ALIAS else "aliased", min(v.nbytes, most * v.dtype.itemsize))


# ---------------------------------------------------------------- products


def product(step: Step, rates: Rates) -> float:
    """One matrix product, or a batch of small ones."""
    (a, b), o = step.arrays, step.out
    call = rates.cost(step.op).call
    m, k = (1, *a.shape)[-2:]
    n = b.shape[-1] if len(b.shape) > 1 else 1
    number = prod(o.shape[:-2]) if max(len(a.shape), len(b.shape)) > 2 else 1
    if number > 1:
        call += number * rates.numbers["each"]
    if k == 1 and step.op == "matmul":
        return call + number * m * n * rates.numbers["naive"]
    call += sum(v.size for v in (a, b, o) if not taken(v)) * rates.numbers["scattered"]
    if m == 1 or n == 1:
        return call + step.bytes / rates.at("read", step.bytes)
    flops = 2 * m * k * n
    if is_mirrored(step.op, a, b):
        mirrored = m * (m - 1) // 2 * rates.numbers["scattered"]
        flops = m * (m + 1) * k
        return call + mirrored + flops / rates.at("product", flops) + step.bytes / rates.at("moved", SINCE * step.bytes)
    return call + number * flops / rates.at("product", flops) + step.bytes / rates.at("moved", SINCE * step.bytes)


def factored(step: Step, rates: Rates) -> float:
    """A function of matrices: its flops as those of a product of as many for each, and its bytes."""
    each = step.flops / max(1, prod(step.arrays[0].shape[:-2]))
    work = step.flops / rates.at("product", max(1.0, each))
    return rates.cost(step.op).call + work + step.bytes / rates.at("moved", SINCE * step.bytes)


def taken(v: Value) -> bool:
    """Whether a BLAS takes the matrices as they lie: rows or columns without gaps between their entries."""
    if len(v.shape) < 2:
        return True
    (m, n), (down, along) = v.shape[-2:], layout(v)[-2:]
    by_rows = (along == 1 or n == 1) and (down >= n or m == 1)
    return by_rows or ((down == 1 or m == 1) and (along >= m or n == 1))
