"""How long `import sdlearn` takes, against `import torch`; each in a Python of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from tests.bench.timing import Row

TITLE = "import, in a fresh Python (its own start taken off), against import torch"

# Our statement, and the largest share of `import torch` that it may take.
STATEMENTS = {"import sdlearn": 0.1, "import sdlearn.equations": 1.2}


def milliseconds(statement: str) -> float:
    """What the statement adds to a fresh Python, measured inside of it."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return float(done.stdout) * 1e3


def rows(pairs: int) -> Iterator[Row]:
    """A row for each statement."""
    milliseconds("import torch")  # from the disk into memory
    for statement, goal in STATEMENTS.items():
        ours, theirs = [], []
        for _ in range(max(5, pairs // 3)):
            ours.append(milliseconds(statement))
            theirs.append(milliseconds("import torch"))
        yield Row(statement, tuple(ours), tuple(theirs), goal)
