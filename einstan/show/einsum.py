"""einsum: a checked program -> numpy statements as a person would write them, one line for each statement.

The text is Python that needs numpy alone. User text reaches it as identifiers (`identifier`) and in comments, no
other way.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..syntax import ast
from ..syntax.checked import Checked
from .assignments import Line, asked_for, lines_of, needed
from .numpy_module import Module
from .numpy_text import ATOM, Value, aligned, letters_of
from .numpy_values import Body


def einsum_module(checked: Checked, of: Sequence[str], claims: Sequence[ast.Statement] = ()) -> str:
    """The names `of`, and the left sides of `claims`, with all that they need, as Python statements."""
    module = Module(checked, lines_of(checked, claims))
    for key in needed(module.lines, asked_for(checked, of, claims)):
        write(module, module.lines[key])
    return module.text()


def write(module: Module, line: Line) -> None:
    name = module.called[line.key] if len(line.key) == 1 else module.derivative(line.key)
    value = Body(module, line.scope).value(line.body, tuple(dict.fromkeys(line.target)))
    module.written.append(f"{name} = {placed(module, value, line)}")


def placed(module: Module, value: Value, line: Line) -> str:
    """The value on the left side's axes: repeated along those it lacks, on the diagonal of those written twice."""
    sizes = dict(zip(line.target, line.shape, strict=True))
    if len(value.axes) < len(sizes):
        text, shape = aligned(value, tuple(sizes)).text, module.shape(sizes.values())
        repeated = f"np.broadcast_to({text}, {shape})" if value.axes else f"np.full({shape}, {text})"
        value = Value(repeated, ATOM, tuple(sizes))
    if len(sizes) == len(line.target):
        return aligned(value, line.target).text
    if len(line.target) == 2:
        return f"np.diag({value.text})"
    letters = letters_of(sizes)
    spec = "".join(letters[x] for x in line.target) + "->" + "".join(letters[x] for x in value.axes)
    return f"{module.helper('diagonal')}({value.text}, '{spec}', {module.shape(line.shape)})"
