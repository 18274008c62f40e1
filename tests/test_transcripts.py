"""Derivations: every line is notation, equal to the line before, and the last one is what the gradient prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.cli import main
from einstan.show.text import show_expr, show_statement
from einstan.syntax import ast
from einstan.transcripts import Transcript
from einstan.transcripts.letters import letters_of

from .models import MODELS, Model
from .random_checks import Case
from .random_programs import program

DENSE = """
Z[b,j] = X[b,K] W[K,j] + c[j]
Y[b,j] = tanh(Z[b,j])
L = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])
"""

PRINTED = [
    (
        "a dense layer, as the article derives it",
        "Z[i,j] = X[i,K] W[K,j] + b[j]\nY[i,j] = tanh(Z[i,j])\nL = Y[I,J] G[I,J]",
        "W",
        """
        ∂L/∂Y[i,j]
          = ∂Y[A,C]/∂Y[i,j] G[A,C]        # L is linear in Y
          = delta[A,i] delta[C,j] G[A,C]  # a derivative of Y by itself
          = delta[C,j] G[i,C]             # delta removes A
          = G[i,j]                        # delta removes C

        ∂L/∂Z[i,j]
          = ∂L/∂Y[A,C] ∂Y[A,C]/∂Z[i,j]                      # chain rule through Y
          = ∂L/∂Y[A,C] tanh'(Z[A,C]) ∂Z[A,C]/∂Z[i,j]        # definition of Y; tanh entry by entry
          = ∂L/∂Y[A,C] tanh'(Z[A,C]) delta[A,i] delta[C,j]  # a derivative of Z by itself
          = ∂L/∂Y[i,C] tanh'(Z[i,C]) delta[C,j]             # delta removes A
          = ∂L/∂Y[i,j] tanh'(Z[i,j])                        # delta removes C
          = ∂L/∂Y[i,j] (1 - tanh(Z[i,j])^2)                 # tanh'(x) = 1 - tanh(x)^2
          = ∂L/∂Y[i,j] (1 - Y[i,j]^2)                       # definition of Y

        ∂L/∂W[k,j]
          = ∂L/∂Z[I,A] ∂Z[I,A]/∂W[k,j]               # chain rule through Z
          = ∂L/∂Z[I,A] X[I,C] ∂W[C,A]/∂W[k,j]        # Z is linear in W
          = ∂L/∂Z[I,A] X[I,C] delta[C,k] delta[A,j]  # a derivative of W by itself
          = ∂L/∂Z[I,A] X[I,k] delta[A,j]             # delta removes C
          = ∂L/∂Z[I,j] X[I,k]                        # delta removes A
          = X[I,k] ∂L/∂Z[I,j]                        # normal form
        """,
    ),
    (
        "a row-wise function that is not known",
        "Z[i,j] = X[i,j]\nfact 0 T[i,j] = 0[i,j]\nY[i,j] = f[j](Z[i,K])\nL = loss(Y[:], T[:])",
        "Z",
        """
        ∂L/∂Z[i,j]
          = ∂L/∂Y[A,B] ∂Y[A,B]/∂Z[i,j]             # chain rule through Y
          = ∂L/∂Y[A,B] ∂Y[A,B]/∂Z[i,j] delta[A,i]  # Y row by row
          = ∂L/∂Y[i,B] ∂Y[i,B]/∂Z[i,j]             # delta removes A
          = ∂L/∂Y[i,K] ∂Y[i,K]/∂Z[i,j]             # normal form
        """,
    ),
    (
        "softmax; a long sum has a row for each term",
        "p[c] = softmax[c](z[c])\nL = p[C] g[C]",
        "z",
        """
        ∂L/∂p[c]
          = ∂p[A]/∂p[c] g[A]  # L is linear in p
          = delta[A,c] g[A]   # a derivative of p by itself
          = g[c]              # delta removes A

        ∂L/∂z[c]
          = ∂L/∂p[A] ∂p[A]/∂z[c]                                                  # chain rule through p
          = ∂L/∂p[A] softmax[A](z[A]) (delta[A,B] - softmax[B](z[B])) ∂z[B]/∂z[c]  # definition of p; softmax s: s[k] (delta[k,m] - s[m])
          = ∂L/∂p[A] softmax[A](z[A]) (delta[A,B] - softmax[B](z[B])) delta[B,c]  # a derivative of z by itself
          = ∂L/∂p[A] softmax[A](z[A]) (delta[A,c] - softmax[c](z[c]))             # delta removes B
          = ∂L/∂p[A] softmax[A](z[A]) delta[A,c]                                  # multiplied out
            - ∂L/∂p[A] softmax[A](z[A]) softmax[c](z[c])
          = ∂L/∂p[c] softmax[c](z[c]) - ∂L/∂p[A] softmax[A](z[A]) softmax[c](z[c])  # delta removes A
          = ∂L/∂p[c] p[c] - ∂L/∂p[A] p[A] p[c]                                    # definition of p
          = p[c] (∂L/∂p[c] - ∂L/∂p[D] p[D])                                       # simplified
        """,  # noqa: E501
    ),
    (
        "what W does through other names is not in its own slope: the line of ∂b/∂x is left out",
        "a[i] = tanh(x[i])\nb[i] = a[i] x[i]\nL = b[I] b[I]",
        "x",
        """
        ∂L/∂b[i]
          = 2 b[C] ∂b[C]/∂b[i]  # definition of L; product rule, equal factors
          = 2 b[C] delta[C,i]   # a derivative of b by itself
          = 2 b[i]              # delta removes C

        ∂L/∂a[i]
          = ∂L/∂b[C] ∂b[C]/∂a[i]       # chain rule through b
          = ∂L/∂b[C] ∂a[C]/∂a[i] x[C]  # b is linear in a
          = ∂L/∂b[C] delta[C,i] x[C]   # a derivative of a by itself
          = ∂L/∂b[i] x[i]              # delta removes C

        ∂L/∂x[i]
          = ∂L/∂a[C] tanh'(x[C]) ∂x[C]/∂x[i] + ∂L/∂b[C] a[C] ∂x[C]/∂x[i]  # chain rule through a and b; tanh entry by entry
          = ∂L/∂a[C] tanh'(x[C]) delta[C,i] + ∂L/∂b[C] a[C] delta[C,i]    # a derivative of x by itself
          = ∂L/∂a[i] tanh'(x[i]) + ∂L/∂b[i] a[i]                          # delta removes C
          = ∂L/∂a[i] (1 - tanh(x[i])^2) + ∂L/∂b[i] a[i]                   # tanh'(x) = 1 - tanh(x)^2
          = ∂L/∂a[i] (1 - a[i]^2) + ∂L/∂b[i] a[i]                         # definition of a
          = ∂L/∂b[i] a[i] + ∂L/∂a[i] (1 - a[i]^2)                         # normal form
        """,  # noqa: E501
    ),
    (
        "the blocks of a join",
        "f[j] = sigmoid(W[j,K] [h[K], x[K]]_K + c[j])\nL = g[J] f[J]",
        "h",
        """
        ∂L/∂f[j]
          = g[A] ∂f[A]/∂f[j]  # L is linear in f
          = g[A] delta[A,j]   # a derivative of f by itself
          = g[j]              # delta removes A

        ∂L/∂h[k]
          = ∂L/∂f[J] ∂f[J]/∂h[k]                                            # chain rule through f
          = ∂L/∂f[J] f[J] (1 - f[J]) ∂(W[J,A] [h[A], x[A]]_A + c[J])/∂h[k]  # definition of f; sigmoid entry by entry
          = ∂L/∂f[J] f[J] (1 - f[J]) W[J,A=0:size(h,1)] ∂h[A]/∂h[k]         # of the join only what holds h changes
          = ∂L/∂f[J] f[J] (1 - f[J]) W[J,A=0:size(h,1)] delta[A,k]          # a derivative of h by itself
          = ∂L/∂f[J] f[J] (1 - f[J]) W[J,k=0:size(h,1)]                     # delta removes A
          = ∂L/∂f[J] f[J] W[J,k=0:size(h,1)] (1 - f[J])                     # normal form
        """,
    ),
    (
        "a tensor by a tensor",
        "Y[i,j] = exp(X[i,K] W[K,j])",
        "W",
        """
        ∂Y[i,j]/∂W[k,l]
          = Y[i,j] ∂(X[i,A] W[A,j])/∂W[k,l]      # definition of Y; exp entry by entry
          = Y[i,j] X[i,A] ∂W[A,j]/∂W[k,l]        # linear in W
          = Y[i,j] X[i,A] delta[A,k] delta[j,l]  # a derivative of W by itself
          = Y[i,j] X[i,k] delta[j,l]             # delta removes A
        """,
    ),
    (
        "a trace, a power of it, a part",
        "L = (B[K,K])^3 + sum[k](B[k=0:2,k=0:2])",
        "B",
        """
        ∂L/∂B[k,i]
          = 3 (B[A,A])^2 ∂B[C,C]/∂B[k,i] + ∂B[C=0:2,C=0:2]/∂B[k,i]                # definition of L; power rule
          = 3 (B[A,A])^2 delta[C,k] delta[C,i] + ∂B[C=0:2,C=0:2]/∂B[k,i]          # a derivative of B by itself
          = 3 (B[A,A])^2 delta[k,i] + ∂B[C=0:2,C=0:2]/∂B[k,i]                     # delta removes C
          = [[delta[k,i], 0 B[i=2:size(B,1),J=0:1] 1[J]]_i, 0 B[k=2:size(B,1),i]]_k  # closed form
            + 3 (B[L,L])^2 delta[k,i]
        """,
    ),
]


def text_of(lines: str) -> str:
    """Without the indentation of the table."""
    return "\n".join(
        line[8:] if line.startswith("        ") else line for line in lines.strip("\n").splitlines()
    ).strip()


@pytest.mark.parametrize(("text", "wrt", "printed"), [row[1:] for row in PRINTED], ids=[row[0] for row in PRINTED])
def test_printed_transcript(text: str, wrt: str, printed: str) -> None:
    p = es.parse(text)
    assert str(p.explain(p.names[-1], wrt)) == text_of(printed)


# ---------------------------------------------------------------- every line is equal to the line before


def lines_of(p: es.Program, t: Transcript) -> tuple[str, list[list[str]]]:
    """The program with every head and every line as a name of its own, and these names chain by chain."""
    text = [str(p), *(show_statement(x) for x in t.parts if isinstance(x, ast.Definition))]
    chains = []
    for n, chain in enumerate(t.chains):
        head = chain.head
        assert isinstance(head, ast.Derivative) and isinstance(head.numerator, ast.Tensor)
        letters = ",".join(letters_of(head.numerator.indices) + letters_of(head.denominators[0].indices))
        left = f"[{letters}]" if letters else ""
        forms = [show_expr(head), *(step.line for step in chain.steps)]
        chains.append([f"line{n}x{k}" for k in range(len(forms))])
        text += [f"{x}{left} = {form} + 0 {forms[0]}" for x, form in zip(chains[-1], forms, strict=True)]
    return "\n".join(text), chains


def unequal(p: es.Program, t: Transcript, arrays: Mapping[str, Any], functions: Mapping[str, str]) -> Iterator[str]:
    """The lines whose value differs from that of the line before, by kernels in float64."""
    text, chains = lines_of(p, t)
    values = es.parse(text).compile([x for names in chains for x in names], functions=functions)(arrays)
    for chain, names in zip(t.chains, chains, strict=True):
        scale = float(np.max(np.abs(values[names[0]]), initial=1e-3))
        for (a, b), step in zip(pairwise(names), chain.steps, strict=True):
            if not np.max(np.abs(values[a] - values[b]), initial=0.0) <= 1e-10 * scale:
                yield f"{show_expr(chain.head)} = {step!r}"


LONG = ("-20-", "-30", "lstm-concat-5", "lstm-block-5")
QUICK = "dense-1-tanh lstm-concat-1 readout-one attention-one logistic layer-norm seed-C14 seed-B1-".split()
SMALL = [m for m in MODELS if m.name.startswith(tuple(QUICK))]
LARGE = [m for m in MODELS if m not in SMALL and not any(word in m.name for word in LONG)]

CASES = [
    ("two paths, and a name that both take", "Z[i] = W[i,K] x[K]\nY[i] = tanh(Z[i]) W[i,K] x[K]\nL = Z[I] Y[I]", "x W"),
    ("steps over steps", "a[i] = 2 x[i]\nb[i] = a[i] x[i]\nc[i] = a[i] b[i] x[i]\nL = c[I] b[I] a[I] x[I]", "x a"),
    ("names of equal value", "P[i] = exp(x[i])\nQ[i] = exp(x[i])\nL = P[I] Q[I]", "x P"),
    ("a diagonal on the left", "D[i,i] = d[i]^2\nL = D[I,J] G[I,J]", "d"),
    ("traces and diagonals", "L = A[I,I] + A[I,I] b[I] + (A[K,K])^3", "A b"),
    ("an index in two places inside", "Y[i] = tanh(x[i] y[i]) z[i]\nL = Y[I] Y[I]", "x"),
    ("rows", "Y[i,k] = softmax[k](X[i,M] W[M,k])\nU[i] = logsumexp[k](Y[i,k] X[i,k])\nL = U[I] U[I]", "W X"),
    ("along an index", "n = norm[k](x[k] a[k])\nL = n max[k](x[k] x[k]) + prod[k](x[k] + 1) + min[k](x[k])", "x a"),
    ("log_softmax", "y[i] = log_softmax[i](tanh(x[i])) / size(x,1)\nL = exp(y[I]) a[I] |I|", "x"),
    (
        "functions of a matrix",
        "Y[i,j] = inv[i,j](A[i,K] A[j,K] + delta[i,j])\nL = Y[I,J] G[I,J] + logdet[i,j](A[i,j])",
        "A",
    ),
    ("det and trace", "L = det[i,j](A[i,j]^2) + trace[i,j](A[i,j] A[j,i])", "A"),
    ("a system", "x[j] = solve[i,j](A[i,j], b[i])\nL = x[J] x[J]", "A b"),
    ("a rule that is missing", "C[i,j] = cholesky[i,j](A[i,j])\nL = C[I,J] G[I,J]", "A"),
    ("a join that is a result", "C[v,k] = [h[v,k], x[v,k]]_k\nL = C[V,K] tanh(C[V,K])", "h x"),
    ("a part", "y[i] = W[i,K=0:2] v[K=0:2]\nL = y[I] y[I]", "W v"),
    ("choices", "y[i] = where(x[i] < a[i], x[i]^2, exp(x[i]))\nL = y[I] max(x[I], a[I])", "x a"),
    ("powers and quotients", "y[i] = x[i]^a[i] + 2^x[i] + x[i]^-1.5 + 1 / (1 + x[i]^2)\nL = y[I] 1[I]", "x a"),
    ("functions made of others", "y[i] = gelu(x[i]) + elu(x[i]) + erf(x[i]) abs(x[i])\nL = y[I] y[I] y[I]", "x"),
    ("a quotient of forms", "L = (x[I] A[I,J] x[J])^2 / (x[I] x[I]) - x[I] / 2 * 1[I]", "x A"),
    ("without sums", "h[d] = 1[V] (A[V,d] ⊙ B[V,d])\nL = h[D] h[D]", "A"),
    ("sums that look alike", "Q[n,k] = X[N,k] ((T[N,J] 1[J]) ⊙ s[N,n] - T[N,n])\nL = Q[N,K] Q[N,K]", "X T s"),
    ("sums within sums", "L = tanh(x[I,J] (A[K,K] y[I] (z[M] w[M])) v[P,P] y[J])", "x A"),
    ("slopes of slopes", "L = min'[2](x, a x) tanh'(x) + max(x, 2)", "x a"),
    ("means", "m = mean[i](x[i])\nv = mean[i]((x[i] - m)^2)\nL = v / m", "x"),
    ("scalars", "y = a\nL = y^2 + a", "a y L"),
    ("no way from b", "y = 2 a\nz = 3 b\nL = y + 0 z", "b"),
    ("words as indices", "Z[batch,out] = X[batch,In] W[In,out]\nL = Z[Batch,Out] Z[Batch,Out]", "W"),
    ("distances", "d[n,m] = sum[k]((x[n,k] - x[m,k])^2)\nL = exp(-d[N,M]) w[N] w[M]", "x"),
    ("explicit sums", "L = exp(x[I]) x[I] + sum[i,j](tanh(x[i] x[j]) A[i,j])", "x"),
    ("a size that is said", "size n = 5\nx[n] = c 1[n]\nL = x[N] x[N]", "c"),
    ("a derivative in a statement", "f = x[I] x[I]\ng[i] = ∂f/∂x[i]\nL = g[I] g[I]", "x"),
    ("a tensor by a tensor", "Y[b,j] = tanh(X[b,K] W[K,j])", "X W"),
    ("a join by a part of it", "C[v,k] = [h[v,k], x[v,k]]_k", "h"),
    ("a tensor by itself", "Y[i] = x[i] delta[i,J] x[J]", "x Y"),
]


def data_for(p: es.Program) -> dict[str, Any]:
    """Positive arrays; square ones are symmetric and positive definite."""
    rng, sizes, primes = np.random.default_rng(1), dict[Any, int](), iter((3, 5, 2, 7, 11, 13))
    arrays = {}
    for name in p.inputs:
        dims = p.checked.shapes[name]
        shape = [d.value or sizes.get(d) or sizes.setdefault(d, next(primes)) for d in dims]
        x = rng.random(shape) + 0.5
        arrays[name] = x @ x.T + np.eye(shape[0]) if len(shape) == 2 and shape[0] == shape[1] else x
    return arrays


@pytest.mark.parametrize(("text", "wrt"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_every_line_is_equal_to_the_line_before(text: str, wrt: str) -> None:
    p = es.parse(text)
    t = p.explain(p.names[-1], wrt.split())
    assert list(unequal(p, t, data_for(p), {})) == []


@pytest.mark.parametrize(
    "model", [*SMALL, *(pytest.param(m, marks=pytest.mark.slow) for m in LARGE)], ids=lambda m: m.name
)
def test_every_line_of_every_model_is_equal_to_the_line_before(model: Model) -> None:
    p = es.parse(model.text)
    t = p.explain(model.of, list(model.wrt))
    assert {show_expr(c.head.denominators[0]).split("[")[0] for c in t.chains} >= set(model.wrt)  # type: ignore[attr-defined]
    assert list(unequal(p, t, model.arrays(), model.functions)) == []


def holds_for(seed: int) -> None:
    """A random program: every line of its transcript."""
    c = Case(program(seed, depth=2), seed)
    p = es.parse(c.p.text())
    if any(isinstance(e, ast.Derivative) for d in p.checked.definitions.values() for e in ast.postorder(d.body)):
        return
    t = p.explain("L", [name for name in c.wrt if name in p.letters])
    assert list(unequal(p, t, c.arrays, c.bindings)) == []


@pytest.mark.parametrize("seed", range(2, 4))
def test_lines_of_random_programs(seed: int) -> None:
    holds_for(seed)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(100, 1100, 50))
def test_lines_of_fifty_random_programs(start: int) -> None:
    for seed in range(start, start + 50):
        holds_for(seed)


# ---------------------------------------------------------------- read back, and down to the gradient

READ = [DENSE, *(row[1] for row in CASES[::6]), *(m.text for m in MODELS if m.name.startswith(("seed-C14", "seed-B1")))]


@pytest.mark.parametrize("text", READ)
def test_text_and_latex_are_read_back_as_claims(text: str) -> None:
    p = es.parse(text)
    of = p.names[-1]
    t = p.explain(of, list(p.below(of).inputs))
    read = es.parse(f"{p}\n{t}")
    assert es.parse(f"{p.latex()}\n{t.latex()}") == read
    claims = read.checked.claims
    assert len(claims) == len(t.chains)
    for claim, chain in zip(claims, t.chains, strict=True):
        assert [form.error for form in claim.forms] == [None] * (1 + len(chain.steps))


@pytest.mark.parametrize("text", READ)
def test_the_last_line_is_what_the_gradient_prints(text: str) -> None:
    p = es.parse(text)
    of = p.names[-1]
    wrt = list(p.below(of).inputs)
    printed = dict(line.split(" = ", 1) for line in str(p.jacobian(of, wrt)).splitlines())
    ends = {show_expr(c.head): c.steps[-1].line for c in p.explain(of, wrt).chains}
    assert ends and ends.items() <= printed.items()


def test_short_names_of_opaque_calls_are_told_before_they_are_used() -> None:
    p = es.parse("R[i] = x[i] - y[i]\nL = 3 loss(R[:])")
    t = p.explain("L", "R")
    assert [s.line for s in t.steps][-2:] == ["3 loss'[i](R[:])", "3 ∂u/∂R[i]"]
    assert str(t).startswith("u = loss(R[:])")
    assert all(v.holds for v in es.check(f"{p}\n{t}"))


def test_unknown_functions_hold_for_all_functions() -> None:
    p = es.parse("Z[i,j] = X[i,K] W[K,j]\nY[i,j] = f[j](Z[i,K])\nq[i] = g(Y[i,J] v[J], Y[i,J] Y[i,J])\nL = loss(q[:])")
    verdicts = es.check(f"{p}\n{p.explain('L', ['X', 'v'])}")
    assert verdicts and all(v.holds for v in verdicts)


@pytest.mark.parametrize("name", ["dense-2-tanh-squared", "readout-one-graph", "seed-C14-C22-article-rowwise"])
def test_the_checker_finds_every_line_right(name: str) -> None:
    model = next(m for m in MODELS if m.name == name)
    p = es.parse(model.text)
    t = p.explain(model.of, list(model.wrt))
    verdicts = es.check(f"{p}\n{t}")
    assert len(verdicts) == len(t.steps) and all(v.holds for v in verdicts)


# ---------------------------------------------------------------- forms and folds


def test_depth_folds_what_is_further_away() -> None:
    p = es.parse(DENSE)
    full = {show_expr(c.head): len(c.steps) for c in p.explain("L", "W").chains}
    for depth, shown in ((0, {"W"}), (1, {"W", "Z"}), (2, {"W", "Z", "Y"}), (9, {"W", "Z", "Y"})):
        for chain in p.explain("L", "W", depth=depth).chains:
            head = show_expr(chain.head)
            assert len(chain.steps) == (full[head] if head[4] in shown else 1)
            assert (chain.steps[-1].rule == "folded") == (head[4] not in shown)


def test_steps_are_rules_and_lines() -> None:
    steps = es.parse("L = x[I] A[I,J] x[J]").explain("L", "x").steps
    assert [(s.rule, s.line) for s in steps][:2] == [
        ("definition of L; product rule", "∂x[B]/∂x[i] A[B,J] x[J] + x[B] A[B,J] ∂x[J]/∂x[i]"),
        ("a derivative of x by itself", "delta[B,i] A[B,J] x[J] + x[B] A[B,J] delta[J,i]"),
    ]
    assert repr(steps[-1]).split("  # ")[0] == steps[-1].line


class Text(HTMLParser):
    """The words of a page, and its tags as they open and close."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.open = "", list[str]()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_notebook_shows_a_table_of_lines() -> None:
    t = es.parse("y[i] = x[i] (x[i] < a[i])\nL = y[I] y[I]").explain("L", "x")
    page = Text()
    page.feed(t._repr_html_())
    assert page.open == [] and page.words.count("=") == len(t.steps) and "chain rule through y" in page.words
    assert "<" in page.words and "aligned" in t._repr_latex_()


