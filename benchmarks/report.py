"""report: what was measured, where and how: text tables, and one JSON document of a run."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import einstan as es
from einstan.memory import physical

from .settings import Settings

PACKAGES = ("numpy", "opt_einsum", "jax", "torch", "autograd", "cotengra", "cotengrust")
Row = dict[str, Any]
Columns = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Table:
    """`rows` share their keys; `columns` says key, heading and format of those that are shown; `notes` stand below."""

    title: str
    rows: list[Row]
    columns: Columns
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """Bars of a suite's rows: `label` and `series` are the keys that name a bar, `value` that of its length."""

    title: str
    label: str
    series: str
    value: str
    unit: str
    log: bool = False


# ---------------------------------------------------------------- the machine, the versions


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


def blas() -> str:
    """The matrix library numpy was built with."""
    found: Any = np.show_config(mode="dicts")
    library = found["Build Dependencies"]["blas"]
    return f"{library['name']} {library['version']}"


def processor() -> str:
    """The model as Linux names it, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def machine() -> dict[str, str]:
    memory = physical()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "memory": "unknown" if memory is None else f"{memory / 2**30:.0f} GiB",
        "system": platform.platform(),
        "load before": load,
    }


def versions() -> dict[str, str]:
    ours = {"python": platform.python_version(), "einstan": es.__version__, "BLAS of numpy": blas()}
    return ours | {name: installed(name) for name in PACKAGES}


def document(suite: str, settings: Settings) -> dict[str, Any]:
    """All about a run but its tables."""
    return {
        "suite": suite,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "versions": versions(),
        "threads": settings.threads,
        "dtype": settings.dtype,
        "measured": str(settings.rounds),
    }


def plain(tables: Iterable[Table]) -> list[dict[str, Any]]:
    return [asdict(table) for table in tables]


# ---------------------------------------------------------------- text


def heading(found: dict[str, Any]) -> str:
    words = found["machine"] | {"threads": found["threads"]} | found["versions"]
    return "  ".join(f"{name} {what}" for name, what in words.items())


def text(table: Table) -> str:
    """The table with a rule under its head, first column to the left, the others to the right."""
    head, body = cells(table)
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join(["", table.title, *(aligned(line, widths) for line in [head, rule, *body]), *table.notes])


def markdown(table: Table) -> str:
    head, body = cells(table)
    rule = ["---", *["---:"] * (len(head) - 1)]
    lines = [f"| {' | '.join(line)} |" for line in [head, rule, *body]]
    return "\n".join([f"**{table.title}**", "", *lines, *(f"\n{note}" for note in table.notes)])


def cells(table: Table) -> tuple[list[str], list[list[str]]]:
    head = [title for _, title, _ in table.columns]
    return head, [[cell(row.get(key), form) for key, _, form in table.columns] for row in table.rows]


def cell(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)


def aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
    return "  ".join([first, *others]).rstrip()
