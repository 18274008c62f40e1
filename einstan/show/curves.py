"""curves: amounts that fall by decades, as lines over what was spent on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from math import ceil, floor, isfinite, log10
from typing import Final, NamedTuple

from .svg import COLOURS, FAINT, GREY, INK, Picture, circle, document, line, path, sans_width, text

WIDTH, HEIGHT = 560.0, 260.0  # of the field
LEFT, TOP, RIGHT, BOTTOM = 72.0, 44.0, 24.0, 52.0  # beside it
SIZE: Final = 13
DOTS: Final = 60  # a line of more points has none drawn
Points = Sequence[tuple[float, float]]


class Field(NamedTuple):
    """What the edges of the field stand for: from zero to `right`, from 10^`low` to 10^`high`."""

    right: float
    low: int
    high: int

    def place(self, x: float, y: float) -> tuple[float, float]:
        up = (log10(y) - self.low) / (self.high - self.low)
        return LEFT + WIDTH * x / self.right, TOP + HEIGHT * (1 - up)


def curves(title: str, series: Mapping[str, Iterable[tuple[float, float]]], along: str = "") -> Picture:
    """A line for each series of points (x, y), y on a scale of decades; `along` says what x is.

    Points that have no place (y not positive, or not finite) are left out.

    >>> picture = curves("Gradients", {"Newton": [(0, 1.0), (1, 1e-2), (2, 1e-9)]}, "iterations")
    >>> picture.count("<circle"), "iterations" in picture       # one of them in the legend
    (4, True)
    """
    drawn = {
        name: [(x, y) for x, y in points if isfinite(x) and 0 < y < float("inf")] for name, points in series.items()
    }
    points = [p for own in drawn.values() for p in own] or [(0.0, 1.0)]
    logs = [log10(y) for _, y in points]
    field = Field(max(x for x, _ in points) or 1.0, floor(min(logs)), max(ceil(max(logs)), floor(min(logs)) + 1))
    colours = dict(zip(drawn, cycle(COLOURS), strict=False))
    shapes = [
        text(LEFT, 24, title, SIZE + 1, font_weight=600, fill=INK),
        *scale(field, along),
        *(shape for name, own in drawn.items() for shape in curve(field, own, colours[name])),
        *legend(colours),
    ]
    return document(LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM, title, shapes)


def curve(field: Field, points: Points, colour: str) -> Iterator[str]:
    places = [field.place(x, y) for x, y in points]
    steps = [step for n, place in enumerate(places) for step in ("L" if n else "M", *place)]
    yield path(steps, fill="none", stroke=colour, stroke_width=2)
    if len(places) <= DOTS:
        yield from (circle(x, y, 3, fill=colour) for x, y in places)


def scale(field: Field, along: str) -> Iterator[str]:
    """A line for every decade, or every few; the axis below."""
    for n in range(field.low, field.high + 1, max(1, ceil((field.high - field.low) / 9))):
        _, y = field.place(0.0, 10.0**n)
        yield line(LEFT, y, LEFT + WIDTH, y, stroke=FAINT)
        yield text(LEFT - 8, y + 4, f"1e{n}" if n else "1", SIZE - 1, text_anchor="end", fill=GREY)
    for part in (0, 0.25, 0.5, 0.75, 1):
        x, y = LEFT + WIDTH * part, TOP + HEIGHT
        yield text(x, y + 18, f"{field.right * part:.4g}", SIZE - 1, text_anchor="middle", fill=GREY)
    yield text(LEFT + WIDTH / 2, TOP + HEIGHT + 40, along, SIZE, text_anchor="middle", fill=GREY)


def legend(colours: Mapping[str, str]) -> Iterator[str]:
    x = LEFT + WIDTH
    for name, colour in reversed(list(colours.items())):
        x -= sans_width(name, SIZE) + 28
        yield circle(x, 20, 5, fill=colour)
        yield text(x + 10, 24, name, SIZE, fill=INK)
