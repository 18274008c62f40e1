"""check_grads: right derivatives agree to rounding, wrong ones are told where; complex steps against derived rules."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan import complex_step
from einstan.complex_step import COMPLEX, Point, has_complex_step
from einstan.derive import derive
from einstan.dims import Dim
from einstan.ir import input_
from einstan.prims import PRIMS
from einstan.prims.scalar import SCALAR
from einstan.testing import evaluate

from .models import MODELS, Model
from .random_checks import Case
from .random_programs import program

QUICK = ("dense-1-relu-squared", "lstm-concat-1", "readout-one-graph", "logistic-regression", "gaussian-process")

CHOSEN = [
    pytest.param(model, id=model.name, marks=[] if model.name in QUICK else [pytest.mark.slow])
    for model in MODELS
    if not re.search(r"-[23]0\b", model.name)
]


def data(**shapes: tuple[int, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("model", CHOSEN)
def test_models(model: Model) -> None:
    p = es.parse(model.text)
    found = p.check_grads(model.arrays(), of=model.of, wrt=list(model.wrt), functions=model.functions)
    assert found.holds
    assert {row.method for row in found} == {"differences" if "cholesky" in model.text else "complex step"}
    assert all(row.entries and not row.left_out for row in found)
    wanted = [(name, order, "reverse") for order in (1, 2) for name in model.wrt]
    wanted += [(",".join(model.wrt), order, "forward") for order in (1, 2)]
    assert sorted((row.wrt, row.order, row.mode) for row in found) == sorted(wanted)


# ---------------------------------------------------------------- wrong derivatives are told


def sine(x: Any) -> Any:
    return np.sin(x)


def minus_sine(x: Any) -> Any:
    return -np.sin(x)


WRONG = [
    # what is given for f', for f'': the orders in which rows differ
    (np.cos, minus_sine, set()),
    (np.sin, np.cos, {1}),  # of a wrong slope the right derivative
    (np.cos, np.sin, {2}),
    (lambda x: 1.001 * np.cos(x), lambda x: -1.001 * np.sin(x), {1}),
    (lambda x: np.where(x > 1, 0, np.cos(x)), minus_sine, {1, 2}),
    (lambda x: np.cos(x) * np.nan, minus_sine, {1}),
]


@pytest.mark.parametrize(("first", "second", "orders"), WRONG)
def test_wrong_derivatives_of_functions(first: Any, second: Any, orders: set[int]) -> None:
    p = es.parse("y[i] = f(x[i])")
    found = p.check_grads(x=[0.5, 1.5, -2.0], functions={"f": np.sin, "f'": first, "f''": second})
    assert {row.order for row in found if row.holds is False} == orders
    assert found.holds == (not orders)
    assert {row.method for row in found} == {"differences"}


def test_the_worst_entry() -> None:
    """A slope that is wrong at one entry alone."""
    p = es.parse("L = f(x[I]) 1[I]")
    functions = {"f": np.sin, "f'": lambda x: np.cos(x) + (x == 3)}
    reverse, forward = p.check_grads(x=[1.0, 2.0, 3.0, 4.0], functions=functions, order=1)
    assert (reverse.entry, forward.entry) == ((2,), ())
    assert reverse.derived == pytest.approx(np.cos(3) + 1)
    assert reverse.number == pytest.approx(np.cos(3), rel=1e-8)
    assert not reverse.holds and not forward.holds


def test_complex_steps_hold_it_to_account(monkeypatch: pytest.MonkeyPatch) -> None:
    p = es.parse("y[i] = tanh(x[i])")
    assert p.check_grads(x=[0.5, 1.5]).holds
    monkeypatch.setitem(COMPLEX, "tanh", np.sin)
    found = p.check_grads(x=[0.5, 1.5])
    assert [row.holds for row in found] == [False] * 4


# ---------------------------------------------------------------- what is checked

POINTS = [
    # text, arrays, options, (name, names) of the first order
    ("L = x[I] x[I] / 2", {"x": [1, 2, 3]}, {}, {("L", "x")}),
    ("L = m[I] x[I]", {"x": [1.0, 2.0], "m": [True, False]}, {}, {("L", "x")}),
    ("y[i] = A[i,K] x[K]; L = y[I] y[I]; M = x[K] x[K]", data(A=(3, 2), x=(2,)), {},
     {("L", "A"), ("L", "x"), ("L", "A,x"), ("M", "x")}),
    ("y[i] = A[i,K] x[K]; L = y[I] y[I]", data(A=(3, 2), x=(2,)), {"of": "y", "wrt": "x"}, {("y", "x")}),
    ("y = s^3", {"s": 2.0}, {}, {("y", "s")}),
    (r"Z_{i,j}^{(1)} = X_{i,K} W_{K,j}^{(1)}", data(**{"X": (3, 2), "W^{(1)}": (2, 4)}), {},
     {("Z^{(1)}", "X"), ("Z^{(1)}", "W^{(1)}"), ("Z^{(1)}", "X,W^{(1)}")}),
    ("L = exp(w[I]) w[I]; g = ∂L/∂w[I] ∂L/∂w[I]", data(w=(3,)), {}, {("g", "w")}),
    ("c1[i] = c2[i] c3[i]^2", data(c2=(3,), c3=(3,)), {}, {("c1", "c2"), ("c1", "c3"), ("c1", "c2,c3")}),
    ("y[i] = A[i,K] x[K]; L = y[I] y[I]; M = x[K] x[K]", data(A=(3, 2), x=(2,)), {"wrt": "A"}, {("L", "A")}),
    ("L = x[I] x[I]", {"x": np.zeros(0)}, {}, {("L", "x")}),
    ("y[i] = f(x[i]); z[i] = g(x[i])", data(x=(3,)), {"functions": {"f": "tanh", "g": "exp"}},
     {("y", "x"), ("z", "x")}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "arrays", "options", "checked"), POINTS)
def test_what_is_checked(text: str, arrays: dict[str, Any], options: dict[str, Any], checked: Any) -> None:
    found = es.parse(text).check_grads(arrays, **options)
    assert found.holds
    assert {(row.of, row.wrt) for row in found if row.order == 1} == checked
    assert all(row.error < 1e-12 for row in found)


def test_order_one() -> None:
    assert {row.order for row in es.parse("y = s^3").check_grads(s=2.0, order=1)} == {1}


KINKS = "L = abs(x[I]) y[I] + relu(x[I]) y[I] + max(x[I], 0) y[I] + norm[i](0 x[i]) + max[i](x[i])"


def test_kinks_are_as_defined() -> None:
    """abs' = relu' = 0 and max'(x, 0) = 1/2 at 0: complex steps follow the notation."""
    found = es.parse(KINKS).check_grads(x=[0.0, 0.0, -1.0], y=[1.0, 2.0, 3.0])
    assert found.holds and {row.method for row in found} == {"complex step"}


