"""nodes: the kind of expression that only derivations have."""

from __future__ import annotations

from dataclasses import dataclass

from ..syntax.ast import Expr, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Slope(Expr):
    """`∂numerator/∂wrt` by the places where wrt stands in the numerator: other names are held."""

    numerator: Expr
    wrt: Tensor

    @property
    def top(self) -> Tensor:
        """The numerator that is a name."""
        assert isinstance(self.numerator, Tensor), "our bug: the numerator is a formula"
        return self.numerator

    @property
    def name(self) -> str:
        return self.top.name

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.numerator,)
