# %% [markdown]
# # 1. The notation in ten minutes
#
# einstan reads formulas in index notation, derives them, and runs them. The notation has one rule. This notebook
# shows it beside numpy; what it takes is some calculus and some numpy.

# %%
import numpy as np

import einstan as es

rng = np.random.default_rng(0)

# %% [markdown]
# ## The rule
#
# A tensor is a name with its indices in order, one for each axis: `A[i,k]` is a matrix, `b[k]` a vector, `L` a
# number. There are no rows and no columns, only a first axis, a second axis, and so on.
#
# > In a product, a **capitalised** index that stands in two or more places is summed over. A lower-case index is
# > never summed: shared, it multiplies entry by entry; alone, it stays.

# %%
dot = es.parse("s = u[I] v[I]")
dot.run("s", u=[1, 2, 3], v=[4, 5, 6])

# %% [markdown]
# The same with a small `i` multiplies entry by entry, and so the left side has the index too.

# %%
entrywise = es.parse("y[i] = u[i] v[i]")
entrywise.run("y", u=[1, 2, 3], v=[4, 5, 6])

# %% [markdown]
# A cell that ends with a program shows it as mathematics; `print` shows the text that you would type.

# %%
entrywise

# %% [markdown]
# ## The products that you know
#
# Each row: a statement, and what one would tell `np.einsum`. `p.inputs` lists what a statement needs, with a letter
# for each axis, so the same arrays go to both.

# %%
PRODUCTS = [
    ("s = u[I] v[I]", "i,i->", "inner product"),
    ("M[i,j] = u[i] b[j]", "i,j->ij", "outer product"),
    ("y[i] = A[i,K] b[K]", "ik,k->i", "matrix times vector"),
    ("y[k] = A[I,k] u[I]", "ik,i->k", "transposed matrix times vector"),
    ("M[i,j] = A[i,K] B[K,j]", "ik,kj->ij", "matrix product"),
    ("M[i,j] = A[i,K] B[K,j] b[K]", "ik,kj,k->ij", "A diag(b) B: three factors share K"),
    ("M[i,k] = A[i,k] b[k]", "ik,k->ik", "columns scaled, nothing summed"),
    ("y[i] = S[i,i]", "ii->i", "diagonal"),
    ("t = S[I,I]", "ii->", "trace"),
]
shapes = {"u": (2,), "v": (2,), "b": (3,), "A": (2, 3), "B": (3, 4), "S": (3, 3)}
data = {name: rng.integers(-5, 6, shape) for name, shape in shapes.items()}

for statement, subscripts, what in PRODUCTS:
    p = es.parse(statement)
    arrays = {name: data[name] for name in p.inputs}
    (result,) = p.run(list(p.names), **arrays).values()
    assert np.array_equal(result, np.einsum(subscripts, *arrays.values()))
    print(f"{statement:32}{subscripts:14}{what}")

# %% [markdown]
# Two things `np.einsum` refuses, because nothing is known of the new axis, or because an index would be written
# twice, are ordinary here: a left side may repeat an index (it writes a diagonal) and a size may be given.

# %%
p = es.parse("""
    size j = 2
    D[i,i] = d[i]
    R[i,j] = d[i] 1[j]
""")
p.run(["D", "R"], d=[1.0, 2.0, 3.0])

# %% [markdown]
# ## One axis alone
#
# A capital needs a second place. To sum a vector, multiply it by ones, or write the sum. In both of these `k` is
# gone.

# %%
sums = es.parse("""
    s = x[K] 1[K]
    t = sum[k](x[k])
""")
print(sums["s"] == sums["t"], sums.run("s", x=[1.0, 2.0, 4.0]))

# %% [markdown]
# Other functions along an index are written the same way: `mean[k] max[k] min[k] prod[k] norm[k] logsumexp[k]`. With
# `softmax[k]` and `log_softmax[k]` the axis stays.

# %%
along = es.parse("""
    m = mean[k](x[k])
    top = max[k](x[k])
    p[k] = softmax[k](x[k])
""")
along

# %%
along.run(["m", "top", "p"], x=np.log([1.0, 2.0, 5.0]))

