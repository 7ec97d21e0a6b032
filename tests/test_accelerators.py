"""Which processes share which GPU, and what a task says that a GPU has no memory for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import load_tiny

from leaflineage import accelerators, executors
from leaflineage.accelerators import MAX_WORKERS, VISIBLE, WORKER_BYTES, count_workers, find_places, share_out
from leaflineage.errors import LeafLineageError
from leaflineage.executors import LocalExecutor, run_task


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with a GPU that has room for one process, and one that has room for two."""
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(accelerators, "SIGNS", (str(tmp_path / "nvidiactl"),))
    monkeypatch.setattr(accelerators, "_ask", lambda: [WORKER_BYTES, 2 * WORKER_BYTES])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("free", "n"), [(0, 1), (WORKER_BYTES - 1, 1), (2 * WORKER_BYTES, 2), (80 * 10**9, MAX_WORKERS)]
)
def test_a_gpu_is_shared_by_as_many_processes_as_its_memory_holds_and_never_more_than_a_few(free: int, n: int) -> None:
    assert count_workers(free) == n


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ("auto", ["0", "1", "1"]),
        ("cuda", ["0", "1", "1"]),
        ("cuda:1", ["", ""]),  # the one that is named, which torch is told by the task itself
        ("cuda:2", []),
        ("cuda:x", []),
        ("cuda:²", []),
        ("cpu", []),
        ("mps", []),
    ],
)
def test_all_gpus_are_shared_unless_one_is_named(wanted: str, places: list[str]) -> None:
    assert find_places(wanted) == places


@pytest.mark.usefixtures("two_gpus")
def test_what_the_environment_hides_stays_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5e98")
    assert find_places("auto") == ["3", "GPU-5e98", "GPU-5e98"]


def test_the_first_processes_take_one_gpu_each() -> None:
    assert share_out([2, 1, 2], None) == ["0", "1", "2", "0", "2"]
    assert share_out([3], "7") == ["", "", ""]  # torch sees no other


def test_a_machine_without_a_gpu_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "SIGNS", ("/nowhere/nvidiactl",))
    monkeypatch.setattr(accelerators, "_ask", lambda: pytest.fail("it was asked"))
    assert find_places("auto") == []


def test_a_gpu_worker_sees_its_own_gpu_alone_and_other_stages_have_all_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(executors, "find_places", lambda wanted: ["0", "1", "0", "1"])
    with LocalExecutor(tmp_path, load_tiny(), jobs=2) as executor:
        pool, n_processes = executor._get_gpu_pool()
        assert n_processes == 2
        assert pool is not executor._get_pool()[0]
        assert {pool.submit(os.getenv, VISIBLE).result() for _ in range(20)} <= {"0", "1"}
        assert executor._get_pool()[0].submit(os.getenv, VISIBLE).result() is None


def test_a_gpu_that_cannot_be_asked_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later")

    monkeypatch.setattr(accelerators, "SIGNS", (str(tmp_path),))
    monkeypatch.setattr(accelerators, "ProcessPoolExecutor", fail)
    with pytest.raises(LeafLineageError, match=r"free memory \(CUDA error: out of memory\)\. See .*--device cpu"):
        find_places("auto")


def test_where_there_is_no_gpu_all_stages_share_one_pool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(executors, "find_places", lambda wanted: [])
    with LocalExecutor(tmp_path, load_tiny(), jobs=2) as executor:
        assert executor._get_gpu_pool() is executor._get_pool()


def test_a_gpu_without_room_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch calls it."""

    def fail(*_: object) -> None:
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 32.00 MiB. GPU 0 has a total capacity of")

    monkeypatch.setattr(executors, "_run", fail)
    report = run_task("visualize", "betulaceae", str(tmp_path), load_tiny().model_dump_json())
    assert "'visualize' of betulaceae wanted more memory than the GPU has free (CUDA out of memory)" in str(
        report.error
    )
    assert "--jobs 1" in str(report.error)
