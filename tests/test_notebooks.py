"""The notebooks run from top to bottom, hold what they assert, and show what was written down.

`python -m notebooks` writes them anew. A cell with the tag `machine` shows what depends on the machine, and is not
compared.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

for needed in ("jupytext", "nbclient", "ipykernel", "jax"):
    pytest.importorskip(needed, reason=f"the notebooks need {needed}, of the extra `dev`")

from notebooks import pairs  # noqa: E402

ROOT = Path(__file__).parent.parent
by_name = pytest.mark.parametrize("source", pairs.SOURCES, ids=lambda source: source.stem)


def test_all_are_there() -> None:
    assert [s.stem.partition("_")[0] for s in pairs.SOURCES] == list("12345678")
    assert sorted(map(pairs.path, pairs.SOURCES)) == sorted(pairs.FOLDER.glob("*.ipynb"))


@by_name
def test_runs_and_shows_what_was_written_down(source: Path) -> None:
    if found := list(pairs.differences(pairs.executed(source), pairs.kept(source))):
        pytest.fail("\n\n".join([*found, "If that is right, run `python -m notebooks`."]), pytrace=False)


@by_name
def test_is_in_step_with_its_source(source: Path) -> None:
    """Cell by cell; and written down as `python -m notebooks` writes it."""
    notebook = pairs.kept(source)
    assert list(map(pairs.content, notebook.cells)) == list(map(pairs.content, pairs.plain(source).cells))
    assert pairs.text(notebook) == pairs.path(source).read_text(encoding="utf-8")


@by_name
def test_holds_no_noise(source: Path) -> None:
    """No warnings, no addresses, no times of execution, no paths of a machine."""
    text = pairs.path(source).read_text(encoding="utf-8")
    assert not [noise for noise in ('"stderr"', " at 0x", '"execution":', str(ROOT), str(Path.home())) if noise in text]


@pytest.mark.parametrize(
    ("arguments", "status", "said"), [(["--check", "4"], 0, "0 of them"), (["--check", "x"], 2, "no notebook x")]
)
def test_the_command(arguments: list[str], status: int, said: str) -> None:
    done = subprocess.run([sys.executable, "-m", "notebooks", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status
    assert said in done.stdout + done.stderr


def test_a_changed_output_is_told() -> None:
    """And one of a cell that depends on the machine is not."""
    source = pairs.SOURCES[0]
    changed = pairs.kept(source)
    cell = next(cell for cell in changed.cells if cell.get("outputs"))
    cell.outputs = []
    (told,) = pairs.differences(pairs.kept(source), changed)
    assert cell.source in told
    kept = pairs.kept(source)
    for notebook in (kept, changed):
        next(c for c in notebook.cells if c.id == cell.id).metadata["tags"] = [pairs.MACHINE]
    assert not list(pairs.differences(kept, changed))
