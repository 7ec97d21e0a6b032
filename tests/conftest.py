"""One tiny atlas of drawn leaves that many tests read, and what they need to build another."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaflineage.config import Config, load_config
from leaflineage.pipeline import BuildReport, build

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
VOLATILE = {"run.json", "report.json", "site.json", "bake.jsonl", "check.jsonl"}

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")


class SilentReporter:
    """Hears everything, says nothing."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, stage: str, total: int, fresh: int) -> None:
        """Hear."""

    def advance(self, stage: str, item: str = "") -> None:
        """Hear."""

    def finish(self, stage: str, seconds: float) -> None:
        """Hear."""

    def say(self, text: str) -> None:
        """Hear, and remember."""
        self.said.append(text)


Build = Callable[..., BuildReport]


def build_tiny(run: Path, *overrides: str, jobs: int = 1, out: Path | None = None) -> BuildReport:
    """Build configs/tiny.toml into a folder."""
    return build(load_tiny(*overrides), run, out=out, reporter=SilentReporter(), jobs=jobs)


def load_tiny(*overrides: str) -> Config:
    """Return configs/tiny.toml with values laid over it."""
    return load_config(ROOT / "configs" / "tiny.toml", overrides=list(overrides))


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a run that is compared."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in VOLATILE
    }


def find_differences(one: Path, other: Path) -> list[str]:
    """Return the files of two runs that differ or that only one has."""
    first, second = read_tree(one), read_tree(other)
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny atlas, built once for all processes of a session; whoever changes it copies it first."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            assert build_tiny(folder / "run").problems == []
            (folder / "whole").touch()
    return folder / "run"


@pytest.fixture
def tiny_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the tiny atlas that a test may change."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real leaves and a real classifier of them."""
    if not (SHARED / "leaves.csv").is_file():
        pytest.skip("../shared is absent: the real leaves and their classifier are not part of the repository")
    return SHARED


@pytest.fixture
def reporter() -> Any:
    """A reporter that says nothing."""
    return SilentReporter()
