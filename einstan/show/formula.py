"""formula: Node -> AST, the formula that a person would write for it.

Labels get letters: hints of the axes they run along where these are free, capitals where the notation sums
them by itself, `sum[k](...)` with lower case where it would not. Letters: e Einsum, a Add, y Call.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fractions import Fraction
from string import ascii_lowercase

from ..dims import Dim
from ..errors import EinstanShapeError
from ..ir import Add, Call, Coef, Const, Einsum, Input, Name, Node, is_zero
from ..prims.linalg import LINALG, SOLVE
from ..prims.opaque import OPAQUE, sees_axes
from ..prims.reduce import LOG_SOFTMAX, REDUCE, SOFTMAX
from ..prims.scalar import COMPARISONS, POW, POWER
from ..prims.shape import CONCAT, PART
from ..recursion import Recursive, run
from ..rules import repeated_axes
from ..syntax import ast
from ..syntax.words import FUNCTIONS
from .products import (
    Factor,
    absorbed,
    as_power,
    axes_called,
    first_coef,
    is_difference,
    is_sum,
    merged_powers,
    reading_order,
    spread_squares,
    symmetric,
    term_order,
    turn,
)
from .spelling import bracket_chain, bracket_compare, bracket_product, bracket_sum, decimal, occurrences, raised, shown

ALPHABET = tuple("ijklmnpqrstuvwabcdefgh")
WORDS = {"amax": "max", "amin": "min"}
COMPARISON_PRIMS = frozenset(COMPARISONS.values())


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What leaves are called: letters of their axes, parts of derivative names, where sizes are found."""

    hints: dict[Node, tuple[str, ...]]
    derivatives: dict[Node, tuple[str, int, tuple[tuple[str, int], ...]]]  # numerator, rank; denominators, ranks
    sizes: Mapping[Dim, tuple[str, int]]  # an input and its axis of this size
    words: frozenset[str] = frozenset()  # what no short name is called
    fixed: frozenset[str] = frozenset()  # letters of `size n = 5` and labels, which other axes can't have


def formula(node: Node, letters: Sequence[str], words: Vocabulary) -> ast.Expr:
    """The expression of `node` with its axes called `letters` (distinct)."""
    return run(Writer(words).write(node, tuple(letters), words.fixed.union(letters)))


def sized_formula(node: Node, letters: Sequence[str], words: Vocabulary) -> ast.Expr:
    """The same for a left side that says no sizes: they follow from tensors of the formula."""
    written = formula(node, letters, words)
    sized = sized_in(written)
    scope = words.fixed.union(letters, written_in(written))
    missing = [(x, d) for x, d in zip(letters, node.shape, strict=True) if x not in sized]
    ones = [one for x, d in missing for one in Writer(words).ones(x, d, scope)]
    return times_ones(written, ones) if ones else written


def sized_in(root: ast.Expr) -> frozenset[str]:
    """The indices of an expression whose sizes follow from it."""
    return frozenset(index.name for e in ast.postorder(root) if says_sizes(e) for index in ast.indices_of(e))


def says_sizes(e: ast.Expr) -> bool:
    """A tensor, and an opaque function with new axes."""
    if isinstance(e, ast.Call):
        return e.name not in FUNCTIONS
    return isinstance(e, ast.Derivative) or (isinstance(e, ast.Tensor) and e.name != "delta")


def written_in(root: ast.Expr) -> frozenset[str]:
    """Every index of an expression, open or not."""
    return frozenset(index.name for e in ast.postorder(root) for index in ast.indices_of(e))


