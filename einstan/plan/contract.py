"""contract: products of one or two arrays as matrix products, entrywise products and sums, on views.

A term is an array with a label for each of its axes, all different. `contract(low, terms, out, ...)` gives the array
and the labels of its axes in the order in which they lie in memory: the order of `out` when it is written into a
`target`, else the order that comes cheapest.

Letters: b batch labels (in both terms and the output), k summed ones, m and n those of the left and right term only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from ..dims import Dim
from .build import Builder, DType, written
from .layout import is_mirrored
from .values import Name, Note, Number, Value, as_float

Labels = tuple[int, ...]
FOLD_WITHOUT_ARRAY = 4096  # entries from which on np.einsum beats multiply and sum
FOLD_LABELS = 50  # np.einsum knows 52
BESIDE = 256  # entries from which on a product of its own costs less than the copy of them


class Term(NamedTuple):
    value: Value
    labels: Labels


@dataclass(frozen=True, slots=True)
class Job:
    """One contraction: where it goes, how it is called in the comment."""

    build: Builder
    out: Labels
    sizes: dict[int, int]
    dtype: DType
    target: Value | None
    dims: dict[int, Dim]
    factor: Number = 1
    copied_after: Callable[[Labels], int] = lambda order: 0  # entries that users copy if the result lies in this order

    @property
    def dot(self) -> str:
        """np.dot takes 0.3 µs less than np.matmul, but does not know that longlong is int64."""
        return "dot" if self.dtype.kind in "fc" else "matmul"

    def target_takes(self, labels: Labels) -> bool:
        return self.target is None or labels == self.out

    def shape(self, labels: Labels) -> tuple[int, ...]:
        return tuple([self.sizes[label] for label in labels])

    def volume(self, labels: Labels) -> int:
        return prod([self.sizes[label] for label in labels])

    def note(self, labels: Labels, *terms: Term) -> Note:
        """`[b,j] = v0[b,K] v1[K,j]`: summed letters are capital."""

        def told(name: Name) -> str:
            letters = self.build.letters(self.dims)
            kept = {label: letters[label] for label in labels}
            left = f"[{','.join(kept.values())}]" if kept else ""
            factors = [written(v, [kept.get(x) or letters[x].capitalize() for x in own], name) for v, own in terms]
            return f"{left} = {' '.join(factors)}"

        return told


def contract(job: Job, terms: list[Term]) -> Term:
    """factor · Σ Π terms over the labels absent from out."""
    terms = [Term(job.build.cast(v, job.dtype), own) for v, own in terms]
    carried = {label for _, own in terms for label in own}
    assert carried.issuperset(job.out), "our bug: an output label that no term carries"
    if job.factor == 1 or (len(terms) == 1 and weighs(job, terms[0])):
        return bare(job, terms)
    sizes = [v.size for v, _ in terms]
    least = min(range(len(terms)), key=sizes.__getitem__)
    if sizes[least] < job.volume(job.out):
        terms[least] = Term(job.build.scaled(terms[least].value, job.factor, job.dtype), terms[least].labels)
        return bare(job, terms)
    value, labels = bare(untargeted(job), terms)
    if job.target is not None and labels != job.out:
        value, labels = aligned(job.build, Term(value, labels), job.out), job.out
    whole, factor = value.storage, as_float(job.factor)

    def note(name: Name) -> str:
        return f" = {factor:g} {name(whole)}"

    scaled = job.build.compute(
        "multiply",
        [value, job.factor],
        value.shape,
        job.dtype,
        job.target,
        (),
        note,
        value.size,
    )
    return Term(scaled, labels)


def untargeted(job: Job) -> Job:
    return Job(job.build, job.out, job.sizes, job.dtype, None, job.dims)


def bare(job: Job, terms: list[Term]) -> Term:
    if len(terms) == 1:
        return total(job, terms[0])
    assert len(terms) == 2, "our bug: the planner contracts two at a time"
    left, right = terms
    if lonely(left, right, job.out) or lonely(right, left, job.out):
        return bare(job, [presummed(job, left, right), presummed(job, right, left)])
    shared = set(left.labels) & set(right.labels)
    if shared <= set(job.out):
        return product(job, left, right)
    if shared.issuperset(left.labels) and shared.issuperset(right.labels):
        return folded(job, left, right) if job.out else dot(job, left, right)
    return matrices(job, left, right)


def lonely(own: Term, other: Term, out: Labels) -> bool:
    """Whether a label of the term is summed and nowhere else."""
    return any(label not in out and label not in other.labels for label in own.labels)


def presummed(job: Job, t: Term, other: Term) -> Term:
    """The term summed over its lonely labels."""
    out = tuple(label for label in t.labels if label in job.out or label in other.labels)
    return total(Job(job.build, out, job.sizes, job.dtype, None, job.dims), t)


# ---------------------------------------------------------------- sums


def total(job: Job, t: Term) -> Term:
    """Σ over labels of one term: leading axes by a product with ones, which is faster than numpy's sum."""
    summed = tuple(label for label in t.labels if label not in job.out)
    if not summed:
        return t
    kept = tuple(label for label in t.labels if label in job.out)
    if not job.target_takes(kept):
        value, labels = total(untargeted(job), t)
        return Term(aligned(job.build, Term(value, labels), job.out), job.out)
    flops, note = t.value.size, job.note(kept, t)
    b = job.build
    if by_product(job, t):
        rows, columns = job.volume(summed), job.volume(kept)
        weights = b.weights(rows, job.factor, job.dtype)
        if t.labels == summed + kept:
            args = [weights, b.reshape(t.value, (rows, columns))]
            return Term(flat_product(job, args, kept, (columns,), note, flops), kept)
        if t.labels == kept + summed:
            args = [b.reshape(t.value, (columns, rows)), weights]
            return Term(flat_product(job, args, kept, (columns,), note, flops), kept)
        ends = [run for run in (leading(t.labels, job.out), trailing(t.labels, job.out)) if run]
        if ends:
            left = tuple([label for label in t.labels if label not in ends[-1]])
            return total(job, total(Job(b, left, job.sizes, job.dtype, None, job.dims), t))
    axes = tuple(n for n, label in enumerate(t.labels) if label not in job.out)
    found = b.compute("sum", [t.value], job.shape(kept), job.dtype, job.target, (axes,), note, flops)
    return Term(found, kept)


