"""program_graph: the statements of a program as a picture: what is read, what is done with it, what that is called.

A box is one operation of the text as it stands there, with holes for its operands; a wire carries the indices of the
operand, those that the operation sums over in bold. Equal operations of a statement are one box. Programs of many
operations are drawn with one box a statement, and very long ones only in part, which the picture says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from ..lower import derivative_name, numerator_text
from ..syntax import ast
from ..syntax.checked import Checked
from ..syntax.roster import names_in
from ..syntax.scope import Scope
from . import text
from .graph import Box, Hole, Row, Text, Wire, again, draw, row_text, sketch
from .spelling import with_axes
from .svg import Picture, shortened

OPERATIONS: Final = 150  # more are drawn as one box a statement
STATEMENTS: Final = 250  # more are not drawn
OPERANDS: Final = 12  # wires of a box that is a whole statement
LONGEST, LONGEST_INDEX = 64, 24  # characters of a formula in one box; of an index
SIGNS: Final = {" ": " × ", " * ": " × ", " / ": " ÷ ", "1 / ": "1 ÷ ", " - ": " − ", "-": "−"}

Named = ast.Tensor | ast.Derivative


def picture(checked: Checked, statements: Sequence[ast.Statement]) -> Picture:
    """The drawing of those statements of a checked program that define or claim something."""
    boxes, wires, note = graph_of(checked, statements)
    names = ", ".join(row_text(box.name) for box in boxes if box.name)
    return draw(sketch(boxes, wires), f"The expression graph of {shortened(names, 80) or 'no statement'}", note=note)


def graph_of(checked: Checked, statements: Sequence[ast.Statement]) -> tuple[list[Box], list[Wire], str]:
    """The boxes and the wires, and what is left out."""
    lines = list(lines_of(checked, statements))
    shown = lines[:STATEMENTS]
    graph = operations(checked, shown)
    whole = statements is checked.module.statements  # and no derivatives, which show what they read alone
    inputs = checked.inputs if whole else ()
    if len(graph.boxes) + len(graph.read) > OPERATIONS:
        graph, inputs = summaries(checked, shown), ()
    boxes, wires = graph.joined(inputs)
    called = {n: box.name or box.rows[0] for n, box in enumerate(boxes) if box.name or box.kind == "input"}
    left = len(lines) - len(shown)
    note = "" if boxes else "There is no statement."
    if left:
        note = f"{left:,} of {len(lines):,} statements are left out."
    return *again(boxes, wires, called), note


# -------------------------------------------------------------------- what is drawn


@dataclass(frozen=True, slots=True)
class Line:
    """`target = body`, defined or claimed."""

    name: str  # by which other lines read it
    target: ast.Expr
    body: ast.Expr
    scope: Scope
    kind: str


def lines_of(checked: Checked, statements: Sequence[ast.Statement]) -> Iterator[Line]:
    """Definitions after what they use, claims after the definitions that they read."""
    forms = {id(c.claim): c.forms for c in checked.claims}
    defined = {s.target.name: s for s in statements if isinstance(s, ast.Definition)}
    order = [defined[name] for name in checked.order if name in defined]
    rank = {s.target.name: n for n, s in enumerate(order)}
    done = 0
    for s in statements:
        if not isinstance(s, ast.Definition | ast.Claim):
            continue
        read = (s.target.name,) if isinstance(s, ast.Definition) else (x for form in s.forms for x in names_in(form))
        last = max((rank[name] for name in read if name in rank), default=-1)
        for d in order[done : last + 1]:
            yield Line(d.target.name, d.target, d.body, checked.scopes[id(d.body)], "defined")
        done = max(done, last + 1)
        if isinstance(s, ast.Claim):
            legal = zip(s.forms[1:], forms[id(s)][1:], strict=True)
            yield from (
                Line(name_of(s.forms[0]), s.forms[0], tree, form.scope, "claimed")
                for tree, form in legal
                if form.scope is not None
            )


def name_of(e: ast.Expr) -> str:
    """By what a tensor or a derivative is read; the text of anything else."""
    if isinstance(e, ast.Derivative):
        return derivative_name(numerator_text(e.numerator), [d.name for d in e.denominators])
    return e.name if isinstance(e, ast.Tensor) else text.show_expr(e)


@dataclass(slots=True)
class Graph:
    """Boxes and wires as they are found; a wire may come from a name, whose box is not known yet."""

    checked: Checked
    boxes: list[Box] = field(default_factory=list)
    wires: list[tuple[int | str, int, Row]] = field(default_factory=list)
    named: dict[str, int] = field(default_factory=dict)
    read: dict[str, Row] = field(default_factory=dict)  # names without a box, as they are written on one

    def add(self, box: Box, ends: Iterable[tuple[int | str, Row]]) -> int:
        self.boxes.append(box)
        n = len(self.boxes) - 1
        self.wires += [(source, n, label) for source, label in ends]
        return n

    def call(self, line: Line, box: int) -> None:
        """Later lines that read the name are joined to the box; claims say something of names, but are no names."""
        if line.kind == "defined" or isinstance(line.target, ast.Derivative):
            self.named.setdefault(line.name, box)

    def source(self, e: Named) -> int | str:
        """The box of a name that an earlier line is called; else the name."""
        name = name_of(e)
        if name not in self.named:
            self.read.setdefault(name, title(self.spelled(e)))
        return self.named.get(name, name)

    def spelled(self, e: Named) -> str:
        """A name with the letters of its axes; a derivative as it is written where it is met first."""
        if isinstance(e, ast.Derivative):
            return text.show_expr(e)
        defined = self.checked.definitions.get(e.name)
        letters = [i.name for i in defined.target.indices or ()] if defined else self.checked.inputs.get(e.name, ())
        return with_axes(e.name, letters)

    def joined(self, inputs: Iterable[str]) -> tuple[list[Box], list[Wire]]:
        """All boxes, with one for each name that no line defines, and the wires between their numbers."""
        for name in inputs:
            self.read.setdefault(name, title(with_axes(name, self.checked.inputs[name])))
        first = len(self.boxes)
        number = {name: first + n for n, name in enumerate(self.read)}
        boxes = [*self.boxes, *(Box("input", (row,)) for row in self.read.values())]
        ends = [(source if isinstance(source, int) else number[source], n, label) for source, n, label in self.wires]
        return boxes, [Wire(source, n, label) for source, n, label in ends]


def title(name: str) -> Row:
    return (Text(shortened(name, LONGEST), "name"),)


# -------------------------------------------------------------------- one box for each operation


def operations(checked: Checked, lines: Sequence[Line]) -> Graph:
    """Every operation of every line; stops growing once there are too many."""
    graph = Graph(checked)
    for line in lines:
        if len(graph.boxes) > OPERATIONS:
            break
        graph.call(line, Walk(graph, line.scope).line(line))
    return graph


@dataclass(slots=True)
class Walk:
    """One tree on its way into the graph: what each expression became, the boxes that it has already, by id what has
    no box because it is constant."""

    graph: Graph
    scope: Scope
    made: dict[int, int | str] = field(default_factory=dict)
    known: dict[object, int] = field(default_factory=dict)
    constant: set[int] = field(default_factory=set)

    def line(self, line: Line) -> int:
        root = opened(line.body)
        for e in operands_first(root):
            if self.is_constant(e):
                self.constant.add(id(e))
            elif e is not root:
                self.made[id(e)] = self.graph.source(e) if self.is_leaf(e) else self.operation(e)
        row, ends = self.row(root)
        return self.graph.add(Box(line.kind, (row,), title(text.show_expr(line.target))), ends)

    def operation(self, e: ast.Expr) -> int:
        row, ends = self.row(e)
        sizes = tuple(self.scope.axes[id(e)].items())
        key = (row, tuple(ends), sizes)
        if key not in self.known:
            self.known[key] = self.graph.add(Box("operation", (row,)), ends)
        return self.known[key]

    def is_leaf(self, e: ast.Expr) -> TypeGuard[Named]:
        """A name whose indices are not summed where it stands."""
        return isinstance(e, Named) and id(e) not in self.scope.summed

    def is_name(self, e: ast.Expr) -> TypeGuard[Named]:
        """A tensor or a derivative, but not pi and not Kronecker's delta."""
        if isinstance(e, ast.Tensor):
            return e.name in self.graph.checked.shapes and not (e.name == "delta" and len(e.indices or ()) == 2)
        return isinstance(e, ast.Derivative)

    def is_constant(self, e: ast.Expr) -> bool:
        """Numbers, ones, sizes and what is made of them: written in the box of the operation that uses them."""
        if isinstance(e, Named):
            return not self.is_name(e)
        made = all(id(opened(k)) in self.constant for k in e.children)
        return made and id(e) not in self.scope.summed

    def row(self, e: ast.Expr) -> tuple[Row, list[tuple[int | str, Row]]]:
        """The text of an operation with holes, and what ends in them."""
        if id(e) in self.constant:
            return (told(text.show_expr(e)),), []
        if isinstance(e, Named):
            return (*self.sign_of_sum(e), Hole()), [(self.graph.source(e), self.label(e, e))]
        row: list[Text | Hole] = list(self.sign_of_sum(e))
        ends = []
        for piece in text.pieces(e):
            if isinstance(piece, str):
                row.append(told(SIGNS.get(piece, piece)))
                continue
            operand = opened(piece[0])
            if id(operand) in self.constant:
                row.append(told(text.show_expr(piece[0])))
            else:
                row.append(Hole())
                ends.append((self.made[id(operand)], self.label(operand, e)))
        return tuple(row), ends

    def sign_of_sum(self, e: ast.Expr) -> Row:
        """`Σ K` before a product that sums over K."""
        if isinstance(e, ast.Call) or id(e) not in self.scope.summed:
            return ()
        summed = ",".join(shortened(name, LONGEST_INDEX) for name in self.scope.summed[id(e)])
        return Text("Σ "), Text(summed, "summed"), Text("  ")

    def label(self, e: ast.Expr, above: ast.Expr) -> Row:
        """The indices of an operand; those that it has and the operation above has not are marked."""
        if isinstance(e, ast.Tensor) and e.indices is None:
            return (Text("[:]"),)
        kept = self.scope.axes[id(above)]
        names = written_indices(e) if self.is_leaf(e) or e is above else [(x, x) for x in self.scope.axes[id(e)]]
        row = [Text(shortened(shown, LONGEST_INDEX), "plain" if name in kept else "summed") for name, shown in names]
        return tuple(piece for x in row for piece in (Text(","), x))[1:]


