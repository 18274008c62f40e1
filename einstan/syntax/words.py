"""words: the vocabulary of the language as tables; what the words mean is said elsewhere."""

from __future__ import annotations

from enum import IntEnum

ENTRYWISE = {
    **dict.fromkeys("sqrt exp log log1p expm1 sin cos tan asin acos atan sinh cosh tanh".split(), 1),
    **dict.fromkeys("sigmoid relu softplus gelu silu elu erf abs sign step".split(), 1),
    **dict.fromkeys("max min".split(), 2),
    "where": 3,
}
"""Functions that act entry by entry, with the number of their arguments."""

REDUCTIONS = frozenset("sum mean prod max min logsumexp norm".split())
"""Functions along indices that are gone afterwards: `sum[k](x[k])`."""

NORMALISERS = frozenset("softmax log_softmax".split())
"""Functions along indices that stay: `softmax[k](z[i,k])`."""

MATRIX: dict[str, tuple[int, tuple[int, ...]]] = {
    **dict.fromkeys("inv cholesky tril".split(), (1, ())),
    **dict.fromkeys("det logdet trace".split(), (1, (0, 1))),
    "solve": (2, (0,)),
}
"""Functions of a matrix, along its rows and columns: `inv[i,j](A[i,j])`; with the number of their arguments, and which
of the two indices are gone afterwards."""

ALIASES = {"ln": "log", "σ": "sigmoid"}
"""Other spellings of functions; σ is one only before a bracket."""

FUNCTIONS = frozenset(ENTRYWISE) | REDUCTIONS | NORMALISERS | frozenset(MATRIX) | {"ln"}
RESERVED = FUNCTIONS | {"size"}
"""Words that name no tensor. (`d` is one only before a bracket.)"""

KEYWORDS = frozenset("label fact claim size".split())
"""Words that open a statement, where a space and a name follow."""

STEP_BACK = "end"
"""`h[end,b]`: the last step of a recurrence; a word only inside `[ ]`."""


class Bind(IntEnum):
    """How tightly an operator binds."""

    NONE = 0
    COMPARE = 10
    SUM = 20
    ODOT = 30
    PRODUCT = 40
    POWER = 50


INFIX = {
    **dict.fromkeys(("<", "<=", ">", ">=", "=="), Bind.COMPARE),
    **dict.fromkeys(("+", "-"), Bind.SUM),
    "⊙": Bind.ODOT,
    **dict.fromkeys(("*", "/"), Bind.PRODUCT),
    "^": Bind.POWER,
}
"""The operators, after the lexer has made one spelling of each."""

BIG = {"∑": "sum", "∏": "prod"}
"""Operators written before their body, with the reduction that each means."""

SYMBOLS = {
    "**": "^", "·": "*", "⋅": "*", "×": "*", "∙": "*", "÷": "/", "−": "-", "⊙": "⊙", "∘": "⊙",
    "≤": "<=", "≥": ">=", "∑": "∑", "∏": "∏", "∂": "∂", "∈": "∈", "⁄": "/",
}  # fmt: skip
"""Spellings of a symbol, and the one that the grammar sees."""

STYLES = frozenset("mathrm text operatorname mathbf boldsymbol bm mathit mathsf mathcal mathscr mathfrak".split())
"""LaTeX commands that leave no trace in the name they dress."""

BOLD = frozenset("mathbf boldsymbol bm".split())
"""Those that a reader takes for another name: x and a bold x in one program are refused."""

ACCENTS = frozenset("hat bar tilde dot ddot check breve widehat widetilde".split())
"""LaTeX commands that are part of the name: `\\hat{X}`."""

COMMANDS = {
    **{"odot": "⊙", "cdot": "*", "times": "*", "partial": "∂", "sum": "∑", "prod": "∏", "in": "∈"},
    **{"le": "<=", "leq": "<=", "ge": ">=", "geq": ">=", "lt": "<", "gt": ">", "div": "/", "circ": "⊙"},
    **{"lbrace": "{", "rbrace": "}", "{": "{", "}": "}", "lbrack": "[", "rbrack": "]"},
    **{"lvert": "|", "rvert": "|", "vert": "|", "frac": "frac", "dfrac": "frac", "tfrac": "frac", "cfrac": "frac"},
}
"""LaTeX commands that are symbols of the grammar."""

GREEK = dict(
    zip(
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho "
        "sigma tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell "
        "arcsin arccos arctan".split(),
        "α β γ δ ε ζ η θ ι κ λ μ ν ξ π ρ σ τ υ φ χ ψ ω Γ Δ Θ Λ Ξ Π Σ Υ Φ Ψ Ω l asin acos atan".split(),
        strict=True,
    )
)
"""LaTeX commands that are words of another spelling."""

VARIANTS = {"varepsilon": "ε", "vartheta": "θ", "varphi": "φ"}
"""Second shapes of Greek letters: the same letter, and so not in one program with the first shape."""

SPACES = frozenset("quad qquad thinspace enspace nonumber notag".split())
"""LaTeX commands that are a space; so are `\\,` `\\;` `\\:`, and `\\label{...}`, `\\tag{...}` of a row."""

