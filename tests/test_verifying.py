"""A run, or a site, that is not what it says of itself is found out: by bytes, by numbers, by its pictures."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from leaflineage.cli import main
from leaflineage.errors import ArtifactError, ConfigError, SiteError, SpecimenError
from leaflineage.recomputing import AGAIN, compare_arrays, compare_tables, compare_values
from leaflineage.stages.publishing import FAMILY_RECORDS, SETTINGS, WHOLE_RECORDS
from leaflineage.stages.table import FAMILY_STAGES, STAGES
from leaflineage.upkeep import read_config
from leaflineage.verifying import Choice, Verdict, verify_run, verify_site, write_verdict
from leaflineage.website import links
from leaflineage.website.manifest import read_manifest

BANK = "families/betulaceae/concepts.safetensors"
MAPPED = "families/ginkgoaceae/heatmaps/concept-01/00.webp"


def check_run(run: Path, *names: str) -> Verdict:
    choice = Choice(names=names) if names else Choice(0)
    return verify_run(run, read_config(run), overrides=[], device="cpu", choice=choice, say=lambda text: None)


def check_site(site: Path, *names: str, overrides: tuple[str, ...] = ()) -> Verdict:
    choice = Choice(names=names) if names else Choice(0)
    return verify_site(site, overrides=overrides, device="cpu", choice=choice, say=lambda text: None)


def flip_byte(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.unlink()  # of a site it is a hard link of the run's
    path.write_bytes(bytes(content))


def change_array(path: Path, name: str, factor: float) -> None:
    """Change one entry of an array by a part of its largest."""
    arrays = load_file(path)
    arrays[name][0, 0] += factor * np.abs(arrays[name]).max()
    path.unlink()
    save_file(arrays, path)


def change_manifest(site: Path, **changes: Any) -> None:
    manifest = json.loads((site / links.HASHES).read_text(encoding="utf-8"))
    for key, value in changes.items():
        if key == "draw":
            manifest["run"]["settings"]["specimens.draw"] = value
        else:
            manifest["run"][key] = value
    (site / links.HASHES).write_text(json.dumps(manifest), encoding="utf-8")


def list_problems(verdict: Verdict) -> dict[str, list[str]]:
    return {level.name: level.problems for level in verdict.levels}


@pytest.fixture
def site(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the tiny site."""
    return Path(shutil.copytree(tiny_run / "site", tmp_path / "site"))


# --- a run -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_level_names_what_was_changed_and_nothing_else(tiny_copy: Path) -> None:
    change_array(tiny_copy / BANK, "concept_bank", 0.01)
    pictures = tiny_copy / "families" / "fagaceae" / "visualizations"
    shutil.copyfile(pictures / "concept-02.webp", pictures / "concept-01.webp")
    flip_byte(tiny_copy / MAPPED, -1)
    found = list_problems(check_run(tiny_copy, "Betulaceae", "Fagaceae", "Ginkgoaceae"))
    changed = [BANK, "families/fagaceae/visualizations/concept-01.webp", MAPPED]
    assert sorted(each.partition(" ")[0] for each in found["bytes"]) == sorted(changed)
    assert all("is not as it was written" in each for each in found["bytes"])
    (numbers,) = found["numbers"]
    assert numbers.startswith(f"Betulaceae: {BANK}, concept_bank, differs by up to 0.0")
    (picture,) = found["pictures"]
    assert picture.startswith("Fagaceae: families/fagaceae/visualizations/concept-01.webp ")


