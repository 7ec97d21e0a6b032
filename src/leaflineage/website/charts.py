"""Charts of a family: where its images stand, what a number of concepts gives, deletion and insertion; as positions."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import math
import posixpath
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from leaflineage.records import AtlasFamily, AtlasSpecimen, CurvePoint, FidelityCurve
from leaflineage.website import links
from leaflineage.website.context import Site, number_of
from leaflineage.website.figures import make_axis, make_picture
from leaflineage.website.pages.charts import Chart, Line, NumberCurve, Spread, SpreadLine, SpreadMark, Tick
from leaflineage.website.words import write_decimal, write_signed

REST = "rest"
WITHHELD = "withheld"  # what stands for the id of a specimen that is
MOST_MARKS = 160  # images drawn; of more, every second, third, … of each concept
MOST_COLUMNS = 14  # squares of a phone's width that a finger can hit
ROOM = 1.5  # squares of the grid for each mark: what stays empty tells groups apart
N_TONES = 6  # concepts whose mark has a colour of its own; all marks carry their number
N_TICKS = 5
STABLE = 0.85  # the least stability that counts as stable, where the number of concepts is chosen
COINCIDE = 0.01  # of an axis: lines nowhere further apart are one to the eye

Point = tuple[float, float]


# --- how images spread over concepts -------------------------------------------------------------------------


def make_spread(
    site: Site, page: str, family: AtlasFamily, figure: int, specimens: Mapping[str, AtlasSpecimen]
) -> Spread | None:
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
    step = math.ceil(len(owners) / MOST_MARKS)
    chosen = sorted(place for owner in lines for place in [i for i, each in enumerate(owners) if each == owner][::step])
    columns, rows = find_grid(len(chosen))
    squares = place_on_grid([family.layout[place] for place in chosen], columns, rows)
    numbers = {owner: n for n, owner in enumerate(lines)}
    marks = tuple(
        SpreadMark(place, numbers[owners[place]], column, row)
        for place, (column, row) in zip(chosen, squares, strict=True)
    )
    told = [words("spread.told", n=line.n, concept=line.label) for line in lines.values()]
    caption = words("spread.caption", family=family.name)
    sheet = None
    if family.thumbnails:
        alt = words("spread.sheet", family=family.name)
        sheet = make_picture(page, family.thumbnails.image, family.thumbnails.width, family.thumbnails.height, alt)
    return Spread(
        figure=figure,
        heading=words("spread.heading"),
        label=words(
            "spread.alt",
            images=words("count.images", n=len(owners)),
            family=family.name,
            counts=words("list.comma").join(told),
        ),
        marks=marks,
        lines=tuple(lines.values()),
        caption=caption if step == 1 else f"{caption} {words('spread.thinned', step=step)}",
        sheet=sheet,
        data={
            "columns": columns,
            "rows": rows,
            "side": family.thumbnails.side if family.thumbnails else 0,
            **_describe_marks(site, page, family, marks, list(lines), specimens),
        },
    )


def find_grid(n: int) -> tuple[int, int]:
    """Return columns and rows of a grid on which ``n`` marks leave a third of the squares empty."""
    columns = min(MOST_COLUMNS, max(4, math.ceil(math.sqrt(n * ROOM))))
    return columns, max(3, math.ceil(n * ROOM / columns))


def place_on_grid(places: Sequence[Point], columns: int, rows: int) -> list[tuple[int, int]]:
    """Return (column, row) of a square of its own for each place, so that all squares are as near as they can be.

    A place on the grid lies halfway between where it is in the extent of all and its rank among all, so that one far
    away leaves room to the others; y points up in places and rows count down. The sum of squared distances is the
    least there is (an assignment problem): neighbours stay neighbours, and no mark covers another.
    """
    solve = _find_solver()
    points = np.asarray(places, dtype=float).reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (points - low) / np.where(high > low, high - low, 1.0)
    ranks = points.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") / max(1, len(points) - 1)
    inside = (extent + ranks) / 2  # (n_marks, 2)
    spots = np.column_stack([inside[:, 0] * (columns - 1), (1 - inside[:, 1]) * (rows - 1)])
    squares = np.array([(column, row) for row in range(rows) for column in range(columns)])
    cost = ((spots[:, None, :] - squares[None, :, :]) ** 2).sum(axis=2)  # (n_marks, n_squares)
    _, chosen = solve(cost)
    return [(int(squares[i][0]), int(squares[i][1])) for i in chosen]


@cache
def _find_solver() -> Callable[[NDArray[np.float64]], tuple[Any, Any]]:
    """Return SciPy's solver of assignment problems, without the rest of its package, which takes half a second."""
    import scipy  # when a page wants it: the commands that bake nothing start without

    folder = Path(scipy.__file__).parent / "optimize"
    found = importlib.machinery.PathFinder.find_spec("_lsap", [str(folder)])
    if found is not None and found.loader is not None and "scipy.optimize" not in sys.modules:
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        if hasattr(module, "linear_sum_assignment"):
            return cast("Callable[[NDArray[np.float64]], tuple[Any, Any]]", module.linear_sum_assignment)
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment


