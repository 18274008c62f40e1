"""plan: random graphs against the evaluator; dtypes; coefficients; what is never copied, joined or scaled; memory."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import prod

import numpy as np
import pytest

import einstan as es
from einstan.derive import derive
from einstan.dims import Dim
from einstan.errors import EinstanShapeError
from einstan.ir import Coef, Node, add, einsum, input_, number, ones, pattern, scale, times, zeros
from einstan.plan import Plan, Step, Value, plan
from einstan.plan.facts import Facts
from einstan.prims import PRIMS
from einstan.prims.reduce import mean
from einstan.prims.scalar import EQ, EXP, GT, RELU, SIGMOID, TANH, WHERE, minus, power
from einstan.prims.shape import concat, part
from einstan.testing import evaluate

from .graphs import ENV, dense, env_of, gradients, net_arrays, planned, random_graph, run

N, M, K = Dim.symbol("S7.0"), Dim.symbol("S5.0"), Dim.symbol("S3.0")
A, B = input_("A", (N, M)), input_("B", (M, K))
V, S = input_("V", (M,)), input_("S", (M, M))


def close(got: np.ndarray, want: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("block", range(10))
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 2e-2)])
def test_random_graphs_have_the_evaluators_values(block: int, dtype: str, tolerance: float) -> None:
    for seed in range(40 * block, 40 * (block + 1)):
        case = random_graph(seed)
        arrays = {name: a.astype(dtype) for name, a in case.arrays.items()}
        for got, want in zip(run(case.roots, arrays, times=2), evaluate(case.roots, arrays, ENV), strict=True):
            assert got.shape == want.shape
            if np.isfinite(want).all() and (dtype == "float64" or np.abs(want).max(initial=0) < 1e3):
                close(got, want, tolerance)


INTEGERS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "int64": lambda r, shape: r.integers(-3, 4, shape),
    "int8": lambda r, shape: r.integers(-3, 4, shape).astype(np.int8),
    "uint16": lambda r, shape: r.integers(0, 4, shape).astype(np.uint16),
    "bool": lambda r, shape: r.random(shape) < 0.5,
}


@pytest.mark.parametrize("kinds", [("int64",), ("bool",), ("int8", "bool"), ("int64", "float64"), ("bool", "float64")])
def test_integers_too(kinds: tuple[str, ...]) -> None:
    for seed in range(150):
        case = random_graph(seed)
        r = np.random.default_rng(seed)
        arrays = {}
        for n, (name, a) in enumerate(case.arrays.items()):
            kind = kinds[n % len(kinds)]
            arrays[name] = a if kind == "float64" else INTEGERS[kind](r, a.shape)
        for got, want in zip(run(case.roots, arrays, times=2), evaluate(case.roots, arrays, ENV), strict=True):
            if np.isfinite(want).all() and np.abs(want).max(initial=0) < 1e15:  # past that integers wrap around
                close(got, want, 1e-9)


@pytest.mark.parametrize("seed", range(150))
def test_values_that_lie_together_are_never_alive_together(seed: int) -> None:
    """The workspace, checked by following every byte."""
    case = random_graph(seed)
    found = planned(case.roots, case.arrays)
    owner = np.full(found.arena, -1)
    for step in found.steps:
        if step.is_view:
            continue
        for v in step.arrays:
            if v.storage in found.places:
                assert (owner[slice_of(found, v.storage)] == v.storage.number).all(), (step, v)
        if step.out.storage in found.places:
            owner[slice_of(found, step.out.storage)] = step.out.storage.number


def slice_of(found: Plan, v: Value) -> slice:
    place = found.places[v]
    return slice(place.offset, place.offset + place.nbytes)


@pytest.mark.parametrize("seed", range(100))
def test_costs_are_those_of_the_steps(seed: int) -> None:
    case = random_graph(seed)
    found = planned(case.roots, case.arrays)
    assert found.flops == sum(counted(s) for s in found.steps)
    assert found.bytes == sum(s.out.nbytes + sum(v.nbytes for v in s.arrays) for s in found.steps if not s.is_view)


def is_gram(a: Value, b: Value) -> bool:
    """Whether one is the transpose of the other, both of the same floats."""
    views = [v.shows for v in (a, b) if v.shows is not None and v.shows[1] == "transpose"]
    shown = [*[x for x, _, _ in views], *[v for v in (a, b) if v.shows not in views]]
    floats = a.dtype.kind in "fc" and len(a.shape) == 2 and 1 not in a.shape and 0 not in a.shape
    return floats and len(views) == 1 and shown[0] is shown[1] and shown[0].contiguous


def counted(step: Step) -> int:
    """The flops of a step from its shapes alone."""
    out, shapes = step.out, [v.shape for v in step.arrays]
    match step.op:
        case "dot" | "matmul":
            left = shapes[0]
            if any(v.storage.kind == "constant" and s == (left[-1],) for v, s in zip(step.arrays, shapes, strict=True)):
                return prod(max(shapes, key=prod))  # a sum: a product with ones
            if step.op == "dot" and is_gram(*step.arrays):
                return (out.shape[0] + 1) * prod(shapes[0])
            return 2 * out.size * left[-1]
        case "fold":
            return 2 * prod(shapes[0])
        case "sum" | "amax" | "amin" | "prod" | "logsumexp" | "norm":
            return prod(shapes[0])
        case "copy" | "fill" | "ones" | "transpose" | "reshape" | "index" | "diagonal":
            return 0
        case "tril":
            return 0
        case "inv":
            return 2 * prod(shapes[0]) * shapes[0][-1]
        case "det" | "logdet":
            return 2 * prod(shapes[0]) * shapes[0][-1] // 3
        case "solve":  # the matrix in triangles, then each of them for every entry of the right side
            return 2 * prod(shapes[0]) * shapes[0][-1] // 3 + 2 * out.size * shapes[0][-1]
        case _:
            return out.size


# ---------------------------------------------------------------- dtypes

F2, F4, F8, I1, I8, B1, C8 = (np.dtype(t) for t in ("f2", "f4", "f8", "i1", "i8", "?", "c8"))
PRODUCT, SUM, ROWS = einsum([A, B], ["nm", "mk"], "nk"), add([(1, S), (2, S)], S.shape), einsum([A], ["nm"], "m")


@pytest.mark.parametrize(
    ("node", "given", "dtype"),
    [
        (PRODUCT, (F4, F4), F4),
        (PRODUCT, (F4, F8), F8),
        (PRODUCT, (F2, F2), F2),
        (PRODUCT, (F2, F4), F4),
        (PRODUCT, (I1, I1), I8),
        (PRODUCT, (I8, F4), F8),
        (PRODUCT, (B1, B1), I8),
        (PRODUCT, (B1, F4), F4),
        (PRODUCT, (C8, F4), C8),
        (PRODUCT, (C8, C8), C8),
        (SUM, (I8,), I8),
        (scale(Fraction(1, 2), S), (I8,), F8),
        (scale(Fraction(1, 2), S), (F4,), F4),
        (ROWS, (B1,), I8),
        (A, (B1,), I8),
        (TANH(A), (I8,), F8),
        (TANH(A), (F4,), F4),
        (TANH(A), (F2,), F2),
        (GT(A, zeros(A.shape)), (F4,), F4),
        (GT(A, zeros(A.shape)), (I8,), F8),
        (power(A, 2), (I8,), I8),
        (power(A, -1), (I8,), F8),
        (part(A, 0, Dim.of(1), Dim.of(3)), (I8,), I8),
        (add([(1, A), (Fraction(1, 3), ones(A.shape))], A.shape), (F4,), F4),
        (number(2, A.shape), (), F8),
        (add([(1, A), (-1, A), (1, ones(A.shape))], A.shape), (F4,), F4),
    ],
)
def test_the_dtype_of_the_result_is_fixed(node: Node, given: tuple[np.dtype, ...], dtype: np.dtype) -> None:
    names = ("S",) if node is SUM or (given and node.shape == S.shape and A not in node.operands) else ("A", "B")
    dtypes = dict(zip(names, given, strict=False)) | ({"A": F4} if dtype == F4 and not node.operands else {})
    (result,) = plan([node], ENV, dtypes).results
    assert result.dtype == dtype


def test_integers_are_contracted_exactly() -> None:
    a = np.full((7, 5), 2**40 + 1, dtype=np.int64)
    b = np.full((5, 3), 2**20 + 1, dtype=np.int64)
    (got,) = run([PRODUCT], {"A": a, "B": b})
    assert got.dtype == np.int64
    assert (got == 5 * (2**40 + 1) * (2**20 + 1)).all()


def test_half_precision_is_computed_in_single() -> None:
    """numpy's float16 sums stop at 2048."""
    n = Dim.symbol("n")
    (got,) = run([einsum([input_("x", (n,))], ["n"], "")], {"x": np.ones(5000, np.float16)}, {"n": 5000})
    assert got == 5000
    assert got.dtype == np.float16


