"""The shared photographs of real leaves, where they are there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from leaflineage.records import Catalogue
from leaflineage.specimens import load_taxonomy, scan_specimens

SHARED = Path(__file__).resolve().parents[3] / "shared"

pytestmark = pytest.mark.skipif(not (SHARED / "leaves.csv").is_file(), reason="../shared/leaves.csv is not there")


Scan = tuple[Catalogue, dict[str, tuple[int, int, str, int, int]]]


def scan(catalogue: Path | None, known: Scan | None = None) -> Scan:
    return scan_specimens(
        root=SHARED / "leaves",
        catalogue=catalogue,
        split="md5:5",
        max_pixels=50_000_000,
        follow_symlinks=False,
        known_hashes=known[1] if known else None,
    )


@pytest.fixture(scope="module")
def scanned() -> Scan:
    return scan(SHARED / "leaves.csv")


@pytest.fixture(scope="module")
def from_table(scanned: Scan) -> Catalogue:
    return scanned[0]


def test_every_row_is_a_usable_specimen_of_31_families(from_table: Catalogue) -> None:
    assert len(from_table.specimens) == 3118
    assert len(from_table.families) == 31
    assert [each.file for each in from_table.specimens if each.set_aside] == []


def test_610_are_held_out_and_52_of_them_share_a_leaf(from_table: Catalogue) -> None:
    assert Counter(each.split for each in from_table.specimens) == {"held-out": 610, "train": 2508}
    assert "52 held-out specimens share a leaf with a training specimen." in from_table.notes


def test_the_folders_alone_say_the_same_but_for_groups(scanned: Scan) -> None:
    from_table, _ = scanned
    from_folders, _ = scan(None, known=scanned)
    without = {"group"}
    told = [each.model_dump(exclude=without) for each in from_folders.specimens]
    assert told == [each.model_dump(exclude=without) for each in from_table.specimens]


def test_every_family_has_an_order(from_table: Catalogue) -> None:
    taxonomy = load_taxonomy(SHARED / "taxonomy" / "apg_orders.tsv")
    assert [each for each in from_table.families if not taxonomy.get(each, {}).get("order")] == []
