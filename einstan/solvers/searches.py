"""searches: a search for a minimum or a root, set up, run, and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..arrays import Array
from ..errors import EinstanError
from ..memory import read_bytes
from ..structured import Structured
from ..structured.joined import Joined
from .descent import Descent, End, Status
from .directions import factorised, solving, truncated
from .equations import Equations
from .flat import Flat, length
from .given import beside, given, names_of, starts
from .line_search import Direction, Found, Point
from .objective import Objective
from .results import Progress, Result, named, printed
from .saddles import escape

if TYPE_CHECKING:
    from ..programs import Program

TOLERANCES: Final = {"f": 1e-4, "d": 1e-10}  # by dtype: what sums of some thousand terms of size one can reach


@dataclass(frozen=True, slots=True)
class Settings:
    """How a search goes, as `es.newton` describes it."""

    functions: Mapping[str, Any] | None
    tolerance: float | None
    max_iterations: int
    memory_limit: int | str | None
    progress: bool | Progress | None

    def __post_init__(self) -> None:
        if self.tolerance is not None and not is_tolerance(self.tolerance):
            raise EinstanError(f"{self.tolerance!r} is no tolerance.", "Write tolerance=1e-8.")
        if not is_count(self.max_iterations):
            raise EinstanError(f"{self.max_iterations!r} is no number of iterations.", "Write max_iterations=100.")
        read_bytes(self.memory_limit)

    @property
    def options(self) -> dict[str, Any]:
        """Those of the kernels."""
        return {"functions": self.functions, "memory_limit": self.memory_limit}

    @property
    def report(self) -> Progress:
        if callable(self.progress):
            return self.progress
        return printed if self.progress else lambda record: None

    def descent(
        self,
        flat: Flat,
        at: Callable[[Array], Point],
        direction: Callable[[Point], Direction],
        escape: Callable[[Point], Found | None] = lambda point: None,
    ) -> Descent:
        tolerance = TOLERANCES[flat.dtype.char] if self.tolerance is None else float(self.tolerance)
        return Descent(at, direction, tolerance, self.max_iterations, self.report, escape)


def is_tolerance(x: object) -> bool:
    return isinstance(x, Real) and float(x) >= 0


def is_count(x: object) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool) and bool(x >= 0)


# ---------------------------------------------------------------- minima


def minimum(program: Program, of: str, wrt: Any, start: Any, data: Any, settings: Settings) -> Result:
    names, one = names_of(program, wrt)
    slopes = program.value_and_grad(of, names).compile(**settings.options)
    arrays, first = given(slopes, program, starts(names, one, start), beside(names, data))
    objective = Objective(program, of, slopes, arrays, settings.options)
    unfit = objective.unfit(first)
    product = objective.product if unfit else lambda x, v: objective.curvature(x).product(v)
    descent = settings.descent(
        arrays.flat,
        objective.at,
        truncated(product) if unfit else factorised(objective.curvature),
        lambda point: escape(objective.at, partial(product, point.x), point),
    )
    end = descent.run(first)
    by = f" Conjugate gradients were used: {unfit}." if unfit else ""
    return Result(
        x=named(arrays.flat, end.point.x, one),
        fun=arrays.flat.dtype.type(end.point.value),
        success=end.status.success,
        status=int(end.status),
        message=told(end, descent, of, "the gradient's norm", names) + by,
        nit=end.steps,
        nfev=objective.nfev,
        njev=objective.nfev,
        nhev=objective.nhev,
        jac=named(arrays.flat, end.point.vector, one),
        curvature=None if unfit else Last(objective, end.point.x, one),
    )


@dataclass(frozen=True, slots=True)
class Last:
    """The Hessian where the search ended."""

    objective: Objective
    x: Array
    one: bool

    def __call__(self) -> Structured | Joined:
        found = self.objective.hessian(self.x)
        return found.blocks[found.names[0]][found.names[0]] if self.one else found


# ---------------------------------------------------------------- roots


def zero(program: Program, of: Any, wrt: Any, start: Any, data: Any, settings: Settings) -> Result:
    ofs = [of] if isinstance(of, str) else list(of)
    names, one = names_of(program, wrt)
    values = program.compile(ofs, **settings.options)
    arrays, first = given(values, program, starts(names, one, start), beside(names, data))
    equations = Equations(program, ofs, values, arrays, first, settings.options)
    descent = settings.descent(arrays.flat, equations.at, solving(equations.jacobian))
    end = descent.run(first)
    title = ", ".join(ofs)
    return Result(
        x=named(arrays.flat, end.point.x, one),
        fun=named(equations.outputs, end.point.vector, isinstance(of, str)),
        success=end.status.success,
        status=int(end.status),
        message=told(end, descent, title, f"the norm of {title}", names),
        nit=end.steps,
        nfev=equations.nfev,
        njev=equations.njev,
    )


# ---------------------------------------------------------------- what is told


MESSAGES: Final = {
    Status.CONVERGED: "Converged: {norm} is {found:.2g}, within the tolerance {tolerance:.2g}.",
    Status.ROUNDING: "Converged as far as rounding lets it: {norm} is {found:.2g}, and the tolerance {tolerance:.2g}.",
    Status.ITERATIONS: "Not converged in {steps} iterations: {norm} is {found:.2g}. Raise max_iterations, or start "
    "elsewhere.",
    Status.NO_DESCENT: "No step leads down from here: {norm} is {found:.2g}. Start elsewhere.",
    Status.NOT_FINITE: "Not finite: {of} or a derivative is inf or nan after {steps} iterations. Start elsewhere.",
    Status.DIVERGES: "Diverges: the norm of {names} is {far:.2g} after {steps} iterations and grows without end: "
    "{of} has no solution near. Add a penalty, or start elsewhere.",
}


def told(end: End, descent: Descent, of: str, norm: str, names: Sequence[str]) -> str:
    """Why the search ended, in a sentence or two."""
    return MESSAGES[end.status].format(
        of=of, norm=norm, found=end.point.norm, tolerance=descent.tolerance, steps=end.steps,
        names=", ".join(names), far=length(end.point.x),
    )  # fmt: skip
