"""A cut is complete: what comes after it is decided by it alone, and running its tail gives the same map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from model.conftest import SIDE, load, make_network, write_folder
from torch import nn

from leaflineage.errors import ModelError
from leaflineage.model.cuts import (
    compute_negative_energy,
    find_cuts,
    holds_weights,
    run_tail,
    run_until,
)
from leaflineage.model.layout import MapLayout, find_cut_layout
from leaflineage.model.load import Classifier, verify_classifier
from leaflineage.model.split import relative_difference

TOKENS = {"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": SIDE}
SWIN = {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "window_size": 4, "img_size": SIDE}
CONVNEXT = {"depths": (1, 2, 1, 1), "dims": (8, 16, 24, 32)}
ARCHITECTURES: list[tuple[str, dict[str, Any]]] = [
    ("resnet10t", {}),
    ("tf_efficientnet_lite0", {}),
    ("mobilenetv3_small_050", {}),
    ("convnext_atto", CONVNEXT),
    ("swin_tiny_patch4_window7_224", SWIN),
    ("vit_tiny_patch16_224", TOKENS),
    ("beit_base_patch16_224", TOKENS),
]


def load_architecture(folder: Path, architecture: str, *, layer: str = "auto", **model_args: Any) -> Classifier:
    network = make_network(architecture, **model_args)
    return load(write_folder(folder / architecture, architecture, network, model_args=model_args), layer=layer)


class Residual(nn.Module):
    """x + relu(f(x)), the sum taken in place."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.act(self.conv(x))
        found += x
        return found


class Small(nn.Module):
    """stem, residual block, activation in place, a block that reads two tensors, a last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.side = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.block = Residual(4)
        self.act = nn.ReLU(inplace=True)
        self.blend = Blend()
        self.last = nn.Sequential(nn.Conv2d(4, 5, 1), nn.Identity())
        self.num_features = 5

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.blend(self.act(self.block(self.stem(images))), self.side(images))
        found: torch.Tensor = self.last(maps)
        return found


class Blend(nn.Module):
    """The sum of two maps, through a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 4, 1)
        self.other = nn.Conv2d(4, 4, 1)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.one(first) * self.other(second)
        return found


LAYOUT = MapLayout("channels-first", 8, 8, 5)


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval().requires_grad_(False)


def test_nothing_before_a_module_of_two_tensors_is_a_cut(small: nn.Module) -> None:
    cuts = find_cuts(small, torch.rand(2, 3, 16, 16), like=LAYOUT, before=None)
    assert [(cut.name, cut.tail, cut.map_shape) for cut in cuts] == [("blend", ("last",), (8, 8, 4))]


def test_cuts_before_a_layer_are_found_with_activations_in_place_told_apart(small: nn.Module) -> None:
    cuts = find_cuts(small, torch.rand(2, 3, 16, 16), like=LAYOUT, before="act")
    assert [(cut.name, cut.tail) for cut in cuts] == [("block", ("act",)), ("stem", ("block", "act"))]
    assert cuts[0].negative_energy > 0  # of what the block gave, not of what the activation made of it in place


def test_names_of_one_output_are_aliases_and_the_outermost_is_the_name(small: nn.Module) -> None:
    small.last = nn.Sequential(nn.Sequential(nn.Conv2d(4, 5, 1), nn.Identity()), nn.ReLU())
    cut = find_cuts(small, torch.rand(2, 3, 16, 16), like=LAYOUT, before=None)[0]
    assert (cut.name, cut.aliases, cut.tail) == ("last.0", ("last.0.0", "last.0.1"), ("last.1",))


def test_a_layer_that_runs_twice_is_no_cut(small: nn.Module) -> None:
    again = nn.Conv2d(5, 5, 1)
    small.last = nn.Sequential(nn.Conv2d(4, 5, 1), again, nn.ReLU(), again)
    names = [cut.name for cut in find_cuts(small, torch.rand(2, 3, 16, 16), like=LAYOUT, before=None)]
    assert names == ["last.2", "last.0", "blend"]


def test_a_pass_ends_where_it_is_told_to(small: nn.Module) -> None:
    ran: list[str] = []
    for name, module in small.named_children():
        module.register_forward_hook(lambda module, args, output, name=name: ran.append(name))
    maps = run_until(small, torch.rand(2, 3, 16, 16), "block")
    assert maps.shape == (2, 4, 8, 8)
    assert ran == ["stem", "block"]
    assert not small.block._forward_hooks.keys() - {next(iter(small.block._forward_hooks))}  # only this test's


def test_a_tail_leaves_what_it_is_given_as_it_is(small: nn.Module) -> None:
    maps = torch.randn(1, 4, 8, 8)
    before = maps.clone()
    assert torch.equal(run_tail(small, ("act",), maps), before.clamp(min=0))
    assert torch.equal(maps, before)


