"""Noise, latents and pictures: diffusers' arithmetic, and a fast look beside it."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from side_by_side import model, photo, pipeline, same_pictures

from sdlearn.models import wrap
from sdlearn.stages import latents
from sdlearn.stages.pipeline import Model
from sdlearn.trace import Look

# --- noise


def test_a_seed_is_torchs():
    noise = model("sd1").noise(5, count=2, height=48)
    expected = torch.randn(2, 4, 6, 8, generator=torch.Generator("cpu").manual_seed(5))
    assert torch.equal(noise, expected)


def test_a_seed_for_each_picture():
    several = model("sd1").noise([5, 6])
    for picture, seed in enumerate((5, 6)):
        assert torch.equal(several[picture : picture + 1], model("sd1").noise(seed))


def test_no_seed_draws_one_and_tells_it():
    trace, other = (model("sd1").generate("a", steps=1, seed=None, record=()) for _ in range(2))
    assert trace.settings["seed"] != other.settings["seed"]
    again = model("sd1").generate("a", steps=1, seed=trace.settings["seed"], record=())
    assert torch.equal(again.latent, trace.latent)


# --- pictures to latents and back


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_a_posterior_is_the_vaes(kind):
    made, picture = model(kind), photo(48, 72)
    posterior = made.to_latent(picture)
    factor = made.vae.config.scaling_factor
    with torch.no_grad():
        expected = made.vae.encode(pipeline(kind).image_processor.preprocess(picture)).latent_dist
    assert torch.equal(posterior.mean, factor * expected.mean)
    torch.testing.assert_close(posterior.std, factor * expected.std)
    assert torch.equal(posterior.sample(None), posterior.mean)
    generator = torch.Generator().manual_seed(4)
    assert torch.equal(posterior.sample(4), factor * expected.sample(generator))
    assert torch.equal(posterior.sample([4]), posterior.sample(4))
    assert repr(posterior).startswith("Posterior([1, 4, 6, 9]")


def test_samples_have_the_posteriors_spread():
    posterior = model("sd1").to_latent(photo(16, 16))
    drawn = torch.cat([posterior.sample(seed) for seed in range(2000)])
    torch.testing.assert_close(drawn.mean(0), posterior.mean[0], rtol=0.1, atol=0.02)
    torch.testing.assert_close(drawn.std(0), posterior.std[0], rtol=0.1, atol=0.0)


def test_several_pictures_with_a_seed_each():
    made = model("sd1")
    posterior = made.to_latent([photo(), photo(seed=1)])
    drawn = posterior.sample([7, 8])
    alone = made.to_latent(photo(seed=1)).sample(8)
    torch.testing.assert_close(drawn[1:], alone)
    generators = [torch.Generator().manual_seed(seed) for seed in (7, 8)]
    assert torch.equal(posterior.sample(generators), drawn)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_decoding_is_the_pipelines(kind, dtype):
    made, pipe = model(kind, dtype), pipeline(kind, dtype=dtype)
    latent = made.noise([1, 2], height=48)
    with torch.no_grad():
        expected = pipe.vae.decode(latent / pipe.vae.config.scaling_factor).sample
    same_pictures(made.to_image(latent), pipe.image_processor.postprocess(expected))
    one = made.to_image(latent[:1])
    assert isinstance(one, Image.Image) and one.size == (64, 48)


def test_a_vae_that_overflows_works_in_single_precision_and_comes_back():
    """SDXL's says force_upcast: in half precision it is taken to float32 for the while."""
    made = wrap(tiny.pipeline("sdxl"))
    latent, picture = made.noise(1), photo()
    drawn, mean = made.to_image(latent), made.to_latent(picture).mean
    made.vae.half()
    seen = []
    hooks = [
        part.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].dtype))
        for part in (made.vae.decoder, made.vae.encoder)
    ]
    ours = made.to_image(latent.half())
    posterior = made.to_latent(picture)
    matrix = made.look.matrix
    for hook in hooks:
        hook.remove()
    assert seen == [torch.float32] * 3 and bool(matrix.isfinite().all())
    assert made.vae.dtype == torch.float16 and posterior.mean.dtype == torch.float16
    assert np.abs(np.asarray(ours, float) - np.asarray(drawn)).max() <= 3
    torch.testing.assert_close(posterior.mean.float(), mean, rtol=1e-2, atol=1e-2)


def test_precision_comes_back_after_an_error():
    made = wrap(tiny.pipeline("sdxl"))
    made.vae.half()
    with pytest.raises(RuntimeError):
        latents.decode(made.vae, torch.zeros(1, 3, 8, 8), upcast=True)
    assert made.vae.dtype == torch.float16


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
def test_pictures_of_every_mode(mode):
    picture = photo(32, 48).convert(mode)
    values = latents.from_pil(picture)
    assert values.shape == (1, 3, 32, 48) and values.abs().max() <= 1
    (back,) = latents.to_pil(values)
    assert np.array_equal(np.asarray(back), np.asarray(picture.convert("RGB")))


