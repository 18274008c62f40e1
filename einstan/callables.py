"""callables: Python functions that a kernel calls, held to what was agreed: arrays are only read, results checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .arrays import Array, DType, as_array
from .errors import EinstanShapeError


def guarded(key: str, function: Callable[..., Any], shape: tuple[int, ...], dtype: DType) -> Callable[..., Array]:
    """The function as a kernel calls it: `key` is what its errors call it, `shape` what it has to return."""

    def called(*arrays: Array) -> Array:
        found = as_array(f"The result of {key}", function(*map(read_only, arrays)))
        if found.shape != shape:
            raise EinstanShapeError(
                f"{key} returned an array of shape {found.shape}, and {shape} is wanted.",
                f"It is called with {' and '.join(str(a.shape) for a in arrays)}: "
                "axes that ride along first, then those that it sees; see einstan.bind.",
            )
        if found.dtype.kind == "c" != dtype.kind:
            raise EinstanShapeError(f"{key} returned complex numbers for real ones.", "Return its real part.")
        return found

    return called


def read_only(a: Array) -> Array:
    """A view that can't be written."""
    view = a.view()
    view.flags.writeable = False
    return view