def _describe_marks(
    site: Site,
    page: str,
    family: AtlasFamily,
    marks: Sequence[SpreadMark],
    owners: Sequence[str],
    specimens: Mapping[str, AtlasSpecimen],
) -> dict[str, Any]:
    """Return what the script draws and tells of each mark, in few bytes.

    ``marks`` holds six signs a mark, digits of base 36: its column, its row, its line of the table, two of the index
    of its dominant concept in hundredths, and whether the specimen has a page (1), whose picture is its own (2), or
    both (3). ``names`` are ids without what all of them begin with, each after what it shares with the one before.
    """
    names = family.image_specimens
    indices = {concept.id: concept.image_importances for concept in family.concepts}
    indices[REST] = family.rest.image_importances if family.rest else []
    ids = [names[mark.place] if mark.place < len(names) else "" for mark in marks]
    prefix = posixpath.commonprefix([each for each in ids if each not in ("", WITHHELD)])
    prefix = prefix[: prefix.rfind("-") + 1]
    wrong = {each.specimen: each for each in family.mistakes}
    packed, folder = [], f"families/{family.slug}/specimens/"
    for mark, name in zip(marks, ids, strict=True):
        values = indices.get(owners[mark.line], [])
        index = round(100 * clamp(values[mark.place])) if mark.place < len(values) else 0
        specimen = specimens.get(name)
        is_near = specimen is not None and not specimen.withheld and specimen.image == f"{folder}{name}.webp"
        kind = (1 if site.specimen_link(page, name) else 0) + (2 if is_near else 0)
        packed.append("".join(map(to_digit, (mark.column, mark.row, mark.line, index // 36, index % 36, kind))))
    return {
        "marks": "".join(packed),
        "places": [mark.place for mark in marks] if len(marks) < len(family.layout or ()) else [],
        "prefix": prefix,
        "names": "|".join(shorten([each.removeprefix(prefix) if each != WITHHELD else "" for each in ids])),
        "pages": links.relative(page, links.specimen_page("-")).removesuffix("-.html"),
        "pictures": links.relative(page, links.media(folder + "-")).removesuffix("-"),
        "wrong": {
            str(n): site.words("spread.wrong", family=wrong[name].family, score=write_decimal(wrong[name].score))
            for n, name in enumerate(ids)
            if name in wrong
        },
        "texts": {key: site.words(f"spread.{key}", value="{value}") for key in ("index", "open", "help", "unnamed")},
    }


def shorten(names: Sequence[str]) -> list[str]:
    """Return each name without the part, up to 35 signs, that it shares with the one before; its length comes first."""
    shortened, before = [], ""
    for name in names:
        most = min(35, len(before), len(name))
        n = next((place for place in range(most) if before[place] != name[place]), most)
        shortened.append(to_digit(n) + name[n:])
        before = name
    return shortened


def to_digit(value: int) -> str:
    """Return a whole number under 36 as one sign."""
    return "0123456789abcdefghijklmnopqrstuvwxyz"[value]


def _make_spread_lines(site: Site, page: str, family: AtlasFamily, counts: Counter[str]) -> dict[str, SpreadLine]:
    """Return {concept id, "rest" or "none": line} of all that dominate an image, by rank."""
    words, n_all = site.words, sum(counts.values())
    lines: dict[str, SpreadLine] = {}
    for concept in family.concepts:
        if counts[concept.id]:
            number = number_of(concept)
            lines[concept.id] = SpreadLine(
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
            lines[name] = SpreadLine(name, "", label, None, counts[name], counts[name] / n_all)
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

    tried = [each.n_concepts for each in curve]
    chosen = next((each for each in curve if each.chosen), None)
    chart = Chart(
        heading="",
        label=words(
            "curve.alt",
            measures=words("list.comma").join(labels.values()),
            family=family.name,
        ),
        table=tuple(
            (labels[kind], tuple(write_decimal(values[n]) if n in values else "" for n in tried))
            for kind, values in measures.items()
        ),
        columns=tuple(map(str, tried)),
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
        charts.append(
            Chart(
                heading=words(f"trust.{kind}"),
                label=words(f"trust.{kind}_alt", family=family.name),
                table=tuple(
                    (words(f"order.{order}"), tuple(map(write_signed, points))) for order, points in values.items()
                ),
                columns=tuple(map(str, range(n + 1))),
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
