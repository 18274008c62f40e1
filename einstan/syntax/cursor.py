"""cursor: the tokens and the place in them; the errors that say where a text leaves the grammar."""

from __future__ import annotations

from functools import cached_property

from ..errors import EinstanSyntaxError, Span
from . import words
from .token import CLOSING, END, EOF, OPENING, SYMBOL, Token

LOOKAHEAD = 8  # at most so far beyond the last token the grammar looks


class Cursor:
    """The tokens, and the place in them."""

    def __init__(self, text: str, found: list[Token]) -> None:
        self.text, self.tokens, self.place = text, found + found[-1:] * LOOKAHEAD, 0

    @cached_property
    def partners(self) -> dict[int, int]:
        """Where each bracket is closed, by the places of the two tokens."""
        found: dict[int, int] = {}
        opened: list[int] = []
        for place, token in enumerate(self.tokens):
            if token.kind == SYMBOL and token.text in OPENING:
                opened.append(place)
            elif token.kind == SYMBOL and token.text in CLOSING and opened:
                found[opened.pop()] = place
        return found

    def peek(self, ahead: int = 0) -> Token:
        return self.tokens[self.place + ahead]

    def take(self) -> Token:
        token = self.tokens[self.place]
        self.place += token.kind != EOF
        return token

    def at(self, text: str) -> bool:
        token = self.tokens[self.place]
        return token.kind == SYMBOL and token.text == text

    def skip(self, text: str) -> bool:
        found = self.at(text)
        self.place += found
        return found

    def expect(self, text: str, repair: str) -> Token:
        if not self.at(text):
            raise self.unexpected(f"`{text}` is missing before it", repair)
        return self.take()

    def expect_kind(self, kind: str, what: str, repair: str) -> Token:
        if self.peek().kind != kind:
            raise self.unexpected(f"{what} is missing before it", repair)
        return self.take()

    def close(self, opened: Token, text: str) -> None:
        if self.peek().kind == EOF:
            raise self.error(f"The bracket {opened.text} is never closed.", f"Write {text} where it ends.", opened.span)
        if not self.at(text):
            raise self.unexpected(f"the bracket is not closed by {text} yet", f"Write {text} first.", opened.span)
        self.take()

    def since(self, start: Token) -> Span:
        return Span(start.span.start, max(start.span.end, self.tokens[self.place - 1].span.end))

    def error(self, message: str, repair: str, *spans: Span) -> EinstanSyntaxError:
        return EinstanSyntaxError(message, repair, source=self.text, spans=spans)

    def unexpected(self, what: str, repair: str, *spans: Span) -> EinstanSyntaxError:
        token = self.peek()
        repair = words.NOT_HERE.get(token.text, repair) if token.kind == SYMBOL else repair
        ends = {EOF: "The end of the text", END: "The end of the statement"}
        shown = ends.get(token.kind, f"`{token.text}`")
        return self.error(f"{shown} is not expected here: {what}.", repair, *spans, token.span)
