"""derive: the reverse sweep. One rule for products: put the cotangent in the operand's place.

A cotangent of a node n has the seed's axes first, then n's. With a seed of no axes (of a scalar result:
1) the sweep gives a gradient, with the identity a Jacobian, with an input a vector-Jacobian product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .ir import Add, Call, Einsum, Node, add, einsum, is_zero, scale, toposort, zeros


def identity(y: Node) -> Node:
    """The seed of the Jacobian of y: δ between y's axes and y's axes."""
    axes = tuple(range(y.rank))
    return einsum([], [], axes + axes, dict(enumerate(y.shape)))


def derive(y: Node, seed: Node, wrt: Sequence[Node], definitions: Mapping[Node, Node] | None = None) -> list[Node]:
    """Cotangents of every node of `wrt` when y has the cotangent `seed`.

    `definitions` maps leaves (names) to what they stand for: the sweep stops at such a leaf for `wrt`
    and goes on below it.
    """
    definitions = definitions or {}
    seeds = seed.rank - y.rank
    order = toposort([y], definitions)
    wanted = set(wrt)
    active = reaching(order, wanted, definitions)
    pending: dict[Node, list[Node]] = {y: [seed]}
    final: dict[Node, Node] = {}
    for node in reversed(order):
        parts = pending.pop(node, None)
        if parts is None or node not in active:
            continue
        shape = seed.shape[:seeds] + node.shape
        ct = add([(1, part) for part in parts], shape)
        if node in wanted:
            final[node] = ct
        if is_zero(ct):
            continue
        if node in definitions:
            pending.setdefault(definitions[node], []).append(ct)
        for k, operand in enumerate(node.operands):
            if operand in active:
                pending.setdefault(operand, []).append(pull(node, k, ct, seeds))
    return [final.get(x, zeros(seed.shape[:seeds] + x.shape)) for x in wrt]


def pull(node: Node, k: int, ct: Node, seeds: int) -> Node:
    """The cotangent of operand k, given that of node."""
    if isinstance(node, Add):
        return scale(node.coefs[k], ct)
    if isinstance(node, Einsum):
        return pull_einsum(node, k, ct, seeds)
    assert isinstance(node, Call), f"our bug: no rule for {node!r}"
    if node.prim.pull is not None:
        return node.prim.pull(node, k, ct, seeds)
    assert node.prim.partial is not None
    axes = tuple(range(ct.rank))
    return einsum([ct, node.prim.partial(node, k)], [axes, axes[seeds:]], axes)


def pull_einsum(e: Einsum, k: int, ct: Node, seeds: int) -> Node:
    """C[o] = A[k] B.. , ct[s,o] -> ct[s,o] B.. [s,k]: repeated labels of A write its diagonal."""
    seeded = tuple(-1 - n for n in range(seeds))
    others = [n for n in range(len(e.operands)) if n != k]
    return einsum(
        [ct, *(e.operands[n] for n in others)],
        [seeded + e.out, *(e.labels[n] for n in others)],
        seeded + e.labels[k],
        e.dims | dict(zip(seeded, ct.shape[:seeds], strict=True)),
    )


def reaching(order: Sequence[Node], wrt: set[Node], definitions: Mapping[Node, Node]) -> set[Node]:
    """The nodes that depend on some node of `wrt`; `order` has operands first."""
    active: set[Node] = set()
    for node in order:
        if node in wrt or definitions.get(node) in active or any(o in active for o in node.operands):
            active.add(node)
    return active
