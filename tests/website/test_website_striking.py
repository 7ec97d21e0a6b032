"""The picture that opens the atlas, and what is said of families that are not near."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from website.synthetic_run import make_run

from leaflineage.records import AtlasFamily, AtlasSpecimen, FamilyRecord, Index, Neighbour
from leaflineage.resources import find_resource
from leaflineage.website.contents import list_pages
from leaflineage.website.context import Site, is_built
from leaflineage.website.striking import Shown, choose_example, measure_merit, open_picture
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


def open_made(sizes: dict[str, float]) -> Callable[[str], NDArray[np.float64]]:
    """Pictures as made up: green leaves, and veils lifted in a square whose place and height the name gives."""

    def look(source: str) -> NDArray[np.float64]:
        picture = np.zeros((12, 12, 4))
        if "heatmaps" not in source:
            picture[:, :, 1] = 0.6
            picture[:, :, 3] = 1.0
            return picture
        picture[:, :, 3] = 1.0
        corner = 6 * (int(source.split("concept-")[1][:2]) % 2)
        picture[corner : corner + 4, corner : corner + 4, 3] = 1 - sizes.get(source, 0.9)
        return picture

    return look


def test_the_opening_is_a_leaf_on_which_several_concepts_are_told_apart(made: Made) -> None:
    _, records = made
    families = [family for family, _ in records.values()]
    chosen = choose_example(families, lambda slug: records[slug], open_made({}), 6)
    assert chosen is not None
    assert len(chosen.shown) >= 2
    assert all(each.concept.importance.contribution > 0 for each in chosen.shown)
    assert [each.concept.rank for each in chosen.shown] == sorted(each.concept.rank for each in chosen.shown)


def test_a_concept_that_is_faint_on_the_leaf_is_not_outlined(made: Made) -> None:
    _, records = made
    family, _ = next(iter(records.values()))
    faint = {crop.heatmap: 0.1 for concept in family.concepts for crop in concept.crops}
    chosen = choose_example([family], lambda slug: records[slug], open_made(faint), 6)
    assert chosen is not None
    assert all(not np.allclose(each.heat.max(), 0.1) for each in chosen.shown)


def test_concepts_in_different_places_have_more_merit_than_concepts_in_one(made: Made) -> None:
    _, records = made
    concepts = next(iter(records.values()))[0].concepts
    leaf = np.ones((12, 12, 4)) * [0.2, 0.6, 0.2, 1.0]
    here, there = np.zeros((12, 12)), np.zeros((12, 12))
    here[1:5, 1:5] = there[7:11, 7:11] = 1.0
    apart = measure_merit(leaf, (Shown(concepts[0], here), Shown(concepts[1], there)), 6)
    together = measure_merit(leaf, (Shown(concepts[0], here), Shown(concepts[1], here)), 6)
    grey = measure_merit(np.ones((12, 12, 4)) * 0.5, (Shown(concepts[0], here), Shown(concepts[1], there)), 6)
    assert apart > 1.5 * together
    assert apart > 2 * grey > 0
    assert measure_merit(leaf, (), 6) == 0


def test_a_picture_is_read_from_the_run_or_from_its_address_and_none_where_there_is_none(tmp_path: Path) -> None:
    Image.new("LA", (3, 2), (250, 51)).save(tmp_path / "veil.webp", "WEBP", lossless=True)
    address = "data:image/webp;base64," + base64.b64encode((tmp_path / "veil.webp").read_bytes()).decode()
    for source in ("veil.webp", address):
        picture = open_picture(tmp_path, source)
        assert picture is not None
        assert picture.shape == (2, 3, 4)
        assert picture[:, :, 3] == pytest.approx(0.2)
    (tmp_path / "broken.webp").write_bytes(b"no picture")
    assert open_picture(tmp_path, "broken.webp") is None
    assert open_picture(tmp_path, "absent.webp") is None


def test_a_family_that_is_unlike_is_never_listed_as_near(made: Made) -> None:
    site, records = made
    family, specimens = next(iter(records.values()))
    near, unlike = list(records)[1:3]
    listed = [Neighbour(slug=near, similarity=0.31), Neighbour(slug=unlike, similarity=0.03)]
    page = view_family(site, family.model_copy(update={"neighbours": listed}), specimens, (None, None))
    assert [round(near.similarity, 2) for near in page.neighbours] == [0.31]
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
