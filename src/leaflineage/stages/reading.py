"""Send specimens' pictures to the classifier: decoded one at a time, batched at one fixed shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from leaflineage.errors import SpecimenError
from leaflineage.images import Frame, decode_image, fit_image
from leaflineage.records import Specimen
from leaflineage.stages.context import Context

if TYPE_CHECKING:
    from torch import Tensor

BATCH_SIZE = 16  # always full: the last batch is filled up and the filling thrown away, so bits do not depend on it


def read_specimens(
    context: Context, specimens: Sequence[Specimen], set_aside: dict[str, str]
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.uint8], Frame]]:
    """Yield (index, original image, fitted input, frame); what cannot be read is noted in ``set_aside`` by id."""
    root, pre = context.specimens_root, context.model.preprocessing
    for index, specimen in enumerate(specimens):
        try:
            image = decode_image(root / specimen.file, max_pixels=context.config.specimens.max_pixels)
        except SpecimenError as error:
            set_aside[specimen.id] = str(error)
            continue
        fitted, frame = fit_image(image, preprocessing=pre)
        yield index, image, fitted, frame


def run_in_batches(
    inputs: Iterable[NDArray[np.uint8]], compute: Callable[[Tensor], Sequence[Tensor]]
) -> Iterator[list[NDArray[np.float32]]]:
    """Yield, an input each, what ``compute`` says of it, in batches of one fixed shape.

    Parameters
    ----------
    inputs
        (rows, columns, 3) uint8 each, all of one shape.
    compute
        (BATCH_SIZE, 3, rows, columns) float32 in [0, 1] → tensors with one row an image.
    """
    waiting: list[NDArray[np.uint8]] = []
    for image in inputs:
        waiting.append(image)
        if len(waiting) == BATCH_SIZE:
            yield from _run_batch(waiting, compute)
            waiting = []
    if waiting:
        yield from _run_batch(waiting, compute)


def to_tensor(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Return (n, 3, rows, columns) float32 in [0, 1] of (rows, columns, 3) uint8 images."""
    import torch

    stacked = torch.from_numpy(np.stack(images))  # (n, rows, columns, 3)
    return stacked.permute(0, 3, 1, 2).float().div_(255)  # channels-last in memory, as the classifier wants it


def _run_batch(
    images: list[NDArray[np.uint8]], compute: Callable[[Tensor], Sequence[Tensor]]
) -> Iterator[list[NDArray[np.float32]]]:
    import torch

    filled = images + [images[-1]] * (BATCH_SIZE - len(images))
    with torch.inference_mode():
        results = [each.float().cpu().numpy() for each in compute(to_tensor(filled))]
    for index in range(len(images)):
        yield [np.asarray(result[index]) for result in results]
