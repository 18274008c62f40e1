"""seconds: what steps take is predicted from where entries lie, as numpy lays them and walks through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import inf
from typing import Any

import numpy as np
import pytest

import einstan as es
from einstan.backends.numpy import COMPARISONS, OPS
from einstan.contractions.contraction import contraction
from einstan.machine.rates import TYPICAL, Cost
from einstan.plan import Plan, Step, Value
from einstan.plan.layout import layout
from einstan.plan.seconds import innermost, seconds, taken, walk

from .models import MODELS

BY_NAME = {model.name: model for model in MODELS}
models = pytest.mark.parametrize("name", BY_NAME)


@cache
def planned(name: str) -> Plan:
    """The plan of a model's loss with all gradients."""
    model = BY_NAME[name]
    gradient = es.parse(model.text).value_and_grad(model.of, wrt=list(model.wrt))
    k = gradient.compile(functions=dict(model.functions))
    k(model.arrays())
    return k._current().plan


def steps(text: str, **sizes: int) -> list[Step]:
    """What a program of one name computes in every call, for these sizes of those of its axes that are here."""
    p = es.parse(text)
    letters = {letter for axes in p.compile("y").inputs.values() for letter in axes}
    k = p.compile("y", sizes={letter: n for letter, n in sizes.items() if letter in letters})
    return [s for s in k.steps if not s.is_view and s.out.storage.kind != "constant"]


# ---------------------------------------------------------------- where entries lie

SHOW: dict[str, Any] = {
    "transpose": lambda a, params: a.transpose(params),
    "reshape": lambda a, params: a.reshape(params),
    "index": lambda a, params: a[tuple(None if e is None else slice(*e) for e in params)],
    "diagonal": lambda a, params: np.einsum(a, params[0], params[1]),
}


def arrays_of(plan: Plan) -> dict[Value, np.ndarray[Any, Any]]:
    """An array of numpy for every value of a plan: views of what they show."""
    found: dict[Value, np.ndarray[Any, Any]] = {}
    for s in plan.steps:
        for v in (*s.arrays, s.out):
            if v not in found and v.shows is None:
                found[v] = np.empty(v.shape, v.dtype)
        if s.is_view:
            (of,) = s.arrays
            found[s.out] = SHOW[s.op](found[of], s.params)
    return found


