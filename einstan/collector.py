"""collector: Python's garbage collection paused while programs are built.

Formulas, nodes and plans are large graphs without cycles: a collection walks all of them and finds nothing,
which makes the cost of long programs grow faster than their length.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_builders = 0
_was_on = False


@contextmanager
def paused() -> Iterator[None]:
    """No collections inside; nested and concurrent uses count, the last one to leave turns them on again."""
    global _builders, _was_on
    with _lock:
        if _builders == 0:
            _was_on = gc.isenabled()
            gc.disable()
        _builders += 1
    try:
        yield
    finally:
        with _lock:
            _builders -= 1
            if _builders == 0 and _was_on:
                gc.enable()
