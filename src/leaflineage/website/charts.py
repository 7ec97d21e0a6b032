"""Charts of a family: where its images stand, what a number of concepts gives, deletion and insertion; as positions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from leaflineage.records import AtlasFamily, CurvePoint, FidelityCurve
from leaflineage.website import links
from leaflineage.website.context import Site, number_of
from leaflineage.website.figures import make_axis
from leaflineage.website.pages.charts import Chart, Line, NumberCurve, Spread, SpreadLine, SpreadMark, Tick
from leaflineage.website.words import write_decimal, write_signed

REST = "rest"
MOST_MARKS = 400  # images drawn; of more, every second, third, … of each concept
N_TONES = 4  # concepts whose mark has a tone of its own; all marks carry their number
N_TICKS = 5
STABLE = 0.85  # the least stability that counts as stable, where the number of concepts is chosen
COINCIDE = 0.01  # of an axis: lines nowhere further apart are one to the eye

Point = tuple[float, float]


# --- how images spread over concepts -------------------------------------------------------------------------


def make_spread(site: Site, page: str, family: AtlasFamily, figure: int) -> Spread | None:
    """Return the figure of a family's images, or None where no places were computed."""
    if not family.layout:
        return None
    words, shown = site.words, {concept.id for concept in family.concepts}
    owners = [
        "none" if owner is None else owner if owner in shown else REST
        for owner in family.image_dominants[: len(family.layout)]
    ]
    counts = Counter(owners)
    lines = _make_spread_lines(site, page, family, counts)
    symbols = {name: line.symbol for name, line in lines.items()}
    step = math.ceil(len(owners) / MOST_MARKS)
    marks = []
    # The most frequent first, so that a rare mark is never hidden under its neighbours.
    for owner in sorted(counts, key=lambda each: (-counts[each], symbols[each])):
        places = [place for place, each in zip(family.layout, owners, strict=True) if each == owner]
        marks += [SpreadMark(symbols[owner], clamp(x), 1 - clamp(y)) for x, y in places[::step]]
    told = [words("spread.told", n=line.n, concept=line.label) for line in lines.values()]
    caption = words("spread.caption", family=family.name)
    return Spread(
        figure=figure,
        label=words(
            "spread.alt",
            images=words("count.images", n=len(owners)),
            family=family.name,
            counts=words("list.comma").join(told),
        ),
        radius=9 if len(marks) <= 150 else 7.5,
        marks=tuple(marks),
        lines=tuple(lines.values()),
        caption=caption if step == 1 else f"{caption} {words('spread.thinned', step=step)}",
    )


def _make_spread_lines(site: Site, page: str, family: AtlasFamily, counts: Counter[str]) -> dict[str, SpreadLine]:
    """Return {concept id, "rest" or "none": line} of all that dominate an image, by rank."""
    words, n_all = site.words, sum(counts.values())
    lines: dict[str, SpreadLine] = {}
    for concept in family.concepts:
        if counts[concept.id]:
            number = number_of(concept)
            lines[concept.id] = SpreadLine(
                symbol=f"m{number}",
                tone=str(len(lines) + 1) if len(lines) < N_TONES else "plain",
                number=str(number),
                label=site.tell_concept(concept),
                href=site.link(page, links.concept_page(concept.id)),
                n=counts[concept.id],
                share=counts[concept.id] / n_all,
            )
    for name in (REST, "none"):
        if counts[name]:
            label = words(f"spread.{name}")
            lines[name] = SpreadLine(f"m-{name}", name, "", label, None, counts[name], counts[name] / n_all)
    return lines


# --- how many concepts ---------------------------------------------------------------------------------------


def has_curve(family: AtlasFamily) -> bool:
    """Return whether the number of concepts was chosen by a curve."""
    return family.factorization is not None and bool(family.factorization.curve)


