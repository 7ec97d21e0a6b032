"""The real classifier of real leaves, where it is at hand."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from model.conftest import load
from PIL import Image, ImageOps

from leaflineage.model.check import check_accuracy
from leaflineage.model.load import Classifier, verify_classifier
from leaflineage.model.split import relative_difference

SHARED = Path(__file__).resolve().parents[3] / "shared"
FAMILIES = ["Betulaceae", "Fagaceae"]
pytestmark = pytest.mark.skipif(
    not (SHARED / "leaves").is_dir(), reason="../shared with real leaves and their classifier is not here"
)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load(SHARED / "classifiers" / "leaf-families", catalogue_families=FAMILIES)


def read_held_out(family: str) -> np.ndarray:
    """Return the family's held-out leaves (n, 192, 192, 3), padded to a square with white."""
    paths = [
        path
        for path in sorted((SHARED / "leaves" / family).glob("*.jpg"))
        if int(hashlib.md5(path.name.encode()).hexdigest(), 16) % 5 == 0
    ]
    white = (255, 255, 255)
    pictures = [Image.open(path).convert("RGB") for path in paths]
    return np.stack([np.asarray(ImageOps.pad(each, (192, 192), Image.Resampling.BICUBIC, white)) for each in pictures])


def test_the_real_classifier_splits_exactly_and_knows_two_families(classifier: Classifier) -> None:
    held_out = [read_held_out(family) for family in FAMILIES]
    images = np.concatenate(held_out)
    record = verify_classifier(classifier, torch.from_numpy(images[:16]).permute(0, 3, 1, 2).float() / 255)
    assert record.map_shape == (6, 6, 1280)
    assert record.layer == "bn2"
    assert record.affine_head
    assert record.pools_first
    assert record.depends_on_cells
    assert record.negative_energy == 0.0
    assert record.split_error <= 1e-6
    index = [record.label_names.index(family) for family, part in zip(FAMILIES, held_out, strict=True) for _ in part]
    check = check_accuracy(classifier, images, index, stated_accuracy=0.874)
    assert check.problem is None
    assert check.top1 is not None
    assert check.top1 > 0.6


def test_the_real_classifier_is_divided_further_inside_its_last_block(classifier: Classifier) -> None:
    leaves = torch.from_numpy(read_held_out("Fagaceae")[:16]).permute(0, 3, 1, 2).float() / 255
    cut = classifier.find_earlier_cut(leaves)
    assert cut.name == "blocks.6.0.bn2"  # its projection, which comes next, is linear: signed
    assert cut.map_shape == (6, 6, 1152)
    assert cut.negative_energy == 0.0
    found = classifier.continue_from(cut, classifier.features_at(cut, leaves))
    assert relative_difference(found, classifier.features(leaves)) <= 1e-5
    assert "blocks" in [each.name for each in classifier.list_cuts()]