def test_bool_beside_floats_is_0_and_1() -> None:
    mask = np.arange(35).reshape(7, 5) % 2 == 0
    b = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    (got,) = run([PRODUCT], {"A": mask, "B": b})
    close(got, mask @ b, 1e-6)


def test_complex_contractions() -> None:
    r = np.random.default_rng(0)
    a, b = r.standard_normal((7, 5)) + 1j * r.standard_normal((7, 5)), r.standard_normal((5, 3)) + 0j
    close(run([PRODUCT], {"A": a, "B": b})[0], a @ b, 1e-12)


# ---------------------------------------------------------------- coefficients


def scalings(found: Plan) -> list[Step]:
    """Steps that multiply an array by a number."""
    return [s for s in found.steps if s.op == "multiply" and len(list(s.arrays)) == 1]


def net_plan(depth: int, activation=TANH, widths=(40, 50, 60, 70), batch: int = 9) -> Plan:  # type: ignore[no-untyped-def]
    net = dense(depth, activation)
    arrays = net_arrays(widths[: depth + 1], batch)
    return planned(gradients(net), arrays, env_of(net.shapes, arrays))


@pytest.mark.parametrize("activation", [TANH, RELU, SIGMOID])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_nothing_of_the_size_of_a_weight_is_scaled_or_copied(depth: int, activation) -> None:  # type: ignore[no-untyped-def]
    found = net_plan(depth, activation)
    assert all(s.out.size < 40 * 50 for s in scalings(found))
    assert len(scalings(found)) <= 1
    assert not any(s.op == "copy" for s in found.steps)


