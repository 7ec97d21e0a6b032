"""The list of all families."""

from __future__ import annotations

from leaflineage.records import AtlasFamily, AtlasSpecimen
from leaflineage.website import links
from leaflineage.website.context import Site, is_built, list_stable
from leaflineage.website.figures import (
    leaf_word,
    make_badges,
    make_picture,
    picture_of_concept,
)
from leaflineage.website.pages.families import FamiliesPage, FamilyLine
from leaflineage.website.pages.home import Start
from leaflineage.website.pages.parts import Fact, Link
from leaflineage.website.words import Words, find_span, write_decimal

N_QUERY_PLATES = 12  # leaves without a family that are shown as pictures; the others are named


def view_families(site: Site) -> FamiliesPage:
    """Return the page of all families, those without concepts included, grouped by order where orders are known."""
    words, page = site.words, links.FAMILIES
    has_orders = any(family.order for family in site.index.families)
    families = sorted(
        site.index.families, key=lambda each: ((each.order or "\uffff") if has_orders else "", each.name, each.slug)
    )
    lines, last_order = [], object()
    for family in families:
        lines.append(_view_line(site, page, family, has_orders and family.order != last_order))
        last_order = family.order
    orders = tuple(dict.fromkeys(family.order for family in families if family.order))
    queries = [query for query in site.index.queries if not query.withheld]
    return FamiliesPage(
        frame=site.make_frame(
            page,
            words("families.title"),
            words("families.description"),
            style="families",
            scripts=("families",),
        ),
        lead=_tell_families(words, families, len(orders)),
        lines=tuple(lines),
        orders=orders,
        queries=tuple(_view_query(site, page, query) for query in queries[:N_QUERY_PLATES]),
        further_queries=tuple(
            Link(query.catalogue_number or query.id, site.link(page, links.specimen_page(query.id)))
            for query in queries[N_QUERY_PLATES:]
        ),
        unlisted=list_unlisted(site),
    )


def _tell_families(words: Words, families: list[AtlasFamily], n_orders: int) -> str:
    n = sum(is_built(family) for family in families)
    n_missing = len(families) - n
    told = [words("families.lead", n=n)]
    if n_orders > 1:
        told = [words("families.lead_orders", n=n, orders=n_orders)]
    if n_missing:
        told.append(words("families.lead_missing", n=n_missing))
    return " ".join(told)


def _view_query(site: Site, page: str, query: AtlasSpecimen) -> Start:
    words, name = site.words, query.catalogue_number or query.id
    alt = words("alt.query", leaf=leaf_word(site), specimen=name)
    picture = make_picture(page, query.image, query.width, query.height, alt, query.smaller)
    first = query.predicted[0] if query.predicted else None
    family = site.find_family(first.family) if first else None
    note = (
        words("families.query_note", family=family.name, score=write_decimal(first.score)) if family and first else ""
    )
    return Start(name, note, site.link(page, links.specimen_page(query.id)), picture)


def list_unlisted(site: Site) -> tuple[Fact, ...]:
    """Return the families of the catalogue that no output of the classifier stands for."""
    return tuple(Fact(str(each.get("name", "")), str(each.get("reason", ""))) for each in site.index.unlisted_families)


def _view_line(site: Site, page: str, family: AtlasFamily, first_of_order: bool) -> FamilyLine:
    first = family.concepts[0] if is_built(family) else None
    terms = [family.name, *family.aliases, family.common_name or "", family.order or "", *family.species]
    stable = list_stable(family)
    terms += [concept.name.text for concept in stable if concept.name]
    terms += [site.name_concept(first)] if first in stable else []
    return FamilyLine(
        name=family.name,
        href=site.link(page, links.family_page(family.slug)),
        common_name=family.common_name,
        order=family.order,
        first_of_order=first_of_order,
        missing=None if first else reason_of(site, family),
        picture=picture_of_concept(site, page, family, first) if first else None,
        concept=site.name_concept(first) if first else "",
        concept_href=site.link(page, links.concept_page(first.id)) if first else "",
        concept_share=first.importance.share if first else 0.0,
        n_specimens=family.n_specimens,
        accuracy=family.accuracy.top1 if family.accuracy else None,
        accuracy_interval=find_span(family.accuracy.interval) if family.accuracy else None,
        explained=explained_of(family),
        explained_interval=find_span(family.explained_interval),
        badges=tuple(badge for badge in make_badges(site, first) if badge.warns) if first else (),
        terms=" ".join(term for term in terms if term).lower(),
        values=" ".join(
            "-" if value is None else f"{value:.6g}"
            for value in (
                family.n_specimens,
                family.accuracy.top1 if family.accuracy else None,
                explained_of(family) if first else None,
                first.importance.share if first else None,
            )
        ),
    )


def reason_of(site: Site, family: AtlasFamily) -> str:
    """Return why a family has no concepts."""
    return family.missing or site.words("families.no_concept")


def explained_of(family: AtlasFamily) -> float | None:
    """Return the share of the logit's variance under masking that the fitted concepts take."""
    if family.explained_share is not None:
        return family.explained_share
    return 1 - family.rest.residual_share if family.rest else None


def list_genera(family: AtlasFamily) -> list[str]:
    """Return the genera of a family's species, sorted."""
    return sorted({species.split(" ")[0] for species in family.species if species.strip()})
