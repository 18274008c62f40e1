"""regions: the same numbers in blocks, by any number of threads; what is done in blocks, and what is not."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan import kernel, threads
from einstan.plan import regions
from einstan.plan.regions import Region

from . import random_checks
from .models import Model, every_model, relative_error

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


@pytest.mark.parametrize(
    "number", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow), 3]
)
@every_model
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


@pytest.mark.parametrize("back", [False, True], ids=["forth", "back"])
@every_model
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


@pytest.mark.parametrize("seed", [121, 139, 235, *range(1000, 1020)])
def test_random_programs_give_the_same_numbers_in_blocks(seed: int, eager: pytest.MonkeyPatch) -> None:
    eager.setattr(kernel, "count", lambda: 3)
    eager.setattr(threads, "at_once", lambda work, number: [work(n) for n in range(number)])
    assert random_checks.failures(seed, 2, [random_checks.check_values, random_checks.check_gradients]) == []


def test_a_view_of_a_view_comes_after_it(eager: pytest.MonkeyPatch) -> None:
    """A product of an array and its transpose: one operand is seen through the other."""
    eager.setattr(kernel, "count", lambda: 2)
    g = es.parse("y[k] = A[I,J] exp(B[I,J,k])\ns = y[K] y[K]").hessian("s", wrt=["A", "B"])
    arrays = {"A": np.full((1, 2), 0.5), "B": np.linspace(0, 1, 6).reshape(1, 2, 3)}
    e = np.exp(arrays["B"])
    np.testing.assert_allclose(g.compile()(arrays)["A"]["A"], 2 * np.einsum("ijk,mnk->ijmn", e, e), rtol=1e-14)


# ---------------------------------------------------------------- what is done in blocks


LAYER_NORM = """
    U[b,k] = x[b,k] - mean[k](x[b,k])
    Y[b,k] = g[k] U[b,k] / sqrt(mean[k](U[b,k]^2) + 1e-5) + c[k]
    L = (Y[B,K] - T[B,K]) (Y[B,K] - T[B,K])
"""
ATTENTION = """
    P[b,n,m] = softmax[m](q[b,n,D] k[b,m,D])
    R[b,n,d] = P[b,n,M] v[b,M,d]
    L = R[B,N,D] R[B,N,D]
