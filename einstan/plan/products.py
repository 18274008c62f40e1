"""products: Einsum nodes. Patterns are other axes of the same array; the rest goes to `contract`."""

from __future__ import annotations

from functools import partial
from math import prod

from ..ir import Einsum, Node
from .contract import Job, Labels, Term, adjacent, contract, in_order
from .shown import Lowering, Shown, solid
from .values import Number, Value, over, ratio


def lower_einsum(low: Lowering, node: Node) -> Shown:
    assert isinstance(node, Einsum)
    if not node.is_pattern:
        return contracted(low, node)
    if all(o in low.facts.number for o in node.operands):
        return delta(low, node)
    return pattern(low, node)


def pattern(low: Lowering, e: Einsum) -> Shown:
    """The operand's array with its axes shown in other places."""
    operand, (own,) = e.operands[0], e.labels
    s = solid(low, low.shown[operand], operand)
    value, place = diagonal_view(low, s, own)
    c = ratio(low.factor[e], low.factor[operand])
    if c != 1:
        value = low.build.scaled(value, c, low.facts.computed(e))
    return repeated_new(low, e, value, place)


def repeated_new(low: Lowering, e: Einsum, value: Value, place: dict[int, int | None]) -> Shown:
    """A diagonal between axes that the array lacks: it is repeated along one first."""
    new = [label for label in dict.fromkeys(e.out) if e.out.count(label) > 1 and place.get(label) is None]
    if new:
        dims, rank = e.dims, len(value.shape)
        shape = (*value.shape, *(low.facts.size(dims[label]) for label in new))
        view = low.build.index(value, (*((0, d) for d in value.shape), *(None for _ in new)))
        value = low.build.once(("repeated", value, shape), "copy", [view], shape, value.dtype)
        place = place | {label: rank + n for n, label in enumerate(new)}
    return Shown(value, tuple([place.get(label) for label in e.out]))


def delta(low: Lowering, e: Einsum) -> Shown:
    """A number on a diagonal: an array with an axis for each label that repeats."""
    dims = e.dims
    repeated = [label for label in dict.fromkeys(e.out) if e.out.count(label) > 1]
    shape = tuple([low.facts.size(dims[label]) for label in repeated])
    dtype = low.facts.computed(e)
    ones = low.build.once(("ones", shape, dtype), "ones", [], shape, dtype, params=shape)
    number = prod([low.facts.number[o] for o in e.operands], start=low.factor[e])
    if number != 1:
        ones = low.build.scaled(ones, number, dtype)
    place = {label: n for n, label in enumerate(repeated)}
    return Shown(ones, tuple([place.get(label) for label in e.out]))


def diagonal_view(low: Lowering, s: Shown, own: Labels) -> tuple[Value, dict[int, int | None]]:
    """A[i,i,j] as an array over i, j, and the axis of each label. An axis that only repeats takes no part."""
    assert isinstance(s.value, Value)
    label_of = {a: label for label, a in zip(own, s.axes, strict=True) if a is not None}
    labels = tuple([label_of[a] for a in range(len(s.value.shape))])
    distinct = tuple(dict.fromkeys(labels))
    value = s.value if distinct == labels else low.build.diagonal(s.value, labels, distinct)
    place: dict[int, int | None] = dict.fromkeys(own)
    place.update({label: n for n, label in enumerate(distinct)})
    return value, place


