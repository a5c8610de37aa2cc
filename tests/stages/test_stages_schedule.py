"""Samplers by name, and the stations of their runs."""

import inspect
import itertools
import math
import warnings

import diffusers
import pytest
import tiny
import torch
from side_by_side import COUNTERPARTS, model, scheduler

from sdlearn.equations import trajectories
from sdlearn.models import wrap
from sdlearn.stages import samplers
from sdlearn.stages.schedule import Schedule

CONFIG = {**tiny.scheduler("sd1").config, "_class_name": "PNDMScheduler", "clip_sample": False}


def made(name, steps=6, **settings):
    return Schedule.of(name, CONFIG, steps, **settings)


# --- names


def test_the_samplers_are_those_of_the_equations():
    assert set(samplers.SAMPLERS) == set(trajectories.SAMPLERS)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("ddim", "ddim"),
        ("DDIM", "ddim"),
        ("Euler a", "euler_ancestral"),
        ("euler-ancestral", "euler_ancestral"),
        ("DPM++ 2M Karras", "dpmpp_2m_karras"),
        ("dpmpp_2m_karras", "dpmpp_2m_karras"),
        ("DPM++ 2M SDE", "dpmpp_2m_sde"),
        ("PNDM", "plms"),
        ("PLMS", "plms"),
        ("heun Karras", "heun_karras"),
        ("UniPC", "unipc"),
        ("lms", "lms"),
        (None, "plms"),
    ],
)
def test_a_sampler_goes_by_many_names(said, meant):
    assert made(said).name == meant
    if said is not None:  # the name that a run tells is understood again
        assert made(meant).name == meant
        assert made(meant).scheduler.config == made(said).scheduler.config


@pytest.mark.parametrize("name", [n for n in COUNTERPARTS if n in samplers.SAMPLERS])
def test_an_object_is_told_by_its_settings(name):
    assert made(scheduler("sd1", name)).name == name


def test_an_object_that_has_no_name_here_goes_by_its_class():
    config = model("sd1").parts.scheduler.config
    for kind, settings, name in (
        ("DEISMultistepScheduler", {}, "DEISMultistepScheduler"),
        ("DPMSolverMultistepScheduler", {"solver_order": 3}, "DPMSolverMultistepScheduler"),
        ("PNDMScheduler", {"skip_prk_steps": False}, "PNDMScheduler"),
        ("DEISMultistepScheduler", {"use_karras_sigmas": True}, "DEISMultistepScheduler_karras"),
    ):
        assert made(getattr(diffusers, kind).from_config(config, **settings)).name == name


def test_karras_can_be_asked_for_in_three_ways():
    ways = (
        made("DPM++ 2M Karras"),
        made("dpmpp_2m", use_karras_sigmas=True),
        model("sd1").schedule(6, "dpmpp_2m", karras=True),
    )
    for one in ways:
        assert one.name == "dpmpp_2m_karras"
        assert torch.equal(one.scheduler.sigmas, ways[0].scheduler.sigmas)
    assert not torch.equal(made("dpmpp_2m").scheduler.sigmas, ways[0].scheduler.sigmas)


def test_who_takes_karras_is_what_the_schedulers_say():
    def takes(row):
        kind = getattr(diffusers, row.scheduler)
        return "use_karras_sigmas" in inspect.signature(kind.__init__).parameters

    able = {name for name, row in samplers.SAMPLERS.items() if takes(row)}
    assert set(samplers.TAKE_KARRAS) == able


def test_what_a_config_never_said_is_the_new_samplers_own():
    """A scheduler's defaults are no settings of the model: diffusers takes the next one's."""
    assert model("sd1").parts.scheduler.config.timestep_spacing == "leading"  # PNDM's default
    assert made("euler").scheduler.config.timestep_spacing == "linspace"  # Euler's
    said = diffusers.PNDMScheduler(timestep_spacing="trailing").config
    said = {**said, "_class_name": "PNDMScheduler"}
    assert Schedule.of("euler", said, 5).scheduler.config.timestep_spacing == "trailing"


