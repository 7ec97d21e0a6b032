"""The shortcut alarm on the pages: concepts that look past the leaf, and what of a family's importance they hold."""

from __future__ import annotations

from leaflineage.records import AtlasConcept, AtlasFamily
from leaflineage.website import links
from leaflineage.website.context import Site, is_built
from leaflineage.website.pages.alarms import Alarm, AlarmedConcept, AlarmedFamily
from leaflineage.website.pages.parts import Fact, Link
from leaflineage.website.words import write_decimal, write_integer, write_percent

BY_PLACE = ("background", "foreign", "border")
BY_SOURCE = ("source",)


def list_alarms(concept: AtlasConcept) -> list[str]:
    """Return the flags of a concept that mean a possible shortcut."""
    return [flag for flag in concept.flags if flag in (*BY_PLACE, *BY_SOURCE)]


def tell_alarms(site: Site, concept: AtlasConcept) -> str:
    """Return the numbers for which a concept is flagged, nothing where it is not."""
    words = site.words
    told: list[str] = []
    for flag in list_alarms(concept):
        if flag == "source":
            auc = concept.source_auc.get(concept.told_source or "")
            if concept.told_source and auc is not None:
                told.append(words("alarm.of_source", source=concept.told_source, auc=write_decimal(auc)))
            continue
        share = {
            "background": concept.off_leaf_share,
            "foreign": concept.foreign_share,
            "border": concept.border_share,
        }[flag]
        if share is not None:
            told.append(words(f"alarm.of_{flag}", share=write_percent(share, words)))
    return words("alarm.because", told=words("list.semicolon").join(told)) if told else ""


def list_facts(site: Site, concept: AtlasConcept) -> list[Fact]:
    """Return what was measured for the alarm, flagged or not."""
    words, facts = site.words, []
    if concept.off_leaf_share is not None:
        facts.append(Fact(words("alarm.off_leaf"), words("alarm.of_background", share=_percent(site, concept))))
    if concept.source_auc:
        told = [f"{source} {write_decimal(auc)}" for source, auc in sorted(concept.source_auc.items())]
        facts.append(Fact(words("concept.sources"), words("alarm.sources", told=words.join(told))))
    return facts


def _percent(site: Site, concept: AtlasConcept) -> str:
    return write_percent(concept.off_leaf_share or 0.0, site.words)


def tell_family(site: Site, family: AtlasFamily) -> str | None:
    """Return what share of a family's importance flagged concepts hold, and which alarm is off; None for nothing."""
    words, told = site.words, []
    kinds = {flag for concept in family.concepts for flag in list_alarms(concept)}
    if kinds and family.shortcut_share is not None:
        by_place, by_source = kinds.intersection(BY_PLACE), kinds.intersection(BY_SOURCE)
        key = "both" if by_place and by_source else "place" if by_place else "source"
        n = sum(bool(list_alarms(concept)) for concept in family.concepts)
        share = write_percent(family.shortcut_share, words)
        told.append(words(f"alarm.family_{key}", n=n, share=share))
    if "one_source" in family.flags:
        source = max(family.source_shares, key=lambda name: family.source_shares[name])
        key = "species" if "one_species" in family.flags else "source"
        told.append(words(f"alarm.one_{key}", source=source, share=write_percent(family.source_shares[source], words)))
    off = tell_off(site)
    if off:
        told.append(off)
    return " ".join(told) or None


def tell_off(site: Site) -> str:
    """Return that the alarm by place is off, where cells with little leaf were left out of the fit; else nothing."""
    least = site.index.run.settings.get("concepts", {}).get("min_leaf_share") or 0
    return site.words("alarm.off", least=write_percent(least, site.words)) if least > 0 else ""


def caution_zones(site: Site, family: AtlasFamily) -> list[str]:
    """Return that zones are computed, and on how many of the family's images they could not be found."""
    n = family.n_located
    if n is None:
        return []
    places = {"n": family.n_specimens - n, "all": family.n_specimens}
    if any(concept.zones for concept in family.concepts):
        return [site.words("caveat.zones", **places)]
    return [site.words("caveat.zones_few", located=n, all=family.n_specimens)]


def view_alarm(site: Site) -> Alarm | None:
    """Return all flagged concepts, the families with most of their importance in them first; None in older runs."""
    words, page = site.words, links.METHOD
    built = [family for family in site.index.families if is_built(family) and family.n_located is not None]
    if not built:
        return None
    flagged = [family for family in built if any(map(list_alarms, family.concepts))]
    one_source = [family for family in built if "one_source" in family.flags]
    listed = sorted(
        {each.slug: each for each in [*flagged, *one_source]}.values(),
        key=lambda each: (-(each.shortcut_share or 0.0), each.name),
    )
    n_concepts = sum(bool(list_alarms(concept)) for family in flagged for concept in family.concepts)
    places = {"flagged": write_integer(len(flagged)), "families": words("count.families", n=len(built))}
    told = [words("alarm.found" if flagged else "alarm.none", n=n_concepts, **places)]
    if one_source:
        told.append(words("alarm.sources_one", n=len(one_source)))
    return Alarm(
        sentence=" ".join(told),
        off=tell_off(site),
        families=tuple(_view_family(site, page, family) for family in listed),
    )


def _view_family(site: Site, page: str, family: AtlasFamily) -> AlarmedFamily:
    words = site.words
    largest = max(family.source_shares.items(), key=lambda pair: (pair[1], pair[0]), default=None)
    told = [words("caveat.species", n=family.n_species)]
    if largest is not None and not site.index.drawn:
        told.append(words("alarm.largest", source=largest[0], share=write_percent(largest[1], words)))
    if "one_source" in family.flags:
        told.append(words("flag.one_source"))
    concepts = [
        AlarmedConcept(
            link=Link(site.name_concept(concept), site.link(page, links.concept_page(concept.id))),
            flags=words.join([words(f"flag.{flag}") for flag in list_alarms(concept)]),
            numbers=tell_alarms(site, concept),
            share=concept.importance.share,
        )
        for concept in family.concepts
        if list_alarms(concept)
    ]
    return AlarmedFamily(
        link=Link(family.name, site.link(page, links.family_page(family.slug))),
        share=family.shortcut_share if any(map(list_alarms, family.concepts)) else None,
        composition=", ".join(told),
        concepts=tuple(concepts),
    )
