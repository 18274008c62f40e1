"""numpy_module: the text of numpy statements as it grows, without the right sides: names, sizes, helpers, comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from ..dims import Dim
from ..syntax import ast
from ..syntax.checked import Checked
from .assignments import Key, Line
from .numpy_text import ATOM, HELPERS, PRODUCT, SUM, Value, identifier, note
from .spelling import with_axes


@dataclass(slots=True)
class Module:
    """The text as it grows: identifiers, helpers and given things in order of their first use."""

    checked: Checked
    lines: dict[Key, Line]
    written: list[str] = field(default_factory=list)
    called: dict[Key, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=lambda: {"np", "math", *HELPERS})
    helpers: set[str] = field(default_factory=set)
    functions: dict[str, str] = field(default_factory=dict)  # identifier -> what the reader provides
    slopes: dict[str, str] = field(default_factory=dict)  # identifier -> the derivative that the reader provides
    slopes_of_words: dict[str, str] = field(default_factory=dict)  # identifier -> helper
    used: set[str] = field(default_factory=set)  # inputs

    def __post_init__(self) -> None:
        for name in self.checked.shapes:
            self.called[name,] = self.free(identifier(name))

    def free(self, wish: str) -> str:
        """The wish, or the first of wish_2, wish_3, .. that is not taken."""
        tries = chain([wish], (f"{wish}_{n}" for n in range(2, len(self.taken) + 3)))
        name = next(x for x in tries if x not in self.taken)
        self.taken.add(name)
        return name

    def variable(self, name: str) -> str:
        if name in self.checked.inputs:
            self.used.add(name)
        return self.called[name,]

    def derivative(self, key: Key) -> str:
        """dL_dW, d2L_dW_dc."""
        if key not in self.called:
            order = "" if len(key) == 2 else str(len(key) - 1)
            below = "".join(f"_d{identifier(name)}" for name in key[1:])
            self.called[key] = self.free(f"d{order}{identifier(key[0])}{below}")
        return self.called[key]

    def function(self, e: ast.Call, note: str) -> str:
        """The name of an opaque function, or of a derivative of it, that the reader provides."""
        slot = "".join(f"_{n + 1}" for n in e.slots)
        key = (e.name, "'" * e.primes, slot)
        if key not in self.called:
            self.called[key] = self.free(identifier(e.name) + "_prime" * e.primes + slot)
        self.functions.setdefault(self.called[key], note)
        return self.called[key]

    def helper(self, name: str) -> str:
        self.helpers.update((name, *(other for other in HELPERS if f" {other}(" in HELPERS[name])))
        return name

    def spill(self, value: Value) -> Value:
        """The value under a name of its own, on a line before."""
        name = self.free("part")
        self.written.append(f"{name} = {value.text}")
        return Value(name, ATOM, value.axes)

    def size(self, d: Dim) -> Value:
        """A size as read from the inputs' shapes."""
        terms = []
        for symbols, c in d.terms:
            factors = [str(c)] if c != 1 or not symbols else []
            terms.append(" * ".join([*factors, *map(self.axis, symbols)]))
        text = " + ".join(terms).replace("+ -", "- ") or "0"
        bind = SUM if len(terms) > 1 or text.startswith("-") else PRODUCT if "*" in text else ATOM
        return Value(text, bind)

    def axis(self, symbol: str) -> str:
        """`X.0` as X.shape[0]."""
        name, _, axis = symbol.rpartition(".")
        return f"{self.variable(name)}.shape[{int(axis)}]"

    def shape(self, dims: Iterable[Dim]) -> str:
        sizes = [self.size(d).text for d in dims]
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"

    def text(self) -> str:
        helpers = [HELPERS[name] for name in HELPERS if name in self.helpers] + list(self.slopes_of_words.values())
        imports = ["import math"] * ("erf" in self.helpers) + ["import numpy as np"]
        head = "\n\n".join(part for part in ("\n".join(imports), "\n".join(self.notes())) if part)
        between = "\n\n" if helpers else "\n"
        return between.join([head + "\n", *helpers, "\n".join(self.written) + "\n"])

    def notes(self) -> Iterator[str]:
        """Comments: what the reader has to provide, and names that are no Python."""
        inputs = {name: axes for name, axes in self.checked.inputs.items() if name in self.used}
        functions = [f"{name}: {text}" for name, text in self.functions.items()]
        slopes = [f"{name} = {text}" for name, text in self.slopes.items()]
        yield from note("given, as arrays of floats", [with_axes(self.called[name,], a) for name, a in inputs.items()])
        yield from note("given, as functions of arrays", functions, "; ")
        yield from note("given, as arrays, axes of the upper name first", slopes)
        renamed = [f"{self.called[name,]} for {name}" for name in self.checked.shapes if self.called[name,] != name]
        yield from note("written", renamed)
