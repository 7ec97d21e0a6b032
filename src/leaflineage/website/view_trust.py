"""How far the concepts may be trusted: one family's fidelity on its page, all families' on the method page."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from leaflineage.records import AtlasFamily, Completeness, Fidelity, FidelityCurve, Measure
from leaflineage.website import links
from leaflineage.website.charts import clamp, do_orders_coincide, find_ticks, make_fidelity_charts
from leaflineage.website.context import Site, is_built
from leaflineage.website.pages.charts import FloorLine, OrderLine, StripGroup, StripRow, Tick, Trust, TrustRow
from leaflineage.website.pages.parts import Fact, Interval
from leaflineage.website.words import (
    Words,
    find_span,
    write_decimal,
    write_integer,
    write_measured,
    write_measured_percent,
    write_percent,
    write_signed,
)

MOST_ROWS = 40  # families with a line each; of more, the figure of medians and the families' own pages tell
MOSTLY = 0.5  # share of the rest, of others pulled in, or of a floor, from which a sentence warns
ORDERS = ("contribution", "importance", "random")


def is_mostly_rest(family: AtlasFamily) -> bool:
    """Return whether more than half of a family's score is in what no shown concept explains."""
    return family.rest is not None and family.rest.share > MOSTLY


def has_high_floor(family: AtlasFamily) -> bool:
    """Return whether concepts of a network with random weights explain half or more of its logit too."""
    floors = family.fidelity.floors if family.fidelity else []
    shares = [floor.explained_share for floor in floors if floor.kind == "random-weights"]
    return any(share is not None and share.value >= MOSTLY for share in shares)


# --- one family ----------------------------------------------------------------------------------------------


def view_trust(site: Site, family: AtlasFamily, figure: int) -> Trust | None:
    """Return the fidelity of one family, or None where nothing of it was measured."""
    words, fidelity = site.words, family.fidelity
    facts = _list_facts(words, family)
    if fidelity is None and family.completeness is None and not facts:
        return None
    return Trust(
        figure=figure,
        measured_on=_say_measured_on(words, fidelity) if fidelity else "",
        charts=make_fidelity_charts(site, family, fidelity.curves) if fidelity else (),
        caption=_caption_charts(words, family, fidelity),
        orders=_list_orders(words, fidelity) if fidelity else (),
        has_intervals=_has_intervals(fidelity) if fidelity else False,
        sentences=_tell_completeness(words, family, family.completeness) if family.completeness else (),
        floors=_list_floors(words, family, fidelity) if fidelity else (),
        floor_note=words("trust.floor_high") if has_high_floor(family) else None,
        facts=facts,
    )


def _say_measured_on(words: Words, fidelity: Fidelity) -> str:
    key = "trust.on_held_out" if "held" in fidelity.split else "trust.on_all"
    return words(key, images=words("count.images", n=fidelity.n_specimens))


def _caption_charts(words: Words, family: AtlasFamily, fidelity: Fidelity | None) -> str:
    caption = words("trust.caption", family=family.name)
    if fidelity is None or not do_orders_coincide(fidelity.curves):
        return caption
    return f"{caption} {words('trust.coincide')}"


def _list_orders(words: Words, fidelity: Fidelity) -> tuple[OrderLine, ...]:
    def tell_area(measure: Measure) -> str:
        return write_measured(measure.value, measure.interval, words, write_signed)

    return tuple(
        OrderLine(
            kind=curve.order,
            label=words(f"order.{curve.order}"),
            deletion=tell_area(curve.deletion_area),
            insertion=tell_area(curve.insertion_area),
            mu_fidelity=_tell(words, fidelity.mu_fidelity.get(curve.order)),
        )
        for curve in fidelity.curves
    )


def _has_intervals(fidelity: Fidelity) -> bool:
    """Return whether any figure beside the charts has an interval of some width."""
    areas = [area for curve in fidelity.curves for area in (curve.deletion_area, curve.insertion_area)]
    return any(find_span(each.interval) for each in [*areas, *fidelity.mu_fidelity.values()])


def _tell(words: Words, measure: Measure | None) -> str:
    return "–" if measure is None else write_measured(measure.value, measure.interval, words)


