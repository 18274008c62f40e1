"""es.contract, es.contract_path, es.contract_expression: opt_einsum's calling forms, rules and results."""

from __future__ import annotations

import copy
import pickle
import random
import threading
import tracemalloc
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import opt_einsum
import pytest

import einstan as es
from einstan.contractions import reusable

RNG = np.random.default_rng(4)


def array(*shape: int, dtype: Any = float) -> np.ndarray[Any, Any]:
    return (
        RNG.integers(-9, 9, shape).astype(dtype)
        if np.dtype(dtype).kind in "iu"
        else RNG.normal(size=shape).astype(dtype)
    )


A, B, C = array(2, 3), array(3, 5), array(5, 7)
T, ONE = array(11, 2, 3), array(1, 3)
SIZES = {"a": 3, "b": 3, "c": 5, "d": 2, "e": 7}


class Point:
    """A label that hashes and compares by where it is."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __hash__(self) -> int:
        return hash(self.x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.x == other.x

    def __lt__(self, other: Point) -> bool:
        return self.x < other.x


# ---------------------------------------------------------------- calling forms

FORMS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "an arrow": (("ab,bc->ca", A, B), {}),
    "no arrow: labels that stand once, sorted": (("cb,ba", A, B), {}),
    "three": (("ab,bc,cd", A, B, C), {}),
    "nothing left": (("ab,ab->", A, A), {}),
    "one operand": (("ab->ba", A), {}),
    "no label": ((",,->", 2, 3.5, 2j), {}),
    "blanks": ((" a b , b c -> a c ", A, B), {}),
    "ellipsis": (("...ab,bc->...ac", T, B), {}),
    "ellipsis, no arrow": (("...ab,bc", T, B), {}),
    "ellipsis of nothing": (("...ab,...bc->...ac", A, B), {}),
    "ellipsis of two ranks": (("...b,...b->...", T, A), {}),
    "ellipsis in the middle": (("a...b->b...a", T), {}),
    "ellipsis summed": (("...b->b", T), {}),
    "size 1 stretches": (("ab,ab->ab", A, ONE), {}),
    "size 1 stretches and is summed": (("ab,ab->b", A, ONE), {}),
    "Greek": (("αβ,βγ->αγ", A, B), {}),
    "Greek keeps its order among Latin letters": (("cβa", array(2, 3, 5)), {}),
    "letters of any script": (("京é,éя->я京", A, B), {}),
    "integers": ((A, [0, 1], B, [1, 2], [2, 0]), {}),
    "integers, no output": ((A, [1, 0], B, [0, 2]), {}),
    "large integers": ((A, (1000, -5), B, (-5, 3)), {}),
    "words": ((A, ("left", "bond"), B, ("bond", "right")), {}),
    "words, output": ((A, ("left", "bond"), B, ("bond", "right"), ("right", "left")), {}),
    "tuples as labels": ((A, [(0, 1), (1, 1)], B, [(1, 1), (2, 0)]), {}),
    "objects as labels": ((A, [Point(1), Point(4)], B, [Point(4), Point(0)]), {}),
    "ellipsis among integers": ((T, [Ellipsis, 0, 1], B, [1, 2], [Ellipsis, 2]), {}),
    "lists, numbers, bools": (("ab,bc,->ac", [[5, 5], [2.0, 1]], [[2, 1], [3, 4]], True), {}),
    "diagonal": (("aab,b->a", array(3, 3, 5), array(5)), {}),
    "hyperedge": (("ab,ac,ad->bcd", array(2, 3), array(2, 5), array(2, 7)), {}),
    "an empty axis": (("ab,bc->ac", array(2, 0), array(0, 3)), {}),
    "integers stay integers": (("ab,bc->ac", array(2, 3, dtype=int), array(3, 5, dtype="i2")), {}),
    "float32 stays float32": (("ab,bc,cd->ad", *(x.astype("f4") for x in (A, B, C))), {}),
    "complex": (("ab,bc->ac", A + 1j * A, B), {}),
    "no plan": (("ab,bc,cd->ad", A, B, C), {"optimize": False}),
    "a plan by default": (("ab,bc,cd->ad", A, B, C), {"optimize": None}),
    "a path": (("ab,bc,cd->ad", A, B, C), {"optimize": [(1, 2), (0, 1)]}),
    "a path of three at once": (("ab,bc,cd->ad", A, B, C), {"optimize": [(0, 1, 2)]}),
    "a path that takes one alone": (("aa,ab,bc->c", array(2, 2), A, B), {"optimize": [(0,), (0, 2), (0, 1)]}),
    "an optimizer of opt_einsum": (("ab,bc,cd->ad", A, B, C), {"optimize": opt_einsum.RandomGreedy(max_repeats=2)}),
    "dynamic programming": (("ab,bc,cd->ad", A, B, C), {"optimize": opt_einsum.DynamicProgramming(minimize="size")}),
    "no BLAS": (("ab,bc,cd->ad", A, B, C), {"use_blas": False}),
    "no limit of memory": (("ab,bc,cd->ad", A, B, C), {"memory_limit": -1}),
    "memory of the largest operand": (("ab,bc,cd->ad", A, B, C), {"memory_limit": "max_input"}),
    "memory for few elements": (("ab,bc,cd->ad", A, B, C), {"memory_limit": 14, "optimize": "greedy"}),
    "numpy by name": (("ab,bc->ac", A, B), {"backend": "numpy"}),
}


@pytest.mark.parametrize("row", FORMS)
def test_results_and_paths_are_opt_einsums(row: str) -> None:
    args, options = FORMS[row]
    ours, theirs = es.contract(*args, **options), opt_einsum.contract(*args, **options)
    same(ours, theirs)
    planning = {key: value for key, value in options.items() if key in ("optimize", "memory_limit", "use_blas")}
    path, info = es.contract_path(*args, **planning)
    same(es.contract(*args, **{**options, "optimize": path}), theirs)
    _, theirs = opt_einsum.contract_path(*args, **{**planning, "optimize": path})
    assert (info.opt_cost, info.naive_cost, info.path) == (theirs.opt_cost, theirs.naive_cost, theirs.path)
    assert (info.scale_list, info.size_list, info.shapes) == (theirs.scale_list, theirs.size_list, theirs.shapes)


def same(ours: Any, theirs: Any) -> None:
    assert np.shape(ours) == np.shape(theirs) and np.asarray(ours).dtype == np.asarray(theirs).dtype
    rounding = 1e-4 if np.asarray(ours).dtype.itemsize == 4 else 1e-12
    np.testing.assert_allclose(ours, theirs, rtol=rounding, atol=rounding)


def test_labels_without_an_order_need_an_output() -> None:
    given = (A, ("row", 1), B, (1, None), (None, "row"))
    same(es.contract(*given), (A @ B).T)
    assert es.contract_path(*given)[1].eq == "ab,bc->ca"
    with pytest.raises(TypeError, match="order"):
        es.contract(*given[:-1])


def test_letters_of_ellipses_are_free_ones() -> None:
    for given in ((T, [Ellipsis, "b", "a"], B, ["a", "c"]), ("...ba,ac", T, B)):
        _, info = es.contract_path(*given, optimize=False)
        left, right = info.input_subscripts.split(",")
        assert left[1:] + right == "baac" and len({*left, *right}) == 4 and info.shapes == [T.shape, B.shape]


def test_numpys_paths_are_taken() -> None:
    path, _ = np.einsum_path("ab,bc,cd->ad", A, B, C)
    same(es.contract("ab,bc,cd->ad", A, B, C, optimize=path), A @ B @ C)


def test_an_expression_keeps_the_path_of_a_function() -> None:
    calls = []

    def backwards(inputs: Any, *rest: Any) -> Any:
        calls.append(inputs)
        return [(1, 2), (0, 1)]

    expression = es.contract_expression("ab,bc,cd->ad", (2, 3), (3, 5), (5, 7), optimize=backwards)
    for _ in range(2):
        same(expression(A, B, C), A @ B @ C)
    assert calls == [[frozenset("ab"), frozenset("bc"), frozenset("cd")]]
    assert expression.contraction_list[0].equation == "cd,bc->db"


# ---------------------------------------------------------------- random contractions


@pytest.mark.parametrize("seed", range(60))
def test_random_contractions(seed: int) -> None:
    """Hyperedges, diagonals, scalars, sizes 0 and 1, axes that stretch, labels of any kind, constants."""
    rng = random.Random(seed)
    kinds = [str, int, lambda k: (k, "x"), Point, lambda k: 10**20 - k, lambda k: chr(k + 0x3B1), lambda k: k / 7]
    labels = list(map(rng.choice(kinds), rng.sample(range(20), rng.randint(1, 8))))
    sizes = {label: rng.choice([0, 1, 2, 2, 3, 3, 5]) for label in labels}
    terms = [rng.choices(labels, k=rng.randint(0, 4)) for _ in range(rng.randint(1, 6))]
    used = [label for label in labels if any(label in own for own in terms)]
    out = rng.sample(used, rng.randint(0, min(4, len(used))))
    arrays = []
    for own in terms:
        narrow = {label for label in own if rng.random() < 0.15}
        arrays.append(np.asarray(array(*(1 if label in narrow else sizes[label] for label in own))))
    given = [x for pair in zip(arrays, terms, strict=True) for x in pair]
    theirs = opt_einsum.contract(*given, out)
    for optimize in (True, False, "greedy", "naive"):
        same(es.contract(*given, out, optimize=optimize), theirs)
    constants = rng.sample(range(len(terms)), rng.randint(0, len(terms)))
    held = [x if k in constants else x.shape for k, x in enumerate(arrays)]
    expression = es.contract_expression(
        *(x for pair in zip(held, terms, strict=True) for x in pair), out, constants=constants
    )
    for _ in range(2):
        same(expression(*(x for k, x in enumerate(arrays) if k not in constants)), theirs)


@pytest.mark.parametrize("n", [70, 300])
def test_more_labels_and_operands_than_numpy_has(n: int) -> None:
    arrays = [array(2, 2) / 2 for _ in range(n)]
    given = [x for k, a in enumerate(arrays) for x in (a, (k, k + 1))]
    same(es.contract(*given, (n, 0)), reduce(np.matmul, arrays).T)
    path, info = es.contract_path(*given, (n, 0), optimize="greedy")
    assert len(path) == n - 1 and len(info.indices) == n + 1


# ---------------------------------------------------------------- errors

# what is wrong -> the call, the kind of error, a piece of its text
ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "an unknown word": (lambda f: f("ab,bc", A, B, optimise=True), TypeError, "optimise"),
    "no text": (lambda f: f(0, 0), TypeError, ""),
    "no operands": (lambda f: f("ab"), es.EinstanError, ""),
    "too many operands": (lambda f: f("ab", A, B), es.EinstanError, ""),
    "two arrows": (lambda f: f("a->a->a", A[0]), es.EinstanError, "^"),
    "a label of the output that is nowhere": (lambda f: f("ab->c", A), es.EinstanError, "^"),
    "a label twice in the output": (lambda f: f("ab->aa", A), es.EinstanError, "^"),
    "rank": (lambda f: f("abc,bc->a", A, B), es.EinstanError, "^"),
    "two sizes": (lambda f: f("ab,bc->ac", A, C), es.EinstanShapeError, "^"),
    "two sizes in a diagonal": (lambda f: f("aa->a", A), es.EinstanShapeError, ""),
    "a diagonal does not stretch": (lambda f: f("aa->a", array(1, 3)), es.EinstanShapeError, ""),
    "two dots": (lambda f: f("..a->a", A), es.EinstanError, "^"),
    "labels that cannot be hashed": (lambda f: f(A, [{}, 1], [1]), TypeError, ""),
    "labels that have no order": (lambda f: f(A, ["a", 1]), TypeError, ""),
    "no such optimizer": (lambda f: f("ab,bc,cd", A, B, C, optimize="gready"), es.EinstanError, "gready"),
    "no such optimizer, nothing to order": (lambda f: f("ab,bc", A, B, optimize="gready"), es.EinstanError, "gready"),
    "a path of too few steps": (lambda f: f("ab,bc,cd", A, B, C, optimize=[(0, 1)]), es.EinstanError, "path"),
    "a path of too many": (lambda f: f("ab,bc", A, B, optimize=[(0, 1), (0, 1)]), es.EinstanError, "path"),
    "a path that takes one twice": (lambda f: f("ab,bc", A, B, optimize=[(0, 0)]), es.EinstanError, "path"),
    "a path of words": (lambda f: f("ab,bc", A, B, optimize=["ab"]), es.EinstanError, "path"),
    "a path backwards": (lambda f: f("ab,bc", A, B, optimize=[(-1, 0)]), es.EinstanError, "path"),
    "no memory": (lambda f: f("ab,bc", A, B, memory_limit=0), es.EinstanError, "memory_limit"),
    "negative memory": (lambda f: f("ab,bc", A, B, memory_limit=-2), es.EinstanError, "memory_limit"),
    "a word for memory": (lambda f: f("ab,bc", A, B, memory_limit="most"), es.EinstanError, "max_input"),
}


@pytest.mark.parametrize("row", ERRORS)
def test_errors(row: str) -> None:
    call, kind, piece = ERRORS[row]
    for function in (es.contract, es.contract_path):
        with pytest.raises(kind) as caught:
            call(function)
        assert piece in str(caught.value)


class Foreign:
    """An array of another library."""

    shape = (2, 3)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise AssertionError("it is not moved to numpy")


LIBRARIES = ["torch", "jax", "jaxlib", "dask.array.core", "cupy", "tensorflow.python", "autograd.numpy", "sparse"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_arrays_of_other_libraries_are_refused_and_their_paths_are_found(library: str) -> None:
    x = type("Tensor", (Foreign,), {"__module__": library})()
    for arguments in (("ab,bc", x, B), ("ab,cb", B.T, x), (B.T, (0, 1), x, (2, 1))):
        with pytest.raises(es.MissingBackendError, match=f"{library.split('.')[0]}.*not built yet"):
            es.contract(*arguments)
    with pytest.raises(es.MissingBackendError, match="not built yet"):
        es.contract_expression("ab,bc", (2, 3), (3, 5))(x, B)
    assert es.contract_path("ab,bc", x, B)[0] == [(0, 1)]


class Length(np.ndarray[Any, Any]):
    """An array with a unit, which numpy's functions keep."""

    def __array_function__(self, *arguments: Any) -> Any:
        raise AssertionError("numpy is not asked")


