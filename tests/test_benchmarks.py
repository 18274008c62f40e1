"""benchmarks/: what is measured gives the right numbers, and what was measured is reported as it was. No times here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einstan as es
from benchmarks import __main__ as command
from benchmarks import (
    checking,
    first_result,
    gradients,
    growth,
    hessians,
    models,
    networks,
    paths,
    peers,
    plots,
    progress,
    report,
    results,
    rounds,
)
from benchmarks.networks import Network
from benchmarks.report import Chart, Table
from benchmarks.rounds import QUICK, Rounds, Timing
from benchmarks.settings import Settings

ROOT = Path(__file__).parent.parent
EVERYONE = Settings(threads=os.cpu_count() or 1, dtype="float64", rounds=QUICK)


@pytest.fixture(scope="module", autouse=True)
def precision() -> None:
    peers.set_up(present(gradients.CANDIDATES), EVERYONE.threads, EVERYONE.dtype)


def present(candidates: Any) -> list[Any]:
    """Those that are installed, and quick to start."""
    return [c for c in peers.taking_part(candidates, EVERYONE)[0] if c.name != "torch-compile"]


# ---------------------------------------------------------------- gradients


@pytest.mark.parametrize("case", models.CASES, ids=lambda case: case.name)
def test_candidates_agree(case: models.Case) -> None:
    model = case.small_model()
    calls = gradients.calls_of(model, present(gradients.CANDIDATES), "float64")
    assert {"numpy", "einstan", "einstan-into"} <= set(calls)
    for name, call in calls.items():  # the second call too: room that is used again holds nothing of the first
        if name != "products":
            checking.right_slope(name, model, call(), model.arrays("float64"), 1e-11)


@pytest.mark.slow
def test_torch_compile_agrees() -> None:
    """Twice: what was compiled for one model is forgotten for the next."""
    pytest.importorskip("torch")
    compiled = [c for c in peers.taking_part(gradients.CANDIDATES, EVERYONE)[0] if c.name == "torch-compile"]
    for case in models.CASES[:2] if compiled else ():
        assert gradients.calls_of(case.small_model(), compiled, "float64")


@pytest.mark.parametrize("case", models.CASES, ids=lambda case: case.name)
def test_float32_stays(case: models.Case) -> None:
    value, grads = case.small_model().by_hand(case.small_model().arrays("float32"))()
    assert {np.asarray(x).dtype for x in (value, *grads.values())} == {np.dtype("float32")}


@pytest.mark.parametrize("case", [c for c in models.CASES if c.small_model().products], ids=lambda case: case.name)
def test_floor_is_part_of_the_work(case: models.Case) -> None:
    """einstan does the products of the floor, and no more than these but for sums, which are products with ones."""
    model = case.small_model()
    pairs = list(model.products(model.arrays("float64"), lambda *shape: np.ones(shape)))
    floor = sum(2 * (left @ right).size * left.shape[-1] for left, right in pairs)
    kernel = es.parse(model.text).value_and_grad("L", wrt=model.wrt).compile()
    kernel(**model.arrays("float64"))
    products = sum(step.flops for step in kernel.steps if step.op in ("dot", "matmul"))
    assert floor <= products <= 2 * floor


def test_growth_models_are_what_they_say() -> None:
    for model in (growth.lstm(3, 5, 2), growth.chain((2, 3, 5, 7))):
        a = model.arrays("float64")
        result = es.parse(model.text).value_and_grad("L", wrt=model.wrt).compile()(**a)
        checking.right_slope("einstan", model, result, a, 1e-11)
    assert growth.best_chain_flops([10, 20, 30, 40]) == 2 * (10 * 20 * 30 + 10 * 30 * 40)


def test_wrong_numbers_are_not_timed() -> None:
    model = models.dense((3, 2), 5)
    a = model.arrays("float64")
    value, grads = model.by_hand(a)()
    spoiled = {name: grad.copy() for name, grad in grads.items()}
    spoiled["W1"][2, 1] += 1e-3
    checking.same_numbers("right", model, (value, list(grads.values())), (value, grads), 1e-11)
    for wrong in ((value, spoiled), (value * 1.001, grads), (value, grads | {"c1": grads["c1"][:, None]})):
        with pytest.raises(AssertionError, match="wrong: the"):
            checking.same_numbers("wrong", model, wrong, (value, grads), 1e-11)
    with pytest.raises(AssertionError, match="along a direction"):
        checking.right_slope("wrong", model, (value, spoiled), a, 1e-11)


def test_first_results() -> None:
    model = growth.layers(1)
    for candidate in present(first_result.CANDIDATES):
        assert len(first_result.times(candidate, model, "float64", 1)) == 1
    rows = list(first_result.rows("net", {"einstan": [0.5, 0.25, 1.0], "jax": [2.0]}))
    assert [row["first_s"] for row in rows] == [0.5, 2.0]
    assert [row["low_s"] for row in rows] == [0.25, 2.0]
    assert [row["to_einstan"] for row in rows] == [1.0, 4.0]


# ---------------------------------------------------------------- hessians


def curved(case: hessians.Case) -> tuple[float, float]:
    """The second derivative along a direction: by einstan's Hessian, and by differences of the loss in plain numpy."""
    model = case.small_model
    a, rng, step = model.arrays("float64"), np.random.default_rng(3), 1e-4
    way = {name: rng.standard_normal(a[name].shape) for name in model.wrt}
    found = hessians.blocks(model, hessians.einstan(model, a)())
    loss = partial(model.loss, peers.numpy_words())
    ahead, here, behind = (loss(a | {name: a[name] + s * way[name] for name in way}) for s in (step, 0.0, -step))
    own = sum(np.vdot(way[r], np.tensordot(h, way[c], way[c].ndim)) for (r, c), h in found.items())
    return float(own), float(ahead - 2 * here + behind) / step**2


