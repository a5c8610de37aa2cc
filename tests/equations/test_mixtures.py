"""Mixtures are said to be exact: every closed form against a slower way to the same number."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sdlearn.equations import mixtures, noising, predictions
from sdlearn.equations.mixtures import Mixture
from tests.equations.samples import close, normal

LEVELS = [0.9999, 0.7, 0.2, 0.001]


def uneven(dims: int = 2) -> Mixture:
    """A mixture without any symmetry: widths, weights and labels all differ."""
    return Mixture(
        means=normal(1, (4, dims)),
        stds=torch.tensor([0.2, 0.5, 0.35, 0.8], dtype=torch.float64),
        weights=torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64),
        labels=torch.tensor([0, 1, 0, 2]),
        names=("reds", "greens", "blues"),
    )


def grid(dims: int, reach: float = 7.0, count: int = 701) -> tuple[Tensor, float]:
    """Evenly spaced points, and the volume that each stands for."""
    line = torch.linspace(-reach, reach, count, dtype=torch.float64)
    points = torch.cartesian_prod(*[line] * dims).reshape(-1, dims)
    return points, float(line[1] - line[0]) ** dims


@pytest.mark.parametrize("alpha_bar", [1.0, *LEVELS, 0.0])
@pytest.mark.parametrize("dims", [1, 2])
def test_density_integrates_to_one(dims: int, alpha_bar: float) -> None:
    points, volume = grid(dims)
    density = uneven(dims).density(points, alpha_bar)
    assert float(density.sum()) * volume == pytest.approx(1, abs=1e-9)


def test_density_in_three_dimensions_is_the_product_of_the_textbook() -> None:
    one = Mixture(
        torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64),
        torch.tensor([0.5], dtype=torch.float64),
        torch.ones(1, dtype=torch.float64),
        torch.tensor([0]),
    )
    std = math.sqrt(0.6 * 0.25 + 0.4)
    normals = torch.distributions.Normal(math.sqrt(0.6) * one.means[0], std)
    points = normal(2, (20, 3))
    close(one.log_density(points, 0.6), normals.log_prob(points).sum(-1))


@pytest.mark.parametrize("alpha_bar", [1.0, *LEVELS])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_score_is_the_gradient_of_the_log_density(dims: int, alpha_bar: float) -> None:
    points = 2 * normal(3, (50, dims))
    points.requires_grad_()
    uneven(dims).log_density(points, alpha_bar).sum().backward()
    close(uneven(dims).score(points.detach(), alpha_bar), points.grad)


@pytest.mark.parametrize("alpha_bar", LEVELS)
@pytest.mark.parametrize("dims", [1, 2])
def test_eps_and_x0_are_two_ways_to_say_the_score(dims: int, alpha_bar: float) -> None:
    """x0 comes from Tweedie's formula component by component, eps from the score."""
    mixture, xt = uneven(dims), 2 * normal(3, (50, dims))
    score, eps, x0 = (f(xt, alpha_bar) for f in (mixture.score, mixture.eps, mixture.x0))
    close(predictions.score_from_eps(eps, alpha_bar), score)
    close(predictions.x0_from_eps(xt, eps, alpha_bar), x0, 1e-10)
    close(noising.add_noise(x0, eps, alpha_bar), xt, 1e-10)


@pytest.mark.parametrize("alpha_bar", [0.9, 0.5, 0.05])
def test_x0_is_the_mean_of_all_clean_points_that_fit(alpha_bar: float) -> None:
    """E[x0 | xt] by summing over a grid of clean points: no closed form in sight."""
    mixture = uneven(1)
    clean, _ = grid(1, count=4001)
    prior = mixture.density(clean)
    for xt in (-2.0, -0.3, 0.4, 1.7):
        fit = torch.exp(-((xt - math.sqrt(alpha_bar) * clean[:, 0]) ** 2) / (2 * (1 - alpha_bar)))
        mean = float((prior * fit * clean[:, 0]).sum() / (prior * fit).sum())
        point = torch.tensor([xt], dtype=torch.float64)
        assert float(mixture.x0(point, alpha_bar)) == pytest.approx(mean, rel=1e-8)


def test_without_any_picture_left_x0_is_the_world_s_mean() -> None:
    mixture = uneven()
    mean = (mixture.weights[:, None] * mixture.means).sum(0)
    close(mixture.x0(3 * normal(4, (10, 2)), 0.0), mean.expand(10, 2))


