"""A recipe at work in a folder: hands each stage what the earlier ones made."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from sdlearn.training import checkpoints, export, log, loop, measure
from sdlearn.training.clip import CLIPStage
from sdlearn.training.pictures import Pictures
from sdlearn.training.prose import prose
from sdlearn.training.recipes import Recipe
from sdlearn.training.tokenizer import load_tokenizer, train_tokenizer
from sdlearn.training.unet import Latents, UNetStage, build_unet
from sdlearn.training.vae import DecoderStage, VAEStage

STAGES = ("tokenizer", "clip", "vae", "unet", "decoder")


class Workshop:
    """A recipe at work in a folder.

    Attributes:
        recipe: The recipe.
        folder: Where pictures, checkpoints, logs and samples lie.
        accelerator: Knows the device, the precision and the other processes.
        exported: A model's folder. Its parts serve the U-Net where `folder` has no checkpoint of
            a stage: so another machine goes on where the first one ended.
        pictures: The training set.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        accelerator: Accelerator,
        exported: Path | None = None,
    ) -> None:
        self.recipe, self.folder, self.accelerator = recipe, Path(folder), accelerator
        self.exported = exported
        self.pictures = Pictures(self.folder / "pictures", recipe.pictures, recipe.size)

    def train(
        self, stage: str, *, stop_at: int | None = None, go_on: bool = False, **options: int
    ) -> None:
        """Train one stage, from its last checkpoint on.

        Args:
            stage: One of `STAGES`.
            stop_at: Stop after this step.
            go_on: Where there is no checkpoint, begin with the exported weights, not at random.
            **options: For `loop.train`.
        """
        if stage == "tokenizer":
            self.tokenizer()
            return
        with self.accelerator.main_process_first():  # one draws, the others find it done
            self.pictures.draw()
        made, folder = self.stage(stage), self.folder / stage
        earlier = None
        if go_on and not checkpoints.list_all(folder):
            earlier = self._begin_with_exported(made)
        loop.train(made, folder, self.accelerator, stop_at=stop_at, earlier=earlier, **options)

    def export(self, stage: str, target: Path, *, unfinished: bool = False) -> list[Path]:
        """Put what a stage made into a model's folder; return what was written.

        Args:
            stage: One of `STAGES`; the tokenizer goes with ``clip``.
            target: The model's folder.
            unfinished: Whether a stage may be exported before the end of its plan.
        """
        model = build_unet(self.recipe) if stage == "unet" else None
        made = None if model is not None else self.stage(stage)
        step, kept = loop.averaged(model or made.model, self.folder / stage)
        plan = self.recipe.plans[stage]
        if step < plan.steps and not unfinished:
            raise ValueError(
                f"{stage} has done {step} of {plan.steps} steps. Finish its training, or say "
                "--unfinished to take it as it is."
            )
        hours = log.hours(self.folder / stage / "log.csv", plan.batch)
        facts: dict[str, object] = {
            "step": step,
            "samples": step * plan.batch,
            "hours": round(hours, 2),
            "device": self._device(),
        }
        if "earlier" in kept:
            facts["earlier"] = kept["earlier"]
        if isinstance(made, CLIPStage):
            facts |= measure.retrieval(made.clip, made.tokenizer, self.recipe.size)
            words = self.folder / "tokenizer"
            return export.export_clip(self.recipe, facts, made.clip, words, target)
        if isinstance(made, VAEStage):
            if stage == "vae":
                latents = self.latents(made.vae, f"step-{step:07d}")
            else:  # the decoder's stage leaves the latents what they are
                latents = self._painter()[1]
            facts |= measure.reconstruction(made.vae, self.recipe.size)
            return export.export_vae(
                self.recipe, facts, made.vae, latents.scaling_factor, target, stage
            )
        return export.export_unet(self.recipe, facts, model, target)

    def stage(self, name: str) -> loop.Stage:
        """A stage, ready to be trained."""
        if name == "clip":
            return CLIPStage(self.recipe, self.pictures, self.tokenizer())
        if name == "vae":
            return VAEStage(self.recipe, self.pictures)
        if name == "decoder":
            return DecoderStage(self.recipe, self.pictures, self._painter()[0])
        tokenizer, text = self._reader()
        vae, latents = self._painter()
        made = UNetStage(self.recipe, self.pictures, tokenizer, text, vae, latents)
        if self.accelerator.device.type == "cpu":  # the fused kernel's way back is slow there
            made.model.set_attn_processor(AttnProcessor())
        return made

    def tokenizer(self) -> CLIPTokenizer:
        """The tokenizer, trained if it isn't yet: that takes seconds."""
        folder = self.folder / "tokenizer"
        with self.accelerator.main_process_first():
            if not (folder / "merges.txt").exists():
                train_tokenizer(self.recipe, prose(), folder)
        return load_tokenizer(folder)

    def latents(self, vae: AutoencoderKL, name: str, factor: float | None = None) -> Latents:
        """All pictures as latents, encoded once for each state of the autoencoder.

        Args:
            vae: The autoencoder.
            name: What tells this state of it from others.
            factor: Its scaling factor, if it was measured before.
        """
        path = self.folder / f"latents-{name}.safetensors"
        with self.accelerator.main_process_first():
            if not path.exists():
                self.pictures.draw()
                made = Latents.encode(self.pictures, vae, self.accelerator)
                measured = torch.tensor(made.scaling_factor, dtype=torch.float64)
                draft = path.with_suffix(".draft")
                save_file({"mean": made.mean, "std": made.std, "factor": measured}, draft)
                os.replace(draft, path)
        kept = load_file(path)
        return Latents(kept["mean"], kept["std"], factor or float(kept["factor"]))

    def _device(self) -> str:
        if self.accelerator.device.type == "cuda":
            return torch.cuda.get_device_name(self.accelerator.device)
        return self.accelerator.device.type.upper()

    def _reader(self) -> tuple[CLIPTokenizer, CLIPTextModel]:
        """What reads captions for the U-Net: trained here, or exported."""
        folder = self._given("clip", "text_encoder")
        if folder is None:
            stage = CLIPStage(self.recipe, self.pictures, self.tokenizer())
            self._warn(stage, loop.averaged(stage.model, self.folder / stage.name)[0])
            return stage.tokenizer, stage.clip.text_model
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32)
        return load_tokenizer(folder / "tokenizer"), text.eval().requires_grad_(False)

    def _painter(self) -> tuple[AutoencoderKL, Latents]:
        """What turns pictures into latents for the U-Net, and the latents."""
        folder = self._given("vae", "vae")
        if folder is None:
            stage = VAEStage(self.recipe, self.pictures)
            step, _ = loop.averaged(stage.model, self.folder / stage.name)
            self._warn(stage, step)
            return stage.vae, self.latents(stage.vae, f"step-{step:07d}")
        vae = AutoencoderKL.from_pretrained(folder / "vae").eval().requires_grad_(False)
        (weights,) = (folder / "vae").glob("*.safetensors")
        name = f"exported-{hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"
        return vae, self.latents(vae, name, vae.config.scaling_factor)

    def _begin_with_exported(self, stage: loop.Stage) -> loop.Facts:
        """Give a stage the exported weights; return what is known of how they were made."""
        facts = export.facts(self.exported, stage.name) if self.exported else None
        if facts is None:
            raise ValueError(
                f"There are no exported weights of {stage.name} to go on from. Train it from the "
                "beginning: leave --go-on out."
            )
        stage.load(self.exported)
        self.accelerator.print(f"{stage.name}: begins with the exported weights.", flush=True)
        return facts

    def _given(self, stage: str, part: str) -> Path | None:
        """The exported folder, if a part must be taken from there; None if it was trained here."""
        if checkpoints.list_all(self.folder / stage):
            return None
        if self.exported is not None and (self.exported / part).is_dir():
            self.accelerator.print(f"{part}: as exported to {self.exported}.", flush=True)
            return self.exported
        return None  # the stage itself says that it holds no checkpoint

    def _warn(self, stage: loop.Stage, step: int) -> None:
        if step < stage.plan.steps:
            self.accelerator.print(
                f"{stage.name} has done {step} of {stage.plan.steps} steps. The U-Net learns on "
                "what it is now: finish it first, or begin the U-Net anew when it is finished.",
                flush=True,
            )
