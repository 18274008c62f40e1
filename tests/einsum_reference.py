"""einsum_reference: what a contraction is, from the definition, and how far from it a computed one may lie.

The truth is the sum, over all assignments of the labels, of the products of the entries: the operands are read at every
assignment, multiplied and summed; in long doubles, and for integers modulo 2^64, which is exact modulo every 2^n.

The bound. An order of multiplication of m factors, and of summation over n assignments, whatever it is, puts at most
m - 1 multiplications and n - 1 additions between a product and the result. Each changes what it is given by a factor
1 + δ, |δ| ≤ u (a complex multiplication by √2 γ_2, less than three such factors). So with k the number of factors,
|computed - true| ≤ γ_k Σ |products|, γ_k = k u / (1 - k u)  (*Higham, Accuracy and Stability, 2002, 3.1 and 3.6*).
To this come the long doubles' own γ_k, the rounding of a result of fewer digits, and what underflow may take: each of
the n m operations the least normal number, times the largest that the other factors can be.

`float16` and `bfloat16` accumulate in float32 and are rounded once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any

import numpy as np

Labels = Sequence[Hashable]

ACCUMULATES = {"float16": "float32", "bfloat16": "float32"}
BFLOAT16 = (2.0**-8, 2.0**-126, 3.3895313892515355e38)  # numpy's finfo does not know it


@dataclass(frozen=True)
class Truth:
    """The sums of the products and of their absolute values, for a computation in `dtype`."""

    dtype: np.dtype[Any]
    value: np.ndarray
    size: np.ndarray
    roundings: int  # k
    lost: float  # in least normal numbers: the most that underflow may take


def contraction(inputs: Sequence[Labels], output: Labels, operands: Sequence[Any], dtype: Any = None) -> Truth:
    """The truth about `output` from operands with the labels `inputs`; axes of size one stretch, but in a diagonal."""
    dtype = np.result_type(*operands) if dtype is None else np.dtype(dtype)
    with np.errstate(all="ignore"):
        cast = [np.asarray(x).astype(dtype) for x in operands]
    sizes = label_sizes(inputs, [x.shape for x in cast])
    summed = [l for l in sizes if l not in output and sizes[l] != 1]
    labels = [l for l in output if sizes[l] != 1] + summed  # what has size one takes no place
    axes = tuple(range(len(labels) - len(summed), len(labels)))
    shape = tuple(sizes[l] for l in output)
    times, plus, exact = arithmetic(dtype)

    def total(factors: list[np.ndarray]) -> np.ndarray:
        spread = [everywhere(x, ls, labels) for x, ls in zip(factors, inputs, strict=True)]
        products = np.broadcast_to(reduce(times, spread), [sizes[l] for l in labels])
        return np.asarray(plus.reduce(products, axis=axes)).reshape(shape)

    n, m = prod(sizes[l] for l in summed), len(cast)
    with np.errstate(all="ignore"):
        exactly = [x.astype(exact) for x in cast]
        value = total(exactly)
        size = total([np.abs(x) for x in exactly]) if isinstance(exact(), np.inexact) else value
        largest = [float(np.max(np.abs(x), initial=1, where=np.isfinite(x))) for x in exactly]
    return Truth(dtype, value, size, n + m * (3 if dtype.kind == "c" else 1), n * m * prod(largest))


def arithmetic(dtype: np.dtype[Any]) -> tuple[np.ufunc, np.ufunc, type[np.generic]]:
    """Times and plus, and the type in which they are exact, or nearly."""
    match dtype.kind:
        case "b":
            return np.logical_and, np.logical_or, np.bool_
        case "i" | "u":
            return np.multiply, np.add, np.uint64
        case "c":
            return np.multiply, np.add, np.clongdouble
        case _:
            return np.multiply, np.add, np.longdouble


def label_sizes(inputs: Sequence[Labels], shapes: Sequence[tuple[int, ...]]) -> dict[Hashable, int]:
    sizes: dict[Hashable, int] = {}
    for labels, shape in zip(inputs, shapes, strict=True):
        own = dict(zip(labels, shape, strict=True))
        assert tuple(own[l] for l in labels) == shape, "a diagonal of an array that is not square"
        for l, d in own.items():
            assert 1 in (d, sizes.get(l, 1)) or sizes[l] == d, f"{l} has two sizes, {d} and {sizes[l]}"
            sizes[l] = d if sizes.get(l, 1) == 1 else sizes[l]
    return sizes


def everywhere(x: np.ndarray, own: Labels, labels: Labels) -> np.ndarray:
    """The entries of x at all assignments of `labels`: size one along those that x has not, or has with size one."""
    place = {l: [-1 if other == l else 1 for other in labels] for l in own}
    place |= {l: [1] * len(labels) for l, d in zip(own, x.shape, strict=True) if d == 1}
    return x[tuple(np.arange(d).reshape(place[l]) for l, d in zip(own, x.shape, strict=True))]


# ---------------------------------------------------------------- the bound


def limits(dtype: np.dtype[Any]) -> tuple[float, float, float]:
    """The unit roundoff, the least normal number and the largest."""
    if dtype.name == "bfloat16":
        return BFLOAT16
    info = np.finfo(dtype)
    return float(info.eps) / 2, float(info.smallest_normal), info.max


def gamma(k: int, u: float) -> float:
    return k * u / (1 - k * u)


def bound(truth: Truth, result: np.dtype[Any]) -> np.ndarray:
    """For each entry, how far from the truth one of dtype `result` may lie."""
    accumulator = np.dtype(ACCUMULATES.get(truth.dtype.name, truth.dtype))
    u, least, _ = limits(accumulator)
    own, _, _ = limits(np.dtype(np.longdouble))
    error = (gamma(truth.roundings, u) + gamma(truth.roundings, own)) * truth.size + truth.lost * least
    for rounded in {truth.dtype, result} - {accumulator}:
        u, least, _ = limits(rounded)
        error = error + u * (np.abs(truth.value) + error) + least * u
    return error


def wrong(truth: Truth, got: np.ndarray) -> np.ndarray:
    """Where `got`, of the shape of the truth, is not what may be computed.

    An entry with a product that is no finite number may be any such; one that may be too large, infinite.
    """
    if not np.issubdtype(truth.value.dtype, np.inexact):
        return np.asarray(truth.value.astype(truth.dtype).astype(got.dtype) != got)
    with np.errstate(all="ignore"):
        wide = got.astype(truth.value.dtype)
        error = bound(truth, got.dtype)
        largest = min(limits(got.dtype)[2], limits(truth.dtype)[2])
        close = np.abs(wide - truth.value) <= error
        overflown = ~np.isfinite(wide) & (np.abs(truth.value) + error >= largest)
        return np.where(np.isfinite(truth.size), ~(close | overflown), np.isfinite(wide))


def mistake(truth: Truth, got: Any) -> str:
    """The first thing wrong with a computed result, as a sentence; empty where nothing is."""
    got = np.asarray(got)
    got = got.astype(got.dtype.newbyteorder("="))
    if got.shape != truth.value.shape:
        return f"the shape is {got.shape}, not {truth.value.shape}"
    bad = np.argwhere(wrong(truth, got))
    if not len(bad):
        return ""
    at = tuple(int(n) for n in bad[0])
    true = truth.value.astype(truth.dtype)[at]
    return f"{len(bad)} of {got.size} entries are wrong: at {at} is {got[at]!r}, true is {true!r}"
