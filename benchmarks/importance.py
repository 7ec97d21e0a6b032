"""Importance beside its peers: error, agreement on the top concepts, CPU seconds; one run, one thread, the same leaves.

A family of drawn numbers on a ResNet-50-like head: 7 × 7 × 2048 maps that are coefficients times a non-negative bank,
plus a residual, and 142 outputs. Everybody gets the same bank and the same coefficients; only importance is timed.

* ours, exact: the closed form; no evaluation of the head.
* ours, sampled: scrambled Sobol points with a control variate, on pooled coefficients, as for heads of no closed form.
* Craft-xai 0.0.3: its own `Craft.estimate_importance` on whole maps: 32 designs of an unscrambled Halton sequence. It
  has no residual, so it is held against the exact index without one.
* SALib: its scrambled Sobol' points and its analysis, 32 designs, on the pooled head; a loop over leaves.

The linear head's truth is the closed form. ``--head bent`` has a hidden layer after pooling (as MobileNetV3's has); its
truth is our estimate from 16 times as many designs, other ones.

    pip install -e '.[benchmarks]'
    OMP_NUM_THREADS=1 python benchmarks/importance.py [--concepts 25] [--images 100] [--rounds 5] [--head bent]
"""

from __future__ import annotations

import statistics
import sys
import time
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from leaflineage.concepts.importance import compute_exact_importances, compute_sampled_importances
from leaflineage.concepts.sobol import estimate_total_indices
from leaflineage.stages.rank import BATCH_SIZE, MaskedHead

Floats = NDArray[np.floating]
OUTPUT = 3
N_DESIGNS = 32  # of Craft-xai and SALib; ours are 4 scramblings of 8
N_TRUTH = 512


@dataclass(frozen=True)
class Family:
    """Specimens of a family, a bank, and a head.

    Attributes
    ----------
    maps
        (n_images, rows, columns, n_concepts) coefficients.
    pooled
        (n_images, n_channels).
    head
        (maps (n, rows, columns, n_channels), prefix) → (n, n_outputs) logits; begins by pooling.
    """

    bank: Floats
    maps: Floats
    pooled: Floats
    weight: Floats
    head: Callable[..., torch.Tensor]

    def take(self, chosen: slice) -> Family:
        return Family(self.bank, self.maps[chosen], self.pooled[chosen], self.weight, self.head)

    @property
    def coefficients(self) -> Floats:
        return self.maps.mean(axis=(1, 2))

    def list_players(self, *, residual: bool) -> Floats:
        """Return (n_images, n_players, n_channels), pooled."""
        each = self.coefficients[:, :, None] * self.bank
        return np.concatenate([each, (self.pooled - each.sum(axis=1))[:, None]], axis=1) if residual else each


