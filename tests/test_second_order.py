"""Second derivatives take their closed forms: each is a formula written by hand, read in the program's context.

A closed form is held against the derivative as a node (`is`), by what the kernel reads, by its flops, and by finite
differences of the gradient. Hessians of the models are JAX's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pytest

import einstan as es
from einstan.compiling import Options
from einstan.ir import Node
from einstan.request import ALL_LAWS, Graph, Laws, Term, terms
from einstan.rules import LAWS, simplify
from einstan.show.common import legible
from einstan.syntax import ast
from einstan.testing import evaluate, finite_difference

from .models import MODELS, Arrays, Model, relative_error

RNG = np.random.default_rng(11)
PRIMES = (11, 7, 5, 3)
AS_WRITTEN = Laws(simplify, simplify, LAWS)


class Closed(NamedTuple):
    """A program, names, and ∂²L/∂name∂name written by hand: `H[i,j] = ..`; the inputs that a kernel may read."""

    text: str
    wrt: tuple[str, str]
    expected: str
    reads: str


LINEAR = "z[a] = X[a,K] w[K]\n"
SIGMOID = "p[a] = sigmoid(z[a])\n"
XDX = "H[k,l] = X[A,k] p[A] (1 - p[A]) X[A,l]"
SCORES = "Z[b,c] = X[b,F] W[F,c]\n"
NAIVE = "p[b,c] = exp(Z[b,c]) / sum[d](exp(Z[b,d]))\n"
DISTRIBUTION = "fact T[b,C] 1[C] = 1[b]\n"
COVARIANCE = "H[f,c,g,d] = X[B,f] q[B,c] (delta[c,d] - q[B,d]) X[B,g]"
SHARES = "q[b,c] = softmax[c](Z[b,c])\n"
FACTORS = "H[i,k,j,l] = 2 delta[i,j] M[i,M] {} V[M,k] V[M,l]"
RESIDUALS = "r[a] = X[a,K] w[K] - y[a]\n"
ROSENBROCK = "L = sum[i](100 (y[i] - x[i]^2)^2 + (1 - x[i])^2)"

CASES = {
    "quadratic form": Closed("L = x[I] A[I,J] x[J]", ("x", "x"), "H[i,j] = A[i,j] + A[j,i]", "A"),
    "quadratic with a linear part": Closed(
        "L = x[I] A[I,J] x[J] / 2 - b[I] x[I]", ("x", "x"), "H[i,j] = (A[i,j] + A[j,i]) / 2", "A"
    ),
    "form of a residual": Closed(
        "r[n] = B[n,I] x[I] - y[n]\nL = r[N] S[N,M] r[M]",
        ("x", "x"),
        "H[i,j] = B[N,j] (S[N,M] B[M,i] + S[M,N] B[M,i])",
        "B S",
    ),
    "logistic, softplus": Closed(LINEAR + "L = sum[a](softplus(z[a]) - y[a] z[a])", ("w", "w"), SIGMOID + XDX, "X w"),
    "logistic, log(1 + exp)": Closed(
        LINEAR + "L = sum[a](log(1 + exp(z[a])) - y[a] z[a])", ("w", "w"), SIGMOID + XDX, "X w"
    ),
    "logistic, log1p(exp)": Closed(
        LINEAR + "L = sum[a](log1p(exp(z[a])) - y[a] z[a])", ("w", "w"), SIGMOID + XDX, "X w"
    ),
    "logistic, cross entropy": Closed(
        LINEAR + SIGMOID + "L = - y[A] log(p[A]) - (1 - y[A]) log(1 - p[A])", ("w", "w"), XDX, "X w"
    ),
    "logistic, cross entropy under a sum": Closed(
        LINEAR + SIGMOID + "L = - sum[a](y[a] log(p[a]) + (1 - y[a]) log(1 - p[a]))", ("w", "w"), XDX, "X w"
    ),
    "logistic, 1 / (1 + exp)": Closed(
        LINEAR + "q[a] = 1 / (1 + exp(-z[a]))\nL = - y[A] log(q[A]) - (1 - y[A]) log(1 - q[A])",
        ("w", "w"),
        SIGMOID + XDX,
        "X w",
    ),
    "logistic, signs": Closed(
        LINEAR + "L = sum[a](log(1 + exp(-y[a] z[a])))",
        ("w", "w"),
        "p[a] = sigmoid(y[a] z[a])\nH[k,l] = X[A,k] y[A]^2 p[A] (1 - p[A]) X[A,l]",
        "X w y",
    ),
    "logistic in a layer": Closed(
        "Z[a,j] = X[a,K] W[K,j]\nL = sum[a,j](softplus(Z[a,j]) - Y[a,j] Z[a,j])",
        ("W", "W"),
        "s[a,j] = sigmoid(Z[a,j]) (1 - sigmoid(Z[a,j]))\nH[k,j,l,m] = delta[j,m] X[A,k] X[A,l] s[A,j]",
        "X W",
    ),
    "cross entropy": Closed(
        SCORES + "L = - T[B,C] log_softmax[C](Z[B,C])",
        ("W", "W"),
        SHARES + "u[f,b] = X[b,f] T[b,C] 1[C]\nH[f,c,g,d] = u[f,B] q[B,c] (delta[c,d] - q[B,d]) X[B,g]",
        "X W T",
    ),
    "cross entropy of targets that sum to 1": Closed(
        DISTRIBUTION + SCORES + "L = - T[B,C] log_softmax[C](Z[B,C])", ("W", "W"), SHARES + COVARIANCE, "X W"
    ),
    "cross entropy of a named softmax": Closed(
        DISTRIBUTION + SCORES + SHARES + "L = - T[B,C] log(q[B,C])", ("W", "W"), COVARIANCE, "X W"
    ),
    "cross entropy, naive": Closed(
        DISTRIBUTION + SCORES + NAIVE + "L = - T[B,C] log(p[B,C])", ("W", "W"), SHARES + COVARIANCE, "X W"
    ),
    "cross entropy, logarithm of a quotient": Closed(
        DISTRIBUTION + SCORES + "L = - sum[b,c](T[b,c] log(exp(Z[b,c]) / sum[d](exp(Z[b,d]))))",
        ("W", "W"),
        SHARES + COVARIANCE,
        "X W",
    ),
    "cross entropy, difference": Closed(
        DISTRIBUTION + SCORES + "L = sum[b,c](T[b,c] (log(sum[d](exp(Z[b,d]))) - Z[b,c]))",
        ("W", "W"),
        SHARES + COVARIANCE,
        "X W",
    ),
    "cross entropy in its scores": Closed(
        DISTRIBUTION + "L = - T[B,C] log_softmax[C](Z[B,C])",
        ("Z", "Z"),
        SHARES + "H[b,c,n,d] = delta[b,n] q[b,c] delta[c,d] - delta[b,n] q[b,c] q[b,d]",
        "Z",
    ),
    "log sum exp": Closed(
        "L = log(exp(x[I]) 1[I])",
        ("x", "x"),
        "p[i] = softmax[i](x[i])\nH[i,j] = p[i] delta[i,j] - p[i] p[j]",
        "x",
    ),
    "entropy": Closed("L = x[I] log(x[I])", ("x", "x"), "H[i,j] = delta[i,j] / x[i]", "x"),
    "factorisation": Closed(
        "R[i,j] = M[i,j] (T[i,j] - U[i,K] V[j,K])\nL = R[I,J] R[I,J]", ("U", "U"), FACTORS.format("M[i,M]"), "M V"
    ),
    "factorisation, weights outside": Closed(
        "L = sum[i,j](M[i,j] (T[i,j] - U[i,K] V[j,K])^2)", ("U", "U"), FACTORS.format(""), "M V"
    ),
    "factorisation, ⊙": Closed(
        "L = sum[i,j]((M[i,j] ⊙ (T[i,j] - U[i,K] V[j,K]))^2)", ("U", "U"), FACTORS.format("M[i,M]"), "M V"
    ),
    "factorisation, written out": Closed(
        "P[i,j] = U[i,K] V[j,K]\nL = M[I,J] P[I,J] P[I,J] - 2 M[I,J] T[I,J] P[I,J]",
        ("U", "U"),
        FACTORS.format(""),
        "M V",
    ),
    "factorisation, the other factor": Closed(
        "R[i,j] = M[i,j] (T[i,j] - U[i,K] V[j,K])\nL = R[I,J] R[I,J]",
        ("V", "V"),
        "H[j,k,m,l] = 2 delta[j,m] M[N,j]^2 U[N,k] U[N,l]",
        "M U",
    ),
    "least squares": Closed(RESIDUALS + "L = r[A] r[A]", ("w", "w"), "H[k,l] = 2 X[A,k] X[A,l]", "X"),
    "least squares, mean": Closed(
        RESIDUALS + "L = mean[a](r[a]^2) / 2", ("w", "w"), "H[k,l] = X[A,k] X[A,l] / size(X,1)", "X"
    ),
    "least squares, written out": Closed(
        "L = w[K] X[A,K] X[A,M] w[M] - 2 y[A] X[A,K] w[K] + y[A] y[A]", ("w", "w"), "H[k,l] = 2 X[A,k] X[A,l]", "X"
    ),
    "least squares of matrices": Closed(
        "R[a,j] = X[a,K] W[K,j] - Y[a,j]\nL = R[A,J] R[A,J] / 2",
        ("W", "W"),
        "H[k,j,l,m] = X[A,k] X[A,l] delta[j,m] W[k,j]^0 W[l,m]^0",
        "X W",
    ),
    "ridge": Closed(
        RESIDUALS + "L = r[A] r[A] + c w[K] w[K]", ("w", "w"), "H[k,l] = 2 X[A,k] X[A,l] + 2 c delta[k,l]", "X c"
    ),
    "Gaussian, mean": Closed("L = sum[a]((y[a] - m)^2 / (2 s^2) + log(s))", ("m", "m"), "H = size(y,1) / s^2", "y s"),
    "Gaussian, mean and deviation": Closed(
        "L = sum[a]((y[a] - m)^2 / (2 s^2) + log(s))", ("m", "s"), "H = 2 sum[a](y[a] - m) / s^3", "y m s"
    ),
    "Gaussian, deviation": Closed(
        "L = sum[a]((y[a] - m)^2 / (2 s^2) + log(s))",
        ("s", "s"),
        "H = 3 sum[a]((y[a] - m)^2) / s^4 - size(y,1) / s^2",
        "y m s",
    ),
    "Gaussian regression": Closed(
        RESIDUALS + "L = r[A] r[A] / (2 s^2) + |y| log(s)", ("w", "w"), "H[k,l] = X[A,k] X[A,l] / s^2", "X s"
    ),
    "Poisson": Closed(
        LINEAR + "L = sum[a](exp(z[a]) - y[a] z[a])", ("w", "w"), "H[k,l] = X[A,k] exp(z[A]) X[A,l]", "X w"
    ),
    "Poisson, named rates": Closed(
        "m[a] = exp(X[a,K] w[K])\nL = sum[a](m[a] - y[a] log(m[a]))", ("w", "w"), "H[k,l] = X[A,k] m[A] X[A,l]", "X w"
    ),
    "squared norm": Closed("L = x[I] x[I]", ("x", "x"), "H[i,j] = 2 delta[i,j] x[i]^0", "x"),
    "Frobenius norm": Closed("L = W[I,J] W[I,J]", ("W", "W"), "H[i,j,k,l] = 2 delta[i,k] delta[j,l] W[i,j]^0", "W"),
    "Rosenbrock, x": Closed(
        ROSENBROCK, ("x", "x"), "H[i,j] = delta[i,j] (2 + 800 x[i]^2 + 400 (x[i]^2 - y[i]))", "x y"
    ),
    "Rosenbrock, mixed": Closed(ROSENBROCK, ("x", "y"), "H[i,j] = -400 x[i] delta[i,j]", "x"),
    "Rosenbrock, y": Closed(ROSENBROCK, ("y", "y"), "H[i,j] = 200 delta[i,j] y[i]^0", "y"),
    "trace of A X B X'": Closed(
        "L = A[I,J] X[J,K] B[K,M] X[I,M]", ("X", "X"), "H[j,k,l,m] = A[j,l] B[m,k] + A[l,j] B[k,m]", "A B"
    ),
    "trace of A X B X": Closed(
        "L = A[I,J] X[J,K] B[K,M] X[M,I]", ("X", "X"), "H[j,k,l,m] = A[k,l] B[m,j] + A[m,j] B[k,l]", "A B"
    ),
    "bilinear form": Closed("L = x[I] A[I,J] y[J]", ("x", "y"), "H[i,j] = A[i,j]", "A"),
    "bilinear form, one side": Closed("L = x[I] A[I,J] y[J]", ("x", "x"), "H[i,j] = 0[i,j] x[i] x[j]", "x"),
    "log cosh": Closed(
        LINEAR + "L = sum[a](log(cosh(z[a])))", ("w", "w"), "H[k,l] = X[A,k] (1 - tanh(z[A])^2) X[A,l]", "X w"
    ),
}


def node(p: es.Program, t: Term, laws: Laws = ALL_LAWS) -> Node:
    """What a kernel of the term computes, over inputs alone."""
    return Graph.of(p.definitions(), [t], laws).nodes(list)[0]


def by_hand(case: Closed) -> es.Program:
    return es.parse(case.text).reading(case.expected)


def data_of(p: es.Program) -> Arrays:
    """Positive numbers, another prime for every size; those of a target sum to 1."""
    shapes = {name: p.leaves[name].shape for name in p.inputs}
    symbols = dict.fromkeys(s for shape in shapes.values() for d in shape for s in sorted(d.symbols))
    env = dict(zip(symbols, PRIMES, strict=False))
    arrays = {name: RNG.uniform(0.2, 0.8, [d.at(env) for d in shape]) for name, shape in shapes.items()}
    if "T" in arrays:
        arrays["T"] /= arrays["T"].sum(-1, keepdims=True)
    return arrays


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_closed_form(case: Closed) -> None:
    assert node(es.parse(case.text), Term("L", case.wrt)) is node(by_hand(case), Term("H"), AS_WRITTEN)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_kernel_reads_and_costs_what_the_closed_form_does(case: Closed) -> None:
    p = es.parse(case.text)
    sizes = {name: array.shape for name, array in data_of(p).items()}
    kernel = p.jacobian("L", case.wrt[0]).jacobian(wrt=case.wrt[1]).compile(sizes=sizes)
    assert set(kernel.inputs) == set(case.reads.split())
    assert kernel.cost.flops <= by_hand(case).compile("H", sizes=sizes).cost.flops


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_value(case: Closed) -> None:
    p = es.parse(case.text)
    arrays = data_of(p)
    first, last = case.wrt
    slope = p.grad("L", first).compile()
    kernel = p.jacobian("L", first).jacobian(wrt=last).compile()
    assert relative_error(kernel(arrays), finite_difference(slope, arrays, last)) < 1e-6


# ---------------------------------------------------------------- two mixed blocks are transposes of each other

MIXED = {
    "layer": ("Y[b,j] = tanh(X[b,K] W[K,j] + c[j])\nL = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])", ("W", "c")),
    "factorisation": ("L = M[I,J] (T[I,J] - U[I,K] V[J,K]) (T[I,J] - U[I,N] V[J,N])", ("U", "V")),
    "three names": ("L = x[I] exp(y[I]) tanh(A[I,J] z[J])", ("x", "y", "z")),
}


@pytest.mark.parametrize(("text", "names"), MIXED.values(), ids=MIXED)
def test_one_of_two_mixed_blocks_is_computed(text: str, names: tuple[str, ...]) -> None:
    """The other one takes no more than to be written: a flop an entry, where a number stands before both."""
    p = es.parse(text)
    arrays = data_of(p)
    sizes = {name: array.shape for name, array in arrays.items()}
    triangle = {a: {b: Term("L", (a, b)) for b in names[n:]} for n, a in enumerate(names)}
    half = p.kernel(triangle, {}, Options(sizes=sizes))
    written = sum(arrays[a].size * arrays[b].size for a, b in combinations(names, 2))
    assert p.hessian("L", list(names)).compile(sizes=sizes).cost.flops <= half.cost.flops + written


@pytest.mark.parametrize(("text", "names"), MIXED.values(), ids=MIXED)
def test_mixed_blocks_are_transposes(text: str, names: tuple[str, ...]) -> None:
    p = es.parse(text)
    arrays = data_of(p)
    blocks = p.hessian("L", list(names)).run(**arrays)
    for a in names:
        for b in names:
            rank = arrays[a].ndim
            axes = (*range(rank, blocks[a][b].ndim), *range(rank))
            np.testing.assert_array_equal(blocks[b][a], blocks[a][b].transpose(axes) if a != b else blocks[b][a])
            slope = p.grad("L", a).compile()
            assert relative_error(blocks[a][b], finite_difference(slope, arrays, b)) < 1e-6


def test_blocks_by_defined_names_are_no_transposes() -> None:
    """x moves y = x², while y is a variable of its own beside x."""
    p = es.parse("y = x^2\nL = x y + y sin(y x)")
    blocks = p.hessian("L", ["x", "y"]).run(x=0.7)
    for a in "xy":
        assert relative_error(p.grad("L", a).jacobian(wrt="x").run(x=0.7), blocks[a]["x"]) < 1e-14
        assert relative_error(p.grad("L", a).jacobian(wrt="y").run(x=0.7), blocks[a]["y"]) < 1e-14


# ---------------------------------------------------------------- as they are printed

SOFTPLUS = LINEAR + "L = sum[a](softplus(z[a]) - y[a] z[a])"
CROSS = SCORES + "L = - T[B,C] log_softmax[C](Z[B,C])"
RELU = """
    H[b,j] = relu(X[b,K] W1[K,j])
    G[b,j] = relu(H[b,K] W2[K,j])
    L = - T[B,C] log_softmax[C](G[B,C])
