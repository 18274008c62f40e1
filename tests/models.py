"""models: the models that einstan must get right, as one table: Einstan text, data, and the same loss in plain code.

`xp` is numpy or jax.numpy, so one reference function serves finite differences (no framework needed) and JAX.
It is written from the mathematics, never from the text. Sizes are distinct primes: a swapped axis cannot pass by luck.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Arrays = dict[str, Any]  # name -> array of numpy or of jax
Loss = Callable[[Any, Arrays], Any]  # (xp, arrays) -> scalar
Data = Callable[[np.random.Generator], Arrays]

# enough for 20 layers and a batch; from 11 on, so that no layer of a relu net is likely to be dead
PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101)


@dataclass(frozen=True, eq=False)
class Model:
    """One row: the loss `of` of `text` and its gradients in `wrt`; `loss` is the same number in plain code."""

    name: str
    text: str
    of: str
    wrt: tuple[str, ...]
    data: Data
    loss: Loss
    functions: Mapping[str, str] = field(default_factory=dict)  # opaque function -> what it is bound to

    def arrays(self) -> Arrays:
        """The row's data: the same in every run and in every test."""
        return self.data(np.random.default_rng(sum(self.name.encode())))


def relative_error(got: Any, want: Any) -> float:
    """Largest difference of two arrays of one shape, relative to the largest entry of `want`."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    scale = float(np.max(np.abs(want), initial=0.0))
    return float(np.max(np.abs(got - want), initial=0.0)) / (scale or 1.0)


# ---------------------------------------------------------------- plain functions


def sigmoid(xp: Any, z: Any) -> Any:
    return 0.5 * (1 + xp.tanh(0.5 * z))


def relu(xp: Any, z: Any) -> Any:
    return xp.maximum(z, 0.0)


def tanh(xp: Any, z: Any) -> Any:
    return xp.tanh(z)


def softmax(xp: Any, z: Any) -> Any:
    e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def log_softmax(xp: Any, z: Any) -> Any:
    z = z - xp.max(z, axis=-1, keepdims=True)
    return z - xp.log(xp.sum(xp.exp(z), axis=-1, keepdims=True))


def squares(xp: Any, r: Any) -> Any:
    return xp.sum(r * r)


ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid}

# keeps the size of a signal about the same from layer to layer, so that a gradient of layer 1 of 20 can be measured
GAIN = {"tanh": 1.2, "relu": 1.45, "sigmoid": 6.0}


# ---------------------------------------------------------------- data


def normal(**shapes: tuple[int, ...]) -> Data:
    """Data of independent standard normal numbers."""
    return lambda rng: {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def one_hot(rng: np.random.Generator, rows: int, classes: int) -> Any:
    return np.eye(classes)[rng.integers(classes, size=rows)]


def with_arrays(data: Data, **makers: Callable[[np.random.Generator], Any]) -> Data:
    """The same data, with some arrays made in another way."""
    return lambda rng: data(rng) | {name: make(rng) for name, make in makers.items()}


# ---------------------------------------------------------------- dense nets


def dense_sizes(depth: int) -> list[tuple[int, int]]:
    """(in, out) of every layer; the first prime is left for the batch."""
    return list(pairwise(PRIMES[1 : depth + 2]))


def dense_names(depth: int) -> tuple[str, ...]:
    return tuple(f"{name}{m}" for m in range(1, depth + 1) for name in ("W", "c"))


def dense_layers(depth: int, act: str) -> str:
    """`Z1[b,j] = Y0[b,K] W1[K,j] + c1[j]; Y1[b,j] = tanh(Z1[b,j])` and so on."""
    layer = "Z{m}[b,j] = Y{n}[b,K] W{m}[K,j] + c{m}[j]\nY{m}[b,j] = {act}(Z{m}[b,j])\n"
    return "".join(layer.format(m=m, n=m - 1, act=act) for m in range(1, depth + 1))


def dense_data(depth: int, act: str) -> Data:
    def make(rng: np.random.Generator) -> Arrays:
        arrays: Arrays = {"Y0": rng.standard_normal((PRIMES[0], PRIMES[1]))}
        for m, (n_in, n_out) in enumerate(dense_sizes(depth), 1):
            arrays[f"W{m}"] = rng.standard_normal((n_in, n_out)) * GAIN[act] / np.sqrt(n_in)
            arrays[f"c{m}"] = rng.standard_normal(n_out) * 0.3
        return arrays

    return make


def dense_forward(xp: Any, a: Arrays, depth: int, act: str) -> tuple[Any, Any]:
    """Z and Y of the last layer."""
    y, z = a["Y0"], a["Y0"]
    for m in range(1, depth + 1):
        z = y @ a[f"W{m}"] + a[f"c{m}"]
        y = ACTIVATIONS[act](xp, z)
    return z, y


def dense_squared(depth: int, act: str) -> Model:
    n = PRIMES[depth + 1]
    return Model(
        name=f"dense-{depth}-{act}-squared",
        text=dense_layers(depth, act) + f"L = (Y{depth}[B,J] - T[B,J]) (Y{depth}[B,J] - T[B,J])",
        of="L",
        wrt=(*dense_names(depth), "Y0"),
        data=with_arrays(dense_data(depth, act), T=lambda rng: rng.standard_normal((PRIMES[0], n))),
        loss=lambda xp, a: squares(xp, dense_forward(xp, a, depth, act)[1] - a["T"]),
    )


def dense_entropy(depth: int, act: str) -> Model:
    """Softmax cross entropy of the last layer's Z (its Y is not used, and left out)."""
    text = dense_layers(depth, act).rsplit("\n", 2)[0]
    return Model(
        name=f"dense-{depth}-{act}-entropy",
        text=f"{text}\nL = -T[B,C] log_softmax[C](Z{depth}[B,C])",
        of="L",
        wrt=(*dense_names(depth), "Y0"),
        data=with_arrays(dense_data(depth, act), T=lambda rng: one_hot(rng, PRIMES[0], PRIMES[depth + 1])),
        loss=lambda xp, a: -xp.sum(a["T"] * log_softmax(xp, dense_forward(xp, a, depth, act)[0])),
    )


