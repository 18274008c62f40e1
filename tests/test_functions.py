"""es.function: a scalar function given as a sympy expression, with our kinks, our stable forms and our derivatives."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from sympy import And, Heaviside, Max, Min, Not, Or, Piecewise, Rational, erf, exp, log, sqrt, tanh

import einstan as es
from einstan.functions import Function, function
from einstan.sympy_words import WORDS


def huber_formula(x: sp.Symbol) -> sp.Expr:
    return Piecewise((x**2 / 2, abs(x) <= 1), (abs(x) - Rational(1, 2), True))


HUBER = function("huber", huber_formula)

# a formula, and the text that a person reads
FORMULAS: list[tuple[Callable[..., Any], str]] = [
    (huber_formula, "where(abs(x) <= 1, x^2 / 2, abs(x) - 1 / 2)"),
    (lambda t: 1 / (1 + exp(-t)), "1 / (1 + exp(-x))"),
    (lambda t: t * tanh(log(1 + exp(t))), "x tanh(log(exp(x) + 1))"),
    (lambda t: t * (1 + erf(t / sqrt(2))) / 2, "x (erf(sqrt(2) x / 2) + 1) / 2"),
    (lambda t: sqrt(1 + t**2) - 1, "sqrt(x^2 + 1) - 1"),
    (lambda t: 0.1 * t + t**0.5, "sqrt(x) + 0.1 x"),
    (lambda t: sp.pi * sp.E * t ** Rational(-1, 3), "exp(1) pi / x^(1 / 3)"),
    (lambda t: Heaviside(t, 0) - sp.sign(t), "step(x) - sign(x)"),
    (
        lambda t: Piecewise((t, And(t > 0, t < 2)), (-t, Or(t < -1, Not(sp.Ne(t, 5)))), (0, True)),
        "where((x > 0) (x < 2), x, where(1 - (1 - (x == 5)) (1 - (x < -1)), -x, 0))",
    ),
    (lambda t: 3, "3"),
    (lambda t: Fraction(1, 3), "1 / 3"),
    (lambda t: t > 1, "x > 1"),
    (lambda t, scale=2: t / scale, "x / 2"),
    (lambda s, t: Max(0, 1 - s * t), "max(-x1 x2 + 1, 0)"),
    (lambda s, t: s**t + Min(s, t), "x1^x2 + min(x1, x2)"),
    (lambda p, q, r: p * q - log(r), "x1 x2 - log(x3)"),
]


@pytest.mark.parametrize(("formula", "text"), FORMULAS, ids=[text for _, text in FORMULAS])
def test_the_formula_is_kept_as_text(formula: Callable[..., Any], text: str) -> None:
    f = function("f", formula)
    assert f.formula == text
    assert pickle.loads(pickle.dumps(f)) == f and hash(pickle.loads(pickle.dumps(f))) == hash(f)
    assert str(f) == f"f({', '.join(f.params)}) = {f.formula}"


POINTS = np.array([-2.3, -0.7, 0.4, 1.3, 1.9])


@pytest.mark.parametrize(("formula", "text"), FORMULAS, ids=[text for _, text in FORMULAS])
def test_values_and_derivatives_are_those_of_sympy(formula: Callable[..., Any], text: str) -> None:
    """To second order, in every argument, at points without a kink."""
    f = function("f", formula)
    symbols = [sp.Symbol(name, real=True) for name in f.params]
    e = sp.sympify(formula(*symbols))
    e = e if isinstance(e, sp.Expr) else Piecewise((1, e), (0, True))
    shift = 3 if "sqrt(x)" in text or "^(1" in text or "x1" in text else 0  # positive, where the formula asks for it
    arrays = {name: POINTS + shift + n for n, name in enumerate(f.params)}
    for slot, symbol in enumerate(symbols):
        which = f"[{slot + 1}]" if len(symbols) > 1 else ""
        for order in range(3):
            call = f"f{chr(39) * order}{which if order else ''}({', '.join(f'{name}[i]' for name in f.params)})"
            used = " + ".join(f"0 {name}[i]" for name in f.params)
            got = es.parse(f"y[i] = {call} + {used}", functions=[f]).run("y", **arrays)
            for n, value in enumerate(got):
                at = {s: sp.Float(float(arrays[s.name][n]), 30) for s in symbols}
                want = sp.N(e.diff(symbol, order).subs(at).doit(), 20) if order else sp.N(e.subs(at), 20)
                assert value == pytest.approx(float(want), rel=1e-12, abs=1e-14)


ABS, X_PLUS = (lambda x: abs(x)), (lambda x: Max(x, 0))

# formula, point, value of f, f', f'' there: kinks as the language has them
KINKS = [
    (ABS, 0.0, (0, 0, 0)),
    (X_PLUS, 0.0, (0, 0.5, 0)),
    (lambda x: Piecewise((x, x > 0), (0, True)), 0.0, (0, 0, 0)),
    (lambda x: Heaviside(x, 0), 0.0, (0, 0, 0)),
    (lambda x: sp.sign(x), 0.0, (0, 0, 0)),
    (lambda x: Piecewise((sqrt(x), x > 0), (0, True)), 0.0, (0, 0, 0)),
    (huber_formula, 1.0, (0.5, 1, 1)),
    (lambda x: x**2.0, 0.0, (0, 0, 2)),
]


@pytest.mark.parametrize(("formula", "point", "want"), KINKS)
def test_kinks(formula: Callable[..., Any], point: float, want: tuple[float, ...]) -> None:
    f = function("f", formula)
    p = es.parse("y[i] = f(x[i])\nd[i] = f'(x[i])\nc[i] = f''(x[i])", functions=[f])
    got = p.compile(["y", "d", "c"])(x=np.array([point]))
    assert tuple(float(got[name][0]) for name in "ydc") == want


# naive spellings at points where they overflow or cancel: derivative of the order, by mpmath
EXTREME: list[tuple[Callable[..., Any], int, float]] = [
    (lambda x: log(1 + exp(x)), 1, 1000.0),
    (lambda x: log(1 + exp(x)), 2, -40.0),
    (lambda x: 1 / (1 + exp(-x)), 0, -700.0),
    (lambda x: 1 / (1 + exp(-x)), 1, -700.0),
    (lambda x: (exp(x) - exp(-x)) / (exp(x) + exp(-x)), 0, 500.0),
    (lambda x: x / (1 + exp(-x)), 1, -600.0),
]


@pytest.mark.parametrize(("formula", "order", "point"), EXTREME)
def test_extreme_points(formula: Callable[..., Any], order: int, point: float) -> None:
    f = function("f", formula)
    p = es.parse("y = f(x)", functions=[f])
    got = p.run("y", x=point) if order == 0 else getattr(p, ["", "jacobian", "hessian"][order])("y", "x").run(x=point)
    x = sp.Symbol("x", real=True)
    with mpmath.workdps(700):
        want = float(sp.N(formula(x).diff(x, order).subs(x, sp.Integer(int(point))), 650))
    assert float(got) == pytest.approx(want, rel=1e-12)


# ---------------------------------------------------------------- in programs

TEXT = "y[i] = huber(x[i] - m)\nL = huber(x[I]) y[I]"
DATA = {"x": np.array([-3.0, -0.5, 0.25, 2.0]), "m": 0.3}


def program() -> es.Program:
    return es.parse(TEXT, functions=[HUBER])


def test_a_call_is_the_formula_written_out() -> None:
    plain = TEXT.replace("huber(x[i] - m)", "where(abs(x[i] - m) <= 1, (x[i] - m)^2 / 2, abs(x[i] - m) - 1/2)")
    plain = plain.replace("huber(x[I])", "where(abs(x[I]) <= 1, x[I]^2 / 2, abs(x[I]) - 1/2)")
    assert program() == es.parse(plain)


@pytest.mark.parametrize("word", sorted(name for name in WORDS if name not in ("max", "min")))
def test_a_word_as_a_function_is_the_word(word: str) -> None:
    f = function("f", lambda x: WORDS[word](x))
    assert es.parse("y[i,j] = f(x[i,j])^2", functions=[f]) == es.parse(f"y[i,j] = {word}(x[i,j])^2")


def test_text_gradient_and_pickle_read_back() -> None:
    p = program()
    g = p.grad("L", ["x", "m"])
    assert "huber(x[i] - m)" in str(p)
    assert es.parse(str(p), functions=[HUBER]) == p
    assert es.parse(f"{p}\n{g}", functions=[HUBER]) == g
    assert pickle.loads(pickle.dumps(p)) == p and pickle.loads(pickle.dumps(g)) == g
    kernel = g.compile()
    for name, want in pickle.loads(pickle.dumps(kernel))(**DATA).items():
        np.testing.assert_array_equal(kernel(**DATA)[name], want)


@pytest.mark.parametrize(("formula", "text"), FORMULAS, ids=[text for _, text in FORMULAS])
def test_gradients_of_every_formula_read_back(formula: Callable[..., Any], text: str) -> None:
    f = function("f", formula)
    args = ", ".join(f"{x}[i] v" for x in f.params)
    p = es.parse(
        f"y[i] = f({args})\nL = y[I] y[I] + {' + '.join(f'{x}[I] {x}[I]' for x in f.params)} + v", functions=[f]
    )
    g = p.grad("L", [*f.params, "v"])
    assert es.parse(f"{p}\n{g}", functions=[f]) == g


@pytest.mark.parametrize("name", ["x", "m"])
def test_gradients_are_finite_differences(name: str) -> None:
    p, h = program(), 1e-6
    slope = np.atleast_1d(p.grad("L", name).run(**DATA))
    for n in range(slope.size):
        step = h * np.eye(slope.size)[n].reshape(np.shape(DATA[name]))
        ends = [p.run("L", **DATA | {name: DATA[name] + sign * step}) for sign in (1, -1)]
        assert slope[n] == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-7)


def test_an_expression_in_context_knows_the_functions() -> None:
    p = program()
    assert str(p.expr("huber'(x[i])")) == "huber'(x[i])"
    np.testing.assert_array_equal(p.expr("huber'(x[i])").run(x=DATA["x"]), [-1, -0.5, 0.25, 1])


def test_an_opaque_function_is_bound_to_one() -> None:
    opaque = es.parse(TEXT.replace("huber", "f"))
    for name in ("x", "m"):
        got = opaque.grad("L", name).compile(functions={"f": HUBER})(**DATA)
        np.testing.assert_allclose(got, program().grad("L", name).run(**DATA), rtol=1e-14)


CALLS = [
    ("y[i] = huber(x[i], 2)", "huber has 1 argument, not 2"),
    ("y[i] = huber[i](x[i])", "acts entry by entry"),
    ("y = huber(X[:]) + X[I] 1[I]", "stands here without indices"),
    ("y = huber'[2](x)", "The derivative of huber"),
    ("y = huber + 1", "as a function and as a tensor"),
    ("huber = x + 1", "as a function and as a tensor"),
]


@pytest.mark.parametrize(("text", "words"), CALLS, ids=[text for text, _ in CALLS])
def test_wrong_calls(text: str, words: str) -> None:
    with pytest.raises(es.EinstanError, match=words.replace("(", r"\(")) as caught:
        es.parse(text, functions=[HUBER])
    assert caught.value.repair and caught.value.spans


def test_two_functions_of_one_name() -> None:
    same, other = function("huber", huber_formula), function("huber", lambda x: x)
    assert es.parse(TEXT, functions=[HUBER, same]) == program()
    with pytest.raises(es.EinstanNameError, match="Two functions are called huber"):
        es.parse(TEXT, functions=[HUBER, other])
    with pytest.raises(es.EinstanError, match="holds str"):
        es.parse(TEXT, functions=["huber"])


class Seen:
    """What takes a function's call: it is given the function and all arguments."""

    def applied(self, f: Function, args: tuple[Any, ...]) -> tuple[Function, tuple[Any, ...]]:
        return f, args


