"""reusable: a contraction that is ordered once and called with arrays: what es.contract_expression gives.

Laws: what depends on constants alone is computed once for each dtype of the whole, in that dtype; a result is fresh,
whatever of it is constant; an expression may be called from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import add
from typing import Any, Final, NamedTuple

import numpy as np

from ..arrays import Array, DType
from ..errors import EinstanError, EinstanShapeError
from .calls import SIGNATURE, Options, Signature, asked, common, plain
from .foreign import check_backend
from .path_info import Numbered, PathInfo, Step, numbered
from .stepwise import Steps, computed
from .subscripts import Form, read

KEPT: Final = 64  # shapes and dtypes that are at hand


class ContractExpression:
    """A contraction that is ordered, for arrays to come.

    `num_args` arrays are given to a call, in the order of the operands that are no constants. `info` is the PathInfo of
    the whole, `contraction_list` its steps, `contraction` the subscripts, constants in brackets.
    """

    def __init__(self, form: Form, info: PathInfo, constants: Mapping[int, Array], options: Options) -> None:
        self.info, self.constants = info, dict(constants)
        self.contraction = bracketed(form if isinstance(form, str) else info.eq, constants)
        self.num_args = info.eq.count(",") + 1 - len(constants)
        self._form, self._options = form, options
        self._whole = Steps(form, info.contraction_list)
        self._division = divided(info, constants)
        self._folded: dict[DType, dict[int, Array]] = {}
        self._lock = threading.Lock()
        self._bound = lru_cache(KEPT)(self._bind)
        self._situation = lru_cache(KEPT)(self._settle)

    @property
    def contraction_list(self) -> list[Step]:
        """The steps of the whole, as in PathInfo."""
        return self.info.contraction_list

    def __call__(self, *arrays: Any, out: Any = None, backend: str | None = "auto") -> Any:
        """The result, written into `out` if it is given. Raises EinstanErrors for arrays of other ranks, for sizes that
        disagree, and as contract does."""
        if len(arrays) != self.num_args:
            raise EinstanShapeError(
                f"This `ContractExpression` takes exactly {self.num_args} array arguments but received {len(arrays)}."
            )
        if backend != "auto" or any(type(x) is not np.ndarray for x in arrays):
            check_backend(backend, arrays)
        try:
            given = [x if type(x) is np.ndarray else plain(x) for x in arrays]
            signatures = tuple(map(SIGNATURE, given))
            return self._bound(signatures)(given) if out is None else self._into(out, given, signatures)
        except EinstanError as error:
            raise worded(error) from None

    def evaluate_constants(self, backend: str | None = "auto") -> None:
        """Computes now what depends on constants alone, for arrays of their dtype; a call does it for others."""
        check_backend(backend, ())
        if self.constants:
            self._fold(common([a.dtype for a in self.constants.values()], self._options, (1,)))

    def _bind(self, signatures: tuple[Signature, ...]) -> Callable[[Sequence[Array]], Any]:
        """What computes the result for arrays of these shapes and dtypes."""
        steps, held, options = self._situation(signatures, self._options)
        every = iter(signatures)
        compute = steps.bound(tuple([next(every) if a is None else SIGNATURE(a) for a in held]), options)
        if not self.constants:
            return compute
        if signatures:
            return lambda arrays: compute(filled(held, arrays))
        return lambda arrays: np.array(compute(filled(held, arrays)))[()]

    def _into(self, out: Any, arrays: Sequence[Array], signatures: tuple[Signature, ...]) -> Any:
        own = self._options
        options = asked(out, own.dtype, own.order, own.casting, own.method)
        steps, held, options = self._situation(signatures, options)
        return steps.compute(list(filled(held, arrays)), out, options)

    def _settle(self, signatures: tuple[Signature, ...], options: Options) -> Situation:
        """What is left to do for arrays of these shapes and dtypes: all sizes are checked, constants are computed."""
        given = iter(signatures)
        held = [self.constants.get(k) for k in range(self.num_args + len(self.constants))]
        every = [next(given) if a is None else SIGNATURE(a) for a in held]
        s = read(self._form, [shape for _, shape, _ in every])
        dtype = common([dtype for _, _, dtype in every], options, s.shape)
        if not self.constants or summed_wider(dtype):
            return Situation(self._whole, held, options)
        folded = self._fold(dtype)
        return Situation(
            self._division.late, [folded.get(k) for k in self._division.operands], options._replace(dtype=dtype)
        )

    def _fold(self, dtype: DType) -> dict[int, Array]:
        """Constants and their products, computed in this dtype, by number."""
        with self._lock:
            if dtype not in self._folded:
                values: dict[int, Array] = dict(self.constants)
                options = self._options._replace(dtype=dtype)
                for operands, made, step in self._division.early:
                    values[made] = plain(computed(step, [values[k] for k in operands], options))
                self._folded[dtype] = {k: values[k] for k in self._division.operands if k in values}
            return self._folded[dtype]

    def __reduce__(self) -> tuple[Any, ...]:
        return ContractExpression, (self._form, self.info, self.constants, self._options)

    def __repr__(self) -> str:
        constants = f", constants={sorted(self.constants)}" if self.constants else ""
        return f"<ContractExpression('{self.contraction}'{constants})>"

    def __str__(self) -> str:
        steps = [f"  {n}.  '{step.equation}'" for n, step in enumerate(self.contraction_list, 1)]
        blas = [f" [{step.blas}]" if step.blas else "" for step in self.contraction_list]
        return "\n".join([repr(self), *map(add, steps, blas)])


class Situation(NamedTuple):
    """What is left to do: steps, and their operands, None for each array that is given to the call."""

    steps: Steps
    held: list[Array | None]
    options: Options


def filled(held: Sequence[Array | None], arrays: Sequence[Array]) -> list[Array]:
    given = iter(arrays)
    return [next(given) if a is None else a for a in held]


def summed_wider(dtype: DType) -> bool:
    """Whether sums in this dtype are rounded to it at the end alone: then constants are not computed apart."""
    return dtype.itemsize < 4 and dtype.kind not in "biu"


# ---------------------------------------------------------------- constants


class Division(NamedTuple):
    """The steps of constants alone, and the contraction that is left with its operands by number."""

    early: list[Numbered]
    operands: list[int]
    late: Steps


def divided(info: PathInfo, constants: Mapping[int, Any]) -> Division:
    terms = dict(enumerate(info.input_subscripts.split(",")))
    live, fixed = list(terms), set(constants)
    early, late = [], []
    for item in numbered(info):
        terms[item.made] = item.step.equation.partition("->")[2]
        if fixed.issuperset(item.operands):
            fixed.add(item.made)
            early.append(item)
            live = [k for k in live if k not in item.operands] + [item.made]
        else:
            late.append(item)
    form = f"{','.join(terms[k] for k in live)}->{info.output_subscript}"
    return Division(early, live, Steps(form, list(placed(late, live))))


def placed(late: Sequence[Numbered], operands: Sequence[int]) -> Iterator[Step]:
    """The steps with the places that their operands have in a list of `operands`."""
    live = list(operands)
    for numbers, made, step in late:
        yield step._replace(positions=tuple([live.index(k) for k in numbers]))
        live = [k for k in live if k not in numbers] + [made]


# ---------------------------------------------------------------- words


def bracketed(subscripts: str, constants: Mapping[int, Any]) -> str:
    """The subscripts with the terms of constants in brackets, neighbours in one pair.

    >>> bracketed("ab,bc,cd->ad", {0: None, 1: None})
    '[ab,bc],cd->ad'
    """
    terms, arrow, out = subscripts.partition("->")
    marked = [f"[{term}]" if n in constants else term for n, term in enumerate(terms.split(","))]
    return ",".join(marked).replace("],[", ",") + arrow + out


def worded(error: EinstanError) -> EinstanError:
    """The error of a call, with the words by which opt_einsum's are known."""
    message = f"Internal error while evaluating `ContractExpression`: {error.message}"
    return type(error)(message, error.repair, source=error.source, spans=error.spans)
