"""random_programs: legal programs by the seed, and what they mean, written from the notation alone.

`program(seed)` makes a tree of its own (nothing of einstan is imported), `text` writes it down, `evaluate` gives every
name its array by broadcasting over the whole index space. A reader who knows NOTATION can check this file without
einstan: sums are never told to the evaluator, it finds them by the rule of section 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Labels = tuple[str, ...]

SIZES = (1, 2, 2, 3, 3, 5, 7)
LETTERS = "ijklmnpqr"
MAX_RANK = 3
LIMIT = 1e3  # of every entry of every name, so that rounding stays near eps

# ---------------------------------------------------------------- trees


class Illegal(Exception):
    """The tree breaks a rule of the notation: it is made anew."""


@dataclass(frozen=True, slots=True)
class Number:
    written: str


@dataclass(frozen=True, slots=True)
class Tensor:
    """`A[i,K]`; `parts` has (low, high, what is written) for each axis of which only a part is taken."""

    name: str
    labels: Labels
    parts: tuple[tuple[int, int, str] | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Ones:
    labels: Labels
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    labels: Labels
    size: int


@dataclass(frozen=True, slots=True)
class Extent:
    """`|k|` or `size(A,2)`."""

    written: str
    size: int


@dataclass(frozen=True, slots=True)
class Product:
    factors: tuple[Tree, ...]
    divides: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Odot:
    factors: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    terms: tuple[Tree, ...]
    signs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Power:
    base: Tree
    exponent: Tree


@dataclass(frozen=True, slots=True)
class Apply:
    """`tanh(x)`, `max(a, b)`, `tanh'(x)`."""

    name: str
    args: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Along:
    """`softmax[k](x)`."""

    name: str
    labels: Labels
    body: Tree


@dataclass(frozen=True, slots=True)
class Compare:
    op: str
    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class Concat:
    parts: tuple[Tree, ...]
    label: str


Tree = Number | Tensor | Ones | Delta | Extent | Product | Odot | Sum | Power | Apply | Along | Compare | Concat


@dataclass(frozen=True, slots=True)
class Statement:
    """`D[i,i] = body`."""

    name: str
    target: Labels
    body: Tree


@dataclass(frozen=True, slots=True)
class RandomProgram:
    """Statements, definitions before their uses; `inputs` by name: shape, and whether its entries are positive."""

    statements: tuple[Statement, ...]
    inputs: Mapping[str, tuple[tuple[int, ...], bool]]

    def text(self, order: Sequence[int] | None = None) -> str:
        places = range(len(self.statements)) if order is None else order
        return "\n".join(line(self.statements[n]) for n in places)

    def arrays(self, seed: int) -> dict[str, Array]:
        """Data away from the edges of every function's domain."""
        rng = np.random.default_rng(seed)
        make = (lambda shape: 0.8 * rng.standard_normal(shape), lambda shape: rng.uniform(0.5, 1.5, shape))
        return {name: np.asarray(make[positive](shape)) for name, (shape, positive) in self.inputs.items()}


# ---------------------------------------------------------------- text


def line(s: Statement) -> str:
    return f"{indexed(s.name, s.target)} = {written(s.body)}"


def indexed(name: str, labels: Sequence[str]) -> str:
    return f"{name}[{','.join(labels)}]" if labels else name


def written(e: Tree) -> str:
    """The tree as text, with the brackets that the precedence of section 2 asks for."""
    match e:
        case Number(text) | Extent(text):
            return text
        case Tensor(name, labels, parts):
            bounds = parts or (None,) * len(labels)
            return indexed(name, [f"{x}={p[2]}" if p else x for x, p in zip(labels, bounds, strict=True)])
        case Ones(labels):
            return indexed("1", labels)
        case Delta(labels):
            return indexed("delta", labels)
        case Product(factors, divides):
            return chain(factors, divides)
        case Odot(factors):
            return " ⊙ ".join(written(f) if isinstance(f, Product) else factor(f) for f in factors)
        case Sum(terms, signs):
            first = "-" if signs[0] < 0 else ""
            rest = [f" {'-' if s < 0 else '+'} {term(t)}" for t, s in zip(terms[1:], signs[1:], strict=True)]
            return first + term(terms[0]) + "".join(rest)
        case Power(base, exponent):
            return f"{factor(base) if plain(base) else bracketed(base)}^{exponent_text(exponent)}"
        case Apply(name, args):
            return f"{name}({', '.join(map(written, args))})"
        case Along(name, labels, body):
            return f"{name}[{','.join(labels)}]({written(body)})"
        case Compare(op, left, right):
            return f"{side(left)} {op} {side(right)}"
        case Concat(parts, label):
            return f"[{', '.join(map(written, parts))}]_{label}"


