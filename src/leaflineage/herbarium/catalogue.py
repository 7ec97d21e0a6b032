"""A herbarium on disk: folders of PNGs, zone maps beside them, and a catalogue.

    <Family>/<Family>_<Genus>_<species>_Drawn_<0001>.png
    <Family>/<Family>_<Genus>_<species>_Drawn_<0001>.zones.png
    catalogue.csv

Files are written whole or not at all, and the same arguments give the same bytes.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leaflineage.herbarium.drawing import Drawing, draw_specimen
from leaflineage.herbarium.twins import draw_twins
from leaflineage.store import Store

COLUMNS = (
    "path", "family", "genus", "species", "source", "split", "group", "licence", "credit", "catalogue_number",
)  # fmt: skip
LICENCE = "MIT"
CREDIT = "LeafLineage drawn herbarium"
TWIN_FOLDERS = ("without", "with")

Row = dict[str, str]
OnDrawn = Callable[[str, int], None]


def write_herbarium(
    directory: Path,
    *,
    families: Sequence[str],
    n: int,
    size: int,
    seed: int,
    on_drawn: OnDrawn | None = None,
) -> None:
    """Draw `n` specimens of each family into a folder, zone maps beside them, and a catalogue.

    Parameters
    ----------
    directory : made where it is missing; what is there is drawn again.
    families : names out of `FAMILIES`.
    n, size, seed : specimens a family, side in pixels, seed of the herbarium.
    on_drawn : called with family and index after each specimen.
    """
    rows = [
        row
        for family in families
        for row in write_family(directory, family, n=n, size=size, seed=seed, on_drawn=on_drawn)
    ]
    write_catalogue(directory, rows)


def write_family(
    directory: Path, family: str, *, n: int, size: int, seed: int, on_drawn: OnDrawn | None = None
) -> list[Row]:
    """Draw one family and return its rows of the catalogue, which is not written here.

    So families can be drawn by several processes, and one of them writes all rows.
    """
    rows = []
    for index in range(n):
        drawing = draw_specimen(family, index, seed=seed, size=size)
        stem = f"{family}_{drawing.traits['genus']}_{drawing.traits['species']}_Drawn_{index + 1:04d}"
        rows.append(
            _write_specimen(directory, family, stem, drawing, number=f"{family[:4].upper()}-{seed}-{index + 1:04d}")
        )
        if on_drawn is not None:
            on_drawn(family, index)
    return rows


def write_twins(directory: Path, trait: str, *, n: int, size: int, seed: int) -> None:
    """Draw `n` pairs of twins as two families, "without" and "with", and their catalogue.

    A pair shares its number, not its group: the two are different leaves to whoever counts leaves.
    """
    rows = []
    for index in range(n):
        for folder, drawing in zip(TWIN_FOLDERS, draw_twins(trait, index, seed=seed, size=size), strict=True):
            stem = f"{folder}_Gemella_{trait}_Drawn_{index + 1:04d}"
            rows.append(
                _write_specimen(directory, folder, stem, drawing, number=f"{folder.upper()}-{seed}-{index + 1:04d}")
            )
    write_catalogue(directory, rows)


def write_catalogue(directory: Path, rows: Iterable[Row]) -> None:
    """Write catalogue.csv, its rows in order of their paths."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(sorted(rows, key=lambda row: row["path"]))
    Store(directory).write_bytes("catalogue.csv", text.getvalue().encode())


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Return an array, (rows, columns, 3) or (rows, columns), as a PNG file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _write_specimen(directory: Path, family: str, stem: str, drawing: Drawing, *, number: str) -> Row:
    store = Store(directory)
    # The zone map first: where the picture is, its zones are.
    store.write_bytes(f"{family}/{stem}.zones.png", png_bytes(drawing.zones))
    store.write_bytes(f"{family}/{stem}.png", png_bytes(drawing.image))
    _, genus, species, *_ = stem.split("_")
    return {
        "path": f"{family}/{stem}.png",
        "family": family,
        "genus": genus,
        "species": species,
        "source": "drawn",
        "split": "",
        "group": stem,
        "licence": LICENCE,
        "credit": CREDIT,
        "catalogue_number": number,
    }
