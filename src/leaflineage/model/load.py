"""Load a classifier from a folder, a hub or a bare file, and describe it.

Whatever the source, the same three things meet: an architecture of timm, a state dict whose tensors fit it exactly,
and a name for each output. What does not fit is refused in words; nothing of a file is ever run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import timm
import torch
from torch import Tensor, nn

from leaflineage.errors import ModelError, suggest
from leaflineage.model.checkpoint import Checkpoint, StateDict, read_checkpoint, refuse_keras, strip_prefixes
from leaflineage.model.names import resolve_label_names
from leaflineage.model.split import (
    NEGATIVE_ENERGY_BOUND,
    UNVERIFIED,
    Classifier,
    find_layer_names,
    find_layout,
    measure_split,
    verify_classifier,
)
from leaflineage.records import ModelRecord, Preprocessing

__all__ = ["Classifier", "load_classifier", "verify_classifier"]

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
Interpolation = Literal["bilinear", "bicubic", "nearest", "lanczos", "box", "hamming"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class _Source:
    """What was found at a source, before a network is made of it."""

    name: str
    where: str
    architecture: str
    checkpoint: Checkpoint
    pretrained_cfg: Mapping[str, Any]  # of the source itself; the architecture's own where it has none
    n_outputs: int | None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    label_names: list[str | None] | None = None
    stated_accuracy: float | None = None
    notes: list[str] = field(default_factory=list)


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
        "auto", or the name of a module whose output is the last feature map.
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
    found = _find_source(source, architecture=architecture)
    size = _as_size(input_size)
    network = _build_network(found, input_size=size)
    preprocessing = _describe_preprocessing(
        found, network, size, mean=mean, std=std, interpolation=interpolation, fit=fit, pad_colour=pad_colour
    )
    network = network.to(torch.device(device), memory_format=torch.channels_last)
    network.eval().requires_grad_(False)
    layout = find_layout(network, input_size=preprocessing.input_size, where=found.where)
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
        layer=_choose_layer(network, layer, input_size=preprocessing.input_size, where=found.where),
        map_shape=(layout.rows, layout.columns, layout.n_channels),
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
    classifier = Classifier(network, layout=layout, record=record, device=torch.device(device))
    _describe_provisionally(classifier)
    return classifier


def _describe_provisionally(classifier: Classifier) -> None:
    """Fill in what two images of noise tell of the split, until ``verify_classifier`` has seen specimens."""
    noise = torch.rand(2, 3, *classifier.record.preprocessing.input_size, generator=torch.Generator().manual_seed(0))
    measures = measure_split(classifier, noise)
    classifier.record = classifier.record.model_copy(
        update={
            "affine_head": measures.affine_head,
            "pools_first": measures.pools_first,
            "depends_on_cells": measures.depends_on_cells,
            "negative_energy": measures.negative_energy,
            "signed": measures.negative_energy > NEGATIVE_ENERGY_BOUND,
            "split_error": measures.split_error,
        }
    )


# --- where the weights are -------------------------------------------------------------------------------------


def _find_source(source: str, *, architecture: str | None) -> _Source:
    kind, separator, rest = source.partition(":")
    if separator and kind in ("hf-hub", "hf_hub"):
        return _read_folder(_fetch_from_hub(rest), architecture=architecture, name=rest, where=f"hf-hub:{rest}")
    path = Path(rest if separator and kind == "local-dir" else source).expanduser()
    if not path.exists():
        raise _nothing_there(source, path)
    refuse_keras(path)
    if path.is_dir():
        return _read_folder(path, architecture=architecture, name=path.resolve().name, where=str(path))
    return _read_file(path, architecture=architecture)


def _nothing_there(source: str, path: Path) -> ModelError:
    siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    hub = f' For a repository on the Hugging Face hub write "hf-hub:{source}".' if source.count("/") == 1 else ""
    return ModelError(
        f"Wanted a classifier, got nothing: there is no file or folder at {path}.{suggest(path.name, siblings)} Set "
        f"[classifier] source to a timm folder, a checkpoint file or hf-hub:owner/name.{hub}"
    )


def _fetch_from_hub(repository: str) -> Path:
    """Fetch ``owner/name[@revision]`` into the hub's cache, as timm does, and return its folder there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    repo_id, _, revision = repository.partition("@")
    try:
        config = Path(hf_hub_download(repo_id, "config.json", revision=revision or None))
        for name in WEIGHT_FILES:
            try:
                hf_hub_download(repo_id, name, revision=revision or None)
                break
            except EntryNotFoundError:
                continue
    except Exception as error:  # the hub's client raises its own, httpx's, OSError and ValueError
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"Wanted the timm repository {repo_id!r} of the Hugging Face hub, got {type(error).__name__} ({reason}), "
            f"at hf-hub:{repository}. Mend the name, or where there is no connection fetch the repository elsewhere, "
            "copy the folder here and set [classifier] source to its path."
        ) from error
    return config.parent


