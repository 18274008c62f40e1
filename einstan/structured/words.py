"""words: what a form is called: "diagonal", "block-diagonal", "Kronecker product", "diagonal plus low rank", ..."""

from __future__ import annotations

from functools import lru_cache

from .forms import Form, low_rank
from .spectral import spectral


@lru_cache(maxsize=1024)
def structure(form: Form) -> str:
    """What a form is called, by its labels and sizes.

    >>> from .forms import Term
    >>> H = Term((0,), ((0, 1, 2),), (0, 1), (0, 2))
    >>> structure(Form((7, 3), (7, 3), (H,), ((7, 3, 3),)))
    'block-diagonal'
    """
    if not form.terms:
        return "zero"
    if not form.square:
        return rectangular(form)
    if len(form.common) == len(form.rows):
        return "diagonal" if form.common - form.idle or not form.rows else "a multiple of the identity"
    inner = within(form)
    if not form.common:
        return inner
    outer = "Kronecker with the identity" if form.common == form.idle else "block-diagonal"
    return outer if inner == "dense" else f"{outer}, blocks {inner}"


def within(form: Form) -> str:
    """What the blocks along the common axes are called."""
    found = low_rank(form, form.common)
    if found is not None:
        rest = structure(form.of(found[1])) if found[1] else ""
        return (f"({rest})" if "," in rest else rest) + " plus low rank" * bool(rest) or "low rank"
    if not form.common and spectral(form) is not None:
        return "Kronecker product" if len(form.terms) == 1 else "sum of Kronecker products"
    return "dense"


def rectangular(form: Form) -> str:
    """The same where rows and columns differ."""
    ties = [term.deltas for term in form.terms]
    if not all(ties):
        return "low rank" if low_rank(form, frozenset()) is not None else "dense"
    if any(tie & term.carried for tie, term in zip(ties, form.terms, strict=True)):
        return "block-diagonal"
    return "Kronecker with the identity"
