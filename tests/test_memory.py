"""Peak memory: what a kernel predicts is what tracemalloc sees, and a limit is kept by computing in stretches."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import einstan as es
from benchmarks import memory
from benchmarks.rounds import QUICK
from benchmarks.settings import Settings
from einstan import slicing
from einstan.plan.arena import LINE, Arena
from einstan.plan.scratch import lapack
from tests.models import MODELS, Model

Arrays = dict[str, np.ndarray]
LAPACK = ("inv", "det", "logdet", "logdet_positive", "solve", "cholesky")
LEAST = 200_000  # bytes of the largest input, so that numpy's objects count little


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers need not reach their peaks at the same moment."""
    monkeypatch.setenv("EINSTAN_NUM_THREADS", "1")


def peaks(kernel: es.Kernel, arrays: Arrays, calls: int = 2) -> list[int]:
    """Of the first calls of a kernel that is planned and compiled: what is held at most, over what was before."""
    kernel._bind(arrays)[0].compiled()
    gc.collect()
    found = []
    tracemalloc.start()
    try:
        for _ in range(calls):
            tracemalloc.reset_peak()
            kernel(**arrays)
            found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    return found


def right(kernel: es.Kernel, arrays: Arrays) -> bool:
    """Within a tenth, or what Python and numpy take for objects."""
    found = peaks(kernel, arrays)
    predicted = kernel.cost.peak_bytes
    margin = 0.1 * predicted + 40_000
    return all(predicted - unseen(kernel) - margin <= p <= predicted + margin for p in found)


def unseen(kernel: es.Kernel) -> int:
    """What LAPACK works in, which numpy tells tracemalloc since 2.5."""
    if np.lib.NumpyVersion(np.__version__) >= "2.5.0":
        return 0
    return max((lapack(step) for step in kernel.steps if step.op in LAPACK), default=0)


def enlarged(model: Model, dtype: str) -> Arrays:
    """Arrays of the model's ranks, all sizes multiplied by one factor."""
    small = {name: np.shape(x) for name, x in model.arrays().items()}
    entries = max(np.prod(shape, dtype=int) for shape in small.values())
    rank = max(map(len, small.values()))
    factor = max(2, int((LEAST / 4 / entries) ** (1 / rank)) + 1)
    rng = np.random.default_rng(0)
    shapes = {name: tuple(factor * d for d in shape) for name, shape in small.items()}
    return {name: np.asarray(rng.standard_normal(shape) / 4, dtype) for name, shape in shapes.items()}


DEEP = ("-20-", "-30")
SHALLOW = [m for m in MODELS if not any(word in m.name for word in DEEP)]


@pytest.mark.parametrize("model", SHALLOW, ids=lambda m: m.name)
def test_models(model: Model) -> None:
    gradients = es.parse(model.text).value_and_grad(model.of, wrt=list(model.wrt))
    assert right(gradients.compile(functions=dict(model.functions) or None), enlarged(model, "float32"))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_models_of_any_depth(model: Model) -> None:
    gradients = es.parse(model.text).value_and_grad(model.of, wrt=list(model.wrt))
    assert right(gradients.compile(functions=dict(model.functions) or None), enlarged(model, "float64"))


FORMULAS = {
    **{name: f"Y[i,j] = {name}(X[i,j])" for name in "exp log1p tanh sigmoid softplus relu erf abs sign step".split()},
    **{name: f"Y[i] = {name}[j](X[i,j])" for name in "sum mean prod max logsumexp norm".split()},
    **{name: f"Y[i,j] = {name}[j](X[i,j])" for name in ("softmax", "log_softmax")},
    "softmax of columns": "Y[j,i] = softmax[i](X[i,j])",
    "where": "Y[i,j] = where(X[i,j] > 0, X[i,j], exp(X[i,j]))",
    "where of floats": "Y[i,j] = where(X[i,j], X[i,j], 1)",
    "cube": "Y[i,j] = X[i,j]^3",
    "seventh power": "Y[i,j] = X[i,j]^-7",
    "log cosh": "Y[i,j] = log(cosh(X[i,j]))",
    "unit": "Y[i,j] = X[i,j] / norm[j](X[i,j])",
    "gram": "Y[i,j] = X[i,K] X[j,K]",
    "gram of columns": "Y[i,j] = X[K,i] X[K,j]",
    "product of parts": "Y[i,j] = X[K=0:100,i] X[K=200:300,j]",
    "product of stretches": "Y[i,j] = X[i,K=0:100] X[j,K=200:300]",
    "repeated": "Y[i,j] = X[i,j] + X[i,j] X[i,j]",
}
KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "float32": lambda x: x.astype("float32"),
    "float64": lambda x: x,
    "float16": lambda x: x.astype("float16"),
    "int64": lambda x: (4 * x).astype("int64"),
    "transposed": lambda x: x.T.copy().T,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_operations(name: str) -> None:
    program = es.parse(FORMULAS[name])
    x = np.random.default_rng(0).standard_normal((400, 500))
    packed = [
        kind for kind in KINDS if kind != "transposed" or "product" not in name
    ]  # whose parts BLAS takes as wanted
    for kind in packed:
        assert right(program.compile("Y"), {"X": KINDS[kind](x)}), kind


