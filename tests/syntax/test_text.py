"""The canonical text: what it looks like, and that it reads back as the same structure."""

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import einstan as es
from einstan.show.text import show_expr, show_module, show_statement
from einstan.syntax import ast
from einstan.syntax.parser import parse_expression, parse_module


def structure(node):
    """The node without its spans, in nested tuples."""
    if isinstance(node, tuple):
        return tuple(structure(k) for k in node)
    if dataclasses.is_dataclass(node):
        fields = [f.name for f in dataclasses.fields(node) if f.name not in ("span", "name_span", "source")]
        return (type(node).__name__, *(structure(getattr(node, name)) for name in fields))
    return node


CANONICAL = [
    ("X_{b,K}W_{K,j}+c_j", "X[b,K] W[K,j] + c[j]"),
    ("(Y[B,J]-T[B,J])²", "(Y[B,J] - T[B,J])^2"),
    (r"\mathbb{1}_B", "1[B]"),
    (r"\frac{\partial L}{\partial W_{k,j}}", "∂L/∂W[k,j]"),
    (r"\frac{\partial^2 L}{\partial w_i \partial w_j}", "∂²L/∂w[i]∂w[j]"),
    ("a/b", "a / b"),
    ("∑_k x_k y_k", "sum[k](x[k] y[k])"),
    ("[h[b,K],x[b,K]]_K", "[h[b,K], x[b,K]]_K"),
    (r"[h_K, x_K]_{\mathrm{abc}}", r"[h[K], x[K]]_{\mathrm{abc}}"),
    ("W[j, k=0:2]", "W[j,k=0:2]"),
    ("W[k=size(h,2) : size(h,2) + size(x,2)]", "W[k=size(h,2):size(h,2)+size(x,2)]"),
    ("0.5 x", "0.5 x"),
    ("1e-3 x", "0.001 x"),
    ("1e300 x", "1e300 x"),
    ("0.50", "0.5"),
    ("1/3 x", "1 / 3 x"),
    ("x * 2", "x * 2"),
    ("x * 2^y", "x * 2^y"),
    ("x (2)", "x * 2"),
    ("-x^2", "-x^2"),
    ("x^-1", "x^-1"),
    ("2^-x", "2^(-x)"),
    ("2^3^x", "2^3^x"),
    ("(2^3)^x", "(2^3)^x"),
    ("a b ⊙ c", "a b ⊙ c"),
    ("(a ⊙ b) c", "(a ⊙ b) c"),
    ("a<b", "a < b"),
    ("|K|x", "|K| x"),
    ("ln(x)", "log(x)"),
    ("f'[2](a,b)", "f'[2](a, b)"),
    ("δ_{ij}", "delta[i,j]"),
    ("π", "pi"),
    ("X[:,:]", "X[:]"),
    (r"\hat X^{(m)}_j", r"\hat{X}^{(m)}[j]"),
    ("σ * (x)", "σ * x"),
    ("σ * (x + y)", "σ * (x + y)"),
    (r"\frac{a+b}{c}^2", "((a + b) / c)^2"),
    ("(∂L/∂x)^2", "(∂L/∂x)^2"),
    ("∂(a b)/∂x", "∂(a b)/∂x"),
    ("max[k](x[k])", "max[k](x[k])"),
]


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_canonical(text, canonical):
    e = parse_expression(text)
    assert show_expr(e) == canonical
    assert structure(parse_expression(canonical)) == structure(e)


STATEMENTS = [
    ("Z_{b,j}=a", "Z[b,j] = a"),
    ("Z[i] = a = b", "Z[i] = a\nclaim Z[i] = b"),
    ("claim -x = y", "claim -x = y"),
    ("claim claim x = y", "claim claim x = y"),
    ("∂L/∂x = y = z", "∂L/∂x = y = z"),
    ("fact T[n,C]1[C]=1[n]", "fact T[n,C] 1[C] = 1[n]"),
    ("size n=5", "size n = 5"),
    ("y = σ_m'(Z)\nlabel m", "y = σ'_m(Z)\nlabel m"),
    ("W_{f,g} = 1; label f,g", "W_{f,g} = 1\nlabel f, g"),
    ("a = b\n + c # note\nd = e", "a = b + c\nd = e"),
]


