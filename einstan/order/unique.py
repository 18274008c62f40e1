"""unique: what products of the same factors have in common that differ by the names and the order of labels alone.

A factor is a node with a label for each of its axes; which labels a product keeps says what it is, not their order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import permutations

from ..ir import Labels, Node

Factor = tuple[Node, Labels]
Key = tuple[tuple[Node, ...], tuple[Labels, ...], Labels]


def canonical(factors: Sequence[Factor], out: Collection[int]) -> tuple[Key, dict[int, int]]:
    """What products that differ by names and order of labels have in common, and the number of every label in it."""
    if len(factors) == 2 and factors[0][0].digest > factors[1][0].digest:
        factors = (factors[1], factors[0])
    nodes = tuple([node for node, _ in factors])
    if len(set(nodes)) == len(nodes):
        labels, kept, number = numbered([own for _, own in factors], out)
    else:
        ways = (numbered([own for _, own in way], out) for way in permutations(factors))
        labels, kept, number = min(ways, key=lambda found: found[:2])
    return (nodes, labels, kept), number


def numbered(labels: Sequence[Labels], out: Collection[int]) -> tuple[tuple[Labels, ...], Labels, dict[int, int]]:
    """Labels numbered by first appearance; the numbers that are kept, sorted."""
    number: dict[int, int] = {}
    for own in labels:
        for label in own:
            number.setdefault(label, len(number))
    return tuple([tuple([number[x] for x in own]) for own in labels]), tuple(sorted([number[x] for x in out])), number
