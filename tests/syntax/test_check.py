"""The rule of the language on small programs: free indices, sums, sizes; and every error with its places."""

import pytest

from einstan.dims import Dim
from einstan.errors import (
    EinstanIndexError,
    EinstanNameError,
    EinstanShapeError,
    EinstanSyntaxError,
)
from einstan.syntax.ast import Derivative, Extent, Product, Tensor, postorder
from einstan.syntax.check import check, check_expression, size_mismatch
from einstan.syntax.parser import parse_expression, parse_module

DENSE = """
    Z[b,j] = X[b,K] W[K,j] + c[j]
    Y[b,j] = tanh(Z[b,j])
    L = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])
"""


def read(text, **labels):
    return check(parse_module(text, **labels))


def scope_of(text):
    """The scope, free indices and expression of `text`, with all names taken as inputs."""
    program = read(f"claim {text} = 0")
    (claim,) = program.claims
    form = claim.forms[0]
    if form.error:
        raise form.error
    return form.scope, form.axes, claim.claim.forms[0]


FREE = [
    # text, free indices in order, capitals summed at the root or below, in order
    ("u[I] v[I]", "", "I"),
    ("A[K,i] b[K]", "i", "K"),
    ("A[i,K] b[K]", "i", "K"),
    ("A[i,k] b[k]", "ik", ""),
    ("A[i,K] B[K,j] C[K]", "ij", "K"),
    ("u[i] v[j]", "ij", ""),
    ("A[i,i]", "i", ""),
    ("A[I,I]", "", "I"),
    ("A[I,I] b[I]", "", "I"),
    ("A[V,d] B[V,d]", "d", "V"),
    ("A[V,D] B[V,D]", "", "VD"),
    ("X[i,K] W[K,j] + b[j]", "ij", "K"),
    ("tanh(A[i,K]) B[K]", "i", "K"),
    ("tanh(A[i,K] B[K])", "i", "K"),
    ("(A[i,K] + C[i,K]) B[K]", "i", "K"),
    ("A[i,K] B[K] + C[i,K] D[K]", "i", "KK"),
    ("(A[i,K] b[K]) (C[j,K] d[K])", "ij", "KK"),
    ("1[V] (A[V,d] ⊙ B[V,d])", "d", "V"),
    ("X[N,k] ((T[N,J] 1[J]) ⊙ s[N,c] - T[N,c])", "kc", "JN"),
    ("x[I] x[I]", "", "I"),
    ("(A[I,I])^2", "", "I"),
    ("sum[i](A[i,i]^2)", "", ""),
    ("x[I]^2 1[I]", "", "I"),
    ("exp(z[i,k]) / sum[k](exp(z[i,k]))", "ik", ""),
    ("T[B,C] log_softmax[C](Z[B,C])", "", "BC"),
    ("softmax[k](z[i,k])", "ik", ""),
    ("max(a[i], b[j])", "ij", ""),
    ("a[i]^b[j]", "ij", ""),
    ("where(a[i] < b[j], c[j], 0)", "ij", ""),
    ("f(x[i])", "i", ""),
    ("loss(X[:], Y[:]) + X[I,J] Y[I,J]", "", "IJ"),
    ("loss(X, Y) + X[I,J] Y[I,J]", "", "IJ"),
    ("f(x[I]) y[I]", "", "I"),
    ("W[j,K] [h[b,K], x[b,K]]_K", "jb", "K"),
    ("[h[k], x[k]]_k", "k", ""),
    ("[h[b,K], x[K]]_K 1[K]", "b", "K"),
    ("W[j,k=0:2]", "jk", ""),
    ("W[I,K=0:2] y[I,K]", "", "IK"),
    ("delta[I,j] x[I]", "j", "I"),
    ("∂L/∂W[k,j] + W[k,j]", "kj", ""),
    ("∂L/∂W[K,j] W[K,j]", "j", "K"),
    ("∂F[I]/∂x[I] + F[J] x[J]", "", "IJ"),
    ("∂(F[I] x[I])/∂x[j] + L", "j", "I"),
    ("pi x[i]", "i", ""),
    ("π x[i]", "i", ""),
    ("∑_i x_i y_i", "", ""),
]
NEEDED = " + F[I] x[I] L W[J,K] 0[J,K] + 0 * x[J] F[J]"


