"""methods: every name, path and function after `optimize=` gives a whole order, the same one each time, or an error."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import opt_einsum
import pytest

import einstan as es
from einstan.dims import Dim
from einstan.errors import EinstanError, MissingBackendError
from einstan.ir import einsum, input_
from einstan.memory import read_bytes
from einstan.order import along
from einstan.orders import methods
from einstan.orders.deadline import OutOfTime, within
from einstan.orders.methods import METHODS, Order, check_path, installed, linear, linear_path, pairwise, search, settled
from einstan.orders.network import Network
from einstan.orders.refine import refined
from einstan.testing import evaluate

ROOT = Path(__file__).parent.parent
Problem = tuple[list[tuple[int, ...]], tuple[int, ...], dict[int, int]]


def chain(n: int, seed: int = 0) -> Problem:
    r = random.Random(seed)
    return [(k, k + 1) for k in range(n)], (0, n), {k: r.randint(2, 60) for k in range(n + 1)}


def lattice(rows: int, columns: int) -> Problem:
    terms: list[list[int]] = [[] for _ in range(rows * columns)]
    edges = [(k, k + 1) for k in range(rows * columns) if (k + 1) % columns]
    edges += [(k, k + columns) for k in range((rows - 1) * columns)]
    for label, ends in enumerate(edges):
        for end in ends:
            terms[end].append(label)
    return list(map(tuple, terms)), (), dict.fromkeys(range(len(edges)), 2)


NETWORKS: dict[str, Problem] = {
    "one operand": ([(0, 1)], (1,), {0: 2, 1: 3}),
    "two": ([(0, 1), (1, 2)], (0, 2), {0: 2, 1: 3, 2: 5}),
    "chain": (chain(7)[0], (0, 7), dict(enumerate([3, 4, 2, 5, 2, 3, 4, 2]))),
    "hyperedge": ([(0, 1), (0, 2), (0, 3), (0,), (1, 2)], (3,), {0: 3, 1: 2, 2: 5, 3: 2}),
    "batch": ([(0, 1, 2), (0, 2, 3), (0, 2)], (0, 1, 3), {0: 3, 1: 2, 2: 5, 3: 7}),
    "two parts and a scalar": ([(0, 1), (1,), (2,), (2, 3), ()], (0, 3), {0: 2, 1: 3, 2: 5, 3: 7}),
    "empty axis": ([(0, 1), (1, 2), (2, 0)], (), {0: 2, 1: 0, 2: 3}),
    "lattice": lattice(2, 3),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", installed())
def test_every_method_orders_every_network(method: str, name: str) -> None:
    terms, out, sizes = NETWORKS[name]
    random.seed(1)
    state = random.getstate()
    path = search(terms, out, sizes, method)
    assert random.getstate() == state
    assert path == search(terms, out, sizes, method)
    if len(terms) > 1:
        assert list(map(set, pairwise(linear(path, len(terms)), len(terms)))) == list(map(set, path))
    rng = np.random.default_rng(0)
    arrays = {f"A{k}": rng.standard_normal([sizes[x] for x in own]) for k, own in enumerate(terms)}
    leaves = [input_(f"A{k}", tuple(Dim.of(sizes[x]) for x in own)) for k, own in enumerate(terms)]
    got, want = evaluate([along(path, leaves, terms, out), einsum(leaves, terms, out)], arrays, {})
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_linear_paths_are_those_of_opt_einsum(name: str) -> None:
    terms, out, sizes = NETWORKS[name]
    at_least_one = {label: max(1, d) for label, d in sizes.items()}
    for method in ("greedy", "dp", "optimal", "branch-1"):
        want = opt_einsum.paths.get_path_fn(method)(list(map(frozenset, terms)), frozenset(out), at_least_one)
        if len(terms) > 1:
            assert linear_path(terms, out, sizes, method) == [tuple(sorted(step)) for step in want]


def test_naive_goes_from_left_to_right() -> None:
    assert search(*chain(4), "naive") == [(0, 1), (2, 4), (3, 5)]
    assert linear_path(*chain(4), "naive") == [(0, 1), (0, 2), (0, 1)]


def best_chain(sizes: dict[int, int]) -> int:
    """The flops of the best bracketing of a matrix chain."""
    n = len(sizes) - 1
    best = [[0] * n for _ in range(n)]
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            best[i][j] = min(
                best[i][k] + best[k + 1][j] + 2 * sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)
            )
    return best[0][n - 1]


def flops(problem: Problem, path: list[tuple[int, int]]) -> int:
    network = Network(*problem)
    labels, below, total = list(network.labels), [1 << k for k in range(len(network.labels))], 0
    for a, b in path:
        below.append(below[a] | below[b])
        labels.append(network.kept(labels[a], labels[b], below[-1]))
        every = labels[a] | labels[b]
        total += network.volume(every) * (1 if every == labels[-1] else 2)
    return total


@pytest.mark.parametrize(("n", "worst"), [(20, 1.02), (60, 1.02), (150, 1.2)])
def test_auto_brackets_long_chains_well(n: int, worst: float) -> None:
    problem = chain(n, 3)
    assert flops(problem, search(*problem)) <= worst * best_chain(problem[2])


@pytest.mark.parametrize("seed", range(12))
def test_refining_costs_no_more(seed: int) -> None:
    r = random.Random(seed)
    problem = lattice(r.randint(3, 5), r.randint(3, 6)) if seed % 2 else chain(r.randint(9, 40), seed)
    network, n = Network(*problem), len(problem[0])
    live, path = list(range(n)), []
    for made in range(n, 2 * n - 1):
        pair = tuple(live.pop(r.randrange(len(live))) for _ in range(2))
        live.append(made)
        path.append(pair)
    better = refined(network, path, 50_000)
    check_path(linear(better, n), n)
    assert network.total(better) < network.total(path)
    assert flops(problem, better) <= flops(problem, path)


def test_auto_keeps_within_the_limit_where_there_is_a_way() -> None:
    """((a b) c) d is cheapest and makes 2 x 30 entries, a ((b c) d) at most 5 x 10."""
    problem = [(0, 1), (1, 2), (2, 3), (3, 4)], (), {0: 2, 1: 5, 2: 30, 3: 10, 4: 10}
    assert largest(problem, search(*problem)) == 60
    assert largest(problem, search(*problem, memory_limit=59)) == 50


def largest(problem: Problem, path: list[tuple[int, int]]) -> int:
    """The entries of the largest intermediate."""
    network = Network(*problem)
    labels, below = list(network.labels), [1 << k for k in range(len(network.labels))]
    for a, b in path[:-1]:
        below.append(below[a] | below[b])
        labels.append(network.kept(labels[a], labels[b], below[-1]))
    return max(network.volume(m) for m in labels[len(network.labels) :])


# ---------------------------------------------------------------- paths and functions that are given


def test_a_path_may_have_steps_of_one_and_of_many() -> None:
    assert pairwise([(0, 1, 2), (0, 1)], 4) == [(0, 1), (4, 2), (3, 5)]
    assert pairwise([(1,), (0, 1)], 2) == [(0, 1)]
    assert settled(["einsum_path", (0, 1), [np.int64(0), 1]]) == ((0, 1), (0, 1))


WRONG_PATHS = [
    ([(0, 1)], 3, "leaves 2 operands of 3"),
    ([(0, 3), (0, 1)], 3, r"takes \(0, 3\) of 3 operands"),
    ([(0, 0), (0, 1)], 3, r"takes \(0, 0\)"),
    ([(-1, 0), (0, 1)], 3, r"takes \(-1, 0\)"),
    ([(), (0, 1)], 2, r"takes \(\) of 2"),
    ([(0, 1), (0, 1)], 2, r"takes \(0, 1\) of 1"),
]


@pytest.mark.parametrize(("path", "n", "message"), WRONG_PATHS)
def test_wrong_paths_are_refused(path: list[tuple[int, ...]], n: int, message: str) -> None:
    with pytest.raises(EinstanError, match=message):
        search([(k,) for k in range(n)], (), dict.fromkeys(range(n), 2), path)


@pytest.mark.parametrize("value", [None, True, 3, 1.5, [(0, "1")], ["auto"], [(0, True)], [0, 1], object()])
def test_what_is_no_order_is_refused_at_once(value: Any) -> None:
    with pytest.raises(EinstanError, match="no order of multiplication"):
        es.parse("y = a[I] b[I] c[I]").compile("y", optimize=value)


def test_an_unknown_name_is_refused_at_once() -> None:
    with pytest.raises(EinstanError, match="no order of multiplication called 'fastest'"):
        es.parse("y = a[I] b[I]").compile("y", optimize="fastest")


@pytest.mark.parametrize("name", ["cotengra", "cotengrust"])
def test_what_is_not_installed_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "find_spec", lambda name: None)
    assert name not in installed()
    with pytest.raises(MissingBackendError, match=f"pip install {name}"):
        es.parse("y = a[I] b[I] c[I]").compile("y", optimize=name)


def test_functions_and_optimizers_of_opt_einsum_are_methods() -> None:
    seen = []

    def last_two(inputs: Any, output: Any, sizes: Any, memory_limit: Any) -> Any:
        seen.append((len(inputs), sorted(sizes.values()), memory_limit))
        return [(k - 1, k) for k in range(len(inputs) - 1, 0, -1)]

    problem = chain(5)
    assert search(*problem, last_two, 7) == [(3, 4), (2, 5), (1, 6), (0, 7)]
    assert seen == [(5, sorted(problem[2].values()), 7)]
    best = search(*problem, opt_einsum.DynamicProgramming(minimize="flops"))
    assert flops(problem, best) == best_chain(problem[2])


# ---------------------------------------------------------------- searches end


def test_a_search_that_does_not_end_is_ended() -> None:
    with pytest.raises(EinstanError, match=r"optimal did not finish within 0\.\d s \(40 operands\)"):
        search(*chain(40), Order("optimal", until=monotonic() + 0.3))
    for thread in threading.enumerate():
        if thread.name == "einstan search":
            thread.join(30)
            assert not thread.is_alive()


def test_within_gives_results_and_errors() -> None:
    assert within(60, lambda: 3) == 3
    with pytest.raises(KeyError):
        within(60, lambda: {}["x"])

    def forever() -> None:
        while True:
            pass

    with pytest.raises(OutOfTime):
        within(0.05, forever)


class Restless:
    """What is raised in a finalizer is lost."""

    def __del__(self) -> None:
        sum(range(1000))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_search_whose_exception_is_swallowed_ends() -> None:
    ended = []

    def forever() -> None:
        try:
            while True:
                Restless()
                sum(range(1000))
        finally:
            ended.append(True)

    with pytest.raises(OutOfTime):
        within(0.05, forever)
    assert ended


def test_an_interrupt_ends_the_search_too() -> None:
    """In a process of its own, which is sent the signal once the search runs."""
    code = """
