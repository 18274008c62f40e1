"""sums: Add as a chain of additions: small terms first, then in place; signs and common factors cost nothing.

A running sum is `sign · value`; the sign is settled by the first term of the other sign, or at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from ..ir import Add, Node
from .contract import Term, aligned
from .shown import Lowering, Shown, align, carried, copied, labels_of, letters_in, operand_of, subscripted
from .values import Exact, Name, Number, Value, as_float, magnitude, ratio

ADDITION = {
    (1, 1): ("add", False, 1),
    (1, -1): ("subtract", False, 1),
    (-1, 1): ("subtract", True, 1),
    (-1, -1): ("add", False, -1),
}


class Run(NamedTuple):
    """sign · shown: a term or the sum so far."""

    sign: int
    shown: Shown


def lower_add(low: Lowering, a: Node) -> Shown:
    assert isinstance(a, Add)
    terms: list[tuple[Exact, Shown]] = []
    total: Number = 0
    for (coef, operand), multiple in zip(a.terms, low.wanted[a], strict=True):
        if len(a.operands) == 1:
            multiple = low.factor[operand]  # scaled on the way to its place
        r = ratio(low.factor[a] * low.facts.coef(coef), multiple)
        s = low.multiple(operand, multiple)
        if isinstance(s.value, Value):
            terms.append((r, s))
        else:
            total = total + r * s.value
    diagonals = [(r, s) for r, s in terms if s.is_diagonal]
    plain = [(r, s) for r, s in terms if not s.is_diagonal]
    if diagonals:
        return with_diagonals(low, a, total, plain, diagonals)
    if len(plain) == 1 and total == 0:
        return single(low, a, *plain[0])
    return chain(low, a, total, plain)


def single(low: Lowering, a: Node, r: Exact, s: Shown) -> Shown:
    """r x: x itself where r is 1."""
    assert isinstance(s.value, Value)
    if s.value.dtype != low.facts.computed(a):
        s = Shown(low.build.cast(s.value, low.facts.computed(a)), s.axes)
    assert isinstance(s.value, Value)
    return s if r == 1 else scaled(low, a, s, r, low.target(a) if None not in s.axes else None)


def scaled(low: Lowering, a: Node, s: Shown, r: Exact, target: Value | None) -> Shown:
    """r x, into the target or once for all."""
    assert isinstance(s.value, Value)
    if target is None:
        return Shown(low.build.scaled(s.value, r, low.facts.computed(a)), s.axes)
    order = tuple(range(a.rank))
    view = align(low, s, order)

    def note(name: Name) -> str:
        letters = low.build.subscripts(a.shape)
        return f"{subscripted(letters)} = {as_float(r):g} {letters_in(s, letters, name)}"

    return Shown(
        low.build.compute("multiply", [view, r], target.shape, target.dtype, target, (), note, view.size), order
    )


def chain(low: Lowering, a: Node, total: Number, terms: Sequence[tuple[Exact, Shown]]) -> Shown:
    """total + Σ r x, the common size of the coefficients multiplied in once, at the end."""
    common = magnitude(terms[0][0])
    if total != 0 or any(magnitude(r) != common for r, _ in terms):
        common = 1
    runs = [unit(low, a, ratio(r, common), s) for r, s in terms]
    runs.sort(key=lambda run: extent(low, a, run.shown))
    if total != 0:
        runs.insert(0, Run(1, Shown(total, (None,) * a.rank)))
    done = runs[0]
    for n, run in enumerate(runs[1:], 2):
        last = n == len(runs) and common == 1 and not (done.sign == run.sign == -1)
        done = plus(low, a, done, run, last)
    factor = common * done.sign
    if factor == 1:
        return done.shown
    return scaled(low, a, done.shown, factor, low.target(a) if None not in done.shown.axes else None)


def unit(low: Lowering, a: Node, r: Exact, s: Shown) -> Run:
    """r x as a term of coefficient 1 or -1."""
    if r in (1, -1):
        return Run(int(r), s)
    assert isinstance(s.value, Value)
    return Run(1, Shown(low.build.scaled(s.value, r, low.facts.computed(a)), s.axes))


def extent(low: Lowering, a: Node, s: Shown) -> int:
    return prod([d for d, axis in zip(low.facts.shape[a], s.axes, strict=True) if axis is not None])


def plus(low: Lowering, a: Node, x: Run, y: Run, last: bool) -> Run:
    """The sum of two runs; the last one of a sum goes where the sum belongs."""
    op, swapped, sign = ADDITION[x.sign, y.sign]
    left, right = (y.shown, x.shown) if swapped else (x.shown, y.shown)
    place = low.layout(a, [left, right], last)
    dtype = low.facts.computed(a)
    args = [operand_of(low, s, place.order, dtype) for s in (left, right)]

    def note(name: Name) -> str:
        letters = low.build.subscripts(a.shape)
        terms = [letters_in(s, letters, name) for s in (left, right)]
        mine = subscripted([letters[n] for n in place.order])
        return f"{mine} = {terms[0]} {'+' if op == 'add' else '-'} {terms[1]}"

    value = low.build.compute(op, args, place.shape, dtype, place.target, (), note, prod(place.shape))
    return Run(sign, Shown(value, place.axes))


def with_diagonals(
    low: Lowering,
    a: Node,
    total: Number,
    plain: Sequence[tuple[Exact, Shown]],
    diagonals: Sequence[tuple[Exact, Shown]],
) -> Shown:
    """The plain terms in an array of their own, or zeros with the first diagonal unless its coefficient is 0, the size
    of an empty axis; then each diagonal added in its place."""
    below: Exact = 1
    if plain or total != 0 or diagonals[0][0] == 0:
        base = beside(low, a, total, plain)
    else:
        (r, base), *diagonals = diagonals
        below = ratio(1, r)
    out = low.target(a)
    if out is None or base.value is not out:
        out = out if out is not None else low.build.value(low.facts.shape[a], low.facts.computed(a))
        copied(low, base, below, a, out)
    for r, s in diagonals:
        onto_diagonal(low, a, r, s, out)
    return Shown(out, tuple(range(a.rank)))


def beside(low: Lowering, a: Node, total: Number, plain: Sequence[tuple[Exact, Shown]]) -> Shown:
    """The sum of the terms that are no diagonals."""
    if not plain:
        return Shown(total, (None,) * a.rank)
    return single(low, a, *plain[0]) if len(plain) == 1 and total == 0 else chain(low, a, total, plain)


def onto_diagonal(low: Lowering, a: Node, r: Exact, s: Shown, out: Value) -> None:
    """out[i,i] += r x[i], in place."""
    labels = labels_of(s)
    distinct = tuple(dict.fromkeys(labels))
    place = low.build.diagonal(out, labels, distinct)
    sign, shown = unit(low, a, r, s)
    assert isinstance(shown.value, Value)
    term = aligned(low.build, Term(low.build.cast(shown.value, out.dtype), carried(s)), distinct)

    def note(name: Name) -> str:
        letters = low.build.subscripts(a.shape)
        seen = subscripted([letters[labels.index(label)] for label in labels])
        return f"{seen} {'+' if sign > 0 else '-'}= {letters_in(shown, letters, name)}"

    op = "add" if sign > 0 else "subtract"
    low.build.compute(op, [place, term], place.shape, place.dtype, place, (), note, place.size)
