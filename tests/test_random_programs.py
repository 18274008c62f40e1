"""Random programs: text -> value, and text -> derivatives, against the evaluator of meaning.py.

A failure names its seed: `random_programs.program(seed, depth=..).text()` is the program; hypothesis prints the text of
the smallest that it finds. Long runs: `python -m tests.random_checks --programs 10000 --seed 0`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from .meaning import Rounded, evaluate
from .random_checks import ALWAYS, IN_TURN, Case, assert_within_rounding, check_values
from .random_programs import program, programs
from .trees import Along, Derivative, Illegal, Number, Ones, Power, Product, RandomProgram, Statement, Tensor

DEFAULT_SEEDS = 100
SLOW_SEEDS = range(1000, 11_000)


@pytest.mark.parametrize("seed", range(DEFAULT_SEEDS))
def test_random_program(seed: int) -> None:
    c = Case(program(seed, depth=1 + seed % 2), seed)
    for check in (*ALWAYS, IN_TURN[seed // 2 % len(IN_TURN)]):
        check(c)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(p=programs(), seed=st.integers(0, 9), turn=st.sampled_from(IN_TURN))
def test_any_program(p: RandomProgram, seed: int, turn: Callable[[Case], None]) -> None:
    note(p.text())
    for check in (*ALWAYS, turn):
        check(Case(p, seed))


@pytest.mark.parametrize("seed", range(DEFAULT_SEEDS, DEFAULT_SEEDS + 25))
def test_random_program_with_empty_axes(seed: int) -> None:
    """A sum over nothing is 0; what is refused over nothing is refused by both."""
    c = Case(program(seed, sizes=(0, 0, 1, 2, 3), depth=2), seed)
    check_values(c)
    for name in c.wrt:
        assert c.gradient[1][name].shape == c.exact[name].shape


@pytest.mark.slow
@pytest.mark.parametrize("start", range(SLOW_SEEDS.start, SLOW_SEEDS.stop, 100))
def test_hundred_random_programs(start: int) -> None:
    for seed in range(start, start + 100):
        c = Case(program(seed), seed)
        for check in (*ALWAYS, *IN_TURN):
            check(c)


# ---------------------------------------------------------------- the judge is judged


def rows(body: object, inputs: dict[str, tuple[int, ...]]) -> RandomProgram:
    return RandomProgram((Statement("L", (), body),), {name: (s, "any") for name, s in inputs.items()})  # type: ignore[arg-type]


X = Tensor("x", ("I",))
SQUARE = Product((X, X), (False, False))
JUDGED = [
    ("a sum", Product((X, Ones(("I",), (3,))), (False, False)), 6.0),
    ("a product sums", SQUARE, 14.0),
    ("a product of entries", Along("prod", ("I",), X), 6.0),
    ("a slope", Product((Derivative(SQUARE, (Tensor("x", ("J",)),)), Ones(("J",), (3,))), (False, False)), 12.0),
    ("a bend", Derivative(SQUARE, (Tensor("x", ("J",)), Tensor("x", ("J",)))), 6.0),
    ("a power", Along("sum", ("i",), Power(Tensor("x", ("i",)), Number("3"))), 36.0),
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED])
def test_the_evaluator_by_hand(body: object, expected: float) -> None:
    found = evaluate(rows(body, {"x": (3,)}), {"x": np.array([1.0, 2.0, 3.0])})["L"]
    assert abs(found - expected) < 1e-12


def test_the_bound_grows_where_terms_cancel() -> None:
    """x - x is 0, and may be off by as much as x is rounded."""
    p = rows(Product((X, Ones(("I",), (2,))), (False, False)), {"x": (2,)})
    bound = evaluate(p, {"x": np.array([1.0, -1.0])}, Rounded())["L"]
    assert bound.x == 0
    assert 1e-16 < bound.e < 1e-14


def test_the_bound_finds_a_wrong_digit() -> None:
    c = Case(program(0, depth=2), 0)
    check_values(c)
    wrong = {name: bound.x * (1 + 1e-9) for name, bound in evaluate(c.p, c.arrays, Rounded()).items()}
    with pytest.raises(AssertionError):
        assert_within_rounding(c, wrong, c.arrays)


def test_a_capital_summed_inside_and_open_outside_is_illegal() -> None:
    mixed = rows(Product((Derivative(SQUARE, (X,)), X), (False, False)), {"x": (3,)})
    with pytest.raises(Illegal):
        evaluate(mixed, {"x": np.ones(3)})