import os, signal, threading, time
from einstan.orders.deadline import within
started = threading.Event()
def forever():
    started.set()
    while True:
        pass
def interrupt():
    started.wait()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    within(60, forever)
except KeyboardInterrupt:
    time.sleep(0.2)
    print([thread.name for thread in threading.enumerate()])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT)
    assert done.stdout == "['MainThread']\n"


def test_a_search_that_is_too_deep_says_so() -> None:
    with pytest.raises(EinstanError, match="too deep for Python"):
        search(*chain(1500), Order("optimal", until=monotonic() + 60))


# ---------------------------------------------------------------- compile


TRACE = es.parse("L = A[I,J] B[J,K] C[K,I]")
SIZES = {"i": 2, "j": 30, "k": 5}
FIRST = {  # the path -> what the first product makes, and from what
    ((0, 1), (0, 1)): "[i,k] = {A}[i,J] {B}[J,k]",
    ((0, 2), (0, 1)): "[j,k] = {A}[I,j] {C}[k,I]",
    ((1, 2), (0, 1)): "[j,i] = {B}[j,K] {C}[K,i]",
}


@pytest.mark.parametrize("path", FIRST)
def test_a_kernel_takes_a_path_of_its_one_contraction(path: Any) -> None:
    k = TRACE.compile("L", optimize=list(path), sizes=SIZES)
    rng = np.random.default_rng(0)
    arrays = {"A": rng.random((2, 30)), "B": rng.random((30, 5)), "C": rng.random((5, 2))}
    assert k(**arrays) == pytest.approx(np.trace(arrays["A"] @ arrays["B"] @ arrays["C"]))
    names = {name: f"v{v.number}" for name, v in k._state.last.plan.inputs.items()}
    step = next(s for s in k.steps if not s.is_view)
    assert step.formula.partition(" ")[0].partition("[")[2] == FIRST[path].partition(" ")[0][1:]
    assert {a for a in names.values() if a in step.formula} == {names[x] for x in "ABC" if "{" + x + "}" in FIRST[path]}
    again = pickle.loads(pickle.dumps(k))
    assert again(**arrays) == k(**arrays)