SINGULAR = [
    # what would be lost if real parts of products of two steps told ties apart, or were slopes themselves
    ("L = max[i](x[i] y[i])", {"x": [0.0, 0.0, 0.0], "y": [0.0, 0.0, 0.0]}),
    ("L = prod[i](x[i]) + x[I] y[I]", {"x": [0.0, 0.0, 0.0, 0.0, 0.0], "y": [1.0, 2.0, 3.0, 4.0, 5.0]}),
    ("L = sum[i](x[i]^3)", {"x": [0.0, 1.0]}),
]


@pytest.mark.parametrize(("text", "arrays"), SINGULAR)
def test_ties_of_zeros(text: str, arrays: dict[str, Any]) -> None:
    assert es.parse(text).check_grads(arrays).holds


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 38, 64, 102, 265])
def test_random_programs(seed: int) -> None:
    """Also on kinks."""
    case = Case(program(seed), seed)
    assert case.read.check_grads(case.arrays, functions=case.bindings, of="L").holds


def test_kinks_of_differences_are_left_out() -> None:
    p = es.parse("L = f(x[I]) 1[I]; y[i] = f(x[i])")
    functions = {"f": np.abs, "f'": np.sign, "f''": np.zeros_like}
    found = p.check_grads(x=[0.0, 1.0, -2.0], functions=functions, order=1)
    assert [(row.of, row.mode, row.entries, row.left_out, row.holds) for row in found] == [
        ("L", "reverse", 2, 1, True),
        ("L", "forward", 0, 1, None),
        ("y", "reverse", 2, 1, True),
        ("y", "forward", 2, 1, True),
    ]
    assert found.holds and "1 of 4 could not be compared" in str(found)


def test_the_table() -> None:
    found = es.parse("y[i] = A[i,K] x[K]").check_grads(A=np.eye(2), x=[1.0, 2.0])
    head, *rows, blank, last = str(found).splitlines()
    assert head.split() == "derivative order mode number by entries worst derived number error".split()
    assert [row.split()[0] for row in rows] == ["∂y/∂A", "∂y/∂x", "∂y/∂A,x"] * 2
    assert all(row.endswith("agrees") for row in rows)
    assert (blank, last, repr(found)) == ("", "All 6 agree.", str(found))


REFUSED = [
    ("L = x[I] y[I]", {"x": [1.0]}, {}, "No array is given for 'y'"),
    ("L = x[I] y[I]", {"x": [1.0], "y": [1.0], "z": 1.0}, {}, "no input called 'z'"),
    ("L = x[I] y[I]", {"x": [1.0], "y": [1.0, 2.0]}, {}, "I is 1 in x, 2 in y"),
    ("y[i] = x[i]; L = y[I] y[I]", {"x": [1.0]}, {"wrt": "y"}, "y is defined by the program"),
    ("L = x[I] x[I]", {"x": [1.0]}, {"of": "M"}, "has no name 'M'"),
    ("L = x[I] x[I]", {"x": [1.0]}, {"wrt": "w"}, "has no name 'w'"),
    ("L = x[I] x[I]", {"x": [1.0]}, {"order": 3}, "order is 3"),
    ("L = x[I] x[I]", {"x": [1j]}, {}, "x is complex"),
    ("L = log(x[I]) 1[I]", {"x": [-1.0]}, {}, "L is not finite"),
    ("L = f(x[I]) 1[I]", {"x": [1.0]}, {}, "f is not bound"),
    ("L = f(x[I]) 1[I]", {"x": [1.0]}, {"functions": {"f": np.sin, "f'": np.cos}}, "f'' is needed"),
    ("L = f(x[I]) 1[I]", {"x": [1.0]}, {"functions": {"f": "tanh", "g": "exp"}}, "no opaque function 'g'"),
    ("L = m[I] m[I]", {"m": [True]}, {}, "no derivative to check"),
    ("L = m[I] x[I]", {"m": [True], "x": [1.0]}, {"wrt": "m"}, "its dtype is bool"),
    ("L = 2", {}, {}, "no derivative to check"),
]


