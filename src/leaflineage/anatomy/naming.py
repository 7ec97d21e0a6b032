"""A concept's suggested name: `where [+ where] [: pattern]`, or none where the evidence is weak.

Where: zones whose enrichment within the leaf is above 1 for certain (the low end of its interval), at most two; a
concept of the whole leaf is named after the lamina. Most of it on something else: a word for what is no leaf.
What pattern: at most one word, where its statistic is a discovery of the family's tests and the pictures offer what
the word asks for. A name is never a diagnosis of a family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaflineage.anatomy import labels as zone
from leaflineage.anatomy.alarm import MORE_THAN_EVEN, PlaceAlarm, find_place_alarms
from leaflineage.anatomy.patterns import DISCOVERY_RATE, STATISTICS, PatternTest, hold_discovery_rate
from leaflineage.anatomy.placing import Placement
from leaflineage.anatomy.vocabulary import TERM_BY_ID, Seen, Term, may_suggest

ENRICHED = 1.1  # low end of the enrichment within the leaf
LEAST_SHARE = 0.04  # of the activation on the leaf
SECOND = 0.55  # of the first place's certainty, what a second place needs
ON_LEAF = 0.45  # of what an even map has on the leaf, at least, for a name of the leaf
EVEN = 0.12  # how far the whole leaf's zones may be from 1 for a concept of the lamina
LEAST_CONFIDENCE = 0.3
FEW_TEETH = 2  # in a crop: corners of the grid, not teeth

ZONE_TERMS = {
    zone.PETIOLE: "petiole",
    zone.MIDVEIN: "midvein",
    zone.SECONDARY: "major-secondary-veins",
    zone.MARGIN: "margin",
    zone.BASE: "base",
    zone.APEX: "apex",
    zone.BLADE: "lamina",
}
EDGE_TERMS = frozenset({"margin", "base", "apex"})
# statistic, sign of its effect -> word, and the places it may follow; the first that holds is said
PATTERN_WORDS: tuple[tuple[str, int, str, frozenset[str]], ...] = (
    ("lean", 1, "serrate", EDGE_TERMS),
    ("teeth", 1, "toothed", EDGE_TERMS),
    ("teeth", -1, "untoothed", EDGE_TERMS),
    ("lobes", -1, "unlobed", EDGE_TERMS),
)
VEIN_PLACES = {1: "major-secondary-veins", -1: "intercostal-area"}  # of the lamina, by the sign of vein density


@dataclass(frozen=True)
class SuggestedName:
    """A name by a program.

    text: in a botanist's words; plain: in everybody's. terms: ids of the vocabulary, places first. confidence: [0, 1].
    reasons: the evidence in words, one a term.
    """

    text: str
    plain: str
    terms: tuple[str, ...]
    confidence: float
    reasons: tuple[str, ...]


def suggest_names(
    placement: Placement, tests: Sequence[PatternTest | None], seen: Sequence[Seen], *, usable_share: float
) -> list[SuggestedName | None]:
    """Return a suggested name a concept, None where the evidence is weak.

    Parameters
    ----------
    placement
        Of the family's usable specimens.
    tests
        One a concept; None where there were too few crops.
    seen
        What each concept's pictures offer.
    usable_share
        Of the family's specimens, those whose zones could be trusted.
    """
    n_concepts = len(placement.share.value)
    alarms = find_place_alarms(placement)
    p_values = np.stack([
        np.full(len(STATISTICS), np.nan) if each is None else each.p_value for each in tests
    ]) if n_concepts else np.zeros((0, len(STATISTICS)))  # fmt: skip
    found = hold_discovery_rate(p_values, rate=DISCOVERY_RATE)
    return [
        _suggest(placement, index, alarms[index], tests[index], found[index], seen[index], usable_share)
        for index in range(n_concepts)
    ]


def _suggest(
    placement: Placement,
    index: int,
    alarm: PlaceAlarm,
    test: PatternTest | None,
    found: np.ndarray,
    seen: Seen,
    usable_share: float,
) -> SuggestedName | None:
    if alarm.flags:
        return _name_off_leaf(placement, index, alarm, usable_share)
    on_leaf = 1 - placement.off_leaf.high[index, 0]
    if not np.isfinite(on_leaf) or on_leaf < ON_LEAF * _expect_on_leaf(placement, index):
        return None
    if placement.off_leaf_enrichment.low[index, 0] > MORE_THAN_EVEN:
        return None  # drawn to what is no leaf, if not enough of it for an alarm
    places = _find_places(placement, index, seen)
    if not places:
        return None
    vein = STATISTICS.index("vein_density")
    if [term.id for term, _, _ in places] == ["lamina"] and test is not None and found[vein]:
        refined = TERM_BY_ID[VEIN_PLACES[1 if test.effect[vein] > 0 else -1]]
        if may_suggest(refined, seen):
            places = [(refined, places[0][1], f"vein density {test.effect[vein]:+.2f} deviations in strong crops")]
    pattern = None if test is None else _find_pattern([term.id for term, _, _ in places], test, found, seen)
    confidence = usable_share * min(certainty for _, certainty, _ in places)
    if confidence < LEAST_CONFIDENCE:
        return None
    terms = [term for term, _, _ in places] + ([pattern[0]] if pattern else [])
    reasons = [reason for _, _, reason in places] + ([pattern[1]] if pattern else [])
    return make_name(terms, confidence=confidence, reasons=reasons)


def make_name(terms: Sequence[Term], *, confidence: float, reasons: Sequence[str]) -> SuggestedName:
    """Return a name of one or two places and at most one pattern.

    Raises
    ------
    ValueError
        If the terms do not follow the grammar `where [+ where] [: pattern]`.
    """
    places = [term for term in terms if term.kind != "pattern"]
    patterns = [term for term in terms if term.kind == "pattern"]
    if not 1 <= len(places) <= 2 or len(patterns) > 1 or list(terms) != places + patterns:
        raise ValueError(
            "a name is one or two places and then at most one pattern; came "
            + (", ".join(f"{term.id} ({term.kind})" for term in terms) or "no term")
        )
    said = [" + ".join(getattr(term, field) for term in places) for field in ("word", "plain")]
    if patterns:
        said = [f"{where}: {getattr(patterns[0], field)}" for where, field in zip(said, ("word", "plain"), strict=True)]
    return SuggestedName(
        text=said[0][0].upper() + said[0][1:],
        plain=said[1][0].upper() + said[1][1:],
        terms=tuple(term.id for term in terms),
        confidence=float(confidence),
        reasons=tuple(reasons),
    )


def _expect_on_leaf(placement: Placement, index: int) -> float:
    """Return what an evenly spread map would put on the leaf, of its activation."""
    off = placement.off_leaf.value[index, 0] / placement.off_leaf_enrichment.value[index, 0]
    return float(1 - off) if np.isfinite(off) else 1.0


def _find_places(placement: Placement, index: int, seen: Seen) -> list[tuple[Term, float, str]]:
    """Return at most two places, the surest first: term, certainty in [0, 1], reason."""
    leaf = list(zone.LEAF_ZONES)
    low, value = placement.within_leaf.low[index], placement.within_leaf.value[index]
    share = placement.share.value[index] / max(placement.share.value[index, leaf].sum(), 1e-12)
    sure = []
    for each in leaf:
        term = TERM_BY_ID[ZONE_TERMS[each]]
        if np.isfinite(low[each]) and low[each] >= ENRICHED and share[each] >= LEAST_SHARE and may_suggest(term, seen):
            certainty = 1 - float(np.exp(-3.0 * (low[each] - 1)))
            reason = (
                f"{value[each]:.2f} times its area's share ({low[each]:.2f} at least), {share[each]:.0%} of the leaf's"
            )
            sure.append((term, certainty, reason))
    sure.sort(key=lambda place: -place[1])
    if sure:
        return [place for place in sure[:2] if place[1] >= SECOND * sure[0][1]]
    ends = [placement.within_leaf.high[index, each] for each in leaf if share[each] >= LEAST_SHARE]
    ends += [low[each] for each in leaf if share[each] >= LEAST_SHARE]
    if ends and np.all(np.abs(np.array(ends) - 1) < 2 * EVEN):
        return [(TERM_BY_ID["lamina"], 0.5, "evenly over the leaf")]
    return []


def _find_pattern(places: Sequence[str], test: PatternTest, found: np.ndarray, seen: Seen) -> tuple[Term, str] | None:
    for statistic, sign, word, allowed in PATTERN_WORDS:
        index = STATISTICS.index(statistic)
        term = TERM_BY_ID[word]
        if not found[index] or np.sign(test.effect[index]) != sign or not may_suggest(term, seen):
            continue
        if statistic == "lean" and not (
            found[STATISTICS.index("teeth")] and test.effect[STATISTICS.index("teeth")] > 0
        ):
            continue
        if allowed.intersection(places) and _is_true(word, seen):
            reason = (
                f"{statistic} {test.effect[index]:+.2f} deviations in strong crops ({test.floor[index]:.2f} by chance)"
            )
            return term, reason
    return None


def _is_true(word: str, seen: Seen) -> bool:
    """Tell whether strong crops have, or lack, teeth at all: to have more than the weak ones is not enough."""
    n_teeth = seen.n_teeth or 0.0
    return {"untoothed": n_teeth <= FEW_TEETH, "unlobed": True}.get(word, n_teeth > FEW_TEETH)


def _name_off_leaf(placement: Placement, index: int, alarm: PlaceAlarm, usable_share: float) -> SuggestedName | None:
    words = {"foreign": "foreign-object", "background": "background", "border": "image-border"}
    chosen = next(name for name in ("foreign", "border", "background") if name in alarm.flags)
    low = float(placement.share.low[index, zone.FOREIGN] if chosen == "foreign" else placement.off_leaf.low[index, 0])
    reason = f"{low:.0%} or more of it lies there"
    return make_name([TERM_BY_ID[words[chosen]]], confidence=usable_share * max(low, 0.5), reasons=[reason])
