"""matrices: functions of matrices, of whole arrays in the order of their axes; views of others are read as they lie.

Letters: n the size of the matrix, m the columns of right sides.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import prod

from ..ir import Call
from .shown import Lowering, Shown, full, letters_in, operand_of, subscripted
from .values import Name, Value

# multiplications and additions for one matrix: leading terms, as LAPACK counts them
FLOPS: dict[str, Callable[[int, int], Fraction | int]] = {
    "inv": lambda n, m: 2 * n**3,
    **dict.fromkeys(("det", "logdet", "logdet_positive"), lambda n, m: Fraction(2 * n**3, 3)),
    "solve": lambda n, m: Fraction(2 * n**3, 3) + 2 * n**2 * m,
    "cholesky": lambda n, m: Fraction(n**3, 3),
    "tril": lambda n, m: 0,
}


def matrix(low: Lowering, y: Call) -> Shown:
    """A function of one matrix, or of each of a batch."""
    return computed(low, y, (), 1)


def solve(low: Lowering, y: Call) -> Shown:
    """All columns of the right side at once; they are one axis for numpy, and so without gaps."""
    a, b = (low.facts.shape[o] for o in y.operands)
    columns = prod(b[len(a) - 1 :])
    return computed(low, y, (columns,), columns)


def computed(low: Lowering, y: Call, params: tuple[int, ...], columns: int) -> Shown:
    dtype, target, shape = low.facts.computed(y), low.target(y), low.facts.shape[y]
    shown = [full(low, low.multiple(o, 1), o) for o in y.operands]
    *batch, _, n = low.facts.shape[y.operands[0]]
    args = []
    for k, (s, o) in enumerate(zip(shown, y.operands, strict=True)):
        view = operand_of(low, s, tuple(range(o.rank)), dtype)
        assert isinstance(view, Value)
        view = low.build.cast(view, dtype)
        args.append(low.build.packed(view) if k and o.rank > len(batch) + 2 else view)

    def note(name: Name) -> str:
        letters = low.build.subscripts(y.shape)
        inside = [letters_in(s, low.build.subscripts(o.shape), name) for s, o in zip(shown, y.operands, strict=True)]
        return f"{subscripted(letters)} = {y.prim.name}({', '.join(inside)})"

    flops = int(prod(batch) * FLOPS[y.prim.name](n, columns))
    return Shown(low.build.compute(y.prim.name, args, shape, dtype, target, params, note, flops), tuple(range(y.rank)))
