"""einsum_spoiled: calls that are illegal, each a legal one with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from .einsum_cases import Case, Equation, Form, operands, text

Spoiler = Callable[[Random, Equation], Equation | None]


@dataclass(frozen=True)
class Call:
    """A call that must be refused, and why."""

    reason: str
    function: str
    arguments: Sequence[Any]
    keywords: dict[str, Any]


def spoiled(random: Random, case: Case) -> Call | None:
    """One thing of the case made wrong; nothing where the thing chosen is not there."""
    spoil = random.choice((an_equation, an_equation, a_text, a_list, an_option))
    return spoil(random, case)


# ---------------------------------------------------------------- subscripts and shapes


def changed(parts: Sequence[Any], at: int, new: Any) -> tuple[Any, ...]:
    return (*parts[:at], new, *parts[at + 1 :])


def label_too_many(random: Random, e: Equation) -> Equation | None:
    at = random.randrange(len(e.terms))
    labels = [l for term in e.terms for l in term if l is not Ellipsis]
    if not labels:
        return None
    missing = len(e.shapes[at]) - len([l for l in e.terms[at] if l is not Ellipsis]) + 1
    return replace(e, terms=changed(e.terms, at, e.terms[at] + tuple(random.choices(labels, k=missing))))


def label_missing(random: Random, e: Equation) -> Equation | None:
    """An axis without a label, where no ellipsis takes it."""
    found = [n for n, term in enumerate(e.terms) if Ellipsis not in term]
    if not found:
        return None
    at = random.choice(found)
    return replace(e, shapes=changed(e.shapes, at, (*e.shapes[at], random.choice((0, 1, 2)))))


def size_clash(random: Random, e: Equation) -> Equation | None:
    """A label of two sizes, neither of them one."""
    places: dict[Hashable, list[tuple[int, int]]] = {}
    for k, (labels, shape) in enumerate(zip(e.inputs(), e.shapes, strict=True)):
        for axis, label in enumerate(labels):
            if shape[axis] != 1:
                places.setdefault(label, []).append((k, axis))
    shared = [found for found in places.values() if len(found) > 1]
    if not shared:
        return None
    k, axis = random.choice(random.choice(shared))
    size = e.shapes[k][axis]
    new = random.choice([d for d in (0, 2, 3, size + 1, 2 * size) if d not in (1, size)])
    return replace(e, shapes=changed(e.shapes, k, changed(e.shapes[k], axis, new)))


def stretched_diagonal(random: Random, e: Equation) -> Equation | None:
    """Size one does not stretch along a diagonal."""
    found = [
        (k, labels.index(label))
        for k, (labels, shape) in enumerate(zip(e.inputs(), e.shapes, strict=True))
        for label, d in zip(labels, shape, strict=True)
        if labels.count(label) > 1 and d != 1
    ]
    if not found:
        return None
    k, axis = random.choice(found)
    return replace(e, shapes=changed(e.shapes, k, changed(e.shapes[k], axis, 1)))


def unknown_in_output(_: Random, e: Equation) -> Equation | None:
    used = {l for term in e.terms for l in term}
    stranger = next((l for l in (*"abxyzAZ", 0, 1, 2, 3, 40, 51) if l not in used), None)
    same_kind = all(isinstance(l, type(stranger)) for l in used - {Ellipsis})
    return replace(e, output=(*(e.output or ()), stranger)) if used and stranger is not None and same_kind else None


def repeated_in_output(random: Random, e: Equation) -> Equation | None:
    if not e.output:
        return None
    return replace(e, output=(*e.output, random.choice(e.output)))


def operand_missing(_: Random, e: Equation) -> Equation:
    return replace(e, shapes=e.shapes[:-1])


def operand_too_many(random: Random, e: Equation) -> Equation:
    return replace(e, shapes=(*e.shapes, random.choice(e.shapes)))


def two_ellipses(random: Random, e: Equation) -> Equation:
    at = random.randrange(len(e.terms))
    return replace(e, terms=changed(e.terms, at, (Ellipsis, *e.terms[at], Ellipsis)))


SPOILERS: tuple[Spoiler, ...] = (
    label_too_many, label_missing, size_clash, size_clash, stretched_diagonal, unknown_in_output, repeated_in_output,
    operand_missing, operand_too_many, two_ellipses,
)  # fmt: skip


def an_equation(random: Random, case: Case) -> Call | None:
    spoil = random.choice(SPOILERS)
    wrong = spoil(random, case.equation)
    if wrong is None:
        return None
    xs = operands(random, wrong, [case.dtype] * len(wrong.shapes), case.dtype)
    keywords = {k: v for k, v in case.keywords.items() if k == "optimize" and not isinstance(v, list)}
    counted = len(wrong.shapes) == len(wrong.terms)
    form = case.form if counted else Form(case.form.function, text, case.form.labels)
    if form.spell is text and any(not isinstance(l, str) for t in wrong.terms for l in t if l is not Ellipsis):
        return None
    return Call(spoil.__name__, form.function, form.spell(wrong, xs, random), keywords)


# ---------------------------------------------------------------- what is written


BAD_TEXTS: tuple[Callable[[str], str], ...] = (
    lambda s: s + "." if "->" in s else s + "->.",
    lambda s: ".." + s,
    lambda s: s.split("->")[0] + "->->",
    lambda s: s + "%",
    lambda s: "$" + s,
    lambda s: s + "\x00",
    lambda s: s + "-",
    lambda s: ">" + s,
    lambda s: s.split("->")[0] + "-> >",
    lambda s: "->" + s.split("->")[0] + "->",
    lambda s: s + "->a,b" if "->" not in s else s + ",a",
    lambda s: "{}" + s,
)


def a_text(random: Random, case: Case) -> Call | None:
    if not isinstance(case.arguments[0], str):
        return None
    wrong = random.choice(BAD_TEXTS)(case.arguments[0])
    return Call(f"text {wrong!r}", case.form.function, [wrong, *case.arguments[1:]], {})


BAD_LABELS: tuple[Any, ...] = (-1, 52, 2.5, None, [], {}, 10**30, "1", b"a", ...)


def a_list(random: Random, case: Case) -> Call | None:
    """A label that numpy's form has not."""
    if isinstance(case.arguments[0], str) or case.form.function != "einsum":
        return None
    at = random.randrange(len(case.equation.terms))
    term, bad = list(case.equation.terms[at]), random.choice(BAD_LABELS)
    if not term or (bad is Ellipsis and Ellipsis not in term):
        return None
    term = [bad, *term[1:]] if bad is not Ellipsis else [bad, *term]
    return Call(f"label {bad!r}", "einsum", changed(case.arguments, 2 * at + 1, term), {})


