"""token: what the lexer gives and the grammar reads."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import Span
from . import words

WORD, NUMBER, SYMBOL, END, EOF = "word", "number", "symbol", "end", "eof"
FENCE = "fence"  # `$`, `\begin{align}`: `statement_ends` takes them out
STOP = "stop"  # `,` or `.` at the end of a displayed formula: taken out too
OPENING, CLOSING = frozenset("([{") | {words.COLUMN}, frozenset(")]}") | {words.END_COLUMN}


class Token(NamedTuple):
    """One token. `spaced`: white space stands before it; `whole`: a `\\mathrm{word}`, one index;
    `shape`: bold, or a second shape of a Greek letter."""

    kind: str
    text: str
    span: Span
    spaced: bool = False
    primes: int = 0
    whole: bool = False
    shape: str = ""
