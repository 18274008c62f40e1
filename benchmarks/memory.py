"""memory: the peak of a call as it was predicted and as it is measured, without a limit and with a low one.

`python -m benchmarks memory`. tracemalloc sees what numpy allocates, not what jax and torch do: for them the pages are
counted that the process got during a call, where the system tells.
"""

from __future__ import annotations

import ctypes
import gc
import re
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import einstan as es

from . import peers, progress
from .by_hand import Arrays
from .models import CASES as MODELS
from .peers import Call
from .report import Chart, Table
from .rounds import measure
from .settings import Settings

SHARE = 4  # the limit is the outputs, and the rest of the peak over this


@dataclass(frozen=True)
class Case:
    """`compile` takes what `Program.compile` does; `arrays` are made for a dtype."""

    name: str
    title: str
    compile: Callable[..., es.Kernel]
    arrays: Callable[[str], Arrays]


def of_model(case: Any) -> Case:
    """A case of models.py: the loss and its gradients."""
    model = case.model()
    derivative = es.parse(model.text).value_and_grad("L", wrt=model.wrt)
    return Case(case.name, case.title, derivative.compile, model.arrays)


@dataclass(frozen=True)
class Text:
    """A program whose large arrays are not results. `verb` and `wrt` say what of it is computed; sizes by letter."""

    name: str
    title: str
    text: str
    verb: str
    of: str
    wrt: tuple[str, ...]
    sizes: Mapping[str, int]
    small: Mapping[str, int]

    def case(self, sizes: Mapping[str, int]) -> Case:
        program = es.parse(self.text)
        shapes = {name: tuple(sizes[letter] for letter in axes) for name, axes in program.inputs.items()}
        if self.verb == "value":
            return Case(self.name, self.title, partial(program.compile, self.of), partial(normal, shapes))
        wanted = getattr(program, self.verb)(self.of, wrt=list(self.wrt))
        return Case(self.name, self.title, wanted.compile, partial(normal, shapes))


def normal(shapes: Mapping[str, tuple[int, ...]], dtype: str) -> Arrays:
    rng = np.random.default_rng(0)
    return {name: (rng.standard_normal(shape) / 4).astype(dtype) for name, shape in shapes.items()}


BGK = "bgk,bkd,bk->bgd"

TEXTS = (
    Text(
        "bgk",
        f"{BGK}, (64, 8, 4096, 128)",
        "y[b,g,d] = c[b,K] A[b,g,K] B[b,K,d]",
        "value",
        "y",
        (),
        {"b": 64, "g": 8, "k": 4096, "d": 128},
        {"b": 37, "g": 7, "k": 131, "d": 5},
    ),
    Text(
        "attention-rows",
        "attention, 2048 queries and keys, width 64, all gradients",
        """
            P[n,m] = softmax[m](q[n,D] k[m,D])
            R[n,d] = P[n,M] v[M,d] - T[n,d]
            L = R[N,D] R[N,D]
        """,
        "value_and_grad",
        "L",
        ("q", "k", "v"),
        {"n": 2048, "m": 2048, "d": 64},
        {"n": 307, "m": 293, "d": 5},
    ),
    Text(
        "kernel-sum",
        "Gaussian kernel between 4096 and 4096 points of 16, times a vector",
        """
            K[i,j] = exp(2 x[i,D] y[j,D] - x[i,D] x[i,D] - y[j,D] y[j,D])
            f[i] = K[i,J] v[J]
        """,
        "value",
        "f",
        (),
        {"i": 4096, "j": 4096, "d": 16},
        {"i": 401, "j": 409, "d": 3},
    ),
    Text(
        "kernel-gradients",
        "the same, entry by entry, 512 points, with gradients",
        """
            K[i,j] = exp(-sum[d]((x[i,d] - y[j,d])^2))
            L = K[I,J] v[J] u[I]
        """,
        "value_and_grad",
        "L",
        ("x", "y", "v"),
        {"i": 512, "j": 512, "d": 16},
        {"i": 101, "j": 103, "d": 7},
    ),
    Text(
        "distances",
        "the sum of all distances between 1024 and 1024 points of 8, with gradients",
        "L = sum[i,j](sqrt(sum[d]((x[i,d] - y[j,d])^2) + 1e-3))",
        "value_and_grad",
        "L",
        ("x", "y"),
        {"i": 1024, "j": 1024, "d": 8},
        {"i": 101, "j": 103, "d": 7},
    ),
    Text(
        "batch",
        "two dense layers of 64, a batch of 65536, all gradients",
        """
            Y[b,j] = tanh(X[b,K] W[K,j] + c[j])
            R[b,j] = Y[b,K] V[K,j] - T[b,j]
            L = R[B,J] R[B,J]
        """,
        "value_and_grad",
        "L",
        ("W", "c", "V"),
        {"b": 65536, "k": 64, "j": 64},
        {"b": 5003, "k": 7, "j": 7},
    ),
    Text(
        "hessian",
        "Hessian of a dense layer 12-8 over a batch of 8192",
        """
            R[b,j] = tanh(X[b,K] W[K,j]) - T[b,j]
            L = R[B,J] R[B,J]
        """,
        "hessian",
        "L",
        ("W",),
        {"b": 8192, "k": 12, "j": 8},
        {"b": 2003, "k": 5, "j": 3},
    ),
    Text(
        "jacobian",
        "Jacobian of the mean of a dense layer 32-16 over a batch of 32768",
        "m[j] = mean[b](tanh(X[b,K] W[K,j]))",
        "jacobian",
        "m",
        ("W",),
        {"b": 32768, "k": 32, "j": 16},
        {"b": 4001, "k": 5, "j": 7},
    ),
    Text(
        "triple",
        "tanh(X W X') summed over its columns, 4096 rows",
        "y[i] = tanh(X[i,K] W[K,L] X[J,L]) 1[J]",
        "value",
        "y",
        (),
        {"i": 4096, "j": 4096, "k": 32, "l": 32},
        {"i": 409, "j": 409, "k": 5, "l": 5},
    ),
    Text(
        "chain",
        "a sum of a function of a chain of products, 4096 × 256 × 256 × 4096",
        "s = log(1 + exp(A[I,K] B[K,L] C[L,J])) 1[I] 1[J]",
        "value",
        "s",
        (),
        {"i": 4096, "k": 256, "l": 256, "j": 4096},
        {"i": 401, "k": 11, "l": 7, "j": 409},
    ),
)


