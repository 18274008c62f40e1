"""hessians: dense and structured Hessians by every candidate side by side, and how long the first one takes.

All Hessians are compared with jax's before they are timed. A first Hessian is to parse, derive, compile and call, or to
trace, compile and call; imports are not counted, and what was compiled before is forgotten. `python -m benchmarks
hessians`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from . import host, peers, progress
from .by_hand import Arrays
from .checking import agree, plain
from .first_result import forget_jax, forget_nothing
from .models import Model
from .peers import Call
from .report import Chart, Table
from .rounds import Timing, measure
from .settings import Settings

TOLERANCE = {"float32": 1e-3, "float64": 1e-9}  # of the largest entry
ROOM = 1 << 30  # bytes that a candidate may take for one array
SLOW = 1.0  # seconds of a call that is not repeated in rounds
TRIALS, ENOUGH = 3, 1.0  # of first Hessians, and the seconds in which they are made

Blocks = dict[tuple[str, str], Any]  # the Hessian by the names of rows and columns


# ---------------------------------------------------------------- models


@dataclass(frozen=True)
class Problem(Model):
    """A model whose Hessian in the weights is asked for; `largest` is the size of the largest array that its value
    takes. The entries of the inputs `flags` are 0 or 1 by chance, those of `one_hot` 1 once in every row."""

    largest: int = 0
    flags: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()

    def arrays(self, dtype: str) -> Arrays:
        rng, made = np.random.default_rng(1), super().arrays(dtype)
        made |= {name: (rng.random(self.shapes[name]) < 0.5).astype(dtype) for name in self.flags}
        for name in self.one_hot:
            rows, classes = self.shapes[name]
            made[name] = np.eye(classes, dtype=dtype)[rng.integers(0, classes, rows)]
        return made

    @property
    def size(self) -> int:
        """How many weights there are: the Hessian has the square of that."""
        return sum(prod(self.shapes[name]) for name in self.wrt)


def logistic(n: int) -> Problem:
    """n weights, twice as many samples."""
    return Problem(
        "z[a] = X[a,I] w[I]\nL = softplus(z[A]) 1[A] - y[A] z[A]",
        {"X": (2 * n, n), "w": (n,), "y": (2 * n,)},
        ("X", "y"),
        lambda xp, a: (xp.softplus(a["X"] @ a["w"]) - a["y"] * (a["X"] @ a["w"])).sum(),
        largest=2 * n,
        flags=("y",),
    )


def factorisation(n: int, rank: int = 5) -> Problem:
    """‖M ⊙ (T - U Vᵀ)‖², the Hessian in U."""
    return Problem(
        "E[i,j] = M[i,j] (T[i,j] - U[i,K] V[j,K])\nL = E[I,J] E[I,J]",
        {"M": (n, n), "T": (n, n), "U": (n, rank), "V": (n, rank)},
        ("M", "T", "V"),
        lambda xp, a: ((a["M"] * (a["T"] - a["U"] @ a["V"].T)) ** 2).sum(),
        largest=n * n,
        flags=("M",),
    )


def quadratic(n: int) -> Problem:
    return Problem(
        "L = x[I] A[I,J] x[J]", {"A": (n, n), "x": (n,)}, ("A",), lambda xp, a: a["x"] @ a["A"] @ a["x"], largest=n
    )


def log_sum_exp(n: int) -> Problem:
    return Problem("L = logsumexp[i](x[i])", {"x": (n,)}, (), lambda xp, a: xp.logsumexp(a["x"]), largest=n)


def cross_entropy(batch: int, classes: int, features: int) -> Problem:
    """One layer with softmax."""
    return Problem(
        "Z[b,c] = X[b,F] W[F,c]\nL = - T[B,C] log_softmax[C](Z[B,C])",
        {"X": (batch, features), "W": (features, classes), "T": (batch, classes)},
        ("X", "T"),
        lambda xp, a: -(a["T"] * xp.log_softmax(a["X"] @ a["W"])).sum(),
        largest=batch * classes,
        one_hot=("T",),
    )


def relu_layers(width: int, batch: int, depth: int) -> Problem:
    """The Hessian in the weights of the first of some layers, softmax cross entropy at the end."""
    lines = [f"H{n}[b,j] = relu(H{n - 1}[b,K] W{n}[K,j])" for n in range(1, depth + 1)]
    layers = {f"W{n}": (width, width) for n in range(1, depth + 1)}
    inner = tuple(name for name in layers if name != "W1")

    def loss(xp: Any, a: Any) -> Any:
        h = a["H0"]
        for n in range(1, depth + 1):
            h = xp.relu(h @ a[f"W{n}"])
        return -(a["T"] * xp.log_softmax(h)).sum()

    return Problem(
        "\n".join([*lines, f"L = - T[B,C] log_softmax[C](H{depth}[B,C])"]),
        {"H0": (batch, width), "T": (batch, width), **layers},
        ("H0", "T", *inner),
        loss,
        largest=batch * width,
        one_hot=("T",),
    )


def two_layers(batch: int, width: int) -> Problem:
    """A net with a hidden layer of sigmoids: all four blocks of the Hessian in both weights."""
    return Problem(
        "H[b,j] = sigmoid(X[b,K] W[K,j])\nR[b,c] = H[b,J] V[J,c] - T[b,c]\nL = R[B,C] R[B,C]",
        {"X": (batch, width), "W": (width, width), "V": (width, width), "T": (batch, width)},
        ("X", "T"),
        lambda xp, a: ((xp.sigmoid(a["X"] @ a["W"]) @ a["V"] - a["T"]) ** 2).sum(),
        largest=batch * width,
    )


@dataclass(frozen=True)
class Case:
    """`make(*sizes)` is the model; `small` are the sizes that tests take."""

    kind: str
    title: str
    make: Callable[..., Problem]
    sizes: tuple[int, ...]
    small: tuple[int, ...]

    @property
    def name(self) -> str:
        return "-".join([self.kind, str(self.sizes[-1])])

    @property
    def model(self) -> Problem:
        return self.make(*self.sizes)

    @property
    def small_model(self) -> Problem:
        return self.make(*self.small)


def cases(
    kind: str, title: str, make: Callable[..., Problem], small: Sequence[int], *sizes: Sequence[int]
) -> list[Case]:
    """A case for each of the sizes; the title has them by their places."""
    return [Case(kind, title.format(*own), make, tuple(own), tuple(small)) for own in sizes]


CASES = (
    *cases(
        "logistic", "logistic regression, {0} weights, twice as many samples", logistic, (5,), (100,), (300,), (1000,)
    ),
    *cases(
        "factorisation",
        "matrix factorisation with a mask, {0} × {0}, rank 5",
        factorisation,
        (7, 3),
        (50,),
        (100,),
        (200,),
        (2000,),
    ),
    *cases("quadratic", "xᵀ A x, {0} entries", quadratic, (5,), (256,), (1024,), (2048,)),
    *cases("logsumexp", "log Σ exp of {0} entries", log_sum_exp, (5,), (64,), (256,), (1024,)),
    *cases(
        "softmax",
        "softmax cross entropy, batch {0}, {1} classes, {2} features",
        cross_entropy,
        (7, 3, 5),
        (128, 20, 10),
        (128, 20, 50),
        (128, 20, 100),
    ),
    *cases(
        "relu",
        "{2} dense relu layers of width {0}, batch {1}, first weights",
        relu_layers,
        (5, 7, 3),
        (20, 20, 2),
        (20, 20, 10),
    ),
    *cases("sigmoid", "two layers of width {1}, batch {0}, both weights", two_layers, (7, 3), (64, 8), (64, 20)),
)


# ---------------------------------------------------------------- candidates: (model, arrays) -> call


def einstan(model: Problem, a: Arrays, **options: Any) -> Call:
    """A kernel, given what it reads."""
    import einstan as es

    kernel = es.parse(model.text).hessian("L", wrt=model.wrt).compile(**options)
    own = {name: a[name] for name in kernel.inputs}
    return lambda: kernel(**own)


def jax_hessian(model: Problem, a: Arrays) -> Call:
    """jax.jit of jax.hessian, on arrays that are on the device."""
    import jax

    xp = peers.jax_words()
    data = {name: jax.device_put(array) for name, array in a.items()}
    weights = {name: data.pop(name) for name in model.wrt}
    hessian = jax.jit(jax.hessian(lambda w, data: model.loss(xp, data | w)))
    return lambda: jax.block_until_ready(hessian(weights, data))


def torch_hessian(model: Problem, a: Arrays) -> Call:
    import torch

    xp = peers.torch_words()
    data = {name: torch.from_numpy(array.copy()) for name, array in a.items()}
    weights = {name: data.pop(name) for name in model.wrt}
    hessian = torch.func.hessian(lambda w: model.loss(xp, data | w))
    return lambda: hessian(weights)


@dataclass(frozen=True)
class Candidate:
    """`make` gives its call; `forget` drops what earlier ones left; `takes` says how many bytes its largest array has
    for a model and an itemsize."""

    name: str
    package: str
    make: Callable[[Problem, Arrays], Call]
    takes: Callable[[Problem, int], int]
    forget: Callable[[], None] = forget_nothing


def dense_bytes(model: Problem, itemsize: int) -> int:
    return model.size**2 * itemsize


def tangent_bytes(model: Problem, itemsize: int) -> int:
    """Forward over reverse: of every array one for each weight."""
    return max(model.size * model.largest * itemsize, dense_bytes(model, itemsize))


CANDIDATES = (
    Candidate("einstan", "einstan", einstan, dense_bytes),
    Candidate("einstan-structured", "einstan", partial(einstan, structured=True), lambda model, itemsize: 0),
    Candidate("jax", "jax", jax_hessian, tangent_bytes, forget_jax),
    Candidate("torch", "torch", torch_hessian, tangent_bytes),
)
TRUE = ("jax", "einstan")  # what the others are compared with: the first of these that takes part


def reason_against(candidate: Candidate, model: Problem, dtype: str) -> str | None:
    """Why the model is too large for a candidate."""
    need = candidate.takes(model, np.dtype(dtype).itemsize)
    return None if need <= ROOM else f"one array would take {need / 2**30:.1f} GiB"


# ---------------------------------------------------------------- the same numbers


def blocks(model: Problem, result: Any) -> Blocks:
    """A Hessian by the names of rows and columns; structured blocks as they are."""
    return {(row, column): result[row][column] for row in model.wrt for column in model.wrt}


def right_numbers(name: str, model: Problem, a: Arrays, found: Blocks, truth: Blocks | None, tolerance: float) -> None:
    """Equal to the truth, where there is one; else what the Hessian makes of vectors is what the program for that
    alone gives."""
    if truth is None:
        right_products(name, model, a, found, tolerance)
        return
    for (row, column), block in found.items():
        dense = block.dense() if hasattr(block, "dense") else plain(block)
        agree(f"{name}: the Hessian in {row}, {column}", dense, plain(truth[row, column]), tolerance)


def right_products(name: str, model: Problem, a: Arrays, found: Blocks, tolerance: float) -> None:
    """H v by the blocks, against H v without a Hessian; of one name of weights."""
    import einstan as es

    for (row, column), block in found.items():
        if row == column:
            v = np.random.default_rng(2).standard_normal(a[row].shape).astype(a[row].dtype)
            product = es.parse(model.text).hvp("L", wrt=row, vector="way").compile()(**a, way=v)
            own = block.matvec(v) if hasattr(block, "matvec") else np.tensordot(plain(block), v, v.ndim)
            agree(f"{name}: the Hessian in {row} times a vector", own, product, tolerance)


# ---------------------------------------------------------------- measuring


@dataclass(frozen=True)
class Found:
    """The call of a candidate, the seconds of its first Hessians and of one more call, the bytes of a Hessian."""

    call: Call
    first: list[float]
    again: float
    nbytes: int


def first_seconds(candidate: Candidate, model: Problem, a: Arrays) -> tuple[float, Call, Any]:
    """How long a Hessian takes from nothing, the call, and the Hessian."""
    candidate.forget()
    start = time.perf_counter()
    call = candidate.make(model, a)
    result = call()
    return time.perf_counter() - start, call, result


def found_by(candidate: Candidate, model: Problem, a: Arrays, most: int) -> tuple[Found, Any]:
    """What there is to say of a candidate before the rounds, and its Hessian."""
    seconds, call, result = first_seconds(candidate, model, a)
    trials = [seconds]
    while len(trials) < most and sum(trials) < ENOUGH:
        trials.append(first_seconds(candidate, model, a)[0])
    start = time.perf_counter()
    call()
    again = time.perf_counter() - start
    return Found(call, trials, again, sum(block.nbytes for block in blocks(model, result).values())), result


def measured(
    model: Problem, candidates: Sequence[Candidate], settings: Settings
) -> tuple[dict[str, Found], tuple[str, ...]]:
    """What is found of every candidate whose Hessian is right, and what is to be said of the others."""
    a, notes, found = model.arrays(settings.dtype), list[str](), dict[str, Found]()
    truth: Blocks | None = None
    for candidate in sorted(candidates, key=lambda c: TRUE.index(c.name) if c.name in TRUE else len(TRUE)):
        reason = reason_against(candidate, model, settings.dtype)
        if reason is not None:
            notes.append(f"{candidate.name}: {reason}")
            continue
        found[candidate.name], result = found_by(candidate, model, a, min(TRIALS, settings.rounds.rounds))
        own = blocks(model, result)
        right_numbers(candidate.name, model, a, own, truth, TOLERANCE[settings.dtype])
        if truth is None and candidate.name in TRUE:
            truth = {key: plain(block) for key, block in own.items()}
    return found, tuple(notes)


COLUMNS = (
    ("candidate", "candidate", "s"),
    ("ms", "ms", ".4f"),
    ("spread", "spread", ".0%"),
    ("calls", "calls", "d"),
    ("to_jax", "jax / this", ".2f"),
    ("first_s", "first s", ".3f"),
    ("first_to_jax", "jax's first / this", ".1f"),
    ("mb", "MB of a Hessian", ".3f"),
)
CHART = Chart("Hessians: how many times as fast as jax", "case", "candidate", "to_jax", "×", log=True)


def rows(case: Case, found: Mapping[str, Found], times: Mapping[str, Timing]) -> Iterator[dict[str, Any]]:
    """A row for each candidate, in the order of the table."""
    first = {name: sorted(own.first)[len(own.first) // 2] for name, own in found.items()}
    for name in [c.name for c in CANDIDATES if c.name in found]:
        yield {
            "case": case.name,
            "candidate": name,
            **times[name].row,
            "to_jax": times["jax"].seconds / times[name].seconds if "jax" in times else None,
            "first_s": first[name],
            "first_to_jax": first["jax"] / first[name] if "jax" in first else None,
            "mb": found[name].nbytes / 1e6,
        }


def names() -> tuple[list[str], list[str]]:
    """Of cases, and of candidates."""
    return [case.name for case in CASES], [c.name for c in CANDIDATES]


def timings(found: Mapping[str, Found], settings: Settings, tell: Callable[[float, str], None]) -> dict[str, Timing]:
    """In rounds; of a candidate whose call is slow the one that was made."""
    slow = {name: own.again for name, own in found.items() if own.again > SLOW}
    quick = {name: own.call for name, own in found.items() if name not in slow}
    return measure(quick, settings.rounds, tell) | {name: Timing(s, s, s, 1) for name, s in slow.items()}


def tables(settings: Settings) -> Iterator[Table]:
    """A table for each case. A small Hessian first: imports and first-time tables are not a case's cost."""
    present, notes = peers.taking_part(CANDIDATES, settings)
    peers.set_up(present, settings.threads, settings.dtype)
    for candidate in present:
        first_seconds(candidate, relu_layers(3, 5, 2), relu_layers(3, 5, 2).arrays(settings.dtype))
    wanted = [case for case in CASES if settings.wants(case.name)]
    for n, case in enumerate(wanted):
        tell, before = progress.part(case.name, n, len(wanted)), host.ticks()
        tell(0, "right numbers")
        found, large = measured(case.model, present, settings)
        times = timings(found, settings, tell)
        progress.clear()
        title = f"{case.title}: the Hessian, {settings.dtype}"
        yield Table(title, list(rows(case, found, times)), COLUMNS, (*notes, *large, *host.told(before)))
