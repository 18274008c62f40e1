"""opened: a formula of a program with every sum written out.

All indices are in lower case and no two sums have one letter, so that products can be moved about: `X[i,K] W[K,j]` is
`sum[k](X[i,k] W[k,j])`, and ⊙ is a product like any other. What an opaque function takes in stays a capital.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..dims import Dim
from ..recursion import Recursive, run
from ..syntax import ast, words
from ..syntax.ast import Call, Expr, Index, Tensor
from ..syntax.check import Checked
from ..syntax.scope import Scope
from .letters import Letters, capital, indices

Env = Mapping[str, str]  # index of the formula -> letter
Size = Callable[[Dim], Expr]  # a size as a formula


@dataclass(frozen=True, slots=True)
class Opener:
    """One formula on its way."""

    checked: Checked
    scope: Scope
    letters: Letters
    size: Size

    def visit(self, e: Expr, env: Env) -> Recursive[Expr]:
        """The expression, with a sum around it where capitals are summed at this node."""
        if isinstance(e, ast.Group):
            inner: Expr = yield self.visit(e.body, env)
            return inner
        if isinstance(e, Call):
            called: Expr = yield self.call(e, env)
            return called
        summed = list(self.scope.summed.get(id(e), ()))
        new = self.letters.many(summed)
        body: Expr = yield self.below(e, {**env, **dict(zip(summed, new, strict=True))})
        return Call("sum", (body,), indices(new)) if new else body

    def below(self, e: Expr, env: Env) -> Recursive[Expr]:
        """The node itself, over opened operands."""
        own = tuple(self.index(i, env) for i in ast.indices_of(e))
        match e:
            case Tensor():
                return e if e.indices is None else replace(e, indices=own)
            case ast.Filled():
                return replace(e, indices=own)
            case ast.Extent():
                return e if e.axis is not None else self.size(self.scope.extents[id(e)])
        children: list[Expr] = []
        for child in e.children:
            children.append((yield self.visit(child, env)))
        given = tuple(children)
        match e:
            case ast.Concat():
                return replace(e, parts=given, index=own[0])
            case ast.Product():
                return replace(e, factors=given)
            case ast.Odot():
                return ast.Product(given, (False,) * len(given))
            case ast.Sum():
                return replace(e, terms=given)
            case ast.Power():
                return replace(e, base=given[0], exponent=given[1])
            case ast.Compare():
                return replace(e, left=given[0], right=given[1])
            case _:
                return e

    def call(self, e: Call, env: Env) -> Recursive[Expr]:
        """Bound letters are new ones: those that a function takes away, and what an opaque one takes in."""
        seen = list(self.scope.summed.get(id(e), ()))
        taken = {name: self.letters.next(name) for name in sorted(e.gone)}
        taken |= {name: capital(self.letters.next(name)) for name in seen}
        inner = {**env, **taken}
        args: list[Expr] = []
        for arg in e.args:
            args.append((yield self.visit(arg, inner)))
        if e.name == "mean":
            return self.mean(e, args[0], [taken[i.name] for i in e.along or ()])
        along = None if e.along is None else tuple(self.index(i, inner) for i in e.along)
        return replace(e, name=words.ALIASES.get(e.name, e.name), args=tuple(args), along=along)

    def mean(self, e: Call, body: Expr, along: Sequence[str]) -> Expr:
        """The sum divided by its sizes."""
        sizes = [self.size(self.scope.axes[id(e.args[0])][i.name]) for i in e.along or ()]
        summed = Call("sum", (body,), indices(along))
        return ast.Product((summed, *sizes), (False, *(True for _ in sizes)))

    def index(self, i: Index, env: Env) -> Index:
        """The index under its letter; bounds are sizes."""
        name = env.get(i.name, i.name)
        if id(i) not in self.scope.bounds:
            return Index(name)
        low, high = self.scope.bounds[id(i)]
        return Index(name, low=self.size(low), high=self.size(high))


def opened(checked: Checked, name: str, target: Sequence[str], letters: Letters, size: Size) -> Expr:
    """The body of a defined name, the letters of its left side called `target`."""
    definition = checked.definitions[name]
    opener = Opener(checked, checked.scopes[id(definition.body)], letters, size)
    env: dict[str, str] = {}
    deltas: list[Expr] = []
    for index, letter in zip(definition.target.indices or (), target, strict=True):
        if env.setdefault(index.name, letter) != letter:
            deltas.append(Tensor("delta", indices((env[index.name], letter))))
    body = run(opener.visit(definition.body, env))
    return ast.Product((body, *deltas), (False,) * (1 + len(deltas))) if deltas else body
