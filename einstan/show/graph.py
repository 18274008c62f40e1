"""graph: boxes of formulas joined by labelled wires, placed and drawn.

A box holds rows of text; a row may have holes, where the wires of its operands end, so that a box is read as the
formula of its operation. Every wire has its label at the end where it is read, above the box.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Final, NamedTuple

from .layered import Cell, Layout, Link, Stroke, layered, layers_of
from .svg import (
    COLOURS,
    GREY,
    MONO,
    PAPER,
    Picture,
    Run,
    circle,
    document,
    group,
    line,
    mono_width,
    path,
    rect,
    sans_width,
    text,
)

BLUE, _, GREEN, RED = COLOURS[:4]
WIRE: Final = "#6b7280"
SIZE, SMALL = 13.0, 11.5  # of the letters in boxes and on wires
LINE, PAD, MARGIN = 19.0, 9.0, 18.0  # height of a row, inside a box, around the picture
LEAD: Final = 17.0  # height of the labels above a box
DOT: Final = 2.6
SPAN: Final = 5  # layers that the wire of a named box passes at most

TONES: Final[dict[str, dict[str, object]]] = {
    "plain": {},
    "name": {"font_weight": "600"},
    "summed": {"fill": RED, "font_weight": "700"},
    "quiet": {"fill": "#4b5563"},
}
LOOKS: Final[dict[str, dict[str, object]]] = {  # the kinds of boxes
    "input": {"fill": "#e3f0f8", "stroke": BLUE},
    "again": {"fill": "#ffffff", "stroke": BLUE, "stroke_dasharray": "3 2"},
    "operation": {"fill": "#ffffff", "stroke": "#9ca3af"},
    "defined": {"fill": "#ffffff", "stroke": GREEN},
    "claimed": {"fill": "#ffffff", "stroke": "#b45309"},
}
BANDS: Final = {"defined": "#dff2eb", "claimed": "#fdf0d5"}  # behind the name of a box


class Text(NamedTuple):
    """A piece of a row in one of the TONES."""

    text: str
    tone: str = "plain"


class Hole(NamedTuple):
    """Where the next wire of the box ends."""


Row = tuple[Text | Hole, ...]


def row_text(row: Row) -> str:
    """A row as plain text."""
    return "".join(piece.text if isinstance(piece, Text) else "•" for piece in row)


@dataclass(frozen=True, slots=True)
class Box:
    """Rows of text, the name at the foot if it has one, and one of the LOOKS."""

    kind: str
    rows: tuple[Row, ...]
    name: Row = ()
    fill: str | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """From a box to another one, which it enters by its next hole; `weight` is its thickness."""

    source: int
    target: int
    label: Row = ()
    weight: float = 1.3


class Area(NamedTuple):
    """A rectangle of the drawing."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Sketch:
    """A placed graph: the area of every box, the strokes of every wire and the area of its label."""

    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    areas: tuple[Area, ...]
    routes: tuple[tuple[Stroke, ...], ...]
    labels: tuple[Area, ...]
    width: float
    height: float


def sketch(boxes: Sequence[Box], wires: Sequence[Wire]) -> Sketch:
    """The boxes and wires with their places; the wires of a box come in the order of its holes."""
    entering: list[list[int]] = [[] for _ in boxes]
    for n, wire in enumerate(wires):
        entering[wire.target].append(n)
    cells = [cell(box, [wires[n] for n in own]) for box, own in zip(boxes, entering, strict=True)]
    port = {n: k for own in entering for k, n in enumerate(own)}
    layout = layered(cells, [Link(wire.source, wire.target, port[n]) for n, wire in enumerate(wires)])
    return settled(boxes, wires, cells, layout)


def settled(boxes: Sequence[Box], wires: Sequence[Wire], cells: Sequence[Cell], layout: Layout) -> Sketch:
    areas = tuple(
        Area(x + MARGIN, y + MARGIN, c.width, c.height) for (x, y), c in zip(layout.places, cells, strict=True)
    )
    moved = (Stroke(s.x + MARGIN, s.top + MARGIN, s.bottom + MARGIN) for route in layout.routes for s in route)
    routes = tuple(tuple(next(moved) for _ in route) for route in layout.routes)
    labels = tuple(label_area(wire, route[-1]) for wire, route in zip(wires, routes, strict=True))
    return Sketch(
        tuple(boxes), tuple(wires), areas, routes, labels, layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    )


