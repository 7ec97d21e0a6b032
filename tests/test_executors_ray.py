"""A Ray cluster gives the serial build's bytes, whatever dies; who may join it, and what is said where none may."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT, build_tiny, find_differences, load_tiny

from leaflineage import executors_ray
from leaflineage.claims import look_again, show_sign
from leaflineage.cli import main
from leaflineage.errors import ConfigError, LeafLineageError
from leaflineage.executors import WITHOUT_DEVICE
from leaflineage.executors_ray import (
    check_address,
    choose_device,
    describe_difference,
    find_cluster,
    find_objection,
)
from leaflineage.machine import describe_maker
from leaflineage.stages.table import STAGES, hash_code

LONGEST = 300  # seconds for a build of seconds: beyond, it hangs
STAGES_FOLDER = ROOT / "src" / "leaflineage" / "stages"
needs_ray = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install -e '.[ray]'"),
    pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="workers are found through /proc"),
]


# --- who may join --------------------------------------------------------------------------------------------


@pytest.fixture
def sent(tmp_path: Path) -> executors_ray.Build:
    """What a build of this process sends with a task."""
    return executors_ray.Build(describe_maker(), hash_code("rank"), str(show_sign(tmp_path)), mixed=False)


def test_a_worker_that_is_as_the_build_joins(sent: executors_ray.Build) -> None:
    assert find_objection("rank", sent) is None


def test_a_worker_with_another_version_joins_a_mixed_build_only(sent: executors_ray.Build) -> None:
    other = dataclasses.replace(sent, maker=sent.maker.replace("timm ", "timm 0."))
    objection = find_objection("rank", other)
    assert objection is not None
    assert re.fullmatch(r"it has timm [\d.]+ where the build has 0[\d.]+: its bytes may differ \(--mixed .*", objection)
    assert find_objection("rank", dataclasses.replace(other, mixed=True)) is None


def test_a_worker_that_does_not_see_the_run_never_joins(sent: executors_ray.Build) -> None:
    Path(sent.sign).unlink()
    assert "does not see the run folder" in str(find_objection("rank", dataclasses.replace(sent, mixed=True)))


def test_a_worker_with_another_state_of_the_code_never_joins(sent: executors_ray.Build) -> None:
    assert "its code" in str(find_objection("rank", dataclasses.replace(sent, code="0", mixed=True)))


def test_what_differs_is_told_and_nothing_else() -> None:
    assert describe_difference("torch 2, timm 1; arm, A", "torch 2, timm 3, numpy 1; x86, B") == (
        "numpy missing where the build has 1, timm 1 where the build has 3, "
        "the processor arm, A where the build has x86, B"
    )


def test_looking_into_a_folder_leaves_nothing_there(tmp_path: Path) -> None:
    look_again(tmp_path)
    look_again(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


# --- what is asked of the cluster ----------------------------------------------------------------------------


def test_a_gpu_is_claimed_by_the_stages_that_may_compute_on_one() -> None:
    def find_modules(name: str, seen: set[str]) -> set[str]:
        path = STAGES_FOLDER / f"{name}.py"
        if name in seen or name == "context" or not path.is_file():
            return seen
        seen.add(name)
        for other in re.findall(r"^from leaflineage\.stages\.(\w+) import", path.read_text(), re.MULTILINE):
            find_modules(other, seen)
        return seen

    def computes(stage: str) -> bool:
        texts = [(STAGES_FOLDER / f"{name}.py").read_text() for name in find_modules(stage, set())]
        return any(re.search(r"\.load_classifier\(|choose_device\(", text) for text in texts)

    assert {name for name in STAGES if not computes(name)} == set(WITHOUT_DEVICE)


@pytest.mark.parametrize(
    ("wanted", "n_gpus", "device"), [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda:1", 1, "cuda")]
)
def test_a_cluster_with_gpus_computes_on_them_unless_told_not_to(wanted: str, n_gpus: int, device: str) -> None:
    assert choose_device(wanted, n_gpus) == device


def test_cuda_on_a_cluster_without_gpus_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no machine of the Ray cluster offers a GPU"):
        choose_device("cuda", 0)


@pytest.mark.parametrize("address", ["nowhere", "ray://host:10001", "host:port", ":6379"])
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(ConfigError, match="--ray HOST:PORT"):
        check_address(address)


def test_an_address_where_nothing_answers_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # taken, and nobody listens
        with pytest.raises(ConfigError, match="nothing answers there"):
            check_address(f"127.0.0.1:{held.getsockname()[1]}")


def test_the_address_of_a_cluster_that_was_killed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert find_cluster() is None
    (tmp_path / "ray").mkdir()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        (tmp_path / "ray" / "ray_current_cluster").write_text(address)
        assert find_cluster() is None
        held.listen()
        assert find_cluster() == address
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:1")
    assert find_cluster() == "elsewhere:1"


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    words = ["build", str(ROOT / "configs" / "tiny.toml"), "--run", str(tmp_path / "run"), "--ray", "auto"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "pip install 'leaflineage[ray]'" in result.stderr


def test_mixed_without_ray_is_wrong_usage() -> None:
    result = CliRunner().invoke(main, ["build", "--mixed"])
    assert result.exit_code == 2
    assert "--ray" in result.stderr


# --- what a cluster may do to a task -------------------------------------------------------------------------


def run_where_tasks_end_in(error: Exception, monkeypatch: pytest.MonkeyPatch, run: Path) -> list[str]:
    """Run a task that always ends so; return what was said before the build gave up."""
    said: list[str] = []
    executor = executors_ray.RayExecutor(
        run, load_tiny(), address="auto", jobs=1, shared=False, mixed=False, say=said.append
    )
    monkeypatch.setattr(executor, "_connect", lambda: None)
    monkeypatch.setattr(executor, "_ray", pytest.importorskip("ray"))

    def submit(stage: str, slug: str) -> None:
        future: Future[Any] = Future()
        future.set_exception(error)
        executor._waiting[future] = slug

    monkeypatch.setattr(executor, "_submit", submit)
    with pytest.raises(LeafLineageError) as caught:
        list(executor.run("rank", ["fagaceae"]))
    return [*said, str(caught.value)]


def test_a_task_whose_workers_die_is_begun_again_three_times_and_then_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failures = pytest.importorskip("ray.exceptions")
    *said, sentence = run_where_tasks_end_in(failures.WorkerCrashedError(), monkeypatch, tmp_path)
    assert said == ["rank of fagaceae: its worker died; it is begun again"] * 3
    assert "rank of fagaceae was to be made" in sentence
    assert "died 4 times" in sentence


def test_a_cluster_that_is_gone_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failures = pytest.importorskip("ray.exceptions")
    (sentence,) = run_where_tasks_end_in(failures.LocalRayletDiedError(), monkeypatch, tmp_path)
    assert "the cluster is gone" in sentence


def test_where_every_machine_with_a_gpu_refuses_the_build_ends_though_others_are_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    executor = executors_ray.RayExecutor(
        tmp_path, load_tiny(), address="auto", jobs=1, shared=False, mixed=False, say=lambda text: None
    )
    machines = [
        {"NodeID": "head", "Alive": True, "Resources": {"CPU": 4}},
        {"NodeID": "card", "Alive": True, "Resources": {"CPU": 4, "GPU": 1}},
    ]
    monkeypatch.setattr(executor, "_list_machines", lambda: machines)
    refusal = executors_ray.Refusal("card", "node7", "it has other versions")
    executor._refuse(refusal)  # of a stage that computes on no device: the head can take it
    executor._on_gpu = True
    with pytest.raises(LeafLineageError, match=r"with a GPU were wanted, and none .*node7: it has other versions"):
        executor._refuse(refusal)


def test_a_worker_without_leaflineage_is_told_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failures = pytest.importorskip("ray.exceptions")
    cause = ModuleNotFoundError("No module named 'leaflineage'")
    error = failures.RayTaskError("run_joined", f"ModuleNotFoundError: {cause}", cause).as_instanceof_cause()
    (sentence,) = run_where_tasks_end_in(error, monkeypatch, tmp_path)
    assert "No module named 'leaflineage'). Install LeafLineage" in sentence


# --- a real cluster ------------------------------------------------------------------------------------------


def start_build(run: Path, *words: str) -> subprocess.Popen[str]:
    """Start a build in a process group of its own."""
    command = [sys.executable, "-m", "leaflineage.cli", "build", "configs/tiny.toml", "--run", str(run), "--jobs", "2"]
    return subprocess.Popen(
        [*command, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read_process(pid: int) -> tuple[int, str]:
    """Return a process's session and its title; Ray's workers carry the name of the task they are at."""
    session = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[3])
    return session, Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()


def find_workers(session: int, title: str) -> list[int]:
    """Return the processes of a session whose title begins so."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            its_session, its_title = read_process(int(path.name))
            if its_session == session and its_title.startswith(title):
                found.append(int(path.name))
    return sorted(found)


