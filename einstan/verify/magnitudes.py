"""magnitudes: how large inputs have to be for the numbers of a formula to matter.

relu(x + 100) is x + 100 at all inputs of ordinary size, max(x^2, 1e-12) is x^2, and neither is an identity: where such
numbers stand, inputs as large or as small are looked at too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import permutations

from ..ir import Add, Node

ORDINARY = 3.0  # numbers between 1/3 and 3 matter to inputs of ordinary size
LARGEST = 1e30
MOST = 12
COMBINED = 6  # as many numbers are divided by each other


def magnitudes(nodes: Iterable[Node]) -> list[float]:
    """Sizes of inputs at which a number of the formula may decide; those near to ordinary ones first."""
    numbers = sorted({float(abs(q)) for q in coefficients(nodes) if 1 / LARGEST < abs(q) < LARGEST} - {1.0})
    ratios = (a / b for a, b in permutations(numbers, 2)) if len(numbers) <= COMBINED else ()
    found = {m for x in (*numbers, *ratios) for m in around(x) if not 1 / ORDINARY <= m <= ORDINARY}
    return sorted((m for m in found if 1 / LARGEST < m < LARGEST), key=lambda m: abs(math.log(m)))[:MOST]


def coefficients(nodes: Iterable[Node]) -> Iterator[Fraction]:
    """Of sums, where no size stands in them."""
    return (c.rational for node in nodes if isinstance(node, Add) for c in node.coefs if not c.sizes)


def around(x: float) -> Sequence[float]:
    """Where x, its square root and their inverses are."""
    return (x, 1 / x, math.sqrt(x), 1 / math.sqrt(x))