NO_SPACES = frozenset(
    "left right middle big Big bigg Bigg bigl bigr bigm Bigl Bigr Bigm biggl biggr Biggl Biggr ! "
    "displaystyle textstyle scriptstyle limits nolimits".split()
)
"""LaTeX commands that are nothing at all."""

DISPLAYS = frozenset(
    "align aligned alignat alignedat split equation gather gathered multline eqnarray flalign displaymath math".split()
)
"""LaTeX environments of statements, one a row; each also with a star."""

COLUMNS = frozenset("matrix pmatrix bmatrix Bmatrix smallmatrix".split())
"""LaTeX environments of parts that are joined, one a row."""

COLUMN, NEXT_PART, END_COLUMN = r"\begin{bmatrix}", r"\\", r"\end{bmatrix}"
"""What the grammar sees of them."""

TRANSPOSE = "write the indices in the other order instead: A[j,i] is the transpose of A[i,j]"
ONE_BY_ONE = "write the indices one by one: A[i1,i2,i3]"
NORM = "write norm[k](x[k])"
INNER = "write the indices: u[I] v[I] is the inner product"
EQUAL = "write = in a statement that defines or claims"
OWN_LINE = "write each formula as a statement of its own"
JOIN = "write [h[K], x[K]]_K for a join, and give a matrix of numbers as an input A[i,j]"

NO_INDEX_FORM = {
    **dict.fromkeys("top intercal dagger".split(), TRANSPOSE),
    **dict.fromkeys("dots ldots cdots vdots ddots dotsc dotsb".split(), ONE_BY_ONE),
    **dict.fromkeys("| Vert lVert rVert".split(), NORM),
    **dict.fromkeys("langle rangle bullet".split(), INNER),
    **dict.fromkeys("equiv triangleq coloneqq doteq approx sim simeq cong".split(), EQUAL),
    **dict.fromkeys("Rightarrow implies iff Leftrightarrow Longrightarrow wedge land mid".split(), OWN_LINE),
    **dict.fromkeys("to mapsto rightarrow leftarrow longrightarrow gets".split(), "write y[i] = f(x[i]) for a map"),
    "forall": "leave it out: a free index stands for all its values",
    "exists": "leave it out: a free index stands for all its values",
    "nabla": "write ∂L/∂x[i]",
    "otimes": "write the indices: u[i] v[j] is the outer product",
    "oplus": "write [h[K], x[K]]_K for a join, a[i] + b[i] for a sum",
    "ast": "write * for a product; a convolution has no index form here",
    "star": "write * for a product; a convolution has no index form here",
    "overline": "write the indices, A[V,d] B[V,d]; a bar that is part of a name is \\bar{A}",
    "vec": "write the indices: x[i]",
    "underline": "write the indices: x[i]",
    "mathbb": "write \\mathbb{1}_K for ones; spaces such as R^n follow from the inputs' axes",
    "prime": "write the prime directly after the name: W'",
    "neq": "write 1 - (a == b)",
    "ne": "write 1 - (a == b)",
    "infty": "write the bound as a number",
    "int": "write a sum over an index: sum[k](x[k])",
    "lim": "write the formula without it",
    "arg": "entries are not searched for: max[k](x[k]) is the greatest",
    "argmax": "entries are not searched for: max[k](x[k]) is the greatest",
    "over": "write \\frac{a}{b}",
    "binom": "write the formula without it",
    "substack": "write one sum for each index: \\sum_{i} \\sum_{j}",
}
"""LaTeX commands that have no meaning in index notation, with what to write."""

NO_ENVIRONMENT = {
    "cases": "write where(x[i] < 0, a[i], b[i])",
    **dict.fromkeys("array tabular".split(), JOIN),
    "vmatrix": "write det[i,j](A[i,j])",
    "Vmatrix": NORM,
}
"""LaTeX environments that have none."""

NOT_HERE = {
    "∈": "Write the range below a sum, ∑_{v ∈ V}; elsewhere ranges follow from the inputs' axes.",
    "&": "Rows and columns have no index form: " + JOIN + ".",
    "_": "Write the indices directly after the name: X_{i,j}^{2}. A number of a layer is a label: X^{(1)}_{i,j}.",
    ":": "Write = in a statement; a part of an axis is x[k=0:2].",
}
"""Symbols that stand where the grammar expects none, with what to write."""

CHARACTERS = {
    "∇": "write ∂L/∂x[i]",
    "⊗": "write the indices: u[i] v[j] is the outer product",
    **dict.fromkeys("ᵀ⊤", TRANSPOSE),
    **dict.fromkeys("‖∥", NORM),
    **dict.fromkeys("⟨⟩", INNER),
    **dict.fromkeys("≡≈≔", EQUAL),
    **dict.fromkeys("⇒→↦", OWN_LINE),
    "∀": "leave it out: a free index stands for all its values",
    "√": "write sqrt(...)",
    "…": ONE_BY_ONE,
    "'": "a prime belongs directly after a name",
    "@": "write the indices: A[i,K] B[K,j] is the matrix product",
    ".": "a name has no dots; write the formula with its indices: tanh(A[i,K] B[K,j])",
    '"': "names need no quotes",
    "!": "write the formula without it",
    "∞": "write the bound as a number",
    "≠": "write 1 - (a == b)",
}
"""Characters that are no part of the language, with what to write instead."""
