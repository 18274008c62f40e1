"""order: the cheapest order of multiplication. Every Einsum of three or more operands becomes nested binary ones.

Law: `associate(roots, env)` has the values of `roots`; no Einsum in it has more than two operands, and none of
two operands sums a label that only one of them carries (it is summed before).

Stages: each product by itself (`nesting`, or as it is `given`); when nothing is derived from the graph any more, all
of them `together`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..dims import Env
from ..ir import Einsum, Node, rebuild, toposort
from ..orders.methods import Optimize, Order, search
from .common import with_common
from .factored import factored
from .given import Explicit, Placed, as_written, method_for, placed
from .nesting import along, needs_nesting, reduced
from .together import together
from .twins import exchanged

__all__ = ["along", "as_written", "associate", "method_for", "needs_nesting", "ordered", "reduced"]


def ordered(roots: Sequence[Node], env: Env, optimize: Optimize | Order = "auto") -> list[Node]:
    """`roots` over binary products: by einstan's own method all ordered together, by others each by itself."""
    order = optimize if isinstance(optimize, Order) else Order(optimize)
    if order.method != "auto":
        return associate(roots, env, order)
    return together(associate(with_common(factored(roots), env), env, order), env, order.memory_limit)


def associate(roots: Sequence[Node], env: Env, optimize: Optimize | Order = "auto") -> list[Node]:
    """`roots` over binary products, each ordered by cost under the sizes `env`."""
    done: dict[Node, Node] = {}
    nodes = toposort(roots)
    optimize = placed(optimize, nodes)
    for node in nodes:
        operands = [done[o] for o in node.operands]
        if isinstance(node, Einsum) and needs_nesting(node):
            done[node] = nest(node, operands, env, optimize)
        else:
            done[node] = rebuild(node, operands)
    return [done[root] for root in roots]


def nest(e: Einsum, operands: Sequence[Node], env: Env, optimize: Optimize | Order) -> Node:
    """One product as a tree of binary products."""
    if len(e.operands) == 2:
        return along([(0, 1)], operands, e.labels, e.out, e.dims)
    method = optimize.method if isinstance(optimize, Order) else optimize
    if isinstance(method, Explicit | Placed):
        path = method.pairs_of(e)
    else:
        sizes = {label: d.at(env) for label, d in e.dims.items()}
        path = search(reduced(e.labels, e.out), e.out, sizes, optimize)
    return along(path, operands, exchanged(e, path), e.out, e.dims)
