# %% [markdown]
# # 7. Newton-Raphson
#
# Section 7 of Stanley Neoh's *Mathematics of Neural Networks* (2023) is called "Newton Rhapson's Method", and says "To
# be continued". This is the continuation: the method for a layer and for logistic regression, with gradients and
# Hessians as formulas, what their structure is worth, and how far gradient descent gets meanwhile.

# %%
import numpy as np

import einstan as es
from einstan.show.curves import curves

rng = np.random.default_rng(0)

# %% [markdown]
# ## The step
#
# Near a point $w$ a loss is nearly its second-order expansion,
#
# $$L(w + d) \approx L + \frac{\partial L}{\partial w_K} d_K
#   + \frac{1}{2}\, d_K \frac{\partial^2 L}{\partial w_K \partial w_M} d_M ,$$
#
# which is a program as well. Its gradient by $d$ vanishes at the lowest point of the expansion; that is Newton's step.

# %%
model = es.parse("""
    z[n] = X[n,K] w[K]
    p[n] = sigmoid(z[n])
    L = sum[n](softplus(z[n])) - t[N] z[N]
    M = L + ∂L/∂w[K] d[K] + d[K] ∂²L/∂w[K]∂w[M] d[M] / 2
""")
model.grad("M", wrt="d")

# %% [markdown]
# The step is the solution of a linear system, $\frac{\partial^2 L}{\partial w_k \partial w_M} d_M =
# -\frac{\partial L}{\partial w_k}$, and $w + d$ the next point. All it takes is the gradient and the Hessian, and these
# einstan derives.
#
# ## A linear layer
#
# The article's layer without its activation, and half the sum of squares as the loss:

# %%
layer = es.parse("""
    R[a,j] = X[a,K] W[K,j] - T[a,j]
    L = R[A,J] R[A,J] / 2
""")
layer.grad("L", wrt="W")

# %%
layer.hessian("L", wrt="W")

# %% [markdown]
# There is no `W` in the Hessian: the loss is its own second-order expansion, so that a single step reaches the minimum
# from anywhere. And there is a Kronecker delta: columns of `W` do not meet. Compiled with `structured=True`, the
# Hessian is not written out as an array with four axes; it keeps the one block that all columns share.

# %%
X, T = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
W0 = rng.normal(size=(5, 3))
H = layer.hessian("L", wrt="W").compile(structured=True)(X=X, W=W0, T=T)
H

# %% [markdown]
# `solve` uses the structure: one system of size 5 with three right sides, instead of one of size 15.

# %%
slope = layer.grad("L", wrt="W").run(X=X, W=W0, T=T)
W1 = W0 - H.solve(slope)
assert np.allclose(W1, np.linalg.lstsq(X, T)[0])
assert np.allclose(layer.grad("L", wrt="W").run(X=X, W=W1, T=T), 0)

# %% [markdown]
# `es.newton` does these steps, with all care that they need in general. `nit` counts them.

# %%
found = es.newton(layer, "L", wrt="W", start=W0, data={"X": X, "T": T})
print(found.nit, found.success, np.allclose(found.x, W1))

# %% [markdown]
# ## Logistic regression
#
# `t` is 0 or 1, and `p` is the probability of 1. The penalty keeps `w` where it should be if the data leave it open.

# %%
logistic = es.parse("""
    z[n] = X[n,K] w[K]
    p[n] = sigmoid(z[n])
    L = sum[n](softplus(z[n])) - t[N] z[N] + r w[K] w[K] / 2
""")
print(logistic.grad("L", wrt="w"))
print(logistic.hessian("L", wrt="w"))

# %% [markdown]
# The Hessian is $X^\top D X$ with the diagonal $D$ of $p(1-p)$, which is never negative. So `L` has one valley, and
# einstan says so from the formula, whatever the data (here without the penalty, whose sign is not known):

# %%
plain = es.parse("L = sum[n](softplus(X[n,K] w[K])) - t[N] X[N,K] w[K]")
print(plain.convexity("L", wrt="w"))

# %% [markdown]
# Now by hand. Two kernels, and a loop of three lines.