# ---------------------------------------------------------------- measuring


def traced(call: Call) -> int:
    """The most bytes that Python and numpy held during a call, over what they held before."""
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def resident(call: Call) -> int | None:
    """The most bytes of memory that the process got during a call; None where the system does not tell."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was used before goes back to the system
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high water mark is what it is now
        before = status("VmHWM")
        call()
        return status("VmHWM") - before
    except (OSError, AttributeError):
        return None


def status(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024  # type: ignore[index]


def first_peak(kernel: es.Kernel, a: Arrays) -> int:
    """Of the first call of a kernel that is planned and compiled already: with its workspace."""
    bound, _ = kernel._bind(a)
    bound.compiled()
    return traced(lambda: kernel(**a))


# ---------------------------------------------------------------- rows


def row(case: Case, settings: Settings, tell: Callable[[float, str], None]) -> dict[str, Any]:
    """The case without a limit and with one."""
    a = case.arrays(settings.dtype)
    kernel = case.compile()
    found = peaks(kernel, a)
    outputs = sum(x.nbytes for x in leaves(kernel(**a)))
    limit = outputs + (kernel.cost.peak_bytes - outputs) // SHARE
    line = {"case": case.name, "candidate": "einstan", "outputs_mb": outputs / 1e6, **found, "limit_mb": limit / 1e6}
    return line | limited(case, kernel, a, limit, settings, tell)


def peaks(kernel: es.Kernel, a: Arrays) -> dict[str, float]:
    measured = first_peak(kernel, a)
    predicted = kernel.cost.peak_bytes
    return {"predicted_mb": predicted / 1e6, "measured_mb": measured / 1e6, "ratio": measured / predicted}


def limited(
    case: Case, kernel: es.Kernel, a: Arrays, limit: int, settings: Settings, tell: Callable[[float, str], None]
) -> dict[str, Any]:
    """With the limit; nothing where it can't be kept."""
    less = case.compile(memory_limit=limit)
    try:
        found = peaks(less, a)
    except es.EinstanError:
        return {}
    times = measure({"free": lambda: kernel(**a), "limited": lambda: less(**a)}, settings.rounds, tell)
    return {
        **{f"limited_{name}": value for name, value in found.items()},
        "flops_ratio": less.cost.flops / max(kernel.cost.flops, 1),
        "time_ratio": times["limited"].seconds / times["free"].seconds,
    }


def leaves(results: Any) -> Iterator[np.ndarray]:
    """The arrays of nested results."""
    if isinstance(results, np.ndarray):
        yield results
    else:
        for branch in results.values() if isinstance(results, dict) else results:
            yield from leaves(branch)


