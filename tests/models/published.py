"""A full-size Stable Diffusion 1.5 with random weights: written, loaded both ways, run one step.

    python tests/models/published.py [folder]

It takes some 5 GB of disk and 8 GB of memory, and a few minutes, so it is no part of `make test`.
The weights are drawn at random; the shapes are the published ones, from data/configs.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ldm_layout
import tiny

from sdlearn.models import parts, published_configs
from sdlearn.models.networks import empty_network

NAME = "sd15"
PARTS = ("unet", "vae", "text_encoder")


@contextmanager
def timed(what: str):
    begin = time.perf_counter()
    yield
    print(f"{time.perf_counter() - begin:6.1f} s  {what}", flush=True)


def random_weights(part: str) -> torch.nn.Module:
    """A network whose weights are noise, small enough that nothing overflows in half precision."""
    network = empty_network(part, published_configs(NAME)[part])
    generator = torch.Generator().manual_seed(0)
    state = {
        name: (0.02 * torch.randn(empty.shape, generator=generator)).half()
        for name, empty in network.state_dict().items()
    }
    network.load_state_dict(state, assign=True)
    return network


def write(root: Path) -> tuple[Path, Path]:
    """Write the model as a folder and as a file; the tokenizer is a tiny one."""
    networks = {part: random_weights(part) for part in PARTS}
    folder = tiny.save("sd1", root).rename(root / "folder")
    for part, network in networks.items():
        shutil.rmtree(folder / part)
        network.save_pretrained(folder / part)
    file = root / "v1-5-random.safetensors"
    weights = ldm_layout.checkpoint(networks, "sd1")
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, file)
    return folder, file


def main() -> None:
    """Do it, and print what it takes."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as root:
        with timed("drawing the weights, and writing them twice in half precision"):
            folder, file = write(Path(root))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{size / 1e9:.2f} GB in the folder, {file.stat().st_size / 1e9:.2f} GB in the file")
        with timed("loading the folder, in half precision"):
            half = parts(folder, device="cpu", dtype="float16")
        with timed("loading the file, in half precision"):
            single = parts(file, device="cpu", dtype="float16", tokenizer=folder)
        for part in PARTS:
            ours, theirs = half.networks[part].state_dict(), single.networks[part].state_dict()
            assert all(torch.equal(ours[name], theirs[name]) for name in ours), part
        print("both are the same, bit for bit")
        del half, single
        with timed("loading the folder, in full precision"):
            model = parts(folder, device="cpu")
        print(f"{sum(p.numel() for p in model.unet.parameters()):,} parameters in the U-Net")
        words = torch.randn(2, 77, 768, generator=torch.Generator().manual_seed(0))
        latent = torch.randn(2, 4, 64, 64, generator=torch.Generator().manual_seed(1))
        with timed("one call of the U-Net with guidance (2 latents of 64x64)"), torch.no_grad():
            eps = model.unet(latent, 981, encoder_hidden_states=words).sample
        assert eps.shape == latent.shape and torch.isfinite(eps).all()


if __name__ == "__main__":
    main()
