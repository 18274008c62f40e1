"""random_programs: legal programs by the seed, or by hypothesis.

`program(seed)` is one, always the same; `programs()` is a strategy of hypothesis, whose failures shrink. A program is
grown from the result down: an expression over given labels is a form of FORMS whose operands cover them. What breaks a
rule, or has values that are not finite or large, is made anew.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .meaning import KEEPING, Watched, capital, evaluate, reductions
from .trees import (
    Along,
    Apply,
    Compare,
    Concat,
    Delta,
    Derivative,
    Extent,
    Illegal,
    Labels,
    Number,
    Odot,
    Ones,
    Power,
    Product,
    RandomProgram,
    Statement,
    Sum,
    Tensor,
    Tree,
    measured,
    names,
    used,
)

SIZES = (1, 2, 2, 2, 3, 3, 3, 5, 7)
LETTERS = "ijklmpqr"
FIXED = "n"  # the letter of `size n = 5`
MAX_RANK = 3
LIMIT = 200.0  # of every value on the way: exp and its kin stay far from overflow
ALONG = tuple(reductions(np))

# ---------------------------------------------------------------- making trees


@dataclass
class Maker:
    """Grows trees. `size` maps the labels of the scope to their sizes; names that exist may be used again."""

    rng: random.Random
    names: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)  # name -> shape, kind of data
    inputs: list[str] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    fixed: dict[str, int] = field(default_factory=dict)
    sizes: tuple[int, ...] = SIZES
    joined: tuple[str, ...] = ()  # labels of the concatenations around: |k| would be ambiguous there
    slopes: int = 0  # derivatives that may still be written

    # -- choices

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self.rng.randrange(len(items))]

    def shuffled(self, items: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(self.rng.sample(list(items), len(items)))

    def some(self, items: Sequence[str]) -> Labels:
        return tuple(x for x in items if self.chance(0.6))

    def fresh(self, size: Mapping[str, int], upper: bool, taken: Sequence[str] = ()) -> str:
        """A letter that is no label of this expression."""
        pool = [x.upper() if upper else x for x in LETTERS]
        return str(self.pick([x for x in pool if x not in size and x not in taken]))

    def lower(self, size: Mapping[str, int]) -> tuple[str, int]:
        """A fresh lower-case label and its size; now and then the one whose size is fixed."""
        if self.fixed and FIXED not in size and self.chance(0.3):
            return FIXED, self.fixed[FIXED]
        return self.fresh(size, False), self.pick(self.sizes)

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
            return Number(self.pick(["2", "0.5", "3", "1.25", "1e-1", "7", "pi"]))
        if self.chance(0.15) and labels:
            return self.part(labels, size, positive)
        if self.chance(0.1) and labels and len(labels) < MAX_RANK and not any(map(capital, labels)):
            labels = self.shuffled((*labels, self.pick(labels)))
        return Tensor(self.name([size[x] for x in labels], "positive" if positive else ""), labels)

    def outer(self, a: Labels, b: Labels, size: Mapping[str, int], positive: bool) -> Tree:
        parts = [self.leaf({x: size[x] for x in own}, positive) for own in (a, b)]
        return Product(tuple(parts), (False, False))

    def name(self, shape: Sequence[int], kind: str = "") -> str:
        """A name of this shape (and of this kind of data, where one is asked for), often one that exists."""
        known = [n for n, (s, k) in self.names.items() if s == tuple(shape) and kind in ("", k)]
        if known and self.chance(0.75):
            return str(self.pick(known))
        new = next(x for x in SPELLINGS if x not in self.names)
        self.names[new] = (tuple(shape), kind or self.pick(["any", "any", "any", "any", "positive", "zeros"]))
        self.inputs.append(new)
        return new

    def part(self, labels: Labels, size: Mapping[str, int], positive: bool) -> Tree:
        """`A[i,k=1:3]`"""
        axis = self.rng.randrange(len(labels))
        low, high = self.rng.randrange(3), self.rng.randrange(3)
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
        return Tensor(self.name(shape, "positive" if positive else ""), labels, parts)

    # -- expressions over exactly the labels of `size`

    def grow(self, size: Mapping[str, int], depth: int) -> Tree:
        if depth <= 0 or self.chance(0.08):
            return self.leaf(size)
        forms, weights = zip(*FORMS, strict=True)
        (form,) = self.rng.choices(forms, weights)
        made = form(self, size, depth - 1)
        return self.leaf(size) if made is None else made

    def positive(self, size: Mapping[str, int], depth: int) -> Tree:
        """An expression whose values are well above 0."""
        if depth <= 0:
            return self.leaf(size, positive=True)
        inner = lambda: self.grow(size, depth - 1)  # noqa: E731
        kind = self.rng.randrange(6)
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
        n = self.pick([2, 3])
        own = [{x: size[x] for x in labels} for labels in self.spread_once(size, n)]
        for _ in range(self.rng.randrange(3)):
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
        for k in self.shuffled(range(len(own)))[: self.rng.randint(2, len(own))]:
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
            inside[k] = n
            extra.append(Tensor(self.name((n, n)), (k, k)))
        known = {x: n for x, n in {**size, **inside}.items() if x not in self.joined and x in lower + list(inside)}
        if known and self.chance(0.1):
            x = self.pick(list(known))
            extra.append(Extent(f"|{x}|", known[x]))
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
        terms = self.split(size, depth, self.pick([2, 3]))
        return Sum(terms, tuple(self.pick([1, 1, -1]) for _ in terms))

    def negate(self, size: Mapping[str, int], depth: int) -> Tree:
        return Sum((self.grow(size, depth),), (-1,))

    def odot(self, size: Mapping[str, int], depth: int) -> Tree:
        return Odot(self.split(size, depth, self.pick([2, 2, 3])))

    def unary(self, size: Mapping[str, int], depth: int) -> Tree:
        return Apply(self.pick(SMOOTH), (self.grow(size, depth),))

    def tame(self, size: Mapping[str, int], depth: int) -> Tree:
        """Functions that grow or that want an argument near 0."""
        return Apply(
            self.pick(TAME), (Product((Number("0.8"), Apply("tanh", (self.grow(size, depth),))), (False,) * 2),)
        )

    def of_positive(self, size: Mapping[str, int], depth: int) -> Tree:
        return Apply(self.pick(POSITIVE), (self.positive(size, depth),))

    def binary(self, size: Mapping[str, int], depth: int) -> Tree:
        return Apply(self.pick(["max", "max", "min", "min", "max'[1]", "min'[2]"]), self.split(size, depth, 2))

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
            exponent = self.pick(["-1", "0.5", "-2", "-0.5", "1.5", "-1.5", "1/3", "-3/4"])
            base = self.positive(size, depth)
            return Power(base, Number("-3" if exponent == "-1" and isinstance(base, Tensor) else exponent))
        a, b = self.covering(tuple(size), 2)
        base = Number(self.pick(["2", "pi"])) if not a else self.positive({x: size[x] for x in a}, depth)
        above = {x: size[x] for x in b}
        if len(b) <= MAX_RANK and self.chance(0.3) and (name := self.name([size[x] for x in b])) != "T":  # a transpose
            return Power(base, Tensor(name, b))
        return Power(base, Apply("tanh", (self.grow(above, depth),)))

    def reduce(self, size: Mapping[str, int], depth: int) -> Tree:
        """`logsumexp[k](..)`, along one index or two; sums within sums."""
        inner = dict(size)
        labels = []
        for _ in range(1 + self.chance(0.25)):
            capitals = self.chance(0.1)
            label, n = (self.fresh(inner, True), self.pick(self.sizes)) if capitals else self.lower(inner)
            labels.append(label)
            inner[label] = n
        name = self.pick(["sum", *(x for x in ALONG if x not in KEEPING)])
        if name == "sum" and any(map(capital, labels)):
            return self.grow(size, depth)
        if name == "prod" and len(inner) <= MAX_RANK and self.chance(0.3):
            every = self.shuffled(tuple(inner))
            return Along(name, tuple(labels), Tensor(self.name([inner[x] for x in every], "zeros"), every))
        return Along(name, tuple(labels), self.grow(inner, depth))

    def soften(self, size: Mapping[str, int], depth: int) -> Tree | None:
        if not size:
            return None
        labels = self.shuffled(tuple(size))[: 1 + self.chance(0.25)]
        return Along(self.pick(KEEPING), labels, self.grow(size, depth))

    def concat(self, size: Mapping[str, int], depth: int) -> Tree | None:
        """The joined index has its own size in every part."""
        wide = [x for x in size if size[x] > 1 and x != FIXED]
        if not wide:
            return None
        x = self.pick(wide)
        at = self.rng.randint(1, size[x] - 1)
        rest = [y for y in size if y != x]
        parts = []
        self.joined = (*self.joined, x)
        for n, own in zip((at, size[x] - at), self.covering(rest, 2), strict=True):
            parts.append(self.grow({x: n, **{y: size[y] for y in own}}, depth))
        self.joined = self.joined[:-1]
        return Concat(tuple(parts), x)

    def derivative(self, size: Mapping[str, int], depth: int) -> Tree | None:
        """`∂L/∂Y[i,K] x[K]`: every axis is one of `size`, or summed with its like or with another factor."""
        if not self.slopes or not self.statements:
            return None
        self.slopes -= 1
        chosen = self.quotient()
        if chosen is None:
            return None
        top, below, shapes = chosen
        open_, labels, inside = dict(size), [], dict[str, int]()
        for n in (n for shape in shapes for n in shape):
            fitting = [x for x in open_ if size[x] == n]
            if fitting:
                label = self.pick(fitting)
                del open_[label]
            elif again := [x for x in inside if inside[x] == n and self.chance(0.3)]:
                label = again[0]
            else:
                label = self.fresh(size, True, tuple(inside))
                inside[label] = n
            labels.append(label)
        at = iter(labels)
        own = [tuple(next(at) for _ in shape) for shape in shapes]
        over = Tensor(top, own[0]) if isinstance(top, str) else top
        slope = Derivative(over, tuple(Tensor(name, x) for name, x in zip(below, own[1:], strict=True)))
        alone = {x: n for x, n in inside.items() if labels.count(x) == 1}
        if not alone and not open_:
            return slope
        return Product(self.shuffled((slope, self.leaf({**open_, **alone}))), (False, False))

    def quotient(self) -> tuple[str | Tree, tuple[str, ...], list[tuple[int, ...]]] | None:
        """What is differentiated, by what, and the shapes of all; at most MAX_SLOPE axes and MAX_ENTRIES entries."""
        s = self.pick(self.statements)
        order = self.pick([1, 1, 1, 2])
        if self.chance(0.25):
            top: str | Tree = self.grow({}, 1)
            shape: tuple[int, ...] = ()
            under = sorted(x for name in names(top) for x in self.reach(name))
        else:
            top, shape = s.name, self.names[s.name][0]
            under = sorted(self.reach(s.name) - {s.name})
        if not under:
            return None
        below = tuple(self.pick(under) for _ in range(order))
        shapes = [shape, *(self.names[name][0] for name in below)]
        every = [n for shape in shapes for n in shape]
        return (top, below, shapes) if len(every) <= MAX_SLOPE and np.prod(every) <= MAX_ENTRIES else None

    def reach(self, name: str) -> set[str]:
        """The names that `name` is made of."""
        p = RandomProgram(tuple(self.statements), {x: self.names[x] for x in self.inputs})
        return p.below(name)


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
    (Maker.derivative, 4),
]
MAX_SLOPE, MAX_ENTRIES = 4, 150
SMOOTH = "sin cos atan tanh sigmoid σ relu softplus gelu silu elu erf abs sign step h h'".split()
SMOOTH += "tanh' tanh'' sin' sin'' cos' sigmoid' softplus' softplus'' atan' erf' gelu' silu' relu' abs'".split()
POSITIVE = "sqrt log ln log1p sqrt' log' log''".split()
TAME = "exp expm1 tan asin acos sinh cosh log1p exp' exp''".split()
SPELLINGS = ("A", "B", "x", "W1", "y'", r"\hat{u}", "C^{(2)}", "v", "T", "g", "M", "s", "w2", "F", "H", "U", "V")
SPELLINGS += tuple(f"Q{n}" for n in range(60))


def program(seed: int, sizes: tuple[int, ...] = SIZES, depth: int = 3) -> RandomProgram:
    """The legal program of a seed, its values of ordinary magnitude."""
    for attempt in range(1000):
        p = attempted(random.Random(f"{seed} {attempt}"), sizes, depth)
        if p.inputs and ordinary(p, seed):
            return p
    raise AssertionError(f"no legal program for the seed {seed}")


def programs(sizes: tuple[int, ...] = SIZES, depth: int = 2) -> st.SearchStrategy[RandomProgram]:
    """Such programs for hypothesis: a failure is shrunk by its choices."""
    made = st.randoms(use_true_random=False).map(lambda rng: attempted(rng, sizes, depth))
    return made.filter(lambda p: bool(p.inputs) and ordinary(p, 0))


def attempted(rng: random.Random, sizes: tuple[int, ...], depth: int) -> RandomProgram:
    maker = Maker(rng, sizes=sizes)
    if maker.chance(0.2):
        maker.fixed[FIXED] = maker.pick(sizes)
    maker.slopes = maker.pick([0, 0, 0, 1, 2]) if 0 not in sizes else 0
    for name in SPELLED[: rng.randrange(4)]:
        maker.statements.append(statement(maker, name, depth))
    maker.statements.append(Statement("L", (), loss(maker, depth)))
    found = set().union(*(names(s.body) for s in maker.statements))
    inputs = {name: maker.names[name] for name in maker.inputs if name in found}
    return RandomProgram(tuple(maker.statements), inputs, dict(maker.fixed))


def statement(maker: Maker, name: str, depth: int) -> Statement:
    """`D[i,i] = ..`; an axis of fixed size may be on the left alone."""
    size: dict[str, int] = {}
    for _ in range(maker.rng.randrange(3)):
        letter, n = maker.lower(size)
        size[letter] = n
    body = maker.grow(size, maker.rng.randint(1, depth))
    target = maker.shuffled(tuple(size))
    if target and maker.chance(0.15):
        target = maker.shuffled((*target, maker.pick(target)))
    if maker.fixed and FIXED not in size and maker.chance(0.2):
        target = maker.shuffled((*target, FIXED))
    maker.names[name] = tuple((size | maker.fixed)[x] for x in target), "any"
    return Statement(name, target, body)


def loss(maker: Maker, depth: int) -> Tree:
    """A scalar in which every name that is not used before has a part."""
    used = set().union(*(names(s.body) for s in maker.statements))
    parts = [maker.grow({}, depth + 1)]
    for s in maker.statements:
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


def ordinary(p: RandomProgram, seed: int) -> bool:
    """Whether the program is legal and all its values are finite and not large."""
    numbers = Watched()
    known = {*p.names, *(x for s in p.statements for x in used(s.body))}
    if not all(known >= names(s.body) | measured(s.body) for s in p.statements):
        return False
    try:
        evaluate(p, p.arrays(seed), numbers)
    except Illegal:
        return False
    return numbers.largest < LIMIT
