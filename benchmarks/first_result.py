"""first_result: seconds from text, or from a Python function, to the first value and gradients.

einstan's are to parse, derive, plan, emit and call; a framework's to trace, compile and call. Imports are not counted,
and what was compiled before is forgotten. `python -m benchmarks compile`.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from . import peers, progress
from .by_hand import Arrays
from .checking import TOLERANCE, right_slope
from .growth import BATCH, WIDTH, layers, lstm
from .models import Model, attention
from .report import Chart, Table
from .settings import Settings

ENOUGH = 3.0  # seconds

CASES: tuple[tuple[str, str, Callable[[], Model]], ...] = (
    ("dense-2", f"dense net, 2 layers of {WIDTH}, batch {BATCH}", lambda: layers(2)),
    ("dense-20", f"dense net, 20 layers of {WIDTH}, batch {BATCH}", lambda: layers(20)),
    ("lstm-30", f"LSTM, 30 steps written out, width {WIDTH}, batch {BATCH}", lambda: lstm(30)),
    ("attention", "attention, batch 8, 128 × 64, one head", lambda: attention(8, 128, 128, 64)),
)


# ---------------------------------------------------------------- candidates


def einstan(model: Model, a: Arrays) -> Any:
    import einstan as es

    return es.parse(model.text).value_and_grad("L", wrt=model.wrt).compile()(**a)


def by_peer(maker: Callable[..., peers.Call]) -> Callable[[Model, Arrays], Any]:
    return lambda model, a: maker(model.loss, model.wrt, a)()


def forget_nothing() -> None:
    """Nothing is kept from one first result to the next."""


def forget_jax() -> None:
    import jax

    jax.clear_caches()


def forget_inductor() -> None:
    import torch
    from torch._inductor import config

    torch.compiler.reset()
    config.force_disable_caches = True
    warnings.filterwarnings("ignore", "dynamo_pgo force disabled")


@dataclass(frozen=True)
class Candidate:
    """`first` gives the first result; `forget` drops what earlier ones left."""

    name: str
    package: str
    first: Callable[[Model, Arrays], Any]
    forget: Callable[[], None] = forget_nothing


CANDIDATES = (
    Candidate("einstan", "einstan", einstan),
    Candidate("jax", "jax", by_peer(peers.jax_jit), forget_jax),
    Candidate("torch", "torch", by_peer(peers.torch_eager)),
    Candidate("torch-compile", "torch", by_peer(peers.torch_compiled), forget_inductor),
)


# ---------------------------------------------------------------- measuring


def seconds(candidate: Candidate, model: Model, a: Arrays) -> tuple[float, Any]:
    """The time of one first result, and the result."""
    candidate.forget()
    gc.collect()
    start = time.perf_counter()
    result = candidate.first(model, a)
    return time.perf_counter() - start, result


def times(candidate: Candidate, model: Model, dtype: str, most: int) -> list[float]:
    """Of at most `most` trials, or as many as are made in ENOUGH seconds; the first result is checked."""
    a = model.arrays(dtype)
    first, result = seconds(candidate, model, a)
    right_slope(candidate.name, model, result, a, TOLERANCE[dtype])
    trials = [first]
    while len(trials) < most and sum(trials) < ENOUGH:
        trials.append(seconds(candidate, model, a)[0])
    return trials


COLUMNS = (
    ("candidate", "candidate", "s"),
    ("first_s", "first result s", ".3f"),
    ("low_s", "fastest s", ".3f"),
    ("trials", "trials", "d"),
    ("to_einstan", "/ einstan", ".2f"),
)
CHART = Chart("To the first value and gradients", "case", "candidate", "first_s", "s", log=True)


def rows(case: str, found: dict[str, list[float]]) -> Iterator[dict[str, Any]]:
    ours = median(found["einstan"]) if "einstan" in found else None
    for name, trials in found.items():
        first = median(trials)
        yield {
            "case": case,
            "candidate": name,
            "first_s": first,
            "low_s": min(trials),
            "trials": len(trials),
            "to_einstan": first / ours if ours else None,
        }


def names() -> tuple[list[str], list[str]]:
    """Of cases, and of candidates."""
    return [case for case, *_ in CASES], [c.name for c in CANDIDATES]


def tables(settings: Settings) -> Iterator[Table]:
    """A table for each case. A small net first: imports and first-time tables are not a case's cost."""
    present, notes = peers.taking_part(CANDIDATES, settings)
    peers.set_up(present, settings.threads, settings.dtype)
    for candidate in present:
        progress.show(0, f"{candidate.name} starts")
        times(candidate, layers(1), settings.dtype, 1)
    cases = [case for case in CASES if settings.wants(case[0])]
    for n, (case, title, make) in enumerate(cases):
        model, found = make(), {}
        for k, candidate in enumerate(present):
            progress.part(case, n, len(cases))(k / len(present), candidate.name)
            found[candidate.name] = times(candidate, model, settings.dtype, settings.rounds.rounds)
        progress.clear()
        yield Table(
            f"{title}: to the first value and gradients, {settings.dtype}", list(rows(case, found)), COLUMNS, notes
        )
