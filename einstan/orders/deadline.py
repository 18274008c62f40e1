"""deadline: work of other libraries that ends, whether it has finished or not.

The searches of opt_einsum look at nothing from outside while they run, and how long they take is not known before: from
microseconds to centuries for the same number of operands. They are Python, so an exception that is put into their
thread ends them within a few bytecodes. A process of their own could be killed too, but starting one takes
longer than most searches, and one that is forked beside the threads of a BLAS may never come back. A signal reaches the
main thread only.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from typing import Final, TypeVar

from ..collector import paused

T = TypeVar("T")
ATTEMPTS: Final = 50  # what has not ended after so many, C code or code that catches everything, is left to itself
PAUSE: Final = 0.1  # seconds from one to the next
TURN: Final = 0.5  # seconds of one wait


class OutOfTime(Exception):
    """The work was stopped."""


def within(seconds: float, job: Callable[[], T]) -> T:
    """The job's result or its exception; raises OutOfTime past so many seconds. An interrupt ends the job too."""
    results: list[T] = []
    errors: list[BaseException] = []
    ended = Event()  # Thread.join forgets a thread when it is interrupted

    def work() -> None:
        try:
            results.append(job())
        except BaseException as error:  # handed to whoever waits
            errors.append(error)
        finally:
            ended.set()

    thread = Thread(target=work, daemon=True, name="einstan search")
    try:
        with (
            paused()
        ):  # a collection would run the finalizers of others in the thread, where the exception strikes them
            thread.start()
            wait(ended, seconds)
    finally:
        if not ended.is_set() and thread.ident is not None:
            stop(thread.ident, ended)
    if results:
        return results[0]
    raise errors[0] if errors else OutOfTime


def wait(ended: Event, seconds: float) -> None:
    """Until then, at most so long. In turns: an interrupt that comes just before a wait is seen only after it."""
    until = monotonic() + seconds
    while not ended.wait(max(0.0, min(TURN, until - monotonic()))) and monotonic() < until:
        pass


def stop(thread: int, ended: Event) -> None:
    """Raise OutOfTime in a thread until it has ended: a finalizer that happens to run swallows one."""
    for _ in range(ATTEMPTS):
        raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(OutOfTime))
        if not raised or ended.wait(PAUSE):
            return
