"""Words and templates: every word in the catalogue, every name declared, numbers written one way."""

from __future__ import annotations

import re
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import jinja2.nodes
import pytest
from markupsafe import Markup

from leaflineage.errors import SiteError
from leaflineage.resources import find_resource
from leaflineage.website.pages import TEMPLATES
from leaflineage.website.rendering import make_environment
from leaflineage.website.words import (
    Words,
    write_bytes,
    write_decimal,
    write_integer,
    write_interval,
    write_length,
    write_measured,
    write_measured_percent,
    write_percent,
    write_percent_interval,
    write_signed,
)

TEMPLATE_FILES = sorted(find_resource("templates").rglob("*.html"))
SOURCES = sorted((Path(__file__).parents[2] / "src" / "leaflineage" / "website").glob("*.py"))
SPOKEN_ATTRIBUTES = {"alt", "title", "aria-label", "placeholder", "data-label", "content"}
ALLOWED_ATTRIBUTES = {"width=device-width, initial-scale=1", "light dark", "noindex"}


@pytest.fixture(scope="module")
def words() -> Words:
    return Words.load(find_resource("locale") / "en")


def name_of(path: Path) -> str:
    return path.relative_to(find_resource("templates")).as_posix()


class WordFinder(HTMLParser):
    """Collects what a reader would read: text and spoken attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (
                name in SPOKEN_ATTRIBUTES
                and value
                and value not in ALLOWED_ATTRIBUTES
                and re.search(r"[A-Za-z]", value)
            ):
                self.found.append(f"{tag} {name}={value!r}")

    def handle_data(self, data: str) -> None:
        if re.search(r"[A-Za-z]", data):
            self.found.append(data.strip())


def find_literal_words(source: str) -> list[str]:
    """Return words of a template that do not come from the catalogue."""
    environment = jinja2.Environment()
    data = "".join(value for _, kind, value in environment.lex(source) if kind == "data")
    finder = WordFinder()
    finder.feed(data)
    finder.close()
    return finder.found


@pytest.mark.parametrize("path", TEMPLATE_FILES, ids=name_of)
def test_a_template_has_no_words_of_its_own(path: Path) -> None:
    assert find_literal_words(path.read_text()) == []


@pytest.mark.parametrize("planted", ["<p>Hello</p>", '<img alt="A leaf">', "{% if x %}None{% endif %}"])
def test_the_finder_of_words_finds_them(planted: str) -> None:
    assert find_literal_words(planted)


@pytest.mark.parametrize("path", TEMPLATE_FILES, ids=name_of)
def test_every_name_in_a_template_is_declared(path: Path, words: Words) -> None:
    environment = make_environment(words)
    parsed = environment.parse(path.read_text())
    imported = {each.target for each in parsed.find_all(jinja2.nodes.Import)}
    names = jinja2.meta.find_undeclared_variables(parsed) - set(environment.globals) - imported
    page = TEMPLATES.get(name_of(path))
    declared = {each.name for each in fields(page)} if page else {"frame"}
    assert names <= declared


def test_every_page_template_has_a_dataclass() -> None:
    pages = {name_of(path) for path in TEMPLATE_FILES if path.parent == find_resource("templates")}
    assert pages - {"base.html"} == set(TEMPLATES)


def list_keys(entries: dict[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for name, entry in entries.items():
        if isinstance(entry, dict) and "other" not in entry:
            keys += list_keys(entry, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


def read_sources() -> str:
    return "\n".join(path.read_text() for path in [*SOURCES, *TEMPLATE_FILES])


def test_every_key_that_is_asked_for_is_present(words: Words) -> None:
    asked = set(re.findall(r"""\b(?:w|words|site\.words)\(\s*["']([a-z0-9_.]+)["']""", read_sources()))
    assert len(asked) > 100
    assert sorted(asked - set(list_keys(words.entries))) == []


def test_every_key_that_is_present_is_used(words: Words) -> None:
    sources = read_sources()
    quoted = set(re.findall(r"""["']([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*)["']""", sources))
    made = tuple(re.findall(r"""f["']([a-z]+\.[a-z_]*)\{""", sources))
    tables = tuple(re.findall(r"""\.table\(["']([a-z._]+)["']\)""", sources))
    unused = [
        key
        for key in list_keys(words.entries)
        if key not in quoted and not key.startswith(made) and not key.startswith(tuple(f"{name}." for name in tables))
    ]
    assert unused == []


def test_every_word_of_a_script_is_in_the_catalogue_and_used(words: Words) -> None:
    scripts = "\n".join(path.read_text() for path in (find_resource("static") / "js").glob("*.js"))
    assert set(re.findall(r"\bwords\.(?!js\b)([a-z_]+)", scripts)) == set(words.table("script"))


def test_scripts_never_write_markup() -> None:
    for path in (find_resource("static") / "js").glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text())


def test_no_template_carries_style_of_its_own() -> None:
    for path in TEMPLATE_FILES:
        assert not re.search(r"\sstyle=|\son[a-z]+=", path.read_text()), path


def test_a_missing_key_or_place_is_a_site_error() -> None:
    words = Words({"a": "x {b}", "t": {"u": "v"}}, "test.toml")
    with pytest.raises(SiteError, match="'z' is wanted and missing"):
        words("z")
    with pytest.raises(SiteError, match="does not fill"):
        words("a")
    with pytest.raises(SiteError, match="names a table"):
        words("t")


def test_markup_in_a_place_makes_markup_and_escapes_the_rest() -> None:
    words = Words({"a": "<{x}> & {y}"}, "test.toml")
    assert words("a", x=Markup("<b>1</b>"), y="<i>") == Markup("&lt;<b>1</b>&gt; &amp; &lt;i&gt;")
    assert not isinstance(words("a", x="1", y="2"), Markup)


def test_a_plural_is_chosen_by_n(words: Words) -> None:
    assert words("caveat.species", n=1) == "1 species"
    assert words("count.images", n=1) == "1 image"
    assert words("count.images", n=3) == "3 images"


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0, "0\u202f%"),
        (0.004, "under 1\u202f%"),
        (0.0099, "under 1\u202f%"),
        (0.01, "1\u202f%"),
        (0.364, "36\u202f%"),
        (0.991, "99\u202f%"),
        (0.9999, "over 99\u202f%"),
        (1, "100\u202f%"),
        (-0.2, "\u221220\u202f%"),
    ],
)
def test_a_share_is_written_in_whole_per_cent(words: Words, fraction: float, text: str) -> None:
    assert write_percent(fraction, words) == text


