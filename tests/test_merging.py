"""A build in parts, in one folder or in several, gives the bytes of a whole one; what is missing is said."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ROOT, SilentReporter, find_differences, load_tiny

from leaflineage.cli import main
from leaflineage.errors import ArtifactError
from leaflineage.merging import merge
from leaflineage.pipeline import Shard, build
from leaflineage.store import Store

pytestmark = pytest.mark.slow


def build_part(run: Path, number: int, count: int, *overrides: str) -> None:
    report = build(load_tiny(*overrides), run, out=None, reporter=SilentReporter(), jobs=1, shard=Shard(number, count))
    assert report.shard == Shard(number, count)
    assert not (run / "atlas.json").exists()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two parts of the tiny atlas, each in a folder of its own."""
    folders = [tmp_path_factory.mktemp("parts") / str(number) for number in (1, 2)]
    for number, folder in enumerate(folders, 1):
        build_part(folder, number, 2)
    return folders


def join(run: Path, parts: list[Path], *overrides: str, build_missing: bool = False) -> None:
    merge(load_tiny(*overrides), run, parts, out=None, reporter=SilentReporter(), jobs=1, build_missing=build_missing)


def test_families_are_shared_out_and_none_is_left_or_taken_twice() -> None:
    slugs = [f"family-{i}" for i in range(11)]
    taken = [slug for number in (1, 2, 3) for slug in Shard(number, 3).take(slugs)]
    assert sorted(taken) == sorted(slugs)
    assert Shard(3, 3).take(slugs[:2]) == []
    assert Shard(0, 3).take(slugs) == []  # what all have in common


def test_parts_in_folders_of_their_own_join_to_the_bytes_of_a_whole_build(
    tiny_run: Path, parts: list[Path], tmp_path: Path
) -> None:
    join(tmp_path / "run", parts)
    assert find_differences(tiny_run, tmp_path / "run") == []
    made_with = Store(tmp_path / "run").read_makers()
    assert made_with == Store(tiny_run).read_makers()


def test_parts_at_work_in_one_folder_at_once_join_to_the_same_bytes(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "leaflineage.cli", "build", "configs/tiny.toml", "--run", str(run), "--jobs", "1"]
    at_work = [
        subprocess.Popen([*command, "--shard", f"{i}/2"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for i in (1, 2)
    ]
    said = [process.communicate()[0].decode() for process in at_work]
    assert [process.returncode for process in at_work] == [0, 0], said
    assert "Part 2 of 2 is done" in said[1]
    words = ["merge", "--config", str(ROOT / "configs" / "tiny.toml"), "--run", str(run), "--jobs", "1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert [path.name for path in (run / "claims").iterdir()] == []
    (run / "claims").rmdir()
    assert find_differences(tiny_run, run) == []


def test_a_part_that_is_missing_is_named_or_built(tiny_run: Path, parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"fagaceae \(.*not made yet.*--build-missing"):
        join(tmp_path / "run", parts[:1])
    join(tmp_path / "run", parts[:1], build_missing=True)
    assert find_differences(tiny_run, tmp_path / "run") == []


def test_a_part_of_other_settings_does_not_join(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"\[visualize\] steps is 20 and was 10"):
        join(tmp_path / "run", parts, "visualize.steps=20")


def test_one_family_made_differently_by_two_parts_is_said(parts: list[Path], tmp_path: Path) -> None:
    other = Path(shutil.copytree(parts[0], tmp_path / "other"))
    record = other / "families" / "betulaceae" / "importance.json"
    record.write_text(record.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
    with pytest.raises(ArtifactError, match="betulaceae: one rank was wanted"):
        join(tmp_path / "run", [*parts, other])


def test_what_is_no_part_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no run folder with families"):
        join(tmp_path / "run", [tmp_path])


@pytest.mark.parametrize("shard", ["0/0", "3/2", "2", "a/b", "1/0"])
def test_what_is_no_shard_is_wrong_usage(shard: str) -> None:
    result = CliRunner().invoke(main, ["build", "--shard", shard])
    assert result.exit_code == 2
    assert "no part of a build" in result.stderr
