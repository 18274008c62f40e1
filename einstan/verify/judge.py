"""judge: two forms in a program's context -> whether they are equal, and how that is known.

A form is lowered with names and derivatives as leaves (`Form.node`); `expanded` writes it in inputs alone. Equal nodes
are equal values. Else the nodes are evaluated: exactly modulo a prime, which proves equality (and, without functions of
reals, difference), then in float64 with bounds. `values` are quick, for a search among many forms: what they say is
checked by `compare`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..dims import Dim, Env
from ..errors import EinstanError, EinstanShapeError
from ..facts import Facts
from ..ir import Input, Name, Node, add, is_zero, name_, pattern, toposort
from ..lower import DerivativeLeaf, lower_expr
from ..programs import Program
from ..request import Definitions, Graph, Term
from ..resize import resized
from ..syntax import ast
from ..syntax.check import CheckedForm, check_form
from .constraints import Constraint, constraints, satisfying
from .degrees import is_rational
from .instances import seed_of
from .laws import TO_COMPARE, simplified
from .modular import Modular, exactly
from .sampling import Draw, Floats, Found, sampled
from .sizes import environments, fixed_by
from .values import Array, Point
from .verdict import Counterexample

TRIALS = 5
LANES = 4  # points of `values`: one for each style of inputs
CLOSE = 1e-8  # of the largest entry: as near as `agree` asks
Values = tuple[Array, ...]  # one array for each size; lane first, then the axes of the form


@dataclass(frozen=True, slots=True)
class Form:
    """One side of a claim: `own` are its free indices, `axes` those of its node, with the sizes: its own and those of
    the form before, along which it is repeated. The node is over names and derivatives."""

    tree: ast.Expr
    own: tuple[str, ...]
    axes: Mapping[str, Dim]
    node: Node


@dataclass(frozen=True, slots=True)
class Outcome:
    """`holds` is None where it is not decided, and `reason` says why; the rest is as in a Verdict."""

    holds: bool | None
    method: str
    trials: int = 0
    error_bound: float | None = None
    counterexample: Counterexample | None = None
    reason: str = ""


class Judge:
    """Forms in the context of one program. `binding` are sizes that are one for the sake of a claim."""

    def __init__(
        self,
        program: Program,
        sizes: Mapping[str, Any] | None = None,
        trials: int = TRIALS,
        seed: int = 0,
        binding: Mapping[str, Dim] | None = None,
    ) -> None:
        if trials < 1:
            raise EinstanError(f"{trials} trials decide nothing.", "Give one or more.")
        self.program, self.sizes, self.trials, self.seed = program, dict(sizes or {}), trials, seed
        self.binding = dict(binding or {})
        shapes = {n: tuple(d.replace(self.binding) for d in s) for n, s in program.checked.shapes.items()}
        self.checked = replace(program.checked, shapes=shapes) if self.binding else program.checked
        inputs = self.checked.inputs
        self.fixed: Env = fixed_by({name: self.checked.shapes[name] for name in inputs}, inputs, self.sizes)
        self.derivatives: dict[Node, DerivativeLeaf] = {}
        self.known: dict[Node, Node] = {}
        self.field_points: dict[object, Point] = {}

    def bound(self, binding: Mapping[str, Dim]) -> Judge:
        """The judge of claims for whose sake these sizes are one."""
        known = self.news(binding)
        return Judge(self.program, self.sizes, self.trials, self.seed, known) if known else self

    @cached_property
    def definitions(self) -> Definitions:
        """Names and what they stand for, at the sizes of the claim."""
        return resized_definitions(self.program.definitions(), self.binding)

    def news(self, binding: Mapping[str, Dim]) -> dict[str, Dim]:
        """What is said of sizes that are free in the program; unknown ones stand in the claim alone."""
        sizes = self.checked.sizes
        free = {s: d for s, d in binding.items() if not s.startswith("?") and sizes.resolve(Dim.symbol(s)) != d}
        return {s: d for s, d in free.items() if s not in self.binding}

    # -- forms

    def form(self, tree: ast.Expr, before: Form | None = None, source: str = "") -> Form:
        """A form read after another one: its axes are those of `before`, which it repeats where it lacks them, then its
        own; a derivative without indices takes those of `before`.

        Raises the EinstanIndexError or EinstanShapeError that the checker has of it; the latter too where it needs
        sizes to be equal that are not.
        """
        checked, binding = check_form(tree, before.axes if before else {}, self.checked, source)
        if self.news(binding):
            raise EinstanShapeError("The form needs sizes to be equal that are not.", "Rename an index.", source=source)
        return self.lowered(tree, checked, before)

    def lowered(self, tree: ast.Expr, checked: CheckedForm, before: Form | None = None) -> Form:
        """The form of a tree that is checked."""
        assert checked.scope is not None
        first = dict(before.axes) if before else {}
        value = lower_expr(self.checked, checked.scope, tree, self.derivatives, tuple(first))
        axes = {**first, **dict(zip(value.axes, value.node.shape, strict=True))}
        return Form(tree, value.axes, axes, pattern(value.node, value.axes, tuple(axes), axes))

    # -- nodes over inputs

    def expanded(self, nodes: Sequence[Node]) -> list[Node]:
        """The nodes in inputs alone, in normal form; those of one call share what they are made of."""
        if missing := [node for node in dict.fromkeys(nodes) if node not in self.known]:
            self.known.update(zip(missing, self.over_inputs(missing, self.definitions.facts), strict=True))
        return [self.known[node] for node in nodes]

    def over_inputs(self, nodes: Sequence[Node], facts: Facts) -> list[Node]:
        own, named = self.definitions, {f"#{k}": node for k, node in enumerate(nodes)}
        leaves = {**own.leaves, **{name: name_(name, node.shape) for name, node in named.items()}}
        slopes = {leaf: (d.numerator, d.denominators) for leaf, d in self.derivatives.items()}
        program = Definitions(leaves, {**own.bodies, **named}, {**own.derivatives, **slopes}, facts)
        return Graph.of(program, [Term(name) for name in named], TO_COMPARE).nodes(list)

    # -- judging

    def compare(self, left: Form, right: Form) -> Outcome:
        """Whether two forms, the second read after the first, are equal for all inputs and sizes."""
        axes = {**left.axes, **right.axes}
        nodes = [pattern(f.node, tuple(f.axes), tuple(axes), axes) for f in (left, right)]
        try:
            a, b = self.expanded(nodes)
        except EinstanError as error:
            return Outcome(None, "none", reason=error.message)
        (gap,) = simplified([add([(1, a), (-1, b)], a.shape)])
        if a is b or is_zero(gap):
            return Outcome(True, "normal form")
        return self.evaluated(a, b, gap, tuple(axes))

    def evaluated(self, a: Node, b: Node, gap: Node, axes: Sequence[str]) -> Outcome:
        """`gap` is a - b in normal form: one in which no function is left decides exactly."""
        nodes = [*self.symbols, *toposort([a, b]), *(c.off for c in self.constraints)]
        envs = list(environments(nodes, self.fixed, self.trials, self.seed))
        if not envs:
            return Outcome(None, "none", reason="No sizes were found that fit.")
        sides = (gap, add([], gap.shape)) if is_rational([gap]) and not is_rational([a, b]) else (a, b)
        proof = exactly(*sides, (self.field_point(env, k) for k, env in enumerate(envs)))
        if proof.equal:
            return Outcome(True, "exact, modulo a prime", proof.trials, proof.error_bound)
        found = sampled(a, b, envs, self.seed, self.legal)
        shown = found.counterexample and self.shown(found.counterexample, a, b, axes)
        if proof.differ and not self.constraints:
            return Outcome(False, "exact, modulo a prime", proof.trials, None, shown)
        return Outcome(found.equal, "sampling", found.trials, found.error_bound, shown, found.reason)

    @cached_property
    def symbols(self) -> list[Node]:
        """The inputs, so that all claims are looked at with the same sizes."""
        return [self.definitions.leaves[name] for name in self.checked.inputs]

    @cached_property
    def constraints(self) -> list[Constraint]:
        """The facts of the program, over inputs alone."""
        facts = self.definitions.facts
        sides = self.over_inputs([side for fact in facts for side in fact], ())
        return constraints(tuple(zip(sides[::2], sides[1::2], strict=True)))

    def legal(self, draw: Draw, env: Env) -> Draw:
        """Inputs next to those of the draw for which the facts hold."""
        return satisfying(self.constraints, draw, env, self.seed)

    def field_point(self, env: Env, k: int) -> Point:
        """The k-th point of the field at these sizes; what claims share is computed once."""
        key = (k, tuple(env.items()))
        return self.field_points.setdefault(key, Point(Modular(seed_of(self.seed, k)), env))

    def shown(self, found: Found, a: Node, b: Node, axes: Sequence[str]) -> Counterexample:
        """The counterexample in the letters of the claim, with the sizes of the inputs that it is made of."""
        env, entry, left, right = found
        sizes = {name: d.at(env) for name, d in zip(axes, a.shape, strict=True)}
        for x in toposort([a, b]):
            for letter, d in zip(self.checked.inputs[x.name], x.shape, strict=True) if isinstance(x, Input) else ():
                sizes.setdefault(letter, d.at(env))
        return Counterexample(sizes, dict(zip(axes, entry, strict=True)), left, right)

    # -- quick values

    @cached_property
    def points(self) -> list[Point]:
        """Fixed points at which forms are searched: inputs of every style beside each other."""
        program = self.definitions
        nodes = toposort([*program.leaves.values(), *program.bodies.values()])
        draws = [Draw(self.seed + style, style) for style in range(LANES)]
        envs = environments(nodes, self.fixed, 2, self.seed)
        return [Point(Floats(draws, self.seed), env, self.meaning) for env in envs]

    def meaning(self, leaf: Node) -> Node:
        """What a name or a derivative stands for."""
        assert isinstance(leaf, Name)
        body = self.definitions.bodies.get(leaf.name)
        return self.expanded([leaf])[0] if body is None else body

    def values(self, form: Form) -> Values:
        """Its values at a few points: small sizes that are distinct primes, lanes of different inputs, axes as
        `form.axes`. Sub-values are shared among forms. Raises Unknown (an EinstanError) where there are none."""
        with np.errstate(all="ignore"):
            return tuple(point.value(form.node) for point in self.points)


def agree(one: Values, other: Values) -> bool:
    """Whether values are equal but for rounding, wherever both are finite; and they are, at some point."""
    seen = False
    for a, b in zip(one, other, strict=True):
        if a.shape[1:] != b.shape[1:]:
            return False
        size = np.maximum(np.abs(a), np.abs(b))
        finite = np.isfinite(a) & np.isfinite(b)
        axes = tuple(range(1, a.ndim))
        largest = np.max(np.where(finite, size, 0), axes, keepdims=True, initial=0)
        with np.errstate(invalid="ignore"):
            if np.any(finite & (np.abs(a - b) > CLOSE * largest)):
                return False
        seen = seen or bool(finite.reshape(len(a), -1).all(1).any())
    return seen


def resized_definitions(program: Definitions, binding: Mapping[str, Dim]) -> Definitions:
    """The same with symbols of sizes replaced."""
    if not binding:
        return program
    leaves = dict(zip(program.leaves, resized(list(program.leaves.values()), binding), strict=True))
    bodies = dict(zip(program.bodies, resized(list(program.bodies.values()), binding), strict=True))
    heads = resized(list(program.derivatives), binding)
    tops = resized([top for top, _ in program.derivatives.values()], binding)
    below = [names for _, names in program.derivatives.values()]
    sides = resized([side for fact in program.facts for side in fact], binding)
    slopes = dict(zip(heads, zip(tops, below, strict=True), strict=True))
    return Definitions(leaves, bodies, slopes, tuple(zip(sides[::2], sides[1::2], strict=True)))