def test_arrays_with_numpys_functions_of_their_own_are_refused() -> None:
    for x in (A.view(Length), type("Tensor", (type("Tensor", (Foreign,), {"__module__": "torch"}),), {})()):
        with pytest.raises(es.MissingBackendError, match="Operand 1 is an array of"):
            es.contract("ab,bc", x, B)


def test_what_numpy_reads_is_read() -> None:
    class Held:
        """As of h5py or pandas."""

        shape, dtype = A.shape, A.dtype

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return A

    for x in (Held(), A.tolist(), np.asmatrix(A), np.asfortranarray(A), A[::1]):
        same(es.contract("ab,bc", x, B), A @ B)
        same(es.contract_expression("ab,bc", (2, 3), B, constants=[1])(x), A @ B)


@pytest.mark.parametrize("backend", ["auto", "object"])
def test_arrays_of_objects(backend: str) -> None:
    a, b, c = (np.vectorize(lambda x: Fraction(int(9 * x), 7), otypes=[object])(x) for x in (A, B, C))
    expected = a.dot(b).dot(c)
    for optimize in ("auto", "greedy", False, [(0, 1), (0, 1)]):
        found = es.contract("ab,bc,cd->ad", a, b, c, optimize=optimize, backend=backend)
        assert found.dtype == object and (found == expected).all()
    expression = es.contract_expression("ab,bc,cd->ad", a, b, (5, 7), constants=[0, 1])
    assert (expression(c, backend=backend) == expected).all()


