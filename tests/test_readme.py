"""The README: every command in it runs as printed and prints what it says; every Python block runs.

Commands stand in indented blocks, or in console blocks after `$`, where what they print may follow. What a comment
after a command says of its exit status holds; else it is 0. The blocks with `>>>` are doctests of their own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import einstan as es
from einstan.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
TIME = re.compile(r"[\d.]+ [nµmk]?s\b\*?")
STATUS = re.compile(r"# status (\d)$")


class Command(NamedTuple):
    """A line of a shell, and what README prints below it."""

    line: str
    printed: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)

    @property
    def status(self) -> int:
        found = STATUS.search(self.line)
        return int(found[1]) if found else 0


def commands() -> Iterator[Command]:
    for kind, block in FENCED.findall(README):
        if kind == "console":
            for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
                line, _, printed = part.partition("\n")
                yield Command(line, printed)
    for block in INDENTED.findall(FENCED.sub("", README)):
        yield from (Command(line.strip(), "") for line in block.splitlines())


ALL = list(commands())
OURS = [c for c in ALL if c.words[0] == "einstan"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing but a copy of the examples; the current one."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def agrees(printed: str, got: str) -> bool:
    """Equal but for white space, times, and the star that marks the best time."""
    expected, found = (TIME.sub("time", text).split() for text in (printed, got))
    return expected == found


@pytest.mark.parametrize("command", OURS, ids=lambda c: c.line)
def test_commands_run_as_printed(command: Command, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.words[1:]) == command.status
    found = capsys.readouterr()
    assert bool(found.err) == (command.status != 0 and command.words[1] != "check"), found.err  # verdicts are no errors
    if command.printed:
        assert agrees(command.printed, found.out + found.err)


def test_the_command_itself(desk: Path) -> None:
    """In a process of its own, once."""
    command = next(c for c in OURS if c.printed and not c.status)
    found = subprocess.run(
        [sys.executable, "-m", *command.words], capture_output=True, text=True, encoding="utf-8", check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert agrees(command.printed, found.stdout) and not found.stderr


def test_every_command_is_shown() -> None:
    assert {c.words[1] for c in OURS} >= set(COMMANDS)


OTHERS = [c for c in ALL if c.words[0] != "einstan"]


@pytest.mark.parametrize("command", OTHERS, ids=lambda c: c.line)
def test_other_commands_exist(command: Command) -> None:
    match command.words:
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module)
        case ["pip", "install", "."] | ["git", "clone", *_] | ["cd", _]:
            pass
        case words:
            pytest.fail(f"nothing checks {words}")


# ---------------------------------------------------------------- Python

PYTHON = [block for kind, block in FENCED.findall(README) if kind == "python"]


def test_python_without_prompts_runs() -> None:
    """On the arrays of the first example, under the names that README gives them."""
    text = (ROOT / "examples" / "layer.ein").read_text("utf-8")
    data = np.load(ROOT / "examples" / "layer.npz")
    outs = {name: np.empty(data[name].shape) for name in ("W", "c")}
    given = {"es": es, "np": np, "text": text, "outs": outs, **{name: data[array] for name, array in ARRAYS.items()}}
    (block,) = [block for block in PYTHON if ">>>" not in block]
    exec(block, given)
    np.testing.assert_array_equal(outs["W"], given["k"](X=given["x"], W=given["w"], c=given["b"], T=given["t"])["W"])


ARRAYS = {"x": "X", "w": "W", "b": "c", "t": "T"}


def test_links_are_to_files() -> None:
    """Those to the project's own files."""
    prose = re.sub(r"`[^`\n]*`", "", FENCED.sub("", README))
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", prose):
        assert (ROOT / link).exists(), link
