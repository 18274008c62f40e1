"""lower: checked statements -> nodes, with inputs and defined names as leaves.

Each expression becomes a node and the names of its axes; every rule of the notation is one function
below. `LOWER` is the table by kind of expression.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from .derive import derive
from .dims import Dim
from .ir import (
    Coef,
    Node,
    add,
    const,
    einsum,
    input_,
    name_,
    number,
    ones,
    pattern,
    scale,
    substitute,
    zeros,
)
from .prims.linalg import MATRIX
from .prims.opaque import opaque
from .prims.reduce import ALONG
from .prims.scalar import COMPARISONS, FUNCTIONS, POWER, power
from .prims.shape import concat, part
from .rules import number_of
from .show.text import show_expr
from .syntax import ast
from .syntax.check import Checked, Formula, Scope, check

Axes = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A node with the names of its axes; only a factor of a product may repeat a name."""

    node: Node
    axes: Axes


@dataclass(frozen=True, slots=True)
class DerivativeLeaf:
    """What the leaf `∂L/∂W` stands for: the numerator and the names of the denominators."""

    numerator: Node
    denominators: tuple[str, ...]


@dataclass(slots=True)
class Lowering:
    """One tree on its way down: what the checker knows of it, what leaves mean, values by node."""

    checked: Checked
    scope: Scope
    derivatives: dict[Node, DerivativeLeaf]
    first: Axes = ()  # indices that come first wherever they are free, so that the order of operands leaves no trace
    values: dict[int, Value] = field(default_factory=dict)

    def axes(self, e: ast.Expr) -> Axes:
        """The free indices of an expression in the order of its axes."""
        free = self.scope.axes[id(e)]
        return (*(x for x in self.first if x in free), *(x for x in free if x not in self.first))

    def leaf(self, name: str) -> Node:
        return leaf(self.checked, name)

    def closed(self, e: ast.Expr) -> Value:
        """The value as an operand of anything but a product: repeated names are a diagonal or a trace."""
        value = self.values[id(e)]
        axes = self.axes(e)
        if value.axes == axes:
            return value
        return Value(einsum([value.node], [value.axes], axes), axes)

    def aligned(self, e: ast.Expr, axes: Axes, sizes: Mapping[str, Dim]) -> Node:
        """The closed value with exactly these axes, repeated along those it lacks."""
        value = self.closed(e)
        return pattern(value.node, value.axes, axes, sizes)

    def aligned_all(self, parts: Sequence[ast.Expr], axes: Axes) -> list[Node]:
        sizes = {name: d for part_ in parts for name, d in self.scope.axes[id(part_)].items()}
        return [self.aligned(e, axes, sizes) for e in parts]


def leaf(checked: Checked, name: str) -> Node:
    make = name_ if name in checked.definitions else input_
    return make(name, checked.shapes[name])


def lower_definition(checked: Checked, name: str, derivatives: dict[Node, DerivativeLeaf]) -> Node:
    """The body of a defined name, its axes in the order of the target's."""
    definition = checked.definitions[name]
    target = tuple(index.name for index in definition.target.indices or ())
    value = lower_expr(
        checked, checked.scopes[id(definition.body)], definition.body, derivatives, tuple(dict.fromkeys(target))
    )
    return pattern(value.node, value.axes, target, dict(zip(target, checked.shapes[name], strict=True)))


def lower_facts(checked: Checked) -> tuple[tuple[Node, Node], ...]:
    """Both sides of every fact, over the indices of its left side."""
    found = []
    for fact in checked.facts:
        left = lower_expr(checked, checked.scopes[id(fact.left)], fact.left, {})
        right = lower_expr(checked, checked.scopes[id(fact.right)], fact.right, {}, left.axes)
        sizes = dict(zip(left.axes, left.node.shape, strict=True))
        if set(right.axes) <= set(left.axes):
            found.append((left.node, pattern(right.node, right.axes, left.axes, sizes)))
    return tuple(found)