def _read_folder(folder: Path, *, architecture: str | None, name: str, where: str) -> _Source:
    """Read a timm folder: config.json beside model.safetensors or pytorch_model.bin."""
    config = _read_config(folder, where)
    weights = next((folder / each for each in WEIGHT_FILES if (folder / each).is_file()), None)
    if weights is None:
        raise ModelError(
            f"Wanted {' or '.join(WEIGHT_FILES)} beside config.json, got neither, in {where}. Put the weights there, "
            "or set [classifier] source to the checkpoint file itself, with architecture."
        )
    stated = config.get("architecture")
    if not isinstance(stated, str):
        raise ModelError(
            f'Wanted "architecture" with the name of a timm model, got none, in {where}/config.json. It is no timm '
            "folder: set [classifier] source to the weights file and architecture to the timm name."
        )
    _require_architecture(stated, where=f"{where}/config.json")
    if architecture is not None and architecture.partition(".")[0] != stated.partition(".")[0]:
        raise ModelError(
            f"Wanted the architecture {architecture!r} of [classifier] architecture, got {stated!r}, in "
            f"{where}/config.json. Leave [classifier] architecture out: the folder says what it is."
        )
    settings = config.get("pretrained_cfg")
    settings = settings if isinstance(settings, dict) else config  # older folders keep everything at the top
    n_outputs = config.get("num_classes", settings.get("num_classes"))
    accuracy = config.get("stated_accuracy")
    return _Source(
        name=name,
        where=where,
        architecture=stated,
        checkpoint=read_checkpoint(weights),
        pretrained_cfg=settings,
        n_outputs=n_outputs if isinstance(n_outputs, int) else None,
        model_args=config.get("model_args") or {},
        label_names=_read_config_names(config, settings, where),
        stated_accuracy=float(accuracy) if isinstance(accuracy, int | float) else None,
    )


def _read_config(folder: Path, where: str) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            f"Wanted a timm folder, with config.json and {WEIGHT_FILES[0]}, got a folder without config.json, at "
            f"{where}. Set [classifier] source to the checkpoint file inside it, with architecture."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(
            f"Wanted a timm config.json, got a file that is no JSON ({error}), at {path}. Mend it or save it again."
        ) from error
    if not isinstance(config, dict):
        raise ModelError(f"Wanted a timm config.json, got a JSON {type(config).__name__}, at {path}. Save it again.")
    return config


def _read_config_names(config: Mapping[str, Any], settings: Mapping[str, Any], where: str) -> list[str | None] | None:
    """Return ``label_names`` of a timm config, at its top or in pretrained_cfg, as a list in the outputs' order."""
    given = config.get("label_names") or settings.get("label_names") or settings.get("labels")
    if not given:
        return None
    if isinstance(given, dict) and all(str(index).isdigit() for index in given):
        by_index = {int(index): str(name) for index, name in given.items()}
        return [by_index.get(index) for index in range(max(by_index) + 1)]
    if isinstance(given, list) and all(isinstance(each, str) for each in given):
        return list(given)
    raise ModelError(
        f"Wanted label_names as a list of names in the outputs' order, got {type(given).__name__}, in "
        f"{where}/config.json. Write the list there, or in [classifier] label_names."
    )


