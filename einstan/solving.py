"""solving: es.newton and es.root."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .errors import EinstanNameError, EinstanTypeError
from .programs import Program
from .solvers.results import Progress, Result
from .solvers.searches import Settings, minimum, zero


def newton(
    program: Program,
    of: str,
    wrt: str | Sequence[str],
    start: Any,
    data: Mapping[str, Any] | None = None,
    *,
    functions: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    max_iterations: int = 100,
    memory_limit: int | str | None = None,
    progress: bool | Progress | None = None,
) -> Result:
    """Minimise the scalar `of` over the inputs of `wrt`, from `start`, by damped Newton-Raphson; see Result.

    `start` gives an array to each name of `wrt` (for one name it may be the array itself), `data` to the other inputs.
    Gradient and Hessian are those that `value_and_grad` and `hessian` derive; `functions` are as in `compile`. The
    search ends when the Euclidean norm of the gradient, over all entries of all names, is at most `tolerance`: as it
    is, scaled by nothing; 1e-10, and 1e-4 in float32, if none is given. It also ends, and `message` says so, where
    rounding hides what is left to descend (a success), after `max_iterations` steps, where no step leads down, where
    something is not finite, and where x runs away.

    Where the Hessian is not positive definite a multiple of the identity is added; a step is shortened until the value
    falls (Armijo). Where the Hessian does not fit into `memory_limit` (bytes, or a text such as "1GB"; else what the
    machine has free) steps are found by conjugate gradients on products with it. `progress=True` prints a line for each
    iteration; a function is called with the Record of each.

    An `of` with axes is a system of equations, as for `root`. Raises EinstanErrors for names, shapes and dtypes, as
    kernels do. Source: Nocedal and Wright, Numerical Optimization, 2006, chapters 3 and 7.

    >>> from einstan import parse
    >>> p = parse("L = (1 - x)^2 + 100 (y - x^2)^2")
    >>> found = newton(p, "L", wrt=["x", "y"], start={"x": -1.2, "y": 1.0})
    >>> found.success, found.nit, float(found.x["x"].round(6)), float(found.x["y"].round(6))
    (True, 25, 1.0, 1.0)
    """
    settings = Settings(functions, tolerance, max_iterations, memory_limit, progress)
    require(program, [of])
    solve = zero if program.letters[of] else minimum
    return solve(program, of, wrt, start, data, settings)


def root(
    program: Program,
    of: str | Sequence[str],
    wrt: str | Sequence[str],
    start: Any,
    data: Mapping[str, Any] | None = None,
    *,
    functions: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    max_iterations: int = 100,
    memory_limit: int | str | None = None,
    progress: bool | Progress | None = None,
) -> Result:
    """Solve the equations `of` = 0 for the inputs of `wrt`, from `start`, by damped Newton-Raphson; see Result.

    `of` is a name of the program or a list of names: all entries of all of them are equations, and there are as many
    as there are entries that vary. The Jacobian is the one that `jacobian` derives. A step is shortened until |F|²
    falls (Armijo), and is one of Levenberg's and Marquardt's where the Jacobian is singular. The search ends when the
    Euclidean norm of F is at most `tolerance`; all else is as in `newton`.

    >>> from einstan import parse
    >>> p = parse("F[i] = x[i]^2 - a[i]")
    >>> root(p, "F", wrt="x", start=[1.0, 1.0], data={"a": [2.0, 9.0]}).x.round(6)
    array([1.414214, 3.      ])
    """
    settings = Settings(functions, tolerance, max_iterations, memory_limit, progress)
    of = of if isinstance(of, str) or not isinstance(of, Iterable) else list(of)
    require(program, of if isinstance(of, list) else [of])
    return zero(program, of, wrt, start, data, settings)


def require(program: Program, ofs: Sequence[str]) -> None:
    if not isinstance(program, Program):
        raise EinstanTypeError(f"A {type(program).__name__} is no program.", "Make one with es.parse or es.program.")
    if not ofs:
        raise EinstanNameError("There is nothing to solve.", 'Write of="F" or of=["F", "G"].')
    for of in ofs:
        program.require(of, program.checked.definitions, "defines")
