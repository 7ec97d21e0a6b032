"""A classifier that answers wrongly is noticed, and the reason is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model.conftest import SIDE, load, write_folder
from numpy.typing import NDArray
from torch import nn

from leaflineage.model.check import check_accuracy
from leaflineage.model.load import Classifier

NAMES = [f"Family{i}" for i in range(8)]
N = 40


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8)


class Colours(nn.Module):
    """Answers with the number of the octant of colour that the mean pixel, as it comes normalised, lies in."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        bits = (batch.mean(dim=(2, 3)) > 0.5).long()
        return nn.functional.one_hot((bits * torch.tensor([4, 2, 1])).sum(1), 8).float()


def make_octants() -> tuple[NDArray[np.uint8], list[int]]:
    """Return flat images of the eight octants of colour, five each, and their octant."""
    octants = [i % 8 for i in range(N)]
    flat = np.array([[[(o >> 2) & 1, (o >> 1) & 1, o & 1]] for o in octants], np.uint8) * 100 + 78  # (N, 1, 3)
    return np.broadcast_to(flat[:, None], (N, SIDE, SIDE, 3)).copy(), octants


@pytest.fixture
def make_classifier(tmp_path: Path) -> Any:
    from model.conftest import make_network

    network = make_network("resnet10t", n_outputs=8)

    def make(mean: float, std: float, names: list[str]) -> Classifier:
        write_folder(tmp_path / "c", "resnet10t", network, label_names=names)
        classifier = load(tmp_path / "c", catalogue_families=NAMES, mean=(mean,) * 3, std=(std,) * 3)
        classifier.network = Colours()
        return classifier

    return make


def test_a_classifier_that_knows_its_families_has_no_problem(make_classifier: Any) -> None:
    images, octants = make_octants()
    found = check_accuracy(make_classifier(0.0, 1.0, NAMES), images, octants, stated_accuracy=1.0)
    assert found.top1 == 1.0
    assert found.problem is None
    assert found.alternatives == {}
    assert found.chance == 1 / 8
    assert found.n_specimens == N


def test_images_may_come_one_by_one(make_classifier: Any) -> None:
    images, octants = make_octants()
    found = check_accuracy(make_classifier(0.0, 1.0, NAMES), iter(images), octants, stated_accuracy=None)
    assert found.top1 == 1.0


def test_a_wrong_normalisation_is_named_with_what_the_right_one_gives(make_classifier: Any) -> None:
    images, octants = make_octants()
    found = check_accuracy(make_classifier(1.0, 0.1, NAMES), images, octants, stated_accuracy=0.9)
    assert found.top1 == 1 / 8
    assert found.problem is not None
    assert "images in [0, 1])" in found.problem
    assert "Set [classifier] mean and std" in found.problem
    assert found.alternatives["mean = [0, 0, 0] and std = [1, 1, 1] (images in [0, 1])"] == 1.0


def test_names_out_of_order_are_named_and_alphabetical_order_is_tried(make_classifier: Any) -> None:
    images, octants = make_octants()
    reversed_names = NAMES[::-1]
    classifier = make_classifier(0.0, 1.0, reversed_names)
    families = [classifier.record.label_names.index(NAMES[octant]) for octant in octants]
    found = check_accuracy(classifier, images, families, stated_accuracy=None)
    assert found.top1 == 0.0
    assert found.problem is not None
    assert "names of the outputs are in a wrong order: list them in alphabetical order" in found.problem


def test_names_in_an_order_nobody_knows_are_named_too(make_classifier: Any) -> None:
    images, octants = make_octants()
    shuffled = [(octant * 3 + 1) % 8 for octant in octants]
    found = check_accuracy(make_classifier(0.0, 1.0, NAMES), images, shuffled, stated_accuracy=None)
    assert found.problem is not None
    assert "list them in the order it was trained with" in found.problem


def test_a_classifier_of_something_else_is_not_blamed_on_its_constants(
    make_classifier: Any, images: NDArray[np.uint8]
) -> None:
    found = check_accuracy(make_classifier(0.0, 1.0, NAMES), images, [i % 8 for i in range(N)], stated_accuracy=0.9)
    assert found.problem is not None
    assert "No usual normalisation and no order of names mends it" in found.problem


def test_under_half_of_what_it_states_is_a_problem_even_far_above_chance(make_classifier: Any) -> None:
    images, octants = make_octants()
    families = [octant if i < 0.4 * N else (octant + i) % 8 for i, octant in enumerate(octants)]
    found = check_accuracy(make_classifier(0.0, 1.0, NAMES), images, families, stated_accuracy=None)
    assert found.problem is None
    assert check_accuracy(make_classifier(0.0, 1.0, NAMES), images, families, stated_accuracy=1.0).problem is not None


def test_few_outputs_do_not_ask_for_more_than_everything(small_folder: Path, images: NDArray[np.uint8]) -> None:
    found = check_accuracy(load(small_folder), images, [0] * N, stated_accuracy=None)
    assert found.bound == pytest.approx(2 / 3)


def test_without_specimens_nothing_is_said(small_folder: Path, images: NDArray[np.uint8]) -> None:
    found = check_accuracy(load(small_folder), images[:0], [], stated_accuracy=0.9)
    assert found.top1 is None
    assert found.problem is None
