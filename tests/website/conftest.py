"""A baked site of a made-up run, and Chromium to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_run import make_run

from leaflineage.resources import find_resource
from leaflineage.website.bake import BakeReport, bake

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (find_resource("static") / "vendor" / "minisearch.js").is_file():
        pytest.skip("static/vendor/minisearch.js is not there: install the package (its build hook needs npm)")
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def report(run_folder: Path) -> BakeReport:
    return bake(run_folder)


@pytest.fixture(scope="session")
def site(report: BakeReport) -> Path:
    return report.site


@pytest.fixture
def site_copy(site: Path, tmp_path: Path) -> Path:
    """A site that a test may damage."""
    return Path(shutil.copytree(site, tmp_path / "site"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        own = Path(started.chromium.executable_path)
        path = CHROMIUM if CHROMIUM.is_file() else own
        if not path.is_file():
            pytest.skip("no Chromium: neither /usr/bin/chromium nor Playwright's own")
        opened = started.chromium.launch(executable_path=str(path), args=ARGUMENTS)
        yield opened
        opened.close()
