"""Nestings of results, and arrays that results are written into."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.emit import born
from einstan.placing import Nesting, apart

NESTINGS: dict[str, Any] = {
    "one": lambda r: r[0],
    "names": lambda r: {"W": r[0], "c": r[1]},
    "value and names": lambda r: (r[0], {"W": r[1], "c": r[2]}),
    "value and one": lambda r: (r[0], r[1]),
    "blocks": lambda r: {"W": {"W": r[0], "c": r[1]}, "c": {"W": r[2], "c": r[3]}},
    "turned": lambda r: {"c": r[1], "W": (r[2], r[0])},
}
SIZES = {"one": 1, "names": 2, "value and names": 3, "value and one": 2, "blocks": 4, "turned": 3}


@pytest.mark.parametrize("name", NESTINGS)
def test_unpack_undoes_pack(name: str) -> None:
    nesting = Nesting.of(NESTINGS[name], SIZES[name])
    results = [np.array(n) for n in range(SIZES[name])]
    found = nesting.unpack(nesting.pack(results))
    assert len(found) == len(results)
    assert all(a is b for a, b in zip(found, results, strict=True))


BUFFER = np.zeros(12)
OTHER = np.zeros(12)
APART = [
    ("arrays of their own", [np.zeros(3), np.zeros(3)], [np.zeros(3)], True),
    ("one array twice", [OTHER, OTHER], [], False),
    ("an input", [BUFFER], [BUFFER], False),
    ("a part of an input", [BUFFER[:3]], [BUFFER], False),
    ("an input's other half", [BUFFER[:6]], [BUFFER[6:]], True),
    ("halves of one buffer", [BUFFER[:6], BUFFER[6:]], [OTHER], True),
    ("overlapping parts", [BUFFER[:6], BUFFER[5:]], [OTHER], False),
    ("memory that no array owns", [np.frombuffer(bytearray(24))], [OTHER], True),
    ("one memory that no array owns", [np.frombuffer(memory := bytearray(24))], [np.frombuffer(memory)], False),
]


@pytest.mark.parametrize(("places", "values", "want"), [row[1:] for row in APART], ids=[row[0] for row in APART])
def test_apart(places: list[np.ndarray], values: list[np.ndarray], want: bool) -> None:
    assert apart(places, values) is want


def test_results_are_computed_where_they_are_wanted() -> None:
    """A product that makes its own array in a call writes into the given one in `into`, bit for bit the same."""
    k = es.parse("Y[i,j] = A[i,K] B[K,j]").compile("Y")
    rng = np.random.default_rng(0)
    a, b, out = rng.standard_normal((3, 4)), rng.standard_normal((4, 5)), np.empty((3, 5))
    want = k(A=a, B=b)
    assert k.into(out, A=a, B=b) is out
    bound = k._state.bound
    assert bound is not None
    assert born(bound.plan)
    assert bound.writing is not bound.functions
    assert np.array_equal(out, want)
    assert np.array_equal(k(A=a, B=b), want)
