"""grad_checks: a program's derivatives against numbers, entry by entry: a table of the worst entries.

What is checked is what kernels compute: reverse and forward, of first and second order. Numbers come from complex steps
through the formulas as they are written, where each function has one (see complex_step), else from central differences
of kernels; a second order derivative is checked as the slope of the first order one. Everything is in float64. Facts
are left aside: they hold for the arrays, not for arrays beside them.

Laws: an entry agrees if it is as near to the number as the number is known; where a difference has a kink, or no value,
between its points, nothing is said of the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .arrays import Array, as_arrays, check_names, solved
from .bind import bindings_of, read_key, sizes_of_results
from .compiling import Options, shortened
from .complex_step import Point, has_complex_step
from .errors import EinstanError, EinstanNameError, EinstanShapeError
from .kernel import Kernel
from .request import Graph, Laws, Term, terms
from .rules import LAWS, simplify
from .show.spelling import with_axes
from .solvers.given import names_of
from .syntax.roster import names_in

if TYPE_CHECKING:
    from .programs import Program

ENTRIES: Final = 12  # of an input whose slopes are measured one by one, chosen at random
STEP: Final = float(np.cbrt(np.finfo(float).eps))  # of differences, relative to the largest entry
ULP: Final = float(np.finfo(float).eps)
KINK: Final = 1e-3  # slopes that are known less well, relative to the largest, say nothing
COMPLEX, DIFFERENCES = "complex step", "differences"
NEAR: Final = {COMPLEX: 1e-9, DIFFERENCES: 1e-6}  # relative to the largest slope
FLOOR: Final = 64 * ULP  # of the largest slope, or of the value over the input: rounding, as in 1 - tanh(x)^2
TINY: Final = 1e-50  # slopes below are zero: the square of a complex step is no slope
AS_WRITTEN: Final = Laws(list, simplify, LAWS)


@dataclass(frozen=True, slots=True)
class Measured:
    """Slopes as numbers, how far off they may be beside NEAR, and where they say nothing."""

    slope: Array
    noise: Array
    left_out: Array

    def weighted(self, seed: Array) -> Measured:
        """The slope of Σ seed · f."""
        total = np.asarray((seed * self.slope).sum()), np.asarray((np.abs(seed) * self.noise).sum())
        return Measured(*total, np.asarray(self.left_out.any()))


@dataclass(frozen=True, slots=True)
class GradCheck:
    """One derivative: its worst entry as it is derived and as a number, and how far apart they may be.

    `mode` is reverse or forward, `method` complex step or differences; `entries` are compared, `left_out` were not.
    """

    of: str
    wrt: str
    order: int
    mode: str
    method: str
    entries: int
    left_out: int
    entry: tuple[int, ...]
    derived: float
    number: float
    tolerance: float

    @property
    def error(self) -> float:
        return abs(self.derived - self.number)

    @property
    def holds(self) -> bool | None:
        """None where no entry could be compared."""
        return self.error <= self.tolerance if self.entries else None


@dataclass(frozen=True, slots=True, repr=False)
class GradChecks:
    """The rows of a check; printed, a table. `holds` is False where one does not agree."""

    rows: tuple[GradCheck, ...]

    def __iter__(self) -> Iterator[GradCheck]:
        return iter(self.rows)

    @property
    def holds(self) -> bool:
        return all(row.holds is not False for row in self.rows)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = [HEADS, *map(cells, self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([*table, "", summary(self.rows)])


HEADS: Final = ("derivative", "order", "mode", "number by", "entries", "worst", "derived", "number", "error", "")


def cells(row: GradCheck) -> tuple[str, ...]:
    left = f" ({row.left_out} left out)" if row.left_out else ""
    entry = f"[{','.join(map(str, row.entry))}]" if row.entry else ""
    told = (entry, f"{row.derived:.6g}", f"{row.number:.6g}", f"{row.error:.0e}")
    return (
        *(f"∂{row.of}/∂{row.wrt}", str(row.order), row.mode, row.method, f"{row.entries}{left}"),
        *(told if row.entries else ("",) * len(told)),
        {True: "agrees", False: "DIFFERS", None: "not compared"}[row.holds],
    )


def summary(rows: Sequence[GradCheck]) -> str:
    wrong = [row for row in rows if row.holds is False]
    if wrong:
        named = ", ".join(dict.fromkeys(f"∂{row.of}/∂{row.wrt}" for row in wrong))
        return f"{len(wrong)} of {len(rows)} differ: {named}."
    silent = sum(row.holds is None for row in rows)
    return (
        f"All {len(rows)} agree." if not silent else f"{silent} of {len(rows)} could not be compared, the rest agree."
    )


# ---------------------------------------------------------------- what is checked


def check_grads(
    program: Program, data: Mapping[str, Any], of: Any, wrt: Any, functions: Mapping[str, Any] | None, order: int
) -> GradChecks:
    """As `Program.check_grads` describes it."""
    tops = results(program) if of is None else [of] if isinstance(of, str) else list(of)
    if order not in (1, 2):
        raise EinstanError(f"order is {order!r}; derivatives are checked to the first or the second.", "Write order=1.")
    bindings_of(functions or {}, program.checked.functions)
    asked = None if wrt is None else names_of(program, wrt)[0]
    rows: list[GradCheck] = []
    for top in tops:
        program.require(top, program.checked.definitions, "defines")
        alone = program.below(top)
        arrays = plain(alone, data, program.inputs)
        known = {text: f for text, f in (functions or {}).items() if read_key(text)[0] in alone.checked.functions}
        floats = [name for name, a in arrays.items() if a.dtype.kind != "b"]
        if names := floats if asked is None else [name for name in asked if name in arrays]:
            rows += Check(alone, top, names, arrays, known).rows(order)
    if not rows:
        raise EinstanNameError("There is no derivative to check.", "Define a name by inputs that are floats.")
    return GradChecks(tuple(rows))


def results(program: Program) -> list[str]:
    """The names that no other one needs."""
    needed = {name for d in program.checked.definitions.values() for name in names_in(d.body)}
    return [name for name in program.names if name not in needed]


def plain(program: Program, data: Mapping[str, Any], others: Iterable[str]) -> dict[str, Array]:
    """The program's inputs as float64, but for booleans; `others` may be given too."""
    wanted = list(program.inputs)
    check_names(data, wanted, frozenset(others))
    found = dict(zip(wanted, as_arrays({name: data[name] for name in wanted}), strict=True))
    for name, a in found.items():
        if a.dtype.kind == "c":
            raise EinstanShapeError(f"{name} is complex.", "Give its real and imaginary parts as two inputs.")
    return {name: a if a.dtype.kind == "b" else a.astype(np.float64) for name, a in found.items()}


