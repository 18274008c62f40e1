"""files: text and arrays as the command line is given them, and arrays as it gives them back."""

from __future__ import annotations

import json
import math
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import EinstanError

DATA_FORMS = "Write NAME=FILE.npy, NAME=0.5, NAME=[1,2], NAME=FILE.npz or FILE.npz"


def read_text(file: str) -> str:
    """UTF-8, with or without a byte order mark, lines ended in any way."""
    if file == "-" and sys.stdin is None:
        raise EinstanError("Standard input is closed.", "Give a FILE, or -e TEXT.")
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"{'standard input' if file == '-' else file}, byte {error.start + 1}"
        raise EinstanError(f"The text is not UTF-8 ({place}).", "Save it as UTF-8.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_data(words: Sequence[str]) -> dict[str, Any]:
    """Arrays by name, each given once."""
    arrays: dict[str, Any] = {}
    for word in words:
        for name, array in read_word(word):
            if name in arrays:
                raise EinstanError(f"{name} is given twice.", "Give every input once.")
            arrays[name] = array
    return arrays


def read_word(word: str) -> list[tuple[str, Any]]:
    """NAME=x.npy, NAME=0.5, NAME=[[1,2],[3,4]], NAME=data.npz (its array NAME), or data.npz (all of its arrays)."""
    name, equals, source = word.partition("=")
    if not equals and word.endswith(".npz"):
        return list(read_arrays(word).items())
    if not equals or not name:
        raise EinstanError(f"{word!r} is no array.", f"{DATA_FORMS}.")
    value = read_number(source)
    if value is not None:
        return [(name, value)]
    suffix = Path(source).suffix.lower()
    if suffix not in (".npy", ".npz"):
        raise EinstanError(f"{source!r} is neither a number nor a .npy or .npz file.", f"{DATA_FORMS}.")
    arrays = read_arrays(source)
    if suffix == ".npy":
        return [(name, arrays[""])]
    if name not in arrays:
        raise EinstanError(f"{source} holds no array {name!r}.", f"It holds {', '.join(arrays) or 'nothing'}.")
    return [(name, arrays[name])]


def read_number(source: str) -> Any:
    """A number, or nested lists of them; None for anything else."""
    try:
        value = np.asarray(json.loads(source) if source.startswith("[") else float(source))
    except (ValueError, RecursionError, OverflowError):
        return None
    return value if value.dtype.kind in "iuf" else None


def read_arrays(file: str) -> dict[str, Any]:
    """The arrays of an archive; that of a .npy file has no name. Pickled objects are refused."""
    try:
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return {"": found}
        with found:
            return dict(found)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise EinstanError(
            f"{file} holds no numpy array: {error}", "Save it with numpy.save or numpy.savez."
        ) from error


def numbers(value: Any) -> Any:
    """Nested lists; nan, inf, -inf and complex numbers as the strings that float and complex read."""
    return flat(np.asarray(value).tolist())


def flat(value: Any) -> Any:
    if isinstance(value, list):
        return [flat(x) for x in value]
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value


def write_arrays(file: str, results: dict[str, Any]) -> None:
    """One array to .npy, or all by name to .npz."""
    if file.endswith(".npy"):
        (value,) = results.values()
        np.save(file, value)
        return
    with zipfile.ZipFile(file, "w") as archive:  # numpy.savez takes no array that is called `file`
        for name, value in results.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)
