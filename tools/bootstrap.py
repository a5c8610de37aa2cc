"""Make .venv once, and again only when it has to be: `make lab` and `make test` call this first.

Standard library only, and readable by old Pythons too, so that one of those is told what is wrong
instead of failing on syntax. The ready stamp is written last: a set-up that was interrupted has a
"begun" mark and no stamp, and the next call starts it afresh.
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 10)


def main(root=ROOT):
    """Bring `root`/.venv up to date; return 0 when it is ready to use."""
    lock = _hold(root)  # two terminals at once: the second one waits, then finds everything done
    try:
        env = os.path.join(root, ".venv")
        stamp, begun = os.path.join(env, "sdlearn-ready"), os.path.join(env, "sdlearn-begun")
        wanted = fingerprint(root)
        if _read(stamp) == wanted and os.path.exists(env_python(env)):
            return 0
        complain_about(sys.version_info)
        # Begun but never ready, moved here from elsewhere, or the Python below it gone: nothing in
        # there can be trusted. An environment that someone made by hand is filled, not replaced.
        moved = _read(stamp).split(" ")[1:] not in ([], wanted.split(" ")[1:])
        broken = os.path.exists(begun) or not os.path.exists(env_python(env))
        if os.path.isdir(env) and (moved or broken):
            print("The environment .venv is incomplete or was moved: making it again.")
            shutil.rmtree(env)
        install(root, env, begun)
        _write(stamp, wanted)
        os.remove(begun)
        print("Ready.")
        return 0
    finally:
        lock.close()


def install(root, env, begun):
    """Fill `env` with what the lock names, then with this package in editable form."""
    fresh = not os.path.exists(env_python(env))
    os.makedirs(env, exist_ok=True)
    _write(begun, "")
    if fresh:
        print("Making the environment .venv ...", flush=True)
        if subprocess.call([sys.executable, "-m", "venv", env]) != 0:
            raise SystemExit("The environment could not be made; what Python said is above.")
    print("Installing the locked packages (once; minutes on a slow line) ...", flush=True)
    pip = [env_python(env), "-m", "pip", "install", "--disable-pip-version-check"]
    pip += [] if sys.stdout.isatty() else ["--quiet"]  # a person may watch the progress
    # hatchling is in the lock, so the second step needs no network and no second environment
    for what in (["-r", "requirements.lock"], ["--no-deps", "--no-build-isolation", "-e", "."]):
        code = subprocess.call([*pip, *what], cwd=root)
        if code > 0:
            os.remove(begun)  # pip gave up in good order: what it installed can stay
        if code != 0:
            raise SystemExit(
                f"\nThe set-up stopped at: pip install {' '.join(what)}\n"
                "What it said is above. (The packages come from the network, this once.) "
                "The same command tries again."
            )


def fingerprint(root):
    """Say in one line what an environment depends on: the lock, the project file and the place."""
    digest = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        with open(os.path.join(root, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest() + " " + root


def env_python(env):
    """Return the path of an environment's own Python."""
    windows = os.name == "nt"
    return os.path.join(env, "Scripts" if windows else "bin", "python" + ".exe" * windows)


def complain_about(version):
    """Stop with advice when this Python is too old, or was packaged without `venv`."""
    if tuple(version[:2]) < OLDEST:
        newer = [name for name in ("python3.13", "python3.12", "python3.11") if _works(name)]
        raise SystemExit(
            f"sdlearn needs Python {OLDEST[0]}.{OLDEST[1]} or newer; "
            f"this is {version[0]}.{version[1]} ({sys.executable}).\n"
            + (
                f"There is a newer one here; name it to make: make lab PYTHON={newer[0]}"
                if newer
                else "Install a newer one, and name it to make: make lab PYTHON=/path/to/python3"
            )
        )
    try:
        import ensurepip  # noqa: F401  (Debian packages it apart, and venv cannot do without)
        import venv  # noqa: F401
    except ImportError:
        raise SystemExit(
            "This Python cannot make virtual environments: its module `venv` is not installed.\n"
            "On Debian and Ubuntu: sudo apt-get install python3-venv"
        ) from None


def _works(name):
    try:
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.call([name, "-c", "import ensurepip, venv"], **silent) == 0
    except OSError:
        return False


def _hold(root):
    """Hold the project file until closed, where the system knows how (not on Windows)."""
    file = open(os.path.join(root, "pyproject.toml"), "rb")  # noqa: SIM115 (main closes it)
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
    except (ImportError, OSError):  # some network file systems refuse; then we go without
        pass
    return file


def _read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def _write(path, text):
    fresh = path + ".new"
    with open(fresh, "w") as file:
        file.write(text + "\n")
    os.replace(fresh, path)


if __name__ == "__main__":
    sys.exit(main())
