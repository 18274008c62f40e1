"""svg: a small vocabulary for pictures: shapes and texts as SVG, escaped, and how wide a text is.

A picture is a text of its own: no style sheet, no script, no identifier that could clash with another picture on the
page. It has a light background, so it reads on a dark page too. Lengths are in pixels, y grows downwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import Final
from unicodedata import combining, east_asian_width

SANS: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', Arial, sans-serif"
MONO: Final = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
INK, GREY, FAINT, PAPER = "#1f2937", "#6b7280", "#e5e7eb", "#ffffff"
# Okabe and Ito, "Color Universal Design" (2008): told apart by colour-blind readers too
COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#7f6000", "#000000")

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NARROW, WIDE = frozenset("ijlftrI.,:;'|!()[]{} -"), frozenset("mwMWQ@%&<>=+~")
Run = tuple[str, Mapping[str, object]]  # a piece of a text and its own attributes


class Picture(str):
    """The text of an SVG picture. A notebook shows the picture; `save` writes it into a file."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Picture, {len(self):,} characters of SVG>"

    def _repr_svg_(self) -> str:
        return str(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the picture into a file."""
        Path(path).write_text(self, encoding="utf-8")


def document(width: float, height: float, title: str, shapes: Iterable[str]) -> Picture:
    """The picture with its size, its background and a title that is read aloud."""
    size = {"width": width, "height": height, "viewBox": f"0 0 {number(width)} {number(height)}"}
    paper = rect(0, 0, width, height, fill=PAPER, rx=6)
    head = element("title", {}, plain(title))
    fits = {"style": "max-width:100%;height:auto"}  # a narrow page shows it smaller
    root = {"xmlns": "http://www.w3.org/2000/svg", **size, **fits, "role": "img", "font-family": SANS, "fill": INK}
    return Picture(element("svg", root, "\n".join(["", head, paper, *shapes, ""])))


# -------------------------------------------------------------------- shapes


def rect(x: float, y: float, width: float, height: float, **style: object) -> str:
    return element("rect", {"x": x, "y": y, "width": width, "height": height, **style})


def line(x1: float, y1: float, x2: float, y2: float, **style: object) -> str:
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, **style})


def circle(x: float, y: float, radius: float, **style: object) -> str:
    return element("circle", {"cx": x, "cy": y, "r": radius, **style})


def path(d: Iterable[str | float], **style: object) -> str:
    """A path of letters and coordinates: `path(["M", 0, 0, "L", 10, 0])`."""
    drawn = " ".join(step if isinstance(step, str) else number(step) for step in d)
    return element("path", {"d": drawn, **style})


def text(x: float, y: float, content: str | Sequence[Run], size: float = 13, **style: object) -> str:
    """A text whose base line begins at the place (or is centred there: `text_anchor="middle"`)."""
    runs = [plain(content)] if isinstance(content, str) else [element("tspan", own, plain(s)) for s, own in content]
    return element("text", {"x": x, "y": y, "font-size": size, **style}, "".join(runs))


def group(shapes: Iterable[str], **style: object) -> str:
    return element("g", style, "\n".join(shapes))


def element(tag: str, attributes: Mapping[str, object], content: str = "") -> str:
    """`<tag a="1">content</tag>`; underscores in the names of attributes are hyphens."""
    given = ((key.replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    own = "".join(f' {key}="{plain(value)}"' for key, value in given)
    return f"<{tag}{own}>{content}</{tag}>" if content else f"<{tag}{own}/>"


def plain(value: object) -> str:
    """A value as it may stand in XML: numbers to a tenth, text escaped, characters that XML lacks replaced."""
    if isinstance(value, int | float):
        return number(value)
    return escape(NOT_XML.sub("\ufffd", str(value)), quote=True)


def number(value: float) -> str:
    rounded = round(value, 1)
    return str(int(rounded)) if rounded == int(rounded) else str(rounded)


# -------------------------------------------------------------------- widths


def mono_width(text: str, size: float = 13) -> float:
    """The width of a text in a font of one width: 0.6 of the size, twice that for a Chinese sign."""
    return 0.602 * size * sum(cells(c) for c in text)


def sans_width(text: str, size: float = 13) -> float:
    """About the width of a text in the widest of the usual fonts."""
    return size * sum(0.39 if c in NARROW else 0.9 if c in WIDE else 0.64 * cells(c) for c in text)


def cells(c: str) -> int:
    return 0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1


def shortened(text: str, longest: int) -> str:
    """At most so many characters, the middle left out."""
    if len(text) <= longest:
        return text
    head = (longest - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (longest - 1 - head) :]}"