"""
PRINTED = [
    ("L = x[I] A[I,J] x[J]", "x", "∂²L/∂x[i]∂x[j] = A[i,j] + A[j,i]"),
    (
        LINEAR + SIGMOID + "L = - y[A] log(p[A]) - (1 - y[A]) log(1 - p[A])",
        "w",
        "∂²L/∂w[k]∂w[l] = X[A,k] p[A] (1 - p[A]) X[A,l]",
    ),
    (SOFTPLUS, "w", "p[a] = sigmoid(z[a])\n∂²L/∂w[k]∂w[l] = X[A,k] p[A] (1 - p[A]) X[A,l]"),
    (
        DISTRIBUTION + CROSS,
        "W",
        "p[b,c] = softmax[c](Z[b,c])\n∂²L/∂W[f,c]∂W[g,d] = X[B,f] p[B,c] (delta[c,d] - p[B,d]) X[B,g]",
    ),
    ("L = log(exp(x[I]) 1[I])", "x", "p[i] = softmax[i](x[i])\n∂²L/∂x[i]∂x[j] = p[i] (delta[i,j] - p[j])"),
    ("L = sqrt(x[I] x[I])", "x", "∂²L/∂x[i]∂x[j] = delta[i,j] / L - x[i] x[j] / L^3"),
    (
        "R[i,j] = M[i,j] (T[i,j] - U[i,K] V[j,K])\nL = R[I,J] R[I,J]",
        "U",
        "∂²L/∂U[i,k]∂U[j,l] = 2 M[i,M]^2 V[M,k] V[M,l] delta[i,j]",
    ),
    (ROSENBROCK, "x", "∂²L/∂x[i]∂x[j] = (2 + 1200 x[i]^2 - 400 y[i]) delta[i,j]"),
    (
        RELU,
        "W1",
        "u[b,k,j,l] = X[b,k] W2[j,l] step(G[b,l]) step(H[b,j])\n"
        "p[b,j] = softmax[j](G[b,j])\n"
        "q[k,j,b,l] = u[b,k,j,M] p[b,M] - u[b,k,j,l]\n"
        "∂²L/∂W1[k,j]∂W1[l,m] = -q[k,j,B,N] u[B,l,m,N] p[B,N] T[B,C] 1[C]",
    ),
    (
        "y[i] = f(x[i]) g(x[i])\nL = y[I] 1[I]",
        "x",
        "∂²L/∂x[i]∂x[j] = (2 f'(x[i]) g'(x[i]) + g(x[i]) f''(x[i]) + g''(x[i]) f(x[i])) delta[i,j]",
    ),
    (
        "L = sum[i](sigmoid(x[i]))",
        "x",
        "p[i] = sigmoid(x[i])\n∂²L/∂x[i]∂x[j] = p[i] (1 - 2 p[i]) (1 - p[i]) delta[i,j]",
    ),
    ("L = sum[i](elu(x[i]))", "x", "∂²L/∂x[i]∂x[j] = where(x[i] > 0, 0, exp(x[i])) delta[i,j]"),
    (
        "L = sum[i](gelu(x[i]))",
        "x",
        "∂²L/∂x[i]∂x[j] = 2 exp(-(x[i] / sqrt(2))^2) (1 - x[i]^2 / 2) delta[i,j] / sqrt(pi) / sqrt(2)",
    ),
    (
        "L = norm[i](x[i])",
        "x",
        "∂²L/∂x[i]∂x[j] = where(L > 0, 1 / L, 0) delta[i,j] - x[i] where(L > 0, x[j] / L^3, 0)",
    ),
    (
        "L = sum[i,k](sigmoid(A[i,i,k] x[k]))",
        "x",
        "p[i,k] = sigmoid(A[i,i,k] x[k])\n"
        "∂²L/∂x[k]∂x[l] = p[I,k] A[I,I,k] ((1 - p[I,k]) - p[I,k]) (1 - p[I,k]) A[I,I,k] delta[k,l]",
    ),
    ("m = mean[i](x[i])\nL = exp(m^2)", "x", "∂²L/∂x[i]∂x[j] = L (2 + 4 m^2) / size(x,1)^2"),
    (
        "L = prod[i](x[i])",
        "x",
        "∂²L/∂x[i]∂x[j] = where(delta[i,j], 0, prod[k](where(delta[j,k], 1, where(delta[i,k], 1, x[k]))))",
    ),
    (
        "L = sum[i](x[i]^a)",
        "a",
        "u[i] = where(x[i] == 0, 0, log(x[i])^2 x[i]^a)\n∂²L/∂a∂a = u[I] 1[I]",
    ),
    (
        "L = sum[i](relu(x[i] y[i])^2)",
        "x",
        "∂²L/∂x[i]∂x[j] = 2 y[i]^2 step(x[i] y[i]) delta[i,j]",
    ),
    (
        "L = max[i](x[i] y[i])^2",
        "x",
        "u[i] = x[i] y[i] == max[j](x[j] y[j])\n∂²L/∂x[i]∂x[j] = 2 u[i] y[i] u[j] y[j] / (u[K] 1[K])^2",
    ),
]


@pytest.mark.parametrize(("text", "wrt", "lines"), PRINTED, ids=[text.splitlines()[-1] for text, *_ in PRINTED])
def test_printed(text: str, wrt: str, lines: str) -> None:
    assert str(es.parse(text).hessian("L", wrt)) == lines


def test_what_a_product_and_its_transpose_have_in_common() -> None:
    """All of it: the one is then the other, turned, and is not looked for in itself."""
    p = es.parse("s[i,j] = A[i,K] B[j,K] c[i] d[j]\nt[j,i] = A[i,K] B[j,K] c[i] d[j]")
    roots = [p["s"].node, p["t"].node]
    arrays = data_of(p)
    env = {str(d): n for x in p.inputs for d, n in zip(p.leaves[x].shape, arrays[x].shape, strict=True)}
    for pair in (roots, roots[::-1]):
        for got, expected in zip(evaluate(legible(pair), arrays, env), evaluate(pair, arrays, env), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_ties_are_found_again_in_what_is_printed() -> None:
    """Y itself is b[K] / a[i] x[j,K]^-1.5 in another order of rounding."""
    p = es.parse("Y[i] = min[j](sum[k](b[k] / a[i] * x[j,k]^-1.5))\nL = Y[I] Y[I]")
    found = es.parse(f"{p}\n{p.hessian('L', 'a')}")
    right = found.checked.claims[0].claim.forms[1]
    named = found.extended([ast.Definition(ast.Tensor("Q", (ast.Index("i"), ast.Index("j"))), right)])
    arrays = data_of(p)
    assert relative_error(named.run("Q", **arrays), p.hessian("L", "a").run(**arrays)) < 1e-12


# ---------------------------------------------------------------- verbs on verbs

PROGRAMS = {
    "layer": ("Y[b,j] = tanh(X[b,K] W[K,j] + c[j])\nL = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])", ("W", "c"), {}),
    "softmax": (SCORES + "Y[b,c] = softmax[c](Z[b,c])\nL = - T[B,C] log(Y[B,C])", ("W", "X"), {}),
    "opaque": ("Y[i] = f(x[i] a[i]) g(a[i])\nL = Y[I] Y[I]", ("x", "a"), {"f": "tanh", "g": "softplus"}),
    "joined": ("Y[k] = sigmoid([x[k], u[k]]_k w[k])\nL = Y[K] Y[K]", ("x", "w"), {}),
    "ties": ("Y[i] = min[j](sum[k](b[k] / a[i] * x[j,k]^-1.5))\nL = Y[I] Y[I]", ("a", "x"), {}),
    "kinks": ("Y[i] = where(x[i] > w[i], relu(x[i] w[i]) w[i], x[i]^2)\nL = Y[I] Y[I]", ("x", "w"), {}),
}
SLOW = ("layer", "softmax", "joined", "ties")
VERBS: dict[str, Callable[[Any, str, str], Any]] = {
    "hessian": lambda p, a, b: p.hessian("L", [a, b]),
    "hessian of an array": lambda p, a, b: p.hessian("Y", a),
    "third": lambda p, a, b: p.hessian("L", a).jacobian(wrt=b),
    "hvp": lambda p, a, b: p.hvp("L", [a, b], {a: "V1", b: "V2"}),
    "jvp of a Hessian": lambda p, a, b: p.hessian("L", [a, b]).jvp(wrt=b, tangent="V1"),
    "jvp of a jvp": lambda p, a, b: p.jvp("Y", a, "V1").jvp(wrt=b, tangent="V2"),
    "vjp of a Jacobian": lambda p, a, b: p.jacobian("Y", a).vjp(wrt=b, cotangent="V1"),
    "vjp of a jvp": lambda p, a, b: p.jvp("Y", a, "V1").vjp(wrt=b, cotangent="V2"),
    "vjp of a vjp": lambda p, a, b: p.vjp("Y", a, "V1").vjp(wrt=b, cotangent="V2"),
    "vjp of an hvp": lambda p, a, b: p.hvp("L", a, "V1").vjp(wrt=b, cotangent="V2"),
    "Jacobian of a vjp": lambda p, a, b: p.vjp("Y", a, "V1").jacobian(wrt=b),
    "of an expression": lambda p, a, b: p["L"].hvp([a, b], {a: "V1", b: "V2"}),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("program", [pytest.param(x, marks=pytest.mark.slow) if x in SLOW else x for x in PROGRAMS])
def test_verbs_on_verbs(program: str, verb: str) -> None:
    """What is printed reads back, from LaTeX too, and is worth what the kernel gives, which is what slopes are."""
    text, names, functions = PROGRAMS[program]
    d = VERBS[verb](es.parse(text), *names)
    arrays = with_vectors(d, functions)
    results = leaves(d.compile(functions=functions)(arrays))
    read = es.parse(f"{d.base}\n{d}")
    assert read.content == d.content == es.parse(f"{d.base.latex()}\n{d.latex()}").content
    claims = [claim.claim.forms[1] for claim in read.checked.claims]
    axes = [claim.forms[0].axes for claim in read.checked.claims]
    for t, right, free, got in zip(terms(d.tree), claims, axes, results, strict=True):
        named = read.extended([ast.Definition(ast.Tensor("Q", tuple(map(ast.Index, free))), right)])
        assert relative_error(got, named.compile("Q", functions=functions)(arrays)) < 1e-11
        along = {x: arrays[v] for x, v in t.tangents} or {t.wrt[-1]: RNG.uniform(0.2, 0.8, arrays[t.wrt[-1]].shape)}
        slope = got if t.tangents else np.tensordot(got, along[t.wrt[-1]], along[t.wrt[-1]].ndim)
        assert relative_error(slope, differences(d, t, arrays, functions, along)) < 1e-6


def with_vectors(d: Any, functions: Mapping[str, str]) -> Arrays:
    """Data of the base program, and vectors for tangents and cotangents, each shaped like what it belongs to."""
    arrays = data_of(d.base)
    for name, like in d.extra.items():
        value = arrays[like] if like in arrays else d.base.compile(like, functions=functions)(arrays)
        arrays[name] = RNG.uniform(0.2, 0.8, np.shape(value))
    return arrays


def leaves(tree: Any) -> list[Any]:
    return [x for branch in tree.values() for x in leaves(branch)] if isinstance(tree, dict) else [tree]


def differences(d: Any, t: Term, arrays: Arrays, functions: Mapping[str, str], along: Arrays) -> Any:
    """Of the derivative of one order less, its inputs moved along the vectors of `along`."""
    less = replace(t, tangents=()) if t.tangents else replace(t, wrt=t.wrt[:-1])
    alone = replace(less, cotangent=less.cotangent if less.wrt else None)
    kernel = d.base.derived(t.of, [], alone, d.extra).compile(functions=functions)
    ends = [kernel(arrays | {x: arrays[x] + sign * 1e-6 * v for x, v in along.items()}) for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / 2e-6
    return slope if less.cotangent is None or less.wrt else (slope * arrays[less.cotangent]).sum()


# ---------------------------------------------------------------- the models, against JAX


def entries(model: Model) -> int:
    """Of all blocks together."""
    arrays = model.arrays()
    return sum(arrays[name].size for name in model.wrt) ** 2


SMALL = [m for m in MODELS if entries(m) <= 2_000 and len(m.wrt) <= 3]
LARGE = [m for m in MODELS if m not in SMALL and entries(m) <= 1_500_000 and len(m.text) < 5_000]


def hessians(model: Model) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Mapping[str, Any]]]:
    """All blocks, ours and JAX's."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    arrays = model.arrays()
    wrt = {name: arrays[name] for name in model.wrt}
    theirs = jax.jit(jax.hessian(lambda w: model.loss(jax.numpy, arrays | w)))(wrt)
    p = es.parse(model.text)
    return p.hessian(model.of, list(model.wrt)).compile(functions=dict(model.functions))(arrays), theirs


def same_as_jax(model: Model) -> None:
    ours, theirs = hessians(model)
    for a in model.wrt:
        for b in model.wrt:
            largest = max(float(np.abs(theirs[x][y]).max()) for x, y in ((a, b), (a, a), (b, b)))
            assert float(np.abs(ours[a][b] - theirs[a][b]).max()) <= 1e-9 * max(largest, 1e-300), f"∂²/∂{a}∂{b}"


@pytest.mark.parametrize("model", SMALL, ids=lambda m: m.name)
def test_hessians_are_those_of_jax(model: Model) -> None:
    same_as_jax(model)


@pytest.mark.slow
@pytest.mark.parametrize("model", LARGE, ids=lambda m: m.name)
def test_hessians_of_large_models_are_those_of_jax(model: Model) -> None:
    same_as_jax(model)
