"""Crops and whole leaves as the pages of concepts and specimens show them, and the drawn leaf of zones."""

from __future__ import annotations

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Crop
from leaflineage.website import links
from leaflineage.website.context import Site, identify, species_of
from leaflineage.website.figures import leaf_word, make_picture
from leaflineage.website.pages.leaves import CropView, LeafView, ZoneBar, Zones
from leaflineage.website.words import write_percent, write_percent_interval

N_BARS = 3  # zones that are told of beside the drawing
PALEST = 0.06  # share of the strongest zone's under which a zone stays blank
DRAWN_ZONES = ("petiole", "base", "midvein", "secondary veins", "blade", "margin", "apex")


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
) -> LeafView:
    """Return the whole leaf of a crop under a map, with the crop's box."""
    x0, y0, x1, y1 = crop.box
    width, height = specimen.original_width, specimen.original_height
    species, number = species_of(specimen), specimen.catalogue_number or specimen.id
    return LeafView(
        picture=make_picture(page, specimen.image, specimen.width, specimen.height, alt),
        heat=links.relative(page, links.media(heatmap)),
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
        views.append(view_leaf(site, page, crop, specimen, heatmap=crop.heatmap, alt=alt))
    return tuple(views)


def view_zones(site: Site, family: AtlasFamily, concept: AtlasConcept) -> Zones | None:
    """Return where on the leaf a concept is, or None where that was not measured.

    A zone of the record that the drawing lacks (the ground, a ruler) has its bar and no shade.
    """
    found = [each for each in (concept.name.zones if concept.name else []) if "zone" in each and "share" in each]
    if not found:
        return None
    words = site.words
    shares = {str(each["zone"]).replace("_", " "): float(each["share"]) for each in found}
    intervals = {str(each["zone"]).replace("_", " "): each.get("interval") for each in found}
    drawn = {zone: shares.get(zone, 0.0) for zone in DRAWN_ZONES}
    strongest = max(drawn.values())
    shades = {
        zone: round(0.85 * share / strongest, 2) if strongest > 0 and share >= PALEST * strongest else 0.0
        for zone, share in drawn.items()
    }
    first = sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))[:N_BARS]
    told = [
        words(
            "zone.told",
            zone=name_zone(site, zone),
            interval=write_percent_interval((span[0], span[1]), words),
        )
        for zone, share in first
        if (span := intervals[zone])
    ]
    listed = words.join([f"{name_zone(site, zone)} {write_percent(share, words)}" for zone, share in first])
    return Zones(
        shades=shades,
        bars=tuple(ZoneBar(name_zone(site, zone), share) for zone, share in first),
        alt=words("zone.alt", concept=site.tell_concept(concept), family=family.name, zones=listed),
        note=words("zone.note")
        + (" " + words("zone.intervals", zones=words("list.semicolon").join(told)) if told else ""),
    )


def name_zone(site: Site, zone: str) -> str:
    """Return the word for a zone of the leaf; one without a word of its own is called by its name."""
    return site.words.get(f"zone.called_{zone.replace(' ', '_')}", zone)
