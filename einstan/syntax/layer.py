"""layer: sizes over other sizes, which stay as they are: for a claim, or an expression read in a context."""

from __future__ import annotations

from collections.abc import Mapping

from ..dims import Dim, Sizes


class Layer(dict[str, Dim]):
    """Bindings over other bindings, which stay as they are."""

    def __init__(self, below: Mapping[str, Dim]) -> None:
        super().__init__()
        self.below = below

    def __contains__(self, symbol: object) -> bool:
        return super().__contains__(symbol) or symbol in self.below

    def __missing__(self, symbol: str) -> Dim:
        return self.below[symbol]

    def get(self, symbol: str, default: Dim | None = None) -> Dim | None:  # type: ignore[override]
        return super().get(symbol) or self.below.get(symbol, default)


def layered(below: Sizes) -> Sizes:
    sizes = Sizes()
    sizes.binding, sizes.counter, sizes.open = Layer(below.binding), below.counter, list(below.open)
    return sizes


def own_entries(sizes: Sizes) -> dict[str, Dim]:
    return sizes.binding


def restore(sizes: Sizes, saved: Mapping[str, Dim]) -> None:
    sizes.binding.clear()
    sizes.binding.update(saved)
