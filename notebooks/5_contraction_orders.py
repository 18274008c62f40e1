# %% [markdown]
# # 5. Contraction orders
#
# A product of many tensors can be multiplied in any order. The result is the same; the work is not, by factors of
# thousands. This notebook shows what there is to choose, who chooses, and what it costs, for one contraction and for
# a loss with all its gradients.

# %%
import numpy as np

import einstan as es
from einstan.orders.comparison import compare

rng = np.random.default_rng(0)

# %% [markdown]
# ## einsum, as you know it
#
# `es.einsum` takes what `np.einsum` takes: text, with or without an arrow, ellipses, lists of labels, `out=`,
# `dtype=`. It chooses the order by itself.

# %%
A, B, v = rng.normal(size=(40, 50)), rng.normal(size=(50, 60)), rng.normal(size=60)
assert np.allclose(es.einsum("ij,jk,k->i", A, B, v), np.einsum("ij,jk,k->i", A, B, v))
assert np.allclose(es.einsum("ij,jk", A, B), A @ B)
assert np.allclose(es.einsum("...j,jk->...k", A, B), A @ B)
assert np.allclose(es.einsum(A, [0, 1], B, [1, 2], [0, 2]), A @ B)

# %% [markdown]
# `es.contract` takes what `opt_einsum.contract` takes: any number of labels, of any alphabet, any hashable objects.

# %%
assert np.allclose(es.contract("αβ,βγ->αγ", A, B), A @ B)
assert np.allclose(es.contract(A, ("row", "bond"), B, ("bond", "column"), ("row", "column")), A @ B)

# %% [markdown]
# ## Why the order matters
#
# Take `A B v`, a vector times two matrices. From the left, a matrix product comes first; from the right, there are
# two products of a matrix with a vector. `es.contract_path` says what is chosen, and what it costs: multiply and add
# are two flops.

# %%
path, info = es.contract_path("ij,jk,k->i", A, B, v)
print(info)

# %% [markdown]
# The path says: first operands 1 and 2 (`B v`, which goes to the end of the list), then the two that are left. Only
# the counts matter to the choice. `compare` puts methods side by side: here the same for thousand by thousand. It can
# also run what they find; with `measure=False` it only counts.

# %%
table = compare("ij,jk,k->i", sizes={"i": 1000, "j": 1000, "k": 1000}, optimize=["naive", "auto"], measure=False)
for row in table:
    print(f"{row.name:6} {row.flops:>13,} flops   largest array {row.largest:>9,} bytes   {row.path}")


# %% [markdown]
# ## Many operands
#
# A chain of n matrices has as many orders as there are ways to set brackets, and that grows like $4^n$. For odd
# shapes the differences are large. "naive" goes from left to right; "greedy" takes the cheapest next step; "dp" and
# "optimal" search all orders. "auto" is einstan's own: all orders for few operands, within a budget of steps, else
# the best of several searches.


# %%
def listing(table):
    """What each method finds, cheapest first: flops, and the entries of the largest intermediate."""
    for row in sorted(table, key=lambda row: row.flops):
        print(f"{row.name:14} {row.flops:>14,} flops   {int(row.largest_intermediate):>10,} entries")


METHODS = ["naive", "greedy", "dp", "optimal", "auto"]
sizes = {"i": 30, "j": 700, "k": 5, "l": 400, "m": 20, "n": 900, "o": 40}
chain = compare("ij,jk,kl,lm,mn,no->io", sizes=sizes, optimize=METHODS, measure=False)
listing(chain)

# %% [markdown]
# The steps of an order, in index notation. The operands are called A, B, C, ... in their order; `v0` is what the
# first step made.

# %%
for step in chain["auto"].steps:
    print(f"{step.flops:>9,} flops   {step.formula}")

# %% [markdown]
# As a picture: an order of multiplication is a tree, the operands are its leaves, each box is a product. The same
# chain as a program; the kernel draws what it does.

# %% tags=["machine"]
program = es.parse("P[i,o] = A[i,J] B[J,K] C[K,L] D[L,M] E[M,N] F[N,o]")
program.compile("P", sizes=sizes).svg()

# %% [markdown]
# ## Where fewest flops are not enough
#
# A batch of products with a weight on the summed axis, as in attention or in a weighted sum of squares: three factors
# share `b` and `k`, so the weights `w[b,k]` can go to either matrix first.

# %%
sizes = {"b": 8, "g": 4, "k": 256, "d": 64}
weighted = compare("bgk,bkd,bk->bgd", sizes=sizes, optimize=METHODS, measure=False)
listing(weighted)
for name in ("auto", "optimal", "naive"):
    print(name.ljust(8), weighted[name].steps[0].formula)

# %% [markdown]
# "auto" scales the small matrix. "naive" multiplies the two matrices entry by entry, and sums at the end. And
# opt_einsum's "optimal" is not: it scales the matrix that is 16 times as large. The counts of two of them are close.
# The arrays are not, and memory is what takes the time.

# %% [markdown]
# ## A loss and all its gradients
#
# Programs differ from single contractions: they have many products, and the gradients need products that resemble
# those of the value. A chain of five factors, and its gradients by all of them:

# %%
loss = es.parse("L = x[I] A[I,J] B[J,K] C[K,M] y[M]")
print(loss.grad("L", wrt=["A", "B", "x"]))

