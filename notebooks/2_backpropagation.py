# %% [markdown]
# # 2. Backpropagation, derived
#
# Stanley Neoh's article *Mathematics of Neural Networks* (2023), which einstan's notation comes from, derives the
# backward pass of a neural network in its section 6. Here the same is derived by einstan, compared with the article
# line by line (some lines there are wrong), and with JAX number by number.

# %%
import numpy as np
from IPython.display import Markdown

import einstan as es

rng = np.random.default_rng(0)

# %% [markdown]
# ## One layer
#
# The article's layer, as printed there. A batch has the rows `i`; a label such as `^{(m)}` is part of a name and
# never a power. `W` has an axis for what comes in and one for what goes out; `b` has one axis (the article's text
# calls it a matrix; its formula is right, and has one index).

# %%
layer = es.parse(r"""
    \begin{align}
    Z_{i,j}^{(m)} &= X_{i,K}^{(m-1)} W_{K,j}^{(m)} + b_j^{(m)} \\
    X_{i,j}^{(m)} &= \tanh(Z_{i,j}^{(m)})
    \end{align}
""")
print(layer)

# %% [markdown]
# A tensor differentiated by a tensor has the axes of both: those of `Z`, then those of `W`.

# %%
layer.jacobian("Z^{(m)}", wrt=["X^{(m-1)}", "W^{(m)}", "b^{(m)}"])

# %% [markdown]
# The Kronecker deltas say where the Jacobians are zero. Row `i` of `Z` depends on row `i` of `X` alone, and column
# `j` of `Z` on column `j` of `W` and entry `j` of `b` alone. The article says this as
#
# $$\forall p \neq q:\quad \frac{\partial Z_{p,b}}{\partial X_{a,j}} = 0,\quad
#   \frac{\partial Z_{a,p}}{\partial W_{i,a}} = 0,\quad \frac{\partial Z_{a,p}}{\partial b_q} = 0,$$
#
# where the first two should have $X_{q,j}$ and $W_{i,q}$: there is no $q$ in them that $p$ could differ from. Numbers
# agree:

# %%
shapes = {"X^{(m-1)}": (5, 3), "W^{(m)}": (3, 2), "b^{(m)}": (2,)}
data = {name: rng.normal(size=shape) for name, shape in shapes.items()}
by_x = layer.jacobian("Z^{(m)}", wrt="X^{(m-1)}").run(**data)
by_w = layer.jacobian("Z^{(m)}", wrt="W^{(m)}").run(**data)
print(by_x.shape, by_w.shape)
assert all(not by_x[p, :, q].any() for p in range(5) for q in range(5) if p != q)
assert all(not by_w[:, p, :, q].any() for p in range(2) for q in range(2) if p != q)

# %% [markdown]
# ## The chain rule
#
# The article writes the chain rule as a product of derivatives, summed over all indices of what lies between. In this
# notation that is an ordinary product. (Its example in section 5 begins with $df/dW$; the left side must be $df/dx$.)
# Here $f$ depends on $x$ through the matrix $W$:

# %%
between = es.parse(r"""
    W_{i,j} = x u_i v_j + A_{i,j}
    f = \exp(W_{I,J} C_{I,J})
    D = \frac{\partial f}{\partial W_{I,J}} \frac{\partial W_{I,J}}{\partial x}
""")
shapes = {"u": (3,), "v": (2,), "A": (3, 2), "C": (3, 2)}
data = {"x": 0.5} | {name: rng.normal(size=shape) for name, shape in shapes.items()}
assert np.allclose(between.run("D", **data), between.grad("f", wrt="x").run(**data))
between.grad("f", wrt="x")

# %% [markdown]
# ## The backward pass, in general
#
# Now a net, with nothing said of its activations: `σ_m` of a layer in the middle, `σ_n` of the last one, each acting
# on a single observation at a time, a row. `σ_m[j](Z[i,K])` is such a function: for every `i` it sees all `K`, and
# gives an axis `j`. The loss is unknown too. (`labels` says that m and n are part of names.)

