"""comparison: the orders that methods find, side by side: flops, bytes, memory, predicted and measured time.

Laws: a row's numbers are those of the plan that a kernel of that order runs; equal orders are run once and have one
time; nothing is run that needs more memory than the limit, or that is predicted to take long; a search that does not
end is ended, and its row says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from math import isfinite, prod
from operator import itemgetter
from statistics import median
from time import monotonic, perf_counter
from typing import Any, Final, NamedTuple

import numpy as np

from ..arrays import MAX_RANK
from ..contractions.opt_einsum_paths import lettered
from ..contractions.path_info import PathInfo, path_info
from ..dims import Env
from ..errors import EinstanError, EinstanShapeError
from ..ir import Einsum, Node, toposort
from ..memory import entries, read_bytes, usable
from ..plan import Plan, Step, Value
from ..plan.seconds import predicted
from ..running import Bound
from .methods import METHODS, Linear, Optimize, Order, installed, is_path, linear_path, method_of
from .subjects import Sizes, Subject, subject_of
from .table import Alone, OrderRow, OrderStep, OrderTable, Products

Progress = Callable[[int, int, str], None]  # (steps done, of how many, what is done next)
Tell = Callable[[str], None]

SECONDS: Final = 5.0  # for a method to find its orders
LONG: Final = 2.0  # seconds: what is predicted to take longer is not run
ROUNDS: Final = 3
ROUND: Final = 0.02  # seconds that a plan runs in a round
SLOW: Final = 0.3  # seconds: what takes longer runs once
RESULT: Final = "out"  # what the result of a contraction is called


def compare(
    what: Any,
    of: str | Sequence[str] | None = None,
    wrt: str | Sequence[str] | None = None,
    sizes: Sizes | None = None,
    optimize: Any = "all",
    memory_limit: int | str | None = None,
    measure: bool = True,
    dtype: Any = "float64",
    progress: Progress | None = None,
    functions: Mapping[str, Any] | None = None,
    seconds: float = SECONDS,
) -> OrderTable:
    """What each method makes of a contraction, an expression, a program or a derivative.

    `what` is a contraction ("ij,jk->ik"), an Expr, a Program (its last name, or `of`; with `wrt` that scalar and
    all its gradients), or a derivative of one. `sizes` are by axis letter, 128 where nothing is said; for a
    contraction also shapes or arrays of its operands. `optimize` is "all", a method, or a list of methods: names of
    `methods.METHODS`, paths of a contraction, functions of opt_einsum's form. `memory_limit`: bytes, or a text such
    as "1GB"; orders are looked for that keep within it. With `measure`, orders are run on random arrays.
    `functions` says what opaque functions are, as in `compile`. Every method has so many `seconds`.

    Raises EinstanError for a method that there is not, sizes of axes that there are not, what has no order.

    >>> table = compare("ij,jk,kl->il", sizes={"i": 10, "j": 20, "k": 30, "l": 40}, measure=False)
    >>> table.best.flops, table["naive"].path
    (36000, [(0, 1), (0, 1)])
    >>> table.best.steps[0].formula
    'v0[i,k] = A[i,J] B[J,k]'
    """
    limit = read_bytes(memory_limit)
    if not seconds > 0:
        raise EinstanError(f"A search cannot end in {seconds} seconds.", "Write how many it has, such as 5.")
    methods = methods_of(optimize)
    subject = subject_of(what, of, wrt, sizes, read_dtype(dtype), functions)
    if subject.subscripts is None and any(is_path(method) for method in methods.values()):
        raise EinstanError("A path is for a contraction.", 'Give names of methods, such as optimize=["auto", "dp"].')
    limits = Limits(limit, entries(limit, [subject.dtype]), seconds)
    return compared(subject, methods, limits, measure, progress or silent)


def compared(
    subject: Subject, methods: Mapping[str, Optimize], limits: Limits, measure: bool, progress: Progress
) -> OrderTable:
    """Every method on the subject, every output by itself, every order run."""
    parts = subject.alone()
    tell = counted(progress, len(methods) * (1 + measure) + len(parts))
    load_libraries(methods)
    choice, plans = has_choice(subject), Plans()
    rows, orders = {}, {}
    for name, method in methods.items():
        tell(name)
        orders[name] = tried(subject, method, limits, plans)
        rows[name] = row_of(subject, name, orders[name], limits)
    alone = all_alone(parts, methods, orders, limits, tell)
    if measure:
        rows = run(subject, rows, orders, limits, tell)
    return OrderTable(
        title=subject.title,
        outputs=subject.outputs,
        inputs=subject.axes,
        assumed=subject.assumed,
        dtype=str(subject.dtype),
        memory_limit=limits.nbytes,
        choice=choice,
        rows=tuple(rows.values()),
        alone=alone,
    )


def counted(progress: Progress, total: int) -> Tell:
    """`progress` told of one more step with every call."""
    steps = count()
    return lambda doing: progress(min(next(steps), total), total, doing)


def methods_of(optimize: Any) -> dict[str, Optimize]:
    """The methods that are compared, by what their rows are called."""
    found: list[Any]
    if isinstance(optimize, str):
        found = installed() if optimize == "all" else [name.strip() for name in optimize.split(",")]
    elif callable(optimize) or not isinstance(optimize, Iterable):
        found = [optimize]
    else:
        given = list(optimize)
        steps = [step for step in given if not isinstance(step, str) or step != "einsum_path"]
        found = [steps] if steps and all(map(is_step, steps)) else given
    if not found:
        raise EinstanError("No method is named.", 'Write optimize="all", or names of methods.')
    rows: dict[str, Optimize] = {}
    for method in found:
        method_of(method)
        rows[distinct(called(method), method, rows)] = method
    return rows


def distinct(name: str, method: Optimize, rows: Mapping[str, Optimize]) -> str:
    """The name, with a number where another method has it: two functions without a name of their own."""
    names = chain([name], (f"{name} {n}" for n in count(2)))
    return next(x for x in names if x not in rows or rows[x] == method)


def is_step(x: Any) -> bool:
    """Whether it is a step of a path, and no method."""
    return isinstance(x, Sequence) and not isinstance(x, str) and all(hasattr(k, "__index__") for k in x)


def called(method: Optimize) -> str:
    if isinstance(method, str):
        return method
    if callable(method):
        return str(getattr(method, "__name__", type(method).__name__))
    return str([tuple(step) for step in method if step != "einsum_path"])


def read_dtype(given: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(given)
    except TypeError:
        raise EinstanShapeError(f"{given!r} is no dtype.", 'Write dtype="float32".') from None
    if dtype.kind not in "iufc":
        raise EinstanShapeError(f"Orders are compared on numbers, not on {dtype}.", 'Write dtype="float32".')
    return dtype


def silent(done: int, total: int, doing: str) -> None:
    """No progress is shown."""


# ---------------------------------------------------------------- one comparison


@dataclass(frozen=True)
class Limits:
    """What holds every method: bytes and entries of memory, seconds for its searches."""

    nbytes: int | None
    entries: int | None
    seconds: float

    def order(self, method: Optimize) -> Order:
        return Order(method, self.entries, monotonic() + self.seconds)


class Tried(NamedTuple):
    """What a method came to: its plan with the path of a contraction and the seconds it took, or a remark."""

    plan: Plan | None
    nodes: tuple[Node, ...] = ()
    path: Linear | None = None
    planning: float | None = None
    remark: str = ""


Plans = dict[tuple[Node, ...], Plan]  # equal orders are the same nodes


def tried(subject: Subject, method: Optimize, limits: Limits, plans: Plans) -> Tried:
    """One method on a subject; an order that is known keeps its plan."""
    order, start = limits.order(method), perf_counter()
    try:
        path = subject.path(order)
        nodes = subject.nodes(order if path is None else Order(path))
        plan = subject.plan(nodes)
    except EinstanError as error:
        return Tried(None, remark=error.message.removeprefix(f"{method} ").rstrip("."))
    planning = perf_counter() - start
    return Tried(plans.setdefault(nodes, plan), nodes, path, planning)


def has_choice(subject: Subject) -> bool:
    """Whether any product has three factors or more, so that a method is asked."""
    asked: list[int] = []

    def naive(inputs: Any, output: Any, sizes: Any, memory_limit: Any) -> Linear:
        asked.append(len(inputs))
        return linear_path([tuple(own) for own in inputs], tuple(output), sizes, "naive")

    subject.nodes(Order(naive))
    return any(n > 2 for n in asked)


def all_alone(
    parts: Sequence[Subject], methods: Mapping[str, Optimize], orders: Mapping[str, Tried], limits: Limits, tell: Tell
) -> tuple[Alone, ...]:
    """Every output by itself; of methods that agree on all outputs together, the first is asked. Empty where one has
    no order."""
    firsts: dict[tuple[Node, ...], str] = {}
    for name, order in orders.items():
        if order.plan is not None:
            firsts.setdefault(order.nodes, name)
    able = {name: methods[name] for name in firsts.values()}
    share = replace(limits, seconds=limits.seconds / max(1, len(parts)))
    found = []
    for part in parts:
        tell(f"{part.title} alone")
        found.append(best_alone(part, able, share))
    known = tuple(one for one in found if one is not None)
    return known if len(known) == len(found) else ()


def best_alone(part: Subject, methods: Mapping[str, Optimize], limits: Limits) -> Alone | None:
    """The fewest flops that any of the methods needs for one output by itself; None where none finds an order."""
    names = methods if has_choice(part) else list(methods)[:1]
    plans: Plans = {}
    found = {name: tried(part, methods[name], limits, plans).plan for name in names}
    flops = [(plan.flops, name) for name, plan in found.items() if plan is not None]
    if not flops:
        return None
    least, name = min(flops, key=itemgetter(0))
    return Alone(part.title, name, least)


def load_libraries(methods: Mapping[str, Optimize]) -> None:
    """Ask each for a small order, so that no row counts the import of its library as planning."""
    for method in {"greedy", *(name for name in methods if name in METHODS)}:
        linear_path([(0, 1), (1, 2), (2, 3)], (0, 3), dict.fromkeys(range(4), 2), method)


# ---------------------------------------------------------------- rows


def row_of(subject: Subject, name: str, found: Tried, limits: Limits) -> OrderRow:
    """What is known of a method's order before it runs."""
    if found.plan is None:
        return OrderRow(name, remark=found.remark)
    plan, largest = found.plan, found.plan.largest
    names = value_names(subject, plan)
    return OrderRow(
        name,
        flops=plan.flops,
        bytes=plan.bytes,
        largest=largest.out.nbytes if largest else 0,
        largest_step=formula(largest, names) if largest else "",
        peak_bytes=plan.peak_bytes,
        planning=found.planning,
        predicted=finite(predicted(plan)),
        remark="over the memory limit" if limits.nbytes is not None and plan.peak_bytes > limits.nbytes else "",
        path=found.path,
        info=info(subject, found.path),
        products=products(found.nodes, subject.env),
        steps=tuple(
            OrderStep(formula(step, names), step.flops, step.bytes, step.out.size)
            for step in plan.steps
            if not step.is_view and step.out.storage.kind != "constant"
        ),
    )


