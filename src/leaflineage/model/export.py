"""Write a classifier as a timm folder: ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Triple = tuple[float, float, float]


def export_classifier(
    directory: Path,
    state_dict: Mapping[str, Tensor],
    *,
    architecture: str,
    label_names: Sequence[str],
    input_size: tuple[int, int],
    mean: Triple,
    std: Triple,
    half_precision: bool,
    stated_accuracy: float | None,
    licence: str | None,
    extra: Mapping[str, Any],
) -> None:
    """Write a timm folder: ``config.json`` and ``model.safetensors``; timm and ``load_classifier`` read it back.

    Parameters
    ----------
    directory : path
        Made where it is missing.
    state_dict : mapping of str to tensor
        As ``Finetuned.state_dict``.
    architecture, label_names, input_size, mean, std
        What the config says; ``input_size`` is (height, width), names in the outputs' order.
    half_precision : bool
        Store floats in 16 bits, all but tensors that would overflow.
    stated_accuracy : float or None
        Top-1 on held-out images; ``load_classifier`` reads it for the sanity check.
    licence : str or None
    extra : mapping
        Further top-level entries of the config, such as the recipe; JSON values only.
    """
    network = timm.create_model(architecture, pretrained=False, num_classes=len(label_names))
    settings = get_settings(network)
    config: dict[str, Any] = {
        "architecture": architecture,
        "num_classes": len(label_names),
        "num_features": network.num_features,
        "global_pool": "avg",
        "stated_accuracy": stated_accuracy,
        **extra,
        "pretrained_cfg": {
            "tag": "leaflineage",
            "custom_load": False,
            "input_size": [3, *input_size],
            "fixed_input_size": bool(settings.get("fixed_input_size", False)),
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "crop_mode": "border",
            "mean": list(mean),
            "std": list(std),
            "num_classes": len(label_names),
            "first_conv": settings["first_conv"],
            "classifier": settings["classifier"],
            "label_names": list(label_names),
            "license": licence,
        },
    }
    tensors = {name: _shrink(tensor) if half_precision else tensor for name, tensor in state_dict.items()}
    directory.mkdir(parents=True, exist_ok=True)
    weights, settings_file = directory / "model.safetensors", directory / "config.json"
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, _part(weights), metadata={"format": "pt"}
    )
    os.replace(_part(weights), weights)
    _part(settings_file).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(_part(settings_file), settings_file)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _shrink(tensor: Tensor) -> Tensor:
    """Return the tensor in 16 bits where it is floating and stays finite."""
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if torch.isfinite(half).all() else tensor


def get_settings(network: nn.Module) -> Mapping[str, Any]:
    """Return what timm knows of the network's architecture: its ``pretrained_cfg``."""
    return cast(Mapping[str, Any], network.pretrained_cfg)