KINDS = {case.kind: case for case in hessians.CASES}


@pytest.mark.parametrize("case", KINDS.values(), ids=KINDS)
def test_hessians_agree(case: hessians.Case) -> None:
    found, notes = hessians.measured(case.small_model, present(hessians.CANDIDATES), EVERYONE)
    assert {"einstan", "einstan-structured"} <= set(found) and notes == ()
    own, differences = curved(case)
    assert own == pytest.approx(differences, rel=1e-5, abs=1e-5)


def test_wrong_hessians_are_not_timed() -> None:
    model = KINDS["sigmoid"].small_model
    a = model.arrays("float64")
    right = hessians.blocks(model, hessians.einstan(model, a)())
    spoiled = right | {("W", "W"): right["W", "W"] + np.eye(9).reshape(3, 3, 3, 3)}
    for truth in (right, None):
        hessians.right_numbers("right", model, a, right, truth, 1e-9)
        with pytest.raises(AssertionError, match="the Hessian in W"):
            hessians.right_numbers("wrong", model, a, spoiled, truth, 1e-9)


def test_who_is_not_asked_for_a_hessian() -> None:
    reasons = [hessians.reason_against(c, hessians.factorisation(1000), "float64") for c in hessians.CANDIDATES]
    assert reasons == [None, None, "one array would take 37.3 GiB", "one array would take 37.3 GiB"]


def test_slow_hessians_are_called_once() -> None:
    calls = []
    found = {
        "einstan": hessians.Found(lambda: calls.append(1), [0.5, 0.1, 0.2], 0.1, 8_000_000),
        "jax": hessians.Found(lambda: calls.append(2), [4.0], 10.0, 8_000_000),
    }
    times = hessians.timings(found, EVERYONE, lambda done, what: None)
    assert calls == [1] and times["jax"] == Timing(10.0, 10.0, 10.0, 1)
    times["einstan"] = Timing(2.0, 2.0, 2.0, 5)
    ours, theirs = hessians.rows(hessians.CASES[0], found, times)
    assert (ours["to_jax"], ours["first_s"], ours["first_to_jax"], ours["mb"]) == (5.0, 0.2, 20.0, 8.0)
    assert (theirs["candidate"], theirs["to_jax"], theirs["ms"]) == ("jax", 1.0, 10_000.0)


# ---------------------------------------------------------------- networks

SMALL = {
    "chain": partial(networks.chain, 4),
    "mps": partial(networks.mps, 4, 3),
    "lattice": partial(networks.lattice, 3, 2, 2),
    "regular": partial(networks.regular, 6, 2),
    "hyperedges": partial(networks.hyperedges, 5, 7),
    "gates": partial(networks.gated, 2, 3, 5, 7),
}
NETWORKS = SMALL | {case.name: case.make for case in networks.CASES}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_networks_are_contractions(make: Any) -> None:
    n: Network = make()
    assert n == make()  # the same in every run
    carriers = Counter(label for own in n.terms for label in own)
    assert set(carriers) == set(n.sizes) >= set(n.out)
    assert all(own and len(set(own)) == len(own) for own in n.terms)
    assert all(carriers[label] > 1 for label in carriers if label not in n.out)
    assert min(n.sizes.values()) > 1
    assert len(set(n.subscripts) - set(",->")) == len(n.sizes)
    carrying = [[k for k, own in enumerate(n.terms) if label in own] for label in n.sizes]
    assert networks.connected(len(n.terms), {pair for nodes in carrying for pair in pairwise(nodes)})


