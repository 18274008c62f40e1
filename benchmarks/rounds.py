"""rounds: how long calls take, measured so that libraries do not disturb each other.

Single calls of different libraries are never alternated: their thread pools spin against each other and slow the next
one several times over. Instead, in each round every candidate in turn rests, makes two unmeasured calls, then runs
alone for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Call = Callable[[], object]
Tell = Callable[[float, str], None]  # (part that is done, what is being done)


@dataclass(frozen=True)
class Rounds:
    """How long is measured; `rest` lets the thread pools of the candidate before fall asleep: those of OpenBLAS wait
    awake for a tenth of a second."""

    rounds: int = 5
    rest: float = 0.15  # seconds
    unmeasured: int = 2  # calls
    run: float = 0.1  # seconds

    def __str__(self) -> str:
        return (
            f"rounds: {self.rounds}, in each of which every candidate in turn rests {self.rest * 1e3:.0f} ms, makes "
            f"{self.unmeasured} unmeasured calls, then runs alone for {self.run:g} s"
        )


FULL = Rounds()
QUICK = Rounds(rounds=1, rest=0.0, unmeasured=0, run=0.0)  # one call each: do the numbers come out at all?


@dataclass(frozen=True)
class Timing:
    """Seconds a call: the median of the rounds' medians, and the smallest and largest of them."""

    seconds: float
    low: float
    high: float
    calls: int

    @property
    def spread(self) -> float:
        """Width of the rounds' medians, as a part of their median."""
        return (self.high - self.low) / self.seconds

    @property
    def row(self) -> dict[str, float]:
        """As a table has it; `ms` are milliseconds."""
        ms = {"ms": self.seconds * 1e3, "low_ms": self.low * 1e3, "high_ms": self.high * 1e3}
        return {**ms, "spread": self.spread, "calls": self.calls}


def measure(candidates: Mapping[str, Call], how: Rounds, tell: Tell) -> dict[str, Timing]:
    """Every candidate's timing, over all rounds."""
    runs: dict[str, list[list[float]]] = {name: [] for name in candidates}
    for n in range(how.rounds):
        for name, call in candidates.items():
            tell(n / how.rounds, name)
            runs[name].append(one_run(call, how))
    return {name: summary(found) for name, found in runs.items()}


def one_run(call: Call, how: Rounds) -> list[float]:
    """The seconds of each call of one candidate in one round (at least one call)."""
    time.sleep(how.rest)
    for _ in range(how.unmeasured):
        call()
    seconds: list[float] = []
    end = time.perf_counter() + how.run
    while not seconds or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def summary(runs: list[list[float]]) -> Timing:
    medians = [median(run) for run in runs]
    return Timing(median(medians), min(medians), max(medians), sum(map(len, runs)))
