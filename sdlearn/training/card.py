"""The model card: what a pocket model is and is not, and how good it was found to be.

Every figure in it is read from what lies beside the weights: `recipe.json`, which the export
writes, and `eval/pocketeval.json`, which `sdlearn eval` writes. So the card can't say more than
was measured; and what was measured of other weights than those that lie there, it leaves out.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdlearn import _resources, world
from sdlearn.training import card_texts as texts
from sdlearn.training import conditioning
from sdlearn.training.frames import SCORES as SCORES_TOLD
from sdlearn.training.pocketeval import EXAM, Result, Row
from sdlearn.world.checker import weights_path

EVALUATION = Path("eval") / "pocketeval.json"
CURVES = "curves"  # a picture for each stage
COARSE = 0.02  # where a single picture counts more, the card says how much


def write(folder: Path) -> Path:
    """Write the card of an exported model, and return its path."""
    path = folder / "README.md"
    draft = folder / ".README.draft"
    draft.write_text(text(folder), encoding="utf-8")
    draft.replace(path)
    return path


def write_half(clip: Path, model: Path) -> Path:
    """Write the card of the half of CLIP that is no model by itself, and return its path.

    Args:
        clip: Its folder.
        model: The folder of the model that has the other half.
    """
    path, draft = clip / "README.md", clip / ".README.draft"
    draft.write_text(half(clip, model), encoding="utf-8")
    draft.replace(path)
    return path


def half(clip: Path, model: Path) -> str:
    """The card of the half of CLIP that is no model by itself."""
    about = texts.SEES.format(model=model.name)
    if (clip / "text_encoder").is_dir():
        sees = _read(model / "recipe.json")["recipe"]["sees"]
        others = [name for name in _reading_with(clip) if name != model.name]
        readers = " and ".join(filter(None, [", ".join([model.name, *others[:-1]]), *others[-1:]]))
        about = texts.READS.format(model=model.name, readers=readers, sees=sees)
    card = Path(os.path.relpath(model, clip), "README.md").as_posix()
    said = texts.HALF.format(name=clip.name, model=model.name, about=about, card=card)
    return f"{said}\n{texts.LICENCE}"


def _reading_with(clip: Path) -> list[str]:
    """The models beside a CLIP that share its reader, by name."""
    reader = f"{clip.name}/text_encoder"
    found = []
    for path in sorted(clip.parent.glob("*/recipe.json")):
        if reader in (_read(path)["recipe"].get("shared") or {}).values():
            found.append(path.parent.name)
    return found


def text(folder: Path) -> str:
    """The card of an exported model."""
    record = _read(folder / "recipe.json")
    if record is None:
        raise FileNotFoundError(
            f"{folder} holds no recipe.json. Export a trained model there first: "
            f"sdlearn train {folder.name} --export"
        )
    recipe = record["recipe"]
    frames, pipeline = recipe.get("frames"), recipe.get("pipeline", "StableDiffusionPipeline")
    about = texts.ABOUT.format(
        name=folder.name,
        mirrors=recipe["mirrors"],
        size=frames["size"] if frames else recipe["size"],
        code=texts.CODE[pipeline].format(place=_place(folder), base=_place(_base_of(folder))),
    )
    data = texts.DATA.format(
        pictures=recipe["pictures"],
        kinds=len(world.KINDS),
        colours=len(world.COLOURS),
        styles=len(world.STYLES),
    )
    if frames:
        sides = f"{', '.join(map(str, frames['sides'][:-1]))} and {frames['sides'][-1]}"
        whole = frames.get("full", 0)  # older records don't say it
        full = f", {whole:.0%} with sides of {frames['size']} and the others" if whole else ""
        known = {"sides": sides, "full": full, "more": _refines(recipe)}
        data += texts.FRAMES.format(**frames | known)
    evaluation = _read(folder / EVALUATION)
    if evaluation and evaluation.get("weights") != weights(folder):
        evaluation = None  # what was measured is another model
    parts = [
        about,
        data,
        _shared(recipe, folder),
        _training(record, folder),
        _evaluation(evaluation, folder, recipe),
        _conditioning(evaluation),
        texts.LICENCE,
    ]
    return "\n".join(part.strip("\n") + "\n" for part in parts if part)


def _refines(recipe: dict[str, Any]) -> str:
    """What else a refiner is told, and where it learnt; nothing for others."""
    if recipe.get("noise", 1.0) == 1:
        return ""
    low, high = SCORES_TOLD
    steps = recipe["scheduler"]["num_train_timesteps"]
    below = round(recipe["noise"] * steps)
    return texts.REFINES.format(low=low, high=high, below=below, steps=steps).rstrip("\n")


def weights(folder: Path) -> dict[str, str]:
    """A digest of each weights file that draws a model's pictures: what a score belongs to.

    Shared parts count, what a refiner's base model draws before it, and who judged.

    Args:
        folder: The model's folder.
    """
    folders = {"": folder}
    if folder.name.endswith("-refiner"):
        folders["base: "] = _base_of(folder)
    judge = {"judge": _digest(weights_path())}
    return judge | {
        whose + path.relative_to(place).as_posix(): _digest(path)
        for whose, place in folders.items()
        for path in sorted(place.glob("*/*.safetensors"))
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _base_of(folder: Path) -> Path:
    """A refiner's base model lies beside it."""
    return folder.with_name(folder.name.removesuffix("-refiner"))


