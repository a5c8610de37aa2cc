"""The parts of the training: recipe, order, average, prefetch, tokenizer, and the four stages."""

import json
import threading
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_recipe import tiny
from transformers import AutoTokenizer, CLIPTokenizer

from sdlearn import world
from sdlearn._resources import data_dir
from sdlearn.training import log, loop, run
from sdlearn.training.ahead import ahead
from sdlearn.training.average import Average
from sdlearn.training.falsehoods import falsehoods, falsified
from sdlearn.training.meeting import Reading, without_ties
from sdlearn.training.pictures import Pictures, order
from sdlearn.training.plans import Plan
from sdlearn.training.prose import prose
from sdlearn.training.recipes import POCKET_SD15
from sdlearn.training.tokenizer import train_tokenizer
from sdlearn.training.vae import VAEStage
from sdlearn.training.workshop import Workshop

# --- the recipe ----------------------------------------------------------------------------------


def test_the_rate_rises_stays_and_falls():
    plan = Plan(steps=100, batch=1, rate=2.0, warmup=10, decay=0.2)
    rates = [plan.rate_at(step) for step in range(100)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert rates[9:81] == [2.0] * 72
    assert rates[81:] == pytest.approx([2.0 * (100 - step) / 20 for step in range(81, 100)])
    assert plan.rate_at(100) == 0.0
    assert Plan(steps=10, batch=1, rate=1.0, warmup=0, decay=0.0).rate_at(0) == 1.0


def test_the_recipe_has_the_anatomy_that_it_mirrors():
    unet = POCKET_SD15.unet
    assert unet["cross_attention_dim"] == POCKET_SD15.text["hidden_size"]
    assert POCKET_SD15.size == 8 * unet["sample_size"] == POCKET_SD15.vae["sample_size"]
    assert 2 ** (len(POCKET_SD15.vae["block_out_channels"]) - 1) == 8
    assert set(POCKET_SD15.plans) == {
        "clip",
        "text",
        "sides",
        "sight",
        "vae",
        "unet",
        "taught",
        "decoder",
    }


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("sd15",), "no recipe for 'sd15'. There is: pocket-sd15, pocket-sd21"),
        (
            ("pocket-sd15", ["unte"]),
            "no stage 'unte'. Stages: tokenizer, clip, text, sides, sight, vae",
        ),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        run.run(*arguments)


