"""Jacobians, jvp, vjp of tensors of any rank by tensors of any rank, against finite differences and each other."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import einstan as es

ABOVE, BELOW = "abc", "klm"
SIZES = dict(zip(ABOVE + BELOW, (2, 3, 5, 3, 2, 5), strict=True))
RANKS = list(product(range(4), repeat=2))


def program(m: int, n: int) -> tuple[es.Program, dict[str, np.ndarray]]:
    """Y of rank m from X of rank n: every entry of the one depends on every entry of the other, not linearly."""
    above, below = ABOVE[:m], BELOW[:n]
    p = es.parse(
        f"Z{listed(above)} = {' '.join(['M' + listed(above + below.upper()), 'X' + listed(below.upper())])} + 0.5\n"
        f"Y{listed(above)} = sin(Z{listed(above)}) exp(0.1 N{listed(below.upper())} X{listed(below.upper())})"
    )
    rng = np.random.default_rng(10 * m + n)
    shape = [SIZES[x] for x in above], [SIZES[x] for x in below]
    scale = 1 / np.sqrt(max(1, np.prod(shape[1])))
    data = {"M": scale * rng.normal(size=shape[0] + shape[1]), "N": rng.normal(size=shape[1])}
    return p, {name: np.asarray(x) for name, x in (data | {"X": rng.normal(size=shape[1])}).items()}


def listed(letters: str) -> str:
    return f"[{','.join(letters)}]" if letters else ""


def inner(a: np.ndarray, b: np.ndarray, axes: int) -> np.ndarray:
    """a[..., k] b[k] summed over the last `axes` axes of a."""
    return np.tensordot(a, b, axes)


@pytest.mark.parametrize(("m", "n"), RANKS)
def test_first_order(m: int, n: int) -> None:
    p, data = program(m, n)
    rng = np.random.default_rng(m + n)
    V, G = np.asarray(rng.normal(size=data["X"].shape)), np.asarray(rng.normal(size=data["M"].shape[:m]))
    Y = p.compile("Y")
    h = 1e-6
    along = (Y(data | {"X": data["X"] + h * V}) - Y(data | {"X": data["X"] - h * V})) / (2 * h)
    jacobian = p.jacobian("Y", wrt="X")
    assert es.parse(f"{p}\n{jacobian}") == jacobian
    full = jacobian.run(**data)
    assert full.shape == data["M"].shape
    np.testing.assert_allclose(inner(full, V, n), along, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(
        p.jvp("Y", wrt="X", tangent="V").run(**data, V=V), inner(full, V, n), rtol=1e-12, atol=1e-13
    )
    pulled = p.vjp("Y", wrt="X", cotangent="G").run(**data, G=G)
    np.testing.assert_allclose(pulled, np.tensordot(G, full, m), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("m", "n"), [(m, n) for m, n in RANKS if m + 2 * n < 8])
def test_second_order(m: int, n: int) -> None:
    """∂²Y/∂X∂X moved along V is the Jacobian's difference along V; jvp and vjp of the Jacobian are its products."""
    p, data = program(m, n)
    rng = np.random.default_rng(m + n)
    V = np.asarray(rng.normal(size=data["X"].shape))
    slope = p.jacobian("Y", wrt="X")
    for lines in (slope, slope.jacobian(wrt="X"), slope.jvp(wrt="X", tangent="V")):
        assert len(es.parse(f"{p}\n{lines}").checked.claims) >= 1
    J = slope.compile()
    h = 1e-6
    along = (J(data | {"X": data["X"] + h * V}) - J(data | {"X": data["X"] - h * V})) / (2 * h)
    twice = slope.jacobian(wrt="X").run(**data)
    assert twice.shape == data["M"].shape + data["X"].shape
    np.testing.assert_allclose(inner(twice, V, n), along, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        slope.jvp(wrt="X", tangent="V").run(**data, V=V), inner(twice, V, n), rtol=1e-11, atol=1e-12
    )
    G = np.asarray(rng.normal(size=data["M"].shape))
    pulled = slope.vjp(wrt="X", cotangent="G").run(**data, G=G)
    np.testing.assert_allclose(pulled, np.tensordot(G, twice, m + n), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("m", "n"), RANKS)
def test_the_chain_rule_over_whole_index_tuples(m: int, n: int) -> None:
    """∂Y/∂X = Σ ∂Y/∂Z ∂Z/∂X over all indices of Z, written as an expression, plus what does not go through Z."""
    p, data = program(m, n)
    above, below = ABOVE[:m], BELOW[:n]
    middle = "".join("UVW"[:m])
    y, z, x = "Y" + listed(above), "Z" + listed(middle), "X" + listed(below)
    chain = p.expr(
        f"∂{y}/∂{z} ∂{z}/∂{x} + {y} * 0.1 N{listed(below)}" if m else f"∂Y/∂Z ∂Z/∂{x} + Y * 0.1 N{listed(below)}"
    )
    np.testing.assert_allclose(chain.run(**data), p.jacobian("Y", wrt="X").run(**data), rtol=1e-11, atol=1e-13)
