"""book: the products of a graph as they are made now, and what changes when one is made in another way.

A product keeps its node as its name while the way in which it is made changes: of two factors, or the sum of one. Laws:
every way that is entered has the node's value; what nothing uses any longer is forgotten; `built` gives nodes that are
made so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from math import prod
from typing import NamedTuple

from ..dims import Dim, Env
from ..ir import Einsum, Labels, Node, einsum, pattern, rebuild, toposort
from .unique import Factor, Key, canonical


class Way(NamedTuple):
    """How a product is made: of which factors, and the labels of its axes. Of one factor that has them all, it is that
    factor, transposed."""

    factors: tuple[Factor, ...]
    out: Labels

    @property
    def labels(self) -> set[int]:
        return {label for _, own in self.factors for label in own}

    @property
    def pairs(self) -> Sequence[tuple[Node, Node]]:
        """The two factors, in both orders."""
        if len(self.factors) < 2:
            return ()
        (a, _), (b, _) = self.factors
        return ((a, b),) if a is b else ((a, b), (b, a))

    @property
    def is_transposed(self) -> bool:
        return len(self.factors) == 1 and len(self.labels) == len(self.out)


class Book:
    """`ways` of the products, `uses` of every node, `known` products by what they are made of, `met` those
    that have two nodes as their factors."""

    def __init__(self, roots: Sequence[Node], env: Env) -> None:
        self.roots = roots
        self.env = env
        self.sizes: dict[Dim, int] = {}
        self.volumes: dict[Node, int] = {}
        self.bulks: dict[Node, int] = {}
        self.ways: dict[Node, Way] = {}
        self.known: dict[Key, tuple[Node, Labels]] = {}
        self.met: defaultdict[Node, dict[Node, list[Node]]] = defaultdict(dict)
        self.uses: Counter[Node] = Counter(roots)
        self.again = 0  # products that differ from another one by the order of axes
        for node in toposort(roots):
            if isinstance(node, Einsum) and not node.is_pattern:
                self.read(node)
            else:
                self.uses.update(node.operands)
        for node in [node for node, way in self.ways.items() if way.is_transposed]:
            self.again += 1
            if self.uses[node]:
                self.uses.update([inner for inner, _ in self.ways[node].factors])
            else:
                del self.ways[node]

    def read(self, e: Einsum) -> None:
        """A product of the graph; the first one in the place of others that differ by the order of axes."""
        factors = tuple([self.plain(factor) for factor in e.factors])
        key, number = canonical(factors, e.out)
        found = self.seen(key, number)
        if found is not None:
            self.ways[e] = Way((found,), e.out)
            return
        self.write(e, Way(factors, e.out), key, number)
        self.uses.update([node for node, _ in factors])

    def plain(self, factor: Factor) -> Factor:
        """A factor; what it is the transposed of, where it is that."""
        node, labels = factor
        way = self.ways.get(node)
        if way is None or not way.is_transposed:
            return factor
        ((inner, own),) = way.factors
        name = dict(zip(way.out, labels, strict=True))
        return inner, tuple([name[x] for x in own])

    # ------------------------------------------------------------ sizes

    def size(self, d: Dim) -> int:
        found = self.sizes.get(d)
        if found is None:
            found = self.sizes[d] = max(1, d.at(self.env))
        return found

    def volume(self, node: Node) -> int:
        """How many entries a node has."""
        found = self.volumes.get(node)
        if found is None:
            found = self.volumes[node] = prod([self.size(d) for d in node.shape])
        return found

    def bulk(self, node: Node) -> int:
        """How many entries the largest array has without which the product can't be made, as far as is seen."""
        return self.bulks.get(node) or self.volume(node)

    def steps(self, way: Way) -> int:
        """How many products of entries it takes to make something in this way."""
        sizes = {x: d for node, own in way.factors for x, d in zip(own, node.shape, strict=True)}
        return prod([self.size(d) for d in sizes.values()])

    # ------------------------------------------------------------ entries

    def enter(self, node: Node, way: Way) -> None:
        """The node is made in this way; its factors are counted by whoever calls."""
        if way.is_transposed:
            self.ways[node] = way
        else:
            self.write(node, way, *canonical(way.factors, way.out))

    def write(self, node: Node, way: Way, key: Key, number: dict[int, int]) -> None:
        self.ways[node] = way
        self.bulks[node] = min(self.volume(node), max([self.bulk(o) for o, _ in way.factors]))
        self.known.setdefault(key, (node, tuple([number[x] for x in way.out])))
        for a, b in way.pairs:
            self.met[a].setdefault(b, []).append(node)

    def strike(self, node: Node) -> Way:
        """The node is no longer made as it was."""
        way = self.ways.pop(node)
        key, _ = canonical(way.factors, way.out)
        if key in self.known and self.known[key][0] is node:
            del self.known[key]
        for a, b in way.pairs:
            self.met[a][b].remove(node)
        return way

    def find(self, factors: Sequence[Factor], out: Collection[int]) -> Factor | None:
        """The product of the factors over the labels `out`, if it is made, with the labels of its axes."""
        return self.seen(*canonical(factors, out))

    def seen(self, key: Key, number: dict[int, int]) -> Factor | None:
        found = self.known.get(key)
        if found is None:
            return None
        label = {n: x for x, n in number.items()}
        return found[0], tuple([label[n] for n in found[1]])

    def made(self, factors: Sequence[Factor], out: Labels) -> Factor:
        """The product, entered where it is new."""
        found = self.find(factors, out)
        if found is not None:
            return found
        node = einsum([o for o, _ in factors], [own for _, own in factors], out)
        if node not in self.ways:
            self.enter(node, Way(tuple(factors), out))
            self.uses.update([o for o, _ in factors])
        return node, out

    def change(self, node: Node, way: Way) -> None:
        """Make a product in another way; its new factors are in the book already."""
        before = self.strike(node)
        self.enter(node, way)
        self.uses.update([o for o, _ in way.factors])
        self.release([o for o, _ in before.factors])

    def release(self, nodes: Sequence[Node]) -> None:
        """One use less of each; what has none left goes, and what only that used."""
        stack = list(nodes)
        while stack:
            node = stack.pop()
            self.uses[node] -= 1
            if not self.uses[node]:
                stack += [o for o, _ in self.strike(node).factors] if node in self.ways else node.operands

    # ------------------------------------------------------------ nodes again

    def operands(self, node: Node) -> Sequence[Node]:
        way = self.ways.get(node)
        return node.operands if way is None else [o for o, _ in way.factors]

    def order(self) -> Iterator[Node]:
        """Every node that is in use, after what it is made of."""
        done: set[Node] = set()
        stack = [(root, False) for root in reversed(self.roots)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                yield node
            elif node not in done:
                done.add(node)
                stack.append((node, True))
                stack += [(o, False) for o in reversed(self.operands(node)) if o not in done]

    def built(self) -> list[Node]:
        """The roots over products that are made as the book says."""
        done: dict[Node, Node] = {}
        for node in self.order():
            operands = [done[o] for o in self.operands(node)]
            way = self.ways.get(node)
            if way is None or (isinstance(node, Einsum) and way == (node.factors, node.out)):
                done[node] = rebuild(node, operands)
            elif way.is_transposed:
                done[node] = pattern(operands[0], way.factors[0][1], way.out, {})
            else:
                done[node] = einsum(operands, [own for _, own in way.factors], way.out)
        return [done[root] for root in self.roots]
