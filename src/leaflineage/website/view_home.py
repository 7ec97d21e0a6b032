"""The first page: what this is, one living example, four concepts, how to read them, citation and licences."""

from __future__ import annotations

from dataclasses import replace

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Crop
from leaflineage.website import links
from leaflineage.website.context import Site, identify, is_built
from leaflineage.website.figures import leaf_word, make_card, make_overlay, make_picture, place_bar, sign_of
from leaflineage.website.pages.family import Card
from leaflineage.website.pages.home import HomePage, Start
from leaflineage.website.pages.parts import Link, Overlay, Row
from leaflineage.website.papers import PAPERS
from leaflineage.website.scores import is_accentuated
from leaflineage.website.striking import MeasureColour, ReadFamily, choose_concept, choose_opening
from leaflineage.website.view_families import explained_of
from leaflineage.website.words import write_percent

N_SAMPLES = 4
OPENING_TEXTS = ("alt.opening_visualization", "alt.opening_accentuation")
READING_TEXTS = ("alt.reading_visualization", "alt.reading_accentuation")
N_READING = 5  # crops and heat maps in "How to read a concept"


def view_home(site: Site, read_family: ReadFamily, colour_of: MeasureColour) -> HomePage:
    """Return the first page; ``read_family`` opens the records of the few families it shows."""
    words, page, classifier = site.words, links.HOME, site.index.classifier
    built = [family for family in site.index.families if is_built(family)]
    n = len(built)
    opening = choose_opening(built, read_family, colour_of)
    featured_family = opening[0] if opening else None
    featured: Card | None = None
    told, note = "", ""
    plate: Overlay | None = None
    bars: tuple[Row, ...] = ()
    others: tuple[Card, ...] = ()
    if opening is not None:
        family, specimens = read_family(opening[0].slug)
        concept = choose_concept(family)
        featured = make_card(site, page, family, concept, specimens, n_crops=N_READING, n_overlays=N_READING)
        featured = _retell(site, featured, concept, READING_TEXTS)
        told, note = words("home.step_drawn_text"), words("caveat.visualization")
        if is_accentuated(concept):
            told, note = words("home.step_accentuated_text"), words("caveat.accentuation")
        plate = _make_plate(site, page, family, concept, specimens, opening[1])
        bars = _compare_signs(site, page, family)
        others = tuple(
            _retell(site, make_card(site, page, family, each, None), each, OPENING_TEXTS)
            for each in family.concepts[:3]
        )
    others_first = [each for each in built if each is not featured_family]
    samples = spread(others_first if len(others_first) >= N_SAMPLES else built, N_SAMPLES)
    sample_cards = [make_card(site, page, each, choose_concept(each), None) for each in samples]
    widest = max((card.share for card in sample_cards), default=0.0)
    return HomePage(
        frame=site.make_frame(page, site.index.title, words("home.description", n=n), styles=("charts", "home")),
        sentences=(
            words("home.what", rank=site.index.rank, n=classifier.n_families),
            words("home.does", rank=site.index.rank),
            words("home.finds"),
        ),
        n_families=len(site.index.families),
        families=site.link(page, links.FAMILIES),
        method=site.link(page, links.METHOD),
        featured=featured,
        featured_told=told,
        featured_note=note,
        featured_family=Link(featured_family.name, site.link(page, links.family_page(featured_family.slug)))
        if featured_family
        else None,
        featured_others=others,
        plate=plate,
        plate_bars=bars,
        map_size=classifier.map_size,
        samples=tuple(replace(card, widest=widest) for card in sample_cards),
        starts=tuple(_make_start(site, page, each, read_family) for each in spread(built, N_SAMPLES)),
        papers=PAPERS,
        all_bibtex="\n\n".join(paper.bibtex for paper in PAPERS),
        licences=site.list_licences(),
    )


def spread(families: list[AtlasFamily], n: int) -> list[AtlasFamily]:
    """Return up to n families at even distances through the list."""
    if len(families) <= n:
        return families
    return [families[round(i * (len(families) - 1) / (n - 1))] for i in range(n)]


def _retell(site: Site, card: Card, concept: AtlasConcept, keys: tuple[str, str]) -> Card:
    """Return the card with another text for its picture, where the page shows that picture more than once.

    ``keys`` are those of a computed picture and of a crop made clearer.
    """
    if card.picture is None:
        return card
    places = {"concept": site.tell_concept(concept), "family": card.family, "rank": card.rank}
    alt = site.words(keys[is_accentuated(concept)], leaf=leaf_word(site), **places)
    return replace(card, picture=replace(card.picture, alt=alt))


def _make_plate(
    site: Site,
    page: str,
    family: AtlasFamily,
    concept: AtlasConcept,
    specimens: dict[str, AtlasSpecimen],
    crop: Crop | None,
) -> Overlay | None:
    if crop is None:
        return None
    specimen = specimens[crop.specimen]
    label = site.tell_concept(concept)
    return make_overlay(
        site,
        page,
        crop,
        specimen,
        specimen_alt=site.words(
            "alt.opening",
            leaf=leaf_word(site),
            specimen=identify(specimen, site.words),
            concept=label,
            family=family.name,
        ),
        heat_alt=site.words("alt.opening_heat", concept=label, family=family.name),
    )


def _compare_signs(site: Site, page: str, family: AtlasFamily) -> tuple[Row, ...]:
    ordered = sorted(family.concepts, key=lambda each: (-each.importance.contribution, each.id))
    chosen = [ordered[0], ordered[-1]] if len(ordered) > 1 else ordered
    extent = max(abs(each.importance.contribution) for each in chosen) * 1.1 or 1.0
    return tuple(
        Row(
            label=site.name_concept(each),
            href=site.link(page, links.concept_page(each.id)),
            sign=site.words(f"sign.{sign_of(each.importance.contribution)}_short"),
            bar=place_bar(each.importance.contribution, (-extent, extent)),
            logits=each.importance.contribution,
            share=each.importance.share,
            index=None,
            interval=None,
            whisker=None,
        )
        for each in chosen
    )


def _make_start(site: Site, page: str, family: AtlasFamily, read_family: ReadFamily) -> Start:
    words = site.words
    record, specimens = read_family(family.slug)
    crops = [crop.specimen for concept in record.concepts for crop in concept.crops]
    chosen = specimens.get(family.representative or record.representative or "") or next(
        (specimens[name] for name in crops if name in specimens), None
    )
    picture = None
    if chosen is not None and not chosen.withheld:
        alt = words("alt.start", leaf=leaf_word(site), specimen=identify(chosen, words), family=family.name)
        picture = make_picture(page, chosen.image, chosen.width, chosen.height, alt)
    explained = explained_of(family)
    note = words(
        "home.start_note",
        n=len(family.concepts),
        explained=write_percent(explained, words) if explained is not None else "–",
    )
    return Start(family.name, family.common_name or note, site.link(page, links.family_page(family.slug)), picture)
