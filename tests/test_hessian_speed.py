"""Dense Hessians and Jacobians: no step, pass or flop that a careful hand would leave out. Counts, never seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import einstan as es
from benchmarks import growth, hessians
from benchmarks.hessians import Problem
from einstan import kernel, threads
from einstan.dims import Dim
from einstan.ir import Einsum, Node, add, einsum, input_, toposort
from einstan.order.common import with_common
from einstan.order.factored import factored
from einstan.order.twins import exchanged
from einstan.plan import Step
from einstan.testing import evaluate

Arrays = dict[str, np.ndarray]
PRODUCTS = ("dot", "matmul")


def computed(k: es.Kernel) -> list[Step]:
    return [step for step in k.steps if not step.is_view]


def product_flops(k: es.Kernel) -> int:
    return sum(step.flops for step in k.steps if step.op in PRODUCTS)


def hessian(model: Problem) -> es.Kernel:
    """The kernel, bound to the sizes of the model."""
    a = model.arrays("float64")
    (wrt,) = model.wrt
    k = es.parse(model.text).hessian("L", wrt=wrt).compile()
    k(**a)
    return k


# ---------------------------------------------------------------- each entry is written once

# case: model, copies of whole arrays, entries of diagonals that are added to what is there
WRITTEN: dict[str, tuple[Problem, int]] = {
    "logistic": (hessians.logistic(30), 0),
    "factorisation": (hessians.factorisation(30, 5), 30 * 5 * 5),
    "quadratic": (hessians.quadratic(30), 0),
    "log Σ exp": (hessians.log_sum_exp(30), 30),
    "softmax": (hessians.cross_entropy(16, 5, 7), 7 * 5 * 7),
    "relu": (hessians.relu_layers(6, 10, 4), 0),
}


@pytest.mark.parametrize(("model", "diagonals"), WRITTEN.values(), ids=WRITTEN)
def test_a_dense_hessian_is_written_once(model: Problem, diagonals: int) -> None:
    k = hessian(model)
    written = sum(step.out.size for step in computed(k) if step.out.storage.kind == "result")
    assert written == model.size**2 + diagonals


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "relu"])
def test_nothing_is_transposed_or_scaled_afterwards(name: str) -> None:
    """One step makes an array of the size of the Hessian. (The relu net's is made with its axes in another order.)"""
    model, _ = WRITTEN[name]
    assert sum(step.out.size == model.size**2 for step in computed(hessian(model))) == 1


def test_xAx_reads_A_alone() -> None:
    assert list(hessian(hessians.quadratic(5)).inputs) == ["A"]


# sums with diagonals, and what else is made of the same products
SHARED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "R[i,j] = u[i] v[j] + delta[i,j] w[i]": (
        "S[i,j] = u[j] v[i] + A[i,j]",
        lambda a: {"R": np.outer(a.u, a.v) + np.diag(a.w), "S": np.outer(a.v, a.u) + a.A},
    ),
    "P[i,j] = u[i] v[j]": (
        "R[i,j] = P[i,j] + delta[i,j] w[i]",
        lambda a: {"P": np.outer(a.u, a.v), "R": np.outer(a.u, a.v) + np.diag(a.w)},
    ),
    "R[i,j] = 3 delta[i,j] w[i] - 2 u[i] v[j]": (
        "S[i,j] = R[i,j] + 1",
        lambda a: {"R": np.diag(3 * a.w) - 2 * np.outer(a.u, a.v), "S": np.diag(3 * a.w) - 2 * np.outer(a.u, a.v) + 1},
    ),
    "R[i,j] = delta[i,j] w[i] + delta[i,j] u[i]": (
        "S[i,j] = 2 delta[i,j] w[i]",
        lambda a: {"R": np.diag(a.w + a.u), "S": np.diag(2 * a.w)},
    ),
    "R[i,j] = delta[i,j] w[i] - A[i,K] A[j,K]": (
        "S[i,j] = exp(R[i,j])",
        lambda a: {"R": np.diag(a.w) - a.A @ a.A.T, "S": np.exp(np.diag(a.w) - a.A @ a.A.T)},
    ),
}


@pytest.mark.parametrize(("first", "second", "truth"), [(t, *more) for t, more in SHARED.items()], ids=SHARED)
def test_sums_with_diagonals_spoil_nothing(first: str, second: str, truth: Callable[[Any], Any]) -> None:
    p, rng = es.parse(f"{first}\n{second}"), np.random.default_rng(0)
    a = {name: rng.standard_normal((7,) * len(axes)) for name, axes in p.inputs.items()}
    want = truth(SimpleNamespace(**a))
    found = p.compile([*want])(a)
    for name, array in want.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- arrays that lie across

