"""large networks: orders of hundreds of operands near the known best, searches whose steps grow with the operands, and
the same numbers on every way from operands to arrays, with any number of labels."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import einstan as es
from benchmarks.networks import Network as Case
from benchmarks.networks import chain, graph, hyperedges, lattice, mps, regular
from einstan import ir
from einstan.orders import exact, greedy, methods
from einstan.orders.anneal import Tree, annealed
from einstan.orders.exact import cheapest
from einstan.orders.greedy import Front, greedy_orders
from einstan.orders.methods import check_path, linear, search
from einstan.orders.network import Network, Pairs
from einstan.orders.refine import refined


def tree(nodes: int) -> Case:
    """Each node hangs on one of the four before it; labels of 2 to 29."""
    rng = random.Random(1)
    drawn = graph(nodes, [(rng.randrange(max(0, k - 4), k), k) for k in range(1, nodes)], 2)
    return Case(drawn.terms, (), {label: rng.randrange(2, 30) for label in drawn.sizes})


def network_of(case: Case) -> Network:
    return Network(case.terms, case.out, case.sizes)


def flops(case: Case, path: Pairs) -> float:
    network, n = network_of(case), len(case.terms)
    labels = network.made(path)
    every = [labels[a] | labels[b] for a, b in path]
    return sum(network.volume(m) * (1 if m == left else 2) for m, left in zip(every, labels[n:], strict=True))


# ---------------------------------------------------------------- near the best


def best_chain(case: Case) -> float:
    """The flops of the best bracketing of a chain of matrices: the textbook's dynamic programme."""
    n, d = len(case.terms), case.sizes
    best = np.zeros((n + 1, n + 1))
    for length in range(2, n + 1):
        for a in range(n - length + 1):
            b = a + length
            middle = np.arange(a + 1, b)
            inner = 2.0 * d[a] * d[b] * np.array([d[m] for m in range(a + 1, b)])
            best[a, b] = (best[a, middle] + best[middle, b] + inner).min()
    return float(best[0, n])


@pytest.mark.parametrize(("factors", "worst"), [(10, 1.0), (40, 1.01), (100, 1.02), (300, 1.05)])
def test_chains_are_bracketed_near_the_best(factors: int, worst: float) -> None:
    case = chain(factors)
    assert best_chain(case) <= flops(case, search(case.terms, case.out, case.sizes)) <= worst * best_chain(case)


@pytest.mark.parametrize("sites", [10, 50, 200])
def test_products_of_states_go_from_site_to_site(sites: int) -> None:
    """One state's tensor, then the other's: each costs 2 · 2 · bond³, and the ends less."""
    bond = 16
    case = mps(sites, bond)
    assert flops(case, search(case.terms, case.out, case.sizes)) <= sites * 2 * 2 * 2 * bond**3


def best_row_sweep(n: int, bond: int) -> int:
    """A bound on a square lattice: node by node, with at most n + 1 labels open and one more summed."""
    return n * n * 2 * bond ** (n + 2)


@pytest.mark.parametrize(("n", "bond"), [(5, 3), (7, 2), (10, 2)])
def test_lattices_are_no_dearer_than_row_by_row(n: int, bond: int) -> None:
    case = lattice(n, n, bond)
    assert flops(case, search(case.terms, case.out, case.sizes)) <= best_row_sweep(n, bond)


def best_tree(case: Case) -> float:
    """The least cost of joining neighbours of a small network, by trying everything."""
    network = network_of(case)
    known: dict[tuple[tuple[int, int], ...], float] = {}

    def least(nodes: tuple[tuple[int, int], ...]) -> float:
        """`nodes` are sets of operands with their labels."""
        if len(nodes) == 1:
            return 0.0
        if nodes not in known:
            known[nodes] = min(
                network.cost(a, b, kept) + least(tuple(sorted({*nodes} - {(s, a), (t, b)} | {(s | t, kept)})))
                for k, (s, a) in enumerate(nodes)
                for t, b in nodes[k + 1 :]
                if a & b
                for kept in [network.kept(a, b, s | t)]
            )
        return known[nodes]

    return least(tuple((1 << k, own) for k, own in enumerate(network.labels)))


SMALL: list[Callable[[], Case]] = [
    *(lambda n=n: tree(n) for n in (7, 9)),
    *(lambda n=n: chain(n) for n in (7, 9)),
    lambda: lattice(2, 4, 3),
    lambda: regular(8, 3),
    lambda: mps(4, 5),
]


