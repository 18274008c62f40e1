"""recursion: functions that call themselves to any depth, written as generators.

A generator that yields another one gets its return value back: `x = yield visit(child)`. The stack is a
list, so depth is bounded by memory and not by the interpreter.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")
Recursive = Generator["Recursive[Any]", Any, T]


def run(start: Recursive[T]) -> T:
    """The return value of `start`, all nested generators run on one explicit stack.

    >>> def depth(n):
    ...     return 0 if n == 0 else 1 + (yield depth(n - 1))
    >>> run(depth(100_000))
    100000
    """
    stack: list[Recursive[Any]] = [start]
    value: Any = None
    error: BaseException | None = None
    while stack:
        try:
            nested = stack[-1].throw(error) if error is not None else stack[-1].send(value)
        except StopIteration as stop:
            stack.pop()
            value, error = stop.value, None
        except BaseException as raised:
            stack.pop()
            error = raised
        else:
            stack.append(nested)
            value, error = None, None
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]
