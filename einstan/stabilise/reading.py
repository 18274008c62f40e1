"""reading: what the laws of stable forms look for in a formula: exponents, pairs of terms, factors."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..ir import Add, Call, Coef, Einsum, Labels, Node, Prim, add, einsum, ones, pattern, split, times, zeros
from ..prims.linalg import DET
from ..prims.scalar import ABS, EXP, EXPM1, LOG, POWER, like
from ..rules import base_and_exponent, number_of, root, root_and_exponent

Terms = list[tuple[Coef, Node]]
MINUS = Coef(Fraction(-1))


def argument(node: Node, prim: object) -> Node | None:
    """x, if the node is prim(x)."""
    return node.operands[0] if isinstance(node, Call) and node.prim is prim else None


def exponent(node: Node) -> Node | None:
    """u, if the node is exp(u), 1 = exp(0), or a power 2^z = exp(z log(2)) of a number."""
    if node is ones(node.shape):
        return zeros(node.shape)
    if isinstance(node, Call) and node.prim is POWER:
        base, z = node.operands
        number = number_of(base)
        return times(z, LOG(like(z, number))) if number is not None and number > 0 else None
    return argument(node, EXP)


def exponent_of_product(e: Einsum) -> Node | None:
    """u1 + u2 + .. over all labels of e in the order of `e.dims`, if its operands are exp(u1), exp(u2), .."""
    found = [exponent(o) for o in e.operands]
    if not found or any(u is None for u in found) or any(len(set(own)) < len(own) for own in e.labels):
        return None
    every, dims = tuple(e.dims), e.dims
    terms = [pattern(u, own, every, dims) for u, own in zip(found, e.labels, strict=True) if u is not None]
    return add([(1, u) for u in terms], tuple(dims.values()))


def two_exponents(node: Node, sign: int) -> tuple[Node, Node] | None:
    """(u, v), if the node is exp(u) + sign exp(v)."""
    if sign < 0 and (u := argument(node, EXPM1)) is not None:
        return u, zeros(node.shape)
    if not isinstance(node, Add) or [c.rational * sign for c in node.coefs] != [sign, 1]:
        return None
    u, v = (exponent(o) for o in node.operands)
    return None if u is None or v is None or any(c.sizes for c in node.coefs) else (u, v)


def two_terms(a: Add, prim: Prim) -> tuple[Coef, Coef, Node] | None:
    """(c, d, x), if the sum is c + d prim(x)."""
    coefs = {o: c for c, o in a.terms}
    call = next((o for o in a.operands if argument(o, prim) is not None), None)
    one = coefs.get(ones(a.shape))
    return None if call is None or one is None or len(a.operands) != 2 else (one, coefs[call], call.operands[0])


def as_pattern(node: Node) -> tuple[Node, Labels, Labels]:
    """(x, own, out) with node[out] = x[own]: what the node shows, and how."""
    if isinstance(node, Einsum) and node.is_pattern and node.operands:
        return node.operands[0], node.labels[0], node.out
    every = tuple(range(node.rank))
    return node, every, every


def over_last(prim: Prim, z: Node, own: Labels, out: Labels) -> Node:
    """The primitive along the labels of z that `out` lacks, shown as `out` (or as all, out's first)."""
    lead = tuple(label for label in own if label in out)
    along = tuple(label for label in own if label not in out)
    y = prim(pattern(z, own, lead + along, {}), params=(len(along),))
    return pattern(y, lead, out, {}) if y.rank == len(lead) else pattern(y, lead + along, own, {})


def opposite(c: Coef, x: Node) -> tuple[Coef, Node]:
    """-c x as the term that a sum holds."""
    inner, core = split(x)
    return c * inner * MINUS, core


def without(a: Add, *terms: tuple[Coef, Node]) -> Terms | None:
    """The other terms, if the sum has these."""
    rest = [t for t in a.terms if t not in terms]
    return rest if len(rest) == len(a.terms) - len(terms) else None


def place(e: Einsum, node: Node, labels: Labels) -> int | None:
    """Where the operand `node` stands over exactly these labels."""
    return next((k for k, (o, ls) in enumerate(e.factors) if o is node and ls == labels), None)


def replace_two(e: Einsum, n: int, k: int, nodes: Sequence[Node]) -> Node:
    """The product with operands n and k (over the same labels) replaced by `nodes`."""
    kept = [m for m in range(len(e.operands)) if m not in (n, k)]
    factors = [e.operands[m] for m in kept] + list(nodes)
    labels = [e.labels[m] for m in kept] + [e.labels[n]] * len(nodes)
    return einsum(factors, labels, e.out, e.dims)


class Determinant(NamedTuple):
    """A power of det(matrix). Where the determinant is negative, an `even` one is that of its absolute value; one that
    is `positive` is never negative: it is even, or then nan."""

    matrix: Node
    exponent: Fraction
    even: bool
    positive: bool


def determinant(node: Node) -> Determinant | None:
    """det(A)^q, |det(A)|^q, or powers of such powers."""
    base, q = root_and_exponent(node)
    inner = argument(base, ABS)
    matrix = argument(base if inner is None else inner, DET)
    if matrix is None:
        return None
    first = next_to_root(node)
    even = inner is not None or is_even(first)
    return Determinant(matrix, q, even, even or first.denominator > 1)


def next_to_root(node: Node) -> Fraction:
    """The exponent within all others of powers of powers."""
    base, q = base_and_exponent(node)
    while base is not root(node):
        base, q = base_and_exponent(base)
    return q


def is_even(q: Fraction) -> bool:
    return q.denominator == 1 and q % 2 == 0