@pytest.mark.parametrize(("text", "free", "summed"), FREE)
def test_free_and_summed(text, free, summed):
    program = read(f"claim {text} = 0\nq = L F[I] x[I] W[J,K] W[J,K]" if "∂" in text else f"claim {text} = 0")
    form = program.claims[0].forms[0]
    assert form.error is None
    assert "".join(form.axes) == free
    order = [id(e) for e in postorder(program.claims[0].claim.forms[0])]
    found = [name for key in order for name in form.scope.summed.get(key, ())]
    assert "".join(found) == summed


def test_opaque_function_with_a_new_axis():
    program = read("y[i,j] = f[j](Z[i,K]) c[j]")
    (scope,) = program.scopes.values()
    call = next(e for e in postorder(program.definitions["y"].body) if getattr(e, "name", "") == "f")
    assert list(scope.summed[id(call)]) == ["K"]
    assert program.functions == {"f": 1}
    assert program.shapes["y"] == program.shapes["Z"][:1] + program.shapes["c"]


def test_dense_layer():
    p = read(DENSE)
    assert p.inputs == {"X": ("b", "k"), "W": ("k", "j"), "c": ("j",), "T": ("b", "j")}
    assert list(p.inputs) == ["X", "W", "c", "T"]
    assert p.order == ("Z", "Y", "L")
    assert p.shapes["Z"] == p.shapes["Y"] == p.shapes["T"] == (p.shapes["X"][0], p.shapes["W"][1])
    assert p.shapes["X"][1] == p.shapes["W"][0]
    assert p.shapes["L"] == ()
    body = p.definitions["Z"].body
    scope = p.scopes[id(body)]
    assert scope.axes[id(body)] == {"b": p.shapes["Z"][0], "j": p.shapes["Z"][1]}
    product = next(e for e in postorder(body) if isinstance(e, Product))
    assert scope.summed == {id(product): {"K": p.shapes["W"][0]}}
    factor = product.factors[0]
    assert list(scope.axes[id(factor)]) == ["b", "K"]


def test_order_of_statements_does_not_matter():
    lines = DENSE.strip().splitlines()
    p, q = read("\n".join(lines)), read("\n".join(reversed(lines)))
    assert p.shapes == q.shapes
    assert p.order == q.order
    assert list(q.definitions) == ["L", "Y", "Z"]


def test_traces_in_and_out_of_a_product():
    p = read("y = A[I,I] b[I] + A[I,I]")
    (scope,) = p.scopes.values()
    product = next(e for e in postorder(p.definitions["y"].body) if isinstance(e, Product))
    lone = p.definitions["y"].body.terms[1]
    assert list(scope.axes[id(product.factors[0])]) == ["I"]
    assert scope.axes[id(product)] == scope.axes[id(lone)] == {}
    assert set(scope.summed) == {id(product), id(lone)}
    assert p.inputs["A"] == ("i", "j")


SIZES = [
    ("f[j] = sigmoid(W[j,K] [h[K], x[K]]_K + c[j])", "W", "(Dim(W.0), Dim(h.0 + x.0))"),
    ("y[n] = 1[n]\nsize n = 5", "y", "(Dim(5),)"),
    ("y[j,k] = x[j] + 0[j,k] + w[k]", "y", "(Dim(x.0), Dim(w.0))"),
    ("D[i,i] = d[i]", "D", "(Dim(d.0), Dim(d.0))"),
    ("y[i,j] = delta[i,j] x[i]", "y", "(Dim(x.0), Dim(x.0))"),
    ("y[i,j] = x[i]\nL = y[I,J] z[J] 1[I]", "y", "(Dim(x.0), Dim(z.0))"),
    ("y[j,k] = W[j,k=0:2]", "y", "(Dim(W.0), Dim(2))"),
    ("y[k] = W[k=size(h,1):size(h,1)+size(x,1)] + x[k]\nz = h[I] h[I]", "y", "(Dim(x.0),)"),
    ("m[k] = X[B,k] 1[B] / |B|", "X", "(Dim(X.0), Dim(X.1))"),
]


@pytest.mark.parametrize(("text", "name", "shape"), SIZES)
def test_sizes(text, name, shape):
    assert repr(read(text).shapes[name]) == shape


EXTENTS = [
    ("m[k] = X[B,k] 1[B] / |B|", "X.0"),
    ("m[k] = (X[B,k] 1[B]) / |B|", "X.0"),
    ("m = sum[k](x[k] / |k|)", "x.0"),
    ("m = |x| y\ny = x[I] x[I]", "x.0"),
    ("m = size(h,2) h[I,J] h[I,J]", "h.1"),
]


@pytest.mark.parametrize(("text", "symbol"), EXTENTS)
def test_extents(text, symbol):
    p = read(text)
    extent = next(e for e in postorder(p.definitions["m"].body) if isinstance(e, Extent))
    assert p.scopes[id(p.definitions["m"].body)].extents[id(extent)] == Dim.symbol(symbol)


