"""from_sympy: an expression of sympy -> the formula in index notation. One row for each class of sympy.

A sum over a whole axis becomes the capital rule where each factor chain shows its index twice, else sum[k](...).
What has no row is refused; nothing is differentiated or evaluated by sympy, and no text reaches it.
`env`: the letter of every index that is free or bound around an expression. Letters: e an expression, k an index.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain as together
from itertools import count
from string import ascii_lowercase
from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import BooleanFalse, BooleanTrue
from sympy.matrices.expressions.matexpr import MatrixElement

from ..errors import EinstanError
from ..recursion import Recursive, run
from ..sympy_words import COMPARISONS, WORDS
from . import ast
from .lexer import LIMITS
from .parser import parse_expression

Env = Mapping[Any, str]
HALF = Fraction(1, 2)
MAX_SIZE = 20_000


def from_sympy(e: Any, labels: Sequence[str] = ()) -> ast.Expr:
    """The formula of an expression in Indexed, Sum, Product, KroneckerDelta and functions of these.

    `labels` are letters that are parts of names (`h_g`). Raises EinstanError for what has no form in the language.
    """
    if not isinstance(e, sympy.Basic):
        raise EinstanError(f"{type(e).__name__} is no expression of sympy.", "Give a sympy expression, not a text.")
    reader = Indexed(labels=tuple(labels))
    reader.survey(e)
    return reader.expr(e, reader.free_letters())


def scalar_formula(e: Any, names: Mapping[sympy.Symbol, str]) -> ast.Expr:
    """The formula of an expression in the symbols of `names` alone, which are called so."""
    value = sympy.S(e) if isinstance(e, int | float | Fraction) and not isinstance(e, bool) else e
    if not isinstance(value, sympy.Expr | sympy.logic.boolalg.Boolean):
        raise EinstanError(
            f"A formula is an expression of sympy, not {type(e).__name__}.",
            "Write it with sympy: lambda x: sympy.log(1 + x**2), sympy.Piecewise((x, x > 0), (0, True)).",
        )
    return Scalar(names).expr(value, {})


# ---------------------------------------------------------------- functions of scalars


class Reader:
    """What reads an expression: the rows it may use; how many parts it has read."""

    def __init__(self, rows: Mapping[type, Row]) -> None:
        self.rows, self.size = rows, 0

    def expr(self, e: Any, env: Env) -> ast.Expr:
        return run(self.read(e, env))

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
    return done(number(fraction(e)))


def fraction(e: Any) -> Fraction:
    """Exact; a float is the decimal that it is written as."""
    if isinstance(e, sympy.Float):
        value = Fraction(repr(float(e))) if e._prec == 53 and abs(float(e)) < float("inf") else Fraction(str(e))
    else:
        value = Fraction(int(e.p), int(e.q))
    if max(abs(value.numerator), value.denominator) > 10**LIMITS.digits:
        raise EinstanError(f"A number has at most {LIMITS.digits} digits.", "Give it as an argument.")
    return value


def number(q: Fraction) -> ast.Expr:
    size = fractional(abs(q))
    return ast.Sum((size,), (-1,)) if q < 0 else size


def fractional(q: Fraction) -> ast.Expr:
    """A number that is not negative: whole, a decimal, or a division."""
    if q.denominator == 1 or q.denominator > 1000:
        return ast.Number(q)
    return chain([ast.Number(Fraction(q.numerator))], [ast.Number(Fraction(q.denominator))])


def chain(above: Sequence[ast.Expr], below: Sequence[ast.Expr]) -> ast.Expr:
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
    return chain(above, below)


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
        return chain([], [below])
    read = yield r.read(base, env)
    if q.is_Rational or q.is_Float:
        value = fraction(q)
        return ast.Call("sqrt", (read,)) if value == HALF else ast.Power(bracketed(read), fractional(value))
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
    return chain((yield r.read_all(e.args, env)), [])


def of_or(r: Reader, e: Any, env: Env) -> Recursive[ast.Expr]:
    """1 - (1 - c) (1 - d)."""
    parts = yield r.read_all(e.args, env)
    return one_minus(chain([one_minus(part) for part in parts], []))


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


# ---------------------------------------------------------------- indices


@dataclass(frozen=True, slots=True)
class Place:
    """An axis of a tensor."""

    name: str
    axis: int


class Indexed(Reader):
    """Reads an expression with indices; what it has met of names, sizes and free indices."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        super().__init__(ENTRYWISE | ROWS)
        self.labels = labels
        self.called: dict[str, Any] = {}  # name -> what is called so
        self.sizes: dict[Place | Any, Any] = {}  # an axis, or a free index -> its size
        self.free: dict[Any, None] = {}  # free indices in order of appearance
        self.first: int | None = None  # whether sums begin at 0 or at 1
        self.summed: dict[int, tuple[ast.Expr, frozenset[str]]] = {}  # products that sum -> over which capitals

    # -- what there is

    def survey(self, root: Any) -> None:
        """Notes free indices and the sizes of axes."""
        stack: list[tuple[Any, Mapping[Any, Any]]] = [(root, {})]
        for size in count(1):
            if not stack:
                break
            within(size)
            e, bound = stack.pop()
            if isinstance(e, sympy.Sum | sympy.Product):
                stack.append((e.function, {**bound, **self.ranges(e, bound)}))
                continue
            if (indices := indices_of(e)) is None:
                stack.extend((part, bound) for part in reversed(e.args))
                continue
            self.free.update(dict.fromkeys(k for k in indices if k not in bound))
            self.note_sizes(e, indices, bound)

    def note_sizes(self, e: Any, indices: Sequence[Any], bound: Mapping[Any, Any]) -> None:
        """An axis has the size of the sum over its index, that the tensor says, or that an Idx says."""
        name = None if isinstance(e, sympy.KroneckerDelta) else self.tensor_name(e)
        for axis, (k, size, index) in enumerate(zip(indices, shape_of(e), written_indices(e), strict=True)):
            keys = [*([Place(name, axis)] if name else ()), *([k] if k not in bound else ())]
            for known in (bound.get(k), size, extent_of(index)):
                for key in keys if known is not None else ():
                    self.same_size(key, known)

    def same_size(self, key: Any, size: Any) -> None:
        if self.sizes.setdefault(key, size) != size:
            what = f"axis {key.axis + 1} of {key.name}" if isinstance(key, Place) else f"the index {key}"
            raise EinstanError(
                f"The size of {what} is {self.sizes[key]} in one place and {size} in another.",
                "Sum over whole axes, each with one size.",
            )

    def ranges(self, e: Any, bound: Collection[Any]) -> dict[Any, Any]:
        """The indices of a sum with their sizes, once each is seen to run over a whole axis."""
        found: dict[Any, Any] = {}
        indices = {*(label(limit[0]) for limit in e.limits), *self.free, *bound}
        for limit in e.limits:
            if len(limit) != 3:
                raise EinstanError(f"{e} does not say from where to where.", "Write Sum(x[k], (k, 0, n - 1)).")
            k, low, high = label(limit[0]), limit[1], limit[2]
            size = high - low + 1
            if low not in (0, 1) or self.first not in (None, low) or k in found or not is_size(size, indices):
                raise EinstanError(
                    f"The sum over {k} runs from {low} to {high}; a sum runs over a whole axis.",
                    "Write (k, 0, n - 1), or (k, 1, n) everywhere, with a symbol n for the size of the axis.",
                )
            self.first = int(low)
            found[k] = size
        return found

    # -- names and letters

    def tensor_name(self, e: Any) -> str:
        base = e.base if isinstance(e, sympy.Indexed) else e.parent
        if isinstance(base, sympy.IndexedBase):
            return self.name(base.label, base.label)
        if isinstance(base, sympy.MatrixSymbol):
            return self.name(base, base)
        raise refused(base)

    def name(self, symbol: Any, meant: Any) -> str:
        """The name of a tensor or scalar; two things that would be called alike are refused."""
        text = str(getattr(symbol, "name", symbol))
        found = parsed(joined_digits(text), self.labels)
        if not isinstance(found, ast.Tensor) or found.indices != () or found.name in ("pi", "delta", "δ"):
            raise EinstanError(
                f"{text[:80]!r} is no name of the language, or has its meaning there.",
                "Take a letter, then letters, digits and primes.",
            )
        if self.called.setdefault(found.name, meant) != meant:
            raise EinstanError(f"Two things are called {found.name} here.", "Give them different names.")
        return found.name

    def free_letters(self) -> dict[Any, str]:
        env: dict[Any, str] = {}
        for k in sorted(self.free, key=lambda k: not k.name[:1].islower()):
            env[k] = self.letter(k, env)
        return env

    def letter(self, k: Any, env: Env) -> str:
        """A lower-case letter for an index, like its own name where that is a word and free."""
        taken = {*(x.lower() for x in env.values()), *self.labels}
        name = joined_digits(str(k.name))
        found = parsed(f"x[{name}]")
        own = isinstance(found, ast.Tensor) and [i.name for i in found.indices or ()] == [name]
        first = [name[0].lower() + name[1:]] if own else []
        numbered = (f"{x}{n}" for n in count(1) for x in ascii_lowercase)
        return next(x for x in together(first, "ijklmnpqrstuvwabcdefgh", numbered) if x.lower() not in taken)

    def bind(self, k: Any, env: Env) -> dict[Any, str]:
        """`env` with a letter for k that nothing around has, not even an index that k hides."""
        hidden = {("hidden", env[k]): env[k]} if k in env else {}
        return {**env, **hidden, k: self.letter(k, env)}

    def extent(self, size: Any) -> ast.Expr:
        """A size as a number of the language."""
        places = {known: place for place, known in self.sizes.items() if isinstance(place, Place)}
        if size not in places:
            raise EinstanError(f"No axis has the size {size}.", "Use the index on a tensor inside its sum.")
        return ast.Extent(places[size].name, places[size].axis)

    def terms(self, terms: Sequence[Any]) -> Sequence[Any]:
        """By the free indices, what is subtracted later: X[b,k] - m[b] + c[k]."""
        return sorted(terms, key=lambda t: (*self.rank(t), bool(t.as_coeff_Mul()[0].is_negative)))

    def factors(self, factors: Sequence[Any]) -> Sequence[Any]:
        """Numbers and scalars, then by the free indices: a X[b,K] W[K,j]."""
        return sorted(factors, key=lambda f: (any(True for _ in tensors(f)), *self.rank(f)))

    def rank(self, e: Any) -> tuple[int, int]:
        """Which free index it shows first, and then those before that show more."""
        free = sorted(self.free, key=lambda k: str(k.name))
        shown = [n for n, k in enumerate(free) if places(e, k)]
        return min(shown, default=len(free)), -len(shown)

    # -- rows

    def symbol(self, e: Any, env: Env) -> ast.Expr:
        """A scalar; the size of an axis."""
        if e in env or e in self.free:
            raise EinstanError(f"The index {e} stands as a number.", REPAIRS["Idx"])
        if any(e == size for size in self.sizes.values()):
            return self.extent(e)
        if any(e in size.free_symbols for size in self.sizes.values() if isinstance(size, sympy.Basic)):
            raise EinstanError(f"{e} is part of a size, and no axis has it alone.", "Write a symbol for each size.")
        return ast.Tensor(self.name(e, e))

    def indices(self, e: Any, env: Env) -> tuple[ast.Index, ...]:
        return tuple(ast.Index(env[k]) for k in indices_of(e) or ())

    def sum(self, e: Any, env: Env) -> Recursive[ast.Expr]:
        """The capital rule for indices that two factors show, sum[k](...) for the others."""
        coef, rest = e.function.as_coeff_Mul() if e.function.is_Mul else (sympy.S.One, e.function)
        if coef.is_negative:
            positive = yield self.read(e.func(-e.function, *e.limits), env)
            return ast.Sum((positive,), (-1,))
        sizes = self.ranges(e, env)
        parts = squares_spread(rest, sizes)
        inner, natural = dict(env), set[str]()
        for k in sizes:
            inner = self.bind(k, inner)
            upper = inner[k][0].upper() + inner[k][1:]
            shared = sum(places(part, k) for part in parts) > 1 and all(passes(part, k) for part in parts)
            if shared and upper[0].isupper() and len(upper) == len(inner[k]):
                inner[k] = upper
                natural.add(upper)
        above, below = yield factors(self, coef, parts, inner)
        above += [self.extent(size) for k, size in sizes.items() if not any(places(part, k) for part in parts)]
        body = chain(self.spliced(above), [self.closed(part) for part in below])
        if natural:
            self.summed[id(body)] = body, frozenset(natural)
        rest = [inner[k] for k in sizes if inner[k] not in natural and any(places(part, k) for part in parts)]
        return ast.Call("sum", (body,), tuple(map(ast.Index, rest))) if rest else body

    def spliced(self, parts: Sequence[ast.Expr]) -> list[ast.Expr]:
        """2 (A[i,K] b[K]) as 2 A[i,K] b[K]: a factor that sums joins the chain where its capitals are its own."""
        names = [index_names(part) for part in parts]
        found: list[ast.Expr] = []
        for n, part in enumerate(parts):
            _, capitals = self.summed.get(id(part), (part, frozenset[str]()))
            alone = not any(capitals & other for m, other in enumerate(names) if m != n)
            if isinstance(part, ast.Product) and capitals and alone and not any(part.divides):
                found.extend(part.factors)
            else:
                found.append(part if alone else self.closed(part))
        return found

    def closed(self, part: ast.Expr) -> ast.Expr:
        """(A[I,I]), where a trace could be taken for two more places of I."""
        return bracketed(part) if id(part) in self.summed else part


