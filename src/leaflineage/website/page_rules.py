"""The rules that a page is held against, alone and with the list of the site's files.

Rules: dead-link, dead-anchor, missing-image, third-party, duplicate-id, missing-alt, generic-alt, duplicate-alt,
image-size, inline-script, inline-style, no-policy, no-title, no-language, missing-figure.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from leaflineage.website import links
from leaflineage.website.page_reader import PageContent

URL_IN_STYLE = re.compile(r"""url\(\s*['"]?([^'")]+)['"]?\s*\)|@import\s+['"]([^'"]+)['"]""")
GENERIC_ALT = re.compile(
    r"(?:an?\s+|the\s+)?(?:image|img|picture|photo|photograph|figure|graphic|icon|thumbnail|screenshot|untitled|logo|plot|chart)"
    r"(?:\s+(?:of|no\.?|number))?[\s\W]*\d*",
    re.IGNORECASE,
)
PICTURE_NAME = re.compile(r"\S+\.(?:webp|png|jpe?g|gif|svg)", re.IGNORECASE)
Anchor = tuple[str, str]  # an address with a fragment, and the page that it leads to


@dataclass(frozen=True)
class Problem:
    """One defect: where it is, which rule it breaks, what is wrong and what to do."""

    page: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.page}: {self.rule}: {self.message}"


@dataclass(frozen=True)
class Place:
    """A site: its folder, the addresses of its files, the path that it is published under."""

    site: Path
    files: frozenset[str]
    base_path: str | None


def is_foreign(address: str) -> bool:
    """Return whether an address names another host."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https", "ws", "wss", "ftp")


def resolve(place: Place, page: str, address: str) -> str | None:
    """Return the address of the file that a link leads to, or None where it leads to none of the site."""
    path = unquote(urlsplit(address).path)
    if path.startswith("/"):
        if place.base_path is None or not path.startswith(place.base_path):
            return None
        target = posixpath.normpath(path[len(place.base_path) :] or ".")
    else:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
    if target in place.files:
        return target
    index = links.HOME if target == "." else f"{target}/index.html"
    return index if index in place.files else None


def check_links(place: Place, page: str, content: PageContent) -> tuple[list[Problem], set[str], list[Anchor]]:
    """Return links that lead nowhere; the files to which the others lead, and those that name a place in a page."""
    problems: list[Problem] = []
    targets: set[str] = set()
    anchors: list[Anchor] = []
    for address in dict.fromkeys(content.anchors):
        parts = urlsplit(address)
        if is_foreign(address) or parts.scheme in ("mailto", "data", "tel"):
            continue
        if parts.scheme:
            problems.append(Problem(page, "dead-link", f"{address} is no address a page may link to."))
            continue
        target = resolve(place, page, address)
        if target is None:
            problems.append(Problem(page, "dead-link", f"{address} leads to no file of the site. Bake again."))
            continue
        targets.add(target)
        if parts.fragment:
            anchors.append((address, target))
    return problems, targets, anchors


def check_anchors(page: str, anchors: Iterable[Anchor], find_ids: Callable[[str], Collection[str]]) -> list[Problem]:
    """Return links of a page to places that their pages do not have; ``find_ids`` tells a page's ids."""
    problems = []
    for address, target in anchors:
        # "betulaceae+ulmaceae" and "family=betulaceae" are options of pages that keep what is chosen there.
        named = {each.rpartition("=")[2] for each in unquote(urlsplit(address).fragment).split("+")}
        if not named.issubset(find_ids(target)):
            problems.append(Problem(page, "dead-anchor", f"{address}: {target} has no such id."))
    return problems


def check_loads(place: Place, page: str, content: PageContent) -> tuple[list[Problem], set[str]]:
    """Return what the page would load from another host, or cannot load at all; and the files that it loads."""
    problems: list[Problem] = []
    targets: set[str] = set()
    styled = [("style", found) for text in content.styles for found in find_style_urls(text)]
    for tag, address in dict.fromkeys([*content.loads, *styled]):
        if address.startswith(("data:", "#")):
            continue
        if is_foreign(address):
            message = f"<{tag}> asks another host: {address}. Put the file into the site."
            problems.append(Problem(page, "third-party", message))
            continue
        target = resolve(place, page, address)
        if target is not None:
            targets.add(target)
        else:
            rule = "missing-image" if tag in ("img", "image", "source") else "dead-link"
            problems.append(Problem(page, rule, f"<{tag}> loads {address}, which is not in the site. Bake again."))
    return problems, targets


def check_images(page: str, content: PageContent) -> list[Problem]:
    """Return images without a text, with a neighbour's text, or without their size."""
    problems = []
    for image in content.images:
        if image.alt is None or (not image.alt.strip() and not image.hidden):
            problems.append(Problem(page, "missing-alt", f"{image.src} has no alternative text."))
        elif image.alt and (GENERIC_ALT.fullmatch(image.alt.strip()) or PICTURE_NAME.fullmatch(image.alt.strip())):
            problems.append(Problem(page, "generic-alt", f"{image.src}: {image.alt!r} says nothing of the picture."))
        if not image.has_size:
            problems.append(Problem(page, "image-size", f"{image.src} has no width and height."))
    texts = Counter(image.alt for image in content.images if image.alt and image.alt.strip())
    for text, n in texts.items():
        if n > 1:
            problems.append(Problem(page, "duplicate-alt", f"{n} images say the same: {text!r}."))
    return problems


def check_head(page: str, content: PageContent) -> list[Problem]:
    """Return what the page does not say of itself."""
    problems = []
    if not content.has_policy:
        problems.append(Problem(page, "no-policy", "the page has no Content-Security-Policy. Take it from base.html."))
    if not content.language:
        problems.append(Problem(page, "no-language", "<html> has no lang."))
    if not content.title:
        problems.append(Problem(page, "no-title", "the page has no title."))
    return problems


def check_markup(page: str, content: PageContent) -> list[Problem]:
    """Return what the page's own policy would keep from working, and figures that show nothing."""
    problems = []
    if content.has_inline_script:
        problems.append(Problem(page, "inline-script", "a script stands in the page. Move it into a file."))
    if content.styled:
        message = f"<{content.styled[0]}> has a style attribute, which the page's policy forbids. Give it a class."
        problems.append(Problem(page, "inline-style", message))
    if content.n_empty_figures:
        message = f"{content.n_empty_figures} figure(s) have a caption and nothing to see. Leave out both, or show it."
        problems.append(Problem(page, "missing-figure", message))
    return problems


def check_ids(page: str, content: PageContent) -> list[Problem]:
    """Return ids that stand twice on a page."""
    return [
        Problem(page, "duplicate-id", f"the id {name!r} stands {n} times.")
        for name, n in Counter(content.ids).items()
        if n > 1
    ]


def find_style_urls(text: str) -> list[str]:
    """Return the addresses a style sheet loads."""
    return [first or second for first, second in URL_IN_STYLE.findall(text)]
