"""matrices: the laws of functions of matrices. An inverse is formed only where its entries are asked for.

Letters: A, B matrices, Y an inverse, l batch axes, b right sides with the columns m, c a coefficient, e Einsum, y Call.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from .ir import Add, Call, Coef, Einsum, Node, add, call, einsum, is_zero, ones, pattern, scale, split, zeros
from .prims.linalg import CHOLESKY, DET, INV, LOGDET, SOLVE, TRIL
from .prims.reduce import PROD, total
from .prims.scalar import ABS, LOG, power
from .prims.stable import LOGDET_POSITIVE
from .rewrite import law
from .symmetric import is_symmetric

DETERMINANTS = (LOGDET, LOGDET_POSITIVE)
ORIENTED = (CHOLESKY, TRIL)  # whose rows and columns are not alike


# ---------------------------------------------------------------- one matrix


@law(INV)
def inverse_of_inverse(y: Call) -> Node | None:
    """inv[i,j](inv[i,j](A[i,j])) -> A[i,j]."""
    (x,) = y.operands
    return x.operands[0] if isinstance(x, Call) and x.prim is INV else None


@law(*DETERMINANTS)
def logdet_of_inverse(y: Call) -> Node | None:
    """logdet[i,j](inv[i,j](A[i,j])) -> -logdet[i,j](A[i,j])."""
    (x,) = y.operands
    return scale(-1, y.prim(x.operands[0])) if isinstance(x, Call) and x.prim is INV else None


@law(INV, TRIL)
def of_multiple(y: Call) -> Node | None:
    """inv[i,j](2 A[i,j]) -> inv[i,j](A[i,j]) / 2."""
    c, x = split(y.operands[0])
    return None if c.is_one else scale(c.power(-1 if y.prim is INV else 1), y.prim(x))


@law(LOGDET)
def logdet_of_multiple(y: Call) -> Node | None:
    """logdet[i,j](-2 A[i,j]) -> |i| log(2) + logdet[i,j](A[i,j])."""
    c, x = split(y.operands[0])
    if c.is_one:
        return None
    size = LOG(scale(Coef(abs(c.rational), c.sizes), ones(y.shape)))
    return add([(Coef.size(x.shape[-1]), size), (1, LOGDET(x))], y.shape)


@law(INV, DET, LOGDET)
def of_diagonal(y: Call) -> Node | None:
    """inv[i,j](delta[i,j] u[i]) -> delta[i,j] / u[i]."""
    c, x = split(y.operands[0])
    if not isinstance(x, Einsum) or not is_diagonal(x):
        return None
    p = scale(c, einsum(x.operands, x.labels, x.out[:-1], x.dims))
    l = range(p.rank - 1)
    if y.prim is INV:
        return einsum([power(p, -1)], [(*l, -1)], (*l, -1, -1))
    return PROD(p, params=(1,)) if y.prim is DET else total(LOG(ABS(p)), 1)


@law(TRIL)
def of_lower(y: Call) -> Node | None:
    """tril[i,j](delta[i,j] u[i]) -> delta[i,j] u[i]."""
    (x,) = y.operands
    return x if is_diagonal(x) or (isinstance(x, Call) and x.prim in ORIENTED) else None


def is_diagonal(node: Node) -> bool:
    """Zero beside the diagonal of its last two axes."""
    _, x = split(node)
    return isinstance(x, Einsum) and x.out[-1] == x.out[-2]


@law(INV, DET, *DETERMINANTS, CHOLESKY, TRIL)
def of_pattern(y: Call) -> Node | None:
    """inv[i,j](A[j,i]) -> inv[j,i](A[j,i])."""
    (x,) = y.operands
    if not isinstance(x, Einsum) or not x.is_pattern or not x.operands:
        return None
    (own,), rows_columns = x.labels, x.out[-2:]
    if len(set(own)) < len(own) or len(set(x.out)) < x.rank or not set(rows_columns) <= set(own):
        return None
    lead = tuple(label for label in own if label not in rows_columns)
    pair = rows_columns if y.prim in ORIENTED else tuple(label for label in own if label in rows_columns)
    inner = pattern(x.operands[0], own, lead + pair, {})
    if inner is x:
        return None
    shown, out = (lead + pair, x.out) if y.rank == x.rank else (lead, x.out[:-2])
    return pattern(y.prim(inner), shown, out, x.dims)


# ---------------------------------------------------------------- right sides


@law(SOLVE)
def solve_of_multiples(y: Call) -> Node | None:
    """solve[j,i](2 A[j,i], 3 v[j]) -> 1.5 solve[j,i](A[j,i], v[j])."""
    (c, a), (d, b) = map(split, y.operands)
    if is_zero(b):
        return zeros(y.shape)
    return None if c.is_one and d.is_one else scale(c.power(-1) * d, SOLVE(a, b))


@law(SOLVE)
def solve_by_inverse(y: Call) -> Node | None:
    """solve[j,i](inv[j,i](A[j,i]), v[j]) -> A[i,J] v[J]."""
    a, b = y.operands
    n = a.rank - 2
    inverted = isinstance(a, Call) and a.prim is INV
    if not inverted and not is_diagonal(a) and not is_delta(b, n):
        return None
    (*l, i), m = range(n + 1), range(n + 1, b.rank)
    return einsum([INV(a), b], [(*l, -1, i), (*l, i, *m)], (*l, -1, *m))


def is_delta(b: Node, n: int) -> bool:
    """Whether each column of a right side, its rows on axis n, has one entry."""
    return isinstance(b, Einsum) and b.out[n] in b.out[n + 1 :] and b.out[n] not in b.out[:n]


@law(SOLVE)
def solve_of_product(y: Call) -> Node | None:
    """solve[j,i](A[j,i], v[j] w[k]) -> solve[j,i](A[j,i], v[j]) w[k]."""
    a, b = y.operands
    n = a.rank - 2
    if not isinstance(b, Einsum) or len(set(b.out[: n + 1])) <= n or b.out[n] in b.out[n + 1 :]:
        return None
    lead, rows, columns = b.out[:n], b.out[n], b.out[n + 1 :]
    inside = connected(b, rows, b.summed, ())
    shown = dict.fromkeys(label for k in inside for label in b.labels[k])
    kept = tuple(label for label in shown if label in columns and label not in lead)
    if len(inside) == len(b.operands) and (kept == columns or (len(inside) > 1 and set(kept) == set(columns))):
        return None
    rest = [k for k in range(len(b.operands)) if k not in inside]
    x = SOLVE(a, product(b, inside, (*lead, rows, *kept)))
    factors, labels = [*(b.operands[k] for k in rest), x], [*(b.labels[k] for k in rest), (*lead, -1, *kept)]
    return einsum(factors, labels, (*lead, -1, *columns), b.dims | {-1: y.shape[n]})


@law(SOLVE)
def solve_of_sum(y: Call) -> Node | None:
    """solve[j,i](A[j,i], u[j] w[k] + v[j] z[k]) -> solve[j,i](A[j,i], u[j]) w[k] + solve[j,i](A[j,i], v[j]) z[k]."""
    a, b = y.operands
    if not isinstance(b, Add):
        return None
    terms = [call(SOLVE, [a, o]) for o in b.operands]
    smaller = all(isinstance(t, Call) and (solve_by_inverse(t) or solve_of_product(t)) for t in terms)
    return add(zip(b.coefs, terms, strict=True), y.shape) if smaller else None


@law(SOLVE)
def solve_of_symmetric(y: Call) -> Node | None:
    """solve[j,i](exp(u[i] u[j]), v[j]) -> solve[j,i](exp(u[j] u[i]), v[j])."""
    a, b = y.operands
    *l, i, j = range(a.rank)
    if not (isinstance(a, Einsum) and a.is_pattern):
        return None
    x = pattern(a, (*l, i, j), (*l, j, i), {})
    plain = not (isinstance(x, Einsum) and x.is_pattern)
    return SOLVE(x, b) if plain and is_symmetric(x) else None


@law(Einsum)
def symmetric_inverse(e: Einsum) -> Node | None:
    """u[i] v[j] inv[j,i](exp(u[j] u[i])) -> u[i] v[j] inv[i,j](exp(u[i] u[j]))."""
    for k, (operand, own) in enumerate(e.factors):
        if isinstance(operand, Call) and operand.prim is INV:
            *lead, i, j = own
            if i > j and {i, j} <= set(e.out) and is_symmetric(operand):
                return einsum(e.operands, [*e.labels[:k], (*lead, j, i), *e.labels[k + 1 :]], e.out, e.dims)
    return None


# ---------------------------------------------------------------- products with an inverse


class Side(NamedTuple):
    """What an inverse is multiplied by along one of its labels: the factors, the columns of their product."""

    label: int
    inside: list[int]
    columns: tuple[int, ...]


@law(Einsum)
def product_with_inverse(e: Einsum) -> Node | None:
    """inv[i,J](A[i,J]) v[J] -> solve[j,i](A[j,i], v[j])."""
    for k, (operand, own) in enumerate(e.factors):
        if isinstance(operand, Call) and operand.prim is INV and len(set(own)) == len(own):
            sides = [side for side in (side_of(e, k, own[-1]), side_of(e, k, own[-2])) if side is not None]
            if sides:
                return with_solve(e, k, min(sides, key=lambda side: len(side.columns)))
    return None


def side_of(e: Einsum, k: int, label: int) -> Side | None:
    """What factor k, an inverse, is multiplied by along a label, if that is a vector or a smaller matrix."""
    *lead, i, j = e.labels[k]
    other = i if label == j else j
    beside = [n for n, own in enumerate(e.labels) if n != k and label in own]
    if label not in e.summed or any(other in e.labels[n] for n in beside):
        return None
    apart = [n for n, own in enumerate(e.labels) if n == k or other in own]
    inside = connected(e, label, e.summed - {*lead, other}, apart)
    outside = {x for n, own in enumerate(e.labels) if n not in inside for x in own} | set(e.out)
    shown = dict.fromkeys(x for n in inside for x in e.labels[n])
    columns = tuple(x for x in shown if x in outside and x not in (label, *lead))
    size = e.dims[label]
    return Side(label, inside, columns) if [e.dims[x] == size for x in columns] in ([], [False]) else None


def with_solve(e: Einsum, k: int, side: Side) -> Node:
    """The product with the solution in the place of factor k, an inverse, and of what it is multiplied by."""
    *lead, i, j = e.labels[k]
    (a,) = e.operands[k].operands
    matrix = pattern(a, (*lead, j, i), (*lead, side.label, i if side.label == j else j), {})
    x = SOLVE(matrix, product(e, side.inside, (*lead, side.label, *side.columns)))
    rest = [n for n in range(len(e.operands)) if n != k and n not in side.inside]
    factors, labels = [*(e.operands[n] for n in rest), x], [*(e.labels[n] for n in rest)]
    return einsum(factors, [*labels, (*lead, i if side.label == j else j, *side.columns)], e.out, e.dims)


# ---------------------------------------------------------------- parts of products


def connected(e: Einsum, label: int, through: Collection[int], apart: Collection[int]) -> list[int]:
    """The factors that have the label, or share summed labels with one that does; none of those `apart`."""
    found: dict[int, None] = {}
    waiting, seen = [label], {label}
    while waiting:
        x = waiting.pop()
        for n, own in enumerate(e.labels):
            if x in own and n not in found and n not in apart:
                found[n] = None
                more = [y for y in own if y in through and y not in seen]
                seen.update(more)
                waiting += more
    return sorted(found)


def product(e: Einsum, factors: list[int], out: tuple[int, ...]) -> Node:
    """The product of some factors of e."""
    return einsum([e.operands[n] for n in factors], [e.labels[n] for n in factors], out, e.dims)


EXACT = (of_pattern, of_lower, solve_of_multiples, of_multiple, logdet_of_multiple)
FINITE = (  # where entries are infinite, or a matrix is singular, only one of both sides is defined
    *(inverse_of_inverse, logdet_of_inverse, of_diagonal, solve_by_inverse, solve_of_product, solve_of_sum),
    *(solve_of_symmetric, symmetric_inverse, product_with_inverse),
)