def bracketed(e: Tree) -> str:
    return f"({written(e)})"


def factor(e: Tree) -> str:
    return bracketed(e) if isinstance(e, Product | Odot | Sum | Compare) else written(e)


def term(e: Tree) -> str:
    return bracketed(e) if isinstance(e, Sum | Compare) else written(e)


def side(e: Tree) -> str:
    return bracketed(e) if isinstance(e, Compare) else written(e)


def plain(e: Tree) -> bool:
    """What may stand under a power without brackets (two indices and -1 would be an inverse)."""
    return isinstance(e, Apply | Number) or (isinstance(e, Tensor) and len(e.labels) < 2)


def exponent_text(e: Tree) -> str:
    return written(e) if isinstance(e, Number | Tensor) else bracketed(e)


def chain(factors: Sequence[Tree], divides: Sequence[bool]) -> str:
    """Factors side by side; a number after the first needs a sign of multiplication before it."""
    out = factor(factors[0])
    for f, divided in zip(factors[1:], divides[1:], strict=True):
        joint = " / " if divided else " * " if isinstance(f, Number | Power) else " "
        out += joint + factor(f)
    return out


# ---------------------------------------------------------------- meaning


@dataclass(frozen=True, slots=True)
class Value:
    """An array with a label for each axis, and the capitals summed on the way to it."""

    array: Array
    labels: Labels
    summed: frozenset[str] = frozenset()


def capital(label: str) -> bool:
    return label[0].isupper()


def spread(v: Value, labels: Sequence[str]) -> Array:
    """The array over these labels, of size 1 along those that it lacks."""
    kept = [x for x in labels if x in v.labels]
    moved = v.array.transpose([v.labels.index(x) for x in kept])
    shape = iter(moved.shape)
    return moved.reshape([next(shape) if x in v.labels else 1 for x in labels])


def diagonal(v: Value) -> Value:
    """Every label once: `A[i,i]` is its diagonal."""
    array, labels = v.array, list(v.labels)
    for x in set(labels):
        while labels.count(x) > 1:
            a = labels.index(x)
            b = labels.index(x, a + 1)
            array = np.diagonal(array, axis1=a, axis2=b)
            labels = [y for n, y in enumerate(labels) if n not in (a, b)] + [x]
    return Value(array, tuple(labels), v.summed)


def no_mixing(values: Sequence[Value]) -> None:
    """A capital summed inside one operand is not open in another."""
    for n, v in enumerate(values):
        if any(v.summed & set(w.labels) for m, w in enumerate(values) if m != n):
            raise Illegal


def union(values: Sequence[Value]) -> Labels:
    return tuple(dict.fromkeys(x for v in values for x in v.labels))


def multiply(values: Sequence[Value], divides: Sequence[bool]) -> Value:
    """The rule: a capital in two or more places is summed."""
    no_mixing(values)
    places = [x for v in values for x in v.labels]
    summed = {x for x in places if capital(x) and places.count(x) > 1}
    singles = [diagonal(v) for v in values]
    labels = union(singles)
    total: Any = np.asarray(1.0)
    for v, divided in zip(singles, divides, strict=True):
        total = total / spread(v, labels) if divided else total * spread(v, labels)
    kept = tuple(x for x in labels if x not in summed)
    total = np.asarray(total).sum(axis=tuple(n for n, x in enumerate(labels) if x in summed))
    return Value(total, kept, frozenset(summed).union(*(v.summed for v in values)))


