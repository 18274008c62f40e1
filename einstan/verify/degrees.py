"""degrees: how many points of the field could hide a difference: upper bounds for the degrees of rational functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import prod
from typing import Final

from ..dims import Env
from ..ir import Add, Call, Einsum, Node, toposort
from ..prims.scalar import POW

RATIONAL = frozenset(("concat", "part", "prod", "inv", "det", "solve", "tril", "opaque"))
MATRICES = frozenset(("inv", "det", "solve"))
SHAPING = frozenset(("concat", "part", "tril"))
HOLDING = frozenset("relu abs max min where amax amin prod log_softmax unit".split())
OF_FUNCTION: Final = 4  # at most, of numerator and denominator: tan is sin / cos of the tangent of half the angle


def is_rational(nodes: Iterable[Node]) -> bool:
    """Whether a difference modulo the prime is a difference: no function but unknown ones."""
    return all(not isinstance(n, Call) or n.prim.name in RATIONAL or is_whole(n) for n in toposort(nodes))


def is_whole(n: Call) -> bool:
    q = n.params[0] if n.prim.name == "pow" else None
    return isinstance(q, Fraction) and q.denominator == 1


def hiding(a: Node, b: Node, env: Env) -> int:
    """At most so many values of one variable, of all that there are, make different nodes equal, or different arguments
    of a function."""
    degrees, nodes = Degrees(env), toposort([a, b])
    for node in nodes:
        degrees.add(node)
    called = [
        n for n in nodes if isinstance(n, Call) and (n.prim.entrywise or n.prim.name not in RATIONAL - {"opaque"})
    ]
    arguments = sum(degrees.entries(o) for n in called for o in n.operands)
    highest = max((degrees.total(o) for n in called for o in n.operands), default=0)
    return degrees.entries(a) * (degrees.total(a) + degrees.total(b)) + arguments**2 * 2 * highest


class Degrees:
    """Upper bounds for the degrees of entries, which are rational in the inputs and in random values of functions.

    The denominator of a node is a product of powers of atoms (`below`): sums have their common one, so that it does not
    grow where terms share it. `excess` is the degree of the numerator over that of the denominator.
    """

    def __init__(self, env: Env) -> None:
        self.env = env
        self.excess: dict[Node, int] = {}
        self.below: dict[Node, Mapping[Node, int]] = {}
        self.weight: dict[Node, int] = {}  # of an atom: the degree of all its entries together

    def entries(self, node: Node) -> int:
        return prod(d.at(self.env) for d in node.shape)

    def denominator(self, node: Node) -> int:
        return sum(n * self.weight[atom] for atom, n in self.below[node].items())

    def total(self, node: Node) -> int:
        return self.excess[node] + 2 * self.denominator(node)

    def add(self, node: Node) -> None:
        self.excess[node], self.below[node] = self.of(node)

    def of(self, node: Node) -> tuple[int, Mapping[Node, int]]:
        excess = [self.excess[o] for o in node.operands]
        below = [self.below[o] for o in node.operands]
        match node:
            case Einsum():
                return sum(excess), powers_added(below)
            case Call() if node.prim is POW and is_whole(node):
                return self.of_power(node)
            case Call() if node.prim.name == "opaque":
                return 1, {}
            case Call() if node.prim.name not in SHAPING:
                return self.of_function(node)
            case Add() | Call():
                return max(excess, default=0), powers_shared(below)
            case _:
                return 1, {}

    def of_function(self, node: Call) -> tuple[int, Mapping[Node, int]]:
        """Of its own value, and of the arguments that it holds: relu(x) is x step(x), a determinant a product."""
        matrix = node.prim.name in MATRICES
        n = max([1, *(self.entries(o) // max(1, self.entries(node)) for o in node.operands)])
        n = node.operands[0].shape[-1].at(self.env) if matrix else n
        degree = n * max(map(self.total, node.operands)) if matrix else OF_FUNCTION * n
        self.weight[node] = degree * self.entries(node)
        held = node.operands if matrix or node.prim.name in HOLDING else ()
        below = powers_added([self.below[o] for o in held] * n)
        return degree + n * sum(self.excess[o] for o in held), {**below, node: 1}

    def of_power(self, node: Call) -> tuple[int, Mapping[Node, int]]:
        (q,), (x,) = node.params, node.operands
        assert isinstance(q, Fraction)
        k = abs(q.numerator)
        if q > 0:
            return k * self.excess[x], powers_added([self.below[x]] * k)
        self.weight[x] = self.entries(x) * (self.excess[x] + self.denominator(x))
        return k * self.denominator(x), {x: k}


def powers_added(factors: Iterable[Mapping[Node, int]]) -> Mapping[Node, int]:
    found: dict[Node, int] = {}
    for powers in factors:
        for atom, n in powers.items():
            found[atom] = found.get(atom, 0) + n
    return found


def powers_shared(terms: Iterable[Mapping[Node, int]]) -> Mapping[Node, int]:
    found: dict[Node, int] = {}
    for powers in terms:
        for atom, n in powers.items():
            found[atom] = max(found.get(atom, 0), n)
    return found
