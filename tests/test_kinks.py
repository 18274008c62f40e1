"""Values, "Kinks": value, first and second derivative at the points where there is a choice; nan; powers and products.

Second derivatives are finite and what the formula of the first says: piecewise constants have slope 0.
"""

from __future__ import annotations

import numpy as np
import pytest

import einstan as es
from einstan.ir import Call, toposort
from einstan.prims.scalar import LOG, POWER, RELU
from einstan.stabilise import stabilise

# formula of x, the point, value, slope, second derivative
SCALAR = [
    ("relu(x)", 0.0, 0, 0, 0),
    ("relu(x)^2", 0.0, 0, 0, 0),
    ("x relu(x)", 0.0, 0, 0, 0),
    ("abs(x)", 0.0, 0, 0, 0),
    ("abs(x)", -0.0, 0, 0, 0),
    ("abs(x)^2", 0.0, 0, 0, 0),
    ("x abs(x)", 0.0, 0, 0, 0),
    ("sqrt(x x)", 0.0, 0, 0, 0),
    ("sqrt(x^2)", 0.0, 0, 0, 0),
    ("exp(-abs(x))", 0.0, 1, 0, 0),
    ("sign(x)", 0.0, 0, 0, 0),
    ("sign(x)", 3.0, 1, 0, 0),
    ("step(x)", 0.0, 0, 0, 0),
    ("x > 0", 0.0, 0, 0, 0),
    ("x >= 0", 0.0, 1, 0, 0),
    ("elu(x)", 0.0, 0, 1, 1),
    ("softplus(x)", 0.0, np.log(2), 0.5, 0.25),
    ("log(exp(x) + exp(-x))", 0.0, np.log(2), 0, 1),
    ("max(x, x)", 0.0, 0, 1, 0),
    ("min(x, x)", 2.0, 2, 1, 0),
    ("max(x, 0)", 0.0, 0, 0.5, 0),
    ("max(0, x)", 0.0, 0, 0.5, 0),
    ("max(x, 0)", 3.0, 3, 1, 0),
    ("max(x, 0)", -3.0, 0, 0, 0),
    ("min(x, 0)", 0.0, 0, 0.5, 0),
    ("max(x, -x)", 0.0, 0, 0, 0),
    ("max(x, x^2)", 1.0, 1, 1.5, 1),
    ("max(x, max(x, x))", 1.0, 1, 1, 0),
    ("max(x^2, 2 x - 1)", 1.0, 1, 2, 1),
    ("where(x > 0, sqrt(x), 0)", 0.0, 0, 0, 0),
    ("where(x > 0, sqrt(x), 0)", 4.0, 2, 0.25, -1 / 32),
    ("where(x > 0, sqrt(x), 0)", -1.0, 0, 0, 0),
    ("where(x == 0, 1, sin(x) / x)", 0.0, 1, 0, 0),
    ("where(x > 0, log(x), x)", 0.0, 0, 1, 0),
    ("where(x > 0, x log(x), 0)", 0.0, 0, 0, 0),
    ("where(x > 0, x^x, 1)", 0.0, 1, 0, 0),
    ("where(x, 1 / x, 5)", 0.0, 5, 0, 0),
    ("x^0", 0.0, 1, 0, 0),
    ("x^0.0", 0.0, 1, 0, 0),
    ("x^1", 0.0, 0, 1, 0),
    ("x^1.0", -2.0, -2, 1, 0),
    ("x^2", 0.0, 0, 0, 2),
    ("x^2.0", 0.0, 0, 0, 2),
    ("x^2.0", -3.0, 9, -6, 2),
    ("x^3", 0.0, 0, 0, 0),
    ("x^3.0", -2.0, -8, 12, -12),
    ("x^(6/3)", -3.0, 9, -6, 2),
    ("x^-1", -2.0, -0.5, -0.25, -0.25),
    ("x^-2.0", -2.0, 0.25, 0.25, 0.375),
    ("x^1.5", 0.0, 0, 0, np.inf),
    ("sqrt(x)", 0.0, 0, np.inf, -np.inf),
    ("0^x", 2.0, 0, 0, 0),
    ("0^0 x", 2.0, 2, 1, 0),
    ("x^x", 1.0, 1, 1, 2),
    ("x^x", 2.0, 4, 4 * (1 + np.log(2)), 4 * (1 + np.log(2)) ** 2 + 2),
    ("2^x", 0.0, 1, np.log(2), np.log(2) ** 2),
]


@pytest.mark.parametrize(("text", "x", "value", "slope", "curve"), SCALAR, ids=[f"{r[0]} at {r[1]}" for r in SCALAR])
def test_of_one_number(text: str, x: float, value: float, slope: float, curve: float) -> None:
    p = es.parse(f"y = {text}")
    found = [p.compile("y")({"x": x}), p.grad("y", "x").run(x=x), p.hessian("y", "x").run(x=x)]
    np.testing.assert_allclose(found, [value, slope, curve], rtol=1e-14, atol=1e-15)


# powers whose exponent is an argument: a^n by both
TWO = [
    ((0.0, 2.0), 0, (0, 0)),
    ((-3.0, 2.0), 9, (-6, np.nan)),
    ((0.0, 0.0), 1, (0, 0)),
    ((5.0, 0.0), 1, (0, np.log(5))),
    ((0.0, 1.0), 0, (1, 0)),
    ((0.0, 3.0), 0, (0, 0)),
    ((2.0, 3.0), 8, (12, 8 * np.log(2))),
]


