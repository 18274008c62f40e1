"""layout: how the entries of a value lie: from one index to the next, along every axis, views looked through.

Inputs are taken to be contiguous, and so is what is reshaped. An axis that repeats has the stride 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from .values import Value

Strides = Sequence[int]  # in entries


def layout(v: Value) -> list[int]:
    """Entries from one index to the next, along every axis."""
    chain = [v]
    while (shows := chain[-1].shows) is not None and shows[1] != "reshape":
        chain.append(shows[0])
    strides = in_order(chain[-1].shape)
    for view in reversed(chain[:-1]):
        assert view.shows is not None
        _, op, params = view.shows
        strides = SHOWN[op](strides, params)
    return strides


def is_mirrored(op: str, a: Value, b: Value) -> bool:
    """Whether a product is that of a matrix and its own transpose, of which np.dot computes one half and copies it."""
    (x, turned), (y, other) = untransposed(a), untransposed(b)
    known = x is y and turned != other and x.contiguous and x.dtype.kind in "fc"
    return known and op == "dot" and len(x.shape) == 2 and min(x.shape) > 1


def untransposed(v: Value) -> tuple[Value, bool]:
    """The value, or what it is the transpose of."""
    return (v.shows[0], True) if v.shows is not None and v.shows[1:] == ("transpose", (1, 0)) else (v, False)


def in_order(shape: Sequence[int]) -> list[int]:
    """Of an array in C order."""
    strides, size = [], 1
    for d in reversed(shape):
        strides.append(size)
        size *= max(1, d)
    return strides[::-1]


def indexed(strides: Strides, index: Sequence[Any]) -> list[int]:
    old = iter(strides)
    return [0 if entry is None else next(old) for entry in index] + list(old)


def on_diagonal(strides: Strides, params: Sequence[Any]) -> list[int]:
    labels, out = params
    return [sum(s for s, label in zip(strides, labels, strict=True) if label == kept) for kept in out]


SHOWN: Final[dict[str, Callable[[Strides, Sequence[Any]], list[int]]]] = {
    "transpose": lambda strides, perm: [strides[n] for n in perm],
    "index": indexed,
    "diagonal": on_diagonal,
}