def test_numbers_have_a_true_minus_and_two_decimals() -> None:
    assert write_signed(0.314) == "+0.31"
    assert write_signed(-0.314) == "\u22120.31"
    assert write_signed(-0.001) == "0.00"
    assert write_decimal(-1.5, 1) == "\u22121.5"
    assert write_integer(3118) == "3,118"
    assert write_length(0.12345) == "12.345%"
    assert write_length(-1) == "0%"
    assert write_length(0.5046, 1) == "50.5%"
    assert write_length(0.5, 0) == "50%"
    assert write_bytes(1_234_567) == "1.2\u00a0MB"
    assert write_bytes(10) == "1\u00a0kB"


@pytest.mark.parametrize(
    ("span", "text"),
    [((0.1, 0.264), "0.10–0.26"), ((-0.1, 0.26), "\u22120.10 to 0.26"), ((-0.3, -0.1), "\u22120.30 to \u22120.10")],
)
def test_an_interval_with_a_sign_is_not_joined_by_a_dash(words: Words, span: tuple[float, float], text: str) -> None:
    assert write_interval(span, words) == text


def test_an_interval_of_signed_numbers_shows_both_signs(words: Words) -> None:
    assert write_interval((0.1, 0.2), words, write_signed) == "+0.10 to +0.20"


@pytest.mark.parametrize(
    ("span", "text"),
    [((0.92, 0.95), "92–95\u202f%"), ((0.991, 0.994), "99.1–99.4\u202f%"), ((0, 1), "0–100\u202f%")],
)
def test_an_interval_of_shares_never_hides_its_width(words: Words, span: tuple[float, float], text: str) -> None:
    assert write_percent_interval(span, words) == text


def test_a_number_without_an_interval_stands_alone(words: Words) -> None:
    assert write_measured(0.5, None, words) == "0.50"
    assert write_measured(0.5, (0.4, 0.6), words) == "0.50 (0.40–0.60)"
    assert write_measured_percent(0.5, None, words) == "50\u202f%"
    assert write_measured_percent(0.5, (0.4, 0.6), words) == "50\u202f% (40–60\u202f%)"


def test_an_interval_whose_ends_are_equal_is_not_written(words: Words) -> None:
    assert write_interval((0.5, 0.5), words) == "0.50"
    assert write_interval((-0.5, -0.5), words, write_signed) == "\u22120.50"
    assert write_percent_interval((0.5, 0.5), words) == "50\u202f%"
    assert write_measured(0.5, (0.5, 0.5), words) == "0.50"
    assert write_measured_percent(0.5, (0.5, 0.5), words) == "50\u202f%"


def test_a_narrow_interval_is_written_all_the_same(words: Words) -> None:
    assert write_measured(0.5, (0.5, 0.501), words) == "0.50 (0.50–0.50)"


def test_counts_are_of_one_or_of_many(words: Words) -> None:
    assert [words("count.images", n=n) for n in (0, 1, 1200)] == ["0 images", "1 image", "1,200 images"]
    assert [words("count.leaves", n=n) for n in (1, 2)] == ["1 leaf", "2 leaves"]


def test_lists_are_joined_in_words(words: Words) -> None:
    assert words.join([]) == ""
    assert words.join(["a", "b", "c"]) == "a, b and c"
    assert words.join([Markup("<a>a</a>"), Markup("<a>b</a>")]) == Markup("<a>a</a> and <a>b</a>")


def test_the_catalogue_says_nothing_it_must_not(words: Words) -> None:
    text = "".join(path.read_text() for path in (find_resource("locale") / "en").glob("*.toml"))
    assert "of the decision" not in text
    assert words("caveat.sign") == "For and against are relative to the average family, not absolute."


def test_a_table_of_words_stands_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[home]\nheading = "A"\n')
    (tmp_path / "b.toml").write_text('[home]\nheading = "B"\n')
    with pytest.raises(SiteError, match=r"b\.toml: .*'home' stands in another too"):
        Words.load(tmp_path)
