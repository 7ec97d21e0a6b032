"""Check a baked site for the defects that other atlases have; each rule has a test that plants its defect.

Rules, of pages: dead-link, dead-anchor, missing-image, third-party, duplicate-id, missing-alt, generic-alt,
duplicate-alt, image-size, inline-script, inline-style, no-policy, no-title, duplicate-title, no-language,
missing-figure, heavy-page; of the site: importance-sum, absent-family, over-budget.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from leaflineage.errors import SiteError
from leaflineage.website import links
from leaflineage.website.context import base_path_of
from leaflineage.website.page_reader import PageContent, read_page
from leaflineage.workers import heed_parent

TOLERANCE = 1e-5
DEFAULT_BUDGET_MB = 300.0
# What reading somebody else's JSON may raise, whatever it holds: ValueError is that of JSON and of Unicode, too.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError)
URL_IN_STYLE = re.compile(r"""url\(\s*['"]?([^'")]+)['"]?\s*\)|@import\s+['"]([^'"]+)['"]""")
URL_IN_SCRIPT = re.compile(
    r"""(?:fetch|importScripts|import|new\s+(?:Worker|WebSocket|EventSource))\s*\(\s*['"`](https?:)?//"""
)
GENERIC_ALT = re.compile(
    r"(?:an?\s+|the\s+)?(?:image|img|picture|photo|photograph|figure|graphic|icon|thumbnail|screenshot|untitled|logo|plot|chart)"
    r"(?:\s+(?:of|no\.?|number))?[\s\W]*\d*",
    re.IGNORECASE,
)
PICTURE_NAME = re.compile(r"\S+\.(?:webp|png|jpe?g|gif|svg)", re.IGNORECASE)
Anchor = tuple[str, str]  # an address with a fragment, and the page that it leads to
LEAST_PAGES = 400  # that are shared out over processes, which take half a second to start
CHUNK = 50  # pages a process reads at a time
BYTES_A_CONCEPT = 8_000  # of a family's page, which has ten concepts or more


@dataclass(frozen=True)
class Problem:
    """One defect: where it is, which rule it breaks, what is wrong and what to do."""

    page: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.page}: {self.rule}: {self.message}"


def check_site(site: Path, *, budget_mb: float | None = None, jobs: int = 1) -> list[Problem]:
    """Return all defects of a baked site, in order of page.

    Parameters
    ----------
    site : Path
        The baked folder.
    budget_mb : float, optional
        Weight it may have, in millions of bytes; what it was baked with unless given.
    jobs : int
        Processes that read a large site; 0 for one a core. More than one wants to be called from under
        ``if __name__ == "__main__":``.

    Raises
    ------
    SiteError
        If the folder holds no site.
    """
    if not (site / links.HOME).is_file():
        raise SiteError(f"{site} should be a baked site and holds no index.html. Bake it first, or name its folder.")
    manifest = read_manifest(site)
    files = list_files(site)
    place = _Place(site, frozenset(files), _read_base_path(manifest.get("base_url")))
    pages = [name for name in files if name.endswith(".html")]
    ids: dict[str, frozenset[str]] = {}
    titles: dict[str, str] = {}
    asked: list[tuple[str, list[Anchor]]] = []
    problems: list[Problem] = []
    for look in _look_at_all(place, pages, jobs or os.cpu_count() or 1):
        ids[look.page] = look.ids
        problems += [*look.problems, *check_title(look.page, look.title, titles)]
        asked.append((look.page, look.anchors))
    problems += [each for page, anchors in asked for each in check_anchors(page, anchors, ids)]
    problems += check_statics(place)
    problems += check_data(site, ids)
    stated = manifest.get("budget_mb")
    stated = stated if isinstance(stated, (int, float)) and 0 < stated < math.inf else DEFAULT_BUDGET_MB
    budget = budget_mb if budget_mb is not None else stated
    problems += check_weight(site, budget)
    return sorted(problems, key=lambda each: (each.page, each.rule, each.message))


def list_files(site: Path) -> list[str]:
    """Return the addresses of a site's files, in order; what is linked from elsewhere is no part of it."""
    found, folders = [], [""]
    while folders:
        inside = folders.pop()
        with os.scandir(site / inside) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{inside}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    found.append(f"{inside}{entry.name}")
    return sorted(found)


