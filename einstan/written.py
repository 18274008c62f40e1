"""written: expressions -> the program whose text defines them.

Expressions that others index, and parts that a long formula repeats, get names and lines of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import TYPE_CHECKING, NamedTuple

from .errors import EinstanNameError
from .show.spelling import shown_below
from .show.text import show_statement
from .syntax import ast, python
from .syntax.names import Name

if TYPE_CHECKING:
    from .expr import Expr
    from .programs import Program

LONGEST_WRITTEN = 1_000
"""A formula with more nodes than that, written out, gets names for the parts that it repeats."""


class Line(NamedTuple):
    """A definition to be: its name, the letters of its axes, its formula."""

    name: str
    axes: tuple[str, ...]
    tree: ast.Expr


def written(named: Mapping[str, Expr]) -> Program:
    """The program whose definitions are these; a key may give the order of the axes: `Z[j,b]`."""
    everything = reached(named.values())
    context = one_context(x.context for x in everything)
    asked = {key: python.whole_name(key, context.checked.labels) for key in named}
    given = {id(x): asked[key].spelling for key, x in reversed(list(named.items()))}
    called = names_of(everything, given)
    lines = [Line(called[id(x)], x.axes, x.tree) for x in everything if id(x) not in given]
    lines += [line_of(asked[key], x) for key, x in named.items()]
    known = {id(line.tree) for line in lines}
    shared = [(e, axes) for e, axes in repeated_parts(everything) if id(e) not in known]
    fresh = fresh_names(everything, called.values())
    lines = [*(Line(next(fresh), axes, e) for e, axes in shared), *lines]
    functions = tuple(dict.fromkeys(f for x in everything for f in x.functions))
    return context.reading(text_of(lines, marks(called)), functions)


def names_of(everything: Sequence[Expr], given: Mapping[int, str]) -> dict[int, str]:
    """A name for each expression by id: the one given, or a fresh one."""
    fresh = fresh_names(everything, given.values())
    return {id(x): given.get(id(x)) or next(fresh) for x in everything}


def marks(called: Mapping[int, str]) -> dict[str, str]:
    """What the marks of indexed expressions are to be called."""
    return {mark_of(key): name for key, name in called.items()}


def mark_of(key: int) -> str:
    return f"#{key}"


def line_of(target: Name, x: Expr) -> Line:
    axes = tuple(index.name for index in target.indices or ())
    return Line(target.spelling, axes if target.listed else x.axes, x.tree)


def text_of(lines: Sequence[Line], renamed: Mapping[str, str]) -> str:
    """The lines as statements; a formula in which another line's stands says its name."""
    table: dict[int, ast.Expr] = {}
    for line in lines:
        if line.tree.children:
            table.setdefault(id(line.tree), indexed(line))
    bodies = (python.settled(line.tree, table, renamed) for line in lines)
    return "\n".join(
        show_statement(ast.Definition(indexed(line), body)) for line, body in zip(lines, bodies, strict=True)
    )


def indexed(line: Line) -> ast.Tensor:
    return ast.Tensor(line.name, tuple(map(ast.Index, line.axes)))


def reached(roots: Iterable[Expr]) -> list[Expr]:
    """The expressions and all that they index, those first that others use."""
    done: dict[int, Expr] = {}
    stack = [(x, False) for x in reversed(list(roots))]
    while stack:
        x, entered = stack.pop()
        if entered:
            done[id(x)] = x
        elif id(x) not in done:
            stack.append((x, True))
            stack.extend((part, False) for part in x.parts.values())
    return list(done.values())


def fresh_names(expressions: Iterable[Expr], taken: Collection[str] = ()) -> Iterator[str]:
    """Names that neither the expressions, nor their programs, nor `taken` use."""
    used = set(taken)
    for x in expressions:
        used |= {*x.context.checked.shapes, *x.context.checked.functions}
        used |= {e.name for e in ast.postorder(x.tree) if isinstance(e, ast.Tensor | ast.Call)}
    return (name for name in chain(["expr"], (f"expr{n}" for n in count(1))) if name not in used)


def repeated_parts(expressions: Iterable[Expr]) -> list[tuple[ast.Expr, tuple[str, ...]]]:
    """Parts that stand in a formula more than once, with their axes, where it would be long if written out."""
    found: dict[int, tuple[ast.Expr, tuple[str, ...]]] = {}
    for x in expressions:
        if python.written_size(x.tree) <= LONGEST_WRITTEN:
            continue
        shown = shown_below(x.tree)
        for e in python.repeated(x.tree):
            if e.children and all(letter[0].islower() for letter in shown[id(e)]):
                found[id(e)] = e, python.first_letters(e, shown[id(e)])
    return list(found.values())


def one_context(contexts: Iterable[Program]) -> Program:
    """The program that all belong to; one that only declares labels is any program with these labels."""
    found = list(contexts)
    full = list(dict.fromkeys(p for p in found if not declares_labels_only(p)))
    if len(full) > 1:
        raise EinstanNameError("The operands belong to two programs.", "Write both in one program first.")
    home = full[0] if full else max(found, key=lambda p: len(p.checked.labels))
    if odd := {letter for p in found for letter in p.checked.labels} - set(home.checked.labels):
        raise EinstanNameError(f"{min(odd)} is a label of one operand only.", "Give all of them the same labels.")
    return home


def declares_labels_only(p: Program) -> bool:
    return all(isinstance(s, ast.Label) for s in p.checked.module.statements)
