"""Families are told by anatomy, and certainly not by size."""

import warnings

import diffusers
import pytest
import tiny

from sdlearn.stages.families import PIPELINES, Family, recognise, refuse_strangers

FAMILIES = {
    "sd1": Family("sd1"),
    "sd1-inpainting": Family("sd1", inpainting=True),
    "sd2-eps": Family("sd2"),
    "sd2-v": Family("sd2", prediction="v"),
    "sd-turbo": Family("sd2", turbo=True),
    "sdxl": Family("sdxl"),
    "sdxl-inpainting": Family("sdxl", inpainting=True),
    "sdxl-turbo": Family("sdxl", turbo=True),
    "sdxl-refiner": Family("sdxl-refiner"),
}


def configs(kind):
    """The configs of a tiny pipeline, as they would lie in its folder."""
    pipe = tiny.pipeline(kind)
    encoders = {
        name: encoder.config.to_dict() if (encoder := getattr(pipe, name, None)) else None
        for name in ("text_encoder", "text_encoder_2")
    }
    scheduler = {"_class_name": type(pipe.scheduler).__name__, **pipe.scheduler.config}
    return {"unet": dict(pipe.unet.config), "scheduler": scheduler, **encoders}


@pytest.mark.filterwarnings("ignore:This model is taken for a Turbo")
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_every_kind_is_recognised(kind):
    assert recognise(**configs(kind)) == FAMILIES[kind]


def test_no_width_decides():
    """A pocket model may be as wide as it likes: only the wiring tells."""
    for kind in ("sd1", "sd2-v", "sdxl", "sdxl-refiner"):
        given = configs(kind)
        for width in (8, 768, 1024, 2048):
            given["unet"] |= {"cross_attention_dim": width, "attention_head_dim": width // 8}
            assert recognise(**given) == FAMILIES[kind]


def test_either_sign_makes_an_sd2():
    given = configs("sd2-eps")
    given["unet"]["use_linear_projection"] = False
    assert recognise(**given).name == "sd2"
    given = configs("sd2-eps")
    given["text_encoder"]["hidden_act"] = "quick_gelu"
    assert recognise(**given).name == "sd2"


def test_turbo_by_its_name_where_the_scheduler_was_changed():
    given = configs("sdxl")
    assert recognise(**given, name="stabilityai/sdxl-turbo").turbo
    assert not recognise(**given, name="turbo-fans/sdxl").turbo
    given["scheduler"] |= {"timestep_spacing": "trailing"}
    with pytest.warns(UserWarning, match="This model is taken for a Turbo"):
        assert recognise(**given).turbo
    zero_snr = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    given["scheduler"] |= zero_snr  # trailing for another reason
    assert not recognise(**given).turbo


def test_where_the_scheduler_alone_tells_a_turbo_it_is_said():
    given = configs("sdxl-turbo")
    with pytest.warns(UserWarning, match="mine is taken for a Turbo.*say guidance_scale=7.5"):
        assert recognise(**given, name="mine").turbo
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert recognise(**given, name="sdxl-turbo").turbo
        assert not recognise(**configs("sdxl"), name="mine").turbo


def test_in_a_pipeline_that_somebody_holds_the_name_alone_tells_a_turbo():
    """Its scheduler may be any: Euler with trailing timesteps is a good one for a plain model."""
    given = configs("sdxl-turbo")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not recognise(**given, name="mine", scheduler_tells=False).turbo
        assert recognise(**given, name="stabilityai/sdxl-turbo", scheduler_tells=False).turbo


def test_a_family_says_itself_in_words():
    assert str(FAMILIES["sd2-v"]) == "SD 2.x (v-prediction)"
    assert str(FAMILIES["sdxl-inpainting"]) == "SDXL (inpainting)"
    assert str(FAMILIES["sdxl-refiner"]) == "SDXL refiner"
    assert [kind for kind in FAMILIES if FAMILIES[kind].is_sdxl] == [
        kind for kind in FAMILIES if kind.startswith("sdxl")
    ]


CHANNELS = [(5, "depth map"), (7, "upscaler"), (8, "InstructPix2Pix"), (3, "3 input channels")]


@pytest.mark.parametrize(("channels", "words"), CHANNELS)
def test_unets_with_other_inputs_are_refused(channels, words):
    given = configs("sd1")
    given["unet"]["in_channels"] = channels
    with pytest.raises(ValueError, match=words):
        recognise(**given)


def test_other_conditions_and_predictions_are_refused():
    given = configs("sd1")
    given["unet"]["addition_embed_type"] = "image"
    with pytest.raises(ValueError, match="conditioned by 'image'"):
        recognise(**given)
    given = configs("sd1") | {"text_encoder_2": configs("sdxl")["text_encoder_2"]}
    with pytest.raises(ValueError, match="not of one model"):
        recognise(**given)
    given = configs("sd1")
    given["scheduler"]["prediction_type"] = "sample"
    with pytest.raises(ValueError, match="'sample'; known are 'epsilon' and 'v_prediction'"):
        recognise(**given)


def test_every_pipeline_of_the_list_exists_and_is_let_through():
    for name in PIPELINES:
        assert hasattr(diffusers, name)
        refuse_strangers(name, "it")


def test_every_other_pipeline_of_diffusers_is_refused_in_words():
    others = [name for name in dir(diffusers) if name.endswith("Pipeline")]
    others = [name for name in others if name not in PIPELINES]
    assert len(others) > 50
    for name in others:
        with pytest.raises(ValueError, match="The families that are known here: SD"):
            refuse_strangers(name, "it")