def of_symbol(r: Indexed, e: Any, env: Env) -> Recursive[ast.Expr]:
    return done(r.symbol(e, env))


def of_indexed(r: Indexed, e: Any, env: Env) -> Recursive[ast.Expr]:
    return done(ast.Tensor(r.tensor_name(e), r.indices(e, env)))


def of_delta(r: Indexed, e: Any, env: Env) -> Recursive[ast.Expr]:
    return done(ast.Tensor("delta", r.indices(e, env)))


def of_sum(r: Indexed, e: Any, env: Env) -> Recursive[ast.Expr]:
    return r.sum(e, env)


def of_indexed_mul(r: Indexed, e: Any, env: Env) -> Recursive[ast.Expr]:
    read: ast.Expr = yield of_mul(r, e, env)
    if not isinstance(read, ast.Product):
        return read
    top = len(read.divides) - sum(read.divides)
    return chain(r.spliced(read.factors[:top]), [r.closed(part) for part in read.factors[top:]])


def of_product(r: Indexed, e: Any, env: Env) -> Recursive[ast.Expr]:
    """prod[k](...)."""
    inner = dict(env)
    for k in r.ranges(e, env):
        if not places(e.function, k):
            raise EinstanError(f"{str(e)[:80]} multiplies what does not depend on {k}.", "Write it as a power.")
        inner = r.bind(k, inner)
    body = yield r.read(e.function, inner)
    return ast.Call("prod", (body,), tuple(ast.Index(inner[label(limit[0])]) for limit in e.limits))


