"""LaTeX in: what each form means, as canonical text; what is refused, with the sentence and what to write instead."""

from __future__ import annotations

import pytest

from einstan.errors import EinstanError
from einstan.show.text import show_module
from einstan.syntax.parser import parse_module

READ = [
    # environments: only \\ and the end of the environment end a statement
    (r"\begin{align} a &= b \label{eq:a} \\ c &= d \notag \\[2pt] e &= f \tag{3} \end{align}", "a = b\nc = d\ne = f"),
    (r"\begin{align} a &= b \tag{as $\frac{a_{i}^{(m)}}{b}$} \\ c &= d \tag{3} \end{align}", "a = b\nc = d"),
    ("\\begin{align*}\na &= b\n c \\\\\nd &= e\n\\end{align*}", "a = b c\nd = e"),
    (r"\begin{equation}\begin{split} a &= b \\ &\quad + c \end{split}\end{equation} y = 2", "a = b + c\ny = 2"),
    (r"\begin{aligned} a &= b \\ &= c \end{aligned}", "a = b\nclaim a = c"),
    (r"\begin{multline*} y = a + \\ b \end{multline*}", "y = a + b"),
    (r"\begin{eqnarray} a &=& b \\ c &=& d \end{eqnarray}", "a = b\nc = d"),
    (r"\begin{gather} a = b \\ c = d \end{gather}", "a = b\nc = d"),
    (r"\begin{alignat}{2} a &= b \\ c &= d \end{alignat}", "a = b\nc = d"),
    ("$a = b$ $$c =\n d$$ \\[ e = f \\] \\(g = h\\)", "a = b\nc = d\ne = f\ng = h"),
    (r"y = 2 \cdot $x$", "y = 2 x"),
    (r"$a = b \\ c = d$", "a = b\nc = d"),
    # punctuation at the end of displayed formulas
    (r"\begin{align} a &= b, \label{eq:a} \\ c &= 2\,. \end{align}", "a = b\nc = 2"),
    ("\\begin{equation}\n a = f(b, \\\\ c)\\,,\n\\end{equation} $$c = d.$$ $e = g$, $h = p_{i_1}$.",
     "a = f(b, c)\nc = d\ne = g\nh = p[i1]"),
    # columns
    (r"y_K = \begin{bmatrix} h_K \\ x_K \end{bmatrix}_K", "y[K] = [h[K], x[K]]_K"),
    (r"y_j = W_{j,K}\begin{pmatrix} h_K \\ x_K \\ \end{pmatrix}_K", "y[j] = W[j,K] [h[K], x[K]]_K"),
    (r"y_K = \left[ h_K, x_K \right]_{K}", "y[K] = [h[K], x[K]]_K"),
    # fractions, roots, powers
    (r"y = \frac{x^2}{z} \frac{a + b}{c}", "y = x^2 / z (a + b) / c"),
    (r"y = \frac12 x + \tfrac 34 z^\frac12", "y = 1 / 2 x + 3 / 4 z^(1 / 2)"),
    (r"y = \sqrt{x} + \sqrt[3]{x + z}", "y = sqrt(x) + (x + z)^(1 / 3)"),
    (r"y = x_{i}^{-1} + x^{z^2} + 2^{-x}", "y = x[i]^-1 + x^z^2 + 2^(-x)"),
    (r"y = \frac{A_{I,I}}{b}", "y = (A[I,I]) / b"),
    # derivatives
    (r"y = \frac{\partial L}{\partial W_{k,j}} + \frac{dL}{dW_{k,j}}", "y = ∂L/∂W[k,j] + ∂L/∂W[k,j]"),
    (r"y = \frac{d L}{d W_{k,j}} + \frac{\mathrm{d} L}{\mathrm{d} x}", "y = ∂L/∂W[k,j] + ∂L/∂x"),
    (r"y = \frac{\partial^2 L}{\partial w_i \partial w_j}", "y = ∂²L/∂w[i]∂w[j]"),
    (r"y = \dfrac{\partial^{2} L}{\partial w_i \partial w_j}", "y = ∂²L/∂w[i]∂w[j]"),
    # names, spaces, brackets
    (r"y = f\left(x\right) + f \left(x\right) + f\!\bigl(x\bigr) + f\,(x)", "y = f(x) + f x + f(x) + f x"),
    (r"y = \hat{\mathbf{x}}_i + \tilde\theta_i + \bar{\theta}_i", r"y = \hat{x}[i] + \tilde{θ}[i] + \bar{θ}[i]"),
    (r"y = \epsilon + \theta + \phi", "y = ε + θ + φ"),
    (r"y = \operatorname{log\_softmax}_k(x_k)", "y = log_softmax[k](x[k])"),
    (r"y = \max_k(x_k) + \operatorname*{softmax}_{k}(x_k)", "y = max[k](x[k]) + softmax[k](x[k])"),
    (r"y = \arctan(\ln(x))", "y = atan(log(x))"),
    (r"y_k = \mathbb{1}_k + \mathbf 1_k + \mathbb 1_k + \mathbf{0}_k", "y[k] = 1[k] + 1[k] + 1[k] + 0[k]"),
    (r"y = \sum_{k=1}^{n} \sum_{j \in J} A_{kj} \odot B_{kj}", "y = sum[k](sum[j](A[k,j] ⊙ B[k,j]))"),
    (r"y = \left|K\right| + \lvert K \rvert", "y = |K| + |K|"),
    (r"y = \delta_{ij} + x_{i_1, \mathrm{class}}", "y = delta[i,j] + x[i1,class]"),
    (r"\text{label}\ f \\ W_{f}{}_{j,K} = \sigma_f(x)", "label f\nW_f[j,K] = σ_f(x)"),
    (r"\text{claim}\ y = x", "claim y = x"),
    (r"\text{fact }T_{n,C} \mathbb{1}_C = \mathbb{1}_n", "fact T[n,C] 1[C] = 1[n]"),
    (r"y = a \cdot 2 \times b \le c", "y = a * 2 b <= c"),
    (r"y = X^{(1)}_{i,j} + X_{i,j}^{(1)} + (X^{(1)}_{i,j})^2", "y = X^{(1)}[i,j] + X^{(1)}[i,j] + X^{(1)}[i,j]^2"),
]  # fmt: skip


