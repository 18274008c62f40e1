r"""transcript: the chains of a derivative, from what is differentiated back to the names that it is by.

The text is in the language: read after the program's own text, every chain is a claim, and its rules are comments.
`latex()` is read in the same way, the rules being tags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import EinstanTypeError
from ..ir import Node, inline, pattern
from ..lower import lower_expr
from ..request import terms
from ..rules import simplify, written_out
from ..show import html
from ..show.formula import Writer as FormulaWriter
from ..show.latex import Writer
from ..show.text import show_expr, show_statement
from ..syntax import ast
from ..syntax.ast import Claim, Definition, Derivative, Expr, Sum, Tensor
from ..syntax.check import Checked, CheckedClaim, CheckedForm
from .book import Book
from .chains import chain
from .letters import letters_of
from .steps import Rule, Step

if TYPE_CHECKING:  # a transcript is given its program
    from ..programs import Derived, Program

MOST = 100  # derivatives that a notebook shows
COLUMN = 72  # rules stand to the right of it
NORMAL: Rule = ("normal form",)
SIMPLIFIED: Rule = ("simplified",)
CLOSED: Rule = ("closed form",)  # by the rules of the gradient, where a derivative is left
FOLDED: Rule = ("folded",)
LEFT = "text-align:left;vertical-align:middle"


@dataclass(frozen=True, slots=True)
class Chain:
    """`head = line = line = ..`: the first line is equal to the head, each one to the line before."""

    head: Expr
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        rows = [row for step in self.steps for row in rows_of(step)]
        width = min(COLUMN, max((len(line) for line, _ in rows), default=0))
        return "\n".join([show_expr(self.head), *(f"{line:{width}}  {rule}".rstrip() for line, rule in rows)])

    @property
    def claim(self) -> Claim:
        return Claim((self.head, *(s.tree for s in self.steps)))

    def json(self) -> dict[str, Any]:
        return {"head": show_expr(self.head), "steps": [{"rule": s.rule, "line": s.line} for s in self.steps]}


def rows_of(step: Step) -> list[tuple[str, str]]:
    """The line of a step, one term a row where it is long; the rule is a comment on the first."""
    first, *others = terms_of(step.tree) if len(step.line) > COLUMN else (step.line,)
    return [(f"  = {first}", f"# {step.rule}"), *((f"    {other}", "") for other in others)]


def terms_of(e: Expr) -> list[str]:
    """The terms of a sum with their signs."""
    if not isinstance(e, Sum):
        return [show_expr(e)]
    first, *others = zip(e.terms, e.signs, strict=True)
    rest = (f"{'-' if sign < 0 else '+'} {show_expr(Sum((term,), (1,)))}" for term, sign in others)
    return [show_expr(Sum((first[0],), (first[1],))), *rest]


Part = Chain | Definition


@dataclass(frozen=True, slots=True)
class Transcript:
    """A derivation step by step: chains, and the short names that their last lines use.

    `steps` are the lines of all chains, each with the `rule` that gave it and the `line` in the notation.
    """

    parts: tuple[Part, ...]

    @property
    def chains(self) -> tuple[Chain, ...]:
        return tuple(part for part in self.parts if isinstance(part, Chain))

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for chain in self.chains for step in chain.steps)

    def __str__(self) -> str:
        return "\n\n".join(show_statement(x) if isinstance(x, Definition) else str(x) for x in self.parts)

    __repr__ = __str__

    def json(self) -> dict[str, Any]:
        """The chains as plain data, and the short names."""
        names = [show_statement(x) for x in self.parts if isinstance(x, Definition)]
        return {"chains": [chain.json() for chain in self.chains], "names": names}

    def latex(self) -> str:
        """An `align` environment; the rules are tags, and the notation reads it."""
        return aligned(self.parts, "align", r"\tag")

    def _repr_latex_(self) -> str:
        rows = aligned(self.parts, "aligned", r"&& \text")
        return f"$${rows}$$"

    def html(self) -> str:
        """Tables of lines and rules."""
        return "\n".join(map(html_part, self.parts))

    def _repr_html_(self) -> str:
        shown = Transcript(self.parts[:MOST]).html()
        more = len(self.parts) - MOST
        return f"{shown}\n<small>{more:,} more of {len(self.parts):,} derivatives</small>" if more > 0 else shown


# ---------------------------------------------------------------- spelled


def aligned(parts: Sequence[Part], environment: str, tag: str) -> str:
    """The rows of all parts in one environment, the rules as arguments of `tag`."""
    expr = Writer(tree for part in parts for tree in trees_of(part)).expr
    rows = []
    for part in parts:
        if isinstance(part, Definition):
            rows.append(f"{expr(part.target)} &= {expr(part.body)}")
        else:
            heads = [expr(part.head), *("" for _ in part.steps)]
            steps = zip(heads, part.steps, strict=False)
            rows += [f"{head} &= {expr(s.tree)} {tag}{{{s.latex_rule}}}" for head, s in steps]
    body = " \\\\\n".join(rows)
    return f"\\begin{{{environment}}}\n{body}\n\\end{{{environment}}}"


def trees_of(part: Part) -> tuple[Expr, ...]:
    return (part.target, part.body) if isinstance(part, Definition) else part.claim.forms


def html_part(part: Part) -> str:
    """A table of the lines of a chain, the rules at the right."""
    if isinstance(part, Definition):
        return html.statements([part])
    heads = [html.formula(part.head), *("" for _ in part.steps)]
    rows = [
        f'<tr><td style="{LEFT}">{head}</td><td style="{LEFT}">= {html.formula(s.tree)}</td>'
        f'<td style="{LEFT}"><small>{s.html_rule}</small></td></tr>'
        for head, s in zip(heads, part.steps, strict=False)
    ]
    body = "\n".join(rows)
    return f'<table style="{html.STYLE}">\n<tbody>\n{body}\n</tbody>\n</table>'


# ---------------------------------------------------------------- made


def explained(program: Program, derived: Derived, of: str, depth: int | None) -> Transcript:
    """The transcript of `derived`, which holds ∂of/∂wrt; chains further than `depth` from wrt are folded to a line."""
    if depth is not None and (not isinstance(depth, int) or depth < 0):
        raise EinstanTypeError(f"The depth {depth!r} is no whole number from 0 on.", "Write depth=1.")
    words = program.vocabulary
    book = Book(program.checked, of, program.letters, words.fixed, FormulaWriter(words).size)
    far = further(derived.lines, [name for term in terms(derived.tree) for name in term.wrt], depth)
    parts: list[Part] = []
    for line in derived.lines:
        if isinstance(line, Definition):
            parts.append(line)
        elif isinstance(line, Claim) and derivatives_in(line.forms[0]) <= book.derivatives:
            parts.append(drafted(book, line, far))
    return Transcript(tuple(used(finished(program, parts))))


def drafted(book: Book, claim: Claim, far: set[str]) -> Chain:
    """The chain of a derivative down to the gradient's formula, which has no reason yet; folded, that formula alone.

    A formula with derivatives by short names is left out: they are no names of the program.
    """
    head, formula = claim.forms
    assert isinstance(head, Derivative) and isinstance(head.numerator, Tensor)
    (wrt,) = head.denominators
    last = [Step((), formula)] if derivatives_in(formula) <= book.derivatives else []
    folded = wrt.name in far
    own = [] if folded and last else chain(book, letters_of(head.numerator.indices), wrt)
    if own and show_expr(formula) == show_expr(head):
        last = []
    steps = [*own, *last]
    return Chain(head, (replace(steps[-1], reason=FOLDED),) if folded else tuple(steps))


def further(lines: Sequence[ast.Statement], wrt: Sequence[str], depth: int | None) -> set[str]:
    """The names whose derivatives are more than `depth` chains away from those of wrt."""
    if depth is None:
        return set()
    below: dict[str, set[str]] = {}
    for line in lines:
        if isinstance(line, Definition):
            below[line.target.name] = read_by(line.body)
        elif isinstance(line, Claim):
            (head,) = derivatives_in(line.forms[0])
            below[head] = read_by(line.forms[1])
    reached = {f"∂{name}" for name in wrt}
    for _ in range(depth):
        reached |= {name for found in reached for name in below.get(found, ())}
    return {name[1:] for name in below if name.startswith("∂") and name not in reached}


def finished(program: Program, parts: Sequence[Part]) -> list[Part]:
    """The chains as far as the notation has words for their lines, the step to the last one named."""
    chains = [x for x in parts if isinstance(x, Chain)]
    definitions = [x for x in parts if isinstance(x, Definition)]
    read = program.reading("\n".join([*map(show_statement, definitions), *(show_statement(c.claim) for c in chains)]))
    called = {read.leaves[d.target.name]: read.bodies[d.target.name] for d in definitions}
    claims = read.checked.claims[len(read.checked.claims) - len(chains) :]
    done = {
        id(chain): ended(chain, claim, lambda form, tree: normal(read.checked, form, tree, called))
        for chain, claim in zip(chains, claims, strict=True)
    }
    return [done.get(id(x), x) for x in parts]


def ended(chain: Chain, claim: CheckedClaim, value: Callable[[CheckedForm, Expr], Node]) -> Chain:
    """The chain without lines that cannot be read, the last one under the name of what it is to the line before."""
    trees = claim.claim.forms[1:]
    legal = [row for row in zip(chain.steps, claim.forms[1:], trees, strict=True) if row[1].error is None]
    *own, last = [step for step, _, _ in legal]
    if last.reason:
        return replace(chain, steps=(*own, last))
    if own and own[-1].line == last.line:
        return replace(chain, steps=tuple(own))
    if not own:
        return replace(chain, steps=(replace(last, reason=CLOSED),))
    a, b = (value(form, tree) for _, form, tree in legal[-2:])
    reason = NORMAL if a is b else CLOSED if is_left(own[-1].tree, chain.head) else SIMPLIFIED
    return replace(chain, steps=(*own, replace(last, reason=reason)))


def is_left(line: Expr, head: Expr) -> bool:
    """Whether a derivative by the name of the head is left in the line."""
    return not derivatives_in(line).isdisjoint(derivatives_in(head))


def normal(checked: Checked, form: CheckedForm, tree: Expr, called: Mapping[Node, Node]) -> Node:
    """A form in normal form, its axes in the order of their letters, short names written in and products opened."""
    assert form.scope is not None
    value = lower_expr(checked, form.scope, tree, {})
    node = pattern(value.node, value.axes, sorted(value.axes), {})
    (inlined,) = simplify(inline([node], called))
    return simplify([written_out(inlined)])[0]


def used(parts: Sequence[Part]) -> list[Part]:
    """The parts without short names that nothing after them uses."""
    found: list[Part] = []
    read: set[str] = set()
    for part in reversed(parts):
        if isinstance(part, Chain) or part.target.name in read:
            found.append(part)
            read = read.union(*map(read_by, trees_of(part)))
    return found[::-1]


def read_by(e: Expr) -> set[str]:
    """The names in a formula, and the derivatives: `∂` and the name below the line."""
    return {x.name for x in ast.postorder(e) if isinstance(x, Tensor)} | derivatives_in(e)


def derivatives_in(e: Expr) -> set[str]:
    return {f"∂{t.name}" for x in ast.postorder(e) if isinstance(x, Derivative) for t in x.denominators}
