"""plan: machine nodes under sizes and dtypes to straight-line steps on arrays.

Stages, each a function: the order of multiplication (`order.ordered`), products with concatenations (`blocks`),
sizes, dtypes and constants (`facts`), coefficients (`coefs`), steps (`products`, `sums`, `calls`), those that are done
block by block (`regions`), memory (`memory`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..dims import Env
from ..ir import Add, Call, Einsum, Input, Node
from ..order import ordered
from ..orders.methods import Optimize, Order
from .blocks import take_blocks
from .calls import lower_call
from .dtypes import DType, Promotion, promote
from .facts import Facts
from .memory import Arranged, arrange
from .products import lower_einsum
from .regions import ONE, Cores, divided
from .scratch import objects, scratch
from .shown import Lowering, Shown
from .sums import lower_add
from .values import VIEWS, Arg, Place, Plan, Step, Value

__all__ = ["Arg", "Place", "Plan", "Step", "VIEWS", "Value", "lowered", "plan", "prepared"]


def plan(
    outputs: Sequence[Node],
    env: Env,
    dtypes: Mapping[str, DType],
    optimize: Optimize | Order = "auto",
    hints: Mapping[str, Sequence[str]] | None = None,
    beside: Sequence[DType] = (),
    promotion: Promotion = promote,
    cores: Cores = ONE,
) -> Plan:
    """The steps that compute all `outputs` together, common nodes once.

    `env` gives the sizes, `dtypes` those of the inputs by name, `hints` the letters of their axes for the formulas,
    `beside` the dtypes of arrays that are given and not read: results that no input reaches follow them too;
    `promotion` gives the dtype of a product; `cores` are for the regions that are worth it.
    Raises EinstanShapeError where a size makes the value undefined (the maximum of nothing).
    """
    return lowered(prepared(outputs, env, optimize), (), env, dtypes, hints, beside, promotion, cores)


def prepared(outputs: Sequence[Node], env: Env, optimize: Optimize | Order = "auto") -> list[Node]:
    """The outputs over binary products, those of concatenations and of parts as they are cheapest."""
    return take_blocks(ordered(outputs, env, optimize), env)


def lowered(
    outputs: Sequence[Node],
    first: Sequence[Node],
    env: Env,
    dtypes: Mapping[str, DType],
    hints: Mapping[str, Sequence[str]] | None = None,
    beside: Sequence[DType] = (),
    promotion: Promotion = promote,
    cores: Cores = ONE,
) -> Plan:
    """The steps of `outputs` that are prepared; `first` are nodes below them that are computed before all others, in
    this order."""
    facts = Facts(outputs, env, dtypes, beside, promotion, first)
    low = Lowering(facts, hints or {})
    low.run(LOWER)
    steps, regions = divided(low.build, cores)
    arranged = arrange(steps, regions, low.build)
    computed = [s for s in steps if not s.is_view]
    return Plan(
        inputs={name: low.inputs[name] for name in dtypes if name in low.inputs},
        results=tuple(low.results[root] for root in facts.roots),
        steps=tuple(steps),
        places=arranged.places,
        aliases=arranged.aliases,
        arena=arranged.arena,
        flops=sum(s.flops for s in computed),
        bytes=sum(s.bytes for s in computed),
        peak_bytes=peak(low, steps, arranged),
        largest=max(computed, key=lambda s: s.out.nbytes, default=None),
        regions=arranged.regions,
    )


def peak(low: Lowering, steps: Sequence[Step], arranged: Arranged) -> int:
    """The bytes that are alive at once: workspace, constants, results, and what steps take for a while."""
    constants = {s.out.storage for s in steps if not s.is_view and s.out.storage.kind == "constant"}
    results = sum(v.nbytes for v in low.results.values())
    copied = sum(low.results[root].nbytes for root in low.facts.roots) - results
    more = objects(steps, {**arranged.places, **arranged.aliases}) + max(scratch(steps, arranged.regions), copied)
    return arranged.arena + sum(v.nbytes for v in constants) + results + more


def lower_input(low: Lowering, node: Node) -> Shown:
    assert isinstance(node, Input)
    dtype = low.facts.dtype[node]
    assert dtype is not None
    value = low.inputs[node.name] = low.build.value(low.facts.shape[node], dtype, "input")
    return Shown(value, tuple(range(node.rank)))


LOWER = {Input: lower_input, Einsum: lower_einsum, Add: lower_add, Call: lower_call}
