"""report: what was measured, as text tables and as plain rows for JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

PACKAGES = ("einstan", "numpy", "opt_einsum", "jax", "torch", "autograd")


@dataclass(frozen=True)
class Table:
    """One table: `rows` share their keys; `columns` says key, heading and format of those that are shown."""

    title: str
    rows: list[dict[str, Any]]
    columns: tuple[tuple[str, str, str], ...]


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


def versions(threads: int) -> dict[str, str]:
    machine = {"python": platform.python_version(), "cores": str(os.cpu_count()), "threads": str(threads)}
    return machine | {"blas": blas()} | {name: installed(name) for name in PACKAGES}


def heading(found: dict[str, str]) -> str:
    return "  ".join(f"{name} {what}" for name, what in found.items())


def text(table: Table) -> str:
    """The table with a rule under its head, first column to the left, the others to the right."""
    head = [title for _, title, _ in table.columns]
    body = [[cell(row.get(key), form) for key, _, form in table.columns] for row in table.rows]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join(["", table.title, *(aligned(line, widths) for line in [head, rule, *body])])


def cell(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)


def aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
    return "  ".join([first, *others]).rstrip()
