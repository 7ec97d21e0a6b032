"""Lighthouse gives home, family, concept and map 100 for accessibility, best practices and SEO, served under a path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from website.conftest import CHROMIUM
from website.page_types import find_page
from website.synthetic_run import draw_leaf, make_run

from leaflineage.website.bake import bake
from leaflineage.website.serve import make_server

ROOT = Path(__file__).parents[2]
LIGHTHOUSE = ROOT / "node_modules" / ".bin" / "lighthouse"
CATEGORIES = ("accessibility", "best-practices", "seo")
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def draw_large(family: str, number: int) -> Image.Image:
    """Draw a leaf as large as pages show it."""
    picture = draw_leaf(family, number)
    return picture.resize((picture.width * 8, picture.height * 8))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a site whose pictures are as large as they are shown, at the root of a host."""
    if not LIGHTHOUSE.is_file() or shutil.which("node") is None:
        pytest.skip("node_modules/.bin/lighthouse or node is not there: make test installs it (npm ci)")
    if not CHROMIUM.is_file():
        pytest.skip("no Chromium at /usr/bin/chromium")
    folder = tmp_path_factory.mktemp("lighthouse")
    run = make_run(folder, n_concepts=4, n_crops=4, side=200, named=True, draw=draw_large)
    site = bake(run).site
    server = make_server(site, port=0, base_path="/")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("kind", ["home", "family", "concept", "map"])
def test_lighthouse_finds_nothing_to_mend(address: str, site: Path, tmp_path: Path, kind: str) -> None:
    page = find_page(site, kind).removesuffix("index.html")
    out = tmp_path / "report.json"
    command = [
        str(LIGHTHOUSE), address + page, "--quiet", "--output=json", f"--output-path={out}",
        f"--only-categories={','.join(CATEGORIES)}", f"--chrome-flags={FLAGS}",
    ]  # fmt: skip
    environment = {**os.environ, "CHROME_PATH": str(CHROMIUM)}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=240)
    assert out.is_file(), finished.stderr
    report = json.loads(out.read_text())
    failed = [
        f"{name}: {audit['title']} {json.dumps(audit.get('details', {}).get('items', [])[:3])[:600]}"
        for name, audit in report["audits"].items()
        if audit.get("score") is not None and audit["score"] < 1 and audit["scoreDisplayMode"] == "binary"
    ]
    assert {name: report["categories"][name]["score"] for name in CATEGORIES} == dict.fromkeys(CATEGORIES, 1), failed
