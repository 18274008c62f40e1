"""Lint: each rule finds its cases, shows the place, and is silent beside them and on what it says to write."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

import einstan as es
from einstan.cli import main
from einstan.lint import LONGEST, MOST, RULES, lint

from .models import MODELS, Model

FOUND = [
    # rule, text, the places that it shows, the text as the remark says to write it
    ("index and name", "Z[b,j] = X[b,K] W[K,j] + b[j]", ["b", "b[j]"], "Z[n,j] = X[n,K] W[K,j] + b[j]"),
    ("index and name", "a[i] = K[i,K] x[K]", ["K[i,K]", "K"], "a[i] = A[i,K] x[K]"),
    ("index and name", "y[f] = f(x[f])", ["f", "f"], "y[i] = f(x[i])"),
    ("free and summed", "y[j] = A[j,J] x[J]", ["j", "J"], "y[j] = A[j,K] x[K]"),
    ("free and summed", "s[j] = p[j] (g[j] - g[J] p[J])", ["j", "J"], "s[j] = p[j] (g[j] - g[K] p[K])"),
    (
        "free and summed",
        "p[i,k] = exp(z[i,k]) / sum[k](exp(z[i,k]))",
        ["sum[k](exp(z[i,k]))"],
        "p[i,k] = exp(z[i,k]) / sum[l](exp(z[i,l]))",
    ),
    ("free and summed", "y[k] = z[k] - max[k](z[k])", ["max[k](z[k])"], "y[k] = z[k] - max[l](z[l])"),
    ("free and summed", "claim x[i] = x[i] (d[I] d[I])", ["i", "I"], "claim x[i] = x[i] (d[K] d[K])"),
    (
        "two sizes",
        "Y[b,j] = X[b,K] W[K,j]; Z[b,l] = Y[b,M] V[M,l] + j[l]; L = Z[B,J] Z[B,J]",
        ["j", "J"],
        "Y[b,m] = X[b,K] W[K,m]; Z[b,l] = Y[b,M] V[M,l] + j[l]; L = Z[B,J] Z[B,J]",
    ),
    ("two sizes", "y = a[K] b[K]; z = c[K] d[K]", ["K", "K"], "y = a[K] b[K]; z = c[J] d[J]"),
    ("two sizes", "y = a[K] b[K]; z = c[K] d[K]", ["K", "K"], "y = a[K] b[K]; z = c[K] d[K]; size K = 5"),
    ("two sizes", "y[i] = A[K,i] b[K]\n∂y[i]/∂b[i] = A[i,i]", ["i", "i"], "y[i] = A[K,i] b[K]\n∂y[i]/∂b[k] = A[k,i]"),
    ("open capitals", "r[d] = 1[V] (A[V,d] ⊙ B[V,d])", ["A[V,d] ⊙ B[V,d]"], "r[d] = A[V,d] B[V,d]"),
    ("open capitals", "r[d] = 1[V] (A[V,d] ⊙ B[V,d])", ["A[V,d] ⊙ B[V,d]"], "r[d] = sum[v](A[v,d] ⊙ B[v,d])"),
    ("needless sum", "s = sum[i](u[i] v[i])", ["sum[i](u[i] v[i])"], "s = u[I] v[I]"),
    ("needless sum", r"y_k = \sum_i \sum_j u_i A_{ij} v_{jk}",
     [r"\sum_i \sum_j u_i A_{ij} v_{jk}"],
     "y[k] = u[I] A[I,J] v[J,k]"),
    ("needless sum", "y = c sum[i](u[i] v[i])", ["sum[i](u[i] v[i])"], "y = c (u[I] v[I])"),
    ("needless sum", "L = sum[n](tanh(X[n,K] w[K]) y[n]) / 2",
     ["sum[n](tanh(X[n,K] w[K]) y[n])"],
     "L = (tanh(X[N,K] w[K]) y[N]) / 2"),
    ("needless sum", "y = sum[i](sum[j](A[i,j]) x[i])", ["sum[i](sum[j](A[i,j]) x[i])"], "y = sum[j](A[I,j]) x[I]"),
    ("needless sum", "L = -sum[b,c](T[b,c] log_softmax[c](Z[b,c]))",
     ["sum[b,c](T[b,c] log_softmax[c](Z[b,c]))"],
     "L = -T[B,C] log_softmax[C](Z[B,C])"),
    ("needless sum", r"claim y = \sum_i \frac{\partial y}{\partial x_i} x_i\\ y = x_I x_I",
     [r"\sum_i \frac{\partial y}{\partial x_i} x_i"],
     "claim y = ∂y/∂x[I] x[I]; y = x[I] x[I]"),
    ("a / b c", "y[i] = a[i] / b[i] c[i]", ["a[i] / b[i] c[i]"], "y[i] = (a[i] / b[i]) * c[i]"),
    ("a / b c", "y[i] = a[i] / b[i] c[i]", ["a[i] / b[i] c[i]"], "y[i] = a[i] / (b[i] c[i])"),
    ("a / b c", "y = 1/2 x", ["1/2 x"], "y = (1/2) * x"),
    ("unused", "fact T[n,C] 1[C] = 1[n]; y[i] = x[i]", ["T[n,C]"], "y[i] = x[i]"),
    ("unused", "y[i] = x[i] - x[i] + z[i]", ["x[i]"], "y[i] = z[i]"),
    ("unused", "y = x[I] x[I]\n∂y/∂x[i] = 2 X[i]", ["X[i]"], "y = x[I] x[I]\n∂y/∂x[i] = 2 x[i]"),
]  # fmt: skip

SILENT = [
    "Z[b,j] = X[b,K] W[K,j] + c[j]; Y[b,j] = tanh(Z[b,j]); L = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])",
    "f[j] = sigmoid(W[j,K] [h[K], x[K]]_K + b[j])",  # parts that are joined have sizes of their own
    "y[j] = W[j,K=0:2] x[K]; z[j] = W[j,M] v[M]",  # so has a part
    "L = sum[n](softplus(z[n])) - t[N] z[N]",  # two sums, nothing free
    "P[b,c] = softmax[c](Z[b,c])",  # c stays
    "y[i] = a[i] / b[i] * c[i]",
    r"y_i = \frac{a_i}{b_i} c_i",
    r"y_i = a_i / b_i \cdot c_i",
    "y = sum[i](x[i]^2)",  # x[I]^2 is none
    "y = sum[i](x[i])",
    "y = sum[i](a[i] b[i] + c[i])",  # c[I] alone is none
    "y[k] = sum[i](a[i] b[i]) (a[I] b[I]) x[k]",  # I is taken
    "y = sum[i](a[i] sum[i](a[i]))",  # the i inside is another one
    "r[d] = 1[V] (A[V,d] ⊙ b[d])",
    "fact 0 h[i] = 0[i]; n = size(h,1) + (h[K] - h[K]) 1[K]; y[j] = x[j]",  # of h the size is used
    "u[I] v[I] = v[I] u[I]\nL = w[K] w[K]",  # a claim of its own
    "L = f(x[I]) 1[I]\n∂L/∂x[i] = f'(x[i])",
]


# what printing a derivative may bring: einstan's own letters may be names of the program, and run along several axes
PRINTED = {"two sizes", "index and name"}


def remarks(text: str, rule: str) -> list[list[str]]:
    """The places that the remarks of a rule show, as they stand in the text."""
    return [[r.source[slice(*span)] for span in r.spans] for r in lint(es.parse(text)) if r.rule == rule]


@pytest.mark.parametrize(("rule", "text", "places", "better"), FOUND)
def test_found_and_repaired(rule: str, text: str, places: list[str], better: str) -> None:
    assert remarks(text, rule) == [places]
    assert remarks(better, rule) == []


def test_every_rule_has_a_case() -> None:
    assert {row[0] for row in FOUND} == set(RULES)


@pytest.mark.parametrize("text", SILENT)
def test_silent(text: str) -> None:
    assert lint(es.parse(text)) == ()


SHORT = [model for model in MODELS if not re.search(r"-[23]0\b", model.name)]


@pytest.mark.parametrize("model", SHORT, ids=lambda model: model.name)
def test_what_einstan_prints(model: Model) -> None:
    """Reading a program back changes no remark but its place, and derived lines bring few."""
    p = es.parse(model.text)
    own = lint(p)
    assert sorted(r.rule for r in lint(es.parse(str(p)))) == sorted(r.rule for r in own)
    whole = es.parse(f"{p}\n{p.grad(model.of, list(model.wrt))}")
    assert {r.rule for r in lint(whole)} <= {r.rule for r in own} | PRINTED


def test_letters_of_one_kind_are_told_together() -> None:
    text = "Y[b,j] = X[b,K] W[K,j]; Z[b,j] = Y[b,K] V[K,j] + b[j] + j[j]"
    found = {r.rule: r.message for r in lint(es.parse(text))}
    assert found == {
        "index and name": "b, j are indices, and names of tensors.",
        "two sizes": "One letter may have several sizes: K is axis 2 of X and axis 2 of Y; "
        "j is axis 2 of W and axis 2 of V.",
    }


def test_places_are_those_of_latex() -> None:
    """Also where the text declares labels."""
    text = r"\text{label } m \\ y_i^{(m)} = \sum_k a_{ik} b_k \\ W_m = y_I^{(m)} y_I^{(m)}"
    (remark,) = lint(es.parse(text))
    assert remark.source == text and text[slice(*remark.spans[0])] == r"\sum_k a_{ik} b_k"


def test_programs_from_python() -> None:
    """They have no one text; their places are in the text that they print."""
    u, v, i = *es.tensors("u[i] v[i]"), es.indices("i")
    p = es.program(y=es.sum[i](u[i] * v[i]), z=u[i])
    for program in (p, p.grad("y", wrt="u")):
        (remark,) = lint(program)
        assert [remark.source[slice(*span)] for span in remark.spans] == ["sum[i](u[i] v[i])"]


def test_a_claim_with_an_error_is_looked_at_all_the_same() -> None:
    text = "y = x[I] x[I]\n∂y/∂x[i] = x[i] / x[j] x[k] = sum[i](x[i] x[i])"
    assert {r.rule for r in lint(es.parse(text))} == {"a / b c", "needless sum"}


def test_long_sums_are_left_alone() -> None:
    """The text of a sum is read again to see that capitals give the same."""
    factors = " ".join(["u[i]"] * LONGEST)
    assert lint(es.parse(f"y = sum[i]({factors})")) == ()


def test_many_remarks_of_one_rule() -> None:
    text = "y = " + " + ".join(f"sum[i](a{n}[i] a{n}[i]) / 2 c" for n in range(30))
    assert Counter(r.rule for r in lint(es.parse(text))) == {"needless sum": MOST, "a / b c": MOST, "two sizes": 1}


# ---------------------------------------------------------------- the command

MISREAD = "Z[b,j] = X[b,K] W[K,j] + b[j]"


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "-e", MISREAD, "--lint"]) == 0
    shown = capsys.readouterr().out
    (remark,) = lint(es.parse(MISREAD))
    assert shown.endswith(f"\nnote: {remark}\n")
    assert main(["show", "-e", MISREAD]) == 0
    assert capsys.readouterr().out == shown.removesuffix(f"\nnote: {remark}\n")


def test_show_of_a_clean_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "-e", SILENT[0], "--lint"]) == 0
    assert capsys.readouterr().out.endswith("\nremarks   none\n")


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "-e", MISREAD, "--lint", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["remarks"]
    (remark,) = lint(es.parse(MISREAD))
    assert (found["rule"], found["message"], found["repair"]) == (remark.rule, remark.message, remark.repair)
    assert [(span["line"], span["column"]) for span in found["spans"]] == [(1, 3), (1, MISREAD.rindex("b[") + 1)]


def test_lint_is_of_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["show", "-e", MISREAD, "--lint", "--to", "latex"])
    assert refused.value.code == 2