# %%
m, n = 400, 20
X, truth = rng.normal(size=(m, n)), rng.normal(size=n)
t = (rng.random(m) < 1 / (1 + np.exp(-X @ truth))).astype(float)
data = {"X": X, "t": t, "r": 0.1}

slope = logistic.value_and_grad("L", wrt="w").compile()
curvature = logistic.hessian("L", wrt="w").compile()

w = np.zeros(n)
for step in range(8):
    value, g = slope(w=w, **data)
    print(step, f"{value:.6f}  {np.linalg.norm(g):.0e}")
    w = w - np.linalg.solve(curvature(w=w, **data), g)

# %% [markdown]
# Near the minimum every step doubles the number of digits. The same by `es.newton`, with a line for each iteration:

# %% tags=["machine"]
found = es.newton(logistic, "L", wrt="w", start=np.zeros(n), data=data, progress=True)
print(found.message)

# %% [markdown]
# ## Against gradient descent
#
# Gradient descent goes down the slope by a fixed part of it. The best part that is safe everywhere is one over the
# largest curvature that there can be; as $p(1-p) \le \frac{1}{4}$, that is an eigenvalue of $\frac{1}{4} X^\top X + r$.

# %%
rate = 1 / np.linalg.eigvalsh(X.T @ X / 4 + 0.1 * np.eye(n))[-1]
w, downhill = np.zeros(n), []
for _ in range(200):
    _, g = slope(w=w, **data)
    downhill.append(float(np.linalg.norm(g)))
    w = w - rate * g

records = []
found = es.newton(logistic, "L", wrt="w", start=np.zeros(n), data=data, progress=records.append)
newton = [record.gradient_norm for record in records]
print(f"{found.nit} iterations of Newton: {newton[-1] < 1e-10 = }")
print(f"gradient descent: {downhill[found.nit]:.1f} by then, {downhill[-1]:.0e} after 200")

# %% tags=["machine"]
series = {"Newton": enumerate(newton), "gradient descent": enumerate(downhill)}
curves("The norm of the gradient", series, "iterations")

# %% [markdown]
# A step of Newton's costs more: the Hessian, and a Cholesky factor of $n^3/3$ flops. Kernels know what they cost, so
# the comparison may be made in flops. It comes out the same way, if not as clearly: each of the few steps is worth
# it, as long as the Hessian is of a size that can be solved with.

# %%
slope(w=w, **data), curvature(w=w, **data)
one, two = slope.cost.flops, slope.cost.flops + curvature.cost.flops + n**3 / 3
assert found.nit * two < 200 * one
spent = {
    "Newton": [(k * two / 1e6, y) for k, y in enumerate(newton)],
    "gradient descent": [(k * one / 1e6, y) for k, y in enumerate(downhill)],
}

# %% tags=["machine"]
curves("The norm of the gradient", spent, "million flops")

# %% [markdown]
# ## A layer with its activation
#
# With a tanh in it the loss is no longer convex, and the Hessian has a term with the second derivative of tanh, which
# can be negative. Still no column of `W` meets another one.

# %%
bent = es.parse("""
    Y[a,j] = tanh(X[a,K] W[K,j])
    R[a,j] = Y[a,j] - T[a,j]
    L = R[A,J] R[A,J] / 2
""")
print(bent.hessian("L", wrt="W"))
print(bent.convexity("L", wrt="W"))

# %%
X = rng.normal(size=(40, 5))
T = np.tanh(X @ rng.normal(size=(5, 3))) + 0.1 * rng.normal(size=(40, 3))
H = bent.hessian("L", wrt="W").compile(structured=True)(X=X, W=np.ones((5, 3)), T=T)
print(H)
print("lowest eigenvalue:", np.linalg.eigvalsh(H.dense().reshape(15, 15))[0].round(1))

# %% [markdown]
# Where the Hessian has a negative eigenvalue, Newton's step may lead up. `es.newton` tries a Cholesky factor; where
# there is none it adds a multiple of the identity, the *shift*, twice as large as that eigenvalue, and goes along its
# vector as well. And it takes only a part of a step if the whole does not lead down far enough (Armijo's condition).

