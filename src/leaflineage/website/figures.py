"""Figures of the pages: pictures with their texts, bars and axes as positions."""

from __future__ import annotations

from collections.abc import Sequence

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Crop, Span
from leaflineage.website import links
from leaflineage.website.context import Site, identify, number_of, species_of
from leaflineage.website.pages.family import Card
from leaflineage.website.pages.parts import Badge, Bar, Interval, Overlay, Picture, Row
from leaflineage.website.scores import is_accentuated, make_short_badges
from leaflineage.website.words import (
    Words,
    find_span,
    write_decimal,
    write_measured,
    write_measured_percent,
    write_percent,
    write_signed,
)

N_CROPS = 5  # crops shown on a family's page for each concept
N_OVERLAYS = 3  # heat maps shown there; the concept's own page shows all
LEAST_COPY = 240  # px, the least width at which a copy of a plate is of use
NARROWEST_LABEL = 0.03  # share under which a segment carries no number
NARROWEST_NOTE = 0.05  # share under which a segment carries no percentage
LETTER_WIDTH = 0.0072  # of the bar's width at a desktop's size, for one letter of a name


def sign_of(value: float) -> str:
    """Return "for", "against" or "neither" for a contribution in logits."""
    return "against" if value < 0 else "for" if value > 0 else "neither"


def leaf_word(site: Site) -> str:
    """Return the word alternative texts begin with: a drawn leaf is called drawn."""
    return site.words("drawn.leaf") if site.index.drawn else site.words("alt.leaf")


def make_picture(page: str, path: str, width: int, height: int, alt: str, smaller: Sequence[int] = ()) -> Picture:
    """Return a picture of the run, as the page reaches it, with its smaller copies by their widths."""
    src = links.relative(page, links.media(path))
    copies = [(links.relative(page, links.media(links.smaller(path, each))), each) for each in smaller]
    srcset = ", ".join(f"{address} {size}w" for address, size in [*copies, (src, width)]) if copies else ""
    return Picture(src, width, height, alt, srcset)


def make_small_picture(
    page: str, path: str, width: int, height: int, alt: str, smaller: Sequence[int], wanted: int
) -> Picture:
    """Return the smallest copy of a picture whose longer side has ``wanted`` px or more; the picture where none has."""
    for each in sorted(smaller):
        if each < width and max(width, height) * each >= wanted * width:
            return make_picture(page, links.smaller(path, each), each, max(1, round(height * each / width)), alt)
    return make_picture(page, path, width, height, alt)


def picture_of_concept(site: Site, page: str, family: AtlasFamily, concept: AtlasConcept) -> Picture | None:
    """Return the picture of a concept that stands first: its feature visualization, or a crop made clearer."""
    if not concept.visualizations:
        return None
    first = concept.visualizations[0]
    key = "alt.accentuation" if is_accentuated(concept) else "alt.visualization"
    alt = site.words(
        key,
        leaf=leaf_word(site),
        concept=site.tell_concept(concept),
        family=family.name,
        rank=concept.rank,
    )
    copies = [each for each in first.smaller if each >= LEAST_COPY]
    return make_picture(page, first.image, first.width, first.height, alt, copies)


def make_crops(
    site: Site, page: str, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen], limit: int
) -> tuple[Picture, ...]:
    """Return a concept's top crops, strongest first, each with a text that says whose leaf it is."""
    pictures = []
    for n, crop in enumerate(list_top(concept, limit), 1):
        alt = site.words(
            "alt.crop",
            leaf=leaf_word(site),
            specimen=identify(specimens[crop.specimen], site.words),
            n=n,
            concept=site.words("concept.inside", number=number_of(concept)),
        )
        pictures.append(make_picture(page, crop.image, crop.width, crop.height, alt))
    return tuple(pictures)


def make_overlays(
    site: Site, page: str, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen], limit: int
) -> tuple[Overlay, ...]:
    """Return the whole leaves of a concept's top crops under its heat maps, strongest first."""
    overlays = []
    for n, crop in enumerate(list_top(concept, limit), 1):
        specimen = specimens[crop.specimen]
        x0, y0, x1, y1 = crop.box
        width, height = specimen.original_width, specimen.original_height
        alt = site.words(
            "alt.specimen",
            leaf=leaf_word(site),
            specimen=identify(specimen, site.words),
            n=n,
            concept=site.words("concept.inside", number=number_of(concept)),
        )
        overlays.append(
            Overlay(
                specimen=make_picture(page, specimen.image, specimen.width, specimen.height, alt),
                heat=links.relative(page, links.media(crop.heatmap)),
                box=(x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height),
                species=species_of(specimen),
                tall=specimen.height > specimen.width,
            )
        )
    return tuple(overlays)


def list_top(concept: AtlasConcept, limit: int) -> list[Crop]:
    """Return the first crops of those in which a concept is strongest."""
    return [crop for crop in concept.crops if crop.kind == "top"][:limit]


def make_badges(site: Site, concept: AtlasConcept) -> tuple[Badge, ...]:
    """Return the words in frames under a concept: its flags, all of them warnings."""
    words = site.words
    badges = []
    for flag in concept.flags:
        key = flag.replace("-", "_").replace(" ", "_")
        text = words.get(f"flag.{key}", flag.replace("_", " ").replace("-", " "))
        badges.append(Badge(text, warns=True))
    return tuple(badges)


