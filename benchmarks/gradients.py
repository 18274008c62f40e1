"""gradients: a loss and its gradients, by every candidate side by side; the cases are those of models.py.

A candidate is timed only after it has given the right numbers: those of the hand-written version in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import host, peers, progress
from .by_hand import Arrays
from .checking import TOLERANCE, same_numbers
from .models import CASES, Case, Model
from .peers import Call
from .report import Chart, Table
from .rounds import Timing, measure
from .settings import Settings

# ---------------------------------------------------------------- candidates: (model, arrays) -> call


def products_alone(model: Model, a: Arrays) -> Call:
    """The floor: the matrix products that every candidate has to do, and nothing else."""
    dtype = next(iter(a.values())).dtype
    assert model.products is not None
    pairs = list(model.products(a, lambda *shape: np.full(shape, 0.5, dtype)))
    jobs = [(np.matmul if left.ndim > 2 else np.dot, left, right, np.empty_like(left @ right)) for left, right in pairs]

    def call() -> None:
        for product, left, right, out in jobs:
            product(left, right, out=out)

    return call


def by_hand(model: Model, a: Arrays) -> Call:
    assert model.by_hand is not None
    return model.by_hand(a)


def einstan(model: Model, a: Arrays) -> Call:
    import einstan as es

    kernel = es.parse(model.text).value_and_grad("L", wrt=model.wrt).compile()
    return lambda: kernel(**a)


def einstan_into(model: Model, a: Arrays) -> Call:
    """The same kernel writing into arrays that are kept, as the hand-written one does."""
    import einstan as es

    kernel = es.parse(model.text).value_and_grad("L", wrt=model.wrt).compile()
    outs = (np.empty((), a[model.wrt[0]].dtype), {name: np.empty_like(a[name]) for name in model.wrt})
    return lambda: kernel.into(outs, **a)


def fused(model: Model, a: Arrays) -> Call:
    assert model.fused is not None
    return peers.torch_eager(model.fused, model.wrt, a)


def by_peer(maker: Callable[[Any, Sequence[str], Arrays], Call]) -> Callable[[Model, Arrays], Call]:
    return lambda model, a: maker(model.loss, model.wrt, a)


@dataclass(frozen=True)
class Candidate:
    """`role`: the floor; the hand-written one; ourselves; a peer; compiled, which is torch's compiler; or fused, a
    peer's special function of this model.

    `most` is how many inputs are given to a candidate that compiles for minutes.
    """

    name: str
    package: str
    role: str
    make: Callable[[Model, Arrays], Call]
    most: int = 1_000_000


CANDIDATES = (
    Candidate("products", "numpy", "floor", products_alone),
    Candidate("numpy", "numpy", "hand", by_hand),
    Candidate("einstan", "einstan", "ours", einstan),
    Candidate("einstan-into", "einstan", "ours", einstan_into),
    Candidate("jax", "jax", "peer", by_peer(peers.jax_jit)),
    Candidate("torch", "torch", "peer", by_peer(peers.torch_eager)),
    Candidate("torch-compile", "torch", "compiled", by_peer(peers.torch_compiled), most=100),
    Candidate("torch-fused", "torch", "fused", fused),
    Candidate("autograd", "autograd", "peer", by_peer(peers.autograd)),
)


def takes_part(candidate: Candidate, model: Model) -> bool:
    """Whether there is such a thing for the model."""
    there_is = {"floor": model.products, "fused": model.fused}.get(candidate.role, model.loss) is not None
    return there_is and len(model.shapes) <= candidate.most


def too_many(model: Model, candidates: Sequence[Candidate]) -> Iterator[str]:
    """Who is not asked for a model of so many inputs."""
    n = len(model.shapes)
    yield from (
        f"{c.name}: is not asked for more than {c.most} inputs, and these are {n}" for c in candidates if n > c.most
    )


# ---------------------------------------------------------------- the same numbers, then the times


def calls_of(model: Model, candidates: Sequence[Candidate], dtype: str) -> dict[str, Call]:
    """The call of each candidate, whose numbers are right."""
    a = model.arrays(dtype)
    truth = by_hand(model, {name: array.astype("float64") for name, array in a.items()})()
    calls: dict[str, Call] = {}
    for candidate in candidates:
        if takes_part(candidate, model):
            calls[candidate.name] = candidate.make(model, a)
            result = calls[candidate.name]()
            if candidate.role != "floor":
                same_numbers(candidate.name, model, result, truth, TOLERANCE[dtype])
    return calls


COLUMNS = (
    ("candidate", "candidate", "s"),
    ("ms", "ms", ".4f"),
    ("spread", "spread", ".0%"),
    ("calls", "calls", "d"),
    ("to_floor", "/ products", ".2f"),
    ("to_numpy", "/ numpy", ".2f"),
    ("to_peer", "/ best of jax, torch, autograd", ".2f"),
    ("to_compiled", "/ torch.compile", ".2f"),
)
CHART = Chart("Value and gradients: time / numpy by hand", "case", "candidate", "to_numpy", "×")
COMPARED = ("floor", "hand", "peer", "compiled")  # roles, of which the fastest counts


def rows(case: Case, times: Mapping[str, Timing]) -> Iterator[dict[str, Any]]:
    """A row for each candidate; ratios to the floor, the hand-written version, the fastest peer, torch's compiler."""
    seconds = {name: t.seconds for name, t in times.items()}
    in_role = {role: [seconds[c.name] for c in CANDIDATES if c.role == role and c.name in seconds] for role in COMPARED}
    best = {role: min(found, default=None) for role, found in in_role.items()}
    for name, t in times.items():
        yield {
            "case": case.name,
            "candidate": name,
            **t.row,
            "to_floor": ratio(t.seconds, best["floor"]),
            "to_numpy": ratio(t.seconds, best["hand"]),
            "to_peer": ratio(t.seconds, best["peer"]),
            "to_compiled": ratio(t.seconds, best["compiled"]),
        }


def ratio(seconds: float, other: float | None) -> float | None:
    return None if other is None else seconds / other


def names() -> tuple[list[str], list[str]]:
    """Of cases, and of candidates."""
    return [case.name for case in CASES], [c.name for c in CANDIDATES]


def tables(settings: Settings) -> Iterator[Table]:
    """A table for each case."""
    present, notes = peers.taking_part(CANDIDATES, settings)
    peers.set_up(present, settings.threads, settings.dtype)
    cases = [case for case in CASES if settings.wants(case.name)]
    for n, case in enumerate(cases):
        tell = progress.part(case.name, n, len(cases))
        tell(0, "right numbers")
        model = case.model()
        calls, before = calls_of(model, present, settings.dtype), host.ticks()
        times = measure(calls, settings.rounds, tell)
        progress.clear()
        title = f"{case.title}: value and gradients, {settings.dtype}"
        yield Table(title, list(rows(case, times)), COLUMNS, (*notes, *too_many(model, present), *host.told(before)))
