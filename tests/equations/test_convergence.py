"""The order of every deterministic sampler, measured against exact paths."""

from __future__ import annotations

import pytest
import torch

from tests.equations import convergence


def test_the_reference_is_far_more_exact_than_what_is_measured() -> None:
    halved = convergence.truth(1000)
    assert float((convergence.truth() - halved).abs().max()) < 1e-10


@pytest.mark.parametrize("title", convergence.SETTINGS)
def test_error_falls_with_the_order_of_the_sampler(title: str) -> None:
    sampler, options, order = convergence.SETTINGS[title]
    calls, errors = convergence.errors_by_calls(sampler, **options)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] > 1e-8  # else the reference's own error would bend the line
    assert convergence.slope(calls, errors) == pytest.approx(-order, abs=0.25)


def test_lms_of_order_four_falls_at_least_with_the_third_power() -> None:
    assert convergence.slope(*convergence.errors_by_calls("lms")) < -3


def test_lms_of_order_one_is_as_good_as_euler() -> None:
    _, errors = convergence.errors_by_calls("lms", order=1)
    assert errors == pytest.approx(convergence.errors_by_calls("euler")[1], rel=1e-9)


def test_two_call_samplers_count_two_calls() -> None:
    assert convergence.run("heun", 10)[1] == convergence.run("dpm2", 10)[1] == 20
    assert convergence.run("plms", 10)[1] == 11  # two in its first step
    assert convergence.run("dpmpp_2m", 10)[1] == 10


def test_a_straight_line_is_measured_right() -> None:
    calls = [10, 20, 40]
    assert convergence.slope(calls, [5 * c**-1.7 for c in calls]) == pytest.approx(-1.7)


def test_all_samplers_arrive_at_the_same_points() -> None:
    for sampler, options, _ in convergence.SETTINGS.values():
        end, _ = convergence.run(sampler, 320, **options)
        torch.testing.assert_close(end, convergence.truth(), rtol=0, atol=0.02)