def make_card(
    site: Site,
    page: str,
    family: AtlasFamily,
    concept: AtlasConcept,
    specimens: dict[str, AtlasSpecimen],
    *,
    leaf: Picture | None,
) -> Card:
    """Return a concept as a plate, with what opens under it; ``leaf`` shows where on the leaf it is."""
    words = site.words
    scored = make_short_badges(site, family, concept.visualizations[0]) if concept.visualizations else ()
    stability = concept.stability
    return Card(
        anchor=concept.id.rpartition("/")[2],
        number=number_of(concept),
        label=site.name_concept(concept),
        href=site.link(page, links.concept_page(concept.id)),
        share=concept.importance.share,
        widest=max(each.importance.share for each in family.concepts),
        against=concept.importance.contribution < 0,
        told=tell_importance(words, concept),
        picture=picture_of_concept(site, page, family, concept),
        leaf=leaf,
        stability=words("family.stability", value=write_decimal(stability.cosine)) if stability else "",
        badges=(*scored, *make_badges(site, concept)),
        crops=make_crops(site, page, concept, specimens, N_CROPS),
        overlays=make_overlays(site, page, concept, specimens, N_OVERLAYS),
    )


def tell_importance(words: Words, concept: AtlasConcept) -> str:
    """Return share, direction and contribution of a concept in a sentence, with their intervals."""
    importance = concept.importance
    return words(
        "family.drawer",
        share=write_measured_percent(importance.share, importance.share_interval, words),
        sign=words(f"sign.{sign_of(importance.contribution)}"),
        logits=write_measured(importance.contribution, importance.contribution_interval, words, write_signed),
    )


def make_importance_bars(site: Site, family: AtlasFamily) -> tuple[Bar, ...]:
    """Return the segments of the importance bar: the concepts by rank, then the rest; lengths sum to 1."""
    start, bars = 0.0, []
    for concept in family.concepts:
        share = concept.importance.share
        name = concept.name.text if concept.name else ""
        bars.append(
            Bar(
                start=start,
                length=share,
                fill="against" if concept.importance.contribution < 0 else "for",
                label=str(number_of(concept)) if share >= NARROWEST_LABEL else "",
                note=write_percent(share, site.words) if share >= NARROWEST_NOTE else "",
                name=name if name and len(name) * LETTER_WIDTH <= share else "",
            )
        )
        start += share
    rest = family.rest.share if family.rest else max(0.0, 1 - start)
    if rest > 0:
        bars.append(
            Bar(
                start=start,
                length=rest,
                fill="rest",
                label=site.words("family.bar_rest") if rest >= NARROWEST_NOTE else "",
                note=write_percent(rest, site.words) if rest >= NARROWEST_NOTE else "",
            )
        )
    return tuple(bars)


def make_axis(values: list[float]) -> tuple[float, float]:
    """Return (lowest, highest) of an axis that holds all values and nought, with a little air at both ends."""
    low, high = min([0.0, *values]), max([0.0, *values])
    air = (high - low) * 0.04 or 1.0
    return low - air, high + air


def place_bar(value: float, axis: tuple[float, float], fill: str | None = None) -> Bar:
    """Return a bar from nought to a value on an axis."""
    low, high = axis
    start, end = sorted(((0 - low) / (high - low), (value - low) / (high - low)))
    return Bar(start=start, length=end - start, fill=fill or ("against" if value < 0 else "for"))


def place_zero(axis: tuple[float, float]) -> float:
    """Return where nought stands on an axis, in [0, 1]."""
    return -axis[0] / (axis[1] - axis[0])


def make_rows(site: Site, page: str, family: AtlasFamily) -> tuple[tuple[Row, ...], float]:
    """Return the table for and against, by falling contribution, the rest last; and where nought stands."""
    rest = family.rest
    contributions = [concept.importance.contribution for concept in family.concepts]
    spans = [each.importance.contribution_interval for each in family.concepts]
    spans += [rest.contribution_interval] if rest else []
    ends = [end for span in spans if span for end in span]
    axis = make_axis([*contributions, *ends, *([rest.contribution] if rest else [])])
    rows = []
    for concept in sorted(family.concepts, key=lambda each: (-each.importance.contribution, each.id)):
        importance = concept.importance
        rows.append(
            Row(
                label=site.name_concept(concept),
                href=site.link(page, links.concept_page(concept.id)),
                sign=site.words(f"sign.{sign_of(importance.contribution)}_short"),
                bar=place_bar(importance.contribution, axis),
                logits=importance.contribution,
                share=importance.share,
                reach=place_span(importance.contribution, importance.contribution_interval, axis),
                logits_interval=find_span(importance.contribution_interval),
                share_interval=find_span(importance.share_interval),
            )
        )
    if rest:
        rows.append(
            Row(
                label=site.words("table.rest_unfitted"),
                href=None,
                sign=site.words(f"sign.{sign_of(rest.contribution)}_short"),
                bar=place_bar(rest.contribution, axis, "rest"),
                logits=rest.contribution,
                share=rest.share,
                reach=place_span(rest.contribution, rest.contribution_interval, axis),
                logits_interval=find_span(rest.contribution_interval),
                share_interval=find_span(rest.share_interval),
            )
        )
    return tuple(rows), place_zero(axis)


def place_span(value: float, span: Span | None, axis: tuple[float, float]) -> Interval | None:
    """Return a value and its interval as positions on an axis, or None where it has no interval of some width."""
    if find_span(span) is None or span is None:
        return None
    low, high = axis
    places = [(each - low) / (high - low) for each in (span[0], value, span[1])]
    return Interval(*places)


def make_histogram(values: list[float], n_bins: int = 10) -> tuple[tuple[Bar, ...], list[int]]:
    """Return the bars of a histogram over [0, 1], the tallest of height 1, and the counts."""
    counts = [0] * n_bins
    for value in values:
        counts[min(n_bins - 1, max(0, int(value * n_bins)))] += 1
    tallest = max(counts) or 1
    bars = [
        Bar(start=i / n_bins, length=count / tallest, fill="for", label=str(count) if count else "")
        for i, count in enumerate(counts)
    ]
    return tuple(bars), counts
