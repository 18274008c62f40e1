"""resize: nodes with symbols of sizes replaced by other sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .dims import Dim
from .ir import Add, Call, Coef, Einsum, Input, Name, Node, add, call, einsum, input_, name_, toposort


def resized(roots: Sequence[Node], sizes: Mapping[str, Dim]) -> list[Node]:
    """`roots` with symbols of sizes replaced everywhere."""
    if not sizes:
        return list(roots)
    done: dict[Node, Node] = {}
    for node in toposort(roots):
        below = [done[o] for o in node.operands]
        shape = tuple(d.replace(sizes) for d in node.shape)
        if isinstance(node, Input | Name):
            done[node] = (input_ if isinstance(node, Input) else name_)(node.name, shape)
        elif isinstance(node, Einsum):
            extra = {label: d.replace(sizes) for label, d in node.sizes}
            done[node] = einsum(below, node.labels, node.out, extra)
        elif isinstance(node, Add):
            coefs = [with_sizes_of(c, sizes) for c in node.coefs]
            done[node] = add(zip(coefs, below, strict=True), shape)
        elif isinstance(node, Call):
            done[node] = call(node.prim, below, tuple(with_sizes(p, sizes) for p in node.params))
        else:
            done[node] = node
    return [done[root] for root in roots]


def with_sizes_of(c: Coef, sizes: Mapping[str, Dim]) -> Coef:
    total = Coef(c.rational)
    for d, n in c.sizes:
        total = total * Coef.size(d.replace(sizes), n)
    return total


def with_sizes(p: Any, sizes: Mapping[str, Dim]) -> Any:
    if isinstance(p, tuple):
        return tuple(with_sizes(x, sizes) for x in p)
    return p.replace(sizes) if isinstance(p, Dim) else p
