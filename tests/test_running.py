"""running: results that anybody can still see are never written again."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.running import COUNTS_REFERENCES

rng = np.random.default_rng(0)
A, B = rng.random((2, 300, 300))  # results are large enough to be used again
PRODUCT = es.parse("C[i,k] = A[i,J] B[J,k]").compile("C")
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "a kernel": lambda a, b: PRODUCT(A=a, B=b),
    "einsum": lambda a, b: es.einsum("ij,jk->ik", a, b),
}
HOLDERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {  # what is kept of it, and it read again
    "itself": (lambda x: [x], lambda held: held[0]),
    "a view": (lambda x: x[:, 1:], lambda held: held),
    "a subclass": (lambda x: x.view(np.matrix), np.asarray),
    "a memoryview": (memoryview, np.asarray),
    "a buffer": (lambda x: np.frombuffer(x), lambda held: held),
    "an array of C": (np.ctypeslib.as_ctypes, np.ctypeslib.as_array),
    "a capsule": (np.from_dlpack, lambda held: held),
    "an iterator": (lambda x: x.flat, lambda held: held[:]),
    "a weak reference": (weakref.ref, lambda held: held()),
    "a weak dictionary": (lambda x: weakref.WeakValueDictionary({1: x}), lambda held: held.get(1)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", HOLDERS)
def test_what_is_held_of_a_result_stays(call: str, name: str) -> None:
    hold, read = HOLDERS[name]
    for _ in range(3):  # the arrays that are used again exist
        result = CALLS[call](A, B)
    held = hold(result)
    found = read(held)
    before = None if found is None else found.copy()
    del result, found
    for n in range(5):
        CALLS[call](A, n * B)
    after = read(held)
    assert after is None or np.array_equal(after, before)


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="nobody knows who holds an array")
@pytest.mark.parametrize("call", CALLS)
def test_results_are_used_again_and_are_as_new(call: str) -> None:
    """The memory of a result that is gone; not if it was made read-only."""
    places = set()
    for n in range(12):
        result = CALLS[call](A, B)
        assert (result.shape, result.dtype, result.flags.writeable) == ((300, 300), np.dtype(float), True)
        assert np.allclose(result, A @ B)
        places.add(result.ctypes.data)
        result.flags.writeable = n % 4 < 3
    assert len(places) < 12
