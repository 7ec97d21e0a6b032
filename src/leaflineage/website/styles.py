"""One style sheet a kind of page, made at bake of the sources in ``static/css``: pages wait for one, not for three."""

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
AROUND = re.compile(r" ?([{};,]) ?")
STRING = re.compile(r"\0(\d+)\0")


def list_sheets() -> dict[str, str]:
    """Return {kind of page: address} of the style sheets."""
    return {kind: links.style(kind) for kind in SHEETS}


def make_sheet(kind: str) -> str:
    """Return the style sheet of a kind of page."""
    folder = find_resource("static") / "css"
    return "".join(shorten((folder / f"{name}.css").read_text(encoding="utf-8")) for name in SHEETS[kind])


def shorten(style: str) -> str:
    """Return a style sheet without comments and without white space that says nothing; strings stay as they are."""
    strings: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        if match[1] is None:
            return " "
        strings.append(match[1])
        return f"\0{len(strings) - 1}\0"

    bare = " ".join(STRING_OR_COMMENT.sub(put_aside, style).split())
    bare = AROUND.sub(r"\1", bare).replace(": ", ":").replace(";}", "}")
    return STRING.sub(lambda match: strings[int(match[1])], bare)