def test_the_loss_of_one_tanh_layer_scales_nothing_large() -> None:
    net = dense(1, TANH)
    b, k, j = Dim.symbol("X.0"), Dim.symbol("X.1"), Dim.symbol("W0.1")
    y = TANH(einsum([input_("X", (b, k)), input_("W0", (k, j))], ["bk", "kj"], "bj"))
    residual = minus(y, input_("T", (b, j)))
    loss = einsum([residual, residual], ["bj", "bj"], "")
    roots = [loss, *derive(loss, number(1), net.weights[:1])]
    arrays = net_arrays((40, 50), 9)
    found = planned(roots, {k: v for k, v in arrays.items() if k != "c0"}, env_of(net.shapes, arrays))
    assert all(s.out.size <= 9 * 50 for s in scalings(found))


def test_a_multiple_that_all_want_is_computed_once() -> None:
    """-2 C E' and -2 1'E: E is scaled, or made scaled, once."""
    e = times(A, EXP(A))
    c = input_("C", (Dim.of(11), M))
    roots = [scale(-2, einsum([c, e], ["cm", "nm"], "cn")), scale(-2, einsum([e], ["nm"], "m"))]
    found = planned(roots, {"A": np.ones((7, 5)), "C": np.ones((11, 5))})
    assert len(scalings(found)) == 1


