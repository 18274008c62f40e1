"""Values, "Extreme points": formulas that overflow or cancel as they are spelled are right to 1e-12.

Each row is a spelling and the function that it is; values, gradients and Hessians are compared with mpmath at every
point. Differences are relative, down to the smallest normal number; from the order where a saturated s(1 - s) or
1 - y² comes in, 4 eps absolute are allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import mpmath as mp
import numpy as np
import pytest

import einstan as es

EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
DIGITS = 340  # exp(-710) and its like beside 1
NEVER = 9


@dataclass(frozen=True)
class Function:
    """A function in mpmath, up to where float64 holds what it is made of (x² in gelu'); from the order `saturates` on
    4 eps absolute are allowed."""

    at: Callable[..., mp.mpf]
    saturates: int = NEVER
    up_to: float = 1e200


def logistic(x: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-x))


def softplus(x: mp.mpf) -> mp.mpf:
    return mp.log1p(mp.exp(x))


def far_erfc(x: mp.mpf) -> mp.mpf:
    return mp.erfc(x) if abs(x) < 1e3 else mp.mpf(0) if x > 0 else mp.mpf(2)


def close(got: np.ndarray, want: np.ndarray, absolute: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return (got == want) | (np.abs(got - want) <= 1e-12 * np.abs(want) + absolute + TINY)


# ---------------------------------------------------------------- of one number

SIGMOID = Function(logistic, 1)
TURNED = Function(lambda x: logistic(-x), 1)
SOFTPLUS = Function(softplus, 2)
TURNED_SOFTPLUS = Function(lambda x: softplus(-x), 2)
LOG_SIGMOID = Function(lambda x: -softplus(-x), 2)
LOG_TURNED = Function(lambda x: -softplus(x), 2)
TANH = Function(mp.tanh, 1)
HALF_TANH = Function(lambda x: mp.tanh(x / 2), 1)
SLOPE = Function(lambda x: logistic(x) * logistic(-x), 0)
LOG_COSH = Function(lambda x: mp.log(mp.cosh(x)) if abs(x) < 1e3 else abs(x) - mp.log(2), 2)
LOG_TWO_COSH = Function(lambda x: mp.log(2 * mp.cosh(x)) if abs(x) < 1e3 else abs(x), 2)
ABS = Function(abs)
GELU = Function(lambda x: x * far_erfc(-x / mp.sqrt(2)) / 2, up_to=1e4)

SCALAR: list[tuple[str, Function]] = [
    ("1 / (1 + exp(-x))", SIGMOID),
    ("exp(x) / (1 + exp(x))", SIGMOID),
    ("exp(x) / (exp(x) + 1)", SIGMOID),
    ("1 - 1 / (1 + exp(x))", SIGMOID),
    ("1 / (1 + exp(-x / 2)^2)", SIGMOID),
    ("exp(x) / (exp(x) + exp(0))", SIGMOID),
    ("exp(x / 2) / (exp(x / 2) + exp(-x / 2))", SIGMOID),
    ("1 / (1 + exp(x))", TURNED),
    ("1 - sigmoid(x)", TURNED),
    ("exp(-x) / (1 + exp(-x))", TURNED),
    ("1 / (1 + 2^(-x))", Function(lambda x: logistic(x * mp.log(2)), 1)),
    ("sigmoid(x) (1 - sigmoid(x))", SLOPE),
    ("exp(-x) / (1 + exp(-x))^2", SLOPE),
    ("log(1 + exp(x))", SOFTPLUS),
    ("log1p(exp(x))", SOFTPLUS),
    ("log(exp(0) + exp(x))", SOFTPLUS),
    ("x + log(1 + exp(-x))", SOFTPLUS),
    ("x - log(sigmoid(x))", SOFTPLUS),
    ("-log(1 - sigmoid(x))", SOFTPLUS),
    ("log(1 + exp(-x))", TURNED_SOFTPLUS),
    ("-log(1 / (1 + exp(-x)))", TURNED_SOFTPLUS),
    ("log(2 + 2 exp(x))", Function(lambda x: mp.log(2) + softplus(x), 2)),
    ("log(3 + exp(x))", Function(lambda x: mp.log(3) + softplus(x - mp.log(3)), 2)),
    ("log(1 + 2 exp(x))", Function(lambda x: softplus(x + mp.log(2)), 2)),
    ("log(1 + exp(x) + exp(2 x))", Function(lambda x: mp.log(1 + mp.exp(x) + mp.exp(2 * x)), 2)),
    ("log(exp(x) + exp(2 x))", Function(lambda x: x + softplus(x), 2)),
    ("log(1 + 2^x)", Function(lambda x: softplus(x * mp.log(2)), 2)),
    ("log(sigmoid(x))", LOG_SIGMOID),
    ("log(1 / (1 + exp(-x)))", LOG_SIGMOID),
    ("log(exp(x) / (1 + exp(x)))", LOG_SIGMOID),
    ("log(1 - sigmoid(x))", LOG_TURNED),
    ("log1p(-sigmoid(x))", LOG_TURNED),
    ("log(1 - 1 / (1 + exp(-x)))", LOG_TURNED),
    ("0.3 log(sigmoid(x)) + 0.7 log(1 - sigmoid(x))", Function(lambda x: -0.3 * softplus(-x) - 0.7 * softplus(x), 1)),
    ("(exp(x) - exp(-x)) / (exp(x) + exp(-x))", TANH),
    ("(1 - exp(-2 x)) / (1 + exp(-2 x))", TANH),
    ("(exp(2 x) - 1) / (exp(2 x) + 1)", TANH),
    ("(exp(x)^2 - 1) / (exp(x)^2 + 1)", TANH),
    ("expm1(2 x) / (exp(2 x) + 1)", TANH),
    ("expm1(2 x) / (expm1(2 x) + 2)", TANH),
    ("2 sigmoid(2 x) - 1", TANH),
    ("2 / (1 + exp(-2 x)) - 1", TANH),
    ("1 - 2 / (exp(2 x) + 1)", TANH),
    ("sinh(x) / cosh(x)", TANH),
    ("(1 - exp(-x)) / (1 + exp(-x))", HALF_TANH),
    ("log(cosh(x))", LOG_COSH),
    ("log(2 cosh(x))", LOG_TWO_COSH),
    ("log(exp(x) + exp(-x))", LOG_TWO_COSH),
    ("log(exp(x))", Function(lambda x: x)),
    ("log(exp(x)^2 / exp(-x))", Function(lambda x: 3 * x)),
    ("log(exp(-x / 2) / sqrt(2 pi))", Function(lambda x: -x / 2 - mp.log(2 * mp.pi) / 2)),
    ("sqrt(x x)", ABS),
    ("sqrt(x^2)", ABS),
    ("(x x)^0.5", ABS),
    ("sqrt(4 x x)", Function(lambda x: 2 * abs(x))),
    ("1 / sqrt(x x)", Function(lambda x: 1 / abs(x))),
    ("gelu(x)", GELU),
    ("x (1 + erf(x / sqrt(2))) / 2", GELU),
]
SIZES = (1e-300, 1e-8, 0.3, 20.0, 710.0, 800.0, 1e4, 1e200)
POINTS = [sign * size for size in SIZES for sign in (1, -1)]


@cache
def wanted(f: Function, x: float) -> list[float]:
    """Value, first and second derivative, rounded once."""
    with mp.workdps(DIGITS):
        return [float(mp.re(d)) for d in mp.diffs(f.at, mp.mpf(x), 2)]


@pytest.mark.parametrize(("text", "f"), SCALAR, ids=[row[0] for row in SCALAR])
def test_of_one_number(text: str, f: Function) -> None:
    p = es.parse(f"y = {text}")
    points = [x for x in POINTS if abs(x) <= f.up_to]
    for order, kernel in enumerate((p.compile("y"), p.grad("y", "x").compile(), p.hessian("y", "x").compile())):
        got = np.array([kernel(x=x) for x in points])
        want = np.array([wanted(f, x)[order] for x in points])
        fine = close(got, want, 4 * EPS if order >= f.saturates else 0)
        assert fine.all(), (order, [(x, g, w) for x, g, w, ok in zip(points, got, want, fine, strict=True) if not ok])


# ---------------------------------------------------------------- of several numbers


Derivatives = tuple[
    np.ndarray, np.ndarray, np.ndarray
]  # value, Jacobian, Hessian: entries of mpmath, as textbooks have


@dataclass(frozen=True)
class Several:
    """A function of a vector with its derivatives: entries of the result first, then the axis of z for every order."""

    at: Callable[[np.ndarray], Derivatives]
    saturates: int = NEVER
    relative: bool = False  # to the largest entry: I - u uᵀ cancels


exp = np.frompyfunc(mp.exp, 1, 1)
outer = np.multiply.outer
TARGET = np.array([0.25, 0.5, 0.25])


def log_sum_exp(z: np.ndarray) -> Derivatives:
    top = max(z)
    total = sum(exp(z - top))
    p = exp(z - top) / total
    return np.array([top + mp.log(total)]), p[None], (np.diag(p) - outer(p, p))[None]


def one_more(z: np.ndarray) -> Derivatives:
    value, slope, curve = log_sum_exp(np.array([*z, mp.mpf(0)]))
    return value, slope[:, :-1], curve[:, :-1, :-1]


def of_two_to_the(z: np.ndarray) -> Derivatives:
    ln2 = mp.log(2)
    value, slope, curve = log_sum_exp(z * ln2)
    return value, slope * ln2, curve * ln2**2


def log_softmax(z: np.ndarray) -> Derivatives:
    value, slope, curve = log_sum_exp(z)
    return z - value, np.eye(len(z), dtype=int) - slope, -np.repeat(curve, len(z), axis=0)


def softmax(z: np.ndarray) -> Derivatives:
    """p' = p (log p)', p'' = p ((log p)'' + (log p)' (log p)')."""
    value, slope, curve = log_softmax(z)
    p = exp(value)
    return p, p[:, None] * slope, p[:, None, None] * (curve + slope[:, :, None] * slope[:, None, :])


def weighted(f: Callable[[np.ndarray], Derivatives], weights: np.ndarray) -> Callable[[np.ndarray], Derivatives]:
    """Σ weights f."""
    return lambda z: tuple(np.tensordot(weights, d, 1)[None] for d in f(z))  # type: ignore[return-value]


def norm(z: np.ndarray) -> Derivatives:
    n = mp.sqrt(sum(z * z))
    u = z / n
    return np.array([n]), u[None], ((np.eye(len(z), dtype=int) - outer(u, u)) / n)[None]


def unit(z: np.ndarray) -> Derivatives:
    (n,), (u,), (slope,) = norm(z)
    mixed = outer(slope, u)
    return u, slope, -(mixed + mixed.transpose(0, 2, 1) + mixed.transpose(2, 0, 1)) / n


def deviation(z: np.ndarray) -> Derivatives:
    """norm(C z) / √d with C = 1 - 1/d."""
    d = len(z)
    c = np.eye(d, dtype=int) - np.full((d, d), 1 / mp.mpf(d))
    value, slope, curve = norm(c @ z)
    root = mp.sqrt(d)
    return value / root, slope @ c / root, c @ curve @ c / root


LOG_SUM_EXP, ONE_MORE, TWO_TO_THE = Several(log_sum_exp, 2), Several(one_more, 2), Several(of_two_to_the, 2)
SOFTMAX, LOG_SOFTMAX = Several(softmax, 1), Several(log_softmax, 1)
CROSS_ENTROPY = Several(weighted(log_softmax, -TARGET), 1)
NORM, DEVIATION = Several(norm, relative=True), Several(deviation, relative=True)
UNIT, COSINE = Several(unit, relative=True), Several(weighted(unit, TARGET), relative=True)

SPREAD = [(1000.0, 0.5, -1000.0), (20.0, 0.0, -20.0), (1e4, 1e4, 3.0), (1e200, -1e200, 0.25), (1e-8, 0.0, -1e-300)]
FAR = [(3e200, -4e200, 1e190), (3e-200, -4e-200, 1e-205), (3.0, 0.0, -4.0), (1e-300, 1e-300, 0.0), (2e154, 3e154, 1e10)]

VECTOR: list[tuple[str, Several, list[tuple[float, ...]]]] = [
    ("y = log(sum[k](exp(z[k])))", LOG_SUM_EXP, SPREAD),
    ("y = -log(1 / sum[k](exp(z[k])))", LOG_SUM_EXP, SPREAD),
    ("y = log(3 mean[k](exp(z[k])))", LOG_SUM_EXP, SPREAD),
    ("m = max[k](z[k]); y = m + log(sum[k](exp(z[k] - m)))", LOG_SUM_EXP, SPREAD),
    ("y = log(sum[k](exp(z[k] / 2) exp(z[k] / 2)))", LOG_SUM_EXP, SPREAD),
    ("y = sum[k](log(exp(z[k=0:1]) + exp(z[k=1:2]) + exp(z[k=2:3])))", LOG_SUM_EXP, SPREAD),
    ("y = log(sum[k](2^z[k]))", TWO_TO_THE, SPREAD),
    ("y = log(1 + sum[k](exp(z[k])))", ONE_MORE, SPREAD),
    ("y = log1p(sum[k](exp(z[k])))", ONE_MORE, SPREAD),
    ("y[i] = exp(z[i]) / sum[k](exp(z[k]))", SOFTMAX, SPREAD),
    ("m = max[k](z[k]); y[i] = exp(z[i] - m) / sum[k](exp(z[k] - m))", SOFTMAX, SPREAD),
    ("y[i] = log(exp(z[i]) / sum[k](exp(z[k])))", LOG_SOFTMAX, SPREAD),
    ("y[i] = log(softmax[i](z[i]))", LOG_SOFTMAX, SPREAD),
    ("y[i] = z[i] - log(sum[k](exp(z[k])))", LOG_SOFTMAX, SPREAD),
    ("m = max[k](z[k]); y[i] = z[i] - m - log(sum[k](exp(z[k] - m)))", LOG_SOFTMAX, SPREAD),
    ("y = T[K] (log(sum[k](exp(z[k]))) - z[K])", CROSS_ENTROPY, SPREAD),
    ("p[i] = exp(z[i]) / sum[k](exp(z[k])); y = -T[K] log(p[K])", CROSS_ENTROPY, SPREAD),
    ("y = sqrt(z[K] z[K])", NORM, FAR),
    ("y = sqrt(sum[k](z[k]^2))", NORM, FAR),
    ("y = sqrt(3 mean[k](z[k]^2))", NORM, FAR),
    ("y[i] = z[i] / sqrt(z[K] z[K])", UNIT, [*FAR[:1], *FAR[2:3]]),
    ("y = T[K] z[K] / sqrt(z[J] z[J])", COSINE, [*FAR[:1], *FAR[2:3]]),
    ("y = sqrt(mean[k]((z[k] - mean[i](z[i]))^2))", DEVIATION, FAR[:3]),
]


def derivatives(f: Several, z: tuple[float, ...]) -> list[np.ndarray]:
    with mp.workdps(DIGITS):
        return [d.astype(float) for d in f.at(np.array([mp.mpf(x) for x in z]))]


@pytest.mark.parametrize(("text", "f", "points"), VECTOR, ids=[row[0] for row in VECTOR])
def test_of_several_numbers(text: str, f: Several, points: list[tuple[float, ...]]) -> None:
    p = es.parse(text)
    first = p["y"].jacobian(wrt="z")
    kernels = (p.compile("y"), first.compile(), first.jacobian(wrt="z").compile())
    for z in points:
        arrays = {"z": np.array(z), "T": TARGET}
        for order, (kernel, want) in enumerate(zip(kernels, derivatives(f, z), strict=True)):
            got = kernel({name: arrays[name] for name in kernel.inputs}).reshape(want.shape)
            absolute = 4 * EPS if order >= f.saturates else 0
            assert close(got, want, absolute + 1e-12 * f.relative * np.abs(want).max()).all(), (order, z, got, want)


def test_a_cosine_at_tiny_vectors_has_its_gradient() -> None:
    """w·z / norm(z), of size 1 with a gradient of size 1e200: no power of the norm is formed that overflows."""
    z = (3e-200, -4e-200, 1e-205)
    got = es.parse("y = T[K] z[K] / sqrt(z[J] z[J])").grad("y", "z").run(z=np.array(z), T=TARGET)
    np.testing.assert_allclose(got, derivatives(COSINE, z)[1][0], rtol=1e-12)
