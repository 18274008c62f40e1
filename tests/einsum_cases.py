"""einsum_cases: random contractions, legal and spoiled: what they mean, how they are written, and on which arrays.

A seed gives one case. Its labels are the written ones, of the form's alphabet; what an ellipsis stands for follows from
the shapes.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from random import Random
from types import EllipsisType
from typing import Any

import numpy as np

from .einsum_reference import label_sizes

Term = tuple[Hashable | EllipsisType, ...]
Array = np.ndarray

SPACE = 4_000  # assignments of the labels of an equation
WIDE_SPACE = 300_000  # of a few, whose plans take other ways than those of small arrays
LONG = 3_000  # a label that few equations have: longer than float16 can count
SMALL_SIZES = (1, 2, 2, 3, 3, 4, 5, 7)
WIDE_SIZES = (1, 2, 16, 31, 64, 100)
OUTPUT_RANK = 24


@dataclass(frozen=True)
class Equation:
    """Subscripts and the shapes of the operands; Ellipsis at most once in a term; no output means the implicit one."""

    terms: tuple[Term, ...]
    output: Term | None
    shapes: tuple[tuple[int, ...], ...]

    def inputs(self) -> list[tuple[Hashable, ...]]:
        return [written_out(term, len(shape)) for term, shape in zip(self.terms, self.shapes, strict=True)]

    def result(self) -> tuple[Hashable, ...]:
        """The labels of the result: of the implicit one the ellipsis, then those that occur once, sorted."""
        most = max(len(s) - len(t) + 1 if Ellipsis in t else 0 for t, s in zip(self.terms, self.shapes, strict=True))
        return written_out(self.output if self.output is not None else implicit(self.terms), most, rest=False)


def written_out(term: Term, rank: int, rest: bool = True) -> tuple[Hashable, ...]:
    """The term with its ellipsis's axes as labels, counted from the last; `rank` is that of the whole, or of those."""
    if Ellipsis not in term:
        return term
    at = term.index(Ellipsis)
    axes = rank - len(term) + 1 if rest else rank
    return (*term[:at], *(("...", n) for n in range(axes, 0, -1)), *term[at + 1 :])


def implicit(terms: Iterable[Term]) -> Term:
    count = Counter(label for term in terms for label in term)
    once: list[Any] = [label for label, n in count.items() if n == 1 and label is not Ellipsis]
    return (*([Ellipsis] if Ellipsis in count else []), *sorted(once))


# ---------------------------------------------------------------- forms


def text(e: Equation, operands: Sequence[Any], random: Random) -> list[Any]:
    """`"ij, jk -> ik", A, B`, now and then with spaces."""
    spell = lambda term: "".join("..." if l is Ellipsis else str(l) for l in term)  # noqa: E731
    comma, arrow = random.choice(((",", "->"), (",", "->"), (", ", " -> ")))
    tail = "" if e.output is None else arrow + spell(e.output)
    return [comma.join(map(spell, e.terms)) + tail, *operands]


def lists(e: Equation, operands: Sequence[Any], random: Random) -> list[Any]:
    """`A, [0, 1], B, [1, 2], [0, 2]`."""
    kind = random.choice((list, list, tuple))
    pairs = [part for x, term in zip(operands, e.terms, strict=True) for part in (x, kind(term))]
    return pairs + ([] if e.output is None else [kind(e.output)])


def letters(n: int, random: Random) -> list[Hashable]:
    return random.sample(string.ascii_letters, min(n, 52))


def alphabets(n: int, random: Random) -> list[Hashable]:
    return random.sample([chr(c) for c in (*range(97, 123), *range(0x3B1, 0x3C9), *range(0x4E00, 0x4E64))], n)


def small_numbers(n: int, random: Random) -> list[Hashable]:
    return random.sample(range(52), min(n, 52))


def numbers(n: int, random: Random) -> list[Hashable]:
    return random.sample(range(10**6), n)


def words(n: int, random: Random) -> list[Hashable]:
    return [f"{random.choice(('left', 'bond', 'Ω', 'a b'))}{k}" for k in random.sample(range(1000), n)]


