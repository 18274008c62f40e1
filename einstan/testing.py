"""testing: a slow, plain evaluator, and finite differences. Written apart from the planner, to hold it to account.

A product is broadcast to all its labels, multiplied and summed; nothing is reordered, shared or done in place. Integers
stay integers in products and sums, as the planner promises; everything else is float64 or complex128.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .dims import Dim, Env
from .ir import Add, Call, Const, Einsum, Input, Node, toposort

Array = np.ndarray[Any, Any]


def evaluate(roots: Sequence[Node], arrays: Mapping[str, Any], env: Env) -> list[Array]:
    """The arrays of `roots`, for inputs by name and sizes by symbol."""
    done: dict[Node, Array] = {}
    with np.errstate(all="ignore"):
        for node in toposort(roots):
            done[node] = RULES[type(node)](node, [done[o] for o in node.operands], arrays, env)
            shape = tuple(d.at(env) for d in node.shape)
            assert done[node].shape == shape, f"{node!r} has the shape {done[node].shape}, not {shape}"
    return [done[root] for root in roots]


def finite_difference(
    f: Callable[[Mapping[str, Array]], Any], arrays: Mapping[str, Array], name: str, step: float = 1e-6
) -> Array:
    """∂f/∂arrays[name] by central differences: axes of the result, then of the input."""
    x = np.asarray(arrays[name], float)
    columns = []
    for place in np.ndindex(x.shape):
        moved = []
        for sign in (1, -1):
            y = x.copy()
            y[place] += sign * step
            moved.append(np.asarray(f({**arrays, name: y})))
        columns.append((moved[0] - moved[1]) / (2 * step))
    shape = np.shape(f(arrays)) + x.shape
    return np.stack(columns, axis=-1).reshape(shape) if columns else np.zeros(shape)


# ---------------------------------------------------------------- kinds


def leaf(node: Node, below: list[Array], arrays: Mapping[str, Any], env: Env) -> Array:
    assert isinstance(node, Input)
    given = np.asarray(arrays[node.name])
    kind = {"f": float, "c": complex, "b": bool}.get(given.dtype.kind, np.int64)
    return given.astype(kind)


def constant(node: Node, below: list[Array], arrays: Mapping[str, Any], env: Env) -> Array:
    assert isinstance(node, Const)
    return np.asarray({"pi": math.pi}[node.name])


def product(node: Node, below: list[Array], arrays: Mapping[str, Any], env: Env) -> Array:
    """Every operand over all labels, multiplied; the labels that are not in the output summed."""
    assert isinstance(node, Einsum)
    size = {label: d.at(env) for label, d in node.dims.items()}
    labels = tuple(size)
    total = np.ones([size[label] for label in labels], dtype=np.int64)
    for x, own in zip(below, node.labels, strict=True):
        total = total * over(x, own, labels, size)
    kept = tuple(dict.fromkeys(node.out))
    total = total.sum(axis=tuple(n for n, label in enumerate(labels) if label not in kept))
    left = [label for label in labels if label in kept]
    total = total.transpose([left.index(label) for label in kept])
    return spread(total, kept, node.out, size)


def over(x: Array, own: Sequence[int], labels: Sequence[int], size: Mapping[int, int]) -> Array:
    """x over all labels; only the diagonal of a label that it has twice."""
    for label in set(own):
        while list(own).count(label) > 1:
            first = list(own).index(label)
            second = list(own).index(label, first + 1)
            x = np.diagonal(x, axis1=first, axis2=second)
            own = [o for n, o in enumerate(own) if n not in (first, second)] + [label]
    order = [list(own).index(label) for label in labels if label in own]
    shape = [size[label] if label in own else 1 for label in labels]
    return x.transpose(order).reshape(shape)


def spread(x: Array, kept: Sequence[int], out: Sequence[int], size: Mapping[int, int]) -> Array:
    """x[kept] written where the axes of one label agree, zero elsewhere."""
    if tuple(kept) == tuple(out):
        return x
    result = np.zeros([size[label] for label in out], dtype=x.dtype)
    grids = np.meshgrid(*[np.arange(size[label]) for label in kept], indexing="ij")
    place = dict(zip(kept, grids, strict=True))
    result[tuple(place[label] for label in out)] = x
    return result


def addition(node: Node, below: list[Array], arrays: Mapping[str, Any], env: Env) -> Array:
    assert isinstance(node, Add)
    total: Array = np.zeros([d.at(env) for d in node.shape], dtype=np.int64)
    for coef, x in zip(node.coefs, below, strict=True):
        value = coef.at(env)
        total = total + (int(value) * x if value.denominator == 1 and abs(value) < 2**62 else float(value) * x)
    return total


def application(node: Node, below: list[Array], arrays: Mapping[str, Any], env: Env) -> Array:
    assert isinstance(node, Call)
    params: list[Any] = [p.at(env) if isinstance(p, Dim) else p for p in node.params]
    if node.prim.name in ALONG:
        (n,) = params
        return np.asarray(ALONG[node.prim.name](np.asarray(below[0], float), tuple(range(-n, 0))))
    return np.asarray(FUNCTIONS[node.prim.name](below, *params))


RULES: dict[type[Node], Callable[[Node, list[Array], Mapping[str, Any], Env], Array]] = {
    Input: leaf,
    Const: constant,
    Einsum: product,
    Add: addition,
    Call: application,
}

# ---------------------------------------------------------------- primitives


def raise_to(x: Array, q: Any) -> Array:
    if q.denominator == 1 and q >= 0:
        return x ** int(q)
    return np.asarray(x, float if x.dtype.kind in "biu" else x.dtype) ** (int(q) if q.denominator == 1 else float(q))


def part(x: Array, axis: int, low: int, high: int) -> Array:
    return x.take(range(low, high), axis=axis)


def logsumexp(x: Array, axes: tuple[int, ...]) -> Array:
    top = x.max(axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    return np.asarray(np.log(np.exp(x - top).sum(axes)) + top.reshape(x.sum(axes).shape))


def softmax(x: Array, axes: tuple[int, ...]) -> Array:
    top = x.max(axes, keepdims=True)
    e = np.exp(x - np.where(np.isfinite(top), top, 0))
    return np.asarray(e / e.sum(axes, keepdims=True))


def log_softmax(x: Array, axes: tuple[int, ...]) -> Array:
    top = x.max(axes, keepdims=True)
    shifted = x - np.where(np.isfinite(top), top, 0)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axes, keepdims=True)))


def norm(x: Array, axes: tuple[int, ...]) -> Array:
    top = np.abs(x).max(axes, initial=0.0, keepdims=True)
    scale = np.where((top > 0) & np.isfinite(top), top, 1)
    return np.asarray(np.sqrt(((x / scale) ** 2).sum(axes)) * scale.reshape(x.sum(axes).shape))


def unit(x: Array, axes: tuple[int, ...]) -> Array:
    top = np.abs(x).max(axes, initial=0.0, keepdims=True)
    part = x / np.where((top > 0) & np.isfinite(top), top, 1)
    return np.asarray(part / np.sqrt((part**2).sum(axes, keepdims=True)))


def logcosh(x: Array) -> Array:
    near = np.log1p(2 * np.sinh(x / 2) ** 2)
    return np.where(np.abs(x) < 1, near, np.logaddexp(x, -x) - math.log(2))


def log_of_determinant(a: Array) -> Array:
    sign, size = np.linalg.slogdet(a)
    return np.where(sign < 0, np.nan, size)


def solve(a: Array, b: Array) -> Array:
    rows = a.shape[:-1]
    return np.linalg.solve(a, b.reshape(*rows, math.prod(b.shape[len(rows) :]))).reshape(b.shape)


def lower_triangle(a: Array) -> Array:
    rows, columns = (np.arange(d) for d in a.shape[-2:])
    return np.where(rows[:, None] >= columns, a, 0)


def number(compare: Any) -> Callable[[list[Array]], Array]:
    return lambda args: np.asarray(compare(*args), float)


def plain(f: Any) -> Callable[[list[Array]], Array]:
    def apply(args: list[Array]) -> Array:
        return np.asarray(f(*[np.asarray(a, complex if a.dtype.kind == "c" else float) for a in args]))

    return apply


FUNCTIONS: dict[str, Callable[..., Array]] = {
    **{
        name: plain(getattr(np, name)) for name in ("exp", "log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh")
    },
    **{name: plain(getattr(np, name)) for name in ("tanh", "abs", "sign")},
    "asin": plain(np.arcsin),
    "acos": plain(np.arccos),
    "atan": plain(np.arctan),
    "sigmoid": plain(
        lambda x: np.where(x > 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))
    ),
    "softplus": plain(lambda x: np.logaddexp(0, x)),
    "erf": plain(np.vectorize(math.erf, otypes=[float])),
    "erfc": plain(np.vectorize(math.erfc, otypes=[float])),
    "logcosh": plain(logcosh),
    "logaddexp": plain(np.logaddexp),
    "relu": plain(lambda x: np.where(np.isnan(x), x, np.where(x > 0, x, 0))),
    "step": number(lambda x: x > 0),
    "pow": lambda args, q: raise_to(args[0], q),
    "power": plain(np.power),
    "max": plain(np.maximum),
    "min": plain(np.minimum),
    "<": number(np.less),
    "<=": number(np.less_equal),
    ">": number(np.greater),
    ">=": number(np.greater_equal),
    "==": number(np.equal),
    "where": lambda args: np.where(args[0] != 0, args[1], args[2]),
    **{name: plain(getattr(np.linalg, name)) for name in ("inv", "det", "cholesky")},
    "logdet": plain(lambda a: np.linalg.slogdet(a)[1]),
    "logdet_positive": plain(log_of_determinant),
    "solve": plain(solve),
    "tril": plain(lower_triangle),
    "concat": lambda args, axis: np.concatenate(args, axis=axis),
    "part": lambda args, axis, low, high: part(args[0], axis, low, high),
}
ALONG: dict[str, Callable[[Array, tuple[int, ...]], Array]] = {
    "amax": lambda x, axes: x.max(axes),
    "amin": lambda x, axes: x.min(axes),
    "prod": lambda x, axes: x.prod(axes),
    "logsumexp": logsumexp,
    "norm": norm,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "unit": unit,
}