def by_product(job: Job, t: Term) -> bool:
    """Whether the sum over some axes of the term is a product with a vector for each run of them at an end."""
    kept = any(label in job.out for label in t.labels)
    return kept and job.dtype.kind == "f" and t.value.contiguous and 0 not in t.value.shape


def weighs(job: Job, t: Term) -> bool:
    """Whether the sum is one product with a vector, which may be of other numbers than 1."""
    kept = tuple([label for label in t.labels if label in job.out])
    at_an_end = t.labels[: len(kept)] == kept or t.labels[len(t.labels) - len(kept) :] == kept
    return at_an_end and t.labels != kept and job.target_takes(kept) and by_product(job, t)


def leading(labels: Labels, out: Labels) -> Labels:
    """The summed labels at the front."""
    return labels[: next((n for n, label in enumerate(labels) if label in out), len(labels))]


def trailing(labels: Labels, out: Labels) -> Labels:
    """The summed labels at the end."""
    return leading(labels[::-1], out)[::-1]


def flat_product(job: Job, args: list[Value], labels: Labels, flat: tuple[int, ...], note: Note, flops: int) -> Value:
    """A product of matrices and vectors into merged axes, seen with all axes."""
    b, shape = job.build, job.shape(labels)
    if job.target is not None and (job.target.contiguous or flat == shape):
        out = b.reshape(job.target, flat)
        op = "dot" if out.contiguous else "matmul"
        b.compute(op, args, flat, job.dtype, out, (), note, flops)
        return job.target
    return b.merged("dot", args, shape, flat, job.dtype, note, flops)


# ---------------------------------------------------------------- entrywise products, dots, folds


