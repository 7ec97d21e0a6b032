"""A herbarium on disk: whole files, a catalogue that names each of them once."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from leaflineage.herbarium import draw_specimen, write_catalogue, write_family, write_herbarium, write_twins
from leaflineage.herbarium.catalogue import COLUMNS

FAMILIES = ("Myrtaceae", "Betulaceae")


def rows_of(directory: Path) -> list[dict[str, str]]:
    with (directory / "catalogue.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_catalogue_names_every_picture_once(tmp_path: Path) -> None:
    drawn: list[tuple[str, int]] = []
    write_herbarium(
        tmp_path, families=FAMILIES, n=2, size=48, seed=0, on_drawn=lambda family, index: drawn.append((family, index))
    )
    assert drawn == [(family, index) for family in FAMILIES for index in range(2)]
    rows = rows_of(tmp_path)
    assert tuple(rows[0]) == COLUMNS
    paths = [row["path"] for row in rows]
    on_disk = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png") if ".zones" not in p.name)
    assert paths == on_disk
    assert len({row["group"] for row in rows}) == len({row["catalogue_number"] for row in rows}) == 4
    for row in rows:
        family, genus, species, source, number = Path(row["path"]).stem.split("_")
        assert (family, genus, species) == (row["family"], row["genus"], row["species"])
        assert (source, len(number)) == ("Drawn", 4)
    assert not list(tmp_path.rglob("*.part"))


def test_a_picture_on_disk_is_the_drawing_and_its_zones_lie_beside_it(tmp_path: Path) -> None:
    (row,) = write_family(tmp_path, "Betulaceae", n=1, size=48, seed=4)
    drawing = draw_specimen("Betulaceae", 0, seed=4, size=48)
    path = tmp_path / row["path"]
    assert np.array_equal(np.asarray(Image.open(path)), drawing.image)
    zones = Image.open(path.with_suffix(".zones.png"))
    assert zones.mode == "L"
    assert np.array_equal(np.asarray(zones), drawing.zones)


def test_families_drawn_apart_give_the_same_bytes(tmp_path: Path) -> None:
    write_herbarium(tmp_path / "together", families=FAMILIES, n=1, size=48, seed=0)
    rows = [row for name in reversed(FAMILIES) for row in write_family(tmp_path / "apart", name, n=1, size=48, seed=0)]
    write_catalogue(tmp_path / "apart", rows)
    together, apart = (
        {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "together", tmp_path / "apart")
    )
    assert len(together) == 5
    assert together == apart


def test_twins_are_written_as_two_families(tmp_path: Path) -> None:
    write_twins(tmp_path, "teeth", n=2, size=48, seed=0)
    rows = rows_of(tmp_path)
    assert [row["family"] for row in rows] == ["with", "with", "without", "without"]
    assert all((tmp_path / row["path"]).with_suffix(".zones.png").is_file() for row in rows)
