"""lint: Program -> remarks on what is legal in its text and may be misread.

A rule is a row of RULES: it looks at the whole program and yields what it finds. Nothing here changes a meaning; what
a remark says to write instead has the same value, checked by its node where that is not plain.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations, islice, pairwise

from .dims import Dim
from .errors import EinstanError, Span, caret
from .ir import Node, toposort
from .lower import lower_expr
from .programs import Program, parse
from .rules import simplify
from .show.spelling import with_axes
from .show.text import show_expr, show_module
from .syntax import ast, python
from .syntax.check import Checked, Scope, check_expression
from .syntax.factors import ungrouped
from .syntax.lexer import NO_LIMITS
from .syntax.parser import parse_expression, parse_module
from .syntax.roster import names_in

MOST = 20  # remarks of one rule
LETTERS = 3  # of several sizes that are told one by one
LONGEST = 200  # nodes of an explicit sum; longer ones are left alone, so that work stays linear
TIMES = re.compile(r"\*|\\cdot|\\times|·|×")


@dataclass(frozen=True, slots=True)
class Remark:
    """What may be misread: the rule that finds it, one sentence on it, one on what to write instead, and where."""

    rule: str
    message: str
    repair: str
    source: str = ""
    spans: tuple[Span, ...] = ()

    def __str__(self) -> str:
        return "\n".join(part for part in (self.message, caret(self.source, self.spans), self.repair) if part)


Found = Iterator[tuple[str, str, tuple[Span, ...]]]  # message, repair, places


def lint(program: Program) -> tuple[Remark, ...]:
    """The remarks on a program in the order of its text, of each rule the first 20; a program that is made of several
    texts is taken as it prints.

    >>> from einstan import parse
    >>> print(*lint(parse("y[i] = a[i] / b[i] c[i]")))
    a / b c is (a / b) c.
      1 | y[i] = a[i] / b[i] c[i]
                 ^^^^^^^^^^^^^^^^
    Write (a / b) * c, or a / (b c) if that is meant.
    """
    text = Text(program if is_read_as_a_whole(program) else reread(program))
    source = text.checked.module.source
    found = [
        Remark(rule, message, repair, source, tuple(sorted(set(spans) - {ast.NOWHERE})))
        for rule, find in RULES.items()
        for message, repair, spans in islice(find(text), MOST)
    ]
    return tuple(sorted(found, key=lambda remark: remark.spans[:1]))


def is_read_as_a_whole(program: Program) -> bool:
    """Whether the places of all statements are places of the one text that the program has."""
    module = program.checked.module
    again = parse_module(module.source, program.checked.labels, NO_LIMITS)
    here, there = ([s.span for s in m.statements if not isinstance(s, ast.Label)] for m in (module, again))
    return here == there


def reread(program: Program) -> Program:
    return parse(show_module(program.checked.module), functions=program.formulas, limits=NO_LIMITS)


# ---------------------------------------------------------------- what there is to look at


@dataclass(frozen=True, slots=True)
class Place:
    """An index where a tensor has it: `axis` of `tensor`, and its size there."""

    index: ast.Index
    tensor: str
    axis: int
    size: Dim


@dataclass(frozen=True, slots=True)
class Formula:
    """One tree: the body of a definition, a side of a fact, a form of a claim, which may have no legal scope."""

    root: ast.Expr
    scope: Scope | None
    target: ast.Tensor | None = None
    binding: Mapping[str, Dim] = field(default_factory=dict)

    @property
    def nodes(self) -> list[ast.Expr]:
        """Every node, the target last."""
        return [*ast.postorder(self.root), *([self.target] if self.target else [])]

    @property
    def indices(self) -> dict[str, ast.Index]:
        """The indices by name, each at its first place."""
        found: dict[str, ast.Index] = {}
        for index in sorted((i for e in self.nodes for i in ast.indices_of(e)), key=lambda i: i.span):
            found.setdefault(index.name, index)
        return found

    @property
    def free(self) -> frozenset[str]:
        return frozenset(self.scope.axes[id(self.root)]) if self.scope else frozenset()


class Text:
    """A program's formulas."""

    def __init__(self, program: Program) -> None:
        self.program, self.checked = program, program.checked

    @cached_property
    def formulas(self) -> list[Formula]:
        scopes = self.checked.scopes
        bodies = [Formula(d.body, scopes[id(d.body)], d.target) for d in self.checked.definitions.values()]
        sides = [Formula(side, scopes[id(side)]) for fact in self.checked.facts for side in (fact.left, fact.right)]
        return [*bodies, *sides, *(form for claim in self.claims for form in claim)]

    @cached_property
    def claims(self) -> list[list[Formula]]:
        """The forms of every claim."""
        return [
            [
                Formula(tree, form.scope, None, c.binding)
                for tree, form in zip(c.claim.forms, c.forms, strict=True)
            ]
            for c in self.checked.claims
        ]  # fmt: skip

    @cached_property
    def indices(self) -> dict[str, ast.Index]:
        """The indices of the whole program by name, each at its first place."""
        found: dict[str, ast.Index] = {}
        for f in self.formulas:
            for letter, index in f.indices.items():
                found.setdefault(letter, index)
        return found

    @cached_property
    def nodes(self) -> set[Node]:
        """All that the definitions compute with."""
        bodies = self.program.bodies
        return set(toposort([*bodies.values(), *(d.numerator for d in self.program.derivatives.values())]))

    def places(self, f: Formula) -> Iterator[Place]:
        """Where whole axes of tensors have an index: not their parts, nor what is joined end to end."""
        joined = {(id(below), e.index.name) for e in f.nodes if isinstance(e, ast.Concat) for below in ast.postorder(e)}
        for e in f.nodes:
            tensors = e.denominators if isinstance(e, ast.Derivative) else (e,)
            for tensor in tensors:
                if not isinstance(tensor, ast.Tensor):
                    continue
                shape = self.checked.shapes.get(tensor.name, ())
                for axis, (index, size) in enumerate(zip(tensor.indices or (), shape, strict=False)):
                    if index.low is None and (id(e), index.name) not in joined:
                        yield Place(index, tensor.name, axis + 1, size.replace(f.binding))


