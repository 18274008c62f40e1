"""repairs: the smallest change that makes a wrong claim right.

The edits of the right side are looked at, small ones first, then other left sides; what has the wanted value at a few
points is judged, and what holds is the repair. A left side that is no formula of the language is edited itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from itertools import islice, takewhile
from typing import Protocol

import numpy as np

from ..dims import Env
from ..errors import EinstanError, Span
from ..ir import Node, toposort
from ..show.text import show_expr
from ..syntax.ast import Derivative, Expr, Index, Tensor, postorder
from ..syntax.check import check
from ..syntax.parser import parse_module
from ..syntax.roster import names_in
from .drafts import Draft
from .edits import BRINGING, LAST, SLIPS, Edit, Setting, Slip
from .glance import Array, Glance, Letters, Wanted
from .judge import Form, Judge
from .quantities import Quantity, Sizes, derivatives, head, letters_of, places, quantities, row_sums
from .sizes import conditions

JUDGED = 6  # edits that have the wanted value at a few points, and fail when they are judged
LOOKED = 2000  # edits of one claim
LONG = 500  # pieces of a side that is not edited
NAMES = 12  # other names in a derivative
FAR = 24  # derivatives of which the text does not speak
POINTS = 3  # at which formulas are looked at


@dataclass(frozen=True, slots=True)
class Repair:
    """The corrected claim in its own letters, one sentence on what was wrong, and where."""

    suggestion: str
    reason: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A claim that may have been meant."""

    left: Expr
    right: Expr
    edit: Edit

    @property
    def text(self) -> str:
        return f"{show_expr(self.left)} = {show_expr(self.right)}"


class Sides(Protocol):
    """A link of a claim."""

    @property
    def left(self) -> Expr: ...
    @property
    def right(self) -> Expr: ...


def repaired(judge: Judge, link: Sides) -> Repair | None:
    """The repair of a claim `left = right` that fails."""
    return Search(judge, link.left, link.right).repair()


def holds(judge: Judge, c: Candidate) -> bool:
    """Whether the claim holds, read from its text; sizes are one for its own sake alone."""
    try:
        claim = check(parse_module(f"claim {c.text}", judge.checked.labels), judge.program.checked).claims[-1]
    except EinstanError:
        return False
    if any(form.error for form in claim.forms):
        return False
    free = Judge(judge.program, judge.sizes, judge.trials, judge.seed)
    own = judge if free.news(claim.binding) == judge.binding else free.bound(claim.binding)
    left, right = claim.claim.forms
    first = own.lowered(left, claim.forms[0])
    return own.compare(first, own.lowered(right, claim.forms[1], first)).holds is True


def legal(judge: Judge, tree: Expr, before: Form | None = None) -> Form | None:
    try:
        return judge.form(tree, before)
    except EinstanError:
        return None