# --- a page at a time ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """A site: its folder, the addresses of its files, the path that it is published under."""

    site: Path
    files: frozenset[str]
    base_path: str | None


@dataclass(frozen=True)
class _Look:
    """What a page is seen to be: what is wrong with it alone, and what other pages may ask of it or it of them."""

    page: str
    title: str
    ids: frozenset[str]
    problems: list[Problem]
    anchors: list[Anchor]


def _look_at_all(place: _Place, pages: list[str], jobs: int) -> Iterable[_Look]:
    """Yield what each page is seen to be, in order; processes read a large site."""
    if jobs == 1 or len(pages) < LEAST_PAGES:
        yield from (_look(place, page) for page in pages)
        return
    chunks = [pages[start : start + CHUNK] for start in range(0, len(pages), CHUNK)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_start, initargs=(place,)) as pool:
        for looks in pool.map(_look_at_chunk, chunks):
            yield from looks


_places: list[_Place] = []  # of a process that reads pages: the one site


def _start(place: _Place) -> None:
    heed_parent()
    _places.append(place)


def _look_at_chunk(pages: list[str]) -> list[_Look]:
    return [_look(_places[0], page) for page in pages]


def _look(place: _Place, page: str) -> _Look:
    content = read_page(place.site / page)
    ids = frozenset({*content.ids, *content.choices})
    dead, anchors = check_links(place, page, content)
    problems = [
        *check_head(page, content),
        *dead,
        *check_anchors(page, [each for each in anchors if each[1] == page], {page: ids}),
        *check_loads(place, page, content),
        *check_images(page, content),
        *check_ids(page, content),
        *check_markup(page, content),
    ]
    return _Look(page, content.title, ids, problems, [each for each in anchors if each[1] != page])


def read_manifest(site: Path) -> dict[str, Any]:
    """Return the site's manifest, or an empty one."""
    try:
        manifest = json.loads((site / links.MANIFEST).read_bytes())
    except UNREADABLE:
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _read_base_path(base_url: Any) -> str | None:
    try:
        return base_path_of(base_url) if isinstance(base_url, str) and base_url else None
    except ValueError:  # no address
        return None


