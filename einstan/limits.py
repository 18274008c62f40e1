"""limits: how much memory may be used, as a number of bytes or as a text with a unit."""

from __future__ import annotations

import re
from operator import index
from typing import Any, Final

from .errors import EinstanError

LIMIT: Final = re.compile(r"(\d{1,18}(?:\.\d{0,18})?)\s*([kmgtKMGT]?)(i?)[bB]?")
POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


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
