"""memory: how much a plan may take: as a limit says (bytes, or a text with a unit), else a share of what is free."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from operator import index
from typing import Any, Final

import numpy as np

from .errors import EinstanError
from .plan import Plan
from .show.amounts import amount

LIMIT: Final = re.compile(r"(\d{1,18}(?:\.\d{0,18})?)\s*([kmgtKMGT]?)(i?)[bB]?")
POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
SHARE: Final = 0.8  # of what is available, where no limit is given


def read_bytes(given: Any) -> int | None:
    """The bytes of `1000000`, `"1GB"`, `"1.5 GiB"`, `"500k"`; None for none. Raises EinstanError for anything else.

    >>> read_bytes("1.5 GB"), read_bytes("2 KiB"), read_bytes(4096)
    (1500000000, 2048, 4096)
    """
    if given is None:
        return None
    if isinstance(given, str):
        found = LIMIT.fullmatch(given.strip())
        if found is not None:
            number, power, binary = found.groups()
            return int(float(number) * (1024 if binary else 1000) ** POWERS[power.lower()])
    elif not isinstance(given, bool):
        try:
            if (number := int(given) if isinstance(given, float) else index(given)) >= 0 and number == given:
                return number
        except (TypeError, ValueError, OverflowError):
            pass
    raise EinstanError(
        f"{repr(given)[:60]} is no limit of memory.", 'Write a number of bytes, or a text such as "1GB" or "500 MiB".'
    )


def most_bytes(limit: int | None) -> int | None:
    """The limit, or what may be taken where there is none."""
    return usable() if limit is None else limit


def check_memory(found: Plan, limit: int | None = None) -> None:
    """Refuse a plan whose peak is over the limit, before anything is allocated."""
    most = most_bytes(limit)
    if most is not None and found.peak_bytes > most:
        step = f" Its largest array is {found.largest.formula}." if found.largest is not None else ""
        least = f"{amount(found.peak_bytes, 'B')} at its peak, in stretches too"
        raise EinstanError(
            f"This needs {least}, and the limit is {amount(most, 'B')}.{step}",
            "Make it smaller, or raise memory_limit.",
        )


def entries(limit: int | None, dtypes: Iterable[np.dtype[Any]]) -> int | None:
    """How many entries of the widest of the dtypes fit."""
    return None if limit is None else limit // max([d.itemsize for d in dtypes], default=8)


def usable() -> int | None:
    """Bytes that may be taken where no limit is given, where the system tells."""
    free = available()
    return None if free is None else int(free * SHARE)


def available() -> int | None:
    """Bytes that may be had without swapping, where the system tells."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        found = []
    return found[0] * 1024 if found else physical()


def physical() -> int | None:
    """Bytes of the machine, where the system tells."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