class Check:
    """The derivatives of one name at one point, by kernels and as numbers.

    The program has two more names: φ = Σ seed · of, which is of itself where that is a scalar, and ψ, the slope of φ
    where the inputs move along directions that are chosen at random.
    """

    def __init__(
        self, program: Program, of: str, wrt: Sequence[str], arrays: dict[str, Array], functions: Mapping[str, Any]
    ) -> None:
        fresh = (word for word in (f"c{n}" for n in count(1)) if word not in program.letters)
        self.of, self.wrt, self.functions = of, wrt, functions
        self.phi, self.psi, self.seed = (next(fresh) for _ in range(3))
        self.tangent, self.again = ({name: next(fresh) for name in wrt} for _ in range(2))
        self.base, self.program = program, program.reading(self.text(program))
        value = program.compile(of, functions=functions)(arrays)
        if not np.all(np.isfinite(value)):
            raise EinstanShapeError(f"{of} is not finite for these arrays.", "Check derivatives where it has a value.")
        self.rng = np.random.default_rng(0)
        self.along = {name: self.direction(arrays[name].shape) for name in wrt}
        seed = self.direction(np.shape(value)) if np.ndim(value) else np.asarray(1.0)
        tangents = {word[name]: v for name, v in self.along.items() for word in (self.tangent, self.again)}
        self.arrays = {**arrays, self.seed: seed, **tangents}
        self.length = greatest(arrays[name] for name in wrt) or 1.0
        self.scale = greatest([value]) / self.length

    def text(self, program: Program) -> str:
        def indexed(word: str, like: str) -> str:
            return with_axes(word, [f"I{n}" for n in range(len(program.letters[like]))])

        slopes = [f"∂{self.phi}/∂{indexed(name, name)} {indexed(self.tangent[name], name)}" for name in self.wrt]
        phi = f"{self.phi} = {indexed(self.seed, self.of)} {indexed(self.of, self.of)}"
        return f"{phi}\n{self.psi} = {' + '.join(slopes)}"

    def rows(self, order: int) -> Iterator[GradCheck]:
        """First order, then second."""
        yield from self.first()
        if order == 2:
            yield from self.second()

    def first(self) -> Iterator[GradCheck]:
        """Reverse entry by entry of each input, forward where all move at once."""
        number, method = self.slopes((Term(self.of),))
        reverse = self.run(self.program.kernel({name: Term(self.phi, (name,)) for name in self.wrt}, {}, self.options))
        self.scale = max(self.scale, greatest(reverse.values()))
        for name in self.wrt:
            entries = self.chosen(name)
            found = [number({name: unit(self.arrays[name].shape, entry)})[0] for entry in entries]
            told = together([m.weighted(self.arrays[self.seed]) for m in found])
            derived = np.array([reverse[name][entry] for entry in entries])
            yield compared((self.of, name, 1, "reverse", method), derived, told, self.scale, entries)
        forward = self.run(self.base.jvp(self.of, self.wrt, self.tangent).compile(functions=self.functions))
        yield compared((self.of, ",".join(self.wrt), 1, "forward", method), forward, number(self.along)[0], self.scale)

    def second(self) -> Iterator[GradCheck]:
        """The slopes of first derivatives where all inputs move at once."""
        number, method = self.slopes(tuple(Term(self.phi, (name,)) for name in self.wrt))
        reverse = self.run(self.program.kernel({name: Term(self.psi, (name,)) for name in self.wrt}, {}, self.options))
        self.scale = max(self.scale / self.length, greatest(reverse.values()))
        for name, told in zip(self.wrt, number(self.along), strict=True):
            yield compared((self.of, name, 2, "reverse", method), reverse[name], told, self.scale)
        number, method = self.slopes((Term(self.of, tangents=tuple(self.tangent.items())),))
        twice = self.base.jvp(self.of, self.wrt, self.tangent).jvp(wrt=self.wrt, tangent=self.again)
        forward = self.run(twice.compile(functions=self.functions))
        yield compared((self.of, ",".join(self.wrt), 2, "forward", method), forward, number(self.along)[0], self.scale)

    def direction(self, shape: tuple[int, ...]) -> Array:
        return np.asarray(self.rng.standard_normal(shape))

    def chosen(self, name: str) -> list[tuple[int, ...]]:
        """Some entries of an input, or all of a small one."""
        shape = self.arrays[name].shape
        size = prod(shape)
        places = sorted(self.rng.choice(size, min(size, ENTRIES), replace=False)) if size else []
        return [tuple(map(int, np.unravel_index(place, shape))) for place in places]

    # -- kernels and numbers

    @property
    def options(self) -> Options:
        return Options(functions=self.functions)

    def run(self, kernel: Kernel) -> Any:
        return kernel({name: self.arrays[name] for name in kernel.inputs})

    def slopes(self, tree: tuple[Term, ...]) -> tuple[Callable[[Mapping[str, Array]], list[Measured]], str]:
        """What measures the slopes of terms along directions, and how."""
        program, definitions = self.program, self.program.definitions()
        functions = bindings_of(self.functions, program.checked.functions)
        sizes = sizes_of_results(definitions.roots, functions)
        roots = Graph.of(definitions.bound(functions, sizes), list(terms(tree)), AS_WRITTEN).nodes(shortened)
        if not has_complex_step(roots):
            return partial(by_differences, program.kernel(tree, {}, self.options), self.arrays), DIFFERENCES
        known = {name: x for name, x in self.arrays.items() if name in program.inputs}
        shapes = {name: tuple(d.replace(sizes) for d in program.checked.shapes[name]) for name in known}
        env = solved(shapes, program.letters, {name: x.shape for name, x in known.items()})
        return partial(by_complex_steps, Point(roots, known, env), Point(roots, beside(known), env)), COMPLEX


