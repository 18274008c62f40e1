"""gradients: a dense net's loss and its gradients in all weights and biases, by every candidate, in float32.

Z1 = X W1 + c1,  Y1 = tanh Z1,  ...,  R = Y(n-1) Wn + cn - T,  L = ΣR²
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from .report import Table
from .rounds import Timing, measure

F32 = np.float32
Arrays = dict[str, np.ndarray]
Call = Callable[[], Any]  # -> (value, [gradients in the order of `Net.wrt`])


@dataclass(frozen=True)
class Net:
    """`sizes` from the input on; tanh between the layers."""

    name: str
    sizes: tuple[int, ...]
    batch: int

    @property
    def depth(self) -> int:
        return len(self.sizes) - 1

    @property
    def wrt(self) -> list[str]:
        return [f"{name}{m}" for m in range(1, self.depth + 1) for name in ("W", "c")]

    @property
    def text(self) -> str:
        """The net in Einstan."""
        lines = []
        for m in range(1, self.depth + 1):
            lines.append(f"Z{m}[b,j] = Y{m - 1}[b,K] W{m}[K,j] + c{m}[j]")
            lines.append(f"Y{m}[b,j] = tanh(Z{m}[b,j])")
        lines[-1] = f"R[b,j] = Z{self.depth}[b,j] - T[b,j]"
        return "\n".join([*lines, "L = R[B,J] R[B,J]"])

    def arrays(self) -> Arrays:
        rng = np.random.default_rng(0)
        a = {"Y0": rng.standard_normal((self.batch, self.sizes[0]))}
        for m in range(1, self.depth + 1):
            n_in, n_out = self.sizes[m - 1], self.sizes[m]
            a[f"W{m}"] = rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)
            a[f"c{m}"] = rng.standard_normal(n_out)
        a["T"] = rng.standard_normal((self.batch, self.sizes[-1]))
        return {name: array.astype(F32) for name, array in a.items()}


NETS = (
    Net("784-512-512-10 batch 128", (784, 512, 512, 10), 128),
    Net("1024-1024-1024-1024-10 batch 512", (1024, 1024, 1024, 1024, 10), 512),
    Net("16-16-4 batch 8", (16, 16, 4), 8),
)


# ---------------------------------------------------------------- candidates: (net, arrays) -> call


def gradients_of(net: Net, a: Arrays) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Room for the gradients in all W, and in all c."""
    ms = range(1, net.depth + 1)
    return [np.empty_like(a[f"W{m}"]) for m in ms], [np.empty_like(a[f"c{m}"]) for m in ms]


def by_products_alone(net: Net, a: Arrays) -> Call:
    """The floor: the matrix products that every candidate has to do, and nothing else."""
    ys = [a["Y0"], *(np.full((net.batch, n), 0.5, F32) for n in net.sizes[1:])]
    ds = [np.full_like(y, 0.5) for y in ys]
    dws, _ = gradients_of(net, a)
    products = []
    for m in range(net.depth):
        w = a[f"W{m + 1}"]
        products += [(ys[m], w, ys[m + 1]), (ys[m].T, ds[m + 1], dws[m])]
        if m:
            products.append((ds[m + 1], w.T, ds[m]))

    def call() -> None:
        for left, right, out in products:
            np.dot(left, right, out=out)

    return call


def by_hand(net: Net, a: Arrays) -> Call:
    """numpy as a good engineer writes it: every result has its place, nothing is allocated, nothing is done twice.

    `ys` holds Y1 .. Y(n-1) and R; Y becomes 1 - Y² where it stands, once nobody needs it. `ds` holds the cotangents
    of the same. A bias gradient is a product with ones.
    """
    n = net.depth
    ys = [np.empty((net.batch, size), F32) for size in net.sizes[1:]]
    ds = [np.empty_like(y) for y in ys]
    dws, dcs = gradients_of(net, a)
    grads = [grad for pair in zip(dws, dcs, strict=True) for grad in pair]
    ones, one, two = np.ones(net.batch, F32), F32(1), F32(2)
    flat = ys[-1].reshape(-1)

    def value_and_grad(x: np.ndarray, t: np.ndarray, ws: list[np.ndarray], cs: list[np.ndarray]) -> Any:
        y = x
        for w, c, z in zip(ws, cs, ys, strict=True):
            np.dot(y, w, out=z)
            np.add(z, c, out=z)
            if z is not ys[-1]:
                np.tanh(z, out=z)
            y = z
        np.subtract(y, t, out=y)
        value = np.dot(flat, flat)
        np.multiply(y, two, out=ds[-1])
        for m in range(n - 1, -1, -1):
            y, d = ys[m - 1] if m else x, ds[m]
            np.dot(y.T, d, out=dws[m])
            np.dot(ones, d, out=dcs[m])
            if m:
                np.dot(d, ws[m].T, out=ds[m - 1])
                np.multiply(y, y, out=y)
                np.subtract(one, y, out=y)
                np.multiply(ds[m - 1], y, out=ds[m - 1])
        return value, grads

    ws, cs = ([a[f"{name}{m}"] for m in range(1, n + 1)] for name in "Wc")
    return lambda: value_and_grad(a["Y0"], a["T"], ws, cs)


def by_einstan(net: Net, a: Arrays) -> Call:
    import einstan as es

    kernel = es.parse(net.text).value_and_grad("L", wrt=net.wrt).compile()
    return lambda: kernel(**a)


