"""kernel: arrays of every kind in, fresh arrays out; errors in words; threads; memory; what it says of itself."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from einstan.dims import Dim, Env
from einstan.errors import EinstanError, EinstanNameError, EinstanShapeError, MissingBackendError
from einstan.ir import Node, Shape, add, einsum, input_, number, pattern, scale
from einstan.kernel import Kernel, Spec, Wanted
from einstan.memory import available
from einstan.order import associate
from einstan.orders.methods import Order
from einstan.prims.scalar import EXP, LOG, TANH
from einstan.prims.shape import concat

from .graphs import Net, dense, gradients, net_arrays

B, K, J = Dim.symbol("X.0"), Dim.symbol("X.1"), Dim.symbol("W.1")
X, W, C = input_("X", (B, K)), input_("W", (K, J)), input_("c", (J,))
SHAPES = {"X": X.shape, "W": W.shape, "c": C.shape}
HINTS = {"X": ("b", "k"), "W": ("k", "j"), "c": ("j",)}
Y = TANH(add([(1, einsum([X, W], ["bk", "kj"], "bj")), (1, pattern(C, "j", "bj", {"b": B}))], (B, J)))
RNG = np.random.default_rng(0)
DATA = {"X": RNG.standard_normal((5, 7)), "W": RNG.standard_normal((7, 3)), "c": RNG.standard_normal(3)}
WANT = np.tanh(DATA["X"] @ DATA["W"] + DATA["c"])


def kernel(
    roots: list[Node] | None = None,
    pack: Callable[[list[Any]], Any] = lambda r: r[0],
    shapes: Mapping[str, Shape] = SHAPES,
    **options: Any,
) -> Kernel:
    hints = {name: HINTS.get(name, tuple("ijkl"[: len(shape)])) for name, shape in shapes.items()}
    nodes = roots or [Y]
    wanted = Wanted(nodes, pack(list(range(len(nodes)))))
    return Kernel(Spec(inputs=hints, shapes=shapes, build=lambda env, order, real: wanted, **options))


def net_kernel(net: Net, **options: Any) -> Kernel:
    names = [w.name for w in net.weights]  # type: ignore[attr-defined]
    pattern = (0, {name: n for n, name in enumerate(names, 1)})

    def build(env: Env, order: Order, real: bool) -> Wanted:
        return Wanted(gradients(net._replace(loss=associate([net.loss], env)[0])), pattern)

    return Kernel(Spec(inputs=net.hints, shapes=net.shapes, build=build, **options))


# ---------------------------------------------------------------- arrays


VARIANTS: dict[str, Callable[[np.ndarray], Any]] = {
    "contiguous": lambda a: a,
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "negative": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "rows negative": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "matrix": lambda a: np.matrix(a) if a.ndim == 2 else a,
    "list": lambda a: a.tolist(),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), dtype=np.uint8)[1:].view(a.dtype).reshape(a.shape),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_any_layout_gives_the_result_of_a_contiguous_copy(name: str) -> None:
    given = {n: VARIANTS[name](a) for n, a in DATA.items()}
    k = kernel()
    for _ in range(2):
        np.testing.assert_array_almost_equal_nulp(k(given), WANT, 8)
        np.testing.assert_array_almost_equal_nulp(k(**DATA), WANT, 8)


def test_read_only_and_zero_stride_arrays() -> None:
    given = {**DATA, "c": np.broadcast_to(np.float64(2), (3,))}
    given["X"] = given["X"].copy()
    given["X"].flags.writeable = False
    np.testing.assert_allclose(kernel()(given), np.tanh(DATA["X"] @ DATA["W"] + 2))


def test_gradients_of_strided_inputs() -> None:
    net = dense(2, TANH)
    k, arrays = net_kernel(net), net_arrays((4, 5, 6), 7)
    _, want = k(arrays)
    _, got = k({n: np.asfortranarray(np.repeat(a, 2, axis=0)[::2]) for n, a in arrays.items()})
    for n in want:
        np.testing.assert_allclose(got[n], want[n], rtol=1e-12)


def scalar_kernel(**options: Any) -> Kernel:
    s, x = input_("s", ()), input_("x", (Dim.symbol("x.0"),))
    node = einsum([s, x], ["", "i"], "i")
    return kernel([node], shapes={"s": (), "x": x.shape}, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "float16"])
def test_pythons_numbers_are_weak(dtype: str) -> None:
    x = np.arange(3).astype(dtype)
    got = scalar_kernel()(s=2, x=x)
    assert got.dtype == dtype
    assert (got == 2 * x).all()


def test_a_python_float_makes_integers_float64() -> None:
    assert scalar_kernel()(s=0.5, x=np.arange(3)).dtype == np.float64


def test_scalars_come_back_as_0d_arrays() -> None:
    got = kernel([einsum([X, X], ["bk", "bk"], "")], shapes={"X": X.shape})(X=DATA["X"])
    assert type(got) is np.ndarray
    assert got.shape == ()


REFUSED = {
    "masked": lambda a: np.ma.masked_array(a, a > 0),
    "object": lambda a: a.astype(object),
    "text": lambda a: a.astype(str),
    "ragged": lambda a: [[1, 2], [3]],
    "dates": lambda a: a.astype("datetime64[s]"),
    "extended": lambda a: a.astype(np.longdouble) if np.dtype(np.longdouble) != np.float64 else a.astype(object),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_arrays_are_refused(name: str) -> None:
    k = kernel()
    for _ in range(2):  # also once a plan is bound
        with pytest.raises(EinstanShapeError, match=r"^X "):
            k({**DATA, "X": REFUSED[name](DATA["X"])})
        k(**DATA)


def test_sparse_arrays_are_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(EinstanShapeError, match="sparse"):
        kernel()({**DATA, "X": sparse.csr_array(DATA["X"])})


# ---------------------------------------------------------------- results


def test_results_share_no_memory_with_anything() -> None:
    flat, whole = einsum([X], ["bk"], "kb"), TANH(X)
    k = kernel([X, flat, whole, whole, Y], pack=list)
    first = k(**DATA)
    second = k(**DATA)
    for n, a in enumerate([*first, *second]):
        for other in [*DATA.values(), *[*first, *second][:n]]:
            assert not np.shares_memory(a, other)
    np.testing.assert_array_equal(first[1], DATA["X"].T)


def test_results_stay_what_they_were() -> None:
    """Large results are taken back when nobody holds them, and only then."""
    n = Dim.symbol("v.0")
    v = input_("v", (n,))
    k = kernel([scale(2, v), TANH(v)], pack=list, shapes={"v": (n,)})
    data = [np.full(100_000, float(i)) for i in range(6)]
    held = [k(v=a) for a in data]
    view = k(v=data[3])[0][10:20]
    for _ in range(3):
        k(v=data[5])
    for i, (twice, tanh) in enumerate(held):
        assert (twice == 2.0 * i).all()
        assert (tanh == np.tanh(float(i))).all()
    assert (view == 6.0).all()


def test_a_changed_result_is_not_handed_out_again() -> None:
    n = Dim.symbol("v.0")
    k = kernel([scale(2, input_("v", (n,)))], shapes={"v": (n,)})
    v = np.ones(100_000)
    got = k(v=v)
    got.flags.writeable = False
    del got
    assert k(v=v).flags.writeable


def test_inputs_are_not_written() -> None:
    before = {n: a.copy() for n, a in DATA.items()}
    kernel([TANH(X), EXP(X)], pack=list)(**DATA)
    for n, a in before.items():
        np.testing.assert_array_equal(a, DATA[n])


def test_results_are_bit_equal() -> None:
    k = net_kernel(dense(3, TANH))
    arrays = net_arrays((40, 50, 60, 7), 64, np.float32)
    value, grads = k(arrays)
    for _ in range(3):
        again, others = k(arrays)
        assert again == value
        assert all((grads[n] == others[n]).all() for n in grads)


# ---------------------------------------------------------------- into


def test_into_writes_into_the_given_arrays() -> None:
    net = dense(2, TANH)
    k, arrays = net_kernel(net), net_arrays((4, 5, 6), 7)
    value, grads = k(arrays)
    outs = (np.empty(()), {n: np.empty_like(g) for n, g in grads.items()})
    assert k.into(outs, arrays) is outs
    assert outs[0] == value
    for n in grads:
        np.testing.assert_array_equal(outs[1][n], grads[n])


def test_into_may_overlap_the_inputs() -> None:
    n = Dim.symbol("v.0")
    a, b = input_("a", (n, n)), input_("b", (n, n))
    k = kernel(
        [einsum([a, b], ["ij", "jk"], "ik"), einsum([b, a], ["ij", "jk"], "ik")], list, {"a": a.shape, "b": b.shape}
    )
    data = RNG.standard_normal((2, 200, 200))
    x, y = data[0].copy(), data[1].copy()
    k.into([x, y], a=x, b=y)
    np.testing.assert_allclose(x, data[0] @ data[1])
    np.testing.assert_allclose(y, data[1] @ data[0])


def test_into_takes_views_and_other_float_dtypes() -> None:
    out = np.zeros((5, 6), np.float32)
    kernel().into(out[:, ::2], **DATA)
    np.testing.assert_allclose(out[:, ::2], WANT, rtol=1e-6)
    assert (out[:, 1::2] == 0).all()


@pytest.mark.parametrize(
    ("outs", "match"),
    [
        (np.empty((5, 4)), r"shape \(5, 3\) can't be written"),
        (np.empty((5, 3), int), "dtype float64 can't be written"),
        ([1.0], "can't be written"),
    ],
)
def test_into_refuses_what_does_not_fit(outs: Any, match: str) -> None:
    with pytest.raises(EinstanShapeError, match=match):
        kernel().into(outs, **DATA)


def test_into_refuses_another_nesting() -> None:
    k = kernel([Y, TANH(X)], pack=lambda r: {"Y": r[0], "Z": r[1]})
    with pytest.raises(EinstanShapeError, match="results are 'Y', 'Z'"):
        k.into({"Y": np.empty((5, 3))}, **DATA)


BUFFER = np.zeros((5, 12))
OVERLAPPING = {
    "one array twice": [BUFFER[:, :3], BUFFER[:, :3]],
    "a part of it": [BUFFER[:, 1:4], BUFFER[:, :3]],
    "reversed": [BUFFER[:, 5::-1][:, :3], BUFFER[:, 3:6]],
}


@pytest.mark.parametrize("outs", OVERLAPPING.values(), ids=OVERLAPPING)
def test_into_refuses_results_that_overlap(outs: list[np.ndarray]) -> None:
    k = kernel([Y, scale(2, Y)], pack=list)
    with pytest.raises(EinstanShapeError, match="same memory"):
        k.into(outs, **DATA)
    assert not BUFFER.any()


def test_results_may_alternate_in_one_array() -> None:
    buffer = np.zeros((5, 6))
    kernel([Y, scale(2, Y)], pack=list).into([buffer[:, ::2], buffer[:, 1::2]], **DATA)
    np.testing.assert_allclose(buffer[:, ::2], WANT)
    np.testing.assert_allclose(buffer[:, 1::2], 2 * WANT)


# ---------------------------------------------------------------- names and sizes


def test_other_inputs_of_the_program_are_ignored() -> None:
    k = kernel(known=frozenset({"T"}))
    for _ in range(2):
        np.testing.assert_allclose(k(**DATA, T=np.empty((9, 9))), WANT)


@pytest.mark.parametrize("bound", [False, True])
def test_unknown_and_missing_names(bound: bool) -> None:
    k = kernel()
    if bound:
        k(**DATA)
    with pytest.raises(EinstanNameError, match="no input called 'w'"):
        k(**DATA, w=1)
    with pytest.raises(EinstanNameError, match=r"no input called 'cc'.*\nDid you mean 'c'"):
        k(X=DATA["X"], W=DATA["W"], cc=DATA["c"])
    with pytest.raises(EinstanNameError, match="No array is given for 'c'"):
        k(X=DATA["X"], W=DATA["W"])


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        ("W", np.ones((6, 3)), r"index k has the size 7 in axis 2 of X\[b,k\] and 6 in axis 1 of W\[k,j\]"),
        ("c", np.ones(4), r"index j has the size 3 in axis 2 of W\[k,j\] and 4 in axis 1 of c\[j\]"),
        ("X", np.ones(7), r"X has 1 axes, and X\[b,k\] has 2"),
        ("c", 2.0, r"c has 0 axes"),
    ],
)
@pytest.mark.parametrize("bound", [False, True])
def test_sizes_that_do_not_fit(name: str, array: Any, match: str, bound: bool) -> None:
    k = kernel()
    if bound:
        k(**DATA)
    with pytest.raises(EinstanShapeError, match=match):
        k({**DATA, name: array})
    np.testing.assert_allclose(k(**DATA), WANT)


def test_the_program_tells_a_mismatch_in_its_words() -> None:
    told = EinstanShapeError("in the words of the program")
    with pytest.raises(EinstanShapeError, match="in the words"):
        kernel(explain=lambda actual: told if actual["W"] == (6, 3) else None)({**DATA, "W": np.ones((6, 3))})


def gate() -> Kernel:
    h, x = Dim.symbol("h.0"), Dim.symbol("x.0")
    w = input_("w", (h + x,))
    node = einsum([concat([input_("h", (h,)), input_("x", (x,))], 0), w], ["k", "k"], "")
    return kernel([node], shapes={"w": (h + x,), "h": (h,), "x": (x,)})


def test_sums_of_sizes_are_solved_and_checked() -> None:
    k = gate()
    assert k(w=np.ones(5), h=np.ones(2), x=np.ones(3)) == 5
    with pytest.raises(EinstanShapeError, match=r"axis 1 of w\[i\] has the size 6, and the other inputs make it 5"):
        k(w=np.ones(6), h=np.ones(2), x=np.ones(3))


def test_an_unknown_symbol_is_solved_from_a_sum() -> None:
    h, x = Dim.symbol("h.0"), Dim.symbol("x.0")
    k = kernel([einsum([input_("w", (h + x,))], ["i"], "")], shapes={"w": (h + x,), "h": (h,)})
    assert k(w=np.ones(5), h=np.ones(2)) == 5
    with pytest.raises(EinstanShapeError, match="can't have the size 1"):
        k(w=np.ones(1), h=np.ones(2))


def test_other_sizes_and_dtypes_replan() -> None:
    k = kernel()
    for batch in (5, 2, 9, 5, 0):
        for dtype in ("float64", "float32"):
            x = RNG.standard_normal((batch, 7)).astype(dtype)
            got = k(X=x, W=DATA["W"].astype(dtype), c=DATA["c"].astype(dtype))
            assert got.dtype == dtype
            np.testing.assert_allclose(got, np.tanh(x @ DATA["W"] + DATA["c"]), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- threads, errors, warnings


def test_many_threads_at_once() -> None:
    k = net_kernel(dense(2, TANH))
    cases = [net_arrays((20 + n % 3, 30, 10), 16 + n) for n in range(8)]
    for n, arrays in enumerate(cases):
        arrays["X"] = arrays["X"] + n
    want = [net_kernel(dense(2, TANH))(arrays) for arrays in cases]
    wrong: list[str] = []

    def work(n: int) -> None:
        for _ in range(40):
            value, grads = k(cases[n])
            if value != want[n][0] or any((grads[m] != want[n][1][m]).any() for m in grads):
                wrong.append(str(n))

    threads = [threading.Thread(target=work, args=(n % 8,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_no_warnings_are_scattered_and_the_error_state_stays() -> None:
    k = kernel([LOG(X), EXP(X)], pack=list)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        low, high = k(X=np.full((5, 7), -1e5), W=DATA["W"], c=DATA["c"])
        assert np.isnan(low).all()
        assert (high == 0).all()
        with pytest.raises(FloatingPointError):
            np.log(np.zeros(1))


def test_check_finite_names_the_result() -> None:
    k = kernel([Y, LOG(X)], pack=lambda r: {"Y": r[0], "Z": r[1]}, check_finite=True)
    with pytest.raises(EinstanError, match="Z has 35 entries of 35 that are not finite"):
        k({**DATA, "X": -np.ones((5, 7))})


def test_an_exception_leaves_the_kernel_usable() -> None:
    k = kernel(memory_limit=10**6)
    with pytest.raises(EinstanError, match="limit"):
        k({**DATA, "X": np.ones((10**6, 7))})
    np.testing.assert_allclose(k(**DATA), WANT)


def test_a_peak_over_the_limit_is_refused_before_anything_is_allocated() -> None:
    n, m = Dim.symbol("a.0"), Dim.symbol("b.0")
    outer = einsum([input_("a", (n,)), input_("b", (m,))], ["i", "j"], "ij")
    k = kernel([TANH(outer)], shapes={"a": (n,), "b": (m,)})
    big = np.broadcast_to(np.float64(1), (10**7,))
    with pytest.raises(EinstanError, match=r"This needs 800 TB at its peak, .* and the limit is .*v\d+\[i,i1\]"):
        k(a=big, b=big)
    assert available() is None or available() > 0  # type: ignore[operator]


# ---------------------------------------------------------------- what it says of itself


def test_source_steps_and_cost_before_a_call_are_of_nominal_sizes() -> None:
    k = kernel(sizes={"b": 5, "W": (7, 3)})
    assert k.cost.flops == 2 * 5 * 7 * 3 + 2 * 15
    assert "np.tanh" in k.source
    assert kernel().cost.flops == 2 * 128**3 + 2 * 128**2
    k(**{**DATA, "X": np.ones((2, 7))})
    assert k.cost.flops == 2 * 2 * 7 * 3 + 2 * 6


def test_cost_is_recounted_from_the_steps() -> None:
    k = net_kernel(dense(2, TANH))
    k(net_arrays((4, 5, 6), 7))
    assert k.cost.flops == sum(s.flops for s in k.steps)
    assert k.cost.bytes == sum(s.out.nbytes + sum(a.nbytes for a in s.arrays) for s in k.steps if not s.is_view)
    assert k.cost.peak_bytes >= max(s.out.nbytes for s in k.steps)


def test_gradients_of_everything_cost_three_values() -> None:
    net = dense(4, TANH)
    arrays = net_arrays((100, 110, 120, 130, 140), 64)
    everything = net._replace(weights=[*net.weights, input_("X", net.shapes["X"])])
    k, value = net_kernel(everything), kernel([net.loss], shapes=net.shapes)
    k(arrays)
    value(arrays)
    assert k.cost.flops <= 3.2 * value.cost.flops


def test_the_formulas_have_the_users_letters() -> None:
    assert "[b,j] = v" in kernel(sizes={"b": 5, "k": 7, "j": 3}).source
    assert "# X[b,k], W[k,j], c[j]" in kernel().source


def test_kernels_can_not_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot assign to field 'optimize'"):
        kernel().optimize = "greedy"


def test_repr_is_short() -> None:
    assert repr(kernel()) == "<Kernel of X[b,k], W[k,j], c[j], numpy>"


def test_other_backends_are_not_built_yet() -> None:
    with pytest.raises(MissingBackendError, match="'jax' is not built yet"):
        kernel(backend="jax")


def test_constants_have_the_inputs_float() -> None:
    k = kernel([number(2, X.shape)], shapes={"X": X.shape})
    got = k(X=np.ones((5, 7), np.float32))
    assert got.dtype == np.float32
    assert (got == 2).all()


def test_a_call_costs_microseconds_over_its_plan() -> None:
    """Guards, workspace, results and packing: a loose bound, for machines that do other things too."""
    net = dense(2, TANH)
    k, arrays = net_kernel(net), net_arrays((16, 16, 4), 8, np.float32)
    k(arrays)
    best = min(timed(lambda: k(arrays)) for _ in range(200))
    assert best < 300e-6


def timed(f: Callable[[], Any]) -> float:
    start = time.perf_counter()
    f()
    return time.perf_counter() - start
