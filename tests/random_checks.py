"""random_checks: what is asked of every random program, and long runs from the command line.

    python -m tests.random_checks --programs 10000 --seed 0

prints how far it is, and each failure with the seed and the text of its program; with JAX installed, derivatives are
held against JAX's too. `random_programs.program(seed)` is the program of a seed.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import einstan as es

from .meaning import BINDINGS, COMPLEX, DIFFERENCE, LONG, STEP, Meaning, Rounded, Watched, evaluate
from .random_programs import program
from .test_gradients import as_definitions
from .trees import Array, RandomProgram

ROUNDINGS = 4  # in units of the bound that the evaluator carries with a value
TOLERANCE = 1e-10  # of derivatives, in units of their largest term or 1
CROSSED = 3e-3  # a kink nearer than this may lie within a difference
NESTED = 1e-7  # instead, where a derivative stands within the derivative: differences of differences


@dataclass(frozen=True)
class Case:
    """A random program with its arrays; the seed chooses data, directions and names."""

    p: RandomProgram
    seed: int

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @cached_property
    def pick(self) -> random.Random:
        return random.Random(self.seed)

    @cached_property
    def arrays(self) -> dict[str, Array]:
        return self.p.arrays(self.seed)

    @cached_property
    def kink(self) -> float:
        """How near the values are to a kink or a jump."""
        watched = Watched()
        evaluate(self.p, self.arrays, watched)
        return watched.kink

    @cached_property
    def exact(self) -> dict[str, Array]:
        return evaluate(self.p, self.arrays, LONG)

    @cached_property
    def read(self) -> es.Program:
        return es.parse(self.p.text())

    @cached_property
    def bindings(self) -> dict[str, str]:
        """What the opaque functions of the program are."""
        return {name: word for name, word in BINDINGS.items() if name in self.read.checked.functions}

    @cached_property
    def wrt(self) -> list[str]:
        """All inputs, and some defined names, which are independent variables then."""
        return [*self.p.inputs, *(name for name in self.p.names[:-1] if self.free(name) and self.pick.random() < 0.4)]

    def free(self, name: str) -> bool:
        """Whether no derivative in a formula goes through the name: what holding it means would be open then."""
        below = {x for e in self.p.derivatives for d in e.below for x in self.p.below(name) if d.name == x}
        return below <= {name}

    @cached_property
    def gradient(self) -> tuple[Array, dict[str, Array]]:
        found: tuple[Array, dict[str, Array]] = self.run(self.read.value_and_grad("L", self.wrt))
        return found

    def run(self, derived: es.Derived, **more: Array) -> Any:
        return derived.compile(functions=self.bindings)({**self.arrays, **more})

    def at(self, numbers: Any, of: str, name: str, x: Any) -> Any:
        """`of` where `name` (an input, or a defined name by itself) is x."""
        inputs, held = (self.arrays | {name: x}, {}) if name in self.p.inputs else (self.arrays, {name: x})
        with np.errstate(all="ignore"):
            return Meaning(self.p, numbers, inputs, held).of(of)

    def slope(self, of: str, name: str, u: Array, x: Array | None = None) -> Array:
        """∂of/∂name along u: a step along i."""
        return self.at(COMPLEX, of, name, (self.exact[name] if x is None else x) + 1j * STEP * u).imag / STEP

    def direction(self, name: str) -> Array:
        return self.rng.standard_normal(self.exact[name].shape)


def largest(x: Any) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def assert_close(got: Any, want: Any, tolerance: float, what: str, scale: float = 1.0) -> None:
    """Equal shapes, and entry by entry differences below tolerance in units of the entry or the scale."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    off = np.abs(got - want)
    fine = off <= tolerance * np.maximum(scale, np.abs(want))
    assert fine.all(), f"{what}: off by {largest(off)}: {got}, expected {want}"


# ---------------------------------------------------------------- values


def check_values(c: Case) -> None:
    """Every entry of every name is within a few times the bound that rounding allows it."""
    if c.p.derivatives and c.kink < 1e-9:
        return  # the evaluator's step along i takes one side of the kink
    assert_within_rounding(c, c.read.compile(c.p.names, functions=c.bindings)(c.arrays), c.arrays)


def check_integers(c: Case) -> None:
    """The same of whole numbers, where these give ordinary values."""
    whole, watched = c.p.integers(c.seed), Watched()
    evaluate(c.p, whole, watched)
    if watched.largest < 1e6 and (watched.kink > 1e-9 or not c.p.derivatives):
        assert_within_rounding(c, c.read.compile(c.p.names, functions=c.bindings)(whole), whole)


