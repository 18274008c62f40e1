"""written: lines of a derivation in the notation: capitals where they are summed, else `sum[k](...)`.

A bound letter becomes a capital if it then stands in two places of its product, and nowhere inside an operand twice:
there it would be summed inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from ..recursion import Recursive, run
from ..show.spelling import bracket_chain, bracket_product, bracket_sum, bracket_trace, decimal, occurrences
from ..syntax import ast
from ..syntax.ast import Call, Derivative, Expr, Filled, Number, Product, Sum, Tensor
from .letters import capital, every_index, indices, letters_of, renamed
from .nodes import Slope
from .terms import Line, Term, flat_factors

MANY = 2  # places in which a capital is summed


def written_line(line: Line, opaque: frozenset[str]) -> Expr:
    """The sum of the terms."""
    written, signs = [], []
    for term in line:
        written.append(bracket_sum(written_term(term, opaque)))
        signs.append(1 if term.coef > 0 else -1)
    if not written:
        return Number(Fraction(0))
    return written[0] if len(written) == 1 and signs == [1] else Sum(tuple(written), tuple(signs))


def written_term(term: Term, opaque: frozenset[str]) -> Expr:
    """The product of a term, without the sign of its coefficient."""
    top, bottom = decimal(abs(term.coef))
    number = [(Number(top), False)] if top != 1 else []
    over = [(Number(bottom), True)] if bottom != 1 else []
    chain = [*number, *((f, False) for f in term.factors), *((f, True) for f in term.below), *over]
    if not chain or all(divides for _, divides in chain):
        chain.insert(0, (Number(Fraction(1)), False))
    return run(Writer(opaque).chain(chain, term.bound))


class Writer:
    """Writes opened expressions; `opaque` are the functions whose capitals are seen and not summed."""

    def __init__(self, opaque: frozenset[str]) -> None:
        self.opaque = opaque

    def chain(self, factors: Sequence[tuple[Expr, bool]], bound: Sequence[str]) -> Recursive[Expr]:
        """A product summed over the bound letters."""
        count = {x: [self.places(f, x) for f, _ in factors] for x in bound}
        capitals = {x: capital(x) for x, places in count.items() if None not in places}
        factors = [(renamed(f, capitals), divides) for f, divides in factors]
        lone = [x for x in capitals if sum(n or 0 for n in count[x]) < MANY]
        factors += [(Filled(1, indices([capital(x)])), False) for x in lone]
        above: list[Expr] = []
        below: list[Expr] = []
        for f, divides in factors:
            written = yield self.write(f)
            (below if divides else above).append(written)
        body = product_of(above, below)
        explicit = [x for x in bound if x not in capitals]
        return Call("sum", (body,), indices(explicit)) if explicit else body

    def write(self, e: Expr) -> Recursive[Expr]:
        """An expression below a line's products."""
        if isinstance(e, Product):
            chain: Expr = yield self.chain(flat_factors(e), ())
            return chain
        if isinstance(e, Call) and e.name == "sum":
            factors, bound = flat_factors(e.args[0]), letters_of(e.along)
            if len(factors) > 1 or all((self.places(factors[0][0], x) or 0) >= MANY for x in bound):
                summed: Expr = yield self.chain(factors, bound)
                return summed
        children: list[Expr] = []
        for child in e.children:
            children.append((yield self.write(child)))
        return with_brackets(e, children)

    def places(self, e: Expr, letter: str) -> int | None:
        """In how many places a factor shows the letter as a capital; None where it would be summed inside."""
        if isinstance(e, Tensor | Filled) or (isinstance(e, Derivative) and isinstance(e.numerator, Tensor)):
            return occurrences(e).count(letter)
        if isinstance(e, Slope) and isinstance(e.numerator, Tensor):
            return occurrences(e.numerator).count(letter)
        return run(self.shown(e, letter))

    def shown(self, e: Expr, letter: str) -> Recursive[int | None]:
        """The same for an operand of anything but a product: 0, 1, or None."""
        if isinstance(e, Tensor | Filled | Derivative):
            count = occurrences(e).count(letter)
            return count if count < MANY else None
        total = 0
        for child in e.children:
            inner = yield self.shown(child, letter)
            if inner is None:
                return None
            total += inner
        if total and isinstance(e, Call) and e.name in self.opaque and sees(e):
            return None
        if isinstance(e, Product) and total >= MANY:
            return None
        own = [i.name for i in ast.indices_of(e)].count(letter)
        return min(1, total + own)


def sees(e: Call) -> bool:
    """Whether an opaque function takes in whole axes."""
    whole = (isinstance(a, Tensor) and a.indices is None for a in e.args)
    return any(whole) or any(index.capital for a in e.args for index in every_index(a))


def product_of(above: Sequence[Expr], below: Sequence[Expr]) -> Expr:
    """Factors and divisors as one chain."""
    if len(above) == 1 and not below:
        return above[0]
    chain = tuple(bracket_product(f) for f in above) + tuple(bracket_product(f) for f in below)
    return Product(chain, (False,) * len(above) + (True,) * len(below))


def with_brackets(e: Expr, children: Sequence[Expr]) -> Expr:
    """The node over written operands, each in brackets where its place asks for them."""
    match e:
        case Sum():
            return replace(e, terms=tuple(map(bracket_sum, children)))
        case ast.Power():
            base, exponent = children
            return ast.Power(bracket_trace(bracket_chain(base)), bracket_exponent(exponent))
        case ast.Compare():
            return replace(e, left=bracket_sum(children[0]), right=bracket_sum(children[1]))
        case ast.Concat():
            return replace(e, parts=tuple(children))
        case Slope():
            top = children[0] if isinstance(e.numerator, Tensor) else ast.Group(without_brackets(children[0]))
            return Derivative(top, (e.wrt,))
        case Call():
            return replace(e, args=tuple(map(without_brackets, children)))
        case _:
            return e


def bracket_exponent(e: Expr) -> Expr:
    return e if isinstance(e, ast.Group) else bracket_chain(e)


def without_brackets(e: Expr) -> Expr:
    return e.body if isinstance(e, ast.Group) else e
