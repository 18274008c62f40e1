"""Arrays of every layout, threads, other processes, failures and interrupts: five kernels stay right."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einstan as es

Arrays = dict[str, Any]

TEXTS = {
    "a dense layer": (
        "Z[b,j] = X[b,K] W[K,j] + c[j]\nY[b,j] = tanh(Z[b,j])\nL = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])",
        ("W", "c", "X"),
        {"X": (5, 3), "W": (3, 7), "c": (7,), "T": (5, 7)},
    ),
    "attention": (
        "S[i,j] = Q[i,K] R[j,K] s\nP[i,j] = softmax[j](S[i,j])\nL = log(P[I,J] V[J,C] V[I,C])",
        ("Q", "V", "s"),
        {"Q": (5, 3), "R": (7, 3), "V": (7, 2), "s": ()},
    ),
    "a gate": (
        "f[b,j] = sigmoid(W[j,K] [h[b,K], x[b,K]]_K + c[j])\nL = f[B,J] f[B,J]",
        ("W", "h", "x"),
        {"W": (5, 5), "h": (7, 2), "x": (7, 3), "c": (5,)},
    ),
    "reductions": (
        "m[i] = max[k](A[i,k]) + norm[k](A[i,k]) + prod[k](A[i,k])\nL = m[I] logsumexp[k](A[I,k]) + A[I,K]^3 1[I] 1[K]",
        ("A",),
        {"A": (5, 3)},
    ),
    "diagonals": (
        "D[i,i] = d[i]\nE[i,j] = D[i,j] + A[i,j]\nL = E[I,I] E[I,J] E[J,I] exp(d[I])",
        ("d", "A"),
        {"d": (5,), "A": (5, 5)},
    ),
}


def program(name: str) -> es.Program:
    return es.parse(TEXTS[name][0])


def kernel(name: str) -> es.Kernel:
    return program(name).value_and_grad("L", list(TEXTS[name][1])).compile()


def data(name: str, scale: int = 1) -> Arrays:
    rng = np.random.default_rng(7)
    return {n: rng.uniform(0.2, 1.2, tuple(scale * d for d in shape)) for n, shape in TEXTS[name][2].items()}


def data_that_fits(name: str) -> Arrays:
    arrays = data(name)
    if name == "attention":
        arrays["R"], arrays["V"] = arrays["R"][:5], arrays["V"][:5]
    return arrays


def flat(results: Any) -> list[np.ndarray]:
    value, slopes = results
    return [value, *slopes.values()]


def bits(results: Any) -> bytes:
    return b"".join(a.tobytes() for a in flat(results))


every_kernel = pytest.mark.parametrize("name", TEXTS)

# ---------------------------------------------------------------- arrays


def in_larger(a: np.ndarray, step: int) -> np.ndarray:
    """The same entries as every second (or last to first) of a larger array."""
    if a.ndim == 0:
        return np.stack([a, a])[::step][0, ...]
    large = np.full(tuple(2 * n for n in a.shape), np.nan, a.dtype)
    view = large[tuple(slice(None, None, step) for _ in a.shape)]
    view[...] = a
    return view


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "transposed": lambda a: a.T.copy().T,
    "every second entry": lambda a: in_larger(a, 2),
    "last to first": lambda a: in_larger(a, -2),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
    "matrix": lambda a: np.matrix(a) if a.ndim == 2 else a,
    "subclass": lambda a: a.view(Tagged),
    "memory view": lambda a: memoryview(np.ascontiguousarray(a)) if a.ndim else a,
    "nested lists": lambda a: a.tolist(),
    "a scalar of numpy": lambda a: a if a.ndim else a[()],
}


class Tagged(np.ndarray):
    """Somebody's array."""


@every_kernel
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_gives_what_a_contiguous_copy_gives(name: str, layout: str) -> None:
    k, plain = kernel(name), data_that_fits(name)
    want = k(plain)
    given = {n: LAYOUTS[layout](a) for n, a in plain.items()}
    for got in (k(given), kernel(name)(given)):
        for a, b in zip(flat(got), flat(want), strict=True):
            assert type(a) is np.ndarray and a.dtype == b.dtype and a.dtype.isnative
            np.testing.assert_allclose(a, b, rtol=1e-13)


