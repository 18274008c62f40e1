"""edits: what a small slip makes of a formula: the formulas that differ from it in one place, small slips first.

Every edit says in one sentence what it takes to be wrong. Edits know letters and sizes of axes, not values: most of
what they yield is no formula of the language, or another value; `repairs` looks at that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, product
from math import prod

from ..dims import Dim
from ..errors import Span
from ..show.spelling import raised, shown
from ..show.text import show_expr
from ..syntax import words
from ..syntax.ast import Call, Derivative, Expr, Filled, Group, Index, Number, Odot, Power, Product, Sum, Tensor
from ..syntax.roster import names_in
from .drafts import Draft, grouped, multiple, negative, rebuilt, renamed, summed, times, without_factor
from .quantities import Quantity, Shapes, Sizes, head, places

LETTERINGS = 500
TWO = Fraction(2)
EXPONENTS = tuple(map(Fraction, ("2", "3", "-1", "1/2", "-1/2", "-2", "3/2", "-3/2", "4", "1")))
LIKE = (
    {"sin", "cos", "tan"},
    {"sinh", "cosh", "tanh", "sigmoid", "relu", "softplus", "step", "sign", "abs", "gelu", "silu", "elu", "erf"},
    {"exp", "log", "sqrt", "log1p", "expm1"},
    {"sum", "mean", "prod", "max", "min", "logsumexp", "norm"},
    {"softmax", "log_softmax"},
)
"""Functions of which one is written for another."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The formula as it may have been meant, what is then wrong, and where."""

    tree: Expr
    reason: str
    span: Span


@dataclass(frozen=True, slots=True)
class Setting:
    """What an edit may write: letters with the sizes of their axes, shapes of names, quantities; and numbers.

    `order`: the free letters of the claim, in which its factors are written.
    `line(zero, one)` is t with zero + t (one - zero) = what is wanted, in values, if t is a simple number other than 0.
    """

    letters: Sizes
    order: Sequence[str]
    shapes: Shapes
    quantities: Sequence[Quantity]
    line: Callable[[Expr, Expr], Fraction | None]


# ---------------------------------------------------------------- indices


def wrong_indices(d: Draft, s: Setting) -> Iterator[Edit]:
    """Indices of names first, then those of sums and ones."""
    for index, dim in sorted(places(d.pieces, s.shapes), key=lambda place: place[1] is None):
        for letter, dims in s.letters.items():
            if letter != index.name and (dim is None or not dims or dim in dims):
                yield Edit(d.put(index, replace(index, name=letter)), f"{index.name} should be {letter}.", index.span)


def swapped_indices(d: Draft, s: Setting) -> Iterator[Edit]:
    """Two indices of one tensor, which is its transpose, or of two tensors."""
    pairs = [pair for pair in combinations(places(d.pieces, s.shapes), 2) if pair[0][0].name != pair[1][0].name]
    for (a, _), (b, _) in pairs:
        if d.parent(a) is d.parent(b):
            tree = exchanged(d, a, b)
            yield Edit(tree, f"{a.name} and {b.name} should be swapped in {show_expr(d.owner(a))}.", d.owner(a).span)
    for (a, one), (b, other) in pairs:
        if d.parent(a) is not d.parent(b) and (one is None or other is None or one == other):
            both = f"{show_expr(d.owner(a))} and {show_expr(d.owner(b))}"
            yield Edit(exchanged(d, a, b), f"{a.name} and {b.name} should be swapped between {both}.", a.span)


def exchanged(d: Draft, a: Index, b: Index) -> Expr:
    return rebuilt(d.pieces, {id(a): replace(a, name=b.name), id(b): replace(b, name=a.name)})


def other_letters(d: Draft, s: Setting) -> Iterator[Edit]:
    """All indices of a product anew, those first where fewest change."""
    for e in d.nodes():
        if isinstance(e, Product):
            pieces = Draft.of(e).pieces
            for changes in letterings(list(places(pieces, s.shapes)), s.letters):
                other = rebuilt(pieces, {id(index): replace(index, name=x) for index, x in changes})
                yield Edit(d.put(e, other), f"{show_expr(e)} should be {show_expr(other)}.", e.span)


def letterings(found: Sequence[tuple[Index, Dim | None]], letters: Sizes) -> list[list[tuple[Index, str]]]:
    """Two or more indices with other letters of the size of their axis."""
    choices = [[x for x, dims in letters.items() if dim is None or not dims or dim in dims] for _, dim in found]
    if prod(map(len, choices)) > LETTERINGS:
        return []
    every = ([(i, x) for (i, _), x in zip(found, own, strict=True) if x != i.name] for own in product(*choices))
    return sorted((changes for changes in every if len(changes) > 1), key=len)


# ---------------------------------------------------------------- signs, exponents, functions