@pytest.mark.parametrize("equation", ["a,a,b->b", "b,cc,,bd,->cb", "d,,baa,,a->d", "ab,ab,cd,cd->", ",,->"])
@pytest.mark.parametrize("optimize", [True, False, "greedy", "naive"])
def test_scalars_on_the_way_of_objects(equation: str, optimize: Any) -> None:
    arrays = [array(*(SIZES[x] for x in own), dtype=int) for own in equation.split("->")[0].split(",")]
    big = [x.astype(object) * 10**20 for x in arrays]
    for call in (es.contract, es.einsum):
        found = call(equation, *big, optimize=optimize)
        assert np.all(found == np.einsum(equation, *arrays).astype(object) * 10 ** (20 * len(arrays)))


@pytest.mark.parametrize("backend", ["torch", "jax", "object", "nonsense"])
def test_backends_that_are_not_built(backend: str) -> None:
    with pytest.raises(es.MissingBackendError, match=backend):
        es.contract("ab,bc", A, B, backend=backend)
    with pytest.raises(es.MissingBackendError, match=backend):
        es.contract_expression("ab,bc", (2, 3), (3, 5))(A, B, backend=backend)


# ---------------------------------------------------------------- paths


def test_a_path_of_shapes() -> None:
    given = [(2, 3), (3, 5), (5, 7)]
    path, info = es.contract_path("ab,bc,cd->ad", *given, shapes=True)
    assert info.shapes == given and path == info.path
    lists = es.contract_path((2, 3), [7, 8], (3, 5), [8, 9], (5, 7), [9, 1], shapes=True)[1]
    assert lists.shapes == given and lists.opt_cost == info.opt_cost


