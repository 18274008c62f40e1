"""emit: the table of operations is whole, primitives have the evaluator's values, the source needs numpy alone."""

from __future__ import annotations

import ast
import subprocess
import sys
import time

import numpy as np
import pytest

from einstan.backends.numpy import FOLD, MATRICES, OPS, PRIMITIVES
from einstan.dims import Dim
from einstan.emit import compiled, emit, escaped
from einstan.ir import Node, Prim, add, einsum, input_, number, scale
from einstan.plan import plan
from einstan.plan.scratch import OBJECT
from einstan.prims import PRIMS
from einstan.prims.linalg import transposed
from einstan.prims.scalar import HALF, SIGMOID, TANH, power
from einstan.testing import evaluate

from .graphs import dense, env_of, gradients, net_arrays, planned, random_graph, run

N, M = Dim.symbol("x.0"), Dim.symbol("x.1")
ENV = {"x.0": 11, "x.1": 13}
F8 = np.dtype("f8")
DOMAINS = {"real": (-3.0, 3.0), "positive": (0.1, 4.0), "unit": (-0.9, 0.9)}
RUNNABLE = {name: p for name, p in PRIMS.items() if name != "opaque"}


def test_every_primitive_is_spelled_and_folded() -> None:
    assert set(PRIMITIVES) == set(RUNNABLE)
    assert set(FOLD) | {"concat", *MATRICES} == set(RUNNABLE)


def applied(prim: Prim) -> list[Node]:
    x = [input_(name, (N, M)) for name in "xyz"]
    match prim.name:
        case "pow":
            return [power(x[0], q) for q in (2, HALF, -HALF, 3, -1, -2, HALF * 3, 5, 20, -19)]
        case "concat":
            return [prim(*x, params=(axis,)) for axis in (0, 1)]
        case "part":
            return [prim(x[0], params=(1, Dim.of(2), Dim.of(7))), prim(TANH(x[0]), params=(0, Dim.of(0), Dim.of(1)))]
        case _ if prim.name in MATRICES:
            square = einsum(x[:2], ["im", "jm"], "ij")
            regular = add([(1, square), (1000, einsum([], [], "ii", {"i": N}))], square.shape)
            return [prim(regular, *x[2 : prim.arity + 1]), prim(transposed(regular), *x[2 : prim.arity + 1])]
        case _ if prim.partial is None and prim.name != "where":
            return [prim(x[0], params=(n,)) for n in (1, 2)]
        case _:
            return [prim(*x[: prim.arity])]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-5)])
@pytest.mark.parametrize("name", RUNNABLE)
def test_primitives_have_the_evaluators_values(name: str, dtype: str, tolerance: float) -> None:
    low, high = DOMAINS[PRIMS[name].domain]
    arrays = {n: np.random.default_rng(k).uniform(low, high, (11, 13)).astype(dtype) for k, n in enumerate("xyz")}
    arrays["y"][:3] = arrays["x"][:3]  # ties
    roots = applied(PRIMS[name])
    for got, want in zip(run(roots, arrays, ENV), evaluate(roots, arrays, ENV), strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=tolerance * (50 if name == "pow" else 1), atol=tolerance)


EXTREME = np.array([-np.inf, -1e300, -1000.0, -40.0, -1.0, -0.0, 0.0, 1e-300, 1.0, 40.0, 1000.0, 1e300, np.inf, np.nan])


@pytest.mark.parametrize(
    "name", ["sigmoid", "softplus", "relu", "step", "sign", "abs", "erf", "tanh", "log1p", "expm1"]
)
def test_extreme_points(name: str) -> None:
    n = Dim.of(EXTREME.size)
    root = PRIMS[name](input_("x", (n,)))
    (got,), (want,) = run([root], {"x": EXTREME}, {}), evaluate([root], {"x": EXTREME}, {})
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_sigmoid_keeps_its_relative_precision_at_both_ends() -> None:
    (got,) = run([SIGMOID(input_("x", (Dim.of(3),)))], {"x": np.array([-700.0, -40.0, 40.0])}, {})
    np.testing.assert_allclose(got, [np.exp(-700.0), np.exp(-40.0), 1.0], rtol=1e-12)


ROWS = np.array([[1e200, 1e200], [1e-200, 0], [0, 0], [np.inf, 1], [np.nan, 1], [-np.inf, -np.inf], [1000.0, -1000.0]])


