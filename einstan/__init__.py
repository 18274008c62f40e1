"""einstan: tensor calculus in index notation.

A capitalised index that factors of a product share is summed, a lower-case one is not:

>>> import einstan as es
>>> p = es.parse("L = (X[B,K] w[K] - y[B]) (X[B,K] w[K] - y[B])")
"""

from .errors import (
    EinstanDerivativeError,
    EinstanError,
    EinstanIndexError,
    EinstanNameError,
    EinstanShapeError,
    EinstanSyntaxError,
    MissingBackendError,
)
from .kernel import Kernel
from .program import Derived, Expr, Program, parse

__version__ = "0.1.0"

__all__ = [
    "Derived",
    "EinstanDerivativeError",
    "EinstanError",
    "EinstanIndexError",
    "EinstanNameError",
    "EinstanShapeError",
    "EinstanSyntaxError",
    "Expr",
    "Kernel",
    "MissingBackendError",
    "Program",
    "parse",
]
