"""trees: programs as trees of their own (nothing of einstan is imported), and the text that writes them down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Labels = tuple[str, ...]


class Illegal(Exception):
    """The tree breaks a rule of the notation: it is made anew."""


@dataclass(frozen=True, slots=True)
class Number:
    """`0.5`, `1e-1`, `1/3` as an exponent, `pi`."""

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
class Derivative:
    """`∂L/∂Y[i]`, `∂²(A[I] A[I])/∂A[i]∂A[j]`."""

    top: Tree
    below: tuple[Tensor, ...]


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


Tree = (
    Number
    | Tensor
    | Ones
    | Delta
    | Extent
    | Derivative
    | Product
    | Odot
    | Sum
    | Power
    | Apply
    | Along
    | Compare
    | Concat
)


@dataclass(frozen=True, slots=True)
class Statement:
    """`D[i,i] = body`."""

    name: str
    target: Labels
    body: Tree


@dataclass(frozen=True, slots=True)
class RandomProgram:
    """Statements, definitions before their uses; the last is the scalar L.

    `inputs` by name: the shape, and the kind of its entries (see DATA). `fixed`: `size n = 5`.
    """

    statements: tuple[Statement, ...]
    inputs: Mapping[str, tuple[tuple[int, ...], str]]
    fixed: Mapping[str, int] = field(default_factory=dict)

    def text(self, order: Sequence[int] | None = None) -> str:
        places = range(len(self.statements)) if order is None else order
        sizes = [f"size {letter} = {n}" for letter, n in self.fixed.items()]
        return "\n".join([*sizes, *(line(self.statements[n]) for n in places)])

    def arrays(self, seed: int) -> dict[str, Array]:
        """Data away from the edges of every function's domain."""
        rng = np.random.default_rng(seed)
        return {name: np.asarray(DATA[kind](rng, shape)) for name, (shape, kind) in self.inputs.items()}

    def integers(self, seed: int) -> dict[str, Array]:
        """The same rounded to whole numbers; what is positive stays so."""
        lowest = {name: 1 if kind == "positive" else -9 for name, (_, kind) in self.inputs.items()}
        return {
            name: np.maximum(np.rint(2 * a), lowest[name]).astype(np.int64) for name, a in self.arrays(seed).items()
        }

    @property
    def names(self) -> list[str]:
        return [s.name for s in self.statements]

    def body(self, name: str) -> Tree:
        return next(s.body for s in self.statements if s.name == name)

    def below(self, name: str) -> set[str]:
        """All names that `name` is made of, itself among them."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(() if name in self.inputs else names(self.body(name)))
        return found

    @property
    def derivatives(self) -> list[Derivative]:
        return [e for s in self.statements for e in walk(s.body) if isinstance(e, Derivative)]


DATA = {
    "any": lambda rng, shape: 0.8 * rng.standard_normal(shape),
    "positive": lambda rng, shape: rng.uniform(0.5, 1.5, shape),
    "zeros": lambda rng, shape: 0.8 * rng.standard_normal(shape) * (rng.random(shape) > 0.3),
}


def walk(e: Tree) -> Iterator[Tree]:
    """The tree and all below it."""
    waiting: list[Tree] = [e]
    while waiting:
        e = waiting.pop()
        yield e
        match e:
            case Product(below) | Odot(below) | Sum(below) | Apply(_, below) | Concat(below):
                waiting.extend(below)
            case Power(a, b) | Compare(_, a, b):
                waiting.extend((a, b))
            case Along(_, _, body):
                waiting.append(body)
            case Derivative(top, below):
                waiting.extend((top, *below))


def names(e: Tree) -> set[str]:
    """The tensors of a tree."""
    return {x.name for x in walk(e) if isinstance(x, Tensor)}


def used(e: Tree) -> set[str]:
    """The tensors that stand in a tree as themselves, so that an input is known by them."""
    apart = {id(t) for x in walk(e) if isinstance(x, Derivative) for t in (x.top, *x.below)}
    return {x.name for x in walk(e) if isinstance(x, Tensor) and id(x) not in apart}


def measured(e: Tree) -> set[str]:
    """The tensors of which a size is asked: `size(A,2)`."""
    parts = (p[2] for x in walk(e) if isinstance(x, Tensor) for p in x.parts if p)
    texts = (*parts, *(x.written for x in walk(e) if isinstance(x, Extent)))
    return {text.split("size(")[1].split(",")[0] for text in texts if "size(" in text}


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
        case Derivative(top, below):
            mark = {1: "", 2: "²"}.get(len(below), f"^{len(below)}")
            above = written(top) if isinstance(top, Tensor) else bracketed(top)
            return f"∂{mark}{above}/" + "".join(f"∂{written(d)}" for d in below)
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
    return written(e) if isinstance(e, Tensor) or (isinstance(e, Number) and "/" not in e.written) else bracketed(e)


def chain(factors: Sequence[Tree], divides: Sequence[bool]) -> str:
    """Factors side by side; a number after the first needs a sign of multiplication before it."""
    out = factor(factors[0])
    for f, divided in zip(factors[1:], divides[1:], strict=True):
        joint = " / " if divided else " * " if isinstance(f, Number | Power) else " "
        out += joint + (bracketed(f) if divided and isinstance(f, Derivative) else factor(f))
    return out
