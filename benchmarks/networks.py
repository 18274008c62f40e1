"""networks: products to be summed, as orders of contraction are compared on: made by seed, the same in every run.

A network is operands with a tuple of labels (integers) each. Two operands that share a label are summed over it, if
it is not in the output; a label may stand in more than two operands.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import prod
from string import ascii_letters
from typing import Any

import numpy as np

Labels = tuple[int, ...]


@dataclass(frozen=True)
class Network:
    terms: tuple[Labels, ...]
    out: Labels
    sizes: dict[int, int]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(self.sizes[label] for label in own) for own in self.terms]

    @property
    def subscripts(self) -> str:
        """As einsum text: `ab,bc->ac`; a letter of any script for each label."""
        return ",".join(map(self.letters, self.terms)) + "->" + self.letters(self.out)

    def letters(self, own: Labels) -> str:
        return "".join(ascii_letters[label] if label < 52 else chr(0xC0 + label) for label in own)

    def arrays(self, dtype: str) -> list[np.ndarray]:
        """Positive numbers, so that nothing cancels; scaled so that entries of the result are about 1."""
        rng = np.random.default_rng(0)
        return [
            (rng.uniform(0.5, 1.5, shape) / prod(self.share(label) for label in set(own))).astype(dtype)
            for own, shape in zip(self.terms, self.shapes, strict=True)
        ]

    def share(self, label: int) -> float:
        """What each operand is divided by for a sum over the label."""
        carriers = sum(label in own for own in self.terms)
        return 1.0 if label in self.out else self.sizes[label] ** (1 / carriers)

    def interleaved(self, operands: Sequence[Any]) -> list[Any]:
        """The calling form of einsum that takes any number of labels: operand, labels, operand, labels, .., output."""
        return [*(x for pair in zip(operands, self.terms, strict=True) for x in pair), self.out]


# ---------------------------------------------------------------- generators


def chain(factors: int) -> Network:
    """A product of matrices of random sizes."""
    rng = random.Random(0)
    sizes = {label: rng.randrange(5, 100) for label in range(factors + 1)}
    return Network(tuple((k, k + 1) for k in range(factors)), (0, factors), sizes)


def mps(sites: int, bond: int, physical: int = 2) -> Network:
    """The inner product of two matrix product states: first all tensors of the one, then those of the other."""
    fresh = count()
    outer = [next(fresh) for _ in range(sites)]
    states, sizes = [], dict.fromkeys(outer, physical)
    for _ in range(2):
        bonds = [next(fresh) for _ in range(sites - 1)]
        sizes |= dict.fromkeys(bonds, bond)
        states += [(*bonds[max(0, k - 1) : k], outer[k], *bonds[k : k + 1]) for k in range(sites)]
    return Network(tuple(states), (), sizes)


def graph(nodes: int, edges: list[tuple[int, int]], bond: int) -> Network:
    """An operand for each node, a label for each edge; everything is summed."""
    terms = tuple(tuple(e for e, ends in enumerate(edges) if node in ends) for node in range(nodes))
    return Network(terms, (), dict.fromkeys(range(len(edges)), bond))


def lattice(rows: int, columns: int, bond: int) -> Network:
    """A square lattice: each node is tied to those beside, above and below."""
    across = [(r * columns + c, r * columns + c + 1) for r in range(rows) for c in range(columns - 1)]
    down = [(r * columns + c, (r + 1) * columns + c) for r in range(rows - 1) for c in range(columns)]
    return graph(rows * columns, across + down, bond)


def regular(nodes: int, bond: int, degree: int = 3) -> Network:
    """A random regular graph: stubs are paired until the graph is connected, without loops and double edges."""
    rng = random.Random(0)
    while True:
        stubs = [node for node in range(nodes) for _ in range(degree)]
        rng.shuffle(stubs)
        edges = {(min(pair), max(pair)) for pair in zip(stubs[::2], stubs[1::2], strict=True)}
        simple = len(edges) == len(stubs) // 2 and all(a != b for a, b in edges)
        if simple and connected(nodes, edges):
            return graph(nodes, sorted(edges), bond)


def connected(nodes: int, edges: Iterable[tuple[int, int]]) -> bool:
    reached, before = {0}, 0
    while len(reached) > before:
        before = len(reached)
        for edge in sorted(edges):
            if reached & set(edge):
                reached |= set(edge)
    return before == nodes


def hyperedges(operands: int, labels: int) -> Network:
    """Labels of 2 to 4 operands each, of size 2 or 3; two labels stay."""
    rng = random.Random(0)
    terms: list[list[int]] = [[] for _ in range(operands)]
    for label in range(labels):
        first = label % operands  # every operand has one
        others = rng.sample([k for k in range(operands) if k != first], rng.randrange(1, 4))
        for k in (first, *others):
            terms[k].append(label)
    sizes = {label: rng.randrange(2, 4) for label in range(labels)}
    return Network(tuple(map(tuple, terms)), (0, 1), sizes)


def gated(b: int, g: int, k: int, d: int) -> Network:
    """`bgk,bkd,bk->bgd`: multiplying the first two by b and k first builds an intermediate 16 times the output."""
    return Network(((0, 1, 2), (0, 2, 3), (0, 2)), (0, 1, 3), dict(enumerate((b, g, k, d))))


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    make: Callable[[], Network]


CASES = (
    Case("gated", "bgk,bkd,bk->bgd (64, 8, 4096, 128)", partial(gated, 64, 8, 4096, 128)),
    *(Case(f"chain-{n}", f"chain of {n} matrices", partial(chain, n)) for n in (10, 100, 1000)),
    *(Case(f"mps-{n}", f"inner product of MPS, {n} sites, bond 32", partial(mps, n, 32)) for n in (20, 200)),
    *(Case(f"lattice-{n}", f"lattice {n} × {n}, bond 4", partial(lattice, n, n, 4)) for n in (4, 6, 8)),
    Case("lattice-12", "lattice 12 × 12, bond 2", partial(lattice, 12, 12, 2)),
    Case("regular-20", "random 3-regular network, 20 nodes, bond 4", partial(regular, 20, 4)),
    Case("regular-50", "random 3-regular network, 50 nodes, bond 3", partial(regular, 50, 3)),
    Case("regular-100", "random 3-regular network, 100 nodes, bond 2", partial(regular, 100, 2)),
    Case("regular-200", "random 3-regular network, 200 nodes, bond 2", partial(regular, 200, 2)),
    Case("hyper-12", "16 labels of 2 to 4 operands each, 12 operands", partial(hyperedges, 12, 16)),
    Case("hyper-30", "40 labels of 2 to 4 operands each, 30 operands", partial(hyperedges, 30, 40)),
)