# %% [markdown]
# Each gradient is the chain without one factor. Ordered one by one, each would be multiplied from its own best side.
# einstan orders the value, and lets the derivatives go back through the same tree: what was computed on the way
# forward is used on the way back, and what two gradients share is computed once. Of a program `es.contract_path` gives
# that table too.

# %%
wrt = ["x", "A", "B", "C", "y"]
sizes = dict.fromkeys("ijkm", 100)
value = es.contract_path(loss, of="L", sizes=sizes, optimize=["auto"], measure=False)
together = es.contract_path(loss, of="L", wrt=wrt, sizes=sizes, optimize=["auto"], measure=False)
print(f"the value alone                    {value['auto'].flops:>9,} flops")
print(f"value and all gradients together   {together.joint:>9,} flops")
print(f"each by itself, in its best order  {together.separate:>9,} flops, {together.gain:.2f} times as many")

# %% [markdown]
# The rule of thumb of reverse mode: all gradients cost about twice the value, whatever their number. Here for chains
# of matrices of growing length, the flops of value and gradients over those of the value:


# %%
def chain_of(n):
    """The trace of a product of n matrices, an input for each."""
    letters = [f"K{m}" for m in range(n)]
    factors = [f"A{m}[{letters[m]},{letters[(m + 1) % n]}]" for m in range(n)]
    return es.parse(f"f = {' '.join(factors)}")


for n in (3, 6, 12):
    p = chain_of(n)
    alone = es.contract_path(p, of="f", optimize=["auto"], measure=False)["auto"].flops
    all_of_it = es.contract_path(p, of="f", wrt=list(p.inputs), optimize=["auto"], measure=False)["auto"].flops
    print(f"{n:3} factors: {all_of_it / alone:.2f}")

# %% [markdown]
# ## Attention
#
# In a real model products and functions alternate, and every product has its own order. Of a program the table is of
# the whole: of the loss and its gradients.

# %%
attention = es.parse("""
    S[t,s] = (Q[t,D] K[s,D] u[D]) / sqrt(size(Q,2))
    A[t,s] = softmax[s](S[t,s])
    O[t,e] = A[t,S] V[S,F] P[F,e]
    L = (O[T,E] - Y[T,E]) (O[T,E] - Y[T,E])
""")
sizes = {"t": 64, "s": 256, "d": 32, "f": 48, "e": 16}
wrt = ["Q", "K", "u", "V", "P"]
methods = ["greedy", "dp", "optimal", "auto"]
orders = es.contract_path(attention, of="L", wrt=wrt, sizes=sizes, optimize=methods, measure=False)
listing(orders)
print(f"{orders.gain:.2f} times as many flops, were the loss and each gradient ordered by itself")

# %% [markdown]
# Right in any order: the kernel's gradients by two methods.

# %%
shapes = {"Q": "td", "K": "sd", "u": "d", "V": "sf", "P": "fe", "Y": "te"}
data = {name: rng.normal(size=[sizes[x] for x in axes]) for name, axes in shapes.items()}
gradient = attention.grad("L", wrt=wrt)
by_auto, by_greedy = (gradient.compile(optimize=method)(data) for method in ("auto", "greedy"))
assert all(np.allclose(by_auto[name], by_greedy[name]) for name in wrt)

# %% [markdown]
# ## Time
#
# Flops are not seconds. With `measure=True` every order is run; equal orders are run once. The numbers below are
# those of the machine that made this page; yours differ. The best of each column
# is marked.

# %% tags=["machine"]
big = {"b": 16, "g": 8, "k": 256, "d": 128}
compare("bgk,bkd,bk->bgd", sizes=big, optimize=METHODS)

# %% [markdown]
# ## Memory
#
# A plan's peak is known before anything is allocated. What does not fit is refused, with the step that is too large:

# %%
outer = es.parse("T[i,j,k] = u[i] v[j] w[k]").compile("T", memory_limit="1MB")
try:
    outer(u=np.ones(100), v=np.ones(100), w=np.ones(100))
except es.EinstanError as error:
    print(error)

# %% [markdown]
# ## On the command line
#
# The same tables, with a bar that shows how far it is, for a contraction or for a file with a program in it:
#
# ```
# einstan path "bgk,bkd,bk->bgd" --sizes b=8,g=4,k=256,d=64
# einstan path attention.ein --of L --wrt Q,K,u,V,P --sizes t=64,s=256
# ```
#
# ## Exercises
#
# 1. `A[i,K] B[K,j] c[K]`: may `c` go to either side? Find sizes for which it should go to A, and sizes for which it
#    should go to B. *Hint: `compare("ik,kj,k->ij", ...)["auto"].steps[0].formula`.*
# 2. Find a chain of three matrices where the two orders differ by a factor of 100. *Hint: one long axis that only two
#    of them share.*
# 3. `x[I] A[I,J] A[J,K] A[K,M] x[M]` has the same matrix three times. How many flops is the gradient by `A` of the
#    value's? *Hint: `es.contract_path(p, of="f", wrt="A")`, and without
#    `wrt`.*
# 4. A factor of low rank: replace a matrix `W[k,j]` of a dense layer by `U[k,R] V[R,j]`, in text. From which rank on
#    is it cheaper to multiply `U V` first? *Hint: the answer depends on the batch.*
