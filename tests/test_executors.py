"""What a pool of processes begins, ends and leaves when a build is stopped."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from conftest import load_tiny

from leaflineage import executors
from leaflineage.executors import LocalExecutor, TaskReport, run_task
from leaflineage.store import Store


class Stopped(BaseException):
    """As the command line raises where a scheduler asks it to stop."""


def make_executor(run: Path, jobs: int) -> LocalExecutor:
    return LocalExecutor(run, load_tiny(), jobs=jobs)


def report(stage: str, slug: str, *_: object) -> TaskReport:
    return TaskReport(stage, slug, 0.0, 0.0, 0.0)


def test_sigterm_lets_the_task_of_a_build_of_one_process_end_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []

    def work(stage: str, slug: str, *_: object) -> TaskReport:
        signal.raise_signal(signal.SIGTERM)
        done.append(slug)
        return report(stage, slug)

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    monkeypatch.setattr(executors, "run_task", work)
    former = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(Stopped), make_executor(tmp_path, 1) as executor:
            list(executor.run("rank", ["fagaceae", "betulaceae"]))
        assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGTERM, former)
    assert done == ["fagaceae"]


def test_no_more_tasks_are_begun_than_there_are_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock, met = threading.Lock(), threading.Barrier(2)
    under_way, most = 0, 0

    def work(stage: str, slug: str, *_: object) -> TaskReport:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        met.wait(timeout=30)
        with lock:
            under_way -= 1
        return report(stage, slug)

    monkeypatch.setattr(executors, "run_task", work)
    monkeypatch.setattr(executors, "find_places", lambda wanted: [])
    monkeypatch.setattr(executors, "_start_pool", lambda jobs: ThreadPoolExecutor(8))  # more than are to be used
    slugs = [f"family-{number}" for number in range(10)]
    with make_executor(tmp_path, 2) as executor:
        assert sorted(each.slug for each in executor.run("rank", slugs)) == slugs
    assert most == 2


class HeldPool:
    """A pool whose tasks do not end, and which somebody stops waiting for."""

    def __init__(self) -> None:
        self.killed = 0
        self._processes = {1: self, 2: self}

    def kill(self) -> None:
        self.killed += 1

    def shutdown(self, **_: bool) -> None:
        if not self.killed:
            raise KeyboardInterrupt


@pytest.mark.parametrize("first", [Stopped, KeyboardInterrupt])
def test_ctrl_c_ends_workers_at_once_while_their_tasks_are_waited_for_too(
    tmp_path: Path, first: type[BaseException]
) -> None:
    pool: Any = HeldPool()
    executor = make_executor(tmp_path, 2)
    executor._pool = pool, 2
    with pytest.raises(KeyboardInterrupt), executor:
        raise first
    assert pool.killed == 2


def test_a_stage_that_computes_on_no_device_asks_for_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(executors, "name_accelerator", lambda wanted: pytest.fail("it was asked"))
    config = load_tiny("run.device=cuda")
    Store(tmp_path / "run")
    done = run_task("draw", "fagaceae", str(tmp_path / "run"), config.model_dump_json())
    assert done.error is None
