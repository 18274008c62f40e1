"""plots: the bars of a suite's rows as an SVG picture, by einstan's own drawing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .report import Chart, Row


def picture(chart: Chart, rows: Iterable[Row]) -> str:
    """One group of bars for each label, one bar for each of its series; rows without the value are left out."""
    from einstan.show.chart import bars

    found: dict[str, dict[str, float | None]] = {}
    for row in rows:
        if row.get(chart.value) is not None:
            found.setdefault(row[chart.label], {})[row.get(chart.series, chart.value)] = row[chart.value]
    return bars(chart.title, found, chart.unit, log=chart.log)


def save(chart: Chart, rows: Iterable[Row], to: Path) -> None:
    to.write_text(str(picture(chart, rows)), encoding="utf-8")
