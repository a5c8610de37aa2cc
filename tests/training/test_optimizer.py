"""Muon: which weights it moves, that its steps have no favourite direction, that it learns."""

import pytest
import torch
from torch import nn

from sdlearn.training import speed
from sdlearn.training.optimizer import ADAM_LENGTH, Muon, evened, matrices


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("shape", [(32, 32), (16, 144), (144, 16)])
def test_all_singular_values_come_near_one_and_the_directions_stay(shape, quick, monkeypatch):
    monkeypatch.setattr(speed, "bfloat16_is_quick", lambda device: quick)
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) ** 3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    even = evened(matrix)
    assert even.dtype == (torch.bfloat16 if quick else torch.float32)
    even = even.float()
    values = torch.linalg.svdvals(even)
    assert values.min() > 0.5
    assert values.max() < 1.3
    # U^T (even) V is diagonal: nothing but the lengths has changed
    inner = left.T @ even @ right.T
    off = inner - torch.diag(inner.diagonal())
    assert off.abs().max() < 0.1


def test_only_the_matrices_inside_a_network_are_evened():
    thin, wide, words = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3), nn.Embedding(50, 32)
    model = nn.Sequential(thin, nn.GroupNorm(8, 32), wide, nn.Linear(32, 64), nn.Linear(64, 4))
    model.add_module("words", words)
    chosen = {id(weight) for weight in matrices(model)}
    assert chosen == {id(wide.weight), id(model[3].weight)}
    groups = Muon(model, 1e-3).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_a_step_is_as_long_as_adams():
    layer = nn.Linear(64, 128, bias=False)
    before = layer.weight.detach().clone()
    optimizer = Muon(layer, 1e-2)
    x = torch.randn(256, 64, generator=torch.Generator().manual_seed(1))
    layer(x).square().sum().backward()
    optimizer.step()
    moved = float((layer.weight.detach() - before).pow(2).mean().sqrt())
    assert moved == pytest.approx(1e-2 * ADAM_LENGTH, rel=0.35)


def test_where_it_does_not_even_it_is_adam():
    norm, other = nn.LayerNorm(8), nn.LayerNorm(8)
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(2))
    mine, adam = Muon(norm, 1e-2), torch.optim.AdamW(other.parameters(), 1e-2, (0.9, 0.99), 1e-8, 0)
    for _ in range(5):
        for model, optimizer in ((norm, mine), (other, adam)):
            (model(x) ** 3).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    torch.testing.assert_close(norm.weight, other.weight)
    torch.testing.assert_close(norm.bias, other.bias)


def test_decay_shortens_what_no_gradient_moves():
    layer = nn.Linear(32, 32, bias=False)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.zeros_like(before)
    Muon(layer, 0.1, weight_decay=0.5).step()
    torch.testing.assert_close(layer.weight, before * 0.95)