class Search:
    """The claims beside one claim; `looked` counts those whose value was looked at."""

    def __init__(self, judge: Judge, left: Expr, right: Expr) -> None:
        self.judge, self.left, self.right = judge, left, right
        self.glance = Glance(partial(array, judge), lengths(judge, self.letters), judge.checked.fixed)
        self.looked = 0

    def repair(self) -> Repair | None:
        """The first candidate that holds, as it is printed."""
        with np.errstate(all="ignore"):
            for c in islice(self.candidates(), JUDGED):
                if holds(self.judge, c):
                    return Repair(c.text, c.edit.reason, (c.edit.span,) if c.edit.span.end else ())
        return None

    def candidates(self) -> Iterator[Candidate]:
        """Claims whose sides are equal at a few points."""
        if max(len(Draft.of(side).pieces) for side in (self.left, self.right)) > LONG:
            return
        right = legal(self.judge, self.right)
        wanted, meant = self.wanted(self.left, right if self.is_bare else None), self.wanted(self.right)
        if wanted is not None:
            yield from self.of_right(SLIPS, wanted, ())
            yield from self.of_right(BRINGING, wanted, self.near)
            yield from self.of_right(LAST, wanted, ())
        if meant is not None:
            yield from (Candidate(e.tree, self.right, e) for e in self.other_names(meant))
        if meant is not None and head(self.left) is None:
            yield from self.of_left(meant)
        if wanted is not None:
            yield from self.of_right(BRINGING, wanted, self.far)

    def wanted(self, tree: Expr, before: Form | None = None) -> Wanted | None:
        """The value of a side that is a formula of the language."""
        form = legal(self.judge, tree, before)
        found = None if form is None else values(self.judge, form)
        return None if form is None or found is None else Wanted(tuple(form.axes), found)

    def of_right(self, slips: Sequence[Slip], wanted: Wanted, bring: Sequence[Quantity]) -> Iterator[Candidate]:
        edits = self.edits(slips, self.right, wanted, bring)
        return (Candidate(self.left, e.tree, e) for e in edits)

    def of_left(self, wanted: Wanted) -> Iterator[Candidate]:
        edits = self.edits((*SLIPS, *BRINGING), self.left, wanted, self.near)
        return (Candidate(e.tree, self.right, e) for e in edits)

    def edits(self, slips: Sequence[Slip], tree: Expr, wanted: Wanted, bring: Sequence[Quantity]) -> Iterator[Edit]:
        """The edits of a side that give it the wanted value."""
        draft = Draft.of(tree)
        setting = Setting(self.letters, wanted.axes, self.judge.checked.shapes, bring, partial(self.line, wanted))
        found = takewhile(lambda _: self.looked < LOOKED, (e for slip in slips for e in slip(draft, setting)))
        return (e for e in found if self.is_near(wanted, e.tree) and not self.says_nothing(e.tree, tree))

    def line(self, wanted: Wanted, zero: Expr, one: Expr) -> Fraction | None:
        return wanted.line(self.glance.of(zero), self.glance.of(one))

    def is_near(self, wanted: Wanted, tree: Expr) -> bool:
        self.looked += 1
        return wanted.is_near(self.glance.of(tree))

    def says_nothing(self, tree: Expr, edited: Expr) -> bool:
        """Whether it is written as one of the sides is, or holds the other one, which the edited side did not."""
        if show_expr(tree) in (show_expr(self.left), show_expr(self.right)):
            return True
        other = self.left if edited is self.right else self.right
        return bool(names_in(other)) and stands_in(tree, other) and not stands_in(edited, other)

    # -- what may be written

    @cached_property
    def letters(self) -> Sizes:
        pieces = (*Draft.of(self.left).pieces, *Draft.of(self.right).pieces)
        return letters_of(places(pieces, self.judge.checked.shapes))

    @cached_property
    def near(self) -> list[Quantity]:
        """What the text speaks of."""
        return self.others(quantities(self.judge.checked, self.judge.program.letters))

    @cached_property
    def far(self) -> list[Quantity]:
        """Sums along one index, and derivatives of which the text does not speak."""
        known = {head(q.tree) for q in self.near}
        pieces = (*Draft.of(self.left).pieces, *Draft.of(self.right).pieces)
        tops = {e.numerator.name for e in pieces if isinstance(e, Derivative) and isinstance(e.numerator, Tensor)}
        hints = self.judge.program.letters
        slopes = derivatives(self.judge.checked, hints, tops)
        found = (q for q in slopes if head(q.tree) not in known and self.is_around(q.tree))
        return [*self.others(row_sums(self.judge.checked, hints)), *self.others(islice(found, FAR))]

    def others(self, found: Iterable[Quantity]) -> list[Quantity]:
        """All but the left side itself, those first whose names stand beside the names of the claim."""
        own = head(self.left)
        kept = (q for q in found if own is None or head(q.tree) != own)
        return sorted(kept, key=lambda q: not self.is_around(q.tree))

    @cached_property
    def around(self) -> set[str]:
        """The names of the claim, and those that stand in one definition with one of them."""
        own = {*names_in(self.left), *names_in(self.right)}
        found = set(own)
        for name, definition in self.judge.checked.definitions.items():
            inside = {*names_in(definition.body), name}
            found |= inside if inside & own else set()
        return found

    def is_around(self, tree: Expr) -> bool:
        return self.around.issuperset(names_in(tree))

    # -- the left side

    @property
    def is_bare(self) -> bool:
        """Whether the left side is a derivative without its indices."""
        shapes, e = self.judge.checked.shapes, self.left
        tensors = (e.numerator, *e.denominators) if isinstance(e, Derivative) else ()
        return any(isinstance(t, Tensor) and not t.indices and shapes.get(t.name) for t in tensors)

    def other_names(self, wanted: Wanted) -> Iterator[Edit]:
        """The derivative by another name in the place of the left side."""
        e = self.left
        if isinstance(e, Derivative) and len(e.denominators) == 1 and isinstance(e.numerator, Tensor):
            (below,) = e.denominators
            for name in islice(self.names_like(below, len(wanted.axes)), NAMES):
                meant = replace(e, denominators=(replace(below, name=name),))
                if self.is_near(wanted, lettered(meant, wanted.axes) if self.is_bare else meant):
                    yield Edit(meant, f"This is {show_expr(meant)}, not {show_expr(e)}.", e.span)

    def names_like(self, below: Tensor, rank: int) -> Iterator[str]:
        """Names of the same shape, of a derivative without indices those with as many axes as there are; those first
        that stand in one definition with the name."""
        shapes, known = self.judge.checked.shapes, names_in(self.left)
        fit = [x for x in shapes if (len(shapes[x]) <= rank if self.is_bare else shapes[x] == shapes[below.name])]
        return iter(sorted((x for x in fit if x not in known), key=lambda x: x not in self.around))


def stands_in(root: Expr, e: Expr) -> bool:
    text = show_expr(e)
    return any(show_expr(x) == text for x in postorder(root))


def array(judge: Judge, tree: Expr, axes: Letters) -> Array | None:
    """The values of a formula over these letters."""
    form = legal(judge, tree)
    found = None if form is None else values(judge, form)
    if form is None or found is None or form.axes.keys() != set(axes):
        return None
    order = list(form.axes)
    return found.transpose(0, *(order.index(x) + 1 for x in axes))


def values(judge: Judge, form: Form) -> Array | None:
    """The values of a form at the judge's first sizes, if its parts lie within their axes there."""
    for point in judge.points[:1]:
        if fits(form.node, point.env):
            with suppress(EinstanError):
                return point.value(form.node)[:POINTS]
    return None


def fits(root: Node, env: Env) -> bool:
    positive, natural = conditions(toposort([root]))
    known = all(d.symbols <= env.keys() for d in positive | natural)
    return known and all(d.at(env) > 0 for d in positive) and all(d.at(env) >= 0 for d in natural)


def lengths(judge: Judge, letters: Sizes) -> dict[str, int]:
    """The sizes of letters at these points, where each has one."""
    known = [
        (x, d, point.env) for point in judge.points[:1] for x, dims in letters.items() for d in dims if len(dims) == 1
    ]
    return {x: d.at(env) for x, d, env in known if d.symbols <= env.keys()}


def lettered(e: Derivative, axes: Letters) -> Derivative:
    """A derivative by one name with these letters, those of the numerator first."""
    (below,) = e.denominators
    assert isinstance(e.numerator, Tensor)
    n = len(e.numerator.indices or ())
    top, rest = (tuple(map(Index, own)) for own in (axes[:n], axes[n:]))
    return replace(e, numerator=replace(e.numerator, indices=top), denominators=(replace(below, indices=rest),))
