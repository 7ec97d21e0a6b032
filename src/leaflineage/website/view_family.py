"""A family's page, and the page of a family without concepts."""

from __future__ import annotations

import itertools

from markupsafe import Markup

from leaflineage.records import AtlasFamily, AtlasSpecimen
from leaflineage.website import links, sentences
from leaflineage.website.alarms import caution_zones, tell_family
from leaflineage.website.charts import has_curve, make_number_curve, make_spread
from leaflineage.website.context import Site, identify, is_built, species_of
from leaflineage.website.figures import (
    leaf_word,
    make_card,
    make_importance_bars,
    make_picture,
    make_rows,
    make_small_picture,
)
from leaflineage.website.leaves import view_leaf_picture
from leaflineage.website.pages.concept import View
from leaflineage.website.pages.families import MissingPage
from leaflineage.website.pages.family import FamilyPage, Mistakes, MistakeView, Near
from leaflineage.website.pages.parts import Fact, Link, Picture
from leaflineage.website.scores import LEAST_PERCENTILE, is_accentuated, is_scored, make_family_badges
from leaflineage.website.view_families import explained_of, reason_of
from leaflineage.website.view_trust import is_mostly_rest, view_trust
from leaflineage.website.words import (
    write_decimal,
    write_measured,
    write_measured_percent,
    write_ordinal,
    write_signed,
)

N_PLATE = 3  # specimens on the sheet of a family's page
NEAR = 0.1  # similarity from which a family is called near
N_MISTAKES = 5  # specimens shown that the classifier gets wrong
NEAR_SIDE, MISTAKE_SIDE = 128, 240  # px, the least that such a picture has where smaller copies lie


def view_family(
    site: Site, family: AtlasFamily, specimens: dict[str, AtlasSpecimen], turn: tuple[str | None, str | None]
) -> FamilyPage:
    """Return the page of one family."""
    words, page = site.words, links.family_page(family.slug)
    count = words.number(len(family.concepts))
    rows, zero = make_rows(site, page, family)
    figures = itertools.count(3)  # the bar and the table for and against are 1 and 2
    spread = make_spread(site, page, family, next(figures), specimens) if family.layout else None
    has_charts = family.fidelity is not None and bool(family.fidelity.curves)
    trust = view_trust(site, family, next(figures) if has_charts else 0)
    number_curve = make_number_curve(site, family, next(figures)) if has_curve(family) else None
    caveats = [
        sentences.caution_accuracy(words, family),
        sentences.caution_composition(words, family, drawn=site.index.drawn),
        *sentences.caution_one_leaf(words, family),
        *caution_zones(site, family),
        sentences.caution_heat(words, site.index, list(specimens.values())),
        *sentences.caution_scale(words, list(specimens.values())),
        words("caveat.absence"),
    ]
    return FamilyPage(
        frame=site.make_frame(
            page,
            family.name,
            words("family.description", count=count, family=family.name),
            style="family",
            scripts=("lightbox", "drawers", "cluster"),
        ),
        crumbs=(Link(words("chrome.families"), site.link(page, links.FAMILIES)),),
        name=family.name,
        common_name=family.common_name,
        sentence=sentences.open_family(site, page, family),
        account=sentences.account_for(words, family),
        warning=words("caveat.mostly_rest") if is_mostly_rest(family) else None,
        alarm=tell_family(site, family),
        count=count,
        n_concepts=len(family.concepts),
        plate=choose_plate(site, page, family, specimens),
        label=make_label(site, page, family),
        bars=make_importance_bars(site, family),
        cards=tuple(
            make_card(site, page, family, each, specimens, leaf=view_leaf_picture(site, page, each))
            for each in family.concepts
        ),
        cards_caption=_caption_cards(site, family),
        whole=_view_whole(site, page, family),
        rows=rows,
        zero=zero,
        precision=sentences.caution_importance(words, family, family.concepts),
        bias=_tell_bias(site, family),
        spread=spread,
        number_curve=number_curve,
        trust=trust,
        neighbours=tuple(_view_neighbours(site, page, family)),
        none_near=_say_none_near(site, page, family),
        mistakes=_view_mistakes(site, page, family, specimens),
        caveats=tuple(caveats),
        files=site.list_files(page, family.slug),
        assumptions=site.link(page, f"{links.METHOD}#assumptions"),
        turn=(
            site.family_link(page, turn[0]) if turn[0] else None,
            site.family_link(page, turn[1]) if turn[1] else None,
        ),
    )


