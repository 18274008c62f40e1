"""blockwise: the source of what is done block by block: what a block is given, and what calls it.

Workers call it where einstan is installed (threads); elsewhere the source brings a loop of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from .plan import Plan, Step, Value
from .plan.regions import Mode, Region

BLOCKWISE = '''
try:
    from einstan.threads import blockwise, one_thread_each
except ImportError:
    from contextlib import nullcontext as one_thread_each

    def blockwise(block, blocks, cut, whole, own=(), terms=()):
        """Call `block` for each of some blocks, one after the other."""
        rows, number, _ = blocks
        for n in range(number):
            low, high = rows * n // number, rows * (n + 1) // number

            def stretch(a, axis, low, high, rows):
                unit = a.shape[axis] // rows
                return a[(slice(None),) * axis + (slice(low * unit, high * unit),)]

            block(
                *[stretch(a, axis, low, high, rows) for a, axis in cut],
                *whole,
                *[stretch(a[0], axis, 0, high - low, -(-rows // number)) for a, axis in own],
                *[a[n, ...] for a in terms],
            )
'''


class Names(Protocol):
    """What arrays and arguments are called outside of the block."""

    def name(self, v: Value) -> str: ...

    def argument(self, a: Value | int | float, step: Step) -> str: ...


class Given:
    """What the block of a region is given: arrays that are cut, whole ones, the worker's own ones, terms of sums."""

    def __init__(self, names: Names, steps: Sequence[Step], region: Region) -> None:
        self.names, self.region = names, region
        self.found: tuple[dict[tuple[str, int | None], Value], ...] = ({}, {}, {}, {})
        self.called: dict[tuple[str, int | None], str] = {}
        for step, mode in zip(steps[region.first : region.last], region.modes, strict=True):
            if not step.is_view:
                assert mode is not None
                for v, axis in zip((*step.args, step.out), (*mode.args, mode.out), strict=True):
                    if isinstance(v, Value):
                        self.take(v, axis)

    def key(self, v: Value, axis: int | None) -> tuple[str, int | None]:
        owned = self.region.own.get(v.storage)
        return (self.names.name(v), axis) if owned is None else (self.names.name(owned), self.region.axes[v.storage])

    def take(self, v: Value, axis: int | None) -> None:
        own, terms = self.region.own.get(v.storage), self.region.terms.get(v)
        cut, whole, owned, summed = self.found
        key = self.key(v, axis)
        kind = owned if own is not None else summed if terms is not None else whole if axis is None else cut
        kind.setdefault(key, own or terms or v)
        name, taken = key[0], set(self.called.values())
        self.called.setdefault(key, name if name not in taken else f"{name}_{axis}")

    def called_in(self, step: Step, mode: Mode | None) -> tuple[list[str], str]:
        """What the arguments and the result of a step are called in the block."""
        assert mode is not None
        args = [self.name(a, axis, step) for a, axis in zip(step.args, mode.args, strict=True)]
        return args, self.name(step.out, mode.out, step)

    def name(self, a: Value | int | float, axis: int | None, step: Step) -> str:
        if not isinstance(a, Value) or (a.storage in self.region.own and a.base is not None):
            return self.names.argument(a, step)
        return self.called[self.key(a, axis)]

    @property
    def parameters(self) -> list[str]:
        return [self.called[key] for kind in self.found for key in kind]

    @property
    def values(self) -> list[Value]:
        return [v for kind in self.found for v in kind.values()]

    @property
    def arguments(self) -> str:
        """The arrays of each kind; those that are cut with the axis."""
        name = self.names.name
        cut, whole, owned, summed = self.found
        kinds = [
            listed(f"({name(v)}, {axis})" for (_, axis), v in cut.items()),
            listed(name(v) for v in whole.values()),
            listed(f"({name(v)}, {axis})" for (_, axis), v in owned.items()),
            listed(name(v) for v in summed.values()),
        ]
        return ", ".join(kinds)


def alone(lines: Sequence[str], plan: Plan) -> list[str]:
    """The lines, while a BLAS leaves the cores to our workers."""
    if all(region.blocks.workers == 1 for region in plan.regions):
        return list(lines)
    return ["with one_thread_each():", *(f"    {line}" for line in lines)]


def listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(texts)}]"


def open_shape(view: Step, mode: Mode | None) -> Step:
    """A reshaping for blocks of any length."""
    assert mode is not None
    (shape,) = (view.params,)
    return replace(view, params=tuple([-1 if n == mode.out else d for n, d in enumerate(shape)]))