def aligned(b: Builder, t: Term, order: Labels) -> Value:
    """The term as a view with its axes in this order, and new axes of size 1 where it lacks a label."""
    present = [t.labels.index(label) for label in order if label in t.labels]
    value = b.transpose(t.value, tuple(present))
    first = next((n for n, label in enumerate(order) if label in t.labels), len(order))
    if len(order) - first == len(present):
        return value
    sizes = iter(value.shape)
    return b.index(value, tuple((0, next(sizes)) if label in t.labels else None for label in order[first:]))


def product(job: Job, left: Term, right: Term) -> Term:
    """[..] = left · right, nothing summed."""
    order = job.out
    if job.target is None:
        order = next((t.labels for t in (left, right) if len(t.labels) == len(job.out)), job.out)
    args = [aligned(job.build, t, order) for t in (left, right)]
    note, flops = job.note(order, left, right), job.volume(order)
    return Term(job.build.compute("multiply", args, job.shape(order), job.dtype, job.target, (), note, flops), order)


def dot(job: Job, left: Term, right: Term) -> Term:
    """Σ left · right over everything."""
    b = job.build
    other = aligned(b, right, left.labels)
    note, flops = job.note((), left, right), 2 * left.value.size
    flat = left.value.contiguous and (other.contiguous or left.value.size <= FOLD_WITHOUT_ARRAY)
    if flat or len(left.labels) == 1 or len(left.labels) > FOLD_LABELS:
        args = [b.reshape(v, (v.size,)) for v in (left.value, other)]
        return Term(b.compute(job.dot, args, (), job.dtype, job.target, (), note, flops), ())
    return Term(fold(job, [left.value, other], left.labels, (), note, flops), ())


def folded(job: Job, left: Term, right: Term) -> Term:
    """[b] = Σ_k left[b,k] · right[b,k]."""
    b, order = job.build, left.labels
    args = [left.value, aligned(b, right, order)]
    kept = job.out if job.target is not None else tuple(label for label in order if label in job.out)
    note, flops = job.note(kept, left, right), 2 * left.value.size
    if left.value.size > FOLD_WITHOUT_ARRAY and len(order) <= FOLD_LABELS and job.dtype.kind != "b":
        return Term(fold(job, args, order, kept, note, flops), kept)
    both = b.compute(
        "multiply", args, job.shape(order), job.dtype, None, (), job.note(order, left, right), left.value.size
    )
    return total(job, Term(both, order))


def fold(job: Job, args: list[Value], order: Labels, kept: Labels, note: Note, flops: int) -> Value:
    """One pass of np.einsum over two arrays of equal axes: no array of products."""
    place = {label: n for n, label in enumerate(order)}
    params = (tuple(place.values()), tuple(place[label] for label in kept))
    return job.build.compute("fold", args, job.shape(kept), job.dtype, job.target, params, note, flops)


# ---------------------------------------------------------------- matrix products


def matrices(job: Job, left: Term, right: Term) -> Term:
    """[b,m,n] = left[b,m,K] right[b,K,n] with every group of labels merged into one axis."""
    here, there = set(left.labels), set(right.labels)
    batch = tuple(x for x in job.out if x in here and x in there)
    m = tuple(x for x in left.labels if x not in there)
    n = tuple(x for x in right.labels if x not in here)
    if swapped(job, batch, m, n):
        left, right, m, n = right, left, n, m
    k = summed_order(left, right, job.out)
    if not batch and not n and (found := beside(job, left, right, k)) is not None:
        return found
    if not batch and not m and (found := beside(job, right, left, k)) is not None:
        return found
    if job.target is not None:
        m, n = (in_order(group, job.out) for group in (m, n))
    result = batch + m + n
    note = job.note(job.out if job.target is not None else result, left, right)
    args = [matrix(job, left, batch, m, k), matrix(job, right, batch, k, n)]
    out = None if job.target is None else as_matrices(job, batch, m, n)
    op = job.dot if not batch and (out is None or out.contiguous) else "matmul"  # dot takes 0.3 µs less
    flat = (*job.shape(batch), *(job.volume(group) for group in (m, n) if group or batch))
    pairs = job.volume(m) * (job.volume(m) + 1) // 2 if is_mirrored(op, *args) else job.volume(batch + m + n)
    flops = 2 * pairs * job.volume(k)
    if out is None:
        return Term(job.build.merged(op, args, job.shape(result), flat, job.dtype, note, flops), result)
    job.build.compute(op, args, flat, job.dtype, out, (), note, flops)
    assert job.target is not None
    return Term(job.target, job.out)


