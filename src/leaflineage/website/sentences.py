"""Sentences that pages print from the data: what a family is known by, and the caveats."""

from __future__ import annotations

from markupsafe import Markup

from leaflineage.records import Accuracy, AtlasConcept, AtlasFamily, AtlasSpecimen, Index
from leaflineage.website import links
from leaflineage.website.context import Site
from leaflineage.website.words import (
    Words,
    write_decimal,
    write_measured,
    write_measured_percent,
    write_percent,
    write_signed,
)

N_LEADING = 3  # concepts a family's opening sentence names
ALSO = 0.05  # logits from which a concept is said to speak for another family too
WEIGHTY = 0.02  # share from which a concept that speaks against is named in the opening sentence


def open_family(site: Site, page: str, family: AtlasFamily) -> str:
    """Return the one plain sentence a family's page opens with; names of concepts in it are links."""
    words = site.words
    speaking_for = [each for each in family.concepts if each.importance.contribution > 0][:N_LEADING]
    against = [each for each in family.concepts if each.importance.contribution < 0]
    weighty = [each for each in against if each.importance.share >= WEIGHTY][:2]
    name = Markup('<span lang="la">{}</span>').format(family.name)
    if not speaking_for:
        spoken = speak(site, page, against[:1])
        return words("family.sentence_against", family=name, against_concepts=spoken)
    listed = words.join([link_inside(site, page, each) for each in speaking_for])
    if not weighty:
        return words("family.sentence", family=name, for_concepts=listed)
    return words("family.sentence_both", family=name, for_concepts=listed, against_concepts=speak(site, page, weighty))


def speak(site: Site, page: str, concepts: list[AtlasConcept]) -> str:
    """Return "concept 6 speaks" or "concept 6 and concept 9 speak", linked."""
    listed = site.words.join([link_inside(site, page, each) for each in concepts])
    return site.words("family.speak", n=len(concepts), concepts=listed)


def link_inside(site: Site, page: str, concept: AtlasConcept) -> str:
    """Return a concept's name inside a sentence, as a link."""
    href = site.link(page, links.concept_page(concept.id))
    return Markup('<a href="{}">{}</a>').format(href, site.name_inside(concept).replace(" ", "\u00a0"))


def account_for(words: Words, family: AtlasFamily) -> str:
    """Return how much of the family's score its shown concepts account for, and how much they leave out."""
    rest = family.rest.share if family.rest else 1 - sum(each.importance.share for each in family.concepts)
    span = family.rest.share_interval if family.rest else None
    n = len(family.concepts)
    return words(
        "caveat.account",
        n=n,
        count=words.number(n),
        explained=write_measured_percent(1 - rest, (1 - span[1], 1 - span[0]) if span else None, words),
        rest=write_percent(rest, words),
    )


def caution_accuracy(words: Words, family: AtlasFamily) -> str:
    """Return the accuracy of a family with its interval, beside that on leaves used in training and chance."""
    accuracy, training = family.accuracy, family.training_accuracy
    if accuracy is None or accuracy.top1 is None or accuracy.interval is None:
        return words("caveat.accuracy_none")
    places = {
        "value": write_measured(accuracy.top1, accuracy.interval, words),
        "counted": count_accuracy(words, accuracy),
        "chance": write_decimal(accuracy.chance),
    }
    if not is_held_out(accuracy):
        return words("caveat.accuracy_all", **places)
    if training is not None and training.top1 is not None:
        return words("caveat.accuracy_both", training=write_decimal(training.top1), **places)
    return words("caveat.accuracy", **places)


def count_accuracy(words: Words, accuracy: Accuracy) -> str:
    """Return of how many leaves an accuracy is, those its interval counts; of how many images in an older run."""
    if accuracy.n_groups is None:
        return words("count.images", n=accuracy.n_specimens)
    return words("count.leaves", n=accuracy.n_groups)


def is_held_out(accuracy: Accuracy) -> bool:
    """Return whether an accuracy counts only leaves not used in training."""
    return "held" in accuracy.split


def caution_composition(words: Words, family: AtlasFamily, *, drawn: bool) -> str:
    """Return of how many leaves, species and sources a family's concepts were made."""
    places = {
        "images": words("count.images", n=family.n_specimens),
        "leaves": words("count.leaves", n=family.n_groups),
        "species": words("caveat.species", n=family.n_species),
    }
    if drawn:
        return words("caveat.composition_drawn", **places)
    if not family.source_shares:
        return words("caveat.composition_unsourced", **places)
    share = write_percent(max(family.source_shares.values()), words)
    return words("caveat.composition", share=share, **places)


def caution_direction(words: Words, concept: AtlasConcept) -> str:
    """Return what a concept is not, and who named it."""
    if concept.name is None:
        return words("caveat.direction")
    if concept.name.source == "suggested":
        return words("caveat.direction_suggested")
    author = ", ".join(part for part in (concept.name.author or words("concept.someone"), concept.name.date) if part)
    return words("caveat.direction_expert", author=author)


def caution_importance(words: Words, family: AtlasFamily, concepts: list[AtlasConcept]) -> str:
    """Return what the interval of an importance holds; that of a single leaf holds no leaves."""
    exact = all(each.importance.exact for each in concepts)
    if shows_one_leaf(family):
        return words("caveat.exact_one_leaf") if exact else words("caveat.sampled_one_leaf")
    return words("caveat.exact") if exact else words("caveat.sampled")


def shows_one_leaf(family: AtlasFamily) -> bool:
    """Return whether all pictures of a family show one leaf: there is nothing to resample."""
    return family.n_groups == 1


def caution_one_leaf(words: Words, family: AtlasFamily) -> list[str]:
    """Return that no interval over leaves can be given, where there is one leaf."""
    return [words("caveat.one_leaf")] if shows_one_leaf(family) else []


def caution_heat(words: Words, index: Index, specimens: list[AtlasSpecimen]) -> str:
    """Return of how many cells a heat map is made, and how far they are enlarged."""
    rows, columns = index.classifier.map_size
    pixels = max((max(each.width, each.height) for each in specimens), default=0)
    return words("caveat.heat", rows=rows, columns=columns, pixels=pixels)


def caution_scale(words: Words, specimens: list[AtlasSpecimen]) -> list[str]:
    """Return that sizes cannot be compared, unless every specimen has a scale."""
    return [] if specimens and all(each.px_per_mm for each in specimens) else [words("caveat.scale")]


def speak_for_others(site: Site, page: str, family: AtlasFamily, concept: AtlasConcept) -> str | None:
    """Return which other families a concept also speaks for, strongest first, linked."""
    words = site.words
    others = sorted(
        ((slug, logits) for slug, logits in concept.contributions.items() if slug != family.slug),
        key=lambda pair: (-pair[1], pair[0]),
    )
    if not others:
        return None
    parts: list[str] = []
    for slug, logits in others[:4]:
        link = site.family_link(page, slug)
        if link and logits >= ALSO:
            parts.append(
                Markup('<a href="{}" lang="la">{}</a> ({})').format(link.href, link.text, write_signed(logits))
            )
    if not parts:
        return words("concept.also_none", least=write_decimal(ALSO))
    return words("concept.also", families=Markup(words("list.comma")).join(parts))