# %%
general = es.parse(
    r"""
    Z_{i,j}^{(m)} = X_{i,K}^{(m-1)} W_{K,j}^{(m)} + b_j^{(m)}
    X_{i,j}^{(m)} = \sigma_m[j](Z_{i,K}^{(m)})
    Z_{i,j}^{(n)} = X_{i,K}^{(m)} W_{K,j}^{(n)} + b_j^{(n)}
    X_{i,j}^{(n)} = \sigma_n[j](Z_{i,K}^{(n)})
    L = loss(X^{(n)})
    """,
    labels="m n",
)
general.grad("L", wrt=["W^{(m)}", "b^{(m)}", "W^{(n)}", "b^{(n)}"])

# %% [markdown]
# This is the whole of backpropagation. Read it from the top:
#
# - through an activation: multiply by its Jacobian, row by row (the first line);
# - from a layer's `Z` to the `X` before it: multiply by `W`, summed over what goes *out*;
# - to `W`: the outer product of what came in and what came back, summed over the batch;
# - to `b`: the sum over the batch.
#
# An activation that acts entry by entry, such as tanh, needs no Jacobian. Write `σ_m(Z[i,j])`, and its derivative is
# multiplied in entry by entry:

# %%
entrywise = es.parse(
    r"""
    Z_{i,j}^{(m)} = X_{i,K}^{(m-1)} W_{K,j}^{(m)} + b_j^{(m)}
    X_{i,j}^{(m)} = \sigma_m(Z_{i,j}^{(m)})
    L = loss(X^{(m)})
    """,
    labels="m",
)
entrywise.grad("L", wrt="Z^{(m)}")

# %% [markdown]
# ## The article, line by line
#
# Section 6 ends in four chains of equations. We take a net with three layers, m-1, m and n, run every form of every
# chain on random data, and compare it with the derivative that einstan finds.

# %%
NET = r"""
    label m, n
    Z_{i,j}^{(m-1)} = X_{i,K}^{(m-2)} W_{K,j}^{(m-1)} + b_j^{(m-1)}
    X_{i,j}^{(m-1)} = \tanh(Z_{i,j}^{(m-1)})
    Z_{i,j}^{(m)} = X_{i,K}^{(m-1)} W_{K,j}^{(m)} + b_j^{(m)}
    X_{i,j}^{(m)} = \tanh(Z_{i,j}^{(m)})
    Z_{i,j}^{(n)} = X_{i,K}^{(m)} W_{K,j}^{(n)} + b_j^{(n)}
    X_{i,j}^{(n)} = \operatorname{softmax}_j(Z_{i,j}^{(n)})
    L = -\hat{X}_{I,J} \log(X_{I,J}^{(n)})
"""
shapes = {"X^{(m-2)}": (11, 7), "W^{(m-1)}": (7, 5), "b^{(m-1)}": (5,), "W^{(m)}": (5, 5), "b^{(m)}": (5,)}
shapes |= {"W^{(n)}": (5, 3), "b^{(n)}": (3,)}
data = {name: rng.normal(size=shape) for name, shape in shapes.items()}
data[r"\hat{X}"] = np.eye(3)[rng.integers(0, 3, 11)]


def verdict(derivative, form):
    """Whether the form is the derivative, on the data; or why it has no meaning."""
    axes = derivative.split("_{")[-1].split("}")[0]  # of the denominator: i,j
    try:
        off = es.parse(rf"{NET} \\ \Delta_{{{axes}}} = {form} - {derivative}").run("Δ", **data)
    except es.EinstanError as error:
        return "**no meaning:** " + str(error).splitlines()[0]
    return "equal" if np.abs(off).max() < 1e-12 else "**not equal**"


def judge(derivative, *forms):
    """A table of the forms, each with its verdict."""
    rows = [f"| ${form}$ | {verdict(derivative, form)} |" for form in forms]
    return Markdown("\n".join([f"| | ${derivative}$ |", "|---|---|", *rows]))


