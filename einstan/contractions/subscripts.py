"""subscripts: einsum's calling forms to integer labels, checked against the shapes of the operands.

Laws: what comes out of `read` has a label for every axis of every operand; a label has one size, which each of its
axes has, or 1 (broadcast as in numpy); the axes of a diagonal are equal; every output label stands once in the output
and in some operand. So nothing that is computed from it depends on the checks of a backend.

Text is `ij,jk->ik`: a letter for each axis, `...` for any number of them, which broadcast from the right. Without
`->` the output is the ellipsis and then, sorted, the letters that stand once.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, NamedTuple

from ..errors import EinstanError, EinstanIndexError, EinstanShapeError, EinstanSyntaxError, EinstanTypeError, Span

Labels = tuple[int, ...]
ArrayShape = tuple[int, ...]

NUMPY_LABELS: Final = 52  # of interleaved lists
FIRST_LETTER: Final = 192  # of Unicode, from which on opt_einsum makes labels of every character
LONGEST_NAME: Final = 30


class Lists(NamedTuple):
    """The interleaved form: a tuple of labels for each operand, and for the output if it is given."""

    terms: tuple[tuple[Hashable, ...], ...]
    out: tuple[Hashable, ...] | None


Form = str | Lists


@dataclass(frozen=True, slots=True)
class Subscripts:
    """One contraction: labels 0, 1, .. for the axes of each operand and of the output; a name and a size for each
    label."""

    terms: tuple[Labels, ...]
    out: Labels
    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def shape(self) -> ArrayShape:
        """Of the result."""
        return tuple([self.sizes[label] for label in self.out])

    @property
    def largest(self) -> int:
        """How many entries the largest operand, or the result, has: the limit "max_input" of intermediates."""
        return max(prod(self.sizes[label] for label in own) for own in (*self.terms, self.out))


def read(form: Form, shapes: Sequence[ArrayShape]) -> Subscripts:
    """The labels of a contraction of operands of these shapes.

    Raises EinstanSyntaxError, EinstanIndexError, EinstanShapeError with the place in the subscripts.

    >>> s = read("ij,jk", [(2, 3), (3, 4)])
    >>> s.terms, s.out, s.names, s.sizes
    (((0, 1), (1, 2)), (0, 2), ('i', 'j', 'k'), (2, 3, 4))
    """
    written = in_text(form) if isinstance(form, str) else in_lists(form)
    check_count(written, len(shapes))
    pairs = zip(written.terms, shapes, strict=True)
    terms = [expanded(written, n, term, len(shape)) for n, (term, shape) in enumerate(pairs, 1)]
    number = {label: n for n, label in enumerate(dict.fromkeys(token.label for own in terms for token in own))}
    out = [number[label] for label in output(written, terms)]
    labels = tuple(tuple([number[token.label] for token in own]) for own in terms)
    names = tuple(map(named, number))
    sizes = sized(written, terms, labels, shapes, names)
    return Subscripts(labels, tuple(out), names, sizes)


# ---------------------------------------------------------------- calling forms


def split(args: Sequence[Any], label: Callable[[Any], Hashable]) -> tuple[Form, tuple[Any, ...]]:
    """What a call says of the labels, and its operands. `label` checks one label of the interleaved form."""
    if not args:
        raise EinstanError("There are no subscripts and no operands.", 'Write einsum("ij,jk->ik", a, b).')
    if isinstance(args[0], str):
        return str(args[0]), tuple(args[1:])
    pairs = len(args) // 2
    lists = [listed(given, label) for given in args[1 : 2 * pairs : 2]]
    out = listed(args[-1], label) if len(args) % 2 else None
    return Lists(tuple(lists), out), tuple(args[0 : 2 * pairs : 2])


def listed(given: Any, label: Callable[[Any], Hashable]) -> tuple[Hashable, ...]:
    try:
        labels = list(given)
    except TypeError:
        raise EinstanTypeError(
            f"The subscripts are neither text nor a list of labels: {clipped(repr(given))}.",
            'Write einsum("ij,jk->ik", a, b) or einsum(a, [0, 1], b, [1, 2]).',
        ) from None
    return tuple([one if one is Ellipsis else label(one) for one in labels])


def small_integer(one: Any) -> Hashable:
    """A label of numpy's interleaved form."""
    try:
        found = operator.index(one)
    except TypeError:
        raise EinstanTypeError(
            f"A label of the interleaved form is {clipped(repr(one))}.", "Write an integer, or Ellipsis."
        ) from None
    if not 0 <= found < NUMPY_LABELS:
        raise EinstanIndexError(f"The label {found} is not in 0 .. {NUMPY_LABELS - 1}.", "es.contract takes any label.")
    return found


