"""settings: what a run was asked for, and the same number of threads for every library.

Imports no library: the variables are read when a library starts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from .rounds import FULL, Rounds

THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "EINSTAN_NUM_THREADS",
)


@dataclass(frozen=True)
class Settings:
    """`cases` are names, or the first words of names (`mlp` is all of `mlp-16`, `mlp-64`, ..); none means all."""

    cases: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    threads: int = 1
    dtype: str = "float32"
    rounds: Rounds = FULL

    def wants(self, case: str) -> bool:
        return not self.cases or any(meant(name, case) for name in self.cases)

    def invites(self, candidate: str) -> bool:
        return not self.candidates or candidate in self.candidates


def meant(name: str, case: str) -> bool:
    return case == name or case.startswith(f"{name}-")


def set_threads(count: int) -> None:
    """OpenBLAS, OpenMP and MKL read variables; XLA counts the cores that the process may use."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(count)))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
