"""The glossary: words for where on a leaf something is and what pattern it has, with a small drawing each."""

from __future__ import annotations

from typing import Any

from leaflineage.website import links
from leaflineage.website.context import Site
from leaflineage.website.drawings import draw_term
from leaflineage.website.leaf_strokes import HEIGHT, WIDTH
from leaflineage.website.pages.glossary import GlossaryPage, Term, TermGroup
from leaflineage.website.words import Words


def view_glossary(site: Site) -> GlossaryPage:
    """Return the page of all terms, by group, in the order of the catalogue of words."""
    words, page = site.words, links.GLOSSARY
    terms: dict[str, list[Term]] = {}
    for key, entry in words.entries["glossary"]["term"].items():
        terms.setdefault(entry["group"], []).append(_view_term(words, key, entry))
    return GlossaryPage(
        frame=site.make_frame(page, words("glossary.title"), words("glossary.description"), style="glossary"),
        width=WIDTH,
        height=HEIGHT,
        groups=tuple(
            TermGroup(f"group-{name}", words(f"glossary.group.{name}"), tuple(found)) for name, found in terms.items()
        ),
    )


def _view_term(words: Words, key: str, entry: dict[str, Any]) -> Term:
    who = entry["who"]
    said = words(f"glossary.{who}") if who in ("program", "person") else words("glossary.condition", condition=who)
    return Term(
        anchor=key,
        name=entry["name"],
        plain=entry["plain"] if entry["plain"] != entry["name"] else "",
        gloss=entry["gloss"],
        also=words("glossary.also", names=entry["also"]) if entry.get("also") else "",
        who=said,
        strokes=draw_term(key),
    )
