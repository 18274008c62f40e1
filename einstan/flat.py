"""flat: a node as a flat list of rows, operands first, and back: how nodes pickle, however deep they are."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from .ir import (
    Add,
    Call,
    Const,
    Einsum,
    Input,
    Name,
    Node,
    Shape,
    call,
    const,
    input_,
    name_,
    raw_einsum,
    raw_sum,
    toposort,
)
from .prims import PRIMS

Row = tuple[str, Shape, tuple[int, ...], tuple[Hashable, ...]]  # kind, shape, rows of the operands, what else it holds


def flatten(node: Node) -> list[Row]:
    """The nodes below `node`, each after its operands; `node` is the last row."""
    order = toposort([node])
    place = {n: k for k, n in enumerate(order)}
    return [(type(n).__name__, n.shape, tuple(place[o] for o in n.operands), HELD[type(n)](n)) for n in order]


def unflatten(rows: Sequence[Row]) -> Node:
    """The node of the last row: the very object, where it exists already."""
    nodes: list[Node] = []
    for kind, shape, below, held in rows:
        nodes.append(MADE[kind](shape, tuple(nodes[k] for k in below), *held))
    return nodes[-1]


def reduced(node: Node) -> tuple[Callable[..., Node], tuple[list[Row]]]:
    return unflatten, (flatten(node),)


def prim_of(y: Call) -> str:
    if PRIMS.get(y.prim.name) is not y.prim:
        raise TypeError(f"{y.prim.name} is bound to a function of Python, which does not pickle")
    return y.prim.name


HELD: dict[type[Node], Callable[[Any], tuple[Hashable, ...]]] = {
    Input: lambda x: (x.name,),
    Name: lambda x: (x.name,),
    Const: lambda x: (x.name,),
    Einsum: lambda e: (e.labels, e.out, e.sizes),
    Add: lambda a: (a.coefs,),
    Call: lambda y: (prim_of(y), y.params),
}

MADE: dict[str, Callable[..., Node]] = {
    "Input": lambda shape, _, name: input_(name, shape),
    "Name": lambda shape, _, name: name_(name, shape),
    "Const": lambda shape, _, name: const(name),
    "Einsum": lambda shape, below, *held: raw_einsum(below, *held),
    "Add": lambda shape, below, coefs: raw_sum(coefs, below, shape),
    "Call": lambda shape, below, prim, params: call(PRIMS[prim], below, params),
}

for _kind in HELD:
    copyreg.pickle(_kind, reduced)