@pytest.mark.parametrize(("at", "value", "slopes"), TWO, ids=[str(row[0]) for row in TWO])
def test_power_of_two_arguments(at: tuple[float, float], value: float, slopes: tuple[float, float]) -> None:
    got, grads = es.parse("y = a^n").value_and_grad("y", ["a", "n"]).run(a=at[0], n=at[1])
    np.testing.assert_allclose([got, grads["a"], grads["n"]], [value, *slopes], rtol=1e-14)


# formula of the vector x, the point, gradient, Hessian
VECTOR = [
    ("max[k](x[k])", (1, 3, 3), (0, 0.5, 0.5), np.zeros((3, 3))),
    ("max[k](x[k])", (3, 3, 3), (1 / 3, 1 / 3, 1 / 3), np.zeros((3, 3))),
    ("min[k](x[k])", (1, 1, 3), (0.5, 0.5, 0), np.zeros((3, 3))),
    ("max[k](abs(x[k]))", (-2, 1, 2), (-0.5, 0, 0.5), np.zeros((3, 3))),
    ("norm[k](x[k])", (0, 0, 0), (0, 0, 0), np.zeros((3, 3))),
    ("sqrt(x[K] x[K])", (0, 0, 0), (0, 0, 0), np.zeros((3, 3))),
    ("norm[k](x[k])^2", (0, 0, 0), (0, 0, 0), np.zeros((3, 3))),
    ("norm[k](x[k])", (3, 0, -4), (0.6, 0, -0.8), np.array([[0.128, 0, 0.096], [0, 0.2, 0], [0.096, 0, 0.072]])),
    ("prod[k](x[k])", (2, 3, 5), (15, 10, 6), np.array([[0, 5, 3], [5, 0, 2], [3, 2, 0]])),
    ("prod[k](x[k])", (0, 3, 5), (15, 0, 0), np.array([[0, 5, 3], [5, 0, 0], [3, 0, 0]])),
    ("prod[k](x[k])", (0, 0, 5), (0, 0, 0), np.array([[0, 5, 0], [5, 0, 0], [0, 0, 0]])),
    ("prod[k](x[k])", (0, 0, 0), (0, 0, 0), np.zeros((3, 3))),
    ("logsumexp[k](x[k])", (0, 0, 0), (1 / 3, 1 / 3, 1 / 3), np.eye(3) / 3 - 1 / 9),
]


@pytest.mark.parametrize(("text", "x", "slope", "curve"), VECTOR, ids=[f"{row[0]} at {row[1]}" for row in VECTOR])
def test_of_several_numbers(text: str, x: tuple[float, ...], slope: tuple[float, ...], curve: np.ndarray) -> None:
    p, at = es.parse(f"y = {text}"), np.array(x, float)
    np.testing.assert_allclose(p.grad("y", "x").run(x=at), slope, rtol=1e-14)
    np.testing.assert_allclose(p.hessian("y", "x").run(x=at), curve, rtol=1e-14, atol=1e-16)


def test_third_derivative_of_a_product_with_zeros() -> None:
    p = es.parse("y = prod[k](x[k])")
    got = p["y"].grad(wrt="x").jacobian(wrt="x").jacobian(wrt="x").run(x=np.zeros(3))
    want = [[[float(len({i, j, k}) == 3) for k in range(3)] for j in range(3)] for i in range(3)]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("text", ["relu(x)", "max(x, 0)", "max(0, x)", "min(x, 0)", "max(x, x)", "abs(x)", "sign(x)"])
def test_nan_stays_nan(text: str) -> None:
    assert np.isnan(es.parse(f"y = {text}").compile("y")(x=np.nan))


@pytest.mark.parametrize("text", ["max[k](x[k])", "min[k](x[k])", "norm[k](x[k])", "logsumexp[k](x[k])"])
def test_nan_among_others_stays_nan(text: str) -> None:
    assert np.isnan(es.parse(f"y = {text}").compile("y")(x=np.array([1.0, np.nan, 3.0])))


@pytest.mark.parametrize("text", ["max(x, 0)", "max(0, x)", "where(x > 0, x, 0)", "x (x > 0)"])
def test_nothing_becomes_relu(text: str) -> None:
    (node,) = stabilise([es.parse(f"y = {text}")["y"].node])
    assert all(not (isinstance(n, Call) and n.prim is RELU) for n in toposort([node]))


@pytest.mark.parametrize("text", ["x^0", "x^2", "x^2.0", "x^3.0", "x^-2", "x^(4/2)", "x^0.5"])
def test_constant_exponents_never_go_through_log(text: str) -> None:
    p = es.parse(f"y = {text}")
    below = toposort([p["y"].node])
    assert all(not (isinstance(n, Call) and n.prim in (POWER, LOG)) for n in below)
    assert "log" not in p.hessian("y", "x").compile().source


def test_x_over_x_is_not_one() -> None:
    p = es.parse("y = x / x")
    assert np.isnan(p.compile("y")(x=0.0))
    assert np.isnan(p.compile("y")(x=np.inf))
    assert np.isnan(p.compile("y", strict=True)(x=0.0))


def test_differences_and_zero_multiples_merge_when_built() -> None:
    """Documented: x - x and 0 x are 0 whatever x holds; the dtype and the shape are those of the program as written."""
    p = es.parse("y[i] = x[i] - x[i]\nz[i] = 0 x[i] + c[i]")
    x, c = np.array([np.nan, np.inf], np.float32), np.array([1, 2], np.float32)
    got = p.compile(["y", "z"])(x=x, c=c)
    assert got["y"].tolist() == [0, 0]
    assert got["z"].tolist() == [1, 2]
    assert {a.dtype for a in got.values()} == {np.dtype(np.float32)}
