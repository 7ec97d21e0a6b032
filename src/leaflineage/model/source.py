"""Where a classifier's weights are, and what lies beside them.

A source is a timm folder, a repository of the Hugging Face hub, or a bare file. Reading one gives its tensors and
what it says of itself; no network is made here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm

from leaflineage.errors import ModelError, suggest
from leaflineage.model.checkpoint import Checkpoint, read_checkpoint, refuse_keras

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Source:
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


def find_source(source: str, *, architecture: str | None) -> Source:
    """Read what ``source`` names: a timm folder, ``hf-hub:owner/name`` or a bare file with ``architecture``.

    Raises
    ------
    ModelError
        Where there is nothing, or nothing that can be used.
    """
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


def _read_folder(folder: Path, *, architecture: str | None, name: str, where: str) -> Source:
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
    named = config.get("name")
    return Source(
        name=named if isinstance(named, str) and named else name,
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


def _read_file(path: Path, *, architecture: str | None) -> Source:
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
    return Source(
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
