"""Pictures of specimens for the site: the whole leaf, its crops, its heat maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.crops import centre_box
from leaflineage.images import Box, Frame, cut_image, encode_heatmap, encode_webp, resize_image
from leaflineage.records import Specimen
from leaflineage.store import Store

SPECIMEN_SIDE = 480  # px, the longer side of a specimen's picture on the site
CROP_SIDE = 192  # px, at most
QUALITY = 82
ATTRIBUTION_SIDE = 96  # px, the longer side of an attribution map's veil: its blur is as wide as two of them
ATTRIBUTION_RANGE = (60.0, 99.5)  # percentiles of an attribution map at which its heat is 0 and 1


def write_specimen(
    store: Store, folder: str, specimen: Specimen, image: NDArray[np.uint8]
) -> tuple[dict[str, Any], str]:
    """Write a specimen's picture; return what the atlas says of it, and the file's sha256."""
    small = resize_image(image, longer_side=SPECIMEN_SIDE)
    name = f"{folder}/specimens/{specimen.id}.webp"
    sha256 = store.write_bytes(name, _encode(small, specimen))
    facts = {
        "image": name,
        "width": small.shape[1],
        "height": small.shape[0],
        "original_width": image.shape[1],
        "original_height": image.shape[0],
    }
    return facts, sha256


def write_crop(
    store: Store,
    name: str,
    specimen: Specimen,
    image: NDArray[np.uint8],
    frame: Frame,
    cell: tuple[int, int],
    map_shape: tuple[int, int],
    *,
    crop_side: float,
) -> tuple[dict[str, Any], str]:
    """Write the square around a cell; return what the atlas says of it, and the file's sha256.

    Parameters
    ----------
    cell
        (row, column) of the map.
    map_shape
        (rows, columns) of the map, which covers the classifier's whole input.
    """
    x, y = find_centre(frame, cell, map_shape)
    height, width = image.shape[:2]
    return write_square(store, name, specimen, image, centre_box(x, y, width, height, crop_side=crop_side))


def write_square(
    store: Store, name: str, specimen: Specimen, image: NDArray[np.uint8], box: Box
) -> tuple[dict[str, Any], str]:
    """Write the pixels of a box; return what the atlas says of them, and the file's sha256."""
    crop = resize_image(cut_image(image, box), longer_side=CROP_SIDE)
    sha256 = store.write_bytes(name, _encode(crop, specimen))
    return {"box": list(box), "image": name, "width": crop.shape[1], "height": crop.shape[0]}, sha256


def write_heatmap(
    store: Store,
    name: str,
    coefficient_map: NDArray[np.floating],
    frame: Frame,
    original_size: tuple[int, int],
    *,
    maximum: float,
) -> str:
    """Write a coefficient map (rows, columns) as a veil over its specimen; return the file's sha256."""
    rows, columns = coefficient_map.shape
    content = encode_heatmap(
        coefficient_map.astype(np.float32),
        frame=frame,
        map_shape=(rows, columns),
        original_size=original_size,
        maximum=maximum,
    )
    return store.write_bytes(name, content)


def write_attribution(
    store: Store,
    name: str,
    attribution: NDArray[np.floating],
    frame: Frame,
    original_size: tuple[int, int],
) -> tuple[dict[str, Any], str]:
    """Write an attribution map as a veil; return what the crop says of it, and the file's sha256.

    Noise reaches every pixel's gradient, and blank paper is most of a picture: what most pixels reach is no heat.

    Parameters
    ----------
    attribution
        (height, width) ≥ 0, of the classifier's whole input.
    """
    least, most = (float(value) for value in np.percentile(attribution, ATTRIBUTION_RANGE))
    content = encode_heatmap(
        np.maximum(attribution - least, 0).astype(np.float32),
        frame=frame,
        map_shape=(attribution.shape[0], attribution.shape[1]),
        original_size=original_size,
        maximum=most - least,
        longer_side=ATTRIBUTION_SIDE,
    )
    return {"attribution": name, "attribution_min": least, "attribution_max": most}, store.write_bytes(name, content)


def find_centre(frame: Frame, cell: tuple[int, int], map_shape: tuple[int, int]) -> tuple[float, float]:
    """Return a cell's centre in pixels of the original; it may lie outside, in the padding."""
    x = (cell[1] + 0.5) * frame.input_width / map_shape[1]
    y = (cell[0] + 0.5) * frame.input_height / map_shape[0]
    return (x - frame.offset_x) / frame.scale_x, (y - frame.offset_y) / frame.scale_y


def _encode(image: NDArray[np.uint8], specimen: Specimen) -> bytes:
    return encode_webp(image, quality=QUALITY, licence=specimen.licence, credit=specimen.credit, source=specimen.source)
