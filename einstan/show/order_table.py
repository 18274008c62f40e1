"""order_table: a comparison of contraction orders as text for a terminal, as HTML, as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .amounts import amount, written
from .chart import drawn, stacked
from .svg import Picture

if TYPE_CHECKING:
    from ..orders.table import OrderRow, OrderTable

WIDEST: Final = 76  # characters of a formula, a title, a path
LEFT, RIGHT = 'style="text-align:left"', 'style="text-align:right"'
STEPS: Final = 60  # steps that are written down
NAMED: Final = 4  # methods that are named where several find the same


class Column(NamedTuple):
    """A number of every row: its heading, its name in JSON, its unit, where it is."""

    head: str
    name: str
    unit: str
    of: Callable[[OrderRow], float | None]


COLUMNS: Final = (
    Column("flops", "flops", "flop", lambda row: row.flops),
    Column("bytes", "bytes", "B", lambda row: row.bytes),
    Column("largest", "largest", "B", lambda row: row.largest),
    Column("peak", "peak_bytes", "B", lambda row: row.peak_bytes),
    Column("planning", "planning", "s", lambda row: row.planning),
    Column("predicted", "predicted", "s", lambda row: row.predicted),
    Column("measured", "measured", "s", lambda row: row.measured),
)


# -------------------------------------------------------------------- what is written


def cells(table: OrderTable, rows: Sequence[OrderRow]) -> list[list[tuple[str, bool]]]:
    """The amounts of every row, and whether they are the best of their column."""
    columns = []
    for column in COLUMNS:
        values = [column.of(row) for row in rows]
        told = [written(v, column.unit) for v in values]
        known = [(v, s) for v, s in zip(values, told, strict=True) if v is not None]
        least = min(known)[1] if len({s for _, s in known}) > 1 else None
        columns.append([(s, s == least) for s in told])
    return [list(row) for row in zip(*columns, strict=True)]


def plain(row: OrderRow) -> dict[str, Any]:
    """A row as numbers, texts and lists."""
    return {
        "name": row.name,
        **{column.name: column.of(row) for column in COLUMNS},
        "largest_step": row.largest_step,
        "remark": row.remark,
        "path": None if row.path is None else [list(step) for step in row.path],
        "steps": [{"formula": step.formula, "flops": step.flops, "bytes": step.bytes} for step in row.steps],
    }


def heading(table: OrderTable) -> list[str]:
    """What is compared, at what sizes, within what limit."""
    lines = [f"Contraction orders of {short(table.title)} ({table.dtype})"]
    if table.inputs:
        lines.append(
            "inputs  " + short("  ".join(f"{name}[{sized(axes)}]" for name, axes in table.inputs.items()), 200)
        )
    if table.assumed:
        lines.append(f"assumed {short(' '.join(table.assumed))} (sizes that nobody gave)")
    if table.memory_limit is not None:
        lines.append(f"memory  {amount(table.memory_limit, 'B')} at most")
    return lines


def sized(axes: Sequence[tuple[str, int]]) -> str:
    """`b=5,k=3`"""
    return ",".join(f"{letter}={n}" for letter, n in axes)


def rows_of(table: OrderTable) -> list[OrderRow]:
    """One row for all where there is no choice."""
    return list(table.rows) if table.choice else table.found[:1]


def name_of(table: OrderTable, row: OrderRow) -> str:
    return row.name if table.choice else "every order"


def notes(table: OrderTable) -> list[str]:
    """What the numbers do not say."""
    found = []
    if not table.choice:
        found.append("No product has three factors or more: every method gives the same order.")
    if table.separate is not None and table.joint is not None and table.gain is not None:
        together, apart = written(table.joint, "flop"), written(table.separate, "flop")
        found.append(
            f"All {len(table.alone)} outputs together take {together}; one by one, each in its best order, they take "
            f"{apart}: {table.gain:.2f} times as much."
        )
    return found


def largest_arrays(table: OrderTable) -> list[tuple[str, str, list[str]]]:
    """Each largest array: its bytes, the step that makes it, and the methods that make it."""
    found: dict[tuple[int, str], list[str]] = {}
    for row in rows_of(table):
        if row.largest is not None and row.largest_step:
            found.setdefault((row.largest, row.largest_step), []).append(name_of(table, row))
    return [(written(size, "B"), step, names) for (size, step), names in sorted(found.items())]


def paths(table: OrderTable) -> list[tuple[str, list[str]]]:
    """Each path of a plain contraction, and the methods that find it."""
    found: dict[str, list[str]] = {}
    for row in rows_of(table):
        if row.path is not None:
            found.setdefault(str([tuple(step) for step in row.path]), []).append(name_of(table, row))
    return list(found.items())


def steps_of(row: OrderRow) -> list[tuple[str, str]]:
    """The steps of one order: formula and flops; some of very many."""
    found = [(step.formula, written(step.flops, "flop") if step.flops else "") for step in row.steps[:STEPS]]
    left = len(row.steps) - len(found)
    return [*found, (f"... and {left} more", "")] if left else found


def short(text: str, longest: int = WIDEST) -> str:
    return text if len(text) <= longest else text[: longest - 4] + " ..."


# -------------------------------------------------------------------- text


def text(table: OrderTable) -> str:
    """The table for a terminal; the steps too where there is one order only."""
    rows = rows_of(table)
    body = [[f"{value}{'*' if best else ' '}" for value, best in own] for own in cells(table, rows)]
    heads = [f"{column.head} " for column in COLUMNS]
    widths = [max(map(len, column)) + 2 for column in zip(heads, *body, strict=True)]
    first = max([len(name_of(table, row)) for row in rows], default=0) + 1
    lines = [*heading(table), "", " " * first + "".join(h.rjust(w) for h, w in zip(heads, widths, strict=True))]
    for row, own in zip(rows, body, strict=True):
        numbers = "".join(value.rjust(w) for value, w in zip(own, widths, strict=True))
        line = name_of(table, row).ljust(first) + (numbers if row.flops is not None else "")
        lines.append(f"{line}  {row.remark}".rstrip())
    lines += section(
        "largest array", [f"{size:>9}  {short(step)}  {others(who, rows)}" for size, step, who in largest_arrays(table)]
    )
    lines += section("path", [f"{short(path)}  {others(who, rows)}" for path, who in paths(table)])
    if len(rows) == 1 and rows[0].steps:
        lines += steps_text(rows[0], name_of(table, rows[0]))
    return "\n".join([*lines, *([""] if notes(table) else []), *notes(table)])


def others(who: Sequence[str], rows: Sequence[OrderRow]) -> str:
    """Whose it is, where that is not clear."""
    if len(rows) == 1:
        return ""
    more = len(who) - NAMED
    return f"({', '.join(who[:NAMED])}{f' and {more} more' if more > 0 else ''})"


def section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {line}".rstrip() for line in lines)] if lines else []


def steps_text(row: OrderRow, title: str = "") -> list[str]:
    """The steps of one order, one a line."""
    found, title = steps_of(row), title or row.name
    width = min(WIDEST, max([len(formula) for formula, _ in found], default=0))
    return section(f"steps of {title}", [f"{formula:<{width}}  {flops:>12}" for formula, flops in found])


# -------------------------------------------------------------------- HTML


def html(table: OrderTable) -> str:
    """The same as a table of HTML; the best of a column is bold."""
    rows = rows_of(table)
    heads = "".join(f"<th>{escape(head)}</th>" for head in ("order", *(c.head for c in COLUMNS), ""))
    body = []
    for row, own in zip(rows, cells(table, rows), strict=True):
        numbers = "".join(f"<td {RIGHT}>{f'<b>{escape(v)}</b>' if best else escape(v)}</td>" for v, best in own)
        name = f"<th {LEFT}>{escape(name_of(table, row))}</th>"
        body.append(f"<tr>{name}{numbers}<td {LEFT}>{escape(row.remark)}</td></tr>")
    parts = [
        "<br/>".join(map(escape, heading(table))),
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>",
        html_list("largest array", [f"{s}: {short(f)} {others(who, rows)}" for s, f, who in largest_arrays(table)]),
        html_list("path", [f"{short(path)} {others(who, rows)}" for path, who in paths(table)]),
        html_list("steps", [f"{f}   {flops}" for f, flops in steps_of(rows[0])]) if len(rows) == 1 else "",
        "<br/>".join(map(escape, notes(table))),
    ]
    return "".join(f"<div>{part}</div>" for part in parts if part)


def html_list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li><code>{escape(line.rstrip())}</code></li>" for line in lines)
    return f"{escape(title)}<ul>{items}</ul>" if lines else ""


# -------------------------------------------------------------------- pictures


def svg(table: OrderTable) -> Picture:
    """Flops, and below the times that are known."""
    rows = {name_of(table, row): row for row in rows_of(table)}
    title = f"Contraction orders of {short(table.title, 60)}"
    flops = {name: {"flops": row.flops} for name, row in rows.items()}
    times = {
        name: {"predicted": row.predicted, "measured": row.measured}
        for name, row in rows.items()
        if row.predicted is not None
    }
    charts = [drawn(title, flops, "flop", wide([row.flops for row in rows.values()]), " ".join(notes(table)))]
    if times:
        known = [v for row in times.values() for v in row.values()]
        charts.append(drawn("Time of one call", times, "s", wide(known)))
    return stacked(title, charts)


def wide(values: Sequence[float | None]) -> bool:
    """Whether bars of these lengths need a logarithmic scale."""
    known = [v for v in values if v]
    return bool(known) and max(known) > 50 * min(known)