def test_kinds_of_networks() -> None:
    assert networks.chain(3).terms == ((0, 1), (1, 2), (2, 3))
    assert networks.mps(3, 5).shapes == [(2, 5), (5, 2, 5), (5, 2)] * 2
    assert networks.lattice(2, 2, 4).terms == ((0, 2), (0, 3), (1, 2), (1, 3))
    assert {len(own) for own in networks.regular(20, 2).terms} == {3}
    carried = Counter(label for own in networks.hyperedges(12, 16).terms for label in own)
    assert set(carried.values()) == {2, 3, 4}
    assert networks.gated(2, 3, 5, 7).subscripts == "abc,acd,ac->abd"


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_engines_agree(make: Any) -> None:
    n: Network = make()
    path, _ = es.contract_path(n.subscripts, *n.shapes, shapes=True)
    calls = paths.calls_of(n, present(paths.ENGINES), path, "float64")
    plain = np.einsum(n.subscripts, *n.arrays("float64"), optimize=False)
    assert {"einstan", "opt_einsum", "numpy"} <= set(calls)
    checking.agree("all", np.asarray(calls["einstan"]()), plain, 1e-11)
    assert 0.1 < plain.mean() < 10  # arrays are scaled


def test_what_an_engine_does_not_take() -> None:
    n = networks.chain(110)
    reasons = {engine.name: paths.reason_against(engine, n) for engine in paths.ENGINES}
    assert reasons["numpy"] == "takes 52 labels, not 111"
    assert reasons["jax"] == "is not asked for more than 100 operands"
    assert reasons["einstan"] is reasons["opt_einsum"] is None


def test_paths_of_networks_and_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "CASES", [networks.Case("gated", "small", SMALL["gates"])])
    monkeypatch.setattr(models, "CASES", [replace(c, sizes=c.small) for c in models.CASES if c.name == "mlp-64"])
    settings = replace(EVERYONE, candidates=("auto", "greedy", "numpy", "einstan"))
    assert paths.names()[0] == ["gated", "mlp-64"]
    flops = 2 * 3 * 5 + 2 * (2 * 3 * 5 * 7)  # multiply, then a product summed over k
    orders, engines, together = paths.tables(settings)
    assert [(row["method"], row["flops"]) for row in orders.rows] == [("auto", flops), ("greedy", flops)]
    assert {row["engine"]: row["calls"] for row in engines.rows} == {"einstan": 1, "numpy": 1}
    (row,) = together.rows
    assert row["methods"] == "all" and row["apart"] > 1
    assert all(report.text(table) and report.markdown(table) for table in (orders, engines, together))


# ---------------------------------------------------------------- rounds


