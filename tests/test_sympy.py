"""sympy: formulas to sympy and back; sympy as an oracle for values and derivatives."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import sympy as sp
from sympy import Function, IndexedBase, KroneckerDelta, Max, Piecewise, Product, Rational, Sum, Symbol, exp, log, sqrt

import einstan as es
from einstan.ir import Add, Call, Node, add, call, pattern
from einstan.lower import lower_expr
from einstan.prims.linalg import MATRIX
from einstan.rules import simplify
from einstan.show.text import show_expr
from einstan.show.to_sympy import to_sympy
from einstan.stabilise import stabilise
from einstan.sympy_words import WORDS, relu, sigmoid, step
from einstan.syntax import ast
from einstan.syntax.check import check_expression
from einstan.syntax.from_sympy import from_sympy

from .models import MODELS, Model
from .random_programs import program

b, i, j, k, k1 = sp.symbols("b i j k k1", integer=True)
nb, ni, nj, nk, n, m = sp.symbols("n_b n_i n_j n_k n m", integer=True, positive=True)
a = Symbol("a", real=True)
A, B, W, X, u, v, x, y, z = (IndexedBase(name, real=True) for name in "A B W X u v x y z".split())


def sympy_of(text: str) -> sp.Expr:
    """The last definition, with tensors that do not say their shape."""
    p = es.parse(text)
    e = to_sympy(p.checked, p.names[-1])
    return e.xreplace({t: IndexedBase(t.base.name, real=True)[t.indices] for t in e.atoms(sp.Indexed)})


def text_of(e: object, labels: tuple[str, ...] = ()) -> str:
    return show_expr(from_sympy(e, labels))


# ---------------------------------------------------------------- to sympy

WRITTEN = [
    ("Y[b,j] = X[b,K] W[K,j] + a", Sum(X[b, k] * W[k, j], (k, 0, nk - 1)) + a),
    ("s = u[I] v[I]", Sum(u[i] * v[i], (i, 0, ni - 1))),
    ("s = A[I,I]", Sum(A[i, i], (i, 0, ni - 1))),
    ("d[i] = A[i,i]", A[i, i]),
    ("Y[i,j] = delta[i,j] x[i] y[j]", KroneckerDelta(i, j) * x[i] * y[j]),
    ("s = 2 A[I,J] 1[I] 1[J]", Sum(2 * A[i, j], (i, 0, ni - 1), (j, 0, nj - 1))),
    ("s[i] = x[i] + 0[i]", x[i]),
    ("p[k] = exp(z[k]) / sum[k](exp(z[k]))", exp(z[k]) / Sum(exp(z[k1]), (k1, 0, nk - 1))),
    ("p[k] = softmax[k](z[k])", exp(z[k]) / Sum(exp(z[k1]), (k1, 0, nk - 1))),
    ("p[k] = log_softmax[k](z[k])", log(exp(z[k]) / Sum(exp(z[k1]), (k1, 0, nk - 1)))),
    ("s = logsumexp[k](z[k])", log(Sum(exp(z[k]), (k, 0, nk - 1)))),
    ("s = norm[k](z[k])", sqrt(Sum(z[k] ** 2, (k, 0, nk - 1)))),
    ("s = prod[k](z[k])", Product(z[k], (k, 0, nk - 1))),
    ("s = mean[k](z[k]) + |k|", Sum(z[k], (k, 0, nk - 1)) / nk + nk),
    ("s[i] = x[i] ⊙ y[i]", x[i] * y[i]),
    ("s[i] = relu(x[i]) + step(x[i]) + max(x[i], a)", relu(x[i]) + step(x[i]) + Max(x[i], a)),
    ("s[i] = where(x[i] > 0, x[i], y[i])", Piecewise((x[i], x[i] > 0), (y[i], True))),
    ("s[i] = where(x[i], 1, y[i])", Piecewise((1, sp.Ne(x[i], 0)), (y[i], True))),
    ("s[i] = (x[i] <= a) + 0.1", Piecewise((1, x[i] <= a), (0, True)) + Rational(1, 10)),
    ("s[i] = f(x[i]) / pi", Function("f", real=True)(x[i]) / sp.pi),
    ("s[i] = sqrt(x[i])^a", sqrt(x[i]) ** a),
]


@pytest.mark.parametrize(("text", "want"), WRITTEN, ids=[text for text, _ in WRITTEN])
def test_to_sympy(text: str, want: sp.Expr) -> None:
    assert sympy_of(text) == want


def test_bound_indices_are_apart_and_equal_axes_share_a_size() -> None:
    sums = sympy_of("Y[k] = A[k,J] B[J,K] x[K]").atoms(Sum)
    assert {str(limit[0]) for s in sums for limit in s.limits} == {"j", "k1"}
    sums = sympy_of("s = x[I] y[I] + x[J] z[J]").atoms(Sum)
    assert len({limit[2] for s in sums for limit in s.limits}) == 1


def test_tensors_say_their_shape() -> None:
    p = es.parse("size j = 3\nY[b,j] = X[b,K] W[K,j] + |K|")
    e = to_sympy(p.checked, "Y")
    assert {t.base.name: t.base.shape for t in e.atoms(sp.Indexed)} == {"X": (nb, nk), "W": (nk, 3)}
    assert text_of(e) == "X[b,K] W[K,j] + size(W,1)"
    assert text_of(to_sympy(es.parse("size j = 3\ns[i] = A[i,J] y[J]").checked, "s")) == "A[i,J] y[J]"


NO_SYMPY = [
    ("s[i] = max[k](A[i,k])", "max along an index"),
    ("s[k] = [x[k], y[k]]_k", "A join"),
    ("s[k] = x[k=0:2]", "A part of an axis"),
    ("s[i,i] = x[i]", "A diagonal on the left"),
    ("s[i] = tanh'(x[i])", "A derivative"),
    ("t = x[I] x[I]\ns[i] = ∂t/∂x[i]", "A derivative"),
    ("s[j] = f[j](x[K]) y[j]", "f along an index"),
    ("s = f(x[:]) + x[I] x[I]", "x as a whole"),
    ("s = sum[i](exp(sum[k](where(z[k] > a, A[i,k], 2))))", "A choice inside a sum inside a sum"),
]


@pytest.mark.parametrize(("text", "what"), NO_SYMPY, ids=[text for text, _ in NO_SYMPY])
def test_what_has_no_form_in_sympy(text: str, what: str) -> None:
    with pytest.raises(es.EinstanError, match=what) as caught:
        sympy_of(text)
    assert "no form in sympy" in caught.value.message
    assert caught.value.spans and caught.value.repair


def test_a_formula_too_deep_for_sympy() -> None:
    with pytest.raises(es.EinstanError, match="too deep"):
        sympy_of("y = " + "sin(" * 900 + "x" + ")" * 900)


# ---------------------------------------------------------------- from sympy

f = Function("f")
MA, MB = sp.MatrixSymbol("A", n, m), sp.MatrixSymbol("B", m, n)
K = Symbol("K", integer=True)
q = sp.Idx("q", n)

READ = [
    (Sum(A[i, k] * x[k], (k, 0, n - 1)), "A[i,K] x[K]"),
    (Sum(A[i, k] * x[k], (k, 1, n)), "A[i,K] x[K]"),
    (x[K] * Sum(A[i, K] * y[K], (K, 0, n - 1)), "x[k] A[i,J] y[J]"),
    (Sum(A[i, k] * x[k], (k, 0, n - 1)) * Sum(B[i, k] * y[k], (k, 0, n - 1)), "(A[i,K] x[K]) (B[i,K] y[K])"),
    (Sum(A[i, k] * Sum(B[k, j] * y[j], (j, 0, m - 1)), (k, 0, n - 1)), "A[i,K] B[K,J] y[J]"),
    (Sum(A[k, k], (k, 0, n - 1)), "A[K,K]"),
    (Sum(A[k, k], (k, 0, n - 1)) ** 2, "(A[K,K])^2"),
    (Sum(A[k, k], (k, 0, n - 1)) * Sum(B[k, k], (k, 0, m - 1)), "(A[K,K]) (B[K,K])"),
    (2 * Sum(A[k, k], (k, 0, n - 1)) * a, "2 a A[K,K]"),
    (1 / Sum(A[k, k], (k, 0, n - 1)), "1 / A[K,K]"),
    (Sum(1 / A[k, k], (k, 0, n - 1)), "sum[k](1 / A[k,k])"),
    (Sum(x[k] / y[k], (k, 0, n - 1)), "x[K] / y[K]"),
    (Sum(x[k] ** 2, (k, 0, n - 1)), "x[K] x[K]"),
    (Sum(x[k] ** 2 * y[k], (k, 0, n - 1)), "x[K]^2 y[K]"),
    (Sum((x[k] - y[k]) ** 2, (k, 0, n - 1)), "(x[K] - y[K]) (x[K] - y[K])"),
    (Sum(exp(x[k]), (k, 0, n - 1)), "sum[k](exp(x[k]))"),
    (Sum(-2 * x[k], (k, 0, n - 1)), "-sum[k](2 x[k])"),
    (exp(x[k]) / Sum(exp(x[k]), (k, 0, n - 1)), "exp(x[k]) / sum[i](exp(x[i]))"),
    (Sum(x[k], (k, 0, n - 1)) / n, "sum[k](x[k]) / size(x,1)"),
    (Sum(a, (k, 0, n - 1)) + Sum(x[k], (k, 0, n - 1)), "a size(x,1) + sum[k](x[k])"),
    (Sum((A[i, k] * x[k] + y[k]) * z[k], (k, 0, n - 1)), "sum[k]((A[i,k] x[k] + y[k]) z[k])"),
    (Sum(A[i, k] * x[k], (i, 0, n - 1), (k, 0, m - 1)), "sum[i](A[i,K] x[K])"),
    (Sum(KroneckerDelta(i, j) * x[j], (j, 0, n - 1)), "delta[i,J] x[J]"),
    (Sum(x[q], q), "sum[q](x[q])"),
    (Sum(MA[i, k] * MB[k, j], (k, 0, m - 1)), "A[i,K] B[K,j]"),
    (Product(x[k], (k, 0, n - 1)), "prod[k](x[k])"),
    (f(x[i] + a), "f(x[i] + a)"),
    (Symbol("x_1") + Symbol("\\theta") * Symbol("y'"), "θ y' + x1"),
    (Symbol("W^{(1)}") - 1, "W^{(1)} - 1"),
    (A[Symbol("i_1"), Symbol("I")], "A[i1,i]"),
    (x[Symbol("_p")], "x[i]"),
    (sqrt(2) * x[i] ** Rational(-3, 2) / sp.pi, "sqrt(2) / pi / x[i]^(3 / 2)"),
    (sigmoid(x[i]) * sp.E / 3, "exp(1) sigmoid(x[i]) / 3"),
    (Piecewise((1, x[i] > 0), (0, True)), "x[i] > 0"),
    (Max(x[i], 0, y[i]), "max(x[i], max(y[i], 0))"),
]


@pytest.mark.parametrize(("e", "text"), READ, ids=[text for _, text in READ])
def test_from_sympy(e: sp.Expr, text: str) -> None:
    assert text_of(e) == text


REFUSED = [
    (Sum(x[k], (k, 0, n)), "whole axis"),
    (Sum(x[k], (k, 0, 4)), "whole axis"),
    (Sum(x[k], (k, 1, n - 1)), "whole axis"),
    (Sum(A[i, k], (k, 0, i)), "whole axis"),
    (Sum(A[i, k], (k, 0, j - 1), (j, 0, n - 1)), "whole axis"),
    (Sum(x[k], (k, 0, n - 1)) + Sum(y[k], (k, 1, n)), "whole axis"),
    (Sum(x[k], (k, 0, n - 1), (k, 0, n - 1)), "whole axis"),
    (Sum(x[k], (k, 0, n - 1)) + Sum(x[k], (k, 0, m - 1)), "size of axis 1 of x"),
    (IndexedBase("x", shape=(n,))[i] * Sum(IndexedBase("x", shape=(n,))[k], (k, 0, m - 1)), "size of axis 1 of x"),
    (IndexedBase("x", shape=(n,))[i] * IndexedBase("y", shape=(m,))[i], "size of the index i"),
    (Sum(1, (k, 0, n - 1)), "No axis has the size n"),
    (Product(a, (k, 0, n - 1)) * x[i], "does not depend on k"),
    (Sum(k * x[k], (k, 0, n - 1)), "stands as a number"),
    (i * x[i], "stands as a number"),
    (q * a, "Idx"),
    (x[0], "in the place of an index"),
    (x[i + 1], "in the place of an index"),
    (KroneckerDelta(i, 0), "in the place of an index"),
    (KroneckerDelta(i, j, (0, n - 1)), "range of its own"),
    (MA * MB, "no form in the language"),
    (MA.T, "Transpose"),
    (sp.Trace(MA * MB), "Trace"),
    (sp.Inverse(sp.MatrixSymbol("A", n, n)), "Inverse"),
    (sp.ImmutableMatrix([[1]]), "ImmutableDenseMatrix"),
    (sp.Matrix([[1]]), "no expression of sympy"),
    ("A[i]", "no expression of sympy"),
    (x, "IndexedBase"),
    (Symbol("x_1") + Symbol("x1"), "Two things are called x1"),
    (Symbol("a") + a, "Two things are called a"),
    (Symbol("x_i"), "no name of the language"),
    (Symbol("a b"), "no name of the language"),
    (Symbol("exp"), "no name of the language"),
    (Symbol("pi"), "has its meaning"),
    (IndexedBase("delta")[i, j], "has its meaning"),
    (Function("2f")(a), "no function name"),
    (sp.Derivative(f(a), a), "Derivative"),
    (sp.Subs(sp.Derivative(f(a), a), a, 1), "Subs"),
    (sp.Integral(a, a), "Integral"),
    (sp.I * a, "ImaginaryUnit"),
    (sp.oo * a, "Infinity"),
    (sp.zoo, "ComplexInfinity"),
    (sp.gamma(a), "gamma"),
    (sp.S(10) ** 500 * a, "digits"),
    (Piecewise((a, a > 0)), "without a value"),
]


@pytest.mark.parametrize(("e", "words"), REFUSED, ids=[str(e) for e, _ in REFUSED])
def test_what_has_no_form_in_the_language(e: object, words: str) -> None:
    with pytest.raises(es.EinstanError) as caught:
        from_sympy(e)
    assert words in caught.value.message and caught.value.repair


def test_shared_parts_are_not_written_out_without_end() -> None:
    e = a
    for _ in range(20):
        e = sp.Add(sp.sin(e), sp.cos(e), evaluate=False)
    with pytest.raises(es.EinstanError, match="parts"):
        from_sympy(e)


# ---------------------------------------------------------------- there and back, every model


def round_trip(model: Model) -> None:
    """Every definition that sympy has a form for comes back as the same node; joins and inverses have none."""
    p = es.parse(model.text)
    for name, definition in p.checked.definitions.items():
        if any(has_no_form(e) for e in ast.postorder(definition.body)):
            with pytest.raises(es.EinstanError, match="has no form in sympy"):
                to_sympy(p.checked, name)
            continue
        text = text_of(to_sympy(p.checked, name), p.checked.labels)
        axes = [index.name for index in definition.target.indices or ()]
        back, want = simplify([in_axes(p, text, axes)])[0], simplify([in_order(p.bodies[name], range(len(axes)))])[0]
        assert back is want or stabilise([back])[0] is stabilise([want])[0], f"{name} = {text}"


def has_no_form(e: ast.Expr) -> bool:
    return isinstance(e, ast.Concat) or (isinstance(e, ast.Call) and e.name in MATRIX)


def in_axes(p: es.Program, text: str, axes: list[str]) -> Node:
    tree = p.expr(text).tree
    scope, _ = check_expression(tree, p.checked, text)
    value = lower_expr(p.checked, scope, tree, {}, tuple(axes))
    return in_order(value.node, [value.axes.index(axis) for axis in axes])


def in_order(node: Node, order: Any) -> Node:
    """The axes in this order, turned where they arise and not around sums and functions."""
    order = tuple(order)
    if isinstance(node, Add):
        return add([(c, in_order(o, order)) for c, o in node.terms], tuple(node.shape[n] for n in order))
    if isinstance(node, Call) and node.prim.entrywise:
        return call(node.prim, [in_order(o, order) for o in node.operands], node.params)
    turned = pattern(node, range(node.rank), order, {})
    inner = getattr(turned, "operands", ())
    if order == tuple(range(node.rank)) and len(inner) == 1 and getattr(turned, "is_pattern", False):
        own, out = turned.labels[0], turned.out
        if sorted(own) == sorted(out) and isinstance(inner[0], Add | Call):
            return in_order(inner[0], [own.index(label) for label in out])
    return turned


@pytest.mark.parametrize("model", [m for m in MODELS if "30" not in m.name], ids=lambda m: m.name)
def test_models_there_and_back(model: Model) -> None:
    round_trip(model)


@pytest.mark.slow
@pytest.mark.parametrize("model", [m for m in MODELS if "30" in m.name], ids=lambda m: m.name)
def test_long_models_there_and_back(model: Model) -> None:
    round_trip(model)


@pytest.mark.parametrize("word", sorted(WORDS))
def test_words_come_back_as_themselves(word: str) -> None:
    args = "x[i], y[i]" if word in ("max", "min") else "x[i]"
    assert text_of(sympy_of(f"s[i] = {word}({args})")) == f"{word}({args})"


def back_and_forth(seed: int) -> list[bool]:
    """For each definition that sympy has a form for: whether it computes the same once it is back."""
    drawn = program(seed)
    p, arrays = es.parse(drawn.text()), drawn.arrays(seed)
    functions = {"h": "tanh"} if "h" in p.checked.functions else None
    same = []
    for name, definition in p.checked.definitions.items():
        try:
            text = text_of(to_sympy(p.checked, name))
            q = es.parse(f"{p}\n{show_expr(ast.Tensor('back', definition.target.indices))} = {text}")
        except es.EinstanError:  # no form; or x/x and 0 x, which sympy makes 1 and 0, held the size of an axis
            continue
        got = q.compile([name, "back"], functions=functions)(arrays)
        scale = max(1.0, float(np.max(np.abs(got[name]), initial=0)))
        same.append(np.allclose(got["back"], got[name], rtol=0, atol=1e-10 * scale))
    return same


@pytest.mark.parametrize("seeds", [range(20), range(20, 40)], ids=str)
def test_random_programs_there_and_back(seeds: range) -> None:
    found = [same for seed in seeds for same in back_and_forth(seed)]
    assert all(found) and len(found) > len(seeds) // 2


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(n, n + 50) for n in range(1000, 1400, 50)], ids=str)
def test_many_random_programs_there_and_back(seeds: range) -> None:
    found = [same for seed in seeds for same in back_and_forth(seed)]
    assert all(found) and len(found) > len(seeds) // 2


# ---------------------------------------------------------------- values: sympy's meaning, evaluated plainly


PLAIN: dict[Any, Callable[[list[float]], float]] = {
    sp.Add: math.fsum,
    sp.Mul: math.prod,
    sp.Pow: lambda x: x[0] ** x[1],
    sp.tanh: lambda x: math.tanh(*x),
    sp.Abs: lambda x: abs(*x),
    sigmoid: lambda x: 1 / (1 + math.exp(-x[0])),
}


def plain(e: Any, arrays: Mapping[str, np.ndarray], at: Mapping[Any, int]) -> float:
    """The number that an expression is, its sizes given: sums term by term, functions by math."""
    match e:
        case Sum() | Product():
            (index, _, high), *rest = e.limits[::-1]
            inner = e.func(e.function, *rest[::-1]) if rest else e.function
            values = [plain(inner, arrays, {**at, index: t}) for t in range(int(high) + 1)]
            return math.fsum(values) if isinstance(e, Sum) else math.prod(values)
        case sp.Indexed():
            return float(arrays[e.base.name][tuple(at[index] for index in e.indices)])
        case KroneckerDelta():
            return float(at[e.args[0]] == at[e.args[1]])
        case sp.Symbol():
            return float(arrays[e.name])
        case sp.Number() | sp.NumberSymbol():
            return float(e)
    return PLAIN[e.func]([plain(part, arrays, at) for part in e.args])


SIZES = {"i": 2, "j": 3, "k": 5}
AXES = {"x": "i", "y": "j", "z": "k", "A": "ij", "B": "jk", "D": "ii", "a": ""}
DRAWN = np.random.default_rng(5)
ARRAYS = {name: DRAWN.uniform(0.3, 1.4, [SIZES[axis] for axis in axes]) for name, axes in AXES.items()}
LETTERS = {axis: sp.symbols(pair, integer=True) for axis, pair in zip(SIZES, ("i p", "j q", "k r"), strict=True)}
EXTENTS = {axis: Symbol(f"n_{axis}", integer=True, positive=True) for axis in SIZES}
VECTORS = {"i": "x", "j": "y", "k": "z"}


def draw(rng: random.Random, depth: int) -> sp.Expr:
    """An expression of any kind; an index symbol may be bound in one place and free in another."""
    kind = rng.choice(
        ["leaf", "add", "mul", "mul", "sum", "sum", "sum", "power", "call", "over"] if depth else ["leaf"]
    )
    if kind == "leaf":
        return leaf(rng, rng.choice([*AXES, "delta"]))
    parts = [draw(rng, depth - 1) for _ in range(rng.choice([2, 3]))]
    match kind:
        case "add":
            return sp.Add(*(rng.choice([-2, 1, Rational(1, 3)]) * part for part in parts))
        case "mul":
            return sp.Mul(*parts)
        case "sum":
            return summed(rng, sp.Mul(*parts))
        case "power":
            return (parts[0] ** 2 + 2) ** rng.choice([2, 3, Rational(1, 2), -1])
        case "over":
            return parts[0] / (parts[1] ** 2 + 1)
    return rng.choice([sp.tanh, sp.Abs, sigmoid])(parts[0] / 4)


def leaf(rng: random.Random, name: str) -> sp.Expr:
    if name == "delta":
        axis = rng.choice("ijk")
        return KroneckerDelta(*LETTERS[axis]) * IndexedBase(VECTORS[axis], real=True)[LETTERS[axis][0]]
    picked = tuple(rng.choice(LETTERS[axis]) for axis in AXES[name])
    return IndexedBase(name, real=True)[picked] if picked else a


def summed(rng: random.Random, body: sp.Expr) -> sp.Expr:
    """Σ body, where a vector in it has the size of each index."""
    limits = []
    for axis in rng.sample("ijk", rng.choice([1, 1, 2])):
        letter = rng.choice(LETTERS[axis])
        vector = IndexedBase(VECTORS[axis], real=True)[letter]
        body = body * vector if rng.random() < 0.7 else body + vector
        limits.append((letter, 0, EXTENTS[axis] - 1))
    return Sum(body, *limits)


@pytest.mark.parametrize("seed", range(60))
def test_random_expressions_keep_their_value(seed: int) -> None:
    keeps_its_value(draw(random.Random(seed), 2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_deep_expressions_keep_their_value(seed: int) -> None:
    keeps_its_value(draw(random.Random(seed), 3))


def keeps_its_value(e: sp.Expr) -> None:
    """Read, and compiled: the entries that the meaning of sympy gives, whatever is bound and shadowed."""
    free = sorted({s for s in e.free_symbols if any(s in pair for pair in LETTERS.values())}, key=str)
    target = f"result[{','.join(map(str, free))}]" if free else "result"
    p = es.parse(f"{target} = {text_of(e)}")
    got = p.run("result", **{name: ARRAYS[name] for name in p.inputs})
    sized = e.xreplace({EXTENTS[axis]: sp.Integer(size) for axis, size in SIZES.items()})
    for place in np.ndindex(got.shape):
        want = plain(sized, ARRAYS, dict(zip(free, place, strict=True)))
        assert got[place] == pytest.approx(want, rel=1e-10, abs=1e-12)


# ---------------------------------------------------------------- sympy's own doit and diff against kernels

SCALARS = [
    "L = (A[I,J] y[J] - x[I]) (A[I,J] y[J] - x[I]) + a^2",
    "L = sum[i](logsumexp[j](A[i,j] y[j]) x[i]^2) / 3",
    "L = sum[i](softplus(x[i]) sigmoid(D[i,i]) log_softmax[i](x[i]))",
    "L = norm[i](x[i]) mean[j](tanh(y[j] a)) + prod[k](z[k]) |k|",
    "L = sum[i](A[i,J] B[J,K] z[K] x[i] / (1 + D[i,i]))",
    "L = sum[i,p](delta[i,p] x[i] exp(x[p] a) gelu(D[i,p]))",
]


def spelled_out(e: sp.Expr) -> sp.Expr:
    """With sums as their terms."""
    return e.subs({EXTENTS[axis]: size for axis, size in SIZES.items()}).doit()


def number(e: sp.Expr) -> float:
    """With the arrays' entries put in."""
    entries = {t: ARRAYS[t.base.name][tuple(map(int, t.indices))] for t in e.atoms(sp.Indexed)}
    return float(sp.N(e.subs(entries | {a: float(ARRAYS["a"])})))


