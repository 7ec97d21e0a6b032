"""A concept's page, at an address that stays: ``families/fagaceae/concept-03.html``."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen
from leaflineage.website import links, sentences
from leaflineage.website.alarms import caution_zones, list_facts, tell_alarms
from leaflineage.website.context import Site, identify, number_of
from leaflineage.website.figures import (
    leaf_word,
    make_axis,
    make_badges,
    make_histogram,
    make_picture,
    picture_of_concept,
    place_bar,
    place_span,
    place_zero,
    sign_of,
)
from leaflineage.website.leaves import view_crops, view_leaf, view_leaves, view_zones
from leaflineage.website.pages.concept import (
    ConceptPage,
    CropGroup,
    Histogram,
    MapPair,
    Numbers,
    OtherFamily,
    SimilarView,
    View,
)
from leaflineage.website.pages.parts import Fact, Link, Picture
from leaflineage.website.scores import caption_first, is_accentuated, make_score_badges, make_short_badges
from leaflineage.website.terms import find_line, tell_name, tell_namer
from leaflineage.website.view_inside import view_inside
from leaflineage.website.words import (
    Words,
    find_span,
    write_decimal,
    write_measured,
    write_measured_percent,
    write_percent_interval,
    write_signed,
)

N_CROPS = 10
N_GRADED = 4  # crops shown of each grade
N_OTHERS = 10
GRADES = ("p99", "p90", "p50", "counter")


def view_concept(
    site: Site, family: AtlasFamily, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen]
) -> ConceptPage:
    """Return the page of one concept."""
    words, page = site.words, links.concept_page(concept.id)
    label, importance = site.name_concept(concept), concept.importance
    rows, columns = site.index.classifier.map_size
    shown = [specimens[crop.specimen] for crop in concept.crops if crop.kind == "top"]
    crops = view_crops(site, page, concept, specimens, kind="top", limit=N_CROPS)
    others, zero = _list_others(site, page, family, concept)
    share_span = find_span(importance.share_interval)
    first = _view_first(site, page, family, concept)
    place = [each.id for each in family.concepts].index(concept.id)
    return ConceptPage(
        frame=site.make_frame(
            page,
            words("concept.page_title", concept=site.tell_concept(concept), family=family.name),
            words("concept.description", concept=site.tell_concept(concept), family=family.name),
            style="concept",
            scripts=("lightbox",),
        ),
        crumbs=(
            Link(words("chrome.families"), site.link(page, links.FAMILIES)),
            Link(family.name, site.link(page, links.family_page(family.slug))),
        ),
        crumb=words("concept.crumb", number=number_of(concept), n=len(family.concepts)),
        title=label,
        whose=_tell_whose(site, page, family),
        name_notes=tuple(tell_name(site, page, concept)),
        determination=tell_namer(site, concept.name) if concept.name else None,
        line=find_line(site, concept.name) if concept.name else None,
        by_person=concept.name is not None and concept.name.source == "expert",
        badges=make_badges(site, concept),
        alarms=tell_alarms(site, concept),
        share=importance.share,
        share_interval=words("concept.interval", interval=write_percent_interval(share_span, words))
        if share_span
        else None,
        sentence=words(
            f"concept.sentence_{sign_of(importance.contribution)}",
            family=Markup('<span lang="la">{}</span>').format(family.name),
        ),
        zones=view_zones(site, page, concept),
        picture=first,
        picture_href=_find_whole(site, page, concept) or (first.src if first else ""),
        picture_caption=caption_first(site, concept, specimens),
        picture_badges=make_score_badges(site, family, concept.visualizations[0]) if concept.visualizations else (),
        views=_view_others(site, page, family, concept),
        views_caption=words(
            "views.behind" if is_accentuated(concept) else "views.further", n=len(concept.visualizations) - 1
        ),
        facts=_list_facts(site, family, concept),
        also=sentences.speak_for_others(site, page, family, concept),
        crops=crops,
        crop_heading=words(
            "concept.crops",
            n=len(crops),
            count=words.number(len(crops)).capitalize(),
            count_again=words.number(len(crops)),
        )
        if crops
        else words("concept.no_crops"),
        whole_leaves=view_leaves(site, page, concept, specimens, limit=N_CROPS),
        heat_caption=sentences.caution_heat(words, site.index, shown),
        pairs=_pair_maps(site, page, concept, specimens),
        coefficient_caption=words("figure.coefficient_map", rows=rows, columns=columns),
        inside=view_inside(site, page, family, concept, specimens),
        groups=_grade(site, page, concept, specimens),
        histogram=_view_histogram(site, concept),
        others=others,
        others_zero=zero,
        similar=tuple(_list_similar(site, page, concept)),
        caveats=tuple(_list_caveats(site, family, concept, shown)),
        numbers=_list_numbers(site, page, family, place),
        files=site.list_files(page, family.slug),
        assumptions=site.link(page, f"{links.METHOD}#assumptions"),
        turn=(
            _turn(site, page, family, place - 1) if place > 0 else None,
            _turn(site, page, family, place + 1) if place + 1 < len(family.concepts) else None,
        ),
    )


def _turn(site: Site, page: str, family: AtlasFamily, place: int) -> Link:
    concept = family.concepts[place]
    return Link(site.name_concept(concept), site.link(page, links.concept_page(concept.id)))


def _tell_whose(site: Site, page: str, family: AtlasFamily) -> str:
    address = site.link(page, links.family_page(family.slug))
    name = Markup('<a href="{}" lang="la">{}</a>').format(address, family.name)
    return site.words("concept.whose", family=name)


def _view_first(site: Site, page: str, family: AtlasFamily, concept: AtlasConcept) -> Picture | None:
    """Return the concept's first picture, large."""
    found = picture_of_concept(site, page, family, concept)
    if found is None:
        return None
    first = concept.visualizations[0]
    return make_picture(page, first.image, first.width, first.height, found.alt, first.smaller)


