"""coefs: where the coefficients are multiplied in.

The IR hoists every coefficient to the front, so `-2 Einsum(X, R)` would scale every large gradient. Law: the planner
computes `factor[node] * node` instead of `node`, and every user divides its own demand by that factor, so the roots
keep their values. One sweep, users first and large nodes before small ones: a node whose users all demand the same
multiple is computed as that multiple; an Einsum hands its factor to one operand, a sum to its terms (signs stay: they
cost nothing there).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from heapq import heapify, heappop, heappush

from ..ir import Add, Call, Einsum, Input, Node
from .facts import Facts

ONE = Fraction(1)
LINEAR = {"part": (0,), "where": (1, 2)}  # prims that pass a factor to these arguments


def place_coefficients(facts: Facts) -> dict[Node, Fraction]:
    """The multiple of each node that is computed."""
    waiting = dict(facts.uses)
    demands: dict[Node, list[Fraction]] = {node: [] for node in facts.order}
    for root in facts.roots:
        demands[root].append(ONE)
        waiting[root] -= 1
    rank = {node: (-facts.count(node), -n) for n, node in enumerate(facts.order)}
    ready = [(rank[node], node) for node in facts.order if not waiting[node]]
    heapify(ready)
    factor: dict[Node, Fraction] = {}
    while ready:
        _, node = heappop(ready)
        wanted = demands[node]
        agreed = wanted[0] if all(c == wanted[0] for c in wanted) else ONE
        factor[node] = agreed if agreed != 1 and scalable(node, facts) else ONE
        for operand, demand in zip(node.operands, handed_down(node, factor[node], demands, facts), strict=True):
            demands[operand].append(demand)
            waiting[operand] -= 1
            if not waiting[operand]:
                heappush(ready, (rank[operand], operand))
    return factor


def scalable(node: Node, facts: Facts) -> bool:
    """Whether a multiple of the node costs no more than scaling it afterwards. Integers stay as they are."""
    d = facts.dtype[node]
    if d is None or d.kind not in "fc" or node in facts.number or isinstance(node, Input):
        return False
    if isinstance(node, Call):
        return node.prim.name in LINEAR
    return bool(node.operands)


def handed_down(node: Node, c: Fraction, demands: dict[Node, list[Fraction]], facts: Facts) -> Sequence[Fraction]:
    """What the node, computed c times, demands of each operand."""
    if isinstance(node, Add):
        if len(node.operands) == 1:
            return [c * facts.coef(node.coefs[0])]
        return [abs(c * facts.coef(own)) for own in node.coefs]
    result = [ONE] * len(node.operands)
    if c == 1:
        return result
    if isinstance(node, Einsum):
        chosen = bearer(node, c, demands, facts)
        places: tuple[int, ...] = () if chosen is None else (chosen,)
    else:
        assert isinstance(node, Call)
        places = LINEAR.get(node.prim.name, ())
    for k in places:
        result[k] = c
    return result


def bearer(e: Einsum, c: Fraction, demands: dict[Node, list[Fraction]], facts: Facts) -> int | None:
    """The operand that takes the factor: one that others want so anyway, else a smaller one than the result."""
    able = [k for k, o in enumerate(e.operands) if scalable(o, facts) and e.operands.count(o) == 1]
    if not able:
        return None

    def rank(k: int) -> tuple[bool, bool, int]:
        o = e.operands[k]
        return (not (demands[o] and all(d == c for d in demands[o])), facts.uses[o] > 1, facts.count(o))

    best = min(able, key=rank)
    o = e.operands[best]
    wanted = all(d == c for d in demands[o])
    if demands[o] and wanted:
        return best
    return best if wanted and (e.is_pattern or facts.count(o) <= facts.count(e)) else None