# %%
records = []
found = es.newton(bent, "L", wrt="W", start=np.ones((5, 3)), data={"X": X, "T": T}, progress=records.append)
for record in records:
    print(f"{record.iteration:2}   {record.value:10.6f}   step {record.step:.2f}   shift {record.shift:.1f}")

# %% [markdown]
# At a saddle or on a top the gradient vanishes too. There is a way down along a direction of negative curvature, and it
# is taken:

# %%
valley = es.parse("L = x^2 - y^2 + y^4")
bottom = es.newton(valley, "L", wrt=["x", "y"], start={"x": 0.0, "y": 0.0})
print(bottom.fun.round(6), bottom.nit)

# %% [markdown]
# ## When there is no minimum
#
# If a plane separates the two classes, larger and larger weights fit them better and better. The gradient vanishes on
# the way, but not at any point. The message tells:

# %%
separable = {"X": rng.normal(size=(30, 2)), "r": 0.0}
separable["t"] = (separable["X"][:, 0] > 0).astype(float)
none = es.newton(logistic, "L", wrt="w", start=np.zeros(2), data=separable)
print(none.success, none.message.partition(":")[0])

# %%
one = es.newton(logistic, "L", wrt="w", start=np.zeros(2), data={**separable, "r": 0.01})
print(one.success, one.nit)

# %% [markdown]
# ## Without the Hessian
#
# A Hessian by 10,000 weights takes 800 MB. Its product with a vector takes as much as a gradient:

# %%
logistic.hvp("L", wrt="w", vector="v")

# %% [markdown]
# Conjugate gradients solve a system with such products alone. `es.newton` goes that way when the Hessian does not fit
# into `memory_limit`, and solves for each step only as precisely as it pays.

# %%
small = es.newton(logistic, "L", wrt="w", start=np.zeros(n), data=data, memory_limit="10 kB")
whole = es.newton(logistic, "L", wrt="w", start=np.zeros(n), data=data)
assert np.allclose(small.x, whole.x)
print("Conjugate gradients" in small.message, "Conjugate gradients" in whole.message)

# %% [markdown]
# ## Roots
#
# The method is older than minimisation: it solves $F(x) = 0$. With axes, $\frac{\partial F_i}{\partial x_J} d_J =
# -F_i$; the Jacobian is derived. Here, the fixed point of a layer, $x = \tanh(W x + c)$:

# %%
fixed = es.parse("F[j] = x[j] - tanh(W[j,K] x[K] + c[j])")
fixed.jacobian("F", wrt="x")

# %%
W, c = rng.normal(size=(5, 5)) / 2, rng.normal(size=5)
point = es.root(fixed, "F", wrt="x", start=np.zeros(5), data={"W": W, "c": c})
assert np.allclose(point.x, np.tanh(W @ point.x + c))
print(point.success, point.nit)

# %% [markdown]
# ## Other minimisers
#
# `p.scipy` gives what `scipy.optimize.minimize` takes: functions of one flat vector, and the start if it is among the
# arrays. `arrays(x)` takes a vector apart. (Methods that have no use for a Hessian warn of it.)

# %%
from scipy.optimize import minimize

given = bent.scipy("L", wrt="W", X=X, T=T, W=np.ones((5, 3)))
other = minimize(**given, method="trust-ncg")
print(other.success, np.allclose(given.arrays(other.x), found.x, atol=1e-4))

# %% [markdown]
# ## Exercises
#
# 1. Softmax regression: `L = -T[B,C] log_softmax[C](X[B,K] W[K,C])`. Which direction in `W` leaves `L` as it is, and
#    what does that make of the Hessian? *Hint: `progress=True`, and look at the shifts.*
# 2. Let `U` vary in `R[i,j] = T[i,j] - U[i,K] V[j,K]`, `L = R[I,J] R[I,J]`. How many steps are needed, and why?
#    *Hint: print the Hessian. Is there a `U` in it?*
# 3. Solve `F = atan(x)` from 1 and from 2, by hand as above and by `es.root`. Where does a whole step lead?
# 4. A matrix square root: `F[i,j] = X[i,K] X[K,j] - A[i,j]`. Which square root is found from the identity?
# 5. Give `t` in the separable example one wrong entry. What changes? *Hint: no plane separates the classes any more.*