def any_hashable(one: Any) -> Hashable:
    """A label of opt_einsum's interleaved form."""
    try:
        hash(one)
    except TypeError:
        raise EinstanTypeError(
            f"A label is {clipped(repr(one))}, which can't be hashed.", "Write integers, texts, or Ellipsis."
        ) from None
    return one  # type: ignore[no-any-return]


def lengths(n: int, shape: Any, repair: str) -> ArrayShape:
    """The shape that is given for the n-th operand."""
    try:
        found = tuple(operator.index(d) for d in shape)
    except TypeError:
        found = (-1,)
    if any(d < 0 for d in found) or any(isinstance(d, bool) for d in shape):
        raise EinstanTypeError(f"{repr(shape)[:60]}, of operand {n}, is no shape.", repair)
    return found


# ---------------------------------------------------------------- what is written


class Token(NamedTuple):
    """A label or Ellipsis, and where it stands."""

    label: Hashable
    span: Span


class Broadcast(NamedTuple):
    """The label of an axis that an ellipsis stands for, counted from the right: -1 is the last."""

    place: int


@dataclass(frozen=True, slots=True)
class Written:
    """The tokens of all terms and of the output, in their source."""

    source: str
    terms: list[list[Token]]
    out: list[Token] | None


def in_text(source: str) -> Written:
    """Letters, `...`, commas and one arrow; blanks may stand anywhere."""
    places = [n for n, c in enumerate(source) if c != " "]
    bare = source.replace(" ", "")
    terms: list[list[Token]] = [[]]
    out: list[Token] | None = None
    n = 0
    while n < len(bare):
        c = bare[n]
        word = bare[n : n + {".": 3, "-": 2}.get(c, 1)]
        span = Span(places[n], places[n + len(word) - 1] + 1)
        current = terms[-1] if out is None else out
        if word == "...":
            if any(token.label is Ellipsis for token in current):
                raise wrong(source, "There are two ellipses in one term.", "Write one.", span)
            current.append(Token(Ellipsis, span))
        elif word == "->" and out is None:
            out = []
        elif c == "," and out is None:
            terms.append([])
        elif is_letter(c):
            current.append(Token(c, span))
        else:
            raise unknown(source, c, span, out is not None)
        n += len(word)
    return Written(source, terms, out)


def is_letter(c: str) -> bool:
    return c.isalnum() or ord(c) >= FIRST_LETTER


def unknown(source: str, c: str, span: Span, after_arrow: bool) -> EinstanSyntaxError:
    if c in "->":
        return wrong(source, f"{c!r} is no arrow of its own.", "Write one ->, before the output.", Span(*span))
    if c == "," and after_arrow:
        return wrong(source, "There is a comma in the output.", "The output is one term.", span)
    if c == ".":
        return wrong(source, "Dots stand for axes only as three.", "Write ...", span)
    return wrong(source, f"The character {c!r} is no label.", "Write a letter for each axis.", span)


def wrong(source: str, message: str, repair: str, *spans: Span) -> EinstanSyntaxError:
    return EinstanSyntaxError(message, repair, source=source, spans=spans)


def in_lists(lists: Lists) -> Written:
    """The interleaved form, with a text of it for messages."""
    source, terms = "", []
    parts = [*lists.terms] if lists.out is None else [*lists.terms, lists.out]
    for n, own in enumerate(parts):
        if n:
            source += "->" if lists.out is not None and n == len(parts) - 1 else ","
        found, source = [], source + "["
        for k, label in enumerate(own):
            start = len(source) + (2 if k else 0)
            source += (", " if k else "") + ("..." if label is Ellipsis else clipped(repr(label)))
            found.append(Token(label, Span(start, len(source))))
        source += "]"
        if sum(token.label is Ellipsis for token in found) > 1:
            raise wrong(source, "There are two ellipses in one term.", "Write one.", found[-1].span)
        terms.append(found)
    return Written(source, terms[: len(lists.terms)], terms[-1] if lists.out is not None else None)


def clipped(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 4] + " ..."


def named(label: Hashable) -> str:
    """What messages and formulas call a label."""
    if isinstance(label, Broadcast):
        return f"...[{label.place}]"
    return label if isinstance(label, str) else clipped(repr(label))


# ---------------------------------------------------------------- axes and output


def check_count(written: Written, n: int) -> None:
    if n == 0:
        raise EinstanShapeError("There are no operands.", "Give an array for each term.")
    if len(written.terms) != n:
        raise EinstanShapeError(
            f"There are {plural(len(written.terms), 'term')} and {plural(n, 'operand')}.",
            "Write a term for each operand, with commas between them.",
            source=written.source,
            spans=tuple(whole(term) for term in written.terms[n : n + 1] if term),
        )


