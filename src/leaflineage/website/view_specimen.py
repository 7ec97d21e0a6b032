"""A specimen's page: a reference that some page shows, or a query, which has no family and is only explained."""

from __future__ import annotations

from markupsafe import Markup

from leaflineage.records import AtlasFamily, AtlasSpecimen, SpecimenHeatmap, SpecimenNeighbour
from leaflineage.website import links, sentences
from leaflineage.website.context import Site, identify, is_built, number_of, species_of
from leaflineage.website.figures import leaf_word, make_axis, make_picture, place_bar, place_zero, sign_of
from leaflineage.website.pages.parts import Bar, Link
from leaflineage.website.pages.specimen import (
    ConceptRow,
    Explanation,
    LabelLine,
    NearSpecimen,
    ScoreRow,
    SpecimenPage,
    Thumbnail,
)
from leaflineage.website.words import write_decimal, write_percent, write_signed

N_PREDICTED = 5
LEAST_WEIGHT = 0.04  # of the strongest, for a concept to have a row of its own on a reference's page


def view_specimen(site: Site, specimen: AtlasSpecimen) -> SpecimenPage:
    """Return the page of one specimen, reference or query."""
    words, page = site.words, links.specimen_page(specimen.id)
    species, number = species_of(specimen), specimen.catalogue_number or specimen.id
    family = site.find_family(specimen.family) if specimen.family else None
    if specimen.role == "query":
        title = words("specimen.title", name=number)
        species = None
    else:
        title = species or number
    crumbs = [Link(words("chrome.families"), site.link(page, links.FAMILIES))]
    if family:
        crumbs.append(Link(family.name, site.link(page, links.family_page(family.slug))))
    return SpecimenPage(
        frame=site.make_frame(
            page,
            identify(specimen, words) if species else title,
            words("specimen.description_query")
            if family is None
            else words("specimen.description", family=family.name, specimen=identify(specimen, words)),
            style="specimen",
            scripts=("lightbox",),
        ),
        crumbs=tuple(crumbs),
        title=title,
        latin=bool(species),
        number=number if species else None,
        sentence=_tell_scores(site, page, specimen, family),
        picture=make_picture(
            page,
            specimen.image,
            specimen.width,
            specimen.height,
            words("specimen.alt", leaf=leaf_word(site), specimen=identify(specimen, words)),
            specimen.smaller,
        ),
        tall=specimen.height > specimen.width,
        label=_make_label(site, page, specimen, family),
        predicted=_list_scores(site, page, specimen, family),
        explanations=tuple(
            _explain(site, page, specimen, each, place)
            for place, each in enumerate(_list_candidates(site, specimen), 1)
        ),
        heat_caption=sentences.caution_heat(words, site.index, [specimen]) if specimen.heatmaps else "",
        neighbours=_list_neighbours(site, page, specimen),
        caveats=(
            words("caveat.score", n=site.index.classifier.n_outputs),
            words("caveat.fossil"),
            words("caveat.sign"),
            *sentences.caution_scale(words, [specimen]),
            words("caveat.absence"),
        ),
        files=_list_files(site, page, family),
        assumptions=site.link(page, f"{links.METHOD}#assumptions"),
    )


def _tell_scores(site: Site, page: str, specimen: AtlasSpecimen, family: AtlasFamily | None) -> str:
    """Return in one sentence what the classifier makes of the leaf."""
    words = site.words
    if not specimen.predicted:
        return words("specimen.sentence_none")
    first = specimen.predicted[0]
    taken, score = _link_name(site, page, first.family), write_decimal(first.score)
    if family is None:
        return words("specimen.sentence", family=taken, score=score)
    own = _link_name(site, page, family.slug)
    if site.find_family(first.family) == family:
        return words("specimen.sentence_right", family=own, score=score)
    own_score = next((each.score for each in specimen.predicted if site.find_family(each.family) == family), None)
    if own_score is None:
        return words("specimen.sentence_wrong", family=own, other=taken, score=score)
    return words("specimen.sentence_taken", family=own, other=taken, score=score, own_score=write_decimal(own_score))


def _link_name(site: Site, page: str, name: str) -> Markup:
    """Return a family's name as a link, or as it stands where the atlas has no page of it."""
    link = site.family_link(page, name)
    if link is None:
        return Markup("{}").format(name)
    return Markup('<a href="{}" lang="la">{}</a>').format(link.href, link.text)


