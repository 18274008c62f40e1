"""network: operands and labels of one product as bit masks; what it costs to join two of them.

Letters: n operands, S and T sets of operands and m sets of labels, both as bit masks.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Final, TypeVar

Labels = Sequence[int]
Pairs = list[tuple[int, int]]  # operand k < n is k, the p-th pair makes n + p
Sizes = Mapping[int, int] | Sequence[float]
N = TypeVar("N", bound=Hashable)

WRITE: Final = 8  # writing one element costs as much as so many flops (of a matrix product)
MAX_RANK: Final = 60
TOO_DEEP: Final = 1e300
OVER_LIMIT: Final = 1e12  # how much dearer an element is in an array over the memory limit
HUGE: Final = 1e280  # entries: volumes end here, so that sums of costs stay below infinity


class Network:
    """Operands and labels as bit masks, and the cost of joining two sets of operands.

    `limit` is how many entries an intermediate should have at most, where there is a way. `numbers` are the bits of
    the labels.
    """

    def __init__(self, terms: Sequence[Labels], out: Labels, sizes: Sizes, limit: float | None = None) -> None:
        self.numbers = {label: bit for bit, label in enumerate(dict.fromkeys(x for own in (*terms, out) for x in own))}
        self.size = [float(max(1, sizes[label])) for label in self.numbers]
        self.labels = [mask(self.numbers[x] for x in own) for own in terms]
        self.out = mask(self.numbers[x] for x in out)
        self.carriers = carriers(self.labels, len(self.size))
        carried = [own.bit_count() for own in self.carriers]
        self.ties = mask(bit for bit, n in enumerate(carried) if n == 2) & ~self.out  # summed where two meet
        self.hubs = mask(bit for bit, n in enumerate(carried) if n > 2) & ~self.out
        self.volumes: dict[int, float] = {}
        self.limit = float("inf") if limit is None else limit
        self.looked = 0  # pairs of sets that were looked at

    def part(self, labels: Sequence[int], out: int) -> Network:
        """The network of intermediates with these labels, which make one with the labels `out`; its labels are bits
        of this one."""
        terms = [list(bits(m)) for m in labels]
        return Network(terms, list(bits(out)), self.size, self.limit)

    def volume(self, m: int) -> float:
        """How many entries an array over the labels m has."""
        found = self.volumes.get(m)
        if found is None:
            found = 1.0
            for bit in bits(m):
                found *= self.size[bit]
            self.volumes[m] = found = min(found, HUGE)
        return found

    def kept(self, a: int, b: int, joined: int) -> int:
        """The labels left when the labels a and b meet and `joined` are the operands below."""
        both = a & b
        result = (a | b) & ~(both & self.ties)
        for bit in bits(both & self.hubs):
            if not self.carriers[bit] & ~joined:
                result &= ~(1 << bit)
        return result

    def cost(self, a: int, b: int, result: int) -> float:
        """Flops, and the entries written in units of flops."""
        if result.bit_count() > MAX_RANK:
            return TOO_DEEP
        every, volume = a | b, self.volume(result)
        if volume > self.limit and result != self.out:
            return OVER_LIMIT * volume
        return self.volume(every) * (1 if every == result else 2) + WRITE * volume

    def made(self, path: Sequence[tuple[int, int]]) -> list[int]:
        """The labels of every operand and of every product of a path."""
        below = [1 << k for k in range(len(self.labels))]
        labels = list(self.labels)
        for a, b in path:
            below.append(below[a] | below[b])
            labels.append(self.kept(labels[a], labels[b], below[-1]))
        return labels

    def costs(self, path: Sequence[tuple[int, int]], labels: Sequence[int]) -> list[float]:
        """What each product of a path costs; `labels` are those that it makes."""
        results = labels[len(self.labels) :]
        return [self.cost(labels[a], labels[b], m) for (a, b), m in zip(path, results, strict=True)]

    def total(self, path: Sequence[tuple[int, int]]) -> float:
        """The cost of a whole path."""
        return sum(self.costs(path, self.made(path)))


def carriers(labels: Sequence[int], count: int) -> list[int]:
    """For each label the operands that carry it."""
    found = [0] * count
    for k, own in enumerate(labels):
        for bit in bits(own):
            found[bit] |= 1 << k
    return found


def mask(bits: Iterable[int]) -> int:
    return reduce(or_, (1 << bit for bit in bits), 0)


def bits(m: int) -> Iterator[int]:
    while m:
        low = m & -m
        yield low.bit_length() - 1
        m ^= low


def tree_path(below: Mapping[N, tuple[N, N]], root: N, leaves: Iterable[N]) -> Pairs:
    """The products of a tree, each after those below it; the leaves are operands in their order."""
    place = {leaf: k for k, leaf in enumerate(leaves)}
    n, path, stack = len(place), Pairs(), [root]
    while stack:
        missing = [k for k in below[stack[-1]][::-1] if k not in place]
        if missing:
            stack += missing
            continue
        node = stack.pop()
        left, right = below[node]
        place[node] = n + len(path)
        path.append((place[left], place[right]))
    return path
