"""opt_einsum_paths: the order of one contraction, as opt_einsum tells it: a linear path and its PathInfo.

Law: no intermediate has more entries than the limit, unless the caller gives the path: steps that would make one are
put together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from string import ascii_letters
from typing import Any, Final

from ..errors import EinstanError
from ..orders.methods import Linear, linear_path
from .path_info import PathInfo, numbered, path_info
from .subscripts import FIRST_LETTER, ArrayShape, Form, Subscripts, read

SURROGATES: Final = range(0xD800, 0xE000)


def planned(form: Form, shapes: Sequence[ArrayShape], method: Any, limit: Any, use_blas: bool = True) -> PathInfo:
    """The order for operands of these shapes, and its costs."""
    s = read(form, shapes)
    most = entries(limit, s)
    *terms, out = lettered(form, s)
    info = path_info(terms, out, shapes, found_path(s, letters(form, s), method, most), use_blas)
    if most is None or isinstance(method, tuple) or all(size <= most for size in info.size_list[:-1]):
        return info
    return path_info(terms, out, shapes, path_within(info, most), use_blas)


def entries(limit: Any, s: Subscripts) -> int | None:
    """How many entries an intermediate may have. Raises EinstanError for what is no limit."""
    if limit is None:
        return None
    if isinstance(limit, str) and limit == "max_input":
        return s.largest
    try:
        found = 0 if isinstance(limit, str | bool) else int(limit)
    except (TypeError, ValueError, OverflowError):
        found = 0
    if found < 1 and found != -1:
        raise EinstanError(
            f"memory_limit is {limit!r:.60}.", 'Write how many entries an intermediate may have, or "max_input".'
        )
    return None if found == -1 else found


def path_within(info: PathInfo, limit: int) -> Linear:
    """The path with each step that makes too many entries put into the step that takes what it makes."""
    live = list(range(info.eq.count(",") + 1))
    inside: dict[int, list[int]] = {}
    path = []
    sizes = [*info.size_list[:-1], 0]  # the result is made in any case
    for (operands, made, _), size in zip(numbered(info), sizes, strict=True):
        taken = [k for number in operands for k in inside.get(number, [number])]
        if size > limit:
            inside[made] = taken
        else:
            path.append(tuple(sorted(live.index(k) for k in taken)))
            live = [k for k in live if k not in taken] + [made]
    return path


def found_path(s: Subscripts, letter: Sequence[str], method: Any, limit: int | None) -> Linear:
    if method is None or (len(s.terms) < 3 and not isinstance(method, tuple)):
        return [tuple(range(len(s.terms)))]
    if not callable(method):
        return linear_path(s.terms, s.out, dict(enumerate(s.sizes)), method, limit)

    def spelled(inputs: Any, output: Any, sizes: Mapping[int, int], limit: int | None) -> Any:
        """The method asked as opt_einsum asks it, about letters."""
        terms = [frozenset(letter[label] for label in own) for own in (*inputs, output)]
        return method(terms[:-1], terms[-1], {letter[label]: d for label, d in sizes.items()}, limit)

    return linear_path(s.terms, s.out, dict(enumerate(s.sizes)), spelled, limit)


def lettered(form: Form, s: Subscripts) -> list[str]:
    """The terms and the output, a character for each label."""
    letter = letters(form, s)
    return ["".join(letter[label] for label in own) for own in (*s.terms, s.out)]


def letters(form: Form, s: Subscripts) -> list[str]:
    """A character for each label: text's own; those of lists in the order of their labels; free ones for ellipses."""
    if isinstance(form, str):
        own = {n: name for n, name in enumerate(s.names) if len(name) == 1}
    else:
        own = dict(zip(in_order(form, s), characters(), strict=False))
    used = set(own.values())
    free = (c for c in characters() if c not in used)
    return [own.get(n) or next(free) for n in range(len(s.names))]


def in_order(form: Any, s: Subscripts) -> list[int]:
    """The labels of lists in Python's order if there is one, else as they come."""
    number: dict[Any, int] = {}
    for own, numbers in zip(form.terms, s.terms, strict=True):
        place = own.index(Ellipsis) if Ellipsis in own else len(own)
        number.update(zip(own[:place], numbers, strict=False))
        number.update(zip(own[:place:-1], numbers[::-1], strict=False))
    try:
        return [n for _, n in sorted(number.items(), key=itemgetter(0))]
    except TypeError:
        return list(number.values())


def characters(first: str = ascii_letters) -> Iterator[str]:
    """Latin letters, then all from À on that can be written in subscripts."""
    yield from first
    yield from (chr(k) for k in range(FIRST_LETTER, 0x110000) if k not in SURROGATES and not chr(k).isspace())
