"""Worlds so small that everything is known exactly: mixtures of round Gaussians.

Noise turns a mixture into another mixture, so density, score, best noise estimate and best
classifier have closed forms at every noise level. They stand in for a perfectly trained
network: whatever error a sampler makes on them is the sampler's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sdlearn.equations import _checks, predictions
from sdlearn.equations._checks import Coefficient, sqrt


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of round Gaussians in 1, 2 or more dimensions, with labels.

    Attributes:
        means: Centres, shape [components, dims].
        stds: Widths, shape [components].
        weights: Shares, shape [components]; they add up to 1.
        labels: Which group each component belongs to, shape [components].
        names: A name for each label.
    """

    means: Tensor
    stds: Tensor
    weights: Tensor
    labels: Tensor
    names: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        """How many Gaussians, in how many dimensions, and what their groups are called."""
        named = f", {', '.join(self.names)}" if self.names else ""
        return f"Mixture({len(self.means)} Gaussians in {self.dims} dimensions{named:.80})"

    def __post_init__(self) -> None:
        """Refuse what is no mixture."""
        means = _checks.sample("means", self.means)
        if means.ndim != 2 or 0 in means.shape or not bool(torch.isfinite(means).all()):
            raise ValueError(
                f"means must be finite, of shape [components, dims], got {tuple(means.shape)}."
            )
        count = len(means)
        if float(_checks.vector("stds", self.stds, length=count).min()) < 0:
            raise ValueError("stds must be 0 or above: they are widths.")
        weights = _checks.vector("weights", self.weights, length=count)
        if float(weights.min()) < 0 or abs(float(weights.sum()) - 1) > 1e-6:
            raise ValueError(f"weights must be shares that add up to 1, got {weights.tolist()}.")
        if not isinstance(self.labels, Tensor) or self.labels.dtype != torch.long:
            raise TypeError("labels must be a tensor of whole numbers (torch.long).")
        if self.labels.shape != (count,) or int(self.labels.min()) < 0:
            raise ValueError(f"labels must be {count} numbers, one a component, 0 or above.")
        if self.names and len(self.names) <= int(self.labels.max()):
            raise ValueError(f"names must hold one name for each label, got {self.names}.")

    @property
    def dims(self) -> int:
        """The number of dimensions."""
        return self.means.shape[1]

    def given(self, label: int | str) -> Mixture:
        """The mixture of one group alone: what a caption leaves of the world."""
        number = self.label(label)
        chosen = self.labels == number
        weights = self.weights[chosen]
        return Mixture(
            self.means[chosen],
            self.stds[chosen],
            weights / weights.sum(),
            self.labels[chosen],
            self.names,
        )

    def label(self, label: int | str) -> int:
        """The number of a label that may be given by name."""
        if isinstance(label, str):
            if not self.names:
                raise ValueError(f"label must be a number: these groups have no names ({label!r}).")
            return self.names.index(_checks.choice("label", label, self.names))
        if isinstance(label, bool) or not isinstance(label, int):
            raise TypeError(f"label must be a name or a whole number, got {label!r}.")
        known = sorted(set(self.labels.tolist()))
        if label not in known:
            raise ValueError(f"label must be one of {known} or {self.names}, got {label!r}.")
        return label

    def sample(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw clean points.

        Returns:
            Points of shape [count, dims] and their labels, shape [count].
        """
        _checks.whole("count", count)
        if not isinstance(generator, torch.Generator):
            raise TypeError(
                "generator must be a torch.Generator, for example "
                f"torch.Generator().manual_seed(0); got {type(generator).__name__}."
            )
        pick = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.dims, generator=generator, dtype=self.means.dtype)
        return self.means[pick] + self.stds[pick, None] * noise, self.labels[pick]

    def log_density(self, xt: Tensor, alpha_bar: Coefficient = 1.0) -> Tensor:
        """Logarithm of the density of noisy points, shape [...] for points [..., dims]."""
        joint, _, _ = self._components(xt, alpha_bar)
        return torch.logsumexp(joint, -1)

    def density(self, xt: Tensor, alpha_bar: Coefficient = 1.0) -> Tensor:
        """The density of noisy points, shape [...] for points [..., dims]."""
        return self.log_density(xt, alpha_bar).exp()

    def score(self, xt: Tensor, alpha_bar: Coefficient = 1.0) -> Tensor:
        """The gradient of the log density, shape of xt."""
        joint, offsets, variances = self._components(xt, alpha_bar)
        share = torch.softmax(joint, -1)  # which component xt came from
        return (share[..., None] * offsets / variances[..., None]).sum(-2)

    def eps(self, xt: Tensor, alpha_bar: Coefficient) -> Tensor:
        """The best possible noise estimate: what a perfect network would answer."""
        return predictions.eps_from_score(self.score(xt, alpha_bar), alpha_bar)

    def x0(self, xt: Tensor, alpha_bar: Coefficient) -> Tensor:
        """The best possible estimate of the clean point: the mean of all that fit xt."""
        joint, offsets, variances = self._components(xt, alpha_bar)
        root = sqrt(_checks.alpha_bar(alpha_bar, xt))
        root = root[..., None] if isinstance(root, Tensor) else root
        pull = root * (self.stds.to(xt) ** 2)[:, None] / variances[..., None]
        means = self.means.to(xt) - pull * offsets  # Tweedie, a component each
        return (torch.softmax(joint, -1)[..., None] * means).sum(-2)

    def classify(self, xt: Tensor, alpha_bar: Coefficient = 1.0) -> Tensor:
        """The best possible classifier, p(label | xt), shape [..., labels]."""
        joint, _, _ = self._components(xt, alpha_bar)
        share = torch.softmax(joint, -1)
        groups = share.new_zeros(*share.shape[:-1], int(self.labels.max()) + 1)
        return groups.index_add(-1, self.labels.to(share.device), share)

    def classifier_gradient(self, xt: Tensor, alpha_bar: Coefficient, label: int | str) -> Tensor:
        """The gradient of log p(label | xt): Bayes' rule says it is a difference of scores."""
        return self.given(label).score(xt, alpha_bar) - self.score(xt, alpha_bar)

    def _components(self, xt: Tensor, alpha_bar: Coefficient) -> tuple[Tensor, Tensor, Tensor]:
        """Joint log densities [..., k], offsets to the centres [..., k, dims], variances."""
        xt = _checks.sample("xt", xt)
        if xt.ndim == 0 or xt.shape[-1] != self.dims:
            raise ValueError(
                f"xt must hold points of {self.dims} numbers, [..., {self.dims}], "
                f"got shape {tuple(xt.shape)}."
            )
        alpha_bar = _checks.alpha_bar(alpha_bar, xt)
        if isinstance(alpha_bar, Tensor):
            alpha_bar = alpha_bar.expand(*xt.shape[:-1], 1)
        variances = alpha_bar * self.stds.to(xt) ** 2 + (1 - alpha_bar)  # [..., k] or [k]
        if not bool((variances > 0).all()):
            raise ValueError("a component has no width at this alpha_bar: it has no density.")
        root = sqrt(alpha_bar)
        root = root[..., None] if isinstance(root, Tensor) else root
        offsets = root * self.means.to(xt) - xt[..., None, :]
        square = (offsets**2).sum(-1) / variances
        norm = self.dims / 2 * (2 * math.pi * variances).log()
        return self.weights.to(xt).log() - square / 2 - norm, offsets, variances


# --- named shapes, all of about unit size: the networks' world is scaled to that too ---------


def two_peaks(distance: float = 2.0, std: float = 0.25, dims: int = 1) -> Mixture:
    """Two peaks on a line (or a plane): the cats on the left, the dogs on the right."""
    _checks.whole("dims", dims)
    half = _checks.number("distance", distance, low=0.0) / 2
    means = torch.zeros(2, dims, dtype=torch.float64)
    means[0, 0], means[1, 0] = -half, half
    return _even(means, std, [0, 1], ("cats", "dogs"))


def three_groups(std: float = 0.3, radius: float = 1.2) -> Mixture:
    """Three groups on a plane that overlap a little: cats, dogs and humans."""
    return _even(_circle(3, radius, turn=0.25), std, [0, 1, 2], ("cats", "dogs", "humans"))


def ring(count: int = 8, radius: float = 1.3, std: float = 0.12) -> Mixture:
    """Small round groups on a ring: does a sampler find them all?"""
    _checks.whole("count", count)
    return _even(_circle(count, radius), std, list(range(count)), ())


def moons(per_moon: int = 24, std: float = 0.08) -> Mixture:
    """Two crescents that hook into each other, each a string of small Gaussians."""
    _checks.whole("per_moon", per_moon)
    angle = torch.linspace(0, math.pi, per_moon, dtype=torch.float64)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], -1)
    means = torch.cat([upper, -upper])
    labels = [0] * per_moon + [1] * per_moon
    return _even(means * 1.1, std, labels, ("upper moon", "lower moon"))