def await_worker(build: subprocess.Popen[str], title: str) -> int:
    """Return a worker of a build that is at such a task."""
    until = time.monotonic() + LONGEST
    while build.poll() is None and time.monotonic() < until:
        if found := find_workers(build.pid, title):
            return found[0]
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(build.pid, signal.SIGKILL)
    raise AssertionError(f"the build ended before a worker was at {title}: {build.communicate()}")


def kill_at_work(build: subprocess.Popen[str], title: str) -> None:
    """Kill a worker in the middle of a task: it is held still, seen to be at it, and never goes on."""
    while True:
        pid = await_worker(build, title)
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGSTOP)
            if read_process(pid)[1].startswith(title):
                os.kill(pid, signal.SIGKILL)
                return
            os.kill(pid, signal.SIGCONT)


def forget(run: Path, record: str) -> None:
    """Remove a record of every family of a run, so that it is made again."""
    for path in run.glob(f"families/*/{record}"):
        path.unlink()


@pytest.mark.slow
def test_what_a_run_was_made_with_stands_in_its_manifest_where_it_is_mixed(tiny_copy: Path) -> None:
    facts = json.loads((tiny_copy / "run.json").read_text())
    facts["made_with"]["families/fagaceae/crops.json"] = "torch 1; arm"
    (tiny_copy / "run.json").write_text(json.dumps(facts))
    assert build_tiny(tiny_copy).built["collect"] == [""]
    mixed = json.loads((tiny_copy / "manifest.json").read_text())["mixed"]
    assert mixed["torch 1; arm"] == 1
    assert mixed.keys() == {"torch 1; arm", describe_maker()}


