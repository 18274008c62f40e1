"""products: how people write sums and products: the order of factors and terms, signs, squares.

Letters: a Add, f Factor, q exponent.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..ir import Add, Call, Coef, Const, Einsum, Input, Name, Node, raw_sum
from ..prims.scalar import POW
from ..rules import number_of, repeated_axes


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a product that is being written."""

    node: Node
    letters: tuple[str, ...]
    q: Fraction = Fraction(1)


def leaves_of(node: Node) -> bool:
    """Whether anything but a constant stands in the node."""
    return not (isinstance(node, Const) or (isinstance(node, Einsum) and not node.operands))


def reading_order(node: Node) -> tuple[object, ...]:
    """Leaves first, then functions, then sums and products; derivatives before defined names before inputs."""
    kind = 0 if isinstance(node, Input | Name) else 1 if isinstance(node, Call | Const) else 2
    if kind == 0:
        assert isinstance(node, Input | Name)
        return kind, not node.name.startswith("∂"), not isinstance(node, Name), node.name
    named = sorted(o.name for o in node.operands if isinstance(o, Input | Name))
    return kind, tuple(named), node.digest


def term_order(term: tuple[Coef, Node]) -> tuple[object, ...]:
    """Positive terms first, numbers before the rest, what is repeated along axes last."""
    coef, node = term
    return (coef.rational < 0, bool(leaves_of(node)), len(repeated_axes(node)), *reading_order(node))


def first_coef(a: Node) -> Fraction:
    """The coefficient of the term that is read first."""
    assert isinstance(a, Add)
    return min(a.terms, key=lambda t: (bool(leaves_of(t[1])), *reading_order(t[1])))[0].rational


def orientation(node: Node) -> int:
    """-1 where a person would write the negative of the node: p (p - 1) is better -p (1 - p)."""
    operands = node.operands if isinstance(node, Einsum) else (node,)
    sums = [o for o in operands if is_sum(o)]
    return -1 if sum(first_coef(a) < 0 for a in sums) % 2 else 1


def is_sum(node: Node) -> bool:
    return isinstance(node, Add) and len(node.operands) > 1


def is_difference(a: Node) -> bool:
    """Whether the sum reads as well when turned: some term is negative, and none is a number."""
    assert isinstance(a, Add)
    return any(c.rational < 0 for c in a.coefs) and all(leaves_of(o) for o in a.operands)


def turn(coef: Coef, factors: list[Factor], n: int) -> tuple[Coef, list[Factor]]:
    """c (a - b) as -c (b - a)."""
    f = factors[n]
    turned = Factor(multiplied(f.node, Coef(Fraction(-1))), f.letters, f.q)
    return coef * Coef(Fraction(-1) ** int(f.q)), [*factors[:n], turned, *factors[n + 1 :]]


def multiplied(a: Node, coef: Coef) -> Node:
    """coef a with every term multiplied: the sum as it is written, outside the normal form."""
    assert isinstance(a, Add)
    return raw_sum([c * coef for c in a.coefs], a.operands, a.shape)


def absorbed(coef: Coef, factors: list[Factor]) -> tuple[Coef, list[Factor]]:
    """0.001 (1 + 1000 v) as 0.001 + v: the coefficient goes into a sum where that leaves fewer."""
    places_ = [n for n, f in enumerate(factors) if is_sum(f.node) and f.q == 1]
    if len(places_) != 1 or abs(coef.rational) == 1:
        return coef, factors
    f = factors[places_[0]]
    inside = multiplied(f.node, Coef(abs(coef.rational)))
    if explicit(inside) >= explicit(f.node) + 1:
        return coef, factors
    sign = Coef(Fraction(1 if coef.rational > 0 else -1), coef.sizes)
    return sign, [Factor(inside, f.letters) if g is f else g for g in factors]


def explicit(a: Node) -> int:
    """How many numbers a reader sees in front of the terms."""
    assert isinstance(a, Add)
    return sum(abs(c.rational) != 1 for c, o in a.terms if leaves_of(o))


def as_power(f: Factor) -> Factor:
    if isinstance(f.node, Call) and f.node.prim is POW:
        (q,) = f.node.params
        assert isinstance(q, Fraction)
        return Factor(f.node.operands[0], f.letters, q)
    return f


def merged_powers(factors: list[Factor]) -> list[Factor]:
    """x x^2 as x^3, and √2 √2 as 2; x / x stays, √x √x, which has no value below 0, and A[I,I] A[I,I]."""
    found: dict[tuple[object, ...], Factor] = {}
    for n, f in enumerate(factors):
        able = f.q.denominator == 1 or isinstance(f.node, Const) or (number_of(f.node) or 0) > 0
        key = (f.node, f.letters, f.q > 0) if able and len(set(f.letters)) == len(f.letters) else (n,)
        found[key] = Factor(f.node, f.letters, f.q + (found[key].q if key in found else 0))
    return list(found.values())


def spread_squares(factors: list[Factor], capitals: list[str]) -> list[Factor]:
    """x[I]^2 as x[I] x[I] where that sums I, and no capital that is open."""
    single = [x for x in capitals if places(factors, x) == 1]
    written = []
    for f in factors:
        closed = all(x in capitals or x[0].islower() for x in f.letters)
        square = f.q == 2 and closed and any(x in single for x in f.letters)
        written.extend([Factor(f.node, f.letters)] * 2 if square else [f])
    return written


def symmetric(factors: list[Factor], letters: tuple[str, ...]) -> list[Factor]:
    """x[A,i] x[A,j] p[A] as x[A,i] p[A] x[A,j]: a factor that stands there with another free letter goes to the end."""
    shown = [set(f.letters) & set(letters) if f.q == 1 else set[str]() for f in factors]
    for n, f in enumerate(factors):
        for g, own in zip(factors[:n], shown, strict=False):
            if g.node is f.node and own and shown[n] and set(f.letters) & set(g.letters) - set(letters):
                return [*factors[:n], *factors[n + 1 :], f]
    return factors


def places(factors: list[Factor], letter: str) -> int:
    return sum(f.letters.count(letter) if isinstance(f.node, Input | Name) else letter in f.letters for f in factors)


def axes_called(f: Factor, letter: str) -> list[int]:
    return [n for n, x in enumerate(f.letters) if x == letter]
