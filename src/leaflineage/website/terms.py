"""The glossary's terms where a concept's name uses them: their words, their links, and who gave the name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from leaflineage.records import AtlasConcept, ConceptName
from leaflineage.website import links
from leaflineage.website.context import Site
from leaflineage.website.words import Words, write_decimal


def find_term(words: Words, term: str) -> dict[str, Any] | None:
    """Return an entry of the glossary, None where it has none of that id."""
    found: dict[str, Any] | None = words.entries["glossary"]["term"].get(term)
    return found


def list_further_words(words: Words, name: ConceptName) -> list[str]:
    """Return the words under which a named concept is found beside its name: plain words, terms, their synonyms."""
    found = [name.plain or "", name.suggested or ""]
    for term in name.terms:
        entry = find_term(words, term)
        found += [entry["name"], entry["plain"], entry.get("also", "")] if entry else [term.replace("-", " ")]
    seen = " ".join(found).replace(",", " ").replace(":", " ").replace("+", " ").lower().split()
    return list(dict.fromkeys(seen))


def link_terms(site: Site, page: str, terms: Iterable[str]) -> list[str]:
    """Return the terms of a name, each a link into the glossary; one that the glossary lacks is told as it is."""
    told: list[str] = []
    for term in terms:
        entry = find_term(site.words, term)
        if entry is None or links.GLOSSARY not in site.plan:
            told.append(entry["name"] if entry else term)
        else:
            address = f"{site.link(page, links.GLOSSARY)}#{term}"
            told.append(Markup('<a href="{}">{}</a>').format(address, entry["name"]))
    return told


def tell_namer(site: Site, name: ConceptName) -> str:
    """Return who named a concept, as on the label of a specimen."""
    words = site.words
    if name.source == "suggested":
        if name.confidence is None:
            return words("concept.suggested")
        return words("concept.suggested_surely", confidence=write_decimal(name.confidence))
    author = name.author or words("concept.someone")
    if name.date:
        return words("concept.expert", author=author, date=name.date)
    return words("concept.expert_undated", author=author)


def find_line(site: Site, name: ConceptName) -> str | None:
    """Return the address of an expert's line in the repository, None where either is not known."""
    if not site.repository or not name.file or not name.line:
        return None
    return f"{site.repository.rstrip('/')}/blob/HEAD/{quote(name.file)}#L{name.line}"


def tell_name(site: Site, page: str, concept: AtlasConcept) -> list[str]:
    """Return what a name means in plain words, which terms it is made of, and what others say of it."""
    words, name = site.words, concept.name
    if name is None:
        return [words("concept.unnamed")]
    told: list[str] = []
    if name.plain and name.plain.casefold() != name.text.casefold():
        told.append(words("name.plain", plain=name.plain[:1].lower() + name.plain[1:]))
    if name.terms:
        linked = link_terms(site, page, name.terms)
        told.append(words("name.terms", n=len(linked), terms=words.join(linked)))
    if name.note:
        told.append(words("name.note", note=name.note))
    if name.agree:
        told.append(words("name.agree", n=len(name.agree), who=words.join(list(name.agree))))
    if name.disagree:
        told.append(words("name.disagree", n=len(name.disagree), who=words.join(list(name.disagree))))
    if name.suggested:
        told.append(words("name.suggested", text=name.suggested))
    return told
