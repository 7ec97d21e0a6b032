"""Whose pictures a site shows: licences, what is left out, what was withdrawn, and what must be true to publish."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from website.synthetic_run import make_run

from leaflineage.errors import ArtifactError, SpecimenError
from leaflineage.images import decode_image, encode_webp
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.check import check_site
from leaflineage.website.publishing import check_publishing, read_xmp
from leaflineage.website.rights import WITHDRAWN, Rights, read_withdrawn, redact_importances
from leaflineage.website.withdrawing import find_run, hold_withdrawn, withdraw_specimens

SLUG = "betulaceae"
LICENCE, CREDIT, SOURCE = "CC-BY-4.0", "A. Botanist & Sons", "Swedish Leaf"


@pytest.fixture(scope="module")
def whole(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # run_folder: for its skip
    run = make_run(tmp_path_factory.mktemp("rights"), n_families=2, n_concepts=2, n_crops=2, side=16)
    specimens = json.loads((run / "atlas.json").read_bytes())["specimens"]
    catalogue = [
        {"id": each["id"], "file": f"{each['id']}.png", "group": each["group"], "family": each["family"]}
        for each in specimens
    ]
    catalogue[1]["group"] = catalogue[0]["group"]
    payload = {"schema": "leaflineage.catalogue/1", "specimens": catalogue, "families": []}
    (run / "catalogue.json").write_text(json.dumps(payload))

    def strip(record: dict[str, Any]) -> None:
        for specimen in record["specimens"]:
            specimen.update(licence=None, credit=None, source=None)
        if record["family"]["thumbnails"]:
            record["family"]["thumbnails"]["licensed"] = False

    for path in (run / "families").glob("*/family.json"):
        rewrite(path, strip)
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def rewrite(path: Path, how: Callable[[dict[str, Any]], None]) -> None:
    value = json.loads(path.read_bytes())
    how(value)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def license_specimens(run: Path, names: set[str] | None = None, *, into_pictures: bool = False) -> set[str]:
    """Give specimens (all unless named) licence, credit and source, in records and if wanted in pictures."""
    given: set[str] = set()
    pictures: list[str] = []

    def give(specimen: dict[str, Any]) -> None:
        if names is None or specimen["id"] in names:
            specimen.update(licence=LICENCE, credit=CREDIT, source=SOURCE)
            given.add(specimen["id"])
            pictures.append(specimen["image"])

    def give_all(record: dict[str, Any]) -> None:
        for specimen in record["specimens"]:
            give(specimen)
        sheet = record["family"]["thumbnails"]
        if sheet:
            sheet["licensed"] = names is None
        for concept in record["family"]["concepts"]:
            inside = concept["recursion"]["subconcepts"] if concept["recursion"] else []
            for part in (concept, *inside):
                pictures.extend(crop["image"] for crop in part["crops"] if crop["specimen"] in given)
                pictures.extend(v["image"] for v in part["visualizations"] if v.get("specimen") in given)

    for path in (run / "families").glob("*/family.json"):
        rewrite(path, give_all)
    rewrite(run / "index.json", lambda index: [give(query) for query in index["queries"]] and None)
    if into_pictures:
        for picture in pictures:
            write_xmp(run / picture)
    return given


def write_xmp(path: Path, licence: str | None = LICENCE) -> None:
    pixels = decode_image(path, max_pixels=10_000_000)
    path.write_bytes(encode_webp(pixels, quality=80, licence=licence, credit=CREDIT, source=SOURCE))


def list_pictures_of(run: Path, slug: str, specimen: str) -> list[str]:
    """Return the paths of a specimen's picture and of all that is cut from it."""
    record = json.loads((run / "families" / slug / "family.json").read_bytes())
    own = next(each for each in record["specimens"] if each["id"] == specimen)
    found = [own["image"], *(f"{own['image'][:-5]}-{width}.webp" for width in own["smaller"])]
    for concept in record["family"]["concepts"]:
        inside = concept["recursion"]["subconcepts"] if concept["recursion"] else []
        for part in (concept, *inside):
            for crop in part["crops"]:
                if crop["specimen"] == specimen:
                    found += [crop[key] for key in ("image", "heatmap", "attribution") if crop[key]]
            found += [v["image"] for v in part["visualizations"] if v.get("specimen") == specimen]
    return found


def read_shown(run: Path, slug: str = SLUG) -> list[str]:
    record = json.loads((run / "families" / slug / "family.json").read_bytes())
    crops = [crop for concept in record["family"]["concepts"] for crop in concept["crops"]]
    return list(dict.fromkeys(crop["specimen"] for crop in crops))


# --- [site] images -------------------------------------------------------------------------------------------


