"""rewrite: the engine that takes nodes to normal form by a table of laws.

`normalise(roots, laws)` works operands first, without recursion. A law takes a node whose operands are
in normal form and gives a node of equal value, or None; what it returns is normalised before use.
A nested sum or product that has a single user is merged into it first (a shared one never is, since that
would do its work twice).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count

from .ir import UNIT, Add, Call, Coef, Einsum, Node, Prim, add, einsum, rebuild, toposort, uses_in

Law = Callable[..., Node | None]
MAX_PASSES = 6


def normalise(roots: Sequence[Node], laws: Sequence[Law]) -> list[Node]:
    """`roots` under `laws`; again while that leaves a product or a sum with a single user of its kind."""
    table = by_kind(tuple(laws))
    current, merged = list(roots), merging(roots)
    for _ in range(MAX_PASSES):
        before, current = current, one_pass(current, merged, table)
        if current == before:
            break
        merged = merging(current)
        if not merged:
            break
    return current


@lru_cache(maxsize=8)
def by_kind(laws: tuple[Law, ...]) -> dict[type[Node] | Prim, list[Law]]:
    """The laws by the kind of node, or the primitive, at their head (`law.head`)."""
    table: dict[type[Node] | Prim, list[Law]] = {}
    for law in laws:
        for head in law.heads:  # type: ignore[attr-defined]
            table.setdefault(head, []).append(law)
    return table


def law(*heads: type[Node] | Prim) -> Callable[[Law], Law]:
    """Says at which kinds of node, or primitives, a law applies."""

    def mark(rule: Law) -> Law:
        rule.heads = heads  # type: ignore[attr-defined]
        return rule

    return mark


def one_pass(roots: Sequence[Node], merged: set[Node], table: dict[type[Node] | Prim, list[Law]]) -> list[Node]:
    done: dict[Node, Node] = {}
    stack: list[tuple[Node, Node | None]] = [(root, None) for root in reversed(roots)]
    entered: set[Node] = set()
    while stack:
        node, became = stack.pop()
        if node in done:
            continue
        if became is not None:
            done[node] = done[became]
            continue
        if node not in entered:
            entered.add(node)
            stack.append((node, None))
            stack += [(o, None) for o in reversed(region(node, merged)) if o not in done]
            continue
        built, missing = settle(merge(node, merged, done), done)
        if missing:
            stack.append((node, None))
            stack.extend((o, None) for o in missing)
            continue
        if built is not node and built in done:
            done[node] = done[built]
            continue
        after = apply(built, table)
        if after is None:
            done[node] = done[built] = built
        else:
            stack.append((node, after))
            if built is not node:
                stack.append((built, after))
            stack.append((after, None))
    return [done[root] for root in roots]


def settle(node: Node, done: dict[Node, Node]) -> tuple[Node, list[Node]]:
    """`node` over normalised operands; or those that a constructor has made new, to be normalised first."""
    while not (missing := [o for o in node.operands if o not in done]):
        again = rebuild(node, [done[o] for o in node.operands])
        if again is node:
            break
        node = again
    return node, missing


def apply(node: Node, table: dict[type[Node] | Prim, list[Law]]) -> Node | None:
    """What the first law that fires makes of the node."""
    for rule in (*table.get(type(node), ()), *(table.get(node.prim, ()) if isinstance(node, Call) else ())):
        after: Node | None = rule(node)
        if after is not None and after is not node:
            return after
    return None


# ---------------------------------------------------------------- merging nested sums and products


def merging(roots: Sequence[Node]) -> set[Node]:
    """The nodes that vanish into their single user: a product in a product, a sum in a sum."""
    nodes = toposort(roots)
    count_ = uses_in(nodes, roots)
    inside: set[Node] = set()
    for node in reversed(nodes):
        if isinstance(node, Einsum) or (isinstance(node, Add) and (len(node.operands) > 1 or node in inside)):
            for o in node.operands:
                if type(o) is type(node) and count_[o] == 1:
                    inside.add(o)
    return inside


def region(node: Node, merged: set[Node]) -> list[Node]:
    """The operands of `node` once the nodes of `merged` have vanished."""
    if not merged:
        return list(reversed(node.operands))
    found, waiting = [], list(node.operands)
    while waiting:
        o = waiting.pop()
        if o in merged and type(o) is type(node):
            waiting.extend(o.operands)
        else:
            found.append(o)
    return found


def merge(node: Node, merged: set[Node], done: dict[Node, Node]) -> Node:
    """`node` over normalised operands, with its region flattened."""
    if not merged or not any(o in merged and type(o) is type(node) for o in node.operands):
        return rebuild(node, [done[o] for o in node.operands])
    if isinstance(node, Add):
        return merge_sum(node, merged, done)
    assert isinstance(node, Einsum)
    return merge_product(node, merged, done)


def merge_sum(a: Add, merged: set[Node], done: dict[Node, Node]) -> Node:
    """x + c (y + z) -> x + c y + c z."""
    terms: list[tuple[Coef, Node]] = []
    waiting: list[tuple[Coef, Node]] = [(UNIT, a)]
    while waiting:
        coef, node = waiting.pop()
        if isinstance(node, Add) and (node is a or node in merged):
            waiting.extend((coef * c, o) for c, o in node.terms)
        else:
            terms.append((coef, done[node]))
    return add(terms, a.shape)


def merge_product(e: Einsum, merged: set[Node], done: dict[Node, Node]) -> Node:
    """A[i,k] (B[k,L] C[L,j]) -> A[i,k] B[k,L] C[L,j]."""
    fresh = count()
    names = {label: next(fresh) for label in e.dims}
    dims = {names[label]: d for label, d in e.dims.items()}
    factors: list[Node] = []
    labels: list[tuple[int, ...]] = []
    waiting = [(o, tuple(names[x] for x in own)) for o, own in e.factors]
    while waiting:
        node, own = waiting.pop()
        if isinstance(node, Einsum) and node in merged:
            inner = dict(zip(node.out, own, strict=True))
            assert len(inner) == len(own), "our bug: a pattern stands inside a product"
            for label, d in node.dims.items():
                if label not in inner:
                    inner[label] = next(fresh)
                    dims[inner[label]] = d
            waiting.extend((o, tuple(inner[x] for x in ls)) for o, ls in node.factors)
        else:
            factors.append(done[node])
            labels.append(own)
    return einsum(factors, labels, [names[x] for x in e.out], dims)
