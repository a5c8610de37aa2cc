"""An exported folder: what diffusers loads, what draws the same again, what is small enough."""

import dataclasses
import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    PNDMScheduler,
    StableDiffusionPipeline,
)
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_recipe import family, tiny

from sdlearn.training import checkpoints, export, folders, loop, measure, run
from sdlearn.training.recipes import RECIPES
from sdlearn.training.unet import scheduler
from sdlearn.training.vae import VAEStage
from sdlearn.training.workshop import Workshop

STAGES = ("clip", "text", "sides", "sight", "vae", "unet", "decoder")


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    """The tiny model, exported; and its workshop."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    before, measure.COUNT = measure.COUNT, 6
    work = tmp_path_factory.mktemp("work") / "tiny"
    shutil.copytree(trained, work)
    workshop = Workshop(tiny(), work, Accelerator(cpu=True))
    workshop.pictures.draw()
    for stage in STAGES:
        workshop.export(stage, folder)
    measure.COUNT = before
    return folder, workshop


def draw(folder, **options):
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, **options)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(3)
    return np.asarray(pipe("a red cat", num_inference_steps=3, generator=generator).images[0])


def test_diffusers_loads_it_and_it_draws_the_same_picture_again(model):
    first, second = draw(model[0]), draw(model[0])
    assert first.shape == (64, 64, 3) and first.std() > 0
    assert np.array_equal(first, second)
    assert isinstance(DiffusionPipeline.from_pretrained(model[0]), StableDiffusionPipeline)


def test_its_weights_are_the_averaged_ones_in_half_precision(model):
    folder, workshop = model
    _, tensors, _ = checkpoints.load(workshop.folder / "unet")
    with safe_open(folder / "unet" / "diffusion_pytorch_model.safetensors", "pt") as file:
        names = list(file.keys())
        average = checkpoints.part("average", tensors)
        assert set(names) == set(average)
        assert all(torch.equal(file.get_tensor(n), average[n].half()) for n in names)
        assert not all(torch.equal(file.get_tensor(n), tensors[f"model.{n}"].half()) for n in names)
    with safe_open(folder / "text_encoder" / "model.safetensors", "pt") as file:
        assert all(name.startswith("text_model.") for name in file.keys())  # noqa: SIM118


def test_the_scaling_factor_is_the_measured_one(model):
    folder, workshop = model
    vae = AutoencoderKL.from_pretrained(folder / "vae")
    pictures = workshop.pictures.batch(torch.arange(24))
    with torch.no_grad():
        drawn = vae.encode(pictures).latent_dist.sample(torch.Generator().manual_seed(0))
    assert float(drawn.std()) * vae.config.scaling_factor == pytest.approx(1.0, abs=0.05)
    assert vae.config.scaling_factor != 0.18215


def test_nothing_in_it_names_a_place_or_is_pickled(model):
    folder, workshop = model
    files = [path for path in folder.parent.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".txt", ".safetensors"}
    for path in files:
        if path.suffix == ".json":
            text = path.read_text(encoding="utf-8")
            assert str(workshop.folder) not in text and str(folder) not in text
    record = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    assert record["recipe"]["name"] == "tiny"
    assert record["stages"]["unet"].items() >= {"step": 8, "samples": 32, "device": "CPU"}.items()
    told = {"step", "samples", "hours", "device"}
    for stage in ("clip", "text", "sides", "sight"):
        assert set(record["stages"][stage]) == told | {"among_100", "hard", "reads", "sides"}
    assert record["stages"]["vae"]["psnr"] >= record["stages"]["vae"]["psnr_worst_twentieth"]
    assert not [path for path in folder.parent.rglob(".*")]


def test_the_two_halves_of_clip_meet_again(model):
    folder, workshop = model
    clip, tokenizer = export.load_clip(folder, folder.parent / "pocket-clip")
    stage = workshop.stage("sight")
    loop.averaged(stage.model, workshop.folder / "sight")
    tokens = tokenizer(["a red cat", "a blue house"], padding=True, return_tensors="pt").input_ids
    pictures = workshop.pictures.batch(torch.arange(2))
    with torch.no_grad():
        ours = clip(input_ids=tokens, pixel_values=pictures).logits_per_image
        theirs = stage.clip(input_ids=tokens, pixel_values=pictures).logits_per_image
    torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0.01)


def test_another_machine_goes_on_from_exported_parts(model, tmp_path, accelerator):
    folder, old = model
    new = Workshop(tiny(), tmp_path / "new", accelerator(), exported=folder)
    new.train("unet", stop_at=2)
    assert checkpoints.load(new.folder / "unet")[0] == 2
    assert not (new.folder / "clip").exists() and not (new.folder / "vae").exists()
    here, there = new.stage("unet"), old.stage("unet")
    assert here.latents.scaling_factor == there.latents.scaling_factor
    # The parts were rounded to half precision on their way: near, not equal.
    torch.testing.assert_close(
        here.latents.mean.float(), there.latents.mean.float(), atol=0.02, rtol=0.02
    )
    a, b = (s.batch(0, torch.Generator().manual_seed(0)) for s in (here, there))
    assert torch.equal(a["tokens"], b["tokens"])


def test_who_exports_a_stage_takes_back_what_a_later_one_made_of_it(
    model, tmp_path, accelerator, monkeypatch
):
    folder, old = model
    copy = tmp_path / "models" / "tiny"
    shutil.copytree(folder.parent, copy.parent)
    for stage in ("text", "sides", "sight", "decoder"):
        assert export.facts(copy, stage)
    monkeypatch.setattr(measure, "COUNT", 6)
    Workshop(tiny(), old.folder, accelerator()).export("clip", copy)
    assert not any(export.facts(copy, stage) for stage in ("text", "sides", "sight"))
    assert export.facts(copy, "decoder")


def test_a_unet_on_words_that_are_not_taught_yet_says_so(copied, accelerator, capsys):
    Workshop(tiny(), copied("sides"), accelerator()).train("unet")
    assert "sides has done 0 of 8 steps." in capsys.readouterr().out


def test_a_part_can_go_before_the_others(trained, tmp_path, accelerator):
    work, target = tmp_path / "work", tmp_path / "models" / "tiny"
    shutil.copytree(trained, work)
    workshop = Workshop(tiny(), work, accelerator())
    assert workshop.export("vae", target) == [target / "vae"]
    assert sorted(path.name for path in target.iterdir()) == ["recipe.json", "vae"]
    workshop.export("clip", target)
    assert not (target / "model_index.json").exists()
    (target / "README.md").write_text("a card\n")
    workshop.export("unet", target)
    assert (target / "model_index.json").exists()
    before = draw(target)
    workshop.export("vae", target)  # once more, over the old one
    assert np.array_equal(draw(target), before)
    assert (target / "README.md").read_text() == "a card\n"


def test_half_trained_parts_only_on_demand(copied, tmp_path, accelerator):
    folder = copied("vae")
    workshop = Workshop(tiny(), folder, accelerator())
    workshop.train("vae", stop_at=2)
    with pytest.raises(ValueError, match=r"vae has done 2 of 8 steps.*--unfinished"):
        workshop.export("vae", tmp_path / "m")
    assert workshop.export("vae", tmp_path / "m", unfinished=True)


@pytest.mark.parametrize(
    ("limit", "complaint"),
    [
        ("LARGEST_FILE", r"vae/diffusion_pytorch_model.safetensors has .* MiB; a file may have"),
        ("LARGEST_FOLDER", r"The model would have .* MiB; it may have"),
    ],
)
def test_what_is_too_large_is_refused_and_the_old_stays(
    copied, tmp_path, accelerator, monkeypatch, limit, complaint
):
    workshop, target = Workshop(tiny(), copied(), accelerator()), tmp_path / "m"
    workshop.export("vae", target)
    before = {p: p.read_bytes() for p in target.rglob("*") if p.is_file()}
    monkeypatch.setattr(folders, limit, 1000)
    with pytest.raises(ValueError, match=complaint):
        workshop.export("vae", target)
    assert {p: p.read_bytes() for p in target.rglob("*") if p.is_file()} == before


PARTS = ("unet", "scheduler", "vae")


def put(target, said):
    """Replace all parts by folders that hold one word."""
    with folders.replaced(target, PARTS) as draft:
        for part in PARTS:
            (draft / part).mkdir()
            (draft / part / "said").write_text(said)


def told(target):
    return [(target / part / "said").read_text() for part in PARTS]


@pytest.mark.parametrize("failing", range(2, 8))
def test_an_export_that_fails_half_way_leaves_the_old_parts(tmp_path, monkeypatch, failing):
    put(tmp_path, "old")
    replace, calls = os.replace, []

    def fails_once(source, target):
        calls.append(source)
        if len(calls) == failing:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(folders.os, "replace", fails_once)
    with pytest.raises(KeyboardInterrupt):
        put(tmp_path, "new")
    assert told(tmp_path) == ["old"] * 3
    put(tmp_path, "new")
    assert told(tmp_path) == ["new"] * 3
    assert {path.name for path in tmp_path.iterdir()} == set(PARTS)


def test_an_export_that_was_killed_half_way_is_undone_by_the_next(tmp_path):
    put(tmp_path, "old")
    (tmp_path / ".old").mkdir()
    os.replace(tmp_path / "vae", tmp_path / ".old" / "vae")  # and here it was killed
    with pytest.raises(RuntimeError), folders.replaced(tmp_path, PARTS):
        raise RuntimeError("the next one fails, too")
    assert told(tmp_path) == ["old"] * 3


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path):
    vae = AutoencoderKL(**tiny().vae)
    with torch.no_grad():
        vae.decoder.conv_in.bias.fill_(1e6)
    with pytest.raises(ValueError, match=r"decoder.conv_in.bias is too large for half precision"):
        export.export_vae(tiny(), {"step": 1}, vae, 1.0, tmp_path / "m")


def test_a_perfect_part_is_measured_as_perfect(monkeypatch):
    """A network that hands pictures through, and one that knows every caption's picture."""

    class Through(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def encode(self, pictures):
            handed = SimpleNamespace(mode=lambda: pictures + 0.02)
            return SimpleNamespace(latent_dist=handed)

        def decode(self, latents):
            return SimpleNamespace(sample=latents)

    found = measure.reconstruction(Through(), 64)
    assert found["psnr"] == pytest.approx(-10 * np.log10(0.02**2 / 4), abs=0.6)  # 40 dB, but for
    assert found["psnr"] >= found["psnr_worst_twentieth"]  # what was clamped

    def knows(clip, tokenizer, pictures, captions):
        right = {tuple(p.flatten().tolist()): c for p, c in seen}
        rows = [right[tuple(p.flatten().tolist())] for p in pictures]
        return torch.tensor([[float(row == caption) for caption in captions] for row in rows])

    scenes = measure._scenes(0, 6)
    seen = [(p, s.caption()) for p, s in zip(measure._pictures(scenes, 64), scenes, strict=True)]
    monkeypatch.setattr(measure, "_logits", knows)
    assert measure.retrieval(None, None, 64) == {"among_100": 1.0, "hard": 1.0}
    monkeypatch.setattr(measure, "_logits", lambda *a: -knows(*a))
    assert measure.retrieval(None, None, 64) == {"among_100": 0.0, "hard": 0.0}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_samplers_made_from_the_exported_scheduler_do_not_clip_latents(recipe, tmp_path):
    own = scheduler(recipe)
    own.save_pretrained(tmp_path)
    kept = type(own).from_pretrained(tmp_path)
    assert PNDMScheduler.from_config(kept.config).config.steps_offset == 1
    ddim = DDIMScheduler.from_config(kept.config)
    assert ddim.config.clip_sample is False
    assert ddim.config.set_alpha_to_one is False and ddim.config.steps_offset == 1
    assert ddim.config.beta_schedule == "scaled_linear"


def test_the_last_stage_betters_the_decoder_and_leaves_every_latent_alone(model, trained):
    _, workshop = model
    before, after = workshop.stage("vae"), workshop.stage("decoder")
    loop.averaged(before.model, trained / "vae")
    loop.averaged(after.model, trained / "decoder")
    pictures = workshop.pictures.batch(torch.arange(4))
    first, second = (stage.vae.encode(pictures).latent_dist for stage in (before, after))
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.std, second.std)
    painted = [stage.vae.decode(first.mean).sample for stage in (before, after)]
    assert not torch.equal(*painted)