def of_undefined(r: Indexed, e: Any, env: Env) -> Recursive[ast.Expr]:
    """f(x[i]): an opaque function, entry by entry."""
    name = str(e.func.__name__)
    found = parsed(f"{name}(x)", r.labels)
    if not isinstance(found, ast.Call) or found.primes or found.along is not None:
        raise EinstanError(f"{name[:80]!r} is no function name of the language.", "Take a letter, then letters.")
    return ast.Call(found.name, (yield r.read_all(e.args, env)))


ROWS: dict[type, Row] = {
    sympy.Symbol: of_symbol,
    sympy.Indexed: of_indexed,
    MatrixElement: of_indexed,
    sympy.KroneckerDelta: of_delta,
    sympy.Mul: of_indexed_mul,
    sympy.Sum: of_sum,
    sympy.Product: of_product,
    AppliedUndef: of_undefined,
}


# ---------------------------------------------------------------- small questions about expressions of sympy


def written_indices(e: Any) -> tuple[Any, ...]:
    if isinstance(e, sympy.Indexed):
        return tuple(e.indices)
    return (e.i, e.j) if isinstance(e, MatrixElement) else tuple(e.args)


def indices_of(e: Any) -> tuple[Any, ...] | None:
    """The indices of a tensor or a delta, as symbols; None for any other expression."""
    if not isinstance(e, sympy.Indexed | MatrixElement | sympy.KroneckerDelta):
        return None
    if isinstance(e, sympy.KroneckerDelta) and len(e.args) != 2:
        raise EinstanError(f"{e} has a range of its own.", "Write KroneckerDelta(i, j).")
    return tuple(label(k) for k in written_indices(e))


