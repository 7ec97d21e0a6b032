"""Load a classifier from a folder, a hub or a bare file, and describe it.

Whatever the source, the same three things meet: an architecture of timm, a state dict whose tensors fit it exactly,
and a name for each output. What does not fit is refused in words; nothing of a file is ever run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import timm
import torch
from torch import Tensor, nn

from leaflineage.errors import ModelError, suggest
from leaflineage.model.checkpoint import StateDict, strip_prefixes
from leaflineage.model.folding import fold_batch_norms
from leaflineage.model.layout import probe_features
from leaflineage.model.measuring import UNVERIFIED, verify_classifier
from leaflineage.model.names import resolve_label_names
from leaflineage.model.placing import place_split
from leaflineage.model.source import Source, find_source
from leaflineage.model.split import Classifier, make_noise
from leaflineage.records import ModelRecord, Preprocessing

__all__ = ["Classifier", "load_classifier", "verify_classifier"]

ELSEWHERE = ("checkpoint_path", "cache_dir", "pretrained_cfg", "pretrained_cfg_overlay")
Interpolation = Literal["bilinear", "bicubic", "nearest", "lanczos", "box", "hamming"]
Triple = tuple[float, float, float]


def load_classifier(
    source: str,
    *,
    architecture: str | None,
    layer: str = "auto",
    label_names: list[str] | Path | None,
    catalogue_families: Sequence[str],
    input_size: int | tuple[int, int] | None,
    mean: Triple | None,
    std: Triple | None,
    interpolation: str | None,
    fit: Literal["pad", "crop", "squash"],
    pad_colour: tuple[int, int, int],
    trust_names: bool = False,
    device: str = "cpu",
) -> Classifier:
    """Load a classifier, frozen, in evaluation mode and split into features and head.

    Parameters
    ----------
    source : str
        A timm folder (``path`` or ``local-dir:path``), ``hf-hub:owner/name``, or a file: .safetensors, .pt, .pth,
        .pth.tar, .ckpt, .bin.
    architecture : str or None
        A timm architecture; needed for a bare file, otherwise it must agree with the source.
    layer : str
        Name of a module whose output is the last feature map, or that everything after it depends on alone; "auto" for
        the last feature map, or before a transformer's last block where its head reads the class token alone.
    label_names : list of str, path of a text file, or None
        Names of the outputs; see ``leaflineage.model.names``.
    catalogue_families : sequence of str
        Families of the specimens.
    input_size, mean, std, interpolation
        Override what the source (or else the architecture) says; ``input_size`` is a side or (height, width) in pixels.
    fit, pad_colour
        How an image that is not of that shape is made to fit; recorded for whoever prepares images.
    trust_names : bool
        Take the names even where no family of the catalogue bears one.
    device : str
        As torch names it.

    Returns
    -------
    Classifier
        Its record is provisional until ``verify_classifier`` has seen specimens.

    Raises
    ------
    ModelError
        Whatever does not fit, in words.
    """
    found = find_source(source, architecture=architecture)
    size = _as_size(input_size)
    network, arguments = _build_network(found, input_size=size)
    preprocessing = _describe_preprocessing(
        found, network, size, mean=mean, std=std, interpolation=interpolation, fit=fit, pad_colour=pad_colour
    )
    network = network.to(torch.device(device)).to(memory_format=torch.channels_last)
    network.eval().requires_grad_(False)
    noise = make_noise(preprocessing, torch.device(device))
    probe = probe_features(network, noise, where=found.where)
    n_outputs = int(network.num_classes)  # type: ignore[arg-type]
    outputs = resolve_label_names(
        n_outputs=n_outputs,
        label_names=label_names,
        config_names=found.label_names,
        checkpoint_names=found.checkpoint.label_names,
        catalogue_families=catalogue_families,
        trust_names=trust_names,
        where=found.where,
    )
    record = ModelRecord(
        name=found.name,
        architecture=found.architecture,
        layer=layer,
        map_shape=(probe.layout.rows, probe.layout.columns, probe.layout.n_channels),
        affine_head=False,
        pools_first=False,
        depends_on_cells=False,
        signed=False,
        negative_energy=0.0,
        split_error=0.0,
        n_outputs=n_outputs,
        label_names=outputs.names,
        preprocessing=preprocessing,
        sha256=found.checkpoint.sha256,
        stated_accuracy=found.stated_accuracy,
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        licence=found.pretrained_cfg.get("license"),
        notes=[*found.notes, *found.checkpoint.notes, f"names of outputs: {outputs.origin}", UNVERIFIED],
    )
    return place_split(
        fold_batch_norms(network, noise),
        layer=layer,
        probe=probe,
        record=record,
        device=torch.device(device),
        arguments=arguments,
        where=found.where,
    )


# --- the network -----------------------------------------------------------------------------------------------


def _as_size(input_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if input_size is None:
        return None
    return (input_size, input_size) if isinstance(input_size, int) else (int(input_size[0]), int(input_size[1]))


def _build_network(found: Source, *, input_size: tuple[int, int] | None) -> tuple[nn.Module, dict[str, Any]]:
    """Make the architecture and fill in the checkpoint's tensors, every one and no other.

    What timm was given to make it comes back too.
    """
    # Of a config's model_args only what shapes the network: nothing that would make timm read another file.
    arguments = {name: value for name, value in found.model_args.items() if name not in ELSEWHERE}
    if input_size is not None and found.pretrained_cfg.get("fixed_input_size"):
        arguments["img_size"] = input_size
    n_outputs = found.n_outputs or _count_outputs(found)
    if n_outputs is not None:
        arguments["num_classes"] = n_outputs
    try:
        network: nn.Module = timm.create_model(found.architecture.partition(".")[0], pretrained=False, **arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(
            f"Wanted a {found.architecture} with the arguments {arguments}, got an error from timm ({error}), for "
            f"{found.where}. Mend model_args in its config.json, or [classifier] input_size."
        ) from error
    expected = network.state_dict()
    state_dict = strip_prefixes(found.checkpoint.state_dict, expected=expected, where=found.where)
    if state_dict.keys() != expected.keys():
        state_dict = _translate(network, state_dict)
    _require_same_tensors(state_dict, expected, found)
    network.load_state_dict(state_dict, strict=False)
    return network, arguments


def _count_outputs(found: Source) -> int | None:
    """Return the number of outputs from the classifier's weight in a bare checkpoint, None where it has none."""
    layer = found.pretrained_cfg.get("classifier")
    if not isinstance(layer, str):
        return None
    wanted = f"{layer}.weight"
    weight = strip_prefixes(found.checkpoint.state_dict, expected=[wanted], where=found.where).get(wanted)
    return None if weight is None else int(weight.shape[0])


