"""bind: opaque functions -> what a user says they are: functions of the language, formulas, Python callables.

A function of the language (`"tanh"`, `"softmax"`) or a formula (`es.function`) is written into the nodes; its
derivatives of every order follow. A Python callable stays a call, and so does each derivative of it, a callable of
its own under the notation's spelling: `{"f": np.tanh, "f'": lambda x: 1 - np.tanh(x) ** 2}`, `"f'[2]"`, `"f''[1,2]"`.

How they are called. Entry by entry: arrays of one shape, for a result of that shape. Row-wise: every array has the
axes that only ride along first, in the order of the left side, then those that the function sees; the result has the
axes that ride along, then the new ones, then in a derivative those seen of what it is taken by. Whole tensors: the
same without axes that ride along.
`f[j](Z[i,K])` is f(Z[i,k]) -> [i,j], its derivative f'(Z[i,k]) -> [i,j,k]; `loss'[2]` of `loss(X[:], Y[:])` is
(X, Y) -> axes of Y. Arrays can't be written; results are copied; their dtype is that of the kernel's functions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol, runtime_checkable

from .derive import derive
from .dims import Dim, SizeClash, Sizes
from .errors import EinstanDerivativeError, EinstanNameError, EinstanShapeError, EinstanTypeError
from .ir import Call, Node, einsum, name_, pattern, substitute, toposort
from .prims.opaque import OPAQUE, sees_axes
from .prims.reduce import ALONG
from .prims.scalar import FUNCTIONS
from .show.text import show_expr
from .syntax import ast, names, words

Key = tuple[str, tuple[int, ...]]  # a function and the arguments it is differentiated in, sorted
WORDS = sorted({*words.ENTRYWISE, *ALONG})


@runtime_checkable
class Formula(Protocol):
    """A function that is written in nodes of one shape, entry by entry."""

    @property
    def arity(self) -> int: ...
    def value(self, args: Sequence[Node]) -> Node: ...


@runtime_checkable
class Spoken(Protocol):
    """A function of the language as an object: `es.tanh`."""

    name: names.Name
    along: tuple[ast.Index, ...] | None


@dataclass(frozen=True, slots=True)
class Bindings:
    """Functions by name that are written into nodes; callables by name and order."""

    written: Mapping[str, str | Formula]
    callables: Mapping[Key, Callable[..., Any]]


def bindings_of(given: Mapping[str, Any], known: Collection[str] | None) -> Bindings:
    """`compile(functions=given)` for a program whose opaque functions are `known`."""
    written: dict[str, str | Formula] = {}
    callables: dict[Key, Callable[..., Any]] = {}
    if not isinstance(given, Mapping):
        raise EinstanTypeError(f"functions is a {type(given).__name__}.", 'Write functions={"f": "tanh"}.')
    for text, value in given.items():
        key = read_key(str(text))
        if known is not None and key[0] not in known:
            raise unknown_function(key[0], known)
        if isinstance(value, Spoken):
            value = value.name.function
        if isinstance(value, str | Formula):
            written[key[0]] = checked_word(str(text), key, value)
        elif callable(value):
            callables[key] = value
        else:
            raise EinstanNameError(
                f"{text} is bound to {type(value).__name__}, which is no function.",
                f"Give one of {', '.join(WORDS)}, or a Python function of arrays.",
            )
    return Bindings(written, callables)


def read_key(text: str) -> Key:
    """`f''[1,2]` -> ("f", (0, 1))."""
    head, opened, slots = text.replace(" ", "").partition("'[")
    name = (head + "'" * bool(opened)).replace("'", "")
    primes = text.count("'")
    numbers = [n for n in slots.rstrip("]").split(",") if n]
    if any(not n.isdigit() or n == "0" for n in numbers) or len(numbers) not in {0, 1, primes}:
        raise EinstanNameError(f"{text!r} is no derivative of a function.", 'Write "f\'", "f\'[2]" or "f\'\'[1,2]".')
    return name, ast.Call(name, (), None, primes, tuple(sorted(int(n) - 1 for n in numbers))).order


def checked_word(text: str, key: Key, value: str | Formula) -> str | Formula:
    """A function of the language brings its derivatives along."""
    if isinstance(value, str) and value not in WORDS:
        raise EinstanNameError(
            f"{text} is bound to {value!r}, which is no function of the language.",
            f"Bind it to one of {', '.join(WORDS)}.",
        )
    if key[1]:
        raise EinstanNameError(
            f"The derivative {text} is bound to a function of the language.",
            f"Bind {key[0]} itself; its derivatives follow.",
        )
    return value


def unknown_function(name: str, known: Collection[str]) -> EinstanNameError:
    close = get_close_matches(name, list(known), 3)
    listed = f"They are {', '.join(sorted(known)[:12])}." if known else "It has none."
    return EinstanNameError(
        f"The program has no opaque function {name!r}.", f"Did you mean {' or '.join(close)}?" if close else listed
    )


# ---------------------------------------------------------------- functions written into nodes


def bind(root: Node, functions: Bindings) -> Node:
    """`root` with every opaque call of a written function replaced; derivatives of it follow."""
    table: dict[Node, Node] = {}
    for node in toposort([root]):
        if is_written(node, functions):
            table[node] = bound_call(node, substitute(node.operands, table), functions)
    return substitute([root], table)[0]


def is_written(node: Node, functions: Bindings) -> bool:
    return isinstance(node, Call) and node.prim is OPAQUE and node.params[0] in functions.written


def bound_call(y: Node, args: Sequence[Node], functions: Bindings) -> Node:
    """One call: the value, or its derivative in each slot in turn."""
    assert isinstance(y, Call)
    _, lead, _, slots = y.params
    assert isinstance(lead, int) and isinstance(slots, tuple)
    leaves = [name_(f"#{k}", a.shape) for k, a in enumerate(args)]
    node = value(y, leaves, functions)
    for slot in slots:
        node = slope(node, leaves[slot], lead)
    return substitute([node], dict(zip(leaves, args, strict=True)))[0]


def slope(node: Node, leaf: Node, lead: int) -> Node:
    """∂node[lead, rest]/∂leaf[lead, seen] -> [lead, rest, seen], for a node whose rows ride along."""
    axes = tuple(range(node.rank))
    seed = einsum([], [], axes[lead:] + axes, dict(enumerate(node.shape)))
    (found,) = derive(node, seed, [leaf])
    seen = tuple(range(node.rank, node.rank + leaf.rank - lead))
    return pattern(found, axes[lead:] + axes[:lead] + seen, axes + seen, {})


def value(y: Call, args: Sequence[Node], functions: Bindings) -> Node:
    """The function of `args`, with the leading axes and its new ones."""
    name, lead, new, _ = y.params
    assert isinstance(name, str) and isinstance(lead, int) and isinstance(new, tuple)
    f = functions.written[name]
    seen = {a.rank - lead for a in args}
    if f in ALONG and len(args) == 1 and isinstance(f, str) and seen != {0}:
        found = ALONG[f](args[0], *seen)
    elif len(args) != arity(f) or len(seen) > 1:
        raise misfit(name, f)
    else:
        found = f.value(args) if isinstance(f, Formula) else FUNCTIONS[f](*args)
    if found.rank != lead + len(new):
        raise misfit(name, f)
    return found


def arity(f: str | Formula) -> int:
    """How many arguments it has entry by entry; 0 for what only works along axes."""
    return f.arity if isinstance(f, Formula) else words.ENTRYWISE.get(f, 0)


def misfit(name: str, f: str | Formula) -> EinstanShapeError:
    said = f if isinstance(f, str) else "a formula"
    return EinstanShapeError(
        f"{name} is bound to {said}, which has not the arguments and axes that {name} has in the program.",
        "Entry by entry: f(x[i]); along axes and gone: f[](Z[i,K]); along axes that stay: f[j](Z[i,K]).",
    )


# ---------------------------------------------------------------- sizes that a binding decides


def sizes_of_results(roots: Sequence[Node], functions: Bindings) -> dict[str, Dim]:
    """Symbols that are other sizes once functions are known: softmax gives as many entries as it takes."""
    sizes = Sizes()
    for node in toposort(roots):
        if is_written(node, functions):
            assert isinstance(node, Call)
            name, lead, new, _ = node.params
            assert isinstance(lead, int) and isinstance(new, tuple)
            found = value(node, node.operands, functions)
            for d, wanted in zip(found.shape[lead:], new, strict=True):
                try:
                    sizes.unify(d, wanted)
                except SizeClash as clash:
                    raise EinstanShapeError(
                        f"{name} has a new axis of the size {clash.right}, and its binding gives {clash.left}.",
                        "Bind another function, or correct the sizes of the program.",
                    ) from None
    return {symbol: sizes.resolve(d) for symbol, d in sizes.binding.items()}


# ---------------------------------------------------------------- what stays a call


def spelled(y: Call) -> str:
    """`f''[1,2]`: the function, or the derivative of one, that is called."""
    name, _, _, slots = y.params
    assert isinstance(name, str) and isinstance(slots, tuple)
    said = () if len(y.operands) == 1 else slots[:1] if len(set(slots)) == 1 else slots
    return show_expr(ast.Call(name, (), None, len(slots), said)).removesuffix("()")


def callables_of(
    roots: Sequence[Node], functions: Bindings, letters: Mapping[str, str]
) -> dict[str, Callable[..., Any]]:
    """The callable of every call that is left, by spelling; `letters` say what a size symbol is called."""
    found: dict[str, Callable[..., Any]] = {}
    for y in toposort(roots):
        if not (isinstance(y, Call) and y.prim is OPAQUE):
            continue
        name, _, _, slots = y.params
        assert isinstance(name, str) and isinstance(slots, tuple)
        if (name, slots) in functions.callables:
            check_sizes(y, letters)
            found[spelled(y)] = functions.callables[name, slots]
        elif not any(known == name for known, _ in functions.callables):
            value = OPAQUE(*y.operands, params=(*y.params[:3], ()))
            raise EinstanNameError(
                f"The opaque function {name} is not bound.",
                f'Write compile(functions={{"{name}": "tanh"}}), a function of the language, or a Python function: '
                f"{convention(value, letters)}",
            )
        else:
            raise EinstanDerivativeError(
                f"{spelled(y)} is needed, and {name} is bound to a Python function, of which no derivative is known.",
                f'Give functions={{"{spelled(y)}": ...}} too: {convention(y, letters)}',
            )
    return found


def convention(y: Node, letters: Mapping[str, str]) -> str:
    """`f' is called with arrays [i,k] and returns [i,j,k]`."""
    assert isinstance(y, Call)
    given = ", ".join(lettered(o.shape, letters) for o in y.operands)
    kind = "" if sees_axes(y) else " entry by entry"
    arrays = "an array" if len(y.operands) == 1 else "arrays"
    return f"{spelled(y)} is called with {arrays} {given} and returns {lettered(y.shape, letters)}{kind}."


def lettered(shape: Sequence[Dim], letters: Mapping[str, str]) -> str:
    return f"[{', '.join(letters.get(str(d), str(d)) for d in shape)}]"


def check_sizes(y: Call, letters: Mapping[str, str]) -> None:
    """Every size of the result follows from an input, or is a number."""
    for d in y.shape:
        unknown = [s for s in d.symbols if s not in letters]
        if unknown:
            raise EinstanShapeError(
                f"The size of a new axis of {y.params[0]} does not follow from the inputs.",
                "Write `size j = 5` in the program, with the letter of that axis.",
            )