def small(letter: str) -> str:
    return letter[0].lower() + letter[1:]


# ---------------------------------------------------------------- rules


def index_and_name(text: Text) -> Found:
    """`Z[b,j] = X[b,K] W[K,j] + b[j]`: b is an index and a tensor."""
    nodes = [e for f in text.formulas for e in f.nodes]
    functions = {e.name: e.name_span for e in reversed(nodes) if isinstance(e, ast.Call)}
    tensors = {name: text.checked.uses.get(name) or ast.NOWHERE for name in text.checked.shapes}
    for kind, known in {"tensor": tensors, "function": functions}.items():
        both = sorted(text.indices.keys() & known.keys())
        spans = tuple(span for letter in both for span in (text.indices[letter].span, known[letter]))
        if len(both) == 1:
            yield f"{both[0]} is an index, and the name of a {kind}.", "Rename one of the two.", spans
        elif both:
            yield f"{', '.join(both)} are indices, and names of {kind}s.", "Rename the ones or the others.", spans


def free_and_summed(text: Text) -> Found:
    """`y[j] = A[j,J] x[J]`: j and J are two indices; `exp(z[k]) / sum[k](exp(z[k]))`: so are both k."""
    for f in text.formulas:
        written = f.indices
        for letter in sorted(f.free):
            capital = next((x for x in written if x != letter and small(x) == letter), None)
            if capital is not None:
                yield (
                    f"{letter} is free and {capital} is summed; they are two indices, which nothing ties together.",
                    "Take another letter for one of the two.",
                    (written[letter].span, written[capital].span),
                )
        for e in f.nodes:
            for letter in sorted(gone_of(e) & f.free):
                yield (
                    f"{letter} is a free index of the formula, and {call_name(e)} takes another one of that letter.",
                    f"Take another letter inside {call_name(e)}.",
                    (e.span,),
                )


def gone_of(e: ast.Expr) -> frozenset[str]:
    return e.gone if isinstance(e, ast.Call) else frozenset()