def test_a_stage_goes_on_with_what_the_one_before_it_has_just_learnt(
    model, tmp_path, accelerator, capsys
):
    """With --go-on as well: the exported weights are for whoever has nothing here."""
    folder, old = model
    there = Workshop(tiny(), tmp_path / "new", accelerator(), folder)
    shutil.copytree(old.folder / "tokenizer", there.folder / "tokenizer")
    there.train("vae", stop_at=1, go_on=True)
    there.train("decoder", stop_at=1, go_on=True)
    assert "decoder: --go-on has no effect" in capsys.readouterr().out
    made = VAEStage(there.recipe, there.pictures), there.stage("decoder")
    for stage in made:
        loop.averaged(stage.model, there.folder / stage.name)
    first, second = (stage.vae.encoder.state_dict() for stage in made)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("stage", STAGES)
def test_a_training_goes_on_from_the_exported_weights(
    model, stage, tmp_path, accelerator, monkeypatch, capsys
):
    folder, old = model
    there = Workshop(tiny(), tmp_path / "new", accelerator(), folder)
    there.pictures.draw()
    shutil.copytree(old.folder / "tokenizer", there.folder / "tokenizer")
    made = there.stage(stage)
    earlier = there._begin_with_exported(made)
    expected = {n: t.half() for n, t in _exported(there, stage, folder).items()}
    assert {n: t.half() for n, t in made.model.state_dict().items()}.keys() == expected.keys()
    assert all(torch.equal(t.half(), expected[n]) for n, t in made.model.state_dict().items())
    assert earlier == json.loads((folder / "recipe.json").read_text())["stages"][stage]

    asked = []  # its batches follow on those that made the weights, and none comes twice
    batch = type(made).batch
    monkeypatch.setattr(
        type(made),
        "batch",
        lambda self, step, *more: asked.append(step) or batch(self, step, *more),
    )
    there.train(stage, stop_at=1, go_on=True)
    there.train(stage, stop_at=2, go_on=True)  # from the checkpoint: what was earlier stays
    assert "--go-on" not in capsys.readouterr().out  # a run that was begun with it goes on
    assert list(dict.fromkeys(asked)) == [earlier["step"], earlier["step"] + 1]
    copy = tmp_path / "models" / "tiny"
    shutil.copytree(folder.parent, copy.parent)
    there.export(stage, copy, unfinished=True)
    record = export.facts(copy, stage)
    assert record["step"] == 2 and record["earlier"] == earlier
    there.train(stage, go_on=True)
    assert "--go-on" not in capsys.readouterr().out
    there.train(stage, go_on=True)
    assert "--go-on has no effect" in capsys.readouterr().out


