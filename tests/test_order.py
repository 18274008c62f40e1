"""order: the values stay, the order is the best one where that can be known, and searching ends."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import numpy as np
import pytest

from einstan.derive import derive
from einstan.dims import Dim
from einstan.errors import EinstanError
from einstan.ir import Einsum, Node, einsum, input_, number, toposort
from einstan.order import associate, needs_nesting
from einstan.testing import evaluate

from .graphs import DIMS, ENV, SIZES, chain, planned, run


def flops(roots: list[Node]) -> int:
    total = 0
    for node in toposort(roots):
        if isinstance(node, Einsum) and len(node.operands) == 2:
            total += (2 if node.summed else 1) * int(np.prod([d.at(ENV) for d in node.dims.values()]))
    return total


def best_chain(sizes: list[int]) -> int:
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


def product(nodes: list[Node]) -> Node:
    return einsum(nodes, list(pairwise(range(len(nodes) + 1))), (0, len(nodes)))


def random_sizes(n: int, seed: int) -> list[int]:
    r = random.Random(seed)
    return [r.randint(5, 200) for _ in range(n + 1)]


@pytest.mark.parametrize("n", [3, 5, 8, 20, 60])
def test_chains_are_bracketed_in_the_best_way(n: int) -> None:
    sizes = random_sizes(n, n)
    assert flops(associate([product(chain(sizes))], {})) <= 1.02 * best_chain(sizes)


def test_gradients_in_all_of_100_factors_cost_three_products() -> None:
    sizes = [1, *random_sizes(99, 1)[:-1], 1]
    factors = chain(sizes)
    value = einsum(factors, list(pairwise(range(101))), (0, 100))
    scalar = einsum([value], [(0, 1)], ())
    (tree,) = associate([scalar], {})
    roots = [tree, *derive(tree, number(1), factors)]
    cost = planned(roots, {f"A{n}": np.empty((sizes[n], sizes[n + 1])) for n in range(100)}, {}).flops
    assert cost <= 3.2 * best_chain(sizes)


def network(seed: int) -> tuple[Node, dict[str, np.ndarray]]:
    """A product of three to eight operands with hyperedges, repeated, batch and lonely labels, disconnected parts."""
    r = random.Random(seed)
    operands, labels, arrays = [], [], {}
    letters = {k: r.choice(SIZES[:3]) for k in range(6)}
    for n in range(r.randint(3, 8)):
        own = [r.randrange(6) for _ in range(r.randint(0, 3))]
        operands.append(input_(f"A{n}", tuple(DIMS[letters[x]] for x in own)))
        labels.append(own)
        arrays[f"A{n}"] = np.random.default_rng(seed + n).standard_normal([letters[x] for x in own])
    used = sorted({x for own in labels for x in own})
    return einsum(operands, labels, [x for x in used if r.random() < 0.4]), arrays


@pytest.mark.parametrize("optimize", ["auto", "greedy", "dp", "optimal", "random-greedy", "branch-2"])
def test_values_stay_and_every_product_is_binary(optimize: str) -> None:
    for seed in range(40):
        e, arrays = network(seed)
        (tree,) = associate([e], ENV, optimize)
        assert not any(isinstance(n, Einsum) and needs_nesting(n) for n in toposort([tree]))
        np.testing.assert_allclose(
            evaluate([tree], arrays, ENV)[0], evaluate([e], arrays, ENV)[0], rtol=1e-9, atol=1e-9
        )
        np.testing.assert_allclose(run([e], arrays)[0], evaluate([e], arrays, ENV)[0], rtol=1e-9, atol=1e-9)


def test_a_large_intermediate_is_avoided() -> None:
    """opt_einsum's `auto` makes bgkd of bgk,bkd,bk->bgd."""
    b, g, k, d = (Dim.of(n) for n in (8, 16, 32, 64))
    e = einsum([input_("P", (b, g, k)), input_("Q", (b, k, d)), input_("R", (b, k))], ["bgk", "bkd", "bk"], "bgd")
    (tree,) = associate([e], {})
    assert max(n.rank for n in toposort([tree])) == 3


def test_a_thousand_operands_in_seconds() -> None:
    nodes = chain(random_sizes(1000, 3))
    start = time.process_time()
    (tree,) = associate([product(nodes)], {})
    assert time.process_time() - start < 20
    assert sum(isinstance(n, Einsum) for n in toposort([tree])) == 999


def test_many_labels_on_a_hub_end() -> None:
    """A star of 60 vectors around a scalar label: dynamic programming gives up within its budget."""
    hub = [input_(f"v{n}", (Dim.of(3), Dim.of(2))) for n in range(60)]
    e = einsum(hub, [(0, n + 1) for n in range(60)], ())
    start = time.process_time()
    associate([e], {})
    assert time.process_time() - start < 20


def test_the_random_state_is_not_touched() -> None:
    random.seed(1)
    state = random.getstate()
    associate([product(chain(random_sizes(40, 1)))], {}, "random-greedy")
    assert random.getstate() == state


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(EinstanError, match="no order of multiplication called 'fastest'"):
        associate([product(chain([2, 3, 4, 5]))], {}, "fastest")


def test_shared_steps_are_made_once() -> None:
    """The pull-backs of a chain go through the same tree: one new product for each side of each step."""
    factors = chain([4, 30, 30, 30, 4])
    (tree,) = associate([product(factors)], {})
    scalar = einsum([tree, tree], ["ij", "ij"], "")
    roots = [scalar, *derive(scalar, number(1), factors)]
    assert sum(isinstance(n, Einsum) and len(n.operands) == 2 for n in toposort(roots)) <= 3 + 1 + 6
