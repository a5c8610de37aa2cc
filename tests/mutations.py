"""Break the library on purpose, and see that a lesson or a test turns red.

    python -m tests.mutations            all of them; some minutes
    python -m tests.mutations guidance   those with this in their name

Each mutation is one small slip of the kind that people make. It is made in a copy of the sources;
the working tree is never touched. First the same tests run on an unchanged copy: they must be
green there, or a red one would prove nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("sdlearn", "tests", "notebooks", "pyproject.toml")


@dataclass(frozen=True)
class Mutation:
    """One slip.

    Attributes:
        name: What was slipped.
        file: Where, below `sdlearn`.
        old: What stands there; exactly once.
        new: What is written instead.
        lesson: The number of a lesson whose claim depends on it, "08".
    """

    name: str
    file: str
    old: str
    new: str
    lesson: str

    def notebook(self, root: Path = ROOT) -> Path:
        """The lesson's file."""
        (found,) = (root / "notebooks").glob(f"{self.lesson}-*.ipynb")
        return found

    def changed(self, root: Path = ROOT) -> str:
        """The file's text with the slip in it."""
        text = (root / "sdlearn" / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.name}: {self.old!r} stands {text.count(self.old)} times in {self.file}; "
                "it must stand there once. Has the code changed? Then change tests/mutations.py."
            )
        return text.replace(self.old, self.new)


MUTATIONS = (
    Mutation(
        "the forward process forgets a root",
        "equations/noising.py",
        "return sqrt(alpha_bar) * x0 + sqrt(1 - alpha_bar) * eps",
        "return sqrt(alpha_bar) * x0 + (1 - alpha_bar) * eps",
        "02",
    ),
    Mutation(
        "alpha_bar is off by one timestep",
        "equations/schedules/betas.py",
        "return torch.cumprod(1 - check_betas(betas), dim=0)",
        "return torch.cumprod(1 - check_betas(betas).roll(1, 0), dim=0)",
        "02",
    ),
    Mutation(
        "the picture's estimate adds the noise once more",
        "equations/predictions.py",
        "return (xt - sqrt(1 - alpha_bar) * eps) / sqrt(alpha_bar)",
        "return (xt + sqrt(1 - alpha_bar) * eps) / sqrt(alpha_bar)",
        "03",
    ),
    Mutation(
        "DDIM puts too much noise back",
        "equations/samplers/ancestral.py",
        "x_next = sqrt(alpha_bar_next) * x0_hat + sqrt(rest) * eps",
        "x_next = sqrt(alpha_bar_next) * x0_hat + sqrt(1 - alpha_bar) * eps",
        "04",
    ),
    Mutation(
        "the VAE's scaling is forgotten on the way back",
        "stages/latents.py",
        "latents = latents / factor if middle is None",
        "latents = latents if middle is None",
        "05",
    ),
    Mutation(
        "words are one token to the right",
        "trace/tokens.py",
        "tuple(i for i in typed if n in owners[i])",
        "tuple(i + 1 for i in typed if n in owners[i])",
        "06",
    ),
    Mutation(
        "attention is not scaled before the softmax",
        "stages/attention.py",
        "return (q.float() @ k.float().transpose(-1, -2) * module.scale).softmax(dim=-1)",
        "return (q.float() @ k.float().transpose(-1, -2)).softmax(dim=-1)",
        "07",
    ),
    Mutation(
        "guidance has the wrong sign",
        "equations/guidance.py",
        "return eps_uncond + guidance_scale * (eps_cond - eps_uncond)",
        "return eps_uncond - guidance_scale * (eps_cond - eps_uncond)",
        "08",
    ),
    Mutation(
        "guidance counts as the paper does",
        "equations/guidance.py",
        "return eps_uncond + guidance_scale * (eps_cond - eps_uncond)",
        "return eps_cond + guidance_scale * (eps_cond - eps_uncond)",
        "08",
    ),
    Mutation(
        "a seed is another seed",
        "stages/latents.py",
        'return torch.Generator("cpu").manual_seed(seed)',
        'return torch.Generator("cpu").manual_seed(seed + 1)',
        "09",
    ),
    Mutation(
        "strength is what is skipped, not what is walked",
        "stages/schedule.py",
        "kept = min(int(self.steps * strength), self.steps)",
        "kept = self.steps - min(int(self.steps * strength), self.steps - 1)",
        "10",
    ),
    Mutation(
        "inpainting keeps a clean picture beside a noisy one",
        "stages/masking.py",
        "known = scheduler.add_noise(known, self.eps, timesteps[place + 1][None])",
        "known = known",
        "10",
    ),
    Mutation(
        "the velocity has the wrong sign on its way to the picture",
        "equations/predictions.py",
        "return sqrt(alpha_bar) * xt - sqrt(1 - alpha_bar) * v",
        "return sqrt(alpha_bar) * xt + sqrt(1 - alpha_bar) * v",
        "11",
    ),
    Mutation(
        "the crop is told before the original size",
        "stages/conditioning.py",
        "[[*self.original, *self.crop, *last]]",
        "[[*self.crop, *self.original, *last]]",
        "12",
    ),
)


