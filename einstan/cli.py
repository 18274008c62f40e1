"""cli: the command line. Results on stdout; errors, with carets, on stderr.

Exit status: 0 fine, 1 the formula, the data or a claim is wrong, 2 the command is, 130 interrupted. With --json every
command prints one object on stdout, also for an error: {"error", "message", "repair", "line", "column", "spans"}.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, NoReturn

import numpy as np

from . import __version__
from .certificates import Certificate
from .demo import screens
from .dims import Dim
from .errors import EinstanError
from .files import numbers, read_data, read_text, write_arrays
from .kernel import Kernel
from .lint import Remark, lint
from .orders.comparison import SECONDS, compare
from .orders.methods import METHODS
from .orders.table import OrderTable
from .programs import Derived, Program, parse
from .request import Term, Tree
from .show.assignments import lacking
from .show.einsum import einsum_module
from .show.order_table import steps_text
from .show.spelling import with_axes
from .syntax.roster import names_in
from .transcripts import Transcript
from .verify import TRIALS, WORDS, Verdict, checked

Arguments = argparse.Namespace
Report = dict[str, Any]
BAR = 24  # characters of the progress bar
CERTIFIED_TEXT = 1_000  # letters of a program in which `show` looks for certificates
CERTIFIED = 20  # nodes of a gradient that `show` differentiates to find a certificate
CERTIFICATES = 12  # scalars and inputs of which it looks for one


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is returned."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    arguments = read_arguments(argv)
    status = 0
    try:
        status = arguments.run(arguments) or 0
        if sys.stdout is not None:  # `>&-`
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe (`| head`) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    except (EinstanError, OSError, MemoryError) as error:
        report_error(error, arguments.json)
        return 1
    return status


# ---------------------------------------------------------------- arguments


def read_arguments(argv: Sequence[str] | None) -> Arguments:
    """The command's arguments; words of data may stand on both sides of options."""
    top = parser()
    arguments, rest = top.parse_known_args(argv)
    takes_data = hasattr(arguments, "data")
    if rest and (not takes_data or any(word.startswith("-") for word in rest)):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    if takes_data:
        arguments.data += rest
        if arguments.text is not None and arguments.file is not None and is_data(arguments.file):
            arguments.data.insert(0, arguments.file)
            arguments.file = None
    check_arguments(arguments, top.error)
    return arguments


def is_data(word: str) -> bool:
    return "=" in word or word.endswith(".npz")


