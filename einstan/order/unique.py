"""unique: products of the same factors that differ by the order of their axes are one node, seen in several ways.

A factor is a node with a label for each of its axes; which labels a product keeps says what it is, not their order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import permutations
from typing import Any

from ..dims import Dim
from ..ir import Einsum, Labels, Node, einsum, pattern

Factor = tuple[Node, Labels]
Key = tuple[tuple[Node, ...], tuple[Labels, ...], Labels]


def canonical(factors: Sequence[Factor], out: Collection[int]) -> tuple[Key, dict[int, int]]:
    """What products that differ by names and order of labels have in common, and the number of every label in it."""
    if len(factors) == 2 and factors[0][0].digest > factors[1][0].digest:
        factors = (factors[1], factors[0])
    nodes = tuple([node for node, _ in factors])
    ways = permutations(factors) if len(set(nodes)) < len(nodes) else (factors,)
    labels, kept, number = min((numbered([own for _, own in way], out) for way in ways), key=lambda found: found[:2])
    return (nodes, labels, kept), number


def numbered(labels: Sequence[Labels], out: Collection[int]) -> tuple[tuple[Labels, ...], Labels, dict[int, int]]:
    """Labels numbered by first appearance; the numbers that are kept, sorted."""
    number: dict[int, int] = {}
    for own in labels:
        for label in own:
            number.setdefault(label, len(number))
    return tuple([tuple([number[x] for x in own]) for own in labels]), tuple(sorted([number[x] for x in out])), number


class Unique:
    """A constructor of products that gives the first one of those that differ by the order of axes, transposed."""

    def __init__(self) -> None:
        self.first: dict[Key, tuple[Node, Labels]] = {}

    def product(
        self,
        operands: Sequence[Node],
        labels: Sequence[Labels],
        out: Labels,
        dims: Mapping[Any, Dim] | None = None,
    ) -> Node:
        """`einsum`, with the first of all products that differ by the order of axes in its place."""
        return self.of(einsum(operands, labels, out, dims))

    def of(self, node: Node) -> Node:
        """The node; where it is a product, the first of those that differ by the order of axes, transposed."""
        if not isinstance(node, Einsum) or node.is_pattern or len(node.operands) > 2:
            return node
        key, number = canonical(node.factors, node.out)
        own = tuple([number[x] for x in node.out])
        first, shown = self.first.setdefault(key, (node, own))
        return node if first is node else pattern(first, shown, own, {})
