"""Random contractions against the definition; and the definition itself, against numpy and against wrong results."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import prod
from random import Random

import numpy as np
import pytest

import einstan as es

from .einsum_cases import Case, Form, alphabets, equation, letters, lists, operands, text, values
from .einsum_fuzz import of_seed, trouble
from .einsum_reference import contraction, mistake
from .einsum_spoiled import SPOILERS, Spoiler

EQUATIONS = 300


@pytest.mark.parametrize("start", range(0, EQUATIONS, 50))
def test_random_equations(start: int) -> None:
    found = [f"seed {seed}: {what}" for seed in range(start, start + 50) if (what := trouble(seed))]
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(10**6, 10**6 + 10_000, 1_000))
def test_more_random_equations(start: int) -> None:
    found = [f"seed {seed}: {what}" for seed in range(start, start + 1_000) if (what := trouble(seed))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", [[(0, 1, 2, 3)], [(1, 2, 3), (0, 1)], [(0, 3), (0, 1, 2)], [(0, 1), (0, 1), (0, 1)]])
def test_half_floats_are_rounded_once_whatever_the_path(path: list[tuple[int, ...]]) -> None:
    draw = np.random.default_rng(0)
    terms = ["ijk", "jl", "li", "kl"]
    xs = [draw.uniform(1, 2, [{"i": 3, "j": 2, "k": 50, "l": 2}[l] for l in term]).astype("e") for term in terms]
    truth = contraction(terms, "ik", xs)
    out = np.empty((3, 50), "e")
    assert mistake(truth, es.contract(",".join(terms) + "->ik", *xs, optimize=path)) == ""
    assert es.contract(",".join(terms) + "->ik", *xs, optimize=path, out=out) is out
    assert mistake(truth, out) == ""


def test_bfloat16_goes_into_scalars_of_its_own() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    a, out = np.full(3000, 1.5, bfloat16), np.empty((), bfloat16)
    assert es.einsum("i,i->", a, a, out=out) is out
    assert mistake(contraction(["i", "i"], "", [a, a]), out) == ""


# ---------------------------------------------------------------- the reference

LETTERS = Form("einsum", text, letters)


def drawn(seed: int, dtype: str) -> tuple[list[tuple], tuple, list[np.ndarray], list]:
    """Labels, those of the result, operands, and how numpy's einsum is called for it."""
    random = Random(seed)
    e = equation(random, LETTERS)
    xs = [np.asarray(x) for x in operands(random, e, [np.dtype(dtype)] * len(e.terms), np.dtype(dtype))]
    return e.inputs(), e.result(), xs, text(e, xs, random)


def in_words(inputs: list[tuple], output: tuple, xs: list[np.ndarray]) -> dict[tuple[int, ...], int]:
    """The same sums by Python's integers, one assignment after the other."""
    sizes = {}
    for labels, x in zip(inputs, xs, strict=True):
        for l, d in zip(labels, x.shape, strict=True):
            sizes[l] = d if sizes.get(l, 1) == 1 else sizes[l]
    sums = dict.fromkeys(product(*(range(sizes[l]) for l in output)), 0)
    for places in product(*map(range, sizes.values())):
        at = dict(zip(sizes, places, strict=True))
        entries = (
            int(x[tuple(at[l] if d > 1 else 0 for l, d in zip(labels, x.shape, strict=True))])
            for labels, x in zip(inputs, xs, strict=True)
        )
        sums[tuple(at[l] for l in output)] += prod(entries)
    return sums


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "i8", "u8"])
def test_integers_by_pythons_integers(dtype: str) -> None:
    for seed in range(40):
        inputs, output, xs, _ = drawn(seed, dtype)
        truth = contraction(inputs, output, xs)
        bits = 8 * truth.dtype.itemsize
        for at, total in in_words(inputs, output, xs).items():
            one = truth.value.astype(dtype)[at]
            assert one == (total > 0) if dtype == "?" else (int(one) - total) % 2**bits == 0


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f4", "f8", "F", "D", "g"])
def test_numpy_agrees(dtype: str) -> None:
    for seed in range(60):
        inputs, output, xs, call = drawn(seed, dtype)
        assert mistake(contraction(inputs, output, xs), np.einsum(*call)) == "", call[0]


CAUGHT = [("i4", 1), ("u8", 1), ("f2", 4e-3), ("f4", 1e-4), ("f8", 1e-12), ("F", 1e-4), ("D", 1e-12), ("g", 1e-15)]


@pytest.mark.parametrize(("dtype", "change"), CAUGHT)
def test_one_wrong_entry_is_caught(dtype: str, change: float) -> None:
    draw = np.random.default_rng(0)
    for seed in range(20):
        a, b = (values(Random(seed), draw, shape, np.dtype(dtype), np.dtype(dtype)) for shape in [(3, 4, 2), (4, 2)])
        truth = contraction(["ijk", "jk"], "ik", [a, b + b.dtype.type(4)])
        got = truth.value.astype(dtype)
        assert mistake(truth, got) == ""
        at = tuple(int(n) for n in draw.integers(got.shape))
        got[at] += change if truth.dtype.kind in "iu" else change * (1 + abs(got[at]))
        assert mistake(truth, got).startswith("1 of 6 entries are wrong: at " + str(at))


