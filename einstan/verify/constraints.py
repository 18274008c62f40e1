"""constraints: inputs at random for which the facts of a program hold (`fact T[n,C] 1[C] = 1[n]`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..derive import derive, identity
from ..dims import Env
from ..facts import Facts
from ..ir import Input, Node, add, toposort
from .sampling import Draw, Floats
from .values import Array, Point, Unknown

STEPS = 30
SETTLED = 1e-13  # of a side that has no larger entry than 1, and of the next step: (a - b)^2 = 0 is no near a = b


@dataclass(frozen=True, slots=True)
class Constraint:
    """What has to be 0, and its derivative by each of its inputs."""

    off: Node
    slopes: dict[str, Node]

    @staticmethod
    def of(left: Node, right: Node) -> Constraint:
        off = add([(1, left), (-1, right)], left.shape)
        inputs = [node for node in toposort([off]) if isinstance(node, Input)]
        return Constraint(off, {x.name: d for x, d in zip(inputs, derive(off, identity(off), inputs), strict=True)})


def constraints(facts: Facts) -> list[Constraint]:
    """Facts that are more than a formula which is 0 whatever the inputs are."""
    return [Constraint.of(left, right) for left, right in facts if left is not right]


def satisfying(given: Sequence[Constraint], draw: Draw, env: Env, seed: int) -> Draw:
    """The inputs next to those of `draw` for which all facts hold, by Gauss-Newton; raises Unknown where it fails."""
    shapes = {
        node.name: tuple(d.at(env) for d in node.shape)
        for c in given
        for node in toposort([c.off])
        if isinstance(node, Input)
    }
    here = {name: draw(name, shape) for name, shape in shapes.items()}
    for _ in range(STEPS if given else 0):
        point = Point(Floats([replace(draw, fixed=here)], seed), env)
        off = np.concatenate([point.value(c.off).ravel() for c in given])
        if not np.isfinite(off).all():
            break
        step = np.linalg.lstsq(slopes(given, shapes, point), off, rcond=None)[0]
        if max(np.max(np.abs(x), initial=0) for x in (off, step)) < SETTLED:
            return replace(draw, fixed=here)
        for name, part in zip(here, np.split(step, np.cumsum([x.size for x in here.values()])[:-1]), strict=True):
            here[name] = here[name] - part.reshape(shapes[name])
    if given:
        raise Unknown("No inputs were found for which the facts hold.")
    return draw


def slopes(given: Sequence[Constraint], shapes: dict[str, tuple[int, ...]], point: Point) -> Array:
    """The derivatives of all constraints by all entries, a row for each entry of a constraint."""
    rows = []
    for c in given:
        count = point.value(c.off).size
        blocks = [
            point.value(c.slopes[name]).reshape(count, -1)
            if name in c.slopes
            else np.zeros((count, int(np.prod(shape))))
            for name, shape in shapes.items()
        ]
        rows.append(np.concatenate(blocks, axis=1))
    return np.concatenate(rows)