# --- what a step sees ----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "batch"), [(24, 5), (24, 8), (10, 32)])
def test_every_scene_comes_once_before_any_comes_again(count, batch):
    stream = torch.cat([order(count, batch, step, seed=3) for step in range(3 * count)])
    assert len(stream) == 3 * count * batch
    rounds = stream[: len(stream) // count * count].reshape(-1, count)
    for one in rounds:
        assert sorted(one.tolist()) == list(range(count))
    assert not torch.equal(rounds[0], rounds[1])
    assert not torch.equal(order(count, batch, 0, 3), order(count, batch, 0, 4))
    assert torch.equal(order(count, batch, 7, 3), order(count, batch, 7, 3))


def test_pictures_are_drawn_once_and_are_the_scenes(tmp_path):
    pictures = Pictures(tmp_path, 5, 64)
    pictures.draw()
    (chunk,) = tmp_path.iterdir()
    written = chunk.stat().st_mtime_ns
    Pictures(tmp_path, 5, 64).draw()
    assert chunk.stat().st_mtime_ns == written
    values = pictures.batch(torch.tensor([4, 1]))
    assert values.shape == (2, 3, 64, 64) and values.min() >= -1 and values.max() <= 1
    drawn = np.asarray(world.sample(seed=4).render(64))
    assert np.array_equal(((values[0] + 1) * 127.5).round().byte().permute(1, 2, 0), drawn)
    assert pictures.caption(4, 9) == world.sample(seed=4).caption(9)
    with pytest.raises(ValueError, match="multiple"):
        Pictures(tmp_path, 1500, 64)


def test_pictures_may_begin_with_a_later_scene(tmp_path):
    early, late = Pictures(tmp_path, 5, 64), Pictures(tmp_path, 5, 64, first=2000)
    early.draw()
    late.draw()
    assert len(list(tmp_path.iterdir())) == 2
    drawn = np.asarray(world.sample(seed=2003).render(64))
    values = late.batch(torch.tensor([3]))
    assert np.array_equal(((values[0] + 1) * 127.5).round().byte().permute(1, 2, 0), drawn)
    assert not torch.equal(values, early.batch(torch.tensor([3])))
    assert late.caption(3, 9) == world.sample(seed=2003).caption(9)
    for wrong in (-1000, 500):
        with pytest.raises(ValueError, match=f"multiple of 1000, got {wrong}"):
            Pictures(tmp_path, 5, 64, first=wrong)


def test_pictures_of_another_pocket_world_are_refused(tmp_path):
    Pictures(tmp_path, 5, 64).draw()
    (chunk,) = tmp_path.iterdir()
    np.save(chunk, np.load(chunk)[::-1])
    with pytest.raises(ValueError, match="not those that Pocket World draws today"):
        Pictures(tmp_path, 5, 64).draw()


def test_batches_are_made_one_step_ahead_and_in_order():
    made, gate = [], threading.Event()

    def make(step):
        made.append(step)
        if step == 1:
            gate.set()
        return step

    batches = ahead(make, range(5))
    assert next(batches) == 0
    assert gate.wait(10)  # the second is made though nobody has asked for it
    assert list(batches) == [1, 2, 3, 4] and made == list(range(5))
    assert list(ahead(make, range(0))) == []


def test_an_error_in_a_batch_arrives():
    def make(step):
        raise KeyError("no such scene")

    with pytest.raises(KeyError, match="no such scene"):
        list(ahead(make, range(3)))


# --- the average ---------------------------------------------------------------------------------


def test_the_average_follows_its_formula():
    model = torch.nn.Linear(3, 2)
    average = Average(model, keep=0.9)
    expected = {name: p.detach().clone() for name, p in model.named_parameters()}
    for step in range(200):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1)
        average.update(model, step)
        keep = min(0.9, (1 + step) / (10 + step))
        expected = {
            name: keep * expected[name] + (1 - keep) * p.detach()
            for name, p in model.named_parameters()
        }
    for name, weight in average.weights.items():
        torch.testing.assert_close(weight, expected[name])


def test_the_average_is_lent_and_given_back():
    model = torch.nn.Linear(3, 2)
    average = Average(model, keep=0.5)
    before = model.weight.detach().clone()
    with torch.no_grad():
        average.weights["weight"].zero_()
    with pytest.raises(RuntimeError, match="sample"), average.shown_by(model):
        assert not model.training and not model.weight.any()
        raise RuntimeError("a sample went wrong")
    assert model.training and torch.equal(model.weight, before)


# --- the log -------------------------------------------------------------------------------------


def test_the_log_forgets_what_came_after_the_checkpoint(tmp_path):
    path = tmp_path / "log.csv"
    writer = log.Log(path, 0)
    for step in (1, 2, 3):
        writer.write(step, 1 / step, 10.0, 1e-3, {"psnr": step})
    with open(path, "a") as file:
        file.write("4,0.2")  # a crash in the middle of a line
    log.Log(path, 2)
    assert log.read(path) == {"step": [1, 2], "loss": [1.0, 0.5], "psnr": [1.0, 2.0]}


# --- the tokenizer -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens") / "tokenizer"
    recipe = tiny(vocabulary=POCKET_SD15.vocabulary, pictures=3000)
    train_tokenizer(recipe, prose(), folder)
    return folder


