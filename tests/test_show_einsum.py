"""Formulas as numpy statements: what is printed, and that it computes what the kernel computes.

Printed text is run here and nowhere else.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.cli import numpy_lines
from einstan.show.einsum import einsum_module
from einstan.show.numpy_text import identifier
from einstan.syntax import words

from .models import MODELS, Model, relative_error
from .random_programs import program

Arrays = Mapping[str, Any]


def statements(text: str) -> list[str]:
    """The assignments of a program, without the head and the helpers."""
    p = es.parse(text)
    lines = einsum_module(p.checked, p.names).splitlines()
    return [line for line in lines if line and not line.startswith((" ", "#", "def ", "import "))]


LINES = [
    ("Z[b,j] = X[b,K] W[K,j] + c[j]", ["Z = np.einsum('bk,kj->bj', X, W) + c"]),
    ("y[i] = A[i,i] + b[i]", ["y = np.einsum('ii->i', A) + b"]),
    ("t = A[I,I]", ["t = np.einsum('ii->', A)"]),
    ("s = x[K] 1[K]", ["s = np.einsum('k->', x)"]),
    ("s[i] = sum[k](a[i,k] b[k]) y[i]\ny[i] = 2 a[i,K] b[K]", None),
    ("P[i,j] = u[i] v[j]", ["P = np.einsum('i,j->ij', u, v)"]),
    ("B[j,i] = A[i,j]", ["B = A.T"]),
    ("B[k,i,j] = A[i,j,k]", ["B = A.transpose(2, 0, 1)"]),
    ("B[i,j] = a[i] + b[j]", ["B = a[:, None] + b"]),
    ("B[i,j] = A[i,j] / s[i]", ["B = A / s[:, None]"]),
    ("B[i,k] = A[i,k] b[k] c[i]", ["B = A * b * c[:, None]"]),
    ("n = 1[I] 1[I] x[J] y[J,I,K] 1[K]", ["n = np.einsum('j,jik->', x, y)"]),
    ("n[j] = |j| y[j] sum[k](|k| x[k])", None),
    ("D[i,i] = d[i]", ["D = np.diag(d)"]),
    ("D[i,i,j] = d[i,j]", ["D = diagonal(d, 'iij->ij', (d.shape[0], d.shape[0], d.shape[1]))"]),
    ("E[i,j] = A[i,j] - 2 delta[i,j]", ["E = A - 2 * np.eye(A.shape[0])"]),
    ("h[k] = [a[k], b[k]]_k", ["h = np.concatenate([a, b])"]),
    (
        "C[v,k] = [n[v,k], x[k]]_k",
        ["C = np.concatenate([n, np.broadcast_to(x, (n.shape[0], x.shape[0]))], axis=1)"],
    ),
    ("y[j] = W[j,K=0:2] x[K]", ["y = np.einsum('jk,k->j', W[:, 0:2], x)"]),
    ("p[i,k] = softmax[k](Z[i,k])", ["p = softmax(Z, axis=1)"]),
    ("m[i] = max[k](Z[i,k]) + mean[k](Z[i,k])", ["m = np.max(Z, axis=1) + np.mean(Z, axis=1)"]),
    ("y[i] = where(x[i] > 0, x[i], -x[i])", ["y = np.where(x > 0, x, -x)"]),
    ("y[i] = (x[i] < 2) x[i]", ["y = (1.0 * (x < 2)) * x"]),
    ("y[i] = x[i]^-1 + x[i]^-2 + x[i]^(1/3) + 2^x[i]", ["y = 1 / x + x**-2.0 + x**(1 / 3) + np.float_power(2, x)"]),
    ("y = 2^9", ["y = np.float_power(2, 9)"]),
    ("size i = 3\nP[i] = 3", ["P = np.full((3,), 3)"]),
    ("size j = 3\nQ[i,j] = a[i]", ["Q = np.broadcast_to(a[:, None], (a.shape[0], 3))"]),
    ("y[i] = f(x[i], s)", ["y = f(x, s)"]),
    ("y[i] = tanh'(x[i])", ["y = tanh_prime(x)"]),
    ("X[i,j] = inv[i,j](A[j,i])", ["X = np.linalg.inv(A.T)"]),
    ("d[n] = det[i,j](B[n,i,j])", ["d = np.linalg.det(B)"]),
    ("d = logdet[i,j](A[i,j]) + trace[i,j](A[i,j])", None),
    ("x[j] = solve[i,j](A[i,j], b[i])", ["x = solve(A, b)"]),
    ("x[j,m] = solve[i,j](A[i,j], b[m,i])", ["x = np.linalg.solve(A, b.T)"]),
    ("x[n,j] = solve[i,j](B[n,i,j], b[i])", None),
    ("x[m,j,n] = solve[i,j](A[i,j] c[n], b[i,m])", None),
    ("C[i,j] = cholesky[i,j](tril[i,j](A[i,K] A[j,K]))", None),
    ("Z = (x + 1) / (2 x) / 3", ["Z = (x + 1) / (2 * x) / 3"]),
    ("Z = a - (b - c) - -d", None),
    ("class = lambda' + np", ["class_ = lambda_prime + np_2"]),
    ("Y = X^{(1)} + X'", None),
]
ARGUMENTS = ["x[i] / 2", "z[i]", "u[i]"]
EVERY_FUNCTION = [f"y[i] = {name}({', '.join(ARGUMENTS[:n])})" for name, n in words.ENTRYWISE.items()]
EVERY_FUNCTION += [f"y[i] = {name}[k](A[i,k])" for name in sorted(words.REDUCTIONS)]
EVERY_FUNCTION += [f"Y[i,k] = {name}[k](A[i,k])" for name in sorted(words.NORMALISERS)]


def given(text: str) -> tuple[es.Program, dict[str, Any]]:
    """A program, and an array for each of its inputs: axes of one letter have one size."""
    p = es.parse(text)
    rng = np.random.default_rng(len(text))
    sizes: dict[str, int] = {}
    arrays = {}
    for name in p.inputs:
        shape = [d.value or sizes.setdefault(str(d), 4 + len(sizes)) for d in p.checked.shapes[name]]
        arrays[name] = rng.uniform(0.5, 1.5, shape)
    return p, arrays


@pytest.mark.parametrize(("text", "lines"), [row for row in LINES if row[1]])
def test_lines(text: str, lines: list[str]) -> None:
    assert statements(text) == lines


def f(x: Any, y: Any) -> Any:
    return np.tanh(x * y)


@pytest.mark.parametrize("text", [*(text for text, _ in LINES if "f(" not in text), *EVERY_FUNCTION])
def test_lines_give_what_the_kernel_gives(text: str) -> None:
    p, arrays = given(text)
    got = ran(einsum_module(p.checked, p.names), arrays)
    for name, value in p.compile(list(p.names))(arrays).items():
        assert relative_error(got[variable(p, name)], value) < 1e-12


def variable(p: es.Program, name: str) -> str:
    """What the name is called in the printed text, where no two names ask for one identifier."""
    return "np_2" if name == "np" else identifier(name)


def ran(text: str, arrays: Arrays, functions: Mapping[str, Callable[..., Any]] | None = None) -> dict[str, Any]:
    space: dict[str, Any] = {**(functions or {})}
    for name, array in arrays.items():
        space["np_2" if name == "np" else identifier(name)] = np.asarray(array, float)
    exec(text, space)
    return space


# ---------------------------------------------------------------- models and random programs


def tanh_slope(x: Any) -> Any:
    return 1 - np.tanh(x) ** 2


def tanh_bend(x: Any) -> Any:
    return -2 * np.tanh(x) * tanh_slope(x)


def as_tanh(names: Sequence[str]) -> dict[str, Callable[..., Any]]:
    forms = {"": np.tanh, "_prime": tanh_slope, "_prime_prime": tanh_bend}
    return {identifier(name) + end: form for name in names for end, form in forms.items()}


@pytest.mark.parametrize("model", [m for m in MODELS if not m.name.endswith("-30")], ids=lambda m: m.name)
def test_models(model: Model) -> None:
    check_model(model)


@pytest.mark.slow
@pytest.mark.parametrize("model", [m for m in MODELS if m.name.endswith("-30")], ids=lambda m: m.name)
def test_large_models(model: Model) -> None:
    check_model(model)


def check_model(model: Model) -> None:
    """The value and the gradients."""
    assert set(model.functions.values()) <= {"tanh"}
    derived = es.parse(model.text).value_and_grad(model.of, list(model.wrt))
    arrays = model.arrays()
    got = ran(einsum_module(derived.checked, [model.of], derived.lines), arrays, as_tanh(list(model.functions)))
    value, gradients = derived.compile(functions=model.functions)(arrays)
    assert relative_error(got[identifier(model.of)], value) < 1e-10
    for name in model.wrt:
        assert relative_error(got[f"d{identifier(model.of)}_d{identifier(name)}"], gradients[name]) < 1e-10


def check_random(seed: int) -> None:
    """Every name and the gradient by every input, on a random program without derivatives in it."""
    random = program(seed)
    if "∂" in random.text():
        return
    arrays = random.arrays(seed)
    p = es.parse(random.text())
    derived = p.grad("L", list(random.inputs))
    with np.errstate(all="ignore"):
        got = ran(numpy_lines(p, p.names, derived.tree), arrays, as_tanh(["h"]))
    functions = dict.fromkeys(p.checked.functions, "tanh")
    values = p.compile(list(p.names), functions=functions)(arrays)
    slopes = derived.compile(functions=functions)(arrays)
    pairs = [(identifier(name), value) for name, value in values.items()]
    pairs += [(f"dL_d{identifier(name)}", slope) for name, slope in slopes.items()]
    for name, want in pairs:
        assert np.shape(got[name]) == want.shape, f"{name} of seed {seed}"
        off = np.max(np.abs(got[name] - want), initial=0)
        assert off <= 1e-9 * max(1.0, np.max(np.abs(want), initial=0)), f"{name} of seed {seed}: off by {off}"


@pytest.mark.parametrize("seeds", [range(n, n + 20) for n in range(100, 140, 20)], ids=str)
def test_random_programs(seeds: range) -> None:
    for seed in seeds:
        check_random(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(n, n + 50) for n in range(2000, 2400, 50)], ids=str)
def test_many_random_programs(seeds: range) -> None:
    for seed in seeds:
        check_random(seed)


# ---------------------------------------------------------------- higher derivatives, opaque functions


def test_jacobian_and_hessian() -> None:
    p, arrays = given("Y[b,j] = tanh(X[b,K] W[K,j])\nL = Y[B,J] Y[B,J]")
    jacobian, hessian = p.jacobian("Y", ["W"]), p.hessian("L", ["W", "X"])
    got = ran(einsum_module(jacobian.checked, ["Y"], jacobian.lines), arrays)
    assert relative_error(got["dY_dW"], jacobian.compile()(arrays)["W"]) < 1e-12
    got = ran(einsum_module(hessian.checked, ["L"], hessian.lines), arrays)
    assert relative_error(got["d2L_dW_dX"], hessian.compile()(arrays)["W"]["X"]) < 1e-12


def test_functions_of_whole_arrays_and_along_axes() -> None:
    """The reader gives them, and their derivatives."""
    p = es.parse("size j = 2\ny[b,j] = f[j](Z[b,K])\nL = y[B,J] y[B,J]")
    derived = p.grad("L", ["Z"])
    text = einsum_module(derived.checked, ["L"], derived.lines)
    assert "# given, as functions of arrays: f: [b,k] -> [b,j]" in text
    assert "dy_dZ = ∂y/∂Z" in text
    m = np.arange(6.0).reshape(3, 2)
    space = {"Z": np.ones((4, 3)), "f": lambda z: z @ m, "dy_dZ": np.einsum("bc,kj->bjck", np.eye(4), m)}
    exec(text, space)
    assert relative_error(space["dL_dZ"], 2 * np.ones((4, 3)) @ m @ m.T) < 1e-12


def test_derivatives_of_brackets_are_refused() -> None:
    p = es.parse("G[i] = ∂(x[I] x[I])/∂x[i]")
    with pytest.raises(es.EinstanDerivativeError, match="a name in a statement of its own"):
        numpy_lines(p, p.names, ())


def test_derivatives_inside_formulas() -> None:
    p, arrays = given("L = x[I] x[I]\nG[i] = ∂L/∂x[i] + ∂M/∂x[i]\nM = sin(L)")
    got = ran(numpy_lines(p, p.names, ()), arrays)
    assert relative_error(got["G"], p.run("G", **arrays)) < 1e-12


def test_functions_below_short_names() -> None:
    """The gradient names what the function gives; its slope is the reader's."""
    p = es.parse("L = loss(X[:])^2\nX[i] = x[i]^2")
    text = numpy_lines(p, ["L"], p.grad("L", ["x"]).tree)
    space = {"x": np.arange(3.0), "loss": np.sum, "du_dX": np.ones(3)}
    exec(text, space)
    assert space["L"] == 25
    assert relative_error(space["dL_dx"], 20 * space["x"]) < 1e-12