def written_indices(e: ast.Expr) -> list[tuple[str, str]]:
    """The indices as they stand at a name: the letter, and how it is written (`k=0:2`)."""
    if isinstance(e, ast.Derivative):
        return [pair for t in (e.numerator, *e.denominators) for pair in written_indices(t)]
    return [(i.name, text.index(i)) for i in ast.indices_of(e)]


def told(s: str) -> Text:
    return Text(shortened(s, LONGEST))


def opened(e: ast.Expr) -> ast.Expr:
    """Without the brackets around it."""
    while isinstance(e, ast.Group):
        e = e.body
    return e


def operands_first(root: ast.Expr) -> Iterator[ast.Expr]:
    """Every expression below once, brackets left out; what a derivative is of belongs to its name."""
    seen: set[int] = set()
    stack = [(root, False)]
    while stack:
        e, entered = stack.pop()
        if entered:
            yield e
        elif id(e) not in seen:
            seen.add(id(e))
            stack.append((e, True))
            below = () if isinstance(e, ast.Derivative) else e.children
            stack.extend((opened(k), False) for k in reversed(below))


# -------------------------------------------------------------------- one box for each statement


def summaries(checked: Checked, lines: Sequence[Line]) -> Graph:
    """Every line as a box with its formula, and a wire from everything that it reads."""
    graph = Graph(checked)
    for line in lines:
        walk = Walk(graph, line.scope)
        root = opened(line.body)
        found: dict[str, Named] = {}
        for e in operands_first(root):
            if walk.is_name(e):
                found.setdefault(name_of(e), e)
        drawn = list(found.values())[:OPERANDS]
        rows: list[Row] = [(told(text.show_expr(root)),)]
        if len(found) > len(drawn):
            rows.append((Text(f"{len(found) - len(drawn):,} more operands without wires", "quiet"),))
        ends = [(graph.source(e), walk.label(e, e)) for e in drawn]
        graph.call(line, graph.add(Box(line.kind, tuple(rows), title(text.show_expr(line.target))), ends))
    return graph
