"""build: the list of steps as it grows: values are numbered, views and constants made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..dims import Dim, single_symbol
from ..errors import EinstanError
from .values import Arg, Kind, Name, Note, Number, Step, Value, as_float

DType = np.dtype[Any]
Index = tuple[tuple[int, int] | None, ...]  # for each place a stretch of an axis, or None for a new axis
LETTERS = "ijklmnopqrstuvwxyzabcdefgh"


class Builder:
    """Append-only. `hints` names the axes of inputs, for the formulas."""

    def __init__(self, hints: Mapping[str, Sequence[str]]) -> None:
        self.steps: list[Step] = []
        self.count = 0
        self._views: dict[tuple[Any, ...], Value] = {}
        self._letters = {f"{name}.{n}": clean(h) for name, own in hints.items() for n, h in enumerate(own)}
        self._subscripts: dict[tuple[Dim, ...], tuple[str, ...]] = {}

    # ------------------------------------------------------------ values and steps

    def value(self, shape: Sequence[int], dtype: DType, kind: Kind = "work") -> Value:
        self.count += 1
        return Value(self.count - 1, tuple(shape), dtype, kind)

    def step(
        self,
        op: str,
        args: Sequence[Arg | Fraction],
        out: Value,
        params: tuple[Any, ...] = (),
        note: Note | None = None,
        flops: int = 0,
    ) -> Value:
        """Append `out = op(args)`; numbers become those of the result's dtype."""
        plain = tuple([a if isinstance(a, Value) else scalar(a, out.dtype) for a in args])
        moved = out.nbytes + sum([a.nbytes for a in plain if isinstance(a, Value)])
        self.steps.append(Step(op, plain, out, params, note, flops, moved))
        return out

    def compute(
        self,
        op: str,
        args: Sequence[Arg | Fraction],
        shape: Sequence[int],
        dtype: DType,
        target: Value | None = None,
        params: tuple[Any, ...] = (),
        note: Note | None = None,
        flops: int = 0,
    ) -> Value:
        """A step into `target` or a new value, which is constant where all arguments are."""
        if target is None:
            target = self.value(shape, dtype, "constant" if is_constant(args) else "work")
        return self.step(op, args, target, params, note, flops)

    def merged(
        self,
        op: str,
        args: Sequence[Arg | Fraction],
        shape: Sequence[int],
        flat: Sequence[int],
        dtype: DType,
        note: Note,
        flops: int,
    ) -> Value:
        """A step into a new value of `shape`, written through a view of the shape `flat`: later steps may overwrite
        it where it stands, which they do not through views."""
        shape, flat = tuple(shape), tuple(flat)
        if shape == flat or is_constant(args):
            return self.reshape(self.compute(op, args, flat, dtype, None, (), note, flops), shape)
        whole = self.value(shape, dtype)
        self.step(op, args, self.reshape(whole, flat), (), note, flops)
        return whole

    def once(
        self,
        key: tuple[Any, ...],
        op: str,
        args: Sequence[Arg | Fraction],
        shape: Sequence[int],
        dtype: DType,
        **more: Any,
    ) -> Value:
        """The same computation asked for again is the same value."""
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = self.compute(op, args, shape, dtype, **more)
        return found

    def weights(self, n: int, c: Number, dtype: DType) -> Value:
        """n times the number c, for sums."""
        if c == 1:
            return self.once(("ones", n, dtype), "ones", [], (n,), dtype, params=(n,))
        return self.once(("weights", n, c, dtype), "fill", [scalar(c, dtype)], (n,), dtype)

    def cast(self, v: Value, dtype: DType) -> Value:
        if v.dtype == dtype:
            return v
        return self.once(("cast", v, dtype), "copy", [v], v.shape, dtype)

    def scaled(self, v: Value, factor: Number, dtype: DType) -> Value:
        """factor times v, once for all users; integers become `dtype` first."""
        if v.dtype.kind in "biu":
            v = self.cast(v, dtype)
        return self.once(
            ("scaled", v, factor),
            "multiply",
            [v, factor],
            v.shape,
            v.dtype,
            note=lambda name: f" = {as_float(factor):g} {name(v.storage)}",
            flops=v.size,
        )

    def packed(self, v: Value) -> Value:
        """A contiguous copy, unless it is one."""
        return v if v.contiguous else self.once(("packed", v), "copy", [v], v.shape, v.dtype)

    # ------------------------------------------------------------ views

    def _view(self, v: Value, op: str, params: tuple[Any, ...], shape: Sequence[int], contiguous: bool) -> Value:
        key = (v, op, params)
        found = self._views.get(key)
        if found is None:
            self.count += 1
            found = Value(self.count - 1, tuple(shape), v.dtype, v.kind, v.storage, contiguous, (v, op, params))
            self._views[key] = found
            self.steps.append(Step(op, (v,), found, params, None, 0, 0))
        return found

    def transpose(self, v: Value, perm: tuple[int, ...]) -> Value:
        if perm == tuple(range(len(perm))):
            return v
        moved = [n for n in perm if v.shape[n] != 1]
        return self._view(v, "transpose", perm, [v.shape[n] for n in perm], v.contiguous and moved == sorted(moved))

    def reshape(self, v: Value, shape: Sequence[int]) -> Value:
        """Of a contiguous value; others are packed first."""
        shape = tuple(shape)
        return v if v.shape == shape else self._view(self.packed(v), "reshape", shape, shape, True)

    def index(self, v: Value, index: Index) -> Value:
        """v[:, None, 2:5]; trailing whole axes may be left out."""
        shape, axes = [], iter(v.shape)
        whole = True
        for entry in index:
            if entry is None:
                shape.append(1)
                continue
            whole &= entry == (0, next(axes))
            shape.append(entry[1] - entry[0])
        rest = list(axes)
        if None not in index and whole:
            return v
        return self._view(v, "index", index, shape + rest, v.contiguous and whole)

    def diagonal(self, v: Value, labels: tuple[int, ...], out: tuple[int, ...]) -> Value:
        """The entries where axes of one label agree, a view that can be written."""
        number = {label: n for n, label in enumerate(dict.fromkeys(labels))}
        labels, out = (tuple([number[label] for label in own]) for own in (labels, out))
        sizes = dict(zip(labels, v.shape, strict=True))
        return self._view(v, "diagonal", (labels, out), [sizes[label] for label in out], False)

    # ------------------------------------------------------------ formulas

    def subscripts(self, shape: tuple[Dim, ...]) -> tuple[str, ...]:
        """A letter for every axis, after the hints of the inputs, all different."""
        found = self._subscripts.get(shape)
        if found is None:
            found = self._subscripts[shape] = tuple(self.letters(dict(enumerate(shape))).values())
        return found

    def letters(self, dims: Mapping[int, Dim]) -> dict[int, str]:
        taken: set[str] = set()
        found = {}
        for label, d in dims.items():
            symbol = single_symbol(d)
            base = self._letters.get(symbol, "") if symbol else ""
            found[label] = distinct(base or LETTERS[label % len(LETTERS)], taken)
            taken.add(found[label])
        return found


