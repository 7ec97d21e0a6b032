"""One page of each type of a baked site, for tests that look at all types."""

from __future__ import annotations

from pathlib import Path

PATTERNS = {
    "home": "index.html",
    "families": "families/index.html",
    "family": "families/betulaceae/index.html",
    "family without concepts": "families/platanaceae/index.html",
    "concept": "families/betulaceae/concept-01.html",
    "specimen": "specimens/betulaceae-*.html",
    "query": "specimens/unknown--1.html",
    "map": "map.html",
    "compare": "compare/index.html",
    "comparison": "compare/*--*.html",
    "method": "method.html",
    "data": "data.html",
    "glossary": "glossary.html",
    "not found": "404.html",
}


def find_page(site: Path, kind: str) -> str:
    """Return the address of the first page of a type, from the site's root."""
    found = sorted(path.relative_to(site).as_posix() for path in site.glob(PATTERNS[kind]))
    assert found, f"the site has no page of type {kind!r} ({PATTERNS[kind]})"
    return found[0]
