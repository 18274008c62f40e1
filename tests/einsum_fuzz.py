"""einsum_fuzz: random contractions against the definition, and spoiled ones, which must be refused.

`python -m tests.einsum_fuzz --equations 100000 --seed 0` judges as many legal equations, one a seed from there on:
shape, dtype, every entry within the componentwise bound of `einsum_reference`, operands unchanged, `out` returned,
memory shared exactly where numpy shares it. Some are called twice, some are spoiled as well, and some of the texts
garbled, which is legal exactly where numpy says so. `--equations 1 --seed N` repeats one.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

import einstan as es

from .einsum_cases import FORMS, Array, Case, case, dtypes, equation, text
from .einsum_reference import Truth, contraction, mistake
from .einsum_spoiled import spoiled
from .fuzz import patience

PATIENCE = 20  # seconds that one call may take before it is called hanging


def contract_expression(
    subscripts: str, *operands: Any, constants: Sequence[int] = (), out: Any = None, **options: Any
):
    """Built for the shapes, called on the arrays that are no constants."""
    given = [x if k in constants else np.shape(x) for k, x in enumerate(operands)]
    built = es.contract_expression(subscripts, *given, constants=constants, **options)
    return built(*(x for k, x in enumerate(operands) if k not in constants), out=out)


FUNCTIONS = {"einsum": es.einsum, "contract": es.contract, "contract_expression": contract_expression}


# ---------------------------------------------------------------- legal cases


def of_seed(seed: int) -> tuple[Random, list[Case]]:
    """The seed's case; at times with a second, of the same subscripts, shapes and dtypes on other arrays."""
    random = Random(seed)
    form = random.choice(FORMS)
    e = equation(random, form)
    kinds = dtypes(random, len(e.terms))
    return random, [case(random, form, e, kinds) for _ in range(random.choice((1, 1, 1, 1, 1, 1, 1, 2)))]


def trouble(seed: int) -> str:
    """What is wrong with the seed's case, or with what becomes of it spoiled; empty where nothing is."""
    random, cases = of_seed(seed)
    outcomes = [outcome(c) for c in cases]
    for c, o in zip(cases, outcomes, strict=True):
        if sentence := o.judge(c):
            return f"{sentence}\n    {called(c)}"
    found = next((f"after another call {sentence}" for o in outcomes if (sentence := o.mistake())), "")
    if not found and random.random() < 0.2:
        found = accepted(random, cases[0])
    if not found and random.random() < 0.1:
        found = garbled(random, cases[0])
    return found


@dataclass(frozen=True)
class Outcome:
    """What came of a case: a result or an error; the operands as they were, and the truth about them."""

    got: Any
    before: list[Array]
    truth: Truth

    def mistake(self) -> str:
        return mistake(self.truth, self.got)

    def judge(self, case: Case) -> str:
        if isinstance(self.got, Exception):
            return raised(self.got)
        return (
            wrong_kind(case, self.got) or self.mistake() or meddled(case, self.before) or wrong_memory(case, self.got)
        )


def outcome(case: Case) -> Outcome:
    before = [np.array(x) for x in case.operands]
    truth = contraction(case.equation.inputs(), case.equation.result(), before, case.dtype)
    return Outcome(answer(case.form.function, case.arguments, case.keywords), before, truth)


