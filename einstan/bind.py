"""bind: opaque functions -> the primitives that a user says they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .derive import derive
from .errors import EinstanNameError
from .ir import Call, Node, name_, ones, substitute, toposort
from .prims.opaque import OPAQUE
from .prims.reduce import ALONG
from .prims.scalar import COMPOSED, SCALAR


def bind(root: Node, functions: Mapping[str, Any]) -> Node:
    """`root` with every opaque call of a bound name replaced; derivatives of it follow."""
    table: dict[Node, Node] = {}
    for node in toposort([root]):
        if isinstance(node, Call) and node.prim is OPAQUE and node.params[0] in functions:
            args = substitute(node.operands, table)
            table[node] = bound_call(node, args, str(functions[str(node.params[0])]))
    return substitute([root], table)[0]


def bound_call(y: Call, args: Sequence[Node], word: str) -> Node:
    """One call: the value, or a derivative of the bound function in the slots that `y` names."""
    _, lead, _, slots = y.params
    assert isinstance(lead, int) and isinstance(slots, tuple)
    if word not in COMPOSED and word not in SCALAR and word not in ALONG:
        raise EinstanNameError(
            f"{y.params[0]} is bound to {word!r}, which is no function of the language.",
            f"Bind it to one of {', '.join(sorted({*COMPOSED, *SCALAR, *ALONG}))}.",
        )
    if not slots:
        return value(word, args, lead)
    leaves = [name_(f"#{k}", a.shape) for k, a in enumerate(args)]
    node = value(word, leaves, lead)
    for slot in slots:
        if any(a.rank > lead for a in args):
            raise EinstanNameError(f"The derivative of {y.params[0]} cannot stand in a formula when it is bound.")
        (node,) = derive(node, ones(node.shape), [leaves[slot]])
    return substitute([node], dict(zip(leaves, args, strict=True)))[0]


def value(word: str, args: Sequence[Node], lead: int) -> Node:
    seen = args[0].rank - lead
    if seen and word in ALONG:
        return ALONG[word](args[0], seen)
    return COMPOSED[word](*args) if word in COMPOSED else SCALAR[word](*args)
