"""compiling: definitions and a tree of terms -> a Kernel that builds their nodes for the sizes of arrays."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from .arrays import NOMINAL_SIZE, check_sizes
from .bind import bindings_of, callables_of, sizes_of_results
from .collector import paused
from .dims import Dim, Env, single_symbol
from .halves import halved
from .ir import Add, Call, Input, Node, Shape, toposort
from .kernel import Kernel, Spec, Wanted
from .memory import read_bytes
from .order import associate, method_for
from .orders.methods import Optimize, Order
from .request import ALL_LAWS, EXACT_LAWS, Definitions, Graph, Laws, Tree, packer, terms
from .straight import Assembled
from .structured import Structured
from .structured.split import matrix

Letters = tuple[tuple[str, ...], tuple[str, ...]]  # of the axes of rows and of columns

LONG: Final = 20  # factors; the flat derivatives of longer products are many times as large as nested ones


@dataclass(frozen=True, slots=True)
class Options:
    """How a kernel is made.

    `sizes` are nominal ones, for what a kernel tells before its first call. `functions` says what opaque
    functions are: functions of the language by name, formulas, or Python callables (see bind). `strict` leaves out
    laws that hold for finite values only. `optimize` is a name of `methods.METHODS`, a function of opt_einsum's form,
    or, where there is one contraction, a path. `memory_limit` is in bytes, or a text such as "1GB". With `structured`
    results are Structured: matrices that are not written out.
    """

    backend: str = "numpy"
    optimize: Optimize = "auto"
    memory_limit: int | str | None = None
    sizes: Mapping[str, Any] | None = None
    functions: Mapping[str, Any] | None = None
    strict: bool = False
    check_finite: bool = False
    structured: bool = False

    @property
    def laws(self) -> Laws:
        return EXACT_LAWS if self.strict else ALL_LAWS


@dataclass(frozen=True, slots=True)
class Signature:
    """What a kernel may be given: shapes and axis letters of the inputs, and who words a mismatch of sizes; the
    opaque functions of the program, where they are known; the letters of rows and columns of each result, where they
    are to be structured."""

    shapes: dict[str, Shape]
    hints: dict[str, tuple[str, ...]]
    explain: Callable[[dict[str, tuple[int, ...]]], Exception | None]
    functions: Collection[str] | None = None
    matrices: Sequence[Letters] = ()

    def resized(self, sizes: Mapping[str, Dim]) -> Signature:
        """The same with symbols of sizes replaced."""
        shapes = {name: tuple(d.replace(sizes) for d in shape) for name, shape in self.shapes.items()}
        return replace(self, shapes=shapes)

    @property
    def letters(self) -> dict[str, str]:
        """What the size symbols of the inputs are called."""
        pairs = [pair for name, shape in self.shapes.items() for pair in zip(shape, self.hints[name], strict=True)]
        return {symbol: letter for d, letter in reversed(pairs) for symbol in [single_symbol(d)] if symbol is not None}


def kernel_of(
    definitions: Definitions,
    tree: Tree,
    signature: Signature,
    options: Options,
    recipe: tuple[Callable[..., Kernel], tuple[Any, ...]],
) -> Kernel:
    """The kernel of a tree of terms; `recipe` is how a pickle makes it again."""
    with paused():
        functions = bindings_of(options.functions or {}, signature.functions)
        sizes = sizes_of_results(definitions.roots, functions)
        signature = signature.resized(sizes)
        check_sizes(signature.shapes, signature.hints, options.sizes or {})
        graph = Graph.of(definitions.bound(functions, sizes), list(terms(tree)), options.laws)
        plain = graph.nodes(shortened)
        called = callables_of(plain, functions, signature.letters)
        optimize = method_for(options.optimize, graph.roots, list(signature.shapes))
    several = graph.has_products()
    pack = packer(tree)

    def build(env: Env, order: Order, real: bool) -> Wanted:
        roots = graph.nodes(lambda roots: associate(roots, Guessed(env), order)) if several else plain
        if not inputs_in(roots) <= {*read}:  # what cancels in a whole product stands in its parts
            roots = associate(plain, Guessed(env), order)
        wanted = structured(roots, signature.matrices, pack, env) if options.structured else arrays(roots, pack)
        return wanted._replace(nodes=halved(wanted.nodes, Guessed(env))) if real and not options.strict else wanted

    read = read_inputs(plain, signature.shapes)
    spec = Spec(
        inputs={name: signature.hints[name] for name in read},
        shapes={name: signature.shapes[name] for name in read},
        build=build,
        known=frozenset(signature.shapes) - set(read),
        explain=signature.explain,
        backend=options.backend,
        optimize=optimize,
        memory_limit=read_bytes(options.memory_limit),
        sizes=dict(options.sizes or {}),
        check_finite=options.check_finite,
        wrt=frozenset(x for t in terms(tree) for x in (*t.wrt, *(name for name, _ in t.tangents))),
        real=graph.real,
        functions=called,
        recipe=recipe,
    )
    return Kernel(spec)


Pack = Callable[[Sequence[Any]], Any]


def arrays(roots: Sequence[Node], pack: Pack) -> Wanted:
    """The nodes as arrays, nested."""
    return Wanted(roots, pack(range(len(roots))))


def structured(roots: Sequence[Node], letters: Sequence[Letters], pack: Pack, env: Env) -> Wanted:
    """The nodes as matrices, nested: the nodes of their blocks, each matrix assembled of its own."""
    blocks: list[Node] = []
    found = []
    for root, (rows, columns) in zip(roots, letters, strict=True):
        form, own = matrix(root, len(rows), rows + columns, env)
        found.append(Assembled(partial(Structured, form), tuple(range(len(blocks), len(blocks) + len(own)))))
        blocks += own
    return Wanted(blocks, pack(found))


def shortened(roots: Sequence[Node]) -> list[Node]:
    """The roots; nested where a product has many factors: each of its derivatives would have nearly as many."""
    if all(len(node.operands) <= LONG for node in toposort(roots)):
        return list(roots)
    return associate(roots, Guessed({}))


def read_inputs(outputs: Sequence[Node], shapes: Mapping[str, Shape]) -> list[str]:
    """The inputs whose entries, or whose sizes alone, the outputs need, in the program's order."""
    read = inputs_in(outputs)
    symbols = {s for node in toposort(outputs) for d in sizes_of(node) for s in d.symbols}
    while True:
        dims = [d for name in read for d in shapes[name]]
        missing = symbols.union(*(d.symbols for d in dims)) - decided(dims)
        more = next((name for name in shapes if name not in read and missing & decided(shapes[name])), None)
        if more is None:
            return [name for name in shapes if name in read]
        read.add(more)


def inputs_in(nodes: Sequence[Node]) -> set[str]:
    """The names of the inputs below the nodes."""
    return {node.name for node in toposort(nodes) if isinstance(node, Input)}


def decided(dims: Iterable[Dim]) -> set[str]:
    """The size symbols that arrays of these sizes decide, one after the other."""
    known: set[str] = set()
    waiting = [set(d.symbols) for d in dims]
    while found := {s for own in waiting if len(own - known) == 1 for s in own - known}:
        known |= found
    return known


def sizes_of(node: Node) -> Iterable[Dim]:
    """Sizes that a node needs to know beside those of its operands."""
    yield from node.shape
    if isinstance(node, Add):
        yield from (d for coef in node.coefs for d, _ in coef.sizes)
    if isinstance(node, Call):
        yield from (p for p in node.params if isinstance(p, Dim))


class Guessed(dict[str, int]):
    """Sizes where those that the results do not depend on are guessed: they only rank orders of products."""

    def __missing__(self, symbol: str) -> int:
        return NOMINAL_SIZE
