"""Functions of matrices: values, derivatives to second order, laws, kernels that share, errors; a Gaussian process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.backends.numpy import MATRICES
from einstan.dims import Dim
from einstan.ir import zeros
from einstan.prims.linalg import INV
from einstan.prims.scalar import EXP
from einstan.symmetric import is_symmetric
from einstan.testing import finite_difference

from .test_gradients import as_definitions
from .test_memory import right

Arrays = dict[str, np.ndarray]
SIZES = {"i": 4, "j": 4, "k": 4, "p": 4, "m": 3, "n": 2}


def arrays_for(p: es.Program, seed: int = 0) -> Arrays:
    """Entries of every input; S is definite, the others are regular."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, axes in p.inputs.items():
        x = rng.standard_normal([SIZES[a] for a in axes])
        found[name] = x @ np.swapaxes(x, -1, -2) + 4 * np.eye(4) if name == "S" else x
    return found


def relative(got: Any, want: Any) -> float:
    return float(np.abs(got - want).max(initial=0) / max(1e-3, np.abs(want).max(initial=0)))


def steps(kernel: es.Kernel) -> list[str]:
    return [step.op for step in kernel.steps if not step.is_view]


# ---------------------------------------------------------------- values

la = np.linalg
VALUES: list[tuple[str, Callable[..., Any]]] = [
    ("y[i,j] = inv[i,j](A[i,j])", lambda A: la.inv(A)),
    ("y[i,j] = inv[j,i](A[i,j])", lambda A: la.inv(A)),
    ("y[i,j] = inv[i,j](A[j,i])", lambda A: la.inv(A).T),
    ("y[n,i,j] = inv[i,j](B[n,i,j])", lambda B: la.inv(B)),
    ("y[n,j,i] = inv[i,j](B[n,i,j])", lambda B: la.inv(B).transpose(0, 2, 1)),
    ("y[n,i,j] = inv[i,j](C[i,n,j])", lambda C: la.inv(C.transpose(1, 0, 2))),
    ("y = 1[I] inv[I,J](A[I,J]) 1[J]", lambda A: la.inv(A).sum()),
    ("y = det[i,j](A[i,j])", la.det),
    ("y[n] = det[i,j](B[n,i,j])", lambda B: la.det(B)),
    ("y = logdet[i,j](A[i,j])", lambda A: la.slogdet(A)[1]),
    ("y[n] = logdet[j,i](B[n,i,j])", lambda B: la.slogdet(B)[1]),
    ("y = trace[i,j](A[i,j])", np.trace),
    ("y[n] = trace[i,j](B[n,i,j])", lambda B: np.trace(B, 0, 1, 2)),
    ("y[j] = solve[i,j](A[i,j], b[i])", lambda A, b: la.solve(A, b)),
    ("y[i] = solve[j,i](A[i,j], b[j])", lambda A, b: la.solve(A.T, b)),
    ("y[j,m] = solve[i,j](A[i,j], c[i,m])", lambda A, c: la.solve(A, c)),
    ("y[j,m,n] = solve[i,j](A[i,j], d[n,i,m])", lambda A, d: np.einsum("ji,nim->jmn", la.inv(A), d)),
    ("y[n,j] = solve[i,j](B[n,i,j], b[i])", lambda B, b: la.inv(B) @ b),
    ("y[j,m,n] = solve[i,j](B[n,i,j], d[n,i,m])", lambda B, d: la.solve(B, d).transpose(1, 2, 0)),
    ("y = solve[i,J](A[i,J], b[i]) b[J]", lambda A, b: b @ la.solve(A, b)),
    ("y[i,j] = cholesky[i,j](S[i,j])", lambda S: la.cholesky(S)),
    ("y[i,j] = cholesky[j,i](S[i,j])", lambda S: la.cholesky(S).T),
    ("y[i,j] = tril[i,j](A[i,j])", np.tril),
    ("y[i,j] = tril[j,i](A[i,j])", np.triu),
]


@pytest.mark.parametrize(("text", "want"), VALUES, ids=[text for text, _ in VALUES])
def test_values(text: str, want: Callable[..., Any]) -> None:
    p = es.parse(text)
    arrays = arrays_for(p)
    np.testing.assert_allclose(p.run("y", **arrays), want(*arrays.values()), rtol=1e-12, atol=1e-12)
    assert es.parse(str(p)) == p and es.parse(p.latex()) == p