def test_a_record_that_says_something_else_and_one_that_is_gone_are_named(tiny_copy: Path) -> None:
    record = tiny_copy / "families" / "fagaceae" / "importance.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    content["bias"] += 0.5
    record.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (tiny_copy / "families" / "betulaceae" / "crops.json").unlink()
    (tiny_copy / "families" / "ginkgoaceae" / "zones.json").write_text("{", encoding="utf-8")
    (tiny_copy / "specimens" / "Ginkgoaceae" / sorted((tiny_copy / "specimens/Ginkgoaceae").iterdir())[0].name).unlink()
    found = list_problems(check_run(tiny_copy))["bytes"]
    assert any(each.startswith("families/fagaceae/importance.json is not as it was written") for each in found)
    assert "families/betulaceae/crops.json is missing" in found
    assert "families/ginkgoaceae/zones.json is damaged" in found
    assert sum(each.startswith("specimens/Ginkgoaceae/") and each.endswith("is missing") for each in found) == 1
    assert len(found) == 4


def test_a_pipe_in_a_record_s_place_is_damage_and_is_not_waited_for(tiny_copy: Path) -> None:
    record = tiny_copy / "families/betulaceae/crops.json"
    record.unlink()
    os.mkfifo(record)
    assert "families/betulaceae/crops.json is damaged" in list_problems(check_run(tiny_copy))["bytes"]


def test_cells_that_were_dropped_are_not_missed(tiny_run: Path) -> None:
    assert not (tiny_run / "families" / "fagaceae" / "activations.safetensors").exists()
    assert list_problems(check_run(tiny_run))["bytes"] == []


def test_the_manifest_stands_for_every_artifact_and_every_setting_of_what_is_computed_again() -> None:
    whole = {stage.record for stage in STAGES.values() if not stage.per_family and stage.name != "collect"}
    assert set(WHOLE_RECORDS) == whole
    families = {STAGES[name].record_path("x").removeprefix("families/x/") for name in FAMILY_STAGES}
    assert {f"{name}.json" for name in FAMILY_RECORDS} == families
    needed = {key for name in ("inspect", "probe", *AGAIN) for key in STAGES[name].settings}
    covered = set(SETTINGS)
    assert {key for key in needed if key not in covered and key.partition(".")[0] not in covered} == set()
    fingerprinted = set(STAGES["collect"].settings)
    assert {key for key in SETTINGS if key not in fingerprinted and key.partition(".")[0] not in fingerprinted} == set()


# --- a site ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_drawn_site_holds_at_every_level_without_any_path(tiny_run: Path) -> None:
    verdict = check_site(tiny_run / "site", "Fagaceae")
    assert verdict.problems == []
    assert verdict.reached == ["bytes", "numbers", "pictures"]
    lines = "\n".join(write_verdict(verdict))
    assert "Fagaceae, computed again from 12 specimens and the classifier; every bit was to be equal" in lines


@pytest.mark.slow
def test_what_was_made_on_another_processor_may_differ_in_the_fourth_digit(tiny_run: Path, site: Path) -> None:
    change_manifest(site, makers=["torch 2.0; another processor"])
    change_array(site / links.bank_file("fagaceae"), "concept_bank", 1e-4)
    change_array(site / links.bank_file("betulaceae"), "coefficients", 1e-2)
    overrides = (f"specimens.root={tiny_run / 'specimens'}", "classifier.source=herbarium")
    verdict = check_site(site, "fagaceae", "betulaceae", overrides=overrides)
    found = list_problems(verdict)
    assert len(found["bytes"]) == 2
    assert [each.partition(":")[0] for each in found["numbers"]] == ["Betulaceae"]
    assert "data/concepts/betulaceae.safetensors, coefficients, differs by up to" in found["numbers"][0]
    assert found["pictures"] == []
    assert "agreement to 0.001 was wanted" in verdict.levels[1].said


def test_a_site_without_paths_reaches_the_level_of_bytes_and_says_so(site: Path) -> None:
    change_manifest(site, draw=None)
    result = CliRunner().invoke(main, ["verify", str(site)])
    assert result.exit_code == 0, result.output
    assert "files of the site were held against its manifest: all is as it was recorded" in result.stdout
    assert "say where they are with --set specimens.root=… and --set classifier.source=…" in result.stdout
    assert result.stdout.endswith("Reached: bytes.\n")


