"""A query's page: a picture without a family, which is only explained."""

from __future__ import annotations

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, SpecimenHeatmap
from leaflineage.website import links, sentences
from leaflineage.website.context import Site, is_built, species_of
from leaflineage.website.figures import leaf_word, make_axis, make_picture, place_bar, place_zero, sign_of
from leaflineage.website.pages.parts import Bar, Fact, Link, Overlay, Row
from leaflineage.website.pages.specimen import Explanation, SpecimenPage

N_PREDICTED = 5
N_OVERLAYS = 5  # heat maps shown for each candidate family


def view_specimen(site: Site, specimen: AtlasSpecimen) -> SpecimenPage:
    """Return the page of one query."""
    words, page = site.words, links.specimen_page(specimen.id)
    name = specimen.catalogue_number or specimen.id
    title = words("specimen.title", name=name)
    predicted = [
        (site.family_link(page, each.family), each.family, Bar(0.0, max(0.0, min(1.0, each.score)), "for"), each.score)
        for each in specimen.predicted[:N_PREDICTED]
    ]
    if predicted:
        link, text, _, _ = predicted[0]
        sentence = words("specimen.sentence", family=link.text if link else text)
    else:
        sentence = words("specimen.sentence_none")
    return SpecimenPage(
        frame=site.make_frame(page, title, words("specimen.description"), styles=("charts", "concept")),
        crumbs=(Link(words("chrome.families"), site.link(page, links.FAMILIES)),),
        title=title,
        sentence=sentence,
        picture=make_picture(
            page,
            specimen.image,
            specimen.width,
            specimen.height,
            words("alt.query", leaf=leaf_word(site), specimen=name),
        ),
        tall=specimen.height > specimen.width,
        label=_make_label(site, specimen),
        predicted=tuple(predicted),
        explanations=tuple(_explain(site, page, specimen, family) for family in _list_candidates(site, specimen)),
        heat_caption=sentences.caution_heat(words, site.index, [specimen]) if specimen.heatmaps else "",
        neighbours=tuple(_list_neighbours(site, page, specimen)),
        caveats=(
            words("caveat.score", n=site.index.classifier.n_outputs),
            *sentences.caution_scale(words, [specimen]),
            words("caveat.absence"),
        ),
    )


def _list_candidates(site: Site, specimen: AtlasSpecimen) -> list[AtlasFamily]:
    slugs = list(dict.fromkeys(key.partition("/")[0] for key in specimen.contributions if "/" in key))
    scores = {family.slug: each.score for each in specimen.predicted if (family := site.find_family(each.family))}
    families = [site.families[slug] for slug in slugs if slug in site.families and is_built(site.families[slug])]
    return sorted(families, key=lambda family: (-scores.get(family.slug, 0.0), family.slug))


def _explain(site: Site, page: str, specimen: AtlasSpecimen, family: AtlasFamily) -> Explanation:
    shown = {concept.id: concept for concept in family.concepts}
    values = {key: logits for key, logits in specimen.contributions.items() if key in shown}
    rest = specimen.contributions.get(f"{family.slug}/rest", specimen.contributions.get("rest", 0.0))
    axis = make_axis([*values.values(), rest])
    rows = [
        Row(
            label=site.name_concept(shown[key]),
            href=site.link(page, links.concept_page(key)),
            sign=site.words(f"sign.{sign_of(logits)}_short"),
            bar=place_bar(logits, axis),
            logits=logits,
            share=None,
            index=specimen.importances.get(key),
            interval=None,
            whisker=None,
        )
        for key, logits in sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    rest_sign = site.words(f"sign.{sign_of(rest)}_short")
    rows.append(
        Row(site.words("table.rest"), None, rest_sign, place_bar(rest, axis, "rest"), rest, None, None, None, None)
    )
    heatmaps = {each.concept: each for each in specimen.heatmaps if each.concept in shown}
    strongest = sorted(heatmaps.values(), key=lambda each: (-abs(values.get(each.concept, 0.0)), each.concept))
    return Explanation(
        family=Link(family.name, site.link(page, links.family_page(family.slug))),
        anchor=f"for-{family.slug}",
        rows=tuple(rows),
        zero=place_zero(axis),
        overlays=tuple(
            _make_overlay(site, page, specimen, family, shown[each.concept], each) for each in strongest[:N_OVERLAYS]
        ),
    )


def _make_overlay(
    site: Site,
    page: str,
    specimen: AtlasSpecimen,
    family: AtlasFamily,
    concept: AtlasConcept,
    heatmap: SpecimenHeatmap,
) -> tuple[Overlay, Link]:
    label, who = site.tell_concept(concept), specimen.catalogue_number or specimen.id
    alt = site.words("alt.query_under", leaf=leaf_word(site), specimen=who, concept=label, family=family.name)
    heat = site.words("alt.query_heat", specimen=who, concept=label, family=family.name)
    overlay = Overlay(
        specimen=make_picture(page, specimen.image, specimen.width, specimen.height, alt),
        heat=make_picture(page, heatmap.heatmap, specimen.width, specimen.height, heat),
        frame=(specimen.original_width, specimen.original_height),
        box=None,
        species=None,
        coefficient=heatmap.coefficient,
        tall=specimen.height > specimen.width,
    )
    return overlay, Link(site.name_concept(concept), site.link(page, links.concept_page(concept.id)))


def _make_label(site: Site, specimen: AtlasSpecimen) -> tuple[Fact, ...]:
    words = site.words
    facts = [
        ("specimen.number", specimen.catalogue_number or specimen.id),
        ("specimen.species", species_of(specimen)),
        ("specimen.source", specimen.source),
        ("specimen.licence", specimen.licence),
        ("specimen.credit", specimen.credit),
        (
            "specimen.size",
            words("specimen.size_text", width=specimen.original_width, height=specimen.original_height),
        ),
        (
            "specimen.scale",
            words("specimen.scale_text", value=f"{specimen.px_per_mm:.1f}") if specimen.px_per_mm else None,
        ),
    ]
    return tuple(Fact(words(key), text) for key, text in facts if text)


def _list_neighbours(site: Site, page: str, specimen: AtlasSpecimen) -> list[tuple[Link | None, str, float, str]]:
    queries = {each.id for each in site.index.queries if not each.withheld}
    near = []
    for each in specimen.neighbours:
        link = Link(each.id, site.link(page, links.specimen_page(each.id))) if each.id in queries else None
        near.append((link, each.id, each.similarity, site.words("specimen.same_group") if each.same_group else ""))
    return near
