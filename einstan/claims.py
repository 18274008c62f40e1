"""claims: the gradient as lines a person reads: one reverse sweep over the statements, names as leaves.

Each line is `∂L/∂Z = ...`, written in names of the program and in cotangents that are lines themselves.
What several lines share, and what has no spelling of its own, gets a short name.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from fractions import Fraction

from .derive import derive, identity
from .facts import Facts, simplify_by
from .ir import (
    Add,
    Call,
    Einsum,
    Input,
    Name,
    Node,
    add,
    name_,
    pattern,
    scale,
    split,
    substitute,
    toposort,
    uses,
    zeros,
)
from .lower import derivative_name
from .prims.opaque import OPAQUE, sees_axes
from .prims.reduce import AMAX, AMIN, REDUCE, SOFTMAX
from .prims.scalar import COMPARISONS, POW, POWER, RELU, SCALAR, SIGMOID, STEP, WHERE, power
from .prims.shape import PART
from .rewrite import normalise
from .rules import LAWS, power_of_multiple, simplify, written_out
from .show.formula import hides, indistinct
from .show.products import orientation

SHARES = (SIGMOID, SOFTMAX)  # their names begin with p
NAMED = {**SCALAR, **REDUCE}.keys() - {POW.name, POWER.name, WHERE.name, *COMPARISONS}
ORDERS = 3  # of derivatives in which roots are found by their names
HELPERS = tuple("uqrsvwzaeg") + tuple(f"u{n}" for n in range(1, 1000))


@dataclass(frozen=True, slots=True)
class Line:
    """`∂L/∂Z = node` (`wrt` is Z), or with `wrt` None the short name `name` for node."""

    name: str
    node: Node
    wrt: str | None


@dataclass(frozen=True, slots=True)
class Statements:
    """The leaves and bodies of a program, definitions before their uses."""

    leaves: Mapping[str, Node]
    bodies: Mapping[str, Node]
    words: frozenset[str] = frozenset()  # indices, functions: no short name is called like one
    facts: Facts = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines in reading order, and the (numerator, denominator) of every derivative leaf in them."""

    lines: list[Line]
    derivatives: dict[Node, tuple[str, str]]


def sweep(program: Statements, of: str, wrt: Sequence[str]) -> Lines:
    """The lines that lead from `of` to every name of `wrt`, and no others."""
    names: list[Line] = []
    derivatives: dict[Node, tuple[str, str]] = {}
    own_names = program.leaves.keys()
    program = name_opaque_arguments(program, names)
    top = program.leaves[of]
    bodies = definitions(program)
    order = [node for node in toposort([top], bodies) if isinstance(node, Input | Name)]
    active = depending(order, program, {program.leaves[name] for name in wrt})
    cotangents: dict[Node, list[Node]] = {}
    lines: dict[str, Node] = {}
    slopes: dict[Node, Node] = {}
    called = names_of_bodies(program)
    for leaf in reversed(order):
        if leaf not in active:
            continue
        name = leaf_name(leaf)
        shape = top.shape + leaf.shape
        if leaf is top:
            seed = identity(leaf)
        elif name not in own_names:  # the statements of the program do not use it
            seed = add([(1, part) for part in cotangents.get(leaf, ())], shape)
        else:
            seed = name_(derivative_name(of, [name]), shape)
            derivatives[seed] = (of, name)
            lines[name] = add([(1, part) for part in cotangents.get(leaf, ())], shape)
        if name in program.bodies:
            body = program.bodies[name]
            below = [x for x in toposort([body]) if x in active]
            slopes |= known_slopes(leaf, body, derivatives, bodies)
            own = {node: form for node, form in named_forms(leaf, body) if not loses_ties(node, called)}
            for x, ct in zip(below, derive(body, seed, below), strict=True):
                cotangents.setdefault(x, []).extend(substitute([ct], ChainMap(own, slopes, called)))
    if of in wrt:
        lines[of] = identity(top)
    for name in wrt:
        lines.setdefault(name, zeros(top.shape + program.leaves[name].shape))
    return Lines(finish(program, of, wrt, lines, names), derivatives)


