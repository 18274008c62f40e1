"""stepwise: the steps of a path, computed: all by the engine at once, or one after the other.

Law: a step that takes more than two operands makes nothing on its way to their product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arrays import Array
from .calls import HALVES, SINGLE, Options, Signature, cast, check_shape, common, general, prepared, put
from .contraction import Method
from .path_info import Step, taken
from .subscripts import Form


class Steps:
    """A contraction with its steps, each an equation of its own."""

    __slots__ = ("form", "path", "steps")

    def __init__(self, form: Form, steps: Sequence[Step]) -> None:
        self.form, self.steps = form, steps
        binary = all(len(step.positions) < 3 for step in steps)
        self.path = tuple([step.positions for step in steps]) if binary else None

    def compute(self, arrays: Sequence[Array], out: Any, options: Options) -> Any:
        """The result, written into `out` if that is an array."""
        if self.path is not None:
            return general(self.form, arrays, out, options._replace(method=self.path))
        dtype = common([a.dtype for a in arrays], options, (1,))
        inside = options._replace(dtype=SINGLE if dtype.name in HALVES else dtype, out=None)
        live = [cast(a, dtype) for a in arrays]
        for step in self.steps:
            live.append(computed(step, taken(live, step), inside))
        found = live[-1] if inside.dtype == dtype else cast(live[-1], dtype)
        return found if out is None else delivered(found, out, options.casting)

    def bound(self, signatures: tuple[Signature, ...], options: Options) -> Callable[[Sequence[Array]], Any]:
        """What computes the result for ndarrays of these shapes and dtypes."""
        if self.path is not None:
            return prepared(self.form, signatures, options._replace(method=self.path)).compute
        return lambda arrays: self.compute(arrays, None, options)


def delivered(found: Any, out: Array, casting: Any) -> Array:
    """The result, written into `out`."""
    result = np.asarray(found)
    check_shape(out, result.shape)
    put(result, out, casting)
    return out


def computed(step: Step, operands: Sequence[Any], options: Options) -> Any:
    """One step: two operands by the engine, more by a loop of numpy's."""
    method: Method | None = "auto" if len(operands) < 3 else None
    return general(step.equation, operands, None, options._replace(method=method))
