"""pairs: a source in jupytext's percent format -> the notebook that it makes, with outputs; what two of them differ in.

Laws: a notebook is its source, cell by cell, and what a fresh kernel shows for it; it holds no times, no paths, nothing
that a second run would make otherwise, but for the outputs of cells with the tag `machine`, which are not compared. Of
what has several forms one is kept (viewers choose differently), and the text. Pictures are compared by their words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

FOLDER = Path(__file__).parent
SOURCES = sorted(FOLDER.glob("[0-9]_*.py"))
MACHINE = "machine"
SECONDS = 120  # for one cell, kernel and imports included
FORMS = ("text/latex", "text/html", "text/markdown", "image/svg+xml")  # of several, the first is kept
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
Notebook = Any  # nbformat's, a dict of dicts


def executed(source: Path) -> Notebook:
    """The source run from top to bottom in a fresh kernel; raises nbclient's CellExecutionError."""
    notebook = plain(source)
    NotebookClient(
        notebook,
        kernel_name="python3",
        config=Config(KernelManager={"transport": "ipc"}),  # not over the network
        timeout=SECONDS,
        resources={"metadata": {"path": str(FOLDER.parent)}},
        record_timing=False,
        coalesce_streams=True,
    ).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for output in outputs(notebook):
        if "data" in output:
            output.data = in_one_form(output.data)
    return notebook


def outputs(notebook: Notebook) -> Iterator[Notebook]:
    return (output for cell in notebook.cells for output in cell.get("outputs", ()))


def in_one_form(data: Notebook) -> Notebook:
    """One form and the text; a picture has no text."""
    best = next((form for form in FORMS if form in data), "text/plain")
    return {form: data[form] for form in data if form == best or (form == "text/plain" and best != FORMS[-1])}


def plain(source: Path) -> Notebook:
    """The source as a notebook without outputs, its cells numbered."""
    notebook = jupytext.read(source)
    for n, cell in enumerate(notebook.cells):
        cell.id = f"cell-{n}"
    return notebook


def path(source: Path) -> Path:
    """Where the notebook of a source lies."""
    return source.with_suffix(".ipynb")


def text(notebook: Notebook) -> str:
    """The notebook as it is written down."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def kept(source: Path) -> Notebook:
    """The notebook of a source as it was written down; one without cells if it never was."""
    if not path(source).exists():
        return nbformat.v4.new_notebook()
    return nbformat.read(path(source), as_version=nbformat.NO_CONVERT)


def with_old_times(fresh: Notebook, old: Notebook) -> Notebook:
    """The notebook with what the old one shows for cells that depend on the machine: a second run changes nothing."""
    known = {cell.source: cell.outputs for cell in old.cells if is_of_the_machine(cell)}
    cells = [
        c | {"outputs": renumbered(known.get(c.source, c.outputs), c)} if is_of_the_machine(c) else c
        for c in fresh.cells
    ]
    return nbformat.from_dict(fresh | {"cells": cells})


def renumbered(shown: list[Notebook], cell: Notebook) -> list[Notebook]:
    """Outputs as those of the cell."""
    return [one | {"execution_count": cell.execution_count} if "execution_count" in one else one for one in shown]


def is_of_the_machine(cell: Notebook) -> bool:
    return MACHINE in cell.metadata.get("tags", ())


def differences(fresh: Notebook, old: Notebook) -> Iterator[str]:
    """One text for each cell whose source, or whose output where it is compared, is another one."""
    for n, (new, was) in enumerate(zip_longest(fresh.cells, old.cells)):
        if new is None or was is None or content(new) != content(was):
            yield f"cell {n} is not as it was written down:\n{(new or was).source}"
        elif not is_of_the_machine(new) and shown(new) != shown(was):
            yield f"cell {n} shows something else:\n{new.source}\n--- before\n{shown(was)}\n--- now\n{shown(new)}"


def content(cell: Notebook) -> tuple[str, str, list[str]]:
    return cell.cell_type, cell.source, list(cell.metadata.get("tags", ()))


def shown(cell: Notebook) -> str:
    """What a cell shows, in all the forms that it has."""
    return "\n".join(text for output in cell.get("outputs", ()) for text in forms(output))


def forms(output: Notebook) -> list[str]:
    return (
        [output.text] if "text" in output else [f"{kind}: {said(data)}" for kind, data in sorted(output.data.items())]
    )


def said(data: str) -> str:
    """The text; of a picture what is written in it, wherever it stands."""
    return " | ".join(sorted(re.findall(r">([^<>]*[^<>\s])\s*<", data))) if data.startswith("<svg") else data
