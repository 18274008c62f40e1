"""results: every suite, each in a process of its own, written as one page; nothing on the page is written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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
        "hessians",
        ("--dtype", "float64"),
        "Hessians in one call: *einstan* writes the dense array, *einstan-structured* gives its blocks and what they "
        "are blocks of, *jax* is jax.jit of jax.hessian, *torch* torch.func.hessian. All are equal to jax's to 1e-9 of "
        "the largest entry. *first* is the time to the first one: parse, derive, compile and call, or trace, compile "
        "and call. Who would need an array of more than 1 GiB is not asked.",
    ),
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


Run = dict[str, Any]  # the document of one suite


def wanted(suites: Sequence[str]) -> list[tuple[str, tuple[str, ...], str]]:
    """The rows of RUNS of these suites, all of them if there are none."""
    return [run for run in RUNS if run[0] in suites or not suites]


def documents(options: Sequence[str], suites: Sequence[str] = ()) -> Iterator[Run]:
    """Each run's JSON; `options` are handed on."""
    for suite, own, _ in wanted(suites):
        command = [sys.executable, "-m", __package__, suite, *own, *options, "--json"]
        print(*command[2:], file=sys.stderr)
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        yield json.loads(done.stdout)
    progress.clear()


def page(found: Sequence[Run]) -> str:
    """The page for the documents of RUNS, in their order."""
    first = found[0]
    parts = ["# Results", about(first), listing(first["machine"] | {"threads": first["threads"]} | first["versions"])]
    return joined("\n\n".join(parts), summaries(found), sections(found))


def renewed(old: str, found: Sequence[Run], suites: Sequence[str]) -> str:
    """A page on which some suites were measured again; their sections say when."""
    head, summary, *others = old.rstrip().split("\n\n## ")
    tables = dict(table.split("**\n\n") for table in summary.split("\n\n**")[1:]) | summaries(found)
    again = {name: f"{body}\n\nMeasured again on {found[0]['date']}." for name, body in sections(found, suites).items()}
    kept = dict(other.split("\n\n", 1) for other in others) | again
    order = [name_of(suite, own) for suite, own, _ in RUNS]
    return joined(head, tables, dict(sorted(kept.items(), key=lambda item: order.index(item[0]))))


def joined(head: str, tables: Mapping[str, str], sections: Mapping[str, str]) -> str:
    summary = [f"**{title}**\n\n{rows}" for title, rows in tables.items()]
    return "\n\n".join([head, "## Summary", *summary, *(f"## {n}\n\n{body}" for n, body in sections.items())]) + "\n"


def summaries(found: Sequence[Run]) -> dict[str, str]:
    """The tables of the summary by their titles."""
    tables = [SUMMARIES[run["suite"]](run) for run in found if run["suite"] in SUMMARIES]
    return {table.title: markdown(table).split("\n\n", 1)[1] for table in tables}


def sections(found: Sequence[Run], suites: Sequence[str] = ()) -> dict[str, str]:
    """What each run says, by its name."""
    return {
        name_of(suite, own): "\n\n".join([words, *(markdown(Table(**table)) for table in run["tables"])])
        for (suite, own, words), run in zip(wanted(suites), found, strict=True)
    }


def name_of(suite: str, own: Sequence[str]) -> str:
    """What a run is called: the suite and the dtype that it is measured in."""
    return f"{suite}, {dict(zip(own[::2], own[1::2], strict=True)).get('--dtype', 'float32')}"


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


HESSIAN_COLUMNS = (
    ("case", "case", "s"),
    ("ms", "einstan ms", ".3f"),
    ("to_jax", "jax / einstan", ".1f"),
    ("structured_ms", "structured ms", ".3f"),
    ("structured_to_jax", "jax / structured", ".1f"),
    ("first_s", "einstan's first s", ".3f"),
    ("first_to_jax", "jax's first / einstan's", ".1f"),
)


def hessians(run: dict[str, Any]) -> Table:
    """einstan's two lines of every case in one."""
    lines: dict[str, dict[str, Any]] = {}
    for row in (row for table in run["tables"] for row in table["rows"]):
        line = lines.setdefault(row["case"], {"case": row["case"]})
        if row["candidate"] == "einstan":
            line |= row
        elif row["candidate"] == "einstan-structured":
            line |= {"structured_ms": row["ms"], "structured_to_jax": row["to_jax"]}
    return Table(
        f"Hessians, {run['dtype']}: times, and how many times as fast as jax", [*lines.values()], HESSIAN_COLUMNS
    )


SUMMARIES: dict[str, Callable[[dict[str, Any]], Table]] = {"gradients": summary, "hessians": hessians}


def about(first: dict[str, Any]) -> str:
    return (
        f"Written by `python -m benchmarks results` on {first['date']}. Candidates of one case are measured side by "
        f"side in one process, with the same number of threads each: {first['measured']}. A time is the median of the "
        "rounds' medians, its spread the width of the rounds' medians as a part of it."
    )


def listing(facts: dict[str, Any]) -> str:
    return "\n".join(f"- {name}: {what}" for name, what in facts.items())


def write(options: Sequence[str], to: Path = PAGE, suites: Sequence[str] = ()) -> None:
    """The page, or with `suites` only what these say on it."""
    found = list(documents(options, suites))
    to.write_text(renewed(to.read_text(encoding="utf-8"), found, suites) if suites else page(found), encoding="utf-8")
