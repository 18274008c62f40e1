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
    def children(self) -> tuple[Expr, ...]:
        return (self.numerator,)