@every_kernel
def test_zero_strides(name: str) -> None:
    """One number shown as a whole array."""
    k, plain = kernel(name), {n: np.full(a.shape, 0.7) for n, a in data_that_fits(name).items()}
    shown = {n: np.broadcast_to(np.float64(0.7), a.shape) for n, a in plain.items()}
    for a, b in zip(flat(k(shown)), flat(k(plain)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@every_kernel
def test_inputs_are_not_written_and_results_are_nobody_elses(name: str) -> None:
    k, given = kernel(name), data_that_fits(name)
    before = {n: a.tobytes() for n, a in given.items()}
    results = [flat(k(given)) for _ in range(3)]
    assert {n: a.tobytes() for n, a in given.items()} == before
    arrays = [*given.values(), *(a for found in results for a in found)]
    for n, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:n])
    want = [a.copy() for a in results[0]]
    for a in results[1]:
        a[...] = np.nan
    for a, b in zip(flat(k(given)), want, strict=True):
        assert a.tobytes() == b.tobytes()


REFUSED: dict[str, Callable[[np.ndarray], Any]] = {
    "masked": lambda a: np.ma.masked_array(a, a > 1),
    "masked nowhere": np.ma.masked_array,
    "objects": lambda a: a.astype(object),
    "a mapping": lambda a: {"a": a},
    "nothing": lambda a: None,
    "text": lambda a: "0.5",
    "records": lambda a: np.zeros(a.shape, [("a", float)]),
}


@every_kernel
@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_array_of_numbers_is_refused(name: str, form: str) -> None:
    k, given = kernel(name), data_that_fits(name)
    want = bits(k(given))
    for n in given:
        with pytest.raises(es.EinstanShapeError, match=rf"^{n} "):
            k({**given, n: REFUSED[form](given[n])})
    assert bits(k(given)) == want


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize("calls", [30, pytest.param(1_000, marks=pytest.mark.slow)])
def test_many_threads_get_the_same_bits(calls: int) -> None:
    """64 threads on five kernels at once, each with two sizes, so that plans are made at once too."""
    fitting = [n for n in TEXTS if n not in ("attention", "a gate")]
    cases = [(n, data(n, scale)) for n in fitting for scale in (1, 2)]
    cases += [(n, data_that_fits(n)) for n in ("attention", "a gate")]
    want = [bits(kernel(n)(arrays)) for n, arrays in cases]
    shared = {n: kernel(n) for n in TEXTS}
    start, wrong = threading.Barrier(64), list[str]()

    def work(first: int) -> None:
        start.wait()
        for turn in range(calls):
            n = (first + turn) % len(cases)
            name, arrays = cases[n]
            if bits(shared[name](arrays)) != want[n]:
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(64)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_programs_are_read_and_derived_in_threads() -> None:
    """The table of nodes is one for all threads."""
    want = {n: str(program(n).grad("L", list(TEXTS[n][1]))) for n in TEXTS}
    got: list[dict[str, str]] = []

    def work() -> None:
        for _ in range(3):
            got.append({n: str(program(n).grad("L", list(TEXTS[n][1]))) for n in TEXTS})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 24 and all(found == want for found in got)


# ---------------------------------------------------------------- processes


def spoken() -> str:
    """Everything that the five programs say of themselves, as one digest."""
    said = []
    for name in TEXTS:
        p, k = program(name), kernel(name)
        said += [str(p), str(p.grad("L", list(TEXTS[name][1]))), k.source, str(k.cost)]
        said += [node.digest.hex() for node in p.bodies.values()]
        k(data_that_fits(name))
        said += [k.source, *(str(step.formula) for step in k.steps)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def elsewhere(code: str, seed: int) -> bytes:
    """What another process prints whose texts hash in another way."""
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(root)}
    code = f"import sys\nfrom tests import test_processes as here\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment).stdout


@pytest.mark.parametrize("seeds", [(0, 1), pytest.param(tuple(range(2, 22)), marks=pytest.mark.slow)], ids=len)
def test_every_process_says_the_same(seeds: tuple[int, ...]) -> None:
    want = spoken().encode()
    for seed in seeds:
        assert elsewhere("sys.stdout.write(here.spoken())", seed) == want


PICKLED = {
    "program": lambda n: program(n),
    "derivative": lambda n: program(n).grad("L", TEXTS[n][1][0]),
    "kernel": kernel,
    "node": lambda n: program(n).bodies["L"],
    "expression": lambda n: program(n)["L"],
}