def test_python_and_text_are_one() -> None:
    A, b = es.tensors("A[i,j] b[i,m]")
    i, j, m, J, K, M = es.indices("i j m J K M")
    built = es.program(x=es.solve[i, j](A[i, j], b[i, m]), t=es.inv[J, K](A[J, K]) * b[K, M] * b[J, M])
    assert built == es.parse("x[j,m] = solve[i,j](A[i,j], b[i,m])\nt = inv[J,K](A[J,K]) b[K,M] b[J,M]")


DTYPES = [("f4", "f4"), ("f8", "f8"), ("f2", "f2"), ("i4", "f8"), ("?", "f8")]


@pytest.mark.parametrize(("given", "result"), DTYPES)
@pytest.mark.parametrize("name", ["inv", "det", "logdet", "solve", "cholesky"])
def test_dtypes(name: str, given: str, result: str) -> None:
    left = {"det": "y", "logdet": "y", "solve": "y[j]"}.get(name, "y[i,j]")
    p = es.parse(f"{left} = {name}[i,j](A[i,j]{', b[i]' * (name == 'solve')})")
    arrays = {"A": np.eye(3, dtype=given), "b": np.ones(3, given)}
    assert p.run("y", **{x: arrays[x] for x in p.inputs}).dtype == result


EMPTY = [("y[i,j] = inv[i,j](A[i,j])", (0, 0)), ("y = det[i,j](A[i,j])", ()), ("y = logdet[i,j](A[i,j])", ())]
EMPTY += [("y[j,i] = solve[k,j](A[k,j], A[k,i])", (0, 0)), ("y[i,j] = cholesky[i,j](A[i,j])", (0, 0))]


@pytest.mark.parametrize(("text", "shape"), EMPTY)
def test_empty_matrices(text: str, shape: tuple[int, ...]) -> None:
    got = es.parse(text).run("y", A=np.zeros((0, 0)))
    assert got.shape == shape
    assert shape or got == (0 if "logdet" in text else 1)


def test_no_matrix_and_no_column() -> None:
    assert es.parse("y[n] = det[i,j](A[n,i,j])").run("y", A=np.zeros((0, 2, 2))).shape == (0,)
    x = es.parse("y[j,m] = solve[i,j](A[i,j], b[i,m])").run("y", A=np.eye(2), b=np.zeros((2, 0)))
    assert x.shape == (2, 0)


def test_determinants_of_a_singular_matrix() -> None:
    p = es.parse("d = det[i,j](A[i,j])\nl = logdet[i,j](A[i,j])\nn = log(det[i,j](A[i,j]))")
    found = p.compile(["d", "l", "n"])(A=np.ones((2, 2)))
    assert found["d"] == 0 and found["l"] == found["n"] == -np.inf
    turned = p.compile(["l", "n"])(A=[[0.0, 1.0], [1.0, 0.0]])
    assert turned["l"] == 0 and np.isnan(turned["n"])


def test_log_of_a_determinant_that_no_float_holds() -> None:
    """Value, gradient and Hessian times a vector, as naively spelled."""
    p = es.parse("L = log(det[i,j](A[i,j])) / 2 - log(3 / sqrt(det[i,j](A[i,j])))")
    rng = np.random.default_rng(0)
    A, V = 1e3 * (np.eye(200) + rng.standard_normal((200, 200)) / 100), rng.standard_normal((200, 200))
    inverse = la.inv(A)
    np.testing.assert_allclose(p.run("L", A=A), la.slogdet(A)[1] - np.log(3), rtol=1e-12)
    np.testing.assert_allclose(p.grad("L", "A").run(A=A), inverse.T, rtol=1e-9, atol=1e-15)
    got = p.hvp("L", "A", "V").run(A=A, V=V)
    np.testing.assert_allclose(got, -(inverse @ V @ inverse).T, rtol=1e-9, atol=1e-15)


BESIDE = [  # of a product with a root, an even power or the absolute value: less log(c), the log of the determinant
    ("log((2 pi)^-60 c exp(-2) / sqrt(det[i,j](A[i,j])))", -0.5, -60 * np.log(2 * np.pi) - 2),
    ("log(c / sqrt(det[i,j](A[i,j])))", -0.5, 0),
    ("log(2 c abs(det[i,j](A[i,j])))", 1, np.log(2)),
    ("log(c / det[i,j](A[i,j])^2)", -2, 0),
    ("log(c (det[i,j](A[i,j])^2)^(1/3))", 2 / 3, 0),
]