def _caption_cards(site: Site, family: AtlasFamily) -> str:
    """Return how the plates are to be read: their order, their pictures, the words in frames."""
    words = site.words
    told = [words("family.grid_caption")]
    if any(is_scored(each.visualizations[0]) for each in family.concepts if each.visualizations):
        told.append(words("family.grid_scores", least=write_ordinal(round(LEAST_PERCENTILE))))
    if any(map(is_accentuated, family.concepts)):
        told.append(words("family.grid_accentuated"))
    return " ".join([*told, words("caveat.visualization")])


def _view_whole(site: Site, page: str, family: AtlasFamily) -> View | None:
    """Return the family's own picture, None where none was computed."""
    found = family.visualization
    if found is None:
        return None
    alt = site.words("alt.whole", family=family.name)
    return View(
        picture=make_picture(page, found.image, found.width, found.height, alt, found.smaller),
        caption=site.words("whole.caption", family=family.name),
        badges=make_family_badges(site, found),
    )


def choose_plate(
    site: Site, page: str, family: AtlasFamily, specimens: dict[str, AtlasSpecimen]
) -> tuple[tuple[Picture, str | None], ...]:
    """Return up to three specimens: the representative first, then others of species not yet shown."""
    wanted = [family.representative] if family.representative in specimens else []
    wanted += [crop.specimen for concept in family.concepts for crop in concept.crops[:2] if crop.kind == "top"]
    names = [name for name in dict.fromkeys(wanted) if name and name in specimens and not specimens[name].withheld]
    chosen: list[str] = []
    for fresh_only in (True, False):
        for name in names:
            seen = {species_of(specimens[each]) for each in chosen}
            is_fresh = name not in chosen and (not fresh_only or species_of(specimens[name]) not in seen)
            if is_fresh and len(chosen) < N_PLATE:
                chosen.append(name)
    pictures = []
    for n, name in enumerate(chosen, 1):
        each = specimens[name]
        alt = site.words(
            "alt.plate", leaf=leaf_word(site), specimen=identify(each, site.words), n=n, family=family.name
        )
        picture = make_picture(page, each.image, each.width, each.height, alt, each.smaller)
        pictures.append((picture, species_of(each)))
    return tuple(pictures)


def make_label(site: Site, page: str, family: AtlasFamily) -> tuple[Fact, ...]:
    """Return the determination label: the facts of a family in a few lines."""
    words = site.words
    facts = []
    if family.order:
        facts.append(Fact(words("family.order"), family.order))
    if family.clade:
        facts.append(Fact(words("family.clade"), family.clade))
    images, leaves = words("count.images", n=family.n_specimens), words("count.leaves", n=family.n_groups)
    facts.append(Fact(words("family.images"), words("family.images_text", images=images, leaves=leaves)))
    facts.append(Fact(words("family.species"), words("caveat.species", n=family.n_species)))
    accuracy = family.accuracy
    if accuracy and accuracy.top1 is not None and accuracy.interval:
        text = words(
            "family.accuracy_text",
            value=write_measured(accuracy.top1, accuracy.interval, words),
            counted=sentences.count_accuracy(words, accuracy),
        )
        facts.append(Fact(words("family.accuracy"), text))
    explained = explained_of(family)
    if explained is not None and family.rest:
        key = "family.explained_fitted" if family.rest.concepts else "family.explained_text"
        value = write_measured_percent(explained, family.explained_interval, words)
        facts.append(Fact(words("family.explained"), words(key, value=value)))
    taken = [link for each in family.confused_with[:2] if (link := site.family_link(page, each.slug))]
    if taken:
        facts.append(Fact(words("family.taken_for"), "", tuple(taken)))
    facts.append(Fact(words("family.det"), site.index.classifier.name))
    return tuple(facts)


def _tell_bias(site: Site, family: AtlasFamily) -> str | None:
    """Return what the bias adds, and the family's mean centred logit that it makes up with all rows."""
    if family.bias is None or family.rest is None:
        return None
    total = family.bias + family.rest.contribution + sum(each.importance.contribution for each in family.concepts)
    bias = write_measured(family.bias, family.bias_interval, site.words, write_signed)
    return site.words("family.bias", bias=bias, total=write_signed(total))


def _view_neighbours(site: Site, page: str, family: AtlasFamily) -> list[Near]:
    near = []
    for neighbour in [each for each in family.neighbours if each.similarity >= NEAR][:5]:
        other, link = site.families.get(neighbour.slug), site.family_link(page, neighbour.slug)
        if other is None or link is None:
            continue
        picture = None
        if is_built(other) and other.concepts[0].visualizations:
            first = other.concepts[0].visualizations[0]
            key = "alt.near_accentuation" if is_accentuated(other.concepts[0]) else "alt.near"
            alt = site.words(key, family=other.name)
            picture = make_small_picture(page, first.image, first.width, first.height, alt, first.smaller, NEAR_SIDE)
        near.append(Near(link, neighbour.similarity, picture, _link_comparison(site, page, family, other)))
    return near


