"""The U-Net: names the noise in a latent, told a caption. Encoders and autoencoder are frozen.

Every picture is encoded once, before the first step; what a step draws anew is the point of the
posterior, the noise, the timestep and the wording of the caption.
"""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from sdlearn.equations import guidance, noising, schedules, trajectories
from sdlearn.training.loop import Batch, Stage
from sdlearn.training.pictures import Pictures, order
from sdlearn.training.recipes import Recipe
from sdlearn.training.sheets import sheet

SNR_LIMIT = 5.0  # "Efficient Diffusion Training via Min-SNR Weighting Strategy", 2303.09556

PROMPTS = (
    "a big red cat wearing a crown, on the grass",
    "a big blue car, in the snow",
    "a small yellow bird above a big green tree, in the sky",
    "a purple fish wearing a hat, at night, neon",
    "a white owl left of a brown house, line drawing",
    "a pink robot wearing glasses, on the sand, pixel art",
    "a black cat right of a white dog, on the grass",
    "an orange mushroom, on the grass",
)


def build_unet(recipe: Recipe) -> UNet2DConditionModel:
    """The U-Net, untrained."""
    torch.manual_seed(recipe.seed + 3)
    return UNet2DConditionModel(**recipe.unet)


class Latents:
    """All pictures as latents: mean and spread of their posteriors, and the scaling factor."""

    def __init__(self, mean: Tensor, std: Tensor, scaling_factor: float) -> None:
        self.mean, self.std, self.scaling_factor = mean, std, scaling_factor

    @classmethod
    @torch.no_grad()
    def encode(
        cls, pictures: Pictures, vae: AutoencoderKL, accelerator: Accelerator, batch: int = 50
    ) -> Latents:
        """Encode every picture once; the scaling factor makes their variance 1."""
        vae.to(accelerator.device)
        means, stds = [], []
        for begin in tqdm(range(0, len(pictures), batch), desc="encoding", mininterval=2):
            indices = torch.arange(begin, min(begin + batch, len(pictures)))
            shown = pictures.batch(indices).to(accelerator.device)
            with accelerator.autocast():
                posterior = vae.encode(shown).latent_dist
            means.append(posterior.mean.half().cpu())
            stds.append(posterior.std.half().cpu())
        mean, std = torch.cat(means).contiguous(), torch.cat(stds).contiguous()
        variance = mean.float().var() + (std.float() ** 2).mean()
        return cls(mean, std, float(1 / variance.sqrt()))

    def draw(self, indices: Tensor, eps: Tensor) -> Tensor:
        """A point of each posterior, scaled."""
        drawn = self.mean[indices].float() + self.std[indices].float() * eps
        return drawn * self.scaling_factor


class UNetStage(Stage):
    """Teaches the U-Net."""

    name = "unet"

    def __init__(
        self,
        recipe: Recipe,
        pictures: Pictures,
        tokenizer: CLIPTokenizer,
        text: CLIPTextModel,
        vae: AutoencoderKL,
        latents: Latents,
    ) -> None:
        self.recipe, self.pictures, self.tokenizer = recipe, pictures, tokenizer
        self.text, self.vae, self.latents = text, vae, latents
        self.plan, self.seed = recipe.plans["unet"], recipe.seed
        self.schedule = noise_schedule(recipe)
        # Read once: `batch` uses the tokenizer on another thread while a sample is drawn.
        self.prompts = self._tokens([*PROMPTS, *[""] * len(PROMPTS)])
        self.model = build_unet(recipe)

    def batch(self, step: int, generator: torch.Generator) -> Batch:
        """Latents, noise, timesteps and captions."""
        count = self.plan.batch
        indices = order(len(self.pictures), count, step, self.seed + 2)
        shape = (count, *self.latents.mean.shape[1:])
        x0 = self.latents.draw(indices, torch.randn(shape, generator=generator))
        variants = torch.randint(2**31 - 1, (count,), generator=generator).tolist()
        dropped = torch.rand(count, generator=generator) < self.recipe.captions_dropped
        eps = torch.randn(shape, generator=generator)
        captions = [
            "" if drop else self.pictures.caption(index, variant)
            for index, variant, drop in zip(indices.tolist(), variants, dropped, strict=True)
        ]
        t = torch.randint(len(self.schedule), (count,), generator=generator)
        alpha_bar = self.schedule.alpha_bars[t]
        snr = schedules.snr(alpha_bar)
        return {
            "xt": noising.add_noise(x0, eps, alpha_bar),
            "eps": eps,
            "t": t,
            "tokens": self._tokens(captions),
            "weight": (snr.clamp(max=SNR_LIMIT) / snr).float(),
        }

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The squared error of the noise; easy timesteps count less (min-SNR)."""
        eps_hat = model(batch["xt"], batch["t"], self._read(batch["tokens"])).sample.float()
        error = ((eps_hat - batch["eps"]) ** 2).mean((1, 2, 3))
        return (error * batch["weight"]).mean(), {"plain": error.mean()}

    def load(self, exported: Path) -> None:
        """Begin with the U-Net of an exported model."""
        there = UNet2DConditionModel.from_pretrained(exported / "unet", torch_dtype=torch.float32)
        self.model.load_state_dict(there.state_dict())

    def sample(self, model: nn.Module, path: Path) -> None:
        """Eight prompts, two seeds, 25 DDIM steps with guidance."""
        device = next(model.parameters()).device
        self.vae.to(device)
        cond, uncond = self._read(self.prompts.to(device)).chunk(2)

        def predict(xt: Tensor, t: float, alpha_bar: float) -> Tensor:
            both = model(torch.cat([xt, xt]), t, torch.cat([uncond, cond])).sample
            return guidance.classifier_free_guidance(*both.chunk(2), 5.0)

        stations = self.schedule.spaced(25, "leading", steps_offset=1, final="first")
        rows = []
        for seed in range(2):
            generator = torch.Generator().manual_seed(seed)
            xt = torch.randn(len(PROMPTS), *self.latents.mean.shape[1:], generator=generator)
            *_, last = trajectories.trajectory(predict, xt.to(device), stations, "ddim")
            rows.append(self.vae.decode(last.x_next / self.latents.scaling_factor).sample)
        sheet(rows, path)

    def _tokens(self, captions: list[str]) -> Tensor:
        return self.tokenizer(
            captions, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids

    @torch.no_grad()
    def _read(self, tokens: Tensor) -> Tensor:
        self.text.to(tokens.device)
        return self.text(tokens).last_hidden_state


def noise_schedule(recipe: Recipe) -> schedules.NoiseSchedule:
    """The recipe's noise schedule, as the equations know it."""
    kind = (recipe.scheduler["beta_schedule"], recipe.scheduler["prediction_type"])
    if kind != ("scaled_linear", "epsilon"):
        raise ValueError(f"This stage knows scaled_linear betas and epsilon, not {kind}.")
    return schedules.NoiseSchedule.scaled_linear(
        recipe.scheduler["num_train_timesteps"],
        recipe.scheduler["beta_start"],
        recipe.scheduler["beta_end"],
    )


def scheduler(recipe: Recipe) -> DDIMScheduler:
    """The scheduler that goes with the model: DDIM, at the noise levels that SD 1.x learnt.

    The published files come with PNDM, which blends four answers and magnifies what is wrong with
    them: a network as small as ours burns there at the usual guidance.
    """
    settings = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
    return DDIMScheduler.from_config({**recipe.scheduler, **settings})