@pytest.mark.parametrize("make", SMALL)
def test_the_exact_search_finds_the_best(make: Callable[[], Case]) -> None:
    case = make()
    path = cheapest(network_of(case))
    assert path is not None
    assert network_of(case).total(path) == pytest.approx(best_tree(case), rel=1e-12)


def test_the_exact_search_says_where_nothing_is_cheaper() -> None:
    network = network_of(tree(12))
    path = cheapest(network)
    assert path is not None
    assert cheapest(network, network.total(path)) is None
    assert cheapest(network, network.total(path) * 1.001) == path
    assert cheapest(network, budget=50) is None


def test_what_does_not_hang_together_is_multiplied_last() -> None:
    terms = [*((k, k + 1) for k in range(5)), *((k, k + 1) for k in range(10, 15))]
    sizes = dict.fromkeys(range(16), 3)
    path = search(terms, (0, 5), sizes)
    check_path(linear(path, 10), 10)
    assert flops(Case(tuple(terms), (0, 5), sizes), path) <= 2 * 27 * 4 + 2 * 27 * 4 + 9 * 9


# ---------------------------------------------------------------- each pass keeps its law

LARGE: dict[str, Callable[[], Case]] = {
    "chain": lambda: chain(80),
    "tree": lambda: tree(60),
    "lattice": lambda: lattice(7, 7, 2),
    "regular": lambda: regular(60, 2),
    "hyperedges": lambda: hyperedges(40, 60),
}


@pytest.mark.parametrize("name", LARGE)
def test_annealing_and_refining_cost_no_more_and_are_the_same_again(name: str) -> None:
    case = LARGE[name]()
    network, n = network_of(case), len(case.terms)
    for start in greedy_orders(network, 2):
        check_path(linear(start, n), n)
        better = annealed(network, start, 3000)
        best = refined(network, better, 5000)
        for path in (better, best):
            check_path(linear(path, n), n)
        assert network.total(best) <= network.total(better) <= network.total(start)
        assert better == annealed(network_of(case), start, 3000)


@pytest.mark.parametrize("name", ["regular", "hyperedges"])
def test_annealing_finds_far_better_orders_where_greedy_ones_are_poor(name: str) -> None:
    case = LARGE[name]()
    network = network_of(case)
    start = next(greedy_orders(network, 0))
    assert network.total(annealed(network, start, 20_000)) < 0.5 * network.total(start)


def test_labels_of_an_annealed_tree_are_those_of_its_products() -> None:
    """A move knows the labels by what is beside and above, not by the operands below."""
    case = hyperedges(40, 60)
    network = network_of(case)
    path = next(greedy_orders(network, 0))
    moved, rng = Tree(network, path), random.Random(3)
    for _ in range(30):
        moved.sweep(1.0, rng)
    assert sum(moved.cost) == pytest.approx(network.total(moved.path()), rel=1e-9)


def test_extreme_sizes_have_orders() -> None:
    sizes = dict.fromkeys(range(41), 10**30)
    path = search([(k, k + 1) for k in range(40)], (0, 40), sizes)
    check_path(linear(path, 40), 40)
    clique = [tuple(range(k, 400, 20)) + tuple(range(400 + k, 420)) for k in range(20)]
    path = search(clique, (), dict.fromkeys(range(420), 5), memory_limit=10)
    check_path(linear(path, 20), 20)


# ---------------------------------------------------------------- steps grow with the operands