def test_all_pictures_are_in_a_site_unless_it_is_said_otherwise(run: Path) -> None:
    site = bake(run).site
    shown = read_shown(run)
    assert all((site / "media" / path).is_file() for name in shown for path in list_pictures_of(run, SLUG, name))


def test_licensed_leaves_out_all_that_shows_a_specimen_without_a_licence(run: Path) -> None:
    licensed, *others = read_shown(run)
    license_specimens(run, {licensed})
    site = bake(run, images="licensed").site
    assert [str(problem) for problem in check_site(site)] == []
    assert all((site / "media" / path).is_file() for path in list_pictures_of(run, SLUG, licensed))
    for name in others:
        assert not any((site / "media" / path).exists() for path in list_pictures_of(run, SLUG, name))
        assert not (site / links.specimen_page(name)).exists()
    assert not list((site / "media").rglob("*thumbnails*"))  # the sheet shows them all
    atlas = json.loads((site / links.ATLAS_DATA).read_bytes())
    assert {each["id"] for each in atlas["specimens"]} == {licensed}
    for page in site.rglob("*.html"):
        if page.name != links.NOT_FOUND:
            assert "Pictures of leaves without a licence are left out" in page.read_text(), page


def test_one_licence_for_all_of_an_atlas_licenses_them_all(run: Path) -> None:
    rewrite(run / "index.json", lambda index: index["licences"].update(images=LICENCE))
    site = bake(run, images="licensed").site
    assert all((site / "media" / path).is_file() for n in read_shown(run) for path in list_pictures_of(run, SLUG, n))


def test_none_leaves_what_is_computed_and_whole_pages(run: Path) -> None:
    license_specimens(run)
    site = bake(run, images="none").site
    assert [str(problem) for problem in check_site(site)] == []
    left = [path.relative_to(site / "media").as_posix() for path in (site / "media").rglob("*.webp")]
    assert left
    assert all(("/visualizations/" in path or "/leaves/" in path) and "accentuation" not in path for path in left)
    text = (site / "families" / SLUG / "index.html").read_text()
    assert "Pictures of leaves are left out of this copy of the atlas" in text
    text = (site / "families" / SLUG / "concept-01.html").read_text()
    assert text.count("Pictures of leaves are left out of this copy of the atlas") == 2  # instead of crops, in the foot
    assert "No crop was cut" not in text
    assert not list(site.glob("specimens/*.html"))


def test_a_bake_without_licences_says_so(run: Path) -> None:
    report = bake(run)
    assert any("No licence is stated for the pictures" in note for note in report.notes)
    assert "No licence is stated for the pictures" in (report.site / "method.html").read_text()
    assert bake(run, images="none").notes == ()


@pytest.mark.parametrize(
    ("images", "atlas_licence", "licence", "allowed"),
    [
        ("all", False, None, True),
        ("licensed", False, None, False),
        ("licensed", False, "", False),
        ("licensed", False, "MIT", True),
        ("licensed", True, None, True),
        ("none", True, "MIT", False),
    ],
)
def test_what_is_allowed(images: Any, atlas_licence: bool, licence: str | None, allowed: bool) -> None:
    assert Rights(images, atlas_licence).allows(licence) is allowed


# --- withdrawn -----------------------------------------------------------------------------------------------


def test_a_withdrawn_specimen_is_in_no_page_crop_or_file(run: Path) -> None:
    site = bake(run).site
    gone = read_shown(run)[0]
    pictures = list_pictures_of(run, SLUG, gone)
    assert len(pictures) > 2
    done = withdraw_specimens(run, [f"{SLUG}-000", gone], reason="asked by\nits owner")
    assert (done.names, done.families) == ((f"{SLUG}-000", gone), (SLUG,))
    assert (run / WITHDRAWN).read_text().splitlines()[-1] == f"{gone} asked by its owner"
    bake(run)
    assert [str(problem) for problem in check_site(site)] == []
    assert not any((site / "media" / path).exists() for path in pictures)
    for path in site.rglob("*"):
        if path.is_file() and path.suffix in (".html", ".js", ".json", ".csv"):
            assert gone not in path.read_text(), path
        assert gone not in path.name
    hold_withdrawn(site, [gone])
    assert not list((site / "media" / "families" / SLUG).glob("thumbnails*"))  # the sheet of before shows it
    assert list((site / "media" / "families" / "img-src-x-onerror-alert-1").glob("thumbnails*"))
    with (site / links.importances_file(SLUG)).open() as stream:
        rows = [row["specimen"] for row in csv.DictReader(stream)]
    assert rows.count("withheld") == 1  # of the two, the table holds one
    with (run / "families" / SLUG / "importances.csv").open() as stream:
        assert len(rows) == len(list(csv.DictReader(stream)))  # its numbers stay, without its name


