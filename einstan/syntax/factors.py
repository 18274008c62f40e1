"""factors: what is one factor with or without brackets, and what a reader takes for a derivative."""

from __future__ import annotations

from ..errors import Span
from .ast import (
    Call,
    Concat,
    Derivative,
    Expr,
    Extent,
    Filled,
    Group,
    Number,
    Power,
    Product,
    Sum,
    Tensor,
    indices_of,
)


def splice(factor: Expr) -> tuple[list[Expr], list[bool]]:
    """The factors of a fraction in braces, which brackets do not close; any other operand alone."""
    if isinstance(factor, Product):
        return list(factor.factors), list(factor.divides)
    return [factor], [False]


def grouped(body: Expr, span: Span) -> Expr:
    """`body` in brackets, which say nothing about what is one factor anyhow."""
    plain = isinstance(body, (Number, Call, Extent, Concat, Group))
    if isinstance(body, (Tensor, Filled)):
        names = [index.name for index in body.indices or ()]
        plain = len(set(names)) == len(names)
    return body if plain else Group(body, span)


def ungrouped(e: Expr) -> Expr:
    while isinstance(e, Group):
        e = e.body
    return e


def braced(body: Expr, span: Span) -> Expr:
    """`body` in the braces of LaTeX, which say nothing about a power, nor about a name that sums nothing."""
    return body if is_one_factor(body) else grouped(body, span)


def is_one_factor(e: Expr) -> bool:
    """One factor with or without brackets."""
    if isinstance(e, Tensor | Filled | Derivative):
        tensors = (e.numerator, *e.denominators) if isinstance(e, Derivative) else (e,)
        names = [index.name for t in tensors for index in indices_of(t) if index.capital]
        return len(set(names)) == len(names)
    return isinstance(e, Number | Call | Extent | Concat | Group | Power)


def negative_number(e: Expr) -> Expr:
    """`x^{-1}` and `x^(-1)` are x^-1."""
    body = e.body if isinstance(e, Group) else e
    lone = isinstance(body, Sum) and body.signs == (-1,) and isinstance(body.terms[0], Number)
    return Number(-body.terms[0].value, e.span) if lone else e  # type: ignore[attr-defined]


def is_derivative(top: Expr, bottom: Expr) -> bool:
    r"""`\frac{dL}{dW}`, `\frac{d}{dx}`, `\frac{d^2 L}{dw dw}`: what a reader takes for a derivative."""
    first = top.factors[0] if isinstance(top, Product) else top
    leads = is_d(first.base if isinstance(first, Power) else first)
    return bool(differentials(bottom)) and (leads or bool(differentials(top)))


def differentials(e: Expr) -> list[Tensor]:
    """What a product of differentials, `dL` or `d L`, is made of; nothing for other expressions."""
    factors = e.factors if isinstance(e, Product) and not any(e.divides) else (e,)
    found: list[Tensor] = []
    after_d = False
    for factor in factors:
        if after_d and isinstance(factor, Tensor):
            found.append(factor)
            after_d = False
        elif is_d(factor):
            after_d = True
        elif isinstance(factor, Tensor) and factor.name.startswith("d") and len(factor.name) > 1:
            found.append(Tensor(factor.name[1:], factor.indices, factor.span))
        else:
            return []
    return [] if after_d else found


def is_d(e: Expr) -> bool:
    return isinstance(e, Tensor) and e.name == "d" and not e.indices
