"""ordered: all products of a graph together: never dearer than apart, shared products found, the values stay."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
import pytest

import einstan as es
from benchmarks.growth import layers, lstm
from benchmarks.models import Model, mps
from einstan.compiling import Options
from einstan.ir import Einsum, Node, einsum, input_, toposort
from einstan.order import associate, ordered
from einstan.order.together import Problem
from einstan.orders.methods import Order
from einstan.orders.network import WRITE
from einstan.prims.scalar import minus
from einstan.request import Term
from einstan.testing import evaluate

from .graphs import DIMS, ENV, SIZES, chain


def products(roots: Sequence[Node]) -> list[Einsum]:
    return [node for node in toposort(roots) if isinstance(node, Einsum) and not node.is_pattern]


def volume(e: Einsum) -> int:
    return prod(d.at(ENV) for d in e.dims.values())


def flops(roots: Sequence[Node]) -> int:
    return sum((2 if e.summed and len(e.operands) == 2 else 1) * volume(e) for e in products(roots))


def cost(roots: Sequence[Node]) -> int:
    """Flops and entries written, as orders are compared."""
    written = sum(prod(d.at(ENV) for d in e.shape) for e in products(roots))
    return sum((2 if e.summed else 1) * volume(e) for e in products(roots)) + WRITE * written


def kernel_flops(p: es.Program, tree: Any, sizes: Any) -> int:
    return p.kernel(tree, {}, Options(sizes=sizes)).cost.flops


# ---------------------------------------------------------------- Hessians in several names

TWO_LAYERS = "L = tanh(X[B,K] W[K,J] V[J,M]) T[B,M]"
HESSIANS = [
    (TWO_LAYERS, "W V", {"b": 64, "k": 32, "j": 16, "m": 48}),
    (TWO_LAYERS, "W V", {"b": 16, "k": 32, "j": 48, "m": 64}),
    (TWO_LAYERS, "W V", {"b": 32, "k": 32, "j": 32, "m": 32}),
    (TWO_LAYERS, "W V", {"b": 64, "k": 16, "j": 32, "m": 24}),
    (TWO_LAYERS, "X W V", {"b": 12, "k": 10, "j": 8, "m": 14}),
    ("L = A[I,J] B[J,K] C[K,I]", "A B C", {"i": 11, "j": 13, "k": 17}),
    ("L = log(1 + exp(X[N,K] w[K] + c)) 1[N]", "w c", {"n": 90, "k": 30}),
    (
        "P[n,m] = softmax[m](q[n,D] k[m,D])\nR[n,d] = P[n,M] v[M,d]\nL = R[N,D] R[N,D]",
        "q k v",
        {"n": 6, "m": 7, "d": 5},
    ),
    ("R[i,j] = U[i,K] V[j,K] - T[i,j]\nL = R[I,J] (R[I,J] ⊙ M[I,J])", "U V", {"i": 20, "j": 24, "k": 3}),
]


@pytest.mark.parametrize(("text", "names", "sizes"), HESSIANS)
def test_a_hessian_in_several_names_costs_no_more_than_its_blocks(text: str, names: str, sizes: dict[str, int]) -> None:
    p = es.parse(text)
    blocks = [Term("L", pair) for pair in product(names.split(), repeat=2)]
    assert kernel_flops(p, tuple(blocks), sizes) <= sum(kernel_flops(p, block, sizes) for block in blocks)


# ---------------------------------------------------------------- what is made anyway


@pytest.mark.parametrize(("m", "d"), [(7, 3), (3, 7), (7, 2)])
def test_the_sum_in_the_gradient_of_attention_runs_over_the_shorter_axis(m: int, d: int) -> None:
    """Σ_M P[n,M] dP[n,M] is Σ_D O[n,D] dO[n,D] where O = P v is there, though dP = dO v is there too."""
    n = 5
    p, v, t = (input_(name, (DIMS[a], DIMS[b])) for name, a, b in (("P", n, m), ("v", m, d), ("T", n, d)))
    residual = minus(einsum([p, v], ["nm", "md"], "nd"), t)
    pulled = einsum([residual, v], ["nd", "md"], "nm")
    roots = [residual, pulled, einsum([p, pulled], ["nm", "nm"], "n")]
    assert flops(ordered(roots, ENV)) - flops(ordered(roots[:2], ENV)) == 2 * n * min(m, d)


def test_a_product_is_split_where_another_output_has_its_part() -> None:
    """(A B) C costs less than A (B C) by itself, more where B C is a result too."""
    factors = chain([2, 7, 3, 5])
    whole = einsum(factors, ["ij", "jk", "kl"], "il")
    part = einsum(factors[1:], ["jk", "kl"], "jl")
    assert flops(ordered([whole], {})) == 2 * (2 * 7 * 3 + 2 * 3 * 5)
    assert flops(ordered([whole, part], {})) == 2 * (7 * 3 * 5 + min(2 * 7 * 5, 2 * 7 * 3 + 2 * 3 * 5))


def test_the_inner_product_of_an_outer_one_is_taken_first() -> None:
    """(u[i] v[j]) x[j] is u[i] (v[J] x[J]), though the outer product is a result."""
    u, v, x = (input_(name, (DIMS[7],)) for name in "uvx")
    outer = einsum([u, v], ["i", "j"], "ij")
    roots = [outer, einsum([outer, x], ["ij", "j"], "i")]
    assert flops(associate(roots, ENV)) == 7 * 7 + 2 * 7 * 7
    assert flops(ordered(roots, ENV)) == 7 * 7 + 2 * 7 + 7


def test_products_that_differ_by_the_order_of_axes_are_one() -> None:
    a, b = chain([2, 3, 5])
    c = input_("C", (a.shape[0], b.shape[1]))
    one, other = einsum([a, b], ["ij", "jk"], "ik"), einsum([a, b], ["ij", "jk"], "ki")
    roots = [einsum([one, c], ["ik", "ik"], "ik"), einsum([other, c], ["ki", "ik"], "ki")]
    assert len(products(roots)) == 4
    assert len(products(ordered(roots, {}))) == 2
    arrays = {
        node.name: np.random.default_rng(n).random([d.at({}) for d in node.shape]) for n, node in enumerate((a, b, c))
    }
    for found, true in zip(evaluate(ordered(roots, {}), arrays, {}), evaluate(roots, arrays, {}), strict=True):
        np.testing.assert_allclose(found, true)


# ---------------------------------------------------------------- values and costs of random graphs


def random_products(seed: int) -> tuple[list[Node], dict[str, np.ndarray]]:
    """Products of products with shared factors; labels that repeat, sums alone, transposed copies."""
    r = random.Random(seed)
    nodes: list[Node] = []
    arrays = {}
    for n in range(4):
        shape = [r.choice(SIZES) for _ in range(r.randint(1, 2))]
        nodes.append(input_(f"A{n}", tuple(DIMS[d] for d in shape)))
        arrays[f"A{n}"] = np.random.default_rng(seed + n).standard_normal(shape)
    for _ in range(r.randint(3, 12)):
        taken = [r.choice(nodes) for _ in range(r.choice([1, 2, 2, 2, 3, 4]))]
        pool: dict[int, Any] = {}
        labels = []
        for node in taken:
            own = []
            for d in node.shape:
                fit = [x for x, size in pool.items() if size == d]
                own.append(r.choice(fit) if fit and r.random() < 0.7 else len(pool))
                pool[own[-1]] = d
            labels.append(own)
        out = [x for x in pool if r.random() < 0.6][:4]
        r.shuffle(out)
        if len(pool) <= 7:
            nodes.append(einsum(taken, labels, out))
    made = [node for node in nodes if isinstance(node, Einsum)]
    return r.sample(made, min(len(made), r.randint(1, 4))), arrays


@pytest.mark.parametrize("seed", range(150))
def test_values_stay_and_the_cost_never_grows(seed: int) -> None:
    roots, arrays = random_products(seed)
    found = ordered(roots, ENV)
    assert cost(found) <= cost(associate(roots, ENV))
    for new, old in zip(evaluate(found, arrays, ENV), evaluate(roots, arrays, ENV), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-9 * (1 + np.abs(old).max(initial=0)))


def test_some_random_graphs_cost_less() -> None:
    """So the law above says something."""
    pairs = [(cost(ordered(roots, ENV)), cost(associate(roots, ENV))) for roots, _ in map(random_products, range(150))]
    assert sum(new < old for new, old in pairs) > 20


def test_a_product_of_inputs_alone_keeps_its_order() -> None:
    e = einsum(chain([4, 9, 3, 8, 2, 7]), list(pairwise(range(6))), (0, 5))
    assert ordered([e], {}) == associate([e], {})


@pytest.mark.parametrize("method", ["greedy", "dp", "naive"])
def test_other_methods_order_each_product_by_itself(method: str) -> None:
    roots, _ = random_products(3)
    assert ordered(roots, ENV, method) == associate(roots, ENV, method)


def test_no_intermediate_grows_beyond_the_limit() -> None:
    """The outer product is a result; nothing else as large is made."""
    u, v, x = (input_(name, (DIMS[7],)) for name in "uvx")
    outer = einsum([u, v], ["i", "j"], "ij")
    roots = [outer, einsum([outer, x, x], ["ij", "i", "j"], "ij")]
    found = ordered(roots, ENV, Order(memory_limit=10))
    inner = [e for e in products(found) if e not in found]
    assert all(prod(d.at(ENV) for d in e.shape) <= 10 for e in inner)


# ---------------------------------------------------------------- work


@pytest.mark.parametrize("make", [layers, lstm])
def test_the_pairs_looked_at_grow_with_the_products(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    looked = 0
    joined = Problem.joined

    def counted(*args: Any) -> Any:
        nonlocal looked
        looked += 1
        return joined(*args)

    monkeypatch.setattr(Problem, "joined", counted)
    found = []
    for depth in (4, 8, 16):
        model = make(depth)
        looked = 0
        kernel = es.parse(model.text).value_and_grad("L", model.wrt).compile()
        kernel(**model.arrays("float32"))
        found.append((looked, len(kernel.steps)))
    assert all(pairs <= 5 * steps for pairs, steps in found)
    assert found[2][0] / found[2][1] <= 1.5 * found[0][0] / found[0][1] + 1


# ---------------------------------------------------------------- networks with all their gradients


def network(edges: Sequence[tuple[int, int]], sizes: Sequence[int]) -> Model:
    """A tensor for every end of edges, closed: a number."""
    nodes = sorted({end for edge in edges for end in edge})
    axes = {n: [k for k, edge in enumerate(edges) if n in edge] for n in nodes}
    text = "L = " + " ".join(f"T{n}[{','.join(f'E{k}' for k in axes[n])}]" for n in nodes)
    return Model(text, {f"T{n}": tuple(sizes[k] for k in axes[n]) for n in nodes}, (), lambda xp, a: None)


def tree(depth: int) -> Model:
    edges = [((n - 1) // 2, n) for n in range(1, 2**depth - 1)]
    return network(edges, random.Random(0).choices(range(2, 12), k=len(edges)))


def lattice(rows: int, columns: int) -> Model:
    edges = [(n, n + 1) for n in range(rows * columns) if (n + 1) % columns]
    edges += [(n, n + columns) for n in range((rows - 1) * columns)]
    return network(edges, random.Random(1).choices(range(3, 7), k=len(edges)))


NETWORKS = {
    "3 sites": lambda: mps(3, 5, 2),
    "10 sites": lambda: mps(10, 8, 2),
    "30 sites, wide": lambda: mps(30, 32, 2),
    "200 sites": lambda: mps(200, 32, 2),
    "tree": lambda: tree(5),
    "lattice 3 x 3": lambda: lattice(3, 3),
    "lattice 4 x 4": lambda: lattice(4, 4),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_all_gradients_cost_twice_the_value(name: str) -> None:
    """By one sweep back over the tree of products of the value."""
    model = NETWORKS[name]()
    p = es.parse(model.text)
    arrays = model.arrays("float64")
    value, both = p.compile("L"), p.value_and_grad("L", list(model.shapes)).compile()
    value(**arrays)
    both(**arrays)
    assert both.cost.flops <= 3.2 * value.cost.flops


def test_what_cancels_is_not_read_by_parts_of_a_product() -> None:
    g = es.parse("L = log'(A) ⊙ A ⊙ B / B").grad("L", ["A", "B"])
    assert g.compile()(A=2.0, B=3.0) == {"A": 0, "B": 0}