def _exported(workshop, stage, folder):
    """The weights of a stage as they lie in an exported folder, named as the stage names them."""
    if stage == "unet":
        parts = {"": "unet/diffusion_pytorch_model.safetensors"}
    elif stage in ("clip", "text", "sides", "sight"):
        clip, _ = export.load_clip(folder, folder.parent / "pocket-clip")
        return {f"clip.{name}": tensor for name, tensor in clip.state_dict().items()}
    else:
        parts = {"vae.": "vae/diffusion_pytorch_model.safetensors"}
    return {
        prefix + name: tensor
        for prefix, path in parts.items()
        for name, tensor in load_file(folder / path).items()
    }


def test_without_exported_weights_there_is_nothing_to_go_on_from(trained, tmp_path, accelerator):
    shutil.copytree(trained, tmp_path / "new")
    shutil.rmtree(tmp_path / "new" / "unet")
    workshop = Workshop(tiny(), tmp_path / "new", accelerator())
    with pytest.raises(ValueError, match="--go-on"):
        workshop.train("unet", go_on=True)


@pytest.mark.parametrize("stages", [None, ["unet", "decoder", "vae"]])
def test_an_export_that_must_be_refused_changes_nothing(stages, copied, tmp_path, monkeypatch):
    folder, target = copied(), tmp_path / "m"
    monkeypatch.setitem(run.RECIPES, "tiny", tiny())
    monkeypatch.setattr(run, "_precision", lambda processes: "no")
    run.export("tiny", folder=folder, target=target)
    before = {p: p.read_bytes() for p in sorted(target.rglob("*")) if p.is_file()}
    plans = tiny().plans
    longer = tiny(plans=plans | {"decoder": dataclasses.replace(plans["decoder"], steps=6)})
    monkeypatch.setitem(run.RECIPES, "tiny", longer)
    with pytest.raises(ValueError, match="decoder has done 4 of 6 steps"):
        run.export("tiny", stages, folder, target)
    assert {p: p.read_bytes() for p in sorted(target.rglob("*")) if p.is_file()} == before


