"""Conversions between predictions, and guidance: what must hold whatever the numbers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdlearn.equations import (
    guidance,
    mixtures,
    noising,
    predictions,
)
from tests.equations.samples import (
    EPS,
    NOISE,
    OTHER,
    XT,
    close,
    few,
    levels,
    normal,
)


@pytest.mark.parametrize("target", predictions.PREDICTIONS)
@pytest.mark.parametrize("source", predictions.PREDICTIONS)
@settings(max_examples=15)
@given(alpha_bar=st.floats(0.001, 0.999))
def test_conversions_come_back(source: str, target: str, alpha_bar: float) -> None:
    there = predictions.convert(XT, EPS, alpha_bar, source=source, target=target)
    back = predictions.convert(XT, there, alpha_bar, source=target, target=source)
    close(back, EPS, 1e-10)


@few
@given(levels)
def test_all_kinds_say_the_same(alpha_bar: float) -> None:
    x0, eps = OTHER, EPS
    xt = noising.add_noise(x0, eps, alpha_bar)
    said = {
        "eps": eps,
        "x0": x0,
        "v": predictions.v_from_x0_and_eps(x0, eps, alpha_bar),
        "score": predictions.score_from_eps(eps, alpha_bar),
        "flow": predictions.flow_velocity(x0, eps),
    }
    for source in said:
        for target in said:
            answer = predictions.convert(xt, said[source], alpha_bar, source=source, target=target)
            close(answer, said[target], 1e-9)
    close(predictions.v_from_eps(xt, eps, alpha_bar), said["v"], 1e-9)
    close(predictions.v_from_x0(xt, x0, alpha_bar), said["v"], 1e-9)


@few
@given(levels)
def test_v_is_the_change_of_xt_as_the_angle_turns(alpha_bar: float) -> None:
    angle, d = math.acos(math.sqrt(alpha_bar)), 1e-6
    xt = lambda angle: noising.add_noise(OTHER, EPS, math.cos(angle) ** 2)  # noqa: E731
    slope = (xt(angle + d) - xt(angle - d)) / (2 * d)
    close(predictions.v_from_x0_and_eps(OTHER, EPS, alpha_bar), slope, 1e-6)


@few
@given(st.floats(0, 1))
def test_flow_time_and_alpha_bar_are_one_measure(flow_time: float) -> None:
    alpha_bar = predictions.alpha_bar_from_flow_time(flow_time)
    assert predictions.flow_time_from_alpha_bar(alpha_bar) == pytest.approx(flow_time, abs=1e-7)
    x_flow = predictions.flow_sample(OTHER, EPS, flow_time)  # the same sample, but for its length
    length = math.hypot(flow_time, 1 - flow_time)
    close(x_flow, length * noising.add_noise(OTHER, EPS, alpha_bar), 1e-7)


def test_flow_velocity_leads_to_both_ends() -> None:
    x_flow, velocity = (
        predictions.flow_sample(OTHER, EPS, 0.3),
        predictions.flow_velocity(OTHER, EPS),
    )
    close(predictions.x0_from_flow(x_flow, velocity, 0.3), OTHER)
    close(predictions.eps_from_flow(x_flow, velocity, 0.3), EPS)


def test_thresholds_leave_what_is_inside_the_range() -> None:
    inside = XT / XT.abs().max()
    assert torch.equal(predictions.clip(inside), inside)
    assert torch.equal(predictions.dynamic_threshold(inside), inside)
    assert float(predictions.clip(3 * inside).abs().max()) == 1
    shrunk = predictions.dynamic_threshold(3 * inside, 1.0)
    for before, after in zip(inside, shrunk, strict=True):  # each picture for itself
        close(after, before / max(float(before.abs().max()), 1 / 3))


# --- guidance --------------------------------------------------------------------------------


def test_guidance_at_0_and_1_and_in_between() -> None:
    guide = guidance.classifier_free_guidance
    close(guide(XT, EPS, 0.0), XT)
    close(guide(XT, EPS, 1.0), EPS)
    close((guide(XT, EPS, 2.0) + guide(XT, EPS, 8.0)) / 2, guide(XT, EPS, 5.0))
    close(guide(EPS, EPS, 7.5), EPS)  # a prompt that says nothing changes nothing
    assert torch.equal(guidance.negative_prompt_guidance(XT, EPS, 7.5), guide(XT, EPS, 7.5))


@few
@given(st.floats(-2, 20))
def test_both_scale_conventions_are_one_formula(w: float) -> None:
    paper = (1 + w) * EPS - w * XT
    scale = guidance.guidance_scale_from_paper(w)
    close(guidance.classifier_free_guidance(XT, EPS, scale), paper)
    assert guidance.paper_scale_from_guidance(scale) == pytest.approx(w, abs=1e-12)


@few
@given(levels, st.floats(0, 10))
def test_guidance_may_be_done_in_any_prediction(alpha_bar: float, scale: float) -> None:
    """It is linear, and so are the conversions: for x0 and v it is the same guidance."""
    guided = guidance.classifier_free_guidance(EPS, NOISE, scale)
    for kind in ("x0", "v", "score", "flow"):
        a, b = (
            predictions.convert(XT, eps, alpha_bar, source="eps", target=kind)
            for eps in (EPS, NOISE)
        )
        there = guidance.classifier_free_guidance(a, b, scale)
        close(predictions.convert(XT, there, alpha_bar, source=kind, target="eps"), guided, 1e-9)


def test_rescaled_guidance_has_the_conditional_s_contrast() -> None:
    guided = guidance.classifier_free_guidance(XT, EPS, 7.5)
    full = guidance.rescale_guidance(guided, EPS, 1.0)
    close(full.std((1, 2, 3)), EPS.std((1, 2, 3)))
    assert float((guided.std((1, 2, 3)) / EPS.std((1, 2, 3))).min()) > 2  # it was far off before
    assert torch.equal(guidance.rescale_guidance(guided, EPS, 0.0), guided)
    half = guidance.rescale_guidance(guided, EPS, 0.5)
    close(half, (full + guided) / 2)


@few
@given(levels, st.sampled_from(["cats", "dogs", "humans"]))
def test_classifier_guidance_at_scale_1_is_bayes_rule(alpha_bar: float, label: str) -> None:
    mixture, xt = mixtures.three_groups(), normal(8, (32, 2))
    gradient = mixture.classifier_gradient(xt, alpha_bar, label)
    eps = mixture.eps(xt, alpha_bar)
    guided = guidance.classifier_guidance(eps, gradient, alpha_bar)
    close(guided, mixture.given(label).eps(xt, alpha_bar), 1e-11)
    assert torch.equal(guidance.classifier_guidance(eps, gradient, alpha_bar, 0.0), eps)
    # and so the two kinds of guidance are one, at any scale
    free = guidance.classifier_free_guidance(eps, mixture.given(label).eps(xt, alpha_bar), 3.0)
    close(guidance.classifier_guidance(eps, gradient, alpha_bar, 3.0), free, 1e-11)
