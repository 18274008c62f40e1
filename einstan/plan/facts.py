"""facts: what is known of every node under given sizes and dtypes: shape, dtype, and its number if it is constant."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..backends.numpy import FOLD, REDUCTIONS
from ..dims import Dim, Env
from ..errors import EinstanShapeError
from ..ir import Add, Call, Coef, Const, Einsum, Input, Node, toposort, uses_in
from .dtypes import STRUCTURAL, DType, Promotion, default_float, dtype_of, inexact, physical, promote
from .values import Exact, Number, as_float, exact

NONEMPTY = frozenset({"amax", "amin", "softmax", "log_softmax"})
CONSTANTS = {"pi": math.pi}


class Facts:
    """Tables over every node below the roots; a pass of the planner, made once and then only read."""

    def __init__(
        self,
        roots: Sequence[Node],
        env: Env,
        dtypes: Mapping[str, DType],
        beside: Sequence[DType] = (),
        promotion: Promotion = promote,
        first: Sequence[Node] = (),
    ) -> None:
        self.env = env
        self.roots = tuple(roots)
        self.default = default_float([*dtypes.values(), *beside])
        self.order = starting(first, roots)
        self.uses = uses_in(self.order, roots)
        self.users = users(self.order)
        self.shape: dict[Node, tuple[int, ...]] = {}
        self.dtype: dict[Node, DType | None] = {}
        self.number: dict[Node, Number] = {}
        self.fractional: set[Node] = set()  # constants that are not known to be integers
        self._sizes: dict[Dim, int] = {}
        for node in self.order:
            self.shape[node] = self.sizes(node.shape)
            value = fold(node, self)
            if value is not None:
                self.number[node] = value
            self.dtype[node] = dtype_of(node, self.dtype, dtypes, self.coef, promotion)
            if any(o in self.fractional for o in node.operands):
                self.dtype[node] = inexact(self.dtype[node])
            if self.dtype[node] is None and is_fractional(node, self):
                self.fractional.add(node)
            if isinstance(node, Call) and node.prim.name in NONEMPTY:
                check_nonempty(node, self)

    def size(self, d: Dim) -> int:
        found = self._sizes.get(d)
        if found is None:
            found = self._sizes[d] = d.at(self.env)
            if found < 0:
                raise EinstanShapeError(f"An axis would have the size {found} ({d}).", "Check the bounds of the parts.")
        return found

    def sizes(self, shape: Sequence[Dim]) -> tuple[int, ...]:
        return tuple([self.size(d) for d in shape])

    def count(self, node: Node) -> int:
        """How many entries the node has."""
        return math.prod(self.shape[node])

    def coef(self, c: Coef) -> Exact:
        """The coefficient as a number, an int if it is one."""
        try:
            return exact(c.at(self.env) if c.sizes else c.rational)
        except ZeroDivisionError:
            raise EinstanShapeError("The mean over an empty axis is not defined.", "Give that axis a size.") from None

    def computed(self, node: Node) -> DType:
        """The dtype that the node is computed in."""
        found = self.dtype[node]
        return physical(self.default if found is None else found)


def starting(first: Sequence[Node], roots: Sequence[Node]) -> list[Node]:
    """The nodes below the roots, each after its operands, in an order that begins with those of `first`."""
    below = toposort(roots)
    if not first:
        return below
    kept = set(below)
    return [node for node in toposort([*first, *roots]) if node in kept]


def users(order: Sequence[Node]) -> dict[Node, list[Node]]:
    """Who holds each node as an operand, once per place."""
    found: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for operand in node.operands:
            found[operand].append(node)
    return found


def scatters(node: Node) -> bool:
    """Whether the node has entries on a diagonal and zeros beside it."""
    return isinstance(node, Einsum) and len(set(node.out)) < len(node.out)


def base(a: Node, facts: Facts) -> int | None:
    """The place of the term of a sum onto which all others, which are diagonals, are added where it stands."""
    if not isinstance(a, Add):
        return None
    plain = [k for k, o in enumerate(a.operands) if not scatters(o)]
    if len(plain) != 1 or len(a.operands) == 1:
        return None
    (k,) = plain
    o = a.operands[k]
    return k if facts.uses[o] == 1 and not isinstance(o, Input) and o not in facts.number else None


def is_fractional(node: Node, facts: Facts) -> bool:
    """Whether a constant may be no integer."""
    if node in facts.number:
        found = facts.number[node]
        return not found.is_integer() if isinstance(found, float) else found.denominator != 1
    if any(o in facts.fractional for o in node.operands):
        return True
    if isinstance(node, Add):
        return any(facts.coef(c).denominator != 1 for c in node.coefs)
    return isinstance(node, Call) and node.prim.name not in STRUCTURAL


def check_nonempty(y: Call, facts: Facts) -> None:
    shape = facts.shape[y.operands[0]]
    if 0 in shape[len(shape) - axes_along(y) :]:
        raise EinstanShapeError(f"The {y.prim.name} over an empty axis is not defined.", "Give that axis a size.")


# ---------------------------------------------------------------- constants


def fold(node: Node, facts: Facts) -> Number | None:
    """The number that every entry of the node is, if that is known without data."""
    if any(o not in facts.number for o in node.operands):
        return None
    for kind, rule in FOLDS.items():
        if isinstance(node, kind):
            return rule(node, facts)
    return None


def fold_const(node: Const, facts: Facts) -> Number:
    return CONSTANTS[node.name]


def fold_einsum(e: Einsum, facts: Facts) -> Number | None:
    """No repeated label in the output: a delta is no number."""
    if len(set(e.out)) < len(e.out):
        return None
    dims = e.dims
    factors = [facts.number[o] for o in e.operands] + [facts.size(dims[label]) for label in e.summed]
    return math.prod(of_one_kind(factors), start=1)


def fold_add(a: Add, facts: Facts) -> Number:
    terms = [math.prod(of_one_kind([facts.coef(c), facts.number[o]])) for c, o in a.terms]
    return sum(of_one_kind(terms), start=0)


def of_one_kind(numbers: Sequence[Number]) -> Sequence[Number]:
    """All exact, or all floats."""
    return [as_float(c) for c in numbers] if any(isinstance(c, float) for c in numbers) else numbers


def fold_call(y: Call, facts: Facts) -> Number | None:
    rule = FOLD.get(y.prim.name)
    if rule is None:
        return None
    shape, entries = facts.shape[y.operands[0]], 1
    if y.prim.name in REDUCTIONS:
        entries = math.prod(shape[len(shape) - axes_along(y) :])
    return rule([as_float(facts.number[o]) for o in y.operands], y.params, entries)


def axes_along(y: Call) -> int:
    """How many axes a reduction works on: the last ones of its argument."""
    n = y.params[0]
    assert isinstance(n, int)
    return n


FOLDS: dict[type[Node], Callable[[Any, Facts], Number | None]] = {
    Const: fold_const,
    Einsum: fold_einsum,
    Add: fold_add,
    Call: fold_call,
}
