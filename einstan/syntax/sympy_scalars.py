"""sympy_scalars: a sympy expression of scalars -> the formula. One row for each class of sympy that has a form.

What has no row is refused; nothing is differentiated or evaluated by sympy, and no text reaches it. `env` is the letter
of every index that is free or bound around an expression; a function of scalars has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from ..errors import EinstanError
from ..recursion import Recursive, run
from ..sympy_words import COMPARISONS, WORDS
from . import ast
from .lexer import LIMITS

Env = Mapping[Any, str]
HALF = Fraction(1, 2)
MAX_SIZE = 20_000


def scalar_formula(e: Any, names: Mapping[sympy.Symbol, str]) -> ast.Expr:
    """The formula of an expression in the symbols of `names` alone, which are called so."""
    value = sympy.S(e) if isinstance(e, int | float | Fraction) and not isinstance(e, bool) else e
    if not isinstance(value, sympy.Expr | sympy.logic.boolalg.Boolean):
        raise EinstanError(
            f"A formula is an expression of sympy, not {type(e).__name__}.",
            "Write it with sympy: lambda x: sympy.log(1 + x**2), sympy.Piecewise((x, x > 0), (0, True)).",
        )
    return Scalar(names).expr(value, {})


class Reader:
    """What reads an expression: the rows it may use; how many parts it has read."""

    def __init__(self, rows: Mapping[type, Row]) -> None:
        self.rows, self.size = rows, 0

    def expr(self, e: Any, env: Env) -> ast.Expr:
        """The formula of a whole expression."""
        try:
            return run(self.read(e, env))
        except RecursionError:
            raise EinstanError("The expression is nested too deep for sympy.", "Give names to parts of it.") from None

    def read(self, e: Any, env: Env) -> Recursive[ast.Expr]:
        self.size += 1
        within(self.size)
        row = next((self.rows[kind] for kind in type(e).__mro__ if kind in self.rows), None)
        if row is None:
            raise refused(e)
        return row(self, e, env)

    def terms(self, terms: Sequence[Any]) -> Sequence[Any]:
        """The terms of a sum as they are best read."""
        return terms

    def factors(self, factors: Sequence[Any]) -> Sequence[Any]:
        """The factors of a product as they are best read."""
        return factors

    def read_all(self, parts: Iterable[Any], env: Env) -> Recursive[tuple[ast.Expr, ...]]:
        found = []
        for part in parts:
            found.append((yield self.read(part, env)))
        return tuple(found)


Row = Callable[[Any, Any, Env], Recursive[ast.Expr]]


class Scalar(Reader):
    """Reads a function of given scalars."""

    def __init__(self, names: Mapping[sympy.Symbol, str]) -> None:
        super().__init__(ENTRYWISE | {sympy.Symbol: self.symbol})
        self.names = names

    def symbol(self, _: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
        if e not in self.names:
            raise EinstanError(
                f"The formula holds {e}, which is none of its arguments.", "Make it an argument, or put in its value."
            )
        return done(ast.Tensor(self.names[e]))


def done(e: ast.Expr) -> Recursive[ast.Expr]:
    """An expression that needs no further reading."""
    yield from ()
    return e


def within(size: int) -> None:
    """An expression may share its parts, and is read as if each were written out."""
    if size > MAX_SIZE:
        raise EinstanError(f"The expression has more than {MAX_SIZE} parts.", "Give names to parts of it.")


def refused(e: Any) -> EinstanError:
    """What the language has no form for, and what to write instead."""
    kind = next((c for c in type(e).__mro__ if c.__name__ in REPAIRS), None)
    repair = REPAIRS[kind.__name__] if kind else f"Its functions are sqrt, {', '.join(sorted(WORDS))}, Piecewise."
    return EinstanError(f"{type(e).__name__} of sympy has no form in the language: {str(e)[:80]}.", repair)


def of_number(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    return done(ast.Sum((magnitude(e),), (-1,)) if e.is_negative else magnitude(e))


def fraction(e: Any) -> Fraction:
    """Exact; a float is the decimal that it is written as."""
    too_long = EinstanError(f"A number has at most {LIMITS.digits} digits.", "Give it as an argument.")
    if isinstance(e, sympy.Float):
        if abs(e.num.exp) > 4 * LIMITS.digits:
            raise too_long
        near = float(e)
        value = Fraction(repr(near) if sympy.Float(near) == e else str(e))
    else:
        value = Fraction(int(e.p), int(e.q))
    if max(abs(value.numerator), value.denominator) > 10**LIMITS.digits:
        raise too_long
    return value


def magnitude(e: Any) -> ast.Expr:
    """A number without its sign: whole, a decimal, or a division."""
    q = abs(fraction(e))
    if q.denominator == 1 or e.is_Float:
        return ast.Number(q)
    return product([ast.Number(Fraction(q.numerator))], [ast.Number(Fraction(q.denominator))])


def product(above: Sequence[ast.Expr], below: Sequence[ast.Expr]) -> ast.Expr:
    """The factors above and below the line as one product."""
    top = list(above) or [ast.Number(Fraction(1))]
    if len(top) == 1 and not below:
        return top[0]
    return ast.Product((*top, *below), (False,) * len(top) + (True,) * len(below))


def of_add(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    terms, signs = [], []
    for term in r.terms(e.as_ordered_terms()):
        minus = bool(term.as_coeff_Mul()[0].is_negative)
        terms.append((yield r.read(-term if minus else term, env)))
        signs.append(-1 if minus else 1)
    return ast.Sum(tuple(terms), tuple(signs))


def of_mul(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    coef, rest = e.as_coeff_Mul()
    if coef.is_negative:
        positive = yield r.read(-e, env)
        return ast.Sum((positive,), (-1,))
    above, below = yield factors(r, coef, rest.as_ordered_factors() if rest.is_Mul else [rest], env)
    return product(above, below)


def factors(r: Reader, coef: Any, parts: Iterable[Any], env: Env) -> Recursive[tuple[list[ast.Expr], list[ast.Expr]]]:
    """What stands above and what below the line of a product."""
    if not isinstance(coef, sympy.Rational | sympy.Float):
        raise refused(coef)
    value = fraction(coef)
    top, bottom = value.as_integer_ratio() if coef.is_Rational else (value, 1)
    above: list[ast.Expr] = [ast.Number(Fraction(top))] if top != 1 else []
    below: list[ast.Expr] = [ast.Number(Fraction(bottom))] if bottom != 1 else []
    for part in r.factors(list(parts)):
        base, q = part.as_base_exp() if part.is_Pow else (part, sympy.S.One)
        inverse = bool(q.is_number and q.is_negative)
        side = below if inverse else above
        side.append((yield r.read(base**-q if inverse else part, env)))
    return above, below


def of_pow(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    base, q = e.as_base_exp()
    if q.is_number and q.is_negative:
        below = yield r.read(base**-q, env)
        return product([], [below])
    read = yield r.read(base, env)
    if q.is_Rational or q.is_Float:
        value = fraction(q)
        return ast.Call("sqrt", (read,)) if value == HALF else ast.Power(bracketed(read), magnitude(q))
    exponent = yield r.read(q, env)
    return ast.Power(bracketed(read), exponent)


def bracketed(e: ast.Expr) -> ast.Expr:
    """A trace as one factor: (A[I,I])."""
    names = [i.name for i in e.indices or ()] if isinstance(e, ast.Tensor) else []
    return ast.Group(e) if len(set(names)) < len(names) else e


def of_word(word: str) -> Row:
    """A function of one argument."""

    def row(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
        if len(e.args) != 1:
            raise refused(e)
        return ast.Call(word, (yield r.read_all(e.args, env)))

    return row


def of_extremum(word: str) -> Row:
    """max(a, max(b, c)), in the order of sympy, numbers last."""

    def row(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
        parts: tuple[ast.Expr, ...] = yield r.read_all(sorted(e.args, key=lambda part: bool(part.is_number)), env)
        found = parts[-1]
        for part in reversed(parts[:-1]):
            found = ast.Call(word, (part, found))
        return found

    return row


def of_pi(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    return done(ast.Tensor("pi"))


def of_e(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    return done(ast.Call("exp", (ast.Number(Fraction(1)),)))


def of_heaviside(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    """step is 0 at 0."""
    if e.args[1] != 0:
        raise EinstanError(
            f"Heaviside is {e.args[1]} at 0, and step of the language is 0 there.",
            "Write Heaviside(x, 0), or a Piecewise that says the value at 0.",
        )
    return ast.Call("step", (yield r.read_all(e.args[:1], env)))


def of_piecewise(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    """where(c, a, where(d, b, rest)); the 1 and 0 of a comparison are the comparison."""
    *choices, last = e.args
    if last.cond != sympy.true:
        raise EinstanError(
            "A Piecewise that leaves some arguments without a value.", "End it with the pair (value, True)."
        )
    if len(choices) == 1 and choices[0].expr == 1 and last.expr == 0:
        decided: ast.Expr = yield r.read(choices[0].cond, env)
        return decided
    found: ast.Expr = yield r.read(last.expr, env)
    for choice in reversed(choices):
        condition = yield r.read(tested(choice.cond), env)
        value = yield r.read(choice.expr, env)
        found = ast.Call("where", (condition, value, found))
    return found


def tested(condition: Any) -> Any:
    """x for the condition x ≠ 0: where(x, a, b) takes a wherever x is not 0."""
    return condition.lhs if isinstance(condition, sympy.Ne) and condition.rhs == 0 else condition


def of_relation(op: str) -> Row:
    def row(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
        left, right = yield r.read_all(e.args, env)
        return ast.Compare(op, left, right)

    return row


def of_and(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    """c d."""
    return product((yield r.read_all(e.args, env)), [])


def of_or(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    """1 - (1 - c) (1 - d)."""
    parts = yield r.read_all(e.args, env)
    return one_minus(product([one_minus(part) for part in parts], []))


def of_not(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    return one_minus((yield r.read(e.args[0], env)))


def of_unequal(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    left, right = yield r.read_all(e.args, env)
    return one_minus(ast.Compare("==", left, right))


def one_minus(e: ast.Expr) -> ast.Expr:
    return ast.Sum((ast.Number(Fraction(1)), e), (1, -1))


def of_truth(value: int) -> Row:
    return lambda r, e, env: done(ast.Number(Fraction(value)))


ENTRYWISE: dict[type, Row] = {
    **{kind: of_word(word) for word, kind in WORDS.items()},
    **{kind: of_relation(op) for op, kind in COMPARISONS.items()},
    sympy.Max: of_extremum("max"),
    sympy.Min: of_extremum("min"),
    sympy.Rational: of_number,
    sympy.Float: of_number,
    type(sympy.pi): of_pi,
    type(sympy.E): of_e,
    sympy.Add: of_add,
    sympy.Mul: of_mul,
    sympy.Pow: of_pow,
    sympy.Heaviside: of_heaviside,
    sympy.Piecewise: of_piecewise,
    sympy.Unequality: of_unequal,
    sympy.And: of_and,
    sympy.Or: of_or,
    sympy.Not: of_not,
    BooleanTrue: of_truth(1),
    BooleanFalse: of_truth(0),
}

REPAIRS = {
    "Derivative": "Give the function; its derivatives are taken here.",
    "Subs": "Give the function; its derivatives are taken here.",
    "Integral": "Evaluate it, or give it as an input.",
    "DiracDelta": "Derivatives at a kink are 0 here; give the function itself.",
    "ImaginaryUnit": "Write a formula of real numbers.",
    "UnevaluatedExpr": "Write the expression without it.",
    "Infinity": "Write the bound as a number.",
    "NegativeInfinity": "Write the bound as a number.",
    "ComplexInfinity": "Write a formula of finite numbers.",
    "NaN": "Write a formula of finite numbers.",
    "NumberSymbol": "Write it as a decimal.",
    "AppliedUndef": "Write out what the function is.",
    "Indexed": "A function of scalars has no indices.",
    "Sum": "A function of scalars has no indices.",
    "Product": "A function of scalars has no indices.",
    "MatMul": "Write the indices: Sum(A[i, k]*B[k, j], (k, 0, n - 1)).",
    "MatAdd": "Write the indices: A[i, j] + B[i, j].",
    "Transpose": "Write the indices in the other order: A[j, i].",
    "Trace": "Write the sum: Sum(A[i, i], (i, 0, n - 1)).",
    "MatPow": "Write the indices; inverse matrices are not built yet.",
    "Inverse": "Inverse matrices are not built yet; give it as an input.",
    "MatrixExpr": "Write the indices: A[i, j].",
    "MatrixBase": "Write the indices of an IndexedBase: A[i, j].",
    "IndexedBase": "Write its indices: A[i, j].",
    "Idx": "An index is no number here; give an array that holds its values.",
}