def test_errors_are_those_of_the_gradient() -> None:
    p = es.parse(DENSE)
    for of, wrt, word in (("L", "V", "no name 'V'"), ("Q", "W", "no name 'Q'")):
        with pytest.raises(es.EinstanNameError, match=word):
            p.explain(of, wrt)
    for depth in (-1, "1", 0.5):
        with pytest.raises(es.EinstanTypeError, match="no whole number"):
            p.explain("L", "W", depth=depth)  # type: ignore[arg-type]


def test_an_expression_is_explained_too() -> None:
    a, x = es.tensors("a[i] x[i]")
    i = es.indices("I")
    assert (a[i] * x[i]).explain("x").steps[-1].line == "a[i]"


def test_long_programs_are_explained_without_recursion() -> None:
    deep = "".join(f"x{n}[i] = tanh(x{n - 1}[i])\n" for n in range(1, 50)) + "L = x49[I] x49[I]"
    assert len(es.parse(deep).explain("L", "x0").chains) == 50
    nested = "L = " + "tanh(" * 50 + "x" + ")" * 50
    assert es.parse(nested).explain("L", "x").steps[-1].line == str(es.parse(nested).grad("L", "x")).split(" = ")[-1]


COMMANDS = [
    (["--wrt", "x"], 0, "= A[I,k] ∂L/∂z[I]"),
    (["--wrt", "x", "--latex"], 0, r"\begin{align}"),
    (["--wrt", "x", "--html"], 0, "<table"),
    (["--wrt", "x,A", "--depth", "0"], 0, "# folded"),
    (["--wrt", "q"], 1, "no name 'q'"),
    (["--wrt", "x", "--depth", "-1"], 2, "no whole number"),
]


@pytest.mark.parametrize(("options", "status", "word"), COMMANDS)
def test_command(options: list[str], status: int, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", "-e", "z[i] = A[i,K] x[K]; L = z[I] g[I]", "--of", "L", *options]
    if status == 2:
        with pytest.raises(SystemExit, match="2"):
            main(words)
    else:
        assert main(words) == status
    out, err = capsys.readouterr()
    assert word in (err if status else out)


def test_json_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-e", "L = x[I] x[I]", "--of", "L", "--wrt", "x", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["of"] == "L" and report["chains"][0]["head"] == "∂L/∂x[i]"
    assert report["chains"][0]["steps"][-1] == {"rule": "delta removes A", "line": "2 x[i]"}
