"""The batch of an accelerator: all slots in one call of the network, and on CUDA the whole step captured as one graph.

A captured step is believed once it has repeated a plain one, from the same state; where it cannot be captured or does
not repeat it, steps are taken plainly.

Everything has one shape whatever the slots hold, so that a step captured once can be replayed: crops are cut by whole
matrices made on the device from where the squares lie, noise is read from each picture's own run of numbers, and rates
come from each slot's own count of steps. A resting slot goes on with what is left in it, and nobody reads what it
gives. What is random is drawn as on a CPU, from each picture's own seed; rounding differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leaflineage.featviz.batch import Drawing, Features, Subject
from leaflineage.featviz.chance import POOLED_CROPS, Chance
from leaflineage.featviz.nadam import step_nadam
from leaflineage.featviz.objective import measure_likeness, pool, repel, score_crops
from leaflineage.featviz.synthesis import Colouring, colour, synthesize

Floats = NDArray[np.floating]
N_WARM_UPS = 3  # before a capture, as torch asks for
FIRST_STEP_TOLERANCE = 1e-4  # relative, between a captured step and a plain one


class Graph(Protocol):
    """A captured step."""

    def replay(self) -> None:
        """Take it again."""


class DeviceBatch:
    """Slots on a device.

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
    n_slots, n_channels, n_previous, n_crops, input_size
        Pictures at once, channels of the features, most earlier views of any picture, crops a picture and step,
        (height, width) of the crops.
    cosine_power
        Of the objective.
    device
        As torch names it.
    record
        What captures a step as a graph (``record_graph`` on CUDA); None: steps are taken one operation after the other.
    """

    def __init__(
        self,
        features: Features,
        magnitude: Floats,
        colouring: Colouring,
        rates: Floats,
        *,
        n_slots: int,
        n_channels: int,
        n_previous: int,
        n_crops: int,
        input_size: tuple[int, int],
        cosine_power: float,
        device: str,
        record: Callable[[Callable[[], None]], Graph] | None,
    ) -> None:
        self._features, self._n_crops, self._input_size = features, n_crops, input_size
        self._size, self._cosine_power = magnitude.shape[1], cosine_power
        self._magnitude, self._centre, self._mixing, self._rates = (
            torch.from_numpy(each).to(device) for each in (magnitude, colouring.centre, colouring.mixing, rates)
        )
        self._bounds: tuple[Tensor, Tensor] | None = None
        if colouring.steepness is not None and colouring.shift is not None:
            self._bounds = (
                torch.from_numpy(colouring.steepness).to(device),
                torch.from_numpy(colouring.shift).to(device),
            )
        n_numbers = 3 * input_size[0] * input_size[1]

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(*shape, dtype=dtype, device=device)

        self._phase, self._first, self._second, self._scratch = (zeros(n_slots, *magnitude.shape) for _ in range(4))
        self._gradients = zeros(n_slots, self._size, self._size)
        self._n_steps = zeros(n_slots, dtype=torch.int64)
        self._directions, self._pooled = zeros(n_slots, n_channels), zeros(n_slots, n_channels)
        self._previous = zeros(n_slots, n_previous, n_channels)
        self._noise = zeros(n_slots, POOLED_CROPS * n_numbers)
        self._run = torch.arange(n_numbers, device=device)
        self._objectives = zeros(n_slots)
        # A square in the corner, where nothing was drawn yet: a side of zero would divide by it.
        self._drawn = np.tile(np.array([0, 0, 2, 0], dtype=np.int64), (n_slots, n_crops, 1))  # y, x, side, offset
        self._places = torch.from_numpy(self._drawn).to(device)
        self._chances: list[Chance | None] = [None] * n_slots
        self._record = record
        self._graph: Graph | None = None

    def start(self, slot: int, subject: Subject) -> None:
        """Begin a picture in a slot."""
        chance = self._chances[slot] = Chance(subject.seed, input_size=self._input_size)
        self._phase[slot] = torch.from_numpy(chance.draw_phase(self._size))
        self._noise[slot] = torch.from_numpy(chance.noise)
        self._directions[slot] = torch.from_numpy(subject.direction.copy())
        for state in (self._first, self._second, self._gradients, self._n_steps, self._pooled, self._previous):
            state[slot] = 0
        self._previous[slot, : len(subject.previous)] = torch.from_numpy(subject.previous.copy())

    def free(self, slot: int) -> None:
        """Let a slot rest: what it gives from now on is thrown away."""
        self._chances[slot] = None

    def develop(self, slot: int) -> Drawing:
        """Return what a slot holds."""
        with torch.no_grad():
            picture = self._paint(self._phase[slot : slot + 1])[0]
        return Drawing(
            picture=picture.permute(1, 2, 0).cpu().numpy(),
            gradients=self._gradients[slot].clone().cpu().numpy(),  # what is next in the slot writes over it
            pooled=self._pooled[slot].clone().cpu().numpy(),
        )

    def step(self) -> Floats:
        """Take one step in every slot; return (n_slots,) objectives, of resting slots whatever there is."""
        for slot, chance in enumerate(self._chances):
            if chance is not None:
                places = chance.draw_places(self._size, self._n_crops)
                offsets = chance.draw_offsets(self._n_crops)
                self._drawn[slot] = [(p.y, p.x, p.side, offset) for p, offset in zip(places, offsets, strict=True)]
        self._places.copy_(torch.from_numpy(self._drawn))
        if self._record is not None:
            self._capture(self._record)
        if self._graph is not None:
            self._graph.replay()
        else:
            self._take_step()
        return self._objectives.clone().cpu().numpy()

    @property
    def is_captured(self) -> bool:
        """Whether steps are replayed from a graph."""
        return self._graph is not None

    def _capture(self, record: Callable[[Callable[[], None]], Graph]) -> None:
        """Record a step as a graph, compare it with a plain one, and leave all state as it was; never try again."""
        self._record = None
        state = (self._phase, self._first, self._second, self._gradients, self._n_steps, self._pooled)
        kept = [each.clone() for each in state]

        def restore() -> None:
            for each, before in zip(state, kept, strict=True):
                each.copy_(before)

        def see(work: Callable[[], None]) -> tuple[Tensor, Tensor, Tensor]:
            restore()
            work()
            return self._objectives.clone(), self._pooled.clone(), self._gradients.clone()

        try:
            graph = record(self._take_step)
            plain, replayed = see(self._take_step), see(graph.replay)
            if all(_agree(found, wanted) for found, wanted in zip(replayed, plain, strict=True)):
                self._graph = graph
        except RuntimeError:  # the network does something that cannot be captured
            self._graph = None
        restore()

    def _paint(self, phase: Tensor) -> Tensor:
        """Return (n, 3, size, size) colours of phases."""
        return colour(synthesize(self._magnitude, phase), self._centre, self._mixing, self._bounds)

    def _take_step(self) -> None:
        n_slots = len(self._phase)
        phase = self._phase.detach().requires_grad_()
        pictures = self._paint(phase)
        y, x, side, offset = self._places.unbind(dim=2)  # (n_slots, n_crops) each
        crops = cut_crops(pictures, y, x, side, self._input_size)  # (n_slots, n_crops, 3, height, width)
        runs = offset.flatten(1)[:, :, None] + self._run  # (n_slots, n_crops, n_numbers)
        noise = self._noise.gather(1, runs.flatten(1)).view(n_slots, self._n_crops, *self._input_size, 3)
        crops = (crops + noise.permute(0, 1, 4, 2, 3)).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        pooled = pool(self._features(crops)).view(n_slots, self._n_crops, -1)
        directions = self._directions[:, None].expand_as(pooled)
        objective = score_crops(pooled.flatten(0, 1), directions.flatten(0, 1), cosine_power=self._cosine_power)
        objective = objective.view(n_slots, self._n_crops)
        climbed = objective
        if self._previous.shape[1]:
            climbed = repel(objective, measure_likeness(pooled, self._directions, self._previous))
        # A picture's objective is the mean of its crops'; no sum leaks from one picture into another.
        on_phase, on_pictures = torch.autograd.grad(climbed.mean(dim=1).sum(), (phase, pictures))
        self._gradients += on_pictures.abs().sum(dim=1)
        rates = self._rates[self._n_steps.clamp_max(len(self._rates) - 1)]  # (n_slots, 3)
        each = [rate.view(-1, 1, 1, 1) for rate in rates.unbind(dim=1)]
        step_nadam(self._phase, on_phase.neg(), self._first, self._second, self._scratch, each)
        self._n_steps += 1
        self._objectives.copy_(objective.detach().mean(dim=1))
        self._pooled.copy_(pooled.detach().mean(dim=1))


def record_graph(work: Callable[[], None]) -> Graph:
    """Return a CUDA graph of work whose tensors all keep their place; it is done a few times on the way."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(N_WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def _agree(found: Tensor, wanted: Tensor) -> bool:
    """Tell whether two tensors differ by at most a ten-thousandth of the greatest value wanted."""
    return bool((found - wanted).abs().max() <= FIRST_STEP_TOLERANCE * wanted.abs().max())


