"""A stage knows the stage below it and nothing above: a module imports only from lower floors."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "einstan"

# Each row is a floor; modules of one floor do not import each other, but for the packages named whole.
FLOORS = [
    [
        "errors",
        "dims",
        "recursion",
        "collector",
        "canonical",
        "sympy_words",
        "orders.network",
        "contractions.path_info",
        "backends.numpy",
        "straight",
        "show.amounts",
        "show.svg",
        "show.layered",
    ],
    ["threads"],
    [
        "syntax.*",
        "ir",
        "machine.*",
        "orders.exact",
        "orders.greedy",
        "orders.anneal",
        "orders.deadline",
        "contractions.subscripts",
        "contractions.foreign",
        "show.chart",
        "show.curves",
        "show.graph",
    ],
    ["orders.refine"],
    [
        "show.text",
        "show.spelling",
        "show.to_sympy",
        "prims.*",
        "rewrite",
        "orders.methods",
        "resize",
        "derive",
        "intervals",
        "files",
        "show.order_table",
    ],
    ["symmetric"],
    ["matrices"],
    [
        "show.latex",
        "show.numpy_text",
        "flat",
        "rules",
        "definite",
        "testing",
        "order.*",
        "bind",
        "orders.table",
        "contractions.numpy_paths",
        "contractions.opt_einsum_paths",
    ],
    ["show.products", "show.common", "facts", "halves", "complex_step"],
    ["stabilise.*", "lower", "show.assignments", "show.exponents", "show.formula", "plan.*"],
    ["blockwise"],
    ["claims", "request", "emit", "arrays", "placing", "functions", "show.numpy_module", "show.program_graph"],
    ["callables", "certificates", "lines", "memory", "show.plan_graph", "written", "running"],
    ["show.numpy_values", "show.html"],
    ["slicing"],
    ["kernel", "show.einsum"],
    ["contractions.contraction", "expr"],
    ["structured.*"],
    ["compiling"],
    ["solvers.*", "transcripts.*"],
    ["grad_checks"],
    ["programs", "contractions.calls"],
    ["language", "orders.subjects", "solving", "lint", "verify.*"],
    ["demo", "orders.comparison"],
    ["contractions.stepwise", "contractions.numpy_forms"],
    ["contractions.reusable"],
    ["contractions.opt_einsum_forms"],
    ["cli"],
    ["__main__", "__init__"],
]


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = path
    return found


def floor(module: str) -> tuple[int, str]:
    """The floor, and the name of the row's entry that covers the module."""
    for n, row in enumerate(FLOORS):
        for entry in row:
            if module == entry or (entry.endswith(".*") and (module + ".").startswith(entry[:-1])):
                return n, entry
    raise AssertionError(f"{module} stands on no floor")


def imported(module: str, path: Path) -> set[str]:
    """einstan's own modules that a module imports, at its top or inside a function; not those that only types name."""
    package = [] if path.parent == PACKAGE else list(path.parent.relative_to(PACKAGE).parts)
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    tree.body = [node for node in tree.body if node not in blocks]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            stem = [*base, *((node.module or "").split(".") if node.module else [])]
            names = [".".join([*stem, alias.name]) for alias in node.names]
            found |= {name if name in modules() else ".".join(stem) for name in names}
    return {name for name in found if name}


@pytest.mark.parametrize(
    "module",
    sorted(name for name in modules() if name not in ("__init__", "show", "backends", "orders", "contractions")),
)
def test_imports_go_down(module: str) -> None:
    own, entry = floor(module)
    for other in imported(module, modules()[module]):
        below, other_entry = floor(other)
        assert below < own or other_entry == entry, f"{module} (floor {own}) imports {other} (floor {below})"


def test_import_brings_no_framework() -> None:
    heavy = ["sympy", "jax", "torch", "dask", "matplotlib", "scipy", "opt_einsum"]
    code = f"import einstan, sys; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert set(ast.literal_eval(out.stdout)) <= {"opt_einsum"}
