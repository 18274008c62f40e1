"""parser: text -> Module, statement by statement."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import pairwise

from ..errors import EinstanNameError
from ..recursion import run
from . import words
from .ast import Claim, Definition, Expr, Fact, Index, Label, Module, SizeIs, Statement, Tensor, postorder
from .expressions import Expressions
from .lexer import LIMITS, Limits, tokens
from .token import END, EOF, NUMBER, WORD, Token
from .words import Bind


def parse_module(text: str, labels: Sequence[str] = (), limits: Limits = LIMITS) -> Module:
    """The statements of `text`; `labels` are letters declared as by `label f, g`.

    Raises EinstanSyntaxError, EinstanNameError (x and bold x in one text).
    """
    parser = Parser(text, labels, limits)
    given = (Label(tuple(labels)),) if labels else ()
    statements = tuple(parser.statements())
    parser.ranges_are_no_numbers(statements)
    return Module(given + statements, text)


def parse_expression(text: str, labels: Sequence[str] = (), limits: Limits = LIMITS) -> Expr:
    """The one expression that `text` holds. Raises as `parse_module` does."""
    parser = Parser(text, labels, limits)
    while parser.peek().kind == END:
        parser.take()
    expr = run(parser.expression(Bind.NONE))
    while parser.peek().kind == END:
        parser.take()
    if parser.peek().kind != EOF:
        raise parser.unexpected("the expression ends before it", "Give one expression, without `=`.")
    return expr


class Parser(Expressions):
    """Reads statements."""

    def __init__(self, text: str, labels: Sequence[str], limits: Limits = LIMITS) -> None:
        found = tokens(text, limits)
        super().__init__(text, found, [*labels, *declared_labels(found)])

    # ---------------------------------------------------------------- statements

    def statements(self) -> Generator[Statement, None, None]:
        while self.peek().kind != EOF:
            if self.peek().kind == END:
                self.take()
                continue
            start = self.peek()
            yield from self.statement()
            if self.peek().kind not in (END, EOF):
                opened = start.span
                raise self.unexpected("the statement ends before it", "Begin a new line, or write an operator.", opened)

    def ranges_are_no_numbers(self, statements: Sequence[Statement]) -> None:
        """The n of ∑_{i=1}^{n} is the size of i: as an input it could be another number."""
        if not self.ranges:
            return
        defined = {s.target.name for s in statements if isinstance(s, Definition)}
        for e in (e for s in statements for root in formulas(s) for e in postorder(root)):
            if isinstance(e, Tensor) and e.indices == () and e.name in self.ranges.keys() - defined:
                raise EinstanNameError(
                    f"{e.name} is the end of a sum here, and a number there.",
                    "Write |i| for the size of the index i.",
                    source=self.text,
                    spans=(self.ranges[e.name].span, e.span),
                )

    def statement(self) -> Generator[Statement, None, None]:
        word = self.keyword()
        if word == "label":
            yield self.label()
        elif word == "size":
            yield self.size_is()
        else:
            yield from self.equation(word)

    def keyword(self) -> str:
        """`label`, `size` before a space and a name; `claim`, `fact` before a space and what opens a formula."""
        word, after = self.peek(), self.peek(1)
        if word.kind != WORD or word.text not in words.KEYWORDS or word.primes or not after.spaced:
            return ""
        negative = after.text == "-" and not self.peek(2).spaced
        formula = word.text in ("claim", "fact") and (self.opens_operand(after) or negative)
        return word.text if after.kind == WORD or formula else ""

    def label(self) -> Label:
        start = self.take()
        letters = [self.label_letter()]
        while self.skip(","):
            letters.append(self.label_letter())
        return Label(tuple(letters), self.since(start))

    def label_letter(self) -> str:
        letter = self.expect_kind(WORD, "a letter", "Write `label f, g`.")
        if letter.text in words.FUNCTIONS:
            raise self.error(f"{letter.text} is a function.", "Labels are letters: write `label f, g`.", letter.span)
        return letter.text

    def size_is(self) -> SizeIs:
        start, word = self.take(), self.take()
        self.expect("=", "Write `size n = 5`.")
        value = self.expect_kind(NUMBER, "a whole number", "Write `size n = 5`.")
        if not value.text.isdigit():
            raise self.error("A size is a whole number.", "Write `size n = 5`.", value.span)
        return SizeIs(Index(word.text + "'" * word.primes, word.span), int(value.text), self.since(start))

    def equation(self, word: str) -> Generator[Statement, None, None]:
        """A definition, a claim, a fact; `Z[i] = a = b` defines and claims."""
        start = self.take() if word else self.peek()
        self.in_target = not word
        forms = [run(self.expression(Bind.NONE))]
        self.in_target = False
        while self.skip("="):
            forms.append(run(self.expression(Bind.NONE)))
        span, head = self.since(start), forms[0]
        if len(forms) == 1:
            if self.peek().kind not in (END, EOF):
                return
            raise self.error("This statement has no `=`.", "Give it a name: `y = ...`.", span)
        if word == "fact":
            if len(forms) > 2:
                raise self.error("A fact has two sides.", "Write one fact for each `=`.", span)
            yield Fact(head, forms[1], span)
        elif word == "claim" or not isinstance(head, Tensor) or head.indices is None:
            yield Claim(tuple(forms), span)
        else:
            yield Definition(head, forms[1], span)
            if len(forms) > 2:
                yield Claim((head, *forms[2:]), span)


def formulas(s: Statement) -> tuple[Expr, ...]:
    """The expressions of a statement that are read for their value."""
    match s:
        case Definition():
            return (s.body,)
        case Claim():
            return s.forms
        case Fact():
            return (s.left, s.right)
        case _:
            return ()


def declared_labels(found: list[Token]) -> list[str]:
    """The letters of all `label` statements, wherever they stand."""
    letters, reading, opens = [], False, True
    for token, after in pairwise(found):
        if opens and token.kind == WORD and token.text == "label":
            reading = after.kind == WORD and after.spaced
        elif reading and token.kind == WORD:
            letters.append(token.text)
        opens = token.kind == END
        reading = reading and not opens
    return letters
