"""order: the cheapest order of multiplication. Every Einsum of three or more operands becomes nested binary ones.

Law: `associate(roots, env)` has the values of `roots`; no Einsum in it has more than two operands, and none of
two operands sums a label that only one of them carries (it is summed before).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .dims import Dim, Env
from .errors import EinstanError
from .ir import Einsum, Input, Labels, Node, einsum, rebuild, toposort
from .orders.methods import Linear, Optimize, Order, check_path, is_path, method_of, pairwise, search, steps_of
from .orders.network import Pairs


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


def needs_nesting(e: Einsum) -> bool:
    """Whether the product has more than two operands, or a summed label that stands in one of two only."""
    if len(e.operands) != 2:
        return len(e.operands) > 2
    (left, right), out = e.labels, e.out
    return any(label not in right and label not in out for label in left) or any(
        label not in left and label not in out for label in right
    )


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
    return along(path, operands, e.labels, e.out, e.dims)


def along(
    path: Sequence[tuple[int, int]],
    operands: Sequence[Node],
    labels: Sequence[Labels],
    out: Labels,
    dims: Mapping[int, Dim] | None = None,
) -> Node:
    """The product of operands as nested binary ones, in the order of a whole path (pairs).

    `dims` are the sizes of labels that no operand carries.
    """
    if len(operands) < 2:
        return einsum(operands, labels, out, dims)
    needed = shared(labels, out)
    terms = [presum(node, own, needed) for node, own in zip(operands, labels, strict=True)]
    carriers = Counter(dict.fromkeys(out, 1))
    for _, own in terms:
        carriers.update(set(own))
    place = {label: n for n, label in enumerate(dict.fromkeys(out))}
    for a, b in path[:-1]:
        terms.append(join(terms[a], terms[b], carriers, place))
    (left, la), (right, lb) = (terms[k] for k in path[-1])
    return einsum([left, right], [la, lb], out, dims)


Term = tuple[Node, Labels]


def shared(labels: Sequence[Labels], out: Labels) -> frozenset[int]:
    """The labels that the output or two operands carry; any other is summed in its operand alone."""
    carriers = Counter(label for own in labels for label in set(own))
    return frozenset(out) | {label for label, n in carriers.items() if n > 1}


def kept(own: Labels, needed: frozenset[int]) -> Labels:
    """What an operand is left with: each label once, none that nothing else carries."""
    return tuple(label for label in dict.fromkeys(own) if label in needed)


def reduced(labels: Sequence[Labels], out: Labels) -> list[Labels]:
    """What every operand is left with before products are made: what searches look at."""
    needed = shared(labels, out)
    return [kept(own, needed) for own in labels]


def presum(node: Node, own: Labels, needed: frozenset[int]) -> Term:
    """The operand summed over what nothing else carries, each label once."""
    left = kept(own, needed)
    return (node, own) if left == own else (einsum([node], [own], left), left)


def join(left: Term, right: Term, carriers: dict[int, int], place: Mapping[int, int]) -> Term:
    """The product of two terms, summed over what no other term and not the output carries.

    Where nothing is summed its axes stand as in the output: what it meets later lies so too.
    """
    (a, la), (b, lb) = left, right
    both = set(la) & set(lb)
    open_ = []
    for label in dict.fromkeys(la + lb):
        carriers[label] -= 2 if label in both else 1
        if carriers[label]:
            open_.append(label)
            carriers[label] += 1
    if set(open_) == {*la, *lb}:
        open_.sort(key=lambda label: place.get(label, len(place)))
    return einsum([a, b], [la, lb], open_), tuple(open_)


# ---------------------------------------------------------------- from left to right


@dataclass(frozen=True, slots=True)
class AsWritten:
    """From left to right as a text, where the inputs `names` first stand in this order, has the factors: each is where
    the last of its inputs is. A product itself does not know how it is written."""

    names: tuple[str, ...]

    def placed(self, nodes: Sequence[Node]) -> Placed:
        """With a place for each of the nodes, which come after their operands."""
        place = {name: n for n, name in enumerate(self.names)}
        places: dict[Node, int] = {}
        for node in nodes:
            own = place.get(node.name, 0) if isinstance(node, Input) else 0
            places[node] = max([own, *(places[o] for o in node.operands)])
        return Placed(places)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """From left to right in the order of the places of nodes. A factor that stands in a product again is taken to
    stand behind the next one: `x A x`, not `x x A`."""

    places: dict[Node, int]

    def pairs_of(self, e: Einsum) -> Pairs:
        n = len(e.operands)
        rank = {place: k for k, place in enumerate(sorted({self.places[o] for o in e.operands}))}
        again = [e.operands[:k].count(o) for k, o in enumerate(e.operands)]
        keys = [(rank[self.places[o]] + times, times) for o, times in zip(e.operands, again, strict=True)]
        first, *rest = sorted(range(n), key=keys.__getitem__)
        return list(zip([first, *range(n, 2 * n - 2)], rest, strict=True))


def as_written(optimize: Optimize, inputs: Iterable[str]) -> Optimize:
    """The method; "naive" with the inputs in the order of the text."""
    return AsWritten(tuple(inputs)) if isinstance(optimize, str) and optimize == "naive" else optimize


def placed(optimize: Optimize | Order, nodes: Sequence[Node]) -> Optimize | Order:
    """The order; one as written with a place for each node."""
    if isinstance(optimize, Order):
        return replace(optimize, method=placed(optimize.method, nodes))
    return optimize.placed(nodes) if isinstance(optimize, AsWritten) else optimize


# ---------------------------------------------------------------- a path that is given


@dataclass(frozen=True, slots=True)
class Explicit:
    """A path for the one contraction of a program; its places count the inputs `names`."""

    path: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]

    def pairs_of(self, e: Einsum) -> Pairs:
        """The path as pairs of the operands of `e`, which lie in another order."""
        called = [node.name if isinstance(node, Input) else "" for node in e.operands]
        if sorted(called) != sorted(self.names):
            raise not_one_contraction(f"another product has {len(called)} factors")
        place = [called.index(name) for name in self.names]
        return [(at(place, a), at(place, b)) for a, b in pairwise(self.path, len(place))]


def at(place: Sequence[int], k: int) -> int:
    return place[k] if k < len(place) else k


def method_for(optimize: Optimize, roots: Sequence[Node], inputs: Sequence[str]) -> Optimize:
    """What says the order of the products below `roots`: a path becomes one for the only product there.

    Raises EinstanError for what is no method or is not installed.
    """
    if not is_path(optimize):
        method_of(optimize)
        return as_written(optimize, inputs)
    products = [node for node in toposort(roots) if isinstance(node, Einsum) and len(node.operands) > 1]
    return explicit(steps_of(optimize), products, inputs)


def explicit(path: Linear, products: Sequence[Einsum], inputs: Sequence[str]) -> Explicit:
    """The path for the only one of a program's products; `inputs` are in the order of the text.

    Raises EinstanError where there are several, or where its factors are not inputs that stand there once.
    """
    if len(products) != 1:
        raise not_one_contraction(f"there are {len(products)}" if products else "there is none")
    called = [node.name for node in products[0].operands if isinstance(node, Input)]
    if len(set(called)) < len(products[0].operands):
        raise not_one_contraction("its factors are not inputs that stand there once")
    check_path(path, len(called))
    return Explicit(tuple(path), tuple(sorted(called, key=inputs.index)))


def not_one_contraction(why: str) -> EinstanError:
    return EinstanError(
        f"A path is for a program of one contraction of inputs; {why}.", 'Write optimize="auto", or another name.'
    )
