"""Write requirements.lock: one exact version of everything, for Python 3.10 and newer.

    make lock                     # keep what is locked, add what pyproject.toml newly asks for
    make lock ARGS="--upgrade"    # take the newest versions instead (but for torch's: see TORCH)

`uv` resolves for all Python versions and platforms at once; it is installed into a temporary
environment, because nothing else here needs it. The lock has no index address and no hashes: the
CPU build and the default build of torch have the same version and different files, and which of
the two a machine takes is its owner's choice. For the same reason the CUDA packages are left out:
a torch that needs them asks for them itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
TORCH = "torch==2.13.0"
CUDA_ONLY = re.compile(r"^(nvidia|cuda)-|^triton\b")

HEADER = """\
# Exact versions for Python 3.10 and newer, made by `make lock` (tools/lock.py). Not edited by hand.
# No CUDA packages: where torch's own build wants them, it brings them.
"""


def main() -> int:
    """Resolve pyproject.toml with every extra, and replace the lock in one step."""
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        venv.create(scratch / "venv", with_pip=True)
        scripts = scratch / "venv" / ("Scripts" if os.name == "nt" else "bin")
        subprocess.run([scripts / "python", "-m", "pip", "install", "-q", "uv"], check=True)

        draft = scratch / "lock.txt"  # uv keeps the versions that it finds in its output file
        if LOCK.exists():
            draft.write_text(LOCK.read_text(encoding="utf-8"), encoding="utf-8")
        constraints = scratch / "constraints.txt"
        constraints.write_text(TORCH + "\n", encoding="utf-8")
        command = [scripts / "uv", "pip", "compile", "pyproject.toml", "--all-extras"]
        command += ["--universal", "--python-version", "3.10", "--no-header", "--no-annotate"]
        command += ["--quiet", "--constraints", constraints, "--output-file", draft]
        subprocess.run([*command, *sys.argv[1:]], cwd=ROOT, check=True)
        lines = draft.read_text(encoding="utf-8").splitlines()

    kept = [line for line in lines if not CUDA_ONLY.match(line)]
    fresh = LOCK.with_suffix(".lock.new")
    fresh.write_text(HEADER + "\n".join(kept) + "\n", encoding="utf-8")
    os.replace(fresh, LOCK)
    print(f"{LOCK.name}: {len(kept)} lines, {len(lines) - len(kept)} CUDA packages left to torch")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