def _find_whole(site: Site, page: str, concept: AtlasConcept) -> str | None:
    """Return the page of the specimen whose crop was made clearer, None where the first picture is computed."""
    owner = concept.visualizations[0].specimen if concept.visualizations else None
    return site.specimen_link(page, owner) if owner else None


def _view_others(site: Site, page: str, family: AtlasFamily, concept: AtlasConcept) -> tuple[View, ...]:
    """Return the concept's pictures after the first, in their order."""
    words = site.words
    computed = [each for each in concept.visualizations if each.kind == "concept"]
    views = []
    for n, picture in enumerate(computed, 1):
        if picture is not concept.visualizations[0]:
            alt = words("alt.view", concept=site.tell_concept(concept), family=family.name, view=n, all=len(computed))
            views.append(
                View(
                    picture=make_picture(page, picture.image, picture.width, picture.height, alt, picture.smaller),
                    caption=words("views.view", n=len(computed), view=n),
                    badges=make_short_badges(site, family, picture),
                )
            )
    return tuple(views)


def _list_facts(site: Site, family: AtlasFamily, concept: AtlasConcept) -> tuple[Fact, ...]:
    words, importance = site.words, concept.importance
    facts = [
        Fact(words("concept.rank"), words("concept.rank_text", rank=concept.rank, n=len(family.concepts))),
        Fact(
            words("concept.index"),
            write_measured(importance.total_sobol_index, importance.interval, words),
        ),
        Fact(
            words("concept.contribution"),
            words(
                "concept.contribution_text",
                value=write_measured(importance.contribution, importance.contribution_interval, words, write_signed),
            ),
        ),
        Fact(
            words("concept.prevalence"),
            _tell_prevalence(words, concept),
        ),
        Fact(
            words("concept.reliability"),
            words("concept.reliability_none")
            if concept.reliability is None
            else words(
                "concept.reliability_text",
                value=write_measured_percent(concept.reliability, concept.reliability_interval, words),
            ),
        ),
    ]
    if concept.stability:
        text = words(
            "concept.stability_text",
            found=concept.stability.found_in,
            n=concept.stability.n_refits,
            cosine=write_decimal(concept.stability.cosine),
        )
        facts.append(Fact(words("concept.stability"), text))
    return (*facts, *list_facts(site, concept))


def _tell_prevalence(words: Words, concept: AtlasConcept) -> str:
    value = write_measured_percent(concept.prevalence, concept.prevalence_interval, words)
    if concept.n_dominated is None:
        return words("concept.prevalence_text", value=value)
    return words("concept.prevalence_counted", value=value, n=concept.n_dominated)