def definitions(program: Statements) -> dict[Node, Node]:
    return {program.leaves[name]: body for name, body in program.bodies.items()}


def leaf_name(leaf: Node) -> str:
    assert isinstance(leaf, Input | Name)
    return leaf.name


def depending(order: Iterable[Node], program: Statements, wrt: set[Node]) -> set[Node]:
    """The leaves that are in `wrt` or whose body holds such a leaf; `order` has bodies first."""
    active: set[Node] = set()
    for leaf in order:
        body = program.bodies.get(leaf_name(leaf))
        if leaf in wrt or (body is not None and any(x in active for x in toposort([body]))):
            active.add(leaf)
    return active


def names_of_bodies(program: Statements) -> dict[Node, Node]:
    """What each body is called, and what else its name says."""
    table: dict[Node, Node] = {}
    for name, body in program.bodies.items():
        for node, called in named_forms(program.leaves[name], body):
            table.setdefault(node, called)
    return {node: called for node, called in table.items() if not loses_ties(node, table)}


def loses_ties(node: Node, named: Mapping[Node, Node]) -> bool:
    """Whether the node is an extremum over a formula without a name: an entry of the formula is sure to equal it only
    where both are read from one text, x[i] y[i] == max[j](x[j] y[j])."""
    if not (isinstance(node, Call) and node.prim in (AMAX, AMIN)):
        return False
    over = base_leaf(node.operands[0])
    return over not in named and not isinstance(over, Input | Name)


def named_forms(leaf: Node, body: Node) -> list[tuple[Node, Node]]:
    """(body, leaf); what the body is a transposition or a multiple of; of a root x^q its slopes, x^(q-1)
    and further; of a relu its step."""
    core = base_leaf(body)
    found = [(body, leaf)]
    if core is not body:
        assert isinstance(body, Einsum)
        found.append((core, pattern(leaf, body.out, body.labels[0], {})))
    coef, rest = split(body)
    if coef.rational and not coef.is_one:
        found.append((rest, scale(coef.power(-1), leaf)))
    if isinstance(body, Call) and body.prim is POW:
        (q,) = body.params
        assert isinstance(q, Fraction)
        lower = [q - n for n in range(1, ORDERS + 1) if q.denominator > 1 and ((q - n) / q).denominator == 1]
        found += [(power(body.operands[0], r), power(leaf, r / q)) for r in lower]
    if isinstance(body, Call) and body.prim is RELU:
        found.append((STEP(*body.operands), STEP(leaf)))
    return [(node, called) for node, called in found if worth_a_name(node)]


def worth_a_name(node: Node) -> bool:
    """Whether the node is more than a leaf, a pattern or a multiple of one."""
    if isinstance(node, Einsum):
        return not node.is_pattern
    return isinstance(node, Call) or (isinstance(node, Add) and len(node.operands) > 1)


# ---------------------------------------------------------------- opaque calls


def name_opaque_arguments(program: Statements, names: list[Line]) -> Statements:
    """Every opaque call that sees axes becomes a statement of its own, of named arguments; `names` get the new ones."""
    leaves, bodies = dict(program.leaves), {}
    free = iter(x for x in HELPERS if x not in leaves and x not in program.words)

    def named(node: Node) -> Node:
        if isinstance(seen_leaf(node), Input | Name):
            return node
        name = next(free)
        leaves[name], bodies[name] = name_(name, node.shape), node
        names.append(Line(name, node, None))
        return leaves[name]

    for name, body in program.bodies.items():
        table: dict[Node, Node] = {}
        for node in toposort([body]):
            if isinstance(node, Call) and node.prim is OPAQUE and sees_axes(node):
                args = [named(substitute([o], table)[0]) for o in node.operands]
                rebuilt = OPAQUE(*args, params=node.params)
                own = base_leaf(body) is node and all(leaf_name(seen_leaf(a)) in program.leaves for a in args)
                table[node] = rebuilt if own else named(rebuilt)
        bodies[name] = substitute([body], table)[0] if table else body
    return Statements(leaves, bodies, program.words, program.facts)


