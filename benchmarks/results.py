"""results: every suite, each in a process of its own, written as one page; nothing on the page is written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import progress
from .report import Table, markdown

PAGE = Path(__file__).parent / "RESULTS.md"

# suite, arguments, what its tables say
RUNS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "gradients",
        ("--dtype", "float32"),
        "Value and gradients in one call. *products* is the floor: the matrix products alone, by BLAS; *numpy* is "
        "written by hand with `out=`; *einstan* is a kernel called with arrays, *einstan-into* the same writing into "
        "arrays that are kept. Every candidate has first given the numbers of the hand-written version in float64.",
    ),
    ("gradients", ("--dtype", "float64"), "The same in float64."),
    (
        "memory",
        ("--dtype", "float32"),
        "The peak of a call beside its inputs: what its kernel predicts (workspace, constants, results, and what numpy "
        "takes for a while) and what tracemalloc sees; then the same with a limit, the outputs and a quarter of the "
        "rest, with flops and times as parts of those without it; `-` where it can't be kept. tracemalloc sees what "
        "numpy allocates; of jax and torch only the pages that the process got during a call are known.",
    ),
    ("memory", ("--dtype", "float64"), "The same in float64."),
    (
        "paths",
        (),
        "Orders of contraction by every method that is installed, and what they cost. An order is run by einstan's "
        "engine, in rounds of 20 ms; orders that are too expensive to run are only planned. Then one order by every "
        "engine. For models with all their gradients, *apart* are the flops of all outputs, each in its best order.",
    ),
    (
        "compile",
        (),
        "Seconds from text, or from a Python function, to the first value and gradients; imports are not counted. The "
        "frameworks' caches are emptied before. *torch* compiles nothing.",
    ),
    ("growth", (), "What it takes einstan to make a program as formulas grow."),
)


def documents(options: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each run's JSON; `options` are handed on."""
    for suite, own, _ in RUNS:
        command = [sys.executable, "-m", __package__, suite, *own, *options, "--json"]
        print(*command[2:], file=sys.stderr)
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        yield json.loads(done.stdout)
    progress.clear()


def page(found: Sequence[dict[str, Any]]) -> str:
    """The page for the documents of RUNS, in their order."""
    first = found[0]
    parts = ["# Results", about(first), listing(first["machine"] | {"threads": first["threads"]} | first["versions"])]
    parts += ["## Summary", *(markdown(summary(run)) for run in found if run["suite"] == "gradients")]
    for (suite, _, words), run in zip(RUNS, found, strict=True):
        parts += [f"## {suite}, {run['dtype']}", words]
        parts += [markdown(Table(**table)) for table in run["tables"]]
    return "\n\n".join(parts) + "\n"


SUMMARY_COLUMNS = (
    ("case", "case", "s"),
    ("ms", "einstan ms", ".3f"),
    ("spread", "spread", ".0%"),
    ("to_numpy", "/ numpy by hand", ".2f"),
    ("to_peer", "/ best of jax, torch, autograd", ".2f"),
    ("to_compiled", "/ torch.compile", ".2f"),
    ("to_floor", "/ its matrix products", ".2f"),
)


def summary(run: dict[str, Any]) -> Table:
    """einstan's line of every case."""
    rows = [row for table in run["tables"] for row in table["rows"] if row["candidate"] == "einstan"]
    return Table(f"Value and gradients, {run['dtype']}: time and ratios", rows, SUMMARY_COLUMNS)


def about(first: dict[str, Any]) -> str:
    return (
        f"Written by `python -m benchmarks results` on {first['date']}. Candidates of one case are measured side by "
        f"side in one process, with the same number of threads each: {first['measured']}. A time is the median of the "
        "rounds' medians, its spread the width of the rounds' medians as a part of it."
    )


def listing(facts: dict[str, Any]) -> str:
    return "\n".join(f"- {name}: {what}" for name, what in facts.items())


def write(options: Sequence[str], to: Path = PAGE) -> None:
    to.write_text(page(list(documents(options))), encoding="utf-8")
