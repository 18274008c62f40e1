"""layered: where the boxes and wires of a directed graph without cycles stand when it is drawn from above downwards.

After Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981): layers by
the longest path, dummies where a wire passes a layer, crossings reduced by sweeps and exchanges, coordinates by least
squares. All wires of one box that pass a layer are one trunk there. Laws: every wire goes down; boxes of a layer keep
their distance; a wire passes a layer on a vertical stroke of its own, so it crosses no box and no label; no randomness.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

TRUNK: Final = 10.0  # the width kept for a wire that passes a layer
APART: Final = 22.0  # between boxes
SWEEPS, ROUNDS = 10, 24  # to reduce crossings; to balance coordinates
STRAIGHT: Final = 4.0  # how much more a trunk wants to be straight than a wire between boxes
MIDDLE: Final = 0.03  # how much everything wants to the middle of the picture, so that long chains stay upright
WIDE: Final = 400.0  # how far a trunk at the edge may move
NEAR, FAR, SLOPE = 26.0, 84.0, 0.1  # the least and the largest distance of layers, and their part of the widest step


class Cell(NamedTuple):
    """A box to place: `ports` are where wires come in, from its left; `lead` is the height of the labels above it."""

    width: float
    height: float
    ports: tuple[float, ...] = ()
    lead: float = 0.0


class Link(NamedTuple):
    """A wire from the box `source` to the port `port` of the box `target`."""

    source: int
    target: int
    port: int


class Stroke(NamedTuple):
    """The vertical part of a wire inside a layer; a curve leads to the next one."""

    x: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The upper left corner of every box, the strokes of every wire, the size of the whole."""

    places: tuple[tuple[float, float], ...]
    routes: tuple[tuple[Stroke, ...], ...]
    width: float
    height: float


def layered(cells: Sequence[Cell], links: Sequence[Link]) -> Layout:
    """The places of the cells and the routes of the links between them.

    >>> cells = [Cell(40, 20), Cell(40, 20), Cell(60, 20, ports=(15.0, 45.0), lead=16)]
    >>> found = layered(cells, [Link(0, 2, 0), Link(1, 2, 1)])
    >>> [y for _, y in found.places]
    [0.0, 0.0, 62.0]
    """
    grid = Grid(cells, links)
    reduce_crossings(grid)
    balance(grid)
    straighten(grid)
    return drawn(grid)


# -------------------------------------------------------------------- layers and dummies


@dataclass(slots=True)
class Grid:
    """The graph with a dummy wherever a wire passes a layer: knots 0.. are the cells, then come the dummies."""

    cells: Sequence[Cell]
    links: Sequence[Link]
    layer: list[int] = field(init=False)
    rows: list[list[int]] = field(init=False)  # the knots of every layer from left to right
    above: list[list[tuple[int, float]]] = field(init=False)  # knots above, and where the wire comes in from the left
    below: list[list[tuple[int, float]]] = field(init=False)  # knots below, and where the wire goes in from their left
    trunks: dict[tuple[int, int], int] = field(default_factory=dict)  # (cell, layer) -> its dummy
    x: list[float] = field(init=False)  # of the left of every knot

    def __post_init__(self) -> None:
        self.layer = layers_of(len(self.cells), self.links)
        self.above, self.below = [[] for _ in self.cells], [[] for _ in self.cells]
        for link in self.links:
            knot = self.trunk(link.source, self.layer[link.target] - 1)
            self.join(knot, link.target, self.cells[link.target].ports[link.port])
        self.rows = [[] for _ in range(max(self.layer, default=-1) + 1)]
        for knot in reading_order(self):
            self.rows[self.layer[knot]].append(knot)
        self.x = [0.0] * len(self.layer)

    def trunk(self, source: int, layer: int) -> int:
        """The knot of the wires of a cell in a layer, made with all above it."""
        before = source
        for n in range(self.layer[source] + 1, layer + 1):
            knot = self.trunks.get((source, n))
            if knot is None:
                knot = self.trunks[source, n] = len(self.layer)
                self.layer.append(n)
                self.above.append([])
                self.below.append([])
                self.join(before, knot, TRUNK / 2)
            before = knot
        return before

    def join(self, upper: int, lower: int, port: float) -> None:
        self.above[lower].append((upper, port))
        self.below[upper].append((lower, port))

    def width(self, knot: int) -> float:
        return self.cells[knot].width if knot < len(self.cells) else TRUNK

    def share(self, knot: int, port: float) -> float:
        """How far to the right of a knot a wire comes in, below 1."""
        return min(0.999, port / self.width(knot))

    def is_trunk(self, knot: int) -> bool:
        return knot >= len(self.cells)


