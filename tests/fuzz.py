"""fuzz: mutated texts through everything that reads text; whatever is no EinstanError is a leak.

`python -m tests.fuzz --minutes 10 --seed 0` mutates a corpus by the grammar (tokens, brackets, letters, statements) and
by raw bytes, runs `leak` on each text, and prints every new kind of leak with a text made as short as it gets. A seed
says which texts are tried: `--start N` begins with the N-th.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import numpy as np

import einstan as es
from einstan.syntax.lexer import Limits

from .hostile import FLOODS, HOSTILE, UNICODE
from .models import MODELS
from .random_programs import program

PATIENCE = 20  # seconds that one text may take before it is called hanging
READABLE = 2_000  # characters up to which a text is differentiated and compiled too
MAX_MESSAGE = 2_000
MAX_RANK = 5
WIDE = Limits(text=10**9, brackets=10**9)  # what is written may be longer and deeper than what was read

EXAMPLES = r"""
f[b,j] = sigmoid(W[j,K] [h[b,K], x[b,K]]_K + c[j])
y[i] = A[i,K] b[K] / (1 + exp(-x[i])) ; L = y[I] y[I]
D[i,i] = d[i]; t = D[I,I]
Z[i,k] = softmax[k](X[i,k]); L = -T[B,C] log_softmax[C](X[B,C])
L = sum[i,j](A[i,j]^2) / size(A,1) + |j| 2 x'[j] 1[J]
size n = 5 ; fact T[n,C] 1[C] = 1[n] ; s = T[N,C] delta[N,M] T[M,C]
Z[i] = a = b ; claim u[I] v[I] = sum[i](u[i] v[i])
∂L/∂W[i,j] = ∂L/∂Z[A,j] X[A,i] ; ∂²L/∂w[i]∂w[j] = 0
g[k] = f'[2](a[k], b[k]) + f''(x[k]) max(a[k], 0) where(a[k] < b[k], 1, 2e-3)
P[j] = W[j, k=0:2] v[k] ; q = W[I, K=size(h,2):size(h,2)+size(x,2)]
label f, g ; \sigma_f(Z_g[i]) = h_g^{(T)}[i]
\begin{align} h_g &= \tanh \left( \sum_{v \in V} \sigma \left( i(h_v^{(T)}, x_v) \right) \odot j(x) \right) \end{align}
\begin{align} y_i &= \sum_k A_{ik} x_k \\ L &= \frac{1}{2} y_I y_I \end{align}
$\frac{\partial L}{\partial W_{k,j}} = \mathbf{X}^{(m)}_{b,k} \hat{y}'_{b,j} \cdot \mathbb{1}_B$
\sum_{i=1}^{n} \sqrt{x_i²} \times \sqrt x^{-1} + \begin{bmatrix} h_K \\ x_K \end{bmatrix}_K
loss(X[:], Y[:,:]) + d(L)/d(W[k,j]) # comment
x₁ᵢ y² ⊙ σ(z) ≤ π · δ_{i,j} - x⁻² ; ln(0.5e-3) ** 2
"""

TOKEN = re.compile(r"\s+|\\[a-zA-Z]+|\\.|[^\W\d_]\w*'*|[0-9.]+(?:e-?[0-9]+)?|.", re.DOTALL)
VOCABULARY = (" ", "\n", "\n\n", " = ", *r"""
    ( ) [ ] { } , ; = == < <= + - * / ^ ** _ ⊙ ∂ ∂² ∑ | ' : # % $ & \\ \ 0 1 2 0.5 1e-3 9 i j k I J K
    x W Z L pi e d @ ! "
    size label fact claim end sum[i]( max( max[k]( softmax[k]( log_softmax tanh( sigmoid( norm[I]( prod[i](
    where( delta[i,j] inv[i,j]( f( f'( f'[2]( \frac{ \sum_{ \sqrt{ \begin{bmatrix} \end{bmatrix}_K \left( \right)
    \mathrm{ \hat{
    ^{(m)} ^T \partial \odot \mathbb{1}_K \label |K| size(x,1) k=0:2 [x[k],y[k]]_k 1[K] 0[i,j] X[:] ∂L/∂x[i]
""".split())  # fmt: skip
LETTERS = ("i", "j", "k", "b", "I", "J", "K", "B", "i1", "n")

Mutation = Callable[[Random, list[str], list[str]], list[str]]

# ---------------------------------------------------------------- texts


def corpus() -> list[str]:
    """Whole texts: models, examples, random programs, and what is hostile and short."""
    floods = [make(200) for make in FLOODS.values()]
    lines = [line for line in EXAMPLES.splitlines() if line]
    return [*(m.text for m in MODELS), *lines * 5, *(program(seed).text() for seed in range(40)), *HOSTILE, *floods]


def mutated(random: Random, texts: list[str]) -> str:
    """One text of the corpus after up to six mutations, at times as bytes."""
    text = random.choice(texts)
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 6))):
        if random.random() < 0.15:
            text = raw(random, text)
        else:
            tokens = TOKEN.findall(text) or [" "]
            text = "".join(random.choice(MUTATIONS)(random, tokens, texts))[:300_000]
    return text


def stretch(random: Random, tokens: list[str], longest: int = 8) -> slice:
    start = random.randrange(len(tokens))
    return slice(start, start + random.randint(1, longest))


def subtree(random: Random, tokens: list[str]) -> slice:
    """A bracket with all that is inside; where there is none, any stretch."""
    opening = [n for n, token in enumerate(tokens) if token in "([{"]
    if not opening:
        return stretch(random, tokens)
    start, depth = random.choice(opening), 0
    for end in range(start, len(tokens)):
        depth += (tokens[end] in "([{") - (tokens[end] in ")]}")
        if depth == 0:
            return slice(start, end + 1)
    return slice(start, None)


def delete(random: Random, tokens: list[str], _: list[str]) -> list[str]:
    tokens[stretch(random, tokens, 3)] = []
    return tokens


def delete_subtree(random: Random, tokens: list[str], _: list[str]) -> list[str]:
    tokens[subtree(random, tokens)] = []
    return tokens


def swap(random: Random, tokens: list[str], _: list[str]) -> list[str]:
    a, b = random.randrange(len(tokens)), random.randrange(len(tokens))
    tokens[a], tokens[b] = tokens[b], tokens[a]
    return tokens


def duplicate(random: Random, tokens: list[str], _: list[str]) -> list[str]:
    part = random.choice((stretch, subtree))(random, tokens)
    times = random.choice((1, 1, 2, 5, 50, 1200)) if len(tokens) < 2_000 else 1
    tokens[part] = tokens[part] * (times + 1)
    return tokens


def insert(random: Random, tokens: list[str], _: list[str]) -> list[str]:
    tokens.insert(random.randrange(len(tokens) + 1), random.choice(VOCABULARY))
    return tokens


def replace(random: Random, tokens: list[str], _: list[str]) -> list[str]:
    tokens[random.randrange(len(tokens))] = random.choice(VOCABULARY)
    return tokens


def insert_unicode(random: Random, tokens: list[str], _: list[str]) -> list[str]:
    c = random.choice(UNICODE) if random.random() < 0.7 else chr(random.randrange(0x110000))
    tokens.insert(random.randrange(len(tokens) + 1), c * random.choice((1, 1, 1, 3, 1000)))
    return tokens


def swap_letters(random: Random, tokens: list[str], _: list[str]) -> list[str]:
    """One index letter becomes another, here or everywhere."""
    old = random.choice([t for t in tokens if t in LETTERS] or tokens)
    new = random.choice(LETTERS) if random.random() < 0.7 else old.swapcase()
    share = random.choice((0.3, 1.0))
    return [new if token == old and random.random() < share else token for token in tokens]


def splice(random: Random, tokens: list[str], texts: list[str]) -> list[str]:
    """A part of another text in the place of a part of this one."""
    other = TOKEN.findall(random.choice(texts)) or [" "]
    pick = random.choice((stretch, subtree))
    tokens[pick(random, tokens)] = other[pick(random, other)]
    return tokens


def splice_statement(random: Random, tokens: list[str], texts: list[str]) -> list[str]:
    lines = "".join(tokens).split("\n")
    lines.insert(random.randrange(len(lines) + 1), random.choice(random.choice(texts).split("\n")))
    return ["\n".join(lines)]


def wrap(random: Random, tokens: list[str], _: list[str]) -> list[str]:
    """Brackets or functions around a part, at times a great many."""
    part = random.choice((stretch, subtree))(random, tokens)
    opening, closing = random.choice(
        (("(", ")"), ("{", "}"), ("tanh(", ")"), ("[", "]_k"), ("-", ""), ("sum[k](", ")"))
    )
    times = random.choice((1, 1, 1, 30, 999, 1200)) if len(tokens) < 2_000 else 1
    tokens[part] = [opening] * times + tokens[part] + [closing] * random.choice((times, times, times - 1))
    return tokens


MUTATIONS: tuple[Mutation, ...] = (
    delete, delete_subtree, swap, duplicate, insert, insert, replace, replace, insert_unicode,
    swap_letters, swap_letters, splice, splice, splice_statement, splice_statement, wrap,
)  # fmt: skip


def raw(random: Random, text: str) -> str:
    """Bytes changed, added or cut; what is no UTF-8 any more becomes lone surrogates."""
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(random.choice((1, 2, 8))):
        place = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0:
                data[place : place + 1] = bytes([random.randrange(256)])
            case 1:
                data[place:place] = random.randbytes(random.choice((1, 2, 5)))
            case 2:
                del data[place : place + random.choice((1, 3, 20))]
            case _ if place < len(data):
                data[place] ^= 1 << random.randrange(8)
    return bytes(data).decode("utf-8", random.choice(("surrogateescape", "replace", "ignore")))


# ---------------------------------------------------------------- what must hold


def leak(text: str, random: Random) -> str:
    """What is wrong with how `text` is read, as one line; empty where nothing is."""
    try:
        with patience(PATIENCE):
            return reading(text, random)
    except es.EinstanError as error:
        return f"an error after the text was read: {type(error).__name__}: {error.message[:100]}"
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "einstan" in f.filename]
        place = f"{frames[-1].filename.rsplit('einstan/', 1)[-1]}:{frames[-1].lineno}" if frames else "?"
        return f"{type(error).__name__} at {place}: {str(error)[:100]}"


def reading(text: str, random: Random) -> str:
    try:
        p = es.parse(text)
    except es.EinstanError as error:
        return bad_error(error, text)
    found = unlike(p, repr(p), "str")
    if not found and hasattr(p, "latex"):
        found = unlike(p, p.latex(), "latex")
    if not found and len(text) < READABLE and p.names:
        found = derived(p, random) or run(p, random)
    return found


def bad_error(error: es.EinstanError, text: str) -> str:
    """An error about a text says where, within the text, and briefly."""
    if not error.spans or error.source != text:
        return f"no place in {type(error).__name__}: {error.message[:100]}"
    if any(not 0 <= span.start <= span.end <= len(text) + 1 for span in error.spans):
        return f"a place outside of the text in {type(error).__name__}: {error.message[:60]}"
    return "" if len(str(error)) < MAX_MESSAGE else f"a message of {len(str(error))} characters"


def unlike(p: es.Program, written: str, form: str) -> str:
    """What is written is read again, as the same program, and written the same again."""
    try:
        again = es.parse(written, limits=WIDE)
    except es.EinstanError as error:
        return f"{form} is not read again: {error.message[:100]}"
    if again != p:
        return f"{form} is another program"
    return "" if form == "latex" or str(again) == written else f"{form} is written in another way the second time"


def derived(p: es.Program, random: Random) -> str:
    """A gradient or Jacobian is printed, and reads back after its program."""
    return unread(p, random.choice(p.names), random.choice([*p.inputs, *p.names]))


def unread(p: es.Program, of: str, wrt: str) -> str:
    """Why the printed derivative is not read again; empty where it is, or where there is none."""
    try:
        g = p.jacobian(of, wrt)
        lines = str(g)
    except es.EinstanError as error:
        return "" if len(str(error)) < MAX_MESSAGE else "a long message"
    try:
        return "" if es.parse(f"{p}\n{lines}", limits=WIDE).claim_nodes is not None else "no claims"
    except es.EinstanError as error:
        return f"a derivative is not read again: {error.message[:100]}"


def run(p: es.Program, random: Random) -> str:
    """The last name on small arrays: a number or an EinstanError."""
    size = random.choice((1, 2, 3))
    if any(len(axes) > MAX_RANK for axes in p.inputs.values()):
        return ""
    arrays = {name: np.full((size,) * len(axes), 0.5) for name, axes in p.inputs.items()}
    try:
        kernel = p.compile(p.names[-1], memory_limit=10**8)
        kernel(arrays)
    except es.EinstanError as error:
        return "" if len(str(error)) < MAX_MESSAGE else "a long message"
    return ""


@contextmanager
def patience(seconds: int) -> Iterator[None]:
    """A TimeoutError inside when it takes longer; only where the system has alarms."""

    def ring(*_: object) -> None:
        raise TimeoutError("it takes too long")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ---------------------------------------------------------------- the search


def kind(found: str) -> str:
    """Leaks of one kind are told once."""
    return re.sub(r"[0-9]+|'[^']*'|`[^`]*`", "_", found.split(": ")[0] if " at " in found else found[:60])


def shortened(text: str, wanted: str, number: int, seconds: float = 20) -> str:
    """A shorter text that leaks in the same way."""
    until, width = time.monotonic() + seconds, max(1, len(text) // 2)
    while width and time.monotonic() < until:
        for start in range(0, len(text), width):
            less = text[:start] + text[start + width :]
            if time.monotonic() < until and kind(leak(less, Random(number))) == wanted:
                text = less
                break
        else:
            width //= 2
    return text


def cases(seed: int, start: int = 0) -> Iterator[tuple[int, str]]:
    """Texts without end, each by its number."""
    texts = corpus()
    number = start
    while True:
        yield number, mutated(Random(f"{seed}/{number}"), texts)
        number += 1


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--start", type=int, default=0)
    given = options.parse_args()
    until, kinds, number = time.monotonic() + 60 * given.minutes, dict[str, int](), 0
    for number, text in cases(given.seed, given.start):
        if time.monotonic() > until:
            break
        if found := leak(text, Random(number)):
            if kind(found) not in kinds:
                print(f"{number}: {found}\n    {shortened(text, kind(found), number)[:2_000]!r}", flush=True)
            kinds[kind(found)] = kinds.get(kind(found), 0) + 1
    print(f"seed {given.seed}: {number - given.start} texts, {sum(kinds.values())} leaks of {len(kinds)} kinds")
    return int(bool(kinds))


if __name__ == "__main__":
    sys.exit(main())
