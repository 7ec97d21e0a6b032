"""A batch of slots, each with a picture in the making; and the batch of a CPU, which goes through them one by one.

On a CPU the network meets one picture's crops in a call. From six crops on a larger call is no quicker there, and
another shape may round otherwise, which would change a picture after a few steps: so a picture has the same bytes
whatever the other slots hold and however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leaflineage.featviz.chance import Chance
from leaflineage.featviz.nadam import step_nadam
from leaflineage.featviz.objective import measure_likeness, pool, repel, score_crops
from leaflineage.featviz.resampling import Place, add_adjoint, cut_crop
from leaflineage.featviz.synthesis import Colouring, find_phase_gradient, paint

Floats = NDArray[np.floating]
Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Subject:
    """What one picture is to show.

    Attributes
    ----------
    direction
        (n_channels,) float32: the concept's row of the bank.
    seed
        Of phase, crops and noise.
    previous
        (n_previous, n_channels) float32: mean pooled activations of earlier views; none: (0, n_channels).
    """

    direction: Floats
    seed: int
    previous: Floats


@dataclass(frozen=True)
class Drawing:
    """What a slot holds.

    Attributes
    ----------
    picture
        (size, size, 3) float32 in [0, 1].
    gradients
        (size, size) float32: magnitude of the objective's gradient on the picture, summed over channels and steps.
    pooled
        (n_channels,) float32: mean pooled activations of the last step's crops.
    """

    picture: Floats
    gradients: Floats
    pooled: Floats


class Batch(Protocol):
    """A number of slots that go through steps together."""

    def start(self, slot: int, subject: Subject) -> None:
        """Begin a picture in a slot."""

    def free(self, slot: int) -> None:
        """Let a slot rest: what it gives from now on is thrown away."""

    def step(self) -> Floats:
        """Take one step in every slot; return (n_slots,) objectives, of resting slots whatever there is."""

    def develop(self, slot: int) -> Drawing:
        """Return what a slot holds."""


class _Slot:
    """One picture's state: what the optimiser keeps, and what the forward pass leaves for the way back."""

    def __init__(self, subject: Subject, *, size: int, input_size: tuple[int, int]) -> None:
        self.chance = Chance(subject.seed, input_size=input_size)
        self.phase = self.chance.draw_phase(size)
        self.first, self.second = np.zeros_like(self.phase), np.zeros_like(self.phase)
        self.spectrum = np.zeros(self.phase.shape, dtype=np.complex64)
        self.slope = np.empty((2, size, size), dtype=np.float32)
        self.gradients = np.zeros((size, size), dtype=np.float32)
        self.direction = torch.from_numpy(subject.direction.copy())
        self.previous = torch.from_numpy(subject.previous.copy())
        self.pooled: Floats = np.zeros_like(subject.direction)
        self.n_steps = 0


