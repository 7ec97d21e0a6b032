"""What a plan says of how much concepts would leave unexplained, and what a build's report says of it afterwards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import build_tiny, load_tiny

from leaflineage import planning
from leaflineage.costs import Speeds
from leaflineage.errors import ConfigError
from leaflineage.pipeline import warn_of_rest
from leaflineage.planning import plan_build
from leaflineage.sizing import estimate_size
from leaflineage.stages.context import Context
from leaflineage.store import Store


def plan(run: Path, *overrides: str) -> list[str]:
    said: list[str] = []
    plan_build(load_tiny(*overrides), run, out=None, say=said.append)
    return said


def test_a_rest_of_half_or_less_is_not_warned_of() -> None:
    assert warn_of_rest({"Betulaceae": 0.5, "Fagaceae": 0.02}) is None
    assert warn_of_rest({}) is None


def test_families_with_more_than_half_in_the_rest_are_named_in_order() -> None:
    warning = warn_of_rest({"Fagaceae": 0.7, "Betulaceae": 0.951, "Ulmaceae": 0.3})
    assert warning is not None
    assert "Betulaceae 95%, Fagaceae 70%: fit more concepts" in warning
    assert "Ulmaceae" not in warning


def test_of_many_families_the_first_five_are_named() -> None:
    warning = warn_of_rest({f"Family {letter}": 0.6 for letter in "HGFEDCBA"})
    assert warning is not None
    assert "Family E 60% and 3 more: fit" in warning


def test_a_plan_tells_the_rest_of_the_run_that_is_there(tiny_run: Path) -> None:
    said = plan(tiny_run)
    assert any("in the run folder, 3 families" in line for line in said)
    assert any(line.startswith("Files: about ") and line.endswith(" in the site") for line in said)
    assert not any("warning" in line for line in said)


def test_the_files_of_a_run_and_its_site_are_told_to_a_seventh(tiny_run: Path) -> None:
    context = Context(Store(tiny_run), load_tiny())
    size = estimate_size(
        context.config,
        {slug: len(context.of(slug).specimens) for slug in context.list_built()},
        n_named=sum(each.output_index is not None for each in context.families),
        specimens=context.list_used(),
        n_queries=0,
    )
    files = [path for path in tiny_run.rglob("*") if path.is_file()]
    of_site = [path for path in files if path.is_relative_to(tiny_run / "site")]
    assert size.n_site == pytest.approx(len(of_site), rel=0.15)
    assert size.n_run == pytest.approx(len(files) - len(of_site), rel=0.15)


@pytest.mark.slow
def test_a_plan_without_a_run_tries_a_few_leaves_and_warns_of_crops(tmp_path: Path) -> None:
    said = plan(tmp_path / "none", "concepts.fit_on=crops")
    assert any("tried on a few leaves of Betulaceae, Fagaceae" in line for line in said)
    assert any(line.startswith("  warning: what no shown concept explains takes more than half") for line in said)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_the_report_of_a_build_warns_of_families_that_are_mostly_unexplained(tmp_path: Path) -> None:
    quick = ("visualize.steps=1", "concepts.refits=0", "concepts.n_attributions=0")
    report = build_tiny(tmp_path / "run", "concepts.fit_on=crops", *quick)
    warnings = [note for note in report.notes if note.startswith("warning: what no shown concept explains")]
    assert len(warnings) == 1
    assert "Betulaceae" in warnings[0]


def test_a_plan_says_what_the_preset_means_and_costs(tiny_run: Path) -> None:
    said = plan(tiny_run, "visualize.quality=fine", "visualize.steps=5")
    line = next(line for line in said if line.startswith("Pictures: "))
    assert "quality 'fine': 64 px, 5 steps, 2 crops a step, 2 views a concept; 21 in all" in line
    assert "min of one core" in line
    (others,) = (line for line in said if "the others would take" in line)
    assert "'draft' 10 times that, 'standard' 77 times that" in others  # 70 × 3 and 256 × 6 crops for 2 × 5 × 2
    assert not any("spectrum" in line for line in said)


def test_a_plan_on_a_gpu_counts_its_seconds_apart_and_fewer_processes_there(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "find_places", lambda wanted: ["0", "1", "0", "1"])
    monkeypatch.setattr(planning, "time_classifier", lambda *_, drawing: Speeds(forward=0.5, step=6.0, drawing=drawing))
    said: list[str] = []
    estimate = plan_build(load_tiny("run.jobs=8"), tiny_run, out=None, say=said.append)
    assert (estimate.gpus.n, estimate.gpus.n_processes) == (2, 4)
    assert any(re.fullmatch(r"  of them 4 compute on 2 GPUs \(.*visualize \d+ s.* of one\)", line) for line in said)
    assert any("min of one GPU" in line for line in said)
    alone = sum(estimate.gpus.seconds.values()) / 2 / 60  # steps of 6 s: nearly all of the build
    assert alone < estimate.minutes < 1.5 * alone
    assert "draw" not in estimate.gpus.seconds


def test_a_plan_says_that_a_common_spectrum_redraws_every_family(tiny_run: Path) -> None:
    said = plan(tiny_run, "visualize.spectrum=all")
    assert any('spectrum = "all"' in line and "one changed leaf redraws every family" in line for line in said)


def test_a_plan_says_what_memory_a_process_would_take(tiny_run: Path) -> None:
    (line,) = (line for line in plan(tiny_run) if line.startswith("Memory: "))
    assert re.fullmatch(
        r"Memory: about \d\.\d GB a process, \d+\.\d in all; of it activations up to 0\.\d \(\[run\] memory_gb = 4\)",
        line,
    )


def test_a_plan_that_memory_is_too_small_for_says_so_before_anything_is_built(tiny_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"memory_gb = 0\.001 were wanted .* needs 0\.\d even"):
        plan(tiny_run, "run.memory_gb=0.001")