def entropy_spelled_out() -> Model:
    """The mean, with softmax and logarithm written naively."""
    return Model(
        name="entropy-naive",
        text="""
            Z[b,c] = X[b,K] W[K,c] + w0[c]
            P[b,c] = exp(Z[b,c]) / sum[c](exp(Z[b,c]))
            L = -T[B,C] log(P[B,C]) / size(X,1)
        """,
        of="L",
        wrt=("W", "w0", "X"),
        data=with_arrays(normal(X=(11, 7), W=(7, 5), w0=(5,)), T=lambda rng: one_hot(rng, 11, 5)),
        loss=lambda xp, a: -xp.sum(a["T"] * log_softmax(xp, a["X"] @ a["W"] + a["w0"])) / 11,
    )


# ---------------------------------------------------------------- LSTM

GATES = {"f": "sigmoid", "i": "sigmoid", "o": "sigmoid", "g": "tanh"}
LSTM_SIZES = {"b": 3, "h": 5, "x": 7}


def concat_gate(gate: str, act: str, t: int) -> str:
    joined = f"[h{t - 1}[b,K], x{t}[b,K]]_K"
    return f"{gate}{t}[b,j] = {act}(W{gate}[j,K] {joined} + b{gate}[j])\n"


def block_gate(gate: str, act: str, t: int) -> str:
    return f"{gate}{t}[b,j] = {act}(U{gate}[j,K] h{t - 1}[b,K] + V{gate}[j,M] x{t}[b,M] + b{gate}[j])\n"


def lstm_text(gate: Callable[[str, str, int], str], steps: int) -> str:
    """`steps` steps of the cell, written out; `C` is the cell, `h` what it shows."""
    lines = []
    for t in range(1, steps + 1):
        lines += [gate(name, act, t) for name, act in GATES.items()]
        lines.append(f"C{t}[b,j] = f{t}[b,j] C{t - 1}[b,j] + i{t}[b,j] g{t}[b,j]\n")
        lines.append(f"h{t}[b,j] = o{t}[b,j] tanh(C{t}[b,j])\n")
    return "".join(lines) + f"L = (h{steps}[B,J] - Y[B,J]) (h{steps}[B,J] - Y[B,J])"


def lstm_weights(form: str) -> dict[str, tuple[int, ...]]:
    h, x = LSTM_SIZES["h"], LSTM_SIZES["x"]
    kinds = {"W": (h, h + x)} if form == "concat" else {"U": (h, h), "V": (h, x)}
    return {f"{kind}{gate}": shape for gate in GATES for kind, shape in (kinds | {"b": (h,)}).items()}


