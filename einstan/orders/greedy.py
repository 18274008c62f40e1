"""greedy: orders made step by step, each time of the two neighbours whose product is smallest beside them.

Laws: the same network and the same random numbers give the same order; the work grows with the operands and their
neighbours. Labels of very many operands tie nobody.

Smith and Gray, Journal of Open Source Software 2018 (opt_einsum), with two knobs: `weight` is how much the operands
that vanish count against the product, `heat` how much chance counts against both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from math import copysign, exp, log, log1p
from random import Random
from typing import Final

from .network import HUGE, Network, Pairs, bits

CROWD: Final = 16  # a label of more operands makes no neighbours
PATIENCE: Final = (10, 6)  # pairs that are scored, for each operand and each pair of neighbours; usual are 6 and 3
HEAT: Final = (-7.0, 0.0)  # logarithms, from and to
WEIGHT: Final = (-2.3, 1.4)

Score = Callable[[float, float], float]  # (entries of the product, entries of both operands); the least is taken


class Front:
    """The operands and products that are still to be multiplied."""

    def __init__(self, network: Network) -> None:
        self.network, self.path, self.ties = network, Pairs(), network.ties
        self.labels = dict(enumerate(network.labels))
        self.holders: list[set[int]] = [set() for _ in network.size]
        for k, own in self.labels.items():
            for bit in bits(own):
                self.holders[bit].add(k)
        self.fresh, self.scored, self.patience = len(self.labels), 0, float("inf")

    def pairs(self) -> list[tuple[int, int]]:
        """All neighbours; so many more than these are looked at as `patience` says."""
        found = [(other, k) for k in self.labels for other in self.neighbours(k) if other < k]
        each, per_pair = PATIENCE
        self.patience = each * len(self.labels) + per_pair * len(found)
        return found

    def neighbours(self, k: int) -> list[int]:
        if self.scored > self.patience:
            return []
        near = (self.holders[bit] for bit in bits(self.labels[k]))
        return sorted(set().union(*(own for own in near if len(own) <= CROWD)) - {k})

    def volumes(self, a: int, b: int) -> tuple[float, float]:
        """Entries of the product of two, and of both."""
        self.scored += 1
        volume, left, right = self.network.volume, self.labels[a], self.labels[b]
        both = left & right
        gone, one, other = both & self.ties, volume(left), volume(right)
        shared = volume(both) * (volume(gone) if gone else 1.0)
        return min(one * other / shared, HUGE), one + other

    def join(self, a: int, b: int) -> int:
        """Multiply two; the number of their product."""
        left, right, k = self.labels.pop(a), self.labels.pop(b), self.fresh
        self.labels[k] = own = (left | right) & ~(left & right & self.ties)
        for bit in bits(left | right):
            holders = self.holders[bit]
            holders -= {a, b}
            if own >> bit & 1:
                holders.add(k)
                if len(holders) == 2 and not self.network.out >> bit & 1:
                    self.ties |= 1 << bit
        self.path.append((a, b))
        self.fresh += 1
        return k


def greedy(network: Network, score: Score) -> Pairs:
    """The order of the pairs of the least score; what shares no label is multiplied last, smallest first."""
    front = Front(network)
    labels = front.labels
    heap = [(score(*front.volumes(a, b)), a, b) for a, b in front.pairs()]
    heapify(heap)
    while heap:
        _, a, b = heappop(heap)
        if a in labels and b in labels:
            k = front.join(a, b)
            for other in front.neighbours(k):
                heappush(heap, (score(*front.volumes(other, k)), other, k))
    smallest_first(front)
    return front.path


def smallest_first(front: Front) -> None:
    volume, labels = front.network.volume, front.labels
    heap = [(volume(own), k) for k, own in labels.items()]
    heapify(heap)
    while len(heap) > 1:
        k = front.join(heappop(heap)[1], heappop(heap)[1])
        heappush(heap, (volume(labels[k]), k))


def plain(product: float, operands: float) -> float:
    return product - operands


def drawn(weight: float, heat: float, random: Callable[[], float]) -> Score:
    """A score with chance: that of a higher one is less by a factor e for each `heat` in its logarithm."""

    def score(product: float, operands: float) -> float:
        exact = product / weight - operands * weight
        return copysign(log1p(abs(exact)), exact) + heat * log(-log(1.0 - random()))

    return score


def greedy_orders(network: Network, trials: int) -> Iterator[Pairs]:
    """The plain one, then others by chance, the same in every process."""
    rng = Random(0)
    yield greedy(network, plain)
    for _ in range(trials):
        weight, heat = exp(rng.uniform(*WEIGHT)), exp(rng.uniform(*HEAT))
        yield greedy(network, drawn(weight, heat, rng.random))
