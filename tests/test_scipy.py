"""Program.scipy: what scipy's minimisers find with it is what es.newton finds; what they are given is exact."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.testing import finite_difference

rng = np.random.default_rng(0)
TEXT = """
    Z[b,j] = X[b,K] W[K,j] + c[j]
    L = (tanh(Z[B,J]) - T[B,J]) (tanh(Z[B,J]) - T[B,J]) + W[K,J] W[K,J] / 10 + c[J] c[J] / 10
"""
DATA = {"X": rng.normal(size=(23, 3)), "T": rng.normal(size=(23, 2)) / 2}
START = {"W": rng.normal(size=(3, 2)) / 9, "c": np.zeros(2)}


def both() -> Any:
    return es.parse(TEXT).scipy("L", wrt=["W", "c"], **DATA, **START)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-exact", "trust-ncg", "BFGS", "L-BFGS-B", "TNC", "SLSQP"])
def test_minimisers_agree(method: str) -> None:
    minimize = pytest.importorskip("scipy.optimize", reason="scipy is of the extra `dev`").minimize
    given = both()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # some have no use for a Hessian
        found = minimize(**given, method=method, tol=1e-10)
    ours = es.newton(es.parse(TEXT), "L", ["W", "c"], START, DATA)
    assert found.fun == pytest.approx(float(ours.fun), rel=1e-9)
    for name, array in given.arrays(found.x).items():
        np.testing.assert_allclose(array, ours.x[name], atol=1e-4)


def test_derivatives_are_exact() -> None:
    given = both()
    x, v = given["x0"], rng.normal(size=8)
    data = {"x": x}
    np.testing.assert_allclose(
        given["jac"](x), finite_difference(lambda a: np.asarray(given["fun"](a["x"])), data, "x"), rtol=1e-6, atol=1e-8
    )
    H = given["hess"](x)
    np.testing.assert_allclose(H, finite_difference(lambda a: given["jac"](a["x"]), data, "x"), rtol=1e-5, atol=1e-6)
    assert H.shape == (8, 8) and (H == H.T).all()
    np.testing.assert_allclose(given["hessp"](x, v), H @ v, rtol=1e-10)
    assert isinstance(given["fun"](x), float)


def test_value_and_gradient_are_computed_once() -> None:
    given = both()
    x = given["x0"].copy()
    given["fun"](x), given["jac"](x), given["fun"](x.copy())
    assert given.objective.nfev == 1
    x += 1  # the same array with other entries
    assert given["fun"](x) != given["fun"](given["x0"])
    before = given["jac"](x)
    before[:] = 0  # what is handed out is the caller's
    assert given["jac"](x).any()


def test_vectors_and_arrays() -> None:
    given = both()
    arrays = given.arrays(np.arange(8.0))
    np.testing.assert_array_equal(arrays["W"], np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(arrays["c"], [6.0, 7.0])
    np.testing.assert_array_equal(given.vector(arrays), np.arange(8.0))
    np.testing.assert_array_equal(given["x0"], given.vector(START))
    assert set(given) == {"fun", "jac", "hess", "hessp", "x0"}


def test_one_name_and_no_start() -> None:
    """The sizes follow from the data."""
    given = es.parse("L = (A[I,K] w[K] - b[I]) (A[I,J] w[J] - b[I])").scipy("L", wrt="w", A=np.eye(2), b=[1, 2])
    assert set(given) == {"fun", "jac", "hess", "hessp"}
    np.testing.assert_array_equal(given["hess"](np.zeros(2)), 2 * np.eye(2))
    np.testing.assert_array_equal(given.arrays([3, 4]), [3.0, 4.0])
    np.testing.assert_array_equal(given.vector([3, 4]), [3.0, 4.0])


def test_everything_is_float64() -> None:
    p = es.parse("L = (A[I,K] w[K] - b[I]) (A[I,J] w[J] - b[I])")
    A, b, w = np.eye(2, dtype=np.float32), np.ones(2, np.float32), np.zeros(2, np.float32)
    for given in (p.scipy("L", wrt="w", A=A, b=b), p.scipy("L", wrt="w", A=A, b=b, w=w)):
        for found in (given["jac"](w), given["hess"](w), given["hessp"](w, w), given.get("x0", np.zeros(2))):
            assert found.dtype == np.float64


WRONG = [
    ({"wrt": ["W", "c"], "c": 1.0, **DATA}, es.EinstanNameError, "no start for W"),
    ({"wrt": ["W"], **DATA}, es.EinstanNameError, "No array is given for 'c'"),
    ({"wrt": ["W", "c"], **DATA, "d": 1}, es.EinstanNameError, "no input called 'd'"),
    ({"wrt": ["W", "c"], "X": 1j * DATA["X"], "T": DATA["T"]}, es.EinstanShapeError, "complex"),
    ({"wrt": "V", **DATA}, es.EinstanNameError, "no name 'V'"),
]


@pytest.mark.parametrize(("given", "kind", "said"), WRONG, ids=[said for _, _, said in WRONG])
def test_mistakes_are_told(given: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        es.parse(TEXT).scipy("L", **given)["fun"](np.zeros(8))


def test_sizes_that_nothing_says() -> None:
    with pytest.raises(es.EinstanShapeError, match="do not say the size i of w"):
        es.parse("L = w[I] w[I]").scipy("L", wrt="w")
    with pytest.raises(es.EinstanShapeError, match="A vector of 8 entries"):
        both()["fun"](np.zeros(7))
    with pytest.raises(es.EinstanDerivativeError, match="has axes"):
        es.parse(TEXT).scipy("Z", wrt="W", **DATA, **START)
    with pytest.raises(es.EinstanShapeError, match="c has the shape"):
        both().vector({**START, "c": np.zeros(3)})


@pytest.mark.parametrize(("entry", "said"), [("a", "dtype <U"), (1j, "complex"), (None, "dtype object")])
def test_vectors_that_are_no_real_numbers(entry: Any, said: str) -> None:
    for call in (lambda: both()["fun"]([entry] * 8), lambda: both().vector({"W": np.ones((3, 2)), "c": [entry] * 2})):
        with pytest.raises(es.EinstanError, match=said):
            call()
