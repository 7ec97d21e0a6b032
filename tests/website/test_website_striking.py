"""The picture that opens the atlas, and what is said of families that are not near."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from website.synthetic_run import make_run

from leaflineage.records import AtlasFamily, AtlasSpecimen, Crop, FamilyRecord, Index, Neighbour
from leaflineage.resources import find_resource
from leaflineage.website.contents import list_pages
from leaflineage.website.context import Site, is_built
from leaflineage.website.striking import choose_concept, choose_opening, measure_colour
from leaflineage.website.view_family import view_family
from leaflineage.website.view_method import view_method
from leaflineage.website.words import Words

Made = tuple[Site, dict[str, tuple[AtlasFamily, dict[str, AtlasSpecimen]]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    run = make_run(tmp_path_factory.mktemp("striking"), drawn=True)
    index = Index.model_validate_json((run / "index.json").read_bytes())
    words = Words.load(find_resource("locale") / "en")
    plan = frozenset([*list_pages(index), "data/atlas.json"])
    records = {}
    for listed in index.families:
        if is_built(listed):
            record = FamilyRecord.model_validate_json((run / f"families/{listed.slug}/family.json").read_bytes())
            records[listed.slug] = (record.family, {each.id: each for each in record.specimens})
    statics = [each.relative_to(find_resource("static")).as_posix() for each in find_resource("static").rglob("*.*")]
    plan |= {f"assets/{each}" for each in statics} | {"assets/words.js", "assets/search-index.js"}
    return Site(index, words, plan, None, None), records


def save_pair(folder: Path, colour: tuple[int, int, int], active: bool) -> tuple[Path, Path]:
    """A specimen grey but for its left half, and a veil lifted there or nowhere."""
    pixels = np.full((32, 32, 3), 128, dtype=np.uint8)
    pixels[:, :16] = colour
    veil = np.full((32, 32, 4), 250, dtype=np.uint8)
    veil[:, :, 3] = 255
    if active:
        veil[:, :16, 3] = 0
    Image.fromarray(pixels).save(folder / "leaf.png")
    Image.fromarray(veil).save(folder / "veil.png")
    return folder / "leaf.png", folder / "veil.png"


def test_the_colour_that_comes_back_is_the_chroma_where_the_concept_is_active(tmp_path: Path) -> None:
    assert measure_colour(*save_pair(tmp_path, (0, 102, 0), active=True)) == pytest.approx(0.4)


def test_a_grey_leaf_and_a_concept_that_is_nowhere_give_no_colour_back(tmp_path: Path) -> None:
    assert measure_colour(*save_pair(tmp_path, (90, 90, 90), active=True)) == 0
    assert measure_colour(*save_pair(tmp_path, (0, 102, 0), active=False)) == 0


def test_a_picture_that_cannot_be_read_gives_no_colour_back(tmp_path: Path) -> None:
    (tmp_path / "broken.webp").write_bytes(b"no picture")
    assert measure_colour(tmp_path / "broken.webp", tmp_path / "none.webp") == 0


def test_the_opening_is_the_weighty_concept_with_most_colour(made: Made) -> None:
    _, records = made
    families = [family for family, _ in records.values()]
    wanted = families[-1]

    def colour_of(specimen: AtlasSpecimen, crop: Crop) -> float:
        return 0.9 if crop == choose_concept(wanted).crops[2] else 0.001

    chosen = choose_opening(families, lambda slug: records[slug], colour_of)
    assert chosen == (wanted, choose_concept(wanted).crops[2])


def test_without_any_colour_the_weightiest_concept_opens(made: Made) -> None:
    _, records = made
    families = [family for family, _ in records.values()]
    chosen = choose_opening(families, lambda slug: records[slug], lambda specimen, crop: 0.0)
    assert chosen is not None
    assert chosen[0] == max(families, key=lambda each: choose_concept(each).importance.interval[0])


def test_a_family_that_is_unlike_is_never_listed_as_near(made: Made) -> None:
    site, records = made
    family, specimens = next(iter(records.values()))
    near, unlike = list(records)[1:3]
    listed = [Neighbour(slug=near, similarity=0.31), Neighbour(slug=unlike, similarity=0.03)]
    page = view_family(site, family.model_copy(update={"neighbours": listed}), specimens, (None, None))
    assert [round(similarity, 2) for _, similarity, _ in page.neighbours] == [0.31]
    page = view_family(site, family.model_copy(update={"neighbours": listed[1:]}), specimens, (None, None))
    assert page.neighbours == ()
    assert f"{unlike}/index.html" in page.none_near
    assert "0.03" in page.none_near


def test_the_method_of_a_drawn_atlas_tells_of_the_planted_shortcut(made: Made) -> None:
    site, _ = made
    planted = site.words("drawn.planted")
    assert planted in view_method(site).caveats
    real = Site(site.index.model_copy(update={"drawn": False}), site.words, site.plan, None, None)
    assert planted not in view_method(real).caveats