@pytest.mark.parametrize(
    "shapes", [(A, B), ((2, 3), B), ((2, 3.5), (3, 5)), ((2, -3), (-3, 5)), (2, 3), ("ab", "bc"), ((2, True), (1, 5))]
)
def test_shapes_that_are_none(shapes: Any) -> None:
    with pytest.raises(ValueError, match="shape"):
        es.contract_path("ab,bc", *shapes, shapes=True)


METHODS = "auto auto-hq optimal dp greedy branch-all branch-2 branch-1 random-greedy random-greedy-128 naive".split()


@pytest.mark.parametrize("optimize", METHODS)
def test_every_optimizer_gives_a_whole_path(optimize: str) -> None:
    equation, shapes = "ab,bcd,ce,df,efg,ga->", [(2, 3), (3, 5, 2), (5, 7), (2, 3), (7, 3, 2), (2, 2)]
    path, info = es.contract_path(equation, *shapes, shapes=True, optimize=optimize)
    assert sum(len(step) - 1 for step in path) == len(shapes) - 1
    least = opt_einsum.contract_path(equation, *shapes, shapes=True, optimize="optimal")[1].opt_cost
    assert least <= info.opt_cost <= info.naive_cost
    if optimize in ("optimal", "dp"):
        assert info.opt_cost == least


