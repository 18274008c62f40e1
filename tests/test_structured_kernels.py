"""Kernels of structured results: what Hessians and Jacobians are called, against the dense kernel and numpy."""

from __future__ import annotations

import pickle
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.structured import Singular
from einstan.structured.joined import joined

from .models import MODELS, Model, relative_error
from .random_checks import Case
from .random_programs import program

Array = np.ndarray[Any, Any]

LOGISTIC = "z[a] = X[a,I] w[I]; L = softplus(z[A]) 1[A] - y[A] z[A] + 0.5 w[I] w[I]"
FACTORISATION = "E[i,j] = M[i,j] (T[i,j] - U[i,K] V[j,K]); L = E[I,J] E[I,J]"
ENTROPY = "Z[b,c] = X[b,F] W[F,c]; L = - T[B,C] log_softmax[C](Z[B,C])"

# program, by, sizes, structure, pattern
HESSIANS = {
    "a vector's squares": ("L = x[I] x[I] / 2", "x", {"x": 5}, "a multiple of the identity", "H delta[i,j]"),
    "entry by entry": (
        "L = exp(x[I,J]) 1[I] 1[J]",
        "x",
        {"x": (5, 3)},
        "diagonal",
        "H[i,j] delta[i,k] delta[j,l]",
    ),
    "linear": ("L = a[I] x[I]", "x", {"a": 5, "x": 5}, "zero", "0"),
    "a quadratic form": ("L = x[I] A[I,J] x[J]", "x", {"A": (5, 5), "x": 5}, "dense", "H[i,j]"),
    "a square of a sum": ("s = x[I] 1[I]; L = s s", "x", {"x": 5}, "low rank", "H 1[i] 1[j]"),
    "a fourth power": (
        "s = x[I] x[I]; L = s s",
        "x",
        {"x": 7},
        "a multiple of the identity plus low rank",
        "H0 delta[i,j] + H1[i] H2 H1[j]",
    ),
    "a number": ("L = x x x", "x", {"x": ()}, "diagonal", "H"),
    "matrix factorisation": (
        FACTORISATION,
        "U",
        {"M": (7, 30), "T": (7, 30), "U": (7, 3), "V": (30, 3)},
        "block-diagonal",
        "H[i,k,l] delta[i,j]",
    ),
    "matrix factorisation with a ridge": (
        FACTORISATION + " + 0.1 U[I,K] U[I,K]",
        "U",
        {"M": (7, 30), "T": (7, 30), "U": (7, 3), "V": (30, 3)},
        "block-diagonal",
        "H[i,k,l] delta[i,j]",
    ),
    "least squares": (
        "E[i,j] = Y[i,j] - X[i,K] W[K,j]; L = E[I,J] E[I,J]",
        "W",
        {"Y": (30, 3), "X": (30, 7), "W": (7, 3)},
        "Kronecker with the identity",
        "H[k,l] delta[j,m]",
    ),
    "least squares with a ridge": (
        "E[i,j] = Y[i,j] - X[i,K] W[K,j]; L = E[I,J] E[I,J] + W[K,J] W[K,J]",
        "W",
        {"Y": (30, 3), "X": (30, 7), "W": (7, 3)},
        "Kronecker with the identity",
        "H[k,l] delta[j,m]",
    ),
    "log of a sum of exponentials": (
        "L = logsumexp[i](x[i])",
        "x",
        {"x": 7},
        "diagonal plus low rank",
        "H0[i] delta[i,j] + H0[i] H1 H0[j]",
    ),
    "the same in rows": (
        "L = sum[b](logsumexp[i](x[b,i]))",
        "x",
        {"x": (3, 7)},
        "block-diagonal, blocks diagonal plus low rank",
        "H0[b,i] delta[b,c] delta[i,j] + H0[b,i] H1 H0[b,j] delta[b,c]",
    ),
    "logistic, many samples": (LOGISTIC, "w", {"X": (30, 5), "w": 5, "y": 30}, "dense", "H[i,j]"),
    "logistic, few samples": (
        LOGISTIC,
        "w",
        {"X": (5, 30), "w": 30, "y": 5},
        "a multiple of the identity plus low rank",
        "H0 delta[i,j] + H1[A,i] H2[A] H1[A,j]",
    ),
    "softmax cross entropy, many samples": (
        ENTROPY,
        "W",
        {"X": (30, 3), "W": (3, 5), "T": (30, 5)},
        "dense",
        "H[f,c,g,d]",
    ),
    "softmax cross entropy, few samples": (
        ENTROPY,
        "W",
        {"X": (8, 3), "W": (3, 11), "T": (8, 11)},
        "block-diagonal plus low rank",
        "H0[f,c,g] delta[c,d] + H1[A,f] H2[A,c] H3[A] H2[A,d] H1[A,g]",
    ),
    "both sides": (
        "E[i,j] = A[i,K] X[K,L] B[L,j]; L = E[I,J] E[I,J]",
        "X",
        {"A": (11, 3), "X": (3, 5), "B": (5, 7)},
        "Kronecker product",
        "H0[l,n] H1[k,m]",
    ),
    "nothing": (FACTORISATION, "U", {"M": (0, 5), "T": (0, 5), "U": (0, 3), "V": (5, 3)}, "block-diagonal", None),
}


