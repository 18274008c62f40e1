"""order: the cheapest order of multiplication. Every Einsum of three or more operands becomes nested binary ones.

Law: `associate(roots, env)` has the values of `roots`; no Einsum in it has more than two operands, and none of
two operands sums a label that only one of them carries (it is summed before).

Letters: n operands, S and T sets of operands and m sets of labels, both as bit masks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import count
from operator import or_
from typing import Any, Final

from .dims import Env
from .errors import EinstanError
from .ir import Einsum, Labels, Node, einsum, rebuild, toposort

Path = list[tuple[int, int]]  # operand k < n is k, the p-th pair makes n + p

BUDGET: Final = 200_000  # pairs of sets that dynamic programming may look at
SMALL: Final = 6  # up to so many operands outer products are searched too
RANDOM_TRIALS: Final = 16
RANDOM_OPERANDS: Final = 100
WRITE: Final = 8  # writing one element costs as much as so many flops (of a matrix product)
MAX_RANK: Final = 60
TOO_DEEP: Final = 1e300


def associate(roots: Sequence[Node], env: Env, optimize: str = "auto") -> list[Node]:
    """`roots` over binary products, each ordered by cost under the sizes `env`."""
    done: dict[Node, Node] = {}
    for node in toposort(roots):
        operands = [done[o] for o in node.operands]
        if isinstance(node, Einsum) and needs_nesting(node):
            done[node] = nest(node, operands, env, optimize)
        else:
            done[node] = rebuild(node, operands)
    return [done[root] for root in roots]


def needs_nesting(e: Einsum) -> bool:
    """Whether the product has more than two operands, or a summed label that stands in one of two only."""
    if len(e.operands) != 2:
        return len(e.operands) > 2
    (left, right), out = e.labels, e.out
    return any(label not in right and label not in out for label in left) or any(
        label not in left and label not in out for label in right
    )


def nest(e: Einsum, operands: Sequence[Node], env: Env, optimize: str) -> Node:
    """One product as a tree of binary products."""
    dims = e.dims
    needed = shared(e)
    terms = [presum(node, own, needed) for node, own in zip(operands, e.labels, strict=True)]
    if len(terms) == 2:
        return einsum([node for node, _ in terms], [own for _, own in terms], e.out, dims)
    sizes = {label: d.at(env) for label, d in dims.items()}
    path = search([own for _, own in terms], e.out, sizes, optimize)
    carriers: dict[int, int] = dict.fromkeys(e.out, 1)
    for _, own in terms:
        for label in own:
            carriers[label] = carriers.get(label, 0) + 1
    for a, b in path[:-1]:
        terms.append(join(terms[a], terms[b], carriers))
    (left, la), (right, lb) = (terms[k] for k in path[-1])
    return einsum([left, right], [la, lb], e.out, dims)


Term = tuple[Node, Labels]


def shared(e: Einsum) -> frozenset[int]:
    """The labels that the output or two operands carry; any other is summed in its operand alone."""
    carriers = Counter(label for own in e.labels for label in set(own))
    return frozenset(e.out) | {label for label, n in carriers.items() if n > 1}


def presum(node: Node, own: Labels, needed: frozenset[int]) -> Term:
    """The operand summed over what nothing else carries, each label once."""
    kept = tuple(label for label in dict.fromkeys(own) if label in needed)
    return (node, own) if kept == own else (einsum([node], [own], kept), kept)


def join(left: Term, right: Term, carriers: dict[int, int]) -> Term:
    """The product of two terms, summed over what no other term and not the output carries."""
    (a, la), (b, lb) = left, right
    both = set(la) & set(lb)
    kept = []
    for label in dict.fromkeys(la + lb):
        carriers[label] -= 2 if label in both else 1
        if carriers[label]:
            kept.append(label)
            carriers[label] += 1
    return einsum([a, b], [la, lb], kept), tuple(kept)


# ---------------------------------------------------------------- searching


def search(terms: Sequence[Labels], out: Labels, sizes: dict[int, int], optimize: str) -> Path:
    """The path by the method `optimize`: "auto" is einstan's choice, else a name of opt_einsum."""
    if optimize != "auto":
        return by_name(terms, out, sizes, optimize)
    network = Network(terms, out, sizes)
    return dynamic(network) or heuristic(network)


