"""ir: immutable, interned nodes and the constructors that keep them in local normal form.

Equal expressions are one object, so equality is `is`. Axes are positional; an index is a label of one
Einsum and has no name. Six kinds: Input, Name, Const, Einsum, Add, Call.

The normal form that the constructors keep (e Einsum, a Add, d size, l label):
- a coefficient stands in an Add: no operand of an Einsum is an Add of fewer than two terms, and an Add
  of two or more terms has content 1 (`6 x - 4 y` is `2 (3 x - 2 y)`);
- deltas, ones and transposes are label patterns: an Einsum of one operand (or none) that sums nothing
  is a `pattern`, and an Einsum absorbs the patterns among its operands;
- a summed label that no operand carries is a factor of its size;
- operands are sorted by digest, labels numbered by first appearance in the output, then the operands.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from math import gcd, lcm
from typing import Any, Final

from . import canonical
from .dims import Dim, Env
from .errors import EinstanError

Shape = tuple[Dim, ...]
Labels = tuple[int, ...]

MAX_DIGITS = 400
HUGE: Final[int] = 10**MAX_DIGITS
MAX_CONTENT = 256  # bits


@dataclass(frozen=True, slots=True)
class Coef:
    """An exact rational times powers of sizes: `Coef(1/2)`, `Coef(1, ((n, -1),))` is 1/n."""

    rational: Fraction = Fraction(1)
    sizes: tuple[tuple[Dim, int], ...] = ()

    @staticmethod
    def of(value: Coef | Fraction | int) -> Coef:
        if isinstance(value, Coef):
            return value
        return UNIT if value == 1 else Coef(Fraction(value))

    @staticmethod
    def size(d: Dim, power: int = 1) -> Coef:
        if d.value is None:
            return Coef(Fraction(1), ((d, power),))
        if d.value == 0 and power < 0:
            return Coef(Fraction(1), ((d, power),))
        return Coef(Fraction(d.value) ** power)

    def __mul__(self, other: Coef) -> Coef:
        if other is UNIT:
            return self
        if self is UNIT:
            return other
        if not self.sizes and not other.sizes:
            return Coef(self.rational * other.rational)
        powers = dict(self.sizes)
        for d, n in other.sizes:
            powers[d] = powers.get(d, 0) + n
        kept = tuple(sorted(((d, n) for d, n in powers.items() if n), key=lambda item: str(item[0])))
        return Coef(self.rational * other.rational, kept)

    def huge_as_power(self, n: int) -> bool:
        """Whether the power is huge for certain, said without computing it."""
        bits = max(self.rational.numerator.bit_length(), self.rational.denominator.bit_length()) - 1
        return bits * abs(n) > HUGE.bit_length()

    def power(self, n: int) -> Coef:
        return Coef(self.rational**n, tuple((d, k * n) for d, k in self.sizes))

    def at(self, env: Env) -> Fraction:
        """The number under sizes; a negative power of an empty axis raises ZeroDivisionError."""
        value = self.rational
        for d, n in self.sizes:
            value *= Fraction(d.at(env)) ** n
        return value

    @property
    def is_one(self) -> bool:
        return self is UNIT or (not self.sizes and self.rational == 1)

    @property
    def huge(self) -> bool:
        return is_huge(self.rational)

    def __str__(self) -> str:
        if self is UNIT:
            return "1"
        return " ".join([str(self.rational), *[f"({d})^{n}" for d, n in self.sizes]])


UNIT: Final = Coef()


def is_huge(q: Fraction) -> bool:
    """Whether the number has more digits than are read."""
    return max(abs(q.numerator), q.denominator) > HUGE


def within_digits(q: Fraction) -> Fraction:
    """The number; raises EinstanError where it has more digits than are read."""
    if is_huge(q):
        raise EinstanError(f"A number of the result has more than {MAX_DIGITS} digits.", "Give it as an input.")
    return q


class Node:
    """Base of the six kinds. `operands` are the nodes below, `digest` is the same in every process."""

    __slots__ = ("shape", "operands", "digest", "__weakref__")
    shape: Shape
    operands: tuple[Node, ...]
    digest: bytes

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return describe(self)


class Input(Node):
    """An array that the user gives."""

    __slots__ = ("name",)
    name: str


class Name(Node):
    """A defined name, or a derivative of one (`∂L/∂Z`), as a leaf."""

    __slots__ = ("name",)
    name: str


class Const(Node):
    """A scalar that is no rational: `pi`."""

    __slots__ = ("name",)
    name: str


class Einsum(Node):
    """Sum over the labels absent from `out` of the product of the operands.

    `out` may repeat a label (writes a diagonal) and may hold one that no operand carries (repeats
    along a new axis, whose size stands in `sizes`).
    """

    __slots__ = ("labels", "out", "sizes")
    labels: tuple[Labels, ...]
    out: Labels
    sizes: tuple[tuple[int, Dim], ...]

    @property
    def dims(self) -> dict[int, Dim]:
        """The size of every label."""
        found = dict(self.sizes)
        for operand, labels in zip(self.operands, self.labels, strict=True):
            found.update(zip(labels, operand.shape, strict=True))
        return found

    @property
    def factors(self) -> tuple[tuple[Node, Labels], ...]:
        """Each operand with its labels."""
        return tuple(zip(self.operands, self.labels, strict=True))

    @property
    def summed(self) -> frozenset[int]:
        return frozenset(label for labels in self.labels for label in labels) - frozenset(self.out)

    @property
    def is_pattern(self) -> bool:
        """At most one operand and nothing summed: a view, a diagonal, a repetition."""
        return len(self.operands) <= 1 and not self.summed


class Add(Node):
    """Sum of coefficient times term, all of one shape; without terms it is zero."""

    __slots__ = ("coefs",)
    coefs: tuple[Coef, ...]

    @property
    def terms(self) -> tuple[tuple[Coef, Node], ...]:
        return tuple(zip(self.coefs, self.operands, strict=True))


class Call(Node):
    """A primitive applied to its arguments; `params` are static (exponent, bounds, a name)."""

    __slots__ = ("prim", "params")
    prim: Prim
    params: tuple[Hashable, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Prim:
    """A row of the table of primitives.

    `shape(args, params)` gives the result's shape. `pull(call, k, ct, seeds)` gives the cotangent of
    argument k from that of the result, whose `seeds` leading axes only ride along. An entrywise
    primitive has `partial(call, k)` instead: ∂call/∂arg_k entry by entry.
    """

    name: str
    arity: int
    shape: Callable[[tuple[Node, ...], tuple[Any, ...]], Shape]
    partial: Callable[[Call, int], Node] | None = None
    pull: Callable[[Call, int, Node, int], Node] | None = None
    latex: str = ""
    domain: str = "real"

    @property
    def entrywise(self) -> bool:
        return self.partial is not None

    def __call__(self, *args: Node, params: tuple[Hashable, ...] = ()) -> Node:
        return call(self, args, params)


# ---------------------------------------------------------------- interning

_table: weakref.WeakValueDictionary[bytes, Node] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def _intern(kind: type[Node], shape: Shape, operands: tuple[Node, ...], payload: str, **fields: Any) -> Any:
    key = blake2b(digest_size=16)
    key.update(f"{kind.__name__}|{payload}|{'|'.join([d.text for d in shape])}".encode())
    for operand in operands:
        key.update(operand.digest)
    digest = key.digest()
    with _lock:
        found = _table.get(digest)
        if found is None:
            found = kind.__new__(kind)
            found.shape, found.operands, found.digest = shape, operands, digest
            for name, value in fields.items():
                setattr(found, name, value)
            _table[digest] = found
        return found


def input_(name: str, shape: Shape) -> Input:
    return _intern(Input, shape, (), name, name=name)  # type: ignore[no-any-return]


def name_(name: str, shape: Shape) -> Name:
    return _intern(Name, shape, (), name, name=name)  # type: ignore[no-any-return]


def const(name: str) -> Const:
    return _intern(Const, (), (), name, name=name)  # type: ignore[no-any-return]


def call(prim: Prim, args: Sequence[Node], params: tuple[Hashable, ...] = ()) -> Node:
    """The primitive applied, without any law."""
    args = tuple(args)
    shape = prim.shape(args, params)
    return _intern(Call, shape, args, f"{prim.name}|{params_text(params)}", prim=prim, params=params)  # type: ignore[no-any-return]


def params_text(params: tuple[Hashable, ...]) -> str:
    return ",".join(f"{type(p).__name__}:{p}" for p in params)


# ---------------------------------------------------------------- sums


def zeros(shape: Shape) -> Add:
    return _intern(Add, shape, (), "", coefs=())  # type: ignore[no-any-return]


def number(value: Fraction | int, shape: Shape = ()) -> Node:
    return scale(value, ones(shape))


def scale(coef: Coef | Fraction | int, node: Node) -> Node:
    return add([(Coef.of(coef), node)], node.shape)


def split(node: Node) -> tuple[Coef, Node]:
    """`(c, x)` with node = c x: the coefficient in front."""
    if isinstance(node, Add) and len(node.operands) == 1:
        return node.coefs[0], node.operands[0]
    return UNIT, node


def is_zero(node: Node) -> bool:
    return isinstance(node, Add) and not node.operands


def add(terms: Iterable[tuple[Coef | Fraction | int, Node]], shape: Shape) -> Node:
    """Σ coef · node, like terms merged. Nested sums stay nested (see rules.flatten_sum)."""
    merged: dict[tuple[Node, tuple[tuple[Dim, int], ...]], Coef] = {}
    for given, node in terms:
        assert node.shape == shape, f"our bug: term of shape {node.shape} in a sum of shape {shape}"
        coef = Coef.of(given)
        inner, core = split(node)
        if core is not node and not (product := coef * inner).huge:
            coef, node = product, core
        if is_zero(node):
            continue
        key = (node, coef.sizes)
        found = merged.get(key)
        merged[key] = coef if found is None else Coef(within_digits(found.rational + coef.rational), coef.sizes)
    kept = [(coef, node) for (node, _), coef in merged.items() if coef is UNIT or coef.rational]
    if not kept:
        return zeros(shape)
    if len(kept) == 1:
        return _single(*kept[0])
    kept.sort(key=lambda term: (term[1].digest, [(d.text, n) for d, n in term[0].sizes]))  # in an order without signs
    content = _content([c for c, _ in kept])
    coefs = tuple(c for c, _ in kept)
    if not content.is_one:
        inverse = content.power(-1)
        coefs = tuple(c * inverse for c in coefs)
    primitive = raw_sum(coefs, tuple(node for _, node in kept), shape)
    return _single(content, primitive)


def _single(coef: Coef, node: Node) -> Node:
    if coef.is_one:
        return node
    return raw_sum((coef,), (node,), node.shape)


def raw_sum(coefs: Sequence[Coef], operands: tuple[Node, ...], shape: Shape) -> Node:
    """The sum just as it is given; only `add` keeps the normal form."""
    coefs = tuple(coefs)
    return _intern(Add, shape, operands, ";".join(map(str, coefs)), coefs=coefs)  # type: ignore[no-any-return]


def _content(coefs: Sequence[Coef]) -> Coef:
    """The common factor of the coefficients; the first one is positive after division.

    A factor far from 1 stays inside, so that no coefficient leaves the range of floats.
    """
    if all(c is UNIT or (c.rational in (1, -1) and not c.sizes) for c in coefs):
        return coefs[0]
    top, bottom = 0, 1
    for c in coefs:
        top, bottom = gcd(top, c.rational.numerator), lcm(bottom, c.rational.denominator)
    if max(top.bit_length(), bottom.bit_length()) > MAX_CONTENT:
        top = bottom = 1
    shared = coefs[0].sizes if all(c.sizes == coefs[0].sizes for c in coefs) else ()
    sign = 1 if coefs[0].rational > 0 else -1
    return Coef(Fraction(sign * top, bottom), shared)


# ---------------------------------------------------------------- products


def ones(shape: Shape) -> Node:
    labels = tuple(range(len(shape)))
    return _canonical([], labels, dict(zip(labels, shape, strict=True)))


def einsum(
    operands: Sequence[Node],
    labels: Sequence[Sequence[Hashable]],
    out: Sequence[Hashable],
    sizes: Mapping[Any, Dim] | None = None,
) -> Node:
    """The contraction in normal form; labels are any hashables, `sizes` those that no operand carries."""
    dims: dict[Hashable, Dim] = dict(sizes or {})
    for operand, own in zip(operands, labels, strict=True):
        dims.update(zip(own, operand.shape, strict=True))
    factors = list(zip(operands, map(tuple, labels), strict=True))
    if any(map(is_absorbed, operands)):
        return _absorbing(factors, tuple(out), dims)
    carried = {label for _, own in factors for label in own}
    return _core(factors, tuple(out), {label: dims[label] for label in out}, carried)


def _absorbing(given: list[Factor], out: tuple[Hashable, ...], dims: dict[Hashable, Dim]) -> Node:
    """The contraction of factors some of which are patterns, multiples or zero."""
    coef, factors, union = _absorb(given.copy())
    find = union.find
    outs = tuple([find(label) for label in out])
    factors = [(node, tuple([find(label) for label in own])) for node, own in factors]
    if any(is_zero(node) for node, _ in factors):
        return zeros(tuple([dims[label] for label in out]))
    carried = {label for _, own in factors for label in own}
    for label in dict.fromkeys(find(label) for _, own in given for label in own):
        if label not in carried and label not in outs:
            coef = coef * Coef.size(dims[label])
    core = _core(factors, outs, {label: dims[label] for label in outs}, carried)
    return core if coef.is_one else scale(coef, core)


def times(*factors: Node) -> Node:
    """The entrywise product of nodes of one shape."""
    axes = range(factors[0].rank)
    return einsum(factors, [axes] * len(factors), axes)


def pattern(node: Node, labels: Sequence[Hashable], out: Sequence[Hashable], sizes: Mapping[Any, Dim]) -> Node:
    """`node` with its axes renamed `labels`, shown as `out`: transposed, repeated, as a diagonal."""
    return einsum([node], [labels], out, sizes)


class _Union:
    def __init__(self) -> None:
        self.parent: dict[Hashable, Hashable] = {}

    def find(self, label: Hashable) -> Hashable:
        while label in self.parent:
            label = self.parent[label]
        return label

    def join(self, a: Hashable, b: Hashable) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            self.parent[b] = a


Factor = tuple[Node, tuple[Hashable, ...]]


def _absorb(waiting: list[Factor]) -> tuple[Coef, list[Factor], _Union]:
    """Coefficients pulled out of the factors, patterns replaced by what they show."""
    coef, union, factors = UNIT, _Union(), []
    waiting.reverse()
    while waiting:
        node, own = waiting.pop()
        c, core = split(node)
        if core is not node and not (product := coef * c).huge:
            coef, node = product, core
        if isinstance(node, Einsum) and node.is_pattern:
            place: dict[int, Hashable] = {}
            for inner, outer in zip(node.out, own, strict=True):
                union.join(place.setdefault(inner, outer), outer)
            waiting.extend(
                (o, tuple(place[label] for label in ls)) for o, ls in zip(node.operands, node.labels, strict=True)
            )
        else:
            factors.append((node, own))
    return coef, factors, union


def _core(factors: list[Factor], out: tuple[Hashable, ...], dims: dict[Hashable, Dim], carried: set[Hashable]) -> Node:
    """A contraction whose output repeats or invents labels is a pattern around a plain contraction."""
    plain = tuple(dict.fromkeys([label for label in out if label in carried]))
    sums = carried - set(out)
    if plain != out and factors and (len(factors) > 1 or sums):
        inner = _canonical(factors, plain, {})
        return einsum([inner], [plain], out, dims)
    if len(factors) == 1 and factors[0][1] == out and len(set(out)) == len(out):
        return factors[0][0]
    return _canonical(factors, out, {label: d for label, d in dims.items() if label not in carried})


def _canonical(factors: list[Factor], out: tuple[Hashable, ...], sizes: dict[Hashable, Dim]) -> Node:
    if len(factors) > 1:
        order = canonical.order([node.digest for node, _ in factors], [own for _, own in factors], out)
        factors = [factors[k] for k in order]
    numbers = canonical.numbered([own for _, own in factors], out)
    labels = tuple([tuple([numbers[label] for label in own]) for _, own in factors])
    outs = tuple([numbers[label] for label in out])
    extra = tuple(sorted((numbers[label], d) for label, d in sizes.items())) if sizes else ()
    return raw_einsum(tuple([node for node, _ in factors]), labels, outs, extra)


def raw_einsum(
    operands: tuple[Node, ...], labels: tuple[Labels, ...], out: Labels, sizes: tuple[tuple[int, Dim], ...]
) -> Einsum:
    """The contraction just as it is given; only `einsum` keeps the normal form."""
    dims = dict(sizes)
    for node, own in zip(operands, labels, strict=True):
        dims.update(zip(own, node.shape, strict=True))
    shape = tuple([dims[label] for label in out])
    return _intern(Einsum, shape, operands, f"{labels}->{out}", labels=labels, out=out, sizes=sizes)  # type: ignore[no-any-return]


# ---------------------------------------------------------------- walks


def toposort(roots: Iterable[Node], definitions: Mapping[Node, Node] | None = None) -> list[Node]:
    """Every node below `roots` once, operands first, without recursion.

    A leaf of `definitions` comes after what it stands for.
    """
    definitions = definitions or {}
    done: dict[Node, None] = {}
    stack = list(roots)
    stack.reverse()
    while stack:
        node = stack[-1]
        missing = [o for o in node.operands if o not in done] if node.operands else []
        if node in definitions and definitions[node] not in done:
            missing.insert(0, definitions[node])
        if missing:
            missing.reverse()
            stack += missing
        else:
            done[node] = None
            stack.pop()
    return list(done)


def inline(roots: Sequence[Node], definitions: Mapping[Node, Node]) -> list[Node]:
    """`roots` with every leaf of `definitions` replaced by what it stands for, all the way down."""
    done: dict[Node, Node] = {}
    for node in toposort(roots, definitions):
        found = definitions.get(node)
        done[node] = done[found] if found is not None else rebuild(node, [done[o] for o in node.operands])
    return [done[root] for root in roots]


def uses(roots: Sequence[Node]) -> dict[Node, int]:
    """How many operand places (and roots) hold each node."""
    return uses_in(toposort(roots), roots)


def uses_in(nodes: Iterable[Node], roots: Sequence[Node]) -> dict[Node, int]:
    """How many operand places of the nodes, and roots, hold each node."""
    count: dict[Node, int] = {}
    for root in roots:
        count[root] = count.get(root, 0) + 1
    for node in nodes:
        for operand in node.operands:
            count[operand] = count.get(operand, 0) + 1
    return count


def rebuild(node: Node, operands: Sequence[Node]) -> Node:
    """The same node over other operands of the same shapes, through the constructors."""
    if node.operands == tuple(operands):
        return node
    if isinstance(node, Einsum):
        if is_product(node) and not any(map(is_absorbed, operands)):
            return _canonical(list(zip(operands, node.labels, strict=True)), node.out, {})
        return einsum(operands, node.labels, node.out, dict(node.sizes))
    if isinstance(node, Add):
        return add(zip(node.coefs, operands, strict=True), node.shape)
    assert isinstance(node, Call), f"our bug: a leaf has operands: {node!r}"
    return call(node.prim, operands, node.params)


def is_product(e: Einsum) -> bool:
    """Whether it multiplies, and its output neither repeats nor invents labels."""
    return len(e.operands) > 1 and not e.sizes and len(set(e.out)) == len(e.out)


def is_absorbed(node: Node) -> bool:
    """Whether a product takes the node apart: a pattern, a multiple, zero."""
    return (isinstance(node, Einsum) and node.is_pattern) or (isinstance(node, Add) and len(node.operands) < 2)


def substitute(roots: Sequence[Node], table: Mapping[Node, Node]) -> list[Node]:
    """`roots` with every node of `table` replaced, from the top: neither side is searched further."""
    done: dict[Node, Node] = {}
    stack = list(roots)
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
        elif node in table:
            done[node] = table[node]
        elif missing := [o for o in node.operands if o not in done]:
            stack.extend(missing)
        else:
            done[node] = rebuild(node, [done[o] for o in node.operands])
    return [done[root] for root in roots]


def describe(node: Node, limit: int = 12) -> str:
    """A short text for people who debug: kinds and labels, the top `limit` nodes."""
    lines: list[str] = []
    seen: set[Node] = set()
    waiting = [node]
    while waiting and len(lines) < limit:
        n = waiting.pop(0)
        if n in seen:
            continue
        seen.add(n)
        waiting.extend(n.operands)
        head = type(n).__name__
        if isinstance(n, Input | Name | Const):
            detail = n.name
        elif isinstance(n, Einsum):
            detail = f"{n.labels}->{n.out}"
        elif isinstance(n, Add):
            detail = " + ".join(map(str, n.coefs)) or "0"
        else:
            assert isinstance(n, Call)
            detail = f"{n.prim.name} {params_text(n.params)}"
        below = ", ".join(o.digest.hex()[:6] for o in n.operands)
        lines.append(f"{head} {detail} [{', '.join(map(str, n.shape))}] #{n.digest.hex()[:6]}({below})")
    return "\n".join(lines)