def test_eps_is_the_least_wrong_answer_on_average() -> None:
    """No other function of xt misses the true noise by less: any change makes it worse."""
    mixture, generator = uneven(), torch.Generator().manual_seed(0)
    x0, _ = mixture.sample(100_000, generator)
    noise = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    xt = noising.add_noise(x0, noise, 0.5)
    best = mixture.eps(xt, 0.5)
    loss = float((best - noise).square().mean())
    for other in (best * 1.05, best * 0.95, best + 0.05, mixture.eps(xt, 0.55), noise.flip(0)):
        assert float((other - noise).square().mean()) > loss + 1e-4
    # the miss of the best answer doesn't depend on the answer: it is orthogonal to it
    assert abs(float(((best - noise) * best).mean())) < 5 / math.sqrt(len(xt))


# --- classifier ------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha_bar", [1.0, *LEVELS, 0.0])
def test_classifier_is_bayes_rule(alpha_bar: float) -> None:
    mixture, xt = uneven(), 2 * normal(5, (40, 2))
    answer = mixture.classify(xt, alpha_bar)
    assert answer.shape == (40, 3)
    close(answer.sum(-1), torch.ones(40, dtype=torch.float64))
    for label, name in enumerate(mixture.names):
        prior = mixture.weights[mixture.labels == label].sum()
        joint = prior * mixture.given(name).density(xt, alpha_bar)
        close(answer[:, label], joint / mixture.density(xt, alpha_bar))


def test_in_pure_noise_the_classifier_knows_only_the_shares() -> None:
    answer = uneven().classify(3 * normal(5, (7, 2)), 0.0)
    close(answer, torch.tensor([[0.4, 0.2, 0.4]], dtype=torch.float64).expand(7, 3))


@pytest.mark.parametrize("alpha_bar", [1.0, *LEVELS])
def test_classifier_gradient_is_the_gradient_of_its_logarithm(alpha_bar: float) -> None:
    mixture, xt = uneven(), normal(6, (30, 2))
    xt.requires_grad_()
    mixture.classify(xt, alpha_bar)[:, 2].log().sum().backward()
    gradient = mixture.classifier_gradient(xt.detach(), alpha_bar, "blues")
    close(gradient, xt.grad, 1e-9)


def test_given_keeps_one_group_and_its_shares() -> None:
    reds = uneven().given("reds")
    assert reds.labels.tolist() == [0, 0] and reds.names == uneven().names
    assert reds.weights.tolist() == pytest.approx([0.25, 0.75])
    assert torch.equal(reds.means, uneven().means[[0, 2]])
    assert torch.equal(reds.means, uneven().given(0).means)
    total = sum(
        share * uneven().given(label).density(normal(1, (9, 2)), 0.4)
        for label, share in enumerate([0.4, 0.2, 0.4])
    )
    close(total, uneven().density(normal(1, (9, 2)), 0.4))


# --- samples ---------------------------------------------------------------------------------


def test_samples_have_the_mixture_s_shares_means_and_widths() -> None:
    mixture, count = uneven(), 40_000
    points, labels = mixture.sample(count, torch.Generator().manual_seed(0))
    assert points.shape == (count, 2) and labels.shape == (count,)
    for label, share in enumerate([0.4, 0.2, 0.4]):
        bound = 5 * math.sqrt(share * (1 - share) / count)
        assert float((labels == label).double().mean()) == pytest.approx(share, abs=bound)
    greens = points[labels == 1]  # one component
    bound = 5 * 0.5 / math.sqrt(len(greens))
    assert float((greens.mean(0) - mixture.means[1]).abs().max()) < bound
    assert float(greens.std()) == pytest.approx(0.5, rel=5 / math.sqrt(2 * len(greens)), abs=0.1)
    centred = greens - mixture.means[1]
    assert float(centred.std(0).max()) == pytest.approx(0.5, rel=5 / math.sqrt(2 * len(greens)))


def test_samples_are_repeatable_and_leave_the_global_seed_alone() -> None:
    random_state = torch.get_rng_state()
    one, _ = uneven().sample(10, torch.Generator().manual_seed(1))
    again, _ = uneven().sample(10, torch.Generator().manual_seed(1))
    other, _ = uneven().sample(10, torch.Generator().manual_seed(2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), random_state)


