"""certificates: that a scalar is convex, or concave, in one of its names, read off from its Hessian's formula.

The second derivative says so only of a function that is smooth wherever it is defined, on a convex set. So below the
name there are only smooth functions; log and roots take what is positive anyway, or affine in the name; and nothing is
divided by what may be zero. Kinks (relu, abs, max) have no second derivative that counts, and get no certificate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from . import claims
from .definite import Factor, Part, Proof, multiplied, semidefinite
from .facts import simplify_by
from .intervals import POSITIVE, Interval, intervals
from .ir import UNIT, Add, Call, Coef, Einsum, Labels, Node, name_, rebuild, scale, substitute, toposort
from .prims.linalg import LINALG
from .prims.scalar import COMPARISONS, LOG, LOG1P, POW, power
from .prims.shape import SHAPE
from .request import ALL_LAWS, Definitions, Graph, Term
from .show.formula import Vocabulary, Writer, formula, fresh
from .show.spelling import bracket_product, with_axes
from .show.text import show_expr
from .syntax import ast

SMOOTH: Final = frozenset(
    "exp expm1 sin cos sinh cosh tanh sigmoid softplus erf erfc atan logcosh logaddexp softmax log_softmax logsumexp "
    "prod part concat".split()
)
HIDING: Final = frozenset(  # may be finite where an argument is nan
    {"where", "step", "sign", "power", "part", "unit", "opaque", *LINALG, *COMPARISONS}
)
LONGEST: Final = 120  # letters of a formula that is told
PARTS: Final = 3  # of a sum that is told


@dataclass(frozen=True, slots=True)
class Certificate:
    """That `of` is convex (its Hessian by `wrt` is positive semidefinite for all data), concave, or both: affine."""

    of: str
    wrt: str
    convex: bool
    concave: bool
    reason: str

    @property
    def kind(self) -> str:
        return "affine" if self.convex and self.concave else "convex" if self.convex else "concave"

    def __str__(self) -> str:
        return f"{self.of} is {self.kind} in {self.wrt}: its Hessian is {self.reason}"


def certified(
    program: Definitions, words: Vocabulary, of: str, wrt: str, most: int | None = None
) -> Certificate | None:
    """The certificate of a scalar, or None where nothing is proved, or its gradient has more than `most` nodes."""
    graph = Graph.of(program, [Term(of, (wrt, wrt))], ALL_LAWS)
    top, leaf = graph.values[program.leaves[of]], program.leaves[wrt]
    nodes = toposort([top])
    if most is not None and len(above(leaf, nodes)) > most:
        return None
    given = domain(top)
    if graph.numerators or not is_smooth(nodes, leaf, given):
        return None
    (gradient,), _ = graph.derivatives([Term(of, (wrt,))], {of: top}, {}, list)
    if most is not None and len(toposort([gradient])) > most:
        return None
    (hessian,), _ = graph.derivatives(graph.wanted, {of: top}, {}, list)
    (hessian,) = simplify_by(program.facts, graph.laws.table, graph.laws.simplify)([hessian])
    proof = semidefinite(with_powers(hessian), given)
    if proof is None:
        return None
    reason = told(proof, names(program), words, words.hints[leaf])
    return Certificate(of, wrt, proof.sign > 0 or not proof.parts, proof.sign < 0 or not proof.parts, reason)


def above(leaf: Node, nodes: Sequence[Node]) -> set[Node]:
    """The leaf and the nodes that depend on it."""
    found = {leaf}
    for node in nodes:
        if not found.isdisjoint(node.operands):
            found.add(node)
    return found


# ---------------------------------------------------------------- smooth on a convex set


def domain(top: Node) -> dict[Node, Interval]:
    """What logarithms and roots are taken of is positive where the whole is defined, unless that hides what is nan."""
    felt = {top}
    for node in reversed(toposort([top])):
        if node in felt and not hides(node):
            felt.update(node.operands)
    calls = [node for node in felt if isinstance(node, Call)]
    return {y.operands[0]: POSITIVE for y in calls if y.prim is LOG or is_root(y)}


def hides(node: Node) -> bool:
    """Whether a node may be finite where an operand is nan. Of a diagonal the rest is not looked at."""
    if isinstance(node, Einsum):
        return any(len(set(own)) < len(own) for own in node.labels)
    return isinstance(node, Call) and node.prim.name in HIDING


def is_root(y: Call) -> bool:
    return y.prim is POW and exponent(y).denominator > 1


def exponent(y: Call) -> Fraction:
    (q,) = y.params
    assert isinstance(q, Fraction)
    return q


def is_smooth(nodes: Sequence[Node], leaf: Node, given: Mapping[Node, Interval]) -> bool:
    """Whether all that depends on the leaf is smooth where it is defined, and that is a convex set."""
    moving, affine = above(leaf, nodes), {leaf}
    defined, anywhere = intervals(nodes, given), intervals(nodes)
    for node in nodes:
        below = [o for o in node.operands if o in moving]
        if not below:
            continue
        if is_linear(node, below) and affine.issuperset(below):
            affine.add(node)
        elif isinstance(node, Call) and not is_smooth_call(node, affine, defined, anywhere):
            return False
    return True


def is_linear(node: Node, below: Sequence[Node]) -> bool:
    """Whether a node is affine in those of its operands that depend on the leaf."""
    if isinstance(node, Einsum):
        return len(below) == 1
    return isinstance(node, Add) or (isinstance(node, Call) and node.prim.name in SHAPE)


def is_smooth_call(
    y: Call, affine: set[Node], defined: Mapping[Node, Interval], anywhere: Mapping[Node, Interval]
) -> bool:
    x = y.operands[0]
    if y.prim is POW and not is_root(y):
        return exponent(y) > 0 or defined[x].positive or defined[x].negative
    if y.prim is LOG or is_root(y):
        return x in affine or anywhere[x].positive
    return y.prim.name in SMOOTH or (y.prim is LOG1P and (x in affine or anywhere[x].nonnegative))


# ---------------------------------------------------------------- powers


def with_powers(root: Node) -> Node:
    """The node with x / x^2 as 1 / x: what is finite is not divided by zero."""
    done: dict[Node, Node] = {}
    for node in toposort([root]):
        made = rebuild(node, [done[o] for o in node.operands])
        done[node] = collected(made) if isinstance(made, Einsum) else made
    return done[root]


def collected(e: Einsum) -> Node:
    """The product, powers of one base on the same labels as one power."""
    powers: dict[tuple[Node, Labels], Fraction] = {}
    for node, own in e.factors:
        base, q = (
            (node.operands[0], exponent(node)) if isinstance(node, Call) and node.prim is POW else (node, Fraction(1))
        )
        powers[base, own] = powers.get((base, own), Fraction(0)) + q
    factors = [(power(base, q), own) for (base, own), q in powers.items()]
    return e if len(factors) == len(e.operands) else multiplied(factors, e.out, e.dims)


# ---------------------------------------------------------------- in words


def names(program: Definitions) -> dict[Node, Node]:
    """What the bodies of the program are called."""
    called = list(program.bodies)
    values = Graph.of(program, [Term(name) for name in called], ALL_LAWS).nodes(list)
    return claims.names_of_bodies(claims.Statements(program.leaves, dict(zip(called, values, strict=True))))


def told(proof: Proof, called: Mapping[Node, Node], words: Vocabulary, axes: Sequence[str]) -> str:
    """`Bᵀ diag(d) B with B[a,i] = X[a,i], d[a] = exp(z[a]) ≥ 0`; `axes` are the letters of the rows."""
    minus = "-" if proof.sign < 0 else ""
    if not proof.parts:
        return "0"
    if len(proof.parts) > PARTS:
        return f"{minus}(a sum of matrices BᵀB)" if minus else "a sum of matrices BᵀB"
    marks = [""] if len(proof.parts) == 1 else [str(n + 1) for n in range(len(proof.parts))]
    parts = [Told(part, mark, called, words, tuple(axes)) for part, mark in zip(proof.parts, marks, strict=True)]
    meant = [text for part in parts for text in part.meanings]
    between = " - " if minus else " + "
    whole = minus + between.join(part.form for part in parts)
    return f"{whole} with {', '.join(meant)}" if meant else whole


@dataclass(frozen=True, slots=True)
class Told:
    """One matrix of a sum in words; `called` names nodes of the program, `words` their letters, `axes` are those of the
    rows."""

    part: Part
    mark: str
    called: Mapping[Node, Node]
    words: Vocabulary
    axes: tuple[str, ...]

    @property
    def half(self) -> tuple[Factor, ...]:
        """The factors of B."""
        return tuple([f for f in self.part.product.half if f != self.part.along])

    @property
    def moving(self) -> list[int]:
        """The labels of the rows alone; along the others the matrix is block diagonal."""
        way = self.part.product
        return [l for l in way.rows if way.partner[l] != l]

    @property
    def has_half(self) -> bool:
        return bool(self.half or (self.moving and self.part.along is None))

    @property
    def weighted(self) -> bool:
        """Whether there is a d. A coefficient alone is a factor √c of B."""
        in_half = self.has_half and self.part.along is None and not self.part.coef.sizes
        plain = in_half or self.is_identity or self.part.coef.is_one
        return bool(self.part.product.middle) or not plain

    @property
    def is_identity(self) -> bool:
        """Whether the matrix is δ times a coefficient."""
        return self.part.along is None and not self.has_half and not self.part.product.middle

    @property
    def form(self) -> str:
        """`Bᵀ diag(d) B`, or what it is instead."""
        b, d, p = (letter + self.mark for letter in "Bdp")
        if self.part.along is not None:
            core = f"diag({p}) - {p} {p}ᵀ"
            found = f"{b}ᵀ ({core}) {b}" if self.half else core
            found += f" weighted by {d}" if self.weighted else ""
            told = {*self.part.product.rows, *(l for _, own in self.half for l in own)}
            summed = [self.letters[l] for l in self.part.product.between if l in self.part.along[1] and l not in told]
            found += f" summed over {', '.join(summed)}" if summed else ""
        elif self.is_identity:
            found = show_expr(formula(scale(self.part.coef, name_("δ", ())), (), self.words))
        elif not self.has_half:
            found = f"diag({d})"
        else:
            found = f"{b}ᵀ diag({d}) {b}" if self.weighted else f"{b}ᵀ{b}"
        letters = self.letters
        fixed = [letters[l] for l in dict.fromkeys(self.part.product.rows) if l not in self.moving]
        return f"{found} for each {', '.join(fixed)}" if fixed and self.moving else found

    @property
    def meanings(self) -> list[str]:
        """`B[a,i] = ..` and so on, for every letter of the form."""
        coef, way, along = self.part
        found = []
        if self.has_half:
            carried = {l for _, own in self.half for l in own} | ({*self.moving} if along is None else set())
            own = [l for l in (*way.between, *(along[1] if along else ()), *way.rows) if l in carried]
            found.append(self.equation("B", self.half, own, times=1 if self.weighted else coef.rational))
        if along is not None:
            found.append(self.equation("p", [along], along[1]))
        if self.weighted:
            shared = {l for _, own in way.half for l in own} | {*way.rows}
            own = [l for l in way.between if l in shared and any(l in labels for _, labels in way.middle)]
            found.append(self.equation("d", way.middle, own, coef) + " ≥ 0")
        return found

    def equation(
        self, name: str, factors: Sequence[Factor], labels: Sequence[int], coef: Coef = UNIT, times: Fraction | int = 1
    ) -> str:
        """`B[a,i] = √times X[a,i]`, the name alone where the formula is long."""
        own = tuple(dict.fromkeys(labels))
        letters = [self.letters[l] for l in own]
        (node,) = substitute([scale(coef, multiplied(factors, own, self.part.product.dims))], self.called)
        right = show_expr(with_root(times, formula(node, letters, self.words)))
        left = with_axes(name + self.mark, letters)
        return f"{left} = {right}" if len(right) <= LONGEST else left

    @property
    def letters(self) -> dict[int, str]:
        """A letter for every label."""
        way = self.part.product
        labels = tuple(dict.fromkeys([*way.rows, *(l for _, own in (*way.half, *way.middle) for l in own)]))
        (node,) = substitute([multiplied((*way.half, *way.middle), labels, way.dims)], self.called)
        hints = dict(zip(labels, Writer(self.words).hints(node), strict=True)) | dict(
            zip(way.rows, self.axes, strict=True)
        )
        found: dict[int, str] = {}
        for label, hint in hints.items():
            found[label] = fresh(hint, self.words.fixed.union(found.values()))
        return found


def with_root(times: Fraction | int, e: ast.Expr) -> ast.Expr:
    """√times e."""
    if times == 1:
        return e
    root = ast.Call("sqrt", (ast.Number(Fraction(times)),))
    if isinstance(e, ast.Number):
        return root
    chain = e.factors if isinstance(e, ast.Product) else (bracket_product(e),)
    divides = e.divides if isinstance(e, ast.Product) else (False,)
    return ast.Product((root, *chain), (False, *divides))
