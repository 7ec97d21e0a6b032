"""How the site's search does: size of its data, milliseconds a keystroke, longest task while its index is built.

    python benchmarks/search.py

Three atlases are made up (142 families × 10 named concepts with 10 genera and 25 species each; the same, unnamed; and
one of 20,000 entries), the page of families is made for each, and Chromium types into its search box: opened from a
folder, as it is and with the processor slowed down four times. A keystroke is the time from the event to the list laid
out. The longest task is the longest time in which a ping to the page went unanswered, from the focus on the box until
the index is whole.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import math
import random
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from leaflineage.records import (
    AtlasClassifier,
    AtlasConcept,
    AtlasFamily,
    AtlasRun,
    ConceptName,
    Importance,
    Index,
    Visualization,
)
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.contents import list_pages
from leaflineage.website.context import Site
from leaflineage.website.rendering import make_renderer
from leaflineage.website.search import make_script_words, make_search_index
from leaflineage.website.styles import list_sheets, make_sheet
from leaflineage.website.view_families import view_families
from leaflineage.website.words import Words

CHROMIUM = "/usr/bin/chromium"
ROUNDS = 5
SYLLABLES = [
    "be",
    "tu",
    "la",
    "fa",
    "gus",
    "quer",
    "cus",
    "car",
    "pi",
    "nus",
    "os",
    "try",
    "vi",
    "ti",
    "sa",
    "lix",
    "po",
]
SYLLABLES += ["pu", "ro", "ma", "gno", "li", "al", "co", "ry", "lus", "dro", "phy", "ran", "the"]
WHERE = [
    "margin",
    "midvein",
    "secondary veins",
    "base",
    "apex",
    "petiole",
    "blade",
    "petiole and base",
    "sinus",
    "lobe",
]
WHAT = [
    "serrate",
    "entire",
    "straight",
    "arching",
    "cordate",
    "acute",
    "rounded",
    "doubly serrate",
    "crenate",
    "palmate",
]
TYPED = [
    "betulaceae",
    "toothed margin",
    "quercus robur",
    "serrate",
    "fagales",
    "betulacae",
    "concept 3",
    "margin: serrate",
]
PING = """() => { window.gap = 0; let last = performance.now(); const channel = new MessageChannel();
  channel.port1.onmessage = () => { const now = performance.now();
  window.gap = Math.max(window.gap, now - last); last = now;
  channel.port2.postMessage(0); }; channel.port2.postMessage(0); }"""
BEGIN = "() => { window.gap = 0; window.begun = performance.now(); document.getElementById('search').focus(); }"
TYPE = """(text) => { const field = document.getElementById("search"); const times = [];
  for (let n = 1; n <= text.length; n += 1) { field.value = text.slice(0, n); const start = performance.now();
  field.dispatchEvent(new Event("input", { bubbles: true })); document.getElementById("search-results").offsetHeight;
  times.push(performance.now() - start); } return times; }"""


def make_name(dice: random.Random, n: int) -> str:
    """Return a word of n syllables."""
    return "".join(dice.choice(SYLLABLES) for _ in range(n)).capitalize()


def make_index(n_families: int, n_genera: int, n_species: int, *, named: bool) -> Index:
    """Return the index of an atlas that never was."""
    dice = random.Random(5)
    names = sorted({make_name(dice, 3) + "aceae" for _ in range(2 * n_families)})[: n_families - 2]
    families = []
    for place, name in enumerate(sorted([*names, "Betulaceae", "Fagaceae"])):
        slug = name.lower()
        genera = [make_name(dice, 3) for _ in range(n_genera)]
        species = [f"{dice.choice(genera)} {make_name(dice, 3).lower()}" for _ in range(n_species)]
        concepts = []
        for number in range(10):
            words = dice.choice(WHERE), dice.choice(WHAT)
            suffix = "-accentuation" if dice.random() < 0.2 else ""
            image = f"families/{slug}/visualizations/concept-{number + 1:02d}{suffix}.webp"
            index = Importance(
                total_sobol_index=0.1, interval=(0.05, 0.15), exact=True, share=dice.random() / 4, contribution=0.1
            )
            concepts.append(
                AtlasConcept(
                    id=f"{slug}/concept-{number + 1:02d}",
                    uid=f"{slug}-{number}",
                    concept_index=number,
                    rank=number + 1,
                    name=ConceptName(text=": ".join(words), terms=[words[1]], source="suggested") if named else None,
                    importance=index,
                    prevalence=0.1,
                    reliability=None,
                    visualizations=[Visualization(image=image, width=384, height=384, seed=1, smaller=[160])],
                )
            )
        families.append(
            AtlasFamily(
                slug=slug,
                name=name,
                order=make_name(random.Random(place % 40), 3) + "ales" if name != "Betulaceae" else "Fagales",
                common_name=f"{make_name(dice, 2).lower()} family",
                output_index=place,
                n_specimens=120,
                n_groups=100,
                n_species=n_species,
                n_held_out=20,
                species=sorted(set(species)),
                concepts=concepts,
            )
        )
    classifier = AtlasClassifier(
        name="made-up",
        architecture="none",
        layer="last",
        affine_head=True,
        pools_first=True,
        input_size=(384, 384),
        map_size=(12, 12),
        n_outputs=n_families,
        n_families=n_families,
        unnamed_outputs=[],
        sha256="0" * 64,
        accuracy=None,
    )
    run = AtlasRun(config_fingerprint="0" * 64, seed=0, versions={}, fit_on="cells")
    return Index(title="Made up", classifier=classifier, run=run, families=families, n_specimens=0, n_set_aside=0)


def write_site(index: Index, out: Path) -> tuple[int, int]:
    """Write the page of families with its scripts; return the number of entries and the gzipped size of their data."""
    words = Words.load(find_resource("locale") / "en")
    static = find_resource("static")
    shutil.copytree(static, out / "assets")
    statics = [links.asset(path.relative_to(static).as_posix()) for path in static.rglob("*") if path.is_file()]
    for kind, address in list_sheets().items():
        (out / address).write_text(make_sheet(kind), encoding="utf-8")
    plan = frozenset([*list_pages(index), *statics, *list_sheets().values(), links.SCRIPT_WORDS, links.SEARCH_INDEX])
    site = Site(index, words, plan, None, None)
    script = make_search_index(site)
    (out / links.SEARCH_INDEX).write_text(script, encoding="utf-8")
    (out / links.SCRIPT_WORDS).write_text(make_script_words(site), encoding="utf-8")
    (out / links.FAMILIES).parent.mkdir()
    page = make_renderer(words)("families.html", view_families(site))
    (out / links.FAMILIES).write_text(page, encoding="utf-8")
    genera = sum(len({each.split(" ")[0] for each in family.species}) for family in index.families)
    species = sum(len(family.species) for family in index.families)
    orders = len({family.order for family in index.families})
    return len(index.families) * 11 + genera + species + orders, len(gzip.compress(script.encode("utf-8"), 9, mtime=0))


def measure(browser: Any, address: str, slowed: int) -> tuple[dict[str, float], float, float]:
    """Return {typed so far: milliseconds of its last key}, the longest task of building, and how long it all took.

    Each is the best of ``ROUNDS``: what else the machine does is in the others.
    """
    keys: dict[str, float] = {}
    longest, took = math.inf, math.inf
    for _ in range(ROUNDS):
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        if slowed > 1:
            context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slowed})
        page.evaluate(PING)
        page.wait_for_timeout(300)
        page.evaluate(BEGIN)
        page.locator("html[data-search=ready]").wait_for(state="attached")
        gap, duration = page.evaluate("[window.gap, performance.now() - window.begun]")
        longest, took = min(longest, gap), min(took, duration)
        for text, _ in itertools.product(TYPED, range(2)):
            for n, time in enumerate(page.evaluate(TYPE, text), 1):
                keys[text[:n]] = min(time, keys.get(text[:n], math.inf))
        context.close()
    return keys, longest, took


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    cases = {
        "142 families × 10 named concepts": make_index(142, 10, 25, named=True),
        "142 families × 10 unnamed concepts": make_index(142, 10, 25, named=False),
        "20,000 entries": make_index(400, 12, 28, named=True),
    }
    library = len(gzip.compress((find_resource("static") / "vendor/minisearch.js").read_bytes(), 9, mtime=0))
    print(f"MiniSearch: {library / 1000:.1f} kB gzip")
    with sync_playwright() as started, tempfile.TemporaryDirectory() as folder:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        for number, (name, index) in enumerate(cases.items()):
            out = Path(folder) / str(number)
            n_entries, n_bytes = write_site(index, out)
            for slowed in (1, 4):
                keys, longest, took = measure(browser, (out / links.FAMILIES).as_uri(), slowed)
                slowest = max(keys, key=lambda text: keys[text])
                print(
                    f"{name}: {n_entries:,} entries, {n_bytes / 1000:.1f} kB gzip; slowed {slowed}×: a keystroke "
                    f"{statistics.median(keys.values()):.1f} ms, the slowest {keys[slowest]:.1f} ({slowest!r}); "
                    f"index in {took:.0f} ms, longest task {longest:.0f} ms"
                )
        browser.close()


if __name__ == "__main__":
    main()
