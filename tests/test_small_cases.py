"""Small cases that each once went wrong, or nearly: gradients against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import einstan as es
from einstan.testing import finite_difference

CASES = [
    ("a maximum of a join", "L = max[r]([a[r,K], b[r,K]]_r w[K])", "a", {"a": (1, 7), "b": (3, 7), "w": (7,)}),
    (
        "two products over axes of one size",
        "L = prod[k](B[Q,k]) prod[k](T[P,k]) W[P,Q]",
        "B",
        {"B": (3, 3), "T": (2, 3), "W": (2, 3)},
    ),
    (
        "a diagonal below a minimum",
        "Z[k,k] = A[k]\nL = min[j,r](Z[I,r] + M[j,r] + B[I,r]) w[I]",
        "A",
        {"A": (3,), "M": (2, 3), "B": (3, 3), "w": (3,)},
    ),
    (
        "a diagonal beside log softmax",
        "Z[r,r] = A[r]\nL = log_softmax[J](-sum[n](u[n,J,I])) Z[I,J]",
        "u",
        {"A": (3,), "u": (2, 3, 3)},
    ),
    (
        "a join of one name twice, sized by a part",
        "Z[j] = A[j=0:2]\nL = Z[I] [w[I], w[I]]_I",
        "w",
        {"A": (4,), "w": (1,)},
    ),
    (
        "a join whose parts are inputs of which one is read",
        "L = v[P,R] [T[R], g[R]]_R w[P]",
        "T",
        {"v": (2, 7), "T": (3,), "g": (4,), "w": (2,)},
    ),
    (
        "a product that the result does not need",
        "L = x + A[I] B[I] C[I]",
        "x",
        {"x": (), "A": (3,), "B": (3,), "C": (3,)},
    ),
]


@pytest.mark.parametrize(("text", "wrt", "shapes"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_gradient(text: str, wrt: str, shapes: dict[str, tuple[int, ...]]) -> None:
    p = es.parse(text)
    value, slope = p.compile("L"), p.grad("L", wrt).compile()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        arrays = {name: rng.uniform(0.2, 1.2, shape) for name, shape in shapes.items()}
        expected = finite_difference(value, arrays, wrt)
        np.testing.assert_allclose(slope(arrays), expected, rtol=1e-6, atol=1e-7)


HESSIANS = [
    ("L = prod[l](B[l=0:3])", "B", (5,)),
    ("L = prod[q,r](softmax[q](A[q,r]))", "A", (2, 3)),
    ("L = norm[r,p](cos(softmax[p](sqrt(B[p,r]))))", "B", (2, 3)),
    ("L = min[m](prod[q](softmax[q](A[q,m])))", "A", (2, 3)),
]


@pytest.mark.parametrize(("text", "wrt", "shape"), HESSIANS, ids=[row[0] for row in HESSIANS])
def test_hessian(text: str, wrt: str, shape: tuple[int, ...]) -> None:
    p = es.parse(text)
    slope, second = p.grad("L", wrt).compile(), p.hessian("L", wrt).compile()
    rng = np.random.default_rng(0)
    x, v = rng.uniform(0.2, 1.2, shape), rng.normal(size=shape)
    expected = (slope({wrt: x + 1e-6 * v}) - slope({wrt: x - 1e-6 * v})) / 2e-6
    np.testing.assert_allclose(np.tensordot(second({wrt: x}), v, v.ndim), expected, rtol=1e-5, atol=1e-7)


EMPTY = [
    ("L = sum[k,l]([A[l], B[l,k]]_l)", {"A": (1,), "B": (1, 0)}, 0),
    ("L = B[K] B[K] size(B,1) y", {"B": (0,), "y": ()}, 0),
    ("L = A[I,K] B[K,I]", {"A": (2, 0), "B": (0, 2)}, 0),
    ("L = prod[k](x[k])", {"x": (0,)}, 1),
    ("L = logsumexp[k](x[k])", {"x": (0,)}, -np.inf),
    ("L = log(1 + sum[k](exp(x[k])))", {"x": (0,)}, 0),
    ("L = log(sum[k](exp(x[k] + y)) + exp(y))", {"x": (0,), "y": ()}, 1),
    ("L = sum[i,j](tanh([A[i,j], B[i,j]]_i))", {"A": (1, 0), "B": (2, 0)}, 0),
]


@pytest.mark.parametrize(("text", "shapes", "value"), EMPTY, ids=[row[0] for row in EMPTY])
def test_empty_axes(text: str, shapes: dict[str, tuple[int, ...]], value: float) -> None:
    assert es.parse(text).run("L", **{name: np.ones(shape) for name, shape in shapes.items()}) == value


@pytest.mark.parametrize("word", ["max", "min", "mean"])
def test_nothing_has_no_extremum_or_mean(word: str) -> None:
    with pytest.raises(es.EinstanShapeError):
        es.parse(f"L = {word}[k](x[k])").run("L", x=np.ones(0))


def test_the_mixed_derivative_of_a_power_at_the_exponent_0() -> None:
    """∂²(a^b)/∂a∂b = a^(b-1) (1 + b log a)."""
    assert es.parse("Z = A^B\nL = ∂Z/∂A").grad("L", "B").run(A=2.0, B=0.0) == 0.5
    assert es.parse("Z = A^B").grad("Z", "A").run(A=0.0, B=0.0) == 0


def test_sizes_of_a_join_are_read_where_one_of_its_axes_is() -> None:
    """The zero needs a size that T decides; u, which has it too, has an axis that only A and B decide."""
    p = es.parse("Z[j] = [A[j], B[j]]_j\nL = Z[J] u[J,Q] T[Q]\nY = x^2")
    arrays = {"A": np.ones(2), "B": np.ones(1), "u": np.ones((3, 5)), "T": np.ones(5), "x": 2.0}
    assert p.jacobian("Y", "T").compile()(arrays).tolist() == [0] * 5


PRINTED = [
    ("letters of fixed size", "size n = 2\nL = sum[n](sin(B[n=2:4] C[n]))", "B"),
    ("a softmax on its diagonal", "Y[l,l] = B[l]\nL = relu(log_softmax[J,I](Y[I,J] ∂(A A)/∂A)) Y[I,J]", "B"),
    (
        "a part of a sum below a derivative",
        "Z[l] = min[k](A[l,k])\nL = max[k]([T[k], B[k=1:3]]_k) sin(∂Z[I]/∂A[I,K] A[I,K])",
        "B",
    ),
    ("a square over an open index", "Z[i] = y[i,R] 1[i] y[i,R] 1[R]\nL = cos(v[J] g[R,R]) sin(Z[J]) ∂(A A)/∂A", "g"),
    ("a delta that is named", "Z[m] = [A[m,m], B[m]]_m\nY = x[J,I] ∂Z[J]/∂B[I]\nL = sin(Y)", "x"),
    ("a softmax over ones", "L = logsumexp[j,q](norm[m,n](exp(H[m,n,j]) (F[K,q,n])^0 (s[K,R] g[R])))", "g"),
    ("a product with a mask", "L = log1p(A^2) + prod[l]([B[l], x[l,l]]_l) ∂(A A)/∂A", "x"),
]


@pytest.mark.parametrize(("text", "wrt"), [row[1:] for row in PRINTED], ids=[row[0] for row in PRINTED])
def test_the_printed_gradient_is_read_back(text: str, wrt: str) -> None:
    gradient = es.parse(text).grad("L", wrt)
    back = es.parse(f"{es.parse(text)}\n{gradient}")
    assert back == gradient
    assert not [form.error for claim in back.checked.claims for form in claim.forms if form.error is not None]


def test_unsigned_integers_do_not_wrap() -> None:
    p = es.parse("y[i] = A[i] - B[i]")
    small = {"A": np.array([1, 2], np.uint8), "B": np.array([3, 1], np.uint8)}
    assert p.run("y", **small).tolist() == [-2, 1]
    with pytest.raises(es.EinstanShapeError, match="wrap"):
        p.run("y", **{name: a.astype(np.uint64) for name, a in small.items()})


@pytest.mark.parametrize("text", ["y = 3 A", "y = step(A)", "y = A^0"])
def test_constant_results_follow_the_inputs(text: str) -> None:
    p = es.parse(text)
    assert p.grad("y", "A").run(A=np.float32(2)).dtype == np.float32
    assert p.run("y", A=np.float32(2)).dtype == np.float32


def test_thousands_of_scalars_are_one_product() -> None:
    """The derivative of sin(sin(..)) is a product of as many cosines, ordered in linear time."""
    depth = 3000
    lines = "\n".join(f"f{n + 1} = sin(f{n})" for n in range(depth))
    slope = es.parse(f"f0 = x\n{lines}").grad(f"f{depth}", "x").compile()
    assert 0 < slope(x=0.3) < 1
    assert slope.cost.flops < 4 * depth
