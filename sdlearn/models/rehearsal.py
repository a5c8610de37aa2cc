"""A network runs without numbers: what it would compute, and what it would have in memory.

torch's fake tensors have a shape, a kind and a place, and no contents. A network made of them runs
the very code of the real one in a second, however large it is, and needs no memory: so its work
is counted and not estimated.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from sdlearn.models.classes import NETWORKS, class_of

Call = Callable[[nn.Module, int], object]
"""``call(network, batch)``: one call of a network, on inputs made for it."""


@dataclass(frozen=True, eq=False)
class Rehearsed:
    """A network that ran without numbers.

    Attributes:
        network: The network; its tensors have shapes and nothing else.
        flops: Floating-point operations of one call for one picture, in matrix products,
            convolutions and attention: a multiplication and an addition are two. By the path of
            each module; "" is the whole.
        working: The most bytes that lived at one time beside the weights, at 4 bytes a number.
    """

    network: nn.Module
    flops: Mapping[str, int]
    working: int

    @property
    def parameters(self) -> int:
        """How many numbers it learnt."""
        return sum(parameter.numel() for parameter in self.network.parameters())


def rehearse(part: str, config: Mapping[str, Any], call: Call, *, batch: int = 1) -> Rehearsed:
    """Make a network of its config alone, and run it on shapes.

    Args:
        part: "unet", "vae", "text_encoder" or "text_encoder_2".
        config: What diffusers or transformers keeps as its config.
        call: Runs it.
        batch: How many pictures at once the working memory is told for; the work is that of one.
    """
    kind = class_of(NETWORKS[part])
    with FakeTensorMode(), torch.no_grad():
        if part in ("unet", "vae"):
            network = kind.from_config(dict(config)).eval()
        else:
            network = kind(class_of("CLIPTextConfig").from_dict(dict(config))).eval()
        with counting() as counter, _Living(network) as living:
            call(network, batch)
    whole = type(network).__name__
    flops = {"": counter.get_total_flops() // batch}
    for path, kinds in counter.get_flop_counts().items():
        if path.startswith(whole + "."):
            flops[path[len(whole) + 1 :]] = sum(kinds.values()) // batch
    return Rehearsed(network, flops, living.peak)


def counting() -> FlopCounterMode:
    """Count work as torch does, and the CPU's own attention too, which torch passes over."""

    def attention(q: Any, k: Any, v: Any, *others: Any, **more: Any) -> int:
        return sdpa_flop_count(q, k, v)

    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return FlopCounterMode(display=False, custom_mapping={kernel: attention})


class _Living(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, but for a network's own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.known = weakref.WeakSet(
            tensor.untyped_storage() for tensor in [*network.parameters(), *network.buffers()]
        )
        self.now = self.peak = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._meet(tensor.untyped_storage())
        return made

    def _meet(self, storage: torch.UntypedStorage) -> None:
        if storage in self.known:
            return
        self.known.add(storage)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, storage.nbytes())

    def _forget(self, nbytes: int) -> None:
        self.now -= nbytes
