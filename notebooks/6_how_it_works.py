# %% [markdown]
# # 6. How it works
#
# Every stage of einstan is a function from one value to another, and every value can be looked at. This notebook
# takes a program of three lines through all of them by hand, says where each stage lives, and ends by adding a
# function and a law to the package. Afterwards you should know where to put your own.
#
# | stage | from | to | module | its table |
# |---|---|---|---|---|
# | parse | text, LaTeX | AST | `syntax/lexer.py`, `parser.py`, `expressions.py` | `syntax/words.py` |
# | check | AST | checked program | `syntax/check.py`, `scope.py` | |
# | lower | checked program | nodes, names as leaves | `lower.py` | `LOWER` |
# | claims | nodes | printed gradient (for people) | `claims.py`, `lines.py`, `show/` | |
# | inline | nodes | nodes without names | `ir.py` | |
# | stabilise | nodes | nodes that do not overflow | `stabilise/` | `STABLE` |
# | derive | nodes | nodes of the derivatives | `derive.py`, `prims/` | `SCALAR`, ... |
# | simplify | nodes | nodes in normal form | `rewrite.py`, `rules.py` | `LAWS` |
# | order | products of many factors | products of two | `order/`, `orders/methods.py` | `METHODS` |
# | plan | nodes, sizes, dtypes | steps on arrays | `plan/` | `LOWER` |
# | emit | steps | numpy source | `emit.py` | `backends/numpy.py` |
#
# No stage knows a later one. The modules stand on floors, listed in `tests/test_layers.py`: each imports only from lower
# ones, and that test reads the imports.
#
# `es.einsum` and `es.contract` (`contractions/`) come in at order: `subscripts.py` reads how they are called,
# `contraction.py` makes one product of it, `calls.py` keeps what was made.

# %%
import numpy as np

import einstan as es

# %% [markdown]
# ## The example
#
# Logistic regression with a weight matrix of low rank, `U w`, written as one would on paper: the sigmoid spelled out,
# and a product of three factors.

# %%
TEXT = """\
z[n] = X[n,I] U[I,K] w[K]
p[n] = 1 / (1 + exp(-z[n]))
L = -y[N] log(p[N])
"""
program = es.parse(TEXT)
program

# %% [markdown]
# ## 1. Text to tokens to AST
#
# The lexer has a regular expression for each kind of token and knows where each begins and ends; those places are the
# carets of all errors. LaTeX has other tokens for the same things (`\frac`, `\cdot`), and one grammar reads both.

# %%
from einstan.syntax.lexer import tokens

print(*(token.text for token in tokens("p[n] = 1 / (1 + exp(-z[n]))")), sep="  ")

# %% [markdown]
# The parser makes a tree of what is written, and gives it no meaning yet. How tightly operators bind is a table,
# `INFIX` in `words.py`; the words of the language are tables there too.

# %%
from einstan.syntax.parser import parse_module


def draw(e, depth=0):
    """One line for each part of an expression."""
    own = getattr(e, "name", getattr(e, "value", ""))
    indices = ",".join(index.name for index in getattr(e, "indices", None) or ())
    print("    " * depth + type(e).__name__, own, indices)
    for child in e.children:
        draw(child, depth + 1)


module = parse_module(TEXT)
draw(module.statements[1].body)

# %% [markdown]
# ## 2. AST to checked program
#
# The checker gives every index its scope and its size. It is here that capitals become sums: in the product that
# defines `z`, `I` and `K` have two places each.

# %%
from einstan.syntax.check import check

checked = check(module)
product = module.statements[0].body
list(checked.scopes[id(product)].summed[id(product)])

# %% [markdown]
# Sizes are unknown as yet, so they are symbols: `X.0` is the size of the first axis of `X`. Where two axes must agree
# they have one symbol; the second axis of `X` is the first of `U`.

# %%
for name, shape in checked.shapes.items():
    print(name, *map(str, shape))

