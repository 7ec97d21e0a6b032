"""How large a run and its site would be, in files and in megabytes, from the config and the specimens alone.

Held against the drawn herbarium and three families of real leaves: within a tenth, both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from leaflineage.config import Config
from leaflineage.records import Specimen
from leaflineage.stages.explain import N_CANDIDATES
from leaflineage.stages.illustrate import KINDS, N_GRADED
from leaflineage.stages.pictures import SPECIMEN_SIDE, SPECIMEN_WIDTHS
from leaflineage.stages.publishing import FAMILY_RECORDS
from leaflineage.website.comparing import MOST_PAIRS
from leaflineage.website.contents import list_statics
from leaflineage.website.styles import SHEETS

# Kilobytes, measured on the drawn and on the shared leaves: pages of a specimen, a concept, a family; a file of a
# specimen's picture, of a crop or a heat map, of an attribution map, of a computed picture of 384 px; a family's data.
KB_SPECIMEN_PAGE, KB_CONCEPT_PAGE, KB_FAMILY_PAGE, KB_SPECIMEN, KB_CROP, KB_MAP, KB_PICTURE = 17, 46, 50, 4, 1.5, 2, 16
KB_DATA, KB_LINE, KB_LISTED, KB_WHOLE = 250, 0.3, 0.2, 700  # and of a line of the table, a file listed, all else
SMALLER_WIDTHS = (96, 192)  # px, of a computed picture's smaller copies, beside one half as wide
OWN_CUTS = 0.6  # of the crops that are not the strongest: the others lie on a leaf of which one is cut already
AGAIN = 0.3  # a concept, of the pictures that are drawn because the first fails: once more, or of a crop
N_ARRAYS = 5  # files of a family beside its records: arrays, tables and what the site reads
N_WHOLE = 17  # files of a run that concern all families
N_PAGES = 14  # files of a site that concern all families, styles and scripts aside
N_SUBCROPS = 6  # squares that are shown of a concept inside a concept


@dataclass(frozen=True)
class Size:
    """What a run and its site would take.

    Attributes
    ----------
    n_run, n_site
        Files of the run without its site, and of the site.
    site_mb
        Megabytes of the site.
    """

    n_run: int
    n_site: int
    site_mb: float


def estimate_size(
    config: Config, n_specimens: Mapping[str, int], *, n_named: int, specimens: list[Specimen], n_queries: int
) -> Size:
    """Return what a run and its site would take.

    Parameters
    ----------
    n_specimens
        Of each family that is built.
    n_named
        Named outputs, those without concepts included.
    specimens
        Some or all, whose sizes stand for all.
    """
    n_shown = min(config.concepts.most_concepts, config.atlas.n_shown)
    widths = _count_widths(config, specimens)
    smaller = {*SMALLER_WIDTHS, config.visualize.size // 2}
    n_copies = 1 + sum(0 < each < config.visualize.size for each in smaller)  # of one computed picture
    run, site = float(N_WHOLE), float(N_PAGES + len(list_statics()) + len(SHEETS))
    size, kb = (config.visualize.size / 384) ** 2, float(KB_WHOLE + KB_LINE * len(specimens))
    for n in n_specimens.values():
        crops, pictured = _count_crops(config, n, n_shown)
        pictures = n_shown * config.visualize.n_visualizations + 1
        drawn = pictures + (n_shown * AGAIN)
        maps = n_shown * min(config.concepts.n_attributions, config.concepts.n_crops)
        divided = n_shown * config.concepts.n_subconcepts if config.concepts.recurse > 1 else 0
        squares = divided * 2 * N_SUBCROPS
        shared = 2 * crops + maps + n_shown + 1 + pictured * widths + squares  # crops with heat maps, leaves, the sheet
        run += len(FAMILY_RECORDS) + N_ARRAYS + config.run.keep_activations
        run += shared + (drawn + divided) * (n_copies + 1)
        published = (pictures + n_shown * AGAIN / 2 + divided) * n_copies
        site += shared + published + 1 + n_shown + pictured + 3
        kb += pictured * (KB_SPECIMEN_PAGE + widths * KB_SPECIMEN) + n_shown * KB_CONCEPT_PAGE + KB_FAMILY_PAGE
        kb += (2 * crops + squares) * KB_CROP + maps * KB_MAP + published * KB_PICTURE * size + KB_DATA
    run += n_named - len(n_specimens)
    site += n_named - len(n_specimens) + min(MOST_PAIRS, 0.75 * len(n_specimens))
    queries = n_queries * (widths + N_CANDIDATES * n_shown)
    run, site = run + queries, site + queries + n_queries
    if config.specimens.draw is not None:
        run += 1 + sum(2 * config.specimens.draw.n + 1 for _ in n_specimens)
    return Size(round(run), round(site), (kb + site * KB_LISTED) * 1024 / 1e6)


def _count_crops(config: Config, n_specimens: int, n_shown: int) -> tuple[float, float]:
    """Return how many squares are cut of a family's specimens, and of how many specimens."""
    most = config.concepts.n_crops + OWN_CUTS * N_GRADED * (len(KINDS) - 1)
    crops = n_shown * min(most, 0.75 * n_specimens)
    return crops, n_specimens * (1 - math.exp(-crops / max(1, n_specimens)))


def _count_widths(config: Config, specimens: list[Specimen]) -> float:
    """Return how many files a specimen's picture takes: itself, and smaller copies of a larger one."""
    if config.specimens.draw is not None:
        sizes = [(config.specimens.draw.size, config.specimens.draw.size)]
    else:
        sizes = [(each.width, each.height) for each in specimens if each.width and each.height]
    if not sizes:
        return 1 + len(SPECIMEN_WIDTHS)
    shown = [width * min(1.0, SPECIMEN_SIDE / max(width, height)) for width, height in sizes]
    return 1 + sum(each < width for width in shown for each in SPECIMEN_WIDTHS) / len(shown)
