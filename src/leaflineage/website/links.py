"""Where each page and file of the site lies, and relative links between them: the only module that makes addresses."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from leaflineage.errors import SiteError
from leaflineage.records import name_smaller

HOME = "index.html"
FAMILIES = "families/index.html"
MAP = "map.html"
COMPARE = "compare/index.html"
METHOD = "method.html"
DATA = "data.html"
GLOSSARY = "glossary.html"
NOT_FOUND = "404.html"
ATLAS_DATA = "data/atlas.json"
CITATION = "CITATION.cff"
ROBOTS = "robots.txt"
SITEMAP = "sitemap.xml"
SPECIMENS_DATA = "data/specimens.csv"
HEAD_DATA = "data/head.safetensors"
MEDIA = "media/"  # before the path that a picture has in the run
MANIFEST = "site.json"
HASHES = "data/manifest.json"
SEARCH_INDEX = "assets/search-index.js"
SCRIPT_WORDS = "assets/words.js"
MAP_DATA = "assets/map-data.js"
FRAGMENT = "/+="  # characters that a fragment keeps as they are
PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")  # what needs no percent in an address


def family_page(slug: str) -> str:
    """Return the address of a family's page, from the site's root."""
    return f"families/{slug}/index.html"


def concept_page(concept_id: str) -> str:
    """Return the address of a concept's page, as ``families/fagaceae/concept-03.html``."""
    return f"families/{concept_id}.html"


def specimen_page(specimen_id: str) -> str:
    """Return the address of a specimen's page, from the site's root."""
    return f"specimens/{specimen_id}.html"


def importances_file(slug: str) -> str:
    """Return the address of the table of every image's importances of one family."""
    return f"data/importances/{slug}.csv"


def bank_file(slug: str) -> str:
    """Return the address of a family's concept bank."""
    return f"data/concepts/{slug}.safetensors"


def is_inside(path: str) -> bool:
    """Return whether a path, relative to a folder, names something inside that folder on any system."""
    parts = path.split("/")
    return bool(path) and not ({"", ".", ".."} & {*parts}) and not any(each in path for each in "\\\0:")


def is_of_run(address: str) -> bool:
    """Return whether a file of the site is one of the run's own, linked or copied."""
    return address.startswith((MEDIA, "data/importances/", "data/concepts/")) or address == HEAD_DATA


def media(path: str) -> str:
    """Return the address of a picture of the run.

    Raises
    ------
    SiteError
        If the path leaves the run's folder.
    """
    if path.startswith("/") or "\\" in path or ".." in path.split("/") or not path:
        raise SiteError(
            f"A picture must lie inside the run's folder, and a record names {path!r}. Build the run again."
        )
    return MEDIA + path


def smaller(path: str, width: int) -> str:
    """Return the path, in the run, of a picture's smaller copy: ``a/b.webp`` is ``a/b-160.webp``."""
    return name_smaller(path, width)


def compare_page(first: str, second: str) -> str:
    """Return the address of a page that compares two families, whichever is named first."""
    return f"compare/{'--'.join(sorted((first, second)))}.html"


def split_compare_page(address: str) -> tuple[str, str] | None:
    """Return the two families whose page of comparison stands at an address, or None where another page does."""
    if not address.startswith("compare/") or "--" not in address:
        return None
    first, second = address.removeprefix("compare/").removesuffix(".html").split("--")
    return first, second


def compare_file(slug: str) -> str:
    """Return the address of the script that holds what a comparison needs of one family."""
    return f"assets/compare/{slug}.js"


def compare_pair(first: str, second: str) -> str:
    """Return the address that opens the page of comparisons at a pair, the first named on the left."""
    return f"{COMPARE}#{first}+{second}"


def map_family(slug: str) -> str:
    """Return the address that opens the map at one family's concepts."""
    return f"{MAP}#family={slug}"


def versioned_data(version: str) -> str:
    """Return the address of the data of one version of the atlas, packed: the same whatever is published later."""
    return f"data/atlas-{re.sub('[^A-Za-z0-9.]+', '-', version).strip('.-') or '0'}.json.gz"


def asset(path: str) -> str:
    """Return the address of a file of ``static/``."""
    return f"assets/{path}"


def style(kind: str) -> str:
    """Return the address of the style sheet of a kind of page."""
    return f"assets/css/{kind}.css"


def relative(page: str, target: str) -> str:
    """Return the link from one address to another, percent-encoded; a fragment of the target is kept."""
    return _relate(page.rpartition("/")[0], target)


@lru_cache(maxsize=1 << 15)
def _relate(here: str, target: str) -> str:
    path, hash_mark, fragment = target.partition("#")
    if not path:
        return f"#{quote(fragment, safe=FRAGMENT)}"
    folder, _, name = path.rpartition("/")
    lead = _lead(here, folder) + (name if PLAIN.fullmatch(name) else quote(name))
    return f"{lead}#{quote(fragment, safe=FRAGMENT)}" if hash_mark else lead


@lru_cache(maxsize=1 << 14)  # the pages of a folder lead to the same places
def _lead(folder: str, target: str) -> str:
    """Return the way from a folder to another, with a slash at its end unless they are one."""
    here, there = folder.split("/") if folder else [], target.split("/") if target else []
    shared = 0
    while shared < min(len(here), len(there)) and here[shared] == there[shared]:
        shared += 1
    return "".join(f"{step}/" for step in [*[".."] * (len(here) - shared), *map(quote, there[shared:])])


def root_of(page: str) -> str:
    """Return the way from a page to the site's root: "", "../", "../../"."""
    return "../" * page.count("/")