def cut_crops(pictures: Tensor, y: Tensor, x: Tensor, side: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Cut squares out of pictures by whole matrices: what ``resampling.cut_crop`` does in bands.

    Parameters
    ----------
    pictures
        (n, 3, size, size).
    y, x, side
        (n, n_crops) integers, pixels.
    input_size
        (height, width) of the crops.

    Returns
    -------
    crops
        (n, n_crops, 3, height, width).
    """
    n, n_crops = y.shape
    (height, width), size = input_size, pictures.shape[-1]
    rows = _make_matrices(y, side, height, size).view(n, 1, n_crops * height, size)
    columns = _make_matrices(x, side, width, size)  # (n, n_crops, width, size)
    lowered = (rows @ pictures).view(n, 3, n_crops, height, size).transpose(1, 2)  # (n, n_crops, 3, height, size)
    return torch.as_tensor(lowered.flatten(2, 3) @ columns.transpose(2, 3)).view(n, n_crops, 3, height, width)


def _make_matrices(start: Tensor, side: Tensor, length: int, size: int) -> Tensor:
    """Return (n, n_crops, length, size): antialiased linear resampling of ``side`` pixels from ``start`` on."""
    start, side = start[..., None, None].float(), side[..., None, None].float()
    scale = side / length
    pixels = torch.arange(size, device=start.device, dtype=torch.float32)
    centres = start + (torch.arange(length, device=start.device)[:, None] + 0.5) * scale - 0.5
    weights = (1 - (pixels - centres).abs() / scale.clamp_min(1)).clamp_min(0)
    weights = weights * ((pixels >= start) & (pixels < start + side))
    return weights / weights.sum(dim=-1, keepdim=True)


def count_previous(subjects: Sequence[Subject]) -> int:
    """Return the most earlier views that any picture has."""
    return max((len(subject.previous) for subject in subjects), default=0)