def gap(points: Tensor, mixture: Mixture, alpha_bar: float) -> float:
    """The largest gap between the points' distribution and the mixture's (in one dimension)."""
    x = points[:, 0].sort().values
    stds = (alpha_bar * mixture.stds**2 + 1 - alpha_bar).sqrt()
    z = (x[:, None] - math.sqrt(alpha_bar) * mixture.means[:, 0]) / stds
    share_below = (mixture.weights * torch.special.ndtr(z)).sum(-1)
    return float((share_below - (torch.arange(len(x)) + 0.5) / len(x)).abs().max())


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_noised_samples_have_the_exact_noisy_density(alpha_bar: float) -> None:
    mixture, generator, count = uneven(1), torch.Generator().manual_seed(0), 40_000
    x0, _ = mixture.sample(count, generator)
    noise = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    xt = noising.add_noise(x0, noise, alpha_bar)
    bound = 2 / math.sqrt(count)  # exceeded by chance once in 1,500 draws
    assert gap(xt, mixture, alpha_bar) < bound
    assert gap(xt * 1.05, mixture, alpha_bar) > bound  # and the bound can tell: 5 % too wide
    # the density itself, in bins
    edges = torch.linspace(-3, 3, 31, dtype=torch.float64)
    counted = torch.histogram(xt[:, 0], edges).hist / count
    inside = torch.linspace(0.005, 0.995, 100, dtype=torch.float64) * (edges[1] - edges[0])
    fine = (edges[:-1, None] + inside)[..., None]
    expected = mixture.density(fine, alpha_bar).mean(-1) * (edges[1] - edges[0])
    assert float(((counted - expected) / (expected / count).sqrt()).abs().max()) < 5


# --- shapes and dtypes -----------------------------------------------------------------------

FUNCTIONS = ["log_density", "density", "score", "eps", "x0", "classify"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_level_per_point_is_as_good_as_one_by_one(name: str) -> None:
    function, points = getattr(uneven(), name), normal(7, (4, 2))
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    together = function(points, levels)
    for point, level, answer in zip(points, LEVELS, together, strict=True):
        close(answer, function(point, level))
    whole = torch.stack([points] * 3, 1)  # [4, 3, 2]: a level for each row
    close(function(whole, levels)[:, 1], together)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtypes_and_shapes_stay(name: str, dtype: torch.dtype) -> None:
    function, points = getattr(uneven(), name), normal(7, (5, 3, 2))
    for level in (0.5, torch.full((5,), 0.5, dtype=torch.float64)):
        answer = function(points.to(dtype), level)
        assert answer.dtype == dtype
        ends = {"log_density": (), "density": (), "classify": (3,)}.get(name, (2,))
        assert answer.shape == (5, 3, *ends)
        close(answer.double(), function(points, 0.5), 1e-5 if dtype == torch.float32 else 1e-12)


def test_far_away_nothing_breaks() -> None:
    far = torch.tensor([[1e3, -1e3]], dtype=torch.float64)
    for name in ("log_density", "score", "eps", "x0", "classify"):
        assert bool(torch.isfinite(getattr(uneven(), name)(far, 0.9)).all()), name


# --- the named shapes ------------------------------------------------------------------------


@pytest.mark.parametrize("name", mixtures.NAMED)
def test_named_shapes_are_about_unit_size(name: str) -> None:
    mixture = mixtures.named(name)
    points, labels = mixture.sample(20_000, torch.Generator().manual_seed(0))
    assert 0.7 < float(points.square().mean().sqrt()) < 1.3
    assert set(labels.tolist()) == set(mixture.labels.tolist())
    assert float(mixture.weights.sum()) == pytest.approx(1, abs=1e-12)
    assert not mixture.names or len(mixture.names) == int(mixture.labels.max()) + 1


def test_named_shapes_are_what_they_are_called() -> None:
    cats, dogs = mixtures.two_peaks().means[:, 0].tolist()
    assert cats == -1 and dogs == 1
    assert mixtures.two_peaks(dims=2).means.tolist() == [[-1, 0], [1, 0]]
    assert len(mixtures.three_groups().means) == 3
    ring = mixtures.ring().means
    assert len(ring) == 8
    close(ring.norm(dim=-1), torch.full((8,), 1.3, dtype=torch.float64))
    sides = (ring - ring.roll(1, 0)).norm(dim=-1)
    close(sides, sides.mean().expand(8))
    moons = mixtures.moons().means
    close(moons[:24], -moons[24:])  # one moon is the other, turned by half a circle
    spiral = mixtures.spiral()
    lengths = spiral.means.norm(dim=-1)
    assert bool((lengths.diff() > 0).all())
    gaps = spiral.means.diff(dim=0).norm(dim=-1)
    assert float(gaps.max() / gaps.min()) < 1.6 and float(gaps.max()) < 6 * 0.06  # no holes
