"""What argparse doesn't do by itself: kinds of numbers, and options that take what isn't theirs."""

from __future__ import annotations

import argparse


def split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Part our own arguments from those after `lab ... --`, which go to JupyterLab as they are.

    Elsewhere `--` means what it means everywhere: what follows is no option.
    """
    at = argv.index("--") if argv[:1] == ["lab"] and "--" in argv else len(argv)
    return argv[:at], argv[at + 1 :]


def take_back(arguments: argparse.Namespace) -> None:
    """Give a command the argument that an option of several values took along: --seed 3 PROMPT.

    Such an option takes all that follows it, up to the next option. Where the argument was not
    found elsewhere, the last of those values is it.
    """
    wanted, options = arguments.last
    for option in options:
        values = getattr(arguments, option) or []
        its_own = option == "seed" and _is_number(values[-1])
        if getattr(arguments, wanted.dest) is None and len(values) > 1 and not its_own:
            setattr(arguments, wanted.dest, values.pop())
    if getattr(arguments, wanted.dest) is None:
        arguments.parser.error(f"the following arguments are required: {wanted.metavar}")
    if "seed" in arguments:
        if wrong := [text for text in arguments.seed if not _is_number(text)]:
            arguments.parser.error(f"argument --seed: a whole number, not {wrong[0]!r}")
        arguments.seed = [int(text) for text in arguments.seed]


def _is_number(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 up, not {text!r}")
    return int(text)


def several(text: str) -> int:
    if not text.isdigit() or int(text) < 2:  # half of them are held out
        raise argparse.ArgumentTypeError(f"a whole number from 2 up, not {text!r}")
    return int(text)
