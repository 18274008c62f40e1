"""rules: the derivative of an opened formula by its kind, one rule a function; `RULES` is the table.

A rule takes a term in which `∂e/∂W` stands and gives the terms that it is equal to, each with at most one smaller
derivative in its place. `STRAIGHT` are the rules that only move sums and constants: a formula that needs no others is
linear. Letters: e the expression, f a factor, k letters that a function runs along, m those that it is summed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeGuard

from ..derive import derive
from ..dims import Dim, total
from ..ir import Input, Node, input_, ones
from ..lower import formula_value
from ..prims.scalar import FUNCTIONS, POWER
from ..rules import simplify
from ..show.formula import Vocabulary, formula
from ..syntax import ast, words
from ..syntax.ast import Call, Compare, Expr, Number, Power, Product, Sum, Tensor
from ..syntax.check import Checked
from .along import along, of_matrix
from .ground import Ground, Step, holds, of
from .letters import every_index, indices, letters_of, mapped, renamed, with_indices
from .steps import Rule
from .terms import Line, Term, delta, is_delta, merged, number_of, text_key

TWO = Number(Fraction(2))


# ---------------------------------------------------------------- rules that only move


def sum_over_indices(term: Term, e: Call, ground: Ground) -> Line:
    """∂Σ_k f = Σ_k ∂f."""
    piece = Term((of(term.taken(), e.args[0]),), bound=letters_of(e.along))
    return (merged(term, piece, ground.letters(term)),)


def sum_of_terms(term: Term, e: Sum, ground: Ground) -> Line:
    """∂(a + b) = ∂a + ∂b."""
    slope = term.taken()
    pieces = [
        Term((of(slope, t),), coef=Fraction(sign))
        for t, sign in zip(e.terms, e.signs, strict=True)
        if holds(t, slope.wrt.name)
    ]
    return tuple(merged(term, piece, ground.letters(term)) for piece in pieces)


def constant_factors(term: Term, e: Product, ground: Ground) -> Line:
    """∂(c f) = c ∂f."""
    slope = term.taken()
    above = [f for f, over in zip(e.factors, e.divides, strict=True) if not over]
    below = tuple(f for f, over in zip(e.factors, e.divides, strict=True) if over)
    factors = tuple(of(slope, f) if holds(f, slope.wrt.name) else f for f in above)
    return (merged(term, Term(factors, below), ground.letters(term)),)


def straight(term: Term, ground: Ground) -> Line | None:
    """One step by a rule that only moves sums and constants, if one fits."""
    e = term.taken().numerator
    if isinstance(e, Call) and e.name == "sum":
        return sum_over_indices(term, e, ground)
    if isinstance(e, Sum):
        return sum_of_terms(term, e, ground)
    if isinstance(e, Product) and len(moving(e, term.taken().wrt.name)) == 1 and not moving_below(e, term):
        return constant_factors(term, e, ground)
    return () if not holds(e, term.taken().wrt.name) or isinstance(e, Compare) else None


def moving(e: Product, name: str) -> list[int]:
    """The places of the factors that change with the name."""
    return [n for n, f in enumerate(e.factors) if holds(f, name)]


def moving_below(e: Product, term: Term) -> bool:
    return any(e.divides[n] for n in moving(e, term.taken().wrt.name))


# ---------------------------------------------------------------- products and powers


def product_rule(term: Term, e: Product, ground: Ground) -> Step:
    """∂(f g) = ∂f g + f ∂g; ∂(1/f) = -∂f/f²; equal factors are one term with their number."""
    slope = term.taken()
    places = moving(e, slope.wrt.name)
    groups: dict[object, list[int]] = {}
    for n in places:
        groups.setdefault((text_key(e.factors[n]), e.divides[n]), []).append(n)
    found = []
    for members in groups.values():
        n, count = members[-1], len(members)
        others = [(f, over) for k, (f, over) in enumerate(zip(e.factors, e.divides, strict=True)) if k != n]
        above, below = [f for f, over in others if not over], [f for f, over in others if over]
        f, coef = e.factors[n], Fraction(count)
        if e.divides[n]:
            below, coef = [*below, Power(f, TWO)], -coef
        at = sum(not over for over in e.divides[:n])
        piece = Term((*above[:at], of(slope, f), *above[at:]), tuple(below), coef=coef)
        found.append(merged(term, piece, ground.letters(term)))
    name = "product rule" if len(places) > 1 else "quotient rule"
    return tuple(found), name + (", equal factors" if len(places) > len(groups) == 1 else "")


def power_rule(term: Term, e: Power, ground: Ground) -> Step:
    """∂f^q = q f^(q-1) ∂f; of other exponents as a function of two arguments."""
    slope = term.taken()
    q = number_of(e.exponent)
    if q is None and (number_of(e.base) or 0) > 0:
        piece = Term((e, Call("log", (e.base,)), of(slope, e.exponent)))
        return (merged(term, piece, ground.letters(term)),), "power rule"
    if q is None:
        return function_of(term, e, (e.base, e.exponent), ground), "power rule"
    lower: tuple[Expr, ...] = (e.base,) if q == 2 else (Power(e.base, number(q - 1)),)
    piece = Term((*lower, of(slope, e.base)), coef=q)
    return (merged(term, piece, ground.letters(term)),), "power rule"


def number(q: Fraction) -> Expr:
    return Number(q) if q >= 0 else ast.Group(Sum((Number(-q),), (-1,)))


# ---------------------------------------------------------------- entry by entry


def entrywise(term: Term, e: Call, ground: Ground) -> Step:
    """∂f(a, b) = f'[1](a, b) ∂a + f'[2](a, b) ∂b."""
    found = function_of(term, e, e.args, ground)
    return found, f"{e.name} entry by entry"


def function_of(term: Term, e: Expr, args: Sequence[Expr], ground: Ground) -> Line:
    """The derivative of a function of its arguments, one term for each that changes."""
    slope = term.taken()
    found = []
    for k, arg in enumerate(args):
        if not holds(arg, slope.wrt.name):
            continue
        if isinstance(e, Call):
            primes = tuple(sorted((*e.order, k)))
            slots = () if len(args) == 1 else primes[:1] if len(set(primes)) == 1 else primes
            factor: Expr = replace(e, primes=e.primes + 1, slots=slots)
        else:
            factor = spelled_slope(POWER, args, (k,))
        if k or not (isinstance(e, Call) and e.name == "where"):
            found.append(merged(term, Term((factor, of(slope, arg))), ground.letters(term)))
    return tuple(found)


def spelled_slope(f: Callable[..., Node], args: Sequence[Expr], order: tuple[int, ...]) -> Expr:
    """The derivative of a function of scalars in the arguments of `order`, at these arguments."""
    written = slope_of(f, len(args), order)
    table = {f"#{k}": arg for k, arg in enumerate(args)}
    return mapped(written, {id(x): table[x.name] for x in ast.postorder(written) if is_place(x)})


@lru_cache(maxsize=256)
def slope_of(f: Callable[..., Node], arity: int, order: tuple[int, ...]) -> Expr:
    """The same at places called #0, #1."""
    places: list[Input] = [input_(f"#{k}", ()) for k in range(arity)]
    node = f(*places)
    for k in order:
        (node,) = simplify(derive(node, ones(()), [places[k]]))
    return without_groups(formula(node, (), Vocabulary(dict.fromkeys(places, ()), {}, {})))