def test_specimens_that_are_not_where_they_are_said_to_be_are_told(site: Path, tmp_path: Path) -> None:
    overrides = (f"specimens.root={tmp_path}", "classifier.source=herbarium")
    with pytest.raises(SpecimenError, match=r"36 specimens were wanted below .* none is there \(as .*Say where"):
        check_site(site, "Fagaceae", overrides=overrides)


@pytest.mark.parametrize(
    "key", ["classifier.source", "specimens.root", "run.memory_gb", "visualize.transfer_classifier", "concept"]
)
def test_a_site_says_nothing_of_where_things_lie_or_what_a_machine_gives(site: Path, key: str) -> None:
    manifest = json.loads((site / links.HASHES).read_text(encoding="utf-8"))
    manifest["run"]["settings"][key] = "/elsewhere"
    (site / links.HASHES).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ArtifactError, match=f"no manifest of this version sets '{key}'.*do not trust it"):
        check_site(site, "Betulaceae")


@pytest.mark.parametrize("families", ["", ",", " , "])
def test_families_without_a_name_are_wrong_usage(site: Path, families: str) -> None:
    result = CliRunner().invoke(main, ["verify", str(site), "--families", families])
    assert result.exit_code == 2
    assert "names no family" in result.stderr


def test_a_run_that_does_not_say_its_config_is_still_held_against_its_hashes(tiny_copy: Path) -> None:
    (tiny_copy / "run.json").write_text("{}")
    result = CliRunner().invoke(main, ["verify", str(tiny_copy), "--quiet"])
    assert result.exit_code == 0
    assert result.stdout.startswith("bytes: ")
    assert "does not say which config" in result.stdout


def test_one_byte_of_a_page_and_a_picture_that_is_gone_fail(site: Path) -> None:
    flip_byte(site / "families" / "fagaceae" / "index.html", 100)
    (site / "media" / MAPPED).unlink()
    result = CliRunner().invoke(main, ["verify", str(site), "--families", "0"])
    assert result.exit_code == 1
    assert "families/fagaceae/index.html is not as it was written" in result.stdout
    assert f"media/{MAPPED} is missing" in result.stdout
    assert "2 at the level of bytes" in result.stderr


def test_a_site_stands_for_every_file_it_has(tiny_run: Path) -> None:
    site = tiny_run / "site"
    manifest = read_manifest(site)
    there = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert set(manifest.files) == there - {links.HASHES}
    page = (site / "data.html").read_text(encoding="utf-8")
    assert 'href="data/manifest.json"' in page


def test_data_that_cannot_be_read_at_all_is_told_at_the_level_of_bytes(site: Path) -> None:
    (site / links.ATLAS_DATA).unlink()
    (site / links.ATLAS_DATA).write_text("{", encoding="utf-8")
    verdict = check_site(site, "Fagaceae")
    assert [each.partition(" ")[0] for each in verdict.problems] == [links.ATLAS_DATA]
    assert verdict.reached == ["bytes"]
    assert "files are damaged" in verdict.levels[1].said


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "a\\b", "", "c:/x"])
def test_a_site_that_names_files_outside_itself_is_refused(site: Path, name: str) -> None:
    manifest = json.loads((site / links.HASHES).read_text(encoding="utf-8"))
    manifest["files"][name] = "0"
    (site / links.HASHES).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(SiteError, match=r"names .* which is none"):
        check_site(site)


def test_what_is_neither_run_nor_site_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["verify", str(tmp_path)])
    assert result.exit_code == 1
    assert "Is " in result.stderr
    assert "a baked site?" in result.stderr


# --- a sample --------------------------------------------------------------------------------------------------