def expanded(written: Written, n: int, term: list[Token], rank: int) -> list[Token]:
    """A label for each axis of the n-th operand: the ellipsis stands for those that no letter names."""
    place = next((k for k, token in enumerate(term) if token.label is Ellipsis), None)
    letters = len(term) - (place is not None)
    rest = rank - letters
    if rest < 0 or (rest and place is None):
        raise EinstanShapeError(
            f"Operand {n} has {plural(rank, 'axis')}, and its term has {plural(letters, 'label')}.",
            "Write a label for each axis, or ... for the others." if rest > 0 else "Write a label for each axis.",
            source=written.source,
            spans=(whole(term),) if term else (),
        )
    if place is None:
        return term
    span = term[place].span
    return term[:place] + [Token(Broadcast(k), span) for k in range(-rest, 0)] + term[place + 1 :]


def output(written: Written, terms: Sequence[Sequence[Token]]) -> list[Hashable]:
    """The labels of the result; an ellipsis in it stands for all axes that ellipses stand for."""
    count = Counter(token.label for own in terms for token in own)
    widest = max([-label.place for label in count if isinstance(label, Broadcast)], default=0)
    broadcast: list[Hashable] = [Broadcast(k) for k in range(-widest, 0)]
    if written.out is None:
        return broadcast + ordered(label for label, n in count.items() if n == 1 and not isinstance(label, Broadcast))
    check_output(written.out, count, written.source)
    return [x for token in written.out for x in (broadcast if token.label is Ellipsis else [token.label])]


def check_output(out: Sequence[Token], known: Container[Hashable], source: str) -> None:
    """Its labels are those of operands, each once."""
    seen: dict[Hashable, Span] = {}
    for label, span in out:
        if label is Ellipsis:
            continue
        if label not in known:
            raise EinstanIndexError(
                f"The output label {named(label)!r} is in no operand.",
                "Leave it out, or name an axis by it.",
                source=source,
                spans=(span,),
            )
        if label in seen:
            raise EinstanIndexError(
                f"The output has the label {named(label)!r} twice.",
                "Write each label of the output once.",
                source=source,
                spans=(seen[label], span),
            )
        seen[label] = span


def ordered(labels: Iterable[Hashable]) -> list[Hashable]:
    try:
        return sorted(labels)  # type: ignore[type-var]
    except TypeError:
        raise EinstanTypeError(
            "Labels that can't be ordered do not say the order of the output's axes.", "Give the labels of the output."
        ) from None


# ---------------------------------------------------------------- sizes


def sized(
    written: Written,
    terms: Sequence[Sequence[Token]],
    labels: Sequence[Labels],
    shapes: Sequence[ArrayShape],
    names: Sequence[str],
) -> tuple[int, ...]:
    """The size of each label: that of its axes, or of those that are not 1."""
    sizes = [1] * len(names)
    owner: list[tuple[int, int]] = [(0, 0)] * len(names)
    for n, (own, shape) in enumerate(zip(labels, shapes, strict=True)):
        here: dict[int, int] = {}
        for axis, (label, d) in enumerate(zip(own, shape, strict=True)):
            if here.setdefault(label, d) != d:
                raise clash(written, terms, names[label], (n, own.index(label)), (n, axis), shapes)
            if sizes[label] == 1:
                sizes[label], owner[label] = d, (n, axis)
            elif d not in (1, sizes[label]):
                raise clash(written, terms, names[label], owner[label], (n, axis), shapes)
    return tuple(sizes)


def clash(
    written: Written,
    terms: Sequence[Sequence[Token]],
    name: str,
    one: tuple[int, int],
    other: tuple[int, int],
    shapes: Sequence[ArrayShape],
) -> EinstanShapeError:
    (m, i), (n, j) = one, other
    told = f"axis {i + 1} of operand {m + 1} ({shapes[m][i]})", f"axis {j + 1} of operand {n + 1} ({shapes[n][j]})"
    rule = "Axes of a diagonal are equal." if m == n else "Axes of one label are equal, or 1."
    return EinstanShapeError(
        f"The label {name!r} has two sizes: in {told[0]} and in {told[1]}.",
        rule,
        source=written.source,
        spans=tuple(dict.fromkeys((terms[m][i].span, terms[n][j].span))),
    )


def whole(term: Sequence[Token]) -> Span:
    return Span(term[0].span.start, term[-1].span.end)


def plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {'axes' if noun == 'axis' else noun + 's'}"
