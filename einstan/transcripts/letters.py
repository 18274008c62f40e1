"""letters: index letters of a derivation: which are free, and formulas with letters exchanged."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..recursion import Recursive, run
from ..show.formula import fresh
from ..syntax import ast
from ..syntax.ast import Call, Concat, Derivative, Expr, Filled, Index, Tensor
from .nodes import Slope

SPARE = "abcdfghkmnpqrstuvwxyz"


@dataclass(slots=True)
class Letters:
    """Letters that stand in one product; `avoided` are names of tensors, which no replacement is called like."""

    taken: set[str]
    avoided: frozenset[str]

    def next(self, hint: str) -> str:
        """The hint in lower case if it is free, else another letter."""
        low = hint[0].lower() + hint[1:]
        found = low if low.lower() not in self.taken else self.other()
        self.taken.add(found.lower())
        return found

    def other(self) -> str:
        """As the article has them: A, B, .. where i and j are taken."""
        free = (x for x in SPARE if x not in self.taken and x not in self.avoided)
        return next(free, None) or fresh(None, self.taken | self.avoided)

    def many(self, hints: Sequence[str]) -> tuple[str, ...]:
        return tuple(self.next(hint) for hint in hints)

    def copy(self) -> Letters:
        return Letters(set(self.taken), self.avoided)


def capital(letter: str) -> str:
    return letter[0].upper() + letter[1:]


def letters_of(indices: Sequence[Index] | None) -> tuple[str, ...]:
    return tuple(index.name for index in indices or ())


def indices(letters: Sequence[str]) -> tuple[Index, ...]:
    return tuple(map(Index, letters))


def every_index(e: Expr) -> Iterator[Index]:
    """Every index of an expression, those of numerators and of denominators too."""
    for below in ast.postorder(e):
        yield from ast.indices_of(below)


def every_letter(parts: Collection[Expr]) -> set[str]:
    """The letters of several expressions, open or not, in lower case."""
    return {index.name.lower() for e in parts for index in every_index(e)}


def with_indices(e: Expr, table: Mapping[str, Index]) -> Expr:
    """The expression with indices exchanged; a part of an axis stays that part."""
    return run(exchanged(e, table)) if table else e


def renamed(e: Expr, table: Mapping[str, str]) -> Expr:
    """The expression with letters exchanged."""
    return with_indices(e, {old: Index(new) for old, new in table.items() if old != new})


def exchanged(e: Expr, table: Mapping[str, Index]) -> Recursive[Expr]:
    children: list[Expr] = []
    for child in e.children:
        children.append((yield exchanged(child, table)))
    return with_children(own_exchanged(e, table), children)


def own_exchanged(e: Expr, table: Mapping[str, Index]) -> Expr:
    """The same for the indices that stand at the node itself."""

    def own(given: tuple[Index, ...]) -> tuple[Index, ...]:
        return tuple(one_exchanged(index, table) for index in given)

    match e:
        case Tensor() if e.indices is not None:
            return replace(e, indices=own(e.indices))
        case Filled():
            return replace(e, indices=own(e.indices))
        case Derivative():
            below = tuple(replace(t, indices=own(t.indices or ())) for t in e.denominators)
            return replace(e, denominators=below)
        case Call() if e.along is not None:
            return replace(e, along=own(e.along))
        case Concat():
            return replace(e, index=one_exchanged(e.index, table))
        case _:
            return e


def one_exchanged(index: Index, table: Mapping[str, Index]) -> Index:
    new = table.get(index.name)
    if new is None:
        return index
    return new if index.low is None else replace(index, name=new.name)


def with_children(e: Expr, children: Sequence[Expr]) -> Expr:
    """The node over other operands."""
    if all(a is b for a, b in zip(e.children, children, strict=True)):
        return e
    given = tuple(children)
    match e:
        case ast.Call():
            return replace(e, args=given)
        case ast.Product() | ast.Odot():
            return replace(e, factors=given)
        case ast.Sum():
            return replace(e, terms=given)
        case ast.Power():
            return replace(e, base=given[0], exponent=given[1])
        case ast.Compare():
            return replace(e, left=given[0], right=given[1])
        case ast.Concat():
            return replace(e, parts=given)
        case ast.Group():
            return replace(e, body=given[0])
        case ast.Derivative() | Slope():
            return replace(e, numerator=given[0])
        case _:
            raise AssertionError(f"our bug: {type(e).__name__} has no operands")


def mapped(e: Expr, table: Mapping[int, Expr]) -> Expr:
    """The expression with whole expressions exchanged, by id."""

    def visit(x: Expr) -> Recursive[Expr]:
        if id(x) in table:
            return table[id(x)]
        children: list[Expr] = []
        for child in x.children:
            children.append((yield visit(child)))
        return with_children(x, children)

    return run(visit(e))
