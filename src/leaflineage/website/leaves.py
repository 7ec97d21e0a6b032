"""Crops and whole leaves as the pages of concepts and specimens show them, and the drawn leaf of zones."""

from __future__ import annotations

from functools import partial

from leaflineage.records import AtlasConcept, AtlasSpecimen, Crop
from leaflineage.website import links
from leaflineage.website.context import Site, identify, number_of, species_of
from leaflineage.website.figures import leaf_word, make_picture, place_bar, place_span
from leaflineage.website.pages.leaves import CropView, LeafView, ZoneBar, Zones
from leaflineage.website.pages.parts import Picture
from leaflineage.website.words import write_decimal, write_measured, write_percent

N_BARS = 3  # zones that are told of beside the picture
LEAST_SHARE = 0.01  # of a concept's coefficient, for a zone to be told of
GROUND = ("background", "padding")  # told of in a sentence: cells are larger than zones, and all reach over the edge


def shorten_species(species: str) -> str:
    """Return "B. pendula" for "Betula pendula"; a genus alone stays as it is."""
    genus, _, epithet = species.partition(" ")
    return f"{genus[0]}. {epithet}" if epithet else genus


def view_crops(
    site: Site,
    page: str,
    concept: AtlasConcept,
    specimens: dict[str, AtlasSpecimen],
    *,
    kind: str,
    limit: int,
) -> tuple[CropView, ...]:
    """Return a concept's crops of one kind, strongest first."""
    words = site.words
    crops = [crop for crop in concept.crops if crop.kind == kind][:limit]
    views = []
    for n, crop in enumerate(crops, 1):
        specimen = specimens[crop.specimen]
        species, who = species_of(specimen), identify(specimen, words)
        alt = words(f"crop.alt_{kind}", leaf=leaf_word(site), specimen=who, n=n)
        views.append(
            CropView(
                picture=make_picture(page, crop.image, crop.width, crop.height, alt),
                page=site.specimen_link(page, specimen.id),
                name=shorten_species(species) if species else specimen.catalogue_number or specimen.id,
                latin=bool(species),
                number="",
                coefficient=crop.coefficient,
            )
        )
    return tuple(views)


def view_leaf(
    site: Site,
    page: str,
    crop: Crop,
    specimen: AtlasSpecimen,
    *,
    heatmap: str,
    alt: str,
    anchor: str,
    first: bool = True,
) -> LeafView:
    """Return the whole leaf of a crop under a map, with the crop's box.

    Parameters
    ----------
    anchor
        Of the map on the page.
    first
        Whether the map stands there for the first time.
    """
    x0, y0, x1, y1 = crop.box
    width, height = specimen.original_width, specimen.original_height
    species, number = species_of(specimen), specimen.catalogue_number or specimen.id
    return LeafView(
        picture=make_picture(page, specimen.image, specimen.width, specimen.height, alt),
        heat=links.relative(page, links.media(heatmap)),
        anchor=anchor,
        first=first,
        box=(x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height),
        tall=specimen.height > specimen.width,
        page=site.specimen_link(page, specimen.id),
        name=species or number,
        latin=bool(species),
        number=number if species else "",
        coefficient=crop.coefficient,
    )


def view_leaves(
    site: Site, page: str, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen], *, limit: int
) -> tuple[LeafView, ...]:
    """Return the whole leaves of a concept's top crops, in colour where the concept is active."""
    crops = [crop for crop in concept.crops if crop.kind == "top"][:limit]
    views = []
    for n, crop in enumerate(crops, 1):
        specimen = specimens[crop.specimen]
        who = identify(specimen, site.words)
        alt = site.words("crop.alt_leaf", leaf=leaf_word(site), specimen=who, n=n)
        views.append(view_leaf(site, page, crop, specimen, heatmap=crop.heatmap, alt=alt, anchor=f"h{n}"))
    return tuple(views)


def view_zones(site: Site, page: str, concept: AtlasConcept) -> Zones | None:
    """Return where on the leaf a concept is, or None where that was not measured."""
    words = site.words
    told = [each for each in concept.zones if each.share >= LEAST_SHARE and each.zone not in GROUND]
    if not concept.zones or not told:
        return None
    told = sorted(told, key=lambda each: (-each.interval[0], each.zone))[:N_BARS]
    axis = (0.0, max(1.0, *(each.interval[1] for each in told)) * 1.02)
    bars = []
    for each in told:
        value = write_measured(each.enrichment, each.interval, words, partial(write_decimal, digits=1))
        bars.append(
            ZoneBar(
                label=name_zone(site, each.zone),
                bar=place_bar(each.enrichment, axis, "for"),
                reach=place_span(each.enrichment, each.interval, axis),
                times=words("zone.times", value=value),
                share=each.share,
            )
        )
    note = [words("zone.note")]
    if concept.off_leaf_share is not None:
        note.append(words("zone.beside", share=write_percent(concept.off_leaf_share, words)))
    reasons = concept.name.reasons if concept.name else []
    return Zones(
        picture=view_leaf_picture(site, page, concept),
        bars=tuple(bars),
        even=1 / axis[1],
        note=" ".join(note),
        reasons=tuple(reasons),
    )


def view_leaf_picture(site: Site, page: str, concept: AtlasConcept) -> Picture | None:
    """Return the leaf that stands for all, shaded where the concept is, at half its pixels; None where none is."""
    leaf = concept.leaf
    if leaf is None:
        return None
    zones = [each for each in concept.zones if each.zone not in GROUND and each.share >= LEAST_SHARE]
    zones.sort(key=lambda each: (-each.interval[0], each.zone))
    listed = site.words.join([name_zone(site, each.zone) for each in zones[:2]])
    alt = site.words("zone.alt", number=number_of(concept), zones=listed or site.words("zone.none"))
    return make_picture(page, leaf.image, leaf.width // 2, leaf.height // 2, alt)


def name_zone(site: Site, zone: str) -> str:
    """Return the word for a zone of the leaf; one without a word of its own is called by its name."""
    return site.words.get(f"zone.called_{zone.replace(' ', '_')}", zone)
