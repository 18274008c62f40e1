"""Signs, semidefinite matrices and certificates that are read off from formulas; what numbers say of them."""

from __future__ import annotations

import json
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.certificates import Certificate
from einstan.cli import certificates, main
from einstan.definite import semidefinite
from einstan.dims import Dim
from einstan.intervals import RULES, Interval, intervals
from einstan.ir import Node, add, call, einsum, input_, scale, times
from einstan.plan import plan
from einstan.plan.regions import Cores, Mode
from einstan.prims.reduce import REDUCE
from einstan.prims.scalar import EXP, POW, SCALAR, SIGMOID, TANH, one_minus, plus, power
from einstan.prims.stable import STABLE
from einstan.testing import evaluate
from tests.models import MODELS, Model
from tests.random_checks import Case
from tests.random_programs import program

# ---------------------------------------------------------------- intervals of functions

ARGUMENTS = [
    Interval(),
    Interval(low=0),
    Interval(high=0),
    Interval(low=0, above=True),
    Interval(high=0, below=True),
    Interval(-1, 1),
    Interval(0, 1),
    Interval(0, 1, True, True),
    Interval(low=1),
    Interval(-3, -1),
    Interval(Fraction(-1, 2), 2),
    Interval(high=-1),
    Interval(0, 0),
]
POWERS = [Fraction(q) for q in ("2", "3", "4", "9", "-1", "-2", "-3", "1/2", "-1/2", "3/2", "2/3", "12")]
N = Dim.symbol("n")
STABLE_SCALARS = [p for p in STABLE.values() if p.entrywise]
PRIMITIVES = [(p, ()) for p in (*SCALAR.values(), *STABLE_SCALARS) if p is not POW]
PRIMITIVES += [(POW, (q,)) for q in POWERS] + [(p, (1,)) for p in (*REDUCE.values(), STABLE["unit"])]


def samples(i: Interval, rng: np.random.Generator, n: int) -> np.ndarray:
    """Numbers in an interval, its ends and zero among them where they belong to it."""
    low, high = float(max(i.low, -4)), float(min(i.high, 4))
    if i.low == -inf and i.high <= -1:
        low = high - 4
    found = rng.uniform(low, high, n)
    ends = [float(x) for x in (i.low, i.high) if abs(x) != inf and within(float(x), i)]
    ends += [0.0] if within(0.0, i) else []
    found[: len(ends)] = ends
    return rng.permutation(found)


def within(x: float, i: Interval, tolerance: float = 1e-9) -> bool:
    """Whether a rounded number may be in the interval; an end that is not reached exactly may be so by rounding."""
    if i.above and i.low == x == 0:
        return True
    return float(i.low) - tolerance * (1 + abs(x)) <= x <= float(i.high) + tolerance * (1 + abs(x))


