"""Feature visualization by MACO: only the phase of a picture's Fourier spectrum is optimised.

    picture = colour(irfft2(r · exp(i φ)))        r: magnitude spectrum, fixed; φ: phase, optimised

A step cuts random squares from the picture, adds noise, and climbs the concept's objective on their pooled
activations a:

    (a · v) · cos(a, v)^p                          v: the concept's row of the bank; p: 2, and 0 for a family's logit

Opacity is the magnitude of the objective's gradient on the picture, accumulated over all steps: where the concept
never cared, the picture is transparent. Several concepts share a batch of slots; each has its own phase, crops, noise
and random generator, and no sum leaks from one into another. A picture is done after its steps, or once its objective
gains no more; a waiting one then takes its slot.

Reference: Fel et al. (arXiv:2306.06805).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leaflineage.featviz.batch import Batch, CpuBatch, Subject, as_subjects
from leaflineage.featviz.device_batch import DeviceBatch, count_previous, record_graph
from leaflineage.featviz.nadam import compute_rates
from leaflineage.featviz.opacity import compute_opacity
from leaflineage.featviz.spectrum import Palette
from leaflineage.featviz.synthesis import make_colouring

Floats = NDArray[np.floating]
WORTH_CAPTURE = 24  # steps; before a step is captured on CUDA, six are taken
# Radians a step, about, at the first and at the last: at 1.0 fine phases walk at random and 70 steps reach a tenth of
# this, and steps that do not shrink in the end leave the picture's noise as it is.
LEARNING_RATES = (0.3, 0.05)
LEAST_GAIN = 0.01  # of the objective's mean over a window, against the window before


@dataclass(frozen=True)
class FeatureVisualization:
    """One concept, optimised.

    Attributes
    ----------
    image
        (size, size, 3) uint8.
    opacity
        (size, size) float32 in [0, 1].
    objectives
        (n_steps,) float32: mean objective over each step's crops.
    pooled
        (n_channels,) float32: mean pooled activations of the last step's crops.
    n_steps
        Taken: all of them, or fewer where the objective gained no more.
    """

    image: NDArray[np.uint8]
    opacity: Floats
    objectives: Floats
    pooled: Floats
    n_steps: int


def visualize_concepts(
    features: Callable[[Tensor], Tensor],
    directions: Floats,
    magnitude_spectrum: Floats,
    palette: Palette,
    *,
    input_size: tuple[int, int],
    steps: int,
    n_crops: int,
    n_slots: int,
    patience: int | None,
    seeds: Sequence[int],
    repelled_from: Sequence[Floats | None],
    cosine_power: float,
    device: str,
    on_step: Callable[[int], None] | None = None,
    on_finished: Callable[[int, FeatureVisualization], None] | None = None,
) -> list[FeatureVisualization]:
    """Optimise one picture a direction, ``n_slots`` at once.

    A picture depends on its seed, its direction, its earlier views and the settings alone: on one CPU type it has the
    same bytes whatever the other directions and the number of slots are.

    Parameters
    ----------
    features
        (n, 3, height, width) in [0, 1] → (n, rows, columns, n_channels), differentiable.
    directions
        (n_concepts, n_channels): rows of the bank.
    magnitude_spectrum
        (3, size, size // 2 + 1) ≥ 0.
    palette
        Colours of the specimens.
    input_size
        The classifier's (height, width).
    steps
        At most, of each picture.
    n_crops
        A picture and step.
    n_slots
        Pictures at once; more directions wait, and take the place of one that is done.
    patience
        Steps of a window: a picture whose mean objective over one is no more than a hundredth above that of the window
        before is done. None: all steps are taken.
    seeds
        One a direction; phase, crops and noise of a concept depend on its seed alone.
    repelled_from
        One a direction: mean pooled activations (n_previous, n_channels) of earlier views of the same concept, which
        this one is to differ from; None where there are none.
    cosine_power
        Of the objective: ``COSINE_POWER`` for concepts, 0 where the dot product alone is to rise.
    device
        "cpu", or as torch names another.
    on_step
        Told the index of each step of the batch.
    on_finished
        Told the index of a direction and its visualization as soon as it is done.

    Returns
    -------
    visualizations
        One a direction, in order.
    """
    rows = np.ascontiguousarray(directions, dtype=np.float32)
    subjects = as_subjects(rows, seeds, repelled_from)
    magnitude = np.ascontiguousarray(magnitude_spectrum, dtype=np.float32)
    colouring, rates = make_colouring(palette), compute_rates(steps, learning_rates=LEARNING_RATES)
    batch: Batch
    if torch.device(device).type == "cpu":
        batch = CpuBatch(
            features,
            magnitude,
            colouring,
            rates,
            n_slots=n_slots,
            n_crops=n_crops,
            input_size=input_size,
            cosine_power=cosine_power,
        )
    else:
        batch = DeviceBatch(
            features,
            magnitude,
            colouring,
            rates,
            n_slots=n_slots,
            n_channels=rows.shape[1],
            n_previous=count_previous(subjects),
            n_crops=n_crops,
            input_size=input_size,
            cosine_power=cosine_power,
            device=device,
            record=record_graph if torch.device(device).type == "cuda" and steps >= WORTH_CAPTURE else None,
        )
    return _run(batch, subjects, n_slots, steps, patience, on_step, on_finished)


def has_converged(objectives: Sequence[float], *, patience: int | None) -> bool:
    """Tell whether a window of ``patience`` steps gained less than a hundredth over the window before."""
    if patience is None or len(objectives) < 2 * patience:
        return False
    before, last = (float(np.mean(each)) for each in (objectives[-2 * patience : -patience], objectives[-patience:]))
    return last - before <= LEAST_GAIN * abs(before)


def _run(
    batch: Batch,
    subjects: Sequence[Subject],
    n_slots: int,
    steps: int,
    patience: int | None,
    on_step: Callable[[int], None] | None,
    on_finished: Callable[[int, FeatureVisualization], None] | None,
) -> list[FeatureVisualization]:
    """Take steps until every subject has had a slot and is done."""
    waiting = deque(range(len(subjects)))
    curves: dict[int, list[float]] = {}
    at_work: dict[int, int] = {}  # slot → subject
    finished: dict[int, FeatureVisualization] = {}
    step = 0
    while waiting or at_work:
        for slot in range(n_slots):
            if slot not in at_work and waiting:
                index = at_work[slot] = waiting.popleft()
                curves[index] = []
                batch.start(slot, subjects[index])
        objectives = batch.step()
        if on_step:
            on_step(step)
        step += 1
        for slot, index in list(at_work.items()):
            curve = curves[index]
            curve.append(float(objectives[slot]))
            if len(curve) == steps or has_converged(curve, patience=patience):
                finished[index] = _develop(batch, slot, curve)
                batch.free(slot)
                del at_work[slot]
                if on_finished:
                    on_finished(index, finished[index])
    return [finished[index] for index in range(len(subjects))]


def _develop(batch: Batch, slot: int, curve: Sequence[float]) -> FeatureVisualization:
    drawing = batch.develop(slot)
    return FeatureVisualization(
        image=np.round(drawing.picture * 255).astype(np.uint8),
        opacity=compute_opacity(drawing.gradients),
        objectives=np.array(curve, dtype=np.float32),
        pooled=drawing.pooled,
        n_steps=len(curve),
    )
