"""text: AST -> the canonical text, which parses back to the same AST.

An expression is written by rows of a table; a row gives the pieces of one node, in order: text, or an
operand with the binding power that it must exceed to go without brackets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, assert_never

from ..syntax.ast import (
    Call,
    Claim,
    Compare,
    Concat,
    Definition,
    Derivative,
    Expr,
    Extent,
    Fact,
    Filled,
    Group,
    Index,
    Label,
    Module,
    Number,
    Odot,
    Power,
    Product,
    SizeIs,
    Statement,
    Sum,
    Tensor,
)
from ..syntax.lexer import LIMITS
from ..syntax.words import KEYWORDS, Bind

Piece = str | tuple[Expr, int]
Pieces = Iterator[Piece]

ATOM = Bind.POWER + 1
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
BASE = re.compile(r"(\\\w+\{[^}]*\}|[^_^]+)(.*)")
ONE_LETTER = re.compile(r"[^\W\d_][0-9]*'*")
LONGEST_DECIMAL = 24


def show_module(module: Module) -> str:
    """The canonical text of a program, one statement a line."""
    return "\n".join(show_statement(s) for s in module.statements)


def show_statement(s: Statement) -> str:
    match s:
        case Definition():
            return f"{show_expr(s.target)} = {show_expr(s.body)}"
        case Claim():
            return f"{claim_word(s)}{' = '.join(show_expr(form) for form in s.forms)}"
        case Fact():
            return f"fact {show_expr(s.left)} = {show_expr(s.right)}"
        case SizeIs():
            return f"size {s.index.name} = {s.value}"
        case Label():
            return f"label {', '.join(s.letters)}"
    assert_never(s)


def claim_word(s: Claim) -> str:
    """A left side that would define a name, or go on with the line before, needs the word."""
    head = show_expr(s.forms[0])
    needed = isinstance(s.forms[0], Tensor) or head.startswith("-") or head.split(" ")[0] in KEYWORDS
    return "claim " if needed else ""


def show_expr(e: Expr) -> str:
    """The canonical text of an expression: `X[b,K] W[K,j] + c[j]`."""
    return unfolded(e, pieces, power, lambda _: ("(", ")"))


def unfolded(
    e: Expr, pieces: Callable[[Expr], Pieces], power: Callable[[Expr], int], brackets: Callable[[Expr], tuple[str, str]]
) -> str:
    """The pieces of `e` and of all below it, in brackets where an operand does not hold together tightly enough."""
    written: list[str] = []
    todo: list[Piece] = [(e, Bind.NONE)]
    while todo:
        piece = todo.pop()
        if isinstance(piece, str):
            written.append(piece)
        elif power(piece[0]) > piece[1]:
            todo.extend(reversed(list(pieces(piece[0]))))
        else:
            opening, closing = brackets(piece[0])
            todo.extend((closing, (piece[0], Bind.NONE), opening))
    return "".join(written)


def pieces(e: Expr) -> Pieces:
    return ROWS[type(e)][1](e)


def power(e: Expr) -> int:
    """How tightly the text of `e` holds together."""
    return number_power(e.value) if isinstance(e, Number) else ROWS[type(e)][0]


# -------------------------------------------------------------------- one row for each kind of node


def of_number(e: Number) -> Pieces:
    yield number(e.value)


def of_tensor(e: Tensor) -> Pieces:
    yield e.name + ("[:]" if e.indices is None else listed(e.indices))


def of_filled(e: Filled) -> Pieces:
    yield f"{e.value}{listed(e.indices)}"


def of_extent(e: Extent) -> Pieces:
    yield f"|{e.name}|" if e.axis is None else f"size({e.name},{e.axis + 1})"


def of_call(e: Call) -> Pieces:
    match = BASE.fullmatch(e.name)
    base, label = (match[1], match[2]) if match and e.primes else (e.name, "")
    slots = f"[{','.join(str(n + 1) for n in e.slots)}]" if e.slots else ""
    along = "" if e.along is None else listed(e.along) or "[]"
    yield f"{base}{chr(39) * e.primes}{label}{slots}{along}("
    yield from joined(e.args, ", ")
    yield ")"


def of_product(e: Product) -> Pieces:
    before: Expr | None = None
    for factor, over in zip(e.factors, e.divides, strict=True):
        if over:
            yield " / " if before else "1 / "
        elif before:
            yield " * " if begins_with_number(factor) or is_sigma(before) else " "
        yield factor, Bind.PRODUCT
        before = factor


def of_odot(e: Odot) -> Pieces:
    return joined(e.factors, " ⊙ ", Bind.ODOT)


def of_sum(e: Sum) -> Pieces:
    for place, (term, sign) in enumerate(zip(e.terms, e.signs, strict=True)):
        if place == 0:
            yield "-" if sign < 0 else ""
        else:
            yield " - " if sign < 0 else " + "
        yield term, Bind.SUM


def of_power(e: Power) -> Pieces:
    yield e.base, Bind.POWER
    yield "^"
    finite = isinstance(e.exponent, Number) and decimal_places(e.exponent.value) is not None
    yield e.exponent, Bind.NONE if finite else Bind.POWER - 1


def of_compare(e: Compare) -> Pieces:
    yield e.left, Bind.COMPARE
    yield f" {e.op} "
    yield e.right, Bind.COMPARE


def of_concat(e: Concat) -> Pieces:
    yield "["
    yield from joined(e.parts, ", ")
    name = e.index.name
    yield f"]_{name}" if ONE_LETTER.fullmatch(name) else f"]_{{\\mathrm{{{name}}}}}"


def of_group(e: Group) -> Pieces:
    yield "("
    yield e.body, Bind.NONE
    yield ")"


def of_derivative(e: Derivative) -> Pieces:
    order = len(e.denominators)
    yield "∂" + (str(order).translate(SUPERSCRIPT) if order > 1 else "")
    yield e.numerator, Bind.POWER
    yield "/"
    for denominator in e.denominators:
        yield "∂"
        yield denominator, Bind.NONE


ROWS: dict[type[Expr], tuple[int, Callable[[Any], Pieces]]] = {
    Number: (ATOM, of_number),
    Tensor: (ATOM, of_tensor),
    Filled: (ATOM, of_filled),
    Extent: (ATOM, of_extent),
    Call: (ATOM, of_call),
    Concat: (ATOM, of_concat),
    Group: (ATOM, of_group),
    Derivative: (Bind.POWER, of_derivative),
    Power: (Bind.POWER, of_power),
    Product: (Bind.PRODUCT, of_product),
    Odot: (Bind.ODOT, of_odot),
    Sum: (Bind.SUM, of_sum),
    Compare: (Bind.COMPARE, of_compare),
}


# -------------------------------------------------------------------- small spellings


def joined(operands: Sequence[Expr], between: str, floor: int = Bind.NONE) -> Pieces:
    for place, operand in enumerate(operands):
        if place:
            yield between
        yield operand, floor


def listed(indices: Sequence[Index]) -> str:
    """`[b,K]`, or nothing."""
    return f"[{','.join(index(i) for i in indices)}]" if indices else ""


def index(i: Index) -> str:
    """`K`, or the part `k=0:2`."""
    if i.low is None or i.high is None:
        return i.name
    return f"{i.name}={bound(i.low)}:{bound(i.high)}"


def bound(e: Expr) -> str:
    return show_expr(e).replace(" ", "")


def number(value: Fraction) -> str:
    """Exact: a decimal where it ends and can be read, else a division."""
    scale = decimal_places(value)
    if scale is None:
        return f"{number(Fraction(value.numerator))} / {number(Fraction(value.denominator))}"
    digits = value.numerator * 10**scale // value.denominator
    plain = decimal(digits, scale)
    if len(plain) <= LONGEST_DECIMAL:
        return plain
    while digits % 10 == 0:
        digits, scale = digits // 10, scale - 1
    return f"{digits}e{-scale}" if scale else str(digits)


def decimal(digits: int, scale: int) -> str:
    """`digits` with the point `scale` places from the right."""
    sign, text = "-" if digits < 0 else "", str(abs(digits)).rjust(scale + 1, "0")
    return sign + (f"{text[:-scale]}.{text[-scale:]}" if scale else text)


def decimal_places(value: Fraction) -> int | None:
    """How many decimals a number has; None where they do not end, or are more than are read."""
    counts, denominator = [], value.denominator
    for prime in (2, 5):
        count = 0
        while denominator % prime == 0:
            denominator, count = denominator // prime, count + 1
        counts.append(count)
    scale = max(counts)
    short = scale <= LIMITS.digits and abs(value) * 10**scale < 10**LIMITS.digits
    return scale if denominator == 1 and (scale == 0 or short) else None


def number_power(value: Fraction) -> int:
    if decimal_places(value) is None:
        return Bind.PRODUCT if value > 0 else Bind.SUM
    return ATOM if value >= 0 else Bind.SUM


def begins_with_number(e: Expr) -> bool:
    """`2` and `2^x` stand after a written `*`."""
    while isinstance(e, Power):
        e = e.base
    return isinstance(e, Number)


def is_sigma(e: Expr) -> bool:
    """σ before a bracket would be the sigmoid."""
    return isinstance(e, Tensor) and e.name == "σ"
