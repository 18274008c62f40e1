"""sums: Add as a chain of additions: small terms first, then in place; signs and common factors cost nothing.

A running sum is `sign · value`; the sign is settled by the first term of the other sign, or at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import NamedTuple

from ..ir import Add, Node
from .contract import Term, aligned
from .shown import Lowering, Shown, align, carried, copied, labels_of, letters_in, operand_of, subscripted
from .values import Number, Value

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
    number, terms = Fraction(0), []
    total: Number = number
    for coef, operand in a.terms:
        r = low.factor[a] * low.facts.coef(coef) / low.factor[operand]
        s = low.shown[operand]
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


def single(low: Lowering, a: Node, r: Fraction, s: Shown) -> Shown:
    """r x: x itself where r is 1."""
    assert isinstance(s.value, Value)
    if s.value.dtype != low.facts.computed(a):
        s = Shown(low.build.cast(s.value, low.facts.computed(a)), s.axes)
    assert isinstance(s.value, Value)
    return s if r == 1 else scaled(low, a, s, r, low.target(a) if None not in s.axes else None)


def scaled(low: Lowering, a: Node, s: Shown, r: Fraction, target: Value | None) -> Shown:
    """r x, into the target or once for all."""
    assert isinstance(s.value, Value)
    if target is None:
        return Shown(low.build.scaled(s.value, r), s.axes)
    order = tuple(range(a.rank))
    letters = low.build.subscripts(a.shape)
    formula = f"{subscripted(letters)} = {float(r):g} {letters_in(s, letters)}"
    view = align(low, s, order)
    return Shown(
        low.build.compute("multiply", [view, r], target.shape, target.dtype, target, (), formula, view.size), order
    )


def chain(low: Lowering, a: Node, total: Number, terms: Sequence[tuple[Fraction, Shown]]) -> Shown:
    """total + Σ r x, the common size of the coefficients multiplied in once, at the end."""
    common = abs(terms[0][0])
    if total != 0 or any(abs(r) != common for r, _ in terms):
        common = Fraction(1)
    runs = [unit(low, a, r / common, s) for r, s in terms]
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


def unit(low: Lowering, a: Node, r: Fraction, s: Shown) -> Run:
    """r x as a term of coefficient 1 or -1."""
    if abs(r) == 1:
        return Run(int(r), s)
    assert isinstance(s.value, Value)
    value = low.build.cast(s.value, low.facts.computed(a)) if s.value.dtype.kind in "biu" else s.value
    return Run(1, Shown(low.build.scaled(value, r), s.axes))


def extent(low: Lowering, a: Node, s: Shown) -> int:
    return prod([d for d, axis in zip(low.facts.shape[a], s.axes, strict=True) if axis is not None])


def plus(low: Lowering, a: Node, x: Run, y: Run, last: bool) -> Run:
    """The sum of two runs; the last one of a sum goes where the sum belongs."""
    op, swapped, sign = ADDITION[x.sign, y.sign]
    left, right = (y.shown, x.shown) if swapped else (x.shown, y.shown)
    place = low.layout(a, [left, right], last)
    dtype = low.facts.computed(a)
    args = [operand_of(low, s, place.order, dtype) for s in (left, right)]
    letters = low.build.subscripts(a.shape)
    symbol = "+" if op == "add" else "-"
    mine = [letters[n] for n in place.order]
    formula = f"{subscripted(mine)} = {letters_in(left, letters)} {symbol} {letters_in(right, letters)}"
    value = low.build.compute(op, args, place.shape, dtype, place.target, (), formula, prod(place.shape))
    return Run(sign, Shown(value, place.axes))


def with_diagonals(
    low: Lowering,
    a: Node,
    total: Number,
    plain: Sequence[tuple[Fraction, Shown]],
    diagonals: Sequence[tuple[Fraction, Shown]],
) -> Shown:
    """The plain terms in an array of their own, then each diagonal added in its place."""
    dtype, order = low.facts.computed(a), tuple(range(a.rank))
    base = chain(low, a, total, plain) if plain and (total != 0 or len(plain) > 1) else None
    if base is None:
        base = single(low, a, *plain[0]) if plain else Shown(total, (None,) * a.rank)
    out = low.target(a)
    if out is None or base.value is not out:
        out = out if out is not None else low.build.value(low.facts.shape[a], dtype)
        copied(low, base, Fraction(1), a, out)
    letters = low.build.subscripts(a.shape)
    for r, s in diagonals:
        assert isinstance(s.value, Value)
        labels = labels_of(s)
        distinct = tuple(dict.fromkeys(labels))
        place = low.build.diagonal(out, labels, distinct)
        run = unit(low, a, r, s)
        assert isinstance(run.shown.value, Value)
        term = aligned(low.build, Term(low.build.cast(run.shown.value, dtype), carried(s)), distinct)
        seen = [letters[labels.index(label)] for label in labels]
        formula = f"{subscripted(seen)} {'+' if run.sign > 0 else '-'}= {letters_in(s, letters)}"
        low.build.compute(
            "add" if run.sign > 0 else "subtract", [place, term], place.shape, dtype, place, (), formula, place.size
        )
    return Shown(out, order)