def label(k: Any) -> Any:
    """The symbol of an index."""
    symbol = k.label if isinstance(k, sympy.Idx) else k
    if not isinstance(symbol, sympy.Symbol):
        raise EinstanError(f"{k} stands in the place of an index.", "Write a plain index there: A[i, j].")
    return symbol


def shape_of(e: Any) -> tuple[Any, ...]:
    """The sizes that the tensor itself says; None where it says none."""
    if isinstance(e, sympy.KroneckerDelta):
        return (None, None)
    shape = e.base.shape if isinstance(e, sympy.Indexed) else e.parent.shape
    return tuple(shape) if shape is not None else (None,) * len(written_indices(e))


def extent_of(k: Any) -> Any:
    """The size that an Idx says; None if it says none."""
    if not isinstance(k, sympy.Idx) or k.lower is None or k.upper is None:
        return None
    if k.lower not in (0, 1):
        raise EinstanError(f"{k} begins at {k.lower}; an index runs over a whole axis.", "Write Idx('k', n).")
    return k.upper - k.lower + 1


def is_size(size: Any, indices: Iterable[Any]) -> bool:
    """A symbol, or sums and multiples of symbols: no number, nothing that other indices decide."""
    symbols = size.free_symbols
    return bool(symbols) and not symbols & set(indices) and size.xreplace(dict.fromkeys(symbols, sympy.S.Zero)) == 0


