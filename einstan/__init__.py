"""einstan: tensor calculus in index notation.

A capitalised index that factors of a product share is summed, a lower-case one is not:

>>> import einstan as es
>>> p = es.parse("L = (X[B,K] w[K] - y[B]) (X[B,K] w[K] - y[B])")
"""

from . import flat as flat  # nodes pickle
from .contractions.numpy_forms import einsum, einsum_path
from .contractions.opt_einsum_forms import contract, contract_expression, contract_path
from .errors import (
    EinstanDerivativeError,
    EinstanError,
    EinstanIndexError,
    EinstanNameError,
    EinstanShapeError,
    EinstanSyntaxError,
    EinstanTypeError,
    MissingBackendError,
)
from .expr import Expr
from .functions import function
from .kernel import Kernel
from .language import (
    FUNCTIONS,
    NamedFunction,
    concat,
    d,
    delta,
    equal,
    from_sympy,
    group,
    indices,
    odot,
    ones,
    opaque,
    pi,
    program,
    size,
    tensors,
    zeros,
)
from .programs import Derived, Program, parse
from .solving import newton, root
from .structured import NotPositiveDefinite, Structured
from .syntax.lexer import Limits
from .verify import Verdict, check

__version__ = "0.1.0"

__all__ = [
    "Derived",
    "EinstanDerivativeError",
    "EinstanError",
    "EinstanIndexError",
    "EinstanNameError",
    "EinstanShapeError",
    "EinstanSyntaxError",
    "EinstanTypeError",
    "Expr",
    "Kernel",
    "Limits",
    "MissingBackendError",
    "NotPositiveDefinite",
    "Program",
    "Structured",
    "Verdict",
    "check",
    "concat",
    "contract",
    "contract_expression",
    "contract_path",
    "d",
    "delta",
    "einsum",
    "einsum_path",
    "equal",
    "from_sympy",
    "function",
    "group",
    "indices",
    "newton",
    "odot",
    "ones",
    "opaque",
    "parse",
    "pi",
    "program",
    "root",
    "size",
    "tensors",
    "zeros",
]


def __getattr__(name: str) -> NamedFunction:
    """The functions of the language: es.tanh(x), es.sum[k](x[k])."""
    if name not in FUNCTIONS:
        raise AttributeError(f"module 'einstan' has no attribute {name!r}")
    return FUNCTIONS[name]


def __dir__() -> list[str]:
    return sorted([*__all__, *FUNCTIONS])
