"""Random programs: gradient, Jacobian and Hessian equal to JAX's of the evaluator of meaning.py, in double precision.

JAX's graphs are run by numpy (see jax_numbers.py); the first are compiled by JAX as well, and give the same.
"""

from __future__ import annotations

import pytest

jax = pytest.importorskip("jax")

from .jax_numbers import on_numpy  # noqa: E402
from .random_checks import Case, assert_close, check_against_jax  # noqa: E402
from .random_programs import program  # noqa: E402

DEFAULT_SEEDS = range(20_000, 20_030)
SLOW_SEEDS = range(20_000, 30_000)
CHEAPLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@pytest.mark.parametrize("seed", DEFAULT_SEEDS)
def test_random_program(seed: int) -> None:
    check_against_jax(Case(program(seed, depth=2), seed))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(SLOW_SEEDS.start, SLOW_SEEDS.stop, 100))
def test_hundred_random_programs(start: int) -> None:
    for seed in range(start, start + 100):
        check_against_jax(Case(program(seed, depth=2), seed))


@pytest.mark.parametrize("seed", DEFAULT_SEEDS[:4])
def test_graphs_on_numpy_are_what_jax_compiles(seed: int) -> None:
    def both(f, *args):  # type: ignore[no-untyped-def]
        found, compiled = on_numpy(f, *args), jax.jit(f, compiler_options=CHEAPLY)(*args)
        for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(compiled), strict=True):
            assert_close(ours, theirs, 1e-12, "a graph of JAX")
        return compiled

    check_against_jax(Case(program(seed, depth=2), seed), both)
