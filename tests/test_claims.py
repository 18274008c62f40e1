"""Gradients print as a person would write them, and read back as the same objects."""

from __future__ import annotations

import re

import pytest

import einstan as es
from einstan.show.common import legible

from .models import Model, every_model

DENSE = """
Z[b,j] = X[b,K] W[K,j] + c[j]
Y[b,j] = tanh(Z[b,j])
L = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])
"""

PRINTED = [
    (
        "the dense layer",
        DENSE,
        ["W", "c"],
        """
        ∂L/∂Y[b,j] = 2 (Y[b,j] - T[b,j])
        ∂L/∂Z[b,j] = ∂L/∂Y[b,j] (1 - Y[b,j]^2)
        ∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,j]
        ∂L/∂c[j] = ∂L/∂Z[B,j] 1[B]
        """,
    ),
    (
        "only what wrt needs",
        DENSE,
        ["Y"],
        "∂L/∂Y[b,j] = 2 (Y[b,j] - T[b,j])",
    ),
    (
        "the forget gate: the blocks of W",
        "f[j] = sigmoid(W[j,K] [h[K], x[K]]_K + c[j])\nL = g[J] f[J]",
        ["W", "c", "h", "x"],
        """
        ∂L/∂f[j] = g[j]
        u[j] = ∂L/∂f[j] f[j] (1 - f[j])
        ∂L/∂W[j,k] = u[j] [h[k], x[k]]_k
        ∂L/∂c[j] = u[j]
        ∂L/∂h[k] = u[J] W[J,k=0:size(h,1)]
        ∂L/∂x[k] = u[J] W[J,k=size(h,1):size(W,2)]
        """,
    ),
    (
        "two names of equal value are two variables",
        "P[i] = exp(x[i])\nQ[i] = exp(x[i])\nL = P[I] Q[I]",
        ["P", "x"],
        """
        ∂L/∂Q[i] = P[i]
        ∂L/∂P[i] = Q[i]
        ∂L/∂x[i] = ∂L/∂P[i] P[i] + ∂L/∂Q[i] Q[i]
        """,
    ),
    (
        "softmax",
        "A[t,s] = softmax[s](S[t,s])\nL = A[T,S] G[T,S]",
        ["S"],
        """
        ∂L/∂A[t,s] = G[t,s]
        ∂L/∂S[t,s] = A[t,s] (∂L/∂A[t,s] - ∂L/∂A[t,U] A[t,U])
        """,
    ),
    *(
        (
            f"tanh({argument}) is known by its name, whichever sign is kept",
            f"Y[i] = tanh({argument})\nL = Y[I] g[I]",
            ["X"],
            f"∂L/∂Y[i] = g[i]\n∂L/∂X[i] = {sign}∂L/∂Y[i] (1 - Y[i]^2)",
        )
        for argument, sign in (("X[i] - m[i]", ""), ("m[i] - X[i]", "-"))
    ),
    (
        "the slope of a root",
        "s[i] = sqrt(v[i] + 1)\nL = s[I] g[I]",
        ["v"],
        "∂L/∂s[i] = g[i]\n∂L/∂v[i] = ∂L/∂s[i] / s[i] / 2",
    ),
    (
        "an extremum over a formula is read from the text of the formula",
        "L = min[n](b[N] b[N] x[n]^-1.5)",
        ["x"],
        """
        u[n] = b[P] b[P] / x[n]^(3 / 2) == min[p](b[Q] b[Q] / x[p]^(3 / 2))
        ∂L/∂x[n] = -3 u[n] b[P] b[P] / x[n]^(5 / 2) / (u[Q] 1[Q]) / 2
        """,
    ),
    ("a trace", "L = A[I,I]", ["A"], "∂L/∂A[i,j] = delta[i,j]"),
    ("a diagonal", "L = A[I,I] b[I]", ["A"], "∂L/∂A[i,j] = b[i] delta[i,j]"),
    ("an opaque function", "y[i] = f(x[i])\nL = y[I] y[I]", ["x"], "∂L/∂y[i] = 2 y[i]\n∂L/∂x[i] = ∂L/∂y[i] f'(x[i])"),
    (
        "an opaque loss and a row-wise activation, as the article has them",
        "Z[i,j] = X[i,K] W[K,j]\nY[i,j] = f[j](Z[i,K])\nR[i,j] = Y[i,j] - T[i,j]\nL = loss(R[:])",
        ["W"],
        """
        ∂L/∂Y[i,j] = ∂L/∂R[i,j]
        ∂L/∂Z[i,j] = ∂L/∂Y[i,K] ∂Y[i,K]/∂Z[i,j]
        ∂L/∂W[k,j] = X[I,k] ∂L/∂Z[I,j]
        """,
    ),
    (
        "an opaque call inside a formula gets a name",
        "R[i,j] = X[i,M] W[M,j] - T[i,j]\nL = 3 loss(R[:])",
        ["W"],
        """
        u = loss(R[:])
        ∂L/∂R[i,j] = 3 ∂u/∂R[i,j]
        ∂L/∂W[m,j] = X[I,m] ∂L/∂R[I,j]
        """,
    ),
    ("a power of a trace", "L = (B[K,K])^3", ["B"], "∂L/∂B[k,i] = 3 (B[L,L])^2 delta[k,i]"),
    ("a part", "L = sum[k](A[k=0:2])", ["A"], "∂L/∂A[k] = [A[k=0:2]^0, 0 A[k=2:size(A,1)]]_k"),
    ("independence is a proved zero", "y = 2 a\nz = 3 b\nL = y + 0 z", ["b"], "∂L/∂b = 0"),
    ("a mean", "m = mean[i](x[i])\nL = m^2", ["x"], "∂L/∂m = 2 m\n∂L/∂x[i] = ∂L/∂m / size(x,1)"),
]


