"""arrays: what is given to a kernel: names checked, arrays made plain, sizes solved.

Laws: what leaves here is an ndarray of numbers in native byte order, never a copy where a view does; the sizes found
give every input its shape; an error names the index, both sizes and both tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import numpy as np

from .dims import Env, single_symbol
from .errors import EinstanDerivativeError, EinstanNameError, EinstanShapeError
from .ir import Shape
from .plan.dtypes import default_float
from .show.spelling import with_axes

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]
Hints = Mapping[str, Sequence[str]]  # a letter for each axis of each input

MAX_RANK: Final = 64 if int(np.__version__.partition(".")[0]) > 1 else 32  # of numpy's arrays
NOMINAL_SIZE: Final = 128  # of an axis that nothing is known of, for `source`, `steps` and `cost` before a call


def check_names(given: Mapping[str, Any], names: Sequence[str], known: frozenset[str]) -> None:
    """Every input is there and nothing else but other inputs of the program."""
    missing = [name for name in names if name not in given]
    wanted = set(names)
    strange = [name for name in given if name not in wanted and name not in known]
    if strange:
        name = str(strange[0])
        close = get_close_matches(name, [*names, *known], 1)
        repair = f"Did you mean {close[0]!r}?" if close else f"The inputs are {', '.join(map(repr, names))}."
        raise EinstanNameError(f"There is no input called {name[:60]!r}.", repair)
    if missing:
        shown = ", ".join(repr(name) for name in missing)
        raise EinstanNameError(f"No array is given for {shown}.", f"Call with {missing[0]}=... or a mapping.")


def as_arrays(given: Mapping[str, Any]) -> list[Array]:
    """Plain arrays in native byte order; Python's numbers take the float dtype of the arrays."""
    found = {name: None if type(x) in (int, float, complex) else as_array(name, x) for name, x in given.items()}
    arrays = [a for a in found.values() if a is not None]
    floats = [a.dtype for a in arrays if a.dtype.kind in "fc"]
    exact = bool(arrays) and not floats
    weak = default_float(d for d in floats if d.kind == "f")
    return [weakly(given[name], weak, exact) if a is None else a for name, a in found.items()]


def dtype_of(x: Any) -> DType:
    """The dtype of what is given for an input that is not read; a Python number has the weakest."""
    return np.dtype(bool) if type(x) in (bool, int, float, complex) else np.asarray(x).dtype


def differentiable(
    arrays: list[Array], names: Sequence[str], wrt: frozenset[str], beside: Mapping[str, Any]
) -> list[Array]:
    """The arrays as a derivative takes them, which is a float whatever is given: integers as floats.

    `beside` is given and not read. There is no derivative in a bool or complex input, read or not.
    """
    if not wrt:
        return arrays
    for name, a in (*zip(names, arrays, strict=True), *beside.items()):
        kind = np.asarray(a).dtype.kind
        if name in wrt and kind in "bc":
            repair = "Give its real and imaginary parts as two inputs." if kind == "c" else "Give it as floats."
            word = "complex" if kind == "c" else "bool"
            raise EinstanDerivativeError(f"There is no derivative in {name}: its dtype is {word}.", repair)
    exact = "biu" if all(a.dtype.kind in "biu" for a in arrays) else "iu"  # a bool beside floats takes their dtype
    return [a.astype(np.float64) if a.dtype.kind in exact else a for a in arrays]


def check_real(arrays: list[Array], names: Sequence[str], real: frozenset[str]) -> None:
    """Functions are those of real numbers: their stable forms are not what a complex formula says."""
    for name, a in zip(names, arrays, strict=True):
        if name in real and a.dtype.kind == "c":
            raise EinstanShapeError(
                f"{name} is complex and goes through a function; products, sums and whole powers alone can be complex.",
                "Give its real and imaginary parts as two inputs.",
            )


def weakly(x: complex, dtype: DType, exact: bool) -> Array:
    """Python's number beside floats takes their dtype, beside integers its own kind."""
    if type(x) is complex:
        return np.asarray(x, np.result_type(dtype, np.complex64))
    if type(x) is int and exact:
        return np.asarray(x)
    return np.asarray(x, dtype)


def as_array(name: str, x: Any) -> Array:
    if isinstance(x, np.ma.MaskedArray):
        raise EinstanShapeError(f"{name} is a masked array.", "Fill it, or give the mask as an input of its own.")
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise EinstanShapeError(f"{name} is a sparse array.", f"Give {name}.toarray().")
    try:
        a = np.asarray(x)
    except ValueError as error:
        raise EinstanShapeError(f"{name} is no array: {error}.", "Give nested lists of equal lengths.") from None
    if a.dtype.kind not in "biufc" or a.dtype.itemsize > 16 or a.dtype.char in "gG":
        raise EinstanShapeError(f"{name} has the dtype {a.dtype}, which can't be computed with.", "Give numbers.")
    return a if a.dtype.isnative else a.astype(a.dtype.newbyteorder("="))


# ---------------------------------------------------------------- sizes


