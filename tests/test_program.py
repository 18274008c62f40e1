"""Program and Expr: every verb against finite differences; names as variables; dtypes; the seeds' numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import einstan as es

TEXT = """
Y[i] = tanh(W[i,K] x[K])
s = Y[I] Y[I]
L = exp(s) + x[K] x[K]
"""
RNG = np.random.default_rng(0)
DATA = {"W": RNG.normal(size=(2, 3)), "x": RNG.normal(size=3)}
V = {"W": RNG.normal(size=(2, 3)), "x": RNG.normal(size=3)}
G = RNG.normal(size=2)


@pytest.fixture
def p() -> es.Program:
    return es.parse(TEXT)


def along(f, name: str, h: float = 1e-6) -> np.ndarray:
    """The derivative of f along V[name], by central differences."""
    ends = [f(**(DATA | {name: DATA[name] + sign * h * V[name]})) for sign in (1, -1)]
    return (ends[0] - ends[1]) / (2 * h)


@pytest.mark.parametrize("name", ["W", "x"])
def test_first_order(p: es.Program, name: str) -> None:
    L, Y = p.compile("L"), p.compile("Y")
    slope = p.grad("L", name).run(**DATA)
    assert np.sum(slope * V[name]) == pytest.approx(along(L, name), rel=1e-7)
    np.testing.assert_allclose(p.jvp("Y", name, "V").run(**DATA, V=V[name]), along(Y, name), rtol=1e-7)
    full = p.jacobian("Y", name).run(**DATA)
    assert full.shape == (2, *DATA[name].shape)
    np.testing.assert_allclose(np.tensordot(full, V[name], V[name].ndim), along(Y, name), rtol=1e-7)
    pulled = p.vjp("Y", name, "G").run(**DATA, G=G)
    np.testing.assert_allclose(pulled, np.tensordot(G, full, 1), rtol=1e-12)


@pytest.mark.parametrize("name", ["W", "x"])
def test_second_order(p: es.Program, name: str) -> None:
    blocks = p.hessian("L", ["W", "x"]).run(**DATA)
    for other in ("W", "x"):
        slope = p.grad("L", name).compile()
        got = np.tensordot(blocks[name][other], V[other], V[other].ndim)
        np.testing.assert_allclose(got, along(slope, other), rtol=1e-6, atol=1e-6)
    moved = p.hvp("L", name, "v").run(**DATA, v=V[name])
    np.testing.assert_allclose(moved, np.tensordot(blocks[name][name], V[name], V[name].ndim), rtol=1e-11)


def test_any_order_by_repetition() -> None:
    p = es.parse("y = sin(x)^3 / x")
    twice = es.parse("y = sin(x)^3 / x\ng = ∂y/∂x\nh = ∂g/∂x\nk = ∂²y/∂x∂x")
    x = 0.7
    h = p.hessian("y", "x").run(x=x)
    assert twice.run("h", x=x) == pytest.approx(float(h), rel=1e-13)
    assert twice.run("k", x=x) == pytest.approx(float(h), rel=1e-13)


def test_a_defined_name_is_an_independent_variable(p: es.Program) -> None:
    """∂L/∂s = exp(s), whatever s is made of; ∂L/∂Y counts every use of Y."""
    s = float(p.run("s", **DATA))
    both = p.grad("L", ["s", "Y", "x"]).run(**DATA)
    assert both["s"] == pytest.approx(np.exp(s))
    np.testing.assert_allclose(both["Y"], 2 * p.run("Y", **DATA) * np.exp(s))
    np.testing.assert_allclose(both["x"], p.grad("L", "x").run(**DATA))


def test_two_names_of_equal_value_are_two_variables() -> None:
    p = es.parse("P[i] = exp(x[i])\nQ[i] = exp(x[i])\nL = P[I] Q[I]")
    x = np.array([0.1, 0.7])
    both = p.grad("L", ["P", "Q", "x"]).run(x=x)
    np.testing.assert_allclose(both["P"], np.exp(x))
    np.testing.assert_allclose(both["Q"], np.exp(x))
    np.testing.assert_allclose(both["x"], 2 * np.exp(2 * x))


def test_independence_gives_zeros_of_the_right_shape() -> None:
    p = es.parse("y[i] = 2 a[i]\nz[k] = 3 b[k] b[k]\nL = y[I] y[I] + 0 z[K] z[K]")
    assert p.grad("L", "b").run(a=np.ones(2), b=np.ones(5)).tolist() == [0] * 5
    assert p.jacobian("y", "z").run(a=np.ones(2), b=np.ones(5)).shape == (2, 5)


def test_derivatives_are_terms() -> None:
    p = es.parse(TEXT + "moved[k] = x[k] - 0.1 ∂L/∂x[k]\nn = ∂L/∂W[I,J] ∂L/∂W[I,J]")
    slope = p.grad("L", ["x", "W"]).run(**DATA)
    np.testing.assert_allclose(p.run("moved", **DATA), DATA["x"] - 0.1 * slope["x"])
    np.testing.assert_allclose(p.run("n", **DATA), np.sum(slope["W"] ** 2))
    moved = p.grad("n", "x").compile()
    along_x = (
        p.run("n", **(DATA | {"x": DATA["x"] + 1e-6 * V["x"]}))
        - p.run("n", **(DATA | {"x": DATA["x"] - 1e-6 * V["x"]}))
    ) / 2e-6
    assert np.sum(moved(**DATA) * V["x"]) == pytest.approx(float(along_x), rel=1e-6)


def test_results_are_nested_as_asked(p: es.Program) -> None:
    value, slope = p.value_and_grad("L", "x").run(**DATA)
    assert value.shape == () and slope.shape == (3,)
    value, slopes = p.value_and_grad("L", ["x"]).run(**DATA)
    assert set(slopes) == {"x"}
    assert set(p.compile(["Y", "L"])(**DATA)) == {"Y", "L"}


def test_expressions_have_the_verbs(p: es.Program) -> None:
    e = p.expr("Y[i] x[k]")
    assert e.axes == ("i", "k")
    np.testing.assert_allclose(e.run(**DATA), np.outer(p.run("Y", **DATA), DATA["x"]))
    assert p["L"].grad("x").run(**DATA).tolist() == p.grad("L", "x").run(**DATA).tolist()


def test_opaque_functions_are_bound_at_compile() -> None:
    p = es.parse("y[i] = f(x[i])\nz[i] = f'(x[i])\nL = y[I] y[I]")
    x = np.array([0.3, -0.2])
    k = p.grad("L", "x").compile(functions={"f": "sin"})
    np.testing.assert_allclose(k(x=x), 2 * np.sin(x) * np.cos(x))
    np.testing.assert_allclose(p.compile("z", functions={"f": "sin"})(x=x), np.cos(x))


DTYPES = [
    (np.float32, np.float32),
    (np.float64, np.float64),
    (np.float16, np.float16),
    (np.int64, np.float64),
]


@pytest.mark.parametrize(("given", "got"), DTYPES)
def test_gradient_dtype_follows_the_inputs(given, got) -> None:
    p = es.parse("L = x[I] A[I,J] x[J] / 2")
    slope = p.grad("L", "x").run(x=np.ones(3, given), A=np.ones((3, 3), given))
    assert slope.dtype == got and slope.tolist() == [3, 3, 3]


@pytest.mark.parametrize("dtype", [bool, np.complex128])
def test_no_derivative_in_bool_or_complex(dtype) -> None:
    p = es.parse("L = x[I] x[I]")
    with pytest.raises(es.EinstanDerivativeError, match="x"):
        p.grad("L", "x").run(x=np.ones(3, dtype))


def test_the_forget_gates_sizes_are_told_in_the_formulas_words() -> None:
    """SEEDS B2: a 2x2 W for [h, x] of size 4."""
    p = es.parse("f[j] = sigmoid(W[j,K] [h[K], x[K]]_K + c[j])")
    two = np.zeros(2)
    with pytest.raises(es.EinstanShapeError, match=r"K is 2 in W, 2 \+ 2 = 4 in \[h, x\]"):
        p.run("f", W=np.zeros((2, 2)), h=two, x=two, c=two)


def test_concatenation_equals_blocks() -> None:
    """SEEDS B7: W [h, x] = U h + V x with W = [U V], value and gradients."""
    joined = es.parse("f[j] = sigmoid(W[j,K] [h[K], x[K]]_K + c[j])\nL = g[J] f[J]")
    blocks = es.parse("f[j] = sigmoid(U[j,K] h[K] + V[j,M] x[M] + c[j])\nL = g[J] f[J]")
    r = np.random.default_rng(1)
    d = {
        "W": r.normal(size=(2, 8)),
        "h": r.normal(size=3),
        "x": r.normal(size=5),
        "c": r.normal(size=2),
        "g": r.normal(size=2),
    }
    one = joined.value_and_grad("L", ["W", "h", "x"]).run(**d)
    W = d.pop("W")
    two = blocks.value_and_grad("L", ["U", "V", "h", "x"]).run(**d, U=W[:, :3], V=W[:, 3:])
    np.testing.assert_allclose(one[0], two[0])
    np.testing.assert_allclose(one[1]["W"], np.hstack([two[1]["U"], two[1]["V"]]))
    np.testing.assert_allclose(one[1]["h"], two[1]["h"])
    np.testing.assert_allclose(one[1]["x"], two[1]["x"])


def test_a_hundred_factor_chain_costs_three_times_its_value() -> None:
    r = np.random.default_rng(0)
    sizes = r.integers(5, 60, 101)
    factors = (
        " ".join(f"A{n}[k{n},k{n + 1}]".replace("k", "K") for n in range(100))
        .replace("A0[K0", "A0[i")
        .replace(",K100]", ",j]")
    )
    p = es.parse(f"M[i,j] = {factors}\nL = M[I,J] M[I,J]")
    arrays = {f"A{n}": r.normal(size=(sizes[n], sizes[n + 1])) / sizes[n] ** 0.5 for n in range(100)}
    value, both = p.compile("M"), p.value_and_grad("L", list(arrays)).compile()
    value(arrays)
    both(arrays)
    assert both.cost.flops <= 3.2 * value.cost.flops


def test_strict_keeps_what_infinities_make() -> None:
    """where(c, u, 0) exp(v) may be moved into the choice only where exp(v) is finite."""
    p = es.parse("y = where(c, u, 0) exp(v)")
    infinite = {"c": 0.0, "u": 1.0, "v": 1e4}
    assert p.compile("y")(infinite) == 0
    assert np.isnan(p.compile("y", strict=True)(infinite))


def test_everything_pickles_by_value(p: es.Program) -> None:
    again = pickle.loads(pickle.dumps(p))
    assert again == p
    g = p.value_and_grad("L", ["W"])
    assert str(pickle.loads(pickle.dumps(g))) == str(g)
    k = g.compile()
    value, slopes = k(**DATA)
    same, slopes_again = pickle.loads(pickle.dumps(k))(**DATA)
    assert same == value and slopes_again["W"].tolist() == slopes["W"].tolist()
    assert pickle.loads(pickle.dumps(p["Y"])).node is p["Y"].node


NESTED = """
Y[i] = tanh(x[i])
L = Y[I]^3 1[I]
g[i] = ∂L/∂Y[i]
m = g[I] g[I]
"""


@pytest.mark.parametrize(("wrt", "chain"), [("Y", lambda y: 1), ("x", lambda y: 1 - y**2)])
def test_a_formula_with_a_derivative_in_it_is_differentiated(wrt: str, chain) -> None:
    """m = Σ (3 Y²)²: the derivative term depends on Y, for kernels and for the printed line."""
    q, x = es.parse(NESTED), np.array([0.3, -0.7])
    y = np.tanh(x)
    slope = q.grad("m", wrt)
    line = str(slope).splitlines()[-1]
    np.testing.assert_allclose(slope.run(x=x), 36 * y**3 * chain(y), rtol=1e-12)
    read = es.parse(f"{q}\n{line.replace(f'∂m/∂{wrt}', 'printed')}")
    np.testing.assert_allclose(read.run("printed", x=x), 36 * y**3 * chain(y), rtol=1e-12)


SHUFFLED = [
    ("X[b,K] W[K,j] + c[j]", "c[j] + W[K,j] X[b,K]"),
    ("tanh(c[j] + X[b,j])", "tanh(X[b,j] + c[j])"),
    ("2 (c[j] + X[b,j])^2 d[b]", "d[b] (X[b,j] + c[j])^2 * 2"),
    ("softmax[j](c[j] + X[b,j])", "softmax[j](X[b,j] + c[j])"),
    ("sum[k](tanh(c[k] + M[j,k])) + d[b]", "d[b] + sum[m](tanh(M[j,m] + c[m]))"),
    ("[c[K] d[b], X[b,K]]_K V[K,j]", "V[K,j] [c[K] d[b], X[b,K]]_K"),
]


@pytest.mark.parametrize(("one", "other"), SHUFFLED)
@pytest.mark.parametrize("target", ["Z[b,j]", "Z[j,b]"])
def test_the_order_of_operands_leaves_no_trace(one: str, other: str, target: str) -> None:
    assert es.parse(f"{target} = {one}")["Z"].node is es.parse(f"{target} = {other}")["Z"].node


def test_no_axis_is_called_like_a_label() -> None:
    p = es.parse("label f, c\nV[b,m,e] = W_f[b,m,K] v_c[K,e]")
    g = p.jacobian("V", "W_f")
    assert str(g) == "∂V[b,m,e]/∂W_f[d,n,k] = v_c[k,e] delta[b,d] delta[m,n]"
    assert es.parse(f"{p}\n{g}") == g