def base_leaf(node: Node) -> Node:
    """What a transposition is of."""
    if isinstance(node, Einsum) and node.is_pattern and node.operands and sorted(node.labels[0]) == sorted(node.out):
        return node.operands[0]
    return node


def seen_leaf(node: Node) -> Node:
    """What an argument of an opaque function is of: transposed, or the same for every row."""
    if isinstance(node, Einsum) and node.is_pattern and node.operands and len(set(node.out)) == node.rank:
        (own,), (leaf,) = node.labels, node.operands
        return leaf if len(set(own)) == len(own) else node
    return node


def known_slopes(
    leaf: Node, body: Node, derivatives: dict[Node, tuple[str, str]], bodies: Mapping[Node, Node]
) -> dict[Node, Node]:
    """∂f of the statement X = f(Z) as the diagonal part of the leaf ∂X/∂Z, for each named argument Z that no other
    argument is made of."""
    y = base_leaf(body)
    if not (isinstance(y, Call) and y.prim is OPAQUE and sees_axes(y)):
        return {}
    name, lead, new, slots = y.params
    assert isinstance(lead, int)
    if slots:
        return {}
    own = tuple(range(y.rank))
    shown = body.out if isinstance(body, Einsum) else own
    inner = body.labels[0] if isinstance(body, Einsum) else own
    found = {}
    for k, argument in enumerate(y.operands):
        z = seen_leaf(argument)
        if any(z in toposort([o], bodies) for n, o in enumerate(y.operands) if n != k):
            continue
        slope = OPAQUE(*y.operands, params=(name, lead, new, (k,)))
        places = [*inner[:lead], *range(100, 100 + argument.rank - lead)]
        if isinstance(argument, Einsum):
            at = dict(zip(argument.out, places, strict=True))
            places_of_z = [at[label] for label in argument.labels[0]]
        else:
            places_of_z = places
        both = name_(derivative_name(leaf_name(leaf), [leaf_name(z)]), leaf.shape + z.shape)
        derivatives[both] = (leaf_name(leaf), leaf_name(z))
        found[slope] = pattern(both, (*shown, *places_of_z), (*inner, *places[lead:]), {})
    return found


# ---------------------------------------------------------------- from nodes to lines


def finish(program: Statements, of: str, wrt: Sequence[str], lines: dict[str, Node], names: list[Line]) -> list[Line]:
    """The lines that `wrt` needs, simplified together, with short names for what they share."""
    needed = reachable(of, wrt, lines)
    inner = [name for name in lines if name in needed and name not in wrt]
    kept = [*inner, *(name for name in lines if name in wrt and name in program.bodies)]
    kept += [name for name in wrt if name in lines and name not in program.bodies]
    nodes = simplify_by(program.facts, LAWS, simplify)([lines[name] for name in kept])
    helpers, nodes = name_shared(nodes, {*program.leaves, *program.words})
    claims = [Line(derivative_name(of, [name]), node, name) for name, node in zip(kept, nodes, strict=True)]
    claims = [c for c in claims if c.wrt in wrt or not is_own_leaf(c)]
    return [*names, *interleave(helpers, claims)]


def is_own_leaf(claim: Line) -> bool:
    """∂L/∂X = ∂L/∂X, where X is an argument of an opaque L."""
    return isinstance(claim.node, Name) and claim.node.name == claim.name


def reachable(of: str, wrt: Sequence[str], lines: Mapping[str, Node]) -> set[str]:
    """The names whose lines `wrt`'s lines are written in, all the way."""
    by_leaf = {derivative_name(of, [name]): name for name in lines}
    found: set[str] = set()
    waiting = [name for name in wrt if name in lines]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            below = (x.name for x in toposort([lines[name]]) if isinstance(x, Name))
            waiting.extend(by_leaf[x] for x in below if x in by_leaf)
    return found