def lower_expr(
    checked: Checked, scope: Scope, root: ast.Expr, derivatives: dict[Node, DerivativeLeaf], first: Axes = ()
) -> Value:
    """The value of a checked expression, its axes in the order of `first`, the others by first appearance.

    Derivatives become leaves; what they stand for is added to `derivatives`.
    """
    lowering = Lowering(checked, scope, derivatives, first)
    for e in ast.postorder(root):
        lowering.values[id(e)] = LOWER[type(e)](lowering, e)
    return lowering.closed(root)


# ---------------------------------------------------------------- leaves


def lower_number(lo: Lowering, e: ast.Number) -> Value:
    return Value(number(e.value), ())


def lower_tensor(lo: Lowering, e: ast.Tensor) -> Value:
    if e.name in ("pi", "π") and not e.indices and e.name not in lo.checked.shapes:
        return Value(const("pi"), ())
    if e.name == "delta" and len(e.indices or ()) == 2:
        return lower_delta(lo, e)
    node = lo.leaf(e.name)
    return indexed(lo, node, e.indices or ())


def indexed(lo: Lowering, node: Node, indices: Sequence[ast.Index]) -> Value:
    """A leaf with its index list; parts are taken, repeated names stay."""
    for axis, index in enumerate(indices):
        if id(index) in lo.scope.bounds:
            node = part(node, axis, *lo.scope.bounds[id(index)])
    return Value(node, tuple(index.name for index in indices))


def lower_delta(lo: Lowering, e: ast.Tensor) -> Value:
    """δ[i,j]: one label twice."""
    assert e.indices is not None
    a, b = (index.name for index in e.indices)
    sizes = lo.scope.axes[id(e)] | lo.scope.summed.get(id(e), {})
    return Value(pattern(ones(()), (), (0, 0), {0: sizes[a]}), (a, b))


def lower_filled(lo: Lowering, e: ast.Filled) -> Value:
    axes = tuple(index.name for index in e.indices)
    sizes = lo.scope.axes[id(e)] | lo.scope.summed.get(id(e), {})
    shape = tuple(sizes[name] for name in axes)
    return Value(ones(shape) if e.value else zeros(shape), axes)


def lower_extent(lo: Lowering, e: ast.Extent) -> Value:
    return Value(scale(Coef.size(lo.scope.extents[id(e)]), ones(())), ())


def lower_derivative(lo: Lowering, e: ast.Derivative) -> Value:
    """∂L/∂W[k,j]: a leaf whose axes are those of the numerator, then of the denominators."""
    names = tuple(d.name for d in e.denominators)
    top = derivative_top(lo, e)
    shape = top.node.shape + tuple(d for name in names for d in lo.checked.shapes[name])
    node = name_(derivative_name(numerator_text(e.numerator), names), shape)
    lo.derivatives[node] = DerivativeLeaf(top.node, names)
    above = e.numerator.indices or () if isinstance(e.numerator, ast.Tensor) else tuple(map(ast.Index, top.axes))
    indices = [*above, *(index for d in e.denominators for index in d.indices or ())]
    if len(indices) < node.rank:  # the head of a claim, written without indices
        return Value(node, lo.axes(e))
    return indexed(lo, node, indices)


def derivative_top(lo: Lowering, e: ast.Derivative) -> Value:
    """The numerator: a name is itself, all of it; a bracketed expression its value."""
    if isinstance(e.numerator, ast.Tensor):
        indices = e.numerator.indices or ()
        return Value(lo.leaf(e.numerator.name), tuple(index.name for index in indices))
    return lower_expr(lo.checked, lo.scope, e.numerator, lo.derivatives)


def numerator_text(numerator: ast.Expr) -> str:
    return numerator.name if isinstance(numerator, ast.Tensor) else show_expr(numerator)


def derivative_name(numerator: str, denominators: Sequence[str]) -> str:
    """`∂L/∂W`, `∂²L/∂w∂w`: what a derivative is called as a leaf."""
    order = len(denominators)
    power_ = "" if order == 1 else "²" if order == 2 else f"^{order}"
    return f"∂{power_}{numerator}/" + "".join(f"∂{d}" for d in denominators)