def make_number_curve(site: Site, family: AtlasFamily, figure: int) -> NumberCurve | None:
    """Return stability and errors against the number of concepts, or None where one number was given."""
    facts = family.factorization
    if facts is None or not facts.curve:
        return None
    words = site.words
    curve = sorted(facts.curve, key=lambda each: each.n_concepts)
    low, high = curve[0].n_concepts, curve[-1].n_concepts

    def place(n: int) -> float:
        return (n - low) / (high - low) if high > low else 0.5

    measures = _list_measures(curve)
    labels = {kind: words(f"curve.{kind}") for kind in measures}
    all_values = [STABLE, *(value for values in measures.values() for value in values.values())]
    bottom = max(0.0, math.floor(min(all_values) * 10 - 1e-9) / 10)  # lines, not bars: what differs is to be seen
    top = max(1.0, *all_values)

    def lift(value: float) -> float:
        return 1 - clamp((value - bottom) / (top - bottom))

    told = [
        words(
            "curve.told",
            n=n,
            values=words("list.comma").join(
                f"{labels[kind]} {write_decimal(values[n])}" for kind, values in measures.items() if n in values
            ),
        )
        for n in (each.n_concepts for each in curve)
    ]
    chosen = next((each for each in curve if each.chosen), None)
    chart = Chart(
        heading="",
        label=words(
            "curve.alt",
            measures=words("list.comma").join(labels.values()),
            family=family.name,
            points=words("list.semicolon").join(told),
        ),
        lines=tuple(
            make_line(kind, labels[kind], [(place(n), lift(value)) for n, value in values.items()])
            for kind, values in measures.items()
        ),
        x_ticks=tuple(Tick(place(each.n_concepts), str(each.n_concepts)) for each in curve),
        y_ticks=tuple(Tick(lift(value), text) for value, text in find_ticks(bottom, top)),
        x_label=words("curve.x"),
        chosen=Tick(place(chosen.n_concepts), words("curve.chosen", n=chosen.n_concepts)) if chosen else None,
        least=Tick(lift(STABLE), write_decimal(STABLE)),
    )
    caption = [words("curve.caption", stable=write_decimal(STABLE))]
    if "predicted" in measures:
        caption.append(words("curve.caption_predicted"))
    if chosen:
        caption.append(words("curve.caption_chosen"))
    return NumberCurve(figure, chart, " ".join(caption))


def _list_measures(curve: Sequence[CurvePoint]) -> dict[str, dict[int, float]]:
    """Return {measure: {number of concepts: value}}; what an older run did not measure is not among them."""
    measures = {
        "error": {each.n_concepts: each.relative_error for each in curve},
        "predicted": {each.n_concepts: each.predicted_error for each in curve if each.predicted_error is not None},
        "stability": {each.n_concepts: each.stability for each in curve},
    }
    return {kind: values for kind, values in measures.items() if values}


# --- deletion and insertion ----------------------------------------------------------------------------------


def make_fidelity_charts(site: Site, family: AtlasFamily, curves: Sequence[FidelityCurve]) -> tuple[Chart, ...]:
    """Return two charts on one axis of logits: concepts switched off, and switched on."""
    if not curves:
        return ()
    words = site.words
    axis = make_axis([value for each in curves for value in [*each.deletion, *each.insertion]])
    low, high = axis
    y_ticks = tuple(Tick(1 - (value - low) / (high - low), text) for value, text in find_ticks(low, high))
    charts = []
    for kind in ("deletion", "insertion"):
        values = {each.order: getattr(each, kind) for each in curves}
        n = max(1, *(len(each) - 1 for each in values.values()))
        step = math.ceil(n / N_TICKS)
        lines = [
            make_line(
                order,
                words(f"order.{order}"),
                [(i / n, 1 - (value - low) / (high - low)) for i, value in enumerate(points)],
            )
            for order, points in values.items()
        ]
        told = [
            words(
                "trust.told",
                order=words(f"order.{order}"),
                values=words("list.comma").join(write_signed(value) for value in points),
            )
            for order, points in values.items()
        ]
        charts.append(
            Chart(
                heading=words(f"trust.{kind}"),
                label=words(f"trust.{kind}_alt", family=family.name, curves=words("list.semicolon").join(told)),
                lines=tuple(lines),
                x_ticks=tuple(Tick(i / n, str(i)) for i in range(0, n + 1, step)),
                y_ticks=y_ticks,
                x_label=words(f"trust.{kind}_x"),
                zero=1 - (0 - low) / (high - low),
            )
        )
    return tuple(charts)


def do_orders_coincide(curves: Sequence[FidelityCurve]) -> bool:
    """Return whether the lines by contribution and by importance lie on one another in both charts."""
    found = {each.order: [*each.deletion, *each.insertion] for each in curves}
    if "contribution" not in found or "importance" not in found:
        return False
    low, high = make_axis([value for values in found.values() for value in values])
    pairs = zip(found["contribution"], found["importance"], strict=True)
    return all(abs(one - other) <= COINCIDE * (high - low) for one, other in pairs)


# --- lines and axes ------------------------------------------------------------------------------------------


def clamp(value: float) -> float:
    """Return the value, held inside [0, 1]."""
    return min(1.0, max(0.0, value))


def make_line(kind: str, label: str, dots: Sequence[Point]) -> Line:
    """Return a line through points in [0, 1], y downwards."""
    points = " ".join(f"{x * 100:.1f},{y * 100:.1f}" for x, y in dots)
    return Line(kind, label, points, tuple(dots))


def find_ticks(low: float, high: float, n: int = 4) -> list[tuple[float, str]]:
    """Return round values of an axis, 1, 2 or 5 times a power of ten apart, and how they are written."""
    rough = (high - low) / n
    power = 10 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(i * step, write_decimal(i * step, digits)) for i in range(first, last + 1)]
