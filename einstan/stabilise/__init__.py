"""stabilise: formulas that overflow or cancel as they are spelled -> the primitives that do not.

Runs on the inlined graph and before each derivative: one taken of the naive form has the damage in it.
The first line of each docstring is the law, and is its test; logaddexp, logcosh, erfc, logdet_positive, unit are
primitives of prims.stable. The laws of EXACT_FORMS give what the formula gives also where its arguments are infinite or
nan.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import Node
from ..rewrite import normalise
from ..rules import EXACT, LAWS
from .determinants import log_of_determinant
from .logarithms import (
    log1p_exp,
    log1p_minus_sigmoid,
    log_add_exp,
    log_of_cosh,
    log_of_product,
    log_reciprocal,
    log_sigmoid,
    log_sum_exp,
    softplus_from_difference,
)
from .norms import root_of_square, root_of_squares, unit_vector
from .sigmoids import (
    exp_from_expm1,
    exp_of_zero,
    exp_times_sigmoid,
    logistic,
    one_minus_erf,
    one_minus_sigmoid,
    power_of_exp,
    share_of_two,
    tanh_from_exponentials,
    tanh_from_hyperbolic,
    tanh_from_sigmoid,
    tanh_from_twice_sigmoid,
)
from .softmaxes import log_softmax, log_softmax_from_difference, shifted_logsumexp, shifted_softmax, softmax

__all__ = ["STABLE", "stabilise", "stabilise_exactly"]

EXACT_FORMS = (
    *(log_sum_exp, log_add_exp, log1p_exp, log_softmax, log_reciprocal, log_sigmoid, log1p_minus_sigmoid, log_of_cosh),
    *(softmax, log_softmax_from_difference, exp_of_zero, power_of_exp, exp_from_expm1, one_minus_sigmoid),
    *(one_minus_erf, logistic, tanh_from_twice_sigmoid, root_of_squares, root_of_square, unit_vector),
    log_of_determinant,
)
FINITE_FORMS = (  # where an exponential is infinite, the formula is inf / inf or inf - inf
    *(log_of_product, shifted_logsumexp, shifted_softmax, softplus_from_difference, share_of_two, exp_times_sigmoid),
    *(tanh_from_exponentials, tanh_from_sigmoid, tanh_from_hyperbolic),
)
STABLE = (*EXACT_FORMS, *FINITE_FORMS)


def stabilise(roots: Sequence[Node]) -> list[Node]:
    """Nodes of equal value that neither overflow nor cancel where the formula's value is ordinary."""
    return normalise(roots, (*LAWS, *STABLE))


def stabilise_exactly(roots: Sequence[Node]) -> list[Node]:
    """The same by laws that hold for infinite values too."""
    return normalise(roots, (*EXACT, *EXACT_FORMS))
