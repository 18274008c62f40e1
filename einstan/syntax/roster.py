"""roster: the names of a program: what is defined, what is an input or a function, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Protocol

from ..errors import EinstanError, EinstanNameError, EinstanShapeError, EinstanSyntaxError, Span
from . import words
from .ast import (
    Call,
    Claim,
    Definition,
    Derivative,
    Expr,
    Extent,
    Fact,
    Index,
    Power,
    Product,
    Statement,
    Tensor,
    indices_of,
    postorder,
)
from .indices import is_kronecker, is_pi
from .scope import Formula

LETTERS = "ijklmnpqrstuvwabcdefgho"


class Context(Protocol):
    """What the roster needs of the program read before."""

    @property
    def inputs(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def definitions(self) -> Mapping[str, Definition]: ...
    @property
    def functions(self) -> Mapping[str, int]: ...
    @property
    def formulas(self) -> Mapping[str, Formula]: ...


class Roster:
    """Names as they are met in the text. `uses`: a place of each with its indices, if there is one."""

    def __init__(self, source: str, context: Context | None, formulas: Mapping[str, Formula]) -> None:
        self.source = source
        self.before = {**context.inputs, **context.definitions} if context else {}
        self.definitions: dict[str, Definition] = {}
        self.met: dict[str, Tensor] = {}  # the first use of each name
        self.indexed: dict[str, Tensor] = {}  # the first use with indices
        self.functions: dict[str, tuple[int, Span | None]] = {
            name: (arity, None) for name, arity in (context.functions if context else {}).items()
        }
        self.formulas = {**(context.formulas if context else {}), **formulas}
        self.functions |= {name: (len(f.params), None) for name, f in self.formulas.items()}
        self.uses: dict[str, Span | None] = dict.fromkeys(self.before)
        self.asked: list[Tensor] = []  # names below and above ∂, which have to be known
        self.sized: list[Extent] = []
        self.differentials: list[tuple[Tensor, Tensor]] = []  # dA/dB
        self.powers: list[Power] = []
        self.sigmas: list[Call] = []

    def error(self, kind: type[EinstanError], message: str, repair: str, *spans: Span | None) -> EinstanError:
        return kind(message, repair, source=self.source, spans=tuple(s for s in spans if s is not None))

    # ---------------------------------------------------------------- reading

    def read_all(self, statements: Iterable[Statement]) -> None:
        for s in statements:
            match s:
                case Definition():
                    if self.define(s):
                        self.read(s.body)
                case Claim():
                    for form in s.forms:
                        self.read(form)
                case Fact():
                    self.read(s.left)
                    self.read(s.right)
                case _:
                    pass

    def define(self, s: Definition) -> bool:
        """Notes a definition; the same statement word for word counts once."""
        name = s.target.name
        if is_pi(s.target) or is_kronecker(s.target):
            raise self.error(
                EinstanNameError, f"{name} has its meaning already.", "Choose another name.", s.target.span
            )
        first = self.definitions.get(name)
        if first is not None and (self.words_of(first) != self.words_of(s) or not self.words_of(s)):
            raise self.error(
                EinstanNameError,
                f"{name} is defined twice.",
                "Rename one of the two.",
                first.target.span,
                s.target.span,
            )
        if first is None and name in self.before:
            known = "an input" if isinstance(self.before[name], tuple) else "defined"
            raise self.error(
                EinstanNameError, f"{name} is {known} in the program already.", "Rename it.", s.target.span
            )
        self.definitions.setdefault(name, s)
        self.uses[name] = self.definitions[name].target.span
        return first is None

    def words_of(self, s: Definition) -> str:
        return "".join(self.source[s.span.start : s.span.end].split())

    def read(self, root: Expr) -> None:
        """Notes every name of a tree."""
        nodes = list(postorder(root))
        above = {id(e.numerator) for e in nodes if isinstance(e, Derivative)}
        for e in nodes:
            match e:
                case Tensor():
                    self.asked.append(e) if id(e) in above else self.use(e)
                case Call() if e.name not in words.FUNCTIONS:
                    self.call(e)
                case Call() if e.name == "sigmoid":
                    self.sigmas.append(e)
                case Derivative():
                    self.asked.extend(e.denominators)
                case Extent():
                    self.sized.append(e)
                case Power():
                    self.powers.append(e)
                case Product():
                    self.differentials.extend(differentials(e))
                case _:
                    pass
            for index in indices_of(e):
                self.sized.extend(
                    k for b in (index.low, index.high) if b for k in postorder(b) if isinstance(k, Extent)
                )

    def use(self, e: Tensor) -> None:
        if is_pi(e) or is_kronecker(e):
            return
        self.met.setdefault(e.name, e)
        if e.indices:
            self.indexed.setdefault(e.name, e)
            if self.uses.get(e.name) is None:
                self.uses[e.name] = e.span

    def call(self, e: Call) -> None:
        if e.name in self.formulas:
            return
        arity, span = self.functions.setdefault(e.name, (len(e.args), e.name_span))
        if arity != len(e.args):
            raise self.error(
                EinstanSyntaxError,
                f"The function {e.name} has {arity} arguments in one place and {len(e.args)} in another.",
                "Give it the same number everywhere, or take two names.",
                span,
                e.name_span,
            )

    # ---------------------------------------------------------------- judging

    def settle(self, allow_inputs: bool) -> None:
        """All names are known; what does not fit together is an error."""
        for name, (_, span) in self.functions.items():
            self.one_meaning(name, span)
        for call in self.sigmas:
            if "σ" in self.met and self.source[call.name_span.start : call.name_span.end] in ("σ", "\\sigma"):
                raise self.two_meanings("σ", call.name_span)
        for power in self.powers:
            self.no_notation(power)
        for above, below in self.differentials:
            self.no_differential(above, below)
        if not allow_inputs:
            self.met = {name: e for name, e in self.met.items() if self.known(name, e.span, ())}
        for e in self.asked:
            self.known(e.name, e.span, self.met)
        for extent in self.sized:
            if extent.axis is not None:
                self.known(extent.name, extent.span, self.met)

    def is_known(self, name: str) -> bool:
        return name in self.definitions or name in self.before

    def one_meaning(self, name: str, span: Span | None) -> None:
        if name in self.met or self.is_known(name):
            raise self.two_meanings(name, span)

    def two_meanings(self, name: str, span: Span | None) -> EinstanError:
        place = self.met[name].span if name in self.met else self.uses.get(name)
        return self.error(
            EinstanNameError,
            f"{name} is used as a function and as a tensor.",
            f"Leave a space for a product, {name} (...), or rename one of the two.",
            span,
            place,
        )

    def known(self, name: str, span: Span, met: Collection[str]) -> bool:
        """A name that is asked for has to occur in the program."""
        if self.is_known(name) or name in met:
            return True
        names = {**self.before, **self.definitions, **dict.fromkeys(met)}
        close = get_close_matches(name, list(names), n=3) or [n for n in names if n.lower() == name.lower()]
        repair = f"Did you mean {' or '.join(close)}?" if close else f"Its names are {', '.join(list(names)[:12])}."
        raise self.error(EinstanNameError, f"The program has no name {name}.", repair, span)

    def no_notation(self, e: Power) -> None:
        """`e^x` with e undefined, and `A^T`."""
        if isinstance(e.base, Tensor) and e.base.name == "e" and not e.base.indices and not self.is_known("e"):
            raise self.error(
                EinstanNameError, "e is not defined; it is an ordinary name here.", "Write exp(...).", e.base.span
            )
        top = e.exponent
        if not (isinstance(top, Tensor) and top.name == "T" and not top.indices and isinstance(e.base, Tensor)):
            return
        if len(e.base.indices or ()) > 1 or not self.is_known("T"):
            raise self.error(
                EinstanSyntaxError,
                "The transpose has no sign of its own in index notation.",
                "Write the indices in the other order: A[j,i] is the transpose of A[i,j].",
                e.span,
            )

    def no_differential(self, above: Tensor, below: Tensor) -> None:
        """`dA/dB` with A, B names of the program."""
        names = [above.name[1:], below.name[1:]]
        met = all(self.is_known(n) or n in self.met for n in names)
        if met and not any(self.is_known(t.name) for t in (above, below)):
            raise self.error(
                EinstanNameError,
                f"{above.name} and {below.name} are no names of the program.",
                f"Write ∂{names[0]}/∂{names[1]} for the derivative.",
                above.span,
                below.span,
            )


def differentials(e: Product) -> list[tuple[Tensor, Tensor]]:
    """The pairs `dA / dB` in a product."""
    found = []
    for above, below, over in zip(e.factors, e.factors[1:], e.divides[1:], strict=False):
        if over and isinstance(above, Tensor) and isinstance(below, Tensor) and is_d(above) and is_d(below):
            found.append((above, below))
    return found


def is_d(e: Tensor) -> bool:
    return e.name.startswith("d") and len(e.name) > 1


def extents_in_bounds(e: Expr) -> list[Extent]:
    """The sizes that the bounds of parts are made of."""
    bounds = [b for index in indices_of(e) for b in (index.low, index.high) if b is not None]
    return [k for b in bounds for k in postorder(b) if isinstance(k, Extent)]


def undefined_inputs(roster: Roster) -> dict[str, tuple[str, ...]]:
    """What is used and never defined, in order of first use, with letters for the axes."""
    found = {}
    for name, first in roster.met.items():
        if not roster.is_known(name):
            use = roster.indexed.get(name)
            if use is None and first.indices is None:
                raise roster.error(
                    EinstanShapeError,
                    f"The number of axes of {name} does not follow.",
                    f"Use {name} with its indices somewhere, e.g. `fact 0 {name}[i,j] = 0[i,j]`.",
                    first.span,
                )
            found[name] = distinct_letters(use.indices or () if use else ())
    return found


def distinct_letters(indices: tuple[Index, ...]) -> tuple[str, ...]:
    """The indices in lower case; a letter that is taken is replaced."""
    letters: list[str] = []
    for index in indices:
        letter = index.name[0].lower() + index.name[1:]
        if letter in letters:
            letter = next((c for c in LETTERS if c not in letters), f"i{len(letters)}")
        letters.append(letter)
    return tuple(letters)


def definition_order(definitions: Mapping[str, Definition], source: str) -> tuple[str, ...]:
    """Each name after those that its definition uses; else in text order."""
    needs = {name: [n for n in names_in(d.body) if n in definitions] for name, d in definitions.items()}
    done: dict[str, None] = {}
    for start in definitions:
        path: dict[str, int] = {start: 0}  # the names being visited, each with its next need
        while path and start not in done:
            name = next(reversed(path))
            if path[name] == len(needs[name]):
                done[name] = None
                del path[name]
                continue
            need = needs[name][path[name]]
            path[name] += 1
            if need in path:
                raise cycle(list(path), need, definitions, source)
            if need not in done:
                path[need] = 0
    return tuple(done)


def names_in(root: Expr) -> list[str]:
    """The names that a tree needs; `|K|` is an index of the tree before it is a tensor."""
    found: dict[str, None] = {}
    nodes = list(postorder(root))
    letters = {index.name for e in nodes for index in indices_of(e)}
    for e in nodes:
        match e:
            case Extent(axis=None) if e.name in letters:
                pass
            case Tensor() | Extent():
                found[e.name] = None
            case Derivative():
                found.update(dict.fromkeys(t.name for t in e.denominators))
            case _:
                pass
        found.update(dict.fromkeys(extent.name for extent in extents_in_bounds(e)))
    return list(found)


def cycle(path: list[str], back: str, definitions: Mapping[str, Definition], source: str) -> EinstanNameError:
    ring = path[path.index(back) :]
    names = ring if len(ring) <= 6 else [*ring[:3], "...", ring[-1]]
    shown = " needs ".join([*names, back])
    return EinstanNameError(
        f"The definitions go in a circle: {shown}.",
        "Define one of them without the others; recurrences are not built yet.",
        source=source,
        spans=tuple(definitions[name].target.span for name in ring[:4]),
    )
