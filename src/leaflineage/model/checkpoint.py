"""Read a checkpoint's tensors without ever running what it holds.

A checkpoint is a file somebody else made. safetensors holds tensors only; the pickle-based formats of PyTorch are
read with ``weights_only=True``, which refuses every callable but a short list. ``argparse.Namespace`` is added to
that list, because timm's own training script saves its arguments as one.

What comes out is always the same: a flat state dict (EMA weights where there are some), the names of the outputs
where the checkpoint carries them, and a sentence on what was chosen.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from leaflineage.errors import ModelError

StateDict = dict[str, torch.Tensor]

TORCH_SUFFIXES = (".pt", ".pth", ".tar", ".ckpt", ".bin")
KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

# In order of preference: averaged weights first, they are what timm's script reports its accuracy on.
EMA_ENTRIES = ("state_dict_ema", "model_ema")
STATE_ENTRIES = (*EMA_ENTRIES, "state_dict", "model", "model_state_dict")
PREFIXES = ("_orig_mod.", "module.", "model.", "net.", "backbone.")
NAME_ENTRIES = ("label_names", "class_names", "classes", "class_to_idx")


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of one file and what else it says of itself.

    Attributes
    ----------
    state_dict : dict of str to tensor
        Flat, as saved: prefixes still on.
    label_names : list of (str or None), or None
        One an output, by index; None inside the list where no name is given; None where the file carries no names.
    architecture : str or None
        The architecture the file mentions; a hint for a person, never followed blindly.
    sha256 : str
        Of the file's bytes.
    notes : list of str
        What was chosen, in words.
    """

    state_dict: StateDict
    label_names: list[str | None] | None
    architecture: str | None
    sha256: str
    notes: list[str] = field(default_factory=list)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read ``path`` by what it is: safetensors, or one of PyTorch's pickle-based formats.

    Raises
    ------
    ModelError
        For a Keras file, a pickled module, a pickle that would run code, a damaged file, one without tensors.
    """
    refuse_keras(path)
    if path.suffix.lower() == ".safetensors":
        return Checkpoint(
            state_dict=_read_safetensors(path), label_names=None, architecture=None, sha256=hash_file(path)
        )
    if path.suffix.lower() not in TORCH_SUFFIXES:
        raise ModelError(
            f"Wanted a checkpoint (.safetensors, .pt, .pth, .pth.tar, .ckpt or .bin), got {path.name!r}, at {path}. "
            "Save the classifier's state_dict in one of these formats and set [classifier] source to it."
        )
    content = _read_pickled(path)
    entry, state_dict = _find_state_dict(content, path)
    notes = [f"the averaged (EMA) weights were used: entry {entry!r}"] if entry in EMA_ENTRIES else []
    entries = content if entry is not None and isinstance(content, Mapping) else {}
    return Checkpoint(
        state_dict=state_dict,
        label_names=_find_label_names(entries, path),
        architecture=_find_architecture(entries),
        sha256=hash_file(path),
        notes=notes,
    )


def hash_file(path: Path) -> str:
    """Return the sha256 of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_keras(path: Path) -> None:
    """Raise a ModelError where ``path`` is a Keras or TensorFlow model, a file or a folder."""
    is_keras = path.suffix.lower() in KERAS_SUFFIXES or (path.is_dir() and (path / "saved_model.pb").is_file())
    if path.is_file() and not is_keras:
        with path.open("rb") as file:
            is_keras = file.read(len(HDF5_MAGIC)) == HDF5_MAGIC
    if is_keras:
        raise ModelError(
            f"Wanted a PyTorch classifier of a timm architecture, got a Keras or TensorFlow model, at {path}. "
            "Copy its weights into the timm model of the same architecture, or train that one again, save the "
            "state_dict as .safetensors and set [classifier] source and architecture."
        )


def strip_prefixes(state_dict: Mapping[str, torch.Tensor], *, expected: Collection[str], where: str) -> StateDict:
    """Return the tensors under the names the architecture uses, wrappers' prefixes taken off.

    A name that the architecture knows stays as it is; from any other the prefixes of data parallel, compiled and
    wrapping modules are taken off, one after the other, in whatever order they come.

    Parameters
    ----------
    state_dict : mapping of str to tensor
    expected : collection of str
        The architecture's own names of tensors.
    where : str
        The checkpoint, for the error.
    """
    stripped: StateDict = {}
    origin: dict[str, str] = {}
    for name, tensor in state_dict.items():
        short = _strip_prefix(name, expected)
        if short in stripped:
            raise ModelError(
                f"Wanted each tensor once, got both {origin[short]!r} and {name!r} for {short!r}, in {where}. "
                "The file holds two models: save the state_dict of one of them and set [classifier] source to it."
            )
        stripped[short], origin[short] = tensor, name
    return stripped


def _strip_prefix(name: str, expected: Collection[str]) -> str:
    while name not in expected:
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            return name
        name = name.removeprefix(prefix)
    return name