class CpuBatch:
    """Slots on a CPU, in one thread.

    Parameters
    ----------
    features
        (n, 3, height, width) in [0, 1] → (n, rows, columns, n_channels), differentiable.
    magnitude
        (3, size, size // 2 + 1) float32 ≥ 0.
    colouring
        Of the specimens.
    rates
        (n_steps, 3), of ``compute_rates``.
    n_slots, n_crops, input_size
        Pictures at once, crops a picture and step, (height, width) of the crops.
    cosine_power
        Of the objective.
    """

    def __init__(
        self,
        features: Features,
        magnitude: Floats,
        colouring: Colouring,
        rates: Floats,
        *,
        n_slots: int,
        n_crops: int,
        input_size: tuple[int, int],
        cosine_power: float,
    ) -> None:
        self._features, self._magnitude, self._colouring = features, colouring.steepen(magnitude), colouring
        self._rates = torch.from_numpy(rates)
        self._n_crops, self._input_size, self._cosine_power = n_crops, input_size, cosine_power
        self._slots: list[_Slot | None] = [None] * n_slots
        self._crops = torch.zeros(n_crops, *input_size, 3).permute(0, 3, 1, 2)  # channels last in memory
        self._scratch = torch.empty(magnitude.shape)

    def start(self, slot: int, subject: Subject) -> None:
        """Begin a picture in a slot."""
        self._slots[slot] = _Slot(subject, size=self._magnitude.shape[1], input_size=self._input_size)

    def free(self, slot: int) -> None:
        """Let a slot rest: what it gives from now on is thrown away."""
        self._slots[slot] = None

    def develop(self, slot: int) -> Drawing:
        """Return what a slot holds."""
        held = self._slots[slot]
        assert held is not None
        picture = paint(self._magnitude, held.phase, self._colouring, held.spectrum)
        return Drawing(picture=picture.transpose(0, 2, 1), gradients=held.gradients, pooled=held.pooled)

    def step(self) -> Floats:
        """Take one step in every slot; return (n_slots,) objectives, 0 of resting slots."""
        objectives = [0.0 if slot is None else self._step_one(slot) for slot in self._slots]
        return np.array(objectives, dtype=np.float32)

    def _step_one(self, slot: _Slot) -> float:
        """Take one step in a slot; return its objective."""
        picture = paint(self._magnitude, slot.phase, self._colouring, slot.spectrum, slot.slope)
        size = len(picture)
        places = slot.chance.draw_places(size, self._n_crops)
        self._cut_crops(slot.chance, picture, places)
        crops = self._crops.detach().requires_grad_()
        pooled = pool(self._features(crops))  # (n_crops, n_channels)
        objective = score_crops(pooled, slot.direction.expand_as(pooled), cosine_power=self._cosine_power)
        climbed = objective
        if len(slot.previous):
            climbed = repel(objective, measure_likeness(pooled, slot.direction, slot.previous))
        (found,) = torch.autograd.grad(climbed.mean(), crops)
        slot.pooled = pooled.detach().mean(dim=0).numpy()
        gradient = np.zeros((size, 3, size), dtype=np.float32)
        for each, place in zip(found, places, strict=True):
            add_adjoint(each.permute(1, 0, 2).contiguous().numpy(), place, gradient)  # (height, 3, width)
        self._move(slot, picture, gradient)
        return float(objective.detach().mean())

    def _cut_crops(self, chance: Chance, picture: Floats, places: Sequence[Place]) -> None:
        """Write a picture's crops, with noise, where the network reads them."""
        noise = torch.from_numpy(chance.noise)
        offsets = chance.draw_offsets(self._n_crops)
        for target, place, offset in zip(self._crops, places, offsets, strict=True):
            crop = torch.from_numpy(cut_crop(picture, place, self._input_size))
            run = noise[offset : offset + target.numel()].view(*self._input_size, 3)
            torch.add(crop.permute(0, 2, 1), run, out=target.permute(1, 2, 0))  # (height, width, 3)

    def _move(self, slot: _Slot, picture: Floats, gradient: Floats) -> None:
        """Climb one step; picture and gradient (size, 3, size) are spent."""
        magnitudes = np.abs(gradient)
        for channel in range(3):
            slot.gradients += magnitudes[:, channel]
        downhill = find_phase_gradient(gradient, picture, self._colouring, slot.spectrum, slot.slope)
        np.negative(downhill, out=downhill)
        phase, spent, first, second = map(torch.from_numpy, (slot.phase, downhill, slot.first, slot.second))
        step_nadam(phase, spent, first, second, self._scratch, self._rates[slot.n_steps].unbind())
        slot.n_steps += 1


def as_subjects(directions: Floats, seeds: Sequence[int], repelled_from: Sequence[Floats | None]) -> list[Subject]:
    """Return one subject a direction (n_directions, n_channels)."""
    none = np.zeros((0, directions.shape[1]), dtype=np.float32)
    return [
        Subject(direction, seed, none if previous is None else np.asarray(previous, dtype=np.float32))
        for direction, seed, previous in zip(directions, seeds, repelled_from, strict=True)
    ]