@pytest.mark.parametrize(("text", "canonical"), STATEMENTS)
def test_statements(text, canonical):
    module = parse_module(text)
    assert show_module(module) == canonical
    assert structure(parse_module(canonical).statements) == structure(module.statements)


def test_given_labels_are_shown():
    module = parse_module("W_f = 1", labels="f")
    assert show_module(module) == "label f\nW_f = 1"
    assert show_statement(module.statements[1]) == "W_f = 1"


NUMBERS = ["1", "0.1", "0.001", "-2", "1/3", "-1/3", "1e30", "1e-30", "123456789.25", "2/7"]
LONG = [Fraction(*pair) for pair in [(10**400, 1), (-(10**400), 3), (1, 10**400), (1, 2**1328), (7**400, 2**400)]]


@pytest.mark.parametrize("value", LONG)
def test_long_numbers_are_read_again(value):
    p = es.program(y=es.tensors("x") * value, z=es.tensors("x") ** value)
    assert es.parse(str(p)) == p
    assert es.parse(p.latex()) == p


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_keep_their_value(text):
    """A Number of any value, as the Python front end makes them, reads back with that value."""
    number = ast.Number(Fraction(text))
    x = ast.Tensor("x")
    places = [
        number,
        ast.Product((number, x), (False, False)),
        ast.Product((x, number), (False, False)),
        ast.Product((x, number), (False, True)),
        ast.Power(number, x),
        ast.Power(x, number),
        ast.Sum((x, number), (1, -1)),
    ]
    for e in places:
        assert value(parse_expression(show_expr(e))) == pytest.approx(value(e), rel=1e-12)


def value(e, x=1.5):
    match e:
        case ast.Number():
            return float(e.value)
        case ast.Tensor():
            return x
        case ast.Group():
            return value(e.body)
        case ast.Sum():
            return sum(s * value(k) for k, s in zip(e.terms, e.signs, strict=True))
        case ast.Power():
            base, exponent = value(e.base), value(e.exponent)
            try:
                return abs(base) ** exponent
            except OverflowError:
                return float("inf")
        case ast.Product():
            result = 1.0
            for k, over in zip(e.factors, e.divides, strict=True):
                result = result / value(k) if over else result * value(k)
            return result
    raise AssertionError(e)


def trees():
    """Random trees, with and without brackets where the grammar needs them."""
    index = st.sampled_from(["i", "j", "K", "N1", "k'"]).map(ast.Index)
    names = st.sampled_from(["x", "W'", "X^{(m)}", "\\hat{X}", "σ", "d", "e"])
    tensor = st.builds(ast.Tensor, names, st.lists(index, max_size=3).map(tuple))
    number = st.sampled_from(["2", "0.5", "1e-3"]).map(lambda t: ast.Number(Fraction(t)))
    leaf = tensor | number | st.builds(ast.Filled, st.sampled_from([0, 1]), st.tuples(index))

    def grow(inner):
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(
            several.flatmap(lambda ks: st.builds(ast.Product, st.just(ks), flags(len(ks)))),
            several.map(ast.Odot),
            several.flatmap(lambda ks: st.builds(ast.Sum, st.just(ks), signs(len(ks)))),
            st.builds(ast.Power, inner, inner),
            st.builds(ast.Compare, st.sampled_from(["<", "=="]), inner, inner),
            st.builds(ast.Call, st.sampled_from(["exp", "f"]), st.tuples(inner)),
            st.builds(ast.Call, st.just("sum"), st.tuples(inner), st.tuples(index)),
            st.builds(ast.Concat, several, index),
            st.builds(ast.Group, inner),
            st.builds(ast.Derivative, tensor, st.tuples(tensor)),
        )

    return st.recursive(leaf, grow, max_leaves=12)


def flags(count):
    return st.tuples(st.just(False), *[st.booleans()] * (count - 1))


def signs(count):
    return st.tuples(*[st.sampled_from([1, -1])] * count)


@given(trees())
def test_the_text_is_a_fixed_point(tree):
    """What is shown parses; what is parsed shows the same text and has the same structure."""
    read = parse_expression(show_expr(tree))
    text = show_expr(read)
    again = parse_expression(text)
    assert show_expr(again) == text
    assert structure(again) == structure(read)


def test_growth():
    for text in ("f(" * 1_000 + "x + 1" + ")" * 1_000, " + ".join(["x"] * 50_000), "^".join(["x"] * 20_000)):
        assert show_expr(parse_expression(text)) == text
