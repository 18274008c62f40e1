"""Random programs: einstan's text -> value and text -> gradient against the evaluator of random_programs.

A failure names its seed: `random_programs.program(seed).text()` is the program. References are long double, so that
differences of fourth order are right to some 12 digits; a direction that crosses a kink is told by its second
difference, which does not vanish with the step, and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pytest

import einstan as es

from .random_programs import BINDINGS, Array, RandomProgram, evaluate, program
from .test_gradients import as_definitions

DEFAULT_SEEDS = 200
SLOW_SEEDS = range(1000, 4000)
STEPS = (3e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class Case:
    """A random program, its arrays, and what they are worth in double and in long double."""

    seed: int
    p: RandomProgram
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    @cached_property
    def arrays(self) -> dict[str, Array]:
        return self.p.arrays(self.seed)

    @cached_property
    def exact(self) -> dict[str, Array]:
        return evaluate(self.p, self.arrays)

    @cached_property
    def plain(self) -> dict[str, Array]:
        return evaluate(self.p, self.arrays, np.float64)

    @cached_property
    def read(self) -> es.Program:
        return es.parse(self.p.text())

    @cached_property
    def names(self) -> list[str]:
        return [s.name for s in self.p.statements]

    @cached_property
    def wrt(self) -> list[str]:
        """All inputs, and some defined names, which are independent variables then."""
        return [*self.p.inputs, *(name for name in self.names[:-1] if self.rng.random() < 0.4)]

    @cached_property
    def gradient(self) -> tuple[Array, dict[str, Array]]:
        found: tuple[Array, dict[str, Array]] = self.run(self.read.value_and_grad("L", self.wrt))
        return found

    def run(self, derived: es.Derived, **more: Array) -> object:
        return derived.compile(functions=BINDINGS)({**self.arrays, **more})

    def moved(self, of: str, name: str, by: Array) -> Array:
        """`of` when `name` (an input, or a defined name by itself) is moved."""
        if name in self.p.inputs:
            return evaluate(self.p, {**self.exact_inputs, name: self.exact[name] + by})[of]
        return evaluate(self.p, self.arrays, held={name: self.exact[name] + by})[of]

    @cached_property
    def exact_inputs(self) -> dict[str, Array]:
        return {name: self.exact[name] for name in self.p.inputs}

    def direction(self, name: str) -> Array:
        return self.rng.standard_normal(self.exact[name].shape)


def case(seed: int, depth: int) -> Case:
    return Case(seed, program(seed, depth=depth))


# ---------------------------------------------------------------- differences


def slope(f: Callable[[float], Array]) -> tuple[Array, float] | None:
    """f'(0) and how far it may be off; None at a kink."""
    found: tuple[Array, float] | None = None
    middle = f(0.0)
    for step in STEPS:
        near, far = central(f, step / 2), central(f, step)
        off = largest(near - far)
        bend, finer = (largest(f(h) + f(-h) - 2 * middle) / h for h in (step, step / 8))
        if not np.isfinite(off) or (bend > 1e-3 * max(1.0, largest(near)) and finer > bend / 2):
            return None
        if found is None or off < found[1]:
            found = near, off
        if off < 1e-10 * max(1.0, largest(near)):
            break
    return found


def central(f: Callable[[float], Array], h: float) -> Array:
    """Of fourth order."""
    return np.asarray((8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * np.longdouble(h)))


def largest(x: Array) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def assert_close(got: Array, want: Array, tolerance: float, what: str, scale: float = 1.0) -> None:
    """Equal shapes, and differences below tolerance in units of the largest entry."""
    assert np.shape(got) == np.shape(want), f"{what}: shape {np.shape(got)}, expected {np.shape(want)}"
    off = largest(np.asarray(got, np.longdouble) - want)
    assert off <= tolerance * max(scale, largest(want)), f"{what}: off by {off}: {got}, expected {want}"


# ---------------------------------------------------------------- what is compared


def check_values(c: Case) -> None:
    """Every name's value, as exact as plain double arithmetic allows."""
    got = c.read.compile(c.names, functions=BINDINGS)(c.arrays)
    for name in c.names:
        rounding = largest(c.plain[name] - c.exact[name]) / max(1.0, largest(c.exact[name]))
        assert_close(got[name], c.exact[name], 1e-11 + 3000 * rounding, name)
        assert got[name].dtype == np.float64


def check_text(c: Case) -> None:
    """The canonical text and any order of the statements give an equal program."""
    assert es.parse(str(c.read)) == c.read
    assert es.parse(c.p.text(c.rng.permutation(len(c.names)).tolist())) == c.read


def check_gradients(c: Case) -> None:
    """Along a random direction of every input and of some defined names."""
    _, gradients = c.gradient
    for name in c.wrt:
        u = c.direction(name)
        found = slope(lambda s, name=name, u=u: c.moved("L", name, np.longdouble(s) * u))  # type: ignore[misc]
        assert gradients[name].shape == u.shape
        if found is not None:
            terms = gradients[name] * u
            tolerance = 1e-8 + 10 * found[1]
            assert_close(terms.sum(), found[0], tolerance, f"∂L/∂{name}", max(1.0, float(np.abs(terms).sum())))


