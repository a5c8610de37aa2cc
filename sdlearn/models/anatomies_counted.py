"""Anatomies are counted: every network is made of its config alone, and runs on shapes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch

from sdlearn.models.anatomies import GUIDED, Anatomy, Block, Part
from sdlearn.models.rehearsal import Call, Rehearsed, rehearse
from sdlearn.stages.families import Family, recognise

PIECES = 77
"""Positions of a prompt."""

Config = Mapping[str, Any]


def of_parts(parts: Any, name: str) -> Anatomy:
    """The anatomy of parts at hand, told by their configs."""
    given: dict[str, Any] = {
        part: dict(network.config)
        for part, network in parts.networks.items()
        if part in ("unet", "vae")
    }
    for part in ("text_encoder", "text_encoder_2"):
        if part in parts.networks:
            given[part] = parts.networks[part].config.to_dict()
    given["scheduler"] = {"_class_name": type(parts.scheduler).__name__, **parts.scheduler.config}
    given["settings"] = dict(parts.settings)
    return of_configs(given, name, parts.family)


def of_configs(given: Mapping[str, Config], name: str, family: Family | None = None) -> Anatomy:
    """The anatomy that configs tell, by part: "unet", "vae", "text_encoder", ...

    Args:
        given: The configs.
        name: What the model is called.
        family: Which it is, where that is known: a scheduler may have been changed since.
    """
    if "unet" not in given:
        raise ValueError(f"{name} has no U-Net, so it is no Stable Diffusion.")
    family = family or recognise(
        given["unet"],
        given.get("scheduler", {}),
        given.get("text_encoder"),
        given.get("text_encoder_2"),
        name=name,
    )
    pooled = given.get("text_encoder_2", {}).get("projection_dim", 0)
    unet, blocks, config = _unet(_key(given["unet"]), family, pooled)
    rows, columns = _grid(config)
    readers = [part for part in ("text_encoder", "text_encoder_2") if part in given]
    parts = [*(_reader(part, _key(given[part])) for part in readers), unet]
    factor = 8
    if "vae" in given:
        vae, factor = _vae(_key(given["vae"]), rows, columns, family.is_sdxl)
        parts.append(vae)
    return Anatomy(
        name=name,
        family=family,
        latent=(config["out_channels"], rows, columns),
        picture=(rows * factor, columns * factor),
        context=config["cross_attention_dim"],
        conditions=_conditions(family),
        parts=tuple(parts),
        blocks=blocks,
    )


def _key(config: Config) -> str:
    """A config as text: models that share a network share its rehearsal."""
    return json.dumps(dict(config), sort_keys=True, default=str)


def _grid(config: Config) -> tuple[int, int]:
    side = config["sample_size"]
    return (side, side) if isinstance(side, int) else tuple(side)


def _conditions(family: Family) -> str:
    told = []
    if family.name == "sdxl":
        told.append("pooled text, original size, crop, target size")
    if family.name == "sdxl-refiner":
        told.append("pooled text, original size, crop, aesthetic score")
    if family.inpainting:
        told.append("mask and masked picture, in 5 more channels")
    return "; ".join(told) or "nothing"


# --- the text encoders --------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _reader(part: str, config: str) -> Part:
    made = rehearse(part, json.loads(config), _read)
    told = made.network.config
    title = f"text encoder, {told.num_hidden_layers} layers of width {told.hidden_size}"
    return Part(part, title, made.parameters, made.flops[""], made.working)


def _read(network: Any, batch: int) -> object:
    return network(torch.zeros(batch, PIECES, dtype=torch.long))


# --- the autoencoder ----------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _vae(config: str, rows: int, columns: int, is_sdxl: bool) -> tuple[Part, int]:
    made = rehearse("vae", json.loads(config), decoding(rows, columns))
    told = made.network.config
    factor = 2 ** (len(told.block_out_channels) - 1)
    title = f"autoencoder, {factor}x smaller a side, {told.latent_channels} channels"
    in_full = is_sdxl and bool(told.force_upcast)
    return Part("vae", title, made.parameters, made.flops[""], made.working, in_full), factor


def decoding(rows: int, columns: int) -> Call:
    """A call that turns a latent of so many rows and columns into a picture."""

    def call(network: Any, batch: int) -> object:
        return network.decode(torch.zeros(batch, network.config.latent_channels, rows, columns))

    return call


# --- the U-Net ----------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _unet(config: str, family: Family, pooled: int) -> tuple[Part, tuple[Block, ...], Config]:
    calls = 1 if family.turbo else GUIDED
    made = rehearse("unet", json.loads(config), denoising(family, pooled), batch=calls)
    told = dict(made.network.config)
    title = f"U-Net, {len(told['block_out_channels'])} levels"
    part = Part("unet", title, made.parameters, made.flops[""], made.working)
    return part, tuple(_blocks(made, *_grid(told))), told


def denoising(family: Family, pooled: int) -> Call:
    """A call that asks a U-Net of a family for its answer; `pooled` is its pooled text's width."""

    def call(network: Any, batch: int) -> object:
        rows, columns = _grid(network.config)
        xt = torch.zeros(batch, network.config.in_channels, rows, columns)
        words = torch.zeros(batch, PIECES, network.config.cross_attention_dim)
        added = None
        if family.is_sdxl:
            times = network.config.projection_class_embeddings_input_dim - pooled
            count = times // network.config.addition_time_embed_dim
            added = {
                "text_embeds": torch.zeros(batch, pooled),
                "time_ids": torch.zeros(batch, count),
            }
        return network(xt, torch.zeros(batch), words, added_cond_kwargs=added)

    return call


def _blocks(unet: Rehearsed, rows: int, columns: int) -> Iterator[Block]:
    network = unet.network
    levels = len(network.config.block_out_channels)
    for path, side, number in _places(network):
        level = {"down": number, "mid": levels - 1, "up": levels - 1 - number}[side]
        module = network.get_submodule(path)
        transformers = getattr(module, "attentions", None) or []
        depths = tuple(len(one.transformer_blocks) for one in transformers)
        first = transformers[0].transformer_blocks[0].attn1 if depths else None
        inside = (f"{path}.attentions.{i}" for i in range(len(depths)))
        yield Block(
            side=side,
            number=number,
            level=level,
            rows=-(-rows // 2**level),
            columns=-(-columns // 2**level),
            channels=network.config.block_out_channels[level],
            resnets=len(module.resnets),
            transformers=depths,
            heads=first.heads if first else 0,
            parameters=sum(p.numel() for p in module.parameters()),
            flops=unet.flops.get(path, 0),
            flops_of_transformers=sum(unet.flops[one] for one in inside),
        )


def _places(network: Any) -> Iterator[tuple[str, str, int]]:
    for number in range(len(network.down_blocks)):
        yield f"down_blocks.{number}", "down", number
    if network.mid_block is not None:
        yield "mid_block", "mid", 0
    for number in range(len(network.up_blocks)):
        yield f"up_blocks.{number}", "up", number