def test_chance_takes_the_same_families_for_the_same_seed_and_others_for_another() -> None:
    names = {f"family-{i:02d}": f"Family {i}" for i in range(40)}
    taken = [Choice(3, seed=seed).take(names) for seed in range(20)]
    assert all(len(set(each)) == 3 for each in taken)
    assert Choice(3, seed=4).take(names) == taken[4]
    assert len({tuple(each) for each in taken}) > 15
    assert Choice(None).take(names) == sorted(names)
    assert Choice(99).take(names) == sorted(names)


def test_a_family_is_named_by_name_or_slug_and_one_that_is_not_there_is_said() -> None:
    names = {"fagaceae": "Fagaceae", "ulmaceae": "Ulmaceae"}
    assert Choice(names=("Ulmaceae", "fagaceae")).take(names) == ["fagaceae", "ulmaceae"]
    with pytest.raises(ConfigError, match="Did you mean Fagaceae"):
        Choice(names=("Fagacae",)).take(names)


# --- comparing -------------------------------------------------------------------------------------------------


def test_arrays_are_equal_bit_for_bit_or_to_a_thousandth_of_the_largest() -> None:
    again = {"a": np.array([[100.0, 1.0]], dtype=np.float32)}
    nearly = {"a": np.array([[100.0, 1.05]], dtype=np.float32)}
    far = {"a": np.array([[100.0, 1.2]], dtype=np.float32)}
    assert compare_arrays("x", again, again, exact=True) == []
    assert [str(each) for each in compare_arrays("x", nearly, again, exact=True)] == ["x, a, differs by up to 0.05"]
    assert compare_arrays("x", nearly, again, exact=False) == []
    assert len(compare_arrays("x", far, again, exact=False)) == 1
    nan = {"a": np.array([[100.0, np.nan]], dtype=np.float32)}
    assert "no number" in str(compare_arrays("x", nan, again, exact=False)[0])
    assert "is not there" in str(compare_arrays("x", {}, again, exact=False)[0])
    assert "shape" in str(compare_arrays("x", {"a": again["a"][0]}, again, exact=False)[0])


def test_of_numbers_that_differ_the_largest_is_named() -> None:
    stored = {"b": [{"c": 1.0}, {"c": 2.5}], "n_iterations": 7, "only": 1, "uid": "a"}
    again = {"b": [{"c": 1.1}, {"c": 2.0}], "n_iterations": 9, "uid": "b"}
    (exact,) = compare_values("x", stored, again, exact=True)
    assert str(exact).startswith("x, uid, is 'a' and not 'b' (and 3 more")
    (loose,) = compare_values("x", stored, again, exact=False)
    assert str(loose) == "x, b[1].c, is 2.5 and not 2: it differs by 0.5 (and 1 more of its numbers)"
    assert compare_values("x", {"a": 1.0005}, {"a": 1.0}, exact=False) == []
    assert len(compare_values("x", {"a": None}, {"a": 1.0}, exact=False)) == 1
    assert len(compare_values("x", {"a": [1.0]}, {"a": [1.0, 2.0]}, exact=False)) == 1
    assert len(compare_values("x", {"a": float("nan")}, {"a": 1.0}, exact=False)) == 1


def test_a_table_is_compared_by_its_numbers_and_names_but_for_those_withheld() -> None:
    head = b"specimen,group,split,named_rightly,centred_logit\n"
    again = head + b"a,a,train,true,1.5\nb,b,train,true,2.5\n"
    assert (
        compare_tables("t", head + b"a,a,train,true,1.5\nwithheld,withheld,train,true,2.5\n", again, exact=True) == []
    )
    (other,) = compare_tables("t", head + b"a,a,train,true,1.5\nc,b,train,true,2.5\n", again, exact=True)
    assert str(other) == "t, line 3 has specimen 'c' and not 'b'"
    (number,) = compare_tables("t", head + b"a,a,train,true,1.5\nb,b,train,true,x\n", again, exact=False)
    assert str(number) == "t, centred_logit, holds what is no number"
    assert len(compare_tables("t", head, again, exact=False)) == 1
