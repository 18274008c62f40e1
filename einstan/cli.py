"""cli: the command line. Results on stdout; errors, with carets, on stderr.

Exit status: 0 fine, 1 the formula or the data is wrong, 2 the command is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .errors import EinstanError

Report = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is returned."""
    arguments = read_arguments(argv)
    try:
        arguments.run(arguments)
    except BrokenPipeError:  # the reader of a pipe (`| head`) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (EinstanError, OSError) as error:
        report_error(error, arguments.json)
        return 1
    return 0


def read_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command's arguments; words of data may stand on both sides of options."""
    top = parser()
    arguments, rest = top.parse_known_args(argv)
    if rest and (not hasattr(arguments, "data") or any(word.startswith("-") for word in rest)):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.data = [*arguments.data, *rest]
    return arguments


def report_error(error: Exception, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}, ensure_ascii=False))
    else:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="einstan", description="Tensor calculus in index notation.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, summary, options) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        for flags, settings in options:
            command.add_argument(*flags, **settings)
    return top


def read_program(arguments: argparse.Namespace) -> Any:
    """The program of FILE, of standard input, or of -e."""
    from .program import parse

    if arguments.text is not None:
        arguments.data = [word for word in (arguments.file, *getattr(arguments, "data", ())) if word is not None]
        return parse(arguments.text)
    if arguments.file is None:
        raise EinstanError("There is no formula.", "Give a FILE, - for standard input, or -e TEXT.")
    text = sys.stdin.read() if arguments.file == "-" else Path(arguments.file).read_text(encoding="utf-8")
    return parse(text)


def show(arguments: argparse.Namespace) -> None:
    """Statements, inputs and sizes as they were understood."""
    program = read_program(arguments)
    report: Report = {
        "text": str(program),
        "inputs": {name: list(axes) for name, axes in program.inputs.items()},
        "names": {name: list(program[name].axes) for name in program.names},
        "equal_sizes": equal_sizes(program),
    }
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False))
        return
    print(report["text"])
    print("\ninputs   " + "  ".join(shown(name, axes) for name, axes in report["inputs"].items()))
    print("defined  " + "  ".join(shown(name, axes) for name, axes in report["names"].items()))
    for sizes in report["equal_sizes"]:
        print("sizes    " + " = ".join(sizes))


def shown(name: str, axes: Sequence[str]) -> str:
    return f"{name}[{','.join(axes)}]" if axes else name


def equal_sizes(program: Any) -> list[list[str]]:
    """The axes of inputs that must have one size, as size(X,1) = size(W,0) counted from 1."""
    groups: dict[Any, list[str]] = {}
    for name in program.inputs:
        for axis, d in enumerate(program.checked.shapes[name]):
            groups.setdefault(d, []).append(f"size({name},{axis + 1})")
    return [[*members, *known(d)] for d, members in groups.items() if len(members) + len(known(d)) > 1]


def known(d: Any) -> list[str]:
    return [str(d.value)] if d.value is not None else []


def grad(arguments: argparse.Namespace) -> None:
    """The gradient as lines of formulas, or as the source that computes it."""
    program = read_program(arguments)
    derived = program.grad(arguments.of, wrt=arguments.wrt.split(","))
    lines = (derived.compile().source if arguments.to == "numpy" else str(derived)).splitlines()
    print(json.dumps({"of": arguments.of, "lines": lines}, ensure_ascii=False) if arguments.json else "\n".join(lines))


def run(arguments: argparse.Namespace) -> None:
    """Values of one or several names on arrays from files."""
    import numpy as np

    program = read_program(arguments)
    names = arguments.of.split(",")
    arrays = dict(load(word) for word in arguments.data)
    results = program.compile(names)(arrays)
    if arguments.output:
        np.savez(arguments.output, **results)
    if arguments.json:
        print(json.dumps({name: np.asarray(value).tolist() for name, value in results.items()}, ensure_ascii=False))
    elif not arguments.output:
        for name, value in results.items():
            print(f"{name} =\n{value}" if np.ndim(value) else f"{name} = {value}")


def load(word: str) -> tuple[str, Any]:
    """NAME=FILE.npy or NAME=NUMBER."""
    import numpy as np

    name, equals, source = word.partition("=")
    if not equals:
        raise EinstanError(f"{word!r} is no array.", "Write NAME=FILE.npy or NAME=NUMBER.")
    try:
        return name, np.asarray(float(source))
    except ValueError:
        pass
    try:
        return name, np.load(source, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise EinstanError(f"{source} holds no numpy array: {error}", "Save it with numpy.save.") from error


def demo(arguments: argparse.Namespace) -> None:
    """The main job on built-in data."""
    from .demo import screens

    if arguments.json:
        print(json.dumps({"screens": list(screens())}, ensure_ascii=False))
    else:
        for screen in screens():
            print(screen)


Options = tuple[tuple[tuple[str, ...], dict[str, Any]], ...]

SOURCE: Options = (
    (("file",), {"nargs": "?", "metavar": "FILE", "help": "a file of statements, or - for standard input"}),
    (("-e",), {"dest": "text", "metavar": "TEXT", "help": "the statements themselves, instead of FILE"}),
)
OF: Options = ((("--of",), {"required": True, "metavar": "L", "help": "the name (run: names, by commas) to compute"}),)
WRT: Options = ((("--wrt",), {"required": True, "metavar": "W,c", "help": "the names to differentiate by"}),)
TO: Options = ((("--to",), {"choices": ("text", "numpy"), "default": "text", "help": "formulas, or numpy source"}),)
DATA: Options = (
    (("data",), {"nargs": "*", "metavar": "X=x.npy", "help": "an input and its array, or its number"}),
    (("-o", "--output"), {"metavar": "out.npz", "help": "write the results there"}),
)

COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], None], str, Options]] = {
    "show": (show, "what was understood: statements, inputs, sizes", SOURCE),
    "grad": (grad, "the gradient as formulas", SOURCE + OF + WRT + TO),
    "run": (run, "values of names on arrays", SOURCE + OF + DATA),
    "demo": (demo, "the main job on built-in data", ()),
}

if __name__ == "__main__":
    sys.exit(main())
