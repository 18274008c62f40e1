"""ground: what the rules of a derivation stand on: the program, and the letters that are free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..dims import Dim
from ..syntax import ast, words
from ..syntax.ast import Call, Expr, Tensor
from ..syntax.check import Checked
from .letters import Letters, every_letter, letters_of
from .nodes import Slope
from .terms import Line, Term


@dataclass(frozen=True, slots=True)
class Ground:
    """What a derivation stands on: the program, letters that are taken everywhere, names of tensors."""

    checked: Checked
    fixed: frozenset[str]
    avoided: frozenset[str]
    size: Callable[[Dim], Expr]

    def letters(self, *terms: Term) -> Letters:
        """Letters that are free beside the terms."""
        own = every_letter([f for t in terms for f in (*t.factors, *t.below)])
        own |= {x for t in terms for x in t.bound}
        own |= letters_below(terms)
        return Letters({x.lower() for x in own} | self.fixed, self.avoided)

    def is_opaque(self, e: Call) -> bool:
        return e.name not in words.FUNCTIONS and e.name not in self.checked.formulas


def letters_below(terms: Sequence[Term]) -> set[str]:
    """The letters of what is differentiated by."""
    return {x for t in terms for f in t.factors if isinstance(f, Slope) for x in letters_of(f.wrt.indices)}


def holds(e: Expr, name: str) -> bool:
    """Whether the formula changes with the name."""
    return any(isinstance(x, Tensor) and x.name == name for x in ast.postorder(e))


def of(slope: Slope, e: Expr) -> Slope:
    """The derivative of another expression by the same name."""
    return Slope(e, slope.wrt)


Step = tuple[Line, str] | None  # the terms, and the rule's name; None: there is no rule