def test_settings_can_be_changed():
    assert made("dpmpp_2m", solver_order=3).scheduler.config.solver_order == 3
    assert made(None, timestep_spacing="trailing").timesteps[0] == 999
    with pytest.raises(TypeError, match=r"no argument timestep_spacin.*timestep_spacing"):
        made("ddim", timestep_spacin="trailing")


@pytest.mark.parametrize(
    ("name", "settings", "error", "says"),
    [
        ("eulr", {}, ValueError, "'eulr'.*Did you mean.*euler.*any diffusers scheduler"),
        ("", {}, ValueError, "ddim"),
        (diffusers.DDIMScheduler, {}, TypeError, "scheduler object"),
        (3, {}, TypeError, "sampler must be"),
        ("ddim", {"use_karras_sigmas": True}, ValueError, "DDIM.*Karras.*dpmpp_2m"),
        ("Euler a Karras", {}, ValueError, "Karras.*euler"),
        (None, {"use_karras_sigmas": True}, ValueError, "PNDM.*Karras"),
        (diffusers.DDPMScheduler(), {"use_karras_sigmas": True}, ValueError, "DDPM.*Karras"),
        (diffusers.FlowMatchEulerDiscreteScheduler(), {}, ValueError, "rectified flow"),
        (diffusers.EDMEulerScheduler(), {}, ValueError, "alphas_cumprod"),
    ],
)
def test_wrong_samplers(name, settings, error, says):
    with pytest.raises(error, match=says):
        made(name, **settings)


# --- stations


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_stations(name):
    schedule = made(name)
    alone = scheduler("sd1", name)
    alone.set_timesteps(6)
    places = [call.place for group in schedule.calls for call in group]
    assert places == list(range(len(alone.timesteps)))  # every call belongs to one step
    assert len(schedule) == len(schedule.timesteps) == 6
    assert all(a > b for a, b in itertools.pairwise(schedule.timesteps.tolist()))
    bars = schedule.alpha_bars
    assert len(bars) == len(schedule.sigmas) == len(schedule.snr) == 7
    assert all(a < b for a, b in itertools.pairwise(bars.tolist()))
    torch.testing.assert_close(schedule.snr, schedule.sigmas**-2)
    if name != "DPM++ 2M Karras":  # its sigmas lie between the timesteps that are told
        known, t = alone.alphas_cumprod.double(), schedule.timesteps
        above, below = known[t.floor().long()], known[t.ceil().long()]
        assert (below * 0.9999 <= bars[:-1]).all() and (bars[:-1] <= above * 1.0001).all()


def test_the_model_keeps_its_scheduler():
    parts = model("sd1").parts
    before = dict(vars(parts.scheduler))
    made_schedule = model("sd1").schedule(7)
    assert made_schedule.scheduler is not parts.scheduler
    assert all(vars(parts.scheduler)[name] is value for name, value in before.items())


def test_every_run_walks_a_scheduler_of_its_own():
    schedule = made("dpmpp_2m", 4)
    x = torch.ones(1, 4, 2, 2)

    def walk():
        one, sample = schedule.fresh(torch.device("cpu")), x
        for t in one.timesteps:
            sample = one.step(0.1 * sample, t, sample).prev_sample
        return sample

    first = walk()
    schedule.scheduler.step(x, schedule.scheduler.timesteps[0], x)  # someone tries it out
    assert torch.equal(walk(), first)


@pytest.mark.parametrize("name", ["ddim", "heun", "plms", "euler"])
@pytest.mark.parametrize("strength", [0.1, 0.5, 0.99, 1.0])
def test_a_part_of_the_way_is_its_end(name, strength):
    whole = made(name, 10)
    part = whole.from_strength(strength)
    assert len(part) == int(10 * strength)
    if name != "plms" or strength == 1:  # PLMS takes its first step anew wherever it begins
        assert torch.equal(part.timesteps, whole.timesteps[-len(part) :])
        assert torch.equal(part.alpha_bars, whole.alpha_bars[-len(part) - 1 :])


