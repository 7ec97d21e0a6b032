"""Figures of the pages: pictures with their texts, bars and axes as positions."""

from __future__ import annotations

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Crop, Span
from leaflineage.website import links
from leaflineage.website.context import Site, identify, number_of, species_of
from leaflineage.website.pages.family import Card
from leaflineage.website.pages.parts import Badge, Bar, Interval, Overlay, Picture, Row
from leaflineage.website.scores import is_accentuated, make_short_badges
from leaflineage.website.words import (
    Words,
    find_span,
    write_measured,
    write_measured_percent,
    write_percent,
    write_signed,
)

N_CROPS = 10  # crops shown on a family's page for each concept
N_OVERLAYS = 5  # heat maps shown there; the concept's own page shows all
NARROWEST_LABEL = 0.03  # share under which a segment carries no number
NARROWEST_NOTE = 0.05  # share under which a segment carries no percentage
LETTER_WIDTH = 0.0072  # of the bar's width at a desktop's size, for one letter of a name


def sign_of(value: float) -> str:
    """Return "for", "against" or "neither" for a contribution in logits."""
    return "against" if value < 0 else "for" if value > 0 else "neither"


def leaf_word(site: Site) -> str:
    """Return the word alternative texts begin with: a drawn leaf is called drawn."""
    return site.words("drawn.leaf") if site.index.drawn else site.words("alt.leaf")


def make_picture(page: str, path: str, width: int, height: int, alt: str) -> Picture:
    """Return a picture of the run, as the page reaches it."""
    return Picture(links.relative(page, links.media(path)), width, height, alt)


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
    return make_picture(page, first.image, first.width, first.height, alt)


def picture_of_crop(
    site: Site,
    page: str,
    family: AtlasFamily,
    concept: AtlasConcept,
    crop: Crop,
    specimen: AtlasSpecimen,
    number: int,
    n_all: int,
) -> Picture:
    """Return a crop with a text that says whose leaf it is, which concept, and which place it takes."""
    key = "alt.crop" if crop.kind == "top" else "alt.crop_kind"
    places = {"all": n_all, "rank": concept.rank} if crop.kind == "top" else {"kind": crop.kind}
    alt = site.words(
        key,
        leaf=leaf_word(site),
        specimen=identify(specimen, site.words),
        n=number,
        concept=site.tell_concept(concept),
        family=family.name,
        **places,
    )
    return make_picture(page, crop.image, crop.width, crop.height, alt)


def make_overlay(
    site: Site,
    page: str,
    crop: Crop,
    specimen: AtlasSpecimen,
    *,
    specimen_alt: str,
    heat_alt: str,
    heatmap: str | None = None,
) -> Overlay:
    """Return a whole specimen with a map laid over it, the crop's heat map unless another is named, and its box."""
    x0, y0, x1, y1 = crop.box
    return Overlay(
        specimen=make_picture(page, specimen.image, specimen.width, specimen.height, specimen_alt),
        heat=make_picture(page, heatmap or crop.heatmap, specimen.width, specimen.height, heat_alt),
        frame=(specimen.original_width, specimen.original_height),
        box=(x0, y0, x1 - x0, y1 - y0),
        species=species_of(specimen),
        coefficient=crop.coefficient,
        tall=specimen.height > specimen.width,
    )


def make_overlays(
    site: Site,
    page: str,
    family: AtlasFamily,
    concept: AtlasConcept,
    specimens: dict[str, AtlasSpecimen],
    limit: int,
) -> tuple[Overlay, ...]:
    """Return the heat maps of a concept's top crops, strongest first."""
    crops = [crop for crop in concept.crops if crop.kind == "top"][:limit]
    label = site.tell_concept(concept)
    overlays = []
    for n, crop in enumerate(crops, 1):
        specimen = specimens[crop.specimen]
        who = identify(specimen, site.words)
        overlays.append(
            make_overlay(
                site,
                page,
                crop,
                specimen,
                specimen_alt=site.words(
                    "alt.specimen",
                    leaf=leaf_word(site),
                    specimen=who,
                    n=n,
                    all=len(crops),
                    concept=label,
                    family=family.name,
                ),
                heat_alt=site.words("alt.heat", concept=label, family=family.name, specimen=who, n=n),
            )
        )
    return tuple(overlays)


def make_crops(
    site: Site,
    page: str,
    family: AtlasFamily,
    concept: AtlasConcept,
    specimens: dict[str, AtlasSpecimen],
    limit: int,
    kind: str = "top",
) -> tuple[Picture, ...]:
    """Return the crops of one kind, strongest first."""
    crops = [crop for crop in concept.crops if crop.kind == kind][:limit]
    return tuple(
        picture_of_crop(site, page, family, concept, crop, specimens[crop.specimen], n, len(crops))
        for n, crop in enumerate(crops, 1)
    )


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
    specimens: dict[str, AtlasSpecimen] | None,
    *,
    n_crops: int = N_CROPS,
    n_overlays: int = N_OVERLAYS,
) -> Card:
    """Return a concept as a plate, with its crops and heat maps where its specimens are at hand."""
    contribution = concept.importance.contribution
    scored = make_short_badges(site, family, concept.visualizations[0]) if concept.visualizations else ()
    return Card(
        anchor=concept.id.rpartition("/")[2],
        number=number_of(concept),
        label=site.name_concept(concept),
        family=family.name,
        href=site.link(page, links.concept_page(concept.id)),
        share=concept.importance.share,
        widest=max(each.importance.share for each in family.concepts),
        against=contribution < 0,
        sign=site.words(f"sign.{sign_of(contribution)}"),
        told=tell_importance(site.words, concept),
        rank=concept.rank,
        n_ranks=len(family.concepts),
        picture=picture_of_concept(site, page, family, concept),
        badges=(*scored, *make_badges(site, concept)),
        crops=make_crops(site, page, family, concept, specimens, n_crops) if specimens else (),
        overlays=make_overlays(site, page, family, concept, specimens, n_overlays) if specimens else (),
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
    top = max((concept.importance.interval[1] for concept in family.concepts), default=1.0) or 1.0
    top = max(top, *(concept.importance.total_sobol_index for concept in family.concepts)) if contributions else top
    rows = []
    for concept in sorted(family.concepts, key=lambda each: (-each.importance.contribution, each.id)):
        importance = concept.importance
        low, high = importance.interval
        rows.append(
            Row(
                label=site.name_concept(concept),
                href=site.link(page, links.concept_page(concept.id)),
                sign=site.words(f"sign.{sign_of(importance.contribution)}_short"),
                bar=place_bar(importance.contribution, axis),
                logits=importance.contribution,
                share=importance.share,
                index=importance.total_sobol_index,
                interval=find_span(importance.interval),
                whisker=Interval(low / top, importance.total_sobol_index / top, high / top),
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
                index=None,
                interval=None,
                whisker=None,
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
