"""dims: sizes of axes: integers, symbols, sums and products of them; and their unification.

A `Dim` is a polynomial in size symbols with integer coefficients, in normal form, so that equal
sizes are equal objects. A symbol is named after an axis of an input (`X.0`). Unification (`Sizes`)
decides which symbols are one and solves the linear equations that concatenation makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import gcd
from typing import Final

Monomial = tuple[str, ...]  # symbols, sorted, repeated for powers; () is the integer part
Env = Mapping[str, int]  # symbol -> size


class Dim:
    """A size: `Dim.symbol("X.0") + 2`. Immutable; equal polynomials compare and hash equal."""

    __slots__ = ("terms", "text", "_hash")

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms: Final = tuple(sorted((m, c) for m, c in terms.items() if c))
        self._hash: Final = hash(self.terms)
        texts = ["*".join(([str(c)] if c != 1 or not m else []) + list(m)) for m, c in self.terms]
        self.text: Final = " + ".join(texts) or "0"

    @staticmethod
    @lru_cache(maxsize=100_000)
    def symbol(name: str) -> Dim:
        return Dim({(name,): 1})

    @staticmethod
    def of(value: int | Dim) -> Dim:
        return value if isinstance(value, Dim) else Dim({(): value})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Dim], tuple[dict[Monomial, int]]]:
        """Hashes of text are another in every process: sizes are made anew."""
        return Dim, (dict(self.terms),)

    def __add__(self, other: int | Dim) -> Dim:
        total = dict(self.terms)
        for m, c in Dim.of(other).terms:
            total[m] = total.get(m, 0) + c
        return Dim(total)

    def __sub__(self, other: int | Dim) -> Dim:
        return self + Dim.of(other) * -1

    def __mul__(self, other: int | Dim) -> Dim:
        total: dict[Monomial, int] = {}
        for m, c in self.terms:
            for n, d in Dim.of(other).terms:
                key = tuple(sorted(m + n))
                total[key] = total.get(key, 0) + c * d
        return Dim(total)

    def divided(self, n: int) -> Dim:
        """The size over a common factor of its coefficients."""
        return Dim({m: c // n for m, c in self.terms})

    @property
    def value(self) -> int | None:
        """The integer, if it is one."""
        if not self.terms:
            return 0
        return self.terms[0][1] if len(self.terms) == 1 and self.terms[0][0] == () else None

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset(s for m, _ in self.terms for s in m)

    def at(self, env: Env) -> int:
        """The size as an integer under `env`."""
        total = 0
        for m, c in self.terms:
            for s in m:
                c *= env[s]
            total += c
        return total

    def replace(self, binding: Mapping[str, Dim]) -> Dim:
        if not any(s in binding for m, _ in self.terms for s in m):
            return self
        total = Dim({})
        for m, c in self.terms:
            term = Dim.of(c)
            for s in m:
                term = term * binding.get(s, Dim.symbol(s))
            total = total + term
        return total

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Dim({self})"


class SizeClash(Exception):
    """Two sizes that must be one and are not: (left, right) as far as they are known."""

    def __init__(self, left: Dim, right: Dim) -> None:
        super().__init__(f"{left} != {right}")
        self.left, self.right = left, right


class Sizes:
    """Which size symbols are one. `unify` adds an equation, `resolve` gives the normal form.

    Symbols are bound to dims that do not hold them; among two symbols `prefer` decides which stays.
    Equations that no symbol solves (a b = c d) stay in `open` and are checked on arrays.
    """

    def __init__(self) -> None:
        self.binding: dict[str, Dim] = {}
        self.open: list[tuple[Dim, Dim]] = []
        self.counter = 0

    def fresh(self) -> Dim:
        """A new unknown size; unknowns give way to the axes of inputs."""
        self.counter += 1
        return Dim.symbol(f"?{self.counter:09d}")

    def resolve(self, d: Dim) -> Dim:
        while any(s in self.binding for s in d.symbols):
            d = d.replace({s: self.root(s) for s in d.symbols if s in self.binding})
        return d

    def root(self, symbol: str) -> Dim:
        """What `symbol` stands for, with the chain of plain symbols shortened on the way."""
        chain = []
        while symbol in self.binding:
            d = self.binding[symbol]
            name = single_symbol(d)
            if name is None:
                break
            chain.append(symbol)
            symbol = name
        end = self.binding.get(symbol, Dim.symbol(symbol))
        for s in chain:
            self.binding[s] = end
        return end

    def unify(self, left: Dim, right: Dim) -> None:
        """Make `left` and `right` one size; raises SizeClash where they can't be."""
        left, right = self.resolve(left), self.resolve(right)
        if left == right:
            return
        a, b = single_symbol(left), single_symbol(right)
        if a is not None and b is not None:
            loser = max(a, b, key=lambda s: (s.startswith("?"), s))
            self.binding[loser] = right if loser == a else left
            return
        rest = left - right
        if rest.value is not None:
            raise SizeClash(left, right)
        rest = rest.divided(gcd(*(c for _, c in rest.terms)))
        linear = [m[0] for m, c in rest.terms if len(m) == 1 and abs(c) == 1]
        solutions = {s: Dim.symbol(s) - rest * dict(rest.terms)[(s,)] for s in linear}
        solutions = {s: d for s, d in solutions.items() if s not in d.symbols}
        if not solutions:
            self.open.append((left, right))
            return
        symbol = max(solutions, key=lambda s: (s.startswith("?"), all(c > 0 for _, c in solutions[s].terms), s))
        self.binding[symbol] = solutions[symbol]

    def recheck(self) -> None:
        """Unify what was left open once more; raises SizeClash."""
        waiting, self.open = self.open, []
        for left, right in waiting:
            self.unify(left, right)


def single_symbol(d: Dim) -> str | None:
    """`n` if the size is the plain symbol n."""
    if len(d.terms) == 1 and d.terms[0][1] == 1 and len(d.terms[0][0]) == 1:
        return d.terms[0][0][0]
    return None


def total(dims: Iterable[Dim]) -> Dim:
    result = Dim({})
    for d in dims:
        result = result + d
    return result
