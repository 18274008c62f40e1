"""measuring: the rates of this machine for one dtype, in a fifth of a second; the threads of a BLAS included.

Every operation of a plan is run as kernels spell it (backends/numpy.py). The shortest of some rounds counts, and a
larger product never takes longer for a flop than a smaller one, so that a moment in which the machine did other things
does no more harm than it must. What is left is an order of magnitude: a machine that is busy, or that changes its
clock, is slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from string import Formatter
from time import perf_counter
from typing import Any, Final

import numpy as np

from ..backends.numpy import MATRICES, OPS, REDUCTIONS
from .rates import Cost, Curve, Rates

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]

ROUNDS: Final = 3
ROUND: Final = 3e-5  # seconds at least of a round
PATIENCE: Final = 5e-3  # seconds after which there is no further round
LEAST: Final = 1e-12  # seconds that anything takes
SMALL, LONG, FLAT = (1, 1), (128, 4), (16, 256)  # shapes that operations are run on; LONG has gaps between its rows
BLAS: Final = "fdFD"  # dtypes with fast products
HALF: Final = np.dtype("float16")
REDUCING: Final = (REDUCTIONS | {"sum"}) - {"softmax", "log_softmax", "unit"}
PARAMETERS: Final[Mapping[str, tuple[Any, ...]]] = {
    **dict.fromkeys((*REDUCTIONS, "sum"), ((1,),)),
    "fold": ((0, 1), (0,)),
    "pow": (0.3,),
    "solve": (2,),
    "natural_power": (3,),
    "negative_power": (3,),
}


def measured(dtype: DType) -> Rates:
    """The rates for arrays of a dtype."""
    with np.errstate(all="ignore"):
        moved = bandwidth(dtype)
        iterator = walking(dtype)
        costs = dict(all_costs(dtype, iterator))
        call = costs["dot"].call
        return Rates(
            costs,
            {
                "moved": moved,
                "read": reading(dtype, call, moved),
                "crossed": tuple(crossing(dtype, sides_apart(dtype), costs["copy"])),
                "aliased": tuple(crossing(dtype, sides_aliased(dtype), costs["copy"])),
                "product": tuple(products(dtype, call, moved)),
            },
            {"iterator": iterator, "view": viewing(dtype), "half": casting(dtype), **batches(dtype)},
        )


def shortest(call: Callable[..., Any], *args: Any) -> float:
    """Seconds for one call: the best of some rounds of as many calls as make up a round; fewer of what is slow."""
    call(*args)
    start = perf_counter()
    call(*args)
    best = perf_counter() - start
    number = max(1, int(ROUND / max(LEAST, best)))
    until = start + PATIENCE
    for _ in range(ROUNDS):
        start = perf_counter()
        for _ in range(number):
            call(*args)
        end = perf_counter()
        best = min(best, (end - start) / number)
        if end > until:
            break
    return max(LEAST, best)


def ones(dtype: DType, *shapes: Sequence[int]) -> list[Array]:
    return [np.ones(shape, dtype) for shape in shapes]


# ---------------------------------------------------------------- operations


def all_costs(dtype: DType, iterator: float) -> Iterator[tuple[str, Cost]]:
    """Of every operation that there is for the dtype."""
    for name, (function, arity) in functions().items():
        try:
            if name in ("dot", "matmul"):
                yield name, Cost(shortest(function, *ones(dtype, (2, 2), (2, 2), (2, 2))), LEAST, LEAST)
            elif name in MATRICES:
                identities = [np.eye(2, dtype=dtype) for _ in range(arity)]
                call = shortest(function, *identities, *PARAMETERS.get(name, ()), *ones(dtype, (2, 2)))
                yield name, Cost(call, LEAST, LEAST)
            else:
                yield name, cost(name, function, arity, dtype, iterator)
        except (TypeError, ValueError, OverflowError):
            continue


def cost(name: str, function: Callable[..., Any], arity: int, dtype: DType, iterator: float) -> Cost:
    """Call, row and entry from three shapes. What works along rows has as many of them as the shape."""
    small, long, flat = (shortest(function, *arguments(name, arity, dtype, shape)) for shape in (SMALL, LONG, FLAT))
    alongside = PARAMETERS.get(name, (0,))[0] in ((1,), (0, 1))
    more = [(LONG[0] - 1, LONG[0] * LONG[1] - 1), ((FLAT[0] - 1) * alongside, FLAT[0] * FLAT[1] - 1)]  # rows, entries
    spent = long - small - (0 if alongside else iterator), flat - small
    (r0, e0), (r1, e1) = more
    both = r0 * e1 - r1 * e0
    row, entry = (spent[0] * e1 - spent[1] * e0) / both, (spent[1] * r0 - spent[0] * r1) / both
    return Cost(small, max(LEAST, row), max(LEAST, entry))


def arguments(name: str, arity: int, dtype: DType, shape: tuple[int, int]) -> list[Any]:
    given: list[Any] = [1] if name == "fill" else [operand(shape, dtype) for _ in range(arity)]
    reduced = name in REDUCING or name == "fold"
    out = np.ones(shape[0], dtype) if reduced else operand(shape, dtype)
    return [*given, *PARAMETERS.get(name, ()), out]


def operand(shape: tuple[int, int], dtype: DType) -> Array:
    """Numbers of which every function has a value, and the product does not vanish."""
    rows, columns = shape
    wide = np.linspace(0.75, 1, rows * columns * 2).astype(dtype).reshape(rows, 2 * columns)[:, :columns]
    return wide if shape == LONG else wide.copy()


def functions() -> dict[str, tuple[Callable[..., Any], int]]:
    """The operations as functions of their arguments, parameters and `out`, and how many arguments they have."""
    source, found = ["import math", "import numpy as np"], {}
    for n, (name, op) in enumerate(OPS.items()):
        if "{out}" in op.text:  # else it is a view
            fields = sorted({field for _, field, _, _ in Formatter().parse(op.text) if field})
            args = [f"a{field}" for field in fields if field.isdigit()]
            params = [field for field in fields if field.startswith("p")]
            text = op.text.format(*args, out="out", **{p: p for p in params})
            source += [op.helper, f"def op{n}({', '.join([*args, *params, 'out'])}): {text}"]
            found[name] = (f"op{n}", len(args))
    space: dict[str, Any] = {}
    exec("\n".join(source), space)  # our own text
    return {name: (space[function], arity) for name, (function, arity) in found.items()}


def walking(dtype: DType) -> float:
    """What a call takes more where its arrays do not lie alike."""
    column, row, out, a, b = ones(dtype, (2, 1), (2,), (2, 2), (2, 2), (2, 2))
    return max(LEAST, shortest(np.multiply, column, row, out) - shortest(np.multiply, a, b, out))


def viewing(dtype: DType) -> float:
    (few,) = ones(dtype, (2, 2))
    return (shortest(lambda: few.reshape((4,))) + shortest(lambda: few[0:1, None])) / 2


def casting(dtype: DType) -> float:
    """An entry from float16."""
    (out,) = ones(dtype, (1 << 12,))
    half = np.ones(out.size, HALF)
    return shortest(lambda: np.copyto(out, half, casting="unsafe")) / out.size


# ---------------------------------------------------------------- memory


def bandwidth(dtype: DType) -> Curve:
    """Bytes a second of an addition, by its bytes."""
    points = []
    call = shortest(np.add, *ones(dtype, (1,), (1,), (1,)))
    for size in (1 << 17, 1 << 19, 1 << 20, 1 << 21, 1 << 22, 3 << 22, 3 << 23):
        arrays = ones(dtype, *[(size // (3 * dtype.itemsize),)] * 3)
        moved = sum(a.nbytes for a in arrays)
        points.append((float(moved), moved / max(LEAST, shortest(np.add, *arrays) - call)))
    return tuple(points)


def reading(dtype: DType, call: float, moved: Curve) -> Curve:
    """Bytes a second of a matrix times a vector, by its bytes; as fast as an addition at least."""
    points = []
    sides = (64, 128, 256, 512, 1024) if dtype.char in BLAS else (64, 128, 256)
    for side in sides:
        matrix, vector, out = ones(dtype, (side, side), (side,), (side,))
        read = matrix.nbytes / max(LEAST, shortest(np.dot, matrix, vector, out) - call)
        floor = min(rate for _, rate in moved) if dtype.char in BLAS else 0.0
        points.append((float(matrix.nbytes), max(read, floor)))
    return tuple(points)


def sides_apart(dtype: DType) -> list[int]:
    """Of squares whose rows are no round number of bytes."""
    return [side * 8 // dtype.itemsize | 1 for side in (60, 120, 250, 500)]


def sides_aliased(dtype: DType) -> list[int]:
    """Of squares whose rows are powers of two of bytes."""
    return [bytes_a_row // dtype.itemsize for bytes_a_row in (1 << 10, 1 << 11, 1 << 12, 1 << 13)]


def crossing(dtype: DType, sides: Sequence[int], copy: Cost) -> Iterator[tuple[float, float]]:
    """Seconds an entry of a transposing copy, by the bytes of the array."""
    for side in sides:
        source, out = ones(dtype, (side, side), (side, side))
        yield float(out.nbytes), max(LEAST, (shortest(np.copyto, out, source.T) - copy.call) / out.size - copy.entry)


# ---------------------------------------------------------------- products


def products(dtype: DType, call: float, moved: Curve) -> Iterator[tuple[float, float]]:
    """Flops a second of products of squares, by flops, beside the time for moving their bytes."""
    each = float("inf")  # seconds a flop
    for n in (8, 16, 32, 64, 128, 256, 448) if dtype.char in BLAS else (8, 16, 32, 64):
        a, b, out = ones(dtype, (n, n), (n, n), (n, n))
        flops = 2 * n**3
        each = min(each, shortest(np.dot, a, b, out) / flops)
        beside = call + 3 * a.nbytes / moved[0][1]
        yield float(flops), flops / max(each * flops - beside, each * flops * (0.1 if n == 8 else 0.6))


def batches(dtype: DType) -> dict[str, float]:
    """One more small product; a multiply-add without a library; an entry of matrices that lie across the batch."""
    n, k = 32, 16
    tiny = shortest(np.matmul, *ones(dtype, (128, 2, 2), (128, 2, 2), (128, 2, 2))) / 128
    naive = shortest(np.matmul, *ones(dtype, (k, k, 1), (k, 1, k), (k, k, k))) / k**3
    a, b, out = ones(dtype, (n, k, k), (n, k, k), (n, k, k))
    across = ones(dtype, (k, k, n))[0].transpose(2, 0, 1)
    more = [shortest(np.matmul, *args) for args in ((a, b, across), (across, b, out))]
    scattered = (sum(more) / 2 - shortest(np.matmul, a, b, out)) / a.size
    return {"each": tiny, "naive": naive, "scattered": max(LEAST, scattered)}