def signs(d: Draft, s: Setting) -> Iterator[Edit]:
    yield Edit(negative(d.root), "The sign is wrong.", d.root.span)
    for e in d.nodes():
        if isinstance(e, Sum) and (e is not d.root or len(e.terms) > 1):
            for n, term in enumerate(e.terms):
                turned = summed(e, e.terms, (*e.signs[:n], -e.signs[n], *e.signs[n + 1 :]))
                yield Edit(d.put(e, turned), f"The sign of {show_expr(term)} is wrong.", term.span)


def exponents(d: Draft, s: Setting) -> Iterator[Edit]:
    for e in d.nodes():
        if isinstance(e, Power) and not names_in(e.exponent):
            for q in EXPONENTS:
                other = raised(e.base, q)
                yield Edit(d.put(e, other), f"{show_expr(e)} should be {show_expr(other)}.", e.span)
        elif isinstance(e, Tensor | Call | Group | Derivative) and not isinstance(d.parent(e), Power):
            yield Edit(d.put(e, raised(e, TWO)), f"The exponent 2 of {show_expr(e)} is missing.", e.span)


def moved_exponents(d: Draft, s: Setting) -> Iterator[Edit]:
    """(1 - x)^2 for 1 - x^2, f(x^2) for f(x)^2, f(x)^2 for f(x^2)."""
    for e in d.nodes():
        for other in with_moved_exponent(e):
            yield Edit(d.put(e, other), f"{show_expr(e)} should be {show_expr(other)}.", e.span)


def with_moved_exponent(e: Expr) -> Iterator[Expr]:
    match e:
        case Power(base=Group(body=Sum() as sum_)):
            for n, term in enumerate(sum_.terms):
                terms = (*sum_.terms[:n], Power(grouped_product(term), e.exponent), *sum_.terms[n + 1 :])
                yield Group(replace(sum_, terms=terms), e.span)
        case Power(base=Call(args=(x,)) as call):
            yield replace(call, args=(Power(grouped_product(grouped(x)), e.exponent),))
        case Call(args=(Power() as power,)):
            yield Power(replace(e, args=(power.base,)), power.exponent, e.span)


def grouped_product(e: Expr) -> Expr:
    return Group(e, e.span) if isinstance(e, Product | Power | Derivative) else e


def functions(d: Draft, s: Setting) -> Iterator[Edit]:
    """sin for cos, σ for σ', softmax for log_softmax."""
    for e in d.nodes():
        if isinstance(e, Call):
            for other in alike(e):
                yield Edit(d.put(e, other), f"{called(e)} should be {called(other)}.", e.name_span)
            if len(e.args) == 1 and e.along is None:
                yield Edit(d.put(e, grouped(e.args[0])), f"{called(e)} is too much.", e.name_span)


def alike(e: Call) -> Iterator[Call]:
    for family in LIKE:
        if e.name in family:
            yield from (replace(e, name=name) for name in sorted(family - {e.name}))
    if e.name not in words.FUNCTIONS or e.name in words.ENTRYWISE:
        yield replace(e, primes=e.primes + 1)
    if e.primes:
        yield replace(e, primes=e.primes - 1)


def called(e: Call) -> str:
    return e.name + "'" * e.primes


def numbers(d: Draft, s: Setting) -> Iterator[Edit]:
    """Another number in the place of one: where the value is a line in it, the one that is wanted; then a factor."""
    for e in d.nodes():
        if isinstance(e, Number):
            t = s.line(d.root, d.put(e, Number(e.value + 1)))
            for q in (e.value + 1, e.value - 1, e.value * 2, e.value / 2) if t is None else (e.value + t,):
                if not is_left_out(q, d.parent(e)):
                    yield Edit(d.put(e, Number(q)), f"{show_expr(e)} should be {show_expr(Number(q))}.", e.span)
    for e in d.terms():
        has_number = isinstance(e, Product) and any(isinstance(x, Number) for x in e.factors)
        t = None if has_number else s.line(d.root, d.put(e, multiple(e, Number(TWO))))
        if t not in (None, -2, -1):
            factor = Number(t + 1)
            yield Edit(d.put(e, multiple(e, factor)), f"The factor {show_expr(factor)} is missing.", e.span)


def is_left_out(q: Fraction, parent: Expr | None) -> bool:
    """A factor 1 and a term 0 are not written."""
    return isinstance(parent, Product if q == 1 else Sum) and q in (0, 1)


# ---------------------------------------------------------------- sums


def sums(d: Draft, s: Setting) -> Iterator[Edit]:
    for e in d.terms():
        for letter in sorted(shown(e)):
            if letter[0].isupper():
                ones = Filled(1, (Index(letter),))
                yield Edit(d.put(e, times(e, ones)), f"The sum over {letter} is missing.", e.span)
    for e in d.terms():
        for letter in sorted(letters_in(e, s)):
            yield from other_sums(d, e, letter)
    for e in d.nodes():
        if isinstance(e, Call) and e.name == "sum":
            yield Edit(d.put(e, grouped(e.args[0])), f"The sum over {along(e)} is too much.", e.name_span)


