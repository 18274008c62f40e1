"""common: what two long products have in common is made once, where that costs less.

A second derivative has the first one, a product of many factors, twice: as it is, and among its own factors. Ordered
each by itself they would rarely have an intermediate in common. Laws: the values stay; with what is made once even a
greedy order costs less than good ones of both products do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final, NamedTuple

from ..dims import Env
from ..ir import Einsum, Labels, Node, einsum, inline, toposort
from ..orders.greedy import greedy, plain
from ..orders.network import Network
from ..orders.refine import refined
from .nesting import reduced

LONG: Final = 6  # factors; shorter ones are ordered together
MANY: Final = 12  # long products, of which no pairs are looked at
ROUNDS: Final = 4
PAIRS: Final = 20_000  # of sets of factors that are looked at for a good order


class Shared(NamedTuple):
    """Factors of two products by their places in both, and which labels of the first are which of the second."""

    places: Sequence[tuple[int, int]]
    label: Mapping[int, int]


def with_common(roots: Sequence[Node], env: Env) -> list[Node]:
    """`roots` with what long products have in common as a product of its own."""
    found = list(roots)
    for _ in range(ROUNDS):
        definitions = next(cheaper(found, env), None)
        if definitions is None:
            break
        found = inline(found, definitions)
    return found


def cheaper(roots: Sequence[Node], env: Env) -> Iterator[dict[Node, Node]]:
    """Pairs of products over what they have in common, where that costs less; those that have most come first."""
    long = [e for e in toposort(roots) if isinstance(e, Einsum) and len(e.operands) >= LONG]
    if not 1 < len(long) <= MANY:
        return
    pairs = [(a, b, shared(a, b)) for a, b in combinations(long, 2)]
    for a, b, both in sorted(pairs, key=lambda pair: -len(pair[2].places)):
        if len(both.places) >= LONG:
            core, *over = split(a, b, both)
            if sum(greedily(e, env) for e in (core, *over)) < well(a, env) + well(b, env):
                yield dict(zip((a, b), over, strict=True))


def shared(a: Einsum, b: Einsum) -> Shared:
    """The factors that stand once in each of two products, as far as their labels agree."""
    mine, theirs = once(a), once(b)
    there: dict[int, int] = {}
    back: dict[int, int] = {}
    places = []
    for o, k in mine.items():
        if o in theirs:
            pairs = list(zip(a.labels[k], b.labels[theirs[o]], strict=True))
            if all(there.get(x, y) == y and back.get(y, x) == x for x, y in pairs):
                there.update(pairs)
                back.update((y, x) for x, y in pairs)
                places.append((k, theirs[o]))
    return Shared(places, there)


def once(e: Einsum) -> dict[Node, int]:
    """The places of the factors that a product has once."""
    number = Counter(e.operands)
    return {o: k for k, o in enumerate(e.operands) if number[o] == 1}


def split(a: Einsum, b: Einsum, both: Shared) -> tuple[Node, Node, Node]:
    """The product of what both have, and both over it."""
    mine, theirs = [k for k, _ in both.places], [k for _, k in both.places]
    wanted = open_labels(a, mine), open_labels(b, theirs)
    own = [a.labels[k] for k in mine]
    out = tuple(
        [
            x
            for x in dict.fromkeys(label for labels in own for label in labels)
            if x in wanted[0] or both.label[x] in wanted[1]
        ]
    )
    core = einsum([a.operands[k] for k in mine], own, out)
    return core, over(a, core, out, mine), over(b, core, tuple([both.label[x] for x in out]), theirs)


def open_labels(e: Einsum, places: Sequence[int]) -> set[int]:
    """The labels that the output or a factor elsewhere carries."""
    gone = set(places)
    return {label for k, own in enumerate(e.labels) if k not in gone for label in own}.union(e.out)


def over(e: Einsum, core: Node, labels: Labels, places: Sequence[int]) -> Node:
    """The product with the core in the place of some factors."""
    rest = sorted(set(range(len(e.operands))).difference(places))
    own = [labels, *(e.labels[k] for k in rest)]
    return einsum([core, *(e.operands[k] for k in rest)], own, e.out, e.dims)


def greedily(e: Node, env: Env) -> float:
    """What the product costs in an order that is found quickly."""
    network = network_of(e, env)
    return network.total(greedy(network, plain))


def well(e: Node, env: Env) -> float:
    """What the product costs in a good order."""
    network = network_of(e, env)
    return network.total(refined(network, greedy(network, plain), PAIRS))


def network_of(e: Node, env: Env) -> Network:
    assert isinstance(e, Einsum), "our bug: a product of several factors"
    return Network(reduced(e.labels, e.out), e.out, {label: d.at(env) for label, d in e.dims.items()})