@pytest.mark.parametrize(("text", "power", "rest"), BESIDE)
@pytest.mark.parametrize("sign", [1, -1])
def test_log_of_a_product_with_a_determinant(text: str, power: float, rest: float, sign: int) -> None:
    A = 1e-3 * np.diag([sign, *[1.0] * 119])
    want = power * 120 * np.log(1e-3) + rest + np.log(3.0)
    got = es.parse("L = " + text).run("L", A=A, c=3.0)
    assert got == pytest.approx(want if sign > 0 or "sqrt" not in text else np.nan, nan_ok=True, rel=1e-12)


# ---------------------------------------------------------------- derivatives

DERIVED = [
    "L = C[I,J] inv[I,J](A[I,J])",
    "L = sum[n](b[I] inv[I,J](B[n,I,J]) e[n,J])",
    "L = det[i,j](A[i,j])",
    "L = sum[n](det[i,j](B[n,i,j])^2)",
    "L = logdet[i,j](A[i,j]) + trace[i,j](A[i,K] A[K,j])",
    "L = log(det[i,j](A[i,K] A[j,K]))",
    "x[j] = solve[i,j](A[i,j], b[i])\nL = x[J] x[J]",
    "x[j,m] = solve[i,j](A[i,j], c[i,m])\nL = sin(x[J,M]) x[J,M]",
    "x[n,j] = solve[i,j](B[n,i,j], b[i])\nL = sum[n,j](x[n,j]^3)",
    "x[n,j,m] = solve[i,j](B[n,i,j], d[n,i,m])\nL = x[N,J,M] x[N,J,M]",
    "c[i,j] = cholesky[i,j](S[i,j])\nL = C[I,J] c[I,J]",
    "c[i,j] = cholesky[i,j](A[i,K] A[j,K] + delta[i,j])\nL = sum[i,j](c[i,j]^3)",
    "L = sum[i](tril[i,J](A[i,J]) b[J] b[i])",
    "L = b[I] inv[I,J](A[I,J]) C[J,K] inv[K,P](A[K,P]) f[P]",
    "L = sum[i](sum[j](solve[k,j](A[k,j], C[k,i]) delta[i,j])^2)",
    "L = sum[j](solve[i,j](A[i,j] f[j], b[i]) f[j])",
    "L = det[i,j](cholesky[i,j](inv[i,j](A[i,K] A[j,K] + 3 delta[i,j])))",
    "L = sum[i,j](inv[i,j](2 delta[i,j] + b[i] f[j] / 9))",
]


@pytest.mark.parametrize("text", DERIVED)
def test_derivatives(text: str) -> None:
    """Gradients by differences, as kernels and as the printed lines; Hessians by differences of gradients."""
    p = es.parse(text)
    arrays, names = arrays_for(p), list(p.inputs)
    value, printed = p.compile("L"), p.grad("L", names)
    lines, fresh = as_definitions(str(printed), "L", [*p.names, *names])
    again = es.parse(f"{p}\n{lines}").compile([fresh[name] for name in names])(arrays)
    assert es.parse(f"{p.latex()}\n{printed.latex()}") == es.parse(f"{p}\n{printed}")
    for name, slope in printed.compile()(arrays).items():
        assert relative(slope, finite_difference(value, arrays, name)) < 1e-6, name
        assert relative(again[fresh[name]], slope) < 1e-9, f"{name} as printed:\n{printed}"
        own = p.grad("L", name).compile()
        hessian = p.hessian("L", name).run(**arrays)
        assert relative(hessian, finite_difference(own, arrays, name)) < 1e-6, name


