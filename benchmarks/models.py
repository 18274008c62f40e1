"""models: what gradients are measured on: each model as Einstan text, and as the same loss in plain code.

`xp` holds one framework's words (benchmarks/peers.py): numpy's names, and sigmoid, softmax, softplus as it has them.
Sizes are arguments: the benchmarks take those of the table, the tests small ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod, sqrt
from typing import Any

import numpy as np

from . import by_hand
from .by_hand import GATES, Arrays, Call

Loss = Callable[[Any, Any], Any]  # (xp, arrays by name) -> scalar
Product = tuple[np.ndarray, np.ndarray]  # left and right of a matrix product
Room = Callable[..., np.ndarray]  # shape -> array
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Model:
    """A loss L and its gradients in `wrt`.

    `products` are the matrix products that no version can do without, on arrays of the right shapes and strides;
    `fused` is the loss by a function that torch has for just this.
    """

    text: str
    shapes: Shapes
    data: tuple[str, ...]  # inputs by which nothing is differentiated
    loss: Loss
    by_hand: Callable[[Arrays], Call] | None = None
    products: Callable[[Arrays, Room], Iterator[Product]] | None = None
    fused: Loss | None = None

    @property
    def wrt(self) -> list[str]:
        return [name for name in self.shapes if name not in self.data]

    def arrays(self, dtype: str) -> Arrays:
        """Normal numbers; weights U, V, W are scaled so that a product with them keeps the size of a vector."""
        rng = np.random.default_rng(0)
        made = {name: rng.standard_normal(shape) * scale(name, shape) for name, shape in self.shapes.items()}
        return {name: np.asarray(array, dtype) for name, array in made.items()}


def scale(name: str, shape: tuple[int, ...]) -> float:
    """Of an array's entries: a sum over all sites of two matrix product states keeps its size too."""
    if name[0] not in "UVWw":
        return 1.0
    return 1 / sqrt(sqrt(prod(shape))) if len(shape) > 2 else 1 / sqrt(max(shape))


def squares(r: Any) -> Any:
    return (r * r).sum()


# ---------------------------------------------------------------- dense nets


def dense(sizes: tuple[int, ...], batch: int) -> Model:
    """Z1 = X W1 + c1,  Y1 = tanh Z1,  ...,  R = Y(n-1) Wn + cn - T,  L = ΣR²"""
    depth = len(sizes) - 1
    shapes: Shapes = {"Y0": (batch, sizes[0]), "T": (batch, sizes[-1])}
    for m, (n_in, n_out) in enumerate(pairwise(sizes), 1):
        shapes |= {f"W{m}": (n_in, n_out), f"c{m}": (n_out,)}
    return Model(
        text=dense_text(depth),
        shapes=shapes,
        data=("Y0", "T"),
        loss=partial(dense_loss, depth),
        by_hand=partial(by_hand.dense, depth=depth),
        products=partial(dense_products, sizes),
    )


def dense_text(depth: int) -> str:
    lines = []
    for m in range(1, depth + 1):
        lines.append(f"Z{m}[b,j] = Y{m - 1}[b,K] W{m}[K,j] + c{m}[j]")
        lines.append(f"Y{m}[b,j] = tanh(Z{m}[b,j])")
    lines[-1] = f"R[b,j] = Z{depth}[b,j] - T[b,j]"
    return "\n".join([*lines, "L = R[B,J] R[B,J]"])


def dense_loss(depth: int, xp: Any, a: Any) -> Any:
    y = a["Y0"]
    for m in range(1, depth):
        y = xp.tanh(y @ a[f"W{m}"] + a[f"c{m}"])
    return squares(y @ a[f"W{depth}"] + a[f"c{depth}"] - a["T"])


def dense_products(sizes: tuple[int, ...], a: Arrays, room: Room) -> Iterator[Product]:
    ys = [a["Y0"], *(room(len(a["T"]), n) for n in sizes[1:])]
    for m in range(1, len(sizes)):
        d = room(*ys[m].shape)
        yield ys[m - 1], a[f"W{m}"]
        yield ys[m - 1].T, d
        if m > 1:
            yield d, a[f"W{m}"].T


