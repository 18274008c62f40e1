"""nesting: one product as a tree of binary products, in an order that is known.

Law: a label that neither the output nor another operand carries is summed in its operand alone, before products.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from ..dims import Dim
from ..ir import Einsum, Labels, Node, einsum

Term = tuple[Node, Labels]


def needs_nesting(e: Einsum) -> bool:
    """Whether the product has more than two operands, or a summed label that stands in one of two only."""
    if len(e.operands) != 2:
        return len(e.operands) > 2
    (left, right), out = e.labels, e.out
    return any(label not in right and label not in out for label in left) or any(
        label not in left and label not in out for label in right
    )


def along(
    path: Sequence[tuple[int, int]],
    operands: Sequence[Node],
    labels: Sequence[Labels],
    out: Labels,
    dims: Mapping[int, Dim] | None = None,
) -> Node:
    """The product of operands as nested binary ones, in the order of a whole path (pairs).

    `dims` are the sizes of labels that no operand carries.
    """
    if len(operands) < 2:
        return einsum(operands, labels, out, dims)
    needed = shared(labels, out)
    terms = [presum(node, own, needed) for node, own in zip(operands, labels, strict=True)]
    carriers = Counter(dict.fromkeys(out, 1))
    for _, own in terms:
        carriers.update(set(own))
    place = {label: n for n, label in enumerate(dict.fromkeys(out))}
    for a, b in path[:-1]:
        open_ = left_open(terms[a], terms[b], carriers)
        terms.append(join(terms[a], terms[b], open_, place))
    (left, la), (right, lb) = (terms[k] for k in path[-1])
    return einsum([left, right], [la, lb], out, dims)


def shared(labels: Sequence[Labels], out: Labels) -> frozenset[int]:
    """The labels that the output or two operands carry; any other is summed in its operand alone."""
    carriers = Counter(label for own in labels for label in set(own))
    return frozenset(out) | {label for label, n in carriers.items() if n > 1}


def kept(own: Labels, needed: frozenset[int]) -> Labels:
    """What an operand is left with: each label once, none that nothing else carries."""
    return tuple(label for label in dict.fromkeys(own) if label in needed)


def reduced(labels: Sequence[Labels], out: Labels) -> list[Labels]:
    """What every operand is left with before products are made: what searches look at."""
    needed = shared(labels, out)
    return [kept(own, needed) for own in labels]


def presum(node: Node, own: Labels, needed: frozenset[int]) -> Term:
    """The operand summed over what nothing else carries, each label once."""
    left = kept(own, needed)
    return (node, own) if left == own else (einsum([node], [own], left), left)


def left_open(left: Term, right: Term, carriers: dict[int, int]) -> Labels:
    """The labels of two terms that another term or the output carries. The carriers are counted on."""
    (_, la), (_, lb) = left, right
    both = set(la) & set(lb)
    open_ = []
    for label in dict.fromkeys(la + lb):
        carriers[label] -= 2 if label in both else 1
        if carriers[label]:
            open_.append(label)
            carriers[label] += 1
    return tuple(open_)


def join(left: Term, right: Term, open_: Labels, place: Mapping[int, int]) -> Term:
    """The product of two terms over the labels that stay open."""
    (a, la), (b, lb) = left, right
    out = lying(la, lb, open_, place)
    return einsum([a, b], [la, lb], out), out


def lying(left: Labels, right: Labels, open_: Collection[int], place: Mapping[int, int]) -> Labels:
    """The open labels of two terms in the order in which the axes of their product lie.

    Where nothing is summed they lie as in the output, whose places are given: what it meets later lies so too.
    """
    out = [label for label in dict.fromkeys(left + right) if label in open_]
    if set(out) == {*left, *right}:
        out.sort(key=lambda label: place.get(label, len(place)))
    return tuple(out)
