"""amounts: numbers with the prefix that makes them short: `1.54 MB`, `12.3 ms`, `96 kflop`; sizes of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf, isfinite, log10
from typing import Final

PREFIXES: Final = {-4: "p", -3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P", 6: "E"}
PLAIN: Final = frozenset({"", "×", "%"})  # units that take no prefix


def amount(value: float, unit: str = "") -> str:
    """The value to three digits with a decimal prefix before its unit; without a unit as a plain number. An integer
    that is larger than any float is infinite.

    >>> amount(1536000, "B"), amount(0.0123, "s"), amount(0, "flop"), amount(1.26, "×"), amount(10**400, "B")
    ('1.54 MB', '12.3 ms', '0 flop', '1.26×', '∞ B')
    """
    told = as_float(value)
    if unit in PLAIN:
        return f"{short(told)}{unit}"
    power = thousands(told)
    return f"{short(told / 1000.0**power)} {PREFIXES[power]}{unit}"


def about(value: float, unit: str = "") -> str:
    """The amount to two digits: one that is only predicted.

    >>> about(0.012345, "s")
    '12 ms'
    """
    return amount(float(f"{as_float(value):.2g}"), unit)


def as_float(value: float) -> float:
    """The value; infinite where it is larger than any float."""
    try:
        return float(value)
    except OverflowError:
        return inf


def written(value: float | None, unit: str = "") -> str:
    """The amount, or a dash where there is none."""
    return "–" if value is None else amount(value, unit)


def extent(shape: Sequence[int]) -> str:
    """The sizes of an array: `128×64`."""
    return "×".join(map(str, shape)) if shape else "scalar"


def thousands(value: float) -> int:
    """The power of 1000 whose prefix leaves one to three digits before the point."""
    if not value or not isfinite(value):
        return 0
    rounded = abs(float(f"{value:.2e}"))  # 999.9 counts as 1000
    return max(min(PREFIXES), min(max(PREFIXES), floor(floor(log10(rounded) + 1e-9) / 3)))


def short(value: float) -> str:
    """Three digits: `0.00123`, `12.3`, `123`; whole numbers below a million as they are."""
    if value == inf:
        return "∞"
    if isfinite(value) and abs(value) < 1e6 and value == int(value):
        return str(int(value))
    return f"{value:.3g}"
