"""CLIP, whole: the two halves joined, the published form, and wrong calls."""

import json
import shutil
import warnings

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionModelWithProjection

import sdlearn as sd
from sdlearn import world
from sdlearn.models import catalogue, clip
from sdlearn.training.falsehoods import changed
from sdlearn.world.facts import OPPOSITE

POCKET = catalogue.pocket_dir() / "pocket-sd15"
HALF = catalogue.pocket_dir() / "pocket-clip"
SCENES = [world.sample(5 * 10**9 + i) for i in range(6)]
PICTURES = [scene.render(128) for scene in SCENES]
CAPTIONS = [scene.caption() for scene in SCENES]


@pytest.fixture(scope="module")
def pair():
    return clip.load("pocket-sd15", device="cpu")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A CLIP of a few thousand random weights, as transformers keeps one."""
    folder = tmp_path_factory.mktemp("whole") / "clip"
    tokenizer = tiny.tokenizer()
    shared = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2}
    text = {"vocab_size": len(tokenizer), "num_attention_heads": 4, "eos_token_id": 2, **shared}
    vision = {"image_size": 32, "patch_size": 8, "num_attention_heads": 4, **shared}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
        CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


# --- a pocket pair ------------------------------------------------------------------------------


def test_vectors_are_of_length_one_and_in_the_order_asked(pair):
    seen, read = pair.pictures(PICTURES), pair.captions(CAPTIONS)
    assert seen.shape == read.shape == (len(SCENES), pair.width)
    for vectors in (seen, read):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(SCENES)))
        assert not vectors.requires_grad
    torch.testing.assert_close(pair.pictures(PICTURES[3])[0], seen[3], atol=1e-5, rtol=0)
    torch.testing.assert_close(pair.captions(CAPTIONS[4])[0], read[4], atol=1e-5, rtol=0)


def test_pictures_find_their_captions(pair):
    fits = pair.similarity(PICTURES, CAPTIONS)
    assert fits.argmax(1).tolist() == list(range(len(SCENES)))
    assert float(fits.abs().max()) <= 1 + 1e-6


def test_it_knows_what_stands_where(pair):
    """Against its caption with the colours exchanged, and with the relation turned round."""
    scenes = (world.sample(6 * 10**9 + i, heldout=True) for i in range(1000))
    pairs = [s for s in scenes if len({subject.colour for subject in s.subjects}) == 2][:60]
    told = [
        [one.caption() for one in (scene, changed(scene, "swap colours", 0), turned(scene))]
        for scene in pairs
    ]
    seen = pair.pictures([scene.render(128) for scene in pairs])
    read = pair.captions([caption for three in told for caption in three])
    best = torch.einsum("nw,ncw->nc", seen, read.unflatten(0, (60, 3))).argmax(1)
    assert (best == 0).float().mean() > 0.7  # by chance a third


def turned(scene):
    return scene.replace(relation=OPPOSITE[scene.relation])


def test_similarity_takes_vectors_as_well(pair):
    seen, read = pair.pictures(PICTURES), pair.captions(CAPTIONS)
    expected = pair.similarity(PICTURES, CAPTIONS)
    torch.testing.assert_close(pair.similarity(seen, read), expected)
    torch.testing.assert_close(pair.similarity(7 * seen, CAPTIONS), expected)  # angles, not lengths


def test_it_says_what_the_two_halves_say_by_themselves(pair):
    """Side by side with transformers' own loading of the two halves."""
    vision = CLIPVisionModelWithProjection.from_pretrained(HALF / "vision_model").float().eval()
    pixels = np.stack([np.asarray(picture) for picture in PICTURES])
    pixels = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        seen = torch.nn.functional.normalize(vision(pixels).image_embeds, dim=-1)
    torch.testing.assert_close(pair.pictures(PICTURES), seen, atol=1e-4, rtol=0)

    meeting = load_file(HALF / "vision_model" / clip.MEETING)
    model = sd.load("pocket-sd15", device="cpu")
    pooled = model.encode(CAPTIONS).pooled  # padded to all 77 places, and still the same
    read = torch.nn.functional.normalize(pooled @ meeting["text_projection"].float().T, dim=-1)
    torch.testing.assert_close(pair.captions(CAPTIONS), read, atol=1e-4, rtol=0)
    assert pair.scale == pytest.approx(float(meeting["logit_scale"].exp()))


def test_its_text_encoder_is_the_models_own(pair):
    ours = pair.network.text_model.state_dict()
    theirs = sd.load("pocket-sd15", device="cpu").parts.text_encoder.state_dict()
    assert {name.removeprefix("text_model.") for name in theirs} == set(ours)
    assert all(torch.equal(ours[n.removeprefix("text_model.")], t) for n, t in theirs.items())


def test_loading_draws_no_random_numbers_and_trains_nothing():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    pair = clip.load("pocket-sd15", device="cpu")
    assert torch.equal(before, torch.get_rng_state())
    assert not pair.network.training
    assert {p.dtype for p in pair.network.parameters()} == {torch.float32}


def test_more_than_fits_at_once(pair, monkeypatch):
    seen, read = pair.pictures(PICTURES), pair.captions(CAPTIONS)
    monkeypatch.setattr(clip, "AT_ONCE", 4)
    torch.testing.assert_close(pair.pictures(PICTURES), seen, atol=1e-5, rtol=0)
    torch.testing.assert_close(pair.captions(CAPTIONS), read, atol=1e-5, rtol=0)


def test_pictures_of_other_sizes_and_forms(pair):
    scene = SCENES[0]
    large, wide = scene.render(256), Image.new("RGB", (160, 128), "white")
    wide.paste(PICTURES[0], (16, 0))
    vector = pair.pictures(PICTURES[0])
    assert float(pair.pictures(large) @ vector.T) > 0.9
    torch.testing.assert_close(pair.pictures(wide), vector, atol=1e-5, rtol=0)  # its ends are cut
    assert pair.pictures(Image.new("L", (33, 50))).shape == (1, pair.width)