def lstm_data(form: str, steps: int) -> Data:
    b, h, x = LSTM_SIZES.values()

    def make(rng: np.random.Generator) -> Arrays:
        weights = {n: rng.standard_normal(s) * 0.6 for n, s in lstm_weights(form).items()}
        weights["bf"] += 3  # remembers: the start still matters after 30 steps
        states = {n: rng.standard_normal((b, h)) for n in ("h0", "C0", "Y")}
        return weights | states | {f"x{t}": rng.standard_normal((b, x)) for t in range(1, steps + 1)}

    return make


def lstm_loss(form: str, steps: int) -> Loss:
    def gate(xp: Any, a: Arrays, name: str, h: Any, x: Any) -> Any:
        if form == "concat":
            return xp.concatenate([h, x], axis=1) @ a[f"W{name}"].T + a[f"b{name}"]
        return h @ a[f"U{name}"].T + x @ a[f"V{name}"].T + a[f"b{name}"]

    def loss(xp: Any, a: Arrays) -> Any:
        h, c = a["h0"], a["C0"]
        for t in range(1, steps + 1):
            z = {name: gate(xp, a, name, h, a[f"x{t}"]) for name in GATES}
            c = sigmoid(xp, z["f"]) * c + sigmoid(xp, z["i"]) * xp.tanh(z["g"])
            h = sigmoid(xp, z["o"]) * xp.tanh(c)
        return squares(xp, h - a["Y"])

    return loss


def lstm(form: str, steps: int) -> Model:
    return Model(
        name=f"lstm-{form}-{steps}",
        text=lstm_text(concat_gate if form == "concat" else block_gate, steps),
        of="L",
        wrt=(*lstm_weights(form), "h0", "C0", "x1"),
        data=lstm_data(form, steps),
        loss=lstm_loss(form, steps),
    )


# ---------------------------------------------------------------- gated readout


def gates(xp: Any, a: Arrays) -> tuple[Any, Any]:
    """The two dense layers on [h, x], for any number of leading axes."""
    hx = xp.concatenate([a["h"], a["x"]], axis=-1)
    return sigmoid(xp, hx @ a["Wi"] + a["bi"]), xp.tanh(hx @ a["Wj"] + a["bj"])


READOUT_WEIGHTS = {"Wi": (12, 3), "bi": (3,), "Wj": (12, 3), "bj": (3,)}  # [h, x]: 5 + 7
READOUT_WRT = ("Wi", "bi", "Wj", "bj", "h", "x")

READOUT_ONE = Model(
    name="readout-one-graph",
    text="""
        A[v,d] = sigmoid([h[v,K], x[v,K]]_K Wi[K,d] + bi[d])
        B[v,d] = tanh([h[v,K], x[v,K]]_K Wj[K,d] + bj[d])
        r[d] = tanh(A[V,d] B[V,d])
        L = (r[D] - T[D]) (r[D] - T[D])
    """,
    of="L",
    wrt=READOUT_WRT,
    data=normal(h=(11, 5), x=(11, 7), T=(3,), **READOUT_WEIGHTS),
    loss=lambda xp, a: squares(xp, xp.tanh(xp.sum(xp.multiply(*gates(xp, a)), axis=0)) - a["T"]),
)

READOUT_BATCH = Model(
    name="readout-batch",
    text="""
        A[g,v,d] = sigmoid([h[g,v,K], x[g,v,K]]_K Wi[K,d] + bi[d])
        B[g,v,d] = tanh([h[g,v,K], x[g,v,K]]_K Wj[K,d] + bj[d])
        r[g,d] = tanh(A[g,V,d] B[g,V,d])
        L = (r[G,D] - T[G,D]) (r[G,D] - T[G,D])
    """,
    of="L",
    wrt=READOUT_WRT,
    data=normal(h=(2, 11, 5), x=(2, 11, 7), T=(2, 3), **READOUT_WEIGHTS),
    loss=lambda xp, a: squares(xp, xp.tanh(xp.sum(xp.multiply(*gates(xp, a)), axis=1)) - a["T"]),
)

