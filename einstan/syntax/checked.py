"""checked: what the checker hands on: a program with its names, shapes, scopes and judged claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..dims import Dim, Sizes
from ..errors import EinstanError, Span
from .ast import Claim, Definition, Fact, Module
from .scope import Equation, Formula, Part, Scope, Side


@dataclass(frozen=True, slots=True)
class CheckedForm:
    """One form of a claim: its scope and free indices, or what is wrong with it."""

    scope: Scope | None
    axes: dict[str, Dim]
    error: EinstanError | None = None


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """A claim, form by form; `binding`: sizes that are one only for the sake of this claim."""

    claim: Claim
    forms: tuple[CheckedForm, ...]
    binding: Mapping[str, Dim]


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked program. Names are in text order; `order` is topological, a definition after what it uses.

    `inputs`: hints for the letters of the axes. `functions`: functions that are not built in, with the number of
    their arguments; `formulas`: those of them that are known. `scopes`: by `id` of the root: bodies of definitions,
    sides of facts. `uses`: one place of each name, for errors.
    """

    module: Module
    inputs: dict[str, tuple[str, ...]]
    functions: dict[str, int]
    formulas: dict[str, Formula]
    shapes: dict[str, tuple[Dim, ...]]
    definitions: dict[str, Definition]
    order: tuple[str, ...]
    claims: tuple[CheckedClaim, ...]
    facts: tuple[Fact, ...]
    labels: tuple[str, ...]
    scopes: dict[int, Scope]
    equations: tuple[Equation, ...]
    parts: tuple[Part, ...]
    uses: dict[str, Span | None]
    sizes: Sizes
    fixed: dict[str, Side]