def arrays(sizes: dict[str, Any]) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape) for name, shape in sizes.items()}


def check(H: es.Structured, D: Array, tolerance: float = 1e-12) -> None:
    """The structured matrix is the dense one, and so is its product; where all is below 1, to that."""
    assert H.shape == D.shape and H.dtype == D.dtype
    bound = tolerance * max(1.0, np.abs(D).max(initial=0.0))
    assert np.abs(H.dense() - D).max(initial=0.0) <= bound
    v = np.random.default_rng(1).standard_normal(H.columns).astype(D.dtype)
    assert np.abs(H.matvec(v) - np.tensordot(D, v, v.ndim)).max(initial=0.0) <= bound * max(1, v.size)


@pytest.mark.parametrize("case", HESSIANS)
def test_hessians(case: str) -> None:
    text, wrt, sizes, structure, pattern = HESSIANS[case]
    data, h = arrays(sizes), es.parse(text).hessian("L", wrt=wrt)
    H, D = h.compile(structured=True)(**data), h.compile()(**data)
    assert H.structure == structure and pattern in (None, H.pattern)
    check(H, D)
    n, g = int(np.prod(H.rows)), np.random.default_rng(2).standard_normal(H.rows)
    shifted = D.reshape(n, n) + 90 * np.eye(n)
    np.testing.assert_allclose(H.solve(g, shift=90).ravel(), np.linalg.solve(shifted, g.ravel()), rtol=1e-9)
    assert H.nbytes <= D.nbytes or H.nbytes <= 8


@pytest.mark.parametrize("case", HESSIANS)
def test_patterns_are_formulas(case: str) -> None:
    """What `pattern` says, read as the right side of a definition, is the dense array."""
    text, wrt, sizes, _, _ = HESSIANS[case]
    data, h = arrays(sizes), es.parse(text).hessian("L", wrt=wrt)
    H = h.compile(structured=True)(**data)
    if not H.form.terms:
        return
    letters = [*H.form.letters]
    names = ["H"] if len(H.blocks) == 1 else [f"H{n}" for n in range(len(H.blocks))]
    fixed = [f"size {letter} = {d}" for letter, d in zip(letters, H.shape, strict=True)]
    again = es.parse("\n".join([*fixed, f"Q[{','.join(letters)}] = {H.pattern}" if letters else f"Q = {H.pattern}"]))
    blocks = {name: b for name, b in zip(names, H.blocks, strict=True) if name in again.inputs}
    assert relative_error(again.run("Q", **blocks), H.dense()) < 1e-12


# ---------------------------------------------------------------- other programs


DEEP = ("-20-", "-30")


def check_model(model: Model, wrt: str) -> None:
    h, data = es.parse(model.text).hessian(model.of, wrt=wrt), model.arrays()
    options: dict[str, Any] = {"functions": dict(model.functions) or None}
    check(h.compile(structured=True, **options)(**data), h.compile(**options)(**data), 1e-10)


@pytest.mark.parametrize("model", [m for m in MODELS if not any(d in m.name for d in DEEP)], ids=lambda m: m.name)
def test_models(model: Model) -> None:
    check_model(model, model.wrt[0])


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_models_by_all_names(model: Model) -> None:
    for wrt in model.wrt:
        check_model(model, wrt)


