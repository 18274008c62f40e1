"""symmetric: whether a node is its own transpose by its form: X[i,K] X[j,K], exp(-(x[i] - x[j])^2), sums of such.

Two axes are exchanged from the leaves up, through the constructors; the node is symmetric where that gives it again.
What no constructor sees to be the same is not symmetric, though its value may be.
"""

from __future__ import annotations

from fractions import Fraction

from .ir import Add, Call, Einsum, Node, add, call, einsum, pattern
from .prims.linalg import INV
from .prims.reduce import REDUCE
from .prims.scalar import POW, power
from .recursion import Recursive, run

Memo = dict[tuple[Node, int, int], Node]


def is_symmetric(node: Node) -> bool:
    """Whether the last two axes may be exchanged."""
    if node.shape[-1] != node.shape[-2]:
        return False
    return run(exchanged(node, node.rank - 2, node.rank - 1, {})) is node


def exchanged(node: Node, a: int, b: int, memo: Memo) -> Recursive[Node]:
    """The node with the axes a and b exchanged."""
    if (node, a, b) not in memo:
        memo[node, a, b] = yield made(node, a, b, memo)
    return memo[node, a, b]


def made(node: Node, a: int, b: int, memo: Memo) -> Recursive[Node]:
    if isinstance(node, Einsum) and node.out.count(node.out[a]) == node.out.count(node.out[b]) == 1:
        return of_product(node, node.out[a], node.out[b], memo)
    if isinstance(node, Add) or (isinstance(node, Call) and passes(node, a, b)):
        return of_operands(node, a, b, memo)
    return turned(node, a, b)


def passes(y: Call, a: int, b: int) -> bool:
    """Whether exchanging two axes is exchanging them in all operands."""
    if y.prim is INV:
        return max(a, b) < y.rank - 2 or min(a, b) >= y.rank - 2
    n = y.params[0] if y.prim.name in REDUCE else None
    return y.prim.entrywise or (isinstance(n, int) and max(a, b) < y.operands[0].rank - n)


def of_product(e: Einsum, i: int, j: int, memo: Memo) -> Recursive[Node]:
    """The labels i and j exchanged in all factors; a factor that has both is exchanged itself."""
    names = {i: j, j: i}
    factors, labels = [], []
    for factor, own in e.factors:
        if own.count(i) == own.count(j) == 1:
            factor = yield exchanged(factor, own.index(i), own.index(j), memo)
        else:
            own = tuple(names.get(label, label) for label in own)
        factors.append(factor)
        labels.append(own)
    return einsum(factors, labels, e.out, e.dims)


def of_operands(node: Add | Call, a: int, b: int, memo: Memo) -> Recursive[Node]:
    operands = []
    for o in node.operands:
        operands.append((yield exchanged(o, a, b, memo)))
    if isinstance(node, Add):
        shape = list(node.shape)
        shape[a], shape[b] = shape[b], shape[a]
        return add(zip(node.coefs, operands, strict=True), tuple(shape))
    if node.prim is POW:
        (q,) = node.params
        assert isinstance(q, Fraction)
        return power(operands[0], q)
    return call(node.prim, operands, node.params)


def turned(node: Node, a: int, b: int) -> Recursive[Node]:
    """Of what is not looked into: a transposition."""
    yield from ()
    axes = list(range(node.rank))
    axes[a], axes[b] = b, a
    return pattern(node, range(node.rank), axes, {})
