"""lexer: text -> tokens, in time linear in the text.

Text, Unicode and LaTeX spellings give the same tokens, so that one grammar reads them all: every
operator has one spelling here, a subscript is always `_`, a superscript `^`. Which line ends end a
statement is decided here too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import EinstanError, EinstanSyntaxError, Span
from . import words

MAX_DIGITS = 2_000

WORD, NUMBER, SYMBOL, END, EOF = "word", "number", "symbol", "end", "eof"

SUBSCRIPTS = "ₐₑₒₓₕₖₗₘₙₚₛₜᵢᵣᵤᵥⱼᵦᵧᵨᵩᵪ"
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
LETTER = rf"[^\W\d_{SUBSCRIPTS}{SUPERSCRIPTS}₀-₉]"
NAME = rf"(?:{LETTER}|[\u0300-\u036f0-9₀-₉])*"
MARKS = re.compile(r"[\u0300-\u036f]{31}")
PATTERN = re.compile(
    rf"""
      (?P<space>[ \t\r~\u00a0\u2000-\u200a\u202f\u205f\u3000]+ | \\[,;:\ ] | \\(?:{"|".join(words.SPACES)})(?![a-zA-Z]))
    | (?P<newline>\n)
    | (?P<comment>[\#%][^\n]*)
    | (?P<math>\$\$?)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<word>(?:log_softmax(?!{LETTER}|[0-9]) | {LETTER}{NAME})(?P<primes>['′’″]*))
    | (?P<super>[⁺⁻]?[{SUPERSCRIPTS}]+)
    | (?P<sub>[{SUBSCRIPTS}][{SUBSCRIPTS}₀-₉]*)
    | (?P<end>;|\\\\)
    | (?P<styled>\\(?P<style>{"|".join(sorted(words.STYLES | words.ACCENTS, key=len, reverse=True))})(?![a-zA-Z])\s*
        (?:\{{\s*(?P<inside>\\?{LETTER}{NAME})\s*\}}|(?P<letter>\\[a-zA-Z]+|{LETTER}))(?P<more>['′’″]*))
    | (?P<ones>\\mathbb\s*\{{?1\}}?|𝟙)
    | (?P<command>\\(?P<name>[a-zA-Z]+|.)(?P<after>['′’″]*))
    | (?P<symbol>\*\*|<=|>=|==|[-+*/^()\[\]{{}},=<>|:_]|[{"".join(c for c in words.SYMBOLS if len(c) == 1)}])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read: characters of text, levels of brackets, digits of a number and of its exponent's size.

    Python itself writes no number of more than 4,300 digits, so that `digits` has a limit too.
    """

    text: int = 1_000_000
    brackets: int = 1_000
    digits: int = 400

    def __post_init__(self) -> None:
        if self.digits > MAX_DIGITS:
            raise EinstanError(f"No limit allows more than {MAX_DIGITS} digits.", "Give the number as an input.")


LIMITS = Limits()


class Token(NamedTuple):
    """One token. `spaced`: white space stands before it; `whole`: a `\\mathrm{word}`, one index."""

    kind: str
    text: str
    span: Span
    spaced: bool = False
    primes: int = 0
    whole: bool = False
    bold: bool = False


def tokens(text: str, limits: Limits = LIMITS) -> list[Token]:
    """The tokens of `text`; a statement's end is an END, the text's end an EOF."""
    if len(text) > limits.text:
        raise EinstanSyntaxError(
            f"The text has {len(text)} characters; at most {limits.text} are read.",
            "Split it into several programs, or set the limit.",
            source=text,
            spans=(Span(limits.text, limits.text + 1),),
        )
    return list(statement_ends(text, bounded(text, scan(text), limits)))


def bounded(text: str, raw: Iterator[Token], limits: Limits) -> Iterator[Token]:
    """The tokens as they are, as long as brackets and numbers keep the limits."""
    depth = 0
    for token in raw:
        if token.kind == NUMBER:
            check_digits(text, token, limits.digits)
        elif token.kind == SYMBOL:
            depth = max(0, depth + (token.text in OPENING) - (token.text in CLOSING))
            if depth > limits.brackets:
                raise EinstanSyntaxError(
                    f"Brackets are nested deeper than {limits.brackets} levels.",
                    "Name the inner parts in statements of their own.",
                    source=text,
                    spans=(token.span,),
                )
        yield token


def check_digits(text: str, token: Token, digits: int) -> None:
    mantissa, _, exponent = token.text.lower().partition("e")
    if len(mantissa) > digits or len(exponent) > len(str(digits)) + 2 or abs(int(exponent or 0)) > digits:
        raise EinstanSyntaxError(
            f"A number has at most {digits} digits.", "Give it as an input.", source=text, spans=(token.span,)
        )


def scan(text: str) -> Iterator[Token]:
    """All tokens, with every line end."""
    place, spaced = 0, True
    while place < len(text):
        match = PATTERN.match(text, place)
        if match is None:
            raise unknown_character(text, place)
        place, kind = match.end(), match.lastgroup
        if kind in ("space", "comment"):
            spaced = True
            continue
        for token in TOKENS[str(kind)](text, match):
            yield token._replace(spaced=True) if spaced else token
            spaced = False
        if kind == "newline":
            spaced = True


def read_word(text: str, match: re.Match[str]) -> Iterator[Token]:
    span, primes = Span(*match.span()), count_primes(match["primes"])
    yield Token(WORD, plain_name(text, match["word"].rstrip("'′’″"), span), span, primes=primes)


def read_number(_: str, match: re.Match[str]) -> Iterator[Token]:
    yield Token(NUMBER, match["number"], Span(*match.span()))


def read_super(text: str, match: re.Match[str]) -> Iterator[Token]:
    """`x⁻²` is `x^-2`."""
    span, digits = Span(*match.span()), unicodedata.normalize("NFKC", match["super"]).replace("−", "-").lstrip("+")
    yield Token(SYMBOL, "^", span)
    if digits.startswith("-"):
        yield Token(SYMBOL, "-", span)
    yield Token(NUMBER, digits.lstrip("-"), span)


def read_sub(_: str, match: re.Match[str]) -> Iterator[Token]:
    """`xᵢⱼ` is `x_{ij}`."""
    span = Span(*match.span())
    yield from (Token(SYMBOL, "_", span), Token(SYMBOL, "{", span))
    yield Token(WORD, unicodedata.normalize("NFKC", match["sub"]), span)
    yield Token(SYMBOL, "}", span)


def read_styled(text: str, match: re.Match[str]) -> Iterator[Token]:
    r"""`\mathrm{loss}` is `loss`, `\hat X` is `\hat{X}`."""
    span, style = Span(*match.span()), match["style"]
    inside = match["inside"] or match["letter"]
    name = greek(text, inside[1:], span) if inside.startswith("\\") else plain_name(text, inside, span)
    if style in words.ACCENTS:
        name = f"\\{style}{{{name}}}"
    yield Token(WORD, name, span, False, count_primes(match["more"]), style in words.STYLES, style in words.BOLD)


def read_command(text: str, match: re.Match[str]) -> Iterator[Token]:
    span, name = Span(*match.span()), match["name"]
    primes = count_primes(match["after"])
    if name in words.COMMANDS:
        yield Token(SYMBOL, words.COMMANDS[name], span)
    elif name not in words.NO_SPACES:
        yield Token(WORD, greek(text, name, span), span, primes=primes)


def greek(text: str, name: str, span: Span) -> str:
    """The word that a LaTeX command stands for."""
    word = words.GREEK.get(name, name if name in words.FUNCTIONS else "")
    if not word or (name in words.NO_INDEX_FORM and name not in words.FUNCTIONS):
        known = name in words.NO_INDEX_FORM
        message = "has no meaning in index notation" if known else "is not a command of this language"
        repair = words.NO_INDEX_FORM.get(name, "write the formula without it")
        raise EinstanSyntaxError(f"\\{name} {message}.", sentence(repair), source=text, spans=(span,))
    return word


def read_symbol(_: str, match: re.Match[str]) -> Iterator[Token]:
    yield Token(SYMBOL, words.SYMBOLS.get(match["symbol"], match["symbol"]), Span(*match.span()))


def read_ones(_: str, match: re.Match[str]) -> Iterator[Token]:
    yield Token(NUMBER, "1", Span(*match.span()))


def read_end(_: str, match: re.Match[str]) -> Iterator[Token]:
    yield Token(END, match[0], Span(*match.span()))


TOKENS = {
    "word": read_word,
    "symbol": read_symbol,
    "number": read_number,
    "newline": read_end,
    "super": read_super,
    "sub": read_sub,
    "end": read_end,
    "math": read_end,
    "styled": read_styled,
    "ones": read_ones,
    "command": read_command,
}


def statement_ends(text: str, raw: Iterator[Token]) -> Iterator[Token]:
    """Drops the line ends that end no statement: inside brackets or `$`, after and before an operator."""
    depth, math, before, line_end = 0, False, None, None
    for token in raw:
        if token.text == "\n":
            line_end = token if depth == 0 and not math else line_end
            continue
        if token.kind == END and token.text.startswith("$"):
            math = not math
            continue
        if line_end and before and before.kind != END and not (opens(before) or goes_on(token)):
            yield line_end
        line_end = None
        depth = max(0, depth + (token.text in OPENING) - (token.text in CLOSING)) if token.kind == SYMBOL else depth
        yield (before := token)
    yield Token(EOF, "", Span(len(text.rstrip()), len(text.rstrip()) + 1), True)


OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
GO_ON = frozenset(words.INFIX) | {"="}


def opens(token: Token) -> bool:
    """The statement goes on after this token."""
    return token.kind == SYMBOL and (token.text in GO_ON or token.text == ",")


def goes_on(token: Token) -> bool:
    """The statement before goes on with this token."""
    return token.kind == SYMBOL and token.text in GO_ON


def count_primes(marks: str | None) -> int:
    return sum(2 if mark == "″" else 1 for mark in marks or "")


def plain_name(text: str, word: str, span: Span) -> str:
    """The word in normal form (NFKC)."""
    if word.isascii():
        return word
    for place, c in enumerate(word):
        if unicodedata.decomposition(c).startswith("<super>"):
            raise unknown_character(text, text.index(c, span.start + place))
    if MARKS.search(word):  # putting them in order would take quadratic time
        raise EinstanSyntaxError(
            "More than 30 marks stand on one letter.", "Write it with fewer.", source=text, spans=(span,)
        )
    name = unicodedata.normalize("NFKC", word)
    if not re.fullmatch(rf"{LETTER}{NAME}", name):
        raise EinstanSyntaxError(
            f"{word!a} is not a name.", "Write it with letters and digits.", source=text, spans=(span,)
        )
    return name


def unknown_character(text: str, place: int) -> EinstanSyntaxError:
    c = text[place]
    invisible = unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")
    shown = f"The invisible character U+{ord(c):04X}" if invisible else f"The character {c} (U+{ord(c):04X})"
    repair = "Delete it." if invisible else sentence(words.CHARACTERS.get(c, "write the formula without it"))
    return EinstanSyntaxError(f"{shown} is no part of a formula.", repair, source=text, spans=(Span(place, place + 1),))


def sentence(words_: str) -> str:
    return f"{words_[0].upper()}{words_[1:]}."