def check_random(seed: int, depth: int) -> None:
    """The Hessian by some names, and Jacobians of names with axes, of a random program."""
    c = Case(program(seed, depth=depth), seed)
    wrt = c.pick.sample(c.wrt, min(3, len(c.wrt)))
    of = [name for name in c.p.names if c.exact[name].ndim]
    for derived in (c.read.hessian("L", wrt), *(c.read.jacobian(name, wrt) for name in of)):
        dense = derived.compile(functions=c.bindings)(c.arrays)
        found = derived.compile(structured=True, functions=c.bindings)(c.arrays)
        for H, D in zip(leaves(found), leaves(dense), strict=True):
            if np.isfinite(D).all():
                check(H, D, 1e-10)


def leaves(tree: Any) -> list[Any]:
    return [x for branch in tree.values() for x in leaves(branch)] if isinstance(tree, dict) else [tree]


@pytest.mark.parametrize("seed", range(2000, 2020))
def test_random_programs(seed: int) -> None:
    check_random(seed, 1 + seed % 2)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(3000, 4000, 50))
def test_many_random_programs(start: int) -> None:
    for seed in range(start, start + 50):
        check_random(seed, 1 + seed % 3)


# ---------------------------------------------------------------- Jacobians


JACOBIANS = {
    "a layer": ("Y[b,j] = X[b,K] W[K,j]", "W", {"X": (7, 5), "W": (5, 3)}, "Kronecker with the identity"),
    "a layer, by its bias": (
        "Y[b,j] = X[b,K] W[K,j] + c[j]",
        "c",
        {"X": (7, 5), "W": (5, 3), "c": 3},
        "Kronecker with the identity",
    ),
    "tanh of a layer": ("Y[b,j] = tanh(X[b,K] W[K,j])", "W", {"X": (7, 5), "W": (5, 3)}, "block-diagonal"),
    "softmax": (
        "Y[b,j] = softmax[j](Z[b,j])",
        "Z",
        {"Z": (5, 7)},
        "block-diagonal, blocks diagonal plus low rank",
    ),
    "by a number": ("Y[i] = a x[i]", "a", {"a": (), "x": 3}, "dense"),
    "an outer product": ("Y[i,j] = u[i] v[j]", "u", {"u": 3, "v": 5}, "Kronecker with the identity"),
}


@pytest.mark.parametrize("case", JACOBIANS)
def test_jacobians(case: str) -> None:
    text, wrt, sizes, structure = JACOBIANS[case]
    data, j = arrays(sizes), es.parse(text).jacobian("Y", wrt=wrt)
    H = j.compile(structured=True)(**data)
    check(H, j.compile()(**data))
    assert H.structure == structure


def test_an_expression_has_structured_derivatives() -> None:
    x = es.tensors("x[i]")
    i = es.indices("i")
    H = es.exp(x[i]).jacobian(wrt="x").compile(structured=True)(x=[0.0, 1.0])
    assert H.structure == "diagonal"
    np.testing.assert_allclose(H.dense(), np.diag(np.exp([0.0, 1.0])))


# ---------------------------------------------------------------- several names

BOTH = "E[i,j] = M[i,j] (T[i,j] - U[i,K] V[j,K]); L = E[I,J] E[I,J] + 0.1 (U[I,K] U[I,K] + V[J,K] V[J,K])"
APART = "L = (x[I] - a[I]) (x[I] - a[I]) + exp(y[J]) 1[J]"
IN_ROWS = "z[b,a] = X[b,a,I] w[I,b] + c[b]; L = softplus(z[B,A]) 1[B] 1[A] + w[I,B] w[I,B] + c[B] c[B]"
THREE = "L = A[J,K] u[I,J] v[K,I] + B[J,K] v[J,I] w[I,K] + u[I,J] u[I,J] + v[J,I] v[J,I] + w[I,K] w[I,K]"