def test_weights_between_are_convolutions_and_linear_layers(small: nn.Module) -> None:
    assert holds_weights(small, ("act", "last"))
    assert not holds_weights(small, ("act",))


def test_negative_energy_by_hand() -> None:
    assert compute_negative_energy(torch.tensor([[3.0, -4.0]])) == 16 / 25
    assert compute_negative_energy(torch.zeros(3)) == 0.0


@pytest.mark.parametrize(
    ("shape", "like", "found"),
    [
        ((2, 16, 8, 4), LAYOUT, ("channels-first", 8, 4, 16)),
        ((2, 8, 4, 16), LAYOUT, ("channels-last", 8, 4, 16)),
        ((2, 8, 4, 2), MapLayout("channels-last", 4, 2, 5), ("channels-last", 8, 4, 2)),  # channels-first too, by shape
        ((2, 8, 4, 2), LAYOUT, ("channels-first", 4, 2, 8)),
        ((2, 5, 7, 7), LAYOUT, None),
        ((2, 9, 7), MapLayout("tokens", 4, 2, 7, 1), ("tokens", 4, 2, 7)),
        ((2, 33, 7), MapLayout("tokens", 4, 2, 7, 1), ("tokens", 8, 4, 7)),  # merged two by two later
        ((2, 10, 7), MapLayout("tokens", 4, 2, 7, 1), None),
        ((2, 9, 7), LAYOUT, None),
        ((2, 9), LAYOUT, None),
    ],
)
def test_rows_and_columns_of_a_layer_are_told_by_the_images_sides(
    shape: tuple[int, ...], like: MapLayout, found: tuple[Any, ...] | None
) -> None:
    layout = find_cut_layout(shape, (64, 32), like=like)
    assert (layout and (layout.kind, layout.rows, layout.columns, layout.n_channels)) == found


@pytest.mark.parametrize(("architecture", "model_args"), ARCHITECTURES)
def test_going_on_from_a_cut_gives_the_features(
    architecture: str, model_args: dict[str, Any], tmp_path: Path, images: torch.Tensor
) -> None:
    classifier = load_architecture(tmp_path, architecture, **model_args)
    wanted = classifier.features(images)
    cuts = classifier.list_cuts()
    assert len(cuts) >= 2
    for cut in cuts:
        maps, prefix = classifier.features_at_with_prefix(cut, images)
        assert maps.shape == (len(images), *cut.map_shape), cut.name
        assert relative_difference(classifier.continue_from(cut, maps, prefix), wanted) <= 1e-4, cut.name


def test_the_gradient_passes_a_cut_on_both_sides(small_folder: Path, images: torch.Tensor) -> None:
    classifier = load(small_folder)
    cut = classifier.list_cuts()[0]
    leaf = images.clone().requires_grad_(True)
    maps = classifier.features_at(cut, leaf)
    whole = torch.autograd.grad(classifier.continue_from(cut, maps).sum(), leaf)[0]
    wanted = torch.autograd.grad(classifier.features(leaf).sum(), leaf)[0]
    assert float(wanted.abs().max()) > 0
    assert relative_difference(whole, wanted) <= 1e-5
    at = maps.detach().requires_grad_(True)  # a leaf, which may not be written in place
    assert torch.autograd.grad(classifier.continue_from(cut, at).sum(), at)[0].shape == maps.shape


def test_cuts_are_found_in_inference_mode_too(small_folder: Path) -> None:
    with torch.inference_mode():
        inside = load(small_folder).list_cuts()
    assert inside == load(small_folder).list_cuts()


