"""quantities: what a program speaks of, as factors that a claim may lack: names, functions, derivatives.

Each is a formula in letters of its own with the sizes of these letters; in a claim it takes the claim's letters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from ..dims import Dim
from ..show.spelling import shown
from ..show.text import show_expr
from ..syntax.ast import Call, Concat, Derivative, Expr, Extent, Filled, Group, Index, Power, Product, Tensor, postorder
from ..syntax.check import Checked, Scope
from ..syntax.roster import names_in
from .drafts import Piece, renamed

Sizes = Mapping[str, frozenset[Dim]]  # by letter: of the axes where a claim writes it; none where that is open
Shapes = Mapping[str, tuple[Dim, ...]]
Hints = Mapping[str, tuple[str, ...]]  # a letter for every axis of a name
MANY = 64  # ways to give a quantity the letters of a claim


@dataclass(frozen=True, slots=True)
class Quantity:
    """`tree` in the letters `axes`; `over`: it is divided by."""

    tree: Expr
    axes: tuple[str, ...]
    dims: tuple[Dim, ...]
    over: bool = False

    def written(self, letters: Sizes) -> Iterator[Expr]:
        """The quantity in letters of a claim, each of the size of its axis; free letters first, of derivatives those
        that are summed: ∂Y[K]/∂X[j]. No tensor has a letter twice."""
        slope = isinstance(self.tree, Derivative)
        order = sorted(letters, key=lambda x: x[0].isupper() != slope)
        choices = [[x for x in order if not letters[x] or d in letters[x]] for d in self.dims]
        count = 0
        for chosen in product(*choices):
            if slope or len(set(chosen)) == len(chosen):
                yield renamed(self.tree, dict(zip(self.axes, chosen, strict=True)))
                count += 1
                if count == MANY:
                    return


def quantities(checked: Checked, hints: Hints) -> list[Quantity]:
    """What the text speaks of: names, sizes, what it writes as a factor, derivatives of the functions in it."""
    found = [Quantity(tensor(name, own), own, checked.shapes[name]) for name, own in hints.items()]
    found += [*written_factors(checked), *slopes(checked), *extents(checked), *deltas(checked)]
    return list({(show_expr(canonical(q)), q.over): q for q in reversed(found)}.values())[::-1]


def canonical(q: Quantity) -> Expr:
    return renamed(q.tree, {x: f"a{n}" if x[0].islower() else f"A{n}" for n, x in enumerate(q.axes)})


def tensor(name: str, letters: Sequence[str]) -> Tensor:
    return Tensor(name, tuple(map(Index, letters)))


def written_factors(checked: Checked) -> Iterator[Quantity]:
    """What stands as a factor in definitions and claims and is more than a name; functions, derivatives, parts."""
    for root, scope in scoped(checked):
        for e in postorder(root):
            if isinstance(e, Call | Derivative) or is_part(e):
                yield from in_scope(e, scope)
            if isinstance(e, Product):
                for factor, over in zip(e.factors, e.divides, strict=True):
                    if over or isinstance(factor, Group | Power | Concat):
                        yield from in_scope(factor, scope, over)


def is_part(e: Expr) -> bool:
    return isinstance(e, Tensor) and any(index.low is not None for index in e.indices or ())


def scoped(checked: Checked) -> Iterator[tuple[Expr, Scope]]:
    """Every body and every legal form of a claim, with what is known of its sizes."""
    for claim in checked.claims:
        for form, judged in zip(claim.claim.forms, claim.forms, strict=True):
            if judged.scope is not None:
                yield form, judged.scope
    for definition in checked.definitions.values():
        yield definition.body, checked.scopes[id(definition.body)]


def in_scope(e: Expr, scope: Scope, over: bool = False) -> Iterator[Quantity]:
    """`e` over the letters that it shows."""
    sizes = {**scope.axes.get(id(e), {}), **scope.summed.get(id(e), {})}
    axes = tuple(sorted(shown(e)))
    if all(x in sizes for x in axes):
        yield Quantity(e, axes, tuple(sizes[x] for x in axes), over)


def slopes(checked: Checked) -> Iterator[Quantity]:
    """f'(x[i]) for the functions of one argument that act entry by entry in definitions."""
    for definition in checked.definitions.values():
        for e in postorder(definition.body):
            if isinstance(e, Call) and e.along is None and len(e.args) == 1 and has_letters(e.args[0]):
                for q in in_scope(e, checked.scopes[id(definition.body)]):
                    yield replace(q, tree=replace(e, primes=e.primes + 1))