def contracted(low: Lowering, e: Einsum) -> Shown:
    """The product of the arrays; axes that only repeat leave it, and count as sizes where they are summed."""
    dims = e.dims
    terms, factor = operands(low, e)
    carried = {label for _, own in terms for label in own}
    for label, d in dims.items():
        if label not in carried and label not in e.out:
            factor = factor * low.facts.size(d)
    out = tuple([label for label in e.out if label in carried])
    number = canonical(terms)
    key = (
        tuple([(v, tuple([number[x] for x in own])) for v, own in terms]),
        frozenset([number[x] for x in out]),
        factor,
    )
    found = low.products.get(key)
    if found is None:
        sizes = {label: low.facts.size(d) for label, d in dims.items()}
        target = low.target(e) if out == e.out else None
        copies = partial(copied_after, low, e)
        job = Job(low.build, out, sizes, low.facts.computed(e), target, dims, factor, copies)
        value, labels = contract(job, terms)
        found = Term(value, tuple([number[x] for x in labels]))
        if e not in low.bases:  # onto which diagonals are added
            low.products[key] = found
    place = {n: axis for axis, n in enumerate(found.labels)}
    return Shown(found.value, tuple([place[number[x]] if x in carried else None for x in e.out]))


# ---------------------------------------------------------------- in which order a product lies


def copied_after(low: Lowering, e: Einsum, order: Labels) -> int:
    """How many entries the products with e copy if its axes lie in this order; transposes are looked through."""
    total, waiting = 0, [(e, tuple([e.out.index(label) for label in order]))]
    while waiting:
        node, axes = waiting.pop()
        for user in dict.fromkeys(low.facts.users[node]):
            if not isinstance(user, Einsum):
                continue
            for k in [k for k, o in enumerate(user.operands) if o is node]:
                own = tuple([user.labels[k][a] for a in axes])
                if user.is_pattern and len(set(own)) == len(own) == user.rank:
                    waiting.append((user, tuple([user.out.index(label) for label in own])))
                elif len(user.operands) == 2:
                    total += copied_for(low, user, k, own)
    return total


def copied_for(low: Lowering, user: Einsum, k: int, own: Labels) -> int:
    """The entries of operand k or of the other that this product copies if operand k lies in the order `own`."""
    other = user.operands[1 - k]
    theirs = lying(low, other, user.labels[1 - k])
    summed = tuple([x for x in own if x in theirs and x not in user.out])
    alone = tuple([x for x in own if x not in theirs])
    if not summed:
        return 0
    if not (adjacent(summed, own) and adjacent(alone, own)):
        return low.facts.count(user.operands[k])
    fits = other not in low.shown or adjacent(summed, theirs) or not adjacent(in_order(summed, theirs), theirs)
    return 0 if fits else min(low.facts.count(o) for o in user.operands)


def lying(low: Lowering, node: Node, labels: Labels) -> Labels:
    """The labels of a node in the order in which its array lies, as far as that is known."""
    s = low.shown.get(node)
    if s is None or not isinstance(s.value, Value) or s.is_diagonal:
        return labels
    return tuple([labels[s.axes.index(a)] for a in range(len(s.value.shape))])


def canonical(terms: list[Term]) -> dict[int, int]:
    """Labels by first appearance, so that products that differ by a transpose have one key."""
    number: dict[int, int] = {}
    for _, own in terms:
        for label in own:
            number.setdefault(label, len(number))
    return number


def operands(low: Lowering, e: Einsum) -> tuple[list[Term], Number]:
    """The arrays, x twice for a summed x², and the number that multiplies their product."""
    factor: Number = low.factor[e]
    terms: list[Term] = []
    for operand, own, multiple in zip(e.operands, e.labels, low.wanted[e], strict=True):
        times = 1
        if operand in low.squares:
            operand, times, multiple = operand.operands[0], 2, low.factor[operand.operands[0]]
        s = low.shown[operand]
        factor = over(factor, multiple**times)
        if isinstance(s.value, Value):
            terms += [term_of(low, low.multiple(operand, multiple), own, operand)] * times
        else:
            factor = factor * s.value
    return terms, factor


def term_of(low: Lowering, s: Shown, own: Labels, node: Node) -> Term:
    """The array with a label for each of its axes; a label that repeats is its diagonal."""
    value, place = diagonal_view(low, solid(low, s, node), own)
    by_axis = {n: label for label, n in place.items() if n is not None}
    return Term(value, tuple([by_axis[n] for n in range(len(value.shape))]))