class Clock:
    """Time that passes only when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.log.append("rest")

    def worker(self, name: str, seconds: list[float]) -> Any:
        """A call that takes these seconds, the last of them from then on."""

        def call() -> None:
            self.now += seconds.pop(0) if len(seconds) > 1 else seconds[0]
            self.log.append(name)

        return call


def test_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(rounds.time, "sleep", clock.sleep)
    monkeypatch.setattr(rounds.time, "perf_counter", lambda: clock.now)
    calls = {"a": clock.worker("a", [9.0, 9.0, 1.0, 2.0, 6.0, 9.0, 9.0, 4.0]), "b": clock.worker("b", [32.0])}
    told = []
    found = rounds.measure(calls, Rounds(2, rest=0.5, unmeasured=2, run=8.0), lambda *said: told.append(said))
    assert clock.log == ["rest", *"aaaaa", "rest", *"bbb", "rest", *"aaaa", "rest", *"bbb"]
    assert found["a"] == Timing(3.0, 2.0, 4.0, 5)  # medians of (1, 2, 6) and (4, 4)
    assert found["a"].spread == pytest.approx(2 / 3)
    assert found["b"] == Timing(32.0, 32.0, 32.0, 2)  # at least one call a round
    assert told == [(0.0, "a"), (0.0, "b"), (0.5, "a"), (0.5, "b")]


def test_ratios() -> None:
    seconds = {"products": 1.0, "numpy": 2.0, "einstan": 3.0, "jax": 8.0, "torch": 6.0, "torch-compile": 4.0}
    seconds["torch-fused"] = 0.5
    times = {name: Timing(s, s, s, 1) for name, s in seconds.items()}
    found = {row["candidate"]: row for row in gradients.rows(models.CASES[0], times)}
    einstan = found["einstan"]
    assert (einstan["to_floor"], einstan["to_numpy"], einstan["to_peer"]) == (3.0, 1.5, 0.5)
    assert found["jax"]["to_peer"] == 8 / 6
    assert (einstan["to_compiled"], found["torch-compile"]["to_peer"]) == (3 / 4, 4 / 6)
    del times["products"], times["jax"], times["torch"]
    (row,) = [row for row in gradients.rows(models.CASES[0], times) if row["candidate"] == "einstan"]
    assert row["to_floor"] is row["to_peer"] is None


# ---------------------------------------------------------------- reports

COLUMNS = (("name", "who", "s"), ("ms", "ms", ".2f"))
TABLE = Table("a case", [{"name": "a", "ms": 1.234}, {"name": "bcd", "ms": None}], COLUMNS, ("x is not installed",))


def test_tables() -> None:
    lines = ["", "a case", "who    ms", "---  ----", "a    1.23", "bcd     -", "x is not installed"]
    assert report.text(TABLE).splitlines() == lines
    lines = [
        "**a case**",
        "",
        "| who | ms |",
        "| --- | ---: |",
        "| a | 1.23 |",
        "| bcd | - |",
        "",
        "x is not installed",
    ]
    assert report.markdown(TABLE).splitlines() == lines


def recorded(suite: str, dtype: str) -> dict[str, Any]:
    """A run's document as it comes back from JSON."""
    times = {"products": Timing(1.0, 1.0, 1.0, 5), "einstan": Timing(1.5, 1.2, 1.8, 7)}
    measured = Table("mlp", list(gradients.rows(models.CASES[0], times)), gradients.COLUMNS)
    if suite == "hessians":
        times |= {"einstan-structured": Timing(0.5, 0.5, 0.5, 9), "jax": Timing(6.0, 6.0, 6.0, 3)}
        found = {name: hessians.Found(print, [0.25], 1.0, 1000) for name in ("einstan", "einstan-structured", "jax")}
        measured = Table("logistic", list(hessians.rows(hessians.CASES[0], found, times)), hessians.COLUMNS)
    document = report.document(suite, Settings(threads=3, dtype=dtype)) | {"date": "2026-01-02 03:04 UTC"}
    document |= {"machine": {"processor": "abacus", "cores": "7"}, "versions": {"numpy": "9.9"}}
    tables = [TABLE, measured] if suite == "paths" else [measured]
    return json.loads(json.dumps(document | {"tables": report.plain(tables)}))  # type: ignore[no-any-return]


def test_results_are_what_was_measured() -> None:
    dtypes = ["float32", "float64", "float64", "float32", "float64", *["float32"] * 3]
    page = results.page([recorded(run[0], dtype) for run, dtype in zip(results.RUNS, dtypes, strict=True)])
    once = ["on 2026-01-02 03:04 UTC", "- processor: abacus", "- cores: 7", "- threads: 3", "- numpy: 9.9"]
    for part in [*once, "| a | 1.23 |", "| bcd | - |", "x is not installed", "**a case**", str(Rounds())]:
        assert page.count(part) == 1, part
    assert page.count("| mlp-16 | 1500.000 | 40% | - | - | - | 1.50 |") == 2  # the summary, of both precisions
    assert page.count("| einstan | 1500.0000 | 40% | 7 | 1.50 | - | - | - |") == len(results.RUNS) - 1
    assert page.count("| logistic-100 | 1500.000 | 4.0 | 500.000 | 12.0 | 0.250 | 1.0 |") == 1
    heads = [
        "Summary",
        "gradients, float32",
        "gradients, float64",
        "hessians, float64",
        "memory, float32",
        "memory, float64",
        "paths, float32",
        "compile, float32",
        "growth, float32",
    ]
    assert [line for line in page.splitlines() if line.startswith("## ")] == [f"## {head}" for head in heads]
    with pytest.raises(ValueError, match="zip"):  # a run that is missing is not passed over
        results.page([recorded("gradients", "float32")])


def test_suites_measured_again_replace_their_own_tables_alone() -> None:
    dtypes = ["float32", "float64", "float64", "float32", "float64", *["float32"] * 3]
    whole = [recorded(run[0], dtype) for run, dtype in zip(results.RUNS, dtypes, strict=True)]
    page = results.page(whole)
    (at,) = [n for n, run in enumerate(results.RUNS) if run[0] == "hessians"]
    later = whole[at] | {"date": "2027-01-02 03:04 UTC"}
    later["tables"][0]["rows"][1]["ms"] = 2500.0
    again = results.renewed(page, [later], ["hessians"])
    assert again != page and again.count("Measured again on 2027-01-02 03:04 UTC.") == 1
    assert again.count("2500.0") == page.count("2500.0") + 2  # the summary, the section
    without = [line for line in page.splitlines() if "500.0" not in line]
    assert [line for line in without if line not in again.splitlines()] == []
    assert [line for line in again.splitlines() if line[:3] == "## "] == [
        line for line in page.splitlines() if line[:3] == "## "
    ]
    assert results.renewed(again, [whole[at]], ["hessians"]).count("Measured again") == 1