# ---------------------------------------------------------------- options


def bad_out(random: Random, case: Case) -> Any:
    shape = case.equation.result()
    sizes = [2] * (len(shape) + 1)
    return random.choice((np.zeros(sizes, case.dtype), "out", [0.0], 5, np.zeros(sizes[1:], "U3")))


BAD_OPTIONS: dict[str, Callable[[Random, Case], dict[str, Any]]] = {
    "out": lambda random, case: {"out": bad_out(random, case)},
    "dtype": lambda random, case: {"dtype": random.choice(("bad", "U3", "M8[s]", 3, np.dtype("i4,f8")))},
    "casting": lambda random, case: {"casting": random.choice(("blah", 3, ""))},
    "loss": lambda random, case: {"dtype": "M8[s]" if all(np.asarray(x).dtype == "?" for x in case.operands) else "?"},
    "order": lambda random, case: {"order": random.choice(("W", "CF", 1))},
    "optimizer": lambda random, case: {"optimize": random.choice(("best", "", 2.5j, ["einsum_path", (0, 99)]))},
    "path": lambda random, case: {"optimize": ["einsum_path", (0, 0), *[(0, 1)] * (len(case.operands) - 2)]},
    "unknown": lambda random, case: {random.choice(("axis", "bad_arg", "where")): 0},
}


def an_option(random: Random, case: Case) -> Call | None:
    name = random.choice(list(BAD_OPTIONS))
    if case.form.function != "einsum":
        return None
    return Call(f"option {name}", "einsum", case.arguments, BAD_OPTIONS[name](random, case))
