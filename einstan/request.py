"""request: what a kernel computes, as nodes: values and derivatives of names of a program.

A Term is one array: a value, or a derivative of any order. `nodes` takes terms through the stages
inline -> stabilise -> associate -> derive -> simplify; sizes are needed only to associate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from .bind import Bindings, bind
from .derive import derive, identity
from .dims import Dim
from .facts import Facts, simplify_by
from .ir import Call, Einsum, Input, Node, add, einsum, inline, input_, number, pattern, toposort
from .prims.opaque import OPAQUE
from .prims.scalar import POW
from .prims.shape import SHAPE
from .resize import resized
from .rewrite import Law
from .rules import EXACT, LAWS, simplify, simplify_exactly
from .stabilise import stabilise, stabilise_exactly


@dataclass(frozen=True, slots=True)
class Term:
    """`of`, differentiated by the names of `wrt` in turn.

    `cotangent` names the input that seeds the first derivative; `tangents` pairs a name with the input it
    moves along: the directional derivative of what the rest of the term says.
    """

    of: str
    wrt: tuple[str, ...] = ()
    cotangent: str | None = None
    tangents: tuple[tuple[str, str], ...] = ()


Tree = Any  # a Term, a tuple of Trees, or a dict of Trees: the shape of the result


def terms(tree: Tree) -> Iterator[Term]:
    """The terms of a tree, in order."""
    if isinstance(tree, Term):
        yield tree
    else:
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from terms(branch)


def packer(tree: Tree) -> Callable[[Sequence[Any]], Any]:
    """Arrays in the order of `terms(tree)` -> the tree of arrays."""

    def fill(branch: Tree, arrays: Iterator[Any]) -> Any:
        if isinstance(branch, Term):
            return next(arrays)
        if isinstance(branch, dict):
            return {name: fill(below, arrays) for name, below in branch.items()}
        return tuple(fill(below, arrays) for below in branch)

    return lambda flat: fill(tree, iter(flat))


@dataclass(frozen=True, slots=True)
class Definitions:
    """Leaves and bodies of a program's names; derivative leaves with the term they stand for."""

    leaves: Mapping[str, Node]
    bodies: Mapping[str, Node]
    derivatives: Mapping[Node, tuple[Node, tuple[str, ...]]]
    facts: Facts = ()

    def bound(self, functions: Bindings, sizes: Mapping[str, Dim]) -> Definitions:
        """The same with functions written in that are bound to formulas, and with these sizes."""
        if not functions.written:
            return self
        leaves = dict(zip(self.leaves, resized(list(self.leaves.values()), sizes), strict=True))
        bodies = resized(list(self.bodies.values()), sizes)
        table = {name: bind(node, functions) for name, node in zip(self.bodies, bodies, strict=True)}
        tops = resized([top for top, _ in self.derivatives.values()], sizes)
        heads = resized(list(self.derivatives), sizes)
        wrt = [names for _, names in self.derivatives.values()]
        derivatives = {head: (bind(top, functions), names) for head, top, names in zip(heads, tops, wrt, strict=True)}
        sides = resized([side for fact in self.facts for side in fact], sizes)
        return Definitions(leaves, table, derivatives, tuple(zip(sides[::2], sides[1::2], strict=True)))

    @property
    def roots(self) -> list[Node]:
        """Bodies, and numerators of the derivatives in them."""
        return [*self.bodies.values(), *(top for top, _ in self.derivatives.values())]

    @property
    def stands_for(self) -> dict[Node, Node]:
        """The body of every name, the numerator of every derivative, by leaf."""
        bodies = {self.leaves[name]: body for name, body in self.bodies.items()}
        return bodies | {leaf: top for leaf, (top, _) in self.derivatives.items()}


Stage = Callable[[Sequence[Node]], list[Node]]  # nodes to nodes of equal value


@dataclass(frozen=True, slots=True)
class Laws:
    """The laws that a graph is taken through: how it is stabilised, how simplified, by which table."""

    stabilise: Stage
    simplify: Stage
    table: Sequence[Law]