def pairs(n: int, random: Random) -> list[Hashable]:
    return [(k // 7, "x" * (k % 3), k) for k in random.sample(range(1000), n)]


@dataclass(frozen=True)
class Form:
    function: str
    spell: Callable[[Equation, Sequence[Any], Random], list[Any]]
    labels: Callable[[int, Random], list[Hashable]]


FORMS = (
    *[Form("einsum", text, letters)] * 6,
    *[Form("einsum", lists, small_numbers)] * 3,
    *[Form("contract", text, letters)] * 2,
    Form("contract", text, alphabets),
    Form("contract", lists, numbers),
    Form("contract", lists, words),
    Form("contract", lists, pairs),
    Form("contract_expression", text, letters),
    Form("contract_expression", text, alphabets),
)


# ---------------------------------------------------------------- equations


def equation(random: Random, form: Form) -> Equation:
    """Hyperedges, diagonals, scalars, ellipses; sizes from zero on, and axes of size one that stretch."""
    many = random.random() < 0.03
    count = random.randint(10, 30) if many else random.choice((1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6))
    pool = form.labels(random.randint(1, 3 * count if many else 4 + count), random)
    dots = [random.choice((1, 2, 3)) for _ in range(random.randint(0, 3))] if random.random() < 0.2 else None
    sizes = dict(zip(pool, drawn_sizes(random, len(pool), SPACE // prod(dots or ())), strict=True))
    stretching, repeating = random.random() < 0.15, random.random() < 0.3 and max(sizes.values()) < 10
    terms, shapes = [], []
    for _ in range(count):
        rank = min(len(pool), random.choice((0, 1, 1, 2, 2) if many else (0, 1, 1, 2, 2, 2, 3, 3, 4)))
        term = random.choices(pool, k=rank) if repeating else random.sample(pool, rank)
        shape = [1 if stretching and term.count(l) == 1 and random.random() < 0.2 else sizes[l] for l in term]
        if dots is not None and random.random() < 0.7:
            at, axes = random.randint(0, rank), random.randint(0, len(dots))
            term[at:at] = [Ellipsis]
            shape[at:at] = [1 if random.random() < 0.25 else d for d in dots[len(dots) - axes :]]
        terms.append(tuple(term))
        shapes.append(tuple(shape))
    return Equation(tuple(terms), output(random, terms), tuple(shapes))


def drawn_sizes(random: Random, count: int, space: int) -> list[int]:
    """Of a product of at most `space`, or of twice the one that is long, or of WIDE_SPACE."""
    sizes, choices, kind = [], SMALL_SIZES, random.random()
    if kind < 0.02:
        space, sizes = 2 * LONG, [LONG]
    elif kind < 0.035:
        space, choices = space * WIDE_SPACE // SPACE, WIDE_SIZES
    empty = 0.1 if random.random() < 0.1 else 0.0
    while len(sizes) < count:
        size = 0 if random.random() < empty else random.choice(choices)
        sizes.append(size if size * prod(s or 1 for s in sizes) <= space else 1)
    random.shuffle(sizes)
    return sizes


def output(random: Random, terms: Sequence[Term]) -> Term | None:
    if random.random() < 0.25 and len(implicit(terms)) <= OUTPUT_RANK:
        return None
    used = list(dict.fromkeys(l for term in terms for l in term if l is not Ellipsis))
    chosen = random.sample(used, random.randint(0, min(len(used), random.choice((2, 4, OUTPUT_RANK)))))
    if any(Ellipsis in term for term in terms):
        chosen.insert(random.randint(0, len(chosen)), Ellipsis)
    return tuple(chosen)


# ---------------------------------------------------------------- arrays

try:
    from ml_dtypes import bfloat16
except ImportError:
    SMALL_FLOATS: tuple[Any, ...] = ("e",)
else:
    SMALL_FLOATS = ("e", bfloat16)

DTYPES = [*map(np.dtype, [*"?bBhHiIlL", *SMALL_FLOATS * 2, *"ffffddddFFDD", "g", "G"])]


def dtypes(random: Random, count: int) -> list[np.dtype[Any]]:
    """Of one kind mostly; no two are mixed that have no common dtype."""
    mixed = random.choices(random.sample(DTYPES, 2) if random.random() < 0.5 else DTYPES, k=count)
    try:
        [np.result_type(a, b) for a, b in combinations(set(mixed), 2)]
    except TypeError:
        return [mixed[0]] * count
    return mixed if random.random() < 0.25 else [mixed[0]] * count


def values(
    random: Random, draw: np.random.Generator, shape: tuple[int, ...], own: np.dtype[Any], common: np.dtype[Any]
) -> Array:
    """In its own dtype: products in the common one of thirty of them stay far from overflow and underflow, even of
    float32; those of integers may wrap."""
    small = draw.integers(0 if own.kind in "bu" else -3, 4, shape)
    if own.kind in "biu":
        wide = random.random() < 0.5 and own.kind != "b" and common.kind in "iu"
        return np.asarray(draw.integers(0, 2**63, shape) if wide else small).astype(own)
    match random.randrange(4):
        case 0:
            x = small.astype(np.float64)
        case 1:
            x = draw.uniform(0.5, 1.0, shape)
        case _:
            x = draw.uniform(0.125, 2.0, shape) * draw.choice([-1.0, 1.0], shape)
    return np.asarray(x + 1j * draw.uniform(-1, 1, shape) if own.kind == "c" else x).astype(own)


def fortran(x: Array, _: Random) -> Array:
    return x.copy(order="F")


def permuted(x: Array, random: Random) -> Array:
    order = random.sample(range(x.ndim), x.ndim)
    return x.transpose(order).copy().transpose(np.argsort(order))


def strided(x: Array, random: Random) -> Array:
    steps = [random.choice((1, 2, 3)) for _ in x.shape]
    room = np.zeros([d * step for d, step in zip(x.shape, steps, strict=True)], x.dtype)
    view = room[(..., *(slice(None, None, step) for step in steps))]
    view[...] = x
    return view


def backwards(x: Array, _: Random) -> Array:
    turned = (..., *[slice(None, None, -1)] * x.ndim)
    return x[turned].copy()[turned]


def repeated(x: Array, random: Random) -> Array:
    """Strides of zero along some axes: other values than x's."""
    first = tuple(slice(0, 1) if random.random() < 0.5 else slice(None) for _ in x.shape)
    return np.broadcast_to(x[first], x.shape)


def read_only(x: Array, _: Random) -> Array:
    x.flags.writeable = False
    return x


def swapped(x: Array, _: Random) -> Array:
    return x if x.dtype.kind == "V" else x.astype(x.dtype.newbyteorder())


def misaligned(x: Array, _: Random) -> Array:
    room = np.zeros(x.nbytes + 1, np.uint8)
    view = room[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def nested(x: Array, _: Random) -> Any:
    """Python's numbers and lists of them, where they make the same array."""
    return x.tolist() if np.array(x.tolist()).dtype == x.dtype and x.size else x


LAYOUTS: tuple[Callable[[Array, Random], Any], ...] = (
    fortran, permuted, permuted, strided, strided, backwards, repeated, read_only, swapped, misaligned, nested,
)  # fmt: skip


def operands(random: Random, e: Equation, kinds: Sequence[np.dtype[Any]], common: np.dtype[Any]) -> list[Any]:
    draw = np.random.default_rng(random.randrange(2**32))
    found: list[Any] = [values(random, draw, shape, own, common) for shape, own in zip(e.shapes, kinds, strict=True)]
    if found and random.random() < 0.03:
        not_finite(random, e, found)
    return [random.choice(LAYOUTS)(x, random) if random.random() < 0.35 else x for x in found]


def not_finite(random: Random, e: Equation, xs: Sequence[Array]) -> None:
    """An infinity or a nan, but where axes are empty: no product has it, and an order of multiplication may."""
    x = random.choice(xs)
    if x.dtype.kind not in "biu" and all(0 not in shape for shape in e.shapes):
        x.flat[random.randrange(x.size)] = random.choice((np.inf, -np.inf, np.nan))


# ---------------------------------------------------------------- options

NUMPY_ORDERS = (True, True, False, "greedy", "optimal", ("greedy", 50), "path")
OPT_EINSUM_ORDERS = (
    True, "auto", "auto-hq", "greedy", "random-greedy", "branch-1", "branch-2", "dp", "optimal", "path", "path", False,
)  # fmt: skip
SLOW_ORDERS = ("optimal", "auto-hq", "dp", "branch-2")  # not for many operands
DTYPE_OPTIONS = [*map(np.dtype, "bhilLefdFD")]


@dataclass(frozen=True)
class Case:
    """A call of one of the functions; it computes in `dtype`."""

    form: Form
    equation: Equation
    operands: list[Any]
    arguments: list[Any]
    keywords: dict[str, Any]
    dtype: np.dtype[Any]


def case(random: Random, form: Form, e: Equation, kinds: Sequence[np.dtype[Any]]) -> Case:
    keywords: dict[str, Any] = {}
    if random.random() < 0.4:
        keywords["optimize"] = order(random, form, len(kinds))
    if form.function == "einsum" and random.random() < 0.1:
        keywords |= casting(random, kinds)
    if form.function == "contract_expression" and random.random() < 0.4:
        keywords["constants"] = random.sample(range(len(kinds)), random.randint(0, len(kinds) - 1))
    dtype = np.dtype(keywords.get("dtype", np.result_type(*kinds)))
    xs = operands(random, e, kinds, dtype)
    if random.random() < 0.15:
        xs, keywords["out"] = with_out(random, e, xs, result_kind(random, form, dtype, keywords))
        dtype = dtype if "dtype" in keywords else np.result_type(dtype, keywords["out"])
    elif form.function == "einsum" and random.random() < 0.05:
        keywords["order"] = random.choice("CFAK")
    return Case(form, e, xs, form.spell(e, xs, random), keywords, dtype)


def order(random: Random, form: Form, count: int) -> Any:
    orders = NUMPY_ORDERS if form.function == "einsum" else OPT_EINSUM_ORDERS
    chosen = random.choice([o for o in orders if count < 6 or o not in SLOW_ORDERS])
    if form.function == "contract_expression" and chosen is False:
        return True  # refused by opt_einsum
    if chosen != "path":
        return chosen
    return ["einsum_path", *path(random, count)] if form.function == "einsum" else path(random, count)


def path(random: Random, count: int) -> list[tuple[int, ...]]:
    """Any order, mostly of pairs."""
    steps, left = [], count
    while left > 1 or not steps:
        together = min(left, random.choice((2, 2, 2, 3)))
        steps.append(tuple(random.sample(range(left), together)))
        left -= together - 1
    return steps


def casting(random: Random, kinds: Sequence[np.dtype[Any]]) -> dict[str, Any]:
    """What the operands may be cast to; across kinds only where no value is lost."""
    rule = random.choice(("safe", "same_kind", "unsafe"))
    within = "safe" if rule == "safe" else "same_kind"
    legal = [d for d in DTYPE_OPTIONS if all(np.can_cast(k, d, within) for k in kinds)]
    if not legal:
        return {"casting": rule}
    return {"dtype": random.choice(legal)} | ({} if rule == "safe" and random.random() < 0.5 else {"casting": rule})


def result_kind(random: Random, form: Form, dtype: np.dtype[Any], keywords: dict[str, Any]) -> np.dtype[Any]:
    """The dtype of `out`: another one only where numpy's einsum says what that means."""
    if form.function != "einsum" or random.random() < 0.6:
        return dtype
    legal = [
        d for d in DTYPE_OPTIONS if np.can_cast(dtype, d, keywords.get("casting", "safe")) and d.kind == dtype.kind
    ]
    return random.choice(legal or [dtype])


def with_out(random: Random, e: Equation, xs: list[Any], dtype: np.dtype[Any]) -> tuple[list[Any], Array]:
    """The operands, and an array for the result: of any layout, or in the memory of a new copy of an operand."""
    sizes = label_sizes(e.inputs(), e.shapes)
    shape = tuple(sizes[l] for l in e.result())
    shared = [k for k, x in enumerate(xs) if isinstance(x, Array) and x.dtype == dtype]
    if shared and random.random() < 0.4:
        k, n = random.choice(shared), prod(shape)
        room = np.zeros(max(xs[k].size, n) + 2, dtype)
        at = random.randint(0, 2)
        own = room[at : at + xs[k].size].reshape(xs[k].shape)
        own[...] = xs[k]
        return [*xs[:k], own, *xs[k + 1 :]], room[1 : 1 + n].reshape(shape)
    out = np.ones(shape, dtype)
    layout = random.choice((fortran, permuted, strided, backwards, swapped, misaligned))
    return xs, layout(out, random) if random.random() < 0.5 else out
