"""The measures of SDXL's conditioning, on drawings that do what they are told, or don't."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from sdlearn import world
from sdlearn.training import card, conditioning, frames
from sdlearn.training.plans import Frames

SIZES = Frames(count=8, size=256, sides=(64, 128, 256))


def honest(texts, seeds, original_size=(256, 256), crop=(0, 0)):
    """Draws as the training's pictures were made."""
    drawn = []
    for text, seed in zip(texts, seeds, strict=True):
        side, (top, left) = original_size[0], crop
        size = frames.enlarged(SIZES) if top or left else 256
        whole = (
            conditioning.drawing(text, seed)
            .render(side)
            .resize((size, size), Image.Resampling.BICUBIC)
        )
        drawn.append(whole.crop((left, top, left + 256, top + 256)))
    return drawn


def deaf(texts, seeds, **told):
    """Draws well, whatever it is told of sizes."""
    return honest(texts, seeds)


def blurred(texts, seeds, **told):
    """Draws as a model does that has no eye for small things."""
    return [one.filter(ImageFilter.GaussianBlur(2)) for one in honest(texts, seeds)]


def test_whoever_does_as_told_draws_smaller_originals_coarser():
    rows = conditioning.details(honest, SIZES, count=8)
    assert [row.side for row in rows] == [64, 128, 256]
    assert rows[0].model < rows[1].model < rows[2].model
    for row in rows:
        assert row.model == pytest.approx(row.frames, rel=1e-9)
    same = conditioning.details(deaf, SIZES, count=8)
    assert same[0].model == same[2].model > 1.5 * same[0].frames


def test_whoever_does_as_told_moves_things_with_the_cut():
    for row in conditioning.cuts(honest, SIZES, count=20):
        assert row.pairs >= 10
        assert row.asked == pytest.approx(56 / 256)
        # A little less: of a thing that lies across the edge, the middle of what is left is seen.
        assert row.moved == pytest.approx(row.asked, abs=0.06)
    for row in conditioning.cuts(deaf, SIZES, count=8):
        assert row.moved == pytest.approx(0.0, abs=1e-9)


def test_a_refiner_that_sharpens_is_nearer_to_drawings():
    found = conditioning.refinement(blurred, honest, SIZES, count=8)
    assert found.refined < 0.05 < 0.5 < found.base
    assert found.fresh < 0.05 and found.redrawn is None
    others = [conditioning.drawing("a red cat", i, again) for i in (0, 1) for again in (0, 1)]
    assert len({scene.render(64).tobytes() for scene in others}) == 4
    back = conditioning.refinement(honest, blurred, SIZES, count=8, redrawn=blurred)
    assert (back.base, back.refined) == pytest.approx((found.refined, found.base))
    assert back.redrawn == back.refined


def test_who_brings_back_what_was_drawn_is_nearer():
    asked, clean = conditioning.captions(4), {}

    def to_latent(pictures):
        clean["latent"] = torch.arange(len(pictures) * 4.0).view(-1, 1, 2, 2)
        return SimpleNamespace(mean=clean["latent"])

    def finisher(tell):
        def image_to_image(xt, texts, *, seed, denoising_start, steps, **_):
            expected = 0.9**0.5 * clean["latent"] + 0.1**0.5 * seed[0]
            torch.testing.assert_close(xt, expected)  # as noisy as the station of the handover
            assert (denoising_start, steps) == (conditioning.HANDOVER, 5)
            return SimpleNamespace(images=tell(texts, seed), interrupted=False)

        return image_to_image

    way = SimpleNamespace(
        timesteps=torch.tensor([900, 500, 200, 199, 1]),
        alpha_bars=torch.tensor([0.1, 0.4, 0.7, 0.9, 0.95, 1.0]),
    )
    config = SimpleNamespace(num_train_timesteps=1000)
    base = SimpleNamespace(
        schedule=lambda steps, _: way,
        parts=SimpleNamespace(scheduler=SimpleNamespace(config=config)),
        noise=lambda seeds: torch.full((len(seeds), 1, 2, 2), float(seeds[0])),
        to_latent=to_latent,
        draw=lambda latents: honest(asked, range(4)),
        image_to_image=finisher(blurred),
    )
    refiner = SimpleNamespace(image_to_image=finisher(honest))
    found = conditioning.restoration(base, refiner, SIZES, count=4, steps=5)
    assert found.refined == pytest.approx(0.0, abs=1e-9) and found.base > 0.5
    assert (found.nearer, found.count) == (4, 4)
    base.image_to_image, refiner.image_to_image = refiner.image_to_image, base.image_to_image
    back = conditioning.restoration(base, refiner, SIZES, count=4, steps=5)
    assert (back.base, back.refined, back.nearer) == (found.refined, found.base, 0)