class TestCluster:
    """Builds on a cluster that they start themselves, or that others started."""

    pytestmark = needs_ray

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def starts(cls) -> None:
        """Leave out what follows where this machine lets no Ray cluster start at all."""
        words = "import ray; ray.init(address='local', num_cpus=1, include_dashboard=False, logging_level='CRITICAL')"
        command = [sys.executable, "-c", f"{words}; print(ray.cluster_resources()['CPU'])"]
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                apart = {**os.environ, "HOME": folder, "RAY_TMPDIR": folder}  # Ray leaves a token and sockets there
                tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=apart)
        except subprocess.TimeoutExpired:
            pytest.skip("Ray does not start on this machine within two minutes")
        if tried.returncode != 0:
            pytest.skip(f"Ray does not start on this machine: {tried.stderr.strip().splitlines()[-1:]}")

    @pytest.fixture(autouse=True)
    def apart(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """See no other cluster of this machine, and no token of it."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # short: sockets lie in it
            monkeypatch.setenv("RAY_TMPDIR", folder)
            monkeypatch.setenv("HOME", folder)
            monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
            monkeypatch.delenv("RAY_ADDRESS", raising=False)
            yield

    def test_a_worker_killed_in_the_middle_changes_no_byte(self, tiny_run: Path, tmp_path: Path) -> None:
        build = start_build(tmp_path / "run", "--ray", "auto")
        kill_at_work(build, "ray::name")
        said, errors = build.communicate(timeout=LONGEST)
        assert build.returncode == 0, errors
        assert "Ray started on this machine: 1 machine, 2 workers" in said
        assert len(re.findall(r"name of \w+: its worker died; it is begun again", said)) == 1
        assert find_differences(tiny_run, tmp_path / "run") == []

    def test_signals_end_a_build_and_its_workers_and_what_is_finished_is_kept(
        self, tiny_run: Path, tiny_copy: Path
    ) -> None:
        forget(tiny_copy, "visualizations.json")
        for number, code, line in ((signal.SIGTERM, 75, "Stopped by SIGTERM."), (signal.SIGINT, 130, "Stopped.")):
            build = start_build(tiny_copy, "--ray", "auto")
            await_worker(build, "ray::visualize")
            os.killpg(build.pid, number)  # as a scheduler and a terminal do: to Ray's own processes too
            _, errors = build.communicate(timeout=LONGEST)
            assert build.returncode == code, errors
            assert [each[: len(line)] for each in errors.splitlines() if each] == [line]
            while find_workers(build.pid, "ray::"):
                time.sleep(0.1)
        build_tiny(tiny_copy)
        assert find_differences(tiny_run, tiny_copy) == []

    def test_machines_of_another_type_join_a_mixed_build_only(
        self, tiny_run: Path, tiny_copy: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other"
        other.mkdir()
        (other / "sitecustomize.py").write_text("import platform\nplatform.machine = lambda: 'another'\n")
        forget(tiny_copy, "zones.json")
        with start_node("--head", "--port", "0", path=str(other)) as address:
            code, said, errors = finish(start_build(tiny_copy, "--ray", address))
            assert code == 1, said
            assert re.search(r"none of its machines may join this build: .*the processor another, ", errors)
            with start_node("--address", address):
                code, said, errors = finish(start_build(tiny_copy, "--ray", address))
                assert code == 0, errors
                assert "does not join: it has the processor another, " in said
                assert find_differences(tiny_run, tiny_copy) == []
            forget(tiny_copy, "zones.json")
            code, said, errors = finish(start_build(tiny_copy, "--ray", address, "--mixed"))
            assert code == 0, errors
        assert find_differences(tiny_run, tiny_copy) != []
        mixed = json.loads((tiny_copy / "manifest.json").read_text())["mixed"]
        assert [count for maker, count in mixed.items() if "; another, " in maker] == [3]
        assert "another, " in CliRunner().invoke(main, ["status", str(tiny_copy)]).stdout


def finish(build: subprocess.Popen[str]) -> tuple[int, str, str]:
    said, errors = build.communicate(timeout=LONGEST)
    return build.returncode, said, errors


@contextlib.contextmanager
def start_node(*words: str, path: str = "") -> Iterator[str]:
    """Start a machine of a cluster, of one worker, on this machine; yield the address of its head."""
    start = "from ray.scripts.scripts import main; main()"
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(each for each in (path, os.environ.get("PYTHONPATH", "")) if each)
    quiet = ["--include-dashboard", "false"] if "--head" in words else []
    command = [sys.executable, "-c", start, "start", *words, *quiet, "--num-cpus", "1", "--block"]
    node = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )
    try:
        assert node.stdout is not None
        address, lines = "", []
        for line in node.stdout:
            lines.append(line)
            if match := re.search(r"--address='?([\d.]+:\d+)'?", line):
                address = match[1]
            if "--block" in line:
                break
        else:
            raise AssertionError("".join(lines))
        yield address
    finally:
        node.terminate()
        node.communicate()
