"""coefs: where the coefficients are multiplied in.

The IR hoists every coefficient to the front, so `-2 Einsum(X, R)` would scale every large gradient. Law: the planner
computes `factor[node] * node` instead of `node`, and every user divides its own demand by that factor, so the roots
keep their values. First, for every multiple that some end demands (a result, a term, the argument of a function), it
is estimated what that multiple of each node below costs: few entries that many ends share are cheap. Then one sweep,
users first: a product hands its multiple to the cheapest factor, a sum to all its terms; a node whose users all demand
the same multiple is computed as that. A sum over an axis takes whatever others want. Signs are those of `signs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import inf
from typing import Final, NamedTuple

from ..ir import Add, Call, Einsum, Input, Node
from .facts import Facts, base, scatters
from .signs import LINEAR, absorbs, place_signs, scalable, sums_axes
from .values import Exact, exact, magnitude

ROUNDS: Final = 3  # of estimating how many share a multiple
STEP: Final = 4000  # entries whose scaling takes as long as a step of numpy with none


class Placed(NamedTuple):
    """`factor`: the multiple of each node that is computed; `wanted`: those that a node takes of its operands."""

    factor: dict[Node, Exact]
    wanted: dict[Node, Sequence[Exact]]


class End(NamedTuple):
    """A node of which a multiple is demanded, and the entries that are scaled if it is scaled right there."""

    node: Node
    cost: int


def place_coefficients(facts: Facts) -> Placed:
    """The multiples of each node that are computed."""
    sign = place_signs(facts)
    found = ends(facts, sign)
    sweep = Sweep(facts, sign, {c: flows(facts, own) for c, own in found.items()}, {node: {} for node in facts.order})
    for root in facts.roots:
        sweep.demands[root][1] = None
    factor: dict[Node, Exact] = {}
    wanted: dict[Node, Sequence[Exact]] = {}
    absorbing = {node for node in facts.order if absorbs(node, facts)}
    for node in reversed(facts.order):
        asked = sweep.demands[node]
        agreed = len(asked) == 1 and scalable(node, facts)
        factor[node] = next(iter(asked)) if agreed else sign[node]
        wanted |= {user: [factor[node]] for user in facts.users[node] if user in absorbing}
        if node not in absorbing:
            wanted[node] = handed_down(node, factor[node], sweep)
            for operand, c in zip(node.operands, wanted[node], strict=True):
                sweep.demands[operand][c] = None
    return Placed(factor, wanted)


# ---------------------------------------------------------------- ends


def ends(facts: Facts, sign: Mapping[Node, int]) -> dict[Exact, list[End]]:
    """By the multiple beside the node's sign: who demands it. The terms of a sum take either sign."""
    found: dict[Exact, list[End]] = {}
    terms: list[tuple[Exact, End]] = []
    for root in facts.roots:
        noted(found, exact(sign[root]), End(root, price(root, facts)))
    for node in facts.order:
        if isinstance(node, Add) and len(node.operands) > 1:
            terms += term_ends(node, facts)
        elif not isinstance(node, Einsum):
            for operand, c in zip(node.operands, demanded(node, sign[node], facts), strict=True):
                noted(found, exact(c * sign[operand]), End(operand, price(operand, facts)))
    for size, end in terms:
        noted(found, -size if -size in found and size not in found else size, end)
    return found


def noted(found: dict[Exact, list[End]], c: Exact, end: End) -> None:
    if c != 1:
        found.setdefault(c, []).append(end)


