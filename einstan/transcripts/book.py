"""book: what all chains of a derivation look up: which names depend on which, what they are, what is called how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..dims import Dim
from ..show.text import show_expr
from ..syntax import ast, words
from ..syntax.ast import Call, Expr, Tensor
from ..syntax.check import Checked
from .letters import Letters, every_index, indices, letters_of, mapped, renamed
from .opened import opened


@dataclass(frozen=True)
class Book:
    """What the chains of ∂of/∂.. share: the program's names, which depend on which, the letters of their axes."""

    checked: Checked
    of: str
    letters: Mapping[str, tuple[str, ...]]
    fixed: frozenset[str]
    size: Callable[[Dim], Expr]

    @cached_property
    def holds_derivatives(self) -> bool:
        """Whether a statement below `of` holds a derivative."""
        bodies = (self.checked.definitions[name].body for name in self.below if name in self.checked.definitions)
        return any(isinstance(e, ast.Derivative) for body in bodies for e in ast.postorder(body))

    @cached_property
    def uses(self) -> dict[str, list[str]]:
        """The names whose values stand in each body; of `size(W,1)` only the size does."""
        return {name: list(dict.fromkeys(tensors_in(d.body))) for name, d in self.checked.definitions.items()}

    @cached_property
    def avoided(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.checked.shapes)

    @cached_property
    def opaque(self) -> frozenset[str]:
        return frozenset(self.checked.functions) - frozenset(self.checked.formulas)

    @cached_property
    def derivatives(self) -> frozenset[str]:
        """`∂W` for every name."""
        return frozenset(f"∂{name}" for name in self.checked.shapes)

    @cached_property
    def users(self) -> dict[str, list[str]]:
        """The statements that use each name, in the order of the program."""
        found: dict[str, list[str]] = {}
        for name in self.checked.order:
            for used in self.uses[name]:
                found.setdefault(used, []).append(name)
        return found

    def above(self, name: str) -> set[str]:
        """The names that depend on it, itself among them."""
        return reached(name, self.users)

    @cached_property
    def below(self) -> set[str]:
        """The names that `of` depends on, itself among them."""
        return reached(self.of, self.uses)

    @cached_property
    def names(self) -> dict[str, tuple[str, list[int]]]:
        """Names whose body is a function, by that body with numbers for letters; and the numbers of the name's axes."""
        table: dict[str, tuple[str, list[int]]] = {}
        for name, definition in self.checked.definitions.items():
            target = letters_of(definition.target.indices)
            if not isinstance(without_brackets(definition.body), Call) or len(set(target)) < len(target):
                continue
            e = self.body(name, target, Letters(set(target), frozenset()))
            key, letters = numbered(e)
            if isinstance(e, Call) and e.name != "sum" and set(target) <= set(letters):
                table.setdefault(key, (name, [letters.index(x) for x in target]))
        return table

    @cached_property
    def named_functions(self) -> frozenset[str]:
        """The functions that some name is."""
        bodies = (without_brackets(self.checked.definitions[name].body) for name, _ in self.names.values())
        return frozenset(words.ALIASES.get(e.name, e.name) for e in bodies if isinstance(e, Call))

    def body(self, name: str, target: Sequence[str], letters: Letters) -> Expr:
        """The opened body of a name whose axes are called `target`."""
        return opened(self.checked, name, target, letters, self.size)

    def in_names(self, e: Expr) -> Expr:
        """tanh(Z[i,j]) as Y[i,j], where that is what Y is."""
        calls = (x for x in ast.postorder(e) if isinstance(x, Call) and x.name in self.named_functions)
        found = ((x, self.name_of(x)) for x in calls)
        return mapped(e, {id(x): name for x, name in found if name is not None})

    def name_of(self, e: Call) -> Tensor | None:
        key, letters = numbered(e)
        if key not in self.names:
            return None
        name, places = self.names[key]
        return Tensor(name, indices([letters[n] for n in places]))


def tensors_in(e: Expr) -> Iterator[str]:
    """The names of the tensors in a formula, one for each place."""
    return (x.name for x in ast.postorder(e) if isinstance(x, Tensor))


def without_brackets(e: Expr) -> Expr:
    while isinstance(e, ast.Group):
        e = e.body
    return e


def numbered(e: Expr) -> tuple[str, list[str]]:
    """The text with numbers for letters, and the letters by their number."""
    letters = list(dict.fromkeys(index.name for index in every_index(e)))
    return show_expr(renamed(e, {x: f"{'I' if x[0].isupper() else 'i'}{n}" for n, x in enumerate(letters)})), letters


def reached(start: str, following: Mapping[str, Sequence[str]]) -> set[str]:
    """The names that are reached from one, itself among them."""
    found, waiting = {start}, [start]
    while waiting:
        new = [x for x in following.get(waiting.pop(), ()) if x not in found]
        found.update(new)
        waiting += new
    return found