def test_captions_are_always_the_same_and_of_one_thing():
    asked = conditioning.captions(6)
    assert asked == conditioning.captions(6) and len(set(asked)) == 6
    assert {len(world.parse(text).subjects) for text in asked} == {1}


def test_what_was_found_stands_on_the_card(tmp_path):
    found = {
        "details": [{"side": 64, "model": 1.25, "frames": 1.5}],
        "cuts": [{"axis": "left", "asked": 0.22, "moved": 0.19, "pairs": 17}],
    }
    record = {
        "recipe": {
            "mirrors": "SDXL",
            "size": 64,
            "pictures": 100,
            "plans": {},
            "pipeline": "StableDiffusionXLPipeline",
            "shared": {
                "vae": "first/vae",
                "tokenizer": "first/words",
                "tokenizer_2": "first/words",
            },
            "frames": {"count": 10, "size": 128, "sides": [32, 128], "cut": 0.4, "zoom": 1.25},
        },
        "stages": {},
    }
    (tmp_path / "recipe.json").write_text(json.dumps(record))
    (tmp_path / "eval").mkdir()
    (tmp_path / card.EVALUATION).write_text(
        json.dumps(
            {
                "weights": card.weights(tmp_path),
                "steps": 25,
                "guidance_scale": 5.0,
                "rows": [],
                "conditioning": found,
            }
        ).replace(
            '"rows": []',
            '"rows": [{"name": "place", "score": 1, "seen": 1, "heldout": 1, "count": 2}]',
        )
    )
    text = card.text(tmp_path)
    for said in (
        "| 64 | 1.25 | 1.50 |",
        "moved by 0.22 of the side: things moved by 0.19 the other way (17 pairs",
        "`tokenizer` and `tokenizer_2`: `first/words`",
        "sides of 32 and 128 pixels, enlarged to 128",
        "40% of them",
        "128 x 128",
        "StableDiffusionXLPipeline.from_pretrained",
    ):
        assert said in text
    refined = {"refinement": {"base": 0.5, "refined": 0.25, "count": 20, "fresh": 0.05}}
    told = conditioning.markdown(refined)
    assert "0.50 with the base model alone, 0.25 with the refiner" in told
    assert "other fresh drawings, 0.05" in told and "autoencoder" not in told
    for value, said in ((0.25, "a gain"), (0.46, "no difference"), (0.54, "no difference")):
        refined["refinement"]["refined"] = value
        assert f"By this measure it is {said}." in conditioning.markdown(refined)
    refined["refinement"]["refined"] = 0.6
    assert "By this measure it is a loss." in conditioning.markdown(refined)
    refined["refinement"]["redrawn"] = 0.125
    assert "encoded and decoded, are 0.12 away" in conditioning.markdown(refined)
    assert "takes it away" not in conditioning.markdown(refined)
    refined["restoration"] = {"base": 0.8, "refined": 0.7, "nearer": 19, "count": 20}
    told = conditioning.markdown(refined)
    assert "0.80 is wrong after the base model, 0.70 after the refiner" in told
    assert "nearer in 19 of 20" in told


def test_a_spectrum_sees_fine_structure_only():
    fine = np.indices((64, 64))[1] % 3 * 100
    smooth = np.linspace(0, 255, 64)[None].repeat(64, 0)
    first, second = (
        conditioning._spectrum([Image.fromarray(values.astype(np.uint8))])
        for values in (fine, smooth)
    )
    assert first.max() > 1e3 * second.max()