def along(e: Call) -> str:
    return ", ".join(index.name for index in e.along or ())


def letters_in(e: Expr, s: Setting) -> set[str]:
    return {index.name for index, _ in places(Draft.of(e).pieces, s.shapes)}


def other_sums(d: Draft, e: Expr, letter: str) -> Iterator[Edit]:
    """A letter in lower case and its capital, throughout a term; a sum with its sign."""
    if letter[0].isupper():
        low = letter[0].lower() + letter[1:]
        yield Edit(d.put(e, renamed(e, {letter: low})), f"The sum over {letter} is too much.", e.span)
        return
    up, reason = letter[0].upper() + letter[1:], f"The sum over {letter} is missing."
    yield Edit(d.put(e, renamed(e, {letter: up})), reason, e.span)
    yield Edit(d.put(e, Call("sum", (e,), (Index(letter),))), reason, e.span)


# ---------------------------------------------------------------- factors and terms


def extra(d: Draft, s: Setting) -> Iterator[Edit]:
    """A factor or a term that should not be there."""
    for e in d.nodes():
        if isinstance(e, Product | Odot) and len(e.factors) > 1:
            for n, factor in enumerate(e.factors):
                yield Edit(d.put(e, without_factor(e, n)), f"The factor {show_expr(factor)} is too much.", factor.span)
        if isinstance(e, Sum) and len(e.terms) > 1:
            for n, term in enumerate(e.terms):
                rest = summed(e, (*e.terms[:n], *e.terms[n + 1 :]), (*e.signs[:n], *e.signs[n + 1 :]))
                yield Edit(d.put(e, rest), f"The term {show_expr(term)} is too much.", term.span)


def missing_factors(d: Draft, s: Setting) -> Iterator[Edit]:
    for q in s.quantities:
        for tree in q.written(s.letters):
            for e in d.terms():
                what = f"The factor {'1 / ' if q.over else ''}{show_expr(tree)} is missing."
                yield Edit(d.put(e, times(e, grouped(tree), q.over, s.order)), what, e.span)


def other_quantities(d: Draft, s: Setting) -> Iterator[Edit]:
    """One factor or term in the place of another."""
    atoms = [e for e in d.nodes() if is_atom(e, d.parent(e))]
    for q in s.quantities:
        for tree in q.written(s.letters) if not q.over else ():
            for e in atoms:
                yield Edit(d.put(e, tree), f"{show_expr(e)} should be {show_expr(tree)}.", e.span)


def wrong_names(d: Draft, s: Setting) -> Iterator[Edit]:
    """One name, or the derivative by one, in the place of another."""
    atoms = [e for e in d.nodes() if head(e) is not None]
    for q in s.quantities:
        for tree in q.written(s.letters) if head(q.tree) is not None and not q.over else ():
            for e in atoms:
                yield Edit(d.put(e, tree), f"{show_expr(e)} should be {show_expr(tree)}.", e.span)


def is_atom(e: Expr, parent: Expr | None) -> bool:
    return isinstance(e, Tensor | Call | Derivative | Group | Power | Filled) or (parent is None)


def missing_terms(d: Draft, s: Setting) -> Iterator[Edit]:
    for q in s.quantities:
        for tree in q.written(s.letters) if not q.over else ():
            for e in term_places(d):
                terms, own = (e.terms, e.signs) if isinstance(e, Sum) else ((e,), (1,))
                for sign in (1, -1):
                    more = Sum((*terms, tree), (*own, sign), e.span)
                    word = "-" if sign < 0 else ""
                    yield Edit(d.put(e, more), f"The term {word}{show_expr(tree)} is missing.", e.span)


def nothing(d: Draft, s: Setting) -> Iterator[Edit]:
    yield Edit(Number(Fraction(0)), f"{show_expr(d.root)} should be 0.", d.root.span)


def term_places(d: Draft) -> Iterable[Expr]:
    found = [e for e in d.nodes() if isinstance(e, Sum)]
    return found if isinstance(d.root, Sum) else [d.root, *found]


Slip = Callable[[Draft, Setting], Iterator[Edit]]
BRINGING: tuple[Slip, ...] = (wrong_names, missing_factors, other_quantities, missing_terms)
"""Those that bring a quantity."""
SLIPS: tuple[Slip, ...] = (
    wrong_indices,
    swapped_indices,
    signs,
    functions,
    exponents,
    moved_exponents,
    extra,
    numbers,
    sums,
    nothing,
)
"""Those of what is written already; the smallest first."""
LAST: tuple[Slip, ...] = (other_letters,)
"""More than one slip."""
