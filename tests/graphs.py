"""graphs: nodes for the tests of the planner: random machine graphs, dense nets, chains of matrices."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from einstan.derive import derive
from einstan.dims import Dim
from einstan.emit import compiled, emit
from einstan.ir import Node, Shape, add, einsum, input_, number, ones, pattern, zeros
from einstan.plan import Plan, plan
from einstan.prims import PRIMS
from einstan.prims.scalar import GT, TANH, WHERE, minus, power
from einstan.prims.shape import concat, part

SIZES = (2, 3, 5, 7)
ENV = {f"S{d}.0": d for d in SIZES}
DIMS = {d: Dim.symbol(f"S{d}.0") for d in SIZES}
VALUES = {v: k for k, v in DIMS.items()}


class Case(NamedTuple):
    roots: list[Node]
    arrays: dict[str, np.ndarray[Any, Any]]


def planned(roots: Sequence[Node], arrays: Mapping[str, Any], env: Mapping[str, int] = ENV) -> Plan:
    return plan(roots, env, {name: np.asarray(a).dtype for name, a in arrays.items()})


def run(roots: Sequence[Node], arrays: Mapping[str, Any], env: Mapping[str, int] = ENV, times: int = 1) -> list[Any]:
    """The roots by plan and emitted source, `times` in the same workspace."""
    found = planned(roots, arrays, env)
    functions = compiled(emit(found))
    with np.errstate(all="ignore"):
        work = functions.workspace()
        for _ in range(times):
            out = functions.run([np.array(arrays[name]) for name in found.inputs], work, functions.results())
    distinct = list(dict.fromkeys(found.results))
    return [out[distinct.index(v)] for v in found.results]


# ---------------------------------------------------------------- random graphs

UNARY = ("tanh", "sin", "sigmoid", "relu", "softplus", "step", "abs", "exp", "erf", "atan")
BINARY = ("max", "min", "<", ">=", "==")
ALONG = ("softmax", "amax", "logsumexp", "norm", "prod", "log_softmax", "amin")
MATRICES = ("inv", "det", "logdet", "solve", "tril")


def random_graph(seed: int) -> Case:
    """A few inputs, up to 25 nodes over them, some of which are results."""
    r = random.Random(seed)
    nodes: list[Node] = []
    arrays = {}
    for n in range(r.randint(2, 4)):
        shape = [r.choice(SIZES) for _ in range(r.randint(0, 3))]
        nodes.append(input_(f"I{n}", tuple(DIMS[d] for d in shape)))
        arrays[f"I{n}"] = np.round(np.random.default_rng(r.randrange(2**32)).standard_normal(shape), 2)
    for _ in range(r.choice([3, 6, 12, 25])):
        made = r.choices(MAKERS, WEIGHTS)[0](r, nodes)
        if made is not None:
            nodes.append(made)
    return Case([r.choice(nodes) for _ in range(r.randint(1, 4))] + nodes[-2:], arrays)


def alike(r: random.Random, nodes: list[Node], shape: Shape) -> Node:
    return r.choice([n for n in nodes if n.shape == shape])


def any_product(r: random.Random, nodes: list[Node]) -> Node | None:
    operands = [r.choice(nodes) for _ in range(r.choice([0, 1, 1, 2, 2, 2, 3, 4]))]
    pool: dict[int, Dim] = {}
    labels = []
    for o in operands:
        own = []
        for d in o.shape:
            fit = [label for label, size in pool.items() if size == d]
            own.append(r.choice(fit) if fit and r.random() < 0.7 else len(pool))
            pool[own[-1]] = d
        labels.append(own)
    out = [label for label in pool if r.random() < 0.5]
    r.shuffle(out)
    sizes = {}
    if r.random() < 0.2 and out:
        out.append(r.choice(out))
    if r.random() < 0.2:
        sizes[90] = DIMS[r.choice(SIZES)]
        out.insert(r.randint(0, len(out)), 90)
    if not operands and r.random() < 0.5:
        sizes[91] = DIMS[r.choice(SIZES)]
        out += [91, 91]
    return einsum(operands, labels, out, sizes) if len(pool) <= 6 and len(out) <= 4 else None


def any_sum(r: random.Random, nodes: list[Node]) -> Node:
    a = r.choice(nodes)
    coefs = [Fraction(r.choice([1, -1, 2, -3, 1, -1]), r.choice([1, 1, 2])) for _ in range(r.randint(1, 3))]
    terms: list[tuple[Any, Node]] = [(c, alike(r, nodes, a.shape)) for c in coefs]
    if r.random() < 0.2:
        terms.append((r.choice([1, -2]), ones(a.shape)))
    rows = [x for x in nodes if x.rank == 1 and x.shape[0] in a.shape]
    if r.random() < 0.3 and rows:
        row = r.choice(rows)
        shown = pattern(row, [a.shape.index(row.shape[0])], range(a.rank), dict(enumerate(a.shape)))
        terms.append((r.choice([1, -1, 2]), shown))
    return add(terms, a.shape)


def any_join(r: random.Random, nodes: list[Node]) -> Node | None:
    a = r.choice(nodes)
    axis = r.randrange(a.rank) if a.rank else 0
    if not a.rank or a.shape[axis] not in VALUES or a.rank > 3:
        return None
    joined = concat([a, alike(r, nodes, a.shape), zeros(a.shape)][: r.randint(2, 3)], axis)
    bounds = Dim.of(r.randint(0, 1)), Dim.of(VALUES[a.shape[axis]] + 1)
    return part(joined, axis, *bounds) if r.random() < 0.6 else joined


def any_choice(r: random.Random, nodes: list[Node]) -> Node:
    a = r.choice(nodes)
    asked = GT(a, zeros(a.shape)) if r.random() < 0.7 else a
    return WHERE(asked, alike(r, nodes, a.shape), alike(r, nodes, a.shape))


def any_pair(r: random.Random, nodes: list[Node]) -> Node:
    a = r.choice(nodes)
    return PRIMS[r.choice(BINARY)](a, alike(r, nodes, a.shape))


def any_along(r: random.Random, nodes: list[Node]) -> Node | None:
    a = r.choice(nodes)
    return PRIMS[r.choice(ALONG)](a, params=(r.randint(1, a.rank),)) if a.rank else None


def any_matrix(r: random.Random, nodes: list[Node]) -> Node | None:
    """A function of a regular matrix, x xᵀ + 2 δ."""
    a = r.choice(nodes)
    if a.rank < 2:
        return None
    (*l, i, k), x = range(a.rank), TANH(a)
    square = einsum([x, x], [(*l, i, k), (*l, -1, k)], (*l, i, -1))
    matrix = add([(1, square), (2, einsum([], [], (*l, i, i), dict(enumerate(a.shape))))], square.shape)
    prim = PRIMS[r.choice(MATRICES)]
    return prim(matrix, x) if prim.arity == 2 else prim(matrix)


def any_power(r: random.Random, nodes: list[Node]) -> Node:
    return power(r.choice(nodes), r.choice([2, 3, -1, 2, Fraction(1, 2), -3, Fraction(-1, 2)]))


Maker = Callable[[random.Random, list[Node]], Node | None]
MAKERS: tuple[Maker, ...] = (
    any_product,
    any_sum,
    lambda r, nodes: PRIMS[r.choice(UNARY)](r.choice(nodes)),
    any_pair,
    any_choice,
    any_along,
    any_join,
    any_power,
    any_matrix,
)
WEIGHTS = (45, 20, 15, 6, 4, 4, 4, 3, 3)

# ---------------------------------------------------------------- models


class Net(NamedTuple):
    loss: Node
    weights: list[Node]
    shapes: dict[str, Shape]
    hints: dict[str, tuple[str, ...]]


def dense(depth: int, activation: Callable[[Node], Node]) -> Net:
    """L = Σ (h - T)², h the last layer, without activation."""
    b, k = Dim.symbol("X.0"), Dim.symbol("X.1")
    h: Node = input_("X", (b, k))
    nodes: list[Node] = []
    for n in range(depth):
        j = Dim.symbol(f"W{n}.1")
        w, c = input_(f"W{n}", (h.shape[1], j)), input_(f"c{n}", (j,))
        z = add([(1, einsum([h, w], ["bk", "kj"], "bj")), (1, pattern(c, "j", "bj", {"b": b}))], (b, j))
        h = activation(z) if n < depth - 1 else z
        nodes += [w, c]
    t = input_("T", h.shape)
    residual = minus(h, t)
    shapes = {"X": (b, k), "T": t.shape, **{n.name: n.shape for n in nodes}}  # type: ignore[attr-defined]
    hints = {name: ("b", "k", "j")[: len(shape)] if name[0] != "c" else ("j",) for name, shape in shapes.items()}
    return Net(einsum([residual, residual], ["bj", "bj"], ""), nodes, shapes, hints)


def gradients(net: Net) -> list[Node]:
    return [net.loss, *derive(net.loss, number(1), net.weights)]


def net_arrays(widths: Sequence[int], batch: int, dtype: Any = np.float64) -> dict[str, Any]:
    r = np.random.default_rng(0)
    arrays = {"X": r.standard_normal((batch, widths[0])), "T": r.standard_normal((batch, widths[-1]))}
    for n, (k, j) in enumerate(pairwise(widths)):
        arrays |= {f"W{n}": r.standard_normal((k, j)) / k**0.5, f"c{n}": r.standard_normal(j)}
    return {name: a.astype(dtype) for name, a in arrays.items()}


def env_of(shapes: Mapping[str, Shape], arrays: Mapping[str, Any]) -> dict[str, int]:
    return {str(d): n for name, shape in shapes.items() for d, n in zip(shape, arrays[name].shape, strict=True)}


def chain(sizes: Sequence[int]) -> list[Node]:
    """Matrices A0 A1 .. whose sizes fit."""
    return [input_(f"A{n}", (Dim.of(a), Dim.of(b))) for n, (a, b) in enumerate(pairwise(sizes))]