def is_constant(args: Sequence[Arg | Fraction]) -> bool:
    """Whether what is computed of these is the same in every call."""
    return all(not isinstance(a, Value) or a.storage.kind == "constant" for a in args)


def distinct(letter: str, taken: set[str]) -> str:
    name, n = letter, 1
    while name in taken:
        name, n = f"{letter}{n}", n + 1
    return name


def clean(hint: str) -> str:
    """A user's index as it may stand in a comment."""
    return hint.lower() if hint.isidentifier() and len(hint) <= 20 else ""


def scalar(c: Number, dtype: DType) -> int | float:
    """A coefficient as Python's number for arrays of this dtype."""
    if dtype.kind not in "iu" or isinstance(c, float):
        return as_float(c)
    assert c.denominator == 1, "our bug: a fraction among integers"
    if abs(int(c)) >= 2**63:
        raise EinstanError("A coefficient is larger than any int64.", "Give the arrays as floats.")
    return int(c)


def written(v: Value, letters: Sequence[str], name: Name) -> str:
    """`v3[b,j]`; of a diagonal or a stretch of an array `part(v3)[b,j]`."""
    called = name(v.storage) if v.size == v.storage.size else f"part({name(v.storage)})"
    return f"{called}[{','.join(letters)}]" if letters else called
