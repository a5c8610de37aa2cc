"""A recipe at work in a folder: hands each stage what the earlier ones made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from sdlearn.training import checkpoints, export, log, loop, measure
from sdlearn.training.clip import CLIPStage, TextStage
from sdlearn.training.halves import SidesStage, SightStage, WordsStage
from sdlearn.training.latents import Latents, digest, encoder, named, whole
from sdlearn.training.pictures import Pictures
from sdlearn.training.plans import STAGES, Frames, Recipe
from sdlearn.training.prose import prose
from sdlearn.training.reading import Reader
from sdlearn.training.taught import TaughtStage, teaching
from sdlearn.training.tokenizer import load_tokenizer, train_tokenizer
from sdlearn.training.unet import GrowStage, UNetStage, build_unet
from sdlearn.training.vae import DecoderStage, VAEStage

__all__ = ["STAGES", "Workshop"]

ROUNDING = 1e-2
"""Scaling factors that differ by less than this share belong to the same autoencoder: the machine
rounded otherwise, or the factor was measured on other frames."""


class Workshop:
    """A recipe at work in a folder.

    Attributes:
        recipe: The recipe.
        folder: Where pictures, checkpoints, logs and samples lie.
        accelerator: Knows the device, the precision and the other processes.
        exported: A model's folder. Its parts serve the U-Net where `folder` has no checkpoint of
            a stage: so another machine goes on where the first one ended.
        models: Where the models lie whose parts this one shares.
        pictures: The training set; `seen_by` has that of a stage.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        accelerator: Accelerator,
        exported: Path | None = None,
        models: Path | None = None,
    ) -> None:
        self.recipe, self.folder, self.accelerator = recipe, Path(folder), accelerator
        self.exported, self.models = exported, models
        if models is None and exported is not None:
            self.models = exported.parent
        self.pictures = Pictures(self.folder / "pictures", recipe.pictures, recipe.size)

    def train(
        self, stage: str, *, stop_at: int | None = None, go_on: bool = False, **options: Any
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
            self.seen_by(stage).draw()
        made, folder = self.stage(stage), self.folder / stage
        earlier = None
        before = [one for one, later in export.TAUGHT_ONCE_MORE.items() if stage in later]
        begun_here = any(checkpoints.list_all(self.folder / one) for one in before)
        if go_on and begun_here and not checkpoints.list_all(folder):
            self.accelerator.print(
                f"{stage}: --go-on has no effect, it goes on with what {self.folder} has learnt."
            )
        elif go_on and not checkpoints.list_all(folder):
            earlier = self._begin_with_exported(made)
        elif go_on and checkpoints.step_of(checkpoints.newest(folder)) >= made.plan.steps:
            self.accelerator.print(
                f"{stage}: --go-on has no effect, {folder} holds a finished training. For a new "
                "run from the exported weights move that folder away."
            )
        loop.train(made, folder, self.accelerator, stop_at=stop_at, earlier=earlier, **options)

    def check_done(self, stage: str, *, unfinished: bool = False) -> None:
        """Refuse a stage that can't be exported.

        Args:
            stage: One of `STAGES`.
            unfinished: Whether it may be exported before the end of its plan.
        """
        found, plan = checkpoints.newest(self.folder / stage), self.recipe.plans[stage]
        if found is None:
            raise FileNotFoundError(
                f"{self.folder / stage} holds no checkpoint. Train this stage first: "
                f"--stage {stage}."
            )
        step = checkpoints.step_of(found)
        if step < plan.steps and not unfinished:
            raise ValueError(
                f"{stage} has done {step} of {plan.steps} steps. Finish its training, or say "
                "--unfinished to take it as it is."
            )

    def export(self, stage: str, target: Path, *, unfinished: bool = False) -> list[Path]:
        """Put what a stage made into a model's folder; return what was written.

        Args:
            stage: One of `STAGES`; the tokenizer goes with ``clip``.
            target: The model's folder.
            unfinished: Whether a stage may be exported before the end of its plan.
        """
        self.check_done(stage, unfinished=unfinished)
        is_unet = stage in ("unet", "grow", "taught")
        model = build_unet(self.recipe) if is_unet else None
        made = None if is_unet else self.stage(stage)
        step, kept = loop.averaged(model or made.model, self.folder / stage)
        plan, models = self.recipe.plans[stage], self.models or target.parent
        hours = log.hours(self.folder / stage / "log.csv", plan.batch)
        facts: dict[str, object] = {
            "step": step,
            "samples": step * plan.batch,
            "hours": round(hours, 2),
            # Of checkpoints that don't say it, it is this machine.
            "device": ", then ".join(kept.get("devices") or [loop.device_name(self.accelerator)]),
        }
        if "earlier" in kept:
            facts["earlier"] = kept["earlier"]
        if isinstance(made, CLIPStage):
            facts |= self._met(made.clip, made.tokenizer)
            if self.recipe.sees is not None:
                return export.export_text(self.recipe, facts, made.clip, target, models)
            words = self._own_clip() / "tokenizer"
            written = export.export_clip(
                self.recipe, facts, made.clip, words, target, models, stage
            )
            # Others see with the same eyes: what was measured of them was it with the old ones.
            for other, own in export.seeing_with(target.parent / self.recipe.clip_name):
                found = self._met(*export.load_clip(other, own))
                written.append(export.correct(other, "clip", found))
            return written
        if isinstance(made, VAEStage):
            # The decoder's stage leaves the latents what they are.
            latents = self.latents(made.vae) if stage == "vae" else self._painter()[1]
            facts |= measure.reconstruction(made.vae, self.recipe.size)
            return export.export_vae(
                self.recipe, facts, made.vae, latents.scaling_factor, target, models, stage
            )
        factor = self._painter()[1].scaling_factor if self.recipe.frames else 1.0
        return export.export_unet(self.recipe, facts, model, factor, target, models, stage)

    def stage(self, name: str) -> loop.Stage:
        """A stage, ready to be trained."""
        if name == "clip":
            return self._clip()
        if name == "text":
            return self._looked(WordsStage(*self._read("clip")))
        if name == "sides":
            return self._looked(SidesStage(*self._read("text", "clip")))
        if name == "sight":
            return SightStage(*self._read("sides", "text", "clip"))
        if name == "vae":
            return VAEStage(self.recipe, self.pictures)
        if name == "decoder":
            return DecoderStage(self.recipe, self.pictures, self._painter()[0])
        small = self._small(name)
        pictures = self.seen_by(name)
        vae, latents = self._painter(pictures, small=small)
        reader = self._reader()
        given = self.recipe, pictures, reader, vae, latents
        if name == "taught":
            made = TaughtStage(*given, teaching(self.recipe, self.models, reader, vae))
        else:
            made = {"unet": UNetStage, "grow": GrowStage}[name](*given)
        if name != "unet":
            self._begin_with_first(made)
        if self.accelerator.device.type == "cpu":  # the fused kernel's way back is slow there
            made.model.set_attn_processor(AttnProcessor())
        return made

    def _small(self, stage: str) -> bool:
        """Whether a stage is the first of two, which learns on pictures as they are."""
        return stage == "unet" and "grow" in self.recipe.plans

    def seen_by(self, stage: str) -> Pictures:
        """The pictures that a stage learns from: as many as others do, or others."""
        first = self.recipe.plans[stage].first
        if not first:
            return self.pictures
        framed = self.recipe.frames is not None and not self._small(stage)
        if framed or stage not in ("unet", "grow", "taught"):
            raise ValueError(
                f"{self.recipe.name}'s plan for {stage} begins with scene {first}, and that stage "
                "learns from the first ones only: set its first to 0."
            )
        return Pictures(self.pictures.folder, self.pictures.count, self.pictures.size, first)

    def tokenizer(self) -> CLIPTokenizer:
        """The tokenizer, trained if it isn't yet: that takes seconds."""
        if "tokenizer" in self.recipe.shared:
            return load_tokenizer(self._shared("tokenizer"))
        folder = self.folder / "tokenizer"
        with self.accelerator.main_process_first():
            if not (folder / "merges.txt").exists():
                train_tokenizer(self.recipe, prose(), folder)
        return load_tokenizer(folder)

    def latents(
        self,
        vae: AutoencoderKL,
        factor: float | None = None,
        shown: Pictures | Frames | None = None,
    ) -> Latents:
        """All pictures as latents, encoded once for each state of the encoder.

        Args:
            vae: The autoencoder.
            factor: Its scaling factor, if it was measured before.
            shown: Encode these, and not the recipe's first pictures.
        """
        shown = shown or self.pictures
        kind = "frames" if isinstance(shown, Frames) else "latents"
        name = f"{kind}-{named(shown)}-{digest(encoder(vae))}"
        path = self.folder / f"{name}.safetensors"

        def encode() -> dict[str, Tensor]:
            if isinstance(shown, Pictures):
                shown.draw()
            made = Latents.encode(shown, vae, self.accelerator)
            measured = torch.tensor(made.scaling_factor, dtype=torch.float64)
            tensors = {"mean": made.mean, "std": made.std, "time_ids": made.time_ids}
            return tensors | {"factor": measured}

        kept = self._once(path, encode)
        told = kept.get("time_ids", whole(len(kept["mean"]), self.recipe.size))
        return Latents(kept["mean"], kept["std"], factor or float(kept["factor"]), told)

    def _once(self, path: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What a file holds; the first process makes it if it isn't there."""
        with self.accelerator.main_process_first():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                checkpoints.write(path, make())
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(
                f"{path} can't be read ({error}). Delete it: it is made anew."
            ) from error

    def _met(self, clip: CLIPModel, tokenizer: CLIPTokenizer) -> dict[str, float]:
        """How well pictures and captions find each other."""
        return measure.retrieval(clip, tokenizer, self.recipe.size) | measure.reading(
            clip, tokenizer
        )

    def _clip(self) -> CLIPStage:
        if self.recipe.sees is None:
            return CLIPStage(self.recipe, self.pictures, self.tokenizer())
        whose = self._shared("tokenizer").parent
        other, tokenizer = export.load_clip(whose, self.models / self.recipe.sees)
        stage = TextStage(self.recipe, self.pictures, tokenizer, other)
        return self._looked(stage)

    def _read(self, *stages: str) -> tuple[Recipe, Pictures, CLIPTokenizer, CLIPModel]:
        """What a later stage of CLIP needs: this recipe's own CLIP, as it is by now.

        Args:
            stages: Those that may have made it here; the first that has a checkpoint did.
        """
        last = next((s for s in stages if checkpoints.list_all(self.folder / s)), None)
        exported = None if last else self._given("clip", "text_encoder")
        if exported is None:
            made = self.stage(last or "clip")
            self._warn(made, loop.averaged(made.model, self.folder / made.name)[0])
            clip, tokenizer = made.clip, made.tokenizer
        else:
            clip, tokenizer = export.load_clip(exported, self.models / self.recipe.clip_name)
        return self.recipe, self.pictures, tokenizer, clip

    def _looked(self, stage: TextStage) -> TextStage:
        """Let its picture half look at every picture, once for each state of that half."""
        half = {n: t for n, t in stage.clip.state_dict().items() if n.startswith("vis")}
        path = self.folder / f"seen-{named(self.pictures)}-{digest(half)}.safetensors"

        def look() -> dict[str, Tensor]:
            self.pictures.draw()
            return {"seen": stage.look(self.accelerator)}

        stage.seen = self._once(path, look)["seen"]
        return stage

    def _own_clip(self) -> Path:
        """Where this recipe's CLIP lies: trained here, or exported."""
        return self._given("clip", "text_encoder") or self.folder

    def _reader(self) -> Reader:
        """What reads captions for the U-Net: trained here, exported, or another model's."""
        recipe = self.recipe
        parts = [part for part in export.parts_of(recipe) if part.startswith(("text", "token"))]
        own = [part for part in parts if part not in recipe.shared]
        stages = [stage for stage in ("sides", "text", "clip") if stage in recipe.plans]
        last = next((s for s in stages if checkpoints.list_all(self.folder / s)), "clip")
        if own and self._given(last, "text_encoder") is None:
            stage = self.stage(last)
            self._warn(stage, loop.averaged(stage.model, self.folder / stage.name)[0])
            if last != stages[0]:
                self._warn(stage, 0, stages[0])
            text = stage.clip.text_model
            if recipe.sees is not None:  # it reads with all layers but the last
                text.encoder.layers = text.encoder.layers[:-1]
            return Reader(stage.tokenizer, [text])
        there = {part: self.exported / part for part in own}
        there |= {part: self._shared(part) for part in parts if part in recipe.shared}
        return Reader.load(recipe, there)

    def _painter(
        self, shown: Pictures | None = None, *, small: bool = False
    ) -> tuple[AutoencoderKL, Latents]:
        """What turns pictures into latents for the U-Net, and the latents.

        Args:
            shown: Which pictures, if not the recipe's first ones.
            small: Whether the first stage of two asks, which learns on pictures as they are.
        """
        if "vae" in self.recipe.shared:
            folder = self._shared("vae")
        elif self._given("vae", "vae") is not None:
            folder = self.exported / "vae"
        else:
            stage = VAEStage(self.recipe, self.pictures)
            step, _ = loop.averaged(stage.model, self.folder / stage.name)
            self._warn(stage, step)
            others = shown is not None and shown.first > 0
            # One factor for all: the U-Net knows latents by that of the first pictures.
            factor = self.latents(stage.vae).scaling_factor if others else None
            return stage.vae, self.latents(stage.vae, factor, shown)
        vae = AutoencoderKL.from_pretrained(folder).eval().requires_grad_(False)
        if self.recipe.frames is None:
            return vae, self.latents(vae, vae.config.scaling_factor, shown)
        framed = self.latents(vae, shown=self.recipe.frames)
        framed.scaling_factor = self._known_factor(framed.scaling_factor)
        return vae, self.latents(vae, framed.scaling_factor, shown) if small else framed

    def _known_factor(self, measured: float) -> float:
        """The scaling factor that the exported model has, if it differs by hardly anything.

        Every kind of machine measures another last digit, and other frames another third one. A
        base model hands its latents over to its refiner: once exported, both keep the factor that
        they have in common.
        """
        config = self.exported and self.exported / "vae" / "config.json"
        if not config or not config.exists():
            return measured
        known = json.loads(config.read_text(encoding="utf-8"))["scaling_factor"]
        return known if abs(measured / known - 1) < ROUNDING else measured

    def _shared(self, part: str) -> Path:
        """The folder of a part that is another model's."""
        place = self.recipe.shared[part]
        folder = (self.models or Path()) / place
        if self.models is None or not folder.is_dir():
            raise FileNotFoundError(
                f"{self.recipe.name} shares the {part} of {place.split('/')[0]}, but {folder} is "
                f"not there. Train and export that first: sdlearn train {place.split('/')[0]}"
            )
        return folder

    def _begin_with_first(self, stage: GrowStage | TaughtStage) -> None:
        """Give a U-Net that shall learn something more what it learnt in its first stage."""
        if checkpoints.list_all(self.folder / stage.name):
            return  # it has begun, and goes on from there
        if checkpoints.list_all(self.folder / "unet"):
            step, _ = loop.averaged(stage.model, self.folder / "unet")
            self._warn(stage, step, "unet")
            stage.model.train().requires_grad_(True)
        elif self.exported is not None and (self.exported / "unet").is_dir():
            self.accelerator.print(f"unet: as exported to {self.exported}.", flush=True)
            stage.load(self.exported)
        else:
            raise FileNotFoundError(
                f"{self.folder} has no U-Net yet that could learn more. Train the stage before "
                "this one: --stage unet."
            )

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

    def _warn(self, stage: loop.Stage, step: int, name: str | None = None) -> None:
        name = name or stage.name
        if step < self.recipe.plans[name].steps:
            self.accelerator.print(
                f"{name} has done {step} of {self.recipe.plans[name].steps} steps. What comes "
                "after it learns on what it is now: finish it first, or begin that anew when it "
                "is finished.",
                flush=True,
            )
