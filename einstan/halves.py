"""halves: Σ_a X[a,i] d[a] X[a,j], d of one sign, as ± Rᵀ R with R[a,i] = √|d[a]| X[a,i].

A matrix times its own transpose is computed on one side of the diagonal and mirrored. Laws: the values stay, up to
rounding, where all numbers are real; integers are left alone, whose roots are none; what is mirrored costs less than
what is saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Final

from .definite import Factor, Known, Mirrored, multiplied
from .dims import Dim, Env
from .ir import Add, Call, Einsum, Node, rebuild, scale, toposort
from .prims.scalar import ABS, HALF, POW, power
from .prims.shape import SHAPE

ROWS: Final = 64  # of the result, from which on it pays
SUMMED: Final = 512  # entries that are summed: to mirror an entry takes as long as that many products


def halved(roots: Sequence[Node], env: Env) -> list[Node]:
    """`roots`, with symmetric products as a matrix and its own transpose.

    >>> from einstan.dims import Dim
    >>> from einstan.ir import einsum, input_
    >>> from einstan.prims.scalar import EXP
    >>> a, i = Dim.symbol("a"), Dim.symbol("i")
    >>> x, d = input_("X", (a, i)), EXP(input_("z", (a,)))
    >>> (h,) = halved([einsum([x, x, d], ["ai", "aj", "a"], "ij")], {"a": 1000, "i": 100})
    >>> h.operands[0] is h.operands[1]
    True
    """
    nodes = toposort(roots)
    if any(d.at(env) == 0 for d in sizes(nodes)):  # intervals are those of axes that are not empty
        return list(roots)
    done: dict[Node, Node] = {}
    known = Known(roots, {})
    for node in nodes:
        done[node] = halved_product(rebuild(node, [done[o] for o in node.operands]), known, env)
    return [done[root] for root in roots]


def sizes(nodes: Sequence[Node]) -> set[Dim]:
    """Those of axes, and of axes that are summed over in coefficients."""
    found = {d for node in nodes for d in node.shape}
    return found | {d for node in nodes if isinstance(node, Add) for coef in node.coefs for d, _ in coef.sizes}


def halved_product(node: Node, known: Known, env: Env) -> Node:
    if not isinstance(node, Einsum) or len(node.operands) < 3 or len(set(node.operands)) == len(node.operands):
        return node
    if node.rank % 2 or node.shape[: node.rank // 2] != node.shape[node.rank // 2 :] or not is_large(node, env):
        return node
    found = known.mirrored(node)
    if found is None:
        return node
    sign, way = found
    roots = square_roots(way, known)
    if roots is None or any(way.partner[l] == l for l in way.rows) or has_inner_sums(way):
        return node
    axes = (*[l for l in way.between if any(l in own for _, own in way.half)], *way.rows)
    half = multiplied([*way.half, *roots], axes, way.dims)
    columns = way.of_columns(way.rows)
    return scale(sign, multiplied([(half, axes), (half, way.of_columns(axes))], (*way.rows, *columns), way.dims))


def is_large(e: Einsum, env: Env) -> bool:
    """Whether the product has enough rows, and sums over enough, for half the flops to be worth a mirror."""
    dims = e.dims
    rows = prod([d.at(env) for d in e.shape[: e.rank // 2]])
    return rows >= ROWS and prod([dims[l].at(env) for l in e.summed]) >= SUMMED


def has_inner_sums(way: Mirrored) -> bool:
    """Whether B is itself a sum of products, which another order may take in another way."""
    return any(way.partner[l] != l and l not in way.rows for _, own in way.half for l in own)


# ---------------------------------------------------------------- square roots


def square_roots(way: Mirrored, known: Known) -> list[Factor] | None:
    """Factors whose squares make |d|; None where there is no d, or no real root of it."""
    carried = {l for _, own in way.half for l in own}
    roots: list[Factor] = []
    rest: list[Factor] = []
    for (node, own), n in Counter(way.middle).items():
        root = whole_root(node, n) if carried.issuperset(own) else None
        if root is not None:
            roots.append((root, own))
        else:
            rest += [(node, own)] * n
    if rest:
        labels = tuple(dict.fromkeys([l for _, own in rest for l in own if l in carried]))
        d = multiplied(rest, labels, way.dims)
        sign = known.interval(rest)
        if not (sign.nonnegative or sign.nonpositive) or not is_inexact(d):
            return None
        roots.append((power(ABS(d), HALF), labels))
    return roots or None


def whole_root(node: Node, n: int) -> Node | None:
    """The root of node^n by halving exponents; of either sign, since it is squared."""
    if n % 2 == 0:
        return power(node, n // 2)
    if isinstance(node, Call) and node.prim is POW:
        q = node.params[0]
        assert isinstance(q, Fraction)
        if (q * n) % 2 == 0:
            return power(node.operands[0], q * n / 2)
    return None


def is_inexact(node: Node) -> bool:
    """Whether entries are computed in floats, whatever the inputs are."""
    found: set[Node] = set()
    for n in toposort([node]):
        if isinstance(n, Call) and n.prim.name not in SHAPE and n.prim.pull is None:
            q = n.params[0] if n.prim is POW else HALF
            if isinstance(q, Fraction) and (q.denominator > 1 or q < 0):
                found.add(n)
        elif any(o in found for o in n.operands):
            found.add(n)
    return node in found
