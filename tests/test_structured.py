"""Structured matrices against what they are written out: every shape of structure, its products and its solutions."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.structured import Form, NotPositiveDefinite, Singular, Structured, Term
from einstan.structured.joined import joined

Array = np.ndarray[Any, Any]

# ---------------------------------------------------------------- forms by hand


def made(rows: str, columns: str, *terms: tuple[str, ...], **blocks: Array) -> Structured:
    """A matrix of terms such as ("ik", "il", "H:ikl"): the labels of rows and columns, then blocks with theirs."""
    names = list(blocks)
    number = {x: n for n, x in enumerate("ijklmnprst")}
    found, sizes = [], {}
    for own_rows, own_columns, *factors in terms:
        pairs = [factor.partition(":")[::2] for factor in factors]
        labels = [tuple(number[x] for x in own) for _, own in pairs]
        for name, own in pairs:
            sizes.update(zip(own, blocks[name].shape, strict=True))
        row_labels, column_labels = (tuple(number[x] for x in own) for own in (own_rows, own_columns))
        found.append(Term(tuple(names.index(name) for name, _ in pairs), tuple(labels), row_labels, column_labels))
    shapes = [tuple(int(x) for x in own) for own in (rows, columns)]
    form = Form(shapes[0], shapes[1], tuple(found), tuple(a.shape for a in blocks.values()))
    return Structured(form, *blocks.values())


def random(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def positive(*shape: int) -> Array:
    return 1 + random(*shape) ** 2


def definite(*shape: int) -> Array:
    """Symmetric positive definite matrices on the last two axes."""
    a = random(*shape)
    return a @ a.swapaxes(-1, -2) + np.eye(shape[-1])


LOW = ("i", "j", "B:ri", "d:r", "B:rj")
FORMS = {
    "scalar": (made("", "", ("", "", "H:"), H=np.array(2.0)), "diagonal"),
    "identity": (made("23", "23", ("ij", "ij", "H:"), H=np.array(2.5)), "a multiple of the identity"),
    "diagonal": (made("5", "5", ("i", "i", "H:i"), H=positive(5)), "diagonal"),
    "diagonal with a sign": (made("5", "5", ("i", "i", "H:i"), H=random(5)), "diagonal"),
    "two diagonals": (made("53", "53", ("ij", "ij", "H:i"), ("ij", "ij", "G:"), H=positive(5), G=random()), "diagonal"),
    "blocks": (made("53", "53", ("ij", "ik", "H:ijk"), H=definite(5, 3, 3)), "block-diagonal"),
    "blocks inside": (
        made("35", "35", ("ij", "kj", "H:ikj"), H=definite(5, 3, 3).transpose(1, 2, 0)),
        "block-diagonal",
    ),
    "blocks plus identity": (
        made("53", "53", ("ij", "ik", "H:ijk"), ("ij", "ij", "G:"), H=definite(5, 3, 3), G=np.array(0.1)),
        "block-diagonal",
    ),
    "indefinite blocks": (made("53", "53", ("ij", "ik", "H:ijk"), H=random(5, 3, 3)), "block-diagonal"),
    "Kronecker": (made("53", "53", ("ij", "kj", "H:ik"), H=definite(5, 5)), "Kronecker with the identity"),
    "Kronecker, three axes": (
        made("352", "352", ("ijk", "ilk", "H:jl"), H=definite(5, 5)),
        "Kronecker with the identity",
    ),
    "low rank": (
        made("9", "9", ("i", "i", "a:i"), LOW, a=positive(9), B=random(2, 9), d=positive(2)),
        "diagonal plus low rank",
    ),
    "low rank, signs": (
        made("9", "9", ("i", "i", "a:i"), LOW, a=positive(9), B=random(2, 9), d=np.array([-3.0, 0.5])),
        "diagonal plus low rank",
    ),
    "low rank, small": (
        made("9", "9", ("i", "i", "a:i"), LOW, a=positive(9), B=random(2, 9) / 9, d=np.array([-1.0, 0.0])),
        "diagonal plus low rank",
    ),
    "low rank, all negative": (
        made("9", "9", ("i", "i", "a:i"), LOW, a=random(9), B=random(2, 9), d=np.array([-1.0, -2.0])),
        "diagonal plus low rank",
    ),
    "low rank, sides differ": (
        made(
            "9",
            "9",
            ("i", "i", "a:i"),
            ("i", "j", "B:ri", "M:rs", "C:sj"),
            a=positive(9),
            B=random(2, 9),
            M=random(2, 3),
            C=random(3, 9),
        ),
        "diagonal plus low rank",
    ),
    "rank one of ones": (
        made("5", "5", ("i", "j", "H:"), ("i", "i", "a:i"), H=np.array(2.0), a=positive(5)),
        "diagonal plus low rank",
    ),
    "low rank in blocks": (
        made(
            "49",
            "49",
            ("ij", "ij", "a:ij"),
            ("ij", "ik", "B:rij", "d:ri", "B:rik"),
            a=positive(4, 9),
            B=random(2, 4, 9),
            d=random(2, 4),
        ),
        "block-diagonal, blocks diagonal plus low rank",
    ),
    "low rank in equal blocks": (
        made(
            "49",
            "49",
            ("ij", "ij", "a:j"),
            ("ij", "ik", "B:rj", "d:r", "B:rk"),
            a=positive(9),
            B=random(2, 9),
            d=random(2),
        ),
        "Kronecker with the identity, blocks diagonal plus low rank",
    ),
    "blocks plus low rank": (
        made("49", "49", ("ij", "ik", "a:ijk"), ("ij", "kl", "B:rij", "B:rkl"), a=definite(4, 9, 9), B=random(2, 4, 9)),
        "block-diagonal plus low rank",
    ),
    "blocks plus sides of two factors": (
        made(
            "49",
            "49",
            ("ij", "ik", "a:ijk"),
            ("ij", "kl", "B:ri", "C:rj", "d:r", "B:rk", "C:rl"),
            a=definite(4, 9, 9),
            B=random(3, 4),
            C=random(3, 9),
            d=random(3),
        ),
        "block-diagonal plus low rank",
    ),
    "singular diagonal plus low rank": (
        made("5", "5", ("i", "i", "a:i"), ("i", "j", "b:i", "b:j"), a=np.array([0.0, 1, 2, 3, 4]), b=positive(5)),
        "diagonal plus low rank",
    ),
    "dense": (made("23", "23", ("ij", "kl", "H:ijkl"), H=definite(6, 6).reshape(2, 3, 2, 3)), "dense"),
    "dense and blocks": (
        made(
            "23",
            "23",
            ("ij", "kl", "H:ijkl"),
            ("ij", "ik", "G:ijk"),
            H=definite(6, 6).reshape(2, 3, 2, 3),
            G=definite(2, 3, 3),
        ),
        "dense",
    ),
    "transposition": (
        made("33", "33", ("ij", "ji", "H:"), ("ij", "ij", "G:"), H=np.array(1.0), G=np.array(3.0)),
        "dense",
    ),
    "rows that repeat": (
        made("33", "33", ("ii", "jk", "H:ijk"), ("ij", "ij", "G:"), H=random(3, 3, 3), G=np.array(3.0)),
        "dense",
    ),
    "Kronecker product": (
        made("53", "53", ("ij", "kl", "A:ik", "B:jl"), A=definite(5, 5), B=definite(3, 3)),
        "Kronecker product",
    ),
    "Kronecker product, three parts, signs": (
        made(
            "532",
            "532",
            ("ijk", "lmn", "A:il", "B:jm", "c:", "D:kn"),
            A=definite(5, 5),
            B=random(3, 3) + random(3, 3).T,
            c=np.array(-2.0),
            D=definite(2, 2),
        ),
        "Kronecker product",
    ),
    "Kronecker sum": (
        made(
            "53",
            "53",
            ("ij", "kj", "A:ik"),
            ("ij", "il", "B:jl"),
            ("ij", "kl", "A:ik", "c:", "B:jl"),
            ("ij", "ij", "c:"),
            A=definite(5, 5),
            B=definite(3, 3),
            c=np.array(0.3),
        ),
        "sum of Kronecker products",
    ),
    "Kronecker sum over three axes": (
        made(
            "352",
            "352",
            ("ijk", "ljm", "A:ikml"),
            ("ijk", "ink", "B:jn"),
            A=definite(6, 6).reshape(3, 2, 2, 3),
            B=definite(5, 5),
        ),
        "sum of Kronecker products",
    ),
    "Kronecker product, not symmetric": (
        made("53", "53", ("ij", "kl", "A:ik", "B:jl"), A=random(5, 5), B=definite(3, 3)),
        "Kronecker product",
    ),
    "empty": (made("03", "03", ("ij", "ik", "H:ijk"), H=np.ones((0, 3, 3))), "block-diagonal"),
}
RECTANGLES = {
    "blocks": (made("43", "42", ("ij", "ik", "H:ijk"), H=random(4, 3, 2)), "block-diagonal"),
    "Kronecker": (made("43", "23", ("ij", "kj", "H:ik"), H=random(4, 2)), "Kronecker with the identity"),
    "low rank": (made("9", "7", ("i", "j", "B:i", "C:j"), B=random(9), C=random(7)), "low rank"),
    "dense": (made("9", "7", ("i", "j", "H:ij"), H=random(9, 7)), "dense"),
    "a column": (made("9", "", ("i", "", "H:i"), H=random(9)), "dense"),
    "empty": (made("9", "0", ("i", "j", "H:ij"), H=random(9, 0)), "low rank"),
    "nothing": (Structured(Form((3,), (2,), (), ((),)), np.array(0.0)), "zero"),
}
ALL = {**{f"square {k}": v for k, v in FORMS.items()}, **{f"rectangle {k}": v for k, v in RECTANGLES.items()}}


def written_out(H: Structured) -> Array:
    """The dense array by loops over the entries of the terms' labels."""
    out = np.zeros(H.shape)
    for term in H.form.terms:
        sizes = H.form.sizes(term)
        labels = list(sizes)
        for place in np.ndindex(*sizes.values()):
            at = dict(zip(labels, place, strict=True))
            value = 1.0
            for number, own in zip(term.blocks, term.labels, strict=True):
                value *= H.blocks[number][tuple(at[x] for x in own)]
            out[tuple(at[x] for x in term.rows + term.columns)] += value
    return out