READOUT_MEMBERS = Model(
    name="readout-membership",
    text="""
        A[v,d] = sigmoid([h[v,K], x[v,K]]_K Wi[K,d] + bi[d])
        B[v,d] = tanh([h[v,K], x[v,K]]_K Wj[K,d] + bj[d])
        r[g,d] = tanh(S[g,V] A[V,d] B[V,d])
        L = (r[G,D] - T[G,D]) (r[G,D] - T[G,D])
    """,
    of="L",
    wrt=READOUT_WRT,
    data=with_arrays(
        normal(h=(13, 5), x=(13, 7), T=(2, 3), **READOUT_WEIGHTS),
        S=lambda rng: one_hot(rng, 13, 2).T,  # S[g,v] = 1 where node v belongs to graph g
    ),
    loss=lambda xp, a: squares(xp, xp.tanh(a["S"] @ xp.multiply(*gates(xp, a))) - a["T"]),
)

# ---------------------------------------------------------------- attention

ATTENTION_ONE = Model(
    name="attention-one-head",
    text="""
        Q[n,a] = X[n,K] Wq[K,a]
        R[m,a] = Y[m,K] Wk[K,a]
        V[m,e] = Y[m,K] Wv[K,e]
        S[n,m] = Q[n,A] R[m,A] / sqrt(size(Q,2))
        P[n,m] = softmax[m](S[n,m])
        O[n,e] = P[n,M] V[M,e]
        L = (O[N,E] - T[N,E]) (O[N,E] - T[N,E])
    """,
    of="L",
    wrt=("Wq", "Wk", "Wv", "X", "Y"),
    data=normal(X=(5, 7), Y=(11, 13), Wq=(7, 3), Wk=(13, 3), Wv=(13, 2), T=(5, 2)),
    loss=lambda xp, a: squares(
        xp,
        softmax(xp, (a["X"] @ a["Wq"]) @ (a["Y"] @ a["Wk"]).T / xp.sqrt(3.0)) @ (a["Y"] @ a["Wv"]) - a["T"],
    ),
)


def self_attention(xp: Any, a: Arrays) -> Any:
    q, k, v = (a["X"] @ a[w] for w in ("Wq", "Wk", "Wv"))
    return softmax(xp, q @ xp.swapaxes(k, 1, 2) / xp.sqrt(3.0)) @ v


ATTENTION_BATCH = Model(
    name="attention-batch",
    text="""
        Q[b,n,a] = X[b,n,K] Wq[K,a]
        R[b,m,a] = X[b,m,K] Wk[K,a]
        V[b,m,e] = X[b,m,K] Wv[K,e]
        S[b,n,m] = Q[b,n,A] R[b,m,A] / sqrt(|A|)
        P[b,n,m] = exp(S[b,n,m]) / sum[m](exp(S[b,n,m]))
        O[b,n,e] = P[b,n,M] V[b,M,e]
        L = (O[B,N,E] - T[B,N,E]) (O[B,N,E] - T[B,N,E])
    """,
    of="L",
    wrt=("Wq", "Wk", "Wv", "X"),
    data=normal(X=(2, 11, 7), Wq=(7, 3), Wk=(7, 3), Wv=(7, 5), T=(2, 11, 5)),
    loss=lambda xp, a: squares(xp, self_attention(xp, a) - a["T"]),
)


def heads_attention(xp: Any, a: Arrays) -> Any:
    q, k, v = (xp.einsum("bnk,hka->bhna", a["X"], a[w]) for w in ("Wq", "Wk", "Wv"))
    p = softmax(xp, q @ xp.swapaxes(k, 2, 3) / xp.sqrt(3.0))
    return xp.einsum("bhne,hef->bnf", p @ v, a["Wo"])


ATTENTION_HEADS = Model(
    name="attention-heads",
    text="""
        Q[b,h,n,a] = X[b,n,K] Wq[h,K,a]
        R[b,h,m,a] = X[b,m,K] Wk[h,K,a]
        V[b,h,m,e] = X[b,m,K] Wv[h,K,e]
        P[b,h,n,m] = softmax[m](Q[b,h,n,A] R[b,h,m,A] / sqrt(size(Wq,3)))
        O[b,n,f] = P[b,H,n,M] V[b,H,M,E] Wo[H,E,f]
        L = (O[B,N,F] - T[B,N,F]) (O[B,N,F] - T[B,N,F])
    """,
    of="L",
    wrt=("Wq", "Wk", "Wv", "Wo", "X"),
    data=normal(X=(2, 11, 7), Wq=(5, 7, 3), Wk=(5, 7, 3), Wv=(5, 7, 13), Wo=(5, 13, 17), T=(2, 11, 17)),
    loss=lambda xp, a: squares(xp, heads_attention(xp, a) - a["T"]),
)

