"""stepwise: the steps of a path, computed: all by the engine at once, or one after the other.

Law: a step that takes more than two operands makes nothing on its way to their product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from .arrays import Array
from .contraction import Method
from .numpy_forms import Options, Signature, common, general, prepared
from .path_info import PathInfo, Step
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
        inside = options._replace(dtype=common([a.dtype for a in arrays], options, (1,)), out=None)
        live = list(arrays)
        for step in self.steps[:-1]:
            live.append(computed(step, taken(live, step), None, inside))
        return computed(self.steps[-1], taken(live, self.steps[-1]), out, options)

    def bound(self, signatures: tuple[Signature, ...], options: Options) -> Callable[[Sequence[Array]], Any]:
        """What computes the result for ndarrays of these shapes and dtypes."""
        if self.path is not None:
            return prepared(self.form, signatures, options._replace(method=self.path)).compute
        return lambda arrays: self.compute(arrays, None, options)


def computed(step: Step, operands: Sequence[Any], out: Any, options: Options) -> Any:
    """One step: two operands by the engine, more by a loop of numpy's."""
    method: Method | None = "auto" if len(operands) < 3 else None
    return general(step.equation, operands, out, options._replace(method=method))


def taken(live: list[Any], step: Step) -> list[Any]:
    """What the step takes out of the list."""
    found = [live[k] for k in step.positions]
    for k in sorted(step.positions, reverse=True):
        del live[k]
    return found


class Numbered(NamedTuple):
    """A step by numbers that stay: operand k of n is k, the p-th step makes n + p."""

    operands: list[int]
    made: int
    step: Step


def numbered(info: PathInfo) -> Iterator[Numbered]:
    """The steps of a path by number."""
    n = info.eq.count(",") + 1
    live = list(range(n))
    for made, step in enumerate(info.contraction_list, n):
        yield Numbered(taken(live, step), made, step)
        live.append(made)
