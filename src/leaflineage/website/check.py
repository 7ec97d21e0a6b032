"""Check a baked site for the defects that other atlases have; each rule has a test that plants its defect.

Rules, of pages: dead-link, dead-anchor, missing-image, third-party, duplicate-id, missing-alt, generic-alt,
duplicate-alt, image-size, inline-script, inline-style, no-policy, no-title, duplicate-title, no-language,
missing-figure, heavy-page; of the site: importance-sum, absent-family, over-budget.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from leaflineage.errors import SiteError
from leaflineage.website import links
from leaflineage.website.context import base_path_of
from leaflineage.website.page_reader import PageContent, read_page

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
BYTES_A_CONCEPT = 8_000  # of a family's page, which has ten concepts or more


@dataclass(frozen=True)
class Problem:
    """One defect: where it is, which rule it breaks, what is wrong and what to do."""

    page: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.page}: {self.rule}: {self.message}"


def check_site(site: Path, *, budget_mb: float | None = None) -> list[Problem]:
    """Return all defects of a baked site, in order of page.

    Parameters
    ----------
    site : Path
        The baked folder.
    budget_mb : float, optional
        Weight it may have, in millions of bytes; what it was baked with unless given.

    Raises
    ------
    SiteError
        If the folder holds no site.
    """
    if not (site / links.HOME).is_file():
        raise SiteError(f"{site} should be a baked site and holds no index.html. Bake it first, or name its folder.")
    manifest = read_manifest(site)
    base_path = _read_base_path(manifest.get("base_url"))
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    ids: dict[str, set[str]] = {}
    titles: dict[str, str] = {}
    problems: list[Problem] = []
    for page in pages:
        content = read_page(site / page)
        ids[page] = {*content.ids, *content.choices}
        problems += check_head(page, content, titles)
    for page in pages:
        content = read_page(site / page)
        problems += check_links(site, page, content, ids, base_path)
        problems += check_loads(site, page, content, base_path)
        problems += check_images(page, content)
        problems += check_ids(page, content)
        problems += check_markup(page, content)
    problems += check_statics(site)
    problems += check_data(site, ids)
    stated = manifest.get("budget_mb")
    stated = stated if isinstance(stated, (int, float)) and 0 < stated < math.inf else DEFAULT_BUDGET_MB
    budget = budget_mb if budget_mb is not None else stated
    problems += check_weight(site, budget)
    return sorted(problems, key=lambda each: (each.page, each.rule, each.message))


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


def resolve(site: Path, page: str, address: str, base_path: str | None) -> Path | None:
    """Return the file an address leads to, or None where it leaves the site."""
    path = unquote(urlsplit(address).path)
    if path.startswith("/"):
        if base_path is None or not path.startswith(base_path):
            return None
        target = site / path[len(base_path) :]
    else:
        target = (site / page).parent / path if path else site / page
    resolved, root = target.resolve(), site.resolve()
    if resolved != root and root not in resolved.parents:
        return None
    return resolved / "index.html" if resolved.is_dir() else resolved


def check_links(
    site: Path, page: str, content: PageContent, ids: dict[str, set[str]], base_path: str | None
) -> list[Problem]:
    """Return links that lead nowhere, and anchors that are not there."""
    problems = []
    root = site.resolve()
    for address in dict.fromkeys(content.anchors):
        parts = urlsplit(address)
        if is_foreign(address) or parts.scheme in ("mailto", "data", "tel"):
            continue
        if parts.scheme:
            problems.append(Problem(page, "dead-link", f"{address} is no address a page may link to."))
            continue
        target = resolve(site, page, address, base_path)
        if target is None or not target.is_file():
            problems.append(Problem(page, "dead-link", f"{address} leads to no file of the site. Bake again."))
        elif parts.fragment:
            name = target.relative_to(root).as_posix()
            # "betulaceae+ulmaceae" and "family=betulaceae" are options of pages that keep what is chosen there.
            named = {each.rpartition("=")[2] for each in unquote(parts.fragment).split("+")}
            if not named <= ids.get(name, set()):
                problems.append(Problem(page, "dead-anchor", f"{address}: {name} has no such id."))
    return problems


def check_loads(site: Path, page: str, content: PageContent, base_path: str | None) -> list[Problem]:
    """Return what the page would load from another host, or cannot load at all."""
    problems = []
    styled = [("style", found) for text in content.styles for found in find_style_urls(text)]
    for tag, address in dict.fromkeys([*content.loads, *styled]):
        if address.startswith(("data:", "#")):
            continue
        if is_foreign(address):
            message = f"<{tag}> asks another host: {address}. Put the file into the site."
            problems.append(Problem(page, "third-party", message))
            continue
        target = resolve(site, page, address, base_path)
        if target is None or not target.is_file():
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


def check_head(page: str, content: PageContent, titles: dict[str, str]) -> list[Problem]:
    """Return what the page does not say of itself; its title joins ``titles`` ({title: page})."""
    problems = []
    if not content.has_policy:
        problems.append(Problem(page, "no-policy", "the page has no Content-Security-Policy. Take it from base.html."))
    if not content.language:
        problems.append(Problem(page, "no-language", "<html> has no lang."))
    if not content.title:
        problems.append(Problem(page, "no-title", "the page has no title."))
    elif content.title in titles:
        message = f"{titles[content.title]} has the same title: {content.title!r}."
        problems.append(Problem(page, "duplicate-title", message))
    else:
        titles[content.title] = page
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


def check_statics(site: Path) -> list[Problem]:
    """Return style sheets and scripts that ask another host, or load what is not there."""
    problems = []
    for path in sorted(site.rglob("*.css")):
        name = path.relative_to(site).as_posix()
        for address in find_style_urls(path.read_text(encoding="utf-8")):
            if address.startswith(("data:", "#")):
                continue
            if is_foreign(address):
                problems.append(Problem(name, "third-party", f"the style asks another host: {address}."))
            elif not (target := resolve(site, name, address, None)) or not target.is_file():
                problems.append(Problem(name, "missing-image", f"the style loads {address}, which is not there."))
    for path in sorted(site.rglob("*.js")):
        name = path.relative_to(site).as_posix()
        if URL_IN_SCRIPT.search(path.read_text(encoding="utf-8")):
            problems.append(Problem(name, "third-party", "the script asks another host."))
    return problems


def check_data(site: Path, ids: dict[str, set[str]]) -> list[Problem]:
    """Return families whose shares do not sum to 1, or that are absent without a reason."""
    page = links.ATLAS_DATA
    try:
        return _check_families(site, json.loads((site / page).read_bytes())["families"], ids)
    except UNREADABLE as error:
        message = f"the data cannot be read ({type(error).__name__}: {str(error)[:200]}). Bake again."
        return [Problem(page, "dead-link", message)]


def _check_families(site: Path, families: Any, ids: dict[str, set[str]]) -> list[Problem]:
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