def make_family(n_images: int, n_concepts: int, head: str, *, side: int = 7, n_channels: int = 2048) -> Family:
    """Draw a family whose concepts are sparse, uneven in strength, and local; the classifier's rows are centred."""
    generator = np.random.default_rng(n_concepts)
    bank = generator.gamma(0.3, size=(n_concepts, n_channels))
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    strength = generator.gamma(1.0, size=n_concepts)
    shape = (n_images, side, side, n_concepts)
    maps = generator.gamma(0.5, size=shape) * (generator.random(shape) < 0.4)
    maps *= strength * generator.gamma(2.0, size=(n_images, 1, 1, n_concepts))  # leaves differ
    pooled = maps.mean(axis=(1, 2)) @ bank + generator.gamma(0.3, size=(n_images, n_channels)) * 0.01
    weight = generator.normal(size=(142, n_channels))
    weight -= weight.mean(axis=0)
    last = torch.from_numpy(weight.astype(np.float32))
    hidden = torch.from_numpy(generator.normal(size=(256, n_channels)).astype(np.float32) * 0.5)
    shift = torch.from_numpy(generator.normal(size=256).astype(np.float32))
    out = torch.from_numpy(generator.normal(size=(142, 256)).astype(np.float32))
    out -= out.mean(dim=0)

    def linear(each: torch.Tensor, prefix: torch.Tensor | None = None) -> torch.Tensor:
        return each.mean(dim=(1, 2)) @ last.T

    def bent(each: torch.Tensor, prefix: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.hardswish(each.mean(dim=(1, 2)) @ hidden.T + shift) @ out.T

    f32 = np.float32
    answer = linear if head == "linear" else bent
    return Family(bank.astype(f32), maps.astype(f32), pooled.astype(f32), weight.astype(f32), answer)


# --- whoever estimates: a family → (n_images, n_players) --------------------------------------------------------


def run_exact(family: Family) -> Floats:
    bias = np.zeros(len(family.weight), dtype=np.float32)
    found = compute_exact_importances(
        family.coefficients, family.pooled, family.bank, head_weight=family.weight, head_bias=bias, output=OUTPUT
    )
    return found.indices[0]


def run_sampled(family: Family) -> Floats:
    coefficients = family.coefficients
    masked = MaskedHead(
        family.head,
        family.bank,
        maps=coefficients[:, None, None],
        read=lambda index: family.pooled[index, None, None],
        prefix=None,
        device="cpu",
    )
    found = compute_sampled_importances(
        masked,
        n_specimens=len(coefficients),
        n_players=len(family.bank) + 1,
        output=OUTPUT,
        batch_size=BATCH_SIZE,
        half_width=0.02,
        max_evaluations=200_000,
        seed=0,
    )
    return found.indices.mean(axis=0)


def run_craft(family: Family) -> Floats:
    """Return Craft-xai's index of each image: its own code, given our bank and coefficients."""
    sys.modules.setdefault("tensorflow", types.ModuleType("tensorflow"))  # imported by a sampler that is not used
    from craft import craft_torch

    per_image: list[Floats] = []

    class Recorder(craft_torch.JansenEstimator):  # type: ignore[misc]
        """What it averages over images, kept."""

        def __call__(self, *arguments: Any) -> Any:
            per_image.append(super().__call__(*arguments))
            return per_image[-1]

    class GivenCoefficients(craft_torch.Craft):  # type: ignore[misc]
        """Craft-xai, its factorization done."""

        def transform(self, inputs: Any, activations: Any = None) -> Floats:
            return family.maps

    extractor = GivenCoefficients(
        lambda images: images,
        lambda maps: family.head(maps.permute(0, 2, 3, 1)),  # it lays maps out channels first
        number_of_concepts=len(family.bank),
        batch_size=BATCH_SIZE,
        device="cpu",
    )
    extractor.reducer, extractor.W = object(), family.bank
    estimator, craft_torch.JansenEstimator = craft_torch.JansenEstimator, Recorder
    try:
        extractor.estimate_importance(None, OUTPUT, nb_design=N_DESIGNS)
    finally:
        craft_torch.JansenEstimator = estimator
    return np.stack(per_image)


def run_salib(family: Family) -> Floats:
    from SALib.analyze import sobol
    from SALib.sample import sobol as sampling

    players = family.list_players(residual=True)
    n_players = players.shape[1]
    names = [f"m{index}" for index in range(n_players)]
    problem = {"num_vars": n_players, "names": names, "bounds": [[0, 1]] * n_players}
    found = []
    for index, each in enumerate(players):
        masks = sampling.sample(problem, N_DESIGNS, calc_second_order=False, seed=index)
        answers = ask(family, masks, each)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            index_of = sobol.analyze(problem, answers, calc_second_order=False, num_resamples=2, seed=index)
        found.append(index_of["ST"])
    return np.stack(found)


def ask(family: Family, masks: Floats, players: Floats) -> Floats:
    """Return the centred logit of pooled players (n_players, n_channels) under masks."""
    answers = []
    with torch.inference_mode():
        for start in range(0, len(masks), BATCH_SIZE):
            masked = torch.from_numpy(masks[start : start + BATCH_SIZE].astype(np.float32) @ players)[:, None, None]
            logits = family.head(masked)
            answers.append((logits[:, OUTPUT] - logits.mean(dim=1)).double().numpy())
    return np.concatenate(answers)


# --- figures ----------------------------------------------------------------------------------------------------


def find_truth(family: Family, head: str, *, residual: bool) -> Floats:
    players = family.list_players(residual=residual)
    if head == "bent":
        return np.stack(
            [
                estimate_total_indices(
                    lambda masks, each=each: ask(family, masks, each), len(each), n_designs=N_TRUTH, seed=1000 + index
                )
                for index, each in enumerate(players)
            ]
        )
    squares = (players.astype(np.float64) @ family.weight[OUTPUT]) ** 2
    return squares / squares.sum(axis=1, keepdims=True)


def describe(found: Floats, wanted: Floats, n_concepts: int) -> str:
    """Return errors of family and images, and how many of the top concepts are right, of images and of the family."""

    def agree(one: Floats, other: Floats, n: int) -> float:
        tops = [np.argsort(-each[..., :n_concepts], axis=-1, kind="stable")[..., :n] for each in (one, other)]
        pairs = zip(np.atleast_2d(tops[0]), np.atleast_2d(tops[1]), strict=True)
        return statistics.mean(len(set(a) & set(b)) / n for a, b in pairs)

    mean, truth = found.mean(axis=0), wanted.mean(axis=0)
    return (
        f"error {np.abs(mean - truth).mean():.5f} family, {np.abs(found - wanted).mean():.5f} image   "
        f"top-1 {agree(mean, truth, 1):4.0%} family, {agree(found, wanted, 1):4.0%} image   "
        f"top-5 {agree(mean, truth, 5):4.0%} family, {agree(found, wanted, 5):4.0%} image   "
        f"sum {found.sum(axis=1).mean() / wanted.sum(axis=1).mean():.3f}"
    )


@click.command()
@click.option("--concepts", multiple=True, type=int, default=(10, 25, 40), help="Numbers of concepts.")
@click.option("--images", default=100, help="Specimens of the family.")
@click.option("--rounds", default=5, help="Parts the family is taken in; each times everybody in turn.")
@click.option("--head", type=click.Choice(["linear", "bent"]), default="linear", help="What follows pooling.")
def main(concepts: tuple[int, ...], images: int, rounds: int, head: str) -> None:
    """Time everybody on the same leaves and print error, agreement and seconds."""
    torch.set_num_threads(1)
    for n_concepts in concepts:
        family = make_family(images, n_concepts, head)
        truth = {residual: find_truth(family, head, residual=residual) for residual in (True, False)}
        runners: dict[str, Callable[[Family], Floats]] = {
            **({"ours, exact": run_exact} if head == "linear" else {}),
            "ours, sampled": run_sampled,
            "Craft-xai": run_craft,
            "SALib": run_salib,
        }
        for run in runners.values():
            run(family.take(slice(0, 1)))
        found: dict[str, list[Floats]] = {name: [] for name in runners}
        seconds: dict[str, list[float]] = {name: [] for name in runners}
        step = -(-images // rounds)
        for start in range(0, images, step):
            part = family.take(slice(start, start + step))
            for name, run in runners.items():
                began = time.process_time()
                found[name].append(run(part))
                seconds[name].append(time.process_time() - began)
        click.echo(f"{n_concepts} concepts, {images} images, {head} head")
        for name in runners:
            wanted = truth[name != "Craft-xai"]
            click.echo(
                f"  {name:14} {sum(seconds[name]):8.3f} s   {describe(np.concatenate(found[name]), wanted, n_concepts)}"
            )
        for other in ("Craft-xai", "SALib"):
            ratios = [theirs / ours for theirs, ours in zip(seconds[other], seconds["ours, sampled"], strict=True)]
            rounded = ", ".join(f"{ratio:.1f}" for ratio in ratios)
            click.echo(f"  {other} over ours, sampled: median {statistics.median(ratios):.1f} ({rounded})")


if __name__ == "__main__":
    main()
