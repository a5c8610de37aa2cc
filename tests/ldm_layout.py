"""From diffusers' names to those of the original code: the way back of what loading does.

diffusers converts old checkpoints into its own layout, and sdlearn uses that. This is the inverse,
written from the structure of the networks, so that tests can make such checkpoints: a mistake in
either direction makes the two disagree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def checkpoint(networks: Mapping[str, nn.Module], family: str) -> dict[str, Tensor]:
    """All networks of a model in one dictionary, named as in the published single files."""
    made = {f"model.diffusion_model.{name}": t for name, t in unet(networks["unet"]).items()}
    made |= {f"first_stage_model.{name}": t for name, t in vae(networks["vae"]).items()}
    first, second = networks.get("text_encoder"), networks.get("text_encoder_2")
    if family == "sd1":
        made |= prefixed("cond_stage_model.transformer.", clip(first))
    elif family == "sd2":
        made |= prefixed("cond_stage_model.model.", open_clip(first, spare_layer=True))
    elif family == "sdxl":
        made |= prefixed("conditioner.embedders.0.transformer.", clip(first))
        made |= prefixed("conditioner.embedders.1.model.", open_clip(second))
    else:
        made |= prefixed("conditioner.embedders.0.model.", open_clip(second))
    schedule = torch.linspace(0.00085**0.5, 0.012**0.5, 1000).square()
    return made | {"betas": schedule}  # such leftovers of the training are in every published file


def prefixed(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights.items()}


def unet(network: nn.Module) -> dict[str, Tensor]:
    """The levels of diffusers' U-Net, counted through as one list of blocks on each way."""
    layers = network.config.layers_per_block
    return {
        _unet_name(name, layers, network): tensor for name, tensor in network.state_dict().items()
    }


def _unet_name(name: str, layers: int, network: nn.Module) -> str:
    for ours, theirs in UNET_ENDS.items():
        if name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    way, rest = name.split(".", 1)
    if way == "mid_block":
        kind, index, inside = rest.split(".", 2)
        place = {"resnets": 2 * int(index), "attentions": 1}[kind]
        return f"middle_block.{place}.{_resnet(inside) if kind == 'resnets' else inside}"
    level, kind, index, inside = rest.split(".", 3)
    first = int(level) * (layers + 1)
    if way == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{1 + first + layers}.0.{inside.replace('conv', 'op')}"
        block = f"input_blocks.{1 + first + int(index)}"
    elif kind == "upsamplers":
        attends = hasattr(network.up_blocks[int(level)], "attentions")
        return f"output_blocks.{first + layers}.{2 if attends else 1}.{inside}"
    else:
        block = f"output_blocks.{first + int(index)}"
    return f"{block}.0.{_resnet(inside)}" if kind == "resnets" else f"{block}.1.{inside}"


def _resnet(inside: str) -> str:
    part, leaf = inside.rsplit(".", 1)
    return f"{RESNET[part]}.{leaf}"


def vae(network: nn.Module) -> dict[str, Tensor]:
    """The autoencoder, whose attention was a 1x1 convolution."""
    levels = len(network.config.block_out_channels)
    made = {}
    for name, tensor in network.state_dict().items():
        if "attentions" in name and name.endswith("weight") and "group_norm" not in name:
            tensor = tensor[:, :, None, None]
        made[_vae_name(name, levels)] = tensor
    return made


def _vae_name(name: str, levels: int) -> str:
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    reverse = lambda found: f"up.{levels - 1 - int(found[1])}."  # noqa: E731
    name = re.sub(r"up_blocks\.(\d+)\.", reverse, name)
    name = name.replace("upsamplers.0", "upsample")
    name = re.sub(r"(up\.\d+)\.resnets", r"\1.block", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    for ours, theirs in VAE_ATTENTION.items():
        name = name.replace(f"mid_block.attentions.0.{ours}.", f"mid.attn_1.{theirs}.")
    return name


def clip(network: nn.Module) -> dict[str, Tensor]:
    """OpenAI's encoder, in transformers' old naming, with the positions that it used to save."""
    state = {
        "text_model." + name.removeprefix("text_model."): tensor
        for name, tensor in network.state_dict().items()
    }
    positions = torch.arange(network.config.max_position_embeddings)[None]
    return state | {"text_model.embeddings.position_ids": positions}


def open_clip(network: nn.Module, spare_layer: bool = False) -> dict[str, Tensor]:
    """OpenCLIP's encoder: queries, keys and values in one matrix, the projection transposed.

    Args:
        network: A CLIP text encoder of transformers'.
        spare_layer: Whether the file has a last layer that the model leaves out, as in SD 2.x.
    """
    state = {
        name.removeprefix("text_model."): tensor for name, tensor in network.state_dict().items()
    }
    made = {
        "token_embedding.weight": state.pop("embeddings.token_embedding.weight"),
        "positional_embedding": state.pop("embeddings.position_embedding.weight"),
        "ln_final.weight": state.pop("final_layer_norm.weight"),
        "ln_final.bias": state.pop("final_layer_norm.bias"),
        "logit_scale": torch.tensor(4.6),
    }
    if "text_projection.weight" in state:
        made["text_projection"] = state.pop("text_projection.weight").T.contiguous()
    else:
        made["text_projection"] = torch.eye(network.config.hidden_size)
    layers = network.config.num_hidden_layers
    for layer in range(layers):
        block = f"transformer.resblocks.{layer}."
        for ours, theirs in OPEN_CLIP.items():
            for leaf in ("weight", "bias"):
                made[f"{block}{theirs}.{leaf}"] = state.pop(f"encoder.layers.{layer}.{ours}.{leaf}")
        for leaf in ("weight", "bias"):
            made[f"{block}attn.in_proj_{leaf}"] = torch.cat(
                [state.pop(f"encoder.layers.{layer}.self_attn.{x}_proj.{leaf}") for x in "qkv"]
            )
    assert not state, sorted(state)
    if spare_layer:
        last = f"resblocks.{layers - 1}."
        spare = {name.replace(last, f"resblocks.{layers}."): made[name] for name in made}
        made |= {
            name: torch.randn_like(tensor) for name, tensor in spare.items() if name not in made
        }
    return made
