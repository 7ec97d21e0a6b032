"""The bake: what it writes, what it refuses, and that it does the same again."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from website.synthetic_run import HOSTILE, make_run, show_one_leaf

from leaflineage.errors import ArtifactError, SiteError
from leaflineage.records import FamilyRecord
from leaflineage.website import links
from leaflineage.website.bake import BakeReport, bake
from leaflineage.website.check import check_site
from leaflineage.website.context import list_all_crops, list_subconcepts
from leaflineage.website.reading import read_family
from leaflineage.website.rights import hide_pictures


def digest_tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_baked_site_has_no_problem(site: Path) -> None:
    assert [str(problem) for problem in check_site(site)] == []


def test_a_second_bake_gives_the_same_bytes(run_folder: Path, tmp_path: Path) -> None:
    first = bake(run_folder, tmp_path / "a").site
    second = bake(run_folder, tmp_path / "b").site
    again = bake(run_folder, tmp_path / "a").site
    assert digest_tree(first) == digest_tree(second) == digest_tree(again)


def test_the_report_counts_pages_and_pictures(report: BakeReport) -> None:
    pages = list(report.site.rglob("*.html"))
    pictures = list((report.site / "media").rglob("*.webp"))
    assert (report.n_pages, report.n_pictures) == (len(pages), len(pictures))
    assert not report.over_budget
    assert any("licence" in note for note in report.notes)


def test_pictures_are_links_not_copies(site: Path, run_folder: Path) -> None:
    for picture in (site / "media").rglob("*.webp"):
        assert picture.samefile(run_folder / picture.relative_to(site / "media"))


def test_every_concept_has_a_stable_address_by_its_own_number(site: Path, run_folder: Path) -> None:
    index = json.loads((run_folder / "index.json").read_text())
    ids = [concept["id"] for family in index["families"] for concept in family["concepts"]]
    assert len(ids) == 9
    for concept_id in ids:
        assert (site / "families" / f"{concept_id}.html").is_file()


def test_a_hostile_name_is_text_everywhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert HOSTILE not in page.read_text(), page
    assert "<img" not in (site / links.SEARCH_INDEX).read_text()
    assert "&lt;img src=x onerror=alert(1)&gt;" in (site / links.FAMILIES).read_text()


def test_a_missing_family_stands_with_its_reason(site: Path) -> None:
    reason = "4 specimens where 10 are needed"
    assert reason in (site / links.FAMILIES).read_text()
    assert reason in (site / "families" / "platanaceae" / "index.html").read_text()
    assert reason in (site / links.METHOD).read_text()


def test_the_data_reach_the_pictures_from_where_they_lie(site: Path) -> None:
    atlas = json.loads((site / links.ATLAS_DATA).read_text())
    paths = [specimen["image"] for specimen in atlas["specimens"]]
    for family in atlas["families"]:
        for concept in family["concepts"]:
            paths += [each["image"] for each in concept["visualizations"]]
            paths += [crop[key] for crop in concept["crops"] for key in ("image", "heatmap")]
            paths += [crop["attribution"] for crop in concept["crops"] if crop["attribution"]]
            for inside in concept["recursion"]["subconcepts"] if concept["recursion"] else []:
                paths += [each["image"] for each in inside["visualizations"]]
                paths += [crop[key] for crop in inside["crops"] for key in ("image", "heatmap")]
    assert any("/attributions/" in path for path in paths)
    assert any(re.search(r"/crops/concept-\d\d-\d\d/", path) for path in paths)
    assert paths
    for path in paths:
        assert path.startswith("../media/")
        assert (site / "data" / path).resolve().is_file()


def test_the_specimens_are_there_as_a_table(site: Path) -> None:
    with (site / links.SPECIMENS_DATA).open() as stream:
        assert len(list(csv.DictReader(stream))) == 21


def test_the_numbers_are_there_as_files_and_every_page_of_a_family_leads_to_them(site: Path, run_folder: Path) -> None:
    for address, source in {
        links.importances_file("betulaceae"): "families/betulaceae/importances.csv",
        links.bank_file("betulaceae"): "families/betulaceae/bank.safetensors",
        links.HEAD_DATA: "head.safetensors",
    }.items():
        assert (site / address).read_bytes() == (run_folder / source).read_bytes()
        assert f'href="{address}"' in (site / links.DATA).read_text()
        for page in ("index", "concept-01"):
            assert f'href="../../{address}"' in (site / "families" / "betulaceae" / f"{page}.html").read_text()


def test_a_file_that_the_run_lacks_is_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_concepts=2, n_crops=1)
    (run / "families" / "fagaceae" / "importances.csv").unlink()
    (run / "head.safetensors").unlink()
    site = bake(run).site
    assert [str(problem) for problem in check_site(site)] == []
    data = (site / links.DATA).read_text()
    assert "importances/fagaceae.csv" not in data
    assert "concepts/fagaceae.safetensors" in data
    assert "head.safetensors" not in data


def test_the_rows_and_the_bias_make_up_the_mean_centred_logit(site: Path, run_folder: Path) -> None:
    family, _ = read_family(run_folder, "betulaceae")
    assert family.rest is not None
    assert family.bias is not None
    total = sum(concept.importance.contribution for concept in family.concepts) + family.rest.contribution + 0.1
    text = (site / "families" / "betulaceae" / "index.html").read_text()
    assert "The bias, +0.10 logits, has no mask" in text
    assert f"mean centred logit, +{total:.2f}." in text


SECTIONS = ("spread", "number", "trust")  # of a family's page


def test_a_run_without_the_new_figures_is_baked_without_their_sections(tmp_path: Path, site: Path) -> None:
    bare = bake(make_run(tmp_path, n_concepts=2, n_crops=1, bare=True)).site
    assert [str(problem) for problem in check_site(bare)] == []
    for baked, expected in ((site, True), (bare, False)):
        family = (baked / "families" / "betulaceae" / "index.html").read_text()
        assert [f'id="{name}"' in family for name in SECTIONS] == [expected] * 3
        concepts = "".join(path.read_text() for path in (baked / "families" / "betulaceae").glob("concept-*.html"))
        assert [f'id="{name}"' in concepts for name in ("maps", "inside")] == [expected] * 2
        assert ('id="trust"' in (baked / links.METHOD).read_text()) == expected
        assert ("safetensors" in (baked / links.DATA).read_text()) == expected
    assert "None" not in (bare / "families" / "betulaceae" / "index.html").read_text()


def test_search_leads_to_no_concept_that_refits_do_not_find_again(site: Path, run_folder: Path) -> None:
    index = json.loads((run_folder / "index.json").read_text())
    script = (site / "assets" / "search-index.js").read_text()
    data = json.loads(script.partition("=")[2].strip().rstrip(";"))
    found = set()
    for name, slug, *_, concepts in data["families"]:
        folder = f"families/{slug or name.lower()}"
        found |= {f"{folder}/concept-{number:02d}.html" for number in concepts[::5]}
    concepts = [concept for family in index["families"] for concept in family["concepts"]]
    stable = {f"families/{each['id']}.html" for each in concepts if "unstable" not in each["flags"]}
    assert found == stable
    assert 0 < len(stable) < len(concepts)
    for concept in concepts:
        text = (site / "families" / f"{concept['id']}.html").read_text()
        assert (">unstable<" in text) == ("unstable" in concept["flags"])


def test_the_filter_of_families_knows_no_name_of_a_concept_that_refits_do_not_find_again(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_crops=1, named=True)
    index = json.loads((run / "index.json").read_text())
    named = [concept for family in index["families"] for concept in family["concepts"] if concept["name"]]
    unstable = {concept["name"]["text"] for concept in named if concept["flags"]}
    stable = {concept["name"]["text"] for concept in named} - unstable
    text = (bake(run).site / "families" / "index.html").read_text()
    terms = " ".join(re.findall(r'data-terms="([^"]+)"', text))
    assert unstable
    assert not any(name in terms for name in unstable)
    assert all(name in terms for name in stable)


def find_divided(site: Path, slug: str) -> tuple[str, str]:
    """The page of the concept that was divided, and its name."""
    pages = {path.stem: path.read_text() for path in (site / "families" / slug).glob("concept-*.html")}
    return next((text, name) for name, text in pages.items() if 'id="inside"' in text)


def test_each_map_says_under_itself_which_one_it_is(site: Path) -> None:
    text = (site / "families" / "betulaceae" / "concept-01.html").read_text()
    assert text.count("<figcaption>Coefficient map: 6×6 cells, enlarged</figcaption>") == 2
    attribution = "Attribution map: where a small change of a pixel would change the concept most"
    assert text.count(f"<figcaption>{attribution}</figcaption>") == 2
    maps = dict(re.findall(r'<image id=(\S+) href="([^"]+)"', text))
    pairs = re.findall(r'<div class="pair".*?\n</div>', text, re.DOTALL)
    assert len(pairs) == 2
    for pair in pairs:
        anchors = re.findall(r'class="heat pencil"[^>]*><(?:image id=|use href="#)(\w+)', pair)
        first, second = (maps[anchor] for anchor in anchors)
        assert second == first.replace("/heatmaps/", "/attributions/")


def test_concepts_inside_a_concept_have_anchors_pictures_and_shares_with_intervals(site: Path) -> None:
    text, name = find_divided(site, "fagaceae")
    for place, share in ((1, "52\u202f% (44–60\u202f%)"), (2, "32\u202f% (24–40\u202f%)")):
        anchor = f"{name}-{place:02d}"
        part = text.partition(f'<li id="{anchor}">')[2].partition("</li>")[0]
        assert share in part
        assert f"visualizations/{anchor}.webp" in part
        assert part.count(f"/crops/{anchor}/") == 3
    lead = text.partition('<p class="measure">')[2].partition("</p>")[0]
    assert lead.startswith(
        "Of the variance of this concept’s coefficient under masking, 16\u202f% (11–20\u202f%) is in none"
    )
    assert "Enlarged, the squares hold 61\u202f% of what their leaves hold of the concept. Relative error" in text
    assert "it rises when this part becomes like bare paper" in text


def test_crops_of_withheld_specimens_are_not_shown_inside_a_concept_either(run_folder: Path) -> None:
    family, specimens = read_family(run_folder, "betulaceae")
    concept = next(each for each in family.concepts if each.recursion)
    hidden = list_subconcepts(concept)[0].crops[0].specimen
    shown = specimens.keys() - {hidden}
    left = next(each for each in hide_pictures(family, shown.__contains__).concepts if each.recursion)
    assert len(list_all_crops(left)) < len(list_all_crops(concept))
    assert hidden not in {crop.specimen for crop in list_all_crops(left)}


def test_a_family_with_fewer_places_than_images_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_concepts=2, n_crops=1)
    path = run / "families" / "betulaceae" / "family.json"
    record = json.loads(path.read_text())
    record["family"]["layout"].pop()
    path.write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match="119 places and 120 dominant concepts"):
        bake(run)


def test_the_pages_of_a_single_leaf_show_no_interval_and_say_why(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_concepts=2, n_crops=1)
    path = run / "families" / "betulaceae" / "family.json"
    record = FamilyRecord.model_validate_json(path.read_text())
    lone = record.model_copy(update={"family": show_one_leaf(record.family)})
    path.write_text(lone.model_dump_json(by_alias=True))
    folder = bake(run).site / "families"
    one, many = ((folder / f"{name}/index.html").read_text() for name in ("betulaceae", "img-src-x-onerror-alert-1"))
    for mark in ("class=reach", "<small>(", "intervals over leaves", "The line under a bar"):
        assert mark in many, mark
        assert mark not in one, mark
    assert "All its pictures show one leaf" not in many
    for page in (one, (folder / "betulaceae" / "concept-01.html").read_text()):
        assert "All its pictures show one leaf: no interval over leaves can be given." in page
        assert "the interval is over leaves" not in page
    assert "Accuracy 0.56 (0.00–0.79) on 1 leaf not used in training" in one
    assert "120 images of 1 leaf, 3 species" in one


def test_no_two_figures_of_a_page_say_the_same(site: Path) -> None:
    for page in site.rglob("*.html"):
        texts = re.findall(r'role="img"[^>]*? aria-label="([^"]+)"', page.read_text())
        assert len(set(texts)) == len(texts), page


def test_files_of_a_former_bake_go_and_all_others_stay(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", n_concepts=2, n_crops=1)
    site = bake(run).site
    (site / "CNAME").write_text("example.org")
    gone = "families/betulaceae/concept-03.html"
    manifest = json.loads((site / links.MANIFEST).read_text())
    folder, _, name = gone.rpartition("/")
    manifest["files"][folder].append(name)
    (site / links.MANIFEST).write_text(json.dumps(manifest))
    (site / gone).write_text("stale")
    assert bake(run).n_removed == 1
    assert not (site / gone).exists()
    assert (site / "CNAME").read_text() == "example.org"


def test_a_folder_that_is_not_ours_is_left_alone(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SiteError, match="Choose an empty folder"):
        bake(run_folder, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_bake_that_fails_leaves_the_former_site(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", n_concepts=2, n_crops=1)
    site = bake(run).site
    before = digest_tree(site)
    next((run / "families" / "fagaceae" / "crops").rglob("*.webp")).unlink()
    with pytest.raises(SiteError, match="is not in the run"):
        bake(run)
    assert digest_tree(site) == before
    assert not site.with_name("site.part").exists()


def test_a_run_without_an_index_is_an_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Build the run first"):
        bake(tmp_path)


def test_a_record_of_another_schema_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_concepts=2, n_crops=1)
    index = json.loads((run / "index.json").read_text())
    (run / "index.json").write_text(json.dumps({**index, "schema": "leaflineage.index/9"}))
    with pytest.raises(ArtifactError, match="index/9"):
        bake(run)


def test_a_picture_outside_the_run_is_refused() -> None:
    with pytest.raises(SiteError, match="inside the run"):
        links.media("../secret.webp")


def test_a_drawn_atlas_says_so_on_every_page_and_is_not_indexed(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_concepts=2, n_crops=1, drawn=True)
    site = bake(run).site
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert "Drawn leaves, not specimens." in text, page
        assert "Every leaf here is drawn by a program to test the method." in text, page
        assert '<meta name="robots" content="noindex">' in text, page
    assert 'alt="Drawn leaf of' in (site / "families" / "betulaceae" / "index.html").read_text()
    assert [str(problem) for problem in check_site(site)] == []


def test_a_public_address_gives_a_sitemap_and_a_404_page_with_links(run_folder: Path, tmp_path: Path) -> None:
    site = bake(run_folder, tmp_path / "site", base_url="https://example.org/LeafLineage/").site
    assert "https://example.org/LeafLineage/families/betulaceae/index.html" in (site / "sitemap.xml").read_text()
    assert 'href="/LeafLineage/index.html"' in (site / links.NOT_FOUND).read_text()
    assert [str(problem) for problem in check_site(site)] == []


def test_a_family_page_is_small(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_concepts=10, n_crops=10)
    page = bake(run).site / "families" / "betulaceae" / "index.html"
    data = page.read_bytes()
    assert len(data) < 125_000
    assert len(gzip.compress(data)) < 15_000


def test_the_report_of_a_heavy_site_says_so(run_folder: Path, tmp_path: Path) -> None:
    report = bake(run_folder, tmp_path / "site", budget_mb=0.01)
    assert report.over_budget
    assert [problem.rule for problem in check_site(report.site)] == ["over-budget"]


def test_two_concepts_of_one_name_are_told_apart(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_concepts=6, n_crops=2, named=True)
    site = bake(run).site
    assert (site / "families" / "betulaceae" / "index.html").read_text().count(
        "<span class=card-name>Toothed margin"
    ) == 2
    assert [str(problem) for problem in check_site(site)] == []


def test_named_concepts_are_called_by_their_names(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_concepts=3, n_crops=1, named=True)
    site = bake(run).site
    text = (site / "families" / "betulaceae" / "index.html").read_text()
    assert "toothed margin" in text
    concepts = [path.read_text() for path in (site / "families" / "betulaceae").glob("concept-*.html")]
    assert any("Its name is a suggestion by a program." in text for text in concepts)
