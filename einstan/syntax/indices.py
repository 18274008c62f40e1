"""indices: the rule of the language, one row for each kind of node: which indices it shows.

`r` is the Reader whose tables are filled; NOTATION sections 2 to 5 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ..dims import Dim, total
from ..errors import EinstanIndexError, EinstanShapeError, EinstanSyntaxError
from . import words
from .ast import (
    Call,
    Compare,
    Concat,
    Derivative,
    Expr,
    Extent,
    Filled,
    Group,
    Index,
    Number,
    Odot,
    Power,
    Product,
    Sum,
    Tensor,
    postorder,
)
from .scope import Axes, Part, Places, Reader, Side, is_capital


def read(r: Reader, root: Expr) -> Axes:
    """Fills the tables for `root`; its free indices. A capital that is still open is an error."""
    for e in postorder(root):
        r.hold(e)
    for e in postorder(root):
        r.axes[id(e)] = RULES[type(e)](r, e)
    axes = r.axes[id(root)]
    for name, side in axes.items():
        if is_capital(name):
            raise r.lone_capital(name, side)
    return axes


def of_number(r: Reader, e: Number) -> Axes:
    return {}


def of_tensor(r: Reader, e: Tensor) -> Axes:
    if not e.indices:
        return of_bare(r, e)
    if is_kronecker(e):
        return r.chain(e, [(i.name, side) for i, side in zip(e.indices, one_unknown(r, e), strict=True)])
    return r.chain(e, tensor_places(r, e))


def is_kronecker(e: Tensor) -> bool:
    return e.name == "delta" and e.indices is not None and len(e.indices) == 2


def is_pi(e: Tensor) -> bool:
    return e.name == "pi" and e.indices == ()


def one_unknown(r: Reader, e: Tensor) -> list[Side]:
    """The two indices of Kronecker's delta have one size."""
    first, second = e.indices or ()
    side = r.fixed(first.name, r.fresh(first, "delta"))
    return [side, r.fixed(second.name, replace(side, span=second.span))]


def of_bare(r: Reader, e: Tensor) -> Axes:
    """A name without indices: a scalar, or a whole tensor as an argument of an opaque function."""
    shape = () if is_pi(e) else r.known.shapes[e.name]
    if (shape or e.indices is None) and id(e) not in r.whole:
        count = f"{len(shape)} {'axis' if len(shape) == 1 else 'axes'}"
        raise r.error(
            EinstanShapeError,
            f"{e.name} has {count}, and stands here without indices.",
            f"Write {e.name}[{', '.join('ijklmnpqrs'[: len(shape)])}] with letters of this formula.",
            r.known.uses.get(e.name),
            e.span,
        )
    return {}


def tensor_places(r: Reader, e: Tensor) -> Places:
    """The indices of a name with the sizes of its axes."""
    shape, indices = r.known.shapes[e.name], e.indices or ()
    if len(shape) != len(indices):
        raise r.error(
            EinstanShapeError,
            f"{e.name} has {len(indices)} {'index' if len(indices) == 1 else 'indices'} here and {len(shape)} "
            "elsewhere.",
            f"Give {e.name} the same number of indices everywhere.",
            r.known.uses.get(e.name),
            e.span,
        )
    return [(i.name, axis_side(r, e, i, axis)) for i, axis in zip(indices, shape, strict=True)]


def axis_side(r: Reader, e: Expr, index: Index, axis: Side) -> Side:
    """The axis, or the part of it that `k=0:2` takes."""
    side = Side(axis.dim, axis.name, index.span, axis.parts)
    if index.low is None or index.high is None:
        return r.fixed(index.name, side)
    low, high = bound(r, e, index.low), bound(r, e, index.high)
    r.bounds[id(index)] = (low, high)
    r.parts.append(Part(index.name, low, high, side))
    length = (high - low).value
    if (length is not None and length < 0) or (low.value is not None and low.value < 0):
        raise r.error(EinstanShapeError, "A part runs from low to high.", "Write k=0:2.", index.span)
    return r.fixed(index.name, Side(high - low, f"{axis.name}[{index.name}={low}:{high}]", index.span))


