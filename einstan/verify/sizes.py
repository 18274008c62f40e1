"""sizes: the sizes at which nodes are evaluated: distinct primes, so that no two axes are taken for each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays import check_sizes, nominal
from ..dims import Dim, Env, single_symbol
from ..errors import EinstanShapeError
from ..ir import Add, Call, Einsum, Node, Shape
from ..prims.shape import PART

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)
SPARE = 2  # primes more than there are sizes


def fixed_by(shapes: Mapping[str, Shape], letters: Mapping[str, Sequence[str]], given: Mapping[str, Any]) -> Env:
    """The size symbols that sizes by letter (`b=5`) or by input (`X=(5, 3)`) decide."""
    check_sizes(shapes, letters, given)
    found: dict[str, int] = {}
    for name, shape in shapes.items():
        for axis, d in enumerate(shape):
            n, symbol = nominal(name, axis, shapes, letters, given), single_symbol(d)
            if n is not None and symbol is not None and found.setdefault(symbol, int(n)) != n:
                raise EinstanShapeError(
                    f"Axis {axis + 1} of {name} is given the sizes {found[symbol]} and {n}.",
                    "Axes that are one in the program have one size.",
                )
    return found


def environments(nodes: Sequence[Node], fixed: Env, count: int, seed: int) -> Iterator[Env]:
    """Sizes of all symbols below the nodes, each time others for each symbol; fewer where none fit."""
    symbols = sorted({s for node in nodes for d in dims_of(node) for s in d.symbols} - fixed.keys())
    for chosen in primes(len(symbols), max(len(symbols) + SPARE, count), seed):
        if count == 0:
            return
        env = {**fixed, **dict(zip(symbols, chosen, strict=True))}
        if all(fits(node, env) for node in nodes):
            count -= 1
            yield env


def primes(n: int, most: int, seed: int) -> Iterator[list[int]]:
    """n primes, again and again: distinct while there are enough, in turn each at each place; larger ones later."""
    rng = np.random.default_rng(seed)
    for least in range(len(PRIMES) - 1):
        pool = [int(p) for p in rng.permutation(PRIMES[least : least + most])]
        for turn in range(len(pool)):
            yield [pool[(k + turn) % len(pool)] for k in range(n)]


def dims_of(node: Node) -> Iterable[Dim]:
    yield from node.shape
    if isinstance(node, Add):
        yield from (d for coef in node.coefs for d, _ in coef.sizes)
    elif isinstance(node, Einsum):
        yield from (d for _, d in node.sizes)
    elif isinstance(node, Call):
        for p in node.params:
            yield from (d for d in (p if isinstance(p, tuple) else (p,)) if isinstance(d, Dim))


def fits(node: Node, env: Env) -> bool:
    """Whether every axis has an entry, and parts lie within their axis."""
    if isinstance(node, Call) and node.prim is PART:
        axis, low, high = node.params
        assert isinstance(axis, int) and isinstance(low, Dim) and isinstance(high, Dim)
        if not 0 <= low.at(env) <= high.at(env) <= node.operands[0].shape[axis].at(env):
            return False
    return all(d.at(env) > 0 for d in node.shape)
