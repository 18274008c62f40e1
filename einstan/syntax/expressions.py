"""expressions: tokens -> Expr. One Pratt loop; the tables are in words.

A sub-parser that may nest is a generator which yields the sub-parser it needs and is sent the result (see
recursion), so that depth costs memory and no Python stack.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from fractions import Fraction

from ..errors import EinstanSyntaxError, Span
from . import words
from .ast import (
    Call,
    Compare,
    Concat,
    Derivative,
    Expr,
    Filled,
    Group,
    Number,
    Odot,
    Power,
    Product,
    Sum,
    Tensor,
)
from .factors import (
    braced,
    differentials,
    grouped,
    is_d,
    is_derivative,
    negative_number,
    splice,
    ungrouped,
)
from .names import Name, Names
from .token import NUMBER, SYMBOL, WORD, Token
from .words import Bind

Steps = Generator["Steps", Expr, Expr]

MAX_ORDER = 64


class Expressions(Names):
    """Reads expressions; what a name with its indices is, is said in Names."""

    # ---------------------------------------------------------------- operators

    def expression(self, floor: int, left: Expr | None = None) -> Steps:
        """Everything that binds tighter than `floor`."""
        if left is None:
            left = yield self.signed(floor)
        while (bind := self.infix()) > floor:
            left = yield CHAINS[bind](self, left)
        return left

    def infix(self) -> Bind:
        """How tightly the next token binds what stands before it; Bind.NONE where nothing goes on."""
        token = self.peek()
        if token.kind == SYMBOL and token.text in words.INFIX:
            return words.INFIX[token.text]
        return Bind.PRODUCT if self.opens_operand(token) else Bind.NONE

    def opens_operand(self, token: Token) -> bool:
        return token.kind in (WORD, NUMBER) or (token.kind == SYMBOL and (token.text in OPERANDS or token.text == "|"))

    def signed(self, floor: int) -> Steps:
        """An operand; a leading minus covers the whole product, in an exponent or after `*` one factor."""
        sign, minus = self.peek(), False
        if not self.at_sign():
            return (yield self.operand())
        while self.at_sign():
            minus ^= self.take().text == "-"
        tight = floor >= Bind.ODOT
        body = yield self.expression(Bind.PRODUCT if tight else Bind.SUM)
        if not minus:
            return body
        if floor >= Bind.POWER - 1 and isinstance(body, Number):
            return Number(-body.value, self.since(sign))
        negative = Sum((body,), (-1,), self.since(sign))
        return Group(negative, negative.span) if tight else negative

    def at_sign(self) -> bool:
        return self.at("-") or self.at("+")

    def product(self, first: Expr) -> Steps:
        """`a b * c / d`, one chain. A fraction in braces joins the chain that it stands in."""
        factors, divides = splice(first)
        while self.infix() == Bind.PRODUCT:
            token = self.peek()
            if token.kind == SYMBOL and token.text in "*/":
                self.take()
            elif token.kind == NUMBER and not self.has_indices(self.peek(1)):
                raise self.error(
                    "A bare number comes first in a product, or after an operator.",
                    f"Write * {token.text}.",
                    token.span,
                )
            over = token.kind == SYMBOL and token.text == "/"
            factor = yield self.expression(Bind.PRODUCT)
            if over and isinstance(factor, Product):
                factor = Group(factor, factor.span)
            more, flags = splice(factor)
            factors += more
            divides += [over, *flags[1:]]
        return Product(tuple(factors), tuple(divides), join(factors))

    def odot(self, first: Expr) -> Steps:
        factors = [first]
        while self.skip("⊙"):
            factors.append((yield self.expression(Bind.ODOT)))
        return Odot(tuple(factors), join(factors))

    def sum(self, first: Expr) -> Steps:
        lone = isinstance(first, Sum) and len(first.terms) == 1
        terms, signs = (list(first.terms), list(first.signs)) if lone and isinstance(first, Sum) else ([first], [1])
        while self.infix() == Bind.SUM:
            sign = 1 if self.take().text == "+" else -1
            term = yield self.expression(Bind.SUM)
            if isinstance(term, Sum) and len(term.terms) == 1:
                sign, term = sign * term.signs[0], term.terms[0]
            signs.append(sign)
            terms.append(term)
        return Sum(tuple(terms), tuple(signs), Span(first.span.start, terms[-1].span.end))

    def power(self, base: Expr) -> Steps:
        """Right to left; the exponent is one factor."""
        caret = self.take()
        if isinstance(base, Derivative):
            raise self.error("A power directly after a derivative.", "Put the derivative in brackets.", caret.span)
        if isinstance(base, Product):
            base = Group(base, base.span)
        after = self.peek()
        if isinstance(base, Tensor) and not base.indices and after.kind == NUMBER and self.peek(1).text == "_":
            self.take()
            raise self.unexpected("indices stand before a power", "", caret.span)
        exponent = yield self.expression(Bind.POWER - 1)
        if isinstance(exponent, Product):
            exponent = Group(exponent, exponent.span)
        exponent = negative_number(exponent)
        return Power(base, exponent, join([base, exponent]))

    def compare(self, left: Expr) -> Steps:
        op = self.take()
        right = yield self.expression(Bind.COMPARE)
        if self.infix() == Bind.COMPARE:
            raise self.error("Comparisons are not chained.", "Write (a < b) * (b < c).", op.span, self.peek().span)
        return Compare(op.text, left, right, join([left, right]))

    # ---------------------------------------------------------------- operands

    def operand(self) -> Steps:
        token = self.peek()
        if token.kind == NUMBER:
            return self.number()
        if token.kind == WORD:
            return (yield self.word())
        if token.kind == SYMBOL and token.text == "|":
            return self.extent_of_index()
        if token.kind == SYMBOL and token.text in OPERANDS:
            return (yield OPERANDS[token.text](self))
        raise self.unexpected("a formula is missing before it", "Write a name, a number or a bracket.")

    def number(self) -> Expr:
        token = self.take()
        if self.has_indices(self.peek()):
            return self.filled(token.text, token)
        if token.shape:
            raise self.error(
                "Ones and zeros say their indices.", rf"Write \mathbb{{1}}_K, or {token.text}[K].", token.span
            )
        return Number(Fraction(token.text), token.span)

    def has_indices(self, after: Token) -> bool:
        """`1[K]` and `1_K` are no bare numbers; `after` is what follows the 1."""
        return after.kind == SYMBOL and (after.text == "_" or (after.text == "[" and not after.spaced))

    def filled(self, text: str, start: Token) -> Expr:
        if text not in ("0", "1"):
            raise self.error("Only 1 and 0 take indices.", f"Write {text} * 1[k].", start.span)
        indices = self.subscript() if self.peek().text == "_" else self.index_list()
        if indices is None:
            raise self.error("1[:] has no axes.", "Write the indices: 1[k].", self.since(start))
        return Filled(int(text), indices, self.since(start))

    def word(self) -> Steps:
        token, after = self.peek(), self.peek(1)
        opens = after.kind == SYMBOL and after.text == "("
        if token.text == "d" and not token.primes and opens and not after.spaced:
            return (yield self.d_over_d())
        if token.text == "size" and opens:
            return self.extent_of_axis()
        if token.text == "sqrt" and after.text == "[" and self.peek(3).text == "]" and self.peek(4).text == "{":
            return (yield self.root())
        name = self.name()
        if self.is_call(name):
            return (yield self.call(name))
        return self.tensor(name)

    def root(self) -> Steps:
        r"""`\sqrt[3]{x}` is x^(1/3)."""
        start, _ = self.take(), self.take()
        degree = self.expect_kind(NUMBER, "the degree of the root", r"Write \sqrt[3]{x}.")
        self.take()
        body = yield self.bracket()
        numbers = (Number(Fraction(1), degree.span), Number(Fraction(degree.text), degree.span))
        return Power(body, Group(Product(numbers, (False, True)), degree.span), self.since(start))

    def is_call(self, name: Name) -> bool:
        """A bracket follows: directly, or after a space where the name is a built-in function."""
        after = self.peek()
        if after.kind != SYMBOL or after.text not in "({":
            return False
        if after.text == "{":
            return name.text == "sqrt"
        return not after.spaced or name.function in words.FUNCTIONS

    def call(self, name: Name) -> Steps:
        function = self.callable(name)
        args: list[Expr] = []
        opened = self.take()
        closing = ")" if opened.text == "(" else "}"
        while not args or self.skip(","):
            args.append((yield self.expression(Bind.NONE)))
        self.close(opened, closing)
        along = name.indices if name.listed else None
        return Call(function, tuple(args), along, name.primes, name.slots, self.since(name.token), name.span)

    def bracket(self) -> Steps:
        opened = self.take()
        body = yield self.expression(Bind.NONE)
        if opened.text == "{":
            self.close(opened, "}")
            return braced(body, self.since(opened))
        self.close(opened, ")")
        if isinstance(body, Number) and self.peek().text == "_":
            return self.filled(str(body.value), opened)
        return grouped(body, self.since(opened))

    def concat(self) -> Steps:
        """`[h[K], x[K]]_K`, or a column of parts in an environment."""
        opened = self.take()
        between, closing = (",", "]") if opened.text == "[" else (words.NEXT_PART, words.END_COLUMN)
        self.joins_along(opened)
        parts: list[Expr] = []
        while not parts or (self.skip(between) and not (opened.text != "[" and self.at(closing))):
            parts.append((yield self.expression(Bind.NONE)))
        self.close(opened, closing)
        indices = self.subscript()
        if len(indices) != 1:
            raise self.error("A concatenation joins along one index.", "Write [h[K], x[K]]_K.", self.since(opened))
        return Concat(tuple(parts), indices[0], self.since(opened))

    def joins_along(self, opened: Token) -> None:
        """The index follows the bracket; seen first, as what stands inside may have no index form either."""
        end = self.partners.get(self.place - 1)
        if end is None or self.tokens[end + 1].text == "_":
            return
        span = Span(opened.span.start, self.tokens[end].span.end)
        if opened.text != "[":
            message, repair = "A column does not say along which index its parts are joined.", words.JOIN
            raise self.error(message, f"{repair[0].upper()}{repair[1:]}.", span)
        if letters := ", ".join(self.subscript_before(opened)):
            raise self.error(
                f"The name has a list of indices already: {letters}.",
                f"Give all indices in one list, or write `label {letters}` for what is part of the name.",
                span,
            )
        raise self.error(
            "A bracket [ ] that follows no name joins its parts, and does not say along which index.",
            "Write W[j,K] [h[K], x[K]]_K, ( ) around a group; before the indices of a name leave no space.",
            span,
        )

    def subscript_before(self, opened: Token) -> str:
        """f of `W_f[` and `W_{f}[`; nothing elsewhere."""
        texts = [token.text for token in self.tokens[max(0, self.place - 5) : self.place - 1]]
        if opened.spaced or "_" not in texts[-2:-1] + texts[-4:-3]:
            return ""
        return texts[-2] if texts[-1] == "}" else texts[-1]

    def big(self) -> Steps:
        """`∑_{i j} body`: reaches to the next + or - of its group."""
        start = self.take()
        indices = self.range_indices(start)
        span = self.since(start)
        body = yield self.expression(Bind.SUM)
        return Call(words.BIG[start.text], (ungrouped(body),), indices, 0, (), self.since(start), span)

    # ---------------------------------------------------------------- derivatives and fractions

    def derivative(self) -> Steps:
        start = self.take()
        order = self.order()
        numerator = yield self.numerator()
        return self.over(start, order, numerator)

    def order(self) -> int:
        if not self.skip("^"):
            return 1
        braced = self.skip("{")
        token = self.expect_kind(NUMBER, "the order of the derivative", "Write ∂²L/∂w[i]∂w[j].")
        if braced:
            self.expect("}", "Close the order.")
        if not token.text.isdigit() or not 1 <= int(token.text) <= MAX_ORDER:
            raise self.error(f"An order is a whole number from 1 to {MAX_ORDER}.", "Write ∂²L/∂w[i]∂w[j].", token.span)
        return int(token.text)

    def numerator(self) -> Steps:
        """A name with indices, or a bracketed expression."""
        token = self.peek()
        if token.kind == SYMBOL and token.text in ("/", "}"):
            raise self.no_numerator(token.span)
        if token.kind == SYMBOL and token.text in ("(", "{"):
            opened = self.take()
            body = yield self.expression(Bind.NONE)
            self.close(opened, ")" if opened.text == "(" else "}")
            return body if isinstance(body, Tensor) else Group(body, self.since(opened))
        name = self.name()
        if self.is_call(name):
            raise self.error("∂ is followed by a name or a bracket.", "Put it in brackets: ∂(f(x))/∂x.", name.span)
        return self.tensor(name)

    def no_numerator(self, span: Span) -> EinstanSyntaxError:
        return self.error(
            "A derivative says above the line what it differentiates.",
            r"Write \frac{\partial f}{\partial x_{i}}, or ∂f/∂x[i].",
            span,
        )

    def higher_order(self, span: Span) -> EinstanSyntaxError:
        return self.error(
            "This reads as a derivative, and d has no order.",
            r"Write \frac{\partial^2 L}{\partial w_{i} \partial w_{j}}, or ∂²L/∂w[i]∂w[j].",
            span,
        )

    def over(self, start: Token, order: int, numerator: Expr) -> Expr:
        """`/∂w[i]∂w[j]`, as many as the order."""
        if not self.skip("/"):
            raise self.unexpected("a derivative has a denominator", "Write ∂L/∂W[k,j].", start.span)
        return Derivative(numerator, self.denominators(order), self.since(start))

    def denominators(self, order: int) -> tuple[Tensor, ...]:
        found: list[Tensor] = []
        for _ in range(order):
            self.expect("∂", f"A derivative of order {order} has as many ∂name below: ∂²L/∂w[i]∂w[j].")
            found.append(self.tensor(self.name()))
        return tuple(found)

    def d_over_d(self) -> Steps:
        """`d(L)/d(W[k,j])`."""
        start, opened = self.take(), self.take()
        body = yield self.expression(Bind.NONE)
        self.close(opened, ")")
        self.expect("/", "Write d(L)/d(W[k,j]).")
        if self.expect_kind(WORD, "d(...)", "Write d(L)/d(W[k,j]).").text != "d":
            raise self.error("d(...) is divided by d(...).", "Write d(L)/d(W[k,j]).", self.since(start))
        below = self.expect("(", "Write d(L)/d(W[k,j]).")
        denominator = self.tensor(self.name())
        self.close(below, ")")
        numerator = body if isinstance(body, Tensor) else Group(body, body.span)
        return Derivative(numerator, (denominator,), self.since(start))

    def fraction(self) -> Steps:
        r"""`\frac{a}{b}` is (a)/(b); `\frac{\partial L}{\partial W}` and `\frac{dL}{dW}` are derivatives."""
        start = self.take()
        opened = self.expect("{", "Write \\frac{a}{b}.")
        first: Expr | None = None
        if self.peek().text == "∂":
            inner = self.take()
            order = self.order()
            above = yield self.numerator()
            if self.skip("}"):
                below = self.expect("{", "Write \\frac{∂L}{∂W}.")
                denominators = self.denominators(order)
                self.close(below, "}")
                return Derivative(above, denominators, self.since(start))
            first = self.over(inner, order, above)
        top = yield self.expression(Bind.NONE, first)
        self.close(opened, "}")
        below = self.expect("{", "Write \\frac{a}{b}.")
        bottom = yield self.expression(Bind.NONE)
        self.close(below, "}")
        span = self.since(start)
        if is_derivative(top, bottom):
            above_, below_ = differentials(top), differentials(bottom)
            if len(above_) == len(below_) == 1:
                return Derivative(above_[0], (below_[0],), span)
            raise self.no_numerator(span) if is_d(top) else self.higher_order(span)
        return Product((braced(top, top.span), braced(bottom, bottom.span)), (False, True), span)


def join(operands: Sequence[Expr]) -> Span:
    return Span(operands[0].span.start, operands[-1].span.end)


CHAINS = {
    Bind.COMPARE: Expressions.compare,
    Bind.SUM: Expressions.sum,
    Bind.ODOT: Expressions.odot,
    Bind.PRODUCT: Expressions.product,
    Bind.POWER: Expressions.power,
}
"""What reads on from a left operand, by the operator that follows."""

OPERANDS = {
    "(": Expressions.bracket,
    "{": Expressions.bracket,
    "[": Expressions.concat,
    words.COLUMN: Expressions.concat,
    "∂": Expressions.derivative,
    "∑": Expressions.big,
    "∏": Expressions.big,
    "frac": Expressions.fraction,
}
"""What reads an operand, by the symbol that opens it."""