def call_name(e: ast.Expr) -> str:
    assert isinstance(e, ast.Call)
    return f"{e.name}[{','.join(index.name for index in e.along or ())}]"


def two_sizes(text: Text) -> Found:
    """`Y[b,j] = X[b,K] W[K,j]; Z[b,j] = Y[b,K] V[K,j]`: j runs along W first, and along V then."""
    sizes: dict[str, dict[Dim, Place]] = {}
    for f in text.formulas:
        for place in text.places(f):
            sizes.setdefault(small(place.index.name), {}).setdefault(place.size, place)
    several = [sorted(found.values(), key=lambda p: p.index.span)[:2] for found in sizes.values() if len(found) > 1]
    if several:
        more = f"; and so {len(several) - LETTERS} more" if len(several) > LETTERS else ""
        same = " and ".join(f"`size {x} = 5`" for x in dict.fromkeys(place.index.name for place in several[0]))
        yield (
            f"One letter may have several sizes: {'; '.join(map(two_places, several[:LETTERS]))}{more}.",
            f"Take other letters, or write {same} where the sizes are one.",
            tuple(place.index.span for pair in several[:LETTERS] for place in pair),
        )


def two_places(pair: Sequence[Place]) -> str:
    """`K is axis 2 of X and axis 2 of Y`"""
    a, b = pair
    other = "" if a.index.name == b.index.name else f"{b.index.name} "
    return f"{a.index.name} is axis {a.axis} of {a.tensor} and {other}axis {b.axis} of {b.tensor}"


def open_capitals(text: Text) -> Found:
    """`1[V] (A[V,d] ⊙ B[V,d])`: ⊙ leaves V open, which a product would sum."""
    for f in text.formulas:
        for e in f.nodes:
            if f.scope is None or not isinstance(e, ast.Odot):
                continue
            shared = {x for a, b in combinations(e.factors, 2) for x in f.scope.axes[id(a)] if x in f.scope.axes[id(b)]}
            for letter in sorted(x for x in shared if x[0].isupper()):
                yield (
                    f"⊙ does not sum {letter}, which both sides have: what stands around it does.",
                    f"Leave out ⊙ to sum {letter} here, or say where: sum[{small(letter)}](...), "
                    f"with {small(letter)} in lower case.",
                    (e.span,),
                )


def needless_sums(text: Text) -> Found:
    """`sum[i](u[i] v[i])` is `u[I] v[I]`."""
    for f in text.formulas:
        nodes = list(ast.postorder(f.root))
        sums = [e for e in reversed(nodes) if is_sum(e)] if f.scope else []
        factors = {id(k) for e in nodes if isinstance(e, ast.Product | ast.Odot | ast.Power) for k in e.children}
        written = f.indices.keys() if sums else ()
        inside: set[int] = set()
        for e in sums:
            found = None if id(e) in inside else by_capitals(e, f, written, text.checked)
            if found is not None:
                inside.update(map(id, ast.postorder(e)))
                told = show_expr(found)
                repair = f"Write {f'({told})' if id(e) in factors else told}."
                yield "The capitals sum by themselves here.", repair, (e.span,)


def is_sum(e: ast.Expr) -> bool:
    return isinstance(e, ast.Call) and e.name == "sum"


def by_capitals(e: ast.Expr, f: Formula, written: Collection[str], checked: Checked) -> ast.Expr | None:
    """A nest of sums as its body with capitals that are not written yet, where that is the same node."""
    if python.written_size(e) > LONGEST:
        return None
    letters: dict[str, str] = {}
    body = e
    while is_sum(body):
        assert isinstance(body, ast.Call)
        letters |= {index.name: index.name[0].upper() + index.name[1:] for index in body.along or ()}
        body = ungrouped(body.args[0])
    again = any(gone_of(k) & letters.keys() for k in ast.postorder(body))
    if again or any(capital in written for capital in letters.values()):
        return None
    found, own = with_indices(body, letters), alone(checked, names_in(e), f.binding)
    try:
        return found if node_of(found, own) is node_of(e, own) else None
    except EinstanError:
        return None


