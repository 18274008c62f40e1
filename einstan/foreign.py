"""foreign: arrays of other libraries, which are not moved to numpy unasked.

They live on devices, are traced for a gradient, or are yet to be computed: what a numpy array of them loses is the
reason to have them. Arrays of libraries that are not named here are read as numpy reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from .errors import MissingBackendError

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
    if backend not in BACKENDS:
        raise MissingBackendError(f"The backend {backend!r:.60} is not built yet.", 'Write backend="numpy".')
    for n, x in enumerate(arrays, 1):
        if type(x) is not np.ndarray and (library := library_of(type(x))) in LIBRARIES:
            raise MissingBackendError(
                f"Operand {n} is an array of {library}, and that backend is not built yet.",
                "Make it a numpy array, if no gradient or device is lost by that.",
            )


def library_of(kind: type) -> str:
    """The library that a class comes from, or whose array it is made of."""
    names = [base.__module__.partition(".")[0] for base in kind.__mro__]
    return next((name for name in names if name in LIBRARIES), names[0])