def test_a_palette_is_made_colours_before_it_is_resized():
    picture = photo(64, 64).convert("P")
    small = latents.from_pil(picture, (32, 32))
    expected = latents.from_pil(picture.convert("RGB").resize((32, 32), Image.Resampling.LANCZOS))
    assert torch.equal(small, expected)


# --- the fast look


def test_the_preview_is_the_best_straight_line():
    made = model("sd1")
    matrix = made.look.matrix
    assert matrix.shape == (5, 3)
    torch.testing.assert_close(matrix, latents.preview_matrix(made.vae))  # the same every time
    latent = made.noise(2)[0]
    colours = latents.preview(latent[None], matrix)
    expected = torch.einsum("chw,cd->dhw", latent, matrix[:4]) + matrix[4][:, None, None]
    torch.testing.assert_close(colours[0], expected)


def test_the_preview_finds_a_line_that_is_there():
    """Of a VAE whose latents are its colours, the preview is the picture itself, made small."""

    class Straight:
        device, dtype, config = torch.device("cpu"), torch.float32, tiny.vae().config

        def encode(self, pictures):
            small = torch.nn.functional.adaptive_avg_pool2d(pictures, (8, 8))
            more = small.square().mean(1, keepdim=True)
            self.mean = self.std = torch.cat([small, more], 1) / self.config.scaling_factor + 0.3
            self.latent_dist = self
            return self

    vae = Straight()
    picture = latents.from_pil(photo())
    latent = latents.encode(vae, picture).mean
    small = torch.nn.functional.adaptive_avg_pool2d(picture, (8, 8))
    seen = latents.preview(latent, latents.preview_matrix(vae))
    torch.testing.assert_close(seen, small, rtol=1e-2, atol=1e-2)


def test_a_vae_without_numbers_gives_no_preview_and_says_why():
    made = wrap(tiny.pipeline("sd1"))
    made.vae.quant_conv.weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r'none in float32.*dtype="float32"'):
        made.preview(made.noise(0))


def test_a_model_looks():
    look = model("sd1").look
    assert isinstance(look, Look)
    latent = model("sd1").noise(3, height=48, width=72)
    assert look.preview(latent).size == (9, 6) and look.image(latent).size == (72, 48)
    same_pictures([look.image(latent[0])], [model("sd1").to_image(latent)])
    same_pictures([look.preview(latent[0])], [model("sd1").preview(latent)])
    trace = model("sd1").generate("a cat", steps=1, seed=3, height=48, width=72)
    assert trace.steps[0].preview("x0").size == (9, 6)
    same_pictures([trace.steps[0].image("x_next")], trace.images)


# --- wrong ones


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m.to_latent(photo(60, 64)), ValueError, "height must be a multiple of 8"),
        (lambda m: m.to_latent("cat.png"), TypeError, r"PIL picture.*str.*Image\.open"),
        (lambda m: m.to_latent([]), ValueError, "picture is an empty list"),
        (lambda m: m.to_latent([photo(), photo(32)]), ValueError, "one size"),
        (lambda m: m.to_latent(photo()).sample([1, 2]), ValueError, "2 seeds for 1 pictures"),
        (lambda m: m.to_latent(photo()).sample("3"), TypeError, "seed"),
        (lambda m: m.to_latent(photo()).sample([]), ValueError, "seed is an empty list"),
        (lambda m: m.to_latent(photo()).sample(2.5), TypeError, "seed"),
        (lambda m: m.to_image(torch.zeros(4, 8, 8)), ValueError, r"\[pictures, 4, h, w\]"),
        (lambda m: m.to_image(torch.zeros(1, 3, 8, 8)), ValueError, r"got \(1, 3, 8, 8\)"),
        (lambda m: m.to_image(photo()), ValueError, "got Image"),
        (lambda m: m.to_image(torch.full((1, 4, 8, 8), float("nan"))), ValueError, "NaN"),
        (lambda m: m.preview("latent"), ValueError, "latent"),
        (lambda m: m.noise(count=0), ValueError, "count must be at least 1"),
        (lambda m: m.noise("3"), TypeError, "seed must be a whole number"),
        (lambda m: m.noise(height=0), ValueError, "height must be at least 8"),
        (lambda m: m.noise(width=20), ValueError, "width must be a multiple of 8.*16 or 24"),
    ],
)
def test_wrong_pictures_and_latents(call, error, says):
    with pytest.raises(error, match=says):
        call(model("sd1"))


def test_a_model_without_its_autoencoder():
    blind = Model(replace(model("sd1").parts, vae=None), "blind")
    with pytest.raises(ValueError, match="without its autoencoder"):
        blind.to_latent(photo())