"""
NET = "Y[b,j] = tanh(X[b,K] W[K,j] + c[j])\nL = Y[B,J] Y[B,J]"
CHAIN = "y[i] = exp(sin(x[i]) cos(x[i])) + x[i]"


@dataclass(frozen=True)
class Case:
    """A loss, or an array, at some sizes: how many workers do how much of it in blocks."""

    text: str
    of: str
    wrt: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    threads: int
    workers: tuple[int, ...]  # of the regions
    least: float  # of all bytes moved, the part in regions


CASES = {
    "layer norm": Case(
        LAYER_NORM, "L", ("x", "g", "c"), {"x": (256, 1024), "g": (1024,), "c": (1024,), "T": (256, 1024)}, 2, (2,), 0.9
    ),
    "layer norm, one thread": Case(
        LAYER_NORM, "L", ("x", "g", "c"), {"x": (256, 1024), "g": (1024,), "c": (1024,), "T": (256, 1024)}, 1, (), 0
    ),
    "layer norm, small": Case(
        LAYER_NORM, "L", ("x", "g", "c"), {"x": (16, 64), "g": (64,), "c": (64,), "T": (16, 64)}, 2, (), 0
    ),
    "attention": Case(
        ATTENTION, "L", ("q", "k", "v"), {"q": (8, 128, 64), "k": (8, 128, 64), "v": (8, 128, 64)}, 2, (2,), 0.9
    ),
    "a net is left to a BLAS": Case(NET, "L", ("W", "c"), {"X": (128, 784), "W": (784, 512), "c": (512,)}, 2, (), 0),
    "in cache by one thread": Case(CHAIN, "y", (), {"x": (1 << 21,)}, 1, (1,), 0.9),
    "by four threads": Case(CHAIN, "y", (), {"x": (1 << 21,)}, 4, (4,), 0.9),
    "along the second axis": Case(CHAIN.replace("[i]", "[b,i]"), "y", (), {"x": (5, 400_000)}, 4, (4,), 0.9),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_worth_it_is_done_in_blocks(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape) for name, shape in case.shapes.items()}
    p = es.parse(case.text)
    monkeypatch.setattr(kernel, "count", lambda: case.threads)
    k = p.value_and_grad(case.of, wrt=list(case.wrt)).compile() if case.wrt else p.compile(case.of)
    k(**arrays)
    assert tuple(r.blocks.workers for r in found(k)) == case.workers
    inside = sum(step.bytes for r in found(k) for step in k.steps[r.first : r.last] if not step.is_view)
    assert inside >= case.least * k.cost.bytes
    assert bool(case.workers) == (inside > 0)


def test_what_lives_in_a_block_takes_the_memory_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal(1 << 21)
    peaks = {}
    for cache in (1 << 22, 1 << 40):
        monkeypatch.setattr(regions, "CACHE", cache)
        monkeypatch.setattr(kernel, "count", lambda: 1)
        k = es.parse(CHAIN).compile("y")
        k(x=x)
        peaks[cache] = k.cost.peak_bytes - x.nbytes  # beside the result
    assert peaks[1 << 22] * 4 < peaks[1 << 40]


def test_the_source_runs_without_einstan(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((64, 4096))
    monkeypatch.setattr(kernel, "count", lambda: 2)
    k = es.parse("y[b,i] = exp(sin(x[b,i]) cos(x[b,i])) + x[b,i]\ns = y[B,I] y[B,I]").compile(["y", "s"])
    want = k(x=x)
    assert found(k)
    monkeypatch.setitem(sys.modules, "einstan.threads", None)
    space: dict[str, Any] = {}
    exec(k.source, space)
    got = space["kernel"](x)
    assert np.array_equal(got[0], want["y"]) and np.allclose(got[1], want["s"], rtol=1e-12)


def test_kernels_with_regions_run_in_many_threads(eager: pytest.MonkeyPatch) -> None:
    eager.setattr(kernel, "count", lambda: 3)
    k = es.parse(LAYER_NORM).value_and_grad("L", wrt=["x", "g", "c"]).compile()
    rng = np.random.default_rng(0)
    data = [
        {"x": rng.standard_normal((9, 8)), "g": rng.standard_normal(8), "c": np.ones(8), "T": np.ones((9, 8))}
        for _ in range(8)
    ]
    want = [flat(k(**arrays)) for arrays in data]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: flat(k(**data[n % 8])), range(400)))
    assert found(k)
    assert all(np.allclose(a, b, rtol=1e-12) for n, g in enumerate(got) for a, b in zip(g, want[n % 8], strict=True))


# ---------------------------------------------------------------- threads


def test_every_block_is_called_once_with_its_rows() -> None:
    x, total, scratch = np.arange(22.0).reshape(2, 11), np.empty((4, 2)), np.zeros((3, 2, 3))

    def block(x: Any, whole: Any, own: Any, term: Any) -> None:
        assert whole is total and own.shape == x.shape
        np.copyto(own, x)
        np.add.reduce(own, axis=1, out=term)

    threads.blockwise(block, (11, 4, 3), [(x, 1)], [total], [(scratch, 1)], [total])
    assert np.array_equal(total.sum(0), x.sum(1))


def test_an_error_in_a_worker_reaches_the_caller_after_all_have_ended() -> None:
    ended = []

    def work(n: int) -> None:
        if n == 1:
            raise MemoryError
        time.sleep(0.01)
        ended.append(n)

    with pytest.raises(MemoryError):
        threads.at_once(work, 3)
    assert sorted(ended) == [0, 2]
    threads.at_once(ended.append, 3)
    assert len(ended) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_has_workers_of_its_own() -> None:
    threads.at_once(lambda n: None, 2)
    context = multiprocessing.get_context("fork")
    ended = context.Queue()
    child = context.Process(target=lambda: (threads.at_once(lambda n: None, 3), ended.put(True)))
    child.start()
    assert ended.get(timeout=30)
    child.join(30)


def test_a_worker_that_could_not_be_started_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = threads.Workers()
    monkeypatch.setattr(threads, "WORKERS", workers)
    with monkeypatch.context() as patch:
        patch.setattr(threads.threading, "Thread", lambda **given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            threads.at_once(lambda n: None, 2)
    assert workers.number == 0
    threads.at_once(lambda n: None, 2)
    assert workers.number == 1


def test_a_source_runs_where_no_blas_can_be_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "find_spec", lambda name: None)
    threads.libraries.cache_clear()
    try:
        with threads.one_thread_each():
            assert threads.LIMIT.before == []
    finally:
        threads.libraries.cache_clear()


def test_a_blas_has_its_threads_back() -> None:
    before = [library.num_threads for library in threads.libraries()]
    with threads.one_thread_each(), threads.one_thread_each():
        assert all(library.num_threads == 1 for library in threads.libraries())
    assert [library.num_threads for library in threads.libraries()] == before


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", "٣"])
def test_a_setting_that_is_no_number_of_threads(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EINSTAN_NUM_THREADS", given)
    with pytest.raises(es.EinstanError, match="no number of threads"):
        threads.asked()


def test_one_thread_where_a_blas_cannot_be_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EINSTAN_NUM_THREADS", "3")
    assert threads.asked() == 3
    monkeypatch.setattr(threads, "find_spec", lambda name: None)
    assert threads.count() == 1
