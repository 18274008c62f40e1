"""kept: the rates of this machine, measured once and kept in a file for the next process.

The file is JSON in the user's cache folder, one for each dtype and for each state of the machine: processor, cores,
threads of the BLAS, versions, how numpy's operations are spelled. What is not such a file, in every number, counts as
none: then it is measured anew. A folder that cannot be written is no error. Whoever wants it measured again removes the
file; `EINSTAN_CACHE_DIR` names another folder.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np

from ..backends.numpy import OPS
from ..threads import cores
from .measuring import HALF, measured
from .rates import Rates, read_rates

DType = np.dtype[Any]

FORMAT: Final = 1  # of the file, and of what is measured
LONGEST: Final = 100_000  # bytes of a file
THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
LOCK: Final = Lock()


def this_machine(dtype: DType) -> Rates:
    """This machine's rates for a dtype: known, or read from the file, or measured now."""
    with LOCK:
        return rates(np.dtype("float32") if dtype == HALF else dtype)


@lru_cache
def rates(dtype: DType) -> Rates:
    key = state(dtype)
    path = file_of(key)
    found = read(path, key) if path is not None else None
    if found is None:
        found = measured(dtype)
        if path is not None:
            write(path, key, found)
    return found


# ---------------------------------------------------------------- which machine, and in which state


def state(dtype: DType) -> dict[str, str]:
    """Everything that the rates depend on, as texts."""
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "format": str(FORMAT),
        "dtype": dtype.str,
        "processor": processor(),
        "cores": str(cores()),
        "threads": ", ".join(f"{name}={os.environ[name]}" for name in THREADS if name in os.environ),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "blas": f"{blas.get('name', '')} {blas.get('version', '')}".strip(),
        "operations": sha256(repr(OPS).encode()).hexdigest(),
    }


@lru_cache
def processor() -> str:
    """What the processor is called."""
    name = ""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        name = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")
    except OSError:
        pass
    return f"{platform.machine()} {name or platform.processor()}"


# ---------------------------------------------------------------- the file


def folder() -> Path | None:
    """The cache folder of einstan; None where the user has no home."""
    named = os.environ.get("EINSTAN_CACHE_DIR")
    if named:
        return Path(named)
    try:
        return user_folder() / "einstan"
    except RuntimeError:
        return None


def user_folder() -> Path:
    """Where programs keep what they can make again; raises RuntimeError where the user has no home."""
    variable = {"win32": "LOCALAPPDATA", "darwin": ""}.get(sys.platform, "XDG_CACHE_HOME")
    given = Path(os.environ.get(variable, ""))
    if given.is_absolute():
        return given
    below = {"win32": "AppData/Local", "darwin": "Library/Caches"}.get(sys.platform, ".cache")
    return Path.home() / below


def file_of(key: dict[str, str]) -> Path | None:
    where = folder()
    digest = sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return where / f"speed-{key['dtype'][1:]}-{digest}.json" if where is not None else None


def read(path: Path, key: dict[str, str]) -> Rates | None:
    """The rates that the file holds for this key; None where it holds no such thing."""
    try:
        if not path.is_file() or path.stat().st_size > LONGEST:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return read_rates(found.get("rates")) if isinstance(found, dict) and found.get("key") == key else None


def write(path: Path, key: dict[str, str], found: Rates) -> None:
    """The file, at once or not at all."""
    text = json.dumps({"key": key, "rates": found.plain()}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    except OSError:
        return
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
