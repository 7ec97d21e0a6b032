"""The cost of a build: how its work grows, and that prices are found again from builds whose work is known."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from conftest import ROOT, load_tiny

from leaflineage.costs import NETWORK, PRICES, Speeds, Work, count_work, estimate_seconds
from leaflineage.records import ModelRecord
from leaflineage.stages.table import STAGES

SPEEDS = Speeds(forward=0.01, step=0.1)


def make_model() -> ModelRecord:
    return ModelRecord.model_construct(map_shape=(4, 4, 1280), affine_head=True, pools_first=True, signed=False)


def count(n_families: int, n_each: int, *overrides: str) -> Work:
    n_specimens = dict.fromkeys(map(str, range(n_families)), n_each)
    return count_work(load_tiny(*overrides), make_model(), SPEEDS, n_specimens, 0)


def test_every_stage_has_its_work_and_every_price_its_work() -> None:
    work = count(3, 12)
    assert work.keys() == {*STAGES, "scan", "bake"}
    assert all(set(prices) <= set(work[stage]) for stage, prices in PRICES.items())


def test_twice_the_families_are_twice_the_work_of_families() -> None:
    once, twice = count(3, 12), count(6, 12)
    for stage in ("extract", "factorize", "name", "visualize", "illustrate", "collect"):
        assert {kind: 2 * amount for kind, amount in once[stage].items()} == pytest.approx(twice[stage])
    assert once["inspect"]["builds"] == twice["inspect"]["builds"] == 1


def test_more_specimens_make_no_more_pictures_and_no_more_crops_than_are_shown() -> None:
    few, many = count(2, 40), count(2, 400)
    assert few["illustrate"]["crops"] == many["illustrate"]["crops"] > count(2, 4)["illustrate"]["crops"]
    assert many["extract"][NETWORK] == pytest.approx(10 * few["extract"][NETWORK])
    assert few["visualize"]["concepts"] == many["visualize"]["concepts"]


def test_drawing_is_paid_by_the_step() -> None:
    few, more = (count(2, 12, f"visualize.steps={steps}")["visualize"][NETWORK] for steps in (10, 20))
    pictures = 2 * 3 * 1.3 + 2 * 2  # three concepts each, drawn again now and then; the family, twice as long
    assert more - few == pytest.approx(10 * 0.1 * pictures)


def test_seconds_are_prices_times_work() -> None:
    work = {"extract": {NETWORK: 2.0, "specimens": 10.0}, "collect": {"families": 3.0}}
    assert estimate_seconds(work, {"extract": {NETWORK: 1.5, "specimens": 0.1}}) == {"extract": 4.0, "collect": 0.0}


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("scale")


def test_prices_are_found_again_from_builds(scale: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "time_forward", lambda architecture, side: side / 1000)
    paid = {
        stage: {kind: 1.0 if kind == NETWORK else 0.5 + index for index, kind in enumerate(sorted(kinds))}
        for stage, kinds in count(1, 8).items()
    }
    figures = {}
    for number, each in enumerate(scale.BUILDS):
        work = count(
            each.families, each.specimens, f"concepts.n_concepts={each.concepts}", f"atlas.n_shown={each.concepts}",
            f"concepts.n_crops={each.crops}", f"visualize.steps={each.steps}",
        )  # fmt: skip
        size = scale.describe_size(work)
        stored = {stage: [1000 * size["families"] + size["crops"], size["concepts"]] for stage in work}
        figures[str(number)] = {
            "seconds": estimate_seconds(work, paid), "work": work, "stored": stored, "speeds": asdict(SPEEDS),
        }  # fmt: skip
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    found = CliRunner().invoke(scale.main, ["predict", str(tmp_path / "figures.json")], catch_exceptions=False)
    assert found.exit_code == 0
    (line,) = (line for line in found.output.splitlines() if line.startswith("| **all** |"))
    measured, expected = (float(each) for each in line.split("**")[3].removesuffix(" s").split(", "))
    assert measured == pytest.approx(expected, rel=0.01)
    assert "off" in found.output
    rows = [line for line in found.output.splitlines() if line.startswith(("| 142 |", "| 1,000 |", "| 10,000 |"))]
    assert len(rows) == 9
    assert all("min" in row or "hours" in row or "days" in row or "years" in row for row in rows)


def test_times_are_told_in_words(scale: ModuleType) -> None:
    told = [scale.say_time(each) for each in (90, 3 * 3600, 40 * 86_400, 3e8)]
    assert told == ["2 min", "3.0 hours", "40 days", "9.5 years"]
