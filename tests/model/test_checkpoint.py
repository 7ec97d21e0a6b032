"""Checkpoints are read for their tensors; nothing in them is ever run."""

import argparse
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from leaflineage.errors import ModelError
from leaflineage.model.checkpoint import read_checkpoint, strip_prefixes

Save = Callable[..., Path]
ONE = {"fc.weight": torch.ones(2, 2)}
TWO = {"fc.weight": torch.full((2, 2), 2.0)}


class Hostile:
    """Unpickling an instance makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_hostile_pickle_is_refused_before_it_runs(legacy: bool, tmp_path: Path) -> None:
    made, path = tmp_path / "made", tmp_path / "hostile.pth"
    torch.save({"state_dict": Hostile(made)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match=r"asks to call other code \(.*mkdir\).*Nothing of it was run"):
        read_checkpoint(path)
    assert not made.exists()


def test_a_pickled_module_is_refused_with_how_to_save_its_weights(save_checkpoint: Save) -> None:
    with pytest.raises(ModelError, match=r"a pickled whole module.*torch\.save\(model\.state_dict\(\)"):
        read_checkpoint(save_checkpoint(nn.Linear(2, 2)))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scripted.pt"
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    with pytest.raises(ModelError, match="TorchScript"):
        read_checkpoint(path)


def test_a_namespace_of_training_arguments_is_allowed(save_checkpoint: Save) -> None:
    arguments = argparse.Namespace(model="resnet101", lr=0.1, betas=[0.9, 0.999], nested=argparse.Namespace(a=1))
    found = read_checkpoint(save_checkpoint({"state_dict": ONE, "args": arguments, "epoch": 7}))
    assert torch.equal(found.state_dict["fc.weight"], ONE["fc.weight"])
    assert found.architecture == "resnet101"


@pytest.mark.parametrize("entry", ["state_dict_ema", "model_ema"])
def test_averaged_weights_are_preferred_and_said(entry: str, save_checkpoint: Save) -> None:
    found = read_checkpoint(save_checkpoint({"state_dict": ONE, entry: TWO}))
    assert torch.equal(found.state_dict["fc.weight"], TWO["fc.weight"])
    assert any("averaged" in note for note in found.notes)


def test_an_empty_average_is_passed_over(save_checkpoint: Save) -> None:
    found = read_checkpoint(save_checkpoint({"state_dict": ONE, "state_dict_ema": None}))
    assert torch.equal(found.state_dict["fc.weight"], ONE["fc.weight"])
    assert found.notes == []


@pytest.mark.parametrize("entry", ["state_dict", "model", "model_state_dict"])
def test_nested_state_dicts_are_found(entry: str, save_checkpoint: Save) -> None:
    found = read_checkpoint(save_checkpoint({entry: ONE, "optimizer": {"lr": 1.0}}))
    assert set(found.state_dict) == {"fc.weight"}


def test_a_state_dict_inside_a_trainers_dict_is_found(save_checkpoint: Save) -> None:
    assert set(read_checkpoint(save_checkpoint({"model": {"state_dict": ONE}})).state_dict) == {"fc.weight"}


def test_a_checkpoint_without_tensors_lists_what_it_holds(save_checkpoint: Save) -> None:
    with pytest.raises(ModelError, match="got the entries 'epoch', 'loss'"):
        read_checkpoint(save_checkpoint({"epoch": 3, "loss": 0.1}))
    with pytest.raises(ModelError, match="got a list"):
        read_checkpoint(save_checkpoint([1, 2]))


@pytest.mark.parametrize(
    ("prefixes"), ["module.", "model.", "net.", "backbone.", "_orig_mod.", "module.model.", "_orig_mod.module."]
)
def test_prefixes_of_wrappers_are_taken_off(prefixes: str) -> None:
    wrapped = {f"{prefixes}conv.weight": torch.ones(1), f"{prefixes}fc.weight": torch.ones(2)}
    found = strip_prefixes(wrapped, expected=["conv.weight", "fc.weight"], where="x")
    assert {name: len(tensor) for name, tensor in found.items()} == {"conv.weight": 1, "fc.weight": 2}


def test_a_prefix_of_some_tensors_only_is_taken_off_there() -> None:
    mixed = {"backbone.conv.weight": torch.ones(1), "fc.weight": torch.ones(2)}
    assert set(strip_prefixes(mixed, expected=["conv.weight", "fc.weight"], where="x")) == {"conv.weight", "fc.weight"}


def test_a_name_the_architecture_knows_keeps_its_prefix() -> None:
    assert set(strip_prefixes({"net.w": torch.ones(1)}, expected=["net.w"], where="x")) == {"net.w"}


def test_two_tensors_that_become_one_are_refused() -> None:
    both = {"model.fc.weight": torch.ones(1), "net.fc.weight": torch.ones(1)}
    with pytest.raises(ModelError, match="holds two models"):
        strip_prefixes(both, expected=["fc.weight"], where="x")


def test_names_of_outputs_are_read_from_a_list_or_a_dict(save_checkpoint: Save) -> None:
    listed = read_checkpoint(save_checkpoint({"state_dict": ONE, "classes": ["B", "-", "A"]}))
    assert listed.label_names == ["B", None, "A"]
    numbered = read_checkpoint(save_checkpoint({"state_dict": ONE, "class_to_idx": {"B": 2, "A": 0}}))
    assert numbered.label_names == ["A", None, "B"]
    counted = read_checkpoint(save_checkpoint({"state_dict": ONE, "classes": 3}))
    assert counted.label_names is None


def test_two_names_for_one_output_are_refused(save_checkpoint: Save) -> None:
    with pytest.raises(ModelError, match="'A' and 'B' for output 0"):
        read_checkpoint(save_checkpoint({"state_dict": ONE, "class_to_idx": {"A": 0, "B": 0}}))


@pytest.mark.parametrize("name", ["leaves.h5", "leaves.keras", "leaves.pth"])
def test_a_keras_model_is_refused_by_suffix_or_by_its_first_bytes(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(ModelError, match="Keras or TensorFlow"):
        read_checkpoint(path)


def test_a_saved_model_folder_is_refused_as_tensorflow(tmp_path: Path) -> None:
    from model.conftest import load

    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelError, match="Keras or TensorFlow"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "weights.ckpt"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", bytes(range(256)) * 8])
def test_a_damaged_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(path)


def test_a_checkpoint_cut_short_is_refused(tmp_path: Path, save_checkpoint: Save) -> None:
    path = save_checkpoint(ONE)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(path)


def test_another_kind_of_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(path)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    path.write_bytes(b"x")
    with pytest.raises(ModelError, match=r"weights\.onnx.*state_dict"):
        read_checkpoint(path)
