"""What pages say of themselves to machines: JSON-LD, the citation, robots, the data of one version."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_run import HOSTILE, make_run

from leaflineage.records import Index
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.check import check_site
from leaflineage.website.linked import attach, locate_licence, write_citation
from leaflineage.website.reading import read_index

BASE = "https://example.org/LeafLineage/"
BLOCK = re.compile(r'<script type="application/ld\+json">(.*?)</script>', re.DOTALL)


def read_block(page: Path) -> dict[str, Any]:
    blocks = BLOCK.findall(page.read_text())
    assert len(blocks) == 1, page
    return json.loads(blocks[0])


@pytest.fixture(scope="module")
def public(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the made-up run, its public address known."""
    return bake(run_folder, tmp_path_factory.mktemp("public") / "site", base_url=BASE).site


def test_the_first_page_is_a_dataset(public: Path) -> None:
    said = read_block(public / links.HOME)
    assert (said["@context"], said["@type"], said["@id"]) == ("https://schema.org", "Dataset", BASE)
    assert (said["name"], said["version"]) == ("Leaves by concept", "1.0")
    assert said["creator"] == [{"@type": "Person", "name": "A. Botanist"}]
    assert len(said["citation"]) == 3
    address = said["distribution"]["contentUrl"].removeprefix(BASE)
    assert address == "data/atlas-1.0.json.gz"
    assert gzip.decompress((public / address).read_bytes()) == (public / links.ATLAS_DATA).read_bytes()


def test_a_family_is_a_set_of_terms_and_its_concepts_are_the_terms(public: Path) -> None:
    terms = read_block(public / links.family_page("betulaceae"))
    assert terms["@type"] == "DefinedTermSet"
    assert terms["about"] == {"@type": "Taxon", "name": "Betulaceae", "taxonRank": "family"}
    assert len(terms["hasDefinedTerm"]) == 3
    for address in terms["hasDefinedTerm"]:
        term = read_block(public / address.removeprefix(BASE))
        assert (term["@type"], term["@id"]) == ("DefinedTerm", address)
        assert term["inDefinedTermSet"] == terms["@id"]
        assert term["termCode"].startswith("betulaceae-")
        assert (public / term["image"]["contentUrl"].removeprefix(BASE)).is_file()


def test_a_specimen_is_a_picture_with_its_rights(run_folder: Path, public: Path) -> None:
    record = json.loads((run_folder / "families" / "betulaceae" / "family.json").read_bytes())
    licensed = 0
    for specimen in record["specimens"]:
        page = public / links.specimen_page(specimen["id"])
        if not page.is_file():
            continue
        said = read_block(page)
        assert said["@type"] == "ImageObject"
        assert (public / said["contentUrl"].removeprefix(BASE)).is_file()
        assert said["acquireLicensePage"] == BASE + links.specimen_page(specimen["id"])
        assert said.get("creditText") == said.get("copyrightNotice") == specimen["credit"]
        assert said.get("license") == locate_licence(specimen["licence"])
        licensed += "license" in said
    assert licensed


def test_without_a_public_address_the_ways_are_relative(site: Path) -> None:
    page = site / links.family_page("betulaceae")
    for address in read_block(page)["hasDefinedTerm"]:
        assert (page.parent / address).is_file()


def test_a_hostile_name_stays_inside_its_block(public: Path) -> None:
    page = public / links.family_page("img-src-x-onerror-alert-1")
    assert read_block(page)["about"]["name"] == HOSTILE
    assert "\\u003cimg" in page.read_text()
    assert [str(problem) for problem in check_site(public)] == []


def test_nothing_closes_the_element_of_a_block() -> None:
    @dataclass(frozen=True)
    class Frame:
        linked: str = ""

    @dataclass(frozen=True)
    class Page:
        frame: Frame

    name = "</script><script>alert(1)</script><!--\u2028&"
    markup = attach(Page(Frame()), {"name": name}).frame.linked
    assert not set("<>&\u2028") & set(markup)
    assert json.loads(markup)["name"] == name


