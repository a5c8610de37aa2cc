"""The published models in their full size: exact shapes, from configs and from files of zeros.

The files are sparse: a header that names every weight, and a hole where the numbers would lie. So
a checkpoint of seven gigabytes takes no disk, and is loaded onto the meta device without memory.
"""

import json
import math
from functools import cache

import diffusers
import ldm_layout
import pytest
import torch

from sdlearn.models import published_configs
from sdlearn.models.catalogue import PUBLISHED
from sdlearn.models.checkpoints import load_checkpoint
from sdlearn.models.classes import NETWORKS
from sdlearn.models.folders import load_folder
from sdlearn.models.networks import empty_network
from sdlearn.stages import samplers
from sdlearn.stages.families import recognise
from sdlearn.stages.samplers import SAMPLERS

META = torch.device("meta")
VAE, CLIP_L, CLIP_H, CLIP_G = 83_653_863, 123_060_480, 340_387_840, 694_659_840
SD1, SD2, SDXL, REFINER = 859_520_964, 865_910_724, 2_567_463_684, 2_259_526_660
NINE_CHANNELS = 5 * 320 * 9

COUNTS = {
    "sd14": {"unet": SD1, "vae": VAE, "text_encoder": CLIP_L},
    "sd15": {"unet": SD1, "vae": VAE, "text_encoder": CLIP_L},
    "sd15-inpainting": {"unet": SD1 + NINE_CHANNELS, "vae": VAE, "text_encoder": CLIP_L},
    "sd20": {"unet": SD2, "vae": VAE, "text_encoder": CLIP_H},
    "sd21": {"unet": SD2, "vae": VAE, "text_encoder": CLIP_H},
    "sd21-base": {"unet": SD2, "vae": VAE, "text_encoder": CLIP_H},
    "sd-turbo": {"unet": SD2, "vae": VAE, "text_encoder": CLIP_H},
    "sdxl": {"unet": SDXL, "vae": VAE, "text_encoder": CLIP_L, "text_encoder_2": CLIP_G},
    "sdxl-inpainting": {
        "unet": SDXL + NINE_CHANNELS,
        "vae": VAE,
        "text_encoder": CLIP_L,
        "text_encoder_2": CLIP_G,
    },
    "sdxl-turbo": {"unet": SDXL, "vae": VAE, "text_encoder": CLIP_L, "text_encoder_2": CLIP_G},
    "sdxl-refiner": {"unet": REFINER, "vae": VAE, "text_encoder_2": CLIP_G},
}


@cache
def _empty(part, config):
    return empty_network(part, json.loads(config))


def networks(name):
    """All networks of a published model, without their weights."""
    configs = published_configs(name)
    return {
        part: _empty(part, json.dumps(configs[part], sort_keys=True))
        for part in NETWORKS
        if part in configs
    }


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def sparse(path, tensors):
    """Write a safetensors file in half precision whose numbers are a hole in the disk."""
    header, begin = {}, 0
    for name, tensor in tensors.items():
        end = begin + 2 * math.prod(tensor.shape)
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + begin)
    return path


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sampler_clips_a_published_models_latents(name, sampler):
    """Latents reach beyond -1 to 1; DDIM and DDPM clip there unless a config forbids it."""
    config = published_configs(name)["scheduler"]
    assert config["clip_sample"] is False and config["set_alpha_to_one"] is False
    _, scheduler = samplers.build(sampler, config)
    assert not scheduler.config.get("clip_sample", False)


def test_a_config_that_does_not_speak_of_clipping_means_none():
    config = {k: v for k, v in published_configs("sdxl")["scheduler"].items() if "clip" not in k}
    assert samplers.build("ddim", config)[1].config.clip_sample is False
    assert samplers.build("ddim", config | {"clip_sample": True})[1].config.clip_sample is True


def test_the_counts_are_of_all_published_models():
    assert COUNTS.keys() == PUBLISHED.keys()


@pytest.mark.parametrize("name", COUNTS)
def test_every_weight_is_accounted_for(name):
    counted = {part: parameters(network) for part, network in networks(name).items()}
    assert counted == COUNTS[name]
    assert PUBLISHED[name].parameters == sum(counted.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_family_of_the_table_is_that_of_the_configs(name):
    configs = published_configs(name)
    encoders = [configs.get(part) for part in ("text_encoder", "text_encoder_2")]
    family = recognise(configs["unet"], configs["scheduler"], *encoders)
    assert str(family) == PUBLISHED[name].family


FILES = ["sd15", "sd15-inpainting", "sd21", "sdxl", "sdxl-refiner"]


@pytest.mark.parametrize("name", FILES)
def test_a_single_file_in_full_size(name, tmp_path, folders):
    family = {"sd15": "sd1", "sd21": "sd2"}.get(name.removesuffix("-inpainting"), name)
    title = "v2-1_768-ema-pruned" if name == "sd21" else name
    path = sparse(tmp_path / f"{title}.safetensors", ldm_layout.checkpoint(networks(name), family))
    assert path.stat().st_size > 2e9
    loaded = load_checkpoint(path, device=META, dtype=torch.float16, tokenizer=folders["sdxl"])
    assert {part: parameters(n) for part, n in loaded.networks.items()} == COUNTS[name]
    assert str(loaded.family) == PUBLISHED[name].family
    assert loaded.dtype == torch.float16


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl"])
def test_a_folder_in_full_size(name, tmp_path, folders):
    import shutil

    kind = {"sd15": "sd1", "sd21": "sd2-v"}.get(name, name)
    folder = shutil.copytree(folders[kind], tmp_path / name)
    for part, network in networks(name).items():
        stem = "diffusion_pytorch_model" if part in ("unet", "vae") else "model"
        config = json.dumps(published_configs(name)[part])
        (folder / part / "config.json").write_text(config)
        sparse(folder / part / f"{stem}.safetensors", network.state_dict())
    loaded = load_folder(folder, device=META, dtype=torch.float16)
    assert {part: parameters(n) for part, n in loaded.networks.items()} == COUNTS[name]
    assert str(loaded.family) == PUBLISHED[name].family


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_schedule_is_stable_diffusions(name):
    config = published_configs(name)["scheduler"]
    scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    reference = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    torch.testing.assert_close(scheduler.alphas_cumprod, reference.alphas_cumprod)


def test_configs_of_a_name_that_nobody_knows():
    with pytest.raises(ValueError, match="Did you mean sd15"):
        published_configs("sd-15")
