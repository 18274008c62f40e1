"""Calling forms of einsum: what they mean (as numpy reads them), and where they are refused."""

from __future__ import annotations

import ast
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import einstan as es
from einstan.contractions.subscripts import Lists, any_hashable, read, small_integer, split

SHAPES = {"i": 2, "j": 3, "k": 5, "l": 7}

# The second text says the same with an arrow and a letter for each axis; the shapes are those of the operands.
MEANINGS = [
    ("ij,jk->ik", "ij,jk->ik", ((2, 3), (3, 5))),
    ("ij,jk", "ij,jk->ik", ((2, 3), (3, 5))),
    ("ba", "ba->ab", ((2, 3),)),
    ("bA", "bA->Ab", ((2, 3),)),
    (" i j , j k -> i k ", "ij,jk->ik", ((2, 3), (3, 5))),
    (" . .. i - > . . . ", "yi->y", ((2, 3),)),
    ("ii", "ii->", ((3, 3),)),
    ("", "->", ((),)),
    ("->", "->", ((),)),
    (",", ",->", ((), ())),
    ("...", "yz->yz", ((2, 3),)),
    ("...", "->", ((),)),
    ("...i,...i", "zi,yzi->yz", ((3, 7), (2, 3, 7))),
    ("i...,i...", "iz,iyz->yz", ((7, 3), (7, 2, 3))),
    ("...i->i...", "yzi->iyz", ((2, 3, 7),)),
    ("i...i", "izi->z", ((2, 3, 2),)),
    ("...i->i", "yzi->i", ((2, 3, 7),)),
    ("i->...i", "i->i", ((3,),)),
    ("ij,j...", "ij,jz->zi", ((2, 3), (3, 5))),
    ("αβ,βγ->γα", "ab,bc->ca", ((2, 3), (3, 5))),
    ("京i,i", "ai,i->a", ((2, 3), (3,))),
]


