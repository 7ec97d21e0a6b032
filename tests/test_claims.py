"""Claims on tasks: one holder at a time, the dead are relieved, the living are not."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from leaflineage import claims
from leaflineage.claims import claim, list_claims
from leaflineage.errors import ArtifactError


def find_claim(run: Path) -> Path:
    (path,) = (run / "claims").glob("*.json")
    return path


def test_a_claim_names_its_holder_while_it_is_held_and_is_gone_after(tmp_path: Path) -> None:
    with claim(tmp_path, "rank", "fagaceae") as waited:
        assert not waited
        (found,) = list_claims(tmp_path)
        assert (found["stage"], found["slug"], found["pid"]) == ("rank", "fagaceae", os.getpid())
        assert found["seconds"] < 30
    assert list_claims(tmp_path) == []
    assert list((tmp_path / "claims").iterdir()) == []


def test_a_claim_is_released_where_the_task_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), claim(tmp_path, "rank", ""):
        raise RuntimeError
    assert list_claims(tmp_path) == []


def test_claims_on_other_tasks_do_not_wait(tmp_path: Path) -> None:
    with claim(tmp_path, "rank", "a") as first, claim(tmp_path, "rank", "b") as second, claim(tmp_path, "draw", "a"):
        assert (first, second) == (False, False)


def test_who_comes_second_waits_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "WAIT", 0.01)
    order: list[str] = []
    held = threading.Event()

    def hold() -> None:
        with claim(tmp_path, "rank", "a"):
            held.set()
            while not any(path.name.startswith(".clock") for path in (tmp_path / "claims").iterdir()):
                pass  # until the other has looked
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with claim(tmp_path, "rank", "a") as waited:
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert waited


def test_a_claim_of_a_process_that_is_gone_from_this_machine_is_taken_over_at_once(tmp_path: Path) -> None:
    finished = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    with claim(tmp_path, "rank", "a"):
        about = json.loads(find_claim(tmp_path).read_text())
    path = tmp_path / "claims" / "rank--a.json"
    path.write_text(json.dumps({**about, "pid": int(finished.stdout), "token": "of the dead"}))
    with claim(tmp_path, "rank", "a") as waited:
        assert waited
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert list((tmp_path / "claims").iterdir()) == []


def test_a_claim_of_another_machine_is_taken_over_once_its_heart_stands_still(tmp_path: Path) -> None:
    path = tmp_path / "claims" / "rank--a.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "of the dead"}))
    old = time.time() - 3600
    os.utime(path, (old, old))
    with claim(tmp_path, "rank", "a") as waited:
        assert waited


def test_a_living_claim_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "claims" / "rank--a.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "of the living"}))
    assert not claims._is_dead(path, json.loads(path.read_text()), claims.DEAD)


def test_a_claim_that_was_taken_anew_meanwhile_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "rank--a.json"
    path.write_text(json.dumps({"token": "of a third"}))
    claims._take_away(path, "ours", {"token": "of the dead"})
    assert json.loads(path.read_text())["token"] == "of a third"
    claims._take_away(path, "ours", {"token": "of a third"})
    assert not path.exists()


def test_a_holder_whose_claim_was_taken_over_does_not_release_the_other_s(tmp_path: Path) -> None:
    path = tmp_path / "claims" / "rank--a.json"
    with claim(tmp_path, "rank", "a"):
        path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "of another"}))
    assert json.loads(path.read_text())["token"] == "of another"


def test_the_heart_beats(tmp_path: Path) -> None:
    with claim(tmp_path, "rank", "a", beat=0.01):
        path = find_claim(tmp_path)
        os.utime(path, (1, 1))
        while path.stat().st_mtime == 1:
            pass


def count_up(run: str, n: int) -> None:
    counter = Path(run) / "counter"
    for _ in range(n):
        with claim(Path(run), "rank", "a"):
            value = int(counter.read_text())
            time.sleep(0.001)
            counter.write_text(str(value + 1))


def test_of_many_processes_one_works_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "WAIT", 0.005)
    (tmp_path / "counter").write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=count_up, args=(str(tmp_path), 5)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert (tmp_path / "counter").read_text() == "15"


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("a file")
    with pytest.raises(ArtifactError, match="name another folder with --run"), claim(tmp_path, "rank", "a"):
        pass
