# %% [markdown]
# # 8. The article, checked
#
# A derivation by hand goes wrong in small places: an index, a factor, a sum. `es.check` reads the formulas as they
# stand, decides every `=` by itself, and says what is wrong and what to write instead. Here Stanley Neoh's
# *Mathematics of Neural Networks* (2023) is read with it, equation by equation as printed, and so is a line of code
# from a forum.

# %%
import itertools

import numpy as np

import einstan as es
from einstan.lint import lint


def judge(*lines):
    """What the checker says of every `=` in the claims among these lines."""
    for verdict in es.check("\n".join(lines)):
        print(verdict)


def refusal(text):
    """What is said of a text that is no formula in indices."""
    try:
        es.parse(text)
    except es.EinstanError as error:
        print(error)


# %% [markdown]
# ## Section 3: inner products
#
# A statement is a *claim* if its left side is not just a name with indices, or if it begins with `claim`. The inner
# product of the article, written with and without the summation sign:

# %%
judge(r"u_I v_I = \sum_{i=1}^{n} u_i v_i")

# %% [markdown]
# "Normal form" means that both sides are one and the same formula once they are simplified: that is a proof. Inner
# products along the first and along the second axis of a matrix are two different things:

# %%
judge(r"\text{claim } A_{K,i} b_K = A_{i,K} b_K")

# %% [markdown]
# They differ already at the first point that was tried, and the counterexample says where, for which sizes, and by how
# much. What has no index form is told so, with what to write: a dot between whole vectors, a transpose, a list with
# dots.

# %%
judge(r"u \cdot v = \sum_{i=1}^{n} u_i v_i")
print()
refusal(r"b^T A = A_{K,i} b_K")
print()
refusal(r"A = A_{i_1, i_2, \dots, i_n}")

# %% [markdown]
# ## Section 5: the chain rule
#
# $\frac{\partial Z}{\partial X} = \frac{\partial Z}{\partial Y} \frac{\partial Y}{\partial X}$, summed over all indices
# of $Y$, for tensors of any rank. `Y` and `Z` are unknown functions of all that is in `X` and in `Y`; the claim is
# written for every three ranks from 0 to 3.


# %%
def chain(x, y, z):
    """The article's chain rule for tensors of these ranks, and what its tensors are."""

    def tensor(name, letter, rank):
        indices = ",".join(f"{letter}{n + 1}" for n in range(rank))
        return f"{name}[{indices}]" if rank else name

    def function(f, letter, rank, argument):
        indices = ",".join(f"{letter}{n + 1}" for n in range(rank))
        return f"{f}[{indices}]({argument})" if rank else f"{f}({argument})"

    shapes = f"fact 0 {tensor('X', 'i', x)} = 0"
    whole = {name: f"{name}[:]" if rank else name for name, rank in (("X", x), ("Y", y))}
    below = f"{tensor('Y', 'j', y)} = {function('f', 'j', y, whole['X'])}"
    above = f"{tensor('Z', 'k', z)} = {function('g', 'k', z, whole['Y'])}"
    left = f"∂{tensor('Z', 'k', z)}/∂{tensor('X', 'i', x)}"
    right = f"∂{tensor('Z', 'k', z)}/∂{tensor('Y', 'J', y)} ∂{tensor('Y', 'J', y)}/∂{tensor('X', 'i', x)}"
    return "\n".join([shapes, below, above, f"∂Z/∂X = {left} = {right}"])


verdicts = [v for ranks in itertools.product(range(4), repeat=3) for v in es.check(chain(*ranks))]
print(verdicts[-1])
print(len(verdicts), "links,", sum(v.holds is True for v in verdicts), "hold")

# %% [markdown]
# The article tests it with an example, and begins it by saying $df/dW$ for what is $df/dx$. The repair below is not just
# a guess: it was checked before it was printed, as every repair is.

# %%
judge(
    r"W_{i,j} = \tanh(x A_{i,j})",
    r"f = h(W[:])",
    r"\frac{df}{dW} = \sum_{i=1}^{n} \sum_{j=1}^{m} \frac{\partial f}{\partial W_{i,j}} \frac{dW_{i,j}}{dx}"
    r" = \frac{\partial f}{\partial W_{I,J}} \frac{dW_{I,J}}{dx}",
)

