"""Every model: value and gradients equal to JAX in float64.

Without JAX, which is one of the `dev` needs, these tests are skipped, and test_gradients.py holds the same rows against
finite differences.
"""

from __future__ import annotations

import pytest

import einstan as es

from .models import Model, every_model, relative_error

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

TOLERANCE = 1e-10  # relative to the largest entry


@every_model
def test_value_and_gradients(model: Model) -> None:
    arrays = model.arrays()
    wrt = {name: arrays[name] for name in model.wrt}
    expected_value, expected = jax.jit(jax.value_and_grad(lambda w: model.loss(jax.numpy, arrays | w)))(wrt)
    kernel = es.parse(model.text).value_and_grad(model.of, wrt=list(model.wrt)).compile(functions=dict(model.functions))
    value, gradients = kernel(arrays)
    assert relative_error(value, expected_value) < TOLERANCE
    assert list(gradients) == list(model.wrt)
    for name in model.wrt:
        assert relative_error(gradients[name], expected[name]) < TOLERANCE, f"∂{model.of}/∂{name}"
