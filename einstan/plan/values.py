"""values: what a plan is made of. Value, Step, Plan: data without behaviour.

Invariants: every Value is written by the steps whose `out` it is (or lies in), before it is read; a view shares the
memory of its `base`; everything that is no view of a part is C-contiguous in the order of its own axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..errors import EinstanError
from ..show.amounts import about

if TYPE_CHECKING:
    from .regions import Region

Exact = int | Fraction  # an int wherever it is one: Python's fractions are slow
Number = int | float | Fraction
Kind = Literal["input", "constant", "work", "result"]
VIEWS = frozenset({"transpose", "reshape", "index", "diagonal"})  # steps that touch no entry


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """One array: `kind` says who owns its memory, `base` is the value of which it is a view, and `shows` the value,
    perhaps a view too, that it shows by an operation with parameters."""

    number: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    kind: Kind
    base: Value | None = None
    contiguous: bool = True
    shows: tuple[Value, str, tuple[Any, ...]] | None = None

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    @property
    def storage(self) -> Value:
        """The value that owns the memory."""
        return self if self.base is None else self.base

    def __repr__(self) -> str:
        return f"v{self.number}{list(self.shape)}"


Arg = Value | int | float
Name = Callable[[Value], str]  # what the owner of some memory is called
Note = Callable[[Name], str]  # the formula of a step from its left side's indices on: `[b,j] = v0[b,K] v1[K,j]`


def numbered(v: Value) -> str:
    return f"v{v.number}"


def exact(c: Exact) -> Exact:
    """An int if it is one."""
    return c.numerator if c.denominator == 1 else c


def as_float(c: Number) -> float:
    """The nearest float64; raises EinstanError past the largest."""
    try:
        return float(c)
    except OverflowError:
        raise EinstanError("A number is larger than any float64.", "Measure in other units.") from None


def magnitude(c: Exact) -> Exact:
    return c if c > 0 else -c


def over(a: Number, b: Exact) -> Number:
    return a / b if isinstance(a, float) else ratio(a, b)


def ratio(a: Exact, b: Exact) -> Exact:
    """a / b; what the size of an empty axis has multiplied is 0 and stays it."""
    return a if b == 1 or b == 0 == a else exact(Fraction(a) / b)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """`out = op(*args)`, with the `flops` and the `bytes` (read and written) of this step."""

    op: str
    args: tuple[Arg, ...]
    out: Value
    params: tuple[Any, ...]
    note: Note | None
    flops: int
    bytes: int

    @property
    def formula(self) -> str:
        """The step in index notation."""
        return self.told(numbered)

    def told(self, name: Name) -> str:
        """The step in index notation, arrays called by `name`."""
        return f"{name(self.out.storage)}{self.note(name)}" if self.note is not None else ""

    @property
    def arrays(self) -> list[Value]:
        return [a for a in self.args if isinstance(a, Value)]

    @property
    def is_view(self) -> bool:
        return self.op in VIEWS

    @property
    def seconds(self) -> float:
        """How long it takes on this machine, predicted: an order of magnitude. The machine's speed is measured when it
        is first asked for, and kept (machine/kept.py)."""
        from .seconds import here

        return here(self)

    def __repr__(self) -> str:
        made = f"{self.out!r} = {self.op}({', '.join(map(repr, self.args))})"
        told = f"{self.formula} ~ {about(self.seconds, 's')}"
        return f"{made}   # {told.strip()}"


class Place(NamedTuple):
    """Where a work value lies: offset in bytes into the workspace."""

    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Straight-line steps for one set of sizes and dtypes.

    `places` puts the work values into one workspace of `arena` bytes; a value in `aliases` is computed in the
    memory of a result; `regions` are done in blocks. `flops`: multiply and add are two, an entrywise function one per
    element. `bytes` are read and written. `peak_bytes` is all that is alive at once: workspace, constants, results, and
    what the step that needs most takes for a while; not the inputs.
    """

    inputs: dict[str, Value]
    results: tuple[Value, ...]
    steps: tuple[Step, ...]
    places: dict[Value, Place]
    aliases: dict[Value, Value]
    arena: int
    flops: int
    bytes: int
    peak_bytes: int
    largest: Step | None  # the step whose result takes most memory
    regions: tuple[Region, ...] = ()
