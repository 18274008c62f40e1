"""The tokens of a text, where statements end, and what is no text."""

import pytest

from einstan.errors import EinstanSyntaxError
from einstan.syntax.lexer import LIMITS, tokens
from einstan.syntax.token import END, EOF


def spell(text):
    """Tokens as words; an end of a statement is `|`, primes are kept."""
    marks = {END: "|"}
    return " ".join(marks.get(t.kind, t.text + "'" * t.primes) for t in tokens(text) if t.kind != EOF)


SPELLINGS = [
    ("X[b,K]", "X [ b , K ]"),
    ("x1 x_1 x₁", "x1 x _ 1 x1"),
    ("a**b a^b", "a ^ b a ^ b"),
    ("a·b×c*d", "a * b * c * d"),
    ("x² x⁻¹ x¹²", "x ^ 2 x ^ - 1 x ^ 12"),
    ("xᵢⱼ", "x _ { ij }"),
    ("W' W′ W″", "W' W' W''"),
    ("log_softmax", "log_softmax"),
    ("2x 2e 2e3 2e-3x .5 1.5", "2 x 2 e 2e3 2e-3 x .5 1.5"),
    ("a <= b ≤ c >= d == e", "a <= b <= c >= d == e"),
    (r"\hat{X} \hat X \bar{θ}'", r"\hat{X} \hat{X} \bar{θ}'"),
    (r"\mathrm{loss} \mathbf{x} \text{in} \operatorname{foo}", "loss x in foo"),
    (r"\sigma \delta \partial \odot \cdot \times \sum \tanh", "σ δ ∂ ⊙ * * ∑ tanh"),
    (r"\left( a \right) \, \quad \!", "( a )"),
    (r"\mathbb{1} 𝟙", "1 1"),
    ("ｘ ﬁ", "x fi"),
    ("e\u0301 \u00e9", "é é"),
]


@pytest.mark.parametrize(("text", "spelled"), SPELLINGS)
def test_spellings(text, spelled):
    assert spell(text) == spelled


STATEMENTS = [
    ("a = b\nc = d", "a = b | c = d"),
    ("a = b; c = d", "a = b | c = d"),
    ("a = b \\\\ c = d", "a = b | c = d"),
    ("a = b # note\n% note\n\nc = d", "a = b | c = d"),
    ("a = (b\n + c\n)", "a = ( b + c )"),
    ("a = b +\nc", "a = b + c"),
    ("a =\nb", "a = b"),
    ("a\n= b\n+ c", "a = b + c"),
    ("label f,\ng", "label f , g"),
    ("$a = b\n c$\nd = e", "a = b c | d = e"),
    ("\n\n;\n", "|"),
]


@pytest.mark.parametrize(("text", "spelled"), STATEMENTS)
def test_ends_of_statements(text, spelled):
    assert spell(text) == spelled


def test_spans_and_spaces():
    found = tokens("f (x) f(x)")
    assert [t.spaced for t in found if t.text == "("] == [True, False]
    assert [tuple(t.span) for t in found[:2]] == [(0, 1), (2, 3)]
    assert [t.spaced for t in tokens(r"f\left(x) f\,(x)") if t.text == "("] == [False, True]


ERRORS = [
    ("a = b\x00", "U+0000"),
    ("a = \u200bb", "U+200B"),
    ("a = \u202eb", "U+202E"),
    ("a = @b", "@"),
    ("a = Aᵀ", "A[j,i] is the transpose"),
    (r"a = A^\top", r"\top"),
    (r"a = \forall b", r"\forall"),
    (r"A_{1 \dots n}", "one by one"),
    (r"a = \foo{b}", r"\foo"),
    ("a = " + "1" * 401, "400 digits"),
    ("a = 1e999", "400 digits"),
    ("a = 10e400", "400 digits"),
    ("a = 0.1e-400", "400 digits"),
    ("a = 1e" + "9" * 400, "400 digits"),
    ("(" * (LIMITS.brackets + 1), "1000 levels"),
    ("a" * (LIMITS.text + 1), "1000000"),
    ("½", "is not a name"),
    ("٣", "U+0663"),
]


@pytest.mark.parametrize(("text", "said"), ERRORS)
def test_errors(text, said):
    with pytest.raises(EinstanSyntaxError) as caught:
        tokens(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 2_000
    assert caught.value.spans
