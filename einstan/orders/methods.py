"""methods: orders of multiplication by name, as a path, or as a function: whatever may stand after `optimize=`.

Laws: a path that is returned is whole, one array is left at its end; the same question has the same answer, and
Python's random generator is left as it was; a method of another library is ended after some time.

A linear path is numpy's and opt_einsum's: each step says at what places of a list operands are taken, and puts their
product at its end; a step may take several. Pairs are einstan's: operand k < n is k, the p-th pair makes n + p.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import count
from time import monotonic
from typing import Any, Final, NamedTuple

from ..errors import EinstanError, MissingBackendError
from .anneal import annealed
from .deadline import OutOfTime, within
from .exact import SMALL, cheapest
from .greedy import greedy_orders
from .network import Labels, Network, Pairs
from .refine import refined

Linear = list[tuple[int, ...]]
Optimize = Any  # a name of METHODS, a path, or a function (inputs, output, size_dict, memory_limit) -> path

SECONDS: Final = 60.0  # for a search by another library
DIRECT: Final = 4  # with so many operands every search ends at once
KNOWN: Final = 40  # operands, up to which the best order is looked for
STARTS: Final = 7  # greedy orders by chance, for networks that are not large
START_OPERANDS: Final = 1000  # in all of these together
MOVES: Final = (5_000, 60_000)  # of annealing, at least and at most
COST_OF_MOVE: Final = 200  # flops of the order for one move more
MOVES_OF_ONE: Final = 20  # for each operand at least
PARTS: Final = (50_000, 100)  # pairs of sets that refining looks at: for all, and for each operand
EXTRA_TRIALS: Final = 64


class Problem(NamedTuple):
    """What to multiply: the labels of every operand and of the result, their sizes, how many entries an intermediate
    may have (None: any number), and the seconds for it."""

    terms: Sequence[Labels]
    out: Labels
    sizes: Mapping[int, int]
    memory_limit: int | None = None
    seconds: float = SECONDS


Method = Callable[[Problem], Iterable[Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Order:
    """How an order is found: the method, the entries that an intermediate may have, and the moment of `monotonic` at
    which all searches of other libraries end (None: each has SECONDS)."""

    method: Optimize = "auto"
    memory_limit: int | None = None
    until: float | None = None

    def problem(self, terms: Sequence[Labels], out: Labels, sizes: Mapping[int, int]) -> Problem:
        seconds = SECONDS if self.until is None else max(0.0, self.until - monotonic())
        return Problem(terms, out, sizes, self.memory_limit, seconds)


def search(
    terms: Sequence[Labels],
    out: Labels,
    sizes: Mapping[int, int],
    method: Optimize | Order = "auto",
    memory_limit: int | None = None,
) -> Pairs:
    """The order as pairs. `memory_limit` is how many entries an intermediate should have at most.

    Raises EinstanError for what is no method, and where a method of another library does not end.

    >>> search([(0, 1), (1, 2), (2, 3)], (0, 3), {0: 2, 1: 90, 2: 90, 3: 90})
    [(0, 1), (3, 2)]
    """
    order = method if isinstance(method, Order) else Order(method, memory_limit)
    problem = order.problem(terms, out, sizes)
    if isinstance(order.method, str) and order.method == "auto":
        return own(problem)
    return pairwise(found_by(order.method, problem), len(terms))


def linear_path(
    terms: Sequence[Labels],
    out: Labels,
    sizes: Mapping[int, int],
    method: Optimize | Order = "auto",
    memory_limit: int | None = None,
) -> Linear:
    """The order as opt_einsum gives it; a step of several operands is one that its memory limit forbids to split.

    >>> linear_path([(0, 1), (1, 2), (2, 3)], (0, 3), {0: 2, 1: 90, 2: 90, 3: 90}, "greedy")
    [(0, 1), (0, 1)]
    """
    order = method if isinstance(method, Order) else Order(method, memory_limit)
    return found_by(order.method, order.problem(terms, out, sizes))


def found_by(optimize: Optimize, problem: Problem) -> Linear:
    """The whole path of any method, in order."""
    path = [tuple(sorted(map(int, step))) for step in method_of(optimize)(problem)]
    check_path(path, len(problem.terms))
    return path


def method_of(optimize: Optimize) -> Method:
    """The method that `optimize` names, gives or is. Raises EinstanError for what is none."""
    if isinstance(optimize, str):
        return named(optimize)
    if callable(optimize):
        return partial(by_function, optimize)
    path = steps_of(optimize)
    return lambda problem: path


def settled(optimize: Optimize) -> Optimize:
    """The value as it is kept: a path as a tuple of tuples. Raises EinstanError for what is no method."""
    method_of(optimize)
    return tuple(steps_of(optimize)) if is_path(optimize) else optimize


def named(name: str) -> Method:
    """The method of that name, also one that opt_einsum's users have registered there."""
    if name in EXTRAS and find_spec(name) is None:
        raise MissingBackendError(f"{name} is not installed.", f"Write pip install {name}.")
    if name in METHODS:
        return METHODS[name]
    try:
        function = paths().get_path_fn(name)
    except KeyError:
        raise EinstanError(
            f"There is no order of multiplication called {name[:60]!r}.",
            f"Write one of {', '.join(METHODS)}, or a path.",
        ) from None
    return partial(by_library, name, lambda: function)