PRINTED = [
    ("L = logdet[i,j](A[i,j])", "A", "∂L/∂A[i,j] = inv[j,i](A[j,i])"),
    ("L = det[i,j](A[i,j])", "A", "∂L/∂A[i,j] = L inv[j,i](A[j,i])"),
    ("L = trace[i,j](A[i,K] B[K,j])", "A", "∂L/∂A[i,k] = B[k,i]"),
    ("L = solve[i,J](A[i,J], b[i]) c[J]", "b", "∂L/∂b[i] = solve[j,i](A[i,j], c[j])"),
    ("L = c[I] inv[I,J](A[I,J]) b[J]", "b", "∂L/∂b[j] = solve[k,j](A[j,k], c[k])"),
    (
        "L = c[I] inv[I,J](A[I,J]) b[J]",
        "A",
        "∂L/∂A[i,j] = -solve[k,j](A[k,j], b[k]) solve[k,i](A[i,k], c[k])",
    ),
    ("L = b[I] inv[I,J](inv[J,I](A[J,I])) c[J]", "b", "∂L/∂b[i] = A[J,i] c[J]"),
]


@pytest.mark.parametrize(("text", "wrt", "printed"), PRINTED)
def test_printed(text: str, wrt: str, printed: str) -> None:
    assert str(es.parse(text).grad("L", wrt)) == printed


def test_the_triangle_that_cholesky_reads() -> None:
    """What stands above the diagonal counts neither for the value nor for the derivative."""
    p = es.parse("C[i,j] = cholesky[i,j](S[i,j])\nL = W[I,J] C[I,J]")
    arrays = {"S": np.array([[4.0, 99.0], [1.0, 3.0]]), "W": np.array([[1.0, 7.0], [2.0, 3.0]])}
    np.testing.assert_allclose(p.run("C", S=arrays["S"]), la.cholesky([[4.0, 1.0], [1.0, 3.0]]))
    slope = p.grad("L", "S").run(**arrays)
    assert slope[0, 1] == 0 and relative(slope, finite_difference(p.compile("L"), arrays, "S")) < 1e-8


def test_against_jax() -> None:
    """Values, gradients and Hessians; jax's cholesky is given what the lower triangle stands for."""
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        jnp = jax.numpy
        symmetric = lambda S: jnp.tril(S) + jnp.tril(S, -1).T  # noqa: E731
        rows: list[tuple[str, Callable[..., Any]]] = [
            ("L = C[I,J] inv[I,J](A[I,J])", lambda A, C: (C * jnp.linalg.inv(A)).sum()),
            ("L = logdet[i,j](A[i,j])", lambda A: jnp.linalg.slogdet(A)[1]),
            ("L = det[i,j](A[i,j])", lambda A: jnp.linalg.det(A)),
            ("L = sum[j,m](solve[i,j](A[i,j], c[i,m])^3)", lambda A, c: (jnp.linalg.solve(A, c) ** 3).sum()),
            (
                "L = sum[i,j](C[i,j] sin(cholesky[i,j](S[i,j])))",
                lambda S, C: (C * jnp.sin(jnp.linalg.cholesky(symmetric(S)))).sum(),
            ),
        ]
        for text, loss in rows:
            p = es.parse(text)
            arrays = arrays_for(p)
            name = next(iter(p.inputs)) if "S" not in p.inputs else "S"
            of = lambda x, n=name, f=loss, a=arrays: f(**{**a, n: x})  # noqa: E731
            assert relative(p.grad("L", name).run(**arrays), jax.grad(of)(arrays[name])) < 1e-9, text
            assert relative(p.hessian("L", name).run(**arrays), jax.hessian(of)(arrays[name])) < 1e-9, text


# ---------------------------------------------------------------- what kernels do

SOLVED = [  # the kernel of a gradient, the functions of matrices that it calls
    ("L = c[I] inv[I,J](A[I,J]) b[J]", "b", ["solve"]),
    ("L = c[I] inv[I,J](A[I,J]) b[J]", "A", ["solve", "solve"]),
    ("L = c[I] inv[I,J](A[I,J]) d[J,M] f[M]", "A", ["solve", "solve"]),
    ("x[j] = solve[i,j](A[i,j], b[i])\nL = x[J] x[J]", "A", ["solve", "solve"]),
    ("L = sum[j,m](inv[j,I](A[j,I]) d[I,m])", "d", ["solve"]),
    ("L = sum[i,k](inv[i,J](A[i,J]) exp(C[J,k]))", "C", ["solve"]),
    ("L = C[I,J] inv[I,J](A[I,J])", "A", ["inv"]),
    ("L = log(det[i,j](A[i,j]))", "A", ["inv"]),
    ("L = sum[i,j](inv[i,j](delta[i,j] f[j]))", "f", []),
    ("L = f[I] inv[I,J](inv[J,I](A[J,I])) b[J]", "A", []),
]