def closed(v: Value) -> Value:
    """As an operand of anything but a product: `A[I,I]` is the trace."""
    return multiply([v], [False]) if len(set(v.labels)) < len(v.labels) else v


def entrywise(f: Callable[..., Any], values: Sequence[Value]) -> Value:
    no_mixing(values)
    labels = union(values)
    result = np.asarray(f(*(spread(v, labels) for v in values)))
    return Value(result, labels, frozenset().union(*(v.summed for v in values)))


def value(e: Tree, arrays: Mapping[str, Array], dtype: Any) -> Value:
    """What the tree means."""
    below: Callable[[Tree], Value] = lambda x: closed(value(x, arrays, dtype))  # noqa: E731
    match e:
        case Number(text):
            return Value(np.asarray(dtype(text)), ())
        case Extent(_, size):
            return Value(np.asarray(dtype(size)), ())
        case Tensor(name, labels, parts):
            cut = tuple(slice(p[0], p[1]) if p else slice(None) for p in parts)
            return Value(arrays[name][cut], labels)
        case Ones(labels, sizes):
            return Value(np.ones(sizes, dtype), labels)
        case Delta(labels, size):
            return Value(np.eye(size, dtype=dtype), labels)
        case Product(factors, divides):
            return multiply([value(f, arrays, dtype) for f in factors], divides)
        case Odot(factors):
            return entrywise(lambda *xs: math.prod(xs[1:], start=xs[0]), [below(f) for f in factors])
        case Sum(terms, signs):
            return entrywise(lambda *xs: sum(s * x for s, x in zip(signs, xs, strict=True)), [below(t) for t in terms])
        case Power(base, exponent):
            return power(value(base, arrays, dtype), value(exponent, arrays, dtype))
        case Apply(name, args):
            return entrywise(FUNCTIONS[name], [below(a) for a in args])
        case Along(name, labels, body):
            return along(name, labels, below(body))
        case Compare(op, left, right):
            return entrywise(lambda a, b: COMPARE[op](a, b).astype(dtype), [below(left), below(right)])
        case Concat(parts, label):
            return joined([below(p) for p in parts], label)


def power(base: Value, exponent: Value) -> Value:
    """Entry by entry; `A[I,I]^2` is an error."""
    if any(capital(x) and v.labels.count(x) > 1 for v in (base, exponent) for x in v.labels):
        raise Illegal
    return entrywise(np.power, [diagonal(base), diagonal(exponent)])


def along(name: str, labels: Labels, v: Value) -> Value:
    """The function sees the axes of `labels`, in one."""
    kept = tuple(x for x in v.labels if x not in labels)
    x = v.array.transpose([v.labels.index(y) for y in (*kept, *labels)])
    flat = x.reshape((*x.shape[: len(kept)], math.prod(x.shape[len(kept) :])))
    if flat.shape[-1] == 0 and name not in ("sum", "prod", "norm"):
        raise Illegal
    result = np.asarray(ALONG[name](flat))
    if name in KEEPING:
        return Value(result.reshape(x.shape), (*kept, *labels), v.summed)
    return Value(result, kept, v.summed)


def joined(values: Sequence[Value], label: str) -> Value:
    no_mixing(values)
    labels = (*(x for x in union(values) if x != label), label)
    shared = [x for x in labels if x != label]
    size = {x: v.array.shape[v.labels.index(x)] for v in values for x in v.labels}
    parts = []
    for v in values:
        full = [size[x] for x in shared] + [v.array.shape[v.labels.index(label)]]
        parts.append(np.broadcast_to(spread(v, labels), full))
    return Value(np.concatenate(parts, axis=-1), labels, frozenset().union(*(v.summed for v in values)))


def evaluate(
    p: RandomProgram, arrays: Mapping[str, Any], dtype: Any = np.longdouble, held: Mapping[str, Any] | None = None
) -> dict[str, Array]:
    """Every name's array. A defined name in `held` is an independent variable with that value."""
    found = {name: np.asarray(a, dtype) for name, a in arrays.items()}
    with np.errstate(all="ignore"):
        for s in p.statements:
            v = closed(value(s.body, found, dtype))
            found[s.name] = held[s.name] if held and s.name in held else shown(v, s.target)
    return found


