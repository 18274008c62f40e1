"""sympy_words: the functions of the language as functions of sympy, and those that sympy lacks.

Imports sympy, so it is itself imported only where somebody asks for sympy.
"""

from __future__ import annotations

from typing import ClassVar

import sympy
from sympy import Piecewise, erf, exp, log, pi, sqrt
from sympy.codegen.cfunctions import expm1, log1p


class Word(sympy.Function):  # type: ignore[misc]
    """A real function of a real argument: it is evaluated by its definition, and rewritten so for exp and Piecewise.

    `slope` is its derivative, with the kinks of the language.
    """

    nargs: ClassVar[int] = 1

    @classmethod
    def definition(cls, x: sympy.Expr) -> sympy.Expr:
        raise NotImplementedError

    @classmethod
    def slope(cls, x: sympy.Expr) -> sympy.Expr:
        raise NotImplementedError

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return self.slope(self.args[0])

    def _eval_rewrite(self, rule: object, args: tuple[sympy.Expr, ...], **hints: object) -> sympy.Expr | None:
        return self.definition(*args) if rule in (exp, Piecewise) else None

    def _eval_evalf(self, prec: int) -> sympy.Expr:
        return self.definition(self.args[0])._eval_evalf(prec)

    def _eval_is_real(self) -> bool | None:
        return self.args[0].is_real  # type: ignore[no-any-return]


class sigmoid(Word):
    """1 / (1 + exp(-x))."""

    @classmethod
    def definition(cls, x: sympy.Expr) -> sympy.Expr:
        return 1 / (1 + exp(-x))

    @classmethod
    def slope(cls, x: sympy.Expr) -> sympy.Expr:
        return cls(x) * (1 - cls(x))


class step(Word):
    """1 where x > 0, else 0."""

    @classmethod
    def definition(cls, x: sympy.Expr) -> sympy.Expr:
        return Piecewise((1, x > 0), (0, True))

    @classmethod
    def slope(cls, x: sympy.Expr) -> sympy.Expr:
        return sympy.S.Zero


class relu(Word):
    """x where x > 0, else 0."""

    @classmethod
    def definition(cls, x: sympy.Expr) -> sympy.Expr:
        return Piecewise((x, x > 0), (0, True))

    @classmethod
    def slope(cls, x: sympy.Expr) -> sympy.Expr:
        return step(x)


class softplus(Word):
    """log(1 + exp(x))."""

    @classmethod
    def definition(cls, x: sympy.Expr) -> sympy.Expr:
        return log(1 + exp(x))

    @classmethod
    def slope(cls, x: sympy.Expr) -> sympy.Expr:
        return sigmoid(x)


class gelu(Word):
    """x (1 + erf(x/√2)) / 2."""

    @classmethod
    def definition(cls, x: sympy.Expr) -> sympy.Expr:
        return x * (1 + erf(x / sqrt(2))) / 2

    @classmethod
    def slope(cls, x: sympy.Expr) -> sympy.Expr:
        return (1 + erf(x / sqrt(2))) / 2 + x * exp(-(x**2) / 2) / sqrt(2 * pi)


class silu(Word):
    """x sigmoid(x)."""

    @classmethod
    def definition(cls, x: sympy.Expr) -> sympy.Expr:
        return x / (1 + exp(-x))

    @classmethod
    def slope(cls, x: sympy.Expr) -> sympy.Expr:
        return sigmoid(x) * (1 + x * (1 - sigmoid(x)))


class elu(Word):
    """x where x > 0, else exp(x) - 1."""

    @classmethod
    def definition(cls, x: sympy.Expr) -> sympy.Expr:
        return Piecewise((x, x > 0), (expm1(x), True))

    @classmethod
    def slope(cls, x: sympy.Expr) -> sympy.Expr:
        return Piecewise((1, x > 0), (exp(x), True))


# the word of the language, and the class of sympy that is the same function of real numbers
WORDS: dict[str, type[sympy.Function]] = {
    **{f.__name__: f for f in (sigmoid, step, relu, softplus, gelu, silu, elu, log1p, expm1)},
    **{f.__name__: f for f in (exp, log, sympy.sin, sympy.cos, sympy.tan, sympy.asin, sympy.acos, sympy.atan)},
    **{f.__name__: f for f in (sympy.sinh, sympy.cosh, sympy.tanh, erf, sympy.sign)},
    "abs": sympy.Abs,
    "max": sympy.Max,
    "min": sympy.Min,
}

COMPARISONS: dict[str, type[sympy.Rel]] = {
    "<": sympy.StrictLessThan,
    "<=": sympy.LessThan,
    ">": sympy.StrictGreaterThan,
    ">=": sympy.GreaterThan,
    "==": sympy.Equality,
}