def copy(target: Path, mutation: Mutation | None = None) -> None:
    """A copy of the sources, with one slip in it or none; large data is only linked."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            skipped = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(source, target / name, ignore=skipped)
        else:
            shutil.copy2(source, target / name)
    (target / "data").symlink_to(ROOT / "data", target_is_directory=True)
    if mutation is not None:
        text = mutation.changed(target)
        (target / "sdlearn" / mutation.file).write_text(text, encoding="utf-8")


def red(root: Path, lesson: str) -> str | None:
    """Run a lesson of this copy as the tests do; return its first complaint, None if green."""
    (notebook,) = (root / "notebooks").glob(f"{lesson}-*.ipynb")
    line = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--nbval"]
    line += ["--nbval-current-env", "--nbval-sanitize-with", "tests/nbval_sanitize.cfg"]
    ended = subprocess.run(
        [*line, str(notebook.relative_to(root))],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if ended.returncode == 0:
        return None
    if ended.returncode != 1:
        raise RuntimeError(f"The tests did not run:\n{ended.stdout}{ended.stderr}")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", ended.stdout)  # nbval colours what it says
    told = [row.strip() for row in plain.splitlines() if row.startswith("FAILED")]
    return told[0] if told else ended.stdout.splitlines()[-1]


def main() -> int:
    """Make each slip in turn; return 1 if one of them went unseen."""
    parser = argparse.ArgumentParser(description="Break the library, and see the lessons turn red.")
    parser.add_argument(
        "name", nargs="?", default="", help="only mutations with this in their name"
    )
    wish = parser.parse_args()
    chosen = [m for m in MUTATIONS if wish.name in f"{m.lesson} {m.name}"]
    unseen = []
    with tempfile.TemporaryDirectory() as folder:
        untouched = Path(folder) / "untouched"
        untouched.mkdir()
        copy(untouched)
        for lesson in sorted({m.lesson for m in chosen}):
            complaint = red(untouched, lesson)
            if complaint is not None:
                raise SystemExit(f"Lesson {lesson} is red without any mutation: {complaint}")
            print(f"lesson {lesson}: green as it is", flush=True)
        for number, mutation in enumerate(chosen):
            broken = Path(folder) / str(number)
            broken.mkdir()
            copy(broken, mutation)
            complaint = red(broken, mutation.lesson)
            said = f"red: {complaint}" if complaint else "NOT SEEN"
            print(f"lesson {mutation.lesson}, {mutation.name}: {said}", flush=True)
            unseen += [mutation.name] if complaint is None else []
            shutil.rmtree(broken)
    print(f"{len(chosen) - len(unseen)} of {len(chosen)} mutations were seen.")
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main())