# %% [markdown]
# **The last layer.** Every link holds. `A` stands in three factors of the third form, and is summed once over all of
# them.

# %%
judge(
    r"\frac{\partial L}{\partial Z^{(n)}_{i,j}}",
    r"\frac{\partial L}{\partial X_{A,B}^{(n)}} \frac{\partial X_{A,B}^{(n)}}{\partial Z_{i,j}^{(n)}}",
    r"\frac{\partial L}{\partial X_{A,B}^{(n)}} \frac{\partial X_{A,B}^{(n)}}{\partial Z_{i,j}^{(n)}} \delta_{i,A}",
    r"\frac{\partial L}{\partial X_{i,B}^{(n)}} \frac{\partial X_{i,B}^{(n)}}{\partial Z_{i,j}^{(n)}}",
)

# %% [markdown]
# **From layer to layer.** The chain starts with $\partial L / \partial Z^{(m-1)}$, and no form is equal to it:

# %%
forms = [
    r"\frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial X_{i,j}^{(m-1)}}",
    r"\frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial X_{i,j}^{(m-1)}} \delta_{i,A}",
    r"\frac{\partial L}{\partial Z_{i,B}^{(m)}} \frac{\partial Z_{i,B}^{(m)}}{\partial X_{i,j}^{(m-1)}}",
    r"\frac{\partial L}{\partial Z_{i,B}^{(m)}} W_{j,B}^{(m)}",
]
judge(r"\frac{\partial L}{\partial Z^{(m-1)}_{i,j}}", *forms)

# %% [markdown]
# They are all the derivative by $X^{(m-1)}$. One factor is missing to $Z^{(m-1)}$, the derivative of the activation;
# here that of tanh.

# %%
judge(r"\frac{\partial L}{\partial X^{(m-1)}_{i,j}}", *forms)

# %%
judge(
    r"\frac{\partial L}{\partial Z^{(m-1)}_{i,j}}",
    r"\frac{\partial L}{\partial Z_{i,B}^{(m)}} W_{j,B}^{(m)} \tanh'(Z_{i,j}^{(m-1)})",
)

# %% [markdown]
# **The weights.** The last link has a `B` that nothing else shares, and no `j`: it is no formula. The `B` must be
# `j`.

# %%
judge(
    r"\frac{\partial L}{\partial W^{(m)}_{i,j}}",
    r"\frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial W_{i,j}^{(m)}}",
    r"\frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial W_{i,j}^{(m)}} \delta_{j,B}",
    r"\frac{\partial L}{\partial Z_{A,j}^{(m)}} \frac{\partial Z_{A,j}^{(m)}}{\partial W_{i,j}^{(m)}}",
    r"\frac{\partial L}{\partial Z_{A,B}^{(m)}} X_{A,i}^{(m-1)}",
    r"\frac{\partial L}{\partial Z_{A,j}^{(m)}} X_{A,i}^{(m-1)}",
)

# %% [markdown]
# **The biases.** In the third form $Z_{A,j}$ must be $Z_{A,i}$; the last link is right.

# %%
judge(
    r"\frac{\partial L}{\partial b^{(m)}_{i}}",
    r"\frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial b_{i}^{(m)}}",
    r"\frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial b_{i}^{(m)}} \delta_{i,B}",
    r"\frac{\partial L}{\partial Z_{A,j}^{(m)}} \frac{\partial Z_{A,i}^{(m)}}{\partial b_{i}^{(m)}}",
    r"\frac{\partial L}{\partial Z_{A,i}^{(m)}} \frac{\partial Z_{A,i}^{(m)}}{\partial b_{i}^{(m)}}",
    r"\frac{\partial L}{\partial Z_{A,i}^{(m)}} (1)_{A}",
)

