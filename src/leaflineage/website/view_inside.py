"""Concepts inside a concept: what a concept's crops hold, factorised again."""

from __future__ import annotations

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Recursion, Subconcept
from leaflineage.website.context import Site, identify, number_of
from leaflineage.website.figures import leaf_word, make_picture
from leaflineage.website.pages.concept import Inside, Subplate
from leaflineage.website.pages.parts import Picture
from leaflineage.website.words import write_decimal, write_measured, write_measured_percent, write_signed

N_CROPS = 6  # of a sub-concept


def view_inside(
    site: Site, page: str, family: AtlasFamily, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen]
) -> Inside | None:
    """Return how a concept was divided and into what, or None where it was not."""
    found = concept.recursion
    if found is None or not found.subconcepts:
        return None
    words = site.words
    key = "inside.sentence_semi" if found.method == "semi-nmf" else "inside.sentence_nmf"
    widest = max(each.importance.share for each in found.subconcepts)
    return Inside(
        root=site.tell_concept(concept),
        sentence=words(key, n=found.n_crops, layer=found.layer),
        rest=words("inside.rest", rest=write_measured_percent(found.rest_share, found.rest_interval, words)),
        kept=_tell_kept(site, found),
        error=words("inside.error", error=write_decimal(found.relative_error)),
        plates=tuple(_view_plate(site, page, family, concept, each, specimens, widest) for each in found.subconcepts),
    )


def _tell_kept(site: Site, found: Recursion) -> str | None:
    """Return how much of the concept the enlarged squares hold: less than their leaves, or more."""
    if found.coefficient_kept is None:
        return None
    percentage = round(100 * found.coefficient_kept)
    key = "inside.kept_more" if percentage > 100 else "inside.kept"
    return site.words(key, kept=site.words("percent.plain", value=percentage))


def name_subconcept(site: Site, concept: AtlasConcept, inside: Subconcept) -> str:
    """Return "Concept 3.1" for the first concept inside concept 3."""
    last = inside.id.rpartition("-")[2]
    number = int(last) if last.isdigit() else inside.concept_index + 1
    return site.words("inside.label", number=number_of(concept), inside=number)


def _view_plate(
    site: Site,
    page: str,
    family: AtlasFamily,
    concept: AtlasConcept,
    inside: Subconcept,
    specimens: dict[str, AtlasSpecimen],
    widest: float,
) -> Subplate:
    words, importance, label = site.words, inside.importance, name_subconcept(site, concept, inside)
    against = importance.contribution < 0
    return Subplate(
        anchor=inside.id.rpartition("/")[2],
        label=label,
        share=importance.share,
        share_text=write_measured_percent(importance.share, importance.share_interval, words),
        widest=widest,
        against=against,
        sentence=words(
            "inside.takes" if against else "inside.adds",
            value=write_measured(importance.contribution, importance.contribution_interval, words, write_signed),
        ),
        picture=_picture(site, page, family, inside, label),
        crops=_crops(site, page, family, inside, label, specimens),
    )


def _picture(site: Site, page: str, family: AtlasFamily, inside: Subconcept, label: str) -> Picture | None:
    if not inside.visualizations:
        return None
    first = inside.visualizations[0]
    alt = site.words("alt.inside_visualization", concept=label, family=family.name, rank=inside.rank)
    return make_picture(page, first.image, first.width, first.height, alt, first.smaller)


def _crops(
    site: Site, page: str, family: AtlasFamily, inside: Subconcept, label: str, specimens: dict[str, AtlasSpecimen]
) -> tuple[tuple[Picture, str | None], ...]:
    """Return the crops of a concept inside a concept, each with the address of its specimen's page."""
    crops = [crop for crop in inside.crops if crop.kind == "top"][:N_CROPS]
    pictures = []
    for n, crop in enumerate(crops, 1):
        specimen = specimens[crop.specimen]
        alt = site.words(
            "alt.inside_crop",
            leaf=leaf_word(site),
            specimen=identify(specimen, site.words),
            n=n,
            all=len(crops),
            concept=label,
            family=family.name,
        )
        picture = make_picture(page, crop.image, crop.width, crop.height, alt)
        pictures.append((picture, site.specimen_link(page, specimen.id)))
    return tuple(pictures)
