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

ROUNDS = 5
REST = 0.02  # seconds in which the pools of the candidate before fall asleep
UNMEASURED = 2  # calls
RUN = 0.1  # seconds

Call = Callable[[], object]


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


def measure(candidates: Mapping[str, Call]) -> dict[str, Timing]:
    """Every candidate's timing, over all rounds."""
    rounds: dict[str, list[list[float]]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, call in candidates.items():
            rounds[name].append(one_run(call))
    return {name: summary(runs) for name, runs in rounds.items()}


def one_run(call: Call) -> list[float]:
    """Rest, two unmeasured calls, then the seconds of each call in a tenth of a second (at least one)."""
    time.sleep(REST)
    for _ in range(UNMEASURED):
        call()
    seconds: list[float] = []
    end = time.perf_counter() + RUN
    while not seconds or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def summary(runs: list[list[float]]) -> Timing:
    medians = [median(run) for run in runs]
    return Timing(median(medians), min(medians), max(medians), sum(map(len, runs)))