def _list_scores(site: Site, page: str, specimen: AtlasSpecimen, family: AtlasFamily | None) -> tuple[ScoreRow, ...]:
    """Return the classifier's highest scores, the leaf's own family marked."""
    rows = []
    for each in specimen.predicted[:N_PREDICTED]:
        found = site.find_family(each.family)
        rows.append(
            ScoreRow(
                link=site.family_link(page, each.family),
                name=each.family,
                note=site.words("specimen.its_family") if found is not None and found == family else "",
                bar=Bar(0.0, max(0.0, min(1.0, each.score)), "for"),
                score=each.score,
            )
        )
    return tuple(rows)


def _list_candidates(site: Site, specimen: AtlasSpecimen) -> list[AtlasFamily]:
    """Return the families whose concepts were weighed on the leaf, by falling score."""
    slugs = list(dict.fromkeys(key.partition("/")[0] for key in specimen.contributions if "/" in key))
    scores = {found.slug: each.score for each in specimen.predicted if (found := site.find_family(each.family))}
    families = [site.families[slug] for slug in slugs if slug in site.families and is_built(site.families[slug])]
    return sorted(families, key=lambda family: (-scores.get(family.slug, 0.0), family.slug))


def _explain(site: Site, page: str, specimen: AtlasSpecimen, family: AtlasFamily, place: int) -> Explanation:
    """Return what each shown concept of a family adds on the leaf, strongest first, the rest last.

    There are many references: on their pages concepts that hardly count share a row, so that bars and bias still sum.
    """
    words = site.words
    shown = {concept.id: concept for concept in family.concepts}
    values = {key: logits for key, logits in specimen.contributions.items() if key in shown}
    least = LEAST_WEIGHT * max(map(abs, values.values()), default=0.0) if specimen.role == "reference" else 0.0
    weak = [logits for logits in values.values() if abs(logits) < least]
    told = values if len(weak) < 2 else {key: logits for key, logits in values.items() if abs(logits) >= least}
    rest, bias = (_find_part(site, specimen, family, part) for part in ("rest", "bias"))
    others = sum(weak) if len(told) < len(values) else None
    axis = make_axis([*told.values(), others or 0.0, rest or 0.0])
    heats = {each.concept: each for each in specimen.heatmaps}
    rows = [
        ConceptRow(
            label=site.name_concept(shown[key]),
            href=site.link(page, links.concept_page(key)),
            sign=words(f"sign.{sign_of(logits)}_short"),
            bar=place_bar(logits, axis),
            logits=logits,
            index=specimen.importances.get(key),
            heat=_find_map(page, heats.get(key)),
            anchor=f"m{place}-{n}",
            alt=words("specimen.spot", number=number_of(shown[key]), family=family.name),
        )
        for n, (key, logits) in enumerate(sorted(told.items(), key=lambda pair: (-pair[1], pair[0])), 1)
    ]
    together = [(words("specimen.others", n=len(weak)), others, None), (words("table.rest"), rest, "rest")]
    for label, logits, fill in together:
        if logits is not None:
            sign = words(f"sign.{sign_of(logits)}_short")
            rows.append(ConceptRow(label, None, sign, place_bar(logits, axis, fill), logits, None, None, "", ""))
    total = None
    if rest is not None and bias is not None:
        whole = sum(values.values()) + rest + bias
        total = words("specimen.total", bias=write_signed(bias), total=write_signed(whole))
    return Explanation(
        family=Link(family.name, site.link(page, links.family_page(family.slug))),
        anchor=f"for-{family.slug}",
        heading=words("specimen.why", family=Markup('<span lang="la">{}</span>').format(family.name)),
        rows=tuple(rows),
        zero=place_zero(axis),
        gathered=words("specimen.gathered", share=write_percent(LEAST_WEIGHT, words)) if others is not None else "",
        total=total,
        has_maps=any(row.heat for row in rows),
    )


def _find_part(site: Site, specimen: AtlasSpecimen, family: AtlasFamily, part: str) -> float | None:
    """Return the rest's or the bias's share in a family's logit; a plain key is the leaf's own family's."""
    found = specimen.contributions.get(f"{family.slug}/{part}")
    if found is None and specimen.family and site.find_family(specimen.family) == family:
        return specimen.contributions.get(part)
    return found


