"""programs: Program, what users hold; its methods are the only ones that call the stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .certificates import Certificate, certified
from .claims import Statements
from .collector import paused
from .compiling import Options, Signature, kernel_of
from .dims import Dim
from .errors import EinstanDerivativeError, EinstanError, EinstanNameError
from .expr import Expr
from .functions import functions_of
from .ir import Input, Name, Node, pattern
from .kernel import Kernel
from .lines import claim_lines, closed_lines, distinct_letters
from .lower import DerivativeLeaf, leaf, lower_definition, lower_expr, lower_facts
from .request import ALL_LAWS, Definitions, Laws, Stage, Term, Tree, derivative_leaves, terms
from .rules import simplify
from .show.formula import Vocabulary, fresh
from .show.latex import latex_module
from .show.spelling import with_axes
from .show.text import show_module, show_statement
from .syntax import ast
from .syntax.check import Checked, check, check_expression, size_mismatch
from .syntax.lexer import LIMITS, NO_LIMITS, Limits
from .syntax.parser import parse_expression, parse_module
from .syntax.roster import names_in

if TYPE_CHECKING:
    from .grad_checks import GradChecks
    from .show.svg import Picture
    from .solvers.minimise import Arguments
    from .transcripts import Transcript


def parse(
    text: str, labels: str | Iterable[str] = "", functions: Sequence[Any] = (), limits: Limits = LIMITS
) -> Program:
    """Read a program in Einstan notation (text, or LaTeX forms mixed in).

    `labels` are letters that are part of names when they stand as subscripts (`"f g m"`); `limits` say how much is
    read (`Limits(text=10**8)`); `functions` are those of `es.function` that the text calls.
    Raises an EinstanError with a caret where the text is not a program.

    >>> p = parse("Z[b,j] = X[b,K] W[K,j] + c[j]")
    >>> p.inputs
    {'X': ('b', 'k'), 'W': ('k', 'j'), 'c': ('j',)}
    """
    letters = labels.replace(",", " ").split() if isinstance(labels, str) else list(labels)
    with paused():
        return Program(check(parse_module(text, letters, limits), formulas=functions_of(functions)))


def is_input(name: str, axes: Sequence[str], labels: Iterable[str]) -> bool:
    """Whether the name with these axes reads as a tensor that a formula is given."""
    tensor = with_axes(name, axes)
    try:
        return list(parse(f"fact 0 {tensor} = 0 {tensor}", labels).inputs) == [name]
    except EinstanError:
        return False


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
        indices = self.checked.definitions[name].target.indices
        return Expr(self, ast.Tensor(name, indices))

    def expr(self, text: str) -> Expr:
        """An expression read in this program's context; its axes are in order of first appearance."""
        tree = parse_expression(text, self.checked.labels)
        check_expression(tree, self.checked, text)
        return Expr(self, tree)

    def reading(self, text: str, functions: Sequence[Any] = ()) -> Program:
        """This program and the statements of `text`, which may use its names and labels."""
        module = parse_module(text, self.checked.labels, NO_LIMITS)
        own = tuple(s for s in module.statements if not isinstance(s, ast.Label))
        return Program(check(ast.Module(own, text), self.checked, functions_of(functions)))

    def below(self, name: str) -> Program:
        """The program of this name alone: its definition, and those that it needs."""
        needed = {name}
        for other in reversed(self.checked.order):
            if other in needed:
                needed.update(names_in(self.checked.definitions[other].body))
        module = self.checked.module
        kept = (s for s in module.statements if isinstance(s, ast.Label | ast.SizeIs))
        definitions = (self.checked.definitions[other] for other in self.checked.order if other in needed)
        return Program(check(ast.Module((*kept, *definitions), module.source), formulas=self.formulas))

    def extended(self, statements: Sequence[ast.Statement]) -> Program:
        module = self.checked.module
        return Program(check(ast.Module((*module.statements, *statements), module.source), formulas=self.formulas))

    @property
    def formulas(self) -> tuple[Any, ...]:
        """The functions whose formula is known, as they were given to `parse`."""
        return tuple(self.checked.formulas.values())

    def __str__(self) -> str:
        return show_module(self.checked.module)

    def latex(self) -> str:
        """The program as a LaTeX `align` environment, which parses back to an equal program."""
        return latex_module(ast.Module(tuple(self.shown)), self.beside)

    def svg(self) -> Picture:
        """The statements as a picture: inputs, operations, names, the indices of every operand on its wire.

        A text that notebooks show as a picture; `p.svg().save("p.svg")` writes it into a file.

        >>> p = parse("y[i] = A[i,K] x[K]")
        >>> p.svg()[:4], "A[i,k]" in p.svg()
        ('<svg', True)
        """
        from .show.program_graph import picture

        return picture(self.checked, self.shown)

    @property
    def shown(self) -> Sequence[ast.Statement]:
        """What is printed and drawn."""
        return self.checked.module.statements

    @property
    def beside(self) -> Sequence[ast.Statement]:
        """What is read with it and not printed."""
        return ()

    def _repr_svg_(self) -> str:
        return str(self.svg())

    def _repr_latex_(self) -> str:
        return f"$${latex_module(ast.Module(tuple(self.shown)), self.beside, 'aligned')}$$"

    def _repr_html_(self) -> str:
        from .show.html import statements

        return statements(self.shown)

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        """The same inputs, and the same node for every name and every claim."""
        return isinstance(other, Program) and self.content == other.content

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.checked.inputs)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Programs pickle as their text."""
        return parse, (str(self), "", self.formulas, NO_LIMITS)

    @cached_property
    def content(self) -> tuple[object, ...]:
        return self.leaves, self.bodies, self.claim_nodes, frozenset(self.facts)

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
    def facts(self) -> tuple[tuple[Node, Node], ...]:
        """Both sides of the facts that the text declares, as nodes."""
        return lower_facts(self.checked)

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
            first = first or form.axes
            value = lower_expr(checked, form.scope, tree, self.derivatives, tuple(first))
            nodes.append(simplify([pattern(value.node, value.axes, tuple(first), first)])[0])
        return tuple(nodes)

    def definitions(self, laws: Laws = ALL_LAWS) -> Definitions:
        bodies = self.bodies if laws is ALL_LAWS else self.lowered(laws.simplify)
        found = {node: (d.numerator, d.denominators) for node, d in self.derivatives.items()}
        return Definitions(self.leaves, bodies, found, self.facts)

    def holds_derivatives(self, name: str) -> bool:
        """Whether a formula below the name holds a derivative, which depends on more than the formulas show."""
        definitions = self.definitions()
        return bool(definitions.derivatives) and bool(derivative_leaves(definitions, [self.leaves[name]]))

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
        if not isinstance(name, str):
            raise EinstanNameError(f"{type(name).__name__} is no name.", 'Write the name as a text: "W".')
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

    def explain(self, of: str, wrt: str | Sequence[str], depth: int | None = None) -> Transcript:
        """How ∂of/∂name is derived, step by step: chains of lines, each equal to the one before by the rule beside it.

        The chains go from `of` back to the names of `wrt`; the last line of each is the formula that `grad` (of a
        tensor, `jacobian`) prints. With `depth` the chains are shown that are at most so many chains away from those
        of `wrt`; what all of them share, further up, is folded to one line each. The text is read after the program's
        own text, as claims; `latex()` is an `align` environment, `steps` are the lines with their rules.

        >>> p = parse("z[i] = A[i,K] x[K]; L = z[I] g[I]")
        >>> print(p.explain("L", wrt="x", depth=0))
        ∂L/∂z[i]
          = g[i]  # folded
        <BLANKLINE>
        ∂L/∂x[k]
          = ∂L/∂z[I] ∂z[I]/∂x[k]         # chain rule through z
          = ∂L/∂z[I] A[I,B] ∂x[B]/∂x[k]  # z is linear in x
          = ∂L/∂z[I] A[I,B] delta[B,k]   # a derivative of x by itself
          = ∂L/∂z[I] A[I,k]              # delta removes B
          = A[I,k] ∂L/∂z[I]              # normal form
        """
        from .transcripts import explained

        return explained(self, self.jacobian(of, wrt), of, depth)

    def convexity(self, of: str, wrt: str, most: int | None = None) -> Certificate | None:
        """The certificate that a scalar is convex, concave, or affine in a name, whatever the data, unless an axis is
        empty; None where its Hessian's formula does not show it, which says nothing: kinks (relu, abs, max) are never
        certified.

        `most` bounds the work: a gradient of more nodes is not differentiated again. `convex` and `concave` of the
        certificate are booleans, its text gives the reason.

        >>> p = parse("e[a] = X[a,I] w[I] - y[a]; L = e[A] e[A]")
        >>> print(p.convexity("L", wrt="w"))
        L is convex in w: its Hessian is BᵀB with B[a,i] = sqrt(2) X[a,i]
        """
        self.require_scalar(of, "convexity", "the sum of its entries")
        self.require(wrt, self.letters, "has")
        return certified(self.definitions(), self.vocabulary, of, wrt, most)

    def tangents(self, wrt: str | Sequence[str], given: str | Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """(name, tangent input) for every name of wrt."""
        wrt = called(wrt)
        names = [wrt] if isinstance(wrt, str) else wrt
        table = {names[0]: given} if isinstance(given, str) and len(names) == 1 else given
        if isinstance(table, str) or set(table) != set(names):
            raise EinstanNameError("Every name of wrt needs a tangent.", 'Write tangent={"W": "V", "c": "d"}.')
        if len(set(table.values())) < len(table):
            raise EinstanNameError("Two names have one tangent.", 'Write tangent={"W": "V", "c": "d"}.')
        return tuple((name, table[name]) for name in names)

    def branches(self, wrt: str | Sequence[str], term: Any) -> Tree:
        names = called(wrt)
        return term(names) if isinstance(names, str) else {name: term(name) for name in names}

    def derived(self, of: str, wrt: str | Sequence[str], tree: Tree, extra: Mapping[str, str] | None = None) -> Derived:
        """A derivative program, once all names are known to be names of the program."""
        self.require(of, self.checked.definitions, "defines")
        names = called(wrt)
        for name in [names] if isinstance(names, str) else names:
            self.require(name, self.letters, "has")
        for name, like in (extra or {}).items():
            self.require_new(name, self.letters[like])
        return Derived(self, tree, dict(extra or {}))

    def require_new(self, name: str, axes: Sequence[str]) -> None:
        """A name for an input with these axes, which the program does not use yet."""
        if name in self.letters or name in self.checked.functions:
            raise EinstanNameError(f"{name} is a name of the program already.", "Choose a name that is free.")
        if not is_input(name, axes, self.checked.labels):
            raise EinstanNameError(
                f"{name[:40]!r} is no name of the language, or has its meaning there.",
                "Take a letter, then letters, digits and primes.",
            )

    def require_scalar(self, of: str, verb: str, instead: str) -> None:
        self.require(of, self.checked.definitions, "defines")
        if axes := self.letters[of]:
            raise EinstanDerivativeError(
                f"{of} has axes {', '.join(axes)}; {verb} is of a scalar.", f"Sum it to a scalar, or use {instead}."
            )

    # -- running

    def compile(self, of: str | Sequence[str], **options: Any) -> Kernel:
        """A kernel for one name (gives an array) or for a list of names (gives a dict).

        Options: `functions` says what opaque functions are (words of the language, formulas of `es.function`, Python
        callables), `strict` leaves out laws that hold for finite values only, `check_finite` reports nan and inf,
        `optimize` orders contractions (a name such as "dp", a path, a function; see `es.contract_path`),
        `memory_limit` (bytes, or a text such as "1GB") is for what a call takes beside its inputs: over it, what lies
        along an axis is computed in stretches, and what no stretches bring below it is refused; `sizes` are those that
        `source` and `cost` show.

        >>> k = parse("y[i] = f(x[i])").compile("y", functions={"f": "tanh"})
        >>> k(x=[0.0, 100.0])
        array([0., 1.])
        """
        for name in [of] if isinstance(of, str) else of:
            self.require(name, self.checked.definitions, "defines")
        return self.kernel(self.branches(of, Term), {}, Options(**options))

    def run(self, of: str | Sequence[str], /, **arrays: Any) -> Any:
        """Compile and call once."""
        return self.compile(of)(**arrays)

    def scipy(
        self, of: str, /, wrt: str | Sequence[str], functions: Mapping[str, Any] | None = None, **data: Any
    ) -> Arguments:
        """What `scipy.optimize.minimize` takes by name to minimise a scalar: `fun`, `jac`, `hess`, `hessp`.

        They are functions of one float64 vector, the entries of the names of `wrt` one name after the other; value and
        gradient come from one call of a kernel. `data` are the other inputs. Arrays for the names of `wrt` may be among
        them: they are the start `x0`. The result's `arrays(x)` takes a vector apart, `vector(arrays)` makes one.
        Methods that have no use for a Hessian say so in a warning. Raises EinstanErrors for names, shapes and dtypes,
        as kernels do, and where neither data nor a start say the sizes of what varies.

        >>> s = parse("L = (w[I] - a[I]) (w[I] - a[I])").scipy("L", wrt="w", a=[1.0, 2.0], w=[0.0, 0.0])
        >>> s["fun"](s["x0"]), s["jac"](s["x0"]), s["hessp"](s["x0"], s["x0"] + 1)
        (5.0, array([-2., -4.]), array([2., 2.]))
        """
        from .solvers.minimise import arguments

        self.require_scalar(of, "scipy", "es.root")
        return arguments(self, of, wrt, data, functions)

    def check_grads(
        self,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        of: str | Sequence[str] | None = None,
        wrt: str | Sequence[str] | None = None,
        functions: Mapping[str, Any] | None = None,
        order: int = 2,
        **arrays: Any,
    ) -> GradChecks:
        """The derivatives that kernels compute against numbers, for these arrays: a table of the worst entries.

        `of` are the names to differentiate (those that no other one needs), `wrt` the inputs to differentiate each of
        them by, if it depends on them (all that are not booleans), `functions` what opaque functions are, as in
        `compile`: derivatives of Python's that are given are checked with the rest. Reverse and forward, of first order
        and up to `order`; in float64. The numbers are complex steps where all functions have them, which take the
        slopes of kinks as the notation does, else central differences; entries at a kink of those are left out. `holds`
        of the result is False where a derivative differs; its rows have `error`, `entry` and more. Raises EinstanErrors
        for names, shapes and dtypes, as kernels do, and where a value is not finite.

        >>> p = parse("L = tanh(X[B,K] w[K]) y[B]")
        >>> found = p.check_grads(X=[[1.0, 2.0], [0.5, -1.0]], w=[0.1, 0.2], y=[1.0, 2.0], wrt="w")
        >>> found.holds, max(row.error for row in found) < 1e-14
        (True, True)
        """
        from .grad_checks import check_grads

        return check_grads(self, {**(data or {}), **arrays}, of, wrt, functions, order)

    def kernel(self, tree: Tree, extra: Mapping[str, str], options: Options) -> Kernel:
        """A kernel for a tree of terms; `extra` are inputs that the terms add, each shaped like a name."""
        shaped = {name: name for name in self.inputs} | dict(extra)
        signature = Signature(
            shapes={name: self.checked.shapes[like] for name, like in shaped.items()},
            hints={name: self.letters[like] for name, like in shaped.items()},
            explain=lambda actual: size_mismatch(self.checked, actual),
            functions=self.checked.functions,
            matrices=[self.matrix_letters(t) for t in terms(tree)] if options.structured else (),
        )
        recipe = (Program.kernel, (self, tree, dict(extra), options))
        return kernel_of(self.definitions(options.laws), tree, signature, options, recipe)

    def matrix_letters(self, t: Term) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Letters for the axes of a derivative: those of its rows, and those of its columns, which are the axes of the
        last name that it is by. Raises EinstanDerivativeError for what is no matrix."""
        scalar = not self.letters[t.of] or t.cotangent is not None
        if t.tangents or len(t.wrt) < 1 + scalar:
            raise EinstanDerivativeError(
                f"{'A directional derivative' if t.tangents else 'A gradient' if t.wrt else 'A value'} is no matrix.",
                'Write hessian("L", wrt="w"), or jacobian("Y", wrt="w") of a Y that has axes.',
            )
        names = t.wrt if t.cotangent is not None else (t.of, *t.wrt)
        *rows, columns = distinct_letters([self.letters[name] for name in names], self.vocabulary.fixed)
        return tuple([letter for own in rows for letter in own]), columns

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
        return Vocabulary(hints, derivatives, sizes, self.words, frozenset({*self.checked.fixed, *self.checked.labels}))


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
            if len(t.wrt) == 1 and t.cotangent is None and not t.tangents and not self.base.holds_derivatives(t.of):
                chains.setdefault(t.of, []).append(t.wrt[0])
            elif t.wrt or t.tangents:
                closed.append(t)
        base = self.base
        statements = Statements(base.leaves, base.bodies, base.words, base.facts)
        lines: list[ast.Statement] = []
        for of, wrt in chains.items():
            lines += claim_lines(statements, base.letters, base.vocabulary, of, list(dict.fromkeys(wrt)))
        return (*lines, *closed_lines(base.definitions(), base.letters, base.vocabulary, closed, self.extra))

    def __str__(self) -> str:
        return "\n".join(show_statement(line) for line in self.lines)

    @property
    def shown(self) -> Sequence[ast.Statement]:
        """Only the derived lines; they are read after the program that they are of."""
        return self.lines

    @property
    def beside(self) -> Sequence[ast.Statement]:
        return self.base.checked.module.statements

    def __reduce__(self) -> tuple[Any, ...]:
        return Derived, (self.base, self.tree, self.extra)

    # -- derivatives of derivatives: without `of`, of everything that this one holds

    def grad(self, of: str | None = None, wrt: str | Sequence[str] = ()) -> Derived:
        """∂/∂name of what this derivative holds: `p.grad("L", wrt="x").grad(wrt="x")`."""
        return self.jacobian(wrt=wrt) if of is None else super().grad(of, wrt)

    def jacobian(self, of: str | None = None, wrt: str | Sequence[str] = ()) -> Derived:
        """The axes of the derivative, then those of the name; any order by repetition."""
        if of is not None:
            return super().jacobian(of, wrt)
        return self.grown(wrt, lambda t: self.branches(wrt, lambda name: replace(t, wrt=(*t.wrt, name))))

    def hessian(self, of: str | None = None, wrt: str | Sequence[str] = ()) -> Derived:
        """The axes of the derivative, then those of the two names."""
        return self.jacobian(wrt=wrt).jacobian(wrt=wrt) if of is None else super().hessian(of, wrt)

    def jvp(
        self, of: str | None = None, wrt: str | Sequence[str] = (), tangent: str | Mapping[str, str] = ""
    ) -> Derived:
        """The directional derivative of what this derivative holds."""
        if of is not None:
            return super().jvp(of, wrt, tangent)
        if any(t.tangents for t in terms(self.tree)):
            return self.alone.jvp(wrt, tangent)
        pairs = self.tangents(wrt, tangent)
        return self.grown(wrt, lambda t: replace(t, tangents=pairs), {v: name for name, v in pairs})

    def vjp(self, of: str | None = None, wrt: str | Sequence[str] = (), cotangent: str = "") -> Derived:
        """Σ cotangent · ∂/∂name of the one derivative held; the cotangent has its axes."""
        return self.alone.vjp(wrt, cotangent) if of is None else super().vjp(of, wrt, cotangent)

    @property
    def alone(self) -> Expr:
        """The one derivative that this holds, as an expression."""
        line = self.lines[-1]
        if not isinstance(self.tree, Term) or not isinstance(line, ast.Claim):
            raise EinstanDerivativeError("This holds several derivatives.", "Take one of them by one name.")
        return Expr(self.base, line.forms[0])

    def grown(self, wrt: str | Sequence[str], more: Any, extra: Mapping[str, str] | None = None) -> Derived:
        """The derivatives with every term replaced by what `more` makes of it."""
        names = [wrt] if isinstance(wrt, str) else list(wrt)
        if not names:
            raise EinstanNameError("A derivative is by names.", 'Write wrt="W" or wrt=["W", "c"].')
        of = next(terms(self.tree)).of
        for name in self.extra.keys() & set(names):
            raise EinstanNameError(f"The derivative is linear in {name}.", f"By {name} it is what jacobian gives.")
        for name in self.extra.keys() & (extra or {}).keys():
            raise EinstanNameError(f"{name} is a name of this derivative already.", "Choose a name that is free.")
        return self.base.derived(of, names, mapped(self.tree, more), {**self.extra, **(extra or {})})

    # -- running

    def compile(self, **options: Any) -> Kernel:  # type: ignore[override]
        """A kernel that gives the derivatives: an array, a dict for a list, (value, that) for value_and_grad.

        The options are those of `Program.compile`. With `structured=True` a Hessian or a Jacobian is no array but an
        `es.Structured`: the blocks that it is made of, and how, found from the formula and the sizes.

        >>> h = parse("L = exp(x[I] x[I])").hessian("L", wrt="x")
        >>> h.compile(structured=True)(x=[0.0, 0.0, 0.0, 0.0, 0.0])
        Structured H0 delta[i,j] + H1[i] H2 H1[j], (5, 5): a multiple of the identity plus low rank, 56 B
        """
        return self.base.kernel(self.tree, self.extra, Options(**options))

    def run(self, /, **arrays: Any) -> Any:  # type: ignore[override]
        return self.compile()(**arrays)


def called(wrt: Any) -> str | list[str]:
    """The name or names to differentiate by; a tensor or a name's expression says its own."""
    if isinstance(wrt, str):
        return wrt
    if isinstance(wrt, Expr) or not isinstance(wrt, Iterable):
        return name_of(wrt)
    return [x if isinstance(x, str) else name_of(x) for x in wrt]


def name_of(x: Any) -> str:
    if not isinstance(x, Expr) or not isinstance(x.tree, ast.Tensor) or x.parts:
        raise EinstanNameError("A derivative is by names.", 'Write wrt="W" or wrt=["W", "c"].')
    return x.tree.name


def mapped(tree: Tree, more: Any) -> Tree:
    """A tree with every term replaced."""
    if isinstance(tree, Term):
        return more(tree)
    if isinstance(tree, dict):
        return {name: mapped(branch, more) for name, branch in tree.items()}
    return tuple(mapped(branch, more) for branch in tree)
