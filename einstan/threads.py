"""threads: blocks of a kernel done by several threads at once: ufuncs and matrix products let go of Python's lock.

Workers are started when they are first needed and sleep between jobs; a process that was forked starts its own.
EINSTAN_NUM_THREADS says how many threads work at once, the caller among them; else as many as there are cores for it.
While several work, a BLAS uses the thread that calls it: threadpoolctl tells it so, and without it one thread works.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Any, Final

import numpy as np

from .errors import EinstanError

Array = np.ndarray[Any, np.dtype[Any]]
Cut = tuple[Array, int]
VARIABLE: Final = "EINSTAN_NUM_THREADS"
TRIES: Final = 100


def count() -> int:
    """How many threads work at once: one where no BLAS can be told to leave the cores to them.

    Raises EinstanError for a setting that is no number above 0.
    """
    return asked() if find_spec("threadpoolctl") is not None else 1


def asked() -> int:
    """What the setting says, or the cores."""
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return cores()
    if not given.isascii() or not given.isdigit() or int(given[:9]) < 1:
        raise EinstanError(f"{VARIABLE} is {given[:20]!r}, which is no number of threads.", "Set it to 1, 2, 3, ..")
    return int(given[:9])


def cores() -> int:
    """Of those that the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---------------------------------------------------------------- blocks


def blockwise(
    block: Callable[..., None],
    blocks: tuple[int, int, int],
    cut: Sequence[Cut],
    whole: Sequence[Array],
    own: Sequence[Cut] = (),
    terms: Sequence[Array] = (),
) -> None:
    """Call `block(*cut, *whole, *own, *terms)` for each of some blocks.

    `blocks` = (rows, number, workers). Block n of N has of each array in `cut`, along the axis beside it, the part from
    n/N to (n+1)/N, rounded to 1/rows of the axis; all of each array in `whole`; of each in `own` the array of its
    worker, as far as the block is long; of each in `terms` the entry n.

    >>> x, total = np.arange(6.0), np.empty(2)
    >>> blockwise(lambda x, total: np.add.reduce(x, out=total), (6, 2, 2), [(x, 0)], [], [], [total])
    >>> total
    array([ 3., 12.])
    """
    rows, number, workers = blocks

    def work(worker: int) -> None:
        mine = [(a[worker], axis) for a, axis in own]
        for n in range(worker, number, workers):
            low, high = rows * n // number, rows * (n + 1) // number
            block(
                *[stretch(a, axis, low, high, rows) for a, axis in cut],
                *whole,
                *[stretch(a, axis, 0, high - low, -(-rows // number)) for a, axis in mine],
                *[a[n, ...] for a in terms],
            )

    if workers == 1:
        work(0)
    else:
        at_once(work, workers)


def stretch(a: Array, axis: int, low: int, high: int, rows: int) -> Array:
    """Along an axis the part from low/rows to high/rows."""
    unit = a.shape[axis] // rows
    piece = slice(low * unit, high * unit)
    return a[piece] if axis == 0 else a[(slice(None),) * axis + (piece,)]


# ---------------------------------------------------------------- workers


class Job:
    """One call by a worker; `done` is free when it has ended."""

    __slots__ = ("call", "done", "error", "number")

    def __init__(self, call: Callable[[int], None], number: int) -> None:
        self.call, self.number = call, number
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Workers:
    """Threads that take jobs from a queue."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job] = SimpleQueue()
        self.number = 0
        self.lock = threading.Lock()

    def at_least(self, number: int) -> None:
        if self.number < number:
            with self.lock:
                while self.number < number:
                    threading.Thread(target=self.serve, name=f"einstan-{self.number + 1}", daemon=True).start()
                    self.number += 1  # of those that are there: starting one may fail

    def serve(self) -> None:
        np.seterr(all="ignore")
        while True:
            job = self.jobs.get()
            try:
                job.call(job.number)
            except BaseException as error:  # the caller gets it
                job.error = error
            job.done.release()
            del job


def at_once(work: Callable[[int], None], number: int) -> None:
    """`work(0)` .. `work(number - 1)` in as many threads; it ends when all have ended, also where one fails."""
    WORKERS.at_least(number - 1)
    jobs = [Job(work, n) for n in range(1, number)]
    for job in jobs:
        WORKERS.jobs.put(job)
    try:
        work(0)
    finally:
        for job in jobs:
            job.done.acquire()
    for job in jobs:
        if job.error is not None:
            raise job.error


WORKERS = Workers()


def renew() -> None:
    """A fork has none of its parent's threads, and perhaps locks that they held."""
    global WORKERS, LIMIT
    WORKERS, LIMIT = Workers(), Limit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew)


# ---------------------------------------------------------------- threads of a BLAS


class Limit:
    """How many calls want one thread for each of them, and what the libraries had before the first of these."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted = 0
        self.before: list[tuple[Any, int]] = []


LIMIT = Limit()


@lru_cache
def libraries() -> list[Any]:
    """Those that do matrix products and whose threads can be limited."""
    if find_spec("threadpoolctl") is None:
        return []  # a source that was written where it is installed
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return [library for library in found if library.num_threads is not None]


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Matrix products use the thread that calls them."""
    with LIMIT.lock:
        if not LIMIT.wanted:
            LIMIT.before = [(library, library.num_threads) for library in libraries()]
            for library, _ in LIMIT.before:
                settle(library, 1)
        LIMIT.wanted += 1
    try:
        yield
    finally:
        with LIMIT.lock:
            LIMIT.wanted -= 1
            if not LIMIT.wanted:
                for library, threads in LIMIT.before:
                    settle(library, threads)


def settle(library: Any, threads: int) -> None:
    """Tell a library its number of threads until it has it: OpenBLAS now and then misses that."""
    for _ in range(TRIES):
        library.set_num_threads(threads)
        if library.num_threads == threads:
            return
