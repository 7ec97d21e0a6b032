"""Which specimens have a page: those that a page of their family shows, and from which record the page is made."""

from __future__ import annotations

from collections.abc import Mapping

from leaflineage.records import AtlasFamily, Index
from leaflineage.website.context import ShownSpecimen, join_species
from leaflineage.website.facts import RecordFacts
from leaflineage.website.rights import Rights, hide_listed, hide_queries

MOST_PAGES = 2_130  # of specimens on a site: 15 a family where there are 142; what is left weighs no more than the rest
FEWEST_PAGES = 12  # a family


def list_shown(
    facts: Mapping[str, RecordFacts], families: Mapping[str, AtlasFamily], rights: Rights
) -> dict[str, ShownSpecimen]:
    """Return {id: specimen} of the references that have a page, family by family, queries aside.

    A specimen that may not be shown has none. One that several families' pages show has one page, made from its own
    family's record where that shows it. A site of many families has pages of fewer specimens each.
    """
    shown: dict[str, ShownSpecimen] = {}
    most = max(FEWEST_PAGES, MOST_PAGES // max(1, len(facts)))
    for slug, found in facts.items():
        named = set(found.named[:most])
        for name, family, genus, species, number, licence in found.specimens:
            if name not in named or name in rights.withdrawn or not rights.allows(licence):
                continue
            is_own = family in (slug, families[slug].name)
            if name not in shown or is_own:
                shown[name] = ShownSpecimen(slug, join_species(genus, species), number or name)
    return shown


def hide_in_index(index: Index, facts: Mapping[str, RecordFacts], rights: Rights) -> Index:
    """Return the index without what shows specimens that may not be shown: it tells of none itself."""
    families = []
    for family in index.families:
        found = facts.get(family.slug)
        if found is not None:
            held = [each for each in found.specimens if each[0] not in rights.withdrawn and rights.allows(each[-1])]
            family = hide_listed(family, rights, {each[0] for each in held}, found.mentions)
        families.append(family)
    return index.model_copy(update={"families": families, "queries": hide_queries(index, rights)})
