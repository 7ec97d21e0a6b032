"""A query's page: a picture without a family, which is only explained."""

from __future__ import annotations

from leaflineage.records import AtlasFamily, AtlasSpecimen
from leaflineage.website import links, sentences
from leaflineage.website.context import Site, is_built, species_of
from leaflineage.website.figures import leaf_word, make_axis, make_picture, place_bar, place_zero, sign_of
from leaflineage.website.pages import Bar, Fact, Link, Row, SpecimenPage


def view_specimen(site: Site, specimen: AtlasSpecimen) -> SpecimenPage:
    """Return the page of one query."""
    words, page = site.words, links.specimen_page(specimen.id)
    name = specimen.catalogue_number or specimen.id
    predicted = []
    for each in specimen.predicted[:5]:
        link = site.family_link(page, each.family)
        if link:
            predicted.append((link, Bar(0.0, max(0.0, min(1.0, each.score)), "for"), each.score))
    family = _explained_family(site, specimen)
    rows, zero = _make_rows(site, page, specimen, family) if family else ((), 0.0)
    title = words("specimen.title", name=name)
    return SpecimenPage(
        frame=site.make_frame(page, title, words("specimen.description")),
        crumbs=(Link(words("chrome.families"), site.link(page, links.FAMILIES)),),
        title=title,
        sentence=words("specimen.sentence", family=predicted[0][0].text)
        if predicted
        else words("specimen.sentence_none"),
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
        explained_for=family.name if family and rows else None,
        rows=rows,
        zero=zero,
        neighbours=tuple(_list_neighbours(site, page, specimen)),
        caveats=(
            words("caveat.score", n=site.index.classifier.n_outputs),
            *sentences.caution_scale(words, [specimen]),
            words("caveat.absence"),
        ),
    )


def _explained_family(site: Site, specimen: AtlasSpecimen) -> AtlasFamily | None:
    slugs = {key.partition("/")[0] for key in specimen.contributions if "/" in key}
    families = [site.families[slug] for slug in sorted(slugs) if slug in site.families]
    return families[0] if families and is_built(families[0]) else None


def _make_rows(site: Site, page: str, specimen: AtlasSpecimen, family: AtlasFamily) -> tuple[tuple[Row, ...], float]:
    shown = {concept.id: concept for concept in family.concepts}
    rest = sum(logits for key, logits in specimen.contributions.items() if key not in shown and key != "bias")
    values = {key: logits for key, logits in specimen.contributions.items() if key in shown}
    total = sum(specimen.importances.values()) or 1.0
    shares = {key: specimen.importances.get(key, 0.0) / total for key in values}
    axis = make_axis([*values.values(), rest])
    rows = [
        Row(
            label=site.name_concept(shown[key]),
            href=site.link(page, links.concept_page(key)),
            sign=site.words(f"sign.{sign_of(logits)}_short"),
            bar=place_bar(logits, axis),
            logits=logits,
            share=shares[key],
            index=None,
            interval=None,
            whisker=None,
        )
        for key, logits in sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    if not rows:
        return (), 0.0
    rows.append(
        Row(
            label=site.words("table.rest"),
            href=None,
            sign=site.words(f"sign.{sign_of(rest)}_short"),
            bar=place_bar(rest, axis, "rest"),
            logits=rest,
            share=max(0.0, 1 - sum(shares.values())),
            index=None,
            interval=None,
            whisker=None,
        )
    )
    return tuple(rows), place_zero(axis)


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
    queries = {each.id for each in site.index.queries}
    near = []
    for each in specimen.neighbours:
        link = Link(each.id, site.link(page, links.specimen_page(each.id))) if each.id in queries else None
        near.append((link, each.id, each.similarity, site.words("specimen.same_group") if each.same_group else ""))
    return near
