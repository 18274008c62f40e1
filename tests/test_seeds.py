r"""The source documents, formula by formula: as printed, as refused, as evaluated and differentiated.

A is the readout thread, B the forget-gate thread, C the article. `\dots` stands at concrete ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.show.latex import latex_module
from einstan.show.text import show_expr, show_module
from einstan.syntax.parser import parse_module

from .models import MODELS, Model

RANKS = range(4)


def numbered(letter: str, rank: int) -> list[str]:
    return [f"{letter}_{n}" for n in range(1, rank + 1)]


def below(indices: list[str]) -> str:
    return f"_{{{', '.join(indices)}}}" if indices else ""


def listed(indices: list[str]) -> str:
    return f"[{','.join(indices).replace('_', '')}]" if indices else ""


def inner_product(n: int, m: int) -> tuple[str, str]:
    """C6 at ranks n + 1 and m + 1, along the last but one axis of A and the last of B."""
    i, j = numbered("i", n), numbered("j", m)
    a, b = [*i[:1], "K", *i[1:]], [*j, "K"]
    return f"A{below(a)} B{below(b)}", f"A{listed(a)} B{listed(b)}"


def jacobian(n: int, m: int) -> tuple[str, str]:
    """C11: the axes of A, then those of B."""
    i, j = numbered("i", n), numbered("j", m)
    printed = rf"\frac{{\partial A}}{{\partial B}} = \frac{{\partial A{below(i)}}}{{\partial B{below(j)}}}"
    return printed, f"∂A/∂B = ∂A{listed(i)}/∂B{listed(j)}"


def chain(n: int, m: int, length: int) -> tuple[str, str]:
    """C12: summed over whole tuples."""
    k, j, i = numbered("k", n), numbered("J", m), numbered("i", length)
    up = rf"\frac{{\partial Z{below(k)}}}"
    printed = rf"\frac{{\partial Z}}{{\partial X}} = {up}{{\partial X{below(i)}}}"
    printed += rf" = {up}{{\partial Y{below(j)}}} \frac{{\partial Y{below(j)}}}{{\partial X{below(i)}}}"
    first = f"∂Z/∂X = ∂Z{listed(k)}/∂X{listed(i)}"
    return printed, f"{first} = ∂Z{listed(k)}/∂Y{listed(j)} ∂Y{listed(j)}/∂X{listed(i)}"


# ---------------------------------------------------------------- as printed, where in index form

PRINTED = [
    # seed, labels, LaTeX as printed, canonical text
    ("A1", "g", r"h_g = tanh \left( \sum_{v \in V} \sigma \left( i(h_v^{(T)}, x_v) \right) \odot tanh \left( j(h_v^{(T)}, x_v) \right) \right)",  # noqa: E501
     "h_g = tanh(sum[v](sigmoid(i(h^{(T)}[v], x[v])) ⊙ tanh(j(h^{(T)}[v], x[v]))))"),
    ("A2", "g", r"A_v = \sigma \left( i(h_v^{(T)}, x_v) \right)", "A[v] = sigmoid(i(h^{(T)}[v], x[v]))"),
    ("A3", "g", r"B_v = tanh \left( j(h_v^{(T)}, x_v) \right)", "B[v] = tanh(j(h^{(T)}[v], x[v]))"),
    ("A4", "g", r"h_g = tanh \left( \sum_{v \in V} A_v \odot B_v \right)", "h_g = tanh(sum[v](A[v] ⊙ B[v]))"),
    ("C2", "", r"$$u_I v_I = \sum_{i=1}^{n} u_i v_i$$", "u[I] v[I] = sum[i](u[i] v[i])"),
    ("C4", "", r"y_i = A_{K,i} b_K", "y[i] = A[K,i] b[K]"),
    ("C5", "", r"y_i = A_{i,K}b_K", "y[i] = A[i,K] b[K]"),
    ("C13", "", r"$$\frac{df}{dW} = \sum_{i=1}^{n} \sum_{j=1}^{m} \frac{\partial f}{\partial W_{i,j}} \frac{dW_{i,j}}{dx} = \frac{\partial f}{\partial W_{I,J}} \frac{dW_{I,J}}{dx}$$",  # noqa: E501
     "∂f/∂W = sum[i](sum[j](∂f/∂W[i,j] ∂W[i,j]/∂x)) = ∂f/∂W[I,J] ∂W[I,J]/∂x"),
    ("C14", "m", r"$$Z_{i,j}^{(m)} = X_{i,K}^{(m-1)} W_{K,j}^{(m)} + b_j^{(m)}$$",
     "Z^{(m)}[i,j] = X^{(m-1)}[i,K] W^{(m)}[K,j] + b^{(m)}[j]"),
    ("C15", "m", r"$$X_{i,j}^{(m)} = \sigma_m(Z_{i,j}^{(m)})$$", "X^{(m)}[i,j] = σ_m(Z^{(m)}[i,j])"),
    ("C19", "m", r"$$\frac{\partial L}{\partial Z_{i,j}^{(n)}} = \frac{\partial L}{\partial X_{A,B}^{(n)}} \frac{\partial X_{A,B}^{(n)}}{\partial Z_{i,j}^{(n)}} = \frac{\partial L}{\partial X_{A,B}^{(n)}} \frac{\partial X_{A,B}^{(n)}}{\partial Z_{i,j}^{(n)}} \delta_{i,A} = \frac{\partial L}{\partial X_{i,B}^{(n)}} \frac{\partial X_{i,B}^{(n)}}{\partial Z_{i,j}^{(n)}}$$",  # noqa: E501
     "∂L/∂Z^{(n)}[i,j] = ∂L/∂X^{(n)}[A,B] ∂X^{(n)}[A,B]/∂Z^{(n)}[i,j] = ∂L/∂X^{(n)}[A,B] ∂X^{(n)}[A,B]/∂Z^{(n)}[i,j] delta[i,A] = ∂L/∂X^{(n)}[i,B] ∂X^{(n)}[i,B]/∂Z^{(n)}[i,j]"),  # noqa: E501
    ("C20", "m", r"$$\frac{\partial L}{\partial Z_{i,j}^{(m-1)}} = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial X_{i,j}^{(m-1)}} = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial X_{i,j}^{(m-1)}} \delta_{i,A} = \frac{\partial L}{\partial Z_{i,B}^{(m)}} \frac{\partial Z_{i,B}^{(m)}}{\partial X_{i,j}^{(m-1)}} = \frac{\partial L}{\partial Z_{i,B}^{(m)}} W_{j,B}^{(m)}$$",  # noqa: E501
     "∂L/∂Z^{(m-1)}[i,j] = ∂L/∂Z^{(m)}[A,B] ∂Z^{(m)}[A,B]/∂X^{(m-1)}[i,j] = ∂L/∂Z^{(m)}[A,B] ∂Z^{(m)}[A,B]/∂X^{(m-1)}[i,j] delta[i,A] = ∂L/∂Z^{(m)}[i,B] ∂Z^{(m)}[i,B]/∂X^{(m-1)}[i,j] = ∂L/∂Z^{(m)}[i,B] W^{(m)}[j,B]"),  # noqa: E501
    ("C21", "m", r"$$\frac{\partial L}{\partial W_{i,j}^{(m)}} = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial W_{i,j}^{(m)}} = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial W_{i,j}^{(m)}} \delta_{j,B} = \frac{\partial L}{\partial Z_{A,j}^{(m)}} \frac{\partial Z_{A,j}^{(m)}}{\partial W_{i,j}^{(m)}} = \frac{\partial L}{\partial Z_{A,B}^{(m)}} X_{A,i}^{(m-1)}$$",  # noqa: E501
     "∂L/∂W^{(m)}[i,j] = ∂L/∂Z^{(m)}[A,B] ∂Z^{(m)}[A,B]/∂W^{(m)}[i,j] = ∂L/∂Z^{(m)}[A,B] ∂Z^{(m)}[A,B]/∂W^{(m)}[i,j] delta[j,B] = ∂L/∂Z^{(m)}[A,j] ∂Z^{(m)}[A,j]/∂W^{(m)}[i,j] = ∂L/∂Z^{(m)}[A,B] X^{(m-1)}[A,i]"),  # noqa: E501
    ("C22", "m", r"$$\frac{\partial L}{\partial b_{i}^{(m)}} = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial b_{i}^{(m)}} = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial b_{i}^{(m)}} \delta_{i,B} = \frac{\partial L}{\partial Z_{A,j}^{(m)}} \frac{\partial Z_{A,i}^{(m)}}{\partial b_{i}^{(m)}} = \frac{\partial L}{\partial Z_{A,i}^{(m)}} (1)_{A}$$",  # noqa: E501
     "∂L/∂b^{(m)}[i] = ∂L/∂Z^{(m)}[A,B] ∂Z^{(m)}[A,B]/∂b^{(m)}[i] = ∂L/∂Z^{(m)}[A,B] ∂Z^{(m)}[A,B]/∂b^{(m)}[i] delta[i,B] = ∂L/∂Z^{(m)}[A,j] ∂Z^{(m)}[A,i]/∂b^{(m)}[i] = ∂L/∂Z^{(m)}[A,i] 1[A]"),  # noqa: E501
    *((f"C6-{n}-{m}", "", *(f"y = {side}" for side in inner_product(n, m))) for n in RANKS for m in RANKS),
    *((f"C11-{n}-{m}", "", *jacobian(n, m)) for n in RANKS for m in RANKS),
    *((f"C12-{n}-{m}-{r}", "", *chain(n, m, r)) for n in RANKS for m in RANKS for r in RANKS),
]  # fmt: skip


@pytest.mark.parametrize(("seed", "labels", "printed", "text"), PRINTED, ids=[row[0] for row in PRINTED])
def test_as_printed(seed: str, labels: str, printed: str, text: str) -> None:
    declared = f"label {labels}\n" if labels else ""
    module = parse_module(declared + printed)
    assert show_module(module) == declared + text
    assert show_module(parse_module(latex_module(module))) == declared + text


def test_the_readout_as_printed_runs() -> None:
    """A1-A4 with opaque i, j, and A4 of A2, A3: one value."""
    rows = {seed: printed for seed, _, printed, _ in PRINTED}
    own = es.parse(f"label g\n{rows['A1']}")
    split = es.parse(f"label g\n{rows['A2']}\n{rows['A3']}\n{rows['A4']}")
    rng = np.random.default_rng(0)
    data = {"h^{(T)}": rng.standard_normal(7), "x": rng.standard_normal(7)}
    functions = {"i": lambda h, x: h + 2 * x, "j": lambda h, x: h - x}
    h, x = data.values()
    want = np.tanh(np.sum(np.tanh(h - x) / (1 + np.exp(-h - 2 * x))))
    for p in (own, split):
        assert p.compile("h_g", functions=functions)(data) == pytest.approx(want, rel=1e-13)


# ---------------------------------------------------------------- refused, with the indexed form to write

REFUSED = [
    ("A5", r"h_g = tanh({ \sum_{v \in V} A_v \odot B_v }) = tanh (\overline{A} \cdot \overline{B})", "A[V,d] B[V,d]"),
    ("A6", "h_g  = nn.Tanh(A@B)", "tanh(A[i,K] B[K,j])"),
    ("A6", "h_g  = Tanh(A@B)", "A[i,K] B[K,j]"),
    ("B1", r"$$f_t = \sigma(W_f \cdot [h_{t-1}, x_t]+ b_f)$$", "W[j,K] [h[K], x[K]]_K"),
    ("B2", r"$$\begin{bmatrix} 0 & 1 \\ 2 & 3 \end{bmatrix}\begin{bmatrix} -3 & 3 \\ 2 & 0 \end{bmatrix}$$", "A[i,j]"),
    ("B3", r"\begin{align} W &= \begin{bmatrix} 0 & 1 \\ 2 &3 \end{bmatrix}\\ h &= \begin{bmatrix} -1 \\ 2 \end{bmatrix}\end{align}",  # noqa: E501
     "input A[i,j]"),
    ("B5", r"$$[h_{t-1}, x_t] = [-1, 2 , 3, 0]$$", "[h[K], x[K]]_K"),
    ("B7", r"$$f_t = \sigma \left(W_f\cdot \begin{bmatrix} h_{t-1} \\ x_t\end{bmatrix} + b_f\right)$$", "[h[K], x[K]]_K"),  # noqa: E501
    ("C1", r"$$A = A_{i_1, i_2, \dots, i_n}$$", "A[i1,i2,i3]"),
    ("C6", r"$$A \cdot B = A_{i_1, i_2, \dots, i_n \equiv K, \dots, i_n} B_{i_1, i_2, \dots, i_h \equiv K, \dots, i_m}$$",  # noqa: E501
     "A[i1,i2,i3]"),
    ("C7", r"$$\frac{d}{dx}(f(x)) = \frac{df}{dx}$$", r"\frac{\partial f}{\partial x_{i}}"),
    ("C16", r"\Rightarrow \forall p \neq q, \frac{\partial X_{p,b}^{(m)}}{\partial Z_{q,j}^{(m)}} &= 0", "statement of its own"),  # noqa: E501
    ("C18", r"$$\forall p \ne q, \frac{\partial Z_{p,b}^{(m)}}{\partial X_{a,j}^{(m)}} = 0$$", "a free index stands for all"),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(("seed", "printed", "repair"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(seed: str, printed: str, repair: str) -> None:
    with pytest.raises(es.EinstanError) as caught:
        es.parse(printed, labels="g" if seed.startswith("A") else "f")
    assert repair in caught.value.repair
    assert caught.value.spans


# ---------------------------------------------------------------- numbers of the forget gate

GATE = "Z[j] = W[j,K] [h[K], x[K]]_K + b[j]\nf[j] = sigmoid(Z[j])"
THREAD = {"h": [-1.0, 2], "x": [3.0, 0], "b": [1.0, -2]}


def test_the_printed_matrix_has_no_answer() -> None:
    """B2, B3: a 2 by 2 matrix on four entries."""
    with pytest.raises(es.EinstanError, match=r"K is 2 in W, 2 \+ 2 = 4 in \[h, x\]"):
        es.parse(GATE).run("f", W=[[0.0, 1], [2, 3]], **THREAD)


def test_the_printed_matrix_for_both_blocks() -> None:
    """B5, B6, and B7 in blocks."""
    W = [[0.0, 1, 0, 1], [2, 3, 2, 3]]
    k = es.parse(GATE).compile(["Z", "f"])
    found = k(W=W, **THREAD)
    np.testing.assert_array_equal(found["Z"], [3, 8])
    np.testing.assert_allclose(found["f"], [0.952574, 0.999665], atol=5e-7)
    blocks = es.parse(r"f_j = \sigma(U_{j,K} h_K + V_{j,M} x_M + b_j)")
    U, V = np.split(np.array(W), 2, axis=1)
    np.testing.assert_allclose(blocks.run("f", U=U, V=V, **THREAD), found["f"], rtol=1e-15)


# ---------------------------------------------------------------- gradients as SEEDS lists them

READOUT = """
    a[v,d] = C[v,K] Wi[K,d] + bi[d]
    c[v,d] = C[v,K] Wj[K,d] + bj[d]
    s[v,d] = sigmoid(a[v,d])
    t[v,d] = tanh(c[v,d])
    h[d] = tanh(s[V,d] t[V,d])
    L = g[D] h[D]