def test_a_bake_from_nothing_leaves_it_out_alike(run: Path, tmp_path: Path) -> None:
    bake(run)
    withdraw_specimens(run, [read_shown(run)[0]], reason="")
    site, anew = bake(run).site, bake(run, tmp_path / "anew").site
    for path in anew.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (site / path.relative_to(anew)).read_bytes(), path


def test_a_withdrawn_query_loses_its_page(run: Path) -> None:
    withdraw_specimens(run, ["unknown--1"], reason="")
    site = bake(run).site
    assert not (site / links.specimen_page("unknown--1")).exists()
    hold_withdrawn(site, ["unknown--1"])
    assert [str(problem) for problem in check_site(site)] == []


def test_the_list_is_kept_and_added_to_once(run: Path) -> None:
    one, other = read_shown(run)[:2]
    withdraw_specimens(run, [one], reason="first")
    again = withdraw_specimens(run, [one, other], reason="second")
    assert again.names == (other,)
    assert read_withdrawn(run / WITHDRAWN) == {one: "first", other: "second"}


def test_other_pictures_of_the_same_leaf_are_named(run: Path) -> None:
    first, second = f"{SLUG}-000", f"{SLUG}-001"
    assert withdraw_specimens(run, [first], reason="").same_leaf == (second,)


def test_an_unknown_specimen_is_refused_with_the_nearest(run: Path) -> None:
    with pytest.raises(SpecimenError, match=f"Did you mean {SLUG}-00"):
        withdraw_specimens(run, [f"{SLUG}-001", f"{SLUG}-00l"], reason="")
    assert not (run / WITHDRAWN).exists()


def test_a_list_may_hold_comments_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "withdrawn.txt"
    assert read_withdrawn(path) == {}
    path.write_text("# why\n\na--1   its owner asked \n  b--2\n")
    assert read_withdrawn(path) == {"a--1": "its owner asked", "b--2": ""}


def test_names_that_a_spreadsheet_would_run_are_redacted_too() -> None:
    table = b"specimen,group,x\n'-a,g,1\nb,g,2\n"
    assert redact_importances(table, frozenset({"-a"})) == b"specimen,group,x\nwithheld,withheld,1\nb,g,2\n"


def test_the_only_run_is_found_and_no_other_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="none is there"):
        find_run(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.json").write_text("{}")
        if name == "one":
            assert find_run(tmp_path) == tmp_path / "one"
    with pytest.raises(ArtifactError, match="Name the run with --run"):
        find_run(tmp_path)


# --- check --publish -----------------------------------------------------------------------------------------


def rules(site: Path) -> list[str]:
    return [problem.rule for problem in check_publishing(site)]


def test_pictures_without_licence_or_credit_are_not_to_be_published(run: Path) -> None:
    problems = check_publishing(bake(run).site)
    assert {problem.rule for problem in problems} == {"no-licence", "no-credit"}
    text = " ".join(str(problem) for problem in problems)
    assert '[site] images = "licensed"' in text
    assert "column credit" in text


def test_pictures_that_carry_all_are(run: Path) -> None:
    license_specimens(run, into_pictures=True)
    assert rules(bake(run).site) == []


def test_a_picture_must_carry_it_itself(run: Path) -> None:
    license_specimens(run, into_pictures=True)
    picture = list_pictures_of(run, SLUG, read_shown(run)[0])[0]
    write_xmp(run / picture, licence="other")
    problems = check_publishing(bake(run).site)
    assert [(problem.rule, problem.page) for problem in problems] == [("no-xmp", links.media(picture))]


def test_a_page_must_say_it(run: Path) -> None:
    license_specimens(run, into_pictures=True)
    site = bake(run).site
    page = next((site / "specimens").glob(f"{SLUG}*.html"))
    text = page.read_text()
    assert "A. Botanist &amp; Sons" in text
    page.unlink()
    page.write_text(text.replace("A. Botanist &amp; Sons", "somebody").replace("A. Botanist \\u0026 Sons", "somebody"))
    assert rules(site) == ["no-caption"]


def test_a_site_without_pictures_of_specimens_may_be_published(run: Path) -> None:
    assert rules(bake(run, images="none").site) == []


def test_xmp_is_read_from_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(
        encode_webp(np.zeros((9, 9, 3), np.uint8), quality=80, licence='<&">', credit="B & C", source=None)
    )
    assert '<&">' in read_xmp(path)
    assert "B & C" in read_xmp(path)
    path.write_bytes(encode_webp(np.zeros((9, 9, 3), np.uint8), quality=80, licence=None, credit=None, source=None))
    assert read_xmp(path) == ""
    path.write_bytes(os.urandom(40))
    assert read_xmp(path) == ""