def _read_safetensors(path: Path) -> StateDict:
    try:
        state_dict: StateDict = load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"Wanted tensors in the safetensors format, got a file that cannot be read as such ({error}), at {path}. "
            "It is damaged or cut short: fetch or save it again."
        ) from error
    if not state_dict:
        raise _no_tensors(path, "an empty file")
    return state_dict


def _read_pickled(path: Path) -> Any:
    """Unpickle with ``weights_only=True``: nothing but tensors, containers, plain values and Namespaces."""
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")  # TorchScript archives and old storages warn before they are refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except pickle.UnpicklingError as error:
        wanted = _find_refused_globals(path, str(error))
        if wanted:
            raise ModelError(_describe_refused_pickle(path, wanted)) from None
        raise _damaged(path, error) from None
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError, ValueError, … on damaged files
        if _is_torchscript(path):
            raise ModelError(
                f"Wanted a state_dict, got a TorchScript program, at {path}. Save the weights alone with "
                "torch.save(model.state_dict(), …) and set [classifier] source and architecture."
            ) from None
        raise _damaged(path, error) from error


def _find_refused_globals(path: Path, message: str) -> list[str]:
    """Return the callables the pickle asks for and weights_only refuses, sorted."""
    names = set(re.findall(r"GLOBAL ([\w.]+)", message))
    if zipfile.is_zipfile(path):
        with contextlib.suppress(Exception):  # the list betters the sentence; the file is refused with or without it
            names.update(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
    return sorted(names - {"argparse.Namespace"})


def _describe_refused_pickle(path: Path, wanted: list[str]) -> str:
    shown = ", ".join(wanted[:5]) + (f" and {len(wanted) - 5} more" if len(wanted) > 5 else "")
    holds_module = any(re.match(r"(torch\.nn\.|timm\.|torchvision\.models|__main__\.)", name) for name in wanted)
    came = "a pickled whole module" if holds_module else "a pickle that asks to call other code"
    return (
        f"Wanted a state_dict (tensors by name), got {came} ({shown}), at {path}. Nothing of it was run. "
        "Where you trust its author, load it in a Python session of your own, save the weights alone with "
        "torch.save(model.state_dict(), 'weights.pth'), and set [classifier] source and architecture."
    )


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _damaged(path: Path, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return ModelError(
        f"Wanted a PyTorch checkpoint, got a file that cannot be read as one ({reason}), at {path}. "
        "It is damaged, cut short or of another kind: fetch or save it again."
    )


def _no_tensors(path: Path, came: str) -> ModelError:
    return ModelError(
        f"Wanted tensors by name, at the top or under {', '.join(STATE_ENTRIES)}, got {came}, in {path}. "
        "Save model.state_dict() and set [classifier] source to it."
    )


def _find_state_dict(content: Any, path: Path) -> tuple[str | None, StateDict]:
    """Return the entry the tensors were found under (None for the top) and the tensors."""
    if not isinstance(content, Mapping):
        raise _no_tensors(path, f"a {type(content).__name__}")
    for entry in STATE_ENTRIES:
        inner = content.get(entry)
        if isinstance(inner, Mapping) and inner:
            if _is_state_dict(inner):
                return entry, dict(inner)
            _, state_dict = _find_state_dict(inner, path)  # a trainer's dict inside another's
            return entry, state_dict
    if content and _is_state_dict(content):
        return None, dict(content)
    keys = ", ".join(repr(key) for key in list(content)[:8])
    raise _no_tensors(path, f"the entries {keys}" if keys else "nothing")


def _is_state_dict(entries: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in entries.items())


def _find_label_names(entries: Mapping[Any, Any], path: Path) -> list[str | None] | None:
    for entry in NAME_ENTRIES:
        value = entries.get(entry)
        if isinstance(value, Mapping) and value:
            return _invert_class_indices(value, entry, path)
        if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
            return [None if name == "-" else name for name in value]
    return None


def _invert_class_indices(indices: Mapping[Any, Any], entry: str, path: Path) -> list[str | None]:
    """Turn {name: index} into names in order of index, None where an index is left out."""
    names: dict[int, str] = {}
    for name, index in indices.items():
        if not isinstance(name, str) or isinstance(index, bool) or not isinstance(index, int) or index < 0:
            raise ModelError(
                f"Wanted names with their output's number, got {name!r}: {index!r}, in entry {entry!r} of {path}. "
                "Set [classifier] label_names to the list of names instead."
            )
        if index in names:
            raise ModelError(
                f"Wanted one name an output, got {names[index]!r} and {name!r} for output {index}, in entry {entry!r} "
                f"of {path}. Set [classifier] label_names to the list of names, with the right one at its place."
            )
        names[index] = name
    return [names.get(index) for index in range(max(names) + 1)]


def _find_architecture(entries: Mapping[Any, Any]) -> str | None:
    arguments = entries.get("args")
    for hint in (entries.get("arch"), entries.get("architecture"), getattr(arguments, "model", None)):
        if isinstance(hint, str):
            return hint
    return None
