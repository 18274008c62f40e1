"""mutants: right claims with one slip each: an index, a factor, a sum, a sign or a constant is another."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import einstan as es
from einstan.show.text import show_expr
from einstan.syntax import ast

from .models import MODELS

CHAINS = {
    "chain": """
        Z[i,j] = X[i,K] W[K,j] + b[j]
        Y[i,j] = f(Z[i,j])
        V[i,j] = Y[i,K] U[K,j]
        S[i,j] = softmax[j](V[i,j])
        L = T[I,J] log(S[I,J])
        ∂L/∂V[i,j] = ∂L/∂S[i,B] ∂S[i,B]/∂V[i,j]
        ∂L/∂Y[i,j] = ∂L/∂V[i,B] U[j,B]
        ∂L/∂Z[i,j] = ∂L/∂Y[i,j] f'(Z[i,j])
        ∂L/∂Z[i,j] = ∂L/∂V[i,B] U[j,B] f'(Z[i,j])
        ∂L/∂W[i,j] = X[A,i] ∂L/∂Z[A,j]
        ∂L/∂W[i,j] = sum[a](X[a,i] ∂L/∂Z[a,j])
        ∂L/∂b[j] = ∂L/∂Z[A,j] 1[A]
        ∂L/∂U[i,j] = Y[A,i] ∂L/∂V[A,j]
    """,
}
"""Written by hand, with derivatives of functions by name."""


@dataclass(frozen=True)
class Right:
    """A program with right claims; `text` is all of it."""

    name: str
    text: str

    @property
    def program(self) -> es.Program:
        return es.parse(self.text)


PROGRAMS = (
    *CHAINS,
    "dense-2-tanh-squared",
    "dense-2-sigmoid-entropy",
    "lstm-block-1",
    "readout-one-graph",
    "attention-one-head",
    "logistic-regression-softplus",
    *(f"dense-{n}-{activation}-squared" for n in (1, 2) for activation in ("relu", "sigmoid")),
    "dense-2-relu-entropy",
    "lstm-concat-1",
    "readout-batch",
    "readout-membership",
    "attention-batch",
    "attention-heads",
    "logistic-regression",
    "layer-norm",
    "matrix-factorisation-mask",
)
"""Names of programs, those of the short run first."""


def right(name: str) -> Right:
    """A chain written by hand, or a model with its printed gradient."""
    if name in CHAINS:
        return Right(name, CHAINS[name])
    m = next(m for m in MODELS if m.name == name)
    p = es.parse(m.text)
    return Right(name, f"{p}\n{p.grad(m.of, list(m.wrt))}")


@dataclass(frozen=True)
class Mutant:
    """The claim as it was and as it is; `kind` says what slipped."""

    right: Right
    kind: str
    left: ast.Expr
    original: ast.Expr
    slipped: ast.Expr

    @property
    def claim(self) -> str:
        return f"{show_expr(self.left)} = {show_expr(self.slipped)}"


def mutants(of: Right, seed: int, each: int) -> list[Mutant]:
    """`each` slips of every kind in a program's claims, by chance."""
    rng = random.Random(seed)
    p = of.program
    claims = [c.claim for c in p.checked.claims]
    found: list[Mutant] = []
    for kind, slips in KINDS.items():
        every = [Mutant(of, kind, c.forms[0], c.forms[1], tree) for c in claims for tree in slips(c.forms, p)]
        distinct = {m.claim: m for m in every if show_expr(m.slipped) != show_expr(m.original)}
        found += rng.sample(list(distinct.values()), min(each, len(distinct)))
    return found


# ---------------------------------------------------------------- trees


def at_paths(root: ast.Expr) -> Iterator[tuple[Callable[[ast.Expr], ast.Expr], ast.Expr]]:
    """Every operand, with what puts another into its place."""
    waiting: list[tuple[Callable[[ast.Expr], ast.Expr], ast.Expr]] = [(lambda e: e, root)]
    while waiting:
        put, e = waiting.pop()
        yield put, e
        for field in ("factors", "terms", "args", "body", "base"):
            value = getattr(e, field, None)
            if isinstance(value, tuple):
                waiting += [(placed(put, e, field, n), x) for n, x in enumerate(value)]
            elif value is not None:
                waiting.append((lambda x, put=put, e=e, field=field: put(replace(e, **{field: x})), value))


def placed(put: Callable[[ast.Expr], ast.Expr], e: ast.Expr, field: str, n: int) -> Callable[[ast.Expr], ast.Expr]:
    own = getattr(e, field)
    return lambda x: put(replace(e, **{field: (*own[:n], x, *own[n + 1 :])}))


def lists_of(e: ast.Expr) -> Iterator[tuple[tuple[ast.Index, ...], Callable[[tuple[ast.Index, ...]], ast.Expr]]]:
    """The lists of indices of a node, with what puts another list there."""
    if isinstance(e, ast.Tensor | ast.Filled) and e.indices:
        yield e.indices, lambda new: replace(e, indices=new)
    if isinstance(e, ast.Derivative):
        (below,) = e.denominators
        yield below.indices or (), lambda new: replace(e, denominators=(replace(below, indices=new),))
        top = e.numerator
        if isinstance(top, ast.Tensor) and top.indices:
            yield top.indices, lambda new: replace(e, numerator=replace(top, indices=new))


