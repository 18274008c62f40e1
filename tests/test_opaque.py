"""Functions that are named and not known: every form is derived, printed, read back, and right once it is bound."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.bind import Bindings, bindings_of, read_key
from einstan.testing import finite_difference

RNG = np.random.default_rng(5)
Array = np.ndarray[Any, Any]

NETWORK = """
label m, n
Z^{(1)}[i,j] = X[i,K] W^{(1)}[K,j] + b^{(1)}[j]
X^{(1)}[i,j] = FIRST
Z^{(2)}[i,j] = X^{(1)}[i,K] W^{(2)}[K,j] + b^{(2)}[j]
X^{(2)}[i,j] = SECOND
L = loss(X^{(2)}[:], Y[:])
claim Y[i,j] = Y[i,j]
"""
ENTRYWISE = NETWORK.replace("FIRST", "σ_m(Z^{(1)}[i,j])").replace("SECOND", "σ_n(Z^{(2)}[i,j])")
ROW_WISE = NETWORK.replace("FIRST", "σ_m[j](Z^{(1)}[i,K])").replace("SECOND", "σ_n[j](Z^{(2)}[i,K])")
ARTICLE = """∂L/∂Z^{(2)}[i,j] = LAST
∂L/∂X^{(1)}[i,j] = ∂L/∂Z^{(2)}[i,K] W^{(2)}[j,K]
∂L/∂Z^{(1)}[i,j] = BEFORE
∂L/∂W^{(1)}[k,j] = X[I,k] ∂L/∂Z^{(1)}[I,j]
∂L/∂b^{(1)}[j] = ∂L/∂Z^{(1)}[I,j] 1[I]"""
WEIGHTS = ["W^{(1)}", "b^{(1)}"]

PRINTED = [
    ("entry by entry", "L = 1[I] f(x[I])", ["x"], 1, "∂L/∂x[i] = f'(x[i])"),
    ("a diagonal", "L = f(Q, w)\nQ[i,i] = w[i]", ["w"], 1, "∂L/∂w[i] = f'[2][i](Q[:], w[:]) + ∂L/∂Q[i,i]"),
    ("its second derivative", "L = 1[I] f(x[I])", ["x"], 2, "∂²L/∂x[i]∂x[j] = f''(x[i]) delta[i,j]"),
    (
        "several arguments",
        "L = 1[I] f(x[I], y[I])",
        ["x", "y"],
        1,
        "∂L/∂x[i] = f'[1](x[i], y[i])\n∂L/∂y[i] = f'[2](x[i], y[i])",
    ),
    (
        "mixed derivatives",
        "L = f(x, y)",
        ["x", "y"],
        2,
        "∂²L/∂x∂x = f''[1](x, y)\n∂²L/∂x∂y = f''[1,2](x, y)\n∂²L/∂y∂x = f''[1,2](x, y)\n∂²L/∂y∂y = f''[2](x, y)",
    ),
    (
        "row by row",
        "X[i,j] = f[j](Z[i,K])\nL = X[I,J] T[I,J]",
        ["Z"],
        1,
        "∂L/∂X[i,j] = T[i,j]\n∂L/∂Z[i,k] = ∂L/∂X[i,J] ∂X[i,J]/∂Z[i,k]",
    ),
    (
        "row by row, second derivative",
        "X[i,j] = f[j](Z[i,K])\nL = X[I,J] T[I,J]",
        ["Z"],
        2,
        "∂²L/∂Z[i,k]∂Z[j,l] = T[i,M] f''[M,k,l](Z[i,N]) delta[i,j]",
    ),
    (
        "a new axis that only f has",
        "X[i,j] = 2 f[j](Z[i,K])\nL = X[I,J] X[I,J]",
        ["Z"],
        1,
        "u[i,j] = f[j](Z[i,K])\n∂L/∂X[i,j] = 2 X[i,j]\n∂L/∂Z[i,k] = 2 ∂L/∂X[i,J] ∂u[i,J]/∂Z[i,k]",
    ),
    (
        "whole tensors, one made of the other",
        "L = loss(X[:], Y[:])\nY[i] = X[i]^2",
        ["X"],
        1,
        "∂L/∂X[i] = loss'[1][i](X[:], Y[:]) + 2 ∂L/∂Y[i] X[i]",
    ),
    (
        "a whole tensor beside entries",
        "y[i] = f(X[:], z[i])\nL = y[I] y[I] + 0 X[A,B] X[A,B]",
        ["z"],
        1,
        "∂L/∂y[i] = 2 y[i]\n∂L/∂z[i] = ∂L/∂y[i] ∂y[i]/∂z[i]",
    ),
    (
        "the article, entry by entry",
        ENTRYWISE,
        WEIGHTS,
        1,
        ARTICLE.replace("LAST", "∂L/∂X^{(2)}[i,j] σ'_n(Z^{(2)}[i,j])").replace(
            "BEFORE", "∂L/∂X^{(1)}[i,j] σ'_m(Z^{(1)}[i,j])"
        ),
    ),
    (
        "the article, row by row",
        ROW_WISE,
        WEIGHTS,
        1,
        ARTICLE.replace("LAST", "∂L/∂X^{(2)}[i,K] ∂X^{(2)}[i,K]/∂Z^{(2)}[i,j]").replace(
            "BEFORE", "∂L/∂X^{(1)}[i,K] ∂X^{(1)}[i,K]/∂Z^{(1)}[i,j]"
        ),
    ),
]


READ_BACK = [
    "Y[i,j] = f[j](X[K,i,M])\nL = Y[I,J] Y[I,J]",
    "A[i,j] = X[j,i]\nL = loss(A[:], X[:])",
    "Y[i,j] = f[j](tanh(X[K,i]) + z[K])\nL = Y[I,J] Y[I,J]",
    "Y[i,l,j] = f[j](X[l,K], X[i,K])\nL = Y[I,L,J] Y[I,L,J]",
    "Y[i,j] = g[j](f[K](X[i,M]))\nL = Y[I,J] Y[I,J]",
    "L = f(loss(X[:])) + X[I,J] X[I,J]",
    "Y[i,j] = f[j](1[i] X[K])\nL = Y[I,J] T[I,J]",
    "Y[i,j] = f[j](X[i,K] W[K,M], 2)\nL = Y[I,J] T[I,J]",
    "Y[i] = f(X[i,K] W[K])\nL = Y[I] loss(Y[:]) 1[I]",
    "Y[j] = f[j](X[K])\nL = Y[J] Y[J] |J|",
    "Y[i,j] = f[j](X[i,K])\nL = sum[i](max[j](Y[i,j]))",
    "Y[k] = [f[k](X[M]), X[k]]_k\nL = Y[K] Y[K]",
    "Y[i,j,k] = f'[j,k](X[i,K])\nL = Y[I,J,K] Y[I,J,K]",
    "D[i,k] = ∂Y[i]/∂X[k]\nY[i] = f[i](X[K])\nL = D[I,K] D[I,K]",
]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("text", READ_BACK)
def test_harder_forms_read_back(text: str, order: int) -> None:
    p = es.parse(text)
    g = derivative(p, ["X"], order)
    assert es.parse(f"{p}\n{g}") == g


def derivative(p: es.Program, wrt: list[str], order: int) -> es.Program:
    return p.grad("L", wrt) if order == 1 else p.hessian("L", wrt)


@pytest.mark.parametrize(("text", "wrt", "order", "printed"), [r[1:] for r in PRINTED], ids=[r[0] for r in PRINTED])
def test_printed(text: str, wrt: list[str], order: int, printed: str) -> None:
    assert str(derivative(es.parse(text), wrt, order)) == printed


# ---------------------------------------------------------------- bound


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax1(z: Array) -> Array:
    s = softmax(z)
    return np.einsum("...j,jk->...jk", s, np.eye(s.shape[-1])) - np.einsum("...j,...k->...jk", s, s)


def softmax2(z: Array) -> Array:
    s, slope = softmax(z), softmax1(z)
    outer = np.einsum("...jl,...k->...jkl", slope, s) + np.einsum("...j,...kl->...jkl", s, slope)
    return np.einsum("...jl,jk->...jkl", slope, np.eye(s.shape[-1])) - outer


M = RNG.normal(size=(5, 3))
TANH = {"f": np.tanh, "f'": lambda x: 1 - np.tanh(x) ** 2, "f''": lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2)}
SOFTMAX = {"f": softmax, "f'": softmax1, "f''": softmax2}
PAIR = {
    "f": lambda a, b: a**2 * np.sin(b),
    "f'[1]": lambda a, b: 2 * a * np.sin(b),
    "f'[2]": lambda a, b: a**2 * np.cos(b),
    "f''[1]": lambda a, b: 2 * np.sin(b),
    "f''[1,2]": lambda a, b: 2 * a * np.cos(b),
    "f''[2]": lambda a, b: -(a**2) * np.sin(b),
}
MATRIX = {
    "f": lambda z: (z @ M) ** 2,
    "f'": lambda z: 2 * np.einsum("...j,kj->...jk", z @ M, M),
    "f''": lambda z: np.broadcast_to(2 * np.einsum("kj,lj->jkl", M, M), (*z.shape[:-1], 3, 5, 5)),
}
LOSS = {
    "loss": lambda X, Y: ((X.sum(1) - Y) ** 2).sum(),
    "loss'[1]": lambda X, Y: 2 * (X.sum(1) - Y)[:, None] * np.ones_like(X),
    "loss'[2]": lambda X, Y: 2 * (Y - X.sum(1)),
    "loss''[1]": lambda X, Y: 2 * np.einsum("ik,j,l->ijkl", np.eye(len(Y)), *[np.ones(X.shape[1])] * 2),
    "loss''[1,2]": lambda X, Y: -2 * np.einsum("ik,j->ijk", np.eye(len(Y)), np.ones(X.shape[1])),
    "loss''[2]": lambda X, Y: 2 * np.eye(len(Y)),
}
LENGTH = {"f": lambda z: (z**2).sum(-1), "f'": lambda z: 2 * z, "f''": lambda z: 2 * np.eye(5) + 0 * z[..., None]}

BOUND: list[tuple[str, str, str, list[Mapping[str, Any]]]] = [
    ("entry by entry", "L = f(X[I,J]) T[I,J]", "L = tanh(X[I,J]) T[I,J]", [{"f": "tanh"}, {"f": es.tanh}, TANH]),
    ("of a formula", "L = f(X[I,K] T[J,K]) 1[I] 1[J]", "L = tanh(X[I,K] T[J,K]) 1[I] 1[J]", [{"f": "tanh"}, TANH]),
    ("in itself", "L = f(f(X[I,J])) 1[I] 1[J]", "L = tanh(tanh(X[I,J])) 1[I] 1[J]", [{"f": "tanh"}, TANH]),
    ("two arguments", "L = f(X[I,J], T[I,J]) 1[I] 1[J]", "L = sum[i,j](X[i,j]^2 * sin(T[i,j]))", [PAIR]),
    ("one thing twice", "L = f(X[I,J], X[I,J]) 1[I] 1[J]", "L = sum[i,j](X[i,j]^2 * sin(X[i,j]))", [PAIR]),
    (
        "row by row",
        "Y[i,j] = f[j](X[i,K])\nL = Y[I,J] T[I,J]",
        "L = softmax[J](X[I,J]) T[I,J]",
        [{"f": "softmax"}, {"f": es.softmax}, SOFTMAX],
    ),
    (
        "a new axis that only f has",
        "Y[i,j] = 2 f[j](X[i,K])\nL = Y[I,J] Y[I,J]",
        "Y[i,j] = 2 softmax[j](X[i,j])\nL = Y[I,J] Y[I,J]",
        [{"f": "softmax"}],
    ),
    (
        "a new axis of a size that is given",
        "size j = 3\nY[i,j] = f[j](X[i,K])\nL = Y[I,J] Y[I,J]",
        "Y[i,j] = (X[i,K] M[K,j])^2\nL = Y[I,J] Y[I,J]",
        [MATRIX],
    ),
    (
        "entry by entry, though rows are allowed",
        "Y[i,j] = f[j](X[i,K])\nL = Y[I,J] T[I,J]",
        "L = tanh(X[I,J]) T[I,J]",
        [{"f": "tanh"}],
    ),
    (
        "no new axis",
        "y[i] = f[](X[i,K])^2\nL = y[I] 1[I]",
        "y[i] = sum[k](X[i,k]^2)^2\nL = y[I] 1[I]",
        [LENGTH],
    ),
    ("norm of rows", "L = sum[i](f[](X[i,K]))", "L = 1[I] norm[k](X[I,k])", [{"f": "norm"}]),
    (
        "whole tensors",
        "H[i,j] = tanh(X[i,j])\nY[i] = T[i,J] X[i,J]\nL = loss(H[:], Y[:])^2",
        "H[i,j] = tanh(X[i,j])\nY[i] = T[i,J] X[i,J]\nL = (sum[i]((H[i,J] 1[J] - Y[i])^2))^2",
        [LOSS],
    ),
    (
        "a whole tensor made of the other",
        "Y[i] = X[i,J] X[i,J]\nL = loss(X, Y)",
        "Y[i] = X[i,J] X[i,J]\nL = sum[i]((X[i,J] 1[J] - Y[i])^2)",
        [LOSS],
    ),
]
DATA = {"X": RNG.normal(size=(2, 5)), "T": RNG.normal(size=(2, 5)), "M": M}
IDS = [row[0] for row in BOUND]


def given(p: es.Program) -> dict[str, Array]:
    return {name: DATA[name] for name in p.inputs}


@pytest.mark.parametrize(("opaque", "written", "bindings"), [row[1:] for row in BOUND], ids=IDS)
def test_bound_is_as_written_out(opaque: str, written: str, bindings: list[Mapping[str, Any]]) -> None:
    p, q = es.parse(opaque), es.parse(written)
    verbs: list[Callable[[es.Program], Any]] = [
        lambda r: r["L"],
        lambda r: r.grad("L", "X"),
        lambda r: r.hessian("L", "X"),
        lambda r: r.hvp("L", "X", "V"),
    ]
    for functions in bindings:
        for verb in verbs:
            extra = {"V": DATA["T"]} if verb is verbs[-1] else {}
            got = verb(p).compile(functions=functions)({**given(p), **extra})
            np.testing.assert_allclose(got, verb(q).compile()({**given(q), **extra}), atol=1e-12)


@pytest.mark.parametrize(("opaque", "bindings"), [(row[1], row[3]) for row in BOUND], ids=IDS)
def test_gradients_are_differences(opaque: str, bindings: list[Mapping[str, Any]]) -> None:
    p, functions = es.parse(opaque), bindings[-1]
    value = p.compile("L", functions=functions)
    numeric = finite_difference(lambda a: value(a), given(p), "X")
    np.testing.assert_allclose(p.grad("L", "X").compile(functions=functions)(given(p)), numeric, atol=1e-5)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("opaque", [row[1] for row in BOUND], ids=IDS)
def test_read_back(opaque: str, order: int) -> None:
    """The printed lines are read as the same objects, and are right as formulas of their own."""
    p = es.parse(opaque)
    g = derivative(p, ["X"], order)
    assert es.parse(f"{p}\n{g}") == g
    assert es.parse(str(p)) == p


def test_third_order() -> None:
    p, q = es.parse("L = 1[I] f(x[I])"), es.parse("L = 1[I] tanh(x[I])")
    x, third = RNG.normal(size=3), lambda r: r.hessian("L", "x").jacobian(wrt="x")
    assert "f'''(x[i])" in str(third(p))
    slopes = {**TANH, "f'''": lambda x: (6 * np.tanh(x) ** 2 - 2) * (1 - np.tanh(x) ** 2)}
    for functions in ({"f": "tanh"}, slopes):
        np.testing.assert_allclose(third(p).compile(functions=functions)(x=x), third(q).compile()(x=x), atol=1e-12)


def test_a_formula_of_sympy() -> None:
    cube = es.function("cube", lambda x: x**3 - x)
    p, q = es.parse("L = 1[I] f(x[I])"), es.parse("L = sum[i](x[i]^3 - x[i])")
    x = RNG.normal(size=3)
    for verb in (lambda r: r.grad("L", "x"), lambda r: r.hessian("L", "x")):
        np.testing.assert_allclose(verb(p).compile(functions={"f": cube})(x=x), verb(q).compile()(x=x), atol=1e-12)


SPELLED = [
    ("y[i] = f''(x[i])", TANH, lambda x: TANH["f''"](x)),
    ("y[i] = f''[1,2](x[i], x[i])", PAIR, lambda x: PAIR["f''[1,2]"](x, x)),
    ("y[i] = f'[2](x[i], 1[i])", PAIR, lambda x: PAIR["f'[2]"](x, np.ones(5))),
    ("size j = 5\ny[j,k] = f'[j,k](x[L])", SOFTMAX, lambda x: softmax1(x)),
    ("size j = 5\ny[j,k,l] = f''[j,k,l](x[:])\nz = x[I] 1[I]", SOFTMAX, lambda x: softmax2(x)),
    ("y[i,k] = f'[k](1[i] x[K]) + 0 1[i] x[k] z[i]", LENGTH, lambda x: 2 * np.stack([x, x])),
]


@pytest.mark.parametrize(("text", "functions", "value"), SPELLED, ids=[row[0] for row in SPELLED])
def test_derivatives_that_are_written(text: str, functions: Mapping[str, Any], value: Callable[[Array], Array]) -> None:
    x = RNG.normal(size=5)
    p = es.parse(text)
    arrays = {"x": x, "z": np.ones(2)}
    kernel = p.compile("y", functions=functions)
    np.testing.assert_allclose(kernel({n: arrays[n] for n in p.inputs}), value(x), atol=1e-12)
    assert es.parse(str(p)) == p


# ---------------------------------------------------------------- refused

ERRORS = [
    ("y = f'(X[:])\nz = X[I,J] X[I,J]", es.EinstanIndexError, "2 axes of what it is taken by"),
    ("y[i] = f'(X[:])\nz = X[I,J] X[I,J]", es.EinstanIndexError, "f'[i,j](...)"),
    ("y = f'[2](x)", es.EinstanSyntaxError, "in which of its 1 arguments"),
    ("y = f''[2,1](a, b)", es.EinstanSyntaxError, "in their order"),
    ("y = f''[1,2,2](a, b)", es.EinstanSyntaxError, "in which"),
    ("y = f''(a, b)", es.EinstanSyntaxError, "in which"),
    ("y[i] = x'[2]", es.EinstanSyntaxError, "number"),
    ("y[i] = x[]", es.EinstanSyntaxError, "index"),
]


@pytest.mark.parametrize(("text", "kind", "said"), ERRORS, ids=[row[0] for row in ERRORS])
def test_errors_of_text(text: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        es.parse(text)
    assert said in str(caught.value) and "^" in str(caught.value)


ROWS = "Y[i,j] = 2 f[j](X[i,K])\nL = Y[I,J] T[I,J]"
REFUSED = [
    (ROWS, {}, es.EinstanNameError, "called with an array [i, k] and returns [i, j]"),
    (ROWS, {"f": softmax}, es.EinstanDerivativeError, """functions={"f'": ...}"""),
    (ROWS, {"f": softmax}, es.EinstanDerivativeError, "called with an array [i, k] and returns [i, j, k]"),
    ("L = 1[I] f(x[I])", {"f": np.tanh}, es.EinstanDerivativeError, "returns [i] entry by entry"),
    (ROWS, {"f": "sofmax"}, es.EinstanNameError, "no function of the language"),
    (ROWS, {"f": 3}, es.EinstanNameError, "bound to int"),
    (ROWS, {"f'": "tanh"}, es.EinstanNameError, "Bind f itself"),
    (ROWS, {"f'[0]": np.tanh}, es.EinstanNameError, "no derivative"),
    (ROWS, {"f": "logsumexp"}, es.EinstanShapeError, "axes"),
    (ROWS, {"f": "max"}, es.EinstanShapeError, "axes"),
    ("L = 1[I] f(x[I])", {"f": "softmax"}, es.EinstanShapeError, "axes"),
    ("L = f[J](x[K]) f[J](x[K])", SOFTMAX, es.EinstanShapeError, "size j = 5"),
    ("size j = 4\nsize k = 3\nL = sum[j](f[j](x[K]))\ny[k] = x[k]", {"f": "softmax"}, es.EinstanShapeError, "4"),
]


@pytest.mark.parametrize(("text", "functions", "kind", "said"), REFUSED)
def test_errors_of_binding(text: str, functions: Mapping[str, Any], kind: type[Exception], said: str) -> None:
    p = es.parse(text)
    with pytest.raises(kind) as caught:
        p.grad("L", "x" if "x" in p.inputs else "X").compile(functions=functions)
    assert said in str(caught.value)


def test_unknown_functions_and_keys() -> None:
    with pytest.raises(es.EinstanNameError, match="Did you mean loss"):
        bindings_of({"los": np.tanh}, ["loss", "f"])
    assert bindings_of({"f": "tanh"}, ["f"]) == Bindings({"f": "tanh"}, {})
    keys = ["f", "f'", "f'[2]", "f''[1, 2]", "f''[2]", "σ'_m", "σ_m'"]
    found = [read_key(key) for key in keys]
    assert found == [("f", ()), ("f", (0,)), ("f", (1,)), ("f", (0, 1)), ("f", (1, 1)), ("σ_m", (0,)), ("σ_m", (0,))]


def test_sizes_that_a_binding_decides_are_checked() -> None:
    """softmax gives as many entries as it takes: T has to have them too."""
    k = es.parse("Y[i,j] = f[j](X[i,K])\nL = Y[I,J] T[I,J]").compile("L", functions={"f": "softmax"})
    assert k(X=np.ones((2, 3)), T=np.ones((2, 3))) == pytest.approx(2)
    with pytest.raises(es.EinstanShapeError, match=r"4|3"):
        k(X=np.ones((2, 3)), T=np.ones((2, 4)))


# ---------------------------------------------------------------- what a callable may do

SUM = es.parse("y[i] = f(x[i]) + x[i]")
X5 = np.arange(5.0)


def run(function: Callable[..., Any], x: Array = X5) -> Array:
    found: Array = SUM.compile("y", functions={"f": function})(x=x)
    return found


def test_inputs_cannot_be_written() -> None:
    def greedy(x: Array) -> Array:
        x += 1
        return x

    with pytest.raises(ValueError, match="read-only"):
        run(greedy)
    np.testing.assert_array_equal(X5, np.arange(5.0))


def test_results_are_copied() -> None:
    kept = np.full(5, 2.0)
    k = es.parse("y[i] = f(x[i])").compile("y", functions={"f": lambda x: kept})
    first = k(x=X5)
    first += 1
    np.testing.assert_array_equal(k(x=X5), np.full(5, 2.0))
    same = es.parse("y[i] = f(x[i])").compile("y", functions={"f": lambda x: x})
    assert not np.shares_memory(same(x=X5), X5)


BAD_RESULTS = [
    (lambda x: x[1:], es.EinstanShapeError, r"f returned an array of shape \(4,\), and \(5,\) is wanted"),
    (lambda x: 1.0, es.EinstanShapeError, r"shape \(\)"),
    (lambda x: x + 1j, es.EinstanShapeError, "complex"),
    (lambda x: np.array(["a"] * 5), es.EinstanShapeError, "result of f"),
    (lambda x: None, es.EinstanShapeError, "result of f"),
    (lambda x: 1 / 0, ZeroDivisionError, "zero"),
]


@pytest.mark.parametrize(("function", "kind", "said"), BAD_RESULTS)
def test_bad_results(function: Callable[..., Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        run(function)


def test_an_exception_leaves_the_kernel_usable() -> None:
    calls: list[int] = []

    def moody(x: Array) -> Array:
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("mine")
        return 2 * x

    k = SUM.compile("y", functions={"f": moody})
    with pytest.raises(KeyError, match="mine"):
        k(x=X5)
    np.testing.assert_array_equal(k(x=X5), 3 * X5)


@pytest.mark.parametrize(("given", "seen"), [("float32", "float32"), ("float64", "float64"), ("int64", "float64")])
def test_dtypes(given: str, seen: str) -> None:
    dtypes: list[str] = []

    def recording(x: Array) -> Array:
        dtypes.append(x.dtype.name)
        return np.ones(5, np.float64)

    assert run(recording, X5.astype(given)).dtype.name == seen
    assert dtypes == [seen]


def test_shapes_as_agreed() -> None:
    """Axes that ride along in the order of the left side, then those seen; the result likewise."""
    shapes: list[tuple[int, ...]] = []

    def recording(*arrays: Array) -> Array:
        shapes.extend(a.shape for a in arrays)
        return np.zeros((2, 3, 7))

    p = es.parse("Y[t,i,j] = f[j](Z[i,t,K], v[i], W[:])\nL = Y[T,I,J] G[T,I,J] + W[A,B] W[A,B]")
    arrays = {"Z": np.ones((3, 2, 5)), "v": np.ones(3), "W": np.ones((4, 6)), "G": np.ones((2, 3, 7))}
    p.compile("L", functions={"f": recording})(arrays)
    assert shapes == [(2, 3, 5), (2, 3), (2, 3, 4, 6)]


def test_source_names_no_user_name() -> None:
    k = es.parse("y[i] = evil(x[i])").compile("y", functions={"evil": np.tanh})
    code = [line.split("#")[0] for line in k.source.splitlines()]
    assert any("f0(v" in line for line in code) and not any("evil" in line for line in code)
    assert any("f0:" in line and "evil" in line for line in k.source.splitlines())


def test_kernels_with_callables_pickle_by_value() -> None:
    k = pickle.loads(pickle.dumps(SUM.compile("y", functions={"f": np.tanh})))
    np.testing.assert_allclose(k(x=X5), np.tanh(X5) + X5)


def test_many_threads() -> None:
    k = SUM.compile("y", functions={"f": np.tanh})
    found: dict[int, Array] = {}

    def work(n: int) -> None:
        found[n] = k(x=X5 + n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(8):
        np.testing.assert_allclose(found[n], np.tanh(X5 + n) + X5 + n)
