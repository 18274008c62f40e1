"""split: a node with the axes of rows and columns -> a form, and the nodes of its blocks, for given sizes.

Laws: the sum of the terms is the node; a block has each of its labels once. A term of which rows and columns are joined
by little is kept as what has rows, what has columns and what stands between; one that is a product of parts with axes
of their own is kept as these; any other is one block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import prod
from typing import NamedTuple

from ..dims import Env
from ..ir import Add, Coef, Einsum, Node, Shape, add, einsum, number, scale, split
from .forms import Form, Labels, Term

Factor = tuple[Node, Labels]


class Split(NamedTuple):
    """A form, and a node for each of its blocks."""

    form: Form
    blocks: list[Node]


def matrix(root: Node, rows: int, letters: tuple[str, ...], env: Env) -> Split:
    """The node, whose first `rows` axes are those of rows, as a sum of products of blocks."""
    found = gathered(list(products(root, rows)), root.shape, env)
    if any(len(p.factors) == 1 and len(p.labels[0]) == root.rank for p in found):
        found = [undivided(root, rows)]
    blocks: dict[Node, int] = {}
    terms = [
        Term(tuple([blocks.setdefault(node, len(blocks)) for node, _ in p.factors]), p.labels, p.rows, p.columns)
        for p in map(numbered, found)
    ]
    nodes = list(blocks) or [number(0)]
    shape, *shapes = [tuple([d.at(env) for d in node.shape]) for node in (root, *nodes)]
    return Split(Form(shape[:rows], shape[rows:], tuple(terms), tuple(shapes), letters), nodes)


# ---------------------------------------------------------------- products


@dataclass(frozen=True)
class Product:
    """coef · Σ Π factors over the labels that neither rows nor columns have."""

    coef: Coef
    factors: tuple[Factor, ...]
    rows: Labels
    columns: Labels

    @property
    def labels(self) -> tuple[Labels, ...]:
        return tuple([own for _, own in self.factors])

    @property
    def outer(self) -> frozenset[int]:
        return frozenset(self.rows + self.columns)

    @property
    def high(self) -> frozenset[int]:
        """The labels of rows alone."""
        return frozenset(self.rows) - frozenset(self.columns)

    @property
    def low(self) -> frozenset[int]:
        """The labels of columns alone."""
        return frozenset(self.columns) - frozenset(self.rows)

    @property
    def carried(self) -> frozenset[int]:
        return frozenset(x for _, own in self.factors for x in own)

    def sizes(self, env: Env) -> dict[int, int]:
        """The size of every label that factors have."""
        return {x: d.at(env) for node, own in self.factors for x, d in zip(own, node.shape, strict=True)}


def undivided(root: Node, rows: int) -> Product:
    """A node as one factor."""
    axes = tuple(range(root.rank))
    return Product(Coef(), ((root, axes),), axes[:rows], axes[rows:])


def products(root: Node, rows: int) -> Iterator[Product]:
    """The terms of a node, through sums of sums and patterns of sums, none of them zero."""
    waiting = [undivided(root, rows)]
    while waiting:
        p = waiting.pop()
        if len(p.factors) != 1:
            yield p
            continue
        ((node, own),) = p.factors
        coef, core = split(node)
        if core is not node:
            waiting.append(replace(p, coef=p.coef * coef, factors=((core, own),)))
        elif isinstance(node, Add) and len(set(own)) == len(own):
            waiting += [replace(p, coef=p.coef * c, factors=((term, own),)) for c, term in reversed(node.terms)]
        elif is_open(node, own):
            waiting.append(opened(p, 0))
        else:
            yield p


def opened(p: Product, k: int) -> Product:
    """The product with factor k, a product itself, replaced by its factors. Labels of its output that it repeats become
    one."""
    node, own = p.factors[k]
    assert isinstance(node, Einsum)
    inner: dict[int, int] = {}
    union: dict[int, int] = {}
    for label, x in zip(node.out, own, strict=True):
        union[x] = inner.setdefault(label, x)
    fresh = 1 + max([*p.carried, *p.outer], default=0)
    for label in sorted(node.summed):
        inner[label], fresh = fresh, fresh + 1

    def named(labels: Labels) -> Labels:
        return tuple([union.get(x, x) for x in labels])

    factors = [(other, named(labels)) for other, labels in p.factors]
    factors[k : k + 1] = [(o, tuple([inner[x] for x in labels])) for o, labels in node.factors]
    return Product(p.coef, tuple(factors), named(p.rows), named(p.columns))


def is_open(node: Node, own: Labels) -> bool:
    """Whether a factor is a product that may be taken apart."""
    return isinstance(node, Einsum) and len(set(own)) == len(own)


def numbered(p: Product) -> Product:
    """The same with its labels numbered as they come, those of rows and columns first."""
    place = {x: n for n, x in enumerate(dict.fromkeys((*p.rows, *p.columns, *(x for own in p.labels for x in own))))}
    factors = [(node, tuple([place[x] for x in own])) for node, own in p.factors]
    rows, columns = (tuple([place[x] for x in own]) for own in (p.rows, p.columns))
    return Product(p.coef, tuple(factors), rows, columns)


# ---------------------------------------------------------------- what is kept apart


def compressed(p: Product, env: Env) -> Product | None:
    """The product over several blocks, if that is less than one block with all of its entries."""
    return of_kronecker(p, env) or of_low_rank(p, env) or of_parts(p, env)


def whole(p: Product) -> Product:
    """One block, with each label of rows and columns that the factors have."""
    out = tuple([x for x in dict.fromkeys(p.rows + p.columns) if x in p.carried])
    return replace(p, coef=Coef(), factors=(block(p.factors, out, p.coef),))


def of_kronecker(p: Product, env: Env) -> Product | None:
    """A[i,k] B[j,l]: parts that no sum joins, of which two have rows and columns."""
    found = of_parts(p, env)
    if found is None or sum([len(own) > 1 and not one_sided(p, own) for own in found.labels]) < 2:
        return None
    return found


def of_parts(p: Product, env: Env) -> Product | None:
    """Parts that no sum joins, if they have fewer entries than their product."""
    sizes = p.sizes(env)
    found = parts(p.factors, p.outer, p.rows + p.columns, sizes)
    if len(found) < 2 or sum([volume(own, sizes) for _, own in found]) >= volume(p.carried & p.outer, sizes):
        return None
    return replace(p, coef=Coef(), factors=(scaled(p.coef, found[0]), *found[1:]))


def one_sided(p: Product, own: Labels) -> bool:
    """Whether a factor with these labels lacks rows that are no columns, or columns that are no rows."""
    return p.high.isdisjoint(own) or p.low.isdisjoint(own)


def of_low_rank(p: Product, env: Env) -> Product | None:
    """B D C, if rows and columns are joined by less than half of what they have: one block or more for each."""
    for candidate in (between_opened(p), sides_opened(between_opened(p))):
        found = in_sides(candidate, env)
        if found is None or is_mirrored(found):
            return found
    return in_sides(between_opened(p), env)


def in_sides(p: Product, env: Env) -> Product | None:
    """B D C as the factors stand, if that is worth it."""
    left, right = ([f for f in p.factors if not side.isdisjoint(f[1])] for side in (p.high, p.low))
    if any(f in right for f in left):
        return None
    middle = [f for f in p.factors if f not in left and f not in right]
    sizes = p.sizes(env)
    rows, columns = (volume(side & p.carried, sizes) for side in (p.high, p.low))
    if volume(labels_of(left) & labels_of(middle + right) - p.outer, sizes) * (rows + columns) >= rows * columns:
        return None
    sides = [left, middle, right]
    owned = [labels_of(side) for side in sides]
    open_ = p.outer.union(*(owned[a] & owned[b] for a, b in ((0, 1), (0, 2), (1, 2))))
    found = [parts(side, open_, own, sizes) for side, own in zip(sides, (p.rows, (), p.columns), strict=True)]
    if not p.coef.is_one:
        found[1] = [scaled(p.coef, found[1][0]), *found[1][1:]] if middle else [(scale(p.coef, number(1)), ())]
    return replace(p, coef=Coef(), factors=tuple([f for side in found for f in side]))


def is_mirrored(p: Product) -> bool:
    """Whether what has rows is what has columns."""
    turned = dict(zip(p.rows, p.columns, strict=False))
    left = [(node, tuple([turned.get(x, x) for x in own])) for node, own in p.factors if not p.high.isdisjoint(own)]
    return sorted(left, key=by_digest) == sorted([f for f in p.factors if not p.low.isdisjoint(f[1])], key=by_digest)


def by_digest(factor: Factor) -> tuple[bytes, Labels]:
    return factor[0].digest, factor[1]


def between_opened(p: Product) -> Product:
    """The product with those of its factors taken apart that have rows and columns, as far as they are products."""
    return all_opened(p, lambda own: not one_sided(p, own))


def sides_opened(p: Product) -> Product:
    """The same with all that has rows or columns: `u[a,i] X[a,j]` with u = d X may be `X[a,i] d[a] X[a,j]`."""
    return all_opened(p, lambda own: not (p.high | p.low).isdisjoint(own))


def all_opened(p: Product, wanted: Callable[[Labels], bool]) -> Product:
    k = 0
    while k < len(p.factors):
        if is_open(*p.factors[k]) and wanted(p.factors[k][1]):
            p = opened(p, k)
        else:
            k += 1
    return p


# ---------------------------------------------------------------- factors as blocks


def parts(factors: Sequence[Factor], open_: Collection[int], order: Labels, sizes: Mapping[int, int]) -> list[Factor]:
    """The factors in groups, each of them one block: those that a sum joins, and those that together are not larger."""
    groups: list[list[Factor]] = []
    for factor in factors:
        met = [group for group in groups if labels_of(group) & set(factor[1]) - set(open_)]
        groups = [group for group in groups if group not in met] + [[*(f for group in met for f in group), factor]]
    while (pair := small_together(groups, open_, sizes)) is not None:
        a, b = pair
        groups = [group for group in groups if group is not a and group is not b] + [a + b]
    return [as_block(group, open_, order) for group in groups]


def small_together(
    groups: Sequence[list[Factor]], open_: Collection[int], sizes: Mapping[int, int]
) -> tuple[list[Factor], list[Factor]] | None:
    """Two groups whose product has no more entries than they have."""
    for a, b in combinations(groups, 2):
        left, right = labels_of(a) & set(open_), labels_of(b) & set(open_)
        if volume(left | right, sizes) <= volume(left, sizes) + volume(right, sizes):
            return a, b
    return None


def as_block(group: Sequence[Factor], open_: Collection[int], order: Labels) -> Factor:
    """A group as one block: a factor as it is, or a product with what is summed first, then the axes of the matrix."""
    if len(group) == 1 and len(set(group[0][1])) == len(group[0][1]) and set(group[0][1]) <= set(open_):
        return group[0]
    place = {x: n for n, x in enumerate(dict.fromkeys(order))}
    return block(group, tuple(sorted(labels_of(group) & set(open_), key=lambda x: (place.get(x, -1), x))), Coef())


def block(factors: Sequence[Factor], out: Labels, coef: Coef) -> Factor:
    """A product of factors as one, with these axes."""
    return scale(coef, einsum([node for node, _ in factors], [own for _, own in factors], out)), out


def scaled(coef: Coef, factor: Factor) -> Factor:
    return scale(coef, factor[0]), factor[1]


def labels_of(factors: Sequence[Factor]) -> frozenset[int]:
    return frozenset(x for _, own in factors for x in own)


def volume(labels: Collection[int], sizes: Mapping[int, int]) -> int:
    return prod([sizes[x] for x in labels])


# ---------------------------------------------------------------- terms in one block


def gathered(found: Sequence[Product], shape: Shape, env: Env) -> list[Product]:
    """The products over the blocks that are computed; what a block has room for is added to it."""
    apart = [compressed(p, env) for p in found]
    alone = [whole(p) for p, kept in zip(found, apart, strict=True) if kept is None]
    homes: list[Product] = []
    rest: list[Product] = []
    for p in sorted(alone, key=lambda p: (-len(p.outer), -len(p.carried))):
        if not taken_in(p, homes, shape):
            homes.append(p)
    for p, kept in zip(found, apart, strict=True):
        if kept is not None and not taken_in(p, homes, shape):
            rest.append(kept)
    return [*homes, *rest]


def taken_in(p: Product, homes: list[Product], shape: Shape) -> bool:
    """Whether one of the blocks has an entry for each of the product's; the product is added to it."""
    for n, home in enumerate(homes):
        ((node, own),) = home.factors
        called = renaming(home, p)
        if called is None or not has_room(p, called, own):
            continue
        dims = dict(zip(p.rows + p.columns, shape, strict=True))
        out = [called[x] for x in own]
        more = einsum([o for o, _ in p.factors], p.labels, out, {x: dims[x] for x in out})
        homes[n] = replace(home, factors=((add([(1, node), (p.coef, more)], node.shape), own),))
        return True
    return False


def renaming(home: Product, p: Product) -> dict[int, int] | None:
    """What the labels of one term are called in another that has at least its deltas."""
    called: dict[int, int] = {}
    pairs = zip(home.rows + home.columns, p.rows + p.columns, strict=True)
    return called if all(called.setdefault(x, y) == y for x, y in pairs) else None


def has_room(p: Product, called: Mapping[int, int], own: Labels) -> bool:
    """Whether the product is the same along all labels that a block lacks, and has no deltas with them."""
    for x in called.keys() - set(own):
        if called[x] in p.carried or list(called.values()).count(called[x]) > 1:
            return False
    return True
