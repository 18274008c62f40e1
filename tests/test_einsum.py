"""es.einsum and es.einsum_path: numpy's rules, computed here. np.einsum is the truth for values and layouts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import count, pairwise
from string import ascii_letters, ascii_lowercase
from typing import Any

import numpy as np
import pytest

import einstan as es
import einstan.contractions.calls
import einstan.contractions.contraction
from einstan.contractions.contraction import Retained, contraction
from einstan.contractions.subscripts import read
from einstan.errors import EinstanTypeError
from einstan.running import Bound

SIZES = dict(zip("abcdefghijklmn", (2, 3, 5, 7, 2, 3, 5, 2, 3, 5, 2, 3, 7, 5), strict=True))
LARGE = dict.fromkeys("abcdefghijklmn", 17)

# One equation for each shape of a last step: products, sums, diagonals, folds, matrices, and every place of a result.
EQUATIONS = """
    ij,jk->ik ij,jk->ki ji,jk->ik ij,kj->ki bij,bjk->bik bij,bjk->ikb bij,bjk->kbi ibj,bjk->bki ij,j->i ij,i->j j,ij->i
    ijk,j->ik ijk,j->ki j,ijk->ik ijkl,jk->il ijkl,jk->li ijk,jil->kl ijk,jil->lk aib,bjc->aijc abcd,bedf->acef
    i,j->ij i,j->ji i,j,k->kij ij,ij->ij ij,ij->ji ij,ji->ij ij,j->ij ij,j->ji ij,ik->ijk ,ij->ji ij,kl->jlik ,->
    ij,ij-> ij,ji-> ij,ij->i ij,ij->j bij,bij->jb i,i-> ij-> ij->i ij->j ijk->j ijkl->ki ijkl->lj i-> ij,kl-> ij,k->k
    ii-> ii,i->i iij->j iij,jk->ik iji,i->j ijij-> iijj->ij ab,bc,cd,da-> ab,bc,cd->ad ea,fb,abcd,gc,hd->efgh a,a,a->a
    aab,fa,df,ecc->bde fdf,cdd,ccd,afe->ae bgk,bkd,bk->bgd a,ac,ab,ad,cd,bd,bc-> ab,ab,c->c bi,bj,bk->ijk
