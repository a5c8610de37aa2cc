"""Print the table of ratios: `python -m tests.bench [names of benches] [--pairs N]`."""

from __future__ import annotations

import argparse
import platform
from importlib import import_module

import diffusers
import torch

import sdlearn
from tests.bench.timing import HEADER

# Modules of this folder: each has a TITLE, and rows(pairs) that yields `timing.Row`.
BENCHES = ("steps", "imports", "runs")


def main() -> int:
    """Run the benches, and say which goals were missed; 1 if one was."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--pairs", type=int, default=21, help="how often each pair is timed")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    arguments = parser.parse_args()
    for name in arguments.benches:
        if name not in BENCHES:
            parser.error(f"no bench {name!r}; there are {', '.join(BENCHES)}")
    torch.set_num_threads(arguments.threads)
    print(
        f"sdlearn {sdlearn.__version__}, torch {torch.__version__}, "
        f"diffusers {diffusers.__version__}, Python {platform.python_version()}\n"
        f"{platform.machine()}, {torch.get_num_threads()} thread(s), medians of "
        f"{arguments.pairs} interleaved pairs; a ratio below 1 is in our favour"
    )
    missed = []
    for name in arguments.benches or BENCHES:
        bench = import_module(f"tests.bench.{name}")
        print(f"\n{bench.TITLE}\n{HEADER}")
        for row in bench.rows(arguments.pairs):
            print(row, flush=True)
            missed += [row.title] if row.misses else []
    print(f"\nmissed goals: {', '.join(missed)}" if missed else "\nall goals met")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
