"""jax_numbers: the arithmetic that JAX differentiates, and its graphs run by numpy.

Compiling a graph that is run once takes JAX a hundred times as long as numpy takes to run it. What JAX is asked for
here is its rules of differentiation; `on_numpy` runs the graph that they make, one operation after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from .meaning import Numbers

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax.scipy.special import erf  # noqa: E402

jax.config.update("jax_enable_x64", True)


class Traced(Numbers):
    """Of arrays of jax.numpy; a diagonal and an extremum are spelled so that JAX makes no gathers of them."""

    def __init__(self) -> None:
        super().__init__(jnp, jnp.float64, erf)
        self.reductions |= {"max": lambda x: x.max(-1), "min": lambda x: x.min(-1)}

    def number(self, written: str) -> Any:
        return self.array(math.pi if written == "pi" else float(Fraction(written)))

    def eye(self, n: int) -> Any:
        return jnp.asarray(np.eye(n))

    def diagonal(self, x: Any, a: int, b: int) -> Any:
        shape = [x.shape[n] if n in (a, b) else 1 for n in range(x.ndim)]
        return jnp.moveaxis((x * self.eye(x.shape[a]).reshape(shape)).sum(b), a, -1)

    def jacobian(self, f: Callable[[Any, Any], Any], x: Any) -> Any:
        return jax.jacrev(lambda x: f(self, x))(x)


def on_numpy(f: Callable[..., Any], *args: Any) -> Any:
    """f(*args), traced by JAX and run by numpy."""
    graph, shapes = jax.make_jaxpr(f, return_shape=True)(*args)
    leaves = run(graph.jaxpr, graph.consts, jax.tree.leaves(args))
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def run(graph: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    known = dict(zip([*graph.constvars, *graph.invars], map(np.asarray, [*consts, *args]), strict=True))
    read = lambda v: np.asarray(v.val) if hasattr(v, "val") else known[v]  # noqa: E731
    for e in graph.eqns:
        inside = e.params.get("jaxpr") or e.params.get("call_jaxpr")
        below = [read(v) for v in e.invars]
        if inside is not None:
            found = run(inside.jaxpr, inside.consts, below)
        else:
            made = OPERATIONS[e.primitive.name](*below, e)
            found = made if isinstance(made, list) else [made]
        known.update(zip(e.outvars, found, strict=True))
    return [read(v) for v in graph.outvars]


def plain(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: f(*args[:-1])


def axes_of(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, e: f(x, axis=tuple(e.params["axes"]))


def broadcast(x: Any, e: Any) -> Any:
    shape, places = e.params["shape"], e.params["broadcast_dimensions"]
    ones = [1] * len(shape)
    for n, place in enumerate(places):
        ones[place] = x.shape[n]
    return np.broadcast_to(x.reshape(ones), shape)


def padded(x: Any, value: Any, e: Any) -> Any:
    """Zeros around, or what is cut away where a width is negative."""
    config = e.params["padding_config"]
    assert not any(inner for _, _, inner in config)
    x = np.pad(x, [(max(low, 0), max(high, 0)) for low, high, _ in config], constant_values=value)
    return x[tuple(slice(max(-low, 0), n - max(-high, 0)) for (low, high, _), n in zip(config, x.shape, strict=True))]


def sliced(x: Any, e: Any) -> Any:
    starts, ends = e.params["start_indices"], e.params["limit_indices"]
    return x[tuple(map(slice, starts, ends, e.params["strides"] or [1] * x.ndim))]


def pieces(x: Any, e: Any) -> list[Any]:
    return list(np.split(x, np.cumsum(e.params["sizes"])[:-1], axis=e.params["axis"]))


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **{
        name: plain(getattr(np, name))
        for name in "exp expm1 log log1p sin cos tan sinh cosh tanh sqrt sign abs".split()
    },
    **{"add": plain(np.add), "add_any": plain(np.add), "sub": plain(np.subtract), "mul": plain(np.multiply)},
    **{"div": plain(np.true_divide), "neg": plain(np.negative), "pow": plain(np.power), "square": plain(np.square)},
    **{"asin": plain(np.arcsin), "acos": plain(np.arccos), "atan": plain(np.arctan)},
    **{"lt": plain(np.less), "le": plain(np.less_equal), "gt": plain(np.greater), "ge": plain(np.greater_equal)},
    **{"eq": plain(np.equal), "ne": plain(np.not_equal), "max": plain(np.maximum), "min": plain(np.minimum)},
    **{"and": plain(np.logical_and), "or": plain(np.logical_or), "not": plain(np.logical_not)},
    **{"reduce_sum": axes_of(np.sum), "reduce_prod": axes_of(np.prod)},
    **{"reduce_max": axes_of(np.max), "reduce_min": axes_of(np.min), "copy": plain(np.copy)},
    "erf": plain(np.vectorize(math.erf, otypes=[float])),
    "rsqrt": lambda x, e: 1 / np.sqrt(x),
    "stop_gradient": plain(np.asarray),
    "integer_pow": lambda x, e: x ** np.float64(e.params["y"]),
    "select_n": lambda which, *cases_: np.where(which, cases_[1], cases_[0]),
    "convert_element_type": lambda x, e: x.astype(e.params["new_dtype"]),
    "iota": lambda e: np.indices(e.params["shape"], e.params["dtype"])[e.params["dimension"]],
    "reshape": lambda x, e: x.transpose(e.params["dimensions"] or range(x.ndim)).reshape(e.params["new_sizes"]),
    "squeeze": lambda x, e: np.squeeze(x, tuple(e.params["dimensions"])),
    "expand_dims": lambda x, e: np.expand_dims(x, tuple(e.params["dimensions"])),
    "transpose": lambda x, e: x.transpose(e.params["permutation"]),
    "concatenate": lambda *xs: np.concatenate(xs[:-1], axis=xs[-1].params["dimension"]),
    "broadcast_in_dim": lambda x, *rest: broadcast(x, rest[-1]),
    "split": pieces,
    "slice": sliced,
    "pad": padded,
}
