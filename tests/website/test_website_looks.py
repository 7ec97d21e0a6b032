"""A check that remembers pages finds what one that reads them all finds; pages are read as the library reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from website.planting import plant

from leaflineage.website import links, looks
from leaflineage.website.check import check_site
from leaflineage.website.page_reader import PageReader

PAGE = "families/betulaceae/index.html"
CONCEPT = "families/betulaceae/concept-01.html"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pages that were read, not remembered."""
    pages: list[str] = []
    look = looks._look

    def note(place: Any, page: str) -> Any:
        pages.append(page)
        return look(place, page)

    monkeypatch.setattr(looks, "_look", note)
    return pages


@pytest.fixture
def memory(site_copy: Path, tmp_path: Path, read: list[str]) -> Path:
    """What a check of the whole site remembered."""
    path = tmp_path / looks.MEMORY
    assert check_site(site_copy, memory=path) == []
    assert len(read) == len(list(site_copy.rglob("*.html")))
    read.clear()
    return path


def test_pages_that_did_not_change_are_not_read_again(site_copy: Path, memory: Path, read: list[str]) -> None:
    assert check_site(site_copy, memory=memory) == []
    assert read == []
    plant(site_copy, PAGE, "</main>", "<p>more</p></main>")
    assert check_site(site_copy, memory=memory) == []
    assert read == [PAGE]


def drop_file(site: Path) -> None:
    next((site / "media").rglob("*.webp")).unlink()


def drop_page(site: Path) -> None:
    (site / CONCEPT).unlink()


def drop_all_places(site: Path, page: str) -> None:
    path = site / page
    text = path.read_text().replace(' id="', ' data-id="')
    path.unlink()
    path.write_text(text)


def find_title(path: Path) -> str:
    return path.read_text().partition("<title>")[2].partition("</title>")[0]


def spoil_share(site: Path) -> None:
    path = site / links.ATLAS_DATA
    atlas = json.loads(path.read_text())
    next(each for each in atlas["families"] if each["concepts"])["concepts"][0]["importance"]["share"] += 0.5
    path.unlink()
    path.write_text(json.dumps(atlas))


PLANTED: dict[str, Callable[[Path], None]] = {
    "a picture is gone": drop_file,
    "a page is gone": drop_page,
    "a place is gone": lambda site: drop_all_places(site, "glossary.html"),
    "a link is new": lambda site: plant(site, PAGE, "</main>", '<a href="../../method.html#nowhere">x</a></main>'),
    "a title is taken": lambda site: plant(
        site, "method.html", find_title(site / "method.html"), find_title(site / PAGE)
    ),
    "shares are wrong": spoil_share,
    "a family is absent": lambda site: (site / PAGE).unlink(),
}


@pytest.mark.parametrize("what", PLANTED)
def test_with_a_memory_the_same_is_found(what: str, site_copy: Path, memory: Path, read: list[str]) -> None:
    PLANTED[what](site_copy)
    found = check_site(site_copy, memory=memory)
    assert len(read) < len(list(site_copy.rglob("*.html")))
    assert found == check_site(site_copy)
    assert found
    assert check_site(site_copy, memory=memory) == found  # what is wrong is not remembered as right


def test_what_was_mended_is_found_to_be_right(site_copy: Path, memory: Path) -> None:
    before = (site_copy / PAGE).read_text()
    plant(site_copy, PAGE, "</main>", '<a href="nowhere.html">x</a></main>')
    assert [each.rule for each in check_site(site_copy, memory=memory)] == ["dead-link"]
    (site_copy / PAGE).unlink()
    (site_copy / PAGE).write_text(before)
    assert check_site(site_copy, memory=memory) == []


@pytest.mark.parametrize("damage", ["", "{}\n", "x", '{"version": 1}\n', "null\n", "[1]\n"])
def test_without_a_whole_memory_all_is_read(site_copy: Path, memory: Path, read: list[str], damage: str) -> None:
    memory.write_text(damage)
    assert check_site(site_copy, memory=memory) == []
    assert len(read) == len(list(site_copy.rglob("*.html")))
    read.clear()
    assert check_site(site_copy, memory=memory) == []
    assert read == []


def test_a_memory_whose_lines_are_damaged_is_none(site_copy: Path, memory: Path, read: list[str]) -> None:
    head, first, *lines = memory.read_text().splitlines(keepends=True)
    page, sha256, title, _ = json.loads(first)
    memory.write_text("".join([head, json.dumps([page, sha256, title, "AAAA"]) + "\n", *lines]))
    (site_copy / "new.txt").write_text("")  # so that what pages name is looked at
    assert check_site(site_copy, memory=memory) == []
    assert page in read


# --- reading pages -------------------------------------------------------------------------------------------------


class Plain(PageReader):
    """Reads tags as the standard library does."""

    parse_starttag = HTMLParser.parse_starttag
    updatepos = HTMLParser.updatepos


def read_with(kind: type[PageReader], text: str) -> tuple[list[Any], Any]:
    class Noting(kind):  # type: ignore[valid-type, misc]
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, attrs))
            super().handle_starttag(tag, attrs)

        def handle_endtag(self, tag: str) -> None:
            seen.append(tag)
            super().handle_endtag(tag)

    seen: list[Any] = []
    reader = Noting()
    reader.feed(text)
    reader.close()
    return seen, reader.content


@pytest.mark.parametrize(
    "text",
    [
        "<a href=foo/>x",
        '<a href="a&amp;b&lt" b c=d/e />',
        '<img alt="" src=x.png>',
        '<A HREF="x" Id=Y>',
        '<p a=1a="2">',
        '<p a="1"b="2">',
        "<p a='1'>",
        "<p a=>",
        '<p a = "x">',
        '<p\n a="x"\n>',
        '<script>if (a<b) "<p id=x>"</script><p id=y>',
        "<style>a{b:url(x)}</style>",
        '<p id="a>b">',
        '<p id="',
        "<p id=x",
        '<x:y z:w="1"/>',
        '<p ="x">',
        "<br/><br/ >",
        '<p id="a" / class="b">',
        '<a href=x"y>',
        "<title>a<b>c</title>",
        "<textarea><p id=q></textarea>",
        '<p @click="x">',
        "<p on_x=1>",
        '<a\xa0href="n.html">',
        "<p\x0bid=x>",
        "<p id=a\xa0b>",
        "<!-- <p id=a> --><p id=b>",
    ],
)
def test_a_tag_is_read_as_the_library_reads_it(text: str) -> None:
    assert read_with(PageReader, text) == read_with(Plain, text)


def test_pages_are_read_as_the_library_reads_them(site: Path) -> None:
    for path in sorted(site.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        assert read_with(PageReader, text) == read_with(Plain, text), path