# ---------------------------------------------------------------- small models


def labels(rng: np.random.Generator) -> Any:
    return rng.integers(2, size=11).astype(float)


def logistic_loss(xp: Any, a: Arrays) -> Any:
    z = a["X"] @ a["w"] + a["c"]
    return xp.sum(xp.logaddexp(0.0, z) - a["t"] * z)


LOGISTIC_DATA = with_arrays(normal(X=(11, 5), w=(5,), c=()), t=labels)

LOGISTIC = Model(
    name="logistic-regression",
    text="""
        p[n] = sigmoid(X[n,K] w[K] + c)
        L = -(t[N] log(p[N]) + (1 - t[N]) log(1 - p[N]))
    """,
    of="L",
    wrt=("w", "c", "X"),
    data=LOGISTIC_DATA,
    loss=logistic_loss,
)

LOGISTIC_STABLE = Model(
    name="logistic-regression-softplus",
    text="""
        z[n] = X[n,K] w[K] + c
        L = sum[n](softplus(z[n])) - t[N] z[N]
    """,
    of="L",
    wrt=("w", "c", "X"),
    data=LOGISTIC_DATA,
    loss=logistic_loss,
)

FACTORISATION = Model(
    name="matrix-factorisation-mask",
    text="""
        R[i,j] = M[i,j] (Y[i,j] - U[i,K] V[j,K])
        L = R[I,J] R[I,J] + 0.1 (U[I,K] U[I,K] + V[J,K] V[J,K])
    """,
    of="L",
    wrt=("U", "V"),
    data=with_arrays(
        normal(Y=(7, 11), U=(7, 3), V=(11, 3)),
        M=lambda rng: (rng.random((7, 11)) < 0.6).astype(float),
    ),
    loss=lambda xp, a: (
        squares(xp, a["M"] * (a["Y"] - a["U"] @ a["V"].T)) + 0.1 * (squares(xp, a["U"]) + squares(xp, a["V"]))
    ),
)


def layer_norm(xp: Any, a: Arrays) -> Any:
    d = a["X"] - xp.mean(a["X"], axis=1, keepdims=True)
    return a["g"] * d / xp.sqrt(xp.mean(d * d, axis=1, keepdims=True) + 1e-5) + a["c"]


LAYER_NORM = Model(
    name="layer-norm",
    text="""
        m[b] = mean[k](X[b,k])
        v[b] = mean[k]((X[b,k] - m[b])^2)
        Y[b,k] = g[k] (X[b,k] - m[b]) / sqrt(v[b] + 1e-5) + c[k]
        L = (Y[B,K] - T[B,K]) (Y[B,K] - T[B,K])
    """,
    of="L",
    wrt=("X", "g", "c"),
    data=normal(X=(5, 11), g=(11,), c=(11,), T=(5, 11)),
    loss=lambda xp, a: squares(xp, layer_norm(xp, a) - a["T"]),
)

# ---------------------------------------------------------------- the source documents (SEEDS), row by row
# Each vector- or matrix-valued formula is made a number by a given cotangent G, so its gradient is a vjp.

SEED_READOUT = Model(
    name="seed-A2-A4-gated-sum",
    text="""
        label g
        A[v,d] = sigmoid(a[v,d])
        B[v,d] = tanh(c[v,d])
        h_g[d] = tanh(A[V,d] B[V,d])
        L = G[D] h_g[D]
    """,
    of="L",
    wrt=("a", "c"),
    data=normal(a=(7, 3), c=(7, 3), G=(3,)),
    loss=lambda xp, a: a["G"] @ xp.tanh(xp.sum(sigmoid(xp, a["a"]) * xp.tanh(a["c"]), axis=0)),
)

SEED_READOUT_ODOT = Model(
    name="seed-A1-odot",
    text="""
        h[d] = tanh(sum[v](sigmoid(a[v,d]) ⊙ tanh(c[v,d])))
        L = G[D] h[D]
    """,
    of="L",
    wrt=("a", "c"),
    data=SEED_READOUT.data,
    loss=SEED_READOUT.loss,
)

SEED_DIAGONAL = Model(
    name="seed-A5-diagonal-readout",
    text="""
        h[d] = A[V,d] B[V,d]
        L = G[D] h[D] + A[V,D] B[V,D]
    """,
    of="L",
    wrt=("A", "B"),
    data=normal(A=(7, 3), B=(7, 3), G=(3,)),
    loss=lambda xp, a: xp.sum(a["A"] * a["B"] * (a["G"] + 1.0)),
)