def bound(r: Reader, owner: Expr, e: Expr) -> Dim:
    """A bound of a part as a size; `owner` waits for the index of a |K| in it."""
    sizes: dict[int, Dim] = {}
    for k in postorder(e):
        match k:
            case Number():
                sizes[id(k)] = Dim.of(int(k.value))
            case Extent():
                of_extent(r, k)
                sizes[id(k)] = r.extents[id(k)]
                r.waiting.setdefault(id(owner), []).extend(r.waiting.pop(id(k), []))
            case Sum():
                sizes[id(k)] = total(sizes[id(t)] * s for t, s in zip(k.terms, k.signs, strict=True))
            case Product() if not any(k.divides):
                product = Dim.of(1)
                for factor in k.factors:
                    product = product * sizes[id(factor)]
                sizes[id(k)] = product
            case Group():
                sizes[id(k)] = sizes[id(k.body)]
            case _:
                raise r.error(EinstanSyntaxError, "A bound is an integer or a size.", "Write k=0:2.", k.span)
    return sizes[id(e)]


def of_filled(r: Reader, e: Filled) -> Axes:
    return r.chain(e, [(i.name, r.fixed(i.name, r.fresh(i, str(e.value)))) for i in e.indices])


def of_extent(r: Reader, e: Extent) -> Axes:
    if e.axis is None:
        side = Side(r.known.sizes.fresh(), f"|{e.name}|", e.span)
        r.extents[id(e)] = side.dim
        r.waiting[id(e)] = [(e.name, side)]
        return {}
    shape = r.known.shapes[e.name]
    if e.axis >= len(shape):
        raise r.error(
            EinstanShapeError,
            f"{e.name} has {len(shape)} axes, and no axis {e.axis + 1}.",
            f"Write size({e.name},1) for the first.",
            r.known.uses.get(e.name),
            e.span,
        )
    r.extents[id(e)] = shape[e.axis].dim
    return {}


def of_product(r: Reader, e: Product) -> Axes:
    places = [place for k in e.factors for place in factor_places(r, k)]
    axes = r.merged(places)
    r.operands(e, axes)
    return r.close(e, axes, places)


def factor_places(r: Reader, e: Expr) -> Iterable[tuple[str, Side]]:
    return r.places.get(id(e), ()) if id(e) in r.held else r.axes[id(e)].items()


def of_union(r: Reader, e: Expr) -> Axes:
    return r.united(e)


def of_power(r: Reader, e: Power) -> Axes:
    base, exponent = e.base, e.exponent
    for operand in (base, exponent):
        if id(operand) in r.summed and isinstance(operand, (Tensor, Filled)):
            raise r.error(
                EinstanIndexError,
                "A power acts entry by entry, and its operand sums over a repeated capital.",
                "Write (A[I,I])^2 for the power of the sum, sum[i](A[i,i]^2) for the sum of the powers.",
                e.span,
            )
    if isinstance(exponent, Number) and exponent.value == -1 and isinstance(base, Tensor):
        listed = ",".join(i.name for i in base.indices or ())
        if "," in listed:
            raise r.error(
                EinstanSyntaxError,
                "Power -1 on a tensor of two or more indices: entry by entry, or the inverse matrix?",
                f"Write 1/{base.name}[{listed}] or inv[{listed}]({base.name}[{listed}]).",
                e.span,
            )
    return r.united(e)


def of_call(r: Reader, e: Call) -> Axes:
    if r.known.is_opaque(e.name):
        return of_opaque(r, e)
    if e.name in words.MATRIX:
        return of_matrix(r, e)
    return of_entrywise(r, e) if e.along is None else of_along(r, e)


def of_entrywise(r: Reader, e: Call) -> Axes:
    formula = r.known.formulas.get(e.name)
    arity = len(formula.params) if formula else words.ENTRYWISE.get(e.name)
    if arity is None or (arity != len(e.args) == 1 and e.name in words.REDUCTIONS):
        raise r.error(
            EinstanSyntaxError, f"{e.name} does not say along which index.", f"Write {e.name}[k](...).", e.name_span
        )
    if arity != len(e.args):
        raise r.error(
            EinstanSyntaxError,
            f"{e.name} has {arity} {'argument' if arity == 1 else 'arguments'}, not {len(e.args)}.",
            f"Write {e.name}({', '.join('abc'[:arity])}).",
            e.span,
        )
    if e.primes:
        check_slot(r, e)
    return r.united(e)


