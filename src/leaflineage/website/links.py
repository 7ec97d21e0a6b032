"""Where each page and file of the site lies, and relative links between them: the only module that makes addresses."""

from __future__ import annotations

import posixpath
from urllib.parse import quote

from leaflineage.errors import SiteError

HOME = "index.html"
FAMILIES = "families/index.html"
MAP = "map.html"
COMPARE = "compare/index.html"
METHOD = "method.html"
DATA = "data.html"
GLOSSARY = "glossary.html"
NOT_FOUND = "404.html"
ATLAS_DATA = "data/atlas.json"
SPECIMENS_DATA = "data/specimens.csv"
HEAD_DATA = "data/head.safetensors"
MANIFEST = "site.json"
SEARCH_INDEX = "assets/search-index.js"
SCRIPT_WORDS = "assets/words.js"


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
    return f"media/{path}"


def smaller(path: str, width: int) -> str:
    """Return the path, in the run, of a picture's smaller copy: ``a/b.webp`` is ``a/b-160.webp``."""
    return f"{path.removesuffix('.webp')}-{width}.webp"


def compare_page(first: str, second: str) -> str:
    """Return the address of a page that compares two families, whichever is named first."""
    return f"compare/{'--'.join(sorted((first, second)))}.html"


def asset(path: str) -> str:
    """Return the address of a file of ``static/``."""
    return f"assets/{path}"


def relative(page: str, target: str) -> str:
    """Return the link from one address to another, percent-encoded; a fragment of the target is kept."""
    path, hash_mark, fragment = target.partition("#")
    if not path:
        return f"#{quote(fragment)}"
    link = posixpath.relpath(path, posixpath.dirname(page) or ".")
    return quote(link) + (f"#{quote(fragment)}" if hash_mark else "")


def root_of(page: str) -> str:
    """Return the way from a page to the site's root: "", "../", "../../"."""
    return "../" * page.count("/")
