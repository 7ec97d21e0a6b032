"""A bake makes again what has changed and keeps the rest, and a site baked so equals one baked from nothing."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_run import make_run

from leaflineage.errors import ArtifactError, SiteError
from leaflineage.website import bake as baking
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.contents import make_family_pages
from leaflineage.website.facts import find_texts, look_through
from leaflineage.website.family_bake import FamilyBaker, Workers
from leaflineage.website.reading import read_family, read_index
from leaflineage.website.rendering import make_renderer
from leaflineage.website.state import STATE, BakeState
from leaflineage.website.surroundings import Surveyor
from leaflineage.website.writing import is_linked

NAMES = [f"Familia {letter}" for letter in "ABCD"]
Change = Callable[[dict[str, Any], dict[str, Any]], None]


def digest_tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # run_folder: for its skip
    run = make_run(tmp_path_factory.mktemp("four"), names=NAMES, n_concepts=2, n_crops=1, side=16)
    bake(run)
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A run of four families and its site, of hard links: a test may replace its files, and not write into them."""
    return Path(shutil.copytree(whole, tmp_path / "run", copy_function=os.link))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The families whose files a bake made."""
    slugs: list[str] = []
    make = FamilyBaker.bake

    def note(self: FamilyBaker, around: Any) -> Any:
        slugs.append(around.slug)
        return make(self, around)

    monkeypatch.setattr(FamilyBaker, "bake", note)
    return slugs


def change(run: Path, slug: str, how: Change) -> None:
    """Change a family in the index and in its record alike; files are replaced, not written into."""
    record_path, index_path = run / "families" / slug / "family.json", run / "index.json"
    record, index = json.loads(record_path.read_bytes()), json.loads(index_path.read_bytes())
    how(next(each for each in index["families"] if each["slug"] == slug), record["family"])
    for path, value in ((record_path, record), (index_path, index)):
        path.unlink()
        path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def rename_concept(*families: dict[str, Any]) -> None:
    for family in families:
        family["concepts"][0]["name"] = {"text": "drip tip", "terms": [], "source": "expert"}


def change_number(*families: dict[str, Any]) -> None:
    for family in families:
        family["concepts"][1]["prevalence"] = 0.1234
        family["accuracy"]["top1"] = 0.4321


def change_name(*families: dict[str, Any]) -> None:
    for family in families:
        family["name"] = "Nomen novum"


def drop_concept(*families: dict[str, Any]) -> None:
    for family in families:
        dropped = family["concepts"].pop()
        family["rest"]["share"] += dropped["importance"]["share"]
        for other in family["concepts"]:
            other["similar"] = []


@pytest.mark.parametrize("how", [rename_concept, change_number, change_name, drop_concept])
def test_an_incremental_bake_equals_a_bake_from_nothing(run: Path, tmp_path: Path, how: Change) -> None:
    change(run, "familia-c", how)
    site = bake(run).site
    assert digest_tree(site) == digest_tree(bake(run, tmp_path / "anew").site)


def test_nothing_is_made_where_nothing_changed(run: Path, made: list[str]) -> None:
    before = {path: path.stat().st_ino for path in (run / "site").rglob("*") if path.is_file()}
    bake(run)
    assert made == []
    after = {path: path.stat().st_ino for path in (run / "site").rglob("*") if path.is_file()}
    assert after == before


def test_a_changed_number_makes_its_family_alone(run: Path, made: list[str]) -> None:
    change(run, "familia-c", change_number)
    bake(run)
    assert made == ["familia-c"]


def test_a_new_name_is_told_by_the_families_that_name_it(run: Path, made: list[str]) -> None:
    change(run, "familia-c", rename_concept)
    bake(run)
    assert "familia-c" in made
    assert {"familia-b", "familia-d"} <= set(made)  # before and after it


def test_pages_know_no_more_than_their_fingerprint_holds(run: Path) -> None:
    workers = Workers(run / "site.part", run / "site", run, jobs=1)
    known = baking._look_at_run(run, BakeState(), workers, base_url=None, repository=None, images="all")
    surveyor = Surveyor(known.site, {slug: known.list_numbers(slug) for slug in known.facts})
    render = make_renderer(known.site.words)
    for slug, facts in known.facts.items():
        around = surveyor.survey(slug, facts)
        family, specimens = read_family(run, slug)
        pages = [
            [(address, render(template, view)) for address, template, view in found]
            for found in (
                make_family_pages(known.site, family, specimens, around.turn),
                make_family_pages(around.narrow(surveyor.shared), family, specimens, around.turn),
            )
        ]
        assert pages[0] == pages[1]
        with pytest.raises(AttributeError):
            _ = around.narrow(surveyor.shared).index.n_specimens


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes pay for few families."""
    monkeypatch.setattr("leaflineage.website.family_bake.LEAST_FAMILIES", 2)
    monkeypatch.setattr("leaflineage.website.family_bake.CHUNK", 2)


@pytest.mark.parametrize("remembers", [True, False])
def test_processes_change_no_byte(run: Path, tmp_path: Path, many: None, remembers: bool) -> None:
    if not remembers:
        (run / STATE).unlink()
    assert digest_tree(bake(run, tmp_path / "many", jobs=2).site) == digest_tree(run / "site")