"""
CELL = """
    c[k] = [h[k], x[k]]_k
    f[j] = sigmoid(W[j,K] c[K] + b[j])
    L = g[J] f[J]
"""
NET = """
    Y[i,j] = tanh(Z[i,j])
    V[i,j] = Y[i,K] W[K,j] + b[j]
    P[i,j] = tanh(V[i,j])
    S[i,j] = softmax[j](V[i,j])
    L = T[I,J] P[I,J]^2
    M = T[I,J] S[I,J]^2
"""
GRADIENTS = [
    # program, of, wrt, short names, the derivative as listed
    (READOUT, "L", "a", "q[d] = g[d] (1 - h[d]^2)", "D[v,d] = q[d] s[v,d] (1 - s[v,d]) t[v,d]"),
    (READOUT, "L", "c", "q[d] = g[d] (1 - h[d]^2)", "D[v,d] = q[d] s[v,d] (1 - t[v,d]^2)"),
    (READOUT, "L", "Wi", "", "D[k,d] = C[V,k] ∂L/∂a[V,d]"),
    (CELL, "f", "W", "", "D[i,j,k] = f[i] (1 - f[i]) delta[i,j] c[k]"),
    (CELL, "L", "W", "p[j] = g[j] f[j] (1 - f[j])", "D[i,k] = p[i] c[k]"),
    (CELL, "L", "b", "p[j] = g[j] f[j] (1 - f[j])", "D[j] = p[j]"),
    (CELL, "L", "h", "p[j] = g[j] f[j] (1 - f[j])", "D[k] = p[I] W[I,k=0:size(h,1)]"),
    (CELL, "L", "x", "p[j] = g[j] f[j] (1 - f[j])", "D[k] = p[I] W[I,k=size(h,1):size(h,1)+size(x,1)]"),
    (NET, "L", "V", "", "D[i,j] = ∂L/∂P[i,j] tanh'(V[i,j])"),
    (NET, "M", "V", "", "D[i,j] = ∂M/∂S[i,B] ∂S[i,B]/∂V[i,j]"),
    (NET, "L", "Z", "", "D[i,j] = ∂L/∂V[i,B] W[j,B] tanh'(Z[i,j])"),
    (NET, "L", "W", "", "D[i,j] = Y[A,i] ∂L/∂V[A,j]"),
    (NET, "L", "b", "", "D[j] = ∂L/∂V[A,j] 1[A]"),
]
SHAPES = {
    READOUT: {"C": (7, 5), "Wi": (5, 3), "Wj": (5, 3), "bi": (3,), "bj": (3,), "g": (3,)},
    CELL: {"W": (2, 8), "h": (5,), "x": (3,), "b": (2,), "g": (2,)},
    NET: {"Z": (11, 5), "W": (5, 3), "b": (3,), "T": (11, 3)},
}


def normal(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(("text", "of", "wrt", "short", "derivative"), GRADIENTS, ids=range(len(GRADIENTS)))
def test_listed_gradients(text: str, of: str, wrt: str, short: str, derivative: str) -> None:
    """As text and through LaTeX."""
    p = es.parse(f"{text}\n{short}\n{derivative}")
    data = normal(SHAPES[text])
    derived = p.jacobian(of, wrt).compile()(**data)
    np.testing.assert_allclose(p.run("D", **data), derived, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(es.parse(p.latex()).run("D", **data), derived, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("model", [m for m in MODELS if m.name.startswith("seed-")], ids=lambda m: m.name)
def test_models_through_latex(model: Model) -> None:
    """The seeds of the table of models, read from their LaTeX: equal programs, so equal gradients."""
    p = es.parse(model.text)
    assert es.parse(p.latex()) == p


# ---------------------------------------------------------------- the article's claims, form by form

ARTICLE = r"""
    X_{i,j}^{(m-1)} = \tanh(Z_{i,j}^{(m-1)})
    Z_{i,j}^{(m)} = X_{i,K}^{(m-1)} W_{K,j}^{(m)} + b_j^{(m)}
    Z_{i,j}^{(n)} = Z_{i,j}^{(m)}
    X_{i,j}^{(n)} = \operatorname{softmax}_j(Z_{i,j}^{(n)})
    L = T_{I,J} X_{I,J}^{(n)} X_{I,J}^{(n)}
