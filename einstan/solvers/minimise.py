"""minimise: a scalar of a program as scipy.optimize.minimize takes it: functions of one flat vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Array, as_arrays, differentiable
from ..errors import EinstanShapeError
from .given import beside, given, given_without_start, names_of, starts
from .line_search import Point
from .objective import Objective
from .results import named

if TYPE_CHECKING:
    from ..programs import Program


class Arguments(dict[str, Any]):
    """What scipy.optimize.minimize takes by name: `fun jac hess hessp`, and `x0` where a start is known.

    `vector(arrays)` makes the vector that scipy knows of arrays by name (of the array, for one name), `arrays(x)`
    takes it apart again.
    """

    def __init__(self, objective: Objective, one: bool, start: Array | None = None) -> None:
        self.objective, self.one = objective, one
        self.last: Point | None = None
        super().__init__(fun=self.fun, jac=self.jac, hess=self.hess, hessp=self.hessp)
        if start is not None:
            self["x0"] = start

    def vector(self, arrays: Any) -> Array:
        """The vector of these arrays."""
        own = real(starts(self.objective.names, self.one, arrays))
        for name, shape in self.objective.flat.shapes.items():
            if own[name].shape != shape:
                raise EinstanShapeError(f"{name} has the shape {own[name].shape}, and {shape} is wanted.")
        return self.objective.flat.vector(own)

    def arrays(self, x: Any) -> Any:
        """The array of each name; the array itself, for one name."""
        return named(self.objective.flat, self.checked(x), self.one)

    def fun(self, x: Any) -> float:
        return self.at(x).value

    def jac(self, x: Any) -> Array:
        return self.at(x).vector.copy()

    def hess(self, x: Any) -> Array:
        return self.objective.matrix(self.checked(x))

    def hessp(self, x: Any, v: Any) -> Array:
        return self.objective.product(self.checked(x), self.checked(v))

    def at(self, x: Any) -> Point:
        """Value and gradient, which one kernel gives: scipy asks for the one, then for the other."""
        x, last = self.checked(x), self.last
        if last is None or not np.array_equal(last.x, x):
            self.last = last = self.objective.at(x.copy())
        return last

    def checked(self, x: Any) -> Array:
        found = np.ascontiguousarray(real({"the vector": x})["the vector"], np.float64)
        if found.shape != (self.objective.flat.size,):
            raise EinstanShapeError(
                f"A vector of {self.objective.flat.size} entries is wanted, and this has the shape {np.shape(x)}."
            )
        return found


def arguments(
    program: Program, of: str, wrt: str | Sequence[str], data: Mapping[str, Any], functions: Mapping[str, Any] | None
) -> Arguments:
    """As `Program.scipy` describes it."""
    names, one = names_of(program, wrt)
    options = {"functions": functions}
    slopes = program.value_and_grad(of, names).compile(**options)
    own = {name: data[name] for name in names if name in data}
    if not own:
        found = given_without_start(slopes, program, names, beside(names, data))
        return Arguments(Objective(program, of, slopes, found, options), one)
    start = {name: widened(x) for name, x in starts(names, one, own).items()}
    found, first = given(slopes, program, start, {name: x for name, x in data.items() if name not in own})
    return Arguments(Objective(program, of, slopes, found, options), one, first)


def real(given: Mapping[str, Any]) -> dict[str, Array]:
    """Arrays of numbers that may vary."""
    return dict(zip(given, differentiable(as_arrays(given), list(given), frozenset(given), {}), strict=True))


def widened(x: Any) -> Any:
    """scipy computes in float64."""
    a = np.asarray(x)
    return a.astype(np.float64) if a.dtype.kind == "f" else x
