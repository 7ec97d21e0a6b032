"""status says what is stale and why, clean finds what nobody wants, a strict build sets nothing aside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import build_tiny, find_differences, load_tiny, read_tree

from leaflineage.cli import main
from leaflineage.errors import ArtifactError
from leaflineage.freshness import CHANGED, explain_change, find_mixture, find_reasons
from leaflineage.store import Store
from leaflineage.upkeep import Garbage, Status, describe_status, find_garbage, read_config, remove_garbage, write_status

BASIS = {"code": "c", "settings": {"visualize.steps": 70, "visualize.size": 384}, "inputs": {"rank": "r", "model": "m"}}


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


# --- why an artifact is stale --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": {"visualize.steps": 100, "visualize.size": 384}}, "[visualize] steps is 100 and was 70"),
        ({"settings": {"visualize.steps": 70}}, "[visualize] size is None and was 384"),
        ({"inputs": {"rank": "other", "model": "m"}}, "what rank found changed"),
        ({"inputs": {"rank": "r", "model": "other"}}, "the classifier's record changed"),
        ({"code": "other"}, "the code of this stage changed"),
        ({}, CHANGED),
    ],
)
def test_a_change_is_told_by_what_differs(change: dict[str, object], said: str) -> None:
    assert explain_change(BASIS, {**BASIS, **change}) == said


def test_many_changes_are_told_in_part_and_counted() -> None:
    settings = {f"concepts.key_{i}": i for i in range(5)}
    told = explain_change({**BASIS, "settings": {}}, {**BASIS, "settings": settings})
    assert told.endswith("[concepts] key_2 is 2 and was None, 2 more")


def test_an_artifact_of_an_earlier_version_does_not_say_what_changed() -> None:
    assert explain_change({}, BASIS) == CHANGED


def test_artifacts_of_several_makers_are_counted() -> None:
    assert find_mixture({"a": "torch 1", "b": "torch 1"}) == []
    assert find_mixture({"a": "torch 1", "b": "torch 2", "c": "torch 1"}) == [
        "2 artifacts were made with torch 1",
        "1 artifacts were made with torch 2",
    ]


def test_a_status_is_told_family_by_family() -> None:
    status = Status(
        n_artifacts={"inspect": 1, "rank": 3},
        reasons={"inspect": {}, "rank": {"b": "not made yet", "a": "not made yet"}},
        claims=[{"stage": "rank", "slug": "b", "host": "node7", "pid": 3, "job": "12-4", "seconds": 4.2}],
    )
    assert status.n_stale == 2
    assert list(write_status(status, {"a": "Aceraceae", "b": "Betulaceae"})) == [
        "inspect  1 fresh",
        "rank     1 fresh, 2 stale",
        "           Aceraceae, Betulaceae: not made yet",
        "At work: rank of Betulaceae, process 3 on node7, job 12-4, last heard of 4 s ago",
    ]


@pytest.mark.slow
def test_status_of_a_run_says_fresh_and_touches_nothing(tiny_copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_copy.rglob("*")}
    result = call("status", tiny_copy)
    assert result.exit_code == 0, result.output
    assert result.output.endswith("All is fresh.\n")
    assert {path: path.stat().st_mtime_ns for path in tiny_copy.rglob("*")} == before


@pytest.mark.slow
def test_status_follows_a_changed_setting_a_damaged_file_and_what_depends_on_them(tiny_copy: Path) -> None:
    reasons = find_reasons(load_tiny("visualize.steps=20"), tiny_copy)
    stale = {name: found for name, found in reasons.items() if found}
    assert set(stale) == {"visualize", "recurse", "collect"}
    assert stale["visualize"]["fagaceae"] == "[visualize] steps is 20 and was 10"
    assert stale["collect"][""].endswith(("and was 10", "is stale"))
    (tiny_copy / "families/fagaceae/concepts.safetensors").write_bytes(b"damaged")
    (tiny_copy / "families/betulaceae/crops.json").unlink()
    status = describe_status(read_config(tiny_copy), tiny_copy)
    assert status.reasons["factorize"] == {"fagaceae": "families/fagaceae/concepts.safetensors is damaged"}
    assert status.reasons["illustrate"]["betulaceae"] == "not made yet"
    assert set(status.reasons["visualize"]) == {"betulaceae", "fagaceae"}
    crossing = {"contrast"}  # reads other families too
    stale = {slug for name, found in status.reasons.items() if name not in crossing for slug in found}
    assert stale == {"", "betulaceae", "fagaceae"}


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Is it a run folder"):
        read_config(tmp_path)
    result = call("status", tmp_path)
    assert result.exit_code == 1
    assert "--config" in result.stderr
    assert call("status", tmp_path, "--set", "run.seed=1").exit_code == 2


# --- garbage -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_whole_run_holds_no_garbage(tiny_copy: Path) -> None:
    assert find_garbage(read_config(tiny_copy), tiny_copy) == []


@pytest.mark.slow
def test_garbage_is_listed_and_removed_and_nothing_else(tiny_run: Path, tiny_copy: Path) -> None:
    planted = {
        "families/fagaceae/crops/concept-09/00.webp": "no record stands for it",
        "families/fagaceae/crops.json.host-3.part": "was killed while it was written",
        "families/platanaceae/concepts.json": "of a family that the config does not build",
        "model.json.host-3.part": "was killed while it was written",
    }
    for name in planted:
        (tiny_copy / name).parent.mkdir(parents=True, exist_ok=True)
        (tiny_copy / name).write_bytes(b"12345")
    (tiny_copy / "notes of mine.txt").write_text("kept")
    listed = find_garbage(read_config(tiny_copy), tiny_copy)
    assert {each.path: each.reason for each in listed} == planted
    assert {each.size for each in listed} == {5}
    assert "Nothing was removed" in call("clean", tiny_copy).output
    assert len(find_garbage(read_config(tiny_copy), tiny_copy)) == len(planted)
    assert call("clean", tiny_copy, "--remove").exit_code == 0
    assert not (tiny_copy / "families/platanaceae").exists()
    assert (tiny_copy / "notes of mine.txt").read_text() == "kept"
    (tiny_copy / "notes of mine.txt").unlink()
    assert find_differences(tiny_run, tiny_copy) == []
    assert call("clean", tiny_copy).output == f"{tiny_copy}: nothing lies there that is not wanted.\n"


@pytest.mark.slow
def test_pictures_of_a_family_that_was_stopped_while_it_was_drawn_are_no_garbage(tiny_copy: Path) -> None:
    config, family = read_config(tiny_copy), tiny_copy / "families" / "fagaceae"
    (family / "visualizations.json").unlink()
    listed = [each.path for each in find_garbage(config, tiny_copy)]
    assert [path for path in listed if "/visualizations/" in path] == []
    next(family.glob("visualizations/*-again.json"), next(family.glob("visualizations/concept-*.json"))).unlink()
    assert any("/visualizations/" in each.path for each in find_garbage(config, tiny_copy))


@pytest.mark.slow
def test_what_came_to_be_wanted_since_it_was_listed_stays(tiny_copy: Path) -> None:
    kept = tiny_copy / "families/fagaceae/crops.json"
    assert remove_garbage(load_tiny(), tiny_copy, [Garbage("families/fagaceae/crops.json", 1, "")]) == 0
    assert kept.is_file()


@pytest.mark.slow
def test_nothing_is_removed_under_a_build(tiny_copy: Path) -> None:
    before = read_tree(tiny_copy)
    with Store(tiny_copy).lock(), pytest.raises(ArtifactError, match="another build"):
        remove_garbage(load_tiny(), tiny_copy, [Garbage("families/fagaceae/crops.json", 1, "")])
    assert read_tree(tiny_copy) == before


# --- the report ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_build_ends_with_a_report_of_what_was_made_reused_and_set_aside(tiny_copy: Path) -> None:
    (tiny_copy / "families/betulaceae/crops.json").unlink()
    report = build_tiny(tiny_copy)
    written = json.loads((tiny_copy / "report.json").read_text())
    assert written["built"]["illustrate"] == ["betulaceae"]
    assert written["reused"]["illustrate"] == 2
    assert written["missing"] == report.missing
    assert written["peak_mb"] > 50
    assert set(written["seconds"]) >= {"illustrate"}
    facts = json.loads((tiny_copy / "run.json").read_text())
    assert "torch" in facts["made_with"]["families/betulaceae/crops.json"]
    assert "families/fagaceae/concepts.json" in facts["made_with"]


@pytest.mark.slow
def test_a_strict_build_ends_with_one_where_a_family_was_set_aside(tiny_run: Path, tiny_copy: Path) -> None:
    words = ("build", Path(__file__).parents[1] / "configs" / "tiny.toml", "--run", tiny_copy, "--jobs", "1")
    assert call(*words).exit_code == 0
    result = call(*words, "--strict")
    assert result.exit_code == 1
    assert "--strict allows nothing to be set aside" in result.stderr
    assert find_differences(tiny_run, tiny_copy) == []