def test_a_function_is_an_optimizer() -> None:
    seen = []

    def optimizer(inputs: Any, output: Any, sizes: Any, memory_limit: Any) -> Any:
        seen.append((len(inputs), len(output), sorted(sizes.values()), memory_limit))
        return [(0, 1), (0, 1)]

    same(es.contract("ab,bc,cd->ad", A, B, C, optimize=optimizer, memory_limit=50), A @ B @ C)
    assert es.contract_path("ab,bc,cd->ad", A, B, C, optimize=optimizer)[0] == [(0, 1), (0, 1)]
    assert seen[0] == (3, 2, [2, 3, 5, 7], 50) and seen[-1][-1] is None


def test_the_path_of_a_program_is_a_table_of_methods() -> None:
    p = es.parse("L = X[B,K] W[K,J] V[J] X[B,M] W[M,N] V[N]")
    sizes = {"b": 5, "k": 3, "j": 2}
    table = es.contract_path(p, of="L", wrt=["W", "V"], sizes=sizes, measure=False)
    assert {"auto", "naive", "greedy"} <= {row.name for row in table}
    assert table["auto"].flops <= table["naive"].flops
    for subject in (p["L"], p.grad("L", wrt="W")):
        one = es.contract_path(subject, sizes=sizes, measure=False, optimize="greedy")
        assert [row.name for row in one] == ["greedy"]


LIMITS = [(None, None), (-1, None), (35, 35), (Decimal(35), 35), (35.0, 35), ("max_input", 77)]


@pytest.mark.parametrize(("limit", "entries"), LIMITS)
def test_limits_of_memory(limit: Any, entries: int | None) -> None:
    """As the optimizer gets them; "max_input" is the largest operand or the result."""
    seen = []

    def optimizer(inputs: Any, output: Any, sizes: Any, memory_limit: Any) -> Any:
        seen.append(memory_limit)
        return [(0, 1, 2)]

    es.contract_path("ab,bc,dc->ad", (7, 3), (3, 2), (11, 2), shapes=True, optimize=optimizer, memory_limit=limit)
    assert seen == [entries]


