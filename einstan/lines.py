"""lines: derivatives as statements of the language: claims, and short names before their first use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from . import claims
from .ir import Call, Node, input_, name_, scale, split, substitute, toposort
from .prims.scalar import SIGMOID, one_minus
from .request import Definitions, Graph, Laws, Term
from .rewrite import normalise
from .rules import LAWS, simplify
from .show.common import flat, legible
from .show.formula import Vocabulary, Writer, formula, fresh, sized_formula
from .stabilise import STABLE
from .stabilise.logarithms import log_of_cosh
from .stabilise.norms import root_of_square, root_of_squares, unit_vector
from .stabilise.sigmoids import one_minus_erf
from .syntax import ast

# Stable forms have shorter derivatives; these have no word of the language, or say what norm and sqrt say at 0.
WORDLESS = (log_of_cosh, one_minus_erf, unit_vector, root_of_squares, root_of_square)
IN_WORDS = (*LAWS, *(law for law in STABLE if law not in WORDLESS))
AS_READ = Laws(lambda roots: normalise(roots, IN_WORDS), simplify, LAWS)
Letters = Mapping[str, tuple[str, ...]]  # of the axes of every name


def claim_lines(
    program: claims.Statements, letters: Letters, words: Vocabulary, of: str, wrt: Sequence[str]
) -> list[ast.Statement]:
    """The sweep's lines as statements."""
    found = claims.sweep(program, of, wrt)
    letters = dict(letters)
    written: list[ast.Statement] = []
    for line in found.lines:
        learn_derivatives(words, line.node, found.derivatives, letters)
        if line.wrt is None:
            written.append(short_name(line, letters, words))
        else:
            above, below = distinct_letters((letters[name] for name in (of, line.wrt)), words.fixed)
            left = ast.Derivative(indexed(of, above), (indexed(line.wrt, below),))
            written.append(ast.Claim((left, formula(line.node, above + below, words))))
    return written


def learn_derivatives(words: Vocabulary, root: Node, pairs: Mapping[Node, tuple[str, str]], letters: Letters) -> None:
    """How the derivative leaves below a line are spelled."""
    for node in toposort([root]):
        if node in pairs:
            top, below = pairs[node]
            words.derivatives[node] = (top, len(letters[top]), ((below, len(letters[below])),))
            words.hints[node] = letters[top] + letters[below]


def distinct_letters(hints: Iterable[tuple[str, ...]], fixed: frozenset[str]) -> list[tuple[str, ...]]:
    """Letters like the hints, no two of them equal, none with a fixed size."""
    taken = set(fixed)
    found = []
    for own in hints:
        letters = []
        for hint in own:
            letters.append(fresh(hint, taken))
            taken.add(letters[-1])
        found.append(tuple(letters))
    return found


def closed_lines(
    program: Definitions, letters: Letters, words: Vocabulary, wanted: Sequence[Term], extra: Mapping[str, str]
) -> list[ast.Statement]:
    """Higher and directional derivatives, each as one claim in inputs and names of the program."""
    if not wanted:
        return []
    names = list(program.bodies)
    found = Graph.of(program, [*wanted, *map(Term, names)], AS_READ).nodes(list)
    nodes, values = found[: len(wanted)], found[len(wanted) :]
    called = claims.names_of_bodies(claims.Statements(program.leaves, dict(zip(names, values, strict=True))))
    letters = dict(letters)
    for name, like in extra.items():
        letters[name] = letters[like]
        words.hints[input_(name, program.leaves[like].shape)] = letters[like]
    nodes = substitute(legible(simplify(substitute(complemented(nodes, called), called))), called)
    helpers, nodes = claims.name_shared(nodes, {*program.leaves, *extra, *words.words}, claims.or_function)
    written: list[ast.Statement] = []
    heads = iter(wanted)
    for given in claims.interleave(helpers, [claims.Line("", node, "") for node in nodes]):
        line = replace(given, node=flat(given.node))
        if line.wrt is None:
            written.append(short_name(line, letters, words))
        else:
            left, free = directional(letters, next(heads), words.fixed)
            written.append(ast.Claim((left, formula(line.node, free, words))))
    return written


def complemented(nodes: Sequence[Node], called: Mapping[Node, Node]) -> list[Node]:
    """sigmoid(-x) as 1 - sigmoid(x), where that stands there too or has a name."""
    known = {n for n in (*toposort(nodes), *called) if isinstance(n, Call) and n.prim is SIGMOID}
    other = {y: SIGMOID(scale(-1, y.operands[0])) for y in known if split(y.operands[0])[0].rational < 0}
    return substitute(nodes, {y: one_minus(x) for y, x in other.items() if x in known})


def short_name(line: claims.Line, letters: dict[str, tuple[str, ...]], words: Vocabulary) -> ast.Definition:
    """`u[i] = ..`; what follows may use it."""
    own = Writer(words).distinct_hints(line.node)
    body = sized_formula(line.node, own, words)
    letters[line.name] = words.hints[name_(line.name, line.node.shape)] = own
    return ast.Definition(indexed(line.name, own), body)


def directional(own: Letters, t: Term, fixed: frozenset[str]) -> tuple[ast.Expr, tuple[str, ...]]:
    """The left side of a term's claim, and the letters of its free axes: G[I] ∂Y[I]/∂x[k], ∂Y[i]/∂x[K] V[K]."""
    moved = [name for name, _ in t.tangents]
    letters = distinct_letters((own[name] for name in (t.of, *t.wrt, *moved)), fixed)
    above, below, along = letters[0], letters[1 : 1 + len(t.wrt)], letters[1 + len(t.wrt) :]
    top = tuple(x.capitalize() for x in above) if t.cotangent else above
    wrt = [indexed(name, axes) for name, axes in zip(t.wrt, below, strict=True)]
    free = tuple(x for axes in ([] if t.cotangent else [above]) + below for x in axes)
    products: list[ast.Expr] = []
    for (name, tangent), axes in zip(t.tangents or (("", ""),), along or [()], strict=True):
        capitals = tuple(x.capitalize() for x in axes)
        slope = ast.Derivative(indexed(t.of, top), (*wrt, *([indexed(name, capitals)] if name else ())))
        factors: list[ast.Expr] = [indexed(t.cotangent, top)] if t.cotangent else []
        factors += [slope, *([indexed(tangent, capitals)] if tangent else ())]
        products.append(ast.Product(tuple(factors), (False,) * len(factors)) if len(factors) > 1 else slope)
    return (ast.Sum(tuple(products), (1,) * len(products)) if len(products) > 1 else products[0]), free


def indexed(name: str, letters: Sequence[str]) -> ast.Tensor:
    return ast.Tensor(name, tuple(map(ast.Index, letters)))