def is_place(e: Expr) -> TypeGuard[Tensor]:
    return isinstance(e, Tensor) and e.name.startswith("#")


def without_groups(e: Expr) -> Expr:
    """Brackets are written again where they are needed."""
    while groups := {id(x): x.body for x in ast.postorder(e) if isinstance(x, ast.Group)}:
        e = mapped(e, groups)
    return e


def known_slope(e: Call, ground: Ground) -> tuple[Expr, Rule]:
    """f'(x) as a formula, and that formula as a rule: tanh'(x) = 1 - tanh(x)^2."""
    f = FUNCTIONS.get(e.name) or (lambda *args: formula_value(ground.checked.formulas[e.name], args))
    x = tuple(Tensor(letter) for letter in "xyz"[: len(e.args)])
    rule = (replace(e, args=x), " = ", spelled_slope(f, x, e.order))
    return spelled_slope(f, e.args, e.order), rule


# ---------------------------------------------------------------- joins and opaque functions


def of_join(term: Term, e: ast.Concat, ground: Ground) -> Step:
    """Σ_k w[k] ∂[a, b]_k = Σ_k w[k=0:|a|] ∂a[k] + ..: every part meets its part of the other factors."""
    slope, k = term.taken(), e.index.name
    sizes = [d for part in e.parts for d in [size_along(part, k, ground.checked)] if d is not None]
    if k not in term.bound or len(sizes) < len(e.parts) or not all(can_be_cut(f, k) for f in term.rest):
        return None
    bounds = [ground.size(total(sizes[:n])) for n in range(len(sizes) + 1)]
    found = []
    for n, part in enumerate(e.parts):
        if holds(part, slope.wrt.name):
            cut = {k: ast.Index(k, low=bounds[n], high=bounds[n + 1])}
            factors = tuple(of(slope, part) if f is slope else with_indices(f, cut) for f in term.factors)
            found.append(replace(term, factors=factors, below=tuple(with_indices(f, cut) for f in term.below)))
    return tuple(found), f"of the join only what holds {slope.wrt.name} changes"


