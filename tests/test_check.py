"""Verdicts: right claims hold, wrong ones fail, each link of a chain by itself; nothing is called what it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.cli import main
from einstan.verify.judge import Form, Judge, agree
from einstan.verify.links import forms_of
from einstan.verify.sizes import environments

from .models import MODELS, Model
from .random_checks import Case
from .random_programs import program
from .test_seeds import ARTICLE, PRINTED, RANKS, chain, listed, numbered

EXAMPLE = Path(__file__).parent.parent / "examples" / "mathematics_of_neural_networks.ein"
T, F, U = True, False, None
HOW = ("normal form", "exact, modulo a prime", "sampling")


def holds(text: str, **options: Any) -> list[bool | None]:
    return [v.holds for v in es.check(text, **options)]


# ---------------------------------------------------------------- the article

LINKS = {"C2": [T], "C13": [F, T], "C19": [T, T, T], "C20": [F, T, T, T], "C21": [T, T, T, F], "C22": [T, T, F, T]}
REPAIRS = {
    "C13": ["∂f/∂x"],
    "C20": ["σ'_l(Z^{(m-1)}[i,j])"],
    "C21": ["∂L/∂Z^{(m)}[A,j] X^{(m-1)}[A,i]"],
    "C22": ["∂L/∂Z^{(m)}[A,i] ∂Z^{(m)}[A,i]/∂b^{(m)}[i]"],
}


def test_the_example() -> None:
    """C2 = C3, C12 at ranks 0 to 3, C13, C19 to C22, in this order."""
    verdicts = es.check(EXAMPLE.read_text("utf-8"))
    want = [*LINKS["C2"], *[T, T] * len(RANKS), *(x for seed in list(LINKS)[1:] for x in LINKS[seed])]
    assert [v.holds for v in verdicts] == want
    suggested = [v.suggestion for v in verdicts if not v.holds]
    for suggestion, (part,) in zip(suggested, REPAIRS.values(), strict=True):
        assert suggestion is not None and part in suggestion


def test_the_example_prints_the_article() -> None:
    """Every chain as it is printed; at rank 3, C12 up to the labels of its tensors."""
    text = EXAMPLE.read_text("utf-8")
    for seed in LINKS:
        assert next(row[2] for row in PRINTED if row[0] == seed) in text
    for rank in RANKS:
        printed = chain(rank, rank, rank)[0]
        for name in "XYZ":
            printed = printed.replace(f"\\partial {name}", f"\\partial {name}^{{({rank})}}")
        assert printed in text


def whole(name: str, rank: int) -> str:
    return f"{name}[:]" if rank else name


@pytest.mark.parametrize("rank", RANKS)
def test_the_chain_rule_at_all_ranks(rank: int) -> None:
    """C12: Z of Y of X, whole tensors, of all ranks of the three."""
    for n in RANKS:
        for m in RANKS:
            k, j, i = listed(numbered("k", n)), listed(numbered("j", m)), listed(numbered("i", rank))
            context = f"X{i} = 2 S{i}\nY{j} = g{j}({whole('X', rank)})\nZ{k} = h{k}({whole('Y', m)})\n"
            assert holds(context + chain(n, m, rank)[0]) == [T, T]


@pytest.mark.parametrize("seed", ["C19", "C20", "C21", "C22"])
def test_the_article_with_known_functions(seed: str) -> None:
    printed = next(row[2] for row in PRINTED if row[0] == seed)
    assert holds(ARTICLE + printed) == LINKS[seed]


NETWORK = """
    label m, n
    X^{(0)}[i,j] = BEFORE(Z^{(0)}[i,j])
    Z^{(m)}[i,j] = X^{(0)}[i,K] W^{(m)}[K,j] + b^{(m)}[j]
    X^{(m)}[i,j] = ACTIVATION
    Z^{(n)}[i,j] = X^{(m)}[i,K] W^{(n)}[K,j] + b^{(n)}[j]
    X^{(n)}[i,j] = LAST
    L = loss(X^{(n)}[:])
