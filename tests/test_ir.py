"""The constructors keep the normal form: equal expressions are one object."""

from __future__ import annotations

import random
import threading
from fractions import Fraction

import pytest

from einstan.dims import Dim
from einstan.errors import EinstanError
from einstan.ir import (
    Coef,
    Einsum,
    Node,
    add,
    einsum,
    inline,
    input_,
    is_zero,
    name_,
    number,
    ones,
    scale,
    split,
    toposort,
    uses,
    zeros,
)
from einstan.prims.scalar import power

I, J, K = (Dim.symbol(s) for s in ("i", "j", "k"))
A, B = input_("A", (I, K)), input_("B", (K, J))
S = input_("S", (K, K))
u, v = input_("u", (I,)), input_("v", (I,))


def test_operand_order_and_label_names_do_not_matter() -> None:
    assert einsum([A, B], ["ik", "kj"], "ij") is einsum([B, A], [(7, "z"), (0, 7)], (0, "z"))


@pytest.mark.parametrize("factors", [3, 5, 20])
def test_equal_operands_have_one_order(factors: int) -> None:
    """A ring of equal matrices is one object however it is presented."""
    seen = set()
    rng = random.Random(0)
    for _ in range(50):
        labels = rng.sample(range(factors), factors)
        pairs = [(labels[n], labels[(n + 1) % factors]) for n in range(factors)]
        rng.shuffle(pairs)
        seen.add(einsum([S] * factors, pairs, ()))
    assert len(seen) == 1


def test_different_networks_of_equal_operands_differ() -> None:
    ring = einsum([S] * 4, ["ab", "bc", "cd", "da"], "")
    pairs = einsum([S] * 4, ["ab", "ba", "cd", "dc"], "")
    assert ring is not pairs


PATTERNS = [
    ("a transposition twice", lambda: einsum([einsum([A], ["ik"], "ki")], ["ki"], "ik"), lambda: A),
    (
        "a delta unites labels",
        lambda: einsum([einsum([], [], "aa", {"a": K}), B], ["ik", "kj"], "ij"),
        lambda: B,
    ),
    ("ones carried by another are nothing", lambda: einsum([ones((I,)), A], ["i", "ik"], "ik"), lambda: A),
    (
        "a sum over ones alone is the size",
        lambda: einsum([ones((I,)), v], ["k", "i"], "i"),
        lambda: scale(Coef.size(I), v),
    ),
    (
        "a delta of the output is a repeated label",
        lambda: einsum([einsum([], [], "aa", {"a": I}), u], ["ab", "a"], "ab"),
        lambda: einsum([u], ["a"], "aa"),
    ),
    (
        "coefficients go in front",
        lambda: einsum([scale(2, A), scale(Fraction(1, 3), B)], ["ik", "kj"], "ij"),
        lambda: scale(Fraction(2, 3), einsum([A, B], ["ik", "kj"], "ij")),
    ),
    ("zero swallows", lambda: einsum([zeros((I, K)), B], ["ik", "kj"], "ij"), lambda: zeros((I, J))),
    ("like terms merge", lambda: add([(1, u), (2, v), (3, u)], (I,)), lambda: add([(4, u), (2, v)], (I,))),
    ("x - x is 0", lambda: add([(1, u), (-1, u)], (I,)), lambda: zeros((I,))),
    (
        "a sum has content 1",
        lambda: add([(6, u), (-4, v)], (I,)),
        lambda: scale(2, add([(3, u), (-2, v)], (I,))),
    ),
    (
        "multiples of one node by a size and a number have one order",
        lambda: add([(Coef.size(I), u), (-10, u)], (I,)),
        lambda: scale(-1, add([(10, u), (Coef(Fraction(-1), Coef.size(I).sizes), u)], (I,))),
    ),
    ("a coefficient 1 is nothing", lambda: scale(1, u), lambda: u),
    ("0 times x", lambda: scale(0, u), lambda: zeros((I,))),
]


@pytest.mark.parametrize(("left", "right"), [row[1:] for row in PATTERNS], ids=[row[0] for row in PATTERNS])
def test_normal_form(left, right) -> None:
    assert left() is right()


def test_a_product_with_repeated_output_is_a_pattern_around_a_product() -> None:
    node = einsum([A, B], ["ik", "kj"], "iji")
    assert isinstance(node, Einsum) and node.is_pattern
    assert node.operands[0] is einsum([A, B], ["ik", "kj"], "ij")


def test_numbers_past_400_digits_stay_unfolded() -> None:
    big = 10**300
    node: Node = u
    for _ in range(4):
        node = scale(big, node)
        assert not split(node)[0].huge
    assert not is_zero(node)


OVERFLOWS = {
    "a sum": lambda: add([(10**400, u), (1, u)], (I,)),
    "a sum of fractions": lambda: add([(Fraction(1, 10**400), u), (Fraction(1, 7**400), u)], (I,)),
    "an exponent": lambda: power(u, -(10**400) - 1),
}


@pytest.mark.parametrize("case", OVERFLOWS)
def test_what_could_not_be_read_again_is_refused(case: str) -> None:
    with pytest.raises(EinstanError, match="more than 400 digits"):
        OVERFLOWS[case]()


def test_interning_from_many_threads_gives_one_object() -> None:
    found: list[list[Node]] = [[] for _ in range(8)]
    gate = threading.Barrier(8)

    def build(mine: list[Node]) -> None:
        gate.wait()
        mine.extend(add([(n, u), (1, v)], (I,)) for n in range(2, 300))

    threads = [threading.Thread(target=build, args=(mine,)) for mine in found]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(len({id(row[n]) for row in found}) == 1 for n in range(298))


def test_depth_is_bounded_by_memory_alone() -> None:
    from einstan.prims.scalar import SIN

    node: Node = u
    for _ in range(100_000):
        node = SIN(node)
    assert len(toposort([node])) == 100_001
    (moved,) = inline([node], {u: v})
    assert len(toposort([moved])) == 100_001
    assert uses([node])[u] == 1


def test_inline_follows_names_through_names() -> None:
    Z, Y = name_("Z", (I,)), name_("Y", (I,))
    definitions = {Z: add([(1, u), (1, v)], (I,)), Y: scale(2, Z)}
    assert inline([Y], definitions)[0] is scale(2, add([(1, u), (1, v)], (I,)))


def test_number_is_a_multiple_of_ones() -> None:
    assert split(number(Fraction(1, 2), (I,))) == (Coef(Fraction(1, 2)), ones((I,)))


def test_digests_do_not_depend_on_the_process() -> None:
    assert einsum([A, B], ["ik", "kj"], "ij").digest.hex() == "40caa21d06b16c972541008aa2e96c6f"


def test_a_thousand_equal_factors_have_an_order() -> None:
    """Past the step budget the contraction is right, though its order may not be the only one."""
    traces = einsum([S] * 1000, [(n, n) for n in range(1000)], ())
    assert isinstance(traces, Einsum) and len(traces.operands) == 1000
