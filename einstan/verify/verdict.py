"""verdict: what `check` says of one `=`, and how it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from textwrap import indent
from typing import Any

from ..errors import Span, caret

WORDS = {True: "holds", False: "fails", None: "undecided"}


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Where both sides differ: sizes by axis, the entry by index (counted from 0), both values."""

    sizes: Mapping[str, int]
    entry: Mapping[str, int]
    left: float
    right: float

    def __str__(self) -> str:
        at = ", ".join(f"{name} = {n}" for name, n in self.entry.items())
        sizes = ", ".join(f"{name} = {n}" for name, n in self.sizes.items())
        where = f" at {at}" if at else ""
        return f"left {self.left:.6g}, right {self.right:.6g}{where}{f' (sizes {sizes})' if sizes else ''}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One link `left = right` of a claim.

    `holds` is True, False, or None: undecided. `method` says how that was found: "normal form" (exact), "exact, modulo
    a prime" (wrong with a probability below `error_bound`), "sampling" (float64 at `trials` points; both sides differ
    by rounding, below `error_bound` of their largest term), "indices" (a form with an index error). `suggestion` is
    the corrected link in its own letters, itself checked; `reason` says what is wrong; `spans` are places in `source`.
    """

    claim: str
    holds: bool | None
    method: str
    counterexample: Counterexample | None = None
    suggestion: str | None = None
    reason: str = ""
    trials: int = 0
    error_bound: float | None = None
    source: str = ""
    spans: tuple[Span, ...] = ()

    def __str__(self) -> str:
        more = [] if self.holds else [self.reason, caret(self.source, self.spans)]
        more += [f"counterexample: {self.counterexample}"] if self.counterexample else []
        more += [f"instead: {self.suggestion}"] if self.suggestion else []
        shown = [indent(part, "    ") for part in more if part]
        return "\n".join([f"{WORDS[self.holds]:9}  {self.claim}  ({self.how})", *shown])

    def json(self) -> dict[str, Any]:
        """The same as plain data, without the text."""
        return {name: value for name, value in asdict(self).items() if name not in ("source", "spans")}

    @property
    def how(self) -> str:
        """The method, with the number of trials and the bound of the error."""
        if not self.trials:
            return self.method
        below = "" if self.error_bound is None else f", error below {self.error_bound:.1g}"
        return f"{self.method}, {self.trials} point{'s' * (self.trials > 1)}{below}"