def check_printed(c: Case) -> None:
    """The printed gradient reads back equal, is legal line by line, and has the numbers of the kernel."""
    gradient = c.read.grad("L", c.wrt)
    back = es.parse(f"{c.read}\n{gradient}")
    assert back == gradient
    assert es.parse(str(back)) == back
    errors = [form.error for claim in back.checked.claims for form in claim.forms if form.error is not None]
    assert not errors, f"{gradient}\n{errors[0]}"
    definitions, fresh = as_definitions(str(gradient), "L", [*c.read.names, *c.read.inputs])
    try:
        program_ = es.parse(f"{c.read}\n{tied(definitions, fresh)}")
    except es.EinstanShapeError:
        return  # sizes that a claim has from its left side, and a definition has not
    again = program_.compile([fresh[name] for name in c.wrt], functions=BINDINGS)(c.arrays)
    for name in c.wrt:
        assert_close(again[fresh[name]], c.gradient[1][name], 1e-9, f"∂L/∂{name} as printed:\n{gradient}")


def tied(definitions: str, fresh: dict[str, str]) -> str:
    """`GradA[i] = v` -> `GradA[i] = (v) + 0 A[i]`: the sizes of a definition's left side follow from A."""
    names = {grad: name for name, grad in fresh.items()}

    def tie(found: re.Match[str]) -> str:
        grad, axes, body = found.groups()
        return f"{grad}{axes} = ({body}) + 0 {names[grad]}{axes}" if grad in names else found[0]

    return re.sub(r"^(\w+)(\[[^\]]*\]) = (.*)$", tie, definitions, flags=re.M)


def check_single_precision(c: Case) -> None:
    """float32 in, float32 out."""
    singles = {name: a.astype(np.float32) for name, a in c.arrays.items()}
    value, gradients = c.read.value_and_grad("L", c.wrt).compile(functions=BINDINGS)(singles)
    assert {value.dtype, *(g.dtype for g in gradients.values())} == {np.dtype(np.float32)}
    rounding = largest(evaluate(c.p, singles, np.float32)["L"] - c.exact["L"])
    assert_close(value, c.exact["L"], 1e-3 + 100 * rounding, "L in single precision")


def check_strided(c: Case) -> None:
    """Read-only views with negative strides give the results of contiguous arrays."""
    views = {name: backwards(a) for name, a in c.arrays.items()}
    value, gradients = c.read.value_and_grad("L", c.wrt).compile(functions=BINDINGS)(views)
    assert_close(value, c.gradient[0], 1e-12, "L")
    for name in c.wrt:
        assert_close(gradients[name], c.gradient[1][name], 1e-10, f"∂L/∂{name}")


def backwards(a: Array) -> Array:
    flip = tuple(slice(None, None, -1) for _ in a.shape)
    view = np.repeat(a[flip], 2, axis=0)[::2][flip] if a.ndim else a.copy()
    view.flags.writeable = False
    return view


def check_directional(c: Case) -> None:
    """jvp, vjp and Jacobian of a random name along a random direction."""
    name, of = c.wrt[c.seed % len(c.wrt)], c.names[c.seed % len(c.names)]
    u, w = c.direction(name), c.direction(of)
    found = slope(lambda s: c.moved(of, name, np.longdouble(s) * u))
    pushed = np.asarray(c.run(c.read.jvp(of, name, "V0"), V0=u))
    pulled = np.asarray(c.run(c.read.vjp(of, name, "V0"), V0=w))
    full = np.asarray(c.run(c.read.jacobian(of, name)))
    assert full.shape == w.shape + u.shape
    size = max(1.0, float(np.abs(full).sum()))
    assert_close((full * u).sum(axis=tuple(range(w.ndim, full.ndim))), pushed, 1e-9, "jacobian against jvp", size)
    assert_close((pulled * u).sum(), (pushed * w).sum(), 1e-9, "vjp against jvp", size)
    if found is not None:
        assert_close(pushed, found[0], 1e-8 + 10 * found[1], f"∂{of}/∂{name}", size)


def check_second_order(c: Case) -> None:
    """hvp against differences of the gradient, and against the Hessian."""
    name = list(c.p.inputs)[c.seed % len(c.p.inputs)]
    u, v = c.direction(name), c.direction(name)
    product = np.asarray(c.run(c.read.hvp("L", name, "V0"), V0=v))
    hessian = np.asarray(c.run(c.read.hessian("L", name)))
    assert_close(
        (hessian * v).sum(axis=tuple(range(u.ndim, hessian.ndim))), product, 1e-9, "hvp", max(1.0, largest(hessian))
    )
    gradient = c.read.grad("L", name).compile(functions=BINDINGS)
    along = lambda s: np.sum(gradient({**c.arrays, name: c.arrays[name] + s * v}) * u)  # noqa: E731
    near, far = central(along, 1e-4), central(along, 2e-4)
    if abs(near - far) < 1e-6 * max(1.0, abs(near)):
        assert_close((product * u).sum(), near, 1e-5, "hvp", max(1.0, float(np.abs(product * u).sum())))


ALWAYS = (check_values, check_gradients)
IN_TURN = (check_text, check_printed, check_single_precision, check_strided, check_directional, check_second_order)


@pytest.mark.parametrize("seed", range(DEFAULT_SEEDS))
def test_random_program(seed: int) -> None:
    c = case(seed, depth=1 + seed % 2)
    for check in (*ALWAYS, IN_TURN[seed // 2 % len(IN_TURN)]):
        check(c)


@pytest.mark.parametrize("seed", range(DEFAULT_SEEDS, DEFAULT_SEEDS + 20))
def test_random_program_with_empty_axes(seed: int) -> None:
    """A sum over nothing is 0; what is refused over nothing is refused by both."""
    c = Case(seed, program(seed, sizes=(0, 0, 2, 3), depth=2))
    check_values(c)
    for name in c.wrt:
        assert c.gradient[1][name].shape == c.exact[name].shape


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_deeper_random_program(seed: int) -> None:
    c = case(seed, depth=3)
    for check in (*ALWAYS, *IN_TURN):
        check(c)