@pytest.mark.parametrize(("text", "wrt", "called"), SOLVED)
def test_no_inverse_where_a_solution_serves(text: str, wrt: str, called: list[str]) -> None:
    k = es.parse(text).grad("L", wrt).compile()
    assert sorted(op for op in steps(k) if op in MATRICES) == called


def test_a_transposed_matrix_is_read_as_a_view() -> None:
    k = es.parse("y[i] = solve[j,i](A[i,j], b[j])").compile("y")
    assert [step.op for step in k.steps] == ["transpose", "solve"]


COSTS = [
    ("y[i,j] = inv[i,j](A[i,j])", 2 * 6**3),
    ("y = det[i,j](A[i,j])", 2 * 6**3 // 3),
    ("y = logdet[i,j](A[i,j])", 2 * 6**3 // 3),
    ("y[i,j] = cholesky[i,j](A[i,j])", 6**3 // 3),
    ("y[j,m] = solve[i,j](A[i,j], b[i,m])", 2 * 6**3 // 3 + 2 * 6**2 * 5),
    ("y[n,j,m] = solve[i,j](B[n,i,j], b[i,m])", 7 * (2 * 6**3 // 3 + 2 * 6**2 * 5)),
]


@pytest.mark.parametrize(("text", "flops"), COSTS)
def test_flops(text: str, flops: int) -> None:
    p = es.parse(text)
    sizes = {"i": 6, "j": 6, "m": 5, "n": 7}
    k = p.compile("y", sizes={axis: sizes[axis] for axes in p.inputs.values() for axis in axes})
    assert k.cost.flops == sum(step.flops for step in k.steps) == flops
    assert k.cost.seconds > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("text", [text for text, _ in COSTS])
def test_peak_memory(text: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EINSTAN_NUM_THREADS", "1")
    rng = np.random.default_rng(0)
    shapes = {"A": (300, 300), "B": (20, 60, 60), "b": (300 if "A[" in text else 60, 40)}
    p = es.parse(text)
    arrays = {name: rng.standard_normal(shapes[name]).astype(dtype) for name in p.inputs}
    if "cholesky" in text:
        arrays["A"] = arrays["A"] @ arrays["A"].T + np.eye(300, dtype=dtype)
    assert right(p.compile("y"), arrays)


def test_batches_are_computed_in_stretches_where_memory_is_short() -> None:
    p = es.parse("C[n,i,j] = inv[i,j](exp(B[n,i,j]) + 9 delta[i,j])\nL = C[N,I,J] C[N,J,I]")
    B = np.random.default_rng(0).standard_normal((64, 30, 30))
    short = p.compile("L", memory_limit="200kB")
    np.testing.assert_allclose(short(B=B), p.compile("L")(B=B), rtol=1e-12)
    assert short.cost.peak_bytes < 200_000 < p.compile("L", sizes={"n": 64, "i": 30, "j": 30}).cost.peak_bytes


# ---------------------------------------------------------------- errors

RAISED = [
    ("y[i,j] = inv[i,j](A[i,j] A[j,i])", "Singular matrix in the step", "= inv("),
    ("y[j] = exp(solve[i,j](A[i,j], A[i,K] 1[K]))", "Singular matrix in the step", "= solve("),
    ("y[i,j] = cholesky[i,j](-exp(A[i,j]))", "Matrix is not positive definite in the step", "= cholesky("),
]


@pytest.mark.parametrize(("text", "said", "step"), RAISED)
def test_matrices_without_a_result(text: str, said: str, step: str) -> None:
    """The step is named by its formula, in a call, in arrays that are given, and in what is made once."""
    k = es.parse(text).compile("y")
    calls = [lambda: k(A=np.ones((2, 2))), lambda: k.into(np.empty(k(A=np.eye(2)).shape), A=np.ones((2, 2)))]
    for call in calls[: 1 if "cholesky" in text else 2]:
        with pytest.raises(es.EinstanError) as caught:
            call()
        assert said in caught.value.message and step in caught.value.message and caught.value.repair
        assert caught.value.message.split("the step ")[1].rstrip(".") in k.source
    constant = es.parse("size i = 2; size j = 2\ny[i,j] = inv[i,j](1[i] 1[j])")
    with pytest.raises(es.EinstanError, match=r"Singular matrix in the step .* = inv"):
        constant.run("y")


MISTAKES = [
    ("y[i,j] = inv(A[i,j])", "rows and the columns", ["inv(A[i,j])"]),
    ("y[i,j] = inv[i](A[i,j])", "rows and the columns", ["inv[i](A[i,j])"]),
    ("y[i,j] = inv[i,j](A[i,j], A[i,j])", "rows and the columns", ["inv[i,j](A[i,j], A[i,j])"]),
    ("y = det'[i,j](A[i,j])", "rows and the columns", ["det'[i,j](A[i,j])"]),
    ("y[j] = solve[i,j](A[i,j])", "rows and the columns", ["solve[i,j](A[i,j])"]),
    ("y[i,j] = inv[i,i](A[i,j])", "two different indices", ["inv[i,i](A[i,j])"]),
    ("y[i,j] = inv[i,k](A[i,j])", "k is no index", ["k"]),
    ("y = det[k,j](A[i,K] B[K,j] u[i])", "k is no index", ["k"]),
    ("y[j] = solve[i,j](A[i,j], b[j])", "i is no index", ["i"]),
    ("y[j] = solve[i,j](A[i,j], b[i,j])", "in the place of i", ["j", "j"]),
    ("size i = 2; size j = 3\ny = det[i,j](A[i,j])", "The size of i and j in det is 2 in A, 3 in A", ["i", "j"]),
]


@pytest.mark.parametrize(("text", "said", "places"), MISTAKES)
def test_mistakes(text: str, said: str, places: list[str]) -> None:
    with pytest.raises(es.EinstanError) as caught:
        es.parse(text)
    error = caught.value
    assert said in error.message and error.repair
    assert [error.source[s.start : s.end] for s in error.spans] == places


def test_a_matrix_that_is_not_square() -> None:
    p = es.parse("y = logdet[i,j](A[i,K] B[K,j])")
    with pytest.raises(es.EinstanShapeError, match="The size of i and j in logdet is 2 in A, 4 in B"):
        p.run("y", A=np.ones((2, 3)), B=np.ones((3, 4)))


def test_sympy_has_the_trace_alone() -> None:
    import sympy

    i, n = sympy.Symbol("i", integer=True), sympy.Symbol("n_i", integer=True, positive=True)
    A = sympy.IndexedBase("A", shape=(n, n), real=True)
    p = es.parse("t = trace[i,j](A[i,j])\nX[i,j] = inv[i,j](A[i,j])")
    assert p["t"].to_sympy() == sympy.Sum(A[i, i], (i, 0, n - 1))
    with pytest.raises(es.EinstanError, match="inv along an index has no form in sympy"):
        p["X"].to_sympy()


# ---------------------------------------------------------------- a Gaussian process

PROCESS = Path(__file__).parent.parent / "examples" / "gaussian_process.ein"


def test_a_gaussian_process_factors_its_matrix_for_each_function_once() -> None:
    """K is symmetric by its formula: one solution and one inverse serve all gradients."""
    p = es.parse(PROCESS.read_text("utf-8"))
    k = p.value_and_grad("L", ["s", "l", "noise", "x", "y"]).compile()
    assert sorted(op for op in steps(k) if op in MATRICES) == ["inv", "logdet", "solve"]
    n = 128
    assert k.cost.flops < (2 + 2 / 3 + 2 / 3) * n**3 + 20 * 128 * n**2


def test_gradients_of_a_gaussian_process_as_printed() -> None:
    p = es.parse(PROCESS.read_text("utf-8"))
    assert "∂L/∂K[i,j] = inv[j,i](K[j,i]) / 2 - a[j] solve[k,i](K[i,k], ∂L/∂a[k])" in str(p.grad("L", "s"))


def test_zero_is_symmetric() -> None:
    n = Dim.symbol("n")
    assert is_symmetric(INV(EXP(zeros((n, n)))))


def test_symmetric_only_by_form() -> None:
    """exp(u v) is no symmetric matrix, and its transpose has another solution."""
    p = es.parse("x[j] = solve[i,j](exp(b[i] f[j]), b[i])\nL = x[J] b[J]")
    assert steps(p.grad("L", "b").compile()).count("solve") == 2
    q = es.parse("x[j] = solve[i,j](exp(-(b[i] - b[j])^2), f[i])\nL = x[J] f[J]")
    assert steps(q.grad("L", "b").compile()).count("solve") == 1