def check_slot(r: Reader, e: Call) -> None:
    """A derivative of a function of several arguments says in which, one for all primes or one for each."""
    unsaid = len(args := e.args) > 1 and not e.slots
    if unsaid or len(e.slots) not in (0, 1, e.primes) or e.order != tuple(sorted(e.order)) or e.order[-1] >= len(args):
        raise r.error(
            EinstanSyntaxError,
            f"The derivative of {e.name} says in which of its {len(e.args)} arguments, in their order.",
            f"Write {e.name}'[1]({', '.join('abcdefgh'[: len(e.args)])}).",
            e.name_span,
        )


def of_along(r: Reader, e: Call) -> Axes:
    """`sum[k](...)`: k is gone afterwards; `softmax[k](...)`: k stays."""
    along = e.along or ()
    if e.name not in words.REDUCTIONS | words.NORMALISERS:
        raise r.error(
            EinstanSyntaxError, f"{e.name} acts entry by entry.", f"Write {e.name}(...) without indices.", e.name_span
        )
    if not along:
        raise r.error(
            EinstanSyntaxError, f"{e.name}[] does not say along which index.", f"Write {e.name}[k](...).", e.name_span
        )
    if len(e.args) != 1 or e.primes or any(i.low is not None for i in along):
        raise r.error(
            EinstanSyntaxError, f"{e.name}[k] has one argument and no prime.", f"Write {e.name}[k](x[k]).", e.span
        )
    axes = r.united(e)
    first: dict[str, Index] = {}
    for index in along:
        check_shown(r, e, index, axes)
        if first.setdefault(index.name, index) is not index:
            message = f"{e.name} is taken along {index.name} twice."
            raise r.error(EinstanIndexError, message, "Write each index once.", first[index.name].span, index.span)
    return {name: side for name, side in axes.items() if name not in e.gone} if e.gone else axes


def check_shown(r: Reader, e: Call, index: Index, axes: Axes) -> None:
    """What a function is taken along is an index of its argument."""
    if index.name not in axes:
        raise r.error(
            EinstanIndexError,
            f"{index.name} is no index of what {e.name} is taken of.",
            f"Its free indices are {', '.join(axes) or 'none'}; an index that is summed inside is gone.",
            index.span,
        )


def of_matrix(r: Reader, e: Call) -> Axes:
    """`inv[i,j](A[i,j])`: rows and columns stay; `det[i,j](A[i,j])`: both are gone; `solve[i,j](A[i,j], b[i,m])`: j
    stands in the place of i."""
    along, (arity, _) = e.along or (), words.MATRIX[e.name]
    written = f"{e.name}[i,j](A[i,j]{', b[i]' * (arity > 1)})"
    names = [index.name for index in along]
    if len(names) != 2 or len(e.args) != arity or e.primes or any(index.low is not None for index in along):
        message = f"{e.name} is taken along the rows and the columns of a matrix."
        raise r.error(EinstanSyntaxError, message, f"Write {written}.", e.span)
    if names[0] == names[1]:
        raise r.error(
            EinstanIndexError, f"{e.name} needs two different indices, rows and columns.", f"Write {written}.", e.span
        )
    axes, matrix = r.united(e), r.axes[id(e.args[0])]
    for index in along:
        check_shown(r, e, index, matrix)
    r.one_size(f"The size of {names[0]} and {names[1]} in {e.name}", *(matrix[name] for name in names))
    for argument in e.args[1:]:
        check_right_side(r, e, argument)
    return {name: side for name, side in axes.items() if name not in e.gone}


def check_right_side(r: Reader, e: Call, b: Expr) -> None:
    """`solve[i,j](A[i,j], b[i])` has the new index j, which b does not show."""
    assert e.along is not None
    rows, columns = e.along
    check_shown(r, e, rows, r.axes[id(b)])
    if columns.name in r.axes[id(b)]:
        raise r.error(
            EinstanIndexError,
            f"{columns.name} is the index that the result of {e.name} has in the place of {rows.name}, and b has it "
            "already.",
            f"Take another letter for the columns of the matrix: {e.name}[{rows.name},k](A[{rows.name},k], ...).",
            columns.span,
            r.axes[id(b)][columns.name].span,
        )