@pytest.mark.parametrize(
    ("text", "names", "sizes"),
    [
        (BOTH, ["U", "V"], {"M": (7, 5), "T": (7, 5), "U": (7, 3), "V": (5, 3)}),
        (APART, ["x", "y"], {"x": 3, "a": 3, "y": 5}),
        (LOGISTIC, ["w"], {"X": (30, 5), "w": 5, "y": 30}),
        (IN_ROWS, ["w", "c"], {"X": (5, 7, 3), "w": (3, 5), "c": 5}),
        (THREE, ["u", "v", "w"], {"A": (3, 3), "B": (3, 5), "u": (7, 3), "v": (3, 7), "w": (7, 5)}),
    ],
)
@pytest.mark.parametrize("definite", [False, True])
def test_several_names(text: str, names: list[str], sizes: dict[str, Any], definite: bool) -> None:
    data, h = arrays(sizes), es.parse(text).hessian("L", wrt=names)
    found, dense = h.compile(structured=True)(**data), h.compile()(**data)
    H = joined(found, names)
    matrix = np.block([[dense[a][b].reshape(data[a].size, data[b].size) for b in names] for a in names])
    np.testing.assert_allclose(H.dense(), matrix, rtol=1e-12, atol=1e-12)
    g = {name: np.cos(np.arange(data[name].size)).reshape(data[name].shape) for name in names}
    flat = np.concatenate([g[name].ravel() for name in names])
    product, x = H.matvec(g), H.solve(g, shift=60.0, definite=definite)
    assert list(product) == list(x) == names and all(x[name].shape == g[name].shape for name in names)
    np.testing.assert_allclose(np.concatenate([product[name].ravel() for name in names]), matrix @ flat, atol=1e-10)
    expected = np.linalg.solve(matrix + 60 * np.eye(flat.size), flat)
    np.testing.assert_allclose(np.concatenate([x[name].ravel() for name in names]), expected, rtol=1e-9)


# ---------------------------------------------------------------- kernels


def factorisation(n: int, m: int, rank: int = 5) -> tuple[es.Derived, dict[str, Array]]:
    data = arrays({"M": (n, m), "T": (n, m), "U": (n, rank), "V": (m, rank)})
    return es.parse(FACTORISATION).hessian("L", wrt="U"), data


def test_nothing_dense_is_allocated() -> None:
    """The dense Hessian would take 800 MB; the square of the mask takes 32."""
    h, data = factorisation(2000, 2000)
    k = h.compile(structured=True)
    k(**data)
    tracemalloc.start()
    try:
        H = k(**data)
        H.solve(data["U"])
        H.solve(data["U"], definite=True)
        H.matvec(data["U"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert H.shape == (2000, 5, 2000, 5) and H.nbytes == 2000 * 25 * 8
    assert peak < 40e6


def test_a_singular_matrix_is_not_written_out() -> None:
    """diag(p) - p pᵀ has no inverse, which the structure tells; dense it would take 3.2 GB."""
    H = es.parse("L = logsumexp[i](x[i])").hessian("L", wrt="x").compile(structured=True)(x=np.zeros(20_000))
    g = np.cos(np.arange(20_000))
    tracemalloc.start()
    try:
        for definite, kind in [(False, Singular), (True, es.NotPositiveDefinite)]:
            with pytest.raises(kind):
                H.solve(g, definite=definite)
            x = H.solve(g, shift=1e-6, definite=definite)
            np.testing.assert_allclose(H.matvec(x) + 1e-6 * x, g, atol=1e-9)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6


def test_no_samples() -> None:
    H = es.parse(LOGISTIC).hessian("L", wrt="w").compile(structured=True)(X=np.ones((0, 7)), w=np.zeros(7))
    np.testing.assert_array_equal(H.dense(), np.eye(7))
    for definite in (False, True):
        np.testing.assert_array_equal(H.solve(np.ones(7), shift=1.0, definite=definite), np.full(7, 0.5))


def test_overflow_is_said() -> None:
    H = es.parse(LOGISTIC).hessian("L", wrt="w").compile(structured=True)(X=np.full((2, 30), 1e200), w=np.zeros(30))
    for definite in (False, True):
        with pytest.raises(es.EinstanError, match="not finite"):
            H.solve(np.ones(30), definite=definite)


def test_costs_are_of_the_blocks() -> None:
    h, data = factorisation(200, 200)
    k = h.compile(structured=True)
    k(**data)
    assert k.cost.flops < 2.1e6  # one product of M² with the products of V
    assert k.cost.peak_bytes < 1e6
    assert max(step.out.nbytes for step in k.steps) <= 200 * 200 * 8
    assert "dot" in k.source and list(k.inputs) == ["M", "V"]
    assert "2 Mflop" in k.svg()


def test_the_form_follows_the_sizes() -> None:
    k = es.parse(LOGISTIC).hessian("L", wrt="w").compile(structured=True)
    few, many = ({"X": np.ones((n, 30)), "w": np.zeros(30), "y": np.zeros(n)} for n in (5, 100))
    assert [k(**data).structure for data in (few, many, few)] == [
        "a multiple of the identity plus low rank",
        "dense",
        "a multiple of the identity plus low rank",
    ]


@pytest.mark.parametrize("limit", ["60 kB", "1 MB"])
def test_memory_limit(limit: str) -> None:
    h, data = factorisation(200, 30, 2)
    H = h.compile(structured=True, memory_limit=limit)(**data)
    np.testing.assert_allclose(H.dense(), h.compile()(**data), rtol=1e-12)


def test_float32() -> None:
    h, data = factorisation(7, 5, 2)
    H = h.compile(structured=True)({name: a.astype(np.float32) for name, a in data.items()})
    assert H.dtype == H.dense().dtype == H.solve(H.matvec(data["U"].astype(np.float32))).dtype == np.float32


def test_pickles() -> None:
    h, data = factorisation(7, 5)
    k = h.compile(structured=True)
    again = pickle.loads(pickle.dumps(k))(**data)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).dense(), k(**data).dense())


