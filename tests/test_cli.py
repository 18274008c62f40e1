"""The command line: what it prints, where errors go, exit statuses."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from einstan.cli import main

LAYER = "Z[b,j] = X[b,K] W[K,j] + c[j]\nL = Z[B,J] Z[B,J]\n"


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer.ein"
    path.write_text(LAYER, encoding="utf-8")
    return path


def test_show(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(layer)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(LAYER)
    assert "inputs   X[b,k]  W[k,j]  c[j]" in out
    assert "size(X,2) = size(W,1)" in out


def test_show_json(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(layer), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["inputs"] == {"X": ["b", "k"], "W": ["k", "j"], "c": ["j"]}


def test_grad(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grad", str(layer), "--of", "L", "--wrt", "W,c"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "∂L/∂Z[b,j] = 2 Z[b,j]",
        "∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,j]",
        "∂L/∂c[j] = ∂L/∂Z[B,j] 1[B]",
    ]


def test_grad_as_source(layer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grad", str(layer), "--of", "L", "--wrt", "W", "--to", "numpy"]) == 0
    compile(capsys.readouterr().out, "printed", "exec")


def test_run(layer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = {"X": np.ones((2, 3)), "W": np.ones((3, 2)), "c": np.zeros(2)}
    words = []
    for name, a in arrays.items():
        np.save(tmp_path / f"{name}.npy", a)
        words.append(f"{name}={tmp_path / name}.npy")
    assert main(["run", str(layer), "--of", "L", *words]) == 0
    assert capsys.readouterr().out == "L = 36.0\n"
    out = tmp_path / "out.npz"
    assert main(["run", str(layer), "--of", "L,Z", *words, "-o", str(out)]) == 0
    with np.load(out) as stored:
        assert stored["Z"].tolist() == [[3, 3], [3, 3]]


def test_text_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-e", "y = 2 x + 1", "--of", "y", "x=3"]) == 0
    assert capsys.readouterr().out == "y = 7.0\n"


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("L = x[I] x[I]"))
    assert main(["grad", "-", "--of", "L", "--wrt", "x"]) == 0
    assert capsys.readouterr().out == "∂L/∂x[i] = 2 x[i]\n"


FAILURES = [
    (["show", "-e", "L = x[I]"], "I is capitalised"),
    (["show", "-e", "L = x[i"], "^"),
    (["grad", "-e", "L = x[I] x[I]", "--of", "L", "--wrt", "y"], "no name 'y'"),
    (["run", "-e", "y = x", "--of", "y"], "x"),
    (["run", "-e", "y = x", "--of", "y", "x=missing.npy"], "missing.npy"),
    (["run", "-e", "y = x", "--of", "y", "x"], "NAME=FILE.npy"),
    (["show", "no-such-file.ein"], "no-such-file"),
    (["show"], "FILE"),
]


@pytest.mark.parametrize(("words", "said"), FAILURES)
def test_failures_go_to_standard_error(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and said in printed.err


def test_failures_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "-e", "L = x[I]", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "EinstanIndexError"


@pytest.mark.parametrize("words", [[], ["derive"], ["grad", "-e", "L = x"]])
def test_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    for line in (
        "∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,j]",
        "f = [0.952574 0.999665]",
        "∂L/∂Wi[k,d] = C[V,k] ∂L/∂a[V,d]",
        "np.tanh",
    ):
        assert line in out
    assert max(len(line) for line in out.splitlines()) <= 120
