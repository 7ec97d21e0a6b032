"""Pictures on their way to the classifier: batches of one shape, what cannot be read set aside, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from leaflineage.config import Config
from leaflineage.records import ModelRecord, Preprocessing, Specimen
from leaflineage.stages.context import Context
from leaflineage.stages.reading import BATCH_SIZE, read_specimens, run_in_batches, to_tensor
from leaflineage.store import Store


def make_images(n: int) -> list[NDArray[np.uint8]]:
    return [np.full((4, 6, 3), index % 256, dtype=np.uint8) for index in range(n)]


@pytest.mark.parametrize("n", [0, 1, BATCH_SIZE - 1, BATCH_SIZE, BATCH_SIZE + 1, 3 * BATCH_SIZE])
def test_every_input_has_its_answer_in_order_and_every_batch_has_one_shape(n: int) -> None:
    shapes = []

    def compute(images: Tensor) -> tuple[Tensor, Tensor]:
        shapes.append(tuple(images.shape))
        return images.mean(dim=(1, 2, 3)) * 255, images[:, :, 0]

    found = list(run_in_batches(make_images(n), compute))
    assert [round(float(each[0])) for each in found] == list(range(n))
    assert all(each[1].shape == (3, 6) for each in found)
    assert shapes == [(BATCH_SIZE, 3, 4, 6)] * -(-n // BATCH_SIZE)


def test_inputs_are_read_as_they_are_needed() -> None:
    read = 0

    def stream() -> Iterator[NDArray[np.uint8]]:
        nonlocal read
        for image in make_images(5 * BATCH_SIZE):
            read += 1
            yield image

    answers = run_in_batches(stream(), lambda images: [images.sum(dim=(1, 2, 3))])
    next(answers)
    assert read == BATCH_SIZE


def test_no_gradient_is_kept() -> None:
    weight = torch.ones(1, requires_grad=True)
    seen = []

    def compute(images: Tensor) -> list[Tensor]:
        answer = images.mean(dim=(1, 2, 3)) * weight
        seen.append(answer.requires_grad)
        return [answer]

    list(run_in_batches(make_images(2), compute))
    assert seen == [False]


def test_a_tensor_holds_channels_first_between_zero_and_one() -> None:
    image = np.zeros((2, 3, 3), dtype=np.uint8)
    image[1, 2] = (255, 51, 0)
    found = to_tensor([image, image])
    assert found.shape == (2, 3, 2, 3)
    assert found.dtype == torch.float32
    assert found[1, :, 1, 2].tolist() == pytest.approx([1, 0.2, 0])
    assert float(found[0, :, 0, 0].abs().max()) == 0


def make_context(folder: Path) -> Context:
    config = Config.model_validate(
        {"specimens": {"root": str(folder), "max_pixels": 1000}, "classifier": {"source": "herbarium"}}
    )
    context = Context(Store(folder / "run"), config)
    preprocessing = Preprocessing(
        input_size=(16, 16),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        interpolation="bilinear",
        fit="pad",
        pad_colour=(255, 255, 255),
    )
    context.__dict__["model"] = ModelRecord.model_construct(preprocessing=preprocessing)
    return context


def test_what_cannot_be_read_is_set_aside_and_the_others_keep_their_places(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), (10, 20, 30)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    Image.new("RGB", (50, 50)).save(tmp_path / "d.png")
    Image.new("RGB", (10, 20), (10, 20, 30)).save(tmp_path / "e.png")
    specimens = [Specimen(id=name, file=f"{name}.png", group=name) for name in "abcde"]
    set_aside: dict[str, str] = {}
    found = list(read_specimens(make_context(tmp_path), specimens, set_aside))
    assert [index for index, *_ in found] == [0, 4]
    assert sorted(set_aside) == ["b", "c", "d"]  # cut short, not there, larger than allowed
    assert all(reason for reason in set_aside.values())
    assert [original.shape for _, original, _, _ in found] == [(10, 20, 3), (20, 10, 3)]
    assert {fitted.shape for _, _, fitted, _ in found} == {(16, 16, 3)}