def test_stages_are_exported_in_the_order_in_which_they_were_made(copied, tmp_path, monkeypatch):
    folder = copied()
    monkeypatch.setitem(run.RECIPES, "tiny", tiny())
    monkeypatch.setattr(run, "_precision", lambda processes: "no")
    for name, stages in (("a", ["vae", "decoder"]), ("b", ["decoder", "vae"])):
        run.export("tiny", stages, folder, tmp_path / name / "m")
    path = "m/vae/diffusion_pytorch_model.safetensors"
    a, b = (load_file(tmp_path / name / path) for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_was_seen_is_looked_at_again_where_it_is_gone(copied, tmp_path, accelerator):
    folder = copied()
    for path in folder.glob("seen-*.safetensors"):
        path.unlink()
    assert Workshop(tiny(), folder, accelerator()).export("text", tmp_path / "m")


def test_frames_begin_with_the_first_scene(tmp_path, accelerator):
    recipe = family()["pocket-sdxl"]
    plans = recipe.plans | {"grow": dataclasses.replace(recipe.plans["grow"], first=1000)}
    workshop = Workshop(dataclasses.replace(recipe, plans=plans), tmp_path, accelerator())
    with pytest.raises(ValueError, match=r"grow begins with scene 1000.*set its first to 0"):
        workshop.seen_by("grow")
