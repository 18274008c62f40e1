"""given: the arrays that a solver is called with, checked: what varies as one vector, the rest as it is read.

Laws: names are checked as a kernel checks them; all floats have one dtype, the widest of what is given (integers are
no floats: they take it, and alone they are float64); nothing that is given is changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..arrays import Array, DType, as_arrays, check_names, differentiable, solved
from ..errors import EinstanError, EinstanNameError, EinstanShapeError, EinstanTypeError
from ..kernel import Kernel
from .flat import Flat

if TYPE_CHECKING:
    from ..programs import Program

NARROWEST: Final = np.dtype(np.float32)  # that linear algebra knows


def names_of(program: Program, wrt: Any) -> tuple[list[str], bool]:
    """The inputs that vary, and whether they were given as one name."""
    asked = program.branches(wrt, str)
    names = [asked] if isinstance(asked, str) else list(asked)
    if not names:
        raise EinstanNameError("Nothing varies.", 'Write wrt="w" or wrt=["W", "c"].')
    for name in names:
        program.require(name, program.letters, "has")
        if name not in program.inputs:
            raise EinstanNameError(f"{name} is defined by the program.", "What varies is an input: leave its line out.")
    return names, isinstance(asked, str)


def starts(names: Sequence[str], one: bool, start: Any) -> dict[str, Any]:
    """The start of each name that varies; a mapping, or the array itself for one name."""
    given = dict(start) if isinstance(start, Mapping) else {names[0]: start} if one else None
    if given is None:
        raise EinstanTypeError("start gives an array to each name of wrt.", 'Write start={"W": w0, "c": c0}.')
    for name in names:
        if name not in given:
            raise EinstanNameError(f"There is no start for {name}.", "Give an array to each name of wrt.")
    for name in given.keys() - set(names):
        raise EinstanNameError(f"{str(name)[:60]} has a start and does not vary.", "Put it into wrt, or into data.")
    return given


def beside(names: Sequence[str], data: Any) -> dict[str, Any]:
    """What does not vary."""
    if data is not None and not isinstance(data, Mapping):
        raise EinstanTypeError(f"data is a {type(data).__name__}.", 'Write data={"X": x, "t": t}.')
    found = dict(data or {})
    for name in names:
        if name in found:
            raise EinstanNameError(f"{name} varies and is among the data.", "Give it as the start alone.")
    return found


@dataclass(frozen=True, slots=True)
class Given:
    """What varies, as a vector's form, and the data."""

    flat: Flat
    data: Mapping[str, Array]

    def arguments(self, kernel: Kernel, x: Array, more: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """What a kernel reads at x."""
        everything = {**self.data, **self.flat.arrays(x), **(more or {})}
        return {name: everything[name] for name in kernel.inputs}

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all inputs, for what a kernel tells before its first call."""
        return {**{name: a.shape for name, a in self.data.items()}, **self.flat.shapes}


def given(kernel: Kernel, program: Program, start: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[Given, Array]:
    """The arrays that the kernel reads, and the start as a vector."""
    check_data({**data, **start}, list(kernel.inputs), frozenset(program.inputs))
    found = plain({**start, **{name: x for name, x in data.items() if name in kernel.inputs}}, start)
    varying = {name: found.pop(name) for name in start}
    flat = flat_of({name: a.shape for name, a in varying.items()}, next(iter(varying.values())).dtype)
    return Given(flat, found), flat.vector(varying)


def given_without_start(kernel: Kernel, program: Program, names: Sequence[str], data: Mapping[str, Any]) -> Given:
    """The arrays that the kernel reads; the shapes of what varies follow from them."""
    wanted = [name for name in kernel.inputs if name not in names]
    check_data(data, wanted, frozenset(program.inputs) - set(names))
    found = plain({name: data[name] for name in wanted}, {})
    return Given(flat_of(shapes_by_data(kernel, names, found), np.dtype(np.float64)), found)


def check_data(given: Mapping[str, Any], wanted: Sequence[str], known: frozenset[str]) -> None:
    """As a kernel checks names; what is missing belongs to the data."""
    if missing := [name for name in wanted if name not in given]:
        shown = ", ".join(map(repr, missing))
        raise EinstanNameError(f"No array is given for {shown}.", f"Give {missing[0]} among the data.")
    check_names(given, wanted, known)


def plain(arrays: Mapping[str, Any], varying: Collection[str]) -> dict[str, Array]:
    """The arrays of one float dtype; what varies is real."""
    found = dict(zip(arrays, as_arrays(arrays), strict=True))
    own = [found[name] for name in varying]
    differentiable(own, list(varying), frozenset(varying), {})
    dtype = float_of(list(found.values()), own)
    return {name: a.astype(dtype, copy=False) if a.dtype.kind in "fiu" else a for name, a in found.items()}


def float_of(arrays: Sequence[Array], varying: Sequence[Array]) -> DType:
    """The widest float of the arrays; integers that vary are float64."""
    floats = [a.dtype for a in arrays if a.dtype.kind == "f"]
    exact = any(a.dtype.kind in "iu" for a in varying) or not floats
    return np.result_type(NARROWEST, *floats, *([np.float64] if exact else []))


def flat_of(shapes: Mapping[str, tuple[int, ...]], dtype: DType) -> Flat:
    flat = Flat(shapes, dtype)
    if flat.size == 0:
        raise EinstanShapeError(f"{', '.join(shapes)} has no entries.", "Nothing can vary.")
    return flat


def shapes_by_data(kernel: Kernel, names: Sequence[str], data: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    """The shapes of what varies, as the sizes of the data say; raises where they do not."""
    shapes = kernel.spec.shapes
    own = {name: shapes[name] for name in shapes if name in data}
    env = solved(own, kernel.inputs, {name: data[name].shape for name in own})
    for name in names:
        for d, letter in zip(shapes[name], kernel.inputs[name], strict=True):
            if set(d.symbols) - env.keys():
                raise EinstanShapeError(
                    f"The data do not say the size {letter} of {name}.", f"Give a start, {name}=..., with the data."
                )
    return {name: tuple(d.at(env) for d in shapes[name]) for name in names}


def fresh_inputs(program: Program, names: Sequence[str]) -> dict[str, str]:
    """A name for a vector beside each of the names, which the program has no use for."""
    found: dict[str, str] = {}
    candidates = (f"v{n}" for n in range(10_000))
    for name in names:
        found[name] = next(v for v in candidates if is_free(program, v, program.letters[name]))
    return found


def is_free(program: Program, name: str, axes: Sequence[str]) -> bool:
    try:
        program.require_new(name, axes)
    except EinstanError:
        return False
    return True
