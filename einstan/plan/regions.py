"""regions: runs of steps that are done block by block in cache, and by several threads at once.

A step is cut along an axis: what it makes of some rows of its arguments is some rows of its result (or a term of it,
where the axis is summed). Steps that can be cut wait until one that cannot needs them; those that wait then become a
region, if they cost enough. All arrays of a region are cut at the same fractions of their axes.

Laws: a step sees of a value that its region makes just the rows of its own block; a value that no step outside the
region needs exists as one block for each worker; nothing of a region that a block may still write lies where another
block reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, gcd, prod
from typing import Final, NamedTuple

from ..backends.numpy import COMPARISONS, MATRICES, OPS, PRIMITIVES, REDUCTIONS
from .build import Builder
from .layout import is_mirrored
from .tiles import tiles
from .values import VIEWS, Arg, Step, Value

PRODUCTS: Final = frozenset({"dot", "matmul"})
CHEAP: Final = COMPARISONS | {"relu", "step", "abs", "sign", "max", "min", "where", "concat", "part"}
FUNCTIONS: Final = frozenset(PRIMITIVES) - CHEAP - {"amax", "amin", "prod"}

# what steps cost, in nanoseconds on one core of our days: only orders of magnitude matter
BYTE: Final = 1 / 60
FAR: Final = 1 / 12  # the same where a step moves more than a cache holds
FUNCTION: Final = 0.1  # a byte of what exp is taken of
FLOP: Final = 1 / 320  # of a matrix product, for each byte of an entry
START: Final = 20_000  # of a region
WORTH: Final = 75_000  # what a worker does in a region, at least
CALL: Final = 2_000  # what a step does in a block, at least
CALL_AT_ONCE: Final = 8_000  # the same where threads wait for one another between steps
GAIN: Final = 0.85  # what is left of the time where threads of ours are better than those of a BLAS

MOST: Final = 10**200  # of flops and of bytes: sizes have no bound, floats do
BLOCK: Final = 1 << 19  # bytes of an array in one block
CACHE: Final = 1 << 22  # bytes up to which an array is not divided for one worker
SMALL: Final = 1 << 18  # bytes moved by a step that is done at once
THREADED: Final = 1 << 20  # flops from which on a BLAS uses all cores for a product
ROWS: Final = 8  # for each thread, so that blocks are about equal
TERM: Final = 8  # the terms of a sum take at most a part of what is summed: one in so many bytes


class Cores(NamedTuple):
    """How many threads may work at once; not more than one where a BLAS can't be told to use one for each of them."""

    threads: int = 1


ONE: Final = Cores()


class Mode(NamedTuple):
    """How a step may be cut: the axis of each argument (None: each block takes all of it), and of the result (None:
    each block makes a term of it)."""

    args: tuple[int | None, ...]
    out: int | None


class Blocks(NamedTuple):
    """`number` blocks, done by `workers` threads; every axis is cut at multiples of its size / `rows`."""

    rows: int
    number: int
    workers: int

    def most(self, size: int) -> int:
        """Of an axis of this size what the largest block has."""
        return size // self.rows * ceil(self.rows / self.number)


@dataclass(frozen=True, slots=True)
class Region:
    """The steps from `first` on before `last`, in blocks. `modes` has one for each step, None for views of what is not
    made here.

    `axes` says along which axis the memory of what is made here is cut; `whole` is read here not just by the rows of
    the block. `terms` are the values that each block makes a term of, with the array of all terms; `own` those that
    live within a block, with the array of what all workers have of them.
    """

    first: int
    last: int
    blocks: Blocks
    modes: tuple[Mode | None, ...]
    axes: Mapping[Value, int]
    whole: frozenset[Value]
    terms: Mapping[Value, Value]
    own: Mapping[Value, Value] = field(default_factory=dict)

    def block_shape(self, v: Value) -> tuple[int, ...]:
        """Of the array that holds a block of v for each worker."""
        inner = list(v.shape)
        inner[self.axes[v]] = self.blocks.most(inner[self.axes[v]])
        return (self.blocks.workers, *inner)


# ---------------------------------------------------------------- how a step may be cut


def cut(a: Arg, back: int, size: int) -> int | None:
    """The axis of a that numpy sets beside an axis of this size of the result, `back` places from the end."""
    if not isinstance(a, Value) or len(a.shape) < -back or a.shape[back] != size:
        return None
    return len(a.shape) + back


def entrywise(step: Step) -> Iterator[Mode]:
    n = len(step.out.shape)
    for axis, size in enumerate(step.out.shape):
        yield Mode(tuple([cut(a, axis - n, size) for a in step.args]), axis)


