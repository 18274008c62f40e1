"""growth: what it costs einstan to make a program, as formulas grow; and what gradients cost, in flops.

Bounds that the work is held to: time for 2,000 layers at most 13 times that for 200; at most 300 µs a step of the
generated program; value and all gradients at most 3.2 times the flops of the value.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .report import Table

WIDTH, BATCH = 64, 32
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Case:
    """A program with the loss L; its gradient is taken in every input but `data`."""

    name: str
    text: str
    shapes: Shapes
    data: tuple[str, ...]
    best_flops: int | None = None  # of the value, where it is known

    @property
    def wrt(self) -> list[str]:
        return [name for name in self.shapes if name not in self.data]

    def arrays(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        return {name: rng.standard_normal(shape) / shape[0] ** 0.5 for name, shape in self.shapes.items()}


def dense(depth: int) -> Case:
    layers = range(1, depth + 1)
    lines = [f"Y{m}[b,j] = tanh(Y{m - 1}[b,K] W{m}[K,j] + c{m}[j])" for m in layers]
    shapes: Shapes = {"Y0": (BATCH, WIDTH), "T": (BATCH, WIDTH)}
    shapes |= {f"W{m}": (WIDTH, WIDTH) for m in layers} | {f"c{m}": (WIDTH,) for m in layers}
    loss = f"L = (Y{depth}[B,J] - T[B,J]) (Y{depth}[B,J] - T[B,J])"
    return Case(f"dense, {depth} layers", "\n".join([*lines, loss]), shapes, ("T",))


GATES = {"f": "sigmoid", "i": "sigmoid", "o": "sigmoid", "g": "tanh"}


def lstm(steps: int) -> Case:
    lines = []
    for t in range(1, steps + 1):
        for gate, act in GATES.items():
            linear = f"U{gate}[j,K] h{t - 1}[b,K] + V{gate}[j,K] x{t}[b,K] + b{gate}[j]"
            lines.append(f"{gate}{t}[b,j] = {act}({linear})")
        lines.append(f"C{t}[b,j] = f{t}[b,j] C{t - 1}[b,j] + i{t}[b,j] g{t}[b,j]")
        lines.append(f"h{t}[b,j] = o{t}[b,j] tanh(C{t}[b,j])")
    weights = {"U": (WIDTH, WIDTH), "V": (WIDTH, WIDTH), "b": (WIDTH,)}
    shapes: Shapes = {f"{kind}{gate}": shape for gate in GATES for kind, shape in weights.items()}
    shapes |= dict.fromkeys(("h0", "C0", "T", *(f"x{t}" for t in range(1, steps + 1))), (BATCH, WIDTH))
    loss = f"L = (h{steps}[B,J] - T[B,J]) (h{steps}[B,J] - T[B,J])"
    return Case(f"LSTM, {steps} steps", "\n".join([*lines, loss]), shapes, ("T",))


def chain(factors: int) -> Case:
    """A product of matrices of random sizes, and the sum of its squares."""
    sizes = random.Random(0).choices(range(5, 100), k=factors + 1)
    index = ["i", *(f"K{n}" for n in range(1, factors)), "j"]
    product = " ".join(f"A{n}[{index[n - 1]},{index[n]}]" for n in range(1, factors + 1))
    shapes: Shapes = {f"A{n}": (sizes[n - 1], sizes[n]) for n in range(1, factors + 1)}
    best = best_chain_flops(sizes) + 2 * sizes[0] * sizes[-1]
    return Case(f"chain, {factors} matrices", f"M[i,j] = {product}\nL = M[I,J] M[I,J]", shapes, (), best)


def best_chain_flops(sizes: Sequence[int]) -> int:
    """Flops of the best order of a matrix chain, by the textbook's dynamic programme (multiply and add are two)."""
    n = len(sizes) - 1
    cost = [[0] * (n + 1) for _ in range(n + 1)]  # cost[a][b] of the product of factors a .. b-1
    for length in range(2, n + 1):
        for a in range(n - length + 1):
            b = a + length
            cost[a][b] = min(cost[a][m] + cost[m][b] + 2 * sizes[a] * sizes[m] * sizes[b] for m in range(a + 1, b))
    return cost[0][n]


# built when their turn comes: 2,000 layers are 8 million weights
CASES: tuple[tuple[str, Callable[[], Case]], ...] = (
    ("dense-20", lambda: dense(20)),
    ("dense-200", lambda: dense(200)),
    ("dense-2000", lambda: dense(2000)),
    ("lstm-30", lambda: lstm(30)),
    ("lstm-300", lambda: lstm(300)),
    ("chain-100", lambda: chain(100)),
)


# ---------------------------------------------------------------- measuring


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def row(case: Case) -> dict[str, Any]:
    """Seconds of the stages. Sizes are bound by the first call, so plan and emit are that call less a later one."""
    import einstan as es

    arrays = case.arrays()
    parse, program = timed(lambda: es.parse(case.text))
    derive, gradient = timed(lambda: program.value_and_grad("L", wrt=case.wrt))
    prepare, kernel = timed(gradient.compile)
    first, _ = timed(lambda: kernel(**arrays))
    run = min(timed(lambda: kernel(**arrays))[0] for _ in range(3))
    total = parse + derive + prepare + first - run
    steps = len(kernel.steps)
    forward = program.compile("L")
    forward(**arrays)
    value_flops = case.best_flops or forward.cost.flops
    return {
        "case": case.name,
        "parse_s": parse,
        "derive_s": derive,
        "compile_s": prepare + first - run,
        "total_s": total,
        "steps": steps,
        "us_per_step": total / steps * 1e6,
        "run_ms": run * 1e3,
        "forward_flops": forward.cost.flops,
        "gradient_flops": kernel.cost.flops,
        "flops_ratio": kernel.cost.flops / value_flops,
    }


COLUMNS = (
    ("case", "case", "s"),
    ("parse_s", "parse s", ".3f"),
    ("derive_s", "derive s", ".3f"),
    ("compile_s", "compile s", ".3f"),
    ("total_s", "total s", ".3f"),
    ("steps", "steps", "d"),
    ("us_per_step", "µs/step", ".0f"),
    ("run_ms", "run ms", ".2f"),
    ("flops_ratio", "flops / value's", ".2f"),
)


def warm_up() -> None:
    """Imports and first-time tables are not the first case's cost."""
    row(dense(2))


def tables(cases: Sequence[str] | None) -> Iterator[Table]:
    """The stages of every case, then how the time grows; `cases` are keys of CASES."""
    warm_up()
    rows = [row(make()) for name, make in CASES if not cases or name in cases]
    yield Table(f"from text to program: width {WIDTH}, batch {BATCH}, value and gradients in everything", rows, COLUMNS)
    yield Table("growth", list(ratios(rows)), (("case", "case", "s"), ("ratio", "time ratio", ".1f")))


def ratios(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each case's total time over that of the smaller one of its family, ten times as small."""
    for small, large in pairwise(rows):
        if small["case"].split(",")[0] == large["case"].split(",")[0]:
            yield {"case": f"{large['case']} / {small['case']}", "ratio": large["total_s"] / small["total_s"]}