def shown(v: Value, target: Labels) -> Array:
    """The axes in the target's order; a repeated index writes a diagonal."""
    own = tuple(dict.fromkeys(target))
    if set(own) != set(v.labels):
        raise Illegal
    x = spread(v, own)
    if len(own) == len(target):
        return x
    size = dict(zip(own, x.shape, strict=True))
    result = np.zeros([size[y] for y in target], x.dtype)
    for place in np.ndindex(x.shape):
        at = dict(zip(own, place, strict=True))
        result[tuple(at[y] for y in target)] = x[place]
    return result


def erf(x: Any) -> Any:
    """2/√π exp(-x²) Σ 2ⁿ x²ⁿ⁺¹/(2n+1)!!: every term positive, so also right in long double."""
    x = np.clip(x, -6, 6)
    total = part = x
    for n in range(1, 160):
        part = part * 2 * x * x / (2 * n + 1)
        total = total + part
    return total * np.exp(-x * x) * 2 / np.sqrt(4 * np.arctan(x.dtype.type(1)))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def log_softmax(x: Any) -> Any:
    top = x.max(-1, keepdims=True)
    return x - top - np.log(np.exp(x - top).sum(-1, keepdims=True))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in "sqrt exp log log1p expm1 sin cos tan sinh cosh tanh sign abs".split()},
    **{"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "ln": np.log, "sigmoid": sigmoid, "σ": sigmoid},
    **{"max": np.maximum, "min": np.minimum, "where": lambda c, a, b: np.where(c != 0, a, b), "erf": erf},
    "relu": lambda x: np.where(x > 0, x, 0 * x),
    "step": lambda x: (x > 0).astype(x.dtype),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(x.dtype.type(2)))) / 2,
    "silu": lambda x: x * sigmoid(x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "tanh'": lambda x: 1 - np.tanh(x) ** 2,
    "sin''": lambda x: -np.sin(x),
    "exp'": np.exp,
    "max'": lambda a, b: (a > b).astype(a.dtype),
    "h": np.tanh,  # opaque, bound to tanh
    "h'": lambda x: 1 - np.tanh(x) ** 2,
}
BINDINGS = {"h": "tanh"}
COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal}
KEEPING = ("softmax", "log_softmax")
ALONG: dict[str, Callable[[Array], Any]] = {
    "sum": lambda x: x.sum(-1),
    "mean": lambda x: x.mean(-1),
    "prod": lambda x: x.prod(-1),
    "max": lambda x: x.max(-1),
    "min": lambda x: x.min(-1),
    "logsumexp": lambda x: np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1)) + x.max(-1),
    "norm": lambda x: np.sqrt((x * x).sum(-1)),
    "softmax": lambda x: np.exp(log_softmax(x)),
    "log_softmax": log_softmax,
}


# ---------------------------------------------------------------- making trees


