"""chains: the derivative of one name as a chain of lines, each with the name of the rule that gave it.

The derivative by W is a sum over the statements that use W: the cotangent of each times its slope where W stands. A
line is left out, and its rule said with the next one, where the notation has no word for such a slope: `∂Z/∂W` of the
language also counts the ways from W to Z through other names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeGuard

from ..show.text import show_expr
from ..syntax import ast
from ..syntax.ast import Call, Derivative, Expr, Tensor
from .book import Book, tensors_in
from .ground import Ground
from .letters import capital, indices, letters_of
from .nodes import Slope
from .rules import by_itself, known_slope, step, straight
from .steps import Rule, Step, named, together
from .terms import Line, Term, collected, delta, first_delta, flattened, multiplied_out, without_delta
from .written import sees, written_line

LONGEST = 40  # lines of one kind in a chain
LARGEST = 2_000  # characters of a line; after a longer one the gradient's formula follows


def chain(book: Book, above: Sequence[str], wrt: Tensor) -> list[Step]:
    """The lines of ∂of/∂wrt, the axes of `of` called `above`; none where a statement holds a derivative."""
    return [] if book.holds_derivatives else Derivation(book, tuple(above), wrt).steps()


class Derivation:
    """One derivative on its way."""

    def __init__(self, book: Book, above: tuple[str, ...], wrt: Tensor) -> None:
        self.book, self.of, self.top, self.wrt = book, book.of, above, wrt
        head = frozenset(x.lower() for x in (*above, *letters_of(wrt.indices)))
        self.ground = Ground(book.checked, book.fixed | head, book.avoided, book.size)
        self.moving = book.above(wrt.name)
        self.rules: list[Rule] = []
        self.found: list[Step] = []
        self.is_full = False

    def steps(self) -> list[Step]:
        """All lines, from the chain rule to a formula without derivatives that are left to take."""
        line = self.row_by_row(self.first())
        for stage in (self.taken, self.by_itself, self.without_deltas, self.with_slopes, self.with_names):
            line = line if self.is_full else stage(line)
        return self.found

    def say(self, line: Line, *rules: Rule) -> Line:
        """The line under the names of its rules, or kept back where the notation has no word for it."""
        names = [*self.rules, *rules]
        written = written_line(line, self.book.opaque)
        self.is_full = len(show_expr(written)) > LARGEST
        if not all(self.is_clean(f) for t in line for f in t.factors):
            self.rules = names
        elif not self.found or show_expr(written) != self.found[-1].line:
            self.found.append(Step(together(names), written))
            self.rules = []
        return line

    def is_clean(self, f: Expr) -> bool:
        """Whether a derivative means what the language means: nothing but W in it depends on W."""
        if not isinstance(f, Slope) or (isinstance(f.numerator, Tensor) and f.numerator.name == self.wrt.name):
            return True
        inside = f.numerator
        names = self.book.uses[inside.name] if isinstance(inside, Tensor) else tensors_in(inside)
        return not any(x in self.moving and x != self.wrt.name for x in names)

    # ---------------------------------------------------------------- the first line

    def first(self) -> Line:
        """∂L/∂W = Σ_Z ∂L/∂Z ∂Z/∂W, over the statements Z that use W."""
        if self.of == self.wrt.name:
            pairs = zip(self.top, letters_of(self.wrt.indices), strict=True)
            itself = Term(tuple(delta(a, b) for a, b in pairs))
            return self.say((itself,), ("a derivative of ", *named(self.of), " by itself"))
        users = [u for u in self.book.users.get(self.wrt.name, ()) if u in self.book.below]
        line = tuple(map(self.through, users))
        if users == [self.of]:
            return line
        return self.say(line, ("chain rule through ", *named(*(u for u in users if u != self.of))))

    def through(self, user: str) -> Term:
        """∂L/∂Z[a,b] ∂Z[a,b]/∂W; of L itself its body by W."""
        axes = self.book.letters[user]
        if user == self.of:
            return Term((Slope(Tensor(user, indices(self.top)), self.wrt),))
        own = self.ground.letters().many(axes)
        cotangent = Derivative(Tensor(self.of, indices(self.top)), (Tensor(user, indices(own)),))
        return Term((cotangent, Slope(Tensor(user, indices(own)), self.wrt)), bound=own)

    # ---------------------------------------------------------------- derivatives of formulas

    def row_by_row(self, line: Line) -> Line:
        """∂Y[a,b]/∂W[i,j] of an opaque Y = f(W) is 0 but in the row a = i, and is a slope that has no other form."""
        found = tuple(map(self.in_its_row, line))
        names = [term.taken().name for term, after in zip(line, found, strict=True) if after is not term]
        return self.say(found, (*named(*names), " row by row")) if names else line

    def in_its_row(self, term: Term) -> Term:
        """The term with deltas of the axes that only ride along, where its statement is an opaque function of W."""
        n = term.slope
        if n is None or not self.is_open(term):
            return term
        slope = term.taken()
        e = self.book.body(slope.name, letters_of(slope.top.indices), self.ground.letters(term))
        if not (isinstance(e, Call) and self.ground.is_opaque(e) and not e.primes and sees(e)):
            return term
        moving = [a for a in e.args if any(name in self.moving for name in tensors_in(a))]
        w = moving[0]
        if len(moving) > 1 or not isinstance(w, Tensor) or w.name != self.wrt.name:
            return term
        pairs = zip(letters_of(w.indices), letters_of(slope.wrt.indices), strict=False)
        rows = (delta(a, b) for a, b in pairs if a[0].islower())
        done = Derivative(slope.top, (slope.wrt,))
        return replace(term, factors=(*term.factors[:n], done, *term.factors[n + 1 :], *rows))

    def taken(self, line: Line) -> Line:
        """Rule by rule until every derivative is one of W itself."""
        line, names = self.defined(line)
        while not self.is_full:
            moved = tuple(t for term in line for t in self.straightened(term))
            if not any(self.is_open(t) for t in moved):
                return self.say(moved, *self.linear(line, moved, names))
            after: list[Term] = []
            rules: list[Rule] = []
            for term in moved:
                found = step(term, self.ground) if self.is_open(term) else None
                after += [term] if found is None else [self.shortened(t) for t in found[0]]
                rules += [] if found is None else [(found[1],)]
            reasons: list[Rule] = [("definition of ", *named(*names))] if names and not self.rules else []
            if not rules:
                return self.say(moved, *reasons)
            line = self.say(collected(tuple(after)), *reasons, *rules)
            names = []
        return line

    def linear(self, line: Line, moved: Line, defined: Sequence[str]) -> list[Rule]:
        """What a step is called that only moves sums and constants."""
        if defined:
            return [(*named(*defined), " is" if len(defined) == 1 else " are", " linear in ", *named(self.wrt.name))]
        changed = len(line) != len(moved) or any(a is not b for a, b in zip(line, moved, strict=True))
        return [("linear in ", *named(self.wrt.name))] if changed else []

    def shortened(self, term: Term) -> Term:
        """Slopes of long arguments are written in names at once, where there are such: f (1 - f) for σ'(W x + b)."""
        factors = []
        for f in term.factors:
            short = self.book.in_names(known_slope(f, self.ground)[0]) if self.is_long_slope(f) else None
            factors.append(f if short is None or any(map(is_long, ast.postorder(short))) else short)
        term = replace(term, factors=tuple(factors))
        if term.slope is not None and is_trace(term.taken().numerator):
            (term,) = straight(term, self.ground) or (term,)
        return flattened(term, self.ground.letters(term))

    def is_long_slope(self, f: Expr) -> TypeGuard[Call]:
        return isinstance(f, Call) and is_long(f) and f.primes == 1 and not self.ground.is_opaque(f)

    def is_open(self, term: Term) -> bool:
        """Whether its derivative is one of a formula."""
        if term.slope is None:
            return False
        e = term.taken().numerator
        return not (isinstance(e, Tensor) and e.name == self.wrt.name)

    def defined(self, line: Line) -> tuple[Line, list[str]]:
        """∂Z[a,b]/∂W with the body of Z."""
        found, names = [], []
        for term in line:
            if self.is_open(term):
                slope = term.taken()
                body = self.book.body(slope.name, letters_of(slope.top.indices), self.ground.letters(term))
                names.append(slope.name)
                factors = tuple(Slope(body, slope.wrt) if f is slope else f for f in term.factors)
                term = replace(term, factors=factors)
            found.append(term)
        return tuple(found), names

    def straightened(self, term: Term) -> Iterator[Term]:
        """Sums and constants moved out of the derivative."""
        waiting = [term]
        while waiting:
            t = waiting.pop()
            t = flattened(t, self.ground.letters(t))
            found = straight(t, self.ground) if self.is_open(t) else None
            if found is None:
                yield t
            else:
                waiting += reversed(found)

    def by_itself(self, line: Line) -> Line:
        """∂W[k,j]/∂W[a,b] as deltas."""
        found: list[Term] = []
        for term in line:
            own = None if term.slope is None or self.is_open(term) else by_itself(term)
            found += [term] if own is None else own
        return self.say(tuple(found), ("a derivative of ", *named(self.wrt.name), " by itself"))

    # ---------------------------------------------------------------- deltas

    def without_deltas(self, line: Line) -> Line:
        """One delta a line; differences with deltas in them are multiplied out."""
        for _ in range(LONGEST):
            if self.is_full:
                break
            pair = first_delta(line)
            if pair is not None:
                line = collected(tuple(without_delta(t, *pair) for t in line))
                self.say(line, (f"delta removes {capital(pair[0])}",))
                continue
            after = tuple(t for term in line for t in multiplied_out(term, self.ground.letters(term)))
            if len(after) == len(line):
                return line
            line = self.say(collected(after), ("multiplied out",))
        return line

    # ---------------------------------------------------------------- functions and names

    def with_slopes(self, line: Line) -> Line:
        """tanh'(x) as 1 - tanh(x)^2."""
        rules: list[Rule] = []

        def spelled(f: Expr) -> Expr:
            if not (isinstance(f, Call) and f.primes) or self.ground.is_opaque(f):
                return f
            found, rule = known_slope(f, self.ground)
            rules.append(rule)
            return found

        after = [flattened(t, self.ground.letters(t)) for term in line for t in [term.over(spelled)]]
        return self.say(collected(tuple(after)), *rules) if rules else line

    def with_names(self, line: Line) -> Line:
        """What has a name is called by it."""
        after = tuple(t.over(self.book.in_names) for t in line)
        new = list(Counter(names_of(after)) - Counter(names_of(line)))
        return self.say(after, ("definition of ", *named(*new))) if new else line


def is_trace(e: Expr) -> bool:
    """Whether it is a sum of entries of a tensor: after ∂ brackets around B[K,K] are not seen."""
    return isinstance(e, Call) and e.name == "sum" and isinstance(e.args[0], Tensor)


def names_of(line: Line) -> list[str]:
    """The names of a line in reading order, one for each place."""
    return [name for t in line for f in (*t.factors, *t.below) for name in tensors_in(f)]


def is_long(e: Expr) -> bool:
    """Whether it is a function of more than tensors."""
    return isinstance(e, Call) and not all(isinstance(a, Tensor) for a in e.args)
