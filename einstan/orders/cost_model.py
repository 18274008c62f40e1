"""cost_model: how long the steps of a plan take on this machine, predicted.

A step takes its overhead and the longer of two times: for its arithmetic, and for moving its bytes. The rates are
measured once in a process, when they are first asked for, in about a tenth of a second; threads of a BLAS included.
Their order of magnitude is what can be relied on: a machine that does other things at the same time is slower.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from time import perf_counter
from typing import Any, Final

import numpy as np

from ..backends.numpy import COMPARISONS, OPS, PRIMITIVES
from ..plan import Plan, Step
from ..plan.dtypes import HALF, SINGLE, physical

DType = np.dtype[Any]

REPEATS: Final = 5  # of every measurement; the shortest counts
ENTRY: Final = 6  # entering a kernel takes as long as so many calls of numpy
PRODUCTS: Final = frozenset({"matmul", "dot"})
CHEAP: Final = COMPARISONS | {"relu", "step", "abs", "sign", "max", "min", "where", "concat", "part", "amax", "amin"}
FUNCTIONS: Final = frozenset(PRIMITIVES) - CHEAP


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine does in a second, for arrays of one dtype.

    `overhead` is seconds for a call of numpy and `view` for a view, `each` for one matrix product of a batch; `product`
    are flops of a matrix product, `function` entries of exp; `near` and `far` are bytes moved within `cache` bytes and
    beyond, `strided` those of a copy that transposes, `half` those of a cast from or to float16.
    """

    overhead: float
    view: float
    each: float
    product: float
    function: float
    near: float
    far: float
    strided: float
    half: float
    cache: int

    def seconds(self, step: Step) -> float:
        """For one step."""
        if step.is_view:
            return self.view
        arithmetic = 0.0
        if step.op in PRODUCTS:
            arithmetic = step.flops / self.product + self.each * (prod(step.out.shape[:-2]) - 1)
        elif step.op in FUNCTIONS:
            arithmetic = step.flops / self.function
        return self.overhead * calls(step) + max(arithmetic, step.bytes / self.bandwidth(step))

    def bandwidth(self, step: Step) -> float:
        if HALF in (step.out.dtype, *(v.dtype for v in step.arrays)):
            return self.half
        if step.bytes <= self.cache:
            return self.near
        crosses = step.op == "copy" and not all(v.contiguous for v in step.arrays)
        return self.strided if crosses else self.far

    def predicted(self, plan: Plan) -> float:
        """Seconds for one call of a plan."""
        return ENTRY * self.overhead + sum(self.seconds(step) for step in plan.steps)


def calls(step: Step) -> int:
    """How often the text of the step calls numpy; a user's function counts as one call."""
    return max(1, OPS[step.op].helper.count("np.")) if step.op in OPS else 1


@lru_cache
def this_machine(dtype: DType) -> Machine:
    """This machine, measured with arrays of the dtype that is computed in."""
    dtype = physical(dtype)
    n = 384 if dtype.char in "fdFD" else 96  # others have no BLAS
    square, small = np.ones((n, n), dtype), np.ones((256, 2, 2), dtype)
    few, some, many = (np.ones(k, dtype) for k in (4, 1 << 13, 1 << 20))
    sheet = np.ones((1 << 10, 1 << 10), dtype)
    targets = {id(a): np.ones_like(a) for a in (square, small, few, some, many, sheet)}

    def time(call: Callable[..., Any], *args: Any) -> float:
        return shortest(lambda: call(*args, out=targets[id(args[0])]))

    halves, singles = np.ones(some.size, HALF), np.ones(some.size, SINGLE)
    overhead = time(np.add, few, few)
    products = time(np.matmul, small, small)
    exponentials = time(np.exp, some) if dtype.kind in "fc" else time(np.add, some, some)
    transposed = shortest(lambda: np.copyto(targets[id(sheet)], sheet.T))
    return Machine(
        overhead=overhead,
        view=shortest(few.transpose) / 2,
        each=products / len(small),
        product=2 * n**3 / time(np.matmul, square, square),
        function=some.size / exponentials,
        near=3 * some.nbytes / max(1e-9, time(np.add, some, some) - overhead),
        far=3 * many.nbytes / time(np.add, many, many),
        strided=2 * sheet.nbytes / transposed,
        half=(halves.nbytes + singles.nbytes) / shortest(lambda: np.copyto(singles, halves)),
        cache=1 << 20,
    )


def shortest(call: Callable[[], Any]) -> float:
    """Seconds for one call: the best of some rounds of as many calls as make half a millisecond."""
    call()
    start = perf_counter()
    call()
    number = max(1, int(5e-4 / max(1e-9, perf_counter() - start)))
    best = float("inf")
    for _ in range(REPEATS):
        start = perf_counter()
        for _ in range(number):
            call()
        best = min(best, (perf_counter() - start) / number)
    return best