def is_large(node: Node, weight: int) -> bool:
    """Whether a part that stands in two places is worth a name; `weight` is the number of leaves in it."""
    return weight >= 3 and worth_a_name(node) and not (isinstance(node, Call) and node.prim is POW)


def or_function(node: Node, weight: int) -> bool:
    """The same, or a function: of second order softmax(Z[b,c]) would stand at every place of p[b,c]."""
    return is_large(node, weight) or (isinstance(node, Call) and node.prim.name in NAMED)


def name_shared(
    nodes: Sequence[Node], taken: Set[str], worth: Callable[[Node, int], bool] = is_large
) -> tuple[list[tuple[Node, Line]], list[Node]]:
    """Short names for parts worth one that stand in two places, then for parts of unnamed expressions."""
    letters = Letters(set(taken))
    count = uses(nodes)
    shared, found = named(nodes, lambda n, weight: count[n] > 1 and worth(n, weight), letters)
    roots = [*found, *(line.node for _, line in shared)]
    unspelled = {o for n in toposort(roots) for o in without_spelling(n) if not isinstance(o, Input | Name)}
    parts, roots = named(roots, lambda n, weight: n in unspelled, letters)
    bodies = roots[len(found) :]
    shared = [(leaf, replace(line, node=body)) for (leaf, line), body in zip(shared, bodies, strict=True)]
    return [*parts, *shared], roots[: len(found)]


def named(
    nodes: Sequence[Node], chosen: Callable[[Node, int], bool], letters: Letters
) -> tuple[list[tuple[Node, Line]], list[Node]]:
    """Short names for the chosen nodes, told each with its number of leaves, and the nodes written in these."""
    weight: dict[Node, int] = {}
    table: dict[Node, Node] = {}
    helpers: list[tuple[Node, Line]] = []
    for n in toposort(nodes):
        weight[n] = max(1, sum(weight[o] for o in n.operands))
        if chosen(n, weight[n]):
            leaf = name_(letters.next(n), n.shape)
            sign = orientation(n)
            helpers.append((leaf, Line(leaf.name, scale(sign, written(n, table)), None)))
            table[n] = scale(sign, leaf)
            weight[n] = 1
    return helpers, [written(node, table) for node in nodes]


def written(node: Node, table: Mapping[Node, Node]) -> Node:
    """The node over its short names; (-u)^2 is u^2."""
    return normalise(substitute([node], table), (power_of_multiple,))[0]


@dataclass(slots=True)
class Letters:
    """Short names that are free."""

    taken: set[str]

    def next(self, node: Node) -> str:
        """p for probabilities, else the first that is free."""
        first = ["p"] if isinstance(node, Call) and node.prim in SHARES else []
        name = next(x for x in [*first, *HELPERS] if x not in self.taken)
        self.taken.add(name)
        return name


def without_spelling(node: Node) -> list[Node]:
    """Operands that need a name: what a part is of, and factors in which a summed index is shared."""
    if isinstance(node, Call) and node.prim is PART:
        return [o for o in node.operands if not (isinstance(o, Call) and o.prim is PART)]
    if not isinstance(node, Einsum):
        return []
    found = []
    flat = written_out(node)
    for o, own in flat.factors if isinstance(flat, Einsum) else ():
        assert isinstance(flat, Einsum)
        summed = (tuple(n for n, x in enumerate(own) if x == label) for label in flat.summed)
        if indistinct(o, own) or any(hides(o, axes) for axes in summed):
            found.append(o)
    return found


def interleave(helpers: Sequence[tuple[Node, Line]], claims: Sequence[Line]) -> list[Line]:
    """Each short name just before the first line that uses it."""
    waiting = dict(helpers)
    meanings = {leaf: line.node for leaf, line in helpers}
    lines: list[Line] = []
    for claim in claims:
        lines.extend(waiting.pop(x) for x in toposort([claim.node], meanings) if x in waiting)
        lines.append(claim)
    return lines