@pytest.mark.parametrize("name", FORMULAS)
def test_workers_take_no_more_than_is_predicted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EINSTAN_NUM_THREADS", "3")
    kernel, arrays = es.parse(FORMULAS[name]).compile("Y"), {"X": np.random.default_rng(0).standard_normal((400, 500))}
    kernel(**arrays)  # workers are there from then on
    found = peaks(kernel, arrays)
    assert all(p <= 1.1 * kernel.cost.peak_bytes + 40_000 for p in found)


@pytest.mark.parametrize("name", [n for n in FORMULAS if "product" not in n and n not in ("sign", "step")])
def test_gradients(name: str) -> None:
    letters = FORMULAS[name].split("=")[0].strip()
    program = es.parse(f"{FORMULAS[name]}\nL = {letters.upper()} {letters.upper()}")
    x = np.random.default_rng(0).standard_normal((400, 500))
    assert right(program.grad("L", wrt="X").compile(), {"X": x.astype("float32")})


def test_derivatives_of_two_indices() -> None:
    program = es.parse("Y[i,j] = tanh(X[i,K] W[K,j])\nL = Y[I,J] Y[I,J]")
    rng = np.random.default_rng(0)
    arrays = {"X": rng.standard_normal((400, 9)), "W": rng.standard_normal((9, 7))}
    assert right(program.jacobian("Y", wrt="W").compile(), arrays)
    assert right(program.hessian("L", wrt="W").compile(), arrays)


def test_equal_results_are_copies() -> None:
    kernel = es.parse("Y[i,j] = exp(X[i,j])\nZ[i,j] = exp(X[i,j])").compile(["Y", "Z"])
    assert right(kernel, {"X": np.ones((300, 400))})


# ---------------------------------------------------------------- limits


def error(got: Any, want: Any) -> float:
    pairs = zip(memory.leaves(got), memory.leaves(want), strict=True)
    return max(float(np.max(np.abs(g - w))) / float(np.max(np.abs(w)) or 1) for g, w in pairs)


@pytest.mark.parametrize("text", memory.TEXTS, ids=lambda t: t.name)
def test_a_limit_is_kept(text: memory.Text) -> None:
    """A third of the memory; the same numbers; not much more work."""
    case = text.case(text.small)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
        a = case.arrays(dtype)
        kernel = case.compile()
        want = kernel(**a)
        free = kernel.cost
        limit = free.peak_bytes // 3
        limited = case.compile(memory_limit=limit)
        assert error(limited(**a), want) <= tolerance
        assert max(peaks(limited, a)) <= 1.1 * limit + 30_000
        assert limited.cost.peak_bytes <= limit
        assert limited.cost.flops <= 1.3 * free.flops


@pytest.mark.parametrize("order", ["c[b,K] A[b,g,K] B[b,K,d]", "B[b,K,d] c[b,K] A[b,g,K]", "A[b,g,K] B[b,K,d] c[b,K]"])
def test_what_scales_a_product_scales_its_smaller_operand(order: str) -> None:
    sizes = {"b": 16, "g": 8, "k": 512, "d": 128}
    kernel = es.parse(f"y[b,g,d] = {order}").compile("y", sizes=sizes)
    entries = 16 * 8 * 128 + 16 * 8 * 512
    assert kernel.cost.peak_bytes <= 1.1 * 8 * entries + 4 * 65536  # numpy's buffers


