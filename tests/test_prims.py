"""Every primitive and every function of the language, differentiated to third order, against mpmath.

A row is a function of arrays and the same function in mpmath, at points where it is smooth. The derivatives are
repeated Jacobians, so every argument of several and all mixed partials are there. A primitive without a row fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement

import mpmath as mp
import numpy as np
import pytest

from einstan.derive import derive, identity
from einstan.dims import Dim
from einstan.ir import Node, input_, pattern
from einstan.prims import PRIMS
from einstan.prims.reduce import ALONG
from einstan.prims.scalar import FUNCTIONS, POWER, like, power
from einstan.prims.shape import concat, part
from einstan.rules import simplify

from .graphs import run

ORDERS = 3
DIGITS = 30
Numbers = list[mp.mpf]
Data = tuple[tuple[float, ...], ...]  # the entries of every argument


@dataclass(frozen=True)
class Row:
    """`make` builds the nodes from the arguments; `truth` takes the arguments as lists, and gives all entries.

    `wrt` are the arguments to differentiate in, where not all.
    """

    make: Callable[..., Node]
    truth: Callable[..., Numbers]
    data: Sequence[Data]
    wrt: tuple[int, ...] | None = None


def entrywise(name: str, f: Callable[..., mp.mpf], *data: Data, wrt: tuple[int, ...] | None = None) -> Row:
    make = FUNCTIONS.get(name) or PRIMS[name]
    return Row(make, lambda *args: [mp.mpf(f(*each)) for each in zip(*args, strict=True)], data, wrt)


def along(name: str, f: Callable[[Numbers], mp.mpf | Numbers], *data: Data) -> Row:
    """Along the one axis."""
    make = ALONG[name] if name in ALONG else lambda x, n: PRIMS[name](x, params=(n,))
    return Row(lambda x: make(x, 1), lambda x: found if isinstance(found := f(x), list) else [found], data)


def raised(q: Fraction, *data: Data) -> Row:
    return Row(lambda x: power(x, q), lambda x: [each ** (q.numerator / mp.mpf(q.denominator)) for each in x], data)


def length(x: Numbers) -> mp.mpf:
    return mp.sqrt(sum(each**2 for each in x))


def log_sum_exp(x: Numbers) -> mp.mpf:
    return mp.log(sum(map(mp.exp, x)))


def logistic(x: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-x))


REAL: tuple[Data, ...] = (((-2.3, 0.7),), ((0.1, 5.0),))
POSITIVE: tuple[Data, ...] = (((0.3, 2.5),), ((7.0, 1e-3),))
INSIDE: tuple[Data, ...] = (((-0.9, 0.2),), ((0.6, -0.05),))
PAIR: tuple[Data, ...] = (((-2.3, 0.7), (0.4, 0.2)), ((1.5, 3.0), (2.5, -1.0)))
VECTOR: tuple[Data, ...] = (((-1.2, 0.7, 2.9),), ((0.3, -0.2, 0.1),))

ROWS: dict[str, Row] = {
    "exp": entrywise("exp", mp.exp, *REAL),
    "log": entrywise("log", mp.log, *POSITIVE),
    "log1p": entrywise("log1p", mp.log1p, *POSITIVE, *INSIDE),
    "expm1": entrywise("expm1", mp.expm1, *REAL),
    "sin": entrywise("sin", mp.sin, *REAL),
    "cos": entrywise("cos", mp.cos, *REAL),
    "tan": entrywise("tan", mp.tan, *REAL),
    "asin": entrywise("asin", mp.asin, *INSIDE),
    "acos": entrywise("acos", mp.acos, *INSIDE),
    "atan": entrywise("atan", mp.atan, *REAL),
    "sinh": entrywise("sinh", mp.sinh, *REAL),
    "cosh": entrywise("cosh", mp.cosh, *REAL),
    "tanh": entrywise("tanh", mp.tanh, *REAL),
    "sigmoid": entrywise("sigmoid", logistic, *REAL),
    "softplus": entrywise("softplus", lambda x: mp.log1p(mp.exp(x)), *REAL),
    "erf": entrywise("erf", mp.erf, *REAL),
    "erfc": entrywise("erfc", mp.erfc, *REAL),
    "relu": entrywise("relu", lambda x: max(x, 0), *REAL),
    "abs": entrywise("abs", abs, *REAL),
    "sign": entrywise("sign", mp.sign, *REAL),
    "step": entrywise("step", lambda x: x > 0, *REAL),
    "sqrt": entrywise("sqrt", mp.sqrt, *POSITIVE),
    "gelu": entrywise("gelu", lambda x: x * (1 + mp.erf(x / mp.sqrt(2))) / 2, *REAL),
    "silu": entrywise("silu", lambda x: x * logistic(x), *REAL),
    "elu": entrywise("elu", lambda x: x if x > 0 else mp.expm1(x), *REAL),
    "logcosh": entrywise("logcosh", lambda x: mp.log(mp.cosh(x)), *REAL),
    "logaddexp": entrywise("logaddexp", lambda a, b: mp.log(mp.exp(a) + mp.exp(b)), *PAIR),
    "max": entrywise("max", max, *PAIR),
    "min": entrywise("min", min, *PAIR),
    "<": entrywise("<", lambda a, b: a < b, *PAIR),
    "<=": entrywise("<=", lambda a, b: a <= b, *PAIR),
    ">": entrywise(">", lambda a, b: a > b, *PAIR),
    ">=": entrywise(">=", lambda a, b: a >= b, *PAIR),
    "==": entrywise("==", lambda a, b: a == b, *PAIR),
    "where": entrywise("where", lambda c, a, b: a if c else b, ((1.0, 0.0), *PAIR[0]), wrt=(1, 2)),
    "power": entrywise("power", mp.power, ((0.7, 2.5), (1.3, -2.0)), ((3.0, 0.2), (2.0, 1.0))),
    "power of a negative": entrywise("power", mp.power, ((-0.7, -2.5), (3.0, -2.0)), wrt=(0,)),
    "power of a number": Row(lambda x: POWER(like(x, 3), x), lambda x: [mp.mpf(3) ** each for each in x], REAL),
    **{
        f"pow {q}": raised(Fraction(q), *(REAL if Fraction(q).denominator == 1 else POSITIVE))
        for q in ("0", "1", "2", "3", "4", "7", "-1", "-2", "-5", "1/2", "-1/2", "3/2", "-3/2", "1/3", "5/2", "0.3")
    },
    "sum[k]": along("sum", sum, *VECTOR),
    "mean[k]": along("mean", lambda x: sum(x) / len(x), *VECTOR),
    "max[k]": along("max", max, *VECTOR),
    "min[k]": along("min", min, *VECTOR),
    "prod[k]": along("prod", mp.fprod, *VECTOR, ((0.0, 2.0, 3.0),), ((0.0, 0.0, 3.0),), ((0.0, 0.0, 0.0),)),
    "norm[k]": along("norm", length, *VECTOR),
    "logsumexp[k]": along("logsumexp", log_sum_exp, *VECTOR),
    "softmax[k]": along("softmax", lambda x: [mp.exp(each - log_sum_exp(x)) for each in x], *VECTOR),
    "log_softmax[k]": along("log_softmax", lambda x: [each - log_sum_exp(x) for each in x], *VECTOR),
    "unit[k]": along("unit", lambda x: [each / length(x) for each in x], *VECTOR),
    "concat": Row(lambda x, y: concat([x, y], 0), lambda x, y: [*x, *y], (((-2.3, 0.7, 1.0), (0.4, 0.2)),)),
    "concat of products": Row(
        lambda x: power(concat([x, power(x, 2)], 0), 2),
        lambda x: [each**2 for each in x] + [each**4 for each in x],
        REAL,
    ),
    "part": Row(lambda x: part(x, 0, Dim.of(1), Dim.of(3)), lambda x: x[1:3], (((0.5, 2.0, 3.0, 7.0),),)),
    "part of powers": Row(
        lambda x: power(part(power(x, 3), 0, Dim.of(1), Dim.of(3)), 2), lambda x: [e**6 for e in x[1:3]], VECTOR
    ),
}


def matrix(x: Node) -> Node:
    """Four entries as a matrix of two rows."""
    size = {"j": Dim.of(1)}
    cells = [pattern(part(x, 0, Dim.of(n), Dim.of(n + 1)), "i", "ij", size) for n in range(4)]
    return concat([concat(cells[:2], 1), concat(cells[2:], 1)], 0)


def of_matrix(name: str, f: Callable[..., mp.mpf | mp.matrix | list], *data: Data) -> Row:
    """A function of a matrix, or of a matrix and a right side."""

    def truth(x: Numbers, *right: Numbers) -> Numbers:
        found = f(mp.matrix([x[:2], x[2:]]), *map(mp.matrix, right))
        return list(found) if isinstance(found, mp.matrix) else [found]

    return Row(lambda x, *right: PRIMS[name](matrix(x), *right), truth, data)


def lower(a: mp.matrix) -> mp.matrix:
    return mp.matrix([[a[0, 0], 0], [a[1, 0], a[1, 1]]])


def symmetric(a: mp.matrix) -> mp.matrix:
    return mp.matrix([[a[0, 0], a[1, 0]], [a[1, 0], a[1, 1]]])


REGULAR: tuple[Data, ...] = (((1.5, -0.4, 0.7, 2.0),), ((-0.3, 1.0, 2.0, 0.5),))
ROWS |= {
    "inv": of_matrix("inv", lambda a: a**-1, *REGULAR),
    "det": of_matrix("det", mp.det, *REGULAR),
    "logdet": of_matrix("logdet", lambda a: mp.log(abs(mp.det(a))), *REGULAR),
    "logdet_positive": of_matrix("logdet_positive", lambda a: mp.log(mp.det(a)), REGULAR[0]),
    "solve": of_matrix("solve", lambda a, b: a**-1 * b, *((a, (0.3, -1.1)) for (a,) in REGULAR)),
    "cholesky": of_matrix("cholesky", lambda a: mp.cholesky(symmetric(a)), REGULAR[0], ((2.0, 5.0, 1.0, 3.0),)),
    "tril": of_matrix("tril", lower, *REGULAR),
}
SPELLED = {"amax": "max[k]", "amin": "min[k]", "pow": "pow 2"}
NO_VALUE = {"opaque"}  # known by name only


def test_every_primitive_and_function_has_a_row() -> None:
    wanted = {*PRIMS, *FUNCTIONS, *(f"{name}[k]" for name in ALONG)} - NO_VALUE
    rows = {*ROWS, *(name.removesuffix("[k]") for name in ROWS)}
    assert {SPELLED.get(name, name) for name in wanted} <= rows


def jacobians(y: Node, leaves: Sequence[Node]) -> list[dict[tuple[int, ...], Node]]:
    """By order: the derivative in arguments i <= j <= .., axes of y first, then theirs."""
    orders: list[dict[tuple[int, ...], Node]] = [{(): y}]
    for _ in range(ORDERS):
        grown: dict[tuple[int, ...], Node] = {}
        for path, node in orders[-1].items():
            later = range(path[-1] if path else 0, len(leaves))
            found = simplify(derive(node, identity(node), [leaves[k] for k in later]))
            grown |= {(*path, k): x for k, x in zip(later, found, strict=True)}
        orders.append(grown)
    return orders


def truth(row: Row, data: Data, wrt: Sequence[int], order: int) -> dict[tuple[int, ...], np.ndarray]:
    """The same by differences in mpmath, at many digits."""
    sizes = [len(x) for x in data]
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    flat = [mp.mpf(x) for arg in data for x in arg]
    given = lambda x: [list(x[a : a + n]) for a, n in zip(starts, sizes, strict=True)]  # noqa: E731
    entries = len(row.truth(*given(flat)))
    found = {}
    for path in combinations_with_replacement(wrt, order):
        table = np.empty((entries, *(sizes[k] for k in path)))
        for place in np.ndindex(table.shape):
            moved = [starts[k] + n for k, n in zip(path, place[1:], strict=True)]
            orders = tuple(moved.count(n) for n in range(len(flat)))
            entry = lambda *x, at=place[0]: row.truth(*given(x))[at]  # noqa: E731
            table[place] = mp.re(mp.diff(entry, tuple(flat), orders) if order else entry(*flat))
        found[path] = table
    return found


@pytest.mark.parametrize("name", ROWS)
def test_derivatives_to_third_order(name: str) -> None:
    row = ROWS[name]
    for data in row.data:
        leaves = [input_(f"x{k}", (Dim.of(len(x)),)) for k, x in enumerate(data)]
        wrt = tuple(range(len(data))) if row.wrt is None else row.wrt
        arrays = {f"x{k}": np.array(x) for k, x in enumerate(data)}
        found = jacobians(row.make(*leaves), [leaves[k] for k in wrt])
        for order, nodes in enumerate(found):
            got = run(list(nodes.values()), arrays, {})
            with mp.workdps(DIGITS):
                want = truth(row, data, wrt, order)
            for path, array in zip(nodes, got, strict=True):
                exact = want[tuple(wrt[k] for k in path)]
                np.testing.assert_allclose(array.reshape(exact.shape), exact, rtol=1e-11, atol=1e-12 * scale_of(exact))


def scale_of(exact: np.ndarray) -> float:
    return max(1.0, float(np.abs(exact).max(initial=0)))
