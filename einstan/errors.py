"""errors: what went wrong, where (a caret under every place), and what to write instead."""

from __future__ import annotations

from typing import NamedTuple

MAX_MESSAGE = 1_900


class Span(NamedTuple):
    """A stretch of source text: character offsets, `end` exclusive."""

    start: int
    end: int


class EinstanError(ValueError):
    """Base of every error that einstan raises on purpose.

    `message` is one sentence on what is wrong, `repair` one on what to write instead; `source` and
    `spans` say where. `str(error)` draws the lines concerned with carets under the spans.
    """

    def __init__(self, message: str, repair: str = "", *, source: str = "", spans: tuple[Span, ...] = ()) -> None:
        super().__init__(message)
        self.message, self.repair, self.source, self.spans = message, repair, source, spans

    def __str__(self) -> str:
        parts = [self.message, caret(self.source, self.spans), self.repair]
        return clip("\n".join(part for part in parts if part))


class EinstanSyntaxError(EinstanError, SyntaxError):
    """The text is not a formula."""

    @property
    def msg(self) -> str:  # type: ignore[override]
        """What tools that know Python's syntax errors print."""
        return str(self)


class EinstanIndexError(EinstanError):
    """An index is lost, open at the end, summed inside and open outside, or repeated on the left."""


class EinstanShapeError(EinstanError):
    """Ranks, sizes or dtypes do not fit; names the index, both sizes and both tensors."""


class EinstanTypeError(EinstanError, TypeError):
    """An argument is of a type that the call does not take."""


class EinstanNameError(EinstanError):
    """A name is unknown, defined twice, or depends on itself."""


class EinstanDerivativeError(EinstanError):
    """There is no such derivative."""


class Unsolvable(EinstanError):
    """A matrix has no inverse, or is not positive definite."""


class MissingBackendError(EinstanError, ImportError):
    """The backend is not installed, or not built yet."""


def caret(source: str, spans: tuple[Span, ...], window: int = 100) -> str:
    """The lines of `source` that hold `spans`, each with carets below; long lines are windowed."""
    drawn = []
    for number in sorted({source.count("\n", 0, span.start) for span in spans if span.start <= len(source)})[:4]:
        start = nth_line_start(source, number)
        end = source.find("\n", start)
        end = len(source) if end < 0 else end
        inside = [span for span in spans if start <= span.start <= end]
        left = max(start, min(span.start for span in inside) - window // 2)
        right = min(end, left + window)
        marks = [" "] * (right - left + 1)
        for span in inside:
            for place in range(span.start, max(span.start + 1, span.end)):
                if left <= place <= right:
                    marks[place - left] = "^"
        head, tail = "... " if left > start else "", " ..." if right < end else ""
        prefix = f"  {number + 1} | {head}"
        text = "".join(c if c.isprintable() else " " for c in source[left:right])
        drawn.append(f"{prefix}{text}{tail}\n{' ' * len(prefix)}{''.join(marks).rstrip()}")
    return "\n".join(drawn)


def nth_line_start(source: str, number: int) -> int:
    place = 0
    for _ in range(number):
        place = source.index("\n", place) + 1
    return place


def clip(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 4] + " ..."
