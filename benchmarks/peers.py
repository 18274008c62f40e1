"""peers: the frameworks that differentiate by themselves: their words, and calls that give (value, gradients).

A maker takes (loss, wrt, arrays) and returns a call. It imports its framework when it is called.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol, TypeVar

import numpy as np

from .settings import Settings

Call = Callable[[], Any]  # -> (value, gradients by name, or in the order of wrt)
Loss = Callable[[Any, Any], Any]  # (words, arrays by name) -> scalar
COMMON = ("tanh", "exp", "sqrt", "concatenate", "swapaxes", "einsum")


def words(module: ModuleType, **own: Callable[..., Any]) -> SimpleNamespace:
    """What losses are written in: names that every framework has, and those that each has elsewhere."""
    return SimpleNamespace(**{name: getattr(module, name) for name in COMMON}, **own)


def numpy_words(module: ModuleType = np) -> SimpleNamespace:
    """numpy's, or those of a module that goes by the same names."""

    def sigmoid(z: Any) -> Any:
        return 0.5 * (1 + module.tanh(0.5 * z))

    def softmax(z: Any) -> Any:
        e = module.exp(z - module.max(z, axis=-1, keepdims=True))
        return e / module.sum(e, axis=-1, keepdims=True)

    def logsumexp(z: Any) -> Any:
        top = module.max(z, axis=-1)
        return top + module.log(module.sum(module.exp(z - top[..., None]), axis=-1))

    return words(
        module,
        sigmoid=sigmoid,
        softmax=softmax,
        softplus=lambda z: module.logaddexp(0 * z, z),
        relu=lambda z: module.maximum(z, 0),
        logsumexp=logsumexp,
        log_softmax=lambda z: z - logsumexp(z)[..., None],
    )


def jax_words() -> SimpleNamespace:
    import jax

    return words(
        jax.numpy,
        sigmoid=jax.nn.sigmoid,
        softmax=jax.nn.softmax,
        softplus=jax.nn.softplus,
        relu=jax.nn.relu,
        logsumexp=jax.nn.logsumexp,
        log_softmax=jax.nn.log_softmax,
    )


def torch_words() -> SimpleNamespace:
    import torch
    from torch.nn import functional

    return words(
        torch,
        sigmoid=torch.sigmoid,
        softmax=lambda z: torch.softmax(z, -1),
        softplus=functional.softplus,
        relu=functional.relu,
        logsumexp=lambda z: torch.logsumexp(z, -1),
        log_softmax=lambda z: torch.log_softmax(z, -1),
        layer_norm=functional.layer_norm,
        attention=functional.scaled_dot_product_attention,
    )


# ---------------------------------------------------------------- calls


def jax_jit(loss: Loss, wrt: Sequence[str], a: Mapping[str, np.ndarray]) -> Call:
    """jax.jit of value_and_grad, on arrays that are on the device."""
    import jax

    xp = jax_words()
    data = {name: jax.device_put(array) for name, array in a.items()}
    weights = {name: data.pop(name) for name in wrt}
    both = jax.jit(jax.value_and_grad(lambda w, data: loss(xp, data | w)))
    return lambda: jax.block_until_ready(both(weights, data))


def torch_eager(loss: Loss, wrt: Sequence[str], a: Mapping[str, np.ndarray]) -> Call:
    import torch

    xp = torch_words()
    tensors = {name: torch.from_numpy(array.copy()) for name, array in a.items()}
    weights = [tensors[name].requires_grad_() for name in wrt]

    def call() -> Any:
        value = loss(xp, tensors)
        return value, torch.autograd.grad(value, weights)

    return call


def torch_compiled(loss: Loss, wrt: Sequence[str], a: Mapping[str, np.ndarray]) -> Call:
    """torch.compile of the loss and its gradients as one graph. What was compiled before is forgotten."""
    import torch

    torch.compiler.reset()
    xp = torch_words()
    data = {name: torch.from_numpy(array.copy()) for name, array in a.items()}
    weights = {name: data.pop(name) for name in wrt}
    both = torch.compile(torch.func.grad_and_value(lambda w, data: loss(xp, data | w)), dynamic=False)

    def call() -> Any:
        grads, value = both(weights, data)
        return value, grads

    return call


def autograd(loss: Loss, wrt: Sequence[str], a: Mapping[str, np.ndarray]) -> Call:
    import autograd.numpy
    from autograd import value_and_grad

    xp = numpy_words(autograd.numpy)
    data = {name: array for name, array in a.items() if name not in wrt}
    weights = {name: a[name] for name in wrt}
    both = value_and_grad(lambda w: loss(xp, data | {name: w[name] for name in wrt}))

    def call() -> Any:
        with np.errstate(over="ignore"):  # its tanh divides by cosh²
            return both(weights)

    return call


# ---------------------------------------------------------------- what they need


class Named(Protocol):
    """A row of a table of candidates."""

    @property
    def name(self) -> str: ...

    @property
    def package(self) -> str: ...


C = TypeVar("C", bound=Named)


def taking_part(candidates: Iterable[C], settings: Settings) -> tuple[list[C], tuple[str, ...]]:
    """The candidates that are asked for and can run here, and why others can't."""
    invited = [c for c in candidates if settings.invites(c.name)]
    against = {c.name: reason for c in invited if (reason := reason_against(c))}
    present = [c for c in invited if c.name not in against]
    return present, tuple(f"{name}: {reason}" for name, reason in against.items())


def reason_against(candidate: Named) -> str | None:
    if find_spec(candidate.package) is None:
        return f"{candidate.package} is not installed"
    return missing_compiler() if candidate.name == "torch-compile" else None


def set_up(present: Iterable[Named], threads: int, dtype: str) -> None:
    """The threads and the precision of the frameworks that take part and have a switch for it."""
    packages = {c.package for c in present}
    if "torch" in packages:
        import torch

        torch.set_num_threads(threads)
    if "jax" in packages:
        import jax

        jax.config.update("jax_enable_x64", dtype == "float64")


def missing_compiler() -> str | None:
    """Why torch.compile can't work here, or None."""
    if not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")):
        return "needs a C++ compiler"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return "needs the header files of Python"
    return None