@pytest.mark.parametrize("case", ALL)
def test_is_what_its_labels_say(case: str) -> None:
    H, words = ALL[case]
    assert H.structure == words
    np.testing.assert_allclose(H.dense(), written_out(H), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(np.asarray(H), H.dense())
    assert H.shape == H.dense().shape and H.dtype == H.dense().dtype
    np.testing.assert_allclose(H.T.dense(), np.moveaxis(H.dense(), range(len(H.rows)), range(-len(H.rows), 0)))


@pytest.mark.parametrize("case", ALL)
@pytest.mark.parametrize("more", [(), (2,), (2, 3)])
def test_matvec(case: str, more: tuple[int, ...]) -> None:
    H, _ = ALL[case]
    v = random(*H.columns, *more)
    expected = np.tensordot(H.dense(), v, len(H.columns))
    np.testing.assert_allclose(H.matvec(v), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(H @ v, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", FORMS)
@pytest.mark.parametrize("shift", [0.0, 0.7])
@pytest.mark.parametrize("more", [(), (2,)])
def test_solve(case: str, shift: float, more: tuple[int, ...]) -> None:
    H, _ = FORMS[case]
    n = int(np.prod(H.rows))
    g = random(*H.rows, *more)
    matrix = H.dense().reshape(n, n) + shift * np.eye(n)
    expected = np.linalg.solve(matrix, g.reshape(n, int(np.prod(more)))).reshape(g.shape)
    np.testing.assert_allclose(H.solve(g, shift=shift), expected, rtol=1e-9, atol=1e-9)
    if np.allclose(matrix, matrix.T) and (np.linalg.eigvalsh(matrix) > 0).all():
        np.testing.assert_allclose(H.solve(g, shift=shift, definite=True), expected, rtol=1e-9, atol=1e-9)
    else:
        with pytest.raises(NotPositiveDefinite):
            H.solve(g, shift=shift, definite=True)


NO_INVERSE = {
    "zero": made("3", "3", ("i", "i", "H:"), H=np.array(0.0)),
    "diagonal": made("3", "3", ("i", "i", "H:i"), H=np.array([1.0, 0, 2])),
    "not a number": made("3", "3", ("i", "i", "H:i"), H=np.array([1.0, np.nan, 2])),
    "blocks": made("23", "23", ("ij", "ik", "H:ijk"), H=np.stack([np.eye(3), np.ones((3, 3))])),
    "rounding": made("2", "2", ("i", "j", "H:ij"), H=np.array([[0.1, 0.3], [0.1 * 0.1, 0.3 * 0.1]])),
    "a row": made("2", "2", ("i", "j", "H:ij"), H=np.array([[0.0, 0.0], [1.0, 1.0]])),
    "rank": made("9", "9", ("i", "j", "B:ri", "B:rj"), B=random(2, 9)),
    "Kronecker": made("22", "22", ("ij", "kl", "A:ik", "B:jl"), A=np.ones((2, 2)), B=np.eye(2)),
    "ones": made("5", "5", ("i", "j", "H:"), H=np.array(1.0)),
    "softmax": made("4", "4", ("i", "i", "p:i"), ("i", "j", "p:i", "c:", "p:j"), p=np.full(4, 0.25), c=np.array(-1.0)),
    "nothing": Structured(Form((3,), (3,), (), ((),)), np.array(0.0)),
}


@pytest.mark.parametrize("case", NO_INVERSE)
@pytest.mark.parametrize("asked", [Singular, NotPositiveDefinite])
def test_no_inverse(case: str, asked: type[Exception]) -> None:
    H = NO_INVERSE[case]
    kind = es.EinstanError if case in ("not a number",) else asked
    with pytest.raises(kind):
        H.solve(np.ones(H.rows), definite=asked is NotPositiveDefinite)
    if case != "not a number":
        x = H.solve(np.ones(H.rows), shift=0.5)
        np.testing.assert_allclose(H.matvec(x) + 0.5 * x, np.ones(H.rows), rtol=1e-10)


def test_scales_do_not_matter() -> None:
    H = made("3", "3", ("i", "j", "H:ij"), H=np.diag([1.0, 1e-200, 1e200]))
    np.testing.assert_allclose(H.solve(np.ones(3)), [1, 1e200, 1e-200], rtol=1e-14)


def test_an_ill_conditioned_update_is_accurate() -> None:
    p = np.array([0.7, 0.2, 0.1, 1e-9])
    H = made("4", "4", ("i", "i", "p:i"), ("i", "j", "p:i", "c:", "p:j"), p=p, c=np.array(-1.0))
    g, shift = np.array([1.0, -2, 3, -4]), 1e-7
    expected = np.linalg.solve(np.diag(p + shift) - np.outer(p, p), g)
    np.testing.assert_allclose(H.solve(g, shift=shift), expected, rtol=1e-7)
    np.testing.assert_allclose(H.solve(g, shift=shift, definite=True), expected, rtol=1e-7)


@pytest.mark.parametrize("case", ["blocks", "low rank", "dense", "diagonal", "blocks plus low rank"])
def test_float32_stays(case: str) -> None:
    H, _ = FORMS[case]
    small = Structured(H.form, *(block.astype(np.float32) for block in H.blocks))
    g = random(*H.rows).astype(np.float32)
    found = small.solve(g, shift=0.5)
    assert found.dtype == small.matvec(g).dtype == small.dense().dtype == np.float32
    np.testing.assert_allclose(found, H.solve(g, shift=0.5), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", ["blocks", "rank", "Kronecker", "softmax"])
@pytest.mark.parametrize("asked", [Singular, NotPositiveDefinite])
def test_float32_has_no_inverse_in_float64(case: str, asked: type[Exception]) -> None:
    """What is singular but for the rounding of its entries is so for any right side."""
    H = NO_INVERSE[case]
    blocks = [np.array([0.1, 0.2, 0.3, 0.4]), np.array(-1.0)] if case == "softmax" else [b / 3 for b in H.blocks]
    small = Structured(H.form, *(block.astype(np.float32) for block in blocks))
    with pytest.raises(asked):
        small.solve(np.cos(np.arange(np.prod(H.rows))).reshape(H.rows), definite=asked is NotPositiveDefinite)


def test_float32_is_symmetric_to_its_rounding() -> None:
    h = np.array([[2, 1.1], [np.nextafter(np.float32(1.1), np.float32(2)), 3]], np.float32)
    found = made("2", "2", ("i", "j", "H:ij"), H=h).solve(np.ones(2), definite=True)
    np.testing.assert_allclose(found, np.linalg.solve(h.astype(float), np.ones(2)), rtol=1e-6)


def test_refusals() -> None:
    H, _ = FORMS["blocks"]
    with pytest.raises(es.EinstanShapeError, match=r"The columns have the shape \(5, 3\), and the array has \(3, 5\)"):
        H.matvec(np.ones((3, 5)))
    with pytest.raises(es.EinstanShapeError, match=r"The rows have the shape"):
        H.solve(np.ones(5))
    with pytest.raises(es.EinstanShapeError, match="has no inverse"):
        RECTANGLES["dense"][0].solve(np.ones(9))


@pytest.mark.parametrize("shift", [np.nan, 10**400, 1j, "1", None, np.ones(5)])
def test_a_shift_is_a_finite_number(shift: Any) -> None:
    H, _ = FORMS["blocks"]
    for solve in (H.solve, lambda g, shift: joined({"H": {"H": H}}, ["H"]).solve({"H": g}, shift)):
        with pytest.raises(es.EinstanError, match="The shift is a finite real number"):
            solve(np.ones(H.rows), shift=shift)


@pytest.mark.parametrize("given", [[["a"] * 3] * 5, np.full((5, 3), None), [[1], [1, 2]], np.ma.masked_all((5, 3))])
def test_what_is_no_array_of_numbers(given: Any) -> None:
    H, _ = FORMS["blocks"]
    J = joined({"H": {"H": H}}, ["H"])
    for use in (H.solve, H.matvec, lambda v: J.solve({"H": v}), lambda v: J.matvec({"H": v})):
        with pytest.raises(es.EinstanError, match=r"array|dtype"):
            use(given)
    with pytest.raises(es.EinstanNameError, match="The names are H"):
        J.solve(None)


@pytest.mark.parametrize("case", ALL)
def test_pickles(case: str) -> None:
    H, _ = ALL[case]
    again = pickle.loads(pickle.dumps(H))
    assert repr(again) == repr(H)
    np.testing.assert_array_equal(again.dense(), H.dense())


def test_joined_by_hand() -> None:
    H = {
        "u": {"u": FORMS["blocks"][0], "v": made("53", "2", ("ij", "k", "H:ijk"), H=random(5, 3, 2))},
        "v": {
            "u": made("2", "53", ("k", "ij", "H:ijk"), H=random(5, 3, 2)),
            "v": made("2", "2", ("i", "i", "H:"), H=np.array(9.0)),
        },
    }
    whole = joined(H, ["u", "v"])
    v = {"u": random(5, 3), "v": random(2)}
    flat = np.concatenate([v["u"].ravel(), v["v"]])
    matrix = whole.dense()
    product = whole.matvec(v)
    np.testing.assert_allclose(np.concatenate([product["u"].ravel(), product["v"]]), matrix @ flat)
    for asked in (False, True):
        x = whole.solve(v, shift=30.0, definite=asked)
        expected = np.linalg.solve(matrix + 30 * np.eye(17), flat)
        np.testing.assert_allclose(np.concatenate([x["u"].ravel(), x["v"]]), expected, rtol=1e-10)
    with pytest.raises(NotPositiveDefinite):
        whole.solve(v, shift=-5.0, definite=True)