def letters(forms: tuple[ast.Expr, ...]) -> list[str]:
    found = {i.name for form in forms for _, e in at_paths(form) for own, _ in lists_of(e) for i in own}
    return sorted(found)


# ---------------------------------------------------------------- slips


def of_index(forms: tuple[ast.Expr, ...], p: es.Program) -> Iterator[ast.Expr]:
    """One index is another letter of the claim, or two of one tensor are swapped."""
    for put, e in at_paths(forms[1]):
        for own, new in lists_of(e):
            for n, index in enumerate(own):
                for letter in letters(forms):
                    if letter != index.name and index.low is None:
                        yield put(new((*own[:n], replace(index, name=letter), *own[n + 1 :])))
            for n in range(1, len(own)):
                if own[n - 1].low is None and own[n].low is None:
                    yield put(new((*own[: n - 1], own[n], own[n - 1], *own[n + 1 :])))


def of_factor(forms: tuple[ast.Expr, ...], p: es.Program) -> Iterator[ast.Expr]:
    """A factor is missing, stands twice, or is another name of the same shape."""
    shapes = p.checked.shapes
    for put, e in at_paths(forms[1]):
        if isinstance(e, ast.Product):
            for n, factor in enumerate(e.factors):
                if not isinstance(factor, ast.Number | ast.Filled):
                    factors, divides = (*e.factors[:n], *e.factors[n + 1 :]), (*e.divides[:n], *e.divides[n + 1 :])
                    yield put(replace(e, factors=factors, divides=divides) if factors[1:] or divides[0] else factors[0])
                    yield put(replace(e, factors=(*e.factors, factor), divides=(*e.divides, e.divides[n])))
        if isinstance(e, ast.Tensor) and e.indices and e.name in shapes:
            for name in shapes:
                if name != e.name and shapes[name] == shapes[e.name]:
                    yield put(replace(e, name=name))


def of_sum(forms: tuple[ast.Expr, ...], p: es.Program) -> Iterator[ast.Expr]:
    """A capital is in lower case throughout, or the other way round; ones are left out."""
    for put, e in at_paths(forms[1]):
        if isinstance(e, ast.Product):
            for n, factor in enumerate(e.factors):
                if isinstance(factor, ast.Filled) and len(e.factors) == 2:
                    yield put(e.factors[1 - n])
        if isinstance(e, ast.Call) and e.name == "sum":
            yield put(e.args[0])
    for letter in letters(forms[1:]):
        yield recased(forms[1], letter)


def recased(root: ast.Expr, letter: str) -> ast.Expr:
    other = letter.lower() if letter[0].isupper() else letter.upper()
    while True:
        for put, e in at_paths(root):
            if found := [(own, new) for own, new in lists_of(e) if any(i.name == letter for i in own)]:
                own, new = found[0]
                root = put(new(tuple(replace(i, name=other) if i.name == letter else i for i in own)))
                break
        else:
            return root


def of_sign(forms: tuple[ast.Expr, ...], p: es.Program) -> Iterator[ast.Expr]:
    """A term has the other sign, or the whole."""
    for put, e in at_paths(forms[1]):
        if isinstance(e, ast.Sum):
            for n in range(len(e.terms)):
                signs = (*e.signs[:n], -e.signs[n], *e.signs[n + 1 :])
                yield put(replace(e, signs=signs)) if signs != (1,) else put(e.terms[0])
    root = forms[1]
    if not isinstance(root, ast.Sum):
        yield ast.Sum((root,), (-1,))


def of_constant(forms: tuple[ast.Expr, ...], p: es.Program) -> Iterator[ast.Expr]:
    """A number, or an exponent, is another; a factor 2 or 1/2 is too much, or a number is missing."""
    for put, e in at_paths(forms[1]):
        if isinstance(e, ast.Number):
            yield put(ast.Number(e.value + 1))
            yield put(ast.Number(e.value * 2))
        if isinstance(e, ast.Power) and isinstance(e.exponent, ast.Number):
            yield put(replace(e, exponent=ast.Number(e.exponent.value + 1)))
        if isinstance(e, ast.Product) and isinstance(e.factors[0], ast.Number) and not any(e.divides):
            yield put(replace(e, factors=e.factors[1:], divides=e.divides[1:]) if e.factors[2:] else e.factors[1])
    for q in (Fraction(2), Fraction(1, 2)):
        root = forms[1]
        yield ast.Product((ast.Number(q), ast.Group(root) if isinstance(root, ast.Sum) else root), (False, False))


KINDS: dict[str, Callable[[tuple[ast.Expr, ...], es.Program], Iterator[ast.Expr]]] = {
    "index": of_index,
    "factor": of_factor,
    "sum": of_sum,
    "sign": of_sign,
    "constant": of_constant,
}
