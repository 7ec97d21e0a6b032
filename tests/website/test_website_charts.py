"""Charts: images stand where their importances put them, curves where their numbers are, and each number is told."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from leaflineage.concepts import n_concepts
from leaflineage.records import AtlasFamily, AtlasSpecimen, CurvePoint, FidelityCurve, Index, Measure, Mistake
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.charts import (
    MOST_COLUMNS,
    MOST_MARKS,
    N_TONES,
    STABLE,
    do_orders_coincide,
    find_grid,
    find_ticks,
    has_curve,
    make_fidelity_charts,
    make_number_curve,
    make_spread,
    place_on_grid,
)
from leaflineage.website.contents import list_pages
from leaflineage.website.context import Site
from leaflineage.website.reading import read_family, read_record
from leaflineage.website.words import Words

Made = tuple[Site, AtlasFamily]
PAGE = links.family_page("betulaceae")


@pytest.fixture(scope="module")
def made(run_folder: Path) -> Made:
    index = read_record(run_folder / "index.json", Index, "index")
    site = Site(index, Words.load(find_resource("locale") / "en"), frozenset(list_pages(index)), None, None)
    return site, read_family(run_folder, "betulaceae")[0]


def measure_squares(
    places: list[tuple[float, float]], squares: list[tuple[int, int]], columns: int, rows: int
) -> float:
    """The sum of squared distances of squares to where their places would stand: halfway from extent to rank."""
    spots = []
    for axis in (0, 1):
        values = [place[axis] for place in places]
        low, high = min(values), max(values)
        order = sorted(range(len(values)), key=lambda i: (values[i], i))
        ranks = {i: rank / max(1, len(values) - 1) for rank, i in enumerate(order)}
        extents = [(value - low) / (high - low) if high > low else 0.0 for value in values]
        spots.append([(extent + ranks[i]) / 2 for i, extent in enumerate(extents)])
    return sum(
        (x * (columns - 1) - column) ** 2 + ((1 - y) * (rows - 1) - row) ** 2
        for x, y, (column, row) in zip(*spots, squares, strict=True)
    )


def place_images(family: AtlasFamily, owners: list[str | None]) -> AtlasFamily:
    places = [((i % 20) / 19, (i // 20 % 20) / 19) for i in range(len(owners))]
    return family.model_copy(update={"layout": places, "image_dominants": owners})


def test_every_image_has_a_square_of_its_own_under_the_mark_of_its_dominant_concept(made: Made) -> None:
    site, family = made
    first, second = (concept.id for concept in family.concepts[:2])
    few = family.model_copy(
        update={
            "layout": [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)],
            "image_dominants": [first, second, "rest", None],
        }
    )
    spread = make_spread(site, PAGE, few, 3, {})
    assert spread is not None
    one, two = (site.name_concept(concept) for concept in family.concepts[:2])
    assert [line.label for line in spread.lines[:2]] == [one, two]
    assert [line.tone for line in spread.lines] == ["1", "2", "rest", "none"]
    assert [(mark.place, mark.line) for mark in spread.marks] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    # x grows to the right; y grows upwards in places, and rows count down
    left, right, upper_left, upper_right = spread.marks
    assert max(left.column, upper_left.column) < min(right.column, upper_right.column)
    assert max(upper_left.row, upper_right.row) < min(left.row, right.row)
    assert [line.n for line in spread.lines] == [1, 1, 1, 1]
    assert f"1 by {one}, 1 by {two}" in spread.label


@pytest.mark.parametrize("n", [1, 2, 3, 17, 120, MOST_MARKS])
def test_marks_stand_one_a_square_as_near_to_their_places_as_any_squares_are(n: int) -> None:
    dice = random.Random(n)
    places = [(dice.random() ** 3, dice.random()) for _ in range(n)]
    columns, rows = find_grid(n)
    assert columns <= MOST_COLUMNS
    squares = place_on_grid(places, columns, rows)
    assert len(set(squares)) == n
    assert all(0 <= column < columns and 0 <= row < rows for column, row in squares)
    cost = measure_squares(places, squares, columns, rows)
    free = {(column, row) for column in range(columns) for row in range(rows)} - set(squares)
    for i, square in enumerate(squares[:20]):
        for j in range(i):
            other = [*squares]
            other[i], other[j] = other[j], square
            assert measure_squares(places, other, columns, rows) >= cost - 1e-9
        for empty in sorted(free)[:20]:
            moved = [*squares[:i], empty, *squares[i + 1 :]]
            assert measure_squares(places, moved, columns, rows) >= cost - 1e-9


def test_the_script_is_given_each_mark_in_six_signs_and_each_name_after_what_it_shares(made: Made) -> None:
    site, family = made
    first = family.concepts[0]
    ids = ["betulaceae--betula-001", "betulaceae--betula-002", "withheld", "betulaceae--carpinus-1"]
    few = family.model_copy(
        update={
            "concepts": [first.model_copy(update={"image_importances": [0.5, 1.0, 0.0, 0.07]})],
            "layout": [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)],
            "image_dominants": [first.id] * 4,
            "image_specimens": ids,
            "mistakes": [Mistake(specimen=ids[3], family="Fagaceae", score=0.61, own_score=0.2, held_out=True)],
        }
    )
    shown = AtlasSpecimen(
        id=ids[1],
        group="2",
        role="reference",
        split="train",
        image=f"families/betulaceae/specimens/{ids[1]}.webp",
        width=10,
        height=10,
        original_width=20,
        original_height=20,
    )
    site = replace(site, plan=site.plan | {links.specimen_page(ids[0]), links.specimen_page(ids[1])})
    spread = make_spread(site, PAGE, few, 3, {ids[1]: shown})
    assert spread is not None
    data = spread.data
    signs = [data["marks"][i : i + 6] for i in range(0, len(data["marks"]), 6)]
    assert [(int(each[0], 36), int(each[1], 36)) for each in signs] == [(m.column, m.row) for m in spread.marks]
    assert [int(each[3:5], 36) for each in signs] == [50, 100, 0, 7]
    assert [each[5] for each in signs] == ["1", "3", "0", "0"]
    assert data["prefix"] == "betulaceae--"
    assert data["names"] == "0betula-001|92|0|0carpinus-1"
    assert data["wrong"] == {"3": "taken for Fagaceae, classifier score 0.61"}
    assert data["places"] == []
    assert data["pages"] + ids[0] + ".html" == links.relative(PAGE, links.specimen_page(ids[0]))
    assert data["pictures"] + ids[1] + ".webp" == links.relative(PAGE, links.media(shown.image))


def test_the_counts_beside_the_marks_are_of_all_images(made: Made) -> None:
    site, family = made
    spread = make_spread(site, PAGE, family, 3, {})
    assert spread is not None
    assert sum(line.n for line in spread.lines) == len(family.image_dominants) == len(spread.marks)
    assert sum(line.share for line in spread.lines) == pytest.approx(1)
    drawn = Counter(mark.line for mark in spread.marks)
    assert drawn == {number: line.n for number, line in enumerate(spread.lines)}
    for line in spread.lines:
        assert f"{line.n} by {line.label}" in spread.label


def test_a_concept_that_no_page_shows_is_counted_with_the_rest(made: Made) -> None:
    site, family = made
    spread = make_spread(site, PAGE, place_images(family, ["betulaceae/concept-77", "rest"]), 3, {})
    assert spread is not None
    assert [(line.tone, line.n, line.href) for line in spread.lines] == [("rest", 2, None)]


def test_marks_are_told_apart_by_number_and_the_first_ones_by_colour_too(made: Made) -> None:
    site, family = made
    many = [
        family.concepts[0].model_copy(update={"id": f"betulaceae/concept-{n:02d}", "concept_index": n - 1, "rank": n})
        for n in range(1, 9)
    ]
    ids = [concept.id for concept in many]
    site = replace(site, plan=site.plan | {links.concept_page(each) for each in ids})
    wide = place_images(family.model_copy(update={"concepts": many}), [*ids, "rest"])
    spread = make_spread(site, PAGE, wide, 3, {})
    assert spread is not None
    numbered = [line for line in spread.lines if line.number]
    assert [line.tone for line in numbered] == [str(n + 1) if n < N_TONES else "plain" for n in range(len(numbered))]
    assert len({line.number for line in numbered}) == len(numbered) == 8
    assert spread.lines[-1].tone == "rest"


def test_of_very_many_images_every_fifth_of_each_concept_is_drawn_and_no_concept_goes(made: Made) -> None:
    site, family = made
    first, second, third = (concept.id for concept in family.concepts)
    owners: list[str | None] = [first] * 500 + [second] * 200 + [third]
    spread = make_spread(site, PAGE, place_images(family, owners), 3, {})
    assert spread is not None
    assert len(spread.marks) <= MOST_MARKS + 3
    assert sorted(Counter(mark.line for mark in spread.marks).values()) == [1, 40, 100]
    assert spread.data["places"] == [mark.place for mark in spread.marks]
    assert [line.n for line in spread.lines] == [500, 200, 1]
    assert "One image in 5 of each concept is shown" in spread.caption
    whole = make_spread(site, PAGE, place_images(family, owners[:MOST_MARKS]), 3, {})
    assert whole is not None
    assert "is shown" not in whole.caption


def test_a_family_without_places_has_no_figure_of_its_images(made: Made) -> None:
    site, family = made
    assert make_spread(site, PAGE, family.model_copy(update={"layout": None}), 3, {}) is None


def test_the_curve_of_numbers_rises_to_one_and_marks_the_chosen(made: Made) -> None:
    site, family = made
    assert family.factorization is not None
    points = [
        CurvePoint(n_concepts=8, relative_error=0.25, stability=0.5, chosen=True),
        CurvePoint(n_concepts=4, relative_error=0.5, stability=1.0),
        CurvePoint(n_concepts=24, relative_error=0.0, stability=0.25),
    ]
    facts = family.factorization.model_copy(update={"curve": points})
    figure = make_number_curve(site, family.model_copy(update={"factorization": facts}), 4)
    assert figure is not None
    error, stability = figure.chart.lines
    assert (error.kind, error.dots) == ("error", ((0.0, 0.5), (0.2, 0.75), (1.0, 1.0)))
    assert (stability.kind, stability.dots) == ("stability", ((0.0, 0.0), (0.2, 0.5), (1.0, 0.75)))
    assert error.points == "0.0,50.0 20.0,75.0 100.0,100.0"
    assert [tick.text for tick in figure.chart.x_ticks] == ["4", "8", "24"]
    assert figure.chart.chosen is not None
    assert figure.chart.chosen.at == 0.2
    assert figure.chart.columns == ("4", "8", "24")
    assert figure.chart.table == (
        ("Relative error", ("0.50", "0.25", "0.00")),
        ("Stability", ("1.00", "0.50", "0.25")),
    )
    assert "Predicted" not in figure.chart.label + figure.caption


def test_predicted_error_stands_beside_stability_and_the_line_that_it_must_reach(made: Made) -> None:
    site, family = made
    assert family.factorization is not None
    points = [
        CurvePoint(n_concepts=4, relative_error=0.5, predicted_error=2.0, stability=1.0),
        CurvePoint(n_concepts=8, relative_error=0.25, predicted_error=1.0, stability=0.5),
    ]
    facts = family.factorization.model_copy(update={"curve": points})
    figure = make_number_curve(site, family.model_copy(update={"factorization": facts}), 4)
    assert figure is not None
    assert [line.kind for line in figure.chart.lines] == ["error", "predicted", "stability"]
    # The axis begins at the tenth below the least value, 0.25, and ends at the largest, 2.
    heights = {value: 1 - (value - 0.2) / 1.8 for value in (0.5, STABLE, 1.0, 2.0)}
    assert figure.chart.lines[1].dots == ((0.0, heights[2.0]), (1.0, heights[1.0]))
    assert figure.chart.lines[2].dots == ((0.0, heights[1.0]), (1.0, heights[0.5]))
    assert figure.chart.least is not None
    assert (figure.chart.least.at, figure.chart.least.text) == (heights[STABLE], "0.85")
    assert [values[0] for _, values in figure.chart.table] == ["0.50", "2.00", "1.00"]
    assert "Relative error, Predicted error, Stability of Betulaceae" in figure.chart.label
    assert "by it the number is chosen" in figure.caption
    assert "dashed" not in figure.caption


def test_the_line_of_stability_is_the_one_that_numbers_are_chosen_by() -> None:
    assert STABLE == n_concepts.STABLE


def test_one_number_that_was_given_makes_no_curve(made: Made) -> None:
    site, family = made
    assert family.factorization is not None
    given = family.model_copy(update={"factorization": family.factorization.model_copy(update={"curve": []})})
    for each in (given, family.model_copy(update={"factorization": None})):
        assert not has_curve(each)
        assert make_number_curve(site, each, 4) is None


def test_deletion_and_insertion_stand_on_one_axis_of_logits(made: Made) -> None:
    site, family = made
    area = Measure(value=1.0)
    curve = FidelityCurve(
        order="contribution",
        deletion=[4.0, 1.0, 0.0],
        insertion=[0.0, 3.0, 4.0],
        deletion_area=area,
        insertion_area=area,
    )
    deletion, insertion = make_fidelity_charts(site, family, [curve])
    assert deletion.zero == insertion.zero
    assert deletion.zero is not None
    first, *_, last = deletion.lines[0].dots
    assert first[0] == 0
    assert last == (1.0, pytest.approx(deletion.zero))
    assert insertion.lines[0].dots[0][1] == pytest.approx(deletion.zero)
    assert insertion.lines[0].dots[2][1] == pytest.approx(first[1])
    quarter = (deletion.zero - deletion.lines[0].dots[1][1]) / (deletion.zero - first[1])
    assert quarter == pytest.approx(0.25)
    assert [tick.text for tick in deletion.x_ticks] == ["0", "1", "2"]
    assert deletion.table == (("By contribution", ("+4.00", "+1.00", "0.00")),)
    assert deletion.columns == ("0", "1", "2")
    assert make_fidelity_charts(site, family, []) == ()


@pytest.mark.parametrize(
    ("orders", "by_importance", "coincide"),
    [
        (("contribution", "importance"), [4.0, 1.0, 0.0], True),
        (("contribution", "importance"), [4.0, 1.039, 0.0], True),
        (("contribution", "importance"), [4.0, 1.1, 0.0], False),
        (("contribution", "random"), [4.0, 1.0, 0.0], False),
        ((), [], False),
    ],
)
def test_lines_coincide_where_they_are_nowhere_further_apart_than_a_hundredth_of_the_axis(
    orders: tuple[Literal["contribution", "importance", "random"], ...], by_importance: list[float], coincide: bool
) -> None:
    area = Measure(value=1.0)
    curves = [
        FidelityCurve(
            order=order,
            deletion=[4.0, 1.0, 0.0] if order == "contribution" else by_importance,
            insertion=[0.0, 3.0, 4.0],
            deletion_area=area,
            insertion_area=area,
        )
        for order in orders
    ]
    assert do_orders_coincide(curves) is coincide


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.0, 1.0, ["0.0", "0.5", "1.0"]),
        (-0.3, 2.7, ["0", "1", "2"]),
        (-120.0, 30.0, ["\u2212100", "\u221250", "0"]),
        (0.0, 0.04, ["0.00", "0.01", "0.02", "0.03", "0.04"]),
    ],
)
def test_an_axis_has_round_ticks_inside_it(low: float, high: float, texts: list[str]) -> None:
    ticks = find_ticks(low, high)
    assert [text for _, text in ticks] == texts
    assert all(low - 1e-9 <= value <= high + 1e-9 for value, _ in ticks)
