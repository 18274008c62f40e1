"""Depth, sharing, length and size: everything is linear, nothing recurs on depth, nothing has a limit of its own."""

from __future__ import annotations

import gc
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import einstan as es
from benchmarks import growth, models
from einstan.ir import Node, inline, toposort
from einstan.request import ALL_LAWS, Graph, Term
from einstan.running import Bound
from einstan.syntax.lexer import NO_LIMITS

DEPTHS = [200, pytest.param(100_000, marks=pytest.mark.slow)]
ROOM = 150  # calls that may be nested where nothing recurs on depth

CHAINS = {
    "scalars": ("y0 = x", "y{m} = sin(y{n})", 0.3),
    "vectors": ("y0[i] = x[i]", "y{m}[i] = tanh(y{n}[i]) + y{n}[i]", np.full(3, 1e-9)),
    "sums": ("y0 = x", "y{m} = y{n} + 1", 0.3),
    "shared": ("y0 = x", "y{m} = sin(y{n}) cos(y{n})", 0.3),
}


def chain(name: str, depth: int) -> str:
    first, rule, _ = CHAINS[name]
    lines = [rule.format(m=n + 1, n=n) for n in range(depth)]
    total = f"L = y{depth}[I] 1[I]" if "[i]" in first else f"L = 2 y{depth}"
    return "\n".join([first, *lines, total])


@contextmanager
def little_stack() -> Iterator[None]:
    """Room for so many nested calls as nothing needs that does not recur on depth."""
    frame, used, before = sys._getframe(), 0, sys.getrecursionlimit()
    while frame.f_back:
        frame, used = frame.f_back, used + 1
    sys.setrecursionlimit(used + ROOM)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


Stage = Callable[[es.Program, Any], None]


def prints(p: es.Program, x: Any) -> None:
    assert es.parse(str(p), limits=NO_LIMITS) == p


def pickles(p: es.Program, x: Any) -> None:
    assert pickle.loads(pickle.dumps(p)) == p


def pickles_nodes(p: es.Program, x: Any) -> None:
    """Inlined, the last name is a node as deep as the program."""
    deep = whole(p)
    assert pickle.loads(pickle.dumps(deep)) is deep


def derives(p: es.Program, x: Any) -> None:
    lines = str(p.grad("L", "x"))
    assert len(lines) < 6 * len(str(p))
    es.parse(f"{p}\n{lines}", limits=NO_LIMITS)


def runs(p: es.Program, x: Any) -> None:
    value, slope = p.value_and_grad("L", "x").run(x=x)
    assert np.isfinite(value).all() and np.isfinite(slope).all()


def is_freed(p: es.Program, x: Any) -> None:
    deep = whole(es.parse(str(p).replace("x", "z"), limits=NO_LIMITS))
    del deep
    gc.collect()


STAGES: tuple[Stage, ...] = (prints, pickles, pickles_nodes, derives, runs, is_freed)


def whole(p: es.Program) -> Node:
    return inline([p.leaves["L"]], {p.leaves[name]: body for name, body in p.bodies.items()})[0]


