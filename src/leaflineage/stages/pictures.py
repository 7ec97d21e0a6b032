"""Pictures of specimens for the site: the whole leaf, its crops, its heat maps, all of a family on one sheet."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.crops import centre_box
from leaflineage.images import Box, Frame, cut_image, encode_heatmap, encode_webp, resize_image
from leaflineage.records import Specimen, name_smaller
from leaflineage.store import Store

SPECIMEN_SIDE = 480  # px, the longer side of a specimen's picture on the site
SPECIMEN_WIDTHS = (160,)  # px, of its smaller copies; one that is half as wide or more would hardly weigh less
CROP_SIDE = 192  # px, at most
QUALITY = 78
ATTRIBUTION_SIDE = 96  # px, the longer side of an attribution map's veil: its blur is as wide as two of them
ATTRIBUTION_RANGE = (60.0, 99.5)  # percentiles of an attribution map at which its heat is 0 and 1
VEIL_CELLS = 2  # px a cell of a heat map that is carried in a record; the browser smooths between them
HEAT_CELLS = 4  # px a cell of a heat map in a file of its own, which opens large
HEAT_SIDE = 64  # px, its longer side at most
THUMBNAIL_SIDE = 48  # px
THUMBNAIL_COLUMNS = 20
THUMBNAIL_QUALITY = 70
MOST_THUMBNAILS = 2000  # on one sheet; nobody tells leaves apart among more, and WebP ends at 16,383 px


def write_specimen(
    store: Store, folder: str, specimen: Specimen, image: NDArray[np.uint8]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write a specimen's picture and its smaller copies; return what the atlas says of it, and each file's sha256."""
    small = resize_image(image, longer_side=SPECIMEN_SIDE)
    height, width = small.shape[:2]
    name = f"{folder}/specimens/{specimen.id}.webp"
    files = {name: store.write_bytes(name, _encode(small, specimen))}
    widths = [each for each in SPECIMEN_WIDTHS if 2 * each < width]
    for each in widths:
        smaller = resize_image(small, longer_side=round(each * max(width, height) / width))
        path = name_smaller(name, each)
        files[path] = store.write_bytes(path, _encode(smaller, specimen))
    facts = {
        "image": name,
        "width": width,
        "height": height,
        "original_width": image.shape[1],
        "original_height": image.shape[0],
        "smaller": widths,
    }
    return facts, files


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
        longer_side=min(HEAT_SIDE, HEAT_CELLS * max(rows, columns)),
    )
    return store.write_bytes(name, content)


def describe_heatmaps(
    concepts: Mapping[str, int],
    coefficient_map: NDArray[np.floating],
    maxima: NDArray[np.floating],
    frame: Frame,
    original_size: tuple[int, int],
) -> list[dict[str, Any]]:
    """Return the heat maps of several concepts on one specimen, as its record carries them: in data: addresses.

    Parameters
    ----------
    concepts
        {id in the atlas: its channel of the map}.
    coefficient_map
        (rows, columns, n_concepts).
    maxima
        (n_concepts,): the coefficients at which heat is 1.
    """
    rows, columns = coefficient_map.shape[:2]
    found = []
    for name, index in concepts.items():
        heat = np.ascontiguousarray(coefficient_map[..., index], dtype=np.float32)
        content = encode_heatmap(
            heat,
            frame=frame,
            map_shape=(rows, columns),
            original_size=original_size,
            maximum=float(maxima[index]),
            longer_side=VEIL_CELLS * max(rows, columns),
        )
        found.append(
            {
                "concept": name,
                "coefficient": float(heat.max()),
                "heatmap": "data:image/webp;base64," + base64.b64encode(content).decode("ascii"),
                "heatmap_max": float(maxima[index]),
            }
        )
    return found


def place_thumbnail(sheet: NDArray[np.uint8], place: int, image: NDArray[np.uint8]) -> None:
    """Put an image into its square of a sheet of thumbnails, the longer side fitted, in the middle."""
    small = resize_image(image, longer_side=THUMBNAIL_SIDE)
    height, width = small.shape[:2]
    row, column = divmod(place, sheet.shape[1] // THUMBNAIL_SIDE)
    top = row * THUMBNAIL_SIDE + (THUMBNAIL_SIDE - height) // 2
    left = column * THUMBNAIL_SIDE + (THUMBNAIL_SIDE - width) // 2
    sheet[top : top + height, left : left + width] = small


def make_sheet(n: int) -> NDArray[np.uint8]:
    """Return a white sheet with a square for each of ``n`` thumbnails; what is laid over it is multiplied."""
    columns = max(1, min(n, THUMBNAIL_COLUMNS))
    rows = max(1, -(-n // columns))
    return np.full((rows * THUMBNAIL_SIDE, columns * THUMBNAIL_SIDE, 3), 255, dtype=np.uint8)


def write_sheet(
    store: Store, name: str, sheet: NDArray[np.uint8], specimens: Sequence[Specimen]
) -> tuple[dict[str, Any], str]:
    """Write a sheet of thumbnails with the licences, credits and sources of all on it; return its facts and sha256."""

    def join(values: set[str | None]) -> str | None:
        return "; ".join(sorted(value for value in values if value)) or None

    content = encode_webp(
        sheet,
        quality=THUMBNAIL_QUALITY,
        licence=join({each.licence for each in specimens}),
        credit=join({each.credit for each in specimens}),
        source=join({each.source for each in specimens}),
    )
    facts = {
        "image": name,
        "width": sheet.shape[1],
        "height": sheet.shape[0],
        "side": THUMBNAIL_SIDE,
        "columns": sheet.shape[1] // THUMBNAIL_SIDE,
        "licensed": all(each.licence for each in specimens),
    }
    return facts, store.write_bytes(name, content)


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
