"""opaque: functions that are named and not known: f(x[i]), f[j](Z[i,K]), loss(X, Y).

`params` are (name, lead, new, slots): the first `lead` axes of every argument only ride along, the rest
are what the function sees; `new` are the sizes of its own result; `slots` lists the arguments (sorted) it
was differentiated in, each of which appends the axes seen of that argument.
"""

from __future__ import annotations

from typing import Any

from ..dims import Dim
from ..ir import Call, Node, Prim, Shape, einsum, pattern


def opaque_shape(args: tuple[Node, ...], params: tuple[Any, ...]) -> Shape:
    _, lead, new, slots = params
    seen = tuple(d for k in slots for d in args[k].shape[lead:])
    return (*args[0].shape[:lead], *new, *seen)


def sees_axes(y: Call) -> bool:
    """Whether the function takes in more than one entry of some argument."""
    lead = y.params[1]
    assert isinstance(lead, int)
    return any(o.rank > lead for o in y.operands)


def derived(y: Call, k: int) -> Node:
    """∂y/∂arg_k with the axes seen of argument k last."""
    name, lead, new, slots = y.params
    assert isinstance(lead, int) and isinstance(new, tuple) and isinstance(slots, tuple)
    order = tuple(sorted((*slots, k)))
    node = OPAQUE(*y.operands, params=(name, lead, new, order))
    seen = [y.operands[j].rank - lead for j in order]
    place = max(n for n, j in enumerate(order) if j == k)
    start = lead + len(new) + sum(seen[:place])
    axes = tuple(range(node.rank))
    mine = axes[start : start + seen[place]]
    return pattern(node, axes, tuple(a for a in axes if a not in mine) + mine, {})


def opaque_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """ct[s,lead,rest] ∂y[lead,rest,seen]/∂arg_k -> [s,lead,seen]."""
    lead = y.params[1]
    assert isinstance(lead, int)
    slope = derived(y, k)
    axes = tuple(range(seeds, seeds + slope.rank))
    seeded = tuple(range(seeds))
    own, seen = axes[: y.rank], axes[y.rank :]
    return einsum([ct, slope], [seeded + own, axes], seeded + own[:lead] + seen)


OPAQUE = Prim("opaque", -1, opaque_shape, pull=opaque_pull)


def opaque(name: str, args: list[Node], lead: int, new: tuple[Dim, ...], slots: tuple[int, ...] = ()) -> Node:
    return OPAQUE(*args, params=(name, lead, new, slots))