def test_bounds_of_parts():
    p = read("y[k] = W[k=size(h,1):size(h,1)+2] + h[I] h[I]")
    (scope,) = p.scopes.values()
    assert list(scope.bounds.values()) == [(Dim.symbol("h.0"), Dim.symbol("h.0") + 2)]


def test_numerators_are_in_the_scope_of_their_statement():
    p = read("g[j] = ∂(x[I] x[I])/∂x[j]\nL = x[I] x[I]")
    body = p.definitions["g"].body
    assert isinstance(body, Derivative)
    assert id(body.numerator) in p.scopes[id(body)].axes


ERRORS = [
    # text, class, words of the sentences, places of the carets
    ("y[i] = (A[i,K] B[K]) C[K]", EinstanIndexError, "summed inside one operand and open", ["K", "K"]),
    ("y[k,c] = X[N,k] (T[N,J] 1[J] s[N,c] - T[N,c])", EinstanIndexError, "⊙", ["N", "N"]),
    ("y[i] = A[i,K] B[K] + C[K]", EinstanIndexError, "summed inside", ["K", "K"]),
    ("y = max(A[K] B[K], C[K]) 1[K]", EinstanIndexError, "summed inside", ["K", "K"]),
    ("y[i] = A[i,K]", EinstanIndexError, "sum[k](...)", ["K"]),
    ("y = x[I]^2", EinstanIndexError, "1[I]", ["I"]),
    ("y = A[I,I]^2", EinstanIndexError, "(A[I,I])^2", ["A[I,I]^2"]),
    ("y = A[I] ⊙ B[I]", EinstanIndexError, "lower case", ["I"]),
    ("y[i] = A[i,k]", EinstanIndexError, "lost", ["k", "y[i]"]),
    ("f_t = W_f x_t", EinstanIndexError, "label f", ["f", "f_t"]),
    ("y[i,j] = x[i]", EinstanIndexError, "only on the left", ["j", "y[i,j]"]),
    ("h_g = x y", EinstanIndexError, "label g", ["g", "h_g"]),
    ("y[J] = x[J]", EinstanIndexError, "lower case", ["J"]),
    ("y[i=0:2] = x[i]", EinstanIndexError, "plain", ["i=0:2"]),
    ("y = sum[k](x[i])", EinstanIndexError, "no index of what sum", ["k"]),
    ("y = sum[k](A[K] B[K])", EinstanIndexError, "no index", ["k"]),
    ("y[i,j] = softmax[i,i](x[i,j])", EinstanIndexError, "along i twice", ["i", "i"]),
    ("y[i] = f[i](x[i])", EinstanIndexError, "new axis", ["i", "i"]),
    ("y[k] = [h[k], x]_k", EinstanIndexError, "joined along k", ["x", "k"]),
    ("y = |K| x", EinstanIndexError, "no tensor with one axis", ["|K|"]),
    ("y[i] = X[i,J] 1[J]\nz = X[I] X[I]", EinstanShapeError, "1 index here and 2 elsewhere", ["X[i,J]", "X[I]"]),
    ("y[i] = X[i] + X", EinstanShapeError, "without indices", ["X[i]", "X"]),
    ("y = X[:]", EinstanShapeError, "number of axes", ["X[:]"]),
    ("y[i] = x[i] + X[:]\nz = X[I] X[I]", EinstanShapeError, "without indices", ["X[:]", "X[I]"]),
    ("y[j] = 1[j]", EinstanShapeError, "does not follow", ["j"]),
    ("y[i,j] = delta[i,j]", EinstanShapeError, "does not follow", ["i"]),
    ("size n = 5\ny = x[n=0:3] x[n=0:3] 1[n]", EinstanShapeError, "n is 3 in x[n=0:3], 5 in", None),
    ("y[k] = x[k=0:2] + z[k=0:3]", EinstanShapeError, "k is 2 in x[k=0:2], 3 in z[k=0:3]", ["k=0:2", "k=0:3"]),
    ("y[k] = x[k=3:2]", EinstanShapeError, "low to high", ["k=3:2"]),
    ("y = size(h,3) h[I,J] h[I,J]", EinstanShapeError, "no axis 3", ["size(h,3)", "h[I,J]"]),
    ("y = a; y = b", EinstanNameError, "defined twice", ["y", "y"]),
    ("size n = 5; size n = 6", EinstanNameError, "given twice", ["size n = 5", "size n = 6"]),
    ("y = a + y", EinstanNameError, "circle: y needs y", ["y"]),
    ("a = b; b = c; c = a", EinstanNameError, "a needs b needs c needs a", ["a", "b", "c"]),
    ("y[i] = f(x[i]) + f[i]", EinstanNameError, "function and as a tensor", ["f", "f[i]"]),
    ("y[i] = W(x[i])\nz = W[I] x[I]", EinstanNameError, "Leave a space", ["W", "W[I]"]),
    ("y = σ(x) + σ", EinstanNameError, "function and as a tensor", ["σ", "σ"]),
    ("y = e^x", EinstanNameError, "exp(...)", ["e"]),
    ("pi = 3", EinstanNameError, "meaning already", ["pi"]),
    ("delta[i,j] = A[i,j]", EinstanNameError, "meaning already", ["delta[i,j]"]),
    ("loss = x[I] x[I]\ng[i] = ∂loss/∂X[i]", EinstanNameError, "Did you mean x?", ["X[i]"]),
    ("weights = 2; L = weights\ng = ∂L/∂weigths", EinstanNameError, "Did you mean weights?", ["weigths"]),
    ("L = w w\ny = dL/dw", EinstanNameError, "∂L/∂w", ["dL", "dw"]),
    ("y[i,j] = A[i,j]^-1", EinstanSyntaxError, "1/A[i,j] or inv[i,j](A[i,j])", ["A[i,j]^-1"]),
    ("y[i,j] = A[i,j]^T", EinstanSyntaxError, "transpose", ["A[i,j]^T"]),
    ("y = sum(x)", EinstanSyntaxError, "sum[k]", ["sum"]),
    ("y = max(x)", EinstanSyntaxError, "max[k]", ["max"]),
    ("y = tanh(x, z)", EinstanSyntaxError, "1 argument, not 2", ["tanh(x, z)"]),
    ("y[k] = tanh[k](x[k])", EinstanSyntaxError, "entry by entry", ["tanh[k]"]),
    ("y = max'(a, b)", EinstanSyntaxError, "in which", ["max'"]),
    ("y = f(a) + f(a, b)", EinstanSyntaxError, "1 arguments in one place", ["f", "f"]),
    ("L = w[I] w[I]\ng = ∂L/∂w", EinstanShapeError, "without indices", ["w", "w[I]"]),
]


