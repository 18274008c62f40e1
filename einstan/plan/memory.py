"""memory: where every work value lies. One workspace, planned by liveness, used again by every call.

Laws: two values that are alive at once share no byte; a value that is computed in the memory of a result has that
result's shape and dtype and is dead when the result is made; a step writes onto an argument only if it reads each
entry before it writes it (an entrywise step, the same shape and dtype, the argument's last use). While a region runs,
its blocks are at different steps: what one of them gives up serves nothing but arrays that are cut in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..backends.numpy import IN_PLACE
from .arena import Arena
from .build import Builder
from .regions import Region
from .values import Place, Step, Value


def last_uses(steps: Iterable[tuple[int, Step]]) -> dict[Value, int]:
    """The last step that reads or writes each value's memory; views count for what they show."""
    return {v.storage: n for n, step in steps if not step.is_view for v in (*step.arrays, step.out)}


def heirs(step: Step, n: int, last: dict[Value, int]) -> list[Value]:
    """The work values that die at step n and whose memory its result may take over."""
    if step.op not in IN_PLACE or step.out.base is not None:
        return []
    whole = [v for v in step.arrays if v.base is None and v.kind == "work" and last[v] == n]
    viewed = {v.storage for v in step.arrays if v.base is not None}
    out = step.out
    return [v for v in whole if v.shape == out.shape and v.dtype == out.dtype and v not in viewed]


def aliases(steps: Sequence[Step], last: dict[Value, int]) -> dict[Value, Value]:
    """Work values that are computed in the memory of the result that they become."""
    found: dict[Value, Value] = {}
    for n in range(len(steps) - 1, -1, -1):
        out = steps[n].out
        result = found.get(out, out)
        if result.kind == "result" and not steps[n].is_view:
            found.update({v: result for v in heirs(steps[n], n, last)[:1] if v not in found})
    return found


def untouched(steps: Sequence[Step], found: dict[Value, Value]) -> dict[Value, Value]:
    """Only aliases of results that are written by one step."""
    writes: dict[Value, int] = {}
    for step in steps:
        if not step.is_view and step.out.storage.kind == "result":
            writes[step.out.storage] = writes.get(step.out.storage, 0) + 1
    return {v: r for v, r in found.items() if writes.get(r, 0) == 1}


class Arranged(NamedTuple):
    """Places in the workspace, aliases of results, the bytes of the workspace, the regions with what they own."""

    places: dict[Value, Place]
    aliases: dict[Value, Value]
    arena: int
    regions: tuple[Region, ...]


def arrange(steps: Sequence[Step], regions: Sequence[Region], build: Builder) -> Arranged:
    """Where everything lies."""
    last, first = last_uses(enumerate(steps)), last_uses(reversed(list(enumerate(steps))))
    for region in regions:
        last.update({v: max(last[v], region.last) for v in region.whole})
    aliased = untouched(steps, aliases(steps, last))
    regions = [replace(r, own=owned(steps, r, local(r, first, last) - aliased.keys(), last, build)) for r in regions]
    virtual = {v for region in regions for v in region.own} | aliased.keys()
    wanted = {v: n for v, n in last.items() if v.kind == "work" and v not in virtual}
    arena = Arena()
    block = placed(steps, regions, last, wanted, arena)
    places = {v: Place(start, v.nbytes) for v, start in block.items()}
    return Arranged(places, aliased, arena.end, tuple(regions))


def placed(
    steps: Sequence[Step], regions: Sequence[Region], last: dict[Value, int], wanted: dict[Value, int], arena: Arena
) -> dict[Value, int]:
    """Where the `wanted` values (with their last uses) and the arrays of regions start."""
    within = {n: region for region in regions for n in range(region.first, region.last)}
    ending: dict[int, list[Value]] = {}
    for v, n in wanted.items():
        ending.setdefault(within[n].last - 1 if n in within else n, []).append(v)
    for region in regions:
        ending.setdefault(region.last - 1, []).extend(dict.fromkeys(region.own.values()))
    block, gone = dict[Value, int](), set[Value]()

    def take(values: Iterable[Value]) -> None:
        for v in values:
            block[v] = arena.take(v.nbytes)

    for n, step in enumerate(steps):
        here = within.get(n)
        if here is not None and n == here.first:
            take([*dict.fromkeys(here.own.values()), *here.terms.values()])
        v = step.out.storage
        if not step.is_view and v in wanted and v not in block:
            heir = next((w for w in heirs(step, n, last) if w in block), None)
            if heir is None:
                take([v])
            else:
                block[v] = block[heir]
                gone.add(heir)
        for w in ending.get(n, ()):
            if w not in gone and w in block:
                arena.give(block[w])
    take([v for v in wanted if v not in block])  # without entries
    return block


def local(region: Region, first: dict[Value, int], last: dict[Value, int]) -> set[Value]:
    """What no step outside the region needs."""
    return {v for v in region.axes if v.kind == "work" and region.first <= first[v] <= last[v] < region.last}


def owned(
    steps: Sequence[Step], region: Region, local: set[Value], last: dict[Value, int], build: Builder
) -> dict[Value, Value]:
    """The `local` values with the array in which each worker has its block of them; but for those that are computed
    in memory that a step outside has filled."""
    own: dict[Value, Value] = {}
    free: dict[tuple[tuple[int, ...], str, int], list[Value]] = {}

    def kind(v: Value) -> tuple[tuple[int, ...], str, int]:
        return region.block_shape(v), v.dtype.str, region.axes[v]

    for n in range(region.first, region.last):
        step, gone = steps[n], set[Value]()
        if step.is_view:
            continue
        v = step.out.storage
        if v in local and v not in own:
            dying = heirs(step, n, last)
            heir = next((w for w in dying if w in own and kind(w) == kind(v)), None)
            if heir is not None:
                own[v], gone = own[heir], {heir}
            elif not dying:
                kept = free.get(kind(v))
                own[v] = kept.pop() if kept else build.value(region.block_shape(v), v.dtype)
        for w in {a.storage for a in step.arrays} | {v}:
            if w in own and last[w] == n and w not in gone:
                free.setdefault(kind(w), []).append(own[w])
    return own
