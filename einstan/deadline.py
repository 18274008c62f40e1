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
from typing import TypeVar

T = TypeVar("T")
GRACE = 5.0  # seconds for the exception to arrive; C code that runs longer is left to end by itself


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
        thread.start()
        ended.wait(seconds)
    finally:
        if not ended.is_set() and thread.ident is not None:
            stop(thread.ident)
            ended.wait(GRACE)
    if results:
        return results[0]
    raise errors[0] if errors else OutOfTime


def stop(thread: int) -> None:
    """Raise OutOfTime in a thread."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(OutOfTime))