SEED_PRODUCT = Model(
    name="seed-A6-matrix-product",
    text="""
        h[v,d] = tanh(A[v,K] B[K,d])
        L = G[V,D] h[V,D]
    """,
    of="L",
    wrt=("A", "B"),
    data=normal(A=(7, 3), B=(3, 5), G=(7, 5)),
    loss=lambda xp, a: xp.sum(a["G"] * xp.tanh(a["A"] @ a["B"])),
)


def forget_gate(xp: Any, a: Arrays) -> Any:
    hx = xp.concatenate([a["h"], a["x"]])
    return xp.sum(a["G"] * sigmoid(xp, a["Wf"] @ hx + a["bf"]))


SEED_FORGET = Model(
    name="seed-B1-forget-gate",
    text="""
        f[j] = sigmoid(Wf[j,K] [h[K], x[K]]_K + bf[j])
        L = G[J] f[J]
    """,
    of="L",
    wrt=("Wf", "bf", "h", "x"),
    data=normal(Wf=(3, 12), h=(5,), x=(7,), bf=(3,), G=(3,)),
    loss=forget_gate,
)

SEED_FORGET_LABELS = Model(
    name="seed-B1-forget-gate-labels",
    text="""
        label f
        f[j] = σ(W_f[j,K] [h[K], x[K]]_K + b_f[j])
        L = G[J] f[J]
    """,
    of="L",
    wrt=("W_f", "b_f", "h", "x"),
    data=normal(W_f=(3, 12), h=(5,), x=(7,), b_f=(3,), G=(3,)),
    loss=lambda xp, a: forget_gate(xp, a | {"Wf": a["W_f"], "bf": a["b_f"]}),
)

SEED_FORGET_NUMBERS = Model(
    name="seed-B6-forget-gate-numbers",
    text=SEED_FORGET.text,
    of="L",
    wrt=SEED_FORGET.wrt,
    data=lambda rng: {
        "Wf": np.array([[0.0, 1, 0, 1], [2, 3, 2, 3]]),
        "h": np.array([-1.0, 2]),
        "x": np.array([3.0, 0]),
        "bf": np.array([1.0, -2]),
        "G": rng.standard_normal(2),
    },
    loss=forget_gate,
)

SEED_FORGET_BLOCKS = Model(
    name="seed-B7-forget-gate-blocks",
    text="""
        f[j] = sigmoid(U[j,K] h[K] + V[j,M] x[M] + b[j])
        L = G[J] f[J]
    """,
    of="L",
    wrt=("U", "V", "b", "h", "x"),
    data=normal(U=(3, 5), V=(3, 7), h=(5,), x=(7,), b=(3,), G=(3,)),
    loss=lambda xp, a: xp.sum(a["G"] * sigmoid(xp, a["U"] @ a["h"] + a["V"] @ a["x"] + a["b"])),
)

SEED_INNER = Model(
    name="seed-C2-C3-inner-product",
    text="L = u[I] v[I] + (sum[i](u[i] v[i]))^2",
    of="L",
    wrt=("u", "v"),
    data=normal(u=(7,), v=(7,)),
    loss=lambda xp, a: a["u"] @ a["v"] + (a["u"] @ a["v"]) ** 2,
)

SEED_MATVEC = Model(
    name="seed-C4-C5-matrix-vector",
    text="""
        p[i] = A[K,i] b[K]
        q[i] = A[i,K] c[K]
        L = G[I] p[I] + H[I] q[I] + p[I] p[I] + q[I] q[I]
    """,
    of="L",
    wrt=("A", "b", "c"),
    data=normal(A=(5, 7), b=(5,), c=(7,), G=(7,), H=(5,)),
    loss=lambda xp, a: (
        a["G"] @ (a["A"].T @ a["b"])
        + a["H"] @ (a["A"] @ a["c"])
        + squares(xp, a["A"].T @ a["b"])
        + squares(xp, a["A"] @ a["c"])
    ),
)

