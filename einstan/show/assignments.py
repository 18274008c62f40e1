"""assignments: a checked program -> what its statements assign, in an order that runs.

A definition assigns its name; a claim `∂L/∂W[k,j] = ...` the derivative.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..dims import Dim
from ..syntax import ast
from ..syntax.checked import Checked
from ..syntax.scope import Scope
from .numpy_text import Axes
from .text import show_expr

Key = tuple[str, ...]  # a name, or a numerator and the names below it


@dataclass(frozen=True, slots=True)
class Line:
    """One statement: what it assigns, the indices of its left side with their sizes, the right side."""

    key: Key
    target: Axes
    shape: tuple[Dim, ...]
    scope: Scope
    body: ast.Expr


def lines_of(checked: Checked, claims: Sequence[ast.Statement]) -> dict[Key, Line]:
    """Every statement that may be computed, by what it assigns."""
    lines: dict[Key, Line] = {}
    for name, definition in checked.definitions.items():
        target = tuple(index.name for index in definition.target.indices or ())
        scope = checked.scopes[id(definition.body)]
        lines[name,] = Line((name,), target, checked.shapes[name], scope, definition.body)
    for line in lines_of_claims(checked, claims):
        lines.setdefault(line.key, line)
    return lines


def lines_of_claims(checked: Checked, claims: Sequence[ast.Statement]) -> Iterator[Line]:
    """Claims `∂L/∂W[k,j] = ...` as assignments."""
    wanted = {id(claim) for claim in claims}
    for claim in checked.claims:
        left = claim.claim.forms[0]
        if id(claim.claim) not in wanted or not isinstance(left, ast.Derivative):
            continue
        if error := claim.forms[1].error:
            raise error
        scope = claim.forms[1].scope
        assert scope is not None, "our bug: a form of a claim is legal or has an error"
        key = derivative_key(left)
        if key in keys_below(claim.claim.forms[1]):  # a function that only the reader knows
            continue
        names = (left.numerator, *left.denominators)
        target = tuple(i.name for t in names if isinstance(t, ast.Tensor) for i in t.indices or ())
        shape = tuple(d for name in key for d in checked.shapes[name])
        yield Line(key, target, shape, scope, claim.claim.forms[1])


def derivative_key(e: ast.Derivative) -> Key:
    top = e.numerator.name if isinstance(e.numerator, ast.Tensor) else show_expr(e.numerator)
    return top, *(below.name for below in e.denominators)


def asked_for(checked: Checked, of: Sequence[str], claims: Sequence[ast.Statement]) -> list[Key]:
    """What is asked for: the names `of`, and the left sides of `claims`."""
    return [(name,) for name in of] + [line.key for line in lines_of_claims(checked, claims)]


def needed(lines: Mapping[Key, Line], ends: Iterable[Key]) -> Iterator[Key]:
    """The lines that the ends need, each after those it uses."""
    entered: set[Key] = set()
    todo = [(key, False) for key in ends][::-1]
    while todo:
        key, ready = todo.pop()
        if ready:
            yield key
        elif key not in entered:
            entered.add(key)
            below = dict.fromkeys(used for used in keys_below(lines[key].body) if used in lines)
            todo += [(key, True), *((used, False) for used in reversed(below))]


def keys_below(body: ast.Expr) -> Iterator[Key]:
    for e in ast.postorder(body):
        if isinstance(e, ast.Tensor):
            yield (e.name,)
        elif isinstance(e, ast.Derivative):
            yield derivative_key(e)


def lacking(checked: Checked, of: Sequence[str], claims: Sequence[ast.Statement]) -> list[Key]:
    """Derivatives of names that stand in formulas and that no line computes."""
    lines = lines_of(checked, claims)
    run = (lines[key] for key in needed(lines, asked_for(checked, of, claims)))
    used = dict.fromkeys(key for line in run for key in keys_below(line.body))
    return [key for key in used if len(key) > 1 and key not in lines and key[0] in checked.definitions]
