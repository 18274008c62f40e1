"""rules: the laws of simplification. The first line of each docstring is the law, and is its test.

A law shrinks its node or moves a pattern outwards; laws that undo each other are not both here.
Letters: e Einsum, a Add, y Call, l label, d size.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Hashable, Iterator, Sequence
from fractions import Fraction

from . import matrices
from .dims import Dim
from .ir import (
    Add,
    Call,
    Coef,
    Einsum,
    Labels,
    Node,
    add,
    call,
    einsum,
    is_product,
    is_zero,
    number,
    ones,
    pattern,
    scale,
    split,
    zeros,
)
from .prims.reduce import SOFTMAX
from .prims.scalar import (
    ABS,
    ASIN,
    ATAN,
    COMPARISONS,
    COS,
    COSH,
    ERF,
    EXP,
    EXPM1,
    LOG,
    LOG1P,
    POW,
    POWER,
    SCALAR,
    SIGMOID,
    SIN,
    SINH,
    STEP,
    TAN,
    TANH,
    WHERE,
    one_minus,
    power,
)
from .prims.shape import CONCAT, PART, part
from .prims.stable import LOGCOSH, STABLE, UNIT
from .rewrite import law, normalise

ENTRYWISE = (*SCALAR.values(), *(p for p in STABLE.values() if p.entrywise))
# A comparison keeps both sides whole: the part of one, computed apart, may differ from the other in its last bit.
CONTINUED = frozenset(ENTRYWISE) - frozenset(COMPARISONS.values())
ODD = (SIN, TAN, ASIN, ATAN, SINH, TANH, ERF)
EVEN = (COS, COSH, ABS, LOGCOSH)
DECIDE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
ZERO_OR_ONE = (STEP, *COMPARISONS.values())
RISKY = frozenset((EXP, EXPM1, LOG, LOG1P, POWER, SINH, COSH, TAN, UNIT))  # infinite or nan at finite points
LONG = 12  # factors; longer products are not written out to be compared
MINUS = Coef(Fraction(-1))
RISK_DEPTH = 5  # levels of a factor that are looked through: w a^(b-1) in a choice, with its coefficient


@law(Einsum)
def merge_powers(e: Einsum) -> Node | None:
    """x[i] x[i]^2 -> x[i]^3."""
    if len(set(map(root, e.operands))) == len(e.operands):
        return None
    groups: dict[tuple[Node, Labels, bool], list[int]] = {}
    for n, (operand, own) in enumerate(e.factors):
        base, q = root_and_exponent(operand)
        groups.setdefault((base, own, q > 0), []).append(n)
    factors: list[tuple[Node, Labels]] = []
    for (base, own, _), members in groups.items():
        total = sum((root_and_exponent(e.operands[n])[1] for n in members), Fraction(0))
        whole = all(base is e.operands[n] or is_whole_power(e.operands[n], base) for n in members)
        if total.denominator == 1 and not whole:  # sqrt(x) sqrt(x) has no value where x < 0
            factors.extend((e.operands[n], own) for n in members)
        else:
            factors.append((power(base, total), own))
    if len(factors) == len(e.operands):
        return None
    return einsum([node for node, _ in factors], [own for _, own in factors], e.out, e.dims)


@law(Einsum)
def cancel_powers(e: Einsum) -> Node | None:
    """x[i] x[i]^-2 -> x[i]^-1."""
    for n, (x, own) in enumerate(e.factors):
        base, q = base_and_exponent(x)
        for k, (y, labels) in enumerate(e.factors if q < 0 and q.denominator == 1 else ()):
            below, r = base_and_exponent(y)
            if below is base and labels == own and 0 < r < -q and r.denominator == 1:
                factors = [f for m, f in enumerate(e.factors) if m not in (n, k)] + [(power(base, q + r), own)]
                return einsum([o for o, _ in factors], [ls for _, ls in factors], e.out, e.dims)
    return None


@law(Einsum)
def sum_of_shares(e: Einsum) -> Node | None:
    """sum[k](softmax[k](z[i,k])) softmax[k](z[i,k]) -> softmax[k](z[i,k])."""
    products = ((n, o) for n, o in enumerate(e.operands) if isinstance(o, Einsum) and is_product(o))
    inside = [n for n, o in products if any(map(whole, o.operands))]
    for product in (e, opened(e, inside)) if inside else (e,):
        n = next(sums_of_shares(product), None)
        if n is not None:
            assert isinstance(product, Einsum)
            lead = product.operands[n].rank - whole(product.operands[n])
            one = ones(product.operands[n].shape[:lead])
            return einsum(*replaced(product, n, one, product.labels[n][:lead]), product.out, product.dims)
    return None


def sums_of_shares(e: Node) -> Iterator[int]:
    """The operands summed along all axes along which their entries sum to 1; one that is left refuses an empty axis."""
    for n, (y, own) in enumerate(e.factors if isinstance(e, Einsum) else ()):
        assert isinstance(e, Einsum)
        if whole(y) and e.operands.count(y) > 1 and len(set(own)) == len(own):
            elsewhere = {x for k, labels in enumerate((*e.labels, e.out)) if k != n for x in labels}
            if not set(own[y.rank - whole(y) :]) & elsewhere:
                yield n


def whole(y: Node) -> int:
    """Along how many axes, its last ones, the entries are shares of 1."""
    found = y.params[0] if isinstance(y, Call) and y.prim is SOFTMAX else 0
    assert isinstance(found, int)
    return found


def replaced(e: Einsum, n: int, x: Node, own: Labels) -> tuple[list[Node], list[Labels]]:
    """The operands of e and their labels, with x over its own labels as operand n."""
    return [*e.operands[:n], x, *e.operands[n + 1 :]], [*e.labels[:n], own, *e.labels[n + 1 :]]


def is_whole_power(node: Node, base: Node) -> bool:
    """x^q with an integer q, and no power within."""
    below, q = base_and_exponent(node)
    return below is base and q.denominator == 1


def root(node: Node) -> Node:
    """x of x^q, through powers of powers."""
    while isinstance(node, Call) and node.prim is POW:
        node = node.operands[0]
    return node


def root_and_exponent(node: Node) -> tuple[Node, Fraction]:
    """(x, q) with node = x^q through powers of powers; right where the inner powers are defined."""
    total = Fraction(1)
    while isinstance(node, Call) and node.prim is POW:
        node, q = base_and_exponent(node)
        total *= q
    return node, total


def base_and_exponent(node: Node) -> tuple[Node, Fraction]:
    if isinstance(node, Call) and node.prim is POW:
        (q,) = node.params
        assert isinstance(q, Fraction)
        return node.operands[0], q
    return node, Fraction(1)


@law(POW)
def power_of_multiple(y: Call) -> Node | None:
    """a power of a multiple, or of a power, as `power` makes it: (-x)^2 is x^2."""
    (q,) = y.params
    assert isinstance(q, Fraction)
    return power(y.operands[0], q)


@law(Add)
def merge_patterns(a: Add) -> Node | None:
    """δ[i,j] p[i] + δ[i,j] q[i] -> δ[i,j] (p[i] + q[i])."""
    groups: dict[object, list[tuple[Coef, Node]]] = {}
    for coef, term in a.terms:
        groups.setdefault(pattern_key(term), []).append((coef, term))
    if not any(key is not None and len(members) > 1 for key, members in groups.items()):
        return None
    terms: list[tuple[Coef, Node]] = list(groups.pop(None, ()))
    for members in groups.values():
        outer = members[0][1]
        assert isinstance(outer, Einsum)
        order = outer.labels[0]
        inner = [(c, x if own == order else pattern(x, own, order, {})) for c, e in members for x, own in factors_of(e)]
        joined = members[0] if len(members) == 1 else None
        total = add(inner, inner[0][1].shape)
        terms.append(joined or (Coef(), einsum([total], outer.labels, outer.out, dict(outer.sizes))))
    return add(terms, a.shape)


def pattern_key(term: Node) -> object:
    """What makes two patterns of one operand, or of a transposed one, the same pattern; None for other nodes."""
    if not (isinstance(term, Einsum) and term.is_pattern and term.operands):
        return None
    (own,), (x,) = term.labels, term.operands
    carried = sorted(zip(own, x.shape, strict=True), key=lambda pair: pair[0])
    return (own if len(set(own)) < len(own) else tuple(carried)), term.out, term.sizes, x.rank


def factors_of(e: Node) -> tuple[tuple[Node, Labels], ...]:
    """The operands of a product with their labels."""
    assert isinstance(e, Einsum)
    return e.factors


@law(Add)
def number_on_diagonal(a: Add) -> Node | None:
    """2 δ[i,j] + δ[i,j] q[i] -> δ[i,j] (2 + q[i])."""
    deltas = [(c, o) for c, o in a.terms if isinstance(o, Einsum) and not o.operands and diagonals(o)]
    for term in a.operands:
        if not (isinstance(term, Einsum) and term.is_pattern and term.operands) or not diagonals(term):
            continue
        (own,), (inner,) = term.labels, term.operands
        alike = [(c, o) for c, o in deltas if o is einsum([], [], term.out, term.dims)]
        if alike and len(set(own)) == len(own):
            rest = [(c, o) for c, o in a.terms if o is not term and (c, o) not in alike]
            inside = [(c, inner) for c, o in a.terms if o is term] + [(c, ones(inner.shape)) for c, _ in alike]
            total = einsum([add(inside, inner.shape)], term.labels, term.out, term.dims)
            return add([*rest, (1, total)], a.shape)
    return None


@law(Add)
def cancel_share(a: Add) -> Node | None:
    """y[i] q[i] + (1 - y[i]) q[i] -> q[i]."""
    coefs = {o: c for c, o in a.terms}
    if len(coefs) < len(a.operands):
        return None  # a term stands with several powers of sizes
    made = {leaves(o) for o in a.operands}
    for coef, term, k, (c, x) in shares(a):
        if None not in made and united((*term.operands[:k], x, *term.operands[k + 1 :])) not in made:
            continue
        share = with_factor(term, k, x)
        if coefs.get(share) == coef * c * MINUS:
            total = term.operands[k]
            left = with_factor(term, k, add([(1, total), (c * MINUS, x)], total.shape))
            rest = [(d, o) for d, o in a.terms if o is not term and o is not share]
            return add([*rest, (coef, left)], a.shape)
    return None


def shares(a: Add) -> Iterator[tuple[Coef, Einsum, int, tuple[Coef, Node]]]:
    """Products among the terms, an operand k that is a sum, and a term of that sum that is 1 or stands elsewhere."""
    pool = {o for term in a.operands for o in (term, *(term.operands if isinstance(term, Einsum) else ()))}
    for coef, term in a.terms:
        for k, total in enumerate(term.operands if isinstance(term, Einsum) else ()):
            if isinstance(term, Einsum) and len(term.operands) > 1 and isinstance(total, Add):
                yield from ((coef, term, k, t) for t in total.terms if t[1] in pool or t[1] is ones(total.shape))


def with_factor(e: Einsum, k: int, x: Node) -> Node:
    """The product with x as its operand k."""
    return einsum(*replaced(e, k, x, e.labels[k]), e.out, e.dims)


@law(Add)
def merge_written_out(a: Add) -> Node | None:
    """x[i] (y[i] z[i]) + x[i] y[i] z[i] -> 2 x[i] y[i] z[i]."""
    made = [leaves(o) for o in a.operands]
    if None not in made and len(set(made)) == len(made):
        return None
    found: dict[Node, Node] = {}
    like = [found.setdefault(written_out(term), term) for term in a.operands]
    kinds = {(node, coef.sizes) for node, coef in zip(like, a.coefs, strict=True)}
    return add(zip(a.coefs, like, strict=True), a.shape) if len(kinds) < len(like) else None


def leaves(node: Node) -> frozenset[Node] | None:
    """What a product is made of when all products within are written out; None for long ones."""
    return united([node])


def united(factors: Sequence[Node]) -> frozenset[Node] | None:
    """What the product of these is made of: products that are the same written out have the same leaves."""
    found = list(factors)
    while any(isinstance(o, Einsum) for o in found):
        if len(found) > LONG:
            return None
        found = [inner for o in found for inner in (o.operands if isinstance(o, Einsum) else (o,))]
    return frozenset(found)


def written_out(node: Node) -> Node:
    """A product with the products among its factors opened, all the way down; long ones as far as they are short."""
    if isinstance(node, Einsum) and node.is_pattern and node.operands:
        return einsum([written_out(node.operands[0])], node.labels, node.out, node.dims)
    while isinstance(node, Einsum) and len(node.operands) <= LONG:
        nested = [n for n, o in enumerate(node.operands) if isinstance(o, Einsum) and is_product(o)]
        if node.is_pattern or not nested:
            break
        node = opened(node, nested)
    return node


def opened(e: Einsum, places: Collection[int]) -> Node:
    """The product with the products at these places written out: x[n] (T[n,D] z[D]) as x[n] T[n,D] z[D]."""
    operands: list[Node] = []
    labels: list[tuple[Hashable, ...]] = []
    for n, (factor, own) in enumerate(e.factors):
        if n in places:
            assert isinstance(factor, Einsum)
            place: dict[int, Hashable] = dict(zip(factor.out, own, strict=True))
            operands += factor.operands
            labels += [tuple(place.get(label, (n, label)) for label in inner) for inner in factor.labels]
        else:
            operands.append(factor)
            labels.append(own)
    return einsum(operands, labels, e.out, e.dims)


@law(Add, CONCAT, *ENTRYWISE)
def lift_repetition(node: Node) -> Node | None:
    """tanh(1[i] b[j]) -> 1[i] tanh(b[j])."""
    if not node.operands:
        return None
    common = frozenset.intersection(*(repeated_axes(o) for o in node.operands)) - joined_axes(node)
    if not common:
        return None
    kept = [axis for axis in range(node.rank) if axis not in common]
    inner = [drop_axes(o, kept) for o in node.operands]
    shape = tuple(node.shape[axis] for axis in kept)
    if isinstance(node, Add):
        core = add(zip(node.coefs, inner, strict=True), shape)
    else:
        assert isinstance(node, Call)
        core = call(node.prim, inner, tuple(map(kept.index, joined_axes(node))) or node.params)
    return einsum([core], [kept], range(node.rank), dict(enumerate(node.shape)))


def joined_axes(node: Node) -> frozenset[int]:
    """The axis along which parts are joined, if that is what the node does."""
    if not (isinstance(node, Call) and node.prim is CONCAT):
        return frozenset()
    (axis,) = node.params
    assert isinstance(axis, int)
    return frozenset((axis,))


def repeated_axes(node: Node) -> frozenset[int]:
    """The axes along which a node is the same by its form."""
    if is_zero(node):
        return frozenset(range(node.rank))
    _, core = split(node)
    if not isinstance(core, Einsum) or not core.is_pattern:
        return frozenset()
    carried = {label for own in core.labels for label in own}
    return frozenset(n for n, label in enumerate(core.out) if label not in carried and core.out.count(label) == 1)


def drop_axes(node: Node, kept: Sequence[int]) -> Node:
    """The node without the axes along which it is repeated."""
    if is_zero(node):
        return zeros(tuple(node.shape[axis] for axis in kept))
    coef, core = split(node)
    assert isinstance(core, Einsum)
    inner = einsum(core.operands, core.labels, [core.out[axis] for axis in kept], core.dims)
    return add([(coef, inner)], inner.shape)


@law(*(p for p in ENTRYWISE if p.arity == 1))
def lift_transpose(y: Call) -> Node | None:
    """tanh of a transposed array is the transposed tanh."""
    (x,) = y.operands
    if not (isinstance(x, Einsum) and x.is_pattern and x.operands):
        return None
    (own,) = x.labels
    if len(set(own)) < len(own) or sorted(own) != sorted(x.out):
        return None
    return einsum([call(y.prim, x.operands, y.params)], x.labels, x.out, {})


@law(Einsum)
def positive_slope(e: Einsum) -> Node | None:
    """sigmoid(-x[i]) (1 - sigmoid(-x[i])) -> sigmoid(x[i]) (1 - sigmoid(x[i]))."""
    for n, (y, own) in enumerate(e.factors):
        if not (isinstance(y, Call) and y.prim is SIGMOID):
            continue
        coef, x = split(y.operands[0])
        sign, rest = split(one_minus(y))
        if coef.rational < 0 and (rest, own) in e.factors:
            turned = SIGMOID(scale(coef * MINUS, x))
            table = {n: turned, e.factors.index((rest, own)): scale(sign, one_minus(turned))}
            return einsum([table.get(m, o) for m, o in enumerate(e.operands)], e.labels, e.out, e.dims)
    return None


@law(Einsum)
def distribute_over_deltas(e: Einsum) -> Node | None:
    """(δ[i,J] p[i] - p[i] p[J]) v[J] -> p[i] v[i] - p[i] (p[J] v[J])."""
    if e.is_pattern and all(len(set(own)) == len(own) for own in e.labels):
        return None  # a repetition or a transposition of a sum stays outside it (see lift_repetition)
    for k, operand in enumerate(e.operands):
        if isinstance(operand, Add) and len({diagonals(term) for term in operand.operands}) > 1:
            terms = []
            for coef, term in operand.terms:
                factors = [*e.operands[:k], term, *e.operands[k + 1 :]]
                terms.append((coef, einsum(factors, e.labels, e.out, e.dims)))
            return add(terms, e.shape)
    return None


def diagonals(term: Node) -> Labels:
    """Which axes of a term are forced equal: out labels by first appearance; () where none are."""
    _, core = split(term)
    if not isinstance(core, Einsum) or len(set(core.out)) == len(core.out):
        return ()
    return core.out


@law(Einsum)
def guard_product(e: Einsum) -> Node | None:
    """where(c[i], u[i], 0) exp(v[i]) -> where(c[i], u[i] exp(v[i]), 0)."""
    for k, operand in enumerate(e.operands):
        if not (isinstance(operand, Call) and operand.prim is WHERE):
            continue
        condition, yes, no = operand.operands
        if not is_zero(yes) and not is_zero(no):
            continue
        own = e.labels[k]
        movable = [
            n
            for n in range(len(e.operands))
            if n != k and set(e.labels[n]) <= set(own) and len(set(own)) == len(own) and movable_into(e, k, n)
        ]
        if not movable:
            continue
        moved = [e.operands[n] for n in movable]
        where_labels = [e.labels[n] for n in movable]
        inside = [x if is_zero(x) else einsum([x, *moved], [own, *where_labels], own) for x in (yes, no)]
        rest = [n for n in range(len(e.operands)) if n != k and n not in movable]
        guarded = WHERE(condition, *inside)
        return einsum([guarded, *(e.operands[n] for n in rest)], [own, *(e.labels[n] for n in rest)], e.out, e.dims)
    return None


def movable_into(e: Einsum, k: int, n: int) -> bool:
    """What can be infinite has to be guarded by operand k; what is entry by entry beside it costs nothing to move."""
    alike = set(e.labels[n]) == set(e.labels[k]) <= set(e.out)
    return alike or risky(e.operands[n])


def risky(node: Node) -> bool:
    """Whether the value, or a term, factor or choice in it, can be infinite or nan where its arguments are finite."""
    level = [node]
    for _ in range(RISK_DEPTH):
        if any(unbounded(n) for n in level):
            return True
        level = list(dict.fromkeys(o for n in level if n is node or transparent(n) for o in n.operands))
    return False


def transparent(node: Node) -> bool:
    """Whether an infinite operand can show."""
    return isinstance(node, Add | Einsum) or (isinstance(node, Call) and node.prim is WHERE)


def unbounded(node: Node) -> bool:
    if not isinstance(node, Call):
        return False
    _, q = base_and_exponent(node)
    return node.prim in RISKY or q < 0 or q.denominator != 1


@law(WHERE)
def empty_choice(y: Call) -> Node | None:
    """where(c[i], u[i], u[i]) -> u[i]."""
    _, yes, no = y.operands
    return yes if yes is no else None


@law(WHERE)
def repeated_choice(y: Call) -> Node | None:
    """where(c[i], v[i] where(c[i], u[i], 0), p[i]) -> where(c[i], v[i] u[i], p[i])."""
    condition, *choices = y.operands
    chosen = [chosen_in(o, condition, n) for n, o in enumerate(choices, start=1)]
    return WHERE(condition, *chosen) if chosen != choices else None


def chosen_in(node: Node, condition: Node, n: int) -> Node:
    """The node with operand n of a choice by the condition in its place, also where that is a factor."""
    coef, core = split(node)
    if isinstance(core, Call) and core.prim is WHERE and core.operands[0] is condition:
        return scale(coef, core.operands[n])
    for k, (o, own) in enumerate(core.factors if isinstance(core, Einsum) else ()):
        assert isinstance(core, Einsum)
        shown = isinstance(o, Call) and o.prim is WHERE and set(own) <= set(core.out)
        if shown and pattern(o.operands[0], own, core.out, core.dims) is condition:
            return scale(coef, with_factor(core, k, o.operands[n]))
    return node


@law(WHERE)
def lift_diagonal(y: Call) -> Node | None:
    """where(c[j], δ[i,j] u[i], 0) -> δ[i,j] where(c[i], u[i], 0)."""
    _, *choices = y.operands
    forms = {diagonals(o) for o in choices if not is_zero(o)}
    if len(forms) != 1 or forms == {()}:
        return None
    (out,) = forms
    own = tuple(dict.fromkeys(out))
    inner = [pattern(o, out, own, {}) for o in y.operands]
    return einsum([WHERE(*inner)], [own], out, {})


@law(POW)
def power_of_step(y: Call) -> Node | None:
    """step(x[i])^2 -> step(x[i])."""
    (x,), (q,) = y.operands, y.params
    assert isinstance(q, Fraction)
    return x if q > 0 and isinstance(x, Call) and x.prim in ZERO_OR_ONE else None


@law(*COMPARISONS.values())
def decided_comparison(y: Call) -> Node | None:
    """2 < 3 -> 1."""
    left, right = (number_of(o) for o in y.operands)
    if left is None or right is None:
        return None
    return number(int(DECIDE[y.prim.name](left, right)), y.shape)


def number_of(node: Node) -> Fraction | None:
    """The rational that the node is, repeated or not."""
    coef, core = split(node)
    if is_zero(node):
        return Fraction(0)
    return coef.rational if core is ones(core.shape) and not coef.sizes else None


@law(WHERE)
def decided_choice(y: Call) -> Node | None:
    """where(0, a[i], b[i]) -> b[i]."""
    condition, yes, no = y.operands
    decided = number_of(condition)
    return None if decided is None else yes if decided else no


@law(*ODD, *EVEN)
def parity(y: Call) -> Node | None:
    """tanh(-x[i]) -> -tanh(x[i])."""
    coef, x = split(y.operands[0])
    if coef.rational >= 0:
        return None
    turned = call(y.prim, [scale(coef * MINUS, x)])
    return scale(-1, turned) if y.prim in ODD else turned


@law(PART)
def part_of_product(y: Call) -> Node | None:
    """a part of A[i,K] B[K,j] along i is the product of that part of A with B."""
    axis, low, high = bounds(y)
    e = y.operands[0]
    if not isinstance(e, Einsum):
        return None
    label = e.out[axis]
    if e.out.count(label) > 1:
        return None
    factors = []
    for operand, own in e.factors:
        for place in (n for n, x in enumerate(own) if x == label):
            operand = part(operand, place, low, high)
        factors.append(operand)
    return einsum(factors, e.labels, e.out, e.dims | {label: high - low})


@law(PART)
def part_of_entrywise(y: Call) -> Node | None:
    """a part of x + tanh(z) is the part of x plus tanh of the part of z."""
    axis, low, high = bounds(y)
    x = y.operands[0]
    if not isinstance(x, Add) and not (isinstance(x, Call) and x.prim in CONTINUED):
        return None
    pieces = [part(o, axis, low, high) for o in x.operands]
    if isinstance(x, Add):
        return add(zip(x.coefs, pieces, strict=True), y.shape)
    return call(x.prim, pieces, x.params)


@law(PART)
def part_of_part(y: Call) -> Node | None:
    """a part of a part is a part; the part that was joined is what was joined."""
    axis, low, high = bounds(y)
    x = y.operands[0]
    if isinstance(x, Call) and x.prim is PART and x.params[0] == axis:
        _, inner, _ = bounds(x)
        return part(x.operands[0], axis, inner + low, inner + high)
    if isinstance(x, Call) and x.prim is CONCAT and x.params[0] == axis:
        at = Dim.of(0)
        for piece in x.operands:
            end = at + piece.shape[axis]
            if (low, high) == (at, end):
                return piece
            at = end
    return None


def bounds(y: Call) -> tuple[int, Dim, Dim]:
    axis, low, high = y.params
    assert isinstance(axis, int) and isinstance(low, Dim) and isinstance(high, Dim)
    return axis, low, high


EXACT = (
    *(
        merge_powers,
        power_of_multiple,
        merge_patterns,
        number_on_diagonal,
        merge_written_out,
        lift_repetition,
        lift_transpose,
        empty_choice,
        repeated_choice,
        lift_diagonal,
        power_of_step,
        decided_comparison,
    ),
    *(decided_choice, parity, positive_slope),
    *(part_of_product, part_of_entrywise, part_of_part),
    *matrices.EXACT,
)
# where a factor is infinite, 0 · inf or inf - inf comes or goes
FINITE = (distribute_over_deltas, guard_product, cancel_powers, cancel_share, sum_of_shares, *matrices.FINITE)
LAWS = (*EXACT, *FINITE)


def simplify(roots: Sequence[Node]) -> list[Node]:
    """Nodes of equal value in normal form; what several of them share stays shared."""
    return normalise(roots, LAWS)


def simplify_exactly(roots: Sequence[Node]) -> list[Node]:
    """The same by laws that hold for infinite values too."""
    return normalise(roots, EXACT)
