"""The structure of a text, as its canonical text with all brackets; what is refused and where."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einstan.errors import EinstanError, EinstanNameError, EinstanSyntaxError
from einstan.syntax import ast
from einstan.syntax.parser import parse_expression, parse_module


def tree(e):
    """A short prefix notation: `(+ a -b)`."""
    match e:
        case ast.Number():
            return str(e.value)
        case ast.Tensor() if e.indices is None:
            return f"{e.name}[:]"
        case ast.Tensor():
            return e.name + letters(e.indices)
        case ast.Filled():
            return f"{e.value}{letters(e.indices)}"
        case ast.Extent():
            return f"|{e.name}|" if e.axis is None else f"size({e.name},{e.axis})"
        case ast.Call():
            slot = "".join(f"@{n}" for n in e.slots)
            return f"{e.name}{chr(39) * e.primes}{slot}{letters(e.along or ())}({', '.join(map(tree, e.args))})"
        case ast.Product():
            return "(" + " ".join("/" * d + tree(k) for k, d in zip(e.factors, e.divides, strict=True)) + ")"
        case ast.Odot():
            return "(⊙ " + " ".join(map(tree, e.factors)) + ")"
        case ast.Sum():
            return "(+ " + " ".join("-" * (s < 0) + tree(k) for k, s in zip(e.terms, e.signs, strict=True)) + ")"
        case ast.Power():
            return f"(^ {tree(e.base)} {tree(e.exponent)})"
        case ast.Compare():
            return f"({e.op} {tree(e.left)} {tree(e.right)})"
        case ast.Concat():
            return f"[{', '.join(map(tree, e.parts))}]_{e.index.name}"
        case ast.Group():
            return f"{{{tree(e.body)}}}"
        case ast.Derivative():
            return f"d({tree(e.numerator)})/" + ",".join(map(tree, e.denominators))
    raise AssertionError(e)


def letters(indices):
    def one(i):
        return i.name if i.low is None else f"{i.name}={tree(i.low)}:{tree(i.high)}"

    return f"[{','.join(map(one, indices))}]" if indices else ""


EXPRESSIONS = [
    ("X_{b,K}", "X[b,K]"),
    ("c_j c_{j} c[j]", "(c[j] c[j] c[j])"),
    ("A_{ij}", "A[i,j]"),
    ("A_{i_1 j'}", "A[i1,j']"),
    ("X[batch, Head]", "X[batch,Head]"),
    (r"X_{\mathrm{class}}", "X[class]"),
    ("A_{i,K}b_K", "(A[i,K] b[K])"),
    ("u_iv_i", "(u[i] v[i])"),
    ("X^{(m)}_{i,K}", "X^{(m)}[i,K]"),
    ("Z_{i,j}^{(m-1)}", "Z^{(m-1)}[i,j]"),
    (r"\hat{X}_{ij}", r"\hat{X}[i,j]"),
    ("W'[i] W1", "(W'[i] W1)"),
    ("x₁ᵢ", "x1[i]"),
    ("-x^2", "(+ -(^ x 2))"),
    ("x^2 y", "((^ x 2) y)"),
    ("2^3^x", "(^ 2 (^ 3 x))"),
    ("x^-1", "(^ x -1)"),
    ("2^-x[i]", "(^ 2 {(+ -x[i])})"),
    ("x[i]²", "(^ x[i] 2)"),
    ("x^{2}", "(^ x 2)"),
    ("2x", "(2 x)"),
    ("x * 2", "(x 2)"),
    ("a / b c", "(a /b c)"),
    ("a b + c d - e", "(+ (a b) (c d) -e)"),
    ("-a b + c", "(+ -(a b) c)"),
    ("a - -b", "(+ a b)"),
    ("a * -b c", "(a {(+ -b)} c)"),
    ("a b ⊙ c d", "(⊙ (a b) (c d))"),
    ("a ⊙ b + c", "(+ (⊙ a b) c)"),
    ("a + b < c d", "(< (+ a b) (c d))"),
    ("2e x", "(2 e x)"),
    ("0.5 * 1e-3", "(1/2 1/1000)"),
    ("1/3", "(1 /3)"),
    ("1[K] 0[i,j]", "(1[K] 0[i,j])"),
    (r"\mathbb{1}_K (1)_A", "(1[K] 1[A])"),
    ("δ_{i,j} δ_{ij} delta[i,j] δ_i", "(delta[i,j] delta[i,j] delta[i,j] δ[i])"),
    (r"\delta_{ij}", "delta[i,j]"),
    ("pi π π[k]", "(pi pi π[k])"),
    ("|K| size(h,2)", "(|K| size(h,1))"),
    ("f(x) f (x)", "(f(x) f x)"),
    ("f ( x + y )", "(f {(+ x y)})"),
    ("tanh (x)", "tanh(x)"),
    ("σ(x) σ ln(x)", "(sigmoid(x) σ log(x))"),
    (r"\sigma(x) \sqrt{x} \tanh \left( x \right)", "(sigmoid(x) sqrt(x) tanh(x))"),
    ("f'(x) f''(x) f'[2](a,b) tanh'(x)", "(f'(x) f''(x) f'@1(a, b) tanh'(x))"),
    ("softmax[k](z[i,k])", "softmax[k](z[i,k])"),
    (r"\max_k(x_k) max(a, b)", "(max[k](x[k]) max(a, b))"),
    ("f[j](Z[i,K])", "f[j](Z[i,K])"),
    ("loss(X[:], Y[:,:])", "loss(X[:], Y[:])"),
    ("sum[i,j](A[i,j])", "sum[i,j](A[i,j])"),
    (r"2 \sum_i x_i y_i + b", "(+ (2 sum[i]((x[i] y[i]))) b)"),
    (r"\sum_{ij} A_{ij}", "sum[i,j](A[i,j])"),
    (r"\sum_{i,j} A_{ij}", "sum[i,j](A[i,j])"),
    (r"\sum_{v \in V} x_v", "sum[v](x[v])"),
    (r"\sum_{i=1}^{n} u_i v_i", "sum[i]((u[i] v[i]))"),
    ("∑_i ∑_j A_{ij}", "sum[i](sum[j](A[i,j]))"),
    ("W[j,K] [h[b,K], x[b,K]]_K", "(W[j,K] [h[b,K], x[b,K]]_K)"),
    ("W_{j,K}[h_K, x_K]_K", "(W[j,K] [h[K], x[K]]_K)"),
    ("W[j, k=0:2]", "W[j,k=0:2]"),
    ("W[k=size(h,2):size(h,2)+size(x,2)]", "W[k=size(h,1):(+ size(h,1) size(x,1))]"),
    ("∂L/∂W[k,j]", "d(L)/W[k,j]"),
    ("d(L)/d(W[k,j])", "d(L)/W[k,j]"),
    (r"\frac{\partial L}{\partial W_{k,j}}", "d(L)/W[k,j]"),
    (r"\frac{dL}{dW_{k,j}}", "d(L)/W[k,j]"),
    (r"\frac{\partial^2 L}{\partial w_i \partial w_j}", "d(L)/w[i],w[j]"),
    ("∂²L/∂w[i]∂w[j]", "d(L)/w[i],w[j]"),
    ("∂^2 L/∂w[i] ∂w[j]", "d(L)/w[i],w[j]"),
    ("∂L/∂Z[A,B] ∂Z[A,B]/∂W[i,j]", "(d(L)/Z[A,B] d(Z[A,B])/W[i,j])"),
    ("∂(a b)/∂x", "d({(a b)})/x"),
    ("∂L/∂x / 2", "(d(L)/x /2)"),
    (r"\frac{a}{b} c", "(a /b c)"),
    (r"\frac{a + b}{c}^2", "(^ {({(+ a b)} /c)} 2)"),
    (r"1 / \frac{a}{b}", "(1 /{(a /b)})"),
    (r"\frac{∂L/∂x + 1}{2}", "({(+ d(L)/x 1)} /2)"),
    ("(A[I,I])^2", "(^ {A[I,I]} 2)"),
    ("((x))", "x"),
    ("{a + b} c", "({(+ a b)} c)"),
]


@pytest.mark.parametrize(("text", "expected"), EXPRESSIONS)
def test_expressions(text, expected):
    assert tree(parse_expression(text)) == expected


LABELS = [
    ("W_f[j,K] h_g", "(W_f[j,K] h_g)"),
    ("W_{f} W_{fg} x_{f,g}", "(W_f W_{fg} x_{f,g})"),
    (r"\sigma_f(Z) \sigma'_f(Z) \sigma_f'(Z)", "(σ_f(Z) σ_f'(Z) σ_f'(Z))"),
    ("h_g^{(T)}", "h_g^{(T)}"),
    ("x_i", "x[i]"),
]


@pytest.mark.parametrize(("text", "expected"), LABELS)
def test_labels(text, expected):
    assert tree(parse_expression(text, labels="fg")) == expected
    (later,) = [s for s in parse_module(f"y = {text}\nlabel f, g").statements if isinstance(s, ast.Definition)]
    assert tree(later.body) == expected


def shape(s):
    match s:
        case ast.Definition():
            return f"def {tree(s.target)} := {tree(s.body)}"
        case ast.Claim():
            return "claim " + " = ".join(map(tree, s.forms))
        case ast.Fact():
            return f"fact {tree(s.left)} = {tree(s.right)}"
        case ast.SizeIs():
            return f"size {s.index.name} {s.value}"
        case ast.Label():
            return f"label {' '.join(s.letters)}"


STATEMENTS = [
    ("Z[b,j] = X[b,K] W[K,j]", ["def Z[b,j] := (X[b,K] W[K,j])"]),
    ("Z[i] = a = b = c", ["def Z[i] := a", "claim Z[i] = b = c"]),
    ("claim u[I] v[I] = sum[i](u[i] v[i])", ["claim (u[I] v[I]) = sum[i]((u[i] v[i]))"]),
    ("claim Z = b", ["claim Z = b"]),
    ("claim -x = y", ["claim (+ -x) = y"]),
    ("claim ∂L/∂x = y", ["claim d(L)/x = y"]),
    ("∂L/∂x = y = z", ["claim d(L)/x = y = z"]),
    ("a b = c", ["claim (a b) = c"]),
    ("fact T[n,C] 1[C] = 1[n]", ["fact (T[n,C] 1[C]) = 1[n]"]),
    ("size n = 5", ["size n 5"]),
    ("label f, g, m", ["label f g m"]),
    ("label = 3; fact[i] = x[i]", ["def label := 3", "def fact[i] := x[i]"]),
    ("a = b\n\n# note\nc = d;e = f", ["def a := b", "def c := d", "def e := f"]),
    ("Z_{i,j}^{(m)} = X_{i,K}^{(m-1)} W_{K,j}^{(m)} + b_j^{(m)}",
     ["def Z^{(m)}[i,j] := (+ (X^{(m-1)}[i,K] W^{(m)}[K,j]) b^{(m)}[j])"]),
    ("", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), STATEMENTS)
def test_statements(text, expected):
    assert [shape(s) for s in parse_module(text).statements] == expected


ERRORS = [
    # text, words of the sentences, places of the carets
    ("x + y", "no `=`", ["x + y"]),
    ("y = x 2", "bare number", ["2"]),
    ("y = 2 3", "bare number", ["3"]),
    ("y = |x[i]|", "abs(...)", ["|"]),
    ("y = |x + y|", "abs(...)", ["|"]),
    ("y = exp x", "needs brackets", ["exp"]),
    ("y = max[k]", "needs brackets", ["max[k]"]),
    ("size = 3", "reserved", ["size"]),
    ("h[t,b] = h[t-1,b]", "not built yet", ["t", "-"]),
    ("h_t = h_{t-1}", "not built yet", ["t", "-"]),
    ("h[0,b] = g[b]", "not built yet", ["0"]),
    ("L = h[end,b]", "not built yet", ["end"]),
    ("y = x[2]", "k=2:3", ["2"]),
    ("y = E[tok[b,t],d]", "holds an expression", ["tok"]),
    ("y = x[i][j]", "two index lists", ["x[i]", "["]),
    ("y = x_i_j", "two index lists", ["x_i", "_"]),
    ("y = x [i]", "leave no space", ["[i]"]),
    ("y = [h[K], x[K]]", "[h[K], x[K]]_K", ["[h[K], x[K]]"]),
    ("y = A_ij", "_{ij}", ["ij"]),
    ("y = (a", "never closed", ["("]),
    ("y = a)", "not expected", [")", "y"]),
    ("y = (a]", "not closed by )", ["(", "]"]),
    ("y =", "a formula is missing", [""]),
    ("y = a +", "a formula is missing", [""]),
    ("y = a < b < c", "not chained", ["<", "<"]),
    ("y = ∂L", "denominator", ["∂", ""]),
    ("y = ∂²L/∂w[i]", "as many ∂name", [""]),
    ("y = ∂L/∂x^2", "brackets", ["^"]),
    ("y = ∂f(x)/∂x", "brackets", ["f"]),
    ("y = 2[k]", "Only 1 and 0", ["2"]),
    ("y = sum_{i=0}^n x_i", "", None),
    (r"y = \sum_{i=2}^n x_i", "whole axis", ["\\sum", "2"]),
    ("y = ∑ x", "says its index", ["∑", "x"]),
    ("label f\ny = x[f]", "declared a label", ["f"]),
    ("label f\ny[j] = W_{f,jK} x[K]", "follow it: W_f[j,K]", ["f"]),
    ("y[j] = W_f[j,K] x[K]", "write `label f`", ["[j,K]"]),
    ("y[j] = W_{fg}[j,K] x[K]", "write `label f, g`", ["[j,K]"]),
    ("y = pi(x)", "pi is a number", ["pi"]),
    ("size n = 2.5", "whole number", ["2.5"]),
    ("fact a = b = c", "two sides", ["fact a = b = c"]),
    ("y = size(h)", "missing", [")"]),
    ("y = x[i", "never closed", ["["]),
    ("y = W[k=0]", "k=0:2", ["]"]),
]


@pytest.mark.parametrize(("text", "said", "places"), ERRORS)
def test_errors(text, said, places):
    with pytest.raises(EinstanSyntaxError) as caught:
        parse_module(text)
    error = caught.value
    assert said in str(error)
    assert error.repair
    assert error.source == text
    if places is not None:
        assert sorted(text[s.start : s.end] for s in error.spans) == sorted(places)


def test_bold_and_plain():
    with pytest.raises(EinstanNameError, match="both bold and plain"):
        parse_module(r"y = x + \mathbf{x}")


def test_expression_is_one_expression():
    for text in ("a = b", "a; b", "a b)"):
        with pytest.raises(EinstanSyntaxError):
            parse_expression(text)


GROWTH = [
    "\n".join(f"z{i}[b,j] = tanh(z{i + 1}[b,K] w{i}[K,j])" for i in range(10_000)),
    "y = " + " ".join(f"A{i}[k{i},k{i + 1}]" for i in range(5_000)),
    "y = " + " + ".join(["x"] * 100_000),
    "y = " + " ".join(["x"] * 100_000),
    "y = " + "(" * 1_000 + "x" + ")" * 1_000,
    "y = " + "f(" * 999 + "x" + ")" * 999,
    "y = " + "^".join(["x"] * 50_000),
    "y = " + "-" * 50_000 + "x",
    "y = " + "∑_i " * 20_000 + "x_i",
]


@pytest.mark.parametrize("text", GROWTH, ids=range(len(GROWTH)))
def test_growth(text):
    assert parse_module(text).statements


def test_depth_from_a_deep_stack():
    def descend(levels):
        if levels:
            return descend(levels - 1)
        return parse_expression("(" * 1_000 + "x" + ")" * 1_000)

    frame, used = sys._getframe(), 0
    while frame := frame.f_back:
        used += 1
    assert descend(sys.getrecursionlimit() - used - 60)


SOUP = (
    "x X f i K 2 0.5 1 [ ] ( ) { } , + - * / ^ = == < _ ' | : ⊙ ∂ ∑ δ σ "
    "\\frac \\sum \\sigma \\hat{x} _{ ^{( )} sum exp size label d end claim"
).split()


def refusal(text):
    """The error that the text raises, if it does not parse."""
    try:
        parse_module(text)
    except EinstanError as error:
        return error
    return None


def is_placed(error):
    return error is None or (error.spans and len(str(error)) < 2_000)


@given(st.lists(st.sampled_from([*SOUP, " ", " ", "\n", ";"]), max_size=30).map("".join))
def test_any_text_parses_or_is_refused_with_a_place(text):
    assert is_placed(refusal(text))


@given(st.text(max_size=40))
def test_any_characters(text):
    assert is_placed(refusal(text))