ALL_LAWS = Laws(stabilise, simplify, LAWS)
EXACT_LAWS = Laws(stabilise_exactly, simplify_exactly, EXACT)


@dataclass(frozen=True, slots=True)
class Graph:
    """The machine's side of a set of terms: values inlined and stable, the names of wrt kept as leaves."""

    program: Definitions
    wanted: tuple[Term, ...]
    values: dict[Node, Node]  # name leaf -> its value
    kept: dict[Node, Node]  # name leaf of wrt -> what it stands for
    numerators: dict[Node, Node]  # derivative leaf in a formula -> its numerator
    laws: Laws
    real: frozenset[str]  # inputs below functions of real numbers, as written

    @staticmethod
    def of(program: Definitions, wanted: Sequence[Term], laws: Laws) -> Graph:
        """Inline and stabilise: everything that needs no sizes."""
        tops = list(dict.fromkeys(program.leaves[t.of] for t in wanted))
        wrt = {x for t in wanted for x in (*t.wrt, *(name for name, _ in t.tangents))}
        leaves = derivative_leaves(program, tops)
        numerators = [program.derivatives[leaf][0] for leaf in leaves]
        wrt |= {name for leaf in leaves for name in program.derivatives[leaf][1]}
        kept = [name for name in program.bodies if name in wrt]
        open_ = {program.leaves[name]: body for name, body in program.bodies.items() if name not in wrt}
        roots = iter(laws.stabilise(inline([*tops, *numerators, *(program.bodies[name] for name in kept)], open_)))
        return Graph(
            program,
            tuple(wanted),
            values={top: next(roots) for top in tops},
            numerators={leaf: next(roots) for leaf in leaves},
            kept={program.leaves[name]: next(roots) for name in kept},
            laws=laws,
            real=below_functions(tops, program.stands_for),
        )

    def nodes(self, associate: Stage) -> list[Node]:
        """A node for every term, over inputs alone; `associate` orders the products of three and more."""
        derived: dict[Node, Node] = {}
        for top, leaves in self.leaves_by_numerator().items():
            wanted = [Term("", self.program.derivatives[leaf][1]) for leaf in leaves]
            slopes, _ = self.derivatives(wanted, {"": top}, derived, associate)
            derived.update(zip(leaves, slopes, strict=True))
        values = {t.of: self.values[self.program.leaves[t.of]] for t in self.wanted}
        found, kept = self.derivatives(self.wanted, values, derived, associate)
        return simplify_by(self.program.facts, self.laws.table, self.laws.simplify)(inline(found, kept))

    def leaves_by_numerator(self) -> dict[Node, list[Node]]:
        """The derivatives of one node together, so that one sweep finds them."""
        found: dict[Node, list[Node]] = {}
        for leaf, top in self.numerators.items():
            found.setdefault(top, []).append(leaf)
        return found

    def has_products(self) -> bool:
        """Whether any product has three factors or more, so that sizes decide the order."""
        deep = max((len(t.wrt) for t in self.wanted), default=0) > 1
        return deep or any(isinstance(n, Einsum) and len(n.operands) > 2 for n in toposort(self.roots))

    @property
    def roots(self) -> list[Node]:
        """What the terms are values and derivatives of."""
        return [*self.values.values(), *self.kept.values(), *self.numerators.values()]

    def derivatives(
        self, wanted: Sequence[Term], values: Mapping[str, Node], derived: Mapping[Node, Node], associate: Stage
    ) -> tuple[list[Node], dict[Node, Node]]:
        """The terms, one sweep for all that are derivatives of one node; and what their kept names stand for."""
        chosen = representatives(wanted, self.program)
        roots = iter(associate(inline([*values.values(), *self.kept.values()], derived)))
        grown = {Term(name): next(roots) for name in values}
        kept = {leaf: next(roots) for leaf in self.kept}
        for order in range(max((len(t.wrt) for t in chosen.values()), default=0)):
            if order:
                grown = dict(zip(grown, associate(self.laws.stabilise(list(grown.values()))), strict=True))
            for below, names in longer(list(chosen.values()), order).items():
                y = grown[Term(below.of, below.wrt)] if order == 0 else grown[below]
                seed = identity(y) if order or below.cotangent is None else input_(below.cotangent, y.shape)
                found = derive(y, seed, [self.program.leaves[name] for name in names], kept)
                for name, node in zip(names, found, strict=True):
                    grown[Term(below.of, (*below.wrt, name), below.cotangent)] = node
        made = {t: self.along(grown[Term(t.of, t.wrt, t.cotangent)], t.tangents, kept) for t in chosen.values()}
        return [reordered(made[chosen[t]], chosen[t].wrt, t.wrt, self.program.leaves) for t in wanted], kept

    def along(self, y: Node, tangents: Sequence[tuple[str, str]], kept: Mapping[Node, Node]) -> Node:
        """Σ ∂y/∂W · V: the derivative, in the cotangent G, of ⟨∂⟨G, y⟩/∂W, V⟩."""
        if not tangents:
            return y
        g = input_("#cotangent", y.shape)
        pulled = derive(y, g, [self.program.leaves[name] for name, _ in tangents], kept)
        moved = [inner_product(x, input_(v, x.shape)) for x, (_, v) in zip(pulled, tangents, strict=True)]
        (result,) = derive(add([(1, m) for m in moved], ()), number(1), [g], kept)
        return result


