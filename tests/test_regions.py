"""regions: the same numbers in blocks, by any number of threads; what is done in blocks, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan import kernel, threads
from einstan.plan import regions
from einstan.plan.regions import Region

from .models import MODELS, Model, relative_error

EAGER = {"WORTH": 1e-9, "CALL": 0, "CALL_AT_ONCE": 0, "START": 0, "GAIN": 1e9, "BLOCK": 64, "CACHE": 0, "SMALL": 0}


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Everything that can be cut is cut, into blocks of some entries."""
    for name, value in {**EAGER, "ROWS": 1, "TERM": 1e-9}.items():
        monkeypatch.setattr(regions, name, value)
    return monkeypatch


def found(k: Any) -> tuple[Region, ...]:
    return k._state.last.plan.regions


def flat(result: Any) -> list[np.ndarray]:
    value, gradients = result
    return [value, *(gradients.values() if isinstance(gradients, dict) else [gradients])]


@pytest.mark.parametrize("number", (1, 2, 3))
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_models_give_the_same_numbers_in_blocks(model: Model, number: int, eager: pytest.MonkeyPatch) -> None:
    g = es.parse(model.text).value_and_grad(model.of, wrt=list(model.wrt))
    arrays = model.arrays()
    eager.setattr(kernel, "count", lambda: 1)
    eager.setattr(regions, "CACHE", 1e9)
    want = flat(g.compile(functions=model.functions)(**arrays))
    eager.setattr(regions, "CACHE", 0)
    eager.setattr(kernel, "count", lambda: number)
    k = g.compile(functions=model.functions)
    for _ in range(3):
        for a, b in zip(flat(k(**arrays)), want, strict=True):
            assert relative_error(a, b) < 1e-12


@pytest.mark.parametrize("back", (False, True), ids=("forth", "back"))
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_no_block_needs_what_another_overwrites(model: Model, back: bool, eager: pytest.MonkeyPatch) -> None:
    """Workers one after the other, in both orders: whatever two blocks share is found by one of them."""
    g = es.parse(model.text).value_and_grad(model.of, wrt=list(model.wrt))
    want = model.loss(np, model.arrays())
    ran = []

    def one_by_one(work: Callable[[int], None], number: int) -> None:
        for n in sorted(range(number), reverse=back):
            work(n)
            ran.append(n)

    eager.setattr(threads, "at_once", one_by_one)
    eager.setattr(kernel, "count", lambda: 4)
    k = g.compile(functions=model.functions)
    first, again = flat(k(**model.arrays())), flat(k(**model.arrays()))
    assert relative_error(first[0], want) < 1e-9 and all(map(np.array_equal, first, again))
    eager.setattr(threads, "at_once", lambda work, number: list(map(work, range(number))))
    assert all(relative_error(a, b) < 1e-12 for a, b in zip(flat(k(**model.arrays())), first, strict=True))
    assert bool(ran) == bool(found(k))
