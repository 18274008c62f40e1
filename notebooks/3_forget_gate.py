# %% [markdown]
# # 3. The forget gate, and the LSTM around it
#
# Somebody on a forum reads about LSTMs and is lost at the first formula:
#
# $$f_t = \sigma(W_f \cdot [h_{t-1}, x_t] + b_f)$$
#
# "I think a vector should go into the activation function since the output $f$ is a vector, but the syntax of the
# forget gate above implies that the input has 2 columns because $[h, x]$ will be an $n \times 2$ matrix." And with
#
# $$W = \begin{bmatrix} 0 & 1 \\ 2 & 3 \end{bmatrix},\quad h = \begin{bmatrix} -1 \\ 2 \end{bmatrix},\quad
#   x = \begin{bmatrix} 3 \\ 0 \end{bmatrix},\quad b = \begin{bmatrix} 1 \\ -2 \end{bmatrix}$$
#
# the result is, in their words, "something wrong". The question: which vector goes into σ?

# %%
import numpy as np

import einstan as es

thread = {"W": [[0.0, 1.0], [2.0, 3.0]], "h": [-1.0, 2.0], "x": [3.0, 0.0], "b": [1.0, -2.0]}


def run(text, of, **arrays):
    """Read a program and run it; show what is wrong with it, if something is."""
    try:
        return es.parse(text).run(of, **arrays)
    except es.EinstanError as error:
        print(error)


# %% [markdown]
# ## What the formula leaves open
#
# einstan does not know either what `[h, x]` means. Joined along which axis? It asks:

# %%
run(r"f_t = \sigma(W_f \cdot [h_{t-1}, x_t] + b_f)", "f")

# %% [markdown]
# ## Side by side
#
# First the reading of the person who asks: `h` and `x` are the columns of a matrix with 2 columns `k`. In index
# notation one sees at once that the result has two indices, and `f` has one:

# %%
SIDE_BY_SIDE = """
    H[n,k] = h[n] first[k] + x[n] second[k]
    f[j] = sigmoid(W[j,N] H[N,k] + b[j])
"""
run(SIDE_BY_SIDE, "f", **thread, first=[1.0, 0.0], second=[0.0, 1.0])

# %% [markdown]
# ## End to end
#
# The formula means the other reading: `h` and `x` end to end, one vector of 2 + 2 entries. `[h[K], x[K]]_K` is joined
# along `K`; each part has its own size of `K`, and `K` is summed with the columns of `W`.

# %%
GATE = """
    z[j] = W[j,K] [h[K], x[K]]_K + b[j]
    f[j] = sigmoid(z[j])
"""
run(GATE, "f", **thread)

# %% [markdown]
# So that is what was wrong: the `W` of the example has two columns and needs four. There is no answer to the question
# as it was asked. If `W` has the same block for `h` and for `x`, there is:

# %%
thread["W"] = [[0.0, 1.0, 0.0, 1.0], [2.0, 3.0, 2.0, 3.0]]
gate = es.parse(GATE)
found = gate.run(["z", "f"], **thread)
print("into σ:  ", found["z"])
print("out of σ:", found["f"].round(6))

# %% [markdown]
# The second answer of the thread writes a column in place of a row. Same thing, same program:

# %%
column = es.parse(r"""
    z_j = W_{j,K} \begin{bmatrix} h_K \\ x_K \end{bmatrix}_K + b_j
    f_j = \sigma(z_j)
""")
assert column == gate
column

# %% [markdown]
# And a joined vector times a matrix is a sum of two products, one for each block of columns:

# %%
blocks = es.parse("f[j] = sigmoid(U[j,K] h[K] + V[j,M] x[M] + b[j])")
U, V = np.split(np.array(thread["W"]), 2, axis=1)
assert np.allclose(blocks.run("f", U=U, V=V, h=thread["h"], x=thread["x"], b=thread["b"]), found["f"])

# %% [markdown]
# ## The gate differentiated
#
# How does each entry of the gate depend on each weight? Entry `j` of `f` depends on row `j` of `W` alone:

# %%
joined = es.parse("""
    c[k] = [h[k], x[k]]_k
    f[j] = sigmoid(W[j,K] c[K] + b[j])
    L = g[J] f[J]
""")
joined.jacobian("f", wrt="W")

# %% [markdown]
# For a loss `L` whose slope in `f` is `g`, the gradient comes back through σ (the short name `u`), then through `W`;
# and what comes back at the joined `c` is cut in two again, a part for `h` and a part for `x`.

# %%
backward = joined.grad("L", wrt=["W", "b", "h", "x"])
print(backward)