def _place(folder: Path) -> str:
    """Where a model lies: the package's own as one who stands in a checkout says it."""
    own = _resources.data_dir() / "models"
    return f"data/models/{folder.name}" if folder.parent == own else folder.as_posix()


def _shared(recipe: dict[str, Any], folder: Path) -> str:
    by_place: dict[str, list[str]] = {}
    shared = dict(recipe.get("shared") or {})
    if recipe.get("sees"):  # its reader lies whole beside the half that sees
        shared["text_encoder"] = f"{recipe['clip_name']}/text_encoder"
    for part, place in shared.items():
        by_place.setdefault(place, []).append(f"`{part}`")
    listed = [f"{' and '.join(names)}: `{place}`" for place, names in by_place.items()]
    found = [folder / part for part in shared]
    linked = all(one.is_symlink() or any(map(Path.is_symlink, one.glob("*"))) for one in found)
    how = "They lie there, and here are links to them" if linked else "Here are copies"
    return texts.SHARED.format(parts="; ".join(listed), how=how) if listed else ""


def _conditioning(measured: dict[str, Any] | None) -> str:
    found = (measured or {}).get("conditioning")
    if not found:
        return ""
    title = "What the refiner adds" if "refinement" in found else "Sizes and cuts"
    return f"## {title}\n\n{conditioning.markdown(found)}"


def _training(record: dict[str, Any], folder: Path) -> str:
    lines = [
        "## Training",
        "",
        "`sdlearn train` follows the recipe in `sdlearn/training/recipes.py`; `recipe.json` holds",
        "it too. Muon for the matrices inside the networks, Adam for the rest; averaged weights.",
        "",
        "| part | steps | samples seen | hours | on |",
        "|---|---|---|---|---|",
    ]
    found: dict[str, list[float]] = {}
    plans = record["recipe"]["plans"]
    for stage in texts.STAGES:
        made, title = record["stages"].get(stage), _title(stage, record["recipe"])
        if made is None:
            continue
        plan = plans[stage]["steps"]
        runs = list(_runs(made))
        for number, one in enumerate(runs, start=1):
            said = title if len(runs) == 1 else f"{title}, run {number}"
            hours = f"{one['hours']:.1f}" if "hours" in one else ""
            part = f" of {plan:,}" if one is made and made["step"] < plan else ""
            lines.append(
                f"| {said} | {one['step']:,}{part} | {one['samples']:,} | {hours} "
                f"| {one.get('device', '')} |"
            )
        for key in texts.SCORES.keys() & made.keys():
            found.setdefault(key, []).append(made[key])
    if any("earlier" in made for made in record["stages"].values()):
        lines += ["", "Of several runs the last follows this recipe, those before it earlier ones."]
    if "taught" in record["stages"]:
        lines += ["", texts.taught(plans["taught"]["teacher"])]
    recipe = record["recipe"]
    for stage in record["stages"]:
        first = plans.get(stage, {}).get("first")  # older records don't say it
        if first:
            last, title = first + recipe["pictures"] - 1, _title(stage, recipe)
            lines += ["", texts.OTHERS.format(title=title, first=first, last=last)]
    drawn = [
        f"![{_title(stage, recipe)}: what the loss did in its training.]({CURVES}/{stage}.png)"
        for stage in texts.STAGES
        if (folder / CURVES / f"{stage}.png").exists()
    ]
    if "clip" in record["stages"] and (clip := record["recipe"].get("clip_name")):
        half = record["recipe"].get("sees") or clip
        other = f"The other half of its CLIP, which sees pictures: [{half}](../{half}/README.md)."
        lines += ["", other]
    return "\n".join([*lines, "", *_scores(found), *([""] if drawn else []), *drawn]) + "\n"