def alone(checked: Checked, names: Sequence[str], binding: Mapping[str, Dim]) -> Checked:
    """What is known of these names, with the sizes that a claim makes one."""
    return replace(
        checked,
        shapes={x: tuple(d.replace(binding) for d in checked.shapes[x]) for x in names if x in checked.shapes},
        inputs={x: checked.inputs[x] for x in names if x in checked.inputs},
        definitions={x: checked.definitions[x] for x in names if x in checked.definitions},
    )


def node_of(e: ast.Expr, checked: Checked) -> Node:
    """What the text of an expression stands for, its axes by their names."""
    tree = parse_expression(show_expr(e), checked.labels)
    scope, axes = check_expression(tree, checked)
    return simplify([lower_expr(checked, scope, tree, {}, tuple(sorted(axes))).node])[0]


def with_indices(root: ast.Expr, letters: Mapping[str, str]) -> ast.Expr:
    """The tree with other letters for some indices."""
    done: dict[int, ast.Expr] = {}
    for e in ast.postorder(root):
        done[id(e)] = lettered(python.with_operands(e, [done[id(k)] for k in e.children], {}), letters)
    return done[id(root)]


def lettered(e: ast.Expr, letters: Mapping[str, str]) -> ast.Expr:
    """The node with other letters for the indices that are written at it."""

    def named(index: ast.Index) -> ast.Index:
        return replace(index, name=letters.get(index.name, index.name))

    match e:
        case ast.Tensor() if e.indices:
            return replace(e, indices=tuple(map(named, e.indices)))
        case ast.Filled():
            return replace(e, indices=tuple(map(named, e.indices)))
        case ast.Call() if e.along:
            return replace(e, along=tuple(map(named, e.along)))
        case ast.Concat():
            return replace(e, index=named(e.index))
        case ast.Derivative():
            below = (replace(t, indices=tuple(map(named, t.indices or ()))) for t in e.denominators)
            return replace(e, denominators=tuple(below))
        case _:
            return e


def divided_then_multiplied(text: Text) -> Found:
    """`a / b c` is (a / b) c."""
    source = text.checked.module.source
    for f in text.formulas:
        for e in f.nodes:
            if not isinstance(e, ast.Product):
                continue
            between = [source[a.span.end : b.span.start] for a, b in pairwise(e.factors)]
            for n in range(1, len(between)):
                over = e.divides[n] and not e.divides[n + 1]
                if over and "/" in between[n - 1] and not TIMES.search(between[n]):
                    yield (
                        "a / b c is (a / b) c.",
                        "Write (a / b) * c, or a / (b c) if that is meant.",
                        (Span(e.factors[n - 1].span.start, e.factors[n + 1].span.end),),
                    )


def unused(text: Text) -> Found:
    """An input that nothing is computed from, and one that stands in a single form of a claim."""
    checked = text.checked
    defining = {name for d in checked.definitions.values() for name in names_in(d.body)}
    claiming = Counter(name for claim in text.claims for form in claim for name in names_in(form.root))
    for name, letters in checked.inputs.items():
        where, tensor = (checked.uses.get(name) or ast.NOWHERE,), with_axes(name, letters)
        if name not in defining and name not in claiming:
            yield f"Nothing is computed from the input {tensor}.", "Leave it out, or use it.", where
        elif name not in defining and claiming[name] == 1:
            message = f"The input {tensor} stands in one form of one claim, and nowhere else."
            yield message, "Define it, or see whether another name is meant.", where
        elif name not in claiming and text.program.leaves[name] not in text.nodes and not is_measured(text, name):
            message = f"The input {tensor} cancels: no value depends on it."
            yield message, "Leave it out, or see whether another name is meant.", where


def is_measured(text: Text, name: str) -> bool:
    """Whether the sizes of an input are used."""
    return any(isinstance(e, ast.Extent) and e.name == name for f in text.formulas for e in f.nodes)


RULES: dict[str, Callable[[Text], Found]] = {
    "index and name": index_and_name,
    "free and summed": free_and_summed,
    "two sizes": two_sizes,
    "open capitals": open_capitals,
    "needless sum": needless_sums,
    "a / b c": divided_then_multiplied,
    "unused": unused,
}
