"""lexer: text -> tokens, in time linear in the text.

Text, Unicode and LaTeX spellings give the same tokens, so that one grammar reads them all: every
operator has one spelling here, a subscript is always `_`, a superscript `^`.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction

from ..errors import EinstanError, EinstanSyntaxError, Span
from . import words
from .endings import statement_ends
from .token import CLOSING, END, FENCE, NUMBER, OPENING, STOP, SYMBOL, WORD, Token

MAX_DIGITS = 2_000

SUBSCRIPTS = "ₐₑₒₓₕₖₗₘₙₚₛₜᵢᵣᵤᵥⱼᵦᵧᵨᵩᵪ"
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
LETTER = rf"[^\W\d_{SUBSCRIPTS}{SUPERSCRIPTS}₀-₉]"
NAME = rf"(?:{LETTER}|[\u0300-\u036f0-9₀-₉])*"
MARKS = re.compile(r"[\u0300-\u036f]{31}")
DRESS = "|".join(sorted(words.STYLES | words.ACCENTS, key=len, reverse=True))
DRESSED = rf"(?:log\\_softmax|\\?{LETTER}{NAME})"
for _ in range(2):  # a name may wear two: \hat{\mathbf{x}}
    DRESSED = rf"(?:\\(?:{DRESS})\*?(?![a-zA-Z])\s*(?:\{{\s*{DRESSED}\s*\}}|\\[a-zA-Z]+|{LETTER})|{DRESSED})"
BRACED = r"\{[^{}\n]*+\}"
for _ in range(4):  # \tag{as $\frac{a}{b_{i}^{2}}$}
    BRACED = rf"\{{(?:[^{{}}\n]|{BRACED})*+\}}"
ROW_SPACE = r"\\[,;:\ ]|\\(?:" + "|".join(words.SPACES) + rf")(?![a-zA-Z])|\\(?:label|tag\*?)\s*{BRACED}"
ENDED = rf"(?=(?:\s|~|{ROW_SPACE})*+(?:\\\\|\\end(?![a-zA-Z])|\\[\])]|\$|\Z))"  # a row, a formula or the text
PATTERN = re.compile(
    rf"""
      (?P<numbered>\\q?quad[\s~]*\([0-9.]+[a-z]?\)(?=\s*(?:\\\\|\\end|\\[\])]|\n|\$|\Z)))
    | (?P<space>[ \t\r~\u00a0\u2000-\u200a\u202f\u205f\u3000]+ | {ROW_SPACE} | (?<=[^\s_^])\{{\}}(?=[_^]))
    | (?P<newline>\n)
    | (?P<comment>[\#%][^\n]*)
    | (?P<fence>\$\$? | \\[\[\]()])
    | (?P<environment>\\(?P<side>begin|end)\s*\{{\s*(?P<env>[a-zA-Z]*)\*?\s*\}}(?:(?<=at\}})\{{[0-9]+\}})?)
    | (?P<number>(?:[0-9]+(?:(?!\.{ENDED})\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+|\\mathrm\{{e\}}\{{-?[0-9]+\}})?)
    | (?P<word>(?:log_softmax(?!{LETTER}|[0-9]) | {LETTER}{NAME})(?P<primes>['′’″]*))
    | (?P<super>[⁺⁻]?[{SUPERSCRIPTS}]+)
    | (?P<sub>[{SUBSCRIPTS}][{SUBSCRIPTS}₀-₉]*)
    | (?P<end>;)
    | (?P<row>\\\\(?:\*|\[\s*-?[0-9.]+\s*(?:pt|em|ex|mm|cm|in|mu)\s*\])?)
    | (?P<ones>\\(?:mathbb|mathbf|boldsymbol|bm)\s*(?:\{{\s*(?P<filled>[01])\s*\}}|(?P<bare>[01])(?![0-9.]))|𝟙)
    | (?P<styled>(?=\\(?:{DRESS})\*?(?![a-zA-Z])){DRESSED}(?P<more>['′’″]*))
    | (?P<digits>\\[cdt]?frac[ ]*[0-9][ ]*[0-9](?![0-9]))
    | (?P<command>\\(?P<name>[a-zA-Z]+|.)(?P<after>['′’″]*))
    | (?P<stop>[.,]{ENDED})
    | (?P<symbol>\*\*|<=|>=|==|[-+*/^&()\[\]{{}},=<>|:_]|[{"".join(c for c in words.SYMBOLS if len(c) == 1)}])
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
NO_LIMITS = Limits(sys.maxsize, sys.maxsize, MAX_DIGITS)  # for what einstan wrote itself


def tokens(text: str, limits: Limits = LIMITS) -> list[Token]:
    """The tokens of `text`; a statement's end is an END, the text's end an EOF."""
    if not isinstance(text, str):
        raise EinstanSyntaxError(f"A formula is a text, not {type(text).__name__}.", "Give a str; decode bytes first.")
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
    """Digits as written, and as the number has them when it is printed: 10e400 would be 1e401."""
    mantissa, _, exponent = token.text.lower().partition("e")
    long = len(mantissa) > digits or len(exponent) > len(str(digits)) + 2 or abs(int(exponent or 0)) > digits
    value = Fraction(token.text if exponent and not long else 0)
    if long or max(value.numerator, value.denominator) > 10**digits:
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
        spaced = spaced or kind == "newline" or (match[0].startswith(r"\text") and match[0].endswith(" }"))


def read_word(text: str, match: re.Match[str]) -> Iterator[Token]:
    span, primes = Span(*match.span()), count_primes(match["primes"])
    yield Token(WORD, plain_name(text, match["word"].rstrip("'′’″"), span), span, primes=primes)


def read_numbered(text: str, match: re.Match[str]) -> Iterator[Token]:
    r"""`\qquad (2)` at the end of a row would multiply by 2."""
    number = match[0][match[0].index("(") :].strip("()")
    raise EinstanSyntaxError(
        "The number of an equation is no factor.",
        f"Write \\tag{{{number}}}, or leave it out.",
        source=text,
        spans=(Span(*match.span()),),
    )


def read_number(_: str, match: re.Match[str]) -> Iterator[Token]:
    r"""`1\mathrm{e}{-30}` is `1e-30`."""
    yield Token(NUMBER, match["number"].replace(r"\mathrm{e}{", "e").rstrip("}"), Span(*match.span()))


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
    r"""`\mathrm{loss}` is `loss`, `\hat X` is `\hat{X}`, `\hat{\mathbf{x}}` a bold `\hat{x}`."""
    span, whole = Span(*match.span()), match["styled"].rstrip("'′’″")
    *dress, inside = re.findall(rf"\\(?:{DRESS})\*?(?![a-zA-Z])|log\\_softmax|\\?{LETTER}{NAME}", whole)
    styles = [command.strip("\\*") for command in dress]
    accents = [style for style in styles if style in words.ACCENTS]
    if len(accents) > 1:
        raise EinstanSyntaxError("A name wears one accent.", "Choose another name.", source=text, spans=(span,))
    plain = "log_softmax" if inside == "log\\_softmax" else ""
    name = plain or (greek(text, inside[1:], span) if inside.startswith("\\") else plain_name(text, inside, span))
    shape = "bold" if words.BOLD.intersection(styles) else shape_of(inside)
    name = f"\\{accents[0]}{{{name}}}" if accents else name
    yield Token(WORD, name, span, False, count_primes(match["more"]), not accents, shape)


def read_command(text: str, match: re.Match[str]) -> Iterator[Token]:
    span, name = Span(*match.span()), match["name"]
    primes = count_primes(match["after"])
    if name in words.COMMANDS:
        yield Token(SYMBOL, words.COMMANDS[name], span)
    elif name not in words.NO_SPACES:
        yield Token(WORD, greek(text, name, span), span, primes=primes, shape=shape_of("\\" + name))


def read_digits(_: str, match: re.Match[str]) -> Iterator[Token]:
    r"""`\frac12` is `\frac{1}{2}`."""
    span = Span(*match.span())
    yield Token(SYMBOL, "frac", span)
    for digit in re.findall("[0-9]", match[0]):
        yield from (Token(SYMBOL, "{", span), Token(NUMBER, digit, span), Token(SYMBOL, "}", span))


def shape_of(command: str) -> str:
    r"""`\varphi` is another shape of `\phi`."""
    return command if command[1:] in words.VARIANTS else ""


def greek(text: str, name: str, span: Span) -> str:
    """The word that a LaTeX command stands for."""
    if name in words.FUNCTIONS:
        return name
    word = words.GREEK.get(name) or words.VARIANTS.get(name)
    if word is None:
        raise unknown_command(text, name, span)
    return word


def unknown_command(text: str, name: str, span: Span) -> EinstanSyntaxError:
    if name in words.STYLES | words.ACCENTS:
        message, repair = (
            "is followed by one name in braces",
            f"write \\{name}{{x}}_i, the indices outside, and leave sentences out",
        )
    elif name in words.NO_INDEX_FORM:
        message, repair = "has no meaning in index notation", words.NO_INDEX_FORM[name]
    else:
        message, repair = "is not a command of this language", close_to(name, KNOWN, "\\")
    return EinstanSyntaxError(f"\\{name[:40]} {message}.", sentence(repair), source=text, spans=(span,))


def close_to(name: str, known: Collection[str], before: str) -> str:
    close = get_close_matches(name[:40], known, 1)
    return f"did you mean {before}{close[0]}" if close else "write the formula without it"


KNOWN = frozenset().union(
    *(words.COMMANDS, words.GREEK, words.VARIANTS, words.FUNCTIONS, words.STYLES, words.ACCENTS, words.SPACES)
)


def read_symbol(_: str, match: re.Match[str]) -> Iterator[Token]:
    yield Token(SYMBOL, words.SYMBOLS.get(match["symbol"], match["symbol"]), Span(*match.span()))


def read_ones(_: str, match: re.Match[str]) -> Iterator[Token]:
    yield Token(NUMBER, match["filled"] or match["bare"] or "1", Span(*match.span()), shape="bold")


def read_end(_: str, match: re.Match[str]) -> Iterator[Token]:
    yield Token(END, match[0], Span(*match.span()))


def read_stop(_: str, match: re.Match[str]) -> Iterator[Token]:
    yield Token(STOP, match[0], Span(*match.span()))


def read_row(_: str, match: re.Match[str]) -> Iterator[Token]:
    yield Token(END, words.NEXT_PART, Span(*match.span()))


def read_fence(_: str, match: re.Match[str]) -> Iterator[Token]:
    yield Token(FENCE, match[0], Span(*match.span()))


def read_environment(text: str, match: re.Match[str]) -> Iterator[Token]:
    span, name = Span(*match.span()), match["env"]
    if name in words.COLUMNS:
        yield Token(SYMBOL, words.COLUMN if match["side"] == "begin" else words.END_COLUMN, span)
    elif name in words.DISPLAYS:
        yield Token(FENCE, f"\\{match['side']}{{{name}}}", span)
    else:
        repair = words.NO_ENVIRONMENT.get(name) or close_to(name, words.DISPLAYS | words.COLUMNS, "")
        raise EinstanSyntaxError(
            f"The environment {name[:40]} has no meaning in index notation.",
            sentence(repair),
            source=text,
            spans=(span,),
        )


TOKENS = {
    "numbered": read_numbered,
    "word": read_word,
    "symbol": read_symbol,
    "number": read_number,
    "newline": read_end,
    "super": read_super,
    "sub": read_sub,
    "end": read_end,
    "row": read_row,
    "stop": read_stop,
    "digits": read_digits,
    "fence": read_fence,
    "environment": read_environment,
    "styled": read_styled,
    "ones": read_ones,
    "command": read_command,
}


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
    return f"{words_[0].upper()}{words_[1:]}{'?' if words_.startswith('did you') else '.'}"