@pytest.fixture(scope="module", params=DEPTHS)
def depth(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module", params=CHAINS)
def deep(request: pytest.FixtureRequest, depth: int) -> tuple[es.Program, Any]:
    with little_stack():
        return es.parse(chain(request.param, depth), limits=NO_LIMITS), CHAINS[request.param][2]


@pytest.mark.parametrize("stage", STAGES, ids=[stage.__name__ for stage in STAGES])
def test_no_stage_recurs_on_the_depth_of_names(deep: tuple[es.Program, Any], stage: Stage) -> None:
    with little_stack():
        stage(*deep)


ON_BRACKETS = [stage for stage in STAGES if stage is not derives]  # what has no name is written wherever it is used


@pytest.mark.parametrize("stage", ON_BRACKETS, ids=[stage.__name__ for stage in ON_BRACKETS])
def test_no_stage_recurs_on_the_depth_of_brackets(depth: int, stage: Stage) -> None:
    with little_stack():
        stage(es.parse("L = " + "sin(" * depth + "x + 1" + ")" * depth, limits=NO_LIMITS), 0.3)


@pytest.mark.parametrize("sign", [" + ", " "])
def test_flat_sums_and_products(depth: int, sign: str) -> None:
    names = [f"a{n}" for n in range(depth)]
    p = es.parse(f"L = {sign.join(names)}", limits=NO_LIMITS)
    with little_stack():
        assert es.parse(str(p), limits=NO_LIMITS) == p
        value = p.compile("L")(dict.fromkeys(names, 1.0))
    assert value == (depth if "+" in sign else 1)


# ---------------------------------------------------------------- sharing


def nodes(depth: int, order: int) -> int:
    """How many nodes the derivative of this order has."""
    wanted = [Term("L", ("x",) * order)]
    graph = Graph.of(es.parse(chain("shared", depth)).definitions(), wanted, ALL_LAWS)
    return len(toposort(graph.nodes(list)))


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_of_shared_formulas_grow_linearly(order: int) -> None:
    few, more, many = (nodes(depth, order) for depth in (50, 100, 200))
    assert many - more <= 2.1 * (more - few)
    assert many < (15, 50)[order - 1] * 200


def test_printed_derivatives_of_shared_formulas_grow_linearly() -> None:
    few, more, many = (len(str(es.parse(chain("shared", depth)).grad("L", "x"))) for depth in (50, 100, 200))
    assert many - more < 2.4 * (more - few)


def test_two_hundred_shared_levels_are_right() -> None:
    """sin(f) cos(f) = sin(2f)/2, so that the derivative is a product of cosines."""
    p, x, slope, curve = es.parse(chain("shared", 200)), 0.3, 2.0, 0.0
    y = x
    for _ in range(200):
        slope, curve, y = slope * np.cos(2 * y), curve, np.sin(2 * y) / 2
    assert p.grad("L", "x").run(x=x) == pytest.approx(slope, rel=1e-11)


# ---------------------------------------------------------------- sizes


def matrices(count: int) -> tuple[str, dict[str, Any]]:
    """A chain of matrices of sizes 2 and 3 in turn."""
    letters = ["i", *(f"K{n}" for n in range(1, count)), "j"]
    text = "M[i,j] = " + " ".join(f"A{n}[{letters[n]},{letters[n + 1]}]" for n in range(count))
    rng = np.random.default_rng(0)
    sizes = [2 + n % 2 for n in range(count + 1)]
    return text, {f"A{n}": rng.normal(size=(sizes[n], sizes[n + 1])) / 1.5 for n in range(count)}


@pytest.mark.parametrize("count", [60, 64, 120, 1000])
def test_chains_of_any_length(count: int) -> None:
    """More labels than the alphabet has letters, more operands than numpy takes."""
    text, arrays = matrices(count)
    want = arrays["A0"]
    for n in range(1, count):
        want = want @ arrays[f"A{n}"]
    np.testing.assert_allclose(es.parse(text).run("M", **arrays), want, rtol=1e-9)


MANY = [
    # dot product of many vectors with themselves: as an outer product it has as many axes as vectors
    ("L = " + " ".join(f"u{n}[K{n}] v{n}[K{n}]" for n in range(70)), 2.0**70),
    ("L = " + " ".join(f"u{n}[K{n}] 1[K{n}]" for n in range(100)), 2.0**100),
    ("L = c[J] " + " ".join(f"u{n}[J,K{n}] 1[K{n}]" for n in range(70)), 2.0**71),
    ("L = " + " ".join(f"A{n}[K{n},K{(n + 1) % 80}]" for n in range(80)), 2.0**80),
]


@pytest.mark.parametrize(("text", "value"), MANY, ids=range(len(MANY)))
def test_no_intermediate_has_more_axes_than_arrays_can_have(text: str, value: float) -> None:
    p = es.parse(text)
    k = p.compile("L")
    assert k({name: np.ones((2,) * len(axes)) for name, axes in p.inputs.items()}) == pytest.approx(value)
    assert max(len(step.out.shape) for step in k.steps) <= 3


EMPTY = [
    ("L = x[I] x[I]", {"x": (0,)}, 0),
    ("L = x[I] 1[I]", {"x": (0,)}, 0),
    ("L = sum[i](x[i])", {"x": (0,)}, 0),
    ("L = prod[i](x[i])", {"x": (0,)}, 1),
    ("L = norm[i](x[i])", {"x": (0,)}, 0),
    ("L = A[I,K] B[K,I]", {"A": (3, 0), "B": (0, 3)}, 0),
    ("L = sum[i](prod[k](A[i,k]))", {"A": (3, 0)}, 3),
    ("L = prod[i](sum[k](A[i,k]))", {"A": (0, 3)}, 1),
    ("L = size(x,1) + x[I] 1[I] + 1", {"x": (0,)}, 1),
    ("L = A[I,I]", {"A": (0, 0)}, 0),
]


@pytest.mark.parametrize(("text", "shapes", "value"), EMPTY, ids=[row[0] for row in EMPTY])
def test_sums_over_nothing_are_0_and_products_1(text: str, shapes: dict[str, tuple[int, ...]], value: float) -> None:
    arrays = {name: np.ones(shape) for name, shape in shapes.items()}
    p = es.parse(text)
    assert p.run("L", **arrays) == value
    for name, slope in p.grad("L", list(arrays)).run(**arrays).items():
        assert slope.shape == shapes[name]


UNDEFINED = "max min mean softmax log_softmax"


@pytest.mark.parametrize("word", UNDEFINED.split())
def test_extremes_and_means_over_nothing_are_errors(word: str) -> None:
    p = es.parse(f"L = sum[i{',k' if 'softmax' in word else ''}]({word}[k](A[i,k]))")
    for derivative in (p.compile("L"), p.grad("L", "A").compile()):
        with pytest.raises(es.EinstanShapeError, match="empty axis"):
            derivative(A=np.ones((3, 0)))


ILL_SIZED = [
    ("y[i] = A[i,i]", {"A": np.ones((1, 10**6))[0:0]}, "i"),
    ("y[i] = A[i,i]", {"A": np.ones((0, 1))}, "i"),
    ("y[i] = A[i,i]", {"A": np.ones((1, 3))}, "i"),
    ("L = A[I,I]", {"A": np.ones((3, 1))}, "I"),
    ("y[i] = A[i,i] b[i]", {"A": np.ones((3, 3)), "b": np.ones(1)}, "i"),
    ("L = a[I] b[I]", {"a": np.ones(1), "b": np.ones(5)}, "I"),
    ("y[i] = a[i] + b[i]", {"a": np.ones(1), "b": np.ones(5)}, "i"),
    ("D[i,j] = A[i,j] B[j,i]", {"A": np.ones((2, 3)), "B": np.ones((2, 3))}, "[ij]"),
]


@pytest.mark.parametrize(("text", "arrays", "index"), ILL_SIZED, ids=range(len(ILL_SIZED)))
def test_sizes_are_checked_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, text: str, arrays: dict[str, Any], index: str
) -> None:
    """A shared index has one size, 1 does not stretch; numpy's einsum crashes or gives garbage on some of these."""
    called: list[object] = []
    monkeypatch.setattr(Bound, "call", lambda *given: called.append(given))
    p = es.parse(text)
    with pytest.raises(es.EinstanShapeError, match=rf"\b{index}\b"):
        p.run(p.names[0], **arrays)
    assert not called


