"""The U-Net, taught once more by another model.

That is distillation ("Distilling the Knowledge in a Neural Network", 1503.02531), from a network
of another kind of answer: where names of the noise are hard to get right, at the noisy end, one
that names v says the same with less error. Elsewhere it may be one with more weights, which errs
less: so the first generation and the second teach each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from sdlearn.equations import predictions
from sdlearn.training.latents import Latents, digest, encoder
from sdlearn.training.loop import Batch
from sdlearn.training.pictures import Pictures
from sdlearn.training.plans import Recipe
from sdlearn.training.reading import Reader
from sdlearn.training.recipes import RECIPES
from sdlearn.training.unet import PREDICTIONS, UNetStage


class UnfitTeacher(ValueError):
    """The model that should teach isn't there, or speaks of other latents or other tokens."""


class Teaching(NamedTuple):
    """A finished model at the teacher's desk: its U-Net, what reads for it, what it answers."""

    unet: nn.Module
    reader: Reader
    kind: str


class TaughtStage(UNetStage):
    """Teaches the U-Net once more, from what another model makes of the same noise and caption."""

    name = "taught"

    def __init__(
        self,
        recipe: Recipe,
        pictures: Pictures,
        reader: Reader,
        vae: AutoencoderKL,
        latents: Latents,
        teaching: Teaching,
    ) -> None:
        super().__init__(recipe, pictures, reader, vae, latents)
        self.teaching = teaching

    def learns(self) -> dict[str, object]:
        """Beside what others need, the teacher as it was."""
        return super().learns() | {"teacher's weights": digest(self.teaching.unet.state_dict())}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """As before, but the target is in part what the teacher says."""
        told = self._says(batch["xt"], batch["t"], batch["tokens"])
        target = torch.lerp(batch["target"], told, self.heard(batch["t"])[:, None, None, None])
        return super().loss(model, batch | {"target": target})

    def heard(self, t: Tensor) -> Tensor:
        """How much of the target is the teacher's, shape of t."""
        teacher = self.plan.teacher
        heard = ((t - teacher.begin) / (teacher.full - teacher.begin)).clamp(0, 1)
        if teacher.fade is not None:
            heard *= ((teacher.end - t) / (teacher.end - teacher.fade)).clamp(0, 1)
        return teacher.share * heard

    @torch.no_grad()
    def _says(self, xt: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        """The teacher's answer, as this model would say it; noise where nobody listens to it."""
        unet, reader, kind = self.teaching
        unet.to(xt.device)
        listening = self.heard(t) > 0
        said = torch.zeros_like(xt)
        if listening.any():
            words, _ = reader.read(tokens[listening])
            some, when = xt[listening], t[listening]
            answer = unet(some, when, encoder_hidden_states=words).sample.float()
            alpha_bar = self.schedule.alpha_bars[when.cpu()].float().to(when.device)
            told = predictions.convert(some, answer, alpha_bar, source=kind, target=self.kind)
            said[listening] = told.to(said)
        return said


def teaching(recipe: Recipe, models: Path | None, reader: Reader, vae: AutoencoderKL) -> Teaching:
    """The model that teaches a recipe's U-Net, if both mean the same by the same numbers.

    Args:
        recipe: Whose stage ``taught`` it is.
        models: Where the teacher's folder lies.
        reader: What reads captions for the pupil.
        vae: The pupil's autoencoder.
    """
    name = recipe.plans["taught"].teacher.name
    teacher, folder = RECIPES[name], (models or Path()) / name
    if models is None or not (folder / "unet").is_dir():
        raise UnfitTeacher(
            f"{recipe.name} is taught by {name}, but {folder} holds no U-Net. Train and "
            f"export that first: sdlearn train {name}"
        )
    places = {part: folder / part for part in ("tokenizer", "text_encoder")}
    reads = Reader.load(teacher, places)
    its_vae = AutoencoderKL.from_pretrained(folder / "vae")
    for what, mine, its in (
        ("autoencoder", digest(encoder(vae)), digest(encoder(its_vae))),
        ("tokenizer", reader.tokenizer.get_vocab(), reads.tokenizer.get_vocab()),
    ):
        if mine != its:
            raise UnfitTeacher(
                f"{name} can't teach this {recipe.name}: it learnt with another {what}, "
                "so that the same numbers mean something else to it. Export this model, train "
                f"{name} beside it, and then this stage: --stage taught"
            )
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    kind = PREDICTIONS[teacher.scheduler["prediction_type"]]
    return Teaching(unet.eval().requires_grad_(False), reads, kind)