def test_gradients_go_through_the_given_tree() -> None:
    rng = np.random.default_rng(0)
    arrays = {"A": rng.random((2, 30)), "B": rng.random((30, 5)), "C": rng.random((5, 2))}
    wanted = TRACE.grad("L", wrt=["A", "B", "C"]).compile()(**arrays)
    for path in FIRST:
        got = TRACE.grad("L", wrt=["A", "B", "C"]).compile(optimize=path)(**arrays)
        for name, g in got.items():
            np.testing.assert_allclose(g, wanted[name], rtol=1e-12)


NOT_ONE = [
    ("y = a + b", "there is none"),
    ("y = tanh(a[I]) b[I] c[I]", "not inputs that stand there once"),
    ("y = a[I] a[J] b[I,J]", "not inputs that stand there once"),
    ("y = tanh(a[I] b[I]) (c[J] d[J])", "there are 2"),
]


@pytest.mark.parametrize(("text", "message"), NOT_ONE)
def test_a_path_is_for_one_contraction(text: str, message: str) -> None:
    with pytest.raises(EinstanError, match=message):
        es.parse(text).compile("y", optimize=[(0, 1), (0, 1)])


# ---------------------------------------------------------------- limits and sizes

LIMITS = [
    (None, None),
    (1000, 1000),
    (1e3, 1000),
    (np.int64(5), 5),
    ("1000", 1000),
    ("1GB", 10**9),
    ("1.5 GB", 1_500_000_000),
    ("2 KiB", 2048),
    ("500k", 500_000),
    (" 3 TiB ", 3 * 1024**4),
    ("7b", 7),
]


