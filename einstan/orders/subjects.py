"""subjects: what contraction orders are compared of, at sizes: a contraction, an expression, names of a program, a loss
with its gradients, any derivative. From an order to nodes, to a plan, to a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final

import numpy as np

from ..arrays import NOMINAL_SIZE, check_sizes, letter, nominal, nominal_env
from ..collector import paused
from ..compiling import Options
from ..contractions.contraction import inputs
from ..contractions.subscripts import Subscripts, in_text, lengths, read
from ..dims import Env
from ..errors import EinstanError, EinstanIndexError, EinstanNameError, EinstanShapeError, EinstanTypeError
from ..expr import Expr
from ..ir import Node
from ..kernel import Kernel, Spec, Wanted, bound
from ..order import along, as_written, ordered, reduced
from ..plan import Plan, plan
from ..plan.dtypes import kept, promote
from ..programs import Derived, Program
from ..request import Term, Tree, terms
from ..running import Bound
from .methods import Linear, Order, linear_path, pairwise

DType = np.dtype[Any]
Sizes = Mapping[str, Any] | Sequence[Any]

POWERS: Final = {2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹"}
AS_ORDERED: Final = "naive"  # leaves products of two as they are
FIRST_INPUT: Final = ord("A")
GIVE: Final = 'Write sizes={"i": 5}, or a shape for each operand: sizes=[(2, 3), (3, 4)].'


@dataclass(frozen=True, eq=False)
class Subject:
    """What is ordered: `outputs` are computed by `spec` under the sizes `env`; `alone` gives them one by one;
    a plain contraction has its `subscripts`. `assumed` are letters whose size nobody gave, `formula` is what an
    expression without a name is called."""

    outputs: tuple[str, ...]
    spec: Spec
    env: Env
    dtype: DType
    assumed: tuple[str, ...] = ()
    subscripts: Subscripts | None = None
    alone: Callable[[], list[Subject]] = list
    formula: str = ""

    @property
    def title(self) -> str:
        return self.formula or ", ".join(self.outputs)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the arrays that are read."""
        return {name: tuple(d.at(self.env) for d in shape) for name, shape in self.spec.shapes.items()}

    @property
    def axes(self) -> dict[str, tuple[tuple[str, int], ...]]:
        """Letter and size of every axis of what is read."""
        letters = self.spec.inputs
        return {name: tuple(zip(letters[name], shape, strict=True)) for name, shape in self.shapes.items()}

    @property
    def input_bytes(self) -> int:
        return sum(prod(shape) for shape in self.shapes.values()) * self.dtype.itemsize

    def path(self, order: Order) -> Linear | None:
        """The path of a plain contraction; None where products have orders of their own."""
        s = self.subscripts
        return None if s is None else linear_path(reduced(s.terms, s.out), s.out, dict(enumerate(s.sizes)), order)

    def nodes(self, order: Order) -> tuple[Node, ...]:
        """The outputs over binary products, ordered in this way."""
        order = replace(order, method=as_written(order.method, self.spec.shapes))
        with paused():
            return tuple(ordered(self.spec.build(self.env, order, self.dtype.kind != "c").nodes, self.env, order))

    def plan(self, nodes: Sequence[Node]) -> Plan:
        dtypes = dict.fromkeys(self.spec.names, self.dtype)
        promotion = promote if self.subscripts is None else kept  # as kernels have it, and as einsum has it
        with paused():
            return plan(nodes, self.env, dtypes, AS_ORDERED, self.spec.inputs, promotion=promotion)

    def bound(self, found: Plan) -> Bound:
        """The plan, ready to be called with arrays in the order of the inputs."""
        key = tuple((shape, self.dtype) for shape in self.shapes.values())
        return bound(self.spec, key, found, list(range(len(found.results))))

    def arrays(self) -> list[Any]:
        """Something to run on: entries from 0.5 to 1.5, the same in every run; integers from 1 to 4."""
        rng = np.random.default_rng(0)
        if self.dtype.kind in "iu":
            return [rng.integers(1, 5, shape).astype(self.dtype) for shape in self.shapes.values()]
        return [(rng.random(shape) + 0.5).astype(self.dtype) for shape in self.shapes.values()]


def subject_of(
    what: Any,
    of: str | Sequence[str] | None,
    wrt: str | Sequence[str] | None,
    sizes: Sizes | None,
    dtype: DType,
    functions: Mapping[str, Any] | None,
) -> Subject:
    """What `comparison.compare` is asked about. Raises EinstanError for what has no order."""
    if isinstance(what, str):
        if of is not None or wrt is not None:
            raise EinstanNameError("A contraction has no names.", "Give a Program to compare names or gradients of it.")
        return of_contraction(what, sizes, dtype)
    if dtype.kind != "f":
        raise EinstanShapeError(f"Programs are compared on floats, not on {dtype}.", 'Write dtype="float32".')
    if sizes is not None and not isinstance(sizes, Mapping):
        raise EinstanShapeError("Sizes of a program are given by letter.", 'Write sizes={"b": 64}.')
    if isinstance(what, Expr):
        found = of_names(what.program, what.name if of is None else of, wrt, sizes, dtype, functions)
        return found if what.is_name or wrt is not None else replace(found, formula=str(what))
    if isinstance(what, Derived) and of is None and wrt is None:
        return of_tree(what.base, what.tree, what.extra, sizes, dtype, functions)
    if not isinstance(what, Program):
        raise EinstanError(
            f"{type(what).__name__} has no contraction orders.", 'Give "ij,jk->ik", an Expr, a Program or a gradient.'
        )
    return of_names(what, of, wrt, sizes, dtype, functions)


# ---------------------------------------------------------------- programs