@pytest.mark.parametrize(("form", "plain", "shapes"), MEANINGS, ids=[form for form, *_ in MEANINGS])
def test_forms(form: str, plain: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    assert canonical(form, shapes) == canonical(plain, shapes)


def canonical(form: str, shapes: tuple[tuple[int, ...], ...]) -> object:
    s = read(form, shapes)
    return s.terms, s.out, s.sizes, s.shape


LISTS = [
    (([0, 1], [1, 2]), None, "ij,jk"),
    (([0, 1], [1, 2]), [2, 0], "ij,jk->ki"),
    (([Ellipsis, 3], [3, Ellipsis]), [Ellipsis], "...l,l...->..."),
    ((np.array([7, 7]),), None, "ii"),
    (([51, 0],), None, "ba"),
]


@pytest.mark.parametrize(("lists", "out", "text"), LISTS, ids=[text for *_, text in LISTS])
def test_lists_of_integers_say_what_text_says(lists: tuple[object, ...], out: object, text: str) -> None:
    arrays = [np.ones((3, 3)) for _ in lists]
    interleaved = [part for pair in zip(arrays, lists, strict=True) for part in pair] + ([out] if out else [])
    form, operands = split(interleaved, small_integer)
    shapes = tuple(a.shape for a in operands)
    assert canonical(form, shapes) == canonical(text, shapes)


def test_labels_may_be_any_hashables() -> None:
    a, b = object(), object()
    form, operands = split([a, ("left", (1, 2)), b, ((1, 2), 0.5), ["left", 0.5]], any_hashable)
    assert operands == (a, b)
    s = read(form, [(2, 3), (3, 5)])
    assert (s.terms, s.out) == (((0, 1), (1, 2)), (0, 2))


def test_labels_without_an_output_are_sorted() -> None:
    assert read(Lists((("b", "a"),), None), [(2, 3)]).shape == (3, 2)
    assert read(Lists(((10, 9),), None), [(2, 3)]).shape == (3, 2)


def two_sizes(label: str, one: tuple[int, int, int], other: tuple[int, int, int]) -> str:
    """Each is an axis, its operand, its size."""
    told = ["axis {} of operand {} ({})".format(*place) for place in (one, other)]
    return f"The label {label!r} has two sizes: in {told[0]} and in {told[1]}."


# Text, shapes, the beginning of the sentence, and the carets under the text.
ERRORS = [
    ("ij,jk->i%", ((2, 3), (3, 5)), "The character '%' is no label.", "        ^"),
    ("i\tj", ((2, 3),), "The character '\\t' is no label.", " ^"),
    ("i\x00", ((2, 3),), "The character '\\x00' is no label.", " ^"),
    ("ij-jk", ((2, 3), (3, 5)), "'-' is no arrow of its own.", "  ^^"),
    ("ij>k", ((2, 3),), "'>' is no arrow of its own.", "  ^"),
    ("i->j->k", ((2,),), "'-' is no arrow of its own.", "    ^^"),
    ("i->j,k", ((2,),), "There is a comma in the output.", "    ^"),
    ("i..", ((2,),), "Dots stand for axes only as three.", " ^^"),
    ("i . . ", ((2,),), "Dots stand for axes only as three.", "  ^^^"),
    ("i->.i...", ((2,),), "Dots stand for axes only as three.", "   ^^^"),
    ("...i...", ((2, 3),), "There are two ellipses in one term.", "    ^^^"),
    ("ij->jij", ((2, 2),), "The output has the label 'j' twice.", "    ^ ^"),
    ("i->iq", ((2,),), "The output label 'q' is in no operand.", "    ^"),
    ("i,j", ((2,),), "There are 2 terms and 1 operand.", "  ^"),
    ("i", ((2,), (3,)), "There are 1 term and 2 operands.", ""),
    ("i", (), "There are no operands.", ""),
    ("ij", ((2,),), "Operand 1 has 1 axis, and its term has 2 labels.", "^^"),
    ("i,jk", ((2,), (3, 4, 5)), "Operand 2 has 3 axes, and its term has 2 labels.", "  ^^"),
    ("i...j", ((2,),), "Operand 1 has 1 axis, and its term has 2 labels.", "^^^^^"),
    ("", ((2,),), "Operand 1 has 1 axis, and its term has 0 labels.", ""),
    ("ij,jk", ((2, 3), (4, 5)), two_sizes("j", (2, 1, 3), (1, 2, 4)), " ^ ^"),
    ("i,i,i", ((1,), (3,), (4,)), two_sizes("i", (1, 2, 3), (1, 3, 4)), "  ^ ^"),
    ("ii->i", ((0, 1),), two_sizes("i", (1, 1, 0), (2, 1, 1)), "^^"),
    ("ii->i", ((1, 3),), two_sizes("i", (1, 1, 1), (2, 1, 3)), "^^"),
    ("...i,i...", ((2, 3), (3, 4)), two_sizes("...[-1]", (1, 1, 2), (2, 2, 4)), "^^^   ^^^"),
]


@pytest.mark.parametrize(("text", "shapes", "sentence", "carets"), ERRORS, ids=[repr(e[0]) for e in ERRORS])
def test_errors_say_what_and_where(text: str, shapes: tuple[tuple[int, ...], ...], sentence: str, carets: str) -> None:
    with pytest.raises(es.EinstanError) as caught:
        read(text, shapes)
    assert caught.value.message.startswith(sentence)
    lines = str(caught.value).splitlines()
    drawn = [line[6:] for above, line in pairwise(lines) if above.startswith("  1 | ")]
    assert drawn == ([carets] if carets else [])
    assert caught.value.repair


def test_errors_of_lists_show_them() -> None:
    with pytest.raises(es.EinstanShapeError, match=r"The label '1' has two sizes") as caught:
        es.einsum(np.ones((2, 3)), [0, 1], np.ones((4, 5)), [1, 2])
    assert "[0, 1],[1, 2]" in str(caught.value)


WRONG_TYPES = [(0, 0), (None,) * 63, (np.ones(2), [0.0]), (np.ones(2), ["i"]), (np.ones(2), 5)]


@pytest.mark.parametrize("args", WRONG_TYPES, ids=["numbers", "none", "float", "text", "no list"])
def test_what_is_no_subscript_is_a_type_error(args: tuple[object, ...]) -> None:
    with pytest.raises(TypeError) as caught:
        es.einsum(*args)
    assert isinstance(caught.value, es.EinstanError)


@pytest.mark.parametrize("label", [-1, 52])
def test_integers_of_lists_are_letters_of_numpy(label: int) -> None:
    with pytest.raises(es.EinstanIndexError, match=rf"The label {label} is not in 0 .. 51"):
        es.einsum(np.ones(2), [label])


def test_a_label_that_equals_a_known_one_is_still_checked() -> None:
    assert es.einsum(np.ones(2), [1], []) == 2
    with pytest.raises(TypeError):
        es.einsum(np.ones(2), [1.0], [])


@example("Kié", [[0, 0, 1]])
@given(st.text(alphabet="ijkK.,-> αé%\n", max_size=12), st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=3))
def test_any_text_is_read_or_refused(text: str, shapes: list[list[int]]) -> None:
    """What is read is what numpy reads, and numpy refuses what is refused, but for letters it lacks."""
    arrays = [np.ones(shape) for shape in shapes]
    ascii_only = text.replace("é", "y").replace("α", "z")  # which are sorted in the same order
    try:
        s = read(text, [a.shape for a in arrays])
    except es.EinstanError:
        if all(0 not in a.shape for a in arrays):
            with pytest.raises((ValueError, IndexError)):
                np.einsum(ascii_only, *arrays, optimize=True)
    else:
        assert s.shape == np.einsum(ascii_only, *arrays, optimize=True).shape


def test_reading_is_linear() -> None:
    n = 20_000
    text = ",".join(chr(192 + k) + chr(193 + k) for k in range(n))
    s = read(text, [(2, 2)] * n)
    assert s.out == (0, n)


def test_names_stay_literals() -> None:
    """Nothing of a label is evaluated: its name is its text or its repr."""
    names = read(Lists((("__import__('os')", 3),), ()), [(1, 1)]).names
    assert names == ("__import__('os')", "3")
    assert ast.literal_eval(names[1]) == 3