def assert_within_rounding(c: Case, got: Mapping[str, Array], arrays: Mapping[str, Array]) -> None:
    bounds = evaluate(c.p, arrays, Rounded())
    for name in c.p.names:
        want, allowed = bounds[name].x, ROUNDINGS * bounds[name].e
        assert got[name].shape == want.shape, f"{name}: shape {got[name].shape}, expected {want.shape}"
        off = np.abs(got[name] - want)
        assert (off <= allowed).all(), f"{name}: {got[name]}, expected {want}, off by {off}, allowed {allowed}"


def check_text(c: Case) -> None:
    """The canonical text and any order of the statements give an equal program."""
    assert es.parse(str(c.read)) == c.read
    assert es.parse(c.p.text(c.rng.permutation(len(c.p.names)).tolist())) == c.read


def check_single_precision(c: Case) -> None:
    """float32 in, float32 out."""
    singles = {name: a.astype(np.float32) for name, a in c.arrays.items()}
    value, gradients = c.read.value_and_grad("L", c.wrt).compile(functions=c.bindings)(singles)
    assert {value.dtype, *(g.dtype for g in gradients.values())} == {np.dtype(np.float32)}
    bound = evaluate(c.p, singles, Rounded())["L"]
    if not c.p.derivatives:
        assert np.abs(value - bound.x) <= ROUNDINGS * 2.0**29 * bound.e, f"L in single precision: {value}"


def check_strided(c: Case) -> None:
    """Read-only views with negative strides give the results of contiguous arrays."""
    views = {name: backwards(a) for name, a in c.arrays.items()}
    value, gradients = c.read.value_and_grad("L", c.wrt).compile(functions=c.bindings)(views)
    assert_close(value, c.gradient[0], 1e-12, "L")
    for name in c.wrt:
        assert_close(gradients[name], c.gradient[1][name], TOLERANCE, f"∂L/∂{name}")


def backwards(a: Array) -> Array:
    flip = tuple(slice(None, None, -1) for _ in a.shape)
    view = np.repeat(a[flip], 2, axis=0)[::2][flip] if a.ndim else a.copy()
    view.flags.writeable = False
    return view


# ---------------------------------------------------------------- derivatives, by steps


def tolerance(c: Case) -> float:
    return NESTED if c.p.derivatives else TOLERANCE


def check_gradients(c: Case) -> None:
    """Along a random direction of every input and of some defined names."""
    if c.kink < (CROSSED if c.p.derivatives else 1e-9):
        return
    for name in c.wrt:
        u = c.direction(name)
        terms = c.gradient[1][name] * u
        assert_close(terms.sum(), c.slope("L", name, u), tolerance(c), f"∂L/∂{name}", max(1.0, np.abs(terms).sum()))


def check_directional(c: Case) -> None:
    """jvp, vjp and Jacobian of a random name along a random direction."""
    name, of = c.pick.choice(c.wrt), c.pick.choice(c.p.names)
    u, w = c.direction(name), c.direction(of)
    pushed = c.run(c.read.jvp(of, name, "V0"), V0=u)
    pulled = c.run(c.read.vjp(of, name, "V0"), V0=w)
    full = c.run(c.read.jacobian(of, name))
    assert full.shape == w.shape + u.shape
    size = max(1.0, float(np.abs(full).sum()))
    assert_close((full * u).sum(tuple(range(w.ndim, full.ndim))), pushed, TOLERANCE, "jacobian against jvp", size)
    assert_close((pulled * u).sum(), (pushed * w).sum(), TOLERANCE, "vjp against jvp", size)
    if c.kink > (CROSSED if c.p.derivatives else 1e-9):
        assert_close(pushed, c.slope(of, name, u), tolerance(c), f"∂{of}/∂{name}", size)


def check_second_order(c: Case) -> None:
    """hvp against the Hessian, and against differences of slopes; at a kink there is no second derivative."""
    if c.kink < 1e-9:
        return
    name = c.pick.choice(list(c.p.inputs))
    u, v = c.direction(name), c.direction(name)
    product = c.run(c.read.hvp("L", name, "V0"), V0=v)
    hessian = c.run(c.read.hessian("L", name))
    size = max(1.0, float(np.abs(hessian).sum()))
    assert_close((hessian * v).sum(tuple(range(u.ndim, hessian.ndim))), product, TOLERANCE, "hvp", size)
    if c.kink > CROSSED and not c.p.derivatives:
        x, h = c.exact[name], DIFFERENCE / max(1, np.abs(v).max(initial=0))
        near, far = (c.slope("L", name, u, x + d * v) - c.slope("L", name, u, x - d * v) for d in (h, 2 * h))
        assert_close((product * u).sum(), (8 * near - far) / (12 * h), 1e-8, f"∂²L/∂{name}∂{name}", size)


