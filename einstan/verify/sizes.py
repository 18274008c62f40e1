"""sizes: the sizes at which nodes are evaluated: distinct primes where these fit, so that no axis is another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ..arrays import check_sizes, nominal
from ..dims import Dim, Env, single_symbol
from ..errors import EinstanShapeError
from ..ir import Add, Call, Einsum, Node, Shape
from ..prims.shape import PART

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)
SPARE = 2  # primes more than there are sizes
TRIES, LARGEST = 3000, 14  # sizes tried at random, where primes do not fit: 3 - n, 5 - m


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
    positive, natural = conditions(nodes)
    rng = np.random.default_rng(abs(seed))
    most = max(len(symbols) + SPARE, count)
    for chosen in chain(primes(len(symbols), most, rng), rng.integers(1, LARGEST, (TRIES, len(symbols))).tolist()):
        if count == 0:
            return
        env = {**fixed, **dict(zip(symbols, chosen, strict=True))}
        if all(d.at(env) > 0 for d in positive) and all(d.at(env) >= 0 for d in natural):
            count -= 1
            yield env


def primes(n: int, most: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """n primes, again and again: distinct while there are enough, in turn each at each place; larger ones later."""
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


def conditions(nodes: Iterable[Node]) -> tuple[set[Dim], set[Dim]]:
    """What has to be above 0, an entry along every axis; and what not below it, parts within their axis."""
    positive, natural = set[Dim](), set[Dim]()
    for node in nodes:
        positive.update(node.shape)
        if isinstance(node, Call) and node.prim is PART:
            axis, low, high = node.params
            assert isinstance(axis, int) and isinstance(low, Dim) and isinstance(high, Dim)
            natural |= {low, high - low, node.operands[0].shape[axis] - high}
    return positive, natural
