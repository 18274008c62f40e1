"""blocks: a product with a concatenation, block by block, where that moves less memory than joining; and the reverse,
products with all parts of an array as the parts of one product, which BLAS does faster.

Laws (h, x the parts of C along k, W_h, W_x the parts of the other operands):
- k summed: Σ_k C[b,k] W[k,j] = Σ_k h[b,k] W_h[k,j] + Σ_k x[b,k] W_x[k,j];
- k in the output: C[b,k] D[b,j] -> [k,j] is h[b,k] D[b,j] joined to x[b,k] D[b,j] along k.
- k in the output: D[b,j] part(W)[j,k] = part(D W)[b,k], if all parts along k are asked for.
A part that is zero costs nothing. Either all users of a concatenation take the blocks, or it is joined once for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Final, NamedTuple

from ..dims import Dim, Env, total
from ..ir import Call, Einsum, Node, add, einsum, inline, is_zero, rebuild, toposort, zeros
from ..prims.shape import concat, part
from .facts import users

DEEP: Final = 64  # terms of the sums from which on one product pays for the copies of its parts
STEP: Final = 4000  # entries whose movement costs as much as one more step of numpy


def take_blocks(roots: Sequence[Node], env: Env) -> list[Node]:
    """`roots` with the products of concatenations and of parts as they are cheapest."""
    return whole_products(in_cheap_blocks(roots, env), env)


# ---------------------------------------------------------------- concatenations


def in_cheap_blocks(roots: Sequence[Node], env: Env) -> list[Node]:
    """`roots` with the products of the concatenations that are better not joined written in blocks."""
    order = list(toposort(roots))
    joins = [n for n in order if isinstance(n, Call) and n.prim.name == "concat" and n not in roots]
    if not joins:
        return list(roots)
    held = users(order)
    opened = {c for c in joins if cheaper_open(c, held[c], env)}
    done: dict[Node, Node] = {}
    for node in order:
        operands = [done[o] for o in node.operands]
        inside = [k for k, o in enumerate(node.operands) if o in opened]
        if isinstance(node, Einsum) and len(inside) == 1:
            done[node] = in_blocks(node, operands, inside[0])
        else:
            done[node] = rebuild(node, operands)
    return [done[root] for root in roots]


def cheaper_open(c: Call, held: Sequence[Node], env: Env) -> bool:
    """Whether every user can take blocks, and all of them together move less than the joined array."""
    if not held or not all(openable(e, c) for e in held):
        return False
    solid = sum(not is_zero(p) for p in c.operands)
    cost = 0
    for e in held:
        assert isinstance(e, Einsum)
        cost += (solid - 1) * (STEP + (3 * entries(e, env) if joined_label(e, c) not in e.out else 0))
    return cost < 2 * entries(c, env)


def entries(node: Node, env: Env) -> int:
    return prod([d.at(env) for d in node.shape])


def openable(e: Node, c: Call) -> bool:
    """A product that holds c once, no other concatenation, and its joined label once."""
    if not isinstance(e, Einsum) or e.is_pattern or e.operands.count(c) != 1:
        return False
    if any(isinstance(o, Call) and o.prim.name == "concat" for o in e.operands if o is not c):
        return False
    label = joined_label(e, c)
    return all(own.count(label) <= 1 for own in (*e.labels, e.out))


def joined_label(e: Einsum, c: Call) -> int:
    return e.labels[e.operands.index(c)][axis_of(c)]


def axis_of(c: Call) -> int:
    axis = c.params[0]
    assert isinstance(axis, int)
    return axis


def in_blocks(e: Einsum, operands: Sequence[Node], place: int) -> Node:
    """The product e, whose operand at `place` is a concatenation, as a sum or a concatenation of its blocks."""
    c = operands[place]
    if not isinstance(c, Call) or c.prim.name != "concat":  # it became something simpler below
        return rebuild(e, operands)
    label = e.labels[place][axis_of(c)]
    blocks, low = [], Dim.of(0)
    for piece in c.operands:
        high = low + piece.shape[axis_of(c)]
        blocks.append(block(e, operands, place, piece, (label, low, high)))
        low = high
    if label in e.out:
        return concat(blocks, e.out.index(label))
    return add([(1, b) for b in blocks], e.shape)


def block(e: Einsum, operands: Sequence[Node], place: int, piece: Node, stretch: tuple[int, Dim, Dim]) -> Node:
    """The product with one piece of the concatenation and the same stretch of everything else."""
    label, low, high = stretch
    if is_zero(piece):
        return zeros(tuple(total([high, low * -1]) if x == label else d for x, d in zip(e.out, e.shape, strict=True)))
    cut: list[Node] = []
    for k, (o, own) in enumerate(zip(operands, e.labels, strict=True)):
        inside = k != place and label in own
        cut.append(piece if k == place else part(o, own.index(label), low, high) if inside else o)
    sizes: Mapping[int, Dim] = dict(e.sizes)
    return einsum(cut, e.labels, e.out, sizes)


# ---------------------------------------------------------------- parts


class Stretch(NamedTuple):
    """A product with a part of an array along a label that it keeps, as a part of the product with the whole array."""

    whole: Node
    axis: int
    low: Dim
    high: Dim


def whole_products(roots: Sequence[Node], env: Env) -> list[Node]:
    """`roots` with products with all parts of one array as parts of one product."""
    order = toposort(roots)
    families: dict[tuple[Node, int], dict[Node, Stretch]] = {}
    for node in order:
        found = stretch_of(node, env)
        if found is not None:
            families.setdefault((found.whole, found.axis), {})[node] = found
    taken = {e: s for family in families.values() if is_cover(list(family.values()), env) for e, s in family.items()}
    return inline(roots, {e: part(s.whole, s.axis, s.low, s.high) for e, s in taken.items()})


def stretch_of(e: Node, env: Env) -> Stretch | None:
    """The product over many entries of two arrays, one of which is a part."""
    if not isinstance(e, Einsum) or e.is_pattern or len(e.operands) != 2:
        return None
    dims = e.dims
    if prod([dims[label].at(env) for label in e.summed]) < DEEP:
        return None
    for k, piece in enumerate(e.operands):
        if isinstance(piece, Call) and piece.prim.name == "part":
            axis, low, high = piece.params
            assert isinstance(axis, int) and isinstance(low, Dim) and isinstance(high, Dim)
            label = e.labels[k][axis]
            if e.out.count(label) == 1 and sum(own.count(label) for own in e.labels) == 1:
                operands = [piece.operands[0] if n == k else o for n, o in enumerate(e.operands)]
                return Stretch(einsum(operands, e.labels, e.out, dict(e.sizes)), e.out.index(label), low, high)
    return None


def is_cover(family: Sequence[Stretch], env: Env) -> bool:
    """Whether the stretches are several, and all of the axis, each part of it once."""
    ends = sorted((s.low.at(env), s.high.at(env)) for s in family)
    whole = family[0].whole.shape[family[0].axis].at(env)
    return len(ends) > 1 and ends[0][0] == 0 and ends[-1][1] == whole and all(a[1] == b[0] for a, b in pairwise(ends))
