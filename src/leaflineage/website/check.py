"""Check a baked site for the defects that other atlases have; each rule has a test that plants its defect.

Rules, beside those of each page alone (see `page_rules`): duplicate-title, heavy-page, importance-sum, absent-family,
over-budget; and third-party and missing-image of style sheets and scripts.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json

from leaflineage.errors import SiteError
from leaflineage.website import links
from leaflineage.website.context import base_path_of
from leaflineage.website.looks import Look, Looks, look_at_all, read_looks, write_looks
from leaflineage.website.page_rules import Place, Problem, check_anchors, find_style_urls, is_foreign, resolve

TOLERANCE = 1e-5
DEFAULT_BUDGET_MB = 300.0
# What reading somebody else's JSON may raise, whatever it holds: ValueError is that of JSON and of Unicode, too.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError)
URL_IN_SCRIPT = re.compile(
    r"""(?:fetch|importScripts|import|new\s+(?:Worker|WebSocket|EventSource))\s*\(\s*['"`](https?:)?//"""
)
MOST_UNPACKED = 1 << 12  # pages whose ids are held at once
BYTES_A_CONCEPT = 8_000  # of a family's page, which has ten concepts or more


def check_site(
    site: Path, *, budget_mb: float | None = None, jobs: int = 1, memory: Path | None = None
) -> list[Problem]:
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
    memory : Path, optional
        File in which it is remembered what pages were seen to be: those that have not changed since are not read
        again. What is found is the same without.

    Raises
    ------
    SiteError
        If the folder holds no site.
    """
    if not (site / links.HOME).is_file():
        raise SiteError(f"{site} should be a baked site and holds no index.html. Bake it first, or name its folder.")
    manifest = read_manifest(site)
    sizes = list_files(site)
    place = Place(site, frozenset(sizes), _read_base_path(manifest.get("base_url")))
    pages = [name for name in sizes if name.endswith(".html")]
    known = read_looks(memory, place.base_path) if memory is not None else Looks()
    looks = {look.page: look for look in look_at_all(place, pages, known, jobs or os.cpu_count() or 1)}
    problems = _check_together(looks)
    if memory is not None:
        flawed = {each.page for each in problems}
        write_looks(memory, place, {page: look for page, look in looks.items() if page not in flawed})
    problems += check_statics(place)
    problems += check_data(place, sizes)
    stated = manifest.get("budget_mb")
    stated = stated if isinstance(stated, (int, float)) and 0 < stated < math.inf else DEFAULT_BUDGET_MB
    problems += check_weight(sum(sizes.values()), budget_mb if budget_mb is not None else stated)
    return sorted(problems, key=lambda each: (each.page, each.rule, each.message))


def _check_together(looks: Mapping[str, Look]) -> list[Problem]:
    """Return what is wrong with pages, and what they have to do with each other."""
    titles: dict[str, str] = {}
    changed = {page for page, look in looks.items() if not look.is_kept}

    @lru_cache(maxsize=MOST_UNPACKED)
    def find_ids(page: str) -> frozenset[str]:
        return frozenset(looks[page].ids) if page in looks else frozenset()

    problems: list[Problem] = []
    for page, look in looks.items():
        problems += [*look.problems, *check_title(page, look.title, titles)]
        if look.is_kept and not changed:
            continue
        # Where neither page changed, the place was found before.
        anchors = [each for each in look.anchors if not look.is_kept or each[1] in changed]
        problems += check_anchors(page, anchors, find_ids)
    return problems


def list_files(site: Path) -> dict[str, int]:
    """Return the bytes of a site's files by address, in order; what is linked from elsewhere is no part of it."""
    found: dict[str, int] = {}
    folders = [""]
    while folders:
        inside = folders.pop()
        with os.scandir(site / inside) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{inside}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    found[f"{inside}{entry.name}"] = entry.stat(follow_symlinks=False).st_size
    return dict(sorted(found.items()))


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


def check_title(page: str, title: str, titles: dict[str, str]) -> list[Problem]:
    """Return that another page has the title of this one, which joins ``titles`` ({title: page})."""
    first = titles.setdefault(title, page)
    if not title or first == page:
        return []
    return [Problem(page, "duplicate-title", f"{first} has the same title: {title!r}.")]


def check_statics(place: Place) -> list[Problem]:
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


def check_data(place: Place, sizes: Mapping[str, int]) -> list[Problem]:
    """Return families whose shares do not sum to 1, or that are absent without a reason."""
    page = links.ATLAS_DATA
    problems: list[Problem] = []
    try:
        for family in _read_families(place.site / page):
            problems += _check_family(family, sizes)
    except UNREADABLE as error:
        message = f"the data cannot be read ({type(error).__name__}: {str(error)[:200]}). Bake again."
        return [Problem(page, "dead-link", message)]
    return problems


def _read_families(path: Path) -> Iterator[Any]:
    """Yield the families of the data: one at a time where a line holds each, as in those that we bake."""
    with path.open("rb") as stream:
        rest = [stream.readline()]
        if rest[0].endswith(b',"families":[\n'):
            for line in _read_lines(stream, rest):
                yield from_json(line)
        if rest[-1].endswith(b',"specimens":[\n'):  # a line holds those of a family
            for line in _read_lines(stream, rest):
                from_json(b"[" + line + b"]")
        rest.append(stream.read())
    yield from from_json(b"".join(rest))["families"]


def _read_lines(stream: BinaryIO, rest: list[bytes]) -> Iterator[bytes]:
    """Yield the lines of a list, without what parts them; that which closes it joins the ``rest``."""
    for line in stream:
        if line.startswith(b"]"):
            rest.append(line)
            return
        yield line.rstrip(b",\n")


def _check_family(family: Any, sizes: Mapping[str, int]) -> list[Problem]:
    page, problems = links.ATLAS_DATA, []
    name, own = family.get("name"), links.family_page(str(family.get("slug")))
    if own not in sizes:
        problems.append(Problem(page, "absent-family", f"{name} is in the data and has no page. Bake again."))
    concepts, rest = family.get("concepts") or [], family.get("rest")
    if not concepts:
        if not family.get("missing"):
            message = f"{name} has no concepts, and no reason is given. Build it, or give the reason."
            problems.append(Problem(page, "absent-family", message))
        return problems
    problems += check_page_weight(own, sizes.get(own, 0), len(concepts))
    total = sum(concept["importance"]["share"] for concept in concepts) + (rest or {}).get("share", 0.0)
    if not abs(total - 1) <= TOLERANCE:
        message = f"the shares of {name} and its rest sum to {total:.6f} where 1 is exact. Rank it again."
        problems.append(Problem(page, "importance-sum", message))
    return problems + [each for concept in concepts for each in check_inside(concept)]


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


def check_page_weight(page: str, size: int, n_concepts: int) -> list[Problem]:
    """Return that a family's page of ``size`` bytes, pictures aside, is heavier than it may be."""
    allowed = BYTES_A_CONCEPT * max(10, n_concepts)
    if size <= allowed:
        return []
    message = f"the page's HTML is of {size} bytes where {allowed} are allowed for {n_concepts} concepts."
    return [Problem(page, "heavy-page", message)]


def check_weight(total: int, budget_mb: float) -> list[Problem]:
    """Return that the site weighs more bytes, in ``total``, than it may."""
    if total <= budget_mb * 1e6:
        return []
    message = (
        f"the site weighs {total / 1e6:.1f} MB where {budget_mb:g} MB are allowed. Show fewer or smaller pictures, "
        "or raise [site] budget_mb."
    )
    return [Problem(".", "over-budget", message)]
