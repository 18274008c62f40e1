"""Formulas that overflow or cancel as they are spelled: value and gradient right to 1e-12 at extreme points."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import einstan as es

mp.mp.dps = 1000  # exp(-1000) and its like beside 1

POINTS = (-1000.0, -40.0, -1e-9, 0.3, 40.0, 1000.0)

# a spelling of a function of x, and the function in mpmath; in saturation the derivative may be off by 4 eps absolute
SCALAR = [
    ("1 / (1 + exp(-x))", lambda x: 1 / (1 + mp.exp(-x))),
    ("exp(x) / (1 + exp(x))", lambda x: mp.exp(x) / (1 + mp.exp(x))),
    ("exp(x) / (exp(x) + 1)", lambda x: mp.exp(x) / (1 + mp.exp(x))),
    ("1 / (1 + exp(x))", lambda x: 1 / (1 + mp.exp(x))),
    ("log(1 + exp(x))", lambda x: mp.log(1 + mp.exp(x))),
    ("log1p(exp(x))", lambda x: mp.log(1 + mp.exp(x))),
    ("log(exp(0) + exp(x))", lambda x: mp.log(1 + mp.exp(x))),
    ("log(2 + 2 exp(x))", lambda x: mp.log(2 + 2 * mp.exp(x))),
    ("log(sigmoid(x))", lambda x: -mp.log(1 + mp.exp(-x))),
    ("log(1 / (1 + exp(-x)))", lambda x: -mp.log(1 + mp.exp(-x))),
    ("log(1 - sigmoid(x))", lambda x: -mp.log(1 + mp.exp(x))),
    ("(exp(x) - exp(-x)) / (exp(x) + exp(-x))", mp.tanh),
    ("(1 - exp(-2 x)) / (1 + exp(-2 x))", mp.tanh),
    ("(exp(2 x) - 1) / (exp(2 x) + 1)", mp.tanh),
    ("2 sigmoid(2 x) - 1", mp.tanh),
    ("sinh(x) / cosh(x)", mp.tanh),
    ("log(exp(x) + exp(2 x))", lambda x: mp.log(mp.exp(x) + mp.exp(2 * x))),
    ("sqrt(x x)", abs),
]


def close(got: float, want: float) -> bool:
    return abs(got - want) <= 1e-12 * abs(want) + 4 * np.finfo(float).eps * (abs(want) <= 1)


@pytest.mark.parametrize("x", POINTS)
@pytest.mark.parametrize(("text", "f"), SCALAR, ids=[row[0] for row in SCALAR])
def test_scalar(text: str, f, x: float) -> None:
    value, slope = es.parse(f"y = {text}").value_and_grad("y", "x").run(x=x)
    assert close(float(value), float(f(mp.mpf(x))))
    assert close(float(slope), float(mp.diff(f, mp.mpf(x), h=mp.mpf(10) ** -400)))


Z = np.array([[-1000.0, 0.5, 1000.0], [40.0, -40.0, 39.0], [1e-9, 0.0, -1e-9]])

VECTOR = [
    ("log(sum[k](exp(z[i,k])))", lambda z: z.max(1) + np.log(np.exp(z - z.max(1, keepdims=True)).sum(1))),
    ("-log(1 / sum[k](exp(z[i,k])))", lambda z: z.max(1) + np.log(np.exp(z - z.max(1, keepdims=True)).sum(1))),
    ("log(mean[k](exp(z[i,k])))", lambda z: z.max(1) + np.log(np.exp(z - z.max(1, keepdims=True)).mean(1))),
]


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize(("text", "f"), VECTOR, ids=[row[0] for row in VECTOR])
def test_log_sum_exp(text: str, f) -> None:
    p = es.parse(f"y[i] = {text}\nL = y[I] 1[I]")
    both = p.compile(["y", "L"])(z=Z)
    np.testing.assert_allclose(both["y"], f(Z), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(p.grad("L", "z").run(z=Z), softmax(Z), rtol=1e-12)


@pytest.mark.parametrize("text", ["exp(z[i,k]) / sum[k](exp(z[i,k]))", "exp(z[i,k]) / (exp(z[i,K]) 1[K])"])
def test_softmax(text: str) -> None:
    p = es.parse(f"y[i,k] = {text}\nl[i,k] = log(y[i,k])\nL = T[I,K] l[I,K]")
    found = p.compile(["y", "l"])(z=Z, T=np.ones((3, 3)))
    np.testing.assert_allclose(found["y"], softmax(Z), rtol=1e-12)
    logs = Z - Z.max(1, keepdims=True) - np.log(np.exp(Z - Z.max(1, keepdims=True)).sum(1, keepdims=True))
    np.testing.assert_allclose(found["l"], logs, rtol=1e-12)
    slope = p.grad("L", "z").run(z=Z, T=np.ones((3, 3)))
    np.testing.assert_allclose(slope, 1 - 3 * softmax(Z), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("scale", [1e200, 1.0, 1e-200])
def test_norm(scale: float) -> None:
    """√(x·x) far outside the range of its squares; at 0 the derivative is 0."""
    p = es.parse("y = sqrt(x[I] x[I])")
    x = scale * np.array([3.0, -4.0])
    value, slope = p.value_and_grad("y", "x").run(x=x)
    assert value == pytest.approx(5 * scale, rel=1e-12)
    np.testing.assert_allclose(slope, [0.6, -0.8], rtol=1e-12)
    assert p.grad("y", "x").run(x=np.zeros(2)).tolist() == [0, 0]


KINKS = [
    ("relu(x)", 0.0),
    ("abs(x)", 0.0),
    ("sign(x)", 0.0),
    ("step(x)", 0.0),
    ("max(x, x)", 1.0),
    ("max(x, 0)", 0.5),
    ("min(x, 0)", 0.5),
    ("where(x > 0, sqrt(x), 0)", 0.0),
    ("x^0", 0.0),
    ("x^2", 0.0),
    ("x^2.0", 0.0),
    ("x^1", 1.0),
]


@pytest.mark.parametrize(("text", "slope"), KINKS, ids=[row[0] for row in KINKS])
def test_kinks_at_zero(text: str, slope: float) -> None:
    assert es.parse(f"y = {text}").grad("y", "x").run(x=0.0) == slope


def test_ties_share_equally() -> None:
    p = es.parse("y = max[k](x[k])")
    assert p.grad("y", "x").run(x=np.array([1.0, 3.0, 3.0])).tolist() == [0, 0.5, 0.5]


def test_products_with_zeros_are_right_to_second_order() -> None:
    p = es.parse("y = prod[k](x[k])")
    x = np.array([0.0, 0.0, 5.0])
    assert p.grad("y", "x").run(x=x).tolist() == [0, 0, 0]
    assert p.hessian("y", "x").run(x=x).tolist() == [[0, 5, 0], [5, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("text", ["relu(x)", "max(x, 0)", "max(0, x)", "max(x, x)"])
def test_nan_stays_nan(text: str) -> None:
    assert np.isnan(es.parse(f"z = {text}").run("z", x=np.nan))