def label_area(wire: Wire, end: Stroke) -> Area:
    width = row_width(wire.label, SMALL)
    return Area(end.x - width / 2, end.bottom - LEAD + 1, width, LEAD - 3)


def again(boxes: Sequence[Box], wires: Sequence[Wire], names: Mapping[int, Row]) -> tuple[list[Box], list[Wire]]:
    """The graph with the name of a box written again where its wire would pass many layers."""
    layer = layers_of(len(boxes), [Link(wire.source, wire.target, 0) for wire in wires])
    copies: dict[tuple[int, int], int] = {}
    drawn = []
    for wire in wires:
        place = (wire.source, layer[wire.target])
        if wire.source in names and layer[wire.target] - layer[wire.source] > SPAN:
            copies.setdefault(place, len(boxes) + len(copies))
        drawn.append(replace(wire, source=copies.get(place, wire.source)))
    return [*boxes, *(Box("again", (names[source],)) for source, _ in copies)], drawn


# -------------------------------------------------------------------- sizes


def cell(box: Box, wires: Sequence[Wire]) -> Cell:
    """The size of a box, and where its wires come in."""
    inner = max([0.0, *(own_width(row, wires) for row in box.rows)])
    width = max(inner, row_width(box.name, SIZE), 0.0 if has_holes(box) else labels_width(wires)) + 2 * PAD
    rows = len(box.rows) + bool(box.name)
    ports = tuple(x for x, _ in holes(box, wires, width)) if has_holes(box) else spread(wires, width)
    return Cell(width, rows * LINE + 8, ports, LEAD if wires else 0.0)


def has_holes(box: Box) -> bool:
    return any(isinstance(piece, Hole) for row in box.rows for piece in row)


def own_width(row: Row, wires: Sequence[Wire]) -> float:
    return sum(width for _, width in pieces(row, wires))


def pieces(row: Row, wires: Sequence[Wire], size: float = SIZE) -> Iterator[tuple[Text | Hole, float]]:
    """The pieces of a row with their widths; a hole is as wide as the label above it."""
    rest = iter(wires)
    for piece in row:
        if isinstance(piece, Hole):
            yield piece, max(16.0, row_width(next(rest).label, SMALL) + 8)
        else:
            yield piece, mono_width(piece.text, size)


def holes(box: Box, wires: Sequence[Wire], width: float) -> Iterator[tuple[float, int]]:
    """The middle of every hole from the left of the box, and the row it is in."""
    for n, row in enumerate(box.rows):
        at = (width - own_width(row, wires)) / 2
        for piece, own in pieces(row, wires):
            if isinstance(piece, Hole):
                yield at + own / 2, n
            at += own


def spread(wires: Sequence[Wire], width: float) -> tuple[float, ...]:
    """The ports of a box without holes: evenly, each as wide as its label."""
    slack = (width - labels_width(wires)) / (len(wires) + 1) if wires else 0.0
    found, at = [], slack
    for wire in wires:
        own = label_width(wire)
        found.append(at + own / 2)
        at += own + slack
    return tuple(found)


def labels_width(wires: Sequence[Wire]) -> float:
    return sum(map(label_width, wires))


def label_width(wire: Wire) -> float:
    return row_width(wire.label, SMALL) + 8


def row_width(row: Row, size: float) -> float:
    return sum(mono_width(piece.text, size) for piece in row if isinstance(piece, Text))


# -------------------------------------------------------------------- drawing