@models
def test_layouts_are_numpys(name: str) -> None:
    for v, array in arrays_of(planned(name)).items():
        assert v.shape == array.shape
        want = [n // array.itemsize for n in array.strides]
        assert [s for s, d in zip(layout(v), v.shape, strict=True) if d > 1] == [
            s for s, d in zip(want, v.shape, strict=True) if d > 1
        ]


ENTRYWISE = OPS.keys() - {"dot", "matmul", "fold", "fill", "ones", "copy", "concat", "part", "sum", "where"}


def entrywise(plan: Plan) -> Iterator[Step]:
    for s in plan.steps:
        if s.op in ENTRYWISE and not s.is_view and not OPS[s.op].helper and "axis" not in OPS[s.op].text:
            yield s


@models
def test_rows_are_those_of_numpys_iterator(name: str) -> None:
    plan = planned(name)
    arrays = arrays_of(plan)
    for s in entrywise(plan):
        operands = [*(arrays[v] for v in s.arrays), arrays[s.out]]
        shape, strides = walk(s)
        assert shape == operands[-1].shape
        chunks = np.nditer(
            operands, ["external_loop", "zerosize_ok"], [["readonly"]] * (len(operands) - 1) + [["readwrite"]]
        )
        first = next(iter(chunks))
        chunk = first if isinstance(first, tuple) else (first,)
        axis, run = innermost(shape, strides, False)
        assert run == chunk[0].size
        if run > 1:
            assert [own[axis] for own in strides] == [c.strides[0] // c.itemsize for c in chunk]


@pytest.mark.parametrize(
    ("shape", "strides", "is_taken"),
    [
        ((4,), (9,), True),
        ((4, 5), (5, 1), True),
        ((4, 5), (1, 4), True),
        ((4, 5), (9, 1), True),
        ((4, 5), (1, 9), True),
        ((4, 5), (9, 2), False),
        ((4, 5), (2, 9), False),
        ((4, 5), (0, 1), False),
        ((1, 5), (0, 1), True),
        ((4, 1), (1, 0), True),
        ((7, 4, 5), (20, 5, 1), True),
        ((7, 4, 5), (1, 35, 7), False),
    ],
)
def test_matrices_that_a_blas_takes(
    shape: tuple[int, ...], strides: tuple[int, ...], is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("einstan.plan.seconds.layout", lambda v: list(strides))
    assert taken(Value(0, shape, np.dtype(float), "input")) is is_taken


# ---------------------------------------------------------------- what a step takes

UNIT = replace(
    TYPICAL,
    costs={op: Cost(1.0, 10.0, 100.0) for op in OPS},
    curves={
        "moved": ((1.0, 1e-3),),
        "read": ((1.0, 1e-4),),
        "crossed": ((1.0, 7.0),),
        "aliased": ((1.0, 70.0),),
        "product": ((1.0, 0.5),),
    },
    numbers={"view": 2.0, "iterator": 3.0, "each": 4.0, "naive": 5.0, "scattered": 6.0, "half": 1e6},
)
FAST = replace(UNIT, curves={**UNIT.curves, "moved": ((1.0, 1e30),), "read": ((1.0, 1e30),)})
ENTRIES = {  # one step -> its seconds where memory takes no time
    "y[i] = tanh(x[i])": 1 + 19 * 100,
    "y[i,j] = tanh(x[i,j])": 1 + 99 * 100,
    "y[i,j] = x[i,j] a[i]": 1 + 3 + 19 * 10 + 99 * 100,
    "y[i,j] = x[i,j] a[j]": 1 + 3 + 19 * 10 + 99 * 100,
    "y[i,j] = x[i,j] + z[i,j]": 1 + 99 * 100,
    "y = 2 a": 1 + 3,
    "y = a^2": 1,
    "y[i,m] = x[i,K] w[K,m]": 1 + 2 * 20 * 5 * 3 / 0.5,
    "y[i] = x[i,K] w[K]": 1,
    "y = x[K] w[K]": 1,
    "y[b,i,m] = x[b,i,K] w[b,K,m]": 1 + 7 * (4 + 2 * 20 * 5 * 3 / 0.5),
    "y[b,i] = x[b,i,K] w[b,K]": 1 + 7 * 4,
}


@pytest.mark.parametrize("text", ENTRIES)
def test_calls_rows_and_entries(text: str) -> None:
    (found,) = steps(text, i=20, j=5, k=5, m=3, b=7)
    assert seconds(found, FAST) == pytest.approx(ENTRIES[text])


@pytest.mark.parametrize("text", ENTRIES)
def test_moving_bytes_takes_as_long_as_it_takes(text: str) -> None:
    """Entrywise work goes on in the meantime, matrix products wait for it."""
    (found,) = steps(text, i=20, j=5, k=5, m=3, b=7)
    product = found.op in ("dot", "matmul")
    moving = found.bytes / (1e-4 if text.endswith(("w[K]", "w[b,K]")) else 1e-3)
    assert seconds(found, UNIT) == pytest.approx(moving + (ENTRIES[text] if product else 1))


DEARER = {  # of two programs the second takes longer, at equal flops
    "a row of its own for each entry": ("y[i,j] = x[i,j] + z[i,j]", "y[i,j] = x[i,j] + a[i]"),
    "across": ("y[i,j] = x[i,j] + z[i,j]", "y[i,j] = x[i,j] + z[j,i]"),
    "a function": ("y[i,j] = 2 x[i,j]", "y[i,j] = sin(x[i,j])"),
    "a dear function": ("y[i,j] = exp(x[i,j])", "y[i,j] = erf(x[i,j])"),
    "many products": ("y[i,j,m] = x[i,j,K] w[K,m]", "y[i,j,m] = x[i,j,K] w[i,K,m]"),
    "batch innermost": ("y[i,j,m] = x[i,j,K] w[i,K,m]", "y[j,m,i] = x[i,j,K] w[i,K,m]"),
    "rows of powers of two": ("y[p,q] = x[q,p]", "y[u,v] = x[v,u]"),
}


@pytest.mark.parametrize("name", DEARER)
def test_what_takes_longer(name: str) -> None:
    sizes = {"i": 40, "j": 40, "k": 40, "m": 40, "p": 511, "q": 513, "u": 512, "v": 512}
    cheap, dear = (sum(seconds(s, TYPICAL) for s in steps(text, **sizes)) for text in DEARER[name])
    assert dear > 1.2 * cheap


def test_casts_of_halves() -> None:
    halves = contraction(((0,), (0,)), (0,), ((10,), (10,)), np.dtype("float16")).plan
    assert [seconds(s, FAST) for s in halves.steps if s.op == "copy"] == [1 + 9 * 1e6] * 3


# ---------------------------------------------------------------- kernels


@models
def test_every_step_has_a_time(name: str) -> None:
    for s in planned(name).steps:
        made_once = s.out.storage.kind == "constant" or (s.is_view and s.out.storage.kind == "work")
        assert (seconds(s, TYPICAL) == 0) if made_once else (0 < seconds(s, TYPICAL) < 1)


def test_times_add_up() -> None:
    k = es.parse("L = tanh(X[B,K] w[K]) 1[B]").value_and_grad("L", wrt="w").compile(sizes={"b": 30, "k": 20})
    together = sum(s.seconds for s in k.steps)
    assert together < k.cost.seconds < together + 1e-3
    assert [s.seconds for s in k.steps] == [s.seconds for s in k.steps]


def test_beyond_floats() -> None:
    k = es.parse("y[i] = exp(x[i])").compile("y", sizes={"i": 10**400})
    assert k.cost.seconds == k.steps[0].seconds == inf
    assert repr(k.steps[0]).endswith("~ ∞ s")


def test_shown() -> None:
    k = es.parse("Y[i,j] = tanh(A[i,K] B[K,j])").compile("Y", sizes={"i": 300, "j": 300, "k": 300})
    for s in k.steps:
        assert repr(s).startswith(f"{s.out!r} = {s.op}(")
        assert repr(s).endswith("s") and " ~ " in repr(s)


def test_comparisons_are_predicted_for_what_they_compare() -> None:
    (found,) = (s for s in steps("y[i] = 1.0 * (x[i] < 0.5)", i=10) if s.op in COMPARISONS)
    assert found.seconds > 0