def has_letters(e: Expr) -> bool:
    """No whole tensor, of which a function takes in all entries."""
    return not isinstance(e, Tensor) or bool(e.indices)


def extents(checked: Checked) -> Iterator[Quantity]:
    """The size of each axis, as a factor and below a division."""
    axes = {d: (name, n) for name in checked.inputs for n, d in enumerate(checked.shapes[name])}
    for name, n in axes.values():
        for over in (False, True):
            yield Quantity(Extent(name, n), (), (), over)


def row_sums(checked: Checked, hints: Hints) -> Iterator[Quantity]:
    """`(T[i,J] 1[J])` for every axis of every name."""
    for name, own in hints.items():
        for n, letter in enumerate(own):
            up = letter[0].upper() + letter[1:]
            factors = tensor(name, (*own[:n], up, *own[n + 1 :])), Filled(1, (Index(up),))
            dims = checked.shapes[name]
            tree = Group(Product(factors, (False, False)))
            yield Quantity(tree, (*own[:n], *own[n + 1 :]), (*dims[:n], *dims[n + 1 :]))


def deltas(checked: Checked) -> Iterator[Quantity]:
    """Kronecker's delta of every size."""
    for d in dict.fromkeys(d for name in checked.shapes for d in checked.shapes[name]):
        yield Quantity(tensor("delta", ("a1", "a2")), ("a1", "a2"), (d, d))


def derivatives(checked: Checked, hints: Hints, tops: Collection[str]) -> Iterator[Quantity]:
    """∂L/∂X for these names by all that they are made of; ∂Y/∂X where a function along indices makes Y of X."""
    pairs = [(top, name) for top in checked.order if top in tops for name in below_name(checked, top)]
    for name, definition in checked.definitions.items():
        along = [e for e in postorder(definition.body) if isinstance(e, Call) and e.along is not None]
        pairs += [(name, x) for e in along for k in e.args for x in sorted(names_in(k)) if x in checked.shapes]
    for top, name in dict.fromkeys(pairs):
        axes = tuple(f"a{n}" for n in range(len(hints[top]) + len(hints[name])))
        above, below = tensor(top, axes[: len(hints[top])]), tensor(name, axes[len(hints[top]) :])
        yield Quantity(Derivative(above, (below,)), axes, checked.shapes[top] + checked.shapes[name])


def below_name(checked: Checked, top: str) -> Iterable[str]:
    """The names that a name is made of, the nearest first."""
    needed = {top}
    for name in reversed(checked.order):
        if name in needed:
            needed.update(names_in(checked.definitions[name].body))
    return [name for name in (*reversed(checked.order), *checked.inputs) if name in needed and name != top]


def head(e: Expr) -> tuple[str, ...] | None:
    """The name that a tensor or a derivative has, whatever its letters."""
    if isinstance(e, Derivative) and isinstance(e.numerator, Tensor):
        return (e.numerator.name, *(below.name for below in e.denominators))
    return (e.name,) if isinstance(e, Tensor) else None


def letters_of(pieces: Iterable[tuple[Index, Dim | None]]) -> Sizes:
    """The sizes of the axes at which each letter stands."""
    found: dict[str, set[Dim]] = {}
    for index, dim in pieces:
        found.setdefault(index.name, set()).update([dim] if dim is not None else [])
    return {name: frozenset(dims) for name, dims in found.items()}


def places(pieces: Iterable[Piece], shapes: Shapes) -> Iterator[tuple[Index, Dim | None]]:
    """Every index with the size of its axis, None where it is a part or no name says it."""
    for e in pieces:
        if isinstance(e, Tensor) and len(e.indices or ()) == len(shapes.get(e.name, ())):
            for index, dim in zip(e.indices or (), shapes.get(e.name, ()), strict=True):
                yield index, dim if index.low is None else None
        elif isinstance(e, Tensor | Filled | Call):
            own = e.indices if isinstance(e, Tensor | Filled) else e.along
            yield from ((index, None) for index in own or ())
