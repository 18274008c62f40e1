"""growth: what it costs einstan to make a program, as formulas grow; and what gradients cost, in flops.

Bounds that the work is held to: time for 2,000 layers at most 13 times that for 200; at most 300 µs a step of the
generated program; value and all gradients at most 3.2 times the flops of the value.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import matmul
from typing import Any

from . import progress
from .by_hand import GATES
from .models import Model, Shapes, dense, squares
from .report import Chart, Table
from .settings import Settings

WIDTH, BATCH = 64, 32


def layers(depth: int) -> Model:
    return dense((WIDTH,) * (depth + 1), BATCH)


def lstm(steps: int, width: int = WIDTH, batch: int = BATCH) -> Model:
    """An LSTM whose steps are written out."""
    lines = []
    for t in range(1, steps + 1):
        for gate in GATES:
            linear = f"U{gate}[j,K] h{t - 1}[b,K] + V{gate}[j,K] x{t}[b,K] + b{gate}[j]"
            lines.append(f"{gate}{t}[b,j] = {'tanh' if gate == 'g' else 'sigmoid'}({linear})")
        lines.append(f"C{t}[b,j] = f{t}[b,j] C{t - 1}[b,j] + i{t}[b,j] g{t}[b,j]")
        lines.append(f"h{t}[b,j] = o{t}[b,j] tanh(C{t}[b,j])")
    weights = {"U": (width, width), "V": (width, width), "b": (width,)}
    shapes: Shapes = {f"{kind}{gate}": shape for gate in GATES for kind, shape in weights.items()}
    shapes |= dict.fromkeys(("h0", "C0", "T", *(f"x{t}" for t in range(1, steps + 1))), (batch, width))
    lines.append(f"L = (h{steps}[B,J] - T[B,J]) (h{steps}[B,J] - T[B,J])")

    def loss(xp: Any, a: Any) -> Any:
        h, c = a["h0"], a["C0"]
        for t in range(1, steps + 1):
            z = {gate: h @ a[f"U{gate}"].T + a[f"x{t}"] @ a[f"V{gate}"].T + a[f"b{gate}"] for gate in GATES}
            c = xp.sigmoid(z["f"]) * c + xp.sigmoid(z["i"]) * xp.tanh(z["g"])
            h = xp.sigmoid(z["o"]) * xp.tanh(c)
        return squares(h - a["T"])

    return Model("\n".join(lines), shapes, ("T",), loss)


def chain(sizes: Sequence[int]) -> Model:
    """A product of matrices, and the sum of its squares."""
    factors = len(sizes) - 1
    index = ["i", *(f"K{n}" for n in range(1, factors)), "j"]
    product = " ".join(f"W{n}[{index[n]},{index[n + 1]}]" for n in range(factors))
    shapes: Shapes = {f"W{n}": shape for n, shape in enumerate(pairwise(sizes))}

    def loss(xp: Any, a: Any) -> Any:
        return squares(reduce(matmul, (a[name] for name in shapes)))

    return Model(f"M[i,j] = {product}\nL = M[I,J] M[I,J]", shapes, (), loss)


def random_sizes(factors: int) -> list[int]:
    return random.Random(0).choices(range(5, 100), k=factors + 1)


def best_chain_flops(sizes: Sequence[int]) -> int:
    """Flops of the best order of a matrix chain, by the textbook's dynamic programme (multiply and add are two)."""
    n = len(sizes) - 1
    cost = [[0] * (n + 1) for _ in range(n + 1)]  # cost[a][b] of the product of factors a .. b-1
    for length in range(2, n + 1):
        for a in range(n - length + 1):
            b = a + length
            cost[a][b] = min(cost[a][m] + cost[m][b] + 2 * sizes[a] * sizes[m] * sizes[b] for m in range(a + 1, b))
    return cost[0][n]


@dataclass(frozen=True)
class Case:
    """`make` is called when its turn comes: 2,000 layers are 8 million weights."""

    name: str
    title: str
    make: Callable[[], Model]
    best_flops: int | None = None  # of the value, where it is known


SIZES = random_sizes(100)
CASES = (
    Case("dense-20", "dense, 20 layers", lambda: layers(20)),
    Case("dense-200", "dense, 200 layers", lambda: layers(200)),
    Case("dense-2000", "dense, 2000 layers", lambda: layers(2000)),
    Case("lstm-30", "LSTM, 30 steps", lambda: lstm(30)),
    Case("lstm-300", "LSTM, 300 steps", lambda: lstm(300)),
    Case("chain-100", "chain, 100 matrices", lambda: chain(SIZES), best_chain_flops(SIZES) + 2 * SIZES[0] * SIZES[-1]),
)


# ---------------------------------------------------------------- measuring


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def row(case: Case, dtype: str) -> dict[str, Any]:
    """Seconds of the stages. Sizes are bound by the first call, so plan and emit are that call less a later one."""
    import einstan as es

    model = case.make()
    arrays = model.arrays(dtype)
    parse, program = timed(lambda: es.parse(model.text))
    derive, gradient = timed(lambda: program.value_and_grad("L", wrt=model.wrt))
    prepare, kernel = timed(gradient.compile)
    first, _ = timed(lambda: kernel(**arrays))
    run = min(timed(lambda: kernel(**arrays))[0] for _ in range(3))
    total = parse + derive + prepare + first - run
    steps = len(kernel.steps)
    forward = program.compile("L")
    forward(**arrays)
    value_flops = case.best_flops or forward.cost.flops
    return {
        "case": case.title,
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


CHART = Chart("From text to program", "case", "stage", "total_s", "s", log=True)


def warm_up(dtype: str) -> None:
    """Imports and first-time tables are not the first case's cost."""
    row(Case("dense-2", "dense, 2 layers", lambda: layers(2)), dtype)


def names() -> tuple[list[str], list[str]]:
    """Of cases, and of candidates."""
    return [case.name for case in CASES], []


def tables(settings: Settings) -> Iterator[Table]:
    """The stages of every case, then how the time grows."""
    warm_up(settings.dtype)
    wanted = [case for case in CASES if settings.wants(case.name)]
    rows = []
    for n, case in enumerate(wanted):
        progress.show(n / len(wanted), case.name)
        rows.append(row(case, settings.dtype))
    progress.clear()
    yield Table(f"from text to program: width {WIDTH}, batch {BATCH}, value and gradients", rows, COLUMNS)
    if compared := list(ratios(rows)):
        yield Table("growth", compared, (("case", "case", "s"), ("ratio", "time ratio", ".1f")))


def ratios(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each case's total time over that of the smaller one of its family, ten times as small."""
    for small, large in pairwise(rows):
        if small["case"].split(",")[0] == large["case"].split(",")[0]:
            yield {"case": f"{large['case']} / {small['case']}", "ratio": large["total_s"] / small["total_s"]}
