"""numpy_text: pieces of Python text for numpy: values with their axes, identifiers, numbers, spelling of functions."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from keyword import iskeyword, issoftkeyword
from string import ascii_letters

from .text import decimal_places, number

Axes = tuple[str, ...]

SUM, PRODUCT, POWER, ATOM = range(4)  # how tightly Python text holds together
WIDTH = 100


@dataclass(frozen=True, slots=True)
class Value:
    """Python text, how tightly it binds, and the index of each of its axes."""

    text: str
    bind: int = ATOM
    axes: Axes = ()

    @property
    def atom(self) -> str:
        return self.over(POWER)

    def over(self, bind: int) -> str:
        """The text as an operand of something that binds as tightly as `bind`."""
        return self.text if self.bind > bind else f"({self.text})"


def aligned(value: Value, axes: Axes) -> Value:
    """The value on `axes`: transposed to their order, None where it lacks one that others have."""
    order = [value.axes.index(x) for x in axes if x in value.axes]
    if order != sorted(order):
        turned = ".T" if order == [1, 0] else f".transpose({', '.join(map(str, order))})"
        value = replace(value, text=value.atom + turned, bind=ATOM)
    has = [x in value.axes for x in axes]
    first = has.index(True) if True in has else len(has)
    last = len(has) - has[::-1].index(False) if False in has else 0
    if first < last:
        text = f"{value.atom}[{', '.join(':' if h else 'None' for h in has[first:last])}]"
        return Value(text, ATOM, axes)
    return replace(value, axes=tuple(x for x in axes if x in value.axes))


def arranged(own: Iterable[str], order: Iterable[str]) -> Axes:
    """`own` with those of `order` first."""
    own = tuple(own)
    first = tuple(x for x in dict.fromkeys(order) if x in own)
    return first + tuple(x for x in own if x not in first)


def letters_of(names: Iterable[str]) -> dict[str, str]:
    """A letter for each index: its own first letter if it is free, lower case before upper."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        first = name[0]
        wishes = chain((first.lower(), first), ascii_letters)
        found[name] = next(x for x in wishes if x in ascii_letters and x not in found.values())
    return found


def literal(value: Fraction) -> Value:
    """A number as Python has it; integers that no machine integer holds as floats."""
    text = number(value)
    if value.denominator == 1 and abs(value) > 2**53 and "e" not in text:
        text += ".0"
    if value < 0:
        return Value(text, SUM)
    return Value(text, ATOM if decimal_places(value) is not None else PRODUCT)


def identifier(name: str) -> str:
    """A name as a Python identifier: W' is W_prime, X^{(m)} is X_m, \\hat{X} is hat_X."""
    plain = unicodedata.normalize("NFKC", re.sub("_*'", "_prime", name))
    word = re.sub(r"[^\w]+", "_", plain).strip("_") or "x"
    word = word if word.isidentifier() else f"x_{word}"
    word = word if word.isidentifier() else "x"
    return f"{word}_" if iskeyword(word) or issoftkeyword(word) else word


def note(title: str, things: Sequence[str], between: str = ", ") -> list[str]:
    shown = "".join(c if c.isprintable() else "?" for c in f"{title}: {between.join(things)}")
    return (
        textwrap.wrap(shown, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
        if things
        else []
    )


# the functions of the language: in one expression, or as helpers that the text holds when it calls them

ENTRYWISE: dict[str, str] = {
    **{x: f"np.{x}({{0}})" for x in "sqrt exp log log1p expm1 sin cos tan sinh cosh tanh abs sign".split()},
    **{x: f"np.arc{x[1:]}({{0}})" for x in "asin acos atan".split()},
    "relu": "np.maximum({0}, 0)",
    "softplus": "np.logaddexp(0, {0})",
    "step": "np.where({0} > 0, 1.0, 0.0)",
    "max": "np.maximum({0}, {1})",
    "min": "np.minimum({0}, {1})",
}

MATRIX: dict[str, str] = {
    **{x: f"np.linalg.{x}({{0}})" for x in ("inv", "det", "cholesky")},
    "logdet": "np.linalg.slogdet({0})[1]",
    "tril": "np.tril({0})",
    "trace": "np.trace({0}, axis1=-2, axis2=-1)",
}

HELPERS: dict[str, str] = {
    "sigmoid": """\
def sigmoid(x):  # 1 / (1 + exp(-x)), without overflow
    return np.exp(-np.logaddexp(0, -x))
""",
    "silu": """\
def silu(x):
    return x * sigmoid(x)
""",
    "erf": """\
def erf(x):  # numpy has none
    return np.vectorize(math.erf, otypes=[float])(x)
""",
    "gelu": """\
def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2
""",
    "elu": """\
def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
""",
    "logsumexp": """\
def logsumexp(x, axis):  # the largest entry taken out first
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return np.log(np.sum(np.exp(x - top), axis=axis)) + np.squeeze(top, axis=axis)
""",
    "norm": """\
def norm(x, axis):  # scaled, so that no square overflows or vanishes
    top = np.max(np.abs(x), axis=axis, keepdims=True, initial=0)
    scale = np.where((top == 0) | np.isinf(top), 1, top)
    return np.sqrt(np.sum((x / scale) ** 2, axis=axis)) * np.squeeze(scale, axis=axis)
""",
    "softmax": """\
def softmax(x, axis):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)
""",
    "log_softmax": """\
def log_softmax(x, axis):
    z = x - np.max(x, axis=axis, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True))
""",
    "solve": """\
def solve(a, b):  # any number of axes after the rows of b, or none, are columns
    columns = int(np.prod(b.shape[a.ndim - 1 :]))
    return np.linalg.solve(a, b.reshape(*a.shape[:-1], columns)).reshape(b.shape)
""",
    "diagonal": """\
def diagonal(x, subscripts, shape):  # zero off the diagonal
    out = np.zeros(shape)
    np.einsum(subscripts, out)[...] = x
    return out
""",
}