# ---------------------------------------------------------------- LSTM cell


def lstm_concat(batch: int, h: int, x: int) -> Model:
    """One step, every gate a dense layer on [h, x]."""
    return lstm_cell(
        "W{0}[j,K] [h[b,K], x[b,K]]_K", {"W": (h, h + x)}, lstm_concat_linear, by_hand.lstm_concat, batch, h, x
    )


def lstm_block(batch: int, h: int, x: int) -> Model:
    """One step, every gate with a matrix for h and one for x."""
    weights: Shapes = {"U": (h, h), "V": (h, x)}
    return lstm_cell("U{0}[j,K] h[b,K] + V{0}[j,M] x[b,M]", weights, lstm_block_linear, by_hand.lstm_block, batch, h, x)


def lstm_cell(
    linear: str,
    weights: Shapes,
    linear_of: Callable[[Any, Any], Callable[[str], Any]],
    hand: Callable[[Arrays], Call],
    batch: int,
    h: int,
    x: int,
) -> Model:
    """The cell with gates whose linear part is `linear` without its bias."""
    acts = {gate: "tanh" if gate == "g" else "sigmoid" for gate in GATES}
    lines = [f"{gate}[b,j] = {act}({linear.format(gate)} + b{gate}[j])" for gate, act in acts.items()]
    lines += ["D[b,j] = f[b,j] C[b,j] + i[b,j] g[b,j]", "R[b,j] = o[b,j] tanh(D[b,j]) - T[b,j]", "L = R[B,J] R[B,J]"]
    shapes: Shapes = {f"{kind}{gate}": shape for gate in GATES for kind, shape in (weights | {"b": (h,)}).items()}
    shapes |= {"h": (batch, h), "C": (batch, h), "x": (batch, x), "T": (batch, h)}

    def loss(xp: Any, a: Any) -> Any:
        z = linear_of(xp, a)
        f, i, o = (xp.sigmoid(z(gate) + a[f"b{gate}"]) for gate in "fio")
        c = f * a["C"] + i * xp.tanh(z("g") + a["bg"])
        return squares(o * xp.tanh(c) - a["T"])

    def products(a: Arrays, room: Room) -> Iterator[Product]:
        by_kind = {"U": a["h"], "V": a["x"], "W": room(batch, h + x)}
        for gate in GATES:
            d = room(batch, h)
            for kind in weights:
                w, y = a[f"{kind}{gate}"], by_kind[kind]
                yield from ((y, w.T), (d.T, y), (d, w))

    return Model("\n".join(lines), shapes, ("T",), loss, hand, products)


def lstm_concat_linear(xp: Any, a: Any) -> Callable[[str], Any]:
    hx = xp.concatenate([a["h"], a["x"]], 1)
    return lambda gate: hx @ a[f"W{gate}"].T


def lstm_block_linear(xp: Any, a: Any) -> Callable[[str], Any]:
    return lambda gate: a["h"] @ a[f"U{gate}"].T + a["x"] @ a[f"V{gate}"].T


# ---------------------------------------------------------------- gated readout


def readout(graphs: int, nodes: int, h: int, x: int, out: int) -> Model:
    """A sum over the nodes of each graph, gated entry by entry, both layers on [h, x]."""
    weights: Shapes = {"Wi": (h + x, out), "bi": (out,), "Wj": (h + x, out), "bj": (out,)}
    return Model(
        text="""
            A[g,v,d] = sigmoid([h[g,v,K], x[g,v,K]]_K Wi[K,d] + bi[d])
            B[g,v,d] = tanh([h[g,v,K], x[g,v,K]]_K Wj[K,d] + bj[d])
            R[g,d] = tanh(A[g,V,d] B[g,V,d]) - T[g,d]
            L = R[G,D] R[G,D]
        """,
        shapes=weights | {"h": (graphs, nodes, h), "x": (graphs, nodes, x), "T": (graphs, out)},
        data=("x", "T"),
        loss=readout_loss,
        by_hand=by_hand.readout,
        products=readout_products,
    )


