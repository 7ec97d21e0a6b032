"""One style sheet a kind of page, made at bake from the sources in ``static/css``: a page waits for one file, not three."""

from __future__ import annotations

import re

from leaflineage.resources import find_resource
from leaflineage.website import links

# The sources of each kind of page's sheet, in the order in which they hold; "site" is every page's.
SHEETS: dict[str, tuple[str, ...]] = {
    "compare": ("site", "compare"),
    "concept": ("site", "charts", "concept"),
    "families": ("site", "charts", "families"),
    "family": ("site", "charts", "family"),
    "glossary": ("site", "glossary"),
    "home": ("site", "charts", "home"),
    "map": ("site", "map"),
    "method": ("site", "charts", "method"),
    "missing": ("site", "family", "families"),
    "specimen": ("site", "charts", "specimen"),
}

STRING_OR_COMMENT = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|/\*.*?\*/""", re.DOTALL)
BREAK = re.compile(r"\s+")
AROUND = re.compile(r" ?([{};,]) ?")


def list_sheets() -> dict[str, str]:
    """Return {kind of page: address} of the style sheets."""
    return {kind: links.style(kind) for kind in SHEETS}


def make_sheet(kind: str) -> str:
    """Return the style sheet of a kind of page."""
    folder = find_resource("static") / "css"
    return "".join(shorten((folder / f"{name}.css").read_text(encoding="utf-8")) for name in SHEETS[kind])


def shorten(style: str) -> str:
    """Return a style sheet without comments and without white space that says nothing; strings stay as they are."""
    parts, end = [], 0
    for match in STRING_OR_COMMENT.finditer(style):
        parts += [_squeeze(style[end : match.start()]), match[1] or ""]
        end = match.end()
    return "".join([*parts, _squeeze(style[end:])]).strip()


def _squeeze(style: str) -> str:
    """Return what stands between two strings: a space before or after a string may part two words, and stays."""
    squeezed = AROUND.sub(r"\1", BREAK.sub(" ", style)).replace(": ", ":").replace(";}", "}")
    return squeezed
