"""results: what a solver gives back, in the words of scipy; and what it tells of each iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from .flat import Flat


class Record(NamedTuple):
    """One iteration: where it arrived (the value, the norm of the gradient), and the step that led there.

    `step` is the part of the Newton step that was taken, `shift` what was added to the diagonal of the Hessian.
    For a root, `value` is ½ ‖F‖² and the norm is that of F.
    """

    iteration: int
    value: float
    gradient_norm: float
    step: float
    shift: float

    def __str__(self) -> str:
        moved = f"{self.step:>9.3g}{self.shift:>10.2g}" if self.iteration else f"{'–':>9}{'–':>10}"
        return f"{self.iteration:>9}{self.value:>16.8g}{self.gradient_norm:>10.2e}{moved}"


Progress = Callable[[Record], object]
HEADS: Final = f"{'iteration':>9}{'value':>16}{'norm':>10}{'step':>9}{'shift':>10}"


def printed(record: Record) -> None:
    """A line for each iteration, the first with the heads of the columns above it."""
    print(f"{HEADS}\n{record}" if record.iteration == 0 else record)


@dataclass(frozen=True, eq=False)
class Result(Mapping[str, Any]):
    """A solution: attributes, and the same by key, as scipy's `OptimizeResult` has them.

    `x` is an array for one name, a dict for a list, and so is the gradient `jac`; `fun` is the value. `hess` is the
    Hessian at `x`, which is computed when it is asked for. Of a root, `fun` holds the equations, and there is neither
    `jac` nor `hess`. `nit` counts steps, `nfev` and `njev` evaluations of value and gradient, `nhev` those of the
    Hessian (or products with it). `status` is 0 where the tolerance is met; `message` says why the search ended.
    """

    x: Any
    fun: Any
    success: bool
    status: int
    message: str
    nit: int
    nfev: int
    njev: int
    nhev: int | None = None
    jac: Any = None
    curvature: Callable[[], Any] | None = field(default=None, repr=False)

    @property
    def hess(self) -> Any:
        return None if self.curvature is None else self.curvature()

    __eq__, __hash__ = object.__eq__, object.__hash__  # arrays have no one answer

    @property
    def held(self) -> dict[str, Any]:
        """What there is, by key; for `hess` what computes it."""
        found = {
            "x": self.x, "fun": self.fun, "jac": self.jac, "hess": self.curvature,
            "nit": self.nit, "nfev": self.nfev, "njev": self.njev, "nhev": self.nhev,
            "success": self.success, "status": self.status, "message": self.message,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value is not None}

    def __getitem__(self, key: str) -> Any:
        found = self.held[key]
        return self.hess if key == "hess" else found

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def __repr__(self) -> str:
        return "\n".join(behind(f"{name:>8}: ", self[name]) for name in self if name != "hess")


def shown(value: Any) -> str:
    """A value; of a mapping a value for each name."""
    if isinstance(value, Mapping):
        return "\n".join(behind(f"{name} = ", inner) for name, inner in value.items())
    return str(value)


def behind(head: str, value: Any) -> str:
    """A value behind a head: further lines stand below the first."""
    return head + shown(value).replace("\n", "\n" + " " * len(head))


def named(flat: Flat, x: Any, one: bool) -> Any:
    """A vector as a user gave it: an array for one name, a dict for a list."""
    arrays = {name: array.copy() for name, array in flat.arrays(x).items()}
    return next(iter(arrays.values())) if one else arrays
