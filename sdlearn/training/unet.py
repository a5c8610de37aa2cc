"""The U-Net: names the noise in a latent, told a caption. Encoders and autoencoder are frozen.

Every picture is encoded once, before the first step; what a step draws anew is the point of the
posterior, the noise, the timestep and the wording of the caption.

The families differ in what is asked (the noise, or the velocity between noise and picture), in
what reads the captions, and in what SDXL is told beside them. SDXL learns in two stages, as the
original did: on small pictures first, then on large ones (`GrowStage`).
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
    UNet2DConditionModel,
)
from torch import Tensor, nn

from sdlearn.equations import guidance, noising, predictions, schedules, trajectories
from sdlearn.training import frames
from sdlearn.training.latents import Latents, digest, encoder, whole
from sdlearn.training.loop import Batch, Stage
from sdlearn.training.pictures import Pictures, order
from sdlearn.training.plans import Recipe
from sdlearn.training.reading import Reader
from sdlearn.training.sheets import sheet

PREDICTIONS = {"epsilon": "eps", "v_prediction": "v"}  # diffusers' words, and ours
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


class UNetStage(Stage):
    """Teaches the U-Net."""

    name = "unet"

    def __init__(
        self,
        recipe: Recipe,
        pictures: Pictures,
        reader: Reader,
        vae: AutoencoderKL,
        latents: Latents,
    ) -> None:
        self.recipe, self.pictures, self.reader = recipe, pictures, reader
        self.vae, self.latents = vae, latents
        self.plan, self.seed = recipe.plans[self.name], recipe.seed
        self.schedule = noise_schedule(recipe)
        self.kind = PREDICTIONS[recipe.scheduler["prediction_type"]]
        # Read once: `batch` uses the tokenizer on another thread while a sample is drawn.
        self.prompts = reader.tokens([*PROMPTS, *[""] * len(PROMPTS)])
        self.model = build_unet(recipe)

    def batch(self, step: int, generator: torch.Generator) -> Batch:
        """Latents, noise, timesteps and captions; for SDXL also what is told beside them."""
        count = self.plan.batch
        indices = order(len(self.latents), count, step, self.seed + 2)
        shape = (count, *self.latents.mean.shape[1:])
        x0 = self.latents.draw(indices, torch.randn(shape, generator=generator))
        variants = torch.randint(2**31 - 1, (count,), generator=generator).tolist()
        dropped = torch.rand(count, generator=generator) < self.recipe.captions_dropped
        eps = torch.randn(shape, generator=generator)
        captions = [
            "" if drop else self.pictures.caption(index, variant)
            for index, variant, drop in zip(indices.tolist(), variants, dropped, strict=True)
        ]
        weights = self._weights()
        chances = self._chances(weights)
        t = self._timesteps(chances, count, generator)
        alpha_bar = self.schedule.alpha_bars[t]
        batch = {
            "xt": noising.add_noise(x0, eps, alpha_bar),
            "target": self._target(x0, eps, alpha_bar),
            "t": t,
            "tokens": self.reader.tokens(captions),
            "weight": weights[t] / (chances[t] * len(chances)),
        }
        if self.recipe.is_sdxl:
            # Pipelines tell SDXL "no prompt" in two ways, by zeros and by an empty caption.
            silent = dropped & (torch.rand(count, generator=generator) < 0.5)
            batch |= {"silent": silent, "time_ids": self._time_ids(indices)}
        return batch

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The squared error of the answer; easy timesteps count less (min-SNR)."""
        told = self._told(batch["tokens"], batch.get("time_ids"), batch.get("silent"))
        answer = model(batch["xt"], batch["t"], **told).sample.float()
        error = ((answer - batch["target"]) ** 2).mean((1, 2, 3))
        return (error * batch["weight"]).mean(), {"plain": error.mean()}

    def learns(self) -> dict[str, object]:
        """Beside the plan, what is asked of it, and what it is given to read and to see."""
        read = {
            f"{i}.{name}": tensor
            for i, encoder in enumerate(self.reader.encoders)
            for name, tensor in encoder.state_dict().items()
        }
        return super().learns() | {
            "captions_dropped": self.recipe.captions_dropped,
            "scheduler": self.recipe.scheduler,
            "encoder's weights": digest(encoder(self.vae)),
            "readers' weights": digest(read),
        }

    def load(self, exported: Path) -> None:
        """Begin with the U-Net of an exported model."""
        there = UNet2DConditionModel.from_pretrained(exported / "unet", torch_dtype=torch.float32)
        self.model.load_state_dict(there.state_dict())

    def sample(self, model: nn.Module, path: Path) -> None:
        """Eight prompts, two seeds, 25 DDIM steps with guidance.

        What learns on low noise only is given eight pictures under as much noise as it knows.
        """
        device = next(model.parameters()).device
        self.vae.to(device)
        count, tokens = len(PROMPTS), self.prompts
        ids = whole(count, self.recipe.factor * self.latents.mean.shape[-1])
        stations = self.schedule.spaced(25, "leading", steps_offset=1, final="first")
        x0 = None
        if self.recipe.noise < 1:
            stations = self._low(stations)
            some = torch.arange(min(count, len(self.latents)))
            x0 = self.latents.draw(some, torch.zeros(1))
            captions = [self.pictures.caption(index, 0) for index in some.tolist()]
            tokens = self.reader.tokens([*captions, *[""] * len(some)])
            ids = self.latents.time_ids[some]
        ids = self._as_told(ids).to(device)
        told = self._told(tokens.to(device), ids.repeat(2, 1) if self.recipe.is_sdxl else None)

        def predict(xt: Tensor, t: float, alpha_bar: float) -> Tensor:
            cond, uncond = model(torch.cat([xt, xt]), t, **told).sample.chunk(2)
            return guidance.classifier_free_guidance(uncond, cond, 5.0)

        rows = []
        for seed in range(2):
            generator = torch.Generator().manual_seed(seed)
            shape = (len(ids), *self.latents.mean.shape[1:])
            xt = torch.randn(shape, generator=generator)
            if x0 is not None:
                xt = noising.add_noise(x0, xt, stations.alpha_bars[0])
            walk = trajectories.trajectory(predict, xt.to(device), stations, "ddim", kind=self.kind)
            *_, last = walk
            rows.append(self.vae.decode(last.x_next / self.latents.scaling_factor).sample)
        sheet(rows, path)

    def _target(self, x0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        if self.kind == "v":
            return predictions.v_from_x0_and_eps(x0, eps, alpha_bar).float()
        return eps

    def _timesteps(self, chances: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Which timesteps a batch shows: any, or one from each of as many equally likely parts."""
        if not self.plan.by_weight:
            return torch.randint(len(chances), (count,), generator=generator)
        even = (torch.arange(count) + torch.rand(count, generator=generator)) / count
        return torch.searchsorted(chances.cumsum(0), even).clamp(max=len(chances) - 1)

    def _weights(self) -> Tensor:
        """What an error counts at each timestep that it learns on.

        It is what the picture's error would count, limited (min-SNR), for the answer asked for.
        """
        learns_on = round(len(self.schedule) * self.recipe.noise)
        snr = schedules.snr(self.schedule.alpha_bars[:learns_on])
        scale = snr + 1 if self.kind == "v" else snr
        weights = (snr + self.plan.snr_floor).clamp(max=SNR_LIMIT) / scale
        limit = self.plan.weight_limit
        return (weights if limit is None else weights.clamp(max=limit)).float()

    def _chances(self, weights: Tensor) -> Tensor:
        """How likely each timestep is drawn: all alike, or by how long their gradients are.

        Measured on pocket-sd15, a picture's gradient grows about as the cube root of its weight
        from t = 150 to 850 (it is shorter before, longer after). Chances in proportion to the
        gradients' lengths make the batches' mean vary least.
        """
        lengths = weights ** (1 / 3) if self.plan.by_weight else torch.ones_like(weights)
        return lengths / lengths.sum()

    def _low(self, stations: schedules.SamplingSchedule) -> schedules.SamplingSchedule:
        """The last stations, where there is no more noise than it learnt."""
        known = int((stations.timesteps < self.recipe.noise * len(self.schedule)).sum())
        return schedules.SamplingSchedule(
            stations.timesteps[-known:], stations.alpha_bars[-known - 1 :], self.schedule
        )

    def _time_ids(self, indices: Tensor) -> Tensor:
        return self._as_told(self.latents.time_ids[indices])

    def _as_told(self, ids: Tensor) -> Tensor:
        """For the refiner a score takes the place of the size that a picture has now."""
        if not self.recipe.is_refiner:
            return ids.float()
        scores = [frames.aesthetic_score(self.recipe.frames, side) for side in ids[:, 0].tolist()]
        return torch.cat([ids[:, :4].float(), torch.tensor(scores)[:, None]], dim=1)

    def _told(
        self, tokens: Tensor, time_ids: Tensor | None, silent: Tensor | None = None
    ) -> dict[str, object]:
        """The U-Net's arguments beside sample and timestep."""
        words, pooled = self.reader.read(tokens)
        if pooled is None:
            return {"encoder_hidden_states": words}
        if silent is not None:
            said = (~silent).to(words)
            words, pooled = words * said[:, None, None], pooled * said[:, None]
        beside = {"text_embeds": pooled, "time_ids": time_ids}
        return {"encoder_hidden_states": words, "added_cond_kwargs": beside}


class GrowStage(UNetStage):
    """Teaches the U-Net again, on larger pictures, and what their sizes and cuts mean."""

    name = "grow"


def noise_schedule(recipe: Recipe) -> schedules.NoiseSchedule:
    """The recipe's noise schedule, as the equations know it."""
    kind = recipe.scheduler["beta_schedule"], recipe.scheduler["prediction_type"]
    if kind[0] != "scaled_linear" or kind[1] not in PREDICTIONS:
        raise ValueError(
            f"This stage knows scaled_linear betas and {' or '.join(PREDICTIONS)}, not {kind}."
        )
    return schedules.NoiseSchedule.scaled_linear(
        recipe.scheduler["num_train_timesteps"],
        recipe.scheduler["beta_start"],
        recipe.scheduler["beta_end"],
    )


def scheduler(recipe: Recipe) -> SchedulerMixin:
    """The scheduler that goes with the model: DDIM, at the noise levels that SD 1.x learnt.

    The published files of SD 1.x come with PNDM, which blends four answers and magnifies what is
    wrong with them: a network as small as ours burns there at the usual guidance. SD 2.1 comes
    with DDIM, and SDXL with Euler; so do ours.
    """
    # Of these Euler needs one; the others are for the samplers that people make from its settings.
    settings = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
    if recipe.is_sdxl:
        settings["timestep_spacing"] = "leading"
        return EulerDiscreteScheduler.from_config({**recipe.scheduler, **settings})
    return DDIMScheduler.from_config({**recipe.scheduler, **settings})
