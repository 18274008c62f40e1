"""es.newton and es.root: minima and roots that are known otherwise, how many steps they take, and why a search ends."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.solvers.descent import Status
from einstan.solvers.directions import conjugate_gradients
from einstan.solvers.results import Record
from einstan.solvers.spectrum import extremes, norm

rng = np.random.default_rng(0)
LOGISTIC = """
    z[n] = X[n,K] w[K]
    L = sum[n](softplus(z[n])) - t[N] z[N] + r w[K] w[K] / 2
"""
SOFTMAX = "L = -T[B,C] log_softmax[C](X[B,K] W[K,C])"
SQUARES = """
    R[a,j] = X[a,K] W[K,j] - T[a,j]
    L = R[A,J] R[A,J] / 2
"""
FACTORS = """
    R[i,j] = M[i,j] (T[i,j] - U[i,K] V[j,K])
    L = R[I,J] R[I,J] + r U[I,K] U[I,K] + r V[J,K] V[J,K]
"""
NET = """
    H[b,j] = tanh(X[b,K] W[K,j] + c[j])
    L = -T[B,M] log_softmax[M](H[B,J] V[J,M]) + (W[K,J] W[K,J] + V[J,M] V[J,M]) / 100
"""
ROSENBROCK = "L = (1 - x)^2 + 100 (y - x^2)^2"


def logistic(n: int, m: int, ridge: float) -> dict[str, Any]:
    """Targets drawn with the probabilities of a model: they overlap."""
    draw = np.random.default_rng(n)
    X, w = draw.normal(size=(m, n)), draw.normal(size=n) / n**0.5
    return {"X": X, "t": (draw.random(m) < 1 / (1 + np.exp(-X @ w))).astype(float), "r": ridge}


def logistic_gradient(w: Any, data: Mapping[str, Any]) -> Any:
    p = 1 / (1 + np.exp(-data["X"] @ w))
    return data["X"].T @ (p - data["t"]) + data["r"] * w


# ---------------------------------------------------------------- minima


@pytest.mark.parametrize(("n", "m", "ridge"), [(50, 100, 0.1), (200, 400, 0.1), (1000, 2000, 0.1), (50, 400, 0.0),
                                               (200, 1000, 0.0)])  # fmt: skip
def test_logistic_regression_in_a_dozen_iterations(n: int, m: int, ridge: float) -> None:
    data = logistic(n, m, ridge)
    found = es.newton(es.parse(LOGISTIC), "L", wrt="w", start=np.zeros(n), data=data)
    assert found.success and found.status == Status.CONVERGED
    assert found.nit <= 12 and found.nhev == found.nit
    assert np.linalg.norm(found.jac) <= 1e-10
    assert np.linalg.norm(logistic_gradient(found.x, data)) < 1e-9


@pytest.mark.parametrize("wrt", ["W", ["W"]])
def test_one_step_solves_least_squares(wrt: Any) -> None:
    X, T = rng.normal(size=(13, 5)), rng.normal(size=(13, 3))
    found = es.newton(es.parse(SQUARES), "L", wrt, start={"W": np.zeros((5, 3))}, data={"X": X, "T": T})
    assert found.success and found.nit == 1
    np.testing.assert_allclose(found.x if wrt == "W" else found.x["W"], np.linalg.lstsq(X, T)[0], rtol=1e-10)


# text, wrt, start, other arrays, what is reached: the minimum's value, within so many steps
MINIMA = [
    (ROSENBROCK, ["x", "y"], {"x": -1.2, "y": 1.0}, {}, 0.0, 30),
    ("L = x^4 - x^2", "x", 0.1, {}, -0.25, 10),  # the curvature is negative there
    ("L = x^4 - x^2", "x", 0.0, {}, -0.25, 10),  # a maximum
    ("L = x^2 - y^2 + y^4", ["x", "y"], {"x": 0.0, "y": 0.0}, {}, -0.25, 10),  # a saddle
    ("L = x^2 - y^2 + y^4", ["x", "y"], {"x": 1.0, "y": 0.0}, {}, -0.25, 10),  # the way leads to a saddle
    ("L = x^4", "x", 1.0, {}, 0.0, 30),  # no curvature at the minimum
    ("L = sqrt(1 + x^2)", "x", 3.0, {}, 1.0, 20),  # a whole step is much too long
    ("L = exp(x) + exp(-x) + 1000000", "x", 2.0, {}, 1000002.0, 10),  # rounding hides the descent
    ("L = 1000000 + x^4 - x^2", "x", 1e-7, {}, 999999.75, 10),  # and that from a maximum
    ("L = (x - 3)^12", "x", 0.0, {}, 0.0, 40),  # long steps outward
    ("L = (x - 3)^2", "x", 1e25, {}, 0.0, 3),
    (
        "C[i,j] = cholesky[i,j](X[i,j] + a delta[i,j])\nL = a - 2 sum[i](log(C[i,i]))",
        "a",
        9.0,
        {"X": np.diag([0.0, -1.0])},
        2.618033988749895 - np.log(1.618033988749895 * 2.618033988749895),
        12,
    ),
]


@pytest.mark.parametrize(("text", "wrt", "start", "data", "value", "steps"), MINIMA, ids=lambda x: str(x)[:30])
def test_minima(text: str, wrt: Any, start: Any, data: Any, value: float, steps: int) -> None:
    found = es.newton(es.parse(text), "L", wrt, start, data)
    assert found.success and found.nit <= steps, found.message
    assert found.fun == pytest.approx(value, abs=1e-12, rel=1e-12)


def test_softmax_regression_whose_hessian_is_singular() -> None:
    """A constant added to all classes changes nothing."""
    draw = np.random.default_rng(3)
    X, T = draw.normal(size=(70, 5)), np.eye(3)[draw.integers(3, size=70)]
    found = es.newton(es.parse(SOFTMAX), "L", wrt="W", start=np.zeros((5, 3)), data={"X": X, "T": T})
    assert found.success and found.nit <= 12, found.message
    p = np.exp(X @ found.x)
    np.testing.assert_allclose(X.T @ (p / p.sum(1, keepdims=True) - T), 0, atol=1e-9)
    assert np.abs(found.x).max() < 10


def factors() -> dict[str, Any]:
    draw = np.random.default_rng(4)
    return {"T": draw.normal(size=(11, 7)), "M": (draw.random((11, 7)) < 0.8).astype(float), "r": 0.1}


def test_one_factor_has_a_hessian_of_blocks() -> None:
    """Each row of U is a least-squares problem of its own."""
    data, V = factors(), rng.normal(size=(7, 2))
    found = es.newton(es.parse(FACTORS), "L", "U", np.zeros((11, 2)), {**data, "V": V})
    assert found.nit == 1
    for row, seen, target in zip(found.x, data["M"], data["T"], strict=True):
        normal = (V.T * seen) @ V + 0.1 * np.eye(2)
        np.testing.assert_allclose(row, np.linalg.solve(normal, V.T @ (seen * target)), rtol=1e-9)
    assert "H[i," in found.hess.pattern


def test_both_factors() -> None:
    """The product of the factors is free to turn: a start at zero is a saddle, and the minimum is not one point."""
    data = factors()
    for start in (0.0, 0.5):
        first = {"U": start * rng.normal(size=(11, 2)), "V": start * rng.normal(size=(7, 2))}
        found = es.newton(es.parse(FACTORS), "L", ["U", "V"], first, data)
        assert found.success and 0 < found.nit <= 25, found.message
        eigenvalues = np.linalg.eigvalsh(found.hess.dense())
        assert eigenvalues.min() > -1e-8 and np.linalg.norm([np.linalg.norm(g) for g in found.jac.values()]) < 1e-9


def test_likelihood_of_a_gaussian_process() -> None:
    p = es.parse((Path(__file__).parent.parent / "examples" / "gaussian_process.ein").read_text("utf-8"))
    x = np.linspace(0, 5, 30)[:, None]
    data = {"x": x, "y": np.sin(x[:, 0]) + 0.1 * rng.normal(size=30)}
    start = {"s": 1.0, "l": 1.0, "noise": 0.3}
    found = es.newton(p, "L", ["s", "l", "noise"], start, data)
    assert found.success and found.nit <= 15, found.message
    assert found.fun < p.run("L", **start, **data) and np.linalg.eigvalsh(found.hess.dense()).min() > 0


def test_layers_of_a_net() -> None:
    """Not convex, and its weights are coupled."""
    p = es.parse(NET)
    X, T = rng.normal(size=(60, 4)), np.eye(3)[rng.integers(3, size=60)]
    start = {"W": rng.normal(size=(4, 6)), "c": np.zeros(6), "V": rng.normal(size=(6, 3))}
    for limit, steps in ((None, 40), ("50 kB", 80)):
        found = es.newton(p, "L", ["W", "c", "V"], start, {"X": X, "T": T}, memory_limit=limit)
        assert found.success and found.nit <= steps, found.message
        assert ("onjugate" in found.message) == (limit is not None)
        gradient = p.grad("L", wrt=["W", "c", "V"]).run(X=X, T=T, **found.x)
        assert max(np.abs(g).max() for g in gradient.values()) < 1e-9


def test_functions_are_bound() -> None:
    p = es.parse("L = sum[i](f(x[i])) + x[I] x[I] / 2")
    found = es.newton(p, "L", "x", np.zeros(3), functions={"f": "softplus"})
    sigmoid = 1 / (1 + np.exp(-found.x))
    np.testing.assert_allclose(found.x, -sigmoid, rtol=1e-10)


# ---------------------------------------------------------------- by products with the Hessian alone


def test_conjugate_gradients_where_the_hessian_does_not_fit() -> None:
    data = logistic(200, 400, 0.1)
    p = es.parse(LOGISTIC)
    found = es.newton(p, "L", "w", np.zeros(200), data, memory_limit="400 kB")
    whole = es.newton(p, "L", "w", np.zeros(200), data)
    assert found.success and found.nit <= 20 and found.nhev > found.nit
    assert "onjugate gradients" in found.message and "400 kB" in found.message
    assert "onjugate" not in whole.message
    assert "hess" not in found and found.hess is None
    np.testing.assert_allclose(found.x, whole.x, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("text", "wrt", "start", "data", "value", "steps"), MINIMA[:5], ids=lambda x: str(x)[:30])
def test_minima_by_conjugate_gradients(text: str, wrt: Any, start: Any, data: Any, value: float, steps: int) -> None:
    more = "\nL2 = L + u[I] A[I,J] u[J]"  # a hundred entries more, for whose Hessian there is no room
    data = {**data, "A": np.eye(100)}
    names = [wrt, "u"] if isinstance(wrt, str) else [*wrt, "u"]
    first = {**(start if isinstance(start, dict) else {wrt: start}), "u": np.zeros(100)}
    found = es.newton(es.parse(text + more), "L2", names, first, data, memory_limit="50 kB")
    assert "onjugate" in found.message and found.success, found.message
    assert found.fun == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(("size", "precise"), [(1, 1e-12), (7, 1e-9), (30, 1e-9), (200, 0.05)])
@pytest.mark.parametrize("rank", [1, 200])
def test_ends_of_a_spectrum(size: int, precise: float, rank: int) -> None:
    """Also where most eigenvalues are zero: the space of the vectors that are reached is small then."""
    draw = np.random.default_rng(size)
    B = draw.normal(size=(size, min(size, rank)))
    A = B @ np.diag(draw.normal(size=B.shape[1])) @ B.T
    values, ends = np.linalg.eigvalsh(A), extremes(lambda v: A @ v, np.zeros(size))
    assert np.abs([ends.low - values[0], ends.high - values[-1]]).max() <= precise * np.abs(values).max()
    assert ends.lowest @ A @ ends.lowest == pytest.approx(ends.low, abs=1e-9 * np.abs(values).max())
    assert norm(lambda v: A @ v, np.zeros(size)) == pytest.approx(np.abs(values).max(), rel=0.6)


def test_conjugate_gradients_end_at_negative_curvature() -> None:
    b = np.array([1.0, 1.0, 0.0])
    for d, expected in (([2.0, 4.0, 8.0], [0.5, 0.25, 0.0]), ([-1.0, -1.0, 1.0], b), ([0.0, 0.0, 0.0], b)):
        found, _ = conjugate_gradients(lambda v, d=d: np.array(d) * v, b, 1e-12)
        np.testing.assert_allclose(found, expected)


# ---------------------------------------------------------------- why a search ends

ENDS = [
    ("L = x^4 - x^2", 0.1, {"max_iterations": 2}, Status.ITERATIONS, "in 2 iterations"),
    ("L = x^4 - x^2", 0.1, {"max_iterations": 0}, Status.ITERATIONS, "in 0 iterations"),
    ("L = log(x)", -1.0, {}, Status.NOT_FINITE, "inf or nan"),
    ("L = -x^2", 1.0, {}, Status.DIVERGES, "Diverges"),
    ("L = exp(x)", 1.0, {}, Status.DIVERGES, "Diverges: the norm of x is"),
    ("L = x", 1.0, {}, Status.ITERATIONS, "norm is 1"),
    ("L = exp(x) - x", 400.0, {"max_iterations": 3}, Status.ITERATIONS, "in 3 iterations"),  # its square overflows
    ("L = abs(x - 1/3) + x^2", 1.0, {}, Status.NO_DESCENT, "No step leads down"),
    ("L = -1/(1 - x)", 0.0, {"max_iterations": np.int64(99)}, Status.NO_DESCENT, "No step leads down"),  # to a pole
]


@pytest.mark.parametrize(("text", "start", "options", "status", "said"), ENDS)
def test_why_a_search_ends(text: str, start: float, options: Any, status: Status, said: str) -> None:
    found = es.newton(es.parse(text), "L", "x", start, **options)
    assert (found.status, found.success) == (status, status in (Status.CONVERGED, Status.ROUNDING)), found.message
    assert said in found.message


def test_separable_classes_have_no_minimum() -> None:
    data = logistic(5, 40, 0.0)
    data["t"] = data["X"] @ np.ones(5) > 0
    found = es.newton(es.parse(LOGISTIC), "L", "w", np.zeros(5), data)
    assert not found.success and found.status == Status.DIVERGES
    assert "penalty" in found.message and found.nit < 60


def test_steps_never_lead_up() -> None:
    told: list[Record] = []
    es.newton(es.parse(ROSENBROCK), "L", ["x", "y"], {"x": -1.2, "y": 1.0}, progress=told.append)
    assert [r.iteration for r in told] == list(range(len(told)))
    assert all(after.value < before.value for before, after in pairwise(told))


def test_progress_is_a_line_an_iteration(capsys: pytest.CaptureFixture[str]) -> None:
    found = es.newton(es.parse("L = x^4 - x^2"), "L", "x", 0.1, progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["iteration", "value", "norm", "step", "shift"]
    assert [line.split()[0] for line in lines[1:]] == [str(n) for n in range(found.nit + 1)]
    es.newton(es.parse("L = x^4 - x^2"), "L", "x", 0.1)
    assert not capsys.readouterr().out


# ---------------------------------------------------------------- what is given, and what comes back


def test_the_result_is_shaped_as_scipys() -> None:
    found = es.newton(es.parse(SQUARES), "L", "W", np.zeros((2, 1)), {"X": np.eye(2), "T": [[1.0], [2.0]]})
    assert set(found) == set("x fun jac hess nit nfev njev nhev success status message".split())
    assert all(found[name] is getattr(found, name) for name in found if name != "hess")
    assert found.nfev == found.njev == 2
    np.testing.assert_allclose(found["hess"].dense().reshape(2, 2), np.eye(2))
    assert "x: [[1.]" in repr(found) and "success: True" in repr(found)
    assert found in [found] and found not in [copy.copy(found)]
    with pytest.raises(KeyError):
        found["y"]
    for other in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        np.testing.assert_array_equal(other.x, found.x)
        np.testing.assert_allclose(other.hess.dense().reshape(2, 2), np.eye(2))


def test_nothing_that_is_given_is_changed() -> None:
    start, X, T = np.zeros((2, 1)), np.eye(2), np.ones((2, 1))
    found = es.newton(es.parse(SQUARES), "L", "W", start, {"X": X, "T": T})
    assert not start.any() and (np.eye(2) == X).all() and not np.shares_memory(found.x, start)


DTYPES = [
    (np.float32, np.float32, np.float32),
    (np.float32, np.float64, np.float64),
    (np.float64, np.float32, np.float64),
    (np.float32, np.int64, np.float32),
    (np.float16, np.int64, np.float32),
    (np.int64, np.float32, np.float64),
    (np.int64, np.int64, np.float64),
]


@pytest.mark.parametrize(("start", "data", "result"), DTYPES)
def test_dtypes(start: Any, data: Any, result: Any) -> None:
    p = es.parse("L = sum[i](softplus(x[i]) - x[i] / 4 + a[i] x[i]^2)")
    found = es.newton(p, "L", "x", np.ones(3, start), {"a": np.array([1, 2, 3], data)})
    assert found.success and found.x.dtype == found.fun.dtype == found.jac.dtype == result, found.message
    assert np.linalg.norm(found.jac) < (1e-10 if result == np.float64 else 1e-4)


def test_rounding_ends_a_search_in_float32() -> None:
    data = {name: np.asarray(x, np.float32) for name, x in logistic(20, 200, 0.0).items()}
    found = es.newton(es.parse(LOGISTIC), "L", "w", np.zeros(20, np.float32), data, tolerance=1e-10)
    assert found.success and found.status == Status.ROUNDING and found.nit < 20
    assert "as far as rounding lets it" in found.message


def test_rounding_ends_a_search_whose_gradient_is_rounding() -> None:
    """Of an ill-conditioned matrix: x is large, and A x - b is computed no better."""
    n = np.arange(9.0)
    A = 1 / (1 + n[:, None] + n)
    b = np.random.default_rng(9).normal(size=9)
    found = es.newton(es.parse("L = x[I] A[I,J] x[J] / 2 - b[I] x[I]"), "L", "x", np.zeros(9), {"A": A, "b": b})
    assert found.success and found.status == Status.ROUNDING, found.message
    np.testing.assert_allclose(found.x, np.linalg.solve(A, b), rtol=1e-3)


P = es.parse("y[i] = A[i,K] x[K]\nL = (y[I] - b[I]) (y[I] - b[I]) + c^2")
GOOD = {"wrt": "x", "start": {"x": np.zeros(3)}, "data": {"A": np.ones((2, 3)), "b": np.ones(2), "c": 0.0}}
WRONG = [
    ({"wrt": "z"}, es.EinstanNameError, "no name 'z'"),
    ({"wrt": "y"}, es.EinstanNameError, "y is defined by the program"),
    ({"wrt": []}, es.EinstanNameError, "Nothing varies"),
    ({"of": "M"}, es.EinstanNameError, "no name 'M'"),
    ({"start": {}}, es.EinstanNameError, "no start for x"),
    ({"start": {"x": np.zeros(3), "A": 1}}, es.EinstanNameError, "A has a start and does not vary"),
    ({"wrt": ["x", "c"], "start": np.zeros(3)}, es.EinstanTypeError, "an array to each name"),
    ({"start": np.zeros(4)}, es.EinstanShapeError, "size"),
    ({"start": np.zeros((3, 1))}, es.EinstanShapeError, "x has 2 axes"),
    ({"start": np.zeros(3) * 1j}, es.EinstanDerivativeError, "complex"),
    ({"start": np.zeros(3, bool)}, es.EinstanDerivativeError, "bool"),
    ({"start": ["a"]}, es.EinstanShapeError, "dtype"),
    ({"start": np.zeros(0), "data": GOOD["data"] | {"A": np.ones((2, 0))}}, es.EinstanShapeError, "no entries"),
    ({"data": {"A": np.ones((2, 3)), "b": np.ones(2)}}, es.EinstanNameError, "No array is given for 'c'"),
    ({"data": GOOD["data"] | {"d": 1}}, es.EinstanNameError, "no input called 'd'"),
    ({"data": GOOD["data"] | {"x": np.zeros(3)}}, es.EinstanNameError, "x varies and is among the data"),
    ({"data": GOOD["data"] | {"b": np.ones(2) * 1j}}, es.EinstanDerivativeError, "complex"),
    ({"data": np.zeros(3)}, es.EinstanTypeError, "data is a ndarray"),
    ({"tolerance": -1.0}, es.EinstanError, "no tolerance"),
    ({"tolerance": "small"}, es.EinstanError, "no tolerance"),
    ({"tolerance": float("nan")}, es.EinstanError, "no tolerance"),
    ({"max_iterations": -1}, es.EinstanError, "no number of iterations"),
    ({"max_iterations": 2.5}, es.EinstanError, "no number of iterations"),
    ({"of": 3}, es.EinstanNameError, "int is no name"),
    ({"wrt": None}, es.EinstanNameError, "by names"),
    ({"functions": 3}, es.EinstanTypeError, "functions is a int"),
    ({"memory_limit": "much"}, es.EinstanError, "no limit of memory"),
]


@pytest.mark.parametrize(("change", "kind", "said"), WRONG, ids=[said for _, _, said in WRONG])
def test_mistakes_are_told(change: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        es.newton(P, **{"of": "L", **GOOD, **change})


def test_a_text_is_no_program() -> None:
    with pytest.raises(es.EinstanTypeError, match="A str is no program"):
        es.newton("L = x^2", "L", "x", 1.0)  # type: ignore[arg-type]


def test_no_equations() -> None:
    with pytest.raises(es.EinstanNameError, match="nothing to solve"):
        es.root(P, [], "x", np.zeros(3))


def test_other_inputs_of_the_program_may_be_given() -> None:
    p = es.parse("L = (x[I] - a[I]) (x[I] - a[I])\nM = u[I] u[I]")
    found = es.newton(p, "L", p.expr("x[i]"), [0.0, 0.0], {"a": [1.0, 2.0], "u": [1.0]})
    np.testing.assert_allclose(found.x, [1.0, 2.0])


# ---------------------------------------------------------------- roots

LAYER = "F[j] = x[j] - tanh(W[j,K] x[K] + c[j])"
ROOTS = [
    ("F[i] = x[i]^2 - a[i]", "F", "x", [1.0, 1.0], {"a": [2.0, 9.0]}),
    ("F[i] = x[i]^3 - a[i]", "F", "x", [1.0, -3.0, 0.0], {"a": [2.0, 9.0, 0.0]}),
    ("F = exp(x) - 2", "F", "x", 5.0, {}),
    ("F = atan(x)", "F", "x", 5.0, {}),
    ("F = exp(x) - 2", "F", "x", -5.5, {}),  # a step to where F is finite, and its square is not
    (LAYER, "F", "x", np.zeros(5), {"W": rng.normal(size=(5, 5)) / 3, "c": rng.normal(size=5)}),
    ("F = x^2 + y^2 - 4\nG = x y - 1", ["F", "G"], ["x", "y"], {"x": 2.0, "y": 0.0}, {}),
    ("F[i,j] = X[i,K] X[K,j] - A[i,j]", "F", "X", np.eye(2), {"A": [[2.0, 1.0], [1.0, 3.0]]}),  # a square root
    ("F[i] = A[i,K] x[K] - b[i]", "F", "x", [0.0, 0.0], {"A": [[1.0, 1.0], [1.0, 1.0]], "b": [2.0, 2.0]}),  # singular
    ("F[i] = A[I,i] x[I] u - b[i]\nG = x[I] x[I] - 1", ["F", "G"], ["x", "u"], {"x": [1.0, 0.5], "u": 1.0},
     {"A": [[2.0, 1.0], [1.0, 3.0]], "b": [1.0, 2.0]}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "of", "wrt", "start", "data"), ROOTS, ids=lambda x: str(x)[:30])
def test_roots(text: str, of: Any, wrt: Any, start: Any, data: Any) -> None:
    p = es.parse(text)
    found = es.root(p, of, wrt, start, data)
    assert found.success and found.nit <= 40, found.message
    x = found.x if isinstance(found.x, dict) else {wrt: found.x}
    values = p.run([of] if isinstance(of, str) else of, **x, **data)
    assert max(np.abs(value).max() for value in values.values()) < 1e-9
    assert set(found) == set("x fun nit nfev njev success status message".split())


def test_newton_finds_the_root_of_what_has_axes() -> None:
    text, of, wrt, start, data = ROOTS[0]
    p = es.parse(text)
    found, same = (solve(p, of, wrt, start, data) for solve in (es.newton, es.root))
    assert found.message == same.message
    np.testing.assert_array_equal(found.x, same.x)


def test_matrices_that_a_step_makes_singular_shorten_it() -> None:
    found = es.root(es.parse("F[i,j] = inv[i,j](X[i,j]) - A[i,j]"), "F", "X", 2 * np.eye(3), {"A": np.eye(3)})
    assert found.success and found.nit <= 10, found.message
    np.testing.assert_allclose(found.x, np.eye(3), atol=1e-9)
    with pytest.raises(es.EinstanError, match="Singular matrix in the step"):
        es.root(es.parse("F[i,j] = inv[i,j](X[i,j]) - A[i,j]"), "F", "X", np.zeros((3, 3)), {"A": np.eye(3)})


def test_a_residual_of_rounding_is_a_root_where_the_jacobian_is_singular() -> None:
    A = np.arange(9.0).reshape(3, 3) * 1e8
    found = es.root(es.parse("F[i] = A[i,K] x[K] - b[i]"), "F", "x", [100.0, 200.0, 3.0], {"A": A, "b": A.sum(1)})
    assert found.success and np.abs(A @ found.x - A.sum(1)).max() < 1e-4, found.message


NO_ROOTS = [
    ("F = x^2 + 1", 3.0, Status.NO_DESCENT),
    ("F = exp(x)", 3.0, Status.DIVERGES),
    ("F = log(x)", -1.0, Status.NOT_FINITE),
    ("F = x^2 - 1", 0.0, Status.NO_DESCENT),  # no slope
    ("F[i] = A[i,K] x[K] - b[i]", [100.0, 200.0], Status.NO_DESCENT),  # parallel lines
    ("F[i] = b[i] / (x[i]^2 + 1) + 0 A[i,i]", [0.0, 0.0], Status.NO_DESCENT),  # a maximum of |F|
]


@pytest.mark.parametrize(("text", "start", "status"), NO_ROOTS)
def test_no_root(text: str, start: float, status: Status) -> None:
    p = es.parse(text)
    given = {"A": [[1.0, 2.0], [1.0, 2.0]], "b": [1.0, 2.0]}
    found = es.root(p, "F", "x", start, {name: given[name] for name in p.inputs if name in given})
    assert (found.status, found.success) == (status, False), found.message


@pytest.mark.parametrize(("equations", "unknowns"), [(3, 2), (2, 3)])
def test_as_many_equations_as_unknowns(equations: int, unknowns: int) -> None:
    p = es.parse("F[i] = A[i,K] x[K]")
    said = f"There are {equations} equations for {unknowns} unknowns.\nMinimise the sum of their squares"
    with pytest.raises(es.EinstanShapeError, match=said):
        es.root(p, "F", "x", np.ones(unknowns), {"A": np.ones((equations, unknowns))})