def draw(placed: Sketch, title: str, head: Sequence[str] = (), note: str = "") -> Picture:
    """The picture: a title that is read aloud, lines of text above the graph, a note below it."""
    above = 10.0 + 19.0 * len(head) if head else 0.0
    wanted = [sans_width(s, SIZE + 2) for s in head] + [sans_width(note, SMALL)]
    width = max(placed.width, max(wanted) + 2 * MARGIN, 60.0)
    entering = wires_of(placed)
    shapes = [
        group(map(wire_shape, placed.wires, placed.routes), fill="none", stroke=WIRE),
        *chain.from_iterable(map(box_shapes, placed.boxes, placed.areas, entering)),
        *chain.from_iterable(map(label_shapes, placed.wires, placed.labels)),
    ]
    shift = f"translate({(width - placed.width) / 2:.1f} {above:.1f})"
    texts = [head_text(n, s) for n, s in enumerate(head)]
    texts += [text(MARGIN, above + placed.height + 6, note, SMALL, fill=GREY)] if note else []
    height = above + placed.height + (18.0 if note else 0.0)
    return document(width, height, title, [*texts, group(shapes, transform=shift, font_family=MONO)])


def head_text(n: int, s: str) -> str:
    own: dict[str, object] = {"fill": GREY} if n else {"font_weight": "600"}
    return text(MARGIN, MARGIN + 10 + 19 * n, s, SIZE if n else SIZE + 2, **own)


def wires_of(placed: Sketch) -> list[list[Wire]]:
    found: list[list[Wire]] = [[] for _ in placed.boxes]
    for wire in placed.wires:
        found[wire.target].append(wire)
    return found


def wire_shape(wire: Wire, route: Sequence[Stroke]) -> str:
    """Vertical strokes joined by curves."""
    steps: list[str | float] = ["M", route[0].x, route[0].top, "L", route[0].x, route[0].bottom]
    for before, after in pairwise(route):
        middle = (before.bottom + after.top) / 2
        steps += ["C", before.x, middle, after.x, middle, after.x, after.top, "L", after.x, after.bottom]
    return path(steps, stroke_width=wire.weight)


def box_shapes(box: Box, area: Area, wires: Sequence[Wire]) -> Iterator[str]:
    look = LOOKS[box.kind] | ({"fill": box.fill} if box.fill else {})
    yield rect(area.x, area.y, area.width, area.height, rx=5, **look)
    if box.name:
        top = area.y + area.height - LINE - 4
        yield rect(area.x + 1, top, area.width - 2, LINE + 3, rx=4, fill=BANDS[box.kind])
        yield row_shape(box.name, area.x + area.width / 2, top + LINE - 4)
    base = area.y + 4 + LINE - 5
    for wire, (x, n) in zip(wires, holes(box, wires, area.width), strict=False):
        yield from hole_shapes(wire, area.x + x, area.y, base + LINE * n - SIZE * 0.32)
    for n, row in enumerate(box.rows):
        yield row_shape(row, area.x + area.width / 2, base + LINE * n, SIZE, wires)


def hole_shapes(wire: Wire, x: float, top: float, y: float) -> Iterator[str]:
    """The end of a wire inside its box."""
    yield line(x, top, x, y, stroke=WIRE, stroke_width=wire.weight)
    yield circle(x, y, DOT + (wire.weight - 1) / 3, fill=WIRE)


def row_shape(row: Row, middle: float, base: float, size: float = SIZE, wires: Sequence[Wire] = ()) -> str:
    """The texts of a row, each at its place, whatever the width of the letters in the reader's font."""
    at = middle - sum(width for _, width in pieces(row, wires, size)) / 2
    runs: list[Run] = []
    for piece, width in pieces(row, wires, size):
        if isinstance(piece, Text) and piece.text.strip():
            lead = mono_width(piece.text, size) - mono_width(piece.text.lstrip(), size)
            runs.append((piece.text.strip(), {"x": at + lead, **TONES[piece.tone]}))
        at += width
    return text(middle, base, runs, size) if runs else ""


def label_shapes(wire: Wire, area: Area) -> Iterator[str]:
    if wire.label:
        yield rect(area.x - 1.5, area.y, area.width + 3, area.height, fill=PAPER)
        yield row_shape(wire.label, area.x + area.width / 2, area.y + area.height - 3.5, SMALL)