@pytest.mark.parametrize("name", ["norm", "amax", "amin", "logsumexp", "softmax", "log_softmax"])
def test_extreme_rows(name: str) -> None:
    root = PRIMS[name](input_("x", (Dim.of(7), Dim.of(2))), params=(1,))
    (got,), (want,) = run([root], {"x": ROWS}, {}), evaluate([root], {"x": ROWS}, {})
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_norm_does_not_overflow() -> None:
    root = PRIMS["norm"](input_("x", (Dim.of(7), Dim.of(2))), params=(1,))
    got = run([root], {"x": ROWS}, {})[0]
    np.testing.assert_allclose(got[:4], [2**0.5 * 1e200, 1e-200, 0, np.inf], rtol=1e-12)
    assert np.isnan(got[4])


def test_natural_powers_of_negative_numbers_and_zero() -> None:
    x = np.array([-2.0, 0.0, 3.0])
    node = input_("x", (Dim.of(3),))
    got = run([power(node, q) for q in (2, 3, -1, -3)], {"x": x}, {})
    for g, q in zip(got, (2, 3, -1, -3), strict=True):
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(g, x**q)


# ---------------------------------------------------------------- the source


def net_source() -> str:
    net = dense(3, TANH)
    arrays = net_arrays((4, 5, 6, 7), 8)
    return emit(planned(gradients(net), arrays, env_of(net.shapes, arrays)), net.hints)


def test_the_source_runs_in_a_process_that_has_only_numpy(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "generated.py"
    path.write_text(net_source())
    code = "import sys, generated; assert not any(m.startswith('einstan') for m in sys.modules); print(generated.run)"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "function run" in found.stdout


def names_in(source: str) -> set[str]:
    return {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)}


@pytest.mark.parametrize("seed", range(40))
def test_names_come_from_counters_and_the_table(seed: int) -> None:
    case = random_graph(seed)
    source = emit(planned(case.roots, case.arrays))
    own = {f.name for f in ast.walk(ast.parse(source)) if isinstance(f, ast.FunctionDef)}
    body = source[source.index("\ndef workspace") :]
    allowed = own | {"np", "math", "inputs", "work", "out", "arena", "start", "n", "float"}
    assert all(name in allowed or (name[0] in "vkd" and name[1:].isdigit()) for name in names_in(body))


def test_comments_do_not_change_what_runs() -> None:
    case = random_graph(3)
    found = planned(case.roots, case.arrays)
    assert ast.dump(ast.parse(emit(found))) == ast.dump(ast.parse(emit(found, comments=False)))


def test_lines_have_their_formulas() -> None:
    assert "np.tanh(v" in net_source()
    assert "[b,j] = " in net_source() or "[b,k" in net_source()


def test_user_names_are_escaped() -> None:
    evil = 'X\nimport os; os.system("true")\u202e'
    n = Dim.symbol(f"{evil}.0")
    found = plan([TANH(input_(evil, (n,)))], {f"{evil}.0": 3}, {evil: F8}, hints={evil: ("i\nj",)})
    source = emit(found, {evil: ("i\nj",)})
    assert not any(line.strip().startswith("import os") for line in source.splitlines())
    assert "\u202e" not in source
    compiled(source)
    assert "\n" not in escaped(evil)


def test_numbers_are_written_exactly() -> None:
    x = input_("x", (Dim.of(3),))
    roots = [add([(1, x), (c, number(1, x.shape))], x.shape) for c in (2**60 + 1, -3)]
    got = run(roots, {"x": np.array([1, 2, 3])}, {})
    assert got[0][0] == 2**60 + 2


def test_thirty_thousand_lines_compile_in_seconds() -> None:
    x: Node = input_("x", (Dim.of(4), Dim.of(4)))
    for n in range(15_000):
        x = scale(1 + n % 3, TANH(x)) if n % 2 else TANH(x)
    start = time.process_time()
    found = plan([x], {}, {"x": F8})
    source = emit(found)
    functions = compiled(source)
    assert time.process_time() - start < 20
    (got,) = functions.run([np.ones((4, 4))], functions.workspace(), functions.results())
    assert got.shape == (4, 4)
    assert len(found.steps) >= 20_000
    assert found.peak_bytes <= 3 * got.nbytes + 10 * OBJECT


def test_every_row_is_a_known_kind() -> None:
    assert all(op.text.count("{out}") <= 1 for op in OPS.values())