def test_a_call_is_handed_to_the_expression() -> None:
    f, seen = function("f", lambda s, t: s * t), Seen()
    assert f(2, seen) == (f, (2, seen))
    with pytest.raises(es.EinstanError, match="has 2 arguments, not 1"):
        f(seen)
    with pytest.raises(es.EinstanError, match="a function of expressions, not of int"):
        f(1, 2)


# ---------------------------------------------------------------- refusals

u = sp.Symbol("u")
NO_FORMULAS = [
    (lambda x: "x**2", "not str"),
    ("x**2", "not as str"),
    (lambda x: None, "not NoneType"),
    (lambda x: True, "not bool"),
    (lambda x: sp.Matrix([x]), "not MutableDenseMatrix"),
    (lambda x: x + u, "u, which is none of its arguments"),
    (lambda x: x + sp.Symbol("x"), "none of its arguments"),
    (lambda x: sp.Derivative(sp.Function("g")(x), x), "Derivative"),
    (lambda x: sp.Subs(sp.Derivative(sp.Function("g")(u), u), u, x), "Subs"),
    (lambda x: sp.Max(x, 0).diff(x, 2), "DiracDelta"),
    (lambda x: sp.Integral(exp(-(x**2)), x), "Integral"),
    (lambda x: sp.UnevaluatedExpr(x), "UnevaluatedExpr"),
    (lambda x: sp.Function("g")(x), "has no form"),
    (lambda x: sp.Limit(x, x, 0), "Limit"),
    (lambda x: sp.I * x, "ImaginaryUnit"),
    (lambda x: sqrt(-2) * x, "ImaginaryUnit"),
    (lambda x: sp.oo * (x + 1), "Infinity"),
    (lambda x: sp.nan, "NaN"),
    (lambda x: float("inf"), "Infinity"),
    (lambda x: x * 10**500, "digits"),
    (lambda x: Heaviside(x), "Heaviside is 1/2 at 0"),
    (lambda x: Piecewise((x, x > 0)), "without a value"),
    (lambda s, t: sp.atan2(s, t), "atan2"),
    (lambda x: sp.gamma(x), "gamma"),
    (lambda x: sp.EulerGamma * x, "EulerGamma"),
    (lambda x: sp.IndexedBase("A")[sp.Symbol("i")] * x, "Indexed"),
    (lambda x: sp.Sum(x, (sp.Symbol("k"), 0, sp.Symbol("n"))), "Sum"),
    (lambda x: __import__("math").exp(x), "does not take symbols"),
    (lambda x: np.exp(x), "does not take symbols"),
    (lambda x: x if x > 0 else 0, "does not take symbols"),
    (lambda *xs: xs[0], "one by one"),
    (lambda: 1, "one by one"),
    (lambda *, x: x, "one by one"),
    (max, "one by one"),
]