def _pair_maps(
    site: Site, page: str, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen]
) -> tuple[MapPair, ...]:
    """Return the leaves of which an attribution map was made, each under its two maps."""
    pairs, words = [], site.words
    top = [each for each in concept.crops if each.kind == "top"]
    for n, (place, crop) in enumerate(((p, c) for p, c in enumerate(top, 1) if c.attribution), 1):
        specimen = specimens[crop.specimen]
        who = identify(specimen, words)
        places: dict[str, Any] = {"leaf": leaf_word(site), "specimen": who, "n": n}
        coefficient = view_leaf(
            site,
            page,
            crop,
            specimen,
            heatmap=crop.heatmap,
            alt=words("crop.alt_coefficient", **places),
            anchor=f"h{place}",
            first=place > N_CROPS,  # else it lies over one of the whole leaves above
        )
        attribution = view_leaf(
            site,
            page,
            crop,
            specimen,
            heatmap=crop.attribution or "",
            alt=words("crop.alt_attribution", **places),
            anchor=f"a{n}",
        )
        pairs.append(MapPair(coefficient=coefficient, attribution=attribution, who=who))
    return tuple(pairs)


def _grade(site: Site, page: str, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen]) -> tuple[CropGroup, ...]:
    """Return crops from where the concept is strong to where it is high and should not be."""
    groups = []
    for kind in GRADES:
        crops = view_crops(site, page, concept, specimens, kind=kind, limit=N_GRADED)
        if crops:
            groups.append(
                CropGroup(site.words(f"concept.grade_{kind}"), site.words(f"concept.grade_{kind}_note"), crops)
            )
    return tuple(groups)


def _view_histogram(site: Site, concept: AtlasConcept) -> Histogram | None:
    """Return over how many images the concept's index is how large, or None where no image's was kept."""
    values, words = concept.image_importances, site.words
    if not values:
        return None
    bars, counts = make_histogram(values)
    mean = concept.importance.total_sobol_index
    return Histogram(
        bars=bars,
        ticks=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        mean=mean,
        note=words("concept.histogram_note", n=len(values), mean=write_decimal(mean)),
        alt=words("concept.histogram_alt", images=words("count.images", n=len(values))),
        rows=tuple(
            (words("interval.plain", low=write_decimal(i / 10, 1), high=write_decimal((i + 1) / 10, 1)), count)
            for i, count in enumerate(counts)
        ),
    )


def _list_others(
    site: Site, page: str, family: AtlasFamily, concept: AtlasConcept
) -> tuple[tuple[OtherFamily, ...], float]:
    """Return what the concept adds to the logits of the nearest families, its own first; and where nought stands."""
    ranked = sorted(concept.contributions.items(), key=lambda pair: (pair[0] != family.slug, -pair[1], pair[0]))
    found = [(slug, logits) for slug, logits in ranked if site.find_family(slug)][: N_OTHERS + 1]
    spans = {slug: find_span(concept.contribution_intervals.get(slug)) for slug, _ in found}
    ends = [end for span in spans.values() if span for end in span]
    axis = make_axis([*(logits for _, logits in found), *ends])
    others = []
    for slug, logits in found:
        link, span = site.family_link(page, slug), spans[slug]
        assert link is not None
        others.append(
            OtherFamily(
                link=link,
                is_own=slug == family.slug,
                bar=place_bar(logits, axis),
                reach=place_span(logits, span, axis),
                sign=site.words(f"sign.{sign_of(logits)}_short"),
                logits=logits,
                span=span,
            )
        )
    return (tuple(others) if any(not each.is_own for each in others) else ()), place_zero(axis)


def _list_similar(site: Site, page: str, concept: AtlasConcept) -> list[SimilarView]:
    """Return the concepts of other families that point the same way, each with its picture."""
    views = []
    for each in concept.similar:
        found = site.find_concept(each.id)
        if found is None:
            continue
        family, other = found
        picture = _view_first(site, page, family, other)
        views.append(
            SimilarView(
                href=site.link(page, links.concept_page(other.id)),
                label=site.name_concept(other),
                family=family.name,
                similarity=each.similarity,
                picture=picture,
            )
        )
    return views


def _list_numbers(site: Site, page: str, family: AtlasFamily, place: int) -> Numbers:
    """Return where in the atlas's data the concept stands."""
    families = [each.slug for each in site.index.families]
    return Numbers(
        href=site.link(page, links.ATLAS_DATA), pointer=f"/families/{families.index(family.slug)}/concepts/{place}"
    )


def _list_caveats(site: Site, family: AtlasFamily, concept: AtlasConcept, shown: list[AtlasSpecimen]) -> list[str]:
    words = site.words
    return [
        sentences.caution_direction(words, concept),
        sentences.caution_importance(words, family, [concept]),
        *sentences.caution_one_leaf(words, family),
        *caution_zones(site, family),
        words("caveat.sign"),
        words("caveat.absence"),
        *sentences.caution_scale(words, shown),
    ]
