"""ast: a formula as it is written. Spans on every node, no meaning yet.

Nodes are immutable and compared by identity; `children` gives the operands in reading order, so every
walk is the same explicit-stack loop (`postorder`) and depth is bounded by memory alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ..errors import Span
from . import words

NOWHERE = Span(0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """One index: `K`, `batch`, or the part `k=0:2` of an axis (bounds are integers or sizes)."""

    name: str
    span: Span = NOWHERE
    low: Expr | None = None
    high: Expr | None = None

    @property
    def capital(self) -> bool:
        return self.name[0].isupper()


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """Base of all expressions."""

    @property
    def span(self) -> Span:
        return NOWHERE

    @property
    def children(self) -> tuple[Expr, ...]:
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class Number(Expr):
    """`2`, `0.5`, `1e-3`: exact, as written. `pi` is a Tensor without indices."""

    value: Fraction
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Tensor(Expr):
    """`X[b,K]`; with `indices` () the scalar `L`; with None a whole tensor (`X[:]`) as an argument.

    A bare name is parsed with (); only the checker knows whether it has axes. `delta[i,j]` is the
    Kronecker delta.
    """

    name: str
    indices: tuple[Index, ...] | None = ()
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Filled(Expr):
    """`1[K]` or `0[i,j]`: the array of ones or zeros."""

    value: int
    indices: tuple[Index, ...]
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Extent(Expr):
    """`|K|` (name "K", axis None) or `size(h,2)` (name "h", axis 1, counted from 0)."""

    name: str
    axis: int | None
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Call(Expr):
    """`tanh(x[i])`; `softmax[k](z[i,k])` with `along`; `f'(x)`, `f'[2](a,b)` with `primes` and `slots`.

    `slots` counts arguments from 0: one for all primes, or one for each. An explicit sum in any spelling is a
    Call of `sum` along lower-case indices. For an unknown function `along` are its new axes, and those that a
    derivative adds.
    """

    name: str
    args: tuple[Expr, ...]
    along: tuple[Index, ...] | None = None
    primes: int = 0
    slots: tuple[int, ...] = ()
    span: Span = NOWHERE
    name_span: Span = NOWHERE

    @property
    def order(self) -> tuple[int, ...]:
        """The argument in which each prime differentiates."""
        return self.slots if len(self.slots) == self.primes else (self.slots or (0,)) * self.primes

    @property
    def gone(self) -> frozenset[str]:
        """The indices that a function along indices takes away."""
        along = [index.name for index in self.along or ()]
        if self.name in words.REDUCTIONS:
            return frozenset(along)
        _, places = words.MATRIX.get(self.name, (0, ()))
        return frozenset(along[n] for n in places if n < len(along))

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.args


@dataclass(frozen=True, slots=True, eq=False)
class Product(Expr):
    """A chain of factors; `divides[n]` says that factor n stands after `/`."""

    factors: tuple[Expr, ...]
    divides: tuple[bool, ...]
    span: Span = NOWHERE

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.factors


@dataclass(frozen=True, slots=True, eq=False)
class Odot(Expr):
    """`a ⊙ b ⊙ c`: multiplies without summing."""

    factors: tuple[Expr, ...]
    span: Span = NOWHERE

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.factors


@dataclass(frozen=True, slots=True, eq=False)
class Sum(Expr):
    """`a + b - c`; signs are +1 or -1. A leading minus is a Sum of one term."""

    terms: tuple[Expr, ...]
    signs: tuple[int, ...]
    span: Span = NOWHERE

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.terms


@dataclass(frozen=True, slots=True, eq=False)
class Power(Expr):
    """`a^b`, entry by entry."""

    base: Expr
    exponent: Expr
    span: Span = NOWHERE

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.base, self.exponent)


@dataclass(frozen=True, slots=True, eq=False)
class Compare(Expr):
    """`a < b` and its kin (`< <= > >= ==`), 0 or 1 entry by entry."""

    op: str
    left: Expr
    right: Expr
    span: Span = NOWHERE

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True, eq=False)
class Concat(Expr):
    """`[h[b,K], x[b,K]]_K`: joins the parts along the index."""

    parts: tuple[Expr, ...]
    index: Index
    span: Span = NOWHERE

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.parts


@dataclass(frozen=True, slots=True, eq=False)
class Group(Expr):
    """Brackets. They end a product: `(A[i,K] b[K])` is one factor."""

    body: Expr
    span: Span = NOWHERE

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.body,)


@dataclass(frozen=True, slots=True, eq=False)
class Derivative(Expr):
    """`∂L/∂W[k,j]`, `∂²L/∂w[i]∂w[j]`: one denominator per order.

    The numerator is a Tensor or a Group. With `indices` of a denominator () on a tensor that has axes the
    derivative is written without indices (the head of a claim chain only).
    """

    numerator: Expr
    denominators: tuple[Tensor, ...]
    span: Span = NOWHERE

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.numerator,)


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """`Z[b,j] = body`."""

    target: Tensor
    body: Expr
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """`a = b = c`, to be decided by `check`; ignored by evaluation."""

    forms: tuple[Expr, ...]
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """`fact T[n,C] 1[C] = 1[n]`: an identity of the inputs that simplification may use."""

    left: Expr
    right: Expr
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class SizeIs:
    """`size n = 5`: every index n of the program has this size."""

    index: Index
    value: int
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """`label f, g, m`: subscripts with these letters are parts of names."""

    letters: tuple[str, ...]
    span: Span = NOWHERE


Statement = Definition | Claim | Fact | SizeIs | Label


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """The statements of one text, in its order."""

    statements: tuple[Statement, ...]
    source: str = ""


def indices_of(e: Expr) -> tuple[Index, ...]:
    """The indices written at the node itself; those of a numerator stand at the tensor below."""
    match e:
        case Tensor() | Filled():
            return e.indices or ()
        case Derivative():
            return tuple(i for t in e.denominators for i in t.indices or ())
        case Call():
            return e.along or ()
        case Concat():
            return (e.index,)
        case _:
            return ()


def postorder(root: Expr) -> Iterator[Expr]:
    """Every node below `root` once, operands first, without recursion."""
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(root, False)]
    while stack:
        e, entered = stack.pop()
        if entered:
            yield e
        elif id(e) not in seen:
            seen.add(id(e))
            stack.append((e, True))
            stack += [(c, False) for c in reversed(e.children)]