""".split()


def operands(equation: str, sizes: dict[str, int], dtype: Any = float, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = [[sizes[label] for label in term] for term in equation.split("->")[0].split(",")]
    return [random.integers(-3 if np.dtype(dtype).kind in "ifc" else 0, 4, shape).astype(dtype) for shape in shapes]


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("sizes", [SIZES, LARGE], ids=["primes", "large"])
@pytest.mark.parametrize("equation", EQUATIONS)
def test_values(equation: str, sizes: dict[str, int]) -> None:
    """Small integers: every order of summation gives the same floats."""
    small = len(set(equation) - set(",->")) <= 5
    arrays = operands(equation, sizes if small else SIZES)
    expected = np.einsum(equation, *arrays)
    found = es.einsum(equation, *arrays)
    np.testing.assert_array_equal(found, expected)
    assert found.shape == expected.shape and found.dtype == expected.dtype and type(found) is type(expected)


DTYPES = "? i1 u1 i2 u2 i4 u4 i8 u8 q Q f2 f4 f8 c8 c16".split()


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_stay(dtype: str) -> None:
    for equation in EQUATIONS:
        arrays = operands(equation, SIZES, dtype)
        found = es.einsum(equation, *arrays)
        assert found.dtype == np.einsum(equation, *arrays).dtype
        wide = "f8" if dtype == "f2" else dtype
        exact = np.einsum(equation, *[a.astype(wide) for a in arrays])
        np.testing.assert_array_equal(found, exact.astype(dtype))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u4", "i8", "u8"])
def test_integers_wrap_as_in_numpy(dtype: str) -> None:
    info = np.iinfo(dtype)
    a = np.random.default_rng(0).integers(info.min, info.max, (40, 40), dtype)
    for equation in ("ij,jk->ik", "ij,ij->i", "ij->j", "ij,jk,kl->il", "ij,ij->ij"):
        arrays = [a] * len(equation.split("->")[0].split(","))
        np.testing.assert_array_equal(es.einsum(equation, *arrays), np.einsum(equation, *arrays))


def test_bools_never_count() -> None:
    """65 products of ones have 2^64 paths, which an int64 would call none."""
    ones = np.ones((2, 2), bool)
    chain = [part for k in range(40) for part in (ones, [k, k + 1])]
    assert es.einsum(*chain, [0, 40]).dtype == bool
    assert es.einsum(*chain, [0, 40]).all()
    many = contraction(tuple((k, k + 1) for k in range(65)), (0, 65), ((2, 2),) * 65, np.dtype(bool))
    assert many.compute([ones] * 65).all()


def test_half_precision_is_summed_in_single() -> None:
    ones = np.ones(5000, np.float16)
    for found in (es.einsum("i->", ones), es.einsum("i,i->", ones, ones), es.einsum("i,i,i->", ones, ones, ones)):
        assert found == 5000 and found.dtype == np.float16


def test_bfloat16_is_summed_in_single() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    ones = np.ones((2, 500), bfloat16)
    found = es.einsum("ij,kj->ik", ones, ones)
    assert found.dtype == bfloat16 and (found == 500).all()
    out = np.zeros((2, 2), bfloat16)
    assert es.einsum("ij,kj->ik", ones, ones, out=out) is out and (out == 500).all()
    assert es.einsum("ij,kj->ik", ones, ones.astype(np.float32)).dtype == np.float32


MIXED = [("f4", "f8"), ("i4", "f4"), ("i1", "u8"), ("?", "i1"), ("f4", "c8"), ("f8", "c8"), ("f2", "i1")]


@pytest.mark.parametrize("dtypes", MIXED, ids=lambda pair: "-".join(pair))
def test_mixed_dtypes_are_promoted_at_once(dtypes: tuple[str, str]) -> None:
    """Not pair by pair: int8 times int8 beside a float does not wrap."""
    a, b = np.full(3, 100).astype(dtypes[0]), np.full(3, 100).astype(dtypes[1])
    found = es.einsum("i,i,i->i", a, a, b)
    assert found.dtype == np.result_type(a, b)
    np.testing.assert_array_equal(found, np.einsum("i,i,i->i", a, a, b))


@pytest.mark.parametrize("dtype", ["f8", "i1", "?", "G", "O"])
def test_empty_axes(dtype: str) -> None:
    """numpy itself writes past the end of empty arrays of clongdouble."""
    ones = lambda *shape: np.ones(shape, dtype)  # noqa: E731
    assert es.einsum("ij->", ones(0, 3)) == 0
    np.testing.assert_array_equal(es.einsum("ij,jk->ik", ones(2, 0), ones(0, 3)), np.zeros((2, 3)))
    for found, shape in [
        (es.einsum("ij,jk->ik", ones(0, 2), ones(2, 3)), (0, 3)),
        (es.einsum("i,i->i", ones(0), ones(1)), (0,)),
        (es.einsum("ij,ik->ikj", ones(5, 0), ones(5, 3), optimize=False), (5, 3, 0)),
    ]:
        assert found.shape == shape and found.dtype == np.dtype(dtype)


# ---------------------------------------------------------------- operands


LAYOUTS = {
    "C": lambda a: a.copy(),
    "Fortran": lambda a: np.array(a, order="F"),
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "backwards": lambda a: a[..., ::-1].copy()[..., ::-1] if a.ndim else a,
    "read-only": lambda a: read_only(a),
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": lambda a: unaligned(a),
    "matrix": lambda a: np.matrix(a) if a.ndim == 2 else a,
    "list": lambda a: a.tolist(),
}


def read_only(a: np.ndarray) -> np.ndarray:
    b = a.copy()
    b.flags.writeable = False
    return b


def unaligned(a: np.ndarray) -> np.ndarray:
    b = np.ndarray(a.shape, a.dtype, np.zeros(a.nbytes + 1, np.uint8), 1)
    b[...] = a
    return b


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_gives_what_a_contiguous_copy_gives(layout: str) -> None:
    for equation in EQUATIONS:
        arrays = operands(equation, SIZES)
        shown = [LAYOUTS[layout](a) for a in arrays]
        before = [np.array(x) for x in shown]
        found = es.einsum(equation, *shown)
        assert type(found) in (np.ndarray, np.float64)
        np.testing.assert_array_equal(found, np.einsum(equation, *arrays))
        assert all(np.array_equal(a, b) for a, b in zip(shown, before, strict=True))


def test_zero_strides() -> None:
    a = np.broadcast_to(np.arange(3.0), (1000, 3))
    np.testing.assert_array_equal(es.einsum("ij,kj->ik", a, a[:5]), np.einsum("ij,kj->ik", a, a[:5]))
    assert es.einsum("ij->", a) == 3000


@pytest.mark.parametrize("equation", [e for e in EQUATIONS if e != "iijj->ij"])
def test_results_share_no_memory(equation: str) -> None:
    arrays = operands(equation, SIZES)
    first, second = es.einsum(equation, *arrays), es.einsum(equation, *arrays)
    assert not any(np.shares_memory(first, a) for a in (*arrays, second))


STRETCHED = [
    ("ij,ij->ij", (2, 3), (1, 3)),
    ("ij,ij->j", (10, 2), (1, 2)),
    ("i,i", (2,), (1,)),
    ("ij,jk->ik", (2, 1), (3, 5)),
    ("...ij,...jk->...ik", (1, 5), (5, 5)),
    ("cij,cjk->cik", (1, 4, 5), (3, 1, 6)),
    ("ii,i->i", (1, 1), (3,)),
    ("ij,j->ij", (2, 1), (1,)),
    ("i,j->ij", (1,), (1,)),
    ("ij,kj->ik", (1, 3), (5, 3)),
]


@pytest.mark.parametrize(("equation", "left", "right"), STRETCHED)
def test_axes_of_size_one_broadcast(equation: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    a, b = (np.arange(1.0, 1 + np.prod(shape)).reshape(shape) for shape in (left, right))
    np.testing.assert_array_equal(es.einsum(equation, a, b), np.einsum(equation, a, b))


WRONG_SIZES = [
    ("ii->i", np.empty((1, 10**6))[0:0]),
    ("ii->i", np.empty((0, 1))),
    ("ii", np.ones((1, 3))),
    ("iji->j", np.ones((3, 2, 1))),
]


@pytest.mark.parametrize(("equation", "a"), WRONG_SIZES, ids=["empty", "zero and one", "trace", "inside"])
@pytest.mark.parametrize("options", [{}, {"optimize": False}, {"order": "F"}, {"dtype": object}], ids=str)
def test_a_diagonal_of_two_sizes_is_refused(equation: str, a: np.ndarray, options: dict[str, Any]) -> None:
    with pytest.raises(es.EinstanShapeError, match="has two sizes"):
        es.einsum(equation, a, **options)


def test_what_is_no_array_of_numbers_is_refused() -> None:
    refused = [np.ma.masked_array([1.0], [True]), Sparse(), [[1], [1, 2]]]
    for x in refused:
        with pytest.raises(es.EinstanError):
            es.einsum("i->", x)


class Sparse:
    nnz, shape, dtype = 0, (1,), np.dtype(float)

    def toarray(self) -> np.ndarray:
        return np.zeros(1)


def test_numpy_has_the_last_word_on_other_dtypes() -> None:
    assert es.einsum("i,i->", np.array([1, 2], object), np.array([3, 10**30], object)) == 3 + 2 * 10**30
    assert es.einsum("i,i,i->", *[np.array([0.5], np.longdouble)] * 3) == np.longdouble(0.125)
    texts = [np.array(["a"], kind()) for kind in [getattr(np.dtypes, "StringDType", None)] if kind]  # of numpy 2
    for x in (*texts, np.array(["a"]), np.array(["2020"], "M8[Y]"), np.zeros(1, [("x", float)])):
        assert es.einsum("i->i", x) == x
        with pytest.raises(EinstanTypeError, match="which can't be multiplied"):
            es.einsum("i->", x)
    with pytest.raises(es.EinstanError, match="52 labels at most"):
        es.einsum(",".join(chr(192 + k) for k in range(60)), *[np.ones(1, object)] * 60)


# ---------------------------------------------------------------- views


VIEWS = "ij->ij ij->ji ii->i iij->ji ijj->ij ijij->ji iii->i ...ii->...i i...->...i ...".split()


@pytest.mark.parametrize("equation", VIEWS)
@pytest.mark.parametrize("writeable", [True, False])
def test_transposes_and_diagonals_are_views(equation: str, writeable: bool) -> None:
    rank = equation.split("->")[0].count("i") + equation.split("->")[0].count("j") + ("..." in equation)
    a = np.arange(3.0**rank).reshape((3,) * rank)
    a.flags.writeable = writeable
    found, expected = es.einsum(equation, a), np.einsum(equation, a)
    np.testing.assert_array_equal(found, expected)
    assert np.shares_memory(found, a) and found.strides == expected.strides
    assert found.flags.writeable == writeable


@pytest.mark.parametrize("equation", ["", "->", "..."])
def test_what_has_no_axes_is_a_scalar(equation: str) -> None:
    found = es.einsum(equation, np.array(3.0))
    assert found == 3 and type(found) is type(np.einsum(equation, np.array(3.0)))


def test_what_is_cast_or_summed_is_no_view() -> None:
    a = np.arange(9.0).reshape(3, 3)
    assert not np.shares_memory(es.einsum("ij->ji", a, dtype=complex), a)
    assert not np.shares_memory(es.einsum("ij->i", a), a)
    assert not np.shares_memory(es.einsum("ij->i", a[:, :1]), a)


# ---------------------------------------------------------------- options


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("layout", ["C", "Fortran", "strided"])
def test_out(equation: str, layout: str) -> None:
    arrays = operands(equation, SIZES)
    expected = np.asarray(np.einsum(equation, *arrays))
    out = LAYOUTS[layout](np.full(expected.shape, np.nan))
    assert es.einsum(equation, *arrays, out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("equation", "ij,jk->ik ij,jk->ki ij,ij->ij ij,ij->ji ij,jk,kl->il ij,j->ij".split())
def test_out_may_overlap_the_operands(equation: str) -> None:
    for which, shift in ((0, 0), (1, 0), (0, 1)):
        memory = np.arange(2.0 * 17 * 16).reshape(2, 17, 16)
        terms = equation.split("->")[0].split(",")
        arrays = [memory[k % 2, :16] if len(term) == 2 else memory[1, 3] for k, term in enumerate(terms)]
        expected = np.einsum(equation, *[a.copy() for a in arrays])
        out = memory[which, shift : 16 + shift]
        es.einsum(equation, *arrays, out=out)
        np.testing.assert_array_equal(out, expected)


a, f = np.ones((2, 3)), np.ones((2, 3), np.float32)

BAD_OPTIONS: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (TypeError, "out is no array", {"out": "test"}),
    (es.EinstanShapeError, r"The result has the shape \(2,\), and out has \(3,\)", {"out": np.ones(3)}),
    (es.EinstanError, "out is read-only", {"out": read_only(np.ones(2))}),
    (TypeError, "The result has the dtype float64, which casting='safe' does not make", {"out": np.ones(2, "f4")}),
    (TypeError, "Operand 1 has the dtype float64, which casting='safe' does not make float32", {"dtype": "f4"}),
    (TypeError, "casting='same_kind' does not make int64", {"dtype": int, "casting": "same_kind"}),
    (ValueError, "There is no casting 'blah'", {"casting": "blah"}),
    (TypeError, "bad_data_type", {"dtype": "bad_data_type"}),
    (ValueError, "There is no order 'W' of axes", {"order": "W"}),
    (TypeError, "The order is 3", {"order": 3}),
    (TypeError, "bad", {"bad": 0}),
    (ValueError, "There is no order of multiplication called 'best'", {"optimize": "best"}),
    (TypeError, "is no order of multiplication", {"optimize": 3}),
    (TypeError, "The limit of 'greedy' is inf", {"optimize": ("greedy", float("inf"))}),
    (RuntimeError, "The path leaves", {"optimize": ["einsum_path", (0,)]}),
    (RuntimeError, "The path takes", {"optimize": ["einsum_path", (0, 2)]}),
]


@pytest.mark.parametrize(("error", "sentence", "options"), BAD_OPTIONS, ids=[b[1][:30] for b in BAD_OPTIONS])
def test_options_are_checked(error: type[Exception], sentence: str, options: dict[str, Any]) -> None:
    with pytest.raises(error, match=sentence):
        es.einsum("ij,ij->i", a, a, **options)


CASTS: list[tuple[Any, Any, dict[str, Any]]] = [
    (f, f, {"dtype": float}),
    (a, a, {"dtype": "f4", "casting": "same_kind"}),
    (a * 1.5, a, {"dtype": int, "casting": "unsafe"}),
    (a, a, {"dtype": bool, "casting": "unsafe"}),
    (f, f, {"out": np.ones(2)}),
    (a, a, {"out": np.ones(2, "f4"), "casting": "same_kind"}),
    (a * 1.5, a, {"out": np.ones(2, int), "casting": "unsafe"}),
    (f.astype(int), f.astype(int), {"out": np.ones(2, "f4"), "casting": "same_kind"}),
    (a > 0, a > 0, {"out": np.ones(2, int)}),
    (a, a, {"order": "F"}),
    (a, a, {"optimize": False}),
]


@pytest.mark.parametrize(("left", "right", "options"), CASTS, ids=[str(k) for k in range(len(CASTS))])
def test_dtype_casting_and_out_as_numpy(left: np.ndarray, right: np.ndarray, options: dict[str, Any]) -> None:
    theirs = {**options, "out": options["out"].copy()} if "out" in options else options
    expected = np.einsum("ij,ij->i", left, right, **theirs)
    found = es.einsum("ij,ij->i", left, right, **options)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


def test_a_scalar_goes_where_its_value_fits() -> None:
    out = np.array(0)
    assert es.einsum("i,i->", np.ones(7), np.ones(7), out=out) is out and out == 7
    with pytest.raises(TypeError, match=r"The result 3.5 has the dtype float64"):
        es.einsum("i,i->", np.ones(7), np.full(7, 0.5), out=out)


ORDERS: list[Any] = [
    True,
    "auto",
    "greedy",
    "optimal",
    "dp",
    ("greedy", 10),
    ("optimal", 1000.0),
    ["einsum_path", (0, 1), (0, 1), (0, 1)],
    ["einsum_path", (1, 3), (0, 1, 2)],
    ["einsum_path", (0, 1, 2, 3)],
    ["einsum_path", (0,), (1, 2), (0, 1), (0, 1)],
    False,
]


@pytest.mark.parametrize("optimize", ORDERS, ids=str)
def test_every_order_has_the_same_value(optimize: Any) -> None:
    equation = "aab,bc,ce,dc->bd"
    arrays = operands(equation, SIZES)
    np.testing.assert_array_equal(es.einsum(equation, *arrays, optimize=optimize), np.einsum(equation, *arrays))


def test_layout_follows_the_operands() -> None:
    """order="K": what comes cheapest, so a product is not copied to be put in order; C where that costs nothing."""
    a, b = np.ones((2, 3, 5)), np.ones((4, 3))
    found = es.einsum("xft,mf->xmt", a, b)
    assert not found.flags.c_contiguous and not found.flags.f_contiguous
    for equation in ("ij,jk->ik", "ij,jk->ki", "bij,bjk->bik", "ijk,jil->lk", "ij,kl->jlik"):
        assert es.einsum(equation, *operands(equation, SIZES)).flags.c_contiguous, equation


# ---------------------------------------------------------------- paths


def test_paths_are_numpys() -> None:
    """Random networks: greedy and optimal, with limits and without, step for step what np.einsum_path finds."""
    random = np.random.default_rng(0)
    for _ in range(150):
        labels = ascii_lowercase[: random.integers(1, 8)]
        draw = lambda most, letters=labels: "".join(random.choice(list(letters), random.integers(0, most + 1)))  # noqa: E731
        terms = [draw(4) for _ in range(random.integers(1, 6))]
        used = sorted(set("".join(terms)))
        out = "".join(random.permutation(used)[: random.integers(0, len(used) + 1)])
        sizes = dict(zip(labels, random.integers(1, 7, len(labels)), strict=True))
        arrays = [np.broadcast_to(0.0, [sizes[x] for x in term]) for term in terms]
        limit = int(random.choice([0, 10, 100]))
        for method in ("greedy", "optimal", ("greedy", limit), ("optimal", limit), True, False):
            equation = f"{','.join(terms)}->{out}"
            expected = np.einsum_path(equation, *arrays, optimize=method)[0]
            assert es.einsum_path(equation, *arrays, optimize=method)[0] == expected


def test_paths_are_told_with_their_costs() -> None:
    equation = "dcc,fce,ea,dbf->ab"
    arrays = operands(equation, SIZES)
    path, text = es.einsum_path(equation, *arrays)
    theirs = np.einsum_path(equation, *arrays)[1]
    for mine, other in zip(text.splitlines()[:3], theirs.splitlines()[:3], strict=True):
        assert mine == other
    assert text.splitlines()[-1].split()[-1] == "ab->ab"
    np.testing.assert_array_equal(es.einsum(equation, *arrays, optimize=path), np.einsum(equation, *arrays))


def test_paths_of_lists_have_numpys_letters() -> None:
    x = np.ones((1,) * 27)
    assert es.einsum_path(x, range(27))[1].split("->")[-1] == np.einsum_path(x, range(27))[1].split("->")[-1]
    assert "...[" not in es.einsum_path(x, [Ellipsis, 3])[1]


def test_an_ellipsis_has_a_letter_beside_any_number_of_labels() -> None:
    labels = [*ascii_letters, *(chr(192 + k) for k in range(100))]
    _, text = es.einsum_path(",".join(f"{x}..." for x in labels) + "->...", *[np.ones((1, 1))] * len(labels))
    assert text.splitlines()[-1].split("->")[-1] not in labels


def test_the_search_for_the_best_path_ends() -> None:
    ring = [part for k in range(30) for part in (np.ones((2, 2)), [k, (k + 1) % 30])]
    path, _ = es.einsum_path(*ring, [], optimize="optimal")
    assert len(path) == 30


# ---------------------------------------------------------------- limits


def test_labels_and_operands_without_limit() -> None:
    n = 1000
    random = np.random.default_rng(0)
    matrices = [random.standard_normal((2, 2)) / 2 for _ in range(n)]
    letters = [chr(192 + k) for k in range(n + 1)]
    equation = ",".join(map("".join, pairwise(letters))) + f"->{letters[0]}{letters[-1]}"
    np.testing.assert_allclose(es.einsum(equation, *matrices), reduce(np.dot, matrices), rtol=1e-9)


def test_no_intermediate_has_more_axes_than_arrays_can_have() -> None:
    """A hub with 70 labels: an outer product first would have as many axes."""
    letters = [chr(192 + k) for k in range(70)]
    terms = [f"x{letter}" for letter in letters] + letters
    arrays = [np.full((2, 2), 0.5)] * 70 + [np.ones(2)] * 70
    np.testing.assert_array_equal(es.einsum(",".join(terms) + "->x", *arrays), np.ones(2))
    twice = tuple((k,) for k in range(66)) * 2
    outer_first = (tuple(range(66)), tuple(range(67)))
    with pytest.raises(es.EinstanError, match="This order has an intermediate of 66 axes, and arrays have 64 at most"):
        contraction(twice, (), ((2,),) * 132, np.dtype(float), outer_first)


def test_memory_is_asked_for_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(Bound, "call", lambda self, *args: taken.append(args))
    long = np.broadcast_to(1.0, 2**22)
    with pytest.raises(es.EinstanError, match=r"This needs 141 TB at its peak, .* and the limit is"):
        es.einsum("i,j->ij", long, long)
    with pytest.raises(es.EinstanError, match=r"This needs ∞ B at its peak"):  # 10^355 entries
        es.einsum("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t->abcdefghijklmnopqrst", *[np.broadcast_to(1.0, 2**59)] * 20)
    assert not taken


# ---------------------------------------------------------------- processes


def test_nothing_is_handed_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("handed over")

    monkeypatch.setattr(einstan.contractions.calls, "numpy_einsum", refuse)
    for equation in EQUATIONS:
        arrays = operands(equation, SIZES)
        es.einsum(equation, *arrays)
        es.einsum(equation, *arrays, optimize="greedy", dtype=complex)
    with pytest.raises(AssertionError, match="handed over"):
        es.einsum("ij->", a, optimize=False)


def test_it_may_stand_in_numpys_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels use numpy's loops by name, and do not come back here without end."""
    theirs = np.einsum
    monkeypatch.setattr(np, "einsum", es.einsum)
    for equation in EQUATIONS:
        arrays = operands(equation, LARGE if equation.count(",") < 3 else SIZES)
        np.testing.assert_array_equal(np.einsum(equation, *arrays), theirs(equation, *arrays))


