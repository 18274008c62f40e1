"""complex_step: directional derivatives of nodes by a step along the imaginary axis: f(x + i h v) = f(x) + i h f'(x) v.

Nothing is subtracted, so h may be so small that the error is that of rounding alone (Squire and Trapp, SIAM Review 40,
1998). Every primitive of COMPLEX does to an infinitesimal imaginary part what it does to a change of the real one; a
choice (max, relu, where) looks at real parts, and at a kink takes the derivative that the notation defines. Functions
that are not in the table (those of Python, cholesky, a power with a variable exponent) have no such step here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import numpy as np

from .dims import Dim, Env
from .ir import Add, Call, Const, Einsum, Input, Node, toposort
from .testing import ALONG, FUNCTIONS, spread

Array = np.ndarray[Any, Any]
Labels = tuple[tuple[int, ...], ...]

STEP: Final = 2.0**-100
LABELS: Final = 52  # that numpy's einsum knows


def has_complex_step(roots: Sequence[Node]) -> bool:
    """Whether every function below the roots is in the table."""
    below = toposort(roots)
    calls = (node.prim.name for node in below if isinstance(node, Call))
    products = (node for node in below if isinstance(node, Einsum))
    return all(name in COMPLEX for name in calls) and all(
        len(e.dims) <= LABELS and len(e.operands) < LABELS for e in products
    )


class Point:
    """Nodes and their values for some arrays."""

    def __init__(self, roots: Sequence[Node], arrays: Mapping[str, Array], env: Env) -> None:
        self.roots, self.arrays, self.env = list(roots), arrays, env
        self.order = toposort(roots)
        self.values: dict[Node, Array] = {}
        with np.errstate(all="ignore"):
            for node in self.order:
                self.values[node] = self.value(node, self.values, arrays)

    def value(self, node: Node, below: Mapping[Node, Array], arrays: Mapping[str, Array]) -> Array:
        operands = [below.get(o, self.values[o]) for o in node.operands]
        return np.array(RULES[type(node)](node, operands, arrays, self.env), complex)

    def slopes(self, along: Mapping[str, Array]) -> list[Array]:
        """The derivatives of the roots where the inputs of `along` move in its directions."""
        moved = {name: x + 1j * STEP * along[name] if name in along else x for name, x in self.arrays.items()}
        done: dict[Node, Array] = {}  # what moves
        with np.errstate(all="ignore"):
            for node in self.order:
                own = node.name in along if isinstance(node, Input) else any(o in done for o in node.operands)
                if own:
                    done[node] = self.value(node, done, moved)
                    done[node].real = self.values[node].real  # a product of two steps would tell ties apart
        return [done.get(root, self.values[root].real).imag / STEP for root in self.roots]


# ---------------------------------------------------------------- kinds


def leaf(node: Node, below: list[Array], arrays: Mapping[str, Array], env: Env) -> Array:
    assert isinstance(node, Input)
    return arrays[node.name].astype(complex)


def constant(node: Node, below: list[Array], arrays: Mapping[str, Array], env: Env) -> Array:
    assert isinstance(node, Const)
    return np.asarray({"pi": math.pi}[node.name], complex)


def product(node: Node, below: list[Array], arrays: Mapping[str, Array], env: Env) -> Array:
    """numpy's einsum, with ones for labels that no operand has, and the diagonal written out."""
    assert isinstance(node, Einsum)
    size = {label: d.at(env) for label, d in node.dims.items()}
    held = {label for own in node.labels for label in own}
    lacking = [label for label in size if label not in held]
    operands = [*below, *(np.ones(size[label]) for label in lacking)]
    place = {label: n for n, label in enumerate(size)}
    labels = tuple(tuple(place[x] for x in own) for own in (*node.labels, *((label,) for label in lacking)))
    kept = tuple(dict.fromkeys(node.out))
    total = contracted(operands, labels, tuple(place[label] for label in kept)) if operands else np.ones(())
    return spread(total, kept, node.out, size)


def contracted(operands: Sequence[Array], labels: Labels, out: tuple[int, ...]) -> Array:
    given = [part for x, own in zip(operands, labels, strict=True) for part in (x, list(own))]
    order = path(labels, out, tuple(x.shape for x in operands)) if len(operands) > 1 else False
    return np.asarray(np.einsum(*given, list(out), optimize=order))


@lru_cache(maxsize=1_000)
def path(labels: Labels, out: tuple[int, ...], shapes: tuple[tuple[int, ...], ...]) -> list[Any]:
    """The order in which numpy contracts operands of these shapes."""
    blanks = (np.broadcast_to(0.0, shape) for shape in shapes)
    given = [part for x, own in zip(blanks, labels, strict=True) for part in (x, list(own))]
    return np.einsum_path(*given, list(out), optimize="greedy")[0]