@pytest.mark.parametrize(("prim", "params"), PRIMITIVES, ids=lambda x: getattr(x, "name", str(x)))
def test_values_of_a_function_lie_in_its_interval(prim: Any, params: tuple[Any, ...]) -> None:
    rng = np.random.default_rng(len(prim.name))
    leaves = [input_(name, (N,)) for name in "abc"[: prim.arity]]
    y = call(prim, leaves, params)
    for k in range(len(ARGUMENTS) ** min(prim.arity, 2)):
        given = [ARGUMENTS[(k // len(ARGUMENTS) ** m) % len(ARGUMENTS)] for m in range(prim.arity)]
        found = intervals([y], dict(zip(leaves, given, strict=True)))[y]
        assert found.low <= found.high
        arrays = {leaf.name: samples(i, rng, 40) for leaf, i in zip(leaves, given, strict=True)}
        values = np.atleast_1d(evaluate([y], arrays, {"n": 40})[0])
        wrong = [x for x in values[np.isfinite(values)] if not within(float(x), found)]
        assert not wrong, (given, found, wrong)


def test_every_function_with_a_known_sign_has_a_row() -> None:
    """The rest may have any value: tan has poles."""
    assert {p.name for p in (*SCALAR.values(), *REDUCE.values(), *STABLE_SCALARS)} - set(RULES) == {"tan"}


X = input_("x", (N,))
Y = input_("y", (N,))
A = input_("A", (N, N))
SIGNS = {
    "sigma and its slope": (times(SIGMOID(X), one_minus(SIGMOID(X))), "positive"),
    "1 - tanh^2": (one_minus(power(TANH(X), 2)), "positive"),
    "a sum of squares": (einsum([A, A], ["ij", "ij"], "i"), "nonnegative"),
    "no square": (einsum([A, A], ["ij", "ji"], "i"), None),
    "equal factors on other labels": (einsum([X, X], ["i", "j"], "ij"), None),
    "a cube": (power(X, 3), None),
    "an even power": (power(X, 4), "nonnegative"),
    "minus an even power": (scale(-1, power(X, 4)), "nonpositive"),
    "1 / x^2": (power(X, -2), "positive"),
    "1 / (1 + exp)": (power(plus(einsum([], [], "i", {"i": N}), EXP(X)), -1), "positive"),
    "a difference": (plus(EXP(X), scale(-1, EXP(Y))), None),
    "exp(-x^2) - 1": (
        add([(1, EXP(scale(-1, power(X, 2)))), (-1, einsum([], [], "i", {"i": N}))], (N,)),
        "nonpositive",
    ),
    "a diagonal of positive entries": (einsum([EXP(X)], ["i"], "ii"), "nonnegative"),
    "an input": (X, None),
}


@pytest.mark.parametrize("name", SIGNS)
def test_signs(name: str) -> None:
    node, sign = SIGNS[name]
    found = intervals([node])[node]
    said = [s for s in ("positive", "negative", "nonnegative", "nonpositive") if getattr(found, s)]
    assert said[:1] == ([sign] if sign else [])


@pytest.mark.parametrize("seed", range(200))
def test_intervals_multiply_and_add_as_numbers_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    i, j = (ARGUMENTS[n] for n in rng.integers(len(ARGUMENTS), size=2))
    x, y = samples(i, rng, 30), samples(j, rng, 30)
    for found, values in ((i * j, x * y), (i + j, x + y), (-i, -x), (i.hull(j), np.r_[x, y])):
        assert all(within(float(v), found) for v in values)


# ---------------------------------------------------------------- matrices

PSD = {
    "XᵀX": einsum([A, A], ["ki", "kj"], "ij"),
    "Xᵀ diag(d) X": einsum([A, A, EXP(X)], ["ki", "kj", "k"], "ij"),
    "zzᵀ": einsum([X, X], ["i", "j"], "ij"),
    "diag": einsum([EXP(X)], ["i"], "ii"),
    "a Gram matrix of a product": einsum([A, A, A, A], ["ik", "kl", "jm", "ml"], "ij"),
    "XᵀX ⊗ δ": einsum([A, A], ["ki", "kj"], "icjc", {"c": N}),
    "rows that are diagonal": einsum([A, A], ["ki", "kj"], "iijj"),
    "the ones": einsum([], [], "ij", {"i": N, "j": N}),
    "the square of a quadratic form": einsum([A, A, A, A], ["ki", "kj", "lm", "lm"], "ij"),
    "a sum": add([(2, einsum([A, A], ["ki", "kj"], "ij")), (3, einsum([], [], "ii", {"i": N}))], (N, N)),
    "a square of a sum": einsum(
        [add([(1, A), (1, einsum([A], ["ij"], "ji"))], (N, N))] * 2 + [EXP(X)], ["ki", "kj", "k"], "ij"
    ),
}
REFUSED = {
    "an input": A,
    "AB": einsum([A, A], ["ik", "kj"], "ij"),
    "AᵀA with one A transposed": einsum([A, A], ["ki", "jk"], "ij"),
    "a weight of any sign": einsum([A, A, X], ["ki", "kj", "k"], "ij"),
    "weights of two summed labels": einsum([A, A, EXP(A)], ["ki", "lj", "kl"], "ij"),
    "the transposition": einsum([], [], "ijji", {"i": N, "j": N}),
    "A + Aᵀ": add([(1, A), (1, einsum([A], ["ij"], "ji"))], (N, N)),
    "a difference": add([(1, einsum([A, A], ["ki", "kj"], "ij")), (-1, einsum([X, X], ["i", "j"], "ij"))], (N, N)),
    "rows and columns crossed": einsum([A, A], ["ij", "kl"], "iklj"),
    "partial transpose": einsum([A, A], ["ij", "kl"], "ilkj"),
    "δ of a row and another column": einsum([A, A], ["ki", "kj"], "iccj", {"c": N}),
    "p - p pᵀ of what is no softmax": add(
        [(1, einsum([SIGMOID(X)], ["i"], "ii")), (-1, einsum([SIGMOID(X), SIGMOID(X)], ["i", "j"], "ij"))], (N, N)
    ),
}


def dense(node: Node, rng: np.random.Generator, n: int = 4) -> np.ndarray:
    arrays = {"A": rng.standard_normal((n, n)), "x": rng.standard_normal(n), "y": rng.standard_normal(n)}
    (found,) = evaluate([node], arrays, {"n": n})
    rows = n ** (node.rank // 2)
    return np.asarray(found, float).reshape(rows, rows)


@pytest.mark.parametrize("name", PSD)
def test_matrices_that_are_semidefinite(name: str) -> None:
    rng = np.random.default_rng(0)
    for sign in (1, -1):
        proof = semidefinite(scale(sign, PSD[name]))
        assert proof is not None
        assert proof.sign == sign
    assert least_eigenvalue(dense(PSD[name], rng)) > -1e-12


@pytest.mark.parametrize("name", REFUSED)
def test_matrices_that_are_not_known_to_be(name: str) -> None:
    assert semidefinite(REFUSED[name]) is None


def least_eigenvalue(h: np.ndarray) -> float:
    """The smallest one, relative to the largest."""
    assert np.allclose(h, h.T, atol=1e-9 * (1 + np.abs(h).max(initial=0)))
    w = np.linalg.eigvalsh(h)
    return float(w.min(initial=0.0) / max(1.0, np.abs(w).max(initial=0.0)))


# ---------------------------------------------------------------- certificates

LINEAR = "z[a] = X[a,I] w[I]\n"
CERTIFIED = {
    "least squares": ("e[a] = X[a,I] w[I] - y[a]; L = e[A] e[A]", "w", "L is convex in w: its Hessian is BᵀB"),
    "logistic": (
        LINEAR + "L = softplus(z[A]) 1[A] - y[A] z[A]",
        "w",
        "L is convex in w: its Hessian is Bᵀ diag(d) B with B[a,i] = X[a,i], "
        "d[a] = sigmoid(z[a]) (1 - sigmoid(z[a])) ≥ 0",
    ),
    "naive logistic": (LINEAR + "L = log(1 + exp(z[A])) 1[A] - y[A] z[A]", "w", "L is convex in w"),
    "Poisson": (LINEAR + "L = exp(z[A]) 1[A] - y[A] z[A]", "w", "L is convex in w"),
    "log cosh": (LINEAR + "L = log(cosh(z[A])) 1[A]", "w", "d[a] = 1 - tanh(z[a])^2 ≥ 0"),
    "fourth powers": (LINEAR + "L = z[A]^4 1[A]", "w", "d[a] = 12 z[a]^2 ≥ 0"),
    "log Σ exp": ("L = logsumexp[i](x[i])", "x", "its Hessian is diag(p) - p pᵀ with p[i] = softmax[i](x[i])"),
    "log Σ exp, naive": ("L = log(exp(A[I,J] x[J]) 1[I])", "x", "Bᵀ (diag(p) - p pᵀ) B"),
    "weighted log Σ exp": ("L = v[N]^2 logsumexp[i](A[N,i,J] x[J])", "x", "weighted by d with"),
    "a bias below a softmax": (
        "fact T[n,C] 1[C] = 1[n]; L = - T[N,C] log_softmax[C](Z[N,C] + b[C])",
        "b",
        "diag(p) - p pᵀ summed over n with p[n,c] = softmax[c](Z[n,c] + b[c])",
    ),
    "softmax cross entropy": (
        "fact T[b,C] 1[C] = 1[b]; Z[b,c] = X[b,F] W[F,c]; L = - T[B,C] log_softmax[C](Z[B,C])",
        "W",
        "Bᵀ (diag(p) - p pᵀ) B with B[b,f] = X[b,f], p[b,c] = softmax[c](Z[b,c])",
    ),
    "factorisation": (
        "E[i,j] = M[i,j] (T[i,j] - U[i,K] V[j,K]); L = E[I,J] E[I,J]",
        "U",
        "Bᵀ diag(d) B for each i with B[j,k] = V[j,k], d[i,j] = 2 M[i,j]^2 ≥ 0",
    ),
    "many right sides": (
        "E[b,c] = X[b,F] W[F,c] - T[b,c]; L = E[B,C] E[B,C]",
        "W",
        "BᵀB for each c with B[b,f] = sqrt(2) X[b,f]",
    ),
    "ridge": (LINEAR + "L = z[A] z[A] + 0.1 w[I] w[I]", "w", "B1ᵀB1 + δ / 5"),
    "ridge by a square": (LINEAR + "L = z[A] z[A] / |A| + s^2 w[I] w[I]", "w", "d2 = 2 s^2 ≥ 0"),
    "a barrier": ("L = - log(b[A] - X[A,I] w[I]) 1[A]", "w", "L is convex in w"),
    "logarithms": ("L = log(x[I]) 1[I]", "x", "L is concave in x: its Hessian is -diag(d) with d[i] = 1 / x[i]^2 ≥ 0"),
    "entropy": ("L = x[I] log(x[I])", "x", "L is convex in x: its Hessian is diag(d) with d[i] = 1 / x[i] ≥ 0"),
    "divergence": ("L = x[I] (log(x[I]) - log(q[I]))", "x", "diag(d) with d[i] = 1 / x[i] ≥ 0"),
    "roots": ("L = sqrt(x[I]) 1[I]", "x", "L is concave in x"),
    "minus a square": ("L = - x[I] x[I]", "x", "L is concave in x: its Hessian is -2 δ"),
    "affine": ("L = x[I] c[I]", "x", "L is affine in x: its Hessian is 0"),
    "a defined name": ("P[i] = exp(x[i]); L = P[I] P[I]", "P", "L is convex in P: its Hessian is 2 δ"),
    "one number": ("L = exp(a x)", "x", "L is convex in x"),
    "a square of a square": ("L = (x[I] x[I])^2", "x", "L is convex in x"),
    "a square of a sum": ("L = (x[I] 1[I])^2", "x", "BᵀB with B[i] = sqrt(2)"),
    "kinks elsewhere": ("L = abs(c[I]) x[I] x[I]", "x", "d[i] = 2 abs(c[i]) ≥ 0"),
}
POSITIVE = ("entropy", "divergence", "logarithms", "roots", "a barrier")
UNCERTIFIED = {
    "a weight of any sign": ("L = c[A] (X[A,I] w[I])^2", "w"),
    "a factor of any sign": ("L = x[I] x[I] + s x[I] x[I]", "x"),
    "a bilinear form": ("L = x[I] A[I,J] x[J]", "x"),
    "squares of a sigmoid": ("L = (sigmoid(X[A,I] w[I]) - y[A]) (sigmoid(X[A,I] w[I]) - y[A])", "w"),
    "both factors": ("E[i,j] = T[i,j] - U[i,K] U[j,K]; L = E[I,J] E[I,J]", "U"),
    "cubes": ("L = x[I]^3 1[I]", "x"),
    "a sine": ("L = sin(x[I]) 1[I]", "x"),
    "a relu": ("L = relu(x[I]) 1[I]", "x"),
    "minus a relu": ("L = - relu(x[I]) 1[I]", "x"),
    "a distance": ("L = - abs(x[I] - y[I]) 1[I]", "x"),
    "minus a maximum": ("L = - max[i](x[i])", "x"),
    "a minimum of squares": ("L = min(x[I]^2, y[I]^2) 1[I]", "x"),
    "steps": ("L = step(x[I]) 1[I]", "x"),
    "a jump between squares": ("L = where(x[I] > 0, x[I]^2, x[I]^2 - 1) 1[I]", "x"),
    "a norm below a minus": ("L = - norm[i](x[i])", "x"),
    "a pole": ("L = x[I]^-2 1[I]", "x"),
    "a pole of a product": ("L = 1 / (c[I] x[I])^2", "x"),
    "a hole in the domain": ("L = - log(x[I] x[I] - 1)", "x"),
    "logarithms of squares": ("L = - log(x[I]^2) 1[I]", "x"),
    "entropy turned": ("L = softmax[I](x[I]) a[I]", "x"),
    "cross entropy of any weights": ("L = - T[B,C] log_softmax[C](X[B,F] W[F,C])", "W"),
    "an unknown function": ("L = f(x[I]) 1[I]", "x"),
    "a concave function of a convex one": ("L = log(1 + x[I] x[I])", "x"),
    "poles of a tangent": ("L = tan(x[I]) 1[I]", "x"),
    "a norm that starts at zero": ("L = (x[I] x[I])^0.25", "x"),
    "a tanh net": ("L = tanh(X[B,K] w[K])^2 1[B]", "w"),
    "a logarithm off the diagonal": ("P[i,j] = log(c[i,j]); L = P[I,I] + c[I,J] x[I,J] x[I,J]", "x"),
    "a logarithm above a diagonal": (
        "P[i,j] = log(c[i,j]); Q[i,j] = tril[i,j](P[i,j]); L = Q[I,J] 1[I,J] + c[I,J] x[I,J] x[I,J]",
        "x",
    ),
    "a logarithm to a power that may be 0": ("L = 1[I] log(c[I])^b + c[I] x[I] x[I]", "x"),
    "a logarithm in a part that is not read": (
        "P[i] = [log(c[i]), b[i]]_i; Q[i] = P[i=2:4]; L = Q[I] 1[I] + sum[i](c[i] x[i]^2)",
        "x",
    ),
    "a product of two sigmoids' slopes": ("L = - log(sigmoid(x[I])) log(sigmoid(-x[I]))", "x"),
}


@pytest.mark.parametrize("name", CERTIFIED)
def test_what_is_certified(name: str) -> None:
    text, wrt, told = CERTIFIED[name]
    p = es.parse(text)
    certificate = p.convexity("L", wrt=wrt)
    assert certificate is not None
    assert told in str(certificate)
    assert_by_numbers(p, "L", wrt, certificate, positive=name in POSITIVE)


@pytest.mark.parametrize("name", UNCERTIFIED)
def test_what_is_not(name: str) -> None:
    text, wrt = UNCERTIFIED[name]
    assert es.parse(text).convexity("L", wrt=wrt) is None


def assert_by_numbers(p: es.Program, of: str, wrt: str, certificate: Certificate, positive: bool = False) -> None:
    """Eigenvalues of the Hessian, and the value halfway between two points, at random points."""
    rng = np.random.default_rng(len(str(p)))
    hessian = p.hessian(of, wrt=wrt).compile()
    held = p.below(of) if wrt in p.inputs else None
    value = p.compile(of) if held else None
    for _ in range(4):
        arrays = random_arrays(p, rng, positive)
        h = np.asarray(hessian(**given(hessian, arrays)))
        assert np.isfinite(h).all()
        assert_signs(certificate, h, round(h.size**0.5))
        if value is not None and np.isfinite(first := value(**given(value, arrays))):
            other = arrays | {wrt: random_arrays(p, rng, positive)[wrt]}
            second, middle = (value(**given(value, a)) for a in (other, halfway(arrays, other, wrt)))
            gap = (first + second) / 2 - middle
            slack = 1e-9 * (1 + abs(first) + abs(second))
            assert not certificate.convex or not np.isfinite(gap) or gap >= -slack
            assert not certificate.concave or not np.isfinite(gap) or gap <= slack


def given(kernel: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: arrays[name] for name in kernel.inputs}


def halfway(a: dict[str, Any], b: dict[str, Any], name: str) -> dict[str, Any]:
    return a | {name: (np.asarray(a[name]) + b[name]) / 2}


def random_arrays(p: es.Program, rng: np.random.Generator, positive: bool) -> dict[str, Any]:
    """Arrays for all inputs; a barrier's b is large enough."""
    sizes: dict[Any, int] = {}
    arrays = {}
    for name in p.inputs:
        shape = [d.at({s: sizes.setdefault(s, 2 + len(sizes)) for s in d.symbols}) for d in p.checked.shapes[name]]
        x = rng.standard_normal(shape)
        if name == "T" and "fact" in str(p):
            x = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
        arrays[name] = np.abs(x) + (50 if name == "b" else 0.1) if positive else x
    return arrays


BY_MODEL = {
    "attention-one-head": {"Wv"},
    "attention-batch": {"Wv"},
    "attention-heads": {"Wv", "Wo"},
    "logistic-regression": {"w", "c", "X"},
    "logistic-regression-softplus": {"w", "c", "X"},
    "matrix-factorisation-mask": {"U", "V"},
    "layer-norm": {"g", "c"},
    "seed-A5-diagonal-readout": {"A", "B"},
    "seed-C2-C3-inner-product": {"u", "v"},
    "seed-C4-C5-matrix-vector": {"A", "b", "c"},
    "seed-C6-general-inner-product": {"A", "B"},
    "seed-7-linear-layer": {"W"},
}
PAIRS = [(m, wrt) for m in MODELS if len(m.text) < 400 for wrt in m.wrt]


@pytest.mark.parametrize(("model", "wrt"), PAIRS, ids=lambda x: getattr(x, "name", x))
def test_certificates_of_the_models(model: Model, wrt: str) -> None:
    p = es.parse(model.text)
    certificate = None if p.letters[model.of] else p.convexity(model.of, wrt=wrt, most=40)
    assert (certificate is not None) == (wrt in BY_MODEL.get(model.name, ()))
    if certificate is None:
        return
    arrays = model.arrays()
    hessian = p.hessian(model.of, wrt=wrt).compile(functions=model.functions)
    rng = np.random.default_rng(0)
    if wrt in p.inputs and arrays[wrt].size <= 400:
        for scale_ in (1.0, 3.0):
            x = scale_ * rng.standard_normal(arrays[wrt].shape)
            assert_signs(certificate, hessian(**given(hessian, arrays | {wrt: x})), x.size)


@pytest.mark.parametrize("seed", range(40))
def test_certificates_of_random_programs(seed: int) -> None:
    case = Case(program(seed, depth=2), seed)
    for wrt in case.p.inputs:
        certificate = case.read.convexity("L", wrt=wrt, most=25)
        if certificate is not None:
            hessian = case.read.hessian("L", wrt=wrt).compile(functions=case.bindings)
            for scale_ in (1.0, 0.5):
                h = hessian(case.arrays | {wrt: case.arrays[wrt] * scale_})
                assert_signs(certificate, h, case.arrays[wrt].size)


def assert_signs(certificate: Certificate, h: np.ndarray, size: int) -> None:
    """The Hessian has eigenvalues as certified; only what is finite is judged."""
    if np.isfinite(h).all():
        h = h.reshape(size, size)
        assert not certificate.convex or least_eigenvalue(h) > -1e-10
        assert not certificate.concave or least_eigenvalue(-h) > -1e-10


def test_show_prints_certificates(capsys: pytest.CaptureFixture[str]) -> None:
    text = "e[a] = X[a,I] w[I] - y[a]; L = e[A] e[A]"
    assert main(["show", "-e", text]) == 0
    assert "convexity L is convex in w: its Hessian is BᵀB" in capsys.readouterr().out
    assert main(["show", "--json", "-e", text]) == 0
    told = json.loads(capsys.readouterr().out)["convexity"]
    assert {k: told[1][k] for k in list(told[1])[:4]} == {"of": "L", "wrt": "w", "convex": True, "concave": False}


def test_show_looks_for_little() -> None:
    """Deep nets are shown as fast as before: the search is bounded by text, names and nodes."""
    long = "\n".join(f"h{n + 1}[i] = tanh(h{n}[i])" for n in range(100)) + "\nL = h100[I] h100[I]"
    assert certificates(es.parse(long)) == []
    many = "L = " + " + ".join(f"x{n} x{n}" for n in range(40))
    assert len(certificates(es.parse(many))) <= 12


def test_show_says_nothing_of_what_is_not_proved(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "-e", "L = x[I] x[J] x[I] x[J] x[I] 1[J] + relu(x[I]) 1[I]"]) == 0
    assert "convex" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("of", "wrt", "error"),
    [("Y", "x", es.EinstanDerivativeError), ("L", "q", es.EinstanNameError), ("x", "x", es.EinstanNameError)],
)
def test_what_has_no_convexity(of: str, wrt: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        es.parse("Y[i] = exp(x[i]); L = Y[I] Y[I]").convexity(of, wrt=wrt)


# ---------------------------------------------------------------- half the flops

A_SIZE, I_SIZE = 600, 70
Z = "z[a] = X[a,I] w[I]\n"
HALVED = {  # text, what is computed, derivatives by
    "logistic": (Z + "L = softplus(z[A]) 1[A]", ("w", "w")),
    "minus logistic": (Z + "L = - softplus(z[A]) 1[A]", ("w", "w")),
    "Poisson": (Z + "L = exp(z[A]) 1[A]", ("w", "w")),
    "even powers": (Z + "L = z[A]^6 1[A]", ("w", "w")),
    "a value": ("L[i,j] = X[A,i] X[A,j] exp(X[A,M] w[M])", ()),
    "two weights": ("L[i,j] = X[A,i] X[A,j] s[A]^2 exp(w[M] X[A,M])", ()),
    "a weight that sums": ("d[a] = exp(X[a,M]) 1[M]; L[i,j] = X[A,i] X[A,j] d[A]", ()),
    "no weight": ("L[i,j] = X[A,i] X[A,j]", ()),
}
FULL = {
    "a weight of any sign": ("L[i,j] = X[A,i] X[A,j] s[A]", ()),
    "another factor": ("L[i,j] = X[A,i] Y[A,j] exp(s[A])", ()),
    "block by block": ("L[i,j,k] = X[A,i] X[A,j] Y[A,k]^2", ()),
}


def symmetric_products(k: Any) -> list[Any]:
    """The products that numpy halves: a matrix and its transpose, in one place in memory."""
    return [s for s in k.steps if s.op == "dot" and s.arrays[0].storage is s.arrays[1].storage and s.out.shape]


def made(text: str, wrt: tuple[str, ...], **options: Any) -> Any:
    p = es.parse(text)
    return p.hessian("L", wrt=wrt[0]).compile(**options) if wrt else p.compile("L", **options)


def half_data(dtype: Any = float) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    shapes = {"X": (A_SIZE, I_SIZE), "Y": (A_SIZE, I_SIZE), "s": (A_SIZE,), "w": (I_SIZE,)}
    return {name: (rng.standard_normal(shape) / 4).astype(dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", HALVED)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_symmetric_products_cost_half(name: str, dtype: Any) -> None:
    arrays = half_data(dtype)
    k, plain = made(*HALVED[name]), made(*HALVED[name], strict=True)
    got, want = k(**given(k, arrays)), plain(**given(plain, half_data()))
    (step,) = symmetric_products(k)
    assert step.flops == I_SIZE * (I_SIZE + 1) * A_SIZE
    assert k.cost.flops == sum(s.flops for s in k.steps)
    assert got.dtype == dtype
    assert (got == got.T).all()
    assert np.abs(got - want).max() < (1e-13 if dtype == np.float64 else 2e-5) * np.abs(want).max()


@pytest.mark.parametrize("name", FULL)
def test_products_that_stay(name: str) -> None:
    k = made(*FULL[name])
    k(**given(k, half_data()))
    assert not symmetric_products(k)


def test_strict_keeps_the_plain_product() -> None:
    k = made(*HALVED["logistic"], strict=True)
    k(**given(k, half_data()))
    assert not symmetric_products(k)
    assert "abs" not in [s.op for s in k.steps]


def test_small_products_stay() -> None:
    k = made(*HALVED["logistic"])
    k(**given(k, {"X": np.ones((A_SIZE, 10)), "w": np.ones(10)}))
    assert not symmetric_products(k)


@pytest.mark.parametrize("weight", ["n[A]^2", "n[A]^2 n[A]^4", "d[A]"])
def test_whole_numbers_stay_exact(weight: str) -> None:
    rng = np.random.default_rng(0)
    x, n = rng.integers(-50, 50, (A_SIZE, I_SIZE)), rng.integers(-9, 9, A_SIZE)
    got = es.parse(f"d[a] = n[a] n[a]; L[i,j] = X[A,i] X[A,j] {weight}").compile("L")(X=x, n=n)
    assert got.dtype == np.int64
    assert (got == (x * n[:, None] ** (6 if "^4" in weight else 2)).T @ x).all()


def test_weights_at_the_ends_of_floats() -> None:
    """Weights that are 0, denormal, or lost by rounding; entries that are nan where the plain product has nan."""
    arrays = half_data()
    arrays["X"][:, 0] = 0
    arrays["w"][0] = 1.0
    arrays["X"][:4, 0] = [800.0, -800.0, 708.0, -36.0]
    k, plain = (made(*HALVED["logistic"], strict=strict) for strict in (False, True))
    got, want = (q(**given(q, arrays)) for q in (k, plain))
    assert np.isfinite(got).all()
    assert np.abs(got - want).max() < 1e-13 * np.abs(want).max()
    arrays["X"][5, 1] = np.nan
    got, want = (q(**given(q, arrays)) for q in (k, plain))
    assert (np.isnan(got) == np.isnan(want)).all()
    arrays["X"][5, 1] = np.inf
    assert not np.isfinite(k(**given(k, arrays))[1, 1])


@pytest.mark.parametrize("weight", ["(1 + z[A]^2)^-1", "(2 + z[A]^2)^-3 s[A]^4", "z[A]^2", "exp(s[A])"])
def test_complex_weights_have_no_sign(weight: str) -> None:
    arrays = half_data()
    X, s = arrays["X"] + 1j * arrays["Y"], arrays["s"]
    z = s + 1j * s[::-1]
    d = {"(1": 1 / (1 + z**2), "(2": s**4 / (2 + z**2) ** 3, "z[": z**2, "ex": np.exp(s)}[weight[:2]]
    k = es.parse(f"L[i,j] = X[A,i] X[A,j] {weight}").compile("L")
    want = (X * d[:, None]).T @ X
    assert np.abs(k(**given(k, {"X": X, "s": s, "z": z})) - want).max() < 1e-13 * np.abs(want).max()


@pytest.mark.parametrize("weight", ["d - 1 / 2", "|b| - 1", "(|b| - 1/2) / (1 + s[A]^2)"])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_weights_of_empty_sums(weight: str, size: int) -> None:
    """A sum of squares and 1 is 1 or more, unless it is empty."""
    p = es.parse(f"d = sum[b](1 + b[b]^2); L[i,j] = X[A,i] X[A,j] exp(s[A]) ({weight})")
    arrays = half_data() | {"b": np.ones(size)}
    X, s = arrays["X"], arrays["s"]
    d = {"d": 2 * size - 1 / 2, "|": size - 1, "(": (size - 1 / 2) / (1 + s**2)}[weight[0]]
    k, want = p.compile("L"), (X * (np.exp(s) * d)[:, None]).T @ X
    assert np.abs(k(**given(k, arrays)) - want).max() <= 1e-13 * np.abs(want).max()


@pytest.mark.parametrize("a", [600, 60_000])
def test_blocks_keep_half_products_square(a: int) -> None:
    """Blocks of what is summed are matrices times their own transposes, blocks of rows are not."""
    x = EXP(input_("X", (Dim.symbol("a"), Dim.symbol("i"))))
    h = einsum([x, x], ["ai", "aj"], "ij")
    found = plan([h], {"a": a, "i": I_SIZE}, {"X": np.dtype(float)}, cores=Cores(4))
    (product,) = [n for n, s in enumerate(found.steps) if s.op == "dot"]
    assert found.steps[product].flops == I_SIZE * (I_SIZE + 1) * a
    modes = [r.modes[product - r.first] for r in found.regions if r.first <= product < r.last]
    assert all(mode == Mode((1, 0), None) for mode in modes)