def test_a_drawn_atlas_is_not_listed(tmp_path: Path, run_folder: Path) -> None:  # run_folder: for its skip
    run = make_run(tmp_path, n_families=2, n_concepts=2, n_crops=1, drawn=True, side=16)
    site = bake(run, base_url=BASE).site
    assert not (site / links.SITEMAP).exists()
    assert (
        site / links.ROBOTS
    ).read_text() == "User-agent: *\nDisallow:\n"  # who may not read a page cannot see noindex


def test_robots_are_told_of_the_sitemap(public: Path) -> None:
    assert f"Sitemap: {BASE}sitemap.xml\n" in (public / links.ROBOTS).read_text()
    listed = re.findall(r"<loc>(.*?)</loc>", (public / links.SITEMAP).read_text())
    assert BASE in listed
    assert all((public / (address.removeprefix(BASE) or links.HOME)).is_file() for address in listed)
    assert not any(links.NOT_FOUND in address for address in listed)


def test_the_citation_is_what_its_format_wants(public: Path, run_folder: Path) -> None:
    text = (public / links.CITATION).read_text()
    head = {line.partition(": ")[0]: line.partition(": ")[2] for line in text.splitlines() if not line.startswith(" ")}
    assert head["cff-version"] == "1.2.0"
    assert (head["type"], head["title"], head["version"]) == ("dataset", '"Leaves by concept"', '"1.0"')
    assert head["url"] == f'"{BASE}"'
    assert {"message", "authors:", "references:"} <= head.keys()
    assert text.count("  - type: conference-paper") == 3
    index = read_index(run_folder).model_copy(update={"title": 'Leaves: "all"\n- x', "authors": ["O'Hara: B"]})
    hostile = write_citation(index, None)
    assert 'title: "Leaves: \\"all\\"\\n- x"' in hostile
    assert '  - name: "O\'Hara: B"' in hostile


def test_an_atlas_without_a_version_has_no_packed_data(run_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, n_families=2, n_concepts=2, n_crops=1, side=16)
    index = Index.model_validate_json((run / "index.json").read_bytes())
    (run / "index.json").write_text(index.model_copy(update={"version": None}).model_dump_json(by_alias=True))
    site = bake(run).site
    assert not list((site / "data").glob("*.gz"))
    assert read_block(site / links.HOME)["distribution"]["contentUrl"] == links.ATLAS_DATA


@pytest.mark.parametrize(
    ("version", "address"),
    [
        ("1.2.0", "data/atlas-1.2.0.json.gz"),
        ("v 2 / beta", "data/atlas-v-2-beta.json.gz"),
        ("../x", "data/atlas-x.json.gz"),
    ],
)
def test_a_version_is_an_address(version: str, address: str) -> None:
    assert links.versioned_data(version) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CC-BY-4.0", "https://spdx.org/licenses/CC-BY-4.0.html"),
        ("MIT", "https://spdx.org/licenses/MIT.html"),
        ("CC BY 4.0", "CC BY 4.0"),
        ("https://example.org/terms", "https://example.org/terms"),
        ("Ask us.", "Ask us."),
        (None, None),
    ],
)
def test_licences_named_as_spdx_does_have_an_address(text: str | None, said: str | None) -> None:
    assert locate_licence(text) == said


def test_blocks_are_small(public: Path) -> None:
    for page in public.rglob("*.html"):
        assert all(len(block) < 3000 for block in BLOCK.findall(page.read_text())), page


def test_a_packed_file_is_the_same_each_time(public: Path, run_folder: Path, tmp_path: Path) -> None:
    again = bake(run_folder, tmp_path / "site", base_url=BASE).site
    name = links.versioned_data("1.0")
    first, second = ((site / name).read_bytes() for site in (public, again))
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
