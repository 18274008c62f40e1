"""by_hand: gradients in numpy as a good engineer writes them: every result has its place, nothing is done twice.

Each function takes the arrays, makes the room, and returns a call without arguments that gives (value, gradients by
name) for what the arrays hold then. Results are the same arrays in every call. `d` before a name is the cotangent.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Call = Callable[[], tuple[Any, dict[str, np.ndarray]]]

GATES = ("f", "i", "o", "g")  # of an LSTM cell; g is a tanh, the others are sigmoids


def dense(a: Arrays, depth: int) -> Call:
    """`ys` holds Y1 .. Y(n-1) and R; Y becomes 1 - Y² where it stands, once nobody needs it."""
    x, t = a["Y0"], a["T"]
    ws, cs = ([a[f"{name}{m}"] for m in range(1, depth + 1)] for name in "Wc")
    ys = [np.empty((len(x), *c.shape), x.dtype) for c in cs]
    ds, dws, dcs = ([np.empty_like(v) for v in vs] for vs in (ys, ws, cs))
    grads = {f"{name}{m + 1}": grad[m] for m in range(depth) for name, grad in (("W", dws), ("c", dcs))}
    ones = np.ones(len(x), x.dtype)
    flat = ys[-1].reshape(-1)

    def call() -> tuple[Any, dict[str, np.ndarray]]:
        y = x
        for w, c, z in zip(ws, cs, ys, strict=True):
            np.dot(y, w, out=z)
            np.add(z, c, out=z)
            if z is not ys[-1]:
                np.tanh(z, out=z)
            y = z
        np.subtract(y, t, out=y)
        value = np.dot(flat, flat)
        np.multiply(y, 2, out=ds[-1])
        for m in range(depth - 1, -1, -1):
            y, d = ys[m - 1] if m else x, ds[m]
            np.dot(y.T, d, out=dws[m])
            np.dot(ones, d, out=dcs[m])
            if m:
                np.dot(d, ws[m].T, out=ds[m - 1])
                np.multiply(y, y, out=y)
                np.subtract(1, y, out=y)
                np.multiply(ds[m - 1], y, out=ds[m - 1])
        return value, grads

    return call


# ---------------------------------------------------------------- LSTM cell


def lstm_concat(a: Arrays) -> Call:
    """Each gate reads [h, x], which is joined once."""
    h, x = a["h"], a["x"]
    ws, bs = ([a[f"{name}{gate}"] for gate in GATES] for name in "Wb")
    hx = np.empty((len(h), h.shape[1] + x.shape[1]), h.dtype)
    dhx, part = np.empty_like(hx), np.empty_like(hx)
    dws, dbs = ([np.empty_like(v) for v in vs] for vs in (ws, bs))
    z = np.empty((4, *h.shape), h.dtype)
    middle, dz, dc = lstm_middle(a, z)
    ones = np.ones(len(h), h.dtype)
    grads = {f"{name}{gate}": grad[n] for n, gate in enumerate(GATES) for name, grad in (("W", dws), ("b", dbs))}
    grads |= {"h": dhx[:, : h.shape[1]], "x": dhx[:, h.shape[1] :], "C": dc}

    def call() -> tuple[Any, dict[str, np.ndarray]]:
        np.concatenate([h, x], axis=1, out=hx)
        for n in range(4):
            np.dot(hx, ws[n].T, out=z[n])
            np.add(z[n], bs[n], out=z[n])
        value = middle()
        for n in range(4):
            np.dot(dz[n].T, hx, out=dws[n])
            np.dot(ones, dz[n], out=dbs[n])
            np.dot(dz[n], ws[n], out=part if n else dhx)
            if n:
                np.add(dhx, part, out=dhx)
        return value, grads

    return call


def lstm_block(a: Arrays) -> Call:
    """Each gate has a matrix for h and one for x."""
    h, x = a["h"], a["x"]
    us, vs, bs = ([a[f"{name}{gate}"] for gate in GATES] for name in "UVb")
    dus, dvs, dbs = ([np.empty_like(v) for v in weights] for weights in (us, vs, bs))
    z, from_x = np.empty((4, *h.shape), h.dtype), np.empty_like(h)
    dh, dx, to_h, to_x = np.empty_like(h), np.empty_like(x), np.empty_like(h), np.empty_like(x)
    middle, dz, dc = lstm_middle(a, z)
    ones = np.ones(len(h), h.dtype)
    by_kind = (("U", dus), ("V", dvs), ("b", dbs))
    grads = {f"{name}{gate}": grad[n] for n, gate in enumerate(GATES) for name, grad in by_kind}
    grads |= {"h": dh, "x": dx, "C": dc}

    def call() -> tuple[Any, dict[str, np.ndarray]]:
        for n in range(4):
            np.dot(h, us[n].T, out=z[n])
            np.dot(x, vs[n].T, out=from_x)
            np.add(z[n], from_x, out=z[n])
            np.add(z[n], bs[n], out=z[n])
        value = middle()
        for n in range(4):
            np.dot(dz[n].T, h, out=dus[n])
            np.dot(dz[n].T, x, out=dvs[n])
            np.dot(ones, dz[n], out=dbs[n])
            np.dot(dz[n], us[n], out=to_h if n else dh)
            np.dot(dz[n], vs[n], out=to_x if n else dx)
            if n:
                np.add(dh, to_h, out=dh)
                np.add(dx, to_x, out=dx)
        return value, grads

    return call


def lstm_middle(a: Arrays, z: np.ndarray) -> tuple[Callable[[], Any], np.ndarray, np.ndarray]:
    """All that stands between the gates' linear parts `z` (which it overwrites) and their cotangents.

    Returns the job, which gives the loss, and where it leaves dz and dC. sigmoid(z) is (1 + tanh(z/2)) / 2.
    """
    c0, t = a["C"], a["T"]
    f, i, o, g = z
    c, y, r, dc1, dc = (np.empty_like(c0) for _ in range(5))
    dz, slope = np.empty_like(z), np.empty_like(z)
    flat = r.reshape(-1)

    def middle() -> Any:
        np.multiply(z[:3], 0.5, out=z[:3])
        np.tanh(z, out=z)
        np.multiply(z[:3], 0.5, out=z[:3])
        np.add(z[:3], 0.5, out=z[:3])
        np.multiply(f, c0, out=c)
        np.multiply(i, g, out=y)
        np.add(c, y, out=c)
        np.tanh(c, out=y)
        np.multiply(o, y, out=r)
        np.subtract(r, t, out=r)
        value = np.dot(flat, flat)
        np.multiply(r, 2, out=r)
        np.multiply(r, y, out=dz[2])
        np.multiply(y, y, out=y)
        np.subtract(1, y, out=y)
        np.multiply(r, o, out=dc1)
        np.multiply(dc1, y, out=dc1)
        np.multiply(dc1, c0, out=dz[0])
        np.multiply(dc1, g, out=dz[1])
        np.multiply(dc1, i, out=dz[3])
        np.multiply(dc1, f, out=dc)
        np.multiply(z, z, out=slope)
        np.subtract(z[:3], slope[:3], out=slope[:3])
        np.subtract(1, slope[3], out=slope[3])
        np.multiply(dz, slope, out=dz)
        return value

    return middle, dz, dc


# ---------------------------------------------------------------- readout, attention


def readout(a: Arrays) -> Call:
    """A = sigmoid(a) = w/2, w = 1 + tanh(a/2); B = t = tanh(c); A ⊙ B = P/2, P = w t; and with q the cotangent of the
    sum of P/2: da = q P (2 - w) / 4, dc = q (w - P t) / 2."""
    h, x, target = a["h"], a["x"], a["T"]
    (graphs, nodes, n), out = h.shape, target.shape[1]
    rows = graphs * nodes
    hx = np.empty((graphs, nodes, n + x.shape[2]), h.dtype)
    flat_hx, half = hx.reshape(rows, -1), np.empty_like(a["Wi"])
    w, t, p = (np.empty((rows, out), h.dtype) for _ in range(3))
    w3, t3, p3 = (v.reshape(graphs, nodes, out) for v in (w, t, p))
    r, q, half_bi = np.empty_like(target), np.empty_like(target), np.empty_like(a["bi"])
    grads = {name: np.empty_like(a[name]) for name in ("h", "Wi", "bi", "Wj", "bj")}
    dh, to_h = grads["h"].reshape(rows, n), np.empty((rows, n), h.dtype)
    ones = np.ones(rows, h.dtype)

    def call() -> tuple[Any, dict[str, np.ndarray]]:
        np.concatenate([h, x], axis=2, out=hx)
        np.multiply(a["Wi"], 0.5, out=half)
        np.multiply(a["bi"], 0.5, out=half_bi)
        np.dot(flat_hx, half, out=w)
        np.add(w, half_bi, out=w)
        np.tanh(w, out=w)
        np.add(w, 1, out=w)
        np.dot(flat_hx, a["Wj"], out=t)
        np.add(t, a["bj"], out=t)
        np.tanh(t, out=t)
        np.multiply(w, t, out=p)
        np.add.reduce(p3, axis=1, out=r)
        np.multiply(r, 0.5, out=r)
        np.tanh(r, out=r)
        np.subtract(r, target, out=q)
        value = np.vdot(q, q)
        np.multiply(r, r, out=r)
        np.subtract(1, r, out=r)
        np.multiply(q, r, out=q)  # half of q
        np.multiply(p, t, out=t)
        np.subtract(w, t, out=t)
        np.multiply(t3, q[:, None], out=t3)
        np.multiply(q, 0.5, out=q)
        np.subtract(2, w, out=w)
        np.multiply(w, p, out=w)
        np.multiply(w3, q[:, None], out=w3)
        for d, weight, bias in ((w, "Wi", "bi"), (t, "Wj", "bj")):
            np.dot(flat_hx.T, d, out=grads[weight])
            np.dot(ones, d, out=grads[bias])
        np.dot(w, a["Wi"][:n].T, out=dh)
        np.dot(t, a["Wj"][:n].T, out=to_h)
        np.add(dh, to_h, out=dh)
        return value, grads

    return call


def attention(a: Arrays) -> Call:
    """Σ_m P dP is taken as Σ_d O dO, which has fewer entries."""
    q, k, v, t = (a[name] for name in "qkvT")
    scale = 1 / sqrt(q.shape[2])
    qs, o, do = np.empty_like(q), np.empty_like(t), np.empty_like(t)
    p = np.empty((len(q), q.shape[1], k.shape[1]), q.dtype)
    ds, row = np.empty_like(p), np.empty((*p.shape[:2], 1), q.dtype)
    grads = {name: np.empty_like(a[name]) for name in "qkv"}
    flat = do.reshape(-1)

    def call() -> tuple[Any, dict[str, np.ndarray]]:
        np.multiply(q, scale, out=qs)
        np.matmul(qs, k.transpose(0, 2, 1), out=p)
        np.maximum.reduce(p, axis=2, keepdims=True, out=row)
        np.subtract(p, row, out=p)
        np.exp(p, out=p)
        np.add.reduce(p, axis=2, keepdims=True, out=row)
        np.divide(p, row, out=p)
        np.matmul(p, v, out=o)
        np.subtract(o, t, out=do)
        value = np.dot(flat, flat)
        np.multiply(do, 2, out=do)
        np.matmul(p.transpose(0, 2, 1), do, out=grads["v"])
        np.matmul(do, v.transpose(0, 2, 1), out=ds)
        np.einsum("bnd,bnd->bn", o, do, out=row[:, :, 0])
        np.subtract(ds, row, out=ds)
        np.multiply(ds, p, out=ds)
        np.matmul(ds.transpose(0, 2, 1), qs, out=grads["k"])
        np.matmul(ds, k, out=grads["q"])
        np.multiply(grads["q"], scale, out=grads["q"])
        return value, grads

    return call


# ---------------------------------------------------------------- layer norm, logistic regression


def layer_norm(a: Arrays) -> Call:
    """N = (x - mean) / s, dx = (D g - mean(D g) - N mean(D g N)) / s. D is half the cotangent."""
    x, g, c, t = (a[name] for name in "xgcT")
    rows, n = x.shape
    u, r, rn = (np.empty_like(x) for _ in range(3))
    row, s, along = (np.empty((rows, 1), x.dtype) for _ in range(3))
    grads = {name: np.empty_like(a[name]) for name in "xgc"}
    dx, flat = grads["x"], r.reshape(-1)
    mean, twos, g_mean = np.full((n, 1), 1 / n, x.dtype), np.full(rows, 2, x.dtype), np.empty((n, 1), x.dtype)

    def call() -> tuple[Any, dict[str, np.ndarray]]:
        np.dot(x, mean, out=row)
        np.subtract(x, row, out=u)
        np.einsum("bk,bk->b", u, u, out=s[:, 0])
        np.divide(s, n, out=s)
        np.add(s, 1e-5, out=s)
        np.sqrt(s, out=s)
        np.divide(1, s, out=s)
        np.multiply(u, s, out=u)  # N
        np.multiply(u, g, out=r)
        np.add(r, c, out=r)
        np.subtract(r, t, out=r)  # D
        value = np.dot(flat, flat)
        np.multiply(r, u, out=rn)
        np.dot(twos, rn, out=grads["g"])
        np.dot(twos, r, out=grads["c"])
        np.multiply(g, 1 / n, out=g_mean[:, 0])
        np.dot(r, g_mean, out=row)
        np.dot(rn, g_mean, out=along)
        np.multiply(r, g, out=dx)
        np.subtract(dx, row, out=dx)
        np.multiply(u, along, out=u)
        np.subtract(dx, u, out=dx)
        np.multiply(s, 2, out=s)
        np.multiply(dx, s, out=dx)
        return value, grads

    return call


def logistic(a: Arrays) -> Call:
    x, w, y = a["X"], a["w"], a["y"]
    z, e = np.empty_like(y), np.empty_like(y)
    dw = np.empty_like(w)

    def call() -> tuple[Any, dict[str, np.ndarray]]:
        np.dot(x, w, out=z)
        np.add(z, a["c"], out=z)
        value = np.logaddexp(0, z, out=e).sum() - np.dot(y, z)
        np.negative(z, out=e)
        np.exp(e, out=e)
        np.add(e, 1, out=e)
        np.divide(1, e, out=e)
        np.subtract(e, y, out=e)
        np.dot(e, x, out=dw)
        return value, {"w": dw, "c": e.sum()}

    return call


# ---------------------------------------------------------------- matrix product states


def sites_of(a: Arrays, sites: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The tensors of both states as (left, physical, right); the ends get an axis of size 1."""
    found = [[a[f"{name}{k}"] for k in range(sites)] for name in "UV"]
    for state in found:
        state[0], state[-1] = state[0][None], state[-1][..., None]
    return list(zip(*found, strict=True))