def _find_map(page: str, heatmap: SpecimenHeatmap | None) -> str | None:
    """Return the address of a map: that of a file of the site, or one that holds the map itself."""
    if heatmap is None:
        return None
    if heatmap.heatmap.startswith("data:"):
        return heatmap.heatmap
    return links.relative(page, links.media(heatmap.heatmap))


def _make_label(site: Site, page: str, specimen: AtlasSpecimen, family: AtlasFamily | None) -> tuple[LabelLine, ...]:
    """Return the lines of the specimen's label; what nobody stated of its rights is said to be unstated."""
    words, species = site.words, species_of(specimen)
    lines = []
    if species:
        lines.append(LabelLine(words("specimen.species"), species, latin=True))
    if family:
        href = site.link(page, links.family_page(family.slug))
        lines.append(LabelLine(words("specimen.family"), family.name, latin=True, href=href))
    facts = [
        ("specimen.number", specimen.catalogue_number or specimen.id),
        ("specimen.source", specimen.source),
        ("specimen.split", _tell_split(site, specimen)),
        ("specimen.credit", specimen.credit or words("licence.none")),
        ("specimen.licence", specimen.licence or words("licence.none")),
        (
            "specimen.size",
            words("specimen.size_text", width=specimen.original_width, height=specimen.original_height),
        ),
        (
            "specimen.scale",
            words("specimen.scale_text", value=write_decimal(specimen.px_per_mm, 1)) if specimen.px_per_mm else None,
        ),
    ]
    lines += [LabelLine(words(key), text) for key, text in facts if text]
    return tuple(lines)


def _tell_split(site: Site, specimen: AtlasSpecimen) -> str | None:
    """Return whether the classifier was trained on the leaf, as far as that is known; nothing of a query."""
    if specimen.in_training is not None:
        return site.words("specimen.in_training" if specimen.in_training else "specimen.held_out")
    if specimen.role == "query":
        return None
    return site.words(f"specimen.split_{specimen.split.replace('-', '_')}")


def _list_neighbours(site: Site, page: str, specimen: AtlasSpecimen) -> tuple[NearSpecimen, ...]:
    """Return the specimens near this one, the first of a family with the sheet of its thumbnails."""
    anchors: dict[str, str] = {}
    near = []
    for each in specimen.neighbours:
        slug, is_first = each.family or "", each.family not in anchors
        anchor = anchors.setdefault(slug, f"t{len(anchors)}")
        near.append(_view_neighbour(site, page, each, anchor, is_first=is_first))
    return tuple(near)


def _view_neighbour(site: Site, page: str, near: SpecimenNeighbour, anchor: str, *, is_first: bool) -> NearSpecimen:
    """Return a specimen near this one: its name where it has a page, its thumbnail where its family has any."""
    known, href = site.shown.get(near.id), site.specimen_link(page, near.id)
    family = site.find_family(near.family) if near.family else None
    if known is not None:
        number = known.number
    else:
        number = near.id if href or family is None else ""
    return NearSpecimen(
        href=href,
        thumbnail=_find_thumbnail(page, family, near.place, anchor, is_first=is_first),
        species=known.species if known else None,
        number=number,
        family=family.name if family else None,
        similarity=near.similarity,
        same_leaf=near.same_group,
    )


def _find_thumbnail(
    page: str, family: AtlasFamily | None, place: int | None, anchor: str, *, is_first: bool
) -> Thumbnail | None:
    """Return the square of a family's thumbnails at a place, or None where there is none."""
    sheet = family.thumbnails if family else None
    if sheet is None or place is None:
        return None
    row, column = divmod(place, sheet.columns)
    return Thumbnail(
        anchor=anchor,
        first=is_first,
        src=links.relative(page, links.media(sheet.image)),
        width=sheet.width,
        height=sheet.height,
        side=sheet.side,
        x=column * sheet.side,
        y=row * sheet.side,
    )


def _list_files(site: Site, page: str, family: AtlasFamily | None) -> tuple[Link, ...]:
    """Return links to the tables in which the specimen has a line, those that are baked."""
    files = [("specimen.table", links.SPECIMENS_DATA)]
    if family:
        files.append(("data.link_importances", links.importances_file(family.slug)))
    return tuple(Link(site.words(key), site.link(page, target)) for key, target in files if target in site.plan)
