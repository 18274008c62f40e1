"""names: what a name is: labels, primes, its indices, parts of axes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ..errors import EinstanNameError, EinstanSyntaxError, Span
from . import words
from .ast import Expr, Extent, Index, Number, Product, Sum, Tensor
from .cursor import Cursor
from .lexer import LETTER
from .token import NUMBER, SYMBOL, WORD, Token

ONE_LETTER = re.compile(rf"{LETTER}[\u0300-\u036f0-9]*")
NO_RECURRENCE = "Recurrences are not built yet."
STEP_REPAIR = "Write each step as a tensor of its own: h1[b,j] = tanh(U[j,K] h0[b,K])."


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it stands in the text. `listed`: an index list follows it; `slots`: of `f''[1,2]` 0, 1."""

    token: Token
    span: Span
    base: str
    label: str
    primes: int
    listed: bool
    indices: tuple[Index, ...] | None
    slots: tuple[int, ...]

    @property
    def text(self) -> str:
        return self.base + self.label

    @property
    def spelling(self) -> str:
        return self.base + "'" * self.primes + self.label

    @property
    def function(self) -> str:
        return words.ALIASES.get(self.text, self.text)


class Names(Cursor):
    """Reads names, index lists and subscripts."""

    def __init__(self, text: str, found: list[Token], labels: Sequence[str]) -> None:
        super().__init__(text, found)
        self.labels = frozenset(labels)
        self.in_target = False
        self.ranges: dict[str, Token] = {}  # the n of ∑_{i=1}^{n}
        self.styles: dict[str, Token] = {}

    def name(self) -> Name:
        """A word, its label or subscript, `^{(m)}`, its index list; or the `[2]` of `f'[2](a,b)`."""
        token = self.expect_kind(WORD, "a name", "Write a name.")
        self.one_style(token)
        found = Name(token, token.span, token.text, "", token.primes, False, (), ())
        upper = ""
        while (after := self.peek()).kind == SYMBOL:
            if after.text == "_":
                found = self.subscripted(found)
            elif after.text == "^" and not upper and (upper := self.upper_label()):
                found = replace(found, span=self.since(token))
            elif after.text == "[" and not after.spaced and not self.after_subscript(found):
                found = self.bracketed(found)
            else:
                break
        return replace(found, label=found.label + upper, indices=found.indices if found.listed else None)

    def one_style(self, token: Token) -> None:
        r"""x and a bold x are not one name, nor \phi and \varphi."""
        before = self.styles.setdefault(token.text, token)
        if before.shape != token.shape:
            shapes = " and ".join(sorted(t.shape or "plain" for t in (before, token)))
            raise EinstanNameError(
                f"{token.text} is written both {shapes}.",
                "Give one of the two another name.",
                source=self.text,
                spans=(before.span, token.span),
            )

    def after_subscript(self, found: Name) -> bool:
        """`W_{j,K}[h, x]_K`: after a subscript, `[` opens a concatenation."""
        return found.listed and self.tokens[self.place - 1].text != "]"

    def subscripted(self, found: Name) -> Name:
        start = self.peek()
        if word := self.subscript_label():
            label, primes = word
            if found.label:
                raise self.error(
                    "A name has one label subscript.",
                    "Write them as one: Z_{fg}.",
                    found.span,
                    self.since(start),
                )
            return replace(found, label=found.label + label, primes=found.primes + primes, span=self.since(found.token))
        self.one_list(found)
        indices = self.subscript()
        return replace(found, listed=True, indices=indices, span=self.since(found.token))

    def bracketed(self, found: Name) -> Name:
        if found.primes and self.peek(1).kind == NUMBER and not found.slots:
            slots = self.slots()
            return replace(found, slots=slots, span=self.since(found.token))
        self.one_list(found)
        self.no_argument(found)
        empty = self.peek(1).text == "]" and self.peek(2).text == "(" and not self.peek(2).spaced
        indices = self.no_index() if empty else self.index_list()
        return replace(found, listed=True, indices=indices, span=self.since(found.token))

    def no_argument(self, found: Name) -> None:
        """`softmax[k](...)` has a list of indices, `tanh[x]` is refused."""
        end = self.partners.get(self.place)
        if end is not None and self.tokens[end + 1].text != "(" and found.base in words.FUNCTIONS and not found.label:
            raise self.needs_brackets(found.base, Span(found.span.start, self.tokens[end].span.end))

    def needs_brackets(self, function: str, span: Span) -> EinstanSyntaxError:
        return self.error(f"The function {function} needs brackets.", f"Write {function}(...).", span)

    def slots(self) -> tuple[int, ...]:
        """`[2]` after a prime, `[1,2]` after two."""
        opened, found = self.take(), list[int]()
        while not found or self.skip(","):
            number = self.take()
            if not number.text.isdigit() or not 1 <= int(number.text) <= 99:
                raise self.error("Arguments are numbered from 1.", "Write f'[2](a,b).", number.span)
            found.append(int(number.text) - 1)
        self.close(opened, "]")
        if self.peek().text not in ("(", "[", "_") or self.peek().spaced:
            raise self.not_an_index(number)
        return tuple(found)

    def no_index(self) -> tuple[Index, ...]:
        """`f[](Z[i,K])` takes in the open K and has no new axis."""
        self.place += 2
        return ()

    def one_list(self, found: Name) -> None:
        if found.listed:
            raise self.error(
                f"{found.text} has two index lists.",
                "Write all indices in one list: X[b,K]; for a product with a concatenation leave a space.",
                found.span,
                self.peek().span,
            )

    def tensor(self, name: Name) -> Tensor:
        """The name as a tensor. A list of two indices after δ makes it Kronecker's."""
        plain = not name.label and not name.primes
        if name.base in words.FUNCTIONS and not name.label:
            raise self.needs_brackets(name.base, name.span)
        if plain and name.base in words.RESERVED:
            raise self.error(f"{name.base} is a reserved word.", "Choose another name.", name.span)
        if plain and name.base == "π" and not name.listed:
            return Tensor("pi", (), name.span)
        if plain and name.base in ("δ", "delta") and name.indices is not None and len(name.indices) == 2:
            return Tensor("delta", name.indices, name.span)
        return Tensor(name.spelling, name.indices if name.listed else (), name.span)

    def callable(self, name: Name) -> str:
        """The name as a function."""
        if name.text in ("pi", "π"):
            raise self.error("pi is a number, not a function.", "Leave a space for a product: pi (x).", name.span)
        return name.function

    # ---------------------------------------------------------------- labels

    def upper_label(self) -> str:
        """`^{(m-1)}` at the cursor, taken and without spaces; else "" and nothing is taken."""
        if not (self.peek(1).text == "{" and self.peek(2).text == "("):
            return ""
        ahead = 3
        while self.peek(ahead).kind in (WORD, NUMBER) or self.peek(ahead).text in ("+", "-", ","):
            ahead += 1
        if ahead == 3 or self.peek(ahead).text != ")" or self.peek(ahead + 1).text != "}":
            return ""
        inside = self.tokens[self.place + 3 : self.place + ahead]
        self.place += ahead + 2
        return "^{(" + "".join(token.text + "'" * token.primes for token in inside) + ")}"

    def subscript_label(self) -> tuple[str, int] | None:
        """`_f` at the cursor, taken, with the primes that end it, if all its letters are declared labels."""
        if not self.labels:
            return None
        braced = self.peek(1).text == "{"
        ahead = 2 if braced else 1
        inside: list[Token] = []
        while (token := self.peek(ahead)).kind == WORD or (inside and braced and token.text == ","):
            inside.append(token)
            ahead += 1
            if not braced:
                break
        letters = [piece for token in inside if token.kind == WORD for piece in self.label_pieces(token.text)]
        if not letters or not all(letter in self.labels for letter in letters):
            return None
        if braced and self.peek(ahead).text != "}":
            return None
        self.place += ahead + braced
        spelled = "".join(token.text for token in inside)
        return (f"_{{{spelled}}}" if len(spelled) > 1 else f"_{spelled}"), sum(token.primes for token in inside)

    def label_pieces(self, word: str) -> list[str]:
        return [word] if word in self.labels else ONE_LETTER.findall(word)

    # ---------------------------------------------------------------- indices

    def index_list(self) -> tuple[Index, ...] | None:
        """`[b,K]`; None for `[:]`, the whole tensor."""
        opened = self.take()
        if self.at(":"):
            while self.skip(":") and self.skip(","):
                pass
            self.close(opened, "]")
            return None
        indices = [self.index()]
        while self.skip(","):
            indices.append(self.index())
        self.close(opened, "]")
        return tuple(indices)

    def index(self) -> Index:
        """`K`, `i_1`, `k=0:2`."""
        token, after = self.peek(), self.peek(1)
        if token.kind != WORD:
            raise self.not_an_index(token)
        if token.text == words.STEP_BACK and not token.primes:
            raise self.error(NO_RECURRENCE, STEP_REPAIR, token.span)
        if after.text in ("+", "-") and after.kind == SYMBOL:
            raise self.error(NO_RECURRENCE, STEP_REPAIR, token.span, after.span)
        if after.kind == SYMBOL and after.text in ("(", "[", "*", "/", "^"):
            raise self.error("An index position holds an expression.", "Write a plain index there.", token.span)
        self.take()
        return self.part(Index(token.text + self.digits() + "'" * token.primes, token.span), token)

    def not_an_index(self, token: Token) -> EinstanSyntaxError:
        if token.kind != NUMBER:
            return self.unexpected("an index is missing before it", "Write the letters of the indices: X[b,K].")
        if self.in_target:
            return self.error(NO_RECURRENCE, STEP_REPAIR, token.span)
        after = f"{token.text}:{int(token.text) + 1}" if token.text.isdigit() else "0:1"
        return self.error("A number is no index.", f"Write k={after} for one entry of the axis k.", token.span)

    def digits(self) -> str:
        """`_1` or `_{1}` after the letter of an index."""
        braced = self.peek(1).text == "{"
        number = self.peek(1 + braced)
        if not self.at("_") or number.kind != NUMBER or not number.text.isdigit():
            return ""
        self.place += 2 + 2 * braced
        return number.text

    def part(self, index: Index, start: Token) -> Index:
        """The index, with its bounds if it has some."""
        self.no_label(index)
        if not self.skip("="):
            return index
        low = self.bound()
        self.expect(":", "A part of an axis is written k=0:2.")
        high = self.bound()
        return Index(index.name, self.since(start), low, high)

    def no_label(self, index: Index) -> Index:
        if index.name.rstrip("'") in self.labels:
            raise self.error(
                f"{index.name} is declared a label, and is no index in this program.",
                f"Take another letter for the index; indices of a name with this label follow it: W_{index.name}[j,K].",
                index.span,
            )
        return index

    def subscript(self) -> tuple[Index, ...]:
        """`_j`, `_{ij}`, `_{b,K}`."""
        self.take()
        if not self.at("{"):
            return (self.one_letter(),)
        opened = self.take()
        if self.has_comma():
            indices = [self.index()]
            while self.skip(","):
                indices.append(self.index())
        else:
            indices = self.letters()
        self.close(opened, "}")
        return tuple(indices)

    def has_comma(self) -> bool:
        """A comma stands before the brace that ends the subscript."""
        end = self.partners.get(self.place - 1, self.place)
        return any(token.text == "," for token in self.tokens[self.place : end])

    def letters(self) -> list[Index]:
        """Each letter, with its digits or prime, is one index."""
        found: list[Index] = []
        while not self.at("}"):
            token, after = self.peek(), self.peek(1)
            if token.kind != WORD:
                raise self.not_an_index(token)
            if after.kind == SYMBOL and after.text in ("+", "-"):
                raise self.error(NO_RECURRENCE, STEP_REPAIR, token.span, after.span)
            self.take()
            *first, last = [token.text] if is_whole(token) else ONE_LETTER.findall(token.text)
            found += [self.no_label(Index(letter, token.span)) for letter in first]
            found.append(self.part(Index(last + self.digits() + "'" * token.primes, token.span), token))
        if not found:
            raise self.unexpected("an index is missing before it", "Write the letters of the indices: X_{b,K}.")
        return found

    def one_letter(self) -> Index:
        """One letter with its digits; what follows it in the word is a name of its own."""
        token = self.peek()
        if token.kind != WORD:
            raise self.not_an_index(token)
        match = ONE_LETTER.match(token.text)
        if is_whole(token) or match is None or match.end() == len(token.text):
            self.take()
            return self.no_label(Index(token.text + "'" * token.primes, token.span))
        after = self.peek(1)
        if after.spaced or after.text not in ("_", "[", "(", "^"):
            raise self.error(
                f"After _ stands one letter; {token.text} are several.",
                f"Write _{{{token.text}}} for the indices {', '.join(ONE_LETTER.findall(token.text))}.",
                token.span,
            )
        cut = token.span.start + match.end()
        self.tokens[self.place] = token._replace(text=token.text[match.end() :], span=Span(cut, token.span.end))
        letter = token._replace(text=match[0], primes=0, span=Span(token.span.start, cut))
        return self.no_label(Index(letter.text, letter.span))

    def range_indices(self, start: Token) -> tuple[Index, ...]:
        r"""What `∑` sums over: `_i`, `_{ij}`, `_{v \in V}`, `_{i=1}^{n}`."""
        if self.at("[") and not self.peek().spaced:
            indices = self.index_list()
            if indices is not None:
                return indices
        if not self.at("_"):
            raise self.unexpected("a sum says its index", "Write sum[k](...) or ∑_k.", start.span)
        word, sign = self.peek(2), self.peek(3)
        if self.peek(1).text != "{" or word.kind != WORD or sign.text not in ("=", "∈"):
            return self.subscript()
        self.place += 4
        index = Index(word.text + "'" * word.primes, word.span)
        ends = self.upper_bound if sign.text == "=" else self.member
        ends(start)
        return (index,)

    def member(self, start: Token) -> None:
        self.expect_kind(WORD, "the name of the range", "Write ∑_{v ∈ V}.")
        self.expect("}", "Write ∑_{v ∈ V}.")

    def upper_bound(self, start: Token) -> None:
        """`=1}^{n}`: from the first to the last."""
        low = self.take()
        self.expect("}", "Write ∑_{i=1}^{n}.")
        braced = self.skip("^") and self.skip("{")
        high = self.take()
        if low.text != "1" or high.kind != WORD:
            raise self.error(
                "A sum runs over the whole axis, from 1 to its size.",
                "Write ∑_i, and take a part of the axis for other bounds: x[i=0:2].",
                start.span,
                low.span,
            )
        self.ranges.setdefault(high.text, high)
        if braced:
            self.expect("}", "Write ∑_{i=1}^{n}.")

    # ---------------------------------------------------------------- sizes

    def bound(self) -> Expr:
        """A bound of a part: integers and sizes, their sums and products."""
        terms, signs = [self.bound_product()], [1]
        while self.at("+") or self.at("-"):
            signs.append(1 if self.take().text == "+" else -1)
            terms.append(self.bound_product())
        if len(terms) == 1:
            return terms[0]
        return Sum(tuple(terms), tuple(signs), Span(terms[0].span.start, terms[-1].span.end))

    def bound_product(self) -> Expr:
        factors = [self.size()]
        while self.skip("*") or self.at("|") or self.peek().kind in (WORD, NUMBER):
            factors.append(self.size())
        if len(factors) == 1:
            return factors[0]
        span = Span(factors[0].span.start, factors[-1].span.end)
        return Product(tuple(factors), (False,) * len(factors), span)

    def size(self) -> Expr:
        token = self.peek()
        if token.kind == NUMBER and token.text.isdigit():
            return Number(Fraction(self.take().text), token.span)
        if token.text == "size" and self.peek(1).text == "(":
            return self.extent_of_axis()
        if token.text == "|":
            return self.extent_of_index()
        raise self.unexpected("a bound is an integer or a size", "Write k=0:2 or k=0:size(h,1).")

    def extent_of_axis(self) -> Extent:
        """`size(h,2)`."""
        start, opened = self.take(), self.take()
        name = self.name()
        self.expect(",", "Write size(h,2) for the second axis of h.")
        axis = self.expect_kind(NUMBER, "the number of an axis", "Write size(h,2) for the second axis of h.")
        if not axis.text.isdigit() or int(axis.text) < 1:
            raise self.error("Axes are numbered from 1.", "Write size(h,1) for the first axis of h.", axis.span)
        self.close(opened, ")")
        return Extent(name.spelling, int(axis.text) - 1, self.since(start))

    def extent_of_index(self) -> Extent:
        """`|K|`."""
        opened = self.take()
        if self.peek().kind != WORD or self.peek(1).text != "|":
            raise self.error("|...| is the size of an index.", "Write abs(...) for the absolute value.", opened.span)
        word = self.take()
        self.take()
        return Extent(word.text + "'" * word.primes, None, self.since(opened))


def is_whole(token: Token) -> bool:
    r"""A `\mathrm{word}` or an accented letter is one index."""
    return token.whole or token.text.startswith("\\")
