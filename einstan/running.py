"""running: a plan with its functions, workspaces and results: calls, and nothing else.

Laws: results are fresh arrays that share no memory with anything that a caller can see; a workspace belongs to one
call at a time, so that a plan may run in many threads; numpy's warnings are off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from operator import itemgetter
from sys import getrefcount
from typing import Any, Final
from weakref import getweakrefcount

import numpy as np

from . import straight
from .arrays import Array, DType
from .collector import paused
from .emit import Functions, born, compiled, emit, failed
from .errors import Unsolvable
from .placing import check_arrays
from .plan import Plan, Value

Key = tuple[tuple[tuple[int, ...], DType], ...]

LARGE: Final = 1 << 18  # bytes from which on a result's memory is worth using again
TWICE: Final = 1 << 26  # bytes up to which two such results are kept
PROBE: Final = [np.empty(0)]
UNSHARED: Final = getrefcount(PROBE[0])  # of an array that only a list holds
COUNTS_REFERENCES: Final = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
OWN_ERRSTATE: Final = int(np.__version__.split(".")[0]) >= 2  # numpy 2 keeps it in a context variable


class Bound:
    """One plan with its functions and workspaces; `pattern` is how its results are nested.

    What stands between a caller and the plan is written for it when it is first needed (see straight): `fits` tells
    whether arrays are as it expects them, `pack` nests the results, `taken` takes arrays out of such a nesting, which
    `receive` results if they are as new, and inputs `own` their memory.
    """

    __slots__ = (
        "called",
        "count",
        "distinct",
        "fits",
        "functions",
        "key",
        "large",
        "own",
        "pack",
        "pattern",
        "pick",
        "plan",
        "pool",
        "receive",
        "spread",
        "take",
        "taken",
        "writing",
    )

    def __init__(
        self, plan_: Plan, names: Sequence[str], key: Key, pattern: Any, called: Mapping[str, Callable[..., Any]]
    ) -> None:
        self.plan, self.key, self.pattern, self.called = plan_, key, pattern, called
        self.functions: Functions | None = None
        self.writing: Functions | None = None
        self.fits: Callable[..., bool] | None = None
        self.pack: Callable[..., Any] | None = None
        self.count = len(names)
        self.take = taking(names)
        place = {name: n for n, name in enumerate(names)}
        read = [place[name] for name in plan_.inputs]
        self.pick = None if read == list(range(len(names))) else read
        self.distinct = distinct = list(dict.fromkeys(plan_.results))
        self.large = COUNTS_REFERENCES and any(v.nbytes >= LARGE for v in distinct)
        self.spread = None if len(distinct) == len(plan_.results) else [distinct.index(v) for v in plan_.results]
        self.pool: list[Workspace] = []

    # ------------------------------------------------------------ running

    def call(self, values: Sequence[Any]) -> Sequence[Any]:
        """Run once, in a workspace of its own; the results are fresh arrays."""
        functions = self.functions or self.compiled()
        held = self.workspace(functions)
        out = functions.results() if held.kept is None else held.recycled(self.distinct)
        found = self.run(functions, values, held, out)
        return found if self.spread is None else self.repeated(found)

    def write(self, values: Sequence[Any], out: tuple[Any, ...]) -> Sequence[Any]:
        """Run once, computing the results, no two of which are equal, in the arrays `out`."""
        functions = self.writing or self.compiled_to_write()
        return self.run(functions, values, self.workspace(functions), out)

    def workspace(self, functions: Functions) -> Workspace:
        try:
            return self.pool.pop()
        except IndexError:
            kept: list[list[Any]] | None = [[None, None] for _ in self.distinct] if self.large else None
            try:
                return Workspace(functions.workspace(), kept)
            except np.linalg.LinAlgError as error:
                raise self.unsolvable(error, functions) from None

    def run(
        self, functions: Functions, values: Sequence[Any], held: Workspace, out: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """A workspace is kept for the next call; not where this one failed: threads may still be at work in it."""
        if self.pick is not None:
            values = [values[n] for n in self.pick]
        try:
            found: tuple[Any, ...] = held.enter(functions.run, values, held.arrays, out)
        except np.linalg.LinAlgError as error:
            raise self.unsolvable(error, functions) from None
        self.pool.append(held)
        return found

    def unsolvable(self, error: np.linalg.LinAlgError, functions: Functions) -> Unsolvable:
        """A matrix that has no inverse, or is not definite, with the formula of the step."""
        step = failed(error, emit(self.plan, made=None if functions is self.functions else ()))
        return Unsolvable(
            f"{error} in the step {step}.",
            "Look at the entries of the matrix; a multiple of delta[i,j] may be added to it.",
        )

    def nested(self, results: Sequence[Any]) -> Any:
        """The results as they were asked for."""
        if self.pack is None:
            self.pack = straight.nested(self.pattern)
        return self.pack(*results)

    # ------------------------------------------------------------ arrays that are given

    def guard(self) -> Callable[..., bool]:
        """Whether arrays, given one by one, are those that the plan is for."""
        self.fits = straight.guard(self.key)
        return self.fits

    def places(self, outs: Any, values: Sequence[Any]) -> tuple[Any, ...] | None:
        """The arrays of a nesting, if all results can be computed in them: each owns its memory and nothing else sees
        it, for no input is a view. None where one has to look closer."""
        if self.spread is not None:
            return None
        if self.writing is None:
            self.compiled_to_write()
        try:
            found = self.taken(outs)
        except KeyError:
            return None
        if found is None or not self.receive(*found) or not self.own(*values):
            return None
        owners = {*map(id, found)}
        return found if len(owners) == len(found) and owners.isdisjoint(map(id, values)) else None

    # ------------------------------------------------------------ made once

    def compiled(self) -> Functions:
        """The functions of the plan's source, made once."""
        if self.functions is None:
            with paused():
                self.functions = compiled(emit(self.plan, comments=False), self.called)
        return self.functions

    def compiled_to_write(self) -> Functions:
        """The same where every result is computed in the array that is given for it."""
        check_arrays(self.pattern)
        self.taken = straight.taken(self.pattern)
        self.receive = straight.guard([(v.shape, v.dtype) for v in self.plan.results], straight.OWNS)
        self.own = straight.no_views(self.count)
        if not born(self.plan):
            self.writing = self.compiled()
        else:
            with paused():
                self.writing = compiled(emit(self.plan, comments=False, made=()), self.called)
        return self.writing

    def repeated(self, out: Sequence[Any]) -> list[Any]:
        """Equal results are computed once and handed out as copies."""
        assert self.spread is not None
        seen: set[int] = set()
        found = []
        for n in self.spread:
            found.append(out[n].copy() if n in seen else out[n])
            seen.add(n)
        return found


