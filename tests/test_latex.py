"""LaTeX out: text -> program -> LaTeX -> program -> text is the identity; what it looks like."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given

import einstan as es
from einstan.show.latex import latex_expr, latex_module
from einstan.show.text import show_expr, show_module
from einstan.syntax import ast
from einstan.syntax.parser import parse_expression, parse_module

from .models import MODELS, Model, every_model
from .random_programs import program
from .syntax.test_parser import EXPRESSIONS, LABELS
from .syntax.test_parser import STATEMENTS as PARSED
from .syntax.test_text import CANONICAL, STATEMENTS, trees

README = Path(__file__).parent.parent / "README.md"


def assert_identity(module: ast.Module) -> None:
    text = show_module(module)
    assert show_module(parse_module(latex_module(module))) == text


def assert_identity_of_program(text: str) -> None:
    p = es.parse(text)
    back = es.parse(p.latex())
    assert back == p
    assert str(back) == str(p)


# ---------------------------------------------------------------- the identity

SMALL = [m for m in MODELS if "20" not in m.name and "30" not in m.name]


@every_model
def test_models(model: Model) -> None:
    assert_identity_of_program(model.text)


@pytest.mark.parametrize("model", SMALL, ids=lambda m: m.name)
def test_gradients_of_models(model: Model) -> None:
    p = es.parse(model.text)
    g = p.grad(model.of, list(model.wrt))
    read, back = es.parse(f"{p}\n{g}"), es.parse(f"{p.latex()}\n{g.latex()}")
    assert back == read == g
    assert str(back) == str(read)


def readme_programs() -> list[str]:
    blocks = re.findall(r'parse\("{3}(.*?)"{3}', README.read_text(encoding="utf-8"), re.DOTALL)
    return [block.replace("...", "") for block in blocks]


def test_readme() -> None:
    assert readme_programs()
    for text in readme_programs():
        assert_identity_of_program(text)


NOTATION = [
    *(text for text, _ in EXPRESSIONS),
    *(text for text, _ in CANONICAL),
    "sum[k]((x[k] + y[k])) z", "(sum[k](x[k])) z + prod[k](x[k])", "a sum[k](x[k]) ⊙ c", "f (x + y) + x (y z)",
    "(W'[i])^2 + X^{(m)}[i,i]^2 + (X^{(m)}[i,i])^2 + (x')^y", "(a b) / (c d) e / f / g", "A[I,I] / b", "b / (A[I,I])",
    "(x^2) / y", "x^2 / y^3 z", "x^(-1) + x^-1 + x^(y) + x^(y z) + x^A[i,i]", "dx / dy + (d x) / (d y) + d / dx",
    "(d^2 x) / (dy dz)", "f'[2](a, b) + f''(x) + max'[1](a, 3) + sqrt'(x) + softmax'[k](x[k])", "|batch| + |K| + |i1|",
    "W[j,k=0:2] + W[k=size(h,2):size(h,2)+size(X^{(m)},2)]", "x[batch,i1,k',α,i1'] + loss[batch] + θ1[θ]",
    "σ * (x + y)", "delta[i] + δ[i] + delta[i,j] + pi + π[k]", "norm[k](x[k]) + log_softmax[k](x[k]) + ln(x) + asin(x)",
    "[a[K] + b[K], x[K]]_K [h[batch], h[batch]]_{\\mathrm{batch}}", "∂(a b)/∂x + ∂²L/∂w[i]∂w[j] + (∂L/∂x)^2 / ∂L/∂y",
    "1e300 x + 0.1^x + x * 2^y + 2 * 3", "a < b + (c >= d) + (a == b)", "-(-x) - (a - b) + (-2) x + x^(y^z)",
]  # fmt: skip


@pytest.mark.parametrize("text", NOTATION)
def test_expressions(text: str) -> None:
    e = parse_expression(text)
    assert show_expr(parse_expression(latex_expr(e))) == show_expr(e)


@pytest.mark.parametrize("text", [*(t for t, _ in STATEMENTS), *(t for t, _ in PARSED), *(t for t, _ in LABELS)])
def test_statements(text: str) -> None:
    labelled = text if "=" in text or not text or "label" in text else f"label f, g\ny = {text}"
    assert_identity(parse_module(labelled))


@given(trees())
def test_any_tree(tree: ast.Expr) -> None:
    e = parse_expression(show_expr(tree))
    assert show_expr(parse_expression(latex_expr(e))) == show_expr(e)


@pytest.mark.parametrize("seed", range(200))
def test_random_programs(seed: int) -> None:
    module = parse_module(program(seed, depth=1 + seed % 3).text())
    assert_identity(module)
    if seed % 10 == 0:
        assert_identity_of_program(show_module(module))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(200, 10_200, 500))
def test_many_random_programs(first: int) -> None:
    for seed in range(first, first + 500):
        assert_identity(parse_module(program(seed, depth=3).text()))


# ---------------------------------------------------------------- what it looks like

WRITTEN = [
    ("X[b,K] W[K,j] + c[j]", "X_{b,K} W_{K,j} + c_{j}"),
    ("∂L/∂W[k,j]", r"\frac{\partial L}{\partial W_{k,j}}"),
    ("∂²L/∂w[i]∂w[j]", r"\frac{\partial^{2} L}{\partial w_{i} \partial w_{j}}"),
    ("tanh(sum[v](sigmoid(a[v]) ⊙ b[v]))", r"\tanh\left(\sum_{v} \sigma(a_{v}) \odot b_{v}\right)"),
    ("exp(z[i]) / sum[k](exp(z[k]))", r"\frac{\exp(z_{i})}{\sum_{k} \exp(z_{k})}"),
    ("Q[n,A] R[m,A] / sqrt(|A|)", r"Q_{n,A} R_{m,A} / \sqrt{\left|A\right|}"),
    ("1 / 2 (x + y)", r"\frac{1}{2} (x + y)"),
    ("g[k] (x[k] - m)", r"g_{k} \, (x_{k} - m)"),
    ("W_f[j,K] [h[K], x[K]]_K", r"W_{f}{}_{j,K} \, [h_{K}, x_{K}]_{K}"),
    ("X^{(m)}[i,j]^2", "(X^{(m)}_{i,j})^{2}"),
    ("1[K] + 0[i,j] + delta[i,j]", r"\mathbb{1}_{K} + \mathbf{0}_{i,j} + \delta_{i,j}"),
    ("loss(X[:]) W1[batch,i1]", r"\operatorname{loss}(X[:]) \mathrm{W1}_{\mathrm{batch},i_{1}}"),
    ("x[i" + "1" * 400 + "]", rf"x_{{i_{{{'1' * 400}}}}}"),
    ("x[i" + "1" * 401 + "]", rf"x_{{\mathrm{{i{'1' * 401}}}}}"),
    ("\\hat{θ}[i] log_softmax[C](Z[C])", r"\hat{\theta}_{i} \operatorname{log\_softmax}_{C}(Z_{C})"),
    ("σ + sigmoid(x)", r"\sigma + \operatorname{sigmoid}(x)"),
]


@pytest.mark.parametrize(("text", "latex"), WRITTEN)
def test_written(text: str, latex: str) -> None:
    assert latex_expr(parse_expression(text, labels="f")) == latex


def test_align() -> None:
    p = es.parse("label m\nfact T[n,C] 1[C] = 1[n]\nsize n = 5\nZ[n] = σ_m(T[n,C] c[C])\nL = Z[N] Z[N]\nclaim L = 0")
    assert p.latex() == "\n".join([
        r"\begin{align}",
        r"\text{label}\ m \\",
        r"\text{fact}\ T_{n,C} \mathbb{1}_{C} &= \mathbb{1}_{n} \\",
        r"\text{size}\ n &= 5 \\",
        r"Z_{n} &= \sigma_{m}(T_{n,C} c_{C}) \\",
        r"L &= Z_{N} Z_{N} \\",
        r"\text{claim}\ L &= 0",
        r"\end{align}",
    ])  # fmt: skip


WRITABLE = (
    "begin end text mathrm operatorname mathbb mathbf hat tanh exp log sin cos tan sinh cosh max min "
    "arcsin arccos arctan sqrt frac partial sum prod odot cdot sigma delta pi left right le ge det"
)


def test_only_closed_vocabulary_comes_out() -> None:
    """Every command that any model or random program writes is in this list; no raw character of TeX is."""
    written = [latex_module(parse_module(m.text)) for m in MODELS]
    written += [latex_module(parse_module(program(seed).text())) for seed in range(50)]
    commands = {c for text in written for c in re.findall(r"\\[a-zA-Z]+", text)}
    assert commands <= {f"\\{word}" for word in WRITABLE.split()}
    assert not any(re.search(r"[$#%~\"]", text) for text in written)


BRACES = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"


def test_one_script_of_each_kind() -> None:
    """TeX refuses x_{i}_{j}, x^{a}^{b} and x'_{i}^{a}."""
    texts = [es.parse(m.text).latex() for m in SMALL] + [
        latex_module(parse_module(program(seed).text())) for seed in range(100)
    ]
    texts += [latex_expr(parse_expression(text, labels="fg")) for text in NOTATION]
    twice = re.compile(rf"_{BRACES}(?:\^{BRACES})?_|\^{BRACES}(?:_{BRACES})?\^|'(?:_{BRACES})\^")
    assert not [found for text in texts if (found := twice.search(text))]


def test_growth() -> None:
    """Depth costs memory, not stack; length costs linear time."""
    for text in ("f(" * 900 + "x + 1" + ")" * 900, " + ".join(["x"] * 5_000), " ".join(["x"] * 5_000)):
        e = parse_expression(text)
        assert show_expr(parse_expression(latex_expr(e))) == show_expr(e)
