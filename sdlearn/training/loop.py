"""The one training loop: whatever the stage, on one CPU or on many GPUs.

Two habits make it simple. *What a step does is a function of its number*: which pictures, which
noise, which learning rate. So a run that was killed and one that wasn't end in the same weights,
and nothing but weights and the optimizer's memory has to be kept. And *every process computes the
whole batch's random numbers and takes its share*, so that two processes follow the same curve
as one.
"""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.compiler import set_stance
from tqdm import tqdm

from sdlearn.training import checkpoints, speed
from sdlearn.training.ahead import ahead
from sdlearn.training.average import Average
from sdlearn.training.log import Log
from sdlearn.training.optimizer import Muon
from sdlearn.training.plans import Plan
from sdlearn.training.stopping import Asked, Stopped

Batch = dict[str, Tensor]
Facts = dict[str, object]


class Stage(ABC):
    """One part of a model that learns: what it sees at a step, and what it is told.

    Attributes:
        name: The stage's name, and its folder's.
        model: What learns.
        plan: How long and how fast.
        seed: Where its random numbers come from.
    """

    name: str
    model: nn.Module
    plan: Plan
    seed: int

    @abstractmethod
    def batch(self, step: int, generator: torch.Generator) -> Batch:
        """The whole batch of a step, of all processes together, on the CPU.

        It is made on a thread of its own, one step ahead: it must touch nothing that `loss` or
        `sample` uses at the same time, and no global random numbers.
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a share of a batch, and figures for the log."""

    @abstractmethod
    def load(self, exported: Path) -> None:
        """Begin with the weights of an exported model's folder."""

    def learns(self) -> dict[str, object]:
        """What must be as it was for a training to go on; JSON. How long it goes on may change."""
        return {name: value for name, value in asdict(self.plan).items() if name != "steps"}

    def sample(self, model: nn.Module, path: Path) -> None:  # noqa: B027
        """Draw a picture of what the stage can do by now; most stages have something to show."""


def train(
    stage: Stage,
    folder: Path,
    accelerator: Accelerator,
    *,
    stop_at: int | None = None,
    save_every: int = 200,
    sample_every: int = 1000,
    compiled: bool = False,
    earlier: Facts | None = None,
) -> Path:
    """Train a stage, from its last checkpoint on; return the final checkpoint's path.

    Args:
        stage: What learns.
        folder: Where its checkpoints, log and samples go.
        accelerator: Knows the device, the precision and the other processes.
        stop_at: Stop after this step, though the plan goes on (to make room, or for a test).
        save_every: Steps between checkpoints.
        sample_every: Steps between pictures.
        compiled: Whether torch compiles the model first: minutes at the beginning, then faster.
        earlier: What is known of the training that made the weights with which `stage` comes, if
            it doesn't begin at random ones. Kept in every checkpoint.

    Raises:
        Stopped: Somebody pressed Ctrl-C; a checkpoint has been written.
    """
    plan = stage.plan
    if plan.batch % accelerator.num_processes:
        raise ValueError(
            f"The batch of {plan.batch} can't be shared evenly by {accelerator.num_processes} "
            "processes. Start a number that divides it."
        )
    # A pixel's channels side by side: convolutions are quicker so, and attention need not copy.
    model = stage.model.to(accelerator.device, memory_format=torch.channels_last)
    average = Average(model, plan.ema)
    optimizer = Muon(model, plan.rate, weight_decay=plan.weight_decay)
    begin, facts = _resume(folder, model, average, optimizer, accelerator)
    facts = facts if begin else {"earlier": earlier} if earlier else {}
    if facts.setdefault("precision", _precision(accelerator)) != _precision(accelerator):
        accelerator.print(
            f"{stage.name}: begun in {facts['precision']}, and this machine goes on in "
            f"{_precision(accelerator)}: it will not end in the very same weights."
        )
    end = plan.steps if stop_at is None else min(plan.steps, stop_at)
    _announce(stage, begin, end, accelerator)
    if begin >= end:
        return checkpoints.newest(folder)
    _go_on_alike(facts, stage, folder)
    devices = facts.setdefault("devices", [])
    if device_name(accelerator) not in devices[-1:]:
        facts["devices"] = [*devices, device_name(accelerator)]
    if compiled:
        speed.compile_in_place(model, accelerator.device)
    wrapped, prepared = accelerator.prepare(model, optimizer)
    wrapped.train()
    steps, before = range(begin, end), _steps_before(facts)
    with (
        Asked() as asked,
        _Report(stage, folder, begin, end, accelerator) as report,
        closing(ahead(lambda step: _share(stage, before + step, accelerator), steps)) as batches,
    ):
        for step, share in zip(steps, batches, strict=True):
            for group in prepared.param_groups:
                group["lr"] = plan.rate_at(step)
            with accelerator.autocast():
                loss, figures = stage.loss(wrapped, _on(accelerator.device, share))
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(wrapped.parameters(), plan.clip)
            prepared.step()
            prepared.zero_grad()
            average.update(model, step)
            done = step + 1
            save = done % save_every == 0 or done == end
            stop = report.add(done, {"loss": loss, **figures}, norm, asked.yes, now=save)
            if accelerator.is_main_process:
                if save or stop:
                    _save(folder, done, model, average, optimizer, facts)
                if done % sample_every == 0 or done == plan.steps:
                    with average.shown_by(model), set_stance("force_eager"):  # other sizes
                        stage.sample(model, folder / f"sample-{done:07d}.png")
            if stop:
                raise Stopped(
                    f"{stage.name} stopped at step {done} of {plan.steps}, and its checkpoint is "
                    "written. The same command goes on from there."
                )
    accelerator.wait_for_everyone()
    return checkpoints.newest(folder)


