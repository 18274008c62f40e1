"""Python's operators build what the text would be: the same text, the same program, the same objects."""

from __future__ import annotations

import pickle
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import ge, gt, le, lt

import numpy as np
import pytest
import sympy as sp

import einstan as es
from einstan.show.text import show_expr
from einstan.syntax import ast
from tests.models import MODELS

b, i, j, k, l, B, I, J, K = es.indices("b i j k l B I J K")
X, W, A, c, u, v, s, t = es.tensors("X[b,k] W[k,j] A[i,j] c[j] u[i], v[i] s t")
f, g = es.opaque("f"), es.opaque("g")

WRITTEN = [
    (lambda: X[b, K] * W[K, j] + c[j], "X[b,K] W[K,j] + c[j]"),
    (lambda: X["b", "K"] * W["K", "j"], "X[b,K] W[K,j]"),
    (lambda: es.tanh(X[b, K] * W[K, j]), "tanh(X[b,K] W[K,j])"),
    (lambda: u[I] * v[I] * s, "u[I] v[I] s"),
    (lambda: s * (u[I] * v[I]), "s (u[I] v[I])"),
    (lambda: es.group(u[I] * v[I]) * s, "(u[I] v[I]) s"),
    (lambda: s / t * 2, "s / t * 2"),
    (lambda: s / (t * 2), "s / (t * 2)"),
    (lambda: (s / t) / (s * t), "s / t / (s t)"),
    (lambda: 2 * s, "2 s"),
    (lambda: -2 * s, "-2 s"),
    (lambda: s * -2, "s (-2)"),
    (lambda: -s * t, "-s t"),
    (lambda: -(s * t), "-s t"),
    (lambda: -(s + t), "-(s + t)"),
    (lambda: 0 - (-(s * 1)), "0 + s * 1"),
    (lambda: -(-s * t), "-(-s t)"),
    (lambda: +s, "s"),
    (lambda: s - (t - 1), "s - (t - 1)"),
    (lambda: (s - t) - 1, "s - t - 1"),
    (lambda: s + -t, "s - t"),
    (lambda: s - -t, "s + t"),
    (lambda: -s + t, "-s + t"),
    (lambda: 1 - s, "1 - s"),
    (lambda: (s + t) * (s - t), "(s + t) (s - t)"),
    (lambda: 0.1 * s, "0.1 s"),
    (lambda: s + Fraction(1, 3), "s + 1 / 3"),
    (lambda: s * Fraction(1, 3), "s * (1 / 3)"),
    (lambda: s + Decimal("1e-3"), "s + 0.001"),
    (lambda: np.float32(0.1) * s, "0.1 s"),
    (lambda: np.int8(3) - s, "3 - s"),
    (lambda: 1 / s, "1 / s"),
    (lambda: s**2, "s^2"),
    (lambda: s**-1, "s^-1"),
    (lambda: s**0.5, "s^0.5"),
    (lambda: s**t**2, "s^t^2"),
    (lambda: (s**t) ** 2, "(s^t)^2"),
    (lambda: (-s) ** 2, "(-s)^2"),
    (lambda: -(s**2), "-s^2"),
    (lambda: 2 ** u[i], "2^u[i]"),
    (lambda: (-2) ** u[i], "(-2)^u[i]"),
    (lambda: s ** (t * 2), "s^(t * 2)"),
    (lambda: s**-t, "s^(-t)"),
    (lambda: (s * t) ** 2, "(s t)^2"),
    (lambda: s < t, "s < t"),
    (lambda: (s < t) * (t <= 1), "(s < t) (t <= 1)"),
    (lambda: es.equal(s, t) + 1, "(s == t) + 1"),
    (lambda: es.odot(u[i], v[i]), "u[i] ⊙ v[i]"),
    (lambda: es.ones(I) * es.odot(A[I, j], A[I, j]), "1[I] (A[I,j] ⊙ A[I,j])"),
    (lambda: es.odot(s, t) ** 2 * s, "(s ⊙ t)^2 s"),
    (lambda: es.sum[i, j](A[i, j]), "sum[i,j](A[i,j])"),
    (lambda: es.max[i](u[i]) + es.max(s, 0), "max[i](u[i]) + max(s, 0)"),
    (lambda: es.softmax[j](A[i, j]), "softmax[j](A[i,j])"),
    (lambda: es.where(s > 0, s, t), "where(s > 0, s, t)"),
    (lambda: es.concat([u[K], v[K], es.tensors("w[i]")[K]], K) * W[K, j], "[u[K], v[K], w[K]]_K W[K,j]"),
    (lambda: X[b, K[0:2]] * W[K[0:2], j], "X[b,K=0:2] W[K=0:2,j]"),
    (lambda: c[j[0 : es.size(u, 1)]] + u[I] * u[I], "c[j=0:size(u,1)] + u[I] u[I]"),
    (lambda: u[I] * u[I] / es.size(I), "u[I] u[I] / |I|"),
    (lambda: es.delta(i, j) * es.ones(i) + es.zeros(i, j), "delta[i,j] 1[i] + 0[i,j]"),
    (lambda: es.pi * s, "pi s"),
    (lambda: f(u[i]) * es.opaque("f'")(u[i]), "f(u[i]) f'(u[i])"),
    (lambda: es.opaque("g'[2]")(s, t), "g'[2](s, t)"),
    (lambda: g[l](X[b, K]), "g[l](X[b,K])"),
    (lambda: es.opaque("loss")(X) + X[B, K] * X[B, K], "loss(X[:]) + X[B,K] X[B,K]"),
    (lambda: A[I, I], "A[I,I]"),
    (lambda: es.d(s, t), "∂s/∂t"),
    (lambda: es.d(s * t, u[i], u[j]), "∂²(s t)/∂u[i]∂u[j]"),
]


