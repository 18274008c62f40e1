"""kernel: what `compile` returns: formulas bound to sizes and dtypes as arrays come, cached, run.

Laws: a plan runs only on arrays of exactly the shapes and dtypes it was made for; inputs are never written; results
are fresh arrays that share no memory with anything; a workspace belongs to one call at a time, so that a kernel may be
called from many threads; an exception leaves everything usable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from .arrays import Array, DType, as_arrays, check_names, check_real, differentiable, dtype_of, nominal_env, solved
from .callables import guarded
from .collector import paused
from .dims import Env
from .emit import emit, opaque_steps
from .errors import EinstanError, EinstanShapeError, MissingBackendError
from .ir import Node, Shape
from .memory import check_memory, entries
from .orders.methods import Optimize, Order
from .placing import check_places, direct, paths, unpacked
from .plan import Plan, Step, lowered, prepared
from .plan.regions import Cores
from .running import Bound, Key
from .show.spelling import with_axes
from .slicing import fitting
from .threads import count

if TYPE_CHECKING:
    from .show.svg import Picture

PLANS_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call: multiply and add are two flops, an entrywise function one per element; bytes are read and written.

    `peak_bytes` are held at once at most: workspace and constants, which stay for the next call, results, and what
    numpy takes for a while. Inputs are the caller's: they, what is made of them first (of lists; of integers in a
    derivative), copies of inputs with gaps that BLAS can't take, and results of earlier calls that are still held come
    on top.
    """

    flops: int
    bytes: int
    peak_bytes: int
    plan: Plan = field(repr=False, compare=False)

    @property
    def seconds(self) -> float:
        """Predicted for this machine: an order of magnitude. Its speed is measured when it is first asked for."""
        from .plan.seconds import predicted

        return predicted(self.plan)


class Wanted(NamedTuple):
    """The nodes to compute, and the nesting of their arrays: a pattern (see placing)."""

    nodes: Sequence[Node]
    pattern: Any


