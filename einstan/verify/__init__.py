"""verify: claims of a program, decided link by link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..collector import paused
from ..errors import EinstanError
from ..programs import Program, parse
from .judge import TRIALS, Form, Judge
from .links import forms_of, verdicts
from .verdict import WORDS, Verdict

__all__ = ["TRIALS", "WORDS", "Verdict", "check", "checked"]


def check(
    text: str,
    sizes: Mapping[str, Any] | None = None,
    trials: int = TRIALS,
    seed: int = 0,
    labels: str | Iterable[str] = "",
    functions: Sequence[Any] = (),
) -> list[Verdict]:
    """A verdict for every `=` of every claim of a program, in text or LaTeX.

    A claim is a statement `∂L/∂W[k,j] = ...`, or one that begins with `claim`; a chain `a = b = c` has two links, each
    judged by itself against the last form before it whose indices are legal. `holds` is True, False, or None:
    undecided. It is found by normal form; else by exact arithmetic modulo a prime at `trials` random points; else in
    float64, where the difference has to be within rounding, or far beyond it. `sizes` are those to look at
    (`{"b": 5}`), else distinct primes; unknown functions are any function, entry by entry, row-wise or of whole
    tensors, their derivatives consistent. Sides are equal that are so wherever both are finite, ties aside: log(x y) is
    log(x) + log(y). The same `seed` gives the same verdicts. `labels` and `functions` are those of `parse`, and so are
    the errors of the text; an index error in a claim is the verdict of its link.

    >>> layer = "Z[i,j] = X[i,K] W[K,j]; L = f(Z[:]);"
    >>> claims = "∂L/∂W[k,j] = X[I,k] ∂L/∂Z[I,j]; ∂L/∂X[i,k] = 2 ∂L/∂Z[i,J] W[k,J]"
    >>> for verdict in check(layer + claims):
    ...     print(verdict.holds, verdict.claim)
    True ∂L/∂W[k,j] = X[I,k] ∂L/∂Z[I,j]
    False ∂L/∂X[i,k] = 2 ∂L/∂Z[i,J] W[k,J]
    """
    return checked(parse(text, labels, functions), sizes, trials, seed)


def checked(
    program: Program, sizes: Mapping[str, Any] | None = None, trials: int = TRIALS, seed: int = 0
) -> list[Verdict]:
    """The verdicts of a program's claims, as `check` gives them of its text."""
    with paused():
        judge = Judge(program, sizes, trials, seed)
        claims = program.checked.claims
        judges = [judge.bound(claim.binding) for claim in claims]
        forms = [forms_of(own, claim) for own, claim in zip(judges, claims, strict=True)]
        expand(judge, [f for own, found in zip(judges, forms, strict=True) if own is judge for f in found])
        together = zip(judges, claims, forms, strict=True)
        return [verdict for own, claim, found in together for verdict in verdicts(own, claim, found)]


def expand(judge: Judge, forms: Iterable[Form | EinstanError]) -> None:
    """All forms at once, which share most of what they are made of; one without an expansion says so when judged."""
    try:
        judge.expanded([form.node for form in forms if isinstance(form, Form)])
    except EinstanError:
        return