SEED_GENERAL_INNER = Model(
    name="seed-C6-general-inner-product",
    text="""
        Z[i,j,p,q] = A[i,K,j] B[p,q,K]
        Y[i,j] = A[i,K,M] B[j,M,K]
        L = Z[I,J,P,Q] G[I,J,P,Q] + Y[I,J] H[I,J]
    """,
    of="L",
    wrt=("A", "B"),
    data=normal(A=(2, 5, 7), B=(3, 7, 5), G=(2, 7, 3, 7), H=(2, 3)),
    loss=lambda xp, a: (
        xp.sum(xp.einsum("ikj,pqk->ijpq", a["A"], a["B"]) * a["G"])
        + xp.sum(xp.einsum("ikm,jmk->ij", a["A"], a["B"]) * a["H"])
    ),
)

SEED_CHAIN_RULE = Model(
    name="seed-C12-chain-over-tuples",
    text="""
        Y[i,j] = sin(X[i,K] M[K,j])
        Z[p] = exp(N[p,I,J] Y[I,J])
        L = G[P] Z[P]
    """,
    of="L",
    wrt=("X", "M", "N"),
    data=lambda rng: normal(X=(2, 3), M=(3, 5), G=(7,))(rng) | {"N": 0.3 * rng.standard_normal((7, 2, 5))},
    loss=lambda xp, a: a["G"] @ xp.exp(xp.einsum("pij,ij->p", a["N"], xp.sin(a["X"] @ a["M"]))),
)

ARTICLE_TEXT = """
    Z^{(1)}[i,j] = X^{(0)}[i,K] W^{(1)}[K,j] + b^{(1)}[j]
    X^{(1)}[i,j] = sigmoid(Z^{(1)}[i,j])
    Z^{(2)}_{i,j} = X_{i,K}^{(1)} W_{K,j}^{(2)} + b_j^{(2)}
"""
ARTICLE_WRT = ("W^{(1)}", "b^{(1)}", "W^{(2)}", "b^{(2)}", "X^{(0)}")
ARTICLE_SHAPES = {
    "X^{(0)}": (11, 7),
    "W^{(1)}": (7, 5),
    "b^{(1)}": (5,),
    "W^{(2)}": (5, 3),
    "b^{(2)}": (3,),
    "Y": (11, 3),
}


def article_z2(xp: Any, a: Arrays) -> Any:
    x1 = sigmoid(xp, a["X^{(0)}"] @ a["W^{(1)}"] + a["b^{(1)}"])
    return x1 @ a["W^{(2)}"] + a["b^{(2)}"]


SEED_ARTICLE_ENTRYWISE = Model(
    name="seed-C14-C22-article-entrywise",
    text=ARTICLE_TEXT
    + """
    X^{(2)}[i,j] = σ_m(Z^{(2)}[i,j])
    R[i,j] = X^{(2)}[i,j] - Y[i,j]
    L = R[I,J] R[I,J] / 2
    label m
    """,
    of="L",
    wrt=ARTICLE_WRT,
    data=normal(**ARTICLE_SHAPES),
    loss=lambda xp, a: squares(xp, xp.tanh(article_z2(xp, a)) - a["Y"]) / 2,
    functions={"σ_m": "tanh"},
)

SEED_ARTICLE_ROWWISE = Model(
    name="seed-C14-C22-article-rowwise",
    text=ARTICLE_TEXT
    + """
    X^{(2)}[i,j] = softmax[j](Z^{(2)}[i,j])
    R[i,j] = X^{(2)}[i,j] - Y[i,j]
    L = R[I,J] R[I,J] / 2
    """,
    of="L",
    wrt=ARTICLE_WRT,
    data=normal(**ARTICLE_SHAPES),
    loss=lambda xp, a: squares(xp, softmax(xp, article_z2(xp, a)) - a["Y"]) / 2,
)

SEED_LINEAR = Model(
    name="seed-7-linear-layer",
    text="""
        R[i,j] = X[i,K] W[K,j] - T[i,j]
        L = R[I,J] R[I,J] / 2
    """,
    of="L",
    wrt=("W",),
    data=normal(X=(11, 5), W=(5, 3), T=(11, 3)),
    loss=lambda xp, a: squares(xp, a["X"] @ a["W"] - a["T"]) / 2,
)

# ---------------------------------------------------------------- functions of matrices


def covariance(xp: Any, a: Arrays) -> Any:
    apart = a["x"][:, None] - a["x"]
    near = xp.exp(-xp.sum(apart * apart, -1) / (2 * a["l"] ** 2))
    return a["s"] ** 2 * near + a["noise"] ** 2 * xp.eye(len(a["y"]))