def slow(folder):
    """CLIP's tokenizer as its authors wrote it down: join the pair that was learnt first."""
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    rank = {tuple(line.split()): number for number, line in enumerate(lines)}
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {b: chr(b) for b in printable} | {b: chr(256 + n) for n, b in enumerate(others)}

    @lru_cache
    def joined(word):
        pieces = [letters[byte] for byte in word.encode("utf-8")]
        pieces[-1] += "</w>"
        while len(pieces) > 1:
            best = min(pairwise(pieces), key=lambda p: rank.get(p, 10**9))
            if best not in rank:
                break
            at = list(pairwise(pieces)).index(best)
            pieces[at : at + 2] = ["".join(best)]
        return [vocabulary[piece] for piece in pieces]

    def ids(text):
        found = [vocabulary["<|startoftext|>"]]
        for word in text.lower().split():
            found += joined(word)
        return [*found, vocabulary["<|endoftext|>"]]

    return ids


def test_it_is_clips_tokenizer_fast_and_slow_alike(tokenizer):
    """Slow: the algorithm as published, over the two files; fast: what transformers makes."""
    reference = slow(tokenizer)
    loaded = (CLIPTokenizer.from_pretrained(tokenizer), AutoTokenizer.from_pretrained(tokenizer))
    texts = [world.sample(seed=seed).caption(seed).replace(",", " ,") for seed in range(200)]
    texts += ["A Photograph of an ASTRONAUT riding a horse", "dreambeach", "zebra crêpe 🦊 日本"]
    for text in texts:
        for fast in loaded:
            assert fast(text).input_ids == reference(text), text


def test_captions_are_short_and_come_back(tokenizer):
    read = CLIPTokenizer.from_pretrained(tokenizer)
    for seed in range(100):
        caption = world.sample(seed=seed).caption(seed)
        ids = read(caption).input_ids
        back = read.decode(ids, skip_special_tokens=True)
        assert back.replace(" ,", ",") == caption
        assert len(ids) <= 2 + 1.3 * len(caption.replace(",", " ,").split())


def test_dreambeach_is_not_dream_beach():
    """In the committed tokenizer: a new one's last words hang on the prose that it learns from."""
    read = CLIPTokenizer.from_pretrained(data_dir() / "models" / "pocket-sd15" / "tokenizer")
    one, two = (read.tokenize(text) for text in ("dreambeach", "dream beach"))
    assert two == ["dream</w>", "beach</w>"]
    assert one != two and one[-1].endswith("</w>") and not one[0].endswith("</w>")


def test_limits_padding_and_strange_texts(tokenizer):
    read = CLIPTokenizer.from_pretrained(tokenizer)
    assert read.model_max_length == 77
    long = read("cat " * 500, truncation=True).input_ids
    assert len(long) == 77 and long[-1] == read.eos_token_id
    empty = read("", padding="max_length").input_ids
    assert empty == [read.bos_token_id] + [read.eos_token_id] * 76
    assert read("a\n\n red\tcat").input_ids == read("A red CAT").input_ids
    for text in ("🦊🦊", "über", "日本", "\u200b", "a\x00b"):
        ids = read(text).input_ids
        assert len(ids) > 2 and max(ids) < len(read)
        assert read.decode(ids, skip_special_tokens=True).replace(" ", "") == text
    assert [read.bos_token_id, read.eos_token_id] == [len(read) - 2, len(read) - 1]