def averaged(model: nn.Module, folder: Path) -> tuple[int, Facts]:
    """Put a stage's averaged weights into its model; return how many steps made them, and facts."""
    found = checkpoints.load(folder)
    if found is None:
        raise FileNotFoundError(
            f"{folder} holds no checkpoint. Train this stage first: --stage {folder.name}."
        )
    step, tensors, facts = found
    average = Average(model, 0.0)
    with checkpoints.explained(folder):
        average.load(checkpoints.part("average", tensors))
    average.put_into(model)
    model.eval().requires_grad_(False)
    return step, facts


class _Report:
    """Tells how it goes: the log, the progress bar, and an alarm when the loss is no number.

    On a GPU a step is only asked for, not waited for; so the figures are looked at in groups.
    """

    def __init__(
        self, stage: Stage, folder: Path, begin: int, end: int, accelerator: Accelerator
    ) -> None:
        self.stage, self.accelerator = stage, accelerator
        self.every = 1 if accelerator.device.type == "cpu" else 10
        self.waiting: list[tuple[int, Tensor]] = []
        boss = accelerator.is_main_process
        self.log = Log(folder / "log.csv", begin) if boss else None
        self.bar = tqdm(total=end, initial=begin, desc=stage.name, disable=not boss, mininterval=2)

    def __enter__(self) -> _Report:
        self.clock = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def add(
        self, done: int, figures: dict[str, Tensor], norm: Tensor, stop: bool, *, now: bool
    ) -> bool:
        """Take a step's figures; say whether any process was asked to stop."""
        values = [*figures.values(), norm, torch.tensor(float(stop))]
        row = torch.stack([v.detach().float().to(self.accelerator.device) for v in values])
        self.waiting.append((done, row))
        if len(self.waiting) < self.every and not now:
            return False
        rows = self.accelerator.reduce(torch.stack([row for _, row in self.waiting]), "mean")
        seconds = time.perf_counter() - self.clock
        speed = self.stage.plan.batch * len(self.waiting) / seconds
        for (step, _), row in zip(self.waiting, rows.tolist(), strict=True):
            self._write(step, dict(zip(figures, row, strict=False)), row[-2], speed)
        self.waiting, self.clock = [], time.perf_counter()
        return bool(rows[:, -1].any())

    def _write(self, done: int, figures: dict[str, float], norm: float, speed: float) -> None:
        loss = figures.pop("loss")
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise FloatingPointError(
                f"Step {done} of {self.stage.name} went wrong: the loss is {loss}, the gradient's "
                f"length {norm}. The last checkpoint is whole: lower the learning rate "
                f"({self.stage.plan.rate:g}) in the recipe and start again."
            )
        if self.log is not None:
            self.log.write(done, loss, speed, self.stage.plan.rate_at(done - 1), figures)
        self.bar.set_postfix(loss=f"{loss:.4f}", per_s=f"{speed:.0f}", refresh=False)
        self.bar.update()


