"""from_sympy: an expression of sympy with indices -> the formula in index notation.

A sum over a whole axis becomes the capital rule where a chain of factors shows its index twice, else sum[k](...).
Indices get letters: the free ones their own where it is a word, a bound one a letter that nothing around it has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from string import ascii_lowercase
from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.matrices.expressions.matexpr import MatrixElement

from ..errors import EinstanError
from ..recursion import Recursive
from . import ast
from .parser import parse_expression
from .sympy_indices import (
    extent_of,
    indices_of,
    is_whole,
    label,
    passes,
    places,
    shape_of,
    squares_spread,
    tensors,
    written_indices,
)
from .sympy_scalars import (
    ENTRYWISE,
    REPAIRS,
    Env,
    Reader,
    Row,
    bracketed,
    done,
    factors,
    of_mul,
    product,
    refused,
    within,
)


def from_sympy(e: Any, labels: Sequence[str] = ()) -> ast.Expr:
    """The formula of an expression in Indexed, Sum, Product, KroneckerDelta and functions of these.

    `labels` are letters that are parts of names (`h_g`). Raises EinstanError for what has no form in the language.
    """
    if not isinstance(e, sympy.Basic):
        raise EinstanError(f"{type(e).__name__} is no expression of sympy.", "Give a sympy expression, not a text.")
    reader = WithIndices(labels=tuple(labels))
    reader.survey(e)
    return reader.expr(e, reader.free_letters())


@dataclass(frozen=True, slots=True)
class Place:
    """An axis of a tensor."""

    name: str
    axis: int


class WithIndices(Reader):
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
            if (
                low not in (0, 1)
                or self.first not in (None, low)
                or k in found
                or not is_whole(e.function, k, size, indices)
            ):
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
                "Take a letter, then letters, digits and primes; W_f is one with labels='f'.",
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
        return next(x for x in chain(first, "ijklmnpqrstuvwabcdefgh", numbered) if x.lower() not in taken)

    def bind(self, k: Any, env: Env) -> dict[Any, str]:
        """`env` with a letter for k that nothing around has, not even an index that k hides."""
        hidden = {("hidden", env[k]): env[k]} if k in env else {}
        return {**env, **hidden, k: self.letter(k, env)}

    def extent(self, size: Any) -> ast.Expr:
        """A size as a number of the language."""
        place = next((place for place, known in self.sizes.items() if isinstance(place, Place) and known == size), None)
        if place is None:
            raise EinstanError(f"No axis has the size {size}.", "Use the index on a tensor inside its sum.")
        return ast.Extent(place.name, place.axis)

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
        above, below = yield factors(self, abs(coef), parts, inner)
        above += [self.extent(size) for k, size in sizes.items() if not any(places(part, k) for part in parts)]
        body = product(self.spliced(above), [self.closed(part) for part in below])
        if natural:
            self.summed[id(body)] = body, frozenset(natural)
        rest = [inner[k] for k in sizes if inner[k] not in natural and any(places(part, k) for part in parts)]
        total = ast.Call("sum", (body,), tuple(map(ast.Index, rest))) if rest else body
        return ast.Sum((total,), (-1,)) if coef.is_negative else total

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


def of_symbol(r: WithIndices, e: Any, env: Env) -> Recursive[ast.Expr]:
    return done(r.symbol(e, env))


def of_indexed(r: WithIndices, e: Any, env: Env) -> Recursive[ast.Expr]:
    return done(ast.Tensor(r.tensor_name(e), r.indices(e, env)))


def of_delta(r: WithIndices, e: Any, env: Env) -> Recursive[ast.Expr]:
    return done(ast.Tensor("delta", r.indices(e, env)))


def of_sum(r: WithIndices, e: Any, env: Env) -> Recursive[ast.Expr]:
    return r.sum(e, env)


def of_indexed_mul(r: WithIndices, e: Any, env: Env) -> Recursive[ast.Expr]:
    read: ast.Expr = yield of_mul(r, e, env)
    if not isinstance(read, ast.Product):
        return read
    top = len(read.divides) - sum(read.divides)
    return product(r.spliced(read.factors[:top]), [r.closed(part) for part in read.factors[top:]])


def of_product(r: WithIndices, e: Any, env: Env) -> Recursive[ast.Expr]:
    """prod[k](...)."""
    inner = dict(env)
    for k in r.ranges(e, env):
        if not places(e.function, k):
            raise EinstanError(f"{str(e)[:80]} multiplies what does not depend on {k}.", "Write it as a power.")
        inner = r.bind(k, inner)
    body = yield r.read(e.function, inner)
    return ast.Call("prod", (body,), tuple(ast.Index(inner[label(limit[0])]) for limit in e.limits))


def of_undefined(r: WithIndices, e: Any, env: Env) -> Recursive[ast.Expr]:
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


# ---------------------------------------------------------------- words of the language


def index_names(root: ast.Expr) -> frozenset[str]:
    return frozenset(index.name for e in ast.postorder(root) for index in ast.indices_of(e))


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