def greatest(arrays: Iterable[Array]) -> float:
    """The largest entry of all, finite ones alone."""
    found = [np.abs(a[np.isfinite(a)]).max(initial=0.0) for a in map(np.asarray, arrays)]
    return float(max(found, default=0.0))


def unit(shape: tuple[int, ...], entry: tuple[int, ...]) -> Array:
    """The direction of one entry."""
    found = np.zeros(shape)
    found[entry] = 1
    return found


# ---------------------------------------------------------------- numbers


def beside(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays that rounding tells apart from these."""
    rng = np.random.default_rng(1)
    return {n: x * (1 + 4 * ULP * rng.uniform(-1, 1, x.shape)) if x.dtype.kind == "f" else x for n, x in arrays.items()}


def by_complex_steps(here: Point, near: Point, along: Mapping[str, Array]) -> list[Measured]:
    """Slopes are known as well as a point that rounding tells apart leaves them the same."""
    pairs = zip(here.slopes(along), near.slopes(along), strict=True)
    return [Measured(a, 16 * np.abs(a - b), ~np.isfinite(a - b)) for a, b in pairs]


def by_differences(kernel: Kernel, arrays: Mapping[str, Array], along: Mapping[str, Array]) -> list[Measured]:
    """Central differences of two steps. A kink or a jump between the points shows as slopes that depend on the step, or
    as second differences that do not grow with its square."""
    size = max((float(np.abs(arrays[name]).max(initial=0.0)) for name in along), default=0.0) or 1.0
    step = STEP * size / max(float(np.abs(v).max(initial=0.0)) for v in along.values())
    at = {}
    for k in (-2, -1, 0, 1, 2):
        moved = {name: x + k * step * along[name] if name in along else x for name, x in arrays.items()}
        at[k] = kernel({name: moved[name] for name in kernel.inputs})
    found = []
    for far_left, left, middle, right, far_right in zip(*(at[k] for k in sorted(at)), strict=True):
        slope, wide = (right - left) / (2 * step), (far_right - far_left) / (4 * step)
        bend, wide_bend = right - 2 * middle + left, far_right - 2 * middle + far_left
        rounding = 32 * ULP * (np.abs(left) + np.abs(right)) / step
        noise = np.asarray(2 * np.abs(slope - wide) + 2 * np.abs(4 * bend - wide_bend) / step + rounding)
        known = np.isfinite(noise)
        largest = max(float(np.abs(slope[known]).max(initial=0.0)), float(np.max(rounding, initial=0.0, where=known)))
        found.append(Measured(np.asarray(slope), noise, ~known | (noise - rounding > KINK * largest)))
    return found


def together(found: Sequence[Measured]) -> Measured:
    """The slopes along several directions."""
    parts = ([m.slope for m in found], [m.noise for m in found], np.array([m.left_out for m in found], bool))
    return Measured(*map(np.asarray, parts))


def compared(
    what: tuple[str, str, int, str, str],
    derived: Array,
    told: Measured,
    scale: float,
    entries: Sequence[tuple[int, ...]] = (),
) -> GradCheck:
    """The row of one derivative; `scale` is that of all slopes, `entries` says which there are, where not all."""
    derived, kept = np.asarray(derived), ~told.left_out
    largest = max(np.abs(a[kept & np.isfinite(a)]).max(initial=0.0) for a in (derived, told.slope))
    tolerance = np.asarray(NEAR[what[-1]] * largest + told.noise + FLOOR * scale + TINY)
    error = np.where(np.isfinite(derived), np.abs(derived - told.slope), np.inf)
    excess = np.where(kept, error - tolerance, -np.inf)
    count, left_out = int(kept.sum()), int((~kept).sum())
    if not count:
        return GradCheck(*what, 0, left_out, (), 0.0, 0.0, 0.0)
    place = np.unravel_index(int(excess.argmax()), excess.shape)
    entry = entries[int(place[0])] if entries else tuple(map(int, place))
    numbers = (float(a[place]) for a in (derived, told.slope, tolerance))
    return GradCheck(*what, count, left_out, entry, *numbers)