class Workspace:
    """What one call at a time uses: arrays, numpy's error state, and the large results of the last two calls.

    A large array costs a page fault for every 4 kB. `kept` holds two arrays for each result, the last one first; one
    that nobody else holds is handed out again, which no caller can tell from a fresh one. Two, because in
    `x = kernel(...)` the old x lives until the new one is there.
    """

    __slots__ = ("arrays", "enter", "kept")

    def __init__(self, arrays: tuple[Any, ...], kept: list[list[Any]] | None) -> None:
        self.arrays, self.kept = arrays, kept
        self.enter = quiet_context().run if OWN_ERRSTATE else quietly

    def recycled(self, values: Sequence[Value]) -> tuple[Any, ...]:
        """An array for each result, of those that were dropped where possible."""
        assert self.kept is not None
        return tuple([again(own, v) for own, v in zip(self.kept, values, strict=True)])


def again(own: list[Any], v: Value) -> Array:
    """One of two arrays if nobody else holds it, else a fresh one; it stands first then."""
    if v.nbytes < LARGE:
        return np.empty(v.shape, v.dtype)
    if getrefcount(own[0]) > UNSHARED or not as_made(own[0], v):
        if getrefcount(own[1]) > UNSHARED or not as_made(own[1], v):
            own[1] = np.empty(v.shape, v.dtype)
        own.reverse()
        if v.nbytes > TWICE:
            own[1] = None
    return own[0]  # type: ignore[no-any-return]


def as_made(a: Array | None, v: Value) -> bool:
    """Whether the array still is what it was when it was handed out, and no weak reference can bring it back."""
    if a is None or getweakrefcount(a):
        return False
    return a.shape == v.shape and a.dtype is v.dtype and a.flags.carray and a.flags.owndata


def taking(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """The values of these names, in their order, without a loop of Python's."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda given: [given[name] for name in names]


def quiet_context() -> Context:
    """A context in which numpy's warnings are off: entering it costs 0.1 µs, np.errstate 0.8."""
    context = Context()
    if OWN_ERRSTATE:
        context.run(np.seterr, all="ignore")
    return context


def quietly(call: Callable[..., Any], *args: Any) -> Any:
    with np.errstate(all="ignore"):
        return call(*args)
