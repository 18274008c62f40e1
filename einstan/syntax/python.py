"""python: Python's operators -> AST, with the brackets that the text would need.

Every function takes trees as a reader of the formula sees them and gives a new one. A product on the left of
`*` or `/` stays open, so that (a*b)*c is a*b*c; one on the right is a bracket (NOTATION section 9).
A sum on the left of `+` stays a term of its own until `settled` joins it: it may be a name by then.
"""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ..errors import EinstanSyntaxError
from .ast import (
    NOWHERE,
    Call,
    Compare,
    Concat,
    Derivative,
    Expr,
    Group,
    Index,
    Number,
    Odot,
    Power,
    Product,
    Sum,
    Tensor,
    indices_of,
    postorder,
)
from .factors import grouped
from .lexer import LIMITS, tokens
from .names import Name
from .parser import Parser
from .token import EOF, WORD, Token

# -------------------------------------------------------------------- operands


def number(value: object) -> Expr:
    """A number of Python or numpy, exact as its text says: 0.1 is 1/10."""
    exact = rational(value)
    if exact is None:
        raise EinstanSyntaxError(
            f"{repr(value)[:80]} is no operand of a formula.",
            "Use expressions and finite real numbers; arrays are given when the formula runs.",
        )
    if max(abs(exact.numerator), exact.denominator) > 10**LIMITS.digits:
        raise EinstanSyntaxError(f"A number has at most {LIMITS.digits} digits.", "Give it as an input.")
    return Number(exact) if exact >= 0 else negative(Number(-exact))


def rational(value: object) -> Fraction | None:
    """The exact value of a finite real number; None of anything else (a bool is no number)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if not isinstance(value, numbers.Real | Decimal):
        return None
    try:
        return Fraction(str(value))
    except ValueError:  # nan, inf
        return None


def whole_name(text: str, labels: Sequence[str]) -> Name:
    """The one name that `text` spells, with its label, primes and index list."""
    parser = Parser(text, labels)
    return only(text, parser.name(), parser.peek())


def function_name(text: str, labels: Sequence[str] = ()) -> Name:
    """The one function that `text` spells, with its primes and its slot: f'[2]."""
    parser = Parser(f"{text}(", labels)
    return only(text, parser.name(), parser.peek(1))


def only(text: str, found: Name, after: Token) -> Name:
    if after.kind != EOF:
        raise EinstanSyntaxError(f"{text[:80]!r} is not one name.", "Write one name, such as X or X[b,k].")
    return found


def tensors_in(text: str, labels: Sequence[str]) -> list[Tensor]:
    """The same as tensors, with the indices that each is written with."""
    parser, found = Parser(text, labels), []
    while parser.peek().kind != EOF:
        found.append(parser.tensor(parser.name()))
        if parser.at("["):
            raise parser.error(
                "A name has one list of indices.", "Write W[j,k], or W_f[j,k] with labels='f'.", parser.peek().span
            )
        parser.skip(",")
    return found


# -------------------------------------------------------------------- operators


def lone_minus(e: Expr) -> bool:
    return isinstance(e, Sum) and len(e.terms) == 1 and e.signs == (-1,)


def bracketed(e: Expr, *kinds: type[Expr]) -> Expr:
    """`e`, in brackets if it is of these kinds."""
    return Group(e) if isinstance(e, kinds) else e


def negative(e: Expr) -> Expr:
    return Sum((bracketed(e, Sum, Compare),), (-1,))


def added(left: Expr, right: Expr, sign: int = 1) -> Expr:
    """left + right, or left - right with the sign -1."""
    if lone_minus(right):
        assert isinstance(right, Sum)
        return added(left, right.terms[0], -sign)
    return Sum((bracketed(left, Compare), bracketed(right, Sum, Compare)), (1, sign))


def subtracted(left: Expr, right: Expr) -> Expr:
    return added(left, right, -1)


def multiplied(left: Expr, right: Expr, over: bool = False) -> Expr:
    """left * right; a minus in front covers the whole product."""
    if lone_minus(left):
        assert isinstance(left, Sum)
        return negative(multiplied(left.terms[0], right, over))
    loose = (Sum, Odot, Compare)
    factors, divides = (left.factors, left.divides) if isinstance(left, Product) else ((left,), (False,))
    return Product(
        (*(bracketed(f, *loose) for f in factors), bracketed(right, Product, *loose)),
        (*divides, over),
    )


def divided(left: Expr, right: Expr) -> Expr:
    return multiplied(left, right, True)


