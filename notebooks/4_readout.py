# %% [markdown]
# # 4. The gated readout of a graph
#
# A graph network has a state $h_v$ for every node $v$, and the network's answer is one vector for the whole graph. A
# paper gives it as
#
# $$h_g = \tanh \left( \sum_{v \in V} \sigma \left( i(h_v^{(T)}, x_v) \right) \odot \tanh \left( j(h_v^{(T)}, x_v) \right) \right)$$
#
# and somebody on a forum asks: where is the summation happening? On the elementwise product, or just in the output of
# the function $i(h_v, x_v)$?

# %%
import numpy as np

import einstan as es

rng = np.random.default_rng(0)

# %% [markdown]
# ## The formula as printed
#
# einstan reads it as it stands, once it knows that the $g$ in $h_g$ is a label (g for graph) and no index. What it
# understood, in its own text:

# %%
printed = es.parse(
    r"h_g = tanh \left( \sum_{v \in V} \sigma \left( i(h_v^{(T)}, x_v) \right) \odot"
    r" tanh \left( j(h_v^{(T)}, x_v) \right) \right)",
    labels="g",
)
print(printed)

# %% [markdown]
# The brackets answer the question: `sum[v](... ⊙ ...)`. A sum reaches to the next plus or minus, or to the end of its
# brackets, so it covers the whole product. Had it covered σ alone, the second `v` would mean nothing:

# %%
try:
    es.parse("h_g = tanh(sum[v](sigmoid(i(h[v], x[v]))) ⊙ tanh(j(h[v], x[v])))", labels="g")
except es.EinstanError as error:
    print(error)

# %% [markdown]
# ## What has which axes
#
# The formula is silent about one thing: `h_v` and `x_v` are vectors, and so are σ(...) and tanh(...). In index
# notation that shows. The node is an index `v`; the entries of the gates are an index `d`. The thread's good answer
# writes A for the first factor and B for the second:

# %%
readout = es.parse("r[d] = tanh(A[V,d] B[V,d])")
readout

# %% [markdown]
# `V` is capital, stands twice, and is summed; `d` is small and stays: for each `d` a sum over the nodes. The same
# with the sum written out, and with ⊙, which multiplies and sums nothing:

# %%
same = es.parse("""
    r[d] = tanh(A[V,d] B[V,d])
    s[d] = tanh(sum[v](A[v,d] B[v,d]))
    t[d] = tanh(1[V] (A[V,d] ⊙ B[V,d]))
""")
assert same["r"] == same["s"] == same["t"]

# %% [markdown]
# ## Two answers that are wrong
#
# A later answer goes on: "memberwise multiply and sum is just... dot product", $\tanh(\overline{A} \cdot
# \overline{B})$, and in torch `nn.Tanh(A@B)`. Both are other formulas. einstan does not read them, for they hide the
# indices:

# %%
for text in (
    r"h_g = \tanh (\overline{A} \cdot \overline{B})",
    "h_g = tanh(A @ B)",
):
    try:
        es.parse(text, labels="g")
    except es.EinstanError as error:
        print(error, end="\n\n")

# %% [markdown]
# Written with indices, the three are easy to tell apart. A dot product sums over both, and is one number for the
# graph. A matrix product sums the second axis of A with the first of B, entries with nodes, and has no meaning unless
# there are as many nodes as entries. The readout is the diagonal of $A^\top B$.

# %%
three = es.parse("""
    readout[d] = A[V,d] B[V,d]
    dot = A[V,D] B[V,D]
    AtB[d,e] = A[V,d] B[V,e]
""")
A, B = rng.normal(size=(7, 3)), rng.normal(size=(7, 3))
found = three.run(["readout", "dot", "AtB"], A=A, B=B)
assert np.allclose(found["readout"], (A * B).sum(axis=0))
assert np.allclose(found["readout"], np.diag(found["AtB"]))
assert np.allclose(found["dot"], found["readout"].sum())

# %%
try:
    es.parse("product[v,d] = A[v,K] B[K,d]").run("product", A=A, B=B)
except es.EinstanError as error:
    print(error)

# %% [markdown]
# ## The functions i and j
#
# In the printed formula, `i` and `j` are unknown functions, and einstan keeps them unknown. To run it, say what they
# are. Here states and features are single numbers, as the printed formula has it:

# %%
functions = {"i": lambda h, x: h + 2 * x, "j": lambda h, x: h - x}
h, x = rng.normal(size=5), rng.normal(size=5)
value = printed.compile("h_g", functions=functions)({"h^{(T)}": h, "x": x})
assert np.allclose(value, np.tanh((np.tanh(h - x) / (1 + np.exp(-h - 2 * x))).sum()))

# %% [markdown]
# In practice both are dense layers on `[h, x]`, the state and the features of a node end to end. That is the model:

# %%
MODEL = """
    C[v,k] = [h[v,k], x[v,k]]_k
    a[v,d] = C[v,K] Wi[K,d] + bi[d]
    c[v,d] = C[v,K] Wj[K,d] + bj[d]
    s[v,d] = sigmoid(a[v,d])
    t[v,d] = tanh(c[v,d])
    r[d] = tanh(s[V,d] t[V,d])
"""
model = es.parse(MODEL)
print(model.inputs)
model

# %%
NODES, STATE, FEATURES, OUT = 7, 4, 2, 3
shapes = {"Wi": (STATE + FEATURES, OUT), "bi": (OUT,), "Wj": (STATE + FEATURES, OUT), "bj": (OUT,)}
weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
graph = {"h": rng.normal(size=(NODES, STATE)), "x": rng.normal(size=(NODES, FEATURES))}


