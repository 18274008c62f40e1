"""exact: the cheapest tree, where few enough sets of operands are cheaper than it.

Sets of operands are settled in the order of their costs, as places are by the shortest way: a set is made of two that
are settled, and costs no less than either. Knuth, Information Processing Letters 1977; over connected sets as in
Pfeifer, Haegeman and Verstraete, Physical Review E 2014.

Letters: S and T sets of operands and m sets of labels, both as bit masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from heapq import heappop, heappush
from itertools import accumulate, pairwise
from operator import or_
from typing import Final

from .network import Network, Pairs, bits, tree_path

BUDGET: Final = 20_000  # pairs of sets that are looked at
SMALL: Final = 6  # up to so many operands outer products are searched too


def cheapest(network: Network, bound: float = float("inf"), budget: int = BUDGET) -> Pairs | None:
    """The best tree without outer products (with them up to SMALL operands) if it costs less than `bound`; None if
    none does, or past the budget."""
    search = Search(network, bound, budget)
    whole = search.whole()
    network.looked = search.looked
    return None if whole is None else tree_path(search.below, whole, (1 << k for k in range(len(network.labels))))


class Search:
    """What is known of sets: the least cost, the two that this is made of, the labels, and links: labels by which a
    set is found. A label more, which all have, finds everybody."""

    def __init__(self, network: Network, bound: float, budget: int) -> None:
        n = len(network.labels)
        self.network, self.bound, self.budget, self.looked = network, bound, budget, 0
        self.everybody = 1 << len(network.size) if n <= SMALL else 0
        self.costs = {1 << k: 0.0 for k in range(n)}
        self.labels = {1 << k: own for k, own in enumerate(network.labels)}
        self.below: dict[int, tuple[int, int]] = {}
        self.heap = [(0.0, 1 << k) for k in range(n)]
        self.settled: list[list[tuple[int, int, float]]] = [[] for _ in range(len(network.size) + 1)]

    def whole(self) -> int | None:
        """The set of all, once every part that hangs together is settled; the parts are then multiplied."""
        everyone = (1 << len(self.network.labels)) - 1
        pieces = {everyone} if self.everybody else set(components(self.network))
        missing, done = set(pieces), set[int]()
        while missing and self.heap and self.looked <= self.budget:
            cost, s = heappop(self.heap)
            if s in done:
                continue
            done.add(s)
            missing.discard(s)
            if s not in pieces:
                self.settle(s, cost)
        return None if missing else self.multiplied(sorted(pieces, key=lambda s: self.network.volume(self.labels[s])))

    def settle(self, s: int, cost: float) -> None:
        """Join S with everybody that is settled, shares a label and no operand: once, at the first label of both."""
        links = self.labels[s] | self.everybody
        for bit in bits(links):
            known, before = self.settled[bit], links & (1 << bit) - 1
            self.looked += len(known)
            for t, others, more in known:
                if not (t & s or others & before):
                    self.join(s, t, cost + more)
            known.append((s, links, cost))

    def join(self, s: int, t: int, cost: float) -> None:
        """Note what S and T make, if nothing cheaper is known. `cost` is that of both."""
        joined = s | t
        known = self.costs.get(joined, self.bound)
        if cost >= known:
            return
        a, b = self.labels[s], self.labels[t]
        result = self.labels.get(joined)
        if result is None:
            result = self.network.kept(a, b, joined)
        cost += self.network.cost(a, b, result)
        if cost < known:
            self.labels[joined], self.costs[joined] = result, cost
            self.below[joined] = (s, t) if s & -s < t & -t else (t, s)  # what holds the first operand stands left
            heappush(self.heap, (cost, joined))

    def multiplied(self, pieces: Sequence[int]) -> int:
        """One piece after the other."""
        parts: list[int] = list(accumulate(pieces, or_))
        for (before, after), piece in zip(pairwise(parts), pieces[1:], strict=True):
            self.below[after] = before, piece
        return parts[-1]


def components(network: Network) -> Iterator[int]:
    """The sets of operands that hang together."""
    near = [1 << k for k in range(len(network.labels))]
    for carriers in network.carriers:
        for k in bits(carriers):
            near[k] |= carriers
    left = (1 << len(near)) - 1
    while left:
        piece, rim = 0, left & -left
        while rim:
            piece |= rim
            rim = reduce(or_, (near[k] for k in bits(rim)), 0) & ~piece
        yield piece
        left &= ~piece