def mps(a: Arrays, sites: int) -> Call:
    """From left to right, and back."""
    grads = {name: np.empty_like(array) for name, array in a.items()}
    steps = []
    one = e = np.ones((1, 1), a["U0"].dtype)
    for tensors, cotangents in zip(sites_of(a, sites), sites_of(grads, sites), strict=True):
        forward, back, e = mps_site(e, *tensors, *cotangents)
        steps.append((forward, back))

    def call() -> tuple[Any, dict[str, np.ndarray]]:
        for forward, _ in steps:
            forward()
        d = one
        for _, back in reversed(steps):
            d = back(d)
        return e[0, 0], grads

    return call


def mps_site(
    e: np.ndarray, u: np.ndarray, v: np.ndarray, du: np.ndarray, dv: np.ndarray
) -> tuple[Callable[[], None], Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """t = eᵀ U, then e' = tᵀ V; `back` takes the cotangent of e' to that of e. e' is the third result."""
    left, _, right = u.shape
    t, dt, de, after = np.empty_like(u), np.empty_like(u), np.empty_like(e), np.empty((right, right), u.dtype)
    u, du, t_wide, dt_wide = (x.reshape(left, -1) for x in (u, du, t, dt))
    v, dv, t_tall, dt_tall = (x.reshape(-1, right) for x in (v, dv, t, dt))

    def forward() -> None:
        np.dot(e.T, u, out=t_wide)
        np.dot(t_tall.T, v, out=after)

    def back(d: np.ndarray) -> np.ndarray:
        np.dot(t_tall, d, out=dv)
        np.dot(v, d.T, out=dt_tall)
        np.dot(e, dt_wide, out=du)
        np.dot(u, dt_wide.T, out=de)
        return de

    return forward, back, after
