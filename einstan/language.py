"""language: the words of the notation as Python objects: indices, tensors, functions, ones, joins.

`es.sum[k](x[k])` is the text `sum[k](x[k])`: what stands in brackets after a name there stands there here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import EinstanIndexError, EinstanSyntaxError
from .expr import Expr, Letter, LetterLike, Whole, combined, index_of, indices_of
from .programs import Program, parse
from .syntax import ast, python, words
from .syntax.names import Name
from .written import written

NOWHERE = parse("")
"""The program without statements, in which expressions begin."""


def indices(names: str) -> Any:
    """Indices by their names; one for one name, a tuple for several.

    >>> i, K = indices("i K")
    """
    found = names.replace(",", " ").split()
    for name in found:
        if not python.is_index(name):
            raise EinstanIndexError(f"{name[:80]!r} is no index.", "An index is a letter, then letters and digits.")
    letters = tuple(map(Letter, found))
    return letters[0] if len(letters) == 1 else letters


def tensors(declared: str, labels: str | Iterable[str] = "") -> Any:
    """Tensors by their names and axes, as they are written in text; one for one name, a tuple for several.

    A name without axes is a scalar. `labels` are letters that are parts of names, as in `parse`: `W_f[j,k]`.

    >>> X, W, c = tensors("X[b,k] W[k,j] c[j]")
    >>> b, j, K = indices("b j K")
    >>> X[b, K] * W[K, j] + c[j]
    X[b,K] W[K,j] + c[j]
    """
    context = parse("", labels)
    found = tuple(tensor(t, context) for t in python.tensors_in(declared, context.checked.labels))
    return found[0] if len(found) == 1 else found


def tensor(t: ast.Tensor, context: Program) -> Expr:
    if t.indices is None:
        raise EinstanSyntaxError(f"The axes of {t.name} are not given.", f"Write {t.name}[i,j] with a letter for each.")
    letters = tuple(index.name for index in t.indices)
    return Whole(context, t.name, letters) if letters else Expr(context, t)


def program(definitions: Mapping[str, Expr] | None = None, /, **named: Expr) -> Program:
    """The program that defines these names, each by an expression.

    A key of the mapping may say the order of the axes (`{"Z[j,b]": Z}`). Where one expression holds another that
    has a name here, its formula says the name.

    >>> X, W, T = tensors("X[b,k] W[k,j] T[b,j]")
    >>> b, j, B, J, K = indices("b j B J K")
    >>> R = T[b, j] - FUNCTIONS["tanh"](X[b, K] * W[K, j])  # es.tanh
    >>> program(R=R, L=R[B, J] * R[B, J])
    R[b,j] = T[b,j] - tanh(X[b,K] W[K,j])
    L = R[B,J] R[B,J]
    """
    given = {key: anywhere(value) for key, value in {**(definitions or {}), **named}.items()}
    return written(given) if given else NOWHERE


def anywhere(value: Any) -> Expr:
    """An expression; a number as one."""
    return value if isinstance(value, Expr) else combined(lambda tree: tree, [value], NOWHERE)


class NamedFunction:
    """A function of the language or an unknown one: `tanh(x)`, `sum[k](x)`, `f[j](Z[i, K])`."""

    def __init__(self, name: Name, along: tuple[ast.Index, ...] | None = None, context: Program = NOWHERE) -> None:
        self.name, self.along, self.context = name, along, context

    def __getitem__(self, letters: LetterLike | tuple[LetterLike, ...]) -> NamedFunction:
        return NamedFunction(self.name, indices_of(letters), self.context)

    __iter__ = None

    def __call__(self, *args: Any) -> Expr:
        return combined(lambda *trees: python.called(self.name, trees, self.along), args, self.context)

    def __repr__(self) -> str:
        return self.name.spelling


def opaque(spelling: str, labels: str | Iterable[str] = "") -> NamedFunction:
    """An unknown function by its name, or a derivative of any: `opaque("f'[2]")(a, b)`, `opaque("σ_m", labels="m")`.

    >>> x = tensors("x")
    >>> opaque("f'")(x) * 2
    f'(x) * 2
    """
    context = parse("", labels)
    name = python.function_name(spelling, context.checked.labels)
    if name.listed:
        raise EinstanSyntaxError(f"{spelling[:80]!r} has indices.", "Write es.opaque('f')[j], or labels='m' for σ_m.")
    return NamedFunction(name, context=context)


def group(product: Any) -> Expr:
    """A closed product: group(a * b) * c is (a b) c, and a b sums its capitals first.

    >>> A, b, c = tensors("A[i,k] b[k] c[k]")
    >>> i, k, K = indices("i k K")
    >>> group(A[i, K] * b[K]) * c[k]
    (A[i,K] b[K]) c[k]
    """
    return combined(python.group, [product], NOWHERE)


def odot(*factors: Any) -> Expr:
    """a ⊙ b ⊙ c: multiplied entry by entry, nothing summed; a capital stays open.

    >>> A, B = tensors("A[v,d] B[v,d]")
    >>> V, d = indices("V d")
    >>> ones(V) * odot(A[V, d], B[V, d])
    1[V] (A[V,d] ⊙ B[V,d])
    """
    return combined(python.without_sum, factors, NOWHERE)


def equal(left: Any, right: Any) -> Expr:
    """a == b: 1 where entries are equal, else 0 (Python's == asks whether two expressions are one function)."""
    return combined(python.compared("=="), [left, right], NOWHERE)


def concat(parts: list[Expr] | tuple[Expr, ...], along: LetterLike) -> Expr:
    """[h[b,K], x[b,K]]_K: the parts end to end along an index, which every part shows.

    >>> h, x = tensors("h[b,k] x[b,k]")
    >>> b, k = indices("b k")
    >>> concat([h[b, k], x[b, k]], k)
    [h[b,k], x[b,k]]_k
    """
    return combined(lambda *trees: python.joined(trees, index_of(along)), parts, NOWHERE)


def d(top: Any, *below: Any) -> Expr:
    """∂L/∂W[k,j]: the axes of the numerator, then of the names below. Raises EinstanSyntaxError for what is no name.

    >>> L, w = tensors("L w[i]")
    >>> i, j = indices("i j")
    >>> d(L, w[i], w[j])
    ∂²L/∂w[i]∂w[j]
    """
    return combined(python.derivative, [top, *below], NOWHERE)


def from_sympy(expression: Any, labels: str | Iterable[str] = "") -> Expr:
    """An expression of sympy (IndexedBase, Sum, KroneckerDelta, functions) as an expression of the language.

    `labels` are letters that are parts of names, as in `parse`: IndexedBase("W_f") is the tensor W_f.

    >>> from sympy import IndexedBase, Sum, symbols
    >>> i, k, n = symbols("i k n", integer=True)
    >>> A, x = IndexedBase("A"), IndexedBase("x")
    >>> from_sympy(Sum(A[i, k] * x[k], (k, 0, n - 1)))
    A[i,K] x[K]
    """
    from .syntax.from_sympy import from_sympy as tree_of

    context = parse("", labels)
    return Expr(context, tree_of(expression, context.checked.labels))


def leaf(tree: ast.Expr) -> Expr:
    return Expr(NOWHERE, tree)


def ones(*letters: LetterLike) -> Expr:
    """1[K]: ones, the size of each index being that which it has elsewhere."""
    return leaf(ast.Filled(1, indices_of(letters)))


def zeros(*letters: LetterLike) -> Expr:
    """0[i,j]: zeros."""
    return leaf(ast.Filled(0, indices_of(letters)))


def delta(first: LetterLike, second: LetterLike) -> Expr:
    """delta[i,j]: Kronecker's, 1 where i = j, else 0."""
    return leaf(ast.Tensor("delta", indices_of((first, second))))


def size(of: Expr | LetterLike, axis: int | None = None) -> Expr:
    """|K|, the size of an index; size(h, 2), of the second axis of h."""
    if isinstance(of, Whole) and isinstance(axis, int):
        return leaf(ast.Extent(of.name, axis - 1))
    if isinstance(of, Expr) or axis is not None:
        raise EinstanSyntaxError("A size is of an index, or of an axis of a name.", "Write size(K) or size(h, 2).")
    return leaf(ast.Extent(index_of(of).name, None))


pi = leaf(ast.Tensor("pi", ()))

FUNCTIONS = {word: NamedFunction(python.function_name(word)) for word in sorted(words.FUNCTIONS)}
"""Every function of the language."""