def _title(stage: str, recipe: dict[str, Any]) -> str:
    if stage == "clip" and recipe.get("sees"):
        return f"text encoder, to meet what {recipe['sees']} sees"
    teacher = recipe["plans"].get(stage, {}).get("teacher") or {}
    return texts.STAGES[stage].format(teacher=teacher.get("name", "another model"))


def _scores(found: dict[str, list[float]]) -> Iterator[str]:
    """What each part is worth now, and what it was before a later stage taught it once more."""
    for key, said in texts.SCORES.items():
        if key in found:
            value = said[said.index("{") :]
            *before, now = map(value.format, found[key])
            other = [one for one in before if one != now]  # a stage may leave it as it is
            was = f" (before: {other[-1]})" if other else ""
            yield f"- {said.format(found[key][-1])}{was}"


def _runs(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The runs that made a part, the first first: each began with the weights of the last."""
    if "earlier" in made:
        yield from _runs(made["earlier"])
    yield made


def _evaluation(measured: dict[str, Any] | None, folder: Path, recipe: dict[str, Any]) -> str:
    title = "## PocketEval: does it draw what it was asked?\n\n"
    if measured is None:
        place = _place(folder)
        how = f"sdlearn eval {place} --to {place}/{EVALUATION.parent}"
        return f"{title}Not measured yet: `{how}`.\n"
    result = Result(tuple(Row(**row) for row in measured["rows"]))
    said = (
        f"{measured['steps']} DDIM steps, guidance {measured['guidance_scale']:g}. The pictures "
        "are read by `world.check`, which never saw a model's picture when it learnt."
    )
    if measured.get("first") == EXAM:
        said += (
            " Trainings and settings are compared on other prompts (`sdlearn eval --rehearse`): "
            "nothing was chosen on these."
        )
    if recipe.get("noise", 1.0) < 1:
        base, steps = _base_of(folder).name, recipe["scheduler"]["num_train_timesteps"]
        said += (
            f" A refiner draws nothing alone: {base} walked the timesteps from {steps - 1} to "
            f"{round(recipe['noise'] * steps)}, and left the rest to it."
        )
    fewest = min(row.count for row in result.rows)
    if fewest // 2 < 1 / COARSE:
        said += (
            f" Of {fewest} pictures of a kind each counts {1 / fewest:.3g}; in the columns of what "
            f"was seen and held out, of {fewest // 2} each, {2 / fewest:.3g}."
        )
    most = max(row.by_chance for row in result.rows)
    said += (
        " Other prompts and noises would give other scores: the mean is uncertain by "
        f"{result.mean_by_chance:.3f}, the least certain kind by {most:.2f} (95%)."
    )
    count = measured.get("sweep_count")
    figures = [
        f"![PocketEval's score, variety and burnt pictures against {what}.]"
        f"({EVALUATION.parent.as_posix()}/{name}.png)"
        for name, what in (("steps", "the number of steps"), ("guidance_scale", "guidance"))
        if (folder / EVALUATION.parent / f"{name}.png").exists()
    ]
    if figures and count:
        figures.insert(
            0, f"Other settings, on {count} other prompts of each kind at every point:\n"
        )
    return "\n".join([title + said, "", result.markdown(), "", *figures]) + "\n"


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