def test_nodes_are_walked_once() -> None:
    """A node that is shared at two hundred levels has four hundred nodes below it, not 2^200."""
    assert len(toposort([whole(es.parse(chain("shared", 200)))])) < 800


def called_in(work: Callable[[], Any]) -> tuple[int, Any]:
    """How many functions are called, of Python and of C, and the result."""
    calls = 0

    def count(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        result = work()
    finally:
        sys.setprofile(None)
    return calls, result


def calls_of_stages(model: models.Model) -> dict[str, int]:
    """From a text to the first value and gradients."""
    arrays = model.arrays("float32")
    found = {}
    found["parse"], program = called_in(lambda: es.parse(model.text))
    found["derive and compile"], kernel = called_in(lambda: program.value_and_grad("L", wrt=model.wrt).compile())
    found["plan and first call"], _ = called_in(lambda: kernel(**arrays))
    return found


@pytest.mark.parametrize("make", [growth.layers, growth.lstm])
def test_no_stage_works_more_for_a_layer_of_many(make: Callable[[int], models.Model]) -> None:
    """Twice as many layers are at most a tenth more than twice the work."""
    _, few, many = (calls_of_stages(make(n)) for n in (2, 12, 24))  # the first time, tables are made
    for stage, calls in many.items():
        assert calls <= 2.2 * few[stage], stage