def size_along(e: Expr, k: str, checked: Checked) -> Dim | None:
    """The size of a letter, from a tensor that has it."""
    tensors = (x for x in ast.postorder(e) if isinstance(x, Tensor) and x.name in checked.shapes)
    places = ((x.name, n, i) for x in tensors for n, i in enumerate(x.indices or ()) if i.name == k)
    return next((checked.shapes[name][n] for name, n, i in places if i.low is None), None)


def can_be_cut(e: Expr, k: str) -> bool:
    """Whether k runs along whole axes of tensors alone."""
    for x in ast.postorder(e):
        own = [i for i in ast.indices_of(x) if i.name == k]
        if own and (not isinstance(x, Tensor | ast.Derivative) or is_delta(x) or any(i.low for i in own)):
            return False
    return True


def opaque(term: Term, e: Call, ground: Ground) -> Step:
    """∂f[j](z[i,K]) = Σ_m f'[j,m](z[i,K]) ∂z[i,m]; of f(z[i]) as of any function of entries."""
    slope = term.taken()
    if e.primes:
        return None
    if not any(seen_by(a) for a in e.args):
        return entrywise(term, e, ground)
    found = []
    for n, arg in enumerate(e.args):
        if not holds(arg, slope.wrt.name):
            continue
        letters = ground.letters(term)
        whole = isinstance(arg, Tensor) and arg.indices is None
        if whole:
            assert isinstance(arg, Tensor)
            m = letters.many(letters_of(slope.wrt.indices))
            inside: Expr = Tensor(arg.name, indices(m))
        else:
            m = letters.many(seen_by(arg))
            inside = renamed(arg, dict(zip(seen_by(arg), m, strict=True)))
        slots = (n,) if len(e.args) > 1 else ()
        factor = replace(e, along=(*(e.along or ()), *indices(m)), primes=1, slots=slots)
        found.append(merged(term, Term((factor, of(slope, inside)), bound=m), letters))
    return tuple(found), f"{e.name} along all that it sees"


def seen_by(arg: Expr) -> tuple[str, ...]:
    """The capitals of an argument in their order; a whole tensor is seen along all its axes."""
    if isinstance(arg, Tensor) and arg.indices is None:
        return ("",)
    return tuple(dict.fromkeys(i.name for i in every_index(arg) if i.capital))


# ---------------------------------------------------------------- the table


def step(term: Term, ground: Ground) -> Step:
    """The derivative of the term's formula by the rule of its kind."""
    e = term.taken().numerator
    if isinstance(e, Call):
        return called(term, e, ground)
    rule = RULES.get(type(e))
    return None if rule is None else rule(term, e, ground)


def called(term: Term, e: Call, ground: Ground) -> Step:
    if ground.is_opaque(e):
        return opaque(term, e, ground)
    if e.name in words.MATRIX:
        return of_matrix(term, e, ground)
    if e.along is not None:
        return along(term, e, ground)
    return entrywise(term, e, ground)


RULES: dict[type[Expr], Callable[[Term, Any, Ground], Step]] = {
    Product: product_rule,
    Power: power_rule,
    ast.Concat: of_join,
}


def by_itself(term: Term) -> Line | None:
    """∂W[k,j]/∂W[a,b] = δ[k,a] δ[j,b]; None for a part of W."""
    slope = term.taken()
    w = slope.numerator
    assert isinstance(w, Tensor)
    if any(i.low for i in w.indices or ()):
        return None
    pairs = zip(letters_of(w.indices), letters_of(slope.wrt.indices), strict=True)
    piece = tuple(delta(a, b) for a, b in pairs)
    n = term.slope
    assert n is not None
    return (replace(term, factors=(*term.factors[:n], *piece, *term.factors[n + 1 :])),)
