"""Send a family's specimens through the first part of the classifier: feature maps of whole images, and of crops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from leaflineage.concepts.crops import is_blank, place_grid
from leaflineage.errors import ActivationError
from leaflineage.images import cut_image, fit_image
from leaflineage.stages.context import Context
from leaflineage.stages.reading import read_specimens, run_in_batches

LARGEST_HALF = float(np.finfo(np.float16).max)  # 65504


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write cells (float16), pooled activations, logits and, where asked for, pooled activations of crops."""
    settings = context.config.concepts
    classifier = context.load_classifier()
    rows, columns, n_channels = context.model.map_shape
    set_aside: dict[str, str] = {}
    indices: list[int] = []
    blanks: list[NDArray[np.bool_]] = []
    off_leaf: list[NDArray[np.bool_]] = []
    least = settings.min_leaf_share

    def read() -> Iterator[NDArray[np.uint8]]:
        for index, image, fitted, frame in read_specimens(context, context.specimens, set_aside):
            indices.append(index)
            blanks.append(find_blank_cells(fitted, rows, columns))
            if least > 0:
                from leaflineage.stages.lying import find_off_leaf_cells  # scikit-image, for who asks for it

                off_leaf.append(find_off_leaf_cells(image, frame, rows, columns, least=least))
            yield fitted

    def compute(images: Any) -> Any:
        maps, prefix = classifier.features_with_prefix(images)
        results = (maps, maps.mean(dim=(1, 2)), classifier.head(maps, prefix))
        return results if prefix is None else (*results, prefix)

    folder = f"families/{context.slug}"
    cells_file, pooled_file = f"{folder}/activations.safetensors", f"{folder}/pooled.safetensors"
    declared: dict[str, tuple[DTypeLike, tuple[int, ...]]] = {
        "pooled": (np.float32, (n_channels,)),
        "logits": (np.float32, (context.model.n_outputs,)),
    }
    if context.model.prefix_matters:
        declared["prefix"] = (np.float32, (context.model.n_prefix_tokens, n_channels))
    count = 0
    with (
        context.store.stream_arrays(cells_file, {"cells": (np.float16, (n_channels,))}) as cells,
        context.store.stream_arrays(pooled_file, declared) as pooled,
    ):
        for maps, *found in run_in_batches(read(), compute):
            own = maps.reshape(rows * columns, n_channels)
            cells.append("cells", halve(own, context, context.specimens[indices[count]].id))
            for key, each in zip(declared, found, strict=False):  # a prefix that does not matter is not kept
                pooled.append(key, each[None])
            count += 1
        grid = np.indices((rows, columns), dtype=np.int16).reshape(2, -1)
        blank = np.concatenate(blanks) if blanks else np.zeros(0, dtype=np.bool_)
        held = {
            "specimen": np.repeat(np.arange(count, dtype=np.int32), rows * columns),
            "row": np.tile(grid[0], count),
            "column": np.tile(grid[1], count),
            "blank": blank,
            **({"off_leaf": np.concatenate(off_leaf)} if off_leaf else {}),
        }
        files = {cells_file: cells.finish(held), pooled_file: pooled.finish({})}
    payload: dict[str, Any] = {
        "specimens": [context.specimens[index].id for index in indices],
        "set_aside": set_aside,
        "n_cells": count * rows * columns,
        "n_blank_cells": int(blank.sum()),
        "n_off_leaf_cells": int(sum(each.sum() for each in off_leaf)),
        "n_crops": 0,
        "n_blank_crops": 0,
        "n_off_leaf_crops": 0,
    }
    name = f"{folder}/crop-activations.safetensors"
    if settings.fit_on == "cells":
        context.store.remove(name)  # of settings before
    else:
        files[name], *numbers = _extract_crops(context, classifier, name)
        payload.update(zip(("n_crops", "n_blank_crops", "n_off_leaf_crops"), numbers, strict=True))
    return payload, files


def halve(activations: NDArray[np.float32], context: Context, where: str) -> NDArray[np.float16]:
    """Return activations as float16.

    Raises
    ------
    ActivationError
        Where one is NaN, infinite, or beyond what 16 bits hold.
    """
    largest = float(np.abs(activations).max(initial=0.0))
    if not largest <= LARGEST_HALF:  # NaN is not
        raise ActivationError(
            f"Activations no larger than {LARGEST_HALF:.0f} were wanted, for they are kept in 16 bits, and one is "
            f"{largest:.3g}, at {context.model.layer} on {where}. Split the model elsewhere ([classifier] layer = "
            "...), after a normalisation for instance."
        )
    return activations.astype(np.float16)


def find_blank_cells(fitted: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.bool_]:
    """Tell, cell by cell, whether the part of the input beneath is bare paper."""
    ys = np.linspace(0, fitted.shape[0], rows + 1).astype(int)
    xs = np.linspace(0, fitted.shape[1], columns + 1).astype(int)
    return np.array(
        [
            is_blank(fitted[ys[row] : ys[row + 1], xs[column] : xs[column + 1]])
            for row in range(rows)
            for column in range(columns)
        ]
    )


def _extract_crops(context: Context, classifier: Any, name: str) -> tuple[str, int, int, int]:
    """Write pooled activations of the crops on a grid, their specimens (as listed) and boxes; return the file's sha256.

    And how many crops there are, how many were left out as bare paper, how many for too little leaf under them.
    """
    from leaflineage.stages.lying import measure_leaf_shares

    settings = context.config.concepts
    pre = context.model.preprocessing.model_copy(update={"fit": "squash"})
    of_specimen: list[int] = []
    boxes: list[tuple[int, int, int, int]] = []
    blank = off_leaf = 0

    def read() -> Iterator[NDArray[np.uint8]]:
        nonlocal blank, off_leaf
        for position, (_, image, _, _) in enumerate(read_specimens(context, context.specimens, {})):
            grid = place_grid(
                image.shape[1], image.shape[0], crop_side=settings.crop_side, crop_stride=settings.crop_stride
            )
            shares = measure_leaf_shares(image, grid) if settings.min_leaf_share > 0 else None
            for place, box in enumerate(grid):
                crop = cut_image(image, box)
                if settings.drop_blank and is_blank(crop):
                    blank += 1
                    continue
                if shares is not None and shares[place] < settings.min_leaf_share:
                    off_leaf += 1
                    continue
                of_specimen.append(position)
                boxes.append(box)
                yield fit_image(crop, preprocessing=pre)[0]

    def compute(images: Any) -> Any:
        return (classifier.features(images).mean(dim=(1, 2)),)

    with context.store.stream_arrays(name, {"crops": (np.float16, (context.model.map_shape[2],))}) as stream:
        for (pooled,) in run_in_batches(read(), compute):
            stream.append("crops", halve(pooled, context, "a crop")[None])
        owners, places = np.array(of_specimen, dtype=np.int32), np.array(boxes, dtype=np.int32).reshape(-1, 4)
        sha256 = stream.finish({"specimen": owners, "box": places})
    return sha256, len(of_specimen), blank, off_leaf
