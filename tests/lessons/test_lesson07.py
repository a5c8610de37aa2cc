"""What lesson 07 listens with: it hears what a layer computes, and leaves it as it was."""

import pytest
import tiny
import torch

import sdlearn as sd
from sdlearn.lessons.lesson07_listening import listening
from sdlearn.stages import attention


@pytest.fixture(scope="module")
def model():
    return sd.wrap(tiny.pipeline("sd1"))


@pytest.mark.parametrize("cross", [True, False])
def test_what_is_heard_gives_the_answer_again(model, cross):
    layer = attention.places(model.parts.unet, cross=cross)[0].module
    with listening(layer) as heard:
        model.generate("a red cat", steps=2, sampler="ddim", record=())
    assert len(heard) == 2
    for call in heard:
        words = call.picture if call.words is None else call.words
        assert (call.words is None) is not cross
        with torch.no_grad():
            again = layer(call.picture, encoder_hidden_states=words)
        torch.testing.assert_close(again, call.answer, rtol=1e-5, atol=1e-6)


def test_the_prompt_comes_last_in_the_batch(model):
    layer = attention.places(model.parts.unet)[0].module
    with listening(layer) as heard:
        model.generate("a red cat", steps=1, record=(), guidance_scale=5)
    expected = model.encode(["", "a red cat"]).embeddings
    torch.testing.assert_close(heard[0].words, expected)


def test_a_picture_is_the_same_with_a_listener_and_hooks_are_gone_after_it(model):
    layer = attention.places(model.parts.unet)[0].module
    plain = model.generate("a red cat", steps=2, record=())
    with pytest.raises(RuntimeError, match="stop"), listening(layer):
        assert torch.equal(model.generate("a red cat", steps=2, record=()).latent, plain.latent)
        raise RuntimeError("stop")
    assert not layer._forward_hooks


def test_what_is_no_layer_of_attention_is_refused():
    with pytest.raises(TypeError, match="to_q"), listening(torch.nn.Linear(2, 2)):
        pass
