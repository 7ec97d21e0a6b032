"""The anatomy benchmark runs, on as little as shows every part of it. Its figures are in benchmarks/README.md."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT
from PIL import Image

from leaflineage.anatomy.labels import BLADE, MARGIN
from leaflineage.herbarium import write_herbarium


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, imported as `python benchmarks/anatomy.py` would be."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("anatomy")


def run(benchmark: ModuleType, *arguments: str) -> str:
    found = CliRunner().invoke(benchmark.main, list(arguments), catch_exceptions=False)
    assert found.exit_code == 0
    return found.output


def test_thin_zones_are_compared_after_dilation_and_broad_ones_are_not(benchmark) -> None:
    true = np.full((40, 40), BLADE, dtype=np.uint8)
    true[:, 10] = MARGIN
    found = np.full((40, 40), BLADE, dtype=np.uint8)
    found[:, 12] = MARGIN
    assert benchmark.rate_zones(found, true, 200.0)["margin"] == pytest.approx(1 / 5)  # dilated by one pixel
    assert benchmark.rate_zones(found, true, 20.0)["margin"] == 0
    assert benchmark.rate_zones(found, true, 200.0)["blade"] == pytest.approx(38 / 40)
    assert "petiole" not in benchmark.rate_zones(found, true, 200.0)


@pytest.mark.slow
def test_zones_prints_a_row_a_family_and_every_bar(benchmark) -> None:
    lines = run(benchmark, "zones", "--seeds", "5", "--n", "1", "--size", "128").splitlines()
    assert sum(line.startswith("| ") and "aceae" in line for line in lines) == 12
    assert sum("(bar " in line for line in lines) == 4
    assert "a CPU second" in lines[-1]


@pytest.mark.slow
def test_places_prints_a_line_a_concept_and_the_agreement(benchmark, tiny_run: Path) -> None:
    output = run(benchmark, "places", str(tiny_run))
    assert "specimens usable" in output
    assert "top zone as by the drawn maps" in output


@pytest.mark.slow
def test_a_sheet_shows_pictures_and_zones(benchmark, tmp_path: Path) -> None:
    write_herbarium(tmp_path / "leaves", families=["Ulmaceae"], n=3, size=96, seed=0)
    run(benchmark, "sheet", str(tmp_path / "leaves"), str(tmp_path / "sheet.png"), "--n", "3", "--tile", "60")
    assert np.asarray(Image.open(tmp_path / "sheet.png")).shape == (136, 600, 3)