@pytest.mark.parametrize("limit", [None, 5, 30, 100, "max_input"])
@pytest.mark.parametrize("optimize", ["optimal", "greedy", "branch-2"])
def test_paths_within_memory_cost_what_opt_einsums_cost(optimize: str, limit: Any) -> None:
    for equation in ("ab,cd,ef->abcdef", "a,b,c,d,abcd->", "ab,bc,cd,da->ac", "ab,bcd,cd,e->ae"):
        sizes = dict(zip("abcdef", (2, 3, 5, 7, 3, 2), strict=True))
        shapes = [tuple(sizes[x] for x in own) for own in equation.split("->")[0].split(",")]
        ours, theirs = (
            m.contract_path(equation, *shapes, shapes=True, optimize=optimize, memory_limit=limit)[1]
            for m in (es, opt_einsum)
        )
        assert (ours.opt_cost, ours.largest_intermediate) == (theirs.opt_cost, theirs.largest_intermediate), equation


def test_dp_says_that_nothing_keeps_within_memory() -> None:
    with pytest.raises(es.EinstanError, match="dp found nothing"):
        es.contract_path("ab,bc,cd->ad", (9, 9), (9, 9), (9, 9), shapes=True, optimize="dp", memory_limit=5)


# ---------------------------------------------------------------- expressions


def test_an_expression_is_called_on_arrays_of_its_ranks() -> None:
    expression = es.contract_expression("ab,bc,cd->ad", (2, 3), (3, 5), (5, 7))
    same(expression(A, B, C), A @ B @ C)
    same(expression(A.astype("f4"), B.astype("f4"), C.astype("f4")), (A @ B @ C).astype("f4"))
    same(expression(C.T, B.T, A.T), C.T @ B.T @ A.T)  # other sizes that agree
    same(expression(A.tolist(), B, C), A @ B @ C)
    out = np.empty((2, 7))
    assert expression(A, B, C, out=out) is out
    same(out, A @ B @ C)


CALLS: dict[str, tuple[Any, type[Exception], str]] = {
    "too few": (lambda f: f(A), es.EinstanError, "takes exactly 2 array arguments but received 1"),
    "too many": (lambda f: f(A, B, C), es.EinstanError, "takes exactly 2 array arguments but received 3"),
    "rank": (lambda f: f(A[0], B), es.EinstanShapeError, "Internal error while evaluating `ContractExpression`"),
    "two sizes": (lambda f: f(A, C), es.EinstanShapeError, "^"),
    "out of another shape": (lambda f: f(A, B, out=np.empty((2, 3))), ValueError, "`ContractExpression`"),
    "an unknown word": (lambda f: f(A, B, order="F"), TypeError, "got an unexpected keyword"),
}


@pytest.mark.parametrize("row", CALLS)
def test_errors_of_calls(row: str) -> None:
    call, kind, piece = CALLS[row]
    with pytest.raises(kind) as caught:
        call(es.contract_expression("ab,bc->ac", (2, 3), (3, 5)))
    assert piece in str(caught.value)


BUILDING: dict[str, tuple[Any, type[Exception], str]] = {
    "no plan": (lambda f: f("ab,bc", (2, 3), (3, 5), optimize=False), es.EinstanError, "optimize"),
    "sizes": (lambda f: f("ab,bc", (2, 3), (5, 5)), es.EinstanShapeError, "^"),
    "out": (lambda f: f("ab,bc", (2, 3), (3, 5), out=np.empty((2, 5))), es.EinstanError, "call"),
    "backend": (lambda f: f("ab,bc", (2, 3), (3, 5), backend="jax"), es.EinstanError, "call"),
    "a constant that is nowhere": (lambda f: f("ab,bc", A, (3, 5), constants=[2]), es.EinstanError, "constants"),
    "a negative constant": (lambda f: f("ab,bc", A, (3, 5), constants=[-1]), es.EinstanError, "constants"),
    "an array that is no constant": (lambda f: f("ab,bc", A, (3, 5)), es.EinstanError, "constants=[0]"),
    "an unknown word": (lambda f: f("ab,bc", (2, 3), (3, 5), constant=[0]), TypeError, "constant"),
}