def term_ends(a: Add, facts: Facts) -> Iterator[tuple[Exact, End]]:
    """The terms of a sum; a size that all have in common may be multiplied in once, at the end."""
    sizes = [magnitude(facts.coef(c)) for c in a.coefs]
    alike = len(set(sizes)) == 1
    for size, operand in zip(sizes, a.operands, strict=True):
        if size != 1 and operand not in facts.number:
            yield size, End(operand, price(a, facts) // len(sizes) if alike else price(operand, facts))


def price(node: Node, facts: Facts) -> int:
    """What scaling a node costs."""
    if sums_axes(node, facts):
        return 0 if absorbs(node, facts) else STEP
    return STEP + facts.count(node)


def flows(facts: Facts, own: Sequence[End]) -> dict[Node, float]:
    """For each node below the ends: what its multiple costs each of those who take it.

    Bottom-up, the cost of scaling the node or, if that is less, of the factor or the terms that it hands its multiple
    to, divided by how many share it: at first all that could, then those that did in the round before.
    """
    fan, through = reached(facts, own)
    order = [node for node in facts.order if node in fan]
    flow: dict[Node, float] = {}
    for _ in range(ROUNDS):
        flow = {}
        for node in order:
            here = price(node, facts) if is_float(node, facts) else inf
            below = handed_cost(node, flow, facts) if node in through else inf
            flow[node] = min(here, below) / fan.get(node, 1)
        fan = taken(facts, own, order, through, flow)
    return flow


def reached(facts: Facts, own: Sequence[End]) -> tuple[dict[Node, int], set[Node]]:
    """How many could take the multiple of each node, and the nodes that no one takes otherwise."""
    fan: dict[Node, int] = {}
    through: set[Node] = set()
    for end in own:
        fan[end.node] = fan.get(end.node, 0) + 1
    for node in reversed(facts.order):
        if node not in fan or not scalable(node, facts):
            continue
        free = sum([absorbs(user, facts) for user in facts.users[node]])
        if fan[node] + free == facts.uses[node]:
            through.add(node)
            for operand in passed_to(node, facts):
                fan[operand] = fan.get(operand, 0) + 1
    return fan, through


def taken(
    facts: Facts, own: Sequence[End], order: Sequence[Node], through: AbstractSet[Node], flow: Mapping[Node, float]
) -> dict[Node, int]:
    """How many take the multiple of each node, if everybody takes what costs least."""
    found: dict[Node, int] = {}
    for end in own:
        if flow[end.node] <= end.cost:
            found[end.node] = found.get(end.node, 0) + 1
    for node in reversed(order):
        if node in found and node in through and handed_cost(node, flow, facts) < price(node, facts):
            below = passed_to(node, facts)
            for operand in [min(below, key=flow.__getitem__)] if isinstance(node, Einsum) else below:
                found[operand] = found.get(operand, 0) + 1
    return found


def handed_cost(node: Node, flow: Mapping[Node, float], facts: Facts) -> float:
    below = [flow[o] for o in passed_to(node, facts)]
    return min(below, default=inf) if isinstance(node, Einsum) else sum(below) if below else inf


def passed_to(node: Node, facts: Facts) -> Sequence[Node]:
    """The operands that may take a multiple of the node: one of them of a product, all of them of a sum."""
    if absorbs(node, facts):
        return []
    if isinstance(node, Einsum):
        return [o for o in node.operands if node.operands.count(o) == 1 and o not in facts.number]
    if isinstance(node, Call):
        return [node.operands[k] for k in LINEAR.get(node.prim.name, ())]
    if all(magnitude(facts.coef(c)) == 1 for c in node.coefs) if isinstance(node, Add) else False:
        return [o for o in node.operands if o not in facts.number]
    return []


def is_float(node: Node, facts: Facts) -> bool:
    return scalable(node, facts) or (isinstance(node, Input) and facts.computed(node).kind in "fc")


# ---------------------------------------------------------------- the sweep


class Sweep(NamedTuple):
    """The state: the `sign` of each node, what its multiples cost, demands so far."""

    facts: Facts
    sign: Mapping[Node, int]
    flow: Mapping[Exact, Mapping[Node, float]]
    demands: dict[Node, dict[Exact, None]]

    def cost(self, node: Node, c: Exact) -> float:
        """Of c times the node, beside its sign."""
        if c == 1 or node in self.facts.number or exact(c * self.sign[node]) in self.demands[node]:
            return 0
        if not is_float(node, self.facts):
            return inf
        return self.flow.get(c, {}).get(node, price(node, self.facts))


def handed_down(node: Node, c: Exact, sweep: Sweep) -> Sequence[Exact]:
    """What the node, computed c times, takes of each operand."""
    if isinstance(node, Einsum):
        return shared_out(node, exact(c * sweep.sign[node]), sweep)
    if isinstance(node, Add) and len(node.operands) > 1:
        return of_terms(node, c, sweep)
    return demanded(node, c, sweep.facts)


def demanded(node: Node, c: Exact, facts: Facts) -> Sequence[Exact]:
    """Of the operands of a call or of a single multiple, which take what they are given; a diagonal is scaled when it
    is written."""
    if isinstance(node, Add):
        return [1 if scatters(o) else exact(c * facts.coef(own)) for own, o in node.terms]
    linear = LINEAR.get(node.prim.name, ()) if isinstance(node, Call) else ()
    return [c if k in linear else 1 for k in range(len(node.operands))]


def shared_out(e: Einsum, c: Exact, sweep: Sweep) -> Sequence[Exact]:
    """c, beside the sign of the product, to the factor whose multiple costs least, if that is less than scaling e."""
    found: list[Exact] = [sweep.sign[o] for o in e.operands]
    able = [k for k, o in enumerate(e.operands) if e.operands.count(o) == 1 and is_float(o, sweep.facts)]
    costs = [sweep.cost(e.operands[k], c) for k in able]
    if c != 1 and able and min(costs) < price(e, sweep.facts):
        k = able[costs.index(min(costs))]
        found[k] = exact(c * found[k])
    return found


def of_terms(a: Add, c: Exact, sweep: Sweep) -> Sequence[Exact]:
    """Its multiple to each term; none where a common one is multiplied in at the end."""
    facts = sweep.facts
    found = [with_sign(o, magnitude(c * facts.coef(x)), sweep) for x, o in a.terms]
    costs = sum([sweep.cost(o, x) for o, x in zip(a.operands, found, strict=True)])
    k = base(a, facts)
    if k is not None:
        found[k] = exact(c * facts.coef(a.coefs[k]) * sweep.sign[a.operands[k]])
    elif len({magnitude(x) for x in found}) == 1 and costs >= price(a, facts):
        found = [1] * len(found)
    return [exact(x * sweep.sign[o]) if is_float(o, facts) else 1 for o, x in zip(a.operands, found, strict=True)]


def with_sign(term: Node, size: Exact, sweep: Sweep) -> Exact:
    """A sum takes either sign: the one that costs less."""
    return exact(min((size, -size), key=lambda x: sweep.cost(term, x)))