def solved(shapes: Mapping[str, Shape], hints: Hints, actual: Mapping[str, tuple[int, ...]]) -> Env:
    """Sizes of all symbols under which the symbolic shapes are the actual ones."""
    env: dict[str, int] = {}
    owner: dict[str, tuple[str, int]] = {}
    waiting = []
    for name, shape in shapes.items():
        check_rank(name, shape, actual[name], hints)
        for axis, (d, n) in enumerate(zip(shape, actual[name], strict=True)):
            symbol = single_symbol(d)
            if symbol is None:
                waiting.append((name, axis, d, n))
            elif env.setdefault(symbol, n) != n:
                raise clash(hints, (name, axis, n), (*owner[symbol], env[symbol]))
            else:
                owner.setdefault(symbol, (name, axis))
    while waiting:
        left = [item for item in waiting if not settled(item, env, owner, hints)]
        if len(left) == len(waiting):
            name, axis, d, n = left[0]
            raise EinstanShapeError(f"The size {n} of {label(hints, name, axis)} does not decide {d}.")
        waiting = left
    return env


def settled(item: tuple[str, int, Any, int], env: dict[str, int], owner: dict[str, Any], hints: Hints) -> bool:
    """Whether the equation `d = n` is used: checked, or solved for its one unknown symbol."""
    name, axis, d, n = item
    unknown = [s for s in d.symbols if s not in env]
    if not unknown:
        if d.at(env) != n:
            wanted = d.at(env)
            raise EinstanShapeError(
                f"{label(hints, name, axis)} has the size {n}, and the other inputs make it {wanted}."
            )
        return True
    if len(unknown) > 1:
        return False
    (symbol,) = unknown
    at = [d.at({**env, symbol: k}) for k in (0, 1, 2)]
    slope = at[1] - at[0]
    if slope == 0 or at[2] - at[1] != slope or (n - at[0]) % slope or (n - at[0]) // slope < 0:
        raise EinstanShapeError(f"{label(hints, name, axis)} can't have the size {n}: it is {d}.")
    env[symbol] = (n - at[0]) // slope
    owner[symbol] = (name, axis)
    return True


def check_rank(name: str, shape: Shape, actual: tuple[int, ...], hints: Hints) -> None:
    if len(shape) != len(actual):
        written = with_axes(name, hints.get(name, ()))
        raise EinstanShapeError(
            f"{name} has {len(actual)} axes, and {written} has {len(shape)}: its shape is {actual}."
        )


def clash(hints: Hints, one: tuple[str, int, int], other: tuple[str, int, int]) -> EinstanShapeError:
    (a, i, n), (b, j, m) = one, other
    return EinstanShapeError(
        f"The index {letter(hints, b, j)} has the size {m} in {label(hints, b, j)} and {n} in {label(hints, a, i)}."
    )


def letter(hints: Hints, name: str, axis: int) -> str:
    own = hints.get(name, ())
    return own[axis] if axis < len(own) else f"number {axis + 1}"


def label(hints: Hints, name: str, axis: int) -> str:
    """`axis 2 of W[k,j]`"""
    return f"axis {axis + 1} of {with_axes(name, hints.get(name, ()))}"


def check_sizes(shapes: Mapping[str, Shape], hints: Hints, given: Mapping[str, Any]) -> None:
    """Sizes by letter (`b=5`) or by input (`X=(5, 3)`): each is of an axis that there is."""
    letters = {letter for axes in hints.values() for letter in axes}
    for key, value in given.items():
        if of_input(key, value, shapes):
            check_rank(key, shapes[key], tuple(value), hints)
        elif key not in letters:
            known = ", ".join(with_axes(name, axes) for name, axes in hints.items())
            raise EinstanNameError(f"No axis has the letter {str(key)[:40]}.", f"The inputs are {known or 'none'}.")
        for n in value if of_input(key, value, shapes) else [value]:
            if isinstance(n, bool) or not hasattr(n, "__index__") or n < 0:
                raise EinstanShapeError(f"{repr(n)[:40]} is no size.", f"Write sizes={{{str(key)!r}: 5}}.")


def of_input(key: str, value: Any, shapes: Mapping[str, Shape]) -> bool:
    return key in shapes and isinstance(value, Sequence) and not isinstance(value, str)


def nominal_env(shapes: Mapping[str, Shape], hints: Hints, sizes: Mapping[str, Any]) -> Env:
    """Sizes to look at before arrays come: as given by input or by letter, else NOMINAL_SIZE."""
    given = [
        (name, axis, d, int(n))
        for name, shape in shapes.items()
        for axis, d in enumerate(shape)
        if (n := nominal(name, axis, shapes, hints, sizes)) is not None
    ]
    env: dict[str, int] = {}
    owner: dict[str, tuple[str, int]] = {}
    for name, axis, d, n in given:
        symbol = single_symbol(d)
        if symbol is not None and env.setdefault(symbol, n) != n:
            raise clash(hints, (name, axis, n), (*owner[symbol], env[symbol]))
        owner.setdefault(symbol or "", (name, axis))
    for shape in shapes.values():
        for d in shape:
            for symbol in d.symbols:
                env.setdefault(symbol, NOMINAL_SIZE)
    for item in given:
        settled(item, env, {}, hints)
    return env


def nominal(name: str, axis: int, shapes: Mapping[str, Shape], hints: Hints, sizes: Mapping[str, Any]) -> Any:
    """What is said of the size of this axis, by input or else by letter."""
    own = sizes.get(name)
    if own is not None and of_input(name, own, shapes):
        return own[axis]
    found = sizes.get(letter(hints, name, axis))
    return found if hasattr(found, "__index__") else None