# %% [markdown]
# So the backward pass, corrected, and without a word about rows and columns:
#
# | | |
# |---|---|
# | last layer | $\frac{\partial L}{\partial Z^{(n)}_{i,j}} = \frac{\partial L}{\partial X^{(n)}_{i,B}} \frac{\partial X^{(n)}_{i,B}}{\partial Z^{(n)}_{i,j}}$ |
# | layer to layer | $\frac{\partial L}{\partial Z^{(m-1)}_{i,j}} = \frac{\partial L}{\partial Z^{(m)}_{i,B}} W^{(m)}_{j,B}\, \sigma'(Z^{(m-1)}_{i,j})$ |
# | weights | $\frac{\partial L}{\partial W^{(m)}_{i,j}} = X^{(m-1)}_{A,i} \frac{\partial L}{\partial Z^{(m)}_{A,j}}$ |
# | biases | $\frac{\partial L}{\partial b^{(m)}_{j}} = \frac{\partial L}{\partial Z^{(m)}_{A,j}}\, \mathbb{1}_A$ |
#
# What einstan prints for this net is exactly that, with the derivatives of tanh and softmax put in:

# %%
net = es.parse(NET)
net.grad("L", wrt=["W^{(m-1)}", "b^{(m-1)}", "W^{(m)}", "W^{(n)}"])

# %% [markdown]
# ## n layers, against JAX
#
# A program is text, so a net of `n` layers is a loop over lines. The last layer and the loss are written together
# with `log_softmax`, which does not overflow.


# %%
def layers(n):
    """A net of n layers: tanh, and softmax with cross-entropy at the end."""
    lines = []
    for m in range(1, n + 1):
        lines.append(rf"Z^{{({m})}}[i,j] = X^{{({m - 1})}}[i,K] W^{{({m})}}[K,j] + b^{{({m})}}[j]")
        if m < n:
            lines.append(rf"X^{{({m})}}[i,j] = tanh(Z^{{({m})}}[i,j])")
    lines.append(rf"L = -T[I,J] log_softmax[J](Z^{{({n})}}[I,J]) / |I|")
    return es.parse("\n".join(lines))


print(layers(2))

# %%
N = 6
widths = [7, 19, 17, 13, 11, 5, 3]  # what comes in, then what goes out of each layer
weights = {}
for m in range(1, N + 1):
    weights[f"W^{{({m})}}"] = rng.normal(size=(widths[m - 1], widths[m])) / widths[m - 1] ** 0.5
    weights[f"b^{{({m})}}"] = rng.normal(size=widths[m])
given = {"X^{(0)}": rng.normal(size=(23, widths[0])), "T": np.eye(3)[rng.integers(0, 3, 23)]}

backward = layers(N).value_and_grad("L", wrt=list(weights)).compile()
value, slopes = backward({**given, **weights})
print(f"L = {value:.10f}, and {len(slopes)} gradients")

# %% [markdown]
# The same net for JAX, written from the mathematics. JAX is not needed to read on; where it is missing, finite
# differences below have to do.

# %%
try:
    import jax
except ImportError:
    jax = None
    print("JAX is not installed here: pip install jax, and run this notebook again to compare.")


def loss(weights):
    x = given["X^{(0)}"]
    for m in range(1, N + 1):
        z = x @ weights[f"W^{{({m})}}"] + weights[f"b^{{({m})}}"]
        x = jax.numpy.tanh(z)
    return -(given["T"] * jax.nn.log_softmax(z)).sum() / len(z)


if jax:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    jax_value, jax_slopes = jax.value_and_grad(loss)(weights)
    assert abs(value - jax_value) < 1e-10 * abs(jax_value)
    for name, slope in slopes.items():
        largest = np.abs(jax_slopes[name]).max()
        assert np.abs(slope - jax_slopes[name]).max() < 1e-10 * largest, name

# %% [markdown]
# And by central differences, in one random direction for all weights at once:

# %%
direction = {name: rng.normal(size=w.shape) for name, w in weights.items()}
slope = sum((slopes[name] * direction[name]).sum() for name in weights)
value_of = layers(N).compile("L")


