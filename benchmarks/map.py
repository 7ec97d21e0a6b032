"""Frames a second of the map of concepts in Chromium, with simulated places.

    python benchmarks/map.py [--concepts 1500] [--concepts 15000] [--chromium /usr/bin/chromium]

A made-up index is drawn by the site's own page, style and script in a window of 1600 by 1000 px. The map is zoomed in
and out by a wheel and dragged, one event a frame, and the times of frames are taken from requestAnimationFrame; beside
them stands what the script itself took of each frame. No GPU is used: the canvas is drawn by the processor.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from leaflineage.records import AtlasClassifier, AtlasConcept, AtlasFamily, AtlasRun, Importance, Index, Visualization
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.context import Site
from leaflineage.website.rendering import make_renderer
from leaflineage.website.search import make_script_words, make_search_index
from leaflineage.website.styles import make_sheet
from leaflineage.website.view_map import make_map_data, view_map
from leaflineage.website.words import Words

A_FAMILY = 10  # concepts
N_PICTURES = 24
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
MEASURE = """(async (n) => {
  const canvas = document.getElementById("map"), box = canvas.getBoundingClientRect();
  const x = box.left + box.width * 0.45, y = box.top + box.height * 0.5;
  const own = [], frames = [];
  const request = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) => request((now) => {
    const start = performance.now();
    callback(now);
    own.push(performance.now() - start);
  });
  const point = (kind, dx) => canvas.dispatchEvent(new PointerEvent(kind, {
    clientX: x + dx, clientY: y, pointerId: 1, pointerType: "mouse", button: 0, buttons: 1, bubbles: true,
  }));
  canvas.setPointerCapture = () => {};
  let last = await new Promise(request);
  for (let i = 0; i < n; i += 1) {
    const quarter = Math.floor((4 * i) / n);
    if (quarter % 2 === 0) {
      canvas.dispatchEvent(new WheelEvent("wheel", {
        clientX: x, clientY: y, deltaY: quarter === 0 ? -12 : 12, cancelable: true, bubbles: true,
      }));
    } else {
      const step = i % 60;
      if (step === 0) point("pointerdown", 0);
      point("pointermove", 90 * Math.sin((2 * Math.PI * step) / 60));
      if (step === 59) point("pointerup", 0);
    }
    const now = await new Promise(request);
    frames.push(now - last);
    last = now;
  }
  return { frames, own };
})"""


def make_index(n_concepts: int) -> Index:
    """Return an index of so many concepts, ten a family, in clumps."""
    dice = random.Random(2)
    clumps = [(dice.random(), dice.random() * 0.7, 0.015 + 0.05 * dice.random()) for _ in range(28)]

    def place() -> tuple[float, float]:
        x, y, spread = dice.choice(clumps)
        return (min(1.0, max(0.0, dice.gauss(x, spread))), min(1.0, max(0.0, dice.gauss(y, spread))))

    families = []
    for number in range(math.ceil(n_concepts / A_FAMILY)):
        slug = f"familia-{number:04d}"
        concepts = [
            AtlasConcept(
                id=f"{slug}/concept-{rank:02d}",
                uid=f"{slug}-{rank}",
                concept_index=rank - 1,
                rank=rank,
                importance=Importance(
                    total_sobol_index=0.3 * 0.8**rank,
                    interval=(0.0, 0.4),
                    exact=True,
                    share=0.3 * 0.8**rank,
                    contribution=0.1,
                ),
                prevalence=0.1,
                reliability=None,
                flags=["unstable"] if dice.random() < 0.1 else [],
                position=place(),
                visualizations=[
                    Visualization(image=f"{dice.randrange(N_PICTURES)}.webp", width=160, height=160, seed=0)
                ],
            )
            for rank in range(1, A_FAMILY + 1)
        ]
        families.append(
            AtlasFamily(
                slug=slug,
                name=f"Familia {number:04d}",
                output_index=number,
                n_specimens=100,
                n_groups=100,
                n_species=3,
                n_held_out=20,
                position=place(),
                concepts=concepts,
            )
        )
    classifier = AtlasClassifier(
        name="simulated",
        architecture="none",
        layer="none",
        affine_head=True,
        pools_first=True,
        input_size=(1, 1),
        map_size=(1, 1),
        n_outputs=len(families),
        n_families=len(families),
        unnamed_outputs=[],
        sha256="0" * 64,
        accuracy=None,
    )
    run = AtlasRun(config_fingerprint="0" * 64, seed=0, versions={}, fit_on="cells")
    return Index(title="Simulated", classifier=classifier, run=run, families=families, n_specimens=0, n_set_aside=0)


def bake_map(index: Index, folder: Path) -> None:
    """Write the page of the map, and what it loads."""
    from PIL import Image

    statics = {
        links.asset(p.relative_to(root).as_posix()) for root in [find_resource("static")] for p in root.rglob("*")
    }
    pages = [links.HOME, links.FAMILIES, links.MAP, links.METHOD, links.DATA, links.GLOSSARY]
    for family in index.families:
        pages += [links.family_page(family.slug), *(links.concept_page(each.id) for each in family.concepts)]
    scripts = [links.MAP_DATA, links.SCRIPT_WORDS, links.SEARCH_INDEX]
    words = Words.load(find_resource("locale") / "en")
    site = Site(index, words, frozenset([*pages, *scripts, *statics]), None, None)
    shutil.copytree(find_resource("static"), folder / "assets")
    (folder / links.style("map")).write_text(make_sheet("map"), encoding="utf-8")
    (folder / links.SCRIPT_WORDS).write_text(make_script_words(site), encoding="utf-8")
    (folder / links.SEARCH_INDEX).write_text(make_search_index(site), encoding="utf-8")
    (folder / links.MAP_DATA).write_text(make_map_data(site), encoding="utf-8")
    (folder / links.MAP).write_text(make_renderer(words)("map.html", view_map(site)), encoding="utf-8")
    (folder / "media").mkdir()
    dice = random.Random(4)
    for number in range(N_PICTURES):
        picture = Image.effect_noise((160, 160), 60 + dice.randrange(40)).convert("RGB")
        picture.save(folder / links.media(f"{number}.webp"))


def measure(browser: Any, folder: Path, n_frames: int) -> dict[str, list[float]]:
    """Return the times of frames and what the script took of each, in milliseconds."""
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.goto((folder / links.MAP).as_uri())
    page.wait_for_function("document.querySelector('[data-count]').textContent !== ''")
    page.wait_for_timeout(1500)
    start = "performance.timing.loadEventEnd - performance.timing.responseEnd"
    found: dict[str, list[float]] = page.evaluate(f"({MEASURE})({n_frames})")
    found["start"] = [page.evaluate(start)]
    page.close()
    return found


def main() -> None:
    """Measure each number of concepts and print a line of a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concepts", type=int, action="append")
    parser.add_argument("--frames", type=int, default=480)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=options.chromium, args=ARGUMENTS)
        for n_concepts in options.concepts or [1500, 15_000]:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                bake_map(make_index(n_concepts), folder)
                found = measure(browser, folder, options.frames)
            frames, own = sorted(found["frames"]), sorted(found["own"])
            print(
                f"{n_concepts} concepts: {1000 / statistics.mean(frames):.1f} frames a second; a frame: median "
                f"{statistics.median(frames):.1f} ms, 95 % under {frames[int(0.95 * len(frames))]:.1f} ms; of it the "
                f"script: median {statistics.median(own):.1f} ms, 95 % under {own[int(0.95 * len(own))]:.1f} ms; page "
                f"ready after {found['start'][0]:.0f} ms"
            )
        browser.close()


if __name__ == "__main__":
    main()