def test_documents_say_where_and_how() -> None:
    found = report.document("paths", Settings(threads=2, dtype="float64"))
    assert (found["suite"], found["threads"], found["dtype"]) == ("paths", 2, "float64")
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["einstan"] == es.__version__
    assert all(found["machine"].values())


def test_bars() -> None:
    chart = Chart("Times <s>", "case", "who", "s", "s", log=True)
    rows = [{"case": "x&y", "who": "a", "s": 1.0}, {"case": "x&y", "who": "b", "s": 20.0}, {"case": "z", "who": "c"}]
    picture = str(plots.picture(chart, rows))
    assert "Times &lt;s&gt;" in picture and "x&amp;y" in picture and "20 s" in picture
    assert ">z<" not in picture  # nothing was measured


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    progress.show(0.5, "half")
    progress.clear()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress.show(0.5, "half")
    assert f"[{'#' * 15}{'.' * 15}]  50% half" in capsys.readouterr().err


# ---------------------------------------------------------------- the command


def test_arguments() -> None:
    options = command.arguments(["paths", "--case", "mps,chain-10", "--with", "auto", "--threads", "3", "--quick"])
    settings = command.settings_of(options)
    assert settings == Settings(("mps", "chain-10"), ("auto",), 3, "float32", QUICK)
    wanted = {"mps-20": True, "mpss": False, "chain-10": True, "chain-100": False, "chain": False}
    assert {name: settings.wants(name) for name in wanted} == wanted
    assert [settings.invites(name) for name in ("auto", "autograd")] == [True, False]
    assert command.settings_of(command.arguments(["hessians"])).dtype == "float64"
    assert command.settings_of(command.arguments(["hessians", "--dtype", "float32"])).dtype == "float32"
    everything = command.settings_of(command.arguments([]))
    assert everything.wants("mps-20") and everything.invites("jax") and everything.rounds == Rounds()


@pytest.mark.parametrize("wrong", [["gradient"], ["--dtype", "float16"], ["--threads", "many"], ["--plot"]])
def test_wrong_arguments(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.arguments(wrong)
    assert stopped.value.code == 2 and "usage" in capsys.readouterr().err


@pytest.mark.parametrize("suite", [gradients, hessians, paths, first_result, growth], ids=lambda suite: suite.__name__)
def test_what_is_not_there_is_said(suite: Any) -> None:
    cases, candidates = suite.names()
    assert len(set(cases)) == len(cases) and cases
    assert command.unknown(Settings(tuple(cases), tuple(candidates)), cases, candidates) is None
    message = command.unknown(Settings(("nosuch",)), cases, candidates)
    assert message == f"There is no case 'nosuch'; there are {', '.join(cases)}."
    message = command.unknown(Settings((), ("nosuch",)), cases, candidates)
    assert message == f"There is no candidate 'nosuch'; there are {', '.join(candidates) or 'none'}."


def test_who_is_absent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda package: None if package in ("jax", "torch") else object())
    found, notes = peers.taking_part(gradients.CANDIDATES, Settings(candidates=("numpy", "jax", "torch-compile")))
    assert [c.name for c in found] == ["numpy"]
    assert notes == ("jax: jax is not installed", "torch-compile: torch is not installed")


def test_torch_compiles_with_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    assert peers.missing_compiler() == "needs a C++ compiler"


def test_one_document(tmp_path: Path) -> None:
    """The command as a user gives it: JSON alone on stdout, nothing on stderr, the picture where it was asked for."""
    asked = [
        "--quick",
        "--case",
        "mlp-16",
        "--with",
        "products,numpy,einstan",
        "--json",
        "--plot",
        str(tmp_path / "b.svg"),
    ]
    run = subprocess.run([sys.executable, "-m", "benchmarks", *asked], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    (table,) = json.loads(run.stdout)["tables"]
    assert [(row["candidate"], row["calls"]) for row in table["rows"]] == [
        ("products", 1),
        ("numpy", 1),
        ("einstan", 1),
    ]
    assert (tmp_path / "b.svg").read_text(encoding="utf-8").startswith("<svg")
