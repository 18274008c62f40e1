"""contraction_orders: a row tells what a kernel of that order costs; together is never dearer than one by one."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import opt_einsum
import pytest

import einstan as es
from einstan.cli import main
from einstan.contractions.contraction import contraction
from einstan.errors import EinstanError
from einstan.orders.comparison import compare
from einstan.orders.methods import installed
from einstan.orders.table import OrderTable

from .models import MODELS, Model

ATTENTION = es.parse("""
    S[n,m] = X[n,K] Q[K,A] P[J,A] Y[m,J]
    L = S[N,M] S[N,M] + X[N,K] Q[K,A] P[J,A] Y[N,J]
""")
SMALL = {"n": 7, "m": 7, "k": 5, "a": 3, "j": 5}
CHAIN = "ij,jk,kl,lm->im"
SIZES = {"i": 10, "j": 20, "k": 30, "l": 4, "m": 50}


def quick(*args: Any, **options: Any) -> OrderTable:
    return compare(*args, **{"measure": False, **options})


# ---------------------------------------------------------------- rows

SUBJECTS = {
    "a name": (lambda: ATTENTION, {"of": "S"}, lambda **o: ATTENTION.compile("S", **o)),
    "the last name": (lambda: ATTENTION, {}, lambda **o: ATTENTION.compile("L", **o)),
    "names": (lambda: ATTENTION, {"of": ["S", "L"]}, lambda **o: ATTENTION.compile(["S", "L"], **o)),
    "an expression": (lambda: ATTENTION["L"], {}, lambda **o: ATTENTION["L"].compile(**o)),
    "a loss with its gradients": (
        lambda: ATTENTION,
        {"of": "L", "wrt": ["X", "Q"]},
        lambda **o: ATTENTION.value_and_grad("L", wrt=["X", "Q"]).compile(**o),
    ),
    "an expression with its gradient": (
        lambda: ATTENTION["L"],
        {"wrt": "X"},
        lambda **o: ATTENTION.value_and_grad("L", wrt="X").compile(**o),
    ),
    "a gradient": (lambda: ATTENTION.grad("L", wrt="Q"), {}, lambda **o: ATTENTION.grad("L", wrt="Q").compile(**o)),
    "a jacobian": (
        lambda: ATTENTION.jacobian("S", wrt="Q"),
        {},
        lambda **o: ATTENTION.jacobian("S", wrt="Q").compile(**o),
    ),
    "a hessian": (
        lambda: ATTENTION.hessian("L", wrt=["Q", "P"]),
        {},
        lambda **o: ATTENTION.hessian("L", wrt=["Q", "P"]).compile(**o),
    ),
    "along a direction": (
        lambda: ATTENTION.jvp("S", wrt="Q", tangent="V"),
        {},
        lambda **o: ATTENTION.jvp("S", wrt="Q", tangent="V").compile(**o),
    ),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_row_is_what_a_kernel_of_that_order_costs(name: str) -> None:
    what, asked, compiled = SUBJECTS[name]
    table = quick(what(), **asked, sizes=SMALL, optimize=["auto", "naive", "greedy", "dp"])
    for row in table:
        kernel = compiled(optimize=row.name, sizes=SMALL)
        cost = kernel.cost
        assert (row.flops, row.bytes, row.peak_bytes) == (cost.flops, cost.bytes, cost.peak_bytes)
        made = [step for step in kernel.steps if not step.is_view]
        assert row.largest == max(step.out.nbytes for step in made)
        assert sum(step.flops for step in row.steps) == cost.flops
        assert row.size_list is not None
        assert len(row.size_list) == len(row.scale_list or ()) == len(row.cost_list or ())


def test_a_contraction_has_the_numbers_and_names_of_opt_einsum() -> None:
    shapes = [(10, 20), (20, 30), (30, 4), (4, 50)]
    for table in (quick(CHAIN, sizes=SIZES), quick(CHAIN, sizes=shapes), quick(CHAIN, sizes=[*map(np.zeros, shapes)])):
        assert {row.name for row in table} == set(installed())
        for row in table:
            _, theirs = opt_einsum.contract_path(CHAIN, *shapes, shapes=True, optimize=row.path)
            assert row.flops == row.opt_cost == theirs.opt_cost
            for attribute in ("eq", "naive_cost", "speedup", "largest_intermediate", "size_list", "scale_list"):
                assert getattr(row, attribute) == getattr(theirs, attribute), attribute
            assert len(row.contraction_list or ()) == len(theirs.contraction_list)


def test_steps_are_formulas_of_inputs_and_the_result() -> None:
    table = quick("ij,jk,kl->il", sizes={"i": 10, "j": 200, "k": 300, "l": 40}, optimize=[(0, 1), (0, 1)])
    (row,) = table
    assert [(s.formula, s.flops) for s in row.steps] == [
        ("v0[i,k] = A[i,J] B[J,k]", 2 * 10 * 200 * 300),
        ("out[i,l] = v0[i,K] C[K,l]", 2 * 10 * 300 * 40),
    ]
    table = quick(es.parse("L = (X[B,K] w[K]) (X[B,K] w[K])"), wrt="w", sizes={"b": 5, "k": 3}, optimize="auto")
    assert table["auto"].steps[0].formula == "v0[b] = X[b,K] w[K]"
    assert table["auto"].steps[-1].formula.startswith("∂L/∂w")


STEPS = {  # a program of one name -> the formulas of its steps, copies left out
    "y[i] = x[i]^3": ["y[i] = x[i]^3"],
    "y[i] = x[i]^-2": ["y[i] = x[i]^-2"],
    "y[i] = x[i]^0.3": ["y[i] = x[i]^(3/10)"],
    "y[i] = x[i] <= 0.5": ["y[i] = x[i] <= 0.5"],
    "y[i] = max(x[i], z[i])": ["y[i] = max(x[i], z[i])"],
    "y = A[I,I] b[I]": ["y = b[I] part(A)[I]"],
    "y[i] = W[i,K=0:2] x[K]": ["y[i] = x[J] part(W)[i,J]"],
}


@pytest.mark.parametrize("text", STEPS)
def test_formulas_of_steps(text: str) -> None:
    (row,) = quick(es.parse(text), optimize="auto")
    assert [step.formula for step in row.steps] == STEPS[text]


def test_names_of_steps_are_no_names_of_the_program() -> None:
    (row,) = quick(es.parse("v1[i] = v0[i,J] A[J,K] x[K]"), optimize="auto")
    assert [step.formula.partition("[")[0] for step in row.steps] == ["v2", "v1"]


def test_functions_of_python_are_run() -> None:
    table = compare(es.parse("L = f(x[I]) 1[I]"), wrt="x", functions={"f": np.sin, "f'": np.cos}, optimize="auto")
    assert table["auto"].measured


def test_an_expression_is_called_by_its_formula() -> None:
    A, b = es.tensors("A[i,k] b[k]")
    i, K = es.indices("i K")
    table = quick(A[i, K] * b[K], sizes={"i": 3})
    assert (table.title, table.assumed) == ("A[i,K] b[K]", ("k",))
    assert quick(ATTENTION["S"]).title == "S"


def test_one_path_and_a_list_of_paths() -> None:
    path = [(0, 1), (0, 1), (0, 1)]
    for optimize in (path, [path], ["einsum_path", *path]):
        assert [row.path for row in quick(CHAIN, sizes=SIZES, optimize=optimize)] == [path]
    both = quick(CHAIN, sizes=SIZES, optimize=[path, "naive", opt_einsum.DynamicProgramming()])
    assert [row.name for row in both] == [str(path), "naive", "DynamicProgramming"]


LEFT_TO_RIGHT = {  # a program -> the inputs that its products take, one after the other
    "L = A[I,J] B[J,K] C[K,M] D[M,N] E[N,I]": ["AB", "C", "D", "E"],
    "L = E[I,J] D[J,K] B[K,M] C[M,N] A[N,I]": ["ED", "B", "C", "A"],
    "L = x[I] A[I,J] x[J]": ["xA", "x"],
    "Y[i] = tanh(X[i,K] w[K]); L = A[I,J] Y[J] B[I]": ["Xw", "A", "B"],
    "Q[i,k] = A[i,J] B[J,k]; L = C[I,J] Q[J,K] D[K,I]": ["AB", "C", "D"],
}


@pytest.mark.parametrize("text", LEFT_TO_RIGHT)
def test_naive_is_from_left_to_right_as_the_text_has_the_inputs(text: str) -> None:
    p = es.parse(text)
    (row,) = quick(p, of="L", optimize="naive")
    taken = [{x for x in p.inputs if f"{x}[" in step.formula} for step in row.steps]
    assert [x for x in taken if x] == [set(x) for x in LEFT_TO_RIGHT[text]]


def test_naive_of_einsum_is_from_left_to_right() -> None:
    sizes = ((2, 3), (3, 5), (5, 7), (7, 11))
    c = contraction(((0, 1), (1, 2), (2, 3), (3, 4)), (0, 4), sizes, np.dtype(float), "naive")
    assert c.plan.flops == 2 * (2 * 3 * 5 + 2 * 5 * 7 + 2 * 7 * 11)


def test_the_best_has_the_fewest_flops() -> None:
    table = quick(CHAIN, sizes=SIZES)
    assert table.best is not None
    assert table.best.flops == min(row.flops for row in table) == table["dp"].flops


# ---------------------------------------------------------------- what does not end, does not fit, takes long


def letters(n: int) -> str:
    chain = [chr(0xC0 + k) for k in range(n + 1)]
    return ",".join(a + b for a, b in pairwise(chain)) + "->" + chain[0] + chain[-1]


def test_a_method_that_does_not_end_says_so() -> None:
    table = quick(letters(40), optimize=["auto", "optimal"], seconds=0.3)
    assert "did not finish within 0.3 s" in table["optimal"].remark
    assert table["optimal"].flops is None
    assert table["auto"].flops == 39 * 2 * 128**3
    assert table.best is table["auto"]
    assert "did not finish" in str(table)


def test_nothing_is_run_that_is_over_the_limit_or_takes_long() -> None:
    table = compare("ij,jk,kl->il", sizes=dict.fromkeys("ijkl", 30), memory_limit="10kB", optimize=["naive", "auto"])
    assert all(row.measured is None and row.remark == "over the memory limit" for row in table)
    assert all("memory limit" in row.remark for row in quick("i,j->ij", memory_limit=1000, optimize=["naive"]))
    table = compare("ij,jk->ik", sizes=dict.fromkeys("ijk", 10**6), optimize=["naive"])
    assert (table["naive"].measured, table["naive"].remark) == (None, "more memory than there is")
    table = compare("ij,jk->", sizes={"i": 10**4, "j": 1, "k": 10**4}, optimize=["naive"], dtype="float32")
    assert table["naive"].measured is not None


def test_a_limit_is_kept_where_an_order_does() -> None:
    sizes = {"i": 10, "j": 10, "k": 30, "l": 5, "m": 2}
    free, held = (quick(CHAIN, sizes=sizes, memory_limit=m, optimize="auto")["auto"] for m in (None, 59 * 8))
    assert (free.largest_intermediate, held.largest_intermediate) == (60, 50)


def test_orders_too_large_for_floats_are_told() -> None:
    many = [chr(0x4E00 + k) for k in range(200)]
    table = compare(f"{','.join(many)}->{''.join(many)}", optimize=["naive"])
    assert table["naive"].predicted is None
    assert table["naive"].remark == "more memory than there is"
    json.dumps(table.json(), allow_nan=False)
    assert "∞" in str(table)
    assert "∞ flop" in table.svg()


def test_equal_orders_have_one_time() -> None:
    table = compare("ij,jk,kl->il", sizes={"i": 2, "j": 30, "k": 40, "l": 50}, optimize=["naive", "dp", "auto"])
    assert len({row.measured for row in table}) == 1
    assert all(row.measured and row.predicted and row.planning for row in table)


def test_where_there_is_no_choice_one_row_is_shown() -> None:
    table = quick(es.parse("y[i] = tanh(A[i,K] x[K])"))
    assert not table.choice
    assert "every order" in str(table)
    assert "naive" not in str(table)
    assert table["naive"].flops == table["auto"].flops


# ---------------------------------------------------------------- together and one by one


def shapes(model: Model) -> dict[str, Any]:
    return {name: a.shape for name, a in model.arrays().items() if a.shape}


SHORT = [m for m in MODELS if not any(part in m.name for part in ("20", "30", "dense-5"))]
METHODS = ["auto", "greedy", "branch-1", "dp", "optimal", "random-greedy"]


def together_is_not_dearer(model: Model, methods: list[str]) -> None:
    table = quick(
        es.parse(model.text), model.of, model.wrt, sizes=shapes(model), functions=model.functions, optimize=methods
    )
    assert table.joint is not None
    assert table.separate is not None
    assert len(table.alone) == 1 + len(model.wrt)
    assert table.joint <= table.separate


@pytest.mark.parametrize("model", SHORT, ids=lambda m: m.name)
def test_together_is_never_dearer_than_one_by_one(model: Model) -> None:
    together_is_not_dearer(model, METHODS)


@pytest.mark.slow
@pytest.mark.parametrize("model", [m for m in MODELS if m not in SHORT], ids=lambda m: m.name)
def test_together_is_never_dearer_in_deep_models(model: Model) -> None:
    together_is_not_dearer(model, METHODS)


LARGE = [
    "dense-2-tanh-squared",
    "lstm-concat-1",
    "attention-one-head",
    "attention-heads",
    "readout-batch",
    "matrix-factorisation-mask",
    "layer-norm",
]


@pytest.mark.parametrize("name", LARGE)
def test_together_is_never_dearer_at_real_sizes(name: str) -> None:
    (model,) = [m for m in MODELS if m.name == name]
    large = {name: tuple(16 * n for n in shape) for name, shape in shapes(model).items()}
    table = quick(es.parse(model.text), model.of, model.wrt, sizes=large, functions=model.functions, optimize=METHODS)
    assert table.joint is not None
    assert table.separate is not None
    assert table.joint <= table.separate
    assert f"{table.gain:.2f} times as much" in str(table)


# ---------------------------------------------------------------- errors

REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (CHAIN, {"sizes": {"q": 3}}, "No axis has the letter q"),
    (CHAIN, {"sizes": {"i": "3"}}, "is no size"),
    (CHAIN, {"sizes": [(1, 2)]}, "4 terms and 1 operand"),
    ("ij,j->i", {"sizes": [(2, -1), (3,)]}, "of operand 1, is no shape"),
    ("ij,j->i", {"sizes": [(2, 3), 3]}, "3, of operand 2, is no shape"),
    ("ij,j->i", {"sizes": 5}, "5 says no sizes"),
    ("ij,jk->iz", {}, "'z' is in no operand"),
    ("i...,j->", {}, "How many axes"),
    (CHAIN, {"of": "L"}, "A contraction has no names"),
    (CHAIN, {"optimize": "fastest"}, "called 'fastest'"),
    (CHAIN, {"optimize": []}, "No method is named"),
    (CHAIN, {"seconds": float("nan")}, "nan seconds"),
    (CHAIN, {"seconds": 0}, "0 seconds"),
    (CHAIN, {"optimize": [(0, 9)]}, None),
    (CHAIN, {"optimize": 3}, "3 is no order"),
    (CHAIN, {"optimize": [3]}, "3 is no order"),
    (CHAIN, {"optimize": ["auto", None]}, "None is no order"),
    (CHAIN, {"dtype": "bool"}, "not on bool"),
    (CHAIN, {"dtype": "float31"}, "no dtype"),
    (CHAIN, {"memory_limit": "much"}, "no limit of memory"),
    (ATTENTION, {"of": "Q7"}, "no name 'Q7'"),
    (ATTENTION, {"of": "S", "wrt": "X"}, "value_and_grad is of a scalar"),
    (ATTENTION, {"of": ["S", "L"], "wrt": "X"}, "Gradients are of one name"),
    (ATTENTION, {"sizes": {"zz": 3}}, "No axis has the letter zz"),
    (ATTENTION, {"sizes": [(3, 4)]}, "given by letter"),
    (ATTENTION, {"optimize": [(0, 1), (0, 1)]}, "A path is for a contraction"),
    (ATTENTION, {"dtype": "int64"}, "Programs are compared on floats"),
    (es.parse("y = f(x[I] x[I])"), {}, "f is not bound"),
    (es.parse("fact 0 x[i] = 0 x[i]"), {}, "defines no name"),
    (3, {}, "int has no contraction orders"),
]


@pytest.mark.parametrize(("what", "options", "message"), REFUSED)
def test_what_can_not_be_compared_is_refused(what: Any, options: dict[str, Any], message: str | None) -> None:
    if message is None:
        (row,) = quick(what, **options)
        assert "takes (0, 9) of 4 operands" in row.remark
        return
    with pytest.raises(EinstanError, match=message):
        quick(what, **options)


# ---------------------------------------------------------------- how it is shown


def test_the_table_is_aligned_and_marks_the_best() -> None:
    table = quick(CHAIN, sizes=SIZES, optimize=["auto", "naive", "greedy"])
    lines = str(table).splitlines()
    head = next(line for line in lines if "flops" in line)
    body = [line for line in lines if line.startswith(("auto", "naive", "greedy"))]
    assert {len(line.rstrip("–").rstrip()) > 0 for line in body} == {True}
    ends = {line.rindex("–") for line in body}
    assert ends == {head.index("measured") + len("measured") - 1}
    least = min(row.flops for row in table if row.flops is not None)
    for row, line in zip(table, body, strict=True):
        assert (row.flops == least) == line.split("flop")[1].startswith("*")


def test_what_is_shown_is_escaped() -> None:
    def method(inputs: Any, output: Any, sizes: Any, memory_limit: Any) -> Any:
        return [(0, 1), (0, 1)]

    method.__name__ = "<script>&"
    table = quick("ij,jk,kl->il", optimize=[method, "auto"])
    assert "<script>" not in table._repr_html_()
    assert "&lt;script&gt;&amp;" in table._repr_html_()
    ET.fromstring(table.svg())
    ET.fromstring(f"<div>{table._repr_html_()}</div>")


def test_json_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    table = compare(ATTENTION, "L", ["X"], sizes=SMALL, optimize=["auto", "naive"])
    found = json.loads(json.dumps(table.json(), allow_nan=False))
    assert found["best"] == "auto"
    assert found["joint"] == table.joint
    assert [row["name"] for row in found["rows"]] == ["auto", "naive"]
    assert found["rows"][0]["flops"] == sum(step["flops"] for step in found["rows"][0]["steps"])
    assert found["inputs"]["X"] == [["n", 7], ["k", 5]]


def test_progress_counts_to_its_end() -> None:
    seen: list[tuple[int, int, str]] = []
    compare(ATTENTION, "L", ["X"], sizes=SMALL, optimize=["auto", "naive"], progress=lambda *told: seen.append(told))
    assert [done for done, _, _ in seen] == list(range(len(seen)))
    assert {total for _, total, _ in seen} == {2 * 2 + 2}
    assert seen[0][2] == "auto"


# ---------------------------------------------------------------- predicted times


def test_predicted_is_what_a_kernel_predicts() -> None:
    table = quick(ATTENTION, of="L", wrt=["X", "Q"], sizes=SMALL, optimize="auto")
    kernel = ATTENTION.value_and_grad("L", wrt=["X", "Q"]).compile(sizes=SMALL)
    assert table["auto"].predicted == pytest.approx(kernel.cost.seconds)


def test_casts_are_steps() -> None:
    (cast, *_) = quick("i,i->i", sizes={"i": 10}, dtype="float16", optimize="auto")["auto"].steps
    assert (cast.formula, cast.bytes) == ("v0 = copy(A)", 60)


# ---------------------------------------------------------------- the command

LAYER = "Z[b,j] = X[b,K] W[K,j] + c[j]\nL = Z[B,J] Z[B,J]"
PRINTED: list[tuple[list[str], list[str]]] = [
    (
        ["ij,jk,kl->il", "--sizes", "i=10,j=200,k=300,l=40", "--optimize", "dp"],
        ["A[i=10,j=200]", "steps of dp", "  v0[i,k] = A[i,J] B[J,k]  ", " 1.2 Mflop\n", "  [(0, 1), (0, 1)]"],
    ),
    (["ij,jk,kl->il", "--optimize", "auto, naive", "--steps"], ["assumed i j k l", "steps of auto"]),
    (["-e", LAYER, "--of", "L", "--wrt", "W,c", "--sizes", "b=64"], ["X[b=64,k=128]", "All 3 outputs together take"]),
    (["-e", LAYER, "--of", "Z", "--dtype", "float32", "--no-run"], ["orders of Z (float32)", "every order"]),
    (["-e", "y = f(x[I] x[I])", "--functions", "f=tanh"], ["orders of y"]),
    (["ij,jk,kl->il", "--memory", "1kB"], ["memory  1 kB at most", "over the memory limit"]),
]


@pytest.mark.parametrize(("words", "parts"), PRINTED)
def test_the_command_prints(words: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["path", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for part in parts:
        assert part in out


def test_the_command_writes_json_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "out.svg"
    assert main(["path", CHAIN, "--sizes", "i=7", "--optimize", "auto,dp", "--json", "--plot", str(plot)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["rows"]] == ["auto", "dp"]
    assert found["assumed"] == ["j", "k", "l", "m"]
    ET.parse(plot)


FAILING: list[tuple[list[str], int, str]] = [
    (["ij,jk->ik", "--sizes", "q=3"], 1, "No axis has the letter q"),
    (["ij,jk->ik", "--sizes", "i"], 1, "is no pair"),
    (["ij,jk->ik", "--optimize", "fastest"], 1, "called 'fastest'"),
    (["ij,jk->ik", "--optimize", ","], 2, "--optimize holds no name"),
    (["ij,jk->ik", "--memory", "lots"], 1, "no limit of memory"),
    (["ij,jk->ik", "--plot", "out.png"], 2, "written to .svg"),
    (["ij,jk->ik", "--of", "L"], 1, "A contraction has no names"),
    (["-e", LAYER, "--of", "Q"], 1, "no name 'Q'"),
    (["-e", LAYER, "--of", "Z", "--wrt", "W"], 1, "is of a scalar"),
    (["nothing.ein"], 1, "nothing.ein"),
    ([], 2, "give the formula once"),
]


@pytest.mark.parametrize(("words", "status", "message"), FAILING)
def test_the_command_fails_with_a_sentence(
    words: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if status == 2:
        with pytest.raises(SystemExit, match="2"):
            main(["path", *words])
    else:
        assert main(["path", *words]) == status
    assert message in capsys.readouterr().err


def test_a_file_whose_name_holds_a_comma_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a,b.ein").write_text("y = a[I] b[I]", encoding="utf-8")
    assert main(["path", str(tmp_path / "a,b.ein")]) == 0
    assert "orders of y" in capsys.readouterr().out


def test_the_bar_is_drawn_on_one_line_and_cleared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for words, status in ((["ij,jk->ik", "--optimize", "auto,dp"], 0), (["ij,jk->ik", "--sizes", "q=1"], 1)):
        assert main(["path", *words]) == status
        err = capsys.readouterr().err
        drawn, _, after = err.rpartition("\r\x1b[K")
        assert "\n" not in drawn
        assert after == "" if status == 0 else after.startswith("error: ")
        assert ("██████░" in drawn and "1/4 dp" in drawn) == (status == 0)


def test_two_functions_of_one_name_have_a_row_each() -> None:
    methods = [lambda *_: [(0, 1), (0, 1)], lambda *_: [(1, 2), (0, 1)]]
    found = compare("ij,jk,kl->il", sizes={"i": 2, "j": 3, "k": 5, "l": 7}, optimize=methods, measure=False)
    assert [row.path for row in found.rows] == [[(0, 1), (0, 1)], [(1, 2), (0, 1)]]