# %% [markdown]
# ## Section 6: the net
#
# Three of its layers. The activations are unknown functions, and so is the loss: what holds here holds for all of them.
# `\sigma_n[j](Z_{i,K})` sees a row of `Z` at a time, as softmax does, `\sigma_m(Z_{i,j})` an entry. (The layer before m
# is m - 1, and its activation is called `\sigma_l`.)

# %%
NET = r"""
    label l, m, n
    X_{i,j}^{(m-1)} = \sigma_l(Z_{i,j}^{(m-1)})
    Z_{i,j}^{(m)} = X_{i,K}^{(m-1)} W_{K,j}^{(m)} + b_j^{(m)}
    X_{i,j}^{(m)} = \sigma_m(Z_{i,j}^{(m)})
    Z_{i,j}^{(n)} = X_{i,K}^{(m)} W_{K,j}^{(n)} + b_j^{(n)}
    X_{i,j}^{(n)} = \sigma_n[j](Z_{i,K}^{(n)})
    L = loss(\hat{X}^{(n)}, X^{(n)})
    fact 0 \hat{X}_{i,j}^{(n)} = 0 X_{i,j}^{(n)}
"""
print(es.parse(NET))

# %% [markdown]
# **Zeros.** An activation works on one observation at a time, so that
# $\forall p \neq q: \frac{\partial X_{p,b}}{\partial Z_{q,j}} = 0$. There is no $\forall$ in index notation: what
# stands for "off the diagonal" is $1 - \delta_{p,q}$. The same is said of $Z$, where two of the three equations have
# lost their $q$: as printed, $\frac{\partial Z_{p,b}}{\partial X_{a,j}}$ does not say from what row $p$ differs.

# %%
refusal(r"\forall p \ne q, \frac{\partial Z_{p,b}^{(m)}}{\partial X_{a,j}^{(m)}} = 0")

# %%
judge(
    NET,
    r"(1 - \delta_{p,q}) \frac{\partial X_{p,b}^{(n)}}{\partial Z_{q,j}^{(n)}} = 0",
    r"(1 - \delta_{p,q}) \frac{\partial Z_{p,b}^{(m)}}{\partial X_{q,j}^{(m-1)}} = 0",
    r"(1 - \delta_{p,q}) \frac{\partial Z_{a,p}^{(m)}}{\partial W_{i,q}^{(m)}} = 0",
    r"(1 - \delta_{p,q}) \frac{\partial Z_{a,p}^{(m)}}{\partial b_q^{(m)}} = 0",
)

# %% [markdown]
# **The last layer.** A chain $a = b = c$ is judged link by link, each form against the last one before it that has a
# meaning. Every link of this one holds:
#
# $$\frac{\partial L}{\partial Z_{i,j}^{(n)}}
# = \frac{\partial L}{\partial X_{A,B}^{(n)}} \frac{\partial X_{A,B}^{(n)}}{\partial Z_{i,j}^{(n)}}
# = \frac{\partial L}{\partial X_{A,B}^{(n)}} \frac{\partial X_{A,B}^{(n)}}{\partial Z_{i,j}^{(n)}} \delta_{i,A}
# = \frac{\partial L}{\partial X_{i,B}^{(n)}} \frac{\partial X_{i,B}^{(n)}}{\partial Z_{i,j}^{(n)}}$$

# %%
judge(
    NET,
    r"""\frac{\partial L}{\partial Z_{i,j}^{(n)}}
    = \frac{\partial L}{\partial X_{A,B}^{(n)}} \frac{\partial X_{A,B}^{(n)}}{\partial Z_{i,j}^{(n)}}
    = \frac{\partial L}{\partial X_{A,B}^{(n)}} \frac{\partial X_{A,B}^{(n)}}{\partial Z_{i,j}^{(n)}} \delta_{i,A}
    = \frac{\partial L}{\partial X_{i,B}^{(n)}} \frac{\partial X_{i,B}^{(n)}}{\partial Z_{i,j}^{(n)}}""",
)