"""
ENTRYWISE = NETWORK.replace("BEFORE", "ρ").replace("ACTIVATION", "σ_m(Z^{(m)}[i,j])")
ENTRYWISE = ENTRYWISE.replace("LAST", "σ_n(Z^{(n)}[i,j])")
ROW_WISE = NETWORK.replace("BEFORE", "tanh").replace("ACTIVATION", "σ_m[j](Z^{(m)}[i,K])")
ROW_WISE = ROW_WISE.replace("LAST", "σ_n[j](Z^{(n)}[i,K])")
WEIGHTS = """
    ∂L/∂W^{(m)}[i,j] = X^{(0)}[A,i] ∂L/∂Z^{(m)}[A,j]
    ∂L/∂b^{(m)}[j] = ∂L/∂Z^{(m)}[A,j] 1[A]
"""
BACKWARD = [
    (ENTRYWISE, "∂L/∂Z^{(n)}[i,j] = ∂L/∂X^{(n)}[i,j] σ_n'(Z^{(n)}[i,j])", T),
    (ENTRYWISE, "∂L/∂Z^{(m)}[i,j] = ∂L/∂Z^{(n)}[i,B] W^{(n)}[j,B] σ_m'(Z^{(m)}[i,j])", T),
    (ENTRYWISE, "∂L/∂Z^{(0)}[i,j] = ∂L/∂Z^{(m)}[i,B] W^{(m)}[j,B] ρ'(Z^{(0)}[i,j])", T),
    (ENTRYWISE, "∂L/∂Z^{(n)}[i,j] = ∂L/∂X^{(n)}[i,B] ∂X^{(n)}[i,B]/∂Z^{(n)}[i,j]", T),
    (ROW_WISE, "∂L/∂Z^{(n)}[i,j] = ∂L/∂X^{(n)}[i,B] ∂X^{(n)}[i,B]/∂Z^{(n)}[i,j]", T),
    (ROW_WISE, "∂L/∂Z^{(n)}[i,j] = ∂L/∂X^{(n)}[i,B] σ_n'[B,j](Z^{(n)}[i,K])", T),
    (ROW_WISE, "∂L/∂Z^{(m)}[i,j] = ∂L/∂Z^{(n)}[i,B] W^{(n)}[C,B] ∂X^{(m)}[i,C]/∂Z^{(m)}[i,j]", T),
    (ROW_WISE, "∂L/∂Z^{(0)}[i,j] = ∂L/∂Z^{(m)}[i,B] W^{(m)}[j,B] (1 - X^{(0)}[i,j]^2)", T),
    (ENTRYWISE, "∂L/∂Z^{(m)}[i,j] = ∂L/∂Z^{(n)}[i,B] W^{(n)}[j,B] σ_n'(Z^{(m)}[i,j])", F),
    (ENTRYWISE, "∂L/∂Z^{(m)}[i,j] = ∂L/∂Z^{(n)}[i,B] W^{(n)}[B,j] σ_m'(Z^{(m)}[i,j])", F),
    (ROW_WISE, "∂L/∂Z^{(n)}[i,j] = ∂L/∂X^{(n)}[i,B] ∂X^{(n)}[i,j]/∂Z^{(n)}[i,B]", F),
    (ROW_WISE, "∂L/∂Z^{(n)}[i,j] = ∂L/∂X^{(n)}[i,j] ∂X^{(n)}[i,j]/∂Z^{(n)}[i,j]", F),
]


@pytest.mark.parametrize(("context", "claim", "right"), BACKWARD, ids=[row[1] for row in BACKWARD])
def test_the_backward_pass(context: str, claim: str, right: bool) -> None:
    """Of unknown functions, entry by entry and row-wise, to an unknown loss."""
    assert holds(f"{context}\n{claim}\n{WEIGHTS}") == [right, T, T]


# ---------------------------------------------------------------- printed gradients hold

LONG = ("dense-5", "dense-20", "-30")


def printed(model: Model) -> str:
    p = es.parse(model.text)
    return f"{p}\n{p.grad(model.of, list(model.wrt))}"


@pytest.mark.parametrize("model", [m for m in MODELS if not any(x in m.name for x in LONG)], ids=lambda m: m.name)
def test_printed_gradients_hold(model: Model) -> None:
    assert set(holds(printed(model))) == {T}


@pytest.mark.slow
@pytest.mark.parametrize("model", [m for m in MODELS if any(x in m.name for x in LONG)], ids=lambda m: m.name)
def test_printed_gradients_of_long_models_hold(model: Model) -> None:
    assert set(holds(printed(model))) == {T}


# ---------------------------------------------------------------- links, forms, indices

NET = "Y[b,j] = tanh(Z[b,j]); Z[b,j] = X[b,K] W[K,j] + c[j]; L = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])"
CASES: list[tuple[str, str, list[bool | None], str]] = [
    # program, claims, verdicts, a word of the reasons
    (NET, "∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,j] = X[B,k] ∂L/∂Y[B,j] tanh'(Z[B,j])", [T, T], ""),
    (NET, "∂L/∂W = X[B,k] ∂L/∂Z[B,j]", [T], ""),
    (NET, "∂L/∂W = X[B,j] ∂L/∂Z[B,i]", [T], ""),
    (NET, "∂L/∂c[j] = ∂L/∂Z[B,j]", [F], "B is capitalised"),
    (NET, "∂L/∂c[j] = ∂L/∂Z[b,j] = ∂L/∂Z[B,j] 1[B]", [F, T], "The index b is free on the right"),
    (NET, "∂L/∂c[j] = ∂L/∂Z[B,J] 1[B] 1[J] = ∂L/∂Z[B,j] 1[B]", [F, T], "The index j is lost"),
    (NET, "∂L/∂W = ∂L/∂Z[B,j] 1[B]", [F], "The derivative has 2 axes"),
    (NET, "∂L/∂W = ∂L/∂Z[B,j] = X[B,k] ∂L/∂Z[B,j]", [F, T], "B is capitalised"),
    (NET, "∂L/∂c[j] = ∂L/∂Z[B,j] = ∂L/∂Z[b,j] = ∂L/∂Z[B,j] 1[B]", [F, F, T], ""),
    (NET, "∂L/∂Z[b,j] = ∂L/∂Y[b,j] = 2 Y[b,j] - 2 T[b,j]", [F, T], ""),
    (NET, "∂Y[b,j]/∂Z[a,i] = delta[a,b] delta[i,j] (1 - Y[b,j]^2)", [T], ""),
    (NET, "∂²L/∂c[i]∂c[j] = ∂²L/∂c[j]∂c[i]", [T], ""),
    (NET, "∂T[b,j]/∂X[a,k] = 0 = 1 - 1", [T, T], ""),
    (NET, "claim X[b,k] = T[b,j]", [F], "The index j"),
    (NET, "claim X[b,k] = W[b,k]", [F], ""),
    ("V[i] = u[i] + w[i] = w[i] + u[i] = u[i]", "", [T, F], ""),
    ("", "claim u[I] v[I] = sum[i](u[i] v[i])", [T], ""),
    ("", "claim u[I] v[I] = sum[i](u[i] w[i])", [F], ""),
    ("", "claim 0 = x[i] - x[i]", [T], ""),
    ("", "claim 0 = x[i]", [F], "The index i is free"),
    ("", "claim A[i,I] = B[i]", [F], "I is capitalised"),
    ("", "claim A[i,j] = A[j,i]", [F], ""),
    ("", "claim A[I,J] A[I,J] = A[I,J] A[J,I]", [F], ""),
    ("", "claim A[i,j] A[j,i] = A[j,i] A[i,j]", [T], ""),
    ("", "claim |K| x[K] = sum[k](|k| x[k])", [F], "K is capitalised"),
    ("", "claim mean[k](x[k]) = x[K] 1[K] / size(x,1)", [T], ""),
    ("", "claim mean[k](x[k]) = x[K] 1[K]", [F], ""),
    ("", "claim [x[k], y[k]]_k [x[k], y[k]]_k = [x[k]^2, y[k]^2]_k", [T], ""),
    ("", "claim sum[k](A[i,k=0:3]) = sum[k](A[i,k=0:2]) + sum[k](A[i,k=2:3])", [T], ""),
    ("", "claim x[K] 1[K] = 2 mean[k](x[k]) = 3 mean[k](x[k]) = 7 mean[k](x[k])", [F, F, F], ""),
    ("", "claim A[i,j] = A[i,K] B[K,j]", [F], ""),
    ("", "claim 2 = |K| = 3", [F, F], ""),
    ("", "claim relu(w) = w", [F], ""),
    ("", "claim relu'(w) = step(w)", [T], ""),
    ("", "claim exp(a + b) = exp(a) exp(b) = exp(a) + exp(b)", [T, F], ""),
    ("", "claim sqrt(a^2) = abs(a) = a", [T, F], ""),
    ("", "claim sin(2 a) = 2 sin(a) cos(a)", [T], ""),
    ("", "claim log(a^2 + 1) = log(1 + a^2) = a", [T, F], ""),
    ("", "claim step(exp(a) exp(b) - exp(a + b)) = 0", [U], ""),
    ("", "claim log(-a^2 - 1) = a", [U], "finite"),
    ("", "claim relu(a - exp(b) - 99) sin(2 a) = relu(a - exp(b) - 99) sin(a)", [F], ""),
    ("", "claim relu(-exp(b)) sin(2 a) = relu(-exp(b)) sin(a)", [U], "Both sides are 0"),
    ("", "claim sigmoid(9 + a^2) sigmoid(-40) = 2 sigmoid(9 + a^2) sigmoid(-40)", [F], ""),
    ("", "claim sin(2 a) - 2 sin(a) cos(a) = 0", [T], ""),
    ("L = max[j]([a B[j], min[n](x[n,j])]_j)", "∂L/∂B[j] = 2 ∂L/∂B[j] = -∂L/∂B[j]", [F, F], ""),
    ("", "claim det[i,j](A[i,K] A[K,j]) = det[i,j](A[i,j])^2", [T], ""),
    ("", "claim logdet[i,j](A[i,K] A[K,j]) = 2 logdet[i,j](A[i,j])", [T], ""),
    ("", "claim cholesky[i,j](A[i,K] A[j,K] + delta[i,j]) 1[i] 1[j] = A[i,j]", [F], ""),
    ("", "claim f(a, b) = f(b, a)", [F], ""),
    ("", "claim f(a + 3) - 3 f(a + 2) + 3 f(a + 1) - f(a) = f'''(a)", [F], ""),
    ("", "claim tanh(f(a)) = tanh(f(a)) + 1e-9 b", [F], ""),
    ("", "claim min(relu(x), 6) = relu(x)", [F], ""),
    ("", "claim log(min(x, 5)) = log(x)", [F], ""),
    ("", "claim max(x^2, 1e-12) = x^2", [F], ""),
    ("", "claim max(x^2, 0) = x^2", [T], ""),
    ("", "claim step(x - 20) = 0", [F], ""),
    ("", "claim min(y / x, softplus(z)) = min(min(y / x, 100), softplus(z))", [F], ""),
    ("", "claim max(f(x), -100) = f(x) = min(f(x), f(x))", [F, T], ""),
    ("", "claim cosh(1e-9 x) = 1", [F], ""),
    ("", "claim sin(x) + 1e-30 y = sin(x)", [F], ""),
    ("", "claim where(x < 40, x, 0) = x = where(x < y, x, x)", [F, T], ""),
    ("", "claim (x^4)^(1/4) = x", [F], ""),
    ("", "claim atan(x) + atan(1/x) = pi/2", [F], ""),
    ("n = norm[k](x[k])", "∂n/∂x[k] = x[k]/n = x[k]/n^2", [T, F], ""),
    ("", "claim sqrt(sigmoid(9 x)) = 1/sqrt(1 + exp(-9 x))", [T], ""),
    ("y[i] = x[i]^3", "∂y[i]/∂x[j] = 3 x[i]^2 delta[i,j] = 3 x[j]^2 delta[j,i]", [T, T], ""),
    ("y[i] = x[i]^3", "∂y[I]/∂x[I] = 3 x[I] x[I]", [T], ""),
    ("P[i] = exp(x[i]); Q[i] = exp(x[i]); L = P[I] Q[I]", "∂L/∂P[i] = Q[i] = P[i]", [T, T], ""),
    ("P[i] = exp(x[i]); Q[i] = exp(x[i]); L = P[I] Q[I]", "∂L/∂P[i] = 2 Q[i]", [F], ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "claims", "want", "word"), CASES, ids=[f"{row[0][:9]} {row[1]}" for row in CASES])
def test_verdicts(text: str, claims: str, want: list[bool | None], word: str) -> None:
    verdicts = es.check(f"{text}\n{claims}")
    assert [v.holds for v in verdicts] == want
    assert not word or any(word in v.reason for v in verdicts)
    for v in verdicts:
        assert (v.method in HOW and not v.suggestion) or v.holds is not True
        assert v.holds or (v.reason and v.spans)


ENTROPY = "p[n,c] = softmax[c](Z[n,c]); L = -T[N,C] log(p[N,C])"
FACTS = [
    ("fact T[n,C] 1[C] = 1[n]", "claim T[N,C] 1[C] 1[N] = size(T,1)", T),
    ("fact T[n,C] 1[C] = 1[n]", "claim exp(sum[c](T[n,c])) = exp(1) 1[n]", T),
    ("fact T[n,C] 1[C] = 1[n]", "claim exp(sum[c](T[n,c])) = exp(2) 1[n]", F),
    ("fact T[n,C] 1[C] = 1[n]", "claim T[n,c]^2 = T[n,c]", F),
    ("fact T[n,C] 1[C] = 1[n]; L = T[N,C] a[C] b[N]", "∂L/∂T[n,c] = b[n] a[c]", T),
    (f"fact T[n,C] 1[C] = 1[n]; {ENTROPY}", "∂L/∂Z[n,c] = p[n,c] - T[n,c]", T),
    (ENTROPY, "∂L/∂Z[n,c] = p[n,c] - T[n,c]", F),
    ("fact S[i,j] = S[j,i]; L = u[I] S[I,J] u[J]", "∂L/∂u[i] = 2 S[i,J] u[J]", T),
    ("L = u[I] S[I,J] u[J]", "∂L/∂u[i] = 2 S[i,J] u[J]", F),
    ("fact S[i,j] = S[j,i]; L = u[I] S[I,J] u[J]", "∂L/∂u[i] = S[i,J] u[J]", F),
    ("fact u[I] u[I] = 1", "claim sqrt(u[I] u[I]) = 1", T),
    ("fact A[i,j] = -A[j,i]", "claim x[I] A[I,J] x[J] = 0", T),
    ("fact (a - b)^2 = 0", "claim a = b", U),
    ("fact a = a + 1", "claim b = c", U),
]  # fmt: skip


@pytest.mark.parametrize(("text", "claim", "want"), FACTS, ids=[" ".join(row[:2]) for row in FACTS])
def test_facts(text: str, claim: str, want: bool | None) -> None:
    """A claim is judged where the facts hold, and its derivatives go around them."""
    assert holds(f"{text}\n{claim}") == [want]


def test_counterexamples_are_values() -> None:
    """The sizes, the entry and both values of a failing claim: of a ratio that is known, at an entry that there is."""
    (verdict,) = es.check("claim A[i,K] B[K,j] = 3 A[i,K] B[K,j]")
    found = verdict.counterexample
    assert found is not None and found.right == pytest.approx(3 * found.left) and found.left
    assert set(found.entry) == {"i", "j"} and all(found.entry[x] < found.sizes[x] for x in found.entry)
    assert len(set(found.sizes.values())) == len(found.sizes)


def test_the_seed_decides_all() -> None:
    text = f"{NET}\n∂L/∂W[k,j] = 2 X[B,k] Y[B,j]\nclaim exp(a + b) = exp(a) exp(b)"
    assert es.check(text, seed=3) == es.check(text, seed=3)
    assert [v.holds for v in es.check(text, seed=-3)] == [F, T]
    first, second = (es.check(text, seed=seed)[0].counterexample for seed in (3, 4))
    assert first != second


def test_sizes_and_trials() -> None:
    """A claim of one size holds at that size; sizes that the program gives are kept."""
    claim = "claim x[K] 1[K] = 5 mean[k](x[k])"
    assert holds(claim) == [F] and holds(claim, sizes={"k": 5}) == [T] and holds(f"size k = 5\n{claim}") == [T]
    assert holds("claim exp(x[k]) = y[k]", sizes={"k": 10**9}) == [U]
    (verdict,) = es.check("claim exp(a + b) = exp(a) exp(b)", trials=9)
    assert verdict.method == "sampling" and verdict.trials == 9 and 0 < (verdict.error_bound or 0) < 1e-10
    (exact,) = es.check("claim (a + b)^2 = a^2 + 2 a b + b^2")
    assert exact.method == "exact, modulo a prime" and (exact.error_bound or 1) < 1e-15


def test_sizes_that_cannot_be_one() -> None:
    (verdict,) = es.check("p[k] = [h[k], h[k]]_k; q[k] = [g[k], g[k], g[k]]_k; claim p[I] q[I] = 2 h[I] g[I]")
    assert verdict.holds is False and verdict.method == "indices" and "must be equal" in verdict.reason


ERRORS = [
    ("claim ∂L/∂w = 1", {}, es.EinstanNameError, "L"),
    ("claim x = ", {}, es.EinstanSyntaxError, "end of the text"),
    ("y[i] = x[i] x[J]", {}, es.EinstanIndexError, "J"),
    ("claim x[k] = x[k]", {"trials": 0}, es.EinstanError, "trials"),
    ("claim x[k] = x[k]", {"sizes": {"q": 3}}, es.EinstanNameError, "q"),
    ("claim x[k] = x[k]", {"sizes": {"k": -3}}, es.EinstanShapeError, "size"),
]


@pytest.mark.parametrize(("text", "options", "kind", "word"), ERRORS)
def test_errors_of_the_text(text: str, options: dict[str, Any], kind: type[Exception], word: str) -> None:
    with pytest.raises(kind, match=word):
        es.check(text, **options)


def test_labels_and_functions_are_those_of_parse() -> None:
    cube = es.function("cube", lambda x: x**3)
    assert holds("claim cube'(W_f) = 3 W_f^2", labels="f", functions=[cube]) == [T]


# ---------------------------------------------------------------- random programs

SPOILED = (lambda right: f"2 ({right})", lambda right: f"-({right})", lambda right: f"({right}) + 1/1000")
SMALL = {"sizes": (2, 3, 3, 5), "depth": 2}


def verdicts(text: str) -> list[bool | None]:
    """Whether claims of one link hold, with no search for repairs."""
    p = es.parse(text)
    judge, found = Judge(p), []
    for claim in p.checked.claims:
        own = judge.bound(claim.binding)
        left, right = forms_of(own, claim)
        assert isinstance(left, Form) and isinstance(right, Form)
        found.append(own.compare(left, right).holds)
    return found


def no_verdict_is_wrong(seed: int) -> None:
    """The printed gradient of a random program, and what is made of it by a factor, a sign, a summand.

    Numbers say which gradients are 0, of which the double is no other.
    """
    case = Case(program(seed, **SMALL), seed)
    p, (_, values) = case.read, case.gradient
    lines = str(p.grad("L", list(p.inputs))).splitlines()
    wrong = []
    for line in lines:
        left, right = line.split(" = ", 1)
        name = next((n for n in p.inputs if left.removeprefix(f"∂L/∂{n}")[:1] in ("", "[")), None)
        if name is not None:
            wrong += [
                f"claim {left} = {spoil(right)}"
                for spoil in (SPOILED if np.any(np.abs(values[name]) > 1e-9) else SPOILED[2:])
            ]
    found = verdicts("\n".join([str(p), *lines, *wrong]))
    assert F not in found[: len(found) - len(wrong)] and T not in found[len(found) - len(wrong) :]


@pytest.mark.parametrize("seed", range(10))
def test_random_programs(seed: int) -> None:
    no_verdict_is_wrong(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 150))
def test_many_random_programs(seed: int) -> None:
    no_verdict_is_wrong(seed)


# ---------------------------------------------------------------- quick values


def test_quick_values_say_what_the_judge_says() -> None:
    p = es.parse(NET)
    judge = Judge(p)
    left = judge.form(p.expr("∂L/∂W[k,j]").tree)
    for text, want in (("X[B,k] ∂L/∂Z[B,j]", True), ("X[B,k] ∂L/∂Y[B,j]", False), ("2 X[B,k] ∂L/∂Z[B,j]", False)):
        right = judge.form(p.expr(text).tree, left)
        assert agree(judge.values(left), judge.values(right)) is want
        assert judge.compare(left, right).holds is want


def test_values_of_all_styles_beside_each_other() -> None:
    """Each lane is one point: values of a form are those of its lanes."""
    p = es.parse("y[i] = log(x[i]) + tanh(x[i])")
    judge = Judge(p)
    (values, *_) = judge.values(judge.form(p.expr("y[i]").tree))
    assert np.isfinite(values).all(axis=1).any() and values.ndim == 2


# ---------------------------------------------------------------- the command line


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.ein"
    path.write_text(f"{NET.replace('; ', chr(10))}\n∂L/∂Z[b,j] = ∂L/∂Y[b,j]\n∂L/∂c[j] = ∂L/∂Z[B,j] 1[B]\n", "utf-8")
    assert main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "fails      ∂L/∂Z[b,j] = ∂L/∂Y[b,j]" in out and "^^^" in out and "counterexample: left" in out
    assert "tanh'(Z[b,j])" in out and out.rstrip().endswith("holds 1, fails 1")


def test_command_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "-e", "claim a b = b a = a"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [v["holds"] for v in report["verdicts"]] == [True, False]
    assert (report["holds"], report["fails"], report["undecided"]) == (1, 1, 0)
    wrong = report["verdicts"][1]
    assert wrong["spans"][0]["line"] == 1 and wrong["counterexample"]["left"] != wrong["counterexample"]["right"]


STATUS = [
    ("claim a b = b a", [], 0, "holds 1"),
    ("claim log(-a^2 - 1) = a", [], 0, "undecided 1"),
    ("y = x", [], 0, "no claims"),
    ("claim a = b", [], 1, "fails 1"),
    ("claim x[K] 1[K] = 5 mean[k](x[k])", ["--sizes", "k=5"], 0, "holds 1"),
    ("y = a / b c", [], 0, "note: "),
    ("y = ", [], 1, "error: "),
    ("claim a = a", ["--trials", "0"], 1, "error: "),
]


@pytest.mark.parametrize(("text", "options", "status", "word"), STATUS, ids=[row[0] for row in STATUS])
def test_exit_status(text: str, options: list[str], status: int, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-e", text, *options]) == status
    assert word in "".join(capsys.readouterr())


def test_sizes_differ_from_trial_to_trial() -> None:
    """A claim that holds at one size alone is seen at others."""
    p = es.parse("y[i,j] = A[i,K] B[K,j] + [u[j], v[j]]_j 1[i]")
    envs = list(environments([p["y"].node], {}, 5, 0))
    for symbol in envs[0]:
        assert len({env[symbol] for env in envs}) == len(envs) == 5
    assert all(len(set(env.values())) == len(env) for env in envs)
