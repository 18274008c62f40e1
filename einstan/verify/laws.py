"""laws: of the normal form in which two sides are compared: those of `simplify`, and some that only help a proof."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import Call, Node
from ..prims.scalar import RELU, STEP
from ..request import Laws
from ..rewrite import law, normalise
from ..rules import LAWS
from ..stabilise import stabilise


@law(STEP)
def step_of_relu(y: Call) -> Node | None:
    """step(relu(x)) -> step(x)."""
    (x,) = y.operands
    return STEP(*x.operands) if isinstance(x, Call) and x.prim is RELU else None


COMPARED = (step_of_relu, *LAWS)


def simplified(roots: Sequence[Node]) -> list[Node]:
    return normalise(roots, COMPARED)


TO_COMPARE = Laws(stabilise, simplified, COMPARED)
