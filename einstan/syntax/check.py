"""check: Module -> Checked: every name, index and size of a program accounted for, or an error that says where.

Names come first (what is defined, what is an input, in which order), then each tree bottom-up (scope.py),
then all sizes at once. Claims are read last and change nothing: a form with an index error keeps its error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from typing import cast

from ..dims import Dim, SizeClash, Sizes
from ..errors import EinstanError, EinstanIndexError, EinstanNameError, EinstanShapeError, Span
from .arrays import size_mismatch
from .ast import Claim, Definition, Derivative, Expr, Fact, Label, Module, SizeIs, Tensor
from .checked import Checked, CheckedClaim, CheckedForm
from .indices import read
from .layer import layered, own_entries, restore
from .roster import Roster, definition_order, undefined_inputs
from .scope import Axes, Equation, Formula, Known, Part, Reader, Scope, Side, is_unknown

__all__ = [
    "Checked",
    "CheckedClaim",
    "CheckedForm",
    "Equation",
    "Formula",
    "Part",
    "Scope",
    "Side",
    "check",
    "check_expression",
    "check_form",
    "size_mismatch",
]


def check(module: Module, context: Checked | None = None, formulas: Iterable[Formula] = ()) -> Checked:
    """The program `module`, read after the program `context` if there is one; `formulas` are functions it may call.

    Raises EinstanIndexError, EinstanShapeError, EinstanNameError, EinstanSyntaxError; but an index or size
    error inside a claim is kept with the claim.
    """
    return Program(module, context, formulas).checked()


def check_expression(expr: Expr, context: Checked, source: str = "") -> tuple[Scope, dict[str, Dim]]:
    """The scope of an expression in a program's context, and its free indices in order of first appearance."""
    program = Program(Module((), source), context, ())
    program.roster.read(expr)
    program.roster.settle(allow_inputs=False)
    reader = Reader(program.known)
    axes = program.read(reader, expr)
    program.codomains(reader.results)
    program.follow(reader.unknown)
    return reader.scope(program.resolve), {name: program.resolve(side.dim) for name, side in axes.items()}


def check_form(
    form: Expr, before: Mapping[str, Dim], context: Checked, source: str = ""
) -> tuple[CheckedForm, dict[str, Dim]]:
    """A form of a claim in a program's context, after one with the free indices `before`, which a derivative without
    indices takes; and what it makes of the context's sizes.

    Raises the EinstanIndexError or EinstanShapeError that a claim would keep.
    """
    program = Program(Module((), source), context, ())
    program.roster.read(form)
    program.roster.settle(allow_inputs=False)
    first = {name: Side(d, "the form before", Span(0, 0)) for name, d in before.items()}
    bare = isinstance(form, Derivative) and is_bare(form, program.known.shapes)
    others: list[tuple[Reader, Axes] | EinstanError] = [(Reader(program.known), first)]
    result = program.bare_head(cast(Derivative, form), others) if bare else program.form(form, first)
    found = program.finished(result)
    if found.error is not None:
        raise found.error
    return found, {s: program.resolve(Dim.symbol(s)) for s in dict(own_entries(program.sizes))}