@pytest.mark.parametrize("row", BUILDING)
def test_errors_of_building(row: str) -> None:
    call, kind, piece = BUILDING[row]
    with pytest.raises(kind) as caught:
        call(es.contract_expression)
    assert piece in str(caught.value)


# equation, path, constants -> how many of its steps depend on constants alone
CONSTANTS: dict[str, tuple[str, list[tuple[int, ...]], list[int], int]] = {
    "a chain's beginning": ("ab,bc,cd->ad", [(0, 1), (0, 1)], [0, 1], 1),
    "a chain's end": ("ab,bc,cd->ad", [(1, 2), (0, 1)], [2, 1], 1),
    "a step after one of variables": ("ab,bc,cd,de->ae", [(0, 1), (0, 1), (0, 1)], [2, 3], 1),
    "two steps, one on the other": ("ab,bc,cd,de->ae", [(2, 3), (1, 2), (0, 1)], [1, 2, 3], 2),
    "none, for the path goes by": ("ab,bc,cd->ad", [(0, 1), (0, 1)], [1, 2], 0),
    "one alone": ("aa,ab->b", [(0,), (0, 1)], [0], 1),
    "several at once": ("ab,bc,cd,de->ae", [(0, 1, 2), (0, 1)], [0, 1, 2], 1),
    "all": ("ab,bc,cd->ad", [(1, 2), (0, 1)], [0, 1, 2], 2),
    "all, one operand": ("ab->ba", [(0,)], [0], 1),
    "all, no step": ("ab->ba", [], [0], 0),
    "all, nothing left": ("ab,ab->", [(0, 1)], [0, 1], 1),
    "no constants": ("ab,bc,cd->ad", [(1, 2), (0, 1)], [], 0),
    "an axis that stretches": ("ab,bc,bd->acd", [(0, 1), (0, 1)], [0, 1], 1),
}