def addition(node: Node, below: list[Array], arrays: Mapping[str, Array], env: Env) -> Array:
    assert isinstance(node, Add)
    total: Array = np.zeros([d.at(env) for d in node.shape], complex)
    for coef, x in zip(node.coefs, below, strict=True):
        total = total + float(coef.at(env)) * x
    return total


def application(node: Node, below: list[Array], arrays: Mapping[str, Array], env: Env) -> Array:
    assert isinstance(node, Call)
    return COMPLEX[node.prim.name](*below, *[p.at(env) if isinstance(p, Dim) else p for p in node.params])


RULES: Final[dict[type[Node], Callable[[Node, list[Array], Mapping[str, Array], Env], Array]]] = {
    Input: leaf,
    Const: constant,
    Einsum: product,
    Add: addition,
    Call: application,
}

# ---------------------------------------------------------------- primitives


def power(z: Array, q: Fraction) -> Array:
    """By squaring, for an integer: a logarithm would lose the imaginary part where z is negative."""
    if q.denominator != 1:
        return np.asarray(z ** float(q))
    result: Array = np.ones_like(z)
    n = abs(int(q))
    while n:
        result, z, n = (result * z if n % 2 else result), z * z, n // 2
    return result if q > 0 else np.asarray(1 / result)


def choice(first: Array, a: Array, second: Array, b: Array) -> Array:
    """a where `first`, b where `second`, their mean at a tie."""
    return np.where(first, a, np.where(second, b, (a + b) / 2))


def where(c: Array, a: Array, b: Array) -> Array:
    return np.where(c.real != 0, a, b)


def extremum(best: Callable[..., Any]) -> Callable[[Array, int], Array]:
    """The greatest entry, or the least; its slope is the mean of those that share it."""

    def apply(z: Array, n: int) -> Array:
        axes = tuple(range(-n, 0))
        hit = z.real == best(z.real, axes, keepdims=True)
        return np.asarray(best(z.real, axes) + 1j * ((z.imag * hit).sum(axes) / hit.sum(axes)))

    return apply


def softplus(z: Array) -> Array:
    """Its real part as it is computed without overflow, its imaginary part by its slope σ."""
    return np.asarray(np.logaddexp(0, z.real) + 1j * (z.imag * sigmoid(z.real)))


def sigmoid(z: Array) -> Array:
    """e^z / (1 + e^z) for small z, so that its digits are kept."""
    small = np.exp(np.where(z.real < 0, z, -z))
    return np.asarray(np.where(z.real < 0, small, 1) / (1 + small))


def erf(z: Array) -> Array:
    real = FUNCTIONS["erf"]([z.real])
    return np.asarray(real + 1j * (z.imag * 2 / math.sqrt(math.pi) * np.exp(-(z.real**2))))


def norm(z: Array, n: int) -> Array:
    """√Σz², 0 with the derivative 0 where z is 0."""
    axes = tuple(range(-n, 0))
    top = np.abs(z.real).max(axes, initial=0.0, keepdims=True)
    scale = np.where(top > 0, top, 1)
    found = np.sqrt(((z / scale) ** 2).sum(axes)) * scale.reshape(top.sum(axes).shape)
    return np.where(top.sum(axes) > 0, found, 0)


def logdet(z: Array) -> Array:
    sign, size = np.linalg.slogdet(z)
    return np.asarray(size + 1j * (sign * np.sign(sign.real)).imag)


def reals(compare: Callable[..., Any]) -> Callable[..., Array]:
    """Of real parts alone: constant between its jumps."""
    return lambda *args: np.asarray(compare(*(z.real for z in args)), complex)


def plain(name: str) -> Callable[..., Array]:
    return lambda *args: FUNCTIONS[name](list(args))


def along(name: str) -> Callable[[Array, int], Array]:
    return lambda z, n: np.asarray(ALONG[name](z, tuple(range(-n, 0))))


COMPLEX: Final[dict[str, Callable[..., Array]]] = {
    **{name: plain(name) for name in ("exp", "log", "log1p", "expm1", "sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: plain(name) for name in ("sinh", "cosh", "tanh", "inv", "det", "solve", "tril")},
    **{name: along(name) for name in ("prod", "softmax", "log_softmax", "logsumexp")},
    **{name: reals(f) for name, f in {"<": np.less, "<=": np.less_equal, "==": np.equal}.items()},
    **{name: reals(f) for name, f in {">": np.greater, ">=": np.greater_equal}.items()},
    "sign": reals(np.sign),
    "step": reals(lambda x: x > 0),
    "abs": lambda z: z * np.sign(z.real),
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "max": lambda a, b: choice(a.real > b.real, a, a.real < b.real, b),
    "min": lambda a, b: choice(a.real < b.real, a, a.real > b.real, b),
    "where": where,
    "pow": power,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "erf": erf,
    "amax": extremum(np.max),
    "amin": extremum(np.min),
    "norm": norm,
    "logdet": logdet,
    "concat": lambda *args: np.concatenate(args[:-1], axis=args[-1]),
    "part": lambda z, axis, low, high: z.take(range(low, high), axis=axis),
}
