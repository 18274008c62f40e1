"""path_info: what an order of contraction does and costs, step by step, under opt_einsum's names.

Laws: a flop is what opt_einsum counts (a multiply and an add are two); a label has its full size even in an operand
where its axis has size 1; numbers are exact.

A term is the labels of an operand, a character each. A path is linear: step after step, positions in a list from
which operands are taken and to whose end their product goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from math import prod
from typing import Final, NamedTuple, TypeVar

Positions = tuple[int, ...]
Sizes = dict[str, int]
T = TypeVar("T")

SHOWN_TERMS: Final = 20  # of more terms a step does not list what remains
SHOWN_STEPS: Final = 200  # in a notebook
STEP_HEADS: Final = ("scaling", "BLAS", "current", "remaining")


class Step(NamedTuple):
    """One step: the operands at `positions` (largest first) make one, summed over the labels `removed`.

    `equation` is the step as einsum text, `remaining` the terms after it (None for more than SHOWN_TERMS),
    `blas` the routine that could do it: "GEMM", "DOT", "TDOT", with "/EINSUM" where that is no faster, or False.
    """

    positions: Positions
    removed: frozenset[str]
    equation: str
    remaining: tuple[str, ...] | None
    blas: str | bool


@dataclass(frozen=True, repr=False)
class PathInfo:
    """What a contraction path costs; the names are those of `opt_einsum.contract.PathInfo`.

    `contraction_list` has a Step for each step of `path`, `scale_list` the number of its labels, `cost_list` its
    flops, `size_list` the elements of its result. `size_dict` gives the size of each label.

    >>> import einstan as es
    >>> path, info = es.contract_path("ij,jk,kl->il", (10, 20), (20, 30), (30, 40), shapes=True)
    >>> info.opt_cost, info.naive_cost, info.largest_intermediate
    (Decimal('36000'), Decimal('720000'), Decimal('400'))
    """

    input_subscripts: str
    output_subscript: str
    size_dict: Sizes
    path: list[Positions]
    contraction_list: list[Step]
    scale_list: list[int]
    cost_list: list[int]
    size_list: list[int]

    @property
    def eq(self) -> str:
        """The whole contraction, such as `ij,jk->ik`."""
        return f"{self.input_subscripts}->{self.output_subscript}"

    @property
    def indices(self) -> frozenset[str]:
        """All labels."""
        return frozenset(self.size_dict)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of each operand, axes of size 1 stretched."""
        return [tuple(self.size_dict[label] for label in term) for term in self.input_subscripts.split(",")]

    @property
    def naive_cost(self) -> Decimal:
        """Flops of one loop over all labels."""
        terms = self.input_subscripts.split(",")
        shared = sum(len(set(term)) for term in terms) > len(self.indices)
        return Decimal(flops(self.size_dict, len(terms), shared, self.size_dict))

    @property
    def opt_cost(self) -> Decimal:
        """Flops of all steps together."""
        return Decimal(sum(self.cost_list))

    @property
    def speedup(self) -> Decimal:
        """Naive cost over the path's cost."""
        return self.naive_cost / max(self.opt_cost, Decimal(1))

    @property
    def largest_intermediate(self) -> Decimal:
        """Elements of the largest result of a step."""
        return Decimal(max(self.size_list, default=1))

    def summary(self) -> list[tuple[str, str]]:
        """What is printed above the steps: names and values."""
        return [
            ("Complete contraction", self.eq),
            ("Naive scaling", f"{len(self.indices)}"),
            ("Optimized scaling", f"{max(self.scale_list, default=0)}"),
            ("Naive FLOP count", f"{self.naive_cost:.3e}"),
            ("Optimized FLOP count", f"{self.opt_cost:.3e}"),
            ("Theoretical speedup", f"{self.speedup:.3e}"),
            ("Largest intermediate", f"{self.largest_intermediate:.3e} elements"),
        ]

    def rows(self) -> list[tuple[int, str, str, str]]:
        """For each step its scaling, BLAS routine, equation, and what remains."""
        listed = []
        for scale, step in zip(self.scale_list, self.contraction_list, strict=True):
            remaining = "..." if step.remaining is None else f"{','.join(step.remaining)}->{self.output_subscript}"
            listed.append((scale, str(step.blas), step.equation, remaining))
        return listed

    def __repr__(self) -> str:
        rule = "-" * 80
        scaling, blas, current, remaining = STEP_HEADS
        lines = [f"{name:>22}:  {value}" for name, value in self.summary()]
        lines += [rule, f"{scaling} {blas:>11} {current:>22} {remaining:>37}", rule]
        for scale, kind, equation, rest in self.rows():
            width = max(0, 56 - max(22, len(equation)))
            lines.append(f"{scale:>4} {kind:>14} {equation:>22}    {rest:>{width}}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left = len(self.contraction_list) - SHOWN_STEPS
        steps = "".join(html_row("td", row) for row in self.rows()[:SHOWN_STEPS])
        return (
            f"<table><tbody>{''.join(html_row('td', row) for row in self.summary())}</tbody></table>"
            f"<table><thead>{html_row('th', STEP_HEADS)}</thead><tbody>{steps}</tbody></table>"
            + (f"<p>{left:,} more steps</p>" if left > 0 else "")
        )


def html_row(kind: str, cells: Sequence[object]) -> str:
    inner = "".join(f'<{kind} style="text-align:left">{escape(str(cell))}</{kind}>' for cell in cells)
    return f"<tr>{inner}</tr>"


def path_info(
    terms: Sequence[str],
    out: str,
    shapes: Sequence[Sequence[int]],
    path: Sequence[Positions],
    use_blas: bool = True,
) -> PathInfo:
    """The steps and costs of `path`, which is a valid one for `terms` of these shapes."""
    live = [(term, dict(zip(term, shape, strict=True))) for term, shape in zip(terms, shapes, strict=True)]
    sizes = stretched(own for _, own in live)
    carriers = Counter(label for own in (*terms, out) for label in set(own))
    steps: list[Step] = []
    scales, costs, volumes = [], [], []
    for positions in path:
        places = tuple(sorted(positions, reverse=True))
        taken = [live.pop(k) for k in places]
        inputs = [term for term, _ in taken]
        labels = dict.fromkeys("".join(inputs))
        for term in inputs:
            carriers.subtract(set(term))
        kept = [label for label in labels if carriers[label]]
        carriers.update(kept)
        removed = frozenset(labels) - frozenset(kept)
        result = "".join(kept) if live else out
        blas = use_blas and blas_kind(inputs, result, removed, [own for _, own in taken])
        full = stretched(own for _, own in taken)
        live.append((result, {label: full[label] for label in result}))
        remaining = tuple(term for term, _ in live) if len(live) <= SHOWN_TERMS else None
        steps.append(Step(places, removed, f"{','.join(inputs)}->{result}", remaining, blas))
        scales.append(len(labels))
        costs.append(flops(labels, len(taken), bool(removed), sizes))
        volumes.append(volume(result, sizes))
    return PathInfo(",".join(terms), out, sizes, list(path), steps, scales, costs, volumes)


def stretched(operands: Iterable[Sizes]) -> Sizes:
    """The size of each label of all operands: an axis of size 1 stretches."""
    sizes: Sizes = {}
    for own in operands:
        for label, d in own.items():
            if sizes.get(label, 1) == 1:
                sizes[label] = d
    return sizes


def volume(labels: Iterable[str], sizes: Mapping[str, int]) -> int:
    return prod(sizes[label] for label in labels)


def flops(labels: Iterable[str], operands: int, summed: bool, sizes: Mapping[str, int]) -> int:
    """One loop over `labels`: the products of the operands, and an addition where something is summed."""
    return volume(labels, sizes) * (max(1, operands - 1) + summed)


def blas_kind(terms: Sequence[str], result: str, removed: frozenset[str], sizes: Sequence[Sizes]) -> str | bool:
    """The routine for a product of two operands; False where a label is in three places, in one, or stretched."""
    if len(terms) != 2:
        return False
    left, right = terms
    once = len(set(left)) == len(left) and len(set(right)) == len(right)
    if not once or set(left) ^ set(right) != set(result) or any(sizes[0][x] != sizes[1][x] for x in removed):
        return False
    n = len(removed)
    if n == 0:
        return "OUTER/EINSUM"
    if set(left) == set(right):
        return "DOT" if left == right else "DOT/EINSUM"
    if {left[:n], left[-n:]} & {right[:n], right[-n:]}:
        return "GEMM"
    return "GEMV/EINSUM" if n in (len(left), len(right)) else "TDOT"


# ---------------------------------------------------------------- steps by number


class Numbered(NamedTuple):
    """A step by numbers that stay: operand k of n is k, the p-th step makes n + p."""

    operands: list[int]
    made: int
    step: Step


def numbered(info: PathInfo) -> Iterator[Numbered]:
    """The steps of a path by number."""
    n = info.eq.count(",") + 1
    live = list(range(n))
    for made, step in enumerate(info.contraction_list, n):
        yield Numbered(taken(live, step), made, step)
        live.append(made)


def taken(live: list[T], step: Step) -> list[T]:
    """What the step takes out of the list."""
    found = [live[k] for k in step.positions]
    for k in sorted(step.positions, reverse=True):
        del live[k]
    return found