def squares_spread(e: Any, sizes: Iterable[Any]) -> list[Any]:
    """The factors of a summand; x² as x x where that alone shows an index."""
    parts = list(e.as_ordered_factors()) if e.is_Mul else [e]
    found: list[Any] = []
    for part in parts:
        lone = any(places(part, k) == sum(places(other, k) for other in parts) for k in sizes if places(part, k))
        square = part.is_Pow and part.exp == 2 and lone
        found.extend([part.base] * 2 if square else [part])
    return found


def places(e: Any, k: Any) -> int:
    """How many places a factor shows for the index: those of a tensor, else one if it is free there."""
    indices = indices_of(e)
    return indices.count(k) if indices is not None else int(any(k in (indices_of(t) or ()) for t in tensors(e, k)))


def tensors(root: Any, k: Any = None) -> Iterator[Any]:
    """The tensors below, but not those of sums over k."""
    stack = [root]
    while stack:
        e = stack.pop()
        if indices_of(e) is not None:
            yield e
        elif isinstance(e, sympy.Sum | sympy.Product):
            stack.extend([] if k in {label(limit[0]) for limit in e.limits} else [e.function])
        else:
            stack.extend(e.args)


def passes(factor: Any, k: Any) -> bool:
    """Whether a capital in the factor would stay open in it: no product or tensor inside shows it twice."""
    if indices_of(factor) is not None:
        return True
    stack = [factor]
    while stack:
        e = stack.pop()
        if (indices := indices_of(e)) is not None:
            if indices.count(k) > 1:
                return False
        elif e.is_Mul and sum(places(part, k) for part in e.args) > 1:
            return False
        elif isinstance(e, sympy.Sum | sympy.Product):
            own = [label(limit[0]) for limit in e.limits]
            if k in own:
                continue
            if sum(places(part, k) for part in squares_spread(e.function, own)) > 1:
                return False
            stack.append(e.function)
        else:
            stack.extend(e.args)
    return True


def index_names(root: ast.Expr) -> frozenset[str]:
    return frozenset(index.name for e in ast.postorder(root) for index in ast.indices_of(e))


# ---------------------------------------------------------------- words of the language


def parsed(text: str, labels: Sequence[str] = ()) -> ast.Expr | None:
    """What the text is in the language; None if it is nothing."""
    try:
        return parse_expression(text, labels)
    except EinstanError:
        return None


def joined_digits(name: str) -> str:
    """x_1 and x_{12} as x1, x12."""
    base, _, digits = name.rpartition("_")
    digits = digits.removeprefix("{").removesuffix("}")
    return base + digits if base and digits.isdecimal() else name
