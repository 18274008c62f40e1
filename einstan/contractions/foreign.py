"""foreign: arrays of other libraries, which are not moved to numpy unasked.

They live on devices, are traced for a gradient, are yet to be computed, or have units: what a numpy array of them loses
is the reason to have them. They are known by their library, or by doing numpy's functions in a way of their own. All
others are read as numpy reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..errors import MissingBackendError

LIBRARIES: Final = frozenset(
    "aesara autograd cupy dask jax jaxlib mars mlx ndonnx paddle pytensor sparse tensorflow theano torch".split()
)
BACKENDS: Final = (None, "auto", "numpy")


def check_backend(backend: str | None, arrays: Sequence[Any]) -> None:
    """Raises MissingBackendError for another backend than numpy, asked for or meant by an array.

    >>> check_backend("torch", [])
    Traceback (most recent call last):
        ...
    einstan.errors.MissingBackendError: The backend 'torch' is not built yet.
    Write backend="numpy".
    """
    if backend not in BACKENDS and not (backend == "object" and all(np.asarray(x).dtype == object for x in arrays)):
        raise MissingBackendError(f"The backend {backend!r:.60} is not built yet.", 'Write backend="numpy".')
    for n, x in enumerate(arrays, 1):
        if type(x) is not np.ndarray and (library := foreign_library(type(x))) is not None:
            raise MissingBackendError(
                f"Operand {n} is an array of {library}, and that backend is not built yet.",
                "Make it a numpy array, if no gradient, device or unit is lost by that.",
            )


def foreign_library(kind: type) -> str | None:
    """The library that a class of arrays comes from, or is made of; None for what numpy may read."""
    names = [base.__module__.partition(".")[0] for base in kind.__mro__]
    own = getattr(kind, "__array_function__", np.ndarray.__array_function__)
    return names[0] if own is not np.ndarray.__array_function__ else next((x for x in names if x in LIBRARIES), None)
