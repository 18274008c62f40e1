"""determinants: the logarithm of a determinant, which itself overflows or vanishes for matrices of ordinary size."""

from __future__ import annotations

from fractions import Fraction

from ..ir import Call, Node, scale, split
from ..prims.linalg import DET, LOGDET
from ..prims.scalar import ABS, LOG, plus
from ..prims.stable import LOGDET_POSITIVE
from ..rewrite import law
from ..rules import base_and_exponent, root, root_and_exponent
from .logarithms import log_of_number
from .reading import argument


@law(LOG)
def log_of_determinant(y: Call) -> Node | None:
    """log(2 abs(det[i,j](A[i,j]))) -> log(2) + logdet[i,j](A[i,j]).

    Without abs it is nan where the determinant is negative, as log is; a power of it is a factor.
    """
    coef, x = split(y.operands[0])
    base, q = root_and_exponent(x)
    inner = argument(base, ABS)
    matrix = argument(base if inner is None else inner, DET)
    if matrix is None or coef.rational <= 0:
        return None
    even = inner is not None or is_even(next_to_root(x))
    found = scale(q, (LOGDET if even else LOGDET_POSITIVE)(matrix))
    return found if coef.is_one else plus(found, log_of_number(coef, y))


def next_to_root(node: Node) -> Fraction:
    """The exponent within all others of powers of powers."""
    base, q = base_and_exponent(node)
    while base is not root(node):
        base, q = base_and_exponent(base)
    return q


def is_even(q: Fraction) -> bool:
    return q.denominator == 1 and q % 2 == 0
