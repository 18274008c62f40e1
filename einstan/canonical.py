"""canonical: one order for the factors of a contraction, however they were given.

Factors go by their keys; equal ones by the role of their labels: colour refinement, then one factor of the first
undecided class is marked and the rest refined again, and the smallest encoding wins. The search has a step budget;
past it the order is a right one, but another presentation may get another.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BUDGET = 2_000

Labels = tuple[Hashable, ...]
Encoding = list[tuple[int, ...]]


def order(keys: Sequence[bytes], labels: Sequence[Labels], out: Labels) -> list[int]:
    """The positions of the factors in canonical order."""
    if len(set(keys)) == len(keys):
        return sorted(range(len(keys)), key=keys.__getitem__)
    return Search(keys, labels, out).smallest({})[1]


def numbered(labels: Sequence[Labels], out: Labels) -> dict[Hashable, int]:
    """Labels numbered by first appearance in the output, then in the factors."""
    numbers: dict[Hashable, int] = {}
    for own in (out, *labels):
        for label in own:
            if label not in numbers:
                numbers[label] = len(numbers)
    return numbers


@dataclass(slots=True)
class Search:
    """One search for the order of factors some of which are equal."""

    keys: Sequence[bytes]
    labels: Sequence[Labels]
    out: Labels
    budget: int = BUDGET
    ends: dict[Hashable, list[tuple[int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for k, own in enumerate(self.labels):
            for axis, label in enumerate(own):
                self.ends.setdefault(label, []).append((k, axis))

    def smallest(self, marks: Mapping[int, int]) -> tuple[Encoding, list[int]]:
        """The smallest encoding, and its order, over the ways to tell equal factors apart."""
        colour = self.refined(marks)
        classes: dict[int, list[int]] = {}
        for k, c in enumerate(colour):
            classes.setdefault(c, []).append(k)
        undecided = next((classes[c] for c in sorted(classes) if len(classes[c]) > 1), None)
        if undecided is None or self.budget < 0:
            return self.encoded(sorted(range(len(colour)), key=colour.__getitem__))
        found = []
        for k in undecided:
            self.budget -= len(self.keys)
            found.append(self.smallest({**marks, k: len(marks)}))
            if self.budget < 0:
                break
        return min(found)

    def encoded(self, positions: list[int]) -> tuple[Encoding, list[int]]:
        numbers = numbered([self.labels[k] for k in positions], self.out)
        return [tuple(numbers[label] for label in self.labels[k]) for k in positions], positions

    def refined(self, marks: Mapping[int, int]) -> list[int]:
        """Colours of the factors, stable under 'which labels, seen from which factors'."""
        label_colour = ranks({x: tuple(n for n, y in enumerate(self.out) if x == y) for x in self.ends})
        colour = ranks({k: (key, marks.get(k, -1)) for k, key in enumerate(self.keys)})
        while True:
            finer = ranks({k: (colour[k], *(label_colour[x] for x in own)) for k, own in enumerate(self.labels)})
            ends = {x: sorted((finer[k], axis) for k, axis in where) for x, where in self.ends.items()}
            label_finer = ranks({x: (label_colour[x], *seen) for x, seen in ends.items()})
            stable = distinct(finer) == distinct(colour) and distinct(label_finer) == distinct(label_colour)
            colour, label_colour = finer, label_finer
            if stable:
                return [colour[k] for k in range(len(self.keys))]


def ranks(keys: Mapping[Any, Any]) -> dict[Any, int]:
    """Each item with the rank of its key among all keys."""
    rank = {key: n for n, key in enumerate(sorted(set(keys.values())))}
    return {item: rank[key] for item, key in keys.items()}


def distinct(colours: Mapping[Any, int]) -> int:
    return len(set(colours.values()))
