r"""endings: which line ends, `;` and `\\` end a statement."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import EinstanSyntaxError, Span
from . import words
from .token import CLOSING, END, EOF, FENCE, OPENING, STOP, SYMBOL, Token

GO_ON = frozenset(words.INFIX) | {"="}


def statement_ends(text: str, raw: Iterator[Token]) -> Iterator[Token]:
    r"""Drops the line ends that end no statement: inside brackets, `$` or an environment, after and before an operator.

    Drops `,` and `.` at the end of a displayed formula, outside brackets.

    In a column `\\` stands between two parts; `&` is a space elsewhere.
    """
    nest, before, line_end, spaced = Nest(text), None, None, False
    for token in raw:
        if token.kind == FENCE:
            nest.fence(token)
        if token.text == "\n" and nest.open:
            continue
        if token.kind == STOP and not nest.in_brackets:
            spaced = True
        elif nest.ends(token):
            line_end = token
        elif token.text == "&" and not nest.in_column:
            spaced = True
        elif token.kind != FENCE:
            token = nest.symbol(token._replace(spaced=True) if spaced else token)
            if line_end and before and before.kind != END and not (opens(before) or goes_on(token)):
                yield Token(END, line_end.text, line_end.span)
            line_end, spaced = None, False
            yield (before := token)
    nest.finish()
    yield Token(EOF, "", Span(len(text.rstrip()), len(text.rstrip()) + 1), True)


class Nest:
    """What is open at a place of the text: brackets, columns, `$` and environments."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.open: list[Token] = []

    @property
    def in_brackets(self) -> bool:
        return bool(self.open) and self.open[-1].kind == SYMBOL

    @property
    def in_column(self) -> bool:
        return bool(self.open) and self.open[-1].text == words.COLUMN

    def ends(self, token: Token) -> bool:
        """A line ends here, or a formula in `$`, or a row."""
        if token.kind == FENCE:
            return not self.in_brackets
        return token.text == "\n" or (token.text == words.NEXT_PART and not self.in_column)

    def symbol(self, token: Token) -> Token:
        """The token, which may open or close a bracket; what stands between two parts is a symbol."""
        if token.kind == SYMBOL and token.text in OPENING:
            self.open.append(token)
        elif token.kind == SYMBOL and token.text in CLOSING and self.in_brackets:
            self.open.pop()
        return token._replace(kind=SYMBOL) if token.text == words.NEXT_PART or token.kind == STOP else token

    def fence(self, token: Token) -> None:
        """Opens or closes `$`, `$$`, `\\[`, `\\(` or an environment; brackets left open inside are the parser's."""
        while self.in_brackets and any(t.kind == FENCE for t in self.open) and closes(token.text):
            self.open.pop()
        last = self.open[-1] if self.open and self.open[-1].kind == FENCE else None
        opener = closes(token.text)
        if token.text.startswith("$") and (last is None or not last.text.startswith("$")):
            self.open.append(token)
        elif opener and last and last.text == opener:
            self.open.pop()
        elif opener and not (token.text == "$$" and last and last.text == "$"):
            raise self.unmatched(token, last)
        elif not opener:
            self.open.append(token)

    def unmatched(self, token: Token, last: Token | None) -> EinstanSyntaxError:
        inside = f"; {last.text} is open here" if last else ""
        spans = (last.span, token.span) if last else (token.span,)
        message = f"{token.text} closes nothing{inside}."
        return EinstanSyntaxError(message, "Write what opens and what closes in pairs.", source=self.text, spans=spans)

    def finish(self) -> None:
        for token in self.open:
            if token.kind == FENCE:
                raise EinstanSyntaxError(
                    f"{token.text} is never closed.", "Close it.", source=self.text, spans=(token.span,)
                )


def closes(text: str) -> str:
    """What a fence closes; "" if it only opens."""
    pairs = {"\\]": "\\[", "\\)": "\\(", "$": "$", "$$": "$$"}
    return pairs.get(text, text.replace("\\end", "\\begin") if text.startswith("\\end") else "")


def opens(token: Token) -> bool:
    """The statement goes on after this token."""
    return token.kind == SYMBOL and (token.text in GO_ON or token.text == ",")


def goes_on(token: Token) -> bool:
    """The statement before goes on with this token."""
    return token.kind == SYMBOL and token.text in GO_ON