def info(subject: Subject, path: Linear | None) -> PathInfo | None:
    """A plain contraction's path as opt_einsum describes it."""
    s = subject.subscripts
    if s is None or path is None:
        return None
    *terms, out = lettered(subject.title, s)
    shapes = [[s.sizes[x] for x in own] for own in s.terms]
    return path_info(terms, out, shapes, path)


def products(nodes: Sequence[Node], env: Env) -> Products:
    """Labels, entries and flops of each product of two."""
    found = [node for node in toposort(nodes) if isinstance(node, Einsum) and len(node.operands) == 2]
    sizes = [{label: d.at(env) for label, d in e.dims.items()} for e in found]
    return Products(
        scale_list=[len(own) for own in sizes],
        size_list=[prod(own[x] for x in set(e.out)) for e, own in zip(found, sizes, strict=True)],
        cost_list=[prod(own.values()) * (2 if e.summed else 1) for e, own in zip(found, sizes, strict=True)],
    )


def value_names(subject: Subject, plan: Plan) -> dict[Value, str]:
    """Inputs and outputs by their names, what lies between as v0, v1, .."""
    names = {v.storage: name for name, v in plan.inputs.items()}
    outputs = subject.outputs if subject.subscripts is None else (RESULT,)
    for v, name in zip(plan.results, outputs, strict=True):
        names.setdefault(v.storage, name)
    taken = set(names.values())
    fresh = (name for n in count() if (name := f"v{n}") not in taken)
    for step in plan.steps:
        if step.out.storage not in names:
            names[step.out.storage] = next(fresh)
    return names


