"""dtypes: the dtype of every node, from those of the inputs. None is weak: a number, that takes any dtype.

Floats follow numpy's promotion. Integers of any width become int64 (uint64 where all are that) and stay exact in
contractions, sums with integer coefficients, parts, joins and natural powers; anything else makes them float64. bool
counts as int64 alone and as the other's dtype beside floats. A comparison is 0 or 1 in the float dtype of its operands,
float64 for integers. float16 is the dtype of results only: everything is computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import EinstanShapeError
from ..ir import Add, Call, Coef, Einsum, Input, Node
from .values import Exact

DType = np.dtype[Any]
INT, UINT, BOOL, DOUBLE = (np.dtype(t) for t in ("int64", "uint64", "bool", "float64"))
HALF, SINGLE = np.dtype("float16"), np.dtype("float32")
Promotion = Callable[[Iterable[DType | None]], DType | None]
STRUCTURAL = frozenset({"part", "concat"})


def default_float(dtypes: Iterable[DType]) -> DType:
    """The dtype of results that no input reaches: the promoted floats of all inputs, else float64."""
    floats = [d for d in dtypes if d.kind == "f"]
    return np.result_type(*floats) if floats else DOUBLE


def physical(d: DType) -> DType:
    """The dtype that is computed in."""
    return SINGLE if d == HALF else d


def promote(parts: Iterable[DType | None]) -> DType | None:
    """The dtype of a product or sum; weak if everything is."""
    known = {d for d in parts if d is not None}
    if not known:
        return None
    inexact = [d for d in known if d.kind in "fc"]
    if not inexact:
        return UINT if known == {UINT} else INT
    wide = [DOUBLE] if any(d.kind in "iu" for d in known) else []
    return np.result_type(*inexact, *wide)


def kept(parts: Iterable[DType | None]) -> DType | None:
    """The dtype of a product of arrays of one dtype, integers as narrow as they come."""
    known = {d for d in parts if d is not None}
    return np.result_type(*known) if known else None


def inexact(d: DType | None) -> DType | None:
    """The dtype of a function of d."""
    return DOUBLE if d is not None and d.kind in "biu" else d


def dtype_of(
    node: Node,
    own: Mapping[Node, DType | None],
    inputs: Mapping[str, DType],
    coef: Callable[[Coef], Exact],
    promotion: Promotion = promote,
) -> DType | None:
    """The dtype of one node from those of its operands; `coef` gives coefficients as numbers, `promotion` the dtype
    of a product."""
    if isinstance(node, Input):
        return inputs[node.name]
    below = [own[o] for o in node.operands]
    if isinstance(node, Einsum):
        return promotion(below)
    if isinstance(node, Add):
        found = promote(below)
        coefs = [coef(c) for c in node.coefs]
        if found == UINT and any(c < 0 for c in coefs):
            raise EinstanShapeError("A difference of uint64 arrays would wrap around.", "Give int64 or float arrays.")
        return found if all(c.denominator == 1 for c in coefs) else inexact(found)
    if isinstance(node, Call):
        return call_dtype(node, below)
    return None


def call_dtype(y: Call, below: list[DType | None]) -> DType | None:
    if y.prim.name in STRUCTURAL:
        return promote(below)
    if y.prim.name == "where":
        return inexact(promote(below[1:]) or promote(below))
    q = y.params[0] if y.prim.name == "pow" else None
    if isinstance(q, Fraction) and q.denominator == 1 and q >= 0:
        return promote(below)
    return inexact(promote(below))
