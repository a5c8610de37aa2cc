"""The later generations: what each is told and asked, what they share, and what diffusers loads."""

import json
import shutil
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from diffusers import (
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_recipe import family, tiny
from transformers import CLIPTextModel, CLIPTextModelWithProjection

import sdlearn as sd
from sdlearn import world
from sdlearn.models import clip as clips
from sdlearn.training import card as export_card
from sdlearn.training import (
    card_texts,
    checkpoints,
    export,
    folders,
    frames,
    latents,
    loop,
    measure,
    run,
)
from sdlearn.training.pictures import Pictures
from sdlearn.training.plans import Frames, Plan, Teacher
from sdlearn.training.recipes import RECIPES
from sdlearn.training.run import open_workshop
from sdlearn.training.taught import UnfitTeacher
from sdlearn.training.workshop import Workshop

NAMES = ("pocket-sd21", "pocket-sdxl", "pocket-sdxl-refiner")
PIPELINES = dict(
    zip(
        NAMES,
        (StableDiffusionPipeline, StableDiffusionXLPipeline, StableDiffusionXLImg2ImgPipeline),
        strict=True,
    )
)


@pytest.fixture(scope="module")
def trained_family(trained, tmp_path_factory):
    """All of the family, trained for a few steps and exported; their workshops by name."""
    before, measure.COUNT = measure.COUNT, 6
    torch.set_num_threads(1)
    AcceleratorState._reset_state(True)
    accelerator = Accelerator(mixed_precision="no", cpu=True)
    work, models = (tmp_path_factory.mktemp(name) for name in ("family", "models"))
    shutil.copytree(trained, work / "tiny")
    first = Workshop(tiny(), work / "tiny", accelerator)
    first.pictures.draw()
    for stage in ("clip", "text", "vae", "unet"):
        first.export(stage, models / "tiny")
    shops = {}
    for name, recipe in family().items():
        shops[name] = shop = Workshop(recipe, work / name, accelerator, models / name)
        for stage in recipe.stages:
            shop.train(stage)
            shop.export(stage, models / name)
    measure.COUNT = before
    AcceleratorState._reset_state(True)
    return models, shops


@pytest.fixture
def made(trained_family, accelerator):
    """Folder of the models and workshops by name; accelerate forgets its state between tests."""
    models, shops = trained_family
    fresh = accelerator()
    for shop in shops.values():
        shop.accelerator = fresh
    return models, shops


def drawn(folder, kind, **settings):
    pipe = kind.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(3)
    told = {"prompt": "a red cat", "num_inference_steps": 5, "generator": generator, **settings}
    return np.asarray(pipe(**told).images[0])


def picture(size=128):
    return world.sample(seed=5).render(size)


# --- what is put together ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_diffusers_and_sdlearn_draw_the_same_picture(made, name):
    models, _ = made
    folder = models / name
    settings = {"image": picture(), "strength": 0.4} if name.endswith("refiner") else {}
    theirs = drawn(folder, PIPELINES[name], guidance_scale=5.0, **settings)
    model = sd.load(folder)
    if settings:
        trace = model.image_to_image(
            picture(), "a red cat", strength=0.4, steps=5, guidance_scale=5.0, seed=3
        )
    else:
        trace = model.generate("a red cat", steps=5, guidance_scale=5.0, seed=3)
    assert theirs.std() > 0
    assert np.array_equal(np.asarray(trace.image), theirs)


def test_the_families_are_recognised(made):
    models, _ = made
    found = {name: str(sd.load(models / name).family) for name in NAMES}
    assert found == {
        "pocket-sd21": "SD 2.x (v-prediction)",
        "pocket-sdxl": "SDXL",
        "pocket-sdxl-refiner": "SDXL refiner",
    }


def test_shared_parts_are_links_and_weigh_nothing(made):
    models, _ = made
    for name in NAMES:
        for part, place in family()[name].shared.items():
            there = models / name / part
            if part == "vae" and name != "pocket-sd21":  # with a scaling factor of its own
                there = there / "diffusion_pytorch_model.safetensors"
                place += "/diffusion_pytorch_model.safetensors"
            assert there.is_symlink()
            assert there.resolve() == (models / place).resolve()
            assert not there.readlink().is_absolute()
    own = [path.name for path in folders.own_files(models / "pocket-sdxl")]
    assert [name for name in own if name.endswith(".safetensors")] == [
        "diffusion_pytorch_model.safetensors"
    ]


def test_elsewhere_shared_parts_are_copies(made, tmp_path):
    models, shops = made
    folder = tmp_path / "away" / "pocket-sdxl"
    shops["pocket-sdxl"].export("grow", folder)
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    here, there = (drawn(f, StableDiffusionXLPipeline) for f in (models / "pocket-sdxl", folder))
    assert np.array_equal(here, there)


def test_one_reader_serves_sd2_without_its_last_layer_and_sdxl_with_it(made):
    models, _ = made
    short = CLIPTextModel.from_pretrained(models / "pocket-sd21" / "text_encoder")
    whole = CLIPTextModelWithProjection.from_pretrained(models / "pocket-sdxl" / "text_encoder_2")
    assert short.config.num_hidden_layers == whole.config.num_hidden_layers - 1 == 2
    tokens = torch.tensor([[1, 5, 9, 600]])
    with torch.no_grad():
        inside = whole(tokens, output_hidden_states=True).hidden_states[-2]
        normed = whole.text_model.final_layer_norm(inside)
        assert torch.equal(short(tokens).last_hidden_state, normed)
    index = json.loads(
        (models / "pocket-openclip/text_encoder/model.safetensors.index.json").read_text()
    )
    assert len(set(index["weight_map"].values())) == 2


def test_each_of_sdxls_sizes_has_its_own_scaling_factor(made):
    models, shops = made
    _, latents = shops["pocket-sdxl"]._painter()
    config = json.loads((models / "pocket-sdxl" / "vae" / "config.json").read_text())
    assert config["scaling_factor"] == latents.scaling_factor
    assert config["sample_size"] == 128
    first = json.loads((models / "tiny" / "vae" / "config.json").read_text())
    assert first["scaling_factor"] != config["scaling_factor"]


def test_a_last_digit_measured_otherwise_does_not_part_base_and_refiner(made, tmp_path):
    """Another machine's arithmetic isn't another autoencoder; another factor is."""
    models, shops = made
    shutil.copytree(models, tmp_path / "models", symlinks=True)
    shop = shops["pocket-sdxl"]
    measured = shop._painter()[1].scaling_factor
    there = Workshop(
        shop.recipe, shop.folder, shop.accelerator, tmp_path / "models" / "pocket-sdxl"
    )
    path = there.exported / "vae" / "config.json"
    config = json.loads(path.read_text())
    for known, expected in ((1.007 * measured, 1.007 * measured), (1.02 * measured, measured)):
        path.write_text(json.dumps(config | {"scaling_factor": known}))
        assert there._painter()[1].scaling_factor == pytest.approx(expected, rel=1e-9)


def test_the_clip_of_the_later_ones_is_whole_again(made):
    models, shops = made
    pair = clips.load(models / "pocket-sd21")
    stage = shops["pocket-sd21"].stage("clip")
    loop.averaged(stage.model, shops["pocket-sd21"].folder / "clip")
    tokens = stage.tokenizer(["a red cat"], return_tensors="pt").input_ids
    with torch.no_grad():
        read, _ = stage.model(tokens)
    torch.testing.assert_close(pair.captions("a red cat"), read, atol=0.02, rtol=0.02)
    assert clips.load(models / "pocket-sdxl-refiner").width == pair.width


def test_new_eyes_are_measured_with_every_reader_that_meets_them(
    made, tmp_path, accelerator, monkeypatch
):
    models, shops = made
    here = tmp_path / "models"
    shutil.copytree(models, here, symlinks=True)
    old = dict.fromkeys(("among_100", "hard", "reads", "sides"), -1.0)
    record = export.correct(here / "pocket-sd21", "clip", old)
    monkeypatch.setattr(measure, "COUNT", 6)
    tiny_shop = Workshop(tiny(), shops["pocket-sd21"].folder.parent / "tiny", accelerator())
    assert record in tiny_shop.export("sight", here / "tiny")
    clip, tokenizer = export.load_clip(here / "pocket-sd21", here / "pocket-openclip")
    eyes = load_file(here / "pocket-clip" / "vision_model" / "model.safetensors")
    seen = clip.vision_model.state_dict()
    assert all(
        torch.equal(seen[n.removeprefix("vision_model.")], t.float())
        for n, t in eyes.items()
        if n.startswith("vision_model.")
    )
    found = export.facts(here / "pocket-sd21", "clip")
    expected = measure.retrieval(clip, tokenizer, 64) | measure.reading(clip, tokenizer)
    assert {name: found[name] for name in expected} == expected
    assert found["step"] == export.facts(models / "pocket-sd21", "clip")["step"]
    # Whoever got a copy of the eyes still sees with the old ones.
    half = here / "pocket-openclip" / "vision_model" / "model.safetensors"
    half.unlink()
    half.write_bytes(b"a copy")
    assert export.seeing_with(here / "pocket-clip") == []


def test_without_what_it_shares_a_model_says_what_to_train(made, tmp_path, accelerator):
    shop = Workshop(
        family()["pocket-sdxl"], tmp_path / "work", accelerator(), tmp_path / "models" / "x"
    )
    with pytest.raises(FileNotFoundError, match=r"shares the \w+ of tiny.*sdlearn train tiny"):
        shop.stage("unet")


def test_a_stage_that_a_model_shares_is_no_stage_of_its_own():
    with pytest.raises(ValueError, match=r"no stage 'vae' of its own. It has: clip, unet"):
        open_workshop("pocket-sd21", ["vae"], None)


# --- what they learn -----------------------------------------------------------------------------


def test_the_reader_learns_and_what_sees_stays(made):
    models, shops = made
    stage = shops["pocket-sd21"].stage("clip")
    before = {n: t.clone() for n, t in stage.clip.state_dict().items()}
    loop.averaged(stage.model, shops["pocket-sd21"].folder / "clip")
    changed = {n for n, t in stage.clip.state_dict().items() if not torch.equal(t, before[n])}
    assert changed and not [name for name in changed if name.startswith("visual")]
    assert not [name for name in changed if name.startswith("vision_model")]
    tiny_clip, _ = export.load_clip(models / "tiny", models / "pocket-clip")
    assert torch.equal(
        stage.clip.visual_projection.weight, tiny_clip.visual_projection.weight.float()
    )
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    assert batch["tokens"].shape[:2] == (6, 3) and batch["seen"].shape == (6, 16)
    assert batch["seen"].norm(dim=-1) == pytest.approx(torch.ones(6), abs=1e-4)
    said, _, false = batch["tokens"].unbind(1)
    assert (said != false).any(1).all()


def test_a_caption_that_finds_itself_costs_less_than_one_that_finds_its_falsehood(made):
    _, shops = made
    stage = shops["pocket-sd21"].stage("clip")

    class Says(torch.nn.Module):
        def __init__(self, right):
            super().__init__()
            self.right = right

        def forward(self, tokens):
            own, wrong = torch.eye(12)[:6, :], torch.eye(12)[6:, :]
            rows = (own, own, wrong) if self.right else (own, wrong, own)
            return torch.cat(rows), torch.tensor(10.0)

    batch = stage.batch(0, torch.Generator().manual_seed(0))
    batch["seen"] = torch.eye(12)[:6]
    good, told = stage.loss(Says(True), batch)
    bad, fooled = stage.loss(Says(False), batch)
    assert good < 0.01 < bad
    assert told["same"] == 1.0 and fooled["same"] < 0.5


def test_the_velocity_is_diffusers_velocity_and_counts_as_in_min_snr(made):
    _, shops = made
    shop = shops["pocket-sd21"]
    stage = shop.stage("unet")
    batch = stage.batch(3, torch.Generator().manual_seed(3))
    stage.kind = "eps"  # the same step, asked for the noise
    eps = stage.batch(3, torch.Generator().manual_seed(3))
    theirs = DDIMScheduler.from_config(
        {**shop.recipe.scheduler, "clip_sample": False, "set_alpha_to_one": False}
    )
    assert torch.equal(batch["xt"], eps["xt"])
    alpha_bar = theirs.alphas_cumprod[batch["t"]][:, None, None, None]
    x0 = (batch["xt"] - (1 - alpha_bar).sqrt() * eps["target"]) / alpha_bar.sqrt()
    velocity = theirs.get_velocity(x0, eps["target"], batch["t"])
    torch.testing.assert_close(batch["target"], velocity, atol=2e-3, rtol=1e-3)
    snr = (alpha_bar / (1 - alpha_bar)).flatten()
    for floor in (0.0, 1.0):  # at 1 noisy timesteps count as much as the velocity's squared error
        stage.plan = replace(stage.plan, snr_floor=floor)
        for kind, scale in (("v", snr + 1), ("eps", snr)):
            stage.kind = kind
            weight = stage.batch(3, torch.Generator().manual_seed(3))["weight"]
            counts = (snr + floor).clamp(max=5) / scale
            torch.testing.assert_close(weight, counts, atol=1e-4, rtol=1e-3)


def test_sdxl_is_told_sizes_and_sometimes_nothing(made):
    _, shops = made
    small, large = (shops["pocket-sdxl"].stage(name) for name in ("unet", "grow"))
    some = small.batch(0, torch.Generator().manual_seed(0))
    assert some["xt"].shape[-1] == 8 and some["time_ids"].unique(dim=0).tolist() == [
        [64, 64, 0, 0, 64, 64]
    ]
    more = large.batch(0, torch.Generator().manual_seed(0))
    assert more["xt"].shape[-1] == 16
    told = [frames.time_ids(large.recipe.frames, index) for index in range(12)]
    assert {tuple(map(int, row)) for row in more["time_ids"].tolist()} <= set(told)
    many = [large.batch(step, torch.Generator().manual_seed(step)) for step in range(40)]
    silent = torch.cat([batch["silent"] for batch in many])
    assert 0 < silent.float().mean() < 0.2
    tokens = torch.cat([batch["tokens"] for batch in many])
    empty = torch.tensor(large.reader.tokenizer("", padding="max_length").input_ids)
    assert (tokens[silent] == empty).all()
    arguments = large._told(tokens[:8], more["time_ids"].repeat(2, 1), torch.arange(8) % 2 == 0)
    pooled = arguments["added_cond_kwargs"]["text_embeds"]
    assert not arguments["encoder_hidden_states"][::2].any() and not pooled[::2].any()
    assert arguments["encoder_hidden_states"][1::2].any() and pooled[1::2].any()


def test_other_frames_are_encoded_anew_and_the_same_ones_are_not(made, tmp_path):
    _, shops = made
    shop = shops["pocket-sdxl"]
    vae, _ = shop._painter()
    work = Workshop(shop.recipe, tmp_path / "work", shop.accelerator, shop.exported)
    some = replace(shop.recipe.frames, count=3)
    for asked, kept in ((some, 1), (some, 1), (replace(some, cut=1.0), 2)):
        assert len(work.latents(vae, shown=asked)) == 3
        assert len(list(work.folder.glob("frames-*.safetensors"))) == kept


def test_growing_begins_where_the_small_pictures_ended(made):
    _, shops = made
    shop = shops["pocket-sdxl"]
    work = shop.folder.parent / "again"
    (work / "unet").mkdir(parents=True)
    for path in (shop.folder / "unet").glob("*.safetensors"):
        shutil.copy(path, work / "unet")
    new = Workshop(shop.recipe, work, shop.accelerator, shop.exported)
    stage = new.stage("grow")
    _, tensors, _ = checkpoints.load(work / "unet")
    average = checkpoints.part("average", tensors)
    assert all(torch.equal(t, average[n]) for n, t in stage.model.state_dict().items())
    assert all(parameter.requires_grad for parameter in stage.model.parameters())


@pytest.fixture
def taught(made, monkeypatch, tmp_path):
    """The first model with one more stage, in which the second one teaches it."""
    models, shops = made
    monkeypatch.setitem(RECIPES, "pocket-sd21", shops["pocket-sd21"].recipe)
    first = tiny()
    plan = Plan(
        steps=4, batch=8, rate=1e-3, warmup=1, teacher=Teacher("pocket-sd21", 0.75, 300, 500)
    )
    recipe = replace(first, plans={**first.plans, "taught": plan})
    folder = shutil.copytree(shops["pocket-sd21"].folder.parent / "tiny", tmp_path / "tiny")
    exported = shutil.copytree(models / "tiny", tmp_path / "models" / "tiny", symlinks=True)
    shop = Workshop(recipe, folder, shops["pocket-sd21"].accelerator, exported, models)
    shop.pictures.draw()
    return shop


def test_a_teacher_is_heard_where_there_is_much_noise(taught):
    stage, plain = taught.stage("taught"), taught.stage("unet")
    stage.plan = replace(stage.plan, by_weight=False)
    plain.plan = stage.plan
    batch = stage.batch(3, torch.Generator().manual_seed(3))
    assert all(
        torch.equal(batch[n], t)
        for n, t in plain.batch(3, torch.Generator().manual_seed(3)).items()
    )
    batch["t"] = torch.tensor([0, 200, 300, 400, 450, 500, 700, 999])
    share = torch.tensor([0, 0, 0, 0.375, 0.5625, 0.75, 0.75, 0.75])
    torch.testing.assert_close(stage.heard(batch["t"]), share)
    fading = replace(stage.plan.teacher, begin=100, full=200, fade=400, end=500)
    stage.plan, before = replace(stage.plan, teacher=fading), stage.plan
    heard = stage.heard(torch.tensor([0, 150, 200, 400, 450, 500, 999]))
    torch.testing.assert_close(heard, torch.tensor([0, 0.375, 0.75, 0.75, 0.375, 0, 0]))
    stage.plan = before

    class Answers(torch.nn.Module):
        """Repeats what it was given, so that its loss tells what it should have said."""

        def __init__(self, said):
            super().__init__()
            self.said = said

        def forward(self, *given, **told):
            return SimpleNamespace(sample=self.said)

    # What the teacher says, by diffusers' formula: the noise in xt, if v is right.
    unet, reader, kind = stage.teaching
    assert kind == "v" and stage.kind == "eps"
    words = reader.encoders[0](batch["tokens"]).last_hidden_state
    v = unet(batch["xt"], batch["t"], encoder_hidden_states=words).sample
    scheduler = DDIMScheduler(**taught.recipe.scheduler)
    alpha_bar = scheduler.alphas_cumprod[batch["t"]][:, None, None, None]
    eps = alpha_bar.sqrt() * v + (1 - alpha_bar).sqrt() * batch["xt"]
    share = share[:, None, None, None]
    target = share * eps + (1 - share) * batch["target"]
    loss, figures = stage.loss(Answers(target), batch)
    assert loss < 1e-6 and figures["plain"] < 1e-6
    assert stage.loss(Answers(batch["target"]), batch)[0] > 1e-4  # the picture's own noise isn't it
    assert plain.loss(Answers(batch["target"]), batch)[0] == 0
    assert not any(parameter.requires_grad for parameter in unet.parameters())


def test_the_card_says_where_the_teacher_was_heard():
    first, second = (
        RECIPES[name].plans["taught"].teacher for name in ("pocket-sd15", "pocket-sd21")
    )
    assert card_texts.taught(asdict(first)) == (
        "Where it was taught, 75% of the target at noisy timesteps (from 500 on; none below 300) "
        "was what pocket-sd21 made of the same latents."
    )
    said = card_texts.taught(asdict(second))
    assert "in between (from 150 to 500; none below 50, none above 700)" in said


def test_who_is_taught_begins_with_what_it_learnt_alone_and_says_by_whom(taught):
    _, tensors, _ = checkpoints.load(taught.folder / "unet")
    average = checkpoints.part("average", tensors)
    before = taught.stage("taught").model.state_dict()
    assert all(torch.equal(t, average[n]) for n, t in before.items())
    taught.train("taught")
    taught.export("taught", taught.exported)
    card = export_card.text(taught.exported)
    assert "75% of the target at noisy timesteps (from 500 on; none below 300) was what" in card
    assert "| U-Net, taught by pocket-sd21 | 4 | 32 |" in card and "| U-Net | 8 | 32 |" in card
    after = load_file(taught.exported / "unet" / "diffusion_pytorch_model.safetensors")
    changed = [name for name, t in before.items() if not torch.equal(t.half(), after[name])]
    assert len(changed) > 20
    taught.export("unet", taught.exported)  # what it learnt alone, once more
    assert "taught" not in json.loads((taught.exported / "recipe.json").read_text())["stages"]


def test_a_later_run_may_learn_from_other_scenes_and_the_card_says_from_which(taught):
    plain = taught.stage("unet")
    plan = replace(taught.recipe.plans["taught"], first=3000)
    taught.recipe = replace(taught.recipe, plans={**taught.recipe.plans, "taught": plan})
    stage, count = taught.stage("taught"), taught.recipe.pictures
    assert stage.pictures.caption(1, 5) == world.sample(seed=3001).caption(5)
    drawn = stage.pictures.batch(torch.tensor([1]))
    with torch.no_grad():
        mean = stage.vae.encode(drawn).latent_dist.mean
    assert torch.allclose(stage.latents.mean[1:2].float(), mean, atol=0.05)
    assert not torch.allclose(plain.latents.mean[1:2].float(), mean, atol=0.05)
    assert stage.latents.scaling_factor == plain.latents.scaling_factor
    taught.train("taught")
    taught.export("taught", taught.exported)
    said = f"learnt from other scenes, from number 3,000 to {3000 + count - 1:,}."
    card = export_card.text(taught.exported)
    assert f"U-Net, taught by pocket-sd21: the last run {said}" in card
    assert card.count("other scenes") == 1


def test_a_teacher_who_is_missing_or_speaks_of_other_latents_is_refused(taught, made, tmp_path):
    models, _ = made
    taught.models = tmp_path
    with pytest.raises(ValueError, match=r"tiny is taught by pocket-sd21, but .* train pocket-sd2"):
        taught.stage("taught")
    taught.models = shutil.copytree(models, tmp_path / "others", symlinks=True)
    path = taught.models / "tiny" / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["encoder.conv_in.weight"] += 0.1  # its latents aren't ours any more
    save_file(weights, path)
    with pytest.raises(
        ValueError, match=r"pocket-sd21 can't teach this tiny: .* another autoencod"
    ):
        taught.stage("taught")


def test_among_all_stages_one_without_its_teacher_is_left_out_with_the_reason(monkeypatch, capsys):
    done = []

    def train(stage, **_):
        if stage == "taught":
            raise UnfitTeacher("there is nobody.")
        done.append(stage)

    shop = SimpleNamespace(
        train=train,
        folder="here",
        recipe=RECIPES["pocket-sd15"],
        accelerator=SimpleNamespace(print=print, free_memory=lambda: None),
    )
    monkeypatch.setattr(run, "open_workshop", lambda *_: shop)
    assert run.run("pocket-sd15") == "here"
    assert done == ["tokenizer", "clip", "text", "sides", "sight", "vae", "unet", "decoder"]
    assert "taught is left out: there is nobody." in capsys.readouterr().out
    with pytest.raises(UnfitTeacher, match="nobody"):
        run.run("pocket-sd15", ["taught"])


def test_the_refiner_knows_low_noise_and_a_score(made):
    _, shops = made
    stage = shops["pocket-sdxl-refiner"].stage("unet")
    batches = [stage.batch(step, torch.Generator().manual_seed(step)) for step in range(30)]
    assert max(int(batch["t"].max()) for batch in batches) < 200
    ids = torch.cat([batch["time_ids"] for batch in batches])
    assert ids.shape[1] == 5
    scores = {float(side): float(score) for side, score in ids[:, [0, 4]].tolist()}
    assert scores == pytest.approx({32.0: 2.5, 64.0: 4.25, 128.0: 6.0})
    path = shops["pocket-sdxl-refiner"].folder / "unet" / "sample-0000004.png"
    assert Image.open(path).size == (8 * 128, 2 * 128)


# --- frames --------------------------------------------------------------------------------------


def test_a_frame_is_what_is_told_of_it():
    some = Frames(count=60, size=64, sides=(32, 48, 64), cut=0.5)
    told = [frames.time_ids(some, index) for index in range(some.count)]
    assert told == [frames.time_ids(some, index) for index in range(some.count)]
    assert {row[0] for row in told} == {32, 48, 64} and {row[4:] for row in told} == {(64, 64)}
    cut = [row for row in told if row[2] or row[3]]
    assert 15 < len(cut) < 45
    assert {value for row in cut for value in row[2:4]} == {0, 8, 16}
    for index, (side, _, top, left, *_) in enumerate(told[:12]):
        shown = frames.draw(some, index)
        scene = world.sample(seed=index).render(side)
        whole = (80, 80) if top or left else (64, 64)
        large = scene if scene.size == whole else scene.resize(whole, Image.Resampling.BICUBIC)
        assert shown.size == (64, 64)
        assert np.array_equal(
            np.asarray(shown), np.asarray(large)[top : top + 64, left : left + 64]
        )


def test_a_share_of_the_frames_has_its_full_size():
    def small(full):
        some = Frames(count=400, size=64, sides=(32, 48, 64), full=full)
        return np.mean([frames.time_ids(some, i)[0] < 64 for i in range(some.count)])

    assert small(full=0.0) == pytest.approx(2 / 3, abs=0.08)
    assert small(full=0.5) == pytest.approx(1 / 3, abs=0.08)
    assert small(full=1.0) == 0


def test_what_is_kept_of_pictures_is_named_after_them(tmp_path, monkeypatch):
    some = Frames(count=4, size=64, sides=(32, 64))
    names = {
        latents.named(shown)
        for shown in (
            *(some, replace(some, count=5), replace(some, full=0.5), replace(some, cut=0.0)),
            *(Pictures(tmp_path, 4, 32), Pictures(tmp_path, 5, 32), Pictures(tmp_path, 4, 64)),
            Pictures(tmp_path, 4, 32, first=1000),
        )
    }
    assert len(names) == 8
    assert latents.named(some) in names and latents.named(Pictures(tmp_path, 4, 32)) in names
    monkeypatch.setattr(world.Scene, "render", lambda scene, side: Image.new("RGB", (side, side)))
    assert latents.named(some) not in names  # Pocket World draws otherwise today
    assert latents.named(Pictures(tmp_path, 4, 32)) not in names


def test_small_originals_are_blurred_when_they_are_enlarged():
    def sharpness(side):
        some = Frames(count=20, size=128, sides=(side,), cut=0.0)
        shown = [np.asarray(frames.draw(some, i), dtype=float).mean(-1) for i in range(some.count)]
        return float(np.mean([np.abs(np.diff(one, n=2, axis=0)).mean() for one in shown]))

    assert sharpness(32) < sharpness(64) < sharpness(128)


def test_every_recipe_has_the_anatomy_that_it_mirrors():
    for name, recipe in RECIPES.items():
        unet = recipe.unet
        assert recipe.name == name
        if recipe.is_sdxl:
            width = 320 if recipe.is_refiner else 576
            ids = 5 if recipe.is_refiner else 6
            assert unet["down_block_types"][0] == "DownBlock2D"
            assert unet["projection_class_embeddings_input_dim"] == (
                recipe.projection + ids * unet["addition_time_embed_dim"]
            )
            assert recipe.frames.size == 8 * unet["sample_size"] == 256
        else:
            width = recipe.text["hidden_size"]
            assert unet["down_block_types"][-1] == "DownBlock2D"
        assert unet["cross_attention_dim"] == width
        assert unet["use_linear_projection"] == (name != "pocket-sd15")
    assert RECIPES["pocket-sd21"].scheduler["prediction_type"] == "v_prediction"
    assert {r.scheduler["prediction_type"] for n, r in RECIPES.items() if n != "pocket-sd21"} == {
        "epsilon"
    }
