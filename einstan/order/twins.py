"""twins: which of equal factors takes which labels, so that the result lies as it is made.

Σ_b x[b,i] x[b,k] y[b,j] y[b,l] over (i,j,k,l) is (x[b,i] y[b,j]) (x[b,k] y[b,l]) as well as (x[b,k] y[b,j]) (x[b,i]
y[b,l]), but only the first is one product of matrices without a transpose. Law: equal factors exchange their labels,
nothing else; every product but the last stays the same up to the names of labels, so that it costs what it did and is
still that which others use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, permutations, product
from math import factorial, prod
from typing import Final

from ..ir import Einsum, Labels, Node
from .unique import numbered

WAYS: Final = 24  # that are looked at


def exchanged(e: Einsum, path: Sequence[tuple[int, int]]) -> Sequence[Labels]:
    """The labels of the factors for which the two of the last product lie least mixed in the output."""
    if not 1 < arrangements(e) <= WAYS:
        return e.labels
    sets = made(path, len(e.operands))
    if runs(e.labels, e.out, sets) <= 2:
        return e.labels
    before = products(e.labels, e.out, sets)
    able = [labels for labels in ways(e) if products(labels, e.out, sets) == before]
    return min(able, key=lambda labels: runs(labels, e.out, sets))


def made(path: Sequence[tuple[int, int]], n: int) -> list[frozenset[int]]:
    """The factors of which every product of the path is made."""
    found = [frozenset([k]) for k in range(n)]
    for a, b in path:
        found.append(found[a] | found[b])
    return [found[k] for a, b in path for k in (a, b)]


def runs(labels: Sequence[Labels], out: Labels, sets: Sequence[frozenset[int]]) -> int:
    """How many stretches of the output come from one side of the last product each; labels of both are left out."""
    left, right = (carried(labels, side) for side in sets[-2:])
    sides = [label in left for label in out if (label in left) != (label in right)]
    return sum(1 for _ in groupby(sides))


def carried(labels: Sequence[Labels], places: frozenset[int]) -> set[int]:
    return {label for k in places for label in labels[k]}


def products(labels: Sequence[Labels], out: Labels, sets: Sequence[frozenset[int]]) -> list[object]:
    """What every product but the last is, up to the names of labels."""
    found: list[object] = []
    for own in sets:
        rest = carried(labels, frozenset(range(len(labels))) - own).union(out)
        kept = carried(labels, own) & rest
        found.append(numbered([labels[k] for k in sorted(own)], sorted(kept))[:2])
    return found


def arrangements(e: Einsum) -> int:
    """In how many ways equal factors may have their labels."""
    return prod(factorial(n) for n in Counter(e.operands).values())


def ways(e: Einsum) -> Iterator[Sequence[Labels]]:
    """The labels in all these ways, first as they are."""
    groups: dict[Node, list[int]] = {}
    for k, o in enumerate(e.operands):
        groups.setdefault(o, []).append(k)
    for chosen in product(*(permutations(own) for own in groups.values())):
        labels = list(e.labels)
        for own, taken in zip(groups.values(), chosen, strict=True):
            for k, other in zip(own, taken, strict=True):
                labels[k] = e.labels[other]
        yield labels
