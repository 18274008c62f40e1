"""ground: what the rules of a derivation stand on: the program, and the letters that are free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..dims import Dim
from ..syntax import ast, words
from ..syntax.ast import Call, Expr, Tensor
from ..syntax.check import Checked
from .letters import Letters, every_letter
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
        own |= {x.lower() for t in terms for x in t.bound}
        return Letters(own | self.fixed, self.avoided)

    def is_opaque(self, e: Call) -> bool:
        return e.name not in words.FUNCTIONS and e.name not in self.checked.formulas


def holds(e: Expr, name: str) -> bool:
    """Whether the formula changes with the name."""
    return any(isinstance(x, Tensor) and x.name == name for x in ast.postorder(e))


def of(slope: Slope, e: Expr) -> Slope:
    """The derivative of another expression by the same name."""
    return Slope(e, slope.wrt)


Step = tuple[Line, str] | None  # the terms, and the rule's name; None: there is no rule
