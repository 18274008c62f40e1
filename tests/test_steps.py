"""steps: what the kernels of the benchmarks' models do, against the same models written by hand. Counts, no times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import einstan as es
from benchmarks import by_hand
from benchmarks.models import CASES, Case
from einstan.backends.numpy import OPS
from einstan.plan import Step
from einstan.prims.scalar import SIGMOID

from .graphs import dense, env_of, gradients, net_arrays, planned

# calls of numpy and bytes moved at most, as multiples of those by hand (which works on four gates at once)
LIMITS = {
    "mlp-16": (1, 1),
    "mlp-64": (1, 1),
    "mlp-784": (1, 1),
    "mlp-1024": (1, 1),
    "lstm-concat": (1.37, 1),
    "lstm-block": (1.21, 1),
    "readout": (1.04, 1.12),
    "attention": (1.06, 1.13),
    "layer-norm": (1.09, 1),
    "mps": (1, 1),
    "logistic": (1.8, 1.01),
}


class Tally:
    """numpy, with a note of every call that takes or gives arrays."""

    def __init__(self, of: Any, seen: list[int]) -> None:
        self.of, self.seen = of, seen

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.of, name)
        return Tally(found, self.seen) if callable(found) and not isinstance(found, type) else found

    def __call__(self, *args: Any, **named: Any) -> Any:
        result = self.of(*args, **named)
        flat = [a for arg in args for a in (arg if isinstance(arg, list) else [arg])]
        self.seen.append(sum(a.nbytes for a in (*flat, result) if isinstance(a, np.ndarray | np.generic)))
        return result


def by_hand_counts(case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Calls of numpy, bytes that they read and write."""
    seen: list[int] = []
    monkeypatch.setattr(by_hand, "np", Tally(np, seen))
    model = case.model()
    assert model.by_hand is not None
    call = model.by_hand(model.arrays("float32"))
    seen.clear()
    call()
    return len(seen), sum(seen)


def passes(step: Step) -> int:
    """Calls of numpy for each entry of the result."""
    text = OPS[step.op].helper
    return max(1, text.count("np."))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the models by hand."""
    monkeypatch.setenv("EINSTAN_NUM_THREADS", "1")


def kernel_counts(case: Case) -> tuple[int, int]:
    model = case.model()
    kernel = es.parse(model.text).value_and_grad("L", wrt=model.wrt).compile()
    kernel(**model.arrays("float32"))
    steps = [s for s in kernel.steps if not s.is_view and s.out.storage.kind != "constant"]
    return sum(map(passes, steps)), sum(passes(s) * s.bytes for s in steps)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_more_than_by_hand(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    most = LIMITS[case.name]
    ours, theirs = kernel_counts(case), by_hand_counts(case, monkeypatch)
    assert [n <= limit * by_hand for n, limit, by_hand in zip(ours, most, theirs, strict=True)] == [True, True]


# ---------------------------------------------------------------- scalings, signs, copies, parts


GATES = """
    f[b,j] = sigmoid(W[j,K] [h[b,K], x[b,K]]_K)
    g[b,j] = tanh(V[j,K] [h[b,K], x[b,K]]_K)
    R[b,j] = f[b,j] g[b,j] - T[b,j]
    L = R[B,J] R[B,J]
"""
GATE_SHAPES = {"W": (70, 50), "V": (70, 50), "h": (9, 30), "x": (9, 20), "T": (9, 70)}
SOFTMAX = "L = -T[B,C] log_softmax[C](X[B,K] W[K,C])"
CHAIN = "L = a[I] A[I,P,J] B[J,Q,K] a[I1] A[I1,P,J1] B[J1,Q,K]"
ROWS = (  # text, gradients in, shapes, entries that are multiplied by numbers, entries that are copied
    (GATES, "WVhx", GATE_SHAPES, 9 * 70, 9 * 50),
    (SOFTMAX, "XW", {"T": (5, 7), "X": (5, 3), "W": (3, 7)}, 1, 0),
    (CHAIN, "AB", {"a": (4,), "A": (4, 3, 5), "B": (5, 2, 6)}, 6 * 5 * 2, 0),
)


@pytest.mark.parametrize(("text", "wrt", "shapes", "scaled", "copied"), ROWS)
def test_scaled_and_copied(text: str, wrt: str, shapes: dict[str, tuple[int, ...]], scaled: int, copied: int) -> None:
    rng = np.random.default_rng(0)
    arrays, way = ({name: rng.standard_normal(shape) for name, shape in shapes.items()} for _ in range(2))
    kernel = es.parse(text).value_and_grad("L", wrt=list(wrt)).compile()
    _, grads = kernel(**arrays)
    steps = [s for s in kernel.steps if not s.is_view and s.out.storage.kind != "constant"]
    assert sum(s.out.size for s in steps if s.op == "multiply" and len(list(s.arrays)) == 1) <= scaled
    assert sum(s.out.size for s in steps if s.op == "copy") <= copied
    ahead, behind = (kernel(**arrays | {n: arrays[n] + e * way[n] for n in wrt})[0] for e in (1e-6, -1e-6))
    slope = sum(np.vdot(grads[n], way[n]) for n in wrt)
    assert (ahead - behind) / 2e-6 == pytest.approx(slope, rel=1e-6)


def test_products_with_all_parts_are_one() -> None:
    """Gradients in h and x of two gates: a product for each gate, not for each gate and part."""
    rng = np.random.default_rng(0)
    kernel = es.parse(GATES).value_and_grad("L", wrt=["h", "x"]).compile()
    kernel(**{name: rng.standard_normal(shape) for name, shape in GATE_SHAPES.items()})
    assert [s.out.shape for s in kernel.steps if s.op == "dot"] == [(9, 70), (9, 70), (), (9, 50), (9, 50)]


@pytest.mark.parametrize("depth", [1, 5, 20])
def test_a_net_scales_its_residual_alone(depth: int) -> None:
    """Turned sums give all gradients of a net of sigmoids one multiple."""
    net = dense(depth, SIGMOID)
    arrays = net_arrays([7] * depth + [5], 3)
    steps = planned(gradients(net), arrays, env_of(net.shapes, arrays)).steps
    assert [s.out.size for s in steps if s.op == "multiply" and len(list(s.arrays)) == 1] == [3 * 5]
