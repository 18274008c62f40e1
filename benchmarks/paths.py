"""paths: orders of contraction: what every method finds, and how fast each engine runs the same order.

Cases are the networks of networks.py, and the models of models.py with all their gradients, which are ordered
together. Orders are run by einstan's engine; what would take long is only planned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import einstan as es
from einstan.orders.comparison import compare
from einstan.orders.table import OrderTable

from . import models, networks, peers, progress
from .checking import agree
from .networks import Network
from .report import Chart, Row, Table
from .rounds import Tell, Timing, measure
from .settings import Settings

SECONDS = 5.0  # that a method may search
LONG = 0.2  # seconds: an order that takes longer is not run by every engine
TOLERANCE = {"float32": 1e-3, "float64": 1e-10}  # of the largest entry
OUTPUTS = 50  # of a model with more gradients each one alone, which is compared with all together, takes minutes
Arrays = list[np.ndarray]
Path = Sequence[tuple[int, ...]]
Call = Callable[[], Any]


# ---------------------------------------------------------------- orders


@dataclass(frozen=True)
class Method:
    """A name of `einstan.orders.methods.METHODS`, and the package it needs."""

    name: str
    package: str


METHODS = (
    Method("auto", "einstan"),
    *(Method(name, "opt_einsum") for name in ("opt_einsum", "auto-hq", "greedy", "random-greedy", "dp")),
    Method("cotengra", "cotengra"),
    Method("cotengrust", "cotengrust"),
)

ORDER_COLUMNS = (
    ("method", "method", "s"),
    ("mflop", "Mflop", ".4g"),
    ("largest_mb", "largest MB", ".3g"),
    ("peak_mb", "peak MB", ".3g"),
    ("planning_ms", "planning ms", ".3g"),
    ("predicted_ms", "predicted ms", ".3g"),
    ("run_ms", "run ms", ".3g"),
)
CHART = Chart("Flops of the orders", "case", "method", "flops", "flop", log=True)


def order_rows(case: str, table: OrderTable) -> Iterator[Row]:
    for row in table:
        yield {
            "case": case,
            "method": row.name,
            "flops": row.flops,
            "mflop": scaled(row.flops, 1e-6),
            "largest_mb": scaled(row.largest, 1e-6),
            "peak_mb": scaled(row.peak_bytes, 1e-6),
            "planning_ms": scaled(row.planning, 1e3),
            "predicted_ms": scaled(row.predicted, 1e3),
            "run_ms": scaled(row.measured, 1e3),
            "remark": row.remark,
        }


def scaled(amount: float | None, by: float) -> float | None:
    return None if amount is None else amount * by


# ---------------------------------------------------------------- engines: (network, arrays, path) -> call


def by_einstan(n: Network, a: Arrays, path: Path) -> Call:
    expression = es.contract_expression(*n.interleaved(n.shapes), optimize=path)
    return lambda: expression(*a)


def by_opt_einsum(n: Network, a: Arrays, path: Path) -> Call:
    from opt_einsum import contract_expression

    expression = contract_expression(n.subscripts, *n.shapes, optimize=path)
    return lambda: expression(*a)


def by_numpy(n: Network, a: Arrays, path: Path) -> Call:
    return partial(np.einsum, *n.interleaved(a), optimize=["einsum_path", *path])


def by_cotengra(n: Network, a: Arrays, path: Path) -> Call:
    from cotengra import array_contract_expression

    expression = array_contract_expression(n.terms, n.out, shapes=n.shapes, optimize=path)
    return lambda: expression(*a)


def by_jax(n: Network, a: Arrays, path: Path) -> Call:
    import jax

    contract = jax.jit(lambda *given: jax.numpy.einsum(n.subscripts, *given, optimize=path))
    on_device = [jax.device_put(array) for array in a]
    return lambda: jax.block_until_ready(contract(*on_device))


def by_torch(n: Network, a: Arrays, path: Path) -> Call:
    """opt_einsum's engine on torch's arrays."""
    import torch
    from opt_einsum import contract_expression

    expression = contract_expression(n.subscripts, *n.shapes, optimize=path)
    tensors = [torch.from_numpy(array) for array in a]
    return lambda: expression(*tensors)


@dataclass(frozen=True)
class Engine:
    """`labels` and `operands` are how many it takes: numpy as many as there are letters, XLA compiles minutes."""

    name: str
    package: str
    make: Callable[[Network, Arrays, Path], Call]
    labels: int = 1_000_000
    operands: int = 1_000_000


ENGINES = (
    Engine("einstan", "einstan", by_einstan),
    Engine("opt_einsum", "opt_einsum", by_opt_einsum),
    Engine("numpy", "numpy", by_numpy, labels=52, operands=63),
    Engine("cotengra", "cotengra", by_cotengra),
    Engine("jax", "jax", by_jax, operands=100),
    Engine("torch", "torch", by_torch),
)

ENGINE_COLUMNS = (
    ("engine", "engine", "s"),
    ("ms", "ms", ".4f"),
    ("spread", "spread", ".0%"),
    ("calls", "calls", "d"),
    ("to_einstan", "/ einstan", ".2f"),
)


def reason_against(engine: Engine, n: Network) -> str | None:
    if len(n.sizes) > engine.labels:
        return f"takes {engine.labels} labels, not {len(n.sizes)}"
    if len(n.terms) > engine.operands:
        return f"is not asked for more than {engine.operands} operands"
    return None


def calls_of(n: Network, engines: Sequence[Engine], path: Path, dtype: str) -> dict[str, Call]:
    """The call of each engine, whose numbers are right: those of opt_einsum in float64."""
    a = n.arrays(dtype)
    truth = by_opt_einsum(n, n.arrays("float64"), path)()
    calls = {engine.name: engine.make(n, a, path) for engine in engines if reason_against(engine, n) is None}
    for name, call in calls.items():
        agree(name, np.asarray(call()), truth, TOLERANCE[dtype])
    return calls


def engine_rows(case: str, times: dict[str, Timing]) -> Iterator[Row]:
    ours = times.get("einstan")
    for name, t in times.items():
        yield {
            "case": case,
            "engine": name,
            **t.row,
            "to_einstan": t.seconds / ours.seconds if ours else None,
        }


# ---------------------------------------------------------------- both


MODEL_COLUMNS = (
    ("case", "model", "s"),
    ("mflop", "Mflop", ".4g"),
    ("apart", "apart / together", ".2f"),
    ("largest_mb", "largest MB", ".3g"),
    ("peak_mb", "peak MB", ".3g"),
    ("planning_ms", "planning ms", ".3g"),
    ("run_ms", "run ms", ".3g"),
    ("methods", "methods", "s"),
)


def model_rows(case: str, table: OrderTable) -> Iterator[Row]:
    """Methods of the same costs are one row; `apart` are the outputs in their best separate orders."""
    same: dict[Any, list[Row]] = {}
    for row in order_rows(case, table):
        same.setdefault((row["flops"], row["peak_mb"], row["remark"]), []).append(row)
    apart = sum(output.flops for output in table.alone)
    for (flops, *_), rows in same.items():
        methods = ", ".join(row["method"] for row in rows) if len(same) > 1 else "all"
        yield rows[0] | {"methods": methods, "apart": apart / flops if flops and apart else None}


def names() -> tuple[list[str], list[str]]:
    """Of cases, and of methods and engines."""
    of_models = [case.name for case in models.CASES if few_outputs(case)]
    of_both = dict.fromkeys([*(m.name for m in METHODS), *(e.name for e in ENGINES)])
    return [*(case.name for case in networks.CASES), *of_models], list(of_both)


def few_outputs(case: models.Case) -> bool:
    return len(case.model().wrt) <= OUTPUTS


def tables(settings: Settings) -> Iterator[Table]:
    """For a network its orders, and its engines where it is run; then all models, each in its joint orders."""
    peers.set_up(peers.taking_part(ENGINES, settings)[0], settings.threads, settings.dtype)
    wanted = [case for case in networks.CASES if settings.wants(case.name)]
    with_gradients = [case for case in models.CASES if settings.wants(case.name) and few_outputs(case)]
    total = len(wanted) + len(with_gradients)
    for n, case in enumerate(wanted):
        yield from network_tables(case, settings, progress.part(case.name, n, total))
    if with_gradients:
        yield models_table(with_gradients, settings, len(wanted), total)


def network_tables(case: networks.Case, settings: Settings, tell: Tell) -> Iterator[Table]:
    n = case.make()
    table, notes = orders(n.subscripts, settings, tell, sizes=n.shapes)
    yield Table(f"{case.title}: orders, {settings.dtype}", list(order_rows(case.name, table)), ORDER_COLUMNS, notes)
    ran = next((row for row in table if row.measured is not None and row.measured < LONG), None)
    engines, absent = peers.taking_part(ENGINES, settings)
    if ran is not None and ran.path is not None and engines:
        times = measure(calls_of(n, engines, ran.path, settings.dtype), settings.rounds, tell)
        progress.clear()
        against = tuple(f"{e.name} {reason}" for e in engines if (reason := reason_against(e, n)))
        title = f"{case.title}: the order of {ran.name} by every engine, {settings.dtype}"
        yield Table(title, list(engine_rows(case.name, times)), ENGINE_COLUMNS, absent + against)


def models_table(cases: Sequence[models.Case], settings: Settings, done: int, total: int) -> Table:
    rows: list[Row] = []
    notes: dict[str, None] = {}  # each once
    for n, case in enumerate(cases, done):
        model, tell = case.model(), progress.part(case.name, n, total)
        table, said = orders(es.parse(model.text), settings, tell, of="L", wrt=model.wrt, sizes=model.shapes)
        rows += model_rows(case.name, table)
        notes |= dict.fromkeys(said)
    title = f"models: the value and all gradients, ordered together, {settings.dtype}"
    return Table(title, rows, MODEL_COLUMNS, tuple(notes))


def orders(what: Any, settings: Settings, tell: Tell, **asked: Any) -> tuple[OrderTable, tuple[str, ...]]:
    """The comparison of all methods that take part, and why others have no numbers."""
    methods, absent = peers.taking_part(METHODS, settings)
    table = compare(
        what,
        optimize=[method.name for method in methods] or ["auto"],
        dtype=settings.dtype,
        seconds=SECONDS,
        progress=lambda done, total, doing: tell(done / total, doing),
        **asked,
    )
    progress.clear()
    remarks = (f"{row.name}: {row.remark.removeprefix(row.name + ' ')}" for row in table if row.remark)
    return table, (*absent, *remarks)