def by_hand(h, x):
    c = np.concatenate([h, x], axis=1)
    gate = 1 / (1 + np.exp(-(c @ weights["Wi"] + weights["bi"])))
    return np.tanh((gate * np.tanh(c @ weights["Wj"] + weights["bj"])).sum(axis=0))


assert np.allclose(model.run("r", **weights, **graph), by_hand(**graph))

# %% [markdown]
# The answer does not depend on how the nodes are numbered, because the sum does not.

# %%
order = rng.permutation(NODES)
shuffled = {name: array[order] for name, array in graph.items()}
assert np.allclose(model.run("r", **weights, **shuffled), model.run("r", **weights, **graph))

# %% [markdown]
# ## Its gradients
#
# With a loss of the readout `r`; here a squared distance to a target `y`.

# %%
with_loss = es.parse(MODEL + "L = (r[D] - y[D]) (r[D] - y[D])")
backward = with_loss.grad("L", wrt=["Wi", "bi", "Wj", "h"])
backward

# %% [markdown]
# The second line is the slope at the sum, before the outer tanh. From there on each node goes its own way: `s` gets
# it times `t`, `t` gets it times `s`. The two weights each collect `C[V,k]` times what comes back, over all nodes;
# what comes back at `C` is cut into the part for `h` and the part for `x`.
#
# Those lines can be written down by hand, and compared:

# %%
check = es.parse(f"""{with_loss}
    q[d] = 2 (r[d] - y[d]) (1 - r[d]^2)
    offa[v,d] = ∂L/∂a[v,d] - q[d] s[v,d] (1 - s[v,d]) t[v,d]
    offc[v,d] = ∂L/∂c[v,d] - q[d] s[v,d] (1 - t[v,d]^2)
    offW[k,d] = ∂L/∂Wi[k,d] - C[V,k] ∂L/∂a[V,d]
""")
data = {**weights, **graph, "y": rng.normal(size=OUT)}
for off in check.run(["offa", "offc", "offW"], **data).values():
    assert np.abs(off).max() < 1e-14

# %% [markdown]
# and moved a little, entry by entry:

# %%
slopes = backward.run(**data)
loss = with_loss.compile("L")
for name in slopes:
    for place in np.ndindex(slopes[name].shape):
        moved = [data[name].copy(), data[name].copy()]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        above, below = (loss({**data, name: array}) for array in moved)
        assert abs((above - below) / 2e-6 - slopes[name][place]) < 1e-8

# %% [markdown]
# ## A batch of graphs
#
# Graphs differ in their numbers of nodes, so a batch is no array with an axis for the graph. The usual way: all nodes
# of all graphs in one list, and for each graph which nodes are its own. As a matrix of 0 and 1, membership is one
# more factor: `S[g,v]` is 1 where node `v` is in graph `g`. `V` now stands in three factors, and is summed over all
# of them.

# %%
batch = es.parse(
    MODEL.replace("r[d] = tanh(s[V,d] t[V,d])", "r[g,d] = tanh(S[g,V] s[V,d] t[V,d])")
    + "L = (r[G,D] - y[G,D]) (r[G,D] - y[G,D])"
)
print(batch["r"])

# %%
sizes = [3, 7, 1, 5]
graphs = [{"h": rng.normal(size=(n, STATE)), "x": rng.normal(size=(n, FEATURES))} for n in sizes]
owner = np.repeat(np.arange(len(sizes)), sizes)
S = (owner == np.arange(len(sizes))[:, None]) * 1.0
data = {name: np.concatenate([g[name] for g in graphs]) for name in ("h", "x")}
data |= {**weights, "S": S, "y": rng.normal(size=(len(sizes), OUT))}
print(S.astype(int))

# %% [markdown]
# One program for the batch gives what one run for each graph gives:

# %%
together = batch.run("r", **data)
assert np.allclose(together, [by_hand(**g) for g in graphs])

# %% [markdown]
# And its gradient by the weights is the sum of the graphs' gradients.

# %%
slopes = batch.grad("L", wrt=list(weights)).run(**data)
single = with_loss.grad("L", wrt=list(weights)).compile()
alone = [single({**weights, **g, "y": y}) for g, y in zip(graphs, data["y"], strict=True)]
for name in weights:
    assert np.allclose(slopes[name], sum(one[name] for one in alone))

# %% [markdown]
# The gradient's formulas differ from those above in one factor: what comes back from the readouts of all graphs is
# handed to the nodes by `S`, the same matrix that collected them.

# %%
print(batch.grad("L", wrt=["Wi"]))

# %% [markdown]
# Where all graphs have the same number of nodes, the graph is an ordinary axis, and a small `g` goes along
# everywhere:

# %%
regular = es.parse("r[g,d] = tanh(A[g,V,d] B[g,V,d])")
A, B = rng.normal(size=(4, 7, 3)), rng.normal(size=(4, 7, 3))
assert np.allclose(regular.run("r", A=A, B=B), np.tanh(np.einsum("gvd,gvd->gd", A, B)))

# %% [markdown]
# ## Exercises
#
# 1. A mean in place of the sum: `tanh(mean[v](s[v,d] t[v,d]))`. What changes in the gradient? *Hint: one factor,
#    `size(h,1)`.*
# 2. Attention in place of the gate: `p[v] = softmax[v](e[v])` and `r[d] = p[V] t[V,d]`. Is it still independent of
#    the order of the nodes? *Hint: shuffle, as above.*
# 3. Attention in a batch: softmax over the nodes of each graph only. *Hint: the denominators are `n[g] = S[g,V]
#    exp(e[V])`, and each node divides by that of its own graph, `S[G,v] n[G]`.*
# 4. What is the gradient of the loss by `S`, and what does it mean? *Hint: it says what would change if a node
#    belonged to a graph a little more.*
