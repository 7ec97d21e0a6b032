"""What is said of computed pictures: what each scored, which stands first and why, and how many pass.

A score is read off the record; nothing is measured here. A picture passes where its percentile is ``LEAST_PERCENTILE``
or more and its own concept is first. Percentiles are rounded down: "more than 97 %" then holds, and what fails by a
hair is not written as the bar itself.
"""

from __future__ import annotations

import math

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Visualization
from leaflineage.website.context import Site, identify, is_built
from leaflineage.website.pages.parts import Badge
from leaflineage.website.words import Words, write_ordinal

LEAST_PERCENTILE = 90.0  # as the stage visualize holds it


def is_scored(picture: Visualization) -> bool:
    """Return whether a picture has both numbers that it is judged by."""
    return picture.score is not None and {"percentile", "own_rank"} <= picture.score.keys()


def fails(picture: Visualization) -> bool:
    """Return whether a picture activates its concept too little, or another one more; without a score none fails."""
    if picture.score is None or not is_scored(picture):
        return False
    return picture.score["percentile"] < LEAST_PERCENTILE or picture.score["own_rank"] > 1


def find_computed(concept: AtlasConcept) -> Visualization | None:
    """Return the concept's first picture that is computed throughout, or None where it has none."""
    return next((each for each in concept.visualizations if each.kind == "concept"), None)


def is_accentuated(concept: AtlasConcept) -> bool:
    """Return whether a real crop in which the concept was made clearer stands first."""
    return bool(concept.visualizations) and concept.visualizations[0].kind == "accentuation"


def count_bank(family: AtlasFamily) -> int:
    """Return how many concepts a family's bank holds, shown or not."""
    if family.factorization is not None:
        return family.factorization.n_concepts
    return len(family.concepts) + (len(family.rest.concepts) if family.rest else 0)


# --- badges --------------------------------------------------------------------------------------------------


def make_score_badges(site: Site, family: AtlasFamily, picture: Visualization) -> tuple[Badge, ...]:
    """Return the score of a concept's picture in full, and what a second classifier makes of it where one was asked."""
    words, score = site.words, picture.score
    if score is None or not is_scored(picture):
        return ()
    crops = words("score.drawn_crops" if site.index.drawn else "score.real_crops")
    percentile = _tell_percentile(words, "crops", score["percentile"], crops=crops)
    badges = [_make_badge(words, picture, percentile, "concepts", count_bank(family))]
    if "transfer" in score:
        text = _tell_percentile(words, "transfer", score["transfer"], crops=crops)
        badges.append(Badge(text))
    return tuple(badges)


def make_short_badges(site: Site, family: AtlasFamily, picture: Visualization) -> tuple[Badge, ...]:
    """Return the score of a concept's picture in a few words, for cards and strips; that it is a real crop, first."""
    words, score = site.words, picture.score
    badges = [Badge(words("accent.badge"), warns=True)] if picture.kind == "accentuation" else []
    if score is not None and is_scored(picture):
        percentile = words("score.percentile", ordinal=write_ordinal(math.floor(score["percentile"])))
        badges.append(_make_badge(words, picture, percentile, "short", count_bank(family)))
    return tuple(badges)


def make_family_badges(site: Site, picture: Visualization) -> tuple[Badge, ...]:
    """Return the score of the picture of a whole family."""
    words, score = site.words, picture.score
    if score is None or not is_scored(picture):
        return ()
    percentile = _tell_percentile(words, "specimens", score["percentile"])
    return (_make_badge(words, picture, percentile, "outputs", site.index.classifier.n_outputs),)


def _make_badge(words: Words, picture: Visualization, percentile: str, key: str, n: int) -> Badge:
    """Return percentile and place in one frame; one that fails says so in a word, and its frame is dashed."""
    assert picture.score is not None
    text = words("score.both", percentile=percentile, rank=_tell_rank(words, key, picture.score["own_rank"], n))
    return Badge(words("score.failed", score=text), warns=True) if fails(picture) else Badge(text)


def _tell_percentile(words: Words, key: str, percentile: float, **places: str) -> str:
    if percentile >= 100:
        return words(f"score.than_{key}_all", **places)
    whole = math.floor(percentile)
    if whole < 1:
        return words(f"score.than_{key}_none", **places)
    return words(f"score.than_{key}_more", value=words("percent.plain", value=whole), **places)


def _tell_rank(words: Words, key: str, rank: float, n: int) -> str:
    if rank <= 1:
        return words(f"score.place_{key}_first", count=words.number(n), n=n)
    return words(f"score.place_{key}_later", place=write_ordinal(int(rank)), count=words.number(n), n=n)


# --- sentences -----------------------------------------------------------------------------------------------


def caption_first(site: Site, concept: AtlasConcept, specimens: dict[str, AtlasSpecimen]) -> str:
    """Return what stands under the picture that is shown first: what it is, and where it is no computed one, why."""
    words = site.words
    if not concept.visualizations:
        return words("figure.no_picture")
    first = concept.visualizations[0]
    if first.kind == "accentuation":
        specimen = specimens[first.specimen or ""]
        told = words("accent.drawn" if site.index.drawn else "accent.real", why=_tell_failure(words, concept))
        return f"{told} {words('accent.whose', specimen=identify(specimen, words))} {words('caveat.accentuation')}"
    if first.steps is None:
        opening = words("concept.visualization_caption")
    else:
        opening = words("concept.visualization_steps", steps=first.steps)
    return f"{opening} {_caution(words, first)}"


def _tell_failure(words: Words, concept: AtlasConcept) -> str:
    """Return why the computed picture of a concept does not stand first."""
    computed = find_computed(concept)
    if computed is None or computed.score is None or not is_scored(computed):
        return words("accent.why_unknown")
    percentile, rank = computed.score["percentile"], int(computed.score["own_rank"])
    if rank <= 1:
        key = "accent.why_weak"
    else:
        key = "accent.why_both" if percentile < LEAST_PERCENTILE else "accent.why_other"
    return words(key, percentile=write_ordinal(math.floor(percentile)), rank=str(rank))


def _caution(words: Words, picture: Visualization) -> str:
    """Return that a picture is computed, with its score where one is known."""
    if picture.score is None or not is_scored(picture):
        return words("caveat.visualization")
    return words(
        "caveat.visualization_scored",
        percentile=write_ordinal(math.floor(picture.score["percentile"])),
        rank=str(int(picture.score["own_rank"])),
    )


def tell_passed(site: Site) -> str | None:
    """Return how many computed pictures of concepts and of families pass; None where none was scored."""
    words = site.words
    built = [family for family in site.index.families if is_built(family)]
    concepts = [concept for family in built for concept in family.concepts]
    pictures = [each for concept in concepts if (each := find_computed(concept)) is not None and is_scored(each)]
    wholes = [each for family in built if (each := family.visualization) is not None and is_scored(each)]
    told = []
    for key, judged in (("score.passed_concepts", pictures), ("score.passed_families", wholes)):
        if judged:
            told.append(words(key, passed=sum(not fails(each) for each in judged), n=len(judged)))
    n_accentuated = sum(is_accentuated(concept) for concept in concepts)
    if n_accentuated:
        told.append(words("score.accentuated", n=n_accentuated))
    return words("list.semicolon").join(told) if told else None