def is_foreign(address: str) -> bool:
    """Return whether an address names another host."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https", "ws", "wss", "ftp")


def resolve(place: _Place, page: str, address: str) -> str | None:
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


def check_links(place: _Place, page: str, content: PageContent) -> tuple[list[Problem], list[Anchor]]:
    """Return links that lead nowhere; and of the others, those that name a place in a page."""
    problems: list[Problem] = []
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
        elif parts.fragment:
            anchors.append((address, target))
    return problems, anchors


def check_anchors(page: str, anchors: Iterable[Anchor], ids: Mapping[str, frozenset[str]]) -> list[Problem]:
    """Return links of a page to places that their pages do not have."""
    problems = []
    for address, target in anchors:
        # "betulaceae+ulmaceae" and "family=betulaceae" are options of pages that keep what is chosen there.
        named = {each.rpartition("=")[2] for each in unquote(urlsplit(address).fragment).split("+")}
        if not named <= ids.get(target, frozenset()):
            problems.append(Problem(page, "dead-anchor", f"{address}: {target} has no such id."))
    return problems


def check_loads(place: _Place, page: str, content: PageContent) -> list[Problem]:
    """Return what the page would load from another host, or cannot load at all."""
    problems = []
    styled = [("style", found) for text in content.styles for found in find_style_urls(text)]
    for tag, address in dict.fromkeys([*content.loads, *styled]):
        if address.startswith(("data:", "#")):
            continue
        if is_foreign(address):
            message = f"<{tag}> asks another host: {address}. Put the file into the site."
            problems.append(Problem(page, "third-party", message))
        elif resolve(place, page, address) is None:
            rule = "missing-image" if tag in ("img", "image", "source") else "dead-link"
            problems.append(Problem(page, rule, f"<{tag}> loads {address}, which is not in the site. Bake again."))
    return problems


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


def check_title(page: str, title: str, titles: dict[str, str]) -> list[Problem]:
    """Return that another page has the title of this one, which joins ``titles`` ({title: page})."""
    first = titles.setdefault(title, page)
    if not title or first == page:
        return []
    return [Problem(page, "duplicate-title", f"{first} has the same title: {title!r}.")]


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


def check_statics(place: _Place) -> list[Problem]:
    """Return style sheets and scripts that ask another host, or load what is not there."""
    problems = []
    for name in sorted(each for each in place.files if each.endswith(".css")):
        for address in find_style_urls((place.site / name).read_text(encoding="utf-8")):
            if address.startswith(("data:", "#")):
                continue
            if is_foreign(address):
                problems.append(Problem(name, "third-party", f"the style asks another host: {address}."))
            elif resolve(place, name, address) is None:
                problems.append(Problem(name, "missing-image", f"the style loads {address}, which is not there."))
    for name in sorted(each for each in place.files if each.endswith(".js")):
        if URL_IN_SCRIPT.search((place.site / name).read_text(encoding="utf-8")):
            problems.append(Problem(name, "third-party", "the script asks another host."))
    return problems


def check_data(site: Path, ids: Mapping[str, frozenset[str]]) -> list[Problem]:
    """Return families whose shares do not sum to 1, or that are absent without a reason."""
    page = links.ATLAS_DATA
    try:
        return _check_families(site, json.loads((site / page).read_bytes())["families"], ids)
    except UNREADABLE as error:
        message = f"the data cannot be read ({type(error).__name__}: {str(error)[:200]}). Bake again."
        return [Problem(page, "dead-link", message)]


def _check_families(site: Path, families: Any, ids: Mapping[str, frozenset[str]]) -> list[Problem]:
    page, problems = links.ATLAS_DATA, []
    for family in families:
        name, slug = family.get("name"), family.get("slug")
        if links.family_page(str(slug)) not in ids:
            problems.append(Problem(page, "absent-family", f"{name} is in the data and has no page. Bake again."))
        concepts, rest = family.get("concepts") or [], family.get("rest")
        if not concepts:
            if not family.get("missing"):
                message = f"{name} has no concepts, and no reason is given. Build it, or give the reason."
                problems.append(Problem(page, "absent-family", message))
            continue
        problems += check_page_weight(site, links.family_page(str(slug)), len(concepts))
        total = sum(concept["importance"]["share"] for concept in concepts) + (rest or {}).get("share", 0.0)
        if not abs(total - 1) <= TOLERANCE:
            message = f"the shares of {name} and its rest sum to {total:.6f} where 1 is exact. Rank it again."
            problems.append(Problem(page, "importance-sum", message))
        problems += [each for concept in concepts for each in check_inside(concept)]
    return problems


def check_inside(concept: dict[str, Any]) -> list[Problem]:
    """Return that the shares of the concepts inside a concept, and their rest, do not sum to 1."""
    recursion = concept.get("recursion")
    if not recursion or not recursion.get("subconcepts"):
        return []
    total = sum(each["importance"]["share"] for each in recursion["subconcepts"]) + recursion["rest_share"]
    if abs(total - 1) <= TOLERANCE:
        return []
    message = f"the shares inside {concept.get('id')} sum to {total:.6f} where 1 is exact. Divide it again."
    return [Problem(links.ATLAS_DATA, "importance-sum", message)]


def check_page_weight(site: Path, page: str, n_concepts: int) -> list[Problem]:
    """Return that a family's page, pictures aside, is heavier than it may be."""
    path, allowed = site / page, BYTES_A_CONCEPT * max(10, n_concepts)
    if not path.is_file() or path.stat().st_size <= allowed:
        return []
    message = (
        f"the page's HTML is of {path.stat().st_size} bytes where {allowed} are allowed for {n_concepts} concepts."
    )
    return [Problem(page, "heavy-page", message)]


def check_weight(site: Path, budget_mb: float) -> list[Problem]:
    """Return that the site weighs more than it may."""
    total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    if total <= budget_mb * 1e6:
        return []
    message = (
        f"the site weighs {total / 1e6:.1f} MB where {budget_mb:g} MB are allowed. Show fewer or smaller pictures, "
        "or raise [site] budget_mb."
    )
    return [Problem(".", "over-budget", message)]
