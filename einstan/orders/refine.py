"""refine: an order made better: every small part of its tree is put in the best order, the dearest parts first.

Law: the order that comes back costs no more than the one that was given. Gray and Kourtis, Quantum 2021 (subtree
reconfiguration).

Nodes of a tree are numbers: operand k < n is k.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Final

from .network import BUDGET, Network, Pairs, dynamic

LEAVES: Final = 8  # of a part


class Tree:
    """A tree of products that changes: the two nodes below a product, labels of nodes, costs of products."""

    def __init__(self, network: Network, path: Pairs) -> None:
        self.network = network
        n = len(network.labels)
        self.below = dict(enumerate(path, n))
        self.labels = dict(enumerate(network.labels))
        self.cost: dict[int, float] = {}
        self.root, self.fresh = n + len(path) - 1, count(n + len(path))
        self.measure(network, list(range(n)), path, range(n, n + len(path)))

    def measure(self, part: Network, leaves: list[int], path: Pairs, names: Iterable[int]) -> None:
        """Labels and costs of the products of `path` over `leaves`, which become the nodes `names`."""
        nodes, joined = list(leaves), [1 << k for k in range(len(leaves))]
        for (a, b), node in zip(path, names, strict=True):
            left, right = self.labels[nodes[a]], self.labels[nodes[b]]
            joined.append(joined[a] | joined[b])
            self.labels[node] = part.kept(left, right, joined[-1])
            self.cost[node] = part.cost(left, right, self.labels[node])
            self.below[node] = nodes[a], nodes[b]
            nodes.append(node)

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
        path = dynamic(part)
        if path is None or part.total(path) >= sum(self.cost[k] for k in inner) * (1 - 1e-9):
            return False, part.looked
        for node in inner:
            del self.below[node], self.cost[node]
        self.measure(part, leaves, path, [*(next(self.fresh) for _ in path[1:]), top])
        return True, part.looked

    def path(self) -> Pairs:
        """The products, each after those below it."""
        n = len(self.network.labels)
        place, path, stack = dict(zip(range(n), range(n), strict=True)), Pairs(), [self.root]
        while stack:
            missing = [k for k in self.below[stack[-1]][::-1] if k not in place]
            if missing:
                stack += missing
                continue
            node = stack.pop()
            left, right = self.below[node]
            place[node] = n + len(path)
            path.append((place[left], place[right]))
        return path


def refined(network: Network, path: Pairs) -> Pairs:
    """The path with its parts put in the best order, until none changes or the budget is spent."""
    tree, spent, changed = Tree(network, path), 0, True
    known: set[tuple[int, ...]] = set()
    while changed and spent < BUDGET:
        changed = False
        for top in sorted(tree.cost, key=tree.cost.__getitem__, reverse=True):
            if top not in tree.below or spent > BUDGET:
                continue
            leaves, inner = tree.part(top)
            if len(leaves) > 2 and (top, *leaves) not in known:
                known.add((top, *leaves))
                better, looked = tree.improve(top, leaves, inner)
                changed |= better
                spent += looked
    return tree.path()