def installed() -> list[str]:
    """The methods of METHODS that can be used here."""
    return [name for name in METHODS if name not in EXTRAS or find_spec(name) is not None]


# ---------------------------------------------------------------- paths that are given


def is_path(optimize: Optimize) -> bool:
    return not isinstance(optimize, str) and not callable(optimize)


def steps_of(optimize: Any) -> Linear:
    """The steps of a path, after 'einsum_path' if it is there. Raises EinstanError for what is no path."""
    try:
        steps = list(optimize)
        if steps and isinstance(steps[0], str) and steps[0] == "einsum_path":
            del steps[0]
        path = [tuple(step) for step in steps]
        whole = all(isinstance(k, int) or hasattr(k, "__index__") for step in path for k in step)
    except TypeError:
        whole = False
    if not whole or any(isinstance(k, bool) for step in path for k in step):
        raise EinstanError(
            f"{repr(optimize)[:60]} is no order of multiplication.",
            'Write a name such as "auto", or a path such as [(0, 1), (0, 1)].',
        )
    return [tuple(k.__index__() for k in step) for step in path]


def check_path(path: Sequence[Sequence[int]], n: int) -> None:
    """Every step takes operands that are there, and one is left. Raises EinstanError."""
    repair = "Each step says places, counted from 0, of what is left; its product goes to the end."
    live = n
    for step in path:
        if not step or len(set(step)) < len(step) or min(step) < 0 or max(step) >= live:
            raise EinstanError(f"The path takes {tuple(step)} of {live} operands.", repair)
        live -= len(step) - 1
    if live > 1:
        raise EinstanError(f"The path leaves {live} operands of {n}; one should be left.", repair)


def pairwise(path: Iterable[Sequence[int]], n: int) -> Pairs:
    """A linear path as pairs: a step of several operands from left to right."""
    live, pairs, fresh = list(range(n)), Pairs(), count(n)
    for step in path:
        first, *rest = (live[k] for k in sorted(step))
        for k in sorted(step, reverse=True):
            del live[k]
        for other in rest:
            pairs.append((first, other))
            first = next(fresh)
        live.append(first)
    return pairs


def linear(pairs: Sequence[tuple[int, int]], n: int) -> Linear:
    """Pairs as a linear path."""
    if n == 1:
        return [(0,)]
    live, path = list(range(n)), Linear()  # live is sorted
    for made, pair in enumerate(pairs, n):
        step = tuple(sorted(bisect_left(live, k) for k in pair))
        for k in reversed(step):
            del live[k]
        path.append(step)
        live.append(made)
    return path


# ---------------------------------------------------------------- einstan's own


