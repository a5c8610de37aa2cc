"""The README keeps its word: its Python runs, and what it names is there."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_python_runs_and_shows_what_it_says():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.search(r"\d of 6 facts right", done.stdout)


def test_every_file_that_it_names_is_there():
    both = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(([\w./-]+)\)", both))
    named |= set(re.findall(r"`((?:sdlearn|tests|book|notebooks|tools)/[\w./-]*\w/?)`", both))
    missing = [name for name in named if "NN-" not in name and not (ROOT / name).exists()]
    assert named and not missing


def test_every_target_of_make_that_it_names_is_there():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets
