"""expr: an expression in a program's context, with Python's operators and all verbs of a program.

It is a tree and what its names mean. A verb writes the tree down as a definition of its program's text and asks
the program: there is one reader of formulas, and what Python builds is what the same text would be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .errors import EinstanIndexError, EinstanShapeError, EinstanSyntaxError
from .ir import Node, inline
from .show.latex import latex_expr
from .show.spelling import shown_below
from .show.text import show_expr, show_statement
from .syntax import ast, python
from .written import fresh_names, mark_of, marks, names_of, one_context, reached, written

if TYPE_CHECKING:  # an expression is given its program, and asks it
    from .kernel import Kernel
    from .programs import Derived, Program
    from .show.svg import Picture
    from .transcripts import Transcript


class Letter:
    """An index; `k[0:2]` is the part of its axis from 0 up to 2."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getitem__(self, part: slice) -> ast.Index:
        if not isinstance(part, slice) or part.start is None or part.stop is None or part.step is not None:
            raise EinstanIndexError("A part of an axis has two bounds.", "Write k[0:2].")
        low, high = tree_of(part.start), tree_of(part.stop)
        return ast.Index(self.name, ast.NOWHERE, low, high)

    __iter__ = None

    def __repr__(self) -> str:
        return self.name


LetterLike = Letter | ast.Index | str


def indices_of(letters: LetterLike | tuple[LetterLike, ...]) -> tuple[ast.Index, ...]:
    """What stands in X[...] as indices of the language."""
    return tuple(index_of(letter) for letter in (letters if isinstance(letters, tuple) else (letters,)))


def index_of(letter: LetterLike) -> ast.Index:
    if isinstance(letter, ast.Index):
        return letter
    if isinstance(letter, Letter):
        return ast.Index(letter.name)
    if isinstance(letter, str) and python.is_index(letter):
        return ast.Index(letter)
    raise EinstanIndexError(
        f"{repr(letter)[:80]} is no index.", 'Make indices with b, K = es.indices("b K"), and write X[b, K].'
    )


