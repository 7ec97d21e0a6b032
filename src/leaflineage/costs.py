"""What a build costs, stage by stage: how much work there is, and CPU seconds a piece of it. Shared by plan and scale.

A stage's cost is a sum of pieces of work, each with its own price: work that grows with families, with specimens, with
concepts or with crops, and the classifier's own passes, which are timed on the machine and so counted in seconds.

    seconds(stage) = Σ price(stage, kind) · amount(stage, kind)

Prices are fitted by `benchmarks/scale.py` to builds that were measured; benchmarks/README.md has them with date and
machine. One process of one thread each: with n processes the wall time is about an n-th, as long as families are many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leaflineage.concepts.attribution import N_COPIES
from leaflineage.concepts.importance import FIRST_DESIGNS
from leaflineage.concepts.sobol import N_SCRAMBLINGS
from leaflineage.config import Config
from leaflineage.records import ModelRecord
from leaflineage.stages.explain import N_CANDIDATES
from leaflineage.stages.factorize import LEAST_REFITS
from leaflineage.stages.fidelity import N_RANDOM_WEIGHTS
from leaflineage.stages.illustrate import KINDS, MOST_MISTAKES, N_GRADED
from leaflineage.stages.inspect import N_SCORED
from leaflineage.stages.judging import N_LEAVES
from leaflineage.stages.memory import count_crops, count_fitted
from leaflineage.stages.reading import BATCH_SIZE
from leaflineage.stages.selection import N_PROBED
from leaflineage.stages.visualize import FAMILY_STEPS

Work = dict[str, dict[str, float]]  # stage → kind → amount
ACCENTED = 0.3  # a concept, of the pictures that are drawn because the first fails: once more, or of a crop
BACKWARD = 3.2  # a pass forward and backward over one forward
NETWORK = "network seconds"
PRODUCTS = "billion products"
# CPU seconds a piece of work, of one core: as fitted to builds of drawn leaves, but for what those do not tell. Larger
# pictures take longer to read (illustrate), leaves are found faster since (name), and what they have none of.
PRICES: Work = {
    "draw": {NETWORK: 1.0},
    "scan": {"specimens": 0.0002},
    "inspect": {"builds": 0.8, NETWORK: 1.0},
    "probe": {"specimens": 0.005, NETWORK: 1.0},
    "extract": {"specimens": 0.007, NETWORK: 1.0},
    "factorize": {"families": 0.2, "specimens": 0.013, PRODUCTS: 7.3},
    "rank": {"families": 0.015, NETWORK: 1.0},
    "fidelity": {"families": 0.16, "specimens": 0.0017, NETWORK: 1.0},
    "illustrate": {"specimens": 0.015, "crops": 0.0043, NETWORK: 1.0},
    "contrast": {NETWORK: 1.0},
    "name": {"families": 0.1, "specimens": 0.24},
    "recurse": {"subconcepts": 0.7, NETWORK: 1.0},
    "visualize": {"families": 0.25, "concepts": 0.2, NETWORK: 1.0},
    "explain": {"queries": 0.05, NETWORK: 1.0},
    "collect": {"families": 0.08, "specimens": 0.0018},
    "bake": {"builds": 0.45, "concepts": 0.058, "specimens": 0.013},
}


@dataclass(frozen=True)
class Speeds:
    """CPU seconds of one core that the classifier takes, on the machine that is asked.

    Attributes
    ----------
    forward
        One picture through the features.
    step
        One step of one feature visualisation, all its crops.
    head
        Sampling one specimen's importances; 0 where they are exact.
    drawing
        Drawing all specimens, where the config draws them.
    """

    forward: float
    step: float
    head: float = 0.0
    drawing: float = 0.0


def count_work(
    config: Config, model: ModelRecord, speeds: Speeds, n_specimens: Mapping[str, int], n_queries: int
) -> Work:
    """Return how much work a build from nothing is, by stage and kind.

    Parameters
    ----------
    n_specimens
        Of each family that is built, by any name.
    """
    settings, concepts = config.visualize, config.concepts
    families, n = len(n_specimens), sum(n_specimens.values())
    each_shown = min(concepts.most_concepts, config.atlas.n_shown)
    shown = families * each_shown
    tried = concepts.n_concepts_tried if concepts.n_concepts == "auto" else [concepts.n_concepts]
    n_refits = max(concepts.refits, LEAST_REFITS) if concepts.n_concepts == "auto" else concepts.refits
    fitted = sum(count_fitted(config, model, each) for each in n_specimens.values())
    products = fitted * model.map_shape[2] * sum(tried) * (1 + n_refits)
    n_graded = N_GRADED * (len(KINDS) - 1)  # a concept shows one crop of a kind a leaf, so few leaves give fewer
    crops = each_shown * sum(min(each, concepts.n_crops) + min(each, n_graded) for each in n_specimens.values())
    inputs = n * (1 + count_crops(config))
    maps = shown * min(concepts.n_attributions, concepts.n_crops) * N_COPIES
    judged = each_shown * sum(min(each, N_LEAVES) for each in n_specimens.values())
    subconcepts = shown * concepts.n_subconcepts if concepts.recurse > 1 else 0
    drawing = settings.steps * speeds.step
    pictures = shown * (settings.n_visualizations + ACCENTED) + FAMILY_STEPS * families
    return {
        "draw": {NETWORK: speeds.drawing},
        "scan": {"specimens": n},
        "inspect": {"builds": 1, NETWORK: min(n, N_SCORED) * speeds.forward},
        "probe": {NETWORK: min(n, N_PROBED) * speeds.forward, "specimens": min(n, N_PROBED)},
        "extract": {NETWORK: inputs * speeds.forward, "specimens": inputs},
        "factorize": {"families": families, PRODUCTS: products / 1e9, "specimens": n},
        "rank": {"families": families, NETWORK: n * speeds.head},
        "fidelity": {"families": families, "specimens": n, NETWORK: families * N_RANDOM_WEIGHTS * speeds.forward},
        "illustrate": {"specimens": n, "crops": crops, NETWORK: maps * BACKWARD * speeds.forward},
        "contrast": {
            "families": families,
            NETWORK: families * (BATCH_SIZE * speeds.forward + MOST_MISTAKES / 2 * speeds.head),
        },
        "name": {"families": families, "specimens": n},
        "recurse": {"subconcepts": subconcepts, NETWORK: subconcepts * drawing},
        "visualize": {
            "families": families,
            "specimens": n,
            "concepts": shown,
            NETWORK: pictures * drawing + judged * speeds.forward,
        },
        "explain": {"queries": n_queries, NETWORK: n_queries * (speeds.forward + N_CANDIDATES * speeds.head)},
        "collect": {"families": families, "specimens": n, "crops": crops},
        "bake": {"builds": 1, "concepts": shown, "specimens": n},
    }


def estimate_seconds(work: Work, prices: Work) -> dict[str, float]:
    """Return CPU seconds a stage; kinds of work without a price cost nothing."""
    return {
        stage: sum(prices.get(stage, {}).get(kind, 0.0) * amount for kind, amount in amounts.items())
        for stage, amounts in work.items()
    }


def count_head_evaluations(config: Config) -> int:
    """Return how often a head that is not affine is asked for a specimen: the first round, most often enough."""
    return (N_SCRAMBLINGS * FIRST_DESIGNS + 1) * (config.concepts.most_concepts + 3)