# %% [markdown]
# ## Where a sum ends
#
# A sum covers the product in which its capital has two places, and nothing outside. Brackets and functions are one
# factor, so these two differ:

# %%
ends = es.parse("""
    inside[i] = tanh(A[i,K] b[K])
    outside[i] = tanh(A[i,K]) b[K]
""")
A, b = data["A"], data["b"]
found = ends.run(["inside", "outside"], A=A, b=b)
assert np.allclose(found["inside"], np.tanh(A @ b))
assert np.allclose(found["outside"], np.tanh(A) @ b)
ends

# %% [markdown]
# A capital never crosses a plus. In the dense layer below, `c[j]` is added once, not once for each `K`; and a term is
# repeated along the indices that it lacks, so the same `c` goes to every row `b`.

# %%
layer = es.parse("Z[b,j] = X[b,K] W[K,j] + c[j]")
X, W, c = rng.normal(size=(5, 3)), rng.normal(size=(3, 2)), rng.normal(size=2)
assert np.allclose(layer.run("Z", X=X, W=W, c=c), X @ W + c)
layer

# %% [markdown]
# ⊙ multiplies without summing, whatever is capital. So do plus, comparisons, and the arguments of a function. These
# three say one thing: for each `d` a sum over `v`.

# %%
three = es.parse("""
    a[d] = A[V,d] B[V,d]
    b[d] = sum[v](A[v,d] B[v,d])
    c[d] = 1[V] (A[V,d] ⊙ B[V,d])
""")
print(three["a"] == three["b"] == three["c"])

# %% [markdown]
# ## Programs
#
# A program is a set of statements in any order. What is used and never defined is an input. Sizes come with the
# arrays.

# %%
p = es.parse("""
    Z[b,j] = X[b,K] W[K,j] + c[j]
    Y[b,j] = tanh(Z[b,j])
    L = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])
""")
print(p.inputs)
print(p.names)
p

# %% [markdown]
# As a picture: what goes where, and along which indices. A summed index is marked on both wires.

# %%
p.svg()

# %%
arrays = {"X": X, "W": W, "c": c, "T": np.zeros((5, 2))}
float(p.run("L", **arrays).round(6)), float((np.tanh(X @ W + c) ** 2).sum().round(6))

# %% [markdown]
# ## Mistakes
#
# Nothing is guessed. A mistake is shown where it stands, with what to write instead. Here are the common ones.


# %%
def mistake(text, **arrays):
    """Read a program and run its first name; show what is wrong with it."""
    try:
        q = es.parse(text)
        q.run(q.names[0], **arrays)
    except es.EinstanError as error:
        print(error)


mistake("s = x[K]")

# %%
mistake("y[i] = A[i,j] b[j]")

# %%
mistake("y[i] = sin x[i]")

# %%
mistake("s = (A[I,K] b[K]) c[K]")

# %% [markdown]
# Sizes are checked before anything runs. An axis of size 1 is no wild card.

# %%
mistake("y[i] = A[i,K] b[K]", A=np.ones((2, 3)), b=np.ones(4))

# %%
mistake("y[i] = A[i,K] b[K]", A=np.ones((2, 3)), b=np.ones(1))

# %% [markdown]
# ## Derivatives
#
# `grad` gives the derivatives of a scalar as formulas, in the same notation: one line for each name on the way from
# `L` to what you asked for. Read them from the top: each line uses those above it.

# %%
g = p.grad("L", wrt=["W", "c"])
print(g)

# %%
g

# %%
g.svg()

# %% [markdown]
# `∂L/∂W[k,j]` is a tensor with the axes of `W`. The chain rule is a product like any other: in `X[B,k] ∂L/∂Z[B,j]`
# the capital `B` is summed. Compiled, the formulas become a function of arrays.

# %%
k = p.value_and_grad("L", wrt=["W", "c"]).compile()
value, slopes = k(**arrays)
slopes["W"].round(4)

# %% [markdown]
# Are they right? Move each entry of `W` a little and see how far `L` moves.