@pytest.mark.parametrize(
    ("node", "count"),
    [
        (scale(3, einsum([V, V], ["m", "m"], "")), 1),
        (minus(A, TANH(A)), 0),
        (scale(-1, minus(A, TANH(A))), 0),
        (scale(5, minus(A, TANH(A))), 1),
        (einsum([scale(2, TANH(V)), scale(3, EXP(V))], ["m", "m"], ""), 1),
        (scale(-1, times(A, minus(TANH(A), A))), 0),
    ],
)
def test_as_few_scalings_as_need_be(node: Node, count: int) -> None:
    found = planned([node], {"A": np.ones((7, 5)), "V": np.ones(5)})
    assert len(scalings(found)) == count
    assert all(s.out.size <= max(5, node.rank * 35) for s in scalings(found))


def test_integers_are_not_scaled_inside() -> None:
    root = scale(Fraction(1, 3), einsum([A, B], ["nm", "mk"], "nk"))
    (got,) = run([root], {"A": np.full((7, 5), 3), "B": np.full((5, 3), 2)})
    assert (got == 10.0).all()


# ---------------------------------------------------------------- layouts


def ops(found: Plan) -> list[str]:
    return [s.op for s in found.steps if not s.is_view]


@pytest.mark.parametrize(
    ("labels", "out", "shapes", "want"),
    [
        (("ij", "jk"), "ik", ((7, 5), (5, 3)), ["dot"]),
        (("ji", "jk"), "ik", ((5, 7), (5, 3)), ["dot"]),
        (("ij", "jk"), "ki", ((7, 5), (5, 3)), ["dot"]),
        (("i", "ij"), "j", ((7,), (7, 5)), ["dot"]),
        (("ij", "j"), "i", ((7, 5), (5,)), ["dot"]),
        (("i", "i"), "", ((7,), (7,)), ["dot"]),
        (("ij", "ij"), "", ((7, 5), (7, 5)), ["dot"]),
        (("i", "j"), "ij", ((7,), (5,)), ["multiply"]),
        (("ij", "ij"), "ij", ((7, 5), (7, 5)), ["multiply"]),
        (("ij", "j"), "ij", ((7, 5), (5,)), ["multiply"]),
        (("bij", "bjk"), "bik", ((2, 7, 5), (2, 5, 3)), ["matmul"]),
        (("bij", "bjk"), "bki", ((2, 7, 5), (2, 5, 3)), ["matmul"]),
        (("bij", "jk"), "bik", ((2, 7, 5), (5, 3)), ["dot"]),
        (("bij", "bj"), "bi", ((2, 7, 5), (2, 5)), ["matmul"]),
        (("bi", "bj"), "ij", ((2, 7), (2, 5)), ["dot"]),
        (("abi", "abj"), "ij", ((2, 3, 7), (2, 3, 5)), ["dot"]),
        (("bnha", "bmha"), "bhnm", ((2, 7, 3, 5), (2, 7, 3, 5)), ["matmul"]),
        (("bhnm", "bmha"), "bnha", ((2, 3, 7, 5), (2, 5, 3, 2)), ["matmul"]),
        (("ijk", "kji"), "", ((2, 3, 5), (5, 3, 2)), ["copy", "dot"]),
    ],
)
def test_binary_products_are_one_step_on_views(labels, out, shapes, want) -> None:  # type: ignore[no-untyped-def]
    arrays = {n: np.random.default_rng(len(n)).standard_normal(s) for n, s in zip(("P", "Q"), shapes, strict=True)}
    nodes = [input_(name, tuple(map(Dim.of, a.shape))) for name, a in arrays.items()]
    e = einsum(nodes, labels, out)
    assert ops(planned([e], arrays, {})) == want
    close(run([e], arrays, {})[0], np.einsum(",".join(labels) + "->" + out, *arrays.values()), 1e-12)


