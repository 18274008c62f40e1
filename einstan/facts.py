"""facts: identities of the inputs (`fact T[n,C] 1[C] = 1[n]`) as laws of simplification.

An identity is read towards its smaller side: fewer factors, or as many and fewer summed indices; so it always shrinks
what it is applied to, and ends. Both sides are products of one term. An identity with equally large sides
(S[i,j] = S[j,i]), or with a sum of terms, is allowed and not used.

A fact holds for the data and not around it, so it is used after everything is differentiated and never before: with
`fact T[n,C] 1[C] = 1[n]` the derivative of T[n,C] 1[C] by T is still 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from .ir import Call, Einsum, Input, Labels, Name, Node, einsum, is_zero, scale, split, substitute, toposort
from .rewrite import Law, law, normalise
from .rules import opened

Facts = Sequence[tuple[Node, Node]]  # both sides, of one shape
Place = Mapping[int, int]  # a label of the product searched for -> the label it has


@dataclass(frozen=True, slots=True)
class Product:
    """The larger side: factors over their labels, those of `out` shown, the others summed."""

    factors: tuple[tuple[Node, Labels], ...]
    out: Labels

    @property
    def places(self) -> Counter[int]:
        return Counter(label for _, own in self.factors for label in own)


def simplify_by(
    facts: Facts, laws: Sequence[Law], simplify: Callable[[Sequence[Node]], list[Node]]
) -> Callable[[Sequence[Node]], list[Node]]:
    """`simplify`, with `facts` among its `laws`."""
    oriented = [pair for fact in facts for pair in oriented_sides(*simplify(fact))]
    if not oriented:
        return simplify
    plain: dict[Node, Node] = {left: right for left, right in oriented if isinstance(left, Input)}
    more = [law_of(left, right) for left, right in oriented if isinstance(left, Einsum)]
    return lambda roots: normalise(substitute(simplify(roots), plain), (*more, *laws))


def oriented_sides(left: Node, right: Node) -> Iterator[tuple[Node, Node]]:
    """The identity from its larger side to its smaller one, the coefficient of the larger one taken over."""
    large, small = (left, right) if size(left) > size(right) else (right, left)
    coef, core = split(large)
    searched = isinstance(core, Input) or (isinstance(core, Einsum) and is_plain(core))
    if size(large) > size(small) and searched and (is_zero(small) or is_term(small)) and coef.rational:
        yield core, scale(coef.power(-1), small)


def size(node: Node) -> tuple[int, int]:
    """Factors and summed indices of the node written out."""
    sizes: dict[Node, tuple[int, int]] = {}
    for n in toposort([node]):
        factors, labels = (sum(sizes[o][k] for o in n.operands) for k in (0, 1))
        own = len(n.summed) if isinstance(n, Einsum) else 0
        sizes[n] = (factors + (isinstance(n, Input | Name | Call)), labels + own)
    return sizes[node]


def is_plain(e: Einsum) -> bool:
    """A product of factors in which every shown index stands once, and in some factor."""
    carried = {label for own in e.labels for label in own}
    return bool(e.operands) and set(e.out) <= carried and len(set(e.out)) == len(e.out)


def is_term(node: Node) -> bool:
    """A product, an input or ones, with a coefficient."""
    return isinstance(split(node)[1], Einsum | Input | Name)


def law_of(left: Einsum, right: Node) -> Law:
    """The fact as a law of products."""
    searched = Product(tuple(left.factors), left.out)

    @law(Einsum)
    def fact(e: Einsum) -> Node | None:
        """A product that holds the left side of a fact holds the right side instead."""
        for product in (e, written_out(e, {node for node, _ in searched.factors})):
            if isinstance(product, Einsum):
                for taken, place in occurrences(searched, product):
                    return replaced(product, taken, right, tuple(place[label] for label in searched.out))
        return None

    return fact


def replaced(e: Einsum, taken: Sequence[int], node: Node, own: Labels) -> Node:
    """The product with one factor in the place of those `taken`."""
    rest = [n for n in range(len(e.operands)) if n not in taken]
    return einsum([*(e.operands[n] for n in rest), node], [*(e.labels[n] for n in rest), own], e.out, e.dims)


def written_out(e: Einsum, sought: Set[Node]) -> Node:
    """The product, the factors that are products of something sought written out: (T[n,D] x[n]) 1[D]."""
    products = ((n, o) for n, o in enumerate(e.operands) if isinstance(o, Einsum) and is_plain(o))
    places = [n for n, factor in products if sought & set(factor.operands)]
    return opened(e, places) if places else e


def occurrences(searched: Product, e: Einsum) -> Iterator[tuple[list[int], Place]]:
    """Factors of e that are the product, and what its labels are there: those it sums stand nowhere else."""
    if not {node for node, _ in searched.factors} <= set(e.operands):
        return
    stack: list[tuple[list[int], dict[int, int]]] = [([], {})]
    while stack:
        taken, place = stack.pop()
        if len(taken) == len(searched.factors):
            if sums_alone(searched, place, e):
                yield taken, place
            continue
        node, own = searched.factors[len(taken)]
        for n, (operand, labels) in enumerate(e.factors):
            if operand is node and n not in taken:
                agreed = agreeing(place, own, labels)
                if agreed is not None:
                    stack.append(([*taken, n], agreed))


def agreeing(place: Place, own: Labels, labels: Labels) -> dict[int, int] | None:
    """The place with these labels added, if none has two meanings."""
    found = dict(place)
    for label, there in zip(own, labels, strict=True):
        if found.setdefault(label, there) != there:
            return None
    return found


def sums_alone(searched: Product, place: Place, e: Einsum) -> bool:
    """Every label that the product sums is one that e sums, and stands in e at these places alone."""
    summed = set(searched.places) - set(searched.out)
    everywhere = Counter(label for own in e.labels for label in own)
    there = [place[label] for label in summed]
    alone = all(everywhere[place[label]] == searched.places[label] for label in summed)
    return alone and len(set(there)) == len(there) and not set(there) & set(e.out)
