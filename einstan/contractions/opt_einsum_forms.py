"""opt_einsum_forms: es.contract, es.contract_path, es.contract_expression, called as opt_einsum's are, computed by
einstan's own contractions.

Laws: arrays of another library are never moved to numpy; a memory limit holds, also where it takes a loop of numpy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, Final

import numpy as np

from ..arrays import Array
from ..errors import EinstanError, EinstanShapeError
from ..expr import Expr
from ..orders.methods import settled
from ..programs import Derived, Program
from .calls import asked, general, plain, quick
from .foreign import check_backend
from .opt_einsum_paths import planned
from .reusable import ContractExpression
from .stepwise import Steps
from .subscripts import ArrayShape, any_hashable, lengths, split

ONLY_ARRAYS: Final = {np.ndarray}


def contract(
    subscripts: Any,
    *operands: Any,
    out: Any = None,
    use_blas: bool = True,
    optimize: Any = True,
    memory_limit: Any = None,
    backend: str | None = "auto",
    dtype: Any = None,
    casting: str = "safe",
    order: Any = "K",
) -> Any:
    """The product of the operands, summed over the labels that the output lacks: opt_einsum's contract.

    It computes as es.einsum does, with any number of labels: letters of any script (`αβ,βγ->αγ`) in text; any hashable
    objects in lists after the operands, ordered as Python orders them where no output is given.

    `optimize`: True, None or "auto" is einstan's own choice of the order; a name ("greedy", "dp", "optimal", "auto-hq",
    "branch-2", "random-greedy", ..), a path such as [(1, 2), (0, 1)], or a function (inputs, output, size_dict,
    memory_limit) -> path. False is numpy's einsum, after einstan's checks. `memory_limit` is how many entries an
    intermediate may have, "max_input" as many as the largest operand or the result; None or -1 is any number. What
    has to be multiplied at once to keep the limit is a loop of numpy's. `use_blas` is there for callers that give it.

    Arrays of jax, torch, dask and their like are refused: MissingBackendError. Other errors are those of es.einsum.

    >>> a, b = np.arange(6.0).reshape(2, 3), np.ones((3, 2))
    >>> contract("αβ,βγ->γα", a, b)
    array([[ 3., 12.],
           [ 3., 12.]])
    >>> contract(a, ["row", "bond"], b, ["bond", "column"], ["row"])
    array([ 6., 24.])
    """
    form, arrays = (subscripts, operands) if type(subscripts) is str else split((subscripts, *operands), any_hashable)
    if backend != "auto" or {*map(type, arrays)} != ONLY_ARRAYS:
        check_backend(backend, arrays)
    if optimize is True and memory_limit is out is dtype is None and order == "K" and casting == "safe":
        return quick(form, arrays)
    method = order_of(optimize)
    if callable(method) or not (memory_limit is None or isinstance(method, tuple)) or many_at_once(method):
        steps = planned(form, [plain(x).shape for x in arrays], method, memory_limit).contraction_list
        return Steps(form, steps).compute([plain(x) for x in arrays], out, asked(out, dtype, order, casting, "auto"))
    return general(form, arrays, out, asked(out, dtype, order, casting, method))


def contract_path(
    subscripts: Any,
    *operands: Any,
    use_blas: bool = True,
    optimize: Any = True,
    memory_limit: Any = None,
    shapes: bool = False,
    **compared: Any,
) -> Any:
    """The order that a method finds, and what it costs; nothing is computed. The arguments are contract's.

    A path says for each step which places of the list of operands are taken; their product goes to the list's end.
    Costs are flops (multiply and add are two) and entries. With `shapes=True` shapes stand in the place of arrays. Of
    arrays the shape alone is looked at, so those of any library will do. `use_blas=False` leaves the BLAS routines
    out of the table.

    Of an expression, a program or a derivative it is the OrderTable of what every method (or those of `optimize`)
    makes of it, with flops, bytes and seconds. `of` and `wrt` are names: the last name of a program if nothing is
    said, with `wrt` a scalar and all its gradients. `sizes` are by axis letter, 128 for others; `memory_limit` is in
    bytes then, or a text such as "1GB". `measure=False` runs nothing. There are `dtype`, `functions`, `progress` and
    `seconds` (for each search) too, as `orders.comparison.compare` has them.

    Raises EinstanErrors: for labels and shapes as contract does, for a method, a name or a letter that there is not.

    >>> path, info = contract_path("ij,jk,kl->il", (10, 20), (20, 30), (30, 40), shapes=True)
    >>> path, info.opt_cost, info.scale_list
    ([(0, 1), (0, 1)], Decimal('36000'), [3, 3])
    >>> print(info)
      Complete contraction:  ij,jk,kl->il
             Naive scaling:  4
         Optimized scaling:  3
          Naive FLOP count:  7.200e+5
      Optimized FLOP count:  3.600e+4
       Theoretical speedup:  2.000e+1
      Largest intermediate:  4.000e+2 elements
    --------------------------------------------------------------------------------
    scaling        BLAS                current                             remaining
    --------------------------------------------------------------------------------
       3           GEMM              jk,ij->ki                             kl,ki->il
       3           GEMM              ki,kl->il                                il->il
    >>> from einstan import parse
    >>> p = parse("y[i] = A[i,J] B[J,K] x[K]")
    >>> contract_path(p, sizes={"i": 10, "j": 20, "k": 30}, measure=False).best.flops
    1600
    """
    if isinstance(subscripts, Expr | Program | Derived):
        from ..orders.comparison import compare

        compared |= {"optimize": "all" if optimize is True else optimize, "memory_limit": memory_limit}
        return compare(subscripts, *operands, **compared)
    if compared:
        raise TypeError(f"contract_path() got an unexpected keyword argument {next(iter(compared))!r}")
    form, given = split((subscripts, *operands), any_hashable)
    repair = "Leave out shapes=True, or give its shape."
    found = [given_shape(n, x, repair) if shapes else shape_of(n, x) for n, x in enumerate(given, 1)]
    info = planned(form, found, order_of(optimize), memory_limit, use_blas)
    return info.path, info


def contract_expression(
    subscripts: Any,
    *shapes: Any,
    constants: Any = None,
    use_blas: bool = True,
    optimize: Any = True,
    memory_limit: Any = None,
    out: None = None,
    backend: None = None,
    dtype: Any = None,
    casting: str = "safe",
    order: Any = "K",
) -> ContractExpression:
    """A contraction ordered once for operands of these shapes, to be called with arrays.

    `constants` are the places (from 0) of operands that stay: there the array itself is given, which is copied; what
    depends on constants alone is computed once. The other arguments are contract's. Arrays of other sizes may be given
    if their ranks are those of `shapes`; the order is then kept.

    >>> f = contract_expression("ij,jk,kl->il", np.ones((2, 3)), np.ones((3, 5)), (5, 7), constants=[0, 1])
    >>> f
    <ContractExpression('[ij,jk],kl->il', constants=[0, 1])>
    >>> f(np.ones((5, 7))).sum()
    np.float64(210.0)
    """
    if out is not None or backend is not None:
        raise EinstanError("out and backend are no arguments of contract_expression.", "Give them when you call it.")
    method = order_of(optimize)
    if method is None:
        raise EinstanError("An expression has an order, and optimize=False says that there is none.")
    form, given = split((subscripts, *shapes), any_hashable)
    held = constant_arrays(given, constants)
    sizes = [
        held[n].shape if n in held else given_shape(n + 1, x, f"Give its shape, or constants=[{n}].")
        for n, x in enumerate(given)
    ]
    info = planned(form, sizes, method, memory_limit, use_blas)
    return ContractExpression(form, info, held, asked(None, dtype, order, casting, "auto"))


# ---------------------------------------------------------------- what is given


def order_of(optimize: Any) -> Any:
    """A name, a path or a function, as it is kept; None for no order. Raises EinstanError for anything else."""
    if optimize is None or isinstance(optimize, bool):
        return None if optimize is False else "auto"
    return settled(optimize)


def many_at_once(method: Any) -> bool:
    """Whether it is a path with a step of more than two operands."""
    return isinstance(method, tuple) and any(len(step) > 2 for step in method)


def shape_of(n: int, x: Any) -> ArrayShape:
    """The shape of an array of any library, or of nested lists."""
    return lengths(n, x.shape, "Give an array.") if hasattr(x, "shape") else plain(x).shape


def given_shape(n: int, x: Any, repair: str) -> ArrayShape:
    if hasattr(x, "shape"):
        raise EinstanShapeError(f"Operand {n} is an array where a shape is expected.", repair)
    return lengths(n, x, repair)


def constant_arrays(given: Sequence[Any], constants: Any) -> dict[int, Array]:
    """A copy of each constant, by its place."""
    held: dict[int, Array] = {}
    for place in constants or ():
        if isinstance(place, bool) or not hasattr(place, "__index__") or not 0 <= index(place) < len(given):
            raise EinstanError(
                f"constants has {place!r:.60}, and operands are numbered 0 to {len(given) - 1}.",
                "Name the places of the arrays that stay.",
            )
        check_backend("auto", [given[place]])
        held[index(place)] = np.array(plain(given[place]))
    return held
