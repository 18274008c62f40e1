"""The command line: what it prints, where errors go, exit statuses."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan import cli
from einstan.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent
LAYER = "Z[b,j] = X[b,K] W[K,j] + c[j]\nL = Z[B,J] Z[B,J]\n"
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with a formula, arrays and files that are none; the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layer.ein").write_text(LAYER, encoding="utf-8")
    arrays = {"X": np.ones((2, 3)), "W": np.ones((3, 2)), "c": np.zeros(2)}
    for name, a in arrays.items():
        np.save(f"{name}.npy", a)
    np.savez("data.npz", **arrays)
    np.save("pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("wide.npy", np.ones((3, 5)))
    Path("empty.ein").write_text("")
    Path("latin.ein").write_bytes("y = \xe9".encode("latin-1"))
    Path("broken.npy").write_bytes(b"\x93NUMPY")
    Path("broken.npz").write_bytes(b"PK\x03\x04")
    Path("blank.npy").write_bytes(b"")
    Path("x.dat").write_text("1")
    Path("folder").mkdir()
    return tmp_path


def typed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What standard input holds."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


# ---------------------------------------------------------------- what is printed

ARRAYS = ["X=X.npy", "W=W.npy", "c=c.npy"]
GRAD = ["grad", "layer.ein", "--of", "L", "--wrt", "W,c"]
RUN = ["run", "layer.ein", "--of"]

PRINTED = [
    (["show", "layer.ein"], [*LAYER.splitlines(), "inputs    X[b,k]  W[k,j]  c[j]", "sizes     size(X,2) = size(W,1)"]),
    (["show", "-e", "y = f(2)"], ["y = f(2)", "inputs    none", "functions f"]),
    (["show", "layer.ein", "--to", "einsum"], ["import numpy as np", "Z = np.einsum('bk,kj->bj', X, W) + c"]),
    (["show", "-e", "y = W_f x", "--labels", "f"], ["inputs    W_f  x"]),
    (GRAD, ["∂L/∂Z[b,j] = 2 Z[b,j]", "∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,j]", "∂L/∂c[j] = ∂L/∂Z[B,j] 1[B]"]),
    ([*GRAD, "--to", "einsum"], ["dL_dZ = 2 * Z", "dL_dW = np.einsum('bk,bj->kj', X, dL_dZ)"]),
    ([*GRAD, "--to", "numpy"], ["# Made for 128 entries along every axis (--sizes).", "import numpy as np"]),
    (
        [*GRAD, "--to", "numpy", "--sizes", "b=5,k=3"],
        ["# Made for b=5,k=3, and for 128 entries along any other axis (--sizes)."],
    ),
    (["jacobian", "layer.ein", "--of", "Z", "--wrt", "c"], [str(es.parse(LAYER).jacobian("Z", ["c"]))]),
    (["hessian", "-e", "L = x[I] x[I]", "--of", "L", "--wrt", "x"], ["∂²L/∂x[i]∂x[j] = 2 delta[i,j]"]),
    ([*RUN, "L", *ARRAYS], ["L = 36.0"]),
    ([*RUN, "Z", "data.npz"], ["Z =", "[[3. 3.]", " [3. 3.]]"]),
    ([*RUN, "L", "X=data.npz", "c=[0.5, 0.5]", "W=W.npy"], ["L = 49.0"]),
    (["run", "-e", "y = 2 x + 1", "--of", "y", "x=3"], ["y = 7.0"]),
    (["run", "-e", "y = 2 x + 1", "x=3", "--of", "y"], ["y = 7.0"]),
    (["run", "-e", "y = f(x)", "--of", "y", "x=2", "--functions", "f=relu"], ["y = 2.0"]),
    (["run", "-e", "y = x[K] x[K]", "x=[1,2]", "--of", "y"], ["y = 5"]),
]


@pytest.mark.parametrize(("words", "lines"), PRINTED, ids=str)
def test_printed(words: list[str], lines: list[str], layer: Path, capsys: Printed) -> None:
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for line in lines:
        assert line in printed.out.splitlines()


@pytest.mark.parametrize("to", ["einsum", "numpy"])
def test_source_is_python(to: str, layer: Path, capsys: Printed) -> None:
    assert main([*GRAD, "--to", to]) == 0
    compile(capsys.readouterr().out, "printed", "exec")


@pytest.mark.parametrize("words", [["show", "layer.ein", "--latex"], ["show", "layer.ein", "--to", "latex"]])
def test_latex(words: list[str], layer: Path, capsys: Printed) -> None:
    """What is printed is read again, and is the same program."""
    assert main(words) == 0
    assert es.parse(capsys.readouterr().out) == es.parse(LAYER)


def test_derived_latex(layer: Path, capsys: Printed) -> None:
    assert main([*GRAD, "--to", "latex"]) == 0
    assert r"\frac{\partial L}{\partial W" in capsys.readouterr().out


@pytest.mark.parametrize("width", ["40", "200"])
def test_long_lists_fit_the_screen(width: str, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert main(["show", "-e", "y[i] =" + " + ".join(f"weights{n}[i]" for n in range(30))]) == 0
    lists = capsys.readouterr().out.splitlines()[2:]
    assert all(len(line) <= int(width) for line in lists) and len(lists) > 3


@pytest.mark.parametrize("text", [LAYER, "\ufeff" + LAYER, LAYER.replace("\n", "\r\n"), LAYER.replace("\n", "\r")])
def test_files_of_other_systems(text: str, layer: Path, capsys: Printed) -> None:
    Path("other.ein").write_bytes(text.encode())
    assert main(["show", "other.ein"]) == 0
    assert capsys.readouterr().out.startswith(LAYER)


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    typed("\ufeffL = x[I] x[I]\r\n", monkeypatch)
    assert main(["grad", "-", "--of", "L", "--wrt", "x"]) == 0
    assert capsys.readouterr().out == "∂L/∂x[i] = 2 x[i]\n"


def test_output_files(layer: Path, capsys: Printed) -> None:
    assert main([*RUN, "L,Z", *ARRAYS, "-o", "out.npz"]) == 0
    assert main([*RUN, "Z", "-o", "out.npy", *ARRAYS]) == 0
    assert capsys.readouterr().out == ""
    with np.load("out.npz") as stored:
        assert stored["Z"].tolist() == np.load("out.npy").tolist() == [[3, 3], [3, 3]]
        assert stored["L"] == 36


def test_output_of_any_name(layer: Path) -> None:
    """numpy.savez takes no array that is called `file`."""
    assert main(["run", "-e", r"file = x; X^{(m)} = 2 x", "x=1", "--of", r"file,X^{(m)}", "-o", "out.npz"]) == 0
    with np.load("out.npz") as stored:
        assert {name: float(stored[name]) for name in stored} == {"file": 1, "X^{(m)}": 2}


# ---------------------------------------------------------------- JSON

REPORTS: list[tuple[list[str], str, Any]] = [
    (["show", "layer.ein"], "inputs", {"X": ["b", "k"], "W": ["k", "j"], "c": ["j"]}),
    (["show", "layer.ein"], "names", {"Z": ["b", "j"], "L": []}),
    (["show", "layer.ein", "--to", "einsum"], "to", "einsum"),
    (GRAD, "wrt", ["W", "c"]),
    (["hessian", "-e", "L = x[I] x[I]", "--of", "L", "--wrt", "x"], "lines", ["∂²L/∂x[i]∂x[j] = 2 delta[i,j]"]),
    ([*RUN, "L,Z", *ARRAYS], "values", {"L": 36, "Z": [[3, 3], [3, 3]]}),
    (["run", "-e", "y[i] = log(x[i])", "x=[0,-1,1]", "--of", "y"], "values", {"y": ["-inf", "nan", 0]}),
    (["show", "-e", "L = x[I]"], "error", "EinstanIndexError"),
    (["show", "-e", "a = 1\nL = x[I"], "line", 2),
    (["show", "-e", "a = 1\nL = x[I"], "column", 6),
    (["show", "-e", "a = 1\nL = x[I"], "spans", [{"start": 11, "end": 12, "line": 2, "column": 6}]),
    (["show", "missing.ein"], "error", "FileNotFoundError"),
    (["show", "missing.ein"], "line", None),
]


def refuse_constant(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


@pytest.mark.parametrize(("words", "key", "value"), REPORTS, ids=str)
def test_json(words: list[str], key: str, value: Any, layer: Path, capsys: Printed) -> None:
    status = main([*words, "--json"])
    printed = capsys.readouterr()
    report = json.loads(printed.out, parse_constant=refuse_constant)
    assert report[key] == value and printed.err == ""
    assert status == (1 if "error" in report else 0)


def test_demo_as_json(capsys: Printed) -> None:
    assert main(["demo", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["screens"]) == 3


# ---------------------------------------------------------------- failures

FAILURES = [
    (["show", "-e", "L = x[I]"], "I is capitalised"),
    (["show", "-e", "L = x[I"], "  1 | L = x[I\n           ^\n"),
    (["show", "empty.ein"], ""),
    (["show", "no-such-file.ein"], "no-such-file.ein: No such file"),
    (["show", "folder"], "folder: Is a directory"),
    (["show", "latin.ein"], "not UTF-8 (latin.ein, byte 5)"),
    (["grad", "-e", "L = x[I] x[I]", "--of", "L", "--wrt", "y"], "no name 'y'"),
    (["grad", "-e", "L = x[I] x[I]", "--of", "M", "--wrt", "x"], "no name 'M'"),
    (["grad", "-e", "y[i] = x[i]", "--of", "y", "--wrt", "x"], "jacobian"),
    ([*GRAD, "--to", "numpy", "--functions", "f"], "'f' is no pair"),
    ([*GRAD, "--to", "numpy", "--sizes", "b=x"], "'x' is no size"),
    ([*GRAD, "--to", "numpy", "--sizes", "q=3"], "No axis has the letter q.\nThe inputs are X[b,k], W[k,j]"),
    (["run", "-e", "y = f(x)", "--of", "y", "x=1", "--functions", "f=eval"], "no function of the language"),
    (["run", "-e", "y = f(x)", "--of", "y", "x=1"], "f"),
    (["run", "-e", "y = x", "--of", "y"], "x"),
    (["run", "-e", "y = x", "--of", "y", "x=missing.npy"], "missing.npy: No such file"),
    ([*RUN, "L", "x"], "'x' is no array"),
    (["run", "-e", "y = x", "--of", "y", "=1"], "'=1' is no array"),
    (["run", "-e", "y = x", "--of", "y", "x=x.dat"], "neither a number nor a .npy or .npz file"),
    (["run", "-e", "y = x", "--of", "y", r"x=C:\data\x.npy"], r"C:\data\x.npy: No such file"),
    (["run", "-e", "y = x", "--of", "y", "x=[1,"], "neither a number"),
    (["run", "-e", "y = x", "--of", "y", "x=[[1],[1,2]]"], "neither a number"),
    (["run", "-e", "y = x", "--of", "y", 'x=["a"]'], "neither a number"),
    (["run", "-e", "y = x", "--of", "y", "x=1", "x=2"], "x is given twice"),
    (["run", "-e", "y = x", "--of", "y", "x=1", "z=2"], "z"),
    (["run", "-e", "y = x", "--of", "y", "x=pickled.npy"], "holds no numpy array"),
    (["run", "-e", "y = x", "--of", "y", "x=broken.npy"], "holds no numpy array"),
    (["run", "-e", "y = x", "--of", "y", "x=blank.npy"], "holds no numpy array"),
    (["run", "-e", "y = x", "--of", "y", "x=broken.npz"], "holds no numpy array"),
    (["run", "-e", "y = x", "--of", "y", "x=data.npz"], "holds no array 'x'"),
    ([*RUN, "L", "X=X.npy", "W=wide.npy", "c=c.npy"], "5"),
    ([*RUN, "L", *ARRAYS, "-o", "no/such/folder/out.npz"], "out.npz: No such file"),
]


@pytest.mark.parametrize(("words", "said"), [row for row in FAILURES if row[1]], ids=str)
def test_failures_go_to_standard_error(words: list[str], said: str, layer: Path, capsys: Printed) -> None:
    assert main(words) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and said in printed.err


def test_an_empty_file_is_an_empty_program(layer: Path, capsys: Printed) -> None:
    assert main(["show", "empty.ein"]) == 0
    assert "inputs    none" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="every file can be read")
def test_a_file_that_may_not_be_read(layer: Path, capsys: Printed) -> None:
    Path("layer.ein").chmod(0)
    assert main(["show", "layer.ein"]) == 1
    assert "layer.ein: Permission denied" in capsys.readouterr().err


USAGE = [
    [],
    ["derive"],
    ["show"],
    ["show", "layer.ein", "-e", "y = x"],
    ["show", "-", "-"],
    ["show", "layer.ein", "--colour"],
    ["show", "layer.ein", "--to", "numpy"],
    ["grad", "-e", "L = x"],
    ["grad", "layer.ein", "--of", "L"],
    [*GRAD, "--to", "fortran"],
    [*GRAD, "--functions", "f=tanh"],
    [*GRAD, "--to", "einsum", "--sizes", "b=5"],
    ["run", "layer.ein", *ARRAYS],
    ["run", "layer.ein", "-e", "y = x", "--of", "y"],
    ["run", "-e", "y = x", "--of", "y", "x"],
    [*RUN, "L", *ARRAYS, "-o", "out.csv"],
    [*RUN, "L,Z", *ARRAYS, "-o", "out.npy"],
    ["demo", "layer.ein"],
    ["grad", "layer.ein", "--of", "L", "--wrt", ","],
    [*RUN, "", "-o", "out.npy"],
]


@pytest.mark.parametrize("words", USAGE, ids=str)
def test_usage(words: list[str], layer: Path, capsys: Printed) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "usage: einstan" in printed.err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help(command: str, capsys: Printed) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and "--json" in capsys.readouterr().out


def test_version(capsys: Printed) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == f"einstan {es.__version__}\n"


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt, 130), (MemoryError, 1)])
def test_stopped(stop: type[BaseException], status: int, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    def interrupted(file: str) -> str:
        raise stop

    monkeypatch.setattr(cli, "read_text", interrupted)
    assert main(["show", "layer.ein"]) == status
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [["show", "-e", "y = x"], ["show", "-e", "y = x", "--json"]], ids=str)
def test_closed_output(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    assert main(words) == 0


def test_closed_input(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert main(["show", "-"]) == 1
    assert "Standard input is closed" in capsys.readouterr().err


# ---------------------------------------------------------------- as a process


def process(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "einstan", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, encoding="utf-8", check=False, **options)


def test_module() -> None:
    done = process(["grad", "-", "--of", "L", "--wrt", "x"], input="L = x[I] x[I]")
    assert (done.returncode, done.stdout, done.stderr) == (0, "∂L/∂x[i] = 2 x[i]\n", "")


def test_terminal_without_the_letters() -> None:
    done = process(["grad", "-e", "L = x", "--of", "L", "--wrt", "x"], env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "\\u2202L/\\u2202x = 1\n")


def test_reader_that_stops_reading() -> None:
    source, sink = os.pipe()
    os.close(source)
    command = [sys.executable, "-m", "einstan", "show", "-e", "y = x"]
    done = subprocess.run(command, stdout=sink, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    os.close(sink)
    assert (done.returncode, done.stderr) == (0, b"")


HEAVY = ["sympy", "opt_einsum", "jax", "torch", "scipy", "matplotlib"]


@pytest.mark.parametrize("words", [["--help"], ["grad", "-e", "L = x", "--of", "L", "--wrt", "x"]])
def test_start_brings_no_framework(words: list[str]) -> None:
    code = f"""
import sys
from einstan.cli import main
try: main({words})
except SystemExit: pass
print([m for m in {HEAVY} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# ---------------------------------------------------------------- the demonstration


def test_demo(capsys: Printed) -> None:
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    for line in (
        "∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,j]",
        "dL_dW = np.einsum('bk,bj->kj', X, dL_dZ)",
        "f = [0.952574 0.999665]",
        "∂L/∂Wi[k,d] = C[V,k] ∂L/∂a[V,d]",
        "np.tanh",
    ):
        assert line in out
    assert max(len(line) for line in out.splitlines()) <= 120