ACROSS: dict[str, tuple[str, dict[str, tuple[int, ...]], Callable[[Any], Any]]] = {
    "sum": ("A[i,j] + A[j,i]", {"A": (300, 300)}, lambda a: a["A"] + a["A"].T),
    "scaled": ("3 A[j,i]", {"A": (290, 310)}, lambda a: 3 * a["A"].T),
    "by rows": ("x[i] A[j,i]", {"A": (290, 310), "x": (310,)}, lambda a: (a["x"] * a["A"]).T),
    "function": ("exp(A[j,i]) B[i,j]", {"A": (150, 130), "B": (130, 150)}, lambda a: np.exp(a["A"].T) * a["B"]),
    "batch": ("S[b,j,i] - S[b,i,j]", {"S": (3, 200, 200)}, lambda a: a["S"].swapaxes(1, 2) - a["S"]),
    "between": ("S[k,j,i] + S[i,j,k]", {"S": (170, 5, 170)}, lambda a: a["S"] + a["S"].swapaxes(0, 2)),
}


@pytest.fixture(params=[1, 2])
def few_pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that knows few pages, and so reads small arrays in tiles; and regions for small arrays."""
    monkeypatch.setattr(import_module("einstan.plan.tiles"), "PAGES", 16)
    monkeypatch.setattr(kernel, "count", lambda: request.param)
    for name, value in {"SMALL": 0, "WORTH": 1, "START": 0, "CALL_AT_ONCE": 0}.items():
        monkeypatch.setattr(import_module("einstan.plan.regions"), name, value)
    monkeypatch.setattr(threads, "at_once", lambda work, number: [work(n) for n in range(number)])


@pytest.mark.usefixtures("few_pages")
@pytest.mark.parametrize(("text", "shapes", "truth"), ACROSS.values(), ids=ACROSS)
def test_tiles(text: str, shapes: Any, truth: Callable[[Arrays], np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    a = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    order = {"S": "[b,i,j]" if "S[b" in text else "[i,j,k]"}.get(text[0], "[i,j]")
    k = es.parse(f"Y{order} = {text}").compile("Y")
    found = k(**a)
    np.testing.assert_array_equal(found, truth(a))
    assert "in tiles(" in k.source
    space: dict[str, Any] = {}
    exec(k.source, space)
    np.testing.assert_array_equal(space["kernel"](*[a[name] for name in k.inputs])[0], found)


SIZES = [(30, False), (512, True), (520, False), (1100, False), (1536, True), (2053, True)]


@pytest.mark.parametrize(("n", "tiled"), SIZES)
def test_tiles_where_a_cache_forgets(n: int, tiled: bool) -> None:
    k = es.parse("L = x[I] A[I,J] x[J]").hessian("L", wrt="x").compile(sizes={"i": n, "j": n})
    assert ("in tiles(" in k.source) == tiled
    assert k.cost.flops == n * n


def test_blocks_hold_whole_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "count", lambda: 2)
    k = es.parse("L = x[I] A[I,J] x[J]").hessian("L", wrt="x").compile(sizes={"i": 2048, "j": 2048})
    assert "blockwise(block0, (2048, 16, 2)" in k.source


# ---------------------------------------------------------------- the order of multiplication is chosen by cost


def net(depth: int) -> str:
    lines = [f"h{n}[i] = tanh(W{n}[i,K] h{n - 1}[K])" for n in range(1, depth)]
    return "\n".join([*lines, f"y[i] = W{depth}[i,K] h{depth - 1}[K]"])


def forward(sizes: Sequence[int]) -> int:
    """Flops of the Jacobian of a net, from the inputs on."""
    return sum(2 * sizes[0] * n * m for n, m in list(pairwise(sizes))[1:])


JACOBIANS = {
    "few inputs: forward": ((3, 40, 45, 50, 55), lambda sizes: forward(sizes)),
    "few outputs: reverse": ((55, 50, 45, 40, 3), lambda sizes: forward(sizes[::-1])),
    "a bottleneck: from both ends": ((40, 45, 2, 50, 55), growth.best_chain_flops),
}


@pytest.mark.parametrize(("sizes", "best"), JACOBIANS.values(), ids=JACOBIANS)
def test_jacobians_across_country(sizes: Sequence[int], best: Callable[[Sequence[int]], int]) -> None:
    p, rng = es.parse(net(len(sizes) - 1)), np.random.default_rng(0)
    a = {f"W{n}": rng.standard_normal((m, k)) for n, (k, m) in enumerate(pairwise(sizes), 1)}
    a["h0"] = rng.standard_normal(sizes[0])
    k = p.jacobian("y", wrt="h0").compile()
    k(**a)
    matrices = sum(step.flops for step in k.steps if step.op in PRODUCTS and len(step.out.shape) > 1)
    assert matrices == best(sizes) <= min(forward(sizes), forward(sizes[::-1]))


def test_from_both_ends_is_less_than_from_either() -> None:
    sizes, _ = JACOBIANS["a bottleneck: from both ends"]
    assert 5 * growth.best_chain_flops(sizes) < min(forward(sizes), forward(sizes[::-1]))


@pytest.mark.parametrize(("width", "batch", "depth"), [(20, 20, 10), (20, 20, 2), (8, 30, 5)])
def test_a_hessian_of_layers_is_made_of_one_jacobian(width: int, batch: int, depth: int) -> None:
    """Values; the Jacobian J[b,j,c] of the outputs in the first layer's, layer by layer; J diag(p) Jᵀ and J p; all of
    that with x[b,k] x[b,l]."""
    k = hessian(hessians.relu_layers(width, batch, depth))
    layer = 2 * batch * width**2
    by_hand = depth * layer + (depth - 1) * layer * width + layer * width + layer + 2 * batch * width**4
    assert product_flops(k) <= by_hand + 2 * batch * width


# ---------------------------------------------------------------- laws of the order

B, K, J, C = (Dim.of(n) for n in (5, 7, 3, 11))
X, S, T, V = (input_(*given) for given in (("X", (B, K)), ("S", (B, J, C)), ("T", (B, J, C)), ("V", (B, C))))
P, Q = input_("P", (B, C, C)), input_("Q", (C, C))


def same(before: Sequence[Node], after: Sequence[Node]) -> None:
    rng = np.random.default_rng(0)
    names = {n.name: n for n in toposort(before) if hasattr(n, "name")}
    a = {name: rng.standard_normal([d.at({"n": 2}) for d in n.shape]) for name, n in names.items()}
    for old, new in zip(evaluate(before, a, {"n": 2}), evaluate(after, a, {"n": 2}), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-12 * np.abs(old).max())


def sum_of(*terms: Node) -> Node:
    return add([(1, t) for t in terms[:1]] + [(-2, t) for t in terms[1:]], terms[0].shape)


XS, XT = (einsum([X, node], ["bk", "bjc"], "bkjc") for node in (S, T))
XSV = einsum([einsum([XS, V], ["bkjc", "bc"], "bkj")], ["bkj"], "bkjc", {"c": C})
XV = einsum([X, V], ["bk", "bc"], "bkc")


@pytest.mark.parametrize(
    ("total", "labels", "rank"),
    [
        (sum_of(XS, XT), "bkjc", 3),
        (sum_of(XS, XSV), "bkjc", 3),
        (sum_of(XV, einsum([X, V, Q], ["bk", "bd", "cd"], "bkc")), "bkc", 2),
        (sum_of(XS, einsum([X, T, V], ["bk", "bjd", "bc"], "bkjc")), "bkjc", 4),
    ],
    ids=["two products", "itself summed and repeated", "two factors of one", "nothing is gained: d"],
)
def test_common_factors_leave_sums(total: Node, labels: str, rank: int) -> None:
    root = einsum([total, V], [labels, "bc"], "bk")
    (found,) = factored([root])
    same([root], [found])
    sums = [node for node in toposort([found]) if type(node) is type(total)]
    assert max(node.rank for node in sums) <= max(rank, 3)


def test_sums_without_common_factors_stay() -> None:
    roots = [einsum([sum_of(S, T), V], ["bjc", "bc"], "bj"), XS]
    assert factored(roots) == roots


N = Dim.symbol("n")


def square(name: str) -> Node:
    return input_(name, (N, N))


def layers(last: str, end: int) -> Node:
    """Six factors d[b,i] of a batch with five matrices between them, and one factor more at an end."""
    factors = [square(f"D{n}") for n in range(6)] + [square(f"W{n}") for n in range(5)]
    labels = [("b", n) for n in range(6)] + [(n, n + 1) for n in range(5)]
    return einsum([*factors, square(last)], [*labels, ("b", end)], ("b", 0, 5))


def between_vectors(front: str, back: str) -> Node:
    """u A B C D E F v"""
    factors = [input_(front, (N,)), *(square(f"M{n}") for n in range(6)), input_(back, (N,))]
    return einsum(factors, [(0,), *((n, n + 1) for n in range(6)), (6,)], ())


def test_long_products_share_what_they_have_in_common() -> None:
    before = [layers("F", 5), layers("G", 0)]
    found = with_common(before, {"n": 30})
    inner = {o for e in found for o in e.operands if isinstance(o, Einsum)}
    assert len(inner) == 1 and len(next(iter(inner)).operands) == 11
    same(before, found)


def test_long_products_share_nothing_that_costs_more() -> None:
    """Vectors go through matrices one by one."""
    before = [between_vectors("s", "t"), between_vectors("u", "v")]
    assert with_common(before, {"n": 30}) == before


def test_equal_factors_exchange_labels() -> None:
    """x[b,i] x[b,k] y[b,j] y[b,l] over (i,j,k,l), paired as (x_k y_j) (x_i y_l): turned into (x_i y_j) (x_k y_l)."""
    x, y = input_("x", (B, K)), input_("y", (B, J))
    e = einsum([x, x, y, y], ["bi", "bk", "bj", "bl"], "ijkl")
    assert isinstance(e, Einsum)
    place = {label: n for n, label in enumerate(e.out)}
    firsts = [k for k, o in enumerate(e.operands) if o is e.operands[0]]
    others = [k for k, o in enumerate(e.operands) if o is not e.operands[0]]

    def free(labels: Sequence[Any], k: int) -> int:
        return next(place[label] for label in labels[k] if label in place)

    for second in (others, others[::-1]):
        path = [(firsts[0], second[0]), (firsts[1], second[1]), (4, 5)]
        labels = exchanged(e, path)
        sides = {frozenset(free(labels, k) for k in pair) for pair in path[:2]}
        assert sides == {frozenset({0, 1}), frozenset({2, 3})}
