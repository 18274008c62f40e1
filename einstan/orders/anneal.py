"""anneal: an order made better by chance: products change places with their neighbours in the tree, at first nearly
freely, in the end only where that is cheaper.

Laws: the order that comes back costs no more than the one that was given, and is the same in every process; the work
is as many moves as are asked for. Kalachev, Panteleev and Yung, arXiv:2108.05665, 2021.

Nodes of a tree are numbers: operand k < n is k.
"""

from __future__ import annotations

from random import Random
from typing import Final

from .network import Network, Pairs, tree_path

COLD: Final = 10.0  # power of the quotient of costs with which a dearer tree is taken, in the end


class Tree:
    """A tree of products that changes: the two nodes below each node, labels and costs; operands cost nothing."""

    def __init__(self, network: Network, path: Pairs) -> None:
        self.network, self.n = network, len(network.labels)
        self.labels = network.made(path)
        self.cost = [0.0] * self.n + network.costs(path, self.labels)
        self.below = [(k, k) for k in range(self.n)] + path

    def sweep(self, power: float, rng: Random) -> None:
        """For each product one move: (a b) y becomes (a y) b, a and b by chance, unless that is too dear."""
        below, labels, costs, price, random = self.below, self.labels, self.cost, self.network.cost, rng.random
        for top in range(self.n, len(below)):
            choice = int(4 * random())
            x, y = below[top] if choice & 1 else below[top][::-1]
            if x < self.n:
                continue
            a, b = below[x] if choice & 2 else below[x][::-1]
            allowed = (costs[x] + costs[top]) * (1.0 - random()) ** (-1 / power)
            made = (labels[a] | labels[y]) & (labels[b] | labels[top])
            inner = price(labels[a], labels[y], made)
            if inner > allowed:
                continue
            outer = price(made, labels[b], labels[top])
            if inner + outer <= allowed:
                below[x], below[top], labels[x], costs[x], costs[top] = (a, y), (x, b), made, inner, outer

    def path(self) -> Pairs:
        below = dict(enumerate(self.below[self.n :], self.n))
        return tree_path(below, len(self.below) - 1, range(self.n))


def annealed(network: Network, path: Pairs, moves: int) -> Pairs:
    """The best of the orders that so many moves come by."""
    tree, rng = Tree(network, path), Random(0)
    best, least = path, sum(tree.cost)
    sweeps = max(1, moves // max(1, len(path)))
    for sweep in range(1, sweeps + 1):
        tree.sweep(max(1.0, COLD * sweep / sweeps), rng)
        if sum(tree.cost) < least:
            best, least = tree.path(), sum(tree.cost)
    return best
