"""The mixture playground: points flow through a sampler, on a world that one can draw oneself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor

from sdlearn.views.figure import Figure
from sdlearn.views.plots import clouds
from sdlearn.views.widgets.widget import Widget, source

SAMPLERS = (
    *("ddpm", "ddim", "euler", "euler_ancestral"),
    *("heun", "dpm2", "dpmpp_2m", "dpmpp_2m_sde"),
)
SPACINGS = ("trailing", "leading", "linspace", "karras")
MOST_STEPS = 100
STRONGEST = 8.0
DRAWN = "your drawing"
CROWD = 300  # points of the figure

World = dict[str, Any]
"""A mixture as the page takes it: its name, its groups' names, and its spots, each a component
``[x, y, std, weight, label]``."""


class MixturePlayground(Widget):
    """Points that flow from noise to a mixture whose score is known exactly.

    Every number here follows what is done in the page, and the page follows them.

    Attributes:
        worlds: The mixtures to choose from.
        schedules: The noise schedules to choose from: a name, and where it lies in `blob`.
        blob: Their alpha_bars, in double precision.
        world: The name of the mixture that is shown; "your drawing" for `spots`.
        spots: What was drawn: ``[x, y, std, weight, label]`` for each spot.
        names: The names of the drawing's groups.
        group: The group that guidance goes towards; "" for none.
        schedule: The name of the noise schedule.
        spacing: Where on it the sampler stops.
        seed: Decides the noise.
        progress: How far the points have flowed, 0 to 1.
        sides: One or two settings in step: sampler, steps, guidance_scale.
    """

    _esm = source("mixture", "js")
    _css = source("mixture", "css")
    worlds = traitlets.List().tag(sync=True)
    schedules = traitlets.List().tag(sync=True)
    blob = traitlets.Bytes(b"").tag(sync=True)
    world = traitlets.Unicode("").tag(sync=True)
    spots = traitlets.List().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    group = traitlets.Unicode("").tag(sync=True)
    schedule = traitlets.Unicode("").tag(sync=True)
    spacing = traitlets.Unicode("trailing").tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    progress = traitlets.Float(1.0).tag(sync=True)
    sides = traitlets.List().tag(sync=True)

    def __init__(
        self, worlds: Sequence[World], schedules: Mapping[str, Tensor], **traits: Any
    ) -> None:
        places, data = [], b""
        for name, alpha_bars in schedules.items():
            kept = alpha_bars.detach().cpu().double().numpy().astype("<f8").tobytes()
            places.append({"name": name, "at": [len(data), len(kept)]})
            data += kept
        super().__init__(worlds=list(worlds), schedules=places, blob=data, **traits)
        self._alpha_bars = dict(schedules)

    @traitlets.validate("world")
    def _known_world(self, proposal: Any) -> str:
        return _choice("world", proposal["value"], [*(one["name"] for one in self.worlds), DRAWN])

    @traitlets.validate("schedule")
    def _known_schedule(self, proposal: Any) -> str:
        return _choice("schedule", proposal["value"], [one["name"] for one in self.schedules])

    @traitlets.validate("progress")
    def _share(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= 1:
            raise ValueError(f"progress must be from 0 to 1, got {proposal['value']!r}.")
        return proposal["value"]

    @traitlets.validate("spacing")
    def _known_spacing(self, proposal: Any) -> str:
        return _choice("spacing", proposal["value"], SPACINGS)

    @traitlets.validate("sides")
    def _known_sides(self, proposal: Any) -> list[dict[str, Any]]:
        if len(proposal["value"]) not in (1, 2):
            raise ValueError(f"sides must be one setting or two, got {len(proposal['value'])}.")
        return [_side(side) for side in proposal["value"]]

    def components(self) -> dict[str, Any]:
        """The world that is shown, for ``mixtures.Mixture(**playground.components())``."""
        world = self._shown()
        if not world["spots"]:
            raise ValueError("Nothing is drawn yet: a mixture needs a component. Draw a spot.")
        table = torch.tensor(world["spots"], dtype=torch.float64)  # [components, 5]
        return {
            "means": table[:, :2],
            "stds": table[:, 2],
            "weights": table[:, 3] / table[:, 3].sum(),
            "labels": table[:, 4].long(),
            "names": tuple(world["names"]),
        }

    def figure(self) -> Figure | None:
        """The world, and what noise makes of it; None while nothing is drawn."""
        if not self._shown()["spots"]:
            return None
        parts, dice = self.components(), torch.Generator().manual_seed(self.seed)
        pick = torch.multinomial(parts["weights"], CROWD, replacement=True, generator=dice)
        noise = torch.randn(2, CROWD, 2, generator=dice, dtype=torch.float64)
        x0 = parts["means"][pick] + parts["stds"][pick, None] * noise[0]
        alpha_bars = self._alpha_bars[self.schedule]
        middle, early = len(alpha_bars) * 2 // 5, len(alpha_bars) // 7
        levels = [*alpha_bars[[-1, middle, early]].tolist(), 1.0]
        panels = [math.sqrt(level) * x0 + math.sqrt(1 - level) * noise[1] for level in levels]
        return clouds(
            panels,
            parts["labels"][pick],
            [f"alpha_bar = {level:.2g}" for level in levels],
            names=parts["names"],
            alt=f"{CROWD} points of a mixture called {self.world}, in {len(panels)} panels: on "
            "the left pure noise, towards the right less and less of it, and last the mixture "
            f"itself, in groups called {', '.join(parts['names'])}.",
        )

    def said(self) -> str:
        """What it shows, in a line of text."""
        how = " and ".join(f"{side['sampler']} in {side['steps']} steps" for side in self.sides)
        return f"[Mixture playground: {self.world}, {how}]"

    def _shown(self) -> World:
        if self.world == DRAWN:
            return {"name": DRAWN, "names": self.names, "spots": self.spots}
        return next(world for world in self.worlds if world["name"] == self.world)


def mixture(
    mixture: object = None,
    schedule: object = None,
    *,
    sampler: str = "ddim",
    steps: int = 20,
    group: str = "",
    guidance_scale: float = 1.0,
    other: str | Mapping[str, Any] | None = None,
    spacing: str = "trailing",
    seed: int = 0,
) -> MixturePlayground:
    """A widget in which points flow from noise to a mixture, which one can draw oneself.

    A mixture's score is known exactly, so nothing is trained and the answer is there at once.

    Args:
        mixture: Your own to begin with, such as ``mixtures.ring(8)``, in 2 dimensions; or the
            name of one that is here: see `WORLDS`.
        schedule: Your own noise schedule to begin with, such as ``NoiseSchedule.linear()``; or
            the name of one that is here: ``scaled-linear`` or ``cosine``.
        sampler: A name of `SAMPLERS`.
        steps: How many steps, 1 to 100.
        group: The name of a group that guidance goes towards; "" for none.
        guidance_scale: 0 to 8, as in ``uncond + guidance_scale * (cond - uncond)``.
        other: A second setting beside the first, moved in step: a sampler's name, or what
            differs, such as ``{"steps": 5}`` or ``{"guidance_scale": 4.0}``.
        spacing: Where on the schedule the sampler stops: ``trailing``, ``leading``,
            ``linspace``, or ``karras``.
        seed: Decides the noise.
    """
    worlds = [{"name": name, **made} for name, made in WORLDS.items()]
    world = mixture if isinstance(mixture, str) else next(iter(WORLDS))
    _choice("mixture", world, WORLDS)
    if mixture is not None and not isinstance(mixture, str):
        worlds.insert(0, _world(mixture))
        world = worlds[0]["name"]
    schedules = {"scaled-linear": _scaled_linear(), "cosine": _cosine()}
    named = schedule if isinstance(schedule, str) else next(iter(schedules))
    _choice("schedule", named, schedules)
    if schedule is not None and not isinstance(schedule, str):
        named = str(getattr(schedule, "name", "yours"))
        schedules.pop(named, None)  # one's own takes the name
        schedules = {named: _alpha_bars(schedule), **schedules}
    first = _side({"sampler": sampler, "steps": steps, "guidance_scale": guidance_scale})
    sides = [first]
    if other is not None:
        sides.append(_side({**first, **({"sampler": other} if isinstance(other, str) else other)}))
    chosen = next(one for one in worlds if one["name"] == world)
    if group:
        _choice("group", group, chosen["names"])
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a whole number, got {seed!r}.")
    return MixturePlayground(
        worlds,
        schedules,
        world=world,
        group=group,
        schedule=named,
        spacing=_choice("spacing", spacing, SPACINGS),
        seed=seed,
        sides=sides,
    )


# --- what comes in ---------------------------------------------------------------------------


def _world(mixture: Any) -> World:
    """A mixture as the page takes it."""
    missing = [n for n in ("means", "stds", "weights", "labels") if not hasattr(mixture, n)]
    if missing:
        raise TypeError(
            "mixture must be a mixture such as sdlearn.equations.mixtures.ring(8), or one of "
            f"{', '.join(WORLDS)}; got a {type(mixture).__name__}, which has no {missing[0]}."
        )
    if mixture.means.ndim != 2 or mixture.means.shape[1] != 2:
        raise ValueError(
            "mixture must be in 2 dimensions, to be drawn on a plane; its means are of shape "
            f"{tuple(mixture.means.shape)}. For two_peaks that is dims=2."
        )
    if float(mixture.stds.min()) <= 0:
        raise ValueError("mixture must have a width above 0 everywhere: a dot has no score.")
    labels = mixture.labels.tolist()
    given = tuple(getattr(mixture, "names", ()))
    names = given or tuple(f"group {label + 1}" for label in range(max(labels) + 1))
    columns = zip(
        mixture.means.tolist(),
        mixture.stds.tolist(),
        mixture.weights.tolist(),
        labels,
        strict=True,
    )
    spots = [[*mean, std, weight, label] for mean, std, weight, label in columns if weight > 0]
    return {"name": "your mixture", "names": list(names), "spots": spots}


def _alpha_bars(schedule: Any) -> Tensor:
    alpha_bars = getattr(schedule, "alpha_bars", None)
    if not isinstance(alpha_bars, Tensor) or alpha_bars.ndim != 1:
        raise TypeError(
            "schedule must be a noise schedule such as NoiseSchedule.linear(), or the name "
            f"'scaled-linear' or 'cosine'; got a {type(schedule).__name__}."
        )
    if len(alpha_bars) < MOST_STEPS or bool((alpha_bars.diff() >= 0).any()):
        raise ValueError(
            f"schedule must be a training's, with {MOST_STEPS} timesteps or more and alpha_bars "
            "that fall; this one is short or rises. Pass the NoiseSchedule, not what its "
            "spaced() returns: the page chooses the stations."
        )
    if not 0 < float(alpha_bars[-1]) <= float(alpha_bars[0]) < 1:
        raise ValueError(
            "schedule must keep alpha_bar between 0 and 1, both left out: at 0 (zero terminal "
            "SNR) the noise in a point says nothing about where it belongs."
        )
    return alpha_bars


def _side(settings: Mapping[str, Any]) -> dict[str, Any]:
    odd = sorted(set(settings) ^ {"sampler", "steps", "guidance_scale"})
    if odd:
        raise ValueError(f"a side holds sampler, steps and guidance_scale; look at {odd[0]!r}.")
    _choice("sampler", settings["sampler"], SAMPLERS)
    steps, scale = settings["steps"], settings["guidance_scale"]
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps must be a whole number from 1 to {MOST_STEPS}, got {steps!r}.")
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 <= scale <= STRONGEST:
        raise ValueError(f"guidance_scale must be from 0 to {STRONGEST:g}, got {scale!r}.")
    return {"sampler": settings["sampler"], "steps": steps, "guidance_scale": float(scale)}


def _choice(name: str, value: object, allowed: Iterable[str]) -> str:
    allowed = tuple(allowed)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}.")
    return str(value)


# --- the schedules that are always there; a test holds them to sdlearn.equations' -------------


def _scaled_linear(steps: int = 1000) -> Tensor:
    ends = math.sqrt(0.00085), math.sqrt(0.012)
    betas = torch.linspace(*ends, steps, dtype=torch.float64) ** 2  # Stable Diffusion, 2112.10752
    return torch.cumprod(1 - betas, dim=0)


def _cosine(steps: int = 1000) -> Tensor:
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    alpha_bar = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2  # 2102.09672, eq. 17
    return torch.cumprod(1 - (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999), dim=0)


# --- the worlds that are always there --------------------------------------------------------


def _arc(
    centre: tuple[float, float], radius: float, start: float, end: float, count: int
) -> list[tuple[float, float]]:
    """Places along an arc from one angle to another, counted in turns."""
    angles = [2 * math.pi * (start + (end - start) * i / max(count - 1, 1)) for i in range(count)]
    x, y = centre
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _line(
    start: tuple[float, float], end: tuple[float, float], count: int
) -> list[tuple[float, float]]:
    return [
        tuple(a + (b - a) * i / (count - 1) for a, b in zip(start, end, strict=True))
        for i in range(count)
    ]


def _groups(std: float, **groups: list[tuple[float, float]]) -> World:
    """Groups of spots, all of one width and one weight."""
    spots = [
        [x, y, std, 1.0, label] for label, places in enumerate(groups.values()) for x, y in places
    ]
    return {"names": [name.replace("_", " ") for name in groups], "spots": spots}


def _around(count: int, radius: float, turn: float = 0.0) -> list[tuple[float, float]]:
    return _arc((0.0, 0.0), radius, turn, turn + (count - 1) / count, count)


def _animals() -> World:
    cat, dog, human = _around(3, 1.2, turn=0.25)  # as in lesson 08
    return _groups(0.5, cats=[cat], dogs=[dog], humans=[human])


def _ring() -> World:
    return _groups(0.12, **{f"group_{i + 1}": [spot] for i, spot in enumerate(_around(8, 1.5))})


def _moons() -> World:
    upper = _arc((-0.55, -0.275), 1.2, 0.0, 0.5, 22)
    return _groups(0.09, upper_moon=upper, lower_moon=[(-x, -y) for x, y in upper])


def _spiral() -> World:
    shares = [math.sqrt(0.03 + 0.97 * i / 29) for i in range(30)]  # even along the curve
    angles = [2 * math.pi * 1.1 * share for share in shares]
    arm = [
        (1.85 * share * math.cos(angle), 1.85 * share * math.sin(angle))
        for share, angle in zip(shares, angles, strict=True)
    ]
    return _groups(0.08, one_arm=arm, other_arm=[(-x, -y) for x, y in arm])


def _smile() -> World:
    mouth = _arc((0.0, 0.0), 1.05, 0.58, 0.92, 14)
    eyes = [(x + dx, 0.55 + dy) for x in (-0.6, 0.6) for dx, dy in _around(4, 0.09)]
    return _groups(0.08, face=_around(36, 1.8), mouth=mouth, eyes=eyes)


def _letters() -> World:
    upper = _arc((-1.1, 0.55), 0.55, 0.08, 0.75, 12)
    lower = _arc((-1.1, -0.55), 0.55, 0.25, -0.42, 12)
    stem = _line((0.45, -1.1), (0.45, 1.1), 12)
    bow = _arc((0.45, 0.0), 1.1, -0.23, 0.23, 16)
    return _groups(0.08, letter_S=[*upper, *lower], letter_D=[*stem, *bow])


WORLDS: dict[str, World] = {
    "three groups": _animals(),
    "two moons": _moons(),
    "ring of eight": _ring(),
    "spiral": _spiral(),
    "smile": _smile(),
    "letters": _letters(),
}
"""The mixtures that every playground has."""