def _read_file(path: Path, *, architecture: str | None) -> _Source:
    """Read a bare checkpoint; the architecture comes from the config."""
    checkpoint = read_checkpoint(path)
    if architecture is None:
        hint = checkpoint.architecture
        advice = f'The file mentions "{hint}": if that is a timm name, set' if hint else "Set"
        raise ModelError(
            f"Wanted the architecture of a bare checkpoint, got none, for {path}. {advice} [classifier] architecture "
            'to the timm model these weights belong to, such as "resnet101".'
        )
    _require_architecture(architecture, where="[classifier] architecture")
    settings = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    return _Source(
        name=path.name,
        where=str(path),
        architecture=architecture,
        checkpoint=checkpoint,
        pretrained_cfg=dict(vars(settings)) if settings is not None else {},
        n_outputs=None,
        notes=[f"input size, mean and std are those of {architecture} in timm unless [classifier] says otherwise"],
    )


def _require_architecture(architecture: str, *, where: str) -> None:
    if not timm.is_model(architecture):
        hint = suggest(architecture.partition(".")[0], timm.list_models())
        raise ModelError(
            f"Wanted a timm architecture, got {architecture!r}, in {where}; timm {timm.__version__} does not know it."
            f"{hint} timm.list_models() lists them all."
        )


# --- the network -----------------------------------------------------------------------------------------------


def _as_size(input_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if input_size is None:
        return None
    return (input_size, input_size) if isinstance(input_size, int) else (int(input_size[0]), int(input_size[1]))


def _build_network(found: _Source, *, input_size: tuple[int, int] | None) -> nn.Module:
    """Make the architecture and fill in the checkpoint's tensors, every one and no other."""
    arguments: dict[str, Any] = dict(found.model_args)
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
    return network


def _count_outputs(found: _Source) -> int | None:
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


def _require_same_tensors(state_dict: StateDict, expected: Mapping[str, Tensor], found: _Source) -> None:
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


def _advise_on_head(missing: list[str], found: _Source) -> str:
    layer = found.pretrained_cfg.get("classifier")
    if isinstance(layer, str) and missing and all(name.startswith(f"{layer}.") for name in missing):
        return "only the last layer is missing, so this is a feature extractor and no classifier: use a checkpoint with it."
    return "a checkpoint of a model with added or renamed layers cannot be used as it is."


def _list_few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


# --- what is written down --------------------------------------------------------------------------------------


def _describe_preprocessing(
    found: _Source,
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


def _as_triple(values: Sequence[float], key: str, found: _Source) -> Triple:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3 or (key == "std" and min(numbers) <= 0):
        raise ModelError(
            f"Wanted three numbers{' above 0' if key == 'std' else ''} for {key} (images in [0, 1]), got {list(values)}, "
            f"for {found.where}. Set [classifier] {key}."
        )
    return numbers


def _choose_layer(network: nn.Module, layer: str, *, input_size: tuple[int, int], where: str) -> str:
    """Return the name of the module whose output is split at; "auto" takes the outermost."""
    names = find_layer_names(network, input_size=input_size)
    if layer == "auto":
        return names[0] if names else "forward_features"
    if layer not in names:
        known = [name for name, _ in network.named_modules()]
        state = "an earlier layer, at which this version cannot split" if layer in known else "no layer of this network"
        raise ModelError(
            f"Wanted a layer whose output is the last feature map ({', '.join(names) or 'none has a name'}), got "
            f'{layer!r}, {state}, in {where}.{"" if layer in known else suggest(layer, names)} Set [classifier] layer = "auto".'
        )
    return layer
