"""The command line: `sdlearn lab | book | doctor`. It only reads arguments; the work is elsewhere.

Nothing heavy is imported here, so that every command answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sdlearn import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code."""
    ours, jupyters = _split(sys.argv[1:] if argv is None else list(argv))
    parser = _parser()
    arguments = parser.parse_args(ours)
    if jupyters and arguments.run is not _lab:
        parser.error("only `sdlearn lab` takes options after --")
    arguments.jupyters = jupyters
    if arguments.run is None:
        parser.print_help()
        return 0
    return arguments.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sdlearn",
        description="How Stable Diffusion works: lessons that run on a plain laptop.",
    )
    parser.add_argument("--version", action="version", version=f"sdlearn {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    lab = commands.add_parser(
        "lab",
        help="open the lessons in JupyterLab",
        description="Open the first lesson in JupyterLab. With a folder, copy the lessons there "
        "first; a lesson that you changed is never overwritten.",
        epilog="Options of JupyterLab itself come after --, as in: sdlearn lab -- --collaborative",
    )
    lab.add_argument("folder", nargs="?", metavar="DIR", help="your folder for the lessons")
    lab.add_argument("--no-browser", action="store_true", help="print the address only")
    lab.add_argument("--port", type=_port, help="where JupyterLab listens (default: 8888)")
    lab.add_argument("--ip", help="the address it listens on (default: this machine only)")
    lab.add_argument("--copy-only", action="store_true", help="copy the lessons, open nothing")
    lab.set_defaults(run=_lab)

    book = commands.add_parser("book", help="build the static book (in a checkout)")
    book.set_defaults(run=_book)

    doctor = commands.add_parser("doctor", help="say what is here, what is not, and what to do")
    doctor.set_defaults(run=_doctor)
    return parser


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Part our own arguments from those after `--`, which go to JupyterLab as they are."""
    at = argv.index("--") if "--" in argv else len(argv)
    return argv[:at], argv[at + 1 :]


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def _lab(arguments: argparse.Namespace) -> int:
    from sdlearn import _lab as lab

    try:
        if arguments.copy_only and arguments.folder is None:
            raise lab.LabError("--copy-only needs a folder: sdlearn lab my-lessons --copy-only")
        folder = lab.prepare(arguments.folder)
    except lab.LabError as error:
        return _fail(error)
    if arguments.copy_only:
        return 0
    options = ["--no-browser"] if arguments.no_browser else []
    options += [f"--port={arguments.port}"] if arguments.port is not None else []
    options += [f"--ip={arguments.ip}"] if arguments.ip else []
    return lab.run(folder, [*options, *arguments.jupyters])


def _book(arguments: argparse.Namespace) -> int:
    from sdlearn import _book as book

    try:
        return book.build()
    except book.BookError as error:
        return _fail(error)


def _doctor(arguments: argparse.Namespace) -> int:
    from sdlearn import _doctor as doctor

    findings = doctor.examine()
    print(doctor.report(findings))
    return doctor.exit_code(findings)


def _fail(error: Exception) -> int:
    print(f"sdlearn: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