def of_opaque(r: Reader, e: Call) -> Axes:
    """`f(x[i])` acts entry by entry; `f[j](Z[i,K])` takes in the open K and has the new axis j.

    A derivative has the axes it was taken by as well: `f'[j,k](Z[i,K])`.
    """
    axes = r.united(e)
    if e.primes:
        check_slot(r, e)
    seen = [side for k in e.order for side in seen_axes(r, e, e.args[k])]
    along = e.along or ()
    if len(along) < len(seen):
        raise r.error(
            EinstanIndexError,
            f"The derivative of {e.name} has {len(seen)} axes of what it is taken by, and shows {len(along)}.",
            f"Write {e.name}{chr(39) * e.primes}[{','.join('ijklmnpqrs'[: len(seen)])}](...), new axes first.",
            e.name_span,
        )
    if e.along is None:
        return axes
    taken = {name: side for name, side in axes.items() if is_capital(name)}
    if taken:
        r.summed[id(e)] = taken
        r.hide(e, taken)
    result = {name: side for name, side in axes.items() if name not in taken}
    new = len(along) - len(seen)
    for n, index in enumerate(along):
        if index.name in result:
            raise r.error(
                EinstanIndexError,
                f"{index.name} is the new axis of {e.name}, and an index of its argument too.",
                "Take another letter for the new axis.",
                index.span,
                result[index.name].span,
            )
        side = r.codomain(index, e.name, n) if n < new else replace(seen[n - new], span=index.span)
        result[index.name] = r.fixed(index.name, side)
    return result


def seen_axes(r: Reader, e: Call, argument: Expr) -> list[Side]:
    """What the function sees of an argument: all of `X[:]`, the open capitals of `Z[i,K]`."""
    if isinstance(argument, Tensor) and not argument.indices and not is_pi(argument):
        return list(r.known.shapes[argument.name])
    return [side for name, side in r.axes[id(argument)].items() if e.along is not None and is_capital(name)]


def of_concat(r: Reader, e: Concat) -> Axes:
    """`[h[b,K], x[b,K]]_K`: the sizes of K add up, all other indices are shared."""
    joined = e.index.name
    for part in e.parts:
        if joined not in r.axes[id(part)]:
            raise r.error(
                EinstanIndexError,
                f"The parts are joined along {joined}, and one of them has no free {joined}.",
                f"Write it with {joined}: [h[{joined}], x[{joined}]]_{joined}.",
                part.span,
                e.index.span,
            )
    sizes = tuple(r.axes[id(part)][joined].dim for part in e.parts)
    name = f"[{', '.join(part_name(part, r.known.source) for part in e.parts)}]"
    side = Side(total(sizes), name, e.index.span, sizes)
    shared = ((n, side if n == joined else s) for part in e.parts for n, s in r.axes[id(part)].items())
    axes = r.merged(shared)
    r.operands(e, {n: s for n, s in axes.items() if n != joined})
    return axes


def part_name(e: Expr, source: str) -> str:
    return e.name if isinstance(e, Tensor) else source[e.span.start : e.span.end][:20] or "..."


def of_derivative(r: Reader, e: Derivative) -> Axes:
    """A tensor whose indices are those of the numerator, then those of the denominators."""
    top = e.numerator
    places = list(factor_places(r, top))
    name = "∂" * (len(e.denominators) == 1) + (top.name if isinstance(top, Tensor) else "(...)")
    for denominator in e.denominators:
        if denominator.indices or not r.known.shapes[denominator.name]:
            below = tensor_places(r, denominator)
        else:
            raise r.error(
                EinstanShapeError,
                f"{denominator.name} has axes, and stands below ∂ without indices.",
                f"Write ∂{denominator.name}[...] with its indices.",
                r.known.uses.get(denominator.name),
                denominator.span,
            )
        places += [(n, replace(side, name=f"{name}/∂{denominator.name}")) for n, side in below]
    r.places[id(e)] = places
    axes = r.merged(places)
    r.operands(e, axes)
    return axes if id(e) in r.held else r.close(e, axes, places)


RULES: dict[type[Expr], Callable[[Reader, Any], Axes]] = {
    Number: of_number,
    Tensor: of_tensor,
    Filled: of_filled,
    Extent: of_extent,
    Product: of_product,
    Odot: of_union,
    Sum: of_union,
    Compare: of_union,
    Group: of_union,
    Power: of_power,
    Call: of_call,
    Concat: of_concat,
    Derivative: of_derivative,
}
