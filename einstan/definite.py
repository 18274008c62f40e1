"""definite: whether a matrix that a formula makes is positive semidefinite, whatever the entries of its inputs are.

The axes of the node are those of the rows, then as many of the columns. It is written as a sum of products, and each
product must be Bᵀ diag(d) B: its factors pair up, B of the rows and B of the columns, and what is left carries only
labels that both share, and is nowhere negative. A product of the wrong sign may be the second half of a covariance:
Σ_c p_c u_c u_cᵀ - (Σ_c p_c u_c) (Σ_c p_c u_c)ᵀ, p a softmax along c. When in doubt nothing is said.

Letters: e Einsum, f and g factors (by their places), l and m labels, p a softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final, NamedTuple

from .dims import Dim
from .intervals import Interval, intervals, product
from .ir import Add, Call, Coef, Einsum, Labels, Node, einsum, split
from .prims.reduce import SOFTMAX

TERMS: Final = 200  # products that are looked at
FACTORS: Final = 16  # of a product that is looked at
TRIES: Final = 200  # ways to pair up the factors of a product
Factor = tuple[Node, Labels]
Stage = Callable[[Node, "Known"], int | None]  # the factor of a product that is written out next
Key = tuple[Node, tuple[tuple[Dim, int], ...]]  # a product, and the powers of sizes in its coefficient


@dataclass(frozen=True)
class Mirrored:
    """Σ B[f,r] d[f] B[f,c]: the factors of B with the labels of the rows, those of d, and which label of the columns
    belongs to which label of the rows. Labels that are their own partner are in both."""

    rows: Labels
    half: tuple[Factor, ...]
    middle: tuple[Factor, ...]
    partner: Mapping[int, int]
    dims: Mapping[int, Dim]

    @property
    def other(self) -> tuple[Factor, ...]:
        """B with the labels of the columns."""
        return tuple([(node, self.of_columns(own)) for node, own in self.half])

    def of_columns(self, labels: Labels) -> Labels:
        return tuple([self.partner[l] for l in labels])

    @cached_property
    def between(self) -> Labels:
        """Summed labels that the two halves, or the middle, share; and those that rows and columns share."""
        carried = [l for _, own in (*self.middle, *self.half) for l in own]
        return tuple(dict.fromkeys(l for l in carried if self.partner.get(l, l) == l))


class Part(NamedTuple):
    """One positive semidefinite matrix of a sum: coef times the product, or, with `along`, the covariance that takes
    the product away: `along` is the softmax, with its labels in the rows."""

    coef: Coef
    product: Mirrored
    along: Factor | None = None


class Proof(NamedTuple):
    """The parts add up to sign times the matrix; none of them if it is zero."""

    sign: int
    parts: tuple[Part, ...]


def semidefinite(node: Node, given: Mapping[Node, Interval] | None = None) -> Proof | None:
    """Why a matrix, or its opposite, is positive semidefinite; None where that is not seen.

    `given` are intervals that are known beforehand.

    >>> from einstan.dims import Dim
    >>> from einstan.ir import input_
    >>> x = input_("X", (Dim.symbol("n"), Dim.symbol("n")))
    >>> semidefinite(einsum([x, x], ["ai", "aj"], "ij")).sign
    1
    >>> semidefinite(einsum([x, x], ["ai", "ja"], "ij"))
    """
    half = node.rank // 2
    assert node.shape[:half] == node.shape[half:], "our bug: a matrix whose rows are no columns"
    known = Known([node], given or {})
    for stage in (closed, opened):
        found = products(node, known, stage)
        for sign in (1, -1):
            parts = None if found is None else proved(found, sign, known)
            if parts is not None:
                return Proof(sign, parts)
    return None


@dataclass(frozen=True, slots=True)
class Written:
    """A node as one product: its factors, its axes, the sizes of labels."""

    factors: tuple[Factor, ...]
    out: Labels
    dims: Mapping[int, Dim]

    @property
    def moving(self) -> frozenset[int]:
        """The labels of rows, or of columns, alone."""
        half = len(self.out) // 2
        return frozenset(self.out[:half]) ^ frozenset(self.out[half:])

    def moves(self, f: int) -> bool:
        return not self.moving.isdisjoint(self.factors[f][1])

    def with_factors(self, f: int, instead: Sequence[Factor]) -> Node:
        """The product with others in the place of one factor."""
        return multiplied([*self.factors[:f], *instead, *self.factors[f + 1 :]], self.out, self.dims)


def multiplied(factors: Sequence[Factor], out: Labels, dims: Mapping[int, Dim]) -> Node:
    return einsum([node for node, _ in factors], [own for _, own in factors], out, dims)


def written(node: Node) -> Written:
    """Any node as a product: of what it shows the diagonal of, of itself."""
    if not isinstance(node, Einsum):
        axes = tuple(range(node.rank))
        return Written(((node, axes),), axes, dict(enumerate(node.shape)))
    if node.is_pattern and node.operands and isinstance(inner := node.operands[0], Einsum):
        factors = spliced(inner, node.labels[0], 0)
        return Written(factors, node.out, node.dims | dims_of(factors))
    return Written(node.factors, node.out, node.dims)


def dims_of(factors: Sequence[Factor]) -> dict[int, Dim]:
    return {l: d for node, own in factors for l, d in zip(own, node.shape, strict=True)}


class Known:
    """Intervals of nodes, and how products mirror, computed once."""

    def __init__(self, roots: Sequence[Node], given: Mapping[Node, Interval]) -> None:
        self.roots = roots
        self.given = given
        self.ways: dict[Node, list[tuple[Mirrored, Interval]]] = {}

    @cached_property
    def found(self) -> dict[Node, Interval]:
        return intervals(self.roots, self.given)

    def interval(self, factors: Sequence[Factor]) -> Interval:
        """Of an entry of a product of factors."""
        if new := [node for node, _ in factors if node not in self.found]:
            self.found.update(intervals(new, self.given))
        return product(factors, self.found)

    def mirrored(self, node: Node, signs: tuple[int, ...] = (1, -1)) -> tuple[int, Mirrored] | None:
        """The node as Bᵀ diag(d) B with the sign of d, if that is one of these."""
        if node not in self.ways:
            self.ways[node] = [(way, self.interval(way.middle)) for way in mirrorings(node)]
        for way, d in self.ways[node]:
            for sign in signs:
                if (d if sign > 0 else -d).nonnegative:
                    return sign, way
        return None


# ---------------------------------------------------------------- a matrix as a sum of products


def products(node: Node, known: Known, stage: Stage) -> dict[Key, Fraction] | None:
    """The products that the matrix is the sum of, with their coefficients."""
    found: dict[Key, Fraction] = {}
    waiting = [(Coef(), node)]
    for _ in range(TERMS):
        if not waiting:
            return {key: c for key, c in found.items() if c}
        coef, node = waiting.pop()
        c, node = split(node)
        coef = coef * c
        if isinstance(node, Add):
            waiting += [(coef * c, term) for c, term in node.terms]
            continue
        place = stage(node, known)
        if place is None:
            key = (node, coef.sizes)
            found[key] = found.get(key, Fraction(0)) + coef.rational
        else:
            waiting += [(coef * c, term) for c, term in written_out(node, place)]
    return None


def closed(node: Node, known: Known) -> int | None:
    """A sum or a product that carries labels of rows, or of columns, alone, where nothing is known of the whole."""
    if known.mirrored(node) is not None:
        return None
    e = written(node)
    return next((f for f, (o, _) in enumerate(e.factors) if isinstance(o, Add | Einsum) and e.moves(f)), None)


def opened(node: Node, known: Known) -> int | None:
    """Any product, and any sum that is no weight."""
    e = written(node)
    for f, (o, own) in enumerate(e.factors):
        if isinstance(o, Einsum) or (isinstance(o, Add) and (e.moves(f) or len({*own} - {*e.out}) > 1)):
            return f
    return None


def written_out(node: Node, f: int) -> list[tuple[Coef, Node]]:
    """The product with a factor that is a sum, or a product, written out."""
    e = written(node)
    factor, own = e.factors[f]
    if isinstance(factor, Add):
        return [(c, e.with_factors(f, [(term, own)])) for c, term in factor.terms]
    assert isinstance(factor, Einsum)
    return [(Coef(), e.with_factors(f, spliced(factor, own, min([0, *e.dims]))))]


def spliced(inner: Einsum, own: Labels, least: int) -> tuple[Factor, ...]:
    """The factors of a product whose axes have these labels; its summed labels get numbers below `least`."""
    place = {l: least - 1 - l for l in inner.summed} | dict(zip(inner.out, own, strict=True))
    return tuple([(node, tuple([place[l] for l in labels])) for node, labels in inner.factors])


# ---------------------------------------------------------------- a product as Bᵀ diag(d) B


class State(NamedTuple):
    """A search under way: partners of labels, which labels are of rows (True) or of columns alone, the factors that
    have no place yet, those of B."""

    partner: dict[int, int]
    of_rows: dict[int, bool]
    left: tuple[int, ...]
    half: tuple[int, ...]


def mirrorings(node: Node) -> Iterator[Mirrored]:
    """The ways to write a product as Bᵀ diag(d) B, whatever the sign of d."""
    e = written(node)
    factors, half = e.factors, len(e.out) // 2
    rows, columns = e.out[:half], e.out[half:]
    partner = partners({}, rows, columns)
    if partner is None or len(factors) > FACTORS or any(partner[l] != l for l in rows if l in columns):
        return
    of_rows = {l: True for l in rows if partner[l] != l} | {l: False for l in columns if partner[l] != l}
    waiting = [State(partner, of_rows, tuple(range(len(factors))), ())]
    for _ in range(TRIES):
        if not waiting:
            return
        state = waiting.pop()
        f = next((f for f in state.left if not state.of_rows.keys().isdisjoint(factors[f][1])), None)
        if f is not None:
            waiting += paired(state, factors, f)
        else:
            own, middle = (tuple([factors[k] for k in places]) for places in (state.half, state.left))
            yield Mirrored(rows, own, middle, state.partner, e.dims)


def paired(state: State, factors: Sequence[Factor], f: int) -> Iterator[State]:
    """The state with a factor and another one of the same node on opposite sides."""
    node, own = factors[f]
    sides = {state.of_rows[l] for l in own if l in state.of_rows}
    if len(sides) > 1:
        return
    (side,) = sides
    for g in state.left:
        if g == f or factors[g][0] is not node:
            continue
        partner = partners(state.partner, own, factors[g][1])
        if partner is not None:
            of_rows = {l: side for l in own if partner[l] != l} | {partner[l]: not side for l in own if partner[l] != l}
            left = tuple(k for k in state.left if k not in (f, g))
            yield State(partner, state.of_rows | of_rows, left, (*state.half, f if side else g))


def partners(known: Mapping[int, int], labels: Labels, others: Labels) -> dict[int, int] | None:
    """The partners with these, if no label has two."""
    found = dict(known)
    for l, m in zip(labels, others, strict=True):
        if found.setdefault(l, m) != m or found.setdefault(m, l) != l:
            return None
    return found


# ---------------------------------------------------------------- a sum of them


def proved(terms: Mapping[Key, Fraction], sign: int, known: Known) -> tuple[Part, ...] | None:
    """The parts that sign times the sum consists of, if all are positive semidefinite."""
    good: dict[Key, Fraction] = {}
    taken: list[Part] = []
    for key, c in terms.items():
        if known.mirrored(key[0], (sign if c > 0 else -sign,)) is not None:
            good[key] = abs(c)
    for key, c in terms.items():
        if key not in good:
            part = covariance(key, c, sign, good, known)
            if part is None:
                return None
            taken.append(part)
    parts = []
    for (node, sizes), c in good.items():
        found = known.mirrored(node, (sign if terms[node, sizes] > 0 else -sign,))
        assert found is not None
        if c:
            parts.append(Part(Coef(c if found[0] > 0 else -c, sizes), found[1]))
    return (*parts, *taken)


def covariance(key: Key, c: Fraction, sign: int, good: dict[Key, Fraction], known: Known) -> Part | None:
    """The covariance whose second half a product is: its first half is taken from what is `good`."""
    node, sizes = key
    found = known.mirrored(node, (-sign if c > 0 else sign,))
    if found is None:
        return None
    for along, first in first_halves(found[1]):
        coef, core = split(first)
        whole = coef * Coef(abs(c), sizes)
        place = (core, whole.sizes)
        if good.get(place, Fraction(0)) >= whole.rational > 0:
            good[place] -= whole.rational
            return Part(Coef(abs(c) if found[0] > 0 else -abs(c), sizes), found[1], along)
    return None


def first_halves(way: Mirrored) -> Iterator[tuple[Factor, Node]]:
    """Σ p_c u_c u_cᵀ of (Σ p_c u_c) (Σ p_c u_c)ᵀ for every softmax p of the product, which then stands once."""
    for k, (node, own) in enumerate(way.half):
        if not isinstance(node, Call) or node.prim is not SOFTMAX:
            continue
        n = node.params[0]
        assert isinstance(n, int)
        lead, along = own[: len(own) - n], own[len(own) - n :]
        if way.of_columns(lead) == lead and len(set(along)) == n and all(way.partner[l] != l for l in along):
            united = {way.partner[l]: l for l in along}
            rest = (*way.half, *way.middle, *way.other[:k], *way.other[k + 1 :])
            factors = [(f, tuple([united.get(l, l) for l in labels])) for f, labels in rest]
            out = tuple([united.get(l, l) for l in (*way.rows, *way.of_columns(way.rows))])
            yield (node, own), multiplied(factors, out, way.dims)