# ---------------------------------------------------------------- derivatives, as they are printed


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
    again = program_.compile([fresh[name] for name in c.wrt], functions=c.bindings)(c.arrays)
    for name in c.wrt:
        assert_close(again[fresh[name]], c.gradient[1][name], 1e-9, f"∂L/∂{name} as printed:\n{gradient}")


def tied(definitions: str, fresh: dict[str, str]) -> str:
    """`GradA[i] = v` -> `GradA[i] = (v) + 0 A[i]`: the sizes of a definition's left side follow from A."""
    names = {grad: name for name, grad in fresh.items()}

    def tie(found: re.Match[str]) -> str:
        grad, axes, body = found.groups()
        return f"{grad}{axes} = ({body}) + 0 {names[grad]}{axes}" if grad in names else found[0]

    return re.sub(r"^(\w+)(\[[^\]]*\]) = (.*)$", tie, definitions, flags=re.M)


# ---------------------------------------------------------------- derivatives, by JAX

MAX_HESSIAN = 21  # entries of the input


def check_against_jax(c: Case, run: Callable[..., Any] | None = None) -> None:
    """Gradient in every input, Jacobian of one name, Hessian in one input; JAX's graph goes through `run`."""
    if c.kink < 1e-9:
        return
    from .jax_numbers import Traced, jax, on_numpy

    jac_of, jac_by = c.pick.choice(c.p.names), c.pick.choice(c.wrt)
    small = [name for name in c.p.inputs if c.arrays[name].size <= MAX_HESSIAN]
    twice = c.pick.choice(small or [min(c.p.inputs, key=lambda name: c.arrays[name].size)])
    numbers = Traced()

    def jaxs(x: Mapping[str, Any], held: Any) -> Any:
        of = lambda name, inputs, held: Meaning(c.p, numbers, inputs, held).of(name)  # noqa: E731
        moved = lambda y: (x | {jac_by: y}, {}) if jac_by in x else (x, {jac_by: y})  # noqa: E731
        gradient = jax.grad(lambda x: of("L", x, {}))(x)
        jacobian = jax.jacrev(lambda y: of(jac_of, *moved(y)))(held)
        hessian = jax.jacfwd(jax.jacrev(lambda y: of("L", x | {twice: y}, {})))(x[twice])
        return gradient, jacobian, hessian

    held = np.asarray(c.exact[jac_by], float)
    gradient, jacobian, hessian = (run or on_numpy)(jaxs, c.arrays, held)
    for name, want in gradient.items():
        assert_close(c.gradient[1][name], want, TOLERANCE, f"∂L/∂{name}")
    assert_close(c.run(c.read.jacobian(jac_of, jac_by)), jacobian, TOLERANCE, f"∂{jac_of}/∂{jac_by}")
    assert_close(c.run(c.read.hessian("L", twice)), hessian, TOLERANCE, f"∂²L/∂{twice}∂{twice}")


ALWAYS = (check_values, check_gradients)
IN_TURN = (
    *(check_text, check_printed, check_single_precision, check_strided, check_directional, check_second_order),
    check_integers,
)

# ---------------------------------------------------------------- long runs


def failures(seed: int, depth: int, checks: Iterable[Callable[[Case], None]]) -> list[tuple[str, str]]:
    """(check, what went wrong) of a seed."""
    c, found = Case(program(seed, depth=depth), seed), []
    for check in checks:
        try:
            check(c)
        except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError, NotImplementedError) as error:
            found.append((check.__name__, f"{type(error).__name__}: {str(error)[:1500]}"))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Random programs against the evaluator written from the notation.")
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first program; the next have the next")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--checks", default="all", help="comma-separated: values, gradients, against_jax, ...")
    given = parser.parse_args(argv)
    known = {check.__name__.removeprefix("check_"): check for check in (*ALWAYS, *IN_TURN, check_against_jax)}
    checks = list(known.values()) if given.checks == "all" else [known[name] for name in given.checks.split(",")]
    count: Counter[str] = Counter()
    start = time.perf_counter()
    for n in range(given.programs):
        seed = given.seed + n
        for name, error in failures(seed, given.depth, checks):
            count[name] += 1
            print(f"--- seed {seed}, {name}: {error}\n{program(seed, depth=given.depth).text()}\n", flush=True)
        if (n + 1) % 200 == 0:
            took = time.perf_counter() - start
            print(f"{n + 1} programs, {took:.0f} s, failures: {dict(count) or 'none'}", flush=True)
    print(f"seeds {given.seed} to {given.seed + given.programs - 1}: {sum(count.values())} failures")
    return 1 if count else 0


if __name__ == "__main__":
    raise SystemExit(main())