@dataclass(slots=True)
class Writer:
    words: Vocabulary
    hint_memo: dict[Node, tuple[str | None, ...]] = field(default_factory=dict)

    # -- every kind of node: `scope` are the letters that stand around it

    def write(self, node: Node, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        match node:
            case Input() | Name():
                return done(self.leaf(node, tuple(map(ast.Index, letters))))
            case Const():
                return done(ast.Tensor(node.name))
            case Add():
                return self.sum(node, letters, scope)
            case Einsum():
                return self.product(Coef(), node, letters, scope)
            case Call():
                return self.call(node, letters, scope)
            case _:
                raise AssertionError(f"our bug: unknown node {node!r}")

    def leaf(self, node: Input | Name, indices: tuple[ast.Index, ...]) -> ast.Expr:
        """A name with its indices; a derivative leaf spelled as the derivative."""
        if node not in self.words.derivatives:
            return ast.Tensor(node.name, indices)
        numerator, rank, below = self.words.derivatives[node]
        denominators, at = [], rank
        for name, n in below:
            denominators.append(ast.Tensor(name, indices[at : at + n]))
            at += n
        return ast.Derivative(ast.Tensor(numerator, indices[:rank]), tuple(denominators))

    def sum(self, a: Add, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        if is_zero(a):
            return ast.Filled(0, tuple(map(ast.Index, letters))) if letters else ast.Number(Fraction(0))
        if len(a.operands) == 1:
            multiple: ast.Expr = yield self.product(a.coefs[0], a.operands[0], letters, scope)
            return turned(multiple)
        terms = sorted(a.terms, key=term_order)
        written, signs = [], []
        for coef, term in terms:
            sign, expr = yield self.signed(coef, term, letters, scope)
            written.append(expr)
            signs.append(sign)
        return ast.Sum(tuple(written), tuple(signs))

    def signed(
        self, coef: Coef, term: Node, letters: tuple[str, ...], scope: frozenset[str]
    ) -> Recursive[tuple[int, ast.Expr]]:
        """The term with its coefficient, the sign apart."""
        expr = yield self.product(coef, term, letters, scope)
        if isinstance(expr, ast.Sum) and len(expr.terms) == 1:
            return -1, expr.terms[0]
        return 1, bracket_sum(expr)

    # -- products

    def product(self, coef: Coef, node: Node, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        """coef · node, the node's contraction opened into factors."""
        factors, deltas, summed = self.factors(node, letters, scope)
        sign = 1
        factors = merged_powers([as_power(f) for f in factors])
        coef, factors = absorbed(*self.natural_signs(coef, factors))
        if coef.rational < 0:
            coef, sign = coef * Coef(Fraction(-1)), -1
        lower = {x for x in summed.values() if any(hides(f.node, axes_called(f, x)) for f in factors)}
        rename = {x: x if x in lower else x.capitalize() for x in summed.values()}
        factors = [Factor(f.node, tuple(rename.get(x, x) for x in f.letters), f.q) for f in factors]
        factors.sort(key=lambda f: self.factor_order(f, letters))
        factors = symmetric(factors, letters)
        capitals = [x for x in rename.values() if x not in lower]
        factors = spread_squares(factors, capitals)
        inner = scope | set(rename.values())
        above, below = yield self.chain(factors, inner)
        above += [ast.Tensor("delta", (ast.Index(i), ast.Index(j))) for i, j in deltas]
        seen = [x for expr in (*above, *below) for x in occurrences(expr)]
        above += [ast.Filled(1, (ast.Index(x),)) for x in capitals for _ in range(2 - min(2, seen.count(x)))]
        above += [ast.Filled(1, (ast.Index(x),)) for x in lower if x not in seen]
        expr = self.assemble(coef, above, below)
        if lower:
            expr = ast.Call("sum", (expr,), tuple(ast.Index(x) for x in sorted(lower)))
        return ast.Sum((expr,), (-1,)) if sign < 0 else expr

    def factors(
        self, e: Node, letters: tuple[str, ...], scope: frozenset[str]
    ) -> tuple[list[Factor], list[tuple[str, str]], dict[int, str]]:
        """Factors with letters, the deltas that repeated output labels write, letters of summed labels."""
        if not isinstance(e, Einsum):
            return [Factor(e, letters)], [], {}
        names: dict[int, str] = {}
        deltas: list[tuple[str, str]] = []
        for label, letter in zip(e.out, letters, strict=True):
            if names.setdefault(label, letter) != letter:
                deltas.append((names[label], letter))
        summed: dict[int, str] = {}
        taken = {x.lower() for x in scope}
        factors: list[Factor] = []
        waiting = [(e, names)]
        while waiting:
            inner, named = waiting.pop()
            for operand, own in inner.factors:
                for label, hint in zip(own, self.hints(operand), strict=True):
                    if label not in named:
                        named[label] = summed[len(summed)] = fresh(hint, taken)
                        taken.add(named[label])
                shown = tuple(named[x] for x in own)
                if isinstance(operand, Einsum) and len(set(operand.out)) == operand.rank:
                    waiting.append((operand, dict(zip(operand.out, shown, strict=True))))
                else:
                    factors.append(Factor(operand, shown))
        return factors, deltas, summed

    def natural_signs(self, coef: Coef, factors: list[Factor]) -> tuple[Coef, list[Factor]]:
        """Sums turned so that they begin with a positive term; the signs go to the coefficient."""
        sums = [n for n, f in enumerate(factors) if is_sum(f.node) and f.q.denominator == 1]
        for n in sums:
            if first_coef(factors[n].node) < 0:
                coef, factors = turn(coef, factors, n)
        mixed = [n for n in sums if factors[n].q % 2 and is_difference(factors[n].node)]
        return turn(coef, factors, mixed[0]) if coef.rational < 0 and mixed else (coef, factors)

    def factor_order(self, f: Factor, letters: tuple[str, ...]) -> tuple[object, ...]:
        kind, *rest = reading_order(f.node)
        first = min((letters.index(x) for x in f.letters if x in letters), default=len(letters))
        return (kind, first if kind == 0 else 0, *rest)

    def chain(self, factors: list[Factor], scope: frozenset[str]) -> Recursive[tuple[list[ast.Expr], list[ast.Expr]]]:
        """The factors above and below the line."""
        above: list[ast.Expr] = []
        below: list[ast.Expr] = []
        for f in factors:
            base = yield self.write(f.node, f.letters, scope)
            side = below if f.q < 0 else above
            side.append(raised(base, abs(f.q)))
        return above, below

    def assemble(self, coef: Coef, above: list[ast.Expr], below: list[ast.Expr]) -> ast.Expr:
        """coef, factors and divisors as one chain."""
        top, bottom = decimal(coef.rational)
        above = [self.extent(d, n) for d, n in coef.sizes if n > 0] + above
        below = below + [self.extent(d, -n) for d, n in coef.sizes if n < 0]
        if top != 1 or not above:
            above = [ast.Number(top), *above]
        if bottom != 1:
            below.append(ast.Number(bottom))
        chain = tuple(bracket_sum(x) if len(above) + len(below) > 1 else x for x in above)
        if len(above) + len(below) == 1:
            return chain[0]
        return ast.Product((*chain, *map(bracket_product, below)), (False,) * len(above) + (True,) * len(below))

    def extent(self, d: Dim, n: int) -> ast.Expr:
        return raised(bracket_sum(self.size(d)), Fraction(n))

    def size(self, d: Dim) -> ast.Expr:
        if d.value is not None:
            return ast.Number(Fraction(d.value))
        if d in self.words.sizes:
            return self.extent_of(d)
        terms = sorted(d.terms, key=lambda term: term[1] < 0)
        written = tuple(self.monomial(m, abs(c)) for m, c in terms)
        return ast.Sum(written, tuple(1 if c > 0 else -1 for _, c in terms)) if len(written) > 1 else written[0]

    def extent_of(self, d: Dim) -> ast.Extent:
        """`size(X,2)` of an input; of a defined name where an opaque function decides the size."""
        if d in self.words.sizes:
            return ast.Extent(*self.words.sizes[d])
        leaf = self.leaf_of_size(d)
        if leaf is None:
            raise EinstanShapeError(
                "The size of a new axis of an opaque function stands in this derivative, and no name has that axis.",
                "Write `size j = 5` in the program, with the letter of that axis, or name the function's result.",
            )
        return ast.Extent(leaf.name, leaf.shape.index(d))

    def monomial(self, symbols: Sequence[str], c: int) -> ast.Expr:
        parts: list[ast.Expr] = [self.extent_of(Dim.symbol(s)) for s in symbols]
        if c != 1 or not parts:
            parts.insert(0, ast.Number(Fraction(c)))
        return ast.Product(tuple(parts), (False,) * len(parts)) if len(parts) > 1 else parts[0]

    # -- functions

    def call(self, y: Call, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        if y.prim is POW:
            return self.product(Coef(), y, letters, scope)
        if y.prim is POWER:
            return self.power(y, letters, scope)
        if y.prim in COMPARISON_PRIMS:
            return self.compare(y, letters, scope)
        if y.prim is CONCAT:
            return self.concat(y, letters, scope)
        if y.prim is PART:
            return self.part(y, letters)
        if y.prim is OPAQUE:
            return self.opaque(y, letters, scope)
        if y.prim.name in REDUCE:
            return self.along(y, letters, scope)
        if y.prim.name in LINALG:
            return self.matrix(y, letters, scope)
        return self.entrywise(y, letters, scope)

    def entrywise(self, y: Call, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        args = []
        for o in y.operands:
            args.append((yield self.write(o, letters, scope)))
        return ast.Call(y.prim.name, tuple(map(without_zero_axes, args)))

    def power(self, y: Call, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        base = yield self.write(y.operands[0], letters, scope)
        exponent = yield self.write(y.operands[1], letters, scope)
        return ast.Power(bracket_chain(base), bracket_chain(exponent))

    def compare(self, y: Call, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        left = yield self.write(y.operands[0], letters, scope)
        right = yield self.write(y.operands[1], letters, scope)
        left, right = (bracket_compare(without_zero_axes(side)) for side in (left, right))
        return ast.Compare(y.prim.name, left, right)

    def concat(self, y: Call, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        axis = y.params[0]
        assert isinstance(axis, int)
        parts: list[ast.Expr] = []
        at = Dim.of(0)
        sizeless = [o for o in y.operands if axis in repeated_axes(o)]
        like = next((x for x in self.words.hints if x.shape == y.shape), None)
        for o in y.operands:
            end = at + o.shape[axis]
            written = yield self.write(o, letters, scope)
            if o not in sizeless:
                parts.append(showing(written, [letters[axis]]))
            elif isinstance(like, Input | Name):
                ones = ast.Power(self.part_of(like, letters, axis, at, end), ast.Number(Fraction(0)))
                parts.append(times_ones(written, [ones]))
            elif self.leaf_of_size(y.shape[axis]) is not None:
                taken = scope | written_in(written)
                parts.append(times_ones(written, self.ones(letters[axis], y.shape[axis], taken, (at, end))))
            else:
                parts.append(times_ones(written, self.ones(letters[axis], o.shape[axis], scope | written_in(written))))
            at = end
        return ast.Concat(tuple(parts), ast.Index(letters[axis]))

    def part_of(self, like: Input | Name, letters: tuple[str, ...], axis: int, low: Dim, high: Dim) -> ast.Expr:
        indices = list(map(ast.Index, letters))
        indices[axis] = ast.Index(letters[axis], low=self.size(low), high=self.size(high))
        return self.leaf(like, tuple(indices))

    def part(self, y: Call, letters: tuple[str, ...]) -> Recursive[ast.Expr]:
        """W[j,k=0:2]: parts of a leaf, one after another."""
        bounds: dict[int, tuple[Dim, Dim]] = {}
        node: Node = y
        while isinstance(node, Call) and node.prim is PART:
            axis, low, high = node.params
            assert isinstance(axis, int) and isinstance(low, Dim) and isinstance(high, Dim)
            shift = bounds[axis][0] if axis in bounds else None
            bounds[axis] = (low, high) if shift is None else (low + shift, low + bounds[axis][1])
            node = node.operands[0]
        assert isinstance(node, Input | Name), "our bug: a part of an unnamed expression is written"
        indices = [
            ast.Index(x, low=self.size(bounds[n][0]), high=self.size(bounds[n][1])) if n in bounds else ast.Index(x)
            for n, x in enumerate(letters)
        ]
        return done(self.leaf(node, tuple(indices)))

    def along(self, y: Call, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        """max[k](Z[i,k]), softmax[k](Z[i,k])."""
        (n,) = y.params
        assert isinstance(n, int)
        (x,) = y.operands
        keeps = y.prim in (SOFTMAX, LOG_SOFTMAX)
        if keeps:
            inner, own = letters, letters[len(letters) - n :]
        else:
            taken = {letter.lower() for letter in scope}
            fresh_letters = []
            for hint in self.hints(x)[x.rank - n :]:
                fresh_letters.append(fresh(hint, taken))
                taken.add(fresh_letters[-1])
            own = tuple(fresh_letters)
            inner = letters + own
        body: ast.Expr = yield self.write(x, inner, scope | set(own))
        body = self.sized(body, dict(zip(own, x.shape[x.rank - n :], strict=True)), sized_in(body), scope)
        name = WORDS.get(y.prim.name, y.prim.name)
        return ast.Call(name, (body,), tuple(map(ast.Index, own)))

    def sized(self, body: ast.Expr, own: Mapping[str, Dim], known: Set[str], scope: frozenset[str]) -> ast.Expr:
        """The argument of a function along `own`: it shows them, and their sizes follow from it where not `known`."""
        around = scope.union(own, written_in(body))
        missing = [(letter, d) for letter, d in own.items() if letter not in known]
        if ones := [one for letter, d in missing for one in self.ones(letter, d, around)]:
            body = times_ones(body, ones)
        return showing(body, tuple(own))

    def matrix(self, y: Call, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        """inv[i,j](A[l,i,j]), det[i,j](A[l,i,j]), solve[i,j](A[l,i,j], b[l,i,m])."""
        a = y.operands[0]
        lead, shown = letters[: a.rank - 2], letters[a.rank - 2 :]
        rows, columns = self.fresh_pair(a, {x.lower() for x in scope})
        if y.prim is SOLVE:
            columns, *more = shown
        elif shown:
            rows, columns = shown
        own = [(rows, columns), *((rows, *more) for _ in y.operands[1:])]
        bodies: list[ast.Expr] = []
        for o, inner in zip(y.operands, own, strict=True):
            bodies.append((yield self.write(o, (*lead, *inner), scope.union(inner))))
        known = frozenset[str]().union(*map(sized_in, bodies))
        args = []
        for o, inner, body in zip(y.operands, own, bodies, strict=True):
            known |= {rows, columns} if known & {rows, columns} else set()
            args.append(self.sized(body, dict(zip(inner, o.shape[a.rank - 2 :], strict=True)), known, scope))
            known |= {*inner}
        args[0] = showing(args[0], [x for x in lead if not any(x in written_in(e) for e in args)])
        return ast.Call(y.prim.name, tuple(args), (ast.Index(rows), ast.Index(columns)))

    def fresh_pair(self, a: Node, taken: set[str]) -> tuple[str, str]:
        """Letters for the rows and the columns of a matrix that none around it has."""
        rows, columns = self.hints(a)[-2:]
        first = fresh(rows, taken)
        return first, fresh(columns, taken | {first.lower()})

    def leaf_of_size(self, d: Dim) -> Input | Name | None:
        """A tensor with an axis of this size, inputs first."""
        named = (x for x in self.words.hints if isinstance(x, Input | Name) and x not in self.words.derivatives)
        fitting = (x for x in named if d in x.shape)
        return min(fitting, key=lambda x: (isinstance(x, Name), x.rank), default=None)

    def ones(self, letter: str, d: Dim, scope: frozenset[str], part: tuple[Dim, Dim] | None = None) -> list[ast.Expr]:
        """The factors of a 1[k] whose size follows from a tensor: `v[k]^0`, `T[A=0:1,k]^0 1[A]`; or of a part of it."""
        leaf, taken = self.leaf_of_size(d), {x.lower() for x in scope}
        if leaf is None:
            return [ast.Filled(1, (ast.Index(letter),))]
        low, high = map(self.size, part) if part else (None, None)
        indices, sums = [], []
        for axis in range(leaf.rank):
            if axis == leaf.shape.index(d):
                indices.append(ast.Index(letter, low=low, high=high))
                continue
            capital = fresh(self.words.hints[leaf][axis], taken).capitalize()
            taken.add(capital.lower())
            indices.append(ast.Index(capital, low=ast.Number(Fraction(0)), high=ast.Number(Fraction(1))))
            sums.append(ast.Filled(1, (ast.Index(capital),)))
        return [ast.Power(self.leaf(leaf, tuple(indices)), ast.Number(Fraction(0))), *sums]

    def opaque(self, y: Call, letters: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        """f'(x[i]), f[j](Z[i,K]), f''[1,2](a, b), loss(X[:]), loss'[i,j](X[:])."""
        name, lead, _, slots = y.params
        assert isinstance(name, str) and isinstance(lead, int) and isinstance(slots, tuple)
        args: list[ast.Expr] = []
        for o in y.operands:
            args.append((yield self.argument(o, letters[:lead], scope)))
        listed = any(isinstance(a, ast.Tensor) and a.indices is None for a in args) or not sees_axes(y)
        along = None if listed and y.rank == lead else tuple(map(ast.Index, letters[lead:]))
        said = () if len(args) == 1 else slots[:1] if len(set(slots)) == 1 else slots
        return ast.Call(name, tuple(args), along, len(slots), said)

    def argument(self, o: Node, lead: tuple[str, ...], scope: frozenset[str]) -> Recursive[ast.Expr]:
        """What an opaque function is given: `X[:]`, or an expression whose capitals show in the order of its axes."""
        whole = whole_leaf(o, len(lead))
        if whole is not None and whole not in self.words.derivatives:
            return ast.Tensor(whole.name, None)
        taken = {x.lower() for x in scope}
        seen: list[str] = []
        for hint in self.hints(o)[len(lead) :]:
            seen.append(fresh(hint, taken).capitalize())
            taken.add(seen[-1].lower())
        body = yield self.write(o, (*lead, *seen), scope | set(seen))
        body = showing(body, seen)
        order = [i.name for e in ast.postorder(body) for i in ast.indices_of(e) if i.name in seen]
        if list(dict.fromkeys(order)) == seen:
            return body
        zeros = ast.Filled(0, tuple(map(ast.Index, seen)))
        return ast.Sum((zeros, bracket_sum(body)), (1, 1))

    # -- letters

    def hints(self, node: Node) -> tuple[str | None, ...]:
        """A letter for every axis of the node, from the leaves below it."""
        stack = [node]
        while stack:
            n = stack[-1]
            if n in self.hint_memo:
                stack.pop()
                continue
            missing = [o for o in n.operands if o not in self.hint_memo]
            if missing:
                stack.extend(missing)
                continue
            self.hint_memo[n] = self.hints_from_operands(n)
            stack.pop()
        return self.hint_memo[node]

    def distinct_hints(self, node: Node) -> tuple[str, ...]:
        """Distinct letters for the axes of the node."""
        found: list[str] = []
        for hint in self.hints(node):
            found.append(fresh(hint, self.words.fixed.union(found)))
        return tuple(found)

    def hints_from_operands(self, node: Node) -> tuple[str | None, ...]:
        if node in self.words.hints:
            return self.words.hints[node]
        if isinstance(node, Einsum):
            found: dict[int, str | None] = {}
            for o, own in node.factors:
                for label, hint in zip(own, self.hint_memo[o], strict=True):
                    found[label] = found.get(label) or hint
            return tuple(found.get(label) for label in node.out)
        below = [self.hint_memo[o] for o in node.operands]
        if isinstance(node, Call) and node.prim is OPAQUE:
            lead = node.params[1]
            assert isinstance(lead, int)
            below = [hints[:lead] for hints in below]
        return tuple(next((h[n] for h in below if n < len(h) and h[n]), None) for n in range(node.rank))


def turned(e: ast.Expr) -> ast.Expr:
    """-(1 - a) as a - 1."""
    inner = e.terms[0] if isinstance(e, ast.Sum) and e.signs == (-1,) else e
    if inner is e or not isinstance(inner, ast.Sum) or -1 not in inner.signs:
        return e
    terms = sorted(zip(inner.terms, inner.signs, strict=True), key=lambda term: term[1])
    return ast.Sum(tuple(term for term, _ in terms), tuple(-sign for _, sign in terms))


def times_ones(expr: ast.Expr, ones: Sequence[ast.Expr]) -> ast.Expr:
    """The expression times ones that say a size; the sizes of two `0[k]` or `1[k]` in one place would not follow."""
    if isinstance(expr, ast.Filled) and expr.value == 0:
        expr, ones = ast.Number(Fraction(0)), [one.base if isinstance(one, ast.Power) else one for one in ones]
    factors = list(ones) if isinstance(expr, ast.Number) and expr.value == 1 else [bracket_sum(expr), *ones]
    return ast.Product(tuple(factors), (False,) * len(factors)) if len(factors) > 1 else factors[0]


def hides(node: Node, axes: Sequence[int]) -> bool:
    """Whether a capital at these axes would be summed inside the node, or misread there."""
    if len(axes) > 1 and not isinstance(node, Input | Name):
        return True
    waiting = [(node, axis) for axis in axes]
    while waiting:
        node, axis = waiting.pop()
        if isinstance(node, Einsum):
            label = node.out[axis]
            found = [(o, n) for o, own in node.factors for n, x in enumerate(own) if x == label]
            if len(found) > 1 or node.out.count(label) > 1:
                return True
            waiting.extend(found)
        elif isinstance(node, Call) and node.prim is OPAQUE and sees_axes(node):
            if axis < node.params[1]:  # type: ignore[operator]
                return True
        elif isinstance(node, Add | Call):
            waiting.extend((o, own) for o, found in axes_below(node, (axis,)) for own in found)
    return False


def indistinct(node: Node, labels: Sequence[int]) -> bool:
    """Whether axes with one label run along a softmax or a join, which needs a letter for each."""
    groups = (tuple(n for n, x in enumerate(labels) if x == label) for label in set(labels))
    waiting = [(node, group) for group in groups if len(group) > 1]
    while waiting:
        node, axes = waiting.pop()
        if isinstance(node, Einsum):
            own = {node.out[axis] for axis in axes}
            found = ((o, tuple(n for n, x in enumerate(ls) if x in own)) for o, ls in node.factors)
            waiting.extend((o, group) for o, group in found if len(group) > 1)
        elif isinstance(node, Call) and runs_along(node) & set(axes):
            return True
        elif isinstance(node, Call) and node.prim is OPAQUE and sees_axes(node):
            riding = tuple(axis for axis in axes if axis < node.params[1])  # type: ignore[operator]
            waiting.extend((o, riding) for o in node.operands if len(riding) > 1)
        elif isinstance(node, Add | Call):
            waiting.extend((o, group) for o, group in axes_below(node, axes) if len(group) > 1)
    return False


def axes_below(node: Add | Call, axes: Sequence[int]) -> list[tuple[Node, tuple[int, ...]]]:
    """Each operand, with those of its axes that show as these axes of the node."""
    if isinstance(node, Call) and node.prim is SOLVE:
        a, b = node.operands
        n = a.rank - 2
        rows = tuple(n + 1 if x == n else x for x in axes if x <= n)
        return [(a, rows), (b, tuple(x for x in axes if x != n))]
    return [(o, tuple(x for x in axes if x < o.rank)) for o in node.operands]


def runs_along(y: Call) -> set[int]:
    """The axis of a join, the axes of a softmax, rows and columns of a matrix: each has a letter of its own."""
    if y.prim is SOLVE:
        return {y.operands[0].rank - 2}
    if y.prim.name in LINALG:
        return {y.rank - 1, y.rank - 2} if y.rank == y.operands[0].rank else set()
    if y.prim not in (CONCAT, SOFTMAX, LOG_SOFTMAX):
        return set()
    (n,) = y.params
    assert isinstance(n, int)
    return {n} if y.prim is CONCAT else set(range(y.rank - n, y.rank))


def whole_leaf(node: Node, lead: int) -> Input | Name | None:
    """The leaf that an argument of an opaque function is, all of it and for every row the same."""
    if isinstance(node, Einsum) and node.is_pattern and node.operands and len(set(node.out)) == node.rank:
        (own,), (leaf,) = node.labels, node.operands
        return whole_leaf(leaf, 0) if node.out[lead:] == own else None
    return node if isinstance(node, Input | Name) and node.rank and not lead else None


def done(expr: ast.Expr) -> Recursive[ast.Expr]:
    """An expression that needs no further writing."""
    yield from ()
    return expr


def fresh(hint: str | None, taken: Collection[str]) -> str:
    """The hint if it is free, else the next free letter of the alphabet."""
    start = ALPHABET.index(hint) if hint in ALPHABET else 0
    rotated = ALPHABET[start:] + ALPHABET[:start]
    candidates = ([hint] if hint else []) + list(rotated)
    letter = next((x for x in candidates if x.lower() not in taken), None)
    return letter or next(f"{x}{n}" for n in range(1, 10_000) for x in ascii_lowercase if f"{x}{n}" not in taken)


def without_zero_axes(expr: ast.Expr) -> ast.Expr:
    """0 for 0[i,j] where the axes are shown by a neighbour."""
    return ast.Number(Fraction(0)) if isinstance(expr, ast.Filled) and expr.value == 0 else expr


def showing(expr: ast.Expr, letters: Sequence[str]) -> ast.Expr:
    """The expression times ones along those of `letters` that it does not show."""
    missing = [x for x in letters if x not in shown(expr)]
    if not missing:
        return expr
    factors = (bracket_chain(expr) if isinstance(expr, ast.Sum | ast.Odot) else expr,)
    return ast.Product((*factors, *(ast.Filled(1, (ast.Index(x),)) for x in missing)), (False,) * (1 + len(missing)))