def product(step: Step) -> Iterator[Mode]:
    """By the batch; of matrices and vectors by rows, by columns, and as terms of the sum."""
    left, right = step.arrays
    if is_mirrored(step.op, left, right):  # its rows alone would be a full product
        yield Mode((1, 0), None)
        return
    m, n, rank = len(left.shape), len(right.shape), len(step.out.shape)
    if max(m, n) > 2:
        yield from list(entrywise(step))[: rank - 2]
        return
    if m == 2:
        yield Mode((0, None), 0)
    if m == 1:
        yield Mode((0, 0), None)
    if n == 2:
        yield Mode((None, 1), rank - 1)
    if m == 2:
        yield Mode((1, 0), None)


def fold(step: Step) -> Iterator[Mode]:
    labels, kept = step.params
    for place, label in enumerate(labels):
        args = tuple([cut(a, place - len(labels), max(v.shape[place] for v in step.arrays)) for a in step.args])
        yield Mode(args, kept.index(label) if label in kept else None)


def reduction(step: Step) -> Iterator[Mode]:
    """Along axes; the others leave where the result has fewer. Only a sum has terms."""
    (along,) = step.params
    (x,) = step.arrays
    stay = len(step.out.shape) == len(x.shape)
    for axis in range(len(x.shape)):
        if axis not in along:
            yield Mode((axis,), axis if stay else axis - sum(a < axis for a in along))
        elif step.op == "sum":
            yield Mode((axis,), None)


MODES: dict[str, Callable[[Step], Iterator[Mode]]] = {
    **dict.fromkeys(OPS.keys() - VIEWS - MATRICES.keys() - {"ones", "fill"}, entrywise),
    **dict.fromkeys(PRODUCTS, product),
    **dict.fromkeys(REDUCTIONS | {"sum"}, reduction),
    "fold": fold,
}


def sizes(step: Step, mode: Mode) -> list[int]:
    """Of the axes that are cut."""
    pairs = [*zip(step.args, mode.args, strict=True), (step.out, mode.out)]
    return [v.shape[axis] for v, axis in pairs if isinstance(v, Value) and axis is not None]


def seen(view: Step, axis: int) -> int | None:
    """The axis of a view along which it is cut when what it shows is cut along `axis`."""
    (of,), out = view.arrays, view.out
    match view.op:
        case "transpose":
            return view.params.index(axis)
        case "index":
            places = [n for n, entry in enumerate(view.params) if entry is not None]
            if axis >= len(places):
                return axis + len(view.params) - len(places)
            return places[axis] if view.params[places[axis]] == (0, of.shape[axis]) else None
        case "diagonal":
            labels, shown = view.params
            return shown.index(labels[axis]) if labels.count(labels[axis]) == 1 else None
    if prod(of.shape[:axis]) != 1:
        return None
    return next((n for n, size in enumerate(out.shape) if size > 1), None)


# ---------------------------------------------------------------- groups


def nanoseconds(step: Step) -> float:
    """About how long the step takes on one core."""
    width, moved, flops = step.out.dtype.itemsize, min(step.bytes, MOST), min(step.flops, MOST)
    if step.op in PRODUCTS:
        return max(moved * BYTE, flops * FLOP * width)
    return moved * (BYTE if moved <= CACHE else FAR) + (flops * width * FUNCTION if step.op in FUNCTIONS else 0)


def is_threaded(step: Step) -> bool:
    """Whether a BLAS uses all cores for the step: one large product of matrices."""
    return step.op in PRODUCTS and len(step.out.shape) == 2 and step.flops > THREADED


