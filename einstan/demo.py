"""demo: three formulas from text to numbers: a dense layer, an LSTM's forget gate, a gated readout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .programs import Program, parse
from .show.einsum import einsum_module
from .testing import finite_difference

WIDTH = 92
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A formula, what is derived from it, and data to run it on."""

    title: str
    question: str
    text: str
    of: str
    wrt: tuple[str, ...]
    data: Callable[[np.random.Generator], Arrays]
    shown: tuple[str, ...]


CASES = (
    Case(
        "1. The article's layer",
        "A capital index that two factors share is summed: X[b,K] W[K,j] is the matrix product.",
        """
Z[b,j] = X[b,K] W[K,j] + c[j]
Y[b,j] = tanh(Z[b,j])
L = (Y[B,J] - T[B,J]) (Y[B,J] - T[B,J])
""",
        "L",
        ("W", "c"),
        lambda r: {
            "X": r.normal(size=(5, 3)),
            "W": r.normal(size=(3, 2)),
            "c": r.normal(size=2),
            "T": r.normal(size=(5, 2)),
        },
        ("L",),
    ),
    Case(
        "2. The forget gate",
        "[h, x] is end to end: with h and x of two entries W has four columns, and f = [0.952574, 0.999665].",
        """
f[j] = sigmoid(W[j,K] [h[K], x[K]]_K + c[j])
L = g[J] f[J]
""",
        "L",
        ("W", "c", "h", "x"),
        lambda r: {
            "W": np.array([[0.0, 1, 0, 1], [2, 3, 2, 3]]),
            "h": np.array([-1.0, 2]),
            "x": np.array([3.0, 0]),
            "c": np.array([1.0, -2]),
            "g": np.array([1.0, 1]),
        },
        ("f",),
    ),
    Case(
        "3. The gated readout",
        "The sum over the nodes V covers the product; d stays: h[d] = tanh(A[V,d] B[V,d]).",
        """
C[v,k] = [n[v,k], x[v,k]]_k
a[v,d] = C[v,K] Wi[K,d] + bi[d]
c[v,d] = C[v,K] Wj[K,d] + bj[d]
A[v,d] = sigmoid(a[v,d])
B[v,d] = tanh(c[v,d])
h[d] = tanh(A[V,d] B[V,d])
L = g[D] h[D]
""",
        "L",
        ("Wi", "bi"),
        lambda r: {
            "n": r.normal(size=(4, 3)),
            "x": r.normal(size=(4, 2)),
            "Wi": r.normal(size=(5, 2)),
            "bi": r.normal(size=2),
            "Wj": r.normal(size=(5, 2)),
            "bj": r.normal(size=2),
            "g": r.normal(size=2),
        },
        ("h",),
    ),
)


def screens() -> Iterator[str]:
    """One text per case: formula, gradient, einsums, source, a run, the gradient checked."""
    for case in CASES:
        yield screen(case)


def screen(case: Case) -> str:
    program = parse(case.text)
    arrays = case.data(np.random.default_rng(0))
    gradient = program.grad(case.of, wrt=list(case.wrt))
    kernel = gradient.compile()
    values = program.compile(list(case.shown))(arrays)
    slopes = kernel(arrays)
    parts = [
        rule(case.title),
        case.question,
        heading("formula"),
        indent(str(program)),
        heading(f"gradient of {case.of} by {', '.join(case.wrt)}"),
        indent(str(gradient)),
        heading("the same as numpy to read and paste"),
        indent(einsum_module(gradient.checked, [case.of], gradient.lines)),
        heading("the program that runs"),
        indent(main_function(kernel.source)),
        heading("a run"),
        *(indent(f"{name} = {np.array2string(value, precision=6)}") for name, value in values.items()),
        heading("central differences against the gradient: largest relative difference"),
        *(indent(f"{name:3} {difference(program, case.of, arrays, name, slopes[name]):.1e}") for name in case.wrt),
    ]
    return "\n".join(parts) + "\n"


def main_function(source: str) -> str:
    """The function that does the work, out of the whole module."""
    start = source.index("def run(")
    return source[start : source.index("\n\n\n", start)]


def difference(program: Program, of: str, arrays: Arrays, name: str, slope: np.ndarray) -> float:
    """The largest difference of any entry from its central difference, relative to the largest entry."""
    wanted = finite_difference(program.compile(of), arrays, name, step=1e-5)
    return float(np.abs(wanted - slope).max() / max(1e-300, np.abs(slope).max()))


def rule(title: str) -> str:
    return f"── {title} ".ljust(WIDTH, "─")


def heading(words: str) -> str:
    return f"\n{words}"


def indent(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip().splitlines())
