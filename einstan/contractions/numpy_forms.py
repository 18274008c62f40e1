"""numpy_forms: es.einsum and es.einsum_path, called as numpy's are, computed by einstan's own contractions.

Laws: labels, sizes and dtypes are checked before anything is computed; operands are never written, but through `out`;
a result is fresh, or, for one operand of which nothing is summed, a view of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from operator import index
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final

import numpy as np

from ..errors import EinstanError, EinstanTypeError
from ..orders.methods import settled, steps_of
from .calls import Limited, asked, general, path_of, plain, quick
from .contraction import KEPT, Method
from .opt_einsum_paths import characters
from .path_info import path_info
from .subscripts import Form, Lists, Subscripts, read, small_integer, split

LETTERS: Final = ascii_uppercase + ascii_lowercase  # numpy's for 0, 1, ..


def einsum(
    *operands: Any,
    out: Any = None,
    dtype: Any = None,
    order: Any = "K",
    casting: str = "safe",
    optimize: Any = True,
) -> Any:
    """The product of the operands, summed over the labels that the output lacks: np.einsum on einstan's own engine.

    `einsum("ij,jk->ik", a, b)` is Σ_j a[i,j] b[j,k]. Without `->` the output has the labels that stand once, sorted.
    `...` stands for any number of axes, which broadcast from the right; an axis of size 1 broadcasts (never on a
    diagonal). Instead of text there may be a list of integers (and Ellipsis) after each operand.

    The result has the operands' common dtype or `dtype`; integers wrap and bools are added by `or`, as in numpy;
    float16 and bfloat16 are summed in float32. `out` is written and returned, and may overlap the operands. A
    transpose or a diagonal of one operand is a view. A result without axes is a scalar.

    `optimize`: True is einstan's own choice of the order; a name ("greedy", "optimal", "dp", ..), a name and the
    largest intermediate's entries ("greedy", 10_000), or a path ["einsum_path", (0, 1), (0, 1)].
    Dtypes that are no plain numbers (object, longdouble), an `order` other than "K", and optimize=False are numpy's
    own computation, after the checks of subscripts and sizes.

    Raises EinstanErrors (ValueErrors; wrong types are TypeErrors too) that say where in the subscripts.

    >>> import numpy as np
    >>> a, b = np.arange(6.0).reshape(2, 3), np.ones((3, 2))
    >>> einsum("ij,jk->ik", a, b)
    array([[ 3.,  3.],
           [12., 12.]])
    >>> einsum(a, [0, 1], b, [1, 0]), einsum("...j->...", a)
    (np.float64(15.0), array([ 3., 12.]))
    >>> einsum("ij,jk", a, a)
    Traceback (most recent call last):
        ...
    einstan.errors.EinstanShapeError: The label 'j' has two sizes: in axis 2 of operand 1 (3) and in axis ...
      1 | ij,jk
           ^ ^
    Axes of one label are equal, or 1.
    """
    form, arrays = split_numpy(operands)
    if out is None and dtype is None and optimize is True and order == "K" and casting == "safe":
        return quick(form, arrays)
    return general(form, arrays, out, asked(out, dtype, order, casting, order_of(optimize)))


def einsum_path(*operands: Any, optimize: Any = "greedy") -> tuple[list[Any], str]:
    """The order in which einsum would multiply, as np.einsum_path gives it: the path, and a table of its costs.

    "greedy" and "optimal" find numpy's paths (with a limit of entries as ("greedy", n)); other names those of
    es.contract_path; a path is told as it is. True is "greedy", False one step.

    >>> import numpy as np
    >>> a, b, c = np.ones((2, 2)), np.ones((2, 5)), np.ones((5, 2))
    >>> path, text = einsum_path("ij,jk,kl->il", a, b, c)
    >>> path
    ['einsum_path', (1, 2), (0, 1)]
    >>> print(text.splitlines()[0])
      Complete contraction:  ij,jk,kl->il
    """
    form, arrays = split_numpy(operands)
    shapes = tuple([plain(x).shape for x in arrays])
    s = read(form, shapes)
    path = path_of(s, order_of("greedy" if optimize is True else optimize))
    terms = lettered(form, s)
    info = path_info(terms[:-1], terms[-1], shapes, path)
    return ["einsum_path", *path], repr(info)


def order_of(optimize: Any) -> Method | Limited | None:
    """What `optimize` says, as something that can be a key. Raises EinstanTypeError for what says nothing."""
    if optimize is None or isinstance(optimize, bool | np.bool_):
        return "auto" if optimize else None
    if isinstance(optimize, str):
        return str(settled(optimize))
    match optimize:
        case (str(name), int() | float() as entries):
            if isinstance(entries, float) and not isfinite(entries):
                raise EinstanTypeError(f"The limit of {name[:60]!r} is {entries}.", "Write a number of entries.")
            return Limited(name, int(entries))
    try:
        return tuple(steps_of(optimize))
    except EinstanError as error:
        raise EinstanTypeError(error.message, error.repair) from None


def split_numpy(args: Sequence[Any]) -> tuple[Form, Sequence[Any]]:
    """The subscripts and the operands; lists of integers in a fraction of the time that others take."""
    if args and type(args[0]) is str:
        return args[0], args[1:]
    pairs = len(args) // 2
    try:
        lists = tuple([tuple(map(index, own)) for own in (*args[1::2], *args[2 * pairs :])])
    except TypeError:
        return split(args, small_integer)
    return of_integers(lists, pairs), args[0 : 2 * pairs : 2]


@lru_cache(maxsize=KEPT)
def of_integers(lists: tuple[tuple[int, ...], ...], n: int) -> Form:
    checked = [tuple(map(small_integer, own)) for own in lists]
    return Lists(tuple(checked[:n]), checked[n] if len(checked) > n else None)


def lettered(form: Form, s: Subscripts) -> list[str]:
    """The terms and the output with a character for each label: numpy's for integers, free ones for ellipses."""
    names = [name if len(name) == 1 and isinstance(form, str) else "" for name in s.names]
    if not isinstance(form, str):
        names = [LETTERS[int(name)] if name.isdigit() else "" for name in s.names]
    free = (c for c in characters(LETTERS[::-1]) if c not in names)
    letters = [name or next(free) for name in names]
    return ["".join(letters[label] for label in own) for own in (*s.terms, s.out)]
