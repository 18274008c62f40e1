"""numpy_paths: the orders that np.einsum_path finds, "greedy" and "optimal", by its rules.

Laws: no step but the last makes an array of more than `limit` entries; where no step is left that keeps this (and,
for greedy, that costs no more than one loop over everything), all that is left is one step.
A flop is numpy's: the entries of the loop, times one less than the operands, and one more where something is summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Final, NamedTuple

from ..orders.methods import Linear, linear_path
from .subscripts import Subscripts

Term = frozenset[int]

BUDGET: Final = 200_000  # pairs of terms that the search for the optimum may look at


class Joined(NamedTuple):
    """Two or more terms as one."""

    term: Term
    flops: int
    size: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What a step costs and leaves."""

    out: Term
    sizes: tuple[int, ...]
    limit: int

    def size(self, term: Term) -> int:
        return prod(self.sizes[label] for label in term)

    def joined(self, taken: Sequence[Term], others: Sequence[Term]) -> Joined:
        every = frozenset().union(*taken)
        term = every & self.out.union(*others)
        return Joined(term, self.size(every) * (max(1, len(taken) - 1) + (term != every)), self.size(term))


def numpy_path(s: Subscripts, method: str, limit: int | None = None) -> Linear:
    """numpy's path by "greedy" or "optimal"; `limit` is that of its memory argument, else the entries of the largest
    operand or of the result.

    >>> from einstan.contractions.subscripts import read
    >>> numpy_path(read("ij,jk,kl->il", [(2, 2), (2, 5), (5, 2)]), "greedy")
    [(1, 2), (0, 1)]
    """
    terms = [frozenset(own) for own in s.terms]
    out = frozenset(s.out)
    if len(terms) < 3 or out == frozenset(range(len(s.sizes))):
        return [tuple(range(len(terms)))]
    rules = Rules(out, s.sizes, s.largest if limit is None else limit)
    return NUMPY_ORDERS[method](terms, rules)


# ---------------------------------------------------------------- greedy


class Candidate(NamedTuple):
    """A step that may be next: how many entries it adds, its flops, and the terms it takes, by their numbers."""

    growth: int
    flops: int
    pair: tuple[int, int]
    term: Term


def greedy(terms: Sequence[Term], rules: Rules) -> Linear:
    """Always the step that leaves fewest entries; outer products only where there is nothing else."""
    live = dict(enumerate(terms))
    bound = rules.joined(terms, []).flops
    known = list(candidates(live, combinations(live, 2), rules, bound, outer=False))
    path: Linear = []
    spent = 0
    while len(live) > 1:
        if not known:
            known = list(candidates(live, combinations(live, 2), rules, bound - spent, outer=True))
        if not known:
            return [*path, tuple(range(len(live)))]
        best = min(known, key=lambda c: c[:2])
        places = list(live)
        path.append((places.index(best.pair[0]), places.index(best.pair[1])))
        for k in best.pair:
            del live[k]
        spent += best.flops
        known = [c for c in known if not set(c.pair) & set(best.pair)]
        made = len(terms) + len(path) - 1
        live[made] = best.term
        pairs = [(k, made) for k in live if k != made]
        known += candidates(live, pairs, rules, bound - spent, outer=False)
    return path


def candidates(
    live: dict[int, Term],
    pairs: Iterable[tuple[int, int]],
    rules: Rules,
    left: int,
    outer: bool,
) -> Iterator[Candidate]:
    """The pairs that may be joined; `left` is how many flops there are to spend."""
    for a, b in pairs:
        if not outer and live[a].isdisjoint(live[b]):
            continue
        found = rules.joined([live[a], live[b]], [term for k, term in live.items() if k not in (a, b)])
        if found.size <= rules.limit and found.flops <= left:
            growth = found.size - rules.size(live[a]) - rules.size(live[b])
            yield Candidate(growth, found.flops, (a, b), found.term)


# ---------------------------------------------------------------- optimal


def optimal(terms: Sequence[Term], rules: Rules) -> Linear:
    """The path of fewest flops, the first of equal ones; einstan's own where there are too many to look at.

    What is left after the same number of steps is looked at once, by the cheapest way to it.
    """
    rounds: dict[tuple[Term, ...], tuple[int, Linear, tuple[Term, ...]]] = {identity(terms): (0, [], tuple(terms))}
    looked = 0
    for n in range(len(terms), 1, -1):
        found: dict[tuple[Term, ...], tuple[int, Linear, tuple[Term, ...]]] = {}
        looked += len(rounds) * n * (n - 1) // 2
        if looked > BUDGET:
            sizes = dict(enumerate(rules.sizes))
            return linear_path([tuple(term) for term in terms], tuple(rules.out), sizes, "auto", rules.limit)
        for spent, path, live in rounds.values():
            for a, b in combinations(range(n), 2):
                others = live[:a] + live[a + 1 : b] + live[b + 1 :]
                made = rules.joined([live[a], live[b]], others)
                if made.size > rules.limit:
                    continue
                after = (*others, made.term)
                key, cost = identity(after), spent + made.flops
                if key not in found or (cost, [*path, (a, b)]) < found[key][:2]:
                    found[key] = (cost, [*path, (a, b)], after)
        if not found:
            return [*cheapest(rounds), tuple(range(n))]
        rounds = found
    return cheapest(rounds)


def identity(live: Sequence[Term]) -> tuple[Term, ...]:
    """The terms whatever their order; equal terms are alike for all that follows."""
    return tuple(sorted(live, key=sorted))


def cheapest(rounds: dict[tuple[Term, ...], tuple[int, Linear, tuple[Term, ...]]]) -> Linear:
    return min(rounds.values(), key=lambda item: item[:2])[1]


NUMPY_ORDERS = {"greedy": greedy, "optimal": optimal}
