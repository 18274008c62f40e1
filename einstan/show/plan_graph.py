"""plan_graph: the steps of a plan as a picture: what each one computes of what, and what it costs.

A box is one step: its formula with holes for the arrays that it reads, the shape of its result, flops, bytes, and the
time predicted for this machine. The darker a box, the more of all flops are its own; the thicker a wire, the larger the
array. Views are not drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..plan import Plan, Step, Value
from ..plan.seconds import predicted
from .amounts import about, amount, extent
from .graph import Box, Hole, Row, Text, Wire, again, draw, sketch
from .spelling import with_axes
from .svg import Picture, shortened

STEPS: Final = 300  # more are not drawn
PALE, DARK = (255, 255, 255), (247, 176, 103)  # the colour of no flops, and of the step with most of them
THIN, THICK = 1.0, 3.6
MARK = re.compile(r"\ue000(\d+)\ue001(?:\[([^\]]*)\])?")  # an array in the formula of a step
EQUALS = re.compile(r" ([+-]?)= ")
SIGNS: Final = {" ": " × ", " - ": " − "}
LONGEST: Final = 60


def picture(plan: Plan, axes: Mapping[str, Sequence[str]], results: Sequence[str], title: str = "Kernel") -> Picture:
    """The drawing of a plan; `axes` are letters for its inputs, `results` the names of what it returns."""
    boxes, wires, note = graph_of(plan, axes, results)
    cost = f"{amount(plan.flops, 'flop')}, {amount(plan.bytes, 'B')} moved, {amount(plan.peak_bytes, 'B')} at the peak"
    return draw(sketch(boxes, wires), title, [f"{title}: {cost}, ~ {about(predicted(plan), 's')}"], note)


def graph_of(
    plan: Plan, axes: Mapping[str, Sequence[str]], results: Sequence[str]
) -> tuple[list[Box], list[Wire], str]:
    """The boxes and the wires, and what there is to say of them."""
    graph = read(plan, axes, results)
    note = "Dark boxes have most of the flops, thick wires the largest arrays."
    if graph.left:
        note = f"{graph.left:,} of {graph.left + STEPS:,} steps are left out. {note}"
    return *again(graph.boxes, graph.wires(), graph.names()), note


def read(plan: Plan, axes: Mapping[str, Sequence[str]], results: Sequence[str]) -> Graph:
    computed = [step for step in plan.steps if not step.is_view]
    most, left = max((step.flops for step in computed), default=0), max(0, len(computed) - STEPS)
    graph = Graph(most, left, {v: terms for region in plan.regions for v, terms in region.terms.items()})
    for name, value in plan.inputs.items():
        graph.add(input_box(name, axes.get(name, ()), value), value)
    for step in computed[:STEPS]:
        graph.step(step)
    for value, name in zip(plan.results, results, strict=True):
        graph.result(value, name)
    return graph


@dataclass(slots=True)
class Graph:
    """The boxes so far, and which of them have written into the memory of a value."""

    most: int  # flops of the most expensive step
    left: int  # steps that are not drawn
    terms: Mapping[Value, Value]  # what is made block by block: the array of all its terms, which are summed later
    boxes: list[Box] = field(default_factory=list)
    ends: list[tuple[int, int, Row, int]] = field(default_factory=list)  # source, target, label, bytes
    writers: dict[Value, dict[int, Value]] = field(default_factory=dict)  # by memory: boxes, and what each one wrote
    joined: dict[tuple[int, ...], int] = field(default_factory=dict)
    origin: dict[Value, Value] = field(default_factory=dict)  # of what a memory is a rearranged copy

    def add(self, box: Box, value: Value) -> int:
        """A box that writes a value."""
        self.boxes.append(box)
        n = len(self.boxes) - 1
        self.writers.setdefault(value.storage, {})[n] = value
        return n

    def step(self, step: Step) -> None:
        """A box with a hole for each array that is read, and wires to the boxes that wrote them."""
        rest = list(step.arrays)
        row: list[Text | Hole] = []
        ends: list[tuple[int, Row, int]] = []
        for piece in formula(step):
            read = None if isinstance(piece, str) else self.among(rest, piece[0])
            if read is None:
                row.append(Text(shortened(piece if isinstance(piece, str) else f"v{piece[0]}", LONGEST)))
            else:
                rest.remove(read)
                row.append(Hole())
                ends.append((self.source(read), marked(piece[1]), read.nbytes))
        for read in rest:  # ones that sum the axes of the other factor
            row += [Text(" × "), Hole()]
            ends.append((self.source(read), (), read.nbytes))
        self.overwritten(step)
        box = step_box(step, row, [label for _, label, _ in ends], self.most)
        n = self.add(box, self.terms.get(step.out, step.out))
        self.ends += [(source, n, label, size) for source, label, size in ends]
        if step.op == "copy":
            (self.origin[step.out.storage],) = (self.original(value) for value in step.arrays)

    def among(self, values: Sequence[Value], number: int) -> Value | None:
        """The one that lies in the memory of this number, or is a rearranged copy of that."""
        return next((v for v in values if number in (v.storage.number, self.original(v).number)), None)

    def original(self, value: Value) -> Value:
        return self.origin.get(value.storage, value.storage)

    def overwritten(self, step: Step) -> None:
        """What a step reads of the memory that it writes is read through it from now on."""
        memory = step.out.storage
        read = {self.source(value) for value in step.arrays if value.storage is memory}
        read |= {n for parts, whole in self.joined.items() if whole in read for n in parts}
        self.writers[memory] = {n: v for n, v in self.writers.get(memory, {}).items() if n not in read}

    def source(self, value: Value) -> int:
        """The box that wrote a value; where several wrote its parts, one box that joins them."""
        wrote = self.writers[value.storage]
        own = tuple(n for n, written in wrote.items() if written is value and value.base is not None)
        parts = own or tuple(wrote)
        if len(parts) == 1:
            return parts[0]
        if parts not in self.joined:
            self.boxes.append(Box("operation", ((Text(f"v{value.storage.number}", "quiet"),),)))
            self.joined[parts] = len(self.boxes) - 1
            self.ends += [(n, self.joined[parts], (), value.storage.nbytes // len(parts)) for n in parts]
        return self.joined[parts]

    def result(self, value: Value, name: str) -> None:
        """The name of a result at the foot of the box that has it."""
        if value.storage not in self.writers:
            return
        n = self.source(value)
        box = self.boxes[n]
        title = f"{', ' if box.name else '→ '}{shortened(name, LONGEST)}"
        self.boxes[n] = Box("defined", box.rows, (*box.name, Text(title, "name")), box.fill)

    def names(self) -> dict[int, Row]:
        """What the boxes are called where a wire would be too long."""
        found: dict[int, Row] = {
            n: (Text(f"v{memory.number}", "quiet"),) for memory, wrote in self.writers.items() for n in wrote
        }
        whole = [*self.joined.values(), *(n for n, box in enumerate(self.boxes) if box.kind == "input")]
        return found | {n: self.boxes[n].rows[0] for n in whole}

    def wires(self) -> list[Wire]:
        largest = max((size for *_, size in self.ends), default=1) or 1
        return [
            Wire(source, target, label, THIN + (THICK - THIN) * (size / largest) ** 0.5)
            for source, target, label, size in self.ends
        ]


# -------------------------------------------------------------------- what stands in a box


def step_box(step: Step, row: Sequence[Text | Hole], labels: Sequence[Row], most: int) -> Box:
    """`v7[b,j] = Σ K  • × •`, and below it shape and costs."""
    summed = sorted({piece.text for label in labels for piece in told(label) if piece.tone == "summed"})
    sign = (Text("Σ "), Text(",".join(summed), "summed"), Text("  ")) if summed else ()
    first = (Text(f"{target(step)} = ", "quiet"), *sign, *row)
    return Box("operation", (first, cost_row(step)), fill=shade(step.flops, most))


def told(row: Row) -> Iterator[Text]:
    return (piece for piece in row if isinstance(piece, Text))


def formula(step: Step) -> Iterator[str | tuple[int, str]]:
    """The right side of a step: texts, and arrays by the number of their memory with the letters of their axes."""
    note = step.told(lambda value: f"\ue000{value.number}\ue001")
    if not note:
        yield f"{step.op}("
        for n, value in enumerate(step.arrays):
            yield from ([", "] if n else [])
            yield value.storage.number, ""
        yield ")"
        return
    left, sign, right = EQUALS.split(note, maxsplit=1)
    if sign:  # `x += y` reads x
        right = f"{left} {sign} {right}"
    at = 0
    for match in MARK.finditer(right):
        if before := right[at : match.start()]:
            yield SIGNS.get(before, before)
        yield int(match[1]), match[2] or ""
        at = match.end()
    if right[at:]:
        yield right[at:]


def target(step: Step) -> str:
    """`v7[b,j]`"""
    return EQUALS.split(step.formula, maxsplit=1)[0] or f"v{step.out.storage.number}"


def marked(letters: str) -> Row:
    """Indices with the summed ones in bold: they are capitals."""
    pieces = [Text(x, "summed" if x[:1].isupper() else "plain") for x in letters.split(",") if x]
    return tuple(piece for x in pieces for piece in (Text(","), x))[1:]


def cost_row(step: Step) -> Row:
    flops = [amount(step.flops, "flop")] if step.flops else []
    costs = [extent(step.out.shape), *flops, amount(step.bytes, "B"), f"~ {about(step.seconds, 's')}"]
    return (Text(" · ".join(costs), "quiet"),)


def input_box(name: str, axes: Sequence[str], value: Value) -> Box:
    about = f"{extent(value.shape)} · {value.dtype} · {amount(value.nbytes, 'B')}"
    return Box("input", ((Text(shortened(with_axes(name, axes), LONGEST), "name"),), (Text(about, "quiet"),)))


def shade(flops: int, most: int) -> str:
    share = (flops / most) ** 0.6 if most else 0.0
    return "#" + "".join(f"{round(pale + (dark - pale) * share):02x}" for pale, dark in zip(PALE, DARK, strict=True))