def _announce(stage: Stage, begin: int, end: int, accelerator: Accelerator) -> None:
    if begin >= stage.plan.steps:
        said = f"all {begin} steps are done."
    elif begin >= end:
        said = f"step {begin} of {stage.plan.steps} is done; asked to stop at {end}."
    else:
        where = f"going on from step {begin}" if begin else "from the beginning"
        said = f"{where}, {end - begin} of {stage.plan.steps} steps to do"
        said += f" in batches of {stage.plan.batch}, on {accelerator.num_processes} x "
        said += f"{accelerator.device.type} in {_precision(accelerator)}."
    accelerator.print(f"{stage.name}: {said}", flush=True)


def device_name(accelerator: Accelerator) -> str:
    """What a training runs on, as a model card says it."""
    if accelerator.device.type == "cuda":
        return torch.cuda.get_device_name(accelerator.device)
    return accelerator.device.type.upper()


def _precision(accelerator: Accelerator) -> str:
    return {"no": "float32"}.get(accelerator.mixed_precision, accelerator.mixed_precision)


def _resume(
    folder: Path,
    model: nn.Module,
    average: Average,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
) -> tuple[int, Facts]:
    with accelerator.main_process_first():  # it alone sets a broken checkpoint aside
        found = checkpoints.load(folder)
    step = found[0] if found else 0
    seen = accelerator.gather(torch.tensor([step], device=accelerator.device)).tolist()
    if len(set(seen)) > 1:
        raise ValueError(
            f"The processes don't see the same checkpoint (steps {seen}). {folder} must lie on a "
            "disk that all machines share."
        )
    if found:
        with checkpoints.explained(folder):
            model.load_state_dict(checkpoints.part("model", found[1]))
            average.load(checkpoints.part("average", found[1]))
            checkpoints.unpack_optimizer(optimizer, found[1])
    return step, found[2] if found else {}


def _go_on_alike(facts: Facts, stage: Stage, folder: Path) -> None:
    """Refuse to go on with another recipe than a training began with: no card could say what it is.

    Checkpoints of earlier versions don't say; what they go on with is noted from now on.
    """
    learns = json.loads(json.dumps(stage.learns()))
    begun = facts.setdefault("learns", learns)
    for name in sorted(begun.keys() | learns.keys()):
        was, now = begun.get(name), learns.get(name)
        if was != now:
            raise ValueError(
                f"{stage.name} was begun with {name} {was!r}, and the recipe or the parts that it "
                f"learns with say {now!r} now. Put that back to go on; or move {folder} away to "
                "begin anew (--go-on: with the exported weights)."
            )


def _save(
    folder: Path,
    step: int,
    model: nn.Module,
    average: Average,
    optimizer: torch.optim.Optimizer,
    facts: Facts,
) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.weights.items()}
    tensors |= checkpoints.pack_optimizer(optimizer)
    checkpoints.save(folder, step, tensors, facts)


def _steps_before(facts: Facts) -> int:
    """How many steps made the weights that a run began with: its batches follow on theirs."""
    earlier = facts.get("earlier")
    return earlier["step"] + _steps_before(earlier) if earlier else 0


def _share(stage: Stage, step: int, accelerator: Accelerator) -> Batch:
    """This process's part of a step's batch."""
    generator = torch.Generator().manual_seed(stage.seed * 7_919 + step)
    rank, count = accelerator.process_index, accelerator.num_processes
    whole = stage.batch(step, generator)
    return {name: tensor.chunk(count)[rank] for name, tensor in whole.items()}


def _on(device: torch.device, batch: Batch) -> Batch:
    return {name: tensor.to(device) for name, tensor in batch.items()}
