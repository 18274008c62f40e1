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

MATRIX = frozenset("inv det logdet solve cholesky".split())
"""Matrix functions; recognised, not built yet."""

ALIASES = {"ln": "log", "σ": "sigmoid"}
"""Other spellings of functions; σ is one only before a bracket."""

FUNCTIONS = frozenset(ENTRYWISE) | REDUCTIONS | NORMALISERS | MATRIX | {"ln"}
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

STYLES = frozenset("mathrm text operatorname mathbf boldsymbol bm mathit mathsf mathcal".split())
"""LaTeX commands that leave no trace in the name they dress."""

BOLD = frozenset("mathbf boldsymbol bm".split())
"""Those that a reader takes for another name: x and a bold x in one program are refused."""

ACCENTS = frozenset("hat bar tilde overline vec dot widehat widetilde".split())
"""LaTeX commands that are part of the name: `\\hat{X}`."""

COMMANDS = {
    **{"odot": "⊙", "cdot": "*", "times": "*", "partial": "∂", "sum": "∑", "prod": "∏", "in": "∈"},
    **{"le": "<=", "leq": "<=", "ge": ">=", "geq": ">=", "lt": "<", "gt": ">", "div": "/", "circ": "⊙"},
    **{"lbrace": "{", "rbrace": "}", "lvert": "|", "rvert": "|", "vert": "|", "frac": "frac", "dfrac": "frac"},
    **{"tfrac": "frac", "lbrack": "[", "rbrack": "]"},
}
"""LaTeX commands that are symbols of the grammar."""

GREEK = dict(
    zip(
        "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho "
        "sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell "
        "arcsin arccos arctan".split(),
        "α β γ δ ϵ ε ζ η θ ϑ ι κ λ μ ν ξ π ρ σ τ υ ϕ φ χ ψ ω Γ Δ Θ Λ Ξ Π Σ Υ Φ Ψ Ω l asin acos atan".split(),
        strict=True,
    )
)
"""LaTeX commands that are words of another spelling."""

SPACES = frozenset("quad qquad thinspace enspace".split())
"""LaTeX commands that are a space; so are `\\,` `\\;` `\\:`."""

NO_SPACES = frozenset(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr ! displaystyle textstyle limits nolimits".split()
)
"""LaTeX commands that are nothing at all."""

NO_INDEX_FORM = {
    "top": "write the indices in the other order instead: A[j,i] is the transpose of A[i,j]",
    "intercal": "write the indices in the other order instead: A[j,i] is the transpose of A[i,j]",
    "forall": "leave it out: a free index stands for all its values",
    "dots": "write the indices one by one",
    "ldots": "write the indices one by one",
    "cdots": "write the indices one by one",
    "nabla": "write ∂L/∂x[i]",
    "otimes": "write the indices: u[i] v[j] is the outer product",
    "det": "write det[i,j](A[i,j])",
}
"""LaTeX commands that have no meaning in index notation, with what to write."""

CHARACTERS = {
    "∇": "write ∂L/∂x[i]",
    "⊗": "write the indices: u[i] v[j] is the outer product",
    "ᵀ": "write the indices in the other order instead: A[j,i] is the transpose of A[i,j]",
    "⊤": "write the indices in the other order instead: A[j,i] is the transpose of A[i,j]",
    "√": "write sqrt(...)",
    "…": "write the indices one by one",
    "'": "a prime belongs directly after a name",
    "@": "write the indices: A[i,K] B[K,j] is the matrix product",
    '"': "names need no quotes",
    "!": "write the formula without it",
    "∞": "write the bound as a number",
    "≠": "write 1 - (a == b)",
}
"""Characters that are no part of the language, with what to write instead."""