# %% [markdown]
# The place of each index is known, so a mistake can be shown. An error is a sentence, a repair, and spans:

# %%
try:
    es.parse("z[n] = X[n,I] U[J,K] w[K]")
except es.EinstanError as error:
    print(error.message, error.spans, error.repair, sep="\n")

# %% [markdown]
# ## 3. Checked program to nodes
#
# From here on there are no letters. A node has axes with positions, and there are six kinds: `Input`, `Name`,
# `Const`, `Einsum` (any product, sum, transpose, diagonal), `Add` (terms with coefficients), `Call` (a primitive). An
# index is a number inside one `Einsum`, and nothing outside of it. This is the right side of `z`: the numbers of the
# axes of each operand, then those of the result; its shape; its digest, and those of its operands, which follow below.

# %%
program.bodies["z"]

# %% [markdown]
# Nodes are *interned*: what is equal is one object, however it was written. So equality is `is`, and what is shared
# is computed once.

# %%
other = es.parse("z[a] = w[B] U[C,B] X[a,C]")
assert other.bodies["z"] is program.bodies["z"]

# %% [markdown]
# A defined name is a leaf: in the nodes of `L` there is a `Name p`, not what `p` stands for.

# %%
program.bodies["L"]

# %% [markdown]
# ## 4. For people: claims
#
# The printed gradient goes backward over the statements with names as leaves, so its lines speak of `p` and `z` as
# the text does. One step of it, by hand: the derivative of the right side of `L` by the leaf `p`. To write a node as
# a formula, letters are chosen for its axes again (`show/formula.py`).

# %%
from einstan.derive import derive
from einstan.ir import number
from einstan.show.formula import formula
from einstan.show.text import show_expr


def show(node, letters=""):
    """The formula of a node, its axes called by these letters."""
    print(show_expr(formula(node, letters, program.vocabulary)))


L, p, z, U, w = (program.leaves[name] for name in ("L", "p", "z", "U", "w"))
(slope,) = derive(program.bodies["L"], number(1), [p])
show(slope, "n")

# %%
print(program.grad("L", wrt=["U", "w"]))

# %% [markdown]
# Nice to read, and not to be run as it is: with `z` at -800, `exp(-z)` is infinite and `p` is 0.
#
# ## 5. For machines: inline, stabilise
#
# The machine's way begins by putting in what the names stand for. Then naive spellings are recognised. That has to
# happen before anything is differentiated; afterwards the damage is done.

# %%
from einstan.ir import inline
from einstan.stabilise import stabilise

bodies = {program.leaves[name]: body for name, body in program.bodies.items()}
(inlined,) = inline([L], bodies)
show(inlined)

(stable,) = stabilise([inlined])
show(stable)

# %% [markdown]
# Both are the same function. The package has a second, slow evaluator, `testing.py`, which shares nothing with the
# planner; tests hold all stages to it, and so do we, from here on.

# %%
from einstan.testing import evaluate

rng = np.random.default_rng(0)
arrays = {"X": rng.normal(size=(7, 5)), "U": rng.normal(size=(5, 3)), "w": rng.normal(size=3), "y": rng.uniform(size=7)}
sizes = {"X.0": 7, "U.0": 5, "U.1": 3}

before, after = evaluate([inlined, stable], arrays, sizes)
assert np.allclose(before, after)

far = {**arrays, "X": 1000 * arrays["X"]}
before, after = evaluate([inlined, stable], far, sizes)
print(before, after.round(3))

# %% [markdown]
# ## 6. Derive
#
# One sweep backward. What has come down to a node, its cotangent, is handed to its operands by one of three rules:
#
# - `Add`: times the coefficient;
# - `Einsum`: the cotangent is put in the operand's place. If `C = A B`, then what comes to `A` is the same product
#   with `A` taken out and the cotangent of `C` put in. That is all there is to the derivatives of products, traces,
#   diagonals, sums;
# - `Call`: as the primitive's row says. Tanh's is `1 - y^2`, written in nodes, and so can be differentiated again.

