"""Values: what PROMISES says of data, exactness and dtypes. Its extreme points and kinks have tables of their own."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import einstan as es
from einstan.ir import inline
from einstan.lower import lower_definition
from einstan.testing import evaluate

# ---------------------------------------------------------------- "Data is data"


def test_data_is_data() -> None:
    """An identity matrix, zeros and ones given as arrays are multiplied: the plan does not know their entries."""
    p = es.parse("y[i] = A[i,K] x[K]")
    k = p.compile("y")
    x = np.array([1.0, np.inf, 3.0])
    flops = []
    for a in (np.eye(3), np.zeros((3, 3)), np.full((3, 3), 2.0)):
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(k(A=a, x=x), a @ x)
        flops.append(k.cost.flops)
    assert flops == [18, 18, 18]


# ---------------------------------------------------------------- "Laws of the table are marked exact"

STRICT = [
    "1 / (1 + exp(-x))",
    "exp(x) / (1 + exp(x))",
    "1 - sigmoid(x)",
    "log(1 + exp(x))",
    "log1p(exp(x))",
    "x + log(1 + exp(-x))",
    "log(exp(x) + exp(2 x))",
    "log(exp(x) + exp(-x))",
    "log(exp(x))",
    "log(exp(x) / (1 + exp(x)))",
    "log(x exp(x))",
    "log(sigmoid(x))",
    "log(1 - sigmoid(x))",
    "log1p(-sigmoid(x))",
    "log(2 cosh(x))",
    "exp(x)^2",
    "1 / exp(x)",
    "expm1(x) + 1",
    "(exp(x) - exp(-x)) / (exp(x) + exp(-x))",
    "(1 - exp(-x)) / (1 + exp(-x))",
    "sinh(x) / cosh(x)",
    "2 sigmoid(2 x) - 1",
    "sqrt(x^2)",
    "1 + erf(x)",
    "gelu(x)",
    "tanh(-x)",
    "where(x > 0, x, 0) exp(x)",
    "where(x > 0, 1, 0) / x",
    "x / x",
    "(x^2)^3 x",
    "max(x, 0)",
]
STRICT_VECTOR = [
    "log(sum[k](exp(z[k])))",
    "sum[i](log(exp(z[i]) / sum[k](exp(z[k]))))",
    "max[i](exp(z[i]) / sum[k](exp(z[k])))",
    "min[i](exp(z[i]) / sum[k](exp(z[k])))",
    "max[i](z[i] - log(sum[k](exp(z[k]))))",
    "logsumexp[k](z[k] - z[K] 1[K])",
    "sum[i](softmax[i](z[i] + max[k](z[k])))",
    "sqrt(z[K] z[K])",
    "sum[i](z[i] / sqrt(z[K] z[K]))",
    "norm[k](z[k])",
]
NUMBERS = [-np.inf, -1.0, 0.0, 2.0, np.inf, np.nan]
ROWS = [(1.0, -np.inf), (np.inf, 1.0), (-np.inf, -np.inf), (np.inf, -np.inf), (np.nan, 1.0), (0.0, 0.0), (3.0, -4.0)]


def as_written(p: es.Program, name: str, value: float | tuple[float, ...]) -> np.ndarray:
    """y by the plain evaluator, from the nodes that the text is lowered to, under no law."""
    bodies = {p.leaves[n]: lower_definition(p.checked, n, {}) for n in p.checked.order}
    array = np.array(value)
    env = {str(d): n for d, n in zip(p.leaves[name].shape, array.shape, strict=True)}
    return evaluate(inline([p.leaves["y"]], bodies), {name: array}, env)[0]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [(text, "x", x) for text in STRICT for x in NUMBERS] + [(text, "z", z) for text in STRICT_VECTOR for z in ROWS],
)
def test_strict_gives_what_the_formula_as_written_gives(text: str, name: str, value: float | tuple[float, ...]) -> None:
    """Infinities and nan stand where they stand as written."""
    p = es.parse(f"y = {text}")
    got = p.compile("y", strict=True)({name: np.array(value)})
    np.testing.assert_allclose(got, as_written(p, name, value), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("text", ["(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "where(x > 0, 1, 0) / x", "log(x exp(x))"])
def test_laws_for_finite_values_are_left_out_of_strict(text: str) -> None:
    """Here some law that is not exact does fire without `strict`."""
    p = es.parse(f"y = {text}")
    strict, free = p.compile("y", strict=True), p.compile("y")
    assert any(not np.array_equal(strict(x=x), free(x=x), equal_nan=True) for x in [*NUMBERS, 800.0, -800.0])


# ---------------------------------------------------------------- dtypes

F2, F4, F8, I1, I8, U1, B1, C16 = (np.dtype(t) for t in ("f2", "f4", "f8", "i1", "i8", "u1", "?", "c16"))

DTYPES = [
    ("y[i] = x[i] - x[i]", (F4,), F4),
    ("y[i] = 0 x[i]", (F4,), F4),
    ("y[i] = x[i]^0", (F4,), F4),
    ("y[i] = 2 x[i]", (I1,), I8),
    ("y[i] = x[i] / 2", (I8,), F8),
    ("y[i] = 4 x[i] / 2", (I8,), I8),
    ("y[i] = x[i]^2", (U1,), I8),
    ("y[i] = x[i]^-1", (I8,), F8),
    ("y[i] = sqrt(x[i]^2)", (I8,), F8),
    ("y[i] = exp(x[i])", (B1,), F8),
    ("y[i] = exp(x[i])", (F2,), F2),
    ("y[i] = 0.1 x[i] + pi", (F4,), F4),
    ("y[i] = x[i] > 0", (F4,), F4),
    ("y = x[I] z[I]", (B1, B1), I8),
    ("y = x[I] z[I]", (B1, F4), F4),
    ("y = x[I] z[I]", (I8, F4), F8),
    ("y = x[I] z[I]", (F4, C16), C16),
    ("y[i] = where(x[i] > 0, z[i], 0)", (F8, F4), F4),
]


def data(p: es.Program, given: tuple[np.dtype, ...]) -> dict[str, np.ndarray]:
    return {name: np.ones(3, dtype) for name, dtype in zip(p.inputs, given, strict=True)}


@pytest.mark.parametrize(("text", "given", "dtype"), DTYPES)
def test_result_dtypes_are_fixed_from_the_program_as_written(text: str, given: tuple, dtype: np.dtype) -> None:
    p = es.parse(text)
    assert p.compile("y")(data(p, given)).dtype == dtype


def test_integer_contractions_stay_exact() -> None:
    """Past 2^53, in a chain that the planner reorders, with coefficients and a power."""
    p = es.parse("y[i,l] = 3 A[i,J] B[J,K] C[K,l] - A[i,J]^3 D[J,l]")
    r = np.random.default_rng(0)
    sizes = {"A": (4, 3), "B": (3, 5), "C": (5, 2), "D": (3, 2)}
    arrays = {name: r.integers(-(10**4), 10**4, shape) for name, shape in sizes.items()}
    a, b, c, d = (arrays[name].astype(object) for name in "ABCD")
    got = p.compile("y")(arrays)
    assert got.dtype == I8
    assert (got == 3 * (a @ b @ c) - a**3 @ d).all()
    assert np.abs(got).max() > 2**45


@pytest.mark.parametrize("text", ["y = x[I] z[I]", "y = x[I] z[I] / 3", "y = exp(x[I] z[I])", "y = x[I] x[I] z[I]"])
@pytest.mark.parametrize("dtype", [I1, I8, U1])
def test_a_derivative_in_integers_is_a_float(text: str, dtype: np.dtype) -> None:
    p = es.parse(text)
    x, z = np.arange(1, 4, dtype=dtype), np.arange(3, dtype=dtype)
    got = p.grad("y", "x").run(x=x, z=z)
    assert got.dtype == F8
    np.testing.assert_array_equal(got, p.grad("y", "x").run(x=x.astype(float), z=z.astype(float)))


@pytest.mark.parametrize(("dtype", "word"), [(B1, "bool"), (C16, "complex")])
@pytest.mark.parametrize("text", ["y = x[I] x[I]", "y = x[I] z[I]"])
def test_no_derivative_in_bool_or_complex_even_where_it_is_not_read(text: str, dtype: np.dtype, word: str) -> None:
    p = es.parse(text)
    arrays = {name: np.ones(3, dtype if name == "x" else float) for name in p.inputs}
    for derived in (p.grad("y", "x"), p.value_and_grad("y", "x"), p.hessian("y", "x")):
        with pytest.raises(es.EinstanDerivativeError, match=rf"no derivative in x: its dtype is {word}"):
            derived.compile()(arrays)


def test_a_mask_of_bool_beside_floats_has_their_dtype_in_derivatives() -> None:
    got = es.parse("y = x[I] m[I]").grad("y", "x").run(x=np.ones(2, F4), m=np.array([True, False]))
    assert got.tolist() == [1, 0]
    assert got.dtype.kind == "f"


COMPLEX = [
    ("y[i,j] = A[i,K] B[K,j]", lambda a, b: a @ b),
    ("y = A[I,I] - 2 B[I,I]", lambda a, b: np.trace(a) - 2 * np.trace(b)),
    ("y[i,j] = A[i,j]^3 / B[i,j]", lambda a, b: a**3 / b),
    ("y[i,j] = [A[i,j], B[i,j]]_i", lambda a, b: np.concatenate([a, b])),
    ("y[i,j] = A[i,j=1:3] + B[i,j=0:2]", lambda a, b: a[:, 1:3] + b[:, :2]),
]


@pytest.mark.parametrize(("text", "truth"), COMPLEX, ids=[row[0] for row in COMPLEX])
def test_complex_contractions_work(text: str, truth) -> None:
    r = np.random.default_rng(0)
    a, b = (r.normal(size=(3, 3)) + 1j * r.normal(size=(3, 3)) for _ in range(2))
    got = es.parse(text).compile("y")(A=a, B=b)
    assert got.dtype == C16
    np.testing.assert_allclose(got, truth(a, b), rtol=1e-12)


FUNCTIONS = [
    "log(exp(x))",
    "sqrt(x x)",
    "sqrt(x)^2",
    "1 / (1 + exp(-x))",
    "abs(x)",
    "relu(x)",
    "x > 0",
    "max(x, 0)",
    "erf(x)",
]


@pytest.mark.parametrize("text", FUNCTIONS)
def test_functions_refuse_complex_arrays(text: str) -> None:
    """Their stable forms are those of real numbers: sqrt(x x) is |x|, and is not for 1 + 2i."""
    with pytest.raises(es.EinstanShapeError, match="x is complex and goes through a function"):
        es.parse(f"y = {text}").compile("y")(x=1 + 2j)


def test_functions_of_names_that_are_differentiated_by_refuse_complex_arrays_too() -> None:
    p = es.parse("z = a b\ny = exp(z)")
    with pytest.raises(es.EinstanShapeError, match="a is complex and goes through a function"):
        p.grad("y", "z").run(a=1j, b=2.0)


def test_coefficients_are_exact_until_they_meet_data() -> None:
    """0.1 + 0.2 is 0.3 in the notation, whatever it is in binary."""
    p = es.parse("y = (0.1 + 0.2) x - 0.3 x + x / 3")
    assert p.compile("y")(x=3.0) == float(Fraction(1))


@pytest.mark.parametrize("dtype", [B1, I1, I8])
@pytest.mark.parametrize(
    "text",
    ["y[i] = 0.5 where(x[i] > 0, n[i], x[i])", "y[i] = where(x[i] > 0, n[i], x[i]) / 3 + x[i]", "y[i] = 0.1 elu(n[i])"],
)
def test_whole_numbers_beside_floats_are_not_scaled_by_fractions(text: str, dtype: np.dtype) -> None:
    p = es.parse(text)
    given = {"n": np.arange(4).astype(dtype), "x": np.array([1.5, -1.0, 2.0, 0.5])}
    arrays = {name: given[name] for name in p.compile("y").inputs}
    want = p.compile("y")({name: x.astype(float) for name, x in arrays.items()})
    np.testing.assert_allclose(p.compile("y")(arrays), want, rtol=1e-15)
