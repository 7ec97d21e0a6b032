"""What a factorization costs beside scikit-learn's, in one run, one thread each, CPU seconds, the start included.

scikit-learn's NMF (NNDSVDa, coordinate descent, float32) runs to its own convergence. Ours is run with 1, 2, 3 …
iterations, each from the start anew, until its relative error is within 1.001 of scikit-learn's; the time of that run
counts. Errors are taken outside the clock. Printed for each of several rounds: both times, both errors, the ratio.

    OMP_NUM_THREADS=1 python benchmarks/factorization.py [--rounds 3] [--run runs/herbarium --family betulaceae]

The activations are drawn to look like those after a ReLU: patterns of sparse channels, of falling strength, each in a
third of the cells, and noise. With --run, the cells of a family of a run are factorised as well; the run needs its
activations, which a build drops once their readers are done (`leaflineage plan` says so).
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from leaflineage.concepts.factorization import Factorization, factorize, measure_relative_error

Floats = NDArray[np.floating]
SIZES = ((5000, 2048, 10), (20000, 2048, 25))  # cells, channels, concepts
N_PATTERNS = 40
WITHIN = 1.001
MOST_ITERATIONS = 400


@click.command()
@click.option("--rounds", default=3, help="Rounds; each times scikit-learn, then ours.")
@click.option("--run", type=click.Path(path_type=Path, exists=True), help="A run, to factorise a family's cells too.")
@click.option("--family", default="betulaceae", help="The family's slug.")
@click.option("--concepts", default=10, help="Concepts of that family.")
def main(rounds: int, run: Path | None, family: str, concepts: int) -> None:
    """Time both in turn and print the ratios."""
    torch.set_num_threads(1)
    work = [(f"{n} × {c}", draw_activations(n, c), k) for n, c, k in SIZES]
    if run is not None:
        cells = load_file(run / "families" / family / "activations.safetensors")["cells"].astype(np.float32)
        work.append((f"{family}, {len(cells)} × {cells.shape[1]}", cells, concepts))
    with threadpool_limits(1):
        fit_ours(work[0][1], 10, 1)  # whatever is slow once
        for name, activations, n_concepts in work:
            ratios = []
            for _ in range(rounds):
                model, theirs = measure(partial(fit_theirs, activations, n_concepts))
                wanted = WITHIN * measure_relative_error(activations, model[0], model[1])
                error, ours, n_iterations = reach(activations, n_concepts, wanted)
                ratios.append(theirs / ours)
                click.echo(
                    f"{name}, {n_concepts} concepts: scikit-learn {theirs:.2f} s to {wanted / WITHIN:.5f}   "
                    f"ours {ours:.2f} s, {n_iterations} iterations, to {error:.5f}   ratio {ratios[-1]:.2f}"
                )
            click.echo(f"{name}, {n_concepts} concepts: median ratio {statistics.median(ratios):.2f}")


def draw_activations(n_cells: int, n_channels: int) -> Floats:
    """Return (n_cells, n_channels) float32 ≥ 0: patterns and noise."""
    generator = np.random.default_rng(0)
    shape = (N_PATTERNS, n_channels)
    patterns = generator.gamma(0.6, 1, shape) * (generator.random(shape) < 0.25)
    strengths = generator.gamma(0.7, 1, (n_cells, N_PATTERNS)) * (generator.random((n_cells, N_PATTERNS)) < 0.3)
    strengths /= np.arange(1, N_PATTERNS + 1) ** 0.7
    activations = strengths.astype(np.float32) @ patterns.astype(np.float32)
    mean = float(activations.mean())
    activations += 0.3 * mean * (generator.standard_normal((n_cells, n_channels), dtype=np.float32) - 1)
    return np.maximum(activations, 0)


def fit_theirs(activations: Floats, n_concepts: int) -> tuple[Floats, Floats]:
    """Return scikit-learn's coefficients and bank."""
    model = NMF(n_concepts, init="nndsvda", solver="cd", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        coefficients = model.fit_transform(activations)
    return coefficients, model.components_


def fit_ours(activations: Floats, n_concepts: int, n_iterations: int) -> Factorization:
    """Return ours after a number of iterations."""
    return factorize(
        activations,
        n_concepts=n_concepts,
        seed=0,
        max_iterations=n_iterations,
        tolerance=0,
        method="nmf",
        device="cpu",
    )


def reach(activations: Floats, n_concepts: int, wanted: float) -> tuple[float, float, int]:
    """Return the first error that is at most the wanted one, the CPU seconds of that run, and its iterations."""
    n_iterations = 1
    while True:
        found, seconds = measure(partial(fit_ours, activations, n_concepts, n_iterations))
        error = measure_relative_error(activations, found.coefficients, found.concept_bank)
        if error <= wanted or n_iterations >= MOST_ITERATIONS:
            return error, seconds if error <= wanted else float("inf"), n_iterations
        n_iterations += 1 + n_iterations // 8


def measure(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a piece of work returns, and its CPU seconds."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


if __name__ == "__main__":
    main()