def likelihood(xp: Any, a: Arrays) -> Any:
    """Minus the logarithm of the density of y."""
    k = covariance(xp, a)
    return (a["y"] @ xp.linalg.solve(k, a["y"]) + xp.linalg.slogdet(k)[1] + len(a["y"]) * np.log(2 * np.pi)) / 2


PROCESS_DATA = with_arrays(
    normal(x=(11, 3), y=(11,)),
    **{name: lambda rng, at=at: np.array(at + rng.random()) for name, at in (("s", 1.0), ("l", 0.7), ("noise", 0.3))},
)
GAUSSIAN_PROCESS = Model(
    name="gaussian-process",
    text=(Path(__file__).parent.parent / "examples" / "gaussian_process.ein").read_text("utf-8"),
    of="L",
    wrt=("s", "l", "noise", "x", "y"),
    data=PROCESS_DATA,
    loss=likelihood,
)
GAUSSIAN_CHOLESKY = Model(
    name="gaussian-process-cholesky",
    text="""
        K[i,j] = s^2 exp(-sum[k]((x[i,k] - x[j,k])^2) / (2 l^2)) + noise^2 delta[i,j]
        C[i,j] = cholesky[i,j](K[i,j])
        z[j] = solve[i,j](C[i,j], y[i])
        L = z[I] z[I] / 2 + sum[i](log(C[i,i])) + |y| log(2 pi) / 2
    """,
    of="L",
    wrt=("s", "l", "noise", "x", "y"),
    data=PROCESS_DATA,
    loss=likelihood,
)
GAUSSIANS = Model(
    name="gaussians",
    text="""
        S[n,i,j] = A[n,i,K] A[n,j,K] + delta[i,j]
        r[n,b,i] = X[b,i] - m[n,i]
        q[n,b] = sum[i](r[n,b,i] inv[i,J](S[n,i,J]) r[n,b,J])
        L = -sum[b](logsumexp[n](-q[n,b] / 2 - log(det[i,j](S[n,i,j])) / 2))
    """,
    of="L",
    wrt=("A", "m", "X"),
    data=normal(A=(2, 5, 3), m=(2, 5), X=(7, 5)),
    loss=lambda xp, a: gaussians(xp, a["A"] @ xp.swapaxes(a["A"], 1, 2) + xp.eye(a["m"].shape[1]), a["X"], a["m"]),
)


def gaussians(xp: Any, S: Any, X: Any, m: Any) -> Any:
    r = X - m[:, None]
    q = xp.sum(xp.linalg.solve(S, xp.swapaxes(r, 1, 2)) * xp.swapaxes(r, 1, 2), 1)
    return -xp.sum(xp.log(xp.sum(xp.exp(-q / 2 - xp.linalg.slogdet(S)[1][:, None] / 2), 0)))


# ---------------------------------------------------------------- the table

MODELS: tuple[Model, ...] = (
    *(dense_squared(depth, act) for depth in (1, 2, 5, 20) for act in ACTIVATIONS),
    dense_entropy(1, "tanh"),  # without a hidden layer the activation does not matter
    *(dense_entropy(depth, act) for depth in (2, 5, 20) for act in ACTIVATIONS),
    entropy_spelled_out(),
    *(lstm(form, steps) for form in ("concat", "block") for steps in (1, 30)),
    READOUT_ONE,
    READOUT_BATCH,
    READOUT_MEMBERS,
    ATTENTION_ONE,
    ATTENTION_BATCH,
    ATTENTION_HEADS,
    LOGISTIC,
    LOGISTIC_STABLE,
    FACTORISATION,
    LAYER_NORM,
    SEED_READOUT,
    SEED_READOUT_ODOT,
    SEED_DIAGONAL,
    SEED_PRODUCT,
    SEED_FORGET,
    SEED_FORGET_LABELS,
    SEED_FORGET_NUMBERS,
    SEED_FORGET_BLOCKS,
    SEED_INNER,
    SEED_MATVEC,
    SEED_GENERAL_INNER,
    SEED_CHAIN_RULE,
    SEED_ARTICLE_ENTRYWISE,
    SEED_ARTICLE_ROWWISE,
    SEED_LINEAR,
    GAUSSIAN_PROCESS,
    GAUSSIAN_CHOLESKY,
    GAUSSIANS,
)

every_model = pytest.mark.parametrize(
    "model", [pytest.param(m, id=m.name, marks=[pytest.mark.slow] * m.name.endswith("-30")) for m in MODELS]
)
