"""A concept's page, at an address that stays: ``families/fagaceae/concept-03.html``."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Crop, Span
from leaflineage.website import links, sentences
from leaflineage.website.context import Site, identify, number_of
from leaflineage.website.figures import (
    leaf_word,
    make_badges,
    make_crops,
    make_histogram,
    make_overlay,
    make_overlays,
    make_picture,
    picture_of_concept,
    sign_of,
)
from leaflineage.website.pages.concept import ConceptPage, CropGroup, MapPair, View
from leaflineage.website.pages.parts import Fact, Link, Overlay
from leaflineage.website.scores import caption_first, is_accentuated, make_score_badges, make_short_badges
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
N_OTHERS = 10
GRADES = ("p99", "p90", "p50", "counter")


def view_concept(
    site: Site, family: AtlasFamily, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen]
) -> ConceptPage:
    """Return the page of one concept."""
    words, page = site.words, links.concept_page(concept.id)
    label, importance = site.name_concept(concept), concept.importance
    rows, columns = site.index.classifier.map_size
    overlays = make_overlays(site, page, family, concept, specimens, N_CROPS)
    shown = [specimens[crop.specimen] for crop in concept.crops]
    crops = make_crops(site, page, family, concept, specimens, N_CROPS)
    bars, counts = make_histogram(concept.image_importances) if concept.image_importances else ((), [])
    others = tuple(_list_others(site, page, family, concept))
    share_span = find_span(importance.share_interval)
    place = [each.id for each in family.concepts].index(concept.id)
    return ConceptPage(
        frame=site.make_frame(
            page,
            words("concept.page_title", concept=label, family=family.name),
            words("concept.description", concept=label, family=family.name),
            styles=("charts", "concept"),
        ),
        crumbs=(
            Link(words("chrome.families"), site.link(page, links.FAMILIES)),
            Link(family.name, site.link(page, links.family_page(family.slug))),
        ),
        title=label,
        number=number_of(concept),
        name_note=_note_name(site, page, family, concept),
        badges=make_badges(site, concept),
        family=Link(family.name, site.link(page, links.family_page(family.slug))),
        share=importance.share,
        share_interval=words("concept.interval", interval=write_percent_interval(share_span, words))
        if share_span
        else None,
        against=importance.contribution < 0,
        sentence=words(
            f"concept.sentence_{sign_of(importance.contribution)}",
            family=family.name,
        ),
        picture=picture_of_concept(site, page, family, concept),
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
        ),
        overlays=overlays,
        heat_caption=sentences.caution_heat(words, site.index, shown),
        pairs=_pair_maps(site, page, family, concept, specimens),
        coefficient_caption=words("figure.coefficient_map", rows=rows, columns=columns),
        inside=view_inside(site, page, family, concept, specimens),
        groups=_grade(site, page, family, concept, specimens),
        histogram=bars,
        histogram_ticks=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        histogram_mean=importance.total_sobol_index,
        histogram_note=words(
            "concept.histogram_note",
            n=len(concept.image_importances),
            mean=write_decimal(importance.total_sobol_index),
        ),
        histogram_alt=words(
            "concept.histogram_alt",
            images=words("count.images", n=len(concept.image_importances)),
            counts=words("list.comma").join(str(count) for count in counts),
        ),
        others=others,
        others_interval=any(span for _, _, span in others),
        similar=tuple(
            (link, each.similarity) for each in concept.similar if (link := site.concept_link(page, each.id))
        ),
        caveats=tuple(_list_caveats(site, family, concept, shown)),
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


def _note_name(site: Site, page: str, family: AtlasFamily, concept: AtlasConcept) -> str:
    address = site.link(page, links.family_page(family.slug))
    name = Markup('<a href="{}" lang="la">{}</a>').format(address, family.name)
    return site.words("concept.whose", family=name) + " " + _tell_namer(site, concept)


def _tell_namer(site: Site, concept: AtlasConcept) -> str:
    words, name = site.words, concept.name
    if name is None:
        return words("concept.unnamed")
    if name.source == "suggested":
        return words("concept.suggested")
    author = name.author or words("concept.someone")
    if name.date:
        return words("concept.expert", author=author, date=name.date)
    return words("concept.expert_undated", author=author)


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
                    picture=make_picture(page, picture.image, picture.width, picture.height, alt),
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
    if concept.source_auc:
        told = [f"{source} {write_decimal(auc)}" for source, auc in sorted(concept.source_auc.items())]
        facts.append(Fact(words("concept.sources"), words.join(told)))
    return tuple(facts)


def _tell_prevalence(words: Words, concept: AtlasConcept) -> str:
    value = write_measured_percent(concept.prevalence, concept.prevalence_interval, words)
    if concept.n_dominated is None:
        return words("concept.prevalence_text", value=value)
    return words("concept.prevalence_counted", value=value, n=concept.n_dominated)


def _pair_maps(
    site: Site, page: str, family: AtlasFamily, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen]
) -> tuple[MapPair, ...]:
    """Return the leaves of which an attribution map was made, each under its two maps."""
    pairs = []
    for n, crop in enumerate((each for each in concept.crops if each.attribution), 1):
        specimen = specimens[crop.specimen]
        who = identify(specimen, site.words)
        places = {"specimen": who, "concept": site.tell_concept(concept), "family": family.name, "n": n}
        pairs.append(
            MapPair(
                coefficient=_lay_map(site, page, crop, specimen, "coefficient", crop.heatmap, places),
                attribution=_lay_map(site, page, crop, specimen, "attribution", crop.attribution or "", places),
                who=who,
            )
        )
    return tuple(pairs)


def _lay_map(
    site: Site, page: str, crop: Crop, specimen: AtlasSpecimen, kind: str, heatmap: str, places: dict[str, Any]
) -> Overlay:
    return make_overlay(
        site,
        page,
        crop,
        specimen,
        specimen_alt=site.words(f"alt.{kind}_under", leaf=leaf_word(site), **places),
        heat_alt=site.words(f"alt.{kind}_map", **places),
        heatmap=heatmap,
    )


def _grade(
    site: Site, page: str, family: AtlasFamily, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen]
) -> tuple[CropGroup, ...]:
    groups = []
    for kind in GRADES:
        crops = make_crops(site, page, family, concept, specimens, 4, kind)
        if crops:
            groups.append(
                CropGroup(site.words(f"concept.grade_{kind}"), site.words(f"concept.grade_{kind}_note"), crops)
            )
    return tuple(groups)


def _list_others(
    site: Site, page: str, family: AtlasFamily, concept: AtlasConcept
) -> list[tuple[Link, float, Span | None]]:
    others = sorted(concept.contributions.items(), key=lambda pair: (-pair[1], pair[0]))
    return [
        (link, logits, find_span(concept.contribution_intervals.get(slug)))
        for slug, logits in others
        if slug != family.slug and (link := site.family_link(page, slug))
    ][:N_OTHERS]


def _list_caveats(site: Site, family: AtlasFamily, concept: AtlasConcept, shown: list[AtlasSpecimen]) -> list[str]:
    words = site.words
    return [
        sentences.caution_direction(words, concept),
        sentences.caution_importance(words, family, [concept]),
        *sentences.caution_one_leaf(words, family),
        words("caveat.sign"),
        words("caveat.absence"),
        *sentences.caution_scale(words, shown),
    ]
