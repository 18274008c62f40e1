"""straight: what every call of a plan goes through beside the plan, as expressions without loops.

A guard tells whether arrays are as a plan expects them; results are nested, and arrays taken out of a nesting. Each is
written for one plan, which takes a third of the time of a loop. Law: texts hold numbers and names from counters; keys
and dtypes are objects of the namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

ShapeAndDtype = tuple[tuple[int, ...], np.dtype[Any]]
FRESH: Final = np.empty((2, 2)).flags.num  # bits: C-contiguous, aligned, writeable, owns its memory
OWNS: Final = f" and {{0}}.flags.num & {FRESH} == {FRESH}"  # a test of the array {0}


@dataclass(frozen=True, slots=True)
class Assembled:
    """In a pattern, what `make` makes of the results of these numbers."""

    make: Callable[..., Any]
    parts: tuple[int, ...]


def guard(key: Sequence[ShapeAndDtype], of_each: str = "") -> Callable[..., bool]:
    """Whether as many arrays are plain ones of these shapes and dtypes; `of_each` is one more test.

    >>> fits = guard([((2, 3), np.dtype(float))])
    >>> fits(np.ones((2, 3))), fits(np.ones((3, 2))), fits([[1.0, 2.0, 3.0]] * 2)
    (True, False, False)
    """
    dtypes = {dtype: f"d{n}" for n, dtype in enumerate(dict.fromkeys(dtype for _, dtype in key))}
    tests = [
        f"type(v{n}) is plain and v{n}.shape == {shape!r} and v{n}.dtype is {dtypes[dtype]}{of_each.format(f'v{n}')}"
        for n, (shape, dtype) in enumerate(key)
    ]
    space = {"plain": np.ndarray, **{name: dtype for dtype, name in dtypes.items()}}
    return function(variables(len(key)), " and ".join(tests) or "True", space)


def no_views(n: int) -> Callable[..., bool]:
    """Whether none of n arrays is a view of another."""
    return function(variables(n), " and ".join(f"v{k}.base is None" for k in range(n)) or "True", {})


def nested(pattern: Any) -> Callable[..., Any]:
    """The results, given one by one, in a nesting: a pattern with their numbers in the places of the arrays.

    >>> nested((0, {"W": 1, "c": 2}))(1.0, 2.0, 3.0)
    (1.0, {'W': 2.0, 'c': 3.0})
    >>> nested({"W": Assembled(complex, (1, 0))})(1.0, 2.0)
    {'W': (2+1j)}
    """
    keys = Keys()
    text = literal(pattern, keys)
    return function(variables(sum(1 for _ in leaves(pattern, "", keys))), text, keys.space)


def taken(pattern: Any) -> Callable[[Any], tuple[Any, ...] | None]:
    """The arrays of a nesting in the order of the results; None, or KeyError, where it is no such nesting of
    dicts, tuples and lists.

    >>> taken((0, {"c": 2, "W": 1}))((1.0, {"W": 2.0, "c": 3.0}))
    (1.0, 2.0, 3.0)
    """
    keys = Keys()
    places = dict(leaves(pattern, "o", keys))
    found = "".join(f"{places[n]}, " for n in range(len(places)))
    return function("o", f"({found}) if {' and '.join(forms(pattern, 'o', keys)) or 'True'} else None", keys.space)


# ---------------------------------------------------------------- texts


class Keys(dict[Hashable, str]):
    """The names of the keys of dicts, and of what makes results, given as they are asked for."""

    def __missing__(self, key: Hashable) -> str:
        name = self[key] = f"k{len(self)}"
        return name

    @property
    def space(self) -> dict[str, Hashable]:
        return {name: key for key, name in self.items()}


def literal(pattern: Any, keys: Keys) -> str:
    """The nesting as it is written."""
    match pattern:
        case dict():
            return f"{{{', '.join(f'{keys[key]}: {literal(inner, keys)}' for key, inner in pattern.items())}}}"
        case Assembled(make, parts):
            return f"{keys[make]}({', '.join(f'v{n}' for n in parts)})"
        case tuple():
            return f"({''.join(f'{literal(inner, keys)}, ' for inner in pattern)})"
        case list():
            return f"[{', '.join(literal(inner, keys) for inner in pattern)}]"
    return f"v{pattern}"


def branches(pattern: Any, at: str, keys: Keys) -> Iterator[tuple[Any, str]]:
    """What a dict, tuple or list holds, and how it is reached from `at`."""
    if isinstance(pattern, Mapping):
        yield from ((inner, f"{at}[{keys[key]}]") for key, inner in pattern.items())
    elif isinstance(pattern, tuple | list):
        yield from ((inner, f"{at}[{n}]") for n, inner in enumerate(pattern))


def leaves(pattern: Any, at: str, keys: Keys) -> Iterator[tuple[int, str]]:
    """The number of each result, and how its array is reached."""
    if isinstance(pattern, int):
        yield pattern, at
    elif isinstance(pattern, Assembled):
        yield from ((n, at) for n in pattern.parts)
    for inner, place in branches(pattern, at, keys):
        yield from leaves(inner, place, keys)


def forms(pattern: Any, at: str, keys: Keys) -> Iterator[str]:
    """Tests that there is a dict, tuple or list of the right size wherever there has to be one."""
    if not isinstance(pattern, int):
        yield f"type({at}) is {type(pattern).__name__} and len({at}) == {len(pattern)}"
    for inner, place in branches(pattern, at, keys):
        yield from forms(inner, place, keys)


def variables(n: int) -> str:
    return ", ".join(f"v{k}" for k in range(n))


def function(arguments: str, value: str, space: Mapping[str, Any]) -> Callable[..., Any]:
    """The function of our own text, in a namespace that holds what the text names."""
    found: Callable[..., Any] = eval(f"lambda {arguments}: {value}", dict(space))
    return found
