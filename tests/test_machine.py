"""machine: rates are measured once, kept in a file, and read only from a file that is one in every number."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.backends.numpy import OPS
from einstan.machine import kept, measuring
from einstan.machine.rates import CURVES, NEEDED, NUMBERS, TYPICAL, Cost, Rates, at, read_rates
from einstan.plan import VIEWS

DOUBLE = np.dtype("float64")
ROOT = Path(__file__).parent.parent


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[np.dtype[Any]]]:
    """The dtypes that were measured, in a new process's state and an empty folder."""
    found: list[np.dtype[Any]] = []

    def measured(dtype: np.dtype[Any]) -> Rates:
        found.append(dtype)
        return TYPICAL

    monkeypatch.setenv("EINSTAN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kept, "measured", measured)
    kept.rates.cache_clear()
    yield found
    kept.rates.cache_clear()


def again(dtype: np.dtype[Any] = DOUBLE) -> Rates:
    """As the next process asks."""
    kept.rates.cache_clear()
    return kept.this_machine(dtype)


def the_file(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


# ---------------------------------------------------------------- measured once


def test_measured_once_and_kept(calls: list[Any], tmp_path: Path) -> None:
    first = kept.this_machine(DOUBLE)
    assert kept.this_machine(DOUBLE) is first
    assert again() == first == TYPICAL
    assert calls == [DOUBLE]
    assert the_file(tmp_path).name.startswith("speed-f8-")
    again(np.dtype("float32"))
    assert calls == [DOUBLE, np.dtype("float32")]


def test_float16_is_computed_in_float32(calls: list[Any]) -> None:
    kept.this_machine(np.dtype("float16"))
    assert calls == [np.dtype("float32")]


def test_many_threads_measure_once(calls: list[Any]) -> None:
    threads = [threading.Thread(target=kept.this_machine, args=(DOUBLE,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [DOUBLE]


def test_nothing_is_measured_but_where_it_is_asked_for(calls: list[Any], tmp_path: Path) -> None:
    k = es.parse("Y[i,j] = tanh(A[i,K] B[K,j])").compile("Y", sizes={"i": 4, "j": 5, "k": 6})
    k(A=np.ones((4, 6)), B=np.ones((6, 5)))
    assert (k.steps, k.source, k.cost.flops, k.cost.peak_bytes) and not calls and not list(tmp_path.iterdir())
    assert k.cost == k.cost
    assert not calls
    assert k.steps[0].seconds > 0 and calls == [DOUBLE]


def test_import_does_not_bring_it() -> None:
    code = "import einstan, sys; print([m for m in sys.modules if m.startswith('einstan.machine')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"


# ---------------------------------------------------------------- what is in the file


def changed(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    """The content with other entries, by their paths."""

    def change(content: dict[str, Any]) -> dict[str, Any]:
        for path, value in changes.items():
            *way, last = path.split("__")
            inside = content
            for name in way:
                inside = inside[name]
            inside[last] = value
        return content

    return change


SPOILED: dict[str, Callable[[dict[str, Any]], Any] | bytes] = {
    "nothing": b"",
    "no text": b"\xff\x00\xfe",
    "cut off": b'{"key": {"format',
    "another value": b"[1, 2]",
    "a number": b"1",
    "deep": b"[" * 90_000,
    "long": b" " * (kept.LONGEST + 1) + b"{}",
    "no rates": lambda content: {"key": content["key"]},
    "no key": lambda content: {"rates": content["rates"]},
    "of another format": changed(key__format="0"),
    "of another processor": changed(key__processor="abacus"),
    "of another numpy": changed(key__numpy="0.1"),
    "rates no object": changed(rates=[]),
    "costs no object": changed(rates__costs=[]),
    "no costs": changed(rates__costs={}),
    "an unknown operation": changed(rates__costs__frobnicate=[1.0, 1.0, 1.0]),
    "two numbers": changed(rates__costs__add=[1.0, 1.0]),
    "a text": changed(rates__costs__add=["1.0", 1.0, 1.0]),
    "a truth": changed(rates__costs__add=[True, 1.0, 1.0]),
    "nan": changed(rates__costs__add=[float("nan"), 1.0, 1.0]),
    "infinite": changed(rates__numbers__view=float("inf")),
    "zero": changed(rates__numbers__view=0),
    "negative": changed(rates__numbers__view=-1e-9),
    "beyond floats": changed(rates__numbers__view=10**400),
    "an object for a number": changed(rates__numbers__view={}),
    "one number more": changed(rates__numbers__more=1.0),
    "one curve more": changed(rates__curves__more=[[1.0, 1.0]]),
    "an empty curve": changed(rates__curves__moved=[]),
    "a curve of numbers": changed(rates__curves__moved=[1.0, 2.0]),
    "a curve that turns": changed(rates__curves__moved=[[2.0, 1.0], [1.0, 1.0]]),
    "a curve with a step": changed(rates__curves__moved=[[1.0, 1.0], [1.0, 2.0]]),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_no_such_file_is_measured_anew(name: str, calls: list[Any], tmp_path: Path) -> None:
    kept.this_machine(DOUBLE)
    path = the_file(tmp_path)
    right, spoil = path.read_bytes(), SPOILED[name]
    path.write_bytes(spoil if isinstance(spoil, bytes) else json.dumps(spoil(json.loads(right))).encode())
    assert again() == TYPICAL
    assert len(calls) == 2
    assert the_file(tmp_path).read_bytes() == right
    assert again() == TYPICAL
    assert len(calls) == 2


def test_numbers_are_read_as_they_were_written(calls: list[Any], tmp_path: Path) -> None:
    kept.this_machine(DOUBLE)
    content = changed(rates__costs__add=[1, 2.5e-7, 1e-300])(json.loads(the_file(tmp_path).read_bytes()))
    the_file(tmp_path).write_text(json.dumps(content))
    assert again().cost("add") == Cost(1.0, 2.5e-7, 1e-300)


STATES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "threads": lambda patch: patch.setenv("OPENBLAS_NUM_THREADS", "17"),
    "cores": lambda patch: patch.setattr(kept, "cores", lambda: 1234),
    "processor": lambda patch: patch.setattr(kept, "processor", lambda: "abacus"),
    "numpy": lambda patch: patch.setattr(np, "__version__", "0.1"),
    "format": lambda patch: patch.setattr(kept, "FORMAT", 0),
    "operations": lambda patch: patch.setattr(kept, "OPS", {}),
}


@pytest.mark.parametrize("name", STATES)
def test_another_state_of_the_machine_has_another_file(
    name: str, calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again()
    STATES[name](monkeypatch)
    again()
    assert len(calls) == len(list(tmp_path.iterdir())) == 2


# ---------------------------------------------------------------- where the file is


def test_a_folder_that_cannot_be_is_no_error(calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EINSTAN_CACHE_DIR", str(tmp_path / "file" / "folder"))
    assert again() == again() == TYPICAL
    assert len(calls) == 2


def test_a_folder_in_the_place_of_the_file_is_no_error(calls: list[Any], tmp_path: Path) -> None:
    again()
    path = the_file(tmp_path)
    path.unlink()
    path.mkdir()
    assert again() == TYPICAL
    assert len(calls) == 2 and the_file(tmp_path).is_dir()


def test_a_user_without_a_home_is_no_error(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("EINSTAN_CACHE_DIR")
    monkeypatch.setattr(kept, "user_folder", no_home)
    assert again() == TYPICAL
    assert calls == [DOUBLE]


@pytest.mark.parametrize(
    ("platform", "given", "below"),
    [
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg"),
        ("linux", {}, "/home/who/.cache"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/who/.cache"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/who/.cache"),
        ("darwin", {"XDG_CACHE_HOME": "/xdg"}, "/home/who/Library/Caches"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local"),
        ("win32", {}, "/home/who/AppData/Local"),
    ],
)
def test_the_folder_of_the_user(
    platform: str, given: dict[str, str], below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EINSTAN_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(kept.sys, "platform", platform)
    monkeypatch.setattr(kept.Path, "home", lambda: Path("/home/who"))
    assert kept.folder() == Path(below) / "einstan"


def test_a_write_that_fails_leaves_nothing(calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(*paths: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(kept.os, "replace", replace)
    assert again() == TYPICAL
    assert not list(tmp_path.iterdir())


WRITER = """
import sys
from pathlib import Path
from einstan.machine import kept
from einstan.machine.rates import TYPICAL
from einstan.plan import VIEWS
for _ in range(300):
    kept.write(Path(sys.argv[1]), {"who": "all"}, TYPICAL)
"""


def test_processes_write_whole_files(tmp_path: Path) -> None:
    path, key = tmp_path / "speed.json", {"who": "all"}
    kept.write(path, key, TYPICAL)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT) for _ in range(3)]
    while any(writer.poll() is None for writer in writers):
        assert kept.read(path, key) == TYPICAL
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert the_file(tmp_path) == path


# ---------------------------------------------------------------- measuring


@pytest.mark.parametrize("name", ["float64", "float32", "int64", "complex128", "longdouble"])
def test_what_is_measured_can_be_kept(name: str) -> None:
    found = measuring.measured(np.dtype(name))
    assert found.costs.keys() >= NEEDED and found.curves.keys() == CURVES and found.numbers.keys() == NUMBERS
    assert read_rates(json.loads(json.dumps(found.plain()))) == found


def test_every_operation_is_measured() -> None:
    assert measuring.functions().keys() == OPS.keys() - VIEWS
    assert measuring.measured(DOUBLE).costs.keys() == measuring.functions().keys()


def test_a_larger_product_takes_no_longer_for_a_flop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though another process has taken the core in the meantime."""
    times = iter([1e-6, 2e-6, 3e-6, 0.9, 0.8, 0.7, 0.6])
    monkeypatch.setattr(measuring, "shortest", lambda *args: next(times))
    rates = [rate for _, rate in measuring.products(DOUBLE, 5e-7, ((1.0, 1e11),))]
    assert rates[3] > 0.5 * rates[2] and min(rates[2:]) > 1e9


def test_curves_are_read_between_their_points() -> None:
    curve = ((10.0, 1.0), (1000.0, 100.0), (2000.0, 100.0))
    assert [at(curve, x) for x in (1, 10, 100, 1000, 1500, 1e300)] == pytest.approx([1, 1, 10, 100, 100, 100])
    assert at(((5.0, 7.0),), 0) == at(((5.0, 7.0),), 1e9) == 7.0