@dataclass
class Maker:
    """Grows trees. `size` maps the labels of the scope to their sizes; names that exist may be used again."""

    rng: np.random.Generator
    names: dict[str, tuple[tuple[int, ...], bool]] = field(default_factory=dict)  # name -> shape, positive
    inputs: list[str] = field(default_factory=list)
    sizes: tuple[int, ...] = SIZES
    joined: tuple[str, ...] = ()  # labels of the concatenations around: |k| would be ambiguous there

    # -- choices

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def shuffled(self, items: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(items[n] for n in self.rng.permutation(len(items)))

    def some(self, items: Sequence[str]) -> Labels:
        return tuple(x for x in items if self.chance(0.6))

    def fresh(self, size: Mapping[str, int], upper: bool, taken: Sequence[str] = ()) -> str:
        """A letter that is no label of this expression."""
        pool = [x.upper() if upper else x for x in LETTERS]
        return str(self.pick([x for x in pool if x not in size and x not in taken]))

    def covering(self, labels: Sequence[str], n: int) -> list[Labels]:
        """n sets of labels that have all labels together."""
        sets = [set(self.some(labels)) for _ in range(n)]
        for x in labels:
            if not any(x in s for s in sets):
                self.pick(sets).add(x)
        return [tuple(x for x in labels if x in s) for s in sets]

    # -- leaves

    def leaf(self, size: Mapping[str, int], positive: bool = False) -> Tree:
        """A tensor over exactly these labels; a product of tensors where they are many."""
        labels = self.shuffled(tuple(size))
        if len(labels) > MAX_RANK:
            return self.outer(labels[:MAX_RANK], labels[MAX_RANK:], size, positive)
        if not positive and not labels and self.chance(0.2):
            return Number(self.pick(["2", "0.5", "3", "1.25", "1e-1", "7"]))
        if self.chance(0.15) and labels:
            return self.part(labels, size, positive)
        if self.chance(0.1) and labels and len(labels) < MAX_RANK and not any(map(capital, labels)):
            labels = self.shuffled((*labels, self.pick(labels)))
        return Tensor(self.name([size[x] for x in labels], positive), labels)

    def outer(self, a: Labels, b: Labels, size: Mapping[str, int], positive: bool) -> Tree:
        parts = [self.leaf({x: size[x] for x in own}, positive) for own in (a, b)]
        return Product(tuple(parts), (False, False))

    def name(self, shape: Sequence[int], positive: bool) -> str:
        """A name of this shape, often one that exists."""
        known = [n for n, (s, p) in self.names.items() if s == tuple(shape) and (p or not positive)]
        if known and self.chance(0.75):
            return str(self.pick(known))
        new = next(x for x in SPELLINGS if x not in self.names)
        self.names[new] = (tuple(shape), positive or self.chance(0.2))
        self.inputs.append(new)
        return new

    def part(self, labels: Labels, size: Mapping[str, int], positive: bool) -> Tree:
        """`A[i,k=1:3]`"""
        axis = int(self.rng.integers(len(labels)))
        low, high = int(self.rng.integers(3)), int(self.rng.integers(3))
        n = size[labels[axis]]
        shape = [size[x] for x in labels]
        shape[axis] += low + high
        bounds = (low, low + n, f"{low}:{low + n}")
        other = [(name, k) for name, (s, _) in self.names.items() for k, d in enumerate(s) if d == n]
        if other and self.chance(0.5):
            name, k = self.pick(other)
            ref = f"size({name},{k + 1})"
            bounds = (low, low + n, f"{low}:{low}+{ref}" if low else f"0:{ref}")
        parts = tuple(bounds if n == axis else None for n in range(len(labels)))
        return Tensor(self.name(shape, positive), labels, parts)

    # -- expressions over exactly the labels of `size`

    def grow(self, size: Mapping[str, int], depth: int) -> Tree:
        if depth <= 0 or self.chance(0.08):
            return self.leaf(size)
        forms, weights = zip(*FORMS, strict=True)
        form = forms[int(self.rng.choice(len(forms), p=np.array(weights) / sum(weights)))]
        made = form(self, size, depth - 1)
        return self.leaf(size) if made is None else made

    def positive(self, size: Mapping[str, int], depth: int) -> Tree:
        """An expression whose values are well above 0."""
        if depth <= 0:
            return self.leaf(size, positive=True)
        inner = lambda: self.grow(size, depth - 1)  # noqa: E731
        kind = int(self.rng.integers(6))
        if kind == 0:
            return Sum((Number("0.5"), Apply("sigmoid", (inner(),))), (1, 1))
        if kind == 1:
            return Apply("exp", (Apply(self.pick(["tanh", "sin"]), (inner(),)),))
        if kind == 2:
            return Sum((Power(inner(), Number("2")), Number("0.75")), (1, 1))
        if kind == 3:
            return Apply("cosh", (Apply("tanh", (inner(),)),))
        return self.leaf(size, positive=True)

    def product(self, size: Mapping[str, int], depth: int) -> Tree:
        """Capitals summed over two or more factors, lower-case labels shared."""
        n = int(self.rng.integers(2, 4))
        own = [{x: size[x] for x in labels} for labels in self.spread_once(size, n)]
        for _ in range(int(self.rng.integers(0, 3))):
            self.summed(own, size)
        factors = [self.grow(s, depth) for s in own if s or self.chance(0.5)] or [self.grow({}, depth)]
        return self.with_extras(factors, size, own)

    def spread_once(self, size: Mapping[str, int], n: int) -> list[Labels]:
        """Lower-case labels in one or more of n factors, a capital in exactly one."""
        sets = [set(s) for s in self.covering([x for x in size if not capital(x)], n)]
        for x in filter(capital, size):
            self.pick(sets).add(x)
        return [tuple(x for x in size if x in s) for s in sets]

    def summed(self, own: list[dict[str, int]], size: Mapping[str, int]) -> None:
        """A capital for two factors or more."""
        taken = [x for s in own for x in s]
        label, n = self.fresh(size, True, taken), int(self.pick(self.sizes))
        for k in self.shuffled(range(len(own)))[: int(self.rng.integers(2, len(own) + 1))]:
            own[k][label] = n

    def with_extras(self, factors: list[Tree], size: Mapping[str, int], own: Sequence[Mapping[str, int]]) -> Tree:
        """Ones, deltas, traces, numbers, extents and divisions among the factors."""
        extra: list[Tree] = []
        lower = [x for x in size if not capital(x)]
        inside = {x: n for s in own for x, n in s.items() if x not in size}
        if inside and self.chance(0.15):
            x = self.pick(list(inside))
            extra.append(Ones((x,), (inside[x],)))
        if lower and self.chance(0.1):
            x = self.pick(lower)
            extra.append(Ones((x,), (size[x],)))
        if lower and self.chance(0.12):
            x = self.pick(lower)
            k = self.fresh(size, True, tuple(inside))
            inside[k] = size[x]
            extra += [Delta(self.shuffled((x, k)), size[x]), self.leaf({k: size[x]})]
        if self.chance(0.08):
            k, n = self.fresh(size, True, tuple(inside)), int(self.pick(self.sizes))
            extra.append(Tensor(self.name((n, n), False), (k, k)))
        if (whole := [x for x in lower if x not in self.joined]) and self.chance(0.1):
            x = self.pick(whole)
            extra.append(Extent(f"|{x}|", size[x]))
        if self.names and self.chance(0.06):
            extra.append(self.extent())
        if self.chance(0.15):
            extra.append(Number(self.pick(["2", "0.5", "3"])))
        every = self.shuffled([*factors, *extra])
        divides = [False] * len(every)
        if lower and self.chance(0.15):
            x = self.some(lower)
            every = (*every, self.positive({y: size[y] for y in x}, 1))
            divides.append(True)
        return Product(every, tuple(divides)) if len(every) > 1 else every[0]

    def extent(self) -> Tree:
        named = [(name, k, d) for name, (s, _) in self.names.items() for k, d in enumerate(s)]
        if not named:
            return Number("2")
        name, k, d = self.pick(named)
        return Extent(f"size({name},{k + 1})", d)

    def split(self, size: Mapping[str, int], depth: int, n: int) -> tuple[Tree, ...]:
        """n operands that have all labels together."""
        return tuple(self.grow({x: size[x] for x in own}, depth) for own in self.covering(tuple(size), n))

    def add(self, size: Mapping[str, int], depth: int) -> Tree:
        n = int(self.rng.integers(2, 4))
        terms = self.split(size, depth, n)
        return Sum(terms, tuple(int(s) for s in self.rng.choice([1, 1, -1], n)))

    def negate(self, size: Mapping[str, int], depth: int) -> Tree:
        return Sum((self.grow(size, depth),), (-1,))

    def odot(self, size: Mapping[str, int], depth: int) -> Tree:
        return Odot(self.split(size, depth, 2))

    def unary(self, size: Mapping[str, int], depth: int) -> Tree:
        return Apply(self.pick(SMOOTH), (self.grow(size, depth),))

    def tame(self, size: Mapping[str, int], depth: int) -> Tree:
        """Functions that grow or that want an argument near 0."""
        return Apply(
            self.pick(TAME), (Product((Number("0.8"), Apply("tanh", (self.grow(size, depth),))), (False,) * 2),)
        )

    def of_positive(self, size: Mapping[str, int], depth: int) -> Tree:
        return Apply(self.pick(["sqrt", "log", "ln", "log1p"]), (self.positive(size, depth),))

    def binary(self, size: Mapping[str, int], depth: int) -> Tree:
        return Apply(self.pick(["max", "min"]), self.split(size, depth, 2))

    def where(self, size: Mapping[str, int], depth: int) -> Tree:
        condition, yes, no = self.covering(tuple(size), 3)
        test = self.compare({x: size[x] for x in condition}, depth)
        sides = [self.grow({x: size[x] for x in own}, depth) for own in (yes, no)]
        return Apply("where", (test, *sides))

    def compare(self, size: Mapping[str, int], depth: int) -> Tree:
        return Compare(self.pick(["<", "<=", ">", ">="]), *self.split(size, depth, 2))

    def divide(self, size: Mapping[str, int], depth: int) -> Tree:
        lower = [x for x in size if not capital(x)]
        below = self.positive({x: size[x] for x in self.some(lower)}, depth)
        return Product((self.grow(size, depth), below), (False, True))

    def power(self, size: Mapping[str, int], depth: int) -> Tree:
        if self.chance(0.4):
            return Power(self.grow(size, depth), Number(self.pick(["2", "3", "1", "2.0", "0"])))
        if self.chance(0.5):
            exponent = self.pick(["-1", "0.5", "-2", "-0.5", "1.5", "-1.5", "2.5"])
            base = self.positive(size, depth)
            return Power(base, Number("-3" if exponent == "-1" and isinstance(base, Tensor) else exponent))
        a, b = self.covering(tuple(size), 2)
        base = Number("2") if not a else self.positive({x: size[x] for x in a}, depth)
        return Power(base, Apply("tanh", (self.grow({x: size[x] for x in b}, depth),)))

    def reduce(self, size: Mapping[str, int], depth: int) -> Tree:
        """`logsumexp[k](..)`, along one index or two."""
        inner = dict(size)
        labels = []
        for _ in range(1 + self.chance(0.25)):
            labels.append(self.fresh(inner, self.chance(0.1)))
            inner[labels[-1]] = int(self.pick(self.sizes))
        name = self.pick([x for x in ALONG if x not in KEEPING])
        if name == "sum" and any(map(capital, labels)):
            return self.grow(size, depth)
        return Along(name, tuple(labels), self.grow(inner, depth))

    def soften(self, size: Mapping[str, int], depth: int) -> Tree | None:
        if not size:
            return None
        labels = self.shuffled(tuple(size))[: 1 + self.chance(0.25)]
        return Along(self.pick(KEEPING), labels, self.grow(size, depth))

    def concat(self, size: Mapping[str, int], depth: int) -> Tree | None:
        """The joined index has its own size in every part."""
        wide = [x for x in size if size[x] > 1]
        if not wide:
            return None
        x = self.pick(wide)
        at = int(self.rng.integers(1, size[x]))
        rest = [y for y in size if y != x]
        parts = []
        self.joined = (*self.joined, x)
        for n, own in zip((at, size[x] - at), self.covering(rest, 2), strict=True):
            parts.append(self.grow({x: n, **{y: size[y] for y in own}}, depth))
        self.joined = self.joined[:-1]
        return Concat(tuple(parts), x)


FORMS: list[tuple[Callable[[Maker, Mapping[str, int], int], Tree | None], float]] = [
    (Maker.product, 6),
    (Maker.add, 3),
    (Maker.negate, 0.5),
    (Maker.odot, 1),
    (Maker.unary, 3),
    (Maker.tame, 1.5),
    (Maker.of_positive, 1),
    (Maker.binary, 1),
    (Maker.where, 1),
    (Maker.compare, 0.3),
    (Maker.divide, 1),
    (Maker.power, 1.5),
    (Maker.reduce, 3),
    (Maker.soften, 1.5),
    (Maker.concat, 1.5),
]
SMOOTH = "sin cos atan tanh sigmoid σ relu softplus gelu silu elu erf abs sign step tanh' sin'' h h'".split()
TAME = "exp expm1 tan asin acos sinh cosh log1p exp'".split()
SPELLINGS = ("A", "B", "x", "W1", "y'", r"\hat{u}", "C^{(2)}", "v", "T", "g", "M", "s", "w2", "F", "H", "U", "V")
SPELLINGS += tuple(f"Q{n}" for n in range(60))


def program(seed: int, sizes: tuple[int, ...] = SIZES, depth: int = 3) -> RandomProgram:
    """A legal program with a scalar L, its values of ordinary magnitude."""
    for attempt in range(1000):
        p = attempted(np.random.default_rng([seed, attempt]), sizes, depth)
        if p.inputs and ordinary(p, seed):
            return p
    raise AssertionError(f"no legal program for the seed {seed}")


def attempted(rng: np.random.Generator, sizes: tuple[int, ...], depth: int) -> RandomProgram:
    maker = Maker(rng, sizes=sizes)
    statements = []
    for name in SPELLED[: int(rng.integers(0, 4))]:
        rank = int(rng.integers(0, 3))
        letters = maker.shuffled(LETTERS)[:rank]
        size = {x: int(maker.pick(sizes)) for x in letters}
        body = maker.grow(size, int(rng.integers(1, depth + 1)))
        target = maker.shuffled(letters)
        if target and maker.chance(0.15):
            target = maker.shuffled((*target, maker.pick(target)))
        statements.append(Statement(name, target, body))
        maker.names[name] = tuple(size[x] for x in target), False
    statements.append(Statement("L", (), loss(maker, statements, depth)))
    p = RandomProgram(tuple(statements), {name: maker.names[name] for name in maker.inputs})
    return replace(p, inputs={k: v for k, v in p.inputs.items() if mentions(p, k)})


def loss(maker: Maker, statements: Sequence[Statement], depth: int) -> Tree:
    """A scalar in which every name that is not used before has a part."""
    used = set().union(*(names(s.body) for s in statements))
    parts = [maker.grow({}, depth + 1)]
    for s in statements:
        if s.name not in used:
            letters = LETTERS[: len(s.target)].upper()
            size = dict(zip(letters, maker.names[s.name][0], strict=True))
            other = Apply(maker.pick(SMOOTH[:10]), (maker.grow(size, depth),)) if size else maker.grow({}, depth)
            mine: Tree = Tensor(s.name, tuple(letters))
            if maker.chance(0.4):
                mine = Apply(maker.pick(SMOOTH), (mine,))
            parts.append(Product(maker.shuffled((mine, other)), (False, False)))
    return Sum(tuple(parts), (1,) * len(parts)) if len(parts) > 1 else parts[0]


SPELLED = ("Z", "Y1", r"\hat{P}")


def mentions(p: RandomProgram, name: str) -> bool:
    return any(name in names(s.body) for s in p.statements)


def names(e: Tree) -> set[str]:
    """The tensors of a tree (those of extents too, as they are inputs where nothing defines them)."""
    found: set[str] = set()
    waiting: list[Tree] = [e]
    while waiting:
        match waiting.pop():
            case Tensor(name, _, parts):
                found.add(name)
                found |= {p[2].split("size(")[1].split(",")[0] for p in parts if p and "size(" in p[2]}
            case Extent(written_, _) if "(" in written_:
                found.add(written_[5:].split(",")[0])
            case Product(below) | Odot(below) | Sum(below) | Apply(_, below) | Concat(below):
                waiting.extend(below)
            case Power(a, b) | Compare(_, a, b):
                waiting.extend((a, b))
            case Along(_, _, body):
                waiting.append(body)
    return found


def ordinary(p: RandomProgram, seed: int) -> bool:
    """Whether the program is legal and its values are finite and not large."""
    try:
        found = evaluate(p, p.arrays(seed))
    except Illegal:
        return False
    return all(np.isfinite(a).all() and np.abs(a).max(initial=0) < LIMIT for a in found.values())