@pytest.mark.parametrize(("text", "arrays", "options", "message"), REFUSED)
def test_refused(text: str, arrays: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(es.EinstanError) as caught:
        es.parse(text).check_grads(arrays, **options)
    assert message in str(caught.value)


# ---------------------------------------------------------------- complex steps, a primitive at a time

ALONE = sorted(SCALAR.keys() & COMPLEX.keys() - {"pow"})
AT = {"positive": [0.3, 1.7], "unit": [-0.6, 0.7]}


@pytest.mark.parametrize("name", ALONE)
def test_complex_step_of_a_function(name: str) -> None:
    """What the derived rules say, evaluated plainly; also where results are very small."""
    prim = SCALAR[name]
    at = np.array(AT.get(prim.domain, [-30.0, -1.3, 0.4, 20.0]))
    arrays = {"x": at, "y": at[::-1] / 2, "z": at + 1}
    leaves = [input_(leaf, (Dim.symbol("n"),)) for leaf in list(arrays)[: prim.arity]]
    y = prim(*leaves)
    env = {"n": len(at)}
    directions = {leaf.name: np.ones(len(at)) for leaf in leaves}
    wanted = sum(evaluate(derive(y, input_("one", y.shape), leaves), arrays | {"one": np.ones(len(at))}, env))
    np.testing.assert_allclose(Point([y], arrays, env).slopes(directions)[0], wanted, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("q", ["2", "3", "-1", "-2", "1/2", "100"])
def test_complex_step_of_a_power(q: str) -> None:
    x = np.array([0.7, 1.3] if "/" in q else [-1.3, -0.2, 0.7])
    found = es.parse(f"y[i] = x[i]^({q})").check_grads(x=x)
    assert found.holds and {row.method for row in found} == {"complex step"}


@pytest.mark.parametrize(
    "formula",
    [
        "prod[i](x[i])", "max[i](x[i])", "min[i](x[i])", "logsumexp[i](x[i])", "norm[i](x[i])", "mean[i](x[i])",
        "softmax[i](1000 x[i])", "log_softmax[i](x[i])", "[x[i], 2 x[i]]_i", "x[i=0:2]", "gelu(x[i])", "silu(x[i])",
        "elu(x[i])", "where(x[i] > 0, x[i]^2, exp(x[i]))", "inv[i,j](A[i,j])", "det[i,j](A[i,j])",
        "logdet[i,j](A[i,j])", "solve[i,j](A[i,j], x[i])", "tril[i,j](A[i,j])", "trace[i,j](A[i,j])", "delta[i,j] x[j]",
        "x[I] y[I] x[I] y[j] pi", "A[i,K] A[K,j] A[j,L] x[L]",
    ],
)  # fmt: skip
def test_complex_step_of_formulas(formula: str) -> None:
    p = es.program(result=es.parse("q = x[I] y[I] A[I,I]").expr(formula))
    arrays = {"x": [0.5, -1.2, 2.0], "y": [1.5, 0.2, -0.7], "A": [[2.0, 1.0, 0.5], [0.3, -3.0, 1.0], [0.1, 0.7, 1.5]]}
    found = p.check_grads({name: arrays[name] for name in p.inputs})
    assert found.holds and {row.method for row in found} == {"complex step"}
    assert max(row.error for row in found) < 1e-11


def test_primitives_without_a_complex_step() -> None:
    """The table lacks these alone; what `stabilise` writes does not stand in formulas as they are written."""
    assert PRIMS.keys() - COMPLEX.keys() == {
        "opaque", "power", "cholesky", "logaddexp", "logcosh", "erfc", "unit", "logdet_positive",
    }  # fmt: skip
    p = es.parse("y[i] = x[i]^z[i]")
    assert not has_complex_step([p.bodies["y"]])
    found = p.check_grads(x=[0.5, 1.5], z=[2.0, -1.0])
    assert found.holds and {row.method for row in found} == {"differences"}


def test_more_labels_than_numpy_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complex_step, "LABELS", 2)
    found = es.parse("L = A[I,J] B[J,K] C[K,I]").check_grads(data(A=(3, 2), B=(2, 4), C=(4, 3)))
    assert found.holds and "differences" in {row.method for row in found}
