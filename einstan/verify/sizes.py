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
TRIES = 40


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
    """Sizes of all symbols below the nodes; fewer where none fit."""
    symbols = sorted({s for node in nodes for d in dims_of(node) for s in d.symbols} - fixed.keys())
    rng = np.random.default_rng(seed)
    for attempt in range(TRIES):
        if count == 0:
            return
        env = {**fixed, **dict(zip(symbols, primes(rng, len(symbols), attempt // 4), strict=True))}
        if all(fits(node, env) for node in nodes):
            count -= 1
            yield env


def primes(rng: np.random.Generator, n: int, least: int) -> list[int]:
    """n primes in a random order, distinct while there are enough; `least` are left out at the lower end."""
    pool = PRIMES[min(least, len(PRIMES) - 2) :][: n + SPARE]
    rounds = [rng.permutation(pool) for _ in range(-(-n // len(pool)))]
    return [int(p) for own in rounds for p in own][:n]


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
