"""together: all products of a graph ordered together: what one of them computes is free for the others.

A product of products may be taken in another association, also where others use the inner one: Σ_m P[n,m] (O[n,D]
v[m,D]) is Σ_d O[n,d] (P[n,M] v[M,d]), which costs less where P v is computed anyway. Laws: the values stay; the cost
never grows; a product whose inner ones nobody else uses stays as it is; the work is linear in the number of products.

Letters: n factors, s and t sets of them as bit masks, as in `orders.network`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple

from ..dims import Env
from ..ir import Labels, Node
from ..orders.network import Network, bits, mask
from .book import Book, Way
from .nesting import lying, shared
from .unique import Factor

FACTORS: Final = 5  # of a product that is ordered anew
NEAR: Final = 6  # nodes on each side of a product of which partners are sought
ROUNDS: Final = 4
USERS: Final = 4  # of a product that all of them may avoid
PAIRS: Final = 100  # of sets of factors that are looked at, for every product of the graph
BETTER: Final = 1 - 1e-9


def together(roots: Sequence[Node], env: Env, limit: int | None = None) -> list[Node]:
    """`roots`, whose products are binary, with products taken in other associations where that costs less in all.

    `limit` is how many entries an intermediate should have at most.
    """
    book = Book(roots, env)
    search = Search(book, limit, PAIRS * len(book.ways))
    for _ in range(ROUNDS):
        tried = [search.improve(top) for top in tops(book)] + [search.avoid(inner) for inner in inners(book)]
        if not any(tried):
            break
    return book.built() if search.changed or book.again else list(roots)


def tops(book: Book) -> list[Node]:
    """Products that may be better in another association, the dearest first."""
    found = [node for node in book.order() if node in book.ways and written_out(book, node) is not None]
    return sorted(found, key=lambda node: -book.steps(book.ways[node]))


def inners(book: Book) -> list[Node]:
    """Products larger than what they are made of, which all that uses them may be better without."""
    return [node for node in book.ways if is_wide(book, node) and 1 < book.uses[node] <= USERS]


# ---------------------------------------------------------------- which products are written out, and how far


class Region(NamedTuple):
    """A product written out: its factors, the labels of its axes, and the ways of the products that were opened for
    it, itself among them. Labels are numbers from 0, in the order in which factors have them."""

    factors: list[Factor]
    out: Labels
    opened: dict[Node, Way]


def written_out(book: Book, top: Node) -> Region | None:
    """The product over the factors of its factors, where another association of them may cost less: a factor is opened
    that is larger than what it is made of, or that hides what is a product with something on the other side."""
    way = book.ways[top]
    routes = partners(book, top, way)
    if not routes and not any(is_wide(book, node) for node, _ in way.factors):
        return None
    fresh = count()
    own = renamed(way, {}, fresh)
    factors, opened = list(own.factors), {top: own}
    while len(factors) < FACTORS:
        able = [k for k, (node, _) in enumerate(factors) if node in routes or is_wide(book, node)]
        if not able:
            break
        k = max(able, key=lambda k: book.volume(factors[k][0]))
        node, labels = factors[k]
        inner = renamed(book.ways[node], dict(zip(book.ways[node].out, labels, strict=True)), fresh)
        opened.setdefault(node, inner)
        factors[k : k + 1] = inner.factors
    shared_ = routes or any(book.uses[node] > 1 for node in opened if node is not top)
    if not shared_ or len(factors) < 2:
        return None
    return Region(factors, own.out, opened)


def renamed(way: Way, names: dict[int, int], fresh: Iterator[int]) -> Way:
    """The way with other labels: `names` where they are given, fresh ones elsewhere."""
    for label in sorted(way.labels.difference(names)):
        names[label] = next(fresh)
    factors = tuple([(node, tuple([names[x] for x in own])) for node, own in way.factors])
    return Way(factors, tuple([names[x] for x in way.out]))


def is_wide(book: Book, node: Node) -> bool:
    """Whether a product has more entries than what it is made of, or is only another view of that."""
    way = book.ways.get(node)
    return way is not None and (way.is_transposed or book.bulk(node) < book.volume(node))


def partners(book: Book, top: Node, way: Way) -> set[Node]:
    """Products below that hide a node which somewhere else is multiplied with a node of the other side."""
    if len(way.factors) < 2:
        return set()
    left, right = (below(book, node) for node, _ in way.factors)
    hidden: set[Node] = set()
    for a in left:
        met = book.met.get(a, {})
        for b in [b for b in right if b in met]:
            if any(node is not top and node not in left and node not in right for node in met[b]):
                hidden |= {*above(a, left), *above(b, right)}
    return hidden


def below(book: Book, top: Node) -> dict[Node, Node | None]:
    """A node and some of those that it is a product of, each with the one above it."""
    found: dict[Node, Node | None] = {top: None}
    queue = [top]
    for node in queue:
        way = book.ways.get(node)
        if way is not None and len(found) < NEAR:
            fresh = [factor for factor, _ in way.factors if factor not in found]
            found |= dict.fromkeys(fresh, node)
            queue += fresh
    return found


def above(node: Node, parents: dict[Node, Node | None]) -> Iterator[Node]:
    parent = parents[node]
    while parent is not None:
        yield parent
        parent = parents[parent]


# ---------------------------------------------------------------- the best association


class Tree(NamedTuple):
    """The cheapest way to the product of a set of factors: its cost, its labels as a mask; the product itself where it
    is made anyway, else the two sets that it is made of (none: it is one factor, summed)."""

    cost: float
    labels: int
    made: Factor | None
    left: int = 0
    right: int = 0


class Problem:
    """A region as a network, in which products are free that are made anyway: those that are not `gone`."""

    def __init__(self, book: Book, region: Region, limit: int | None, gone: Collection[Node]) -> None:
        self.book = book
        self.factors, self.out, self.opened = region
        self.gone = gone
        terms = [own for _, own in self.factors]
        self.labels = list(dict.fromkeys(x for own in (*terms, self.out) for x in own))
        self.bit = {x: n for n, x in enumerate(self.labels)}
        sizes = {x: book.size(d) for node, own in self.factors for x, d in zip(own, node.shape, strict=True)}
        self.network = Network(terms, self.out, sizes, limit)
        self.needed = self.mask(shared(terms, self.out))
        self.whole = (1 << len(terms)) - 1

    def mask(self, labels: Collection[int]) -> int:
        return mask([self.bit[x] for x in labels])

    def names(self, labels: int) -> Labels:
        return tuple([self.labels[bit] for bit in bits(labels)])

    def spent(self, nodes: Iterable[Node]) -> float:
        """What opened products cost as they are made."""
        return sum([self.price(self.opened[node]) for node in nodes])

    def price(self, way: Way) -> float:
        if way.is_transposed:
            return 0.0
        first, last = way.factors[0], way.factors[-1]
        return self.network.cost(self.mask(first[1]), self.mask(last[1]), self.mask(way.out))

    def free(self, factors: Sequence[Factor], labels: int) -> Factor | None:
        """The product of factors over the labels, if it is made anyway."""
        found = self.book.find(factors, self.names(labels))
        return None if found is None or found[0] in self.gone else found

    def best(self) -> dict[int, Tree]:
        """The cheapest tree of every set of factors."""
        best = {1 << k: self.leaf(factor) for k, factor in enumerate(self.factors)}
        for s in range(1, 1 << len(self.factors)):
            if s not in best:
                best[s] = min((self.joined(best, a, s ^ a) for a in halves(s)), key=lambda tree: tree.cost)
        return best

    def leaf(self, factor: Factor) -> Tree:
        """A factor, summed over what nothing else carries."""
        own = self.mask(factor[1])
        labels = own & self.needed
        if labels == own:
            return Tree(0.0, own, factor)
        made = self.free([factor], labels)
        return Tree(0.0 if made else self.network.cost(own, own, labels), labels, made)

    def joined(self, best: dict[int, Tree], s: int, t: int) -> Tree:
        left, right = best[s], best[t]
        labels = self.network.kept(left.labels, right.labels, s | t)
        if left.made and right.made and right.made[0] in self.book.met.get(left.made[0], ()):
            made = self.free([left.made, right.made], labels)
            if made is not None:
                return Tree(0.0, labels, made)
        cost = left.cost + right.cost + self.network.cost(left.labels, right.labels, labels)
        return Tree(cost, labels, None, s, t)


def halves(s: int) -> Iterator[int]:
    """The sets with the first of s, but s itself."""
    low = s & -s
    rest = s ^ low
    part = rest
    while part:
        part = (part - 1) & rest
        yield low | part


def vanishing(book: Book, region: Region) -> list[Node]:
    """The opened products that nothing else uses."""
    top, *_ = region.opened
    gone, left, queue = [], dict.fromkeys(region.opened, 0), [top]
    for node in queue:
        gone.append(node)
        for factor, _ in book.ways[node].factors:
            if factor in left:
                left[factor] += 1
                if left[factor] == book.uses[factor]:
                    queue.append(factor)
    return gone


@dataclass
class Search:
    """`left` pairs of sets of factors may still be looked at; `changed` says whether any product is made in another
    way."""

    book: Book
    limit: int | None
    left: int
    changed: bool = False

    def improve(self, top: Node) -> bool:
        """Make a product in the best way, if that costs less; whether it does."""
        region = self.region(top)
        if region is None:
            return False
        gone = vanishing(self.book, region)
        problem = Problem(self.book, region, self.limit, gone)
        best = problem.best()
        if best[problem.whole].cost >= problem.spent(gone) * BETTER:
            return False
        self.remake(top, problem, best)
        return True

    def avoid(self, inner: Node) -> bool:
        """Make all that uses a product without it, if that costs less in all; whether it does."""
        users = using(self.book, inner)
        regions = [region for top in users if (region := self.region(top)) is not None and inner in region.opened]
        if len(regions) < max(2, len(users)):
            return False
        dying = [vanishing(self.book, region) for region in regions]
        gone = {inner, *(node for nodes in dying for node in nodes)}
        if len(gone) <= sum(map(len, dying)):
            return False  # one of them is made of another
        problems = [Problem(self.book, region, self.limit, gone) for region in regions]
        old = sum([problem.spent(nodes) for problem, nodes in zip(problems, dying, strict=True)])
        new = sum([problem.best()[problem.whole].cost for problem in problems])
        if new >= (old + problems[0].spent([inner])) * BETTER:
            return False
        for top, problem in zip(users, problems, strict=True):
            self.remake(top, problem, problem.best())
        return True

    def region(self, top: Node) -> Region | None:
        """The product written out, if it is still made and the budget lasts."""
        if top not in self.book.ways or self.left <= 0:
            return None
        found = written_out(self.book, top)
        self.left -= 0 if found is None else 3 ** len(found.factors) // 2
        return found

    def remake(self, top: Node, problem: Problem, best: dict[int, Tree]) -> None:
        """Make a product in the best way."""
        tree = best[problem.whole]
        parts = (tree.made,) if tree.made else tuple([product(problem, best, s) for s in (tree.left, tree.right)])
        self.book.change(top, Way(parts, problem.out))
        self.changed = True


def using(book: Book, inner: Node) -> list[Node]:
    """The products that a product is a factor of; none where something else uses it too."""
    if inner not in book.ways:
        return []
    found = list(dict.fromkeys(node for nodes in book.met[inner].values() for node in nodes))
    places = sum(node is inner for top in found for node, _ in book.ways[top].factors)
    return found if places == book.uses[inner] else []


def product(problem: Problem, best: dict[int, Tree], s: int) -> Factor:
    """The product of a set of factors, entered in the book."""
    tree = best[s]
    if tree.made is not None:
        return tree.made
    if not tree.left:
        return problem.book.made([problem.factors[s.bit_length() - 1]], problem.names(tree.labels))
    left, right = product(problem, best, tree.left), product(problem, best, tree.right)
    place = {label: n for n, label in enumerate(problem.out)}
    return problem.book.made([left, right], lying(left[1], right[1], problem.names(tree.labels), place))