@pytest.mark.parametrize(("text", "kind", "said", "places"), ERRORS)
def test_errors(text, kind, said, places):
    with pytest.raises(kind) as caught:
        read(text)
    error = caught.value
    assert said in str(error)
    assert error.repair
    assert error.source == text
    assert error.spans
    if places is not None:
        assert sorted(text[s.start : s.end] for s in error.spans) == sorted(places)


def test_the_same_statement_twice_counts_once():
    assert list(read("y = a + b\nz = y\ny = a +  b").definitions) == ["y", "z"]


CLAIMS = [
    # text, for each form its free indices or None for an error
    ("claim u[I] v[I] = sum[i](u[i] v[i])", ["", ""]),
    ("∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,j]", ["kj", "kj"]),
    ("∂L/∂W[k,j] = X[B,k] ∂L/∂Z[A,j] = X[B,k] ∂L/∂Z[B,j]", ["kj", None, "kj"]),
    ("∂L/∂W = X[B,k] ∂L/∂Z[B,j]", ["kj", "kj"]),
    ("∂L/∂W = X[B,k] = X[B,k] ∂L/∂Z[B,j]", ["kj", None, "kj"]),
    ("∂L/∂W = c[j]", [None, "j"]),
    ("∂L/∂c[j] = ∂L/∂Z[B,j] 1[B]", ["j", "j"]),
    ("∂Z[b,j]/∂W[k,l] = X[b,k] delta[j,l]", ["bjkl", "bkjl"]),
    ("∂L/∂c[j] = 1[j]", ["j", "j"]),
    ("∂L/∂c[j] = X[b]", ["j", None]),
]


@pytest.mark.parametrize(("text", "forms"), CLAIMS)
def test_claims(text, forms):
    p = read(DENSE + text)
    (claim,) = p.claims
    assert [None if f.error else "".join(f.axes) for f in claim.forms] == forms
    assert p.shapes == (read(DENSE).shapes if "claim" not in text else p.shapes)


def test_wrong_claims_bind_nothing():
    p = read("y[i,j] = A[i,j]\nclaim A[i,K] B[j,K] = A[K,i] B[K,j]")
    assert p.shapes["A"] == (Dim.symbol("A.0"), Dim.symbol("A.1"))
    assert p.claims[0].binding