# %%
def finite_difference(f, x, step=1e-6):
    """∂f/∂x by central differences, axes of f first."""
    x = np.array(x, dtype=float)
    slope = np.empty(np.shape(f(x)) + x.shape)
    for place in np.ndindex(x.shape):
        moved = x.copy(), x.copy()
        moved[0][place] += step
        moved[1][place] -= step
        slope[(..., *place)] = (f(moved[0]) - f(moved[1])) / (2 * step)
    return slope


value_of = p.compile("L")
assert np.allclose(slopes["W"], finite_difference(lambda w: value_of({**arrays, "W": w}), W), rtol=1e-6)
assert np.allclose(slopes["c"], finite_difference(lambda c: value_of({**arrays, "c": c}), c), rtol=1e-6)

# %% [markdown]
# Of a tensor by a tensor: the axes of the first, then the axes of the second. The Kronecker delta says that entry `b`
# of `y` depends on entry `b` of `x` alone.

# %%
cube = es.parse("y[b] = x[b]^3")
print(cube.jacobian("y", wrt="x"))
cube.jacobian("y", wrt="x").run(x=[1.0, 2.0])

# %% [markdown]
# Second derivatives too. A quadratic form has a Hessian that does not depend on `x`:

# %%
form = es.parse("f = x[I] A[I,J] x[J]")
form.hessian("f", wrt="x")

# %% [markdown]
# What `grad` prints is the notation again, and can be read after the program that it is of.

# %%
again = es.parse(f"{p}\n{g}")
print(len(again.checked.claims), "claims about", ", ".join(again.names))

# %% [markdown]
# ## The program that runs
#
# A kernel is plain numpy, line by line, each with its formula. Nothing of einstan is needed to run that text.

# %%
source = p.grad("L", wrt="W").compile(sizes={"b": 5, "k": 3, "j": 2}).source
print(source[source.index("def run") : source.index("def kernel")].strip())

# %%
space = {}
exec(source, space)
(dW,) = space["kernel"](X, W, c, arrays["T"])
assert np.allclose(dW, slopes["W"])

# %% [markdown]
# ## LaTeX is the same language
#
# Formulas come from papers. `es.parse` reads them as they are printed, as long as they have indices; text and LaTeX
# may be mixed. What stands in $^{(\ )}$ is a label: part of the name, neither index nor power.

# %%
gate = es.parse(r"\mathbf{f}_j = \sigma\left( W^{(f)}_{jK} x_K + b^{(f)}_j \right)")
print(gate)

# %% [markdown]
# `p.latex()` writes an `align` environment, which reads back as an equal program.

# %%
print(p.latex())
assert es.parse(p.latex()) == p

# %% [markdown]
# ## Python is the same language, too
#
# Operators build what the text would say.

# %%
tX, tW, tc = es.tensors("X[b,k] W[k,j] c[j]")
ib, ij, iK = es.indices("b j K")
Z = tX[ib, iK] * tW[iK, ij] + tc[ij]
print(Z)
assert layer["Z"] == Z
es.tanh(Z).jacobian(wrt="c")

# %% [markdown]
# ## Exercises
#
# 1. Write $x^\top A^\top A\,x$ as one product, and its gradient. *Hint: `A` stands there twice, and both times the
#    summed axis of `A` is its first. Check with `form` above.*
# 2. `A[i,K] B[K,J] 1[J]` and `A[i,K] (B[K,J] 1[J])`: equal? Which is cheaper to compute by hand? *Hint: compare them
#    with `==`; einstan finds the order of multiplication itself.*
# 3. Standardise the columns of `X[n,k]`: subtract the mean over `n`, divide by the standard deviation. *Hint: give
#    the mean a name, `m[k] = mean[n](X[n,k])`; `sqrt` works entry by entry.*
# 4. A batch of matrix products, `C[b,i,j]`, from `A[b,i,k]` and `B[b,k,j]`. Which of the four indices are capital,
#    and where? *Hint: `np.einsum("bik,bkj->bij", A, B)`.*
# 5. What does `mistake("y[i] = x[I]^2")` say, and why is `x[I] x[I]` fine? *Hint: powers act entry by entry.*
