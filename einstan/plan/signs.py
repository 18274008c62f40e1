"""signs: which sums are computed turned, b - a for a - b, so that signs cost nothing further up.

The normal form chooses the sign of a sum by digests and puts the rest in front, so the gradients of one net come as
2, -2, 2.. times products that share factors. Law: `sign[n] n` is computed instead of n. Free are the signs of sums with
terms of both signs or with a number among them; a product has the sign of its factors. What costs is an end whose sign
is wrong: a result, the argument of a function, and a multiple c beside others of the size |c|, which all scale one
common factor. Each end is an equation in the turned sums modulo 2; dear ends are satisfied first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..ir import Add, Call, Einsum, Input, Node
from .facts import Facts
from .values import Exact, magnitude

LINEAR = {"part": (0,), "where": (1, 2)}  # prims that pass a factor to these arguments


class Equation(NamedTuple):
    """The bits of `mask` have the sum `odd` modulo 2; `cost` is what it costs if they do not."""

    mask: int
    odd: bool
    cost: int


def place_signs(facts: Facts) -> dict[Node, int]:
    """1 or -1 for every node."""
    sums = (node for node in facts.order if is_free_sum(node, facts))
    free = {node: 1 << n for n, node in enumerate(sums)}
    turned = solved(equations(facts, free)) if free else 0
    sign: dict[Node, int] = {}
    for node in facts.order:
        if node in free:
            sign[node] = -1 if free[node] & turned else 1
        else:
            sign[node] = carried_sign(node, sign, facts)
    return sign


def carried_sign(node: Node, sign: Mapping[Node, int], facts: Facts) -> int:
    """The sign in which a node comes of its operands at no cost."""
    if not scalable(node, facts) or absorbs(node, facts):
        return 1
    if carries_sign(node):
        negative = sum([sign[o] < 0 for o in node.operands])
        return -1 if negative % 2 else 1
    if isinstance(node, Add) and len(node.operands) > 1:
        return -1 if all(facts.coef(c) * sign[o] < 0 for c, o in node.terms) else 1
    return 1


def sums_axes(node: Node, facts: Facts) -> bool:
    """Whether the node is a sum over axes: a product with ones, which may as well be other numbers."""
    if not isinstance(node, Einsum) or len(node.operands) != 1 or node.is_pattern:
        return False
    return bool(node.summed and node.out) and scalable(node, facts)


def absorbs(node: Node, facts: Facts) -> bool:
    """Whether the node is such a sum of what others use too: it takes the multiple that they want."""
    return sums_axes(node, facts) and not all(sums_axes(user, facts) for user in facts.users[node.operands[0]])


def carries_sign(node: Node) -> bool:
    """A product, or a part of an array."""
    return isinstance(node, Einsum) or (isinstance(node, Call) and node.prim.name == "part")


def scalable(node: Node, facts: Facts) -> bool:
    """Whether a multiple of the node costs no more than scaling it afterwards. Integers stay as they are."""
    d = facts.dtype[node]
    if d is None or d.kind not in "fc" or node in facts.number or isinstance(node, Input):
        return False
    if isinstance(node, Call):
        passed = [node.operands[k] for k in LINEAR.get(node.prim.name, ())]
        return bool(passed) and all(o in facts.number or facts.computed(o).kind in "fc" for o in passed)
    return bool(node.operands)


def is_free_sum(node: Node, facts: Facts) -> bool:
    """a - b is as good as b - a, and 1 - a as a - 1."""
    if not isinstance(node, Add) or len(node.operands) < 2 or not scalable(node, facts):
        return False
    return any(o in facts.number for o in node.operands) or len({facts.coef(c) > 0 for c in node.coefs}) > 1


def equations(facts: Facts, free: Mapping[Node, int]) -> Iterator[Equation]:
    """One for each end above a free sum."""
    parity: dict[Node, int] = {}
    common: dict[Exact, int] = {}  # the sign that multiples of one size have in common
    for node in facts.order:
        parity[node] = free[node] if node in free else carried_parity(node, parity, facts)
        for operand, c in ends_below(node, facts):
            if parity[operand]:
                size = magnitude(c)
                shared = 0 if size == 1 else common.setdefault(size, 1 << (len(free) + len(common)))
                yield Equation(parity[operand] ^ shared, c < 0, facts.count(operand))
    yield from (Equation(parity[root], False, facts.count(root)) for root in facts.roots if parity[root])


def carried_parity(node: Node, parity: Mapping[Node, int], facts: Facts) -> int:
    """The turned sums below that turn the node."""
    if not carries_sign(node) or not scalable(node, facts) or absorbs(node, facts):
        return 0
    mask = 0
    for operand in node.operands:
        mask ^= parity[operand]
    return mask


def ends_below(node: Node, facts: Facts) -> Iterator[tuple[Node, Exact]]:
    """The operands that are wanted in one sign, and the multiple that is wanted. Terms of a sum may have any."""
    if isinstance(node, Call) and not carries_sign(node):
        yield from ((o, 1) for o in node.operands)
    elif isinstance(node, Add) and len(node.operands) == 1:
        yield node.operands[0], facts.coef(node.coefs[0])


def solved(wanted: Iterable[Equation]) -> int:
    """The bits that satisfy the equations, dear ones first; those that contradict are left."""
    rows: dict[int, Equation] = {}  # by the highest bit
    for row in sorted(wanted, key=lambda row: -row.cost):
        while row.mask and (pivot := rows.get(row.mask.bit_length())) is not None:
            row = Equation(row.mask ^ pivot.mask, row.odd ^ pivot.odd, row.cost)
        if row.mask:
            rows[row.mask.bit_length()] = row
    bits = 0
    for place, row in sorted(rows.items()):
        if (row.mask & bits).bit_count() % 2 != row.odd:
            bits |= 1 << (place - 1)
    return bits