def layers_of(count: int, links: Sequence[Link]) -> list[int]:
    """The longest path from above to every cell; what needs sources alone stands just above the first that reads it."""
    targets, sources = ([set[int]() for _ in range(count)] for _ in range(2))
    for link in links:
        targets[link.source].add(link.target)
        sources[link.target].add(link.source)
    order = downwards(targets, sources)
    layer, free = [0] * count, [True] * count
    for n in order:
        layer[n] = max((layer[k] + 1 for k in sources[n]), default=0)
        free[n] = all(not sources[k] or (free[k] and len(targets[k]) == 1) for k in sources[n])
    for n in reversed(order):
        if free[n] and targets[n]:
            layer[n] = min(layer[k] for k in targets[n]) - 1
    return layer


def downwards(targets: Sequence[set[int]], sources: Sequence[set[int]]) -> list[int]:
    """Every cell after what it reads."""
    waits = [len(own) for own in sources]
    order = [n for n, count in enumerate(waits) if not count]
    for n in order:
        for k in sorted(targets[n]):
            waits[k] -= 1
            if not waits[k]:
                order.append(k)
    return order


def reading_order(grid: Grid) -> list[int]:
    """Every knot once: from the last results upwards, operands from left to right."""
    found: dict[int, None] = {}
    starts = [n for n in range(len(grid.layer)) if not grid.below[n]]
    stack = starts[::-1]
    while stack:
        knot = stack.pop()
        if knot not in found:
            found[knot] = None
            stack += [upper for upper, _ in sorted(grid.above[knot], key=lambda wire: wire[1])][::-1]
    return list(found)


# -------------------------------------------------------------------- crossings


def reduce_crossings(grid: Grid) -> None:
    """Orders of the layers by barycentres, downwards and upwards in turn; the best that was met, with exchanges."""
    best, fewest = [list(row) for row in grid.rows], crossings(grid)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        for n in range(1, len(grid.rows)) if down else range(len(grid.rows) - 2, -1, -1):
            sort_row(grid, n, down)
        count = crossings(grid)
        if count < fewest:
            best, fewest = [list(row) for row in grid.rows], count
    grid.rows = best
    for _ in range(SWEEPS):
        changed = [exchange(grid, n) for n in range(len(grid.rows))]
        if not any(changed):
            break


def exchange(grid: Grid, n: int) -> bool:
    """Neighbours of a layer change places where that takes crossings away; whether some did."""
    row, before = grid.rows[n], list(grid.rows[n])
    upper = {knot: k for k, knot in enumerate(grid.rows[n - 1])} if n else {}
    lower = {knot: k for k, knot in enumerate(grid.rows[n + 1])} if n + 1 < len(grid.rows) else {}
    ups = {knot: sorted(upper[other] for other, _ in grid.above[knot]) for knot in row}
    downs = {knot: sorted(lower[other] + grid.share(other, port) for other, port in grid.below[knot]) for knot in row}
    for k in range(len(row) - 1):
        a, b = row[k], row[k + 1]
        now = inversions([*ups[a], *ups[b]]) + inversions([*downs[a], *downs[b]])
        if inversions([*ups[b], *ups[a]]) + inversions([*downs[b], *downs[a]]) < now:
            row[k], row[k + 1] = b, a
    return row != before