def readout_loss(xp: Any, a: Any) -> Any:
    hx = xp.concatenate([a["h"], a["x"]], 2)
    gate, shown = xp.sigmoid(hx @ a["Wi"] + a["bi"]), xp.tanh(hx @ a["Wj"] + a["bj"])
    return squares(xp.tanh((gate * shown).sum(1)) - a["T"])


def readout_products(a: Arrays, room: Room) -> Iterator[Product]:
    graphs, nodes, n = a["h"].shape
    hx = room(graphs * nodes, len(a["Wi"]))
    for weight in ("Wi", "Wj"):
        w = a[weight]
        d = room(graphs * nodes, w.shape[1])
        yield from ((hx, w), (hx.T, d), (d, w[:n].T))


# ---------------------------------------------------------------- attention


def attention(batch: int, queries: int, keys: int, width: int) -> Model:
    """One head; gradients in q, k, v."""
    return Model(
        text="""
            P[b,n,m] = softmax[m](q[b,n,D] k[b,m,D] / sqrt(size(q,3)))
            R[b,n,d] = P[b,n,M] v[b,M,d] - T[b,n,d]
            L = R[B,N,D] R[B,N,D]
        """,
        shapes={
            "q": (batch, queries, width),
            "k": (batch, keys, width),
            "v": (batch, keys, width),
            "T": (batch, queries, width),
        },
        data=("T",),
        loss=attention_loss,
        by_hand=by_hand.attention,
        products=attention_products,
        fused=lambda torch, a: squares(torch.attention(a["q"], a["k"], a["v"]) - a["T"]),
    )


def attention_loss(xp: Any, a: Any) -> Any:
    s = a["q"] @ xp.swapaxes(a["k"], 1, 2) / sqrt(a["q"].shape[2])
    return squares(xp.softmax(s) @ a["v"] - a["T"])


def attention_products(a: Arrays, room: Room) -> Iterator[Product]:
    q, k, v = (a[name] for name in "qkv")
    p, ds, do = room(*q.shape[:2], k.shape[1]), room(*q.shape[:2], k.shape[1]), room(*a["T"].shape)
    yield from ((q, k.transpose(0, 2, 1)), (p, v), (p.transpose(0, 2, 1), do))
    yield from ((do, v.transpose(0, 2, 1)), (ds, k), (ds.transpose(0, 2, 1), q))


# ---------------------------------------------------------------- layer norm, logistic regression


def layer_norm(batch: int, width: int) -> Model:
    """Layer norm from primitives, then a squared error. It has no matrix products."""
    return Model(
        text="""
            U[b,k] = x[b,k] - mean[k](x[b,k])
            Y[b,k] = g[k] U[b,k] / sqrt(mean[k](U[b,k]^2) + 1e-5) + c[k]
            L = (Y[B,K] - T[B,K]) (Y[B,K] - T[B,K])
        """,
        shapes={"x": (batch, width), "g": (width,), "c": (width,), "T": (batch, width)},
        data=("T",),
        loss=layer_norm_loss,
        by_hand=by_hand.layer_norm,
        fused=lambda torch, a: squares(torch.layer_norm(a["x"], a["g"].shape, a["g"], a["c"]) - a["T"]),
    )


def layer_norm_loss(xp: Any, a: Any) -> Any:
    n = a["x"].shape[1]
    u = a["x"] - a["x"].sum(1)[:, None] / n
    s = xp.sqrt((u * u).sum(1)[:, None] / n + 1e-5)
    return squares(u / s * a["g"] + a["c"] - a["T"])


def logistic(rows: int, width: int) -> Model:
    """Logistic regression; the loss is spelled out naively."""
    return Model(
        text="""
            z[n] = X[n,K] w[K] + c
            L = log(1 + exp(z[N])) 1[N] - y[N] z[N]
        """,
        shapes={"w": (width,), "c": (), "X": (rows, width), "y": (rows,)},
        data=("X", "y"),
        loss=logistic_loss,
        by_hand=by_hand.logistic,
        products=lambda a, room: iter([(a["X"], a["w"]), (room(rows), a["X"])]),
    )


