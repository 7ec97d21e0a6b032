"""The scripts of a job array do what they say, with Slurm's variables set by hand and no scheduler."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, find_differences

from leaflineage.cli import main
from leaflineage.resources import find_resource

SCRIPTS = find_resource("configs") / "slurm"
TASK = {
    "SLURM_ARRAY_JOB_ID": "70",
    "SLURM_ARRAY_TASK_ID": "2",
    "SLURM_ARRAY_TASK_COUNT": "3",
    "SLURM_CPUS_PER_TASK": "1",
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs that go before others; whatever is called there tells its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write_program(folder / "scontrol", 'echo "scontrol $*"')
    return folder


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def start(programs: Path, script: str, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **TASK, "PATH": f"{programs}:{os.environ['PATH']}"}
    command = ["bash", str(SCRIPTS / script), *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def run(programs: Path, script: str, *words: str) -> tuple[int, list[str], str]:
    """Run a script to its end: code, lines, errors."""
    process = start(programs, script, *words)
    said, errors = process.communicate()
    return process.returncode, said.splitlines(), errors


def test_the_scripts_call_commands_that_exist_with_what_slurm_says(programs: Path) -> None:
    write_program(programs / "leaflineage", 'echo "leaflineage $* $OMP_NUM_THREADS"')
    for script, name in (("atlas.sbatch", "build"), ("merge.sbatch", "merge")):
        code, lines, errors = run(programs, script, "my.toml", "runs/my", "--set", "run.seed=1")
        assert (code, errors) == (0, "")
        _, called, *words, threads = shlex.split(lines[0])
        assert (called, threads) == (name, "1")
        given = main.commands[name].make_context(name, words).params
        assert (str(given["run"]), str(given["config"]), given["jobs"]) == ("runs/my", "my.toml", 1)
        assert given["overrides"] == ("run.seed=1",)
        if name == "build":
            assert (given["shard"].number, given["shard"].count) == (2, 3)
    assert shlex.split(lines[1]) == ["leaflineage", "check", "runs/my/site", "1"]


def test_a_task_that_a_scheduler_stopped_goes_back_into_the_queue(programs: Path) -> None:
    write_program(programs / "leaflineage", "exit 75")
    code, lines, _ = run(programs, "atlas.sbatch", "my.toml", "runs/my")
    assert (code, lines[-1]) == (75, "scontrol requeue 70_2")


def test_a_task_that_failed_does_not(programs: Path) -> None:
    write_program(programs / "leaflineage", "exit 1")
    assert run(programs, "atlas.sbatch", "my.toml", "runs/my") == (1, [], "")


def test_the_signal_before_the_end_reaches_the_build_and_is_waited_for(programs: Path) -> None:
    write_program(
        programs / "leaflineage",
        "trap 'echo told; stop=1' TERM\necho begun\n"
        'while [ -z "$stop" ]; do sleep 0.05; done\necho finished\nexit 75',
    )
    process = start(programs, "atlas.sbatch", "my.toml", "runs/my")
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)  # to the script alone, as --signal=B: does
    said, _ = process.communicate(timeout=60)
    assert said.splitlines()[:2] == ["told", "finished"]
    assert said.splitlines()[-1] == "scontrol requeue 70_2"
    assert process.returncode == 75


@pytest.mark.parametrize("script", ["atlas.sbatch", "merge.sbatch"])
def test_what_slurm_reads_stands_before_the_first_command(script: str) -> None:
    lines = (SCRIPTS / script).read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    asked = [line for line in lines[:first] if line.startswith("#SBATCH --")]
    assert len(asked) == len([line for line in lines if line.startswith("#SBATCH")]) > 5
    if script == "atlas.sbatch":
        assert {"#SBATCH --requeue", "#SBATCH --signal=B:TERM@120", "#SBATCH --open-mode=append"} <= {*asked}


@pytest.mark.slow
def test_parts_and_their_joining_give_the_bytes_of_a_whole_build(
    tiny_run: Path, tiny_copy: Path, programs: Path
) -> None:
    write_program(programs / "leaflineage", f'cd "{ROOT}" && exec "{sys.executable}" -m leaflineage.cli "$@"')
    slugs = sorted(path.parent.name for path in tiny_copy.glob("families/*/zones.json"))
    for slug in slugs:
        (tiny_copy / "families" / slug / "zones.json").unlink()
    code, _, errors = run(programs, "atlas.sbatch", "configs/tiny.toml", str(tiny_copy))
    assert code == 0, errors
    there = [slug for slug in slugs if (tiny_copy / "families" / slug / "zones.json").is_file()]
    assert there == slugs[1:2]
    code, _, errors = run(programs, "merge.sbatch", "configs/tiny.toml", str(tiny_copy))
    assert (code, "not made yet" in errors) == (1, True), errors
    code, _, errors = run(programs, "merge.sbatch", "configs/tiny.toml", str(tiny_copy), "--build-missing")
    assert code == 0, errors
    assert find_differences(tiny_run, tiny_copy) == []
