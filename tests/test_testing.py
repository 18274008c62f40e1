"""testing: the evaluator against numpy's einsum and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from einstan.dims import Dim
from einstan.ir import add, const, einsum, input_, number, pattern
from einstan.prims.scalar import TANH, power
from einstan.testing import evaluate, finite_difference

I, J, K = Dim.symbol("A.0"), Dim.symbol("A.1"), Dim.symbol("B.1")
ENV = {"A.0": 2, "A.1": 3, "B.1": 5}
RNG = np.random.default_rng(0)
ARRAYS = {"A": RNG.standard_normal((2, 3)), "B": RNG.standard_normal((3, 5)), "S": RNG.standard_normal((3, 3))}
A, B, S = input_("A", (I, J)), input_("B", (J, K)), input_("S", (J, J))


@pytest.mark.parametrize(
    ("node", "numpy"),
    [
        (einsum([A, B], ["ij", "jk"], "ki"), lambda a: np.einsum("ij,jk->ki", a["A"], a["B"])),
        (einsum([A, B, S], ["ij", "jk", "jj"], "k"), lambda a: np.einsum("ij,jk,jj->k", a["A"], a["B"], a["S"])),
        (einsum([S], ["jj"], ""), lambda a: np.trace(a["S"])),
        (einsum([S], ["jj"], "j"), lambda a: np.diag(a["S"])),
        (pattern(einsum([S], ["jj"], "j"), "j", "jj", {}), lambda a: np.diag(np.diag(a["S"]))),
        (pattern(A, "ij", "jki", {"k": K}), lambda a: np.repeat(a["A"].T[:, None, :], 5, axis=1)),
        (einsum([], [], "iji", {"i": I, "j": J}), lambda a: np.repeat(np.eye(2)[:, None, :], 3, axis=1)),
        (add([(2, A), (-1, TANH(A))], A.shape), lambda a: 2 * a["A"] - np.tanh(a["A"])),
        (add([(1, A), (3, number(1, A.shape))], A.shape), lambda a: a["A"] + 3),
        (const("pi"), lambda a: np.pi),
        (power(A, -2), lambda a: a["A"] ** -2.0),
    ],
)
def test_nodes_are_what_numpy_says(node, numpy) -> None:  # type: ignore[no-untyped-def]
    np.testing.assert_allclose(evaluate([node], ARRAYS, ENV)[0], numpy(ARRAYS), rtol=1e-12)


def test_integers_stay_integers() -> None:
    (found,) = evaluate(
        [einsum([A, B], ["ij", "jk"], "ik")], {"A": np.ones((2, 3), int), "B": np.ones((3, 5), int)}, ENV
    )
    assert found.dtype == np.int64


def test_finite_differences_have_the_axes_of_the_result_then_of_the_input() -> None:
    found = finite_difference(lambda a: np.tanh(a["A"]) @ a["B"], ARRAYS, "A")
    slope = 1 - np.tanh(ARRAYS["A"]) ** 2
    want = np.einsum("ij,jk,il->iklj", slope, ARRAYS["B"], np.eye(2))
    np.testing.assert_allclose(found, want, atol=1e-8)