def _link_comparison(site: Site, page: str, family: AtlasFamily, other: AtlasFamily | None) -> Link | None:
    """Return a link to what compares two families: their own page, else the page where a reader picks a pair."""
    if other is None or other.slug == family.slug or not is_built(other):
        return None
    text = site.words("family.compare", family=other.name)
    own = links.compare_page(family.slug, other.slug)
    if own in site.plan:
        return Link(text, site.link(page, own))
    if links.COMPARE in site.plan:
        return Link(text, f"{site.link(page, links.COMPARE)}#{family.slug}+{other.slug}")
    return None


def _view_mistakes(site: Site, page: str, family: AtlasFamily, specimens: dict[str, AtlasSpecimen]) -> Mistakes:
    """Return the specimens the classifier gets wrong, the surest first, and what it took all of them for."""
    words = site.words
    shown: list[MistakeView] = []
    for mistake in family.mistakes:
        specimen, other = specimens.get(mistake.specimen), site.find_family(mistake.family)
        if specimen is None or specimen.withheld or len(shown) == N_MISTAKES:
            continue
        species = species_of(specimen)
        n = len(shown) + 1
        alt = words(
            "alt.mistake",
            leaf=leaf_word(site),
            specimen=identify(specimen, words),
            n=n,
            family=family.name,
            other=mistake.family,
        )
        size = (specimen.width, specimen.height)
        taken = site.family_link(page, other.slug) if other else None
        shown.append(
            MistakeView(
                picture=make_small_picture(page, specimen.image, *size, alt, specimen.smaller, MISTAKE_SIDE),
                who=species or specimen.catalogue_number or specimen.id,
                latin=species is not None,
                number=specimen.catalogue_number or specimen.id,
                href=site.specimen_link(page, specimen.id),
                family=taken or Link(mistake.family, ""),
                sentence=words(
                    "family.scores",
                    score=write_decimal(mistake.score),
                    family=family.name,
                    own=write_decimal(mistake.own_score),
                ),
                note=words("family.held_out" if mistake.held_out else "family.in_training"),
            )
        )
    return Mistakes(
        sentence=_tell_mistakes(site, family, len(shown)),
        shown=tuple(shown),
        counts=tuple(
            (link, each.n, _link_comparison(site, page, family, site.families.get(each.slug)))
            for each in family.confused_with
            if (link := site.family_link(page, each.slug))
        ),
    )


def _tell_mistakes(site: Site, family: AtlasFamily, n_shown: int) -> str:
    """Return how many of the counted specimens are taken for another family, and which of all stand here."""
    words = site.words
    n_wrong, accuracy = sum(each.n for each in family.confused_with), family.accuracy
    told = []
    if not n_wrong:
        told.append(words("family.no_confused"))
    elif accuracy is not None and accuracy.n_specimens:
        key = "family.wrong_held_out" if "held" in accuracy.split else "family.wrong_all"
        told.append(words(key, n=n_wrong, images=words("count.images", n=accuracy.n_specimens)))
    if n_shown:
        told.append(words("family.mistakes_shown", n=n_shown))
    return " ".join(told)


def _say_none_near(site: Site, page: str, family: AtlasFamily) -> str:
    """Return that no family is near, and which is the least unlike, or nothing where one is near."""
    first = max(family.neighbours, key=lambda each: each.similarity, default=None)
    link = site.family_link(page, first.slug) if first else None
    if first is None or link is None:
        return site.words("family.no_neighbours")
    if first.similarity >= NEAR:
        return ""
    name = Markup('<a href="{}" lang="la">{}</a>').format(link.href, link.text)
    return site.words("family.none_near", family=name, value=write_decimal(first.similarity))


def view_missing(site: Site, family: AtlasFamily) -> MissingPage:
    """Return the page of a family that the classifier names and the atlas cannot show."""
    words, page = site.words, links.family_page(family.slug)
    reason = reason_of(site, family)
    return MissingPage(
        frame=site.make_frame(
            page,
            family.name,
            words("missing.description", family=family.name, reason=reason),
            style="missing",
        ),
        crumbs=(Link(words("chrome.families"), site.link(page, links.FAMILIES)),),
        name=family.name,
        common_name=family.common_name,
        reason=reason,
        label=make_label(site, page, family),
        caveats=(sentences.caution_accuracy(words, family),),
    )