def by_einstan_into(net: Net, a: Arrays) -> Call:
    """The same kernel writing into arrays that are kept, as the hand-written one does."""
    import einstan as es

    kernel = es.parse(net.text).value_and_grad("L", wrt=net.wrt).compile()
    outs = (np.empty((), F32), {name: np.empty_like(a[name]) for name in net.wrt})

    def call() -> Any:
        kernel.into(outs, **a)
        return outs

    return call


def loss_of(xp: Any, net: Net, a: Any) -> Any:
    """The loss in plain code, for peers that differentiate it by themselves."""
    y = a["Y0"]
    for m in range(1, net.depth):
        y = xp.tanh(y @ a[f"W{m}"] + a[f"c{m}"])
    r = y @ a[f"W{net.depth}"] + a[f"c{net.depth}"] - a["T"]
    return (r * r).sum()


def by_jax(net: Net, a: Arrays) -> Call:
    import jax

    on_device = {name: jax.device_put(array) for name, array in a.items()}
    wrt = {name: on_device.pop(name) for name in net.wrt}
    both = jax.jit(jax.value_and_grad(lambda w, data: loss_of(jax.numpy, net, data | w)))
    return lambda: jax.block_until_ready(both(wrt, on_device))


def by_torch(net: Net, a: Arrays) -> Call:
    import torch

    tensors = {name: torch.from_numpy(array.copy()) for name, array in a.items()}
    wrt = [tensors[name].requires_grad_() for name in net.wrt]

    def call() -> tuple[Any, Any]:
        value = loss_of(torch, net, tensors)
        return value, torch.autograd.grad(value, wrt)

    return call


def by_autograd(net: Net, a: Arrays) -> Call:
    import autograd

    data = {name: array for name, array in a.items() if name not in net.wrt}
    wrt = {name: a[name] for name in net.wrt}
    both = autograd.value_and_grad(lambda w: loss_of(autograd.numpy, net, data | {name: w[name] for name in net.wrt}))
    return lambda: both(wrt)


# name, the package it needs, its maker; "numpy" is what the others are compared with
CANDIDATES: tuple[tuple[str, str, Callable[[Net, Arrays], Call]], ...] = (
    ("products", "numpy", by_products_alone),
    ("numpy", "numpy", by_hand),
    ("einstan", "einstan", by_einstan),
    ("einstan-into", "einstan", by_einstan_into),
    ("jax", "jax", by_jax),
    ("torch", "torch", by_torch),
    ("autograd", "autograd", by_autograd),
)


# ---------------------------------------------------------------- the same numbers, then the times


def expected(net: Net, a: Arrays) -> list[np.ndarray]:
    """Value and gradients in float64, by the textbook."""
    b = {name: array.astype(float) for name, array in a.items()}
    ys = [b["Y0"]]
    for m in range(1, net.depth):
        ys.append(np.tanh(ys[-1] @ b[f"W{m}"] + b[f"c{m}"]))
    r = ys[-1] @ b[f"W{net.depth}"] + b[f"c{net.depth}"] - b["T"]
    d = 2 * r
    grads: list[np.ndarray] = []
    for m in range(net.depth, 0, -1):
        grads = [ys[m - 1].T @ d, d.sum(0), *grads]
        d = (d @ b[f"W{m}"].T) * (1 - ys[m - 1] ** 2)
    return [np.sum(r * r), *grads]


def assert_right(name: str, net: Net, result: Any, truth: list[np.ndarray]) -> None:
    """A candidate is timed only for the right numbers (1e-4 of the largest entry: float32)."""
    value, grads = result
    grads = [grads[n] for n in net.wrt] if isinstance(grads, dict) else list(grads)
    for label, got, want in zip(["value", *net.wrt], [value.item(), *grads], truth, strict=True):
        error = np.max(np.abs(np.asarray(got) - want)) / np.max(np.abs(want))
        assert error < 1e-4, f"{name}: {label} is off by {error:.1e} of its largest entry"


def candidates_for(net: Net, only: Sequence[str] | None) -> dict[str, Call]:
    a = net.arrays()
    truth = expected(net, a)
    calls: dict[str, Call] = {}
    for name, package, maker in CANDIDATES:
        if (only and name not in only) or find_spec(package) is None:
            continue
        calls[name] = maker(net, a)
        if name != "products":
            assert_right(name, net, calls[name](), truth)
    return calls


COLUMNS = (
    ("candidate", "candidate", "s"),
    ("ms", "ms", ".4f"),
    ("spread", "spread", ".0%"),
    ("calls", "calls", "d"),
    ("to_products", "/ products", ".2f"),
    ("to_numpy", "/ numpy", ".2f"),
)


def row(net: Net, name: str, times: dict[str, Timing]) -> dict[str, Any]:
    t = times[name]
    ratio = {other: t.seconds / times[other].seconds if other in times else None for other in ("products", "numpy")}
    return {
        "case": net.name,
        "candidate": name,
        "ms": t.seconds * 1e3,
        "spread": t.spread,
        "calls": t.calls,
        "to_products": ratio["products"],
        "to_numpy": ratio["numpy"],
    }


def tables(cases: Sequence[str] | None, only: Sequence[str] | None, threads: int) -> Iterator[Table]:
    """A table for each net; `cases` are beginnings of names (`784`, `1024`, `16`)."""
    if (not only or "torch" in only) and find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
    for net in NETS:
        if cases and not net.name.startswith(tuple(cases)):
            continue
        times = measure(candidates_for(net, only))
        yield Table(f"{net.name}: value and gradients, float32", [row(net, name, times) for name in times], COLUMNS)