def test_names_of_claims_are_checked():
    with pytest.raises(EinstanNameError):
        read(DENSE + "∂L/∂V[k,j] = X[B,k]")


def test_expression_in_context():
    p = read(DENSE)
    before = (dict(p.shapes), dict(p.sizes.binding), p.sizes.counter)
    expr = parse_expression("Z[b,J] W[k,J]")
    scope, axes = check_expression(expr, p)
    assert list(axes) == ["b", "k"]
    assert axes["k"] == p.shapes["X"][1]
    assert list(scope.summed[id(expr)]) == ["J"]
    assert (dict(p.shapes), dict(p.sizes.binding), p.sizes.counter) == before
    with pytest.raises(EinstanNameError, match="no name V"):
        check_expression(parse_expression("V[b,J] W[k,J]"), p)
    with pytest.raises(EinstanShapeError, match="1 index here"):
        check_expression(parse_expression("Z[J] W[k,J]"), p)


def test_module_in_context():
    p = read(DENSE)
    q = check(parse_module("G[k,j] = X[B,k] D[B,j]\n∂L/∂W[k,j] = X[B,k] ∂L/∂Z[B,j]"), p)
    assert list(q.inputs) == ["X", "W", "c", "T", "D"]
    assert q.order == ("Z", "Y", "L", "G")
    assert q.shapes["G"] == (q.shapes["W"][0], q.shapes["D"][1])
    assert len(q.claims) == 1
    with pytest.raises(EinstanNameError, match="already"):
        check(parse_module("Z[b,j] = X[b,j]"), p)


FORGET = "f[j] = sigmoid(W[j,K] [h[K], x[K]]_K + c[j])"
ARRAYS = [
    (FORGET, {"W": (2, 2), "h": (2,), "x": (2,), "c": (2,)}, "K is 2 in W, 2 + 2 = 4 in [h, x]", "size 4"),
    (FORGET, {"W": (2, 4), "h": (2,), "x": (2,), "c": (2,)}, None, ""),
    (FORGET, {"W": (2, 4), "h": (2,), "x": (2,), "c": (3,)}, "j is 2 in W, 3 in c", "one size"),
    (FORGET, {"W": (2,), "h": (2,)}, "W has 2 axes in the program, and the array has the shape (2,)", "[j, k]"),
    (FORGET, {"W": (2, 4)}, None, ""),
    ("y = A[I,I]", {"A": (2, 3)}, "i is 2", ""),
    ("y[i] = x[i] + 0 * 1[i]", {"x": (3,)}, None, ""),
    ("size n = 5\ny[n] = x[n]", {"x": (4,)}, "n is 4 in x, 5 in `size n`", ""),
    ("y[k] = x[k=0:4]", {"x": (3,)}, "k runs from 0 up to 4, and the axis of x has the size 3", ""),
    ("z[i] = x[i]\ny = z[I] w[I]", {"x": (3,), "w": (4,)}, "I is 3 in z, 4 in w", ""),
]


@pytest.mark.parametrize(("text", "arrays", "said", "repair"), ARRAYS)
def test_arrays(text, arrays, said, repair):
    error = size_mismatch(read(text), arrays)
    if said is None:
        assert error is None
        return
    assert error is not None
    assert error.message.lower().startswith(said.lower())
    assert repair in error.repair
    assert error.spans


def test_growth():
    lines = [f"z{i + 1}[b,j] = tanh(z{i}[b,K] w{i}[K,j])" for i in range(5_000)]
    p = read("\n".join(reversed(lines)))
    assert p.order[0] == "z1"
    assert len(p.shapes) == 10_001
    chain = " ".join(f"A{i}[{'k' if i == 0 else 'K'}{i},{'k' if i == 1_999 else 'K'}{i + 1}]" for i in range(2_000))
    assert len(read(f"y[k0,k2000] = {chain}").equations) == 1_999
    assert read("y = " + " + ".join(["x"] * 100_000)).inputs == {"x": ()}
    assert read("y = " + "(" * 1_000 + "x" + ")" * 1_000).inputs == {"x": ()}
    assert read("y = " + "^".join(["x"] * 20_000)).inputs == {"x": ()}


def test_shared_subtrees():
    """A tree that stands in two statements has a scope in each."""
    from einstan.syntax.ast import Definition, Index, Module

    shared = Product((Tensor("a", (Index("I"),)), Tensor("b", (Index("I"),))), (False, False))
    p = check(Module((Definition(Tensor("y"), shared), Definition(Tensor("z"), shared))))
    assert p.order == ("y", "z")