@pytest.mark.parametrize("text", SCALARS)
def test_values_and_gradients_are_those_of_sympy(text: str) -> None:
    p = es.parse(text)
    e = spelled_out(sympy_of(text))
    arrays = {name: ARRAYS[name] for name in p.inputs}
    value, slopes = p.value_and_grad("L", list(p.inputs)).run(**arrays)
    assert float(value) == pytest.approx(number(e), rel=1e-12)
    for name, slope in slopes.items():
        for place in np.ndindex(slope.shape):
            entry = IndexedBase(name, real=True)[place] if place else a
            assert slope[place] == pytest.approx(number(e.diff(entry)), rel=1e-11)


@pytest.mark.parametrize("word", sorted(WORDS.keys() - {"max", "min"}))
def test_derivatives_of_words_are_those_of_sympy(word: str) -> None:
    """To third order, on both sides of a kink."""
    points = np.array([-0.8, -0.3, 0.2, 0.7]) + (1 if word in ("log", "log1p") else 0)
    for order in range(4):
        got = es.parse(f"y[i] = {word}{chr(39) * order}(x[i])").run("y", x=points)
        slope = WORDS[word](a).diff(a, order)
        assert not slope.has(sp.Derivative, sp.Subs)
        for point, value in zip(points, got, strict=True):
            want = sp.N(slope.subs(sp.DiracDelta(a), 0).subs(a, sp.Float(float(point), 30)).doit(), 20)
            assert value == pytest.approx(float(want), rel=1e-11, abs=1e-13)
