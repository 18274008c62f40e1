"""placing: results in the nesting in which they were asked for, and arrays in which results are to be written.

A pattern is a nesting with the numbers of the results in the places of their arrays, or of what is assembled of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import EinstanShapeError
from .plan import Value
from .straight import Assembled

if TYPE_CHECKING:
    from .arrays import Array


def unpacked(outs: Any, pattern: Any) -> list[Any]:
    """The arrays of a nesting in the order of the results; a nesting of another form is refused."""
    check_arrays(pattern)
    found = dict(numbered(outs, pattern))
    return [found[n] for n in range(len(found))]


def numbered(outs: Any, pattern: Any) -> Iterator[tuple[int, Any]]:
    """The number of each result with its array."""
    if isinstance(pattern, dict):
        if not isinstance(outs, Mapping) or outs.keys() != pattern.keys():
            raise EinstanShapeError(
                f"The results are {', '.join(map(repr, pattern))}.", "Give an array for each of them."
            )
        for name, inner in pattern.items():
            if isinstance(inner, int):
                yield inner, outs[name]
            else:
                yield from numbered(outs[name], inner)
    elif isinstance(pattern, tuple | list):
        if not isinstance(outs, tuple | list) or len(outs) != len(pattern):
            raise EinstanShapeError(f"There are {len(pattern)} results.", "Give an array for each of them.")
        for given, inner in zip(outs, pattern, strict=True):
            yield from numbered(given, inner)
    else:
        yield pattern, outs


def paths(pattern: Any) -> list[str]:
    """Names of the results, in their order: "value", "W", "W/c", "W/c H0"."""
    found: dict[int, str] = {}

    def walk(inner: Any, path: str) -> None:
        if isinstance(inner, Mapping):
            for name, below in inner.items():
                walk(below, f"{path}/{name}" if path else str(name))
        elif isinstance(inner, tuple | list):
            for n, below in enumerate(inner):
                walk(below, path or ("the value", "the derivative")[min(n, 1)])
        elif isinstance(inner, Assembled):
            found.update(zip(inner.parts, blocks(path, len(inner.parts)), strict=True))
        else:
            found[inner] = path or "the result"

    walk(pattern, "")
    return [found[n] for n in range(len(found))]


def check_arrays(pattern: Any) -> None:
    """Refuse results that are more than arrays."""
    waiting = [pattern]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, Assembled):
            raise EinstanShapeError("Structured results are not written into arrays.", "Call the kernel.")
        if isinstance(inner, Mapping):
            waiting += inner.values()
        elif isinstance(inner, tuple | list):
            waiting += inner


def blocks(path: str, count: int) -> list[str]:
    """What the blocks of a structured result are called: "W/c H", or "W/c H0", "W/c H1"."""
    return [f"{path} {name}".lstrip() for name in (["H"] if count == 1 else [f"H{n}" for n in range(count)])]


# ---------------------------------------------------------------- places


def check_places(places: Sequence[Any], results: Sequence[Value]) -> None:
    """The results can be written into the places, each entry into its own."""
    for place, v in zip(places, results, strict=True):
        if not isinstance(place, np.ndarray) or place.shape != v.shape:
            shape = getattr(place, "shape", type(place).__name__)
            raise EinstanShapeError(f"A result of shape {v.shape} can't be written into {shape}.")
        if not place.flags.writeable:
            raise EinstanShapeError("A result can't be written into a read-only array.")
        if not np.can_cast(v.dtype, place.dtype, "same_kind"):
            raise EinstanShapeError(f"A result of dtype {v.dtype} can't be written into this array of {place.dtype}.")
    for a, b in combinations(places, 2):  # views of one array may alternate
        if np.may_share_memory(a, b) and np.shares_memory(a, b):
            raise EinstanShapeError("Two results would be written into the same memory.", "Give each its own array.")


def direct(places: Sequence[Any], values: Sequence[Array], results: Sequence[Value]) -> bool:
    """Whether the results may be computed in these arrays: they fit and share memory with nothing."""
    for place, v in zip(places, results, strict=True):
        if type(place) is not np.ndarray or place.shape != v.shape or place.dtype != v.dtype or not place.flags.carray:
            return False
    return apart(places, values)


def apart(places: Sequence[Array], values: Sequence[Array]) -> bool:
    """Whether no place shares memory with a value or another place: told by who owns it, else by the bounds."""
    owners = [owner(place) for place in places]
    if all(owners) and len(set(owners)) == len(owners):
        others = {owner(value) for value in values}
        if None not in others and others.isdisjoint(owners):
            return True
    every = [*values, *places]
    return not any(np.may_share_memory(p, x) for n, p in enumerate(places) for x in every[: len(values) + n])


def owner(a: Array) -> int | None:
    """The identity of the array that owns the memory, which nobody else owns; None where that is not known."""
    base = a if a.base is None else a.base
    return id(base) if type(base) is np.ndarray and base.flags.owndata else None