def test_a_tokenizer_that_was_cut_short_is_made_anew(tmp_path, monkeypatch):
    folder = tmp_path / "tokenizer"
    monkeypatch.setattr(CLIPTokenizer, "save_pretrained", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_tokenizer(tiny(), ["a cat"], folder)
    assert not folder.exists()
    monkeypatch.undo()
    assert len(train_tokenizer(tiny(), ["a cat"], folder)) <= 700
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer"]


# --- CLIP ----------------------------------------------------------------------------------------


def test_a_false_caption_is_false():
    """It says another picture: not the same facts, from whichever subject one tells them."""
    roles = set()
    for seed in range(1500):
        scene = world.sample(seed=seed)
        false = falsified(scene, seed)
        assert false == falsified(scene, seed)
        assert false.caption() != scene.caption()
        before, after = scene.facts(), false.facts()
        differ = {name for name in before if before[name] != after[name]}
        assert 1 <= len(differ) <= 2
        roles |= {name.split()[-1] for name in differ}
    assert roles == {"kind", "colour", "accessory", "relation", "place", "style"}


def test_twins_that_change_places_are_still_the_same_picture():
    twins = world.Scene((world.Subject("cat", "red"), world.Subject("cat", "red")), "left of")
    for seed in range(300):
        false = falsified(twins, seed)
        assert not false.same_facts(twins.replace(relation="right of"))


def test_a_false_caption_is_seen_to_be_false():
    """The checker, shown the true picture, says no to what the false caption states."""
    scenes = [world.sample(seed=seed) for seed in range(60)]
    readings = world.read_all([scene.render() for scene in scenes])
    caught = [
        not world.check(reading, falsified(scene, 5)).ok
        for scene, reading in zip(scenes, readings, strict=True)
    ]
    assert sum(caught) >= 58


def test_falsehoods_begin_with_the_same_words_in_other_places():
    pairs = 0
    for seed in range(300):
        scene = world.sample(seed=seed)
        made = falsehoods(scene, seed)
        assert len(made) == 3 and made == falsehoods(scene, seed)
        assert not any(false.same_facts(scene) for false in made)
        if len(scene.subjects) == 2 and len({subject.colour for subject in scene.subjects}) == 2:
            pairs += 1
            colours = [subject.colour for subject in scene.subjects]
            assert [subject.colour for subject in made[0].subjects] == colours[::-1]
            assert made[1] == scene.replace(relation=made[1].relation)
            assert made[1].relation != scene.relation
    assert pairs > 50
    twins = world.Scene((world.Subject("cat", "red"), world.Subject("cat", "red")), "left of")
    assert not any(
        false.same_facts(twins.replace(relation="right of")) for false in falsehoods(twins, 1)
    )


def test_ties_are_no_mistakes():
    logits = torch.zeros(2, 4)
    tokens = torch.tensor([[1, 2], [1, 2], [5, 6], [1, 2]])
    free = without_ties(logits, tokens)
    assert free[0].tolist() == [0, -1e4, 0, -1e4]
    assert free[1].tolist() == [-1e4, 0, 0, -1e4]
    assert not logits.any()


# --- VAE and U-Net -------------------------------------------------------------------------------


def test_the_autoencoder_learns_from_pieces_on_the_grid_of_latents(trained):
    pictures = Pictures(trained / "pictures", 24, 64)
    pictures.draw()
    stage = VAEStage(tiny(), pictures)
    corners = set()
    for step in range(6):
        batch = stage.batch(step, torch.Generator().manual_seed(step))
        assert batch["pictures"].shape == (4, 3, 32, 32) and batch["eps"].shape == (4, 4, 4, 4)
        whole = pictures.batch(order(24, 4, step, 0))
        for piece, picture in zip(batch["pictures"], whole, strict=True):
            places = [
                (y, x)
                for y in range(33)
                for x in range(33)
                if torch.equal(picture[:, y : y + 32, x : x + 32], piece)
            ]
            assert [(y, x) for y, x in places if y % 8 == x % 8 == 0]
            corners |= set(places)
    assert len(corners) > 5


def test_the_unet_draws_a_sheet_of_samples(trained):
    picture = Image.open(trained / "unet" / "sample-0000008.png")
    assert picture.size == (8 * 64, 2 * 64)
    assert np.asarray(picture).std() > 0
    assert Image.open(trained / "vae" / "sample-0000008.png").size == (10 * 64, 2 * 64)


def test_latents_have_variance_one(copied, accelerator):
    workshop = Workshop(tiny(), copied(), accelerator())
    stage = workshop.stage("unet")
    everything = torch.arange(24)
    eps = torch.randn(24, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert stage.latents.draw(everything, eps).var() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("floor", [0.0, 1.0], ids=["min-SNR", "noisy times count too"])
def test_a_step_of_the_unet_is_what_the_papers_say(floor, copied, accelerator):
    plans = {**tiny().plans, "unet": replace(tiny().plans["unet"], snr_floor=floor)}
    workshop = Workshop(tiny(captions_dropped=0.5, plans=plans), copied(), accelerator())
    workshop.pictures.draw()
    stage = workshop.stage("unet")
    batches = [stage.batch(step, torch.Generator().manual_seed(step)) for step in range(30)]
    t = torch.cat([batch["t"] for batch in batches])
    assert t.min() < 200 and t.max() > 800
    alpha_bar = stage.schedule.alpha_bars[t].float()
    snr = alpha_bar / (1 - alpha_bar)
    weight = torch.cat([batch["weight"] for batch in batches])
    # An error of the noise, seen as one of the picture, is `snr` times as small.
    counts = (snr + floor).clamp(max=5.0)
    torch.testing.assert_close(weight, counts / snr, atol=1e-4, rtol=1e-3)
    xt, eps = (torch.cat([batch[name] for batch in batches]) for name in ("xt", "target"))
    x0 = (xt - (1 - alpha_bar).sqrt()[:, None, None, None] * eps) / alpha_bar.sqrt()[
        :, None, None, None
    ]
    assert x0[t < 900].var() == pytest.approx(1.0, abs=0.3)
    tokens = torch.cat([batch["tokens"] for batch in batches])
    empty = torch.tensor(stage.reader.tokenizer("", padding="max_length").input_ids)
    assert 0.3 < (tokens == empty).all(1).float().mean() < 0.7


def test_timesteps_drawn_by_weight_ask_for_the_same_with_less_chance(copied, accelerator):
    plan = replace(tiny().plans["unet"], snr_floor=1.0, weight_limit=40.0)
    folder, stages = copied(), []
    for by_weight in (False, True):
        plans = {**tiny().plans, "unet": replace(plan, by_weight=by_weight, batch=20)}
        stages.append(Workshop(tiny(plans=plans), folder, accelerator()).stage("unet"))
        stages[-1].pictures.draw()
    alike, drawn = (
        [stage.batch(step, torch.Generator().manual_seed(step)) for step in range(60)]
        for stage in stages
    )
    t = torch.cat([batch["t"] for batch in alike])
    alpha_bar = stages[0].schedule.alpha_bars.float()
    snr = alpha_bar / (1 - alpha_bar)
    limited = ((snr + 1).clamp(max=5.0) / snr).clamp(max=40.0)
    torch.testing.assert_close(
        torch.cat([b["weight"] for b in alike]), limited[t], rtol=1e-3, atol=0
    )

    # Noisy timesteps come more often and count as much less: the sum of all is what it was.
    times = torch.cat([batch["t"] for batch in drawn])
    expected = limited ** (1 / 3) / (limited ** (1 / 3)).mean()
    assert (times >= 800).float().mean() == pytest.approx(
        float(expected[800:].sum()) / 1000, abs=0.02
    )
    weight = torch.cat([batch["weight"] for batch in drawn])
    torch.testing.assert_close(weight, limited[times] / expected[times], rtol=1e-3, atol=0)
    late = weight[times >= 800].sum() / len(times)
    assert late == pytest.approx(float(limited[800:].sum()) / 1000, rel=0.05)

    means = [torch.stack([b["weight"].mean() for b in batches]) for batches in (alike, drawn)]
    assert means[1].mean() == pytest.approx(float(limited.mean()), rel=0.02)
    assert means[1].std() < means[0].std() / 5


def test_the_words_are_read_beside_the_last_token(copied, accelerator):
    workshop = Workshop(tiny(), copied("text"), accelerator())
    workshop.pictures.draw()
    first, stage = workshop.stage("clip"), workshop.stage("text")
    loop.averaged(first.model, workshop.folder / "clip")
    weights = stage.clip.state_dict()
    assert all(torch.equal(t, weights[n]) for n, t in first.clip.state_dict().items())
    assert not any(p.requires_grad for p in stage.clip.vision_model.parameters())

    captions = ["a red cat", "a big blue house at night"]
    tokens = stage.tokenizer(captions, padding=True, return_tensors="pt").input_ids
    with torch.no_grad():
        (last, words), scale = stage.model(tokens)
        as_clip, same = Reading(stage.clip)(tokens)
        state = stage.clip.text_model(tokens).last_hidden_state
        alone = stage.tokenizer(captions[0]).input_ids
        mean = stage.clip.text_projection(state[0, 1 : len(alone) - 1].mean(0))
    torch.testing.assert_close(last, as_clip)
    assert torch.equal(scale, same)
    torch.testing.assert_close(words[0], mean / mean.norm())  # no start, no end, no padding


def test_words_that_say_nothing_cost_as_much_as_a_last_token_that_does(copied, accelerator):
    workshop = Workshop(tiny(), copied(), accelerator())
    workshop.pictures.draw()
    stage = workshop.stage("text")
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    batch["seen"] = torch.eye(16)[:8]
    own, wrong = torch.eye(16)[:8], torch.eye(16)[8:]
    good, bad = torch.cat([own, own, wrong]), torch.cat([wrong, own, own])

    def cost(last, words):
        told = (torch.stack([last, words]), torch.tensor(10.0))
        return float(stage.loss(lambda tokens: told, batch)[0])

    assert cost(good, good) < cost(good, bad) < cost(bad, bad)
    assert cost(good, bad) == pytest.approx(cost(bad, good))


def test_a_caption_may_be_told_from_either_side_and_its_words_move_little(copied, accelerator):
    workshop = Workshop(tiny(), copied("sides"), accelerator())
    workshop.pictures.draw()
    stage = workshop.stage("sides")
    told, kept = [], stage.tokenizer
    stage.tokenizer = lambda captions, **how: told.extend(captions) or kept(captions, **how)
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    stage.tokenizer = kept
    assert batch["tokens"].shape[:2] == (8, 4)
    turned = 0
    for number in range(0, len(told), 4):
        said, otherwise, *false = (world.parse(text) for text in told[number : number + 4])
        assert said.caption() not in {one.caption() for one in false}
        if len(said.subjects) == 2 and said.subjects[0].kind != said.subjects[1].kind:
            turned += said.subjects[0].kind == otherwise.subjects[1].kind
    assert turned

    loss, figures = stage.loss(stage.model, batch)
    assert figures["moved"] == 0
    loss.backward()
    assert not any(weight.grad is not None for weight in stage.before.parameters())
    with torch.no_grad():
        for weight in stage.clip.text_model.encoder.layers[0].parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    assert stage.loss(stage.model, batch)[1]["moved"] > 0


def test_what_reads_stays_while_the_other_half_learns_to_see(copied, accelerator):
    workshop = Workshop(tiny(), copied("sight"), accelerator())
    workshop.pictures.draw()
    read, stage = workshop.stage("sides"), workshop.stage("sight")
    loop.averaged(read.model, workshop.folder / "sides")
    before = read.clip.state_dict()
    assert all(torch.equal(t, before[n]) for n, t in stage.clip.state_dict().items())
    workshop.train("sight")
    loop.averaged(stage.model, workshop.folder / "sight")
    after = stage.clip.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if not name.startswith("vis")} <= same
    learnt = {name for name in before if name.startswith("vis") and "position_ids" not in name}
    assert not learnt & same


def test_a_picture_must_find_its_caption_among_what_it_was_made_false_to(copied, accelerator):
    workshop = Workshop(tiny(), copied(), accelerator())
    workshop.pictures.draw()
    stage = workshop.stage("sight")
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    assert batch["tokens"].shape[:2] == (8, 4)
    with torch.no_grad():
        read, _ = stage.reading(batch["tokens"].flatten(0, 1))
    true, false = read.unflatten(0, (8, 4))[:, 0], read.unflatten(0, (8, 4))[:, 1]
    costs, own = [], []
    for seen in (true, (true + false) / 2, false):
        loss, figures = stage.loss(lambda pictures, seen=seen: seen, batch)
        costs.append(float(loss))
        own.append(float(figures["own"]))
    assert costs == sorted(costs) and own[0] == 1 and own[-1] < 0.5


def test_a_stage_without_what_it_needs_says_what_to_train_first(copied, accelerator):
    with pytest.raises(FileNotFoundError, match="Train this stage first: --stage clip"):
        Workshop(tiny(), copied("clip"), accelerator()).train("unet")
