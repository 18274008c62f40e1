"""given: orders that are not searched: from left to right as a text has the factors, or along a path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..errors import EinstanError
from ..ir import Einsum, Input, Node, toposort
from ..orders.methods import Linear, Optimize, Order, check_path, is_path, method_of, pairwise, steps_of
from ..orders.network import Pairs

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