def representatives(wanted: Sequence[Term], program: Definitions) -> dict[Term, Term]:
    """Each term with the first one that differs from it in the order of its names alone: it is a transpose of that.

    Only where the names are inputs: a defined name is a variable of its own beside those that it is made of.
    """
    first: dict[object, Term] = {}
    kinds = (t if set(t.wrt) & set(program.bodies) else replace(t, wrt=tuple(sorted(t.wrt))) for t in wanted)
    return {t: first.setdefault(kind, t) for t, kind in zip(wanted, kinds, strict=True)}


def reordered(y: Node, given: Sequence[str], wanted: Sequence[str], leaves: Mapping[str, Node]) -> Node:
    """A derivative by the names `given`, its last axes, as the one by the same names in the order `wanted`."""
    at = y.rank - sum(leaves[name].rank for name in given)
    own, axes = range(y.rank), list(range(at))
    blocks: dict[str, list[Sequence[int]]] = {}
    for name in given:
        blocks.setdefault(name, []).append(own[at : (at := at + leaves[name].rank)])
    for name in wanted:
        axes += blocks[name].pop(0)
    return pattern(y, own, axes, {})


def longer(wanted: Sequence[Term], order: int) -> dict[Term, list[str]]:
    """Derivatives of this order that are to be differentiated again, and by what."""
    found: dict[Term, list[str]] = {}
    for t in wanted:
        if len(t.wrt) > order:
            names = found.setdefault(Term(t.of, t.wrt[:order], t.cotangent), [])
            if t.wrt[order] not in names:
                names.append(t.wrt[order])
    return found


def inner_product(a: Node, b: Node) -> Node:
    axes = range(a.rank)
    return einsum([a, b], [axes, axes], ())


def below_functions(tops: Sequence[Node], stands_for: Mapping[Node, Node]) -> frozenset[str]:
    """The inputs below a function of real numbers: any but a whole power, a part, a join, or a user's own."""
    below: set[Node] = set()
    for node in reversed(toposort(tops, stands_for)):
        if node in below or is_of_reals(node):
            below.update(node.operands)
        if node in below and node in stands_for:
            below.add(stands_for[node])
    return frozenset(node.name for node in below if isinstance(node, Input))


def is_of_reals(node: Node) -> bool:
    if not isinstance(node, Call) or node.prim.name in {*SHAPE, OPAQUE.name}:
        return False
    q = node.params[0] if node.prim is POW else None
    return not (isinstance(q, Fraction) and q.denominator == 1)


def derivative_leaves(program: Definitions, tops: Sequence[Node]) -> list[Node]:
    """The derivative leaves below `tops`, those that others are made of first."""
    return [node for node in toposort(tops, program.stands_for) if node in program.derivatives]