# %%
from einstan.prims.scalar import SCALAR

x = es.parse("y[i] = tanh(x[i])")
y = x.bodies["y"]
rule = SCALAR["tanh"].partial(y, 0)
print(show_expr(formula(rule, ["i"], x.vocabulary)))

# %% [markdown]
# The gradients of our example. (The naive graph would have given the third line.)

# %%
by_U, by_w = derive(stable, number(1), [U, w])
show(by_U, "ik")
show(by_w, "k")
show(derive(inlined, number(1), [w])[0], "k")

# %%
step = 1e-6
moved = [{**arrays, "w": arrays["w"] + sign * step * np.eye(3)[1]} for sign in (1, -1)]
above, below = (evaluate([stable], data, sizes)[0] for data in moved)
(slope,) = evaluate([by_w], arrays, sizes)
assert np.isclose(slope[1], (above - below) / (2 * step))

# %% [markdown]
# ## 7. Simplify
#
# The constructors of nodes keep much in order already (like terms are added, deltas vanish). What is left is a table
# of laws, each a function whose docstring begins with the law; the tests parse that line and run it.

# %%
from einstan.rules import LAWS, simplify

for rule in LAWS:
    print(rule.__name__.ljust(24), rule.__doc__.splitlines()[0])

# %% [markdown]
# Our gradients are in normal form as they come. A second derivative shows the laws at work; `identity` is the seed of
# a Jacobian, which nobody ever builds as an array.

# %%
from einstan.derive import identity

softmax = es.parse("s = logsumexp[k](x[k])")
inner = softmax.leaves["x"]
(once,) = derive(softmax.bodies["s"], number(1), [inner])
(twice,) = derive(once, identity(once), [inner])
print(show_expr(formula(twice, "kl", softmax.vocabulary)))
print(show_expr(formula(simplify([twice])[0], "kl", softmax.vocabulary)))

# %% [markdown]
# ## 8. Order
#
# Until here `X U w` is one product of three factors. Now sizes are known, and it becomes products of two, as cheap as
# can be: `U w` first, as any other order would multiply two matrices. The value is ordered *before* it is
# differentiated, so that the gradients go back through the same tree and share its parts.

# %%
from einstan.order import associate


def products(node):
    """The subscripts of all products below a node, inner ones first."""
    from einstan.ir import Einsum, toposort

    for n in toposort([node]):
        if isinstance(n, Einsum) and len(n.operands) > 1:
            names = [getattr(o, "name", type(o).__name__) for o in n.operands]
            print(" ".join(names).ljust(16), n.labels, "->", n.out)


products(stable)
print()
(ordered,) = associate([stable], sizes)
products(ordered)

# %%
gradients = simplify([ordered, *derive(ordered, number(1), [U, w])])

# %% [markdown]
# ## 9. Plan
#
# Nodes, sizes and dtypes become straight-line steps on arrays: which products are matrix products, what is a view,
# what is computed in place, which memory is used again. Each step knows its formula and its cost.

# %%
from einstan.plan import plan

dtypes = {name: np.dtype("float64") for name in program.inputs}
planned = plan(gradients, sizes, dtypes, "auto", program.inputs)
for step in planned.steps:
    if not step.is_view:
        print(f"{step.op:10} {step.flops:5} flops   {step.formula}")
print(planned.flops, "flops,", planned.peak_bytes, "bytes at the peak")

# %% [markdown]
# ## 10. Emit
#
# Steps become text, through a table with a row for each operation (`backends/numpy.py`). Nothing that a user writes
# reaches that text, but for names in comments. A backend for another library is another such file.

# %%
from einstan.backends.numpy import OPS
from einstan.emit import compiled, emit

print(OPS["softplus"].text, OPS["multiply"].text, sep="\n")

# %%
source = emit(planned, program.inputs)
print(source[source.index("def run") : source.index("def kernel")].strip())

