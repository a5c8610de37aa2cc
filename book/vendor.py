"""Fetch the scripts that the book's pages need, once, so that the book itself never fetches any.

    python book/vendor.py

Each package has a locked version and the hash that npm published for it. It comes through the
ordinary npm client into a temporary folder, is checked, and only then moves into book/vendor.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).resolve().parent / "vendor"


@dataclass(frozen=True)
class Package:
    """An npm package, and which of its files become which files of ours."""

    name: str
    version: str
    integrity: str
    files: dict[str, str]


PACKAGES = (
    Package(
        # Version 3, whose tex-svg.js is complete in one file; 4 fetches its fonts from a CDN.
        name="mathjax",
        version="3.2.2",
        integrity="sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO"
        "+geW0OhGw==",
        files={"es5/tex-svg.js": "mathjax-tex-svg.js", "LICENSE": "mathjax-LICENSE.txt"},
    ),
)


class VendorError(Exception):
    """Something that a person can put right, said in a way that tells how."""


def vendor(package: Package, folder: Path = VENDOR) -> bool:
    """Bring one package into `folder`; return False when it was there already."""
    seal = folder / f"{package.name}.integrity"  # written last: without it, the files do not count
    there = all((folder / name).is_file() for name in package.files.values())
    if there and seal.is_file() and seal.read_text(encoding="ascii") == package.integrity:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch_name:
        scratch = Path(scratch_name)
        unpack(download(package, scratch), package, scratch)
        for name in package.files.values():
            os.replace(scratch / name, folder / name)
        (scratch / "seal").write_text(package.integrity, encoding="ascii")
        os.replace(scratch / "seal", seal)
    return True


def download(package: Package, scratch: Path) -> Path:
    """Let npm fetch the package's archive into `scratch`, and return where it is."""
    npm = shutil.which("npm")
    if npm is None:
        raise VendorError(
            "The book needs npm, once, to fetch its scripts, and npm is not installed. "
            "On Debian and Ubuntu: sudo apt-get install npm"
        )
    what = f"{package.name}@{package.version}"
    line = [npm, "pack", what, "--loglevel=error", "--pack-destination", str(scratch)]
    done = subprocess.run(line, cwd=scratch, capture_output=True, text=True, check=False)
    archives = list(scratch.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        raise VendorError(
            f"npm could not fetch {what}. This needs the network, once. npm said:\n{done.stderr}"
        )
    return archives[0]


def unpack(archive: Path, package: Package, folder: Path) -> None:
    """Check the archive against the locked hash, and take our files out of it."""
    digest = hashlib.sha512(archive.read_bytes()).digest()
    found = f"sha512-{base64.b64encode(digest).decode()}"
    if found != package.integrity:
        raise VendorError(
            f"{package.name}@{package.version} is not the file that was locked, and is not used: "
            f"its hash is {found}, expected was {package.integrity}"
        )
    with tarfile.open(archive) as tar:
        for theirs, ours in package.files.items():
            content = tar.extractfile(f"package/{theirs}")
            (folder / ours).write_bytes(content.read())


def main() -> int:
    """Fetch what is missing, and say what was fetched."""
    try:
        for package in PACKAGES:
            if vendor(package):
                print(f"fetched {package.name}@{package.version}", flush=True)
    except VendorError as error:
        print(f"book: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
