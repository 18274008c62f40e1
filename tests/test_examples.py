"""The examples: each reads back from what it prints, says what to try, and what it tries is right."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.cli import main, names, read_arguments
from einstan.testing import finite_difference

from .models import Arrays, one_hot

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(ROOT.glob("examples/*.ein"))
TRY = re.compile(r"^[#%] Try: +einstan (.+)$", re.MULTILINE)
TRIED = [(example, shlex.split(command)) for example in EXAMPLES for command in TRY.findall(example.read_text("utf-8"))]
LAYER = ROOT / "examples" / "layer.ein"
FUNCTIONS = {"σ_m": "tanh"}
WRONG = [("mathematics_of_neural_networks.ein", "check")]  # what is tried says that a claim fails


def read(example: Path) -> es.Program:
    return es.parse(example.read_text("utf-8"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.stem)
def test_says_what_it_is(example: Path) -> None:
    """A comment of what it is, the source, then a command to try on this very file."""
    head = re.match(r"(?:[#%] .+\n)+", example.read_text("utf-8"))
    assert head is not None
    commands = TRY.findall(head[0])
    assert commands and all(f"examples/{example.name}" in command for command in commands)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.stem)
def test_reads_back(example: Path) -> None:
    p = read(example)
    assert es.parse(str(p)) == p
    assert es.parse(p.latex()) == p


@pytest.mark.parametrize(("example", "words"), TRIED, ids=lambda x: getattr(x, "stem", ""))
def test_what_it_says_to_try_runs(
    example: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(words) == int((example.name, words[0]) in WRONG)
    printed = capsys.readouterr()
    assert printed.out and not printed.err


def test_data_is_made_by_the_command_beside_it(tmp_path: Path) -> None:
    comment = " ".join(line.strip("# ") for line in LAYER.read_text("utf-8").splitlines() if line.startswith("#"))
    (tmp_path / "examples").mkdir()
    _, *words = shlex.split(comment.partition("Data: ")[2])
    subprocess.run([sys.executable, *words], cwd=tmp_path, check=True)
    made, kept = np.load(tmp_path / "examples/layer.npz"), np.load(LAYER.with_suffix(".npz"))
    assert set(made) == set(kept) == set(read(LAYER).inputs)
    assert all(np.array_equal(made[name], kept[name]) for name in kept)


# ---------------------------------------------------------------- derivatives

Value = Callable[[Arrays], Any]


def value(p: es.Program, of: str) -> Value:
    return p.compile(of, functions=bound(p))


def gradient(p: es.Program, of: str, wrt: str) -> Value:
    return p.grad(of, wrt).compile(functions=bound(p))


def bound(p: es.Program) -> dict[str, str]:
    return {name: FUNCTIONS[name] for name in p.checked.functions if name in FUNCTIONS}


# the verb of a command -> what its result is the derivative of
BELOW: dict[str, Callable[[es.Program, str, str], Value]] = {
    "grad": lambda p, of, wrt: value(p, of),
    "jacobian": lambda p, of, wrt: value(p, of),
    "hessian": gradient,
}
DERIVATIVES = [(example, words) for example, words in TRIED if words[0] in BELOW]


@pytest.mark.parametrize(("example", "words"), DERIVATIVES, ids=lambda x: getattr(x, "stem", ""))
def test_derivatives(example: Path, words: list[str]) -> None:
    """What a command prints is, as a program, what finite differences say."""
    p, arguments = read(example), read_arguments(words)
    of, data = arguments.of, arrays(p)
    for wrt in names(arguments.wrt):
        derived = getattr(p, words[0])(of, wrt).compile(functions=bound(p))(data)
        want = finite_difference(BELOW[words[0]](p, of, wrt), data, wrt)
        np.testing.assert_allclose(derived, want, rtol=1e-6, atol=1e-7)


def test_every_example_has_a_derivative() -> None:
    assert {example for example, _ in DERIVATIVES} == set(EXAMPLES)


def arrays(p: es.Program) -> Arrays:
    """Random arrays of sizes that are distinct primes; rows of labels T, where the program knows that, sum to 1."""
    rng = np.random.default_rng(0)
    shapes = {name: p.checked.shapes[name] for name in p.inputs}
    symbols = sorted({s for dims in shapes.values() for d in dims for s in d.symbols})
    env = dict(zip(symbols, cycle(SIZES), strict=False))
    data = {name: 0.5 * rng.standard_normal([d.at(env) for d in dims]) for name, dims in shapes.items()}
    if p.checked.facts:
        data["T"] = one_hot(rng, *data["T"].shape)
    return data


SIZES = (2, 3, 5, 7, 11, 13, 17)
