"""einsum_suites: other projects' own tests of einsum, unchanged, with einstan's functions in the place of theirs.

`python -m tests.einsum_suites numpy` runs numpy/_core/tests/test_einsum.py of the installed numpy, `... opt_einsum` the
installed opt_einsum's test_contract, test_input and test_edge_cases, and `... jax PATH` a copy of jax's
tests/lax_numpy_einsum_test.py (its wheel has no tests). Options of pytest may follow.

While pytest imports the tests, the functions are swapped in the module that offers them: `from opt_einsum import
contract` and tables of functions hold ours. Afterwards the module has its own again, for other users of it, and the
tests' name for it (`np`, `jnp`) means a copy with ours. What the tests compare with stays.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import einstan as es


@dataclass(frozen=True)
class Suite:
    """Which functions of which module einstan's replace, and what runs."""

    module: str
    functions: dict[str, Callable[..., Any]]
    tests: tuple[str, ...] = ()


def called_back(*operands: Any, precision: Any = None, **options: Any) -> Any:
    """es.einsum for jax: on its arrays as numpy's; where jax traces, by a callback. `precision` is of devices."""
    import jax

    texts = [x for x in operands if isinstance(x, str)]
    call = lambda *arrays: np.asarray(es.einsum(*texts, *arrays, **options))  # noqa: E731
    arrays = operands[len(texts) :]
    if not any(isinstance(x, jax.core.Tracer) for x in arrays):
        return call(*map(np.asarray, arrays))
    likeness = call(*map(alike, arrays))
    return jax.pure_callback(call, jax.ShapeDtypeStruct(likeness.shape, likeness.dtype), *arrays)


def path_of(*operands: Any, **options: Any) -> Any:
    return es.einsum_path(*(x if isinstance(x, str) else alike(x) for x in operands), **options)


def alike(x: Any) -> Any:
    """Of the same shape and dtype, without values."""
    return np.zeros(x.shape, x.dtype)


SUITES = {
    "numpy": Suite("numpy", {"einsum": es.einsum, "einsum_path": es.einsum_path}, ("numpy._core.tests.test_einsum",)),
    "opt_einsum": Suite(
        "opt_einsum",
        {name: getattr(es, name) for name in ("contract", "contract_path", "contract_expression")},
        tuple(f"opt_einsum.tests.test_{part}" for part in ("contract", "input", "edge_cases")),
    ),
    "jax": Suite("jax.numpy", {"einsum": called_back, "einsum_path": path_of}),
}


class Swap:
    """A plugin of pytest: the swap, and the counts of what came of the tests."""

    def __init__(self, suite: Suite) -> None:
        self.module, self.functions = importlib.import_module(suite.module), suite.functions
        self.own = {name: getattr(self.module, name) for name in suite.functions}
        self.outcomes: Counter[str] = Counter()

    def pytest_collection(self) -> None:
        vars(self.module).update(self.functions)

    def pytest_collection_finish(self, session: Any) -> None:
        vars(self.module).update(self.own)
        copy = ModuleType(self.module.__name__)
        vars(copy).update(vars(self.module), **self.functions)
        for tests in {item.module for item in session.items}:
            names = [name for name, value in vars(tests).items() if value is self.module]
            vars(tests).update(dict.fromkeys(names, copy))

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in SUITES or (arguments[0] == "jax" and len(arguments) < 2):
        print(__doc__, file=sys.stderr)
        return 2
    suite = SUITES[arguments[0]]
    swap = Swap(suite)
    alone = ["-q", "--tb=short", "--import-mode=append", "-p", "no:cacheprovider", "-c", "/dev/null"]
    code = pytest.main([*alone, *(["--pyargs", *suite.tests] if suite.tests else []), *arguments[1:]], plugins=[swap])
    counts = ", ".join(f"{swap.outcomes[o]} {o}" for o in ("passed", "failed", "skipped"))
    print(f"{arguments[0]}: {counts}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
