"""What holds for every formula: batches, dtypes, shapes, purity; and for every run's records."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
from torch import Tensor

from sdlearn.equations import (
    guidance,
    mixtures,
    noising,
    predictions,
    samplers,
    trajectories,
)
from sdlearn.equations.schedules import NoiseSchedule
from tests.equations.samples import (
    EPS,
    NOISE,
    OTHER,
    SHAPE,
    XT,
    close,
    normal,
    sigma,
    walk,
)

NOW, NXT = 0.3, 0.6
S_NOW, S_NXT = sigma(NOW), sigma(NXT)


def calls() -> dict:
    """Every formula that takes a sample: title -> function of (four samples, two levels)."""
    p, n, s, g = predictions, noising, samplers, guidance
    sig = lambda a: (1 / torch.as_tensor(a) - 1).sqrt() if isinstance(a, Tensor) else sigma(a)  # noqa: E731
    table = {
        "add_noise": lambda x, e, z, o, a, b: n.add_noise(x, e, a),
        "add_noise_between": lambda x, e, z, o, a, b: n.add_noise_between(x, e, b, a),
        "posterior": lambda x, e, z, o, a, b: n.posterior(x, e, a, b)[0],
        "to_sigma_space": lambda x, e, z, o, a, b: n.to_sigma_space(x, a),
        "from_sigma_space": lambda x, e, z, o, a, b: n.from_sigma_space(x, sig(a)),
        "ddpm": lambda x, e, z, o, a, b: s.ddpm_step(x, e, a, b, z),
        "ddpm large": lambda x, e, z, o, a, b: s.ddpm_step(x, e, a, b, z, variance="large"),
        "ddim": lambda x, e, z, o, a, b: s.ddim_step(x, e, a, b),
        "ddim eta": lambda x, e, z, o, a, b: s.ddim_step(x, e, a, b, 1.0, z),
        "inversion": lambda x, e, z, o, a, b: s.ddim_inversion_step(x, e, b, a),
        "euler": lambda x, e, z, o, a, b: s.euler_step(x, e, sig(a), sig(b)),
        "ancestral": lambda x, e, z, o, a, b: s.euler_ancestral_step(x, e, sig(a), sig(b), z),
        "heun": lambda x, e, z, o, a, b: s.heun_step(x, e, o, sig(a), sig(b)),
        "dpm2_midpoint": lambda x, e, z, o, a, b: s.dpm2_midpoint(x, e, sig(a), sig(b))[0],
        "dpm2": lambda x, e, z, o, a, b: s.dpm2_step(x, e, sig(a), sig(b)),
        "transfer": lambda x, e, z, o, a, b: s.transfer(x, e, a, b),
        "plms": lambda x, e, z, o, a, b: s.plms_step(x, e, a, b, (o, z))[0],
        "dpmpp_2m": lambda x, e, z, o, a, b: s.dpmpp_2m_step(x, e, a, b)[0],
        "dpmpp_2m_sde": lambda x, e, z, o, a, b: s.dpmpp_2m_sde_step(x, e, a, b, z)[0],
        "lcm": lambda x, e, z, o, a, b: s.lcm_step(x, e, 300, b, z),
        "flow_euler": lambda x, e, z, o, a, b: s.flow_euler_step(x, e, b, a),
        "flow_sample": lambda x, e, z, o, a, b: p.flow_sample(x, e, a),
        "cfg": lambda x, e, z, o, a, b: g.classifier_free_guidance(x, e, a),
        "classifier_guidance": lambda x, e, z, o, a, b: g.classifier_guidance(x, e, a, 2.0),
    }
    table |= {
        f"convert {a} to {b}": lambda x, e, z, o, now, nxt, a=a, b=b: p.convert(
            x, e, now, source=a, target=b
        )
        for a in p.PREDICTIONS
        for b in p.PREDICTIONS
        if a != b
    }
    return table


CALLS = calls()


def each(*levels: float) -> Tensor:
    """One noise level per sample."""
    return torch.tensor(levels, dtype=torch.float64)


# These take one number for the whole batch: their history, or their levels, belong to it.
SHARED = {
    "lms": lambda x, e, z, o, a, b: samplers.lms_step(
        x, e, S_NOW, S_NXT, (samplers.Past(o, 9.0), samplers.Past(z, 12.0))
    )[0],
    "dpmpp_2m, second step": lambda x, e, z, o, a, b: samplers.dpmpp_2m_step(
        x, e, NOW, NXT, (samplers.Past(o, -3.0),)
    )[0],
    "unipc": lambda x, e, z, o, a, b: samplers.unipc_step(
        x, e, NOW, NXT, samplers.unipc_step(o, z, 0.1, NOW)[1]
    )[0],
    "clip": lambda x, e, z, o, a, b: predictions.clip(x),
}


@pytest.mark.parametrize("title", CALLS)
def test_one_level_per_sample_is_as_good_as_one_by_one(title: str) -> None:
    now, nxt = (
        torch.tensor([0.1, 0.3, 0.5], dtype=torch.float64),
        torch.tensor([0.2, 0.9, 0.6], dtype=torch.float64),
    )
    together = CALLS[title](XT, EPS, NOISE, OTHER, now, nxt)
    for i in range(3):
        alone = CALLS[title](XT[i], EPS[i], NOISE[i], OTHER[i], now[i].item(), nxt[i].item())
        close(together[i], alone)


@pytest.mark.parametrize("title", CALLS)
def test_levels_may_be_numbers_or_tensors(title: str) -> None:
    expected = CALLS[title](XT, EPS, NOISE, OTHER, NOW, NXT)
    whole = (
        torch.tensor([NOW] * 3, dtype=torch.float64),
        torch.tensor([NXT] * 3, dtype=torch.float64),
    )
    close(CALLS[title](XT, EPS, NOISE, OTHER, *whole), expected)
    zero_d = torch.tensor(NOW, dtype=torch.float64), torch.tensor(NXT, dtype=torch.float64)
    close(CALLS[title](XT, EPS, NOISE, OTHER, *zero_d), expected)
    columns = (level.reshape(3, 1, 1, 1) for level in whole)
    close(CALLS[title](XT, EPS, NOISE, OTHER, *columns), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("title", [*CALLS, *SHARED])
def test_dtypes_stay(title: str, dtype: torch.dtype) -> None:
    function = (CALLS | SHARED)[title]
    inputs = [x.to(dtype) for x in (XT, EPS, NOISE, OTHER)]
    answer = function(*inputs, NOW, NXT)
    assert answer.dtype == dtype
    if title in CALLS:  # levels in float64 don't turn a float32 sample into float64
        level = (
            torch.tensor([NOW] * 3, dtype=torch.float64),
            torch.tensor([NXT] * 3, dtype=torch.float64),
        )
        assert function(*inputs, *level).dtype == dtype
    exact = function(XT, EPS, NOISE, OTHER, NOW, NXT)
    close(answer.double(), exact, 1e-5 if dtype == torch.float32 else 1e-15)


@pytest.mark.parametrize("shape", [(), (3,), (3, 2), SHAPE, (2, 1, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("title", [*CALLS, *SHARED])
def test_any_shape_will_do(title: str, shape: tuple[int, ...]) -> None:
    inputs = [normal(seed, shape) for seed in range(4)]
    answer = (CALLS | SHARED)[title](*inputs, NOW, NXT)
    assert answer.shape == shape and bool(torch.isfinite(answer).all())
    flat = [x.flatten() for x in inputs]
    close(answer.flatten(), (CALLS | SHARED)[title](*flat, NOW, NXT))


@pytest.mark.parametrize("title", [*CALLS, *SHARED])
def test_steps_are_pure(title: str) -> None:
    inputs = [x.clone() for x in (XT, EPS, NOISE, OTHER)]
    level = (
        torch.tensor([NOW] * 3, dtype=torch.float64),
        torch.tensor([NXT] * 3, dtype=torch.float64),
    )
    random_state = torch.get_rng_state()
    once = (CALLS | SHARED)[title](*inputs, *level)
    again = (CALLS | SHARED)[title](*inputs, *level)
    assert torch.equal(once, again)
    assert torch.equal(torch.get_rng_state(), random_state)
    for before, after in zip((XT, EPS, NOISE, OTHER), inputs, strict=True):
        assert torch.equal(before, after)
    assert level[0].tolist() == [NOW] * 3 and level[1].tolist() == [NXT] * 3


def test_no_step_lacks_here() -> None:
    """A formula that is added to the samplers must be added to the table above too."""
    called = {name for f in (CALLS | SHARED).values() for name in f.__code__.co_names}
    steps = {name for name in samplers.__all__ if name.endswith(("_step", "_midpoint"))}
    assert steps <= called


@pytest.mark.parametrize("sampler", trajectories.SAMPLERS)
def test_runs_are_repeatable_and_leave_the_global_seed_alone(sampler: str) -> None:
    plan, random_state = NoiseSchedule.scaled_linear().spaced(8), torch.get_rng_state()
    first, again = walk(sampler, plan), walk(sampler, plan)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert len(first) == 8 and first[0].dtype == torch.float64


@pytest.mark.parametrize("sampler", trajectories.SAMPLERS)
def test_records_say_what_happened(sampler: str) -> None:
    plan, mixture, asked = NoiseSchedule.scaled_linear().spaced(6), mixtures.three_groups(), []

    def predict(xt: Tensor, t: float, alpha_bar: float) -> Tensor:
        asked.append((t, alpha_bar))
        return mixture.eps(xt, alpha_bar)

    generator = torch.Generator().manual_seed(0)
    start = normal(5, (16, 2))
    steps = list(trajectories.trajectory(predict, start, plan, sampler, generator=generator))
    assert [step.index for step in steps] == list(range(6))
    assert [step.t for step in steps] == plan.timesteps.tolist()
    levels = plan.alpha_bars.tolist()
    assert [(step.alpha_bar, step.alpha_bar_next) for step in steps] == list(
        itertools.pairwise(levels)
    )
    assert torch.equal(steps[0].xt, start)
    for step, following in itertools.pairwise(steps):
        assert step.x_next is following.xt
    for step in steps:
        close(noising.add_noise(step.x0, step.eps, step.alpha_bar), step.xt)
        assert step.sigma == pytest.approx(sigma(step.alpha_bar))
    assert steps[-1].sigma_next == 0
    assert sum(step.calls for step in steps) == len(asked)
    assert (0.0, 1.0) not in asked  # never asked about a clean sample


@pytest.mark.parametrize("sampler", [n for n, row in trajectories.SAMPLERS.items() if row.takes_x0])
def test_a_clipped_estimate_reaches_the_picture(sampler: str) -> None:
    """Clipped at 0.5, a run must end near 0.5, where the same run unclipped ends far outside.

    Near and not inside: at t = 0 LCM answers with xt itself, not with its estimate.
    """
    plan, mixture = NoiseSchedule.scaled_linear().spaced(12), mixtures.three_groups()

    def end(clip: float | None) -> Tensor:
        *_, last = trajectories.trajectory(
            lambda xt, t, alpha_bar: mixture.eps(xt, alpha_bar),
            normal(5, (32, 2)),
            plan,
            sampler,
            clip=clip,
            generator=torch.Generator().manual_seed(0),
        )
        return last.x_next

    assert end(None).abs().max() > 0.8
    assert end(0.5).abs().max() < (0.6 if sampler == "lcm" else 0.5 + 1e-6)


def test_the_table_of_samplers_is_of_one_piece() -> None:
    for name, row in trajectories.SAMPLERS.items():
        assert (row.order is None) == row.draws, name
        assert re.fullmatch(r"\d{4}\.\d{5}", row.paper) or name == "lms"  # it is older than all
        assert row.tool_names
