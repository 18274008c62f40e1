"""arrays: do arrays of these shapes fit the program? If not, a sentence with both sizes and both tensors."""

from __future__ import annotations

from collections.abc import Mapping

from ..dims import Dim
from ..errors import EinstanShapeError
from .checked import Checked
from .scope import Equation, Part, Side, is_unknown


def size_mismatch(checked: Checked, actual: Mapping[str, tuple[int, ...]]) -> EinstanShapeError | None:
    """What is wrong with arrays of these shapes, or None. Names that are not inputs are passed over."""
    env: dict[str, int] = {}
    for name, hints in checked.inputs.items():
        if name in actual:
            if len(actual[name]) != len(hints):
                return rank_mismatch(checked, name, hints, actual[name])
            env.update((f"{name}.{axis}", size) for axis, size in enumerate(actual[name]))
    later = []
    for equation in checked.equations:
        if is_unknown(equation.left.dim) or is_unknown(equation.right.dim):
            later.append(equation)
        elif error := unequal(checked, equation, env):
            return error
    for equation in later:
        if error := unequal(checked, equation, env):
            return error
    return next((error for part in checked.parts if (error := outside(checked, part, env))), None)


def rank_mismatch(checked: Checked, name: str, hints: tuple[str, ...], shape: tuple[int, ...]) -> EinstanShapeError:
    axes = f"{len(hints)} {'axis' if len(hints) == 1 else 'axes'}"
    span = checked.uses.get(name)
    return EinstanShapeError(
        f"{name} has {axes} in the program, and the array has the shape {shape}.",
        f"Give {name} an array with the axes [{', '.join(hints)}].",
        source=checked.module.source,
        spans=(span,) if span else (),
    )


def unequal(checked: Checked, equation: Equation, env: Mapping[str, int]) -> EinstanShapeError | None:
    """The equation as a sentence, where the sizes break it: `K is 2 in W, 2 + 2 = 4 in [h, x].`."""
    left, right = (size_at(checked, side.dim, env) for side in (equation.left, equation.right))
    if left is None or right is None or left == right:
        return None
    one, other = equation.left, equation.right
    shown = [f"{sum_at(checked, side, env)} in {side.name}" for side in (one, other)]
    repair = "Give arrays in which it has one size, or write another index in one of the two."
    for side, size, partner in ((one, left, other), (other, right, one)):
        if len(side.parts) > 1:
            repair = (
                f"{side.name} joins its parts end to end: give {partner.name} the size {size} along {equation.index}."
            )
    return EinstanShapeError(
        f"{equation.index} is {', '.join(shown)}.",
        repair,
        source=checked.module.source,
        spans=(one.span, other.span),
    )


def size_at(checked: Checked, dim: Dim, env: Mapping[str, int]) -> int | None:
    """The size under `env`; None where an array it needs is not given."""
    unknown = {s: checked.sizes.resolve(Dim.symbol(s)) for s in dim.symbols if s.startswith("?")}
    known = dim.replace(unknown)
    return known.at(env) if all(s in env for s in known.symbols) else None


def sum_at(checked: Checked, side: Side, env: Mapping[str, int]) -> str:
    """`2 + 2 = 4` for a concatenation, else the size."""
    size = size_at(checked, side.dim, env)
    parts = [size_at(checked, part, env) for part in side.parts]
    return f"{' + '.join(map(str, parts))} = {size}" if len(parts) > 1 else str(size)


def outside(checked: Checked, part: Part, env: Mapping[str, int]) -> EinstanShapeError | None:
    low, high, size = (size_at(checked, dim, env) for dim in (part.low, part.high, part.axis.dim))
    if low is None or high is None or size is None or 0 <= low <= high <= size:
        return None
    return EinstanShapeError(
        f"{part.index} runs from {low} up to {high}, and the axis of {part.axis.name} has the size {size}.",
        "A part k=low:high has 0 <= low <= high <= size.",
        source=checked.module.source,
        spans=(part.axis.span,),
    )