def test_no_warnings_and_the_error_state_stays() -> None:
    huge = np.full((50, 50), 1e300)
    with np.errstate(all="raise"):
        for equation in ("ij,ij->ij", "ij,jk->ik", "bij,bjk->bik", "ij,ij->i", "ij,jk,kl->il", "bij,ij->b"):
            terms = equation.split("->")[0].split(",")
            arrays = [huge if len(term) == 2 else np.stack([huge, huge]) for term in terms]
            assert np.isinf(es.einsum(equation, *arrays)).all()
        assert es.einsum("i->", np.full(2, 1e300), dtype=np.float16, casting="same_kind") == np.inf
        with pytest.raises(FloatingPointError):
            np.multiply(huge, huge)


def test_results_are_bit_equal_in_threads() -> None:
    random = np.random.default_rng(0)
    calls = [(e, [random.standard_normal(x.shape) for x in operands(e, LARGE)]) for e in EQUATIONS[:30]]
    expected = [np.asarray(es.einsum(e, *arrays)).tobytes() for e, arrays in calls]
    start = threading.Barrier(64)

    def run(seed: int) -> bool:
        start.wait()
        order = np.random.default_rng(seed).permutation(len(calls))
        return all(np.asarray(es.einsum(calls[k][0], *calls[k][1])).tobytes() == expected[k] for k in order)

    einstan.contractions.calls.prepared.cache_clear()
    einstan.contractions.contraction.contraction.cache_clear()
    with ThreadPoolExecutor(64) as pool:
        assert all(pool.map(run, range(64)))


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_failure_leaves_everything_usable(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """At every place where the making or the running of a contraction calls something, one after the other."""
    arrays = operands("ij,jk,kl,lm->im", SIZES)
    expected = np.einsum("ij,jk,kl,lm->im", *arrays)
    for module, name in [(einstan.contractions.contraction, "fitting"), (Bound, "compiled"), (np, "empty")]:
        for failing in count():
            calls, own = iter(range(failing + 1)), getattr(module, name)
            broken = breaking(own, calls, failing, error)
            einstan.contractions.calls.prepared.cache_clear()
            einstan.contractions.contraction.contraction.cache_clear()
            with monkeypatch.context() as patch:
                patch.setattr(module, name, broken)
                try:
                    es.einsum("ij,jk,kl,lm->im", *arrays)
                except error:
                    failed = True
                else:
                    failed = False
            np.testing.assert_array_equal(es.einsum("ij,jk,kl,lm->im", *arrays), expected)
            if not failed:
                break
        assert failing >= 1, name


def breaking(own: Any, calls: Iterator[int], failing: int, error: type[BaseException]) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        if next(calls, None) == failing:
            raise error
        return own(*args, **options)

    return call


def test_memory_of_old_contractions_is_given_back() -> None:
    class Held:
        def __init__(self) -> None:
            self.pool = [object()]

    retained, held = Retained(100), [Held() for _ in range(4)]
    for bound, size in zip(held, (40, 40, 40, 400), strict=True):
        retained.note(bound, size)  # type: ignore[arg-type]
    assert not any(bound.pool for bound in held)
    again = [Held() for _ in range(3)]
    for bound in (*again, again[1]):
        retained.note(bound, 40)  # type: ignore[arg-type]
    assert [bool(bound.pool) for bound in again] == [False, True, True]


def test_a_seen_call_is_a_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    a = np.ones((4, 4))
    es.einsum("ij,jk->ik", a, a)
    monkeypatch.setattr(einstan.contractions.calls, "read", None)
    monkeypatch.setattr(einstan.contractions.calls, "contraction", None)
    assert (es.einsum("ij,jk->ik", a, a) == 4).all()


# ---------------------------------------------------------------- contraction


def test_a_contraction_tells_what_it_does() -> None:
    s = read("ij,jk,kl->il", [(2, 3), (3, 5), (5, 7)])
    c = contraction(s.terms, s.out, ((2, 3), (3, 5), (5, 7)), np.dtype(float), ((0, 1), (0, 1)), s.names)
    assert c.plan.flops == 2 * (2 * 3 * 5 + 2 * 5 * 7)
    assert [step.formula.split(" = ")[0].partition("[")[2] for step in c.plan.steps] == ["i,k]", "i,l]"]
    arrays = operands("ij,jk,kl->il", {"i": 2, "j": 3, "k": 5, "l": 7})
    space: dict[str, Any] = {}
    exec(c.source, space)
    np.testing.assert_array_equal(space["kernel"](*arrays)[0], c.compute(arrays))