def along(step):
    return value_of({**given, **{name: w + step * direction[name] for name, w in weights.items()}})


difference = (along(1e-5) - along(-1e-5)) / 2e-5
print(f"{slope:.6f} {difference:.6f}")
assert abs(slope - difference) < 1e-7 * abs(slope)

# %% [markdown]
# ## What it costs
#
# Forward, a layer is one matrix product. Backward it is two, for `W` and for the `X` before it; the first layer has
# no `X` to go back to. So value and all gradients together take $3n - 1$ products, and the kernel makes no more:

# %%
products = [step for step in backward.steps if step.op in ("dot", "matmul") and len(step.out.shape) == 2]
print(len(products), "products for", N, "layers")
assert len(products) == 3 * N - 1

# %% [markdown]
# ## Section 7: Newton's method
#
# The article stops at "Newton Raphson's Method. To be continued". The step is $\theta \leftarrow \theta - H^{-1} g$,
# and a Hessian is derived like anything else. For a linear layer and squares it does not depend on `W`, and columns
# `j` and `l` of `W` do not mix:

# %%
linear = es.parse("""
    R[i,j] = X[i,K] W[K,j] - T[i,j]
    L = R[I,J] R[I,J] / 2
""")
linear.hessian("L", wrt="W")

# %% [markdown]
# One Newton step from anywhere is the solution of least squares. As `W` has two axes, the Hessian has four; for the
# solver the first two are made one axis, and the last two.

# %%
shapes = {"X": (23, 5), "W": (5, 3), "T": (23, 3)}
data = {name: rng.normal(size=shape) for name, shape in shapes.items()}
g = linear.grad("L", wrt="W").run(**data)
H = linear.hessian("L", wrt="W").run(**data)
step = np.linalg.solve(H.reshape(15, 15), g.reshape(15)).reshape(5, 3)
assert np.allclose(data["W"] - step, np.linalg.lstsq(data["X"], data["T"], rcond=None)[0])

# %% [markdown]
# Logistic regression needs several steps; the number of right digits doubles with each.

# %%
logistic = es.parse("""
    z[n] = X[n,K] w[K]
    L = softplus(z[N]) 1[N] - y[N] z[N]
""")
logistic.hessian("L", wrt="w")

# %%
data = {"X": rng.normal(size=(40, 3)), "y": (np.arange(40) % 3 == 0) * 1.0, "w": np.zeros(3)}
g, H = logistic.grad("L", wrt="w").compile(), logistic.hessian("L", wrt="w").compile()
for n in range(4):
    data["w"] = data["w"] - np.linalg.solve(H(data), g(data))
    if n < 3:
        print(f"after step {n + 1} the largest entry of the gradient is {np.abs(g(data)).max():.1e}")
assert np.abs(g(data)).max() < 1e-12

# %% [markdown]
# ## Exercises
#
# 1. Replace tanh by relu in `layers`, and compare with JAX again. *Hint: `relu(Z[i,j])`; `jax.nn.relu`. What are both
#    derivatives at 0?*
# 2. The article's layer with a residual connection: $X^{(m)} = X^{(m-1)} + \sigma(Z^{(m)})$. Which printed line gets
#    a second term? *Hint: add `X^{(m-1)}[i,j]` in `NET` where the widths agree, and print the gradient.*
# 3. With `fact T[i,J] 1[J] = 1[i]` in the program (every row of labels sums to 1), what does ∂L/∂Z of the last layer
#    become? *Hint: put the line before the first of `layers`. It is the formula that everybody remembers.*
# 4. Weight decay: add `c W[K,J] W[K,J]` to `L`, with an input `c`. *Hint: one gradient changes, by `2 c W[k,j]`.*
# 5. Batch normalisation before tanh: give mean and standard deviation over `i` names, and derive. *Hint: `m[j] =
#    mean[i](Z[i,j])`. Which lines of the gradient sum over the batch now?*
