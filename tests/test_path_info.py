"""path_info: the numbers and names of opt_einsum's PathInfo, for the same path."""

from __future__ import annotations

import random
from html.parser import HTMLParser
from itertools import pairwise

import opt_einsum
import pytest

from einstan.contractions.path_info import PathInfo, path_info

ATTRIBUTES = [
    "contraction_list",
    "input_subscripts",
    "output_subscript",
    "path",
    "indices",
    "scale_list",
    "naive_cost",
    "opt_cost",
    "speedup",
    "size_list",
    "size_dict",
    "shapes",
    "eq",
    "largest_intermediate",
]

# what the row is for -> the contraction, its shapes, a path
CASES = {
    "matrix chain": ("ij,jk,kl->il", [(2, 3), (3, 5), (5, 7)], [(1, 2), (0, 1)]),
    "positions in any order": ("ij,jk,kl->il", [(2, 3), (3, 5), (5, 7)], [(2, 1), (1, 0)]),
    "three at once": ("ij,jk,kl->il", [(2, 3), (3, 5), (5, 7)], [(0, 1, 2)]),
    "one alone first": ("ii,ij->j", [(3, 3), (3, 2)], [(0,), (0, 1)]),
    "one operand": ("ijj->ji", [(2, 3, 3)], [(0,)]),
    "no step": ("->", [()], []),
    "scalars": (",,->", [(), (), ()], [(0, 2), (0, 1)]),
    "an axis of size 1, stretched": ("ab,bc,bd->acd", [(5, 4), (1, 5), (4, 20)], [(0, 1), (0, 1)]),
    "stretched, and no BLAS": ("ij,jk->ik", [(4, 1), (5, 6)], [(0, 1)]),
    "all of one size 1": ("ij,jk->ik", [(4, 1), (1, 6)], [(0, 1)]),
    "empty axis": ("ij,jk,k->i", [(2, 0), (0, 3), (3,)], [(0, 1), (0, 1)]),
    "hyperedge": ("ab,ac,ad->bcd", [(2, 3), (2, 5), (2, 7)], [(0, 2), (0, 1)]),
    "diagonals": ("aab,bcc->ac", [(2, 2, 3), (3, 5, 5)], [(0, 1)]),
    "summed in one operand": ("ab,cd->bc", [(2, 3), (5, 7)], [(0, 1)]),
    "outer product": ("a,b,c->cab", [(2,), (3,), (5,)], [(0, 1), (0, 1)]),
    "dot": ("ab,ab->", [(2, 3), (2, 3)], [(0, 1)]),
    "dot of a transpose": ("ab,ba->", [(2, 3), (3, 2)], [(0, 1)]),
    "gemm, left transposed": ("ba,bc->ac", [(2, 3), (2, 5)], [(0, 1)]),
    "gemm, right transposed": ("ab,cb->ac", [(2, 3), (5, 3)], [(0, 1)]),
    "gemm, both transposed": ("ba,cb->ac", [(2, 3), (5, 2)], [(0, 1)]),
    "gemv inside": ("abc,b->ac", [(2, 3, 5), (3,)], [(0, 1)]),
    "tensordot": ("abc,cdb->ad", [(2, 3, 5), (5, 7, 3)], [(0, 1)]),
    "batched": ("bij,bjk->bik", [(2, 3, 5), (2, 5, 7)], [(0, 1)]),
    "letters of everywhere": ("éβ,β京->京é", [(2, 3), (3, 5)], [(0, 1)]),
}


@pytest.mark.parametrize("row", CASES)
def test_numbers_and_names(row: str) -> None:
    equation, shapes, path = CASES[row]
    agree(equation, shapes, path)


@pytest.mark.parametrize("seed", range(60))
def test_random_contractions(seed: int) -> None:
    """Hyperedges, diagonals, axes that stretch (opt_einsum gives up BLAS where sizes 0 and 1 meet), steps of one to
    four operands."""
    rng = random.Random(seed)
    labels = [chr(c) for c in rng.sample(range(192, 600), rng.randint(1, 9))]
    sizes = {label: rng.choice([1, 2, 3, 5, 7]) for label in labels}
    terms = ["".join(rng.choices(labels, k=rng.randint(0, 4))) for _ in range(rng.randint(1, 24))]
    used = sorted(set("".join(terms)))
    out = "".join(rng.sample(used, rng.randint(0, len(used))))
    shapes = []
    for term in terms:
        narrow = {label for label in term if rng.random() < 0.2}
        shapes.append(tuple(1 if label in narrow else sizes[label] for label in term))
    path, left = [], len(terms)
    while left > 1:
        path.append(tuple(rng.sample(range(left), rng.randint(1, min(4, left)))))
        left += 1 - len(path[-1])
    agree(f"{','.join(terms)}->{out}", shapes, path)


def agree(equation: str, shapes: list[tuple[int, ...]], path: list[tuple[int, ...]]) -> None:
    for use_blas in (True, False):
        _, theirs = opt_einsum.contract_path(equation, *shapes, shapes=True, optimize=path, use_blas=use_blas)
        ours = made(equation, shapes, path, use_blas)
        for attribute in ATTRIBUTES:
            assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
        assert sum(ours.cost_list) == ours.opt_cost
        assert str(ours) == str(theirs).replace(f"{0:>14}", f"{'False':>14}")  # no BLAS, which opt_einsum writes as 0


def made(equation: str, shapes: list[tuple[int, ...]], path: list[tuple[int, ...]], use_blas: bool = True) -> PathInfo:
    terms, out = equation.split("->")
    return path_info(terms.split(","), out, shapes, path, use_blas)


def test_every_attribute_is_there() -> None:
    _, theirs = opt_einsum.contract_path("ij,jk->ik", (2, 3), (3, 5), shapes=True)
    assert sorted(vars(theirs)) == sorted(ATTRIBUTES)


def test_a_thousand_operands_take_linear_work() -> None:
    """A chain by its left end; opt_einsum takes minutes for the sets of what remains."""
    n = 1_000
    letters = [chr(0x4E00 + k) for k in range(n + 1)]
    terms = [a + b for a, b in pairwise(letters)]
    info = path_info(terms, letters[0] + letters[-1], [(2, 2)] * n, [(0, 1)] + [(0, k) for k in range(n - 2, 0, -1)])
    assert info.opt_cost == (n - 1) * 2 * 2**3
    assert info.contraction_list[0].remaining is None
    assert info.contraction_list[-1].remaining == (letters[0] + letters[-1],)


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_html_is_a_table_of_the_same_cells_escaped() -> None:
    info = made("<i,i&->&<", [(2, 3), (3, 5)], [(0, 1)])
    cells = Cells()
    cells.feed(info._repr_html_())
    assert set(cells.tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    for name, value in info.summary():
        assert cells.found[cells.found.index(name) + 1] == value
    assert "i&,<i->&<" in cells.found


def test_html_of_many_steps_is_short() -> None:
    cells = Cells()
    cells.feed(made(",".join("a" * 900) + "->", [(2,)] * 900, [(0, 1)] * 899)._repr_html_())
    assert cells.tags.count("tr") < 300 and "699 more steps" in cells.found
