"""Facts shrink what is derived and change no value; `size n = 5` decides sizes that nothing else does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import einstan as es
from einstan.claims import Statements
from einstan.dims import Env
from einstan.facts import simplify_by
from einstan.ir import Node, toposort
from einstan.lines import claim_lines
from einstan.lower import lower_facts
from einstan.request import ALL_LAWS, Graph, Term
from einstan.rules import LAWS, simplify
from einstan.show.text import show_statement
from einstan.testing import evaluate

RNG = np.random.default_rng(3)
ROTATION = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
TARGETS = np.eye(5)[[1, 4, 1]]
DATA = {
    "Z": RNG.normal(size=(3, 5)),
    "T": TARGETS,
    "Q": ROTATION,
    "P": ROTATION[:, :2] @ ROTATION[:, :2].T,
    "A": RNG.normal(size=(3, 3)),
    "x": RNG.normal(size=3),
    "u": np.array([0.6, 0.8]),
    "c": np.array(2.0),
    "M": np.zeros((3, 3)),
}


def derived(text: str, *wrt: str, facts: bool = True) -> Node:
    p = es.parse(text)
    definitions = replace(p.definitions(), facts=lower_facts(p.checked) if facts else ())
    return Graph.of(definitions, [Term("L", wrt)], ALL_LAWS).nodes(list)[0]


def printed(text: str, wrt: str) -> str:
    p = es.parse(text)
    statements = Statements(p.leaves, p.bodies, p.words, lower_facts(p.checked))
    return "\n".join(show_statement(s) for s in claim_lines(statements, p.letters, p.vocabulary, "L", [wrt]))


ONE_HOT = "fact T[n,C] 1[C] = 1[n]"
ORTHOGONAL = "fact Q[i,K] Q[j,K] = delta[i,j]"
USED = [
    ("softmax of scores", ONE_HOT, "L = -T[N,C] log_softmax[C](Z[N,C])", "Z", "softmax[c](Z[n,c]) - T[n,c]"),
    ("a shared product", ONE_HOT, "L = -T[N,C] log_softmax[C](Z[N,C]) c", "Z", "softmax[c](Z[n,c]) c - T[n,c] c"),
    ("the larger side on the right", "fact 1[n] = T[n,C] 1[C]", "L = T[N,C] 1[C] x[N]", "x", "x[n]^0"),
    ("other letters", "fact T[b,S] 1[S] = 1[b]", "L = T[N,C] 1[C] x[N]^2", "x", "2 x[n]"),
    ("more factors", ORTHOGONAL, "L = x[I] Q[I,K] Q[J,K] A[J,M] x[M]", "x", "A[i,J] x[J] + A[J,i] x[J]"),
    ("a square", "fact P[i,K] P[K,j] = P[i,j]", "L = x[I] P[I,J] P[J,K] A[K,M] 1[M]", "x", "P[i,J] A[J,M] 1[M]"),
    ("a coefficient", "fact 2 u[I] u[I] = 2", "L = u[I] u[I] x[K] x[K]", "x", "2 x[k]"),
    ("an input", "fact c = 2", "L = c x[I] x[I]", "x", "4 x[i]"),
    ("zeros", "fact M[i,j] = 0[i,j]", "L = x[I] (x[I] + M[I,J] 1[J])", "x", "2 x[i]"),
    ("a whole sum", "fact T[N,C] 1[N] 1[C] = 3", "L = T[N,C] 1[N] 1[C] x[I] x[I]", "x", "6 x[i]"),
]


@pytest.mark.parametrize(("fact", "body", "wrt", "expected"), [row[1:] for row in USED], ids=[row[0] for row in USED])
def test_used(fact: str, body: str, wrt: str, expected: str) -> None:
    text = f"{fact}\n{body}"
    axes = ",".join(es.parse(text).letters[wrt])
    (wanted,) = simplify([es.parse(f"{text}\nW[{axes}] = {expected}").bodies["W"]])
    assert derived(text, wrt) is wanted
    assert derived(text, wrt, facts=False) is not wanted


@pytest.mark.parametrize(("fact", "body", "wrt"), [row[1:4] for row in USED], ids=[row[0] for row in USED])
def test_the_value_is_kept_where_the_fact_holds(fact: str, body: str, wrt: str) -> None:
    p = es.parse(f"{fact}\n{body}")
    env: Env = {f"{name}.{n}": size for name, a in DATA.items() for n, size in enumerate(a.shape)}
    for names in ((wrt,), (wrt, wrt)):
        sides = [derived(str(p), *names, facts=used) for used in (True, False)]
        with_fact, without = evaluate([sized(side, p) for side in sides], DATA, env)
        np.testing.assert_allclose(with_fact, without, atol=1e-12)


def sized(node: Node, p: es.Program) -> Node:
    """Every size symbol of the program is one of an input that is given."""
    assert {s for n in toposort([node]) for d in n.shape for s in d.symbols} <= {
        f"{name}.{n}" for name in p.inputs for n in range(DATA[name].ndim)
    }
    return node


UNUSED = [
    ("the summed index stands elsewhere", ONE_HOT, "L = T[N,C] x[C] 1[N]", "x"),
    ("a part", ONE_HOT, "L = sum[n,c](T[n,c=0:2] Z[n,c=0:2])", "Z"),
    ("a diagonal", ONE_HOT, "L = T[C,C] x[I] x[I]", "x"),
    ("sides of one size", "fact A[i,j] = A[j,i]", "L = x[I] A[I,J] x[J]", "x"),
    ("a sum of terms", "fact x[i] + 0 x[i]^2 = 1[i] + M[i,J] M[i,J]", "L = x[I] x[I]", "x"),
    ("another input", ONE_HOT, "L = Z[N,C] 1[C] x[N]", "x"),
]


@pytest.mark.parametrize(("fact", "body", "wrt"), [row[1:] for row in UNUSED], ids=[row[0] for row in UNUSED])
def test_unused(fact: str, body: str, wrt: str) -> None:
    text = f"{fact}\n{body}"
    assert derived(text, wrt) is derived(text, wrt, facts=False)


def test_a_fact_holds_for_the_data_and_not_around_it() -> None:
    """The derivative by T of what the fact makes constant is not 0."""
    text = f"{ONE_HOT}\nL = T[N,C] 1[C] x[N]"
    assert derived(text, "T") is derived(text, "T", facts=False)
    assert str(es.parse(text).grad("L", "T")) == "∂L/∂T[n,c] = x[n]"


def test_the_hessian_of_cross_entropy_loses_the_sum_of_the_target() -> None:
    body = "P[n,c] = softmax[c](Z[n,c])\nL = -T[N,C] log(P[N,C])"
    with_fact, without = (derived(f"{ONE_HOT}\n{body}", "Z", "Z", facts=used) for used in (True, False))
    reads = [any(getattr(n, "name", "") == "T" for n in toposort([node])) for node in (with_fact, without)]
    assert reads == [False, True]


def test_printed_gradients_use_facts() -> None:
    text = "L = -T[N,C] log_softmax[C](Z[N,C])"
    assert printed(f"{ONE_HOT}\n{text}", "Z") == "∂L/∂Z[n,c] = softmax[c](Z[n,c]) - T[n,c]"
    assert "1[" in printed(text, "Z")


def test_facts_of_other_letters_and_order_are_one() -> None:
    one, other = (es.parse(f"{fact}\nL = T[N,C] 1[C] 1[N]") for fact in (ONE_HOT, "fact T[s,B] 1[B] = 1[s]"))
    assert lower_facts(one.checked) == lower_facts(other.checked)


def test_no_facts_leave_the_stage_as_it_is() -> None:
    assert simplify_by((), LAWS, simplify) is simplify


# ---------------------------------------------------------------- size n = 5

SIZES = [
    ("size n = 5\ny[n] = 1[n]", {}, np.ones(5)),
    ("y[n] = 1[n]\nsize n = 5", {}, np.ones(5)),
    ("size N = 5\ny = 1[N] 1[N]", {}, 5.0),
    ("size n = 5\ny = sum[n](1[n])", {}, 5.0),
    ("size n = 5\ny = x[N] 1[N] + |n|", {"x": np.ones(5)}, 10.0),
    ("size n = 5\ny[i,n] = delta[i,n]", {}, np.eye(5)),
    ("size n = 0\ny = sum[n](1[n])", {}, 0.0),
    ("size n = 5\nclaim 1[N] 1[N] = |n|\ny = 2", {}, 2.0),
    ("size n = 5\nsize n = 5\ny[n] = 0[n]", {}, np.zeros(5)),
]


@pytest.mark.parametrize(("text", "arrays", "value"), SIZES, ids=[row[0].replace("\n", "; ") for row in SIZES])
def test_sizes_that_are_given(text: str, arrays: dict[str, np.ndarray], value: object) -> None:
    p = es.parse(text)
    np.testing.assert_array_equal(p.run("y", **arrays), value)
    assert es.parse(str(p)) == p


REFUSED = [
    ("size n = 5\ny[n] = x[n]", {"x": np.ones(4)}, "size n"),
    ("size n = 5\ny[i,n] = X[i,n]", {"X": np.ones((5, 3))}, "5 in `size n`"),
    ("size n = 5\nsize n = 6\ny[n] = 1[n]", {}, "given twice"),
    ("size n = 5\nsize k = 4\ny[n] = x[n]\nz[k] = x[k]", {"x": np.ones(4)}, "4 in `size k`"),
    ("size n = 5\ny = x[n=0:2] x[n=0:2]", {"x": np.ones(5)}, "size n"),
    ("y[n] = 1[n]", {}, "`size n = 5`"),
]


@pytest.mark.parametrize(("text", "arrays", "said"), REFUSED, ids=[row[0].replace("\n", "; ") for row in REFUSED])
def test_sizes_that_do_not_fit_are_shown(text: str, arrays: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises((es.EinstanShapeError, es.EinstanNameError)) as caught:
        es.parse(text).run("y", **arrays)
    assert said in str(caught.value) and "^" in str(caught.value)
