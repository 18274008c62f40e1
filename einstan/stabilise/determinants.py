"""determinants: the logarithm of a determinant, which itself overflows or vanishes for matrices of ordinary size."""

from __future__ import annotations

from ..ir import Call, Node, scale, split
from ..prims.linalg import LOGDET
from ..prims.scalar import LOG, plus
from ..prims.stable import LOGDET_POSITIVE
from ..rewrite import law
from .logarithms import log_of_number
from .reading import determinant


@law(LOG)
def log_of_determinant(y: Call) -> Node | None:
    """log(2 abs(det[i,j](A[i,j]))) -> log(2) + logdet[i,j](A[i,j]).

    Without abs it is nan where the determinant is negative, as log is; a power of it is a factor.
    """
    coef, x = split(y.operands[0])
    det = determinant(x)
    if det is None or coef.rational <= 0:
        return None
    found = scale(det.exponent, (LOGDET if det.even else LOGDET_POSITIVE)(det.matrix))
    return found if coef.is_one else plus(found, log_of_number(coef, y))
