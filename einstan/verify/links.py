"""links: a claim -> its links `left = right`, each judged by itself, against the last legal form before it.

A form is legal if its indices are (NOTATION section 7). One that has a free index which the forms before lack, or
lacks one of theirs, is repeated along it; where it is not equal then, the index is dangling or lost, and the form is
passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import EinstanError, EinstanIndexError, Span
from ..show.text import show_expr
from ..syntax import ast
from ..syntax.check import CheckedClaim
from .judge import Form, Judge, Outcome
from .repairs import repaired
from .verdict import Verdict


@dataclass(frozen=True, slots=True)
class Link:
    """Two forms of a claim. A form is None where its indices are wrong, and `error` says what is."""

    left: ast.Expr
    right: ast.Expr
    left_form: Form | None
    right_form: Form | None
    error: EinstanError | None
    source: str

    def __str__(self) -> str:
        return f"{show_expr(self.left)} = {show_expr(self.right)}"


def forms_of(judge: Judge, claim: CheckedClaim) -> list[Form | EinstanError]:
    """The forms of a claim, each read after the legal one before it."""
    found: list[Form | EinstanError] = []
    before: Form | None = None
    for tree, checked in zip(claim.claim.forms, claim.forms, strict=True):
        if checked.error is not None:
            found.append(checked.error)
        else:
            before = judge.lowered(tree, checked, before)
            found.append(before)
    return found


def verdicts(judge: Judge, claim: CheckedClaim, forms: Sequence[Form | EinstanError]) -> Iterator[Verdict]:
    """One verdict for each `=` of a claim."""
    trees, source = claim.claim.forms, judge.program.checked.module.source
    before = 0  # the form that the next one is judged against
    for n in range(1, len(forms)):
        left, right = forms[before], forms[n]
        link = Link(
            trees[before],
            trees[n],
            left if isinstance(left, Form) else None,
            right if isinstance(right, Form) else None,
            next((f for f in (right, left) if isinstance(f, EinstanError)), None),
            source,
        )
        verdict = judged(judge, link)
        yield with_repair(judge, link, verdict) if verdict.holds is False else verdict
        if link.right_form is not None and (verdict.method != INDICES or link.left_form is None):
            before = n


INDICES = "indices"


def judged(judge: Judge, link: Link) -> Verdict:
    if link.left_form is None or link.right_form is None:
        assert link.error is not None
        return failed(link, link.error)
    outcome = judge.compare(link.left_form, link.right_form)
    astray = misplaced(link) if outcome.holds is False else None
    if astray is not None:
        return failed(link, astray, outcome)
    return Verdict(
        claim=str(link),
        holds=outcome.holds,
        method=outcome.method,
        counterexample=outcome.counterexample,
        reason="The two sides differ." if outcome.holds is False else outcome.reason,
        trials=outcome.trials,
        error_bound=outcome.error_bound,
        source=link.source,
        spans=(link.right.span,),
    )


def failed(link: Link, error: EinstanError, outcome: Outcome | None = None) -> Verdict:
    """The verdict of a link with an index error."""
    shown = outcome.counterexample if outcome else None
    return Verdict(str(link), False, INDICES, shown, None, error.message, source=link.source, spans=error.spans)


def with_repair(judge: Judge, link: Link, verdict: Verdict) -> Verdict:
    """The verdict with the corrected claim, where one is found; an index error is told first."""
    repair = repaired(judge, link)
    if repair is None:
        return verdict
    reason = f"{verdict.reason} {repair.reason}" if verdict.method == INDICES else repair.reason
    spans = dict.fromkeys((*(verdict.spans if verdict.method == INDICES else ()), *repair.spans))
    return replace(verdict, suggestion=repair.suggestion, reason=reason, spans=tuple(spans))


def misplaced(link: Link) -> EinstanError | None:
    """What is wrong with the indices of two different forms: one is free in one of them alone."""
    assert link.left_form is not None and link.right_form is not None
    left, right = link.left_form.axes, link.right_form.own
    for name in right:
        if name not in left:
            message = f"The index {name} is free on the right, and not on the left."
            return EinstanIndexError(message, source=link.source, spans=places(link.right, name))
    for name in left if has_indices(link.right) else ():
        if name not in right:
            message = f"The index {name} is lost: it is free on the left, and not on the right."
            return EinstanIndexError(message, source=link.source, spans=places(link.left, name))
    return None


def written(root: ast.Expr) -> Iterator[ast.Index]:
    return (index for e in ast.postorder(root) for index in ast.indices_of(e))


def has_indices(root: ast.Expr) -> bool:
    """A number has none, and is repeated along all."""
    return any(True for _ in written(root))


def places(root: ast.Expr, name: str) -> tuple[Span, ...]:
    """Where an index is written in a form; else the form."""
    return tuple(index.span for index in written(root) if index.name == name) or (root.span,)