# %% [markdown]
# **From layer to layer.** Here the first link is wrong, and only that: the forms after it are equal to each other, and
# they are the derivative by $X^{(m-1)}$. To get to $Z^{(m-1)}$, the slope of the activation has to be multiplied in.
#
# $$\frac{\partial L}{\partial Z_{i,j}^{(m-1)}}
# = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial X_{i,j}^{(m-1)}}
# = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial X_{i,j}^{(m-1)}} \delta_{i,A}
# = \frac{\partial L}{\partial Z_{i,B}^{(m)}} \frac{\partial Z_{i,B}^{(m)}}{\partial X_{i,j}^{(m-1)}}
# = \frac{\partial L}{\partial Z_{i,B}^{(m)}} W_{j,B}^{(m)}$$

# %%
judge(
    NET,
    r"""\frac{\partial L}{\partial Z_{i,j}^{(m-1)}}
    = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial X_{i,j}^{(m-1)}}
    = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial X_{i,j}^{(m-1)}} \delta_{i,A}
    = \frac{\partial L}{\partial Z_{i,B}^{(m)}} \frac{\partial Z_{i,B}^{(m)}}{\partial X_{i,j}^{(m-1)}}
    = \frac{\partial L}{\partial Z_{i,B}^{(m)}} W_{j,B}^{(m)}""",
)

# %% [markdown]
# **The weights.** The last form has a `B` that nothing shares, so it is no formula. That is the verdict of this link;
# the other links are judged all the same.
#
# $$\frac{\partial L}{\partial W_{i,j}^{(m)}}
# = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial W_{i,j}^{(m)}}
# = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial W_{i,j}^{(m)}} \delta_{j,B}
# = \frac{\partial L}{\partial Z_{A,j}^{(m)}} \frac{\partial Z_{A,j}^{(m)}}{\partial W_{i,j}^{(m)}}
# = \frac{\partial L}{\partial Z_{A,B}^{(m)}} X_{A,i}^{(m-1)}$$

# %%
judge(
    NET,
    r"""\frac{\partial L}{\partial W_{i,j}^{(m)}}
    = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial W_{i,j}^{(m)}}
    = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial W_{i,j}^{(m)}} \delta_{j,B}
    = \frac{\partial L}{\partial Z_{A,j}^{(m)}} \frac{\partial Z_{A,j}^{(m)}}{\partial W_{i,j}^{(m)}}
    = \frac{\partial L}{\partial Z_{A,B}^{(m)}} X_{A,i}^{(m-1)}""",
)

# %% [markdown]
# **The biases.** The form in the middle has a `j` that the left side has not. The last form is right, and is held
# against the last form before it that is legal.
#
# $$\frac{\partial L}{\partial b_{i}^{(m)}}
# = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial b_{i}^{(m)}}
# = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial b_{i}^{(m)}} \delta_{i,B}
# = \frac{\partial L}{\partial Z_{A,j}^{(m)}} \frac{\partial Z_{A,i}^{(m)}}{\partial b_{i}^{(m)}}
# = \frac{\partial L}{\partial Z_{A,i}^{(m)}} (1)_{A}$$

# %%
judge(
    NET,
    r"""\frac{\partial L}{\partial b_{i}^{(m)}}
    = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial b_{i}^{(m)}}
    = \frac{\partial L}{\partial Z_{A,B}^{(m)}} \frac{\partial Z_{A,B}^{(m)}}{\partial b_{i}^{(m)}} \delta_{i,B}
    = \frac{\partial L}{\partial Z_{A,j}^{(m)}} \frac{\partial Z_{A,i}^{(m)}}{\partial b_{i}^{(m)}}
    = \frac{\partial L}{\partial Z_{A,i}^{(m)}} (1)_{A}""",
)

# %% [markdown]
# So the backward pass that the article is after reads as follows, and it holds for every activation and every loss:

# %%
RIGHT = r"""
    \frac{\partial L}{\partial Z_{i,j}^{(n)}}
    = \frac{\partial L}{\partial X_{i,B}^{(n)}} \frac{\partial X_{i,B}^{(n)}}{\partial Z_{i,j}^{(n)}}
    \frac{\partial L}{\partial Z_{i,j}^{(m-1)}}
    = \frac{\partial L}{\partial Z_{i,B}^{(m)}} W_{j,B}^{(m)} \sigma'_l(Z_{i,j}^{(m-1)})
    \frac{\partial L}{\partial W_{i,j}^{(m)}} = X_{A,i}^{(m-1)} \frac{\partial L}{\partial Z_{A,j}^{(m)}}
    \frac{\partial L}{\partial b_j^{(m)}} = \frac{\partial L}{\partial Z_{A,j}^{(m)}} (1)_A
"""
judge(NET, RIGHT)
assert all(verdict.holds for verdict in es.check(NET + RIGHT))

# %% [markdown]
# The whole article, chains and all, is also a file of the examples, for the command line:
# `einstan check examples/mathematics_of_neural_networks.ein`. Its exit status is 1 as long as a claim fails.
#
# ## Step by step
#
# `explain` derives in the article's way: the chain rule, with the deltas written out, and each delta removed in a line
# of its own. Every line is equal to the one before it, and says by which rule. `depth=0` folds everything but the
# derivative that is asked for.

# %%
es.parse(NET).explain("L", wrt="b^{(m)}", depth=0)

# %% [markdown]
# ## A line from a forum
#
# A gated readout, $h_d = \tanh(\sum_v A_{v,d} B_{v,d})$, was explained very well in a forum thread, up to its last
# answer: that a product and a sum make a dot product, "so in Pytorch terms it will be `nn.Tanh(A@B)`". No index tells
# there what is summed, so it is refused at first:

# %%
refusal("h = nn.Tanh(A@B)")

# %% [markdown]
# With indices, `A@B` is a matrix product, and the dot product is one number. Neither is the readout:

# %%
READOUT = "h[d] = tanh(A[V,d] B[V,d])"
judge(READOUT, "claim h[d] = tanh(A[d,K] B[K,d])")

# %%
judge(READOUT, "claim h[d] = tanh(A[V,D] B[V,D])")

# %% [markdown]
# ## What is legal and may be misread
#
# Some habits make mistakes likely; the *lint* names them. Of the article's letters, `j` is the columns of one layer
# and then those of another:

# %%
print(*lint(es.parse(NET)), sep="\n\n")

# %%
print(*lint(es.parse("y[i] = a[i] / b[i] c[i]; s = sum[i](y[i] y[i]); b2[i] = b[i] + 1")), sep="\n\n")

# %% [markdown]
# ## Derivatives of one's own, as numbers
#
# A Python function brings its own derivative, which no formula vouches for. `check_grads` holds every derivative that
# a program computes against numbers, and shows the worst entry of each:

# %%
own = es.parse("Y[b,j] = f(X[b,K] W[K,j]); L = Y[B,J] Y[B,J]")
rng = np.random.default_rng(0)
data = {"X": rng.normal(size=(5, 3)), "W": rng.normal(size=(3, 2))}
own.check_grads(data, functions={"f": np.arctan, "f'": lambda x: 1 / (1 + x)}, order=1)

# %%
good = {"f": np.arctan, "f'": lambda x: 1 / (1 + x**2), "f''": lambda x: -2 * x / (1 + x**2) ** 2}
assert own.check_grads(data, functions=good).holds

# %% [markdown]
# ## Exercises
#
# 1. Find the mistake: `∂L/∂W[k,j] = 2 X[B,k] Y[B,j] (1 - Y[B,j])` for the layer `Y[b,j] = tanh(X[b,K] W[K,j])` with
#    the loss `L = Y[B,J] Y[B,J]`. *Hint: ask the checker only afterwards.*
# 2. Prove that softmax does not see what is added to a row: a claim with `softmax[j](Z[i,j] + a[i])`. *Hint: how does
#    it say that it knows?*
# 3. The hand derivation of logistic regression: `∂L/∂w[k] = X[N,k] (p[N] - t[N])`. Write `L` so that this holds, and
#    then with a sign wrong. *Hint: `L = softplus(z[N]) 1[N] - t[N] z[N]`.*
# 4. Which of the article's five mistakes would a check of indices alone have found? *Hint: look for "indices" in the
#    verdicts.*
# 5. `explain` the gradient by `W^{(m)}`, and compare with the chain in the article, form by form.
