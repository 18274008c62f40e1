"""Every law is the first line of its docstring: parsed, it fires, and both sides have one value and one normal form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import einstan as es
from einstan.dims import Dim
from einstan.ir import Call, Input, Node, einsum, inline, input_, name_, pattern, scale, substitute, toposort, zeros
from einstan.lower import lower_expr
from einstan.prims import PRIMS
from einstan.prims.opaque import OPAQUE
from einstan.prims.reduce import NORM
from einstan.prims.scalar import EXP, POW, WHERE, plus, power, times
from einstan.prims.shape import concat, part
from einstan.prims.stable import UNIT
from einstan.rewrite import Law, normalise
from einstan.rules import LAWS, simplify
from einstan.stabilise import STABLE, stabilise
from einstan.syntax.check import check_expression
from einstan.syntax.parser import parse_expression
from einstan.testing import evaluate

ARROW = " -> "
SIZES = "size i = 3; size j = 3; size k = 7\n"
SPELLED = [law for law in (*LAWS, *STABLE) if ARROW in (law.__doc__ or "")]
WORDED = [law for law in (*LAWS, *STABLE) if ARROW not in (law.__doc__ or "")]
I, J, K = (Dim.symbol(s) for s in ("i", "j", "k"))
u, v, A = input_("u", (I,)), input_("v", (I,)), input_("A", (I, K))


def sides(law: Law) -> list[Node]:
    """Both sides of the law as written, unsimplified, with axes in the order of the left one."""
    left, right = (law.__doc__ or "").splitlines()[0].rstrip(".").split(ARROW)
    context = es.parse(f"{SIZES}both = {summed(left)}(({left}) + ({right}))")
    values = []
    for text in (left, right):
        tree = parse_expression(text)
        scope, axes = check_expression(tree, context.checked)
        value = lower_expr(context.checked, scope, tree, {})
        values.append((replace(value, node=known(value.node)), axes))
    (first, sizes), (second, _) = values
    return [first.node, pattern(second.node, second.axes, first.axes, sizes)]


def known(node: Node) -> Node:
    """`node` with the primitives that no text can name in the place of opaque functions of their names."""
    calls = [n for n in toposort([node]) if isinstance(n, Call) and n.prim is OPAQUE]
    return substitute([node], {y: PRIMS[str(y.params[0])](*y.operands) for y in calls})[0]


def summed(text: str) -> str:
    """A sum over the free indices of a law's side: each law is written with i, j, k free."""
    tree = parse_expression(text)
    _, axes = check_expression(tree, es.parse(f"{SIZES}{placeholder(text)} = {text}").checked)
    return f"sum[{','.join(axes)}]" if axes else ""


def placeholder(text: str) -> str:
    for target in ("t", "t[i]", "t[i,j]", "t[i,k]", "t[j,i]", "t[k]"):
        try:
            es.parse(f"{SIZES}{target} = {text}")
        except es.EinstanError:
            continue
        return target
    raise AssertionError(f"no target fits {text}")


