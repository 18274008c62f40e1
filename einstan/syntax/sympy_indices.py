"""sympy_indices: what a sympy expression says of its indices: where they stand, over what they run, who shows them.

Letters: e an expression, k an index (a symbol). Nothing is read into a formula here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import sympy
from sympy.matrices.expressions.matexpr import MatrixElement

from ..errors import EinstanError


def written_indices(e: Any) -> tuple[Any, ...]:
    if isinstance(e, sympy.Indexed):
        return tuple(e.indices)
    return (e.i, e.j) if isinstance(e, MatrixElement) else tuple(e.args)


def indices_of(e: Any) -> tuple[Any, ...] | None:
    """The indices of a tensor or a delta, as symbols; None for any other expression."""
    if not isinstance(e, sympy.Indexed | MatrixElement | sympy.KroneckerDelta):
        return None
    if isinstance(e, sympy.KroneckerDelta) and len(e.args) != 2:
        raise EinstanError(f"{e} has a range of its own.", "Write KroneckerDelta(i, j).")
    return tuple(label(k) for k in written_indices(e))


def label(k: Any) -> Any:
    """The symbol of an index."""
    symbol = k.label if isinstance(k, sympy.Idx) else k
    if not isinstance(symbol, sympy.Symbol):
        raise EinstanError(f"{k} stands in the place of an index.", "Write a plain index there: A[i, j].")
    return symbol


def shape_of(e: Any) -> tuple[Any, ...]:
    """The sizes that the tensor itself says; None where it says none."""
    if isinstance(e, sympy.KroneckerDelta):
        return (None, None)
    shape = e.base.shape if isinstance(e, sympy.Indexed) else e.parent.shape
    return tuple(shape) if shape is not None else (None,) * len(written_indices(e))


def extent_of(k: Any) -> Any:
    """The size that an Idx says; None if it says none."""
    if not isinstance(k, sympy.Idx) or k.lower is None or k.upper is None:
        return None
    if k.lower not in (0, 1):
        raise EinstanError(f"{k} begins at {k.lower}; an index runs over a whole axis.", "Write Idx('k', n).")
    return k.upper - k.lower + 1


def is_whole(e: Any, k: Any, size: Any, indices: Iterable[Any]) -> bool:
    """Whether `size` is that of k's axis: what the tensors say, or a symbol that no other index decides."""
    if {s for t in tensors(e, k) for x, s in zip(written_indices(t), shape_of(t), strict=True) if x == k} == {size}:
        return True
    symbols = size.free_symbols
    return bool(symbols) and not symbols & set(indices) and size.xreplace(dict.fromkeys(symbols, sympy.S.Zero)) == 0


def squares_spread(e: Any, sizes: Iterable[Any]) -> list[Any]:
    """The factors of a summand; x² as x x where that alone shows an index."""
    parts = list(e.as_ordered_factors()) if e.is_Mul else [e]
    found: list[Any] = []
    for part in parts:
        lone = any(places(part, k) == sum(places(other, k) for other in parts) for k in sizes if places(part, k))
        square = part.is_Pow and part.exp == 2 and lone
        found.extend([part.base] * 2 if square else [part])
    return found


def places(e: Any, k: Any) -> int:
    """How many places a factor shows for the index: those of a tensor, else one if it is free there."""
    indices = indices_of(e)
    return indices.count(k) if indices is not None else int(any(k in (indices_of(t) or ()) for t in tensors(e, k)))


def tensors(root: Any, k: Any = None) -> Iterator[Any]:
    """The tensors below, but not those of sums over k."""
    stack = [root]
    while stack:
        e = stack.pop()
        if indices_of(e) is not None:
            yield e
        elif isinstance(e, sympy.Sum | sympy.Product):
            stack.extend([] if k in {label(limit[0]) for limit in e.limits} else [e.function])
        else:
            stack.extend(e.args)


def passes(factor: Any, k: Any) -> bool:
    """Whether a capital in the factor would stay open in it: no product or tensor inside shows it twice."""
    if indices_of(factor) is not None:
        return True
    stack = [factor]
    while stack:
        e = stack.pop()
        if (indices := indices_of(e)) is not None:
            if indices.count(k) > 1:
                return False
        elif e.is_Mul and sum(places(part, k) for part in e.args) > 1:
            return False
        elif isinstance(e, sympy.Sum | sympy.Product):
            own = [label(limit[0]) for limit in e.limits]
            if k in own:
                continue
            if sum(places(part, k) for part in squares_spread(e.function, own)) > 1:
                return False
            stack.append(e.function)
        else:
            stack.extend(e.args)
    return True