COLUMNS = (
    ("case", "case", "s"),
    ("outputs_mb", "outputs MB", ".3f"),
    ("predicted_mb", "predicted MB", ".3f"),
    ("measured_mb", "measured MB", ".3f"),
    ("ratio", "measured / predicted", ".2f"),
    ("limit_mb", "limit MB", ".3f"),
    ("limited_predicted_mb", "predicted MB", ".3f"),
    ("limited_measured_mb", "measured MB", ".3f"),
    ("limited_ratio", "measured / predicted", ".2f"),
    ("flops_ratio", "flops / without", ".2f"),
    ("time_ratio", "time / without", ".2f"),
)
CHART = Chart("Peak memory of a call", "case", "candidate", "measured_mb", "MB")


# ---------------------------------------------------------------- one contraction, by everyone


@dataclass(frozen=True)
class Candidate:
    """`make` takes the operands and gives a call."""

    name: str
    package: str
    make: Callable[[list[np.ndarray]], Call]


def by_kernel(operands: list[np.ndarray]) -> Call:
    (text,) = [t for t in TEXTS if t.name == "bgk"]
    kernel = es.parse(text.text).compile("y")
    bound, _ = kernel._bind(dict(zip("ABc", operands, strict=True)))
    bound.compiled()
    return lambda: kernel(dict(zip("ABc", operands, strict=True)))


def by_einsum(module: str, **options: Any) -> Callable[[list[np.ndarray]], Call]:
    def make(operands: list[np.ndarray]) -> Call:
        return partial(import_module(module).einsum, BGK, *operands, **options)

    return make


def by_opt_einsum(operands: list[np.ndarray]) -> Call:
    import opt_einsum

    return partial(opt_einsum.contract, BGK, *operands)


def by_jax(operands: list[np.ndarray]) -> Call:
    import jax

    on_device = [jax.device_put(x) for x in operands]
    product = jax.jit(partial(jax.numpy.einsum, BGK))
    return lambda: jax.block_until_ready(product(*on_device))


def by_torch(operands: list[np.ndarray]) -> Call:
    import torch

    return partial(torch.einsum, BGK, *map(torch.from_numpy, operands))


CANDIDATES = (
    Candidate("einstan", "einstan", by_kernel),
    Candidate("einstan.einsum", "einstan", by_einsum("einstan")),
    Candidate("numpy.einsum", "numpy", by_einsum("numpy", optimize=True)),
    Candidate("opt_einsum", "opt_einsum", by_opt_einsum),
    Candidate("jax", "jax", by_jax),
    Candidate("torch", "torch", by_torch),
)
UNSEEN = ("jax", "torch")  # tracemalloc does not see their arrays
EVERYONE = (
    ("candidate", "candidate", "s"),
    ("measured_mb", "MB", ".1f"),
    ("to_least", "/ least", ".2f"),
    ("by", "seen by", "s"),
)


def contraction(candidates: list[Candidate], sizes: Mapping[str, int], dtype: str) -> Iterator[dict[str, Any]]:
    """The peak of BGK by each candidate; the least is the result and the smallest intermediate."""
    b, g, k, d = (sizes[letter] for letter in "bgkd")
    operands = list(normal({"A": (b, g, k), "B": (b, k, d), "c": (b, k)}, dtype).values())
    least = (b * g * d + b * g * k) * operands[0].itemsize
    for candidate in candidates:
        call = candidate.make(operands)
        by, measured = ("pages", resident) if candidate.name in UNSEEN else ("tracemalloc", traced)
        if by == "pages":
            call()  # compiles
        found = measured(call)
        yield {
            "case": "bgk",
            "candidate": candidate.name,
            "measured_mb": None if found is None else found / 1e6,
            "to_least": None if found is None else found / least,
            "by": by,
        }


def names() -> tuple[list[str], list[str]]:
    """Of cases, and of candidates."""
    return [case.name for case in (*MODELS, *TEXTS)], [c.name for c in CANDIDATES]


def cases(settings: Settings) -> list[Callable[[], Case]]:
    models = [partial(of_model, case) for case in MODELS if settings.wants(case.name)]
    return [*models, *(partial(text.case, text.sizes) for text in TEXTS if settings.wants(text.name))]


def tables(settings: Settings) -> Iterator[Table]:
    """One table of all cases, and one of everyone's peak in one contraction."""
    made, rows = cases(settings), []
    for n, make in enumerate(made):
        case = make()
        rows.append(row(case, settings, progress.part(case.name, n, len(made))))
    progress.clear()
    yield Table(f"Peak memory of a call beside its inputs, {settings.dtype}", rows, COLUMNS)
    if settings.wants("bgk"):
        present, notes = peers.taking_part(CANDIDATES, settings)
        peers.set_up(present, settings.threads, settings.dtype)
        sizes = next(text.sizes for text in TEXTS if text.name == "bgk")
        found = list(contraction(present, sizes, settings.dtype))
        yield Table(f"{BGK}: peak memory beside the operands, {settings.dtype}", found, EVERYONE, notes)
