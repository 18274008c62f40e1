"""html: what a notebook shows: formulas with their indices as subscripts, and the steps of a kernel as a table.

Everything stands in elements that pages keep when they take styles away (`i`, `b`, `sub`, `sup`, `table`), so that
formulas stay readable wherever the notebook is shown. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Final

from ..plan import Plan, Step, Value
from ..plan.seconds import predicted
from ..syntax import ast, words
from ..syntax.ast import Call, Concat, Expr, Filled, Number, Power, Tensor
from ..syntax.words import Bind
from . import text
from .amounts import about, amount, extent
from .latex import NAME
from .spelling import with_axes
from .svg import shortened
from .text import Pieces

LINES: Final = 200  # statements or steps; more are counted only
LONGEST: Final = 3000  # characters of a statement
STYLE: Final = "font-family:'STIX Two Text','Latin Modern Roman',Cambria,'Times New Roman',serif;font-size:1.15em"
MONO: Final = "font-family:ui-monospace,'DejaVu Sans Mono',monospace"
FRACTION: Final = (  # without its styles it reads `∂L/∂W`
    '<span style="display:inline-block;vertical-align:middle;text-align:center;line-height:1.3;margin:.1em">'
    '<span style="display:block;border-bottom:1px solid;padding:0 .2em">'
)
BAR: Final = (
    '</span><span style="display:block;height:0;overflow:hidden;line-height:0">/</span>'
    '<span style="display:block;padding:0 .2em">'
)
ACCENTS: Final = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307", "vec": "\u20d7"}
COMPARE: Final = {"<": "&lt;", "<=": "≤", ">": "&gt;", ">=": "≥", "==": "=="}
Written = Callable[[Any], Pieces]


def statements(lines: Sequence[ast.Statement]) -> str:
    """The statements, one a line."""
    shown = "<br>\n".join(map(statement, lines[:LINES]))
    left = len(lines) - LINES
    more = f"<br>\n<small>{left:,} more of {len(lines):,} statements</small>" if left > 0 else ""
    return f'<div style="{STYLE};line-height:1.9">\n{shown}{more}\n</div>'


def statement(s: ast.Statement) -> str:
    """One statement: its formulas, or the text of what is none."""
    sides: tuple[Expr, ...]
    match s:
        case ast.Definition():
            word, sides = "", (s.target, s.body)
        case ast.Claim():
            word, sides = text.claim_word(s), s.forms
        case ast.Fact():
            word, sides = "fact ", (s.left, s.right)
        case _:
            return f"<code>{escape(text.show_statement(s))}</code>"
    if len(plain := text.show_statement(s)) > LONGEST:
        return f"<code>{escape(shortened(plain, LONGEST))}</code>"
    return (f"<code>{word}</code>" if word else "") + equation(sides)


def equation(sides: Sequence[Expr]) -> str:
    """One formula, or several with equals signs between them."""
    return " = ".join(map(formula, sides))


def expression(sides: Sequence[Expr]) -> str:
    """The same as a notebook shows it alone."""
    return f'<span style="{STYLE}">{equation(sides)}</span>'


def formula(e: Expr) -> str:
    """`<i>W</i><sub>k,j</sub>`"""
    return text.unfolded(e, pieces, binding, lambda _: ("(", ")"))


def binding(e: Expr) -> int:
    """How tightly the HTML of `e` holds together: `1·10⁻³⁰` as a factor, not as a base."""
    is_scientific = isinstance(e, Number) and "e" in text.number(e.value)
    return min(text.power(e), Bind.POWER) if is_scientific else text.power(e)


# -------------------------------------------------------------------- formulas


def pieces(e: Expr) -> Pieces:
    """The row of a kind of node; of the others the pieces of the text, escaped."""
    if type(e) in ROWS:
        yield from ROWS[type(e)](e)
    else:
        yield from (escape(piece) if isinstance(piece, str) else piece for piece in text.pieces(e))


def number(e: Number) -> Pieces:
    """`2.5`, `1·10⁻³⁰`."""
    mantissa, _, exponent = text.number(e.value).partition("e")
    yield f"{mantissa}·10<sup>{minus(exponent)}</sup>" if exponent else minus(mantissa)


def tensor(e: Tensor) -> Pieces:
    is_delta = e.name == "delta" and len(e.indices or ()) == 2
    yield ("<i>δ</i>" if is_delta else name(e.name)) + ("[:]" if e.indices is None else below(e.indices))


def filled(e: Filled) -> Pieces:
    yield f"<b>{e.value}</b>{below(e.indices)}"


def call(e: Call) -> Pieces:
    big = {"sum": "∑", "prod": "∏", "sqrt": "√"} if not e.primes else {}
    known = e.name in words.FUNCTIONS
    slots = f"[{','.join(str(n + 1) for n in e.slots)}]" if e.slots else ""
    spelled = big.get(e.name, escape(e.name)) if known else name(e.name)
    yield spelled + "′" * e.primes + slots + below(e.along or ()) + "("
    yield from text.joined(e.args, ", ")
    yield ")"


def power(e: Power) -> Pieces:
    yield from ((e.base, Bind.POWER), "<sup>", (opened(e.exponent), Bind.NONE), "</sup>")


def product(e: ast.Product) -> Pieces:
    yield from (" · " if piece == " * " else piece for piece in text.pieces(e))


def total(e: ast.Sum) -> Pieces:
    yield from (minus(piece) if isinstance(piece, str) else piece for piece in text.pieces(e))


def compare(e: ast.Compare) -> Pieces:
    yield from ((e.left, Bind.COMPARE), f" {COMPARE[e.op]} ", (e.right, Bind.COMPARE))


def concat(e: Concat) -> Pieces:
    yield "["
    yield from text.joined(e.parts, ", ")
    yield "]" + below((e.index,))


def derivative(e: ast.Derivative) -> Pieces:
    order = f"<sup>{len(e.denominators)}</sup>" if len(e.denominators) > 1 else ""
    yield from (FRACTION, f"∂{order}", (e.numerator, Bind.POWER), BAR)
    for denominator in e.denominators:
        yield from ("∂", (denominator, Bind.NONE))
    yield "</span></span>"


ROWS: Final[dict[type[Expr], Written]] = {
    Number: number,
    Tensor: tensor,
    Filled: filled,
    Call: call,
    Power: power,
    ast.Product: product,
    ast.Sum: total,
    ast.Compare: compare,
    Concat: concat,
    ast.Derivative: derivative,
}


def opened(e: Expr) -> Expr:
    return e.body if isinstance(e, ast.Group) else e


def name(spelling: str) -> str:
    """`<i>X</i><sup>(m)</sup>`; words of several letters upright, accents over their letter."""
    match = NAME.fullmatch(spelling)
    assert match is not None, f"{spelling} is no name; this is a bug of einstan"
    base = match["base"] or f"{match['dressed']}{ACCENTS.get(match['accent'], '')}"
    letters = escape(base)
    lower, _, upper = match["label"].partition("^")
    plain = letters if len(match["base"] or match["dressed"]) > 1 else f"<i>{letters}</i>"
    label = script("sub", lower.strip("_{}") and lower.strip("_{}") + "\u2009")
    return plain + "′" * len(match["primes"]) + label + script("sup", upper.strip("{}"))


def script(tag: str, label: str) -> str:
    return f"<{tag}>{escape(label)}</{tag}>" if label else ""


def below(indices: Sequence[ast.Index]) -> str:
    """`<sub>b,K</sub>`, or nothing."""
    return f"<sub>{','.join(index(i) for i in indices)}</sub>" if indices else ""


def index(i: ast.Index) -> str:
    shown = escape(text.index(i))
    return f"<i>{shown}</i>" if len(i.name) == 1 and i.low is None else shown


def minus(s: str) -> str:
    return s.replace("-", "−")


# -------------------------------------------------------------------- kernels


def kernel(plan: Plan, axes: Mapping[str, Sequence[str]], results: Sequence[str]) -> str:
    """The steps of a plan with their costs, the dearest ones darker, and the times predicted for this machine; what it
    reads above, the totals below."""
    steps = [step for step in plan.steps if not step.is_view]
    most = max((step.flops for step in steps), default=0)
    given = {value.storage: name for name, value in plan.inputs.items()}
    found = {value.storage: name for value, name in zip(plan.results, results, strict=True)}
    reads = [read_row(name, axes.get(name, ()), value) for name, value in plan.inputs.items()]
    computes = [step_row(step, most, given, found) for step in steps[:LINES]]
    left = len(steps) - LINES
    more = [cells("td", f"<i>{left:,} more of {len(steps):,} steps</i>", *[""] * 4)] if left > 0 else []
    together = costs(plan.flops, plan.bytes, predicted(plan))
    total = cells("th", f"together, {amount(plan.peak_bytes, 'B')} at the peak", "", *together)
    head = cells("th", "step", "shape", "flops", "read and written", "predicted")
    body = "\n".join([*reads, *computes, *more, total])
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def read_row(name: str, axes: Sequence[str], value: Value) -> str:
    shape = f"{extent(value.shape)} {escape(str(value.dtype))}"
    return cells("td", mono(with_axes(name, axes)), shape, "", "given", "")


def step_row(step: Step, most: int, given: Mapping[Value, str], found: Mapping[Value, str]) -> str:
    """The formula with the names of inputs, the result's name after it."""
    told = step.told(lambda value: given.get(value, f"v{value.number}")) or f"v{step.out.storage.number} = {step.op}"
    result = f" → <b>{escape(found[step.out.storage])}</b>" if step.out.storage in found else ""
    tint = f";background:rgba(230,140,40,{0.7 * step.flops / most:.2f})" if step.flops else ""
    first = mono(shortened(told, 120)) + result
    return cells("td", first, extent(step.out.shape), *costs(step.flops, step.bytes, step.seconds), tint)


def costs(flops: int, moved: int, seconds: float) -> tuple[str, str, str]:
    return amount(flops, "flop") if flops else "", amount(moved, "B"), about(seconds, "s")


def cells(tag: str, first: str, shape: str, flops: str, moved: str, seconds: str, tint: str = "") -> str:
    """A row of the table; numbers stand at the right, and the tint behind the flops."""
    right = "text-align:right"
    styles = ("text-align:left", right, right + tint, right, right)
    row = zip(styles, (first, shape, flops, moved, seconds), strict=True)
    return "<tr>" + "".join(f'<{tag} style="{style}">{cell}</{tag}>' for style, cell in row) + "</tr>"


def mono(formula: str) -> str:
    return f'<code style="{MONO}">{escape(formula)}</code>'
