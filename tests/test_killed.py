"""A build that ends at any write, or is killed at any moment, goes on to the bytes of one that was left in peace.

Children are forked from this process, which has imported everything, so that starting again is cheap. A child ends by
``os._exit`` in the middle of a write, first before and then after its file is moved into place; the next goes on from
what it left. So the build is ended at each of its writes once, in one run folder.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SilentReporter, find_differences, load_tiny

from leaflineage.errors import LeafLineageError
from leaflineage.pipeline import build

# Two families, as little of each as shows every stage: a restart does again the task that was under way.
SMALL = (
    'atlas.families=["Betulaceae", "Ginkgoaceae"]',
    'specimens.draw.families=["Betulaceae", "Ginkgoaceae"]',
    "specimens.draw.n=5",
    "specimens.draw.size=64",
    "concepts.n_concepts=1",
    "atlas.n_shown=1",
    "concepts.n_crops=1",
    "concepts.n_attributions=1",
    "visualize.size=32",
    "visualize.steps=2",
)
DIED = 77

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked from a warm parent"),
]


def build_small(run: Path) -> None:
    build(load_tiny(*SMALL), run, out=None, reporter=SilentReporter(), jobs=1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    build_small(run)
    return run


def in_child(act: Callable[[], None]) -> int:
    """Run something in a forked child; return its exit status, 0 where it came to its end."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_at_new_file(run: Path, *, before: bool, former: Path) -> None:
    """Build until a file of the run that was not there yet is moved into place, and end there.

    What a build ended at is noted in ``former`` and does not count again: the state of a bake is new after each.
    """
    proper = os.replace
    known = set(former.read_text().splitlines()) if former.is_file() else set()

    def replace(source: os.PathLike[str] | str, target: os.PathLike[str] | str) -> None:
        place = Path(target)
        is_new = not place.exists() and place.is_relative_to(run) and str(place) not in known
        if is_new and before:
            os._exit(DIED)
        proper(source, target)
        if is_new:
            with former.open("a") as notes:
                notes.write(f"{place}\n")
            os._exit(DIED)

    os.replace = replace
    build_small(run)


def test_a_build_that_ends_at_each_of_its_writes_gives_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    run, former, deaths, status = tmp_path / "run", tmp_path / "former", 0, DIED
    while status == DIED:
        # Every third death comes before its file is in place: the next one finds only the part.
        if deaths % 3 == 0:
            assert in_child(lambda: die_at_new_file(run, before=True, former=former)) in (DIED, 0)
        status = in_child(lambda: die_at_new_file(run, before=False, former=former))
        deaths += 1
    assert status == 0
    assert deaths > 100
    for part in run.rglob("*.part"):
        part.unlink()
    assert find_differences(undisturbed, run) == []


def test_a_build_killed_five_times_at_random_moments_gives_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    run, dice = tmp_path / "run", random.Random(7)
    began = time.monotonic()
    in_child(lambda: build_small(tmp_path / "clock"))
    whole = time.monotonic() - began
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            build_small(run)
            os._exit(0)
        timer = threading.Timer(whole * dice.uniform(0.05, 0.6), lambda pid=pid: os.kill(pid, signal.SIGKILL))
        timer.start()
        os.waitpid(pid, 0)
        timer.cancel()
    assert in_child(lambda: build_small(run)) == 0
    for part in run.rglob("*.part"):
        part.unlink()
    assert find_differences(undisturbed, run) == []


def test_a_full_disk_is_one_sentence_and_the_build_goes_on_from_there(undisturbed: Path, tmp_path: Path) -> None:
    """A limit on the size of any file stands for a disk that fills up: a write fails half way."""
    run = tmp_path / "run"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); "
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    words = ["build", "configs/tiny.toml", "--run", str(run), "--jobs", "1", *(w for o in SMALL for w in ("--set", o))]
    command = [sys.executable, "-c", f"{limit}{ignore}from leaflineage.cli import main; main({words!r})"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert "could not be written" in finished.stderr
    assert "what is finished is kept" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert list(run.rglob("*.part")) == []
    build_small(run)
    assert find_differences(undisturbed, run) == []


def test_a_picture_that_vanishes_between_scan_and_read_is_one_sentence(undisturbed: Path, tmp_path: Path) -> None:
    from leaflineage import pipeline

    run = tmp_path / "run"
    proper = pipeline._scan
    vanished: list[Path] = []

    def scan_then_lose(*arguments: object) -> object:
        hashes = proper(*arguments)  # type: ignore[arg-type]
        if not vanished:
            vanished.append(next((run / "specimens" / "Ginkgoaceae").glob("*[0-9].png")))
            vanished[0].unlink()
        return hashes

    pipeline._scan = scan_then_lose  # type: ignore[assignment]
    try:
        with contextlib.suppress(LeafLineageError):  # a sentence, whichever stage finds it gone
            build_small(run)
    finally:
        pipeline._scan = proper
    build_small(run)
    assert find_differences(undisturbed, run) == []
