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
    sweep = Sweep(facts, demands, turned_sums(facts))
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
    """The state: `demands` so far, and the products in which a sum is turned (see `turned_sums`)."""

    facts: Facts
    demands: Demands
    turned: dict[Node, int]


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
    """c to one operand; -c where a sum among the operands turns its signs."""
    result = [ONE] * len(e.operands)
    turned = sweep.turned.get(e)
    k = None if turned is None else bearer(e, -c, sweep, turned)
    if k is not None and turned is not None:
        result[k], result[turned] = -c, -ONE
        return result
    k = bearer(e, c, sweep, None)
    if k is not None:
        result[k] = c
    return result


def bearer(e: Einsum, c: Exact, sweep: Sweep, taken: int | None) -> int | None:
    """The operand that takes the factor: one that others want so anyway, else a smaller one than the result.

    Contractions are preferred: they hand it on, perhaps to where it is wanted anyway.
    """
    facts, demands = sweep.facts, sweep.demands
    able = [k for k, o in enumerate(e.operands) if k != taken and scalable(o, facts) and e.operands.count(o) == 1]
    if not able:
        return None

    def rank(k: int) -> tuple[bool, bool, bool, int]:
        o = e.operands[k]
        return (c not in demands[o], not (isinstance(o, Einsum) and o.summed), facts.uses[o] > 1, facts.count(o))

    best = min(able, key=rank)
    o = e.operands[best]
    if c in demands[o]:
        return best
    return best if not demands[o] and (e.is_pattern or facts.count(o) <= facts.count(e)) else None


# ---------------------------------------------------------------- signs


def turned_sums(facts: Facts) -> dict[Node, int]:
    """Products `(a - b) x` to be computed as `-(b - a) x`: the place of the sum in each.

    The normal form chooses the sign of a sum by digests and puts the rest in front, so the gradients of one net
    come as 2, -2, 2.. times products that share factors. A sum is turned where that makes the coefficients on top of
    its product agree with those of products without such a sum: then all of them scale one common factor.
    """
    below: dict[Node, Node] = {}  # the next product down that holds a sum that can be turned
    place: dict[Node, int] = {}
    for node in facts.order:
        if isinstance(node, Einsum):
            k = next((k for k, o in enumerate(node.operands) if turnable(o, facts)), None)
            heir = carrier(node, k, facts)
            if heir is not None:
                below[node] = heir if heir in place else below.get(heir, heir)
            if k is not None:
                place[node] = k
    wanted = wanted_signs(facts, below, place)
    sign: dict[Node, int] = {}
    for node in place:
        rest = sign.get(below.get(node, node), 1)
        sign[node] = wanted.get(node, rest)
    return {e: k for e, k in place.items() if sign[e] != sign.get(below.get(e, e), 1)}


def wanted_signs(facts: Facts, below: dict[Node, Node], place: dict[Node, int]) -> dict[Node, int]:
    """For a product with a sum: the sign of the coefficient on top of it, relative to products without one."""
    usual: dict[Exact, int] = {}
    tops: list[tuple[Node, Exact]] = []
    for node in facts.order:
        if isinstance(node, Add) and len(node.operands) == 1:
            c, (operand,) = facts.coef(node.coefs[0]), node.operands
            top = operand if operand in place else below.get(operand)
            if top is not None and top in place:
                tops.append((top, c))
            else:
                usual.setdefault(magnitude(c), 1 if c > 0 else -1)
    wanted: dict[Node, int] = {}
    for top, c in tops:
        wanted.setdefault(top, (1 if c > 0 else -1) * usual.setdefault(magnitude(c), 1 if c > 0 else -1))
    return wanted


def turnable(o: Node, facts: Facts) -> bool:
    """Whether only this product uses the operand, and its sign is free: a sum, or an entrywise product with one."""
    if facts.uses[o] != 1 or not scalable(o, facts):
        return False
    if isinstance(o, Einsum):
        return not o.summed and any(is_free_sum(x, facts) for x in o.operands)
    return is_free_sum(o, facts)


def is_free_sum(o: Node, facts: Facts) -> bool:
    """a - b is as good as b - a."""
    return isinstance(o, Add) and len(o.operands) > 1 and facts.uses[o] == 1 and scalable(o, facts)


def carrier(e: Einsum, taken: int | None, facts: Facts) -> Node | None:
    """The factor of a product that would take a coefficient, as far as the structure tells."""
    able = [o for k, o in enumerate(e.operands) if k != taken and isinstance(o, Einsum) and scalable(o, facts)]
    return min(able, key=lambda o: (not o.summed, facts.uses[o] > 1, facts.count(o)), default=None)
