"""calls: what one call of einsum computes, found by its subscripts, shapes, dtypes and options, and kept.

Laws: everything is checked before anything is computed; a result is fresh, or, for one operand of which nothing is
summed, a view of it; `out` may overlap the operands. What only numpy can do (object, longdouble and other dtypes,
`order=`, `optimize=False`) goes to numpy's einsum after the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeGuard

import numpy as np

from ..arrays import Array, DType
from ..errors import EinstanError, EinstanShapeError, EinstanTypeError
from ..orders.methods import check_path, linear_path
from .contraction import KEPT, Method, Path, contraction
from .numpy_paths import NUMPY_ORDERS, numpy_path
from .subscripts import NUMPY_LABELS, ArrayShape, Form, Labels, Subscripts, read

Signature = tuple[type, ArrayShape, DType]

numpy_einsum: Callable[..., Any] = np.einsum  # as it is now: es.einsum may take its name later
SIGNATURE: Final = attrgetter("__class__", "shape", "dtype")
CASTINGS: Final = ("no", "equiv", "safe", "same_kind", "unsafe")
ORDERS: Final = ("K", "C", "F", "A")
OWN_DTYPES: Final = frozenset("?bBhHiIlLqQefdFD")  # and bfloat16
NUMPY_DTYPES: Final = frozenset("gGO")  # numpy's alone
SINGLE: Final = np.dtype(np.float32)
HALVES: Final = frozenset({"float16", "bfloat16"})  # summed in SINGLE; the planner knows float16
NUMPY_OPERANDS: Final = 63


def quick(form: Form, operands: Sequence[Any]) -> Any:
    """The call without options; for ndarrays that were seen before it is a look-up."""
    try:
        job = prepared(form, tuple(map(SIGNATURE, operands)))
    except AttributeError:  # lists and Python's numbers have no shape
        return general(form, operands)
    return job.compute(operands)


def general(form: Form, operands: Sequence[Any], out: Any = None, options: Options | None = None) -> Any:
    """The call for any operands; the result is written into `out` if there is one."""
    arrays = [plain(x) for x in operands]
    job = prepared(form, tuple(map(SIGNATURE, arrays)), options or PLAIN)
    if out is None:
        return job.compute(arrays)
    check_shape(out, job.shape)
    job.write(arrays, out)
    return out


# ---------------------------------------------------------------- operands


def plain(x: Any) -> Array:
    """The operand as an ndarray of no subclass. Raises EinstanTypeError for what hides entries."""
    if isinstance(x, np.ma.MaskedArray):
        raise EinstanTypeError("An operand is a masked array.", "Fill it, or multiply by the mask.")
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise EinstanTypeError("An operand is a sparse array.", "Give its toarray().")
    try:
        return np.asarray(x)
    except ValueError as error:
        raise EinstanShapeError(f"An operand is no array: {error}.", "Give nested lists of equal lengths.") from None


class NotPlain(AttributeError):
    """An operand of a class of its own, which is made an ndarray first."""


# ---------------------------------------------------------------- options


class Limited(NamedTuple):
    """An order by name whose intermediates have no more than so many entries."""

    name: str
    entries: int


class Options(NamedTuple):
    """What a call asks for beside its operands. No method means one step, by numpy."""

    dtype: DType | None = None
    out: DType | None = None
    casting: str = "safe"
    order: str = "K"
    method: Method | Limited | None = "auto"

    @property
    def ours(self) -> bool:
        """Whether the call asks for nothing that only numpy does."""
        return self.method is not None and self.order == "K"


PLAIN: Final = Options()


class PathError(EinstanError, RuntimeError):
    """A path that is none for these operands."""


def asked(out: Any, dtype: Any, order: Any, casting: Any, method: Method | Limited | None) -> Options:
    """The options, checked as far as they can be without operands."""
    if out is not None and not isinstance(out, np.ndarray):
        raise EinstanTypeError(f"out is no array: it is {type(out).__name__}.", "Give a numpy array.")
    if order is not None and not isinstance(order, str):
        raise EinstanTypeError(f"The order is {order!r:.60}.", f"Write one of {', '.join(ORDERS)}.")
    if order is not None and order.upper() not in ORDERS:
        raise EinstanError(f"There is no order {order!r:.60} of axes.", f"Write one of {', '.join(ORDERS)}.")
    if casting not in CASTINGS:
        raise EinstanError(f"There is no casting {casting!r:.60}.", f"Write one of {', '.join(CASTINGS)}.")
    wanted = None if dtype is None else np.dtype(dtype)
    return Options(wanted, None if out is None else out.dtype, casting, (order or "K").upper(), method)


def check_shape(out: Array, shape: ArrayShape) -> None:
    if out.shape != shape:
        raise EinstanShapeError(f"The result has the shape {shape}, and out has {out.shape}.")
    if not out.flags.writeable:
        raise EinstanError("out is read-only.", "Give an array that can be written.")


def path_of(s: Subscripts, method: Method | Limited | None) -> list[tuple[int, ...]]:
    """The order as a path."""
    n = len(s.terms)
    if method is None:
        return [tuple(range(n))]
    if is_path(method):
        return list(whole(method, n))
    name, limit = method if isinstance(method, Limited) else (method, None)
    if name in NUMPY_ORDERS:
        return numpy_path(s, name, limit)
    return linear_path(s.terms, s.out, dict(enumerate(s.sizes)), name, limit)


def whole(path: Path, n: int) -> Path:
    """The path, if it leaves one of n operands."""
    try:
        check_path(path, n)
    except EinstanError as error:
        raise PathError(error.message, error.repair) from None
    return path


# ---------------------------------------------------------------- what is computed


class Job(NamedTuple):
    """One call for operands of given shapes and dtypes: its result, or its result written into an array."""

    shape: ArrayShape
    compute: Callable[[Sequence[Any]], Any]
    write: Callable[[Sequence[Any], Array], None]


@lru_cache(maxsize=KEPT)
def prepared(form: Form, signatures: tuple[Signature, ...], options: Options = PLAIN) -> Job:
    """What computes einsum(form, *operands) for operands of these classes, shapes and dtypes."""
    if any(kind is not np.ndarray for kind, _, _ in signatures):
        raise NotPlain
    shapes = tuple([shape for _, shape, _ in signatures])
    dtypes = [dtype for _, _, dtype in signatures]
    s = read(form, shapes)
    dtype = common(dtypes, options, s.shape)
    if is_path(options.method):
        whole(options.method, len(shapes))
    as_given = options.dtype is None or options.dtype == dtypes[0]
    if len(shapes) == 1 and as_given and set(s.terms[0]) == set(s.out):
        return viewing(s, options.casting)
    if options.ours and is_own(dtype):
        return by_contraction(s, shapes, dtypes, dtype, options)
    return by_numpy(s, dtype, options)


def is_path(method: Method | Limited | None) -> TypeGuard[Path]:
    return isinstance(method, tuple) and not isinstance(method, Limited)


def common(dtypes: Sequence[DType], options: Options, shape: ArrayShape) -> DType:
    """The dtype that is computed in; operands and result must be allowed to be cast from and to theirs (a scalar
    only where its value changes)."""
    given = [*dtypes] if options.out is None else [*dtypes, options.out]
    try:
        found = np.result_type(*given) if options.dtype is None else options.dtype
    except TypeError as error:
        raise EinstanTypeError(f"The operands have no common dtype: {error}.", "Give numbers.") from None
    if found.char in OWN_DTYPES:
        found = np.dtype(found.str)
    elif not found.isnative:
        found = found.newbyteorder("=")
    for n, dtype in enumerate(dtypes, 1):
        check_cast(f"Operand {n}", dtype, found, options.casting)
    if options.out is not None and shape:
        check_cast("The result", found, options.out, options.casting)
    return found


def check_cast(what: str, one: DType, other: DType, casting: Any) -> None:
    if not np.can_cast(one, other, casting):
        raise EinstanTypeError(
            f"{what} has the dtype {one}, which casting={casting!r} does not make {other}.",
            'Give dtype=, or casting="same_kind" or "unsafe".',
        )


def is_own(dtype: DType) -> bool:
    return dtype.char in OWN_DTYPES or dtype.name == "bfloat16"


def by_contraction(
    s: Subscripts, shapes: tuple[ArrayShape, ...], dtypes: Sequence[DType], dtype: DType, options: Options
) -> Job:
    """In the common dtype; bfloat16 in float32 (the planner does so with float16)."""
    method = options.method
    if isinstance(method, Limited):
        method = tuple(path_of(s, method))
    computed = SINGLE if dtype.name == "bfloat16" else dtype
    found = contraction(s.terms, s.out, shapes, computed, method, s.names)
    steps: list[Callable[[Any], Any]] = [found.compute]
    if any(d is not computed for d in dtypes):
        steps.insert(0, lambda arrays: [cast(cast(a, dtype), computed) for a in arrays])
    if found.plan.results[0].dtype != dtype:
        steps.append(lambda result: cast(result, dtype))
    if not s.out:
        steps.append(lambda result: result[()])
    compute = composed(steps)

    def write(arrays: Sequence[Array], out: Array) -> None:
        if out.dtype is computed and all(d is computed for d in dtypes):
            found.write(arrays, out)
        else:
            put(compute(arrays), out, options.casting)

    return Job(s.shape, compute, write)


def composed(steps: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """The steps one after the other; one step is itself."""
    if len(steps) == 1:
        return steps[0]
    *before, last = steps
    first = composed(before)
    return lambda x: last(first(x))


def cast(a: Array, dtype: DType) -> Array:
    """The array in this dtype, which is one object for "int64" and "longlong"."""
    if a.dtype == dtype:
        return a.view(dtype)
    with np.errstate(all="ignore"):
        return a.astype(dtype)


def put(found: Array, out: Array, casting: Any) -> None:
    """The result written where its dtype may go; a scalar that may not, if its value stays."""
    with np.errstate(all="ignore"):
        stored = found.astype(out.dtype)  # a copy, as out may overlap what is shown
        if not out.shape and not np.can_cast(found.dtype, out.dtype, casting) and stored != found:
            check_cast(f"The result {found}", found.dtype, out.dtype, casting)
        np.copyto(out, stored)


# ---------------------------------------------------------------- views


def viewing(s: Subscripts, casting: str) -> Job:
    """A transpose or a diagonal of the one operand."""
    (own,), out = s.terms, s.out
    diagonal = len(set(own)) < len(own)
    perm = () if diagonal else tuple([own.index(label) for label in out])

    def view(arrays: Sequence[Array]) -> Array:
        return diagonals(arrays[0], own, out) if diagonal else arrays[0].transpose(perm)

    def write(arrays: Sequence[Array], out: Array) -> None:
        put(view(arrays), out, casting)

    return Job(s.shape, view if s.out else lambda arrays: arrays[0][()], write)


def diagonals(a: Array, own: Labels, out: Labels) -> Array:
    """The entries where axes of one label agree; it can be written where the array can."""
    writeable, labels = a.flags.writeable, list(own)
    while (twice := next((label for label in labels if labels.count(label) > 1), None)) is not None:
        first = labels.index(twice)
        second = labels.index(twice, first + 1)
        a = a.diagonal(0, first, second)
        labels = [label for n, label in enumerate(labels) if n not in (first, second)] + [twice]
    a = a.transpose([labels.index(label) for label in out])
    a.flags.writeable = writeable
    return a


# ---------------------------------------------------------------- numpy


def by_numpy(s: Subscripts, dtype: DType, options: Options) -> Job:
    """numpy's own computation of what has been checked."""
    n = len(s.terms)
    if not is_own(dtype) and dtype.char not in NUMPY_DTYPES:
        raise EinstanTypeError(f"The operands have the dtype {dtype}, which can't be multiplied.", "Give numbers.")
    if n > NUMPY_OPERANDS or len(s.sizes) > NUMPY_LABELS:
        raise EinstanError(
            f"numpy, which computes this dtype, order or optimize=False, takes {NUMPY_OPERANDS} operands and "
            f"{NUMPY_LABELS} labels at most.",
            'Give plain numbers, order="K" and another optimize.',
        )
    computed = SINGLE if dtype.name in HALVES else dtype
    path = [] if options.method is None or n < 3 else path_of(s, options.method)

    def compute(arrays: Sequence[Array]) -> Any:
        if 0 in s.sizes:  # numpy 2.4 writes past the end of empty clongdouble arrays
            return np.zeros(s.shape, dtype, "F" if options.order in ("F", "f") else "C")[()]
        alike = [a if a.dtype == computed == dtype else cast(cast(a, dtype), computed) for a in arrays]
        found = looped(alike, s, path, options.order)
        return found if computed == dtype else found.astype(dtype)

    return Job(s.shape, compute, lambda arrays, out: put(np.asarray(compute(arrays)), out, options.casting))


def looped(arrays: Sequence[Array], s: Subscripts, path: Sequence[tuple[int, ...]], order: Any) -> Any:
    """The steps of a path, each a loop of numpy's. What they make stays an array: numpy's own paths fail where one of
    objects is a scalar."""
    live = list(zip(arrays, s.terms, strict=True))
    for step in path[:-1]:
        taken = [live[k] for k in step]
        live = [operand for k, operand in enumerate(live) if k not in step]
        needed = {*s.out}.union(*(own for _, own in live))
        out = [label for label in dict.fromkeys(x for _, own in taken for x in own) if label in needed]
        live.append((np.asarray(numpy_einsum(*interleaved(taken), out), arrays[0].dtype), tuple(out)))
    return numpy_einsum(*interleaved(live), list(s.out), order=order)


def interleaved(operands: Sequence[tuple[Array, Labels]]) -> Iterator[Any]:
    for a, own in operands:
        yield a
        yield list(own)