def test_broadcasts_are_not_written_out() -> None:
    row = pattern(V, "m", "nm", {"n": N})
    found = planned([add([(1, A), (1, row), (3, ones(A.shape))], A.shape)], {"A": np.ones((7, 5)), "V": np.ones(5)})
    assert ops(found) == ["add", "add"]
    assert [s.out.size for s in found.steps if s.op == "add"] == [5, 35]


def test_a_sum_that_only_repeats_stays_small() -> None:
    rows = [pattern(f(V), "m", "nm", {"n": N}) for f in (TANH, EXP)]
    e = einsum([add([(1, rows[0]), (1, rows[1])], A.shape), A], ["nm", "nm"], "n")
    found = planned([e], {"A": np.ones((7, 5)), "V": np.ones(5)})
    assert all(s.out.size <= 7 for s in found.steps if not s.is_view)


def test_sums_of_squares_are_dots() -> None:
    assert ops(planned([einsum([power(A, 2)], ["nm"], "")], {"A": np.ones((7, 5))})) == ["dot"]


def test_a_diagonal_is_added_in_place() -> None:
    """diag(v) - v vᵀ."""
    outer = einsum([V, V], ["m", "k"], "mk")
    node = add([(1, pattern(V, "m", "mm", {})), (-1, outer)], S.shape)
    v = np.arange(5.0)
    close(run([node], {"V": v})[0], np.diag(v) - np.outer(v, v), 1e-12)


def test_products_that_differ_by_a_transpose_are_one() -> None:
    e, t = einsum([A, B], ["nm", "mk"], "nk"), einsum([A, B], ["nm", "mk"], "kn")
    found = planned([TANH(e), EXP(t)], {"A": np.ones((7, 5)), "B": np.ones((5, 3))})
    assert ops(found).count("dot") == 1


def test_equal_results_are_computed_once() -> None:
    found = planned([TANH(A), TANH(A)], {"A": np.ones((7, 5))})
    assert ops(found) == ["tanh"]
    assert found.results[0] is found.results[1]


# ---------------------------------------------------------------- concatenations


def gate(out: int) -> tuple[Node, dict[str, np.ndarray], dict[str, int]]:
    b, h, x, j = (Dim.symbol(s) for s in ("h.0", "h.1", "x.1", "W.1"))
    joined = concat([TANH(input_("h", (b, h))), input_("x", (b, x))], 1)
    r = np.random.default_rng(0)
    arrays = {"h": r.standard_normal((300, 40)), "x": r.standard_normal((300, 50)), "W": r.standard_normal((90, out))}
    env = {"h.0": 300, "h.1": 40, "x.1": 50, "W.1": out}
    return einsum([joined, input_("W", (h + x, j))], ["bk", "kj"], "bj"), arrays, env


@pytest.mark.parametrize(("out", "joined"), [(3, False), (200, True)])
def test_a_concatenation_is_joined_only_where_that_is_cheaper(out: int, joined: bool) -> None:
    node, arrays, env = gate(out)
    found = planned([node], arrays, env)
    assert any(s.out.storage.shape == (300, 90) for s in found.steps) is joined
    close(run([node], arrays, env)[0], evaluate([node], arrays, env)[0], 1e-9)


def test_zero_blocks_are_not_multiplied() -> None:
    b, j = Dim.of(200), Dim.of(3)
    x = input_("x", (b, Dim.of(40)))
    padded = concat([x, zeros((b, Dim.of(400)))], 1)
    node = einsum([padded, input_("W", (Dim.of(440), j))], ["bk", "kj"], "bj")
    arrays = {"x": np.random.default_rng(0).standard_normal((200, 40)), "W": np.ones((440, 3))}
    assert planned([node], arrays, {}).flops == 2 * 200 * 40 * 3
    close(run([node], arrays, {})[0], arrays["x"] @ arrays["W"][:40], 1e-12)