def _tell_share(words: Words, measure: Measure | None) -> str:
    return "–" if measure is None else write_measured_percent(measure.value, measure.interval, words)


def _list_floors(words: Words, family: AtlasFamily, fidelity: Fidelity) -> tuple[FloorLine, ...]:
    through = family.completeness.reconstructed_accuracy if family.completeness else None
    lines: list[tuple[str, Measure | None, Measure | None, Measure | None]]
    lines = [(words("floor.own"), fidelity.explained_share, fidelity.relative_error, through)]
    lines += [
        (words(f"floor.{floor.kind.replace('-', '_')}"), floor.explained_share, floor.relative_error, floor.accuracy)
        for floor in fidelity.floors
    ]
    return tuple(
        FloorLine(label, _tell_share(words, share), _tell(words, error), _tell(words, accuracy))
        for label, share, error, accuracy in lines
    )


def _tell_completeness(words: Words, family: AtlasFamily, found: Completeness) -> tuple[str, ...]:
    """Return in two sentences what becomes of accuracy through the family's concepts; a third where it flatters."""
    own = words(
        "trust.own",
        family=family.name,
        n=found.n,
        before=_tell_share(words, found.accuracy),
        after=_tell_share(words, found.reconstructed_accuracy),
    )
    pulled = found.others_reconstructed_taken
    if pulled is None:
        return (own,)
    others = words(
        "trust.others",
        family=family.name,
        n=found.n_others,
        before=_tell_share(words, found.others_accuracy),
        after=_tell_share(words, found.others_reconstructed_accuracy),
        taken=_tell_share(words, found.others_taken),
        pulled=_tell_share(words, pulled),
    )
    if pulled.value <= MOSTLY:
        return own, others
    return own, others, words("trust.flatters", family=family.name)


def _list_facts(words: Words, family: AtlasFamily) -> tuple[Fact, ...]:
    found = family.factorization
    if found is None:
        return ()
    key = "trust.method_semi" if found.method == "semi-nmf" else "trust.method_nmf"
    facts = [Fact(words("trust.bank"), words(key, n=found.n_concepts, fitted=found.n_fitted))]
    if family.relative_error is not None:
        facts.append(Fact(words("trust.error"), write_decimal(family.relative_error)))
    if found.relative_error_unseen:
        facts.append(Fact(words("trust.error_unseen"), _tell(words, found.relative_error_unseen)))
    if found.explained_unseen:
        facts.append(Fact(words("trust.explained_unseen"), _tell_share(words, found.explained_unseen)))
    return tuple(facts)


# --- all families --------------------------------------------------------------------------------------------


def view_strips(site: Site) -> tuple[StripGroup, ...]:
    """Return every measure of fidelity over all families: a stroke a family, the median as a dot."""
    words = site.words
    built = [family for family in site.index.families if is_built(family)]
    found = [family.fidelity for family in built if family.fidelity]
    complete = [family.completeness for family in built if family.completeness]
    floors = [(floor.kind, floor) for each in found for floor in each.floors]
    banks = [each.factorization for each in built if each.factorization]

    def of_floor(kind: str, name: str) -> list[float]:
        return _take(getattr(floor, name) for each, floor in floors if each == kind)

    groups = []
    held = {
        "explained": _take(each.explained_share for each in found),
        "explained_unseen": _take(each.explained_unseen for each in banks),
        "explained_shuffled": of_floor("shuffled-labels", "explained_share"),
        "explained_random": of_floor("random-weights", "explained_share"),
        "error": _take(each.relative_error for each in found),
        "error_unseen": _take(each.relative_error_unseen for each in banks),
        "error_shuffled": of_floor("shuffled-labels", "relative_error"),
        "error_random": of_floor("random-weights", "relative_error"),
    }
    groups.append(_make_group(words, "held", held, least=1.0))
    curves = [curve for each in found for curve in each.curves]
    areas: dict[str, list[float]] = {}
    for kind in ("deletion", "insertion"):
        for order in ORDERS:
            areas[f"{kind}_{order}"] = [_area(curve, kind).value for curve in curves if curve.order == order]
    groups.append(_make_group(words, "areas", areas, write=write_signed))
    mu = {f"mu_{order}": _take(each.mu_fidelity.get(order) for each in found) for order in ORDERS}
    groups.append(_make_group(words, "mu", mu, least=1.0))
    complete_rows = {
        "own_before": _take(each.accuracy for each in complete),
        "own_after": _take(each.reconstructed_accuracy for each in complete),
        "own_shuffled": of_floor("shuffled-labels", "accuracy"),
        "others_before": _take(each.others_accuracy for each in complete),
        "others_after": _take(each.others_reconstructed_accuracy for each in complete),
        "taken_before": _take(each.others_taken for each in complete),
        "taken_after": _take(each.others_reconstructed_taken for each in complete),
    }
    groups.append(_make_group(words, "complete", complete_rows, least=1.0))
    return tuple(group for group in groups if group is not None)