def blocks_of(nbytes: int, workers: int) -> int:
    """How many blocks make an array of so many bytes, as many for every worker."""
    return max(1, -(-nbytes // (BLOCK * workers))) * workers


class Touched:
    """What memory some steps write and read."""

    def __init__(self) -> None:
        self.made: set[Value] = set()
        self.read: set[Value] = set()

    def add(self, step: Step) -> None:
        self.made.add(step.out.storage)
        self.read.update([v.storage for v in step.arrays])

    def bars(self, step: Step) -> bool:
        """Whether the step can't be done before them."""
        out = step.out.storage
        return out in self.made or out in self.read or any(v.storage in self.made for v in step.arrays)


class Group:
    """Steps that wait, with how each is cut.

    `axes` says along which axis the memory of what they make is cut; of what they make terms of, and of what steps
    before have written already, it says nothing.
    """

    def __init__(self, views: Mapping[Value, Step], cores: Cores) -> None:
        self.views, self.cores = views, cores
        self.steps: list[tuple[Step, Mode]] = []
        self.axes: dict[Value, int] = {}
        self.touched = Touched()
        self.rows = 0

    def mode(self, step: Step) -> Mode | None:
        """How the step can be cut along with the others."""
        if step.op not in MODES or step.out.storage.kind == "constant":
            return None
        if self.cores.threads == 1 and step.op in PRODUCTS:
            return None
        return next((mode for mode in MODES[step.op](step) if self.agrees(step, mode)), None)

    def agrees(self, step: Step, mode: Mode) -> bool:
        if not all(self.shows(v, axis) for v, axis in zip(step.args, mode.args, strict=True) if isinstance(v, Value)):
            return False
        if not (self.sums(step, mode) if mode.out is None else self.writes(step.out, mode.out)):
            return False
        rows = self.rows_with(step, mode)
        return rows >= ROWS * self.cores.threads or (rows > 1 and rows % self.cores.threads == 0)

    def rows_with(self, step: Step, mode: Mode) -> int:
        """At how many places all axes can be cut, those of memory behind views too."""
        place = None if mode.out is None else self.place(step.out, mode.out)
        behind = [] if place is None else [step.out.storage.shape[place]]
        return gcd(self.rows, *sizes(step, mode), *behind)

    def shows(self, v: Value, axis: int | None) -> bool:
        """Whether a block has what it reads: anything that is done, its own rows of what is made here."""
        if v.storage not in self.touched.made:
            return True
        made = self.axes.get(v.storage)
        return made is not None and axis is not None and self.seen(v, made) == axis

    def seen(self, v: Value, axis: int) -> int | None:
        """The axis of v that is cut when its memory is cut along `axis`."""
        chain = []
        while v.base is not None:
            chain.append(self.views[v])
            (v,) = chain[-1].arrays
        found: int | None = axis
        for view in reversed(chain):
            found = None if found is None else seen(view, found)
        return found

    def place(self, out: Value, axis: int) -> int | None:
        """The axis of the memory that is cut when `out` is cut along `axis`."""
        return next((n for n in range(len(out.storage.shape)) if self.seen(out, n) == axis), None)

    def writes(self, out: Value, axis: int) -> bool:
        """Whether blocks may write their rows of it."""
        place = self.place(out, axis)
        if out.storage in self.touched.made:
            return place is not None and self.axes.get(out.storage) == place
        return place is not None and out.storage not in self.touched.read

    def sums(self, step: Step, mode: Mode) -> bool:
        """Whether each block may make a term of the result, all of them small beside what is summed."""
        out, most = step.out, largest([(step, mode)])
        fresh = out.base is None and out not in self.touched.made | self.touched.read
        return fresh and out.dtype.kind == "f" and out.nbytes * blocks_of(most, self.cores.threads) * TERM <= most

    def add(self, step: Step, mode: Mode) -> None:
        place = None if mode.out is None else self.place(step.out, mode.out)
        self.rows = self.rows_with(step, mode)
        self.steps.append((step, mode))
        self.touched.add(step)
        if place is not None:
            self.axes[step.out.storage] = place

    @property
    def whole(self) -> frozenset[Value]:
        """The memory of which blocks read more than their own rows."""
        found: dict[Value, set[int | None]] = {}
        for step, mode in self.steps:
            for v, axis in zip(step.args, mode.args, strict=True):
                if isinstance(v, Value):
                    place = None if axis is None else self.place(v, axis)
                    found.setdefault(v.storage, set()).add(place)
        return frozenset(v for v, places in found.items() if None in places or len(places) > 1)

    def blocks(self) -> Blocks | None:
        """The blocks, where they are worth it."""
        workers = max(1, min(self.cores.threads, int(self.cost / WORTH), self.rows))
        size = largest(self.steps)
        number = min(blocks_of(size, workers), self.rows // workers * workers, max(workers, self.tall))
        least = number * len(self.steps) * (CALL if workers == 1 else CALL_AT_ONCE)
        worth = number > 1 and self.cost >= least and (workers > 1 or size > CACHE)
        return Blocks(self.rows, number, workers) if worth else None

    @property
    def tall(self) -> int:
        """How many blocks there may be so that each has whole tiles."""
        cuts = [(step.out.shape[mode.out], tiles(step)) for step, mode in self.steps if mode.out is not None]
        return min([size // cut.rows for size, cut in cuts if cut is not None], default=self.rows)

    @property
    def cost(self) -> float:
        return sum(nanoseconds(step) for step, _ in self.steps)

    @property
    def time(self) -> float:
        """With all workers."""
        blocks = self.blocks()
        return self.cost if blocks is None else self.cost / blocks.workers + START


def largest(steps: Sequence[tuple[Step, Mode]]) -> int:
    """Bytes of the largest array that is cut."""
    every = [pair for step, mode in steps for pair in zip((*step.args, step.out), (*mode.args, mode.out), strict=True)]
    return max([v.nbytes for v, axis in every if isinstance(v, Value) and axis is not None], default=0)


# ---------------------------------------------------------------- the order of steps


def may_be_worth(steps: Sequence[Step], cores: Cores) -> bool:
    """Whether there may be a region: some step starts one, and either two workers or blocks in cache are worth it."""
    computed = [step for step in steps if not step.is_view]
    if all(step.bytes < SMALL for step in computed):
        return False
    if cores.threads > 1 and sum(map(nanoseconds, computed)) >= 2 * WORTH:
        return True
    return any(v.nbytes > CACHE for step in computed for v in (*step.arrays, step.out))


def grouped(steps: Sequence[Step], cores: Cores) -> list[Step | Group]:
    """The steps without views, those of a region together; in their order where there is none."""
    if not may_be_worth(steps, cores):
        return [step for step in steps if not step.is_view]
    views = {step.out: step for step in steps if step.is_view}
    found: list[Step | Group] = []
    group, held, after = Group(views, cores), list[Step](), Touched()

    def close() -> None:
        nonlocal group, held, after
        found.extend([group] if group.blocks() is not None else [step for step, _ in group.steps])
        found.extend(held)
        group, held, after = Group(views, cores), [], Touched()

    for step in steps:
        if step.is_view:
            continue
        if after.bars(step) and step.op in MODES and step.op not in PRODUCTS:
            close()
        bound = group.touched.bars(step)
        mode = None if after.bars(step) or (step.bytes < SMALL and not bound) else group.mode(step)
        if mode is not None:
            group.add(step, mode)
        elif bound or after.bars(step):
            held.append(step)
            after.add(step)
        else:
            found.append(step)
    close()
    return found


def by_regions(found: Sequence[Step | Group]) -> float:
    """About how long the steps take where one thread does what is in no region."""
    return sum(nanoseconds(part) if isinstance(part, Step) else part.time for part in found)


def by_library(steps: Sequence[Step], cores: Cores) -> float:
    """About how long the steps take where a BLAS has all cores."""
    return sum(nanoseconds(step) / (cores.threads if is_threaded(step) else 1) for step in steps if not step.is_view)


def divided(build: Builder, cores: Cores) -> tuple[list[Step], list[Region]]:
    """All steps of `build` with their views, in the order in which they are done, and the regions among them.

    Threads of ours and those of a BLAS, which wait awake for a tenth of a second, are in each other's way; so either
    all that is worth it is done in regions, the large products too, or one thread does what a BLAS does not.
    """
    if not may_be_worth(build.steps, cores):
        return build.steps, []
    found = grouped(build.steps, cores)
    if cores.threads > 1 and by_regions(found) > GAIN * by_library(build.steps, cores):
        found = grouped(build.steps, ONE)
    if not any(isinstance(part, Group) for part in found):
        return build.steps, []
    views = {step.out: step for step in build.steps if step.is_view}
    steps: list[Step] = []
    regions: list[Region] = []

    def shown(step: Step) -> list[Step]:
        """The views that the step needs and that are not there yet."""
        found: list[Step] = []
        for v in (*step.arrays, step.out):
            chain = []
            while v in views:
                chain.append(views.pop(v))
                (v,) = chain[-1].arrays
            found += chain[::-1]
        return found

    for part in found:
        if isinstance(part, Step):
            steps += [*shown(part), part]
        else:
            regions.append(region(part, build, steps, shown))
    return steps, regions


def region(group: Group, build: Builder, steps: list[Step], shown: Callable[[Step], list[Step]]) -> Region:
    """The region of a group, whose steps are added to the `steps`; after them the sums of the terms."""
    blocks, first = group.blocks(), len(steps)
    assert blocks is not None
    modes: list[Mode | None] = []
    terms: dict[Value, Value] = {}
    sums: list[Step] = []
    for step, mode in group.steps:
        for view in shown(step):
            steps.append(view)
            modes.append(view_mode(view, group))
        if mode.out is None:
            every = build.value((blocks.number, *step.out.shape), step.out.dtype)
            term = replace(build.value(step.out.shape, step.out.dtype), base=every)
            terms[term] = every
            sums.append(sum_of(every, step.out))
            step = replace(step, out=term)
        steps.append(step)
        modes.append(mode)
    last = len(steps)
    steps += sums
    return Region(first, last, blocks, tuple(modes), group.axes, group.whole, terms)


def view_mode(view: Step, group: Group) -> Mode | None:
    """Where a view of what the group makes is cut."""
    (of,) = view.arrays
    made = group.axes.get(of.storage)
    if made is None:
        return None
    axis, shown = group.seen(of, made), group.seen(view.out, made)
    return None if axis is None or shown is None else Mode((axis,), shown)


def sum_of(terms: Value, out: Value) -> Step:
    """The sum of the terms of all blocks."""
    return Step(
        "sum", (terms,), out, ((0,),), lambda name: f" = sum of {name(terms)}", terms.size, terms.nbytes + out.nbytes
    )