def of_names(
    program: Program,
    of: str | Sequence[str] | None,
    wrt: str | Sequence[str] | None,
    sizes: Mapping[str, Any] | None,
    dtype: DType,
    functions: Mapping[str, Any] | None,
) -> Subject:
    """Names of a program, the last one if none is said; with `wrt` a scalar and its gradients."""
    if of is None:
        if not program.names:
            raise EinstanNameError("The program defines no name.", "Write a statement such as y = a[I] b[I].")
        of = program.names[-1]
    names = [of] if isinstance(of, str) else list(of)
    if wrt is None:
        for name in names:
            program.require(name, program.checked.definitions, "defines")
        return of_tree(program, {name: Term(name) for name in names}, {}, sizes, dtype, functions)
    if len(names) != 1:
        raise EinstanNameError("Gradients are of one name.", 'Write of="L".')
    derived = program.value_and_grad(names[0], wrt)
    return of_tree(program, derived.tree, {}, sizes, dtype, functions)


def of_tree(
    program: Program,
    tree: Tree,
    extra: Mapping[str, str],
    sizes: Mapping[str, Any] | None,
    dtype: DType,
    functions: Mapping[str, Any] | None,
) -> Subject:
    """The terms of a tree, all together."""
    wanted = list(terms(tree))
    kernel = program.kernel(tree, extra, Options(sizes=sizes, functions=functions))
    found = of_kernel(kernel, tuple(map(named, wanted)), dtype)
    if len(wanted) < 2:
        return found

    def alone() -> list[Subject]:
        return [of_tree(program, term, extra, sizes, dtype, functions) for term in dict.fromkeys(wanted)]

    return replace(found, alone=alone)


def of_kernel(kernel: Kernel, outputs: tuple[str, ...], dtype: DType) -> Subject:
    """The outputs of a kernel, at the sizes that it was given."""
    spec = kernel.spec
    axes = [(name, axis, d) for name, shape in spec.shapes.items() for axis, d in enumerate(shape)]
    said = [nominal(name, axis, spec.shapes, spec.inputs, spec.sizes) is not None for name, axis, _ in axes]
    known = {s for (_, _, d), given in zip(axes, said, strict=True) if given for s in d.symbols}
    free = dict.fromkeys(letter(spec.inputs, name, axis) for name, axis, d in axes if d.symbols - known)
    return Subject(outputs, spec, nominal_env(spec.shapes, spec.inputs, spec.sizes), dtype, tuple(free))


def named(t: Term) -> str:
    """What an output is called: `L`, `∂L/∂W`, `∂²L/∂W∂c`, `∂L/∂W along V`."""
    top = f"{t.cotangent} " if t.cotangent else ""
    if not t.wrt:
        name = f"{top}{t.of}"
    else:
        power = POWERS.get(len(t.wrt), str(len(t.wrt))) if len(t.wrt) > 1 else ""
        name = f"{top}∂{power}{t.of}/{''.join(f'∂{x}' for x in t.wrt)}"
    return f"{name} along {', '.join(v for _, v in t.tangents)}" if t.tangents else name


# ---------------------------------------------------------------- contractions


def of_contraction(text: str, sizes: Sizes | None, dtype: DType) -> Subject:
    """`ij,jk->ik` for sizes by letter, or for shapes or arrays of the operands."""
    shapes, assumed = shapes_of(text, sizes)
    s = read(text, shapes)
    names = input_names(len(s.terms))
    leaves, env, letters = inputs(s.terms, dict(enumerate(s.sizes)), s.names, names)
    nodes = [node for node, _ in leaves]

    def build(env: Env, order: Order, real: bool) -> Wanted:
        found = linear_path(reduced(s.terms, s.out), s.out, dict(enumerate(s.sizes)), order)
        return Wanted([along(pairwise(found, len(nodes)), nodes, s.terms, s.out)], 0)

    own_shapes = {name: node.shape for name, node in zip(names, nodes, strict=True)}
    spec = Spec(inputs=letters, shapes=own_shapes, build=build)
    return Subject((text.replace(" ", ""),), spec, env, dtype, assumed, s)


def shapes_of(text: str, sizes: Sizes | None) -> tuple[list[tuple[int, ...]], tuple[str, ...]]:
    """The shape of every operand, and the letters whose size is assumed."""
    if sizes is not None and not isinstance(sizes, Mapping):
        if not isinstance(sizes, list | tuple):
            raise EinstanTypeError(f"{repr(sizes)[:60]} says no sizes.", GIVE)
        return [lengths(n, x.shape if hasattr(x, "shape") else x, GIVE) for n, x in enumerate(sizes, 1)], ()
    given = dict(sizes or {})
    found = in_text(text)
    if any(token.label is Ellipsis for own in found.terms for token in own):
        raise EinstanShapeError("How many axes ... stands for is not known.", "Give shapes: sizes=[(2, 3), (3, 4)].")
    own = [[str(token.label) for token in term] for term in found.terms]
    letters = dict.fromkeys(x for term in own for x in term)
    if strange := [x for x in given if x not in letters]:
        raise EinstanIndexError(f"No axis has the letter {strange[0]!s:.40}.", f"The letters are {' '.join(letters)}.")
    check_sizes({}, {"": list(letters)}, given)
    shapes = [tuple(int(given.get(x, NOMINAL_SIZE)) for x in term) for term in own]
    return shapes, tuple(x for x in letters if x not in given)


def input_names(n: int) -> list[str]:
    """A, B, C, ..; A1, A2, .. where the letters do not last."""
    return [chr(FIRST_INPUT + k) for k in range(n)] if n <= 26 else [f"A{k}" for k in range(1, n + 1)]
