"""progress: how far a run is, in one line that is written over; on a terminal only, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable

WIDTH = 30


def show(done: float, what: str) -> None:
    """The bar at the part `done` of the whole, and what is being done."""
    if sys.stderr.isatty():
        full = int(WIDTH * done)
        sys.stderr.write(f"\r\x1b[K[{'#' * full}{'.' * (WIDTH - full)}] {done:4.0%} {what[:60]}")
        sys.stderr.flush()


def part(name: str, n: int, total: int) -> Callable[[float, str], None]:
    """The bar of the n-th of `total` parts: a function of what is done of it, and what is being done."""
    return lambda done, what: show((n + done) / total, f"{name}: {what}")


def clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