# %% [markdown]
# ## 11. Arrays
#
# `kernel.py` does the rest: it looks at the arrays of a call, plans for their sizes and dtypes once, keeps the plan,
# and runs it. What we made by hand is what the package makes:

# %%
kernel = program.value_and_grad("L", wrt=["U", "w"]).compile(sizes={"n": 7, "i": 5, "k": 3})
assert kernel.source == source

functions = compiled(source)
given = [arrays[name] for name in planned.inputs]
value, dU, dw = functions.run(given, functions.workspace(), functions.results())
wanted = evaluate(gradients, arrays, sizes)
assert all(np.allclose(a, b) for a, b in zip((value, dU, dw), wanted, strict=True))

value, slopes = kernel(far)
print(value.round(3), np.isfinite(slopes["U"]).all())

# %% [markdown]
# All of it as a picture: each box is a step of the plan, the darker the more of the flops are its own.

# %% tags=["machine"]
kernel.svg()

# %% [markdown]
# ## Exercise, done in full: a new function
#
# Say you need softsign, $x / (1 + |x|)$, with the derivative $1 / (1 + |x|)^2$. A function is a row in a few tables,
# and no class and no `if` anywhere. To leave the installed package alone, we change a copy of it. Each row below: the
# file, a place in it, and what to write before that place.

# %%
ROWS = [
    # the primitive: its derivative in nodes (y the result, x the argument), and its LaTeX
    (
        "prims/scalar.py",
        "ERF = unary(",
        'SOFTSIGN = unary("softsign", lambda y, x: power(plus(like(x, 1), ABS(x)), -2), r"\\operatorname{softsign}")\n',
    ),
    # in the list of those that the language calls by name
    ("prims/scalar.py", "ERF, ABS, SIGN", "SOFTSIGN, "),
    # the word, among those of one argument
    ("syntax/words.py", "gelu silu", "softsign "),
    # how numpy computes it; {0} may be the same memory as {out}, and is read before that is written
    (
        "backends/numpy.py",
        '    "erf": helper("erf"',
        '    "softsign": Op("np.divide({0}, 1 + np.abs({0}), out={out})", in_place=True),\n',
    ),
    # how a person would write it in numpy
    ("show/numpy_text.py", '    "softplus": "np', '    "softsign": "np.divide({0}, 1 + np.abs({0}))",\n'),
    # what it is, for the slow evaluator that the tests trust
    ("testing.py", '    "erf": plain(', '    "softsign": plain(lambda x: x / (1 + np.abs(x))),\n'),
    # it is odd: softsign(-x) = -softsign(x), a law that has a row for each such function
    ("rules.py", "SIN, TAN, ASIN, ATAN, SINH, TANH, ERF)", "SOFTSIGN, "),
    ("rules.py", "    TAN,\n    TANH,\n", "    SOFTSIGN,\n"),
]

# %%
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
package = shutil.copytree(Path(es.__file__).parent, folder / "einstan")
for file, place, row in ROWS:
    text = (package / file).read_text(encoding="utf-8")
    assert text.count(place) == 1, f"{place!r} stands {text.count(place)} times in {file}"
    (package / file).write_text(text.replace(place, row + place), encoding="utf-8")


def run(script):
    """The script, run by a new Python with the changed copy of einstan."""
    (folder / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, folder / "script.py"], capture_output=True, text=True, check=True)
    print(done.stdout, end="")


# %% [markdown]
# That is all. Text, LaTeX, gradients, Hessians, kernels and numpy text follow from the rows.

# %%
run(r"""
import einstan as es

p = es.parse("y[i] = softsign(x[i])\nL = y[I] y[I]")
print(p.grad("L", wrt="x"))
print(p.jacobian("y", wrt="x").jacobian(wrt="x"))
print(p.hessian("L", wrt="x").run(x=[-2.0, 1.0]).round(4))
print(es.parse(p.latex()) == p)
print(es.parse("y[i] = softsign(-x[i])")["y"] == es.parse("y[i] = -softsign(x[i])")["y"])
""")