def text_of(lines: str) -> str:
    return "\n".join(line.strip() for line in lines.strip().splitlines())


@pytest.mark.parametrize(("text", "wrt", "printed"), [row[1:] for row in PRINTED], ids=[row[0] for row in PRINTED])
def test_printed_gradient(text: str, wrt: list[str], printed: str) -> None:
    p = es.parse(text)
    g = p.grad("L", wrt)
    assert str(g) == text_of(printed)
    assert es.parse(f"{p}\n{g}") == g


@every_model
def test_every_model_reads_back(model: Model) -> None:
    p = es.parse(model.text)
    g = p.grad(model.of, list(model.wrt))
    again = es.parse(f"{p}\n{g}")
    assert es.parse(str(p)) == p
    assert again == g and again != p
    assert all(node is not None for claim in again.claim_nodes for node in claim)


@every_model
def test_every_derivative_on_a_right_side_is_a_line(model: Model) -> None:
    name = rf"∂{model.of}/∂(?:\w|\^\{{[^}}]*\}})+"
    lines = str(es.parse(model.text).grad(model.of, list(model.wrt))).splitlines()
    heads = {found[0] for line in lines if (found := re.match(name, line))}
    used = {found for line in lines for found in re.findall(name, line.split(" = ", 1)[1])}
    assert used <= heads


def test_shuffled_statements_give_the_same_objects() -> None:
    lines = DENSE.strip().splitlines()
    p, q = es.parse("\n".join(lines)), es.parse("\n".join(reversed(lines)))
    assert p == q
    assert p.grad("L", ["W"]) == q.grad("L", ["W"])


def test_expression_in_context_is_the_same_object() -> None:
    p = es.parse(DENSE)
    assert p.expr("tanh(Z[b,j])").node is p["Y"].node
    assert p.expr("W[K,j] X[b,K] + c[j]").axes == ("j", "b")
    assert p.expr("X[b,N] W[N,j] + c[j]").node is p["Z"].node


UNKNOWN = [
    (lambda p: p.grad("L", "V"), es.EinstanNameError, "V"),
    (lambda p: p.grad("M", "W"), es.EinstanNameError, "M"),
    (lambda p: p.grad("X", "W"), es.EinstanNameError, "X"),
    (lambda p: p.grad("Y", "W"), es.EinstanDerivativeError, "scalar"),
    (lambda p: p["Q"], es.EinstanNameError, "Q"),
    (lambda p: p.vjp("Y", "W", "X"), es.EinstanNameError, "X"),
    (lambda p: p.vjp("Y", "W", "1"), es.EinstanNameError, "no name of the language"),
    (lambda p: p.jvp("Y", "W", "V w"), es.EinstanNameError, "no name of the language"),
    (lambda p: p.jvp("Y", "W", "exp"), es.EinstanNameError, "no name of the language"),
    (lambda p: p.jvp("Y", ["W", "c"], {"W": "V", "c": "V"}), es.EinstanNameError, "one tangent"),
    (lambda p: p.vjp("Y", "W", "G").jvp(wrt="c", tangent="G"), es.EinstanNameError, "G"),
    (lambda p: p.vjp("Y", "W", "G").jacobian(wrt="G"), es.EinstanNameError, "linear in G"),
    (lambda p: p.jvp("Y", "W", "V").jacobian(wrt=["c", "V"]), es.EinstanNameError, "linear in V"),
]


@pytest.mark.parametrize(("call", "kind", "word"), UNKNOWN)
def test_unknown_names_are_refused(call, kind, word) -> None:
    with pytest.raises(kind, match=word):
        call(es.parse(DENSE))


def test_a_product_may_be_all_that_two_products_have_in_common() -> None:
    p = es.parse("P[i] = a[i] b[i] c[i] d[i]\nQ[j] = a[I] b[I] c[I] d[I] e[I,j]")
    whole, longer = legible([p.bodies["P"], p.bodies["Q"]])
    assert whole is p.bodies["P"] and whole in longer.operands
