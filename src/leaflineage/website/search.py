"""What the search box knows, written as a classic script so that it works from a folder.

Everything is said once: families stand in a list with their species, their concepts and their pictures, and the browser
makes entries, addresses and texts of them when the box is first used.

    orders    names of orders
    names     names of concepts, ``terms`` the further words under which they are found
    width     px, the width of the small pictures
    families  [name, slug or 0, common name, order (1-based, 0: none), further words, 1 where it has concepts,
               picture, species, concepts], by name
    queries   [id, title or 0, species, picture]

A slug of 0 is the name in lower case. A picture is 0 (none), the place of its stem in ``STEMS``, or a path. Species are
"Betula nana,pendula|Carpinus betulus": genera behind "|", epithets behind ",". Concepts are five numbers each, by rank:
number, share in per cent, name and terms (their places, -1: none), picture. Concepts that refits do not find again are
left out: they stand on their family's page, marked unstable.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from leaflineage.records import AtlasConcept, AtlasFamily, ConceptName, Visualization
from leaflineage.website import links
from leaflineage.website.context import Site, is_built, list_stable, number_of
from leaflineage.website.terms import list_further_words

STEMS = ("", "concept-{number}", "concept-{number}-accentuation", "family")  # in a family's folder of visualizations
SMALL = 88  # px, the least width of a picture that is sharp at the size of a result


def make_search_index(site: Site) -> str:
    """Return the script that defines ``LEAFLINEAGE_INDEX``."""
    families = sorted(site.index.families, key=lambda each: (each.name, each.slug))
    orders = sorted({family.order for family in families if family.order})
    stable = {family.slug: list_stable(family) if is_built(family) else [] for family in families}
    named = [concept.name for concepts in stable.values() for concept in concepts if concept.name]
    names = _list_often(name.text for name in named)
    terms = _list_often(filter(None, (_join_further(site, name) for name in named)))
    width = find_width(families)
    places = [{text: place for place, text in enumerate(texts)} for texts in (orders, names, terms)]

    def encode(family: AtlasFamily, concepts: list[AtlasConcept]) -> list[Any]:
        further = {each.id: _join_further(site, each.name) if each.name else "" for each in concepts}
        return _encode_family(family, concepts, further, *places, width=width)

    data = {
        "orders": orders,
        "names": names,
        "terms": terms,
        "width": width,
        "families": [encode(each, stable[each.slug]) for each in families],
        "queries": [
            [
                query.id,
                query.catalogue_number if query.catalogue_number and query.catalogue_number != query.id else 0,
                query.species or "",
                links.media(links.smaller(query.image, width)) if width in query.smaller else 0,
            ]
            for query in site.index.queries
            if not query.withheld
        ],
    }
    return f"const LEAFLINEAGE_INDEX = {dump_script(data)};\n"


def _join_further(site: Site, name: ConceptName) -> str:
    """Return the words beside a name under which its concept is found: "stem" finds the petiole."""
    said = name.text.lower().replace(":", " ").replace("+", " ").split()
    return " ".join(word for word in list_further_words(site.words, name) if word not in said)


def find_width(families: Iterable[AtlasFamily]) -> int:
    """Return the width of the copies that suit a result best, of most pictures: the smallest sharp one; 0 for none."""
    counts: Counter[int] = Counter()
    for family in families:
        for picture in [family.visualization, *(_first(concept) for concept in family.concepts)]:
            widths = picture.smaller if picture else []
            counts.update([width for width in widths if width >= SMALL][:1] or widths[-1:])
    return min(counts, key=lambda width: (-counts[width], width)) if counts else 0


def list_genera_with_species(species: Iterable[str]) -> str:
    """Return "Betula nana,pendula|Carpinus betulus"; names without a genus of their own stand alone."""
    genera: dict[str, list[str]] = {}
    for name in sorted(species):
        genus, _, epithet = name.replace("|", " ").replace(",", " ").strip().partition(" ")
        if genus:
            genera.setdefault(genus, []).extend([epithet.strip()] if epithet.strip() else [])
    return "|".join(f"{genus} {','.join(epithets)}".strip() for genus, epithets in genera.items())


def _list_often(texts: Iterable[str]) -> list[str]:
    """Return the different texts, the most frequent first, so that their places are short."""
    counts = Counter(texts)
    return sorted(counts, key=lambda text: (-counts[text], text))


def _encode_family(
    family: AtlasFamily,
    concepts: list[AtlasConcept],
    further: dict[str, str],
    orders: dict[str, int],
    names: dict[str, int],
    terms: dict[str, int],
    *,
    width: int,
) -> list[Any]:
    flat: list[int | str] = []
    for concept in concepts:
        name = concept.name
        flat += [
            number_of(concept),
            round(concept.importance.share * 100),
            names[name.text] if name else -1,
            terms[further[concept.id]] if further[concept.id] else -1,
            _encode_picture(family.slug, _first(concept), width, number_of(concept)),
        ]
    own = family.visualization if family.visualization and width in family.visualization.smaller else None
    first = family.concepts[0] if is_built(family) else None
    picture = own or (_first(first) if first else None)
    return [
        family.name,
        0 if family.slug == family.name.lower() else family.slug,
        family.common_name or "",
        orders[family.order] + 1 if family.order else 0,
        " ".join([*family.aliases, *([family.clade] if family.clade else [])]),
        int(is_built(family)),
        _encode_picture(family.slug, picture, width, number_of(first) if first else 0),
        list_genera_with_species(family.species),
        flat,
    ]


def _first(concept: AtlasConcept) -> Visualization | None:
    return concept.visualizations[0] if concept.visualizations else None


def _encode_picture(slug: str, picture: Visualization | None, width: int, number: int) -> int | str:
    if picture is None or width not in picture.smaller:
        return 0
    for place, stem in enumerate(STEMS[1:], 1):
        if picture.image == f"families/{slug}/visualizations/{stem.format(number=f'{number:02d}')}.webp":
            return place
    return links.media(links.smaller(picture.image, width))


def make_script_words(site: Site) -> str:
    """Return the script that defines ``LEAFLINEAGE_WORDS``: what scripts say."""
    return f"const LEAFLINEAGE_WORDS = {dump_script(site.words.table('script'))};\n"


def dump_script(data: Any) -> str:
    """Return JSON that is also safe inside a script: nothing in it closes an element or a line."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for mark in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text