@pytest.mark.parametrize("row", CONSTANTS)
def test_products_of_constants_are_computed_once(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    equation, path, constants, early = CONSTANTS[row]
    terms = equation.split("->")[0].split(",")
    stretch = "stretches" in row
    arrays = [array(*(1 if stretch and k == 1 and x == "b" else SIZES[x] for x in own)) for k, own in enumerate(terms)]
    seen = []
    computed = reusable.computed
    monkeypatch.setattr(reusable, "computed", lambda step, *rest: seen.append(step.equation) or computed(step, *rest))
    held = [x if k in constants else x.shape for k, x in enumerate(arrays)]
    expression = es.contract_expression(equation, *held, constants=constants, optimize=path)
    expected = np.einsum(equation, *arrays).copy()
    for _ in range(3):
        given = [x for k, x in enumerate(arrays) if k not in constants]
        same(expression(*given), expected)
        assert len(seen) == early
    for k in constants:
        arrays[k][...] = np.nan  # a constant is what it was
    same(expression(*given), expected)
    out = np.empty_like(expected)
    assert expression(*given, out=out) is out
    same(out, expected)


def test_constants_take_the_dtype_of_the_whole() -> None:
    """Their product would wrap in their own dtype."""
    a, b = np.full((2, 2), 100, "i1"), np.full((2, 2), 100, "i1")
    expression = es.contract_expression("ab,bc,cd->ad", a, b, (2, 2), constants=[0, 1])
    same(expression(np.eye(2)), np.full((2, 2), 20_000.0))
    same(expression(np.eye(2, dtype="i1")), (a @ b))
    half = np.full((2, 2), 300, "f2")
    expression = es.contract_expression("ab,bc,cd->ad", half, half, (2, 2), constants=[0, 1])
    same(expression(np.full((2, 2), 1e-3, "f2")), es.einsum("ab,bc,cd->ad", half, half, np.full((2, 2), 1e-3, "f2")))


def test_what_an_expression_gives_can_be_written() -> None:
    expression = es.contract_expression("ab->ba", A, constants=[0])
    expression()[...] = 0
    same(expression(), A.T)


def test_evaluate_constants_before_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    expression = es.contract_expression("ab,bc,cd->ad", A, B, (5, 7), constants=[0, 1])
    expression.evaluate_constants()
    monkeypatch.setattr(reusable, "computed", None)
    same(expression(C), A @ B @ C)


def test_expressions_print_as_opt_einsums() -> None:
    for arguments, constants in [(("ab,bc,cd->ad", A, B, (5, 7)), [0, 1]), (("ab,bc", (2, 3), (3, 5)), None)]:
        ours, theirs = (m.contract_expression(*arguments, constants=constants) for m in (es, opt_einsum))
        assert repr(ours) == repr(theirs)
        assert str(ours).splitlines()[1].endswith("[GEMM]")
    assert repr(es.contract_expression((2, 3), ["x", "y"], (3, 5), ["y", "z"])) == "<ContractExpression('ab,bc->ac')>"


@pytest.mark.parametrize("again", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_expressions_are_copied_by_value(again: Any) -> None:
    expression = es.contract_expression("ab,bc,cd->ad", A, (3, 5), C, constants=[0, 2], dtype=complex)
    expected = expression(B)
    assert expected.dtype == complex
    copied = again(expression)
    same(copied(B), expected)
    assert repr(copied) == repr(expression)


def test_an_expression_runs_in_many_threads() -> None:
    expression = es.contract_expression("ab,bc,cd,de->ae", A, B, C, (7, 3), constants=[0, 1, 2])
    arrays = [array(7, 3, dtype=dtype) for dtype in ("f4", "f8", "c16", "i8") for _ in range(8)]
    found: dict[int, Any] = {}
    barrier = threading.Barrier(len(arrays))

    def call(n: int) -> None:
        barrier.wait()
        found[n] = [expression(arrays[n]) for _ in range(20)]

    threads = [threading.Thread(target=call, args=(n,)) for n in range(len(arrays))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, x in enumerate(arrays):
        for result in found[n]:
            same(result, A @ B @ C @ x)


# ---------------------------------------------------------------- memory


def test_a_limit_of_memory_holds_where_it_takes_a_loop() -> None:
    """Any two of these operands make more entries than each of them, or the result, has."""
    a, b, c = array(30, 2_000), array(30, 2_000), array(30, 2_000)
    expected = es.contract("ax,bx,cx->abc", a, b, c)
    path, info = es.contract_path("ax,bx,cx->abc", a, b, c, memory_limit="max_input")
    assert path == [(0, 1, 2)] and info.largest_intermediate == expected.size
    tracemalloc.start()
    same(es.contract("ax,bx,cx->abc", a, b, c, memory_limit="max_input"), expected)
    assert tracemalloc.get_traced_memory()[1] < 10 * a.nbytes  # two of them together make 30 times as much
    tracemalloc.stop()


@pytest.mark.parametrize("optimize", ["auto", "greedy", "naive", "branch-2"])
@pytest.mark.parametrize("seed", range(15))
def test_no_intermediate_is_over_the_limit(seed: int, optimize: str) -> None:
    rng = random.Random(seed)
    sizes = {label: rng.choice([1, 2, 3, 4]) for label in "abcdef"}
    terms = ["".join(rng.sample("abcdef", rng.randint(1, 3))) for _ in range(rng.randint(3, 6))]
    used = sorted(set("".join(terms)))
    out = "".join(rng.sample(used, rng.randint(0, min(3, len(used)))))
    arrays = [array(*(sizes[label] for label in own)) for own in terms]
    equation = f"{','.join(terms)}->{out}"
    for limit in (1, 8, "max_input"):
        _, info = es.contract_path(equation, *arrays, optimize=optimize, memory_limit=limit)
        entries = max(int(np.prod([sizes[x] for x in own])) for own in (*terms, out)) if limit == "max_input" else limit
        assert all(size <= entries for size in info.size_list[:-1])
        expected = np.einsum(equation, *arrays)
        same(es.contract(equation, *arrays, optimize=optimize, memory_limit=limit), expected)
        constants = rng.sample(range(len(terms)), 2)
        held = [x if k in constants else x.shape for k, x in enumerate(arrays)]
        f = es.contract_expression(equation, *held, optimize=optimize, memory_limit=limit, constants=constants)
        out_array = np.empty(expected.shape)
        same(f(*(x for k, x in enumerate(arrays) if k not in constants), out=out_array), np.asarray(expected))