def test_a_cut_whose_tail_is_not_the_network_is_left_out(small_folder: Path) -> None:
    classifier = load(small_folder)
    names = [cut.name for cut in classifier.list_cuts()]

    class Doubled(nn.Module):
        """Gives another answer when it is called alone, as a module that kept something would."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner, self.n_calls = inner, 0

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            self.n_calls += 1
            return self.inner(maps) * self.n_calls

    assert "layer3" in names
    classifier = load(small_folder)
    classifier.network.layer4 = Doubled(classifier.network.layer4)
    assert classifier.find_cut("layer3") is None


# --- the cut for concepts inside concepts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "model_args", "name", "is_negative"),
    [
        ("resnet26", {}, "layer4.0", False),
        ("tf_efficientnet_lite0", {}, "blocks.6.0.bn2", False),  # block outputs are signed; this is inside the block
        ("mobilenetv3_small_050", {}, "blocks.4", True),
        ("convnext_atto", CONVNEXT, "stages.3.downsample", True),
        ("vit_tiny_patch16_224", TOKENS, "blocks.0", True),  # split after blocks.1
        ("swin_tiny_patch4_window7_224", SWIN, "layers.1.downsample", True),
    ],
)
def test_the_earlier_cut_is_the_closest_non_negative_one_else_the_closest(
    architecture: str, model_args: dict[str, Any], name: str, is_negative: bool, tmp_path: Path, images: torch.Tensor
) -> None:
    classifier = load_architecture(tmp_path, architecture, **model_args)
    cut = classifier.find_earlier_cut(images)
    assert cut.name == name
    maps, prefix = classifier.features_at_with_prefix(cut, images)
    raw = maps if prefix is None else torch.cat([maps.flatten(1, 2), prefix], dim=1)
    assert cut.negative_energy == pytest.approx(compute_negative_energy(raw), abs=1e-12)
    assert (cut.negative_energy > 0) is is_negative


def test_a_network_that_cannot_be_divided_further_is_refused(small_folder: Path, images: torch.Tensor) -> None:
    classifier = load(small_folder, layer="conv1.0")
    with pytest.raises(ModelError, match=r"before conv1\.0.*got none.*recurse = 1"):
        classifier.find_earlier_cut(images)


# --- splitting at a cut --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "model_args", "layer", "map_shape"),
    [
        ("resnet10t", {}, "layer3", (4, 4, 256)),
        ("resnet10t", {}, "layer3.0.act2", (4, 4, 256)),
        ("tf_efficientnet_lite0", {}, "blocks.6.0.bn2", (2, 2, 1152)),
        ("convnext_atto", CONVNEXT, "stages.2", (4, 4, 24)),
        ("swin_tiny_patch4_window7_224", SWIN, "layers.0", (16, 16, 16)),
        ("vit_tiny_patch16_224", TOKENS, "blocks.0", (4, 4, 32)),
    ],
)
def test_a_classifier_is_split_at_a_cut_by_name(
    architecture: str,
    model_args: dict[str, Any],
    layer: str,
    map_shape: tuple[int, int, int],
    tmp_path: Path,
    images: torch.Tensor,
) -> None:
    classifier = load_architecture(tmp_path, architecture, layer=layer, **model_args)
    record = verify_classifier(classifier, images)
    maps, prefix = classifier.features_with_prefix(images)
    assert record.layer == layer
    assert record.map_shape == map_shape == tuple(maps.shape[1:])
    assert relative_difference(classifier.head(maps, prefix), classifier.logits(images)) <= 1e-4
    assert record.depends_on_cells
    assert not record.affine_head
    assert classifier.head_weight is None
    whole = load_architecture(tmp_path, architecture, **model_args)
    assert len(classifier.list_cuts()) < len(whole.list_cuts())
    for cut in classifier.list_cuts():
        at, tokens = classifier.features_at_with_prefix(cut, images)
        assert relative_difference(classifier.continue_from(cut, at, tokens), maps) <= 1e-4, cut.name


def test_a_class_token_transformer_is_split_before_its_last_block(tmp_path: Path, images: torch.Tensor) -> None:
    classifier = load_architecture(tmp_path, "vit_tiny_patch16_224", **TOKENS)
    record = verify_classifier(classifier, images)
    assert record.layer == "blocks.1"
    assert record.depends_on_cells
    assert record.prefix_matters
    assert record.n_prefix_tokens == 1
    assert record.split_error <= 1e-4
    assert any("blocks.1" in note and "class token alone" in note for note in record.notes)
    maps, prefix = classifier.features_with_prefix(images)
    assert prefix is not None
    assert prefix.shape == (len(images), 1, 32)
    zeros = classifier.head(maps, torch.zeros_like(prefix))
    assert torch.equal(classifier.head(maps), zeros)
    assert relative_difference(zeros, classifier.logits(images)) > 1e-4


def test_a_class_token_split_by_hand_where_its_head_ignores_the_cells_is_refused(
    tmp_path: Path, images: torch.Tensor
) -> None:
    classifier = load_architecture(tmp_path, "vit_tiny_patch16_224", layer="norm", **TOKENS)
    with pytest.raises(ModelError, match=r'ignores them.*split after norm.*layer = "auto"'):
        verify_classifier(classifier, images)


def test_unused_prefix_tokens_do_not_matter(tmp_path: Path, images: torch.Tensor) -> None:
    record = verify_classifier(load_architecture(tmp_path, "beit_base_patch16_224", **TOKENS), images)
    assert record.n_prefix_tokens == 1
    assert not record.prefix_matters


def test_a_layer_inside_a_residual_block_is_refused_with_those_that_can_be(small_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"layer4, layer3, layer2.*'layer3\.0\.conv1'.*does not decide alone"):
        load(small_folder, layer="layer3.0.conv1")


def test_a_layer_that_is_none_is_refused_with_the_nearest(small_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"'layer_3'.*no layer of this network.*Did you mean layer3\?"):
        load(small_folder, layer="layer_3")
