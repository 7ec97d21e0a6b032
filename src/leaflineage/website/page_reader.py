"""Read a baked page into what the rules of the check need to know of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser

LOADING = {
    "img": ("src", "srcset"),
    "script": ("src",),
    "link": ("href",),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
    "form": ("action",),
    "input": ("src",),
}
NOT_LOADED = frozenset({"canonical", "license", "author", "alternate"})
SHOWN_IN_FIGURE = frozenset({"img", "svg", "canvas", "table", "video", "pre", "ul", "ol"})
EXECUTED = frozenset({"", "module", "text/javascript", "application/javascript"})


NAME = r"[a-zA-Z][-a-zA-Z0-9:_]*"
SPACE = r"[ \t\n\r\f]"
VALUE = r"""(?:"([^"]*)"|([^\s"'=<>`]+))"""
# A tag as they mostly are, in one step; the standard library reads all others.
TAG = re.compile(rf"<({NAME})((?:{SPACE}+{NAME}(?:={VALUE})?)*){SPACE}*(/?)>".replace("([^", "(?:[^"))
TEXTUAL = frozenset({"title", "textarea", "plaintext", "xmp", "iframe", "noembed", "noframes"})  # may hold text alone
ATTRIBUTE = re.compile(rf"({NAME})(=?)(?:{VALUE})?")


@dataclass
class Image:
    """An img element as the rules need it."""

    src: str
    alt: str | None
    has_size: bool
    hidden: bool


@dataclass
class PageContent:
    """What the rules need to know of a page."""

    ids: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)  # of a page whose address may name some of its options
    anchors: list[str] = field(default_factory=list)  # targets of <a href>
    loads: list[tuple[str, str]] = field(default_factory=list)  # (element, address) the page loads by itself
    images: list[Image] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    title: str = ""
    language: str | None = None
    has_policy: bool = False
    has_inline_script: bool = False
    styled: list[str] = field(default_factory=list)  # elements with a style attribute, which the policy forbids
    n_empty_figures: int = 0  # figures that hold a caption and nothing to see


class PageReader(HTMLParser):
    """Reads a page into its content."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.content = PageContent()
        self._in_style = False
        self._in_title = False
        self._keeps_address = False
        self._figures: list[bool] = []  # of each open figure, whether it shows something

    def parse_starttag(self, i: int) -> int:
        """Read the tag that begins at ``i``; return where it ends."""
        found = TAG.match(self.rawdata, i)
        if found is None or found[1].lower() in TEXTUAL:
            return super().parse_starttag(i)
        tag = found[1].lower()
        attrs = [
            (name.lower(), unescape(quoted or bare) if equals else None)
            for name, equals, quoted, bare in ATTRIBUTE.findall(found[2])
        ]
        if found[3]:
            self.handle_startendtag(tag, attrs)
        else:
            self.handle_starttag(tag, attrs)
            if tag in self.CDATA_CONTENT_ELEMENTS:
                self.set_cdata_mode(tag)
        return found.end()

    def updatepos(self, i: int, j: int) -> int:
        """Count no lines: nobody asks where in the page anything stands."""
        return j

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids, links, loads and images."""
        values = {name: value if value is not None else "" for name, value in attrs}
        content = self.content
        if values.get("id"):
            content.ids.append(values["id"])
        self._keeps_address = self._keeps_address or "data-keeps-address" in values
        if tag == "option" and self._keeps_address:
            content.choices.append(values.get("value", ""))
        if tag == "a" and values.get("name"):
            content.ids.append(values["name"])
        if tag in ("a", "area") and "href" in values:
            content.anchors.append(values["href"])
        if tag == "img":
            content.images.append(
                Image(
                    src=values.get("src", ""),
                    alt=values.get("alt"),
                    has_size=values.get("width", "").isdigit() and values.get("height", "").isdigit(),
                    hidden=values.get("aria-hidden") == "true" or values.get("role") in ("presentation", "none"),
                )
            )
        if tag == "style":
            self._in_style = True
        if tag == "title" and not content.title:
            self._in_title = True
        if tag == "html":
            content.language = values.get("lang")
        if tag == "meta" and values.get("http-equiv", "").lower() == "content-security-policy":
            content.has_policy = bool(values.get("content"))
        if tag == "figure":
            self._figures.append(False)
        if tag in SHOWN_IN_FIGURE:
            self._figures = [True] * len(self._figures)
        if "style" in values:
            content.styled.append(tag)
        if tag == "script" and not values.get("src") and values.get("type", "").strip().lower() in EXECUTED:
            content.has_inline_script = True
        if any(name.startswith("on") for name in values):
            content.has_inline_script = True
        if tag == "link" and NOT_LOADED & set(values.get("rel", "").split()):
            return
        for name in LOADING.get(tag, ()):
            for address in split_srcset(values[name]) if name == "srcset" and name in values else [values.get(name)]:
                if address:
                    content.loads.append((tag, address))
        if "style" in values:
            content.styles.append(values["style"])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Treat <x/> as <x>."""
        self.handle_starttag(tag, attrs)
        self._in_style = False

    def handle_endtag(self, tag: str) -> None:
        """Leave a style element, the title, a figure."""
        if tag == "style":
            self._in_style = False
        if tag == "title":
            self._in_title = False
        if tag == "figure" and self._figures and not self._figures.pop():
            self.content.n_empty_figures += 1

    def handle_data(self, data: str) -> None:
        """Keep what a style element and the title say."""
        if self._in_style:
            self.content.styles.append(data)
        if self._in_title:
            self.content.title += data.strip()


def split_srcset(value: str) -> list[str]:
    """Return the addresses of a srcset."""
    return [part.split()[0] for part in value.split(",") if part.strip()]


def read_page(data: bytes) -> PageContent:
    """Return what the rules need to know of a page; it is UTF-8."""
    reader = PageReader()
    reader.feed(data.decode("utf-8", "replace").replace("\r\n", "\n"))
    reader.close()
    return reader.content