def spiral(count: int = 60, turns: float = 2.0, std: float = 0.06) -> Mixture:
    """A spiral: a thin curve in the plane, as natural pictures are in the space of all."""
    _checks.whole("count", count)
    share = torch.linspace(0.1, 1, count, dtype=torch.float64).sqrt()  # even along the curve
    angle = 2 * math.pi * turns * share
    means = 1.8 * share[:, None] * torch.stack([angle.cos(), angle.sin()], -1)
    return _even(means, std, [0] * count, ("spiral",))


def grey_cards(pixels: int, levels: int = 37) -> Mixture:
    """Plain grey pictures of every brightness, along the one direction in which they differ.

    A card of brightness b (-0.9 to 0.9) lies at ``b * sqrt(pixels)``: noise, which is 1 along
    every direction, hides the brightness of a large picture last.
    """
    _checks.whole("pixels", pixels)
    _checks.whole("levels", levels, low=2)
    brightness = torch.linspace(-0.9, 0.9, levels, dtype=torch.float64)
    length = pixels**0.5
    return _even(brightness[:, None] * length, 1.8 / levels * length, [0] * levels, ("card",))


NAMED = {
    "two peaks": two_peaks,
    "three groups": three_groups,
    "ring of eight": ring,
    "moons": moons,
    "spiral": spiral,
}


def named(name: str) -> Mixture:
    """One of the named shapes: see `NAMED`."""
    return NAMED[_checks.choice("name", name, NAMED)]()


def _circle(count: int, radius: float, turn: float = 0.0) -> Tensor:
    radius = _checks.number("radius", radius, low=0.0)
    angle = 2 * math.pi * (torch.arange(count, dtype=torch.float64) / count + turn)
    return radius * torch.stack([angle.cos(), angle.sin()], -1)


def _even(means: Tensor, std: float, labels: list[int], names: tuple[str, ...]) -> Mixture:
    std = _checks.number("std", std, low=0.0, open_low=True)
    count = len(means)
    return Mixture(
        means,
        torch.full((count,), std, dtype=means.dtype),
        torch.full((count,), 1 / count, dtype=means.dtype),
        torch.tensor(labels),
        names,
    )
