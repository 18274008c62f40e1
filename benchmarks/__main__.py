"""`python -m benchmarks [gradients|hessians|memory|paths|compile|growth|results]`: einstan and its peers side by side.

`results` runs all of them and writes benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .rounds import FULL, QUICK
from .settings import Settings, meant, set_threads

# suite: module
SUITES = {
    "gradients": "gradients",
    "hessians": "hessians",
    "memory": "memory",
    "paths": "paths",
    "compile": "first_result",
    "growth": "growth",
}


DTYPES = {"hessians": "float64"}  # of suites that are measured in another one than float32 unless it is asked for


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suite", nargs="?", default="gradients", choices=(*SUITES, "results"))
    parser.add_argument("--case", type=words, default=(), help="only cases of these names, or first words of names")
    parser.add_argument("--with", dest="candidates", type=words, default=(), help="only these candidates, or methods")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every candidate (default: all cores)")
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), help="of the inputs (default: float64 for hessians, else float32)"
    )
    parser.add_argument("--quick", action="store_true", help="one call each: whether it works, not how fast it is")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    parser.add_argument("--plot", type=Path, metavar="OUT.svg", help="the times as bars too")
    parser.add_argument("--to", type=Path, metavar="OUT.md", help="results: the page (default: benchmarks/RESULTS.md)")
    parser.add_argument("--only", type=words, default=(), help="results: these suites again, the others as they stand")
    options = parser.parse_args(argv)
    if missing := [name for name in options.only if name not in SUITES]:
        parser.error(f"there is no suite {missing[0]!r}; there are {', '.join(SUITES)}")
    return options


def settings_of(options: argparse.Namespace) -> Settings:
    rounds = QUICK if options.quick else FULL
    dtype = options.dtype or DTYPES.get(options.suite, "float32")
    return Settings(options.case, options.candidates, options.threads, dtype, rounds)


def unknown(settings: Settings, cases: Sequence[str], candidates: Sequence[str]) -> str | None:
    """What is asked for and is not there, as a sentence."""
    for asked in settings.cases:
        if not any(meant(asked, case) for case in cases):
            return f"There is no case {asked!r}; there are {', '.join(cases)}."
    for asked in settings.candidates:
        if asked not in candidates:
            return f"There is no candidate {asked!r}; there are {', '.join(candidates) or 'none'}."
    return None


def run(options: argparse.Namespace) -> int:
    """One suite: its tables as they come, or all in one document."""
    settings = settings_of(options)
    set_threads(settings.threads)
    suite: Any = import_module(f".{SUITES[options.suite]}", __package__)  # after the threads are set
    from . import plots, report

    mistake = unknown(settings, *suite.names())
    if mistake is not None:
        print(mistake, file=sys.stderr)
        return 2

    found = report.document(options.suite, settings)
    if not options.json:
        print(report.heading(found))
    tables = []
    for table in suite.tables(settings):
        tables.append(table)
        if not options.json:  # one by one: a long run shows what it has
            print(report.text(table), flush=True)
    if options.json:
        json.dump(found | {"tables": report.plain(tables)}, sys.stdout, indent=2)
        print()
    if options.plot:
        plots.save(suite.CHART, [row for table in tables for row in table.rows], options.plot)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    if options.suite == "results":
        from . import results

        handed_on = ["--threads", str(options.threads), *["--quick"] * options.quick]
        results.write(handed_on, options.to or results.PAGE, options.only)
        return 0
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
