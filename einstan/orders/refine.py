"""refine: an order made better: every small part of its tree is put in the best order, the dearest parts first.

Law: the order that comes back costs no more than the one that was given. Gray and Kourtis, Quantum 2021 (subtree
reconfiguration).

Nodes of a tree are numbers: operand k < n is k.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Final

from .exact import cheapest
from .network import Network, Pairs, bits, mask, tree_path

LEAVES: Final = 8  # of a part
BUDGET: Final = 3_000  # pairs of sets that are looked at in one part
OPENING: Final = 20  # making a part is as much work as looking at so many


class Tree:
    """A tree of products that changes: the two nodes below a product, labels of nodes, costs of products."""

    def __init__(self, network: Network, path: Pairs) -> None:
        self.network = network
        n = len(network.labels)
        labels = network.made(path)
        self.below = dict(enumerate(path, n))
        self.labels = dict(enumerate(labels))
        self.cost = dict(enumerate(network.costs(path, labels), n))
        self.root, self.fresh = n + len(path) - 1, count(n + len(path))

    def part(self, top: int) -> tuple[list[int], list[int]]:
        """The nodes at the lower end of the part below `top`, and its products: the dearest are taken in first."""
        leaves, inner = [*self.below[top]], [top]
        while len(leaves) < LEAVES:
            node = max((k for k in leaves if k in self.below), key=self.cost.__getitem__, default=None)
            if node is None:
                break
            leaves.remove(node)
            leaves += self.below[node]
            inner.append(node)
        return leaves, inner

    def improve(self, top: int, leaves: list[int], inner: list[int]) -> tuple[bool, int]:
        """Put one part in its best order; whether it changed, and how many pairs were looked at."""
        part = self.network.part([self.labels[k] for k in leaves], self.labels[top])
        path = cheapest(part, sum(self.cost[k] for k in inner) * (1 - 1e-9), BUDGET)
        if path is None:
            return False, part.looked
        for node in inner:
            del self.below[node], self.cost[node]
        self.put(part, path, leaves, [*(next(self.fresh) for _ in path[1:]), top])
        return True, part.looked

    def put(self, part: Network, path: Pairs, leaves: list[int], names: Iterable[int]) -> None:
        """The products of `path` over `leaves` become the nodes `names`."""
        labels, outer = part.made(path), list(part.numbers)
        products = zip(names, path, labels[len(leaves) :], part.costs(path, labels), strict=True)
        nodes = list(leaves)
        for node, (a, b), own, cost in products:
            self.below[node], self.cost[node] = (nodes[a], nodes[b]), cost
            self.labels[node] = mask(outer[bit] for bit in bits(own))
            nodes.append(node)

    def path(self) -> Pairs:
        return tree_path(self.below, self.root, range(len(self.network.labels)))


def refined(network: Network, path: Pairs, budget: int) -> Pairs:
    """The path with its parts put in the best order, until none changes or so many pairs of sets were looked at."""
    tree, spent, changed = Tree(network, path), 0, True
    known: set[tuple[int, ...]] = set()
    while changed and spent < budget:
        changed = False
        for top in sorted(tree.cost, key=tree.cost.__getitem__, reverse=True):
            if top not in tree.below or spent > budget:
                continue
            leaves, inner = tree.part(top)
            if len(leaves) > 2 and (top, *leaves) not in known:
                known.add((top, *leaves))
                better, looked = tree.improve(top, leaves, inner)
                changed |= better
                spent += looked + OPENING
    return tree.path()