def test_the_strength_that_is_advised_is_enough():
    for steps in (*range(1, 200), 333, 777, 999, 1000):
        schedule = Schedule("ddim", made("ddim").scheduler, steps)
        with pytest.raises(ValueError, match="leaves none") as refused:
            schedule.from_strength(0.0)
        advised = float(str(refused.value).split("at least ")[1].split(",")[0])
        assert schedule.from_strength(advised).begin == steps - 1
        assert advised < 2 / steps


@pytest.mark.parametrize("name", ["ddim", "euler", "dpmpp_2m", "unipc"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_two_models_share_the_way_between_them(name, share):
    whole = made(name, 10)
    base, refiner = whole.between(None, share), whole.between(share, None)
    places = [c.place for part in (base, refiner) for group in part.calls for c in group]
    assert places == list(range(len(whole.scheduler.timesteps)))
    assert torch.equal(torch.cat([base.timesteps, refiner.timesteps]), whole.timesteps)
    assert base.alpha_bars[-1] == refiner.alpha_bars[0]


@pytest.mark.parametrize(("start", "end"), [(0.9, 0.5), (None, 0.0), (1.0, None), (0.5, 0.5)])
def test_no_way_at_all(start, end):
    with pytest.raises(ValueError, match="leave none of the 10 steps"):
        made("ddim", 10).between(start, end)


def test_all_of_the_way():
    assert len(made("ddim", 10).between(0.0, 1.0)) == 10


def test_it_shows_itself():
    schedule = made("DPM++ 2M Karras", 5)
    assert repr(schedule).startswith("Schedule(dpmpp_2m_karras, 5 steps, t 999 to")
    table = schedule._repr_html_()
    assert table.count("<tr>") == 6
    for t in schedule.timesteps:
        assert f"<td>{float(t):g}</td>" in table


def test_its_html_is_escaped():
    shown = Schedule("<script>alert(1)</script>", made("ddim").scheduler, 6)._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_it_is_drawn_by_whoever_says_so(monkeypatch):
    monkeypatch.setattr(Schedule, "viewer", None)
    with pytest.raises(RuntimeError, match=r"sdlearn\.views"):
        made("ddim").plot()
    monkeypatch.setattr(Schedule, "viewer", staticmethod(lambda schedule: schedule.name))
    assert made("ddim").plot() == "ddim"


def test_zero_snr():
    schedule = made("ddim", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    assert schedule.alpha_bars[0] == 0
    assert math.isinf(schedule.sigmas[0]) and schedule.snr[0] == 0


def test_steps_that_an_offset_pushes_beyond_the_last_level_are_refused():
    # As SD's own settings do with 1000 steps; diffusers stumbles over it in the middle of a run.
    config = {**CONFIG, "steps_offset": 1}
    with pytest.raises(ValueError, match=r"begin at timestep 1000.*Ask for 999"):
        Schedule.of("ddim", config, 1000)
    assert int(Schedule.of("ddim", config, 999).timesteps[0]) == 999
    assert len(Schedule.of("ddim", {**config, "steps_offset": 0}, 1000)) == 1000


def test_a_number_of_steps_that_diffusers_cannot_space_is_refused():
    said = {name: value for name, value in CONFIG.items() if name != "_use_default_values"}
    config, refused = {**said, "timestep_spacing": "trailing"}, []
    for steps in range(1, 998, 3):
        try:
            schedule = Schedule.of("ddim", config, steps)
        except ValueError as error:
            assert "can't be spaced so (trailing)" in str(error)
            refused.append(steps)
        else:
            assert len(schedule) == steps and schedule.timesteps.min() >= 0
    assert 61 in refused and 5 < len(refused) < 40
    with pytest.raises(ValueError, match="or all alike"):
        Schedule.of("dpmpp_2m", {**said, "timestep_spacing": "leading"}, 1000)


@pytest.mark.parametrize("name", samplers.SAMPLERS)
def test_a_sampler_begins_in_pure_noise_or_says_that_it_does_not(name):
    config = {name: value for name, value in CONFIG.items() if name != "_use_default_values"}
    config |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        begins = float(Schedule.of(name, config, 5).alpha_bars[0])
    told = any("zero terminal SNR" in str(one.message) for one in said)
    assert told or begins < 1e-6


# --- where its steps arrive


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_a_step_arrives_at_the_next_station(name):
    schedule = made(name)
    assert torch.equal(schedule.arrivals, schedule.alpha_bars[1:])


@pytest.mark.parametrize("spacing", ["linspace", "trailing"])
def test_ddim_arrives_by_a_rule_of_its_own(spacing):
    schedule = made("ddim", 7, timestep_spacing=spacing)
    known = schedule.scheduler.alphas_cumprod.double()
    for t, arrival in zip(schedule.timesteps.tolist(), schedule.arrivals, strict=True):
        after = t - 1000 // 7
        assert arrival == (known[after] if after >= 0 else known[0])
    assert schedule.arrivals[-1] == schedule.alpha_bars[-1]
    assert not torch.equal(schedule.arrivals[:-1], schedule.alpha_bars[1:-1])


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_plms_arrives_where_its_scheduler_goes(spacing, strength, monkeypatch):
    schedule = made("plms", 7, timestep_spacing=spacing).from_strength(strength)
    scheduler, reached = schedule.fresh(torch.device("cpu")), []
    step = scheduler._get_prev_sample

    def watched(sample, t, t_next, answer):
        levels = scheduler.alphas_cumprod.double()
        reached.append(levels[t_next] if t_next >= 0 else schedule.alpha_bars[-1])
        return step(sample, t, t_next, answer)

    monkeypatch.setattr(scheduler, "_get_prev_sample", watched)
    for t in scheduler.timesteps[schedule.begin :]:
        scheduler.step(torch.ones(1), t, torch.ones(1))
    assert schedule.arrivals.tolist() == reached[1:]  # the first step is taken twice


# --- set for another model


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"prediction_type": "v_prediction"}, "prediction_type is 'v_prediction'.*'epsilon'"),
        ({"beta_end": 0.02}, "beta_end is 0.02, the model's is 0.012"),
        ({"beta_schedule": "linear"}, "beta_schedule is 'linear', the model's is 'scaled_linear'"),
    ],
)
def test_a_scheduler_that_is_set_for_another_model_is_told(settings, says):
    own = diffusers.DDIMScheduler.from_config(CONFIG, **settings)
    with pytest.warns(UserWarning, match=f"another model: {says}.*from_config"):
        made(own)