class Program:
    """The state of one check; the steps are in `checked`."""

    def __init__(self, module: Module, context: Checked | None, formulas: Iterable[Formula]) -> None:
        self.module, self.context = module, context
        self.roster = Roster(module.source, context, by_name(formulas, context))
        self.sizes = layered(context.sizes) if context else Sizes()
        self.readers: list[tuple[Expr, Reader]] = []
        shapes = {n: raw_shape(n, dims) for n, dims in context.shapes.items()} if context else {}
        fixed = dict(context.fixed) if context else {}
        self.known = Known(self.sizes, shapes, self.roster.uses, fixed, module.source, self.roster.formulas)
        self.memo: dict[Dim, Dim] = {}
        self.left_only: list[tuple[str, Side, Tensor]] = []

    def checked(self) -> Checked:
        context, statements = self.context, self.module.statements
        self.known.fixed.update(fixed_sizes(statements, self.module.source))
        self.roster.read_all(statements)
        self.roster.settle(allow_inputs=True)
        definitions = self.roster.definitions
        order = definition_order(definitions, self.module.source)
        inputs = undefined_inputs(self.roster)
        self.known.shapes.update({n: input_shape(n, hints, self.roster) for n, hints in inputs.items()})
        for name in order:
            self.define(definitions[name])
        facts = tuple(s for s in statements if isinstance(s, Fact))
        for fact in facts:
            self.fact(fact)
        self.recheck()
        self.codomains([place for _, reader in self.readers for place in reader.results])
        self.follow([place for _, reader in self.readers for place in reader.unknown])
        self.known_left_sides()
        claims = tuple(self.claim(s) for s in statements if isinstance(s, Claim))
        labels = tuple(letter for s in statements if isinstance(s, Label) for letter in s.letters)
        return Checked(
            module=self.module if context is None else joined(context.module, self.module),
            inputs=inputs if context is None else {**context.inputs, **inputs},
            functions={name: arity for name, (arity, _) in self.roster.functions.items()},
            formulas=self.roster.formulas,
            shapes={n: tuple(self.resolve(side.dim) for side in shape) for n, shape in self.known.shapes.items()},
            definitions=definitions if context is None else {**context.definitions, **definitions},
            order=order if context is None else context.order + order,
            claims=claims if context is None else self.claims_before() + claims,
            facts=facts if context is None else context.facts + facts,
            labels=labels if context is None else context.labels + labels,
            scopes=self.scopes() if context is None else {**self.scopes_before(), **self.scopes()},
            equations=self.recorded_equations(),
            parts=tuple(part for _, reader in self.readers for part in reader.parts),
            uses=self.roster.uses,
            sizes=self.sizes,
            fixed=self.known.fixed,
        )

    def recorded_equations(self) -> tuple[Equation, ...]:
        before = self.context.equations if self.context else ()
        return before + tuple(equation for _, reader in self.readers for equation in reader.equations)

    def scopes(self) -> dict[int, Scope]:
        """By the id of the root."""
        return {id(root): reader.scope(self.resolve) for root, reader in self.readers}

    def sizes_grown(self) -> bool:
        """Whether a size of the context has another symbol now: that of an axis which the statements brought."""
        before = self.context.shapes.values() if self.context else ()
        return any(self.resolve(d) != d for shape in before for d in shape)

    def scopes_before(self) -> Mapping[int, Scope]:
        assert self.context is not None
        before = self.context.scopes
        return {key: scope.resolved(self.resolve) for key, scope in before.items()} if self.sizes_grown() else before

    def claims_before(self) -> tuple[CheckedClaim, ...]:
        assert self.context is not None
        return tuple(map(self.claim_resolved, self.context.claims)) if self.sizes_grown() else self.context.claims

    def claim_resolved(self, claim: CheckedClaim) -> CheckedClaim:
        forms = tuple(
            replace(
                form,
                scope=form.scope and form.scope.resolved(self.resolve),
                axes={name: self.resolve(d) for name, d in form.axes.items()},
            )
            for form in claim.forms
        )
        return replace(claim, forms=forms)

    def resolve(self, dim: Dim) -> Dim:
        if dim not in self.memo:
            self.memo[dim] = self.sizes.resolve(dim)
        return self.memo[dim]

    # ---------------------------------------------------------------- statements

    def read(self, reader: Reader, root: Expr) -> Axes:
        """The free indices of a tree; sizes |K| find their index."""
        axes = read(reader, root)
        for name, side in reader.waiting.get(id(root), ()):
            reader.one_size(name, side, self.size_of_index(reader, name, side))
        return axes

    def size_of_index(self, reader: Reader, name: str, side: Side) -> Side:
        """|K| outside the scope of an index K: of the tensor K with one axis, else of the sums over K."""
        shape = self.known.shapes.get(name, ())
        if len(shape) == 1:
            return shape[0]
        found = [axes[name] for axes in reader.summed.values() if name in axes]
        found += [axes[name] for axes in reader.axes.values() if name in axes][:1]
        if not found and name in self.known.fixed:
            return self.known.fixed[name]
        if not found:
            raise reader.error(
                EinstanIndexError,
                f"{name} is no index of this formula, and no tensor with one axis.",
                "Write size(h,1) for the first axis of h.",
                side.span,
            )
        if len({self.sizes.resolve(one.dim) for one in found}) > 1:
            raise reader.error(
                EinstanIndexError,
                f"{name} is summed in several places of this formula, over different axes.",
                "Write size(h,1) for the first axis of h.",
                side.span,
                *(one.span for one in found[:2]),
            )
        return found[0]

    def define(self, definition: Definition) -> None:
        reader, target = Reader(self.known), definition.target
        indices = target.indices or ()
        for index in indices:
            if index.capital or index.low is not None:
                raise reader.error(
                    EinstanIndexError,
                    f"The left side has the index {index.name}; its indices are plain and in lower case.",
                    f"Write {index.name[0].lower() + index.name[1:]} there.",
                    index.span,
                )
        axes = self.read(reader, definition.body)
        names = [index.name for index in indices]
        for name, side in axes.items():
            if name not in names:
                raise self.lost(reader, name, side, target)
        shape = []
        for index in indices:
            if index.name not in axes:
                fresh = Side(self.sizes.fresh(), target.name, index.span)
                axes = {**axes, index.name: fresh}
                self.left_only.append((index.name, fresh, target))
                reader.fixed(index.name, fresh)
            side = axes[index.name]
            shape.append(Side(side.dim, target.name, index.span, side.parts))
        self.known.shapes[target.name] = tuple(shape)
        self.readers.append((definition.body, reader))

    def lost(self, reader: Reader, name: str, side: Side, target: Tensor) -> EinstanError:
        listed = ",".join([*(i.name for i in target.indices or ()), name])
        capital = name[0].upper() + name[1:]
        return reader.error(
            EinstanIndexError,
            f"The index {name} is lost: it is free on the right, and not on the left.",
            f"Write {target.name}[{listed}] on the left, or sum it: {capital} in both places, or sum[{name}](...). "
            f"If {name} is part of a name, write `label {name}`.",
            side.span,
            target.span,
        )

    def known_left_sides(self) -> None:
        """An index only on the left needs a size that follows from elsewhere."""
        for name, side, target in self.left_only:
            if any(s.startswith("?") for s in self.resolve(side.dim).symbols):
                raise EinstanIndexError(
                    f"The index {name} is only on the left, and its size does not follow.",
                    f"Use it on the right, write 1[{name}] and `size {name} = 5`, or leave it out. "
                    f"If {name} is part of a name, write `label {name}`.",
                    source=self.module.source,
                    spans=(side.span, target.span),
                )

    def fact(self, fact: Fact) -> None:
        left, right = Reader(self.known), Reader(self.known)
        shared = {**self.read(left, fact.left)}
        for name, side in self.read(right, fact.right).items():
            if name in shared:
                right.one_size(name, shared[name], side)
        self.readers += [(fact.left, left), (fact.right, right)]

    def follow(self, places: Iterable[tuple[str, Side]]) -> None:
        """Every size follows from an input's axis or from `size n = 5`."""
        for name, side in places:
            if any(s.startswith("?") for s in self.sizes.resolve(side.dim).symbols):
                raise EinstanShapeError(
                    f"The size of {name} does not follow from any input.",
                    f"Write `size {name} = 5`, or use {name} on a tensor in the same scope.",
                    source=self.module.source,
                    spans=(side.span,),
                )

    def codomains(self, places: Iterable[tuple[str, Side]]) -> None:
        """A new axis of an opaque function has the size it has elsewhere, else one that the function decides."""
        known: dict[str, set[Dim]] = {}
        unknown = []
        for symbol, side in places:
            dim = self.sizes.resolve(side.dim)
            if is_unknown(dim):
                unknown.append((symbol, dim))
            else:
                known.setdefault(symbol, set()).add(dim)
        for symbol, dim in unknown:
            one = known.get(symbol, set())
            self.sizes.unify(dim, next(iter(one)) if len(one) == 1 else Dim.symbol(symbol))

    def recheck(self) -> None:
        """Equations that no symbol solved at first are tried again, now that more is known."""
        try:
            self.sizes.recheck()
        except SizeClash:
            for _, reader in self.readers:
                for e in reader.equations:
                    left, right = self.sizes.resolve(e.left.dim), self.sizes.resolve(e.right.dim)
                    if (left - right).value:
                        raise reader.clash(e.index, replace(e.left, dim=left), replace(e.right, dim=right)) from None
            raise AssertionError("a size clash comes from an equation; this is a bug of einstan") from None
        for left, right in self.sizes.open[:1]:
            raise self.undecided(left, right)

    def undecided(self, left: Dim, right: Dim) -> EinstanShapeError:
        """Two sizes that must be one, such as 2 n and 3 m: no size of an input follows from that."""
        places = [
            side.span
            for _, reader in self.readers
            for e in reader.equations
            if self.sizes.resolve(e.left.dim) != self.sizes.resolve(e.right.dim)
            for side in (e.left, e.right)
        ]
        return EinstanShapeError(
            f"The sizes {left} and {right} must be equal, and neither follows from that.",
            "Say one of them, e.g. `size k = 6`.",
            source=self.module.source,
            spans=tuple(span for span in places if span is not None)[:4],
        )

    # ---------------------------------------------------------------- claims

    def claim(self, claim: Claim) -> CheckedClaim:
        """Each form in sizes of the claim's own, which a form with an error leaves as they were."""
        own = layered(self.sizes)
        trial = copy(self)
        trial.sizes, trial.memo, trial.known = own, {}, replace(self.known, sizes=own)
        head = claim.forms[0]
        bare = isinstance(head, Derivative) and is_bare(head, self.known.shapes)
        raw: list[tuple[Reader, Axes] | EinstanError] = []
        before: Axes = {}
        for form in claim.forms[1:] if bare else claim.forms:
            result = trial.form(form, before)
            raw.append(result)
            before = before if isinstance(result, EinstanError) else result[1]
        if bare:
            raw.insert(0, trial.bare_head(cast(Derivative, head), raw))
        forms = tuple(trial.finished(result) for result in raw)
        binding = {s: own.resolve(Dim.symbol(s)) for s in dict(own_entries(own))}
        return CheckedClaim(claim, forms, binding)

    def form(self, form: Expr, before: Axes) -> tuple[Reader, Axes] | EinstanError:
        saved = dict(own_entries(self.sizes))
        reader = Reader(self.known)
        try:
            axes = self.read(reader, form)
            for name, side in axes.items():
                if name in before:
                    reader.one_size(name, before[name], side)
            self.codomains(reader.results)
            self.follow(reader.unknown)
            for left, right in self.sizes.open[:1]:
                raise self.undecided(left, right)
        except (EinstanIndexError, EinstanShapeError) as error:
            restore(self.sizes, saved)
            self.sizes.open.clear()
            return error
        return reader, axes

    def bare_head(
        self, head: Derivative, others: list[tuple[Reader, Axes] | EinstanError]
    ) -> tuple[Reader, Axes] | EinstanError:
        """`∂L/∂W` at the head of a claim takes the free indices of the next form, in their order."""
        tensors = [head.numerator, *head.denominators]
        sides = [side for t in tensors if isinstance(t, Tensor) for side in self.known.shapes[t.name]]
        following = next((axes for result in others if isinstance(result, tuple) for axes in [result[1]]), None)
        if following is None or len(following) != len(sides):
            count = "has no legal form" if following is None else f"has {len(following)} free indices"
            return EinstanShapeError(
                f"The derivative has {len(sides)} axes, and what follows {count}.",
                "Write the indices of the derivative: ∂L/∂W[k,j].",
                source=self.module.source,
                spans=(head.span,),
            )
        reader = Reader(self.known)
        saved = dict(own_entries(self.sizes))
        try:
            axes = {n: reader.one_size(n, side, following[n]) for n, side in zip(following, sides, strict=True)}
        except EinstanShapeError as error:
            restore(self.sizes, saved)
            return error
        reader.axes[id(head)] = axes
        return reader, axes

    def finished(self, result: tuple[Reader, Axes] | EinstanError) -> CheckedForm:
        if isinstance(result, EinstanError):
            return CheckedForm(None, {}, result)
        reader, axes = result
        return CheckedForm(reader.scope(self.resolve), {name: self.resolve(s.dim) for name, s in axes.items()})


