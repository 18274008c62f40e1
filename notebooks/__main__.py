"""`python -m notebooks [--check] [NAME ..]`: run the sources, write their notebooks; `--check` only compares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import pairs


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m notebooks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these: 1_notation, or 1")
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a notebook is out of step")
    options = parser.parse_args(argv)
    for name in options.names:
        if not chosen([name]):
            parser.error(f"there is no notebook {name}; there are {', '.join(s.stem for s in pairs.SOURCES)}")
    return options


def chosen(names: Sequence[str]) -> list[Path]:
    """The sources of these names, or numbers; all for none."""
    return [s for s in pairs.SOURCES if not names or s.stem in names or s.stem.partition("_")[0] in names]


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    different = 0
    for source in chosen(options.names):
        fresh, old = pairs.executed(source), pairs.kept(source)
        found = list(pairs.differences(fresh, old))
        different += len(found)
        print(f"{source.stem}: {len(fresh.cells)} cells, {len(found)} of them new or changed", flush=True)
        if options.check:
            print("".join(f"{difference}\n" for difference in found), end="")
        else:
            pairs.path(source).write_text(pairs.text(pairs.with_old_times(fresh, old)), encoding="utf-8")
    return int(options.check and different > 0)


sys.exit(main())