def logistic_loss(xp: Any, a: Any) -> Any:
    z = a["X"] @ a["w"] + a["c"]
    return xp.softplus(z).sum() - a["y"] @ z


# ---------------------------------------------------------------- matrix product states


def mps(sites: int, bond: int, physical: int) -> Model:
    """The inner product of two matrix product states U and V; gradients in all tensors.

    It has no floor: there is no order of the products that all have to take.
    """
    factors, shapes = [], Shapes()
    for k in range(sites):
        ends = [n for n in (k - 1, k) if 0 <= n < sites - 1]  # the bonds to both sides
        left, right = (bond,) * (k > 0), (bond,) * (k < sites - 1)
        for name, chain in (("U", "A"), ("V", "B")):
            before, after = ([f"{chain}{n}" for n in ends if n == side] for side in (k - 1, k))
            factors.append(f"{name}{k}[{','.join([*before, f'P{k}', *after])}]")
            shapes[f"{name}{k}"] = (*left, physical, *right)
    return Model(
        text="L = " + " ".join(factors),
        shapes=shapes,
        data=(),
        loss=partial(mps_loss, sites),
        by_hand=partial(by_hand.mps, sites=sites),
    )


def mps_loss(sites: int, xp: Any, a: Any) -> Any:
    """From left to right: `e` has an axis of each state."""
    e = xp.einsum("pa,pb->ab", a["U0"], a["V0"])
    for k in range(1, sites - 1):
        e = xp.einsum("bpc,bpd->cd", xp.einsum("ab,apc->bpc", e, a[f"U{k}"]), a[f"V{k}"])
    return (xp.einsum("ab,ap->bp", e, a[f"U{sites - 1}"]) * a[f"V{sites - 1}"]).sum()


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Case:
    """A model at the sizes that are measured, and at small ones (distinct primes) that the tests run."""

    name: str
    title: str
    make: Callable[..., Model]
    sizes: tuple[Any, ...]
    small: tuple[Any, ...]

    def model(self) -> Model:
        return self.make(*self.sizes)

    def small_model(self) -> Model:
        return self.make(*self.small)


CASES = (
    Case("mlp-16", "MLP 16-16-4, batch 8", dense, ((16, 16, 4), 8), ((3, 5, 2), 7)),
    Case("mlp-64", "MLP 64-64-64-10, batch 32", dense, ((64, 64, 64, 10), 32), ((3, 5, 11, 2), 7)),
    Case("mlp-784", "MLP 784-512-512-10, batch 128", dense, ((784, 512, 512, 10), 128), ((13, 7, 5, 2), 3)),
    Case(
        "mlp-1024", "MLP 1024-1024-1024-1024-10, batch 512", dense, ((1024,) * 4 + (10,), 512), ((3, 5, 7, 11, 2), 13)
    ),
    Case("lstm-concat", "LSTM cell on [h, x], batch 64, D = H = 256", lstm_concat, (64, 256, 256), (3, 5, 7)),
    Case("lstm-block", "LSTM cell in blocks, batch 64, D = H = 256", lstm_block, (64, 256, 256), (3, 5, 7)),
    Case(
        "readout",
        "gated readout, 32 graphs of 64 nodes, h 128, x 64",
        readout,
        (32, 64, 128, 64, 128),
        (2, 3, 5, 7, 11),
    ),
    Case("attention", "attention, batch 8, 128 × 64, one head", attention, (8, 128, 128, 64), (2, 3, 5, 7)),
    Case("layer-norm", "layer norm 256 × 1024 from primitives", layer_norm, (256, 1024), (3, 5)),
    Case("mps", "inner product of matrix product states, 200 sites, bond 32", mps, (200, 32, 2), (4, 5, 3)),
    Case("logistic", "logistic regression 1000 × 2000", logistic, (1000, 2000), (5, 3)),
)
