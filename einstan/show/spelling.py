"""spelling: small pieces of formulas: powers, numbers, and the brackets that a place asks for."""

from __future__ import annotations

from fractions import Fraction

from ..syntax import ast

HALF = Fraction(1, 2)


def raised(base: ast.Expr, q: Fraction) -> ast.Expr:
    if q == 1:
        return base
    if q == HALF:
        return ast.Call("sqrt", (base,))
    top, bottom = decimal(q)
    exponent: ast.Expr = ast.Number(top)
    if bottom != 1:
        exponent = ast.Group(ast.Product((exponent, ast.Number(bottom)), (False, True)))
    return ast.Power(bracket_chain(base), exponent)


def decimal(q: Fraction) -> tuple[Fraction, Fraction]:
    """(top, bottom) with q = top / bottom as it is best written: 1/2, 3/7, but 0.001."""
    if q.denominator <= 9 or strip(strip(q.denominator, 2), 5) != 1:
        return Fraction(q.numerator), Fraction(q.denominator)
    return q, Fraction(1)


def strip(n: int, prime: int) -> int:
    while n % prime == 0:
        n //= prime
    return n


def bracket_sum(expr: ast.Expr) -> ast.Expr:
    return ast.Group(expr) if isinstance(expr, ast.Sum | ast.Compare | ast.Odot) else expr


def bracket_compare(expr: ast.Expr) -> ast.Expr:
    return ast.Group(expr) if isinstance(expr, ast.Compare) else expr


def bracket_product(expr: ast.Expr) -> ast.Expr:
    return ast.Group(expr) if isinstance(expr, ast.Product) else bracket_sum(expr)


def bracket_chain(expr: ast.Expr) -> ast.Expr:
    return ast.Group(expr) if isinstance(expr, ast.Product | ast.Power | ast.Derivative) else bracket_sum(expr)