# ---------------------------------------------------------------- large and hostile texts


@pytest.mark.parametrize(
    "text",
    [
        "y = " + " + ".join(["x"] * 5000),
        "y = " + " * ".join(["x"] * 3000),
        "y = " + "sin(" * 400 + "x" + ")" * 400,
        "y = " + " ".join(f"A{n}[K{n},K{n + 1}]" for n in range(60)) + " u[K0] v[K60]",
    ],
    ids=["sum", "product", "depth", "chain"],
)
def test_large(text: str) -> None:
    p = es.parse(text)
    arrays = {name: np.full((1,) * len(axes), 0.999) for name, axes in p.inputs.items()}
    got = ran(einsum_module(p.checked, p.names), arrays)
    assert relative_error(got["y"], p.run("y", **arrays)) < 1e-10


def test_more_indices_than_letters() -> None:
    p = es.parse("y = A[" + ",".join(f"K{n}" for n in range(60)) + "] B[" + ",".join(f"K{n}" for n in range(60)) + "]")
    with pytest.raises(es.EinstanError, match="52"):
        einsum_module(p.checked, p.names)


NAMES = ["np", "class", "lambda'", r"\hat{X}", "X^{(m)}", "W'", "W''", "print", "math", "sigmoid_", "ℓ", "part", "x₁"]


@pytest.mark.parametrize("name", [*NAMES, *keyword.kwlist])
def test_identifiers(name: str) -> None:
    assert identifier(name).isidentifier() and not keyword.iskeyword(identifier(name))


def test_no_two_names_are_one_variable() -> None:
    p = es.parse(r"Y = X' + X_p + X^{(m)} + X_m + \hat{X} + hatX + np + class", labels="m p")
    _, *rest = einsum_module(p.checked, p.names).rstrip().splitlines()[-1].split(" = ")
    assert len(set(rest[0].split(" + "))) == 8
    got = "X_prime + X_p + X_m + X_m_2 + hat_X + hatX + np_2 + class_"
    assert rest == [got]
