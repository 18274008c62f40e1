"""linalg: functions of matrices. A matrix is the last two axes of its argument; the axes before are a batch.

Letters: A the matrix, y the result, s seed axes, l batch axes, i rows and j columns of A, m the columns of right sides.

A singular matrix has the determinant 0, log |det| = -inf, and no inverse: a derivative of det there is refused when it
runs. cholesky reads the lower triangle of A alone, so its derivative is zero above the diagonal; an entry below stands
for both of a symmetric matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ir import Call, Node, Prim, Shape, add, einsum, pattern, scale
from .scalar import HALF

Axes = tuple[int, ...]


def square(args: tuple[Node, ...], params: tuple[Any, ...]) -> Shape:
    return args[0].shape


def number(args: tuple[Node, ...], params: tuple[Any, ...]) -> Shape:
    return args[0].shape[:-2]


def right_side(args: tuple[Node, ...], params: tuple[Any, ...]) -> Shape:
    """A[l,i,j], b[l,i,m] -> [l,j,m]."""
    a, b = args
    return (*a.shape[:-2], a.shape[-1], *b.shape[a.rank - 1 :])


def axes_of(y: Call, seeds: int) -> tuple[Axes, Axes, int, int]:
    """Labels of the seed axes, of the batch, of the rows and the columns of A."""
    every = tuple(range(seeds + y.operands[0].rank))
    return every[:seeds], every[seeds:-2], every[-2], every[-1]


def transposed(a: Node) -> Node:
    *l, i, j = range(a.rank)
    return pattern(a, (*l, i, j), (*l, j, i), {})


def lower_half(x: Node) -> Node:
    """The lower triangle, the diagonal halved."""
    *l, i, _ = range(x.rank)
    diagonal = einsum([x], [(*l, i, i)], (*l, i, i))
    return add([(1, TRIL(x)), (-HALF, diagonal)], x.shape)


def solved(a: Node, b: Node, seeds: int) -> Node:
    """x of A[l,i,j] x[s,l,j,m] = b[s,l,i,m]: the seed axes are columns of the right side."""
    every = tuple(range(b.rank))
    s, l, i = every[:seeds], every[seeds : seeds + a.rank - 2], every[seeds + a.rank - 2]
    m = every[seeds + a.rank - 1 :]
    x = SOLVE(a, pattern(b, every, (*l, i, *s, *m), {}))
    return pattern(x, (*l, i, *s, *m), every, {})


def inv_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """-y[l,a,i] ct[s,l,a,b] y[l,j,b]."""
    s, l, i, j = axes_of(y, seeds)
    a, b = -1, -2
    return scale(-1, einsum([y, ct, y], [(*l, a, i), (*s, *l, a, b), (*l, j, b)], (*s, *l, i, j)))


def det_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """ct y inv(A)[l,j,i]."""
    s, l, i, j = axes_of(y, seeds)
    return einsum([ct, y, INV(*y.operands)], [s + l, l, (*l, j, i)], (*s, *l, i, j))


def logdet_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """ct inv(A)[l,j,i]."""
    s, l, i, j = axes_of(y, seeds)
    return einsum([ct, INV(*y.operands)], [s + l, (*l, j, i)], (*s, *l, i, j))


def solve_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """Of b: A[l,j,i] g[s,l,j,m] = ct[s,l,i,m]; of A: -g[s,l,i,m] y[l,j,m]."""
    a = y.operands[0]
    g = solved(transposed(a), ct, seeds)
    if k == 1:
        return g
    s, l, i, j = axes_of(y, seeds)
    m = tuple(range(-1, -1 - (y.rank - a.rank + 1), -1))
    return scale(-1, einsum([g, y], [(*s, *l, i, *m), (*l, j, *m)], (*s, *l, i, j)))


def cholesky_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    """lower_half(inv(L)ᵀ (P + Pᵀ) inv(L)), P = lower_half(Lᵀ ct); Murray, arXiv:1602.07527, eq. 10."""
    s, l, i, j = axes_of(y, seeds)
    a = -1
    p = lower_half(einsum([y, ct], [(*l, a, i), (*s, *l, a, j)], (*s, *l, i, j)))
    both = add([(1, p), (1, transposed(p))], p.shape)
    half = solved(transposed(y), both, seeds)
    return lower_half(solved(transposed(y), transposed(half), seeds))


def tril_pull(y: Call, k: int, ct: Node, seeds: int) -> Node:
    return TRIL(ct)


INV = Prim("inv", 1, square, pull=inv_pull)
DET = Prim("det", 1, number, pull=det_pull, latex=r"\det")
LOGDET = Prim("logdet", 1, number, pull=logdet_pull)
SOLVE = Prim("solve", 2, right_side, pull=solve_pull)
CHOLESKY = Prim("cholesky", 1, square, pull=cholesky_pull)
TRIL = Prim("tril", 1, square, pull=tril_pull)

LINALG = {p.name: p for p in (INV, DET, LOGDET, SOLVE, CHOLESKY, TRIL)}


def trace(x: Node) -> Node:
    """The sum of the diagonal."""
    *l, i, _ = range(x.rank)
    return einsum([x], [(*l, i, i)], l)


# how the language's names are built; the matrix is the last two axes of the first argument
MATRIX: dict[str, Callable[..., Node]] = {**LINALG, "trace": trace}
