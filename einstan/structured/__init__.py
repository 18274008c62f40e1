"""structured: matrices as sums of products of blocks: what a Hessian is before it is written out.

Laws: `dense()` is the one meaning, and every method agrees with it; nothing of the dense size is allocated by any other
method as long as the structure serves; arrays that are given are never written.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import as_array
from ..errors import EinstanShapeError
from ..show.amounts import amount
from . import systems
from .contracted import Array, Sum, multiplied, of_term
from .elimination import System
from .forms import ArrayShape, Form, Term
from .systems import NotPositiveDefinite, Singular
from .words import structure

__all__ = ["Form", "NotPositiveDefinite", "Singular", "Structured", "Term"]


class Structured:
    """A matrix, between the axes of its rows and those of its columns, as a sum of products of `blocks`.

    `structure` says in words what it is, `pattern` in the notation, with the blocks called H (or H0, H1, ...): in
    `H[i,k,l] delta[i,j]` with rows (i,k) and columns (j,l) there is a block H[i] for each i, and nothing else.

    >>> form = Form((2, 3), (2, 3), (Term((0,), ((0, 1, 2),), (0, 1), (0, 2)),), ((2, 3, 3),))
    >>> H = Structured(form, np.stack([np.eye(3), 2 * np.eye(3)]))
    >>> H
    Structured H[i,j,l] delta[i,k], (2, 3, 2, 3): block-diagonal, 144 B
    >>> H.solve(np.ones((2, 3)))
    array([[1. , 1. , 1. ],
           [0.5, 0.5, 0.5]])
    """

    __slots__ = ("blocks", "form")
    __array_ufunc__ = None  # arrays leave operators to us

    def __init__(self, form: Form, *blocks: Array) -> None:
        self.form, self.blocks = form, blocks

    # ------------------------------------------------------------ what it is

    @property
    def rows(self) -> ArrayShape:
        """The sizes of the axes of the rows."""
        return self.form.rows

    @property
    def columns(self) -> ArrayShape:
        """The sizes of the axes of the columns."""
        return self.form.columns

    @property
    def shape(self) -> ArrayShape:
        """The shape of the dense array: the axes of the rows, then those of the columns."""
        return self.form.rows + self.form.columns

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.result_type(*self.blocks)

    @property
    def nbytes(self) -> int:
        """What the blocks take."""
        return sum([block.nbytes for block in self.blocks])

    @property
    def pattern(self) -> str:
        """The matrix in the notation, axes of rows before axes of columns."""
        return self.form.pattern

    @property
    def structure(self) -> str:
        """What the pattern is called: "block-diagonal", "diagonal plus low rank", "dense", ..."""
        return structure(self.form)

    def __repr__(self) -> str:
        return f"Structured {self.pattern}, {self.shape}: {self.structure}, {amount(self.nbytes, 'B')}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Structured, (self.form, *self.blocks)

    # ------------------------------------------------------------ what it does

    def dense(self) -> Array:
        """The array of shape `shape`, fresh; each entry is written once, and once more where terms add up."""
        return self.write(np.empty(self.shape, self.dtype))

    def write(self, out: Array) -> Array:
        """The dense array in `out`."""
        total = Sum(out)
        for term in sorted(self.form.terms, key=lambda term: len(term.deltas)):
            total.add(*of_term(term, self.blocks), term.rows + term.columns)
        return total.finished()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("a Structured is made dense by a copy")
        return np.asarray(self.dense(), dtype)

    def matvec(self, v: Any) -> Array:
        """H v, of the shape of the rows, for v of the shape of the columns; v may have more axes, which the result has
        too. Raises EinstanShapeError for other shapes.

        >>> form = Form((2,), (2,), (Term((0,), ((0,),), (0,), (0,)),), ((2,),))
        >>> Structured(form, np.array([2.0, 3.0])).matvec([1.0, 1.0])
        array([2., 3.])
        """
        given = self.fitting(v, self.columns, "columns")
        shape = self.rows + given.shape[len(self.columns) :]
        total = Sum(np.empty(shape, np.result_type(self.dtype, given)))
        for term in self.form.terms:
            total.add(multiplied(self.form, term, self.blocks, given), *2 * [tuple(range(len(shape)))])
        return total.finished()

    __matmul__ = matvec

    def solve(self, g: Any, shift: float = 0.0, definite: bool = False) -> Array:
        """x with (H + shift · identity) x = g, by the structure; g may have more axes than the rows, which x has too.

        With `definite` the matrix has to be symmetric and positive definite, else NotPositiveDefinite is raised; else
        Singular is where the matrix has no inverse, to working precision. Raises EinstanShapeError where rows and
        columns differ.

        >>> form = Form((2,), (2,), (Term((0,), ((0,),), (0,), (0,)),), ((2,),))
        >>> Structured(form, np.array([2.0, 3.0])).solve([1.0, 1.0], shift=1.0)
        array([0.33333333, 0.25      ])
        """
        if not self.form.square:
            raise EinstanShapeError(
                f"A matrix of {self.rows} rows and {self.columns} columns has no inverse.",
                "Rows and columns are alike.",
            )
        given = self.fitting(g, self.rows, "rows")
        right = given.astype(systems.computed(np.result_type(self.dtype, given.dtype)), copy=False)
        if not right.size:
            return np.zeros_like(right)
        with np.errstate(all="ignore"):
            x = System(self.form, self.blocks, systems.multiple(shift), definite).solve(right)
        if not np.isfinite(x).all() and np.isfinite(right).all():
            raise systems.singular("the solution is not finite")
        return x

    @property
    def T(self) -> Structured:
        """The transpose: columns as rows."""
        turned = tuple([Term(t.blocks, t.labels, t.columns, t.rows) for t in self.form.terms])
        letters = self.form.letters[len(self.rows) :] + self.form.letters[: len(self.rows)]
        return Structured(Form(self.columns, self.rows, turned, self.form.shapes, letters), *self.blocks)

    def fitting(self, v: Any, shape: ArrayShape, which: str) -> Array:
        """The array, whose first axes are those of the rows or columns."""
        given = as_array("The array", v)
        if given.shape[: len(shape)] != shape:
            raise EinstanShapeError(f"The {which} have the shape {shape}, and the array has {given.shape}.")
        return given