@dataclass(frozen=True, slots=True)
class Spec:
    """What a kernel is made of.

    `inputs` gives the axis letters and `shapes` the sizes of what is read, `known` are inputs that are not; `build`
    says what is computed for sizes, and where all arrays are real or not; `explain` words a mismatch of sizes; `wrt`
    are inputs that derivatives are taken by, `real` those below functions of reals; `functions` are Python's, `recipe`
    makes the kernel again. `optimize` is what `order.method_for` gave.
    """

    inputs: Mapping[str, tuple[str, ...]]
    shapes: Mapping[str, Shape]
    build: Callable[[Env, Order, bool], Wanted]
    known: frozenset[str] = frozenset()
    explain: Callable[[dict[str, tuple[int, ...]]], Exception | None] | None = None
    backend: str = "numpy"
    optimize: Optimize = "auto"
    memory_limit: int | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)
    check_finite: bool = False
    wrt: frozenset[str] = frozenset()
    real: frozenset[str] = frozenset()
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    recipe: tuple[Callable[..., Kernel], tuple[Any, ...]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What is read, in order."""
        return tuple(self.inputs)


@dataclass(frozen=True, eq=False, repr=False)
class Kernel:
    """A program for numpy: call it with arrays by keyword or one mapping.

    `inputs` are the names it reads with a letter for each axis. `source`, `steps`, `cost` speak of the last call;
    before the first, of nominal sizes (`sizes` by letter or by input, else 128 for each axis).
    """

    _spec: Spec
    _state: State = field(default_factory=lambda: State())

    def __post_init__(self) -> None:
        backend = self._spec.backend
        if backend != "numpy":
            raise MissingBackendError(f"The backend {backend[:60]!r} is not built yet.", 'Write backend="numpy".')

    @property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        return dict(self._spec.inputs)

    @property
    def optimize(self) -> Optimize:
        return self._spec.optimize

    def __reduce__(self) -> tuple[Any, ...]:
        """Kernels pickle as what they are made of, and are made anew."""
        if self._spec.recipe is None:
            raise TypeError("a Kernel pickles only with the recipe that made it")
        return self._spec.recipe

    def __repr__(self) -> str:
        shown = ", ".join(with_axes(name, axes) for name, axes in self._spec.inputs.items())
        return f"<Kernel of {shown[:100] or 'nothing'}, numpy>"

    # ------------------------------------------------------------ calling

    def __call__(self, arrays: Mapping[str, Any] | None = None, /, **named: Any) -> Any:
        """The results for these arrays: fresh arrays, nested as they were asked for."""
        bound, values = self._ready(named if arrays is None else {**arrays, **named})
        results = bound.call(values)
        self._check(bound, results)
        return bound.nested(results)

    def into(self, outs: Any, arrays: Mapping[str, Any] | None = None, /, **named: Any) -> Any:
        """The results written into the arrays `outs` (nested like the results), which may overlap the inputs."""
        bound, values = self._ready(named if arrays is None else {**arrays, **named})
        places = bound.places(outs, values)
        if places is not None:
            self._check(bound, bound.write(values, places))
        else:
            self._write(bound, values, unpacked(outs, bound.pattern))
        return outs

    def _write(self, bound: Bound, values: Sequence[Any], places: Sequence[Any]) -> None:
        """The results written into whatever arrays they fit into, which may overlap the inputs."""
        results = bound.plan.results
        if bound.spread is None and direct(places, values, results):
            self._check(bound, bound.write(values, tuple(places)))
        else:
            check_places(places, results)
            found = bound.call(values)
            self._check(bound, found)
            for place, result in zip(places, found, strict=True):
                np.copyto(place, result, casting="same_kind")

    def _ready(self, given: Mapping[str, Any]) -> tuple[Bound, Sequence[Any]]:
        """The plan of the last call where the arrays fit it, which takes no time; else what `_bind` finds."""
        bound = self._state.bound
        if bound is not None and len(given) == bound.count:
            try:
                values = bound.take(given)
            except KeyError:
                return self._bind(given)
            if (bound.fits or bound.guard())(*values):
                return bound, values
        return self._bind(given)

    def _check(self, bound: Bound, results: Sequence[Any]) -> None:
        """Nothing, unless entries are to be finite."""
        if self._spec.check_finite:
            for name, found in zip(paths(bound.pattern), results, strict=True):
                check_entries(name, found)

    # ------------------------------------------------------------ looking

    @property
    def spec(self) -> Spec:
        """What it is made of, for those who plan it in other ways."""
        return self._spec

    @property
    def source(self) -> str:
        """The generated numpy source."""
        return emit(self._current().plan, self._spec.inputs)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is computed, in order, each step with its costs: flops, bytes, and the seconds that are predicted for it
        on this machine; views cost nothing, and what is made once with the workspace takes no time.

        >>> from einstan import parse
        >>> k = parse("y[i] = A[i,K] x[K]").compile("y", sizes={"i": 30, "k": 50})
        >>> k.steps[-1].op, k.steps[-1].flops
        ('dot', 3000)
        >>> 0 < k.steps[-1].seconds < k.cost.seconds
        True
        """
        return self._current().plan.steps

    @property
    def cost(self) -> Cost:
        """Flops, bytes and peak memory of one call, and the seconds that are predicted for it."""
        found = self._current().plan
        return Cost(found.flops, found.bytes, found.peak_bytes, found)

    def svg(self) -> Picture:
        """The steps as a picture: what each one computes of what, its shape, its costs; views are left out.

        Costs are those of the last call. A text that notebooks show as a picture; `k.svg().save("k.svg")` writes it
        into a file.

        >>> from einstan import parse
        >>> k = parse("y[i] = A[i,K] x[K]").compile("y", sizes={"i": 30, "k": 50})
        >>> "3 kflop" in k.svg()
        True
        """
        from .show.plan_graph import picture

        return picture(self._current().plan, self._spec.inputs, self._results)

    def _repr_html_(self) -> str | None:
        """The steps as a table; None before the first call where the nominal sizes can't be those of arrays."""
        from .show.html import kernel

        try:
            found = self._current().plan
        except EinstanError:
            return None
        return kernel(found, self._spec.inputs, self._results)

    @property
    def _results(self) -> list[str]:
        """What the results are called."""
        return [name.removeprefix("the derivative/") for name in paths(self._current().pattern)]

    def _current(self) -> Bound:
        spec, state = self._spec, self._state
        if state.last is not None:
            return state.last
        if state.nominal is None:
            env = nominal_env(spec.shapes, spec.inputs, spec.sizes)
            dtype = np.dtype("float64")
            key = tuple([(tuple([d.at(env) for d in spec.shapes[name]]), dtype) for name in spec.names])
            state.nominal = self._planned(key, env)
        return state.nominal

    # ------------------------------------------------------------ binding

    def _bind(self, given: Mapping[str, Any]) -> tuple[Bound, Sequence[Any]]:
        """The plan for these arrays, and the arrays as it takes them."""
        spec, state = self._spec, self._state
        names = spec.names
        check_names(given, names, spec.known)
        arrays = as_arrays({name: given[name] for name in names})
        unread = {name: x for name, x in given.items() if name in spec.known}
        check_real(arrays, names, spec.real)
        arrays = differentiable(arrays, names, spec.wrt, unread)
        beside = tuple(sorted({dtype_of(x) for x in unread.values()}, key=str))
        key = tuple([(a.shape, a.dtype) for a in arrays])
        found = state.plans.get((key, beside))
        if found is None:
            env = self._env({name: a.shape for name, a in zip(names, arrays, strict=True)})
            with state.lock:
                found = state.plans.get((key, beside)) or self._planned(key, env, beside)
                check_memory(found.plan, spec.memory_limit)
                while len(state.plans) >= PLANS_KEPT:
                    del state.plans[next(iter(state.plans))]
                state.plans[key, beside] = found
        if not beside:
            state.bound = found
        state.last = found
        return found, arrays

    def _planned(self, key: Key, env: Env, beside: tuple[DType, ...] = ()) -> Bound:
        spec = self._spec
        dtypes = {name: dtype for name, (_, dtype) in zip(spec.names, key, strict=True)}
        with paused():
            order = Order(spec.optimize, entries(spec.memory_limit, dtypes.values()))
            cores = Cores(count())
            wanted = spec.build(env, order, all(d.kind != "c" for d in dtypes.values()))
            nodes = prepared(wanted.nodes, env, order)

            def make(outputs: Sequence[Node], first: Sequence[Node]) -> Plan:
                return lowered(outputs, first, env, dtypes, spec.inputs, beside, cores=cores)

            return bound(spec, key, fitting(nodes, env, make, spec.memory_limit), wanted.pattern)

    def _env(self, actual: dict[str, tuple[int, ...]]) -> Env:
        """The sizes behind the shapes; a mismatch is told in the program's words, if it has some."""
        spec = self._spec
        try:
            return solved(spec.shapes, spec.inputs, actual)
        except EinstanShapeError as error:
            better = spec.explain(actual) if spec.explain is not None else None
            raise (better or error) from None


def bound(spec: Spec, key: Key, found: Plan, pattern: Any) -> Bound:
    """A plan for arrays of these shapes and dtypes, with the functions that it calls."""
    called = {
        name: guarded(asked.key, spec.functions[asked.key], asked.shape, asked.dtype)
        for asked, name in opaque_steps(found).items()
    }
    return Bound(found, spec.names, key, pattern, called)


class State:
    """What changes behind a kernel: the plans, the one that was used last."""

    __slots__ = ("bound", "last", "lock", "nominal", "plans")

    def __init__(self) -> None:
        self.bound: Bound | None = None  # for calls with just the arrays that are read
        self.last: Bound | None = None
        self.nominal: Bound | None = None
        self.plans: dict[tuple[Key, tuple[DType, ...]], Bound] = {}
        self.lock = threading.Lock()


# ---------------------------------------------------------------- results


def check_entries(name: str, found: Array) -> None:
    if found.dtype.kind in "fc" and not np.isfinite(found).all():
        bad = int(found.size - np.count_nonzero(np.isfinite(found)))
        raise EinstanError(f"{name} has {bad} entries of {found.size} that are not finite.", "Look at the inputs.")