def test_a_record_that_is_damaged_ends_the_processes_with_a_sentence(run: Path, many: None) -> None:
    (run / STATE).unlink()
    path = run / "families" / "familia-c" / "family.json"
    path.unlink()
    path.write_text("{")
    with pytest.raises(ArtifactError, match="familia-c"):
        bake(run, jobs=2)
    assert not multiprocessing.active_children()


def test_a_page_that_was_lost_is_made_again(run: Path, made: list[str]) -> None:
    (run / "site" / "families" / "familia-b" / "concept-01.html").unlink()
    bake(run)
    assert made == ["familia-b"]
    assert (run / "site" / "families" / "familia-b" / "concept-01.html").is_file()


def test_a_picture_that_was_drawn_again_is_linked_again(run: Path, made: list[str]) -> None:
    picture = next((run / "families" / "familia-b" / "crops").rglob("*.webp"))
    data = picture.read_bytes()
    picture.unlink()
    picture.write_bytes(data + b"\0")
    bake(run)
    shown = run / "site" / "media" / picture.relative_to(run)
    assert made == ["familia-b"]
    assert shown.samefile(picture)


def test_where_there_are_no_hard_links_copies_are_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(95, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    site = bake(run, tmp_path / "copied").site
    picture = next((site / "media").rglob("*.webp"))
    source = run / picture.relative_to(site / "media")
    assert picture.stat().st_nlink == 1
    assert is_linked(source.stat(), str(picture))
    before = picture.stat().st_ino
    assert bake(run, tmp_path / "copied").n_removed == 0
    assert picture.stat().st_ino == before


@pytest.mark.parametrize("damage", ["", "{", '{"version": 1}', '{"version": 0, "facts": {}, "families": {}}'])
def test_a_damaged_memory_makes_everything_anew(run: Path, made: list[str], damage: str) -> None:
    before = digest_tree(run / "site")
    (run / STATE).unlink()
    (run / STATE).write_text(damage)
    bake(run)
    assert len(made) == len(NAMES)
    assert digest_tree(run / "site") == before


def test_a_memory_of_another_site_is_not_believed(run: Path, tmp_path: Path, made: list[str]) -> None:
    other = Path(shutil.copytree(run / "site", tmp_path / "other"))
    (other / "families" / "familia-a" / "index.html").write_text("another hand")
    bake(run, other)
    assert len(made) == len(NAMES)
    assert digest_tree(other) == digest_tree(run / "site")


def test_a_bake_that_fails_forgets_nothing(run: Path, made: list[str]) -> None:
    change(run, "familia-c", change_number)
    hidden = next((run / "families" / "familia-c" / "crops").rglob("*.webp"))
    data = hidden.read_bytes()
    hidden.unlink()
    before = digest_tree(run / "site")
    with pytest.raises(SiteError, match="is not in the run"):
        bake(run)
    assert digest_tree(run / "site") == before
    hidden.write_bytes(data)
    made.clear()
    bake(run)
    assert made == ["familia-c"]


def test_the_index_reads_alike_in_whatever_way_it_is_laid_out(run: Path) -> None:
    by_family = read_index(run)
    path = run / "index.json"
    text = json.dumps(json.loads(path.read_bytes()))
    path.unlink()
    path.write_text(text)
    assert read_index(run) == by_family
    with pytest.raises(AttributeError):  # what no page of all families reads is not held
        _ = by_family.families[0].concepts[0].contributions


def test_texts_of_a_record_are_found_whatever_they_hold() -> None:
    data = json.dumps({'a"b': ["Fagaceae", "x/concept-01", "families/a/b.webp", "data:image/webp;x", "ü\\"]}).encode()
    assert find_texts(data) == {'a"b', "Fagaceae", "x/concept-01", "ü\\"}


@pytest.mark.parametrize("before", ["", "data:" + "x" * 301, 300 * "ab\\"])
def test_texts_are_found_behind_one_that_is_empty_or_long(before: str) -> None:
    data = json.dumps({"a": before, "b": "Fagaceae", "c": "Ulmaceae"}).encode()
    assert find_texts(data) == {"a", "b", "c", "Fagaceae", "Ulmaceae"}


def test_facts_are_remembered_while_the_bytes_are_the_same(run: Path) -> None:
    first = look_through(run, "familia-a", None)
    assert look_through(run, "familia-a", first) is first
    change(run, "familia-a", change_number)
    assert look_through(run, "familia-a", first) is not first


def test_each_line_of_the_data_is_a_family_then_a_family_s_specimens(run: Path) -> None:
    lines = (run / "site" / links.ATLAS_DATA).read_text().splitlines()
    families = [json.loads(line.rstrip(",")) for line in lines[1 : len(NAMES) + 2]]
    assert [each["slug"] for each in families] == [*sorted(f"familia-{letter}" for letter in "abcd"), "platanaceae"]
    assert all(each["heatmaps"] == [] for each in json.loads(f"[{lines[len(NAMES) + 3].rstrip(',')}]"))
