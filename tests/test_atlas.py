"""An atlas read as data: from a run, its site, an index alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import leaflineage
from leaflineage import Atlas
from leaflineage.errors import ArtifactError

SOURCES = ["atlas.json", "index.json", ".", "site", "site/data/atlas.json"]


@pytest.mark.parametrize("source", SOURCES)
def test_an_atlas_says_the_same_from_wherever_it_is_read(tiny_run: Path, source: str) -> None:
    atlas, plain = Atlas.load(tiny_run / source), json.loads((tiny_run / "atlas.json").read_text())
    assert atlas.header.title == plain["title"]
    assert [each.slug for each in atlas.families] == [each["slug"] for each in plain["families"]]
    for wanted in plain["families"]:
        family = atlas.find_family(wanted["name"])
        assert atlas.find_family(wanted["slug"]) == family
        for concept, wanted_concept in zip(family.concepts, wanted["concepts"], strict=True):
            assert concept.importance.share == wanted_concept["importance"]["share"]
            assert [crop.specimen for crop in concept.crops] == [crop["specimen"] for crop in wanted_concept["crops"]]
            assert atlas.find_concept(concept.id) == concept
            assert all(atlas.locate(crop.image).is_file() for crop in concept.crops)
            assert all(atlas.locate(each.image).is_file() for each in concept.visualizations)
        ids = [each["id"] for each in plain["specimens"] if each["family"] == wanted["name"]]
        assert sorted(each.id for each in atlas.list_specimens(wanted["slug"])) == sorted(ids)
        assert ids or family.missing


def test_families_whose_names_differ_in_case_only_are_told_apart(tiny_run: Path, tmp_path: Path) -> None:
    plain = json.loads((tiny_run / "atlas.json").read_text())
    fagaceae = next(each for each in plain["families"] if each["slug"] == "fagaceae")
    plain["families"].append({**fagaceae, "name": "fagaceae", "slug": "fagaceae-2", "concepts": []})
    (tmp_path / "atlas.json").write_text(json.dumps(plain))
    atlas = Atlas.load(tmp_path)
    assert atlas.find_concept("fagaceae/concept-01").id == "fagaceae/concept-01"
    assert atlas.find_family("Fagaceae").slug == "fagaceae"
    assert atlas.find_family("fagaceae").slug == "fagaceae-2"  # names come first


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../../etc/passwd", "../secret.webp"])
def test_no_picture_is_sought_outside_the_run(tiny_run: Path, path: str) -> None:
    with pytest.raises(ArtifactError, match="Do not trust it"):
        Atlas.load(tiny_run).locate(path)


def test_a_folder_without_an_atlas_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none of atlas\.json, data/atlas\.json, index\.json\. Name the folder"):
        Atlas.load(tmp_path)
    with pytest.raises(ArtifactError, match="is not there"):
        Atlas.load(tmp_path / "atlas.json")


def test_a_family_or_concept_that_is_not_there_is_told_with_one_that_is_near(tiny_run: Path) -> None:
    atlas = Atlas.load(tiny_run)
    with pytest.raises(ArtifactError, match=r"'Betulacae'.* Did you mean [Bb]etulaceae\?"):
        atlas.find_family("Betulacae")
    with pytest.raises(ArtifactError, match="The concept 'betulaceae/concept-99' was wanted"):
        atlas.find_concept("betulaceae/concept-99")


def test_a_damaged_atlas_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "atlas.json").write_text('{"schema": "leaflineage.atlas/1", "families": 3}')
    with pytest.raises(ArtifactError, match="should hold a record of the kind AtlasRecord"):
        Atlas.load(tmp_path)


def test_the_package_has_no_other_names() -> None:
    assert leaflineage.__all__ == ["Atlas", "__version__"]
    with pytest.raises(AttributeError, match="has no attribute 'Atlass'"):
        _ = leaflineage.Atlass
