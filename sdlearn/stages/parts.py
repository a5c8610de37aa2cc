"""The parts that a Stable Diffusion model is made of, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from sdlearn.stages.devices import choose_device, known_dtype
from sdlearn.stages.families import Family

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, SchedulerMixin, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

NETWORKS = ("text_encoder", "text_encoder_2", "unet", "vae")


@dataclass
class Parts:
    """Networks, tokenizers and the scheduler, named as diffusers names them.

    A part that a family does not have, or that is not needed for what is asked, is None: the
    refiner has no first text encoder, and a U-Net can be studied without an autoencoder.

    Attributes:
        unet: Answers the noise (or the velocity) in a noisy latent.
        vae: Turns pictures into latents and back.
        scheduler: A diffusers scheduler; its config is how the model was trained.
        tokenizer: Cuts a prompt for the first encoder.
        text_encoder: The first encoder.
        tokenizer_2: Cuts a prompt for SDXL's second encoder.
        text_encoder_2: SDXL's second encoder, which also gives the pooled text.
        settings: What the model's index says beside its parts, such as
            `force_zeros_for_empty_prompt` or `requires_aesthetics_score`.
        family: Which Stable Diffusion it is.
    """

    unet: UNet2DConditionModel | None
    vae: AutoencoderKL | None
    scheduler: SchedulerMixin
    tokenizer: CLIPTokenizer | None
    text_encoder: CLIPTextModel | None
    tokenizer_2: CLIPTokenizer | None = None
    text_encoder_2: CLIPTextModelWithProjection | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    family: Family = field(default_factory=lambda: Family("sd1"))

    def __repr__(self) -> str:
        """Its networks with their sizes, and how the model was trained."""
        told = [
            f"{name}: {type(network).__name__}, {_count(network):,} numbers"
            for name, network in self.networks.items()
        ]
        return f"Parts({'; '.join([*told, f'scheduler: {type(self.scheduler).__name__}'])})"

    @property
    def networks(self) -> dict[str, torch.nn.Module]:
        """The parts with weights that are here, by name, in the order in which a prompt passes."""
        return {name: part for name in NETWORKS if (part := getattr(self, name)) is not None}

    @property
    def device(self) -> torch.device:
        """Where the first network's weights lie."""
        return next(self._tensors()).device

    @property
    def dtype(self) -> torch.dtype:
        """In what the U-Net (or, without one, the first network) computes."""
        networks = self.networks
        tensors = networks["unet"].parameters() if "unet" in networks else self._tensors()
        return next(tensors).dtype

    @property
    def nbytes(self) -> int:
        """The memory that the weights take."""
        return sum(tensor.nbytes for tensor in self._tensors())

    def to(
        self,
        device: torch.device | torch.dtype | str | None = None,
        dtype: torch.dtype | str | None = None,
    ) -> Parts:
        """Move the networks, in place, as torch does with modules; what is None stays."""
        if isinstance(device, torch.dtype):  # torch's own way to say it: .to(torch.float16)
            if dtype is not None:
                raise TypeError(f"Two precisions were given, {device} and {dtype}: give one.")
            device, dtype = None, device
        given: dict[str, Any] = {}
        if device is not None:
            given["device"] = choose_device(device)
        if dtype is not None:
            given["dtype"] = known_dtype(dtype)
        for network in self.networks.values():
            network.to(**given)
        return self

    def _tensors(self) -> Iterator[torch.Tensor]:
        if not self.networks:
            raise ValueError("There is no network among these parts, so they have no device.")
        for network in self.networks.values():
            yield from network.parameters()


def _count(network: torch.nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters())