def arrays_for(nodes: Sequence[Node]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Data for the inputs below, with one prime size a symbol."""
    leaves = [n for n in toposort(nodes) if isinstance(n, Input)]
    symbols = sorted({s for leaf in leaves for d in leaf.shape for s in d.symbols})
    env = dict(zip(symbols, (3, 5, 7, 11, 13), strict=False))
    rng = np.random.default_rng(0)
    return {leaf.name: rng.uniform(0.2, 1.2, [d.at(env) for d in leaf.shape]) for leaf in leaves}, env


def same_value(a: Node, b: Node) -> None:
    arrays, env = arrays_for([a, b])
    left, right = evaluate([a, b], arrays, env)
    np.testing.assert_allclose(left, right, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("law", SPELLED, ids=lambda law: law.__name__)
def test_law(law: Law) -> None:
    left, right = sides(law)
    (after,) = normalise([left], [law])
    assert after is not left, "the law does not fire on its own example"
    assert stabilise([left])[0] is stabilise([right])[0]
    same_value(left, right)
    same_value(left, after)


PARTS = [
    ("of a product", lambda: part(einsum([A, v], ["ik", "i"], "ik"), 1, Dim.of(2), K)),
    ("of a sum", lambda: part(plus(A, EXP(A)), 0, Dim.of(0), Dim.of(2))),
    ("of a part", lambda: part(part(A, 1, Dim.of(1), K), 1, Dim.of(1), Dim.of(3))),
]


@pytest.mark.parametrize("make", [row[1] for row in PARTS], ids=[row[0] for row in PARTS])
def test_part(make) -> None:
    node = make()
    (after,) = simplify([node])
    assert after is not node
    same_value(node, after)


def test_a_part_that_was_joined_is_what_was_joined() -> None:
    joined = concat([u, v], 0)
    assert simplify([part(joined, 0, I, I + I)])[0] is v


@pytest.mark.parametrize(("axes", "n"), [("ik", 1), ("ki", 1), ("ik", 2)])
def test_unit_vector(axes: str, n: int) -> None:
    """x / norm(x) -> unit(x), whichever axes x has first."""
    shown = pattern(A, "ik", axes, {})
    length = NORM(shown, params=(n,))
    quotient = einsum([shown, power(length, -1)], [axes, axes[: 2 - n]], "ik")
    (after,) = stabilise([quotient])
    assert after is pattern(UNIT(shown, params=(n,)), axes, "ik", {})
    same_value(quotient, after)


def test_every_law_is_tested() -> None:
    tested = {
        "power_of_multiple",
        "lift_transpose",
        "part_of_product",
        "part_of_entrywise",
        "part_of_part",
        "unit_vector",
    }
    assert {law.__name__ for law in WORDED} == tested


@pytest.mark.parametrize(
    ("inside", "exponent", "whole"), [(scale(-1, u), 2, power(u, 2)), (power(u, 2), 3, power(u, 6))]
)
def test_powers_that_a_name_has_hidden(inside: Node, exponent: int, whole: Node) -> None:
    hidden = POW(name_("w", u.shape), params=(Fraction(exponent),))
    (left,) = inline([hidden], {hidden.operands[0]: inside})
    assert left is not whole
    assert simplify([left])[0] is whole


def test_a_repetition_stands_outside_a_join() -> None:
    rows = [pattern(x, "k", "ik", {"i": I, "k": x.shape[0]}) for x in (input_("p", (J,)), input_("q", (K,)))]
    (after,) = simplify([concat(rows, 1)])
    assert after is pattern(concat([o.operands[0] for o in rows], 0), "k", "ik", {"i": I, "k": J + K})


def test_functions_come_before_transpositions() -> None:
    turned = pattern(A, "ik", "ki", {})
    assert simplify([EXP(turned)])[0] is pattern(EXP(A), "ik", "ki", {})


@pytest.mark.parametrize(
    "text", ["size(z,1) + 1 - sigmoid(x)", "size(z,1) x + x + softplus(-x)", "1 + size(z,1) + erf(x)"]
)
def test_sizes_are_no_numbers(text: str) -> None:
    """A sum may hold 1 and |z| side by side: both are multiples of 1."""
    p = es.parse(f"y = {text} + 0 z[K] z[K]")
    (left,), (right,) = simplify([p["y"].node]), stabilise([p["y"].node])
    arrays = {"x": np.array(0.3), "z": np.ones(3)}
    env = {str(d): 3 for d in p.leaves["z"].shape}
    np.testing.assert_allclose(*evaluate([left, right], arrays, env), rtol=1e-15)


def test_a_size_less_a_number_is_in_normal_form() -> None:
    """|z| - 10 is two multiples of 1, which no law writes out again."""
    p = es.parse("L = cosh(x) |z| / 10 - cosh(x) + z[I] 1[I]")
    for derived in (p.grad("L", wrt="x"), p.hessian("L", wrt="x").jacobian(wrt="x")):
        np.testing.assert_allclose(derived.compile()(x=0.3, z=np.ones(3)), -0.7 * np.sinh(0.3), rtol=1e-15)


def test_shared_products_are_not_flattened() -> None:
    """A product that two others use is computed once, whatever could be written out."""
    B, C, D = (input_(name, (K, K)) for name in "BCD")
    shared = einsum([B, C], ["ij", "jk"], "ik")
    both = simplify([einsum([shared, D], ["ij", "jk"], "ik"), einsum([D, shared], ["ij", "jk"], "ik")])
    assert all(shared in node.operands for node in both)
    (alone,) = simplify([einsum([shared, D], ["ij", "jk"], "ik")])
    assert shared not in alone.operands and len(alone.operands) == 3


def test_x_over_x_is_not_one() -> None:
    assert simplify([times(u, power(u, -1))])[0] is not power(u, 0)


def test_where_keeps_infinities_out() -> None:
    node = times(WHERE(u, v, zeros(u.shape)), power(u, -1))
    (after,) = simplify([node])
    assert after is WHERE(u, times(v, power(u, -1)), zeros(u.shape))


def test_distribution_only_over_different_deltas() -> None:
    p = input_("p", (I,))
    diagonal = pattern(p, "i", "ii", {})
    rank_one = einsum([p, p], ["i", "j"], "ij")
    spread = einsum([plus(diagonal, scale(-1, rank_one)), v], ["ij", "j"], "i")
    inner = pattern(einsum([p, v], ["j", "j"], ""), (), "i", {"i": I})
    assert simplify([spread])[0] is simplify([plus(times(p, v), scale(-1, times(p, inner)))])[0]
    kept = einsum([plus(u, v), p], ["i", "i"], "")
    assert simplify([kept])[0] is kept