def swapped(job: Job, batch: Labels, m: Labels, n: Labels) -> bool:
    """Whether [b,n,m] is asked for, or lies better for what comes next."""
    if not m or not n or job.target is not None:
        return job.out == batch + n + m != batch + m + n
    first, second = (job.copied_after(batch + order) for order in (m + n, n + m))
    return second < first or (second == first and job.out == batch + n + m)


def beside(job: Job, t: Term, vector: Term, k: Labels) -> Term | None:
    """[a,c] = t[a,K,c] vector[K] as a product for each a, where merging a and c would copy t; else None."""
    start = min(t.labels.index(label) for label in k)
    a, c = t.labels[:start], t.labels[start + len(k) :]
    if t.labels != a + k + c or not a or not c or job.volume(k + c) < BESIDE:
        return None
    b, flops = job.build, 2 * t.value.size
    row = b.index(matrix(job, vector, (), k, ()), (None,))
    args, shape = [row, matrix(job, t, a, k, c)], (*job.shape(a), 1, job.volume(c))
    note = job.note(a + c, t, vector)
    if job.target is not None and job.out == a + c and job.target.contiguous:
        b.compute("matmul", args, shape, job.dtype, b.reshape(job.target, shape), (), note, flops)
        return Term(job.target, job.out)
    return Term(b.merged("matmul", args, job.shape(a + c), shape, job.dtype, note, flops), a + c)


def summed_order(left: Term, right: Term, out: Labels) -> Labels:
    """The order of the summed labels that leaves the larger term as it lies."""
    by_size = sorted((left, right), key=lambda t: -t.value.size)
    orders = [tuple(x for x in t.labels if x not in out and x in left.labels and x in right.labels) for t in by_size]
    return next((k for k in orders if all(adjacent(k, t.labels) for t in (left, right))), orders[0])


def in_order(group: Labels, out: Labels) -> Labels:
    return tuple(x for x in out if x in group)


def adjacent(group: Labels, labels: Labels) -> bool:
    """Whether the group stands in labels, in this order and unbroken."""
    if len(group) < 2:
        return True
    start = labels.index(group[0])
    return labels[start : start + len(group)] == group


def matrix(job: Job, t: Term, batch: Labels, rows: Labels, columns: Labels) -> Value:
    """The term as [batch.., rows, columns] with rows and columns merged; a copy only where they do not lie together.

    Without batch labels an empty group is no axis, so vectors stay vectors.
    """
    b = job.build
    if not (adjacent(rows, t.labels) and adjacent(columns, t.labels)):
        order = batch + rows + columns
        view = aligned(b, t, order)
        t = Term(b.once(("packed", view), "copy", [view], view.shape, view.dtype), order)
    if max(len(rows), len(columns)) > 1:
        t = merged_axes(job, t, (rows, columns))
    order = batch + rows[:1] + columns[:1]
    value = b.transpose(t.value, tuple(t.labels.index(x) for x in order))
    if batch and not rows:
        return b.index(value, (*((0, d) for d in value.shape[: len(batch)]), None))
    if batch and not columns:
        return b.index(value, (*((0, d) for d in value.shape), None))
    return value


def merged_axes(job: Job, t: Term, groups: tuple[Labels, Labels]) -> Term:
    """Each group as one axis, known by its first label."""
    heads = {group[0]: group for group in groups if group}
    inner = {label for group in groups for label in group[1:]}
    labels = tuple(label for label in t.labels if label not in inner)
    return Term(job.build.reshape(t.value, [job.volume(heads.get(label, (label,))) for label in labels]), labels)


def as_matrices(job: Job, batch: Labels, m: Labels, n: Labels) -> Value | None:
    """The target seen as [batch.., m, n], if a view can show it."""
    assert job.target is not None
    if not (adjacent(m, job.out) and adjacent(n, job.out)):
        return None
    if max(len(m), len(n)) > 1 and not job.target.contiguous:
        return None
    return matrix(job, Term(job.target, job.out), batch, m, n)
