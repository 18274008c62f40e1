"""factored: what all terms of a sum have as a factor stands before the sum, where that makes the sum smaller.

Law: x[b,k] s[b,j] + x[b,k] t[b,j] = x[b,k] (s[b,j] + t[b,j]), where nothing else carries k. In a product with the sum
x is then a factor like all others, whose order is free: the sum is that of second derivatives of a dense net, whose
inputs x come first otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..ir import Add, Einsum, Labels, Node, add, einsum, rebuild, toposort
from .unique import Factor


class Form(NamedTuple):
    """A node as a product: `factors` that alone carry some of its axes, and the rest of it; all labels are numbers of
    the node's axes."""

    factors: tuple[Factor, ...]
    rest: Factor

    @property
    def all(self) -> tuple[Factor, ...]:
        return (*self.factors, self.rest)


def factored(roots: Sequence[Node]) -> list[Node]:
    """`roots` with common factors of sums before them."""
    order = toposort(roots)
    asked = looked_at(order)
    forms: dict[Node, Form] = {}
    done: dict[Node, Node] = {}
    for node in order:
        done[node] = written(node, done, forms)
        if node in asked:
            form = of_sum(node, forms) if isinstance(node, Add) else of_product(node, done, forms)
            if form is not None:
                forms[node] = form
                done[node] = joined(form, node.rank) if isinstance(node, Add) else done[node]
    return [done[root] for root in roots]


def looked_at(order: Sequence[Node]) -> set[Node]:
    """Sums of products that stand in a product, and the products of which these are made."""
    inner = {o for e in order if isinstance(e, Einsum) and not e.is_pattern for o in e.operands}
    found: set[Node] = set()
    for node in reversed(order):
        if isinstance(node, Add) and node in inner and all(isinstance(o, Einsum) for o in node.operands):
            found.update([node, *node.operands] if len(node.operands) > 1 else ())
        elif isinstance(node, Einsum) and node in found:
            found.update(o for o in node.operands if isinstance(o, Einsum))
    return found


def written(node: Node, done: Mapping[Node, Node], forms: Mapping[Node, Form]) -> Node:
    """The node over what its operands became; a product over the factors of sums."""
    sums: dict[Node, Form] = {o: forms[o] for o in node.operands if isinstance(o, Add) and o in forms}
    if not isinstance(node, Einsum) or not sums:
        return rebuild(node, [done[o] for o in node.operands])
    factors = opened(node, done, sums)
    return einsum([o for o, _ in factors], [own for _, own in factors], node.out, node.dims)


def opened(e: Einsum, done: Mapping[Node, Node], forms: Mapping[Node, Form]) -> list[Factor]:
    """The factors of a product, in the place of those that have a form the factors of that."""
    found: list[Factor] = []
    for o, own in zip(e.operands, e.labels, strict=True):
        parts = forms[o].all if o in forms else [(done[o], tuple(range(o.rank)))]
        found += [(node, tuple([own[a] for a in axes])) for node, axes in parts]
    return found


def of_product(e: Node, done: Mapping[Node, Node], forms: Mapping[Node, Form]) -> Form | None:
    """The factors that alone carry an axis of a product."""
    if not isinstance(e, Einsum) or len(set(e.out)) < e.rank:
        return None
    factors = opened(e, done, forms)
    carriers = Counter([label for _, own in factors for label in set(own)])
    private = {label for label in e.out if carriers[label] == 1}
    outer = [f for f in factors if private.intersection(f[1]) and set(f[1]) <= set(e.out) and is_plain(f[1])]
    rest = [f for f in factors if f not in outer]
    if not outer:
        return None
    gone = {label for _, own in outer for label in own} & private
    place = {label: n for n, label in enumerate(e.out)}
    out = [label for label in e.out if label not in gone]
    core = einsum([o for o, _ in rest], [own for _, own in rest], out, e.dims)
    return Form(tuple([(o, numbers(own, place)) for o, own in outer]), (core, numbers(out, place)))


def is_plain(labels: Labels) -> bool:
    return len(set(labels)) == len(labels)


def numbers(labels: Sequence[int], place: Mapping[int, int]) -> Labels:
    return tuple([place[label] for label in labels])


def of_sum(a: Add, forms: Mapping[Node, Form]) -> Form | None:
    """What all terms have in common, if it alone carries an axis."""
    if any(o not in forms for o in a.operands):
        return None
    first, *others = [forms[o] for o in a.operands]
    common = [f for f in dict.fromkeys(first.factors) if all(f in other.factors for other in others)]
    rests = [without(common, form) for form in (first, *others)]
    (_, axes), *_ = rests
    if not common or any(own != axes for _, own in rests) or len(axes) == a.rank:
        return None
    terms = [(c, node) for c, (node, _) in zip(a.coefs, rests, strict=True)]
    return Form(tuple(common), (add(terms, tuple([a.shape[n] for n in axes])), axes))


def without(common: Sequence[Factor], form: Form) -> Factor:
    """A form but for some of its factors, each taken once."""
    left = list(form.factors)
    for factor in common:
        left.remove(factor)
    if not left:
        return form.rest
    out = tuple(sorted({axis for _, own in (*left, form.rest) for axis in own}))
    parts = (*left, form.rest)
    return einsum([o for o, _ in parts], [own for _, own in parts], out), out


def joined(form: Form, rank: int) -> Node:
    return einsum([o for o, _ in form.all], [own for _, own in form.all], range(rank))