def check_arguments(arguments: Arguments, refuse: Callable[[str], NoReturn]) -> None:
    """What argparse cannot say: one formula, and a file for the results that can hold them."""
    if not hasattr(arguments, "file"):
        return
    if (arguments.file is None) == (arguments.text is None):
        refuse("give the formula once: a FILE, - for standard input, or -e TEXT")
    for option in ("of", "wrt", "optimize"):
        given = getattr(arguments, option, None)
        if given is not None and not names(given):
            refuse(f"--{option} holds no name")
    if getattr(arguments, "to", "numpy") != "numpy":
        for option in ("functions", "sizes"):
            if getattr(arguments, option, ""):
                refuse(f"--{option} is for --to numpy")
    if getattr(arguments, "lint", False) and arguments.to != "text":
        refuse("--lint is for --to text")
    plot = getattr(arguments, "plot", None)
    if plot is not None and Path(plot).suffix != ".svg":
        refuse(f"the picture is written to .svg; not to {plot}")
    output = getattr(arguments, "output", None)
    if output is not None and Path(output).suffix not in (".npy", ".npz"):
        refuse(f"results are written to .npz, or one of them to .npy; not to {output}")
    if output is not None and output.endswith(".npy") and len(names(arguments.of)) > 1:
        refuse(f"{output} holds one array; write several results to .npz")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="einstan", description="Tensor calculus in index notation.", epilog=EPILOG)
    top.formatter_class = argparse.RawDescriptionHelpFormatter
    top.add_argument("--version", action="version", version=f"einstan {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, summary, options) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="print one JSON object, errors too")
        for flags, settings in options:
            command.add_argument(*flags, **settings)
    return top


def names(words: str) -> list[str]:
    """Names by commas; those inside braces belong to a name."""
    return [word.strip() for word in re.split(r",(?![^{}]*\})", words) if word.strip()]


def functions(arguments: Arguments) -> dict[str, str]:
    """--functions f=tanh,g=relu: what opaque functions are."""
    return pairs(arguments.functions, "Write --functions f=tanh,g=relu.")


def sizes(arguments: Arguments) -> dict[str, int]:
    """--sizes b=5,k=3: the size of the axes with this letter."""
    found = pairs(arguments.sizes, "Write --sizes b=5,k=3.")
    if wrong := [word for word in found.values() if not word.isdecimal() or len(word) > 18]:
        raise EinstanError(f"{wrong[0]!r} is no size.", "Write --sizes b=5,k=3.")
    return {letter: int(word) for letter, word in found.items()}


def whole(word: str) -> int:
    """A number from 0 on."""
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number")
    return int(word)


def pairs(words: str, form: str) -> dict[str, str]:
    """`a=b,c=d` as a table."""
    found = {}
    for pair in names(words):
        left, equals, right = pair.partition("=")
        if not equals or not left or not right:
            raise EinstanError(f"{pair!r} is no pair.", form)
        found[left.strip()] = right.strip()
    return found


def read_program(arguments: Arguments) -> Program:
    """The program of FILE, of standard input, or of -e."""
    return parse(arguments.text if arguments.file is None else read_text(arguments.file), arguments.labels)


# ---------------------------------------------------------------- what is written


def print_json(report: Report) -> None:
    """One object; letters as they are where stdout can take them."""
    plain = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8"
    print(json.dumps(report, ensure_ascii=plain, allow_nan=False))


def report_error(error: Exception, as_json: bool) -> None:
    if as_json:
        print_json(error_report(error))
        return
    if isinstance(error, OSError) and error.strerror and not isinstance(error, EinstanError):
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
    else:
        print(f"error: {str(error) or type(error).__name__}", file=sys.stderr)


def error_report(error: Exception) -> Report:
    """Lines and columns count from 1, offsets (`start`, `end`) from 0."""
    report: Report = {"error": type(error).__name__, "message": str(error), "repair": "", "line": None, "column": None}
    places = []
    if isinstance(error, EinstanError):
        report |= {"message": error.message, "repair": error.repair}
        places = [place(error.source, *span) for span in error.spans]
    if places:
        report |= {"line": places[0]["line"], "column": places[0]["column"]}
    return {**report, "spans": places}


def place(source: str, start: int, end: int) -> dict[str, int]:
    line_start = source.rfind("\n", 0, start) + 1
    return {"start": start, "end": end, "line": source.count("\n", 0, start) + 1, "column": start - line_start + 1}


def listed(title: str, things: Sequence[str]) -> str:
    """`inputs   X[b,k]  W[k,j]`, in lines as wide as the screen."""
    width = max(40, get_terminal_size().columns)
    head = f"{title:10}"
    return "\n".join(textwrap.wrap("  ".join(things), width, initial_indent=head, subsequent_indent=" " * 10))


# ---------------------------------------------------------------- commands


def show(arguments: Arguments) -> None:
    """Statements, inputs and sizes as they were understood; or the statements in another form."""
    program = read_program(arguments)
    if arguments.to != "text" and not arguments.json:
        print(spelled(program, arguments).rstrip("\n"))
        return
    report: Report = {
        "text": str(program),
        "inputs": {name: list(axes) for name, axes in program.inputs.items()},
        "names": {name: list(program[name].axes) for name in program.names},
        "functions": list(program.checked.functions),
        "equal_sizes": equal_sizes(program),
        "convexity": [convexity_report(c) for c in certificates(program)],
    }
    if arguments.lint:
        report["remarks"] = [remark_report(remark) for remark in lint(program)]
    if arguments.json:
        more = {} if arguments.to == "text" else {"to": arguments.to, "lines": spelled(program, arguments).splitlines()}
        print_json(report | more)
        return
    print(report["text"] + "\n")
    print(listed("inputs", [with_axes(name, axes) for name, axes in report["inputs"].items()] or ["none"]))
    print(listed("defined", [with_axes(name, axes) for name, axes in report["names"].items()] or ["none"]))
    if report["functions"]:
        print(listed("functions", report["functions"]))
    for sizes in report["equal_sizes"]:
        print(listed("sizes", [" = ".join(sizes)]))
    for certificate in report["convexity"]:
        print(listed("convexity", [certificate["text"]]))
    for remark in report.get("remarks", []):
        print(f"\nnote: {remark['text']}")
    if report.get("remarks") == []:
        print(listed("remarks", ["none"]))


def certificates(program: Program) -> list[Certificate]:
    """What is proved of the scalars that no other name uses, in each input, with bounded work."""
    if len(str(program)) > CERTIFIED_TEXT:
        return []
    read = {name for d in program.checked.definitions.values() for name in names_in(d.body)}
    scalars = [name for name in program.names if not program.letters[name] and name not in read]
    pairs = [(of, wrt) for of in scalars for wrt in program.below(of).inputs][:CERTIFICATES]
    found = [program.convexity(of, wrt, most=CERTIFIED) for of, wrt in pairs]
    return [certificate for certificate in found if certificate is not None]


def convexity_report(c: Certificate) -> Report:
    return {"of": c.of, "wrt": c.wrt, "convex": c.convex, "concave": c.concave, "text": str(c)}


def remark_report(r: Remark) -> Report:
    spans = [place(r.source, *span) for span in r.spans]
    return {"rule": r.rule, "message": r.message, "repair": r.repair, "spans": spans, "text": str(r)}


def equal_sizes(program: Program) -> list[list[str]]:
    """The axes of inputs that must have one size, as size(X,1) = size(W,2), counted from 1."""
    groups: dict[Dim, list[str]] = {}
    for name in program.inputs:
        for axis, d in enumerate(program.checked.shapes[name]):
            groups.setdefault(d, []).append(f"size({name},{axis + 1})")
    return [[*members, *known(d)] for d, members in groups.items() if len(members) + len(known(d)) > 1]


def known(d: Dim) -> list[str]:
    return [str(d.value)] if d.value is not None else []


def spelled(program: Program, arguments: Arguments) -> str:
    """The statements of a program as LaTeX or as numpy."""
    return program.latex() if arguments.to == "latex" else numpy_lines(program, program.names, ())


def numpy_lines(program: Program, of: Sequence[str], tree: Tree) -> str:
    """The names `of`, a tree of derivatives and those that the formulas hold, as numpy statements."""
    tried: set[tuple[str, ...]] = set()
    while True:
        derived = Derived(program, tree, {})
        found = lacking(derived.checked, of, derived.lines)
        new = [key for key in found if key not in tried and key[0] in program.names]
        if not new:
            return einsum_module(derived.checked, of, derived.lines)
        tried.update(new)
        tree = (tree, *(Term(top, tuple(below)) for top, *below in new))


def derivative(verb: Callable[[Program, str, list[str]], Derived]) -> Callable[[Arguments], None]:
    """The command of a verb: its derivative as lines of formulas, or as the source that computes it."""

    def command(arguments: Arguments) -> None:
        program = read_program(arguments)
        of, wrt = arguments.of.strip(), names(arguments.wrt)
        derived = verb(program, of, wrt)
        text = DERIVED_TO[arguments.to](derived, arguments)
        if arguments.json:
            print_json({"of": of, "wrt": wrt, "to": arguments.to, "lines": text.splitlines()})
        else:
            print(text.rstrip("\n"))

    return command


def explain(arguments: Arguments) -> None:
    """A derivation step by step: what `grad` prints, with the lines that lead there and their rules."""
    of, wrt = arguments.of.strip(), names(arguments.wrt)
    transcript = read_program(arguments).explain(of, wrt=wrt, depth=arguments.depth)
    text = EXPLAINED_TO[arguments.to](transcript)
    if arguments.json:
        more = {} if arguments.to == "text" else {"lines": text.splitlines()}
        print_json({"of": of, "wrt": wrt, "to": arguments.to} | transcript.json() | more)
    else:
        print(text)


EXPLAINED_TO: dict[str, Callable[[Transcript], str]] = {
    "text": str,
    "latex": Transcript.latex,
    "html": Transcript.html,
}


def source(derived: Derived, arguments: Arguments) -> str:
    """The program that a kernel runs, which is made for sizes."""
    given = sizes(arguments)
    kernel = derived.compile(functions=functions(arguments), sizes=given)
    if strange := given.keys() - {letter for axes in kernel.inputs.values() for letter in axes}:
        raise EinstanError(f"No axis has the letter {min(strange)}.", f"The inputs are {inputs(kernel)}.")
    told = ",".join(f"{letter}={n}" for letter, n in given.items()) + ", and for " if given else ""
    return f"# Made for {told}128 entries along {'any other' if given else 'every'} axis (--sizes).\n{kernel.source}"


def inputs(kernel: Kernel) -> str:
    return ", ".join(with_axes(name, axes) for name, axes in kernel.inputs.items())


DERIVED_TO: dict[str, Callable[[Derived, Arguments], str]] = {
    "text": lambda derived, arguments: str(derived),
    "latex": lambda derived, arguments: derived.latex(),
    "numpy": source,
    "einsum": lambda derived, arguments: numpy_lines(derived.base, [arguments.of.strip()], derived.tree),
}


def path(arguments: Arguments) -> None:
    """Contraction orders side by side: of a contraction, of names, of a scalar with its gradients."""
    table = compared(arguments)
    if arguments.plot:
        table.svg().save(arguments.plot)
    if arguments.json:
        print_json(table.json())
        return
    print(table)
    if arguments.steps and table.choice and len(table.rows) > 1 and table.best is not None:
        print("\n".join(steps_text(table.best)))


def compared(arguments: Arguments) -> OrderTable:
    """The comparison, with a bar on a terminal."""
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    try:
        return compare(
            arguments.file if is_contraction(arguments.file) else read_program(arguments),
            of=arguments.of and names(arguments.of),
            wrt=arguments.wrt and names(arguments.wrt),
            sizes=sizes(arguments),
            optimize=arguments.optimize,
            memory_limit=arguments.memory,
            measure=arguments.run_orders,
            dtype=arguments.dtype,
            progress=bar if on_terminal else None,
            functions=functions(arguments),
            seconds=arguments.seconds,
        )
    finally:
        if on_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def is_contraction(word: str | None) -> bool:
    """Whether it is einsum notation: it holds a comma or an arrow, and is no file."""
    return word is not None and ("," in word or "->" in word) and not os.path.exists(word)


def bar(done: int, total: int, doing: str) -> None:
    """How far it is, on one line of stderr."""
    full = BAR * done // max(1, total)
    line = f"{'█' * full}{'░' * (BAR - full)} {done}/{total} {doing}"
    print(f"\r\x1b[K{line[: get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)


def run(arguments: Arguments) -> None:
    """Values of one or several names on arrays."""
    program = read_program(arguments)
    kernel = program.compile(names(arguments.of), functions=functions(arguments))
    results = kernel(read_data(arguments.data))
    if arguments.output:
        write_arrays(arguments.output, results)
    if arguments.json:
        print_json({"values": {name: numbers(value) for name, value in results.items()}})
    elif not arguments.output:
        for name, value in results.items():
            text = np.array2string(np.asarray(value), max_line_width=get_terminal_size().columns)
            print(f"{name} =\n{text}" if np.ndim(value) else f"{name} = {value}")


def check(arguments: Arguments) -> int:
    """A verdict for each `=` of the claims, then what may be misread; 1 where a claim fails."""
    program = read_program(arguments)
    verdicts = checked(program, sizes(arguments), arguments.trials, arguments.seed)
    remarks = lint(program)
    counts = {word: sum(v.holds is holds for v in verdicts) for holds, word in WORDS.items()}
    if arguments.json:
        report = {"verdicts": list(map(verdict_report, verdicts)), "remarks": list(map(remark_report, remarks))}
        print_json({**report, **counts})
    else:
        for item in (*verdicts, *(f"\nnote: {remark}" for remark in remarks)):
            print(item)
        said = ", ".join(f"{word} {n}" for word, n in counts.items() if n)
        print(f"\n{said}" if verdicts else NO_CLAIMS)
    return int(counts["fails"] > 0)


def verdict_report(v: Verdict) -> Report:
    return {**v.json(), "spans": [place(v.source, *span) for span in v.spans], "text": str(v)}


NO_CLAIMS = "no claims: a claim is a line such as `∂L/∂W[k,j] = ...`, or begins with `claim`"


def demo(arguments: Arguments) -> None:
    """The main job on built-in data."""
    if arguments.json:
        print_json({"screens": list(screens())})
    else:
        for screen in screens():
            print(screen)


# ---------------------------------------------------------------- tables

EPILOG = """\
examples:
  einstan show -e "Z[b,j] = X[b,K] W[K,j] + c[j]"
  einstan grad layer.ein --of L --wrt W,c --to einsum
  einstan run layer.ein --of L X=x.npy W=w.npy c=0.5 -o out.npz
  einstan path "ij,jk,kl->il" --sizes i=10,j=200,k=300,l=40

exit status: 0 fine, 1 the formula, the data or a claim is wrong, 2 the command is
"""

Options = tuple[tuple[tuple[str, ...], dict[str, Any]], ...]

SOURCE: Options = (
    (("file",), {"nargs": "?", "metavar": "FILE", "help": "a file of statements, or - for standard input"}),
    (("-e",), {"dest": "text", "metavar": "TEXT", "help": "the statements themselves, instead of FILE"}),
    (("--labels",), {"default": "", "metavar": "'f g'", "help": "letters that are parts of names as subscripts: W_f"}),
)
SHOW: Options = (
    (("--to",), {"choices": ("text", "latex", "einsum"), "default": "text", "help": "the form of the statements"}),
    (("--latex",), {"dest": "to", "action": "store_const", "const": "latex", "help": "the same as --to latex"}),
    (("--lint",), {"action": "store_true", "help": "what is legal and may be misread, too"}),
)
BIND: Options = ((("--functions",), {"default": "", "metavar": "f=tanh", "help": "what unknown functions are"}),)
DERIVE: Options = (
    (("--of",), {"required": True, "metavar": "L", "help": "the name to differentiate"}),
    (("--wrt",), {"required": True, "metavar": "W,c", "help": "the names to differentiate by"}),
    (
        ("--to",),
        {"choices": tuple(DERIVED_TO), "default": "text", "help": "formulas, or source: einsum to read, numpy to run"},
    ),
    (("--sizes",), {"default": "", "metavar": "b=5,k=3", "help": "sizes that --to numpy is made for"}),
)
EXPLAIN: Options = (
    *DERIVE[:2],
    (("--to",), {"choices": tuple(EXPLAINED_TO), "default": "text", "help": "the form of the lines"}),
    (("--latex",), {"dest": "to", "action": "store_const", "const": "latex", "help": "the same as --to latex"}),
    (("--html",), {"dest": "to", "action": "store_const", "const": "html", "help": "the same as --to html"}),
    (
        ("--depth",),
        {"type": whole, "metavar": "1", "help": "fold what is more chains than this away from those of --wrt"},
    ),
)
ORDERED: Options = (
    (("file",), {"nargs": "?", "metavar": "FILE", "help": 'statements (- for standard input), or just "ij,jk->ik"'}),
    *SOURCE[1:],
)
PATH: Options = (
    (("--sizes",), {"default": "", "metavar": "b=5,k=3", "help": "sizes of the axes by letter; others are 128"}),
    (("--of",), {"metavar": "L", "help": "the name to compute, or several; the last one if none is said"}),
    (("--wrt",), {"metavar": "W,c", "help": "with all gradients of L by these names"}),
    (
        ("--optimize",),
        {
            "default": "all",
            "metavar": "NAME,..",
            "help": f"the methods to compare: all, or some of {', '.join(METHODS)} (auto is einstan's own, opt_einsum "
            "that library's auto, naive goes from left to right); of one alone the steps are shown",
        },
    ),
    (("--memory",), {"metavar": "1GB", "help": "look for orders within this, run none that needs more"}),
    (("--seconds",), {"type": float, "default": SECONDS, "metavar": "5", "help": "that a method has for its search"}),
    (("--dtype",), {"default": "float64", "metavar": "float32", "help": "of the arrays; else float64"}),
    (("--no-run",), {"dest": "run_orders", "action": "store_false", "help": "predict times only"}),
    (("--steps",), {"action": "store_true", "help": "the steps of the best order as formulas, too"}),
    (("--plot",), {"metavar": "out.svg", "help": "draw flops and times there"}),
)
CHECK: Options = (
    (("--sizes",), {"default": "", "metavar": "b=5,k=3", "help": "sizes to look at, by letter; else primes"}),
    (
        ("--trials",),
        {"type": int, "default": TRIALS, "metavar": "5", "help": "points at which both sides are compared"},
    ),
    (("--seed",), {"type": int, "default": 0, "metavar": "0", "help": "of the random points"}),
)
RUN: Options = (
    (("--of",), {"required": True, "metavar": "L,Z", "help": "the names to compute"}),
    (
        ("data",),
        {"nargs": "*", "metavar": "X=x.npy", "help": "an input: NAME=FILE.npy, NAME=0.5, NAME=[1,2], FILE.npz"},
    ),
    (("-o", "--output"), {"metavar": "out.npz", "help": "write the results there (.npz; one of them to .npy)"}),
)

COMMANDS: dict[str, tuple[Callable[[Arguments], int | None], str, Options]] = {
    "show": (show, "what was understood: statements, inputs, sizes", SOURCE + SHOW),
    "grad": (derivative(lambda p, of, wrt: p.grad(of, wrt=wrt)), "the gradient of a scalar", SOURCE + DERIVE + BIND),
    "jacobian": (
        derivative(lambda p, of, wrt: p.jacobian(of, wrt=wrt)),
        "the derivative of a tensor",
        SOURCE + DERIVE + BIND,
    ),
    "hessian": (derivative(lambda p, of, wrt: p.hessian(of, wrt=wrt)), "the second derivative", SOURCE + DERIVE + BIND),
    "explain": (explain, "the derivation, step by step", SOURCE + EXPLAIN),
    "run": (run, "values of names on arrays", SOURCE + RUN + BIND),
    "path": (path, 'contraction orders and their costs, of FILE or of "ij,jk->ik"', ORDERED + PATH + BIND),
    "check": (check, "every claim: holds, or where and why not", SOURCE + CHECK),
    "demo": (demo, "the main job on built-in data", ()),
}

if __name__ == "__main__":
    sys.exit(main())
