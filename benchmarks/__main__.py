"""`python -m benchmarks [gradients|growth] [--case NAME,..] [--with NAME,..] [--threads N] [--json]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def names(text: str) -> list[str]:
    return text.split(",")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suite", nargs="?", default="gradients", choices=("gradients", "growth"))
    parser.add_argument("--case", type=names, help="only these cases")
    parser.add_argument("--with", dest="candidates", type=names, help="gradients: only these candidates")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every candidate (default: all cores)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    return parser.parse_args(argv)


def set_threads(count: int) -> None:
    """The same number of threads for every library: OpenBLAS, OpenMP and MKL read variables, XLA counts the cores."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(count)))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    set_threads(options.threads)
    from . import gradients, growth, report  # after the threads are set

    versions = report.versions(options.threads)
    if not options.json:
        print(report.heading(versions))
    if options.suite == "gradients":
        tables = gradients.tables(options.case, options.candidates, options.threads)
    else:
        tables = growth.tables(options.case)
    rows = []
    for table in tables:  # one by one: a long run shows what it has
        rows += table.rows
        if not options.json:
            print(report.text(table), flush=True)
    if options.json:
        json.dump({"suite": options.suite, "versions": versions, "rows": rows}, sys.stdout, indent=2)
        print()
    return 0


sys.exit(main())
