"""Hostile texts: each parses or is an EinstanError with a place and a short message; names mean nothing outside."""

from __future__ import annotations

import io
import re
import time
import tokenize
from contextlib import suppress
from itertools import product
from random import Random

import numpy as np
import pytest

import einstan as es
from einstan.syntax.lexer import LIMITS, Limits

from .fuzz import cases, leak, unread
from .hostile import FLOODS, FOUND, HOSTILE, NAMES, UNICODE

ALL = [*HOSTILE, *(f"y = x{c} + z" for c in UNICODE), *(f"y = {c}" for c in UNICODE)]


@pytest.mark.parametrize("text", ALL, ids=range(len(ALL)))
def test_short_texts(text: str) -> None:
    assert leak(text, Random(0)) == ""


@pytest.mark.parametrize("text", FOUND, ids=range(len(FOUND)))
def test_every_derivative_of_what_was_found_reads_back(text: str) -> None:
    p = read(text)
    if isinstance(p, es.Program):
        for of, wrt in product(p.names, [*p.inputs, *p.names]):
            assert unread(p, of, wrt) == ""


@pytest.mark.parametrize("name", FLOODS)
def test_floods(name: str) -> None:
    assert leak(FLOODS[name](2_000), Random(0)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOODS)
def test_a_megabyte_takes_linear_time(name: str) -> None:
    """Ten times the text takes at most about ten times as long."""
    assert seconds(FLOODS[name](LIMITS.text)) < 30 * seconds(FLOODS[name](LIMITS.text // 10)) + 0.1


def seconds(text: str) -> float:
    start = time.process_time()
    found = read(text)
    assert isinstance(found, es.Program) or len(str(found)) < 2_000
    return time.process_time() - start


def read(text: str) -> es.Program | es.EinstanError:
    """The program, or why there is none; that has a place."""
    try:
        return es.parse(text)
    except es.EinstanError as error:
        if not error.spans:
            raise
        return error


OVER = {
    "characters": lambda: "x" * (LIMITS.text + 1),
    "a hundred million characters": lambda: "y = x\n" * 17_000_000,
    "brackets": lambda: "y = " + "(" * (LIMITS.text // 2 - 2) + ")" * (LIMITS.text // 2 - 2),
    "digits": lambda: "y = " + "7" * (LIMITS.text - 4),
    "digits of an exponent": lambda: "y = 1e" + "7" * (LIMITS.text - 6),
    "superscript digits": lambda: "y = x" + "⁷" * (LIMITS.text - 5),
}


@pytest.mark.parametrize("name", OVER)
def test_a_text_over_the_limits_is_refused_at_once(name: str) -> None:
    text = OVER[name]()
    start = time.process_time()
    with pytest.raises(es.EinstanSyntaxError, match=r"at most|deeper than") as caught:
        es.parse(text)
    assert time.process_time() - start < 1
    assert caught.value.spans


LIMITED = [
    ("y = " + "x" * 20, Limits(text=10), Limits(text=24)),
    ("y = ((((x))))", Limits(brackets=3), Limits(brackets=4)),
    ("y = f(f(f(f(x))))", Limits(brackets=3), Limits(brackets=4)),
    ("y = 12345", Limits(digits=4), Limits(digits=5)),
    ("y = 1e12", Limits(digits=11), Limits(digits=12)),
    ("y = x" + "⁹" * 5, Limits(digits=4), Limits(digits=5)),
    ("y = " + "1" * 2_000, LIMITS, Limits(digits=2_000)),
    ("y = " + "(" * 5_000 + "x + 1" + ")" * 5_000, LIMITS, Limits(brackets=5_000)),
    ("y = x" + " " * 1_000_000, LIMITS, Limits(text=2_000_000)),
]


@pytest.mark.parametrize(("text", "low", "high"), LIMITED, ids=range(len(LIMITED)))
def test_limits_are_settable(text: str, low: Limits, high: Limits) -> None:
    with pytest.raises(es.EinstanSyntaxError, match=r"at most|deeper than"):
        es.parse(text, limits=low)
    assert es.parse(text, limits=high).names == ("y",)


def test_no_limit_lets_more_digits_in_than_python_writes() -> None:
    with pytest.raises(es.EinstanError, match="2000"):
        Limits(digits=5_000)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_only_a_name(name: str) -> None:
    """As input, defined name and index it is refused or works; as nothing else does it reach the source."""
    p = read(f"L = {name}[I] {name}[I] + q[I] {name}[I]")
    if isinstance(p, es.Program):
        key, a, q = next(iter(p.inputs)), np.array([0.3, 0.5]), np.array([2.0, 3.0])
        k = p.grad("L", key).compile()
        np.testing.assert_allclose(k({key: a, "q": q}), 2 * a + q)
        assert identifiers(k.source) <= GENERATED


@pytest.mark.parametrize("name", NAMES)
def test_a_defined_name_and_an_index_are_only_names(name: str) -> None:
    word = name if name.isalnum() and name[0].islower() else "index"
    p = read(f"{name}[{word}] = tanh(x[{word}])\nY = {name}[I]^2 1[I]")
    if isinstance(p, es.Program):
        k = p.compile("Y")
        np.testing.assert_allclose(k(x=np.ones(3)), 3 * np.tanh(1) ** 2)
        assert identifiers(k.source) <= GENERATED


def test_most_names_are_read() -> None:
    read_ones = [name for name in NAMES if isinstance(read(f"y = {name}[I] q[I]"), es.Program)]
    assert len(read_ones) > 0.8 * len(NAMES)


def identifiers(source: str) -> set[str]:
    """The names of a source, counters as one."""
    found = tokenize.generate_tokens(io.StringIO(source).readline)
    return {re.sub(r"[0-9]+$", "", t.string) for t in found if t.type == tokenize.NAME}


GENERATED = identifiers(es.parse("L = tanh(a[I]) tanh(a[I]) + b[I] a[I]").grad("L", ["a", "b"]).compile().source)
GENERATED |= identifiers(es.parse("L = a[I] a[I] + b[I] a[I]\nY = tanh(a[I])^2 1[I]").compile(["L", "Y"]).source)

# ---------------------------------------------------------------- two spellings, one name

TWINS = [
    ("ﬁ", "fi"),
    ("x₁", "x1"),
    ("𝐱", "x"),
    ("ｘ", "x"),
    ("Ω", "Ω"),
    ("Å", "Å"),
    ("é", "e\u0301"),
    ("K", "K"),
    ("ĳ", "ij"),
    ("µ", "μ"),
]


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_names_equal_in_normal_form_are_one(one: str, other: str) -> None:
    assert len(es.parse(f"y = {one} + {other}").inputs) == 1
    with pytest.raises(es.EinstanNameError, match="twice"):
        es.parse(f"{one} = a\n{other} = b")


INVISIBLE = (
    "\x00 \x07 \x1b \x7f \u00ad \u200b \u200d \u200e \u202a \u202e \u2060 \u2066 \u2069 \ufeff \ufe0f \ud800".split(" ")
)


@pytest.mark.parametrize("c", INVISIBLE)
@pytest.mark.parametrize("text", ["y = a{}b", "y{} = a", "y = x[i{}]", "{}y = x", "y = x{}"])
def test_what_can_not_be_seen_is_an_error(c: str, text: str) -> None:
    with pytest.raises(es.EinstanSyntaxError, match=f"U\\+{ord(c):04X}") as caught:
        es.parse(text.format(c))
    (span,) = caught.value.spans
    assert text.format(c)[span.start : span.end] == c


# ---------------------------------------------------------------- numbers

NOT_EVALUATED = ["9^9^9", "9^9^9^9^9^9", "2^(10^9)", "(10^400)^400", "10^-400", "1e400 * 1e400", "(9^9^9)^-1"]


@pytest.mark.parametrize("number", NOT_EVALUATED)
def test_powers_of_numbers_are_not_written_out(number: str) -> None:
    """The formula stays as short as it was; what it is worth is a float or an error, at once."""
    p = es.parse(f"y = {number} x")
    assert len(repr(p["y"].node)) < 2_000
    assert len(str(p)) < 60
    with suppress(es.EinstanError):
        assert p.run("y", x=1.0) in (0, np.inf)


FAR_APART = [
    ("1e-200 x + 1e150 z", 1e150),
    ("1e-320 x + z", 1.0),
    ("10^-400 + 0 x + z", 1.0),
    ("(-1)^0.5 + x + z", np.nan),
]


@pytest.mark.parametrize(("text", "value"), FAR_APART)
def test_numbers_at_the_edges_of_float64(text: str, value: float) -> None:
    assert es.parse(f"y = {text}").run("y", x=1.0, z=1.0) == pytest.approx(value, nan_ok=True)


FOLDED = """
sinh(a) cosh(a) tanh(a) exp(a) expm1(a) log(a) log1p(a) sqrt(a) sign(a) abs(a) relu(a) step(a) sigmoid(a) softplus(a)
a^3 a^-1 a^0.5 a^-0.5 a^5^0.5 a^-9^9 max(a,2) min(2,a) max(2,a) a<1
"""
EDGES = ["-1", "0", "2", "-9", "1e200", "-1e200", "(1/0)", "(-1/0)", "(-1)^0.5", "1000", "-1000"]


@pytest.mark.parametrize("text", FOLDED.split())
def test_constants_are_what_numpy_makes_of_them(text: str) -> None:
    """At the edges of float64 too: signs of infinities, nan."""
    at_run = es.parse(f"y = {text}").compile("y")
    for edge in EDGES:
        written = re.sub(r"\ba\b", f"({edge})", text)
        folded, a = es.parse(f"y = {written}").run("y"), es.parse(f"y = {edge}").run("y")
        np.testing.assert_allclose(folded, at_run(a=a), rtol=1e-12, err_msg=written)


def test_mutated_texts() -> None:
    """A few of the fuzzer's; `python -m tests.fuzz` tries as many as there is time."""
    found = {number: leak(text, Random(number)) for number, text in first(500)}
    assert not {number: said for number, said in found.items() if said}


def first(n: int) -> list[tuple[int, str]]:
    texts = cases(seed=0)
    return [next(texts) for _ in range(n)]
