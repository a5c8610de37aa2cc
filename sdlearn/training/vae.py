"""The autoencoder: pictures to latents an eighth of the side, and back.

It learns on pieces of pictures: what it does is local, and a piece costs a quarter. The loss is
2 MSE + L1 / 2. L1 alone asks for the median, and small things such as eyes are outvoted; the
squared error listens to the few pixels that are far off.

Once the U-Net has begun to learn, the latents must stay what they are. The decoder may still get
better at painting them: so the published `sd-vae-ft-mse` was made, and so is our last stage of it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from sdlearn.training.loop import Batch, Stage
from sdlearn.training.pictures import Pictures, order
from sdlearn.training.plans import Recipe
from sdlearn.training.sheets import sheet

KL_WEIGHT = 1e-4


class Reconstruction(nn.Module):
    """Encode, draw from the posterior, decode."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, pictures: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures painted back, shape of `pictures`, and the KL term of each latent number."""
        mean, log_variance = self.vae.encode(pictures).latent_dist.parameters.chunk(2, dim=1)
        log_variance = log_variance.float().clamp(-30, 20)
        latents = mean + (log_variance / 2).exp() * eps
        kl = (mean.float() ** 2 + log_variance.exp() - 1 - log_variance).mean() / 2
        return self.vae.decode(latents).sample, kl


class VAEStage(Stage):
    """Teaches the autoencoder."""

    name = "vae"

    def __init__(self, recipe: Recipe, pictures: Pictures) -> None:
        torch.manual_seed(recipe.seed + 2)
        self.recipe, self.pictures = recipe, pictures
        self.plan, self.seed = recipe.plans["vae"], recipe.seed
        self.vae = AutoencoderKL(**recipe.vae)
        self.model = Reconstruction(self.vae)

    def batch(self, step: int, generator: torch.Generator) -> Batch:
        """Pieces of pictures, and the noise of the posterior."""
        plan, crop = self.plan, self.recipe.crop
        whole = self.pictures.batch(order(len(self.pictures), plan.batch, step, self.seed))
        grid = self.recipe.factor  # pieces lie on it, as the latents do
        places = (self.recipe.size - crop) // grid + 1
        corners = torch.randint(places, (plan.batch, 2), generator=generator) * grid
        pieces = [
            picture[:, y : y + crop, x : x + crop]
            for picture, (y, x) in zip(whole, corners.tolist(), strict=True)
        ]
        latent = (plan.batch, self.recipe.vae["latent_channels"], crop // grid, crop // grid)
        return {"pictures": torch.stack(pieces), "eps": torch.randn(latent, generator=generator)}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """2 MSE + L1 / 2 + a little KL."""
        pictures = batch["pictures"]
        painted, kl = model(pictures, batch["eps"])
        gap = painted.float() - pictures
        squared = (gap**2).mean()
        loss = 2 * squared + gap.abs().mean() / 2 + KL_WEIGHT * kl
        decibel = -10 * (squared.detach() / 4).log10()
        return loss, {"psnr": decibel, "kl": kl}

    def load(self, exported: Path) -> None:
        """Begin with the autoencoder of an exported model."""
        there = AutoencoderKL.from_pretrained(exported / "vae", torch_dtype=torch.float32)
        self.vae.load_state_dict(there.state_dict())

    def sample(self, model: nn.Module, path: Path) -> None:
        """Pictures above, what is painted back below."""
        device = next(model.parameters()).device
        pictures = self.pictures.batch(torch.arange(min(10, len(self.pictures)))).to(device)
        latents = self.vae.encode(pictures).latent_dist.mode()
        sheet([pictures, self.vae.decode(latents).sample], path)


class DecoderStage(VAEStage):
    """Teaches the decoder alone, while the encoder and so every latent stay as they are."""

    name = "decoder"

    def __init__(self, recipe: Recipe, pictures: Pictures, vae: AutoencoderKL) -> None:
        super().__init__(recipe, pictures)
        self.plan, self.seed = recipe.plans["decoder"], recipe.seed + 4
        self.vae.load_state_dict(vae.state_dict())
        for part in (self.vae.encoder, self.vae.quant_conv):
            part.requires_grad_(False)