def answer(function: str, arguments: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """The result of the call, or the error that it raises."""
    try:
        with patience(PATIENCE), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return FUNCTIONS[function](*arguments, **keywords)
    except Exception as error:
        return error


def wrong_kind(case: Case, got: Any) -> str:
    out = case.keywords.get("out")
    if out is not None:
        return "" if got is out else "out is not what is returned"
    return "" if got.dtype.newbyteorder("=") == case.dtype else f"the dtype is {got.dtype}, not {case.dtype}"


def raised(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if "einstan" in f.filename] or frames
    return f"{type(error).__name__} at {inside[-1].filename.rsplit('/', 1)[-1]}:{inside[-1].lineno}: {str(error)[:300]}"


def shares(got: Any, case: Case) -> bool:
    return any(np.may_share_memory(got, x) for x in case.operands if isinstance(x, Array))


def meddled(case: Case, before: Sequence[Array]) -> str:
    """Operands stay as they are, but for those that `out` overlaps."""
    out = case.keywords.get("out", ())
    kept = [k for k, x in enumerate(case.operands) if not (isinstance(x, Array) and np.may_share_memory(x, out))]
    changed = [k for k in kept if not np.array_equal(case.operands[k], before[k], equal_nan=True)]
    return f"operands {changed} were written to" if changed else ""


def wrong_memory(case: Case, got: Any) -> str:
    """A result is a view, writeable or not, where numpy's is; else it shares memory with nothing."""
    if "out" in case.keywords or "dtype" in case.keywords:  # numpy's views are of the operand's dtype nevertheless
        return ""
    if len(case.operands) > 1:
        contiguous = np.asarray(got).flags.c_contiguous, np.asarray(got).flags.f_contiguous
        if not dict(zip("CF", contiguous, strict=True)).get(case.keywords.get("order", "K"), True):
            return "the result lies in memory in another order"
        return "the result shares memory with an operand" if shares(got, case) else ""
    if case.form.function != "einsum" or case.dtype.kind == "V" or not np.size(case.operands[0]):
        return ""  # numpy knows no bfloat16, and writes past the end of empty arrays
    theirs = np.einsum(*case.arguments, **case.keywords)
    ours = (type(got), got.dtype, shares(got, case), shares(got, case) and got.flags.writeable)
    wanted = (type(theirs), theirs.dtype, shares(theirs, case), shares(theirs, case) and theirs.flags.writeable)
    return f"(type, dtype, view, writeable) is {ours}, numpy's {wanted}" if ours != wanted else ""


# ---------------------------------------------------------------- illegal ones


def refused(found: Any) -> bool:
    return isinstance(found, es.EinstanError | TypeError)


def accepted(random: Random, case: Case) -> str:
    call = spoiled(random, case)
    if call is None:
        return ""
    found = answer(call.function, call.arguments, call.keywords)
    what = raised(found) if isinstance(found, Exception) else f"{found!r:.100} instead of an error"
    written = f"{call.function}({shown(call.arguments, call.keywords)})"
    return "" if refused(found) else f"spoiled ({call.reason}): {written}: {what}"


GARBAGE = [*"abij,.->-> A%", "...", "->", ",,", "..."]  # no digits: they are labels of ours, as of opt_einsum


def garbled(random: Random, case: Case) -> str:
    """A text with letters changed: legal, and of the same value, exactly where numpy with optimize=True says so."""
    e = case.equation
    if case.form is not FORMS[0] or any(len(term) != len(shape) for term, shape in zip(e.terms, e.shapes, strict=True)):
        return ""
    xs = [np.arange(1.0, 1 + 2 ** len(shape)).reshape((2,) * len(shape)) for shape in e.shapes]
    written = list(text(e, [], random)[0])
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(written) + 1)
        other = random.choice((random.choice(GARBAGE), random.choice(written or "a")))
        written[at : at + random.choice((0, 1, 1))] = other
    subscripts = "".join(written)
    try:
        theirs = np.einsum(subscripts, *xs, optimize=True)
    except (ValueError, KeyError, IndexError) as error:
        theirs = error
    ours = answer("einsum", [subscripts, *xs], {})
    illegal = isinstance(theirs, Exception)
    if illegal == refused(ours) and (illegal or np.allclose(ours, theirs)):
        return ""
    return f"garbled {subscripts!r} on {[x.ndim for x in xs]} axes of 2: {ours!r:.200}; numpy: {theirs!r:.200}"


# ---------------------------------------------------------------- reports


def shown(arguments: Sequence[Any], keywords: dict[str, Any]) -> str:
    return ", ".join([*map(brief, arguments), *(f"{k}={brief(v)}" for k, v in keywords.items())])


def brief(x: Any) -> str:
    """A value in short; an array by its dtype, shape and strides."""
    if not isinstance(x, Array):
        return f"{x!r:.200}"
    strides = "" if x.flags.c_contiguous else f" strides {x.strides}"
    return f"<{x.dtype.str if x.dtype.kind != 'V' else x.dtype} {x.shape}{strides}>"


def called(case: Case) -> str:
    return f"es.{case.form.function}({shown(case.arguments, case.keywords)})  in {case.dtype}"


def run(seed: int, count: int, minutes: float) -> Counter[str]:
    """`count` cases from `seed` on, or as many as the minutes allow: how many there were, and how many failed."""
    start, last = time.monotonic(), 0.0
    done: Counter[str] = Counter()
    for number in range(seed, seed + count):
        done["equations"] += 1
        if found := trouble(number):
            done["failures"] += 1
            print(f"seed {number}: {found}", flush=True)
        now = time.monotonic() - start
        if now > 60 * minutes:
            break
        if sys.stderr.isatty() and now - last > 0.5:
            last = now
            left = (count - done["equations"]) * now / done["equations"]
            print(
                f"\r{done['equations']:,} of {count:,}, {done['failures']} failures, {left:.0f} s left ",
                end="",
                file=sys.stderr,
            )
    return done


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.einsum_fuzz", description=__doc__)
    options.add_argument("--equations", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--minutes", type=float, default=float("inf"))
    given = options.parse_args()
    start = time.monotonic()
    done = run(given.seed, given.equations, given.minutes)
    seconds, last = time.monotonic() - start, given.seed + done["equations"] - 1
    counts = f"{done['equations']:,} equations, {done['failures']} failures"
    print(f"seeds {given.seed} to {last}: {counts}, {seconds:.0f} s")
    return int(bool(done["failures"]))


if __name__ == "__main__":
    sys.exit(main())