@pytest.mark.parametrize(("given", "nbytes"), LIMITS)
def test_limits_of_memory_are_read(given: Any, nbytes: int | None) -> None:
    assert read_bytes(given) == nbytes


@pytest.mark.parametrize(
    "given", ["", "GB", "-1", "1 XB", "1e9", "1 G B", -1, 1.5, True, [], float("nan"), float("inf")]
)
def test_what_is_no_limit_is_refused(given: Any) -> None:
    with pytest.raises(EinstanError, match="no limit of memory"):
        es.parse("y = a[I] b[I]").compile("y", memory_limit=given)


def test_a_limit_as_text_holds() -> None:
    k = es.parse("Y[i,j] = a[i] b[j]").compile("Y", memory_limit="1 kB")
    with pytest.raises(EinstanError, match="the limit is 1 kB"):
        k(a=np.ones(100), b=np.ones(100))


SIZES_GIVEN: list[tuple[dict[str, Any], str]] = [
    ({"q": 3}, "No axis has the letter q"),
    ({"i": "3"}, "'3' is no size"),
    ({"i": -1}, "-1 is no size"),
    ({"i": 2.0}, "2.0 is no size"),
    ({"i": True}, "True is no size"),
    ({"A": (3,)}, "A has 1 axes"),
    ({"A": (3, -4)}, "-4 is no size"),
    ({"Z": (3, 4)}, "No axis has the letter Z"),
]


@pytest.mark.parametrize(("sizes", "message"), SIZES_GIVEN)
def test_sizes_that_no_axis_has_are_refused_at_once(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(EinstanError, match=message):
        TRACE.compile("L", sizes=sizes)


def test_two_sizes_for_one_axis_are_refused() -> None:
    with pytest.raises(EinstanError, match="The index j has the size 4 in axis 2 of A"):
        _ = TRACE.compile("L", sizes={"A": (3, 4), "B": (5, 6)}).cost
    p = es.parse("y = [a[K], b[K]]_K c[K]")
    assert p.compile("y", sizes={"a": (3,), "b": (5,), "c": (8,)}).cost.flops == 16
    with pytest.raises(EinstanError, match="has the size 9, and the other inputs make it 8"):
        _ = p.compile("y", sizes={"a": (3,), "b": (5,), "c": (9,)}).cost


def test_every_method_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EinstanError, match="no order") as caught:
        search(*chain(3), "nothing")
    assert all(name in caught.value.repair for name in METHODS)
