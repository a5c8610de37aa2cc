"""The loop at the heart: ask the network, guide, step; from noise to a latent.

`Denoising` is an iterator of records. Between two steps it can be looked into and steered: set
its latent, its guidance, its prompt, or let the words' attention be changed. An intervention is
a function that is given the loop before each step, and does just that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sdlearn.equations import schedules
from sdlearn.stages import attention, checks, conditioning
from sdlearn.stages.conditioning import Sizes
from sdlearn.stages.guiding import HALVES, Guidance
from sdlearn.stages.keeping import Answered, Keeper
from sdlearn.stages.masking import Mask
from sdlearn.stages.parts import Parts
from sdlearn.stages.schedule import Call, Schedule
from sdlearn.stages.text import Prompt
from sdlearn.stages.undoing import Before
from sdlearn.trace import Attention, Look, Record, Step, Tokens, markup

Intervention = Callable[["Denoising"], None]

ELSEWHERE = {
    "cond": "run.prompt(model.encode(...)) goes on with another prompt.",
    "uncond": "A run goes away from one negative prompt all along: give it negative_prompt=...",
}
"""What is read and joined before the first step, and how it is changed."""


@dataclass(eq=False, repr=False)
class Denoising(Iterator[Step]):
    """A run in progress: each ``next()`` takes one step and hands out its record.

    Attributes:
        parts: The model's parts.
        cond: The prompt, read.
        uncond: What stands for no prompt, or the negative prompt. A function reads it only when
            it is needed.
        sample: The sample, as the sampler holds it. The records hold it, too: look at it, and
            steer with `latent`.
        schedule: The way to walk.
        guidance: The guidance of the next step. Set `guidance_scale` between steps to steer.
        sizes: SDXL's size and crop conditioning, of the prompt and of the negative one.
        generator: Where samplers that draw noise take it from.
        eta: How much fresh noise DDIM adds.
        mask: For inpainting.
        record: What to keep of each step.
        interventions: Functions that are given this object before each step.
        look: Turns latents into pictures, for the records.
        index: The step that comes next.
        call: Which of the step's calls of the network is being made, from 0; Heun makes two.
    """

    parts: Parts
    cond: Prompt
    uncond: Prompt | Callable[[], Prompt]
    sample: Tensor
    schedule: Schedule
    guidance: Guidance
    sizes: tuple[Sizes, Sizes] | None = None
    generator: Any = None
    eta: float = 0.0
    mask: Mask | None = None
    record: Record = field(default_factory=lambda: Record.of(()))
    interventions: Sequence[Intervention] = ()
    look: Look | None = None
    index: int = 0

    def __setattr__(self, name: str, value: Any) -> None:
        """Set what may be set between steps; prompts, once they are joined, would not be heard."""
        if name in ELSEWHERE and self.__dict__.get("_inputs"):
            raise AttributeError(f"run.{name} can't be set between steps. {ELSEWHERE[name]}")
        super().__setattr__(name, value)

    def __post_init__(self) -> None:
        """Take a scheduler of one's own, and see what its step can be given."""
        self.scheduler = self.schedule.fresh(self.sample.device)
        self.probe = attention.Probe(self.parts.unet, self.record, tuple(self.sample.shape[-2:]))
        self.edits: list[attention.Edit] = []
        self.changes: list[str] = []
        self.call = 0
        self._usual, self._last_prompt = self.guidance, self.cond
        self._left = self.sample  # what the last step left: another one was lent, or set
        self._read: tuple[Tokens, ...] = ()  # the prompts whose words the attention is kept for
        self._keeper = Keeper(self.record, self.schedule, self.look)
        self._levels = self.schedule.alpha_bars.tolist()
        self._arrivals = self.schedule.arrivals.tolist()
        self._inputs: dict[tuple[Any, ...], tuple[Tensor, dict[str, Any]]] = {}
        # A U-Net that was distilled to be told the guidance needs no second half (LCM).
        self._is_told = self.parts.unet.config.time_cond_proj_dim is not None
        names = inspect.signature(self.scheduler.step).parameters
        if self.eta and "eta" not in names:
            raise ValueError(
                f"eta is how much fresh noise DDIM adds, and {self.schedule.name!r} has no such "
                'setting. Say sampler="ddim", or leave eta out.'
            )
        self._options = {
            name: value
            for name, value in (("eta", self.eta), ("generator", self.generator))
            if name in names
        }

    # -- what can be seen and set between two steps -------------------------------------------

    @property
    def t(self) -> float:
        """The timestep that the network will be told."""
        if not len(self):
            raise IndexError(
                "The run is done, and the network is told nothing more: there is no t after the "
                "last step. Look at it between two steps."
            )
        return float(self.schedule.timesteps[self.index])

    @property
    def alpha_bar(self) -> float:
        """What is left of the picture's variance."""
        return self._levels[self.index]

    @property
    def sigma(self) -> float:
        """Noise per unit of picture."""
        return schedules.sigma_from_alpha_bar(self.alpha_bar)

    @cached_property
    def places(self) -> tuple[attention.Place, ...]:
        """The layers that look at the words."""
        return attention.places(self.parts.unet)

    @property
    def progress(self) -> float:
        """0 before the first step, 1 after the last."""
        return self.index / len(self.schedule)

    @property
    def xt(self) -> Tensor:
        """The noisy sample, in the scaling of the equations."""
        return self._to_xt(self.sample, self.sigma)

    @xt.setter
    def xt(self, value: Tensor) -> None:
        self._check_sample("xt", value)
        self._settle()
        factor = (1 + self.sigma**2) ** 0.5 if self.schedule.sigma_space else 1.0
        moved = float((value - self.xt).float().pow(2).mean().sqrt())
        self.sample = self._left = (value * factor).to(self.sample)
        self.changes.append(f"xt moved by {moved:.3g} (root mean square)")

    @property
    def latent(self) -> Tensor:
        """The sample, in the sampler's own scaling. Set it, or change it in place, to steer."""
        if self.sample is self._left:  # lent as a copy: the records hold the other one
            self.sample = self._left.clone()
        return self.sample

    @latent.setter
    def latent(self, value: Tensor) -> None:
        self._check_sample("latent", value)
        self.sample = value.detach().to(self.sample, copy=True)

    def _check_sample(self, name: str, value: Any) -> None:
        if not isinstance(value, Tensor) or value.shape != self.sample.shape:
            came = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name} must be a tensor {tuple(self.sample.shape)}, got {came}.")
        if not bool(value.isfinite().all()):
            raise ValueError(f"{name} holds numbers that are none (NaN or infinite).")

    @property
    def guidance_scale(self) -> float:
        """The guidance of the next step; after it, it is what it was at first."""
        return self.guidance.scale

    @guidance_scale.setter
    def guidance_scale(self, value: float) -> None:
        value = checks.number("guidance_scale", value, 0.0)
        if value != self.guidance.scale:
            self.changes.append(f"guidance {self.guidance.scale:g} -> {value:g}")
        self.guidance = Guidance(value, self.guidance.rescale)

    def prompt(self, cond: Prompt, note: str | None = None) -> None:
        """Go on with another prompt from here."""
        if not isinstance(cond, Prompt):
            raise TypeError(
                f"prompt must be one that was read, model.encode(...), got {cond!r:.60}."
            )
        if cond is self._last_prompt:
            return
        pictures, width = len(self.sample), self.cond.embeddings.shape[-1]
        if pictures % len(cond):
            raise ValueError(f"{len(cond)} prompts can't be shared out over {pictures} pictures.")
        if cond.embeddings.shape[-1] != width:
            raise ValueError(
                f"The prompt's vectors hold {cond.embeddings.shape[-1]} numbers, this run's hold "
                f"{width}: they must come from the same model."
            )
        self._last_prompt, self._inputs = cond, {}
        self.__dict__["cond"] = cond.repeated(pictures // len(cond))
        self.changes.append(note or f"prompt -> {cond.texts[0]!r:.60}")
        if self.probe.kept and self._read != self.cond.all_tokens:
            checks.warn(
                f"From step {self.index} on another prompt is read, whose words stand in other "
                "places: attention is kept for the first prompt, up to here."
            )

    def edit_attention(self, edit: attention.Edit, note: str) -> None:
        """Let a function change the prompted half's attention to the words, for one step."""
        self.edits.append(edit)
        self.changes.append(note)

    # -- the loop -----------------------------------------------------------------------------

    def __iter__(self) -> Denoising:
        """Itself."""
        return self

    def __len__(self) -> int:
        """How many steps are left."""
        return len(self.schedule) - self.index

    def __repr__(self) -> str:
        """What is being drawn, and how far it is."""
        texts = ", ".join(f"{text!r:.60}" for text in self.cond.texts)
        done = f"{self.index} of {len(self.schedule)} steps done"
        return f"Denoising({texts}: {done}, {self.schedule.name})"

    def _repr_html_(self) -> str:
        """The same, and how the latent looks now."""
        now = f"before step {self.index}" if len(self) else "done"
        seen = [
            markup.captioned(
                markup.img(self.look.preview(latent[None]), f"The latent {now}.", width=104), now
            )
            for latent in self._to_xt(self.sample, self.sigma)
        ]
        return markup.card(repr(self), [markup.row(seen)], kind="denoising")

    @torch.no_grad()
    def __next__(self) -> Step:
        """One step: interventions, call or calls of the network, the record."""
        if self.index >= len(self.schedule):
            raise StopIteration
        self._settle()
        before = Before(self.scheduler, (self, self._keeper), self.generator)
        try:
            for change in self.interventions:
                change(self)
            self._settle()
            return self._step()
        except BaseException:  # Ctrl-C too: half a step is none
            before.restore()
            self.probe.forget(self.index)
            raise

    def _settle(self) -> None:
        """Note whether the latent was changed, and take it over: what was lent is let go."""
        if self.sample is self._left:
            return
        if not torch.equal(self.sample, self._left):
            self.changes.append("the latent was set")
            self._left = self.sample.clone()
        self.sample = self._left

    def _step(self) -> Step:
        """What a step is, after everybody has had a say."""
        if self.edits and not self._is_told and "cond" not in self.guidance.halves:
            self.changes.append("(attention: no effect, at guidance 0 the prompt is not asked)")
        sample, calls = self.sample, self.schedule.calls[self.index]
        answered = [self._evaluate(call, number) for number, call in enumerate(calls)]
        step = self._keeper.step(
            answered[0],
            sample,
            self.sample,
            self.alpha_bar,
            alpha_bar_next=self._arrivals[self.index],
            index=self.index,
            t=self.t,
            guidance_scale=self.guidance.scale,
            calls=len(calls),
            changes=tuple(self.changes),
        )
        self.index += 1
        self.guidance, self.edits, self.changes = self._usual, [], []
        return step

    def _evaluate(self, call: Call, number: int) -> Answered:
        """Ask, guide, step: one call of the network."""
        self.call = number
        t = self.scheduler.timesteps[call.place]
        halves = ("cond",) if self._is_told else self.guidance.halves
        answers, shown = self._ask(t, halves)
        answer = self.guidance.guided(answers)
        told = self.scheduler.step(answer, t, self.sample, **self._options, return_dict=True)
        x0 = getattr(told, "pred_original_sample", None)
        x0 = getattr(told, "denoised", None) if x0 is None else x0  # LCM's name for it
        left = told.prev_sample
        if self.mask is not None:
            left = self.mask.blended(left, self.scheduler, call.place)
        self.sample = self._left = left
        return Answered(shown, answers, answer, x0)

    def _ask(self, t: Tensor, halves: tuple[str, ...]) -> tuple[dict[str, Tensor], Tensor]:
        """The network's answers, half by half, and the sample as it was shown."""
        batch = torch.cat([self.sample] * len(halves)) if len(halves) > 1 else self.sample
        batch = self.scheduler.scale_model_input(batch, t)
        shown = batch[: len(self.sample)]
        if self.mask is not None:
            batch = self.mask.beside(batch, len(halves))
        words, more = self._conditions(halves)
        with ExitStack() as stack:
            self._read = self._read or self.cond.all_tokens
            read = self.probe.wants(self.index) and self._read == self.cond.all_tokens
            # What is recorded is what the network used: an edit is asked once for both.
            shared = [_once(edit) for edit in self.edits] if read else self.edits
            if shared:
                stack.enter_context(self._changing(halves, shared))
            if read:
                edits = {"cond": shared}
                stack.enter_context(self.probe.reading(self.index, self.call, halves, edits))
            answer = self.parts.unet(
                batch, t, encoder_hidden_states=words, return_dict=False, **more
            )
        return dict(zip(halves, answer[0].chunk(len(halves)), strict=True)), shown

    def _conditions(self, halves: tuple[str, ...]) -> tuple[Tensor, dict[str, Any]]:
        """What the network is told beside sample and timestep; the same at every step."""
        key = (*halves, self.guidance.scale if self._is_told else None)
        if key not in self._inputs:
            if "uncond" in halves and callable(self.uncond):
                self.__dict__["uncond"] = self.uncond()
            prompts = [self.cond if half == "cond" else self.uncond for half in halves]
            words = torch.cat([prompt.embeddings for prompt in prompts])
            count = len(self.sample)
            more = conditioning.guidance_told(self.parts, self.guidance.scale, count)
            if self.sizes is not None:
                of = dict(zip(("cond", "uncond"), self.sizes, strict=True))
                sizes = [of[half] for half in halves]
                more |= conditioning.sizes_told(self.parts, prompts, sizes)
            self._inputs[key] = words, more
        return self._inputs[key]

    def _changing(self, halves: tuple[str, ...], edits: Sequence[attention.Edit]) -> Any:
        """Edits see the prompted half alone."""
        if "cond" not in halves:
            return ExitStack()

        def only_cond(probabilities: Tensor, layer: Any) -> Tensor:
            others, cond = probabilities.split(
                [len(probabilities) - len(self.sample), len(self.sample)]
            )
            for edit in edits:
                cond = edit(cond, layer)
            return torch.cat([others, cond])

        return attention.changing(self.places, [only_cond], tuple(self.sample.shape[-2:]))

    # -- the record ---------------------------------------------------------------------------

    def attention(self) -> Attention | None:
        """Where the words looked so far; None if it was not to be kept."""
        kept, kept_self = self.probe.kept, self.probe.kept_self
        if not (self.record.attention or self.record.self_attention):
            return None
        negative = self.uncond.all_tokens if isinstance(self.uncond, Prompt) else ()
        keys = [*kept, *kept_self]
        return Attention(
            layers=self.probe.layers,
            tokens=self._read or self.cond.all_tokens,
            negative=negative,
            steps=tuple(sorted({key[0] for key in keys})),
            halves=tuple(half for half in HALVES if any(key[2] == half for key in keys)),
            heads=self.record.heads,
            kept=dict(kept),
            kept_self=dict(kept_self),
        )

    def _to_xt(self, latent: Tensor, sigma: float) -> Tensor:
        return latent / (1 + sigma**2) ** 0.5 if self.schedule.sigma_space else latent.clone()


def _once(edit: attention.Edit) -> attention.Edit:
    """An edit that is asked twice for each layer, and works once."""
    made: dict[str, Tensor] = {}

    def same(probabilities: Tensor, layer: Any) -> Tensor:
        if layer.name in made:
            return made.pop(layer.name)
        made[layer.name] = edit(probabilities, layer)
        return made[layer.name]

    return same