def test_a_scheduler_with_settings_of_the_run_is_not():
    own = diffusers.DPMSolverMultistepScheduler.from_config(
        CONFIG,
        use_karras_sigmas=True,
        timestep_spacing="trailing",
        algorithm_type="sde-dpmsolver++",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        made(own)
        made(Schedule.of("ddim", CONFIG, 4, prediction_type="epsilon").scheduler)


def test_a_scheduler_class_of_ones_own():
    class Own(diffusers.DDIMScheduler):
        pass

    pipe = tiny.pipeline("sd1")
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    expected = wrap(pipe).generate("a red cat", steps=2).latent
    pipe.scheduler = Own.from_config(pipe.scheduler.config)
    trace = wrap(pipe).generate("a red cat", steps=2)
    assert torch.equal(trace.latent, expected) and trace.settings["sampler"] == "Own"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prediction_type": "foo"}, "one of epsilon, v_prediction, sample, got 'foo'"),
        ({"timestep_spacing": "x"}, "one of leading, trailing, linspace, got 'x'"),
        ({"sampler": "lcm", "steps": 60}, "steps must be at most 50, got 60"),
    ],
)
def test_settings_that_diffusers_would_not_look_at(settings, said):
    with pytest.raises(ValueError, match=said):
        wrap(tiny.pipeline("sd1")).schedule(**{"steps": 3, **settings})


def test_lcm_takes_more_steps_where_it_is_told_of_more():
    made = wrap(tiny.pipeline("sd1")).schedule(60, "lcm", original_inference_steps=60)
    assert len(made) == 60
