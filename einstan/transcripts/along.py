"""along: the derivatives of functions along indices and of functions of matrices, one row of a table each.

Letters: e the call, k the letters that it runs along, m those that it is summed over; i, j rows and columns of a matrix
A, p and q those of ∂A.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from ..syntax.ast import Call, Compare, Expr, Number
from .ground import Ground, Step, holds, of
from .letters import Letters, indices, letters_of, renamed
from .nodes import Slope
from .terms import ONE, Term, delta, merged, minus, product, quotient

ZERO = Number(Fraction(0))

# ---------------------------------------------------------------- functions along indices


def along(term: Term, e: Call, ground: Ground) -> Step:
    """∂f[k](x_k) = Σ_m ∂f/∂x_m ∂x_m, the slope as the table `ALONG` has it."""
    if e.name not in ALONG:
        return None
    letters = ground.letters(term)
    k = letters_of(e.along)
    m = letters.many(k)
    (x,) = e.args
    there = renamed(x, dict(zip(k, m, strict=True)))
    rule, name = ALONG[e.name]
    above, below = rule(e, k, m, there, letters)
    piece = Term((*above, of(term.taken(), there)), below, m)
    return (merged(term, piece, letters),), name


Slopes = tuple[tuple[Expr, ...], tuple[Expr, ...]]  # factors above and below the line


def deltas(k: Sequence[str], m: Sequence[str]) -> Expr:
    return product(*(delta(a, b) for a, b in zip(k, m, strict=True)))


def moved(e: Call, k: Sequence[str], m: Sequence[str]) -> Call:
    """The same function along other letters."""
    found = renamed(e, dict(zip(k, m, strict=True)))
    assert isinstance(found, Call)
    return found


def of_softmax(e: Call, k: Sequence[str], m: Sequence[str], there: Expr, letters: Letters) -> Slopes:
    return (e, minus(deltas(k, m), moved(e, k, m))), ()


def of_log_softmax(e: Call, k: Sequence[str], m: Sequence[str], there: Expr, letters: Letters) -> Slopes:
    return (minus(deltas(k, m), replace(moved(e, k, m), name="softmax")),), ()


def of_logsumexp(e: Call, k: Sequence[str], m: Sequence[str], there: Expr, letters: Letters) -> Slopes:
    return (replace(moved(e, k, m), name="softmax"),), ()


def of_norm(e: Call, k: Sequence[str], m: Sequence[str], there: Expr, letters: Letters) -> Slopes:
    return (Call("where", (Compare(">", e, ZERO), quotient(there, e), ZERO)),), ()


def of_extremum(e: Call, k: Sequence[str], m: Sequence[str], there: Expr, letters: Letters) -> Slopes:
    """1 at the largest entry, shared where several are largest."""
    n = letters.many(k)
    hits = Call("sum", (Compare("==", moved(e, k, n).args[0], e),), indices(n))
    return (Compare("==", there, e),), (hits,)


def of_prod(e: Call, k: Sequence[str], m: Sequence[str], there: Expr, letters: Letters) -> Slopes:
    """The product of the other entries."""
    others = Call("where", (deltas(k, m), Number(ONE), e.args[0]))
    return (replace(e, args=(others,)),), ()


ALONG: dict[str, tuple[Callable[..., Slopes], str]] = {
    "softmax": (of_softmax, "softmax s: s[k] (delta[k,m] - s[m])"),
    "log_softmax": (of_log_softmax, "log_softmax: delta[k,m] - softmax[m]"),
    "logsumexp": (of_logsumexp, "logsumexp: softmax"),
    "norm": (of_norm, "norm: x[m] / norm"),
    "max": (of_extremum, "max: 1 at the largest entry"),
    "min": (of_extremum, "min: 1 at the smallest entry"),
    "prod": (of_prod, "prod: the product of the other entries"),
}


# ---------------------------------------------------------------- functions of matrices


def of_matrix(term: Term, e: Call, ground: Ground) -> Step:
    """∂A⁻¹ = -A⁻¹ ∂A A⁻¹; ∂det A = det A tr(A⁻¹ ∂A); ∂log det A = tr(A⁻¹ ∂A); ∂tr A = tr ∂A."""
    if e.name not in MATRIX:
        return None
    letters = ground.letters(term)
    i, j = letters_of(e.along)
    p, q = letters.many((i, j))
    a = e.args[0]
    slope = of(term.taken(), renamed(a, {i: p, j: q}))

    def inverse(rows: str, columns: str) -> Expr:
        return renamed(Call("inv", (a,), indices((i, j))), {i: rows, j: columns})

    found = []
    if holds(a, slope.wrt.name):
        found.append(MATRIX[e.name][0](e, slope, inverse, (i, j, p, q)))
    if e.name == "solve" and holds(e.args[1], slope.wrt.name):
        found.append(Term((inverse(j, p), of(slope, renamed(e.args[1], {i: p}))), bound=(p,)))
    return tuple(merged(term, piece, ground.letters(term)) for piece in found), MATRIX[e.name][1]


Inverse = Callable[[str, str], Expr]
Four = tuple[str, str, str, str]


def of_inverse(e: Call, slope: Slope, inverse: Inverse, at: Four) -> Term:
    i, j, p, q = at
    return Term((inverse(i, p), slope, inverse(q, j)), bound=(p, q), coef=-ONE)


def of_det(e: Call, slope: Slope, inverse: Inverse, at: Four) -> Term:
    return Term((e, inverse(at[3], at[2]), slope), bound=at[2:])


def of_logdet(e: Call, slope: Slope, inverse: Inverse, at: Four) -> Term:
    return Term((inverse(at[3], at[2]), slope), bound=at[2:])


def of_trace(e: Call, slope: Slope, inverse: Inverse, at: Four) -> Term:
    return Term((delta(at[2], at[3]), slope), bound=at[2:])


def of_solve(e: Call, slope: Slope, inverse: Inverse, at: Four) -> Term:
    _, j, p, q = at
    return Term((inverse(j, p), slope, renamed(e, {j: q})), bound=(p, q), coef=-ONE)


MATRIX: dict[str, tuple[Callable[[Call, Slope, Inverse, Four], Term], str]] = {
    "inv": (of_inverse, "the inverse: -inv(A) ∂A inv(A)"),
    "det": (of_det, "det: det(A) times the trace of inv(A) ∂A"),
    "logdet": (of_logdet, "logdet: the trace of inv(A) ∂A"),
    "trace": (of_trace, "the trace is linear"),
    "solve": (of_solve, "solve: inv(A) (∂b - ∂A x)"),
}
