"""program: Program and Expr, what users hold; their methods are the only ones that call the stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from . import claims
from .arrays import NOMINAL_SIZE
from .collector import paused
from .dims import Dim, Env, single_symbol
from .errors import EinstanDerivativeError, EinstanNameError
from .ir import Add, Call, Input, Name, Node, Shape, input_, name_, pattern, substitute, toposort
from .kernel import Kernel
from .lower import DerivativeLeaf, leaf, lower_definition, lower_expr
from .order import associate
from .request import Definitions, Graph, Laws, Stage, Term, Tree, packer, terms
from .rules import simplify, simplify_exactly
from .show.formula import Vocabulary, Writer, formula, fresh
from .show.text import show_module, show_statement
from .stabilise import stabilise, stabilise_exactly
from .syntax import ast
from .syntax.check import Checked, check, check_expression, size_mismatch
from .syntax.parser import parse_expression, parse_module

ALL_LAWS = Laws(stabilise, simplify)
EXACT_LAWS = Laws(stabilise_exactly, simplify_exactly)


def parse(text: str, labels: str | Iterable[str] = "", functions: Sequence[Any] = ()) -> Program:
    """Read a program in Einstan notation (text, or LaTeX forms mixed in).

    `labels` are letters that are part of names when they stand as subscripts (`"f g m"`).
    Raises an EinstanError with a caret where the text is not a program.

    >>> p = parse("Z[b,j] = X[b,K] W[K,j] + c[j]")
    >>> p.inputs
    {'X': ('b', 'k'), 'W': ('k', 'j'), 'c': ('j',)}
    """
    letters = labels.replace(",", " ").split() if isinstance(labels, str) else list(labels)
    with paused():
        return Program(check(parse_module(text, letters)))


class Program:
    """A checked set of statements: definitions, the inputs they need, and claims."""

    def __init__(self, checked: Checked) -> None:
        self.checked = checked

    # -- what there is

    @property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Names that are used and never defined, each with a lower-case letter per axis."""
        return dict(self.checked.inputs)

    @property
    def names(self) -> tuple[str, ...]:
        """Defined names in the order of the text."""
        return tuple(self.checked.definitions)

    def __getitem__(self, name: str) -> Expr:
        self.require(name, self.checked.definitions, "defines")
        return Expr(self, name)

    def expr(self, text: str) -> Expr:
        """An expression read in this program's context; its axes are in order of first appearance."""
        tree = parse_expression(text, self.checked.labels)
        _, axes = check_expression(tree, self.checked, text)
        taken = {*self.names, *self.inputs}
        name = next(x for x in ("expr", *(f"expr{n}" for n in range(1, len(taken) + 2))) if x not in taken)
        target = ast.Tensor(name, tuple(map(ast.Index, axes)))
        return Expr(self.extended([ast.Definition(target, tree)]), name)

    def extended(self, statements: Sequence[ast.Statement]) -> Program:
        module = self.checked.module
        return Program(check(ast.Module((*module.statements, *statements), module.source)))

    def __str__(self) -> str:
        return show_module(self.checked.module)

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        """The same inputs, and the same node for every name and every claim."""
        return isinstance(other, Program) and self.content == other.content

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.checked.inputs)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Programs pickle as their text."""
        return parse, (str(self),)

    @cached_property
    def content(self) -> tuple[object, ...]:
        return self.leaves, self.bodies, self.claim_nodes

    # -- nodes

    @cached_property
    def derivatives(self) -> dict[Node, DerivativeLeaf]:
        """Leaves such as ∂L/∂W that the definitions hold; filled while they are lowered."""
        return {}

    @cached_property
    def leaves(self) -> dict[str, Node]:
        return {name: leaf(self.checked, name) for name in self.checked.shapes}

    @cached_property
    def bodies(self) -> dict[str, Node]:
        """Each defined name's node, with inputs and names as leaves; definitions before their uses."""
        return self.lowered(simplify)

    def lowered(self, simplify: Stage) -> dict[str, Node]:
        return {
            name: simplify([lower_definition(self.checked, name, self.derivatives)])[0] for name in self.checked.order
        }

    @cached_property
    def claim_nodes(self) -> tuple[tuple[Node | None, ...], ...]:
        """The legal forms of every claim as nodes, axes in the order of the first; None for the others."""
        return tuple(self.forms(claim) for claim in self.checked.claims)

    def forms(self, claim: Any) -> tuple[Node | None, ...]:
        nodes: list[Node | None] = []
        first: dict[str, Dim] = {}
        shapes = {name: tuple(d.replace(claim.binding) for d in s) for name, s in self.checked.shapes.items()}
        checked = replace(self.checked, shapes=shapes) if claim.binding else self.checked
        for form, tree in zip(claim.forms, claim.claim.forms, strict=True):
            if form.scope is None:
                nodes.append(None)
                continue
            value = lower_expr(checked, form.scope, tree, self.derivatives)
            first = first or form.axes
            nodes.append(simplify([pattern(value.node, value.axes, tuple(first), first)])[0])
        return tuple(nodes)

    def definitions(self, laws: Laws = ALL_LAWS) -> Definitions:
        bodies = self.bodies if laws is ALL_LAWS else self.lowered(laws.simplify)
        found = {node: (d.numerator, d.denominators) for node, d in self.derivatives.items()}
        return Definitions(self.leaves, bodies, found)

    @cached_property
    def letters(self) -> dict[str, tuple[str, ...]]:
        """A lower-case letter for every axis of every name, distinct within one name."""
        found = dict(self.checked.inputs)
        for name, definition in self.checked.definitions.items():
            own: list[str] = []
            for index in definition.target.indices or ():
                own.append(fresh(index.name, set(own)))
            found[name] = tuple(own)
        return found

    @cached_property
    def words(self) -> frozenset[str]:
        """What no short name is called: every index that the definitions write, axis letters, functions."""
        definitions = self.checked.definitions.values()
        written = {i.name for d in definitions for e in ast.postorder(d.body) for i in ast.indices_of(e)}
        return frozenset(written.union(self.checked.functions, *self.letters.values()))

    def require(self, name: str, known: Collection[str], verb: str) -> None:
        if name not in known:
            names = list(known)
            close = get_close_matches(name, names, 3)
            hint = f"Did you mean {' or '.join(close)}?" if close else f"It {verb} {', '.join(names[:20])}."
            raise EinstanNameError(f"The program has no name {name!r} here.", hint)

    # -- derivatives

    def grad(self, of: str, wrt: str | Sequence[str]) -> Derived:
        """∂of/∂name for one name or each of a list; `of` must be a scalar.

        >>> p = parse("L = (u[I] - v[I]) (u[I] - v[I])")
        >>> print(p.grad("L", wrt="u"))
        ∂L/∂u[i] = 2 (u[i] - v[i])
        """
        self.require_scalar(of, "grad", "jacobian")
        return self.derived(of, wrt, self.branches(wrt, lambda name: Term(of, (name,))))

    def value_and_grad(self, of: str, wrt: str | Sequence[str]) -> Derived:
        """The value first, then what `grad` gives."""
        self.require_scalar(of, "value_and_grad", "jacobian")
        return self.derived(of, wrt, (Term(of), self.branches(wrt, lambda name: Term(of, (name,)))))

    def jacobian(self, of: str, wrt: str | Sequence[str]) -> Derived:
        """∂of/∂name: the axes of `of`, then those of the name."""
        return self.derived(of, wrt, self.branches(wrt, lambda name: Term(of, (name,))))

    def hessian(self, of: str, wrt: str | Sequence[str]) -> Derived:
        """∂²of/∂a∂b: the axes of `of`, of a, of b; for a list a dict of dicts."""
        tree = self.branches(wrt, lambda a: self.branches(wrt, lambda b: Term(of, (a, b))))
        return self.derived(of, wrt, tree)

    def vjp(self, of: str, wrt: str | Sequence[str], cotangent: str) -> Derived:
        """Σ cotangent · ∂of/∂name; the cotangent becomes an input with the axes of `of`."""
        extra = {cotangent: of}
        return self.derived(of, wrt, self.branches(wrt, lambda name: Term(of, (name,), cotangent)), extra)

    def jvp(self, of: str, wrt: str | Sequence[str], tangent: str | Mapping[str, str]) -> Derived:
        """Σ ∂of/∂name · tangent, summed over the names; a tangent becomes an input with the axes of its name."""
        pairs = self.tangents(wrt, tangent)
        return self.derived(of, wrt, Term(of, tangents=pairs), {v: name for name, v in pairs})

    def hvp(self, of: str, wrt: str | Sequence[str], vector: str | Mapping[str, str]) -> Derived:
        """The Hessian of a scalar times a vector, without the Hessian."""
        self.require_scalar(of, "hvp", "jvp of a jacobian")
        pairs = self.tangents(wrt, vector)
        tree = self.branches(wrt, lambda name: Term(of, (name,), tangents=pairs))
        return self.derived(of, wrt, tree, {v: name for name, v in pairs})

    def tangents(self, wrt: str | Sequence[str], given: str | Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """(name, tangent input) for every name of wrt."""
        names = [wrt] if isinstance(wrt, str) else list(wrt)
        table = {names[0]: given} if isinstance(given, str) and len(names) == 1 else given
        if isinstance(table, str) or set(table) != set(names):
            raise EinstanNameError("Every name of wrt needs a tangent.", 'Write tangent={"W": "V", "c": "d"}.')
        return tuple((name, table[name]) for name in names)

    def branches(self, wrt: str | Sequence[str], term: Any) -> Tree:
        return term(wrt) if isinstance(wrt, str) else {name: term(name) for name in wrt}

    def derived(self, of: str, wrt: str | Sequence[str], tree: Tree, extra: Mapping[str, str] | None = None) -> Derived:
        """A derivative program, once all names are known to be names of the program."""
        self.require(of, self.checked.definitions, "defines")
        for name in [wrt] if isinstance(wrt, str) else wrt:
            self.require(name, self.letters, "has")
        for name in extra or ():
            if name in self.letters:
                raise EinstanNameError(f"{name} is a name of the program already.", "Choose a name that is free.")
        return Derived(self, tree, dict(extra or {}))

    def require_scalar(self, of: str, verb: str, instead: str) -> None:
        self.require(of, self.checked.definitions, "defines")
        if axes := self.letters[of]:
            raise EinstanDerivativeError(
                f"{of} has axes {', '.join(axes)}; {verb} is of a scalar.", f"Sum it to a scalar, or use {instead}."
            )

    # -- running

    def compile(self, of: str | Sequence[str], **options: Any) -> Kernel:
        """A kernel for one name (gives an array) or for a list of names (gives a dict)."""
        for name in [of] if isinstance(of, str) else of:
            self.require(name, self.checked.definitions, "defines")
        return self.kernel(self.branches(of, Term), {}, **options)

    def run(self, of: str | Sequence[str], /, **arrays: Any) -> Any:
        """Compile and call once."""
        return self.compile(of)(**arrays)

    def kernel(self, tree: Tree, extra: Mapping[str, str], **options: Any) -> Kernel:
        return make_kernel(self, tree, extra, **options)

    # -- formulas

    @property
    def vocabulary(self) -> Vocabulary:
        """What leaves are called when nodes are written as formulas."""
        sizes: dict[Dim, tuple[str, int]] = {}
        for name in self.checked.inputs:
            for axis, d in enumerate(self.checked.shapes[name]):
                sizes.setdefault(d, (name, axis))
        hints = {self.leaves[name]: letters for name, letters in self.letters.items()}
        derivatives = {}
        for node, derivative in self.derivatives.items():
            top = derivative.numerator
            if isinstance(top, Input | Name):
                below = tuple((name, len(self.letters[name])) for name in derivative.denominators)
                derivatives[node] = (top.name, top.rank, below)
        return Vocabulary(hints, derivatives, sizes)


class Derived(Program):
    """A program with derivatives of it: prints as claims, compiles to them."""

    def __init__(self, base: Program, tree: Tree, extra: dict[str, str]) -> None:
        self.base, self.tree, self.extra = base, tree, extra

    @cached_property
    def checked(self) -> Checked:  # type: ignore[override]
        return self.base.extended(self.lines).checked

    @cached_property
    def lines(self) -> tuple[ast.Statement, ...]:
        """Short names and claims, each short name before its first use."""
        chains: dict[str, list[str]] = {}
        closed: list[Term] = []
        for t in terms(self.tree):
            if len(t.wrt) == 1 and t.cotangent is None and not t.tangents:
                chains.setdefault(t.of, []).append(t.wrt[0])
            elif t.wrt or t.tangents:
                closed.append(t)
        swept = (line for of, wrt in chains.items() for line in claim_lines(self.base, of, list(dict.fromkeys(wrt))))
        return (*swept, *closed_lines(self.base, closed, self.extra))

    def __str__(self) -> str:
        return "\n".join(show_statement(line) for line in self.lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return Derived, (self.base, self.tree, self.extra)

    def compile(self, **options: Any) -> Kernel:  # type: ignore[override]
        """A kernel that gives the derivatives: an array, a dict for a list, (value, that) for value_and_grad."""
        return make_kernel(self.base, self.tree, self.extra, **options)

    def run(self, /, **arrays: Any) -> Any:  # type: ignore[override]
        return self.compile()(**arrays)


def claim_lines(program: Program, of: str, wrt: Sequence[str]) -> list[ast.Statement]:
    """The sweep's lines as statements."""
    found = claims.sweep(claims.Statements(program.leaves, program.bodies, program.words), of, wrt)
    letters = dict(program.letters)
    words = program.vocabulary
    written: list[ast.Statement] = []
    for line in found.lines:
        if line.wrt is None:
            letters[line.name] = Writer(words).distinct_hints(line.node)
            words.hints[name_(line.name, line.node.shape)] = letters[line.name]
        learn_derivatives(words, line.node, found.derivatives, letters)
        if line.wrt is None:
            body = formula(line.node, letters[line.name], words)
            written.append(ast.Definition(indexed(line.name, letters[line.name]), body))
        else:
            above, below = distinct_letters(letters[name] for name in (of, line.wrt))
            left = ast.Derivative(indexed(of, above), (indexed(line.wrt, below),))
            written.append(ast.Claim((left, formula(line.node, above + below, words))))
    return written


def learn_derivatives(
    words: Vocabulary, root: Node, pairs: Mapping[Node, tuple[str, str]], letters: Mapping[str, tuple[str, ...]]
) -> None:
    """How the derivative leaves below a line are spelled."""
    for node in toposort([root]):
        if node in pairs:
            top, below = pairs[node]
            words.derivatives[node] = (top, len(letters[top]), ((below, len(letters[below])),))
            words.hints[node] = letters[top] + letters[below]


def distinct_letters(hints: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Letters like the hints, no two of them equal."""
    taken: set[str] = set()
    found = []
    for own in hints:
        letters = []
        for hint in own:
            letters.append(fresh(hint, taken))
            taken.add(letters[-1])
        found.append(tuple(letters))
    return found


def closed_lines(program: Program, wanted: Sequence[Term], extra: Mapping[str, str]) -> list[ast.Statement]:
    """Higher and directional derivatives, each as one claim in inputs and names of the program."""
    if not wanted:
        return []
    definitions = program.definitions()
    names = list(program.bodies)
    graph = Graph.of(definitions, [*wanted, *map(Term, names)], ALL_LAWS)
    found = graph.nodes(list)
    nodes, values = found[: len(wanted)], found[len(wanted) :]
    called = claims.names_of_bodies(claims.Statements(program.leaves, dict(zip(names, values, strict=True))))
    words = program.vocabulary
    for name, like in extra.items():
        words.hints[input_(name, program.checked.shapes[like])] = program.letters[like]
    written: list[ast.Statement] = []
    for t, node in zip(wanted, substitute(nodes, called), strict=True):
        left, letters = directional(program, t)
        written.append(ast.Claim((left, formula(node, letters, words))))
    return written


def directional(program: Program, t: Term) -> tuple[ast.Expr, tuple[str, ...]]:
    """The left side of a term's claim, and the letters of its free axes: G[I] ∂Y[I]/∂x[k], ∂Y[i]/∂x[K] V[K]."""
    moved = [name for name, _ in t.tangents]
    letters = distinct_letters(program.letters[name] for name in (t.of, *t.wrt, *moved))
    above, below, along = letters[0], letters[1 : 1 + len(t.wrt)], letters[1 + len(t.wrt) :]
    top = tuple(x.capitalize() for x in above) if t.cotangent else above
    wrt = [indexed(name, own) for name, own in zip(t.wrt, below, strict=True)]
    free = tuple(x for own in ([] if t.cotangent else [above]) + below for x in own)
    products: list[ast.Expr] = []
    for (name, tangent), own in zip(t.tangents or (("", ""),), along or [()], strict=True):
        capitals = tuple(x.capitalize() for x in own)
        slope = ast.Derivative(indexed(t.of, top), (*wrt, *([indexed(name, capitals)] if name else ())))
        factors: list[ast.Expr] = [indexed(t.cotangent, top)] if t.cotangent else []
        factors += [slope, *([indexed(tangent, capitals)] if tangent else ())]
        products.append(ast.Product(tuple(factors), (False,) * len(factors)) if len(factors) > 1 else slope)
    return (ast.Sum(tuple(products), (1,) * len(products)) if len(products) > 1 else products[0]), free


def indexed(name: str, letters: Sequence[str]) -> ast.Tensor:
    return ast.Tensor(name, tuple(map(ast.Index, letters)))


def make_kernel(
    program: Program,
    tree: Tree,
    extra: Mapping[str, str],
    *,
    backend: str = "numpy",
    optimize: str = "auto",
    memory_limit: int | None = None,
    sizes: Mapping[str, Any] | None = None,
    functions: Mapping[str, Any] | None = None,
    strict: bool = False,
    check_finite: bool = False,
) -> Kernel:
    """A kernel for a tree of terms; `extra` are inputs that the terms add, each shaped like a name.

    `functions` binds opaque functions to functions of the language; `strict` leaves out laws that hold for finite
    values only.
    """
    options = {
        "backend": backend,
        "optimize": optimize,
        "memory_limit": memory_limit,
        "sizes": sizes,
        "functions": functions,
        "strict": strict,
        "check_finite": check_finite,
    }
    with paused():
        laws = EXACT_LAWS if strict else ALL_LAWS
        definitions = program.definitions(laws).bound(functions or {})
        graph = Graph.of(definitions, list(terms(tree)), laws)
        plain = graph.nodes(list)
    several = graph.has_products()

    def build(env: Env) -> list[Node]:
        return graph.nodes(lambda roots: associate(roots, Guessed(env), optimize)) if several else plain

    shapes: dict[str, Shape] = {name: program.checked.shapes[name] for name in program.inputs}
    shapes |= {name: program.checked.shapes[like] for name, like in extra.items()}
    hints = {**program.letters, **{name: program.letters[like] for name, like in extra.items()}}
    read = read_inputs(plain, shapes)
    return Kernel(
        inputs={name: hints[name] for name in read},
        shapes={name: shapes[name] for name in read},
        build=build,
        pack=packer(tree),
        known=frozenset(shapes) - set(read),
        explain_mismatch=lambda actual: size_mismatch(program.checked, actual),
        backend=backend,
        optimize=optimize,
        memory_limit=memory_limit,
        sizes=sizes,
        check_finite=check_finite,
        wrt=frozenset(x for t in terms(tree) for x in (*t.wrt, *(name for name, _ in t.tangents))),
        recipe=(made_again, (program, tree, dict(extra), options)),
    )


def made_again(program: Program, tree: Tree, extra: Mapping[str, str], options: Mapping[str, Any]) -> Kernel:
    """The kernel of a pickle: planned and compiled anew, never loaded."""
    return make_kernel(program, tree, extra, **options)


def read_inputs(outputs: Sequence[Node], shapes: Mapping[str, Shape]) -> list[str]:
    """The inputs whose entries, or whose sizes alone, the outputs need, in the program's order."""
    below = toposort(outputs)
    named = {node.name for node in below if isinstance(node, Input)}
    symbols = {s for node in below for d in sizes_of(node) for s in d.symbols}
    known = {s for name in named for s in decided(shapes[name])}
    read = []
    for name, shape in shapes.items():
        own = decided(shape)
        if name in named or own & (symbols - known):
            read.append(name)
            known |= own
    return read


def decided(shape: Shape) -> set[str]:
    """The size symbols that an array of this shape decides by itself."""
    return {s for d in shape if (s := single_symbol(d)) is not None}


def sizes_of(node: Node) -> Iterable[Dim]:
    """Sizes that a node needs to know beside those of its operands."""
    yield from node.shape
    if isinstance(node, Add):
        yield from (d for coef in node.coefs for d, _ in coef.sizes)
    if isinstance(node, Call):
        yield from (p for p in node.params if isinstance(p, Dim))


class Guessed(dict[str, int]):
    """Sizes where those that the results do not depend on are guessed: they only rank orders of products."""

    def __missing__(self, symbol: str) -> int:
        return NOMINAL_SIZE


class Expr:
    """A name of a program with all its verbs: `p["Y"].grad(wrt="W")`."""

    def __init__(self, program: Program, name: str) -> None:
        self.program, self.name = program, name

    @property
    def node(self) -> Node:
        """What it stands for, with inputs and names as leaves; equal expressions are one object."""
        return self.program.bodies[self.name]

    @property
    def axes(self) -> tuple[str, ...]:
        return self.program.letters[self.name]

    def __str__(self) -> str:
        return show_statement(self.program.checked.definitions[self.name])

    def __repr__(self) -> str:
        return str(self)

    def grad(self, wrt: str | Sequence[str]) -> Derived:
        return self.program.grad(self.name, wrt)

    def value_and_grad(self, wrt: str | Sequence[str]) -> Derived:
        return self.program.value_and_grad(self.name, wrt)

    def jacobian(self, wrt: str | Sequence[str]) -> Derived:
        return self.program.jacobian(self.name, wrt)

    def hessian(self, wrt: str | Sequence[str]) -> Derived:
        return self.program.hessian(self.name, wrt)

    def vjp(self, wrt: str | Sequence[str], cotangent: str) -> Derived:
        return self.program.vjp(self.name, wrt, cotangent)

    def jvp(self, wrt: str | Sequence[str], tangent: str | Mapping[str, str]) -> Derived:
        return self.program.jvp(self.name, wrt, tangent)

    def hvp(self, wrt: str | Sequence[str], vector: str | Mapping[str, str]) -> Derived:
        return self.program.hvp(self.name, wrt, vector)

    def compile(self, **options: Any) -> Kernel:
        return self.program.compile(self.name, **options)

    def run(self, /, **arrays: Any) -> Any:
        return self.program.run(self.name, **arrays)