def test_the_model_of_the_environment_is_taken(monkeypatch):
    monkeypatch.setenv("SDLEARN_MODEL", str(POCKET))
    assert clip.load(device="cpu").name == "pocket-sd15"
    assert sd.models.clip is clip and "clip" in dir(sd.models)


def test_it_shows_itself_without_naming_a_place(pair):
    shown = repr(pair)
    assert "pocket-sd15" in shown and "128x128" in shown and str(POCKET.parent) not in shown


def test_a_caption_that_is_too_long_is_warned_of(pair):
    with pytest.warns(UserWarning, match=r"never sees: 'at night'"):
        pair.captions("red " * 75 + "at night")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pair.captions("red " * 75)


def test_one_new_vector_can_be_trained_through_the_frozen_rest(pair):
    table = pair.network.text_model.embeddings.token_embedding
    number = pair.tokenizer.convert_tokens_to_ids("z</w>")
    new = table.weight[number].clone().requires_grad_(True)

    def insert(module, inputs, output):
        return torch.where((inputs[0] == number)[..., None], new, output)

    hook = table.register_forward_hook(insert)
    try:
        pair.similarity(PICTURES, "a z").sum().backward()
    finally:
        hook.remove()
    assert float(new.grad.norm()) > 0
    assert all(parameter.grad is None for parameter in pair.network.parameters())


# --- a whole one, as published ------------------------------------------------------------------


def test_a_whole_clip_answers_as_transformers_does(whole):
    pair = clip.load(whole, device="cpu")
    model = CLIPModel.from_pretrained(whole).eval()
    picture = SCENES[0].render(32)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (pair.mean, pair.std))
    ids = pair.tokenizer(["a red cat"], return_tensors="pt").input_ids
    with torch.no_grad():
        answer = model(input_ids=ids, pixel_values=(pixels - mean) / std)
    ours = pair.similarity(picture, "a red cat") * pair.scale
    torch.testing.assert_close(ours, answer.logits_per_image, atol=1e-4, rtol=0)
    assert pair.mean == (0.48, 0.46, 0.41)


def test_a_published_models_other_half_is_found_in_the_cache(cache, whole, tmp_path):
    cache("stable-diffusion-v1-5/stable-diffusion-v1-5")
    with pytest.raises(FileNotFoundError, match="hf download openai/clip-vit-large-patch14"):
        clip.load("sd15")
    place = tmp_path / "hub" / "models--openai--clip-vit-large-patch14"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0a")
    shutil.copytree(whole, place / "snapshots" / "0a")
    pair = clip.load("sd15", device="cpu")
    assert pair.name == "sd15" and pair.size == 32


def test_the_refiner_reads_with_the_second_encoder_of_sdxl(cache):
    for repository, kind, whole in (
        ("refiner", "sdxl-refiner", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"),
        ("base", "sdxl", "openai/clip-vit-large-patch14"),
    ):
        cache(f"stabilityai/stable-diffusion-xl-{repository}-1.0", kind)
        with pytest.raises(FileNotFoundError, match=f"hf download {whole}"):
            clip.load(kind)


def test_the_other_half_can_be_named(whole, folders):
    assert clip.load(folders["sd1"], other_half=whole, device="cpu").name == "sd1"
    assert clip.load(POCKET, other_half=HALF, device="cpu").width == 128


# --- wrong calls --------------------------------------------------------------------------------


def test_a_model_of_which_nothing_is_known(folders):
    with pytest.raises(FileNotFoundError, match=r"Nothing says which CLIP .* other_half=folder"):
        clip.load(folders["sd1"])


def test_a_pocket_model_whose_other_half_is_missing(tmp_path):
    alone = shutil.copytree(POCKET, tmp_path / "pocket-sd15")
    with pytest.raises(FileNotFoundError, match="the half of its CLIP that sees pictures"):
        clip.load(alone)


def test_a_folder_that_is_no_half(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no half of a CLIP"):
        clip.load(POCKET, other_half=tmp_path)


def test_halves_that_do_not_belong_together(tmp_path):
    half = shutil.copytree(HALF, tmp_path / "half")
    config = half / "vision_model" / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 192', '"hidden_size": 96'))
    with pytest.raises(ValueError, match="they are not of one model"):
        clip.load(POCKET, other_half=half)


@pytest.mark.parametrize(
    ("pictures", "error", "words"),
    [
        ("cat.png", TypeError, "must be a PIL picture"),
        ([], ValueError, "empty list"),
        ([PICTURES[0], PICTURES[0].resize((64, 64))], ValueError, "of one size"),
        (None, TypeError, "NoneType"),
    ],
)
def test_what_is_no_picture(pair, pictures, error, words):
    with pytest.raises(error, match=words):
        pair.pictures(pictures)
    with pytest.raises(error, match=words):
        pair.similarity(pictures, "a red cat")


@pytest.mark.parametrize(
    ("captions", "error", "words"),
    [
        (7, TypeError, "captions must be a text or a list of texts, got int"),
        ([], ValueError, "captions is an empty list"),
        (["a red cat", 7], TypeError, "captions must hold texts"),
    ],
)
def test_what_is_no_caption(pair, captions, error, words):
    with pytest.raises(error, match=words):
        pair.captions(captions)


@pytest.mark.parametrize("shape", [(128,), (3, 256), (1, 2, 128)])
def test_vectors_of_another_shape(pair, shape):
    with pytest.raises(ValueError, match=r"must be vectors \[captions, 128\]"):
        pair.similarity(PICTURES, torch.ones(shape))