# %%
slopes = backward.run(**thread, g=[1.0, 1.0])
assert np.allclose(np.concatenate([slopes["h"], slopes["x"]]), np.array(thread["W"]).T @ slopes["b"])
slopes["W"].round(6)

# %% [markdown]
# ## The whole cell
#
# The LSTM has three gates, forget, input and output, and a proposal `g`; the cell `C` remembers, the state `H` is
# what it shows. Here for a batch of rows `b`, as a paper prints it. The letters f, i, o, g under a name are part of
# the name, which `label` says; `h` and `C^{(0)}` are the state and the cell one step before.

# %%
CELL = r"""
    label f, i, o, g
    c_{b,k} = [h_{b,k}, x_{b,k}]_k
    a_f[b,j] = c_{b,K} W_f[K,j] + b_f[j]
    a_i[b,j] = c_{b,K} W_i[K,j] + b_i[j]
    a_o[b,j] = c_{b,K} W_o[K,j] + b_o[j]
    a_g[b,j] = c_{b,K} W_g[K,j] + b_g[j]
    C_{b,j} = \sigma(a_f[b,j]) C^{(0)}_{b,j} + \sigma(a_i[b,j]) \tanh(a_g[b,j])
    H_{b,j} = \sigma(a_o[b,j]) \tanh(C_{b,j})
"""
cell = es.parse(CELL)
cell

# %% [markdown]
# Why does an LSTM remember? Look at how the new cell depends on the old one. (The state `h` is held here; through it
# goes a second, weaker way.)

# %%
cell.jacobian("C", wrt="C^{(0)}")

# %% [markdown]
# Each entry is multiplied by its own forget gate, and nothing else: no matrix, no tanh. Where the gate is near 1, the
# gradient goes back through time undiminished; a plain recurrent net multiplies by a matrix and a tanh' at every
# step.
#
# The gradients of a loss, for the forget gate's weights and for what comes in:

# %%
with_loss = es.parse(CELL + "L = (H[B,J] - Y[B,J]) (H[B,J] - Y[B,J])")
cell_backward = with_loss.grad("L", wrt=["W_f", "b_f", "h", "x", "C^{(0)}"])
print(cell_backward)

# %% [markdown]
# Checked by moving every entry of `W_f` and of `h` a little:

# %%
rng = np.random.default_rng(0)
ROWS, STATE, INPUT = 5, 3, 2
shapes = {f"W_{gate}": (STATE + INPUT, STATE) for gate in "fiog"} | {f"b_{gate}": (STATE,) for gate in "fiog"}
shapes |= {"h": (ROWS, STATE), "x": (ROWS, INPUT), "C^{(0)}": (ROWS, STATE), "Y": (ROWS, STATE)}
data = {name: rng.normal(size=shape) for name, shape in shapes.items()}


def finite_difference(f, arrays, name, step=1e-6):
    """∂f/∂name of a scalar, by central differences."""
    slope = np.empty(arrays[name].shape)
    for place in np.ndindex(slope.shape):
        moved = [arrays[name].copy(), arrays[name].copy()]
        moved[0][place] += step
        moved[1][place] -= step
        above, below = (f({**arrays, name: x}) for x in moved)
        slope[place] = (above - below) / (2 * step)
    return slope


slopes = cell_backward.run(**data)
loss = with_loss.compile("L")
for name in ("W_f", "h"):
    assert np.allclose(slopes[name], finite_difference(loss, data, name), rtol=1e-5, atol=1e-8), name

# %% [markdown]
# ## All gates in one product
#
# Programs that must be fast stack the four weights side by side, multiply once, and cut the result: `A[b,j=0:n]` is
# the part of the axis `j` from 0 up to `n`; `|j|` would be the size of `j`, `size(Y,2)` is that of the second axis of
# `Y`.

# %%
STACKED = r"""
    A[b,j] = [h[b,K], x[b,K]]_K W[K,j] + a[j]
    f[b,j] = sigmoid(A[b, j=0:size(Y,2)])
    i[b,j] = sigmoid(A[b, j=size(Y,2):2*size(Y,2)])
    o[b,j] = sigmoid(A[b, j=2*size(Y,2):3*size(Y,2)])
    g[b,j] = tanh(A[b, j=3*size(Y,2):4*size(Y,2)])
    C[b,j] = f[b,j] C0[b,j] + i[b,j] g[b,j]
    H[b,j] = o[b,j] tanh(C[b,j])
    L = (H[B,J] - Y[B,J]) (H[B,J] - Y[B,J])
"""
stacked = {name: data[name] for name in ("h", "x", "Y")} | {"C0": data["C^{(0)}"]}
stacked["W"] = np.concatenate([data[f"W_{gate}"] for gate in "fiog"], axis=1)
stacked["a"] = np.concatenate([data[f"b_{gate}"] for gate in "fiog"])
one_product = es.parse(STACKED).value_and_grad("L", wrt=["W", "x"]).compile()
value, by = one_product(stacked)
assert np.allclose(value, loss(data))
assert np.allclose(by["W"][:, :STATE], slopes["W_f"]) and np.allclose(by["x"], slopes["x"])

