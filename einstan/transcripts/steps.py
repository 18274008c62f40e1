"""steps: one line of a derivation and the rule that gave it, in text, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from ..show import html
from ..show.latex import latex_expr
from ..show.text import show_expr
from ..syntax.ast import Expr, Tensor

Rule = tuple[str | Expr, ...]  # words and formulas: ("chain rule through ", Z)
LATEX = str.maketrans({"∂": r"$\partial$", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "^": r"\^{}"})


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """A line, and the name of the rule by which it is equal to the line before it."""

    reason: Rule
    tree: Expr

    @property
    def rule(self) -> str:
        return "".join(spelled(self.reason, str, show_expr))

    @property
    def line(self) -> str:
        """The formula in the notation."""
        return show_expr(self.tree)

    def __repr__(self) -> str:
        return f"{self.line}  # {self.rule}"

    @property
    def latex_rule(self) -> str:
        return "".join(spelled(self.reason, lambda s: s.translate(LATEX), lambda e: f"${latex_expr(e)}$"))

    @property
    def html_rule(self) -> str:
        return "".join(spelled(self.reason, escape, html.formula))


def spelled(rule: Rule, words: Callable[[str], str], formula: Callable[[Expr], str]) -> Iterable[str]:
    return (words(x) if isinstance(x, str) else formula(x) for x in rule)


def named(*names: str) -> Rule:
    """`Z`, `Z and Y`, `Z, Y and X`."""
    pieces: list[str | Expr] = [Tensor(names[0])]
    for k, name in enumerate(names[1:], 2):
        pieces += [" and " if k == len(names) else ", ", Tensor(name)]
    return tuple(pieces)


def together(rules: Sequence[Rule]) -> Rule:
    """Several rules that give one line; the same words count once."""
    different = list({Step(rule, Tensor("x")).rule: rule for rule in rules}.values())
    pieces: list[str | Expr] = list(different[0]) if different else []
    for _, rule in pairwise(different):
        pieces += ["; ", *rule]
    return tuple(pieces)
