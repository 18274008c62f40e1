"""Pictures: what they show, that nothing overlaps, that every text is escaped; the HTML and LaTeX of notebooks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import pytest

import einstan as es
from einstan.show import chart, curves, graph, layered, plan_graph, program_graph
from einstan.show.amounts import about, amount
from einstan.show.graph import Area, Sketch
from einstan.show.html import formula
from einstan.show.layered import Cell, Link
from einstan.show.svg import Picture
from einstan.show.text import show_expr
from einstan.syntax import ast
from einstan.syntax.parser import parse_expression

from .models import MODELS
from .random_programs import program

ROOT = Path(__file__).parent.parent
SVG = "{http://www.w3.org/2000/svg}"
SMALL = [m for m in MODELS if "20" not in m.name and "30" not in m.name]
DENSE = """
Z[b,j] = X[b,K] W[K,j] + c[j]
Y[b,j] = tanh(Z[b,j])
L = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])
"""
PROGRAMS = {
    "nothing": "",
    "a copy": "y[i] = x[i]",
    "a transpose": "y[j,i] = x[i,j]",
    "a number": "y = 2",
    "a trace": "t = A[I,I] + 1",
    "constants": "o[k] = 1[k] x[k] |k| sqrt(pi)\nz[i,j] = delta[i,j] w[i] v[j]",
    "a fact": "fact T[n,C] 1[C] = 1[n]",
    "a claim": "claim u[I] v[I] = sum[i](u[i] v[i])",
    "a claim that is wrong": "claim u[I] v[I] = u[i] = sum[i](u[i] v[i])",
    "Greek and primes": "Γ'[α,β] = Σ[α,K] ω''[K,β] + ϕ[α]\nΨ = Γ'[A,B] Γ'[A,B] exp(-ε)",
    "long names": "\\hat{X}^{(m)}[batch,head] = W^{(m)}[batch,head] + " + "very" * 30 + "[batch,Along] x[Along]",
    "wide letters": "張量[批,次] = 输入[批,K] 権重[K,次] + é[次]",
    "parts": "y[j,k] = W[j,k=0:2] x[k=0:2] + [a[j,k], a[j,k]]_j",
    "opaque": "L = loss(X[:], Y[:]) + f'(q[K] q[K])\nX[i] = Q[i]\nfact 0 Y[i,j] = 0[i,j]\nr[i,j] = g[j](Z[i,K])",
    "comparisons": "y[i] = where(x[i] < 0, x[i] * 2^x[i], max(x[i], 0)) (x[i] >= z)",
    "derivatives": "L = x[I] x[I]\nw[i] = x[i] - eta ∂L/∂x[i]\n∂L/∂x[i] = 2 x[i]",
    "claims in a circle": "L = x[I] x[I]\n∂L/∂x[i] = B[i]\nB[i] = 2 ∂L/∂x[i] / 2",
    "a square of a sum": DENSE,
}


def texts(picture: str) -> list[str]:
    """The texts of a picture, runs of one text together."""
    return ["".join(e.itertext()) for e in ET.fromstring(picture).iter(f"{SVG}text")]


def sketched(p: es.Program) -> Sketch:
    boxes, wires, _ = program_graph.graph_of(p.checked, p.shown)
    return graph.sketch(boxes, wires)


def programs() -> Iterator[tuple[str, es.Program]]:
    for name, text in PROGRAMS.items():
        yield name, es.parse(text)
    for model in SMALL:
        p = es.parse(model.text)
        yield model.name, p
        yield f"{model.name}, gradient", p.grad(model.of, list(model.wrt))


ALL = dict(programs())


@cache
def sketch_of(name: str) -> Sketch:
    return sketched(ALL[name])


@cache
def picture_of(name: str) -> Picture:
    return ALL[name].svg()


# ---------------------------------------------------------------- expressions


@pytest.mark.parametrize("name", ALL)
def test_nothing_overlaps(name: str) -> None:
    assert_apart(sketch_of(name))


def assert_apart(found: Sketch) -> None:
    labels = [a for a, wire in zip(found.labels, found.wires, strict=True) if wire.label]
    for a, b in combinations([*found.areas, *labels], 2):
        assert not overlap(a, b)
    for area in [*found.areas, *labels]:
        assert 0 <= area.x <= area.x + area.width <= found.width
        assert 0 <= area.y <= area.y + area.height <= found.height


def overlap(a: Area, b: Area) -> bool:
    wide = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    return wide > 1e-6 and min(a.y + a.height, b.y + b.height) - max(a.y, b.y) > 1e-6


@pytest.mark.parametrize("name", ALL)
def test_wires_go_down_and_cross_no_box(name: str) -> None:
    found = sketch_of(name)
    for wire, route in zip(found.wires, found.routes, strict=True):
        assert all(s.top <= s.bottom for s in route)
        assert all(upper.bottom < lower.top for upper, lower in pairwise(route))
        source, target = found.areas[wire.source], found.areas[wire.target]
        assert route[0].x == pytest.approx(source.x + source.width / 2)
        assert route[0].top == pytest.approx(source.y + source.height)
        assert target.x < route[-1].x < target.x + target.width
        assert route[-1].bottom == pytest.approx(target.y)
        for stroke in route:
            line = Area(stroke.x - 0.5, stroke.top, 1.0, stroke.bottom - stroke.top)
            assert not any(overlap(line, area) for area in found.areas)


@pytest.mark.parametrize("name", ALL)
def test_a_program_shows_all_that_it_is_made_of(name: str) -> None:
    p, shown = ALL[name], texts(picture_of(name))
    lines = [s for s in p.shown if isinstance(s, ast.Definition)]
    for target in (show_expr(s.target) for s in lines):
        assert target in shown
    for tensor, axes in p.inputs.items() if not isinstance(p, es.programs.Derived) else ():
        assert any(text.startswith(tensor[:20]) for text in shown)
        assert all(any(letter.lower() in text.lower() for text in shown) for letter in axes)
    for claim in p.lines if isinstance(p, es.programs.Derived) else ():
        assert not isinstance(claim, ast.Claim) or show_expr(claim.forms[0]) in shown


def described(p: es.Program) -> list[str]:
    """`Z[b,j] = • + • <- b,j of ..; j of c[j]`: every box with its formula, then its wires with their indices."""
    boxes, wires, _ = program_graph.graph_of(p.checked, p.shown)
    called = [graph.row_text(box.name or box.rows[0]) for box in boxes]
    found = []
    for n, box in enumerate(boxes):
        ends = [f"{marked(w.label)} of {called[w.source]}" for w in wires if w.target == n]
        name = f"{called[n]} = " if box.name else ""
        found.append(f"{name}{graph.row_text(box.rows[0])}" + (f" <- {'; '.join(ends)}" if ends else ""))
    return found


def marked(row: graph.Row) -> str:
    """The label of a wire, summed indices between stars."""
    return "".join(f"*{t.text}*" if t.tone == "summed" else t.text for t in row if isinstance(t, graph.Text))


READ = {
    DENSE: [
        "Σ K  • × • <- b,*K* of X[b,k]; *K*,j of W[k,j]",
        "Z[b,j] = • + • <- b,j of Σ K  • × •; j of c[j]",
        "Y[b,j] = tanh(•) <- b,j of Z[b,j]",
        "• − • <- B,J of Y[b,j]; B,J of T[b,j]",
        "L = Σ B,J  • × • <- *B*,*J* of • − •; *B*,*J* of • − •",
        "X[b,k]", "W[k,j]", "c[j]", "T[b,j]",
    ],
    "t = A[I,I] b - 2 / sqrt(3)": [
        "t = • − 2 / sqrt(3) <-  of Σ I  • × •", "Σ I  • × • <- *I*,*I* of A[i,j];  of b", "A[i,j]", "b",
    ],
    "y[i] = sum[k](x[i,k])^2": ["sum[k](•) <- i,*k* of x[i,k]", "y[i] = •^2 <- i of sum[k](•)", "x[i,k]"],
    "y[i] = x[i]\nz = y[K] 1[K] / |K|": [
        "y[i] = • <- i of x[i]", "z = Σ K  • × 1[K] ÷ |K| <- *K* of y[i]", "x[i]",
    ],
    "r[i,j] = g[j](Z[i,K])": ["r[i,j] = g[j](•) <- i,*K* of Z[i,k]", "Z[i,k]"],
    "w[i] = x[i] - ∂L/∂x[i]\nL = x[I] x[I]": [
        "w[i] = • − • <- i of x[i]; i of ∂L/∂x[i]", "L = Σ I  • × • <- *I* of x[i]; *I* of x[i]", "x[i]", "∂L/∂x[i]",
    ],
    "L = x[I] x[I]\n∂L/∂x[i] = 2 x[i]\nclaim ∂L/∂x[I] x[I] = 2 L": [
        "L = Σ I  • × • <- *I* of x[i]; *I* of x[i]", "∂L/∂x[i] = 2 × • <- i of x[i]",
        "∂L/∂x[I] x[I] = 2 × • <-  of L", "x[i]",
    ],
    "claim x[i] = x[i] * 1\nclaim y[i] = x[i]\ny[i] = 2 x[i]\nz = y[I] x[I]": [
        "x[i] = • × 1 <- i of x[i]", "y[i] = • <- i of x[i]", "y[i] = 2 × • <- i of x[i]",
        "z = Σ I  • × • <- *I* of y[i]; *I* of x[i]", "x[i]",
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_boxes_and_wires(text: str) -> None:
    assert sorted(described(es.parse(text))) == sorted(READ[text])


def test_equal_operations_of_a_statement_are_one_box_and_equal_statements_two() -> None:
    p = es.parse("P[i] = exp(x[i])\nQ[i] = exp(x[i])")
    boxes, _, _ = program_graph.graph_of(p.checked, p.shown)
    assert [box.kind for box in boxes] == ["defined", "defined", "input"]


CHAIN = "\n".join(f"x{n + 1}[i] = tanh(W{n}[i,K] x{n}[K]) + x{n}[i]" for n in range(300))
LARGE = {
    "one box a statement": (CHAIN.split("\n")[:200], "x200[i]", ""),
    "a part": (CHAIN.split("\n"), "x250[i]", "50 of 300 statements are left out."),
    "a sum of many": ([f"y = {' + '.join(f'a{n}' for n in range(1000))}"], "988 more operands without wires", ""),
    "deep brackets": (["y = " + "sin(" * 900 + "x" + ")" * 900], "y", ""),
}


@pytest.mark.parametrize(("lines", "last", "note"), LARGE.values(), ids=LARGE)
def test_large_programs(lines: list[str], last: str, note: str) -> None:
    p = es.parse("\n".join(lines))
    found = texts(p.svg())
    assert last in found
    assert (note in found) == bool(note)
    assert len(found) < 4000
    assert_apart(sketched(p))
    width = max(a.width for a in sketched(p).areas)
    assert sketched(p).width < 6 * width  # a chain stands upright


def test_names_far_away_are_written_again() -> None:
    steps = [f"x{n + 1}[i] = tanh(x{n}[i])" for n in range(12)]
    boxes, wires, _ = program_graph.graph_of(
        *(lambda p: (p.checked, p.shown))(es.parse("\n".join([*steps, "y[i] = x12[i] x1[i]"])))
    )
    (again,) = (n for n, box in enumerate(boxes) if box.kind == "again")
    assert graph.row_text(boxes[again].rows[0]) == "x1[i]"
    assert [graph.row_text(boxes[w.target].name) for w in wires if w.source == again] == ["y[i]"]


# ---------------------------------------------------------------- layers


def test_layers_without_crossings_where_there_need_be_none() -> None:
    wide, ports = 40.0, (10.0, 30.0)
    cells = [Cell(wide, 20)] * 4 + [Cell(wide, 20, ports, 16)] * 3
    links = [Link(0, 4, 1), Link(1, 5, 0), Link(2, 4, 0), Link(3, 5, 1), Link(5, 6, 0), Link(4, 6, 1)]
    grid = layered.Grid(cells, links)
    layered.reduce_crossings(grid)
    assert layered.crossings(grid) == 0


@pytest.mark.parametrize(
    ("values", "pairs"), [([], 0), ([1, 2, 3], 0), ([3, 2, 1], 3), ([2, 2, 1], 2), ([1, 3, 2, 0], 4)]
)
def test_inversions(values: list[float], pairs: int) -> None:
    assert layered.inversions(values) == pairs


def test_a_wire_over_many_layers_is_straight() -> None:
    cells = [Cell(40, 20), *[Cell(40, 20, (20.0,), 16)] * 6, Cell(60, 20, (15.0, 45.0), 16)]
    links = [Link(n, n + 1, 0) for n in range(7)] + [Link(0, 7, 1)]
    passing = layered.layered(cells, links).routes[-1][1:-1]
    assert len(passing) == 6 and len({stroke.x for stroke in passing}) == 1


# ---------------------------------------------------------------- kernels

TEN = "R[a,k] = " + " ".join(
    f"M{n}[{a if n == 0 else a.upper()},{b if n == 9 else b.upper()}]"
    for n, (a, b) in enumerate(pairwise("abcdefghijk"))
)
KERNELS = {
    "gradient": lambda: es.parse(DENSE).value_and_grad("L", ["W", "c"]).compile(),
    "ten matrices": lambda: es.parse(TEN).compile("R", sizes=dict(zip("abcdefghijk", range(3, 36, 3), strict=True))),
    "Hessian": lambda: es.parse(DENSE).hessian("L", ["W", "c"]).compile(sizes={"b": 16, "k": 8, "j": 4}),
    "a diagonal": lambda: es.parse("D[i,i] = d[i]\nE[i,j] = exp(D[i,j])").compile(["D", "E"]),
    "parts of parts": lambda: es.parse("y[k] = [tanh(x[k]), exp([sin(x[k]), x[k]]_k)]_k").compile("y"),
    "parts joined": lambda: es.parse("f[b,j] = W[j,K] [h[b,K], tanh(x[b,K])]_K + c[j]").compile(["f"]),
    "a copy": lambda: es.parse("y[i] = x[i]").compile("y"),
    "a number": lambda: es.parse("y = 2").compile("y"),
    "an opaque function": lambda: es.parse("r[i,j] = g[j](Z[i,K])\nfact 0 r[i,j] = 0 B[j]").compile(
        "r", functions={"g": lambda z: z}
    ),
    **{
        m.name: lambda m=m: es.parse(m.text).value_and_grad(m.of, list(m.wrt)).compile(functions=m.functions)
        for m in SMALL
    },
}  # fmt: skip


@cache
def kernel(name: str) -> es.Kernel:
    return KERNELS[name]()


@pytest.mark.parametrize("name", KERNELS)
def test_kernels(name: str) -> None:
    k = kernel(name)
    steps = [step for step in k.steps if not step.is_view]
    boxes, wires, _ = plan_graph.graph_of(k._current().plan, k.inputs, k._results)
    shown = [[graph.row_text(row) for row in box.rows] for box in boxes]
    drawn = [rows for rows in shown if len(rows) == 2 and rows[0] and not rows[1].count("float64")]
    assert len(drawn) == len(steps)
    assert [rows[1] for rows in drawn] == [graph.row_text(plan_graph.cost_row(step)) for step in steps]
    read = k._current().plan.inputs
    for tensor, axes in ((tensor, k.inputs[tensor]) for tensor in read):
        assert [f"{tensor}[{','.join(axes)}]" if axes else tensor] == [
            rows[0] for rows in shown if rows[0].split("[")[0] == tensor
        ][:1]
    totals = (
        f"Kernel: {amount(k.cost.flops, 'flop')}, {amount(k.cost.bytes, 'B')} moved, {amount(k.cost.peak_bytes, 'B')}"
    )
    assert any(text.startswith(totals) for text in texts(k.svg()))
    assert sum(step.flops for step in steps) == k.cost.flops and sum(step.bytes for step in steps) == k.cost.bytes
    assert_apart(graph.sketch(boxes, wires))


def test_a_chain_of_matrices_is_a_binary_tree() -> None:
    k = kernel("ten matrices")
    boxes, wires, _ = plan_graph.graph_of(k._current().plan, k.inputs, k._results)
    entering = [sum(w.target == n for w in wires) for n in range(len(boxes))]
    leaving = [sum(w.source == n for w in wires) for n in range(len(boxes))]
    assert sorted(entering) == [0] * 10 + [2] * 9
    assert sorted(leaving) == [0] + [1] * 18


def test_kernels_of_many_steps_are_drawn_in_part() -> None:
    names = ["x", *(f"y{n}" for n in range(320))]
    p = es.parse("\n".join(f"{b}[i] = sin({a}[i]) x[i]" for a, b in pairwise(names)))
    shown = texts(p.compile("y319").svg())
    assert any(text.startswith("340 of 640 steps are left out.") for text in shown)
    assert "→ the result" not in shown


@pytest.mark.parametrize("name", KERNELS)
def test_steps_read_what_was_written_last(name: str) -> None:
    """Every array that a step reads is written in the boxes above it, all of it."""
    plan = kernel(name)._current().plan
    steps = [step for step in plan.steps if not step.is_view]
    found = plan_graph.read(plan, {}, kernel(name)._results)
    drawn = [n for n, box in enumerate(found.boxes) if len(box.rows) > 1 and box.kind != "input"]
    above: list[set[int]] = [set() for _ in found.boxes]
    for source, target, _, _ in found.ends:
        above[target] |= {source} | above[source]
    wrote = [(drawn[k], step.out) for k, step in enumerate(steps)] + [*enumerate(plan.inputs.values())]
    for n, step in zip(drawn, steps, strict=True):
        for value in step.arrays:
            own = {k for k, out in wrote if out is value and value.base is not None and k < n}
            assert above[n] >= (own or {k for k, out in wrote if out.storage is value.storage and k < n})


def test_results_have_their_names() -> None:
    shown = texts(kernel("gradient").svg())
    assert {"→ the value", "→ W", "→ c"} <= set(shown)


# ---------------------------------------------------------------- what is written is escaped

HOSTILE = ["<script>alert(1)</script>", "a\"b'c", "a&amp;b", "]]>", "\x00\x08", "\ud800", "\u202e", "<!--"]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_escaped(text: str) -> None:
    rows = {text: {text: 1.0, "other": None}}
    box = graph.Box("defined", ((graph.Text(text),),), (graph.Text(text, "name"),))
    for picture in (chart.bars(text, rows, text, note=text), graph.draw(graph.sketch([box], []), text, [text], text)):
        picture.encode("utf-8")
        tags = {e.tag.removeprefix(SVG) for e in ET.fromstring(picture).iter()}
        assert tags <= {"svg", "title", "g", "rect", "line", "path", "circle", "text", "tspan"}
        if "\x00" not in text and text != "\ud800":
            assert any(text in found for found in texts(picture))


def test_attributes_hold_no_names() -> None:
    p = es.parse("onload[i] = href[i,K] script[K]")
    for e in ET.fromstring(p.svg()).iter():
        assert not [value for key, value in e.attrib.items() if "onload" in value or key.startswith("on")]


# ---------------------------------------------------------------- pictures themselves


@pytest.mark.parametrize("name", ALL)
def test_sizes(name: str) -> None:
    root = ET.fromstring(picture_of(name))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert root.attrib["viewBox"] == f"0 0 {root.attrib['width']} {root.attrib['height']}"
    assert 50 < width < 6000 and 30 < height < 6000


def test_pictures_are_saved(tmp_path: Path) -> None:
    es.parse(DENSE).svg().save(tmp_path / "p.svg")
    assert (tmp_path / "p.svg").read_text(encoding="utf-8") == es.parse(DENSE).svg() == es.parse(DENSE)._repr_svg_()


SAME = """
import einstan as es, hashlib
p = es.parse({text!r})
g = p.grad("L", wrt=["W", "c"])
print(hashlib.sha256((p.svg() + g.svg() + g.compile().svg() + g._repr_html_()).encode()).hexdigest())
"""


@pytest.mark.parametrize("seed", range(20))
def test_random_programs(seed: int) -> None:
    p = es.parse(program(seed).text())
    g = p.grad("L", list(p.inputs)[:2])
    for shown in (p, g):
        ET.fromstring(shown.svg())
        ET.fromstring(shown._repr_html_().replace("<br>", "<br/>"))
        assert_apart(sketched(shown))


def test_the_same_picture_in_every_process() -> None:
    code = SAME.format(text=DENSE)
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2", "3")]
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=env)
        for env in environments
    ]
    assert len({run.stdout for run in runs}) == 1


def test_import_brings_no_pictures() -> None:
    code = "import einstan, sys; print([m for m in sys.modules if m.startswith('einstan.show.')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    pictures = ("svg", "graph", "layered", "program_graph", "plan_graph", "html", "chart")
    assert not [m for m in pictures if f"show.{m}'" in out]


# ---------------------------------------------------------------- bars

ROWS = {"greedy": {"separate": 3e9, "joint": 2e9}, "dp": {"separate": 2.5e9, "joint": None}, "nothing": {}}


@pytest.mark.parametrize("log", [False, True])
def test_bars(log: bool) -> None:
    picture = chart.bars("Flops", ROWS, "flop", log, "a note")
    assert {
        "Flops",
        "greedy",
        "dp",
        "nothing",
        "separate",
        "joint",
        "3 Gflop",
        "2 Gflop",
        "2.5 Gflop",
        "–",
        "a note",
    } <= set(texts(picture))
    lengths = [float(e.attrib["width"]) for e in ET.fromstring(picture).iter(f"{SVG}rect")][-3:]
    assert lengths[0] > lengths[2] > lengths[1] > 0


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"a": {}},
        {"a": {"x": 0}},
        {"a": {"x": float("inf"), "y": float("nan"), "z": 10**400}},
        {"a": {"x": 1e-12, "y": 1e12}},
    ],
)
@pytest.mark.parametrize("log", [False, True])
def test_bars_of_odd_numbers(rows: chart.Rows, log: bool) -> None:
    root = ET.fromstring(chart.bars("title", rows, "s", log))
    assert all(0 <= float(e.attrib["width"]) <= float(root.attrib["width"]) for e in root.iter(f"{SVG}rect"))


FALLING = [
    {"one": [(0, 1.0), (1, 1e-3), (2, 1e-9)], "two": [(n, 0.9**n) for n in range(200)]},
    {"nothing": []},
    {"no place": [(0, 0.0), (1, -1.0), (2, float("nan")), (3, float("inf"))], "one point": [(0, 1.0)]},
    {"far": [(0, 1e-300), (1e9, 1e300)]},
    {'<&">': [(0, 2.0), (1, 2.0)]},
]


@pytest.mark.parametrize("series", FALLING, ids=lambda series: next(iter(series)))
def test_curves(series: dict[str, list[tuple[float, float]]]) -> None:
    """Every point is in the picture, every series in the legend."""
    root = ET.fromstring(curves.curves("Falling <&>", series, "steps"))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    dots = [(float(e.attrib["cx"]), float(e.attrib["cy"])) for e in root.iter(f"{SVG}circle")]
    texts = [e.text for e in root.iter(f"{SVG}text")]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in dots)
    assert {*series, "steps", "Falling <&>"} <= set(texts)
    few = sum(len([y for _, y in own if 0 < y < float("inf")]) for own in series.values() if len(own) < 100)
    assert len(dots) == len(series) + few


AMOUNTS = [
    (0, "B", "0 B"), (999, "B", "999 B"), (1000, "B", "1 kB"), (1536000, "B", "1.54 MB"), (999_999, "B", "1 MB"),
    (1.5e-7, "s", "150 ns"), (0.0123, "s", "12.3 ms"), (1.26, "×", "1.26×"), (12, "%", "12%"), (3, "", "3"),
    (1e30, "flop", "1e+12 Eflop"), (float("inf"), "s", "∞ s"), (10**400, "B", "∞ B"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "unit", "written"), AMOUNTS)
def test_amounts(value: float, unit: str, written: str) -> None:
    assert amount(value, unit) == written


# ---------------------------------------------------------------- notebooks

FORMULAS = {
    "X[b,K] W[K,j]": "<i>X</i><sub><i>b</i>,<i>K</i></sub> <i>W</i><sub><i>K</i>,<i>j</i></sub>",
    "loss'": "loss′",
    "\\hat{X}^{(m)}[i]^2": "<i>X\u0302</i><sup>(m)</sup><sub><i>i</i></sub><sup>2</sup>",
    "1e-30 x": "1·10<sup>−30</sup> <i>x</i>",
    "x^-1": "<i>x</i><sup>−1</sup>",
    "(x < y) + (x <= 2)": "(<i>x</i> &lt; <i>y</i>) + (<i>x</i> ≤ 2)",
    "sum[k](x[k])": "∑<sub><i>k</i></sub>(<i>x</i><sub><i>k</i></sub>)",
    "1[K] delta[i,j]": "<b>1</b><sub><i>K</i></sub> <i>δ</i><sub><i>i</i>,<i>j</i></sub>",
    "[a[k], b[k]]_k": "[<i>a</i><sub><i>k</i></sub>, <i>b</i><sub><i>k</i></sub>]<sub><i>k</i></sub>",
    "-a - 2": "−<i>a</i> − 2",
    "W[j,k=0:2]": "<i>W</i><sub><i>j</i>,k=0:2</sub>",
}


@pytest.mark.parametrize(("text", "written"), FORMULAS.items())
def test_formulas_in_html(text: str, written: str) -> None:
    assert formula(parse_expression(text, ())) == written


@pytest.mark.parametrize("name", ALL)
def test_html_of_programs(name: str) -> None:
    p = ALL[name]
    root = ET.fromstring(p._repr_html_().replace("<br>", "<br/>"))
    assert len(root.findall("br")) == max(0, len(p.shown) - 1)
    for defined in [] if isinstance(p, es.programs.Derived) else p.names:
        ET.fromstring(p[defined]._repr_html_())


def test_html_without_tags_is_the_formula() -> None:
    g = es.parse(DENSE).grad("L", ["W"])
    plain = re.sub("<[^>]*>", "", g._repr_html_()).strip().split("\n")
    assert plain[-1] == "∂L/∂Wk,j = XB,k ∂L/∂ZB,j"


@pytest.mark.parametrize("name", KERNELS)
def test_html_of_kernels(name: str) -> None:
    k = kernel(name)
    rows = [["".join(cell.itertext()) for cell in row] for row in ET.fromstring(k._repr_html_()).iter("tr")]
    steps = [step for step in k.steps if not step.is_view]
    assert len(rows) == 1 + len(k._current().plan.inputs) + len(steps) + 1
    assert rows[-1][-1] == about(k.cost.seconds, "s")
    assert rows[-1][-2] == amount(k.cost.bytes, "B")
    assert rows[-1][-3] == (amount(k.cost.flops, "flop") if k.cost.flops else "")


def test_kernels_whose_nominal_sizes_do_not_fit_are_shown_as_text() -> None:
    k = es.parse("y[k] = W[k=3:900]").compile("y")
    assert k._repr_html_() is None


def test_latex_of_notebooks() -> None:
    p = es.parse(DENSE)
    for shown in (p, p.grad("L", "W")):
        inner = shown._repr_latex_().removeprefix("$$\\begin{aligned}").removesuffix("\\end{aligned}$$")
        assert inner == shown.latex().removeprefix("\\begin{align}").removesuffix("\\end{align}")
    assert p["Y"]._repr_latex_() == f"$\\displaystyle {p['Y'].latex()}$"


def test_expressions_have_pictures() -> None:
    X, W = es.tensors("X[b,k] W[k,j]")
    b, j, K = es.indices("b j K")
    for e in (X[b, K] * W[K, j], es.tanh(X[b, K] * W[K, j]), es.parse(DENSE)["Y"], es.parse(DENSE).expr("Z[B,j] 1[B]")):
        assert "X[b,k]" in texts(e.svg())
        ET.fromstring(e._repr_html_())


def test_tensors_and_unfinished_formulas_are_shown() -> None:
    X = es.tensors("X[b,k]")
    b, K = es.indices("b K")
    assert X.latex() == X["b", "k"].latex() == "X_{b,k}" and X.svg() == X["b", "k"].svg()
    assert X[b, K].latex() == "X_{b,K}"  # not a whole formula, which has a place for K elsewhere
    assert re.sub("<[^>]*>", "", X[b, K]._repr_html_()) == "Xb,K"


def test_numbers_with_exponents_are_no_differences() -> None:
    p = es.parse("y = 1e-30 x + z^1e40 / 3e-25")
    assert "1\\mathrm{e}{-30} x" in p.latex() and "-" not in p.latex().replace("{-", "")
    assert str(es.parse(p.latex())) == str(p)