"""
ARTICLE_SHAPES = {"Z^{(m-1)}": (11, 5), "W^{(m)}": (5, 3), "b^{(m)}": (3,), "T": (11, 3)}
FORMS = [
    # seed, the derivative that its forms should be; for each form whether it is, None where it has no meaning
    ("C19", "Z^{(n)}[i,j]", [True, True, True, True]),
    ("C20", "X^{(m-1)}[i,j]", [False, True, True, True, True]),
    ("C21", "W^{(m)}[i,j]", [True, True, True, True, None]),
    ("C22", "b^{(m)}[i]", [True, True, True, False, True]),
]


@pytest.mark.parametrize(("seed", "wrt", "verdicts"), FORMS, ids=[row[0] for row in FORMS])
def test_forms_of_claims(seed: str, wrt: str, verdicts: list[bool | None]) -> None:
    printed = next(row[2] for row in PRINTED if row[0] == seed)
    (claim,) = es.parse(ARTICLE + printed).checked.claims
    data = normal(ARTICLE_SHAPES)
    found: list[bool | None] = []
    for form, checked in zip(claim.claim.forms, claim.forms, strict=True):
        if checked.error is None:
            p = es.parse(f"{ARTICLE}\nOff[{','.join(checked.axes)}] = ({show_expr(form)}) - ∂L/∂{wrt}")
            found.append(bool(np.allclose(p.run("Off", **data), 0, atol=1e-13)))
        else:
            found.append(None)
    assert found == verdicts


def test_zero_patterns() -> None:
    """C15-C18: where σ acts row by row, ∂X[p,b]/∂Z[q,j] is 0 off the diagonal p = q; the corrected C18 too."""
    p = es.parse(ARTICLE)
    data = normal(ARTICLE_SHAPES)
    rows = p.jacobian("X^{(n)}", "Z^{(n)}").compile()(data)
    inputs = p.jacobian("Z^{(m)}", "X^{(m-1)}").compile()(data)
    weights = p.jacobian("Z^{(m)}", "W^{(m)}").compile()(data)
    off = ~np.eye(11, dtype=bool)
    assert np.all(rows.transpose(0, 2, 1, 3)[off] == 0)
    assert np.all(inputs.transpose(0, 2, 1, 3)[off] == 0)
    assert np.all(weights.transpose(1, 3, 0, 2)[~np.eye(3, dtype=bool)] == 0)
    assert np.any(rows) and np.any(inputs) and np.any(weights)


def test_newton_hessians() -> None:
    """Section 7: X[A,i] X[A,k] δ[j,l] for a linear layer, X[A,i] p[A] (1 - p[A]) X[A,k] for logistic regression."""
    linear = es.parse(r"""
        \text{size}\ j = 3
        R_{ij} = X_{iK} W_{Kj} - T_{ij} \\ L = \frac{1}{2} R_{IJ} R_{IJ}
        H_{ijkl} = X_{Ai} X_{Ak} \delta_{jl}
    """)
    data = normal({"X": (11, 5), "W": (5, 3), "T": (11, 3)})
    np.testing.assert_allclose(
        linear.hessian("L", "W").compile()(**data), linear.run("H", **data), rtol=1e-12, atol=1e-13
    )
    logistic = es.parse(r"""
        p_n = \sigma(X_{nK} w_K) \\ L = -t_N \log(p_N) - (1 - t_N) \log(1 - p_N)
        H_{ik} = X_{Ai} p_A (1 - p_A) X_{Ak}
    """)
    data = normal({"X": (11, 5), "w": (5,)}) | {"t": np.arange(11) % 2.0}
    np.testing.assert_allclose(
        logistic.hessian("L", "w").compile()(**data), logistic.run("H", **data), rtol=1e-11, atol=1e-13
    )