class Network:
    """Operands and labels as bit masks, and the cost of joining two sets of operands."""

    def __init__(self, terms: Sequence[Labels], out: Labels, sizes: dict[int, int]) -> None:
        number = {label: bit for bit, label in enumerate(dict.fromkeys(x for own in (*terms, out) for x in own))}
        self.size = [max(1, sizes[label]) for label in number]
        self.labels = [mask(number[x] for x in own) for own in terms]
        self.out = mask(number[x] for x in out)
        self.carriers = [0] * len(number)
        for k, own in enumerate(self.labels):
            for bit in bits(own):
                self.carriers[bit] |= 1 << k
        self.volumes: dict[int, int] = {}

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
        return self.volume(every) * (1 if every == result else 2) + WRITE * self.volume(result)

    def total(self, path: Path) -> float:
        """The cost of a whole path."""
        below = [1 << k for k in range(len(self.labels))]
        labels, total = list(self.labels), 0.0
        for a, b in path:
            below.append(below[a] | below[b])
            labels.append(self.kept(labels[a], labels[b], below[-1]))
            total += self.cost(labels[a], labels[b], labels[-1])
        return total


def mask(bits: Iterator[int] | Sequence[int]) -> int:
    return reduce(or_, (1 << bit for bit in bits), 0)


def bits(m: int) -> Iterator[int]:
    while m:
        low = m & -m
        yield low.bit_length() - 1
        m ^= low


def dynamic(network: Network) -> Path | None:
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


def read_path(best: dict[int, tuple[float, int, int, int]], pieces: Sequence[int], n: int) -> Path:
    """The trees of `pieces` one after the other, then their outer product, smallest first."""
    path: Path = []
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


def heuristic(network: Network) -> Path:
    """The better of greedy and, for no more than RANDOM_OPERANDS operands, random greedy."""
    terms = [frozenset(bits(own)) for own in network.labels]
    out, sizes = frozenset(bits(network.out)), dict(enumerate(network.size))
    found = [methods().greedy(terms, out, sizes)]
    if len(terms) <= RANDOM_OPERANDS:
        found.append(quietly(lambda: random_greedy(terms, out, sizes)))
    return min((pairwise(path, len(terms)) for path in found), key=network.total)


def methods() -> Any:
    """opt_einsum's, imported when they are needed: that takes as long as importing numpy."""
    from opt_einsum import paths

    return paths


def random_greedy(terms: Any, out: Any, sizes: Any) -> Any:
    from opt_einsum.path_random import RandomGreedy

    return RandomGreedy(max_repeats=RANDOM_TRIALS)(terms, out, sizes)


def quietly(job: Callable[[], Any]) -> Any:
    """The job's result; opt_einsum seeds Python's generator, which is put back."""
    state = random.getstate()
    try:
        return job()
    finally:
        random.setstate(state)


def check_method(optimize: str) -> Any:
    """opt_einsum's method of that name; None for einstan's own."""
    if optimize == "auto":
        return None
    try:
        return methods().get_path_fn(optimize)
    except KeyError:
        raise EinstanError(
            f"There is no order of multiplication called {optimize[:60]!r}.",
            'Write optimize="auto", "greedy", "dp", "optimal", "branch-2" or "random-greedy".',
        ) from None


def by_name(terms: Sequence[Labels], out: Labels, sizes: dict[int, int], optimize: str) -> Path:
    """The path of one of opt_einsum's methods."""
    method = check_method(optimize)
    at_least_one = {label: max(1, d) for label, d in sizes.items()}
    found = quietly(lambda: method([frozenset(own) for own in terms], frozenset(out), at_least_one))
    return pairwise(found, len(terms))


def pairwise(linear: Sequence[Sequence[int]], n: int) -> Path:
    """opt_einsum's path (places in a shrinking list) as pairs of numbers that never change."""
    live, path, fresh = list(range(n)), Path(), count(n)
    steps = [*linear, range(len(live))]
    for step in steps:
        taken = [live.pop(k) for k in sorted((k for k in step if k < len(live)), reverse=True)]
        while len(taken) > 1:
            path.append((taken.pop(), taken.pop()))
            taken.append(next(fresh))
        live += taken
    return path
