"""Networks made without weights, and weights put into them: one way for folders and for files.

Nothing is drawn at random and then overwritten, no tensor is held twice, and a gap is an error:
the libraries' own loaders would fill it with noise and warn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sdlearn.models.classes import NETWORKS, class_of

# The autoencoders of the first published folders call their attention's matrices so.
OLD_ATTENTION = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}


def empty_network(part: str, config: Mapping[str, Any]) -> nn.Module:
    """Make a network without weights: its shapes only, on torch's meta device.

    Args:
        part: "unet", "vae", "text_encoder" or "text_encoder_2".
        config: What diffusers or transformers keeps as its config.
    """
    kind = class_of(NETWORKS[part])
    with torch.device("meta"):
        if part in ("unet", "vae"):
            return kind.from_config(dict(config)).eval()
        return kind(class_of("CLIPTextConfig").from_dict(dict(config))).eval()


def filled(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    device: torch.device,
    dtype: torch.dtype,
    where: str,
) -> nn.Module:
    """Put weights into a network that was made without, each checked.

    Weights that need no change stay where they are, mapped from their file, as the libraries' own
    loaders leave them. That saves the copy, and more: where a tensor begins in memory decides in
    which order a CPU adds up, so an aligned copy would answer in other last digits than the
    pipelines do. (The trap: who overwrites the file in place changes a model that is in use.)

    Args:
        network: On the meta device.
        weights: By the network's own names; more than it has are left out.
        device: Where they shall lie.
        dtype: In which precision.
        where: What this is, for the message.
    """
    weights = {_today(name): tensor for name, tensor in weights.items()}
    state = {}
    for name, empty in network.state_dict().items():
        tensor = weights.get(_today(name))
        if tensor is None:
            absent = [name for name in network.state_dict() if _today(name) not in weights]
            raise ValueError(
                f"{where} lacks {len(absent)} of its weights, {absent[0]} the first. It was saved "
                "half, or its config is of another model."
            )
        if tensor.shape != empty.shape:
            raise ValueError(
                f"{where} has {name} in the shape {tuple(tensor.shape)}, and its config asks for "
                f"{tuple(empty.shape)}: they are not of one model. (For a single file, config= "
                "names the model whose configs fit.)"
            )
        state[name] = tensor.to(device=device, dtype=dtype)
    network.load_state_dict(state, assign=True)
    for name, buffer in network.named_buffers():  # those that are never saved
        if not name.endswith("position_ids"):
            raise RuntimeError(f"{where} has a buffer {name!r} that sdlearn does not know.")
        owner = network.get_submodule(name.rpartition(".")[0])
        owner.position_ids = torch.arange(buffer.shape[-1], device=device).expand(1, -1)
    return network


def _today(name: str) -> str:
    """A name as every version of the libraries would say it.

    transformers 5.6 dropped the prefix of CLIP's text model; published files have it.
    """
    name = name.removeprefix("text_model.")
    for old, new in OLD_ATTENTION.items():
        name = name.replace(old, new)
    return name
