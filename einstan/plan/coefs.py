"""coefs: where the coefficients are multiplied in.

The IR hoists every coefficient to the front, so `-2 Einsum(X, R)` would scale every large gradient. Law: the planner
computes `factor[node] * node` instead of `node`, and every user divides its own demand by that factor, so the roots
keep their values. One sweep, users first and large nodes before small ones: a node whose users all demand the same
multiple is computed as that multiple; an Einsum hands its factor to one operand, a sum to its terms (signs stay: they
cost nothing there).
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from ..ir import Add, Call, Einsum, Input, Node
from .facts import Facts
from .values import Exact, exact, magnitude

ONE: Exact = 1
LINEAR = {"part": (0,), "where": (1, 2)}  # prims that pass a factor to these arguments


class Placed(NamedTuple):
    """`factor`: the multiple of each node that is computed; `second`: another one that several users want."""

    factor: dict[Node, Exact]
    second: dict[Node, Exact]


Demands = dict[Node, dict[Exact, int]]  # how many users want which multiple


def place_coefficients(facts: Facts) -> Placed:
    """The multiples of each node that are computed."""
    waiting = dict(facts.uses)
    demands: Demands = {node: {} for node in facts.order}
    sweep = Sweep(facts, demands, usual_signs(facts))
    for root in facts.roots:
        demands[root][ONE] = 1
        waiting[root] -= 1
    rank = {node: (-facts.count(node), -n) for n, node in enumerate(facts.order)}
    ready = [(rank[node], node) for node in facts.order if not waiting[node]]
    heapify(ready)
    factor: dict[Node, Exact] = {}
    while ready:
        _, node = heappop(ready)
        agreed = next(iter(demands[node])) if len(demands[node]) == 1 else ONE
        factor[node] = agreed if agreed != 1 and scalable(node, facts) else ONE
        for operand, demand in zip(node.operands, handed_down(node, factor[node], sweep), strict=True):
            demands[operand][demand] = demands[operand].get(demand, 0) + 1
            waiting[operand] -= 1
            if not waiting[operand]:
                heappush(ready, (rank[operand], operand))
    return Placed(factor, seconds(demands, factor))


def seconds(demands: Demands, factor: dict[Node, Exact]) -> dict[Node, Exact]:
    """For each node the multiple that most users want beside the one computed, if it is more than one user."""
    found = {}
    for node, wanted in demands.items():
        times, c = max(((n, c) for c, n in wanted.items() if c != factor[node]), default=(0, ONE))
        if times > 1:
            found[node] = c
    return found


def scalable(node: Node, facts: Facts) -> bool:
    """Whether a multiple of the node costs no more than scaling it afterwards. Integers stay as they are."""
    d = facts.dtype[node]
    if d is None or d.kind not in "fc" or node in facts.number or isinstance(node, Input):
        return False
    if isinstance(node, Call):
        return node.prim.name in LINEAR
    return bool(node.operands)


class Sweep(NamedTuple):
    """The state: `demands` so far, and the sign that each size of coefficient has where it can't be turned."""

    facts: Facts
    demands: Demands
    signed: dict[Exact, Exact]


def handed_down(node: Node, c: Exact, sweep: Sweep) -> Sequence[Exact]:
    """What the node, computed c times, demands of each operand."""
    if isinstance(node, Add):
        if len(node.operands) == 1:
            return [exact(c * sweep.facts.coef(node.coefs[0]))]
        return [exact(magnitude(c * sweep.facts.coef(own))) for own in node.coefs]
    result = [ONE] * len(node.operands)
    if c == 1:
        return result
    if isinstance(node, Einsum):
        return shared_out(node, c, sweep)
    assert isinstance(node, Call)
    for k in LINEAR.get(node.prim.name, ()):
        result[k] = c
    return result


def shared_out(e: Einsum, c: Exact, sweep: Sweep) -> list[Exact]:
    """c to one operand, or -c where that was asked for before and a sum among the operands can turn its signs."""
    result = [ONE] * len(e.operands)
    usual = sweep.signed.setdefault(magnitude(c), c)
    turned = None if usual == c else next((k for k, o in enumerate(e.operands) if turnable(o, sweep.facts)), None)
    given = c if turned is None else usual
    k = bearer(e, given, sweep, turned)
    if k is None:
        k, given, turned = bearer(e, c, sweep, None), c, None
    if k is not None:
        result[k] = given
        if turned is not None:
            result[turned] = -ONE
    return result


def turnable(o: Node, facts: Facts) -> bool:
    """Whether the operand is a sum that nothing else uses: a - b is as good as b - a."""
    return isinstance(o, Add) and len(o.operands) > 1 and facts.uses[o] == 1 and scalable(o, facts)


def usual_signs(facts: Facts) -> dict[Exact, Exact]:
    """For each size of coefficient the sign it has before products that hold no sum that could be turned."""
    turns: set[Node] = set()
    for node in facts.order:
        if isinstance(node, Einsum) and any(turnable(o, facts) or o in turns for o in node.operands):
            turns.add(node)
    found: dict[Exact, Exact] = {}
    for node in facts.order:
        if isinstance(node, Add) and len(node.operands) == 1 and node.operands[0] not in turns:
            c = facts.coef(node.coefs[0])
            found.setdefault(magnitude(c), c)
    return found


def bearer(e: Einsum, c: Exact, sweep: Sweep, taken: int | None) -> int | None:
    """The operand that takes the factor: one that others want so anyway, else a smaller one than the result.

    Products are preferred to sums: they hand it on, perhaps to where it is wanted anyway.
    """
    facts, demands = sweep.facts, sweep.demands
    able = [k for k, o in enumerate(e.operands) if k != taken and scalable(o, facts) and e.operands.count(o) == 1]
    if not able:
        return None

    def rank(k: int) -> tuple[bool, bool, bool, int]:
        o = e.operands[k]
        return (c not in demands[o], not isinstance(o, Einsum), facts.uses[o] > 1, facts.count(o))

    best = min(able, key=rank)
    o = e.operands[best]
    if c in demands[o]:
        return best
    return best if not demands[o] and (e.is_pattern or facts.count(o) <= facts.count(e)) else None