# %% [markdown]
# Checked against central differences, and the compiled value against the slow evaluator:

# %%
run(r"""
import numpy as np
import einstan as es
from einstan.testing import evaluate, finite_difference

p = es.parse("y[i] = softsign(x[i])")
data = {"x": np.array([-30.0, -2.0, 0.5, 1e5])}
assert np.allclose(p.jacobian("y", wrt="x").run(**data), finite_difference(p.compile("y"), data, "x"))
(slow,) = evaluate([p.bodies["y"]], data, {"x.0": 4})
assert np.allclose(p.run("y", **data), slow)
print(*(line.strip() for line in p.compile("y").source.splitlines() if "np.divide" in line))
""")
shutil.rmtree(folder)

# %% [markdown]
# In the repository there is one more row to write: the function in `tests/test_prims.py`, spelled in mpmath, which
# the sweeps over the table of primitives compare values and derivatives of every order with. `make test` says so if
# it is missing.
#
# ## A new law
#
# A law is a small function: from a node to an equal one, or to None where it does not apply. `@law(POW)` says at the
# head of which nodes it is asked. This one is missing in the package:

# %%
from einstan.ir import Call
from einstan.prims.scalar import ABS, POW, power
from einstan.rewrite import law, normalise


@law(POW)
def even_power_of_abs(y):
    """abs(x[i])^2 -> x[i]^2."""
    (inner,), (exponent,) = y.operands, y.params
    if isinstance(inner, Call) and inner.prim is ABS and exponent.denominator == 1 and exponent % 2 == 0:
        return power(inner.operands[0], exponent)
    return None


# %% [markdown]
# What the tests do with a law: parse both sides of its first line, see that it fires, that both have one normal form,
# and one value.

# %%
left, right = even_power_of_abs.__doc__.rstrip(".").split(" -> ")
both = es.parse(f"a[i] = {left}\nb[i] = {right}")
a, b = both.bodies["a"], both.bodies["b"]
assert a is not b
assert normalise([a], [*LAWS, even_power_of_abs])[0] is b
assert np.allclose(*evaluate([a, b], {"x": rng.normal(size=5)}, {"x.0": 5}))

# %% [markdown]
# In the package it would stand in `rules.py`, and in the table `EXACT` below it: it holds for infinite values too. A
# law that is right for finite values only goes to `FINITE`, and `compile(strict=True)` leaves it out. Then `abs(x)^2`
# has the gradient `2 x` and no `sign`:

# %%
power_of = es.parse("L = sum[i](abs(x[i])^2)")
leaf = power_of.leaves["x"]
for laws in (LAWS, (*LAWS, even_power_of_abs)):
    (f,) = normalise([power_of.bodies["L"]], laws)
    (slope,) = normalise(derive(f, number(1), [leaf]), laws)
    print(show_expr(formula(slope, ["i"], power_of.vocabulary)))

# %% [markdown]
# ## Exercises
#
# 1. Which module decides that `exp x` needs brackets, and where is the sentence of that error? *Hint: make the error,
#    and search the package for its words.*
# 2. Add `cot` to a copy of the package. *Hint: the derivative is `-(1 + y^2)`. Which rows of tangent, `TAN`, have to
#    be copied?*
# 3. Write the law `relu(relu(x[i])) -> relu(x[i])`, with its check. *Hint: `even_power_of_abs`, with `RELU` for
#    `POW`.*
# 4. Take `sum[k](A[i,k] B[k,j])` through the stages 1 to 3. *Hint: `bodies` of it and of `A[i,K] B[K,j]` are one
#    object; which stage made them so?*
# 5. Why does `derive` of a product of N factors cost three times its value and not N times? *Hint: section 8. Count
#    the products of `A[i,K] B[K,L] C[L,M] D[M,j]`, and of its four gradients, with and without `associate` before
#    `derive`.*
