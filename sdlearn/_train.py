"""What `sdlearn train` and `sdlearn eval` do: training, export, curves, PocketEval."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any


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
    compiled: bool = False,
) -> None:
    """Train a model's stages, and draw their curves, however it ends."""
    _offline()
    from sdlearn.training import run, stopping

    try:
        try:
            where = stages or run.STAGES, _path(folder)
            run.run(name, *where, stop_at=stop_at, go_on=go_on, compiled=compiled)
        finally:
            if _first_process() and name in run.RECIPES:
                try:
                    curves(_path(folder) or run.default_folder(name), name)
                except (ValueError, OSError) as error:  # what is to be said is more than that
                    print(f"The curves could not be drawn: {error}", flush=True)
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

    place = _path(target) or run.exported_folder(name)
    try:
        written = run.export(name, stages, _path(folder), place, unfinished=unfinished)
        written = [*written, *_exported_curves(name, stages, _path(folder), place)]
    except (ValueError, OSError) as error:
        raise TrainError(str(error)) from error
    for path in written:
        print(path)


def _exported_curves(
    name: str, stages: Sequence[str] | None, folder: Path | None, target: Path
) -> list[Path]:
    """Put the curves of exported stages beside the weights, and show them on the card."""
    from sdlearn.training import card, run, sheets

    drawn = curves(folder or run.default_folder(name), name)
    kept = target / card.CURVES
    kept.mkdir(exist_ok=True)
    for path in drawn:
        if stages is None or path.parent.name in stages:
            sheets.copy_small(path, kept / f"{path.parent.name}.png")
    exported = json.loads((target / "recipe.json").read_text("utf-8"))["stages"]
    for path in kept.glob("*.png"):
        if path.stem not in exported:  # a stage whose weights another one has replaced
            path.unlink()
    card.write(target)
    return sorted(kept.glob("*.png"))


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
            target, draft = path.with_name("curves.png"), path.with_name(".curves.png")
            figure.save(draft)
            written.append(draft.replace(target))
    return written


def evaluate(
    model: str,
    count: int,
    steps: int,
    guidance_scale: float,
    sweep: int | None,
    target: str | None = None,
    rehearse: bool = False,
) -> None:
    """Print PocketEval's table of a model; with a target, keep it and the curves there.

    A rehearsal asks other prompts than the card's. Of several processes that a launcher started
    each draws its part; the first prints and writes.
    """
    _offline()
    from sdlearn.training import run, sharing

    settings = model, count, steps, guidance_scale, sweep
    try:
        sharing.join(cpu=run.device().type == "cpu")
        if _first_process():
            _evaluate(*settings, target, rehearse)
        else:
            with redirect_stdout(StringIO()):
                _evaluate(*settings, None, rehearse)
    except (ValueError, OSError) as error:
        raise TrainError(str(error)) from error


def _evaluate(
    model: str,
    count: int,
    steps: int,
    guidance_scale: float,
    sweep: int | None,
    target: str | None,
    rehearse: bool,
) -> None:
    from sdlearn.training import card, conditioning, pocketeval, run, sheets, sweeps

    folder = _path(model) if Path(model).is_dir() else run.exported_folder(model)
    settings = {"steps": steps, "guidance_scale": guidance_scale}
    if target is not None:  # before the hour that it may take
        Path(target).mkdir(parents=True, exist_ok=True)
        _before(Path(target))
    pair = sweeps.loaded(folder)
    draws = sweeps.model_draws(*pair, **settings)
    drawn = sweeps.redrawn(pair[0])
    others = {"redrawn": drawn} if drawn else {}
    if pair[1] is not None:  # what would the base model have drawn alone, in as many steps?
        others["base"] = sweeps.model_draws(pair[0], **settings)()
    first = pocketeval.REHEARSAL if rehearse else pocketeval.EXAM
    kept: dict[str, Any] = {**settings, "first": first, "weights": card.weights(folder)}
    result = _asked(draws(), count, first)
    kept["rows"] = [asdict(row) for row in result.rows]
    _keep(target, folder, kept)  # what comes next may be broken off
    beside = {name: _asked(draw, count, first) for name, draw in others.items()}
    result = result.beside(**beside)
    what = ", a rehearsal" if rehearse else ""
    print(f"{folder.name}, {steps} DDIM steps, guidance {guidance_scale:g}{what}\n\n{result}")
    kept["rows"] = [asdict(row) for row in result.rows]
    _keep(target, folder, kept)
    told = None if rehearse else conditioning.measured(*pair, **settings)
    if told:
        kept["conditioning"] = told
        print("\n" + conditioning.markdown(told))
        _keep(target, folder, kept)
    if sweep:
        kept["sweep_count"] = sweep
        for what, rows in _swept(draws, sweep):
            kept[f"{what.split('_')[0]}_sweep"] = [asdict(row) for row in rows]
            if target is not None:
                path = Path(target) / f"{what}.png"
                _figure(rows, what).save(path)
                sheets.copy_small(path, path)
            _keep(target, folder, kept)
    if target is not None:
        print(f"Kept in {target}")