def powered(base: Expr, exponent: Expr) -> Expr:
    if lone_minus(exponent):
        assert isinstance(exponent, Sum)
        inner = exponent.terms[0]
        exponent = Number(-inner.value) if isinstance(inner, Number) else exponent
    loose = (Sum, Odot, Compare, Product)
    return Power(bracketed(base, *loose, Power, Derivative), bracketed(exponent, *loose))


def compared(op: str) -> Callable[[Expr, Expr], Expr]:
    return lambda left, right: Compare(op, bracketed(left, Compare), bracketed(right, Compare))


def without_sum(*factors: Expr) -> Expr:
    """a ⊙ b ⊙ c."""
    return Odot(tuple(bracketed(f, Sum, Odot, Compare) for f in factors))


def group(body: Expr) -> Expr:
    return grouped(body, NOWHERE)


def derivative(top: Expr, *below: Expr) -> Expr:
    """∂top/∂below, of the order of how many there are below."""
    tensors = tuple(b for b in below if isinstance(b, Tensor))
    if not below or len(tensors) < len(below):
        raise EinstanSyntaxError("A derivative is by names with their indices.", "Write es.d(L, W[k, j]).")
    return Derivative(top if isinstance(top, Tensor) else Group(top), tensors)


def joined(parts: Sequence[Expr], along: Index) -> Expr:
    return Concat(tuple(parts), along)


def called(name: Name, args: Sequence[Expr], along: tuple[Index, ...] | None) -> Expr:
    return Call(name.function, tuple(args), along, name.primes, name.slots)


# -------------------------------------------------------------------- trees as a whole


def first_letters(root: Expr, shown: frozenset[str]) -> tuple[str, ...]:
    """Those of the letters `shown`, in order of first appearance."""
    written = (index.name for e in postorder(root) for index in indices_of(e))
    return tuple(dict.fromkeys(x for x in written if x in shown))


def settled(root: Expr, table: Mapping[int, Expr], renamed: Mapping[str, str]) -> Expr:
    """`root` with some trees (by id) replaced and some names changed, and sums on the left of sums joined."""
    done: dict[int, Expr] = {}
    for e in postorder(root):
        if id(e) in table and e is not root:
            done[id(e)] = table[id(e)]
        elif isinstance(e, Tensor):
            done[id(e)] = Tensor(renamed.get(e.name, e.name), e.indices)
        else:
            done[id(e)] = with_operands(e, [done[id(k)] for k in e.children], renamed)
    return done[id(root)]


def with_operands(e: Expr, operands: Sequence[Expr], renamed: Mapping[str, str]) -> Expr:
    """The node `e` over other operands."""
    row = WITH_OPERANDS.get(type(e))
    if isinstance(e, Derivative):
        below = tuple(Tensor(renamed.get(t.name, t.name), t.indices) for t in e.denominators)
        return Derivative(operands[0], below)
    return e if row is None else row(e, tuple(operands))


def joined_sum(e: Sum, terms: tuple[Expr, ...]) -> Expr:
    first = terms[0]
    if isinstance(first, Sum) and e.signs[0] == 1:
        return Sum((*first.terms, *terms[1:]), (*first.signs, *e.signs[1:]))
    return Sum(terms, e.signs)


WITH_OPERANDS: dict[type[Expr], Callable[[Any, tuple[Expr, ...]], Expr]] = {
    Sum: joined_sum,
    Product: lambda e, k: Product(k, e.divides),
    Odot: lambda e, k: Odot(k),
    Power: lambda e, k: Power(k[0], k[1]),
    Compare: lambda e, k: Compare(e.op, k[0], k[1]),
    Concat: lambda e, k: Concat(k, e.index),
    Group: lambda e, k: grouped(k[0], NOWHERE),
    Call: lambda e, k: Call(e.name, k, e.along, e.primes, e.slots),
}
"""The node over other operands; leaves have none."""


def written_size(root: Expr) -> int:
    """How many nodes a tree has when it is written out, shared parts as often as they stand there."""
    sizes: dict[int, int] = {}
    for e in postorder(root):
        sizes[id(e)] = 1 + sum(sizes[id(k)] for k in e.children)
    return sizes[id(root)]


def repeated(root: Expr) -> list[Expr]:
    """The trees that stand below several others, or twice below one."""
    counts = Counter(id(k) for e in postorder(root) for k in e.children)
    return [e for e in postorder(root) if counts[id(e)] > 1]


def is_index(word: str) -> bool:
    """Whether a word is an index of the language."""
    try:
        first, *rest = tokens(word)
    except EinstanSyntaxError:
        return False
    return first.kind == WORD and [t.kind for t in rest] == [EOF]
