"""What the search box knows: a compact list of entries, written as a classic script so that it works from a folder.

An entry is [kind, title, detail, address, further words]; the browser builds the MiniSearch index of them when the box
is first used. Titles and addresses stand once; families come first, so that equal scores favour them.
Concepts that refits do not find again are left out: they stand on their family's page, marked unstable.
"""

from __future__ import annotations

import json
from typing import Any

from leaflineage.website import links
from leaflineage.website.context import Site, is_built, list_stable
from leaflineage.website.view_families import list_genera

KINDS = ("family", "genus", "species", "concept", "specimen")


def make_search_index(site: Site) -> str:
    """Return the script that defines ``LEAFLINEAGE_INDEX``."""
    entries: list[list[Any]] = []
    families = sorted(site.index.families, key=lambda each: (each.name, each.slug))
    for family in families:
        detail = family.common_name or family.order or ""
        further = " ".join([*family.aliases, family.order or "", family.clade or ""]).strip()
        entries.append([0, family.name, detail, links.family_page(family.slug), further])
    for family in families:
        address = links.family_page(family.slug)
        entries += [[1, genus, family.name, address, ""] for genus in list_genera(family)]
        entries += [[2, species, family.name, address, ""] for species in family.species if " " in species]
        for concept in list_stable(family) if is_built(family) else []:
            terms = " ".join(concept.name.terms) if concept.name else ""
            entries.append([3, site.name_concept(concept), family.name, links.concept_page(concept.id), terms])
    for query in site.index.queries:
        title = query.catalogue_number or query.id
        entries.append([4, title, query.species or "", links.specimen_page(query.id), query.id])
    data = {"kinds": list(KINDS), "entries": entries}
    return f"const LEAFLINEAGE_INDEX = {dump_script(data)};\n"


def make_script_words(site: Site) -> str:
    """Return the script that defines ``LEAFLINEAGE_WORDS``: what scripts say."""
    return f"const LEAFLINEAGE_WORDS = {dump_script(site.words.table('script'))};\n"


def dump_script(data: Any) -> str:
    """Return JSON that is also safe inside a script: nothing in it closes an element or a line."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for mark in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text