# %% [markdown]
# ## Through time
#
# A sequence is the cell written once for each step, the weights shared. (Recurrences as a form of the language,
# `h[t-1]`, are not built yet; a loop over lines does.) The gradient of a weight collects a term from every step.

# %%
T = 4


def sequence(steps):
    lines = ["label f, i, o, g"]
    for t in range(1, steps + 1):
        lines.append(f"c{t}[b,k] = [h{t - 1}[b,k], x{t}[b,k]]_k")
        for name, act in {"f": "sigmoid", "i": "sigmoid", "o": "sigmoid", "g": "tanh"}.items():
            lines.append(f"{name}{t}[b,j] = {act}(c{t}[b,K] W_{name}[K,j] + b_{name}[j])")
        lines.append(f"C{t}[b,j] = f{t}[b,j] C{t - 1}[b,j] + i{t}[b,j] g{t}[b,j]")
        lines.append(f"h{t}[b,j] = o{t}[b,j] tanh(C{t}[b,j])")
    lines.append(f"L = (h{steps}[B,J] - Y[B,J]) (h{steps}[B,J] - Y[B,J])")
    return es.parse("\n".join(lines))


weights = {name: data[name] for name in shapes if name[1:2] == "_"}
given = {"h0": data["h"], "C0": data["C^{(0)}"], "Y": data["Y"]}
given |= {f"x{t}": rng.normal(size=(ROWS, INPUT)) for t in range(1, T + 1)}
through_time = sequence(T).value_and_grad("L", wrt=[*weights, "h0"]).compile()
value, slopes = through_time({**weights, **given})
print(len(sequence(T).names), "names, L =", value.round(6))

# %% [markdown]
# The same for JAX, if it is here:

# %%
try:
    import jax
except ImportError:
    jax = None
    print("JAX is not installed here: pip install jax, and run this notebook again to compare.")


def jax_loss(weights, h):
    cell = given["C0"]
    for t in range(1, T + 1):
        c = jax.numpy.concatenate([h, given[f"x{t}"]], axis=1)
        a = {gate: c @ weights[f"W_{gate}"] + weights[f"b_{gate}"] for gate in "fiog"}
        cell = jax.nn.sigmoid(a["f"]) * cell + jax.nn.sigmoid(a["i"]) * jax.numpy.tanh(a["g"])
        h = jax.nn.sigmoid(a["o"]) * jax.numpy.tanh(cell)
    return ((h - given["Y"]) ** 2).sum()


if jax:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    jax_value, (by_weights, by_h) = jax.value_and_grad(jax_loss, argnums=(0, 1))(weights, given["h0"])
    assert abs(value - jax_value) < 1e-10 * abs(jax_value)
    for name, slope in {**by_weights, "h0": by_h}.items():
        assert np.abs(slopes[name] - slope).max() < 1e-10 * np.abs(slope).max(), name

# %% [markdown]
# How far does the gradient reach? Below, the slope of the loss in the first cell, `C0`, with forget gates that are
# half open, and with gates that are open (a bias of 5, so $f \approx 0.99$). This is why LSTMs are often started with
# a large `b_f`.

# %%
reach = sequence(T).grad("L", wrt="C0").compile()
for bias in (0.0, 5.0):
    weights["b_f"] = np.full(STATE, bias)
    print(f"b_f = {bias}: {np.abs(reach({**weights, **given})).mean():.4f}")

# %% [markdown]
# ## Exercises
#
# 1. Answer the thread with the printed `W` for `h`, and zeros for `x`. *Hint: two more columns; then `x` has no
#    influence, and `f` is σ of `[[0, 1], [2, 3]] @ h + b`.*
# 2. A peephole: the forget gate also sees the old cell, `+ p_f[j] C^{(0)}[b,j]` in `a_f`. Which printed line changes,
#    and does the Jacobian of `C` by `C^{(0)}` stay diagonal? *Hint: it does; why?*
# 3. A GRU has two gates, $r$ and $z$, and $h = (1 - z) h_0 + z \tanh(\dots)$. Write it, and look at $\partial h /
#    \partial h_0$. *Hint: is that Jacobian still diagonal?*
# 4. Make `sequence` share one bias for all gates. *Hint: one name; its gradient becomes a sum of sixteen terms.*