def _bar(**settings: Any) -> Any:
    from tqdm import tqdm

    return tqdm(**settings, unit="pictures", mininterval=2, disable=not _first_process())


def _asked(draw: Callable, count: int, first: int) -> Any:
    """PocketEval's result, with a progress bar."""
    from sdlearn.training import pocketeval

    with _bar(total=len(pocketeval.CATEGORIES) * count) as bar:
        return pocketeval.evaluate(draw, count, first=first, progress=bar.update)


def _swept(draws: Callable[..., Callable], count: int) -> Iterator[tuple[str, list]]:
    """What a setting gives at each of its values, setting after setting; printed, too."""
    from sdlearn.training import pocketeval, sweeps

    for what, values in (("steps", sweeps.STEPS), ("guidance_scale", sweeps.GUIDANCE)):
        each = {value: draws(**{what: value}) for value in values}
        total = len(each) * len(pocketeval.CATEGORIES) * count
        with _bar(total=total, desc=what) as bar:
            rows = sweeps.sweep(each, count, progress=bar.update)
        print(f"\n{what:>14} score  held out  variety  burnt")
        for row in rows:
            print(
                f"{row.value:>14g} {row.score:.3f} {row.heldout:>9.3f} "
                f"{row.variety:>8.3f} {row.clipped:>6.3f}"
            )
        yield what, rows


def _keep(target: str | None, folder: Path, kept: dict[str, Any]) -> None:
    """Write what is measured so far. Sweeps of the same weights stay, those of others go."""
    from sdlearn.training import card
    from sdlearn.training import export as exports
    from sdlearn.training.pocketeval import Result, Row

    if target is None:
        return
    place = Path(target)
    path = place / card.EVALUATION.name
    before = _before(place)
    asked = ("first", "weights", "steps", "guidance_scale")
    if all(before.get(name) == kept[name] for name in asked):
        _fill_in(kept, before)
    for what, held in (("steps", "guidance_scale"), ("guidance_scale", "steps")):
        key = f"{what.split('_')[0]}_sweep"
        count = before.get("sweep_count")
        alike = before.get("weights") == kept["weights"] and kept.get("sweep_count", count) == count
        alike = alike and before.get(held) == kept[held]  # what stood still was the same
        if alike and key in before:  # one count stands for both
            kept.setdefault(key, before[key])
            kept["sweep_count"] = count
        if key not in kept:
            (place / f"{what}.png").unlink(missing_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
    draft.replace(path)
    table = Result(tuple(Row(**row) for row in kept["rows"])).markdown()
    (place / "pocketeval.md").write_text(table + "\n", "utf-8")
    own = place.resolve() == (folder / card.EVALUATION).parent.resolve()
    if own and (folder / exports.RECORD).is_file():  # without it, it isn't of this package's make
        card.write(folder)


def _before(place: Path) -> dict[str, Any]:
    """What an earlier evaluation left in a folder."""
    from sdlearn.training import card

    path = place / card.EVALUATION.name
    if not path.exists():
        return {}
    try:
        before = json.loads(path.read_text("utf-8"))
        if isinstance(before, dict) and isinstance(before.get("rows", []), list):
            return before
        why = "it holds no table"
    except ValueError as error:
        why = str(error)
    raise ValueError(
        f"{path} is no earlier evaluation ({why}). Move it away, or name another --to."
    )


def _fill_in(kept: dict[str, Any], before: dict[str, Any]) -> None:
    """What an earlier run of the same pictures measured stays until this one has measured it."""
    from sdlearn.training.pocketeval import BESIDE

    if "conditioning" in before:
        kept.setdefault("conditioning", before["conditioning"])
    for row, old in zip(kept["rows"], before["rows"], strict=False):
        if (row["name"], row["count"]) == (old["name"], old["count"]):
            row |= {name: old.get(name) for name in BESIDE if row[name] is None}


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
        below=True,
        # Without a prompt's pull anything is drawn; that much variety would flatten all else.
        top=1.05 if max(max(line) for line in lines.values()) > 1.05 else None,
        alt=f"From {words} {rows[0].value:g} to {rows[-1].value:g}: {'; '.join(told)}.",
    )


def _path(text: str | None) -> Path | None:
    """A folder by its whole name, so that it has a name of its own even where it was "."."""
    return Path(os.path.abspath(text)) if text else None


def _first_process() -> bool:
    """Whether this is the only process, or the first of several that accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def _offline() -> None:
    """Nothing here needs the network: keep the Hugging Face libraries from asking."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