def test_results_share_no_memory() -> None:
    data = arrays({"X": (5, 30), "w": 30, "y": 5})
    k = es.parse(LOGISTIC).hessian("L", wrt="w").compile(structured=True)
    first, second = k(**data), k(**data)
    every = [*first.blocks, *second.blocks, *data.values()]
    assert not any(np.shares_memory(a, b) for n, a in enumerate(every) for b in every[:n])
    before = first.dense()
    second.blocks[1][...] = 0
    k(**{**data, "X": 2 * data["X"]})
    np.testing.assert_array_equal(first.dense(), before)


def test_threads() -> None:
    h, data = factorisation(40, 30)
    k = h.compile(structured=True)
    inputs = [{**data, "V": data["V"] + n} for n in range(8)]
    expected = [h.compile()(**d) for d in inputs]
    found: dict[int, Array] = {}

    def work(n: int) -> None:
        for _ in range(20):
            found[n] = k(**inputs[n]).dense()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, D in enumerate(expected):
        np.testing.assert_allclose(found[n], D, rtol=1e-12)


def test_check_finite_names_the_block() -> None:
    k = es.parse("L = logsumexp[i](x[i])").hessian("L", wrt="x").compile(structured=True, check_finite=True)
    with pytest.raises(es.EinstanError, match="H0 has 3 entries of 3 that are not finite"):
        k(x=[1.0, np.nan, 2.0])


REFUSED = {
    "a value": lambda p: p.compile("L", structured=True),
    "a gradient": lambda p: p.grad("L", wrt="x").compile(structured=True),
    "a value and a gradient": lambda p: p.value_and_grad("L", wrt="x").compile(structured=True),
    "a product": lambda p: p.hvp("L", wrt="x", vector="v").compile(structured=True),
    "a pull-back": lambda p: p.vjp("L", wrt="x", cotangent="g").compile(structured=True),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_matrix_is_refused(case: str) -> None:
    p = es.parse("L = exp(x[I]) 1[I]")
    with pytest.raises(es.EinstanDerivativeError, match="is no matrix"):
        REFUSED[case](p)


@pytest.mark.parametrize("wrt", ["x", ["x"]])
def test_into_is_refused(wrt: Any) -> None:
    k = es.parse("L = logsumexp[i](x[i])").hessian("L", wrt=wrt).compile(structured=True)
    for outs in (np.empty((3, 3)), {"x": {"x": np.empty((3, 3))}}, [np.empty(3), np.empty(())]):
        with pytest.raises(es.EinstanShapeError, match="Structured results are not written into arrays"):
            k.into(outs, x=np.ones(3))


@pytest.mark.parametrize(
    ("text", "sizes", "shared"),
    [
        (IN_ROWS, {"X": (5, 7, 3), "w": (3, 5), "c": 5}, {"w": (1,), "c": (0,)}),
        (THREE, {"A": (3, 3), "B": (3, 5), "u": (7, 3), "v": (3, 7), "w": (7, 5)}, {"u": (0,), "v": (1,), "w": (0,)}),
        (LOGISTIC, {"X": (30, 5), "w": 5, "y": 30}, {"w": ()}),
    ],
)
def test_names_that_share_an_axis(text: str, sizes: dict[str, Any], shared: dict[str, tuple[int, ...]]) -> None:
    names = list(shared)
    H = joined(es.parse(text).hessian("L", wrt=names).compile(structured=True)(arrays(sizes)), names)
    assert {name: layout.batch for name, layout in H.layouts().items()} == shared
