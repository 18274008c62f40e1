"""exponents: the number that an exponent is, if it is one, and how Python writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from ..syntax import ast
from .numpy_text import literal


def exponent(q: Fraction) -> str:
    """2, 0.5, (1 / 3); -2.0, as numpy raises no integers to negative integers."""
    value = literal(q)
    if q < 0:
        return value.text + ".0" if value.text[1:].isdigit() else f"({value.text})"
    return value.atom


def fraction(e: ast.Expr) -> Fraction | None:
    """The number that an exponent is, if it is one: 2, -1, (1 / 3)."""
    found: dict[int, Fraction | None] = {}
    for x in ast.postorder(e):
        below = [found[id(c)] for c in x.children]
        known = [q for q in below if q is not None]
        rule = FRACTIONS.get(type(x)) if len(known) == len(below) else None
        found[id(x)] = rule(x, known) if rule else None
    return found[id(e)]


def ratio(e: ast.Product, factors: Sequence[Fraction]) -> Fraction | None:
    result = Fraction(1)
    for q, over in zip(factors, e.divides, strict=True):
        if over and q == 0:
            return None
        result = result / q if over else result * q
    return result


FRACTIONS: dict[type[ast.Expr], Callable[[Any, list[Fraction]], Fraction | None]] = {
    ast.Number: lambda e, below: e.value,
    ast.Group: lambda e, below: below[0],
    ast.Sum: lambda e, below: sum((s * q for s, q in zip(e.signs, below, strict=True)), Fraction(0)),
    ast.Product: ratio,
}