SENTENCES = [
    (np.zeros((2, 3)), "the shape is (2, 3), not (3, 2)"),
    (np.full((3, 2), np.nan), "6 of 6 entries are wrong"),
    (np.full((3, 2), np.inf), "6 of 6 entries are wrong"),
]


@pytest.mark.parametrize(("got", "sentence"), SENTENCES)
def test_what_is_wrong_is_said(got: np.ndarray, sentence: str) -> None:
    assert mistake(contraction(["ij"], "ji", [np.ones((2, 3))]), got).startswith(sentence)


def test_half_floats_are_judged_as_sums_of_single_ones() -> None:
    ones = np.ones(5000, np.float16)
    truth = contraction(["i"], "", [ones])
    assert mistake(truth, np.float16(5000)) == ""
    assert mistake(truth, np.einsum("i->", ones).astype(np.float16)) == ""
    assert mistake(truth, np.float16(2048)) != ""  # where a sum in float16 stops


def test_an_entry_of_finite_products_is_judged_beside_one_that_has_none() -> None:
    a = np.array([[np.inf, 1.0], [1.0, 1.0]])
    truth = contraction(["ij"], "i", [a])
    assert mistake(truth, np.array([np.inf, 2.0])) == ""
    assert mistake(truth, np.array([5.0, 2.0])).startswith("1 of 2 entries are wrong: at (0,)")
    assert mistake(truth, np.array([np.inf, np.nan])).startswith("1 of 2 entries are wrong: at (1,)")


# ---------------------------------------------------------------- the cases


def counts(c: Case) -> Counter:
    """In how many operands each label is."""
    return Counter(label for term in c.equation.terms for label in set(term))


def arrays(c: Case) -> list[np.ndarray]:
    return [x for x in c.operands if isinstance(x, np.ndarray)]


FEATURES = {
    "a label of three operands": lambda c: max(counts(c).values(), default=0) > 2,
    "a diagonal": lambda c: any(len(set(term)) < len(term) for term in c.equation.terms),
    "a scalar": lambda c: () in c.equation.shapes and len(c.operands) > 1,
    "ellipses of several ranks": lambda c: len({len(ls) for ls in dots(c)}) > 1,
    "an implicit output": lambda c: c.equation.output is None,
    "an empty axis": lambda c: any(0 in shape for shape in c.equation.shapes),
    "an axis that stretches": lambda c: any(1 in d and len(d) > 1 for d in label_sets(c).values()),
    "ten operands": lambda c: len(c.operands) >= 10,
    "lists": lambda c: c.form.spell is lists,
    "labels of any alphabet": lambda c: c.form.labels is alphabets and not str(c.arguments[0]).isascii(),
    "half floats": lambda c: c.dtype == np.float16,
    "complex": lambda c: c.dtype == np.complex64,
    "booleans": lambda c: c.dtype == np.bool_,
    "mixed dtypes": lambda c: len({x.dtype.kind for x in arrays(c)}) > 1,
    "zero strides": lambda c: any(0 in x.strides for x in arrays(c) if 1 not in x.shape),
    "negative strides": lambda c: any(min(x.strides, default=0) < 0 for x in arrays(c)),
    "read-only": lambda c: any(not x.flags.writeable and 0 not in x.strides for x in arrays(c)),
    "swapped bytes": lambda c: any(not x.dtype.isnative for x in arrays(c)),
    "misaligned": lambda c: any(not x.flags.aligned for x in arrays(c)),
    "python's lists": lambda c: any(isinstance(x, list) for x in c.operands),
    "out": lambda c: "out" in c.keywords,
    "out over an operand": lambda c: any(np.may_share_memory(x, c.keywords.get("out", ())) for x in arrays(c)),
    "dtype": lambda c: "dtype" in c.keywords,
    "order": lambda c: "order" in c.keywords,
    "constants": lambda c: c.keywords.get("constants"),
    "a path": lambda c: isinstance(c.keywords.get("optimize"), list),
}


def dots(c: Case) -> list[list]:
    """The axes of each ellipsis."""
    pairs = zip(c.equation.terms, c.equation.inputs(), strict=True)
    return [[l for l in labels if isinstance(l, tuple) and l[0] == "..."] for term, labels in pairs if Ellipsis in term]


def label_sets(c: Case) -> dict:
    """The sizes that the axes of each label have."""
    found: dict = {}
    for labels, shape in zip(c.equation.inputs(), c.equation.shapes, strict=True):
        for label, d in zip(labels, shape, strict=True):
            found.setdefault(label, set()).add(d)
    return found


@pytest.mark.parametrize("feature", FEATURES)
def test_every_feature_is_drawn(feature: str) -> None:
    assert any(FEATURES[feature](c) for seed in range(EQUATIONS) for c in of_seed(seed)[1])


@pytest.mark.parametrize("spoiler", SPOILERS, ids=lambda f: f.__name__)
def test_numpy_refuses_what_is_spoiled(spoiler: Spoiler) -> None:
    """Where no axis is empty: of those numpy reads what is not there."""
    drawn = [(Random(seed), equation(Random(seed), LETTERS)) for seed in range(200)]
    made = [(random, wrong) for random, e in drawn if (wrong := spoiler(random, e)) and 0 not in sum(wrong.shapes, ())]
    assert made
    for random, wrong in made:
        with pytest.raises(ValueError):
            np.einsum(text(wrong, [], random)[0], *map(np.ones, wrong.shapes))