def _take(measures: Iterable[Measure | None]) -> list[float]:
    return [each.value for each in measures if each is not None]


def _area(curve: FidelityCurve, kind: str) -> Measure:
    return curve.deletion_area if kind == "deletion" else curve.insertion_area


def _make_group(
    words: Words,
    name: str,
    rows: dict[str, list[float]],
    *,
    least: float = 0.0,
    write: Callable[[float], str] = write_decimal,
) -> StripGroup | None:
    """Return measures on one axis from the lowest value or 0 to the highest or ``least``; None where all are empty."""
    rows = {key: values for key, values in rows.items() if values}
    if not rows:
        return None
    low = min(0.0, *(min(values) for values in rows.values()))
    high = max(least, *(max(values) for values in rows.values()))
    extent = (high - low) or 1.0
    return StripGroup(
        heading=words(f"strips.{name}"),
        note=words(f"strips.{name}_note"),
        ticks=tuple(Tick((value - low) / extent, text) for value, text in find_ticks(low, low + extent)),
        rows=tuple(
            StripRow(
                label=words(f"strip.{key}"),
                strokes=tuple(clamp((value - low) / extent) for value in values),
                middle=clamp((statistics.median(values) - low) / extent),
                text=write_measured(statistics.median(values), (min(values), max(values)), words, write),
            )
            for key, values in rows.items()
        ),
    )


def view_trust_rows(site: Site) -> tuple[TrustRow, ...]:
    """Return the fidelity of each family in a line, for an atlas of few families; none for one of many."""
    words, page = site.words, links.METHOD
    measured = [each for each in site.index.families if is_built(each) and each.fidelity and each.completeness]
    if len(measured) > MOST_ROWS:
        return ()
    rows = []
    for family in measured:
        fidelity, found, link = family.fidelity, family.completeness, site.family_link(page, family.slug)
        assert fidelity is not None
        assert found is not None
        assert link is not None
        share = fidelity.explained_share
        low, high = share.interval or (share.value, share.value)
        rows.append(
            TrustRow(
                family=link,
                whisker=Interval(clamp(low), clamp(share.value), clamp(high)),
                explained=_tell_share(words, share),
                mu_fidelity=_tell(words, fidelity.mu_fidelity.get("contribution")),
                own=_tell_change(words, found.accuracy, found.reconstructed_accuracy),
                others=_tell_change(words, found.others_accuracy, found.others_reconstructed_accuracy),
                taken=_tell_change(words, found.others_taken, found.others_reconstructed_taken),
            )
        )
    return tuple(rows)


def _tell_change(words: Words, before: Measure | None, after: Measure | None) -> str:
    if before is None or after is None:
        return "–"
    return words("strips.change", before=write_percent(before.value, words), after=write_percent(after.value, words))


def tell_strips(site: Site, groups: tuple[StripGroup, ...]) -> str:
    """Return what stands for the figure over all families: each measure's median and range."""
    words = site.words
    n = sum(is_built(family) for family in site.index.families)
    told = [words("strips.told", measure=row.label, text=row.text) for group in groups for row in group.rows]
    return words("strips.alt", n=n, count=write_integer(n), measures=words("list.semicolon").join(told))
