"""Exact evaluation: arithmetic of the field, what it proves, what it does not, and how likely it is to be wrong."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import prod
from typing import Any

import numpy as np
import pytest
import sympy

import einstan as es
from einstan.ir import Node, toposort
from einstan.show.text import show_expr
from einstan.verify import modular
from einstan.verify.degrees import Degrees
from einstan.verify.judge import Form, Judge
from einstan.verify.links import forms_of
from einstan.verify.modular import PRIME, Modular
from einstan.verify.values import Point, Unknown

EDGES = [0, 1, 2, 2**31 - 1, 2**31, 2**60, PRIME // 2, PRIME - 2, PRIME - 1]
RNG = np.random.default_rng(7)


def numbers(*shape: int) -> Any:
    return RNG.integers(0, PRIME, shape, np.uint64)


A, B = np.meshgrid(np.array(EDGES, np.uint64), np.array(EDGES, np.uint64))
PAIRS = [(int(x), int(y)) for x, y in zip(A.flat, B.flat, strict=True)]
ARITHMETIC: list[tuple[str, Any, Callable[[int, int], int]]] = [
    ("product", modular.product(A, B), lambda x, y: x * y),
    ("plus", modular.plus(A, B), lambda x, y: x + y),
    ("minus", modular.minus(A, B), lambda x, y: x - y),
    ("negative", modular.negative(A), lambda x, y: -x),
    ("reduced", modular.reduced(np.uint64(7) * A), lambda x, y: 7 * x),
    ("whole_power", modular.whole_power(A, 13), lambda x, y: x**13),
    ("inverse", modular.inverse(np.where(A == 0, np.uint64(1), A)), lambda x, y: pow(x or 1, -1, PRIME)),
    ("total", modular.total(np.stack([A] * 50 + [B]), (0,)), lambda x, y: 50 * x + y),
]


@pytest.mark.parametrize(("found", "want"), [row[1:] for row in ARITHMETIC], ids=[row[0] for row in ARITHMETIC])
def test_arithmetic(found: Any, want: Callable[[int, int], int]) -> None:
    assert [int(x) for x in found.flat] == [want(x, y) % PRIME for x, y in PAIRS]


def test_zero_has_no_inverse() -> None:
    with pytest.raises(Unknown):
        modular.inverse(A)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_matrices(n: int) -> None:
    """Against the sum over permutations, and by multiplying back."""
    a, b = numbers(3, n, n), numbers(3, n, 2)
    leibniz = [sum(sign(p) * prod(int(m[k, p[k]]) for k in range(n)) for p in permutations(range(n))) for m in a]
    assert [int(x) for x in modular.determinants(a)] == [x % PRIME for x in leibniz]
    k = Modular(0)
    back = k.contracted([(a, (1, 2)), (modular.solve(a, b), (2, 3))], (1, 3))
    np.testing.assert_array_equal(back, b)
    one = k.contracted([(a, (1, 2)), (modular.inverses(a), (2, 3))], (1, 3))
    np.testing.assert_array_equal(one, np.broadcast_to(np.eye(n, dtype=np.uint64), a.shape))


def sign(p: tuple[int, ...]) -> int:
    return (-1) ** sum(p[i] > p[j] for i in range(len(p)) for j in range(i + 1, len(p)))


def test_singular_matrices_are_no_proof() -> None:
    with pytest.raises(Unknown):
        modular.inverses(np.ones((1, 2, 2), np.uint64))


# ---------------------------------------------------------------- claims

PROVED = """
    claim (a + b)^2 = a^2 + 2 a b + b^2
    claim 1 / (a b) + 1 / a = (1 + b) / (a b)
    claim tanh(a) = (exp(2 a) - 1) / (exp(2 a) + 1)
    claim sigmoid(a) = 1 / (1 + exp(-a))
    claim sigmoid'(a) = sigmoid(a) sigmoid(-a)
    claim softplus(a) = log(1 + exp(a))
    claim sin(a)^2 + cos(a)^2 = 1
    claim tan(a) cos(a) = sin(a)
    claim cosh(a)^2 - sinh(a)^2 = 1
    claim sin(-a) cos(-a) = -sin(a) cos(a)
    claim asin(a) + acos(a) = pi / 2
    claim relu(a) - relu(-a) = a step(a) + a step(-a)
    claim abs(a) = a sign(a)
    claim max(a, b) + min(a, b) = a + b
    claim (a > b) + (a <= b) = 1
    claim (a == b) = (b == a)
    claim where(a > b, x[i], x[i]) = x[i]
    claim expm1(a) = exp(a) - 1
    claim log1p(a) = log(1 + a)
    claim softmax[i](x[i]) sum[i](exp(x[i])) = exp(x[i])
    claim log_softmax[i](x[i]) = x[i] - logsumexp[i](x[i])
    claim norm[i](x[i]) sqrt(x[I] x[I]) = norm[i](x[i])^2
    claim prod[i](2 x[i]) = prod[i](x[i]) prod[i](2 x[i]^0)
    claim inv[i,j](M[i,j]) det[i,j](M[i,j]) inv[k,l](M[k,l]) = inv[k,l](M[k,l]) det[i,j](M[i,j]) inv[i,j](M[i,j])
    claim M[i,K] inv[K,j](M[K,j]) = delta[i,j]
    claim det[i,j](M[i,K] M[K,j]) = det[i,j](M[i,j])^2
    claim f(a b, a) - f(b a, a) = 0
    claim f'[1](a, b) f''[1,2](a, b) = f''[1,2](a, b) f'[1](a, b)
    claim g''[j,k](x[:]) M[j,k] = g''[k,j](x[:]) M[j,k]