def test_parts_are_computed_where_they_belong() -> None:
    found = planned([concat([TANH(A), EXP(A)], 1)], {"A": np.ones((7, 5))})
    assert ops(found) == ["tanh", "exp"]
    assert found.arena == 0


# ---------------------------------------------------------------- constants and errors


def test_constants_are_numbers() -> None:
    pi = power(einsum([], [], "nm", {"n": N, "m": M}), 1)
    facts = Facts([EXP(scale(2, pi)), SIGMOID(zeros(A.shape))], ENV, {})
    assert [round(float(facts.number[r]), 12) for r in facts.roots] == [round(np.exp(2), 12), 0.5]


@pytest.mark.parametrize("name", ["amax", "amin", "softmax", "log_softmax"])
def test_nothing_has_no_largest(name: str) -> None:
    with pytest.raises(EinstanShapeError, match="over an empty axis"):
        plan([PRIMS[name](A, params=(1,))], {**ENV, "S5.0": 0}, {"A": F8})


def test_nothing_has_no_mean() -> None:
    with pytest.raises(EinstanShapeError, match="mean over an empty axis"):
        plan([mean(A, 1)], {**ENV, "S5.0": 0}, {"A": F8})


def test_empty_sums_are_0_and_products_1() -> None:
    env = {**ENV, "S5.0": 0}
    arrays = {"A": np.empty((7, 0)), "B": np.empty((0, 3))}
    roots = [PRODUCT, einsum([A], ["nm"], "n"), PRIMS["prod"](A, params=(1,)), PRIMS["norm"](A, params=(1,))]
    for got, want in zip(run(roots, arrays, env), (0, 0, 1, 0), strict=True):
        assert (got == want).all()


def test_a_diagonal_times_an_empty_size_is_0() -> None:
    """|m| 0.6 δ[n,k], which scales the whole, and beside a diagonal that is not empty."""
    delta, v = einsum([], [], "nn", {"n": N}), input_("v", (N,))
    diagonal = einsum([v], ["n"], "nn")
    size = Coef(Fraction(3, 5), Coef.size(M).sizes)
    roots = [
        scale(size, delta),
        add([(size, delta), (size, diagonal)], (N, N)),
        add([(size, delta), (1, diagonal)], (N, N)),
    ]
    arrays = {"v": np.ones(7)}
    for m in (0, 3):
        a, b, c = run(roots, arrays, {**ENV, "S5.0": m})
        want = 0.6 * m * np.eye(7)
        for got, expected in ((a, want), (b, 2 * want), (c, want + np.eye(7))):
            np.testing.assert_allclose(got, expected, rtol=1e-15)


def test_a_part_outside_its_axis_is_refused() -> None:
    with pytest.raises(EinstanShapeError, match="3:9 does not lie in an axis of size 7"):
        plan([part(A, 0, Dim.of(3), Dim.of(9))], ENV, {"A": F8})


def test_sizes_of_coefficients_are_numbers() -> None:
    half = scale(Coef.size(M, -1), einsum([A], ["nm"], "n"))
    a = np.random.default_rng(0).standard_normal((7, 5))
    close(run([half], {"A": a})[0], a.mean(1), 1e-12)


def test_a_comparison_that_only_chooses_is_bool() -> None:
    found = planned([WHERE(EQ(A, zeros(A.shape)), A, EXP(A))], {"A": np.ones((7, 5))})
    assert next(s for s in found.steps if s.op == "==").out.dtype == bool


@pytest.mark.parametrize("text", ["Y[b,k] = g[k] s[b] U[b,k] + T[b,k]", "Y[b,k] = s[k] g[b] U[b,k] + T[b,k]"])
def test_products_lie_as_what_they_meet_next(text: str) -> None:
    """The outer product is made in U's order, so nothing is read across its rows."""
    k = es.parse(text).compile("Y", sizes={"b": 30, "k": 50})
    assert not [step for step in k.steps if step.op == "transpose"]
