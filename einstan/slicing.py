"""slicing: a plan that keeps within a limit of memory, where there is one: what lies along an axis in stretches.

A *wire* is one axis followed through the graph: the nodes that have it, each cut along it, and those that sum it. With
n stretches every node of the wire becomes n pieces, each made of the same pieces of what it is made of; inputs are cut
by views. A sum along the wire is the running sum of its pieces; a node that something needs whole is their
concatenation, whose pieces are written where they belong. Pieces are computed stretch by stretch for all results
together, so that those of one stretch lie where those of the last one were.

What needs a node of the wire whole waits until all pieces of it are there; pieces made of that belong to a later
*phase*. Pieces of earlier phases that they need too are kept, or made once more.

Law: the results have the values that they have without a limit, but for the order of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import prod
from typing import Final, NamedTuple

from .backends.numpy import MATRICES, REDUCTIONS
from .dims import Dim, Env
from .ir import (
    UNIT,
    Add,
    Call,
    Const,
    Einsum,
    Input,
    Name,
    Node,
    add,
    call,
    einsum,
    is_zero,
    raw_sum,
    rebuild,
    toposort,
)
from .memory import most_bytes
from .plan import Plan
from .plan.facts import users
from .prims.shape import concat, part

STRETCHES: Final = (2, 4, 8, 16, 32, 64, 128, 256)  # how many are tried, until the plan fits
LARGEST: Final = 8  # nodes whose axes are tried as wires
WIRES: Final = 6  # how many of these, those with most entries first
ENOUGH: Final = Fraction(105, 100)  # times the flops of the plan without a limit: no other wire is tried
GAIN: Final = Fraction(97, 100)  # twice the stretches bring the peak below this part of it, else no more are tried

Make = Callable[[Sequence[Node], Sequence[Node]], Plan]  # (outputs, what is computed first, in order) -> plan


def fitting(outputs: Sequence[Node], env: Env, make: Make, limit: int | None) -> Plan:
    """The plan of the outputs, over binary products; in stretches where it is over the limit (bytes; None: what is
    there): that of the fewest flops, then steps, of those that fit; if none does, the one with the lowest peak."""
    found = make(outputs, ())
    most = most_bytes(limit)
    if most is None or found.peak_bytes <= most:
        return found
    tried = [found]
    for wire in wires(outputs, env):
        tried.append(in_stretches(outputs, env, make, wire, most))
        if tried[-1].peak_bytes <= most and tried[-1].flops <= ENOUGH * found.flops:
            break
    fits = [p for p in tried if p.peak_bytes <= most]
    least = min(tried, key=lambda p: p.peak_bytes)
    return min(fits, key=lambda p: (p.flops, len(p.steps)), default=least)


def in_stretches(outputs: Sequence[Node], env: Env, make: Make, wire: Wire, most: int) -> Plan:
    """The plan of the fewest stretches that fits; if there is none, the one with the lowest peak."""
    first, *others = numbers(wire.length.at(env))
    least = make(*sliced(outputs, wire, env, first))
    for n in others:
        if least.peak_bytes <= most:
            break
        found = make(*sliced(outputs, wire, env, n))
        if found.peak_bytes > GAIN * least.peak_bytes:
            break
        least = found
    return least


def numbers(size: int) -> Iterator[int]:
    """How many stretches of a wire of this size are tried."""
    for n in STRETCHES:
        if n < size:
            yield n
        elif n < 2 * size:
            yield size


# ---------------------------------------------------------------- how a node may be cut


class Cut(NamedTuple):
    """How a node is cut: the axis of each operand (None: every piece takes all of it), and of the node (None: each
    piece is a term of it)."""

    operands: tuple[int | None, ...]
    axis: int | None


def cuts(node: Node) -> Iterator[Cut]:
    """Every way in which a piece of the node is made of pieces, along one axis, of what it is made of."""
    for kind, rule in CUTS.items():
        if isinstance(node, kind):
            yield from rule(node)


def of_product(e: Einsum) -> Iterator[Cut]:
    """Along any label that stands once wherever it stands."""
    for label in e.dims:
        if max(own.count(label) for own in (*e.labels, e.out)) == 1:
            places = tuple([own.index(label) if label in own else None for own in e.labels])
            yield Cut(places, e.out.index(label) if label in e.out else None)


def of_sum(a: Add) -> Iterator[Cut]:
    return along_all(a, range(a.rank))


def of_call(y: Call) -> Iterator[Cut]:
    """Entry by entry along every axis; along all but those that the primitive works on."""
    if y.prim.entrywise:
        yield from along_all(y, range(y.rank))
    elif y.prim.name in REDUCTIONS:
        (n,) = y.params
        assert isinstance(n, int)
        yield from along_all(y, range(y.operands[0].rank - n))
    elif y.prim.name in MATRICES:
        yield from along_all(y, range(y.operands[0].rank - 2))
    elif y.prim.name in ("concat", "part"):
        yield from along_all(y, [axis for axis in range(y.rank) if axis != y.params[0]])


def along_all(node: Node, axes: Iterable[int]) -> Iterator[Cut]:
    return (Cut((axis,) * len(node.operands), axis) for axis in axes)


CUTS: dict[type[Node], Callable[..., Iterator[Cut]]] = {Einsum: of_product, Add: of_sum, Call: of_call}


# ---------------------------------------------------------------- wires


@dataclass(frozen=True, slots=True)
class Wire:
    """How each node of the wire is cut. `again`: pieces that a later phase needs are made once more then."""

    cuts: Mapping[Node, Cut]
    length: Dim
    again: bool = False

    def has(self, node: Node, axis: int | None) -> bool:
        """Whether a piece of the node along the axis is a piece of the wire."""
        return axis is not None and node in self.cuts and self.cuts[node].axis == axis


def wires(outputs: Sequence[Node], env: Env) -> Iterator[Wire]:
    """Those of the axes of the largest nodes that are computed, the ones with most entries first; with pieces kept
    and, where that differs, made again."""
    order = toposort(outputs)
    held = users(order)
    found: dict[frozenset[tuple[Node, Cut]], Wire] = {}
    for node in sorted(filter(is_computed, order), key=lambda n: -entries(n, env))[:LARGEST]:
        for axis, d in enumerate(node.shape):
            if d.at(env) > 1 and not any(w.has(node, axis) for w in found.values()):
                wire = followed(node, axis, held)
                if wire.cuts:
                    found.setdefault(frozenset(wire.cuts.items()), wire)
    for wire in sorted(found.values(), key=lambda w: -sum(entries(n, env) for n in w.cuts))[:WIRES]:
        yield wire
        if Work(outputs, wire, ()).phases > 1:
            yield replace(wire, again=True)


def is_computed(node: Node) -> bool:
    return not isinstance(node, Input | Name | Const) and not (isinstance(node, Einsum) and node.is_pattern)


def entries(node: Node, env: Env) -> int:
    return prod([d.at(env) for d in node.shape])


def followed(seed: Node, axis: int, held: Mapping[Node, Sequence[Node]]) -> Wire:
    """The nodes that have this axis of the seed, or sum it, up and down from there. Each is cut in one way: what meets
    the wire in another way takes the node whole."""
    size = seed.shape[axis]
    found: dict[Node, Cut] = {}
    waiting = [(seed, cut) for cut in cuts(seed) if cut.axis == axis]
    while waiting:
        node, cut = waiting.pop()
        if node in found:
            continue
        found[node] = cut
        for operand, place in zip(node.operands, cut.operands, strict=True):
            if place is not None and operand.shape[place] == size:
                waiting += [(operand, c) for c in cuts(operand) if c.axis == place]
        for user in held[node] if cut.axis is not None else ():
            places = [k for k, o in enumerate(user.operands) if o is node]
            waiting += [(user, c) for c in cuts(user) for k in places if c.operands[k] == cut.axis]
    return Wire(found, size)


# ---------------------------------------------------------------- pieces


class Sliced(NamedTuple):
    """Nodes of the values that are wanted, and those that are to be computed first, in order."""

    outputs: list[Node]
    first: list[Node]


class Stretch(NamedTuple):
    """From `low` to `high`; how many entries of the wire lie before and after."""

    low: Dim
    high: Dim
    before: int
    after: int


def sliced(outputs: Sequence[Node], wire: Wire, env: Env, n: int) -> Sliced:
    """The outputs with the wire in n stretches."""
    work = Work(outputs, wire, stretches(wire.length, wire.length.at(env), n))
    for phase in range(work.phases):
        work.make_whole(phase)
        for k in range(n):
            work.make_pieces(phase, k)
        work.join_pieces(phase)
    work.make_whole(work.phases)
    return Sliced([work.whole[root] for root in outputs], work.first)


def stretches(length: Dim, size: int, n: int) -> list[Stretch]:
    """n stretches of nearly one length; together they are as long as the wire, whatever its symbol stands for."""
    ends = [k * size // n for k in range(n + 1)]
    dims = [*map(Dim.of, ends[:-1]), length]
    return [Stretch(*pair, low, size - high) for pair, (low, high) in zip(pairwise(dims), pairwise(ends), strict=True)]


class Work:
    """The state of the slicing: pieces and whole nodes as they are made, and the order in which to compute them."""

    def __init__(self, outputs: Sequence[Node], wire: Wire, parts: Sequence[Stretch]) -> None:
        self.wire, self.parts = wire, parts
        self.order = toposort(outputs)
        self.phase: dict[Node, int] = {}  # of pieces
        self.ready: dict[Node, int] = {}  # the phase from whose start on a node is there as a whole
        self.needed = set(outputs)  # whole
        self.inner = set[Node]()  # whose pieces others of their phase are made of
        for node in self.order:
            self.schedule(node)
        self.phases = 1 + max(self.phase.values())
        self.whole: dict[Node, Node] = {}
        self.piece: dict[tuple[Node, int], Node] = {}
        self.first: list[Node] = []
        self.members = [self.of_phase(phase) for phase in range(self.phases)]

    def schedule(self, node: Node) -> None:
        """When the node is computed, and what it needs whole."""
        cut = self.wire.cuts.get(node)
        places = cut.operands if cut is not None else (None,) * len(node.operands)
        pieces: list[Node] = []
        rest: list[Node] = []
        for operand, place in zip(node.operands, places, strict=True):
            (pieces if self.wire.has(operand, place) else rest).append(operand)
        self.needed.update(rest)
        start = max([*(self.phase[o] for o in pieces), *(self.ready[o] for o in rest)], default=0)
        self.ready[node] = start
        if cut is not None:
            self.phase[node], self.ready[node] = start, start + 1
            self.inner.update(o for o in pieces if self.phase[o] == start)

    def of_phase(self, phase: int) -> list[Node]:
        """The nodes whose pieces are made in a phase, those that are made again among them."""
        found = {node for node, own in self.phase.items() if own == phase}
        for node in reversed(self.order) if self.wire.again else ():
            if node in found:
                pairs = zip(node.operands, self.wire.cuts[node].operands, strict=True)
                found.update(o for o, place in pairs if self.wire.has(o, place) and not self.is_there(o, phase))
        return [node for node in self.order if node in found]

    def is_there(self, node: Node, phase: int) -> bool:
        """Whether the whole node can be cut in this phase."""
        return node in self.needed and self.ready[node] <= phase

    def make_whole(self, phase: int) -> None:
        """What is not on the wire and can be there at the start of the phase."""
        for node in self.order:
            if node not in self.wire.cuts and self.ready[node] == phase:
                self.whole[node] = rebuild(node, [self.whole[o] for o in node.operands])

    def make_pieces(self, phase: int, k: int) -> None:
        """All pieces of one stretch."""
        low, high, _, _ = self.parts[k]
        for node in self.members[phase]:
            cut = self.wire.cuts[node]
            pairs = zip(node.operands, cut.operands, strict=True)
            operands = [self.taken(o, place, phase, k) for o, place in pairs]
            found = self.piece[node, k] = cut_off(node, cut, operands, high - low)
            if self.phase[node] == phase:
                if cut.axis is None:
                    found = self.whole[node] = running(self.whole.get(node), found)
                if node not in self.inner:
                    self.first.append(found)

    def taken(self, operand: Node, place: int | None, phase: int, k: int) -> Node:
        """What the piece k of a node takes of its operand: all of it, a piece of the wire, or a part of the whole."""
        if place is None:
            return self.whole[operand]
        if self.wire.has(operand, place) and not self.is_there(operand, phase):
            return self.piece[operand, k]
        return view(self.whole[operand], place, self.parts[k], phase if self.wire.again else 0)

    def join_pieces(self, phase: int) -> None:
        """Whole nodes of the pieces of a phase, where something needs them."""
        for node in self.members[phase]:
            axis = self.wire.cuts[node].axis
            if axis is not None and self.phase[node] == phase and node in self.needed:
                self.whole[node] = concat([self.piece[node, k] for k in range(len(self.parts))], axis)


def view(x: Node, axis: int, stretch: Stretch, number: int) -> Node:
    """A stretch of x, seen in another way for every number: the planner makes once what is made of one view. So it
    does where the wire is too short for another way."""
    low, high, before, after = stretch
    if 0 < number <= after:
        return part(part(x, axis, low, high + number), axis, Dim.of(0), high - low)
    if 0 < number <= before:
        return part(part(x, axis, low - number, high), axis, Dim.of(number), high - low + number)
    return part(x, axis, low, high)


def running(total: Node | None, term: Node) -> Node:
    """The sum so far and one more term, which comes after it."""
    if total is None or is_zero(total):
        return term
    return total if is_zero(term) else raw_sum((UNIT, UNIT), (total, term), term.shape)


def cut_off(node: Node, cut: Cut, operands: Sequence[Node], size: Dim) -> Node:
    """A piece of the node over those of its operands."""
    if isinstance(node, Einsum):
        own = dict(node.sizes)
        if cut.axis is not None and node.out[cut.axis] in own:
            own[node.out[cut.axis]] = size
        return einsum(operands, node.labels, node.out, own)
    if isinstance(node, Add):
        shape = tuple([size if axis == cut.axis else d for axis, d in enumerate(node.shape)])
        return add(zip(node.coefs, operands, strict=True), shape)
    assert isinstance(node, Call), "our bug: a leaf is cut by a view"
    return call(node.prim, operands, node.params)
