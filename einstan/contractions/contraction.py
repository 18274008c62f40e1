"""contraction: one product of arrays summed over labels: nodes, an order, a plan, its source; made once for given
shapes and kept.

Laws: an array of exactly the shape and dtype that a contraction was made for gives a fresh array; integers wrap as
they do in numpy, bools are added by `or`; numpy's warnings are off. Axes of size 1 that say nothing (their label is
summed, or has another size elsewhere) are taken off before anything is computed.

Letters: k counts operands, d is a size.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from ..arrays import MAX_RANK, Array, DType
from ..collector import paused
from ..dims import Dim
from ..emit import emit
from ..errors import EinstanError
from ..ir import Einsum, Labels, Node, einsum, input_
from ..memory import check_memory
from ..order import as_written, associate
from ..orders.methods import check_path
from ..placing import direct
from ..plan import Plan, lowered
from ..plan.dtypes import kept
from ..running import OWN_ERRSTATE, Bound, quiet_context
from ..slicing import fitting
from .subscripts import ArrayShape

Path = tuple[tuple[int, ...], ...]  # opt_einsum's: places in a list that shrinks; the products go to its end
Method = str | Path | Callable[..., Any]  # what methods.py knows: "auto" is einstan's own choice
Term = tuple[Node, Labels]

KEPT: Final = 1024
UNNOTED: Final = 1 << 18  # bytes of a workspace that is kept without being counted
QUIET: Final = quiet_context()  # a copy of it is entered by each call


class Contraction:
    """A contraction for operands of given shapes and one dtype.

    `compute(arrays)` is the result for arrays of just these: a fresh array, its axes laid out as is cheapest. `plan`
    has `steps`, `flops`, `bytes`, `peak_bytes`; `source` is the generated numpy source.
    """

    __slots__ = ("_bound", "_hints", "_perm", "_trims", "compute", "plan", "shape")
    compute: Callable[[Sequence[Array]], Array]

    def __init__(self, made: Plan, bound: Bound, trims: Trims, perm: Labels | None, hints: Hints) -> None:
        self.plan, self._bound, self._perm, self._hints = made, bound, perm, hints
        self._trims = trims if any(index is not None for index in trims) else None
        shape = made.results[0].shape
        self.shape = shape if perm is None else tuple([shape[n] for n in perm])
        self.compute = self._compute if self._trims is not None or perm is not None else shortest(bound)

    def _compute(self, arrays: Sequence[Array]) -> Array:
        found = called(self._bound, arrays if self._trims is None else trimmed(arrays, self._trims))
        return found if self._perm is None else found.transpose(self._perm)

    def write(self, arrays: Sequence[Array], out: Array) -> None:
        """The result written into an array of its shape, which may overlap the operands."""
        values = arrays if self._trims is None else trimmed(arrays, self._trims)
        place = out if self._perm is None else out.transpose(inverse(self._perm))
        if direct([place], values, self.plan.results):
            self._bound.write(values, (place,))
        else:
            with np.errstate(all="ignore"):
                np.copyto(place, called(self._bound, values), casting="unsafe")

    @property
    def source(self) -> str:
        """The generated numpy source; its `kernel` takes the operands and gives a tuple of the one result."""
        return emit(self.plan, self._hints)


Trims = tuple[tuple[slice | int, ...] | None, ...]
Hints = dict[str, tuple[str, ...]]


# ---------------------------------------------------------------- calling


def shortest(bound: Bound) -> Callable[[Sequence[Array]], Array]:
    """The call of a plan: just its function, where that needs no workspace."""
    if bound.large or bound.pick is not None or bound.plan.arena or not OWN_ERRSTATE:
        return lambda arrays: called(bound, arrays)
    functions = bound.compiled()
    run, results, quiet = functions.run, functions.results, QUIET.copy
    if functions.workspace():
        return lambda arrays: called(bound, arrays)
    if all(step.out.dtype.kind in "biu" for step in bound.plan.steps):  # they never warn
        return lambda arrays: run(arrays, (), results())[0]
    return lambda arrays: quiet().run(run, arrays, (), results())[0]


class Retained:
    """The workspaces that wait for another call: the last used ones, of no more than `limit` bytes together."""

    def __init__(self, limit: int) -> None:
        self.limit, self.lock, self.used = limit, threading.Lock(), dict[Bound, int]()

    def note(self, bound: Bound, nbytes: int) -> None:
        """This one was used now; those that were not for longest give their memory back."""
        with self.lock:
            self.used.pop(bound, None)
            self.used[bound] = nbytes
            while sum(self.used.values()) > self.limit:
                oldest = next(iter(self.used))
                del self.used[oldest]
                oldest.pool.clear()


RETAINED: Final = Retained(1 << 28)


def called(bound: Bound, arrays: Sequence[Array]) -> Array:
    """The result in a workspace that is kept, if there is room."""
    (found,) = bound.call(arrays)
    if bound.plan.peak_bytes > UNNOTED:
        RETAINED.note(bound, bound.plan.peak_bytes)
    return found  # type: ignore[no-any-return]


@lru_cache(maxsize=KEPT)
def contraction(
    terms: tuple[Labels, ...],
    out: Labels,
    shapes: tuple[ArrayShape, ...],
    dtype: DType,
    method: Method = "auto",
    names: tuple[str, ...] = (),
) -> Contraction:
    """The contraction of operands of these labels, shapes and dtype, ordered by the method; `names` are those of the
    labels, for formulas. The labels are such as `subscripts.read` gives.

    Raises EinstanError where the plan needs more memory than there is.

    >>> c = contraction(((0, 1), (1, 2)), (0, 2), ((2, 3), (3, 5)), np.dtype(float), names=("i", "j", "k"))
    >>> c.plan.flops, c.compute([np.ones((2, 3)), np.ones((3, 5))]).shape
    (60, (2, 5))
    >>> print(c.plan.steps[0].formula)
    v0[i,k] = v2[i,J] v1[J,k]
    """
    sizes = sizes_of(terms, shapes)
    trims = tuple(trim(own, shape, sizes, out) for own, shape in zip(terms, shapes, strict=True))
    own = tuple(labels if t is None else remaining(labels, t) for labels, t in zip(terms, trims, strict=True))
    with paused():
        leaves, env, hints = inputs(own, sizes, names, [f"x{k}" for k in range(len(own))])
        root, perm = laid_out(nested(leaves, out, env, method))
        dtypes = {node.name: dtype for node, _ in leaves}  # type: ignore[attr-defined]

        def make(outputs: Sequence[Node], first: Sequence[Node]) -> Plan:
            return lowered(outputs, first, env, dtypes, hints, promotion=kept)

        made = fitting([root], env, make, None)
    check_rank(made)
    check_memory(made)
    key = tuple([(tuple([sizes[label] for label in labels]), dtype) for labels in own])
    return Contraction(made, Bound(made, list(dtypes), key, 0, {}), trims, perm, hints)


# ---------------------------------------------------------------- operands


def sizes_of(terms: Sequence[Labels], shapes: Sequence[ArrayShape]) -> dict[int, int]:
    """The size of each label: the one that is not 1, if there is one."""
    sizes: dict[int, int] = {}
    for own, shape in zip(terms, shapes, strict=True):
        for label, d in zip(own, shape, strict=True):
            if sizes.get(label, 1) == 1:
                sizes[label] = d
    return sizes


def trim(own: Labels, shape: ArrayShape, sizes: dict[int, int], out: Labels) -> tuple[slice | int, ...] | None:
    """The index that takes off axes of size 1 which say nothing; None if there are none."""
    idle = [d == 1 and (label not in out or sizes[label] != 1) for label, d in zip(own, shape, strict=True)]
    return tuple([0 if gone else slice(None) for gone in idle]) if any(idle) else None


def remaining(own: Labels, index: tuple[slice | int, ...]) -> Labels:
    return tuple([label for label, entry in zip(own, index, strict=True) if entry != 0])


def trimmed(arrays: Sequence[Array], trims: Trims) -> list[Array]:
    return [a if index is None else a[(*index, ...)] for a, index in zip(arrays, trims, strict=True)]


def inputs(
    terms: Sequence[Labels], sizes: Mapping[int, int], names: Sequence[str], called: Sequence[str]
) -> tuple[list[Term], dict[str, int], Hints]:
    """A node for each operand, the sizes of the symbols on its axes, and letters for formulas; operands are `called`
    so, their labels have `names`."""
    operands = list(zip(called, terms, strict=True))
    symbols: dict[int, str] = {}
    for name, own in operands:
        for axis, label in enumerate(own):
            symbols.setdefault(label, f"{name}.{axis}")
    dims = {label: Dim.symbol(symbol) for label, symbol in symbols.items()}
    leaves: list[Term] = [(input_(name, tuple([dims[x] for x in own])), own) for name, own in operands]
    env = {symbol: sizes[label] for label, symbol in symbols.items()}
    hints = {name: tuple([names[x] for x in own]) for name, own in operands} if names else {}
    return leaves, env, hints


# ---------------------------------------------------------------- order


def nested(leaves: list[Term], out: Labels, env: dict[str, int], method: Method) -> Node:
    """The product as a tree of binary products, ordered by the method."""
    if isinstance(method, tuple):
        check_path(method, len(leaves))
        return associate([stepwise(leaves, out, method)], env)[0]
    root = einsum([node for node, _ in leaves], [own for _, own in leaves], out)
    return associate([root], env, as_written(method, [f"x{k}" for k in range(len(leaves))]))[0]


def stepwise(leaves: Sequence[Term], out: Labels, path: Path) -> Node:
    """The product along a path; what one step takes is one product, in whatever order is best."""
    live = list(leaves)
    carriers = Counter([*out, *(label for _, own in live for label in set(own))])
    for step in path[:-1]:
        taken = [live[k] for k in sorted(step)]
        for k in sorted(step, reverse=True):
            del live[k]
        carriers.subtract(label for _, own in taken for label in set(own))
        labels = tuple(x for x in dict.fromkeys(label for _, own in taken for label in own) if carriers[x])
        live.append((einsum([node for node, _ in taken], [own for _, own in taken], labels), labels))
        carriers.update(labels)
    return einsum([node for node, _ in live], [own for _, own in live], out)


# ---------------------------------------------------------------- layout


def laid_out(root: Node) -> tuple[Node, Labels | None]:
    """The root with its axes in the order that is computed without a copy, and how they are put in order after."""
    if not isinstance(root, Einsum):
        return root, None
    order = cheapest(root)
    if order == root.out:
        return root, None
    return einsum(root.operands, root.labels, order), tuple([order.index(label) for label in root.out])


def cheapest(e: Einsum) -> Labels:
    """The order in which the last step writes its result into memory as it comes."""
    if len(e.operands) == 1:
        return in_order(e.out, tuple(dict.fromkeys(e.labels[0])))
    left, right = (tuple(dict.fromkeys(own)) for own in e.labels)
    if set(left) == set(right) or not e.summed:
        return next((in_order(e.out, own) for own in (left, right) if set(own) >= set(e.out)), e.out)
    batch = tuple([label for label in e.out if label in left and label in right])
    m = tuple([label for label in left if label not in right])
    n = tuple([label for label in right if label not in left])
    return e.out if writes_directly(e.out, m, n) else batch + m + n


def in_order(labels: Labels, order: Labels) -> Labels:
    return tuple([label for label in order if label in labels])


def writes_directly(out: Labels, m: Labels, n: Labels) -> bool:
    """Whether a product of matrices [..,m,n] or [..,n,m] goes into an array of these axes: rows and columns lie
    unbroken, one of them innermost."""
    return stretch(m, out) and stretch(n, out) and (not out or out[-1] in m or out[-1] in n)


def stretch(group: Labels, labels: Labels) -> bool:
    if not group:
        return True
    start = labels.index(group[0])
    return labels[start : start + len(group)] == group


def inverse(perm: Labels) -> Labels:
    return tuple([perm.index(n) for n in range(len(perm))])


def check_rank(made: Plan) -> None:
    deepest = max((len(step.out.shape) for step in made.steps), default=0)
    if deepest > MAX_RANK:
        raise EinstanError(
            f"This order has an intermediate of {deepest} axes, and arrays have {MAX_RANK} at most.",
            'Write optimize="auto", or another path.',
        )
