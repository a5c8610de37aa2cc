"""What `sdlearn train` and `sdlearn eval` do: training, export, curves, PocketEval."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path


class TrainError(Exception):
    """Something that the person at the keyboard can put right; the message says how."""


class Interrupted(Exception):
    """Ctrl-C was pressed, and all is saved; the message says how to go on."""


def train(
    name: str,
    stages: Sequence[str] | None,
    folder: str | None,
    stop_at: int | None,
    go_on: bool = False,
) -> None:
    """Train a model's stages, and draw their curves, however it ends."""
    _offline()
    from sdlearn.training import run, stopping

    try:
        try:
            run.run(name, stages or run.STAGES, _path(folder), stop_at=stop_at, go_on=go_on)
        finally:
            if _first_process() and name in run.RECIPES:
                curves(_path(folder) or run.default_folder(name), name)
    except (ValueError, OSError, FloatingPointError) as error:
        raise TrainError(str(error)) from error
    except stopping.Stopped as error:
        raise Interrupted(str(error)) from error
    if _first_process():
        print(f"Checkpoints, logs, samples, curves: {_path(folder) or run.default_folder(name)}")


def export(
    name: str,
    stages: Sequence[str] | None,
    folder: str | None,
    target: str | None,
    unfinished: bool,
) -> None:
    """Put what was trained together as a folder that diffusers loads."""
    _offline()
    from sdlearn.training import run

    try:
        written = run.export(name, stages, _path(folder), _path(target), unfinished=unfinished)
    except (ValueError, OSError) as error:
        raise TrainError(str(error)) from error
    for path in written:
        print(path)


def curves(folder: Path, name: str) -> list[Path]:
    """Draw ``curves.png`` of every stage in a training's folder that has a log."""
    from sdlearn import views
    from sdlearn.training import log

    written = []
    for path in sorted(folder.glob("*/log.csv")):
        columns = log.read(path)
        steps = columns.pop("step")
        if len(steps) > 1:
            figure = views.learning(steps, columns, title=f"{name}: {path.parent.name}")
            figure.save(path.with_name("curves.png"))
            written.append(path.with_name("curves.png"))
    return written


def evaluate(
    model: str,
    count: int,
    steps: int,
    guidance_scale: float,
    sweep: int | None,
    target: str | None,
) -> None:
    """Print PocketEval's table of a model; with a target, keep it and the curves there."""
    _offline()
    from tqdm import tqdm

    from sdlearn.training import card, conditioning, pocketeval, run, sweeps

    folder = Path(model) if Path(model).is_dir() else run.exported_folder(model)
    try:
        draws = sweeps.model_draws(folder, steps=steps, guidance_scale=guidance_scale)
        categories = len(pocketeval.CATEGORIES)
        with tqdm(total=categories * count, unit="pictures", mininterval=2) as bar:
            result = pocketeval.evaluate(draws(), count, progress=bar.update)
        print(f"{folder.name}, {steps} DDIM steps, guidance {guidance_scale:g}\n\n{result}")
        kept: dict[str, object] = {
            "steps": steps,
            "guidance_scale": guidance_scale,
            "rows": [asdict(row) for row in result.rows],
        }
        figures = {}
        told = conditioning.measured(
            *sweeps.loaded(folder), steps=steps, guidance_scale=guidance_scale
        )
        if told:
            kept["conditioning"] = told
            print("\n" + conditioning.markdown(told))
        if sweep:
            for what, values in (("steps", sweeps.STEPS), ("guidance_scale", sweeps.GUIDANCE)):
                each = {value: draws(**{what: value}) for value in values}
                with tqdm(total=len(each) * categories * sweep, desc=what, mininterval=2) as bar:
                    rows = sweeps.sweep(each, sweep, progress=bar.update)
                kept[what.split("_")[0] + "_sweep"] = [asdict(row) for row in rows]
                figures[what] = _figure(rows, what)
                print(f"\n{what:>14} score  held out  variety  burnt")
                for row in rows:
                    print(
                        f"{row.value:>14g} {row.score:.3f} {row.heldout:>9.3f} "
                        f"{row.variety:>8.3f} {row.clipped:>6.3f}"
                    )
    except (ValueError, OSError) as error:
        raise TrainError(str(error)) from error
    if target is not None:
        place = Path(target)
        place.mkdir(parents=True, exist_ok=True)
        (place / "pocketeval.json").write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
        (place / "pocketeval.md").write_text(result.markdown() + "\n", "utf-8")
        for what, figure in figures.items():
            figure.save(place / f"{what}.png")
        if place.resolve() == (folder / card.EVALUATION).parent.resolve():
            print(card.write(folder))


def _figure(rows: Sequence, what: str):
    from sdlearn import views

    lines = {
        "right (PocketEval)": [row.score for row in rows],
        "right, held out": [row.heldout for row in rows],
        "variety (1: as much as fresh drawings)": [row.variety for row in rows],
        "burnt (share of numbers at the ends)": [row.clipped for row in rows],
    }
    words = what.replace("_", " ")
    told = [f"{name} goes from {line[0]:.2f} to {line[-1]:.2f}" for name, line in lines.items()]
    return views.curves(
        [row.value for row in rows],
        lines,
        xlabel=words,
        ylabel="share",
        alt=f"From {words} {rows[0].value:g} to {rows[-1].value:g}: {'; '.join(told)}.",
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _first_process() -> bool:
    """Whether this is the only process, or the first of several that accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def _offline() -> None:
    """Nothing here needs the network: keep the Hugging Face libraries from asking."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