@pytest.mark.parametrize("make", [chain, tree, lambda n: mps(n // 2, 8), lambda n: regular(n, 2)])
def test_steps_grow_with_the_operands(make: Callable[[int], Case], monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs asked for, and pairs scored: as many for each operand of 1200 as of 300."""
    steps = [0]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            steps[0] += 1
            return function(*given)

        return call

    monkeypatch.setattr(Network, "cost", counted(Network.cost))
    monkeypatch.setattr(Front, "volumes", counted(Front.volumes))
    each = []
    for n in (300, 1200):
        case, steps[0] = make(n), 0
        search(case.terms, case.out, case.sizes)
        each.append(steps[0] / n)
    assert each[1] <= 1.3 * each[0]


def test_a_search_that_has_no_end_in_sight_ends() -> None:
    """Dense networks: each search is bounded, whatever it finds."""
    edges = [(a, b) for b in range(14) for a in range(b)]
    case = graph(14, edges, 2)
    network = network_of(case)
    assert cheapest(network) is None
    assert network.looked <= exact.BUDGET + 2 ** len(case.terms)
    front = Front(network)
    front.pairs()
    each, per_pair = greedy.PATIENCE
    assert front.patience == each * 14 + per_pair * len(edges)


# ---------------------------------------------------------------- numbers, with more than 52 labels

LABELS = 120


def factors(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 5, n + 1)
    return [rng.standard_normal(shape) / 2 for shape in pairwise(sizes)]


def interleaved(arrays: list[np.ndarray]) -> list[Any]:
    return [x for k, a in enumerate(arrays) for x in (a, (k, k + 1))]


def named(arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"A{k}": a for k, a in enumerate(arrays)}


def program(n: int) -> es.Program:
    inner = " ".join(f"A{k}[K{k},K{k + 1}]" for k in range(1, n - 1))
    return es.parse(f"M[i,j] = A0[i,K1] {inner} A{n - 1}[K{n - 1},j]\nL = M[I,J] M[I,J]")


def test_contract_takes_any_number_of_labels() -> None:
    arrays = factors(LABELS)
    want = reduce(np.matmul, arrays)
    ends = (0, LABELS)
    np.testing.assert_allclose(es.contract(*interleaved(arrays), ends), want, rtol=1e-9)
    path, _ = es.contract_path(*interleaved(arrays), ends)
    np.testing.assert_allclose(es.contract(*interleaved(arrays), ends, optimize=path), want, rtol=1e-9)
    letters = [chr(0x4E00 + k) for k in range(LABELS + 1)]
    text = ",".join(a + b for a, b in pairwise(letters)) + f"->{letters[0]}{letters[-1]}"
    np.testing.assert_allclose(es.contract(text, *arrays), want, rtol=1e-9)


def test_programs_and_gradients_take_any_number_of_labels() -> None:
    arrays = factors(LABELS)
    p, given = program(LABELS), named(arrays)
    m = reduce(np.matmul, arrays)
    np.testing.assert_allclose(p.run("M", **given), m, rtol=1e-9)
    got = p.grad("L", wrt=list(given)).compile()(given)
    left = [np.eye(m.shape[0])]  # the product of all factors before
    for a in arrays:
        left.append(left[-1] @ a)
    right = np.eye(m.shape[1])  # and behind
    for k in reversed(range(LABELS)):
        want = 2 * left[k].T @ m @ right.T
        np.testing.assert_allclose(got[f"A{k}"], want, rtol=1e-8, atol=1e-12 * abs(want).max())
        right = arrays[k] @ right


def test_numbers_of_a_network_are_those_of_any_order() -> None:
    case = regular(40, 2)
    arrays = case.arrays("float64")
    want = es.contract(*case.interleaved(arrays), optimize="greedy")
    np.testing.assert_allclose(es.contract(*case.interleaved(arrays)), want, rtol=1e-10)


@pytest.mark.parametrize("present", [True, False])
def test_auto_asks_no_other_library(present: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same order, whatever else is installed."""
    case = regular(30, 2)
    want = search(case.terms, case.out, case.sizes)

    def find(name: str) -> object | None:
        return object() if present else None

    def asked(*given: Any) -> Any:
        raise AssertionError("auto has asked another library")

    monkeypatch.setattr(methods, "find_spec", find)
    monkeypatch.setattr(methods, "by_library", asked)
    monkeypatch.setattr(methods, "paths", asked)
    assert search(case.terms, case.out, case.sizes) == want


def test_compiling_gradients_of_a_long_product_makes_nodes_as_many_as_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before sizes are known too: n flat derivatives of n factors each would be n² operands."""
    made = [0]
    original = ir.raw_einsum

    def counted(operands: Any, *rest: Any) -> Any:
        made[0] += len(operands)
        return original(operands, *rest)

    monkeypatch.setattr(ir, "raw_einsum", counted)
    each = []
    for n in (60, 240):
        p, made[0] = program(n), 0
        p.grad("L", wrt=[f"A{k}" for k in range(n)]).compile()
        each.append(made[0] / n)
    assert each[1] <= 1.3 * each[0]