@pytest.mark.parametrize(("build", "text"), WRITTEN, ids=[text for _, text in WRITTEN])
def test_operators_write_the_text(build, text: str) -> None:
    assert str(build()) == text


ALONE = [row for row in WRITTEN if not row[1].startswith("∂") and not ("delta" in row[1] or "g[l]" in row[1])]
"""Formulas whose names and sizes follow from themselves."""


@pytest.mark.parametrize(("build", "text"), ALONE, ids=[text for _, text in ALONE])
def test_operators_make_the_parsed_program(build, text: str) -> None:
    built = build()
    axes = f"[{','.join(built.axes)}]" if built.axes else ""
    assert es.parse(f"expr{axes} = {text}") == built.program


def objects(e: ast.Expr) -> object:
    """The expression that Python's operators make of a tree, node by node."""
    made = [objects(x) for x in e.children]
    match e:
        case ast.Number():
            return e.value
        case ast.Tensor(name="delta"):
            return es.delta(*e.indices)
        case ast.Tensor(indices=()):
            return es.pi if e.name == "pi" else es.tensors(e.name)
        case ast.Tensor(indices=None):
            raise NotImplementedError
        case ast.Tensor():
            return es.tensors(f"{e.name}[{','.join('ijklmnpq'[: len(e.indices)])}]")[e.indices]
        case ast.Filled():
            return (es.ones if e.value else es.zeros)(*e.indices)
        case ast.Extent():
            raise NotImplementedError
        case ast.Call():
            slots = ",".join(str(n + 1) for n in e.slots)
            function = es.opaque(e.name + "'" * e.primes + (f"[{slots}]" if slots else ""))
            return (function[e.along] if e.along else function)(*made)
        case ast.Product():
            first = 1 / made[0] if e.divides[0] else made[0]
            return reduce(lambda a, x: a / x[0] if x[1] else a * x[0], zip(made[1:], e.divides[1:], strict=True), first)
        case ast.Odot():
            return es.odot(*made)
        case ast.Sum():
            first = -made[0] if e.signs[0] < 0 else made[0]
            return reduce(
                lambda a, x: a + x[0] if x[1] > 0 else a - x[0], zip(made[1:], e.signs[1:], strict=True), first
            )
        case ast.Power():
            return made[0] ** made[1]
        case ast.Compare():
            return {"<": lt, "<=": le, ">": gt, ">=": ge, "==": es.equal}[e.op](*made)
        case ast.Concat():
            return es.concat(made, e.index)
        case ast.Group():
            return es.group(made[0])
    raise NotImplementedError


def is_plain(p: es.Program) -> bool:
    plain = all(isinstance(x, ast.Definition) for x in p.checked.module.statements)
    trees = [x for d in p.checked.definitions.values() for x in ast.postorder(d.body)]
    return plain and not any(
        isinstance(x, ast.Extent | ast.Derivative) or (isinstance(x, ast.Tensor) and x.indices is None) for x in trees
    )


PLAIN = {m.name: m.text for m in MODELS if is_plain(es.parse(m.text))}


