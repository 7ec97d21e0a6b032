"""`leaflineage names`: what stands where, which lines are wrong and why, ready lines, names that outlive a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from leaflineage.cli import main
from leaflineage.expert_names import read_directions, read_names


def list_concepts(run: Path) -> dict[str, Any]:
    index = json.loads((run / "index.json").read_text(encoding="utf-8"))
    return {each["id"]: each for family in index["families"] for each in family["concepts"]}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["names", *map(str, arguments)])


def write(folder: Path, *lines: str) -> Path:
    path = folder / "names.toml"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def test_every_shown_concept_is_listed_with_its_uid(tiny_run: Path) -> None:
    done = call(tiny_run)
    assert done.exit_code == 0, done.output
    concepts = list_concepts(tiny_run)
    assert len(done.output.splitlines()) == len(concepts) == 9
    for line in done.output.splitlines():
        each = concepts[line.split()[0]]
        assert f"uid {each['uid']}  rank {each['rank']}" in line
        assert (f"suggested {each['name']['text']!r}" if each["name"] else "no suggestion") in line


def test_a_line_stands_under_its_concept_with_its_author(tiny_run: Path, tmp_path: Path) -> None:
    uid = list_concepts(tiny_run)["fagaceae/concept-02"]["uid"]
    line = f'"fagaceae/concept-01" = {{ name = "Lobes", uid = "{uid}", author = "N. N.", date = 2026-11-26 }}'
    done = call(tiny_run, "--file", write(tmp_path, "# ours", line))
    lines = done.output.splitlines()
    place = next(number for number, each in enumerate(lines) if each.startswith("fagaceae/concept-02"))
    assert lines[place + 1] == "  named 'Lobes' by N. N., 2026-11-26 (names.toml:2)"
    assert lines[-1].endswith("'Lobes' of fagaceae/concept-01 (names.toml:2) to fagaceae/concept-02, cosine 1.00")


def test_a_check_tells_lost_names_and_unknown_terms_and_exits_with_1(tiny_run: Path, tmp_path: Path) -> None:
    second = list_concepts(tiny_run)["fagaceae/concept-02"]["uid"]
    path = write(
        tmp_path,
        '"fagaceae/concept-01" = { name = "Lobes", uid = "gone", terms = ["lobe"] }',
        '"fagaceae/concept-02" = { name = "Stalk", terms = ["petiol"] }',
        f'"fagaceae/concept-03" = {{ name = "Again", uid = "{second}" }}',
    )
    done = call(tiny_run, "--file", path, "--check")
    assert done.exit_code == 1
    assert "names.toml:1: the name 'Lobes' of fagaceae/concept-01 is lost: no shown concept of this run" in done.output
    assert "names.toml:3: the name 'Again' of fagaceae/concept-03 is lost: names.toml:2 names that" in done.output
    assert "names.toml:2: 'petiol' of fagaceae/concept-02 is no term of the glossary. Did you mean" in done.output
    assert "3 of its lines are wrong" in done.output
    assert call(tiny_run, "--file", path).exit_code == 0, "without --check it only lists"


def test_a_line_that_cannot_be_followed_is_an_error(tiny_run: Path, tmp_path: Path) -> None:
    done = call(tiny_run, "--file", write(tmp_path, '"fagaceae/concept-01" = { nmae = "Lobes" }'), "--check")
    assert done.exit_code == 1
    assert "names.toml, line 1" in done.output


def test_what_is_proposed_can_be_read_and_is_in_order(tiny_run: Path, tmp_path: Path) -> None:
    done = call(tiny_run, "--propose")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) == 9
    path = tmp_path / "names.toml"
    path.write_text(done.output, encoding="utf-8")
    concepts = list_concepts(tiny_run)
    suggested = {name: each for name, each in concepts.items() if each["name"]}
    proposed = {each.id: each for each in read_names(path)}
    assert proposed.keys() == suggested.keys()
    for name, each in suggested.items():
        assert proposed[name].name == each["name"]["text"]
        assert (proposed[name].uid, list(proposed[name].terms)) == (each["uid"], each["name"]["terms"])
    checked = call(tiny_run, "--file", path, "--check")
    assert checked.exit_code == 0, checked.output
    again = call(tiny_run, "--file", path, "--propose").output
    assert all(line.startswith("#") for line in again.splitlines()), "a concept that has a line needs none"


def test_what_is_kept_outlives_the_uid(tiny_run: Path, tmp_path: Path) -> None:
    concept = list_concepts(tiny_run)["fagaceae/concept-01"]
    path = write(tmp_path, f'"fagaceae/concept-01" = {{ name = "Lobes", uid = "{concept["uid"]}" }}')
    done = call(tiny_run, "--file", path, "--keep")
    assert done.exit_code == 0, done.output
    assert "names.safetensors holds the directions of 1 named concept." in done.output
    kept = read_directions(path)
    assert list(kept) == [concept["uid"]]
    (tmp_path / "names.safetensors").rename(tmp_path / "old.safetensors")
    path = write(tmp_path, '"fagaceae/concept-02" = { name = "Lobes", uid = "older" }')
    assert call(tiny_run, "--file", path, "--check").exit_code == 1
    from safetensors.numpy import save_file

    save_file({"older": kept[concept["uid"]]}, tmp_path / "names.safetensors")
    done = call(tiny_run, "--file", path, "--check")
    assert done.exit_code == 0, done.output
    assert "to fagaceae/concept-01, cosine 1.00" in done.output


@pytest.mark.parametrize("option", ["--check", "--keep"])
def test_without_a_file_there_is_nothing_to_check_or_keep(tiny_run: Path, option: str) -> None:
    done = call(tiny_run, option)
    assert done.exit_code == 1
    assert "neither --file nor [anatomy] names" in done.output
