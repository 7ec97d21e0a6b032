"""Each rule of the check finds the defect that is planted for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from website.planting import plant

from leaflineage.errors import SiteError
from leaflineage.website import links, looks
from leaflineage.website.check import check_site

PAGE = "families/betulaceae/index.html"


def rules(site: Path) -> list[tuple[str, str]]:
    return [(problem.page, problem.rule) for problem in check_site(site)]


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("dead-link", "</main>", '<a href="nowhere.html">x</a></main>'),
        ("dead-link", "</main>", '<a href="javascript:x()">x</a></main>'),
        ("dead-link", "</main>", '<a href="/absolute.html">x</a></main>'),
        ("dead-link", "</main>", '<a href="../../../../outside.html">x</a></main>'),
        ("dead-anchor", "</main>", '<a href="#nowhere">x</a></main>'),
        ("dead-anchor", "</main>", '<a href="../../method.html#nowhere">x</a></main>'),
        ("missing-image", "</main>", '<img src="no.webp" alt="a" width="1" height="1"></main>'),
        ("third-party", "</main>", '<img src="https://example.org/a.webp" alt="a" width="1" height="1"></main>'),
        ("third-party", "</head>", '<link rel="stylesheet" href="//example.org/a.css"></head>'),
        ("third-party", "</head>", "<style>p{background:url(https://example.org/a.png)}</style></head>"),
        ("duplicate-id", "</main>", '<p id="main"></p></main>'),
        ("inline-script", "</main>", "<script>alert(1)</script></main>"),
        ("inline-script", "</main>", '<p onclick="x()"></p></main>'),
        ("inline-script", "</main>", '<script type="Application/JavaScript">alert(1)</script></main>'),
        ("inline-style", "</main>", '<p style="color:red">x</p></main>'),
        (
            "missing-figure",
            "</main>",
            "<figure><figcaption>Fig. 9. The importance of each concept.</figcaption></figure></main>",
        ),
        ("no-language", '<html lang="en"', "<html"),
        ("no-policy", 'http-equiv="Content-Security-Policy"', 'name="nothing"'),
        ("heavy-page", "</main>", f"<p>{'long ' * 20_000}</p></main>"),
    ],
)
def test_a_planted_defect_of_a_page_is_found(site_copy: Path, rule: str, old: str, new: str) -> None:
    plant(site_copy, PAGE, old, new)
    assert rules(site_copy) == [(PAGE, rule)]


def test_a_page_without_a_title_or_with_anothers_is_found(site_copy: Path) -> None:
    title = (site_copy / PAGE).read_text().partition("<title>")[2].partition("</title>")[0]
    plant(site_copy, PAGE, f"<title>{title}</title>", "<title> </title>")
    assert rules(site_copy) == [(PAGE, "no-title")]
    other = (site_copy / "method.html").read_text().partition("<title>")[2].partition("</title>")[0]
    plant(site_copy, PAGE, "<title> </title>", f"<title>{other}</title>")
    assert rules(site_copy) == [("method.html", "duplicate-title")]


def test_a_style_attribute_that_asks_another_host_is_found_twice(site_copy: Path) -> None:
    plant(site_copy, PAGE, "</main>", '<p style="background:url(https://example.org/a.png)"></p></main>')
    assert rules(site_copy) == [(PAGE, "inline-style"), (PAGE, "third-party")]


def test_data_for_machines_are_no_script(site_copy: Path) -> None:
    plant(site_copy, PAGE, "</head>", '<script type="application/ld+json">{}</script></head>')
    assert rules(site_copy) == []


@pytest.mark.parametrize("text", ["image", "Image 3", "a picture", "thumbnail", "leaf-03.webp", "Figure no. 4"])
def test_a_text_that_fits_any_picture_is_found(site_copy: Path, text: str) -> None:
    image = f'<img src="{first_picture(site_copy)}" alt="{text}" width="1" height="1">'
    plant(site_copy, PAGE, "</main>", f"{image}</main>")
    assert rules(site_copy) == [(PAGE, "generic-alt")]


def first_picture(site: Path) -> str:
    picture = sorted((site / "media" / "families" / "betulaceae" / "crops").rglob("*.webp"))[0]
    return "../../" + picture.relative_to(site).as_posix()


@pytest.mark.parametrize(
    ("rule", "attributes"),
    [
        ("missing-alt", 'width="1" height="1"'),
        ("missing-alt", 'alt="" width="1" height="1"'),
        ("missing-alt", 'alt=" " width="1" height="1"'),
        ("image-size", 'alt="a leaf" width="1"'),
    ],
)
def test_a_picture_without_text_or_size_is_found(site_copy: Path, rule: str, attributes: str) -> None:
    plant(site_copy, PAGE, "</main>", f'<img src="{first_picture(site_copy)}" {attributes}></main>')
    assert rules(site_copy) == [(PAGE, rule)]


def test_two_pictures_with_one_text_are_found(site_copy: Path) -> None:
    image = f'<img src="{first_picture(site_copy)}" alt="a leaf" width="1" height="1">'
    plant(site_copy, PAGE, "</main>", f"{image}{image}</main>")
    assert rules(site_copy) == [(PAGE, "duplicate-alt")]


def test_a_link_to_a_paper_is_no_request(site_copy: Path) -> None:
    plant(site_copy, PAGE, "</main>", '<a href="https://doi.org/10.1000/1">x</a></main>')
    assert rules(site_copy) == []


def test_a_style_or_script_that_asks_another_host_is_found(site_copy: Path) -> None:
    (site_copy / "assets/css/extra.css").write_text('@import "https://example.org/a.css";')
    (site_copy / "assets/js/extra.js").write_text('fetch("https://example.org/a.json")')
    assert rules(site_copy) == [("assets/css/extra.css", "third-party"), ("assets/js/extra.js", "third-party")]


def test_a_missing_picture_is_found_on_each_page_that_shows_it(site_copy: Path) -> None:
    (site_copy / "media/queries/unknown-1.webp").unlink()
    found = set(rules(site_copy))
    assert found >= {(links.FAMILIES, "missing-image"), ("specimens/unknown--1.html", "missing-image")}
    assert {rule for _, rule in found} <= {"missing-image", "dead-link"}  # a link leads to the picture too


def test_shares_that_do_not_sum_to_one_are_found(site_copy: Path) -> None:
    path = site_copy / links.ATLAS_DATA
    atlas = json.loads(path.read_text())
    family = next(each for each in atlas["families"] if each["slug"] == "betulaceae")
    family["rest"]["share"] += 1e-4
    path.write_text(json.dumps(atlas))
    problems = check_site(site_copy)
    assert [(problem.page, problem.rule) for problem in problems] == [(links.ATLAS_DATA, "importance-sum")]
    assert "Betulaceae" in problems[0].message


def test_shares_inside_a_concept_that_do_not_sum_to_one_are_found(site_copy: Path) -> None:
    path = site_copy / links.ATLAS_DATA
    atlas = json.loads(path.read_text())
    concepts = [concept for family in atlas["families"] for concept in family["concepts"] if concept["recursion"]]
    concepts[0]["recursion"]["rest_share"] += 1e-4
    path.write_text(json.dumps(atlas))
    problems = check_site(site_copy)
    assert [(problem.page, problem.rule) for problem in problems] == [(links.ATLAS_DATA, "importance-sum")]
    assert concepts[0]["id"] in problems[0].message


def test_a_family_absent_without_a_reason_is_found(site_copy: Path) -> None:
    path = site_copy / links.ATLAS_DATA
    atlas = json.loads(path.read_text())
    missing = next(each for each in atlas["families"] if each["slug"] == "platanaceae")
    missing["missing"] = None
    atlas["families"].append({**missing, "slug": "nowhere", "missing": "too few"})
    path.write_text(json.dumps(atlas))
    assert rules(site_copy) == [(links.ATLAS_DATA, "absent-family")] * 2


def test_processes_find_what_one_finds(site_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(site_copy, PAGE, "</main>", '<a href="../../method.html#nowhere">x</a><a href="nowhere.html">x</a></main>')
    plant(site_copy, "method.html", "<title>", "<title>x</title><title>")
    monkeypatch.setattr(looks, "LEAST_PAGES", 1)
    monkeypatch.setattr(looks, "CHUNK", 3)
    found = check_site(site_copy, jobs=2)
    assert [each.rule for each in found if each.page == PAGE] == ["dead-anchor", "dead-link"]
    assert found == check_site(site_copy)


@pytest.mark.parametrize("address", ["..", "../..", "../../", "./", "", "?all#main", "../../data/"])
def test_a_link_to_a_folder_leads_to_its_page(site_copy: Path, address: str) -> None:
    plant(site_copy, PAGE, "</main>", f'<a href="{address}">x</a></main>')
    assert rules(site_copy) == ([(PAGE, "dead-link")] if "data" in address else [])  # data/ holds no page


def test_a_file_that_is_linked_from_elsewhere_is_none_of_the_site(site_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.html").write_text("outside")
    (site_copy / "inside.html").symlink_to(tmp_path / "outside.html")
    plant(site_copy, PAGE, "</main>", '<a href="../../inside.html">x</a></main>')
    assert rules(site_copy) == [(PAGE, "dead-link")]


def test_a_heavy_site_is_found(site: Path) -> None:
    assert [problem.rule for problem in check_site(site, budget_mb=0.01)] == ["over-budget"]


def test_data_that_cannot_be_read_are_found(site_copy: Path) -> None:
    path = site_copy / links.ATLAS_DATA
    path.write_text("{")
    assert (links.ATLAS_DATA, "dead-link") in rules(site_copy)


def test_a_folder_that_is_no_site_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="Bake it first"):
        check_site(tmp_path)


def test_a_problem_is_a_sentence(site: Path) -> None:
    problem = check_site(site, budget_mb=0.01)[0]
    assert str(problem).startswith(".: over-budget: the site weighs ")
