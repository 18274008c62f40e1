"""host: what part of its cores a virtual machine did not get while something ran: times suffer from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

STEAL = 7  # of the columns of /proc/stat


def ticks() -> list[int]:
    """What all cores have done so far, as Linux counts it; nothing elsewhere."""
    try:
        first, *_ = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
    return [int(n) for n in first.split()[1:9]]


def told(before: list[int]) -> Iterator[str]:
    """A line on the time since `before`."""
    passed = [after - start for start, after in zip(before, ticks(), strict=True)]
    if sum(passed):
        yield f"The host of this machine took {passed[STEAL] / sum(passed):.0%} of its cores meanwhile."
