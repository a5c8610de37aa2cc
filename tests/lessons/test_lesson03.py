"""The network of lesson 03. Its exercises are held in `test_exercises.py`."""

import torch

from sdlearn.lessons.lesson03_network import NoisePredictor


def test_the_network_answers_in_the_shape_of_its_question():
    network = NoisePredictor(size=5, width=8)
    xt, t = torch.randn(7, 5), torch.arange(7)
    assert network(xt, t).shape == xt.shape


def test_the_network_looks_at_the_time():
    torch.manual_seed(0)
    network = NoisePredictor(size=2)
    xt = torch.ones(250, 2)
    answers = network(xt, torch.arange(250)).detach()
    assert len({tuple(answer) for answer in answers.tolist()}) == 250  # no two times alike