def formula(step: Step, names: Mapping[Value, str]) -> str:
    """A step in index notation; one without a formula by its operation."""
    told = step.told(lambda v: names[v.storage])
    if told:
        return told
    args = ", ".join(names[a.storage] if isinstance(a, Value) else f"{a:g}" for a in step.args)
    return f"{names[step.out.storage]} = {step.op}({args})"


def finite(found: float) -> float | None:
    """The number; None where it is larger than any float."""
    return found if isfinite(found) else None


# ---------------------------------------------------------------- running


def hindrance(subject: Subject, plan: Plan, predicted: float | None, limits: Limits) -> str:
    """Why a plan is not run; "" where nothing stands in the way."""
    free = usable()
    most = max([len(v.shape) for step in plan.steps for v in (step.out, *step.arrays)], default=0)
    if limits.nbytes is not None and plan.peak_bytes > limits.nbytes:
        return "over the memory limit"
    if free is not None and plan.peak_bytes + subject.input_bytes > free:
        return "more memory than there is"
    if most > MAX_RANK:
        return f"an array of {most} axes"
    if predicted is None or predicted > LONG:
        return "too long to run"
    return ""


def run(
    subject: Subject, rows: Mapping[str, OrderRow], orders: Mapping[str, Tried], limits: Limits, tell: Tell
) -> dict[str, OrderRow]:
    """The rows with the times of the orders that can be run, and why the others are not."""
    plans = {name: order.plan for name, order in orders.items() if order.plan is not None}
    hindered = {name: hindrance(subject, plan, rows[name].predicted, limits) for name, plan in plans.items()}
    runnable = {plan: None for name, plan in plans.items() if not hindered[name]}
    times = measured(subject, list(runnable), tell) if runnable else {}
    timed = {name: replace(rows[name], measured=times.get(plan), remark=hindered[name]) for name, plan in plans.items()}
    return {**rows, **timed}


def measured(subject: Subject, plans: Sequence[Plan], tell: Tell) -> dict[Plan, float]:
    """The median time of some calls of each plan, all of them in turn in every round."""
    arrays = subject.arrays()
    ready = {plan: subject.bound(plan) for plan in plans}
    times: dict[Plan, list[float]] = {plan: [] for plan in plans}
    for bound in ready.values():
        tell("run")
        bound.call(arrays)  # the first call makes its source and workspace
    for n in range(ROUNDS):
        for plan, bound in ready.items():
            if n == 0 or times[plan][-1] < SLOW:
                times[plan] += timed(bound, arrays, ROUND)
    return {plan: median(own) for plan, own in times.items()}


def timed(bound: Bound, arrays: Sequence[Any], seconds: float) -> list[float]:
    """The times of calls, one at least, for so many seconds."""
    found: list[float] = []
    until = perf_counter() + seconds
    while not found or perf_counter() < until:
        start = perf_counter()
        bound.call(arrays)
        found.append(perf_counter() - start)
    return found
