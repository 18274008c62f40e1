"""checking: a candidate is timed only when its numbers are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .by_hand import Arrays
from .models import Model
from .peers import numpy_words

TOLERANCE = {"float32": 1e-4, "float64": 1e-11}  # of the largest entry of each result
STEP = 1e-6


def by_name(model: Model, result: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A candidate's (value, gradients) as arrays, the gradients by name."""
    value, grads = result
    found = grads if isinstance(grads, Mapping) else dict(zip(model.wrt, grads, strict=True))
    return plain(value), {name: plain(found[name]) for name in model.wrt}


def plain(array: Any) -> np.ndarray:
    return np.asarray(array.detach() if hasattr(array, "detach") else array)


def agree(name: str, got: Any, want: Any, tolerance: float) -> None:
    """The shapes are equal, and the entries up to a part of the largest."""
    assert np.shape(got) == np.shape(want), f"{name} has the shape {np.shape(got)}, not {np.shape(want)}"
    error = np.max(np.abs(got - want)) / np.max(np.abs(want))
    assert error < tolerance, f"{name} is off by {error:.1e} of its largest entry"


def same_numbers(name: str, model: Model, result: Any, truth: Any, tolerance: float) -> None:
    """A candidate's value and gradients against those of the truth."""
    value, grads = by_name(model, result)
    true_value, true_grads = by_name(model, truth)
    agree(f"{name}: the value", value, true_value, tolerance)
    for wrt in model.wrt:
        agree(f"{name}: the gradient in {wrt}", grads[wrt], true_grads[wrt], tolerance)


def right_slope(name: str, model: Model, result: Any, a: Arrays, tolerance: float) -> None:
    """The value, and the gradient along one direction, against differences of the loss in plain numpy, in float64."""
    value, grads = by_name(model, result)
    b = {key: array.astype("float64") for key, array in a.items()}
    rng = np.random.default_rng(1)
    way = {key: rng.standard_normal(b[key].shape) for key in model.wrt}
    ahead, behind = (
        model.loss(numpy_words(), b | {key: b[key] + step * way[key] for key in model.wrt}) for step in (STEP, -STEP)
    )
    slope = sum(np.vdot(grads[key], way[key]) for key in model.wrt)
    agree(f"{name}: the value", value, model.loss(numpy_words(), b), tolerance)
    agree(f"{name}: the gradient along a direction", slope, (ahead - behind) / (2 * STEP), max(tolerance, 1e-5))
