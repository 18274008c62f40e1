"""common: what all terms of a sum have as a factor stands before it, as people write it.

Law: x[b,i] p[b,c] q[b] - x[b,i] p[b,c] s[b,d] = x[b,i] p[b,c] (q[b] - s[b,d]), also where b is summed. The results are
to be read: simplification would multiply them out where terms have different diagonals. Letters: a Add.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import combinations
from typing import NamedTuple

from ..dims import Dim
from ..ir import UNIT, Add, Coef, Einsum, Node, add, einsum, inline, name_, rebuild, scale, substitute, toposort
from ..ir import split as coefficient_of
from ..order.common import shared, split
from ..prims.scalar import power
from ..rules import base_and_exponent, written_out

FEW = 3  # factors; fewer are written wherever they stand
MANY = 12  # long products, of which no pairs are looked at
Labels = tuple[Hashable, ...]  # an axis of the sum by its number, a summed index by a name of its own


class Term(NamedTuple):
    """A term as factors over labels; `axes` say which label each axis of the sum has, so that equal ones are a δ."""

    coef: Coef
    factors: tuple[tuple[Node, Labels], ...]
    axes: Labels


def legible(roots: Sequence[Node]) -> list[Node]:
    """`roots` as people write them: what products have in common is a product of its own, and then one factor."""
    found, cores = with_common_products(roots)
    return inline(with_common_factors(found), cores)


def with_common_products(roots: Sequence[Node]) -> tuple[list[Node], dict[Node, Node]]:
    """`roots` over leaves that stand for what two products have in common, and what these are."""
    found, cores = list(roots), dict[Node, Node]()
    while len(cores) < MANY:
        long = [e for e in toposort(found) if isinstance(e, Einsum) and len(e.operands) > FEW]
        pairs = [(a, b, shared(a, b)) for a, b in combinations(long[:MANY], 2)]
        a, b, both = max(pairs, key=lambda pair: len(pair[2].places), default=(None, None, None))
        if a is None or b is None or both is None or len(both.places) < FEW:
            break
        core, *over = split(a, b, both)
        leaf = name_(f"#{len(cores)}", core.shape)
        cores[leaf] = core
        changed = ((e, again) for e, again in zip((a, b), over, strict=True) if again is not e)  # b may be a, turned
        meanings: dict[Node, Node] = dict(changed)
        found = substitute(inline(found, meanings), {core: leaf})
    return found, cores


def flat(root: Node) -> Node:
    """The node with sums in sums opened: 1 + (x + y) is 1 + x + y."""
    done: dict[Node, Node] = {}
    for node in toposort([root]):
        again = rebuild(node, [done[o] for o in node.operands])
        if isinstance(again, Add) and len(again.operands) > 1:
            opened = [(c * d, x) for c, o in again.terms for d, x in (o.terms if isinstance(o, Add) else ((UNIT, o),))]
            again = add(opened, again.shape)
        done[node] = again
    return done[root]


def with_common_factors(roots: Sequence[Node]) -> list[Node]:
    """`roots` with common factors of sums before them."""
    done: dict[Node, Node] = {}
    for node in toposort(roots):
        again = rebuild(node, [done[o] for o in node.operands])
        coef, core = coefficient_of(again)  # a sum that is rebuilt may have one in front
        product = factored(core) if isinstance(core, Add) else None
        done[node] = again if product is None else scale(coef, product)
    return [done[root] for root in roots]


def factored(a: Add) -> Node | None:
    """The product of what all terms have in common with the sum of their rests, if there is such."""
    if len(a.operands) < 2:
        return None
    sizes: dict[Hashable, Dim] = dict(enumerate(a.shape))
    terms = [term(n, coef, node, sizes) for n, (coef, node) in enumerate(a.terms)]
    common, rests = terms[0].factors, [terms[0]]
    for other in terms[1:]:
        found = dict(agreeing(common, other.factors))
        both = [zip(other.factors[g][1], common[f][1], strict=True) for f, g in found.items()]
        rests.append(renamed(other, {there: here for pairs in both for there, here in pairs}))
        common = tuple(common[f] for f in sorted(found))
    rests = [without(common, rest) for rest in rests]
    if not common or any(hidden(common, rest) for rest in rests):
        return None
    return joined(a, common, rests, sizes)


def term(n: int, coef: Coef, node: Node, sizes: dict[Hashable, Dim]) -> Term:
    """A term of the sum, its summed labels named by its number `n`."""
    node = written_out(node)
    if not isinstance(node, Einsum):
        return Term(coef, ((node, tuple(range(node.rank))),), tuple(range(node.rank)))
    name: dict[int, Hashable] = {}
    for axis, label in enumerate(node.out):
        name.setdefault(label, axis)
    axes = tuple(name[label] for label in node.out)
    inner = node.operands[0] if node.is_pattern and node.operands else node
    if inner is not node and isinstance(inner, Einsum):
        name = {label: name[own] for label, own in zip(inner.out, node.labels[0], strict=True)}
    else:
        inner = node
    assert isinstance(inner, Einsum)
    for label, d in inner.dims.items():
        sizes.setdefault(name.setdefault(label, (n, label)), d)
    return Term(coef, tuple((o, tuple(name[x] for x in own)) for f, own in inner.factors for o in as_factors(f)), axes)


def as_factors(node: Node) -> list[Node]:
    """x^3 as x, x and x."""
    base, q = base_and_exponent(node)
    return [base] * int(q) if q.denominator == 1 and 1 < q <= FEW else [node]


def as_powers(factors: Sequence[tuple[Node, Labels]]) -> tuple[tuple[Node, Labels], ...]:
    """x, x and x as x^3; roots stay, which `as_factors` leaves."""
    able = [f for f in factors if base_and_exponent(f[0])[0] is f[0] and len(set(f[1])) == len(f[1])]
    whole = Counter(able)
    rest = [(node, own) for node, own in factors if (node, own) not in whole]
    return (*rest, *((power(node, Fraction(n)), own) for (node, own), n in whole.items()))


def agreeing(mine: Sequence[tuple[Node, Labels]], theirs: Sequence[tuple[Node, Labels]]) -> Iterator[tuple[int, int]]:
    """Places of equal factors, those with most axes first, as far as their summed labels agree."""
    there: dict[Hashable, Hashable] = {}
    back: dict[Hashable, Hashable] = {}
    left = set(range(len(theirs)))
    for f in sorted(range(len(mine)), key=lambda f: -sum(isinstance(x, int) for x in mine[f][1])):
        node, own = mine[f]
        for g in sorted(left):
            other, labels = theirs[g]
            if other is node and alike(own, labels) and all(map(partial(one, there, back), own, labels)):
                there |= dict(zip(own, labels, strict=True))
                back |= dict(zip(labels, own, strict=True))
                left.remove(g)
                yield f, g
                break


def alike(own: Labels, labels: Labels) -> bool:
    """Whether both repeat a label in the same places."""
    return len(set(own)) == len(set(labels)) == len(set(zip(own, labels, strict=True)))


def one(there: Mapping[Hashable, Hashable], back: Mapping[Hashable, Hashable], x: Hashable, y: Hashable) -> bool:
    """Whether two labels may be one: the same axis, or two summed ones that are no others yet."""
    if isinstance(x, int) or isinstance(y, int):
        return x == y
    return there.get(x, y) == y and back.get(y, x) == x


def renamed(t: Term, place: Mapping[Hashable, Hashable]) -> Term:
    factors = tuple((node, tuple(place.get(x, x) for x in own)) for node, own in t.factors)
    return t._replace(factors=factors)


def without(common: Sequence[tuple[Node, Labels]], t: Term) -> Term:
    """The term but for its common factors."""
    left = list(t.factors)
    for factor in common:
        left.remove(factor)
    return t._replace(factors=as_powers(left))


def hidden(common: Sequence[tuple[Node, Labels]], rest: Term) -> bool:
    """Whether an index that is summed outside would be summed in the bracket, where it stands twice."""
    outside = {x for _, own in common for x in own if not isinstance(x, int)}
    inside = Counter(x for _, own in rest.factors for x in own)
    return any(inside[x] > 1 for x in outside)


def joined(a: Add, common: Sequence[tuple[Node, Labels]], rests: Sequence[Term], sizes: Mapping[Hashable, Dim]) -> Node:
    """common · Σ rest."""
    outside = {x for _, own in common for x in own}
    shown = {x for rest in rests for _, own in rest.factors for x in own if isinstance(x, int) or x in outside}
    diagonal = {x for rest in rests for n, y in enumerate(rest.axes) if n != y for x in (n, y)}
    carried = {x for x in outside if isinstance(x, int)}
    inner = tuple(sorted(shown | diagonal | (set(range(a.rank)) - carried), key=str))
    terms = []
    for rest in rests:
        out = [rest.axes[x] if isinstance(x, int) else x for x in inner]
        factors = rest.factors
        node = einsum([o for o, _ in factors], [own for _, own in factors], out, sizes)
        terms.append((rest.coef, node))
    total = add(terms, tuple(sizes[x] for x in inner))
    return einsum([*(o for o, _ in common), total], [*(own for _, own in common), inner], range(a.rank), sizes)