# ---------------------------------------------------------------- operators


def lower_group(lo: Lowering, e: ast.Group) -> Value:
    return lo.closed(e.body)


def lower_product(lo: Lowering, e: ast.Product) -> Value:
    """Factors over their labels; what the checker says is summed is absent from the output."""
    factors = [lo.values[id(f)] for f in e.factors]
    nodes = [power(f.node, -1) if divides else f.node for f, divides in zip(factors, e.divides, strict=True)]
    axes = lo.axes(e)
    return Value(einsum(nodes, [f.axes for f in factors], axes), axes)


def lower_odot(lo: Lowering, e: ast.Odot) -> Value:
    parts = [lo.closed(f) for f in e.factors]
    axes = lo.axes(e)
    return Value(einsum([p.node for p in parts], [p.axes for p in parts], axes), axes)


def lower_sum(lo: Lowering, e: ast.Sum) -> Value:
    axes = lo.axes(e)
    nodes = lo.aligned_all(e.terms, axes)
    return Value(add(zip(e.signs, nodes, strict=True), tuple(lo.scope.axes[id(e)][x] for x in axes)), axes)


def lower_power(lo: Lowering, e: ast.Power) -> Value:
    """A constant rational exponent is a parameter; any other an argument."""
    axes = lo.axes(e)
    base, exponent = lo.aligned_all(e.children, axes)
    constant = number_of(exponent)
    return Value(POWER(base, exponent) if constant is None else power(base, constant), axes)


def lower_compare(lo: Lowering, e: ast.Compare) -> Value:
    axes = lo.axes(e)
    return Value(COMPARISONS[e.op](*lo.aligned_all(e.children, axes)), axes)


def lower_concat(lo: Lowering, e: ast.Concat) -> Value:
    """Parts share all axes but the joined one, whose sizes are their own."""
    joined = e.index.name
    axes = lo.axes(e)
    shared = {name: d for p in e.parts for name, d in lo.scope.axes[id(p)].items() if name != joined}
    nodes = [lo.aligned(p, axes, shared) for p in e.parts]
    return Value(concat(nodes, axes.index(joined)), axes)


# ---------------------------------------------------------------- functions


def lower_call(lo: Lowering, e: ast.Call) -> Value:
    if e.along is not None and e.name in ALONG:
        return lower_along(lo, e)
    if e.name in MATRIX:
        return lower_matrix(lo, e)
    if e.name in FUNCTIONS or e.name in lo.checked.formulas:
        return lower_entrywise(lo, e)
    return lower_opaque(lo, e)


def lower_along(lo: Lowering, e: ast.Call) -> Value:
    """softmax[k](Z[i,k]): the axes reduced go last."""
    (argument,) = e.args
    along = tuple(index.name for index in e.along or ())
    value = lo.closed(argument)
    lead = tuple(name for name in value.axes if name not in along)
    node = ALONG[e.name](pattern(value.node, value.axes, lead + along, {}), len(along))
    axes = lo.axes(e)
    shown = lead + along if node.rank == value.node.rank else lead
    return Value(pattern(node, shown, axes, {}), axes)


def lower_matrix(lo: Lowering, e: ast.Call) -> Value:
    """inv[i,j](A[l,i,j]): the batch first, then rows and columns; solve[i,j](A[l,i,j], b[l,i,m]): what A lacks of b is
    columns of the right side."""
    rows, columns = (index.name for index in e.along or ())
    matrix, *right = (lo.closed(argument) for argument in e.args)
    lead = tuple(name for name in matrix.axes if name not in (rows, columns))
    sizes = dict(zip(matrix.axes, matrix.node.shape, strict=True))
    args = [pattern(matrix.node, matrix.axes, (*lead, rows, columns), {})]
    more: Axes = ()
    for b in right:
        more = tuple(name for name in b.axes if name not in (*lead, rows))
        args.append(pattern(b.node, b.axes, (*lead, rows, *more), sizes))
    shown = tuple(name for name in (*lead, rows, columns, *more) if name not in e.gone)
    axes = lo.axes(e)
    return Value(pattern(MATRIX[e.name](*args), shown, axes, {}), axes)