def _translate(network: nn.Module, state_dict: StateDict) -> StateDict:
    """Rename tensors of an older layout with the architecture's own filter, as timm does for its own files."""
    translate = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if translate is None:
        return state_dict
    try:
        return dict(translate(dict(state_dict), network))
    except (KeyError, RuntimeError, ValueError, AttributeError, IndexError, TypeError):
        return state_dict  # not that layout either; the comparison says what is missing


def _require_same_tensors(state_dict: StateDict, expected: Mapping[str, Tensor], found: Source) -> None:
    """Raise a ModelError where a tensor is missing, too many or of another shape.

    Counters of batch norm (``num_batches_tracked``) may be missing: old files have none, and nothing reads them.
    """
    missing = [name for name in expected if name not in state_dict and not name.endswith("num_batches_tracked")]
    extra = [name for name in state_dict if name not in expected]
    if missing or extra:
        parts = [
            f"{len(names)} {word} ({_list_few(names)})"
            for names, word in ((missing, "missing"), (extra, "too many"))
            if names
        ]
        raise ModelError(
            f"Wanted the {len(expected)} tensors of {found.architecture}, got a file with {' and '.join(parts)}, in "
            f"{found.where}. Set [classifier] architecture to the model these weights were trained with; "
            f"{_advise_on_head(missing, found)}"
        )
    for name, tensor in state_dict.items():
        if tensor.shape != expected[name].shape:
            raise ModelError(
                f"Wanted {name} of shape {tuple(expected[name].shape)}, as in {found.architecture}, got "
                f"{tuple(tensor.shape)}, in {found.where}. Set [classifier] architecture to the model these weights "
                "were trained with, or mend num_classes in the folder's config.json."
            )


def _advise_on_head(missing: list[str], found: Source) -> str:
    layer = found.pretrained_cfg.get("classifier")
    if isinstance(layer, str) and missing and all(name.startswith(f"{layer}.") for name in missing):
        return (
            "only the last layer is missing: this is a feature extractor, so use a checkpoint of the whole classifier."
        )
    return "a checkpoint of a model with added or renamed layers cannot be used as it is."


def _list_few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


# --- what is written down --------------------------------------------------------------------------------------


def _describe_preprocessing(
    found: Source,
    network: nn.Module,
    input_size: tuple[int, int] | None,
    *,
    mean: Triple | None,
    std: Triple | None,
    interpolation: str | None,
    fit: Literal["pad", "crop", "squash"],
    pad_colour: tuple[int, int, int],
) -> Preprocessing:
    settings = found.pretrained_cfg
    stated = settings.get("input_size", (3, 224, 224))
    method = interpolation if interpolation is not None else settings.get("interpolation", "bicubic")
    if interpolation is None and method not in get_args(Interpolation):
        method = "bicubic"  # timm also knows "random", for training
    if method not in get_args(Interpolation):
        raise ModelError(
            f"Wanted one of {', '.join(get_args(Interpolation))}, got {method!r}, in [classifier] interpolation."
            f"{suggest(method, get_args(Interpolation))}"
        )
    return Preprocessing(
        input_size=input_size if input_size is not None else (int(stated[1]), int(stated[2])),
        mean=_as_triple(mean if mean is not None else settings.get("mean", (0.485, 0.456, 0.406)), "mean", found),
        std=_as_triple(std if std is not None else settings.get("std", (0.229, 0.224, 0.225)), "std", found),
        interpolation=cast(Interpolation, method),
        fit=fit,
        pad_colour=pad_colour,
        crop_pct=float(settings.get("crop_pct") or 1.0),
    )


def _as_triple(values: Sequence[float], key: str, found: Source) -> Triple:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3 or (key == "std" and min(numbers) <= 0):
        raise ModelError(
            f"Wanted three numbers{' above 0' if key == 'std' else ''} for {key} (images in [0, 1]), got "
            f"{list(values)}, for {found.where}. Set [classifier] {key}."
        )
    return numbers
