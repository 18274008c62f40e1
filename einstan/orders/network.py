"""network: operands and labels of one product as bit masks; the cheapest tree where that can be known.

Letters: n operands, S and T sets of operands and m sets of labels, both as bit masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from functools import reduce
from itertools import count
from operator import or_
from typing import Final

Labels = Sequence[int]
Pairs = list[tuple[int, int]]  # operand k < n is k, the p-th pair makes n + p

BUDGET: Final = 200_000  # pairs of sets that dynamic programming may look at
SMALL: Final = 6  # up to so many operands outer products are searched too
WRITE: Final = 8  # writing one element costs as much as so many flops (of a matrix product)
MAX_RANK: Final = 60
TOO_DEEP: Final = 1e300
OVER_LIMIT: Final = 1e12  # how much dearer an element is in an array over the memory limit


class Network:
    """Operands and labels as bit masks, and the cost of joining two sets of operands.

    `limit` is how many entries an intermediate should have at most, where there is a way.
    """

    def __init__(
        self, terms: Sequence[Labels], out: Labels, sizes: Mapping[int, int], limit: float | None = None
    ) -> None:
        number = {label: bit for bit, label in enumerate(dict.fromkeys(x for own in (*terms, out) for x in own))}
        self.size = [max(1, sizes[label]) for label in number]
        self.labels = [mask(number[x] for x in own) for own in terms]
        self.out = mask(number[x] for x in out)
        self.carriers = carriers(self.labels, len(number))
        self.volumes: dict[int, int] = {}
        self.limit = float("inf") if limit is None else limit
        self.looked = 0  # pairs of sets that were looked at

    def part(self, labels: list[int], out: int) -> Network:
        """The network of intermediates with these labels, which make one with the labels `out`."""
        found = copy(self)
        found.labels, found.out, found.looked = labels, out, 0
        found.carriers = carriers(labels, len(self.size))
        return found

    def volume(self, m: int) -> int:
        """How many entries an array over the labels m has."""
        found = self.volumes.get(m)
        if found is None:
            found = 1
            for bit in bits(m):
                found *= self.size[bit]
            self.volumes[m] = found
        return found

    def kept(self, a: int, b: int, joined: int) -> int:
        """The labels left when the labels a and b meet and `joined` are the operands below."""
        result = a | b
        for bit in bits(a & b & ~self.out):
            if not self.carriers[bit] & ~joined:
                result &= ~(1 << bit)
        return result

    def cost(self, a: int, b: int, result: int) -> float:
        """Flops, and the entries written in units of flops."""
        if result.bit_count() > MAX_RANK:
            return TOO_DEEP
        every = a | b
        if self.volume(result) > self.limit and result != self.out:
            return OVER_LIMIT * self.volume(result)
        return self.volume(every) * (1 if every == result else 2) + WRITE * self.volume(result)

    def total(self, path: Sequence[tuple[int, int]]) -> float:
        """The cost of a whole path."""
        below = [1 << k for k in range(len(self.labels))]
        labels, total = list(self.labels), 0.0
        for a, b in path:
            below.append(below[a] | below[b])
            labels.append(self.kept(labels[a], labels[b], below[-1]))
            total += self.cost(labels[a], labels[b], labels[-1])
        return total


def carriers(labels: Sequence[int], count: int) -> list[int]:
    """For each label the operands that carry it."""
    found = [0] * count
    for k, own in enumerate(labels):
        for bit in bits(own):
            found[bit] |= 1 << k
    return found


def mask(bits: Iterator[int] | Sequence[int]) -> int:
    return reduce(or_, (1 << bit for bit in bits), 0)


def bits(m: int) -> Iterator[int]:
    while m:
        low = m & -m
        yield low.bit_length() - 1
        m ^= low


def dynamic(network: Network) -> Pairs | None:
    """The best tree without outer products (with them up to SMALL operands); None past the step budget."""
    if least_pairs(network) > BUDGET:
        return None
    n = len(network.labels)
    near = neighbours(network)
    pieces = components(near)
    best: dict[int, tuple[float, int, int, int]] = {1 << k: (0.0, network.labels[k], 0, 0) for k in range(n)}
    pairs: list[tuple[int, int]] = []
    for piece in pieces:
        for pair in connected_pairs(near, piece):
            pairs.append(pair)
            if len(pairs) > BUDGET:
                return None
    network.looked += len(pairs)
    pairs.sort(key=lambda pair: (pair[0] | pair[1]).bit_count())
    for s, t in pairs:
        left, right = best[s], best[t]
        known = best.get(s | t)
        cost = left[0] + right[0]
        if known is not None and cost >= known[0]:
            continue
        result = known[1] if known is not None else network.kept(left[1], right[1], s | t)
        cost += network.cost(left[1], right[1], result)
        if known is None or cost < known[0]:
            best[s | t] = (cost, result, s, t)
    pieces.sort(key=lambda piece: network.volume(best[piece][1]))
    return read_path(best, pieces, n)


def least_pairs(network: Network) -> int:
    """How many pairs there are at least: m operands of one label make (3^m - 2^(m+1) + 1) / 2 of them."""
    m = max((carriers.bit_count() for carriers in network.carriers), default=0)
    pairs: int = (3**m - 2 ** (m + 1) + 1) // 2
    return pairs


def read_path(best: dict[int, tuple[float, int, int, int]], pieces: Sequence[int], n: int) -> Pairs:
    """The trees of `pieces` one after the other, then their outer product, smallest first."""
    path: Pairs = []
    place = {1 << k: k for k in range(n)}
    fresh = count(n)
    for piece in pieces:
        stack = [piece]
        while stack:
            s = stack[-1]
            _, _, left, right = best[s]
            missing = [x for x in (right, left) if x and x not in place]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            if s not in place:
                path.append((place[left], place[right]))
                place[s] = next(fresh)
    done = place[pieces[0]]
    for piece in pieces[1:]:
        path.append((done, place[piece]))
        done = next(fresh)
    return path


def neighbours(network: Network) -> list[int]:
    """For each operand those that share a label with it; everybody, when there are few."""
    n = len(network.labels)
    if n <= SMALL:
        return [((1 << n) - 1) & ~(1 << k) for k in range(n)]
    near = [0] * n
    for carriers in network.carriers:
        for k in bits(carriers):
            near[k] |= carriers & ~(1 << k)
    return near


def components(near: Sequence[int]) -> list[int]:
    """The connected sets of operands."""
    left, found = (1 << len(near)) - 1, []
    while left:
        piece, rim = 0, left & -left
        while rim:
            piece |= rim
            rim = reduce(or_, (near[k] for k in bits(rim)), 0) & ~piece
        found.append(piece)
        left &= ~piece
    return found


def connected_pairs(near: Sequence[int], piece: int) -> Iterator[tuple[int, int]]:
    """Every pair of disjoint connected sets with an edge between them, once.

    Moerkotte and Neumann, VLDB 2006 (DPccp).
    """
    for first in bits(piece):
        start = 1 << first
        for s, rim in connected_sets(near, start, start - 1 | start):
            forbidden = s | ((s & -s) - 1)
            free = rim & ~forbidden
            for k in bits(free):
                below = (1 << k) - 1 | 1 << k
                for t, _ in connected_sets(near, 1 << k, forbidden | free & below):
                    yield s, t


def connected_sets(near: Sequence[int], start: int, forbidden: int) -> Iterator[tuple[int, int]]:
    """(set, neighbours) of every connected set that holds `start` and nothing else of `forbidden`."""
    rim = near[start.bit_length() - 1]
    yield start, rim & ~start
    stack = [(start, rim & ~start, forbidden | start)]
    while stack:
        s, rim, forbidden = stack.pop()
        free = rim & ~forbidden
        sub = free
        while sub:
            grown, around = s | sub, rim
            for k in bits(sub):
                around |= near[k]
            around &= ~grown
            yield grown, around
            stack.append((grown, around, forbidden | free))
            sub = (sub - 1) & free