def lower_entrywise(lo: Lowering, e: ast.Call) -> Value:
    axes = lo.axes(e)
    args = lo.aligned_all(e.args, axes)
    if not e.primes:
        return Value(entrywise(lo, e.name, args), axes)
    slots = [name_(f"#{k}", a.shape) for k, a in enumerate(args)]
    node = entrywise(lo, e.name, slots)
    for k in e.order:
        (node,) = derive(node, ones(node.shape), [slots[k]])
    return Value(substitute([node], dict(zip(slots, args, strict=True)))[0], axes)


def entrywise(lo: Lowering, name: str, args: Sequence[Node]) -> Node:
    if name in lo.checked.formulas:
        return formula_value(lo.checked.formulas[name], args)
    return FUNCTIONS[name](*args)


def formula_value(formula: Formula, args: Sequence[Node]) -> Node:
    """What the formula says of nodes of one shape: as if it were written out with them."""
    shape = args[0].shape
    axes = tuple(map(str, range(len(shape))))
    sizes = dict(zip(axes, shape, strict=True))
    values = {name: Value(node, axes) for name, node in zip(formula.params, args, strict=True)}
    tables: dict[int, dict[str, Dim]] = {}
    lo = Lowering(check(ast.Module(())), Scope(tables, {}, {}, {}, (), ()), {})
    for e in ast.postorder(formula.body):
        known = values.get(e.name) if isinstance(e, ast.Tensor) else None
        tables[id(e)] = sizes if known or any(tables[id(k)] for k in e.children) else {}
        lo.values[id(e)] = known or LOWER[type(e)](lo, e)
    return lo.aligned(formula.body, axes, sizes)


def lower_opaque(lo: Lowering, e: ast.Call) -> Value:
    """f(x[i]) entry by entry, f[j](Z[i,K]) along all open K, loss(X, Y) of whole tensors; a derivative shows what
    it was taken by after the new axes: f'[j,k](Z[i,K])."""
    axes = lo.axes(e)
    along = tuple(index.name for index in e.along or ())
    lead = tuple(name for name in axes if name not in along)
    sizes = {name: d for a in e.args for name, d in lo.scope.axes[id(a)].items()}
    nodes = [seen_argument(lo, a, lead, lo.scope.summed.get(id(e), {}), sizes) for a in e.args]
    seen = sum(nodes[k].rank - len(lead) for k in e.order)
    new = tuple(lo.scope.axes[id(e)][name] for name in along[: len(along) - seen])
    node = opaque(e.name, nodes, len(lead), new, e.order)
    return Value(pattern(node, lead + along, axes, {}), axes)


def seen_argument(lo: Lowering, e: ast.Expr, lead: Axes, taken: Collection[str], sizes: Mapping[str, Dim]) -> Node:
    """The axes that ride along first, then those that the function sees: the capitals, or all of `X[:]`."""
    whole = lo.values[id(e)].node
    if isinstance(e, ast.Tensor) and not e.indices and whole.rank:
        own = tuple(range(whole.rank))
        return pattern(whole, own, (*lead, *own), sizes)
    seen = tuple(name for name in lo.scope.axes[id(e)] if name in taken)
    return lo.aligned(e, lead + seen, sizes)


LOWER: dict[type[ast.Expr], Callable[..., Value]] = {
    ast.Number: lower_number,
    ast.Tensor: lower_tensor,
    ast.Filled: lower_filled,
    ast.Extent: lower_extent,
    ast.Derivative: lower_derivative,
    ast.Group: lower_group,
    ast.Product: lower_product,
    ast.Odot: lower_odot,
    ast.Sum: lower_sum,
    ast.Power: lower_power,
    ast.Compare: lower_compare,
    ast.Concat: lower_concat,
    ast.Call: lower_call,
}