def sort_row(grid: Grid, n: int, down: bool) -> None:
    """One layer by the mean place of its neighbours; knots without any keep their place."""
    row = grid.rows[n]
    beside = grid.rows[n - 1 if down else n + 1]
    own = {knot: (k + 0.5) / len(row) for k, knot in enumerate(row)}
    place = {knot: float(k) for k, knot in enumerate(beside)}

    def mean(knot: int) -> float:
        wires = grid.above[knot] if down else grid.below[knot]
        ends = [place[other] + (0.5 if down else grid.share(other, port)) for other, port in wires]
        return sum(ends) / len(ends) / len(beside) if ends else own[knot]

    row.sort(key=mean)


def crossings(grid: Grid) -> int:
    """How many pairs of wires cross between neighbouring layers."""
    total = 0
    for upper, lower in pairwise(grid.rows):
        place = {knot: n for n, knot in enumerate(lower)}
        ends = [sorted(place[other] + grid.share(other, port) for other, port in grid.below[knot]) for knot in upper]
        total += inversions([end for own in ends for end in own])
    return total


def inversions(values: Iterable[float]) -> int:
    """Pairs that stand in the wrong order."""
    seen: list[float] = []
    total = 0
    for value in values:
        total += len(seen) - bisect_right(seen, value)
        insort(seen, value)
    return total


# -------------------------------------------------------------------- coordinates


def balance(grid: Grid) -> None:
    """Wires as straight as the boxes allow: each layer in turn moves to where its neighbours want it."""
    for row in grid.rows:
        settle(grid, row, [-sum(map(grid.width, row)) / 2] * len(row), [1.0] * len(row))
    for turn in range(ROUNDS):
        for row in grid.rows if turn % 2 == 0 else grid.rows[::-1]:
            wishes = [wish(grid, knot) for knot in row]
            settle(grid, row, [x for x, _ in wishes], [weight for _, weight in wishes])


def straighten(grid: Grid) -> None:
    """Each trunk on as few vertical lines as the room between its neighbours allows."""
    rooms = {knot: room for row in grid.rows for knot, room in rooms_of(grid, row)}
    trunks: dict[int, list[int]] = {}
    for (source, _), knot in grid.trunks.items():
        trunks.setdefault(source, []).append(knot)
    for trunk in trunks.values():
        for piece in pieces(sorted(trunk, key=lambda knot: grid.layer[knot]), rooms):
            low, high = shared(rooms[knot] for knot in piece)
            middle = sum(grid.x[knot] for knot in piece) / len(piece)
            for knot in piece:
                grid.x[knot] = min(max(middle, low), high)


def rooms_of(grid: Grid, row: Sequence[int]) -> Iterator[tuple[int, tuple[float, float]]]:
    """How far left and right each trunk of a layer may go: to a box, half the way to another trunk."""
    for n, knot in enumerate(row):
        if grid.is_trunk(knot):
            low = limit(grid, row[n - 1], knot, knot) if n else grid.x[knot] - WIDE
            high = limit(grid, knot, row[n + 1], knot) if n + 1 < len(row) else grid.x[knot] + WIDE
            yield knot, (min(low, grid.x[knot]), max(high, grid.x[knot]))


def limit(grid: Grid, left: int, right: int, moved: int) -> float:
    """The place of `moved`, one of two neighbours, where it has used up the room between them."""
    room = grid.x[right] - grid.x[left] - grid.width(left) - distance(grid, left, right)
    step = room / 2 if grid.is_trunk(left) and grid.is_trunk(right) else room
    return grid.x[moved] + (-step if moved == right else step)


def pieces(trunk: Sequence[int], rooms: Mapping[int, tuple[float, float]]) -> Iterator[list[int]]:
    """The longest pieces of a trunk that have some room in common."""
    piece: list[int] = []
    for knot in trunk:
        low, high = shared(rooms[k] for k in [*piece, knot])
        if low > high:
            yield piece
            piece = []
        piece.append(knot)
    yield piece


def shared(rooms: Iterable[tuple[float, float]]) -> tuple[float, float]:
    lows, highs = zip(*rooms, strict=True)
    return max(lows), min(highs)


