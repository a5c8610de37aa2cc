"""Interventions: small functions that change a run before chosen steps.

Each function here but `matched` returns one; `model.generate(..., intervene=[...])` takes them.
One of your own is as short: it is given the run before each step.

    def no_guidance_at_the_end(run):
        if run.progress >= 0.5:
            run.guidance_scale = 1.0
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

import torch
from torch import Tensor

from sdlearn.stages import attention, checks
from sdlearn.stages.denoising import Denoising, Intervention
from sdlearn.stages.text import Prompt
from sdlearn.trace import Layer, Tokens, Trace


def scale_word(
    word: str, factor: float, start: float = 0.0, end: float = 1.0, layers: str = ""
) -> Intervention:
    """Let every place of the picture look more, or less, at a word.

    What the paper calls re-weighting: "Prompt-to-Prompt Image Editing with Cross Attention
    Control", 2208.01626, section 3.

    Args:
        word: A word of the prompt.
        factor: 0 lets nothing look at it, 1 changes nothing, 3 is a lot.
        start: From which part of the run on, 0 to 1.
        end: Up to which part.
        layers: Only layers whose names begin so, such as ``up``; all if empty.
    """
    checks.number("factor", factor, 0.0)
    _check_part(start, end)

    def change(run: Denoising) -> None:
        if start <= run.progress < end:
            columns = [tokens.words[word] for tokens in run.cond.all_tokens]
            chosen = attention.choose(run.places, (layers,) if layers else None)
            names = [place.name for place in chosen]

            def edit(probabilities: Tensor, layer: Layer) -> Tensor:
                if layer.name not in names:
                    return probabilities
                changed = probabilities.clone()
                for picture, places in enumerate(columns):
                    changed[picture, :, :, list(places)] *= factor
                return changed

            run.edit_attention(edit, f"attention to {word!r} times {factor:g}")

    return change


def attention_of(trace: Trace, until: float = 0.8) -> Intervention:
    """Look where another run looked: its picture's layout, under this prompt's words.

    Prompt-to-prompt (2208.01626): tokens that both prompts share, and tokens that stand in the
    place of others, take over the other run's maps; tokens that are only here keep their own.
    The other run must have kept every head: ``record=Record(heads="each", dtype="float32")``.

    Args:
        trace: The other run, of the same size and number of steps.
        until: Up to which part of the run.
    """
    _check_part(0.0, until)
    theirs = trace.attention.half("cond")
    times = {step.index: step.t for step in trace.steps}
    if theirs.heads != "each":
        raise ValueError(
            "That run kept the mean over the heads, and each head has to look where it looked. "
            'Record it with record=Record(heads="each", dtype="float32").'
        )
    known = [layer.name for layer in theirs.layers]

    def change(run: Denoising) -> None:
        if run.progress >= until:
            return
        if run.index not in theirs.steps:
            raise ValueError(
                f"Step {run.index} of that run's attention was not kept: both runs need the same "
                "number of steps, and the record every step (every=1)."
            )
        if abs(times.get(run.index, run.t) - run.t) > 1e-3:
            raise ValueError(
                f"Step {run.index} of that run was at t = {times[run.index]:g}, and this one is at "
                f"{run.t:g}: both runs need the same sampler, number of steps and strength."
            )
        if len(theirs.tokens) != len(run.cond):
            raise ValueError(
                f"That run drew {len(theirs.tokens)} pictures and this one draws {len(run.cond)}. "
                "trace.of(0) is one picture's run."
            )
        moved = [
            matched(old, new) for old, new in zip(theirs.tokens, run.cond.all_tokens, strict=True)
        ]

        def edit(probabilities: Tensor, layer: Layer) -> Tensor:
            if layer.name not in known:
                return probabilities
            changed = probabilities.clone()
            for picture, pairs in enumerate(moved):
                old = theirs.raw(run.index, layer.name, call=run.call, picture=picture)
                if old.shape[:3] != (changed.shape[1], layer.rows, layer.columns):
                    raise ValueError("The two runs' pictures must be of the same size.")
                ours, other = zip(*pairs, strict=True)
                changed[picture][:, :, list(ours)] = old.flatten(1, 2)[:, :, list(other)].to(
                    changed
                )
            return changed

        run.edit_attention(edit, f"attention of the run {trace.prompts[0]!r:.60}")

    return change


def matched(old: Tokens, new: Tokens) -> list[tuple[int, int]]:
    """Which position of a new prompt takes over which of an old one: [(new, old), ...].

    Equal pieces match, and so do pieces that stand in each other's place, one for one.
    """
    compared = difflib.SequenceMatcher(a=[t.id for t in old], b=[t.id for t in new], autojunk=False)
    pairs = []
    for kind, a1, a2, b1, b2 in compared.get_opcodes():
        if kind == "equal" or (kind == "replace" and a2 - a1 == b2 - b1):
            pairs += list(zip(range(b1, b2), range(a1, a2), strict=True))
    return pairs


def prompt_from(prompt: Prompt, start: float = 0.5) -> Intervention:
    """Go on with another prompt from a part of the run on: layout from one, details from both."""
    _check_part(start, 1.0)

    def change(run: Denoising) -> None:
        if (run.index - 1) / len(run.schedule) < start <= run.progress:  # it begins just here
            run.prompt(prompt)

    return change


def guidance_between(start: float, end: float, outside: float = 1.0) -> Intervention:
    """Guide only in one part of the run, and go by the prompt alone (1.0) outside of it.

    "Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in Diffusion
    Models", 2404.07724.
    """
    _check_part(start, end)

    def change(run: Denoising) -> None:
        if not start <= run.progress < end:
            run.guidance_scale = outside

    return change


def guidance_of(scale: Callable[[float], float]) -> Intervention:
    """Guidance as a function of the progress, 0 to 1: ``guidance_of(lambda p: 9 - 8 * p)``."""

    def change(run: Denoising) -> None:
        run.guidance_scale = scale(run.progress)

    return change


def latent_at(step: int, new: Callable[[Tensor], Tensor]) -> Intervention:
    """Change the noisy sample before one step: ``latent_at(5, lambda xt: xt.flip(-1))``."""
    checks.whole("step", step, 0)

    def change(run: Denoising) -> None:
        if step >= len(run.schedule):
            raise ValueError(f"step must be from 0 to {len(run.schedule) - 1}, got {step}.")
        if run.index == step:
            run.xt = new(run.xt)

    return change


def embeddings_of(new: Callable[[Tensor], Tensor]) -> Intervention:
    """Change the prompt's vectors, [prompts, 77, C], before the first step."""

    def change(run: Denoising) -> None:
        if run.index == 0:
            changed = run.cond.with_embeddings(torch.as_tensor(new(run.cond.embeddings)))
            run.prompt(changed, "the prompt's vectors were changed")

    return change


def _check_part(start: float, end: float) -> None:
    for name, value in (("start", start), ("end", end)):
        checks.number(name, value, 0.0, 1.0)
    if start >= end:
        raise ValueError(
            f"A part of the run is 0 <= start < end <= 1, got start={start}, end={end}."
        )
