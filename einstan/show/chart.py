"""chart: amounts as horizontal bars, several series a row, the amount written at every bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, floor, isfinite, log10
from typing import Final, NamedTuple

from .amounts import amount, as_float, written
from .svg import COLOURS, FAINT, GREY, Picture, document, group, line, rect, sans_width, shortened, text

MARGIN: Final = 24.0
BAR, GAP, LONGEST = 16.0, 12.0, 440.0  # a bar, between rows, the longest bar
SIZE: Final = 13
LABEL: Final = 40  # characters of a row's label
Rows = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Scale:
    """Where an amount ends: linear from zero, or by decades from `low`."""

    low: float
    high: float
    log: bool

    def length(self, value: float) -> float:
        if not self.log:
            return LONGEST * value / self.high
        return LONGEST * max(0.0, log10(value / self.low)) / log10(self.high / self.low) if value > 0 else 0.0

    @property
    def ticks(self) -> list[float]:
        if not self.log:
            step = round_step(self.high / 5)
            return [n * step for n in range(int(self.high / step + 1e-9) + 1)]
        first, last = round(log10(self.low)), round(log10(self.high))
        every = max(1, ceil((last - first) / 8))
        return [10.0**n for n in range(first, last + 1, every)]


def bars(title: str, rows: Rows, unit: str = "", log: bool = False, note: str = "") -> Picture:
    """A chart of `rows`: a label and its amounts by series, None where there is none.

    `unit` is written with a decimal prefix (`flop`, `B`, `s`; `×` and `%` without); `log` makes the axis logarithmic;
    `note` is a line below the chart. Amounts are not negative; what is not finite is written without a bar.

    >>> picture = bars("Flops", {"greedy": {"separate": 3e9, "joint": 2e9}, "dp": {"joint": 1.5e9}}, "flop")
    >>> picture.count("<rect") - 1 - 2      # the background, and the legend
    3
    """
    return stacked(title, [drawn(title, rows, unit, log, note)])


def stacked(title: str, charts: Sequence[Drawn]) -> Picture:
    """Charts one below the other."""
    tops = [0.0, *accumulate(chart.height for chart in charts)]
    shapes = [group(c.shapes, transform=f"translate(0 {top:.1f})") for c, top in zip(charts, tops, strict=False)]
    return document(max(chart.width for chart in charts), tops[-1], title, shapes)


class Drawn(NamedTuple):
    """A chart that is no picture yet."""

    width: float
    height: float
    shapes: list[str]


def drawn(title: str, rows: Rows, unit: str = "", log: bool = False, note: str = "") -> Drawn:
    """The bars of `rows` with a scale, a legend and the amounts."""
    rows = {row: {name: v if v is None else as_float(v) for name, v in own.items()} for row, own in rows.items()}
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    amounts = [value for row in rows.values() for value in row.values()]
    scale = scale_of([v for v in amounts if v is not None and isfinite(v)], log)
    labels = [shortened(row, LABEL) for row in rows]
    left = MARGIN + max([sans_width(x, SIZE) for x in labels], default=0.0) + 10
    legend = list(legend_shapes(series, MARGIN + 28)) if len(series) > 1 else []
    tops = row_tops(rows, MARGIN + (54 if legend else 30))
    parts = zip(tops, labels, rows.values(), strict=False)
    shapes = [s for top, label, row in parts for s in row_shapes(left, top, label, row, series, unit, scale)]
    grid = [s for tick in scale.ticks for s in tick_shapes(left, tops[0] - 4, tops[-1], tick, unit, scale)]
    below = [text(MARGIN, tops[-1] + 40, note, 12, fill=GREY)] if note else []
    head = text(MARGIN, MARGIN + 10, title, 16, font_weight="600")
    longest = max([sans_width(written(value, unit), 12) + 8 for value in amounts], default=0.0)
    heads = (sans_width(title, 16), sans_width(note, 12), legend_width(series))
    width = max(left + LONGEST + longest + MARGIN, max(heads) + 2 * MARGIN)
    return Drawn(width, tops[-1] + (56 if note else 30), [head, *legend, *grid, *shapes, *below])


def row_tops(rows: Rows, top: float) -> list[float]:
    """Where every row begins, and where the last one ends."""
    tops = [top]
    for row in rows.values():
        tops.append(tops[-1] + BAR * max(1, len(row)) + GAP)
    return tops


def row_shapes(
    left: float, top: float, label: str, row: Mapping[str, float | None], series: list[str], unit: str, scale: Scale
) -> Iterator[str]:
    """A label, and a bar for each of its amounts."""
    middle = top + BAR * max(1, len(row)) / 2
    yield text(left - 10, middle + SIZE * 0.36, label, SIZE, text_anchor="end")
    for n, (name, value) in enumerate(row.items()):
        yield from bar(left, top + BAR * n, value, unit, scale, COLOURS[series.index(name) % len(COLOURS)])


def scale_of(values: list[float], log: bool) -> Scale:
    positive = [v for v in values if v > 0]
    if not positive:
        return Scale(0.0, 1.0, False)
    if not log:
        return Scale(0.0, max(positive), False)
    low, high = floor(log10(min(positive)) - 0.05), ceil(log10(max(positive)) + 1e-9)
    return Scale(10.0**low, 10.0 ** max(high, low + 1), True)


def round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, not below `least`."""
    power = 10.0 ** floor(log10(least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))


def bar(left: float, top: float, value: float | None, unit: str, scale: Scale, colour: str) -> Iterator[str]:
    """One bar and its amount; a thin line where the amount is too small to be seen."""
    length = 0.0 if value is None or not isfinite(value) else scale.length(value)
    if value is not None and isfinite(value):
        yield rect(left, top + 1, max(length, 1.0), BAR - 2, fill=colour, rx=2)
    yield text(left + length + 6, top + BAR / 2 + 4.2, written(value, unit), 12, fill=GREY if value is None else None)


def tick_shapes(left: float, top: float, bottom: float, tick: float, unit: str, scale: Scale) -> Iterator[str]:
    x = left + scale.length(tick)
    yield line(x, top, x, bottom - GAP + 4, stroke=FAINT)
    yield text(x, bottom - GAP + 18, amount(tick, unit), 11, text_anchor="middle", fill=GREY)


def legend_shapes(series: list[str], y: float) -> Iterator[str]:
    x = MARGIN
    for n, name in enumerate(series):
        yield rect(x, y - 1, 12, 12, fill=COLOURS[n % len(COLOURS)], rx=2)
        yield text(x + 18, y + 10, name, 12)
        x += 18 + sans_width(name, 12) + 16


def legend_width(series: list[str]) -> float:
    return sum(34 + sans_width(name, 12) for name in series)
