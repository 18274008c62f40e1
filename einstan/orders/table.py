"""table: what a comparison of contraction orders found: a row for each method, and the table of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..contractions.path_info import PathInfo
from ..show import order_table as shown
from ..show.svg import Picture
from .methods import Linear


@dataclass(frozen=True, slots=True)
class OrderStep:
    """One step of an order: its formula in index notation, its flops and bytes, the entries of its result."""

    formula: str
    flops: int
    bytes: int
    entries: int


@dataclass(frozen=True, slots=True)
class Products:
    """The products of an order, one after the other: labels, entries of the result, flops of each."""

    scale_list: list[int]
    size_list: list[int]
    cost_list: list[int]


@dataclass(frozen=True, slots=True)
class OrderRow:
    """What one method finds; None where it finds nothing, and `remark` says why.

    `flops`: multiply and add are two, an entrywise function one per element. `bytes` are read and written, `largest`
    those of the largest array that a step makes and `largest_step` its formula, `peak_bytes` workspace, constants and
    results at once. Times are in seconds: `planning` for search and plan, `predicted` by the cost model, `measured`
    the median of some calls. The names of opt_einsum's PathInfo hold, those of a plain contraction for one only.
    """

    name: str
    flops: int | None = None
    bytes: int | None = None
    largest: int | None = None
    largest_step: str = ""
    peak_bytes: int | None = None
    planning: float | None = None
    predicted: float | None = None
    measured: float | None = None
    remark: str = ""
    path: Linear | None = None
    info: PathInfo | None = field(default=None, repr=False)
    products: Products | None = field(default=None, repr=False)
    steps: tuple[OrderStep, ...] = field(default=(), repr=False)

    @property
    def opt_cost(self) -> Decimal | None:
        """Flops; of a plain contraction as opt_einsum counts them."""
        if self.info is not None:
            return self.info.opt_cost
        return None if self.flops is None else Decimal(self.flops)

    @property
    def naive_cost(self) -> Decimal | None:
        """Flops of one loop over all labels of a plain contraction."""
        return None if self.info is None else self.info.naive_cost

    @property
    def speedup(self) -> Decimal | None:
        """Naive cost over the cost of this order."""
        return None if self.info is None else self.info.speedup

    @property
    def eq(self) -> str | None:
        """The plain contraction, such as `ij,jk->ik`."""
        return None if self.info is None else self.info.eq

    @property
    def contraction_list(self) -> list[Any] | None:
        """The steps of a plain contraction as opt_einsum describes them."""
        return None if self.info is None else self.info.contraction_list

    @property
    def largest_intermediate(self) -> Decimal | None:
        """Entries of the largest result of a product."""
        sizes = self.size_list
        return None if sizes is None else Decimal(max(sizes, default=1))

    @property
    def size_list(self) -> list[int] | None:
        """Entries of the result of each product."""
        return self.info.size_list if self.info else self.products.size_list if self.products else None

    @property
    def scale_list(self) -> list[int] | None:
        """How many labels each product has."""
        return self.info.scale_list if self.info else self.products.scale_list if self.products else None

    @property
    def cost_list(self) -> list[int] | None:
        """Flops of each product."""
        return self.info.cost_list if self.info else self.products.cost_list if self.products else None

    @property
    def size_dict(self) -> dict[str, int] | None:
        """The size of each label of a plain contraction."""
        return None if self.info is None else self.info.size_dict


@dataclass(frozen=True, slots=True)
class Alone:
    """One output of several, computed by itself: the method of the fewest flops, and those."""

    output: str
    method: str
    flops: int


@dataclass(frozen=True, repr=False)
class OrderTable:
    """The rows of a comparison, and what they are of.

    `inputs` has letter and size of every axis, `assumed` the letters whose size nobody gave. `alone` is each of
    several outputs by its best method. `choice` says whether there was any: no product may have three factors.
    Printed, it is a table in which * marks the best of every column.
    """

    title: str
    outputs: tuple[str, ...]
    inputs: dict[str, tuple[tuple[str, int], ...]]
    assumed: tuple[str, ...]
    dtype: str
    memory_limit: int | None
    choice: bool
    rows: tuple[OrderRow, ...]
    alone: tuple[Alone, ...] = ()

    def __iter__(self) -> Iterator[OrderRow]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> OrderRow:
        """The row of a method."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    @property
    def found(self) -> list[OrderRow]:
        """The rows of methods that found an order."""
        return [row for row in self.rows if row.flops is not None]

    @property
    def best(self) -> OrderRow | None:
        """The row of the fewest flops; among equals the smallest arrays, then the first. None where all failed."""
        return min(self.found, key=lambda row: (row.flops, row.largest, row.bytes), default=None)

    @property
    def joint(self) -> int | None:
        """The flops of all outputs together: of the order "auto", or of the best one where that is not among them."""
        row = next((row for row in self.found if row.name == "auto"), self.best)
        return None if row is None or not self.alone else row.flops

    @property
    def separate(self) -> int | None:
        """The flops of all outputs, each by itself in its best order; None for one output."""
        return sum(one.flops for one in self.alone) if self.alone else None

    @property
    def gain(self) -> float | None:
        """How many times as much the outputs cost one by one as together."""
        if self.separate is None or self.joint is None:
            return None
        return self.separate / max(1, self.joint)

    def json(self) -> dict[str, Any]:
        """Plain numbers, texts, lists and dicts; times in seconds."""
        alone = [{"output": one.output, "method": one.method, "flops": one.flops} for one in self.alone]
        best = self.best
        return {
            "title": self.title,
            "outputs": list(self.outputs),
            "inputs": {name: [list(axis) for axis in axes] for name, axes in self.inputs.items()},
            "assumed": list(self.assumed),
            "dtype": self.dtype,
            "memory_limit": self.memory_limit,
            "choice": self.choice,
            "best": best and best.name,
            "rows": [shown.plain(row) for row in self.rows],
            "joint": self.joint,
            "separate": self.separate,
            "gain": self.gain,
            "alone": alone,
        }

    def __str__(self) -> str:
        return shown.text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return shown.html(self)

    def svg(self) -> Picture:
        """Flops and times as bars."""
        return shown.svg(self)