def is_bare(head: Derivative, shapes: Mapping[str, tuple[Side, ...]]) -> bool:
    """A derivative that has axes and is written without any index."""
    tensors = [head.numerator, *head.denominators]
    return all(isinstance(t, Tensor) and not t.indices for t in tensors) and any(
        shapes.get(t.name) for t in tensors if isinstance(t, Tensor)
    )


def by_name(formulas: Iterable[Formula], context: Checked | None) -> dict[str, Formula]:
    """Two functions of one name have one formula."""
    found: dict[str, Formula] = {}
    before = context.formulas if context else {}
    for formula in formulas:
        if found.setdefault(formula.name, formula) != formula or before.get(formula.name, formula) != formula:
            raise EinstanNameError(f"Two functions are called {formula.name}.", "Give them different names.")
    return found


def joined(first: Module, second: Module) -> Module:
    return Module(first.statements + second.statements, f"{first.source}\n{second.source}")


def raw_shape(name: str, dims: tuple[Dim, ...]) -> tuple[Side, ...]:
    return tuple(Side(dim, name, Span(0, 0)) for dim in dims)


def input_shape(name: str, hints: tuple[str, ...], roster: Roster) -> tuple[Side, ...]:
    """An input's axes are size symbols: `X.0`, `X.1`."""
    span = roster.uses.get(name) or Span(0, 0)
    return tuple(Side(Dim.symbol(f"{name}.{axis}"), name, span) for axis in range(len(hints)))


def fixed_sizes(statements: Iterable[object], source: str) -> dict[str, Side]:
    """What `size n = 5` says."""
    found: dict[str, Side] = {}
    for s in statements:
        if isinstance(s, SizeIs):
            side = Side(Dim.of(s.value), f"`size {s.index.name}`", s.span)
            first = found.setdefault(s.index.name, side)
            if first.dim != side.dim:
                raise EinstanNameError(
                    f"The size of {s.index.name} is given twice.",
                    "Leave one of the two out.",
                    source=source,
                    spans=(first.span, s.span),
                )
    return found
