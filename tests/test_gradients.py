"""Every model: einstan's value and gradients against plain numpy, and the printed gradient against the computed one."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

import einstan as es

from .models import SEED_FORGET_NUMBERS, Arrays, Model, every_model, relative_error

EPS = float(np.finfo(float).eps)


@cache
def computed(model: Model) -> tuple[np.ndarray, Arrays]:
    """(value, gradients) of the row by einstan's kernel."""
    gradient = es.parse(model.text).value_and_grad(model.of, wrt=list(model.wrt))
    return gradient.compile(functions=dict(model.functions))(model.arrays())


# ---------------------------------------------------------------- against finite differences


def central(f: Callable[[float], float], h: float) -> float:
    return (f(h) - f(-h)) / (2 * h)


def slope(f: Callable[[float], float], h: float) -> tuple[float, float]:
    """f'(0) by central differences, and how far it may be from the truth.

    The rounding error of a difference is a few eps |f| / h (f is a sum of some hundred terms: 30 are allowed).
    The truncation error is c h² to leading order, and D(2h) differs from D(h) by 3 c h²: their difference bounds it
    with room to spare, and grows by itself where a kink is stepped over.
    """
    near, far = central(f, h), central(f, 2 * h)
    return near, abs(far - near) + 30 * EPS * max(abs(f(0.0)), 1.0) / h


def step(model: Model) -> float:
    """Near eps^(1/3), where rounding and truncation are about equal; a relu net is piecewise of low degree, so there
    truncation is next to nothing and a smaller step seldom crosses a kink."""
    return 1e-7 if "relu" in model.text else 1e-5


@every_model
def test_value_is_that_of_plain_numpy(model: Model) -> None:
    value, _ = computed(model)
    assert relative_error(value, model.loss(np, model.arrays())) < 1e-12


@every_model
def test_gradients_are_finite_differences(model: Model) -> None:
    arrays = model.arrays()
    _, gradients = computed(model)
    assert list(gradients) == list(model.wrt)
    rng = np.random.default_rng(7)
    for name in model.wrt:
        direction = rng.standard_normal(arrays[name].shape)
        along = lambda s, n=name, v=direction: float(model.loss(np, arrays | {n: arrays[n] + s * v}))  # noqa: E731
        expected, tolerance = slope(along, step(model))
        got = float(np.sum(gradients[name] * direction))
        assert tolerance < 1e-3 * abs(expected), f"{name}: the data make this comparison too weak"
        assert abs(got - expected) <= tolerance, f"{name}: {got} along a random direction, differences say {expected}"


def test_the_forget_gate_of_the_thread() -> None:
    """SEEDS B6: W [h, x] + b = [3, 8] and its sigmoid."""
    arrays = SEED_FORGET_NUMBERS.arrays()
    z = es.parse("z[j] = Wf[j,K] [h[K], x[K]]_K + bf[j]").run("z", **{n: arrays[n] for n in ("Wf", "h", "x", "bf")})
    f = es.parse(SEED_FORGET_NUMBERS.text).run("f", **arrays)
    assert z.tolist() == [3.0, 8.0]
    assert f.round(6).tolist() == [0.952574, 0.999665]


# ---------------------------------------------------------------- what is printed is what is computed


def fresh_name(name: str, taken: set[str]) -> str:
    """A plain word for the gradient in `name`: `W^{(2)}` -> `GradW2`, longer where that is taken."""
    word = "Grad" + re.sub(r"[^A-Za-z0-9]", "", name)
    while word in taken:
        word += "x"
    return word


def as_definitions(printed: str, of: str, names: list[str]) -> tuple[str, dict[str, str]]:
    """The printed gradient with `∂L/∂Z[b,j]` written as a defined tensor everywhere, and name -> defined name.

    The claim `∂L/∂c[j] = ∂L/∂Z[B,j] 1[B]` becomes the definition `Gradc[j] = GradZ[B,j] 1[B]`.
    """
    taken = set(names)
    fresh: dict[str, str] = {}
    for name in sorted(names, key=len, reverse=True):  # Z10 before Z1
        claim = re.compile(rf"∂{re.escape(of)}/∂{re.escape(name)}(?![\w'^])")
        if claim.search(printed):
            fresh[name] = fresh_name(name, taken)
            taken.add(fresh[name])
            printed = claim.sub(fresh[name], printed)
    assert "∂" not in printed, f"a derivative that is none of ∂{of}/∂(a name of the program):\n{printed}"
    return printed, fresh


@pytest.mark.parametrize(
    ("printed", "names", "expected"),
    [
        ("∂L/∂c[j] = ∂L/∂Z[B,j] 1[B]", "c Z", "Gradc[j] = GradZ[B,j] 1[B]"),
        ("∂L/∂Z1[b,j] = ∂L/∂Z10[b,J] W[j,J]", "Z Z1 Z10 W", "GradZ1[b,j] = GradZ10[b,J] W[j,J]"),
        ("∂L/∂W^{(1)}[i,j] = X[A,i] ∂L/∂Z'[A,j]", "W W^{(1)} X Z Z'", "GradW1[i,j] = X[A,i] GradZ[A,j]"),
        ("∂L/∂W[j] = GradW[j]", "W GradW", "GradWx[j] = GradW[j]"),
    ],
)
def test_claims_become_definitions(printed: str, names: str, expected: str) -> None:
    assert as_definitions(printed, "L", names.split())[0] == expected


@every_model
def test_the_printed_gradient_is_the_computed_one(model: Model) -> None:
    program = es.parse(model.text)
    printed = str(program.grad(model.of, wrt=list(model.wrt)))
    definitions, fresh = as_definitions(printed, model.of, [*program.names, *program.inputs])
    again = es.parse(f"{program}\n{definitions}").compile(
        [fresh[name] for name in model.wrt], functions=dict(model.functions)
    )(model.arrays())
    _, gradients = computed(model)
    for name in model.wrt:
        assert relative_error(again[fresh[name]], gradients[name]) < 1e-10, f"∂{model.of}/∂{name}:\n{printed}"


@every_model
def test_program_and_gradient_read_back(model: Model) -> None:
    program = es.parse(model.text)
    gradient = program.grad(model.of, wrt=list(model.wrt))
    assert es.parse(str(program)) == program
    both = es.parse(f"{program}\n{gradient}")
    assert set(program.names) <= set(both.names)
    assert es.parse(str(both)) == both