@pytest.mark.parametrize("name", PLAIN)
def test_models_from_operators(name: str) -> None:
    """Every definition rebuilt by operators: the same text and an equal program."""
    p = es.parse(PLAIN[name])
    made = {show_expr(d.target): objects(d.body) for d in p.checked.definitions.values()}
    q = es.program(made)
    assert q == p
    assert str(q) == str(p)


def test_expressions_have_the_verbs_and_need_no_name() -> None:
    Z = X[b, K] * W[K, j] + c[j]
    p = es.parse("Z[b,j] = X[b,K] W[K,j] + c[j]\nL = Z[B,J] Z[B,J]")
    assert Z == p["Z"] == p.expr("X[b,K] W[K,j] + c[j]")
    assert hash(Z) == hash(p["Z"])
    assert p["L"] != Z
    assert Z.axes == ("b", "j")
    assert str(Z.grad(wrt="W")) == "∂expr[b,j]/∂W[k,l] = X[b,k] delta[j,l]"
    data = {"X": np.arange(6.0).reshape(2, 3), "W": np.ones((3, 5)), "c": np.zeros(5)}
    L = Z[B, J] * Z[B, J]
    assert p["L"] == L
    np.testing.assert_array_equal(Z.run(**data), p.run("Z", **data))
    np.testing.assert_array_equal(L.grad(wrt="W").run(**data), p.grad("L", "W").run(**data))
    value, slope = L.value_and_grad(wrt="c").run(**data)
    assert value == p.run("L", **data) and slope.shape == (5,)
    assert L.hessian(wrt="c").run(**data).shape == (5, 5)
    assert L.hvp(wrt="c", vector="v").run(**data, v=np.ones(5)).shape == (5,)
    assert Z.jvp(wrt="c", tangent="v").run(**data, v=np.ones(5)).shape == (2, 5)
    assert Z.vjp(wrt="c", cotangent="G").run(**data, G=np.ones((2, 5))).tolist() == [2.0] * 5


def test_tensors_say_by_what_to_differentiate() -> None:
    L = es.sum[i](abs(u[i] * s) * v[i])
    assert str(L) == "sum[i](abs(u[i] s) v[i])"
    data = {"u": np.array([1.0, -2.0]), "v": np.array([3.0, 5.0]), "s": 2.0}
    np.testing.assert_array_equal(L.grad(wrt=u).run(**data), [6, -10])
    assert set(L.grad(wrt=[u, "s"]).run(**data)) == {"u", "s"}
    np.testing.assert_array_equal(L.jvp(wrt=v, tangent="V").run(**data, V=[1.0, 0.0]), 2)
    p = es.parse("y = tanh(x)\nL = y^2")
    assert str(p.grad("L", wrt=p["y"])) == str(p.grad("L", wrt="y"))


def test_programs_say_names_where_they_have_them() -> None:
    Z = X[b, K] * W[K, j] + c[j]
    Y = es.tanh(Z)
    R = Y - es.tensors("T[b,j]")[b, j]
    p = es.program(Z=Z, Y=Y, R=R, L=R[B, J] * R[B, J])
    assert str(p).splitlines() == [
        "Z[b,j] = X[b,K] W[K,j] + c[j]",
        "Y[b,j] = tanh(Z[b,j])",
        "R[b,j] = Y[b,j] - T[b,j]",
        "L = R[B,J] R[B,J]",
    ]
    assert p["L"] == R[B, J] * R[B, J]
    assert es.program({"Z[j,b]": Z})["Z"].axes == ("j", "b")
    assert str(es.program(L=R[B, J] * R[B, J])).splitlines()[0].startswith("expr[b,j] = tanh(")
    assert str(R[B, J] * R[B, J]) == "expr[B,J] expr[B,J]"
    assert str(es.program(two=2)) == "two = 2"
    assert pickle.loads(pickle.dumps(p)) == p
    assert pickle.loads(pickle.dumps(R[B, J] * R[B, J])) == R[B, J] * R[B, J]


def test_expressions_of_a_program_go_on() -> None:
    p = es.parse("Y[i] = tanh(W[i,K] x[K])\nL = Y[I] Y[I]")
    doubled = 2 * p["Y"]
    assert str(doubled) == "2 Y[i]" and doubled.latex() == "2 Y_{i}"
    assert p["Y"].latex() == r"Y_{i} = \tanh(W_{i,K} x_{K})"
    assert str(p["Y"][I] * p["Y"][I]) == "Y[I] Y[I]"
    assert p["Y"][I] * p["Y"][I] == p["L"]
    data = {"W": np.ones((2, 3)), "x": np.arange(3.0)}
    np.testing.assert_array_equal(doubled.run(**data), 2 * p.run("Y", **data))
    np.testing.assert_allclose(es.log(p["L"]).grad(wrt="Y").run(**data), 2 * p.run("Y", **data) / p.run("L", **data))
    slope = p["Y"] - 0.1 * es.d(p["L"], p["Y"])
    np.testing.assert_allclose(slope.run(**data), 0.8 * p.run("Y", **data))


