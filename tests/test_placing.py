"""Nestings of results, and arrays that results are written into."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan import straight
from einstan.emit import born
from einstan.placing import apart, unpacked

NESTINGS: dict[str, Any] = {
    "one": lambda r: r[0],
    "names": lambda r: {"W": r[0], "c": r[1]},
    "value and names": lambda r: (r[0], {"W": r[1], "c": r[2]}),
    "value and one": lambda r: (r[0], r[1]),
    "blocks": lambda r: {"W": {"W": r[0], "c": r[1]}, "c": {"W": r[2], "c": r[3]}},
    "turned": lambda r: {"c": r[1], "W": (r[2], r[0])},
}
SIZES = {"one": 1, "names": 2, "value and names": 3, "value and one": 2, "blocks": 4, "turned": 3}


TAKERS: dict[str, Any] = {
    "any mappings and lists": unpacked,
    "dicts and tuples": lambda outs, pattern: straight.taken(pattern)(outs),
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("name", NESTINGS)
def test_arrays_come_out_of_a_nesting_as_results_went_in(name: str, taker: str) -> None:
    pattern = NESTINGS[name](list(range(SIZES[name])))
    results = [np.array(n) for n in range(SIZES[name])]
    outs = straight.nested(pattern)(*results)
    assert str(outs) == str(NESTINGS[name](results))
    found = TAKERS[taker](outs, pattern)
    assert len(found) == len(results)
    assert all(a is b for a, b in zip(found, results, strict=True))


OTHER_FORMS = {
    "a list": [0.0, {"W": 1.0, "c": 2.0}],
    "too few": (0.0,),
    "too many": (0.0, {"W": 1.0, "c": 2.0}, 3.0),
    "another name": (0.0, {"W": 1.0, "b": 2.0}),
    "a name too many": (0.0, {"W": 1.0, "c": 2.0, "b": 3.0}),
    "a mapping": (0.0, MappingProxyType({"W": 1.0, "c": 2.0})),
    "an array": np.zeros(2),
    "nothing": None,
}


@pytest.mark.parametrize("name", OTHER_FORMS)
def test_a_nesting_of_another_form_is_not_taken(name: str) -> None:
    try:
        found = straight.taken((0, {"W": 1, "c": 2}))(OTHER_FORMS[name])
    except KeyError:
        found = None
    assert found is None


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


def test_results_are_computed_only_where_nobody_else_looks() -> None:
    """Places that own their memory are taken without a closer look; with any doubt that is taken."""
    k = es.parse("Y = A[I,J] A[I,J]\nZ[i] = A[i,J] b[J]").compile(["Y", "Z"])
    base = np.ones((3, 4))
    a, b, y, z = base.copy(), np.ones(4), np.empty(()), np.empty(3)
    k(A=a, b=b)
    bound = k._state.bound
    assert bound is not None
    locked = np.empty(3)
    locked.flags.writeable = False
    given: list[tuple[str, Any, Any, bool]] = [
        ("own", {"Y": y, "Z": z}, (a, b), True),
        ("one input twice", {"Y": y, "Z": z}, (a, a), True),
        ("an input that is a view", {"Y": y, "Z": z}, (base[:], b), False),
        ("a place that is an input", {"Y": y, "Z": z}, (a, z), False),
        ("a place that is a view", {"Y": y, "Z": np.empty(6)[:3]}, (a, b), False),
        ("a place that lies apart", {"Y": y, "Z": np.empty(6)[::2]}, (a, b), False),
        ("a place of another size", {"Y": y, "Z": np.empty(4)}, (a, b), False),
        ("a place of another dtype", {"Y": y, "Z": np.empty(3, "float32")}, (a, b), False),
        ("a place that is read-only", {"Y": y, "Z": locked}, (a, b), False),
        ("a list", {"Y": y, "Z": [0.0, 0.0, 0.0]}, (a, b), False),
    ]
    for name, outs, values, want in given:
        assert (bound.places(outs, values) is not None) is want, name
    same = es.parse("Y = A[I,J] A[I,J]\nZ = A[I,J] B[I,J]").compile(["Y", "Z"])
    same(A=a, B=base)
    assert same._state.bound is not None
    assert same._state.bound.places({"Y": y, "Z": y}, (a, base)) is None
