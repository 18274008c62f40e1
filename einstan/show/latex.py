r"""latex: AST -> LaTeX, which parses back to the same AST.

The rows are those of text: the pieces of one node in order. What is written is built from the letters of names and a
closed table of commands; words of several letters stand in `\mathrm`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, assert_never

from ..syntax import ast, words
from ..syntax.ast import Call, Expr, Group, Index, Number, Product, Tensor
from ..syntax.factors import is_derivative, is_one_factor
from ..syntax.lexer import LIMITS
from ..syntax.words import Bind
from . import text
from .text import Pieces

BIG = Bind.SUM + 1  # a sum reaches to the next + or -, and stands last in its product
SIGNS = {sign: name for name, sign in reversed(words.GREEK.items()) if len(sign) == 1 and not sign.isascii()}
COMMANDS = {
    **{name: rf"\{name}" for name in "exp log sin cos tan sinh cosh tanh max min det".split()},
    **{"asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan", "log_softmax": r"\operatorname{log\_softmax}"},
}
COMPARE = {"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "==": "=="}
NAME = re.compile(
    r"(?:\\(?P<accent>\w+)\{(?P<dressed>[^}]*)\}|(?P<base>log_softmax|[^_^']+))(?P<primes>'*)(?P<label>.*)"
)
WORD = re.compile(r"[^\W\d_]\w*")
LETTER_AND_NUMBER = re.compile(rf"([^\W\d_])([0-9]{{0,{LIMITS.digits}}})('*)")


def latex_module(module: ast.Module, beside: Iterable[ast.Statement] = (), environment: str = "align") -> str:
    """The statements as an `align` environment, one a row. `beside` are statements that are read with them."""
    writer = Writer(trees((*module.statements, *beside)))
    rows = " \\\\\n".join(writer.statement(s) for s in module.statements)
    return f"\\begin{{{environment}}}\n{rows}\n\\end{{{environment}}}"


def latex_expr(e: Expr) -> str:
    r"""An expression: `X_{b,K} W_{K,j} + c_{j}`."""
    return Writer([e]).expr(e)


def trees(statements: Iterable[ast.Statement]) -> Iterator[Expr]:
    """The expressions of statements."""
    for s in statements:
        match s:
            case ast.Definition():
                yield from (s.target, s.body)
            case ast.Claim():
                yield from s.forms
            case ast.Fact():
                yield from (s.left, s.right)
            case _:
                pass


class Writer:
    """Writes what is read together: where σ is a tensor, the sigmoid keeps its name."""

    def __init__(self, together: Iterable[Expr]) -> None:
        below = (e for tree in together for e in ast.postorder(tree))
        tensors = {t.name for e in below for t in (e, *below_line(e)) if isinstance(t, Tensor)}
        self.sigmoid = r"\operatorname{sigmoid}" if "σ" in tensors else r"\sigma"

    def statement(self, s: ast.Statement) -> str:
        match s:
            case ast.Definition():
                return f"{self.expr(s.target)} &= {self.expr(s.body)}"
            case ast.Claim():
                first, *others = map(self.expr, s.forms)
                return f"{keyword(text.claim_word(s))}{first} &= {' = '.join(others)}"
            case ast.Fact():
                return f"{keyword('fact')}{self.expr(s.left)} &= {self.expr(s.right)}"
            case ast.SizeIs():
                return f"{keyword('size')}{upright(s.index.name)} &= {s.value}"
            case ast.Label():
                return f"{keyword('label')}{', '.join(map(upright, s.letters))}"
        assert_never(s)

    def expr(self, e: Expr) -> str:
        rows = Rows(self.sigmoid, tall_below(e), operands_of_odot(e))
        return text.unfolded(e, rows.pieces, power, rows.brackets)


def keyword(word: str) -> str:
    return rf"\text{{{word.strip()}}}\ " if word else ""


def below_line(e: Expr) -> tuple[Tensor, ...]:
    return e.denominators if isinstance(e, ast.Derivative) else ()


# -------------------------------------------------------------------- one row for each kind of node


class Rows:
    """The pieces of a node, by its kind."""

    def __init__(self, sigmoid: str, tall: set[int], crowded: set[int]) -> None:
        self.sigmoid, self.tall, self.crowded = sigmoid, tall, crowded

    def brackets(self, e: Expr) -> tuple[str, str]:
        return (r"\left(", r"\right)") if id(e) in self.tall else ("(", ")")

    def pieces(self, e: Expr) -> Pieces:
        return ROWS[type(e)](self, e)

    def number(self, e: Number) -> Pieces:
        if text.decimal_places(e.value) is not None:
            yield digits(e.value)
        else:
            above, below = map(digits, map(Fraction, abs(e.value).as_integer_ratio()))
            yield rf"{'-' * (e.value < 0)}\frac{{{above}}}{{{below}}}"

    def tensor(self, e: Tensor) -> Pieces:
        yield r"\delta" if is_kronecker(e) else r"\pi" if e.name == "pi" and not e.indices else name(e.name)
        apart = "{}" if "_" in e.name and e.indices else ""
        yield "[:]" if e.indices is None else apart + listed(e.indices)

    def filled(self, e: ast.Filled) -> Pieces:
        yield (r"\mathbb{1}" if e.value else r"\mathbf{0}") + listed(e.indices)

    def extent(self, e: ast.Extent) -> Pieces:
        if e.axis is None:
            yield rf"\left|{upright(e.name)}\right|"
        else:
            yield rf"\operatorname{{size}}({name(e.name)}, {e.axis + 1})"

    def call(self, e: Call) -> Pieces:
        if is_big(e):
            yield rf"\{e.name}{listed(e.along or ())} "
            yield e.args[0], Bind.SUM
        elif is_root(e):
            yield from (r"\sqrt{", (e.args[0], Bind.NONE), "}")
        else:
            opening, closing = self.brackets(e)
            slot = f"[{','.join(str(n + 1) for n in e.slots)}]" if e.slots else ""
            apart = "{}" if "_" in e.name and e.name not in words.FUNCTIONS and e.along and not slot else ""
            along = "" if e.along is None else listed(e.along) or "[]"
            yield f"{self.function(e)}{slot}{apart}{along}{opening}"
            yield from text.joined(e.args, ", ")
            yield closing

    def function(self, e: Call) -> str:
        if e.name in words.FUNCTIONS:
            known = self.sigmoid if e.name == "sigmoid" else COMMANDS.get(e.name, rf"\operatorname{{{e.name}}}")
            return known + "'" * e.primes
        return name(e.name, e.primes).replace(r"\mathrm{", r"\operatorname{", 1)

    def product(self, e: Product) -> Pieces:
        """A fraction where the whole chain before the line is one factor, or more factors follow; else a slash."""
        place, before = 0, None
        while place < len(e.factors):
            factor = e.factors[place]
            lined = has_line(e, place)
            if place:
                yield between(before, factor, e.divides[place], lined)
            elif e.divides[0]:
                yield "1 / "
            if lined:
                yield from fraction(factor, e.factors[place + 1])
                place += 1
            else:
                last = place == len(e.factors) - 1 and not e.divides[place] and id(e) not in self.crowded
                yield factor, Bind.SUM if last and is_big(factor) else Bind.PRODUCT
            before, place = e.factors[place], place + 1

    def odot(self, e: ast.Odot) -> Pieces:
        return text.joined(e.factors, r" \odot ", Bind.ODOT)

    def power(self, e: ast.Power) -> Pieces:
        yield from self.base(e.base)
        if can_stand(e.exponent):
            yield from ("^{", *bare(e.exponent), "}")
        else:
            yield from ("^", (e.exponent, Bind.POWER - 1))

    def base(self, e: Expr) -> Pieces:
        """TeX takes one superscript: a label and a power are kept apart."""
        if not (isinstance(e, Tensor) and any(mark in e.name for mark in "^'")):
            yield e, Bind.POWER
        elif len({i.name for i in e.indices or ()}) == len(e.indices or ()):
            yield from ("(", (e, Bind.NONE), ")")
        else:
            yield from ((e, Bind.POWER), "{}")

    def compare(self, e: ast.Compare) -> Pieces:
        yield from ((e.left, Bind.COMPARE), f" {COMPARE[e.op]} ", (e.right, Bind.COMPARE))

    def concat(self, e: ast.Concat) -> Pieces:
        opening, closing = (r"\left[", r"\right]") if id(e) in self.tall else ("[", "]")
        yield opening
        yield from text.joined(e.parts, ", ")
        yield closing + listed((e.index,))

    def group(self, e: Group) -> Pieces:
        opening, closing = self.brackets(e)
        yield from (opening, (e.body, Bind.NONE), closing)

    def derivative(self, e: ast.Derivative) -> Pieces:
        order = len(e.denominators)
        yield r"\frac{\partial" + (f"^{{{order}}} " if order > 1 else " ")
        yield e.numerator, Bind.POWER
        yield "}{"
        for place, denominator in enumerate(e.denominators):
            yield r" \partial " if place else r"\partial "
            yield denominator, Bind.NONE
        yield "}"


ROWS: dict[type[Expr], Callable[[Rows, Any], Pieces]] = {
    Number: Rows.number,
    Tensor: Rows.tensor,
    ast.Filled: Rows.filled,
    ast.Extent: Rows.extent,
    Call: Rows.call,
    ast.Concat: Rows.concat,
    Group: Rows.group,
    ast.Derivative: Rows.derivative,
    ast.Power: Rows.power,
    Product: Rows.product,
    ast.Odot: Rows.odot,
    ast.Sum: lambda _, e: text.of_sum(e),
    ast.Compare: Rows.compare,
}


def power(e: Expr) -> int:
    """How tightly the LaTeX of `e` holds together."""
    return BIG if is_big(e) else text.power(e)


def is_big(e: Expr) -> bool:
    r"""Written with \sum or \prod, whose body shows no brackets of its own."""
    plain = isinstance(e, Call) and e.name in words.BIG.values() and e.primes == 0 and len(e.args) == 1
    return plain and isinstance(e, Call) and bool(e.along) and not isinstance(e.args[0], Group)


def is_root(e: Expr) -> bool:
    return isinstance(e, Call) and e.name == "sqrt" and e.primes == 0 and e.along is None and len(e.args) == 1


def is_kronecker(e: Tensor) -> bool:
    return e.name == "delta" and len(e.indices or ()) == 2


def tall_below(root: Expr) -> set[int]:
    """The nodes higher than a line, whose brackets grow with them."""
    found: set[int] = set()
    for e in ast.postorder(root):
        own = isinstance(e, ast.Derivative) or is_big(e) or is_root(e)
        own = own or (isinstance(e, Product) and any(has_line(e, place) for place in range(len(e.factors))))
        if own or any(id(k) in found for k in e.children):
            found.add(id(e))
    return found


def operands_of_odot(root: Expr) -> set[int]:
    r"""The chains that a \sum at their end would carry beyond."""
    return {id(k) for e in ast.postorder(root) if isinstance(e, ast.Odot) for k in e.factors}


# -------------------------------------------------------------------- products and fractions


def between(before: Expr | None, factor: Expr, over: bool, lined: bool) -> str:
    """What stands between two factors. A name before a bracket keeps a space that shows."""
    if over:
        return " / "
    if text.begins_with_number(factor) and not lined:
        return r" \cdot "
    if isinstance(before, Tensor) and before.name == "σ":
        return r" \cdot "
    opens = isinstance(factor, Group | ast.Sum | ast.Odot | ast.Compare | ast.Concat) or is_big(factor)
    return r" \, " if isinstance(before, Tensor) and opens and not lined else " "


def has_line(e: Product, place: int) -> bool:
    r"""The factor and the next one are written as \frac."""
    if place + 1 >= len(e.factors) or e.divides[place] or not e.divides[place + 1]:
        return False
    top, bottom = e.factors[place], e.factors[place + 1]
    worth = place == 0 or place + 2 < len(e.factors)
    return worth and can_stand(top) and can_stand(bottom) and not is_derivative(opened(top), opened(bottom))


def can_stand(e: Expr) -> bool:
    """In braces, which would close what sums a trace, as brackets do."""
    return is_one_factor(e) or not isinstance(e, Tensor | ast.Filled | ast.Derivative)


def fraction(top: Expr, bottom: Expr) -> Pieces:
    yield from (r"\frac{", *bare(top), "}{", *bare(bottom), "}")


def bare(e: Expr) -> Pieces:
    """Inside braces, which are brackets for what is not one factor."""
    yield opened(e), Bind.NONE


def opened(e: Expr) -> Expr:
    return e.body if isinstance(e, Group) and not is_one_factor(e.body) else e


# -------------------------------------------------------------------- names and indices


def digits(value: Fraction) -> str:
    r"""`0.5`, `1\mathrm{e}{-30}`: a bare `1e-30` would be printed as a difference."""
    mantissa, _, exponent = text.number(value).partition("e")
    return mantissa + (rf"\mathrm{{e}}{{{exponent}}}" if exponent else "")


def name(spelling: str, primes: int = 0) -> str:
    r"""`W'`, `\hat{\theta}`, `X^{(m)}`, `\mathrm{loss}`, `h_{g}^{(T)}`: a label above comes before the indices."""
    match = NAME.fullmatch(spelling)
    assert match is not None, f"{spelling} is no name; this is a bug of einstan"
    base = rf"\{match['accent']}{{{sign(match['dressed'])}}}" if match["accent"] else upright(match["base"])
    lower, _, upper = match["label"].partition("^")
    return base + match["primes"] + "'" * primes + label_below(lower) + (f"^{dressed(upper)}" if upper else "")


def label_below(label: str) -> str:
    """`_f`, `_{fg}`, `_{f,g}`."""
    return f"_{{{dressed(label.strip('_{}'))}}}" if label else ""


def dressed(label: str) -> str:
    """The words of a label upright."""
    return WORD.sub(lambda match: upright(match[0]), label)


def upright(word: str) -> str:
    r"""A letter as it is or as its command; a word of several letters in `\mathrm`."""
    letters = word.rstrip("'")
    plain = len(letters) == 1 or letters.startswith("\\")
    spelled = letters.replace("_", r"\_")
    return (sign(letters) if plain else rf"\mathrm{{{spelled}}}") + word[len(letters) :]


def sign(word: str) -> str:
    r"""`\theta` for θ."""
    return f"\\{SIGNS[word]}" if word in SIGNS else word


def listed(indices: Sequence[Index]) -> str:
    """`_{b,K}`, or nothing."""
    return f"_{{{','.join(map(index, indices))}}}" if indices else ""


def index(i: Index) -> str:
    r"""`K`, `i_{1}`, `\mathrm{batch}`, or the part `k=0:2`."""
    match = LETTER_AND_NUMBER.fullmatch(i.name)
    letter = upright(i.name)
    if match and match[2]:
        letter = f"{sign(match[1])}{match[3]}_{{{match[2]}}}"
    if i.low is None or i.high is None:
        return letter
    return f"{letter}={latex_expr(i.low)}:{latex_expr(i.high)}"
