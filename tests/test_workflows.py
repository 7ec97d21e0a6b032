"""Workflows: they parse, what they call exists, nothing is published that was not checked, and the run is kept."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from leaflineage import __version__
from leaflineage.cli import main
from leaflineage.resources import find_resource

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[1]
OURS = tuple(ROOT / ".github" / "workflows" / name for name in ("pages.yml", "test.yml", "shards.yml"))
THEIRS = find_resource("configs") / "pages.yml"
IN_PARTS = (OURS[2], find_resource("configs") / "shards.yml")
WHOLE = (OURS[0], THEIRS)
PUBLISHING = (*WHOLE, *IN_PARTS)


def name_workflow(path: Path) -> str:
    return f"{path.parent.name}-{path.name}"


def read_jobs(path: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return jobs


def read_steps(path: Path) -> list[dict[str, Any]]:
    jobs = read_jobs(path)
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("path", [*OURS, THEIRS, IN_PARTS[1]], ids=name_workflow)
def test_a_workflow_is_one(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "permissions", "concurrency", "jobs"} <= workflow.keys()
    assert True in workflow  # "on", which YAML reads as true
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])
        assert all(re.search(r"@v\d+$", step["uses"]) for step in job["steps"] if "uses" in step)


@pytest.mark.parametrize("path", PUBLISHING, ids=name_workflow)
def test_what_a_workflow_calls_exists(path: Path) -> None:
    commands = [step["run"] for step in read_steps(path) if "run" in step]
    called = [line for line in commands if re.match(r"(\.venv/bin/)?leaflineage ", line)]
    assert called
    for line in called:
        name, *words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "1", line).replace("SHARDS", "2"))[1:]
        main.commands[name].make_context(name, words)  # raises where an option or its value is wrong
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in commands if line.startswith("make ")} <= targets
    for line in commands:
        if line.startswith("bash "):
            assert (ROOT / line.split()[1]).is_file()


@pytest.mark.parametrize("path", PUBLISHING, ids=name_workflow)
def test_nothing_is_published_that_was_not_checked(path: Path) -> None:
    steps = read_steps(path)
    checks = [i for i, step in enumerate(steps) if "leaflineage check --publish" in step.get("run", "")]
    uploads = [i for i, step in enumerate(steps) if "upload-pages-artifact" in step.get("uses", "")]
    assert len(checks) == len(uploads) == 1
    assert checks[0] < uploads[0]
    assert shlex.split(steps[checks[0]]["run"])[-1] == steps[uploads[0]]["with"]["path"]


@pytest.mark.parametrize("path", WHOLE, ids=name_workflow)
def test_the_run_is_kept_even_where_the_build_ends_early(path: Path) -> None:
    steps = {step["uses"].partition("@")[0]: step for step in read_steps(path) if "uses" in step}
    restore, save = steps["actions/cache/restore"], steps["actions/cache/save"]
    assert restore["with"]["path"] == save["with"]["path"]
    assert save["if"] == "always()"
    assert save["with"]["key"] == f"${{{{ steps.{restore['id']}.outputs.cache-primary-key }}}}"
    assert restore["with"]["key"].endswith("${{ github.run_id }}")  # a cache is never written twice under one key
    assert restore["with"]["restore-keys"].split()[-1] == "run-"


@pytest.mark.parametrize("path", IN_PARTS, ids=name_workflow)
def test_parts_are_built_from_what_one_job_made_and_all_are_joined(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("NUMBERS", "1, 2").replace("SHARDS", "2")
    jobs = yaml.safe_load(text)["jobs"]
    assert [jobs[name].get("needs") for name in ("plan", "part", "merge", "deploy")] == [None, "plan", "part", "merge"]
    parts = jobs["part"]["strategy"]["matrix"]["part"]
    assert parts == list(range(1, len(parts) + 1))
    said = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert any(f"--shard 0/{len(parts)} " in line for line in said["plan"])
    assert any(f"--shard ${{{{ matrix.part }}}}/{len(parts)} " in line for line in said["part"])
    assert any(line.startswith("leaflineage merge parts/part-* ") for line in said["merge"])
    kept = {name: {str(s.get("uses")).partition("@")[0]: s for s in jobs[name]["steps"]} for name in ("plan", "part")}
    for name, steps in kept.items():
        restore, save = steps["actions/cache/restore"], steps["actions/cache/save"]
        assert restore["with"]["path"] == save["with"]["path"], name
        assert save["if"] == "always()"
        assert restore["with"]["key"].endswith("${{ github.run_id }}")
    uses = [str(step.get("uses")).partition("@")[0] for step in jobs["part"]["steps"]]
    assert uses.index("actions/cache/restore") < uses.index("actions/download-artifact")  # what all share wins
    assert kept["part"]["actions/download-artifact"]["with"]["name"] == "common"
    assert kept["plan"]["actions/upload-artifact"]["with"]["name"] == "common"
    assert kept["part"]["actions/upload-artifact"]["with"]["name"] == "part-${{ matrix.part }}"


def test_the_repository_says_how_to_cite_it() -> None:
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (said["cff-version"], said["type"], said["version"]) == ("1.2.0", "software", __version__)
    assert [len(each["authors"]) for each in said["references"]] == [8, 8, 12]