"""
NOT_PROVED = """
    claim exp(a + b) = exp(a) exp(b)
    claim sqrt(a)^2 = a
    claim log(a b) = log(a) + log(b)
    claim sin(2 a) = 2 sin(a) cos(a)
"""
REFUTED = """
    claim (a + b)^2 = a^2 + b^2
    claim a / b = b / a
    claim f(a, b) = f(b, a)
    claim f'[1](a, b) = f'[2](a, b)
    claim h(a + 3) - 3 h(a + 2) + 3 h(a + 1) - h(a) = h'''(a)
    claim h''''''''(a) = 0
    claim M[i,K] M[K,j] = M[K,i] M[j,K]
    claim det[i,j](M[i,j]) = M[I,I]
    claim x[i] = 1000000007 x[i]
    claim a + a b / 10^30 = a
"""


CONTEXT = "fact 0 x[i] = 0[i]; fact 0 M[i,j] = 0[i,j]\n"


def sides(text: str) -> list[tuple[str, Node, Node]]:
    """Each claim with its two sides, written in inputs."""
    program = es.parse(CONTEXT + text)
    found = []
    for claim in program.checked.claims:
        judge = Judge(program).bound(claim.binding)
        a, b = judge.expanded([form.node for form in forms_of(judge, claim) if isinstance(form, Form)])
        found.append((" = ".join(map(show_expr, claim.claim.forms)), a, b))
    return found


def proof(a: Node, b: Node) -> modular.Proof:
    env = dict.fromkeys((s for node in toposort([a, b]) for d in node.shape for s in d.symbols), 3)
    return modular.exactly(a, b, (Point(Modular(seed), env) for seed in range(5)))


CLAIMS = [
    *((text, a, b, True, False) for text, a, b in sides(PROVED)),
    *((text, a, b, False, False) for text, a, b in sides(NOT_PROVED)),
    *((text, a, b, False, True) for text, a, b in sides(REFUTED)),
]


@pytest.mark.parametrize(("a", "b", "equal", "differ"), [row[1:] for row in CLAIMS], ids=[row[0] for row in CLAIMS])
def test_what_is_proved(a: Node, b: Node, equal: bool, differ: bool) -> None:
    found = proof(a, b)
    assert (found.equal, found.differ) == (equal, differ)
    assert found.error_bound < 1e-9 or not equal


# ---------------------------------------------------------------- the bound

FRACTIONS = [
    "a + 1 / b",
    "(a + b)^3 / (a - b)^2",
    "1 / a + 1 / b + 1 / (a + b)",
    "(1 / a + 1 / b) / (1 / a - c)",
    "(a / b)^4 - (b / a)^4",
    "1 / (1 / (1 / a + b) + c)",
    "a b c (a + b) + 5 a^2",
]


@pytest.mark.parametrize("text", FRACTIONS)
def test_degrees(text: str) -> None:
    """Never below those of the reduced fraction."""
    ((_, node, _),) = sides(f"claim {text} = a b c")
    degrees = Degrees({})
    for n in toposort([node]):
        degrees.add(n)
    symbols = sympy.symbols("a b c")
    tree = es.parse(f"y = {text}")["y"].to_sympy()
    over, under = sympy.fraction(
        sympy.together(tree.subs({s: symbols["abc".index(str(s))] for s in tree.free_symbols}))
    )
    assert degrees.denominator(node) >= sympy.Poly(under, *symbols).total_degree()
    assert degrees.excess[node] + degrees.denominator(node) >= sympy.Poly(over, *symbols).total_degree()


def test_denominators_that_terms_share_count_once() -> None:
    """The bound of a sum of a hundred fractions over one denominator is that of one of them."""
    many = " + ".join(f"{n} a^{n} / (a + b)" for n in range(1, 100))
    ((_, node, _),) = sides(f"claim {many} = 0")
    degrees = Degrees({})
    for n in toposort([node]):
        degrees.add(n)
    assert degrees.denominator(node) <= 2