@pytest.mark.parametrize(("formula", "words"), NO_FORMULAS, ids=[words for _, words in NO_FORMULAS])
def test_what_is_no_formula(formula: Any, words: str) -> None:
    with pytest.raises(es.EinstanError) as caught:
        function("f", formula)
    assert words in caught.value.message and caught.value.repair


NO_NAMES = [
    "exp",
    "ln",
    "σ",
    "sigmoid",
    "sum",
    "inv",
    "size",
    "pi",
    "π",
    "delta",
    "δ",
    "d",
    "f'",
    "f[i]",
    "2f",
    "",
    "f g",
    "x_1",
]
NO_NAMES += ["f(x) + g", "f\n", "\\exp", "f#", "ﬁ"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(es.EinstanNameError):
        function(name, lambda x: x)


def test_shared_parts_are_not_written_out_without_end() -> None:
    def deep(x: sp.Symbol) -> sp.Expr:
        for _ in range(20):
            x = sp.Add(sp.sin(x), sp.cos(x), evaluate=False)
        return x

    with pytest.raises(es.EinstanError, match="parts"):
        function("f", deep)


def test_sympy_is_imported_where_it_is_used() -> None:
    text = "import sys, einstan as es; p = es.parse('y[i] = tanh(x[i])'); p.jacobian('y', 'x').compile()"
    code = f"{text}; print('sympy' in sys.modules)"
    root = Path(__file__).parent.parent
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert out.stdout.strip() == "False"