class Expr:
    """A formula: operators make larger ones, verbs derive and run it.

    `p["Y"]` is a name of a program, `p.expr("Y[b,j] c[j]")` a formula in its context, `X[b, K] * W[K, j]`
    one of its own. Two are equal when they are the same function of the same inputs.
    """

    __array_ufunc__ = None  # arrays leave operators to us
    __iter__ = None

    def __init__(
        self,
        context: Program,
        tree: ast.Expr,
        parts: Mapping[str, Expr] | None = None,
        functions: tuple[Any, ...] = (),
    ) -> None:
        self.context, self.tree, self.parts, self.functions = context, tree, dict(parts or {}), functions

    # -- operators

    def made(self, build: Callable[..., ast.Expr], *others: Any, turned: bool = False) -> Expr:
        """What `build` makes of the trees, in the context of all operands."""
        operands = [self, *others]
        return combined(build, operands[::-1] if turned else operands, self.context)

    def __add__(self, other: Any) -> Expr:
        return self.made(python.added, other)

    def __radd__(self, other: Any) -> Expr:
        return self.made(python.added, other, turned=True)

    def __sub__(self, other: Any) -> Expr:
        return self.made(python.subtracted, other)

    def __rsub__(self, other: Any) -> Expr:
        return self.made(python.subtracted, other, turned=True)

    def __mul__(self, other: Any) -> Expr:
        return self.made(python.multiplied, other)

    def __rmul__(self, other: Any) -> Expr:
        return self.made(python.multiplied, other, turned=True)

    def __truediv__(self, other: Any) -> Expr:
        return self.made(python.divided, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return self.made(python.divided, other, turned=True)

    def __pow__(self, other: Any) -> Expr:
        return self.made(python.powered, other)

    def __rpow__(self, other: Any) -> Expr:
        return self.made(python.powered, other, turned=True)

    def __neg__(self) -> Expr:
        return self.made(python.negative)

    def __pos__(self) -> Expr:
        return self

    def __abs__(self) -> Expr:
        return self.made(lambda tree: python.called(python.function_name("abs"), [tree], None))

    def __lt__(self, other: Any) -> Expr:
        return self.made(python.compared("<"), other)

    def __le__(self, other: Any) -> Expr:
        return self.made(python.compared("<="), other)

    def __gt__(self, other: Any) -> Expr:
        return self.made(python.compared(">"), other)

    def __ge__(self, other: Any) -> Expr:
        return self.made(python.compared(">="), other)

    def __matmul__(self, other: Any) -> Expr:
        raise EinstanSyntaxError("@ hides the indices.", "Write A[i, K] * B[K, j] for the matrix product.")

    def __bool__(self) -> bool:
        raise EinstanSyntaxError("A formula has no truth value.", "Write (a < b) * (b < c) for both.")

    def __eq__(self, other: object) -> bool:
        """The same function of the same inputs, the axes in the same order; es.equal(a, b) compares entries."""
        return isinstance(other, Expr) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def applied(self, function: Any, args: Sequence[Any]) -> Expr:
        """A function of es.function called on expressions and numbers; the expression remembers it."""
        name = python.function_name(function.name)
        called = combined(lambda *trees: python.called(name, trees, None), args, self.context)
        functions = tuple(dict.fromkeys((*called.functions, function)))
        return Expr(called.context, called.tree, called.parts, functions)

    def __getitem__(self, letters: Any) -> Expr:
        """The same with other letters for its axes: Y[B, J]."""
        indices = indices_of(letters)
        self.require_rank(len(indices))
        if isinstance(self.tree, ast.Tensor) and plain(self.tree.indices or ()):
            return Expr(self.context, ast.Tensor(self.tree.name, indices), self.parts, self.functions)
        mark = mark_of(id(self))
        return Expr(self.context, ast.Tensor(mark, indices), {mark: self})

    def require_rank(self, count: int) -> None:
        if len(self.axes) != count:
            raise EinstanShapeError(
                f"{show_expr(self.written)} has {len(self.axes)} axes, and {count} indices are given.",
                f"Its axes are {', '.join(self.axes) or 'none'}.",
            )

    # -- what it is

    @property
    def is_name(self) -> bool:
        """Whether it is a defined name of its program, with the letters of its definition."""
        tree, defined = self.tree, self.context.checked.definitions
        if not isinstance(tree, ast.Tensor) or tree.name not in defined:
            return False
        own = defined[tree.name].target.indices or ()
        return [index.name for index in own] == [index.name for index in tree.indices or ()]

    @cached_property
    def home(self) -> tuple[Program, str]:
        """A program that defines it, and its name there."""
        if isinstance(self.tree, ast.Tensor) and self.is_name:
            return self.context, self.tree.name
        name = next(fresh_names([self]))
        return written({name: self}), name

    @property
    def program(self) -> Program:
        return self.home[0]

    @property
    def name(self) -> str:
        return self.home[1]

    @property
    def node(self) -> Node:
        """What it stands for, with inputs and names as leaves; equal expressions are one object."""
        return self.program.bodies[self.name]

    @cached_property
    def value(self) -> tuple[object, ...]:
        """The node over inputs alone, with no sizes from elsewhere; derivatives inside mean what their program says."""
        program, name = self.home
        alone = program.below(name)
        table = {alone.leaves[other]: body for other, body in alone.bodies.items()}
        (node,) = inline([alone.leaves[name]], table)
        return (node, program if program.holds_derivatives(name) else None)

    @property
    def axes(self) -> tuple[str, ...]:
        """A lower-case letter for each axis, in order of first appearance."""
        return python.first_letters(self.tree, shown_below(self.tree)[id(self.tree)])

    def to_sympy(self) -> Any:
        """The formula as an expression of sympy, names and inputs as IndexedBase, sums as Sum."""
        from .show.to_sympy import to_sympy

        return to_sympy(self.program.checked, self.name)

    def __str__(self) -> str:
        statement = self.statement
        return show_expr(self.written) if statement is None else show_statement(statement)

    def latex(self) -> str:
        """What `str` gives, in LaTeX."""
        return " = ".join(map(latex_expr, self.sides))

    @property
    def sides(self) -> Sequence[ast.Expr]:
        """The formula; of a name the name, then its formula."""
        statement = self.statement
        return [self.written] if statement is None else [statement.target, statement.body]

    def svg(self) -> Picture:
        """The formula as a picture, with all that it is made of; see `Program.svg`."""
        return self.program.below(self.name).svg()

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _repr_html_(self) -> str:
        from .show.html import expression

        return expression(self.sides)

    @property
    def statement(self) -> ast.Definition | None:
        """The definition that it is the name of, if it is one."""
        tree = self.tree
        return self.context.checked.definitions[tree.name] if isinstance(tree, ast.Tensor) and self.is_name else None

    @property
    def written(self) -> ast.Expr:
        """The formula, with names for the expressions that it indexes."""
        return python.settled(self.tree, {}, marks(names_of(reached([self]), {})))

    def __repr__(self) -> str:
        return str(self)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: marks hold for one object, so what indexes others goes as a name."""
        return vars(self.program[self.name] if self.parts else self)

    # -- verbs

    def grad(self, wrt: str | Sequence[str]) -> Derived:
        """∂/∂name: the gradient; of an expression with axes its Jacobian, the axes of the expression first.

        Raises EinstanNameError for a name that its program has not.

        >>> from einstan import indices, tensors
        >>> A, x = tensors("A[i,k] x[k]")
        >>> i, K = indices("i K")
        >>> y = A[i, K] * x[K]
        >>> print((y * x[i]).grad(wrt="A"))
        ∂expr[i]/∂A[j,k] = x[i] x[k] delta[i,j]
        """
        return self.program.jacobian(self.name, wrt)

    def value_and_grad(self, wrt: str | Sequence[str]) -> Derived:
        """The value first, then what `grad` gives; of a scalar."""
        return self.program.value_and_grad(self.name, wrt)

    def jacobian(self, wrt: str | Sequence[str]) -> Derived:
        """∂/∂name: the axes of the expression, then of the name; of each name of a list."""
        return self.program.jacobian(self.name, wrt)

    def hessian(self, wrt: str | Sequence[str]) -> Derived:
        """∂²/∂a∂b: the axes of the expression, of a, of b; for a list a dict of dicts."""
        return self.program.hessian(self.name, wrt)

    def vjp(self, wrt: str | Sequence[str], cotangent: str) -> Derived:
        """Σ cotangent · ∂/∂name, with the axes of the name; the cotangent becomes an input."""
        return self.program.vjp(self.name, wrt, cotangent)

    def jvp(self, wrt: str | Sequence[str], tangent: str | Mapping[str, str]) -> Derived:
        """Σ ∂/∂name · tangent, with the axes of the expression; a tangent becomes an input."""
        return self.program.jvp(self.name, wrt, tangent)

    def hvp(self, wrt: str | Sequence[str], vector: str | Mapping[str, str]) -> Derived:
        """The Hessian of a scalar times a vector, without the Hessian; the vector becomes an input."""
        return self.program.hvp(self.name, wrt, vector)

    def explain(self, wrt: str | Sequence[str], depth: int | None = None) -> Transcript:
        """How its derivative is derived, step by step, as `Program.explain` has it."""
        return self.program.explain(self.name, wrt, depth)

    def compile(self, **options: Any) -> Kernel:
        """A kernel that computes it; the options are those of `Program.compile`."""
        return self.program.compile(self.name, **options)

    def run(self, /, **arrays: Any) -> Any:
        """Compile and call once."""
        return self.program.run(self.name, **arrays)


class Whole(Expr):
    """A tensor without indices, as es.tensors makes it: X[b, K] gives it some; alone it is an argument."""

    def __init__(self, context: Program, name: str, letters: tuple[str, ...]) -> None:
        super().__init__(context, ast.Tensor(name, None))
        self.letters = letters

    @property
    def name(self) -> str:
        assert isinstance(self.tree, ast.Tensor)
        return self.tree.name

    @property
    def axes(self) -> tuple[str, ...]:
        return self.letters

    def __getitem__(self, letters: Any) -> Expr:
        indices = indices_of(letters)
        self.require_rank(len(indices))
        return Expr(self.context, ast.Tensor(self.name, indices))

    def __str__(self) -> str:
        return f"{self.name}[{','.join(self.letters)}]"

    @property
    def sides(self) -> Sequence[ast.Expr]:
        return [ast.Tensor(self.name, tuple(map(ast.Index, self.letters)))]

    def svg(self) -> Picture:
        return self[self.letters].svg()


def plain(indices: Sequence[ast.Index]) -> bool:
    """Whether other letters may stand in their place: they differ, and none is a part of its axis."""
    return len({x.name for x in indices}) == len(indices) and all(x.low is None for x in indices)


def tree_of(value: Any) -> ast.Expr:
    """The tree of an expression, or of a number."""
    return value.tree if isinstance(value, Expr) else python.number(value)


def combined(build: Callable[..., ast.Expr], operands: Sequence[Any], context: Program) -> Expr:
    """The tree that `build` makes of expressions and numbers, with all that they know."""
    known = [x for x in operands if isinstance(x, Expr)]
    parts = {mark: part for x in known for mark, part in x.parts.items()}
    functions = tuple(dict.fromkeys(f for x in known for f in x.functions))
    home = one_context([context, *(x.context for x in known)])
    return Expr(home, build(*map(tree_of, operands)), parts, functions)
