"""memory: where every work value lies. One workspace, planned by liveness, used again by every call.

Laws: two values that are alive at once share no byte; a value that is computed in the memory of a result has that
result's shape and dtype and is dead when the result is made; a step writes onto an argument only if it reads each
entry before it writes it (an entrywise step, the same shape and dtype, the argument's last use).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

from ..backends.numpy import IN_PLACE
from .values import Place, Step, Value

LINE = 64  # bytes of a cache line; every value begins at one


def last_uses(steps: Sequence[Step]) -> dict[Value, int]:
    """The last step that reads or writes each value's memory; views count for what they show."""
    found: dict[Value, int] = {}
    for n, step in enumerate(steps):
        if not step.is_view:
            for v in (*step.arrays, step.out):
                found[v.storage] = n
    return found


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


class Arena:
    """Blocks of bytes that are taken and given back; a free block that is too small may grow."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.free: list[tuple[int, int]] = []  # (size, block), sorted

    def take(self, nbytes: int) -> int:
        """The smallest free block that fits, else the largest one grown, else a new one."""
        wanted = -(-nbytes // LINE) * LINE
        place = bisect_left(self.free, (wanted, -1))
        if place < len(self.free):
            return self.free.pop(place)[1]
        if self.free:
            _, block = self.free.pop()
            self.sizes[block] = wanted
            return block
        self.sizes.append(wanted)
        return len(self.sizes) - 1

    def give(self, block: int) -> None:
        insort(self.free, (self.sizes[block], block))


def arrange(steps: Sequence[Step]) -> tuple[dict[Value, Place], dict[Value, Value], int]:
    """Places in the workspace, aliases of results, the bytes of the workspace."""
    last = last_uses(steps)
    aliased = untouched(steps, aliases(steps, last))
    arena, block = Arena(), dict[Value, int]()
    ending: dict[int, list[Value]] = {}
    for v, n in last.items():
        if v.kind == "work" and v not in aliased:
            ending.setdefault(n, []).append(v)
    for n, step in enumerate(steps):
        if step.is_view:
            continue
        v, gone = step.out.storage, set[Value]()
        if v.kind == "work" and v not in aliased and v not in block:
            heir = next((w for w in heirs(step, n, last) if w in block), None)
            block[v] = arena.take(v.nbytes) if heir is None else block[heir]
            gone = set() if heir is None else {heir}
        for w in ending.get(n, ()):
            if w not in gone and w in block:
                arena.give(block[w])
    for v in last:  # without entries, so that no step writes it
        if v.kind == "work" and v not in aliased and v not in block:
            block[v] = arena.take(v.nbytes)
    offsets, end = [], 0
    for size in arena.sizes:
        offsets.append(end)
        end += size
    return {v: Place(offsets[b], v.nbytes) for v, b in block.items()}, aliased, end