def own(problem: Problem) -> Pairs:
    """The best tree where few steps find it, else the best greedy one, annealed and refined."""
    n = len(problem.terms)
    if n < 3:
        return [(0, 1)][: n - 1]
    network = Network(problem.terms, problem.out, problem.sizes, problem.memory_limit)
    if n <= SMALL:
        return best_of_few(network)
    start = min(greedy_orders(network, min(STARTS, max(1, START_OPERANDS // n))), key=network.total)
    best = cheapest(network, network.total(start) * (1 + 1e-9)) if n <= KNOWN else None
    return best or improved(network, start)


def best_of_few(network: Network) -> Pairs:
    path = cheapest(network)
    assert path is not None, "few operands have few orders: this is our bug"
    return path


def improved(network: Network, start: Pairs) -> Pairs:
    """Annealed by as many moves as the order is worth, then refined. What it takes grows with the operands."""
    least, most = MOVES
    worth = int(min(most, max(least, network.total(start) / COST_OF_MOVE)))
    path = annealed(network, start, max(worth, MOVES_OF_ONE * len(start)))
    once, each = PARTS
    return refined(network, path, once + each * len(start))


def left_to_right(problem: Problem) -> Linear:
    """((A B) C) D, as it is written."""
    n = len(problem.terms)
    return linear([(0, 1), *((n + k, k + 2) for k in range(n - 2))][: n - 1], n)


# ---------------------------------------------------------------- other libraries


def paths() -> Any:
    """opt_einsum's, imported when they are needed: that takes as long as importing numpy."""
    from opt_einsum import paths

    return paths


def by_function(function: Callable[..., Any], problem: Problem) -> Any:
    """The path of (inputs, output, size_dict, memory_limit) -> path, opt_einsum's form; labels are integers."""
    sizes = {label: max(1, d) for label, d in problem.sizes.items()}
    inputs = [frozenset(labels) for labels in problem.terms]
    return quietly(lambda: function(inputs, frozenset(problem.out), sizes, problem.memory_limit))


def by_library(name: str, load: Callable[[], Callable[..., Any]], problem: Problem) -> Any:
    """The path of a library's function, within the seconds that it has."""
    if len(problem.terms) < 2:
        return linear([], len(problem.terms))
    function = load()
    try:
        if len(problem.terms) <= DIRECT:
            return by_function(function, problem)
        return quietly(lambda: within(problem.seconds, lambda: by_function(function, problem)))
    except OutOfTime:
        said = f"did not finish within {problem.seconds:.1f} s"
    except RecursionError:
        said = "goes as deep as there are operands, too deep for Python"
    except RuntimeError as error:  # opt_einsum's dp, where nothing keeps within the memory limit
        said = f"found nothing: {str(error)[:80].rstrip('. ')}"
    raise EinstanError(f"{name} {said} ({len(problem.terms)} operands).", 'Write optimize="auto".')


def of_opt_einsum(name: str) -> Method:
    return partial(by_library, name, lambda: paths().get_path_fn(name))


def quietly(job: Callable[[], Any]) -> Any:
    """The job's result; opt_einsum seeds Python's generator, which is put back."""
    state = random.getstate()
    try:
        return job()
    finally:
        random.setstate(state)


def letters(inputs: Any, output: Any, sizes: Any) -> tuple[list[tuple[str, ...]], tuple[str, ...], dict[str, int]]:
    """The problem with a character for each label: cotengrust takes nothing else."""
    character = {label: chr(0xC0 + n + 0x800 * (n >= 0xD000)) for n, label in enumerate(sizes)}
    terms = [tuple(character[x] for x in sorted(own)) for own in inputs]
    return terms, tuple(character[x] for x in sorted(output)), {character[x]: d for x, d in sizes.items()}


def by_cotengrust(inputs: Any, output: Any, sizes: Any, memory_limit: Any) -> Any:
    """The best order where the budget allows to know it, else the best of random greedy ones."""
    import cotengrust

    problem = letters(inputs, output, sizes)
    if cheapest(Network(inputs, output, sizes)) is not None:
        return cotengrust.optimize_optimal(*problem, minimize="flops")
    return cotengrust.optimize_random_greedy_track_flops(*problem, ntrials=EXTRA_TRIALS, seed=0)[0]


def by_cotengra(inputs: Any, output: Any, sizes: Any, memory_limit: Any) -> Any:
    """The best of random greedy orders, then its subtrees put in their best order.

    Its HyperOptimizer finds better ones, and another one in every process.
    """
    from cotengra import RandomGreedyOptimizer

    search = RandomGreedyOptimizer(max_repeats=EXTRA_TRIALS, seed=0, parallel=False)
    return search.search(*letters(inputs, output, sizes)).subtree_reconfigure().get_path()


def of_extra(name: str) -> Method:
    return partial(by_library, name, lambda: EXTRAS[name])


EXTRAS: Final[Mapping[str, Callable[..., Any]]] = {"cotengra": by_cotengra, "cotengrust": by_cotengrust}

METHODS: Final[Mapping[str, Method]] = {
    "auto": lambda problem: linear(own(problem), len(problem.terms)),
    "naive": left_to_right,
    "opt_einsum": of_opt_einsum("auto"),
    **{
        name: of_opt_einsum(name)
        for name in (
            "auto-hq",
            "greedy",
            "branch-1",
            "branch-2",
            "branch-all",
            "dp",
            "optimal",
            "random-greedy",
            "random-greedy-128",
        )
    },
    **{name: of_extra(name) for name in EXTRAS},
}
"""Every method by its name: einstan's own, from left to right (of a program's inputs in the order of its text),
opt_einsum's (its "auto" is called opt_einsum here), cotengra's, cotengrust's."""