def test_other_letters_for_a_diagonal_and_a_part() -> None:
    data = {"A": np.arange(9.0).reshape(3, 3), "c": np.arange(3.0)}
    np.testing.assert_array_equal(A[i, i][j].run(A=data["A"]), [0, 4, 8])
    np.testing.assert_array_equal(c[j[0:2]][i].run(c=data["c"]), [0, 1])
    np.testing.assert_array_equal((A[i, j] - A[j, i])[i, i].run(A=data["A"]), [0, 0, 0])
    np.testing.assert_array_equal(A[i, j][j, i].run(A=data["A"]), data["A"])
    np.testing.assert_array_equal((A[i, j] * 1)[j, i].run(A=data["A"]), data["A"])
    np.testing.assert_array_equal((A[i, j][j, i] - A[i, j]).run(A=data["A"]), data["A"] - data["A"].T)


def test_what_python_repeats_is_said_once() -> None:
    """200 levels of f = sin(f) cos(f), each held twice by the next: lines, not 2^200 words."""
    f = u[i]
    for _ in range(200):
        f = es.sin(f) * es.cos(f)
    p = es.program(f=f)
    assert len(str(p).splitlines()) < 500
    assert f.run(u=np.ones(2)).shape == (2,)
    small = es.sigmoid(s) * (1 - es.sigmoid(s))
    assert str(es.program(y=small)) == "y = sigmoid(s) (1 - sigmoid(s))"


W_f, h_g, y_m = es.tensors("W_f[j,k] h_g[k] y_m", labels="f g m")
SIGMA = es.opaque("σ_m", labels="f g m")
LABELLED = {
    "W_f[j,K] h_g[K] u[j]": lambda: W_f[j, K] * h_g[K] * u[j],
    "σ_m(W_f[j,K] h_g[K]) + y_m": lambda: SIGMA(W_f[j, K] * h_g[K]) + y_m,
    "h_g[k] σ_m(y_m)": lambda: (
        es.from_sympy(sp.IndexedBase("h_g")[sp.Symbol("k", integer=True)], labels="f g m") * SIGMA(y_m)
    ),
}


@pytest.mark.parametrize("text", LABELLED)
def test_labels_are_those_of_the_text(text: str) -> None:
    """A name with a label is the same name from Python, from sympy and in text, and so is what is derived."""
    e = LABELLED[text]()
    assert str(e) == text
    p = es.program({"z_f": e})
    assert p == es.parse(f"z_f[{','.join(e.axes)}] = {text}", labels="f, g, m") == es.parse(str(p))
    assert p.jacobian("z_f", "h_g") == es.parse(str(p)).jacobian("z_f", "h_g")


