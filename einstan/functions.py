"""functions: scalar functions that a user gives as expressions of sympy, kept as formulas of the language.

sympy hands over the formula and nothing else: values and derivatives of every order come from the rules that the
written-out formula has, with the same kinks and the same stable forms. A Function is its content; it holds no code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .errors import EinstanError, EinstanNameError
from .ir import Node
from .lower import formula_value
from .show.text import show_expr
from .syntax import ast, words
from .syntax.parser import parse_expression

TAKEN = words.RESERVED | words.ALIASES.keys() | {"pi", "π", "delta", "δ", "d"}


@dataclass(frozen=True, slots=True)
class Function:
    """`huber(x) = where(abs(x) <= 1, x^2 / 2, abs(x) - 1 / 2)`: a name, its parameters, a formula in them."""

    name: str
    params: tuple[str, ...]
    formula: str

    @property
    def arity(self) -> int:
        return len(self.params)

    @property
    def body(self) -> ast.Expr:
        return parsed(self.formula)

    def value(self, args: Sequence[Node]) -> Node:
        """The function of nodes of one shape, entry by entry."""
        return formula_value(self, args)

    def __call__(self, *args: Any) -> Any:
        """The function of expressions; numbers may stand among them."""
        if len(args) != self.arity:
            raise EinstanError(
                f"{self.name} has {self.arity} argument{'s' * (self.arity > 1)}, not {len(args)}.",
                f"Write {self.name}({', '.join(self.params)}).",
            )
        for x in args:
            if hasattr(x, "applied"):
                return x.applied(self, args)
        raise EinstanError(
            f"{self.name} is a function of expressions, not of {type(args[0]).__name__}.",
            'Write it of an expression, X = es.tensors("X[i]"), or in a text: es.parse(text, functions=[f]).',
        )

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.params)}) = {self.formula}"


def functions_of(given: Iterable[Any]) -> tuple[Function, ...]:
    """The functions that a program may call, seen to be some."""
    found = tuple(given)
    for f in found:
        if not isinstance(f, Function):
            raise EinstanError(
                f"functions holds {type(f).__name__}, which is no function of es.function.",
                'Write functions=[es.function("huber", lambda x: ...)].',
            )
    return found


@lru_cache(maxsize=256)
def parsed(formula: str) -> ast.Expr:
    return parse_expression(formula)


def function(name: str, formula: Callable[..., Any]) -> Function:
    """A scalar function, entry by entry, given as a sympy expression of its arguments.

    `formula` is called once, with a real sympy symbol for each of its parameters (those with a default keep it).
    Pass the result to `parse(functions=[...])`, or call it on expressions. Raises EinstanError where the formula is
    no function of real scalars that the language can write.

    >>> from sympy import Piecewise
    >>> print(function("huber", lambda x: Piecewise((x**2 / 2, abs(x) <= 1), (abs(x) - 0.5, True))))
    huber(x) = where(abs(x) <= 1, x^2 / 2, abs(x) - 0.5)
    """
    import sympy

    from .syntax.sympy_scalars import scalar_formula

    require_word(name)
    count = arity(formula)
    params = ("x",) if count == 1 else tuple(f"x{n}" for n in range(1, count + 1))
    symbols = tuple(sympy.Symbol(param, real=True) for param in params)
    try:
        result = formula(*symbols)
    except TypeError as error:
        raise EinstanError(
            f"The formula of {name} does not take symbols of sympy: {error}.",
            "Write it with sympy: sympy.exp(x), and sympy.Piecewise for a choice.",
        ) from error
    body = scalar_formula(result, dict(zip(symbols, params, strict=True)))
    return Function(name, params, show_expr(body))


def arity(formula: Callable[..., Any]) -> int:
    """The number of parameters without a default."""
    if not callable(formula):
        raise EinstanError(
            f"A function is given as a formula, not as {type(formula).__name__}.",
            'Write es.function("huber", lambda x: ...) with an expression of sympy.',
        )
    one_by_one = EinstanError("The parameters of a formula are written one by one.", "Write lambda a, b: ...")
    try:
        parameters = inspect.signature(formula).parameters.values()
    except ValueError:
        raise one_by_one from None
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    free = [p for p in parameters if p.default is inspect.Parameter.empty]
    if not free or any(p.kind not in plain for p in free):
        raise one_by_one
    return len(free)


def require_word(name: str) -> None:
    """A name that the language reads as a function, and gives no meaning of its own."""
    if name in TAKEN:
        raise EinstanNameError(f"{name} has its meaning in the language already.", "Choose another name.")
    try:
        read = parse_expression(f"{name}(x)")
    except EinstanError:
        read = None
    if not isinstance(read, ast.Call) or (read.name, read.along, read.primes) != (name, None, 0):
        raise EinstanNameError(
            f"{name[:80]!r} is no word of the language.", "Take a letter, then letters and digits: huber, g2."
        )