@pytest.mark.parametrize(("latex", "text"), READ)
def test_reads(latex: str, text: str) -> None:
    assert show_module(parse_module(latex)) == text


REFUSED = [
    # LaTeX, words of the sentence, words of the repair
    (r"y = A^\top x", r"\top has no meaning", "A[j,i] is the transpose"),
    (r"y_i = x_i \qquad (2)", "number of an equation is no factor", r"\tag{2}"),
    (r"y = \frac{1}{n} \sum_{i=1}^{n} x_i", "n is the end of a sum here", "|i|"),
    (r"\forall i, y = x", r"\forall has no meaning", "a free index stands for all"),
    (r"y = A_{i_1, \dots, i_n}", r"\dots has no meaning", "A[i1,i2,i3]"),
    (r"y = \|x\|", r"\| has no meaning", "norm[k](x[k])"),
    (r"y = \lVert x \rVert", r"\lVert has no meaning", "norm[k](x[k])"),
    (r"x \in \mathbb{R}", r"\mathbb has no meaning", "follow from the inputs' axes"),
    (r"y_v = x_v \in V", "`∈` is not expected", "∑_{v ∈ V}"),
    (r"y = \langle u, v \rangle", r"\langle has no meaning", "u[I] v[I]"),
    (r"y = \overline{A} \cdot \overline{B}", r"\overline has no meaning", "A[V,d] B[V,d]"),
    (r"y = \vec{x}", r"\vec has no meaning", "x[i]"),
    (r"y = A \otimes B", r"\otimes has no meaning", "u[i] v[j]"),
    (r"y = \nabla L", r"\nabla has no meaning", "∂L/∂x[i]"),
    (r"y = \log\det A", "log needs brackets", "log(...)"),
    (r"y = \begin{cases} 1 & x > 0 \\ 0 & x < 0 \end{cases}", "environment cases", "where(x[i] < 0, a[i], b[i])"),
    (r"y = \begin{vmatrix} a & b \end{vmatrix}", "environment vmatrix", "det[i,j](A[i,j])"),
    (r"y = \begin{bmatrix} 0 & 1 \\ 2 & 3 \end{bmatrix}", "along which index", "input A[i,j]"),
    (r"y_K = \begin{bmatrix} a_K & b_K \end{bmatrix}_K", "`&` is not expected", "[h[K], x[K]]_K"),
    (r"y = \begin{bmatrix} h \\ x \end{bmatrix}", "along which index", "[h[K], x[K]]_K"),
    (r"y = [h, x]", "along which index", "[h[K], x[K]]_K"),
    (r"\begin{algin} y = x \end{algin}", "environment algin", "Did you mean align?"),
    (r"\begin{align} y = x", r"\begin{align} is never closed", "Close"),
    (r"\begin{align} y = x \end{split}", r"\end{split} closes nothing", "in pairs"),
    (r"y = x \]", r"\] closes nothing", "in pairs"),
    ("$y = x", "$ is never closed", "Close"),
    ("$a = b$ and $c = d$", "no `=`", "y = ..."),
    (r"y = \simga(x)", r"\simga is not a command", r"Did you mean \sigma?"),
    (r"y = \qqqqq x", r"\qqqqq is not a command", "without it"),
    (r"y = \text{some words}", "one name in braces", "leave sentences out"),
    (r"y = \mathbf{W_f} x", "one name in braces", r"\mathbf{x}_i"),
    (r"y = \hat{\tilde{x}}", "one accent", "another name"),
    (r"y = \frac{d}{dx} f", "what it differentiates", r"\frac{\partial f}{\partial x_{i}}"),
    (r"y = \frac{\partial}{\partial x} f", "what it differentiates", "∂f/∂x[i]"),
    (r"y = \frac{d^2 L}{d w_i d w_j}", "reads as a derivative", "∂²L/∂w[i]∂w[j]"),
    (r"y = x^2_i", "indices stand before a power", "X_{i,j}^{2}"),
    (r"y = W^{1}_{i,j}", "`_` is not expected", "X^{(1)}_{i,j}"),
    (r"y = x_{} z", "an index is missing", "X_{b,K}"),
    (r"y = \phi + \varphi", "φ is written both", "another name"),
    (r"y = x + \mathbf{x}", "x is written both bold and plain", "another name"),
    (r"y = \mathbf{1} x", "say their indices", r"\mathbb{1}_K"),
    (r"y = x_K \cdot \mathbb{1}", "say their indices", "1[K]"),
    (r"y = 2 3", "bare number", "* 3"),
    (r"y = \frac1n x", "`{` is missing", r"\frac{a}{b}"),
    (r"y = \frac{1}2 x", "`{` is missing", r"\frac{a}{b}"),
    (r"y = \frac123 x", "`{` is missing", r"\frac{a}{b}"),
    (r"y = \left[x + z\right] w", "along which index", "( ) around a group"),
    (r"y = \tanh\left[x_K z_K\right]", "tanh needs brackets", "tanh(...)"),
    (r"y = \sin x", "sin needs brackets", "sin(...)"),
    ("y = x,\nz = w", "`,` is not expected", "new line"),
    (r"\begin{align} y = f(x,. \\ z) \end{align}", "`.`", ""),
    (r"Z := x", "`:` is not expected", "Write = "),
    (r"a \Rightarrow b", r"\Rightarrow has no meaning", "statement of its own"),
    (r"y = \sum_{k=0}^{n} x_k", "whole axis", "x[i=0:2]"),
    (r"y = (a \\ b)", "not closed by )", "Write )"),
]  # fmt: skip


@pytest.mark.parametrize(("latex", "said", "repair"), REFUSED)
def test_refuses(latex: str, said: str, repair: str) -> None:
    with pytest.raises(EinstanError) as caught:
        parse_module(latex)
    assert said in caught.value.message
    assert repair in caught.value.repair
    assert caught.value.spans