def wish(grid: Grid, knot: int) -> tuple[float, float]:
    """Where a knot's left would be best for its wires, and how strongly; a little for the middle."""
    own = grid.width(knot) / 2
    total, weights = -own * MIDDLE, MIDDLE
    ends = [(other, grid.x[other] + grid.width(other) / 2 - port) for other, port in grid.above[knot]]
    ends += [(other, grid.x[other] + port - own) for other, port in grid.below[knot]]
    for other, x in ends:
        weight = STRAIGHT if grid.is_trunk(knot) and grid.is_trunk(other) else 1.0
        total, weights = total + weight * x, weights + weight
    return total / weights, weights


def settle(grid: Grid, row: Sequence[int], wishes: Sequence[float], weights: Sequence[float]) -> None:
    """The places nearest to the wishes, in weighted squares, that keep order and distance: isotonic regression."""
    offsets, at = [], 0.0
    for n, knot in enumerate(row):
        offsets.append(at)
        at += grid.width(knot) + distance(grid, knot, row[n + 1]) if n + 1 < len(row) else 0.0
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for want, offset, weight in zip(wishes, offsets, weights, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] >= mean:
            other, heavy, more = pools.pop()
            mean, weight, count = (mean * weight + other * heavy) / (weight + heavy), weight + heavy, count + more
        pools.append((mean, weight, count))
    places = (mean for mean, _, count in pools for _ in range(count))
    for knot, offset, place in zip(row, offsets, places, strict=True):
        grid.x[knot] = place + offset


def distance(grid: Grid, left: int, right: int) -> float:
    return APART / 2 if grid.is_trunk(left) and grid.is_trunk(right) else APART


# -------------------------------------------------------------------- the drawing


def drawn(grid: Grid) -> Layout:
    """Coordinates from the left and the top, and the strokes of every wire."""
    left = min((grid.x[knot] for row in grid.rows for knot in row), default=0.0)
    grid.x = [x - left for x in grid.x]
    tops, bottoms = bands(grid)
    leads = [max((grid.cells[k].lead for k in row if not grid.is_trunk(k)), default=0.0) for row in grid.rows]
    places = tuple((grid.x[n], tops[grid.layer[n]] + leads[grid.layer[n]]) for n in range(len(grid.cells)))
    routes = tuple(tuple(strokes(grid, link, tops, bottoms, places)) for link in grid.links)
    width = max((grid.x[knot] + grid.width(knot) for row in grid.rows for knot in row), default=0.0)
    return Layout(places, routes, width, bottoms[-1] if bottoms else 0.0)


def bands(grid: Grid) -> tuple[list[float], list[float]]:
    """Top and bottom of every layer; where wires step far sideways the layers stand apart."""
    tops, bottoms, at = [], [], 0.0
    for n, row in enumerate(grid.rows):
        tops.append(at)
        boxes = [grid.cells[knot] for knot in row if not grid.is_trunk(knot)]
        lead = max((box.lead for box in boxes), default=0.0)
        at += lead + max((box.height for box in boxes), default=0.0)
        bottoms.append(at)
        at += max(NEAR, min(FAR, SLOPE * widest_step(grid, n)))
    return tops, bottoms


def widest_step(grid: Grid, n: int) -> float:
    """The largest distance that a wire goes sideways below a layer."""
    steps = [
        abs(grid.x[knot] + grid.width(knot) / 2 - grid.x[other] - port)
        for knot in grid.rows[n]
        for other, port in grid.below[knot]
    ]
    return max(steps, default=0.0)


def strokes(
    grid: Grid, link: Link, tops: Sequence[float], bottoms: Sequence[float], places: Sequence[tuple[float, float]]
) -> Iterable[Stroke]:
    """From the bottom of the source through its trunks to the top of the target."""
    cell, (x, y) = grid.cells[link.source], places[link.source]
    layer = grid.layer[link.source]
    yield Stroke(x + cell.width / 2, y + cell.height, bottoms[layer])
    last = grid.layer[link.target]
    for n in range(layer + 1, last):
        yield Stroke(grid.x[grid.trunks[link.source, n]] + TRUNK / 2, tops[n], bottoms[n])
    x, y = places[link.target]
    yield Stroke(x + grid.cells[link.target].ports[link.port], tops[last], y)
