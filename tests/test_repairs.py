"""Wrong claims and the repairs that are found for them; slips made by the table of mutants."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

import numpy as np
import pytest

import einstan as es
from einstan.errors import EinstanError
from einstan.show.text import show_expr
from einstan.syntax import ast
from einstan.syntax.parser import parse_expression, parse_module
from einstan.verify.judge import Judge
from einstan.verify.links import Link, judged
from einstan.verify.repairs import Search

from .mutants import KINDS, PROGRAMS, Mutant, Right, mutants, right
from .test_seeds import ARTICLE, PRINTED

NET = """
    Z[b,j] = X[b,K] W[K,j] + c[j]
    Y[b,j] = tanh(Z[b,j])
    V[b,j] = Y[b,K] U[K,j]
    S[b,j] = softmax[j](V[b,j])
    L = T[B,J] log(S[B,J])
"""
MEANS = """
    m[i] = sum[k](x[i,k]) / size(x,2)
    L = m[I] m[I] + y[I] m[I]
"""
VECTORS = "L = u[I] v[I]; M = u[I] A[I,J] v[J]; q[i] = u[i]^2"
GATED = "h[d] = tanh(q[d]); q[d] = A[V,d] B[V,d]"
WAVE = "y[i] = sin(a x[i]); L = y[I] y[I]"
OPAQUE = "Y[i,j] = f(Z[i,j]); R[i,j] = g[j](Y[i,K]); L = loss(R[:])"

REPAIRS = [
    # program, wrong claim, the claim as it should be, what the reason says
    (NET, "∂L/∂V[b,j] = T[b,j] - S[b,j] T[b,c]", "∂L/∂V[b,j] = T[b,j] - sum[c](S[b,j] T[b,c])", "The sum over c"),
    (NET, "∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,k]", "∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,j]", "k should be j."),
    (NET, "∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,J]", "∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,j]", "J should be j."),
    (NET, "∂L/∂Y[b,j] = ∂L/∂V[b,K] U[K,j]", "∂L/∂Y[b,j] = ∂L/∂V[b,K] U[j,K]", "K and j should be swapped in U[K,j]."),
    (NET, "∂L/∂Z[b,j] = ∂L/∂Y[b,j]", "∂L/∂Z[b,j] = ∂L/∂Y[b,j] tanh'(Z[b,j])", "The factor tanh'(Z[b,j]) is missing."),
    (NET, "∂L/∂Z[b,j] = ∂L/∂Y[b,j] (1 - Y[b,j])", "∂L/∂Z[b,j] = ∂L/∂Y[b,j] (1 - Y[b,j]^2)", "exponent 2"),
    (NET, "∂L/∂Z[b,j] = ∂L/∂Y[b,j] (1 + Y[b,j]^2)", "∂L/∂Z[b,j] = ∂L/∂Y[b,j] (1 - Y[b,j]^2)", "The sign of Y[b,j]^2"),
    (NET, "∂L/∂Z[b,j] = ∂L/∂Y[b,j] tanh(Z[b,j])", "∂L/∂Z[b,j] = ∂L/∂Y[b,j] tanh'(Z[b,j])", "tanh should be tanh'."),
    (NET, "∂L/∂c[j] = ∂L/∂Z[B,j]", "∂L/∂c[j] = ∂L/∂Z[B,j] 1[B]", "The sum over B is missing."),
    (NET, "∂L/∂c[j] = ∂L/∂Z[b,j]", "∂L/∂c[j] = sum[b](∂L/∂Z[b,j])", "The sum over b is missing."),
    (NET, "∂L/∂X[b,k] = ∂L/∂Z[b,j] W[k,j]", "∂L/∂X[b,k] = ∂L/∂Z[b,J] W[k,J]", "The sum over j is missing."),
    (NET, "∂L/∂X[b,k] = -∂L/∂Z[b,J] W[k,J]", "∂L/∂X[b,k] = ∂L/∂Z[b,J] W[k,J]", "The sign is wrong."),
    (NET, "∂L/∂U[k,j] = X[B,k] ∂L/∂V[B,j]", "∂L/∂U[k,j] = Y[B,k] ∂L/∂V[B,j]", "X[B,k] should be Y[B,k]."),
    (NET, "∂L/∂U[k,j] = ∂L/∂V[B,j]", "∂L/∂U[k,j] = Y[B,k] ∂L/∂V[B,j]", "The factor Y[B,k] is missing."),
    (NET, "∂L/∂U[k,j] = 2 Y[B,k] ∂L/∂V[B,j] Y[B,k]", None, None),
    (NET, "∂L/∂Z[b,j] = ∂L/∂V[b,K] U[j,K]", "∂L/∂Z[b,j] = ∂L/∂V[b,K] U[j,K] tanh'(Z[b,j])", "The factor"),
    (NET, "∂L/∂V[b,j] = ∂L/∂S[b,K]", "∂L/∂V[b,j] = ∂L/∂S[b,K] ∂S[b,K]/∂V[b,j]", "The factor ∂S[b,K]/∂V[b,j]"),
    ("P[i,j] = softmax[j](S[i,j])", "claim P[I,j] 1[I] = 1[j]", None, None),
    ("y = abs(x)", "∂y/∂x = 1", None, None),
    ("", "claim A[i,K] B[K,j] = 7 A[i,K] B[K,j]", None, None),
    (
        "l = logdet[i,j](A[i,j]); B[i,j] = inv[i,j](A[i,j])",
        "∂l/∂B[i,j] = -A[j,i]",
        "∂l/∂B[i,j] = 0",
        "-A[j,i] should be 0.",
    ),
    (NET, "∂L/∂X[b,j] = T[b,j] / S[b,j]", "∂L/∂S[b,j] = T[b,j] / S[b,j]", "This is ∂L/∂S[b,j], not ∂L/∂X[b,j]."),
    (NET, "∂L/∂V[b,j] = T[b,j] - S[b,j]", "∂L/∂V[b,j] = T[b,j] - S[b,j] (T[b,J] 1[J])", "The factor (T[b,J] 1[J])"),
    (NET, "∂L/∂Z = ∂L/∂Y[b,j] (1 - Y[b,j])^2", "∂L/∂Z = ∂L/∂Y[b,j] (1 - Y[b,j]^2)", "should be (1 - Y[b,j]^2)."),
    (NET, "claim tanh'(x) = 1 - tanh(x^2)", "tanh'(x) = 1 - tanh(x)^2", "tanh(x^2) should be tanh(x)^2."),
    (NET, "claim S[b,j] = exp(V[b,j]) / sum[j](exp(V[b,J]))", "S[b,j] = exp(V[b,j]) / sum[j](exp(V[b,j]))", "J"),
    (MEANS, "∂L/∂m[i] = m[i] + y[i]", "∂L/∂m[i] = 2 m[i] + y[i]", "The factor 2 is missing."),
    (MEANS, "∂L/∂m[i] = 3 m[i] + y[i]", "∂L/∂m[i] = 2 m[i] + y[i]", "3 should be 2."),
    (MEANS, "∂L/∂m[i] = 2 m[i]", "∂L/∂m[i] = 2 m[i] + y[i]", "The term y[i] is missing."),
    (MEANS, "∂L/∂m[i] = 2 m[i] + y[i] + 1", "∂L/∂m[i] = 2 m[i] + y[i]", "The term 1 is too much."),
    (MEANS, "∂L/∂x[i,k] = ∂L/∂m[i]", "∂L/∂x[i,k] = ∂L/∂m[i] / size(x,2)", "The factor 1 / size(x,2) is missing."),
    (GATED, "claim h[d] = tanh(A[v,K] B[K,d])", "h[d] = tanh(A[K,d] B[K,d])", "A[v,K] should be A[K,d]."),
    (GATED, "claim h[d] = tanh(A[V,D] B[V,D])", "h[d] = tanh(A[V,d] B[V,d])", "The sum over D is too much."),
    (VECTORS, "∂L/∂u[i] = u[i] v[i]", "∂L/∂u[i] = v[i]", "The factor u[i] is too much."),
    (VECTORS, "∂M/∂u[i] = A[J,i] v[J]", "∂M/∂u[i] = A[i,J] v[J]", "J and i should be swapped in A[J,i]."),
    (VECTORS, "∂q[i]/∂u[k] = 2 u[i]", "∂q[i]/∂u[k] = 2 u[i] delta[i,k]", None),
    (VECTORS, "claim u[I] v[i] = sum[i](u[i] v[i])", "u[I] v[I] = sum[i](u[i] v[i])", "i should be I."),
    (VECTORS, "claim u[I] A[I,J] v[J] = v[I] A[I,J] u[J]", "u[I] A[I,J] v[J] = v[I] A[J,I] u[J]", "swapped"),
    (WAVE, "∂L/∂x[i] = a ∂L/∂y[i] sin(a x[i])", "∂L/∂x[i] = a ∂L/∂y[i] cos(a x[i])", "sin should be cos."),
    (WAVE, "∂L/∂x[i] = ∂L/∂y[i] cos(a x[i])", "∂L/∂x[i] = a ∂L/∂y[i] cos(a x[i])", "The factor a is missing."),
    (WAVE, "∂L/∂a = ∂L/∂y[I] cos(a x[I]) a", "∂L/∂a = ∂L/∂y[I] cos(a x[I]) x[I]", "a should be x[I]."),
    (OPAQUE, "∂L/∂Z[i,j] = ∂L/∂Y[i,j]", "∂L/∂Z[i,j] = ∂L/∂Y[i,j] f'(Z[i,j])", "The factor f'(Z[i,j]) is missing."),
    (OPAQUE, "∂L/∂Y[i,j] = ∂L/∂R[i,J]", "∂L/∂Y[i,j] = ∂L/∂R[i,J] ∂R[i,J]/∂Y[i,j]", "∂R[i,J]/∂Y[i,j]"),
    ("W[i,j] = sin(x M[i,j]); f = g(W)", "∂f/∂W = ∂f/∂W[I,J] ∂W[I,J]/∂x", "∂f/∂x = ∂f/∂W[I,J] ∂W[I,J]/∂x", "∂f/∂x"),
    ("", "claim x^2 = x x x", "x^2 = x x", "The factor x is too much."),
    ("", "claim sin(x)^2 = 1 + cos(x)^2", "sin(x)^2 = 1 - cos(x)^2", "The sign of cos(x)^2 is wrong."),
    ("", "claim x + y = 2 x y z", None, None),
    ("", "claim (u[I] w[I])^2 = sum[i](u[i]^2)", None, None),
    (VECTORS, "∂²M/∂u[i]∂v[j] = A[j,i]", "∂²M/∂u[i]∂v[j] = A[i,j]", "should be swapped in A[j,i]."),
]  # fmt: skip


@pytest.mark.parametrize(("program", "claim", "meant", "reason"), REPAIRS, ids=[row[1] for row in REPAIRS])
def test_repairs(program: str, claim: str, meant: str | None, reason: str | None) -> None:
    (verdict,) = es.check(f"{program}\n{claim}")
    assert verdict.holds is False
    assert verdict.suggestion == meant
    assert (reason or "") in verdict.reason
    if meant is not None:
        assert [again.holds for again in es.check(f"{program}\nclaim {meant}")] == [True]


SEEDS = [
    # seed, the link that fails, its repair, what the reason says
    ("C20", 0, "tanh'(Z^{(m-1)}[i,j])", "The factor tanh'(Z^{(m-1)}[i,j]) is missing."),
    ("C21", 3, "∂L/∂Z^{(m)}[A,j] X^{(m-1)}[A,i]", "B should be j."),
    ("C22", 2, "∂L/∂Z^{(m)}[A,i] ∂Z^{(m)}[A,i]/∂b^{(m)}[i]", "j should be i."),
]


@pytest.mark.parametrize(("seed", "at", "repair", "reason"), SEEDS, ids=[row[0] for row in SEEDS])
def test_the_article(seed: str, at: int, repair: str, reason: str) -> None:
    verdicts = es.check(ARTICLE + next(row[2] for row in PRINTED if row[0] == seed))
    assert [n for n, v in enumerate(verdicts) if not v.holds] == [at]
    assert (verdicts[at].suggestion or "").endswith(repair)
    assert reason in verdicts[at].reason


@pytest.mark.parametrize("name", PROGRAMS[:7])
def test_a_glance_sees_what_the_judge_sees(name: str) -> None:
    judge = Judge(right(name).program)
    for claim in judge.program.checked.claims:
        left, tree = claim.claim.forms
        search = Search(judge, left, tree)
        wanted = search.wanted(tree)
        assert wanted is not None
        assert wanted.is_near(search.glance.of(tree))
        assert not wanted.is_near(search.glance.of(ast.Product((ast.Number(Fraction(2)), tree), (False, False))))


# ---------------------------------------------------------------- mutants


@dataclass(frozen=True)
class Found:
    """What is said of a mutant: its verdict, whether the repair is the original, how many edits were looked at."""

    mutant: Mutant
    holds: bool | None
    original: bool
    looked: int


def found(m: Mutant, judge: Judge) -> Found:
    slipped = parse_expression(show_expr(m.slipped), judge.checked.labels)
    left = judge.form(m.left)
    try:
        right_form, error = judge.form(slipped, left), None
    except EinstanError as wrong:
        right_form, error = None, wrong
    link = Link(m.left, slipped, left, right_form, error, "")
    holds = judged(judge, link).holds
    if holds is not False:
        return Found(m, holds, False, 0)
    search = Search(judge, m.left, slipped)
    repair = search.repair()
    return Found(m, holds, repair is not None and is_original(m, judge, repair.suggestion), search.looked)


def is_original(m: Mutant, judge: Judge, suggestion: str) -> bool:
    """Whether the claims are one but for the order of factors and the letters of sums."""
    (claim,) = parse_module(f"claim {suggestion}", judge.checked.labels).statements
    assert isinstance(claim, ast.Claim)
    left, right_side = claim.forms
    same_left = show_expr(left) == show_expr(m.left)
    return same_left and written(judge, right_side, m.left) is written(judge, m.original, m.left)


def written(judge: Judge, tree: ast.Expr, left: ast.Expr) -> object:
    """The node of a formula before any law."""
    before = judge.form(left)
    return judge.form(tree, before).node


def is_unchanged(m: Mutant, p: es.Program) -> bool:
    """Whether the mutant has the value of the original, by a kernel."""
    axes = ",".join(index.name for e in ast.postorder(m.left) for index in ast.indices_of(e))
    text = f"Off[{axes}]" if axes else "Off"
    q = p.reading(f"{text} = ({show_expr(m.slipped)}) - ({show_expr(m.original)})")
    rng = np.random.default_rng(5)
    symbols = sorted({s for n in q.inputs for d in q.checked.shapes[n] for s in d.symbols})
    env = dict(zip(symbols, (2, 3, 5, 7, 11, 13, 17, 19), strict=False))
    data = {n: rng.standard_normal([d.at(env) for d in q.checked.shapes[n]]) for n in q.inputs}
    return bool(np.allclose(q.run("Off", **data), 0, atol=1e-12))


def bounds(programs: list[Right], each: int) -> None:
    """Every mutant that changes the value fails; few are undecided; nearly all are repaired to the original."""
    results = []
    for one in programs:
        judge = Judge(one.program)
        results += [found(m, judge) for m in mutants(one, seed=0, each=each)]
    assert len(results) >= 200
    assert {r.mutant.kind for r in results} == set(KINDS)
    for r in results:
        assert r.holds is not True or is_unchanged(r.mutant, r.mutant.right.program), r.mutant.claim
    counts = Counter(r.holds for r in results)
    assert counts[None] <= 0.02 * len(results)
    wrong = [r for r in results if r.holds is False]
    assert sum(r.original for r in wrong) >= 0.8 * len(wrong), [r.mutant.claim for r in wrong if not r.original]
    assert median(r.looked for r in wrong) <= 50


def test_mutants() -> None:
    bounds([right(name) for name in PROGRAMS[:7]], 6)


@pytest.mark.slow
def test_mutants_of_all_models() -> None:
    bounds([right(name) for name in PROGRAMS], 12)