def pickled() -> bytes:
    return pickle.dumps([{form: make(name) for form, make in PICKLED.items()} for name in TEXTS])


def test_pickles_of_another_process_are_the_same_objects() -> None:
    data_ = elsewhere("sys.stdout.buffer.write(here.pickled())", 5)
    for name, found in zip(TEXTS, pickle.loads(data_), strict=True):
        p = program(name)
        assert found["program"] == p
        assert found["node"] is p.bodies["L"]
        assert str(found["derivative"]) == str(p.grad("L", TEXTS[name][1][0]))
        assert str(found["expression"]) == str(p["L"])
        assert bits(found["kernel"](data_that_fits(name))) == bits(kernel(name)(data_that_fits(name)))
        assert dict.fromkeys(found["node"].operands[0].shape, 1) == dict.fromkeys(p.bodies["L"].operands[0].shape, 1)


def test_pickles_hold_no_code() -> None:
    """Only classes and functions of einstan, a few of the standard library, and data."""
    found: set[str] = set()

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found.add(module.partition(".")[0] if module != "builtins" else f"builtins.{name}")
            return super().find_class(module, name)

    Reader(io.BytesIO(pickled())).load()
    assert found <= {"einstan", "fractions", "builtins.getattr"}


# ---------------------------------------------------------------- failures


class Failing:
    """numpy, but for one call of it, which raises."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.left, self.error = at, error

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        return Guarded(found, self) if callable(found) and not isinstance(found, type) else found


class Guarded:
    """A function of numpy, or a method of one (`np.add.reduce`), which counts its calls."""

    def __init__(self, found: Callable[..., Any], count: Failing) -> None:
        self.found, self.count = found, count

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.count.left -= 1
        if self.count.left == -1:
            raise self.count.error
        return self.found(*args, **options)

    def __getattr__(self, name: str) -> Guarded:
        return Guarded(getattr(self.found, name), self.count)


@contextmanager
def failing(k: es.Kernel, at: int, error: type[BaseException]) -> Iterator[Failing]:
    """numpy's functions in the generated source replaced; workspaces are made anew."""
    bound = k._state.last
    assert bound is not None and bound.functions is not None
    space = bound.functions.run.__globals__
    space["np"] = broken = Failing(at, error)
    try:
        yield broken
    finally:
        space["np"] = np


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, FloatingPointError])
@pytest.mark.parametrize("fresh", [True, False], ids=["first call", "later call"])
@every_kernel
def test_a_failure_at_any_step_leaves_the_kernel_usable(name: str, error: type[BaseException], fresh: bool) -> None:
    k, given = kernel(name), data_that_fits(name)
    held = flat(k(given))
    want = [a.tobytes() for a in held]
    steps = 0
    while True:
        if fresh:
            k._state.last.pool.clear()
        with failing(k, steps, error) as broken:
            try:
                k(given)
            except error:
                failed = True
            else:
                failed = False
        assert failed == (broken.left < 0)
        assert [a.tobytes() for a in flat(k(given))] == want
        assert [a.tobytes() for a in held] == want
        if not failed:
            break
        steps += 1
    assert steps >= 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@every_kernel
def test_a_failure_while_a_plan_is_made_leaves_everything_usable(name: str, error: type[BaseException]) -> None:
    """The failure comes at one of thirty calls of Python functions between the text and the first result."""
    given = data_that_fits(name)
    want = bits(kernel(name)(given))
    total = interrupted(lambda: kernel(name)(given), None, error)
    for at in range(0, total, max(1, total // 30)):
        interrupted(lambda: kernel(name)(given), at, error)
        assert gc.isenabled()
        assert bits(kernel(name)(given)) == want
    k = kernel(name)
    for at in range(0, total // 2, max(1, total // 30)):
        interrupted(lambda: k(given), at, error)
        assert gc.isenabled()
    assert bits(k(given)) == want


def interrupted(work: Callable[[], Any], at: int | None, error: type[BaseException]) -> int:
    """Raises at the `at`-th call of a Python function; how many there were."""
    count = 0

    def watch(frame: Any, event: str, _: Any) -> None:
        nonlocal count
        if event == "call":
            count += 1
            if count - 1 == at:
                raise error

    sys.setprofile(watch)
    try:
        work()
    except error:
        pass
    finally:
        sys.setprofile(None)
    return count