REFUSED = [
    (lambda: X @ W, "@ hides the indices"),
    (lambda: X[b], "has 2 axes, and 1 indices are given"),
    (lambda: X[0, 1], "0 is no index"),
    (lambda: X[b, "K]; evil("], "is no index"),
    (lambda: es.tensors("X[b,k")[b], "never closed|not expected"),
    (lambda: es.indices("a-b"), "is no index"),
    (lambda: s * float("nan"), "no operand of a formula"),
    (lambda: s * float("inf"), "no operand of a formula"),
    (lambda: s * True, "no operand of a formula"),
    (lambda: s * 1j, "no operand of a formula"),
    (lambda: s * "t", "no operand of a formula"),
    (lambda: s * np.ones(3), "no operand of a formula"),
    (lambda: s * 10**500, "at most 400 digits"),
    (lambda: bool(s < t), "no truth value"),
    (lambda: 0 < s < t, "no truth value"),
    (lambda: es.d(s, u[i] * 2), "by names with their indices"),
    (lambda: es.tensors("X[:]"), "axes of X are not given"),
    (lambda: K[2], "has two bounds"),
    (lambda: es.size(u[i]), "A size is of an index"),
    (lambda: es.size(u, "i"), "A size is of an index"),
    (lambda: es.program({"a b": s}), "not one name"),
    (lambda: es.program({"tanh": s}), "tanh"),
    (lambda: es.program(y=X + X[b, k]), "stands here without indices"),
    (lambda: (u[I] + 1).run(u=[1.0]), "I"),
    (lambda: es.parse("y = 2 x")["y"] + es.parse("z = 3 x")["z"], "two programs"),
    (lambda: es.opaque("f g"), "not one name"),
    (lambda: es.opaque("σ_m"), "has indices"),
    (lambda: es.tensors("W_f[j,k]"), "one list of indices"),
    (lambda: es.tensors("V_q[j]", labels="q")[j] * es.parse("y = 2 x")["y"], "q is a label of one operand only"),
    (lambda: es.sum[i](u[i]).grad(wrt=u[i] * 2), "by names"),
    (lambda: es.parse("y = x").grad(3, wrt="x"), "is no name"),
    (lambda: es.parse(b"y = x"), "is a text"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refused(build, message: str) -> None:
    with pytest.raises(es.EinstanError, match=message) as caught:
        build()
    assert caught.value.repair


def test_every_function_of_the_language_is_there() -> None:
    from einstan.syntax import words

    for name in words.FUNCTIONS:
        assert repr(getattr(es, name)) == name and name in dir(es)
    with pytest.raises(AttributeError):
        _ = es.no_such_function


def test_derivatives_of_derivatives() -> None:
    p = es.parse("Y[i] = tanh(W[i,K] x[K])\nL = Y[I] Y[I]")
    rng = np.random.default_rng(0)
    data = {"W": rng.normal(size=(2, 3)), "x": rng.normal(size=3)}
    twice = p["Y"].jacobian(wrt="x").jacobian(wrt="x")
    assert str(twice) == "∂²Y[i]/∂x[k]∂x[l] = -2 Y[i] W[i,k] W[i,l] (1 - Y[i]^2)"
    full = twice.run(**data)
    third = twice.jacobian(wrt="x").run(**data)
    slope = p.jacobian("Y", wrt="x")
    V, G = rng.normal(size=3), rng.normal(size=(2, 3))
    h = 1e-5
    ends = [twice.run(W=data["W"], x=data["x"] + sign * h * V) for sign in (1, -1)]
    np.testing.assert_allclose(third @ V, (ends[0] - ends[1]) / (2 * h), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(slope.jvp(wrt="x", tangent="V").run(**data, V=V), full @ V, rtol=1e-12, atol=1e-14)
    pulled = slope.vjp(wrt="x", cotangent="G").run(**data, G=G)
    np.testing.assert_allclose(pulled, np.einsum("ik,ikl->l", G, full), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(p.grad("L", "x").grad(wrt="x").run(**data), p.hessian("L", "x").run(**data))
    blocks = p.grad("L", ["x", "W"]).jacobian(wrt=["x", "W"]).run(**data)
    np.testing.assert_allclose(blocks["W"]["x"], p.hessian("L", ["x", "W"]).run(**data)["W"]["x"])
    np.testing.assert_allclose(slope.hessian(wrt="x").run(**data), third, rtol=1e-12, atol=1e-14)


def test_functions_of_sympy_on_expressions() -> None:
    sympy = pytest.importorskip("sympy")
    huber = es.function(
        "huber", lambda x: sympy.Piecewise((x**2 / 2, abs(x) <= 1), (abs(x) - sympy.Rational(1, 2), True))
    )
    L = es.sum[i](huber(u[i] - v[i]) * 2)
    assert str(L) == "sum[i](huber(u[i] - v[i]) * 2)"
    data = {"u": np.array([3.0, 0.5, -2.0]), "v": np.zeros(3)}
    np.testing.assert_allclose(L.grad(wrt="u").run(**data), [2, 1, -2])
    p = es.program(L=L)
    assert p == es.parse("L = sum[i](huber(u[i] - v[i]) * 2)", functions=[huber])
    g = p.grad("L", wrt="u")
    assert es.parse(f"{p}\n{g}", functions=[huber]) == g
    assert pickle.loads(pickle.dumps(g)) == g
    np.testing.assert_allclose(pickle.loads(pickle.dumps(p)).run("L", **data), p.run("L", **data))
    assert huber(2 * u[i]) + huber(s) == es.program(h=huber(2 * u[i]) + huber(s))["h"]


def test_expressions_go_to_sympy_and_back() -> None:
    Z = X[b, K] * W[K, j] + c[j]
    assert es.from_sympy(Z.to_sympy()) == Z
    assert (es.from_sympy(Z.to_sympy()) - Z).grad(wrt="W").run(
        X=np.ones((2, 3)), W=np.ones((3, 5)), c=np.ones(5)
    ).any() == 0