def test_what_two_phases_need_is_made_again() -> None:
    """The second attention needs all rows of the first; its gradient needs the rows of the first once more."""
    program = es.parse("""
        P[n,m] = softmax[m](q[n,D] k[m,D])
        R[n,d] = P[n,M] v[M,d]
        S[n,m] = softmax[m](R[n,D] R[m,D])
        Z[n,d] = S[n,M] R[M,d]
        L = Z[N,D] Z[N,D]
    """)
    derivative = program.value_and_grad("L", wrt=["q", "k", "v"])
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal((300, 7)) / 2 for name in "qkv"}
    kernel = derivative.compile()
    want = kernel(**arrays)
    limit = kernel.cost.peak_bytes * 5 // 8
    limited = derivative.compile(memory_limit=limit)
    assert error(limited(**arrays), want) <= 1e-12
    assert limited.cost.peak_bytes <= limit
    assert kernel.cost.flops < limited.cost.flops <= 1.5 * kernel.cost.flops


@pytest.mark.parametrize("model", SHALLOW, ids=lambda m: m.name)
def test_every_wire_gives_the_same_numbers(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    derivative = es.parse(model.text).value_and_grad(model.of, wrt=list(model.wrt))
    functions, arrays = dict(model.functions) or None, model.arrays()
    want = derivative.compile(functions=functions)(**arrays)
    for n in range(3):

        def cut(outputs: Any, env: Any, make: Any, limit: Any, n: int = n) -> Any:
            for wire in [*slicing.wires(outputs, env)][n : n + 1]:
                return make(*slicing.sliced(outputs, wire, env, min(3, wire.length.at(env))))
            return make(outputs, ())

        monkeypatch.setattr("einstan.kernel.fitting", cut)
        assert error(derivative.compile(functions=functions)(**arrays), want) <= 1e-11


def test_a_limit_that_nothing_keeps_is_refused() -> None:
    kernel = es.parse("Y[i,j] = exp(X[i,j])").compile("Y", memory_limit="100 kB")
    with pytest.raises(es.EinstanError, match="720 kB at its peak, in stretches too, and the limit is 100 kB"):
        kernel(X=np.ones((300, 300)))


def test_without_a_limit_nothing_is_cut() -> None:
    program = es.parse("y[i] = exp(A[i,K] B[K,j]) 1[J]".replace("j]", "J]"))
    assert not any("part" in s.formula for s in program.compile("y", sizes={"i": 50, "k": 60, "j": 70}).steps)


# ---------------------------------------------------------------- the workspace


def test_stretches_of_the_workspace_never_overlap() -> None:
    rng = np.random.default_rng(0)
    arena, held, most = Arena(), dict[int, int](), 0
    for _ in range(3000):
        if held and rng.random() < 0.5:
            start = list(held)[rng.integers(len(held))]
            arena.give(start)
            del held[start]
        else:
            size = int(rng.integers(0, 5000))
            held[arena.take(size)] = size
        ends = sorted((start, start + max(size, 1)) for start, size in held.items())
        assert all(end <= start for (_, end), (start, _) in pairwise(ends))
        assert all(start % LINE == 0 and end <= arena.end for start, end in ends)
        most = max(most, sum(held.values()))
    for start in held:
        arena.give(start)
    assert arena.take(arena.end) == 0 and arena.end <= 2 * most


# ---------------------------------------------------------------- the benchmarks


def test_rows_of_the_benchmark() -> None:
    text = next(t for t in memory.TEXTS if t.name == "batch")
    row = memory.row(text.case(text.small), Settings(dtype="float64", rounds=QUICK), lambda done, what: None)
    assert set(row) >= {key for key, _, _ in memory.COLUMNS}
    assert 0.9 < row["ratio"] < 1.1 and 0.9 < row["limited_ratio"] < 1.1
    assert row["limited_measured_mb"] < row["limit_mb"] < row["measured_mb"]


def test_one_contraction_by_everyone_who_is_seen() -> None:
    seen = [c for c in memory.CANDIDATES if c.name not in memory.UNSEEN]
    rows = list(memory.contraction(seen, {"b": 16, "g": 8, "k": 512, "d": 128}, "float64"))
    assert [row["candidate"] for row in rows] == [c.name for c in seen]
    assert all(row["by"] == "tracemalloc" and row["measured_mb"] > 0 for row in rows)
    ours = [row["to_least"] for row in rows if row["candidate"].startswith("einstan")]
    assert max(ours) <= 1.1 + 4 * 65536 / (16 * 8 * (128 + 512) * 8)  # numpy's buffers
